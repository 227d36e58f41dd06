/* SPDX-License-Identifier: Apache-2.0
 * State writes in the proof; what is missing; what is no journal at all. */
#include "unit/journal/proof_fixture.h"

/* --- States --------------------------------------------------------------- */

static void two_claims(struct world *world)
{
    claimed(world, 5, 0, "w1", A1, 3);
    claimed(world, 9, 5, "w2", A2, 4);
}

static void writes_of_each_owner_in_its_time(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    two_claims(world);
    state(world, JOURNAL_ACCEPTED, 5, 1);
    state(world, JOURNAL_ACKNOWLEDGED, 5, 1);
    state(world, JOURNAL_ACCEPTED, 5, 2); /* not acknowledged */
    state(world, JOURNAL_PROMISED, 9, 0);
    sealed(world, 9, 5, 1);
    state(world, JOURNAL_ACCEPTED, 9, 0);
    sealed(world, 9, 9, 0); /* done again */
    state(world, JOURNAL_ACCEPTED, 9, 1);
    state(world, JOURNAL_ACKNOWLEDGED, 9, 1);
    expect_nothing(world);
    assert_int_equal(world->counts.writes, 6);
}

static void write_below_the_promise(void **state_)
{
    struct world *world = *state_;
    uint64_t promise;
    uint64_t write;

    file(world, M1, "m1", "host1");
    two_claims(world);
    promise = state(world, JOURNAL_PROMISED, 9, 0);
    write = state(world, JOURNAL_ACCEPTED, 5, 1);
    expect(world, PROOF_VIOLATION, "state",
           "a replica accepted an epoch below one that it had promised");
    assert_int_equal(world->found[0].first.offset, promise);
    assert_int_equal(world->found[0].second.offset, write);
}

static void write_below_one_that_was_accepted(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    two_claims(world);
    state(world, JOURNAL_ACCEPTED, 9, 1);
    state(world, JOURNAL_ACCEPTED, 5, 1);
    expect(world, PROOF_VIOLATION, "state",
           "a replica accepted an epoch below one that it had promised");
}

/* Each replica has its own promise; and what is forgotten binds nobody. */
static void promises_are_of_one_replica_until_forgotten(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    two_claims(world);
    state(world, JOURNAL_PROMISED, 9, 0);
    state(world, JOURNAL_FORGOTTEN, 8, 0);
    file(world, M2, "m2", "host1");
    state(world, JOURNAL_ACCEPTED, 5, 1);
    state(world, JOURNAL_PROMISED, 9, 0);
    state(world, JOURNAL_FORGOTTEN, 9, 0);
    state(world, JOURNAL_ACCEPTED, 5, 1);
    expect_nothing(world);
}

static void forgetting_less_than_the_promise_keeps_it(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    two_claims(world);
    state(world, JOURNAL_PROMISED, 9, 0);
    state(world, JOURNAL_FORGOTTEN, 8, 0);
    state(world, JOURNAL_ACCEPTED, 5, 1);
    expect(world, PROOF_VIOLATION, "state",
           "a replica accepted an epoch below one that it had promised");
}

static void write_that_nobody_granted(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    two_claims(world);
    state(world, JOURNAL_ACKNOWLEDGED, 7, 1);
    expect(world, PROOF_VIOLATION, "state",
           "a state was written under an epoch that was not granted");
}

static void acknowledged_state_that_was_lost(void **state_)
{
    struct world *world = *state_;
    uint64_t acked;
    uint64_t seal;

    file(world, M1, "m1", "host1");
    two_claims(world);
    state(world, JOURNAL_ACKNOWLEDGED, 5, 3);
    acked = state(world, JOURNAL_ACKNOWLEDGED, 5, 4);
    seal = sealed(world, 9, 5, 3);
    expect(world, PROOF_VIOLATION, "state",
           "the next owner found less than what was acknowledged");
    assert_int_equal(world->found[0].first.offset, acked);
    assert_int_equal(world->found[0].second.offset, seal);
}

/* The one in between wrote nothing. */
static void acknowledged_state_that_was_lost_later(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    two_claims(world);
    claimed(world, 12, 9, "w1", A1, 3);
    state(world, JOURNAL_ACKNOWLEDGED, 5, 4);
    sealed(world, 12, 0, 0);
    expect(world, PROOF_VIOLATION, "state",
           "the next owner found less than what was acknowledged");
}

/* Another sandbox under the same id begins with nothing. */
static void state_of_a_predecessor_is_not_missed(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    state(world, JOURNAL_ACKNOWLEDGED, 5, 4);
    applied(world, JOURNAL_REMOVED, JOURNAL_CAUSE_STOPPED, 7, 5);
    claimed(world, 9, 0, "w2", A2, 4);
    claimed(world, 12, 9, "w1", A1, 3);
    sealed(world, 12, 0, 0);
    expect_nothing(world);
}

/* --- What is missing ------------------------------------------------------ */

static void gap_that_a_journal_tells_of(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    add(world, (struct journal_record){.type = JOURNAL_GAP,
                                       .code = JOURNAL_CAUSE_FULL,
                                       .clock = 300,
                                       .count = 7,
                                       .since = 100});
    claimed(world, 20, 0, "w1", A1, 3);
    /* Whether that was granted in the gap nobody can tell; this one was not. */
    file(world, W1, "w1", "host1");
    starting(world, 9, A1, 3, 1000);
    ended(world, 9, 1100, 3500);
    expect(world, PROOF_INCOMPLETE, "gap",
           "7 records of clock 100 to 300 were not written: full");
    assert_int_equal(world->counts.unread, 1);
}

static void file_that_is_missing(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    file_from(world, M1, "m1", "host1", 10);
    assert_ok(world->rv);
    claimed(world, 20, 0, "w1", A1, 3);
    expect(world, PROOF_INCOMPLETE, "gap",
           "records 2 to 9 of this run are missing");
}

static void promise_before_a_gap_binds_nobody(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    two_claims(world);
    state(world, JOURNAL_PROMISED, 9, 0);
    add(world, (struct journal_record){.type = JOURNAL_GAP, .count = 1});
    state(world, JOURNAL_ACCEPTED, 5, 1);
    expect(world, PROOF_INCOMPLETE, "gap",
           "1 records of clock 0 to 0 were not written: none");
}

static void worker_without_a_journal(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    applied(world, JOURNAL_STARTED, 0, 6, 5);
    claimed(world, 9, 5, "w1", A1, 3);
    applied(world, JOURNAL_STARTED, 0, 10, 9);
    expect(world, PROOF_INCOMPLETE, "worker",
           "no journal of its worker was given");
}

static void worker_that_says_less_than_the_log(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    applied(world, JOURNAL_STARTED, 0, 6, 5);
    file(world, W1, "w1", "host1");
    of_run(world, JOURNAL_LEASE, A1, 3, 900);
    expect(world, PROOF_INCOMPLETE, "worker",
           "it was started, and its worker's journal has not");
}

/* Its journal begins later. */
static void worker_whose_journal_is_younger(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    applied(world, JOURNAL_STARTED, 0, 6, 5);
    file(world, W1, "w1", "host1");
    of_run(world, JOURNAL_LEASE, A1, 7, 900);
    expect_nothing(world);
    assert_int_equal(world->counts.unseen, 1);
}

static void workers_without_members(void **state_)
{
    struct world *world = *state_;

    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    expect(world, PROOF_INCOMPLETE, "member", "no member's journal was given");
    assert_int_equal(world->counts.unread, 1);
}

/* What was before the snapshot, no record tells. */
static void grants_before_a_snapshot(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    add(world, (struct journal_record){.type = JOURNAL_RESTORED, .index = 100});
    claimed(world, 105, 0, "w1", A1, 3);
    file(world, W1, "w1", "host1");
    starting(world, 50, A1, 3, 1000);
    ended(world, 50, 1100, 3500);
    expect_nothing(world);
    assert_int_equal(world->counts.unread, 1);
}

/* --- What is no journal --------------------------------------------------- */

static void files_that_do_not_fit(void **state_)
{
    struct world *world = *state_;
    struct journal_record open = {.type = JOURNAL_OPEN,
                                  .code = 7,
                                  .run = world_key(world, 9),
                                  .first = 1};

    assert_err(proof_file(world->proof, &open, 10), ERR_MALFORMED);
    open.code = JOURNAL_MEMBER;
    open.first = 0;
    assert_err(proof_file(world->proof, &open, 10), ERR_MALFORMED);
    open.type = JOURNAL_CLOSE;
    open.first = 1;
    assert_err(proof_file(world->proof, &open, 10), ERR_MALFORMED);
    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    file_from(world, M1, "m1", "host1", 1);
    assert_err(world->rv, ERR_EXISTS);
    file_from(world, M1, "other", "host1", 2);
    assert_err(world->rv, ERR_BADARG);
    file_from(world, M1, "m1", "other", 2);
    assert_err(world->rv, ERR_BADARG);
    file_from(world, M1, "m1", "host1", 2);
    assert_ok(world->rv);
    expect_nothing(world);
}

static void records_that_do_not_belong(void **state_)
{
    struct world *world = *state_;

    file(world, M1, "m1", "host1");
    (void)try_add(world, (struct journal_record){.type = JOURNAL_STARTING});
    assert_err(world->rv, ERR_MALFORMED);
    (void)try_add(world, (struct journal_record){.type = JOURNAL_OPEN});
    assert_err(world->rv, ERR_MALFORMED);
    (void)try_add(world, (struct journal_record){.type = JOURNAL_CLAIMED});
    assert_err(world->rv, ERR_MALFORMED); /* of entry 0 */
    file(world, W1, "w1", "host1");
    (void)try_add(world,
                  (struct journal_record){.type = JOURNAL_CLAIMED, .index = 5});
    assert_err(world->rv, ERR_MALFORMED);
    add(world, (struct journal_record){.type = JOURNAL_CLOSE});
    (void)try_add(world, (struct journal_record){.type = JOURNAL_CLOSE});
    assert_err(world->rv, ERR_MALFORMED);
}

/* Everything that allocates, in one story. */
static int story(struct proof *proof, struct world *world)
{
    struct journal_record records[] = {
        {.type = JOURNAL_CLAIMED, .index = 5, .epoch = 5, .lease = 3},
        {.type = JOURNAL_STARTED, .index = 6, .epoch = 5},
        {.type = JOURNAL_LEASE_ENDED, .index = 7, .lease = 3},
        {.type = JOURNAL_UNPLACED, .index = 7, .epoch = 5},
        {.type = JOURNAL_PLACED, .prior = 5},
        {.type = JOURNAL_ORDERED_START, .epoch = 9},
        {.type = JOURNAL_DEATH},
        {.type = JOURNAL_GAP, .count = 1},
        {.type = JOURNAL_ACCEPTED, .epoch = 9},
        {.type = JOURNAL_ACKNOWLEDGED, .epoch = 9},
        {.type = JOURNAL_STARTING, .epoch = 5},
        {.type = JOURNAL_GONE},
    };
    struct journal_record open = {.type = JOURNAL_OPEN,
                                  .code = JOURNAL_MEMBER,
                                  .worker = bytes_of_string("m"),
                                  .boot = bytes_of_string("b"),
                                  .first = 1};
    int rv = 0;

    for (size_t i = 0; rv == 0 && i < sizeof(records) / sizeof(records[0]);
         i++) {
        open.run = world_key(world, 1);
        if (records[i].type == JOURNAL_STARTING) {
            open.run = world_key(world, 2);
            open.code = JOURNAL_WORKER;
        }
        if (i == 0 || records[i].type == JOURNAL_STARTING) {
            rv = proof_file(proof, &open, 1);
        }
        records[i].id = bytes_of_string("box");
        records[i].worker = bytes_of_string("w");
        records[i].run = world_key(world, 3);
        rv = rv == 0 ? proof_add(proof, &records[i], 2 + i) : rv;
    }
    return rv == 0 ? proof_check(proof, world_found, world) : rv;
}

static void memory_that_ends_is_said(void **state_)
{
    struct world *world = *state_;
    struct proof *proof;
    uint64_t count = 0;
    int rv;

    do {
        world->count = 0;
        mem_fail_after(count);
        rv = proof_new(1, &proof);
        if (rv == 0) {
            rv = story(proof, world);
            proof_free(proof);
        }
        mem_fail_after(UINT64_MAX);
        assert_true(rv == 0 || rv == ERR_NOMEM);
        count++;
    } while (rv != 0);
    assert_true(count > 25);
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(writes_of_each_owner_in_its_time),
        TEST(write_below_the_promise),
        TEST(write_below_one_that_was_accepted),
        TEST(promises_are_of_one_replica_until_forgotten),
        TEST(forgetting_less_than_the_promise_keeps_it),
        TEST(write_that_nobody_granted),
        TEST(acknowledged_state_that_was_lost),
        TEST(acknowledged_state_that_was_lost_later),
        TEST(state_of_a_predecessor_is_not_missed),
        TEST(gap_that_a_journal_tells_of),
        TEST(file_that_is_missing),
        TEST(promise_before_a_gap_binds_nobody),
        TEST(worker_without_a_journal),
        TEST(worker_that_says_less_than_the_log),
        TEST(worker_whose_journal_is_younger),
        TEST(workers_without_members),
        TEST(grants_before_a_snapshot),
        TEST(files_that_do_not_fit),
        TEST(records_that_do_not_belong),
        TEST(memory_that_ends_is_said),
    };

    return cmocka_run_group_tests_name("journal_proof_states", tests, NULL,
                                       NULL);
}
