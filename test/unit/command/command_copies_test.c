/* SPDX-License-Identifier: Apache-2.0
 * Conflict copies are bounded, and a restore is done once. */
#include "command/command_restore.h"
#include "command/command_snapshot.h"
#include "dump.h"
#include "machine.h"
#include "registry/copies.h"

#include <stdio.h>

enum { BYTES_MAX = 1 << 20 };

/* The number of a new copy. */
static uint64_t given_copy(struct fixture *f, const char *id, uint64_t epoch)
{
    assert_ok(apply(f, keep_of(id, epoch)));
    buf_clear(&f->trace);
    return f->result.epoch;
}

static const struct copy *find(const struct fixture *f, uint64_t number)
{
    return registry_copy(&f->machine.registry, number);
}

static bool must_yield(const struct fixture *f, const char *id)
{
    return registry_must_yield(&f->machine.registry, sandbox_of(f, id));
}

static void copy_is_kept_and_discarded(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_running(f, "s", "a", lease);
    const struct copy *copy;
    uint64_t number;

    assert_ok(apply(f, keep_of("s", epoch)));
    assert_events(f, "copy_kept s\n");
    number = f->result.epoch;
    copy = find(f, number);
    assert_non_null(copy);
    assert_int_equal(copy->epoch, epoch);
    assert_int_equal(copy->time_s, 1000);
    assert_int_equal(copy->size, 10);
    assert_true(bytes_is(copy->about, "about"));
    assert_int_equal(copy->replica_count, 2);
    assert_int_equal(copy->replicas[1], 8);
    assert_err(apply(f, copy_of(COMMAND_DISCARD, "t", number)), ERR_NOT_FOUND);
    assert_err(apply(f, copy_of(COMMAND_DISCARD, "s", number + 1)),
               ERR_NOT_FOUND);
    assert_ok(apply(f, copy_of(COMMAND_DISCARD, "s", number)));
    assert_events(f, "copy_dropped s\n");
    assert_null(find(f, number));
    assert_err(apply(f, copy_of(COMMAND_DISCARD, "s", number)), ERR_NOT_FOUND);
}

static void copy_is_of_what_there_was(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_running(f, "s", "a", lease);

    assert_err(apply(f, keep_of("nobody", epoch)), ERR_NOT_FOUND);
    assert_err(apply(f, keep_of("s", epoch + 1)), ERR_STALE_EPOCH);
    assert_events(f, "");
    assert_ok(apply(f, keep_of("s", 0))); /* of a provisional one */
}

/* Many in one entry, and never the same number again. */
static void numbers_grow(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_running(f, "s", "a", lease);
    uint64_t last = given_copy(f, "s", epoch);

    for (int i = 0; i < 4; i++) {
        assert_ok(apply_same_entry(f, keep_of("s", epoch)));
        assert_int_equal(f->result.epoch, last + 1);
        last++;
    }
    assert_ok(apply(f, copy_of(COMMAND_DISCARD, "s", last)));
    assert_true(given_copy(f, "s", epoch) > last);
}

static void oldest_of_a_sandbox_gives_way(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_running(f, "s", "a", lease);
    uint64_t other = given_running(f, "t", "a", lease);
    uint64_t kept = given_copy(f, "t", other);
    uint64_t first = given_copy(f, "s", epoch);
    uint64_t second = given_copy(f, "s", epoch);

    for (int i = 2; i < REGISTRY_COPIES_OF_ONE_MAX; i++) {
        (void)given_copy(f, "s", epoch);
    }
    assert_non_null(find(f, first));
    /* What is about to be restored stays; the next one goes. */
    assert_ok(apply(f, restore_of("s", first)));
    buf_clear(&f->trace);
    assert_ok(apply(f, keep_of("s", epoch)));
    assert_events(f, "copy_dropped s\ncopy_kept s\n");
    assert_non_null(find(f, first));
    assert_null(find(f, second));
    assert_non_null(find(f, kept));
}

static void all_copies_have_a_limit(void **state)
{
    enum { SANDBOXES = REGISTRY_COPIES_MAX / REGISTRY_COPIES_OF_ONE_MAX };
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t first = 0;
    char id[16];

    for (int i = 0; i <= SANDBOXES; i++) {
        uint64_t epoch;

        (void)snprintf(id, sizeof(id), "s%d", i);
        epoch = given_running(f, id, "a", lease);
        for (int j = 0; j < REGISTRY_COPIES_OF_ONE_MAX && i < SANDBOXES; j++) {
            uint64_t number = given_copy(f, id, epoch);

            first = first == 0 ? number : first;
        }
    }
    assert_int_equal(f->machine.registry.copy_count, REGISTRY_COPIES_MAX);
    assert_non_null(find(f, first));
    (void)given_copy(f, id, sandbox_of(f, id)->epoch);
    assert_int_equal(f->machine.registry.copy_count, REGISTRY_COPIES_MAX);
    assert_null(find(f, first));
}

static void bytes_of_copies_have_a_limit(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    struct command keep;
    uint64_t first = 0;

    for (int i = 0; i < 17; i++) {
        char id[16];

        (void)snprintf(id, sizeof(id), "s%d", i);
        keep = keep_of(id, given_running(f, id, "a", lease));
        keep.size = REGISTRY_COPY_SIZE_MAX;
        assert_ok(apply(f, keep));
        first = first == 0 ? f->result.epoch : first;
    }
    assert_null(find(f, first));
    assert_int_equal(f->machine.registry.copies_size, REGISTRY_COPIES_SIZE_MAX);
}

/* Its owner ends it, a new one says that it begins with the copy. */
static void restore_goes_to_a_new_owner(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_running(f, "s", "a", lease);
    uint64_t number = given_copy(f, "s", epoch);
    static const uint8_t restore[] = {119, 7,   'r', 'e', 's',
                                      't', 'o', 'r', 'e'};

    assert_err(apply(f, restored_of("s", epoch, number)), ERR_STALE_EPOCH);
    assert_ok(apply(f, restore_of("s", number)));
    assert_events(f, "yielding s a\n");
    assert_true(must_yield(f, "s"));
    /* The owner of before does not speak for the new state. */
    assert_err(apply(f, restored_of("s", epoch, number)), ERR_STALE_EPOCH);
    assert_err(apply(f, copy_of(COMMAND_DISCARD, "s", number)), ERR_BUSY);
    assert_ok(
        apply(f, stopped_of("s", epoch, bytes_of(restore, sizeof(restore)))));
    assert_events(f, "unplaced s a\n");
    assert_int_equal(sandbox_of(f, "s")->failures, 0);
    assert_ok(apply(f, place_of("s", epoch, "a", lease)));
    epoch = f->result.epoch;
    assert_false(must_yield(f, "s"));
    assert_ptr_equal(
        registry_restoring(&f->machine.registry, sandbox_of(f, "s")),
        find(f, number));
    assert_ok(apply(f, restored_of("s", epoch, number)));
    assert_null(registry_restoring(&f->machine.registry, sandbox_of(f, "s")));
    assert_true(bytes_is(find(f, number)->outcome, "outcome"));
    /* Once: a state may have been acknowledged since. */
    assert_err(apply(f, restored_of("s", epoch, number)), ERR_STALE_EPOCH);
}

/* However its owner goes. */
static void owner_that_is_lost_yields_too(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t first = given_running(f, "s", "a", lease);
    uint64_t second = given_starting(f, "t", "a", lease);
    uint64_t third = given_running(f, "u", "a", lease);
    struct bytes normal = bytes_of("w\6normal", 8);

    assert_ok(apply(f, restore_of("s", given_copy(f, "s", first))));
    assert_ok(apply(f, restore_of("t", given_copy(f, "t", second))));
    assert_ok(apply(f, restore_of("u", given_copy(f, "u", third))));
    buf_clear(&f->trace);
    assert_ok(apply(f, stopped_of("s", first, normal)));
    assert_ok(apply(f, failed_of("t", second, "reason")));
    assert_int_equal(sandbox_of(f, "t")->failures, 0);
    assert_ok(apply(f, lease_of(COMMAND_RELEASE, "a", lease)));
    assert_events(f, "unplaced s a\nunplaced t a\nended a\nunplaced u a\n");
}

static void last_restore_counts(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_running(f, "s", "a", lease);
    uint64_t one = given_copy(f, "s", epoch);
    uint64_t two = given_copy(f, "s", epoch);
    struct command resolve = restore_of("s", two);

    resolve.how = COPY_RESOLVE;
    assert_ok(apply(f, restore_of("s", one)));
    assert_ok(apply(f, resolve));
    assert_int_equal(find(f, one)->restore_epoch, 0);
    assert_int_equal(find(f, two)->how, COPY_RESOLVE);
    assert_ok(apply(f, copy_of(COMMAND_DISCARD, "s", one)));
}

static void failed_sandbox_is_tried_again(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_starting(f, "s", "a", lease);
    uint64_t number = given_copy(f, "s", epoch);

    for (int i = 0; i < COMMAND_START_FAILURES_MAX; i++) {
        epoch = sandbox_of(f, "s")->epoch;
        assert_ok(apply(f, failed_of("s", epoch, "reason")));
        if (i < COMMAND_START_FAILURES_MAX - 1) {
            assert_ok(apply(f, place_of("s", epoch, "a", lease)));
        }
    }
    assert_int_equal(sandbox_of(f, "s")->status, SANDBOX_FAILED);
    buf_clear(&f->trace);
    assert_ok(apply(f, restore_of("s", number)));
    assert_events(f, "unplaced s\n");
    assert_int_equal(sandbox_of(f, "s")->failures, 0);
    /* And given up again, if the copy is what it fails with. */
    for (int i = 0; i < COMMAND_START_FAILURES_MAX; i++) {
        epoch = sandbox_of(f, "s")->epoch;
        assert_ok(apply(f, place_of("s", epoch, "a", lease)));
        assert_ok(apply(f, failed_of("s", f->result.epoch, "reason")));
    }
    assert_int_equal(sandbox_of(f, "s")->status, SANDBOX_FAILED);
    assert_false(sandbox_of(f, "s")->is_restoring);
}

static void sandbox_that_goes_needs_no_restore(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_running(f, "s", "a", lease);
    uint64_t number = given_copy(f, "s", epoch);

    assert_ok(apply(f, restore_of("s", number)));
    assert_ok(apply(f, stop_of("s")));
    assert_err(apply(f, restore_of("s", number)), ERR_NOT_FOUND);
    assert_ok(apply(f, stopped_of("s", epoch, text("reason"))));
    assert_null(sandbox_of(f, "s"));
    assert_int_equal(find(f, number)->restore_epoch, 0);
    assert_err(apply(f, restore_of("s", number)), ERR_NOT_FOUND);
    assert_ok(apply(f, copy_of(COMMAND_DISCARD, "s", number)));
}

/* Whoever lost all replicas of a copy has it no more. */
static void recovery_drops_what_is_lost(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_running(f, "s", "a", lease);
    struct command keep = keep_of("s", epoch);
    struct command recover = {.type = COMMAND_RECOVER,
                              .member = 7,
                              .epoch = COMMAND_EPOCH_JUMP,
                              .replica_count = 1,
                              .replicas = {7}};
    uint64_t here = given_copy(f, "s", epoch);
    uint64_t gone;

    keep.replicas[0] = 9;
    assert_ok(apply(f, keep));
    gone = f->result.epoch;
    assert_ok(apply(f, restore_of("s", gone)));
    buf_clear(&f->trace);
    assert_ok(apply(f, recover));
    assert_null(find(f, gone));
    assert_false(sandbox_of(f, "s")->is_restoring);
    assert_int_equal(find(f, here)->replica_count, 1);
    assert_int_equal(find(f, here)->replicas[0], 7);
}

/* What was kept and asked before the snapshot is in it, and nothing later. */
static void snapshot_has_them(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_running(f, "s", "a", lease);
    uint64_t number = given_copy(f, "s", epoch);
    struct command_snapshot snapshot;
    struct command_restore restore;
    struct command_machine machine;
    struct buf want;
    struct buf got;

    assert_ok(apply(f, restore_of("s", number)));
    assert_ok(apply(f, stopped_of("s", epoch, text("reason"))));
    buf_init(&want, BYTES_MAX);
    buf_init(&got, BYTES_MAX);
    dump_machine(&want, &f->machine);
    command_snapshot_init(&snapshot);
    assert_ok(command_snapshot_begin(&snapshot, &f->machine, BYTES_MAX));
    assert_ok(apply(f, place_of("s", epoch, "a", lease)));
    assert_ok(apply(f, restored_of("s", f->result.epoch, number)));
    assert_ok(apply(f, copy_of(COMMAND_DISCARD, "s", number)));
    assert_ok(command_snapshot_make(&snapshot, BYTES_MAX));
    command_restore_begin(&restore, &machine, 3);
    assert_ok(command_restore_feed(&restore, buf_bytes(&snapshot.bytes)));
    assert_ok(command_restore_finish(&restore));
    command_restore_close(&restore);
    registry_check(&machine.registry);
    dump_machine(&got, &machine);
    assert_int_equal(got.size, want.size);
    assert_memory_equal(got.data, want.data, want.size);
    command_machine_close(&machine);
    command_snapshot_close(&snapshot);
    buf_close(&want);
    buf_close(&got);
}

static void keys_are_nobodys_ids(void **state)
{
    uint8_t key[REGISTRY_COPY_KEY_SIZE];
    uint8_t other[REGISTRY_COPY_KEY_SIZE];

    (void)state;
    registry_copy_key(1, key);
    registry_copy_key(UINT64_C(1) << 56, other);
    assert_memory_not_equal(key, other, sizeof(key));
    assert_true(registry_id_is_reserved(bytes_of(key, sizeof(key))));
    assert_true(registry_id_is_reserved(bytes_of(key, 6)));
    assert_false(registry_id_is_reserved(bytes_of(key, 5)));
    assert_false(registry_id_is_reserved(text("copy")));
}

static void no_memory_is_told(void **state)
{
    struct fixture *f = *state;
    uint64_t lease = given_worker(f, "a");
    uint64_t epoch = given_running(f, "s", "a", lease);
    struct command keep = keep_of("s", epoch);
    struct command_result result;
    uint64_t number;

    mem_fail_after(0);
    assert_err(command_apply(&f->machine, f->index + 1, &keep, &result),
               ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    registry_check(&f->machine.registry);
    number = given_copy(f, "s", epoch);
    assert_ok(apply(f, restore_of("s", number)));
    assert_ok(apply(f, stopped_of("s", epoch, text("reason"))));
    assert_ok(apply(f, place_of("s", epoch, "a", lease)));
    keep = restored_of("s", f->result.epoch, number);
    mem_fail_after(0);
    assert_err(command_apply(&f->machine, f->index + 1, &keep, &result),
               ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    registry_check(&f->machine.registry);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, set_up_machine, tear_down_machine)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(copy_is_kept_and_discarded),
        TEST(copy_is_of_what_there_was),
        TEST(numbers_grow),
        TEST(oldest_of_a_sandbox_gives_way),
        TEST(all_copies_have_a_limit),
        TEST(bytes_of_copies_have_a_limit),
        TEST(restore_goes_to_a_new_owner),
        TEST(owner_that_is_lost_yields_too),
        TEST(last_restore_counts),
        TEST(failed_sandbox_is_tried_again),
        TEST(sandbox_that_goes_needs_no_restore),
        TEST(recovery_drops_what_is_lost),
        TEST(snapshot_has_them),
        TEST(keys_are_nobodys_ids),
        TEST(no_memory_is_told),
    };

    return cmocka_run_group_tests_name("command_copies", tests, NULL, NULL);
}
