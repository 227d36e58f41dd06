/* SPDX-License-Identifier: Apache-2.0
 * What a majority has reached, in both halves while a membership is joint
 * (dissertation 4.3). Learners are in no half. */
#include "base/ensure.h"
#include "raft/internal.h"

static uint64_t number_of(const struct raft *raft, const struct peer *peer,
                          enum quorum_of what)
{
    switch (what) {
    case QUORUM_MATCH:
        return peer->match;
    case QUORUM_READ_SEQ:
        return peer->read_seq;
    case QUORUM_GRANTED:
        return peer->has_granted ? 1 : 0;
    case QUORUM_HEARD_MS:
        return peer->is_heard && peer->heard_ms > raft->leader_since_ms
                   ? peer->heard_ms
                   : raft->leader_since_ms;
    }
    unreachable();
}

static bool is_counted(const struct peer *peer, uint32_t half)
{
    return (peer->roles & half) != 0 || (RAFT_IS_MUTATED(LEARNER_COUNTS) &&
                                         (peer->roles & ROLE_LEARNER) != 0);
}

/* Sorted as it grows, the greatest first. */
static uint32_t insert(uint64_t *numbers, uint32_t count, uint64_t number)
{
    uint32_t place = count;

    for (; place > 0 && numbers[place - 1] < number; place--) {
        numbers[place] = numbers[place - 1];
    }
    numbers[place] = number;
    return count + 1;
}

static uint64_t half_reach(const struct raft *raft, uint32_t half,
                           enum quorum_of what, uint64_t own)
{
    uint64_t numbers[PEERS_MAX + 1] = {0};
    uint32_t voters = half == ROLE_VOTER ? raft->membership.voter_count
                                         : raft->membership.voter_old_count;
    uint32_t count = 0;

    if ((raft->own_roles & half) != 0) {
        count = insert(numbers, count, own);
    }
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        if (is_counted(&raft->peers[i], half)) {
            count =
                insert(numbers, count, number_of(raft, &raft->peers[i], what));
        }
    }
    ensure(voters >= 1);
    ensure(count >= voters);
    return numbers[voters / 2];
}

uint64_t quorum_reach(const struct raft *raft, enum quorum_of what,
                      uint64_t own)
{
    uint64_t reached = half_reach(raft, ROLE_VOTER, what, own);
    uint64_t reached_old;

    if (!membership_is_joint(&raft->membership) || RAFT_IS_MUTATED(ONE_HALF)) {
        return reached;
    }
    reached_old = half_reach(raft, ROLE_VOTER_OLD, what, own);
    return reached < reached_old ? reached : reached_old;
}

bool quorum_is_alone(const struct raft *raft)
{
    uint32_t votes = 0;

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        votes += (raft->peers[i].roles & ROLES_VOTING) != 0 ? 1 : 0;
    }
    return votes == 0 && (raft->own_roles & ROLES_VOTING) != 0;
}
