/* SPDX-License-Identifier: Apache-2.0
 * How many sandboxes of lost workers are started at once. Agents and the log
 * serve first what comes first, so whatever is under way is what a new request
 * waits for: ten thousand at once would hold it up for seconds.
 *
 * Counted are starts that are young: one that takes longer is waiting for
 * something of its own, and holds up nobody. While sandboxes are created, five
 * that are to run again go beside eight of these, which leaves these more than
 * half of their rate; otherwise as many as keep the workers busy.
 *
 * What somebody waits for is not held back: a creation whose worker was lost
 * would have to wait for all that this worker had before. */
#include "base/ensure.h"
#include "node/requests.h"

enum {
    YOUNG_MS = 200,      /* a start counts for so long at most */
    CREATING_MS = 1000,  /* since the last creation: others are expected */
    SLOW_MS = 10000,     /* a creation counts for so long at most */
    BESIDE_CREATING = 5, /* at once, for each worker */
    ALONE = 64,          /* the same, while nothing is created */
    IN_ALL_MAX = 512,
};

void pacing_init(struct node *node)
{
    list_init(&node->pacing.fresh);
    list_init(&node->pacing.moved);
    list_init(&node->pacing.waited);
}

static void leave(struct node *node, struct sandbox_note *note)
{
    uint32_t *count = note->pacing_ring == PACING_MOVED
                          ? &node->pacing.moved_count
                          : &node->pacing.fresh_count;

    if (list_is_empty(&note->pace_link)) {
        return;
    }
    list_remove(&note->pace_link);
    if (note->pacing_ring != PACING_WAITED) {
        ensure(*count > 0);
        *count -= 1;
    }
}

void pacing_leave(struct node *node, struct sandbox_note *note)
{
    leave(node, note);
}

static void leave_until(struct node *node, struct list *ring, uint64_t from_ms)
{
    while (!list_is_empty(ring)) {
        struct sandbox_note *note =
            LIST_ENTRY(ring->next, struct sandbox_note, pace_link);

        if (note->paced_ms > from_ms) {
            return; /* the oldest are first */
        }
        leave(node, note);
    }
}

void pacing_leave_all(struct node *node)
{
    leave_until(node, &node->pacing.fresh, UINT64_MAX);
    leave_until(node, &node->pacing.moved, UINT64_MAX);
    leave_until(node, &node->pacing.waited, UINT64_MAX);
}

static void join(struct node *node, struct sandbox *sandbox)
{
    struct sandbox_note *note = sandbox_note(sandbox);
    struct pacing *pacing = &node->pacing;

    if (note == NULL) {
        return; /* then one more is started at once */
    }
    leave(node, note);
    note->paced_ms = node->now_ms;
    if (sandbox->birth != sandbox->epoch) {
        note->pacing_ring = PACING_MOVED;
        pacing->moved_count++;
        list_append(&pacing->moved, &note->pace_link);
    } else {
        note->pacing_ring = PACING_FRESH;
        pacing->fresh_count++;
        pacing->created_ms = node->now_ms;
        list_append(&pacing->fresh, &note->pace_link);
    }
}

void pacing_event(struct node *node, const struct command_event *event)
{
    struct sandbox *sandbox = event->sandbox;

    if (sandbox == NULL) {
        return;
    }
    if (event->type == EVENT_CLAIMED) {
        if (node_log_is_leader(node)) {
            join(node, sandbox);
        }
    } else if (sandbox->shell != NULL) {
        struct sandbox_note *note = (struct sandbox_note *)sandbox->shell;

        leave(node, note);
        if (sandbox->status == SANDBOX_UNPLACED &&
            !list_is_empty(&note->waiters)) {
            note->pacing_ring = PACING_WAITED;
            note->paced_ms = node->now_ms;
            list_append(&node->pacing.waited, &note->pace_link);
        }
    }
}

static uint32_t ready_workers(const struct node *node)
{
    const struct map *workers = &node->machine.registry.workers;
    const struct worker *worker;
    size_t position = 0;
    uint32_t count = 0;

    while ((worker = map_next(workers, &position)) != NULL) {
        count += worker->lease != 0;
    }
    return count;
}

static uint64_t before(const struct node *node, uint64_t ms)
{
    return node->now_ms > ms ? node->now_ms - ms : 0;
}

uint32_t pacing_budget(struct node *node)
{
    struct pacing *pacing = &node->pacing;
    uint32_t under_way;
    uint32_t limit;
    bool is_alone;

    leave_until(node, &pacing->fresh, before(node, SLOW_MS));
    leave_until(node, &pacing->moved, before(node, YOUNG_MS));
    is_alone = pacing->fresh_count == 0 &&
               pacing->created_ms <= before(node, CREATING_MS);
    limit = ready_workers(node) * (is_alone ? ALONE : BESIDE_CREATING);
    if (limit < pacing->fresh_count * 5 / 8) {
        limit = pacing->fresh_count * 5 / 8;
    }
    if (limit > IN_ALL_MAX) {
        limit = IN_ALL_MAX;
    }
    under_way = node->places_in_flight + pacing->moved_count;
    return limit > under_way ? limit - under_way : 0;
}
