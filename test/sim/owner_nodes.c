/* SPDX-License-Identifier: Apache-2.0
 * What nodes do for the agents that are attached to them: what agents say goes
 * to the leader, what the log says to the agents. */
#include "base/err.h"
#include "sim/owners_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

static uint64_t number_of(const struct sandbox *sandbox)
{
    return (uint64_t)(sandbox->id.data[1] - '0');
}

/* --- Messages ------------------------------------------------------------ */

/* To an agent that is attached to this node. */
static void tell(struct cluster *cluster, const struct cluster_node *node,
                 uint32_t number, enum owner_message_type type,
                 struct owner_message message)
{
    struct sim_agent *agent = &cluster->owners->agents[number];
    const struct attached *attached =
        &owners_shell(cluster, node)->agents[number];
    uint64_t time_ms = cluster->now_ms + 1 + owners_draw(cluster, LINK_MS_MAX);

    if (time_ms < agent->busy_ms && agent->connection == attached->connection) {
        time_ms = agent->busy_ms;
    }
    message.agent = number;
    message.connection = attached->connection;
    message.incarnation = attached->incarnation;
    if (agent->connection == attached->connection) {
        agent->busy_ms = time_ms;
    }
    owners_post(cluster, EVENT_TO_AGENT, number, time_ms, type, &message);
}

/* A command for whoever leads; who wants it repeats it. */
static void submit(struct cluster *cluster, const struct cluster_node *node,
                   const struct command *command)
{
    struct sim_shell *shell = owners_shell(cluster, node);
    uint64_t leader = raft_leader(node->raft);
    struct buf batch;

    if (owners_leads(node)) {
        command_encode(&shell->batch, command);
        return;
    }
    if (leader == 0 || cluster->is_cut[node->id - 1][leader - 1] ||
        owners_draw(cluster, 100) < cluster->faults.drop_percent) {
        return;
    }
    buf_init(&batch, BATCH_MAX);
    command_encode(&batch, command);
    if (buf_error(&batch) != 0) {
        abort();
    }
    event_push(
        cluster,
        (struct cluster_event){
            .type = EVENT_TO_SHELL,
            .node = (uint32_t)leader - 1,
            .time_ms = cluster->now_ms + 1 +
                       owners_draw(cluster, cluster->faults.delay_max_ms),
            .seq = TO_NODE_COMMANDS,
            .data = cluster_copy(buf_bytes(&batch)),
            .size = batch.size});
    buf_close(&batch);
}

/* --- What agents say ----------------------------------------------------- */

static void receive_attach(struct cluster *cluster,
                           const struct cluster_node *node,
                           const struct owner_message *message)
{
    struct attached *attached =
        &owners_shell(cluster, node)->agents[message->agent];
    uint8_t incarnation[REGISTRY_INCARNATION_SIZE];

    *attached = (struct attached){.is_here = true,
                                  .connection = message->connection,
                                  .incarnation = message->incarnation,
                                  .clock = message->clock};
    memcpy(attached->running, message->running, sizeof(attached->running));
    owners_incarnation(message->incarnation, incarnation);
    submit(cluster, node,
           &(struct command){.type = COMMAND_ATTACH,
                             .worker = owners_worker(message->agent),
                             .incarnation =
                                 bytes_of(incarnation, sizeof(incarnation)),
                             .clock = message->clock,
                             .member = node->id});
}

static void receive_keepalive(struct cluster *cluster,
                              const struct cluster_node *node,
                              const struct owner_message *message)
{
    struct attached *attached =
        &owners_shell(cluster, node)->agents[message->agent];

    if (message->clock > attached->clock) {
        attached->clock = message->clock;
    }
    if (attached->lease == 0) {
        return;
    }
    submit(cluster, node,
           &(struct command){.type = COMMAND_RENEW,
                             .worker = owners_worker(message->agent),
                             .lease = attached->lease,
                             .clock = attached->clock});
    if (OWNERS_IS_MUTATED(LEASE_UNCOMMITTED)) {
        tell(cluster, node, message->agent, TO_AGENT_RENEWED,
             (struct owner_message){.lease = attached->lease,
                                    .clock = attached->clock});
    }
}

static void receive_report(struct cluster *cluster,
                           const struct cluster_node *node,
                           const struct owner_message *message)
{
    /* The atom `killed`, or `normal` of one that was to be stopped. */
    static const uint8_t killed[] = {119, 6, 'k', 'i', 'l', 'l', 'e', 'd'};
    static const uint8_t normal[] = {119, 6, 'n', 'o', 'r', 'm', 'a', 'l'};

    submit(cluster, node,
           &(struct command){.type = message->report,
                             .id = owners_sandbox(message->sandbox),
                             .epoch = message->epoch,
                             .pid = bytes_of_string("pid"),
                             .reason = message->report == COMMAND_STOPPED
                                           ? bytes_of(normal, sizeof(normal))
                                           : bytes_of(killed, sizeof(killed))});
}

static void receive_gone(struct cluster *cluster,
                         const struct cluster_node *node,
                         const struct owner_message *message)
{
    submit(cluster, node,
           &(struct command){.type = COMMAND_RELEASE,
                             .worker = owners_worker(message->agent),
                             .lease = message->lease});
}

static void receive(struct cluster *cluster, const struct cluster_node *node,
                    enum owner_message_type type,
                    const struct owner_message *message)
{
    const struct attached *attached =
        &owners_shell(cluster, node)->agents[message->agent];

    if (type == TO_NODE_ATTACH) {
        if (message->connection >= attached->connection) {
            receive_attach(cluster, node, message);
        }
        return;
    }
    if (type == TO_NODE_GONE) {
        receive_gone(cluster, node, message);
    }
    if (!attached->is_here || attached->connection != message->connection) {
        return;
    }
    if (type == TO_NODE_KEEPALIVE) {
        receive_keepalive(cluster, node, message);
    } else if (type == TO_NODE_REPORT) {
        receive_report(cluster, node, message);
    }
}

void owners_handle_node(struct cluster *cluster, struct cluster_event *event)
{
    const struct cluster_node *node = &cluster->nodes[event->node];
    struct owner_message message;

    if (node->raft != NULL && event->seq == TO_NODE_COMMANDS) {
        if (owners_leads(node)) {
            buf_put(&owners_shell(cluster, node)->batch, event->data,
                    event->size);
        }
    } else if (node->raft != NULL) {
        memcpy(&message, event->data, sizeof(message));
        receive(cluster, node, (enum owner_message_type)event->seq, &message);
    }
    free(event->data);
}

void owners_handle_agent(struct cluster *cluster, struct cluster_event *event)
{
    const struct sim_agent *agent = &cluster->owners->agents[event->node];
    struct owner_message message;

    if (agent->paused_until_ms > cluster->now_ms) {
        event->time_ms = agent->paused_until_ms;
        event_push(cluster, *event);
        return;
    }
    memcpy(&message, event->data, sizeof(message));
    owner_agents_receive(cluster, event->node,
                         (enum owner_message_type)event->seq, &message);
    free(event->data);
}

/* --- What the log says --------------------------------------------------- */

void owners_order(struct cluster *cluster, const struct cluster_node *node,
                  const struct sandbox *sandbox)
{
    uint32_t number = owners_agent_of(sandbox->worker);
    const struct attached *attached;

    if (number == NOT_AN_AGENT) {
        return;
    }
    attached = &owners_shell(cluster, node)->agents[number];
    if (!attached->is_here || attached->lease != sandbox->worker->lease) {
        return;
    }
    tell(cluster, node, number,
         sandbox->status == SANDBOX_STOPPING ? TO_AGENT_STOP : TO_AGENT_START,
         (struct owner_message){.lease = attached->lease,
                                .sandbox = number_of(sandbox),
                                .epoch = sandbox->epoch});
}

/* What the agent said that it runs, against what it should. */
static void reconcile(struct cluster *cluster, const struct cluster_node *node,
                      uint32_t number, const struct worker *worker)
{
    const struct attached *attached =
        &owners_shell(cluster, node)->agents[number];

    for (uint64_t i = 0; i < OWNERS_SANDBOXES; i++) {
        const struct sandbox *sandbox = registry_sandbox(
            &node->machine->machine.registry, owners_sandbox(i));
        uint64_t epoch = attached->running[i];
        bool is_owner = sandbox != NULL && sandbox->worker == worker;

        if (epoch != 0 && (!is_owner || sandbox->epoch != epoch)) {
            tell(cluster, node, number, TO_AGENT_STOP,
                 (struct owner_message){
                     .lease = attached->lease, .sandbox = i, .epoch = epoch});
        } else if (is_owner && epoch == 0 &&
                   sandbox->status == SANDBOX_RUNNING) {
            tell(cluster, node, number, TO_AGENT_CONFIRM,
                 (struct owner_message){.lease = attached->lease,
                                        .sandbox = i,
                                        .epoch = sandbox->epoch});
        } else if (is_owner && sandbox->status != SANDBOX_RUNNING) {
            owners_order(cluster, node, sandbox);
        }
    }
}

static void granted(struct cluster *cluster, const struct cluster_node *node,
                    uint32_t number, const struct worker *worker)
{
    struct attached *attached = &owners_shell(cluster, node)->agents[number];
    uint8_t incarnation[REGISTRY_INCARNATION_SIZE];

    owners_incarnation(attached->incarnation, incarnation);
    if (!attached->is_here || worker->member != node->id ||
        memcmp(incarnation, worker->incarnation, sizeof(incarnation)) != 0) {
        return;
    }
    attached->lease = worker->lease;
    tell(cluster, node, number, TO_AGENT_ATTACHED,
         (struct owner_message){.lease = worker->lease,
                                .clock = worker->renewed_clock});
    reconcile(cluster, node, number, worker);
}

static void lost(struct cluster *cluster, const struct cluster_node *node,
                 uint32_t number)
{
    tell(cluster, node, number, TO_AGENT_LOST,
         (struct owner_message){.agent = number});
    owners_shell(cluster, node)->agents[number].is_here = false;
}

static void worker_event(struct cluster_machine *machine,
                         const struct command_event *event, uint32_t number)
{
    struct cluster *cluster = machine->cluster;
    const struct worker *worker = event->worker;
    struct sim_shell *shell = owners_shell(cluster, machine->node);
    struct attached *attached = &shell->agents[number];

    if (event->type == EVENT_LEASE_ENDED) {
        cluster->expiry_count += machine->is_first;
        if (attached->is_here && attached->lease != 0) {
            lost(cluster, machine->node, number);
        }
        return;
    }
    if (event->type != EVENT_LEASE_GRANTED &&
        event->type != EVENT_LEASE_RENEWED) {
        return;
    }
    shell->renewed_ms[number] = owners_lease_clock(cluster, shell);
    if (event->type == EVENT_LEASE_GRANTED) {
        granted(cluster, machine->node, number, worker);
    } else if (attached->is_here && attached->lease == worker->lease) {
        tell(cluster, machine->node, number, TO_AGENT_RENEWED,
             (struct owner_message){.lease = worker->lease,
                                    .clock = worker->renewed_clock});
    }
}

void owners_event(struct cluster_machine *machine,
                  const struct command_event *event)
{
    struct cluster *cluster = machine->cluster;
    uint32_t number =
        event->worker == NULL ? NOT_AN_AGENT : owners_agent_of(event->worker);

    if (cluster->owners == NULL) {
        return;
    }
    if (event->type == EVENT_CLAIMED && machine->is_first) {
        uint64_t *claimed =
            &cluster->owners->claimed[number_of(event->sandbox)];

        if (event->sandbox->epoch <= *claimed) {
            cluster_fail(cluster, "epoch %" PRIu64 " is granted after %" PRIu64,
                         event->sandbox->epoch, *claimed);
        }
        *claimed = event->sandbox->epoch;
    }
    if (number == NOT_AN_AGENT) {
        return;
    }
    if (event->type == EVENT_CLAIMED || event->type == EVENT_STOPPING) {
        owners_order(cluster, machine->node, event->sandbox);
    } else if (event->sandbox == NULL && event->name == NULL) {
        worker_event(machine, event, number);
    }
}

void owners_refused(struct cluster_machine *machine,
                    const struct command *command, int rv)
{
    uint8_t incarnation[REGISTRY_INCARNATION_SIZE];

    if (machine->cluster->owners == NULL || command->type != COMMAND_ATTACH ||
        command->member != machine->node->id || rv != ERR_CLOSED) {
        return;
    }
    for (uint32_t i = 0; i < OWNERS_AGENTS; i++) {
        const struct attached *attached =
            &owners_shell(machine->cluster, machine->node)->agents[i];

        owners_incarnation(attached->incarnation, incarnation);
        if (attached->is_here &&
            bytes_equal(command->worker, owners_worker(i)) &&
            bytes_equal(command->incarnation,
                        bytes_of(incarnation, sizeof(incarnation)))) {
            lost(machine->cluster, machine->node, i);
        }
    }
}

/* Leases that are not what they were while it did not look. */
void owners_restored(struct cluster_machine *machine)
{
    struct cluster *cluster = machine->cluster;
    struct sim_shell *shell;

    if (cluster->owners == NULL) {
        return;
    }
    shell = owners_shell(cluster, machine->node);
    for (uint32_t i = 0; i < OWNERS_AGENTS; i++) {
        const struct worker *worker =
            registry_worker(&machine->machine.registry, owners_worker(i));

        shell->renewed_ms[i] = owners_lease_clock(cluster, shell);
        if (shell->agents[i].is_here && shell->agents[i].lease != 0 &&
            (worker == NULL || worker->lease != shell->agents[i].lease)) {
            lost(cluster, machine->node, i);
        }
    }
}
