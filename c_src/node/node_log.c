/* SPDX-License-Identifier: Apache-2.0
 * The shell around the replicated log: gathers commands into entries, carries
 * out the core's effects (persist, send, commit, reads), applies what is
 * committed, and tells those who wait. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "node/node.h"
#include "node/requests.h"

enum {
    APPLY_ENTRIES_A_TURN = 4096, /* then other work gets its turn */
    ENTRY_OVERHEAD = 64,         /* bytes of the log beside the data */
    EXIT_IOERR = 74,
    EXIT_SOFTWARE = 70,
};

static void proposals_drop(struct node *node, struct list *proposals)
{
    struct list *first;

    while ((first = list_take_first(proposals)) != NULL) {
        struct proposal *proposal = LIST_ENTRY(first, struct proposal, link);

        proposal->done(node, proposal->arg, NULL);
        mem_free(proposal);
    }
}

void node_log_close(struct node *node)
{
    if (node->batch_proposals.next != NULL) {
        proposals_drop(node, &node->batch_proposals);
        proposals_drop(node, &node->proposals);
    }
    node_snapshot_close(node);
    wal_close(node->wal);
    raft_free(node->raft);
    node->wal = NULL;
    node->raft = NULL;
    buf_close(&node->batch);
    buf_close(&node->outgoing);
}

bool node_log_is_leader(const struct node *node)
{
    return raft_role(node->raft) == RAFT_LEADER;
}

static const char *role_name(enum raft_role role)
{
    switch (role) {
    case RAFT_FOLLOWER:
        return "follower";
    case RAFT_PRE_CANDIDATE:
        return "pre_candidate";
    case RAFT_CANDIDATE:
        return "candidate";
    case RAFT_LEADER:
        return "leader";
    }
    unreachable();
}

static void role_changed(struct node *node)
{
    const struct member *leader =
        members_by_id(&node->members, raft_leader(node->raft));
    bool is_leader = node_log_is_leader(node);

    log_line(LOG_INFO, "role_changed", "role=%s term=%llu leader=%.*s",
             role_name(raft_role(node->raft)),
             (unsigned long long)raft_term(node->raft),
             leader == NULL ? 1 : (int)leader->name.size,
             leader == NULL ? "-" : (const char *)leader->name.data);
    if (is_leader != node->was_leader) {
        node->was_leader = is_leader;
        node->leader_since_ms = node->now_ms;
        controller_role_changed(node);
    }
}

static void read_confirmed(struct node *node, const struct raft_read *read)
{
    struct list *next;

    for (struct list *item = node->reads_pending.next;
         item != &node->reads_pending; item = next) {
        struct request *request = LIST_ENTRY(item, struct request, queue);

        next = item->next;
        if (request->read_id != read->read_id) {
            /* Confirmed in the order of asking: the list is sorted. */
            if (request->read_id > read->read_id) {
                break;
            }
            continue;
        }
        list_remove(item);
        if (read->is_failed && request->api.route == API_READ) {
            request_retry_read(node, request);
        } else if (read->is_failed && request->id.number != 0) {
            request_again(node, request);
        } else if (read->is_failed) {
            request_fail(node, request, ERR_NO_QUORUM);
        } else {
            request->wait_index = read->index > request->seen_index
                                      ? read->index
                                      : request->seen_index;
            list_append(&node->reads_confirmed, item);
        }
    }
}

static void carry_out(struct node *node, const struct raft_effects *effects)
{
    if (effects->persist.seq != 0) {
        int rv = wal_submit(node->wal, &effects->persist);

        if (rv != 0) {
            node_fail(node, EXIT_IOERR, "log_write_failed", err_text(rv));
            return;
        }
    }
    for (size_t i = 0; i < effects->send_count; i++) {
        links_send_member(node, effects->sends[i].to, "raft",
                          effects->sends[i].bytes);
    }
    for (size_t i = 0; i < effects->read_count; i++) {
        read_confirmed(node, &effects->reads[i]);
    }
    if (effects->role_changed) {
        role_changed(node);
    }
    if (effects->change.phase != RAFT_CHANGE_NONE) {
        node->change_report = effects->change;
    }
    node->has_new_members |= effects->membership_changed;
    node->transfer.has_failed |= effects->handover_failed;
    node_snapshot_carry_out(node, effects);
}

static int step(struct node *node, struct raft_event *event,
                struct raft_effects *effects)
{
    int rv;

    event->now_ms = node->now_ms;
    rv = raft_step(node->raft, event, effects);
    if (rv == ERR_NOMEM) {
        node_fail(node, EXIT_SOFTWARE, "out_of_memory", "the log cannot grow");
    }
    if (rv == 0) {
        carry_out(node, effects);
    }
    return rv;
}

/* For events that the core takes unless memory is gone, and step() has the
 * node fail then. */
static void step_surely(struct node *node, struct raft_event *event,
                        struct raft_effects *effects)
{
    int rv = step(node, event, effects);

    ensure(rv == 0 || rv == ERR_NOMEM);
}

void node_log_tell(struct node *node, struct raft_event *event)
{
    struct raft_effects effects;

    step_surely(node, event, &effects);
}

int node_log_change(struct node *node, const struct raft_membership *target)
{
    struct raft_event event = {.type = RAFT_CHANGE, .target = target};
    struct raft_effects effects;

    return step(node, &event, &effects);
}

/* A member that did not run for a while, or was busy, has to read before it
 * calls another one silent: a sign of life may stand in a socket, behind parts
 * of something big. Not for ever: what it reads may be all there is. */
static bool must_read_first(const struct node *node)
{
    return !node_log_is_leader(node) &&
           node->late_turns < NODE_LATE_TURNS_MAX &&
           (node->late_turns == 0 || links_have_unread(node));
}

void node_log_tick(struct node *node)
{
    struct raft_event event = {.type = RAFT_TICK};
    struct raft_effects effects;
    bool is_due = raft_deadline_ms(node->raft) <= node->now_ms;

    if (is_due && must_read_first(node)) {
        node->late_turns++;
        return;
    }
    node->late_turns = 0;
    if (is_due) {
        step_surely(node, &event, &effects);
    }
}

void node_log_receive(struct node *node, const struct link *link,
                      struct bytes message)
{
    struct raft_event event = {
        .type = RAFT_MESSAGE, .from = link->member->id, .bytes = message};
    struct raft_effects effects;
    int rv = step(node, &event, &effects);

    if (rv == ERR_MALFORMED) {
        node->counters.refused_frames++;
        peer_cut(link->peer, "malformed raft message");
    }
}

void node_log_link_lost(struct node *node, uint64_t member_id)
{
    struct raft_event event = {.type = RAFT_LINK_LOST, .from = member_id};
    struct raft_effects effects;

    /* When the node closes, its links end as well. */
    if (node->raft != NULL && !node->is_stopping) {
        step_surely(node, &event, &effects);
    }
}

void node_log_drain(struct node *node)
{
    struct raft_event event = {.type = RAFT_PERSISTED};
    struct raft_effects effects;
    uint64_t seq;

    if (node_log_disk(node, &seq) && seq > node->wal_seen_seq) {
        node->wal_seen_seq = seq;
        event.persisted_seq = seq;
        step_surely(node, &event, &effects);
    }
}

int node_log_transfer(struct node *node, uint64_t member_id)
{
    struct raft_event event = {.type = RAFT_HANDOVER, .successor = member_id};
    struct raft_effects effects;

    return step(node, &event, &effects);
}

void node_log_hand_over(struct node *node)
{
    struct raft_event event = {.type = RAFT_HANDOVER};
    struct raft_effects effects;

    /* Refused: one is under way already, or there is nobody. */
    (void)step(node, &event, &effects);
}

static void propose_batch(struct node *node)
{
    struct raft_event event = {.type = RAFT_PROPOSE,
                               .bytes = buf_bytes(&node->batch)};
    struct raft_effects effects = {0};
    struct list *first;
    int rv;

    if (node->batch.size == 0) {
        return;
    }
    rv = step(node, &event, &effects);
    buf_clear(&node->batch);
    node->batch_count = 0;
    if (rv != 0) {
        proposals_drop(node, &node->batch_proposals);
        return;
    }
    node->proposed_index = effects.proposed_index;
    while ((first = list_take_first(&node->batch_proposals)) != NULL) {
        struct proposal *proposal = LIST_ENTRY(first, struct proposal, link);

        proposal->index = effects.proposed_index;
        proposal->term = effects.proposed_term;
        list_append(&node->proposals, first);
    }
}

uint64_t node_log_settle(struct node *node)
{
    propose_batch(node);
    return raft_last_index(node->raft);
}

int node_log_propose(struct node *node, const struct command *command,
                     proposal_done_fn *done, void *arg)
{
    struct proposal *proposal = NULL;
    size_t size = node->batch.size;

    if (!node_log_is_leader(node)) {
        return ERR_NOT_LEADER;
    }
    if (node->is_log_full) {
        return ERR_NO_SPACE;
    }
    if (done != NULL) {
        proposal = mem_alloc(sizeof(*proposal));
        if (proposal == NULL) {
            return ERR_NOMEM;
        }
        *proposal = (struct proposal){.done = done, .arg = arg};
    }
    command_encode(&node->batch, command);
    if (buf_error(&node->batch) != 0) {
        int rv = buf_error(&node->batch);

        node->batch.size = size;
        node->batch.error = 0;
        mem_free(proposal);
        return rv;
    }
    if (proposal != NULL) {
        proposal->ordinal = node->batch_count;
        list_append(&node->batch_proposals, &proposal->link);
    }
    node->batch_count++;
    if (node->batch.size >= NODE_BATCH_SIZE_MAX) {
        propose_batch(node);
    }
    return 0;
}

void node_log_submit(struct node *node, const struct command *command)
{
    if (!node_log_is_leader(node)) {
        command_encode(&node->outgoing, command);
        return;
    }
    if (node_log_propose(node, command, NULL, NULL) != 0) {
        node->counters.dropped_commands++;
    }
}

int node_log_receive_commands(struct node *node, struct bytes batch)
{
    struct cursor cursor = cursor_of(batch);
    struct command command;
    int rv;

    while ((rv = command_decode(&cursor, &command)) == 0) {
        if (command.type == COMMAND_RECOVER) {
            return ERR_MALFORMED; /* it is only ever written offline */
        }
        if (node_log_is_leader(node)) {
            node_log_submit(node, &command);
        }
    }
    return rv == ERR_NOT_FOUND ? 0 : rv;
}

static void start_reads(struct node *node)
{
    struct raft_event event = {.type = RAFT_READ};
    struct raft_effects effects;
    struct list *first;
    int rv;

    if (list_is_empty(&node->reads)) {
        return;
    }
    node->read_id++;
    event.read_id = node->read_id;
    /* They move before the step: its effects may confirm them already. */
    while ((first = list_take_first(&node->reads)) != NULL) {
        LIST_ENTRY(first, struct request, queue)->read_id = node->read_id;
        list_append(&node->reads_pending, first);
    }
    rv = step(node, &event, &effects);
    if (rv != 0) {
        read_confirmed(node, &(struct raft_read){.read_id = node->read_id,
                                                 .is_failed = true});
    }
}

void node_log_flush(struct node *node)
{
    uint64_t committed = raft_commit_index(node->raft);

    start_reads(node);
    if (node->proposed_index < committed + NODE_ENTRIES_IN_FLIGHT) {
        propose_batch(node);
    }
    if (node->outgoing.size > 0 && !node_log_is_leader(node)) {
        uint64_t leader = raft_leader(node->raft);

        if (leader != 0 && buf_error(&node->outgoing) == 0) {
            links_send_member(node, leader, "commands",
                              buf_bytes(&node->outgoing));
        }
    }
    buf_clear(&node->outgoing);
}

/* Tells those who proposed a command of the entry at `index`. `result` NULL:
 * everyone still waiting there; their commands are in another leader's past. */
static void tell_proposers(struct node *node, uint64_t index, uint64_t term,
                           uint32_t ordinal,
                           const struct command_result *result)
{
    while (!list_is_empty(&node->proposals)) {
        struct proposal *proposal =
            LIST_ENTRY(node->proposals.next, struct proposal, link);
        bool is_lost = proposal->index < index ||
                       (proposal->index == index && proposal->term != term);

        if (!is_lost && (proposal->index > index || result == NULL ||
                         proposal->ordinal > ordinal)) {
            return;
        }
        list_remove(&proposal->link);
        proposal->done(node, proposal->arg, is_lost ? NULL : result);
        mem_free(proposal);
    }
}

static int apply_entry(struct node *node, const struct raft_entry *entry)
{
    struct cursor batch = cursor_of(entry->data);
    struct command command;
    struct command_result result;
    uint32_t ordinal = 0;
    int rv;

    while ((rv = command_decode(&batch, &command)) == 0) {
        node->recorder.command = &command;
        rv = command_apply(&node->machine, entry->index, &command, &result);
        if (rv != 0) {
            return rv;
        }
        if (result.rv != 0) {
            agents_command_refused(node, &command, result.rv);
        }
        tell_proposers(node, entry->index, entry->term, ordinal, &result);
        ordinal++;
    }
    return rv == ERR_NOT_FOUND ? 0 : rv;
}

static void answer_confirmed_reads(struct node *node)
{
    struct list *next;

    for (struct list *item = node->reads_confirmed.next;
         item != &node->reads_confirmed; item = next) {
        struct request *request = LIST_ENTRY(item, struct request, queue);

        next = item->next;
        if (request->wait_index <= node->machine.applied_index) {
            list_remove(item);
            request_at_read(node, request);
        }
    }
}

void node_log_apply(struct node *node)
{
    uint64_t committed = raft_commit_index(node->raft);
    uint64_t first = node->machine.applied_index + 1;
    uint64_t last = committed;

    if (last >= first + APPLY_ENTRIES_A_TURN) {
        last = first + APPLY_ENTRIES_A_TURN - 1;
        loop_wake(node->loop);
    }
    for (uint64_t index = first; index <= last; index++) {
        struct raft_entry entry;
        int rv = raft_entry_get(node->raft, index, &entry);

        if (rv == 0 && entry.type == RAFT_ENTRY_COMMAND) {
            rv = apply_entry(node, &entry);
        }
        if (rv != 0) {
            node_fail(node, EXIT_SOFTWARE, "apply_failed", err_text(rv));
            return;
        }
        node->machine.applied_index = index;
        node->snapshot.log_bytes += entry.data.size + ENTRY_OVERHEAD;
        tell_proposers(node, index, entry.term, 0, NULL);
    }
    if (last >= first) {
        states_applied(node);
    }
    answer_confirmed_reads(node);
}
