/* SPDX-License-Identifier: Apache-2.0 */
#include "registry/rings.h"

#include "base/err.h"
#include "base/mem.h"

#include <stdlib.h>

struct place {
    uint64_t order;
    struct registry_item *item;
};

static int compare_places(const void *a, const void *b)
{
    uint64_t left = ((const struct place *)a)->order;
    uint64_t right = ((const struct place *)b)->order;

    return left < right ? -1 : left > right;
}

static int join_worker(struct sandbox *sandbox)
{
    struct worker *worker = sandbox->worker;

    if (sandbox->need.cpu > UINT32_MAX - worker->committed.cpu ||
        sandbox->need.memory > UINT32_MAX - worker->committed.memory) {
        return ERR_MALFORMED;
    }
    worker->committed.cpu += sandbox->need.cpu;
    worker->committed.memory += sandbox->need.memory;
    worker->sandbox_count++;
    list_append(&worker->sandboxes, &sandbox->worker_link);
    return 0;
}

static int join(struct registry *registry, struct registry_item *item)
{
    struct registered_name *name;
    struct sandbox *sandbox;

    if (item->is_name) {
        name = LIST_ENTRY(item, struct registered_name, item);
        list_append(&name->worker->names, &name->worker_link);
        return 0;
    }
    sandbox = LIST_ENTRY(item, struct sandbox, item);
    if (sandbox->worker != NULL) {
        return join_worker(sandbox);
    }
    list_append(&registry->unplaced[sandbox->priority], &sandbox->worker_link);
    registry->unplaced_count++;
    return 0;
}

/* Those that belong into a ring; gives how many. */
static size_t collect(const struct registry *registry, struct place *places)
{
    size_t count = 0;

    LIST_FOREACH (link, &registry->walk.seen) {
        struct registry_item *item =
            LIST_ENTRY(link, struct registry_item, link);
        uint64_t order =
            item->is_name
                ? LIST_ENTRY(item, struct registered_name, item)->ring_order
                : LIST_ENTRY(item, struct sandbox, item)->ring_order;

        if (order != 0) {
            places[count++] = (struct place){.order = order, .item = item};
        }
    }
    return count;
}

int registry_join_rings(struct registry *registry)
{
    size_t count = registry->sandboxes.count + registry->names.count;
    struct place *places = mem_alloc_array(count, sizeof(*places));
    uint64_t order = 0;
    int rv = 0;

    if (places == NULL) {
        return ERR_NOMEM;
    }
    count = collect(registry, places);
    qsort(places, count, sizeof(*places), compare_places);
    for (size_t i = 0; i < count && rv == 0; i++) {
        if (places[i].order == order ||
            places[i].order > registry->ring_order_last) {
            rv = ERR_MALFORMED;
        } else {
            order = places[i].order;
            rv = join(registry, places[i].item);
        }
    }
    mem_free(places);
    return rv;
}
