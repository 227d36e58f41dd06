/* SPDX-License-Identifier: Apache-2.0
 * Linearizable reads without the disk: Raft 6.4. A read remembers the commit
 * index at its arrival and is answered once a majority has confirmed the term
 * in a round that began after it. Reads that arrive during a round wait for
 * the next one together.
 *
 *   items  [ answered | of the round under way | of the next round ]
 *                      ^head                   ^head + round_count
 *
 * A follower asks its leader for the index, for all reads that it has; those
 * that arrive until the answer wait for the next question together. The leader
 * takes such a question like a read of its own. The question itself says that
 * the asker was still of this term when it came to ask, so it is the asker's
 * confirmation for it (and for nothing else): among three voters no round is
 * needed.
 *
 * Questions have random ids, not counted ones: an answer that was meant for
 * this member before it was restarted must not pass for one to a later
 * question. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "raft/internal.h"

#include <string.h>

static int reserve_item(struct reads *reads)
{
    size_t capacity = reads->capacity == 0 ? 16 : reads->capacity * 2;
    struct raft_read *items;

    if (reads->head + reads->count < reads->capacity) {
        return 0;
    }
    /* At least half is free: moving costs no more than was added since. */
    if (reads->head > 0 && reads->head >= reads->count) {
        memmove(reads->items, reads->items + reads->head,
                reads->count * sizeof(*reads->items));
        reads->head = 0;
        return 0;
    }
    items = mem_realloc(reads->items, capacity * sizeof(*items));
    if (items == NULL) {
        return ERR_NOMEM;
    }
    reads->items = items;
    reads->capacity = capacity;
    return 0;
}

static bool is_confirmed(const struct raft *raft)
{
    uint64_t round = raft->reads.round;

    return RAFT_IS_MUTATED(STALE_READ) ||
           quorum_reach(raft, QUORUM_READ_SEQ, round) >= round;
}

/* What is committed for sure by now, whoever is leader. Before the no-op is
 * committed, the commit index may be behind what earlier leaders have
 * acknowledged. */
static uint64_t index_of_now(const struct raft *raft)
{
    return raft->commit < raft->term_start ? raft->term_start : raft->commit;
}

static void take(struct raft *raft, size_t count)
{
    struct reads *reads = &raft->reads;

    if (raft->read_done_count == 0) {
        raft->read_done = reads->items + reads->head;
    }
    raft->read_done_count += count;
    reads->head += count;
    reads->count -= count;
    reads->round_count -=
        count < reads->round_count ? count : reads->round_count;
}

/* --- Leader -------------------------------------------------------------- */

static void answer_peer(struct raft *raft, struct peer *peer)
{
    struct message message = {.type = MESSAGE_READ_REPLY,
                              .term = raft->term,
                              .read_id = peer->read.id,
                              .index = peer->read.index};

    /* If it gets lost, it is asked again. */
    (void)outbox_put(raft, peer->id, &message);
    peer->read.id = 0;
}

static void end_round(struct raft *raft)
{
    struct reads *reads = &raft->reads;

    reads->is_round_open = false;
    if (reads->round_count > 0) {
        take(raft, reads->round_count);
    }
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        struct peer *peer = &raft->peers[i];

        if (peer->read.id != 0 && peer->read.round == reads->round) {
            answer_peer(raft, peer);
        }
    }
}

/* All that wait; false: nobody does. */
static bool begin_round(struct raft *raft)
{
    struct reads *reads = &raft->reads;
    bool is_wanted = reads->count > 0;

    for (uint32_t i = 0; i < raft->peer_count; i++) {
        struct peer_read *read = &raft->peers[i].read;

        if (read->id != 0) {
            read->round = reads->round + 1;
            is_wanted = true;
        }
    }
    if (!is_wanted) {
        return false;
    }
    reads->round++;
    reads->round_count = reads->count;
    reads->is_round_open = true;
    replication_send_heartbeats(raft);
    return true;
}

void read_advance(struct raft *raft)
{
    ensure(raft->role == RAFT_LEADER);
    if (raft->reads.is_round_open && is_confirmed(raft)) {
        end_round(raft);
    }
    if (!raft->reads.is_round_open && raft->commit >= raft->term_start &&
        begin_round(raft) && is_confirmed(raft)) {
        end_round(raft);
    }
}

/* Whether the asker and we ourselves are a majority. */
static bool is_confirmed_by_asking(const struct raft *raft, struct peer *peer)
{
    uint64_t seq = peer->read_seq;
    bool is_enough;

    peer->read_seq = raft->reads.round + 1;
    is_enough =
        quorum_reach(raft, QUORUM_READ_SEQ, peer->read_seq) == peer->read_seq;
    peer->read_seq = seq;
    return is_enough;
}

void read_handle_ask(struct raft *raft, uint64_t from,
                     const struct message *message)
{
    struct peer *peer = raft_peer(raft, from);

    if (raft->role != RAFT_LEADER || message->term != raft->term ||
        peer == NULL || peer->read.id == message->read_id) {
        return;
    }
    peer->read =
        (struct peer_read){.id = message->read_id, .index = index_of_now(raft)};
    if (raft->commit >= raft->term_start &&
        is_confirmed_by_asking(raft, peer)) {
        answer_peer(raft, peer);
    } else {
        read_advance(raft);
    }
}

/* --- Follower ------------------------------------------------------------ */

void read_send_ask(struct raft *raft)
{
    struct message message = {.type = MESSAGE_READ,
                              .term = raft->term,
                              .read_id = raft->reads.asked_id};

    /* If it gets lost, the next sign of life of the leader has it repeated. */
    raft->reads.is_ask_due = false;
    raft->reads.asked_ms = raft->now_ms;
    (void)outbox_put(raft, raft->leader, &message);
}

static void ask(struct raft *raft)
{
    struct reads *reads = &raft->reads;

    if (reads->asked_id != 0 || reads->count == 0) {
        return;
    }
    reads->asked_id = RAFT_IS_MUTATED(READ_SAME_IDS)
                          ? ++reads->round
                          : 1 + rng_below(&raft->rng, MESSAGE_NUMBER_MAX);
    reads->round_count = reads->count;
    reads->is_ask_due = true;
}

void read_ask_again(struct raft *raft)
{
    struct reads *reads = &raft->reads;

    if (reads->asked_id != 0 &&
        raft->now_ms - reads->asked_ms >= raft->config.heartbeat_interval_ms) {
        reads->is_ask_due = true;
    }
}

void read_handle_answer(struct raft *raft, uint64_t from,
                        const struct message *message)
{
    struct reads *reads = &raft->reads;
    uint64_t index =
        RAFT_IS_MUTATED(READ_UNAPPLIED) ? raft->commit : message->index;

    if (raft->role != RAFT_FOLLOWER || from != raft->leader ||
        message->term != raft->term || message->read_id != reads->asked_id) {
        return;
    }
    if (RAFT_IS_MUTATED(READ_LATE_JOIN)) {
        reads->round_count = reads->count;
    }
    for (size_t i = 0; i < reads->round_count; i++) {
        reads->items[reads->head + i].index = index;
    }
    reads->asked_id = 0;
    reads->is_ask_due = false;
    take(raft, reads->round_count);
    ask(raft);
}

/* --- Both ---------------------------------------------------------------- */

int read_add(struct raft *raft, uint64_t read_id)
{
    struct reads *reads = &raft->reads;
    bool is_leader = raft->role == RAFT_LEADER;
    int rv;

    if (!is_leader && (raft->role != RAFT_FOLLOWER || raft->leader == 0)) {
        return ERR_NOT_LEADER;
    }
    if (reads->count >= READS_MAX) {
        return ERR_BUSY;
    }
    rv = reserve_item(reads);
    if (rv != 0) {
        return rv;
    }
    reads->items[reads->head + reads->count] = (struct raft_read){
        .read_id = read_id, .index = is_leader ? index_of_now(raft) : 0};
    reads->count++;
    if (is_leader) {
        read_advance(raft);
    } else {
        ask(raft);
    }
    return 0;
}

void read_fail_all(struct raft *raft)
{
    struct reads *reads = &raft->reads;

    for (size_t i = 0; i < reads->count; i++) {
        reads->items[reads->head + i].is_failed = true;
    }
    if (reads->count > 0) {
        take(raft, reads->count);
    }
    reads->round_count = 0;
    reads->is_round_open = false;
    reads->asked_id = 0;
    reads->is_ask_due = false;
}
