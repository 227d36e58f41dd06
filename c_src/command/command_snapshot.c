/* SPDX-License-Identifier: Apache-2.0
 * Sandboxes and names are written when the walk over the registry comes by.
 * All else is little, and written at the start, so that it needs no walk. */
#include "command/command_snapshot.h"

#include "base/ensure.h"
#include "base/err.h"
#include "command/sessions_record.h"
#include "command/snapshot_record.h"
#include "registry/copies.h"
#include "registry/walk.h"

_Static_assert(1 + 5 * 4 + REGISTRY_ID_SIZE_MAX + REGISTRY_SPEC_SIZE_MAX +
                       REGISTRY_OPTIONS_SIZE_MAX + REGISTRY_PID_SIZE_MAX +
                       REGISTRY_REASON_SIZE_MAX + 4 + 3 * 8 + 2 * 4 + 5 +
                       REGISTRY_REPLICAS_MAX * 8 <=
                   SNAPSHOT_RECORD_SIZE_MAX,
               "every sandbox fits into a record");
_Static_assert(1 + 3 * 4 + REGISTRY_NAME_SIZE_MAX + REGISTRY_PID_SIZE_MAX +
                       REGISTRY_META_SIZE_MAX + 4 + 2 * 8 <=
                   SNAPSHOT_RECORD_SIZE_MAX,
               "every name fits into a record");

/* Begins a record; gives where its length belongs. */
static size_t open_record(struct command_snapshot *snapshot,
                          enum snapshot_record kind)
{
    size_t start = snapshot->bytes.size;

    buf_put_u32(&snapshot->bytes, 0);
    buf_put_u8(&snapshot->bytes, (uint8_t)kind);
    return start;
}

static void close_record(struct command_snapshot *snapshot, size_t start)
{
    struct buf *bytes = &snapshot->bytes;

    if (buf_error(bytes) == 0) {
        ensure(bytes->size - start - 4 <= SNAPSHOT_RECORD_SIZE_MAX);
        buf_patch_u32(bytes, start, (uint32_t)(bytes->size - start - 4));
        snapshot->record_count++;
    }
}

static void put_header(struct command_snapshot *snapshot)
{
    const struct command_machine *machine = snapshot->machine;
    const struct registry *registry = &machine->registry;
    size_t start = open_record(snapshot, SNAPSHOT_HEADER);
    struct buf *bytes = &snapshot->bytes;

    buf_put_u32(bytes, SNAPSHOT_STATE_VERSION);
    buf_put_u64(bytes, machine->applied_index);
    buf_put_u64(bytes, machine->burnt_index);
    buf_put_u64(bytes, registry->ring_order_last);
    buf_put_u64(bytes, registry->copy_number_last);
    buf_put_u64(bytes, machine->directory.index);
    buf_put_u32(bytes, machine->directory.count);
    buf_put_u32(bytes, (uint32_t)registry->workers.count);
    buf_put_u32(bytes, (uint32_t)registry->sandboxes.count);
    buf_put_u32(bytes, (uint32_t)registry->names.count);
    buf_put_u32(bytes, registry->copy_count);
    close_record(snapshot, start);
}

static void put_recovery(struct command_snapshot *snapshot)
{
    const struct command_machine *machine = snapshot->machine;
    size_t start;

    if (machine->epoch_base == 0) {
        return;
    }
    start = open_record(snapshot, SNAPSHOT_RECOVERY);
    buf_put_u64(&snapshot->bytes, machine->epoch_base);
    buf_put_u64(&snapshot->bytes, machine->held_epoch);
    close_record(snapshot, start);
}

static void put_member(struct command_snapshot *snapshot,
                       const struct directory_entry *entry)
{
    size_t start = open_record(snapshot, SNAPSHOT_MEMBER);

    buf_put_u64(&snapshot->bytes, entry->id);
    buf_put_u64(&snapshot->bytes, entry->instance);
    buf_put_block(&snapshot->bytes, bytes_of_string(entry->name));
    buf_put_block(&snapshot->bytes, bytes_of_string(entry->address));
    close_record(snapshot, start);
}

static void put_worker(struct command_snapshot *snapshot,
                       const struct worker *worker)
{
    size_t start = open_record(snapshot, SNAPSHOT_WORKER);
    struct buf *bytes = &snapshot->bytes;

    buf_put_block(bytes, worker->name);
    buf_put_block(bytes,
                  bytes_of(worker->incarnation, REGISTRY_INCARNATION_SIZE));
    buf_put_u64(bytes, worker->lease);
    buf_put_u64(bytes, worker->renewed_index);
    buf_put_u64(bytes, worker->renewed_clock);
    buf_put_u64(bytes, worker->member);
    buf_put_u32(bytes, worker->term_ms);
    buf_put_u32(bytes, worker->capacity.cpu);
    buf_put_u32(bytes, worker->capacity.memory);
    buf_put_u32(bytes, worker->sandboxes_max);
    close_record(snapshot, start);
}

/* An owner at the start of the walk is one that was numbered then. */
static void put_worker_number(struct buf *bytes, const struct worker *worker)
{
    buf_put_u32(bytes, worker == NULL ? 0 : worker->snapshot_number);
}

static void put_sandbox(struct command_snapshot *snapshot,
                        const struct sandbox *sandbox)
{
    size_t start = open_record(snapshot, SNAPSHOT_SANDBOX);
    struct buf *bytes = &snapshot->bytes;

    buf_put_block(bytes, sandbox->id);
    buf_put_block(bytes, sandbox->spec);
    buf_put_block(bytes, sandbox->options);
    buf_put_block(bytes, sandbox->pid);
    buf_put_block(bytes, sandbox->reason);
    put_worker_number(bytes, sandbox->worker);
    buf_put_u64(bytes, sandbox->birth);
    buf_put_u64(bytes, sandbox->epoch);
    buf_put_u64(bytes, sandbox->ring_order);
    buf_put_u32(bytes, sandbox->need.cpu);
    buf_put_u32(bytes, sandbox->need.memory);
    buf_put_u8(bytes, (uint8_t)sandbox->status);
    buf_put_u8(bytes, sandbox->failures);
    buf_put_u8(bytes, sandbox->priority);
    buf_put_u8(bytes, sandbox->replica_count);
    for (size_t i = 0; i < sandbox->replica_count; i++) {
        buf_put_u64(bytes, sandbox->replicas[i]);
    }
    buf_put_u8(bytes, sandbox->is_restoring ? 1 : 0);
    close_record(snapshot, start);
}

static void put_name(struct command_snapshot *snapshot,
                     const struct registered_name *name)
{
    size_t start = open_record(snapshot, SNAPSHOT_NAME);
    struct buf *bytes = &snapshot->bytes;

    buf_put_block(bytes, name->name);
    buf_put_block(bytes, name->pid);
    buf_put_block(bytes, name->meta);
    put_worker_number(bytes, name->worker);
    buf_put_u64(bytes, name->epoch);
    buf_put_u64(bytes, name->ring_order);
    close_record(snapshot, start);
}

static void put_end(struct command_snapshot *snapshot)
{
    size_t start = open_record(snapshot, SNAPSHOT_END);

    buf_put_u64(&snapshot->bytes, snapshot->record_count);
    close_record(snapshot, start);
}

/* After a failed append nothing more is made, and `make` says so. */
static void visit(void *arg, const struct sandbox *sandbox,
                  const struct registered_name *name)
{
    struct command_snapshot *snapshot = arg;

    if (buf_error(&snapshot->bytes) != 0) {
        return;
    }
    if (sandbox != NULL) {
        put_sandbox(snapshot, sandbox);
    } else {
        put_name(snapshot, name);
    }
}

void command_snapshot_init(struct command_snapshot *snapshot)
{
    *snapshot = (struct command_snapshot){0};
    buf_init(&snapshot->bytes, 0);
}

static void put_sessions(struct command_snapshot *snapshot)
{
    const struct sessions *sessions = &snapshot->machine->sessions;
    struct sessions_place place = {0};
    struct buf *bytes = &snapshot->bytes;
    size_t start = bytes->size;

    buf_put_u32(bytes, 0);
    while (sessions_put_record(sessions, &place, bytes)) {
        close_record(snapshot, start);
        start = bytes->size;
        buf_put_u32(bytes, 0);
    }
    if (buf_error(bytes) == 0) {
        bytes->size = start;
    }
}

static void put_workers(struct command_snapshot *snapshot)
{
    const struct map *workers = &snapshot->machine->registry.workers;
    struct worker *worker;
    size_t position = 0;
    uint32_t number = 0;

    while ((worker = map_next(workers, &position)) != NULL) {
        worker->snapshot_number = ++number;
        put_worker(snapshot, worker);
    }
}

static void put_copy(struct command_snapshot *snapshot, const struct copy *copy)
{
    size_t start = open_record(snapshot, SNAPSHOT_COPY);
    struct buf *bytes = &snapshot->bytes;

    buf_put_u64(bytes, copy->number);
    buf_put_u64(bytes, copy->epoch);
    buf_put_u64(bytes, copy->time_s);
    buf_put_u64(bytes, copy->size);
    buf_put_u64(bytes, copy->restore_epoch);
    buf_put_u8(bytes, (uint8_t)copy->how);
    buf_put_block(bytes, copy->id);
    buf_put_block(bytes, copy->about);
    buf_put_block(bytes, copy->outcome);
    buf_put_u8(bytes, copy->replica_count);
    for (size_t i = 0; i < copy->replica_count; i++) {
        buf_put_u64(bytes, copy->replicas[i]);
    }
    close_record(snapshot, start);
}

int command_snapshot_begin(struct command_snapshot *snapshot,
                           struct command_machine *machine, size_t size_max)
{
    int rv;

    ensure(snapshot->machine == NULL);
    *snapshot = (struct command_snapshot){.machine = machine};
    buf_init(&snapshot->bytes, size_max);
    put_header(snapshot);
    put_recovery(snapshot);
    for (uint32_t i = 0; i < machine->directory.count; i++) {
        put_member(snapshot, &machine->directory.entries[i]);
    }
    put_sessions(snapshot);
    put_workers(snapshot);
    LIST_FOREACH (link, &machine->registry.copies) {
        put_copy(snapshot, LIST_ENTRY(link, struct copy, link));
    }
    rv = buf_error(&snapshot->bytes);
    registry_walk_begin(&machine->registry, visit, snapshot);
    if (rv != 0) {
        command_snapshot_close(snapshot);
    }
    return rv;
}

int command_snapshot_make(struct command_snapshot *snapshot, size_t size)
{
    int rv;

    ensure(snapshot->machine != NULL);
    while (buf_error(&snapshot->bytes) == 0 && snapshot->bytes.size < size &&
           !snapshot->is_whole) {
        if (!registry_walk_next(&snapshot->machine->registry)) {
            put_end(snapshot);
            snapshot->is_whole = true;
        }
    }
    rv = buf_error(&snapshot->bytes);
    if (rv != 0) {
        command_snapshot_close(snapshot);
    } else if (snapshot->is_whole) {
        snapshot->machine = NULL;
    }
    return rv;
}

void command_snapshot_close(struct command_snapshot *snapshot)
{
    if (snapshot->machine != NULL) {
        registry_walk_stop(&snapshot->machine->registry);
    }
    buf_close(&snapshot->bytes);
    command_snapshot_init(snapshot);
}
