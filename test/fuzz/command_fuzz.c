/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: command_decode, command_encode, command_apply with all that it
 * calls in command/ and registry/.
 *
 * The input is a batch. What decodes must encode to the same bytes, and two
 * machines with different seeds must come to the same results, with all
 * invariants held. Two commands make an entry. */
#include "base/buf.h"
#include "base/ensure.h"
#include "base/err.h"
#include "command/command.h"

#include <stddef.h>
#include <stdint.h>

enum { INPUT_SIZE_MAX = 16 * 1024, COMMANDS_PER_ENTRY = 2, MACHINE_COUNT = 2 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* `block` is the bytes that `command` was decoded from. */
static void check_encoding(const struct command *command, struct bytes block)
{
    struct buf batch;

    buf_init(&batch, INPUT_SIZE_MAX);
    command_encode(&batch, command);
    ensure(buf_error(&batch) == 0);
    ensure(bytes_equal(buf_bytes(&batch), block));
    buf_close(&batch);
}

static void count_event(void *arg, const struct command_event *event)
{
    uint64_t *sum = arg;

    *sum = *sum * 31 + (uint64_t)event->type;
}

static void apply_to_all(struct command_machine *machines, uint64_t index,
                         const struct command *command)
{
    struct command_result results[MACHINE_COUNT];

    for (int i = 0; i < MACHINE_COUNT; i++) {
        int rv = command_apply(&machines[i], index, command, &results[i]);

        ensure(rv == 0);
        registry_check(&machines[i].registry);
        sessions_check(&machines[i].sessions);
    }
    ensure(results[0].rv == results[1].rv);
    ensure(results[0].index == results[1].index);
    ensure(results[0].epoch == results[1].epoch);
    ensure(results[0].is_repeated == results[1].is_repeated);
    ensure((results[0].sandbox == NULL) == (results[1].sandbox == NULL));
    ensure((results[0].worker == NULL) == (results[1].worker == NULL));
    ensure((results[0].name == NULL) == (results[1].name == NULL));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct command_machine machines[MACHINE_COUNT];
    uint64_t sums[MACHINE_COUNT] = {0};
    struct cursor cursor = cursor_of(bytes_of(data, size));
    struct command command;
    uint64_t count = 0;

    if (size > INPUT_SIZE_MAX) {
        return 0;
    }
    for (uint64_t i = 0; i < MACHINE_COUNT; i++) {
        command_machine_init(&machines[i], i * 77, count_event, &sums[i]);
    }
    for (;;) {
        const uint8_t *start = cursor.next;
        int rv = command_decode(&cursor, &command);

        if (rv != 0) {
            ensure(cursor.next == start);
            ensure((rv == ERR_NOT_FOUND) == (cursor_left(&cursor) == 0));
            break;
        }
        check_encoding(&command,
                       bytes_of(start, (size_t)(cursor.next - start)));
        apply_to_all(machines, 1 + count / COMMANDS_PER_ENTRY, &command);
        count++;
    }
    ensure(sums[0] == sums[1]);
    for (int i = 0; i < MACHINE_COUNT; i++) {
        command_machine_close(&machines[i]);
    }
    return 0;
}
