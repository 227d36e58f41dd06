/* SPDX-License-Identifier: Apache-2.0
 * A hash map from byte strings to pointers: open addressing, linear probing,
 * SipHash-1-3 under a seed (keys come from peers), removal without
 * tombstones. Reference: Aumasson and Bernstein, "SipHash: a fast short-input
 * PRF" (2012).
 *
 * Keys are borrowed: they must live, unchanged, as long as the entry, which
 * is easiest if they are part of the value. */
#ifndef QUORATE_BASE_MAP_H
#define QUORATE_BASE_MAP_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

struct map_slot {
    struct bytes key; /* borrowed */
    void *value;      /* NULL: the slot is free */
    uint64_t hash;    /* of the key */
};

struct map {
    struct map_slot *slots; /* owned */
    size_t slot_count;      /* a power of two, or 0 */
    size_t count;           /* entries */
    size_t count_max;       /* limit on entries */
    uint64_t seed[2];       /* of the hash */
};

/* An empty map for at most `count_max` entries. Allocates nothing. */
void map_init(struct map *map, size_t count_max, uint64_t seed);

/* Makes room for so many entries in all, so that adding them moves nothing.
 * ERR_LIMIT: more than it may have; ERR_NOMEM. */
int map_reserve(struct map *map, size_t count) MUST_USE;

/* Frees the table; keys and values are the caller's. NULL is allowed. */
void map_close(struct map *map);

/* The value under `key`, or NULL. */
void *map_get(const struct map *map, struct bytes key);

/* Stores or replaces. `value` must not be NULL. ERR_LIMIT if the map is full,
 * ERR_NOMEM; the map is unchanged then. */
int map_put(struct map *map, struct bytes key, void *value) MUST_USE;

/* Removes and returns the value, or NULL. */
void *map_remove(struct map *map, struct bytes key);

/* Walks all entries in no particular order: start with *position = 0; returns
 * the next value or NULL at the end. No changes while walking. */
void *map_next(const struct map *map, size_t *position);

/* The keyed hash that the map uses; for anything else that needs one. */
uint64_t map_hash(const uint64_t seed[2], struct bytes key);

#endif
