/* SPDX-License-Identifier: Apache-2.0
 * What the log's thread does with its files: records go to the end of the
 * present one, the next one is prepared in time, and those that a snapshot
 * covers are removed. Private to the log. */
#ifndef QUORATE_STORE_WAL_WRITER_H
#define QUORATE_STORE_WAL_WRITER_H

#include "base/attr.h"
#include "base/buf.h"
#include "store/wal.h"
#include "store/wal_direct.h"
#include "store/wal_files.h"
#include "store/wal_recover.h"
#include "store/wal_segment.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* Waits a little; false: the log is being closed. */
typedef bool wal_wait_cb(void *arg);

struct wal_writer {
    const struct wal_config *config; /* borrowed */
    int dir_fd;                      /* owned; -1: none */
    wal_wait_cb *wait;               /* for room on the disk */
    void *wait_arg;
    uint64_t written_sequence;
    struct wal_segment_header position; /* hard state and end of the log */
    struct wal_files files;             /* the present one is the last */
    struct wal_segment segment;
    struct wal_direct direct; /* of `segment`; nothing open: by its fd */
    bool is_direct;           /* as it was found at the start */
    struct wal_segment next;  /* fd -1: not needed yet */
    bool is_next_failing;
    bool is_cutting_failed; /* no more files are removed */
    bool is_full;           /* the shell was told so */
    atomic_uint_fast64_t flush_count;
    atomic_uint_fast64_t record_count;
};

void wal_writer_init(struct wal_writer *writer,
                     const struct wal_config *config);
void wal_writer_close(struct wal_writer *writer);

/* Goes on where recovery ended; takes what is in `tail`, also on failure. */
int wal_writer_start(struct wal_writer *writer,
                     const struct wal_recovery *recovery,
                     const struct wal_tail *tail) MUST_USE;

/* Seals, writes and flushes unsealed records. 0, or final: ERR_IO, ERR_NOMEM;
 * ERR_NO_SPACE if `wait` gave up. */
int wal_writer_run(struct wal_writer *writer, struct buf *records) MUST_USE;

/* Removes one file if all in it is covered up to `released`; whether it did. */
bool wal_writer_cut(struct wal_writer *writer, uint64_t released);

/* Prepares what is due of the next file. */
void wal_writer_prepare(struct wal_writer *writer);

#endif
