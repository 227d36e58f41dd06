/* SPDX-License-Identifier: Apache-2.0
 * One record of the write-ahead log: what one raft_persist says, as a whole.
 *
 *   header_crc:32   of the other header fields
 *   size:32         of the payload
 *   sequence:64     1, 2, 3, ... over all segments
 *   flushed:64      all records below this sequence were on disk before this
 *                   one was written
 *   payload_crc:32  of the payload
 *   flags:32        1: the payload begins with a base
 *   payload         [base_index:64 base_term:64]
 *                   term:64 voted_for:64 truncate_from:64 first_index:64
 *                   count:32, count times { term:64 type:8 size:32 data }
 *
 * A base: all entries so far are void, the next one follows the entry of that
 * index and term, which is the last that a snapshot covers.
 *
 * Numbers are big-endian; records begin at multiples of 8, padded by zeros.
 * `flushed` tells a torn tail from damage: a bad record may be cut only if no
 * later one claims that it had been on disk. */
#ifndef QUORATE_STORE_WAL_RECORD_H
#define QUORATE_STORE_WAL_RECORD_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "raft/raft.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    WAL_RECORD_HEADER_SIZE = 32,
    WAL_RECORD_ALIGNMENT = 8,
    WAL_RECORD_PAYLOAD_MAX = 16 * 1024 * 1024
};

/* Where a log goes on without what was before. */
struct wal_base {
    uint64_t index; /* of the entry before the next one */
    uint64_t term;
};

struct wal_record {
    uint64_t sequence;
    uint64_t flushed;
    uint32_t flags;
    struct bytes payload; /* borrowed */
    size_t size;          /* of the whole record with its padding */
};

struct wal_payload {
    bool has_base;
    struct wal_base base;
    uint64_t term;
    uint64_t voted_for;
    uint64_t truncate_from;
    uint64_t first_index; /* 0 if there are no entries */
    uint32_t entry_count;
    struct bytes entries; /* borrowed, checked */
};

/* Appends a record; its checksums are set by wal_record_seal(). */
void wal_record_put(struct buf *buf, uint64_t sequence,
                    const struct raft_persist *persist);

/* The fields of the unsealed record at `data`; its entries are not decoded. */
void wal_record_peek(const uint8_t *data, struct wal_payload *ret_payload);

/* The size of the unsealed record that begins at `data`, padding included. */
size_t wal_record_size(const uint8_t *data);

/* Sets `flushed` and the checksums of the record at `data`. */
void wal_record_seal(uint8_t *data, uint64_t flushed);

/* Reads the record at the start of `bytes`: 0, ERR_TRUNCATED (it would go past
 * the end), ERR_MALFORMED (the header is not one), or ERR_CORRUPT (the header
 * is good, the payload is not; `ret_record` is set). */
int wal_record_read(struct bytes bytes, struct wal_record *ret_record) MUST_USE;

/* What is in a record's payload: 0 or ERR_MALFORMED. */
int wal_payload_decode(const struct wal_record *record,
                       struct wal_payload *ret_payload) MUST_USE;

/* The next of the entries of a decoded payload; `index` is the caller's. */
void wal_payload_next(struct cursor *cursor, struct raft_entry *ret_entry);

#endif
