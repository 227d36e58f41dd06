/* SPDX-License-Identifier: Apache-2.0
 * Journals that are made up record by record, for the tests of the proof. Each
 * record is added at its own clock; offsets count records. */
#ifndef QUORATE_TEST_UNIT_JOURNAL_PROOF_FIXTURE_H
#define QUORATE_TEST_UNIT_JOURNAL_PROOF_FIXTURE_H

#include "base/mem.h"
#include "journal/proof.h"
#include "lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    FOUND_MAX = 16,
    M1 = 1, /* first bytes of runs */
    M2 = 2,
    W1 = 11, /* runs of workers; and of their agents, from 101 on */
    W2 = 12,
    A1 = 101,
    A2 = 102,
    TTL_MS = 2500,
    SIZE = JOURNAL_RUN_SIZE,
};

struct found {
    enum proof_kind kind;
    char rule[16];
    char sandbox[16];
    char reason[PROOF_REASON_SIZE_MAX];
    struct proof_place first;
    struct proof_place second;
};

struct world {
    struct proof *proof;
    uint64_t offset;
    struct found found[FOUND_MAX];
    size_t count;
    struct proof_counts counts;
    uint8_t key[SIZE]; /* of the record under way */
    uint8_t mode;      /* of claims and starts to come */
    int rv;            /* of the last record */
};

static inline int world_setup(void **state)
{
    struct world *world = calloc(1, sizeof(*world));

    assert_non_null(world);
    assert_ok(proof_new(1, &world->proof));
    *state = world;
    return 0;
}

static inline int world_teardown(void **state)
{
    struct world *world = *state;

    proof_free(world->proof);
    free(world);
    return 0;
}

static inline struct bytes world_key(struct world *world, uint8_t key)
{
    memset(world->key, 0, sizeof(world->key));
    world->key[0] = key;
    return bytes_of(world->key, sizeof(world->key));
}

/* A file; `first` 1: the first one of its run. */
static inline void file_from(struct world *world, uint8_t run, const char *name,
                             const char *boot, uint64_t first)
{
    struct journal_record open = {.type = JOURNAL_OPEN,
                                  .code = run < W1 ? JOURNAL_MEMBER
                                                   : JOURNAL_WORKER,
                                  .worker = bytes_of_string(name),
                                  .run = world_key(world, run),
                                  .first = first,
                                  .resolution = run < W1 ? 1 : 10,
                                  .boot = bytes_of_string(boot)};

    world->rv = proof_file(world->proof, &open, ++world->offset);
}

static inline void file(struct world *world, uint8_t run, const char *name,
                        const char *boot)
{
    file_from(world, run, name, boot, 1);
    assert_ok(world->rv);
}

/* The offset of the record; world->rv says what came of it. */
static inline uint64_t try_add(struct world *world,
                               struct journal_record record)
{
    if (record.run.data == NULL) {
        record.run = world_key(world, 0);
    }
    world->rv = proof_add(world->proof, &record, ++world->offset);
    return world->offset;
}

static inline uint64_t add(struct world *world, struct journal_record record)
{
    uint64_t offset = try_add(world, record);

    assert_ok(world->rv);
    return offset;
}

static inline void world_found(void *arg, const struct proof_finding *finding)
{
    struct world *world = arg;
    struct found *found = &world->found[world->count];

    assert_true(world->count < FOUND_MAX);
    world->count++;
    found->kind = finding->kind;
    found->first = finding->first;
    found->second = finding->second;
    (void)snprintf(found->rule, sizeof(found->rule), "%s", finding->rule);
    (void)snprintf(found->reason, sizeof(found->reason), "%s", finding->reason);
    (void)snprintf(found->sandbox, sizeof(found->sandbox), "%.*s",
                   (int)finding->sandbox.size,
                   (const char *)finding->sandbox.data);
}

static inline void check(struct world *world)
{
    assert_ok(proof_check(world->proof, world_found, world));
    proof_counts(world->proof, &world->counts);
}

/* Just this was found. */
static inline void expect(struct world *world, enum proof_kind kind,
                          const char *rule, const char *reason)
{
    check(world);
    for (size_t i = 0; i < world->count; i++) {
        if (world->count != 1) {
            print_message("%s %s\n", world->found[i].rule,
                          world->found[i].reason);
        }
    }
    assert_int_equal(world->count, 1);
    assert_string_equal(world->found[0].reason, reason);
    assert_string_equal(world->found[0].rule, rule);
    assert_int_equal(world->found[0].kind, kind);
    assert_int_equal(world->counts.findings[kind], 1);
}

static inline void expect_nothing(struct world *world)
{
    check(world);
    for (size_t i = 0; i < world->count; i++) {
        print_message("%s %s\n", world->found[i].rule, world->found[i].reason);
    }
    assert_int_equal(world->count, 0);
}

/* --- Records of members --------------------------------------------------- */

static inline uint64_t claimed(struct world *world, uint64_t epoch,
                               uint64_t prior, const char *worker, uint8_t life,
                               uint64_t lease)
{
    return add(world, (struct journal_record){.type = JOURNAL_CLAIMED,
                                              .clock = 10 * epoch,
                                              .index = epoch,
                                              .id = bytes_of_string("box"),
                                              .epoch = epoch,
                                              .prior = prior,
                                              .worker = bytes_of_string(worker),
                                              .run = world_key(world, life),
                                              .lease = lease,
                                              .mode = world->mode});
}

/* The last renewal carried the clock `renewed`, and was heard at `heard`. */
static inline uint64_t lease_ended(struct world *world, uint64_t index,
                                   enum journal_cause cause, uint64_t lease,
                                   uint64_t renewed, uint64_t heard)
{
    return add(world, (struct journal_record){.type = JOURNAL_LEASE_ENDED,
                                              .code = (uint8_t)cause,
                                              .clock = 10 * index,
                                              .index = index,
                                              .worker = bytes_of_string("w1"),
                                              .lease = lease,
                                              .worker_clock = renewed,
                                              .until = renewed + TTL_MS,
                                              .heard = heard});
}

/* UNPLACED, REMOVED, START_FAILED, STARTED. */
static inline uint64_t applied(struct world *world, enum journal_type type,
                               enum journal_cause cause, uint64_t index,
                               uint64_t epoch)
{
    return add(world, (struct journal_record){.type = type,
                                              .code = (uint8_t)cause,
                                              .clock = 10 * index,
                                              .index = index,
                                              .id = bytes_of_string("box"),
                                              .epoch = epoch});
}

static inline uint64_t death(struct world *world, enum journal_cause cause,
                             uint8_t life, uint64_t clock)
{
    return add(world, (struct journal_record){.type = JOURNAL_DEATH,
                                              .code = (uint8_t)cause,
                                              .clock = clock,
                                              .run = world_key(world, life)});
}

static inline uint64_t state(struct world *world, enum journal_type type,
                             uint64_t epoch, uint64_t seq)
{
    return add(world, (struct journal_record){.type = type,
                                              .id = bytes_of_string("box"),
                                              .epoch = epoch,
                                              .seq = seq});
}

static inline uint64_t sealed(struct world *world, uint64_t epoch,
                              uint64_t found_epoch, uint64_t found_seq)
{
    return add(world, (struct journal_record){.type = JOURNAL_SEALED,
                                              .id = bytes_of_string("box"),
                                              .epoch = epoch,
                                              .prior = found_epoch,
                                              .seq = found_seq});
}

static inline uint64_t ordered(struct world *world, uint64_t epoch,
                               uint64_t clock)
{
    return add(world, (struct journal_record){.type = JOURNAL_ORDERED_START,
                                              .clock = clock,
                                              .id = bytes_of_string("box"),
                                              .epoch = epoch});
}

/* --- Records of workers --------------------------------------------------- */

static inline uint64_t starting(struct world *world, uint64_t epoch,
                                uint8_t life, uint64_t lease, uint64_t clock)
{
    return add(world, (struct journal_record){.type = JOURNAL_STARTING,
                                              .clock = clock,
                                              .id = bytes_of_string("box"),
                                              .epoch = epoch,
                                              .run = world_key(world, life),
                                              .lease = lease,
                                              .until = clock + TTL_MS,
                                              .mode = world->mode});
}

static inline uint64_t ended(struct world *world, uint64_t epoch,
                             uint64_t clock, uint64_t until)
{
    return add(world, (struct journal_record){.type = JOURNAL_ENDED,
                                              .clock = clock,
                                              .id = bytes_of_string("box"),
                                              .epoch = epoch,
                                              .until = until});
}

static inline uint64_t of_run(struct world *world, enum journal_type type,
                              uint8_t run, uint64_t lease, uint64_t clock)
{
    return add(world, (struct journal_record){.type = type,
                                              .clock = clock,
                                              .run = world_key(world, run),
                                              .lease = lease,
                                              .count = 1});
}

#endif
