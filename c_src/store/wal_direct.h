/* SPDX-License-Identifier: Apache-2.0
 * Writes past the page cache: one call writes records and has them on disk
 * (O_DIRECT with O_DSYNC), where two would be needed otherwise. Private to the
 * log.
 *
 *   file     |  block  |  block  |  block  |       such calls write whole
 *   records   ----------------++++++++                 blocks
 *   written            |  block  |  block  |
 *                       -------++++++++000
 *
 * The block in which the records end is written again with those that follow:
 * its bytes (-) are kept in memory, and are the same again. */
#ifndef QUORATE_STORE_WAL_DIRECT_H
#define QUORATE_STORE_WAL_DIRECT_H

#include "base/attr.h"
#include "base/bytes.h"
#include "store/wal_segment.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WAL_DIRECT_SIZE_MAX = 1024 * 1024 /* bytes of one write */
};

struct wal_direct {
    int fd;          /* owned; -1: none */
    size_t offset;   /* where the next record goes */
    uint8_t *memory; /* owned; NULL: not needed yet */
    uint8_t *blocks; /* in it, aligned: begins with the block of `offset` */
};

void wal_direct_init(struct wal_direct *direct);

/* Also without its memory, if `open` never came. */
void wal_direct_close(struct wal_direct *direct);

/* Goes on at the end of the segment, which is prepared and on disk so far. What
 * it had open before is closed. ERR_UNSUPPORTED: the file system does not do
 * it; ERR_NOMEM; ERR_IO, ERR_NO_SPACE. It has nothing open then. */
int wal_direct_open(struct wal_direct *direct, int dir_fd,
                    const struct wal_segment *segment) MUST_USE;

/* Writes the last block again as it is. ERR_UNSUPPORTED: blocks of this size
 * will not do; ERR_IO, ERR_NO_SPACE. */
int wal_direct_probe(struct wal_direct *direct) MUST_USE;

/* Writes what follows the first `done` bytes, and moves `done` on: those are on
 * disk. After ERR_NO_SPACE the same call goes on. ERR_IO is final. */
int wal_direct_write(struct wal_direct *direct, struct bytes bytes,
                     size_t *done) MUST_USE;

#endif
