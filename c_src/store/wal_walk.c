/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wal_walk.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/wal_mark.h"
#include "store/wal_mutation.h"
#include "store/wal_scan.h"

#include <dirent.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    SEGMENTS_MAX = 1 << 20,
    CAUSE_SIZE = 200 /* bytes */
};

#ifdef RAFT_MUTATIONS
enum wal_mutation wal_mutation;
#endif

#define REMEDY                                                              \
    "Nothing was changed: acknowledged entries may be in what is damaged. " \
    "Check the disk, and do not start this member on an empty or older "    \
    "directory; docs/operations.md says what can be done"

/* The numbers of the files, in order. */
struct numbers {
    uint64_t *items; /* owned */
    size_t count;
    size_t capacity;
};

/* --- Helpers ------------------------------------------------------------- */

static int PRINTF_LIKE(4, 5) fail(const struct wal_walk *walk, uint64_t number,
                                  size_t offset, const char *format, ...)
{
    char name[WAL_SEGMENT_NAME_SIZE];
    char cause[CAUSE_SIZE];
    va_list args;

    if (walk->error == NULL) {
        return ERR_CORRUPT;
    }
    va_start(args, format);
    (void)vsnprintf(cause, sizeof(cause), format, args);
    va_end(args);
    wal_segment_name(number, name);
    buf_printf(walk->error, "%s/%s: offset %zu: %s. %s", walk->dir, name,
               offset, cause, REMEDY);
    return ERR_CORRUPT;
}

static int fail_version(const struct wal_walk *walk, uint64_t number)
{
    char name[WAL_SEGMENT_NAME_SIZE];

    if (walk->error != NULL) {
        wal_segment_name(number, name);
        buf_printf(walk->error,
                   "%s/%s: the format is not version %d or %d. Use the "
                   "release that wrote it",
                   walk->dir, name, WAL_VERSION_MIN, WAL_VERSION);
    }
    return ERR_UNSUPPORTED;
}

/* It is short enough to be put right by hand, by who knows what happened. */
static int fail_mark(const struct wal_walk *walk, int rv)
{
    if (walk->error != NULL) {
        buf_printf(walk->error,
                   "%s/" WAL_MARK_NAME
                   ": the file %s, so newer files of the log may be missing. "
                   "Nothing was changed. Bring back the whole directory; only "
                   "if you know that all files are there, write the line "
                   "'newest N' to it, with the sixteen digits of the newest "
                   "one that has begun (quorate log inspect %s)",
                   walk->dir,
                   rv == ERR_NOT_FOUND ? "is missing"
                                       : "does not go with the others",
                   walk->dir);
    }
    return ERR_CORRUPT;
}

static int compare_numbers(const void *left, const void *right)
{
    const uint64_t *a = left;
    const uint64_t *b = right;

    return (*a > *b) - (*a < *b);
}

static int add_number(struct numbers *numbers, uint64_t number)
{
    size_t wanted = numbers->capacity == 0 ? 16 : numbers->capacity * 2;
    uint64_t *items;

    if (numbers->count == SEGMENTS_MAX) {
        return ERR_LIMIT;
    }
    if (numbers->count == numbers->capacity) {
        items = mem_realloc(numbers->items, wanted * sizeof(*items));
        if (items == NULL) {
            return ERR_NOMEM;
        }
        numbers->items = items;
        numbers->capacity = wanted;
    }
    numbers->items[numbers->count] = number;
    numbers->count++;
    return 0;
}

static int list_files(const struct wal_walk *walk, struct numbers *numbers)
{
    DIR *dir = opendir(walk->dir);
    const struct dirent *file;
    int rv = 0;

    if (dir == NULL) {
        return ERR_IO;
    }
    errno = 0;
    while (rv == 0 && (file = readdir(dir)) != NULL) {
        uint64_t number = wal_segment_number(file->d_name);

        if (number != 0) {
            rv = add_number(numbers, number);
        }
        errno = 0;
    }
    if (rv == 0 && errno != 0) {
        rv = ERR_IO;
    }
    (void)closedir(dir); /* only read from */
    if (numbers->count > 0) {
        qsort(numbers->items, numbers->count, sizeof(uint64_t),
              compare_numbers);
    }
    return rv;
}

/* `scan->end` is where the good records end, `rv` why. */
static int judge_tail(const struct wal_walk *walk, const struct wal_scan *scan,
                      int rv, size_t record_size)
{
    size_t skip = rv == ERR_CORRUPT ? record_size : WAL_RECORD_ALIGNMENT;
    struct wal_aftermath after =
        wal_scan_look_behind(scan, scan->end + skip, walk->sequence);
    const char *what = rv == ERR_CORRUPT
                           ? "the checksum of its contents is wrong"
                           : "its header is damaged";

    if (!after.is_followed || WAL_IS_MUTATED(TORN_TAIL)) {
        return 0;
    }
    if (!after.is_proven &&
        wal_scan_has_unwritten_sector(
            scan, scan->end,
            rv == ERR_CORRUPT ? record_size : WAL_RECORD_HEADER_SIZE)) {
        return 0;
    }
    return fail(walk, scan->number, scan->end,
                "record %llu is not good (%s), but good records follow it",
                (unsigned long long)walk->sequence, what);
}

/* --- Records ------------------------------------------------------------- */

/* What a record does to the log, if it can be. */
static int take_record(struct wal_walk *walk, const struct wal_scan *scan,
                       const struct wal_payload *payload)
{
    uint64_t first = walk->first_index;
    uint64_t last = walk->last_index;

    if (payload->has_base) {
        last = payload->base.index;
        first = last + 1;
    }
    if (payload->truncate_from > last + 1) {
        return fail(walk, scan->number, scan->end,
                    "record %llu cuts entries that do not exist",
                    (unsigned long long)walk->sequence);
    }
    if (payload->truncate_from != 0) {
        last = payload->truncate_from - 1;
        first = first <= last ? first : last + 1;
    }
    if (payload->entry_count > 0 && payload->first_index != last + 1) {
        return fail(walk, scan->number, scan->end,
                    "record %llu does not continue the log",
                    (unsigned long long)walk->sequence);
    }
    walk->term = payload->term;
    walk->voted_for = payload->voted_for;
    walk->first_index = first;
    walk->last_index = last + payload->entry_count;
    return 0;
}

static int visit_record(struct wal_walk *walk, const struct wal_scan *scan,
                        const struct wal_record *record,
                        const struct wal_visitor *visitor)
{
    struct wal_payload payload;
    struct wal_walk_record shown = {.number = scan->number,
                                    .offset = scan->end,
                                    .record = record,
                                    .payload = &payload};
    int rv;

    if (wal_payload_decode(record, &payload) != 0) {
        return fail(walk, scan->number, scan->end,
                    "record %llu has contents of an unknown form",
                    (unsigned long long)record->sequence);
    }
    rv = take_record(walk, scan, &payload);
    return rv != 0 ? rv : visitor->record(visitor->arg, &shown);
}

static int walk_records(struct wal_walk *walk, struct wal_scan *scan,
                        const struct wal_visitor *visitor)
{
    struct wal_record record = {.size = 0};
    int rv;

    scan->end = WAL_SEGMENT_HEADER_SIZE;
    walk->last_unproven = scan->end;
    for (;;) {
        rv = wal_record_read(wal_scan_from(scan, scan->end), &record);
        if (rv == 0 && record.sequence != walk->sequence) {
            rv = ERR_MALFORMED;
        }
        if (rv != 0) {
            break;
        }
        rv = visit_record(walk, scan, &record, visitor);
        if (rv != 0) {
            return rv;
        }
        /* The first of those that were written with one flush. */
        if (record.flushed == record.sequence) {
            walk->last_unproven = scan->end;
        }
        walk->sequence++;
        scan->end += record.size;
    }
    return judge_tail(walk, scan, rv, record.size);
}

/* --- Files --------------------------------------------------------------- */

/* The first file says where the log begins, later ones must agree. */
static int take_header(struct wal_walk *walk, const struct wal_scan *scan,
                       const struct wal_segment_header *header)
{
    bool is_old = header->version < WAL_VERSION;

    if (scan->size < header->size) {
        return fail(walk, scan->number, scan->size,
                    "the file ends here, but it was made with %lu bytes",
                    (unsigned long)header->size);
    }
    if (header->number != scan->number) {
        return fail(walk, scan->number, 0,
                    "the file says that it is number %llu",
                    (unsigned long long)header->number);
    }
    if (walk->first_number == 0) {
        walk->sequence = header->first_sequence;
        walk->term = header->term;
        walk->voted_for = header->voted_for;
        walk->last_index = header->last_index;
        walk->first_index = header->last_index + 1;
        walk->first_number = scan->number;
        if (scan->number == 1 ? walk->sequence == 1 && walk->last_index == 0
                              : !is_old) {
            return 0;
        }
        return fail(walk, scan->number, 0,
                    "the files before it are missing, or it is not its own");
    }
    if (header->first_sequence != walk->sequence) {
        return fail(walk, scan->number, 0,
                    "the file begins with record %llu, but %llu is next",
                    (unsigned long long)header->first_sequence,
                    (unsigned long long)walk->sequence);
    }
    if (!is_old &&
        (header->term != walk->term || header->voted_for != walk->voted_for ||
         header->last_index != walk->last_index)) {
        return fail(walk, scan->number, 0,
                    "the file does not continue the one before it");
    }
    return 0;
}

static int walk_file(struct wal_walk *walk, struct wal_scan *scan, bool is_last,
                     const struct wal_visitor *visitor)
{
    struct wal_walk_file file = {.size = scan->size};
    int rv;

    rv = scan->size < WAL_SEGMENT_HEADER_SIZE
             ? ERR_MALFORMED
             : wal_segment_header_decode(
                   bytes_of(scan->data, WAL_SEGMENT_HEADER_SIZE), &file.header);
    if (rv == ERR_UNSUPPORTED) {
        return fail_version(walk, scan->number);
    }
    if (rv != 0) {
        /* The last file may be prepared and not begun. */
        if (is_last && !wal_scan_look_behind(scan, WAL_SEGMENT_HEADER_SIZE, 1)
                            .is_followed) {
            walk->unbegun = scan->number;
            return 0;
        }
        return fail(walk, scan->number, 0, "the file header is damaged");
    }
    rv = take_header(walk, scan, &file.header);
    if (rv == 0 && visitor->file != NULL) {
        rv = visitor->file(visitor->arg, &file);
    }
    if (rv == 0) {
        rv = walk_records(walk, scan, visitor);
    }
    walk->last_number = scan->number;
    walk->last_end = scan->end;
    walk->last_size = scan->size;
    walk->last_dirty_end = wal_scan_dirty_end(scan, scan->end);
    return rv;
}

static int walk_files(struct wal_walk *walk, const struct numbers *numbers,
                      const struct wal_visitor *visitor)
{
    for (size_t i = 0; i < numbers->count; i++) {
        bool is_last = i + 1 == numbers->count;
        struct wal_scan scan;
        int rv;

        if (i > 0 && numbers->items[i] != numbers->items[i - 1] + 1) {
            return fail(walk, numbers->items[i - 1] + 1, 0,
                        "the file is missing");
        }
        rv = wal_scan_open(walk->dir_fd, numbers->items[i], &scan);
        if (rv != 0) {
            return rv;
        }
        rv = walk_file(walk, &scan, is_last, visitor);
        wal_scan_close(&scan);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

/* Nothing is between the snapshot and the first entry. */
static int check_cover(const struct wal_walk *walk)
{
    if (!walk->is_cover_known || walk->first_index <= walk->covered + 1) {
        return 0;
    }
    return fail(walk, walk->first_number, 0,
                "the log begins with entry %llu, and no whole snapshot covers "
                "what was before (the newest one: up to %llu)",
                (unsigned long long)walk->first_index,
                (unsigned long long)walk->covered);
}

static int check_mark(struct wal_walk *walk)
{
    int rv = wal_mark_get(walk->dir_fd, &walk->marked);
    uint64_t last = walk->last_number;

    if (rv == ERR_NOT_FOUND && !walk->is_begun) {
        return 0;
    }
    if (rv == ERR_NOT_FOUND || rv == ERR_MALFORMED) {
        return fail_mark(walk, rv);
    }
    if (rv == 0 && last < walk->marked) {
        rv = fail(walk, last + 1, 0, "the file is missing");
    } else if (rv == 0 && last > walk->marked + 1) {
        rv = fail_mark(walk, ERR_MALFORMED);
    }
    return rv;
}

int wal_walk(struct wal_walk *walk, const struct wal_visitor *visitor)
{
    struct numbers numbers = {.items = NULL};
    int rv;

    walk->sequence = 1;
    walk->first_index = 1;
    rv = list_files(walk, &numbers);
    if (rv == 0) {
        rv = walk_files(walk, &numbers, visitor);
    }
    /* A file alone that has not begun is the first one. */
    if (rv == 0 && walk->first_number == 0 &&
        (walk->is_begun || walk->unbegun > 1)) {
        rv = fail(walk, 1, 0, "the file is missing");
    }
    if (rv == 0) {
        rv = check_mark(walk);
    }
    if (rv == 0) {
        rv = check_cover(walk);
    }
    mem_free(numbers.items);
    return rv;
}
