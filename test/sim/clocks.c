/* SPDX-License-Identifier: Apache-2.0
 * Each node has its own clock, which runs too fast or too slowly, and each node
 * may stand still for a while, as a stopped process or a paused machine does:
 * its clock goes on, what comes in waits. */
#include "sim/cluster_internal.h"

enum { RATE_NORMAL = 1000 };

uint64_t clock_of(const struct cluster *cluster,
                  const struct cluster_node *node)
{
    return node->clock_then_ms + (cluster->now_ms - node->clock_since_ms) *
                                     node->clock_rate / RATE_NORMAL;
}

/* When, in the time of the world, the node's clock shows `local_ms`. */
uint64_t clock_when(const struct cluster *cluster,
                    const struct cluster_node *node, uint64_t local_ms)
{
    uint64_t left;

    if (local_ms == UINT64_MAX) {
        return UINT64_MAX;
    }
    if (local_ms <= clock_of(cluster, node)) {
        return cluster->now_ms;
    }
    left = local_ms - node->clock_then_ms;
    return node->clock_since_ms +
           (left * RATE_NORMAL + node->clock_rate - 1) / node->clock_rate;
}

void cluster_set_clock(struct cluster *cluster, int position, uint32_t rate)
{
    struct cluster_node *node = &cluster->nodes[position];

    node->clock_then_ms =
        node->clock_rate == 0 ? cluster->now_ms : clock_of(cluster, node);
    node->clock_since_ms = cluster->now_ms;
    node->clock_rate = rate;
}

bool clock_is_paused(const struct cluster *cluster,
                     const struct cluster_node *node)
{
    return node->paused_until_ms > cluster->now_ms;
}

void cluster_pause(struct cluster *cluster, int position, uint64_t ms)
{
    struct cluster_node *node = &cluster->nodes[position];

    if (cluster->now_ms + ms > node->paused_until_ms) {
        node->paused_until_ms = cluster->now_ms + ms;
    }
}
