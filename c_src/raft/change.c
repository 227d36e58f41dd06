/* SPDX-License-Identifier: Apache-2.0
 * The leader's part of a change of members, by joint consensus (dissertation
 * 4.3) and with catch-up rounds (4.2.1):
 *
 *   LEARNING   the new voters are learners, in an entry of its own
 *   CATCH_UP   until a round takes less than an election timeout
 *   JOINT      an entry with both halves: each decision needs both majorities
 *   FINAL      an entry with the new half alone; once committed, it is done
 *
 * What begins at JOINT is finished by whoever is leader then; before that, a
 * change ends with its leader and leaves learners behind at worst. */
#include "base/ensure.h"
#include "base/err.h"
#include "raft/internal.h"

static void report(struct raft *raft, enum raft_change_phase phase)
{
    raft->change_report = (struct raft_change_report){.phase = phase};
}

static void fail(struct raft *raft, enum raft_change_reason reason,
                 uint64_t member)
{
    raft->change_report = (struct raft_change_report){
        .phase = RAFT_CHANGE_FAILED, .reason = reason, .member = member};
    raft->change.phase = RAFT_CHANGE_NONE;
}

static void enter(struct raft *raft, enum raft_change_phase phase)
{
    raft->change.phase = phase;
    report(raft, phase);
}

/* The room was reserved by change_advance() or change_begin(). */
static void append(struct raft *raft, const struct raft_membership *membership)
{
    uint8_t bytes[MEMBERSHIP_SIZE_MAX];
    size_t size = membership_encode(membership, bytes);

    ensure(raft->role == RAFT_LEADER);
    ensure(raft->membership_index <= raft->commit);
    replication_append(raft, RAFT_ENTRY_CONFIG, bytes_of(bytes, size));
    raft->is_changing = true;
    replication_send_all(raft);
}

static int reserve(struct raft *raft)
{
    size_t appended =
        raft->appended_first == 0
            ? 0
            : (size_t)(log_last(&raft->log) + 1 - raft->appended_first);

    return raft_reserve(raft, appended + 1, MEMBERSHIP_SIZE_MAX);
}

static bool has_new_voters(const struct raft *raft,
                           const struct raft_membership *target)
{
    for (uint32_t i = 0; i < target->voter_count; i++) {
        if ((membership_roles(&raft->membership, target->voters[i]) &
             ROLE_VOTER) == 0) {
            return true;
        }
    }
    return false;
}

/* The members of now, and the voters to be as learners. */
static int learning_membership(const struct raft *raft,
                               const struct raft_membership *target,
                               struct raft_membership *ret_membership)
{
    *ret_membership = raft->membership;
    for (uint32_t i = 0; i < target->voter_count; i++) {
        uint64_t id = target->voters[i];

        if (membership_roles(&raft->membership, id) != 0) {
            continue;
        }
        if (ret_membership->learner_count == RAFT_LEARNERS_MAX) {
            return ERR_LIMIT;
        }
        ret_membership->learners[ret_membership->learner_count] = id;
        ret_membership->learner_count++;
    }
    return 0;
}

static void append_joint(struct raft *raft)
{
    struct raft_membership joint = raft->change.target;

    joint.voter_old_count = raft->membership.voter_count;
    for (uint32_t i = 0; i < raft->membership.voter_count; i++) {
        joint.voters_old[i] = raft->membership.voters[i];
    }
    enter(raft, RAFT_CHANGE_JOINT);
    append(raft, &joint);
}

static void append_final(struct raft *raft)
{
    struct raft_membership final = raft->membership;

    final.voter_old_count = 0;
    if (raft->change.phase == RAFT_CHANGE_JOINT) {
        enter(raft, RAFT_CHANGE_FINAL);
    }
    append(raft, &final);
}

static bool is_same_voters(const struct raft *raft,
                           const struct raft_membership *target)
{
    return !has_new_voters(raft, target) &&
           target->voter_count == raft->membership.voter_count;
}

int change_begin(struct raft *raft, const struct raft_membership *target)
{
    struct raft_membership learning;
    int rv;

    if (raft->role != RAFT_LEADER) {
        return ERR_NOT_LEADER;
    }
    if (membership_check(target) != 0 || membership_is_joint(target)) {
        return ERR_BADARG;
    }
    /* Without an entry of the own term committed, a membership of an earlier
     * leader may still be on its way to a majority. */
    if (raft->is_changing || raft->handover.to != 0 ||
        raft->commit < raft->term_start ||
        raft->membership_index > raft->commit) {
        return ERR_BUSY;
    }
    rv = learning_membership(raft, target, &learning);
    if (rv == 0) {
        rv = reserve(raft);
    }
    if (rv != 0) {
        return rv;
    }
    if (membership_equal(target, &raft->membership)) {
        report(raft, RAFT_CHANGE_DONE);
        return 0;
    }
    raft->change =
        (struct change){.target = *target, .before = raft->membership};
    raft->is_changing = true;
    if (is_same_voters(raft, target)) {
        enter(raft, RAFT_CHANGE_FINAL);
        append(raft, target);
    } else if (!has_new_voters(raft, target)) {
        append_joint(raft);
    } else {
        enter(raft, RAFT_CHANGE_LEARNING);
        if (!membership_equal(&learning, &raft->membership)) {
            append(raft, &learning);
        }
    }
    return 0;
}

/* --- Catch-up ------------------------------------------------------------ */

static bool is_candidate(const struct raft *raft, const struct peer *peer)
{
    return (peer->roles & ROLES_VOTING) == 0 &&
           (membership_roles(&raft->change.target, peer->id) & ROLE_VOTER) != 0;
}

static void begin_round(struct raft *raft)
{
    raft->change.round++;
    raft->change.round_end = log_last(&raft->log);
    raft->change.round_since_ms = raft->now_ms;
}

static void go_back(struct raft *raft, enum raft_change_reason reason,
                    uint64_t member)
{
    struct raft_membership before = raft->change.before;

    fail(raft, reason, member);
    if (!membership_equal(&before, &raft->membership)) {
        append(raft, &before);
    }
}

/* A new voter that is not at the end of this round; NULL: all are. */
static const struct peer *laggard(const struct raft *raft)
{
    const struct peer *behind = NULL;

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct peer *peer = &raft->peers[i];

        if (is_candidate(raft, peer) && peer->match < raft->change.round_end &&
            (behind == NULL || peer->progress_ms < behind->progress_ms)) {
            behind = peer;
        }
    }
    return behind;
}

static void catch_up(struct raft *raft)
{
    uint64_t timeout_ms = raft->config.election_timeout_ms;
    const struct peer *behind = laggard(raft);

    if (behind != NULL) {
        if (raft->now_ms - behind->progress_ms >=
            timeout_ms * RAFT_CATCH_UP_STALL_TIMEOUTS) {
            go_back(raft, RAFT_CHANGE_STALLED, behind->id);
        }
        return;
    }
    if (raft->now_ms - raft->change.round_since_ms < timeout_ms) {
        append_joint(raft);
        return;
    }
    if (raft->change.round == RAFT_CATCH_UP_ROUNDS_MAX) {
        go_back(raft, RAFT_CHANGE_TOO_SLOW, 0);
        return;
    }
    begin_round(raft);
}

/* --- What comes next ----------------------------------------------------- */

static void finish(struct raft *raft)
{
    raft->is_changing = false;
    if (raft->change.phase == RAFT_CHANGE_FINAL) {
        enter(raft, RAFT_CHANGE_DONE);
        raft->change.phase = RAFT_CHANGE_NONE;
    }
    /* Dissertation 4.2.2: until its own end was committed it had to lead. */
    if ((raft->own_roles & ROLE_VOTER) == 0) {
        handover_at_end(raft);
        election_follow(raft, raft->term, 0);
    }
}

void change_advance(struct raft *raft)
{
    ensure(raft->role == RAFT_LEADER);
    if (raft->membership_index > raft->commit ||
        raft->commit < raft->term_start || reserve(raft) != 0) {
        /* Without memory: the next step tries again. */
        return;
    }
    if (membership_is_joint(&raft->membership)) {
        append_final(raft);
        return;
    }
    switch (raft->change.phase) {
    case RAFT_CHANGE_LEARNING:
        enter(raft, RAFT_CHANGE_CATCH_UP);
        begin_round(raft);
        catch_up(raft);
        return;
    case RAFT_CHANGE_CATCH_UP:
        catch_up(raft);
        return;
    case RAFT_CHANGE_NONE:
    case RAFT_CHANGE_FINAL:
        finish(raft);
        return;
    case RAFT_CHANGE_JOINT:
    case RAFT_CHANGE_DONE:
    case RAFT_CHANGE_FAILED:
        break;
    }
    unreachable();
}

void change_abandon(struct raft *raft)
{
    if (raft->change.phase != RAFT_CHANGE_NONE) {
        fail(raft, RAFT_CHANGE_LEADER_LOST, 0);
    }
    raft->is_changing = false;
}
