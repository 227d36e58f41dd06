/* SPDX-License-Identifier: Apache-2.0
 * The entries in memory, from index 1 on: an array of 24-byte slots whose data
 * lies in a stack of chunks. A log only ever grows and is cut at its end, so
 * chunks are filled and given back in order, without an allocation an entry.
 *
 *   slots   | 1 | 2 | 3 | 4 | ...
 *             |   |   |   `----------.
 *   chunks  [ data data data ] <-- [ data ............ ]   <-- spare */
#ifndef QUORATE_RAFT_LOG_H
#define QUORATE_RAFT_LOG_H

#include "base/attr.h"
#include "base/bytes.h"
#include "raft/raft.h"

#include <stddef.h>
#include <stdint.h>

struct log_chunk;

struct log_slot {
    uint64_t term;       /* never less than that of the slot before */
    uint32_t size;       /* bytes of data */
    uint32_t type;       /* enum raft_entry_type */
    const uint8_t *data; /* in a chunk; NULL if size is 0 */
};

struct log {
    struct log_slot *slots;   /* owned */
    size_t count;             /* slots in use: the last index */
    size_t capacity;          /* slots allocated */
    struct log_chunk *newest; /* owned; the chunk that is being filled */
    struct log_chunk *spare;  /* owned; empty, reserved, may be NULL */
};

void log_init(struct log *log);

/* NULL is allowed. */
void log_close(struct log *log);

/* Makes sure that log_append() can take `count` entries of `size` bytes
 * together, also if log_truncate() comes first. ERR_NOMEM. */
int log_reserve(struct log *log, size_t count, size_t size) MUST_USE;

/* Appends a copy. The room was reserved. */
void log_append(struct log *log, uint64_t term, enum raft_entry_type type,
                struct bytes data);

/* Drops the entries from `index` (1..last + 1) on. */
void log_truncate(struct log *log, uint64_t index);

/* The entry at `index` (1..last); its data is borrowed. */
struct raft_entry log_get(const struct log *log, uint64_t index);

/* The term at `index` (0..last); that of index 0 is 0. */
uint64_t log_term(const struct log *log, uint64_t index);

/* The greatest index not above `index` whose term is not above `term`; 0 if
 * there is none. `index` may be beyond the end. */
uint64_t log_find_term(const struct log *log, uint64_t index, uint64_t term);

static inline uint64_t log_last(const struct log *log)
{
    return log->count;
}

#endif
