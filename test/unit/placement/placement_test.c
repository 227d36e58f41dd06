/* SPDX-License-Identifier: Apache-2.0
 * Placement: who fits, what the score is, who is chosen; and replicas. */
#include "lib/test.h"
#include "placement/placement.h"

#include <stdio.h>
#include <string.h>

enum { COUNT_MAX = 4096 };

static struct placement_candidate ready(void)
{
    return (struct placement_candidate){
        .cpu_capacity = 1000, .memory_capacity = 1000, .is_ready = true};
}

static struct placement_request request_of(uint32_t cpu, uint32_t memory)
{
    return (struct placement_request){.cpu = cpu, .memory = memory};
}

/* The verdict on one candidate that is alone. */
static enum placement_verdict verdict_of(struct placement_candidate candidate,
                                         struct placement_request request)
{
    struct rng rng;
    size_t index = 99;
    int rv;

    rng_init(&rng, 1);
    rv = placement_select(&candidate, 1, &request, &rng, &index);
    if (candidate.verdict == PLACEMENT_CHOSEN) {
        assert_ok(rv);
        assert_int_equal(index, 0);
    } else {
        assert_err(rv, ERR_NO_CAPACITY);
        assert_int_equal(index, 99);
        assert_int_equal(candidate.score_milli, 0);
    }
    return candidate.verdict;
}

static uint32_t score_of(struct placement_candidate candidate,
                         struct placement_request request)
{
    struct rng rng;
    size_t index;

    rng_init(&rng, 1);
    assert_ok(placement_select(&candidate, 1, &request, &rng, &index));
    return candidate.score_milli;
}

static void each_reason_has_its_verdict(void **state)
{
    struct placement_candidate c = ready();

    (void)state;
    assert_int_equal(verdict_of(c, request_of(1000, 1000)), PLACEMENT_CHOSEN);
    assert_int_equal(verdict_of(c, request_of(1001, 0)), PLACEMENT_NO_CPU);
    assert_int_equal(verdict_of(c, request_of(0, 1001)), PLACEMENT_NO_MEMORY);
    c.cpu_committed = 900;
    assert_int_equal(verdict_of(c, request_of(100, 0)), PLACEMENT_CHOSEN);
    assert_int_equal(verdict_of(c, request_of(101, 0)), PLACEMENT_NO_CPU);
    assert_int_equal(verdict_of(c, request_of(UINT32_MAX, 0)),
                     PLACEMENT_NO_CPU);
    c.cpu_committed = 1001; /* the capacity became smaller */
    assert_int_equal(verdict_of(c, request_of(0, 0)), PLACEMENT_NO_CPU);
    c = ready();
    c.sandboxes = 3;
    c.sandboxes_max = 4;
    assert_int_equal(verdict_of(c, request_of(0, 0)), PLACEMENT_CHOSEN);
    c.sandboxes = 4;
    assert_int_equal(verdict_of(c, request_of(0, 0)), PLACEMENT_NO_SLOT);
    c = ready();
    c.is_excluded = true;
    assert_int_equal(verdict_of(c, request_of(0, 0)), PLACEMENT_EXCLUDED);
    c.is_ready = false;
    assert_int_equal(verdict_of(c, request_of(0, 0)), PLACEMENT_NOT_READY);
}

static void zero_capacity_is_unlimited(void **state)
{
    struct placement_candidate c = {.is_ready = true};

    (void)state;
    assert_int_equal(verdict_of(c, request_of(UINT32_MAX, UINT32_MAX)),
                     PLACEMENT_CHOSEN);
    assert_int_equal(score_of(c, request_of(UINT32_MAX, UINT32_MAX)), 100000);
    c.cpu_committed = 1; /* but what cannot be counted cannot be claimed */
    assert_int_equal(verdict_of(c, request_of(UINT32_MAX, 0)),
                     PLACEMENT_NO_CPU);
}

static void spread_is_the_formula_of_the_users(void **state)
{
    struct placement_candidate c = ready();

    (void)state;
    assert_int_equal(score_of(c, request_of(0, 0)), 100000);
    /* 0.4 (100 - 30) + 0.4 (100 - 50) + 0.2 (100 - 7) = 66.6 */
    c.cpu_committed = 200;
    c.memory_committed = 100;
    c.sandboxes = 7;
    assert_int_equal(score_of(c, request_of(100, 400)), 66600);
    /* The greater of committed and measured. */
    c.cpu_load_permille = 299;
    c.memory_load_permille = 1;
    assert_int_equal(score_of(c, request_of(100, 400)), 66600);
    c.cpu_load_permille = 800;
    assert_int_equal(score_of(c, request_of(100, 400)), 46600);
    /* No term below 0. */
    c.cpu_load_permille = 65535;
    c.memory_load_permille = 2000;
    c.sandboxes = 12345;
    assert_int_equal(score_of(c, request_of(100, 400)), 0);
    c.sandboxes = 99;
    assert_int_equal(score_of(c, request_of(100, 400)), 200);
}

static void pack_likes_the_fullest_but_not_the_hot(void **state)
{
    struct placement_candidate c[3] = {ready(), ready(), ready()};
    struct placement_request request = {.cpu = 10, .profile = PLACEMENT_PACK};
    struct rng rng;
    size_t index;

    (void)state;
    c[0].cpu_committed = 500;
    c[1].cpu_committed = 900;
    c[2].cpu_load_permille = 1000;
    rng_init(&rng, 1);
    for (int i = 0; i < 50; i++) {
        assert_ok(placement_select(c, 3, &request, &rng, &index));
        assert_int_equal(index, 1);
        assert_int_equal(c[1].score_milli, 36400);
        assert_int_equal(c[2].score_milli, 400);
    }
}

/* How often each of `count` is chosen in 3000 selections. */
static void tally(struct placement_candidate *candidates, size_t count,
                  enum placement_profile profile, unsigned *ret_counts)
{
    struct placement_request request = {.profile = profile};
    struct rng rng;

    rng_init(&rng, 7);
    memset(ret_counts, 0, count * sizeof(*ret_counts));
    for (int i = 0; i < 3000; i++) {
        size_t index = count;

        assert_ok(placement_select(candidates, count, &request, &rng, &index));
        assert_in_range(index, 0, count - 1);
        for (size_t j = 0; j < count; j++) {
            assert_int_equal(candidates[j].verdict == PLACEMENT_CHOSEN,
                             j == index);
        }
        ret_counts[index]++;
    }
}

static void near_ties_share_and_the_rest_get_nothing(void **state)
{
    struct placement_candidate c[5] = {ready(), ready(), ready(), ready(),
                                       ready()};
    unsigned counts[5];

    (void)state;
    c[0].is_excluded = true;
    c[2].cpu_committed = 50; /* 98000: just near */
    c[3].cpu_committed = 51; /* 97960: just not */
    c[4].is_ready = false;
    tally(c, 5, PLACEMENT_SPREAD, counts);
    assert_int_equal(counts[0] + counts[3] + counts[4], 0);
    assert_in_range(counts[1], 1350, 1650);
    assert_in_range(counts[2], 1350, 1650);
    assert_int_equal(c[3].verdict, PLACEMENT_FITS);
    assert_int_equal(c[3].score_milli, 97960);
}

static void random_takes_any_that_fits(void **state)
{
    struct placement_candidate c[4] = {ready(), ready(), ready(), ready()};
    unsigned counts[4];

    (void)state;
    c[1].cpu_committed = 1000;
    c[2].sandboxes = 1;
    c[2].sandboxes_max = 1;
    c[3].memory_load_permille = 1000;
    tally(c, 4, PLACEMENT_RANDOM, counts);
    assert_int_equal(counts[2], 0);
    assert_in_range(counts[0], 850, 1150);
    assert_in_range(counts[1], 850, 1150);
    assert_in_range(counts[3], 850, 1150);
}

static void nobody_is_no_capacity(void **state)
{
    struct placement_request request = {0};
    struct rng rng;
    size_t index = 5;

    (void)state;
    rng_init(&rng, 1);
    assert_err(placement_select(NULL, 0, &request, &rng, &index),
               ERR_NO_CAPACITY);
    assert_int_equal(index, 5);
}

static void same_seed_same_choice(void **state)
{
    static struct placement_candidate candidates[COUNT_MAX];
    struct placement_request request = request_of(10, 10);
    struct rng first;
    struct rng second;
    struct rng fill;

    (void)state;
    rng_init(&fill, 3);
    for (size_t i = 0; i < COUNT_MAX; i++) {
        candidates[i] = ready();
        candidates[i].cpu_committed = (uint32_t)rng_below(&fill, 1001);
        candidates[i].memory_committed = (uint32_t)rng_below(&fill, 1001);
        candidates[i].sandboxes = (uint32_t)rng_below(&fill, 150);
    }
    rng_init(&first, 11);
    rng_init(&second, 11);
    for (int i = 0; i < 100; i++) {
        size_t a = 0;
        size_t b = 1;

        assert_ok(
            placement_select(candidates, COUNT_MAX, &request, &first, &a));
        assert_ok(
            placement_select(candidates, COUNT_MAX, &request, &second, &b));
        assert_int_equal(a, b);
    }
}

/* The herd: many selections on one old picture must not all hit one worker. */
static void alike_workers_are_used_alike(void **state)
{
    static struct placement_candidate candidates[50];
    unsigned counts[50];

    (void)state;
    for (size_t i = 0; i < 50; i++) {
        candidates[i] = ready();
        candidates[i].cpu_committed = (uint32_t)i; /* 0 to 4.9 points */
    }
    tally(candidates, 50, PLACEMENT_SPREAD, counts);
    for (size_t i = 0; i < 50; i++) {
        assert_in_range(counts[i], 20, 120);
    }
}

static void verdicts_have_names(void **state)
{
    (void)state;
    for (int i = 0; i < PLACEMENT_VERDICTS; i++) {
        const char *name = placement_verdict_name((enum placement_verdict)i);

        assert_non_null(name);
        for (int j = 0; j < i; j++) {
            assert_string_not_equal(
                name, placement_verdict_name((enum placement_verdict)j));
        }
    }
    assert_string_equal(placement_verdict_name(PLACEMENT_NO_MEMORY),
                        "no_memory");
}

/* Into ret_chosen, for "sandbox-<number>". */
static void replicas_of(int number, const uint64_t *members,
                        size_t member_count, size_t count, uint64_t *ret_chosen)
{
    char id[32];
    int size = snprintf(id, sizeof(id), "sandbox-%d", number);

    placement_replicas((const uint8_t *)id, (size_t)size, members, member_count,
                       count, ret_chosen);
}

static const uint64_t members_7[7] = {11, 22, 33, 44, 55, 66, 77};

static bool has(const uint64_t *ids, size_t count, uint64_t id)
{
    for (size_t i = 0; i < count; i++) {
        if (ids[i] == id) {
            return true;
        }
    }
    return false;
}

static void replicas_are_different_members(void **state)
{
    uint64_t chosen[8];

    (void)state;
    for (int number = 0; number < 200; number++) {
        for (size_t count = 0; count <= 7; count++) {
            chosen[count] = 4711;
            replicas_of(number, members_7, 7, count, chosen);
            assert_int_equal(chosen[count], 4711);
            for (size_t i = 0; i < count; i++) {
                assert_true(has(members_7, 7, chosen[i]));
                assert_false(has(chosen, i, chosen[i]));
            }
        }
    }
}

static void replicas_do_not_depend_on_the_order(void **state)
{
    static const uint64_t reversed[7] = {77, 66, 55, 44, 33, 22, 11};
    uint64_t a[3];
    uint64_t b[3];

    (void)state;
    for (int number = 0; number < 200; number++) {
        replicas_of(number, members_7, 7, 3, a);
        replicas_of(number, reversed, 7, 3, b);
        assert_memory_equal(a, b, sizeof(a));
    }
}

static void a_lost_member_moves_only_its_own_replicas(void **state)
{
    uint64_t before[3];
    uint64_t after[3];

    (void)state;
    for (int number = 0; number < 500; number++) {
        size_t kept = 0;

        replicas_of(number, members_7, 7, 3, before);
        replicas_of(number, members_7, 6, 3, after);
        for (size_t i = 0; i < 3; i++) {
            kept += before[i] == 77 || has(after, 3, before[i]);
        }
        assert_int_equal(kept, 3);
    }
}

static void replicas_are_spread_evenly(void **state)
{
    unsigned counts[7] = {0};
    uint64_t chosen[3];

    (void)state;
    for (int number = 0; number < 7000; number++) {
        replicas_of(number, members_7, 7, 3, chosen);
        for (size_t i = 0; i < 3; i++) {
            counts[chosen[i] / 11 - 1]++;
        }
    }
    for (size_t i = 0; i < 7; i++) {
        assert_in_range(counts[i], 2800, 3200);
    }
}

/* Among whom the greatest weight chooses: as evenly, and whoever looks. */
static void names_are_chosen_evenly(void **state)
{
    const char *const names[] = {"w1@h", "w2@h", "w3@h"};
    unsigned counts[3] = {0};

    (void)state;
    for (uint64_t number = 0; number < 3000; number++) {
        struct bytes id = bytes_of(&number, sizeof(number));
        size_t best = 0;

        for (size_t i = 1; i < 3; i++) {
            if (placement_weight(id, bytes_of_string(names[i])) >
                placement_weight(id, bytes_of_string(names[best]))) {
                best = i;
            }
        }
        counts[best]++;
    }
    for (size_t i = 0; i < 3; i++) {
        assert_in_range(counts[i], 850, 1150);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_reason_has_its_verdict),
        cmocka_unit_test(zero_capacity_is_unlimited),
        cmocka_unit_test(spread_is_the_formula_of_the_users),
        cmocka_unit_test(pack_likes_the_fullest_but_not_the_hot),
        cmocka_unit_test(near_ties_share_and_the_rest_get_nothing),
        cmocka_unit_test(random_takes_any_that_fits),
        cmocka_unit_test(nobody_is_no_capacity),
        cmocka_unit_test(same_seed_same_choice),
        cmocka_unit_test(alike_workers_are_used_alike),
        cmocka_unit_test(verdicts_have_names),
        cmocka_unit_test(replicas_are_different_members),
        cmocka_unit_test(replicas_do_not_depend_on_the_order),
        cmocka_unit_test(a_lost_member_moves_only_its_own_replicas),
        cmocka_unit_test(replicas_are_spread_evenly),
        cmocka_unit_test(names_are_chosen_evenly),
    };

    return cmocka_run_group_tests_name("placement", tests, NULL, NULL);
}
