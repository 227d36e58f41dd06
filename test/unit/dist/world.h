/* SPDX-License-Identifier: Apache-2.0
 * An inbox with two peers and a spawned call, for the tests of signals between
 * processes. A letter stands for a field: see put_field(). */
#ifndef QUORATE_TEST_UNIT_DIST_WORLD_H
#define QUORATE_TEST_UNIT_DIST_WORLD_H

#include "dist/control.h"
#include "dist/frame.h"
#include "dist/signal.h"
#include "peer.h"

enum { SPAWNED = 2, OWN_ID = 5 };

struct world {
    struct fixture first;    /* whose inbox it is */
    struct inbox_peer other; /* a second peer */
    struct buf other_out;
    size_t taken; /* bytes of first.out that were looked at */
    size_t other_taken;
    struct call *call; /* a spawned one of the first peer, under way */
    int owner;         /* what INBOX_CANCEL gives */
};

static inline struct buf *other_out(void *arg)
{
    return (struct buf *)arg;
}

/* --- Frames in and out ---------------------------------------------------- */

static inline void put_pid(struct buf *buf, const char *node, uint32_t id)
{
    struct etf_pid pid = {
        .node = bytes_of_string(node), .id = id, .creation = 5};

    etf_put_pid(buf, &pid);
}

static inline void put_field(struct buf *buf, char field)
{
    static const uint32_t words[] = {4, 5, 6};

    switch (field) {
    case 'p':
        put_peer_pid(buf);
        break;
    case 'q': /* another process of the first peer */
        put_pid(buf, "tester@127.0.0.1", 10);
        break;
    case 'z': /* of the second */
        put_pid(buf, "other@127.0.0.1", 11);
        break;
    case 'o':
        put_own_pid(buf, 1, 0, 7);
        break;
    case 's':
        put_own_pid(buf, SPAWNED, 0, 7);
        break;
    case 'd': /* dead */
        put_own_pid(buf, 99, 0, 7);
        break;
    case 'r':
        put_reference(buf);
        break;
    case 'R':
        etf_put_reference(buf, bytes_of_string("other@127.0.0.1"), 5, words, 3);
        break;
    case 'i':
        etf_put_u64(buf, OWN_ID);
        break;
    case '1':
        etf_put_u64(buf, 1);
        break;
    case 'x':
        etf_put_atom(buf, "boom");
        break;
    case 'n':
        etf_put_atom(buf, "normal");
        break;
    case 'k':
        etf_put_atom(buf, "kill");
        break;
    case 'N':
        etf_put_atom(buf, "quorate");
        break;
    case 'U':
        etf_put_atom(buf, "nobody");
        break;
    default:
        fail();
    }
}

static inline void give_from(struct world *world, struct inbox_peer *peer,
                             struct buf *out, uint64_t op, const char *fields)
{
    struct fixture *fixture = &world->first;

    begin_frame(&fixture->frame, op, 1 + (uint32_t)strlen(fields));
    for (const char *field = fields; *field != '\0'; field++) {
        put_field(&fixture->frame, *field);
    }
    assert_ok(inbox_receive(&fixture->inbox, peer, buf_bytes(&fixture->frame),
                            out, &fixture->event, &fixture->cause));
}

static inline void give(struct world *world, uint64_t op, const char *fields)
{
    give_from(world, &world->first.peer, &world->first.out, op, fields);
}

static inline void give_other(struct world *world, uint64_t op,
                              const char *fields)
{
    give_from(world, &world->other, &world->other_out, op, fields);
}

/* The next frame that went out; it has this operation. */
static inline struct control take_control(const struct buf *out, size_t *taken,
                                          enum control_op op)
{
    struct control control;
    struct bytes frame;
    const char *cause;
    size_t used;

    assert_ok(frame_next(bytes_of(out->data + *taken, out->size - *taken),
                         FRAME_SIZE_MAX, &frame, &used));
    *taken += used;
    assert_ok(control_decode(frame, DIST_FLAGS_OFFERED, &control, &cause));
    assert_int_equal(control.op, op);
    return control;
}

/* The next frame that went out is this one; `fields` as above, in the order
 * from, to, reference, reason. */
static inline void take_from(const struct buf *out, size_t *taken,
                             enum control_op op, const char *fields)
{
    struct control control = take_control(out, taken, op);
    struct buf expected;
    struct buf actual;

    buf_init(&expected, 10000);
    buf_init(&actual, 10000);
    for (const char *field = fields; *field != '\0'; field++) {
        put_field(&expected, *field);
    }
    buf_put_bytes(&actual, control.id);
    buf_put_bytes(&actual, control.from);
    buf_put_bytes(&actual, control.to);
    buf_put_bytes(&actual, control.reference);
    buf_put_bytes(&actual, control.reason);
    assert_bytes(buf_bytes(&actual), expected.data, expected.size);
    buf_close(&expected);
    buf_close(&actual);
}

static inline void take(struct world *world, enum control_op op,
                        const char *fields)
{
    take_from(&world->first.out, &world->taken, op, fields);
}

static inline void take_other(struct world *world, enum control_op op,
                              const char *fields)
{
    take_from(&world->other_out, &world->other_taken, op, fields);
}

/* Of a frame only the operation and the reason. */
static inline void take_reason(const struct buf *out, size_t *taken,
                               enum control_op op, const char *name)
{
    struct control control = take_control(out, taken, op);
    struct bytes reason;
    struct etf_reader reader;

    reader = etf_reader_of(control.reason);
    assert_ok(etf_read_atom(&reader, &reason));
    assert_bytes(reason, name, strlen(name));
}

static inline void assert_silence(struct world *world)
{
    assert_int_equal(world->taken, world->first.out.size);
    assert_int_equal(world->other_taken, world->other_out.size);
}

static inline void assert_event(struct world *world, enum inbox_event_type type)
{
    assert_int_equal(world->first.event.type, type);
}

static inline void assert_reason(struct world *world, const char *name)
{
    struct etf_reader reader = etf_reader_of(world->first.event.reason);

    assert_true(etf_take_atom(&reader, name));
}

/* --- The world ------------------------------------------------------------ */

static inline void world_open(struct world *world)
{
    *world = (struct world){0};
    fixture_open(&world->first);
    world->first.peer.flags = DIST_FLAGS_OFFERED;
    buf_init(&world->other_out, 100000);
    world->other = (struct inbox_peer){
        .name = bytes_of_string("other@127.0.0.1"),
        /* An older node, so that both forms of each signal are seen. */
        .flags = RECORDED_FLAGS,
        .out = other_out,
        .arg = &world->other_out};
}

static inline void world_close(struct world *world)
{
    struct inbox_event event;

    while (inbox_next_lost(&world->first.inbox, &world->other, &event)) {
    }
    while (inbox_next_lost(&world->first.inbox, &world->first.peer, &event)) {
    }
    call_free(&world->first.inbox, world->call);
    buf_close(&world->other_out);
    fixture_close(&world->first);
}

/* The first peer spawns a call, which is not answered yet. */
static inline void spawn(struct world *world, bool is_linked, bool is_monitored)
{
    struct fixture *fixture = &world->first;
    struct buf *frame = &fixture->frame;

    begin_frame(frame, 29, 6);
    put_reference(frame);
    put_peer_pid(frame);
    put_peer_pid(frame);
    etf_put_tuple(frame, 3);
    etf_put_atom(frame, "m");
    etf_put_atom(frame, "f");
    etf_put_u64(frame, 0);
    if (is_linked) {
        etf_put_list(frame, 1);
        etf_put_atom(frame, "link");
    }
    if (is_monitored) {
        etf_put_list(frame, 1);
        etf_put_atom(frame, "monitor");
    }
    etf_put_nil(frame);
    buf_put_u8(frame, 131);
    etf_put_nil(frame);
    assert_ok(fixture_receive(fixture));
    assert_int_equal(fixture->event.type, INBOX_CALL);
    assert_int_equal(fixture->event.call.kind, CALL_SPAWN_PLAIN);
    assert_int_equal(fixture->event.call.pid_id, SPAWNED);
    world->call =
        call_copy(&fixture->inbox, &fixture->peer, &fixture->event.call);
    assert_non_null(world->call);
    world->call->owner = &world->owner;
    world->taken = fixture->out.size;
}

static inline void answer(struct world *world)
{
    struct call_result result = {.type = CALL_VALUE,
                                 .value = bytes_of("a\1", 2)};

    call_reply(&world->first.inbox, &world->first.peer, world->call, &result,
               &world->first.out);
}

static inline void assert_cancelled(struct world *world)
{
    assert_event(world, INBOX_CANCEL);
    assert_ptr_equal(world->first.event.owner, &world->owner);
    /* It is over: a late answer is not sent. */
    answer(world);
}

#endif
