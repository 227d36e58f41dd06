/* SPDX-License-Identifier: Apache-2.0
 * An intrusive doubly linked ring. The head is a node too; an unlinked node
 * points at itself, so list_remove() may be called twice. */
#ifndef QUORATE_BASE_LIST_H
#define QUORATE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list {
    struct list *next;
    struct list *prev;
};

/* The structure of type `type` whose member `member` is at `node`. */
#define LIST_ENTRY(node, type, member) \
    ((type *)(void *)((char *)(node)-offsetof(type, member)))

/* Walks the ring; the current node must not be removed meanwhile. */
#define LIST_FOREACH(node, head)                                \
    for (struct list * (node) = (head)->next; (node) != (head); \
         (node) = (node)->next)

static inline void list_init(struct list *node)
{
    node->next = node;
    node->prev = node;
}

static inline bool list_is_empty(const struct list *head)
{
    return head->next == head;
}

static inline void list_append(struct list *head, struct list *node)
{
    node->prev = head->prev;
    node->next = head;
    head->prev->next = node;
    head->prev = node;
}

static inline void list_remove(struct list *node)
{
    node->prev->next = node->next;
    node->next->prev = node->prev;
    list_init(node);
}

/* Removes and returns the first node, or NULL. */
static inline struct list *list_take_first(struct list *head)
{
    struct list *node = head->next;

    if (node == head) {
        return NULL;
    }
    list_remove(node);
    return node;
}

/* Moves all nodes of `from` to the end of `to`. */
static inline void list_append_all(struct list *to, struct list *from)
{
    if (list_is_empty(from)) {
        return;
    }
    from->next->prev = to->prev;
    to->prev->next = from->next;
    from->prev->next = to;
    to->prev = from->prev;
    list_init(from);
}

#endif
