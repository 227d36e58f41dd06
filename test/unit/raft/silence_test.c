/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/test.h"
#include "raft/silence.h"

enum { TIMEOUT_MS = 100, WINDOW_MS = TIMEOUT_MS * SILENCE_WINDOW_TIMEOUTS };

static void note(struct silence *silence, uint64_t gap_ms, uint64_t now_ms)
{
    silence_note(silence, gap_ms, now_ms, TIMEOUT_MS);
}

static void short_gaps_change_nothing(void **state)
{
    struct silence silence = {0};

    (void)state;
    assert_int_equal(silence_timeout_ms(&silence, TIMEOUT_MS), TIMEOUT_MS);
    for (uint64_t i = 1; i < 100; i++) {
        note(&silence, 50, i * 50);
        assert_int_equal(silence_timeout_ms(&silence, TIMEOUT_MS), TIMEOUT_MS);
    }
}

static void one_long_gap_is_a_pause_and_two_are_the_network(void **state)
{
    struct silence silence = {0};

    (void)state;
    note(&silence, 150, 1000);
    assert_int_equal(silence_timeout_ms(&silence, TIMEOUT_MS), TIMEOUT_MS);
    note(&silence, 20, 1020);
    assert_int_equal(silence_timeout_ms(&silence, TIMEOUT_MS), TIMEOUT_MS);
    note(&silence, 120, 1140);
    assert_int_equal(silence_timeout_ms(&silence, TIMEOUT_MS), 240);
    note(&silence, 190, 1330);
    assert_int_equal(silence_timeout_ms(&silence, TIMEOUT_MS), 300);
}

static void the_timeout_has_a_limit_and_outages_do_not_count(void **state)
{
    struct silence silence = {0};

    (void)state;
    note(&silence, 390, 1000);
    note(&silence, 380, 1400);
    assert_int_equal(silence_timeout_ms(&silence, TIMEOUT_MS), 400);
    silence = (struct silence){0};
    note(&silence, 401, 1000);
    note(&silence, 100000, 101000);
    assert_int_equal(silence_timeout_ms(&silence, TIMEOUT_MS), TIMEOUT_MS);
}

static void gaps_are_forgotten_after_two_windows(void **state)
{
    struct silence silence = {0};

    (void)state;
    note(&silence, 150, WINDOW_MS);
    note(&silence, 150, WINDOW_MS + 150);
    note(&silence, 20, 2 * WINDOW_MS);
    assert_int_equal(silence_timeout_ms(&silence, TIMEOUT_MS), 300);
    note(&silence, 20, 3 * WINDOW_MS);
    assert_int_equal(silence_timeout_ms(&silence, TIMEOUT_MS), TIMEOUT_MS);
    note(&silence, 150, 3 * WINDOW_MS + 1);
    note(&silence, 150, 3 * WINDOW_MS + 2);
    assert_int_equal(silence_timeout_ms(&silence, TIMEOUT_MS), 300);
    /* Nothing was heard for long: what was before is too old as well. */
    note(&silence, 20, 6 * WINDOW_MS);
    assert_int_equal(silence_timeout_ms(&silence, TIMEOUT_MS), TIMEOUT_MS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(short_gaps_change_nothing),
        cmocka_unit_test(one_long_gap_is_a_pause_and_two_are_the_network),
        cmocka_unit_test(the_timeout_has_a_limit_and_outages_do_not_count),
        cmocka_unit_test(gaps_are_forgotten_after_two_windows),
    };

    return cmocka_run_group_tests_name("raft/silence", tests, NULL, NULL);
}
