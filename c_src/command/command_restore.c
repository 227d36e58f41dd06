/* SPDX-License-Identifier: Apache-2.0 */
#include "command/command_restore.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "command/sessions_record.h"
#include "command/snapshot_record.h"
#include "registry/copies.h"
#include "registry/rings.h"
#include "registry/tables.h"

/* The fields of a record. After one that could not be read all others are 0
 * or empty, and `rv` says why: looked at once, at the end. */
struct fields {
    struct cursor cursor;
    int rv;
};

static uint8_t take_u8(struct fields *fields)
{
    uint8_t value = 0;

    if (fields->rv == 0) {
        fields->rv = cursor_u8(&fields->cursor, &value);
    }
    return value;
}

static uint32_t take_u32(struct fields *fields)
{
    uint32_t value = 0;

    if (fields->rv == 0) {
        fields->rv = cursor_u32(&fields->cursor, &value);
    }
    return value;
}

static uint64_t take_u64(struct fields *fields)
{
    uint64_t value = 0;

    if (fields->rv == 0) {
        fields->rv = cursor_u64(&fields->cursor, &value);
    }
    return value;
}

/* Of `size_min` to `size_max` bytes. */
static struct bytes take_block(struct fields *fields, size_t size_low,
                               size_t size_max)
{
    struct bytes bytes = bytes_of(NULL, 0);

    if (fields->rv == 0) {
        fields->rv = cursor_block(&fields->cursor, &bytes);
    }
    if (fields->rv == 0 && (bytes.size < size_low || bytes.size > size_max)) {
        fields->rv = ERR_MALFORMED;
    }
    return bytes;
}

/* Whether all was read, and nothing is left. */
static bool fields_end(const struct fields *fields)
{
    return fields->rv == 0 && cursor_end(&fields->cursor) == 0;
}

/* What nothing in the snapshot may be above. */
static uint64_t last_epoch(const struct command_restore *restore)
{
    return command_epoch(restore->machine, restore->machine->applied_index);
}

/* What the tables refuse is the fault of the bytes. */
static int blame_bytes(int rv)
{
    return rv == ERR_EXISTS || rv == ERR_LIMIT ? ERR_MALFORMED : rv;
}

/* At once, so that the tables need not grow, and move, a dozen times. */
static int make_room(struct command_restore *restore)
{
    struct registry *registry = &restore->machine->registry;
    int rv = map_reserve(&registry->sandboxes, restore->sandbox_total);

    rv = rv == 0 ? map_reserve(&registry->names, restore->name_total) : rv;
    return blame_bytes(rv);
}

static int restore_header(struct command_restore *restore,
                          struct fields *fields)
{
    struct command_machine *machine = restore->machine;
    uint32_t version = take_u32(fields);

    if (fields->rv == 0 && version != SNAPSHOT_STATE_VERSION) {
        return version > SNAPSHOT_STATE_VERSION ? ERR_UNSUPPORTED
                                                : ERR_MALFORMED;
    }
    machine->applied_index = take_u64(fields);
    machine->burnt_index = take_u64(fields);
    machine->registry.ring_order_last = take_u64(fields);
    machine->registry.copy_number_last = take_u64(fields);
    machine->directory.index = take_u64(fields);
    restore->member_total = take_u32(fields);
    restore->worker_total = take_u32(fields);
    restore->sandbox_total = take_u32(fields);
    restore->name_total = take_u32(fields);
    restore->copy_total = take_u32(fields);
    if (!fields_end(fields) || restore->worker_total > REGISTRY_WORKERS_MAX) {
        return ERR_MALFORMED;
    }
    restore->workers =
        mem_alloc_array(restore->worker_total, sizeof(struct worker *));
    if (restore->workers == NULL) {
        return ERR_NOMEM;
    }
    return make_room(restore);
}

/* Epochs are checked against it, so it comes before all that has one. */
static int restore_recovery(struct command_restore *restore,
                            struct fields *fields)
{
    struct command_machine *machine = restore->machine;

    machine->epoch_base = take_u64(fields);
    machine->held_epoch = take_u64(fields);
    if (!fields_end(fields) || restore->record_count != 1 ||
        machine->epoch_base == 0 || machine->epoch_base > COMMAND_EPOCH_MAX ||
        machine->applied_index > COMMAND_EPOCH_MAX - machine->epoch_base ||
        machine->held_epoch > last_epoch(restore)) {
        return ERR_MALFORMED;
    }
    return 0;
}

static int restore_member(struct command_restore *restore,
                          struct fields *fields)
{
    struct directory *directory = &restore->machine->directory;
    uint64_t id = take_u64(fields);
    uint64_t instance = take_u64(fields);
    struct bytes name = take_block(fields, 1, DIRECTORY_NAME_SIZE_MAX);
    struct bytes address = take_block(fields, 0, DIRECTORY_ADDRESS_SIZE_MAX);
    struct directory_entry entry;

    if (!fields_end(fields) || directory_find(directory, id) != NULL ||
        directory_entry_init(&entry, id, instance, name, address) != 0 ||
        directory_put(directory, &entry) != 0) {
        return ERR_MALFORMED;
    }
    return 0;
}

static int restore_worker(struct command_restore *restore,
                          struct fields *fields)
{
    struct registry *registry = &restore->machine->registry;
    struct bytes name = take_block(fields, 1, REGISTRY_NODE_SIZE_MAX);
    struct bytes incarnation = take_block(fields, REGISTRY_INCARNATION_SIZE,
                                          REGISTRY_INCARNATION_SIZE);
    struct worker values = {.lease = take_u64(fields)};
    struct worker *worker;
    int rv;

    values.renewed_index = take_u64(fields);
    values.renewed_clock = take_u64(fields);
    values.member = take_u64(fields);
    values.term_ms = take_u32(fields);
    values.capacity.cpu = take_u32(fields);
    values.capacity.memory = take_u32(fields);
    values.sandboxes_max = take_u32(fields);
    if (!fields_end(fields) || values.lease > values.renewed_index ||
        values.term_ms > REGISTRY_TERM_MS_MAX ||
        values.renewed_index > last_epoch(restore) ||
        restore->worker_count == restore->worker_total ||
        registry_worker(registry, name) != NULL) {
        return ERR_MALFORMED;
    }
    rv = registry_add_worker(registry, name, &worker);
    if (rv != 0) {
        return rv;
    }
    memcpy(worker->incarnation, incarnation.data, incarnation.size);
    worker->lease = values.lease;
    worker->renewed_index = values.renewed_index;
    worker->renewed_clock = values.renewed_clock;
    worker->member = values.member;
    worker->term_ms = values.term_ms;
    worker->capacity = values.capacity;
    worker->sandboxes_max = values.sandboxes_max;
    restore->workers[restore->worker_count] = worker;
    restore->worker_count++;
    return 0;
}

/* The owner of that number, which has a lease: only such ones own. */
static struct worker *take_owner(struct command_restore *restore,
                                 struct fields *fields)
{
    uint32_t number = take_u32(fields);
    struct worker *worker;

    if (fields->rv != 0 || number == 0) {
        return NULL;
    }
    if (number > restore->worker_count ||
        restore->workers[number - 1]->lease == 0) {
        fields->rv = ERR_MALFORMED;
        return NULL;
    }
    worker = restore->workers[number - 1];
    return worker;
}

static bool sandbox_is_valid(const struct command_restore *restore,
                             const struct sandbox *sandbox)
{
    return sandbox->birth > 0 && sandbox->birth <= sandbox->epoch &&
           sandbox->epoch <= last_epoch(restore) &&
           sandbox->status <= SANDBOX_FAILED &&
           (sandbox->worker != NULL) ==
               registry_status_has_owner(sandbox->status) &&
           (sandbox->pid.size > 0) == (sandbox->status == SANDBOX_RUNNING) &&
           (sandbox->ring_order == 0) == (sandbox->status == SANDBOX_FAILED) &&
           !(sandbox->is_restoring && sandbox->status == SANDBOX_FAILED) &&
           sandbox->failures <= COMMAND_START_FAILURES_MAX &&
           sandbox->priority <= REGISTRY_PRIORITY_MAX &&
           registry_replicas_are_valid(sandbox->replicas,
                                       sandbox->replica_count);
}

static bool copy_is_valid(const struct command_restore *restore,
                          const struct copy *copy)
{
    const struct registry *registry = &restore->machine->registry;
    const struct copy *last =
        list_is_empty(&registry->copies)
            ? NULL
            : LIST_ENTRY(registry->copies.prev, struct copy, link);

    return copy->number > 0 && copy->number <= registry->copy_number_last &&
           (last == NULL || copy->number > last->number) &&
           copy->epoch <= last_epoch(restore) &&
           copy->restore_epoch <= last_epoch(restore) &&
           copy->size <= REGISTRY_COPY_SIZE_MAX &&
           (copy->how == COPY_TAKE || copy->how == COPY_RESOLVE) &&
           registry->copy_count < restore->copy_total &&
           registry_replicas_are_valid(copy->replicas, copy->replica_count);
}

static int restore_copy(struct command_restore *restore, struct fields *fields)
{
    struct copy values = {.number = take_u64(fields)};
    struct copy *copy;

    values.epoch = take_u64(fields);
    values.time_s = take_u64(fields);
    values.size = take_u64(fields);
    values.restore_epoch = take_u64(fields);
    values.how = (enum copy_restore)take_u8(fields);
    values.id = take_block(fields, 1, REGISTRY_ID_SIZE_MAX);
    values.about = take_block(fields, 0, REGISTRY_COPY_ABOUT_SIZE_MAX);
    values.outcome = take_block(fields, 0, REGISTRY_REASON_SIZE_MAX);
    values.replica_count = take_u8(fields);
    if (values.replica_count > REGISTRY_REPLICAS_MAX) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < values.replica_count; i++) {
        values.replicas[i] = take_u64(fields);
    }
    if (!fields_end(fields) || !copy_is_valid(restore, &values)) {
        return ERR_MALFORMED;
    }
    return blame_bytes(
        registry_add_copy(&restore->machine->registry, &values, &copy));
}

/* Each sandbox that begins anew has one copy to begin with, and no copy is for
 * another one. */
static bool copies_are_valid(const struct command_restore *restore)
{
    const struct registry *registry = &restore->machine->registry;
    uint32_t count = 0;

    LIST_FOREACH (link, &registry->copies) {
        const struct copy *copy = LIST_ENTRY(link, struct copy, link);
        const struct sandbox *sandbox;

        if (copy->restore_epoch == 0) {
            continue;
        }
        sandbox = registry_sandbox(registry, copy->id);
        if (sandbox == NULL || !sandbox->is_restoring ||
            copy->restore_epoch > sandbox->epoch ||
            registry_restoring(registry, sandbox) != copy) {
            return false;
        }
        count++;
    }
    return count == restore->restoring_count &&
           registry->copy_count == restore->copy_total;
}

static int restore_sandbox(struct command_restore *restore,
                           struct fields *fields)
{
    uint64_t replicas[REGISTRY_REPLICAS_MAX] = {0};
    struct sandbox values = {
        .id = take_block(fields, 1, REGISTRY_ID_SIZE_MAX),
    };

    values.spec = take_block(fields, 0, REGISTRY_SPEC_SIZE_MAX);
    values.options = take_block(fields, 0, REGISTRY_OPTIONS_SIZE_MAX);
    values.pid = take_block(fields, 0, REGISTRY_PID_SIZE_MAX);
    values.reason = take_block(fields, 0, REGISTRY_REASON_SIZE_MAX);
    values.worker = take_owner(restore, fields);
    values.birth = take_u64(fields);
    values.epoch = take_u64(fields);
    values.ring_order = take_u64(fields);
    values.need.cpu = take_u32(fields);
    values.need.memory = take_u32(fields);
    values.status = (enum sandbox_status)take_u8(fields);
    values.failures = take_u8(fields);
    values.priority = take_u8(fields);
    values.replica_count = take_u8(fields);
    if (values.replica_count > REGISTRY_REPLICAS_MAX) {
        return ERR_MALFORMED;
    }
    for (size_t i = 0; i < values.replica_count; i++) {
        replicas[i] = take_u64(fields);
    }
    values.replicas = replicas;
    values.is_restoring = take_u8(fields) != 0;
    restore->restoring_count += values.is_restoring;
    if (!fields_end(fields) || !sandbox_is_valid(restore, &values)) {
        return ERR_MALFORMED;
    }
    return blame_bytes(
        registry_restore_sandbox(&restore->machine->registry, &values));
}

static int restore_name(struct command_restore *restore, struct fields *fields)
{
    struct registered_name values = {
        .name = take_block(fields, 1, REGISTRY_NAME_SIZE_MAX),
    };

    values.pid = take_block(fields, 1, REGISTRY_PID_SIZE_MAX);
    values.meta = take_block(fields, 0, REGISTRY_META_SIZE_MAX);
    values.worker = take_owner(restore, fields);
    values.epoch = take_u64(fields);
    values.ring_order = take_u64(fields);
    if (!fields_end(fields) || values.worker == NULL || values.epoch == 0 ||
        values.epoch > last_epoch(restore) || values.ring_order == 0) {
        return ERR_MALFORMED;
    }
    return blame_bytes(
        registry_restore_name(&restore->machine->registry, &values));
}

/* All that was announced must have come. */
static int restore_end(struct command_restore *restore, struct fields *fields)
{
    const struct command_machine *machine = restore->machine;
    const struct registry *registry = &machine->registry;
    uint64_t record_count = take_u64(fields);

    if (!fields_end(fields) || record_count != restore->record_count ||
        machine->burnt_index > last_epoch(restore) ||
        machine->directory.index > last_epoch(restore) ||
        machine->directory.count != restore->member_total ||
        restore->worker_count != restore->worker_total ||
        registry->sandboxes.count != restore->sandbox_total ||
        registry->names.count != restore->name_total ||
        !copies_are_valid(restore)) {
        return ERR_MALFORMED;
    }
    restore->is_whole = true;
    return 0;
}

static int restore_record(struct command_restore *restore, struct bytes record)
{
    struct fields fields = {.cursor = cursor_of(record)};
    uint8_t kind = take_u8(&fields);
    int rv = ERR_MALFORMED;

    /* The header is the first record, and no other one; nothing is behind the
     * end. */
    if ((kind == SNAPSHOT_HEADER) != (restore->record_count == 0) ||
        restore->is_whole || record.size > SNAPSHOT_RECORD_SIZE_MAX) {
        return ERR_MALFORMED;
    }
    if (kind == SNAPSHOT_HEADER) {
        rv = restore_header(restore, &fields);
    } else if (kind == SNAPSHOT_RECOVERY) {
        rv = restore_recovery(restore, &fields);
    } else if (kind == SNAPSHOT_MEMBER) {
        rv = restore_member(restore, &fields);
    } else if (kind == SNAPSHOT_WORKER) {
        rv = restore_worker(restore, &fields);
    } else if (kind == SNAPSHOT_SANDBOX) {
        rv = restore_sandbox(restore, &fields);
    } else if (kind == SNAPSHOT_NAME) {
        rv = restore_name(restore, &fields);
    } else if (kind == SNAPSHOT_COPY) {
        rv = restore_copy(restore, &fields);
    } else if (kind == SNAPSHOT_SESSION) {
        rv = sessions_take_session(&restore->machine->sessions, &fields.cursor,
                                   last_epoch(restore));
    } else if (kind == SNAPSHOT_OUTCOMES) {
        rv =
            sessions_take_outcomes(&restore->machine->sessions, &fields.cursor);
    } else if (kind == SNAPSHOT_END) {
        rv = restore_end(restore, &fields);
    }
    restore->record_count++;
    return rv;
}

void command_restore_begin(struct command_restore *restore,
                           struct command_machine *machine, uint64_t seed)
{
    *restore = (struct command_restore){.machine = machine};
    buf_init(&restore->record, SNAPSHOT_RECORD_SIZE_MAX + 4);
    command_machine_init(machine, seed, NULL, NULL);
}

/* How many bytes the record that begins so has, as far as is known. */
static size_t record_size(const struct buf *record)
{
    struct cursor head = cursor_of(buf_bytes(record));
    uint32_t size;

    return cursor_u32(&head, &size) == 0 ? 4 + (size_t)size : 4;
}

/* Goes on with a record that comes in pieces. */
static int gather(struct command_restore *restore, struct cursor *cursor)
{
    struct buf *record = &restore->record;
    struct bytes piece;
    int rv;

    rv = cursor_take(
        cursor,
        size_min(record_size(record) - record->size, cursor_left(cursor)),
        &piece);
    ensure(rv == 0);
    buf_put_bytes(record, piece);
    if (record->size >= 4 &&
        record_size(record) > SNAPSHOT_RECORD_SIZE_MAX + 4) {
        return ERR_MALFORMED;
    }
    rv = buf_error(record);
    if (rv == 0 && record->size >= 4 && record->size == record_size(record)) {
        rv = restore_record(restore,
                            bytes_of(record->data + 4, record->size - 4));
        buf_clear(record);
    }
    return rv;
}

int command_restore_feed(struct command_restore *restore, struct bytes bytes)
{
    struct cursor cursor = cursor_of(bytes);
    struct bytes record;
    int rv = 0;

    while (rv == 0 && cursor_left(&cursor) > 0) {
        if (restore->record.size == 0 && cursor_block(&cursor, &record) == 0) {
            rv = restore_record(restore, record);
        } else {
            rv = gather(restore, &cursor);
        }
    }
    return rv;
}

int command_restore_finish(struct command_restore *restore)
{
    if (!restore->is_whole || restore->record.size > 0) {
        return ERR_TRUNCATED;
    }
    return registry_join_rings(&restore->machine->registry);
}

void command_restore_close(struct command_restore *restore)
{
    buf_close(&restore->record);
    mem_free((void *)restore->workers);
    restore->workers = NULL;
}
