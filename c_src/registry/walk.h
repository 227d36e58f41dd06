/* SPDX-License-Identifier: Apache-2.0
 * A walk over all sandboxes and names as they are at its start, a step at a
 * time, while the tables go on changing: what is about to change or to go, and
 * was not seen yet, is visited first; what is born later is not visited.
 *
 *   begin: all wait ──next, change, end──> seen      born ──> seen
 *
 * Workers are not part of it: they are few, and visited at the start. */
#ifndef QUORATE_REGISTRY_WALK_H
#define QUORATE_REGISTRY_WALK_H

#include "registry/registry.h"

/* Begins one; none may be under way. `visit` is called by the functions below
 * and by those of tables.h, and changes nothing. */
void registry_walk_begin(struct registry *registry, registry_visit_cb *visit,
                         void *arg);

/* Visits one more. False: all were; the walk is over. */
bool registry_walk_next(struct registry *registry);

/* Ends the walk early; nothing if there is none. */
void registry_walk_stop(struct registry *registry);

/* For tables.c. */
void registry_walk_init(struct registry_walk *walk);
void registry_walk_born(struct registry *registry, struct registry_item *item,
                        bool is_name);
void registry_walk_before_change(struct registry *registry,
                                 struct registry_item *item);
void registry_walk_before_end(struct registry *registry,
                              struct registry_item *item);

#endif
