/* SPDX-License-Identifier: Apache-2.0
 * Two nodes and their connections, with our handshake on both sides. A side is
 * ours, and does what io/ does, or a virtual machine, and does what net_kernel
 * and dist_util do. */
#ifndef QUORATE_TEST_UNIT_DIST_CROSSING_WORLD_H
#define QUORATE_TEST_UNIT_DIST_CROSSING_WORLD_H

#include "base/bytes.h"
#include "dist/crossing.h"
#include "dist/flags.h"
#include "lib/test.h"

#include <string.h>

enum {
    WIRES_MAX = 6,
    PIPE_SIZE = 160,
    NO_WIRE = -1,
};

enum rule { RULE_OURS, RULE_OTP };

/* What is under way to one end of a connection. */
struct pipe {
    uint8_t data[PIPE_SIZE];
    size_t size;
    bool is_closed; /* by the writer */
};

struct wire {
    bool is_made;
    int from; /* the side that dialled */
    struct handshake handshakes[2];
    struct pipe pipes[2]; /* by the side that reads */
    bool is_open[2];      /* that side has it open */
    bool is_deaf[2];      /* it was told nok and looks no more */
    bool is_done[2];      /* its handshake is */
    bool is_known[2];     /* and so net_kernel was told */
};

enum dial_step { DIAL_NONE, DIAL_LOOKUP, DIAL_CONNECTING, DIAL_SHAKING };

enum conn { CONN_NONE, CONN_PENDING, CONN_UP, CONN_UP_PENDING };

struct side {
    enum rule rule;
    int wants;    /* it will dial so often, if there is no link then */
    int link;     /* a wire: ours, or of UP and UP_PENDING */
    int failures; /* dials that were given up */
    /* Ours. */
    enum dial_step dial;
    int dial_wire; /* DIAL_SHAKING */
    bool is_held;
    bool was_held;
    bool has_refused;
    bool was_renewed;
    /* Of a virtual machine. */
    enum conn conn;
    int owner;         /* PENDING */
    int pending_owner; /* UP_PENDING */
};

struct world {
    struct side sides[2];
    struct wire wires[WIRES_MAX];
    int faults;    /* connections that may still break */
    int strangers; /* that may still come by the name of side 1 */
};

/* Who is being asked: the callbacks of a handshake know the rest. */
static struct world *asked;
static int asked_side;
static int asked_wire;
static bool is_silent_refusal;

static const char *names[2];
/* --- What the handshake needs --------------------------------------------- */

static inline void digest(struct bytes data,
                          uint8_t ret_digest[HANDSHAKE_DIGEST_SIZE])
{
    memset(ret_digest, 0, HANDSHAKE_DIGEST_SIZE);
    for (size_t i = 0; i < data.size; i++) {
        ret_digest[i % HANDSHAKE_DIGEST_SIZE] ^= data.data[i];
    }
}

static inline struct bytes give_cookie(void *arg, struct bytes name)
{
    (void)arg;
    (void)name;
    return bytes_of_string("secret");
}

static inline void close_end(struct world *world, int side, int wire)
{
    world->wires[wire].is_open[side] = false;
    world->wires[wire].pipes[side].size = 0;
    world->wires[wire].pipes[1 - side].is_closed = true;
}

static inline struct crossing crossing_of(const struct world *world, int side)
{
    const struct side *own = &world->sides[side];
    struct crossing crossing = {.own = bytes_of_string(names[side]),
                                .peer = bytes_of_string(names[1 - side]),
                                .is_linked = own->link != NO_WIRE,
                                .is_firm = own->was_held && !own->is_held};

    if (own->dial == DIAL_SHAKING) {
        crossing.dial =
            crossing_dial_of(&world->wires[own->dial_wire].handshakes[side]);
    } else if (own->dial != DIAL_NONE) {
        crossing.dial = CROSSING_UNSAID;
    }
    return crossing;
}

static inline void let_go_of_dial(struct world *world, int side)
{
    struct side *own = &world->sides[side];

    if (own->dial == DIAL_SHAKING) {
        close_end(world, side, own->dial_wire);
    }
    own->dial_wire = NO_WIRE;
    own->dial = DIAL_LOOKUP;
}

static inline void hold(struct world *world, int side)
{
    let_go_of_dial(world, side);
    world->sides[side].is_held = true;
    world->sides[side].was_held = true;
}

static inline enum handshake_verdict our_verdict(struct world *world, int side)
{
    struct crossing crossing = crossing_of(world, side);
    enum handshake_verdict verdict = crossing_verdict(&crossing);

    if (verdict == HANDSHAKE_NOK) {
        world->sides[side].has_refused = true;
    } else if (verdict == HANDSHAKE_SIMULTANEOUS && crossing_holds(&crossing)) {
        hold(world, side);
    }
    return verdict;
}

/* net_kernel: accept_pending. */
static inline enum handshake_verdict otp_verdict(struct world *world, int side,
                                                 int wire)
{
    struct side *own = &world->sides[side];

    switch (own->conn) {
    case CONN_NONE:
        own->conn = CONN_PENDING;
        own->owner = wire;
        return HANDSHAKE_ACCEPT;
    case CONN_PENDING:
        if (strcmp(names[side], names[1 - side]) > 0) {
            return HANDSHAKE_NOK;
        }
        close_end(world, side, own->owner); /* remarked */
        if (world->wires[own->owner].is_done[side]) {
            /* Its controller takes the entry with it, and the new owner will
             * not find itself in the table. */
            own->conn = CONN_NONE;
            own->owner = NO_WIRE;
        } else {
            own->owner = wire;
        }
        return HANDSHAKE_SIMULTANEOUS;
    case CONN_UP:
        own->conn = CONN_UP_PENDING;
        own->pending_owner = wire;
        return HANDSHAKE_ALIVE;
    case CONN_UP_PENDING:
        is_silent_refusal = true;
        return HANDSHAKE_NOT_ALLOWED;
    }
    return HANDSHAKE_NOT_ALLOWED;
}

static inline enum handshake_verdict give_verdict(void *arg, struct bytes name)
{
    (void)arg;
    assert_true(bytes_is(name, names[1 - asked_side]));
    return asked->sides[asked_side].rule == RULE_OURS
               ? our_verdict(asked, asked_side)
               : otp_verdict(asked, asked_side, asked_wire);
}

/* net_kernel: is_pending. */
static inline bool is_linked(void *arg)
{
    const struct side *own = &asked->sides[asked_side];

    (void)arg;
    return own->rule == RULE_OURS
               ? own->link != NO_WIRE
               : own->conn != CONN_PENDING || own->owner != asked_wire;
}

/* --- Connections ---------------------------------------------------------- */

static inline void put_in_pipe(struct pipe *pipe, struct bytes bytes)
{
    assert_true(pipe->size + bytes.size <= PIPE_SIZE);
    memcpy(pipe->data + pipe->size, bytes.data, bytes.size);
    pipe->size += bytes.size;
}

static inline void send_out(struct world *world, int side, int wire,
                            struct buf *out)
{
    struct wire *on = &world->wires[wire];

    if (on->is_open[1 - side] && out->size > 0) {
        put_in_pipe(&on->pipes[1 - side], buf_bytes(out));
    }
    buf_close(out);
}

/* Connects and says the name. */
static inline int make_wire(struct world *world, int from)
{
    int index = 0;
    struct wire *wire;
    struct buf out;

    while (world->wires[index].is_made) {
        index++;
        assert_true(index < WIRES_MAX);
    }
    wire = &world->wires[index];
    wire->is_made = true;
    wire->from = from;
    buf_init(&out, PIPE_SIZE);
    for (int side = 0; side < 2; side++) {
        const struct handshake_config config = {
            .is_initiator = side == from,
            .name = bytes_of_string(names[side]),
            .peer_name = bytes_of_string(names[1 - side]),
            .flags = DIST_FLAGS_OFFERED,
            .creation = 5,
            .challenge = 7,
            .digest = digest,
            .cookie = give_cookie,
            .verdict = give_verdict,
            .is_linked = is_linked};

        wire->is_open[side] = true;
        assert_ok(handshake_init(&wire->handshakes[side], &config, &out));
    }
    send_out(world, from, index, &out);
    return index;
}

/* --- Our side: what io/ does ------------------------------------------------
 */

static inline bool is_unproven(const struct wire *wire, int side)
{
    return wire->is_made && wire->from != side && wire->is_open[side] &&
           crossing_is_unproven(&wire->handshakes[side],
                                bytes_of_string(names[1 - side]));
}

static inline bool has_unproven(const struct world *world, int side)
{
    for (int i = 0; i < WIRES_MAX; i++) {
        if (is_unproven(&world->wires[i], side)) {
            return true;
        }
    }
    return false;
}

/* The peer goes along with our attempt: who still says that it is it is not, or
 * has been given up by it. */
static inline void our_dial_is_answered(struct world *world, int side)
{
    for (int i = 0; i < WIRES_MAX; i++) {
        if (is_unproven(&world->wires[i], side)) {
            close_end(world, side, i);
        }
    }
}

static inline void our_link_up(struct world *world, int side, int wire)
{
    struct side *own = &world->sides[side];
    struct crossing crossing;

    if (own->dial_wire == wire) {
        own->dial = DIAL_NONE;
        own->dial_wire = NO_WIRE;
    }
    if (own->link != NO_WIRE) {
        close_end(world, side, own->link);
        own->link = NO_WIRE;
    }
    crossing = crossing_of(world, side);
    if (crossing_is_over(&crossing)) {
        let_go_of_dial(world, side);
        own->dial = DIAL_NONE;
        own->is_held = false;
    }
    own->link = wire;
}

static inline void our_end(struct world *world, int side, int wire)
{
    struct side *own = &world->sides[side];
    bool has_refused;

    close_end(world, side, wire);
    if (own->link == wire) {
        own->link = NO_WIRE;
    } else if (own->dial == DIAL_SHAKING && own->dial_wire == wire) {
        own->dial_wire = NO_WIRE;
        own->dial = DIAL_LOOKUP;
        has_refused = own->has_refused && !own->was_renewed;
        own->was_renewed |= has_refused;
        if (own->link == NO_WIRE && has_unproven(world, side) &&
            (!own->was_held || has_refused)) {
            hold(world, side);
        } else if (own->link != NO_WIRE || !has_refused) {
            own->dial = DIAL_NONE;
            own->failures += own->link == NO_WIRE;
        }
    }
}

/* --- The side of a virtual machine ------------------------------------------
 */

static inline void otp_done(struct world *world, int side, int wire)
{
    struct side *own = &world->sides[side];

    if (own->conn == CONN_UP_PENDING && own->pending_owner == wire) {
        close_end(world, side, own->link); /* wait_pending */
        own->link = NO_WIRE;
        own->pending_owner = NO_WIRE;
        own->conn = CONN_PENDING;
        own->owner = wire;
    }
}

static inline void otp_end(struct world *world, int side, int wire)
{
    struct side *own = &world->sides[side];

    close_end(world, side, wire);
    if (own->conn == CONN_PENDING && own->owner == wire) {
        own->conn = CONN_NONE;
        own->owner = NO_WIRE;
        own->failures++;
    } else if (own->conn == CONN_UP && own->link == wire) {
        own->conn = CONN_NONE;
        own->link = NO_WIRE;
    } else if (own->conn == CONN_UP_PENDING && own->link == wire) {
        own->conn = CONN_PENDING;
        own->link = NO_WIRE;
        own->owner = own->pending_owner;
        own->pending_owner = NO_WIRE;
    } else if (own->conn == CONN_UP_PENDING && own->pending_owner == wire) {
        own->conn = CONN_UP;
        own->pending_owner = NO_WIRE;
    }
}

/* net_kernel: nodeup. */
static inline void otp_nodeup(struct world *world, int side, int wire)
{
    struct side *own = &world->sides[side];

    world->wires[wire].is_known[side] = true;
    if (own->conn == CONN_PENDING && own->owner == wire) {
        own->conn = CONN_UP;
        own->link = wire;
        own->owner = NO_WIRE;
    } else {
        otp_end(world, side, wire); /* bad_request */
    }
}

#endif
