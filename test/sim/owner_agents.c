/* SPDX-License-Identifier: Apache-2.0
 * Agents: each has a clock of its own, acts until its deadline, and talks to
 * one node at a time. */
#include "sim/owners_internal.h"

#include <inttypes.h>

static uint64_t clock_now(const struct cluster *cluster,
                          const struct sim_agent *agent)
{
    return cluster->now_ms * agent->clock_rate / 1000;
}

/* --- The rule ------------------------------------------------------------ */

/* Whether it may still do something: what is past the deadline is killed within
 * the budget. */
static bool acts(const struct cluster *cluster, const struct sim_agent *agent,
                 uint64_t sandbox)
{
    return agent->runs[sandbox].epoch != 0 &&
           clock_now(cluster, agent) < agent->deadline + STOP_BUDGET_MS;
}

/* From now on `agent` acts, or acts for longer. */
static void check_alone(struct cluster *cluster, uint32_t agent,
                        uint64_t sandbox)
{
    struct owners *owners = cluster->owners;

    for (uint32_t other = 0; other < OWNERS_AGENTS; other++) {
        if (other != agent && acts(cluster, &owners->agents[other], sandbox) &&
            acts(cluster, &owners->agents[agent], sandbox)) {
            cluster_fail(
                cluster,
                "two owners of sandbox %" PRIu64 " act at once: agent %" PRIu32
                " in epoch %" PRIu64 ", agent %" PRIu32 " in epoch %" PRIu64,
                sandbox, other + 1, owners->agents[other].runs[sandbox].epoch,
                agent + 1, owners->agents[agent].runs[sandbox].epoch);
        }
    }
}

/* --- Acting -------------------------------------------------------------- */

static void send(struct cluster *cluster, uint32_t number,
                 enum owner_message_type type, struct owner_message *message)
{
    struct sim_agent *agent = &cluster->owners->agents[number];
    uint64_t time_ms = cluster->now_ms + 1 + owners_draw(cluster, LINK_MS_MAX);

    if (time_ms < agent->busy_ms) {
        time_ms = agent->busy_ms;
    }
    agent->busy_ms = time_ms;
    message->agent = number;
    message->connection = agent->connection;
    message->incarnation = agent->incarnation;
    message->clock = clock_now(cluster, agent);
    owners_post(cluster, EVENT_TO_SHELL, agent->node, time_ms, type, message);
}

static void report(struct cluster *cluster, uint32_t number,
                   enum command_type type, uint64_t sandbox, uint64_t epoch)
{
    send(cluster, number, TO_NODE_REPORT,
         &(struct owner_message){
             .report = type, .sandbox = sandbox, .epoch = epoch});
}

static void kill_all(struct sim_agent *agent)
{
    for (uint64_t i = 0; i < OWNERS_SANDBOXES; i++) {
        agent->runs[i].epoch = 0;
    }
}

static void attach(struct cluster *cluster, uint32_t number)
{
    struct sim_agent *agent = &cluster->owners->agents[number];
    struct owner_message message = {.epoch = 0};

    agent->is_attached = false;
    agent->node = (uint32_t)owners_draw(cluster, cluster->node_count);
    agent->connection++;
    agent->busy_ms = 0;
    agent->sent_ms = cluster->now_ms;
    agent->heard_ms = cluster->now_ms;
    for (uint64_t i = 0; i < OWNERS_SANDBOXES; i++) {
        message.running[i] = agent->runs[i].epoch;
    }
    send(cluster, number, TO_NODE_ATTACH, &message);
}

static void begin_anew(struct cluster *cluster, uint32_t number)
{
    struct sim_agent *agent = &cluster->owners->agents[number];

    kill_all(agent);
    agent->incarnation++;
    agent->lease = 0;
    agent->deadline = 0;
    attach(cluster, number);
}

/* What it runs past the deadline is killed before anything else is done. */
static bool fence(struct cluster *cluster, uint32_t number)
{
    struct sim_agent *agent = &cluster->owners->agents[number];

    if (clock_now(cluster, agent) < agent->deadline) {
        return false;
    }
    kill_all(agent);
    return true;
}

static void extend(struct cluster *cluster, uint32_t number, uint64_t clock)
{
    struct sim_agent *agent = &cluster->owners->agents[number];

    if (OWNERS_IS_MUTATED(DEADLINE_LATE)) {
        clock = clock_now(cluster, agent);
    }
    (void)fence(cluster, number);
    agent->heard_ms = cluster->now_ms;
    if (clock + TTL_OWNER_MS > agent->deadline) {
        agent->deadline = clock + TTL_OWNER_MS;
    }
    for (uint64_t i = 0; i < OWNERS_SANDBOXES; i++) {
        check_alone(cluster, number, i);
    }
}

static void start(struct cluster *cluster, uint32_t number, uint64_t sandbox,
                  uint64_t epoch)
{
    struct owners *owners = cluster->owners;
    struct agent_run *run = &owners->agents[number].runs[sandbox];

    if (epoch < run->seen || fence(cluster, number)) {
        return;
    }
    if (epoch > run->seen) {
        run->seen = epoch;
        run->epoch = owners_draw(cluster, 10) == 0 ? 0 : epoch;
        if (run->epoch != 0) {
            cluster->owner_count++;
            if (epoch < owners->started[sandbox]) {
                cluster_fail(cluster,
                             "sandbox %" PRIu64 " runs in epoch %" PRIu64
                             " after %" PRIu64,
                             sandbox, epoch, owners->started[sandbox]);
            }
            owners->started[sandbox] = epoch;
            check_alone(cluster, number, sandbox);
        }
    }
    report(cluster, number,
           run->epoch == epoch ? COMMAND_STARTED : COMMAND_FAILED, sandbox,
           epoch);
}

static void stop(struct cluster *cluster, uint32_t number, uint64_t sandbox,
                 uint64_t epoch)
{
    struct agent_run *run = &cluster->owners->agents[number].runs[sandbox];

    if (epoch >= run->epoch) {
        run->epoch = 0;
        run->seen = epoch > run->seen ? epoch : run->seen;
        report(cluster, number, COMMAND_STOPPED, sandbox, epoch);
    }
}

/* What does not run will not be started in that epoch any more. */
static void confirm(struct cluster *cluster, uint32_t number, uint64_t sandbox,
                    uint64_t epoch)
{
    struct agent_run *run = &cluster->owners->agents[number].runs[sandbox];

    if (epoch >= run->seen) {
        run->seen = epoch;
        report(cluster, number,
               run->epoch == epoch ? COMMAND_STARTED : COMMAND_FAILED, sandbox,
               epoch);
    }
}

/* One of its sandboxes ends by itself. */
static void end_one(struct cluster *cluster, uint32_t number)
{
    uint64_t sandbox = owners_draw(cluster, OWNERS_SANDBOXES);
    struct agent_run *run = &cluster->owners->agents[number].runs[sandbox];

    if (run->epoch != 0) {
        uint64_t epoch = run->epoch;

        run->epoch = 0;
        report(cluster, number, COMMAND_FAILED, sandbox, epoch);
    }
}

static void tick(struct cluster *cluster, uint32_t number)
{
    struct sim_agent *agent = &cluster->owners->agents[number];
    bool is_silent = cluster->now_ms - agent->heard_ms >= SILENCE_MS;

    owners_post(cluster, EVENT_TO_AGENT, number,
                cluster->now_ms + AGENT_TICK_MS, TO_AGENT_TICK,
                &(struct owner_message){.agent = number});
    if (agent->is_attached && fence(cluster, number)) {
        is_silent = true;
    }
    if (is_silent || (agent->is_attached && owners_draw(cluster, 60) == 0)) {
        attach(cluster, number);
        return;
    }
    if (agent->is_attached &&
        cluster->now_ms - agent->sent_ms >= KEEPALIVE_MS) {
        agent->sent_ms = cluster->now_ms;
        send(cluster, number, TO_NODE_KEEPALIVE,
             &(struct owner_message){.lease = agent->lease});
    }
    if (owners_draw(cluster, 40) == 0 && !cluster->owners->is_calm) {
        end_one(cluster, number);
    }
}

/* --- Life ---------------------------------------------------------------- */

void owner_agents_receive(struct cluster *cluster, uint32_t number,
                          enum owner_message_type type,
                          const struct owner_message *message)
{
    struct sim_agent *agent = &cluster->owners->agents[number];

    if (type == TO_AGENT_TICK) {
        tick(cluster, number);
        return;
    }
    if (message->connection != agent->connection ||
        message->incarnation != agent->incarnation) {
        return;
    }
    if (type == TO_AGENT_LOST) {
        begin_anew(cluster, number);
    } else if (type == TO_AGENT_ATTACHED) {
        agent->lease = message->lease;
        agent->is_attached = true;
        extend(cluster, number, message->clock);
    } else if (message->lease != agent->lease || !agent->is_attached) {
        return;
    } else if (type == TO_AGENT_RENEWED) {
        extend(cluster, number, message->clock);
    } else if (type == TO_AGENT_START) {
        start(cluster, number, message->sandbox, message->epoch);
    } else if (type == TO_AGENT_STOP) {
        stop(cluster, number, message->sandbox, message->epoch);
    } else if (type == TO_AGENT_CONFIRM) {
        confirm(cluster, number, message->sandbox, message->epoch);
    }
}

void owner_agents_befall(struct cluster *cluster, uint32_t number)
{
    struct sim_agent *agent = &cluster->owners->agents[number];

    switch (owners_draw(cluster, 400)) {
    case 0:
        /* Its member may see the process exit. */
        if (owners_draw(cluster, 2) == 0) {
            send(cluster, number, TO_NODE_GONE,
                 &(struct owner_message){.lease = agent->lease});
        }
        begin_anew(cluster, number);
        return;
    case 1:
    case 2:
        agent->paused_until_ms =
            cluster->now_ms + owners_draw(cluster, 2 * TTL_OWNER_MS);
        return;
    default:
        return;
    }
}

void owner_agents_start(struct cluster *cluster)
{
    for (uint32_t i = 0; i < OWNERS_AGENTS; i++) {
        struct sim_agent *agent = &cluster->owners->agents[i];

        agent->clock_rate = 990 + (uint32_t)owners_draw(cluster, 21);
        agent->incarnation = 1;
        attach(cluster, i);
        owners_post(cluster, EVENT_TO_AGENT, i,
                    cluster->now_ms + owners_draw(cluster, AGENT_TICK_MS),
                    TO_AGENT_TICK, &(struct owner_message){.agent = i});
    }
}
