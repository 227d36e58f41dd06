/* SPDX-License-Identifier: Apache-2.0
 * What is to happen, as a heap by time and order. */
#include "sim/cluster_internal.h"

#include <stdlib.h>
#include <string.h>

void *cluster_must(void *memory)
{
    if (memory == NULL) {
        abort();
    }
    return memory;
}

uint8_t *cluster_copy(struct bytes bytes)
{
    uint8_t *copy = cluster_must(malloc(bytes.size + 1));

    if (bytes.size > 0) {
        memcpy(copy, bytes.data, bytes.size);
    }
    return copy;
}

static bool is_before(const struct cluster_event *a,
                      const struct cluster_event *b)
{
    return a->time_ms < b->time_ms ||
           (a->time_ms == b->time_ms && a->order < b->order);
}

static void swap_events(struct cluster_event *a, struct cluster_event *b)
{
    struct cluster_event copy = *a;

    *a = *b;
    *b = copy;
}

void event_push(struct cluster *cluster, struct cluster_event event)
{
    size_t place = cluster->event_count;

    if (cluster->event_count == cluster->event_capacity) {
        cluster->event_capacity = cluster->event_capacity * 2 + 256;
        cluster->events = cluster_must(
            realloc(cluster->events,
                    cluster->event_capacity * sizeof(*cluster->events)));
    }
    event.order = cluster->event_order++;
    cluster->events[place] = event;
    cluster->event_count++;
    while (place > 0) {
        size_t parent = (place - 1) / 2;

        if (!is_before(&cluster->events[place], &cluster->events[parent])) {
            break;
        }
        swap_events(&cluster->events[place], &cluster->events[parent]);
        place = parent;
    }
}

struct cluster_event event_pop(struct cluster *cluster)
{
    struct cluster_event first = cluster->events[0];
    size_t place = 0;

    cluster->event_count--;
    cluster->events[0] = cluster->events[cluster->event_count];
    for (;;) {
        size_t child = place * 2 + 1;

        if (child >= cluster->event_count) {
            break;
        }
        if (child + 1 < cluster->event_count &&
            is_before(&cluster->events[child + 1], &cluster->events[child])) {
            child++;
        }
        if (!is_before(&cluster->events[child], &cluster->events[place])) {
            break;
        }
        swap_events(&cluster->events[child], &cluster->events[place]);
        place = child;
    }
    return first;
}
