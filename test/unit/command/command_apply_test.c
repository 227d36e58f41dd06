/* SPDX-License-Identifier: Apache-2.0
 * The machine as a whole: against a naive model, replayed, and without memory;
 * and that no grant ever repeats a number. */
#include "dump.h"
#include "machine.h"
#include "model.h"
#include "random.h"

enum { COMMAND_COUNT = 100000, DUMP_SIZE_MAX = 1 << 22 };

/* The greatest number granted so far, from events alone. */
struct grants {
    uint64_t leases[RANDOM_WORKERS];
    uint64_t epochs[RANDOM_IDS];
    uint64_t name_epochs[RANDOM_NAMES];
    uint64_t count;
    uint64_t failed_count; /* sandboxes given up for good */
};

static void note_grant(uint64_t *greatest, uint64_t grant, uint64_t *count)
{
    assert_true(grant > *greatest);
    *greatest = grant;
    ++*count;
}

static void watch_grants(void *arg, const struct command_event *event)
{
    struct grants *grants = arg;

    if (event->type == EVENT_LEASE_GRANTED) {
        int i = model_find(event->worker->name, random_workers, RANDOM_WORKERS);

        if (event->worker->lease != grants->leases[i]) {
            assert_int_equal(event->worker->lease, event->index);
            note_grant(&grants->leases[i], event->index, &grants->count);
        }
    } else if (event->type == EVENT_CLAIMED) {
        int i = model_find(event->sandbox->id, random_ids, RANDOM_IDS);

        assert_int_equal(event->sandbox->epoch, event->index);
        assert_ptr_equal(event->sandbox->worker, event->worker);
        assert_true(event->worker->lease != 0);
        note_grant(&grants->epochs[i], event->index, &grants->count);
    } else if (event->type == EVENT_START_FAILED) {
        grants->failed_count += event->sandbox->status == SANDBOX_FAILED;
    } else if (event->type == EVENT_NAME_REGISTERED) {
        int i = model_find(event->name->name, random_names, RANDOM_NAMES);

        assert_int_equal(event->name->epoch, event->index);
        note_grant(&grants->name_epochs[i], event->index, &grants->count);
    }
}

/* A few commands to an entry, as in life. */
static uint64_t next_index(struct rng *rng, uint64_t index)
{
    return index == 0 ? 1 : index + (rng_below(rng, 3) == 0);
}

static void machine_does_what_the_model_does(void **state)
{
    struct command_machine machine;
    struct command_result result;
    struct model model = {0};
    struct grants grants = {0};
    struct rng rng;
    uint64_t index = 0;
    size_t done_counts[COMMAND_UNREGISTER + 1] = {0};

    (void)state;
    for (int i = 0; i < RANDOM_IDS; i++) {
        model.sandboxes[i].worker = -1;
    }
    rng_init(&rng, 20240229);
    command_machine_init(&machine, 1, watch_grants, &grants);
    for (int i = 0; i < COMMAND_COUNT; i++) {
        struct command command =
            random_command(&rng, &machine.registry, i / 500 % 4 == 3);

        index = next_index(&rng, index);
        assert_ok(command_apply(&machine, index, &command, &result));
        registry_check(&machine.registry);
        assert_err(result.rv, model_apply(&model, index, &command));
        model_compare(&model, &machine.registry);
        done_counts[command.type] += result.rv == 0;
    }
    /* The run was no idle one. */
    for (int type = COMMAND_ATTACH; type <= COMMAND_UNREGISTER; type++) {
        assert_true(done_counts[type] > COMMAND_COUNT / 500);
    }
    assert_true(grants.count > COMMAND_COUNT / 50);
    assert_true(grants.failed_count > COMMAND_COUNT / 1000);
    assert_int_equal(machine.applied_index, index);
    command_machine_close(&machine);
}

/* Encodes random commands, an entry after the other; `ret_ends` gets where
 * each entry ends. */
static void record(struct buf *batches, size_t *ret_ends, size_t entry_count)
{
    struct command_machine machine;
    struct command_result result;
    struct rng rng;

    rng_init(&rng, 99);
    command_machine_init(&machine, 1, NULL, NULL);
    for (size_t i = 0; i < entry_count; i++) {
        for (uint64_t left = 1 + rng_below(&rng, 4); left > 0; left--) {
            struct command command =
                random_command(&rng, &machine.registry, i / 500 % 4 == 3);

            command_encode(batches, &command);
            assert_ok(command_apply(&machine, i + 1, &command, &result));
        }
        ret_ends[i] = batches->size;
    }
    assert_int_equal(buf_error(batches), 0);
    command_machine_close(&machine);
}

static void replay(struct command_machine *machine, const struct buf *batches,
                   const size_t *ends, size_t entry_count)
{
    struct command_result result;
    struct command command;
    size_t start = 0;

    for (size_t i = 0; i < entry_count; i++) {
        struct cursor cursor =
            cursor_of(bytes_of(batches->data + start, ends[i] - start));
        int rv;

        while ((rv = command_decode(&cursor, &command)) == 0) {
            assert_ok(command_apply(machine, i + 1, &command, &result));
        }
        assert_err(rv, ERR_NOT_FOUND);
        start = ends[i];
    }
}

static void replay_gives_the_same_registry(void **state)
{
    enum { ENTRY_COUNT = 5000 };
    static size_t ends[ENTRY_COUNT];
    struct command_machine machine;
    struct buf batches;
    struct buf dumps[3];

    (void)state;
    buf_init(&batches, DUMP_SIZE_MAX);
    record(&batches, ends, ENTRY_COUNT);
    for (uint64_t i = 0; i < 3; i++) {
        /* Other seeds, so another order of the maps. */
        command_machine_init(&machine, 1000 + i * i, NULL, NULL);
        replay(&machine, &batches, ends, ENTRY_COUNT);
        buf_init(&dumps[i], DUMP_SIZE_MAX);
        dump_registry(&dumps[i], &machine.registry);
        assert_true(dumps[i].size > 500);
        assert_bytes(buf_bytes(&dumps[i]), dumps[0].data, dumps[0].size);
        command_machine_close(&machine);
    }
    for (size_t i = 0; i < 3; i++) {
        buf_close(&dumps[i]);
    }
    buf_close(&batches);
}

/* Applies with the 1st, 2nd, ... allocation failing; until it works, nothing
 * may change. Gives how many allocations it took. */
static uint64_t apply_without_memory(struct command_machine *machine,
                                     uint64_t index,
                                     const struct command *command)
{
    struct command_result result = {.index = 4711};
    struct buf before;
    struct buf after;

    buf_init(&before, DUMP_SIZE_MAX);
    dump_registry(&before, &machine->registry);
    for (uint64_t count = 0;; count++) {
        int rv;

        mem_fail_after(count);
        rv = command_apply(machine, index, command, &result);
        mem_fail_after(UINT64_MAX);
        registry_check(&machine->registry);
        if (rv == 0) {
            buf_close(&before);
            return count;
        }
        assert_err(rv, ERR_NOMEM);
        assert_int_equal(result.index, 4711);
        buf_init(&after, DUMP_SIZE_MAX);
        dump_registry(&after, &machine->registry);
        assert_bytes(buf_bytes(&after), before.data, before.size);
        buf_close(&after);
    }
}

static void without_memory_nothing_changes(void **state)
{
    struct command_machine machine;
    struct rng rng;
    uint64_t index = 0;
    uint64_t allocations = 0;

    (void)state;
    rng_init(&rng, 5);
    command_machine_init(&machine, 1, NULL, NULL);
    for (int i = 0; i < 5000; i++) {
        struct command command =
            random_command(&rng, &machine.registry, i / 500 % 4 == 3);

        index = next_index(&rng, index);
        allocations += apply_without_memory(&machine, index, &command);
    }
    assert_true(allocations > 200);
    command_machine_close(&machine);
}

static void closing_twice_is_harmless(void **state)
{
    struct command_machine machine;

    (void)state;
    command_machine_init(&machine, 1, NULL, NULL);
    command_machine_close(&machine);
    command_machine_close(&machine);
    command_machine_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(machine_does_what_the_model_does),
        cmocka_unit_test(replay_gives_the_same_registry),
        cmocka_unit_test(without_memory_nothing_changes),
        cmocka_unit_test(closing_twice_is_harmless),
    };

    return cmocka_run_group_tests_name("command_apply", tests, NULL, NULL);
}
