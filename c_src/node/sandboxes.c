/* SPDX-License-Identifier: Apache-2.0
 * Calls that change sandboxes, on the leader: create waits until the sandbox
 * runs (or will not), stop until it is forgotten. */
#include "api/results.h"
#include "base/err.h"
#include "base/mem.h"
#include "node/requests.h"

enum { CLAIM_ATTEMPTS_MAX = 4 };

struct sandbox_note *sandbox_note(struct sandbox *sandbox)
{
    struct sandbox_note *note = (struct sandbox_note *)sandbox->shell;

    if (note == NULL) {
        note = mem_alloc(sizeof(*note));
        if (note != NULL) {
            note->sandbox = sandbox;
            list_init(&note->waiters);
            list_init(&note->order_link);
            list_init(&note->pace_link);
            sandbox->shell = note;
        }
    }
    return note;
}

void sandbox_note_free(struct node *node, struct sandbox *sandbox)
{
    struct sandbox_note *note = (struct sandbox_note *)sandbox->shell;

    if (note != NULL) {
        struct list *first;

        while ((first = list_take_first(&note->waiters)) != NULL) {
            request_fail(node, LIST_ENTRY(first, struct request, queue),
                         ERR_TIMEOUT);
        }
        list_remove(&note->order_link);
        pacing_leave(node, note);
        mem_free(note);
        sandbox->shell = NULL;
    }
}

void sandboxes_wait(struct node *node, struct request *request,
                    struct sandbox *sandbox)
{
    struct sandbox_note *note = sandbox_note(sandbox);

    if (note == NULL) {
        request_fail(node, request, ERR_NOMEM);
        return;
    }
    request->waits_for_sandbox = true;
    list_append(&note->waiters, &request->queue);
}

void sandboxes_leave(struct node *node)
{
    struct list waiters;
    struct list *first;
    struct request *request;
    size_t position = 0;

    list_init(&waiters);
    while ((request = map_next(&node->requests, &position)) != NULL) {
        if (request->waits_for_sandbox) {
            list_remove(&request->queue);
            list_append(&waiters, &request->queue);
        }
    }
    while ((first = list_take_first(&waiters)) != NULL) {
        request_fail(node, LIST_ENTRY(first, struct request, queue),
                     ERR_TIMEOUT);
    }
}

static void claim_again(struct node *node, struct request *request);

/* What a proposal needs when it comes back; the request may be gone then. */
struct claim {
    uint64_t request_number;
    struct bytes worker; /* behind the structure */
    struct resources need;
};

static void claim_applied(struct node *node, void *arg,
                          const struct command_result *result)
{
    struct claim *claim = (struct claim *)arg;
    struct request *request = requests_find(node, claim->request_number);

    placing_unreserve(node, claim->worker, claim->need);
    mem_free(claim);
    if (request == NULL) {
        return;
    }
    if (result == NULL) {
        request_again(node, request);
    } else if (result->rv == ERR_CLOSED || result->rv == ERR_BUSY ||
               result->rv == ERR_NO_CAPACITY) {
        claim_again(node, request);
    } else {
        sandboxes_claimed(node, request, result);
    }
}

size_t sandboxes_choose_replicas(const struct node *node,
                                 const struct api_request *api,
                                 uint64_t *chosen)
{
    const struct raft_membership *now = raft_membership(node->raft);
    uint64_t leaving = growing_leaving(node);
    uint64_t ids[RAFT_VOTERS_MAX];
    uint32_t count = 0;
    size_t wanted;

    for (uint32_t i = 0; i < now->voter_count; i++) {
        if (now->voters[i] != leaving) {
            ids[count++] = now->voters[i];
        }
    }
    wanted = api->rf < count ? api->rf : count;
    placement_replicas(api->id.data, api->id.size, ids, count, wanted, chosen);
    return wanted;
}

struct command sandboxes_claim(const struct node *node,
                               const struct api_request *api,
                               struct bytes worker, uint64_t lease)
{
    struct command command = {.type = COMMAND_CLAIM,
                              .worker = worker,
                              .lease = lease,
                              .id = api->id,
                              .spec = api->spec,
                              .options = api->options,
                              .need = api->resources,
                              .priority = api->priority};

    command.replica_count =
        (uint8_t)sandboxes_choose_replicas(node, api, command.replicas);
    return command;
}

static int propose_claim(struct node *node, struct request *request,
                         struct worker *worker)
{
    const struct api_request *api = &request->api;
    struct command command =
        sandboxes_claim(node, api, worker->name, worker->lease);
    struct claim *claim = mem_alloc(sizeof(*claim) + worker->name.size);
    int rv;

    if (claim == NULL) {
        return ERR_NOMEM;
    }
    memcpy(claim + 1, worker->name.data, worker->name.size);
    claim->worker = bytes_of(claim + 1, worker->name.size);
    claim->request_number = request->number;
    claim->need = api->resources;
    command.request = request->id;
    placing_reserve(node, worker, api->resources);
    rv = node_log_propose(node, &command, claim_applied, claim);
    if (rv == 0) {
        recorder_placed(node, api->id, 0, worker);
    } else {
        placing_unreserve(node, claim->worker, claim->need);
        mem_free(claim);
    }
    return rv;
}

static void claim_again(struct node *node, struct request *request)
{
    struct placement_request wanted = {.cpu = request->api.resources.cpu,
                                       .memory = request->api.resources.memory,
                                       .profile = request->api.profile};
    struct placement_view view;
    int rv = ERR_NO_CAPACITY;

    if (request->call == NULL && request->link == NULL) {
        /* Its member asks again, maybe another leader: nothing may come of this
         * here any more. */
        request_drop(node, request);
        return;
    }
    if (request->attempts < CLAIM_ATTEMPTS_MAX) {
        request->attempts++;
        rv = placing_select(node, &wanted, &view);
        if (rv == 0) {
            rv = propose_claim(node, request, view.workers[view.chosen]);
        }
    }
    if (rv == ERR_NOT_LEADER) {
        request_again(node, request);
    } else if (rv != 0) {
        request_fail(node, request, rv);
    }
}

void sandboxes_create(struct node *node, struct request *request)
{
    if (!controller_is_up_to_date(node) ||
        registry_sandbox(&node->machine.registry, request->api.id) != NULL) {
        /* The answer comes from a linearizable point: a new leader may not know
         * of the workers yet, and a sandbox may be gone. */
        request_read(node, request);
        return;
    }
    claim_again(node, request);
}

void sandboxes_create_at_read(struct node *node, struct request *request)
{
    const struct sandbox *sandbox =
        registry_sandbox(&node->machine.registry, request->api.id);

    if (sandbox == NULL) {
        claim_again(node, request);
        return;
    }
    results_put_sandbox_exists(node_result(node), sandbox);
    request_finish(node, request);
}

void sandboxes_stopped(struct node *node, struct request *request,
                       const struct command_result *result)
{
    if (result->rv != 0) {
        request_fail(node, request,
                     result->rv == ERR_STALE_REQUEST ? ERR_TIMEOUT
                                                     : result->rv);
    } else if (result->sandbox == NULL) {
        results_put_ok(node_result(node));
        request_finish(node, request);
    } else {
        sandboxes_wait(node, request, result->sandbox);
    }
}

void sandboxes_stop(struct node *node, struct request *request)
{
    const struct command command = {
        .type = COMMAND_STOP, .request = request->id, .id = request->api.id};

    request_propose(node, request, &command, sandboxes_stopped);
}

/* A sandbox that just runs needs no note, and there may be a million. */
static void free_idle_note(struct sandbox *sandbox)
{
    struct sandbox_note *note = (struct sandbox_note *)sandbox->shell;

    if (note != NULL && list_is_empty(&note->waiters) &&
        list_is_empty(&note->order_link) && list_is_empty(&note->pace_link) &&
        note->takeover == NULL && note->sealing_epoch == 0) {
        mem_free(note);
        sandbox->shell = NULL;
    }
}

enum outcome { OUTCOME_RUNS, OUTCOME_GONE, OUTCOME_FAILED };

static void finish_waiter(struct node *node, struct request *request,
                          const struct sandbox *sandbox, enum outcome outcome)
{
    bool is_stop = request->api.type == API_STOP_SANDBOX;
    struct buf *result = node_result(node);

    if (is_stop) {
        results_put_ok(result);
    } else if (outcome == OUTCOME_RUNS) {
        results_put_ok_sandbox(result, sandbox);
    } else if (sandbox->reason.size > 0) {
        results_put_error_raw(result, "start_failed", sandbox->reason);
    } else {
        results_put_error_code(result, ERR_NOT_FOUND);
    }
    request_finish(node, request);
}

static void tell_waiters(struct node *node, struct sandbox *sandbox,
                         enum outcome outcome)
{
    struct sandbox_note *note = (struct sandbox_note *)sandbox->shell;
    struct list *next;

    if (note == NULL) {
        return;
    }
    for (struct list *item = note->waiters.next; item != &note->waiters;
         item = next) {
        struct request *request = LIST_ENTRY(item, struct request, queue);

        next = item->next;
        if (request->api.type == API_STOP_SANDBOX && outcome != OUTCOME_GONE) {
            continue;
        }
        if (request->api.type == API_RESTORE_COPY && sandbox->is_restoring) {
            continue;
        }
        list_remove(item);
        finish_waiter(node, request, sandbox, outcome);
    }
}

/* The sandbox is there, and as it should be or not: nothing has to happen for
 * the answer. */
static bool is_settled(const struct sandbox *sandbox)
{
    return sandbox->status == SANDBOX_RUNNING ||
           sandbox->status == SANDBOX_FAILED;
}

void sandboxes_claimed(struct node *node, struct request *request,
                       const struct command_result *result)
{
    struct sandbox *sandbox = result->sandbox;

    if (result->rv == ERR_EXISTS && sandbox != NULL) {
        results_put_sandbox_exists(node_result(node), sandbox);
        request_finish(node, request);
    } else if (result->rv == ERR_EXISTS || result->rv == ERR_LIMIT) {
        request_fail(node, request, ERR_BUSY);
    } else if (result->rv != 0) {
        request_fail(node, request,
                     result->rv == ERR_STALE_REQUEST ? ERR_TIMEOUT
                                                     : result->rv);
    } else if (sandbox == NULL) {
        /* It ran, or not, and is gone. */
        request_fail(node, request, ERR_NOT_FOUND);
    } else if (is_settled(sandbox)) {
        finish_waiter(node, request, sandbox,
                      sandbox->status == SANDBOX_RUNNING ? OUTCOME_RUNS
                                                         : OUTCOME_FAILED);
    } else {
        request->epoch = sandbox->epoch;
        sandboxes_wait(node, request, sandbox);
    }
}

void sandboxes_event(struct node *node, const struct command_event *event)
{
    struct sandbox *sandbox = event->sandbox;

    if (event->type == EVENT_STARTED) {
        tell_waiters(node, sandbox, OUTCOME_RUNS);
        free_idle_note(sandbox);
    } else if (event->type == EVENT_REMOVED) {
        tell_waiters(node, sandbox, OUTCOME_GONE);
        /* A full queue leaves some bytes behind that nobody can reach: a
         * later sandbox of this id has a greater birth. */
        if (state_db_delete(node->db, sandbox->id, sandbox->epoch) != 0) {
            log_line(LOG_WARN, "state_left_behind", "epoch=%llu",
                     (unsigned long long)sandbox->epoch);
        }
        sandbox_note_free(node, sandbox);
    } else if (event->type == EVENT_START_FAILED &&
               sandbox->status == SANDBOX_FAILED) {
        tell_waiters(node, sandbox, OUTCOME_FAILED);
    }
}
