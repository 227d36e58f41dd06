/* SPDX-License-Identifier: Apache-2.0
 * Lists of sandboxes and names: the `limit` first ones after `after` that
 * match, in the order of their bytes. Whoever wants more asks again, after the
 * last. */
#include "api/results.h"
#include "base/err.h"
#include "base/mem.h"
#include "etf/writer.h"
#include "node/requests.h"
#include "registry/copies.h"

#include <stdlib.h>

struct listed {
    struct bytes key;
    const void *record;
};

struct listing {
    struct listed *found;
    size_t count;
    struct bytes after;  /* empty: from the first one */
    struct bytes worker; /* empty: of any */
};

static int by_key(const void *a, const void *b)
{
    const struct listed *left = a;
    const struct listed *right = b;

    return bytes_compare(left->key, right->key);
}

static bool listing_open(struct listing *listing, size_t count_max,
                         struct bytes after, struct bytes worker,
                         struct buf *result)
{
    *listing = (struct listing){
        .found = mem_alloc_array(count_max, sizeof(struct listed)),
        .after = after,
        .worker = worker};
    if (listing->found == NULL) {
        result->error = ERR_NOMEM;
        return false;
    }
    return true;
}

static void listing_add(struct listing *listing, struct bytes key,
                        const struct worker *worker, const void *record)
{
    if ((listing->after.size == 0 || bytes_compare(key, listing->after) > 0) &&
        (listing->worker.size == 0 ||
         (worker != NULL && bytes_equal(worker->name, listing->worker)))) {
        listing->found[listing->count++] =
            (struct listed){.key = key, .record = record};
    }
}

/* How many there are; the head of the list of them is in the result. */
static size_t listing_begin(struct listing *listing, uint32_t limit,
                            struct buf *result)
{
    size_t count = listing->count < limit ? listing->count : limit;

    qsort(listing->found, listing->count, sizeof(*listing->found), by_key);
    if (count > 0) {
        etf_put_list(result, (uint32_t)count);
    }
    return count;
}

static void listing_end(struct listing *listing, struct buf *result)
{
    etf_put_nil(result);
    mem_free(listing->found);
}

static void put_sandboxes(const struct node *node,
                          const struct api_request *api, struct buf *result)
{
    const struct map *sandboxes = &node->machine.registry.sandboxes;
    const struct sandbox *sandbox;
    struct listing listing;
    size_t position = 0;
    size_t count;

    if (!listing_open(&listing, sandboxes->count, api->after, api->worker,
                      result)) {
        return;
    }
    while ((sandbox = map_next(sandboxes, &position)) != NULL) {
        listing_add(&listing, sandbox->id, sandbox->worker, sandbox);
    }
    count = listing_begin(&listing, api->limit, result);
    for (size_t i = 0; i < count; i++) {
        results_put_sandbox(result, listing.found[i].record);
    }
    listing_end(&listing, result);
}

static void put_names(const struct node *node, const struct api_request *api,
                      struct buf *result)
{
    const struct map *names = &node->machine.registry.names;
    const struct registered_name *name;
    struct listing listing;
    size_t position = 0;
    size_t count;

    if (!listing_open(&listing, names->count, api->name, api->worker, result)) {
        return;
    }
    while ((name = map_next(names, &position)) != NULL) {
        listing_add(&listing, name->name, name->worker, name);
    }
    count = listing_begin(&listing, api->limit, result);
    for (size_t i = 0; i < count; i++) {
        results_put_name(result, listing.found[i].record);
    }
    listing_end(&listing, result);
}

/* Of all sandboxes or of one, the oldest first. */
static void put_conflicts(const struct node *node,
                          const struct api_request *api, struct buf *result)
{
    const struct registry *registry = &node->machine.registry;

    LIST_FOREACH (link, &registry->copies) {
        const struct copy *copy = LIST_ENTRY(link, struct copy, link);

        if (api->id.size == 0 || bytes_equal(api->id, copy->id)) {
            etf_put_list(result, 1);
            results_put_conflict(result, copy);
        }
    }
    etf_put_nil(result);
}

void listings_put(const struct node *node, const struct api_request *api,
                  struct buf *result)
{
    if (api->type == API_NAMES) {
        put_names(node, api, result);
    } else if (api->type != API_SANDBOXES) {
        put_conflicts(node, api, result);
    } else {
        put_sandboxes(node, api, result);
    }
}
