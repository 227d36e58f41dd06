/* SPDX-License-Identifier: Apache-2.0
 * Where a call is answered: here, by the leader, or by the next leader. */
#include "base/ensure.h"
#include "base/err.h"
#include "node/requests.h"

/* Election timeouts, since there last was a majority. */
enum { ELECTIONS_WAITED = 3, ELECTIONS_WAITED_TOGETHER = 10 };

/* Whether what comes in is to wait for the next leader. Voters who are there
 * elect one, if it takes them more than one election; those who are known to be
 * gone will not, so that nobody need wait. */
static bool may_have_leader_soon(const struct node *node)
{
    uint64_t elections = 0;

    switch (partitions_majority(node)) {
    case MAJORITY_THERE:
        elections = ELECTIONS_WAITED_TOGETHER;
        break;
    case MAJORITY_IN_DOUBT:
        elections = ELECTIONS_WAITED;
        break;
    case MAJORITY_GONE:
        break;
    }
    return node->now_ms < node->quorum_seen_ms +
                              elections * node->settings->election_timeout_ms;
}

/* There is no majority: some of it can be done without one. */
static void refuse(struct node *node, struct request *request)
{
    if (!provisional_begin(node, request)) {
        request_fail(node, request, ERR_NO_QUORUM);
    }
}

/* What may have been done already waits as long as its caller does. */
static void park(struct node *node, struct request *request)
{
    if (!request->is_unknown && !may_have_leader_soon(node)) {
        refuse(node, request);
        return;
    }
    request->is_parked = true;
    list_append(&node->waiting_leader, &request->queue);
}

void request_fail_or_park(struct node *node, struct request *request, int err)
{
    if (request->is_unknown && retries_may(request)) {
        park(node, request);
    } else {
        request_fail(node, request, request->is_unknown ? ERR_TIMEOUT : err);
    }
}

void request_read(struct node *node, struct request *request)
{
    if (request->is_unknown) {
        request->seen_index = node_log_settle(node);
    }
    list_append(&node->reads, &request->queue);
}

/* Work that only the leader does. */
static void lead(struct node *node, struct request *request)
{
    switch (request->api.type) {
    case API_CREATE_SANDBOX:
        sandboxes_create(node, request);
        return;
    case API_STOP_SANDBOX:
        sandboxes_stop(node, request);
        return;
    case API_REGISTER:
        names_register(node, request);
        return;
    case API_UNREGISTER:
        names_unregister(node, request);
        return;
    case API_ADD_MEMBER:
        growing_add(node, request);
        return;
    case API_REMOVE_MEMBER:
        growing_remove(node, request);
        return;
    case API_TRANSFER_LEADERSHIP:
        transfer_begin(node, request);
        return;
    case API_KEEP_COPY:
        conflicts_keep(node, request);
        return;
    case API_RESTORE_COPY:
    case API_DISCARD_COPY:
    case API_RESTORED:
        conflicts_change(node, request);
        return;
    case API_RESOLVE_DUPLICATES:
        conflicts_look(node, request);
        return;
    case API_SELECT:
    case API_SELECT_OPTIMAL_NODE:
    case API_RECOVER_STATE:
    case API_COPY:
        request_read(node, request);
        return;
    case API_SANDBOX:
    case API_WHEREIS:
    case API_LOOKUP:
    case API_NAMES:
    case API_TOKEN:
    case API_EXECUTE:
    case API_STATUS:
    case API_VERSION:
    case API_MEMBERS:
    case API_WORKERS:
    case API_SANDBOXES:
    case API_HAS_QUORUM:
    case API_DETECT_PARTITION:
    case API_PARTITION_REPORT:
    case API_EXPECTED_NODES:
    case API_SET_EXPECTED_NODES:
    case API_SUBSCRIBE:
    case API_UNSUBSCRIBE:
    case API_REPLICATE_STATE:
    case API_DELETE_STATE:
    case API_GET_STATE:
    case API_REPLICAS:
    case API_CONFLICTS:
    case API_COPIES:
    case API_TYPES:
        break;
    }
    unreachable();
}

/* All is applied that the log had when it was asked again. */
static void lead_again(struct node *node, struct request *request)
{
    if (!retries_answer(node, request)) {
        request->is_unknown = false;
        request->attempts = 0;
        lead(node, request);
    }
}

void request_at_read(struct node *node, struct request *request)
{
    struct buf *result;

    if (request->call == NULL && request->link == NULL) {
        /* Its member asks again, maybe another leader: nothing may come of this
         * here any more. */
        request_drop(node, request);
        return;
    }
    if (request->is_unknown) {
        lead_again(node, request);
        return;
    }
    if (request->api.type == API_ADD_MEMBER ||
        request->api.type == API_REMOVE_MEMBER) {
        request_start(node, request);
        return;
    }
    if (request->api.type == API_RECOVER_STATE) {
        states_recover(node, request);
        return;
    }
    if (request->api.type == API_COPY) {
        conflicts_read(node, request);
        return;
    }
    if (request->api.type == API_CREATE_SANDBOX) {
        sandboxes_create_at_read(node, request);
        return;
    }
    if (request->api.type == API_EXECUTE) {
        execute_at_read(node, request);
        return;
    }
    result = node_result(node);
    if (!queries_answer(node, &request->api, result)) {
        unreachable();
    }
    request_finish(node, request);
}

static void start_as_leader(struct node *node, struct request *request)
{
    if (request->is_unknown) {
        request_read(node, request);
    } else if (raft_has_quorum(node->raft, node->now_ms)) {
        lead(node, request);
    } else {
        park(node, request);
    }
}

/* Any member answers, once the leader has told it how far it has to be. */
static void start_read(struct node *node, struct request *request)
{
    if (node_log_is_leader(node) || links_leader(node) != NULL) {
        request_read(node, request);
    } else {
        request_retry_read(node, request);
    }
}

void request_retry_read(struct node *node, struct request *request)
{
    if (request->api.type == API_STATUS) {
        /* A member says how it is, with a majority or without. */
        request_fail(node, request, ERR_NO_QUORUM);
    } else {
        park(node, request);
    }
}

void request_start(struct node *node, struct request *request)
{
    struct link *leader;

    if (request->api.route == API_READ) {
        start_read(node, request);
        return;
    }
    if (forwards_is_own_work(&request->api)) {
        states_replicate(node, request);
        return;
    }
    if (request->api.type == API_GET_STATE) {
        states_get(node, request);
        return;
    }
    retries_give_id(node, request);
    if (node_log_is_leader(node)) {
        start_as_leader(node, request);
        return;
    }
    if (request->call == NULL) {
        request_again(node, request);
        return;
    }
    leader = links_leader(node);
    if (leader == NULL || raft_term(node->raft) <= request->refused_term) {
        park(node, request);
    } else {
        forwards_pass(node, request, leader);
    }
}

/* Whether it stays here: a leader that takes nothing now has too much to do, or
 * hands over. */
static bool is_to_wait(const struct node *node, const struct request *request)
{
    return !node->is_stopping &&
           (node_log_is_leader(node) ||
            (request->call != NULL && retries_may(request)));
}

void request_again(struct node *node, struct request *request)
{
    if (is_to_wait(node, request)) {
        request->is_unknown = request->id.number != 0;
        park(node, request);
    } else if (request->call != NULL) {
        request_fail(node, request, ERR_NO_QUORUM);
    } else {
        if (request->link != NULL) {
            forwards_decline(node, request->link, request->forward_number,
                             true);
        }
        request_drop(node, request);
    }
}

/* Calls that were passed on to a leader who is gone, or is none any more: they
 * go to the next one. `member` 0: all that were passed on in another term. */
static void take_back(struct node *node, uint64_t member)
{
    struct list lost;
    struct list *first;
    struct request *request;
    size_t position = 0;

    list_init(&lost);
    while ((request = map_next(&node->requests, &position)) != NULL) {
        if (request->passed_to != 0 &&
            (member == 0 ? request->passed_term != raft_term(node->raft) &&
                               retries_may(request)
                         : request->passed_to == member)) {
            list_remove(&request->queue);
            list_append(&lost, &request->queue);
        }
    }
    while ((first = list_take_first(&lost)) != NULL) {
        request = LIST_ENTRY(first, struct request, queue);
        request->passed_to = 0;
        request->is_unknown = request->id.number != 0;
        if (!retries_may(request)) {
            request_fail(node, request, ERR_TIMEOUT);
        } else {
            park(node, request);
        }
    }
}

void routes_member_lost(struct node *node, uint64_t member)
{
    take_back(node, member);
}

/* Calls that wait for a leader go to the one there is now. */
static void start_parked(struct node *node)
{
    bool has_leader = node_log_is_leader(node) || links_leader(node) != NULL;
    struct list again;
    struct list *first;
    bool may_wait;

    if (list_is_empty(&node->waiting_leader)) {
        return;
    }
    may_wait = may_have_leader_soon(node);
    list_init(&again);
    while ((first = list_take_first(&node->waiting_leader)) != NULL) {
        list_append(&again, first);
    }
    while ((first = list_take_first(&again)) != NULL) {
        struct request *request = LIST_ENTRY(first, struct request, queue);

        if (has_leader && raft_term(node->raft) > request->refused_term) {
            request->is_parked = false;
            request_start(node, request);
        } else if (!request->is_unknown && !may_wait) {
            refuse(node, request);
        } else {
            list_append(&node->waiting_leader, first);
        }
    }
}

void routes_turn(struct node *node)
{
    uint64_t leader = raft_leader(node->raft);
    uint64_t term = raft_term(node->raft);

    if (leader == 0 ||
        (leader == node->routed_leader && term == node->routed_term)) {
        return;
    }
    if (node_log_is_leader(node) || links_leader(node) != NULL) {
        node->routed_leader = leader;
        node->routed_term = term;
        take_back(node, 0);
        start_parked(node);
        orders_leader_changed(node);
    }
}

/* What they wait for was committed, and is not to be heard of here. */
static void fail_stuck_reads(struct node *node)
{
    struct list *first;

    while ((first = list_take_first(&node->reads_confirmed)) != NULL) {
        struct request *request = LIST_ENTRY(first, struct request, queue);

        request_fail(node, request,
                     request->is_unknown ? ERR_TIMEOUT : ERR_NO_QUORUM);
    }
}

void routes_tick(struct node *node)
{
    if (raft_has_quorum(node->raft, node->now_ms)) {
        node->quorum_seen_ms = node->now_ms;
    } else if (!list_is_empty(&node->reads_confirmed) &&
               !may_have_leader_soon(node)) {
        fail_stuck_reads(node);
    }
    start_parked(node);
}
