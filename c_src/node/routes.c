/* SPDX-License-Identifier: Apache-2.0
 * Where a call is answered: here, by the leader, or by the next leader. */
#include "base/ensure.h"
#include "base/err.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "node/requests.h"

enum {
    ELECTIONS_WAITED = 3, /* timeouts */
    FORWARD_HEAD_MAX = 2048,
};

static void pass_to_leader(struct node *node, struct request *request,
                           struct link *leader)
{
    const struct api_function *function = request->api.function;
    struct buf head;
    int rv;

    node->counters.forwarded++;
    request->passed_to = leader->member->id;
    buf_init(&head, FORWARD_HEAD_MAX);
    etf_put_tuple(&head, 5);
    etf_put_u64(&head, request->number);
    etf_put_u64(&head, request->api.timeout_ms);
    etf_put_atom_bytes(&head, function->module);
    etf_put_atom_bytes(&head, function->function);
    rv = buf_error(&head);
    if (rv == 0) {
        struct parts_message body = {.head = buf_bytes(&head),
                                     .body = request->args};

        rv = links_send(node, leader, "forward", &body);
    }
    buf_close(&head);
    if (rv != 0) {
        request_fail(node, request, rv);
    }
}

void request_read(struct node *node, struct request *request)
{
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
    case API_SELECT:
    case API_SELECT_OPTIMAL_NODE:
    case API_SANDBOX:
    case API_WHEREIS:
    case API_TOKEN:
    case API_RECOVER_STATE:
        request_read(node, request);
        return;
    case API_VERSION:
    case API_STATUS:
    case API_MEMBERS:
    case API_WORKERS:
    case API_SANDBOXES:
    case API_HAS_QUORUM:
    case API_DETECT_PARTITION:
    case API_PARTITION_REPORT:
    case API_EXPECTED_NODES:
    case API_REPLICATE_STATE:
    case API_DELETE_STATE:
    case API_GET_STATE:
    case API_REPLICAS:
    case API_TYPES:
        break;
    }
    unreachable();
}

void request_at_read(struct node *node, struct request *request)
{
    struct buf *result;

    if (request->api.type == API_RECOVER_STATE) {
        states_recover(node, request);
        return;
    }
    if (request->api.type == API_CREATE_SANDBOX) {
        sandboxes_create_at_read(node, request);
        return;
    }
    result = node_result(node);
    if (!queries_answer(node, &request->api, result)) {
        unreachable();
    }
    request_finish(node, request);
}

/* An election takes a moment; what comes in meanwhile waits that long, counted
 * from when there last was a majority: later ones are told at once. */
static void park(struct node *node, struct request *request)
{
    request->parked_until_ms =
        node->quorum_seen_ms +
        ELECTIONS_WAITED * (uint64_t)node->settings->election_timeout_ms;
    if (request->parked_until_ms <= node->now_ms) {
        request_fail(node, request, ERR_NO_QUORUM);
        return;
    }
    list_append(&node->waiting_leader, &request->queue);
}

/* Done by the member that was called, with the replicas themselves. */
static bool is_write_of_state(const struct api_request *api)
{
    return api->type == API_REPLICATE_STATE || api->type == API_DELETE_STATE;
}

void request_start(struct node *node, struct request *request)
{
    struct link *leader;

    if (is_write_of_state(&request->api)) {
        states_replicate(node, request);
        return;
    }
    if (request->api.type == API_GET_STATE) {
        states_get(node, request);
        return;
    }
    if (node_log_is_leader(node)) {
        if (raft_has_quorum(node->raft, node->now_ms)) {
            lead(node, request);
        } else {
            request_fail(node, request, ERR_NO_QUORUM);
        }
        return;
    }
    leader = links_leader(node);
    if (leader == NULL || request->call == NULL) {
        /* A call that was passed on is not passed on again: the two members
         * may disagree for a while on who leads. */
        park(node, request);
    } else {
        pass_to_leader(node, request, leader);
    }
}

int requests_forward(struct node *node, struct link *link, struct bytes body)
{
    struct etf_reader reader = etf_reader_of(body);
    uint64_t number;
    uint64_t timeout_ms;
    struct bytes module;
    struct bytes function;
    struct bytes args;
    struct etf_list list;
    struct etf_reader args_reader;
    struct api_request api;
    struct request *request;
    struct buf why;
    bool more = true;
    uint32_t arity = 0;
    int rv = etf_read_tuple_of(&reader, 5);

    rv = rv == 0 ? etf_read_u64(&reader, &number) : rv;
    rv = rv == 0 ? etf_read_u64(&reader, &timeout_ms) : rv;
    rv = rv == 0 ? etf_read_atom(&reader, &module) : rv;
    rv = rv == 0 ? etf_read_atom(&reader, &function) : rv;
    rv = rv == 0 ? etf_read_raw(&reader, &args) : rv;
    if (rv != 0) {
        return rv;
    }
    args_reader = etf_reader_of(args);
    rv = etf_list_begin(&args_reader, &list);
    while (rv == 0 && (rv = etf_list_next(&list, &more)) == 0 && more) {
        arity++;
        if (!list.is_string) {
            rv = etf_skip(&list.element);
        }
    }
    buf_init(&why, 4096);
    rv = rv == 0 ? api_decode(module, function, args, arity, &api, &why) : rv;
    buf_close(&why);
    if (rv != 0 || api.route == API_LOCAL || is_write_of_state(&api) ||
        timeout_ms > API_TIMEOUT_MS_MAX) {
        return rv != 0 ? rv : ERR_MALFORMED;
    }
    request = request_new(node, link,
                          &(struct request_source){.function = api.function,
                                                   .args = args,
                                                   .timeout_ms = timeout_ms},
                          &rv);
    if (request == NULL) {
        return 0; /* The asking member's deadline answers for us. */
    }
    request->forward_number = number;
    request_start(node, request);
    return 0;
}

int requests_forwarded(struct node *node, struct bytes body,
                       struct blob *shared)
{
    struct etf_reader reader = etf_reader_of(body);
    struct request *request;
    uint64_t number;
    struct bytes result;
    int rv = etf_read_tuple_of(&reader, 2);

    rv = rv == 0 ? etf_read_u64(&reader, &number) : rv;
    rv = rv == 0 ? etf_read_rest(&reader, &result) : rv;
    if (rv != 0) {
        return rv;
    }
    request = requests_find(node, number);
    if (request != NULL && request->call != NULL) {
        struct buf *answer = node_result(node);

        if (shared != NULL) {
            node_result_insert(node, result, shared);
        } else {
            etf_put_raw(answer, result);
        }
        request_finish(node, request);
    }
    return 0;
}

/* Calls that were passed to a member which is gone: a read may be asked again,
 * of a write nobody knows what became of it. */
void routes_member_lost(struct node *node, uint64_t member)
{
    struct list lost;
    struct list *first;
    struct request *request;
    size_t position = 0;

    list_init(&lost);
    while ((request = map_next(&node->requests, &position)) != NULL) {
        if (request->passed_to == member) {
            list_remove(&request->queue);
            list_append(&lost, &request->queue);
        }
    }
    while ((first = list_take_first(&lost)) != NULL) {
        request = LIST_ENTRY(first, struct request, queue);
        request->passed_to = 0;
        if (request->api.route == API_READ) {
            park(node, request);
        } else {
            request_fail(node, request, ERR_TIMEOUT);
        }
    }
}

void routes_tick(struct node *node)
{
    bool has_leader = node_log_is_leader(node) || links_leader(node) != NULL;
    struct list again;
    struct list *first;

    if (raft_has_quorum(node->raft, node->now_ms)) {
        node->quorum_seen_ms = node->now_ms;
    }
    list_init(&again);
    while ((first = list_take_first(&node->waiting_leader)) != NULL) {
        list_append(&again, first);
    }
    while ((first = list_take_first(&again)) != NULL) {
        struct request *request = LIST_ENTRY(first, struct request, queue);

        if (has_leader && (request->call != NULL || node_log_is_leader(node))) {
            request_start(node, request);
        } else if (request->parked_until_ms <= node->now_ms) {
            request_fail(node, request, ERR_NO_QUORUM);
        } else {
            list_append(&node->waiting_leader, first);
        }
    }
}
