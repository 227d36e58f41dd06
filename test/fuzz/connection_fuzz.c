/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: two whole connections to one member, from the first byte of the
 * handshake to the loss of the links, as a shell without sockets: handshake_*,
 * frame_next, control_scan_*, inbox_*, call_*, outbox_*.
 *
 * Byte 0 has the size of the pieces in which bytes arrive. Then come steps: a
 * byte that says which connection and what the member does before, a 16-bit
 * length, and that many bytes of a frame. What is looked at as it arrives must
 * be judged as what is looked at whole; all that goes out is frames that we
 * would take; a lost link leaves nothing behind. */
#include "base/ensure.h"
#include "base/err.h"
#include "dist/control.h"
#include "dist/control_scan.h"
#include "dist/flags.h"
#include "dist/frame.h"
#include "dist/handshake.h"
#include "dist/inbox.h"
#include "frames_out.h"

#include <stddef.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    CONNECTIONS = 2,
    INPUT_MAX = 64 * 1024,
    OUT_MAX = 4 * 1024 * 1024,
    HELD_MAX = 8,  /* calls not answered yet */
    SCAN_WORK = 7, /* elements looked at in one step */
    LOST_MAX = 2 * HELD_MAX + 4096,
    NAME_AT = 6,    /* letters that differ in the peers' names */
    STEP_REPLY = 2, /* bits of a step; bit 0 is the connection */
    STEP_OWN = 4,
    STEP_LOSE = 8,
    STEP_RAW = 16,
};

static const char *const names[CONNECTIONS] = {"tester@127.0.0.1",
                                               "second@127.0.0.1"};

struct connection {
    struct inbox_peer peer;
    struct buf out;
    struct buf input;
    struct control_scan scan;
    bool is_scanning;
    bool is_up;
};

struct held {
    struct call *call;
    struct connection *connection;
};

struct member {
    struct inbox inbox;
    struct connection connections[CONNECTIONS];
    struct held held[HELD_MAX];
    size_t held_count;
    size_t piece;
};

/* --- Links come up ---------------------------------------------------------
 */

static void digest(struct bytes bytes,
                   uint8_t ret_digest[HANDSHAKE_DIGEST_SIZE])
{
    memset(ret_digest, bytes.size > 0 ? bytes.data[0] : 0,
           HANDSHAKE_DIGEST_SIZE);
}

static struct bytes cookie(void *arg, struct bytes name)
{
    (void)arg;
    ensure(name.size > 0);
    return bytes_of_string("cookie");
}

static enum handshake_verdict verdict(void *arg, struct bytes name)
{
    (void)arg;
    ensure(name.size > 0);
    return HANDSHAKE_ACCEPT;
}

static void pass(struct buf *from, struct handshake *to, struct buf *out)
{
    size_t used = 0;

    ensure(handshake_input(to, buf_bytes(from), out, &used) == 0);
    ensure(used == from->size);
    buf_clear(from);
}

static void connection_open(struct connection *connection, int which)
{
    struct handshake_config config = {.cookie = cookie,
                                      .flags = DIST_FLAGS_OFFERED,
                                      .creation = 5,
                                      .digest = digest,
                                      .verdict = verdict,
                                      .is_initiator = true,
                                      .name = bytes_of_string(names[which]),
                                      .peer_name =
                                          bytes_of_string("quorate@127.0.0.1")};
    struct handshake peer;
    struct handshake member;
    struct buf to_peer;
    struct buf to_member;

    buf_init(&to_peer, HANDSHAKE_PACKET_MAX);
    buf_init(&to_member, HANDSHAKE_PACKET_MAX);
    ensure(handshake_init(&peer, &config, &to_member) == 0);
    config.is_initiator = false;
    config.name = config.peer_name;
    ensure(handshake_init(&member, &config, &to_peer) == 0);
    while (member.state != HANDSHAKE_DONE || peer.state != HANDSHAKE_DONE) {
        pass(&to_member, &member, &to_peer);
        pass(&to_peer, &peer, &to_member);
    }
    ensure(strcmp(member.peer_name, names[which]) == 0);
    buf_close(&to_peer);
    buf_close(&to_member);
    connection->peer =
        (struct inbox_peer){.name = bytes_of_string(names[which]),
                            .flags = DIST_FLAGS_OFFERED & member.peer_flags};
    connection->is_up = true;
    connection->is_scanning = false;
}

/* Where a frame goes that the other connection gave rise to. */
static struct buf *connection_out(void *arg)
{
    struct connection *connection = (struct connection *)arg;

    return connection->is_up ? &connection->out : NULL;
}

/* --- What the member does ---------------------------------------------------
 */

static void drop_held(struct member *member, size_t at)
{
    call_free(&member->inbox, member->held[at].call);
    member->held[at] = member->held[--member->held_count];
}

static void reply_held(struct member *member, size_t at)
{
    static const enum call_result_type types[] = {CALL_VALUE, CALL_ERROR,
                                                  CALL_THROW, CALL_EXIT};
    struct held *held = &member->held[at];
    struct call_result result = {.type = types[at % 4],
                                 .value = bytes_of("w\2ok", 4)};

    call_reply(&member->inbox, &held->connection->peer, held->call, &result,
               &held->connection->out);
    drop_held(member, at);
}

static void hold_or_reply(struct member *member, struct connection *connection,
                          const struct call *call)
{
    struct call_result result = {.type = CALL_UNDEF};
    struct call *copy;

    if (member->held_count == HELD_MAX) {
        reply_held(member, 0);
    }
    if (call->arity % 4 == 3) {
        call_reply(&member->inbox, &connection->peer, call, &result,
                   &connection->out);
        return;
    }
    copy = call_copy(&member->inbox, &connection->peer, call);
    ensure(copy != NULL);
    copy->owner = copy;
    member->held[member->held_count++] =
        (struct held){.call = copy, .connection = connection};
}

static void cancel(struct member *member, const void *owner)
{
    for (size_t i = 0; i < member->held_count; i++) {
        if (member->held[i].call->owner == owner) {
            drop_held(member, i);
            return;
        }
    }
    unreachable();
}

/* Our own monitors, links and calls at whoever sent something. */
static void watch(struct member *member, struct connection *connection,
                  struct bytes pid)
{
    struct outbox_call call = {.module = bytes_of("m", 1),
                               .function = bytes_of("f", 1),
                               .args = bytes_of("j", 1)};
    struct inbox *inbox = &member->inbox;
    struct buf reference;

    buf_init(&reference, 2 * INBOX_REFERENCE_SIZE_MAX);
    ensure(outbox_monitor(inbox, &connection->peer, pid, &connection->out,
                          &reference) == 0);
    if (pid.size % 2 == 0) {
        outbox_demonitor(inbox, &connection->peer, buf_bytes(&reference),
                         &connection->out);
    }
    ensure(outbox_link(inbox, &connection->peer, pid, &connection->out) == 0);
    buf_clear(&reference);
    ensure(outbox_spawn(inbox, &connection->peer, &call, &connection->out,
                        &reference) == 0);
    buf_close(&reference);
}

static void handle(struct member *member, struct connection *connection,
                   const struct inbox_event *event, uint8_t step)
{
    switch (event->type) {
    case INBOX_CALL:
        hold_or_reply(member, connection, &event->call);
        break;
    case INBOX_CANCEL:
        cancel(member, event->owner);
        break;
    case INBOX_MESSAGE:
        ensure(event->message.size > 0);
        if ((step & STEP_OWN) != 0 && event->from.size > 0) {
            watch(member, connection, event->from);
        }
        break;
    case INBOX_DOWN:
        ensure(event->reference.size > 0 && event->reason.size > 0);
        break;
    case INBOX_EXIT:
        ensure(event->from.size > 0 && event->reason.size > 0);
        break;
    case INBOX_RESULT:
        ensure(event->reference.size > 0 && event->message.size > 0);
        break;
    case INBOX_NONE:
        break;
    }
}

static void lose(struct member *member, struct connection *connection)
{
    struct inbox_event event = {.type = INBOX_NONE};
    size_t count = 0;

    connection->is_up = false;
    while (inbox_next_lost(&member->inbox, &connection->peer, &event)) {
        ensure(count++ < LOST_MAX);
        handle(member, connection, &event, 0);
    }
    ensure(connection->peer.relations == NULL);
    ensure(connection->peer.processes == NULL);
    ensure(connection->peer.relation_count == 0);
    /* Calls that are no processes know of no link; the shell drops them. */
    for (size_t i = member->held_count; i > 0; i--) {
        if (member->held[i - 1].connection == connection) {
            drop_held(member, i - 1);
        }
    }
    buf_clear(&connection->out);
    buf_clear(&connection->input);
    connection->is_scanning = false;
}

/* --- What comes in ----------------------------------------------------------
 */

/* The frame at the start of the input as far as it has arrived: 0 or the error
 * at which the link is to be cut. */
static int scan_arrived(struct connection *connection, struct bytes arrived,
                        size_t frame_size)
{
    const char *cause = NULL;
    int rv;

    if (!connection->is_scanning) {
        control_scan_init(&connection->scan);
        connection->is_scanning = true;
    }
    for (size_t i = 0; i <= arrived.size / SCAN_WORK; i++) {
        if (connection->scan.stage == CONTROL_SCAN_DONE) {
            break;
        }
        rv = control_scan_step(&connection->scan, arrived, frame_size,
                               connection->peer.flags, SCAN_WORK, &cause);
        if (rv != 0) {
            ensure(cause != NULL);
            return rv;
        }
    }
    return 0;
}

/* Both ways to look at it say the same. */
static bool scan_whole(struct connection *connection, struct bytes frame)
{
    struct control whole;
    struct control scanned;
    const char *cause = NULL;
    int expected =
        control_decode(frame, connection->peer.flags, &whole, &cause);
    int rv = 0;

    while (rv == 0 && connection->scan.stage != CONTROL_SCAN_DONE) {
        rv = scan_arrived(connection, frame, frame.size);
    }
    if (rv == 0) {
        rv = control_decode_scanned(frame, &connection->scan, &scanned, &cause);
    }
    ensure((rv == 0) == (expected == 0));
    if (rv == 0) {
        ensure(whole.op == scanned.op);
        ensure(whole.payload.data == scanned.payload.data);
        ensure(whole.payload.size == scanned.payload.size);
        ensure(whole.from.data == scanned.from.data);
    }
    return rv == 0;
}

static bool receive(struct member *member, struct connection *connection,
                    struct bytes frame, uint8_t step)
{
    struct inbox_event event = {.type = INBOX_NONE};
    const char *cause = NULL;
    size_t sent = connection->out.size;
    bool is_good = scan_whole(connection, frame);
    int rv;

    connection->peer.scan = is_good ? &connection->scan : NULL;
    rv = inbox_receive(&member->inbox, &connection->peer, frame,
                       &connection->out, &event, &cause);
    connection->peer.scan = NULL;
    connection->is_scanning = false;
    ensure(is_good || rv != 0);
    if (rv != 0) {
        ensure(rv == ERR_MALFORMED || rv == ERR_LIMIT || rv == ERR_UNSUPPORTED);
        ensure(cause != NULL);
        ensure(connection->out.size == sent);
        return false;
    }
    handle(member, connection, &event, step);
    return true;
}

/* Takes what has arrived; false: the link is to be cut. */
static bool take(struct member *member, struct connection *connection,
                 uint8_t step)
{
    for (;;) {
        struct bytes input = buf_bytes(&connection->input);
        struct bytes frame;
        size_t used = 0;
        int rv = frame_next(input, INPUT_MAX, &frame, &used);

        if (rv == ERR_TRUNCATED) {
            return used == 0 || input.size < FRAME_HEADER_SIZE ||
                   scan_arrived(connection,
                                bytes_of(input.data + FRAME_HEADER_SIZE,
                                         input.size - FRAME_HEADER_SIZE),
                                used - FRAME_HEADER_SIZE) == 0;
        }
        if (rv != 0) {
            ensure(rv == ERR_LIMIT);
            return false;
        }
        if (frame.size > 0 &&
            ((!connection->is_scanning &&
              scan_arrived(connection, bytes_of(frame.data, 0), frame.size) !=
                  0) ||
             !receive(member, connection, frame, step))) {
            return false;
        }
        buf_consume(&connection->input, used);
    }
}

/* A peer can only speak for itself; seeds are written for the first one. */
static void rename_peer(uint8_t *data, size_t size, int which)
{
    uint8_t *end = data + size;

    if (which == 0) {
        return;
    }
    while (size > 0 && (data = memmem(data, size, names[0], NAME_AT)) != NULL) {
        memcpy(data, names[which], NAME_AT);
        size = (size_t)(end - data);
    }
}

static void step(struct member *member, uint8_t step, struct bytes bytes)
{
    int which = step % CONNECTIONS;
    struct connection *connection = &member->connections[which];
    struct buf wire;

    if (!connection->is_up) {
        connection_open(connection, which);
        connection->peer.out = connection_out;
        connection->peer.arg = connection;
    }
    if ((step & STEP_REPLY) != 0 && member->held_count > 0) {
        reply_held(member, 0);
    }
    buf_init(&wire, 2 * INPUT_MAX);
    if ((step & STEP_RAW) == 0) {
        buf_put_u32(&wire, (uint32_t)bytes.size);
    }
    buf_put_bytes(&wire, bytes);
    rename_peer(wire.data, wire.size, which);
    for (size_t i = 0; i < wire.size && connection->is_up; i += member->piece) {
        size_t left = wire.size - i;

        buf_put(&connection->input, wire.data + i,
                left < member->piece ? left : member->piece);
        if (buf_error(&connection->input) != 0 ||
            !take(member, connection, step)) {
            check_out(&connection->out, OUT_MAX);
            lose(member, connection);
        }
    }
    buf_close(&wire);
    for (int i = 0; i < CONNECTIONS; i++) {
        check_out(&member->connections[i].out, OUT_MAX);
    }
    if ((step & STEP_LOSE) != 0 && connection->is_up) {
        lose(member, connection);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct member member;
    struct cursor cursor;
    uint8_t what;
    uint16_t length;
    struct bytes bytes;

    if (size < 1 || size > INPUT_MAX) {
        return 0;
    }
    member = (struct member){.piece = data[0] == 0 ? INPUT_MAX : data[0]};
    inbox_init(&member.inbox, bytes_of_string("quorate@127.0.0.1"), 7);
    for (int i = 0; i < CONNECTIONS; i++) {
        buf_init(&member.connections[i].out, OUT_MAX);
        buf_init(&member.connections[i].input, 2 * INPUT_MAX);
    }
    cursor = cursor_of(bytes_of(data + 1, size - 1));
    while (cursor_u8(&cursor, &what) == 0 &&
           cursor_u16(&cursor, &length) == 0 &&
           cursor_take(&cursor,
                       length < cursor_left(&cursor) ? length
                                                     : cursor_left(&cursor),
                       &bytes) == 0) {
        step(&member, what, bytes);
    }
    for (int i = 0; i < CONNECTIONS; i++) {
        if (member.connections[i].is_up) {
            lose(&member, &member.connections[i]);
        }
        buf_close(&member.connections[i].out);
        buf_close(&member.connections[i].input);
    }
    ensure(member.held_count == 0);
    inbox_close(&member.inbox);
    return 0;
}
