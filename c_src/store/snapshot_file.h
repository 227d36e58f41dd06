/* SPDX-License-Identifier: Apache-2.0
 * The bytes of a snapshot file, `%016x.snap` by the index of the last entry
 * that it covers. All numbers are big-endian.
 *
 *   header, 4096 bytes   magic:64 version:32 0:32 index:64 term:64 size:64
 *                        checksum:32 configuration_size:32 configuration,
 *                        zeros, crc:32 (of all of it)
 *   chunks               crc:32 size:32 number:64 data; all but the last have
 *                        SNAPSHOT_CHUNK_SIZE bytes of data
 *   footer, 32 bytes     magic:64 chunks:64 size:64 checksum:32 crc:32
 *
 * A chunk's crc covers the index of the snapshot and the rest of the chunk; the
 * checksum covers the crcs of all chunks in order. So each byte is covered, and
 * no chunk can stand in another one's place. */
#ifndef QUORATE_STORE_SNAPSHOT_FILE_H
#define QUORATE_STORE_SNAPSHOT_FILE_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

enum {
    SNAPSHOT_VERSION = 1,
    SNAPSHOT_HEADER_SIZE = 4096,
    SNAPSHOT_CHUNK_SIZE = 256 * 1024, /* bytes of data */
    SNAPSHOT_CHUNK_HEADER_SIZE = 16,
    SNAPSHOT_FOOTER_SIZE = 32,
    SNAPSHOT_CONFIGURATION_MAX = 1024, /* bytes */
    SNAPSHOT_NAME_SIZE = 27,           /* with the terminating zero */
};

#define SNAPSHOT_SIZE_MAX (UINT64_C(1) << 40) /* bytes of data */

/* What a snapshot says of itself. */
struct snapshot_meta {
    uint64_t index; /* of the last entry that it covers */
    uint64_t term;  /* of that entry */
    uint64_t size;  /* bytes of the state */
    uint32_t checksum;
    uint32_t configuration_size;
    uint8_t configuration[SNAPSHOT_CONFIGURATION_MAX]; /* opaque */
};

/* In which state of making the file is. */
enum snapshot_kind {
    SNAPSHOT_WHOLE,    /* .snap */
    SNAPSHOT_OWN,      /* .snap.new: being written */
    SNAPSHOT_RECEIVED, /* .snap.part: coming from a leader */
};

void snapshot_name(uint64_t index, enum snapshot_kind kind,
                   char ret_name[SNAPSHOT_NAME_SIZE]);

/* The index of a file of this name and kind; 0: it is none. */
uint64_t snapshot_name_index(const char *name, enum snapshot_kind kind);

/* How many chunks so many bytes make, and how long the whole file is. */
uint64_t snapshot_chunk_count(uint64_t size);
uint64_t snapshot_file_size(uint64_t size);

/* Where the chunk of that number begins in the file. */
uint64_t snapshot_chunk_offset(uint64_t number);

void snapshot_header_encode(const struct snapshot_meta *meta,
                            uint8_t ret_header[SNAPSHOT_HEADER_SIZE]);

/* 0; ERR_MALFORMED: no header, or damaged; ERR_UNSUPPORTED: of another
 * version. */
int snapshot_header_decode(struct bytes header,
                           struct snapshot_meta *ret_meta) MUST_USE;

/* The header of a chunk; its crc is the first 4 bytes. */
void snapshot_chunk_encode(uint64_t index, uint64_t number, struct bytes data,
                           uint8_t ret_header[SNAPSHOT_CHUNK_HEADER_SIZE]);

/* A chunk with its header: 0, or ERR_CORRUPT; gives its data and its crc. */
int snapshot_chunk_decode(struct bytes chunk, uint64_t index, uint64_t number,
                          struct bytes *ret_data, uint32_t *ret_crc) MUST_USE;

/* The checksum with one more chunk; it begins with 0. */
uint32_t snapshot_checksum(uint32_t checksum, uint32_t chunk_crc);

void snapshot_footer_encode(const struct snapshot_meta *meta,
                            uint8_t ret_footer[SNAPSHOT_FOOTER_SIZE]);

/* 0, or ERR_CORRUPT if it is not that of this header. */
int snapshot_footer_check(struct bytes footer,
                          const struct snapshot_meta *meta) MUST_USE;

#endif
