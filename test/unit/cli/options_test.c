/* SPDX-License-Identifier: Apache-2.0
 * The command line, the environment and the file together. */
#include "cli/options.h"
#include "lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { WORDS_MAX = 32 };

struct fixture {
    struct options options;
    struct buf error;
    const char *environment[WORDS_MAX + 1];
    char file[64]; /* a configuration file; "" if there is none */
};

static int setup(void **state)
{
    static struct fixture fixture;

    memset(&fixture, 0, sizeof(fixture));
    buf_init(&fixture.error, SETTINGS_ERROR_SIZE_MAX);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    buf_close(&fixture->error);
    if (fixture->file[0] != '\0') {
        (void)unlink(fixture->file);
    }
    return 0;
}

/* Makes the configuration file and returns its name. */
static const char *with_file(struct fixture *fixture, const char *text)
{
    int fd;

    (void)snprintf(fixture->file, sizeof(fixture->file),
                   "/tmp/quorate-options-XXXXXX");
    fd = mkstemp(fixture->file);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, text, strlen(text)), strlen(text));
    (void)close(fd);
    return fixture->file;
}

static void with_variable(struct fixture *fixture, const char *variable)
{
    size_t i = 0;

    while (fixture->environment[i] != NULL) {
        i++;
    }
    assert_true(i < WORDS_MAX);
    fixture->environment[i] = variable;
}

/* Reads `quorate` with the given words, NULL at the end. */
#define READ(fixture, ...) \
    read_words((fixture), (const char *const[]){"quorate", __VA_ARGS__, NULL})

static enum cli_exit read_words(struct fixture *fixture,
                                const char *const *argv)
{
    enum cli_exit rv;

    buf_clear(&fixture->error);
    rv = options_read(&fixture->options, argv, fixture->environment,
                      &fixture->error);
    assert_true((rv == CLI_EXIT_OK) == (fixture->error.size == 0));
    return rv;
}

#define assert_error(fixture, text) \
    assert_bytes(buf_bytes(&(fixture)->error), (text), strlen(text))

#define START \
    "start", "--name", "q1@127.0.0.1", "--cookie-file", "/c", "--data-dir", "/d"

static void start_takes_the_flags_of_the_manual(void **state)
{
    struct fixture *fixture = *state;
    const struct settings *settings = &fixture->options.settings;

    assert_int_equal(READ(fixture, START, "--listen", "127.0.0.1:4001",
                          "--member", "q1@127.0.0.1=127.0.0.1:4001", "--member",
                          "q2@127.0.0.1=127.0.0.1:4002",
                          "--member=q3@127.0.0.1=127.0.0.1:4003"),
                     CLI_EXIT_OK);
    assert_int_equal(fixture->options.command, OPTIONS_START);
    assert_string_equal(settings->name, "q1@127.0.0.1");
    assert_string_equal(settings->cookie_file, "/c");
    assert_string_equal(settings->data_dir, "/d");
    assert_int_equal(settings->listen.port, 4001);
    assert_int_equal(settings->member_count, 3);
    assert_string_equal(settings->members[2].name, "q3@127.0.0.1");
    assert_int_equal(settings->members[2].address.port, 4003);
}

static void bool_flag_may_have_a_value_or_none(void **state)
{
    struct fixture *fixture = *state;
    const struct settings *settings = &fixture->options.settings;

    assert_int_equal(READ(fixture, START, "--supervised", "--epmd", "false"),
                     CLI_EXIT_OK);
    assert_true(settings->supervised);
    assert_false(settings->epmd);
    assert_int_equal(READ(fixture, START, "--epmd=false", "--supervised",
                          "--log-level", "debug"),
                     CLI_EXIT_OK);
    assert_true(settings->supervised);
    assert_false(settings->epmd);
    assert_int_equal(READ(fixture, START, "--epmd=maybe"), CLI_EXIT_USAGE);
    assert_error(fixture, "epmd: 'maybe' will not do; give true or false");
}

static void options_may_stand_before_the_command(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(READ(fixture, "-o", "json", "--timeout=250", "status",
                          "--target", "q1@h"),
                     CLI_EXIT_OK);
    assert_int_equal(fixture->options.command, OPTIONS_STATUS);
    assert_int_equal(fixture->options.output, OPTIONS_JSON);
    assert_int_equal(fixture->options.timeout_ms, 250);
}

static void short_options_take_joined_values(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(READ(fixture, "members", "-ojson", "-tq1@h"), CLI_EXIT_OK);
    assert_int_equal(fixture->options.output, OPTIONS_JSON);
    assert_string_equal(fixture->options.target.name, "q1@h");
}

static void client_has_defaults(void **state)
{
    struct fixture *fixture = *state;

    with_variable(fixture, "HOME=/home/ann");
    assert_int_equal(READ(fixture, "workers", "-t", "q1@h"), CLI_EXIT_OK);
    assert_int_equal(fixture->options.output, OPTIONS_TABLE);
    assert_int_equal(fixture->options.timeout_ms, 5000);
    assert_false(fixture->options.target.has_address);
    assert_string_equal(fixture->options.settings.cookie_file,
                        "/home/ann/.erlang.cookie");
}

static void target_may_have_an_address(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(READ(fixture, "status", "--target", "q1@h=127.0.0.1:4001"),
                     CLI_EXIT_OK);
    assert_string_equal(fixture->options.target.name, "q1@h");
    assert_true(fixture->options.target.has_address);
    assert_int_equal(fixture->options.target.address.port, 4001);
    assert_int_equal(READ(fixture, "status", "--target", "q1"), CLI_EXIT_USAGE);
    assert_error(fixture, "--target: 'q1' is no node name; give NAME@HOST, "
                          "such as q1@127.0.0.1");
}

static void client_without_a_target_takes_that_of_the_file(void **state)
{
    struct fixture *fixture = *state;
    const char *file = with_file(fixture, "name = q1@127.0.0.1\n"
                                          "cookie_file = /c\n"
                                          "listen = 127.0.0.1:4001\n");

    assert_int_equal(READ(fixture, "status", "--config", file), CLI_EXIT_OK);
    assert_string_equal(fixture->options.target.name, "q1@127.0.0.1");
    assert_true(fixture->options.target.has_address);
    assert_int_equal(fixture->options.target.address.port, 4001);
    assert_string_equal(fixture->options.settings.cookie_file, "/c");
}

static void client_without_any_target_is_told_what_to_do(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(READ(fixture, "status"), CLI_EXIT_USAGE);
    assert_error(fixture, "which member? give --target NAME@HOST or "
                          "--config FILE");
}

static void flag_beats_environment_beats_file(void **state)
{
    struct fixture *fixture = *state;
    const struct settings *settings = &fixture->options.settings;
    const char *file = with_file(fixture, "ttl_owner_ms = 301\n"
                                          "requests_max = 302\n"
                                          "ttl_leader_ms = 9303\n");

    with_variable(fixture, "QUORATE_TTL_OWNER_MS=201");
    with_variable(fixture, "QUORATE_REQUESTS_MAX=202");
    assert_int_equal(
        READ(fixture, START, "--config", file, "--ttl-owner-ms", "101"),
        CLI_EXIT_OK);
    assert_int_equal(settings->ttl_owner_ms, 101);
    assert_int_equal(settings->requests_max, 202);
    assert_int_equal(settings->ttl_leader_ms, 9303);
}

static void environment_sets_options_unless_a_flag_does(void **state)
{
    struct fixture *fixture = *state;
    const struct options *options = &fixture->options;

    with_variable(fixture, "QUORATE_OUTPUT=json");
    with_variable(fixture, "QUORATE_TIMEOUT=77");
    with_variable(fixture, "QUORATE_TARGET=q9@h");
    assert_int_equal(READ(fixture, "status", "--timeout", "88"), CLI_EXIT_OK);
    assert_int_equal(options->output, OPTIONS_JSON);
    assert_int_equal(options->timeout_ms, 88);
    assert_string_equal(options->target.name, "q9@h");
}

static void environment_lists_members_with_commas(void **state)
{
    struct fixture *fixture = *state;

    with_variable(fixture, "QUORATE_MEMBER=q1@127.0.0.1=127.0.0.1:1,"
                           "q2@h=h:2,q3@h=h:3");
    assert_int_equal(READ(fixture, START), CLI_EXIT_OK);
    assert_int_equal(fixture->options.settings.member_count, 3);
    assert_int_equal(fixture->options.settings.listen.port, 1);
}

static void bad_environment_is_a_configuration_error(void **state)
{
    struct fixture *fixture = *state;

    with_variable(fixture, "QUORATE_EPMD=maybe");
    assert_int_equal(READ(fixture, START), CLI_EXIT_CONFIG);
    assert_error(fixture, "QUORATE_EPMD: epmd: 'maybe' will not do; give true "
                          "or false");
}

static void empty_and_foreign_variables_are_ignored(void **state)
{
    struct fixture *fixture = *state;

    with_variable(fixture, "QUORATE_EPMD=");
    with_variable(fixture, "QUORATE_EPMDX=1");
    with_variable(fixture, "QUORATE");
    assert_int_equal(READ(fixture, START), CLI_EXIT_OK);
    assert_true(fixture->options.settings.epmd);
}

static void file_error_has_its_place(void **state)
{
    struct fixture *fixture = *state;
    const char *file = with_file(fixture, "# x\ndata_dri = /d\n");
    char expected[256];

    assert_int_equal(READ(fixture, START, "--config", file), CLI_EXIT_CONFIG);
    (void)snprintf(expected, sizeof(expected),
                   "%s:2:1: unknown setting 'data_dri'; did you mean "
                   "'data_dir'?",
                   file);
    assert_error(fixture, expected);
}

static void file_that_cannot_be_read_is_a_configuration_error(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(READ(fixture, START, "--config", "/nonesuch/q.conf"),
                     CLI_EXIT_CONFIG);
    assert_error(fixture, "cannot read the configuration file "
                          "'/nonesuch/q.conf': No such file or directory");
    assert_int_equal(READ(fixture, START, "--config", "/tmp"), CLI_EXIT_CONFIG);
}

static void settings_that_do_not_fit_are_a_configuration_error(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(READ(fixture, START, "--ttl-owner-ms", "4000"),
                     CLI_EXIT_CONFIG);
    assert_int_equal(READ(fixture, "start"), CLI_EXIT_CONFIG);
    assert_error(fixture, "the name of the member is not set; give --name "
                          "NAME@HOST");
}

static void unknown_option_gets_a_suggestion(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(READ(fixture, "start", "--data-dri", "/d"),
                     CLI_EXIT_USAGE);
    assert_error(fixture,
                 "unknown option '--data-dri'; did you mean '--data-dir'?");
    assert_int_equal(READ(fixture, "start", "--zzzzzz"), CLI_EXIT_USAGE);
    assert_error(fixture, "unknown option '--zzzzzz'; `quorate help COMMAND` "
                          "lists them all");
    assert_int_equal(READ(fixture, "start", "--data_dir", "/d"),
                     CLI_EXIT_USAGE);
    assert_error(fixture,
                 "unknown option '--data_dir'; did you mean '--data-dir'?");
    assert_int_equal(READ(fixture, "status", "-x"), CLI_EXIT_USAGE);
    assert_int_equal(READ(fixture, "status", "--"), CLI_EXIT_USAGE);
}

static void unknown_command_gets_a_suggestion(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(READ(fixture, "stats"), CLI_EXIT_USAGE);
    assert_error(fixture, "unknown command 'stats'; did you mean 'status'?");
    assert_int_equal(READ(fixture, "-"), CLI_EXIT_USAGE);
    assert_int_equal(READ(fixture, ""), CLI_EXIT_USAGE);
}

static void no_command_is_a_usage_error(void **state)
{
    struct fixture *fixture = *state;
    const char *const nothing[] = {NULL};
    const char *const program[] = {"quorate", NULL};

    assert_int_equal(read_words(fixture, program), CLI_EXIT_USAGE);
    assert_error(fixture, "there is no command; `quorate help` lists them all");
    assert_int_equal(read_words(fixture, nothing), CLI_EXIT_USAGE);
}

static void option_of_another_command_is_refused(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(READ(fixture, "status", "-t", "q@h", "--data-dir", "/d"),
                     CLI_EXIT_USAGE);
    assert_error(fixture, "--data-dir is an option of `quorate start`, not of "
                          "`quorate status`");
    assert_int_equal(READ(fixture, START, "--target", "q@h"), CLI_EXIT_USAGE);
    assert_error(fixture, "--target is not an option of `quorate start`");
}

static void word_too_many_is_refused(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(READ(fixture, "status", "q1@h"), CLI_EXIT_USAGE);
    assert_error(fixture, "'q1@h' is one word too many; options begin with "
                          "--");
}

static void missing_or_empty_value_is_refused(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(READ(fixture, "status", "--target"), CLI_EXIT_USAGE);
    assert_error(fixture, "--target needs a value; give "
                          "NAME@HOST[=ADDR:PORT]");
    assert_int_equal(READ(fixture, "status", "--target="), CLI_EXIT_USAGE);
    assert_int_equal(READ(fixture, "start", "--name"), CLI_EXIT_USAGE);
    assert_int_equal(READ(fixture, "start", "--name", ""), CLI_EXIT_USAGE);
    assert_int_equal(READ(fixture, "status", "--help=yes"), CLI_EXIT_USAGE);
    assert_error(fixture, "--help takes no value");
}

static void bad_output_and_timeout_are_refused(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(READ(fixture, "status", "-o", "xml"), CLI_EXIT_USAGE);
    assert_error(fixture, "--output: 'xml' is no form of output; give table "
                          "or json");
    assert_int_equal(READ(fixture, "status", "--timeout", "0"), CLI_EXIT_USAGE);
    assert_error(fixture, "--timeout: '0' will not do; give a whole number "
                          "from 1 to 3600000");
}

static void help_has_a_topic(void **state)
{
    struct fixture *fixture = *state;
    const struct options *options = &fixture->options;

    assert_int_equal(READ(fixture, "help"), CLI_EXIT_OK);
    assert_int_equal(options->command, OPTIONS_HELP);
    assert_int_equal(options->help_topic, OPTIONS_HELP);
    assert_int_equal(READ(fixture, "help", "status"), CLI_EXIT_OK);
    assert_int_equal(options->help_topic, OPTIONS_STATUS);
    assert_int_equal(READ(fixture, "start", "--help"), CLI_EXIT_OK);
    assert_int_equal(options->command, OPTIONS_HELP);
    assert_int_equal(options->help_topic, OPTIONS_START);
    assert_int_equal(READ(fixture, "-h"), CLI_EXIT_OK);
    assert_int_equal(options->help_topic, OPTIONS_HELP);
    assert_int_equal(READ(fixture, "help", "me"), CLI_EXIT_USAGE);
}

static void version_needs_nothing_and_ignores_the_environment(void **state)
{
    struct fixture *fixture = *state;

    with_variable(fixture, "QUORATE_EPMD=maybe");
    assert_int_equal(READ(fixture, "version"), CLI_EXIT_OK);
    assert_int_equal(fixture->options.command, OPTIONS_VERSION);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(start_takes_the_flags_of_the_manual),
        TEST(bool_flag_may_have_a_value_or_none),
        TEST(options_may_stand_before_the_command),
        TEST(short_options_take_joined_values),
        TEST(client_has_defaults),
        TEST(target_may_have_an_address),
        TEST(client_without_a_target_takes_that_of_the_file),
        TEST(client_without_any_target_is_told_what_to_do),
        TEST(flag_beats_environment_beats_file),
        TEST(environment_sets_options_unless_a_flag_does),
        TEST(environment_lists_members_with_commas),
        TEST(bad_environment_is_a_configuration_error),
        TEST(empty_and_foreign_variables_are_ignored),
        TEST(file_error_has_its_place),
        TEST(file_that_cannot_be_read_is_a_configuration_error),
        TEST(settings_that_do_not_fit_are_a_configuration_error),
        TEST(unknown_option_gets_a_suggestion),
        TEST(unknown_command_gets_a_suggestion),
        TEST(no_command_is_a_usage_error),
        TEST(option_of_another_command_is_refused),
        TEST(word_too_many_is_refused),
        TEST(missing_or_empty_value_is_refused),
        TEST(bad_output_and_timeout_are_refused),
        TEST(help_has_a_topic),
        TEST(version_needs_nothing_and_ignores_the_environment),
    };

    return cmocka_run_group_tests_name("cli_options", tests, NULL, NULL);
}
