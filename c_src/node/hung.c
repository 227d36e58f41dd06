/* SPDX-License-Identifier: Apache-2.0
 * Workers that hang. An agent ends its sandboxes at the end of its lease and
 * says so. One that does not is stopped, or blocked, and would go on where it
 * was when it wakes up: its member ends the process, if that is on this host
 * (docs/decisions/2026-11-26-hung-workers.md).
 *
 *   renewed_ms          + ttl_owner               + stop_budget
 *      |---- lease ---------|---- asked, waited for ----|  SIGKILL
 *
 * What must not happen is that a member which stood still itself takes a
 * healthy worker for a hung one. So it asks, and what it has to have heard
 * then is not what came before; and it judges only while its own loop has been
 * going round. */
#include "base/err.h"
#include "etf/writer.h"
#include "node/agents.h"
#include "node/requests.h"

enum {
    LATE_TURN_MS = 250,    /* the loop stood still; housekeeping alone is five
                              turns in that time */
    SMOOTH_TURNS_MIN = 8,  /* that prove that it goes round, input included */
    PROBE_AGAIN_MS = 200,  /* it may be between two members just now */
    PROMPT_PROBE_MS = 200, /* asked so soon after the end: we were not late */
};

void agent_renewed(struct agent *agent, uint64_t clock)
{
    uint64_t since =
        agent->asked_clock > clock ? agent->asked_clock - clock : 0;

    /* Renewals are committed late, and more than one may be under way. */
    agent->renewed_ms =
        agent->asked_heard_ms > since ? agent->asked_heard_ms - since : 0;
    agent->probed_ms = 0;
    agent->is_hung = false;
}

void hung_turn(struct node *node)
{
    bool is_late = node->now_ms - node->turn_ms > LATE_TURN_MS;

    node->smooth_turns = is_late ? 0 : node->smooth_turns + 1;
    node->turn_ms = node->now_ms;
}

static void send_probe(struct node *node, struct agent *agent)
{
    struct buf *body = node_result(node);

    etf_put_map(body, 2);
    etf_put_atom(body, "member");
    etf_put_atom_bytes(body, node->self->name);
    etf_put_atom(body, "incarnation");
    etf_put_binary(body,
                   bytes_of(agent->incarnation, sizeof(agent->incarnation)));
    agent_send(node, agent, "probe");
    agent->probe_sent_ms = node->now_ms;
}

static void end_process(struct node *node, const struct agent *agent)
{
    const char *action = "report";
    int rv = 0;

    node->counters.workers_hung++;
    if (node->settings->kills_hung_worker && agent->watch != NULL) {
        action = "kill";
        rv = process_watch_kill(agent->watch);
        node->counters.workers_killed += rv == 0;
        recorder_killed(node, agent, rv);
    }
    log_line(LOG_WARN, "worker_hung",
             "worker=%.*s lease=%llu action=%s local=%s status=\"%s\"",
             (int)agent->worker.size, agent->worker.data,
             (unsigned long long)agent->lease, action,
             agent->watch != NULL ? "true" : "false",
             rv == 0 ? "ok" : err_text(rv));
}

static bool is_overdue(const struct node *node, const struct agent *agent)
{
    uint64_t end_ms = agent->renewed_ms + node->settings->ttl_owner_ms;

    if (agent->probed_ms > end_ms + PROMPT_PROBE_MS) {
        /* We were late, or its link is new: its lease may be with another
         * member, and has as long as any to say so. */
        return node->now_ms - agent->probed_ms >= node->settings->ttl_owner_ms;
    }
    return node->now_ms >= end_ms + node->settings->stop_budget_ms;
}

static void look_at(struct node *node, struct agent *agent)
{
    uint64_t end_ms = agent->renewed_ms + node->settings->ttl_owner_ms;

    if (agent->lease == 0 || agent->is_proven_dead || agent->is_hung ||
        agent->is_fenced || node->now_ms < end_ms) {
        return;
    }
    if (agent->link == NULL) {
        /* Whether it lives cannot be asked: its lease ends without us. */
        agent->probed_ms = 0;
    } else if (agent->probed_ms == 0) {
        agent->probed_ms = node->now_ms;
        send_probe(node, agent);
    } else if (is_overdue(node, agent) &&
               node->smooth_turns >= SMOOTH_TURNS_MIN &&
               !peer_is_paused(agent->link->peer)) {
        agent->is_hung = true;
        end_process(node, agent);
    } else if (node->now_ms - agent->probe_sent_ms >= PROBE_AGAIN_MS) {
        send_probe(node, agent);
    }
}

void hung_tick(struct node *node)
{
    struct agent *agent;
    size_t position = 0;

    while ((agent = map_next(&node->agents, &position)) != NULL) {
        look_at(node, agent);
    }
}
