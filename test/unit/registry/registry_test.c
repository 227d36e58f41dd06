/* SPDX-License-Identifier: Apache-2.0
 * registry_check() must see what it is there for: each broken invariant ends
 * the process (a child, so that the test can look). */
#include "lib/test.h"
#include "registry/registry.h"
#include "registry/tables.h"

#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

struct fixture {
    struct registry registry;
    struct worker *worker;
    struct sandbox *running;
    struct sandbox *unplaced;
    struct registered_name *name;
};

static struct bytes text(const char *string)
{
    return bytes_of_string(string);
}

static struct sandbox *add_sandbox(struct fixture *f, const char *id)
{
    struct sandbox values = {
        .id = text(id), .birth = 1, .epoch = 1, .need = {.cpu = 1}};
    struct sandbox *sandbox = NULL;

    assert_ok(registry_add_sandbox(&f->registry, &values, f->worker, &sandbox));
    return sandbox;
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    struct registered_name values = {
        .name = text("n"), .pid = text("p"), .epoch = 1};

    assert_non_null(f);
    registry_init(&f->registry, 1);
    assert_ok(registry_add_worker(&f->registry, text("a"), &f->worker));
    f->worker->lease = 1;
    f->worker->renewed_index = 1;
    f->running = add_sandbox(f, "x");
    assert_ok(registry_run_sandbox(&f->registry, f->running, text("pid")));
    f->unplaced = add_sandbox(f, "y");
    registry_unplace_sandbox(&f->registry, f->unplaced);
    assert_ok(registry_add_name(&f->registry, &values, f->worker, &f->name));
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;

    registry_close(&f->registry);
    free(f);
    return 0;
}

static void break_committed(struct fixture *f)
{
    f->worker->committed.cpu++;
}

static void break_count(struct fixture *f)
{
    f->worker->sandbox_count--;
}

static void break_unplaced_count(struct fixture *f)
{
    f->registry.unplaced_count++;
}

static void break_status(struct fixture *f)
{
    f->unplaced->status = SANDBOX_STARTING;
}

static void break_owner(struct fixture *f)
{
    f->running->worker = NULL;
}

static void break_ring(struct fixture *f)
{
    list_remove(&f->unplaced->worker_link);
    f->registry.unplaced_count--;
}

static void break_pid(struct fixture *f)
{
    f->running->status = SANDBOX_STARTING;
}

static void break_epoch(struct fixture *f)
{
    f->running->epoch = 0;
}

static void break_lease(struct fixture *f)
{
    f->worker->lease = 0;
}

static void break_name(struct fixture *f)
{
    list_remove(&f->name->worker_link);
}

static const struct {
    const char *what;
    void (*apply)(struct fixture *f);
} breaks[] = {
    {"committed", break_committed},
    {"sandbox_count", break_count},
    {"unplaced_count", break_unplaced_count},
    {"status", break_status},
    {"owner", break_owner},
    {"ring", break_ring},
    {"pid", break_pid},
    {"epoch", break_epoch},
    {"lease", break_lease},
    {"name", break_name},
};

/* Whether registry_check() aborts after this damage. */
static bool check_aborts(struct fixture *f, void (*damage)(struct fixture *f))
{
    pid_t child = fork();
    int status = 0;

    assert_true(child >= 0);
    if (child == 0) {
        const struct rlimit no_core = {0, 0};
        int null = open("/dev/null", O_WRONLY | O_CLOEXEC);

        (void)setrlimit(RLIMIT_CORE, &no_core);
        (void)dup2(null, STDERR_FILENO);
        (void)signal(SIGABRT, SIG_DFL);
        damage(f);
        registry_check(&f->registry);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void every_damage_is_seen(void **state)
{
    struct fixture *f = *state;

    registry_check(&f->registry);
    for (size_t i = 0; i < sizeof(breaks) / sizeof(breaks[0]); i++) {
        if (!check_aborts(f, breaks[i].apply)) {
            fail_msg("not seen: %s", breaks[i].what);
        }
    }
}

static void close_leaves_an_empty_registry(void **state)
{
    struct fixture *f = *state;

    registry_close(&f->registry);
    assert_null(registry_worker(&f->registry, text("a")));
    assert_null(registry_sandbox(&f->registry, text("x")));
    assert_null(registry_name(&f->registry, text("n")));
    registry_check(&f->registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(every_damage_is_seen, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(close_leaves_an_empty_registry, set_up,
                                        tear_down),
    };

    return cmocka_run_group_tests_name("registry", tests, NULL, NULL);
}
