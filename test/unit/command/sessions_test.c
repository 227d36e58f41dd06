/* SPDX-License-Identifier: Apache-2.0
 * What a session remembers, and what it forgets. */
#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"
#include "command/sessions.h"
#include "lib/test.h"

#include <stdlib.h>
#include <string.h>

static int open_sessions(void **state)
{
    *state = calloc(1, sizeof(struct sessions));
    assert_non_null(*state);
    return 0;
}

static int close_sessions(void **state)
{
    struct sessions *sessions = *state;

    mem_fail_after(UINT64_MAX);
    sessions_check(sessions);
    sessions_close(sessions);
    sessions_close(sessions);
    free(sessions);
    return 0;
}

static struct session *given_session(struct sessions *sessions)
{
    assert_ok(sessions_open(sessions, 7, 77, 10));
    return sessions_of(sessions, 7);
}

static void remember(struct session *session, uint64_t number, uint64_t index)
{
    assert_ok(session_reserve(session, number));
    session_remember(session, &(struct session_outcome){.number = number,
                                                        .index = index,
                                                        .epoch = index + 1,
                                                        .rv = ERR_EXISTS});
}

static int look(const struct session *session, uint64_t number)
{
    const struct session_outcome *outcome;

    return session_look(session, number, &outcome);
}

static void an_outcome_is_remembered_as_it_was(void **state)
{
    struct session *session = given_session(*state);
    const struct session_outcome *outcome;

    assert_err(look(session, 1), ERR_NOT_FOUND);
    remember(session, 3, 11);
    assert_ok(session_look(session, 3, &outcome));
    assert_int_equal(outcome->number, 3);
    assert_int_equal(outcome->index, 11);
    assert_int_equal(outcome->epoch, 12);
    assert_err(outcome->rv, ERR_EXISTS);
    assert_err(look(session, 2), ERR_NOT_FOUND);
    assert_err(look(session, 4), ERR_NOT_FOUND);
}

static void numbers_may_come_in_any_order(void **state)
{
    struct session *session = given_session(*state);
    uint64_t index = 10;

    remember(session, 100, ++index);
    remember(session, 1, ++index);
    remember(session, SESSION_WINDOW, ++index);
    remember(session, 50, ++index);
    sessions_check(*state);
    assert_ok(look(session, 1));
    assert_ok(look(session, 50));
    assert_ok(look(session, 100));
    assert_ok(look(session, SESSION_WINDOW));
    assert_err(look(session, 51), ERR_NOT_FOUND);
}

static void numbers_below_the_window_are_refused(void **state)
{
    struct session *session = given_session(*state);

    remember(session, 1, 11);
    remember(session, SESSION_WINDOW, 12);
    assert_ok(look(session, 1));
    remember(session, SESSION_WINDOW + 1, 13);
    assert_err(look(session, 1), ERR_STALE_REQUEST);
    assert_err(look(session, 2), ERR_NOT_FOUND);
    assert_ok(look(session, SESSION_WINDOW));
    /* The place of 2 is that of this one. */
    remember(session, SESSION_WINDOW + 2, 14);
    assert_err(look(session, 2), ERR_STALE_REQUEST);
    assert_err(look(session, 3), ERR_NOT_FOUND);
    remember(session, UINT64_MAX, 15);
    assert_err(look(session, SESSION_WINDOW + 2), ERR_STALE_REQUEST);
    assert_ok(look(session, UINT64_MAX));
    assert_err(look(session, UINT64_MAX - 1), ERR_NOT_FOUND);
}

/* Against an array of all numbers. */
static void a_window_is_what_an_array_of_all_would_be(void **state)
{
    enum { COUNT = 5 * SESSION_WINDOW };
    static uint64_t indexes[COUNT + SESSION_WINDOW];
    struct session *session = given_session(*state);
    const struct session_outcome *outcome;
    uint64_t newest = 0;
    struct rng rng;

    rng_init(&rng, 3);
    for (uint64_t i = 1; i < COUNT; i++) {
        uint64_t number = 1 + i / 2 + rng_below(&rng, SESSION_WINDOW / 2);
        int rv = session_look(session, number, &outcome);

        if (number + SESSION_WINDOW <= newest) {
            assert_err(rv, ERR_STALE_REQUEST);
        } else if (indexes[number] != 0) {
            assert_ok(rv);
            assert_int_equal(outcome->index, indexes[number]);
        } else {
            assert_err(rv, ERR_NOT_FOUND);
            indexes[number] = i + 10;
            remember(session, number, i + 10);
            newest = number > newest ? number : newest;
        }
    }
    sessions_check(*state);
    assert_int_equal(session->newest, newest);
    assert_true(newest > 2 * SESSION_WINDOW);
}

static void a_member_has_one_session(void **state)
{
    struct sessions *sessions = *state;
    struct request_id id = {.member = 7, .session = 10, .number = 1};

    remember(given_session(sessions), 1, 11);
    assert_non_null(sessions_find(sessions, &id));
    /* The same nonce: its command came twice. */
    assert_ok(sessions_open(sessions, 7, 77, 12));
    assert_ok(look(sessions_find(sessions, &id), 1));
    assert_ok(sessions_open(sessions, 7, 78, 13));
    assert_null(sessions_find(sessions, &id));
    assert_int_equal(sessions->count, 1);
    assert_err(sessions_open(sessions, 7, 79, 13), ERR_BUSY);
    id.session = 13;
    assert_err(look(sessions_find(sessions, &id), 1), ERR_NOT_FOUND);
    assert_ok(sessions_open(sessions, 8, 77, 13));
    assert_int_equal(sessions->count, 2);
    sessions_drop(sessions, 7);
    sessions_drop(sessions, 9);
    assert_null(sessions_of(sessions, 7));
    assert_non_null(sessions_of(sessions, 8));
}

static void the_session_that_was_idle_longest_goes(void **state)
{
    struct sessions *sessions = *state;

    for (uint64_t member = 1; member <= SESSIONS_MAX; member++) {
        assert_ok(sessions_open(sessions, member, member, member));
    }
    remember(sessions_of(sessions, 1), 1, 100);
    assert_ok(sessions_open(sessions, 101, 1, 101));
    assert_non_null(sessions_of(sessions, 1));
    assert_null(sessions_of(sessions, 2));
    assert_int_equal(sessions->count, SESSIONS_MAX);
    sessions_check(sessions);
}

static void without_memory_nothing_changes(void **state)
{
    struct session *session = given_session(*state);

    mem_fail_after(0);
    assert_err(session_reserve(session, 1), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    assert_err(look(session, 1), ERR_NOT_FOUND);
    remember(session, 1, 11);
    mem_fail_after(0);
    assert_err(session_reserve(session, 5000), ERR_NOMEM);
    assert_ok(session_reserve(session, 2));
    mem_fail_after(UINT64_MAX);
    assert_ok(look(session, 1));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(an_outcome_is_remembered_as_it_was,
                                        open_sessions, close_sessions),
        cmocka_unit_test_setup_teardown(numbers_may_come_in_any_order,
                                        open_sessions, close_sessions),
        cmocka_unit_test_setup_teardown(numbers_below_the_window_are_refused,
                                        open_sessions, close_sessions),
        cmocka_unit_test_setup_teardown(
            a_window_is_what_an_array_of_all_would_be, open_sessions,
            close_sessions),
        cmocka_unit_test_setup_teardown(a_member_has_one_session, open_sessions,
                                        close_sessions),
        cmocka_unit_test_setup_teardown(the_session_that_was_idle_longest_goes,
                                        open_sessions, close_sessions),
        cmocka_unit_test_setup_teardown(without_memory_nothing_changes,
                                        open_sessions, close_sessions),
    };

    return cmocka_run_group_tests_name("sessions", tests, NULL, NULL);
}
