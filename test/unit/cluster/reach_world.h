/* SPDX-License-Identifier: Apache-2.0
 * Members with detectors, in virtual time, on a network of TCP as far as it
 * matters here: what is lost is sent again after 200 ms, then after twice as
 * long each time, and what was sent behind it waits; what is not acknowledged
 * stays the first to be sent. Any direction can be cut, any member paused. Its
 * system takes in and acknowledges meanwhile. */
#ifndef QUORATE_TEST_UNIT_CLUSTER_REACH_WORLD_H
#define QUORATE_TEST_UNIT_CLUSTER_REACH_WORLD_H

#include "base/rng.h"
#include "cluster/reach.h"
#include "lib/test.h"

#include <stdlib.h>
#include <string.h>

enum {
    WORLD_MAX = 5,
    WORLD_STEP_MS = 10,
    WORLD_QUEUE = 128, /* messages of one direction */
    WORLD_RTO_MS = 200,
    WORLD_REDIAL_MS = 750,
    WORLD_START_MS = 5000,
};

struct world_message {
    uint64_t at_ms; /* arrives, once it is under way */
    size_t size;
    uint8_t bytes[REACH_PROBE_SIZE_MAX];
};

struct world_queue {
    struct world_message messages[WORLD_QUEUE];
    uint32_t first;
    uint32_t count;
};

struct world_way {
    bool is_cut;
    struct world_queue unsent; /* the first may have arrived already */
    bool has_first_arrived;    /* and is not acknowledged */
    uint64_t retry_ms;         /* 0: nothing waits */
    uint64_t rto_ms;
    struct world_queue arriving; /* in the receiver's system */
    uint64_t packets;            /* that came out of it */
    uint64_t received;           /* bytes that were new in them */
    uint64_t acked;              /* as its sender knows */
};

struct world {
    uint32_t count;
    uint64_t now_ms;
    uint32_t loss_percent;
    struct rng rng;
    struct reach *reach; /* of each */
    uint64_t paused_until_ms[WORLD_MAX];
    uint64_t ticked_ms[WORLD_MAX];
    struct world_way *ways; /* [from * WORLD_MAX + to] */
    bool is_linked[WORLD_MAX][WORLD_MAX];
    uint64_t redial_ms[WORLD_MAX][WORLD_MAX];
    void (*stepped)(struct world *world, uint32_t i); /* or NULL */
    void *arg;
};

static inline struct world_way *world_way(struct world *world, uint32_t from,
                                          uint32_t to)
{
    return &world->ways[from * WORLD_MAX + to];
}

static inline struct world_message *world_at(struct world_queue *queue,
                                             uint32_t i)
{
    return &queue->messages[(queue->first + i) % WORLD_QUEUE];
}

static inline void world_pop(struct world_queue *queue)
{
    queue->first = (queue->first + 1) % WORLD_QUEUE;
    queue->count--;
}

static inline void world_push(struct world_queue *queue,
                              const struct world_message *message)
{
    assert_in_range(queue->count, 0, WORLD_QUEUE - 1);
    *world_at(queue, queue->count++) = *message;
}

static inline struct reach_effects world_step(struct world *world, uint32_t i,
                                              struct reach_event *event)
{
    struct reach_effects effects;

    event->now_ms = world->now_ms;
    event->now_us = world->now_ms * 1000;
    assert_ok(reach_step(&world->reach[i], event, &effects));
    reach_check(&world->reach[i]);
    if (world->stepped != NULL) {
        world->stepped(world, i);
    }
    return effects;
}

/* The sender knows that what it sent first has arrived. */
static inline void world_ack(struct world *world, struct world_way *way)
{
    way->acked += world_at(&way->unsent, 0)->size;
    way->has_first_arrived = false;
    way->rto_ms = WORLD_RTO_MS / 2; /* what is next is sent at once */
    world_pop(&way->unsent);
    way->retry_ms = way->unsent.count > 0 ? world->now_ms : 0;
}

/* Whether a packet gets through. Each one acknowledges what has come. */
static inline bool world_passes(struct world *world, uint32_t from, uint32_t to)
{
    struct world_way *back = world_way(world, to, from);

    if (world_way(world, from, to)->is_cut ||
        rng_below(&world->rng, 100) < world->loss_percent) {
        return false;
    }
    world_way(world, from, to)->packets++;
    if (back->has_first_arrived) {
        world_ack(world, back);
    }
    return true;
}

static inline void world_arrive(struct world *world, struct world_way *way,
                                const struct world_message *message)
{
    struct world_message copy = *message;

    way->received += message->size;
    copy.at_ms = world->now_ms + rng_below(&world->rng, 20);
    world_push(&way->arriving, &copy);
}

/* Sends what is first, and what is behind it as long as that goes well. */
static inline void world_transmit(struct world *world, uint32_t from,
                                  uint32_t to)
{
    struct world_way *way = world_way(world, from, to);

    while (way->unsent.count > 0) {
        if (!world_passes(world, from, to)) {
            break;
        }
        if (!way->has_first_arrived) {
            world_arrive(world, way, world_at(&way->unsent, 0));
            way->has_first_arrived = true;
        }
        if (!world_passes(world, to, from)) {
            break;
        }
    }
    if (way->rto_ms < WORLD_RTO_MS) {
        way->rto_ms = WORLD_RTO_MS;
    }
    way->retry_ms = way->unsent.count > 0 ? world->now_ms + way->rto_ms : 0;
}

static inline void world_send(struct world *world, uint32_t from, uint32_t to)
{
    struct world_way *way = world_way(world, from, to);
    struct world_message message = {.at_ms = 0};
    struct buf out;

    if (!world->is_linked[from][to]) {
        return;
    }
    buf_init(&out, REACH_PROBE_SIZE_MAX);
    reach_put_probe(&world->reach[from], world->reach[to].self, world->now_ms,
                    world->now_ms * 1000, &out);
    assert_ok(buf_error(&out));
    message.size = out.size;
    memcpy(message.bytes, out.data, out.size);
    buf_close(&out);
    world_push(&way->unsent, &message);
    if (way->unsent.count == 1) {
        way->rto_ms = WORLD_RTO_MS;
        world_transmit(world, from, to);
    } else if (way->has_first_arrived && way->rto_ms == WORLD_RTO_MS &&
               world_passes(world, from, to)) {
        /* Not given up yet: the window lets it go, and it arrives. */
        world_arrive(world, way, &message);
        way->unsent.count--;
    }
}

static inline void world_link(struct world *world, uint32_t a, uint32_t b,
                              bool is_up)
{
    struct reach_event event = {.type =
                                    is_up ? REACH_LINK_UP : REACH_LINK_DOWN};

    world->is_linked[a][b] = is_up;
    world_way(world, a, b)->unsent.count = 0;
    world_way(world, a, b)->retry_ms = 0;
    world_way(world, a, b)->has_first_arrived = false;
    world_way(world, b, a)->arriving.count = 0;
    event.from = world->reach[b].self;
    (void)world_step(world, a, &event);
}

/* The ends find one another again by dialling. */
static inline void world_dial(struct world *world, uint32_t a, uint32_t b)
{
    if ((world->is_linked[a][b] && world->is_linked[b][a]) ||
        world->redial_ms[a][b] > world->now_ms) {
        return;
    }
    world->redial_ms[a][b] = world->now_ms + WORLD_REDIAL_MS;
    if (world_way(world, a, b)->is_cut || world_way(world, b, a)->is_cut ||
        rng_below(&world->rng, 100) < world->loss_percent ||
        world->paused_until_ms[a] > world->now_ms ||
        world->paused_until_ms[b] > world->now_ms) {
        return;
    }
    for (int i = 0; i < 2; i++) {
        uint32_t here = i == 0 ? a : b;
        uint32_t there = i == 0 ? b : a;

        if (world->is_linked[here][there]) {
            world_link(world, here, there, false);
        }
        world_link(world, here, there, true);
    }
}

static inline void world_receive(struct world *world, uint32_t from,
                                 uint32_t to)
{
    struct world_queue *queue = &world_way(world, from, to)->arriving;

    while (queue->count > 0 && world_at(queue, 0)->at_ms <= world->now_ms) {
        struct world_message *message = world_at(queue, 0);
        struct reach_event event = {
            .type = REACH_PROBE,
            .from = world->reach[from].self,
            .bytes = bytes_of(message->bytes, message->size)};

        (void)world_step(world, to, &event);
        world_pop(queue);
    }
}

static inline void world_tick(struct world *world, uint32_t i)
{
    struct reach_event event = {.type = REACH_TICK};
    struct reach_effects effects;

    world->ticked_ms[i] = world->now_ms;
    for (uint32_t j = 0; j < world->count; j++) {
        struct reach_event counters = {.type = REACH_COUNTERS,
                                       .from = world->reach[j].self};

        if (world->is_linked[i][j]) {
            counters.packets = world_way(world, j, i)->packets;
            counters.received = world_way(world, j, i)->received;
            counters.acked = world_way(world, i, j)->acked;
            (void)world_step(world, i, &counters);
        }
    }
    effects = world_step(world, i, &event);
    for (uint32_t j = 0; j < world->count; j++) {
        /* Ids are in the order of positions. */
        if ((effects.cut & (1U << j)) != 0) {
            world_link(world, i, j, false);
        }
        if (j != i && effects.is_probe_due) {
            world_send(world, i, j);
        }
    }
}

static inline void world_run(struct world *world, uint64_t ms)
{
    uint64_t end_ms = world->now_ms + ms;

    for (; world->now_ms < end_ms; world->now_ms += WORLD_STEP_MS) {
        for (uint32_t i = 0; i < world->count; i++) {
            for (uint32_t j = 0; j < world->count; j++) {
                struct world_way *way = world_way(world, i, j);

                if (way->retry_ms != 0 && way->retry_ms <= world->now_ms) {
                    way->rto_ms *= 2;
                    world_transmit(world, i, j);
                }
                if (i < j) {
                    world_dial(world, i, j);
                }
                if (world->paused_until_ms[j] <= world->now_ms) {
                    world_receive(world, i, j);
                }
            }
        }
        for (uint32_t i = 0; i < world->count; i++) {
            if (world->paused_until_ms[i] <= world->now_ms &&
                world->ticked_ms[i] + REACH_TICK_MS <= world->now_ms) {
                world_tick(world, i);
            }
        }
    }
}

static inline void world_open(struct world *world, uint32_t count,
                              uint64_t seed)
{
    uint64_t ids[WORLD_MAX];

    *world = (struct world){.count = count, .now_ms = WORLD_START_MS};
    world->reach = calloc(count, sizeof(*world->reach));
    world->ways = calloc((size_t)WORLD_MAX * WORLD_MAX, sizeof(*world->ways));
    assert_non_null(world->reach);
    assert_non_null(world->ways);
    rng_init(&world->rng, seed);
    for (uint32_t i = 0; i < count; i++) {
        ids[i] = (i + 1) * 1000;
        reach_init(&world->reach[i],
                   &(struct reach_config){.self = ids[i], .number = 7 * i});
        world->ticked_ms[i] = world->now_ms + i * WORLD_STEP_MS;
    }
    for (uint32_t i = 0; i < count; i++) {
        struct reach_event event = {
            .type = REACH_MEMBERS, .ids = ids, .count = count};

        (void)world_step(world, i, &event);
    }
}

static inline void world_close(struct world *world)
{
    free(world->reach);
    free(world->ways);
}

#endif
