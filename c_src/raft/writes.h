/* SPDX-License-Identifier: Apache-2.0
 * Which part of the log is on disk: the writes handed out and not yet done, as
 * a ring. A write that overwrites entries makes those of earlier writes void,
 * so first indexes and sequences both grow along the ring. */
#ifndef QUORATE_RAFT_WRITES_H
#define QUORATE_RAFT_WRITES_H

#include "base/attr.h"

#include <stddef.h>
#include <stdint.h>

struct write {
    uint64_t seq;   /* of the persist effect */
    uint64_t first; /* first index that it wrote */
    uint64_t last;  /* last index of it that still stands */
};

struct writes {
    struct write *ring;       /* owned */
    size_t head;              /* position of the oldest */
    size_t count;             /* writes under way */
    size_t capacity;          /* a power of two, or 0 */
    uint64_t persisted_index; /* entries up to here are on disk */
};

/* `index`: what is on disk at start. Allocates nothing. */
void writes_init(struct writes *writes, uint64_t index);

/* NULL is allowed. */
void writes_close(struct writes *writes);

/* Makes room for one more. ERR_NOMEM. */
int writes_reserve(struct writes *writes) MUST_USE;

/* All entries are void, and those up to `index` count as on disk. */
void writes_reset(struct writes *writes, uint64_t index);

/* The entries from `index` on are cut. */
void writes_truncate(struct writes *writes, uint64_t index);

/* The entries `first` to `last` are being written as `seq`; the room was
 * reserved. */
void writes_begin(struct writes *writes, uint64_t seq, uint64_t first,
                  uint64_t last);

/* All writes up to `seq` are on disk. */
void writes_done(struct writes *writes, uint64_t seq);

#endif
