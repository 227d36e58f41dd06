/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wal_recover.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/wal_record.h"
#include "store/wal_scan.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SEGMENTS_MAX = 1 << 20 };

#define REMEDY                                                              \
    "Nothing was changed: acknowledged entries may be in what is damaged. " \
    "Check the disk, and do not start this member on an empty or older "    \
    "directory; docs/operations.md says what can be done"

struct recovery {
    const struct wal_config *config;
    int dir_fd;
    struct buf *error; /* may be NULL */
    struct wal_recovery *to;
    size_t entry_capacity;
    uint64_t *numbers; /* owned; of the files, in order */
    size_t number_count;
    uint64_t sequence;    /* expected next */
    uint64_t last_number; /* the last file that has begun; 0: none */
    size_t last_end;      /* where its good records end */
    size_t last_size;
    size_t last_dirty_end; /* behind its last byte that is not zero */
};

/* --- Helpers ------------------------------------------------------------- */

static int PRINTF_LIKE(4, 5)
    fail(const struct recovery *recovery, uint64_t number, size_t offset,
         const char *format, ...)
{
    char name[WAL_SEGMENT_NAME_SIZE];
    char cause[200];
    va_list args;

    if (recovery->error == NULL) {
        return ERR_CORRUPT;
    }
    va_start(args, format);
    (void)vsnprintf(cause, sizeof(cause), format, args);
    va_end(args);
    wal_segment_name(number, name);
    buf_printf(recovery->error, "%s/%s: offset %zu: %s. %s",
               recovery->config->dir, name, offset, cause, REMEDY);
    return ERR_CORRUPT;
}

static int fail_version(const struct recovery *recovery, uint64_t number)
{
    char name[WAL_SEGMENT_NAME_SIZE];

    if (recovery->error != NULL) {
        wal_segment_name(number, name);
        buf_printf(recovery->error,
                   "%s/%s: the format is not version %d. Use the release that "
                   "wrote it",
                   recovery->config->dir, name, WAL_VERSION);
    }
    return ERR_UNSUPPORTED;
}

static int compare_numbers(const void *left, const void *right)
{
    const uint64_t *a = left;
    const uint64_t *b = right;

    return (*a > *b) - (*a < *b);
}

static int add_number(struct recovery *recovery, uint64_t number,
                      size_t *capacity)
{
    size_t wanted = *capacity == 0 ? 16 : *capacity * 2;
    uint64_t *numbers;

    if (recovery->number_count == SEGMENTS_MAX) {
        return ERR_LIMIT;
    }
    if (recovery->number_count == *capacity) {
        numbers = mem_realloc(recovery->numbers, wanted * sizeof(*numbers));
        if (numbers == NULL) {
            return ERR_NOMEM;
        }
        recovery->numbers = numbers;
        *capacity = wanted;
    }
    recovery->numbers[recovery->number_count] = number;
    recovery->number_count++;
    return 0;
}

static int list_files(struct recovery *recovery)
{
    DIR *dir = opendir(recovery->config->dir);
    const struct dirent *file;
    size_t capacity = 0;
    int rv = 0;

    if (dir == NULL) {
        return ERR_IO;
    }
    errno = 0;
    while (rv == 0 && (file = readdir(dir)) != NULL) {
        uint64_t number = wal_segment_number(file->d_name);

        if (number != 0) {
            rv = add_number(recovery, number, &capacity);
        }
        errno = 0;
    }
    if (rv == 0 && errno != 0) {
        rv = ERR_IO;
    }
    (void)closedir(dir); /* only read from */
    if (recovery->number_count > 0) {
        qsort(recovery->numbers, recovery->number_count, sizeof(uint64_t),
              compare_numbers);
    }
    return rv;
}

/* `scan->end` is where the good records end, `rv` why. */
static int judge_tail(const struct recovery *recovery,
                      const struct wal_scan *scan, int rv, size_t record_size)
{
    size_t skip = rv == ERR_CORRUPT ? record_size : WAL_RECORD_ALIGNMENT;
    struct wal_aftermath after =
        wal_scan_look_behind(scan, scan->end + skip, recovery->sequence);
    const char *what = rv == ERR_CORRUPT
                           ? "the checksum of its contents is wrong"
                           : "its header is damaged";

    if (!after.is_followed) {
        return 0;
    }
    if (!after.is_proven &&
        wal_scan_has_unwritten_sector(
            scan, scan->end,
            rv == ERR_CORRUPT ? record_size : WAL_RECORD_HEADER_SIZE)) {
        return 0;
    }
    return fail(recovery, scan->number, scan->end,
                "record %llu is not good (%s), but good records follow it",
                (unsigned long long)recovery->sequence, what);
}

/* --- Replay -------------------------------------------------------------- */

static void replay_truncate(struct wal_recovery *to, uint64_t index)
{
    while (to->entry_count >= index) {
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
        entry->index = to->entry_count;
        buf_put_bytes(&to->memory, entry->data);
    }
    return buf_error(&to->memory);
}

static int replay(struct recovery *recovery, const struct wal_scan *scan,
                  const struct wal_record *record)
{
    struct wal_recovery *to = recovery->to;
    struct wal_payload payload;

    if (wal_payload_decode(record->payload, &payload) != 0) {
        return fail(recovery, scan->number, scan->end,
                    "record %llu has contents of an unknown form",
                    (unsigned long long)record->sequence);
    }
    if (payload.truncate_from > to->entry_count + 1) {
        return fail(recovery, scan->number, scan->end,
                    "record %llu cuts entries that do not exist",
                    (unsigned long long)record->sequence);
    }
    if (payload.truncate_from != 0) {
        replay_truncate(to, payload.truncate_from);
    }
    if (payload.entry_count > 0 && payload.first_index != to->entry_count + 1) {
        return fail(recovery, scan->number, scan->end,
                    "record %llu does not continue the log",
                    (unsigned long long)record->sequence);
    }
    to->term = payload.term;
    to->voted_for = payload.voted_for;
    return replay_entries(recovery, &payload);
}

static int scan_records(struct recovery *recovery, struct wal_scan *scan)
{
    struct wal_record record = {.size = 0};
    int rv;

    scan->end = WAL_SEGMENT_HEADER_SIZE;
    for (;;) {
        rv = wal_record_read(wal_scan_from(scan, scan->end), &record);
        if (rv == 0 && record.sequence != recovery->sequence) {
            rv = ERR_MALFORMED;
        }
        if (rv != 0) {
            break;
        }
        rv = replay(recovery, scan, &record);
        if (rv != 0) {
            return rv;
        }
        recovery->sequence++;
        scan->end += record.size;
    }
    return judge_tail(recovery, scan, rv, record.size);
}

/* A file with a header continues the one before without a gap. */
static int scan_file(struct recovery *recovery, struct wal_scan *scan,
                     bool is_last)
{
    struct wal_segment_header header;
    int rv;

    rv = scan->size < WAL_SEGMENT_HEADER_SIZE
             ? ERR_MALFORMED
             : wal_segment_header_decode(
                   bytes_of(scan->data, WAL_SEGMENT_HEADER_SIZE), &header);
    if (rv == ERR_UNSUPPORTED) {
        return fail_version(recovery, scan->number);
    }
    if (rv != 0) {
        /* The last file may be prepared and not begun. */
        if (is_last && !wal_scan_look_behind(scan, WAL_SEGMENT_HEADER_SIZE, 1)
                            .is_followed) {
            return 0;
        }
        return fail(recovery, scan->number, 0, "the file header is damaged");
    }
    if (header.number != scan->number ||
        header.first_sequence != recovery->sequence) {
        return fail(recovery, scan->number, 0,
                    "the file begins with record %llu, but %llu is next",
                    (unsigned long long)header.first_sequence,
                    (unsigned long long)recovery->sequence);
    }
    rv = scan_records(recovery, scan);
    if (rv != 0) {
        return rv;
    }
    recovery->last_number = scan->number;
    recovery->last_end = scan->end;
    recovery->last_size = scan->size;
    recovery->last_dirty_end = wal_scan_dirty_end(scan, scan->end);
    return 0;
}

static int scan_all(struct recovery *recovery)
{
    for (size_t i = 0; i < recovery->number_count; i++) {
        bool is_last = i + 1 == recovery->number_count;
        struct wal_scan scan;
        int rv;

        if (recovery->numbers[i] != i + 1) {
            return fail(recovery, i + 1, 0, "the file is missing");
        }
        rv = wal_scan_open(recovery->dir_fd, recovery->numbers[i], &scan);
        if (rv != 0) {
            return rv;
        }
        rv = scan_file(recovery, &scan, is_last);
        wal_scan_close(&scan);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

/* --- Repair -------------------------------------------------------------- */

static int remove_unbegun(const struct recovery *recovery)
{
    char name[WAL_SEGMENT_NAME_SIZE];

    if (recovery->number_count == recovery->last_number) {
        return 0;
    }
    ensure(recovery->number_count == recovery->last_number + 1);
    wal_segment_name(recovery->number_count, name);
    if (unlinkat(recovery->dir_fd, name, 0) != 0 ||
        fsync(recovery->dir_fd) != 0) {
        return ERR_IO;
    }
    return 0;
}

static int zero_torn(const struct recovery *recovery,
                     const struct wal_segment *segment)
{
    static const uint8_t zeros[4096];
    size_t offset = recovery->last_end;

    if (recovery->last_dirty_end <= offset) {
        return 0;
    }
    while (offset < recovery->last_dirty_end) {
        size_t left = recovery->last_dirty_end - offset;
        size_t size = left < sizeof(zeros) ? left : sizeof(zeros);
        int rv;

        rv = wal_segment_write(segment, bytes_of(zeros, size), offset);
        if (rv != 0) {
            return rv;
        }
        offset += size;
    }
    return wal_segment_flush(segment);
}

static int open_tail(const struct recovery *recovery,
                     struct wal_segment *segment)
{
    size_t size = recovery->config->segment_size;
    int rv;

    wal_segment_init(segment);
    if (recovery->last_number == 0) {
        return 0;
    }
    rv = wal_segment_create(segment, recovery->dir_fd, recovery->last_number,
                            recovery->last_size);
    if (rv != 0) {
        return rv;
    }
    segment->prepared = recovery->last_size;
    segment->offset = recovery->last_end;
    rv = zero_torn(recovery, segment);
    if (size > recovery->last_size) {
        wal_segment_extend(segment, size);
    }
    while (rv == 0 && !wal_segment_is_prepared(segment)) {
        rv = wal_segment_prepare(segment, recovery->dir_fd);
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

int wal_recover(const struct wal_config *config, int dir_fd,
                struct wal_recovery *ret_recovery, struct buf *ret_error,
                struct wal_tail *ret_tail)
{
    struct wal_recovery to = {.term = 0};
    struct recovery recovery = {.config = config,
                                .dir_fd = dir_fd,
                                .error = ret_error,
                                .to = &to,
                                .sequence = 1};
    struct wal_segment segment;
    int rv;

    buf_init(&to.memory, SIZE_MAX / 4);
    rv = list_files(&recovery);
    if (rv == 0) {
        rv = scan_all(&recovery);
    }
    if (rv == 0) {
        rv = remove_unbegun(&recovery);
    }
    if (rv == 0) {
        rv = open_tail(&recovery, &segment);
    }
    mem_free(recovery.numbers);
    if (rv != 0) {
        wal_recovery_close(&to);
        return rv;
    }
    place_data(&to);
    to.torn_bytes = recovery.last_dirty_end - recovery.last_end;
    *ret_recovery = to;
    *ret_tail =
        (struct wal_tail){.segment = segment, .sequence = recovery.sequence};
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
