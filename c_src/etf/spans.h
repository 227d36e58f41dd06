/* SPDX-License-Identifier: Apache-2.0
 * Where long terms within a term end: the validator has seen it, and whoever
 * walks over the term later need not walk through them again. */
#ifndef QUORATE_ETF_SPANS_H
#define QUORATE_ETF_SPANS_H

#include "base/bytes.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    ETF_SPANS_MAX = 16,       /* the first ones to end; the others are walked */
    ETF_SPAN_MIN = 64 * 1024, /* bytes of a container that is noted */
    ETF_SPAN_DEPTH_MAX = 5,   /* deeper ones are not: an argument is not */
};

struct etf_spans {
    const uint8_t *base; /* the term's first byte; NULL: none is found */
    uint32_t count;
    struct etf_span {
        size_t begin; /* offset of its tag */
        size_t size;
    } spans[ETF_SPANS_MAX];
};

static inline void etf_spans_add(struct etf_spans *spans, size_t begin,
                                 size_t size)
{
    if (size >= ETF_SPAN_MIN && spans->count < ETF_SPANS_MAX) {
        spans->spans[spans->count++] =
            (struct etf_span){.begin = begin, .size = size};
    }
}

/* Whether the term that begins at `term` is among them; all of it then. */
static inline bool etf_spans_find(const struct etf_spans *spans,
                                  const uint8_t *term, struct bytes *ret_raw)
{
    for (uint32_t i = 0; spans->base != NULL && i < spans->count; i++) {
        const struct etf_span *span = &spans->spans[i];

        if (spans->base + span->begin == term) {
            *ret_raw = bytes_of(term, span->size);
            return true;
        }
    }
    return false;
}

#endif
