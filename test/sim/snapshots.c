/* SPDX-License-Identifier: Apache-2.0
 * Snapshots on disks and on their way: a hash of all entries that the node has
 * applied, and the state of its machine, under a CRC so that a chunk in the
 * wrong place is noticed. */
#include "base/crc32c.h"
#include "base/err.h"
#include "sim/cluster_internal.h"
#include "sim/machines.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { HASH_SIZE = 8, HEAD_SIZE = HASH_SIZE + 4, SNAPSHOT_MAX = 1 << 20 };

static uint64_t hash_of(const uint8_t *data)
{
    struct cursor cursor = cursor_of(bytes_of(data, HASH_SIZE));
    uint64_t hash = 0;

    return cursor_u64(&cursor, &hash) == 0 ? hash : 0;
}

struct bytes snapshot_state(const struct cluster_snapshot *snapshot)
{
    return bytes_of(snapshot->data + HEAD_SIZE,
                    (size_t)snapshot->about.size - HEAD_SIZE);
}

static bool is_whole(const struct cluster_snapshot *snapshot)
{
    struct cursor cursor =
        cursor_of(bytes_of(snapshot->data + HASH_SIZE, HEAD_SIZE - HASH_SIZE));
    uint32_t crc = 0;

    return cursor_u32(&cursor, &crc) == 0 &&
           crc == crc32c(0, snapshot_state(snapshot));
}

/* hash:64 crc:32, and what the machine saves. */
static void save(struct cluster_node *node, struct cluster_event *event)
{
    struct buf bytes;

    buf_init(&bytes, SNAPSHOT_MAX);
    buf_put_u64(&bytes, node->hash);
    buf_put_u32(&bytes, 0);
    machine_save(node, &bytes);
    if (buf_error(&bytes) != 0) {
        abort();
    }
    buf_patch_u32(
        &bytes, HASH_SIZE,
        crc32c(0, bytes_of(bytes.data + HEAD_SIZE, bytes.size - HEAD_SIZE)));
    event->data = cluster_copy(buf_bytes(&bytes));
    event->size = bytes.size;
    buf_close(&bytes);
}

static void push_later(struct cluster *cluster, const struct cluster_node *node,
                       struct cluster_event event,
                       const struct raft_snapshot *about)
{
    event.about = cluster_must(malloc(sizeof(*event.about)));
    *event.about = *about;
    event.time_ms = cluster->now_ms +
                    rng_below(&cluster->rng, cluster->faults.disk_max_ms + 2);
    event.node = (uint32_t)node->id - 1;
    event.incarnation = node->incarnation;
    event_push(cluster, event);
}

void cluster_snapshot(struct cluster *cluster, int node)
{
    struct cluster_node *taker = &cluster->nodes[node];
    struct cluster_event event = {.type = EVENT_TAKEN};
    struct raft_snapshot about;

    if (taker->raft == NULL || taker->is_taking ||
        raft_snapshot_at(taker->raft, taker->committed, &about) != 0) {
        return;
    }
    taker->is_taking = true;
    save(taker, &event);
    about.size = event.size;
    push_later(cluster, taker, event, &about);
}

/* --- What a step asks for ------------------------------------------------ */

static const struct cluster_snapshot *find(const struct cluster_node *node,
                                           uint64_t index)
{
    if (node->snapshot.about.index == index) {
        return &node->snapshot;
    }
    return node->snapshot_before.about.index == index ? &node->snapshot_before
                                                      : NULL;
}

static void send_chunk(struct cluster *cluster, struct cluster_node *node,
                       const struct raft_chunk_send *chunk)
{
    const struct cluster_snapshot *snapshot = find(node, chunk->snapshot_index);
    size_t size = chunk->header.size + chunk->size;
    uint8_t *bytes;

    if (snapshot == NULL) {
        push_later(
            cluster, node,
            (struct cluster_event){.type = EVENT_CHUNK_LOST, .from = chunk->to},
            &(struct raft_snapshot){.index = chunk->snapshot_index});
        return;
    }
    bytes = cluster_must(malloc(size));
    memcpy(bytes, chunk->header.data, chunk->header.size);
    memcpy(bytes + chunk->header.size, snapshot->data + chunk->offset,
           chunk->size);
    cluster_send(cluster, node->id, chunk->to, bytes_of(bytes, size));
    free(bytes);
}

static void store_chunk(struct cluster *cluster, struct cluster_node *node,
                        const struct raft_chunk *chunk)
{
    struct cluster_snapshot *incoming = &node->incoming;

    if (chunk->offset == 0) {
        free(incoming->data);
        incoming->data = cluster_must(malloc(chunk->snapshot_size));
        incoming->about = (struct raft_snapshot){.index = chunk->snapshot_index,
                                                 .size = chunk->snapshot_size};
    }
    if (incoming->about.index != chunk->snapshot_index ||
        chunk->offset + chunk->data.size > incoming->about.size) {
        cluster_fail(cluster, "a chunk at the wrong place");
        return;
    }
    memcpy(incoming->data + chunk->offset, chunk->data.data, chunk->data.size);
    push_later(cluster, node,
               (struct cluster_event){.type = EVENT_CHUNK_STORED,
                                      .seq = chunk->transfer,
                                      .end = chunk->offset + chunk->data.size},
               &incoming->about);
}

static void take_state(struct cluster *cluster, struct cluster_node *node)
{
    uint64_t index = node->snapshot.about.index;

    node->committed = index;
    node->hash = index == 0 ? 0 : hash_of(node->snapshot.data);
    if (index > 0 && (index > cluster->committed_count ||
                      cluster->committed[index - 1].hash != node->hash)) {
        cluster_fail(cluster, "node %" PRIu64 " has another log at %" PRIu64,
                     node->id, index);
    }
    machine_open(cluster, node);
    if (index > 0 && cluster->failure[0] == '\0' &&
        cluster->committed[index - 1].chain != node->machine->chain) {
        cluster_fail(cluster, "node %" PRIu64 " has another state at %" PRIu64,
                     node->id, index);
    }
}

void snapshots_carry_out(struct cluster *cluster, struct cluster_node *node,
                         const struct raft_effects *effects)
{
    for (size_t i = 0; i < effects->chunk_send_count; i++) {
        send_chunk(cluster, node, &effects->chunk_sends[i]);
    }
    if (effects->chunk.transfer != 0) {
        store_chunk(cluster, node, &effects->chunk);
    }
    if (effects->finish != NULL) {
        push_later(cluster, node,
                   (struct cluster_event){.type = EVENT_STORED,
                                          .seq = effects->finish_transfer},
                   effects->finish);
    }
    if (effects->restore != NULL) {
        cluster->restore_count++;
        if (effects->restore->index < node->committed) {
            cluster_fail(cluster,
                         "node %" PRIu64 " goes back from %" PRIu64
                         " to a snapshot of %" PRIu64,
                         node->id, node->committed, effects->restore->index);
        }
        take_state(cluster, node);
    }
}

/* --- What came of it ----------------------------------------------------- */

static void drop(struct cluster_snapshot *snapshot)
{
    free(snapshot->data);
    *snapshot = (struct cluster_snapshot){.data = NULL};
}

/* It is on disk from now on. */
static void keep(struct cluster_node *node, struct cluster_snapshot snapshot)
{
    if (snapshot.about.index <= node->snapshot.about.index) {
        free(snapshot.data);
        return;
    }
    drop(&node->snapshot_before);
    node->snapshot_before = node->snapshot;
    node->snapshot = snapshot;
}

static void handle_taken(struct cluster *cluster, struct cluster_node *node,
                         const struct cluster_event *event)
{
    struct raft_event taken = {.type = RAFT_SNAPSHOT_TAKEN,
                               .snapshot_index = event->about->index,
                               .snapshot_size = event->about->size};

    node->is_taking = false;
    keep(node, (struct cluster_snapshot){.about = *event->about,
                                         .data = event->data});
    (void)cluster_step(cluster, node, &taken);
    disk_release(node, raft_first_index(node->raft) - 1);
    /* What is compared with the files is not cut while a write is under way
     * that may itself cut what is to stay. */
    if (node->writes_first == NULL && rng_below(&cluster->rng, 2) == 0) {
        disk_cut_start(&node->log, raft_first_index(node->raft) - 1);
    }
}

static void handle_stored(struct cluster *cluster, struct cluster_node *node,
                          const struct cluster_event *event)
{
    struct raft_event stored = {.type = RAFT_SNAPSHOT_STORED,
                                .transfer = event->seq};

    node->incoming.about = *event->about;
    if (!is_whole(&node->incoming)) {
        cluster_fail(cluster, "a snapshot arrives damaged");
        return;
    }
    keep(node, node->incoming);
    node->incoming = (struct cluster_snapshot){.data = NULL};
    (void)cluster_step(cluster, node, &stored);
}

static void handle(struct cluster *cluster, const struct cluster_event *event)
{
    struct cluster_node *node = &cluster->nodes[event->node];
    struct raft_event done = {.transfer = event->seq,
                              .snapshot_index = event->about->index,
                              .from = event->from,
                              .chunk_end = event->end};

    if (node->raft == NULL || node->incarnation != event->incarnation) {
        free(event->data);
        return;
    }
    if (event->type == EVENT_TAKEN) {
        handle_taken(cluster, node, event);
        return;
    }
    if (event->type == EVENT_STORED) {
        handle_stored(cluster, node, event);
        return;
    }
    done.type =
        event->type == EVENT_CHUNK_STORED ? RAFT_CHUNK_STORED : RAFT_CHUNK_LOST;
    (void)cluster_step(cluster, node, &done);
}

void snapshots_handle(struct cluster *cluster,
                      const struct cluster_event *event)
{
    handle(cluster, event);
    free(event->about);
}

void snapshots_crash(struct cluster_node *node)
{
    drop(&node->incoming);
    node->is_taking = false;
}

void snapshots_restart(struct cluster *cluster, struct cluster_node *node)
{
    take_state(cluster, node);
}

void snapshots_free(struct cluster_node *node)
{
    drop(&node->snapshot);
    drop(&node->snapshot_before);
    drop(&node->incoming);
}
