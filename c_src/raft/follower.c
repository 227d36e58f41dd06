/* SPDX-License-Identifier: Apache-2.0
 * The follower's side of Raft 3.5. What it acknowledges is the part of its log
 * that this leader's appends have matched (exactly prev + n, whatever else the
 * log holds) and that is on disk. One acknowledgement serves for all appends
 * that it covers, so there is one number to hold back, not a queue. */
#include "base/ensure.h"
#include "base/err.h"
#include "raft/internal.h"

/* An append held against the own log, before anything is changed. */
struct append_plan {
    bool is_matched;     /* the entry before the first is ours too */
    uint32_t skip_count; /* entries that we have already */
    uint64_t conflict;   /* cut the log from here on; 0: nowhere */
    size_t data_size;    /* bytes of the entries that are new */
    struct cursor rest;  /* at the first new entry */
};

/* What no honest leader of this term or a later one can send. */
bool follower_is_forbidden(const struct raft *raft, uint64_t from,
                           const struct message *message)
{
    if (message->term > raft->term) {
        return false;
    }
    return raft->role == RAFT_LEADER ||
           (raft->leader != 0 && raft->leader != from);
}

static void plan_entries(const struct raft *raft, const struct message *message,
                         struct append_plan *plan)
{
    struct cursor cursor = plan->rest;
    uint64_t last = log_last(&raft->log);
    bool is_new = false;

    for (uint32_t i = 1; i <= message->entry_count; i++) {
        uint64_t index = message->index + i;
        struct raft_entry entry;

        message_next_entry(&cursor, &entry);
        if (index <= log_base(&raft->log) ||
            (!is_new && index <= last &&
             log_term(&raft->log, index) == entry.term)) {
            plan->skip_count = i;
            plan->rest = cursor;
            continue;
        }
        if (!is_new && index <= last) {
            plan->conflict = index;
        }
        is_new = true;
        plan->data_size += entry.data.size;
    }
}

static int plan_append(const struct raft *raft, uint64_t from,
                       const struct message *message, struct append_plan *plan)
{
    *plan = (struct append_plan){.rest = cursor_of(message->entries)};
    if (follower_is_forbidden(raft, from, message)) {
        return ERR_MALFORMED;
    }
    /* What a snapshot stands for was committed: any leader has the same. */
    plan->is_matched = message->index < log_base(&raft->log) ||
                       log_has(&raft->log, message->index, message->index_term);
    if (!plan->is_matched) {
        /* A leader has all that is committed. */
        return message->index <= raft->commit ? ERR_MALFORMED : 0;
    }
    plan_entries(raft, message, plan);
    if (plan->conflict != 0 && plan->conflict <= raft->commit) {
        return ERR_MALFORMED;
    }
    return 0;
}

static void refuse(struct raft *raft, uint64_t from,
                   const struct message *message)
{
    uint64_t hint =
        log_find_term(&raft->log, message->index, message->index_term);

    /* Up to there the logs are the same. */
    if (hint < log_base(&raft->log)) {
        hint = log_base(&raft->log);
    }
    raft_reply(raft, from,
               &(struct message){.type = MESSAGE_APPEND_REPLY,
                                 .term = raft->term,
                                 .index = message->index,
                                 .hint_index = hint,
                                 .hint_term = log_term(&raft->log, hint),
                                 .read_seq = message->read_seq});
}

static void take_entries(struct raft *raft, const struct message *message,
                         const struct append_plan *plan)
{
    struct cursor cursor = plan->rest;

    if (plan->conflict != 0) {
        log_truncate(&raft->log, plan->conflict);
        writes_truncate(&raft->writes, plan->conflict);
        raft->truncated_from = plan->conflict;
        if (raft->membership_index >= plan->conflict) {
            adoption_of_newest(raft, plan->conflict - 1);
        }
        if (raft->verified >= plan->conflict) {
            raft->verified = plan->conflict - 1;
        }
    }
    for (uint32_t i = plan->skip_count; i < message->entry_count; i++) {
        struct raft_entry entry;

        message_next_entry(&cursor, &entry);
        raft_append(raft, entry.term, entry.type, entry.data);
    }
}

/* The part of the log that may be acknowledged. */
static uint64_t ack_index(const struct raft *raft)
{
    uint64_t persisted = raft->writes.persisted_index;

    if (RAFT_IS_MUTATED(ACK_LAST)) {
        return persisted;
    }
    if (RAFT_IS_MUTATED(ACK_EARLY)) {
        return raft->verified;
    }
    return raft->verified < persisted ? raft->verified : persisted;
}

static void accept_append(struct raft *raft, const struct message *message,
                          const struct append_plan *plan)
{
    uint64_t end = message->index + message->entry_count;
    uint64_t commit;

    take_entries(raft, message, plan);
    if (end > raft->verified) {
        raft->verified = end;
    }
    commit =
        message->commit < raft->verified ? message->commit : raft->verified;
    if (commit > raft->commit) {
        raft->commit = commit;
    }
    if (message->read_seq > raft->read_seq_seen) {
        raft->read_seq_seen = message->read_seq;
    }
    /* New entries are acknowledged when they are on disk; all else now. */
    if (message->entry_count == 0 || ack_index(raft) >= end ||
        raft->read_seq_seen > raft->read_seq_acked) {
        raft->is_ack_due = true;
    }
}

/* It names no index: the sender may be leader of our term by now, and take the
 * answer for one about its log of today. */
void follower_refuse_stale(struct raft *raft, uint64_t from)
{
    raft_reply(
        raft, from,
        &(struct message){.type = MESSAGE_APPEND_REPLY, .term = raft->term});
}

int follower_handle_append(struct raft *raft, uint64_t from,
                           const struct message *message)
{
    struct append_plan plan;
    int rv;

    if (message->term < raft->term) {
        /* The old leader learns the new term from the answer. */
        follower_refuse_stale(raft, from);
        return 0;
    }
    rv = plan_append(raft, from, message, &plan);
    if (rv != 0) {
        return rv;
    }
    if (plan.is_matched) {
        rv = raft_reserve(raft, message->entry_count - plan.skip_count + 1,
                          plan.data_size);
        if (rv != 0) {
            return rv;
        }
    }
    election_follow(raft, message->term, from);
    read_ask_again(raft);
    if (plan.is_matched) {
        accept_append(raft, message, &plan);
    } else {
        refuse(raft, from, message);
    }
    return 0;
}

void follower_persisted(struct raft *raft)
{
    if (raft->leader != 0 && ack_index(raft) > raft->acked) {
        raft->is_ack_due = true;
    }
}

void follower_send_ack(struct raft *raft)
{
    struct message message = {.type = MESSAGE_APPEND_REPLY,
                              .term = raft->term,
                              .index = ack_index(raft),
                              .is_granted = true,
                              .read_seq = raft->read_seq_seen};

    ensure(raft->role != RAFT_LEADER);
    raft->is_ack_due = false;
    if (raft->leader != 0 && outbox_put(raft, raft->leader, &message)) {
        raft->acked = message.index;
        raft->read_seq_acked = message.read_seq;
    }
}
