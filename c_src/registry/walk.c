/* SPDX-License-Identifier: Apache-2.0
 * A walk begins without touching the items: their ring changes its name, and a
 * round that is not the walk's tells those that wait. */
#include "registry/walk.h"

#include "base/ensure.h"

static void visit(struct registry_walk *walk, struct registry_item *item)
{
    list_remove(&item->link);
    list_append(&walk->seen, &item->link);
    item->round = walk->round;
    if (item->is_name) {
        walk->visit(walk->arg, NULL,
                    LIST_ENTRY(item, struct registered_name, item));
    } else {
        walk->visit(walk->arg, LIST_ENTRY(item, struct sandbox, item), NULL);
    }
}

void registry_walk_begin(struct registry *registry, registry_visit_cb *visit_cb,
                         void *arg)
{
    struct registry_walk *walk = &registry->walk;

    ensure(walk->visit == NULL);
    ensure(list_is_empty(&walk->waiting));
    list_append_all(&walk->waiting, &walk->seen);
    walk->round++;
    walk->visit = visit_cb;
    walk->arg = arg;
}

bool registry_walk_next(struct registry *registry)
{
    struct registry_walk *walk = &registry->walk;

    ensure(walk->visit != NULL);
    if (list_is_empty(&walk->waiting)) {
        walk->visit = NULL;
        return false;
    }
    visit(walk, LIST_ENTRY(walk->waiting.next, struct registry_item, link));
    return true;
}

void registry_walk_stop(struct registry *registry)
{
    struct registry_walk *walk = &registry->walk;

    walk->visit = NULL;
    list_append_all(&walk->seen, &walk->waiting);
}

void registry_walk_init(struct registry_walk *walk)
{
    *walk = (struct registry_walk){0};
    list_init(&walk->seen);
    list_init(&walk->waiting);
}

void registry_walk_born(struct registry *registry, struct registry_item *item,
                        bool is_name)
{
    item->round = registry->walk.round;
    item->is_name = is_name;
    list_append(&registry->walk.seen, &item->link);
}

void registry_walk_before_change(struct registry *registry,
                                 struct registry_item *item)
{
    struct registry_walk *walk = &registry->walk;

    if (walk->visit != NULL && item->round != walk->round) {
        visit(walk, item);
    }
}

void registry_walk_before_end(struct registry *registry,
                              struct registry_item *item)
{
    registry_walk_before_change(registry, item);
    list_remove(&item->link);
}
