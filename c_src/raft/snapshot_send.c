/* SPDX-License-Identifier: Apache-2.0
 * The leader's side of moving a snapshot (diss. 5.3) to a peer that lacks
 * entries which are no longer in the log. The core decides which bytes go to
 * whom and when; the shell reads them and puts them behind the header.
 *
 *   0 ........ acked ........ sent ............... size
 *              stored there   up to a window ahead
 *
 * Chunks that got lost are noticed by silence: then one is sent again from
 * `acked` on, and the answer says where the peer is, be it further back. */
#include "base/ensure.h"
#include "raft/internal.h"

static uint32_t chunk_size(const struct raft *raft)
{
    return raft->config.chunk_size == 0 ? RAFT_CHUNK_SIZE_MAX
                                        : raft->config.chunk_size;
}

static bool send_chunk(struct raft *raft, struct peer *peer)
{
    struct transfer *transfer = &peer->transfer;
    uint64_t left = transfer->snapshot.size - transfer->sent;
    uint32_t size = left < chunk_size(raft) ? (uint32_t)left : chunk_size(raft);

    if (!outbox_put_chunk(raft, peer, size)) {
        return false;
    }
    transfer->sent += size;
    return true;
}

void snapshot_send(struct raft *raft, struct peer *peer)
{
    struct transfer *transfer = &peer->transfer;
    uint64_t window = (uint64_t)chunk_size(raft) * CHUNKS_A_PEER;

    ensure(peer->state == PEER_SNAPSHOT);
    while (!transfer->is_asking && transfer->sent < transfer->snapshot.size &&
           transfer->sent - transfer->acked < window) {
        if (!send_chunk(raft, peer)) {
            return;
        }
    }
}

void snapshot_begin(struct raft *raft, struct peer *peer)
{
    /* What is not in the log any more is in the snapshot. */
    ensure(raft->snapshot.index >= log_base(&raft->log));
    ensure(raft->snapshot.index > 0);
    peer_probe(peer, peer->next);
    peer->state = PEER_SNAPSHOT;
    peer->transfer = (struct transfer){.snapshot = raft->snapshot,
                                       .progress_ms = raft->now_ms};
    snapshot_send(raft, peer);
}

/* Also with nothing left to send: the answer says whether it is installed. */
static void ask(struct raft *raft, struct peer *peer)
{
    struct transfer *transfer = &peer->transfer;

    transfer->is_asking = true;
    transfer->sent = transfer->acked;
    transfer->progress_ms = raft->now_ms;
    (void)send_chunk(raft, peer);
}

void snapshot_tick(struct raft *raft, struct peer *peer)
{
    ensure(peer->state == PEER_SNAPSHOT);
    if (raft->now_ms - peer->transfer.progress_ms >=
        raft->config.election_timeout_ms) {
        ask(raft, peer);
    }
}

void snapshot_handle_reply(struct raft *raft, struct peer *from,
                           const struct message *message)
{
    struct transfer *transfer = &from->transfer;

    if (from->state != PEER_SNAPSHOT ||
        message->index != transfer->snapshot.index ||
        message->offset > transfer->snapshot.size ||
        (message->offset <= transfer->acked && !transfer->is_asking)) {
        return;
    }
    if (message->offset > transfer->acked) {
        from->progress_ms = raft->now_ms;
    }
    transfer->acked = message->offset;
    if (transfer->is_asking || transfer->sent < transfer->acked) {
        transfer->sent = transfer->acked;
    }
    transfer->is_asking = false;
    transfer->progress_ms = raft->now_ms;
    snapshot_send(raft, from);
}

void snapshot_lost(struct raft *raft, uint64_t to, uint64_t index)
{
    struct peer *peer = raft_peer(raft, to);

    if (raft->role != RAFT_LEADER || peer == NULL ||
        peer->state != PEER_SNAPSHOT ||
        peer->transfer.snapshot.index != index ||
        raft->snapshot.index == index) {
        return;
    }
    snapshot_begin(raft, peer);
}

uint64_t raft_snapshot_needed(const struct raft *raft)
{
    uint64_t index = raft->snapshot.index;

    if (raft->role != RAFT_LEADER) {
        return index;
    }
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct peer *peer = &raft->peers[i];

        if (peer->state == PEER_SNAPSHOT &&
            peer->transfer.snapshot.index < index) {
            index = peer->transfer.snapshot.index;
        }
    }
    return index;
}
