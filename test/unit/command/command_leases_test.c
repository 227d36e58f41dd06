/* SPDX-License-Identifier: Apache-2.0
 * Leases: who may act, from when to when. */
#include "machine.h"

#include <stdio.h>

static void first_attach_grants_a_lease(void **state)
{
    struct fixture *f = *state;
    struct command attach = attach_of("a", INCARNATION_1);
    const struct worker *worker;

    attach.capacity = (struct resources){.cpu = 4000, .memory = 512};
    attach.sandboxes_max = 10;
    assert_ok(apply(f, attach));
    worker = f->result.worker;
    assert_ptr_equal(worker, worker_of(f, "a"));
    assert_int_equal(worker->lease, f->index);
    assert_int_equal(worker->renewed_index, f->index);
    assert_int_equal(worker->renewed_clock, 100);
    assert_int_equal(worker->member, 7);
    assert_int_equal(worker->capacity.cpu, 4000);
    assert_int_equal(worker->capacity.memory, 512);
    assert_int_equal(worker->sandboxes_max, 10);
    assert_bytes(bytes_of(worker->incarnation, 16), INCARNATION_1, 16);
    assert_events(f, "granted a\n");
}

static void attach_of_the_same_run_keeps_the_lease_and_moves(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    struct command attach = attach_of("a", INCARNATION_1);

    (void)given_running(f, "x", "a", lease);
    attach.member = 9;
    attach.clock = 150;
    attach.capacity.cpu = 1;
    assert_ok(apply(f, attach));
    assert_int_equal(f->result.worker->lease, lease);
    assert_int_equal(f->result.worker->renewed_index, f->index);
    assert_int_equal(f->result.worker->renewed_clock, 150);
    assert_int_equal(f->result.worker->member, 9);
    assert_int_equal(f->result.worker->capacity.cpu, 1);
    assert_int_equal(sandbox_of(f, "x")->status, SANDBOX_RUNNING);
    assert_events(f, "granted a\n");
}

/* What the member with the longest term has promised counts, until the lease
 * has ended. */
static void a_lease_has_the_longest_term_of_its_members(void **state)
{
    struct fixture *f = *state;
    struct command attach = attach_of("a", INCARNATION_1);

    attach.term_ms = 4000;
    assert_ok(apply(f, attach));
    assert_int_equal(f->result.worker->term_ms, 4000);
    attach.clock++;
    attach.term_ms = 1500;
    assert_ok(apply(f, attach));
    assert_int_equal(f->result.worker->term_ms, 4000);
    attach.clock++;
    attach.term_ms = 15000;
    assert_ok(apply(f, attach));
    assert_int_equal(f->result.worker->term_ms, 15000);
    attach = attach_of("a", INCARNATION_2);
    attach.clock = 200;
    attach.term_ms = 1500;
    assert_ok(apply(f, attach));
    assert_int_equal(f->result.worker->term_ms, 1500);
}

/* Else its member would act by what the worker ran long ago. */
static void an_attach_that_comes_late_is_refused(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    struct command late = attach_of("a", INCARNATION_1);
    struct command renew = lease_of(COMMAND_RENEW, "a", lease);

    renew.clock = 101;
    (void)given_running(f, "x", "a", lease);
    assert_ok(apply(f, renew));
    assert_events(f, "renewed a\n");
    late.member = 9;
    assert_err(apply(f, late), ERR_STALE_EPOCH);
    late.incarnation = text(INCARNATION_2);
    assert_err(apply(f, late), ERR_STALE_EPOCH);
    assert_int_equal(worker_of(f, "a")->lease, lease);
    assert_int_equal(worker_of(f, "a")->member, 7);
    assert_int_equal(worker_of(f, "a")->renewed_clock, 101);
    assert_int_equal(sandbox_of(f, "x")->status, SANDBOX_RUNNING);
    assert_events(f, "");
    /* A host that was started anew counts from 0: once the lease is over. */
    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease)));
    assert_ok(apply(f, late));
    assert_int_equal(worker_of(f, "a")->renewed_clock, 100);
}

static void attach_of_a_new_run_ends_the_old_lease_first(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");

    (void)given_running(f, "x", "a", lease);
    (void)given_starting(f, "y", "a", lease);
    (void)given_running(f, "z", "a", lease);
    assert_ok(apply(f, stop_of("z")));
    assert_ok(apply(f, register_of("n", "a", "pid")));
    buf_clear(&f->trace);
    assert_ok(apply(f, attach_of("a", INCARNATION_2)));
    assert_int_equal(f->result.worker->lease, f->index);
    assert_int_equal(f->result.worker->sandbox_count, 0);
    assert_events(f, "ended a\nunplaced x a\nunplaced y a\nremoved z a\n"
                     "name_removed n a\ngranted a\n");
    assert_int_equal(f->machine.registry.unplaced_count, 2);
    assert_int_equal(sandbox_of(f, "x")->pid.size, 0);
    assert_null(sandbox_of(f, "x")->worker);
    assert_null(sandbox_of(f, "z"));
}

static void a_run_whose_lease_ended_may_not_attach_again(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");

    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease)));
    assert_events(f, "ended a\n");
    assert_err(apply(f, attach_of("a", INCARNATION_1)), ERR_CLOSED);
    assert_int_equal(f->result.worker->lease, 0);
    assert_events(f, "");
    assert_ok(apply(f, attach_of("a", INCARNATION_2)));
    assert_int_equal(f->result.worker->lease, f->index);
}

static void one_entry_grants_a_worker_one_lease(void **state)
{
    struct fixture *f = *state;

    assert_ok(apply(f, attach_of("a", INCARNATION_1)));
    assert_ok(apply_same_entry(f, attach_of("a", INCARNATION_1)));
    assert_err(apply_same_entry(f, attach_of("a", INCARNATION_2)), ERR_BUSY);
    assert_ok(apply_same_entry(f, attach_of("b", INCARNATION_2)));
    /* Nor after that lease has ended again. */
    assert_ok(apply_same_entry(f, lease_of(COMMAND_RELEASE, "a", f->index)));
    assert_err(apply_same_entry(f, attach_of("a", INCARNATION_2)), ERR_BUSY);
    assert_ok(apply(f, attach_of("a", INCARNATION_2)));
}

static void renewal_moves_the_index_and_never_the_clock_back(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    struct command renew = lease_of(COMMAND_RENEW, "a", lease);

    renew.clock = 500;
    assert_ok(apply(f, renew));
    assert_int_equal(f->result.worker->renewed_index, f->index);
    assert_int_equal(f->result.worker->renewed_clock, 500);
    renew.clock = 400;
    assert_ok(apply(f, renew));
    assert_int_equal(f->result.worker->renewed_index, f->index);
    assert_int_equal(f->result.worker->renewed_clock, 500);
    assert_events(f, "renewed a\nrenewed a\n");
}

static void only_the_live_lease_can_be_renewed(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");

    assert_err(apply(f, lease_of(COMMAND_RENEW, "a", lease + 1)), ERR_CLOSED);
    assert_err(apply(f, lease_of(COMMAND_RENEW, "a", 0)), ERR_CLOSED);
    assert_err(apply(f, lease_of(COMMAND_RENEW, "b", lease)), ERR_CLOSED);
    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease)));
    assert_err(apply(f, lease_of(COMMAND_RENEW, "a", lease)), ERR_CLOSED);
    assert_err(apply(f, lease_of(COMMAND_RENEW, "a", 0)), ERR_CLOSED);
    assert_events(f, "ended a\n");
}

static void expiry_is_ignored_if_renewed_since(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    struct command expire = lease_of(COMMAND_EXPIRE, "a", lease);

    (void)given_running(f, "x", "a", lease);
    expire.renewed_index = worker_of(f, "a")->renewed_index;
    assert_ok(apply(f, lease_of(COMMAND_RENEW, "a", lease)));
    buf_clear(&f->trace);
    assert_err(apply(f, expire), ERR_STALE_EPOCH);
    assert_int_equal(worker_of(f, "a")->lease, lease);
    assert_events(f, "");
    expire.renewed_index = worker_of(f, "a")->renewed_index;
    assert_ok(apply(f, expire));
    assert_int_equal(worker_of(f, "a")->lease, 0);
    assert_events(f, "ended a\nunplaced x a\n");
    assert_err(apply(f, expire), ERR_CLOSED);
}

static void release_needs_the_live_lease(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");

    assert_err(apply(f, lease_of(COMMAND_RELEASE, "a", lease + 1)), ERR_CLOSED);
    assert_err(apply(f, lease_of(COMMAND_RELEASE, "b", lease)), ERR_CLOSED);
    assert_events(f, "");
    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease)));
    assert_err(apply(f, lease_of(COMMAND_RELEASE, "a", lease)), ERR_CLOSED);
    assert_err(apply(f, lease_of(COMMAND_RELEASE, "a", 0)), ERR_CLOSED);
}

static void unplaced_rings_are_oldest_first(void **state)
{
    struct fixture *f = *state;
    uint64_t lease_a = given_worker(f, "a");
    uint64_t lease_b = given_worker(f, "b");
    const char *expected[] = {"3", "2", "1"};
    size_t i = 0;

    (void)given_running(f, "1", "a", lease_a);
    (void)given_running(f, "3", "b", lease_b);
    (void)given_running(f, "2", "b", lease_b);
    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "b", lease_b)));
    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease_a)));
    LIST_FOREACH (node, &f->machine.registry.unplaced[0]) {
        assert_bytes(LIST_ENTRY(node, struct sandbox, worker_link)->id,
                     expected[i++], 1);
    }
    assert_int_equal(i, 3);
}

/* Workers 0000, 0001, ... until the table is full. */
static void fill_workers(struct fixture *f)
{
    char name[32];

    for (int i = 0; i < REGISTRY_WORKERS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "%04d", i);
        f->index++;
        assert_ok(
            command_apply(&f->machine, f->index,
                          &(struct command){.type = COMMAND_ATTACH,
                                            .worker = text(name),
                                            .incarnation = text(INCARNATION_1),
                                            .member = 7},
                          &f->result));
        assert_ok(f->result.rv);
    }
    buf_clear(&f->trace);
}

static void full_table_forgets_the_worker_longest_away(void **state)
{
    struct fixture *f = *state;

    fill_workers(f);
    assert_err(apply(f, attach_of("new", INCARNATION_1)), ERR_LIMIT);
    assert_events(f, "");
    assert_ok(apply(
        f, lease_of(COMMAND_RELEASE, "0009", worker_of(f, "0009")->lease)));
    assert_ok(apply(
        f, lease_of(COMMAND_RELEASE, "0005", worker_of(f, "0005")->lease)));
    buf_clear(&f->trace);
    assert_ok(apply(f, attach_of("new", INCARNATION_1)));
    assert_events(f, "worker_removed 0005\ngranted new\n");
    assert_null(worker_of(f, "0005"));
    assert_ok(apply(f, attach_of("newer", INCARNATION_1)));
    assert_err(apply(f, attach_of("newest", INCARNATION_1)), ERR_LIMIT);
    assert_null(worker_of(f, "newest"));
}

#define MACHINE_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up_machine, tear_down_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MACHINE_TEST(first_attach_grants_a_lease),
        MACHINE_TEST(attach_of_the_same_run_keeps_the_lease_and_moves),
        MACHINE_TEST(a_lease_has_the_longest_term_of_its_members),
        MACHINE_TEST(an_attach_that_comes_late_is_refused),
        MACHINE_TEST(attach_of_a_new_run_ends_the_old_lease_first),
        MACHINE_TEST(a_run_whose_lease_ended_may_not_attach_again),
        MACHINE_TEST(one_entry_grants_a_worker_one_lease),
        MACHINE_TEST(renewal_moves_the_index_and_never_the_clock_back),
        MACHINE_TEST(only_the_live_lease_can_be_renewed),
        MACHINE_TEST(expiry_is_ignored_if_renewed_since),
        MACHINE_TEST(release_needs_the_live_lease),
        MACHINE_TEST(unplaced_rings_are_oldest_first),
        MACHINE_TEST(full_table_forgets_the_worker_longest_away),
    };

    return cmocka_run_group_tests_name("command_leases", tests, NULL, NULL);
}
