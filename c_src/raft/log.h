/* SPDX-License-Identifier: Apache-2.0
 * The entries in memory, behind the one at `base`: an array of 24-byte slots
 * whose data lies in a row of chunks. A log grows at its end, and is cut at its
 * end and at its start, so chunks are filled and given back in order, without
 * an allocation an entry.
 *
 *   slots   (head cut ones) | 5 | 6 | 7 | 8 | ...       base is 4
 *                             |   |   |   `----------.
 *   chunks         oldest [ data data data ] <--> [ data ..... ] newest
 *
 * Of the base, which a snapshot stands for, only the term is known. */
#ifndef QUORATE_RAFT_LOG_H
#define QUORATE_RAFT_LOG_H

#include "base/attr.h"
#include "base/bytes.h"
#include "raft/raft.h"

#include <stdbool.h>
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
    size_t head;              /* slots of entries that were cut */
    size_t count;             /* slots in use, from `head` on */
    size_t capacity;          /* slots allocated */
    uint64_t base;            /* index before the first entry */
    uint64_t base_term;       /* its term */
    struct log_chunk *oldest; /* owned; has the first entry's data */
    struct log_chunk *newest; /* the chunk that is being filled */
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

/* Drops the entries from `index` (base + 1..last + 1) on. */
void log_truncate(struct log *log, uint64_t index);

/* Drops the entries up to `index` (base..last), which becomes the base. */
void log_cut(struct log *log, uint64_t index);

/* Drops all entries; the next one follows the one at `index`. */
void log_reset(struct log *log, uint64_t index, uint64_t term);

/* The entry at `index` (base + 1..last); its data is borrowed. */
struct raft_entry log_get(const struct log *log, uint64_t index);

/* The term at `index` (base..last); that of index 0 is 0. */
uint64_t log_term(const struct log *log, uint64_t index);

/* Whether the entry at `index` is here or is the base, with that term. */
bool log_has(const struct log *log, uint64_t index, uint64_t term);

/* The greatest index not above `index` whose term is not above `term`, or one
 * below the base if it is there; 0 if there is none. `index` may be beyond the
 * end. */
uint64_t log_find_term(const struct log *log, uint64_t index, uint64_t term);

static inline uint64_t log_base(const struct log *log)
{
    return log->base;
}

static inline uint64_t log_last(const struct log *log)
{
    return log->base + log->count;
}

#endif
