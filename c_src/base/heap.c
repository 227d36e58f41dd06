/* SPDX-License-Identifier: Apache-2.0 */
#include "base/heap.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"

enum { CAPACITY_MIN = 16 };

void heap_init(struct heap *heap, size_t count_max)
{
    *heap = (struct heap){.count_max = count_max};
}

void heap_close(struct heap *heap)
{
    if (heap != NULL) {
        mem_free(heap->nodes);
        heap_init(heap, heap->count_max);
    }
}

static void place(struct heap *heap, struct heap_node *node, size_t position)
{
    heap->nodes[position] = node;
    node->position = position;
}

static void sift_up(struct heap *heap, struct heap_node *node)
{
    size_t position = node->position;

    while (position > 1 && heap->nodes[position / 2]->key > node->key) {
        place(heap, heap->nodes[position / 2], position);
        position /= 2;
    }
    place(heap, node, position);
}

static void sift_down(struct heap *heap, struct heap_node *node)
{
    size_t position = node->position;

    for (;;) {
        size_t child = position * 2;

        if (child > heap->count) {
            break;
        }
        if (child < heap->count &&
            heap->nodes[child + 1]->key < heap->nodes[child]->key) {
            child++;
        }
        if (heap->nodes[child]->key >= node->key) {
            break;
        }
        place(heap, heap->nodes[child], position);
        position = child;
    }
    place(heap, node, position);
}

int heap_put(struct heap *heap, struct heap_node *node)
{
    ensure(node->position == 0);
    if (heap->count >= heap->count_max) {
        return ERR_LIMIT;
    }
    if (heap->count + 1 >= heap->capacity) {
        size_t capacity =
            heap->capacity == 0 ? CAPACITY_MIN : heap->capacity * 2;
        void *nodes =
            mem_realloc(heap->nodes, capacity * sizeof(struct heap_node *));

        if (nodes == NULL) {
            return ERR_NOMEM;
        }
        heap->nodes = nodes;
        heap->capacity = capacity;
    }
    heap->count++;
    place(heap, node, heap->count);
    sift_up(heap, node);
    return 0;
}

void heap_remove(struct heap *heap, struct heap_node *node)
{
    struct heap_node *last;
    size_t position = node->position;

    if (position == 0) {
        return;
    }
    ensure(position <= heap->count);
    ensure(heap->nodes[position] == node);
    last = heap->nodes[heap->count];
    heap->count--;
    node->position = 0;
    if (last == node) {
        return;
    }
    place(heap, last, position);
    sift_up(heap, last);
    sift_down(heap, last);
}

struct heap_node *heap_first(const struct heap *heap)
{
    return heap->count == 0 ? NULL : heap->nodes[1];
}
