/* SPDX-License-Identifier: Apache-2.0
 * Handing over the leadership (diss. 3.10). The leader takes no proposals,
 * waits until the successor has its whole log, and tells it to campaign at
 * once. If that has not led anywhere within an election timeout, it leads on.
 */
#include "base/ensure.h"
#include "base/err.h"
#include "raft/internal.h"

/* The voter that is nearest to the end of the log, or NULL. */
static struct peer *best_successor(struct raft *raft)
{
    struct peer *best = NULL;

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        struct peer *peer = &raft->peers[i];

        if ((peer->roles & ROLE_VOTER) != 0 && peer->is_heard &&
            (best == NULL || peer->match > best->match)) {
            best = peer;
        }
    }
    return best;
}

static bool tell(struct raft *raft, const struct peer *peer)
{
    struct message message = {.type = MESSAGE_TIMEOUT_NOW, .term = raft->term};

    return outbox_put(raft, peer->id, &message);
}

int handover_begin(struct raft *raft, uint64_t to)
{
    struct peer *peer;

    if (raft->role != RAFT_LEADER) {
        return ERR_NOT_LEADER;
    }
    if (raft->handover.to != 0 || raft->commit < raft->term_start) {
        return ERR_BUSY;
    }
    peer = to == 0 ? best_successor(raft) : raft_peer(raft, to);
    if (peer == NULL || (peer->roles & ROLE_VOTER) == 0) {
        return ERR_NOT_FOUND;
    }
    raft->handover = (struct handover){
        .to = peer->id, .deadline_ms = raft->now_ms + raft_timeout_ms(raft)};
    return 0;
}

void handover_advance(struct raft *raft)
{
    struct handover *handover = &raft->handover;
    const struct peer *peer = raft_peer(raft, handover->to);

    ensure(raft->role == RAFT_LEADER);
    if (peer == NULL || (peer->roles & ROLE_VOTER) == 0 ||
        raft->now_ms >= handover->deadline_ms) {
        handover_abandon(raft);
        return;
    }
    if (peer->match < log_last(&raft->log) ||
        raft->now_ms < handover->next_ms) {
        return;
    }
    /* It may get lost. */
    if (tell(raft, peer)) {
        handover->next_ms = raft->now_ms + raft->config.heartbeat_interval_ms;
    }
}

void handover_abandon(struct raft *raft)
{
    if (raft->handover.to != 0) {
        raft->is_handover_failed = raft->role == RAFT_LEADER;
        raft->handover.to = 0;
    }
}

void handover_at_end(struct raft *raft)
{
    const struct peer *peer = best_successor(raft);

    if (peer != NULL) {
        (void)tell(raft, peer);
    }
}

int handover_handle(struct raft *raft, uint64_t from,
                    const struct message *message)
{
    if (message->term < raft->term) {
        return 0;
    }
    if (follower_is_forbidden(raft, from, message)) {
        return ERR_MALFORMED;
    }
    election_follow(raft, message->term, from);
    /* The leader says it again when the disk has caught up. */
    if (raft_is_voter(raft) && !raft_is_hard_pending(raft)) {
        election_take_over(raft);
    }
    return 0;
}
