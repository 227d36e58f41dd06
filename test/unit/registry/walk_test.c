/* SPDX-License-Identifier: Apache-2.0
 * The walk: everything once, as it was at the start, whatever changes. */
#include "base/mem.h"
#include "base/rng.h"
#include "lib/test.h"
#include "registry/tables.h"
#include "registry/walk.h"

#include <stdio.h>

enum { SANDBOX_COUNT = 40, NAME_COUNT = 20, RUN_COUNT = 300 };

/* What is told of a sandbox or name; 0: it has not been visited. */
struct seen {
    int counts[SANDBOX_COUNT];
    enum sandbox_status statuses[SANDBOX_COUNT];
    int name_counts[NAME_COUNT];
    int young_count; /* of ids that were not there at the start */
};

struct fixture {
    struct registry registry;
    struct worker *worker;
    struct sandbox *sandboxes[SANDBOX_COUNT]; /* NULL: gone */
    struct registered_name *names[NAME_COUNT];
    struct seen seen;
    struct rng rng;
    uint64_t epoch;
};

static void note(void *arg, const struct sandbox *sandbox,
                 const struct registered_name *name)
{
    struct fixture *f = arg;

    assert_true((sandbox == NULL) != (name == NULL));
    if (name != NULL) {
        f->seen.name_counts[name->name.data[1] - '0']++;
        assert_non_null(name->worker);
    } else if (sandbox->id.data[0] == 'y') {
        f->seen.young_count++;
    } else {
        int i = sandbox->id.data[1] - '0';

        f->seen.counts[i]++;
        f->seen.statuses[i] = sandbox->status;
    }
}

static struct sandbox *add(struct fixture *f, char kind, int i)
{
    char id[2] = {kind, (char)('0' + i)};
    struct sandbox values = {
        .id = bytes_of(id, 2), .birth = 1, .epoch = ++f->epoch};
    struct sandbox *sandbox = NULL;

    assert_ok(registry_add_sandbox(&f->registry, &values, f->worker, &sandbox));
    return sandbox;
}

static void given_tables(struct fixture *f, uint64_t seed)
{
    *f = (struct fixture){.epoch = 1};
    rng_init(&f->rng, seed);
    registry_init(&f->registry, seed);
    assert_ok(
        registry_add_worker(&f->registry, bytes_of_string("a"), &f->worker));
    f->worker->lease = f->worker->renewed_index = 1;
    for (int i = 0; i < SANDBOX_COUNT; i++) {
        f->sandboxes[i] = add(f, 'x', i);
    }
    for (int i = 0; i < NAME_COUNT; i++) {
        char text[2] = {'n', (char)('0' + i)};
        struct registered_name values = {.name = bytes_of(text, 2), .epoch = 1};

        assert_ok(
            registry_add_name(&f->registry, &values, f->worker, &f->names[i]));
    }
}

static void remove_sandbox(struct fixture *f, int i)
{
    registry_take_sandbox(&f->registry, f->sandboxes[i]);
    registry_free_sandbox(f->sandboxes[i]);
    f->sandboxes[i] = NULL;
}

static void change(struct fixture *f, int i)
{
    struct sandbox *sandbox = f->sandboxes[i];

    if (sandbox == NULL) {
        f->sandboxes[i] = add(f, 'y', i);
        return;
    }
    switch (rng_below(&f->rng, 5)) {
    case 0:
        remove_sandbox(f, i);
        break;
    case 1:
        if (sandbox->worker != NULL) {
            assert_ok(registry_run_sandbox(&f->registry, sandbox,
                                           bytes_of_string("pid")));
        }
        break;
    case 2:
        if (sandbox->worker != NULL) {
            registry_unplace_sandbox(&f->registry, sandbox);
        } else if (sandbox->status == SANDBOX_UNPLACED) {
            registry_place_sandbox(&f->registry, sandbox, f->worker,
                                   ++f->epoch);
        }
        break;
    case 3:
        assert_ok(registry_put_failures(&f->registry, sandbox, 3,
                                        bytes_of_string("reason")));
        break;
    default:
        if (sandbox->worker != NULL && rng_below(&f->rng, 2) == 0) {
            registry_fail_sandbox(&f->registry, sandbox);
        } else if (sandbox->worker != NULL) {
            registry_stop_sandbox(&f->registry, sandbox);
        }
        break;
    }
}

static void change_name(struct fixture *f, int i)
{
    if (f->names[i] != NULL) {
        registry_take_name(&f->registry, f->names[i]);
        registry_free_name(f->names[i]);
        f->names[i] = NULL;
    }
}

static void change_something(struct fixture *f)
{
    if (rng_below(&f->rng, 5) == 0) {
        change_name(f, (int)rng_below(&f->rng, NAME_COUNT));
    } else {
        change(f, (int)rng_below(&f->rng, SANDBOX_COUNT));
    }
    registry_check(&f->registry);
}

static void all_are_seen_once_as_they_were(void **state)
{
    static struct fixture f;

    (void)state;
    for (uint64_t seed = 0; seed < RUN_COUNT; seed++) {
        enum sandbox_status before[SANDBOX_COUNT];
        bool is_walking = true;

        given_tables(&f, seed);
        for (int i = 0; i < 100; i++) {
            int one = (int)rng_below(&f.rng, SANDBOX_COUNT);

            if (f.sandboxes[one] != NULL) {
                change(&f, one);
            }
            if (f.sandboxes[one] == NULL) {
                f.sandboxes[one] = add(&f, 'x', one);
            }
        }
        for (int i = 0; i < SANDBOX_COUNT; i++) {
            before[i] = f.sandboxes[i]->status;
        }
        registry_walk_begin(&f.registry, note, &f);
        while (is_walking) {
            for (uint64_t i = rng_below(&f.rng, 6); i > 0; i--) {
                change_something(&f);
            }
            is_walking = registry_walk_next(&f.registry);
        }
        for (int i = 0; i < SANDBOX_COUNT; i++) {
            assert_int_equal(f.seen.counts[i], 1);
            assert_int_equal(f.seen.statuses[i], before[i]);
        }
        for (int i = 0; i < NAME_COUNT; i++) {
            assert_int_equal(f.seen.name_counts[i], 1);
        }
        assert_int_equal(f.seen.young_count, 0);
        registry_close(&f.registry);
    }
}

static void what_changes_is_seen_before(void **state)
{
    static struct fixture f;

    (void)state;
    given_tables(&f, 1);
    registry_walk_begin(&f.registry, note, &f);
    registry_stop_sandbox(&f.registry, f.sandboxes[7]);
    remove_sandbox(&f, 8);
    change_name(&f, 2);
    assert_int_equal(f.seen.counts[7], 1);
    assert_int_equal(f.seen.statuses[7], SANDBOX_STARTING);
    assert_int_equal(f.seen.counts[8], 1);
    assert_int_equal(f.seen.name_counts[2], 1);
    registry_stop_sandbox(&f.registry, f.sandboxes[7]);
    assert_int_equal(f.seen.counts[7], 1);
    assert_int_equal(f.seen.counts[6], 0);
    registry_close(&f.registry);
}

static void a_walk_that_stopped_leaves_nothing(void **state)
{
    static struct fixture f;

    (void)state;
    given_tables(&f, 1);
    registry_walk_stop(&f.registry); /* there is none */
    registry_walk_begin(&f.registry, note, &f);
    assert_true(registry_walk_next(&f.registry));
    registry_walk_stop(&f.registry);
    registry_check(&f.registry);
    f.seen = (struct seen){0};
    registry_stop_sandbox(&f.registry, f.sandboxes[39]);
    assert_int_equal(f.seen.counts[39], 0);
    registry_walk_begin(&f.registry, note, &f);
    while (registry_walk_next(&f.registry)) {
    }
    for (int i = 0; i < SANDBOX_COUNT; i++) {
        assert_int_equal(f.seen.counts[i], 1);
    }
    registry_close(&f.registry);
}

static void an_empty_registry_is_walked_at_once(void **state)
{
    static struct fixture f;

    (void)state;
    registry_init(&f.registry, 1);
    registry_walk_begin(&f.registry, note, &f);
    assert_false(registry_walk_next(&f.registry));
    registry_close(&f.registry);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_are_seen_once_as_they_were),
        cmocka_unit_test(what_changes_is_seen_before),
        cmocka_unit_test(a_walk_that_stopped_leaves_nothing),
        cmocka_unit_test(an_empty_registry_is_walked_at_once),
    };

    return cmocka_run_group_tests_name("registry_walk", tests, NULL, NULL);
}
