/* SPDX-License-Identifier: Apache-2.0
 * Reads snapshot files: which there are, and what is in one. Everything that is
 * given out was checked. Changes nothing; makes its thread wait. */
#ifndef QUORATE_STORE_SNAPSHOT_READER_H
#define QUORATE_STORE_SNAPSHOT_READER_H

#include "base/attr.h"
#include "base/buf.h"
#include "store/snapshot_file.h"

#include <stddef.h>
#include <stdint.h>

struct snapshot_reader {
    int fd; /* owned; -1: closed */
    struct snapshot_meta meta;
    uint64_t position;  /* of snapshot_reader_next() */
    uint32_t checksum;  /* of the chunks that it went over */
    uint64_t written_s; /* when, by the wall clock: seconds since 1970 */
    struct buf chunk;   /* the last one that was read, with its header */
};

void snapshot_reader_init(struct snapshot_reader *reader);
void snapshot_reader_close(struct snapshot_reader *reader);

/* Opens a whole snapshot; header, footer and size are in order then. Errors
 * here and below: ERR_NOT_FOUND, ERR_CORRUPT, ERR_UNSUPPORTED (another format
 * version), ERR_IO, ERR_NOMEM; `error` (may be NULL) gets a line that says
 * what is wrong and what to do. `dir` stands in that line. */
int snapshot_reader_open(struct snapshot_reader *reader, int dir_fd,
                         const char *dir, uint64_t index,
                         struct buf *error) MUST_USE;

/* The data of the next chunk, borrowed until the next call; ERR_NOT_FOUND
 * behind the last one: then all of it was whole. */
int snapshot_reader_next(struct snapshot_reader *reader,
                         struct bytes *ret_data) MUST_USE;

/* Appends `size` bytes from `offset` on, which must lie within. */
int snapshot_reader_read(struct snapshot_reader *reader, uint64_t offset,
                         size_t size, struct buf *data) MUST_USE;

/* Says in `error` (may be NULL) that a chunk of this snapshot is damaged. */
void snapshot_reader_tell(const struct snapshot_reader *reader, const char *dir,
                          struct buf *error);

/* The index of the newest file that has the name of a whole snapshot, of those
 * below an index; 0: there is none. ERR_IO. */
int snapshot_newest(const char *dir, uint64_t below,
                    uint64_t *ret_index) MUST_USE;

/* Removes a whole one that turned out to be of no use. If it stays, the next
 * start finds it as useless as it was now. */
void snapshot_remove(int dir_fd, uint64_t index);

/* Removes the whole ones older than both indexes, and all that is left over
 * of files older than `newest` or as old, which is on disk. */
void snapshot_remove_old(const char *dir, int dir_fd, uint64_t newest,
                         uint64_t needed);

#endif
