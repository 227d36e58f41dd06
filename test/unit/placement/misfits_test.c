/* SPDX-License-Identifier: Apache-2.0
 * placement/misfits: against a list of all that did not fit. */
#include "base/rng.h"
#include "lib/test.h"
#include "placement/misfits.h"

enum { ADDED = 200, ROUNDS = 50, NEED_MAX = 40 };

static bool one_is_within(const struct misfit *all, size_t count, uint32_t cpu,
                          uint32_t memory)
{
    for (size_t i = 0; i < count; i++) {
        if (all[i].cpu <= cpu && all[i].memory <= memory) {
            return true;
        }
    }
    return false;
}

static void assert_none_within_another(const struct misfits *misfits)
{
    for (size_t i = 0; i < misfits->count; i++) {
        for (size_t k = 0; k < misfits->count; k++) {
            const struct misfit *one = &misfits->needs[i];
            const struct misfit *other = &misfits->needs[k];

            assert_true(i == k || one->cpu > other->cpu ||
                        one->memory > other->memory);
        }
    }
}

static void know_what_a_list_of_all_knows(void **state)
{
    struct misfit all[ADDED];
    struct rng rng;

    (void)state;
    rng_init(&rng, 5);
    for (int round = 0; round < ROUNDS; round++) {
        struct misfits misfits = {.count = 0};

        for (size_t i = 0; i < ADDED; i++) {
            all[i].cpu = (uint32_t)rng_below(&rng, NEED_MAX);
            all[i].memory = (uint32_t)rng_below(&rng, NEED_MAX);
            assert_true(misfits_add(&misfits, all[i].cpu, all[i].memory));
            assert_none_within_another(&misfits);
            for (int probe = 0; probe < 20; probe++) {
                uint32_t cpu = (uint32_t)rng_below(&rng, NEED_MAX + 2);
                uint32_t memory = (uint32_t)rng_below(&rng, NEED_MAX + 2);

                assert_int_equal(misfits_have(&misfits, cpu, memory),
                                 one_is_within(all, i + 1, cpu, memory));
            }
        }
    }
}

/* The more of the one, the less of the other: none is within another. */
static void have_a_limit(void **state)
{
    struct misfits misfits = {.count = 0};

    (void)state;
    for (uint32_t i = 0; i < MISFITS_MAX; i++) {
        assert_true(misfits_add(&misfits, 100 + i, 200 - i));
    }
    assert_false(misfits_add(&misfits, 100 + MISFITS_MAX, 200 - MISFITS_MAX));
    assert_int_equal(misfits.count, MISFITS_MAX);
    assert_true(misfits_have(&misfits, 100, 200));
    assert_false(misfits_have(&misfits, 100 + MISFITS_MAX, 200 - MISFITS_MAX));
    /* What is within all of them takes their place. */
    assert_true(misfits_add(&misfits, 1, 1));
    assert_int_equal(misfits.count, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(know_what_a_list_of_all_knows),
        cmocka_unit_test(have_a_limit),
    };

    return cmocka_run_group_tests_name("placement_misfits", tests, NULL, NULL);
}
