/* SPDX-License-Identifier: Apache-2.0
 * Commands that come again. */
#include "base/err.h"
#include "dump.h"
#include "machine.h"
#include "random.h"

enum { DUMP_SIZE_MAX = 1 << 22 };

static struct command open_of(uint64_t member, uint64_t nonce)
{
    return (struct command){
        .type = COMMAND_OPEN_SESSION, .member = member, .nonce = nonce};
}

static uint64_t given_session(struct fixture *f)
{
    assert_ok(apply(f, open_of(7, 77)));
    return f->index;
}

static struct command as(struct command command, uint64_t session,
                         uint64_t number)
{
    command.request =
        (struct request_id){.member = 7, .session = session, .number = number};
    return command;
}

/* With what apply() does, but the result is of an older entry. */
static int apply_again(struct fixture *f, struct command command)
{
    f->index++;
    assert_ok(command_apply(&f->machine, f->index, &command, &f->result));
    registry_check(&f->machine.registry);
    sessions_check(&f->machine.sessions);
    return f->result.rv;
}

static void a_claim_that_comes_again_is_told_of_its_own_sandbox(void **state)
{
    struct fixture *f = *state;
    uint64_t session = given_session(f);
    uint64_t lease = given_worker(f, "a");
    struct command claim = as(claim_of("s", "a", lease), session, 1);
    uint64_t epoch;

    assert_ok(apply(f, claim));
    assert_false(f->result.is_repeated);
    epoch = f->index;
    assert_events(f, "claimed s a\n");
    assert_ok(apply_again(f, claim));
    assert_true(f->result.is_repeated);
    assert_int_equal(f->result.index, epoch);
    assert_int_equal(f->result.epoch, epoch);
    assert_ptr_equal(f->result.sandbox, sandbox_of(f, "s"));
    assert_events(f, "");
    /* Another one's claim is not. */
    assert_err(apply_again(f, as(claim, session, 2)), ERR_EXISTS);
    /* Gone, and another of that id: not its own. */
    assert_ok(apply(f, stop_of("s")));
    assert_ok(apply(f, stopped_of("s", epoch, text(""))));
    assert_ok(apply_again(f, claim));
    assert_null(f->result.sandbox);
    assert_ok(apply(f, claim_of("s", "a", lease)));
    assert_ok(apply_again(f, claim));
    assert_null(f->result.sandbox);
    assert_int_equal(f->result.epoch, epoch);
}

static void a_claim_may_be_tried_with_another_worker(void **state)
{
    struct fixture *f = *state;
    uint64_t session = given_session(f);
    uint64_t lease = given_worker(f, "a");
    struct command claim = as(claim_of("s", "a", lease + 100), session, 1);
    struct command_result recalled;

    assert_err(apply(f, claim), ERR_CLOSED);
    assert_false(command_recall(&f->machine, &claim, &recalled));
    claim.lease = lease;
    assert_ok(apply(f, claim));
    assert_false(f->result.is_repeated);
    assert_events(f, "claimed s a\n");
    claim.lease = lease + 100;
    assert_ok(apply_again(f, claim));
}

static void a_failure_is_remembered_too(void **state)
{
    struct fixture *f = *state;
    uint64_t session = given_session(f);
    uint64_t lease = given_worker(f, "a");
    struct command stop = as(stop_of("s"), session, 1);

    assert_err(apply(f, stop), ERR_NOT_FOUND);
    assert_ok(apply(f, claim_of("s", "a", lease)));
    buf_clear(&f->trace);
    assert_err(apply_again(f, stop), ERR_NOT_FOUND);
    assert_events(f, "");
    assert_int_equal(sandbox_of(f, "s")->status, SANDBOX_STARTING);
}

static void a_stop_that_comes_again_stops_no_later_sandbox(void **state)
{
    struct fixture *f = *state;
    uint64_t session = given_session(f);
    uint64_t lease = given_worker(f, "a");
    struct command stop = as(stop_of("s"), session, 1);
    uint64_t epoch = given_running(f, "s", "a", lease);

    assert_ok(apply(f, stop));
    assert_events(f, "stopping s a\n");
    assert_ok(apply_again(f, stop));
    assert_ptr_equal(f->result.sandbox, sandbox_of(f, "s"));
    assert_ok(apply(f, stopped_of("s", epoch, text(""))));
    assert_ok(apply_again(f, stop));
    assert_null(f->result.sandbox);
    (void)given_running(f, "s", "a", lease);
    assert_ok(apply_again(f, stop));
    assert_null(f->result.sandbox);
    assert_events(f, "");
    assert_int_equal(sandbox_of(f, "s")->status, SANDBOX_RUNNING);
}

static void a_registration_that_comes_again_gets_its_epoch(void **state)
{
    struct fixture *f = *state;
    uint64_t session = given_session(f);
    struct command put = as(register_of("n", "a", "p1"), session, 1);
    struct command drop = as(unregister_of("n", "p1"), session, 2);
    uint64_t epoch;

    (void)given_worker(f, "a");
    assert_ok(apply(f, put));
    epoch = f->result.epoch;
    assert_int_equal(epoch, f->index);
    assert_ok(apply_again(f, put));
    assert_int_equal(f->result.epoch, epoch);
    assert_int_equal(f->result.name->epoch, epoch);
    assert_ok(apply(f, drop));
    assert_ok(apply_again(f, put));
    assert_null(f->result.name);
    assert_int_equal(f->result.epoch, epoch);
    assert_null(registry_name(&f->machine.registry, text("n")));
    assert_ok(apply(f, register_of("n", "a", "p1")));
    buf_clear(&f->trace);
    assert_ok(apply_again(f, drop));
    assert_events(f, "");
    assert_non_null(registry_name(&f->machine.registry, text("n")));
}

static void what_nobody_knows_any_more_is_refused(void **state)
{
    struct fixture *f = *state;
    uint64_t session = given_session(f);
    uint64_t lease = given_worker(f, "a");
    struct command claim = as(claim_of("s", "a", lease), session + 1, 1);

    assert_err(apply(f, claim), ERR_STALE_REQUEST);
    claim = as(claim, session, 1);
    claim.request.member = 8;
    assert_err(apply(f, claim), ERR_STALE_REQUEST);
    claim.request.member = 7;
    assert_ok(apply(f, open_of(7, 78)));
    assert_err(apply(f, claim), ERR_STALE_REQUEST);
    session = f->machine.sessions.items[0].index;
    assert_err(apply(f, as(stop_of("x"), session, SESSION_WINDOW + 1)),
               ERR_NOT_FOUND);
    assert_err(apply(f, as(claim, session, 1)), ERR_STALE_REQUEST);
    assert_events(f, "");
    assert_null(sandbox_of(f, "s"));
    assert_ok(apply(f, as(claim, session, 2)));
}

static void a_member_that_is_dropped_has_no_session(void **state)
{
    struct fixture *f = *state;
    uint64_t session = given_session(f);
    const struct command put = {.type = COMMAND_PUT_MEMBER,
                                .member = 7,
                                .node = text("a@h"),
                                .address = text("h:1")};
    const struct command drop = {.type = COMMAND_DROP_MEMBER, .member = 7};

    assert_ok(apply(f, put));
    /* With an id of the session that it ends, and of one that stays. */
    assert_ok(apply(f, open_of(8, 77)));
    assert_ok(apply(f, as(drop, session, 1)));
    assert_err(apply(f, as(stop_of("s"), session, 2)), ERR_STALE_REQUEST);
    assert_int_equal(sessions_of(&f->machine.sessions, 8)->newest, 0);
}

/* --- Against a machine that gets each command once ----------------------- */

enum { COMMAND_COUNT = 20000, KEPT = 64 };

struct once {
    struct command command;
    struct command_result result;
};

static void compare(const struct once *once,
                    const struct command_result *repeated)
{
    assert_err(repeated->rv, once->result.rv);
    assert_true(repeated->is_repeated);
    assert_int_equal(repeated->index, once->result.index);
    assert_int_equal(repeated->epoch, once->result.epoch);
}

static void repeats_change_nothing(void **state)
{
    struct command_machine machines[2];
    struct command_result result;
    static struct once kept[KEPT];
    struct command opening = open_of(7, 77);
    struct buf dumps[2];
    struct rng rng;
    uint64_t index = 1;
    uint64_t repeat_count = 0;

    (void)state;
    rng_init(&rng, 8);
    for (uint64_t i = 0; i < 2; i++) {
        command_machine_init(&machines[i], i, NULL, NULL);
        assert_ok(command_apply(&machines[i], 1, &opening, &result));
    }
    for (uint64_t i = 1; i <= COMMAND_COUNT; i++) {
        struct command command =
            random_command(&rng, &machines[0].registry, i / 500 % 4 == 3);
        struct once *once = &kept[i % KEPT];

        index++;
        command = as(command, 1, i);
        assert_ok(command_apply(&machines[0], index, &command, &result));
        *once = (struct once){.command = command, .result = result};
        assert_ok(command_apply(&machines[1], index, &command, &result));
        assert_err(once->result.rv, result.rv);
        for (uint64_t j = rng_below(&rng, 3); j > 0; j--) {
            once = &kept[rng_below(&rng, KEPT)];
            if (once->command.request.number == 0 ||
                (once->command.type == COMMAND_CLAIM &&
                 (once->result.rv == ERR_CLOSED ||
                  once->result.rv == ERR_BUSY ||
                  once->result.rv == ERR_NO_CAPACITY))) {
                continue;
            }
            index++;
            assert_ok(
                command_apply(&machines[0], index, &once->command, &result));
            compare(once, &result);
            repeat_count++;
        }
    }
    assert_true(repeat_count > COMMAND_COUNT / 2);
    for (int i = 0; i < 2; i++) {
        buf_init(&dumps[i], DUMP_SIZE_MAX);
        dump_registry(&dumps[i], &machines[i].registry);
    }
    assert_bytes(buf_bytes(&dumps[1]), dumps[0].data, dumps[0].size);
    for (int i = 0; i < 2; i++) {
        buf_close(&dumps[i]);
        command_machine_close(&machines[i]);
    }
}

#define WITH_MACHINE(test) \
    cmocka_unit_test_setup_teardown(test, set_up_machine, tear_down_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_MACHINE(a_claim_that_comes_again_is_told_of_its_own_sandbox),
        WITH_MACHINE(a_claim_may_be_tried_with_another_worker),
        WITH_MACHINE(a_failure_is_remembered_too),
        WITH_MACHINE(a_stop_that_comes_again_stops_no_later_sandbox),
        WITH_MACHINE(a_registration_that_comes_again_gets_its_epoch),
        WITH_MACHINE(what_nobody_knows_any_more_is_refused),
        WITH_MACHINE(a_member_that_is_dropped_has_no_session),
        cmocka_unit_test(repeats_change_nothing),
    };

    return cmocka_run_group_tests_name("command_repeat", tests, NULL, NULL);
}
