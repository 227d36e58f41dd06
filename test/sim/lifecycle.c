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

void cluster_lose_link(struct cluster *cluster, int node, uint64_t to)
{
    struct cluster_node *at = &cluster->nodes[node];
    struct raft_event event = {.type = RAFT_LINK_LOST, .from = to};

    if (at->raft != NULL && !clock_is_paused(cluster, at)) {
        int rv = cluster_step(cluster, at, &event);

        ensure(rv == 0);
    }
}

/* A process that ends closes its links; if the machine is lost, nobody hears
 * of it. */
static void close_links(struct cluster *cluster, int node)
{
    if (rng_below(&cluster->rng, 2) == 0) {
        return;
    }
    for (uint32_t i = 0; i < cluster->node_count; i++) {
        if ((int)i != node) {
            cluster_lose_link(cluster, (int)i, cluster->nodes[node].id);
        }
    }
}

void cluster_crash(struct cluster *cluster, int node)
{
    struct cluster_node *victim = &cluster->nodes[node];
    bool is_kept = true;

    raft_free(victim->raft);
    victim->raft = NULL;
    while (victim->writes_first != NULL) {
        is_kept = is_kept && rng_below(&cluster->rng, 2) == 0;
        disk_write_end(victim, is_kept);
    }
    snapshots_crash(victim);
    owners_crash(cluster, victim);
    close_links(cluster, node);
}

void cluster_restart(struct cluster *cluster, int node)
{
    struct cluster_node *victim = &cluster->nodes[node];
    struct raft_config config = {.id = victim->id,
                                 .election_timeout_ms = CLUSTER_ELECTION_MS,
                                 .heartbeat_interval_ms = CLUSTER_HEARTBEAT_MS,
                                 .trailing_entries = cluster->trailing_entries,
                                 .chunk_size = CLUSTER_CHUNK_SIZE,
                                 .seed = rng_next(&cluster->rng)};
    struct raft_recovered recovered = {.term = victim->term,
                                       .voted_for = victim->voted_for,
                                       .entry_count = victim->log.count};
    struct raft_entry *entries =
        cluster_must(calloc(victim->log.count + 1, sizeof(*entries)));
    int rv;

    if (victim->id <= cluster->voter_count) {
        config.voter_count = cluster->voter_count;
    }
    for (uint32_t i = 0; i < config.voter_count; i++) {
        config.voters[i] = i + 1;
    }
    for (size_t i = 0; i < victim->log.count; i++) {
        const struct cluster_entry *entry = &victim->log.entries[i];

        entries[i] =
            (struct raft_entry){.index = victim->log.base + i + 1,
                                .term = entry->term,
                                .type = entry->type,
                                .data = bytes_of(entry->data, entry->size)};
    }
    recovered.entries = entries;
    if (victim->snapshot.about.index > 0) {
        recovered.snapshot = &victim->snapshot.about;
    }
    victim->incarnation++;
    victim->change.phase = RAFT_CHANGE_NONE;
    snapshots_restart(cluster, victim);
    victim->write_done_ms = 0;
    rv =
        raft_new(&config, &recovered, clock_of(cluster, victim), &victim->raft);
    if (rv != 0) {
        (void)fprintf(stderr,
                      "node %" PRIu64 ": %s: snapshot %" PRIu64
                      ", log from %" PRIu64 " to %" PRIu64 "\n",
                      victim->id, err_text(rv), victim->snapshot.about.index,
                      victim->log.base + 1, disk_last(&victim->log));
        abort();
    }
    raft_check(victim->raft);
    oracle_membership(cluster, victim);
    free(entries);
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
        while (cluster->nodes[i].writes_first != NULL) {
            disk_write_end(&cluster->nodes[i], false);
        }
        disk_log_free(&cluster->nodes[i].log);
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
