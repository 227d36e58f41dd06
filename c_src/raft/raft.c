/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/raft.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "raft/internal.h"

enum { PERSIST_KEPT = 64 };

#ifdef RAFT_MUTATIONS
enum raft_mutation raft_mutation;
#endif

struct peer *raft_peer(struct raft *raft, uint64_t id)
{
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        if (raft->peers[i].id == id) {
            return &raft->peers[i];
        }
    }
    return NULL;
}

bool raft_is_hard_pending(const struct raft *raft)
{
    if (RAFT_IS_MUTATED(SEND_EARLY)) {
        return false;
    }
    return raft->is_hard_changed || raft->seq_hard > raft->seq_persisted;
}

uint64_t raft_timeout_ms(const struct raft *raft)
{
    return silence_timeout_ms(&raft->silence, raft->config.election_timeout_ms);
}

void raft_note_gap(struct raft *raft, uint64_t since_ms)
{
    silence_note(&raft->silence, raft->now_ms - since_ms, raft->now_ms,
                 raft->config.election_timeout_ms);
}

/* --- The step ------------------------------------------------------------ */

int raft_reserve(struct raft *raft, size_t count, size_t size)
{
    size_t capacity = raft->persist_capacity < 8 ? 8 : raft->persist_capacity;
    struct raft_entry *persist;
    int rv;

    rv = log_reserve(&raft->log, count, size);
    if (rv != 0) {
        return rv;
    }
    rv = writes_reserve(&raft->writes);
    if (rv != 0 || count <= raft->persist_capacity) {
        return rv;
    }
    while (capacity < count) {
        capacity *= 2;
    }
    persist = mem_realloc(raft->persist, capacity * sizeof(*persist));
    if (persist == NULL) {
        return ERR_NOMEM;
    }
    raft->persist = persist;
    raft->persist_capacity = capacity;
    return 0;
}

void raft_append(struct raft *raft, uint64_t term, enum raft_entry_type type,
                 struct bytes data)
{
    log_append(&raft->log, term, type, data);
    if (raft->appended_first == 0) {
        raft->appended_first = log_last(&raft->log);
    }
    if (type == RAFT_ENTRY_CONFIG) {
        adoption_of_entry(raft, log_last(&raft->log));
    }
}

static struct due_reply *find_reply(struct raft *raft, uint64_t to)
{
    for (uint32_t i = 0; i < raft->reply_count; i++) {
        if (raft->replies[i].to == to) {
            return &raft->replies[i];
        }
    }
    return NULL;
}

void raft_reply(struct raft *raft, uint64_t to, const struct message *message)
{
    struct due_reply *reply = find_reply(raft, to);

    if (reply == NULL) {
        /* Too many strangers: the answer counts as lost on the way. */
        if (raft->reply_count == REPLIES_MAX) {
            return;
        }
        reply = &raft->replies[raft->reply_count];
        raft->reply_count++;
    }
    *reply = (struct due_reply){.to = to, .message = *message};
}

static void begin_step(struct raft *raft, const struct raft_event *event)
{
    bool is_idle = event->type == RAFT_TICK;

    if (event->now_ms > raft->now_ms) {
        raft->now_ms = event->now_ms;
    }
    outbox_begin_step(raft, is_idle);
    if (is_idle && raft->persist_capacity > PERSIST_KEPT) {
        mem_free(raft->persist);
        raft->persist = NULL;
        raft->persist_capacity = 0;
    }
    raft->is_hard_changed = false;
    raft->truncated_from = 0;
    raft->appended_first = 0;
    raft->read_done_count = 0;
    raft->change_report.phase = RAFT_CHANGE_NONE;
    raft->is_membership_changed = false;
    raft->chunk.transfer = 0;
    raft->is_finish_due = false;
    raft->is_restored = false;
    raft->is_handover_failed = false;
}

static void handle_tick(struct raft *raft)
{
    if (raft->role == RAFT_LEADER) {
        replication_tick(raft);
    } else {
        election_tick(raft);
    }
}

static int handle_message(struct raft *raft, const struct raft_event *event)
{
    uint64_t from = event->from;
    struct message message;
    int rv;

    if (from == raft->config.id || from == 0) {
        return 0;
    }
    rv = message_decode(event->bytes, &message);
    if (rv != 0) {
        return rv;
    }
    switch (message.type) {
    case MESSAGE_PRE_VOTE:
        election_handle_pre_vote(raft, from, &message);
        return 0;
    case MESSAGE_VOTE:
        election_handle_vote(raft, from, &message);
        return 0;
    case MESSAGE_PRE_VOTE_REPLY:
    case MESSAGE_VOTE_REPLY:
        election_handle_reply(raft, raft_peer(raft, from), &message);
        return 0;
    case MESSAGE_APPEND:
        return follower_handle_append(raft, from, &message);
    case MESSAGE_TIMEOUT_NOW:
        return handover_handle(raft, from, &message);
    case MESSAGE_SNAPSHOT:
        return snapshot_handle_chunk(raft, from, &message);
    case MESSAGE_READ:
        read_handle_ask(raft, from, &message);
        return 0;
    case MESSAGE_READ_REPLY:
        read_handle_answer(raft, from, &message);
        return 0;
    case MESSAGE_APPEND_REPLY:
    case MESSAGE_SNAPSHOT_REPLY:
        if (!replication_is_reply_sane(raft, &message)) {
            return ERR_MALFORMED;
        }
        replication_handle_reply(raft, raft_peer(raft, from), &message);
        return 0;
    }
    unreachable();
}

static int handle_propose(struct raft *raft, struct bytes bytes,
                          struct raft_effects *effects)
{
    int rv;

    if (raft->role != RAFT_LEADER) {
        return ERR_NOT_LEADER;
    }
    if (bytes.size > RAFT_PROPOSAL_SIZE_MAX) {
        return ERR_LIMIT;
    }
    if (raft->handover.to != 0 ||
        raft->uncommitted_bytes + bytes.size > RAFT_UNCOMMITTED_MAX) {
        return ERR_BUSY;
    }
    rv = raft_reserve(raft, 1, bytes.size);
    if (rv != 0) {
        return rv;
    }
    replication_append(raft, RAFT_ENTRY_COMMAND, bytes);
    effects->proposed_index = log_last(&raft->log);
    effects->proposed_term = raft->term;
    replication_send_all(raft);
    return 0;
}

static void handle_persisted(struct raft *raft, uint64_t seq)
{
    ensure(seq <= raft->seq_last);
    if (seq <= raft->seq_persisted) {
        return;
    }
    raft->seq_persisted = seq;
    writes_done(&raft->writes, seq);
    if (raft->role == RAFT_LEADER) {
        replication_advance(raft);
        read_advance(raft);
    } else {
        follower_persisted(raft);
    }
}

static int handle(struct raft *raft, const struct raft_event *event,
                  struct raft_effects *effects)
{
    switch (event->type) {
    case RAFT_TICK:
        handle_tick(raft);
        return 0;
    case RAFT_MESSAGE:
        return handle_message(raft, event);
    case RAFT_LINK_LOST:
        election_link_lost(raft, event->from);
        return 0;
    case RAFT_PROPOSE:
        return handle_propose(raft, event->bytes, effects);
    case RAFT_READ:
        return read_add(raft, event->read_id);
    case RAFT_CHANGE:
        return change_begin(raft, event->target);
    case RAFT_HANDOVER:
        return handover_begin(raft, event->successor);
    case RAFT_PERSISTED:
        handle_persisted(raft, event->persisted_seq);
        return 0;
    case RAFT_SNAPSHOT_TAKEN:
        snapshot_taken(raft, event->snapshot_index, event->snapshot_size);
        return 0;
    case RAFT_CHUNK_STORED:
        snapshot_chunk_stored(raft, event->transfer, event->chunk_end);
        return 0;
    case RAFT_SNAPSHOT_STORED:
        snapshot_stored(raft, event->transfer);
        return 0;
    case RAFT_SNAPSHOT_FAILED:
        snapshot_failed(raft, event->transfer);
        return 0;
    case RAFT_CHUNK_LOST:
        snapshot_lost(raft, event->from, event->snapshot_index);
        return 0;
    }
    unreachable();
}

/* Sends what had to wait for the term and the vote to be on disk. */
static void send_due(struct raft *raft)
{
    if (raft_is_hard_pending(raft)) {
        return;
    }
    if (raft->is_campaign_due) {
        election_campaign(raft);
    }
    for (uint32_t i = 0; i < raft->reply_count; i++) {
        (void)outbox_put(raft, raft->replies[i].to, &raft->replies[i].message);
    }
    raft->reply_count = 0;
    if (raft->is_ack_due) {
        follower_send_ack(raft);
    }
    if (raft->reads.is_ask_due) {
        read_send_ask(raft);
    }
}

static void gather_persist(struct raft *raft, struct raft_persist *persist)
{
    uint64_t last = log_last(&raft->log);

    if (!raft->is_hard_changed && raft->appended_first == 0 &&
        !raft->is_log_reset) {
        return;
    }
    raft->seq_last++;
    persist->seq = raft->seq_last;
    persist->term = raft->term;
    persist->voted_for = raft->voted_for;
    persist->truncate_from = raft->truncated_from;
    if (raft->is_hard_changed) {
        raft->seq_hard = raft->seq_last;
        raft->is_hard_changed = false;
    }
    if (raft->is_log_reset) {
        persist->is_log_reset = true;
        persist->base_index = log_base(&raft->log);
        persist->base_term = log_term(&raft->log, persist->base_index);
        raft->is_log_reset = false;
    }
    if (raft->appended_first == 0) {
        return;
    }
    writes_begin(&raft->writes, persist->seq, raft->appended_first, last);
    for (uint64_t i = raft->appended_first; i <= last; i++) {
        ensure(persist->entry_count < raft->persist_capacity);
        raft->persist[persist->entry_count] = log_get(&raft->log, i);
        persist->entry_count++;
    }
    persist->entries = raft->persist;
}

int raft_step(struct raft *raft, const struct raft_event *event,
              struct raft_effects *effects)
{
    enum raft_role role = raft->role;
    uint64_t leader = raft->leader;
    uint64_t term = raft->term;
    uint64_t commit = raft->commit;
    int rv;

    *effects = (struct raft_effects){.send_count = 0};
    begin_step(raft, event);
    /* Any step may begin a term and append its no-op. */
    rv = raft_reserve(raft, 1, 0);
    if (rv != 0) {
        return rv;
    }
    rv = handle(raft, event, effects);
    if (rv != 0) {
        return rv;
    }
    if (raft->is_changing) {
        change_advance(raft);
    }
    if (raft->handover.to != 0) {
        handover_advance(raft);
    }
    send_due(raft);
    gather_persist(raft, &effects->persist);
    outbox_end_step(raft, effects);
    effects->reads = raft->read_done;
    effects->read_count = raft->read_done_count;
    effects->chunk = raft->chunk;
    effects->finish = raft->is_finish_due ? &raft->incoming.snapshot : NULL;
    effects->finish_transfer =
        raft->is_finish_due ? raft->incoming.transfer : 0;
    effects->restore = raft->is_restored ? &raft->snapshot : NULL;
    effects->change = raft->change_report;
    effects->handover_failed = raft->is_handover_failed;
    effects->membership_changed = raft->is_membership_changed;
    effects->role_changed =
        raft->role != role || raft->leader != leader || raft->term != term;
    effects->commit_changed = raft->commit != commit;
    return 0;
}

/* --- Questions ----------------------------------------------------------- */

uint64_t raft_deadline_ms(const struct raft *raft)
{
    uint64_t quorum_ms;

    if (raft->role != RAFT_LEADER) {
        return adoption_can_campaign(raft) ? raft->election_deadline_ms
                                           : UINT64_MAX;
    }
    if (raft->peer_count == 0) {
        return UINT64_MAX;
    }
    quorum_ms = replication_quorum_heard_ms(raft) + raft_timeout_ms(raft);
    return quorum_ms < raft->heartbeat_deadline_ms
               ? quorum_ms
               : raft->heartbeat_deadline_ms;
}

enum raft_role raft_role(const struct raft *raft)
{
    return raft->role;
}

uint64_t raft_id(const struct raft *raft)
{
    return raft->config.id;
}

uint64_t raft_term(const struct raft *raft)
{
    return raft->term;
}

uint64_t raft_leader(const struct raft *raft)
{
    return raft->leader;
}

uint64_t raft_commit_index(const struct raft *raft)
{
    return raft->commit;
}

uint64_t raft_last_index(const struct raft *raft)
{
    return log_last(&raft->log);
}

uint64_t raft_first_index(const struct raft *raft)
{
    return log_base(&raft->log) + 1;
}

const struct raft_snapshot *raft_snapshot(const struct raft *raft)
{
    return &raft->snapshot;
}

static bool is_recent(const struct raft *raft, uint64_t then_ms,
                      uint64_t now_ms)
{
    return now_ms < then_ms || now_ms - then_ms < raft_timeout_ms(raft);
}

const struct raft_membership *raft_membership(const struct raft *raft)
{
    return &raft->membership;
}

uint64_t raft_membership_index(const struct raft *raft)
{
    return raft->membership_index;
}

bool raft_is_voter(const struct raft *raft)
{
    return (raft->own_roles & ROLES_VOTING) != 0;
}

uint32_t raft_reachable_voters(const struct raft *raft, uint64_t now_ms)
{
    uint32_t count = (raft->own_roles & ROLE_VOTER) != 0 ? 1 : 0;

    if (raft->role != RAFT_LEADER) {
        return 0;
    }
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        const struct peer *peer = &raft->peers[i];

        count += (peer->roles & ROLE_VOTER) != 0 && peer->is_heard &&
                 is_recent(raft, peer->heard_ms, now_ms);
    }
    return count;
}

bool raft_has_quorum(const struct raft *raft, uint64_t now_ms)
{
    if (raft->role == RAFT_LEADER) {
        return is_recent(raft, quorum_reach(raft, QUORUM_HEARD_MS, now_ms),
                         now_ms);
    }
    return raft->leader != 0 && is_recent(raft, raft->leader_heard_ms, now_ms);
}

int raft_entry_get(const struct raft *raft, uint64_t index,
                   struct raft_entry *ret_entry)
{
    if (index <= log_base(&raft->log) || index > log_last(&raft->log)) {
        return ERR_NOT_FOUND;
    }
    *ret_entry = log_get(&raft->log, index);
    return 0;
}
