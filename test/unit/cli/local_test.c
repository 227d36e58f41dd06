/* SPDX-License-Identifier: Apache-2.0
 * Commands that need no member: what they print, and their exit codes. */
#include "cli/local.h"
#include "io/pki.h"
#include "io/sys.h"
#include "lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { OUTPUT_SIZE_MAX = 65536, DAY_S = 24 * 60 * 60, COOKIE_SIZE = 53 };

struct fixture {
    char dir[64];
    char paths[3][96]; /* of an authority, and of a file */
    struct options options;
    struct buf output; /* with a 0 behind it */
};

static int setup(void **state)
{
    static struct fixture fixture;

    memset(&fixture, 0, sizeof(fixture));
    (void)snprintf(fixture.dir, sizeof(fixture.dir),
                   "/tmp/quorate-local-XXXXXX");
    if (mkdtemp(fixture.dir) == NULL) {
        return -1;
    }
    (void)snprintf(fixture.paths[0], sizeof(fixture.paths[0]), "%s/ca.pem",
                   fixture.dir);
    (void)snprintf(fixture.paths[1], sizeof(fixture.paths[1]), "%s/ca-key.pem",
                   fixture.dir);
    (void)snprintf(fixture.paths[2], sizeof(fixture.paths[2]), "%s/output",
                   fixture.dir);
    buf_init(&fixture.output, OUTPUT_SIZE_MAX);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    for (size_t i = 0; i < 3; i++) {
        (void)unlink(fixture->paths[i]); /* it may not be there */
    }
    (void)rmdir(fixture->dir);
    buf_close(&fixture->output);
    return 0;
}

/* Runs a command and takes what it prints, errors too. */
static int run(struct fixture *fixture, int64_t now_s)
{
    int out = dup(STDOUT_FILENO);
    int err = dup(STDERR_FILENO);
    FILE *file = fopen(fixture->paths[2], "we");
    int code;

    assert_non_null(file);
    assert_int_equal(fflush(stdout), 0);
    assert_int_equal(dup2(fileno(file), STDOUT_FILENO), STDOUT_FILENO);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    code = fixture->options.command == OPTIONS_COOKIE_NEW
               ? cookie_run(&fixture->options)
           : now_s == 0 ? pki_run(&fixture->options)
                        : pki_show_run(&fixture->options, now_s);
    assert_int_equal(fflush(stdout), 0);
    assert_int_equal(dup2(out, STDOUT_FILENO), STDOUT_FILENO);
    assert_int_equal(dup2(err, STDERR_FILENO), STDERR_FILENO);
    (void)close(out);
    (void)close(err);
    (void)fclose(file);
    assert_ok(
        sys_read_file(fixture->paths[2], OUTPUT_SIZE_MAX, &fixture->output));
    buf_put_u8(&fixture->output, 0);
    assert_int_equal(unlink(fixture->paths[2]), 0);
    return code;
}

#define assert_output(fixture, text) \
    assert_non_null(strstr((const char *)(fixture)->output.data, (text)))

static void make_authority(struct fixture *fixture, uint32_t days)
{
    fixture->options.command = OPTIONS_PKI_INIT;
    fixture->options.local.dir = fixture->dir;
    fixture->options.local.days = days;
    assert_int_equal(run(fixture, 0), CLI_EXIT_OK);
    assert_output(fixture, "ca-key.pem");
    fixture->options.command = OPTIONS_PKI_SHOW;
    fixture->options.local.words[0] = fixture->dir;
    fixture->options.local.word_count = 1;
}

static void expired_certificate_is_marked(void **state)
{
    struct fixture *fixture = *state;
    int64_t now_s = (int64_t)time(NULL);

    make_authority(fixture, 10);
    assert_int_equal(run(fixture, 0), CLI_EXIT_OK);
    assert_output(fixture, "validity    valid, ");
    assert_int_equal(run(fixture, now_s + 5 * DAY_S - 60), CLI_EXIT_OK);
    assert_output(fixture, "validity    valid, 5 days left\n");
    assert_int_equal(run(fixture, now_s + 11 * DAY_S), CLI_EXIT_OK);
    assert_output(fixture, "validity    EXPIRED\n");
    assert_int_equal(run(fixture, now_s - DAY_S), CLI_EXIT_OK);
    assert_output(fixture, "validity    NOT YET VALID, 11 days left\n");
}

static void programs_see_the_same(void **state)
{
    struct fixture *fixture = *state;
    int64_t now_s = (int64_t)time(NULL);

    make_authority(fixture, 10);
    fixture->options.output = OPTIONS_JSON;
    assert_int_equal(run(fixture, now_s + 5 * DAY_S - 60), CLI_EXIT_OK);
    assert_output(fixture, "{\"schema\":\"quorate.pki/1\",\"certificates\":[{");
    assert_output(fixture, "\"validity\":\"valid\",\"days_left\":5,");
    assert_int_equal(run(fixture, now_s + 12 * DAY_S + 60), CLI_EXIT_OK);
    assert_output(fixture, "\"validity\":\"expired\",\"days_left\":-2,");
    assert_int_equal(run(fixture, now_s - DAY_S), CLI_EXIT_OK);
    assert_output(fixture, "\"validity\":\"not_yet_valid\",");
}

static void what_fails_is_one_line_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    const char *end;

    fixture->options.command = OPTIONS_PKI_SHOW;
    fixture->options.output = OPTIONS_JSON;
    fixture->options.local.words[0] = fixture->paths[0];
    fixture->options.local.word_count = 1;
    assert_int_equal(run(fixture, 0), CLI_EXIT_CONFIG);
    assert_memory_equal(fixture->output.data, "quorate: cannot read ", 21);
    end = strchr((const char *)fixture->output.data, '\n');
    assert_non_null(end);
    assert_string_equal(end, "\n");
}

static void every_error_has_an_exit_code(void **state)
{
    (void)state;
    assert_int_equal(local_exit_code(0), CLI_EXIT_OK);
    assert_int_equal(local_exit_code(ERR_BADARG), CLI_EXIT_USAGE);
    assert_int_equal(local_exit_code(ERR_EXISTS), CLI_EXIT_CONFIG);
    assert_int_equal(local_exit_code(ERR_IN_USE), CLI_EXIT_TEMPFAIL);
    assert_int_equal(local_exit_code(ERR_CORRUPT), CLI_EXIT_IOERR);
    assert_int_equal(local_exit_code(ERR_NO_SPACE), CLI_EXIT_IOERR);
    assert_int_equal(local_exit_code(ERR_NOMEM), CLI_EXIT_SOFTWARE);
}

static void cookie_needs_no_quotes_and_is_another_each_time(void **state)
{
    struct fixture *fixture = *state;
    char first[COOKIE_SIZE + 2];

    fixture->options.command = OPTIONS_COOKIE_NEW;
    assert_int_equal(run(fixture, 0), CLI_EXIT_OK);
    assert_int_equal(fixture->output.size, COOKIE_SIZE + 2);
    memcpy(first, fixture->output.data, sizeof(first));
    assert_int_equal(strspn(first, "abcdefghijklmnopqrstuvwxyz234567"),
                     COOKIE_SIZE);
    assert_int_equal(first[COOKIE_SIZE], '\n');
    assert_true(first[0] >= 'a');
    assert_int_equal(run(fixture, 0), CLI_EXIT_OK);
    assert_string_not_equal((const char *)fixture->output.data, first);
}

static void cookie_in_a_file_is_one_that_members_take(void **state)
{
    struct fixture *fixture = *state;
    struct buf cookie;
    struct buf error;

    buf_init(&cookie, 0);
    buf_init(&error, OUTPUT_SIZE_MAX);
    fixture->options.command = OPTIONS_COOKIE_NEW;
    fixture->options.local.file = fixture->paths[0];
    assert_int_equal(run(fixture, 0), CLI_EXIT_OK);
    assert_string_equal((const char *)fixture->output.data, "");
    assert_ok(sys_read_cookie(fixture->paths[0], &cookie, &error));
    assert_int_equal(cookie.size, COOKIE_SIZE);
    assert_int_equal(run(fixture, 0), CLI_EXIT_CONFIG);
    assert_output(fixture, "never replaced");
    buf_close(&cookie);
    buf_close(&error);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(expired_certificate_is_marked),
        TEST(programs_see_the_same),
        TEST(what_fails_is_one_line_and_nothing_else),
        TEST(every_error_has_an_exit_code),
        TEST(cookie_needs_no_quotes_and_is_another_each_time),
        TEST(cookie_in_a_file_is_one_that_members_take),
    };

    return cmocka_run_group_tests_name("cli_local", tests, NULL, NULL);
}
