/* SPDX-License-Identifier: Apache-2.0
 * Available sandboxes that went on when the lease of their worker ended, and
 * that nobody else has been given since: they go on where they are, under a
 * new epoch, without a restart.
 *
 *   agent: "it runs here, under 5" ── log: unplaced, was 5 ──> PLACE here
 *      start, epoch 9, prior 5 <── CLAIMED ──────────────────────┘
 *
 * It is a placement like any other one: the log decides whose comes first. The
 * worker of one that comes too late has a duplicate (conflicts.c). */
#include "base/ensure.h"
#include "base/mem.h"
#include "etf/writer.h"
#include "node/agents.h"
#include "node/requests.h"
#include "registry/copies.h"

enum {
    AGAIN_MS = 200, /* a command may get lost on its way to the leader */
    WAIT_MS = 1000, /* for what a worker that is back still runs */
};

struct takeover {
    struct list link; /* in node->takeovers */
    struct sandbox_note *note;
    uint64_t epoch; /* under which it runs */
    uint64_t lease; /* of its worker, now */
    uint64_t due_ms;
    struct bytes worker; /* behind the structure */
};

void takeovers_init(struct node *node)
{
    list_init(&node->takeovers);
}

void takeovers_leave(struct node *node)
{
    struct list *first;

    while ((first = list_take_first(&node->takeovers)) != NULL) {
        struct takeover *takeover = LIST_ENTRY(first, struct takeover, link);

        takeover->note->takeover = NULL;
        mem_free(takeover);
    }
}

static void end(struct takeover *takeover)
{
    list_remove(&takeover->link);
    takeover->note->takeover = NULL;
    mem_free(takeover);
}

static bool is_open(const struct sandbox *sandbox, uint64_t epoch)
{
    return sandbox->mode == SANDBOX_AVAILABLE &&
           sandbox->status == SANDBOX_UNPLACED && sandbox->epoch == epoch &&
           !sandbox->is_restoring;
}

static void submit(struct node *node, struct takeover *takeover)
{
    const struct command command = {.type = COMMAND_PLACE,
                                    .worker = takeover->worker,
                                    .lease = takeover->lease,
                                    .id = takeover->note->sandbox->id,
                                    .epoch = takeover->epoch};

    takeover->due_ms = node->now_ms + AGAIN_MS;
    node_log_submit(node, &command);
}

static void begin(struct node *node, const struct agent *agent,
                  struct sandbox_note *note)
{
    struct takeover *takeover =
        mem_alloc(sizeof(*takeover) + agent->worker.size);

    if (takeover == NULL) {
        return; /* the next list of this worker says so again */
    }
    memcpy(takeover + 1, agent->worker.data, agent->worker.size);
    takeover->worker = bytes_of(takeover + 1, agent->worker.size);
    takeover->note = note;
    takeover->epoch = note->sandbox->epoch;
    takeover->lease = agent->lease;
    note->takeover = takeover;
    list_append(&node->takeovers, &takeover->link);
    submit(node, takeover);
}

bool takeovers_running(struct node *node, const struct agent *agent,
                       const struct command *running, struct sandbox *sandbox)
{
    struct sandbox_note *note;

    if (sandbox == NULL || sandbox->mode != SANDBOX_AVAILABLE ||
        sandbox->is_restoring) {
        return false;
    }
    note = sandbox_note(sandbox);
    if (note == NULL) {
        return false;
    }
    if (sandbox->status == SANDBOX_STARTING &&
        sandbox->worker->lease == agent->lease &&
        bytes_equal(sandbox->worker->name, agent->worker)) {
        /* It was placed there because of that; the order says so. */
        return note->prior_epoch == running->epoch;
    }
    if (!is_open(sandbox, running->epoch)) {
        return false;
    }
    if (note->takeover != NULL) {
        if (note->takeover->lease == agent->lease &&
            bytes_equal(note->takeover->worker, agent->worker)) {
            return true;
        }
        end(note->takeover); /* the worker has another lease by now */
    }
    begin(node, agent, note);
    return true;
}

/* The agent that asked for it, if it is attached as it was then. */
static struct agent *agent_of(const struct node *node,
                              const struct takeover *takeover)
{
    struct agent *agent = agents_find(node, takeover->worker);

    return agent != NULL && agent->lease == takeover->lease ? agent : NULL;
}

/* Another one has it, or nobody is to: what goes on there is a duplicate. */
static void lose(struct node *node, struct takeover *takeover,
                 const struct sandbox *sandbox)
{
    const struct command running = {.id = takeover->note->sandbox->id,
                                    .epoch = takeover->epoch};
    const struct agent *agent = agent_of(node, takeover);

    if (agent != NULL) {
        conflicts_not_owner(node, agent, &running, sandbox);
    }
    end(takeover);
}

static void claimed(struct node *node, const struct command_event *event,
                    struct sandbox_note *note)
{
    const struct sandbox *sandbox = event->sandbox;
    struct takeover *takeover = note->takeover;

    if (takeover == NULL) {
        return;
    }
    if (event->worker->lease == takeover->lease &&
        bytes_equal(event->worker->name, takeover->worker)) {
        log_line(LOG_INFO, "taken_over", "worker=%.*s epoch=%llu prior=%llu",
                 (int)takeover->worker.size, takeover->worker.data,
                 (unsigned long long)sandbox->epoch,
                 (unsigned long long)takeover->epoch);
        end(takeover);
    } else {
        lose(node, takeover, sandbox);
    }
}

void takeovers_before(const struct node *node,
                      const struct command_event *event)
{
    const struct command *command = node->recorder.command;
    struct sandbox_note *note;

    if (event->sandbox == NULL || event->sandbox->mode != SANDBOX_AVAILABLE ||
        (event->type != EVENT_CLAIMED && event->type != EVENT_UNPLACED)) {
        return;
    }
    note = sandbox_note(event->sandbox);
    if (note == NULL) {
        return;
    }
    if (event->type == EVENT_CLAIMED) {
        note->prior_epoch = command->type == COMMAND_PLACE ? command->epoch : 0;
    } else if (command->type == COMMAND_ATTACH) {
        /* Its worker is back, and says in a moment what it still runs. */
        note->place_after_ms = node->now_ms + WAIT_MS;
    }
}

void takeovers_event(struct node *node, const struct command_event *event)
{
    struct sandbox_note *note =
        event->sandbox == NULL ? NULL
                               : (struct sandbox_note *)event->sandbox->shell;

    if (note == NULL) {
        return;
    }
    if (event->type == EVENT_CLAIMED) {
        claimed(node, event, note);
    } else if (event->type == EVENT_REMOVED && note->takeover != NULL) {
        lose(node, note->takeover, NULL);
    }
}

/* One that ran without a log was nobody's, and goes on as what its id is born
 * as: epoch 0. Whether it is the same, its agent knows. */
static bool may_be_provisional(const struct sandbox *sandbox)
{
    return sandbox->mode == SANDBOX_AVAILABLE &&
           sandbox->birth == sandbox->epoch;
}

void takeovers_put(struct buf *body, const struct sandbox *sandbox)
{
    const struct sandbox_note *note =
        (const struct sandbox_note *)sandbox->shell;
    uint64_t prior = note == NULL ? 0 : note->prior_epoch;

    etf_put_atom(body, "mode");
    etf_put_atom(body, registry_mode_name(sandbox->mode));
    etf_put_atom(body, "prior");
    if (!sandbox->is_restoring && (prior != 0 || may_be_provisional(sandbox))) {
        etf_put_u64(body, prior);
    } else {
        etf_put_atom(body, "none");
    }
}

void takeovers_tick(struct node *node)
{
    struct list *next;

    for (struct list *item = node->takeovers.next; item != &node->takeovers;
         item = next) {
        struct takeover *takeover = LIST_ENTRY(item, struct takeover, link);
        const struct sandbox *sandbox = takeover->note->sandbox;

        next = item->next;
        if (agent_of(node, takeover) == NULL) {
            end(takeover);
        } else if (!is_open(sandbox, takeover->epoch)) {
            lose(node, takeover, sandbox);
        } else if (takeover->due_ms <= node->now_ms) {
            submit(node, takeover);
        }
    }
}
