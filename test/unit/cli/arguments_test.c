/* SPDX-License-Identifier: Apache-2.0
 * The arguments of commands of two words, and which command takes which. */
#include "cli/arguments.h"
#include "lib/test.h"

#include <string.h>

enum { ERROR_SIZE_MAX = 4096 };

struct fixture {
    struct options options;
    struct arguments arguments;
    struct buf error;
};

static int setup(void **state)
{
    static struct fixture fixture;

    memset(&fixture, 0, sizeof(fixture));
    buf_init(&fixture.error, ERROR_SIZE_MAX);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    buf_close(&fixture->error);
    return 0;
}

#define READ(fixture, ...) \
    read_words((fixture), (const char *const[]){__VA_ARGS__, NULL})

static int read_words(struct fixture *fixture, const char *const *argv)
{
    int rv;

    buf_clear(&fixture->error);
    memset(&fixture->options, 0, sizeof(fixture->options));
    settings_init(&fixture->options.settings);
    fixture->options.command = OPTIONS_HELP;
    fixture->options.help_topic = OPTIONS_HELP;
    rv = arguments_read(&fixture->options, argv, &fixture->arguments,
                        &fixture->error);
    assert_true((rv == 0) == (fixture->error.size == 0));
    return rv;
}

#define assert_error(fixture, text) \
    assert_bytes(buf_bytes(&(fixture)->error), (text), strlen(text))

static void two_words_are_one_command(void **state)
{
    struct fixture *fixture = *state;
    const struct options_local *local = &fixture->options.local;

    assert_ok(READ(fixture, "pki", "init", "--dir", "d", "--cluster=blue",
                   "--days", "36500"));
    assert_int_equal(fixture->options.command, OPTIONS_PKI_INIT);
    assert_string_equal(local->dir, "d");
    assert_string_equal(local->cluster, "blue");
    assert_int_equal(local->days, 36500);
    assert_ok(READ(fixture, "pki", "-o", "json", "show", "ca.pem"));
    assert_int_equal(fixture->options.command, OPTIONS_PKI_SHOW);
    assert_int_equal(fixture->options.output, OPTIONS_JSON);
    assert_int_equal(local->word_count, 1);
    assert_string_equal(local->words[0], "ca.pem");
    assert_ok(READ(fixture, "cookie", "new", "--file", "f"));
    assert_int_equal(fixture->options.command, OPTIONS_COOKIE_NEW);
    assert_string_equal(local->file, "f");
}

static void names_are_words_or_options(void **state)
{
    struct fixture *fixture = *state;
    const struct options_local *local = &fixture->options.local;

    assert_ok(READ(fixture, "pki", "issue", "--dir", "d", "a@h", "--name",
                   "b@h", "--role", "worker", "c@h", "--san",
                   "DNS:x,IP:1.2.3.4", "--san=DNS:y", "--force", "--out", "o"));
    assert_int_equal(local->word_count, 3);
    assert_string_equal(local->words[0], "a@h");
    assert_string_equal(local->words[1], "b@h");
    assert_string_equal(local->words[2], "c@h");
    assert_string_equal(local->role, "worker");
    assert_int_equal(local->san_count, 2);
    assert_string_equal(local->sans[1], "DNS:y");
    assert_string_equal(local->out, "o");
    assert_true(local->force);
    assert_int_equal(local->days, 0);
}

static void option_with_the_name_of_a_setting_is_told_apart(void **state)
{
    struct fixture *fixture = *state;
    const struct options *options = &fixture->options;

    assert_ok(READ(fixture, "start", "--name", "a@h"));
    assert_string_equal(options->settings.name, "a@h");
    assert_int_equal(options->local.word_count, 0);
    assert_ok(READ(fixture, "--name", "a@h", "start"));
    assert_string_equal(options->settings.name, "a@h");
    assert_ok(READ(fixture, "pki", "issue", "--name", "a@h", "--dir", "d"));
    assert_string_equal(options->settings.name, "");
    assert_int_equal(options->local.word_count, 1);
    assert_err(READ(fixture, "status", "--name", "a@h"), ERR_BADARG);
    assert_error(fixture, "--name is an option of `quorate start`, not of "
                          "`quorate status`");
}

static void half_a_command_is_completed(void **state)
{
    struct fixture *fixture = *state;

    assert_err(READ(fixture, "pki"), ERR_BADARG);
    assert_error(fixture, "`quorate pki` is half a command; give `pki init` or "
                          "`pki issue` or `pki show`");
    assert_err(READ(fixture, "cookie", "--file", "f"), ERR_BADARG);
    assert_error(fixture,
                 "`quorate cookie` is half a command; give `cookie new`");
}

static void unknown_word_gets_a_suggestion(void **state)
{
    char longest[300];
    struct fixture *fixture = *state;

    assert_err(READ(fixture, "pki", "isue"), ERR_NOT_FOUND);
    assert_error(fixture,
                 "unknown command 'pki isue'; did you mean 'pki issue'?");
    assert_err(READ(fixture, "cokie"), ERR_NOT_FOUND);
    assert_error(fixture, "unknown command 'cokie'; did you mean 'cookie'?");
    assert_err(READ(fixture, "pki", "pki"), ERR_NOT_FOUND);
    assert_err(READ(fixture, "pki", "start"), ERR_NOT_FOUND);
    assert_err(READ(fixture, "pki init"), ERR_BADARG); /* --dir is missing */
    memset(longest, 'x', sizeof(longest));
    longest[sizeof(longest) - 1] = '\0';
    assert_err(READ(fixture, "pki", longest), ERR_NOT_FOUND);
}

static void what_a_command_needs_is_asked_for(void **state)
{
    struct fixture *fixture = *state;

    assert_err(READ(fixture, "pki", "init"), ERR_BADARG);
    assert_error(fixture, "`quorate pki init` needs --dir DIR");
    assert_err(READ(fixture, "pki", "issue", "--dir", "d"), ERR_BADARG);
    assert_error(fixture,
                 "`quorate pki issue` needs a name; give [NAME@HOST...]");
    assert_err(READ(fixture, "pki", "show"), ERR_BADARG);
    assert_error(fixture, "`quorate pki show` needs a name; give FILE|DIR");
}

static void what_no_command_takes_is_refused(void **state)
{
    struct fixture *fixture = *state;

    assert_err(READ(fixture, "cookie", "new", "--days", "3"), ERR_BADARG);
    assert_error(fixture, "--days is not an option of `quorate cookie new`");
    assert_err(READ(fixture, "cookie", "new", "--cookie-file", "f"),
               ERR_BADARG);
    assert_error(fixture, "--cookie-file is an option of `quorate start`, not "
                          "of `quorate cookie new`");
    assert_err(READ(fixture, "pki", "show", "a", "b"), ERR_BADARG);
    assert_error(fixture, "'b' is one word too many; options begin with --");
    assert_err(READ(fixture, "version", "--target", "q@h"), ERR_BADARG);
}

static void bad_values_are_refused(void **state)
{
    struct fixture *fixture = *state;
    const char *many[2 * (OPTIONS_SANS_MAX + 1) + 1] = {NULL};

    assert_err(READ(fixture, "pki", "issue", "--role", "king"), ERR_BADARG);
    assert_error(fixture, "--role: 'king' is no role; give member, worker or "
                          "client");
    assert_err(READ(fixture, "pki", "issue", "--name", "king"), ERR_BADARG);
    assert_err(READ(fixture, "pki", "issue", "--days", "36501"), ERR_BADARG);
    assert_err(READ(fixture, "pki", "issue", "--force=x"), ERR_BADARG);
    assert_error(fixture, "--force takes no value");
    for (size_t i = 0; i < 2 * (OPTIONS_SANS_MAX + 1); i += 2) {
        many[i] = "--san";
        many[i + 1] = "DNS:x";
    }
    assert_err(read_words(fixture, many), ERR_LIMIT);
    assert_error(fixture, "--san: it is given too often; 32 are the most");
}

static void so_many_words_are_taken_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    const char *words[OPTIONS_WORDS_MAX + 6] = {"pki", "issue", "--dir", "d"};

    for (size_t i = 0; i < OPTIONS_WORDS_MAX; i++) {
        words[4 + i] = "a@h";
    }
    assert_ok(read_words(fixture, words));
    assert_int_equal(fixture->options.local.word_count, OPTIONS_WORDS_MAX);
    words[4 + OPTIONS_WORDS_MAX] = "b@h";
    assert_err(read_words(fixture, words), ERR_BADARG);
}

static void help_has_topics_of_two_words_and_of_one(void **state)
{
    struct fixture *fixture = *state;
    const struct options *options = &fixture->options;

    assert_ok(READ(fixture, "help", "pki", "issue"));
    assert_int_equal(options->help_topic, OPTIONS_PKI_ISSUE);
    assert_null(options->help_group);
    assert_ok(READ(fixture, "help", "pki"));
    assert_int_equal(options->command, OPTIONS_HELP);
    assert_string_equal(options->help_group, "pki");
    assert_ok(READ(fixture, "cookie", "--help"));
    assert_int_equal(options->command, OPTIONS_HELP);
    assert_string_equal(options->help_group, "cookie");
    assert_ok(READ(fixture, "pki", "init", "-h"));
    assert_int_equal(options->help_topic, OPTIONS_PKI_INIT);
    assert_null(options->help_group);
    assert_ok(READ(fixture, "help", "status", "--help"));
    assert_int_equal(options->help_topic, OPTIONS_STATUS);
    assert_err(READ(fixture, "help", "pki", "me"), ERR_NOT_FOUND);
    assert_err(READ(fixture, "help", "status", "pki"), ERR_BADARG);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(two_words_are_one_command),
        TEST(names_are_words_or_options),
        TEST(option_with_the_name_of_a_setting_is_told_apart),
        TEST(half_a_command_is_completed),
        TEST(unknown_word_gets_a_suggestion),
        TEST(what_a_command_needs_is_asked_for),
        TEST(what_no_command_takes_is_refused),
        TEST(bad_values_are_refused),
        TEST(so_many_words_are_taken_and_no_more),
        TEST(help_has_topics_of_two_words_and_of_one),
    };

    return cmocka_run_group_tests_name("cli_arguments", tests, NULL, NULL);
}
