/* SPDX-License-Identifier: Apache-2.0
 * Reads the write-ahead log back into memory and repairs its tail. All files
 * are read (store/wal_walk.h) before any is changed. */
#ifndef QUORATE_STORE_WAL_RECOVER_H
#define QUORATE_STORE_WAL_RECOVER_H

#include "base/attr.h"
#include "base/buf.h"
#include "store/wal.h"
#include "store/wal_files.h"
#include "store/wal_segment.h"

#include <stddef.h>
#include <stdint.h>

/* Where writing goes on. */
struct wal_tail {
    struct wal_segment segment; /* open; fd is -1 if there is no file yet */
    struct wal_files files;     /* those that hold records, with this one */
    uint64_t sequence;          /* of the next record */
};

/* `dir_fd` is open on `config->dir`; results as of wal_open(). */
int wal_recover(const struct wal_config *config, int dir_fd,
                struct wal_recovery *ret_recovery, struct buf *ret_error,
                struct wal_tail *ret_tail) MUST_USE;

#endif
