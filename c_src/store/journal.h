/* SPDX-License-Identifier: Apache-2.0
 * The ownership journal of a member on disk (docs/ownership-journal.md): files
 * of records, of which the oldest goes when there is a new one too many.
 *
 *   loop, writer of states ──add──▶ buffer ──▶ thread ──▶
 * member-00000007.ownership
 *
 * Whoever adds never waits for the disk. What cannot be written is counted,
 * and the journal says so itself, by a record JOURNAL_GAP in its place. Nothing
 * is flushed: records outlive the process, and not the last seconds of a
 * machine that loses power. */
#ifndef QUORATE_STORE_JOURNAL_H
#define QUORATE_STORE_JOURNAL_H

#include "base/attr.h"
#include "base/buf.h"
#include "journal/record.h"

#include <stdbool.h>
#include <stdint.h>

struct journal;

enum {
    JOURNAL_PARTS = 4,                         /* full files at most */
    JOURNAL_FILES_MAX = 256,                   /* also of short runs */
    JOURNAL_BUFFER_SIZE_MAX = 4 * 1024 * 1024, /* bytes that wait */
    JOURNAL_WRITE_MS = 20,       /* records are gathered for so long */
    JOURNAL_WRITE_AGAIN_MS = 500 /* after a failure */
};

struct journal_config {
    const char *dir;            /* exists; locked by the caller */
    uint64_t size_max;          /* bytes of all files */
    struct journal_record open; /* its texts must live as long as the journal;
                                   `first` and the clock are filled in */
};

/* Begins a new file. ERR_NOMEM, ERR_IO, ERR_NO_SPACE: there is no journal; a
 * line for people is in `error`. */
int journal_open(const struct journal_config *config, struct buf *error,
                 struct journal **ret_journal) MUST_USE;

/* Writes what waits and that this was the end. NULL is allowed. */
void journal_close(struct journal *journal);

/* Adds a record with the time of now; from any thread; NULL: does nothing. */
void journal_add(struct journal *journal, const struct journal_record *record);

struct journal_status {
    uint64_t records; /* added, of this run */
    uint64_t dropped; /* of those, not written */
    int error;        /* why nothing can be written now; 0: it can */
};

/* NULL: all is 0. */
void journal_status(struct journal *journal, struct journal_status *ret_status);

#endif
