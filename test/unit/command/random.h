/* SPDX-License-Identifier: Apache-2.0
 * Random commands over a few workers, ids and names, most of them with the
 * lease or epoch of the moment, so that much of what they ask is allowed. */
#ifndef QUORATE_TEST_COMMAND_RANDOM_H
#define QUORATE_TEST_COMMAND_RANDOM_H

#include "base/rng.h"
#include "command/command.h"

#include <stdbool.h>

enum { RANDOM_WORKERS = 5, RANDOM_IDS = 12, RANDOM_NAMES = 6 };

static const char *const random_workers[RANDOM_WORKERS] = {"a", "b", "c", "d",
                                                           "e"};
static const char *const random_ids[RANDOM_IDS] = {
    "s0", "s1", "s2", "s3", "s4", "s5", "s6", "s7", "s8", "s9", "s10", "s11"};
static const char *const random_names[RANDOM_NAMES] = {"n0", "n1", "n2",
                                                       "n3", "n4", "n5"};
static const char *const random_pids[] = {"p1", "pid 2", "process 3"};
static const char *const random_incarnations[] = {
    "incarnation-0001", "incarnation-0002", "incarnation-0003"};
static const struct bytes random_reasons[] = {
    {(const uint8_t *)"w\6normal", 8},
    {(const uint8_t *)"w\6killed", 8},
    {(const uint8_t *)"h\2w\10shutdowna\1", 14},
    {(const uint8_t *)"", 0},
};

static inline struct bytes random_text(struct rng *rng,
                                       const char *const *texts, size_t count)
{
    return bytes_of_string(texts[rng_below(rng, count)]);
}

/* The true value, or now and then one beside it. */
static inline uint64_t random_near(struct rng *rng, uint64_t value)
{
    uint64_t dice = rng_below(rng, 10);

    return dice == 0 ? value + 1 : dice == 1 && value > 0 ? value - 1 : value;
}

/* In a failing phase starts fail time and again; nothing else goes on. */
static inline enum command_type random_type(struct rng *rng, bool is_failing)
{
    static const enum command_type failing_types[] = {
        COMMAND_ATTACH, COMMAND_CLAIM,  COMMAND_PLACE,  COMMAND_PLACE,
        COMMAND_PLACE,  COMMAND_FAILED, COMMAND_FAILED, COMMAND_FAILED,
    };

    /* Leases end less often than work goes on. */
    static const enum command_type types[] = {
        COMMAND_ATTACH,     COMMAND_ATTACH,     COMMAND_RENEW,
        COMMAND_EXPIRE,     COMMAND_RELEASE,    COMMAND_CLAIM,
        COMMAND_CLAIM,      COMMAND_CLAIM,      COMMAND_CLAIM,
        COMMAND_CLAIM,      COMMAND_PLACE,      COMMAND_PLACE,
        COMMAND_PLACE,      COMMAND_PLACE,      COMMAND_PLACE,
        COMMAND_PLACE,      COMMAND_STARTED,    COMMAND_STARTED,
        COMMAND_STARTED,    COMMAND_STARTED,    COMMAND_STARTED,
        COMMAND_STARTED,    COMMAND_FAILED,     COMMAND_FAILED,
        COMMAND_FAILED,     COMMAND_STOP,       COMMAND_STOPPED,
        COMMAND_STOPPED,    COMMAND_REGISTER,   COMMAND_REGISTER,
        COMMAND_UNREGISTER, COMMAND_UNREGISTER,
    };

    if (is_failing) {
        return failing_types[rng_below(rng, 8)];
    }
    return types[rng_below(rng, sizeof(types) / sizeof(types[0]))];
}

/* Fields that do not count for the type are set too; the machine must not look
 * at them. */
static inline struct command random_command(struct rng *rng,
                                            const struct registry *registry,
                                            bool is_failing)
{
    struct command c = {.type = random_type(rng, is_failing)};
    const struct worker *worker;
    const struct sandbox *sandbox;
    const struct registered_name *name;

    c.worker = random_text(rng, random_workers, RANDOM_WORKERS);
    c.id = random_text(rng, random_ids, RANDOM_IDS);
    c.name = random_text(rng, random_names, RANDOM_NAMES);
    c.pid = random_text(rng, random_pids, 3);
    c.incarnation = random_text(rng, random_incarnations, 3);
    c.reason = random_reasons[rng_below(rng, 4)];
    c.spec = c.options = c.meta = c.pid;
    c.member = 1 + rng_below(rng, 3);
    c.capacity.cpu = (uint32_t)rng_below(rng, 2) * 100;
    c.capacity.memory = (uint32_t)rng_below(rng, 2) * 100;
    c.sandboxes_max = (uint32_t)rng_below(rng, 2) * 4;
    c.term_ms = c.sandboxes_max * 1000;
    c.need.cpu = (uint32_t)rng_below(rng, 40);
    c.need.memory = (uint32_t)rng_below(rng, 40);
    c.priority = (uint8_t)rng_below(rng, 10);
    c.replica_count = 3;
    c.replicas[0] = 3;
    c.replicas[1] = 2;
    c.replicas[2] = 1;
    worker = registry_worker(registry, c.worker);
    c.clock = rng_below(rng, 1000);
    if (worker != NULL) {
        /* Most of them go on. */
        c.clock = worker->renewed_clock + rng_below(rng, 100);
        c.clock -= rng_below(rng, 8) == 0 ? c.clock / 2 : 0;
        c.lease = random_near(rng, worker->lease);
        c.renewed_index = random_near(rng, worker->renewed_index);
        if (worker->lease != 0 && rng_below(rng, 3) > 0) {
            c.incarnation =
                bytes_of(worker->incarnation, REGISTRY_INCARNATION_SIZE);
        }
    }
    sandbox = registry_sandbox(registry, c.id);
    name = registry_name(registry, c.name);
    if (c.type == COMMAND_UNREGISTER) {
        c.epoch = name != NULL && rng_below(rng, 2) == 0
                      ? random_near(rng, name->epoch)
                      : 0;
        if (rng_below(rng, 3) == 0) {
            c.pid.size = 0;
        }
    } else if (sandbox != NULL) {
        c.epoch = random_near(rng, sandbox->epoch);
    }
    if (c.type == COMMAND_REGISTER && rng_below(rng, 2) == 0) {
        c.lease = 0;
    }
    return c;
}

#endif
