/* SPDX-License-Identifier: Apache-2.0
 * Registered names live as long as the lease of their worker. */
#include "machine.h"

static struct registered_name *name_of(const struct fixture *f,
                                       const char *name)
{
    return registry_name(&f->machine.registry, text(name));
}

static void register_needs_a_live_lease(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    struct command command = register_of("n", "a", "pid");

    command.lease = lease + 1;
    assert_err(apply(f, command), ERR_CLOSED);
    assert_err(apply(f, register_of("n", "b", "pid")), ERR_CLOSED);
    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease)));
    assert_err(apply(f, register_of("n", "a", "pid")), ERR_CLOSED);
    assert_null(name_of(f, "n"));
    assert_events(f, "ended a\n");
}

static void register_gives_an_epoch(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    struct command command = register_of("n", "a", "pid");

    command.lease = lease;
    assert_ok(apply(f, command));
    assert_ptr_equal(f->result.name, name_of(f, "n"));
    assert_ptr_equal(f->result.worker, worker_of(f, "a"));
    assert_int_equal(f->result.name->epoch, f->index);
    assert_bytes(f->result.name->pid, "pid", 3);
    assert_bytes(f->result.name->meta, "meta", 4);
    assert_events(f, "registered n a\n");
}

static void name_has_one_pid(void **state)
{
    struct fixture *f = *state;
    uint64_t epoch;

    (void)given_worker(f, "a");
    (void)given_worker(f, "b");
    assert_ok(apply(f, register_of("n", "a", "pid 1")));
    epoch = f->index;
    assert_events(f, "registered n a\n");
    assert_ok(apply(f, register_of("n", "a", "pid 1")));
    assert_int_equal(f->result.name->epoch, epoch);
    assert_err(apply(f, register_of("n", "b", "pid 2")), ERR_EXISTS);
    assert_ptr_equal(f->result.name, name_of(f, "n"));
    assert_bytes(f->result.name->pid, "pid 1", 5);
    assert_events(f, "");
}

static void unregister_must_match(void **state)
{
    struct fixture *f = *state;
    struct command command = unregister_of("n", "pid");

    (void)given_worker(f, "a");
    assert_ok(apply(f, register_of("n", "a", "pid")));
    buf_clear(&f->trace);
    command.epoch = f->index + 1;
    assert_err(apply(f, unregister_of("m", "pid")), ERR_NOT_FOUND);
    assert_err(apply(f, unregister_of("n", "other")), ERR_NOT_FOUND);
    assert_err(apply(f, command), ERR_STALE_EPOCH);
    assert_ptr_equal(f->result.name, name_of(f, "n"));
    assert_events(f, "");
    assert_ok(apply(f, unregister_of("n", "pid")));
    assert_null(f->result.name);
    assert_null(name_of(f, "n"));
    assert_events(f, "name_removed n a\n");
    assert_err(apply(f, unregister_of("n", "pid")), ERR_NOT_FOUND);
}

static void unregister_without_pid_takes_any(void **state)
{
    struct fixture *f = *state;
    struct command command = unregister_of("n", "");

    (void)given_worker(f, "a");
    assert_ok(apply(f, register_of("n", "a", "pid")));
    command.epoch = f->index;
    assert_ok(apply(f, command));
    assert_null(name_of(f, "n"));
}

static void one_entry_never_gives_a_name_two_owners_of_one_epoch(void **state)
{
    struct fixture *f = *state;

    (void)given_worker(f, "a");
    assert_ok(apply(f, register_of("n", "a", "pid 1")));
    assert_ok(apply_same_entry(f, unregister_of("n", "pid 1")));
    assert_err(apply_same_entry(f, register_of("n", "a", "pid 2")), ERR_BUSY);
    assert_ok(apply(f, register_of("n", "a", "pid 2")));
    assert_ok(apply(f, unregister_of("n", "pid 2")));
    assert_ok(apply_same_entry(f, register_of("n", "a", "pid 3")));
}

static void names_end_with_the_lease(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");

    (void)given_worker(f, "b");
    assert_ok(apply(f, register_of("n1", "a", "pid")));
    assert_ok(apply(f, register_of("n2", "b", "pid")));
    assert_ok(apply(f, register_of("n3", "a", "pid")));
    buf_clear(&f->trace);
    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease)));
    assert_events(f, "ended a\nname_removed n1 a\nname_removed n3 a\n");
    assert_null(name_of(f, "n1"));
    assert_non_null(name_of(f, "n2"));
}

#define MACHINE_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up_machine, tear_down_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MACHINE_TEST(register_needs_a_live_lease),
        MACHINE_TEST(register_gives_an_epoch),
        MACHINE_TEST(name_has_one_pid),
        MACHINE_TEST(unregister_must_match),
        MACHINE_TEST(unregister_without_pid_takes_any),
        MACHINE_TEST(one_entry_never_gives_a_name_two_owners_of_one_epoch),
        MACHINE_TEST(names_end_with_the_lease),
    };

    return cmocka_run_group_tests_name("command_names", tests, NULL, NULL);
}
