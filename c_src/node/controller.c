/* SPDX-License-Identifier: Apache-2.0
 * The leader's work: what the log wants against what is. Level-triggered: each
 * tick looks at the registry, and whatever is not as it should be gets a
 * command, whatever was tried before. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "node/requests.h"

struct worker_note *worker_note(struct node *node, struct worker *worker)
{
    struct worker_note *note = (struct worker_note *)worker->shell;

    if (note != NULL) {
        return note;
    }
    note = map_get(&node->worker_notes, worker->name);
    if (note == NULL) {
        note = mem_alloc(sizeof(*note) + worker->name.size);
        if (note == NULL) {
            return NULL;
        }
        memcpy(note + 1, worker->name.data, worker->name.size);
        note->name = bytes_of(note + 1, worker->name.size);
        note->renewed_ms = node->now_ms;
        if (map_put(&node->worker_notes, note->name, note) != 0) {
            mem_free(note);
            return NULL;
        }
    }
    worker->shell = note;
    return note;
}

void worker_notes_close(struct node *node)
{
    struct worker_note *note;
    size_t position = 0;

    while ((note = map_next(&node->worker_notes, &position)) != NULL) {
        mem_free(note);
    }
    map_close(&node->worker_notes);
}

/* What this lease may last, by the settings of any of its members or this
 * one's. */
static uint32_t term_of(const struct node *node, const struct worker *worker)
{
    uint32_t own = node->settings->ttl_leader_ms;

    return worker->term_ms > own ? worker->term_ms : own;
}

static void expire_leases(struct node *node)
{
    const struct map *workers = &node->machine.registry.workers;
    struct worker *worker;
    size_t position = 0;

    while ((worker = map_next(workers, &position)) != NULL) {
        struct worker_note *note = worker_note(node, worker);
        struct command command = {.type = COMMAND_EXPIRE,
                                  .worker = worker->name,
                                  .lease = worker->lease,
                                  .renewed_index = worker->renewed_index};
        uint64_t since;

        if (worker->lease == 0 || note == NULL ||
            note->expire_index == worker->renewed_index) {
            continue;
        }
        /* A new leader grants a full term first. */
        since = note->renewed_ms > node->leader_since_ms
                    ? note->renewed_ms
                    : node->leader_since_ms;
        if (node->now_ms - since >= term_of(node, worker) &&
            node_log_propose(node, &command, NULL, NULL) == 0) {
            note->expire_index = worker->renewed_index;
            log_line(LOG_WARN, "lease_expires", "worker=%.*s lease=%llu",
                     (int)worker->name.size, worker->name.data,
                     (unsigned long long)worker->lease);
        }
    }
}

static uint32_t longest_term(const struct node *node)
{
    const struct map *workers = &node->machine.registry.workers;
    uint32_t longest = node->settings->ttl_leader_ms;
    const struct worker *worker;
    size_t position = 0;

    while ((worker = map_next(workers, &position)) != NULL) {
        uint32_t term = term_of(node, worker);

        longest = term > longest ? term : longest;
    }
    return longest;
}

/* What the lost members granted may be in use for a full term yet. */
static void resume(struct node *node)
{
    uint64_t held = node->machine.held_epoch;
    const struct command command = {.type = COMMAND_RESUME, .epoch = held};

    if (held != 0 && held != node->resumed_epoch &&
        node->now_ms - node->leader_since_ms >= longest_term(node) &&
        node_log_propose(node, &command, NULL, NULL) == 0) {
        node->resumed_epoch = held;
        log_line(LOG_INFO, "recovery_resumes", "epoch=%llu",
                 (unsigned long long)held);
    }
}

bool controller_is_up_to_date(const struct node *node)
{
    struct raft_entry last;

    return raft_entry_get(node->raft, node->machine.applied_index, &last) ==
               0 &&
           last.term == raft_term(node->raft);
}

void controller_tick(struct node *node)
{
    if (!node_log_is_leader(node) || !controller_is_up_to_date(node)) {
        return;
    }
    resume(node);
    expire_leases(node);
    placing_tick(node);
    conflicts_tick(node);
}

void controller_role_changed(struct node *node)
{
    struct worker_note *note;
    size_t position = 0;

    node->resumed_epoch = 0;
    while ((note = map_next(&node->worker_notes, &position)) != NULL) {
        note->expire_index = 0;
    }
}

/* The note of a worker that is gone, or NULL. */
static struct worker_note *find_stray(const struct node *node)
{
    struct worker_note *note;
    size_t position = 0;

    while ((note = map_next(&node->worker_notes, &position)) != NULL) {
        if (registry_worker(&node->machine.registry, note->name) == NULL) {
            break;
        }
    }
    return note;
}

void controller_restored(struct node *node)
{
    struct worker_note *note;
    size_t position = 0;

    while ((note = find_stray(node)) != NULL) {
        mem_free(map_remove(&node->worker_notes, note->name));
    }
    while ((note = map_next(&node->worker_notes, &position)) != NULL) {
        note->renewed_ms = node->now_ms; /* when, nobody can tell */
        note->expire_index = 0;
    }
}

void controller_event(struct node *node, const struct command_event *event)
{
    struct worker_note *note;

    if (event->type == EVENT_LEASE_GRANTED ||
        event->type == EVENT_LEASE_RENEWED) {
        note = worker_note(node, event->worker);
        if (note != NULL) {
            note->renewed_ms = node->now_ms;
        }
    } else if (event->type == EVENT_WORKER_REMOVED) {
        mem_free(map_remove(&node->worker_notes, event->worker->name));
        event->worker->shell = NULL;
    } else if (event->type == EVENT_START_FAILED) {
        placing_start_failed(node, event);
    }
}
