/* SPDX-License-Identifier: Apache-2.0
 * Attached workers: attach, keep-alives and renewals, proven death. The lease
 * itself is in the log; here is only what its agent said last. */
#include "node/agents.h"

#include "base/err.h"
#include "base/mem.h"
#include "etf/keys.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "node/requests.h"

enum {
    KEEPALIVE_INTERVAL_MAX_MS = 500,
    KEEPALIVES_A_TERM = 5, /* of an owner */
    RENEWALS_A_TERM = 10,
};

/* Of what is in the settings, a part of an owner's term, with a limit. */
static uint64_t part_of_term(const struct node *node, uint64_t parts,
                             uint64_t ms_max)
{
    uint64_t ms = node->settings->ttl_owner_ms / parts;

    return ms < ms_max ? ms : ms_max;
}

void agents_init(struct node *node)
{
    map_init(&node->agents, REGISTRY_WORKERS_MAX, rng_next(&node->rng));
    map_init(&node->worker_notes, REGISTRY_WORKERS_MAX, rng_next(&node->rng));
}

static void agent_free(struct agent *agent)
{
    process_watch_free(agent->watch);
    mem_free((void *)(uintptr_t)agent->pid.data);
    mem_free((void *)(uintptr_t)agent->running.data);
    mem_free(agent);
}

void agents_close(struct node *node)
{
    struct agent *agent;
    size_t position = 0;

    while ((agent = map_next(&node->agents, &position)) != NULL) {
        agent_free(agent);
    }
    map_close(&node->agents);
    worker_notes_close(node);
}

struct agent *agents_find(const struct node *node, struct bytes worker)
{
    return map_get(&node->agents, worker);
}

void agent_send(struct node *node, const struct agent *agent, const char *kind)
{
    if (agent->link != NULL && buf_error(&node->scratch) == 0) {
        links_send_pid(node, agent->link, agent->pid, kind);
    }
}

bool agent_is_incarnation(const struct agent *agent, struct bytes incarnation)
{
    return bytes_equal(bytes_of(agent->incarnation, sizeof(agent->incarnation)),
                       incarnation);
}

struct bytes agent_term(struct node *node, struct bytes term, size_t size_max)
{
    static const uint8_t too_big[] = {119, 7,   't', 'o', 'o',
                                      '_', 'b', 'i', 'g'};
    static const uint8_t unreadable[] = {119, 10,  'u', 'n', 'r', 'e',
                                         'a', 'd', 'a', 'b', 'l', 'e'};

    if (term.size > size_max) {
        /* A reason with half a megabyte of stack is not worth the log. */
        return bytes_of(too_big, sizeof(too_big));
    }
    if (etf_keys_differ(term, rng_next(&node->rng)) != 0) {
        node->counters.unknown_messages++;
        return bytes_of(unreadable, sizeof(unreadable));
    }
    return term;
}

static void submit_release(struct node *node, const struct agent *agent)
{
    const struct command command = {.type = COMMAND_RELEASE,
                                    .worker = agent->worker,
                                    .lease = agent->lease};

    if (agent->lease != 0) {
        node_log_submit(node, &command);
    }
}

void agent_remove(struct node *node, struct agent *agent)
{
    (void)map_remove(&node->agents, agent->worker);
    agent_free(agent);
}

void agents_link_up(struct node *node, struct link *link)
{
    struct agent *agent = agents_find(node, link->inbox_peer.name);

    if (agent != NULL && agent->link == NULL) {
        agent->link = link;
    }
}

void agents_link_down(struct node *node, const struct link *link)
{
    struct agent *agent = agents_find(node, link->inbox_peer.name);

    if (agent == NULL || agent->link != link) {
        return;
    }
    agent->link = NULL;
    if (agent->lease == 0) {
        agent_remove(node, agent);
    }
}

static void put_member_names(const struct node *node, struct buf *body)
{
    uint32_t count = members_expected(&node->members);

    if (count > 0) {
        etf_put_list(body, count);
    }
    for (uint32_t i = 0; i < node->members.count; i++) {
        const struct member *member = members_at(&node->members, i);

        if (member->is_expected) {
            etf_put_atom_bytes(body, member->name);
        }
    }
    etf_put_nil(body);
}

static void send_attached(struct node *node, const struct agent *agent)
{
    struct buf *body = node_result(node);

    etf_put_map(body, 6);
    etf_put_atom(body, "incarnation");
    etf_put_binary(body,
                   bytes_of(agent->incarnation, sizeof(agent->incarnation)));
    etf_put_atom(body, "lease");
    etf_put_u64(body, agent->lease);
    etf_put_atom(body, "clock");
    etf_put_u64(body, agent->clock);
    etf_put_atom(body, "ttl_owner");
    etf_put_u64(body, node->settings->ttl_owner_ms);
    etf_put_atom(body, "keepalive_interval");
    etf_put_u64(
        body, part_of_term(node, KEEPALIVES_A_TERM, KEEPALIVE_INTERVAL_MAX_MS));
    etf_put_atom(body, "members");
    put_member_names(node, body);
    agent_send(node, agent, "attached");
}

/* An agent whose link is gone asks another member at once. */
void agents_leave(struct node *node)
{
    struct agent *agent;
    size_t position = 0;

    while ((agent = map_next(&node->agents, &position)) != NULL) {
        if (agent->link != NULL) {
            peer_cut(agent->link->peer, "this member was removed");
        }
    }
}

void agents_tell_members(struct node *node)
{
    struct agent *agent;
    size_t position = 0;

    while ((agent = map_next(&node->agents, &position)) != NULL) {
        struct buf *body = node_result(node);

        etf_put_map(body, 2);
        etf_put_atom(body, "incarnation");
        etf_put_binary(
            body, bytes_of(agent->incarnation, sizeof(agent->incarnation)));
        etf_put_atom(body, "members");
        put_member_names(node, body);
        agent_send(node, agent, "members");
    }
}

/* Whether the lease that this agent has here is one that owns. */
static bool is_live(const struct node *node, const struct agent *agent)
{
    const struct worker *worker =
        registry_worker(&node->machine.registry, agent->worker);

    return agent->lease != 0 && worker != NULL &&
           worker->lease == agent->lease && worker->member == node->self->id;
}

static struct agent *find_stray(const struct node *node)
{
    struct agent *agent;
    size_t position = 0;

    while ((agent = map_next(&node->agents, &position)) != NULL) {
        if (!is_live(node, agent)) {
            break;
        }
    }
    return agent;
}

void agents_restored(struct node *node)
{
    struct agent *agent;
    size_t position = 0;

    /* They attach again at once, here or elsewhere, and say what they run: so
     * they are told of all that befell meanwhile. Leases stay as they are. */
    while ((agent = map_next(&node->agents, &position)) != NULL) {
        if (agent->link != NULL) {
            peer_cut(agent->link->peer, "this member took over a snapshot");
        }
    }
    while ((agent = find_stray(node)) != NULL) {
        agent_remove(node, agent);
    }
}

static void send_lease_lost(struct node *node, const struct agent *agent)
{
    struct buf *body = node_result(node);

    etf_put_map(body, 1);
    etf_put_atom(body, "incarnation");
    etf_put_binary(body,
                   bytes_of(agent->incarnation, sizeof(agent->incarnation)));
    agent_send(node, agent, "lease_lost");
}

void agents_event(struct node *node, const struct command_event *event)
{
    struct worker *worker = event->worker;
    struct agent *agent =
        worker == NULL ? NULL : agents_find(node, worker->name);
    struct buf *body;

    if (agent == NULL ||
        !agent_is_incarnation(agent, bytes_of(worker->incarnation,
                                              sizeof(worker->incarnation)))) {
        return;
    }
    if (event->type == EVENT_LEASE_GRANTED) {
        if (worker->member != node->self->id) {
            /* It went to another member: its orders come from there now. */
            agent_remove(node, agent);
            return;
        }
        if (worker->renewed_clock == agent->clock) {
            agent->lease = worker->lease;
            agent_renewed(agent, worker->renewed_clock);
            log_line(LOG_INFO, "worker_attached", "worker=%.*s lease=%llu",
                     (int)worker->name.size, worker->name.data,
                     (unsigned long long)worker->lease);
            send_attached(node, agent);
            orders_reconcile(node, agent);
        }
    } else if (event->type == EVENT_LEASE_RENEWED &&
               agent->lease == worker->lease) {
        agent_renewed(agent, worker->renewed_clock);
        body = node_result(node);
        etf_put_map(body, 2);
        etf_put_atom(body, "lease");
        etf_put_u64(body, worker->lease);
        etf_put_atom(body, "clock");
        etf_put_u64(body, worker->renewed_clock);
        agent_send(node, agent, "renewed");
    } else if (event->type == EVENT_LEASE_ENDED) {
        log_line(LOG_INFO, "lease_ended", "worker=%.*s", (int)worker->name.size,
                 worker->name.data);
        send_lease_lost(node, agent);
        agent_remove(node, agent);
    }
}

void agents_command_refused(struct node *node, const struct command *command,
                            int rv)
{
    struct agent *agent;

    if (command->type != COMMAND_ATTACH && command->type != COMMAND_RENEW) {
        return;
    }
    agent = agents_find(node, command->worker);
    if (agent == NULL) {
        return;
    }
    if (rv == ERR_STALE_EPOCH) {
        /* An old word of it; the member that has it now knows better. */
        if (command->member == node->self->id && agent->lease == 0 &&
            agent->clock == command->clock) {
            agent_remove(node, agent);
        }
        return;
    }
    if (command->type == COMMAND_ATTACH
            ? agent_is_incarnation(agent, command->incarnation)
            : agent->lease == command->lease && agent->lease != 0) {
        send_lease_lost(node, agent);
        agent_remove(node, agent);
    }
}

/* An agent that lost its link comes back by itself; but it may have nothing to
 * say, while orders wait for it here. */
static void dial(struct node *node, const struct agent *agent)
{
    int rv = peers_dial(node->peers, agent->worker, NULL, 0);

    if (rv != 0) {
        log_line(LOG_DEBUG, "dial_failed", "peer=%.*s reason=\"%s\"",
                 (int)agent->worker.size, agent->worker.data, err_text(rv));
    }
}

static void send_renewals(struct node *node)
{
    struct agent *agent;
    size_t position = 0;

    while ((agent = map_next(&node->agents, &position)) != NULL) {
        const struct command command = {.type = COMMAND_RENEW,
                                        .worker = agent->worker,
                                        .lease = agent->lease,
                                        .clock = agent->clock};

        if (agent->link == NULL && agent->lease != 0 &&
            !agent->is_proven_dead) {
            dial(node, agent);
        }
        if (agent->is_proven_dead) {
            submit_release(node, agent);
        } else if (agent->is_renew_due && agent->lease != 0) {
            agent->is_renew_due = false;
            agent->asked_clock = agent->clock;
            agent->asked_heard_ms = agent->heard_ms;
            node_log_submit(node, &command);
        }
    }
}

/* Measured load of the attached workers, to the leader. */
static void send_load(struct node *node)
{
    struct buf *body = node_result(node);
    struct link *leader = links_leader(node);
    struct agent *agent;
    size_t position = 0;

    if (node->agents.count == 0) {
        return;
    }
    etf_put_list(body, (uint32_t)node->agents.count);
    while ((agent = map_next(&node->agents, &position)) != NULL) {
        etf_put_tuple(body, 3);
        etf_put_binary(body, agent->worker);
        etf_put_u64(body, agent->cpu_load_permille);
        etf_put_u64(body, agent->memory_load_permille);
    }
    etf_put_nil(body);
    if (node_log_is_leader(node)) {
        (void)agents_receive_load(node, buf_bytes(body));
    } else if (leader != NULL && buf_error(body) == 0) {
        /* What is lost is told again in the next round. */
        if (links_send(node, leader, "load",
                       &(struct parts_message){.body = buf_bytes(body)}) != 0) {
            node->counters.dropped_messages++;
        }
    }
}

bool agents_receive_load(struct node *node, struct bytes body)
{
    struct etf_reader reader = etf_reader_of(body);
    struct etf_list list;
    bool more;
    int rv = etf_list_begin(&reader, &list);

    while (rv == 0 && (rv = etf_list_next(&list, &more)) == 0 && more) {
        struct bytes name;
        uint64_t cpu;
        uint64_t memory;
        struct worker *worker;
        struct worker_note *note;

        rv = etf_read_tuple_of(&list.element, 3);
        rv = rv == 0 ? etf_read_binary(&list.element, &name) : rv;
        rv = rv == 0 ? etf_read_u64(&list.element, &cpu) : rv;
        rv = rv == 0 ? etf_read_u64(&list.element, &memory) : rv;
        if (rv != 0) {
            break;
        }
        worker = registry_worker(&node->machine.registry, name);
        note = worker == NULL ? NULL : worker_note(node, worker);
        if (note != NULL) {
            note->cpu_load_permille = cpu > 1000 ? 1000 : (uint16_t)cpu;
            note->memory_load_permille =
                memory > 1000 ? 1000 : (uint16_t)memory;
            note->load_ms = node->now_ms;
        }
    }
    return rv == 0;
}

/* A release that proves a death must not wait for the next round. */
static bool has_new_death(struct node *node)
{
    struct agent *agent;
    size_t position = 0;

    while ((agent = map_next(&node->agents, &position)) != NULL) {
        if (agent->is_proven_dead) {
            return true;
        }
    }
    return false;
}

void agents_tick(struct node *node)
{
    hung_tick(node);
    if (node->renew_due_ms <= node->now_ms || has_new_death(node)) {
        node->renew_due_ms =
            node->now_ms + part_of_term(node, RENEWALS_A_TERM, NODE_RENEW_MS);
        send_renewals(node);
        send_load(node);
    }
}
