/* SPDX-License-Identifier: Apache-2.0
 * A binary min-heap of intrusive nodes ordered by a 64-bit key (a deadline).
 * Knuth, TAOCP 3, 5.2.3. */
#ifndef QUORATE_BASE_HEAP_H
#define QUORATE_BASE_HEAP_H

#include "base/attr.h"

#include <stddef.h>
#include <stdint.h>

struct heap_node {
    uint64_t key;    /* smallest first; unchanged while in the heap */
    size_t position; /* where it is, from 1; 0: in no heap */
};

struct heap {
    struct heap_node **nodes; /* owned array of borrowed nodes; 1-based */
    size_t count;             /* nodes */
    size_t capacity;          /* slots in the array */
    size_t count_max;         /* limit on nodes */
};

/* An empty heap for at most `count_max` nodes. Allocates nothing. */
void heap_init(struct heap *heap, size_t count_max);
void heap_close(struct heap *heap); /* NULL is allowed; nodes are untouched */

/* Adds a node that is in no heap. ERR_LIMIT, ERR_NOMEM. */
int heap_put(struct heap *heap, struct heap_node *node) MUST_USE;

/* Takes a node out; one that is in no heap is left alone. */
void heap_remove(struct heap *heap, struct heap_node *node);

/* The node with the smallest key, or NULL. */
struct heap_node *heap_first(const struct heap *heap);

#endif
