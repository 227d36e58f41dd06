/* SPDX-License-Identifier: Apache-2.0
 * The generator gives the published numbers, and bounded draws are fair. */
#include "base/rng.h"
#include "lib/test.h"

static void seed_gives_the_published_sequence(void **state)
{
    static const uint64_t expected[] = {
        6457827717110365317U, 3203168211198807973U, 9817491932198370423U,
        4593380528125082431U, 16408922859458223821U};
    struct rng rng;

    (void)state;
    rng_init(&rng, 1234567);
    for (size_t i = 0; i < 5; i++) {
        assert_true(rng_next(&rng) == expected[i]);
    }
}

static void bounded_draws_stay_below_and_reach_everything(void **state)
{
    struct rng rng;

    (void)state;
    rng_init(&rng, 42);
    for (uint64_t bound = 1; bound < 20; bound++) {
        int hits[20] = {0};

        for (int i = 0; i < 2000; i++) {
            uint64_t value = rng_below(&rng, bound);

            assert_true(value < bound);
            hits[value]++;
        }
        for (uint64_t value = 0; value < bound; value++) {
            /* Expected are 2000 / bound, more than 100; half is plenty. */
            assert_true(hits[value] > (int)(1000 / bound));
        }
    }
}

static void greatest_bounds_work(void **state)
{
    struct rng rng;

    (void)state;
    rng_init(&rng, 7);
    for (int i = 0; i < 1000; i++) {
        assert_true(rng_below(&rng, UINT64_MAX) < UINT64_MAX);
        assert_true(rng_below(&rng, (UINT64_C(1) << 63) + 1) <= UINT64_C(1)
                                                                    << 63);
        assert_true(rng_below(&rng, 1) == 0);
    }
}

static void equal_seeds_give_equal_draws(void **state)
{
    struct rng a;
    struct rng b;

    (void)state;
    rng_init(&a, 99);
    rng_init(&b, 99);
    for (int i = 0; i < 100; i++) {
        assert_true(rng_below(&a, 1000) == rng_below(&b, 1000));
    }
    rng_init(&b, 100);
    assert_true(rng_next(&a) != rng_next(&b));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(seed_gives_the_published_sequence),
        cmocka_unit_test(bounded_draws_stay_below_and_reach_everything),
        cmocka_unit_test(greatest_bounds_work),
        cmocka_unit_test(equal_seeds_give_equal_draws),
    };

    return cmocka_run_group_tests_name("base_rng", tests, NULL, NULL);
}
