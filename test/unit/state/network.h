/* SPDX-License-Identifier: Apache-2.0
 * A tiny network for the tests of the coordinator: replicas in memory that
 * follow state/replica.h, a pool of messages under way, and coordinators whose
 * sends go into it. The test decides what is delivered, and when. */
#ifndef QUORATE_TEST_UNIT_STATE_NETWORK_H
#define QUORATE_TEST_UNIT_STATE_NETWORK_H

#include "base/ensure.h"
#include "base/rng.h"
#include "lib/test.h"
#include "state/coordinator.h"
#include "state/message.h"
#include "state/replica.h"

enum {
    NETWORK_REPLICAS_MAX = STATE_REPLICAS_MAX,
    NETWORK_COORDINATORS = 2,
    NETWORK_VALUE_MAX = 128,
    NETWORK_MESSAGE_MAX = STATE_MESSAGE_HEADER_SIZE + 64 + NETWORK_VALUE_MAX,
    NETWORK_POOL_MAX = 1024,
    NETWORK_FIRST_COORDINATOR = 100, /* replicas are 1, 2, 3, ... */
};

struct network_message {
    uint64_t from;
    uint64_t to;
    size_t size;
    uint8_t bytes[NETWORK_MESSAGE_MAX];
};

struct network_replica {
    struct state_replica state;
    uint8_t value[NETWORK_VALUE_MAX];
    enum state_status fault; /* OK: none; else what it answers to all */
    bool is_cut;             /* what goes to it is lost */
};

struct network {
    struct network_replica replicas[NETWORK_REPLICAS_MAX];
    struct state_table *tables[NETWORK_COORDINATORS];
    struct network_message pool[NETWORK_POOL_MAX];
    size_t pool_count;
    uint64_t now_ms;
    /* Each completion; called before the next call to the coordinator. */
    void (*completed)(void *arg, const struct state_completion *completion);
    void *completed_arg;
};

static inline struct network_replica *network_replica(struct network *network,
                                                      uint64_t id)
{
    ensure(id >= 1);
    ensure(id <= NETWORK_REPLICAS_MAX);
    return &network->replicas[id - 1];
}

static inline void network_put(struct network *network, uint64_t from,
                               uint64_t to, struct bytes bytes)
{
    struct network_message *message;

    ensure(bytes.size <= NETWORK_MESSAGE_MAX);
    if (network->pool_count == NETWORK_POOL_MAX) {
        return; /* lost */
    }
    message = &network->pool[network->pool_count++];
    message->from = from;
    message->to = to;
    message->size = bytes.size;
    memcpy(message->bytes, bytes.data, bytes.size);
}

static inline void network_carry_out(struct network *network,
                                     size_t coordinator,
                                     const struct state_effects *effects)
{
    for (size_t i = 0; i < effects->send_count; i++) {
        network_put(network, NETWORK_FIRST_COORDINATOR + coordinator,
                    effects->sends[i].to, effects->sends[i].message);
    }
    for (size_t i = 0; i < effects->completion_count; i++) {
        network->completed(network->completed_arg, &effects->completions[i]);
    }
}

static inline int network_start(struct network *network, size_t coordinator,
                                const struct state_request *request)
{
    struct state_effects effects;
    int rv = state_start(network->tables[coordinator], request, network->now_ms,
                         &effects);

    network_carry_out(network, coordinator, &effects);
    return rv;
}

static inline void network_tick(struct network *network)
{
    for (size_t i = 0; i < NETWORK_COORDINATORS; i++) {
        struct state_effects effects;

        assert_ok(state_tick(network->tables[i], network->now_ms, &effects));
        network_carry_out(network, i, &effects);
    }
}

static inline void network_serve(struct network *network,
                                 const struct network_message *wire)
{
    struct network_replica *replica = network_replica(network, wire->to);
    struct state_message request;
    struct state_message answer;
    struct state_decision decision;
    struct buf buf;

    if (replica->is_cut) {
        return;
    }
    assert_ok(
        state_message_decode(bytes_of(wire->bytes, wire->size), &request));
    assert_true(state_message_is_intact(&request));
    state_replica_decide(&replica->state, &request, &decision);
    if (replica->fault != STATE_STATUS_OK) {
        state_replica_refuse(&request, replica->fault, &answer);
    } else {
        replica->state = decision.next;
        if (decision.takes_value && request.value.size > 0) {
            memcpy(replica->value, request.value.data, request.value.size);
        }
        state_replica_answer(&request, &decision,
                             bytes_of(replica->value, replica->state.size),
                             &answer);
    }
    buf_init(&buf, NETWORK_MESSAGE_MAX);
    assert_ok(state_message_encode(&answer, &buf));
    network_put(network, wire->to, wire->from, buf_bytes(&buf));
    buf_close(&buf);
}

/* Delivers the message at `position`; `keep`: and once more later. */
static inline void network_deliver(struct network *network, size_t position,
                                   bool keep)
{
    struct network_message wire = network->pool[position];

    if (!keep) {
        network->pool_count--;
        memmove(&network->pool[position], &network->pool[position + 1],
                (network->pool_count - position) * sizeof(wire));
    }
    if (wire.to < NETWORK_FIRST_COORDINATOR) {
        network_serve(network, &wire);
    } else {
        size_t coordinator = (size_t)(wire.to - NETWORK_FIRST_COORDINATOR);
        struct state_effects effects;

        assert_ok(state_receive(network->tables[coordinator], wire.from,
                                bytes_of(wire.bytes, wire.size), NULL,
                                network->now_ms, &effects));
        network_carry_out(network, coordinator, &effects);
    }
}

/* Delivers all, in order, until nothing is under way. */
static inline void network_run(struct network *network)
{
    while (network->pool_count > 0) {
        network_deliver(network, 0, false);
    }
}

static inline void network_open(struct network *network, uint64_t seed)
{
    for (size_t i = 0; i < NETWORK_COORDINATORS; i++) {
        assert_ok(state_table_new(NETWORK_FIRST_COORDINATOR + i, seed,
                                  &network->tables[i]));
    }
}

static inline void network_close(struct network *network)
{
    for (size_t i = 0; i < NETWORK_COORDINATORS; i++) {
        state_table_free(network->tables[i]);
    }
}

#endif
