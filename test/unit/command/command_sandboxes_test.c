/* SPDX-License-Identifier: Apache-2.0
 * Sandboxes: one owner, growing epochs, every way out. */
#include "machine.h"

#include <string.h>

static void claim_gives_the_sandbox_to_the_worker(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    struct command claim = claim_of("x", "a", lease);
    const struct sandbox *sandbox;

    claim.need = (struct resources){.cpu = 100, .memory = 20};
    claim.priority = 3;
    assert_ok(apply(f, claim));
    sandbox = f->result.sandbox;
    assert_ptr_equal(sandbox, sandbox_of(f, "x"));
    assert_ptr_equal(f->result.worker, worker_of(f, "a"));
    assert_ptr_equal(sandbox->worker, worker_of(f, "a"));
    assert_int_equal(sandbox->status, SANDBOX_STARTING);
    assert_int_equal(sandbox->birth, f->index);
    assert_int_equal(sandbox->epoch, f->index);
    assert_bytes(sandbox->spec, "spec", 4);
    assert_bytes(sandbox->options, "options", 7);
    assert_int_equal(sandbox->priority, 3);
    assert_int_equal(sandbox->replica_count, 2);
    assert_int_equal(sandbox->replicas[1], 8);
    assert_int_equal(sandbox->worker->committed.cpu, 100);
    assert_int_equal(sandbox->worker->committed.memory, 20);
    assert_events(f, "claimed x a\n");
}

static void second_claim_is_told_of_the_first(void **state)
{
    struct fixture *f = *state;
    uint64_t lease_a = given_worker(f, "a");
    uint64_t lease_b = given_worker(f, "b");

    (void)given_starting(f, "x", "a", lease_a);
    assert_err(apply_same_entry(f, claim_of("x", "b", lease_b)), ERR_EXISTS);
    assert_ptr_equal(f->result.sandbox, sandbox_of(f, "x"));
    assert_ptr_equal(f->result.worker, worker_of(f, "a"));
    assert_err(apply(f, claim_of("x", "b", 0)), ERR_EXISTS);
    assert_events(f, "");
}

static void claim_needs_a_live_lease(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");

    assert_err(apply(f, claim_of("x", "a", lease + 1)), ERR_CLOSED);
    assert_err(apply(f, claim_of("x", "b", lease)), ERR_CLOSED);
    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease)));
    assert_err(apply(f, claim_of("x", "a", lease)), ERR_CLOSED);
    assert_err(apply(f, claim_of("x", "a", 0)), ERR_CLOSED);
    assert_null(sandbox_of(f, "x"));
}

static void claim_beyond_a_capacity_is_refused(void **state)
{
    struct fixture *f = *state;
    struct command attach = attach_of("a", INCARNATION_1);
    struct command claim;

    attach.capacity = (struct resources){.cpu = 100, .memory = 50};
    attach.sandboxes_max = 3;
    assert_ok(apply(f, attach));
    claim = claim_of("1", "a", f->index);
    claim.need = (struct resources){.cpu = 101};
    assert_err(apply(f, claim), ERR_NO_CAPACITY);
    assert_ptr_equal(f->result.worker, worker_of(f, "a"));
    claim.need = (struct resources){.memory = 51};
    assert_err(apply(f, claim), ERR_NO_CAPACITY);
    claim.need = (struct resources){.cpu = 100, .memory = 50};
    assert_ok(apply(f, claim));
    claim.id = text("2");
    claim.need = (struct resources){.cpu = 1};
    assert_err(apply(f, claim), ERR_NO_CAPACITY);
    claim.need = (struct resources){0};
    assert_ok(apply(f, claim));
    claim.id = text("3");
    assert_ok(apply(f, claim));
    claim.id = text("4");
    assert_err(apply(f, claim), ERR_NO_CAPACITY);
    /* A smaller capacity later drives nobody out, and lets nobody in. */
    attach.capacity.cpu = 10;
    attach.sandboxes_max = 0;
    assert_ok(apply(f, attach));
    assert_err(apply(f, claim), ERR_NO_CAPACITY);
    assert_int_equal(worker_of(f, "a")->sandbox_count, 3);
}

static void unlimited_capacity_still_counts_exactly(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    struct command claim = claim_of("1", "a", lease);

    claim.need = (struct resources){.cpu = UINT32_MAX, .memory = 1};
    assert_ok(apply(f, claim));
    claim.id = text("2");
    claim.need = (struct resources){.cpu = 1};
    assert_err(apply(f, claim), ERR_NO_CAPACITY);
    claim.need = (struct resources){.memory = UINT32_MAX};
    assert_err(apply(f, claim), ERR_NO_CAPACITY);
    claim.need = (struct resources){.memory = UINT32_MAX - 1};
    assert_ok(apply(f, claim));
}

static void one_entry_never_grants_an_epoch_twice(void **state)
{
    struct fixture *f = *state;
    uint64_t lease_a = given_worker(f, "a");
    uint64_t lease_b = given_worker(f, "b");

    assert_ok(apply(f, claim_of("x", "a", lease_a)));
    assert_ok(apply_same_entry(f, lease_of(COMMAND_RELEASE, "a", lease_a)));
    assert_err(apply_same_entry(f, place_of("x", f->index, "b", lease_b)),
               ERR_BUSY);
    assert_ok(apply_same_entry(f, stop_of("x")));
    assert_null(sandbox_of(f, "x"));
    assert_err(apply_same_entry(f, claim_of("x", "b", lease_b)), ERR_BUSY);
    assert_ok(apply(f, claim_of("x", "b", lease_b)));
}

static void placing_again_gives_a_greater_epoch(void **state)
{
    struct fixture *f = *state;
    uint64_t lease_a = given_worker(f, "a");
    uint64_t lease_b = given_worker(f, "b");
    uint64_t epoch = given_running(f, "x", "a", lease_a);
    uint64_t birth = sandbox_of(f, "x")->birth;

    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease_a)));
    buf_clear(&f->trace);
    assert_ok(apply(f, place_of("x", epoch, "b", lease_b)));
    assert_true(f->result.sandbox->epoch > epoch);
    assert_int_equal(f->result.sandbox->epoch, f->index);
    assert_int_equal(f->result.sandbox->birth, birth);
    assert_int_equal(f->result.sandbox->status, SANDBOX_STARTING);
    assert_ptr_equal(f->result.worker, worker_of(f, "b"));
    assert_int_equal(f->machine.registry.unplaced_count, 0);
    assert_events(f, "claimed x b\n");
    /* What the old owner says is stale from here on. */
    assert_err(apply(f, started_of("x", epoch, "pid")), ERR_STALE_EPOCH);
    assert_err(apply(f, failed_of("x", epoch, "r")), ERR_STALE_EPOCH);
    assert_err(apply(f, stopped_of("x", epoch, text("r"))), ERR_STALE_EPOCH);
    assert_err(apply(f, place_of("x", epoch, "b", lease_b)), ERR_STALE_EPOCH);
    assert_events(f, "");
}

static void only_unplaced_sandboxes_are_placed(void **state)
{
    struct fixture *f = *state;
    uint64_t lease_a = given_worker(f, "a");
    uint64_t lease_b = given_worker(f, "b");
    uint64_t epoch = given_running(f, "x", "a", lease_a);
    struct command attach = attach_of("b", INCARNATION_1);

    assert_err(apply(f, place_of("y", epoch, "b", lease_b)), ERR_NOT_FOUND);
    assert_err(apply(f, place_of("x", epoch, "b", lease_b)), ERR_STALE_EPOCH);
    assert_ptr_equal(f->result.sandbox, sandbox_of(f, "x"));
    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease_a)));
    assert_err(apply(f, place_of("x", epoch - 1, "b", lease_b)),
               ERR_STALE_EPOCH);
    assert_err(apply(f, place_of("x", epoch, "b", lease_b + 1)), ERR_CLOSED);
    assert_err(apply(f, place_of("x", epoch, "a", lease_a)), ERR_CLOSED);
    attach.sandboxes_max = 1;
    assert_ok(apply(f, attach));
    (void)given_starting(f, "full", "b", lease_b);
    assert_err(apply(f, place_of("x", epoch, "b", lease_b)), ERR_NO_CAPACITY);
    assert_int_equal(f->machine.registry.unplaced_count, 1);
}

static void started_is_idempotent_and_knows_restarts(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_starting(f, "x", "a", lease);

    assert_err(apply(f, started_of("y", epoch, "p1")), ERR_NOT_FOUND);
    assert_err(apply(f, started_of("x", epoch + 1, "p1")), ERR_STALE_EPOCH);
    assert_ok(apply(f, started_of("x", epoch, "p1")));
    assert_int_equal(f->result.sandbox->status, SANDBOX_RUNNING);
    assert_bytes(f->result.sandbox->pid, "p1", 2);
    assert_ok(apply(f, started_of("x", epoch, "p1")));
    assert_events(f, "started x a\n");
    assert_ok(apply(f, started_of("x", epoch, "pid 2")));
    assert_bytes(f->result.sandbox->pid, "pid 2", 5);
    assert_int_equal(f->result.sandbox->epoch, epoch);
    assert_events(f, "started x a\n");
}

static void failed_start_is_tried_elsewhere_five_times(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    struct command claim = claim_of("x", "a", lease);
    uint64_t epoch;

    claim.need.cpu = 5;
    assert_ok(apply(f, claim));
    for (int i = 1; i < COMMAND_START_FAILURES_MAX; i++) {
        epoch = f->result.sandbox->epoch;
        assert_ok(apply(f, failed_of("x", epoch, "reason")));
        assert_ptr_equal(f->result.worker, worker_of(f, "a"));
        assert_int_equal(f->result.sandbox->status, SANDBOX_UNPLACED);
        assert_int_equal(f->result.sandbox->failures, i);
        assert_bytes(f->result.sandbox->reason, "reason", 6);
        assert_err(apply(f, failed_of("x", epoch, "again")), ERR_STALE_EPOCH);
        buf_clear(&f->trace);
        assert_ok(apply(f, place_of("x", epoch, "a", lease)));
        assert_events(f, "claimed x a\n");
    }
    epoch = f->result.sandbox->epoch;
    assert_ok(apply(f, failed_of("x", epoch, "last")));
    assert_events(f, "start_failed x a\n");
    assert_int_equal(f->result.sandbox->status, SANDBOX_FAILED);
    assert_bytes(f->result.sandbox->reason, "last", 4);
    assert_null(f->result.sandbox->worker);
    assert_int_equal(worker_of(f, "a")->committed.cpu, 0);
    assert_int_equal(f->machine.registry.unplaced_count, 0);
    assert_err(apply(f, place_of("x", epoch, "a", lease)), ERR_STALE_EPOCH);
    assert_ok(apply(f, stop_of("x")));
    assert_null(f->result.sandbox);
    assert_null(sandbox_of(f, "x"));
    assert_events(f, "removed x\n");
}

static void a_start_that_works_forgets_earlier_failures(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_starting(f, "x", "a", lease);

    assert_ok(apply(f, failed_of("x", epoch, "reason")));
    assert_ok(apply(f, place_of("x", epoch, "a", lease)));
    assert_int_equal(f->result.sandbox->failures, 1);
    assert_ok(apply(f, started_of("x", f->index, "pid")));
    assert_int_equal(f->result.sandbox->failures, 0);
    assert_int_equal(f->result.sandbox->reason.size, 0);
}

static void stop_is_carried_out_by_the_owner(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_running(f, "x", "a", lease);

    assert_err(apply(f, stop_of("y")), ERR_NOT_FOUND);
    assert_ok(apply(f, stop_of("x")));
    assert_int_equal(f->result.sandbox->status, SANDBOX_STOPPING);
    assert_int_equal(f->result.sandbox->pid.size, 0);
    assert_ok(apply(f, stop_of("x")));
    assert_events(f, "stopping x a\n");
    /* A start that crossed the order changes nothing. */
    assert_ok(apply(f, started_of("x", epoch, "pid")));
    assert_int_equal(f->result.sandbox->status, SANDBOX_STOPPING);
    assert_events(f, "");
    assert_ok(apply(f, stopped_of("x", epoch, text("whatever"))));
    assert_null(f->result.sandbox);
    assert_ptr_equal(f->result.worker, worker_of(f, "a"));
    assert_events(f, "removed x a\n");
    assert_err(apply(f, stop_of("x")), ERR_NOT_FOUND);
}

static void stop_of_what_nobody_owns_is_done_at_once(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");

    (void)given_running(f, "x", "a", lease);
    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease)));
    buf_clear(&f->trace);
    assert_ok(apply(f, stop_of("x")));
    assert_null(f->result.sandbox);
    assert_null(sandbox_of(f, "x"));
    assert_int_equal(f->machine.registry.unplaced_count, 0);
    assert_events(f, "removed x\n");
}

static void failure_while_stopping_is_as_good_as_stopped(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_starting(f, "x", "a", lease);

    assert_ok(apply(f, stop_of("x")));
    assert_ok(apply(f, failed_of("x", epoch, "reason")));
    assert_null(sandbox_of(f, "x"));
    assert_events(f, "stopping x a\nremoved x a\n");
}

/* SMALL_ATOM_UTF8_EXT is 119, SMALL_TUPLE_EXT 104, SMALL_INTEGER_EXT 97. */
#define ATOM_NORMAL   "w\6normal"
#define ATOM_SHUTDOWN "w\10shutdown"
#define ATOM_KILLED   "w\6killed"

#define BYTES(literal) bytes_of(literal, sizeof(literal) - 1)

static void normal_ends_remove_the_sandbox(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    const struct bytes reasons[] = {BYTES(ATOM_NORMAL), BYTES(ATOM_SHUTDOWN),
                                    BYTES("h\2" ATOM_SHUTDOWN "a\1")};

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        uint64_t epoch = given_running(f, "x", "a", lease);

        assert_ok(apply(f, stopped_of("x", epoch, reasons[i])));
        assert_null(f->result.sandbox);
        assert_null(sandbox_of(f, "x"));
        assert_events(f, "removed x a\n");
    }
}

static void other_ends_are_failures(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    const struct bytes reasons[] = {
        BYTES(ATOM_KILLED),
        BYTES("h\2" ATOM_NORMAL "a\1"),
        BYTES("h\3" ATOM_SHUTDOWN "a\1a\1"),
        BYTES("h\1" ATOM_SHUTDOWN),
        BYTES("a\1"),
        BYTES("w\10shut"),
        BYTES("h"),
        BYTES(""),
    };

    for (size_t i = 0; i < sizeof(reasons) / sizeof(reasons[0]); i++) {
        uint64_t epoch = given_running(f, "x", "a", lease);

        assert_ok(apply(f, stopped_of("x", epoch, reasons[i])));
        assert_int_equal(f->result.sandbox->status, SANDBOX_UNPLACED);
        assert_int_equal(f->result.sandbox->failures, 1);
        assert_bytes(f->result.sandbox->reason, reasons[i].data,
                     reasons[i].size);
        assert_events(f, "start_failed x a\n");
        assert_ok(apply(f, stop_of("x")));
        buf_clear(&f->trace);
    }
}

static void reports_on_what_is_not_owned_are_stale(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_running(f, "x", "a", lease);

    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease)));
    assert_err(apply(f, started_of("x", epoch, "pid")), ERR_STALE_EPOCH);
    assert_err(apply(f, failed_of("x", epoch, "r")), ERR_STALE_EPOCH);
    assert_err(apply(f, stopped_of("x", epoch, BYTES(ATOM_NORMAL))),
               ERR_STALE_EPOCH);
    assert_int_equal(sandbox_of(f, "x")->status, SANDBOX_UNPLACED);
    assert_err(apply(f, failed_of("y", epoch, "r")), ERR_NOT_FOUND);
    assert_err(apply(f, stopped_of("y", epoch, text("r"))), ERR_NOT_FOUND);
}

/* What a replica may still be asked for. */
static void removal_ends_all_epochs_up_to_it(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t first = given_running(f, "x", "a", lease);
    uint64_t last;

    assert_false(command_is_epoch_over(&f->machine, text("x"), first));
    assert_ok(apply(f, stop_of("x")));
    assert_false(command_is_epoch_over(&f->machine, text("x"), first));
    assert_ok(apply(f, stopped_of("x", first, text("whatever"))));
    assert_true(command_is_epoch_over(&f->machine, text("x"), first));
    /* A grant that is not applied here yet. */
    assert_false(command_is_epoch_over(&f->machine, text("x"), f->index));
    last = given_running(f, "x", "a", lease);
    assert_true(command_is_epoch_over(&f->machine, text("x"), first));
    assert_false(command_is_epoch_over(&f->machine, text("x"), last));
}

static void states_of_copies_are_nobodys(void **state)
{
    struct fixture *f = *state;
    uint8_t key[REGISTRY_COPY_KEY_SIZE];

    (void)given_worker(f, "a");
    (void)given_worker(f, "b");
    registry_copy_key(1, key);
    assert_true(command_is_epoch_over(&f->machine, text("x"), 1));
    assert_false(
        command_is_epoch_over(&f->machine, bytes_of(key, sizeof(key)), 1));
}

static void moving_ends_no_epoch_for_replicas(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t first = given_running(f, "x", "a", lease);

    /* The seal of the next owner does that. */
    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease)));
    assert_false(command_is_epoch_over(&f->machine, text("x"), first));
}

#define MACHINE_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up_machine, tear_down_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MACHINE_TEST(claim_gives_the_sandbox_to_the_worker),
        MACHINE_TEST(second_claim_is_told_of_the_first),
        MACHINE_TEST(claim_needs_a_live_lease),
        MACHINE_TEST(claim_beyond_a_capacity_is_refused),
        MACHINE_TEST(unlimited_capacity_still_counts_exactly),
        MACHINE_TEST(one_entry_never_grants_an_epoch_twice),
        MACHINE_TEST(placing_again_gives_a_greater_epoch),
        MACHINE_TEST(only_unplaced_sandboxes_are_placed),
        MACHINE_TEST(started_is_idempotent_and_knows_restarts),
        MACHINE_TEST(failed_start_is_tried_elsewhere_five_times),
        MACHINE_TEST(a_start_that_works_forgets_earlier_failures),
        MACHINE_TEST(stop_is_carried_out_by_the_owner),
        MACHINE_TEST(stop_of_what_nobody_owns_is_done_at_once),
        MACHINE_TEST(failure_while_stopping_is_as_good_as_stopped),
        MACHINE_TEST(normal_ends_remove_the_sandbox),
        MACHINE_TEST(other_ends_are_failures),
        MACHINE_TEST(reports_on_what_is_not_owned_are_stale),
        MACHINE_TEST(removal_ends_all_epochs_up_to_it),
        MACHINE_TEST(states_of_copies_are_nobodys),
        MACHINE_TEST(moving_ends_no_epoch_for_replicas),
    };

    return cmocka_run_group_tests_name("command_sandboxes", tests, NULL, NULL);
}
