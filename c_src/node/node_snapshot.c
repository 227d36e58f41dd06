/* SPDX-License-Identifier: Apache-2.0
 * Taking a snapshot. One at a time: a piece is made in each turn, as long as
 * the disk keeps up, while entries go on being applied. */
#include "node/node_snapshot.h"

#include "base/ensure.h"
#include "base/err.h"
#include "node/node.h"
#include "raft/membership.h"

_Static_assert((int)MEMBERSHIP_SIZE_MAX <= (int)SNAPSHOT_CONFIGURATION_MAX,
               "a membership fits into the header");

enum { REFUSED_RETRY_MS = 500 };

static void disk_ready(void *arg)
{
    const struct node *node = (const struct node *)arg;

    loop_wake(node->loop);
}

int node_snapshot_open(struct node *node, struct buf *error)
{
    struct snapshots_config config = {
        .dir = node->settings->data_dir, .ready = disk_ready, .arg = node};
    int rv;

    list_init(&node->snapshot.sends);
    rv = snapshots_open(&config, &node->snapshot.disk);
    if (rv != 0) {
        buf_printf(error, "the thread of the snapshots cannot start: %s",
                   err_text(rv));
    }
    return rv;
}

void node_snapshot_close(struct node *node)
{
    node_snapshot_give_up(node);
    node_snapshot_install_close(node);
    snapshots_close(node->snapshot.disk);
    node->snapshot.disk = NULL;
    node_snapshot_move_close(node);
}

void node_snapshot_meta(const struct raft_snapshot *snapshot,
                        struct snapshot_meta *ret_meta)
{
    *ret_meta = (struct snapshot_meta){.index = snapshot->index,
                                       .term = snapshot->term,
                                       .size = snapshot->size};
    ret_meta->configuration_size = (uint32_t)membership_encode(
        &snapshot->membership, ret_meta->configuration);
}

void node_snapshot_give_up(struct node *node)
{
    struct node_snapshot *snapshot = &node->snapshot;

    command_snapshot_close(&snapshot->making);
    snapshot->about = (struct raft_snapshot){0};
    snapshot->is_begun = false;
    snapshot->is_finishing = false;
}

/* The log stays as it is, and it is tried again after a while. */
static void failed(struct node *node, int rv)
{
    struct node_snapshot *snapshot = &node->snapshot;
    uint64_t pause_ms = NODE_SNAPSHOT_RETRY_MS;

    for (uint32_t i = 0;
         i < snapshot->failed_in_a_row && pause_ms < NODE_SNAPSHOT_RETRY_MAX_MS;
         i++) {
        pause_ms *= 2;
    }
    log_line(LOG_WARN, "snapshot_failed",
             "index=%llu why=\"%s\" again_in_ms=%llu",
             (unsigned long long)snapshot->about.index, err_text(rv),
             (unsigned long long)pause_ms);
    snapshot->failed_count++;
    snapshot->failed_in_a_row++;
    snapshot->is_wanted = true;
    snapshot->retry_ms = node->now_ms + pause_ms;
    node_snapshot_give_up(node);
}

static bool is_due(const struct node *node)
{
    const struct node_snapshot *snapshot = &node->snapshot;
    uint64_t due = node->settings->snapshot_log_size;

    if (snapshot->last_size > due) {
        due = snapshot->last_size;
    }
    return node->now_ms >= snapshot->retry_ms &&
           (snapshot->is_wanted || snapshot->log_bytes >= due);
}

static void begin(struct node *node)
{
    struct node_snapshot *snapshot = &node->snapshot;
    int rv;

    /* Refused: there is one of this very state, or this member does not know
     * yet who took part. */
    if (raft_snapshot_at(node->raft, node->machine.applied_index,
                         &snapshot->about) != 0) {
        snapshot->about.index = 0;
        snapshot->retry_ms = node->now_ms + REFUSED_RETRY_MS;
        return;
    }
    snapshot->began_ms = node->now_ms;
    rv = command_snapshot_begin(&snapshot->making, &node->machine,
                                NODE_SNAPSHOT_BUFFER_MAX);
    if (rv != 0) {
        failed(node, rv);
        return;
    }
    snapshot->log_bytes = 0;
    snapshot->is_wanted = false;
}

/* Hands over what is made; false: it has to wait. */
static bool hand_over(struct node *node)
{
    struct node_snapshot *snapshot = &node->snapshot;
    int rv = 0;

    if (snapshots_waiting(snapshot->disk) > NODE_SNAPSHOT_QUEUE_MAX) {
        return false;
    }
    if (!snapshot->is_begun) {
        rv = snapshots_begin(snapshot->disk, snapshot->about.index);
        snapshot->is_begun = rv == 0;
    }
    if (rv == 0 && snapshot->making.bytes.size > 0) {
        rv = snapshots_append(snapshot->disk,
                              buf_bytes(&snapshot->making.bytes));
    }
    if (rv == ERR_BUSY) {
        return false;
    }
    if (rv != 0) {
        failed(node, rv);
        return false;
    }
    snapshot->about.size += snapshot->making.bytes.size;
    buf_clear(&snapshot->making.bytes);
    return true;
}

static void finish(struct node *node)
{
    struct node_snapshot *snapshot = &node->snapshot;
    struct snapshot_meta meta;
    int rv;

    node_snapshot_meta(&snapshot->about, &meta);
    rv = snapshots_finish(snapshot->disk, &meta);
    if (rv == 0) {
        snapshot->is_finishing = true;
        command_snapshot_close(&snapshot->making);
    } else if (rv != ERR_BUSY) {
        failed(node, rv);
    }
}

/* One piece; in the next turn, or when the disk has room, it goes on. */
static void make(struct node *node)
{
    struct node_snapshot *snapshot = &node->snapshot;

    if (!snapshot->making.is_whole) {
        int rv = command_snapshot_make(&snapshot->making, NODE_SNAPSHOT_SLICE);

        if (rv != 0) {
            failed(node, rv);
            return;
        }
    }
    if (!hand_over(node)) {
        return;
    }
    if (snapshot->making.is_whole) {
        finish(node);
    }
    loop_wake(node->loop);
}

static void taken(struct node *node, const struct snapshots_result *result)
{
    struct node_snapshot *snapshot = &node->snapshot;
    struct raft_event event = {.type = RAFT_SNAPSHOT_TAKEN,
                               .snapshot_index = result->meta.index,
                               .snapshot_size = result->meta.size};

    if (result->meta.index != snapshot->about.index) {
        return; /* another one has taken its place */
    }
    if (result->status != 0) {
        failed(node, result->status);
        return;
    }
    log_line(LOG_INFO, "snapshot_taken", "index=%llu bytes=%llu ms=%llu",
             (unsigned long long)result->meta.index,
             (unsigned long long)result->meta.size,
             (unsigned long long)(node->now_ms - snapshot->began_ms));
    snapshot->last_index = result->meta.index;
    snapshot->last_size = result->meta.size;
    snapshot->last_time_s = sys_wall_s();
    snapshot->taken_count++;
    snapshot->failed_in_a_row = 0;
    node_snapshot_give_up(node);
    node_log_tell(node, &event);
    wal_release(node->wal, raft_first_index(node->raft) - 1);
}

static void drain(struct node *node)
{
    struct snapshots_result result;

    while (!node->is_stopping &&
           snapshots_take(node->snapshot.disk, &result) == 0) {
        if (result.type == SNAPSHOTS_TAKEN) {
            taken(node, &result);
        } else {
            node_snapshot_moved(node, &result);
        }
        buf_close(&result.data);
    }
}

/* Files that are being sent, and the one that the core counts on, stay. */
static void tell_needed(struct node *node)
{
    uint64_t needed = raft_snapshot_needed(node->raft);

    if (needed != node->snapshot.needed_told) {
        node->snapshot.needed_told = needed;
        snapshots_need(node->snapshot.disk, needed);
    }
}

void node_snapshot_tick(struct node *node)
{
    struct node_snapshot *snapshot = &node->snapshot;

    tell_needed(node);
    drain(node);
    node_snapshot_move_tick(node);
    node_snapshot_take_apart(node);
    if (snapshot->about.index == 0 && is_due(node)) {
        begin(node);
    }
    if (snapshot->about.index != 0 && !snapshot->is_finishing) {
        make(node);
    }
}
