/* SPDX-License-Identifier: Apache-2.0
 * A worker for each sandbox that has none: the leader's choice, and what claims
 * under way count for in it. How many at once is up to pacing.c. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "node/requests.h"
#include "placement/misfits.h"

enum {
    BACKOFF_MS = 100, /* after the first failed start; doubles */
    BACKOFF_MAX_MS = 5000,
    LOOKED_AT_A_MS = 2000, /* a fifth of what can be */
};

void placing_reserve(struct node *node, struct worker *worker,
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

void placing_unreserve(struct node *node, struct bytes worker,
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

int placing_select(struct node *node, const struct placement_request *request,
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

    placing_unreserve(node, place->worker, place->need);
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
    placing_reserve(node, worker, sandbox->need);
    node->places_in_flight++;
    rv = node_log_propose(node, &command, placed, place);
    if (rv == 0) {
        recorder_placed(node, sandbox->id, sandbox->epoch, worker);
    } else {
        node->places_in_flight--;
        placing_unreserve(node, place->worker, place->need);
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
        rv = placing_select(node, &wanted, &view);
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

struct search {
    uint32_t budget; /* how many more may be placed now */
    uint32_t looked; /* at so many */
    struct misfits misfits;
};

/* Those of one priority; false: no more can be placed now. */
static bool place_some(struct node *node, uint8_t priority,
                       struct search *search)
{
    LIST_FOREACH (item, &node->machine.registry.unplaced[priority]) {
        struct sandbox *sandbox = LIST_ENTRY(item, struct sandbox, worker_link);
        struct resources need = sandbox->need;
        struct sandbox_note *note;

        search->looked++;
        if (!is_due(node, sandbox) ||
            misfits_have(&search->misfits, need.cpu, need.memory)) {
            continue;
        }
        note = sandbox_note(sandbox);
        if (note == NULL || search->budget == 0) {
            return false;
        }
        if (place_one(node, sandbox, note) == 0) {
            search->budget--;
        } else if (!misfits_add(&search->misfits, need.cpu, need.memory)) {
            return false;
        }
    }
    return true;
}

/* What callers wait for, first and in any case. */
static void place_waited(struct node *node, struct search *search)
{
    struct list *next;

    for (struct list *item = node->pacing.waited.next;
         item != &node->pacing.waited; item = next) {
        struct sandbox_note *note =
            LIST_ENTRY(item, struct sandbox_note, pace_link);
        struct resources need = note->sandbox->need;

        next = item->next;
        search->looked++;
        if (list_is_empty(&note->waiters)) {
            pacing_leave(node, note); /* nobody waits any more */
        } else if (is_due(node, note->sandbox) &&
                   !misfits_have(&search->misfits, need.cpu, need.memory) &&
                   place_one(node, note->sandbox, note) != 0) {
            (void)misfits_add(&search->misfits, need.cpu, need.memory);
        }
    }
}

/* The highest priority first; of one priority, who waits longest. Those that do
 * not fit are passed, since those behind them may be smaller; where there are
 * very many of them, it is done less often. */
void placing_tick(struct node *node)
{
    struct search search = {.budget = 0};

    if (node->machine.registry.unplaced_count == 0 ||
        node->now_ms < node->placing_due_ms) {
        return;
    }
    place_waited(node, &search);
    search.budget = pacing_budget(node);
    for (int i = REGISTRY_PRIORITY_MAX; i >= 0 && search.budget > 0; i--) {
        if (!place_some(node, (uint8_t)i, &search)) {
            break;
        }
    }
    node->placing_due_ms = node->now_ms + search.looked / LOOKED_AT_A_MS;
}

void placing_start_failed(const struct node *node,
                          const struct command_event *event)
{
    struct sandbox_note *note = sandbox_note(event->sandbox);

    if (note != NULL) {
        note->place_after_ms = node->now_ms + backoff_ms(event->sandbox);
        note->failed_lease = event->worker != NULL ? event->worker->lease : 0;
    }
}
