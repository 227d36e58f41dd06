/* SPDX-License-Identifier: Apache-2.0
 * Snapshots of the own state, which let the log be cut, and those that a
 * leader sends (diss. 5). A snapshot that came in is made durable first; only
 * then it is decided whether the log gives way to it. */
#include "base/ensure.h"
#include "base/err.h"
#include "raft/internal.h"

enum {
    TRAILING_ENTRIES_DEFAULT = 8192,
    TRAILING_SIZE_DEFAULT = 16 * 1024 * 1024
};

/* --- Our own ------------------------------------------------------------- */

/* Up to where the log is cut: what is behind stays for peers that are a little
 * late, within limits. */
static uint64_t cut_index(const struct raft *raft)
{
    uint32_t entries = raft->config.trailing_entries == 0
                           ? TRAILING_ENTRIES_DEFAULT
                           : raft->config.trailing_entries;
    uint64_t left = raft->config.trailing_size == 0
                        ? TRAILING_SIZE_DEFAULT
                        : raft->config.trailing_size;
    uint64_t index = raft->snapshot.index;

    while (index > log_base(&raft->log) && entries > 0) {
        uint64_t size = log_get(&raft->log, index).data.size;

        if (size > left) {
            break;
        }
        left -= size;
        entries--;
        index--;
    }
    return index;
}

int raft_snapshot_at(const struct raft *raft, uint64_t index,
                     struct raft_snapshot *ret_snapshot)
{
    struct raft_membership membership;

    if (index <= raft->snapshot.index || index > raft->commit) {
        return ERR_NOT_FOUND;
    }
    membership = adoption_find(raft, index);
    /* One that joined later does not know who took part before. */
    if (membership.voter_count == 0) {
        return ERR_NOT_FOUND;
    }
    *ret_snapshot = (struct raft_snapshot){.index = index,
                                           .term = log_term(&raft->log, index),
                                           .membership = membership};
    return 0;
}

void snapshot_taken(struct raft *raft, uint64_t index, uint64_t size)
{
    struct raft_snapshot snapshot;

    /* Another one may have come in meanwhile. */
    if (index <= raft->snapshot.index) {
        return;
    }
    ensure(size > 0);
    ensure(raft_snapshot_at(raft, index, &snapshot) == 0);
    snapshot.size = size;
    raft->snapshot = snapshot;
    raft->membership_first = raft->snapshot.membership;
    raft->membership_first_index = index;
    log_cut(&raft->log, cut_index(raft));
}

/* --- A leader's ---------------------------------------------------------- */

/* Whether the log has all that it stands for; then it must not give way: it
 * may hold more, and that may have been acknowledged (paper 7). */
static bool is_in_log(const struct raft *raft, uint64_t index, uint64_t term)
{
    if (RAFT_IS_MUTATED(INSTALL_OVER)) {
        return false;
    }
    return index <= raft->commit || log_has(&raft->log, index, term);
}

static void forget_incoming(struct raft *raft)
{
    /* What is still said about this transfer is void. */
    raft->incoming = (struct incoming){.transfer = raft->incoming.transfer + 1};
}

/* A snapshot is of what was committed: so is the log up to there. */
static void acknowledge(struct raft *raft, uint64_t index)
{
    if (index > raft->commit) {
        raft->commit = index;
    }
    if (index > raft->verified) {
        raft->verified = index;
    }
    raft->is_ack_due = true;
}

static void reply(struct raft *raft, uint64_t to, uint64_t index,
                  uint64_t offset)
{
    raft_reply(raft, to,
               &(struct message){.type = MESSAGE_SNAPSHOT_REPLY,
                                 .term = raft->term,
                                 .index = index,
                                 .offset = offset});
}

static bool is_same(const struct incoming *incoming, uint64_t from,
                    const struct message *message)
{
    return incoming->from == from &&
           incoming->snapshot.index == message->index &&
           incoming->snapshot.term == message->index_term &&
           incoming->snapshot.size == message->size;
}

static void begin(struct raft *raft, uint64_t from,
                  const struct message *message)
{
    struct incoming *incoming = &raft->incoming;
    int rv;

    forget_incoming(raft);
    *incoming = (struct incoming){.transfer = incoming->transfer,
                                  .from = from,
                                  .snapshot = {.index = message->index,
                                               .term = message->index_term,
                                               .size = message->size}};
    rv = membership_decode(message->membership, &incoming->snapshot.membership);
    ensure(rv == 0);
}

static void take_chunk(struct raft *raft, const struct message *message)
{
    struct incoming *incoming = &raft->incoming;

    if (message->offset != incoming->received || message->entries.size == 0 ||
        incoming->is_finishing) {
        /* Something got lost, here or on the way. */
        if (!incoming->is_finishing) {
            reply(raft, incoming->from, message->index, incoming->stored);
        }
        return;
    }
    raft->chunk = (struct raft_chunk){.transfer = incoming->transfer,
                                      .snapshot_index = message->index,
                                      .snapshot_size = message->size,
                                      .offset = message->offset,
                                      .data = message->entries};
    incoming->received += message->entries.size;
}

int snapshot_handle_chunk(struct raft *raft, uint64_t from,
                          const struct message *message)
{
    if (message->term < raft->term) {
        follower_refuse_stale(raft, from);
        return 0;
    }
    if (follower_is_forbidden(raft, from, message)) {
        return ERR_MALFORMED;
    }
    election_follow(raft, message->term, from);
    if (is_in_log(raft, message->index, message->index_term)) {
        acknowledge(raft, message->index);
        return 0;
    }
    if (!is_same(&raft->incoming, from, message)) {
        /* One at a time; the leader asks again. */
        if (raft->incoming.is_finishing) {
            return 0;
        }
        begin(raft, from, message);
    }
    take_chunk(raft, message);
    return 0;
}

void snapshot_chunk_stored(struct raft *raft, uint64_t transfer,
                           uint64_t offset)
{
    struct incoming *incoming = &raft->incoming;

    if (incoming->transfer != transfer || offset <= incoming->stored ||
        incoming->is_finishing) {
        return;
    }
    ensure(offset <= incoming->received);
    incoming->stored = offset;
    if (offset == incoming->snapshot.size) {
        incoming->is_finishing = true;
        raft->is_finish_due = true;
        return;
    }
    if (raft->leader == incoming->from) {
        reply(raft, incoming->from, incoming->snapshot.index, offset);
    }
}

static void restore(struct raft *raft)
{
    ensure(raft->role != RAFT_LEADER);
    raft->snapshot = raft->incoming.snapshot;
    log_reset(&raft->log, raft->snapshot.index, raft->snapshot.term);
    writes_reset(&raft->writes, raft->snapshot.index);
    raft->is_log_reset = true;
    raft->is_restored = true;
    raft->verified = 0;
    raft->membership_first = raft->snapshot.membership;
    raft->membership_first_index = raft->snapshot.index;
    adoption_of_newest(raft, raft->snapshot.index);
}

void snapshot_stored(struct raft *raft, uint64_t transfer)
{
    uint64_t index = raft->incoming.snapshot.index;

    if (raft->incoming.transfer != transfer) {
        return;
    }
    ensure(raft->incoming.is_finishing);
    if (!is_in_log(raft, index, raft->incoming.snapshot.term)) {
        restore(raft);
    }
    forget_incoming(raft);
    if (raft->role != RAFT_LEADER) {
        acknowledge(raft, index);
    }
}

void snapshot_failed(struct raft *raft, uint64_t transfer)
{
    if (raft->incoming.transfer == transfer) {
        forget_incoming(raft);
    }
}
