/* SPDX-License-Identifier: Apache-2.0
 * The leader's work: what the log wants against what is. Level-triggered: each
 * tick looks at the registry, and whatever is not as it should be gets a
 * command, whatever was tried before. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "node/requests.h"

enum {
    MISFITS_A_TICK_MAX = 256, /* that no worker could take */
    BACKOFF_MS = 100,         /* after the first failed start; doubles */
    BACKOFF_MAX_MS = 5000,
};

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

void controller_reserve(struct node *node, struct worker *worker,
                        struct resources need)
{
    struct worker_note *note = worker_note(node, worker);

    if (note != NULL) {
        note->reserved.cpu += need.cpu;
        note->reserved.memory += need.memory;
        note->reserved_count++;
    }
}

static uint32_t less(uint32_t from, uint32_t amount)
{
    return from > amount ? from - amount : 0;
}

void controller_unreserve(struct node *node, struct bytes worker,
                          struct resources need)
{
    struct worker_note *note = map_get(&node->worker_notes, worker);

    if (note != NULL) {
        note->reserved.cpu = less(note->reserved.cpu, need.cpu);
        note->reserved.memory = less(note->reserved.memory, need.memory);
        note->reserved_count = less(note->reserved_count, 1);
    }
}

/* Arrays for all workers, kept from one selection to the next. */
static int view_room(struct node *node, size_t count)
{
    struct placement_view *view = &node->view;
    void *candidates;
    void *names;
    void *workers;

    if (count <= node->view_capacity) {
        return 0;
    }
    count *= 2;
    candidates =
        mem_realloc(view->candidates, count * sizeof(*view->candidates));
    view->candidates = candidates != NULL ? candidates : view->candidates;
    names = mem_realloc(view->names, count * sizeof(*view->names));
    view->names = names != NULL ? names : view->names;
    workers = mem_realloc(view->workers, count * sizeof(struct worker *));
    view->workers = workers != NULL ? workers : view->workers;
    if (candidates == NULL || names == NULL || workers == NULL) {
        return ERR_NOMEM;
    }
    node->view_capacity = count;
    return 0;
}

static void describe(struct node *node, struct worker *worker,
                     struct placement_candidate *candidate)
{
    const struct worker_note *note = worker_note(node, worker);

    *candidate = (struct placement_candidate){
        .cpu_capacity = worker->capacity.cpu,
        .memory_capacity = worker->capacity.memory,
        .cpu_committed = worker->committed.cpu,
        .memory_committed = worker->committed.memory,
        .sandboxes = worker->sandbox_count,
        .sandboxes_max = worker->sandboxes_max,
        .is_ready = worker->lease != 0,
    };
    if (note != NULL) {
        candidate->cpu_committed += note->reserved.cpu;
        candidate->memory_committed += note->reserved.memory;
        candidate->sandboxes += note->reserved_count;
        candidate->cpu_load_permille = note->cpu_load_permille;
        candidate->memory_load_permille = note->memory_load_permille;
    }
}

/* But not the worker that has this lease; 0: any. */
static int select_other(struct node *node,
                        const struct placement_request *request, uint64_t lease,
                        struct placement_view *ret_view)
{
    const struct map *workers = &node->machine.registry.workers;
    struct placement_view *view = &node->view;
    struct worker *worker;
    size_t position = 0;
    int rv = view_room(node, workers->count + 1);

    if (rv != 0) {
        return rv;
    }
    view->count = 0;
    while ((worker = map_next(workers, &position)) != NULL) {
        describe(node, worker, &view->candidates[view->count]);
        view->candidates[view->count].is_excluded =
            lease != 0 && worker->lease == lease;
        view->names[view->count] = worker->name;
        view->workers[view->count] = worker;
        view->count++;
    }
    rv = placement_select(view->candidates, view->count, request, &node->rng,
                          &view->chosen);
    *ret_view = *view;
    return rv;
}

int controller_select(struct node *node,
                      const struct placement_request *request,
                      struct placement_view *ret_view)
{
    return select_other(node, request, 0, ret_view);
}

/* What a proposal to place needs when it comes back. */
struct place {
    uint64_t epoch;  /* the ownership that it replaces */
    struct bytes id; /* behind the structure, then the worker's name */
    struct bytes worker;
    struct resources need;
};

static void placed(struct node *node, void *arg,
                   const struct command_result *result)
{
    struct place *place = (struct place *)arg;
    struct sandbox *sandbox =
        registry_sandbox(&node->machine.registry, place->id);

    controller_unreserve(node, place->worker, place->need);
    ensure(node->places_in_flight > 0);
    node->places_in_flight--;
    if (sandbox != NULL && sandbox->shell != NULL &&
        (result == NULL || result->rv != 0)) {
        struct sandbox_note *note = (struct sandbox_note *)sandbox->shell;

        if (note->placing_epoch == place->epoch) {
            note->placing_epoch = 0;
        }
    }
    mem_free(place);
}

static int propose_place(struct node *node, struct sandbox *sandbox,
                         struct worker *worker)
{
    size_t size = sandbox->id.size + worker->name.size;
    struct place *place = mem_alloc(sizeof(*place) + size);
    uint8_t *text;
    const struct command command = {.type = COMMAND_PLACE,
                                    .worker = worker->name,
                                    .lease = worker->lease,
                                    .id = sandbox->id,
                                    .epoch = sandbox->epoch};
    int rv;

    if (place == NULL) {
        return ERR_NOMEM;
    }
    text = (uint8_t *)(place + 1);
    memcpy(text, sandbox->id.data, sandbox->id.size);
    memcpy(text + sandbox->id.size, worker->name.data, worker->name.size);
    place->id = bytes_of(text, sandbox->id.size);
    place->worker = bytes_of(text + sandbox->id.size, worker->name.size);
    place->epoch = sandbox->epoch;
    place->need = sandbox->need;
    controller_reserve(node, worker, sandbox->need);
    node->places_in_flight++;
    rv = node_log_propose(node, &command, placed, place);
    if (rv == 0) {
        recorder_placed(node, sandbox->id, sandbox->epoch, worker);
    } else {
        node->places_in_flight--;
        controller_unreserve(node, place->worker, place->need);
        mem_free(place);
    }
    return rv;
}

static uint64_t backoff_ms(const struct sandbox *sandbox)
{
    uint64_t ms = BACKOFF_MS;

    for (uint8_t i = 1; i < sandbox->failures && ms < BACKOFF_MAX_MS; i++) {
        ms *= 2;
    }
    return ms < BACKOFF_MAX_MS ? ms : BACKOFF_MAX_MS;
}

/* Elsewhere than where the last start failed, if anybody else can take it. */
static int place_one(struct node *node, struct sandbox *sandbox,
                     struct sandbox_note *note)
{
    struct placement_request wanted = {.cpu = sandbox->need.cpu,
                                       .memory = sandbox->need.memory,
                                       .profile = PLACEMENT_SPREAD};
    struct placement_view view;
    int rv = select_other(node, &wanted, note->failed_lease, &view);

    if (rv != 0 && note->failed_lease != 0) {
        rv = controller_select(node, &wanted, &view);
    }
    if (rv != 0) {
        return rv;
    }
    if (propose_place(node, sandbox, view.workers[view.chosen]) == 0) {
        note->placing_epoch = sandbox->epoch;
        note->placing_term = raft_term(node->raft);
    }
    return 0;
}

/* What was proposed in another term is settled by the log alone. */
static bool is_being_placed(const struct node *node,
                            const struct sandbox_note *note)
{
    return note->placing_epoch == note->sandbox->epoch &&
           note->placing_term == raft_term(node->raft);
}

static bool is_due(const struct node *node, const struct sandbox *sandbox)
{
    const struct sandbox_note *note =
        (const struct sandbox_note *)sandbox->shell;

    return note == NULL || (!is_being_placed(node, note) &&
                            note->place_after_ms <= node->now_ms);
}

/* Those of one priority; false: no more can be placed now. */
static bool place_some(struct node *node, uint8_t priority, uint32_t *budget,
                       uint32_t *misfits)
{
    LIST_FOREACH (item, &node->machine.registry.unplaced) {
        struct sandbox *sandbox = LIST_ENTRY(item, struct sandbox, worker_link);
        struct sandbox_note *note;

        if (sandbox->priority != priority || !is_due(node, sandbox)) {
            continue;
        }
        note = sandbox_note(sandbox);
        if (note == NULL || *budget == 0 || *misfits >= MISFITS_A_TICK_MAX) {
            return false;
        }
        /* Those behind it may be smaller, so a misfit ends nothing. */
        if (place_one(node, sandbox, note) != 0) {
            *misfits += 1;
        } else {
            *budget -= 1;
        }
    }
    return true;
}

/* The highest priority first; of one priority, who waits longest. */
static void place_unplaced(struct node *node)
{
    uint32_t budget =
        node->machine.registry.unplaced_count == 0 ? 0 : pacing_budget(node);
    uint32_t priorities = 0;
    uint32_t misfits = 0;

    if (budget == 0) {
        return;
    }
    LIST_FOREACH (item, &node->machine.registry.unplaced) {
        const struct sandbox *sandbox =
            LIST_ENTRY(item, struct sandbox, worker_link);

        priorities |= is_due(node, sandbox) ? 1U << sandbox->priority : 0;
    }
    for (int i = REGISTRY_PRIORITY_MAX; i >= 0; i--) {
        if ((priorities & 1U << i) != 0 &&
            !place_some(node, (uint8_t)i, &budget, &misfits)) {
            return;
        }
    }
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
    place_unplaced(node);
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
        struct sandbox_note *failed = sandbox_note(event->sandbox);

        if (failed != NULL) {
            failed->place_after_ms = node->now_ms + backoff_ms(event->sandbox);
            failed->failed_lease =
                event->worker != NULL ? event->worker->lease : 0;
        }
    }
}
