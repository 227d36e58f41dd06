/* SPDX-License-Identifier: Apache-2.0
 * What `quorate log` shows of a log, for people or for programs. This header
 * is private to the folder. */
#ifndef QUORATE_CLI_LOG_SHOW_H
#define QUORATE_CLI_LOG_SHOW_H

#include "base/attr.h"
#include "base/buf.h"
#include "cli/columns.h"
#include "cli/options.h"
#include "store/wal_walk.h"

#include <stdbool.h>
#include <stdint.h>

/* The file that is being read. */
struct log_show_file {
    struct wal_walk_file file;
    uint64_t records;
    uint64_t entries;
    uint64_t first_index; /* of the entries in it */
    uint64_t last_index;
    size_t end; /* behind its last record */
};

struct log_show {
    enum options_output form;
    uint64_t from;         /* no rows of entries below; 0: all rows */
    uint64_t limit;        /* of rows */
    struct columns files;  /* for people */
    struct columns rows;   /* idem */
    struct buf file_texts; /* for programs */
    struct buf row_texts;  /* idem */
    struct log_show_file file;
    bool has_file;
    uint64_t file_count;
    uint64_t record_count;
    uint64_t entry_count;
    uint64_t row_count;      /* shown */
    uint64_t row_count_more; /* not shown */
    uint64_t bad_index;      /* the first entry that is not understood, or 0 */
};

/* `limit` 0: no rows. */
void log_show_init(struct log_show *show, enum options_output form,
                   uint64_t from, uint64_t limit);
void log_show_close(struct log_show *show);

/* Visits: a file, a record. 0, ERR_NOMEM, ERR_LIMIT. */
int log_show_file(void *arg, const struct wal_walk_file *file) MUST_USE;
int log_show_record(void *arg, const struct wal_walk_record *record) MUST_USE;

/* Appends all of it. `problem` is what is wrong, or empty. */
int log_show_print(struct log_show *show, const struct wal_walk *walk,
                   struct bytes problem, struct buf *text) MUST_USE;

#endif
