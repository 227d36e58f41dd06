/* SPDX-License-Identifier: Apache-2.0
 * Patterns of node names, also against a naive matcher. */
#include "base/rng.h"
#include "lib/test.h"
#include "security/pattern.h"

static bool matches(const char *pattern, const char *name)
{
    return pattern_matches(bytes_of_string(pattern), bytes_of_string(name));
}

static void stars_stand_for_any_run(void **state)
{
    (void)state;
    assert_true(matches("q1@h", "q1@h"));
    assert_true(matches("*", "q1@h"));
    assert_true(matches("*", ""));
    assert_true(matches("q*@h", "q1@h"));
    assert_true(matches("q*@h", "q@h"));
    assert_true(matches("*@h", "q1@h"));
    assert_true(matches("q1@*", "q1@h"));
    assert_true(matches("q1@h*", "q1@h"));
    assert_true(matches("*a*b*", "xaybz"));
    assert_true(matches("*ab", "aab"));
    assert_true(matches("a**b", "ab"));
    assert_true(matches("", ""));
}

static void all_else_stands_for_itself(void **state)
{
    (void)state;
    assert_false(matches("", "q1@h"));
    assert_false(matches("q1@h", ""));
    assert_false(matches("q1@h", "q1@h2"));
    assert_false(matches("q1@h2", "q1@h"));
    assert_false(matches("q1@h", "Q1@h"));
    assert_false(matches("q*@h", "q1@h2"));
    assert_false(matches("*@h", "q1@g"));
    assert_false(matches("q.@h", "q1@h"));
    assert_false(matches("q?@h", "q1@h"));
    assert_false(matches("*a*b*", "xbya"));
    assert_false(matches("**a", "b"));
}

/* A name cannot bring stars of its own. */
static void stars_in_a_name_are_characters(void **state)
{
    (void)state;
    assert_false(matches("q1@h", "*"));
    assert_true(matches("q*", "q*"));
}

static bool naive(struct bytes pattern, struct bytes name)
{
    struct bytes rest;

    if (pattern.size == 0) {
        return name.size == 0;
    }
    rest = bytes_of(pattern.data + 1, pattern.size - 1);
    if (pattern.data[0] != '*') {
        return name.size > 0 && name.data[0] == pattern.data[0] &&
               naive(rest, bytes_of(name.data + 1, name.size - 1));
    }
    for (size_t i = 0; i <= name.size; i++) {
        if (naive(rest, bytes_of(name.data + i, name.size - i))) {
            return true;
        }
    }
    return false;
}

static void agrees_with_a_naive_matcher(void **state)
{
    struct rng rng;
    int matching = 0;

    (void)state;
    rng_init(&rng, 7);
    for (int round = 0; round < 50000; round++) {
        uint8_t pattern[6];
        uint8_t name[8];
        size_t pattern_size = rng_below(&rng, sizeof(pattern) + 1);
        size_t name_size = rng_below(&rng, sizeof(name) + 1);
        bool is_match;

        for (size_t i = 0; i < pattern_size; i++) {
            pattern[i] = (uint8_t) "ab*"[rng_below(&rng, 3)];
        }
        for (size_t i = 0; i < name_size; i++) {
            name[i] = (uint8_t) "ab"[rng_below(&rng, 2)];
        }
        is_match = pattern_matches(bytes_of(pattern, pattern_size),
                                   bytes_of(name, name_size));
        assert_int_equal(is_match, naive(bytes_of(pattern, pattern_size),
                                         bytes_of(name, name_size)));
        matching += is_match;
    }
    assert_in_range(matching, 1000, 49000);
}

/* The naive one would take ages. */
static void many_stars_cost_little(void **state)
{
    char pattern[255];
    char name[255];

    (void)state;
    for (size_t i = 0; i < sizeof(pattern); i++) {
        pattern[i] = i % 2 == 0 ? '*' : 'a';
        name[i] = 'a';
    }
    pattern[sizeof(pattern) - 1] = 'b';
    assert_false(pattern_matches(bytes_of(pattern, sizeof(pattern)),
                                 bytes_of(name, sizeof(name))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stars_stand_for_any_run),
        cmocka_unit_test(all_else_stands_for_itself),
        cmocka_unit_test(stars_in_a_name_are_characters),
        cmocka_unit_test(agrees_with_a_naive_matcher),
        cmocka_unit_test(many_stars_cost_little),
    };

    return cmocka_run_group_tests_name("security_pattern", tests, NULL, NULL);
}
