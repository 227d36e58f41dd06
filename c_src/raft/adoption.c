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
    peer->progress_ms = raft->now_ms;
    if (raft->role == RAFT_LEADER) {
        peer_begin_term(peer, log_last(&raft->log) + 1);
    }
    raft->peer_count++;
}

static void drop_peers(struct raft *raft)
{
    uint32_t i = 0;

    while (i < raft->peer_count) {
        if (membership_roles(&raft->membership, raft->peers[i].id) != 0) {
            i++;
            continue;
        }
        raft->peer_count--;
        raft->peers[i] = raft->peers[raft->peer_count];
    }
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
        struct peer *peer = &raft->peers[i];

        peer->roles = membership_roles(membership, peer->id);
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
