/* SPDX-License-Identifier: Apache-2.0
 * The write-ahead log: preallocated segments, records with length and CRC32C,
 * one writer thread, many submissions to one flush.
 *
 * Submissions are copied, written in order, flushed together, and reported in
 * order by `done`, on the writer thread. After the first failed flush every
 * later submission fails too: what is on disk is unknown from there on, and
 * only a restart reads it back.
 *
 * A full disk is a slow one: nothing is reported, nothing is taken back, and
 * the same bytes are written again until there is room. */
#ifndef QUORATE_STORE_WAL_H
#define QUORATE_STORE_WAL_H

#include "base/attr.h"
#include "base/buf.h"
#include "raft/raft.h"
#include "store/wal_record.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { WAL_SEGMENT_SIZE = 8 * 1024 * 1024, WAL_RETRY_MS = 500 };

struct wal;

/* All writes up to `seq` are on disk (status 0) or failed (ERR_IO, ERR_NOMEM;
 * ERR_NO_SPACE only for what still waited for room when the log was closed).
 * Called on the writer thread: hand over and return. */
typedef void wal_done_cb(void *arg, uint64_t seq, int status);

/* Whether the disk is full: writing waits. Called on the writer thread. */
typedef void wal_full_cb(void *arg, bool is_full);

struct wal_config {
    const char *dir;     /* exists; is locked by the caller */
    bool is_begun;       /* it was opened before: that nothing is there is
                            damage */
    size_t segment_size; /* 0: WAL_SEGMENT_SIZE */
    /* Up to here a whole snapshot is on disk; 0: there is none. */
    uint64_t covered_index;
    uint32_t retry_ms; /* between two tries on a full disk; 0: WAL_RETRY_MS */
    wal_done_cb *done;
    wal_full_cb *full; /* may be NULL */
    void *arg;         /* of both */
};

/* What was recovered; freed by wal_recovery_close(). */
struct wal_recovery {
    uint64_t term;
    uint64_t voted_for;
    uint64_t last_index;        /* of the log, with or without entries */
    struct raft_entry *entries; /* owned array, without gaps; data points into
                                   `memory` */
    size_t entry_count;
    struct buf memory;
    uint64_t torn_bytes; /* cut from the tail */
};

/* Reads what is there, repairs a torn tail (a last record that was never
 * acknowledged), starts the writer thread. ERR_CORRUPT: damage before the
 * tail, files that are missing, or entries between the snapshot and the first
 * one; nothing is changed then, and `ret_error` (may be NULL) gets file,
 * offset, cause and remedy as text. ERR_UNSUPPORTED: another format version. */
int wal_open(const struct wal_config *config, struct wal_recovery *ret_recovery,
             struct buf *ret_error, struct wal **ret_wal) MUST_USE;
void wal_recovery_close(struct wal_recovery *recovery);

/* Copies and queues. 0, ERR_NOMEM, ERR_LIMIT (too much waits), or the status of
 * an earlier failure. A log is reset only when the snapshot that ends at its
 * new base is on disk. */
int wal_submit(struct wal *wal, const struct raft_persist *persist) MUST_USE;

/* A snapshot of the state after the entry at `index` is on disk: files that
 * hold nothing newer are removed in the background. What is kept for peers
 * that are late may be kept by giving a smaller index. */
void wal_release(struct wal *wal, uint64_t index);

/* Writes, flushes and reports all that was queued, ends the thread. NULL is
 * allowed. */
void wal_close(struct wal *wal);

/* Flushes and records written since start. */
void wal_counters(const struct wal *wal, uint64_t *ret_flushes,
                  uint64_t *ret_records);

/* Whether it writes past the page cache (O_DIRECT), as it found out when it was
 * opened. If not, a flush takes one call more, and longer. */
bool wal_is_direct(const struct wal *wal);

#endif
