/* SPDX-License-Identifier: Apache-2.0
 * The nearest of some words. */
#include "config/suggest.h"
#include "lib/test.h"

#include <string.h>

static const char *suggest(const char *word)
{
    static const char *const words[] = {"name", "data_dir", "listen",
                                        "log_level", "members"};
    struct suggestion suggestion;

    suggestion_init(&suggestion, bytes_of_string(word));
    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        suggestion_consider(&suggestion, words[i]);
    }
    return suggestion.best == NULL ? "nothing" : suggestion.best;
}

static void finds_a_word_with_one_letter_changed(void **state)
{
    (void)state;
    assert_string_equal(suggest("date_dir"), "data_dir");
}

static void finds_a_word_with_letters_missing_or_added(void **state)
{
    (void)state;
    assert_string_equal(suggest("listn"), "listen");
    assert_string_equal(suggest("loglevel"), "log_level");
    assert_string_equal(suggest("memberss"), "members");
}

static void counts_swapped_neighbours_as_one_edit(void **state)
{
    (void)state;
    assert_string_equal(suggest("nmae"), "name");
}

static void takes_hyphens_and_underscores_for_the_same(void **state)
{
    (void)state;
    assert_string_equal(suggest("data-dir"), "data_dir");
}

static void suggests_nothing_for_an_unlike_word(void **state)
{
    (void)state;
    assert_string_equal(suggest("zzzzzz"), "nothing");
    assert_string_equal(suggest("x"), "nothing");
    assert_string_equal(suggest(""), "nothing");
}

static void ignores_words_that_are_too_long(void **state)
{
    char word[SUGGEST_WORD_SIZE_MAX + 2];

    (void)state;
    memset(word, 'a', sizeof(word));
    word[sizeof(word) - 1] = '\0';
    assert_string_equal(suggest(word), "nothing");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_word_with_one_letter_changed),
        cmocka_unit_test(finds_a_word_with_letters_missing_or_added),
        cmocka_unit_test(counts_swapped_neighbours_as_one_edit),
        cmocka_unit_test(takes_hyphens_and_underscores_for_the_same),
        cmocka_unit_test(suggests_nothing_for_an_unlike_word),
        cmocka_unit_test(ignores_words_that_are_too_long),
    };

    return cmocka_run_group_tests_name("config_suggest", tests, NULL, NULL);
}
