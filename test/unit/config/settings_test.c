/* SPDX-License-Identifier: Apache-2.0
 * The table, setting one value, and which origin wins. */
#include "config/settings.h"
#include "lib/test.h"

#include <stdio.h>
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

static int set(struct fixture *fixture, enum settings_origin origin,
               const char *name, const char *value)
{
    buf_clear(&fixture->error);
    return settings_set(&fixture->settings, origin, bytes_of_string(name),
                        bytes_of_string(value), &fixture->error);
}

#define assert_error(fixture, text) \
    assert_bytes(buf_bytes(&(fixture)->error), (text), strlen(text))

static void defaults_are_those_of_the_design(void **state)
{
    const struct settings *settings = &((struct fixture *)*state)->settings;

    assert_string_equal(settings->name, "");
    assert_string_equal(settings->listen.host, "127.0.0.1");
    assert_int_equal(settings->listen.port, 0);
    assert_int_equal(settings->member_count, 0);
    assert_true(settings->epmd);
    assert_false(settings->supervised);
    assert_int_equal(settings->log_level, SETTINGS_LOG_INFO);
    assert_int_equal(settings->election_timeout_ms, 500);
    assert_int_equal(settings->heartbeat_interval_ms, 100);
    assert_int_equal(settings->ttl_owner_ms, 2500);
    assert_int_equal(settings->stop_budget_ms, 1000);
    assert_int_equal(settings->ttl_leader_ms, 4000);
    assert_int_equal(settings->lease_profile, SETTINGS_LEASE_DEFAULT);
    assert_true(settings->kills_hung_worker);
    assert_true(settings->state_map_size == UINT64_C(64) << 30);
    assert_int_equal(settings->requests_max, 65536);
}

static void table_has_each_name_once_and_a_help_of_one_line(void **state)
{
    size_t count;
    const struct setting *schema = settings_schema(&count);

    (void)state;
    assert_true(count > 0);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(settings_find(bytes_of_string(schema[i].name)),
                         &schema[i]);
        assert_true(strlen(schema[i].help) > 0);
        assert_true(strlen(schema[i].help) < 80);
        assert_null(strchr(schema[i].help, '\n'));
    }
    assert_null(settings_find(bytes_of_string("nonesuch")));
}

static void each_type_lands_in_its_field(void **state)
{
    struct fixture *fixture = *state;
    const struct settings *settings = &fixture->settings;

    assert_ok(set(fixture, SETTINGS_FLAG, "name", "q1@h"));
    assert_ok(set(fixture, SETTINGS_FLAG, "data_dir", "/d"));
    assert_ok(set(fixture, SETTINGS_FLAG, "listen", "[::1]:1"));
    assert_ok(set(fixture, SETTINGS_FLAG, "epmd", "false"));
    assert_ok(set(fixture, SETTINGS_FLAG, "log_level", "warn"));
    assert_ok(set(fixture, SETTINGS_FLAG, "ttl_owner_ms", "600000"));
    assert_ok(set(fixture, SETTINGS_FLAG, "state_map_size", "1GiB"));
    assert_int_equal(fixture->error.size, 0);
    assert_string_equal(settings->name, "q1@h");
    assert_string_equal(settings->data_dir, "/d");
    assert_string_equal(settings->listen.host, "::1");
    assert_false(settings->epmd);
    assert_int_equal(settings->log_level, SETTINGS_LOG_WARN);
    assert_int_equal(settings->ttl_owner_ms, 600000);
    assert_true(settings->state_map_size == UINT64_C(1) << 30);
}

static void stronger_origin_wins_in_any_order(void **state)
{
    struct fixture *fixture = *state;
    const struct settings *settings = &fixture->settings;

    assert_ok(set(fixture, SETTINGS_FLAG, "ttl_owner_ms", "200"));
    assert_ok(set(fixture, SETTINGS_ENVIRONMENT, "ttl_owner_ms", "300"));
    assert_ok(set(fixture, SETTINGS_FILE, "ttl_owner_ms", "400"));
    assert_int_equal(settings->ttl_owner_ms, 200);
    assert_ok(set(fixture, SETTINGS_FILE, "requests_max", "1"));
    assert_ok(set(fixture, SETTINGS_ENVIRONMENT, "requests_max", "2"));
    assert_int_equal(settings->requests_max, 2);
    assert_ok(set(fixture, SETTINGS_FLAG, "requests_max", "3"));
    assert_int_equal(settings->requests_max, 3);
}

static void weaker_value_is_checked_all_the_same(void **state)
{
    struct fixture *fixture = *state;

    assert_ok(set(fixture, SETTINGS_FLAG, "ttl_owner_ms", "200"));
    assert_err(set(fixture, SETTINGS_FILE, "ttl_owner_ms", "x"), ERR_BADARG);
    assert_int_equal(fixture->settings.ttl_owner_ms, 200);
}

static void
members_of_one_origin_add_up_and_a_stronger_one_replaces(void **state)
{
    struct fixture *fixture = *state;
    const struct settings *settings = &fixture->settings;

    assert_ok(set(fixture, SETTINGS_FILE, "member", "a@h=h:1"));
    assert_ok(set(fixture, SETTINGS_FILE, "member", "b@h=h:2"));
    assert_int_equal(settings->member_count, 2);
    assert_string_equal(settings->members[1].name, "b@h");
    assert_ok(set(fixture, SETTINGS_FLAG, "member", "c@h=h:3"));
    assert_int_equal(settings->member_count, 1);
    assert_string_equal(settings->members[0].name, "c@h");
    assert_ok(set(fixture, SETTINGS_FILE, "member", "d@h=h:4"));
    assert_int_equal(settings->member_count, 1);
}

static void member_named_twice_is_refused(void **state)
{
    struct fixture *fixture = *state;

    assert_ok(set(fixture, SETTINGS_FLAG, "member", "a@h=h:1"));
    assert_err(set(fixture, SETTINGS_FLAG, "member", "a@h=h:2"), ERR_EXISTS);
    assert_error(fixture, "member: 'a@h' is there twice; give it once");
    assert_int_equal(fixture->settings.member_count, 1);
    assert_int_equal(fixture->settings.members[0].address.port, 1);
}

static void more_members_than_voters_are_refused(void **state)
{
    struct fixture *fixture = *state;
    char member[] = "a@h=h:1";

    for (int i = 0; i < SETTINGS_MEMBERS_MAX; i++) {
        member[0] = (char)('a' + i);
        assert_ok(set(fixture, SETTINGS_FLAG, "member", member));
    }
    assert_err(set(fixture, SETTINGS_FLAG, "member", "z@h=h:1"), ERR_LIMIT);
    assert_int_equal(fixture->settings.member_count, SETTINGS_MEMBERS_MAX);
}

static void lists_of_patterns_are_kept_in_their_order(void **state)
{
    struct fixture *fixture = *state;
    const struct settings *settings = &fixture->settings;

    assert_ok(set(fixture, SETTINGS_FILE, "peer_cookie", "q*@h=/c/q"));
    assert_ok(set(fixture, SETTINGS_FILE, "peer_cookie", "*=/c/rest"));
    assert_ok(set(fixture, SETTINGS_FILE, "role", "a*@h=client"));
    assert_ok(set(fixture, SETTINGS_FILE, "role", "b@h=worker"));
    assert_ok(set(fixture, SETTINGS_FILE, "role", "*=member"));
    assert_int_equal(settings->peer_cookie_count, 2);
    assert_string_equal(settings->peer_cookies[0].pattern, "q*@h");
    assert_string_equal(settings->peer_cookies[0].file, "/c/q");
    assert_string_equal(settings->peer_cookies[1].pattern, "*");
    assert_int_equal(settings->role_count, 3);
    assert_string_equal(settings->roles[0].pattern, "a*@h");
    assert_int_equal(settings->roles[0].role, SETTINGS_ROLE_CLIENT);
    assert_int_equal(settings->roles[1].role, SETTINGS_ROLE_WORKER);
    assert_int_equal(settings->roles[2].role, SETTINGS_ROLE_MEMBER);
    /* A stronger origin begins anew, for this list alone. */
    assert_ok(set(fixture, SETTINGS_FLAG, "role", "c@h=client"));
    assert_int_equal(settings->role_count, 1);
    assert_string_equal(settings->roles[0].pattern, "c@h");
    assert_int_equal(settings->peer_cookie_count, 2);
    assert_err(set(fixture, SETTINGS_FILE, "role", "d@h=boss"), ERR_BADARG);
    assert_ok(set(fixture, SETTINGS_FILE, "role", "d@h=client"));
    assert_int_equal(settings->role_count, 1);
}

/* The second would never count. */
static void a_pattern_given_twice_is_refused(void **state)
{
    struct fixture *fixture = *state;

    assert_ok(set(fixture, SETTINGS_FLAG, "role", "a@h=client"));
    assert_err(set(fixture, SETTINGS_FLAG, "role", "a@h=member"), ERR_EXISTS);
    assert_error(fixture, "role: 'a@h' is there twice; give it once");
    assert_int_equal(fixture->settings.roles[0].role, SETTINGS_ROLE_CLIENT);
    assert_ok(set(fixture, SETTINGS_FLAG, "peer_cookie", "a@h=/1"));
    assert_err(set(fixture, SETTINGS_FLAG, "peer_cookie", "a@h=/2"),
               ERR_EXISTS);
    assert_string_equal(fixture->settings.peer_cookies[0].file, "/1");
}

static void lists_of_patterns_have_an_end(void **state)
{
    struct fixture *fixture = *state;
    char text[32];

    for (int i = 0; i < SETTINGS_ROLES_MAX; i++) {
        (void)snprintf(text, sizeof(text), "a%d@h=client", i);
        assert_ok(set(fixture, SETTINGS_FLAG, "role", text));
    }
    assert_err(set(fixture, SETTINGS_FLAG, "role", "b@h=client"), ERR_LIMIT);
    assert_error(fixture, "role: there are too many; give at most 64");
    for (int i = 0; i < SETTINGS_PEER_COOKIES_MAX; i++) {
        (void)snprintf(text, sizeof(text), "a%d@h=/c", i);
        assert_ok(set(fixture, SETTINGS_FLAG, "peer_cookie", text));
    }
    assert_err(set(fixture, SETTINGS_FLAG, "peer_cookie", "b@h=/c"), ERR_LIMIT);
    assert_int_equal(fixture->settings.peer_cookie_count,
                     SETTINGS_PEER_COOKIES_MAX);
}

static void unknown_setting_gets_a_suggestion(void **state)
{
    struct fixture *fixture = *state;

    assert_err(set(fixture, SETTINGS_FLAG, "data_dri", "/d"), ERR_NOT_FOUND);
    assert_error(fixture,
                 "unknown setting 'data_dri'; did you mean 'data_dir'?");
    assert_err(set(fixture, SETTINGS_FLAG, "wxyz", "/d"), ERR_NOT_FOUND);
    assert_error(fixture, "unknown setting 'wxyz'; `quorate help start` lists "
                          "them all");
}

static void error_names_the_setting_and_changes_nothing(void **state)
{
    struct fixture *fixture = *state;

    assert_err(set(fixture, SETTINGS_FLAG, "epmd", "maybe"), ERR_BADARG);
    assert_error(fixture, "epmd: 'maybe' will not do; give true or false");
    assert_true(fixture->settings.epmd);
    assert_ok(set(fixture, SETTINGS_FILE, "epmd", "false"));
    assert_false(fixture->settings.epmd);
}

static void full_error_buffer_does_no_harm(void **state)
{
    struct fixture *fixture = *state;
    struct buf small;

    buf_init(&small, 3);
    assert_err(settings_set(&fixture->settings, SETTINGS_FLAG,
                            bytes_of_string("epmd"), bytes_of_string("x"),
                            &small),
               ERR_BADARG);
    assert_ok(settings_set(&fixture->settings, SETTINGS_FLAG,
                           bytes_of_string("epmd"), bytes_of_string("false"),
                           &small));
    assert_false(fixture->settings.epmd);
    buf_close(&small);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(defaults_are_those_of_the_design),
        TEST(table_has_each_name_once_and_a_help_of_one_line),
        TEST(each_type_lands_in_its_field),
        TEST(stronger_origin_wins_in_any_order),
        TEST(weaker_value_is_checked_all_the_same),
        TEST(members_of_one_origin_add_up_and_a_stronger_one_replaces),
        TEST(member_named_twice_is_refused),
        TEST(more_members_than_voters_are_refused),
        TEST(lists_of_patterns_are_kept_in_their_order),
        TEST(a_pattern_given_twice_is_refused),
        TEST(lists_of_patterns_have_an_end),
        TEST(unknown_setting_gets_a_suggestion),
        TEST(error_names_the_setting_and_changes_nothing),
        TEST(full_error_buffer_does_no_harm),
    };

    return cmocka_run_group_tests_name("config_settings", tests, NULL, NULL);
}
