/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wal_recover.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/wal_mutation.h"
#include "store/wal_walk.h"

#include <unistd.h>

enum { REPAIR_SIZE = 4096 }; /* bytes at a time */

struct recovery {
    const struct wal_config *config;
    struct wal_recovery *to;
    size_t entry_capacity;
    struct wal_files files;
    struct wal_walk walk;
};

/* --- Replay -------------------------------------------------------------- */

/* Keeps the entries below `index`. */
static void replay_truncate(struct wal_recovery *to, uint64_t index)
{
    while (to->entry_count > 0 &&
           to->entries[to->entry_count - 1].index >= index) {
        to->entry_count--;
        to->memory.size -= to->entries[to->entry_count].data.size;
    }
}

static int replay_entries(struct recovery *recovery,
                          const struct wal_payload *payload)
{
    struct wal_recovery *to = recovery->to;
    struct cursor cursor = cursor_of(payload->entries);
    size_t wanted = to->entry_count + payload->entry_count;
    size_t capacity = recovery->entry_capacity + wanted / 2 + 64;

    if (wanted > recovery->entry_capacity) {
        struct raft_entry *entries;

        capacity = capacity > wanted ? capacity : wanted;
        entries = mem_realloc(to->entries, capacity * sizeof(*entries));
        if (entries == NULL) {
            return ERR_NOMEM;
        }
        to->entries = entries;
        recovery->entry_capacity = capacity;
    }
    for (uint32_t i = 0; i < payload->entry_count; i++) {
        struct raft_entry *entry = &to->entries[to->entry_count];

        wal_payload_next(&cursor, entry);
        to->entry_count++;
        entry->index = payload->first_index + i;
        buf_put_bytes(&to->memory, entry->data);
    }
    return buf_error(&to->memory);
}

static int replay_file(void *arg, const struct wal_walk_file *file)
{
    struct recovery *recovery = arg;

    return wal_files_add(&recovery->files, file->header.number);
}

static int replay_record(void *arg, const struct wal_walk_record *record)
{
    struct recovery *recovery = arg;
    const struct wal_payload *payload = record->payload;

    if (payload->has_base) {
        replay_truncate(recovery->to, 0);
    }
    if (payload->truncate_from != 0) {
        replay_truncate(recovery->to, payload->truncate_from);
    }
    wal_files_note(&recovery->files, payload);
    return replay_entries(recovery, payload);
}

/* --- Repair -------------------------------------------------------------- */

static int remove_unbegun(const struct wal_walk *walk)
{
    char name[WAL_SEGMENT_NAME_SIZE];

    if (walk->unbegun == 0) {
        return 0;
    }
    ensure(walk->unbegun == walk->last_number + 1);
    wal_segment_name(walk->unbegun, name);
    if (unlinkat(walk->dir_fd, name, 0) != 0 || fsync(walk->dir_fd) != 0) {
        return ERR_IO;
    }
    return 0;
}

/* Writes the same bytes again: a page that the kernel could not write is clean
 * all the same, and a flush alone would leave it out (Rebello et al., "Can
 * Applications Recover from fsync Failures?", ATC 2020). */
static int rewrite(const struct wal_segment *segment, size_t offset, size_t end)
{
    uint8_t part[REPAIR_SIZE];
    int rv = 0;

    while (rv == 0 && offset < end) {
        size_t left = end - offset;
        size_t size = left < sizeof(part) ? left : sizeof(part);

        rv = wal_segment_read(segment->fd, part, size, offset);
        if (rv == 0) {
            rv = wal_segment_write(segment, bytes_of(part, size), offset);
        }
        offset += size;
    }
    return rv;
}

/* What was read back may have been in the page cache only: a process that was
 * killed, or that ended since a flush failed, leaves such bytes. The core will
 * count on all of it, so it is made to be on disk first. */
static int flush_unproven(const struct wal_walk *walk,
                          const struct wal_segment *segment)
{
    int rv;

    if (WAL_IS_MUTATED(UNPROVEN)) {
        return 0;
    }
    rv = rewrite(segment, 0, WAL_SEGMENT_HEADER_SIZE);

    if (rv == 0) {
        rv = rewrite(segment, walk->last_unproven, walk->last_end);
    }
    return rv != 0 ? rv : wal_segment_flush(segment);
}

static int zero_torn(const struct wal_walk *walk,
                     const struct wal_segment *segment)
{
    static const uint8_t zeros[REPAIR_SIZE];
    size_t offset = walk->last_end;

    while (offset < walk->last_dirty_end) {
        size_t left = walk->last_dirty_end - offset;
        size_t size = left < sizeof(zeros) ? left : sizeof(zeros);
        int rv;

        rv = wal_segment_write(segment, bytes_of(zeros, size), offset);
        if (rv != 0) {
            return rv;
        }
        offset += size;
    }
    return 0;
}

static int open_tail(const struct recovery *recovery,
                     struct wal_segment *segment)
{
    const struct wal_walk *walk = &recovery->walk;
    size_t size = recovery->config->segment_size;
    int rv;

    wal_segment_init(segment);
    if (walk->last_number == 0) {
        return 0;
    }
    rv = wal_segment_create(segment, walk->dir_fd, walk->last_number,
                            walk->last_size);
    if (rv != 0) {
        return rv;
    }
    segment->prepared = walk->last_size;
    segment->offset = walk->last_end;
    rv = zero_torn(walk, segment);
    if (rv == 0) {
        rv = flush_unproven(walk, segment);
    }
    size = size > walk->last_size ? size : wal_segment_round(walk->last_size);
    if (size > walk->last_size) {
        wal_segment_extend(segment, size);
    }
    while (rv == 0 && !wal_segment_is_prepared(segment)) {
        rv = wal_segment_prepare(segment, walk->dir_fd);
    }
    if (rv != 0) {
        wal_segment_close(segment);
    }
    return rv;
}

/* Data was counted only, since its memory moved while it grew. */
static void place_data(struct wal_recovery *to)
{
    const uint8_t *next = to->memory.data;

    for (size_t i = 0; i < to->entry_count; i++) {
        to->entries[i].data.data = next;
        if (to->entries[i].data.size > 0) {
            next += to->entries[i].data.size;
        }
    }
}

static int recover(struct recovery *recovery, struct wal_segment *ret_segment)
{
    struct wal_visitor visitor = {
        .file = replay_file, .record = replay_record, .arg = recovery};
    int rv;

    rv = wal_walk(&recovery->walk, &visitor);
    if (rv == 0) {
        rv = remove_unbegun(&recovery->walk);
    }
    return rv != 0 ? rv : open_tail(recovery, ret_segment);
}

int wal_recover(const struct wal_config *config, int dir_fd,
                struct wal_recovery *ret_recovery, struct buf *ret_error,
                struct wal_tail *ret_tail)
{
    struct wal_recovery to = {.term = 0};
    struct recovery recovery = {
        .config = config,
        .to = &to,
        .walk = {.dir = config->dir,
                 .dir_fd = dir_fd,
                 .error = ret_error,
                 .covered = config->covered_index,
                 .is_cover_known = true,
                 .is_begun = config->is_begun},
    };
    const struct wal_walk *walk = &recovery.walk;
    struct wal_segment segment;
    int rv;

    buf_init(&to.memory, SIZE_MAX / 4);
    wal_files_init(&recovery.files);
    rv = recover(&recovery, &segment);
    if (rv != 0) {
        wal_files_close(&recovery.files);
        wal_recovery_close(&to);
        return rv;
    }
    place_data(&to);
    to.term = walk->term;
    to.voted_for = walk->voted_for;
    to.last_index = walk->last_index;
    to.torn_bytes = walk->last_dirty_end - walk->last_end;
    *ret_recovery = to;
    *ret_tail = (struct wal_tail){.segment = segment,
                                  .files = recovery.files,
                                  .sequence = walk->sequence};
    return 0;
}

void wal_recovery_close(struct wal_recovery *recovery)
{
    if (recovery != NULL) {
        mem_free(recovery->entries);
        buf_close(&recovery->memory);
        *recovery = (struct wal_recovery){.term = 0};
    }
}
