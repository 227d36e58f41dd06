/* SPDX-License-Identifier: Apache-2.0
 * Each type of setting: what it takes and what it refuses. */
#include "config/value.h"
#include "lib/test.h"

#include <stdio.h>
#include <string.h>

struct fixture {
    struct buf error;
};

static int setup(void **state)
{
    static struct fixture fixture;

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

/* The error is just this text; it is emptied. */
#define assert_error(fixture, text)                                       \
    do {                                                                  \
        assert_bytes(buf_bytes(&(fixture)->error), (text), strlen(text)); \
        buf_clear(&(fixture)->error);                                     \
    } while (0)

static void number_takes_what_is_in_bounds(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number = 0;

    assert_ok(
        value_number(bytes_of_string("10"), 10, 20, &number, &fixture->error));
    assert_int_equal(number, 10);
    assert_ok(
        value_number(bytes_of_string("20"), 10, 20, &number, &fixture->error));
    assert_int_equal(number, 20);
    assert_ok(value_number(bytes_of_string("18446744073709551615"), 0,
                           UINT64_MAX, &number, &fixture->error));
    assert_true(number == UINT64_MAX);
    assert_int_equal(fixture->error.size, 0);
}

static void number_refuses_all_else(void **state)
{
    static const char *const texts[] = {"",
                                        "9",
                                        "21",
                                        "-1",
                                        "+11",
                                        "0x10",
                                        "11 ",
                                        " 11",
                                        "11.0",
                                        "1e1",
                                        "x",
                                        "18446744073709551616",
                                        "99999999999999999999999"};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t number = 7;

        assert_err(value_number(bytes_of_string(texts[i]), 10, 20, &number,
                                &fixture->error),
                   ERR_BADARG);
        assert_int_equal(number, 7);
        assert_true(fixture->error.size > 0);
        buf_clear(&fixture->error);
    }
}

static void number_error_has_the_bounds(void **state)
{
    struct fixture *fixture = *state;
    uint64_t number;

    assert_err(
        value_number(bytes_of_string("10x"), 10, 20, &number, &fixture->error),
        ERR_BADARG);
    assert_error(fixture,
                 "'10x' will not do; give a whole number from 10 to 20");
}

static void size_takes_bytes_and_suffixes(void **state)
{
    static const struct {
        const char *text;
        uint64_t size;
    } cases[] = {{"4096", 4096},
                 {"4KiB", 4096},
                 {"3MiB", UINT64_C(3) << 20},
                 {"64GiB", UINT64_C(64) << 30},
                 {"1TiB", UINT64_C(1) << 40}};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t size = 0;

        assert_ok(value_size(bytes_of_string(cases[i].text), 4096,
                             UINT64_C(1) << 40, &size, &fixture->error));
        assert_true(size == cases[i].size);
    }
}

static void size_refuses_what_is_no_size_or_out_of_bounds(void **state)
{
    static const char *const texts[] = {"",
                                        "GiB",
                                        "64gib",
                                        "64GB",
                                        "64 GiB",
                                        "64GiBs",
                                        "1.5GiB",
                                        "-1GiB",
                                        "4095",
                                        "4097",
                                        "2TiB",
                                        "17179869184GiB",
                                        "18446744073709551615TiB"};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        uint64_t size = 7;

        assert_err(value_size(bytes_of_string(texts[i]), 4096,
                              UINT64_C(1) << 40, &size, &fixture->error),
                   ERR_BADARG);
        assert_int_equal(size, 7);
        buf_clear(&fixture->error);
    }
}

static void bool_is_true_or_false_only(void **state)
{
    struct fixture *fixture = *state;
    bool value = false;

    assert_ok(value_bool(bytes_of_string("true"), &value, &fixture->error));
    assert_true(value);
    assert_ok(value_bool(bytes_of_string("false"), &value, &fixture->error));
    assert_false(value);
    assert_err(value_bool(bytes_of_string("yes"), &value, &fixture->error),
               ERR_BADARG);
    assert_error(fixture, "'yes' will not do; give true or false");
}

static void hung_workers_are_killed_or_reported(void **state)
{
    struct fixture *fixture = *state;
    bool kills = true;

    assert_ok(value_hung(bytes_of_string("report"), &kills, &fixture->error));
    assert_false(kills);
    assert_ok(value_hung(bytes_of_string("kill"), &kills, &fixture->error));
    assert_true(kills);
    assert_err(value_hung(bytes_of_string("ask"), &kills, &fixture->error),
               ERR_BADARG);
    assert_error(fixture, "'ask' will not do; give kill or report");
    assert_true(kills);
}

static void lease_profile_is_one_of_three(void **state)
{
    struct fixture *fixture = *state;
    enum settings_lease_profile profile = SETTINGS_LEASE_DEFAULT;

    assert_ok(value_lease_profile(bytes_of_string("patient"), &profile,
                                  &fixture->error));
    assert_int_equal(profile, SETTINGS_LEASE_PATIENT);
    assert_err(
        value_lease_profile(bytes_of_string("slow"), &profile, &fixture->error),
        ERR_BADARG);
    assert_error(fixture,
                 "'slow' is no profile; give fast, default or patient");
    assert_int_equal(profile, SETTINGS_LEASE_PATIENT);
}

static void log_level_is_one_of_four(void **state)
{
    struct fixture *fixture = *state;
    enum settings_log_level level = SETTINGS_LOG_ERROR;

    assert_ok(
        value_log_level(bytes_of_string("debug"), &level, &fixture->error));
    assert_int_equal(level, SETTINGS_LOG_DEBUG);
    assert_err(
        value_log_level(bytes_of_string("loud"), &level, &fixture->error),
        ERR_BADARG);
    assert_int_equal(level, SETTINGS_LOG_DEBUG);
}

static void name_has_something_on_both_sides(void **state)
{
    static const char *const good[] = {"q1@127.0.0.1", "q-1_a@host.example",
                                       "a@b", "q@fe80::1"};
    static const char *const bad[] = {"",         "q1",       "@host",
                                      "q1@",      "q1@a@b",   "q 1@host",
                                      "q1@ho st", "q1@host\n"};
    struct fixture *fixture = *state;
    char name[SETTINGS_NAME_SIZE_MAX + 1] = "before";

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        assert_err(value_name(bytes_of_string(bad[i]), name, &fixture->error),
                   ERR_BADARG);
        assert_string_equal(name, "before");
        buf_clear(&fixture->error);
    }
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        assert_ok(value_name(bytes_of_string(good[i]), name, &fixture->error));
        assert_string_equal(name, good[i]);
    }
}

static void name_may_have_255_bytes_and_no_more(void **state)
{
    struct fixture *fixture = *state;
    char name[SETTINGS_NAME_SIZE_MAX + 1];
    char text[SETTINGS_NAME_SIZE_MAX + 1];

    memset(text, 'a', sizeof(text));
    text[1] = '@';
    assert_ok(value_name(bytes_of(text, 255), name, &fixture->error));
    assert_int_equal(strlen(name), 255);
    assert_err(value_name(bytes_of(text, 256), name, &fixture->error),
               ERR_BADARG);
}

static void path_is_any_text_without_a_zero(void **state)
{
    struct fixture *fixture = *state;
    char path[SETTINGS_PATH_SIZE_MAX + 1];
    char text[SETTINGS_PATH_SIZE_MAX + 1];

    assert_ok(value_path(bytes_of_string("/a b/c#d"), path, &fixture->error));
    assert_string_equal(path, "/a b/c#d");
    assert_err(value_path(bytes_of("a\0b", 3), path, &fixture->error),
               ERR_BADARG);
    assert_err(value_path(bytes_of("", 0), path, &fixture->error), ERR_BADARG);
    memset(text, 'a', sizeof(text));
    assert_ok(value_path(bytes_of(text, 4095), path, &fixture->error));
    assert_err(value_path(bytes_of(text, 4096), path, &fixture->error),
               ERR_BADARG);
}

static void address_takes_names_and_both_kinds_of_numbers(void **state)
{
    static const struct {
        const char *text;
        const char *host;
        uint16_t port;
    } cases[] = {{"127.0.0.1:4370", "127.0.0.1", 4370},
                 {"[::1]:65535", "::1", 65535},
                 {"host.example:0", "host.example", 0}};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct settings_address address;

        assert_ok(value_address(bytes_of_string(cases[i].text), 0, &address,
                                &fixture->error));
        assert_string_equal(address.text, cases[i].text);
        assert_string_equal(address.host, cases[i].host);
        assert_int_equal(address.port, cases[i].port);
    }
}

static void address_refuses_all_else(void **state)
{
    static const char *const texts[] = {"",
                                        ":",
                                        "4370",
                                        "host",
                                        "host:",
                                        ":4370",
                                        "host:x",
                                        "host:1x",
                                        "host:-1",
                                        "host:65536",
                                        "host:99999999999999999999",
                                        "::1:4370",
                                        "[]:1",
                                        "[::1:4370",
                                        "ho st:1",
                                        "[host name]:1"};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        struct settings_address address = {.host = "before"};

        assert_err(value_address(bytes_of_string(texts[i]), 0, &address,
                                 &fixture->error),
                   ERR_BADARG);
        assert_string_equal(address.host, "before");
        buf_clear(&fixture->error);
    }
}

static void member_is_a_name_and_a_real_port(void **state)
{
    struct fixture *fixture = *state;
    struct settings_member member = {.name = ""};

    assert_ok(value_member(bytes_of_string("q1@h=127.0.0.1:4370"), &member,
                           &fixture->error));
    assert_string_equal(member.name, "q1@h");
    assert_string_equal(member.address.text, "127.0.0.1:4370");
    assert_err(value_member(bytes_of_string("q1@h"), &member, &fixture->error),
               ERR_BADARG);
    assert_err(
        value_member(bytes_of_string("q1=h:1"), &member, &fixture->error),
        ERR_BADARG);
    buf_clear(&fixture->error);
    assert_err(
        value_member(bytes_of_string("q2@h=h:0"), &member, &fixture->error),
        ERR_BADARG);
    assert_error(fixture, "'h:0' has no such port; give one from 1 to 65535");
    assert_string_equal(member.name, "q1@h");
}

static void quoted_text_is_short_and_printable(void **state)
{
    struct fixture *fixture = *state;
    char text[100];

    value_put_quoted(&fixture->error, bytes_of("a\n\x1b[1m\xff", 7));
    assert_error(fixture, "'a??[1m?'");
    memset(text, 'a', sizeof(text));
    value_put_quoted(&fixture->error, bytes_of(text, sizeof(text)));
    assert_int_equal(fixture->error.size, 64 + 5);
}

static void role_is_a_pattern_and_one_of_three(void **state)
{
    static const char *const texts[] = {"",
                                        "q@h",
                                        "q@h=",
                                        "=client",
                                        "q@h=boss",
                                        "q@h=Client",
                                        "q=client",
                                        "q@@h=client",
                                        "q@h@*=client",
                                        "q h@h=client",
                                        "q@h==client",
                                        "q@h=client "};
    struct fixture *fixture = *state;
    struct settings_role_rule rule = {.pattern = "kept"};

    assert_ok(value_role(bytes_of_string("*=member"), &rule, &fixture->error));
    assert_string_equal(rule.pattern, "*");
    assert_int_equal(rule.role, SETTINGS_ROLE_MEMBER);
    assert_ok(value_role(bytes_of_string("a*b@*.net=worker"), &rule,
                         &fixture->error));
    assert_string_equal(rule.pattern, "a*b@*.net");
    assert_int_equal(rule.role, SETTINGS_ROLE_WORKER);
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_err(
            value_role(bytes_of_string(texts[i]), &rule, &fixture->error),
            ERR_BADARG);
        assert_true(fixture->error.size > 0);
        buf_clear(&fixture->error);
    }
}

static void peer_cookie_is_a_pattern_and_a_path(void **state)
{
    static const char *const texts[] = {"",     "q@h",     "q@h=",   "=/c",
                                        "q=/c", "q@@h=/c", "q/@h=/c"};
    struct fixture *fixture = *state;
    struct settings_peer_cookie cookie;

    assert_ok(value_peer_cookie(bytes_of_string("q*@h=/c=d"), &cookie,
                                &fixture->error));
    assert_string_equal(cookie.pattern, "q*@h");
    assert_string_equal(cookie.file, "/c=d");
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        assert_err(value_peer_cookie(bytes_of_string(texts[i]), &cookie,
                                     &fixture->error),
                   ERR_BADARG);
        assert_true(fixture->error.size > 0);
        buf_clear(&fixture->error);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(number_takes_what_is_in_bounds),
        TEST(number_refuses_all_else),
        TEST(number_error_has_the_bounds),
        TEST(size_takes_bytes_and_suffixes),
        TEST(size_refuses_what_is_no_size_or_out_of_bounds),
        TEST(bool_is_true_or_false_only),
        TEST(hung_workers_are_killed_or_reported),
        TEST(lease_profile_is_one_of_three),
        TEST(log_level_is_one_of_four),
        TEST(name_has_something_on_both_sides),
        TEST(name_may_have_255_bytes_and_no_more),
        TEST(path_is_any_text_without_a_zero),
        TEST(address_takes_names_and_both_kinds_of_numbers),
        TEST(address_refuses_all_else),
        TEST(member_is_a_name_and_a_real_port),
        TEST(role_is_a_pattern_and_one_of_three),
        TEST(peer_cookie_is_a_pattern_and_a_path),
        TEST(quoted_text_is_short_and_printable),
    };

    return cmocka_run_group_tests_name("config_value", tests, NULL, NULL);
}
