/* SPDX-License-Identifier: Apache-2.0
 * Available sandboxes: their owners may go on beside the next one, and nobody
 * else's may, whatever a journal says. */
#include "unit/journal/proof_fixture.h"

/* Two owners: epoch 5 on w1, whose lease 3 expired at entry 8, then 9 on w2. */
static void members(struct world *world, uint8_t mode)
{
    world->mode = mode;
    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    lease_ended(world, 8, JOURNAL_CAUSE_EXPIRED, 3, 1000, 1010);
    applied(world, JOURNAL_UNPLACED, JOURNAL_CAUSE_EXPIRED, 8, 5);
    claimed(world, 9, 5, "w2", A2, 4);
}

/* As `mode` says: the fence of w1 at 3500; epoch 5 ends at 9000. */
static void workers(struct world *world, uint8_t mode, const char *host)
{
    world->mode = mode;
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    add(world, (struct journal_record){.type = JOURNAL_FENCED,
                                       .code = JOURNAL_CAUSE_FENCED,
                                       .clock = 3500});
    ended(world, 5, 9000, 0);
    file(world, W2, "w2", host);
    starting(world, 9, A2, 4, 5000);
}

static void available_owners_may_be_together(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_AVAILABLE);
    workers(world, JOURNAL_AVAILABLE, "host1");
    expect_nothing(world);
    assert_int_equal(world->counts.together, 1);
    assert_int_equal(world->counts.maybe_together, 0);
}

static void available_owners_on_two_clocks_may_have_been(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_AVAILABLE);
    workers(world, JOURNAL_AVAILABLE, "host2");
    expect_nothing(world);
    assert_int_equal(world->counts.together, 0);
    assert_int_equal(world->counts.maybe_together, 1);
}

/* One that was not granted is not looked at, and its mode is a mere claim. */
static void mode_that_only_a_worker_tells_is_no_proof(void **state)
{
    struct world *world = *state;

    world->mode = JOURNAL_AVAILABLE;
    file(world, M1, "m1", "host1");
    claimed(world, 9, 5, "w2", A2, 4);
    workers(world, JOURNAL_AVAILABLE, "host1");
    expect_nothing(world);
    assert_int_equal(world->counts.unread, 1);
    assert_int_equal(world->counts.together, 0);
    assert_int_equal(world->counts.maybe_together, 1);
}

static void provisional(struct world *world, uint8_t run, const char *name,
                        uint64_t clock)
{
    file(world, run, name, "host1");
    starting(world, 0, A1, 0, clock);
}

/* Beside each other, beside an owner, and one that went on as the owner. */
static void provisional_ones_are_counted(void **state)
{
    struct world *world = *state;

    world->mode = JOURNAL_AVAILABLE;
    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    provisional(world, W1, "w1", 1000);
    ended(world, 0, 3000, 0);
    starting(world, 5, A1, 3, 3000);
    ended(world, 5, 4000, 0);
    starting(world, 0, A1, 0, 5000);
    ended(world, 0, 6000, 0);
    provisional(world, W2, "w2", 2000);
    ended(world, 0, 9000, 0);
    expect_nothing(world);
    assert_int_equal(world->counts.provisional, 3);
    assert_int_equal(world->counts.together, 0);
    assert_int_equal(world->counts.unread, 0);
}

static void nothing_strong_starts_without_a_grant(void **state)
{
    struct world *world = *state;

    world->mode = JOURNAL_STRONG;
    file(world, M1, "m1", "host1");
    provisional(world, W1, "w1", 1000);
    expect(world, PROOF_VIOLATION, "grant",
           "a strong one was started without a grant");
}

static void provisional_one_is_not_twice_on_a_worker(void **state)
{
    struct world *world = *state;

    world->mode = JOURNAL_AVAILABLE;
    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    provisional(world, W1, "w1", 1000);
    starting(world, 5, A1, 3, 3000);
    ended(world, 0, 3500, 0);
    expect(world, PROOF_VIOLATION, "overlap",
           "one worker ran it twice, once without a grant");
}

static void strong_owners_may_not(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_STRONG);
    world->mode = JOURNAL_STRONG;
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    ended(world, 5, 9000, 20000);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 5000);
    expect(world, PROOF_VIOLATION, "overlap",
           "two owners ran at the same time");
    assert_int_equal(world->counts.together, 0);
}

/* A worker that calls a strong one so is seen to, and it excuses nothing. */
static void false_modes_are_seen(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_STRONG);
    workers(world, JOURNAL_AVAILABLE, "host1");
    check(world);
    assert_int_equal(world->count, 3);
    assert_int_equal(world->counts.findings[PROOF_VIOLATION], 2);
    assert_int_equal(world->counts.findings[PROOF_LATE], 1);
    assert_string_equal(world->found[0].rule, "grant");
    assert_string_equal(
        world->found[0].reason,
        "it ran as an available one, and the log has it as strong");
    assert_int_equal(world->counts.together, 0);
}

/* Of the time when there was but one mode. */
static void members_of_version_1_have_strong_ones(void **state)
{
    struct world *world = *state;

    members(world, JOURNAL_NO_MODE);
    workers(world, JOURNAL_AVAILABLE, "host1");
    check(world);
    assert_int_equal(world->counts.findings[PROOF_VIOLATION], 2);
    assert_int_equal(world->counts.findings[PROOF_LATE], 1);
}

static void members_that_disagree_are_seen(void **state)
{
    struct world *world = *state;

    world->mode = JOURNAL_STRONG;
    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    world->mode = JOURNAL_AVAILABLE;
    file(world, M2, "m2", "host2");
    claimed(world, 5, 0, "w1", A1, 3);
    expect(world, PROOF_VIOLATION, "epoch",
           "one epoch was granted in two different ways");
}

/* But one of a release without modes says nothing against it. */
static void members_of_two_versions_agree(void **state)
{
    struct world *world = *state;

    world->mode = JOURNAL_NO_MODE;
    file(world, M2, "m2", "host2");
    claimed(world, 5, 0, "w1", A1, 3);
    members(world, JOURNAL_AVAILABLE);
    workers(world, JOURNAL_AVAILABLE, "host1");
    expect_nothing(world);
    assert_int_equal(world->counts.together, 1);
}

/* Strong under 5, made anew as available under 7, which w2 ran for a moment,
 * and strong again under 9: what comes between 5 and 9 excuses nothing. */
static void an_available_one_between_hides_no_overlap(void **state)
{
    struct world *world = *state;

    file(world, M1, "m1", "host1");
    world->mode = JOURNAL_STRONG;
    claimed(world, 5, 0, "w1", A1, 3);
    applied(world, JOURNAL_REMOVED, JOURNAL_CAUSE_NONE, 6, 5);
    world->mode = JOURNAL_AVAILABLE;
    claimed(world, 7, 0, "w2", A2, 4);
    applied(world, JOURNAL_REMOVED, JOURNAL_CAUSE_NONE, 8, 7);
    world->mode = JOURNAL_STRONG;
    claimed(world, 9, 0, "w2", A2, 4);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    ended(world, 5, 5000, 20000);
    file(world, W2, "w2", "host1");
    starting(world, 9, A2, 4, 2000);
    ended(world, 9, 2500, 20000);
    world->mode = JOURNAL_AVAILABLE;
    starting(world, 7, A2, 4, 5010);
    ended(world, 7, 5020, 20000);
    check(world);
    assert_int_equal(world->counts.findings[PROOF_VIOLATION], 2);
    assert_string_equal(world->found[0].reason,
                        "one worker ran it twice at the same time");
    assert_string_equal(world->found[1].reason,
                        "two owners ran at the same time");
}

/* The same process, under a later epoch, before another one comes. */
static void take_over_is_one_after_the_other(void **state)
{
    struct world *world = *state;

    world->mode = JOURNAL_AVAILABLE;
    file(world, M1, "m1", "host1");
    claimed(world, 5, 0, "w1", A1, 3);
    lease_ended(world, 8, JOURNAL_CAUSE_REPLACED, 3, 1000, 1010);
    claimed(world, 9, 5, "w1", A2, 8);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    add(world, (struct journal_record){.type = JOURNAL_FENCED,
                                       .code = JOURNAL_CAUSE_FENCED,
                                       .clock = 3500});
    add(world, (struct journal_record){.type = JOURNAL_ENDED,
                                       .code = JOURNAL_CAUSE_TAKEN_OVER,
                                       .clock = 6000,
                                       .id = bytes_of_string("box"),
                                       .epoch = 5});
    starting(world, 9, A2, 8, 6000);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_ORDER], 1);
    assert_int_equal(world->counts.together, 0);
}

/* `lease` is the next one that its agent held. */
static void fenced_and_back(struct world *world, uint64_t lease, uint8_t mode)
{
    world->mode = mode;
    file(world, M1, "m1", "host3");
    claimed(world, 5, 0, "w1", A1, 3);
    lease_ended(world, 8, JOURNAL_CAUSE_REPLACED, 3, 1000, 1010);
    claimed(world, 9, 5, "w2", A2, 4);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    add(world, (struct journal_record){.type = JOURNAL_FENCED,
                                       .code = JOURNAL_CAUSE_FENCED,
                                       .clock = 3500});
    if (mode == JOURNAL_AVAILABLE) {
        ended(world, 5, 3510, 0);
    }
    of_run(world, JOURNAL_LEASE, 103, lease, 3600);
    file(world, W2, "w2", "host2");
    starting(world, 9, A2, 4, 17);
}

static void next_lease_of_the_same_run_orders(void **state)
{
    struct world *world = *state;

    fenced_and_back(world, 8, JOURNAL_STRONG);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_LOG], 1);
}

static void next_lease_that_came_later_does_not(void **state)
{
    struct world *world = *state;

    fenced_and_back(world, 10, JOURNAL_STRONG);
    expect(world, PROOF_UNDECIDED, "overlap",
           "they are on different clocks, and nothing relates them");
}

/* It may have ended while that lease was on its way. */
static void next_lease_orders_no_available_ones(void **state)
{
    struct world *world = *state;

    fenced_and_back(world, 8, JOURNAL_AVAILABLE);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_LOG], 0);
    assert_int_equal(world->counts.maybe_together, 1);
}

/* A member that was told so knows nothing of the end of available ones. */
static void word_of_the_fence_is_no_death_of_available_ones(void **state)
{
    struct world *world = *state;

    world->mode = JOURNAL_AVAILABLE;
    file(world, M1, "m1", "host3");
    claimed(world, 5, 0, "w1", A1, 3);
    death(world, JOURNAL_CAUSE_FENCED, A1, 40);
    lease_ended(world, 8, JOURNAL_CAUSE_RELEASED, 3, 1000, 1010);
    claimed(world, 9, 5, "w2", A2, 4);
    file(world, W1, "w1", "host1");
    starting(world, 5, A1, 3, 1000);
    file(world, W2, "w2", "host2");
    starting(world, 9, A2, 4, 17);
    expect_nothing(world);
    assert_int_equal(world->counts.bases[PROOF_BY_LOG], 0);
    assert_int_equal(world->counts.maybe_together, 1);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, world_setup, world_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(available_owners_may_be_together),
        TEST(available_owners_on_two_clocks_may_have_been),
        TEST(mode_that_only_a_worker_tells_is_no_proof),
        TEST(provisional_ones_are_counted),
        TEST(nothing_strong_starts_without_a_grant),
        TEST(provisional_one_is_not_twice_on_a_worker),
        TEST(strong_owners_may_not),
        TEST(false_modes_are_seen),
        TEST(members_of_version_1_have_strong_ones),
        TEST(members_that_disagree_are_seen),
        TEST(members_of_two_versions_agree),
        TEST(an_available_one_between_hides_no_overlap),
        TEST(take_over_is_one_after_the_other),
        TEST(next_lease_of_the_same_run_orders),
        TEST(next_lease_that_came_later_does_not),
        TEST(next_lease_orders_no_available_ones),
        TEST(word_of_the_fence_is_no_death_of_available_ones),
    };

    return cmocka_run_group_tests_name("proof_modes", tests, NULL, NULL);
}
