/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/cluster.h"

#include "base/err.h"
#include "raft/membership.h"
#include "sim/cluster_internal.h"
#include "sim/owners.h"

#include <stdlib.h>

enum { LOGS_MATCH_EVERY = 64 };

static uint64_t below(struct cluster *cluster, uint64_t bound)
{
    return rng_below(&cluster->rng, bound);
}

static bool chance(struct cluster *cluster, uint32_t percent)
{
    return percent > 0 && below(cluster, 100) < percent;
}

/* --- Cores --------------------------------------------------------------- */

void cluster_send(struct cluster *cluster, uint64_t from, uint64_t to,
                  struct bytes bytes)
{
    uint64_t *busy_ms = &cluster->link_busy_ms[from - 1][to - 1];
    uint32_t copies =
        chance(cluster, cluster->faults.duplicate_percent) ? 2 : 1;

    cluster->sent_count++;
    if (cluster->is_cut[from - 1][to - 1] ||
        chance(cluster, cluster->faults.drop_percent)) {
        return;
    }
    for (uint32_t i = 0; i < copies; i++) {
        uint64_t time_ms = cluster->now_ms + cluster->faults.delay_min_ms + 1 +
                           below(cluster, cluster->faults.delay_max_ms);

        if (cluster->faults.stall_percent > 0 &&
            chance(cluster, cluster->faults.stall_percent)) {
            time_ms += cluster->faults.stall_ms;
        }
        if (cluster->faults.is_ordered && time_ms < *busy_ms) {
            time_ms = *busy_ms;
        }
        *busy_ms = time_ms;
        event_push(cluster, (struct cluster_event){.time_ms = time_ms,
                                                   .type = EVENT_MESSAGE,
                                                   .node = (uint32_t)to - 1,
                                                   .from = from,
                                                   .data = cluster_copy(bytes),
                                                   .size = bytes.size});
    }
}

int cluster_step(struct cluster *cluster, struct cluster_node *node,
                 struct raft_event *event)
{
    struct raft_effects effects;
    int rv;

    event->now_ms = clock_of(cluster, node);
    cluster->step_count++;
    node->membership = *raft_membership(node->raft);
    rv = raft_step(node->raft, event, &effects);
    if (rv == ERR_MALFORMED) {
        node->refused_count++;
    }
    if (rv != 0) {
        raft_check(node->raft);
        return rv;
    }
    if (effects.persist.seq != 0) {
        disk_write_begin(cluster, node, &effects.persist);
    }
    oracle_sends(cluster, node, &effects);
    for (size_t i = 0; i < effects.send_count; i++) {
        cluster_send(cluster, node->id, effects.sends[i].to,
                     effects.sends[i].bytes);
    }
    if (effects.change.phase != RAFT_CHANGE_NONE) {
        node->change = effects.change;
        cluster->change_count += effects.change.phase == RAFT_CHANGE_DONE;
    }
    snapshots_carry_out(cluster, node, &effects);
    oracle_step(cluster, node, &effects);
    if (cluster->step_count % LOGS_MATCH_EVERY == 0) {
        oracle_logs_match(cluster);
    }
    return 0;
}

static void handle_disk(struct cluster *cluster,
                        const struct cluster_event *event)
{
    struct cluster_node *node = &cluster->nodes[event->node];
    struct raft_event done = {.type = RAFT_PERSISTED,
                              .persisted_seq = event->seq};

    if (node->raft == NULL || node->incarnation != event->incarnation) {
        return;
    }
    if (cluster->is_disk_stuck[event->node]) {
        struct cluster_event later = *event;

        later.time_ms = cluster->now_ms + 1;
        event_push(cluster, later);
        return;
    }
    if (!disk_write_end(cluster, node, event->seq)) {
        /* As the member does: what is on disk is not known any more. */
        cluster->end_count++;
        lifecycle_end(cluster, node, false);
        if (cluster->is_mended) {
            cluster_restart(cluster, (int)event->node);
        }
        return;
    }
    (void)cluster_step(cluster, node, &done);
    disk_write_next(cluster, node);
}

/* A leader without room makes way. */
static void handle_full(struct cluster *cluster,
                        const struct cluster_event *event)
{
    const struct cluster_node *node = &cluster->nodes[event->node];

    if (node->raft != NULL && node->incarnation == event->incarnation &&
        raft_role(node->raft) == RAFT_LEADER) {
        (void)cluster_hand_over(cluster, (int)event->node, -1);
    }
}

static void handle_event(struct cluster *cluster, struct cluster_event *event)
{
    struct cluster_node *node;

    if (event->type == EVENT_TO_AGENT) {
        owners_handle_agent(cluster, event);
        return;
    }
    node = &cluster->nodes[event->node];
    if (clock_is_paused(cluster, node)) {
        event->time_ms = node->paused_until_ms;
        event_push(cluster, *event);
        return;
    }
    if (event->type == EVENT_DISK) {
        handle_disk(cluster, event);
        return;
    }
    if (event->type == EVENT_TO_SHELL) {
        owners_handle_node(cluster, event);
        return;
    }
    if (event->type == EVENT_FULL) {
        handle_full(cluster, event);
        return;
    }
    if (event->type != EVENT_MESSAGE) {
        snapshots_handle(cluster, event);
        return;
    }
    if (node->raft != NULL && !cluster->is_cut[event->from - 1][event->node]) {
        struct raft_event message = {.type = RAFT_MESSAGE,
                                     .from = event->from,
                                     .bytes =
                                         bytes_of(event->data, event->size)};

        if (cluster_step(cluster, node, &message) == ERR_MALFORMED) {
            oracle_refused(cluster, node, event->from, message.bytes);
        }
    }
    free(event->data);
}

/* The node whose timer is next, or NULL. */
static struct cluster_node *next_timer(struct cluster *cluster,
                                       uint64_t *ret_time_ms)
{
    struct cluster_node *next = NULL;
    uint64_t time_ms = UINT64_MAX;

    for (uint32_t i = 0; i < cluster->node_count; i++) {
        struct cluster_node *node = &cluster->nodes[i];
        uint64_t deadline_ms;

        if (node->raft == NULL) {
            continue;
        }
        deadline_ms = clock_when(cluster, node, raft_deadline_ms(node->raft));
        if (deadline_ms < node->paused_until_ms) {
            deadline_ms = node->paused_until_ms;
        }
        if (deadline_ms < time_ms) {
            time_ms = deadline_ms;
            next = node;
        }
    }
    *ret_time_ms = time_ms < cluster->now_ms ? cluster->now_ms : time_ms;
    return next;
}

/* One event or timer up to `end_ms`; false: there is none. */
static bool run_one(struct cluster *cluster, uint64_t end_ms)
{
    uint64_t timer_ms;
    struct cluster_node *node = next_timer(cluster, &timer_ms);
    struct raft_event tick = {.type = RAFT_TICK};
    uint64_t event_ms =
        cluster->event_count > 0 ? cluster->events[0].time_ms : UINT64_MAX;

    if (cluster->failure[0] != '\0') {
        return false;
    }
    if (event_ms <= timer_ms && event_ms <= end_ms) {
        struct cluster_event event = event_pop(cluster);

        if (event.time_ms > cluster->now_ms) {
            cluster->now_ms = event.time_ms;
        }
        handle_event(cluster, &event);
        return true;
    }
    if (node == NULL || timer_ms > end_ms) {
        return false;
    }
    cluster->now_ms = timer_ms;
    (void)cluster_step(cluster, node, &tick);
    return true;
}

/* --- What tests do ------------------------------------------------------- */

void cluster_run(struct cluster *cluster, uint64_t ms)
{
    uint64_t end_ms = cluster->now_ms + ms;

    while (run_one(cluster, end_ms)) {
        continue;
    }
    cluster->now_ms = end_ms;
}

int cluster_leader(const struct cluster *cluster)
{
    int leader = -1;

    for (uint32_t i = 0; i < cluster->node_count; i++) {
        const struct raft *raft = cluster->nodes[i].raft;

        if (raft != NULL && raft_role(raft) == RAFT_LEADER &&
            (leader < 0 ||
             raft_term(raft) > raft_term(cluster->nodes[leader].raft))) {
            leader = (int)i;
        }
    }
    return leader;
}

static bool is_settled(const struct cluster *cluster, int leader)
{
    const struct raft *raft;
    struct raft_entry entry;

    if (leader < 0) {
        return false;
    }
    raft = cluster->nodes[leader].raft;
    return raft_has_quorum(raft, clock_of(cluster, &cluster->nodes[leader])) &&
           raft_entry_get(raft, raft_commit_index(raft), &entry) == 0 &&
           entry.term == raft_term(raft);
}

int cluster_run_until_leader(struct cluster *cluster, uint64_t ms)
{
    uint64_t end_ms = cluster->now_ms + ms;

    while (!is_settled(cluster, cluster_leader(cluster))) {
        if (!run_one(cluster, end_ms)) {
            return -1;
        }
    }
    return cluster_leader(cluster);
}

static bool is_member(const struct cluster *cluster, uint64_t id)
{
    int leader = cluster_leader(cluster);

    return leader < 0 ||
           membership_roles(raft_membership(cluster->nodes[leader].raft), id) !=
               0;
}

bool cluster_run_until_committed(struct cluster *cluster, uint64_t index,
                                 uint64_t ms)
{
    uint64_t end_ms = cluster->now_ms + ms;
    bool is_behind;

    do {
        is_behind = false;
        for (uint32_t i = 0; i < cluster->node_count; i++) {
            const struct raft *raft = cluster->nodes[i].raft;

            is_behind =
                is_behind || (raft != NULL && raft_commit_index(raft) < index &&
                              is_member(cluster, i + 1));
        }
    } while (is_behind && run_one(cluster, end_ms));
    return !is_behind;
}

static bool is_ended(enum raft_change_phase phase)
{
    return phase == RAFT_CHANGE_DONE || phase == RAFT_CHANGE_FAILED;
}

enum raft_change_phase cluster_run_until_changed(struct cluster *cluster,
                                                 int node, uint64_t ms)
{
    uint64_t end_ms = cluster->now_ms + ms;
    const struct cluster_node *asked = &cluster->nodes[node];

    while (!is_ended(asked->change.phase)) {
        if (!run_one(cluster, end_ms)) {
            return RAFT_CHANGE_NONE;
        }
    }
    return asked->change.phase;
}

/* Who stands still takes no request. */
static int request(struct cluster *cluster, int node, struct raft_event *event)
{
    if (clock_is_paused(cluster, &cluster->nodes[node])) {
        return ERR_BUSY;
    }
    return cluster_step(cluster, &cluster->nodes[node], event);
}

int cluster_change(struct cluster *cluster, int node, unsigned voters,
                   unsigned learners)
{
    struct raft_membership target = {.voter_count = 0};
    struct raft_event event = {.type = RAFT_CHANGE, .target = &target};

    for (uint32_t i = 0; i < cluster->node_count; i++) {
        if ((voters >> i & 1) != 0) {
            target.voters[target.voter_count++] = i + 1;
        } else if ((learners >> i & 1) != 0) {
            target.learners[target.learner_count++] = i + 1;
        }
    }
    cluster->nodes[node].change.phase = RAFT_CHANGE_NONE;
    return request(cluster, node, &event);
}

int cluster_propose(struct cluster *cluster, int node, const char *text)
{
    struct raft_event event = {.type = RAFT_PROPOSE,
                               .bytes = bytes_of_string(text)};

    return request(cluster, node, &event);
}

int cluster_read(struct cluster *cluster, int node)
{
    size_t id = cluster->read_count;
    struct raft_event event = {.type = RAFT_READ, .read_id = id};

    if (id == CLUSTER_READS_MAX) {
        return -1;
    }
    cluster->reads[id] = (struct cluster_read){
        .node = (uint64_t)node, .committed = cluster->committed_count};
    cluster->read_count++;
    if (request(cluster, node, &event) != 0) {
        cluster->read_count--;
        return -1;
    }
    return (int)id;
}

int cluster_hand_over(struct cluster *cluster, int node, int to)
{
    struct raft_event event = {.type = RAFT_HANDOVER,
                               .successor = (uint64_t)(to + 1)};

    return request(cluster, node, &event);
}

int cluster_inject(struct cluster *cluster, int node, uint64_t from,
                   struct bytes bytes)
{
    struct raft_event event = {
        .type = RAFT_MESSAGE, .from = from, .bytes = bytes};

    return request(cluster, node, &event);
}
