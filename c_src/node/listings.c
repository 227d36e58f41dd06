/* SPDX-License-Identifier: Apache-2.0
 * Lists of sandboxes and names: the `limit` first ones after `after` that
 * match, in the order of their bytes. Whoever wants more asks again, after the
 * last. All are looked at, since no table has them in order: a list of a
 * million takes 50 to 80 ms. */
#include "api/results.h"
#include "base/smallest.h"
#include "etf/writer.h"
#include "node/requests.h"
#include "registry/copies.h"

/* Whether it is of those that were asked for. */
static bool is_listed(struct bytes key, struct bytes after,
                      const struct worker *of, struct bytes worker)
{
    return (after.size == 0 || bytes_compare(key, after) > 0) &&
           (worker.size == 0 || (of != NULL && bytes_equal(of->name, worker)));
}

/* Room for as many of `all` as may be listed. */
static bool open_list(struct smallest *found, const struct map *all,
                      uint32_t limit, struct buf *result)
{
    result->error =
        smallest_init(found, limit < all->count ? limit : all->count);
    return result->error == 0;
}

/* The head of the list of what was found, in order. */
static void begin_list(struct smallest *found, struct buf *result)
{
    smallest_sort(found);
    if (found->count > 0) {
        etf_put_list(result, (uint32_t)found->count);
    }
}

static void end_list(struct smallest *found, struct buf *result)
{
    etf_put_nil(result);
    smallest_close(found);
}

static void put_sandboxes(const struct node *node,
                          const struct api_request *api, struct buf *result)
{
    const struct map *sandboxes = &node->machine.registry.sandboxes;
    const struct sandbox *sandbox;
    struct smallest found;
    size_t position = 0;

    if (!open_list(&found, sandboxes, api->limit, result)) {
        return;
    }
    while ((sandbox = map_next(sandboxes, &position)) != NULL) {
        if (is_listed(sandbox->id, api->after, sandbox->worker, api->worker)) {
            smallest_add(&found, sandbox->id, sandbox);
        }
    }
    begin_list(&found, result);
    for (size_t i = 0; i < found.count; i++) {
        results_put_sandbox(result, found.entries[i].value);
    }
    end_list(&found, result);
}

static void put_names(const struct node *node, const struct api_request *api,
                      struct buf *result)
{
    const struct map *names = &node->machine.registry.names;
    const struct registered_name *name;
    struct smallest found;
    size_t position = 0;

    if (!open_list(&found, names, api->limit, result)) {
        return;
    }
    while ((name = map_next(names, &position)) != NULL) {
        if (is_listed(name->name, api->name, name->worker, api->worker)) {
            smallest_add(&found, name->name, name);
        }
    }
    begin_list(&found, result);
    for (size_t i = 0; i < found.count; i++) {
        results_put_name(result, found.entries[i].value);
    }
    end_list(&found, result);
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
