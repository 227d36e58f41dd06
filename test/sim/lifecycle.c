/* SPDX-License-Identifier: Apache-2.0
 * Nodes and clusters come, go and come back. */
#include "base/ensure.h"
#include "base/err.h"
#include "sim/cluster_internal.h"
#include "sim/owners.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { ERROR_SIZE_MAX = 1000 };

void cluster_lose_link(struct cluster *cluster, int node, uint64_t to)
{
    struct cluster_node *at = &cluster->nodes[node];
    struct raft_event event = {.type = RAFT_LINK_LOST, .from = to};

    if (at->raft != NULL && !clock_is_paused(cluster, at)) {
        int rv = cluster_step(cluster, at, &event);

        ensure(rv == 0);
    }
}

static void close_links(struct cluster *cluster,
                        const struct cluster_node *node)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        if (i + 1 != node->id) {
            cluster_lose_link(cluster, (int)i, node->id);
        }
    }
}

void lifecycle_end(struct cluster *cluster, struct cluster_node *node,
                   bool is_power_cut)
{
    raft_free(node->raft);
    node->raft = NULL;
    disk_stop(cluster, node, is_power_cut);
    snapshots_crash(node);
    owners_crash(cluster, node);
    /* A process that ends closes its links; if the machine is lost, nobody
     * hears of it. */
    if (!is_power_cut) {
        close_links(cluster, node);
    }
}

void cluster_crash(struct cluster *cluster, int node)
{
    lifecycle_end(cluster, &cluster->nodes[node],
                  rng_below(&cluster->rng, 2) == 0);
}

static struct raft_config config_of(struct cluster *cluster,
                                    const struct cluster_node *node)
{
    struct raft_config config = {.id = node->id,
                                 .election_timeout_ms = CLUSTER_ELECTION_MS,
                                 .heartbeat_interval_ms = CLUSTER_HEARTBEAT_MS,
                                 .trailing_entries = cluster->trailing_entries,
                                 .chunk_size = CLUSTER_CHUNK_SIZE,
                                 .seed = rng_next(&cluster->rng)};

    if (node->id <= cluster->voter_count) {
        config.voter_count = cluster->voter_count;
    }
    for (uint32_t i = 0; i < config.voter_count; i++) {
        config.voters[i] = i + 1;
    }
    return config;
}

static void start_core(struct cluster *cluster, struct cluster_node *node,
                       const struct wal_recovery *recovery)
{
    struct raft_config config = config_of(cluster, node);
    struct raft_recovered recovered = {.term = recovery->term,
                                       .voted_for = recovery->voted_for,
                                       .entries = recovery->entries,
                                       .entry_count = recovery->entry_count};
    int rv;

    if (node->snapshot.about.index > 0) {
        recovered.snapshot = &node->snapshot.about;
    }
    node->incarnation++;
    node->change.phase = RAFT_CHANGE_NONE;
    snapshots_restart(cluster, node);
    rv = raft_new(&config, &recovered, clock_of(cluster, node), &node->raft);
    if (rv != 0) {
        (void)fprintf(stderr,
                      "node %" PRIu64 ": %s: snapshot %" PRIu64
                      ", log from %" PRIu64 " to %" PRIu64 "\n",
                      node->id, err_text(rv), node->snapshot.about.index,
                      node->log.base + 1, disk_last(&node->log));
        abort();
    }
    raft_check(node->raft);
    oracle_membership(cluster, node);
}

/* Errors of the disk keep it down; damage does, if there is some. */
static void refused(struct cluster *cluster, const struct cluster_node *node,
                    int rv, uint32_t checksum, const struct buf *error)
{
    if (rv == ERR_IO || rv == ERR_NO_SPACE) {
        return;
    }
    if (!disk_is_damaged(node)) {
        cluster_fail(cluster, "node %" PRIu64 " does not start: %s: %.*s",
                     node->id, err_text(rv), (int)error->size,
                     (const char *)error->data);
        return;
    }
    cluster->refusal_count++;
    if (disk_checksum(node) != checksum) {
        cluster_fail(cluster,
                     "node %" PRIu64 " does not start, and changes files",
                     node->id);
    }
}

void cluster_restart(struct cluster *cluster, int node)
{
    struct cluster_node *victim = &cluster->nodes[node];
    struct wal_recovery recovery;
    struct buf error;
    uint32_t checksum = disk_checksum(victim);
    int rv;

    buf_init(&error, ERROR_SIZE_MAX);
    rv = disk_start(cluster, victim, &recovery, &error);
    /* It may end at once, in the middle of its repairs. */
    while (rv == 0 && rng_below(&cluster->rng, 8) == 0) {
        wal_recovery_close(&recovery);
        disk_stop(cluster, victim, rng_below(&cluster->rng, 2) == 0);
        checksum = disk_checksum(victim);
        rv = disk_start(cluster, victim, &recovery, &error);
    }
    if (rv == 0) {
        oracle_recovered(cluster, victim, &recovery);
        start_core(cluster, victim, &recovery);
        wal_recovery_close(&recovery);
    } else {
        refused(cluster, victim, rv, checksum, &error);
    }
    buf_close(&error);
}

void cluster_isolate(struct cluster *cluster, int node, bool is_cut)
{
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        cluster->is_cut[node][i] = is_cut;
        cluster->is_cut[i][node] = is_cut;
    }
}

void cluster_mend(struct cluster *cluster)
{
    memset(cluster->is_cut, 0, sizeof(cluster->is_cut));
    memset(cluster->is_disk_stuck, 0, sizeof(cluster->is_disk_stuck));
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        cluster->nodes[i].paused_until_ms = 0;
        cluster_fill_disk(cluster, (int)i, 0);
        cluster_mend_disk(cluster, (int)i);
    }
}

struct cluster *cluster_new(uint32_t node_count, uint64_t seed)
{
    return cluster_new_with(node_count, node_count, seed);
}

struct cluster *cluster_new_with(uint32_t node_count, uint32_t voter_count,
                                 uint64_t seed)
{
    struct cluster *cluster = cluster_must(calloc(1, sizeof(*cluster)));

    cluster->seed = seed;
    rng_init(&cluster->rng, seed);
    cluster->now_ms = 1000;
    cluster->node_count = node_count;
    cluster->voter_count = voter_count;
    clients_new(cluster);
    cluster->trailing_entries = 1 + (uint32_t)(seed % 37);
    cluster->faults.delay_max_ms = 1;
    cluster->faults.is_ordered = true;
    for (uint32_t i = 0; i < node_count; i++) {
        cluster->nodes[i].id = i + 1;
        disk_new(cluster, &cluster->nodes[i]);
        cluster_set_clock(cluster, (int)i, 1000);
        cluster_restart(cluster, (int)i);
    }
    return cluster;
}

void cluster_free(struct cluster *cluster)
{
    if (cluster == NULL) {
        return;
    }
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        raft_free(cluster->nodes[i].raft);
        disk_free(&cluster->nodes[i]);
        snapshots_free(&cluster->nodes[i]);
        machine_close(&cluster->nodes[i]);
    }
    for (size_t i = 0; i < cluster->event_count; i++) {
        free(cluster->events[i].data);
        free(cluster->events[i].about);
    }
    free(cluster->events);
    free(cluster->committed);
    clients_free(cluster);
    owners_free(cluster);
    free(cluster);
}
