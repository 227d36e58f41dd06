/* SPDX-License-Identifier: Apache-2.0
 * One file of the write-ahead log, `%016x.wal` by its number (1, 2, ...).
 *
 *   header of 64 bytes   magic:64 version:32 size:32 number:64
 *                        first_sequence:64 term:64 voted_for:64 last_index:64
 *                        crc:32 (of the fields before it), zeros
 *   records              one after the other (store/wal_record.h)
 *   zeros                up to the end
 *
 * A file is first prepared: allocated, filled with zeros, flushed, its name
 * too. So a later flush has no metadata to write, and what was never written
 * reads as zeros. It begins when its header is written and flushed. The last
 * three fields repeat where the file before it ended, so that it can be read
 * when that one is gone. Version 1 had the checksum in their place; later ones
 * keep magic, version and checksum where they are. */
#ifndef QUORATE_STORE_WAL_SEGMENT_H
#define QUORATE_STORE_WAL_SEGMENT_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WAL_SEGMENT_HEADER_SIZE = 64,
    WAL_SEGMENT_SIZE_MIN = 4096,
    WAL_SEGMENT_BLOCK_SIZE = 4096, /* a file has whole ones */
    WAL_SEGMENT_NAME_SIZE = 21,    /* with the terminating zero */
    WAL_VERSION = 2,
    WAL_VERSION_MIN = 1 /* that is still read */
};

struct wal_segment {
    int fd;          /* -1: none */
    uint64_t number; /* part of the name */
    size_t size;     /* bytes of the file, once it is prepared */
    size_t prepared; /* bytes filled with zeros so far */
    size_t offset;   /* where the next record goes */
};

struct wal_segment_header {
    uint32_t version; /* set by decoding */
    uint32_t size;    /* bytes of the file when it began; set by encoding; 0:
                         not known */
    uint64_t number;  /* set by encoding: the file's */
    uint64_t first_sequence;
    uint64_t term; /* the hard state, and the log's end; 0 in version 1 */
    uint64_t voted_for;
    uint64_t last_index;
};

/* ERR_NO_SPACE or ERR_IO by errno. */
int wal_segment_status(int number_of_error);

void wal_segment_name(uint64_t number, char ret_name[WAL_SEGMENT_NAME_SIZE]);

/* So many bytes in whole blocks. */
size_t wal_segment_round(size_t size);

/* The number of a file of this name, or 0. */
uint64_t wal_segment_number(const char *name);

/* A segment without a file. */
void wal_segment_init(struct wal_segment *segment);

/* Closes the file. */
void wal_segment_close(struct wal_segment *segment);

/* Closes the file and removes it; it was never needed. */
void wal_segment_discard(struct wal_segment *segment, int dir_fd);

/* Creates the file of `size` bytes, to be prepared. ERR_NO_SPACE, ERR_IO. */
int wal_segment_create(struct wal_segment *segment, int dir_fd, uint64_t number,
                       size_t size) MUST_USE;

/* Fills the next part; flushes file and directory after the last one. After an
 * error it can only be discarded. */
int wal_segment_prepare(struct wal_segment *segment, int dir_fd) MUST_USE;

bool wal_segment_is_prepared(const struct wal_segment *segment);

/* Makes a prepared segment longer, to be prepared again. */
void wal_segment_extend(struct wal_segment *segment, size_t size);

/* Writes and flushes the header. */
int wal_segment_begin(struct wal_segment *segment,
                      const struct wal_segment_header *header) MUST_USE;

/* 0; ERR_MALFORMED: no header; ERR_UNSUPPORTED: of another version. */
int wal_segment_header_decode(struct bytes bytes,
                              struct wal_segment_header *ret_header) MUST_USE;

/* All of it at that offset, without a flush. */
int wal_segment_write(const struct wal_segment *segment, struct bytes bytes,
                      size_t offset) MUST_USE;

/* All of it from that offset on; ERR_IO also if the file ends before. */
int wal_segment_read(int fd, uint8_t *data, size_t size,
                     size_t offset) MUST_USE;

int wal_segment_flush(const struct wal_segment *segment) MUST_USE;

#endif
