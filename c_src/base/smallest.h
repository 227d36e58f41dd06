/* SPDX-License-Identifier: Apache-2.0
 * The smallest few of many byte strings: a max-heap of those kept, whose root
 * goes when a smaller one comes (Knuth, TAOCP 3, 5.2.3). Linear in the many,
 * with room for the few alone. */
#ifndef QUORATE_BASE_SMALLEST_H
#define QUORATE_BASE_SMALLEST_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stddef.h>

struct smallest_entry {
    struct bytes key;  /* borrowed */
    const void *value; /* borrowed */
};

struct smallest {
    struct smallest_entry *entries; /* owned */
    size_t count;                   /* kept so far */
    size_t count_max;               /* to be kept */
};

/* Of what is added, the `count_max` smallest are kept. ERR_NOMEM. */
int smallest_init(struct smallest *smallest, size_t count_max) MUST_USE;
void smallest_close(struct smallest *smallest);

/* Keeps it, drops it, or drops the greatest for it. Of equal keys, the first
 * ones are kept. Allocates nothing. Not after smallest_sort(). */
void smallest_add(struct smallest *smallest, struct bytes key,
                  const void *value);

/* Puts what is kept in order, the smallest first. */
void smallest_sort(struct smallest *smallest);

#endif
