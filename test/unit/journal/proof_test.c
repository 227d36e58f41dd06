/* SPDX-License-Identifier: Apache-2.0
 * One owner at a time: honest journals are proven, by whatever there is; forged
 * ones are refused, each for its own reason. */
#include "unit/journal/proof_fixture.h"

/* What members say of two owners of one sandbox: epoch 5 under lease 3, then
 * epoch 9 under lease 4. `cause` is how the first one's lease or ownership
 * ended, at entry 8. */
static void log_of(struct world *world, enum journal_cause cause)
{
    claimed(world, 5, 0, "w1", A1, 3);
    if (cause == JOURNAL_CAUSE_STOPPED || cause == JOURNAL_CAUSE_FAILED) {
        applied(world, JOURNAL_UNPLACED, cause, 8, 5);
    } else {
        lease_ended(world, 8, cause, 3, 1000, 1010);
        applied(world, JOURNAL_UNPLACED, cause, 8, 5);
    }
    claimed(world, 9, 5, "w2", A2, 4);
}

static void members(struct world *world, enum journal_cause cause)
{
    file(world, M1, "m1", "host1");
    log_of(world, cause);
    file(world, M2, "m2", "host2");
    log_of(world, cause);
}

/* --- Proven --------------------------------------------------------------- */

static void one_clock_orders(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_CAUSE_EXPIRED);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    ended(world, 5, 3000, 3500);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 3010);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_CLOCK], 1);
    assert_int_equal(world->counts.claims, 2);
    assert_int_equal(world->counts.intervals, 2);
    assert_int_equal(world->counts.sandboxes, 1);
    assert_int_equal(world->counts.unclosed, 4);
}

static void one_journal_orders(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    claimed(world, 9, 5, "w1", A1, 3);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    ended(world, 5, 3000, 3500);
    starting(world, 9, A1, 3, 3000);
    of_run(world, JOURNAL_FENCED, A1, 0, 3100);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_ORDER], 1);
}

/* The agent hears later that its sandboxes have been ended. */
static void fence_is_the_end_whatever_is_said_later(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_CAUSE_EXPIRED);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    of_run(world, JOURNAL_FENCED, A1, 0, 3500);
    ended(world, 5, 3540, 3500);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 3520);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_CLOCK], 1);
}

static void fence_that_was_overtaken_ends_nothing(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_CAUSE_EXPIRED);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    of_run(world, JOURNAL_FENCED, A1, 0, 900);
    ended(world, 5, 3540, 9000);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 3520);
    expect(world, PROOF_VIOLATION, "overlap",
           "two owners ran at the same time");
}

static void death_that_was_seen_orders(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    death(world, JOURNAL_CAUSE_EXITED, A1, 2900);
    claimed(world, 9, 5, "w2", A2, 4);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 2900);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_DEATH], 1);
}

static void report_in_the_log_orders(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_CAUSE_FAILED);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    ended(world, 5, 3000, 3500);
    file(world, W2, "w2", "host2");
    starting(world, 9, A2, 4, 17);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_LOG], 1);
}

static void released_lease_of_a_dead_run_orders(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    death(world, JOURNAL_CAUSE_DETACHED, A1, 2900);
    lease_ended(world, 8, JOURNAL_CAUSE_RELEASED, 3, 1000, 1010);
    claimed(world, 9, 5, "w2", A2, 4);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    file(world, W2, "w2", "host2");
    starting(world, 9, A2, 4, 17);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_LOG], 1);
}

static void next_run_that_had_a_lease_before_orders(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    lease_ended(world, 8, JOURNAL_CAUSE_REPLACED, 3, 1000, 1010);
    claimed(world, 9, 5, "w2", A2, 4);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    file(world, 13, "w1", "host1");
    of_run(world, JOURNAL_GONE, W1, 0, 4000);
    of_run(world, JOURNAL_LEASE, 103, 8, 4001);
    file(world, W2, "w2", "host2");
    starting(world, 9, A2, 4, 17);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_LOG], 1);
}

/* Every later run of a worker says so, and their files come in any order. */
static void first_run_that_saw_it_gone_counts(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_CAUSE_EXPIRED);
    file(world, 14, "w1", "host1");
    of_run(world, JOURNAL_GONE, W1, 0, 9000);
    file(world, 13, "w1", "host1");
    of_run(world, JOURNAL_GONE, W1, 0, 3000);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 3010);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_DEATH], 1);
}

/* Fenced 2600 ms after its last renewal; a member went on for `gap` ms. */
static void lease_over(struct world *world, uint64_t gap)
{
    file(world, M1, "m1", "host3");
    claimed(world, 5, 0, "w1", A1, 3);
    lease_ended(world, 8, JOURNAL_CAUSE_EXPIRED, 3, 1000, 70000);
    claimed(world, 9, 5, "w2", A2, 4);
    ordered(world, 9, 70000 + gap);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 900);
    of_run(world, JOURNAL_FENCED, A1, 0, 3590);
    file(world, W2, "w2", "host2");
    starting(world, 9, A2, 4, 17);
}

static void lease_that_was_over_long_before_orders(void **state)
{
    struct world *world = *state;

    lease_over(world, 2653); /* 2600 * 101 / 99 = 2652.5 */
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_LEASE], 1);
}

/* Clocks may differ by 1 % each, and then it is not long enough. */
static void lease_that_was_over_just_before_does_not(void **state)
{
    struct world *world = *state;

    lease_over(world, 2652);
    expect(world, PROOF_UNDECIDED, "overlap",
           "they are on different clocks, and nothing relates them");
}

static void leader_that_chose_late_orders(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host3");
    claimed(world, 5, 0, "w1", A1, 3);
    lease_ended(world, 8, JOURNAL_CAUSE_EXPIRED, 3, 1000, 70000);
    add(world, (struct journal_record){.type = JOURNAL_PLACED,
                                       .clock = 74000,
                                       .id = bytes_of_string("box"),
                                       .prior = 5,
                                       .worker = bytes_of_string("w2")});
    claimed(world, 9, 5, "w2", A2, 4);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 900);
    ended(world, 5, 3590, 3500);
    file(world, W2, "w2", "host2");
    starting(world, 9, A2, 4, 17);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_LEASE], 1);
}

/* It said nothing after its lease, and is gone. */
static void silent_end_is_that_of_the_lease(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_CAUSE_EXPIRED);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    file(world, 13, "w1", "host1");
    of_run(world, JOURNAL_GONE, W1, 0, 9000);
    of_run(world, JOURNAL_LEASE, 103, 12, 9001);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 3500);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_LEASE], 1);
}

static void what_still_runs_needs_no_end(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    applied(world, JOURNAL_STARTED, 0, 6, 5);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    file_from(world, W1, "w1", "host1", 2);
    add(world, (struct journal_record){.type = JOURNAL_LIVE,
                                       .id = bytes_of_string("box"),
                                       .epoch = 5,
                                       .since = 1000});
    add(world, (struct journal_record){.type = JOURNAL_CLOSE});
    expect_nothing(world);
    assert_int_equal(world->counts.intervals, 1);
    assert_int_equal(world->counts.unclosed, 1);
}

/* --- Refuted -------------------------------------------------------------- */

static void two_owners_at_a_time(void **state)
{
    struct world *world = *state;
    uint64_t end;
    uint64_t begin;

    members(world, JOURNAL_CAUSE_RELEASED);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    end = ended(world, 5, 3000, 3500);
    file(world, W2, "w2", "host1");
    begin = starting(world, 9, A2, 4, 2990);
    expect(world, PROOF_VIOLATION, "overlap",
           "two owners ran at the same time");
    assert_string_equal(world->found[0].sandbox, "box");
    assert_int_equal(world->found[0].first.offset, end);
    assert_int_equal(world->found[0].first.file, 2);
    assert_int_equal(world->found[0].second.offset, begin);
    assert_int_equal(world->found[0].second.file, 3);
}

static void one_worker_twice_at_a_time(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    claimed(world, 9, 5, "w1", A1, 3);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    starting(world, 9, A1, 3, 2000);
    ended(world, 5, 3000, 3500);
    expect(world, PROOF_VIOLATION, "overlap",
           "one worker ran it twice at the same time");
}

/* Its journal says that it ran on, whatever was reported of it. */
static void report_that_was_a_lie(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_CAUSE_STOPPED);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    ended(world, 5, 5000, 6000);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 2000);
    expect(world, PROOF_VIOLATION, "overlap",
           "two owners ran at the same time");
}

static void older_owner_after_the_newer_one(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_CAUSE_EXPIRED);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 5000);
    ended(world, 5, 6000, 7000);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 1000);
    ended(world, 9, 2000, 3000);
    expect(world, PROOF_VIOLATION, "overlap",
           "two owners ran at the same time");
}

static void end_behind_the_end_of_its_lease(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_CAUSE_EXPIRED);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    ended(world, 5, 9000, 3500);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 5000);
    expect(world, PROOF_LATE, "overlap",
           "its lease was over, and its processes ended only after another "
           "one had begun");
}

static void start_by_another_worker(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    file(world, W2, "w2", "host1");
    starting(world, 5, A1, 3, 1000);
    expect(world, PROOF_VIOLATION, "grant",
           "it was started by another worker than the log says");
}

static void start_by_another_run(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    file(world, W1, "w1", "host1");
    starting(world, 5, A2, 3, 1000);
    expect(world, PROOF_VIOLATION, "grant",
           "it was started by another run than the log says");
}

static void start_that_nobody_granted(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_CAUSE_EXPIRED);
    file(world, W1, "w1", "host1");
    starting(world, 7, A1, 3, 1000);
    expect(world, PROOF_VIOLATION, "grant",
           "it was started under an epoch that was not granted");
}

/* It has read no entry before that. */
static void member_that_began_later_tells_nothing_of_before(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 25, 0, "w2", A2, 4);
    file(world, W1, "w1", "host1");
    starting(world, 7, A1, 3, 1000);
    expect_nothing(world);
    assert_int_equal(world->counts.unread, 1);
}

static void epoch_granted_twice(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    file(world, M2, "m2", "host1");
    claimed(world, 5, 0, "w2", A2, 4);
    expect(world, PROOF_VIOLATION, "epoch",
           "one epoch was granted in two different ways");
}

static void epoch_that_follows_a_greater_one(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 6, "w1", A1, 3);
    expect(world, PROOF_VIOLATION, "epoch",
           "it follows an epoch that is not below it");
}

static void epoch_that_is_followed_twice(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    claimed(world, 7, 5, "w1", A1, 3);
    claimed(world, 9, 5, "w1", A1, 3);
    expect(world, PROOF_VIOLATION, "epoch",
           "it follows an epoch that another one had followed");
}

static void epoch_that_does_not_grow(void **state)
{
    struct world *world = *state;
    struct journal_record record = {.type = JOURNAL_CLAIMED,
                                    .index = 12,
                                    .id = bytes_of_string("box"),
                                    .epoch = 4,
                                    .worker = bytes_of_string("w1")};

    file(world, M1, "m1", "host1");
    claimed(world, 9, 0, "w1", A1, 3);
    add(world, record);
    check(world);
    assert_int_equal(world->counts.findings[PROOF_VIOLATION], 2);
    assert_string_equal(world->found[0].reason,
                        "an epoch is not the index of its entry");
    assert_string_equal(world->found[1].reason,
                        "a later entry granted an epoch that is not greater");
}

static void entries_out_of_order(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 9, 0, "w1", A1, 3);
    applied(world, JOURNAL_STOPPING, 0, 8, 9);
    expect(world, PROOF_VIOLATION, "log", "entries were applied out of order");
}

static void lease_that_ended_twice(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    lease_ended(world, 8, JOURNAL_CAUSE_EXPIRED, 3, 1000, 1010);
    file(world, M2, "m2", "host1");
    lease_ended(world, 9, JOURNAL_CAUSE_EXPIRED, 3, 1000, 1010);
    expect(world, PROOF_VIOLATION, "log",
           "one lease ended in two different ways");
}

static void one_entry_grants_leases_to_two(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    lease_ended(world, 8, JOURNAL_CAUSE_EXPIRED, 3, 1000, 1010);
    add(world, (struct journal_record){.type = JOURNAL_LEASE_ENDED,
                                       .code = JOURNAL_CAUSE_RELEASED,
                                       .clock = 90,
                                       .index = 9,
                                       .worker = bytes_of_string("w2"),
                                       .lease = 3,
                                       .worker_clock = 500,
                                       .until = 500 + TTL_MS,
                                       .heard = 510});
    expect_nothing(world);
}

/* --- Not decided ---------------------------------------------------------- */

static void unknown_end(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_CAUSE_EXPIRED);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 9000);
    expect(world, PROOF_UNDECIDED, "overlap",
           "nothing tells when the first of them ended");
}

static void too_close_for_the_clock(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_CAUSE_EXPIRED);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    ended(world, 5, 3000, 3500);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 3000);
    expect(world, PROOF_UNDECIDED, "overlap",
           "end and beginning are too close for that clock, and nothing else "
           "orders them");
}

/* It was late, or just in time; it had no lease in either case. */
static void too_close_after_the_lease(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_CAUSE_EXPIRED);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    ended(world, 5, 3990, 3500);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 3990);
    expect(world, PROOF_LATE, "overlap",
           "its lease was over, and its processes ended when another one "
           "began, as far as that clock tells");
}

/* Another run took its lease; that the first one had ended nobody says. */
static void replaced_run_is_no_dead_run(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    death(world, JOURNAL_CAUSE_REPLACED, A1, 2900);
    lease_ended(world, 8, JOURNAL_CAUSE_RELEASED, 3, 1000, 1010);
    claimed(world, 9, 5, "w2", A2, 4);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    file(world, W2, "w2", "host2");
    starting(world, 9, A2, 4, 17);
    expect(world, PROOF_UNDECIDED, "overlap",
           "nothing tells when the first of them ended");
}

/* The death came after the lease had been given away. */
static void death_afterwards_orders_nothing(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host3");
    claimed(world, 5, 0, "w1", A1, 3);
    lease_ended(world, 8, JOURNAL_CAUSE_RELEASED, 3, 1000, 1010);
    claimed(world, 9, 5, "w2", A2, 4);
    death(world, JOURNAL_CAUSE_EXITED, A1, 2900);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    file(world, W2, "w2", "host2");
    starting(world, 9, A2, 4, 17);
    expect(world, PROOF_UNDECIDED, "overlap",
           "they are on different clocks, and nothing relates them");
}

int main(void)
{
#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)
    const struct CMUnitTest tests[] = {
        TEST(one_clock_orders),
        TEST(one_journal_orders),
        TEST(fence_is_the_end_whatever_is_said_later),
        TEST(fence_that_was_overtaken_ends_nothing),
        TEST(death_that_was_seen_orders),
        TEST(report_in_the_log_orders),
        TEST(released_lease_of_a_dead_run_orders),
        TEST(next_run_that_had_a_lease_before_orders),
        TEST(first_run_that_saw_it_gone_counts),
        TEST(lease_that_was_over_long_before_orders),
        TEST(lease_that_was_over_just_before_does_not),
        TEST(leader_that_chose_late_orders),
        TEST(silent_end_is_that_of_the_lease),
        TEST(what_still_runs_needs_no_end),
        TEST(two_owners_at_a_time),
        TEST(one_worker_twice_at_a_time),
        TEST(report_that_was_a_lie),
        TEST(older_owner_after_the_newer_one),
        TEST(end_behind_the_end_of_its_lease),
        TEST(start_by_another_worker),
        TEST(start_by_another_run),
        TEST(start_that_nobody_granted),
        TEST(member_that_began_later_tells_nothing_of_before),
        TEST(epoch_granted_twice),
        TEST(epoch_that_follows_a_greater_one),
        TEST(epoch_that_is_followed_twice),
        TEST(epoch_that_does_not_grow),
        TEST(entries_out_of_order),
        TEST(lease_that_ended_twice),
        TEST(one_entry_grants_leases_to_two),
        TEST(unknown_end),
        TEST(too_close_for_the_clock),
        TEST(too_close_after_the_lease),
        TEST(replaced_run_is_no_dead_run),
        TEST(death_afterwards_orders_nothing),
    };

    return cmocka_run_group_tests_name("journal_proof", tests, NULL, NULL);
}
