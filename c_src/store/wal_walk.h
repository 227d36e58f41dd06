/* SPDX-License-Identifier: Apache-2.0
 * Reads the files of a write-ahead log in order, checks that they are one log
 * without a gap, and shows each record to a visitor. Changes nothing.
 *
 * Where a record is not good:
 *   nothing valid follows                  torn tail: where writing goes on
 *   a later record says that this one      damage: ERR_CORRUPT
 *     was on disk, or a file follows
 *   only records of the same write follow  torn if a disk sector of it was
 *     (never reported as done, if torn)    never written, else damage
 *
 * Files at the front may be gone: then a snapshot covers what was in them. */
#ifndef QUORATE_STORE_WAL_WALK_H
#define QUORATE_STORE_WAL_WALK_H

#include "base/attr.h"
#include "base/buf.h"
#include "store/wal_record.h"
#include "store/wal_segment.h"

#include <stddef.h>
#include <stdint.h>

/* A file that has begun. */
struct wal_walk_file {
    struct wal_segment_header header;
    size_t size; /* bytes */
};

/* A record as it lies in its file; borrowed for the call. */
struct wal_walk_record {
    uint64_t number; /* of the file */
    size_t offset;
    const struct wal_record *record;
    const struct wal_payload *payload; /* it continues the log */
};

/* Errors end the walk and are its result. */
struct wal_visitor {
    int (*file)(void *arg, const struct wal_walk_file *file); /* may be NULL */
    int (*record)(void *arg, const struct wal_walk_record *record);
    void *arg;
};

struct wal_walk {
    const char *dir;     /* for messages */
    int dir_fd;          /* open on it */
    struct buf *error;   /* what is wrong, as one line; may be NULL */
    uint64_t covered;    /* by a snapshot, up to this index; 0: none */
    bool is_cover_known; /* false: what is covered is not checked */
    bool is_begun;       /* there must be a file that has begun, and a mark */

    uint64_t term;        /* of the last record, or as the file says */
    uint64_t voted_for;   /* idem */
    uint64_t first_index; /* of the entries that are held; above last_index:
                             there are none */
    uint64_t last_index;
    uint64_t sequence;     /* of the next record */
    uint64_t first_number; /* of the files; 0: none has begun */
    uint64_t last_number;  /* the last file that has begun */
    uint64_t unbegun;      /* a prepared file behind it; 0: none */
    uint64_t marked;       /* as the newest file; 0: there is no mark */
    size_t last_end;       /* where its good records end */
    size_t last_unproven;  /* from here on nothing says that it was flushed */
    size_t last_size;      /* of that file */
    size_t last_dirty_end; /* behind its last byte that is not zero */
};

/* The first six fields are the caller's. 0, ERR_CORRUPT, ERR_UNSUPPORTED,
 * ERR_IO, ERR_NOMEM, ERR_LIMIT, or what a visitor returned; `error` has a line
 * for the first two. The other fields are where the walk ended. */
int wal_walk(struct wal_walk *walk, const struct wal_visitor *visitor) MUST_USE;

#endif
