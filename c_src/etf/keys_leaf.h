/* SPDX-License-Identifier: Apache-2.0
 * Hashes of terms, such that equal terms have the same one, in whichever form
 * they were written. Private to the comparison of keys. */
#ifndef QUORATE_ETF_KEYS_LEAF_H
#define QUORATE_ETF_KEYS_LEAF_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stdint.h>

/* Each hash begins with one of these. */
enum keys_kind {
    KEYS_INTEGER = 1,
    KEYS_BIG, /* does not fit into 64 bits and a sign */
    KEYS_FLOAT,
    KEYS_ATOM,
    KEYS_BINARY,
    KEYS_PID,
    KEYS_PORT,
    KEYS_REFERENCE,
    KEYS_EXPORT,
    KEYS_FUN,
    KEYS_NIL,
    KEYS_LIST,
    KEYS_TUPLE,
    KEYS_MAP,
};

/* Goes on with one more number; for one `hash` no two numbers give the same.
 * The finalizer is that of SplitMix64: see base/rng.h. */
static inline uint64_t keys_fold(uint64_t hash, uint64_t value)
{
    uint64_t z =
        ((hash << 23) | (hash >> 41)) + value * UINT64_C(0x9e3779b97f4a7c15);

    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

/* The same for a value that is a hash: it need not be spread any more. */
static inline uint64_t keys_add(uint64_t hash, uint64_t value)
{
    return (((hash << 23) | (hash >> 41)) ^ value) *
           UINT64_C(0x9e3779b97f4a7c15);
}

static inline uint64_t keys_begin(const uint64_t seed[2], enum keys_kind kind)
{
    return keys_fold(seed[0], kind);
}

static inline uint64_t keys_nil(const uint64_t seed[2])
{
    return keys_begin(seed, KEYS_NIL);
}

static inline uint64_t keys_integer(const uint64_t seed[2], uint64_t magnitude,
                                    uint64_t is_negative)
{
    return keys_fold(keys_begin(seed, KEYS_INTEGER) + is_negative, magnitude);
}

/* Reads the atom at the cursor. ERR_TRUNCATED, ERR_BADARG. */
int keys_atom(const uint64_t seed[2], struct cursor *cursor,
              uint64_t *ret_hash) MUST_USE;

/* Of one whole raw term that has no elements: no tuple, list, string, map or
 * fun. ERR_TRUNCATED, ERR_BADARG. */
int keys_leaf(const uint64_t seed[2], struct bytes raw,
              uint64_t *ret_hash) MUST_USE;

#endif
