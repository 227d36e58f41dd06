/* SPDX-License-Identifier: Apache-2.0
 * The disk of the replicated log: opening it, and what its thread reports. */
#include "base/ensure.h"
#include "base/err.h"
#include "node/node.h"

enum {
    OUTGOING_SIZE_MAX = 1024 * 1024,
    TRAILING_SIZE_MAX = 16 * 1024 * 1024,
    EXIT_IOERR = 74,
};

static void wal_done(void *arg, uint64_t seq, int status)
{
    struct node *node = (struct node *)arg;

    if (status != 0) {
        atomic_store(&node->wal_done_status, status);
    } else {
        atomic_store(&node->wal_done_seq, seq);
    }
    loop_wake(node->loop);
}

static void wal_full(void *arg, bool is_full)
{
    struct node *node = (struct node *)arg;

    atomic_store(&node->wal_is_full, is_full);
    loop_wake(node->loop);
}

/* Of what stays in the log behind a snapshot, for members that are late. */
static uint64_t trailing_size(const struct node *node)
{
    uint64_t size = node->settings->snapshot_log_size / 4;

    return size < TRAILING_SIZE_MAX ? size : TRAILING_SIZE_MAX;
}

static int open_raft(struct node *node, const struct wal_recovery *recovery,
                     const struct raft_snapshot *snapshot)
{
    struct raft_config config = {
        .id = node->self->id,
        .election_timeout_ms = node->settings->election_timeout_ms,
        .heartbeat_interval_ms = node->settings->heartbeat_interval_ms,
        .seed = rng_next(&node->rng),
        .trailing_size = trailing_size(node),
    };
    struct raft_recovered recovered = {
        .term = recovery->term,
        .voted_for = recovery->voted_for,
        .snapshot = snapshot->index == 0 ? NULL : snapshot,
        .entries = recovery->entries,
        .entry_count = recovery->entry_count};
    const struct card *card = &node->card;

    for (uint32_t i = 0; i < card->voter_count; i++) {
        config.voters[i] = members_id_of(bytes_of_string(card->voters[i]));
    }
    config.voter_count = card->voter_count;
    node->has_new_members = true;
    return raft_new(&config, &recovered, node->now_ms, &node->raft);
}

/* A log that nobody's name is on is half of a directory: as a new member this
 * one would take votes and entries for its own that it knows nothing of. */
static int check_owner(const struct node *node,
                       const struct wal_recovery *recovery, struct buf *error)
{
    if (node->is_card_saved || recovery->term == 0) {
        return 0;
    }
    buf_printf(error,
               "%s has a log, but the file identity is missing: bring back the "
               "whole directory, or give an empty --data-dir",
               node->settings->data_dir);
    return ERR_CORRUPT;
}

/* What the disk has: a state, and the log from there on. */
static int recover(struct node *node, struct raft_snapshot *ret_snapshot,
                   struct wal_recovery *ret_recovery, struct buf *error)
{
    struct wal_config config = {.dir = node->settings->data_dir,
                                .is_begun = node->is_card_saved,
                                .done = wal_done,
                                .full = wal_full,
                                .arg = node};
    int rv = node_snapshot_restore(node, ret_snapshot, error);

    if (rv != 0) {
        return rv;
    }
    if (error->size > 0) {
        buf_printf(error, ". Without it: ");
    }
    config.covered_index = ret_snapshot->index;
    rv = wal_open(&config, ret_recovery, error, &node->wal);
    if (rv == 0) {
        buf_clear(error); /* an older snapshot does, or none */
    }
    return rv;
}

static void tell_if_cached(const struct node *node)
{
    if (!wal_is_direct(node->wal)) {
        log_line(LOG_INFO, "log_not_direct", "dir=%s",
                 node->settings->data_dir);
    }
}

int node_log_open(struct node *node, struct buf *error)
{
    struct raft_snapshot snapshot;
    struct wal_recovery recovery = {0};
    int rv;

    buf_init(&node->batch, RAFT_PROPOSAL_SIZE_MAX);
    buf_init(&node->outgoing, OUTGOING_SIZE_MAX);
    list_init(&node->batch_proposals);
    list_init(&node->proposals);
    list_init(&node->reads);
    list_init(&node->reads_pending);
    list_init(&node->reads_confirmed);
    rv = recover(node, &snapshot, &recovery, error);
    if (rv != 0) {
        return rv;
    }
    rv = check_owner(node, &recovery, error);
    if (rv != 0) {
        wal_recovery_close(&recovery);
        return rv;
    }
    rv = open_raft(node, &recovery, &snapshot);
    if (rv != 0) {
        buf_printf(error, "the log cannot be used: %s", err_text(rv));
    } else {
        log_line(LOG_INFO, "log_recovered",
                 "snapshot=%llu entries=%zu term=%llu torn_bytes=%llu",
                 (unsigned long long)snapshot.index, recovery.entry_count,
                 (unsigned long long)recovery.term,
                 (unsigned long long)recovery.torn_bytes);
        tell_if_cached(node);
    }
    wal_recovery_close(&recovery);
    return rv == 0 ? node_snapshot_open(node, error) : rv;
}

/* Whoever waits for room acknowledges nothing and votes for nobody meanwhile.
 * A leader makes way for another one; asked for again if that fails. */
static void make_way(struct node *node)
{
    if (!node_log_is_leader(node) ||
        raft_membership(node->raft)->voter_count == 1 ||
        node->now_ms < node->make_way_ms) {
        return;
    }
    node->make_way_ms = node->now_ms + node->settings->election_timeout_ms;
    node_log_hand_over(node);
}

static void full_changed(struct node *node, bool is_full)
{
    node->is_log_full = is_full;
    if (!is_full) {
        log_line(LOG_INFO, "log_has_room", "waiting=no");
        return;
    }
    log_line(LOG_WARN, "log_full", "dir=%s", node->settings->data_dir);
}

bool node_log_disk(struct node *node, uint64_t *ret_seq)
{
    int status = atomic_load(&node->wal_done_status);
    bool is_full = atomic_load(&node->wal_is_full);

    if (status != 0) {
        node_fail(node, EXIT_IOERR, "log_write_failed", err_text(status));
        return false;
    }
    if (is_full != node->is_log_full) {
        full_changed(node, is_full);
    }
    if (is_full) {
        make_way(node);
    }
    *ret_seq = atomic_load(&node->wal_done_seq);
    return true;
}
