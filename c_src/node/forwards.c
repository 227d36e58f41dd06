/* SPDX-License-Identifier: Apache-2.0
 * Calls that members pass to one another (docs/protocol.md, section 3):
 *
 *   forward ──▶ the leader          it has the call's request id, and the term
 *   ◀── forwarded: the result       in which the other one leads
 *   ◀── not_taken: ask the next leader */
#include "base/err.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "node/requests.h"

enum { FORWARD_HEAD_MAX = 2048 };

bool forwards_is_own_work(const struct api_request *api)
{
    return api->type == API_REPLICATE_STATE || api->type == API_DELETE_STATE;
}

static uint64_t time_left_ms(const struct node *node,
                             const struct request *request)
{
    return request->deadline.key > node->now_ms
               ? request->deadline.key - node->now_ms
               : 1;
}

void forwards_pass(struct node *node, struct request *request,
                   struct link *leader)
{
    const struct api_function *function = request->api.function;
    struct buf head;
    int rv = 0;

    if (request->passed_term != 0) {
        /* A late answer to the first time is none to this one. */
        rv = request_renumber(node, request);
    }
    if (rv != 0) {
        request_fail(node, request, request->is_unknown ? ERR_TIMEOUT : rv);
        return;
    }

    node->counters.forwarded++;
    request->passed_to = leader->member->id;
    request->passed_term = raft_term(node->raft);
    buf_init(&head, FORWARD_HEAD_MAX);
    etf_put_tuple(&head, 6);
    etf_put_u64(&head, request->number);
    etf_put_u64(&head, time_left_ms(node, request));
    etf_put_tuple(&head, 4);
    etf_put_u64(&head, request->passed_term);
    etf_put_u64(&head, request->id.session);
    etf_put_u64(&head, request->id.number);
    etf_put_atom(&head, request->is_unknown ? "true" : "false");
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
        request->passed_to = 0;
        request_fail_or_park(node, request, rv);
    }
}

void forwards_decline(struct node *node, struct link *link, uint64_t number,
                      bool is_lost)
{
    struct buf text;

    buf_init(&text, FORWARD_HEAD_MAX);
    etf_put_tuple(&text, 2);
    etf_put_u64(&text, number);
    etf_put_atom(&text, is_lost ? "true" : "false");
    /* If it does not leave, the asking member's deadline answers for us. */
    if (buf_error(&text) != 0 ||
        links_send(node, link, "not_taken",
                   &(struct parts_message){.head = buf_bytes(&text)}) != 0) {
        node->counters.dropped_messages++;
    }
    buf_close(&text);
}

/* What another member says of a call that it passes on. */
struct forward {
    uint64_t number;
    uint64_t timeout_ms;
    uint64_t term; /* in which we lead, as far as it knows */
    struct request_id id;
    bool is_unknown;
    struct bytes module;
    struct bytes function;
    struct bytes args;
};

static int read_forward(struct bytes body, struct forward *ret_forward)
{
    struct etf_reader reader = etf_reader_of(body);
    int rv = etf_read_tuple_of(&reader, 6);

    rv = rv == 0 ? etf_read_u64(&reader, &ret_forward->number) : rv;
    rv = rv == 0 ? etf_read_u64(&reader, &ret_forward->timeout_ms) : rv;
    rv = rv == 0 ? etf_read_tuple_of(&reader, 4) : rv;
    rv = rv == 0 ? etf_read_u64(&reader, &ret_forward->term) : rv;
    rv = rv == 0 ? etf_read_u64(&reader, &ret_forward->id.session) : rv;
    rv = rv == 0 ? etf_read_u64(&reader, &ret_forward->id.number) : rv;
    rv = rv == 0 ? etf_read_bool(&reader, &ret_forward->is_unknown) : rv;
    rv = rv == 0 ? etf_read_atom(&reader, &ret_forward->module) : rv;
    rv = rv == 0 ? etf_read_atom(&reader, &ret_forward->function) : rv;
    rv = rv == 0 ? etf_read_raw(&reader, &ret_forward->args) : rv;
    if (rv == 0 &&
        ((ret_forward->id.session == 0) != (ret_forward->id.number == 0) ||
         (ret_forward->is_unknown && ret_forward->id.number == 0))) {
        rv = ERR_MALFORMED;
    }
    return rv;
}

int requests_forward(struct node *node, struct link *link, struct bytes body)
{
    struct forward forward;
    struct etf_list list;
    struct etf_reader args_reader;
    struct api_request api;
    struct request *request;
    struct buf why;
    bool more = true;
    uint32_t arity = 0;
    int rv = read_forward(body, &forward);

    if (rv != 0) {
        return rv;
    }
    args_reader = etf_reader_of(forward.args);
    rv = etf_list_begin(&args_reader, &list);
    while (rv == 0 && (rv = etf_list_next(&list, &more)) == 0 && more) {
        arity++;
        if (!list.is_string) {
            rv = etf_skip(&list.element);
        }
    }
    buf_init(&why, 4096);
    rv = rv == 0 ? api_decode(forward.module, forward.function, forward.args,
                              arity, &api, &why)
                 : rv;
    buf_close(&why);
    /* A function is run only for who asks this member itself. */
    if (rv != 0 || api.route == API_LOCAL || api.type == API_EXECUTE ||
        forwards_is_own_work(&api) || forward.timeout_ms > API_TIMEOUT_MS_MAX) {
        return rv != 0 ? rv : ERR_MALFORMED;
    }
    if (!node_log_is_leader(node) || raft_term(node->raft) != forward.term) {
        /* Taken in a later term, it might be done behind the member's back,
         * which has asked the next leader and answered by now. */
        forwards_decline(node, link, forward.number, false);
        return 0;
    }
    request =
        request_new(node, link,
                    &(struct request_source){.function = api.function,
                                             .args = forward.args,
                                             .timeout_ms = forward.timeout_ms},
                    &rv);
    if (request == NULL) {
        return 0; /* The asking member's deadline answers for us. */
    }
    request->forward_number = forward.number;
    if (forward.id.number != 0) {
        request->id = forward.id;
        request->id.member = link->member->id;
        request->is_unknown = forward.is_unknown;
    }
    request_start(node, request);
    return 0;
}

int requests_not_taken(struct node *node, const struct link *link,
                       struct bytes body)
{
    struct etf_reader reader = etf_reader_of(body);
    struct request *request;
    uint64_t number;
    bool is_lost;
    int rv = etf_read_tuple_of(&reader, 2);

    rv = rv == 0 ? etf_read_u64(&reader, &number) : rv;
    rv = rv == 0 ? etf_read_bool(&reader, &is_lost) : rv;
    if (rv != 0) {
        return rv;
    }
    request = requests_find(node, number);
    if (request == NULL || request->passed_to != link->member->id) {
        return 0;
    }
    request->passed_to = 0;
    request->refused_term = request->passed_term;
    if (is_lost) {
        request_again(node, request);
    } else {
        request_start(node, request);
    }
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
