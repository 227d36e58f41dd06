/* SPDX-License-Identifier: Apache-2.0
 * Calls under way: from the peer's frame to its answer, and never past the
 * deadline. Which member answers is decided in routes.c. */
#include "node/requests.h"

#include "api/results.h"
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "node/access.h"

void requests_init(struct node *node)
{
    map_init(&node->requests, node->settings->requests_max,
             rng_next(&node->rng));
    map_init(&node->executions, node->settings->requests_max,
             rng_next(&node->rng));
    heap_init(&node->request_deadlines, node->settings->requests_max);
    list_init(&node->waiting_applied);
    list_init(&node->waiting_leader);
    list_init(&node->checks);
    buf_init(&node->scratch, NODE_RESULT_SIZE_MAX);
}

static void request_free(struct node *node, struct request *request)
{
    (void)map_remove(&node->requests,
                     bytes_of(request->key, sizeof(request->key)));
    heap_remove(&node->request_deadlines, &request->deadline);
    checks_forget(request);
    execute_forget(node, request);
    list_remove(&request->link_node);
    list_remove(&request->queue);
    call_free(&node->inbox, request->call);
    ensure(node->request_bytes >= request->args.size);
    node->request_bytes -= request->args.size;
    blob_release(request->blob);
    mem_free(request);
}

int request_renumber(struct node *node, struct request *request)
{
    struct bytes key = bytes_of(request->key, sizeof(request->key));

    (void)map_remove(&node->requests, key);
    request->number = ++node->request_number;
    memcpy(request->key, &request->number, sizeof(request->key));
    return map_put(&node->requests, key, request);
}

void request_drop(struct node *node, struct request *request)
{
    request_free(node, request);
}

void requests_close(struct node *node)
{
    struct heap_node *first;

    checks_close(node);
    while ((first = heap_first(&node->request_deadlines)) != NULL) {
        request_free(node, LIST_ENTRY(first, struct request, deadline));
    }
    map_close(&node->requests);
    map_close(&node->executions);
    heap_close(&node->request_deadlines);
    buf_close(&node->scratch);
}

static void drop_insert(struct node *node)
{
    if (node->insert.blob != NULL) {
        blob_release(node->insert.blob);
        node->insert = (struct call_insert){0};
    }
}

struct buf *node_result(struct node *node)
{
    drop_insert(node);
    buf_clear(&node->scratch);
    return &node->scratch;
}

void node_result_insert(struct node *node, struct bytes bytes,
                        struct blob *blob)
{
    ensure(node->insert.blob == NULL);
    node->insert.at = node->scratch.size;
    node->insert.bytes = bytes;
    node->insert.blob = blob_hold(blob);
}

void node_result_done(struct node *node)
{
    enum { KEEP_MAX = 256 * 1024 };

    drop_insert(node);
    if (node->scratch.capacity > KEEP_MAX) {
        buf_close(&node->scratch);
    }
}

static size_t put_insert(const struct call_insert *insert, struct buf *out)
{
    struct peer *peer = (struct peer *)insert->arg;

    if (out != peer_out(peer)) {
        buf_put_bytes(out, insert->bytes);
        return 0;
    }
    peer_out_shared(peer, insert->bytes, insert->blob);
    return insert->bytes.size;
}

static void reply(struct node *node, struct link *link, const struct call *call,
                  const struct call_result *result)
{
    if (result->insert != NULL) {
        node->insert.put = put_insert;
        node->insert.arg = link->peer;
    }
    call_reply(&node->inbox, &link->inbox_peer, call, result,
               peer_out(link->peer));
}

/* The result in scratch, or what says that it could not be built. */
static struct call_result finished_result(struct node *node)
{
    struct call_result result = {.type = CALL_VALUE};

    if (buf_error(&node->scratch) != 0) {
        int err = buf_error(&node->scratch);

        buf_close(&node->scratch);
        results_put_error_code(node_result(node), err);
    }
    result.value = buf_bytes(&node->scratch);
    result.insert = node->insert.blob != NULL ? &node->insert : NULL;
    return result;
}

/* The result, which is in scratch, as the body of a message; a big one is
 * moved to `body->blob`, or ERR_NOMEM. */
static int take_result(struct node *node, struct parts_message *body)
{
    const struct call_insert *insert = &node->insert;
    struct bytes result = buf_bytes(&node->scratch);

    if (insert->blob != NULL) {
        body->body = insert->bytes;
        body->blob = blob_hold(insert->blob);
        body->end =
            bytes_of(result.data + insert->at, result.size - insert->at);
        return 0;
    }
    body->body = result;
    if (result.size > PARTS_MESSAGE_MIN) {
        body->blob = blob_take(&node->scratch);
        return body->blob == NULL ? ERR_NOMEM : 0;
    }
    return 0;
}

/* To the member that passed the call on; a big result is not copied. */
static int send_result(struct node *node, const struct request *request)
{
    struct parts_message body = {0};
    struct buf head;
    int rv;

    buf_init(&head, PARTS_PART_MAX / 2);
    etf_put_tuple(&head, 2);
    etf_put_u64(&head, request->forward_number);
    buf_put(&head, node->scratch.data, node->insert.at);
    rv = buf_error(&head);
    rv = rv != 0 ? rv : take_result(node, &body);
    if (rv == 0) {
        body.head = buf_bytes(&head);
        rv = links_send(node, request->link, "forwarded", &body);
    }
    blob_release(body.blob);
    buf_close(&head);
    return rv;
}

static void forward_result(struct node *node, const struct request *request)
{
    int rv = send_result(node, request);

    if (rv != 0) {
        results_put_error_code(node_result(node), rv);
        /* Short; if there is no memory even for it, the deadline answers. */
        if (send_result(node, request) != 0) {
            node->counters.dropped_messages++;
        }
    }
}

void request_finish(struct node *node, struct request *request)
{
    struct call_result result = finished_result(node);
    struct link *link = request->link;

    if (link != NULL && request->call != NULL) {
        reply(node, link, request->call, &result);
    } else if (link != NULL) {
        forward_result(node, request);
    }
    request_free(node, request);
    node_result_done(node);
}

void request_fail(struct node *node, struct request *request, int err)
{
    struct buf *result = node_result(node);

    if (request->api.type == API_STATUS) {
        /* How this member is can be said without the others, and is asked most
         * when they are not there. The answer says which it is. */
        request->api.route = API_LOCAL;
        (void)queries_answer(node, &request->api, result);
    } else {
        results_put_error_code(result, err);
    }
    request_finish(node, request);
}

/* The structure, with its arguments held or copied; NULL: no memory. */
static struct request *new_with_args(const struct request_source *source)
{
    size_t copied = source->blob == NULL ? source->args.size : 0;
    struct request *request = mem_alloc(sizeof(*request) + copied);

    if (request == NULL) {
        return NULL;
    }
    request->args = source->args;
    if (source->blob != NULL) {
        request->blob = blob_hold(source->blob);
    } else {
        request->args.data = (const uint8_t *)(request + 1);
        memcpy(request + 1, source->args.data, copied);
    }
    return request;
}

struct request *request_new(struct node *node, struct link *link,
                            const struct request_source *source, int *ret_error)
{
    const struct api_function *function = source->function;
    struct request *request;
    struct buf ignored;
    int rv;

    *ret_error = ERR_BUSY;
    if (source->args.size > NODE_REQUEST_BYTES_MAX - node->request_bytes) {
        return NULL;
    }
    request = new_with_args(source);
    *ret_error = ERR_NOMEM;
    if (request == NULL) {
        return NULL;
    }
    node->request_bytes += request->args.size;
    request->number = ++node->request_number;
    memcpy(request->key, &request->number, sizeof(request->key));
    request->link = link;
    list_init(&request->link_node);
    list_init(&request->queue);
    buf_init(&ignored, 1024);
    /* The same arguments were accepted before; only their place is new. */
    rv = api_decode_args(function, request->args, source->spans, &request->api,
                         &ignored);
    ensure(rv == 0 || rv == ERR_NOMEM);
    buf_close(&ignored);
    request->deadline.key = node->now_ms + source->timeout_ms;
    rv = map_put(&node->requests, bytes_of(request->key, sizeof(request->key)),
                 request);
    if (rv == 0) {
        rv = heap_put(&node->request_deadlines, &request->deadline);
    }
    if (rv != 0) {
        *ret_error = rv == ERR_LIMIT ? ERR_BUSY : rv;
        request_free(node, request);
        return NULL;
    }
    list_append(&link->requests, &request->link_node);
    return request;
}

/* Answers from memory if that is possible: true if done. */
static bool answer_now(struct node *node, const struct api_request *api)
{
    if (api->route != API_LOCAL) {
        return false;
    }
    return queries_answer(node, api, node_result(node));
}

static void refuse(struct node *node, struct link *link,
                   const struct call *call, int error)
{
    struct call_result done;

    results_put_error_code(node_result(node), error);
    done = finished_result(node);
    reply(node, link, call, &done);
}

static struct request *new_for_call(struct node *node, struct link *link,
                                    const struct call *call,
                                    const struct request_source *source,
                                    int *ret_error)
{
    struct request *request = request_new(node, link, source, ret_error);

    if (request == NULL) {
        return NULL;
    }
    request->call = call_copy(&node->inbox, &link->inbox_peer, call);
    if (request->call == NULL) {
        *ret_error = ERR_NOMEM;
        request_free(node, request);
        return NULL;
    }
    request->call->owner = request;
    return request;
}

/* Makes a request of a call. */
static void start_call(struct node *node, struct link *link,
                       const struct call *call, const struct api_request *api)
{
    struct request_source source = {.function = api->function,
                                    .args = call->args,
                                    .spans = call->spans,
                                    .timeout_ms = api->timeout_ms};
    struct request *request;
    int rv;

    if (call->args.size >= STATE_SHARED_MIN) {
        source.blob = peer_take_frame(link->peer);
    }
    request = new_for_call(node, link, call, &source, &rv);
    if (request == NULL) {
        refuse(node, link, call, rv);
    } else if (checks_is_big(api) ||
               (link->check_count > 0 && api->route == API_STATE)) {
        checks_start(node, request);
    } else {
        request_start(node, request);
    }
    /* The call was in it until now. */
    blob_release(source.blob);
}

void requests_call(struct node *node, struct link *link,
                   const struct call *call)
{
    struct api_request api;
    const struct api_function *function =
        api_lookup(call->module, call->function, call->arity);
    struct buf *result = node_result(node);
    struct call_result done;
    struct buf why;
    int rv;

    node->counters.calls++;
    if (peer_is_busy(link->peer)) {
        /* It asks and does not read: an answer may be as long as its question,
         * this one is short. */
        refuse(node, link, call, ERR_BUSY);
        return;
    }
    if (function == NULL) {
        reply(node, link, call, &(struct call_result){.type = CALL_UNDEF});
        return;
    }
    buf_init(&why, 4096);
    rv = api_decode_args(function, call->args, call->spans, &api, &why);
    if (rv == 0 && !access_allows_call(node, link, &api)) {
        rv = ERR_FORBIDDEN;
    }
    if (rv == 0 && call->arity > 0) {
        rv = api_check_terms(&api, STATE_SHARED_MIN, &node->rng, &why);
    }
    if (rv == ERR_BADARG) {
        results_put_badarg(result, buf_bytes(&why));
    } else if (rv != 0) {
        results_put_error_code(result, rv);
    }
    buf_close(&why);
    if (rv != 0 || answer_now(node, &api)) {
        done = finished_result(node);
        reply(node, link, call, &done);
        node_result_done(node);
        return;
    }
    start_call(node, link, call, &api);
}

struct request *requests_find(const struct node *node, uint64_t number)
{
    return (struct request *)map_get(&node->requests,
                                     bytes_of(&number, sizeof(number)));
}

/* The request may be gone when its command comes back. */
struct request_proposal {
    uint64_t number;
    request_applied_fn *applied;
};

static void request_applied(struct node *node, void *arg,
                            const struct command_result *result)
{
    struct request_proposal *proposal = (struct request_proposal *)arg;
    struct request *request = requests_find(node, proposal->number);

    if (request != NULL && result == NULL) {
        request_again(node, request);
    } else if (request != NULL) {
        proposal->applied(node, request, result);
    }
    mem_free(proposal);
}

void request_propose(struct node *node, struct request *request,
                     const struct command *command, request_applied_fn *applied)
{
    struct request_proposal *proposal = mem_alloc(sizeof(*proposal));
    int rv = ERR_NOMEM;

    if (proposal != NULL) {
        proposal->number = request->number;
        proposal->applied = applied;
        rv = node_log_propose(node, command, request_applied, proposal);
    }
    if (rv != 0) {
        mem_free(proposal);
        if (rv == ERR_NOT_LEADER) {
            request_again(node, request);
        } else {
            request_fail(node, request, rv);
        }
    }
}

void requests_cancel(struct request *request)
{
    /* What was begun goes on; only the answer has no reader. */
    checks_forget(request);
    request->link = NULL;
    list_remove(&request->link_node);
}

void requests_link_down(struct node *node, struct link *link)
{
    struct list *first;

    while ((first = list_take_first(&link->requests)) != NULL) {
        struct request *request = LIST_ENTRY(first, struct request, link_node);

        checks_forget(request);
        request->link = NULL;
    }
    if (link->member != NULL) {
        routes_member_lost(node, link->member->id);
    }
}

void requests_tick(struct node *node)
{
    struct heap_node *first;

    while ((first = heap_first(&node->request_deadlines)) != NULL &&
           first->key <= node->now_ms) {
        struct request *request = LIST_ENTRY(first, struct request, deadline);
        bool is_read = request->api.route == API_READ;
        bool is_untouched = request->is_parked && !request->is_unknown;
        bool has_quorum = raft_has_quorum(node->raft, node->now_ms);

        request_fail(node, request,
                     is_untouched || (is_read && !has_quorum) ? ERR_NO_QUORUM
                                                              : ERR_TIMEOUT);
    }
    retries_tick(node);
    routes_tick(node);
}
