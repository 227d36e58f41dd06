/* SPDX-License-Identifier: Apache-2.0
 * The membership in use: always the newest one in the log, committed or not
 * (dissertation 4.1). When its entry is cut, the one before it is in use
 * again. */
#include "base/ensure.h"
#include "raft/internal.h"

#include <string.h>

static void add_peer(struct raft *raft, uint64_t id)
{
    struct peer *peer;

    if (id == raft->config.id || raft_peer(raft, id) != NULL) {
        return;
    }
    ensure(raft->peer_count < PEERS_MAX);
    peer = &raft->peers[raft->peer_count];
    memset(peer, 0, sizeof(*peer));
    peer->id = id;
    if (raft->role == RAFT_LEADER) {
        peer_begin_term(peer, log_last(&raft->log) + 1);
    }
    raft->peer_count++;
}

static void drop_peer(struct raft *raft, uint32_t place)
{
    raft->peer_count--;
    raft->peers[place] = raft->peers[raft->peer_count];
}

/* A leader keeps those that leave by this membership: adoption_forget_left().
 */
static void drop_peers(struct raft *raft)
{
    uint32_t i = 0;

    while (i < raft->peer_count) {
        const struct peer *peer = &raft->peers[i];
        bool is_leaving = raft->role == RAFT_LEADER && peer->roles != 0;

        if (membership_roles(&raft->membership, peer->id) != 0 || is_leaving) {
            i++;
        } else {
            drop_peer(raft, i);
        }
    }
}

void adoption_forget_left(struct raft *raft)
{
    uint64_t index = raft->membership_index;
    uint64_t patience_ms = 2 * (uint64_t)raft->config.election_timeout_ms;
    uint32_t i = 0;

    while (i < raft->peer_count) {
        const struct peer *peer = &raft->peers[i];
        bool is_told = peer->match >= index && peer->commit_sent >= index;

        if (peer->roles == 0 &&
            (is_told || raft->now_ms - peer->leaving_ms >= patience_ms)) {
            drop_peer(raft, i);
        } else {
            i++;
        }
    }
}

/* What a peer is from now on. */
static void set_roles(struct raft *raft, struct peer *peer)
{
    uint32_t roles = membership_roles(&raft->membership, peer->id);

    if (roles == 0) {
        peer->leaving_ms = raft->now_ms;
    } else if (peer->roles == 0) {
        peer->progress_ms = raft->now_ms;
    }
    peer->roles = roles;
}

static void adopt(struct raft *raft, const struct raft_membership *membership,
                  uint64_t index)
{
    raft->was_voter = raft_is_voter(raft);
    raft->membership = *membership;
    raft->membership_index = index;
    raft->is_membership_changed = true;
    raft->own_roles = membership_roles(membership, raft->config.id);
    drop_peers(raft);
    for (uint32_t i = 0; i < membership->voter_count; i++) {
        add_peer(raft, membership->voters[i]);
    }
    for (uint32_t i = 0; i < membership->voter_old_count; i++) {
        add_peer(raft, membership->voters_old[i]);
    }
    for (uint32_t i = 0; i < membership->learner_count; i++) {
        add_peer(raft, membership->learners[i]);
    }
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        set_roles(raft, &raft->peers[i]);
    }
}

void adoption_of_entry(struct raft *raft, uint64_t index)
{
    struct raft_entry entry = log_get(&raft->log, index);
    struct raft_membership membership;
    int rv = membership_decode(entry.data, &membership);

    ensure(entry.type == RAFT_ENTRY_CONFIG);
    ensure(rv == 0);
    adopt(raft, &membership, index);
}

/* The index of the newest membership up to `last`; 0: there is none. */
static uint64_t find_entry(const struct raft *raft, uint64_t last)
{
    uint64_t index = last;

    while (index > log_base(&raft->log) &&
           log_get(&raft->log, index).type != RAFT_ENTRY_CONFIG) {
        index--;
    }
    return index > log_base(&raft->log) ? index : 0;
}

static void adopt_at(struct raft *raft, uint64_t index)
{
    if (index > 0) {
        adoption_of_entry(raft, index);
    } else {
        adopt(raft, &raft->membership_first, raft->membership_first_index);
    }
}

void adoption_of_newest(struct raft *raft, uint64_t last)
{
    uint64_t index = find_entry(raft, last);

    /* Twice: adopting remembers what was before. */
    adopt_at(raft, index > 0 ? find_entry(raft, index - 1) : 0);
    if (index > 0) {
        adopt_at(raft, index);
    }
}

struct raft_membership adoption_find(const struct raft *raft, uint64_t last)
{
    uint64_t index = find_entry(raft, last);
    struct raft_membership membership;
    int rv;

    if (index == 0) {
        return raft->membership_first;
    }
    rv = membership_decode(log_get(&raft->log, index).data, &membership);
    ensure(rv == 0);
    return membership;
}

bool adoption_can_campaign(const struct raft *raft)
{
    /* Dissertation 4.2.2: its log may be the only one from which the entry
     * that ends its own part can still reach a majority. */
    return raft_is_voter(raft) ||
           (raft->was_voter && raft->membership_index > raft->commit);
}
