/* SPDX-License-Identifier: Apache-2.0
 * The leader's work, and the life of all. */
#include "base/err.h"
#include "sim/owners_internal.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { OWNERS_SALT = 0x07e5 };

#ifdef RAFT_MUTATIONS
enum owners_mutation owners_mutation;
#endif

uint64_t owners_draw(struct cluster *cluster, uint64_t bound)
{
    return rng_below(&cluster->owners->rng, bound);
}

/* --- Names --------------------------------------------------------------- */

struct bytes owners_worker(uint32_t agent)
{
    static const char *const names[OWNERS_AGENTS] = {"a1", "a2", "a3"};

    return bytes_of_string(names[agent]);
}

struct bytes owners_sandbox(uint64_t number)
{
    static const char *const ids[OWNERS_SANDBOXES] = {"s0", "s1", "s2", "s3"};

    return bytes_of_string(ids[number]);
}

void owners_incarnation(uint64_t number, uint8_t *ret_bytes)
{
    memset(ret_bytes, 0, REGISTRY_INCARNATION_SIZE);
    memcpy(ret_bytes, &number, sizeof(number));
}

uint32_t owners_agent_of(const struct worker *worker)
{
    for (uint32_t i = 0; i < OWNERS_AGENTS; i++) {
        if (bytes_equal(worker->name, owners_worker(i))) {
            return i;
        }
    }
    return NOT_AN_AGENT;
}

/* --- Messages ------------------------------------------------------------ */

void owners_post(struct cluster *cluster, enum cluster_event_type event_type,
                 uint32_t target, uint64_t time_ms,
                 enum owner_message_type type,
                 const struct owner_message *message)
{
    event_push(cluster, (struct cluster_event){.type = event_type,
                                               .node = target,
                                               .time_ms = time_ms,
                                               .seq = (uint64_t)type,
                                               .data = cluster_copy(bytes_of(
                                                   message, sizeof(*message))),
                                               .size = sizeof(*message)});
}

struct sim_shell *owners_shell(const struct cluster *cluster,
                               const struct cluster_node *node)
{
    return &cluster->owners->shells[node->id - 1];
}

bool owners_leads(const struct cluster_node *node)
{
    return node->raft != NULL && raft_role(node->raft) == RAFT_LEADER;
}

uint64_t owners_lease_clock(const struct cluster *cluster,
                            const struct sim_shell *shell)
{
    return cluster->now_ms * shell->clock_rate / 1000;
}

/* --- The leader's work --------------------------------------------------- */

bool owners_pick(struct cluster *cluster, const struct cluster_node *node,
                 struct command *command)
{
    uint32_t first = (uint32_t)owners_draw(cluster, OWNERS_AGENTS);

    for (uint32_t i = 0; i < OWNERS_AGENTS; i++) {
        const struct worker *worker =
            registry_worker(&node->machine->machine.registry,
                            owners_worker((first + i) % OWNERS_AGENTS));

        if (worker != NULL && worker->lease != 0) {
            command->worker = worker->name;
            command->lease = worker->lease;
            return true;
        }
    }
    return false;
}

static void expire(struct cluster *cluster, const struct cluster_node *node)
{
    struct sim_shell *shell = owners_shell(cluster, node);
    uint64_t now_ms = owners_lease_clock(cluster, shell);
    uint64_t ttl_ms =
        OWNERS_IS_MUTATED(LEASE_SHORT) ? TTL_OWNER_MS : TTL_LEADER_MS;

    for (uint32_t i = 0; i < OWNERS_AGENTS; i++) {
        const struct worker *worker =
            registry_worker(&node->machine->machine.registry, owners_worker(i));
        uint64_t since_ms = shell->renewed_ms[i] > shell->leader_since_ms
                                ? shell->renewed_ms[i]
                                : shell->leader_since_ms;

        if (worker == NULL || worker->lease == 0 ||
            now_ms - since_ms < ttl_ms ||
            shell->expire_index[i] == worker->renewed_index) {
            continue;
        }
        shell->expire_index[i] = worker->renewed_index;
        command_encode(
            &shell->batch,
            &(struct command){.type = COMMAND_EXPIRE,
                              .worker = worker->name,
                              .lease = worker->lease,
                              .renewed_index = worker->renewed_index});
    }
}

static void place_ring(struct cluster *cluster, const struct cluster_node *node,
                       const struct list *ring)
{
    struct sim_shell *shell = owners_shell(cluster, node);

    LIST_FOREACH (item, ring) {
        const struct sandbox *sandbox =
            LIST_ENTRY(item, struct sandbox, worker_link);
        struct command command = {
            .type = COMMAND_PLACE, .id = sandbox->id, .epoch = sandbox->epoch};

        if (owners_draw(cluster, 2) == 0 &&
            owners_pick(cluster, node, &command)) {
            command_encode(&shell->batch, &command);
        }
    }
}

static void place(struct cluster *cluster, const struct cluster_node *node)
{
    for (int i = REGISTRY_PRIORITY_MAX; i >= 0; i--) {
        place_ring(cluster, node, &node->machine->machine.registry.unplaced[i]);
    }
}

/* The worker of the registers' names has a lease without end. */
static void keep_names(struct sim_shell *shell, const struct cluster_node *node)
{
    const struct worker *worker = registry_worker(
        &node->machine->machine.registry, bytes_of_string("names"));

    if (worker == NULL) {
        command_encode(&shell->batch,
                       &(struct command){
                           .type = COMMAND_ATTACH,
                           .worker = bytes_of_string("names"),
                           .incarnation = bytes_of_string("0123456789abcdef"),
                           .member = 1});
    }
}

static void orders_again(struct cluster *cluster,
                         const struct cluster_node *node)
{
    for (uint64_t i = 0; i < OWNERS_SANDBOXES; i++) {
        const struct sandbox *sandbox = registry_sandbox(
            &node->machine->machine.registry, owners_sandbox(i));

        if (sandbox != NULL && sandbox->worker != NULL &&
            sandbox->status != SANDBOX_RUNNING &&
            owners_draw(cluster, 16) == 0) {
            owners_order(cluster, node, sandbox);
        }
    }
}

static bool is_up_to_date(const struct cluster_node *node)
{
    struct raft_entry last;

    return raft_entry_get(node->raft, node->committed, &last) == 0 &&
           last.term == raft_term(node->raft);
}

static void begin_term(struct cluster *cluster, struct sim_shell *shell,
                       uint64_t term)
{
    if (shell->leader_term == term) {
        return;
    }
    shell->leader_term = term;
    shell->leader_since_ms = owners_lease_clock(cluster, shell);
    memset(shell->expire_index, 0, sizeof(shell->expire_index));
    buf_clear(&shell->batch);
}

static void lead(struct cluster *cluster, struct cluster_node *node)
{
    struct sim_shell *shell = owners_shell(cluster, node);
    struct raft_event event = {.type = RAFT_PROPOSE};

    begin_term(cluster, shell, raft_term(node->raft));
    if (is_up_to_date(node)) {
        expire(cluster, node);
        place(cluster, node);
        keep_names(shell, node);
    }
    if (buf_error(&shell->batch) == 0 && shell->batch.size > 0) {
        event.bytes = buf_bytes(&shell->batch);
        /* Refused: it hands over. What is lost is asked for again. */
        (void)cluster_step(cluster, node, &event);
    }
    buf_clear(&shell->batch);
}

void owners_tick(struct cluster *cluster)
{
    if (cluster->owners == NULL) {
        return;
    }
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        struct cluster_node *node = &cluster->nodes[i];

        if (node->raft == NULL || clock_is_paused(cluster, node)) {
            continue;
        }
        orders_again(cluster, node);
        if (owners_leads(node)) {
            lead(cluster, node);
        }
    }
    for (uint32_t i = 0; i < OWNERS_AGENTS && !cluster->owners->is_calm; i++) {
        owner_agents_befall(cluster, i);
    }
}

/* --- Life ---------------------------------------------------------------- */

void owners_start(struct cluster *cluster)
{
    struct owners *owners = cluster_must(calloc(1, sizeof(*owners)));

    cluster->owners = owners;
    rng_init(&owners->rng, cluster->seed ^ OWNERS_SALT);
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        owners->shells[i].clock_rate = 990 + (uint32_t)owners_draw(cluster, 21);
        buf_init(&owners->shells[i].batch, BATCH_MAX);
    }
    owner_agents_start(cluster);
}

void owners_crash(struct cluster *cluster, const struct cluster_node *node)
{
    struct sim_shell *shell;

    if (cluster->owners == NULL) {
        return;
    }
    shell = owners_shell(cluster, node);
    memset(shell->agents, 0, sizeof(shell->agents));
    buf_clear(&shell->batch);
    shell->leader_term = 0;
    for (uint32_t i = 0; i < OWNERS_AGENTS; i++) {
        shell->renewed_ms[i] = owners_lease_clock(cluster, shell);
    }
}

void owners_settle(struct cluster *cluster)
{
    if (cluster->owners == NULL) {
        return;
    }
    cluster->owners->is_calm = true;
    for (uint32_t i = 0; i < OWNERS_AGENTS; i++) {
        cluster->owners->agents[i].paused_until_ms = 0;
    }
}

void owners_free(struct cluster *cluster)
{
    if (cluster->owners == NULL) {
        return;
    }
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        buf_close(&cluster->owners->shells[i].batch);
    }
    free(cluster->owners);
    cluster->owners = NULL;
}
