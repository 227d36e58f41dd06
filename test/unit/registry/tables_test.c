/* SPDX-License-Identifier: Apache-2.0
 * The tables: counters, rings, memory, limits, and what a sandbox costs. */
#include "base/mem.h"
#include "lib/test.h"
#include "registry/tables.h"

#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>

static struct bytes text(const char *string)
{
    return bytes_of_string(string);
}

static int set_up(void **state)
{
    struct registry *registry = calloc(1, sizeof(*registry));

    assert_non_null(registry);
    registry_init(registry, 3);
    *state = registry;
    return 0;
}

static int tear_down(void **state)
{
    struct registry *registry = *state;

    mem_fail_after(UINT64_MAX);
    registry_check(registry);
    registry_close(registry);
    free(registry);
    return 0;
}

static struct worker *given_worker(struct registry *registry, const char *name)
{
    struct worker *worker = NULL;

    assert_ok(registry_add_worker(registry, text(name), &worker));
    worker->lease = 1;
    worker->renewed_index = 1;
    return worker;
}

static const struct sandbox values_of_x = {
    .id = {(const uint8_t *)"x", 1},
    .spec = {(const uint8_t *)"the spec", 8},
    .options = {(const uint8_t *)"options", 7},
    .birth = 5,
    .epoch = 6,
    .need = {.cpu = 10, .memory = 20},
    .priority = 4,
    .replica_count = 3,
    .replicas = (const uint64_t[]){77, 78, 79},
    /* Not taken over: */
    .pid = {(const uint8_t *)"pid", 3},
    .status = SANDBOX_RUNNING,
    .failures = 3,
};

static struct sandbox *given_sandbox(struct registry *registry,
                                     struct worker *worker)
{
    struct sandbox *sandbox = NULL;

    assert_ok(registry_add_sandbox(registry, &values_of_x, worker, &sandbox));
    return sandbox;
}

static void what_is_not_there_is_null(void **state)
{
    const struct registry *registry = *state;

    assert_null(registry_worker(registry, text("a")));
    assert_null(registry_sandbox(registry, text("a")));
    assert_null(registry_name(registry, text("a")));
    registry_close(NULL);
}

static void worker_begins_without_anything(void **state)
{
    struct registry *registry = *state;
    struct worker *worker = NULL;
    char name[] = "a@host";

    assert_ok(registry_add_worker(registry, text(name), &worker));
    name[0] = 'b'; /* it has a copy */
    assert_ptr_equal(registry_worker(registry, text("a@host")), worker);
    assert_int_equal(worker->lease, 0);
    assert_true(list_is_empty(&worker->sandboxes));
    assert_true(list_is_empty(&worker->names));
    registry_check(registry);
    registry_take_worker(registry, worker);
    assert_null(registry_worker(registry, text("a@host")));
    registry_free_worker(worker);
    registry_free_worker(NULL);
}

static void mode_is_read_from_the_options(void **state)
{
    static const struct {
        const char *options; /* a raw map */
        size_t size;
        enum sandbox_mode mode;
    } rows[] = {
        {"", 0, SANDBOX_STRONG},
        {"options", 7, SANDBOX_STRONG},
        {"t\0\0\0\0", 5, SANDBOX_STRONG},
        {"t\0\0\0\1w\4modew\11available", 22, SANDBOX_AVAILABLE},
        {"t\0\0\0\1w\4modew\6strong", 19, SANDBOX_STRONG},
        {"t\0\0\0\1w\4modea\1", 13, SANDBOX_STRONG},
        {"t\0\0\0\1w\4mode", 11, SANDBOX_STRONG}, /* cut */
        {"t\0\0\0\2w\2rfa\3w\4modew\11available", 28, SANDBOX_AVAILABLE},
        {"t\0\0\0\2w\2rft\0\0\0\1w\4modew\11available"
         "w\4modew\6strong",
         42, SANDBOX_STRONG}, /* the inner one is none of its own */
        {"t\0\0\0\2w\2rf", 9, SANDBOX_STRONG},
    };
    struct registry *registry = *state;
    struct worker *worker = given_worker(registry, "a");
    struct sandbox values = values_of_x;
    struct sandbox *sandbox = NULL;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes options = bytes_of(rows[i].options, rows[i].size);

        if (registry_mode_of(options) != rows[i].mode) {
            fail_msg("row %zu", i);
        }
    }
    values.options = bytes_of(rows[3].options, rows[3].size);
    assert_ok(registry_add_sandbox(registry, &values, worker, &sandbox));
    assert_int_equal(sandbox->mode, SANDBOX_AVAILABLE);
    values.id = text("y");
    values.ring_order = 0;
    values.status = SANDBOX_FAILED;
    values.pid = bytes_of(NULL, 0);
    assert_ok(registry_restore_sandbox(registry, &values));
    sandbox = registry_sandbox(registry, text("y"));
    assert_int_equal(sandbox->mode, SANDBOX_AVAILABLE);
}

static void sandbox_is_counted_by_its_owner(void **state)
{
    struct registry *registry = *state;
    struct worker *worker = given_worker(registry, "a");
    struct sandbox *sandbox = given_sandbox(registry, worker);

    registry_check(registry);
    assert_ptr_equal(registry_sandbox(registry, text("x")), sandbox);
    assert_bytes(sandbox->spec, "the spec", 8);
    assert_bytes(sandbox->options, "options", 7);
    assert_int_equal(sandbox->birth, 5);
    assert_int_equal(sandbox->epoch, 6);
    assert_int_equal(sandbox->priority, 4);
    assert_int_equal(sandbox->replica_count, 3);
    assert_true(sandbox->replicas != values_of_x.replicas);
    assert_int_equal(sandbox->replicas[0], 77);
    assert_int_equal(sandbox->replicas[2], 79);
    assert_int_equal(sandbox->status, SANDBOX_STARTING);
    assert_int_equal(sandbox->pid.size, 0);
    assert_int_equal(sandbox->failures, 0);
    assert_int_equal(worker->sandbox_count, 1);
    assert_int_equal(worker->committed.cpu, 10);
    assert_int_equal(worker->committed.memory, 20);
    registry_take_sandbox(registry, sandbox);
    assert_null(sandbox->worker);
    assert_int_equal(worker->sandbox_count, 0);
    assert_int_equal(worker->committed.cpu, 0);
    assert_int_equal(worker->committed.memory, 0);
    registry_free_sandbox(sandbox);
    registry_free_sandbox(NULL);
}

static void sandbox_moves_between_owner_and_ring(void **state)
{
    struct registry *registry = *state;
    struct worker *a = given_worker(registry, "a");
    struct worker *b = given_worker(registry, "b");
    struct sandbox *sandbox = given_sandbox(registry, a);

    assert_ok(registry_run_sandbox(registry, sandbox, text("pid")));
    registry_check(registry);
    registry_unplace_sandbox(registry, sandbox);
    registry_check(registry);
    assert_int_equal(registry->unplaced_count, 1);
    assert_int_equal(sandbox->pid.size, 0);
    assert_null(sandbox->worker);
    registry_place_sandbox(registry, sandbox, b, 9);
    registry_check(registry);
    assert_int_equal(registry->unplaced_count, 0);
    assert_int_equal(sandbox->epoch, 9);
    assert_ptr_equal(sandbox->worker, b);
    assert_int_equal(b->sandbox_count, 1);
    registry_stop_sandbox(registry, sandbox);
    assert_int_equal(sandbox->status, SANDBOX_STOPPING);
    registry_check(registry);
    registry_unplace_sandbox(registry, sandbox);
    registry_take_sandbox(registry, sandbox);
    assert_int_equal(registry->unplaced_count, 0);
    registry_free_sandbox(sandbox);
}

static void failed_sandbox_is_in_no_ring(void **state)
{
    struct registry *registry = *state;
    struct worker *worker = given_worker(registry, "a");
    struct sandbox *sandbox = given_sandbox(registry, worker);

    assert_ok(registry_put_failures(registry, sandbox, 0, text("reason")));
    registry_fail_sandbox(registry, sandbox);
    registry_check(registry);
    assert_int_equal(worker->sandbox_count, 0);
    assert_int_equal(registry->unplaced_count, 0);
    assert_bytes(sandbox->reason, "reason", 6);
    registry_take_sandbox(registry, sandbox);
    registry_free_sandbox(sandbox);
}

static void pid_and_reason_are_replaced(void **state)
{
    struct registry *registry = *state;
    struct worker *worker = given_worker(registry, "a");
    struct sandbox *sandbox = given_sandbox(registry, worker);

    assert_ok(registry_run_sandbox(registry, sandbox, text("pid 1")));
    assert_ok(registry_put_failures(registry, sandbox, 0, text("reason 1")));
    assert_ok(registry_run_sandbox(registry, sandbox, text("pid number 2")));
    assert_ok(
        registry_put_failures(registry, sandbox, 0, text("reason number 2")));
    assert_bytes(sandbox->pid, "pid number 2", 12);
    assert_bytes(sandbox->reason, "reason number 2", 15);
    mem_fail_after(0);
    assert_err(registry_run_sandbox(registry, sandbox, text("3")), ERR_NOMEM);
    assert_err(registry_put_failures(registry, sandbox, 0, text("3")),
               ERR_NOMEM);
    assert_ok(registry_put_failures(registry, sandbox, 0, text("")));
    mem_fail_after(UINT64_MAX);
    assert_bytes(sandbox->pid, "pid number 2", 12);
    assert_null(sandbox->reason.data);
}

static void names_belong_to_workers(void **state)
{
    struct registry *registry = *state;
    struct worker *worker = given_worker(registry, "a");
    struct registered_name *name = NULL;
    struct registered_name values = {.name = text("n"),
                                     .pid = text("pid"),
                                     .meta = text("meta"),
                                     .epoch = 8};

    assert_ok(registry_add_name(registry, &values, worker, &name));
    registry_check(registry);
    assert_ptr_equal(registry_name(registry, text("n")), name);
    assert_ptr_equal(name->worker, worker);
    assert_bytes(name->pid, "pid", 3);
    assert_bytes(name->meta, "meta", 4);
    assert_int_equal(name->epoch, 8);
    registry_take_name(registry, name);
    assert_null(registry_name(registry, text("n")));
    assert_true(list_is_empty(&worker->names));
    registry_free_name(name);
    registry_free_name(NULL);
}

static void without_memory_nothing_is_added(void **state)
{
    struct registry *registry = *state;
    struct worker *worker = NULL;
    struct sandbox *sandbox = NULL;
    struct registered_name *name = NULL;
    struct registered_name values = {.name = text("n"), .epoch = 1};
    int rv = ERR_NOMEM;

    for (uint64_t i = 0; rv == ERR_NOMEM; i++) {
        mem_fail_after(i);
        rv = registry_add_worker(registry, text("a"), &worker);
        assert_int_equal(registry->workers.count, rv == 0);
    }
    worker->lease = 1;
    worker->renewed_index = 1;
    rv = ERR_NOMEM;
    for (uint64_t i = 0; rv == ERR_NOMEM; i++) {
        mem_fail_after(i);
        rv = registry_add_sandbox(registry, &values_of_x, worker, &sandbox);
        assert_int_equal(worker->sandbox_count, rv == 0);
        registry_check(registry);
    }
    rv = ERR_NOMEM;
    for (uint64_t i = 0; rv == ERR_NOMEM; i++) {
        mem_fail_after(i);
        rv = registry_add_name(registry, &values, worker, &name);
        assert_int_equal(list_is_empty(&worker->names), rv != 0);
        registry_check(registry);
    }
    mem_fail_after(UINT64_MAX);
    assert_ok(rv);
}

static void tables_have_limits(void **state)
{
    struct registry *registry = *state;
    struct worker *worker = NULL;
    char name[32];

    for (int i = 0; i < REGISTRY_WORKERS_MAX; i++) {
        (void)snprintf(name, sizeof(name), "w%d", i);
        assert_ok(registry_add_worker(registry, text(name), &worker));
    }
    worker = NULL;
    assert_err(registry_add_worker(registry, text("one more"), &worker),
               ERR_LIMIT);
    assert_null(worker);
}

/* Bytes that the allocator has given out; 0 under sanitizers, which have an
 * allocator of their own. */
static size_t allocated_size(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static void hundred_thousand_sandboxes_cost_little(void **state)
{
    enum { SANDBOX_COUNT = 100000, ID_SIZE = 16, SPEC_SIZE = 60 };
    struct registry *registry = *state;
    struct worker *worker = given_worker(registry, "a");
    size_t before = allocated_size();
    size_t size;
    uint8_t spec[SPEC_SIZE] = {0};
    uint8_t pid[40] = {0};

    for (uint32_t i = 0; i < SANDBOX_COUNT; i++) {
        struct sandbox values = values_of_x;
        struct sandbox *sandbox;
        char id[ID_SIZE + 1];

        (void)snprintf(id, sizeof(id), "sandbox-%08u", i);
        values.id = text(id);
        values.spec = bytes_of(spec, sizeof(spec));
        assert_ok(registry_add_sandbox(registry, &values, worker, &sandbox));
        assert_ok(registry_run_sandbox(registry, sandbox,
                                       bytes_of(pid, sizeof(pid))));
    }
    size = allocated_size() - before;
    print_message("%zu bytes a sandbox in all (struct %zu, 3 replicas, id %d, "
                  "spec %d, options 7, pid %zu, map slot)\n",
                  size / SANDBOX_COUNT, sizeof(struct sandbox), ID_SIZE,
                  SPEC_SIZE, sizeof(pid));
    /* 360 bytes, and what the user gave. */
    assert_true(size / SANDBOX_COUNT <= 360 + ID_SIZE + SPEC_SIZE + 7);
}

#define TABLES_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TABLES_TEST(what_is_not_there_is_null),
        TABLES_TEST(worker_begins_without_anything),
        TABLES_TEST(mode_is_read_from_the_options),
        TABLES_TEST(sandbox_is_counted_by_its_owner),
        TABLES_TEST(sandbox_moves_between_owner_and_ring),
        TABLES_TEST(failed_sandbox_is_in_no_ring),
        TABLES_TEST(pid_and_reason_are_replaced),
        TABLES_TEST(names_belong_to_workers),
        TABLES_TEST(without_memory_nothing_is_added),
        TABLES_TEST(tables_have_limits),
        TABLES_TEST(hundred_thousand_sandboxes_cost_little),
    };

    return cmocka_run_group_tests_name("registry_tables", tests, NULL, NULL);
}
