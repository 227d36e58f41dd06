/* SPDX-License-Identifier: Apache-2.0
 * What a term from a peer may be at most. */
#ifndef QUORATE_ETF_LIMITS_H
#define QUORATE_ETF_LIMITS_H

#include <stddef.h>
#include <stdint.h>

enum {
    ETF_DEPTH_MAX = 512,          /* nested containers */
    ETF_COUNT_MAX = 8 * 1000000,  /* elements in one term, all levels */
    ETF_ATOM_CHARS_MAX = 255,     /* characters */
    ETF_ATOM_BYTES_MAX = 4 * 255, /* UTF-8 bytes */
    ETF_BIG_BYTES_MAX = 64 * 1024,
    ETF_VERSION = 131, /* first byte of every external term */
};

struct etf_limits {
    uint32_t depth_max;
    uint32_t count_max;
    size_t size_max; /* bytes of the whole term */
};

#endif
