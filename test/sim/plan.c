/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/plan.h"

#include "sim/cluster_internal.h"

#include <inttypes.h>
#include <stdio.h>

enum {
    PLAN_SALT = 0x51a7,
    /* Of the kinds in draw_fault(); the last two are faults of a disk. */
    KINDS = 19,
    KINDS_OF_DISKS = 2
};

static uint32_t draw(struct rng *rng, uint32_t bound)
{
    return (uint32_t)rng_below(rng, bound);
}

/* --- Drawing ------------------------------------------------------------- */

/* Half of them hit whoever leads. */
static struct plan_fault draw_of_node(struct rng *rng, uint32_t nodes)
{
    static const enum plan_type types[] = {
        PLAN_TOGGLE, PLAN_BOUNCE, PLAN_ISOLATE, PLAN_ISOLATE,
        PLAN_STICK,  PLAN_PAUSE,  PLAN_CLOCK};
    struct plan_fault fault = {.type = types[draw(rng, 7)]};

    fault.node = draw(rng, 2) == 0 ? PLAN_LEADER : draw(rng, nodes);
    if (fault.type == PLAN_PAUSE) {
        fault.a = draw(rng, 4 * CLUSTER_ELECTION_MS);
    }
    if (fault.type == PLAN_CLOCK) {
        fault.a = 300 + draw(rng, 1700);
    }
    return fault;
}

static struct plan_fault draw_rates(struct rng *rng, bool do_disks_fail)
{
    return (struct plan_fault){
        .type = PLAN_RATES, .a = draw(rng, 1U << 30), .b = do_disks_fail};
}

static struct plan_fault draw_fault(struct rng *rng, uint32_t nodes,
                                    bool do_disks_fail)
{
    struct plan_fault fault = {.node = draw(rng, nodes)};

    switch (draw(rng, do_disks_fail ? KINDS : KINDS - KINDS_OF_DISKS)) {
    case 0:
        fault.type = PLAN_CUT;
        fault.a = draw(rng, nodes);
        return fault;
    case 1:
        fault.type = PLAN_SPLIT;
        fault.a = draw(rng, 1U << nodes);
        return fault;
    case 2:
    case 3:
        fault.type = PLAN_MEND;
        return fault;
    case 4:
    case 5:
        fault.type = PLAN_CHANGE;
        fault.a = draw(rng, (1U << nodes) - 1) + 1;
        fault.b = draw(rng, 1U << nodes);
        return fault;
    case 6:
    case 7:
        fault.type = PLAN_HAND_OVER;
        fault.a = draw(rng, nodes + 1);
        return fault;
    case 8:
    case 9:
        fault.type = PLAN_START;
        return fault;
    case 10:
        return draw_rates(rng, do_disks_fail);
    case KINDS - 2:
        fault.type = PLAN_FILL;
        fault.node = draw(rng, 2) == 0 ? PLAN_LEADER : fault.node;
        fault.a = draw(rng, 6 * CLUSTER_ELECTION_MS);
        return fault;
    case KINDS - 1:
        fault.type = PLAN_DAMAGE;
        fault.a = draw(rng, 1U << 30);
        return fault;
    default:
        return draw_of_node(rng, nodes);
    }
}

static void push(struct plan *plan, uint64_t ms, struct plan_fault fault)
{
    if (plan->count < PLAN_FAULTS_MAX) {
        fault.ms = ms;
        plan->faults[plan->count] = fault;
        plan->count++;
    }
}

/* One successor stands still while it is named, the next is named when the
 * first is given up: then both campaign in the same term. Returns the time
 * after. */
static uint64_t push_two_successors(struct plan *plan, struct rng *rng,
                                    uint64_t ms, uint32_t nodes)
{
    uint32_t first = draw(rng, nodes);

    push(plan, ms,
         (struct plan_fault){.type = PLAN_PAUSE,
                             .node = first,
                             .a = CLUSTER_ELECTION_MS + draw(rng, 60)});
    push(plan, ms, (struct plan_fault){.type = PLAN_HAND_OVER, .a = first + 1});
    ms += CLUSTER_ELECTION_MS + draw(rng, 2 * CLUSTER_HEARTBEAT_MS);
    push(
        plan, ms,
        (struct plan_fault){.type = PLAN_HAND_OVER, .a = draw(rng, nodes) + 1});
    return ms;
}

void plan_draw(struct plan *plan, const struct cluster *cluster, uint64_t ms)
{
    uint32_t nodes = cluster->node_count;
    uint64_t now_ms = 0;
    uint32_t calm_ms;
    bool do_disks_fail;
    struct rng rng;

    rng_init(&rng, cluster->seed ^ PLAN_SALT);
    /* A disk that fails ends its node: with such disks a run has less of all
     * that needs nodes which live for long. */
    do_disks_fail = draw(&rng, 2) == 0;
    calm_ms = 20 + draw(&rng, 300);
    plan->count = 0;
    while (now_ms < ms && plan->count < PLAN_FAULTS_MAX) {
        if (plan->count == 0) {
            push(plan, 0, draw_rates(&rng, do_disks_fail));
        }
        if (draw(&rng, 12) == 0) {
            now_ms = push_two_successors(plan, &rng, now_ms, nodes);
        } else {
            push(plan, now_ms, draw_fault(&rng, nodes, do_disks_fail));
        }
        now_ms += 1 + draw(&rng, 2 * calm_ms);
    }
}

/* --- Carrying out -------------------------------------------------------- */

static void set_rates(struct cluster *cluster, const struct plan_fault *fault)
{
    struct cluster_faults *faults = &cluster->faults;
    struct rng rng;

    rng_init(&rng, fault->a);
    faults->drop_percent = draw(&rng, 2) == 0 ? 0 : draw(&rng, 30);
    faults->duplicate_percent = draw(&rng, 2) == 0 ? 0 : draw(&rng, 20);
    faults->delay_max_ms = 1 + draw(&rng, draw(&rng, 2) == 0 ? 4 : 60);
    faults->is_ordered = draw(&rng, 2) == 0;
    faults->snapshot_permille = draw(&rng, 2) == 0 ? 0 : 1 + draw(&rng, 50);
    faults->disk_max_ms = draw(&rng, draw(&rng, 2) == 0 ? 3 : 80);
    faults->disk_permille =
        fault->b != 0 && draw(&rng, 3) == 0 ? 1 + draw(&rng, 4) : 0;
}

static void split(struct cluster *cluster, uint32_t sides)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        for (uint32_t j = 0; j < cluster->node_count; j++) {
            cluster->is_cut[i][j] = (sides >> i & 1) != (sides >> j & 1);
        }
    }
}

static void hit_node(struct cluster *cluster, int node,
                     const struct plan_fault *fault)
{
    bool is_down = cluster->nodes[node].raft == NULL;

    if (fault->type == PLAN_BOUNCE ||
        (fault->type == PLAN_TOGGLE && !is_down)) {
        cluster_crash(cluster, node);
    }
    if (fault->type == PLAN_DAMAGE) {
        cluster_crash(cluster, node);
        cluster_damage_disk(cluster, node, fault->a);
        cluster_restart(cluster, node);
        return;
    }
    if (is_down) {
        cluster_mend_disk(cluster, node);
    }
    if (fault->type == PLAN_BOUNCE ||
        (is_down &&
         (fault->type == PLAN_TOGGLE || fault->type == PLAN_START))) {
        cluster_restart(cluster, node);
    }
    if (fault->type == PLAN_ISOLATE) {
        cluster_isolate(cluster, node, true);
    }
    if (fault->type == PLAN_STICK) {
        cluster->is_disk_stuck[node] = true;
    }
    if (fault->type == PLAN_FILL) {
        cluster_fill_disk(cluster, node, fault->a);
    }
    if (fault->type == PLAN_PAUSE) {
        cluster_pause(cluster, node, fault->a);
    }
    if (fault->type == PLAN_CLOCK) {
        cluster_set_clock(cluster, node, fault->a);
    }
}

void plan_carry_out(struct cluster *cluster, const struct plan_fault *fault)
{
    int leader = cluster_leader(cluster);
    int node = fault->node == PLAN_LEADER ? leader : (int)fault->node;

    switch (fault->type) {
    case PLAN_RATES:
        set_rates(cluster, fault);
        return;
    case PLAN_CUT:
        cluster->is_cut[fault->node][fault->a] = true;
        return;
    case PLAN_SPLIT:
        split(cluster, fault->a);
        return;
    case PLAN_MEND:
        cluster_mend(cluster);
        return;
    case PLAN_CHANGE:
        /* Seeds without spare nodes change nothing. */
        if (leader >= 0 && cluster->voter_count < cluster->node_count) {
            (void)cluster_change(cluster, leader, fault->a, fault->b);
        }
        return;
    case PLAN_HAND_OVER:
        if (leader >= 0) {
            (void)cluster_hand_over(cluster, leader, (int)fault->a - 1);
        }
        return;
    case PLAN_TOGGLE:
    case PLAN_BOUNCE:
    case PLAN_ISOLATE:
    case PLAN_STICK:
    case PLAN_PAUSE:
    case PLAN_CLOCK:
    case PLAN_START:
    case PLAN_FILL:
    case PLAN_DAMAGE:
        if (node >= 0) {
            hit_node(cluster, node, fault);
        }
        return;
    }
}

/* --- Describing ---------------------------------------------------------- */

void plan_describe(const struct plan_fault *fault, char *text)
{
    static const char *const names[] = {
        "rates",  "toggle",    "bounce", "isolate", "stick",
        "pause",  "clock",     "cut",    "split",   "mend",
        "change", "hand over", "start",  "fill",    "damage"};
    char node[16] = "leader";

    if (fault->node != PLAN_LEADER) {
        (void)snprintf(node, sizeof(node), "%" PRIu32, fault->node + 1);
    }
    (void)snprintf(text, PLAN_TEXT_SIZE,
                   "%6" PRIu64 " ms  %-9s node=%s a=%" PRIu32 " b=%" PRIu32,
                   fault->ms, names[fault->type], node, fault->a, fault->b);
}
