/* SPDX-License-Identifier: Apache-2.0
 * Terms and votes: Raft 3.4, with the pre-vote of 9.6. A member that hears
 * from a leader grants no pre-vote, so that one which was cut off cannot
 * disturb the others. */
#include "base/ensure.h"
#include "raft/internal.h"

void election_arm(struct raft *raft)
{
    uint64_t timeout_ms = raft_timeout_ms(raft);

    raft->election_deadline_ms = raft->now_ms +
                                 timeout_ms * (1 + raft->config.election_rank) +
                                 rng_below(&raft->rng, timeout_ms);
}

/* What belongs to one term, and is void in the next. */
static void forget_term(struct raft *raft)
{
    raft->verified = 0;
    raft->acked = 0;
    raft->read_seq_seen = 0;
    raft->read_seq_acked = 0;
    raft->is_ack_due = false;
    raft->is_campaign_due = false;
    raft->is_taking_over = false;
    raft->last_leader = 0;
    raft->lost_tries = 0;
    raft->reply_count = 0;
}

static void enter_term(struct raft *raft, uint64_t term, uint64_t voted_for)
{
    ensure(term > raft->term);
    raft->term = term;
    raft->voted_for = voted_for;
    raft->is_hard_changed = true;
    forget_term(raft);
}

void election_follow(struct raft *raft, uint64_t term, uint64_t leader)
{
    ensure(term >= raft->term);
    if (term != raft->term || leader != raft->leader) {
        read_fail_all(raft);
    }
    if (raft->role == RAFT_LEADER) {
        change_abandon(raft);
        raft->handover.to = 0;
        election_arm(raft);
    }
    if (term > raft->term) {
        enter_term(raft, term, 0);
    }
    raft->role = RAFT_FOLLOWER;
    raft->leader = leader;
    raft->is_campaign_due = false;
    if (leader != 0) {
        raft->lost_tries = 0;
        if (leader == raft->last_leader) {
            raft_note_gap(raft, raft->leader_heard_ms);
        }
        raft->last_leader = leader;
        raft->leader_heard_ms = raft->now_ms;
        election_arm(raft);
    }
}

static void forget_votes(struct raft *raft)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        raft->peers[i].has_granted = false;
        raft->peers[i].is_heard = false;
    }
}

static void ask_all(struct raft *raft, enum message_type type, uint64_t term)
{
    uint64_t last = log_last(&raft->log);
    struct message message = {.type = type,
                              .term = term,
                              .index = last,
                              .index_term = log_term(&raft->log, last),
                              .is_handover = raft->is_taking_over};

    raft->asked_ms = raft->now_ms;
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        if ((raft->peers[i].roles & ROLES_VOTING) != 0) {
            (void)outbox_put(raft, raft->peers[i].id, &message);
        }
    }
}

static void become_candidate(struct raft *raft)
{
    read_fail_all(raft);
    enter_term(raft, raft->term + 1, raft->config.id);
    raft->role = RAFT_CANDIDATE;
    raft->leader = 0;
    raft->is_campaign_due = true;
    forget_votes(raft);
    election_arm(raft);
}

void election_take_over(struct raft *raft)
{
    ensure(raft_is_voter(raft));
    become_candidate(raft);
    raft->is_taking_over = true;
}

static void become_leader(struct raft *raft)
{
    ensure(raft->role == RAFT_CANDIDATE);
    ensure(raft->voted_for == raft->config.id);
    raft->role = RAFT_LEADER;
    raft->leader = raft->config.id;
    replication_lead(raft);
}

void election_campaign(struct raft *raft)
{
    ensure(raft->role == RAFT_CANDIDATE);
    raft->is_campaign_due = false;
    if (quorum_is_alone(raft)) {
        become_leader(raft);
        return;
    }
    ask_all(raft, MESSAGE_VOTE, raft->term);
}

/* Those who were asked may hear a moment later that the leader is lost. */
static void try_again_soon(struct raft *raft)
{
    uint64_t least_ms = raft->config.election_timeout_ms / RETRY_FRACTION;

    if (raft->lost_tries > 0) {
        raft->lost_tries--;
        raft->election_deadline_ms =
            raft->now_ms + least_ms + rng_below(&raft->rng, least_ms / 2 + 1);
    }
}

void election_tick(struct raft *raft)
{
    ensure(raft->role != RAFT_LEADER);
    if (!adoption_can_campaign(raft) ||
        raft->now_ms < raft->election_deadline_ms) {
        return;
    }
    /* The disk is behind: a further term would not be written any sooner. */
    if (raft_is_hard_pending(raft)) {
        election_arm(raft);
        return;
    }
    if (quorum_is_alone(raft)) {
        become_candidate(raft);
        return;
    }
    read_fail_all(raft);
    raft->role = RAFT_PRE_CANDIDATE;
    raft->leader = 0;
    forget_votes(raft);
    election_arm(raft);
    try_again_soon(raft);
    ask_all(raft, MESSAGE_PRE_VOTE, raft->term + 1);
}

/* How many voters come before this one when a leader is lost: by their ids, so
 * that two of them do not split the votes. */
static uint64_t turn_after(const struct raft *raft, uint64_t lost)
{
    uint64_t turn = 0;

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct peer *peer = &raft->peers[i];

        if ((peer->roles & ROLES_VOTING) != 0 && peer->id != lost &&
            peer->id < raft->config.id) {
            turn++;
        }
    }
    return turn;
}

/* A process that ends closes its links, a leader that cannot be reached leads
 * nobody: there is nothing to wait out. Those who still hear it grant no
 * pre-vote, so a link that broke between two alone disturbs nobody. */
void election_link_lost(struct raft *raft, uint64_t id)
{
    uint64_t timeout_ms = raft->config.election_timeout_ms;
    uint64_t deadline_ms = raft->now_ms +
                           timeout_ms * raft->config.election_rank +
                           timeout_ms / TURN_FRACTION * turn_after(raft, id);

    if (raft->role != RAFT_FOLLOWER || raft->leader != id || id == 0) {
        return;
    }
    read_fail_all(raft);
    raft->leader = 0;
    raft->lost_tries = LOST_TRIES;
    if (deadline_ms < raft->election_deadline_ms) {
        raft->election_deadline_ms = deadline_ms;
    }
}

/* Raft 3.6.1: the log with the later last term, or else the longer one. */
static bool is_up_to_date(const struct raft *raft,
                          const struct message *message)
{
    uint64_t last = log_last(&raft->log);
    uint64_t last_term = log_term(&raft->log, last);

    if (message->index_term != last_term) {
        return message->index_term > last_term;
    }
    return message->index >= last;
}

static bool has_leader(const struct raft *raft)
{
    return raft->leader != 0 &&
           (raft->role == RAFT_LEADER ||
            raft->now_ms - raft->leader_heard_ms < raft_timeout_ms(raft));
}

static void answer(struct raft *raft, uint64_t to, enum message_type type,
                   uint64_t term, bool is_granted)
{
    raft_reply(raft, to,
               &(struct message){
                   .type = type, .term = term, .is_granted = is_granted});
}

/* The asker is about to campaign: to do the same now would split the votes. */
static void yield(struct raft *raft)
{
    uint64_t deadline_ms =
        raft->now_ms + raft->config.election_timeout_ms / YIELD_FRACTION;

    if (raft->election_deadline_ms < deadline_ms) {
        raft->election_deadline_ms = deadline_ms;
    }
}

/* Whoever asks gets an answer: our membership may be older than the asker's,
 * and the asker counts only those that are in its own. */
void election_handle_pre_vote(struct raft *raft, uint64_t from,
                              const struct message *message)
{
    bool is_granted = message->term > raft->term && !has_leader(raft) &&
                      is_up_to_date(raft, message);

    if (!is_granted && raft->term == 0) {
        return;
    }
    if (is_granted) {
        yield(raft);
    }
    answer(raft, from, MESSAGE_PRE_VOTE_REPLY,
           is_granted ? message->term : raft->term, is_granted);
}

void election_handle_vote(struct raft *raft, uint64_t from,
                          const struct message *message)
{
    bool is_free;
    bool is_granted;

    /* Dissertation 4.2.3: who hears from a leader does not even look at the
     * term. A candidate that got that far refuses the leader's appends, and so
     * the leader learns of the newer term anyway. But if the leader itself
     * wants it, there is nothing to protect (3.10). */
    if (message->term > raft->term && has_leader(raft) &&
        !message->is_handover) {
        return;
    }
    if (message->term > raft->term) {
        election_follow(raft, message->term, 0);
    }
    is_free = raft->voted_for == 0 || raft->voted_for == from ||
              RAFT_IS_MUTATED(VOTE_TWICE) ||
              (RAFT_IS_MUTATED(HANDOVER_VOTE) && message->is_handover);
    is_granted = message->term == raft->term && is_free && raft->leader == 0 &&
                 is_up_to_date(raft, message);
    if (is_granted) {
        election_follow(raft, raft->term, 0);
        if (raft->voted_for != from) {
            raft->voted_for = from;
            raft->is_hard_changed = true;
        }
        election_arm(raft);
    }
    answer(raft, from, MESSAGE_VOTE_REPLY, raft->term, is_granted);
}

void election_handle_reply(struct raft *raft, struct peer *from,
                           const struct message *message)
{
    bool is_pre = message->type == MESSAGE_PRE_VOTE_REPLY;
    enum raft_role role = is_pre ? RAFT_PRE_CANDIDATE : RAFT_CANDIDATE;

    if (!message->is_granted && message->term > raft->term) {
        election_follow(raft, message->term, 0);
        return;
    }
    /* An answer to what was not asked yet is no vote. */
    if (from == NULL || !message->is_granted || raft->role != role ||
        raft->is_campaign_due ||
        message->term != raft->term + (is_pre ? 1 : 0)) {
        return;
    }
    /* Who leads will not be answered any sooner than this. */
    raft_note_gap(raft, raft->asked_ms);
    from->has_granted = true;
    from->is_heard = true;
    from->heard_ms = raft->now_ms;
    if (quorum_reach(raft, QUORUM_GRANTED, 1) == 0) {
        return;
    }
    if (is_pre) {
        become_candidate(raft);
    } else {
        become_leader(raft);
    }
}
