/* SPDX-License-Identifier: Apache-2.0
 * Reads the write-ahead log back. All files are read before any is changed.
 *
 * Where a record is not good:
 *   nothing valid follows                  torn tail: cut, filled with zeros
 *   a later record says that this one      damage: ERR_CORRUPT
 *     was on disk, or a file follows
 *   only records of the same write follow  torn if a disk sector of it was
 *     (never reported as done, if torn)    never written, else damage */
#ifndef QUORATE_STORE_WAL_RECOVER_H
#define QUORATE_STORE_WAL_RECOVER_H

#include "base/attr.h"
#include "base/buf.h"
#include "store/wal.h"
#include "store/wal_segment.h"

#include <stddef.h>
#include <stdint.h>

/* Where writing goes on. */
struct wal_tail {
    struct wal_segment segment; /* open; fd is -1 if there is no file yet */
    uint64_t sequence;          /* of the next record */
};

/* `dir_fd` is open on `config->dir`; results as of wal_open(). */
int wal_recover(const struct wal_config *config, int dir_fd,
                struct wal_recovery *ret_recovery, struct buf *ret_error,
                struct wal_tail *ret_tail) MUST_USE;

#endif
