/* SPDX-License-Identifier: Apache-2.0
 * The leader's side of Raft 3.5 and 3.6. Entries leave at once and ahead of
 * their answers; the leader's own copy counts once it is on disk, like any
 * other. */
#include "base/ensure.h"
#include "raft/internal.h"

static bool send_append(struct raft *raft, struct peer *peer, size_t limit,
                        struct message *message, uint32_t *ret_size)
{
    *message =
        (struct message){.type = MESSAGE_APPEND,
                         .term = raft->term,
                         .index = peer->next - 1,
                         .index_term = log_term(&raft->log, peer->next - 1),
                         .commit = raft->commit,
                         .read_seq = raft->reads.round};
    if (!outbox_put_append(raft, peer->id, message, limit, ret_size)) {
        return false;
    }
    peer->commit_sent = raft->commit;
    return true;
}

static void send_probe(struct raft *raft, struct peer *peer)
{
    struct message message;
    uint32_t size;

    if (peer->is_probe_sent) {
        return;
    }
    peer->is_probe_sent = true;
    if (peer->next > log_last(&raft->log)) {
        outbox_put_empty(raft, peer);
        return;
    }
    /* Lost if there is no memory for it: the heartbeat sends it again. */
    (void)send_append(raft, peer, PROBE_SIZE_MAX, &message, &size);
}

/* Sends what the peer lacks and its window allows; else a new commit index,
 * if nothing is on its way that will have to be followed by one. */
static void send_to(struct raft *raft, struct peer *peer)
{
    if (peer->state != PEER_SNAPSHOT && peer->next <= log_base(&raft->log)) {
        snapshot_begin(raft, peer);
        return;
    }
    switch (peer->state) {
    case PEER_PROBE:
        send_probe(raft, peer);
        return;
    case PEER_SNAPSHOT:
        snapshot_send(raft, peer);
        return;
    case PEER_REPLICATE:
        break;
    }
    while (peer->next <= log_last(&raft->log) && peer_has_room(peer)) {
        struct message message;
        uint32_t size;

        if (!send_append(raft, peer, RAFT_MESSAGE_SIZE_MAX, &message, &size)) {
            return;
        }
        peer_sent(peer, message.index + message.entry_count, size);
    }
    if (peer->flight_count == 0 && peer->commit_sent < raft->commit) {
        outbox_put_empty(raft, peer);
    }
}

void replication_send_all(struct raft *raft)
{
    ensure(raft->role == RAFT_LEADER);
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        send_to(raft, &raft->peers[i]);
    }
}

/* An empty append beyond all that was sent: a peer that lost something on the
 * way refuses it, and so says that it did. */
void replication_send_heartbeats(struct raft *raft)
{
    ensure(raft->role == RAFT_LEADER);
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        outbox_put_empty(raft, &raft->peers[i]);
    }
}

void replication_lead(struct raft *raft)
{
    uint64_t last = log_last(&raft->log);

    raft->uncommitted_bytes = 0;
    for (uint64_t i = raft->commit + 1; i <= last; i++) {
        raft->uncommitted_bytes += log_get(&raft->log, i).data.size;
    }
    adoption_forget_left(raft);
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        peer_begin_term(&raft->peers[i], last + 1);
    }
    ensure(raft->reads.count == 0);
    raft->reads.round = 0;
    raft->term_start = last + 1;
    raft->leader_since_ms = raft->now_ms;
    raft->heartbeat_deadline_ms =
        raft->now_ms + raft->config.heartbeat_interval_ms;
    /* Whatever earlier leaders have begun is to be finished. */
    raft->is_changing = true;
    replication_append(raft, RAFT_ENTRY_NOOP, bytes_of(NULL, 0));
    replication_send_all(raft);
}

void replication_append(struct raft *raft, enum raft_entry_type type,
                        struct bytes data)
{
    raft_append(raft, raft->term, type, data);
    raft->uncommitted_bytes += data.size;
}

uint64_t replication_quorum_heard_ms(const struct raft *raft)
{
    return quorum_reach(raft, QUORUM_HEARD_MS, raft->now_ms);
}

void replication_tick(struct raft *raft)
{
    uint64_t silence_ms = raft->now_ms - replication_quorum_heard_ms(raft);

    if (silence_ms >= raft_timeout_ms(raft)) {
        election_follow(raft, raft->term, 0);
        return;
    }
    if (raft->now_ms < raft->heartbeat_deadline_ms) {
        return;
    }
    raft->heartbeat_deadline_ms =
        raft->now_ms + raft->config.heartbeat_interval_ms;
    adoption_forget_left(raft);
    for (uint32_t i = 0; i < raft->peer_count; i++) {
        struct peer *peer = &raft->peers[i];

        peer->is_probe_sent = false;
        send_to(raft, peer);
        if (peer->state == PEER_SNAPSHOT) {
            snapshot_tick(raft, peer);
        }
        if (peer->state != PEER_PROBE) {
            outbox_put_empty(raft, peer);
        }
    }
}

void replication_advance(struct raft *raft)
{
    uint64_t index;

    ensure(raft->role == RAFT_LEADER);
    index = quorum_reach(raft, QUORUM_MATCH, raft->writes.persisted_index);
    /* Raft 3.6.2: copies of an older term's entry prove nothing. */
    if (index <= raft->commit || (log_term(&raft->log, index) != raft->term &&
                                  !RAFT_IS_MUTATED(COMMIT_OLD_TERM))) {
        return;
    }
    while (raft->commit < index) {
        raft->commit++;
        raft->uncommitted_bytes -= log_get(&raft->log, raft->commit).data.size;
    }
    replication_send_all(raft);
}

bool replication_is_reply_sane(const struct raft *raft,
                               const struct message *message)
{
    return raft->role != RAFT_LEADER || message->term != raft->term ||
           message->type == MESSAGE_SNAPSHOT_REPLY ||
           (message->index <= log_last(&raft->log) &&
            message->read_seq <= raft->reads.round);
}

/* The peer refused the entry at message->index. Its hint says how far back the
 * logs can meet at all; our own terms may say that it is further still. */
static void back_off(struct raft *raft, struct peer *peer,
                     const struct message *message)
{
    uint64_t index;

    /* Refusals may come late; and what is on its disk is not refused. */
    if (message->index <= peer->match || peer->state == PEER_SNAPSHOT ||
        (peer->state == PEER_PROBE && message->index != peer->next - 1)) {
        return;
    }
    index = log_find_term(&raft->log, message->hint_index, message->hint_term);
    index = index < message->index ? index : message->index - 1;
    peer_probe(peer, (index > peer->match ? index : peer->match) + 1);
    send_to(raft, peer);
}

void replication_handle_reply(struct raft *raft, struct peer *from,
                              const struct message *message)
{
    if (message->term > raft->term) {
        election_follow(raft, message->term, 0);
        return;
    }
    if (message->term < raft->term || raft->role != RAFT_LEADER ||
        from == NULL) {
        return;
    }
    if (from->is_heard && (from->roles & ROLES_VOTING) != 0) {
        raft_note_gap(raft, from->heard_ms);
    }
    from->is_heard = true;
    from->heard_ms = raft->now_ms;
    if (message->read_seq > from->read_seq) {
        from->read_seq = message->read_seq;
    }
    if (message->type == MESSAGE_SNAPSHOT_REPLY) {
        snapshot_handle_reply(raft, from, message);
    } else if (message->is_granted) {
        if (message->index > from->match) {
            from->progress_ms = raft->now_ms;
        }
        peer_matched(from, message->index);
        /* The slower half of the acknowledgements tells nothing new. */
        if (from->match > raft->commit) {
            replication_advance(raft);
        }
        send_to(raft, from);
    } else {
        back_off(raft, from, message);
    }
    read_advance(raft);
}
