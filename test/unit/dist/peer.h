/* SPDX-License-Identifier: Apache-2.0
 * An inbox with a link to the recorded peer, for the tests of what comes in
 * and of what goes out. */
#ifndef QUORATE_TEST_UNIT_DIST_PEER_H
#define QUORATE_TEST_UNIT_DIST_PEER_H

#include "dist/flags.h"
#include "dist/inbox.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "lib/test.h"
#include "vectors.h"

/* What was agreed with the recorded peer: less than we offer by now. */
#define RECORDED_FLAGS    \
    (DIST_FLAGS_OFFERED & \
     ~(DIST_FLAG_SEND_SENDER | DIST_FLAG_EXIT_PAYLOAD | DIST_FLAG_ALTACT_SIG))

struct fixture {
    struct inbox inbox;
    struct inbox_peer peer;
    struct buf frame; /* the last one given */
    struct buf out;
    struct inbox_event event;
    const char *cause;
};

static inline void fixture_open(struct fixture *fixture)
{
    *fixture =
        (struct fixture){.peer = {.name = bytes_of_string("tester@127.0.0.1"),
                                  .flags = RECORDED_FLAGS}};
    inbox_init(&fixture->inbox, bytes_of_string("quorate@127.0.0.1"), 7);
    buf_init(&fixture->frame, 100000);
    buf_init(&fixture->out, 100000);
}

static inline void fixture_close(struct fixture *fixture)
{
    struct inbox_event event;

    while (inbox_next_lost(&fixture->inbox, &fixture->peer, &event)) {
    }
    inbox_close(&fixture->inbox);
    buf_close(&fixture->frame);
    buf_close(&fixture->out);
}

/* Gives what is in `frame`. */
static inline int fixture_receive(struct fixture *fixture)
{
    assert_ok(buf_error(&fixture->frame));
    return inbox_receive(&fixture->inbox, &fixture->peer,
                         buf_bytes(&fixture->frame), &fixture->out,
                         &fixture->event, &fixture->cause);
}

static inline void receive_hex(struct fixture *fixture, const char *hex)
{
    buf_clear(&fixture->frame);
    put_hex(&fixture->frame, hex);
    assert_ok(fixture_receive(fixture));
}

/* What went out is this, and no more. */
static inline void assert_out(struct fixture *fixture, const char *hex)
{
    struct buf expected;

    buf_init(&expected, 100000);
    put_hex(&expected, hex);
    assert_ok(buf_error(&fixture->out));
    assert_bytes(buf_bytes(&fixture->out), expected.data, expected.size);
    buf_close(&expected);
    buf_clear(&fixture->out);
}

static inline bool out_contains(const struct fixture *fixture, const char *text,
                                size_t size)
{
    return memmem(fixture->out.data, fixture->out.size, text, size) != NULL;
}

/* A pid of the peer, and one of ours. */
static inline void put_peer_pid(struct buf *buf)
{
    struct etf_pid pid = {
        .node = bytes_of_string("tester@127.0.0.1"), .id = 9, .creation = 5};

    etf_put_pid(buf, &pid);
}

static inline void put_own_pid(struct buf *buf, uint32_t id, uint32_t serial,
                               uint32_t creation)
{
    struct etf_pid pid = {.node = bytes_of_string("quorate@127.0.0.1"),
                          .id = id,
                          .serial = serial,
                          .creation = creation};

    etf_put_pid(buf, &pid);
}

static inline void put_reference(struct buf *buf)
{
    static const uint32_t words[] = {1, 2, 3};

    etf_put_reference(buf, bytes_of_string("tester@127.0.0.1"), 5, words, 3);
}

/* The start of a frame with this operation. */
static inline void begin_frame(struct buf *buf, uint64_t op, uint32_t arity)
{
    buf_clear(buf);
    buf_put_u8(buf, 112);
    buf_put_u8(buf, 131);
    etf_put_tuple(buf, arity);
    etf_put_u64(buf, op);
}

/* {6, Pid, '', Name} and the version of the message that follows. */
static inline void begin_reg_send(struct buf *buf, const char *name)
{
    begin_frame(buf, 6, 4);
    put_peer_pid(buf);
    etf_put_atom(buf, "");
    etf_put_atom(buf, name);
    buf_put_u8(buf, 131);
}

#endif
