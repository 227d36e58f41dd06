/* SPDX-License-Identifier: Apache-2.0
 * What must hold between settings. */
#include "config/settings.h"
#include "lib/test.h"

#include <string.h>

struct fixture {
    struct settings settings;
    struct buf error;
};

static void set(struct fixture *fixture, const char *name, const char *value)
{
    assert_ok(settings_set(&fixture->settings, SETTINGS_FLAG,
                           bytes_of_string(name), bytes_of_string(value),
                           &fixture->error));
}

/* A member that may start. */
static int setup(void **state)
{
    static struct fixture fixture;

    settings_init(&fixture.settings);
    buf_init(&fixture.error, SETTINGS_ERROR_SIZE_MAX);
    set(&fixture, "name", "q1@127.0.0.1");
    set(&fixture, "data_dir", "/d");
    set(&fixture, "cookie_file", "/c");
    *state = &fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    buf_close(&fixture->error);
    return 0;
}

static void assert_refused(struct fixture *fixture, const char *error)
{
    assert_err(settings_check(&fixture->settings, &fixture->error), ERR_BADARG);
    assert_bytes(buf_bytes(&fixture->error), error, strlen(error));
}

#define assert_accepted(fixture) \
    assert_ok(settings_check(&(fixture)->settings, &(fixture)->error))

static void defaults_with_a_name_and_files_are_enough(void **state)
{
    struct fixture *fixture = *state;

    assert_accepted(fixture);
    assert_int_equal(fixture->error.size, 0);
}

static void name_is_required(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings.name[0] = '\0';
    assert_refused(fixture, "the name of the member is not set; give --name "
                            "NAME@HOST");
}

static void data_dir_is_required(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings.data_dir[0] = '\0';
    assert_refused(fixture,
                   "the data directory is not set; give --data-dir PATH");
}

static void cookie_file_is_required_unless_supervised(void **state)
{
    struct fixture *fixture = *state;

    fixture->settings.cookie_file[0] = '\0';
    assert_refused(fixture,
                   "the cookie file is not set; give --cookie-file PATH");
    fixture->settings.supervised = true;
    assert_accepted(fixture);
}

static void leases_that_could_overlap_are_refused(void **state)
{
    struct fixture *fixture = *state;

    /* 2500 * 1.01 + 1000 = 3525; 3525 / 0.99 = 3560.6 */
    set(fixture, "ttl_leader_ms", "3561");
    assert_accepted(fixture);
    set(fixture, "ttl_leader_ms", "3560");
    assert_refused(fixture,
                   "with ttl_owner_ms 2500 and stop_budget_ms 1000 a sandbox "
                   "could run twice: ttl_leader_ms (3560) must be at least "
                   "3561");
}

static void greatest_times_do_not_overflow(void **state)
{
    struct fixture *fixture = *state;

    set(fixture, "ttl_owner_ms", "600000");
    set(fixture, "stop_budget_ms", "600000");
    set(fixture, "ttl_leader_ms", "1800000");
    assert_accepted(fixture);
}

static void profile_sets_the_times_that_are_not_given(void **state)
{
    struct fixture *fixture = *state;
    const struct settings *settings = &fixture->settings;

    set(fixture, "lease_profile", "fast");
    assert_accepted(fixture);
    assert_int_equal(settings->ttl_leader_ms, 1500);
    assert_int_equal(settings->ttl_owner_ms, 1100);
    assert_int_equal(settings->stop_budget_ms, 300);
    assert_int_equal(settings->election_timeout_ms, 250);
    assert_int_equal(settings->heartbeat_interval_ms, 50);
    set(fixture, "lease_profile", "patient");
    set(fixture, "stop_budget_ms", "2000");
    assert_accepted(fixture);
    assert_int_equal(settings->ttl_leader_ms, 15000);
    assert_int_equal(settings->ttl_owner_ms, 10500);
    assert_int_equal(settings->stop_budget_ms, 2000);
    assert_int_equal(settings->election_timeout_ms, 1500);
    set(fixture, "ttl_owner_ms", "14000");
    assert_refused(fixture,
                   "with ttl_owner_ms 14000 and stop_budget_ms 2000 a sandbox "
                   "could run twice: ttl_leader_ms (15000) must be at least "
                   "16304");
}

static void slow_heartbeats_are_refused(void **state)
{
    struct fixture *fixture = *state;

    set(fixture, "heartbeat_interval_ms", "249");
    assert_accepted(fixture);
    set(fixture, "heartbeat_interval_ms", "250");
    assert_refused(fixture, "heartbeat_interval_ms (250) must be less than "
                            "half of election_timeout_ms (500)");
}

static void own_address_of_the_members_is_listened_on(void **state)
{
    struct fixture *fixture = *state;

    set(fixture, "member", "q1@127.0.0.1=127.0.0.1:4001");
    assert_accepted(fixture);
    assert_int_equal(fixture->settings.listen.port, 4001);
}

static void explicit_address_to_listen_on_stays(void **state)
{
    struct fixture *fixture = *state;

    set(fixture, "member", "q1@127.0.0.1=127.0.0.1:4001");
    set(fixture, "listen", "127.0.0.1:4002");
    assert_accepted(fixture);
    assert_int_equal(fixture->settings.listen.port, 4002);
}

static void member_must_be_among_the_members(void **state)
{
    struct fixture *fixture = *state;

    set(fixture, "member", "q2@127.0.0.1=127.0.0.1:4001");
    assert_refused(fixture, "'q1@127.0.0.1' is not among the members; did you "
                            "mean 'q2@127.0.0.1'?");
}

static void even_number_of_members_is_refused(void **state)
{
    struct fixture *fixture = *state;

    set(fixture, "member", "q1@127.0.0.1=127.0.0.1:4001");
    set(fixture, "member", "q2@127.0.0.1=127.0.0.1:4002");
    assert_refused(fixture,
                   "there are 2 members; an even number bears no more losses "
                   "than one fewer: give 1, 3, 5 or 7");
}

static void address_that_nobody_can_reach_is_refused(void **state)
{
    struct fixture *fixture = *state;

    set(fixture, "name", "q1@10.0.0.1");
    assert_refused(fixture, "'q1@10.0.0.1' cannot be reached while listening "
                            "on 127.0.0.1:0; give --listen 10.0.0.1:0");
    buf_clear(&fixture->error);
    set(fixture, "listen", "0.0.0.0:0");
    assert_accepted(fixture);
}

static void joining_and_founding_exclude_each_other(void **state)
{
    struct fixture *fixture = *state;

    set(fixture, "join", "q2@127.0.0.1=127.0.0.1:4002");
    assert_accepted(fixture);
    set(fixture, "member", "q1@127.0.0.1=127.0.0.1:4001");
    assert_refused(fixture, "--member names the first voters of a new cluster, "
                            "--join members of one that is there; give one of "
                            "the two");
}

static void nobody_joins_itself(void **state)
{
    struct fixture *fixture = *state;

    set(fixture, "join", "q1@127.0.0.1=127.0.0.1:4001");
    assert_refused(fixture, "--join names 'q1@127.0.0.1' itself; give members "
                            "that are in the cluster already");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(defaults_with_a_name_and_files_are_enough),
        TEST(name_is_required),
        TEST(data_dir_is_required),
        TEST(cookie_file_is_required_unless_supervised),
        TEST(leases_that_could_overlap_are_refused),
        TEST(greatest_times_do_not_overflow),
        TEST(profile_sets_the_times_that_are_not_given),
        TEST(slow_heartbeats_are_refused),
        TEST(own_address_of_the_members_is_listened_on),
        TEST(explicit_address_to_listen_on_stays),
        TEST(member_must_be_among_the_members),
        TEST(even_number_of_members_is_refused),
        TEST(address_that_nobody_can_reach_is_refused),
        TEST(joining_and_founding_exclude_each_other),
        TEST(nobody_joins_itself),
    };

    return cmocka_run_group_tests_name("config_check", tests, NULL, NULL);
}
