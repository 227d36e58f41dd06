/* SPDX-License-Identifier: Apache-2.0
 * The file `log`: which file of the write-ahead log is the newest one that has
 * begun. Without it nobody could tell that the last files are missing.
 *
 *   newest 0000000000000003\n      written over in place, when a file begins
 *
 * It is written after the file's header: at a crash between the two it names
 * the file before the last one. */
#ifndef QUORATE_STORE_WAL_MARK_H
#define QUORATE_STORE_WAL_MARK_H

#include "base/attr.h"

#include <stdint.h>

#define WAL_MARK_NAME "log"

/* Writes and flushes. ERR_NO_SPACE, ERR_IO. */
int wal_mark_put(int dir_fd, uint64_t newest) MUST_USE;

/* ERR_NOT_FOUND: there is none; ERR_MALFORMED; ERR_IO. */
int wal_mark_get(int dir_fd, uint64_t *ret_newest) MUST_USE;

#endif
