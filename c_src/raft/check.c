/* SPDX-License-Identifier: Apache-2.0
 * The invariants of the core, for tests and simulation. */
#include "base/ensure.h"
#include "raft/internal.h"

enum { TERMS_CHECKED = 64 };

static void check_log(const struct raft *raft)
{
    uint64_t last = log_last(&raft->log);
    uint64_t base = log_base(&raft->log);
    uint64_t first = last > base + TERMS_CHECKED ? last - TERMS_CHECKED : base;

    ensure(raft->commit <= last);
    ensure(base <= raft->snapshot.index);
    ensure(raft->snapshot.index <= raft->commit);
    if (raft->snapshot.index > 0) {
        ensure(log_has(&raft->log, raft->snapshot.index, raft->snapshot.term));
        ensure(raft->snapshot.size > 0);
    }
    ensure(raft->writes.persisted_index <= last);
    ensure(log_term(&raft->log, last) <= raft->term);
    for (uint64_t i = first; i < last; i++) {
        ensure(log_term(&raft->log, i) <= log_term(&raft->log, i + 1));
    }
    if (raft->writes.count == 0) {
        ensure(raft->writes.persisted_index == last);
    }
}

static void check_peer(const struct raft *raft, const struct peer *peer)
{
    uint64_t bytes = 0;

    ensure(peer->id != raft->config.id);
    ensure(peer->match < peer->next);
    ensure(peer->next <= log_last(&raft->log) + 1);
    ensure(peer->read_seq <= raft->reads.round);
    ensure(peer->read.round <= raft->reads.round);
    ensure(peer->flight_count <= RAFT_WINDOW_MAX);
    for (uint32_t i = 0; i < peer->flight_count; i++) {
        const struct peer_flight *flight =
            &peer->flights[(peer->flight_head + i) % RAFT_WINDOW_MAX];

        ensure(flight->last > peer->match);
        ensure(flight->last < peer->next);
        bytes += flight->size;
    }
    ensure(bytes == peer->flight_bytes);
    if (peer->state != PEER_REPLICATE) {
        ensure(peer->flight_count == 0);
    }
    if (peer->state == PEER_SNAPSHOT) {
        ensure(peer->transfer.snapshot.index <= raft->snapshot.index);
        ensure(peer->transfer.acked <= peer->transfer.sent);
        ensure(peer->transfer.sent <= peer->transfer.snapshot.size);
        ensure(peer->match < peer->transfer.snapshot.index);
    }
}

static void check_incoming(const struct incoming *incoming)
{
    ensure(incoming->stored <= incoming->received);
    ensure(incoming->received <= incoming->snapshot.size);
    if (incoming->is_finishing) {
        ensure(incoming->stored == incoming->snapshot.size);
        ensure(incoming->snapshot.index > 0);
    }
}

static void check_leader(const struct raft *raft)
{
    uint64_t bytes = 0;

    ensure(raft->leader == raft->config.id);
    ensure(raft->voted_for == raft->config.id);
    ensure(!raft->is_hard_changed);
    ensure(raft->seq_hard <= raft->seq_persisted);
    ensure(raft->term_start <= log_last(&raft->log));
    if (raft->term_start > log_base(&raft->log)) {
        ensure(log_term(&raft->log, raft->term_start) == raft->term);
        ensure(log_term(&raft->log, raft->term_start - 1) < raft->term);
    }
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        check_peer(raft, &raft->peers[i]);
    }
    for (uint64_t i = raft->commit + 1; i <= log_last(&raft->log); i++) {
        bytes += log_get(&raft->log, i).data.size;
    }
    ensure(bytes == raft->uncommitted_bytes);
}

/* The newest membership in the log is in use, and its members are peers. */
static void check_membership(const struct raft *raft)
{
    const struct raft_membership *membership = &raft->membership;

    if (membership->voter_count > 0) {
        ensure(membership_check(membership) == 0);
    }
    ensure(raft->membership_index <= log_last(&raft->log));
    ensure(raft->own_roles == membership_roles(membership, raft->config.id));
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct peer *peer = &raft->peers[i];

        ensure(peer->roles == membership_roles(membership, peer->id));
    }
    if (raft->membership_index > raft->snapshot.index &&
        raft->role == RAFT_LEADER) {
        ensure(log_get(&raft->log, raft->membership_index).type ==
               RAFT_ENTRY_CONFIG);
    }
    if (raft->role != RAFT_LEADER) {
        ensure(raft->handover.to == 0);
        ensure(raft->change.phase == RAFT_CHANGE_NONE);
        ensure(!raft->is_changing);
    } else if (membership_is_joint(membership) ||
               raft->membership_index > raft->commit) {
        ensure(raft->is_changing);
    }
}

void raft_check(const struct raft *raft)
{
    const struct reads *reads = &raft->reads;

    ensure(raft->seq_persisted <= raft->seq_last);
    ensure(raft->seq_hard <= raft->seq_last);
    ensure(reads->round_count <= reads->count);
    ensure(reads->head + reads->count <= reads->capacity);
    check_log(raft);
    check_membership(raft);
    check_incoming(&raft->incoming);
    if (raft->role == RAFT_LEADER) {
        check_leader(raft);
        return;
    }
    ensure(raft->leader != raft->config.id);
    if (raft->role != RAFT_FOLLOWER || raft->leader == 0) {
        ensure(reads->count == 0);
    }
    ensure(!reads->is_round_open);
    ensure((reads->asked_id != 0) == (reads->round_count > 0));
    ensure(raft->verified <= log_last(&raft->log));
    ensure(raft->acked <= raft->verified);
    if (raft->role == RAFT_CANDIDATE) {
        ensure(adoption_can_campaign(raft));
        ensure(raft->leader == 0);
        ensure(raft->voted_for == raft->config.id);
    } else {
        ensure(!raft->is_campaign_due);
    }
}
