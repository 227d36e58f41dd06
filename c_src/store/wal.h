/* SPDX-License-Identifier: Apache-2.0
 * The write-ahead log: preallocated segments, records with length and CRC32C,
 * one writer thread, many submissions to one flush.
 *
 * Submissions are copied, written in order, flushed together, and reported in
 * order by `done`, on the writer thread. After the first failed write every
 * later submission fails too: what is on disk is unknown from there on, and
 * only a restart reads it back. */
#ifndef QUORATE_STORE_WAL_H
#define QUORATE_STORE_WAL_H

#include "base/attr.h"
#include "base/buf.h"
#include "raft/raft.h"

#include <stddef.h>
#include <stdint.h>

enum { WAL_SEGMENT_SIZE = 8 * 1024 * 1024 };

struct wal;

/* All writes up to `seq` are on disk (status 0) or failed (ERR_NO_SPACE,
 * ERR_IO). Called on the writer thread: hand over and return. */
typedef void wal_done_cb(void *arg, uint64_t seq, int status);

struct wal_config {
    const char *dir;     /* exists; is locked by the caller */
    size_t segment_size; /* 0: WAL_SEGMENT_SIZE */
    wal_done_cb *done;
    void *done_arg;
};

/* What was recovered; freed by wal_recovery_close(). */
struct wal_recovery {
    uint64_t term;
    uint64_t voted_for;
    struct raft_entry *entries; /* owned array; data points into `memory` */
    size_t entry_count;
    struct buf memory;
    uint64_t torn_bytes; /* cut from the tail */
};

/* Reads what is there, repairs a torn tail (a last record that was never
 * acknowledged), starts the writer thread. ERR_CORRUPT: damage before the
 * tail; nothing is changed then, and `ret_error` (may be NULL) gets file,
 * offset, cause and remedy as text. ERR_UNSUPPORTED: another format version. */
int wal_open(const struct wal_config *config, struct wal_recovery *ret_recovery,
             struct buf *ret_error, struct wal **ret_wal) MUST_USE;
void wal_recovery_close(struct wal_recovery *recovery);

/* Copies and queues. 0, ERR_NOMEM, or the status of an earlier failure. */
int wal_submit(struct wal *wal, const struct raft_persist *persist) MUST_USE;

/* Writes, flushes and reports all that was queued, ends the thread. NULL is
 * allowed. */
void wal_close(struct wal *wal);

/* Flushes and records written since start. */
void wal_counters(const struct wal *wal, uint64_t *ret_flushes,
                  uint64_t *ret_records);

#endif
