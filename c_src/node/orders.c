/* SPDX-License-Identifier: Apache-2.0
 * Start and stop orders to the attached agents. The log is the bus: an order
 * follows from an applied entry, and is sent again until the entry that it
 * asks for is applied too. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "node/access.h"
#include "node/agents.h"
#include "node/requests.h"
#include "registry/copies.h"

enum { SEAL_TIMEOUT_MS = 5000 };

/* A recovery under way for a start order. */
struct seal {
    struct list link; /* in node->seals */
    uint64_t epoch;
    struct bytes id; /* behind the structure */
};

/* The owner's agent, if it is attached here under the lease that owns. */
static struct agent *agent_of(const struct node *node,
                              const struct sandbox *sandbox)
{
    struct agent *agent = sandbox->worker == NULL
                              ? NULL
                              : agents_find(node, sandbox->worker->name);

    return agent != NULL && agent->lease == sandbox->worker->lease ? agent
                                                                   : NULL;
}

/* Until it is done, the order is due again after a while. */
static void await_effect(struct node *node, struct sandbox_note *note)
{
    note->order_due_ms = node->now_ms + NODE_ORDER_RETRY_MS;
    list_remove(&note->order_link);
    list_append(&node->orders, &note->order_link);
}

static void put_key(struct buf *body, const char *key)
{
    etf_put_atom(body, key);
}

void agent_put_opaque(struct buf *body, struct bytes raw)
{
    etf_put_binary_head(body, 1 + raw.size);
    etf_put_version(body);
    etf_put_raw(body, raw);
}

/* As agent_put_opaque(); the bytes of a big state are not copied. */
static void put_state(struct node *node,
                      const struct state_completion *recovered)
{
    struct buf *body = &node->scratch;

    if (recovered->blob == NULL) {
        agent_put_opaque(body, recovered->value);
        return;
    }
    etf_put_binary_head(body, 1 + recovered->value.size);
    etf_put_version(body);
    node_result_insert(node, recovered->value, recovered->blob);
}

/* What it is to begin with instead of its state, or how that is found out. */
static void put_restore(struct buf *body, const struct copy *copy)
{
    if (copy == NULL) {
        etf_put_atom(body, "none");
        return;
    }
    etf_put_tuple(body, 2);
    etf_put_u64(body, copy->number);
    etf_put_atom(body, copy->how == COPY_RESOLVE ? "resolve" : "take");
}

static void send_start(struct node *node, const struct agent *agent,
                       const struct sandbox *sandbox,
                       const struct state_completion *recovered)
{
    struct buf *body = node_result(node);

    etf_put_map(body, 8);
    put_key(body, "id");
    etf_put_binary(body, sandbox->id);
    put_key(body, "epoch");
    etf_put_u64(body, sandbox->epoch);
    put_key(body, "spec");
    agent_put_opaque(body, sandbox->spec);
    put_key(body, "options");
    agent_put_opaque(body, sandbox->options);
    put_key(body, "restore");
    put_restore(body, registry_restoring(&node->machine.registry, sandbox));
    takeovers_put(body, sandbox);
    put_key(body, "state");
    if (recovered != NULL && recovered->has_value &&
        recovered->value.size > 0) {
        etf_put_tuple(body, 2);
        etf_put_tuple(body, 2);
        etf_put_u64(body, recovered->version.epoch);
        etf_put_u64(body, recovered->version.seq);
        put_state(node, recovered);
    } else {
        etf_put_atom(body, "none");
    }
    recorder_ordered(node, JOURNAL_ORDERED_START, agent, sandbox->id,
                     sandbox->epoch);
    agent_send(node, agent, "start");
    node_result_done(node);
}

static void send_stop(struct node *node, const struct agent *agent,
                      struct bytes id, uint64_t epoch, const char *reason)
{
    struct buf *body = node_result(node);

    etf_put_map(body, 3);
    put_key(body, "id");
    etf_put_binary(body, id);
    put_key(body, "epoch");
    etf_put_u64(body, epoch);
    put_key(body, "reason");
    etf_put_atom(body, reason);
    recorder_ordered(node, JOURNAL_ORDERED_STOP, agent, id, epoch);
    agent_send(node, agent, "stop");
}

/* Recovers the newest acknowledged state and closes the door to older epochs;
 * orders_sealed() goes on. */
static int begin_seal(struct node *node, const struct sandbox *sandbox)
{
    struct state_request request = {.type = STATE_SEAL,
                                    .id = sandbox->id,
                                    .birth = sandbox->birth,
                                    .epoch = sandbox->epoch,
                                    .replica_count = sandbox->replica_count,
                                    .deadline_ms =
                                        node->now_ms + SEAL_TIMEOUT_MS};
    struct seal *seal = mem_alloc(sizeof(*seal) + sandbox->id.size);
    int rv;

    if (seal == NULL) {
        return ERR_NOMEM;
    }
    memcpy(seal + 1, sandbox->id.data, sandbox->id.size);
    seal->id = bytes_of(seal + 1, sandbox->id.size);
    seal->epoch = sandbox->epoch;
    list_append(&node->seals, &seal->link);
    for (uint32_t i = 0; i < sandbox->replica_count; i++) {
        request.replicas[i] = sandbox->replicas[i];
    }
    request.user = (uint64_t)(uintptr_t)seal;
    rv = states_start(node, &request);
    if (rv != 0) {
        list_remove(&seal->link);
        mem_free(seal);
    }
    return rv;
}

/* It ends here, with a last checkpoint, to begin anew with a copy. */
static void order_yield(struct node *node, struct sandbox *sandbox)
{
    struct agent *agent = agent_of(node, sandbox);
    struct sandbox_note *note = sandbox_note(sandbox);

    if (agent != NULL && note != NULL) {
        await_effect(node, note);
        send_stop(node, agent, sandbox->id, sandbox->epoch, "restore");
    }
}

static void order_start(struct node *node, struct sandbox *sandbox)
{
    struct agent *agent = agent_of(node, sandbox);
    struct sandbox_note *note = sandbox_note(sandbox);

    if (agent == NULL || note == NULL) {
        return;
    }
    if (registry_must_yield(&node->machine.registry, sandbox)) {
        order_yield(node, sandbox);
        return;
    }
    await_effect(node, note);
    if (note->sealing_epoch == sandbox->epoch) {
        return;
    }
    if (sandbox->birth == sandbox->epoch) {
        /* Nothing can be stored under an id before its birth. */
        send_start(node, agent, sandbox, NULL);
        return;
    }
    note->sealing_epoch = sandbox->epoch;
    if (begin_seal(node, sandbox) != 0) {
        note->sealing_epoch = 0;
    }
}

void orders_sealed(struct node *node, const struct state_completion *done)
{
    struct seal *seal = (struct seal *)(uintptr_t)done->user;
    struct sandbox *sandbox =
        registry_sandbox(&node->machine.registry, seal->id);
    struct sandbox_note *note =
        sandbox == NULL ? NULL : (struct sandbox_note *)sandbox->shell;
    struct agent *agent;

    if (done->rv == 0) {
        recorder_sealed(node, seal->id, seal->epoch, done->found);
    }
    if (note != NULL && note->sealing_epoch == seal->epoch) {
        note->sealing_epoch = 0;
        agent = agent_of(node, sandbox);
        if (done->rv != 0) {
            log_line(LOG_WARN, "recovery_failed", "epoch=%llu cause=%s",
                     (unsigned long long)seal->epoch, err_atom(done->rv));
        } else if (agent != NULL && sandbox->epoch == seal->epoch &&
                   sandbox->status == SANDBOX_STARTING) {
            send_start(node, agent, sandbox, done);
        }
    }
    list_remove(&seal->link);
    mem_free(seal);
}

static void order_stop(struct node *node, struct sandbox *sandbox)
{
    struct agent *agent = agent_of(node, sandbox);
    struct sandbox_note *note = sandbox_note(sandbox);

    if (agent != NULL && note != NULL) {
        await_effect(node, note);
        send_stop(node, agent, sandbox->id, sandbox->epoch, "stopped");
    }
}

/* It ran when it was last reported, and was not in the list of an attach. That
 * proves nothing: the list may have been on its way while the start was ordered
 * and reported through another member. So the agent is asked. */
static void order_confirm(struct node *node, struct sandbox *sandbox)
{
    struct agent *agent = agent_of(node, sandbox);
    struct sandbox_note *note = sandbox_note(sandbox);
    struct buf *body;

    if (agent == NULL || note == NULL) {
        return;
    }
    note->confirm_epoch = sandbox->epoch;
    await_effect(node, note);
    body = node_result(node);
    etf_put_map(body, 2);
    put_key(body, "id");
    etf_put_binary(body, sandbox->id);
    put_key(body, "epoch");
    etf_put_u64(body, sandbox->epoch);
    agent_send(node, agent, "confirm");
}

void orders_confirmed(struct sandbox *sandbox, uint64_t epoch)
{
    struct sandbox_note *note = (struct sandbox_note *)sandbox->shell;

    if (note != NULL && note->confirm_epoch == epoch &&
        sandbox->status == SANDBOX_RUNNING) {
        note->confirm_epoch = 0;
        list_remove(&note->order_link);
    }
}

void orders_event(struct node *node, const struct command_event *event)
{
    struct sandbox *sandbox = event->sandbox;
    struct sandbox_note *note =
        sandbox == NULL ? NULL : (struct sandbox_note *)sandbox->shell;

    switch (event->type) {
    case EVENT_CLAIMED:
        ensure(sandbox != NULL);
        order_start(node, sandbox);
        break;
    case EVENT_STOPPING:
        ensure(sandbox != NULL);
        order_stop(node, sandbox);
        break;
    case EVENT_YIELDING:
        ensure(sandbox != NULL);
        order_yield(node, sandbox);
        break;
    case EVENT_STARTED:
    case EVENT_START_FAILED:
    case EVENT_UNPLACED:
    case EVENT_REMOVED:
        if (note != NULL) {
            list_remove(&note->order_link);
        }
        ensure(sandbox != NULL);
        if (event->type == EVENT_STARTED &&
            registry_must_yield(&node->machine.registry, sandbox)) {
            order_yield(node, sandbox);
        }
        break;
    case EVENT_COPY_KEPT:
    case EVENT_COPY_DROPPED:
    case EVENT_LEASE_GRANTED:
    case EVENT_LEASE_RENEWED:
    case EVENT_LEASE_ENDED:
    case EVENT_NAME_REGISTERED:
    case EVENT_NAME_REMOVED:
    case EVENT_WORKER_REMOVED:
    case EVENT_MEMBERS_CHANGED:
        break;
    }
}

/* One {Id, Epoch, Pid} that an agent says it runs. */
static int reconcile_running(struct node *node, const struct agent *agent,
                             struct etf_reader *reader)
{
    struct command started = {.type = COMMAND_STARTED};
    struct sandbox *sandbox;
    struct sandbox_note *note;
    int rv = etf_read_tuple_of(reader, 3);

    rv = rv == 0 ? etf_read_binary(reader, &started.id) : rv;
    rv = rv == 0 ? etf_read_u64(reader, &started.epoch) : rv;
    rv = rv == 0 ? etf_read_raw(reader, &started.pid) : rv;
    if (rv != 0) {
        return rv;
    }
    if (started.pid.size > REGISTRY_PID_SIZE_MAX) {
        return ERR_LIMIT;
    }
    sandbox = registry_sandbox(&node->machine.registry, started.id);
    if (sandbox == NULL || agent_of(node, sandbox) != agent ||
        sandbox->epoch != started.epoch) {
        if (!takeovers_running(node, agent, &started, sandbox)) {
            conflicts_not_owner(node, agent, &started, sandbox);
        }
        return 0;
    }
    if (agent->link == NULL ||
        !access_allows_pid(node, agent->link, started.pid, "running")) {
        return 0;
    }
    note = sandbox_note(sandbox);
    if (note == NULL) {
        return ERR_NOMEM;
    }
    note->seen_clock = agent->clock;
    if (sandbox->status != SANDBOX_STOPPING) {
        node_log_submit(node, &started);
    }
    return 0;
}

static void reconcile_wanted(struct node *node, const struct agent *agent,
                             struct sandbox *sandbox)
{
    const struct sandbox_note *note =
        (const struct sandbox_note *)sandbox->shell;
    bool is_seen = note != NULL && note->seen_clock == agent->clock;

    if (sandbox->status == SANDBOX_STOPPING) {
        order_stop(node, sandbox);
    } else if (is_seen &&
               registry_must_yield(&node->machine.registry, sandbox)) {
        order_yield(node, sandbox);
    } else if (sandbox->status == SANDBOX_STARTING && !is_seen) {
        order_start(node, sandbox);
    } else if (sandbox->status == SANDBOX_RUNNING && !is_seen) {
        order_confirm(node, sandbox);
    }
}

bool orders_reconcile_some(struct node *node, struct agent *agent,
                           struct bytes running)
{
    struct etf_reader reader = etf_reader_of(running);
    struct etf_list list;
    bool more;
    int rv;

    rv = etf_list_begin(&reader, &list);
    while (rv == 0 && (rv = etf_list_next(&list, &more)) == 0 && more) {
        rv = reconcile_running(node, agent, &list.element);
    }
    if (rv != 0) {
        node->counters.unknown_messages++;
        log_line(LOG_WARN, "attach_list_refused", "worker=%.*s cause=%s",
                 (int)agent->worker.size, agent->worker.data, err_atom(rv));
    }
    return rv == 0;
}

void orders_reconcile(struct node *node, struct agent *agent)
{
    const struct worker *worker =
        registry_worker(&node->machine.registry, agent->worker);

    ensure(worker != NULL);
    (void)orders_reconcile_some(node, agent, agent->running); /* it was said */
    LIST_FOREACH (item, &worker->sandboxes) {
        reconcile_wanted(node, agent,
                         LIST_ENTRY(item, struct sandbox, worker_link));
    }
    mem_free((void *)(uintptr_t)agent->running.data);
    agent->running = bytes_of(NULL, 0);
}

void orders_init(struct node *node)
{
    list_init(&node->orders);
    list_init(&node->seals);
}

void orders_close(struct node *node)
{
    struct list *first;

    while ((first = list_take_first(&node->seals)) != NULL) {
        mem_free(LIST_ENTRY(first, struct seal, link));
    }
}

/* What was reported meanwhile may have gone to one who took nothing any more.
 */
void orders_leader_changed(struct node *node)
{
    uint64_t due_ms = node->now_ms + NODE_ORDER_CHECK_MS;

    LIST_FOREACH (item, &node->orders) {
        struct sandbox_note *note =
            LIST_ENTRY(item, struct sandbox_note, order_link);

        if (note->order_due_ms > due_ms) {
            note->order_due_ms = due_ms;
        }
    }
}

void orders_leave(struct node *node)
{
    /* Only out of the ring: the notes go with their sandboxes. */
    while (list_take_first(&node->orders) != NULL) {
    }
}

void orders_tick(struct node *node)
{
    while (!list_is_empty(&node->orders)) {
        struct sandbox_note *note =
            LIST_ENTRY(node->orders.next, struct sandbox_note, order_link);

        if (note->order_due_ms > node->now_ms) {
            return; /* Sorted: each is appended with the same delay. */
        }
        list_remove(&note->order_link);
        if (note->sandbox->status == SANDBOX_STOPPING) {
            order_stop(node, note->sandbox);
        } else if (registry_must_yield(&node->machine.registry,
                                       note->sandbox)) {
            order_yield(node, note->sandbox);
        } else if (note->sandbox->status == SANDBOX_STARTING) {
            order_start(node, note->sandbox);
        } else if (note->sandbox->status == SANDBOX_RUNNING &&
                   note->confirm_epoch == note->sandbox->epoch) {
            order_confirm(node, note->sandbox);
        }
    }
}
