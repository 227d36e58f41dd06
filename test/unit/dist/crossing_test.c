/* SPDX-License-Identifier: Apache-2.0
 * Two nodes that dial each other: every order in which the steps of both can
 * happen, with our handshake on both sides, our rule on one and that of a
 * virtual machine (net_kernel, dist_util) or ours on the other. Whatever the
 * order, both end with the same link. */
#include "crossing_world.h"

#include <stdlib.h>

enum {
    SEEN_BITS = 22, /* of the table of states */
    TRAIL_MAX = 200,
    LENGTH_SIZE = 2, /* of a packet */
};

/* What has happened, told when it ends badly. */
static struct {
    int side;
    const char *what;
    int wire;
} trail[TRAIL_MAX];
static int trail_count;

static uint64_t *seen;
static size_t state_count;
static size_t end_count;

/* --- Steps ------------------------------------------------------------------
 */

static void end_of(struct world *world, int side, int wire)
{
    if (world->sides[side].rule == RULE_OURS) {
        our_end(world, side, wire);
    } else {
        otp_end(world, side, wire);
    }
}

/* One packet of what is under way. */
static void deliver(struct world *world, int side, int wire)
{
    struct wire *on = &world->wires[wire];
    struct pipe *pipe = &on->pipes[side];
    size_t size = LENGTH_SIZE + (size_t)(pipe->data[0] << 8 | pipe->data[1]);
    bool is_nok = size == 6 && memcmp(pipe->data, "\0\4snok", size) == 0;
    struct buf out;
    size_t used;
    int rv;

    asked = world;
    asked_side = side;
    asked_wire = wire;
    is_silent_refusal = false;
    buf_init(&out, PIPE_SIZE);
    rv = handshake_input(&on->handshakes[side], bytes_of(pipe->data, size),
                         &out, &used);
    assert_int_equal(used, size);
    pipe->size -= size;
    memmove(pipe->data, pipe->data + size, pipe->size);
    memset(pipe->data + pipe->size, 0, size);
    if (is_silent_refusal) {
        buf_clear(&out);
    }
    send_out(world, side, wire, &out);
    if (rv != 0 && is_nok && world->sides[side].rule == RULE_OTP) {
        on->is_deaf[side] = true;
    } else if (rv != 0) {
        end_of(world, side, wire);
    } else if (on->handshakes[side].state == HANDSHAKE_RECV_CHALLENGE &&
               world->sides[side].rule == RULE_OURS) {
        our_dial_is_answered(world, side);
    } else if (on->handshakes[side].state == HANDSHAKE_DONE) {
        on->is_done[side] = true;
        if (world->sides[side].rule == RULE_OURS) {
            our_link_up(world, side, wire);
        } else {
            otp_done(world, side, wire);
        }
    }
}

static void start_dial(struct world *world, int side)
{
    struct side *own = &world->sides[side];

    own->wants--;
    if (own->rule == RULE_OTP && own->conn == CONN_NONE) {
        own->owner = make_wire(world, side);
        own->conn = CONN_PENDING;
    } else if (own->rule == RULE_OURS && own->link == NO_WIRE &&
               own->dial == DIAL_NONE) {
        own->dial = DIAL_LOOKUP;
        own->was_held = false;
        own->has_refused = false;
        own->was_renewed = false;
    }
}

/* The next step of our own attempt, if it may take one. */
static bool move_dial(struct world *world, int side)
{
    struct side *own = &world->sides[side];

    if (own->is_held) {
        if (has_unproven(world, side)) {
            return false;
        }
        own->is_held = false;
        return true;
    }
    switch (own->dial) {
    case DIAL_NONE:
    case DIAL_SHAKING:
        return false;
    case DIAL_LOOKUP:
        if (!own->was_held && has_unproven(world, side)) {
            hold(world, side);
        } else {
            own->dial = DIAL_CONNECTING;
        }
        return true;
    case DIAL_CONNECTING:
        own->dial_wire = make_wire(world, side);
        own->dial = DIAL_SHAKING;
        return true;
    }
    return false;
}

/* Somebody dials side 0 by the name of side 1, and never proves it. */
static void let_stranger_in(struct world *world)
{
    int wire = make_wire(world, 1);

    world->strangers--;
    world->wires[wire].is_open[1] = false;
}

enum step {
    STEP_DELIVER,
    STEP_EOF,
    STEP_NODEUP,
    STEP_LEAVE,
    STEP_FAULT,
    STEP_COUNT
};

static const char *const step_names[] = {
    "reads from", "sees the end of", "tells net_kernel of",
    "is left by the stranger of", "loses connection"};

static bool may_move(const struct world *world, int side, int wire,
                     enum step step)
{
    const struct wire *on = &world->wires[wire];
    const struct pipe *pipe = &on->pipes[side];

    if (!on->is_made || !on->is_open[side] || on->is_deaf[side]) {
        return false;
    }
    switch (step) {
    case STEP_DELIVER:
        return pipe->size > 0;
    case STEP_EOF:
        return pipe->size == 0 && pipe->is_closed;
    case STEP_NODEUP:
        return world->sides[side].rule == RULE_OTP && on->is_done[side] &&
               !on->is_known[side];
    case STEP_LEAVE:
        return side == 0 && !on->is_open[1] && !pipe->is_closed;
    case STEP_FAULT:
        /* Not in the instant before net_kernel is told, see otp_verdict():
         * then a virtual machine loses the next attempt too, whoever makes
         * it. */
        return side == 0 && world->faults > 0 && on->is_open[1] &&
               (world->sides[1].rule == RULE_OURS || !on->is_done[1] ||
                on->is_known[1]);
    case STEP_COUNT:
        break;
    }
    return false;
}

static void move_wire(struct world *world, int side, int wire, enum step step)
{
    struct wire *on = &world->wires[wire];

    switch (step) {
    case STEP_DELIVER:
        deliver(world, side, wire);
        break;
    case STEP_EOF:
        end_of(world, side, wire);
        break;
    case STEP_NODEUP:
        otp_nodeup(world, side, wire);
        break;
    case STEP_LEAVE:
        on->pipes[0].is_closed = true;
        break;
    case STEP_FAULT:
        /* The connection breaks; what was under way is lost. */
        world->faults--;
        for (int i = 0; i < 2; i++) {
            memset(&on->pipes[i], 0, sizeof(on->pipes[i]));
            on->pipes[i].is_closed = true;
        }
        break;
    case STEP_COUNT:
        break;
    }
}

_Static_assert(sizeof(struct world) % sizeof(uint64_t) == 0, "whole words");

/* --- All orders
 * --------------------------------------------------------------- */

static bool is_new(const struct world *world)
{
    const uint8_t *bytes = (const uint8_t *)world;
    uint64_t hash = 0xcbf29ce484222325U;
    uint64_t word;
    size_t at;

    for (size_t i = 0; i < sizeof(*world); i += sizeof(word)) {
        memcpy(&word, bytes + i, sizeof(word));
        hash = (hash ^ word) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 29;
    }
    hash = hash == 0 ? 1 : hash;
    at = hash >> (64 - SEEN_BITS);
    while (seen[at] != 0 && seen[at] != hash) {
        at = (at + 1) % ((size_t)1 << SEEN_BITS);
    }
    if (seen[at] == hash) {
        return false;
    }
    seen[at] = hash;
    state_count++;
    assert_true(state_count < (size_t)1 << (SEEN_BITS - 1));
    return true;
}

/* Both have the same link and nothing else; after a fault, perhaps none. */
static bool is_right(const struct world *world, bool had_faults)
{
    int link = world->sides[0].link;
    bool is_right =
        world->sides[1].link == link && (link != NO_WIRE || had_faults);

    for (int i = 0; i < 2; i++) {
        const struct side *side = &world->sides[i];

        is_right &= side->dial == DIAL_NONE;
        is_right &= side->rule == RULE_OURS ||
                    side->conn == (link == NO_WIRE ? CONN_NONE : CONN_UP);
    }
    for (int i = 0; i < WIRES_MAX; i++) {
        is_right &= world->wires[i].is_open[0] == (i == link);
        is_right &= world->wires[i].is_open[1] == (i == link);
    }
    return is_right;
}

/* Nothing is left to happen. */
static void check_end(const struct world *world, bool had_faults)
{
    end_count++;
    if (is_right(world, had_faults)) {
        return;
    }
    for (int i = 0; i < trail_count; i++) {
        print_message("%s %s %d\n", names[trail[i].side], trail[i].what,
                      trail[i].wire);
    }
    fail_msg("%s has link %d, %s has link %d", names[0], world->sides[0].link,
             names[1], world->sides[1].link);
}

static void explore(const struct world *world, bool had_faults);

/* What comes after a step. */
static void go_on(const struct world *next, bool had_faults, int side,
                  const char *what, int wire)
{
    assert_true(trail_count < TRAIL_MAX);
    trail[trail_count].side = side;
    trail[trail_count].what = what;
    trail[trail_count].wire = wire;
    trail_count++;
    explore(next, had_faults);
    trail_count--;
}

static void explore(const struct world *world, bool had_faults)
{
    bool is_over = true;

    if (!is_new(world)) {
        return;
    }
    for (int side = 0; side < 2; side++) {
        struct world next = *world;

        if (next.sides[side].wants > 0) {
            start_dial(&next, side);
            go_on(&next, had_faults, side, "wants a link", NO_WIRE);
            is_over = false;
        }
        next = *world;
        if (next.sides[side].rule == RULE_OURS && move_dial(&next, side)) {
            go_on(&next, had_faults, side, "goes on dialling",
                  next.sides[side].dial_wire);
            is_over = false;
        }
        next = *world;
        if (side == 0 && next.strangers > 0) {
            let_stranger_in(&next);
            go_on(&next, had_faults, side, "lets a stranger in", NO_WIRE);
        }
        for (int i = 0; i < WIRES_MAX * STEP_COUNT; i++) {
            int step = i % STEP_COUNT;

            if (may_move(world, side, i / STEP_COUNT, (enum step)step)) {
                next = *world;
                move_wire(&next, side, i / STEP_COUNT, (enum step)step);
                go_on(&next, had_faults, side, step_names[step],
                      i / STEP_COUNT);
                is_over = is_over && step == STEP_FAULT;
            }
        }
    }
    if (is_over) {
        check_end(world, had_faults);
    }
}

static struct world new_world(enum rule other, bool is_ours_greater, int wants)
{
    struct world world;

    names[0] = is_ours_greater ? "z@h" : "a@h";
    names[1] = "m@h";
    memset(&world, 0, sizeof(world)); /* gaps too: states are compared */
    for (int i = 0; i < 2; i++) {
        world.sides[i].rule = i == 0 ? RULE_OURS : other;
        world.sides[i].wants = wants;
        world.sides[i].link = NO_WIRE;
        world.sides[i].dial_wire = NO_WIRE;
        world.sides[i].owner = NO_WIRE;
        world.sides[i].pending_owner = NO_WIRE;
    }
    return world;
}

/* A link that was there before. */
static void make_link(struct world *world)
{
    int wire = make_wire(world, 0);

    for (int i = 0; i < 2; i++) {
        struct side *side = &world->sides[i];
        struct pipe *pipe = &world->wires[wire].pipes[i];

        memset(pipe, 0, sizeof(*pipe));
        world->wires[wire].handshakes[i].state = HANDSHAKE_DONE;
        world->wires[wire].is_done[i] = true;
        world->wires[wire].is_known[i] = true;
        side->link = wire;
        side->conn = side->rule == RULE_OTP ? CONN_UP : CONN_NONE;
    }
}

/* Both rules of the other side, both orders of the names. */
static void explore_all(int gone, int faults, int wants, int strangers)
{
    for (int i = 0; i < 4; i++) {
        struct world world =
            new_world(i / 2 == 0 ? RULE_OURS : RULE_OTP, i % 2 == 0, wants);

        seen = (uint64_t *)calloc((size_t)1 << SEEN_BITS, sizeof(*seen));
        assert_non_null(seen);
        state_count = 0;
        end_count = 0;
        world.faults = faults;
        world.strangers = strangers;
        if (gone != NO_WIRE) {
            make_link(&world);
            end_of(&world, gone, world.sides[gone].link);
        }
        explore(&world, faults > 0);
        assert_true(end_count > 0);
        free(seen);
    }
}

static void every_order_ends_with_one_link(void **state)
{
    (void)state;
    explore_all(NO_WIRE, 0, 1, 0);
    explore_all(NO_WIRE, 0, 2, 0);
}

/* One of them has lost the link; the other one does not know it yet. */
static void a_link_that_only_one_still_has_is_replaced(void **state)
{
    (void)state;
    explore_all(0, 0, 2, 0);
    explore_all(1, 0, 2, 0);
}

/* Then there may be no link; but both know it, and nobody waits. */
static void a_connection_that_breaks_leaves_nobody_waiting(void **state)
{
    (void)state;
    explore_all(NO_WIRE, 1, 2, 0);
}

/* Not even the one who takes a greater name costs us the link. */
static void a_stranger_by_that_name_costs_nothing(void **state)
{
    (void)state;
    explore_all(NO_WIRE, 0, 1, 1);
    explore_all(NO_WIRE, 0, 1, 2);
}

/* --- The question about a link
 * ------------------------------------------------ */

static bool give_link(void *arg)
{
    return *(bool *)arg;
}

/* A link of an earlier run is given up, one that we have too is kept. */
static void an_initiator_keeps_the_link_that_it_has(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        bool has_link = i == 1;
        const struct handshake_config config = {.is_initiator = true,
                                                .name = bytes_of_string("a@h"),
                                                .peer_name =
                                                    bytes_of_string("b@h"),
                                                .digest = digest,
                                                .cookie = give_cookie,
                                                .is_linked = give_link,
                                                .is_linked_arg = &has_link};
        struct handshake handshake;
        struct buf out;
        size_t used;

        buf_init(&out, PIPE_SIZE);
        assert_ok(handshake_init(&handshake, &config, &out));
        buf_clear(&out);
        assert_err(
            handshake_input(&handshake, bytes_of("\0\6salive", 8), &out, &used),
            has_link ? ERR_REFUSED : 0);
        assert_bytes(buf_bytes(&out), has_link ? "\0\6sfalse" : "\0\5strue",
                     has_link ? 8 : 7);
        assert_int_equal(handshake.state, has_link ? HANDSHAKE_FAILED
                                                   : HANDSHAKE_RECV_CHALLENGE);
        buf_close(&out);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_initiator_keeps_the_link_that_it_has),
        cmocka_unit_test(every_order_ends_with_one_link),
        cmocka_unit_test(a_link_that_only_one_still_has_is_replaced),
        cmocka_unit_test(a_connection_that_breaks_leaves_nobody_waiting),
        cmocka_unit_test(a_stranger_by_that_name_costs_nothing),
    };

    return cmocka_run_group_tests_name("dist/crossing", tests, NULL, NULL);
}
