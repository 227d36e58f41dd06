/* SPDX-License-Identifier: Apache-2.0
 * Writes one snapshot file, in pieces of any size, under a name of its own
 * until it is whole and on disk. Used by one thread, which it makes wait. */
#ifndef QUORATE_STORE_SNAPSHOT_WRITER_H
#define QUORATE_STORE_SNAPSHOT_WRITER_H

#include "base/attr.h"
#include "base/buf.h"
#include "store/snapshot_file.h"

#include <stdint.h>

struct snapshot_writer {
    int dir_fd; /* borrowed */
    int fd;     /* owned; -1: nothing is being written */
    enum snapshot_kind kind;
    struct snapshot_meta meta; /* as far as it is known */
    uint64_t size;             /* bytes taken so far */
    uint64_t chunk_count;      /* written */
    uint32_t checksum;         /* of them */
    struct buf chunk;          /* what is not yet a whole one */
};

void snapshot_writer_init(struct snapshot_writer *writer);

/* Closes the file and leaves it, to be resumed. */
void snapshot_writer_close(struct snapshot_writer *writer);

/* Closes the file and removes it. */
void snapshot_writer_abort(struct snapshot_writer *writer);

/* Begins anew. Of one that is received, size and checksum (0: unknown) of
 * `meta` are those to expect. Errors here and below: ERR_NO_SPACE, ERR_IO,
 * ERR_NOMEM; then it can only be aborted. */
int snapshot_writer_begin(struct snapshot_writer *writer, int dir_fd,
                          enum snapshot_kind kind,
                          const struct snapshot_meta *meta) MUST_USE;

/* Goes on with one that was received in part: index, size and checksum are
 * those it was begun with, and the checksum is not 0. Its whole chunks count;
 * writer->size says from where on the rest is wanted. ERR_NOT_FOUND: there is
 * nothing to go on with. */
int snapshot_writer_resume(struct snapshot_writer *writer, int dir_fd,
                           const struct snapshot_meta *meta) MUST_USE;

int snapshot_writer_append(struct snapshot_writer *writer,
                           struct bytes data) MUST_USE;

/* Makes it whole, durable and known by its name. Index, term and configuration
 * are the caller's; size and checksum are filled in. ERR_CORRUPT: what was
 * received is not what was to be expected. After success nothing is being
 * written. */
int snapshot_writer_finish(struct snapshot_writer *writer,
                           struct snapshot_meta *meta) MUST_USE;

#endif
