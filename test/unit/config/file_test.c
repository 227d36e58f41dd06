/* SPDX-License-Identifier: Apache-2.0
 * The configuration file: what it may look like, and where an error is. */
#include "config/settings.h"
#include "lib/test.h"

#include <string.h>

struct fixture {
    struct settings settings;
    struct buf error;
};

static int setup(void **state)
{
    static struct fixture fixture;

    settings_init(&fixture.settings);
    buf_init(&fixture.error, SETTINGS_ERROR_SIZE_MAX);
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    buf_close(&fixture->error);
    return 0;
}

static int parse(struct fixture *fixture, const char *text)
{
    return settings_parse_file(&fixture->settings, "q.conf",
                               bytes_of_string(text), &fixture->error);
}

/* The text is refused with just this error. */
static void assert_refused(struct fixture *fixture, const char *text,
                           int expected, const char *error)
{
    assert_err(parse(fixture, text), expected);
    assert_bytes(buf_bytes(&fixture->error), error, strlen(error));
    buf_clear(&fixture->error);
}

static void takes_settings_comments_and_blank_lines(void **state)
{
    struct fixture *fixture = *state;
    const struct settings *settings = &fixture->settings;

    assert_ok(parse(fixture, "# a member\n"
                             "\n"
                             "name = q1@h\n"
                             "  data_dir=/var/lib/q#1   # the disk\r\n"
                             "\t\n"
                             "member = q1@h=h:1\n"
                             "member = q2@h=h:2\n"
                             "member = q3@h=h:3\n"
                             "epmd\t=\tfalse"));
    assert_string_equal(settings->name, "q1@h");
    assert_string_equal(settings->data_dir, "/var/lib/q#1");
    assert_int_equal(settings->member_count, 3);
    assert_false(settings->epmd);
    assert_int_equal(fixture->error.size, 0);
}

static void empty_file_is_fine(void **state)
{
    struct fixture *fixture = *state;

    assert_ok(parse(fixture, ""));
    assert_ok(settings_parse_file(&fixture->settings, "q.conf",
                                  bytes_of(NULL, 0), &fixture->error));
    assert_ok(parse(fixture, "\n\n#"));
}

static void unknown_name_is_an_error_with_its_place(void **state)
{
    assert_refused(*state, "name = q1@h\n  data_dri = /d\n", ERR_NOT_FOUND,
                   "q.conf:2:3: unknown setting 'data_dri'; did you mean "
                   "'data_dir'?");
}

static void bad_value_is_an_error_at_the_value(void **state)
{
    assert_refused(*state, "\n\nepmd = maybe\n", ERR_BADARG,
                   "q.conf:3:8: epmd: 'maybe' will not do; give true or "
                   "false");
}

static void line_without_equals_is_refused(void **state)
{
    assert_refused(*state, "[cluster]\n", ERR_MALFORMED,
                   "q.conf:1:1: '[cluster]' has no '='; write `name = value`, "
                   "or `# comment`");
}

static void missing_name_or_value_is_refused(void **state)
{
    assert_refused(*state, " = q1@h", ERR_MALFORMED,
                   "q.conf:1:2: there is no name before '='; write "
                   "`name = value`");
    assert_refused(*state, "name =  # nothing\n", ERR_MALFORMED,
                   "q.conf:1:6: there is no value after '='; write "
                   "`name = value`");
}

static void quotes_are_refused(void **state)
{
    assert_refused(*state, "name = \"q1@h\"\n", ERR_MALFORMED,
                   "q.conf:1:8: values are written without quotes");
}

static void control_characters_are_refused(void **state)
{
    struct fixture *fixture = *state;

    assert_refused(fixture, "name = q\x1b@h\n", ERR_MALFORMED,
                   "q.conf:1:9: a control character (0x1b); remove it");
    assert_err(settings_parse_file(&fixture->settings, "q.conf",
                                   bytes_of("\n# \0\n", 5), &fixture->error),
               ERR_MALFORMED);
}

static void name_twice_is_refused_except_in_lists(void **state)
{
    assert_refused(*state, "epmd = true\nepmd = false\n", ERR_EXISTS,
                   "q.conf:2:1: 'epmd' is set twice; remove one of the lines");
    assert_ok(parse(*state, "role = a@h=client\nrole = b@h=client\n"
                            "peer_cookie = a@h=/c\npeer_cookie = b@h=/c\n"));
}

static void file_that_is_too_long_is_refused(void **state)
{
    static char text[SETTINGS_FILE_SIZE_MAX + 1];
    struct fixture *fixture = *state;

    memset(text, '\n', sizeof(text));
    assert_ok(settings_parse_file(&fixture->settings, "q.conf",
                                  bytes_of(text, sizeof(text) - 1),
                                  &fixture->error));
    assert_err(settings_parse_file(&fixture->settings, "q.conf",
                                   bytes_of(text, sizeof(text)),
                                   &fixture->error),
               ERR_LIMIT);
}

static void every_truncation_gives_an_answer(void **state)
{
    static const char text[] = "# x\nname = q1@h\nmember = q1@h=h:1\n"
                               "state_map_size = 64GiB\r\n";
    struct fixture *fixture = *state;

    for (size_t size = 0; size < sizeof(text); size++) {
        int rv;

        settings_init(&fixture->settings);
        buf_clear(&fixture->error);
        rv = settings_parse_file(&fixture->settings, "q.conf",
                                 bytes_of(text, size), &fixture->error);
        assert_true((rv == 0) == (fixture->error.size == 0));
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(takes_settings_comments_and_blank_lines),
        TEST(empty_file_is_fine),
        TEST(unknown_name_is_an_error_with_its_place),
        TEST(bad_value_is_an_error_at_the_value),
        TEST(line_without_equals_is_refused),
        TEST(missing_name_or_value_is_refused),
        TEST(quotes_are_refused),
        TEST(control_characters_are_refused),
        TEST(name_twice_is_refused_except_in_lists),
        TEST(file_that_is_too_long_is_refused),
        TEST(every_truncation_gives_an_answer),
    };

    return cmocka_run_group_tests_name("config_file", tests, NULL, NULL);
}
