/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: command_restore_feed, command_restore_finish, command_snapshot_make.
 *
 * The input is a snapshot. It is fed in one piece and byte by byte; a machine
 * that comes of it must hold its invariants, and one that is made of its own
 * snapshot must have the same bytes again, but for the order of records: so
 * only their number and size are compared. */
#include "base/ensure.h"
#include "base/err.h"
#include "command/command_restore.h"
#include "command/command_snapshot.h"

#include <stddef.h>
#include <stdint.h>

enum { INPUT_SIZE_MAX = 64 * 1024, SNAPSHOT_MAX = 1024 * 1024 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The caller closes the machine. */
static int restore(struct command_machine *machine, struct bytes bytes,
                   size_t piece)
{
    struct command_restore restore;
    int rv = 0;

    command_restore_begin(&restore, machine, piece);
    for (size_t at = 0; at < bytes.size && rv == 0; at += piece) {
        rv = command_restore_feed(
            &restore,
            bytes_of(bytes.data + at, size_min(piece, bytes.size - at)));
    }
    rv = rv == 0 ? command_restore_finish(&restore) : rv;
    command_restore_close(&restore);
    ensure(rv == 0 || rv == ERR_MALFORMED || rv == ERR_TRUNCATED ||
           rv == ERR_UNSUPPORTED);
    return rv;
}

static void check_again(struct command_machine *machine, size_t size)
{
    struct command_machine again;
    struct command_snapshot snapshot;
    int rv;

    registry_check(&machine->registry);
    directory_check(&machine->directory);
    sessions_check(&machine->sessions);
    command_snapshot_init(&snapshot);
    rv = command_snapshot_begin(&snapshot, machine, SNAPSHOT_MAX);
    ensure(rv == 0);
    rv = command_snapshot_make(&snapshot, SNAPSHOT_MAX);
    ensure(rv == 0);
    ensure(snapshot.is_whole);
    /* Outcomes may have been in more records than they need. */
    ensure(snapshot.bytes.size == size || machine->sessions.count > 0);
    rv = restore(&again, buf_bytes(&snapshot.bytes), size);
    ensure(rv == 0);
    registry_check(&again.registry);
    sessions_check(&again.sessions);
    ensure(again.sessions.count == machine->sessions.count);
    command_machine_close(&again);
    command_snapshot_close(&snapshot);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct command_machine machines[2];
    struct bytes bytes = bytes_of(data, size);
    int rv;

    if (size == 0 || size > INPUT_SIZE_MAX) {
        return 0;
    }
    rv = restore(&machines[0], bytes, size);
    ensure(restore(&machines[1], bytes, 1) == rv);
    if (rv == 0) {
        check_again(&machines[0], size);
    }
    command_machine_close(&machines[0]);
    command_machine_close(&machines[1]);
    return 0;
}
