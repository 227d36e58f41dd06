/* SPDX-License-Identifier: Apache-2.0
 * execute_with_quorum: once a read has shown that there is a quorum, a function
 * runs on a node of the user's, as by `erpc:call`, and its result goes back
 * with a token.
 *
 * What runs there is not ours: it goes on when its caller gives up or is gone,
 * and when the quorum is lost meanwhile. The token is what tells late effects
 * from new ones. */
#include "api/results.h"
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "etf/keys.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "node/access.h"
#include "node/requests.h"

enum { RESULT_SIZE_MAX = 1024 * 1024 /* bytes; they are looked through */ };

struct execution {
    struct request *request;
    struct link *link; /* where it runs; its end is the end of this */
    uint64_t token;
    size_t reference_size;
    uint8_t reference[INBOX_REFERENCE_SIZE_MAX]; /* key in node->executions */
};

static struct bytes reference_of(const struct execution *execution)
{
    return bytes_of(execution->reference, execution->reference_size);
}

static void forget(struct node *node, struct execution *execution)
{
    (void)map_remove(&node->executions, reference_of(execution));
    execution->request->execution = NULL;
    mem_free(execution);
}

void execute_forget(struct node *node, struct request *request)
{
    struct execution *execution = request->execution;

    if (execution != NULL) {
        outbox_demonitor(&node->inbox, &execution->link->inbox_peer,
                         reference_of(execution),
                         peer_out(execution->link->peer));
        forget(node, execution);
    }
}

/* The node as an atom: {error, {What, Node}}. */
static void fail_node(struct node *node, struct request *request,
                      const char *what, struct bytes name)
{
    struct buf atom;

    buf_init(&atom, 4 * (size_t)REGISTRY_NODE_SIZE_MAX);
    etf_put_atom_bytes(&atom, name);
    if (buf_error(&atom) == 0) {
        results_put_error_raw(node_result(node), what, buf_bytes(&atom));
        request_finish(node, request);
    } else {
        request_fail(node, request, buf_error(&atom));
    }
    buf_close(&atom);
}

/* With `execution` in the table, or nothing was sent. */
static int spawn(struct node *node, struct execution *execution)
{
    const struct api_mfa *mfa = &execution->request->api.mfa;
    struct link *link = execution->link;
    struct outbox_call call = {mfa->module, mfa->function, mfa->args};
    struct buf reference;
    int rv;

    /* Room first: what was sent cannot be taken back. */
    rv = map_reserve(&node->executions, node->executions.count + 1);
    if (rv != 0) {
        return rv;
    }
    buf_init(&reference, INBOX_REFERENCE_SIZE_MAX);
    rv = buf_reserve(&reference, INBOX_REFERENCE_SIZE_MAX) == NULL
             ? ERR_NOMEM
             : outbox_spawn(&node->inbox, &link->inbox_peer, &call,
                            peer_out(link->peer), &reference);
    if (rv == 0) {
        ensure(buf_error(&reference) == 0);
        execution->reference_size = reference.size;
        memcpy(execution->reference, reference.data, reference.size);
        rv = map_put(&node->executions, reference_of(execution), execution);
        ensure(rv == 0);
    }
    buf_close(&reference);
    return rv;
}

static void begin(struct node *node, struct request *request, struct link *link)
{
    struct execution *execution = mem_alloc(sizeof(*execution));
    int rv = ERR_NOMEM;

    if (execution != NULL) {
        execution->request = request;
        execution->link = link;
        execution->token =
            command_epoch(&node->machine, node->machine.applied_index);
        rv = spawn(node, execution);
    }
    if (rv == 0) {
        request->execution = execution;
    } else {
        mem_free(execution);
        request_fail(node, request, rv == ERR_LIMIT ? ERR_BUSY : rv);
    }
}

void execute_at_read(struct node *node, struct request *request)
{
    struct bytes name = request->api.run_on;
    struct link *link = request->link;
    uint32_t up = members_up(&node->members);

    if (link == NULL) {
        request_drop(node, request); /* nobody waits: nothing is to be run */
        return;
    }
    if (name.size > 0) {
        link = links_find(node, name);
    }
    if (up < request->api.required) {
        results_put_error_number(node_result(node), "too_few_members", up);
        request_finish(node, request);
    } else if (link == NULL) {
        fail_node(node, request, "not_connected", name);
    } else if (peer_is_busy(link->peer)) {
        request_fail(node, request, ERR_BUSY);
    } else {
        begin(node, request, link);
    }
}

/* {error, {exception, Class, Reason}}, of a signal {signal, Reason}. */
static void put_exception(struct buf *result, const char *class, bool is_signal,
                          struct bytes reason)
{
    etf_put_tuple(result, 2);
    etf_put_atom(result, "error");
    etf_put_tuple(result, 3);
    etf_put_atom(result, "exception");
    etf_put_atom(result, class);
    if (is_signal) {
        etf_put_tuple(result, 2);
        etf_put_atom(result, "signal");
    }
    etf_put_raw(result, reason);
}

static void put_outcome(struct buf *result, enum call_outcome outcome,
                        struct bytes message, uint64_t token)
{
    switch (outcome) {
    case OUTCOME_RETURN:
        results_put_ok_tuple(result, 3);
        etf_put_raw(result, message);
        etf_put_u64(result, token);
        return;
    case OUTCOME_THROW:
        put_exception(result, "throw", false, message);
        return;
    case OUTCOME_EXIT:
        put_exception(result, "exit", false, message);
        return;
    case OUTCOME_ERROR:
        put_exception(result, "error", false, message);
        return;
    case OUTCOME_SIGNAL:
        put_exception(result, "exit", true, message);
        return;
    case OUTCOME_REFUSED:
        results_put_error_raw(result, "refused", message);
        return;
    case OUTCOME_LOST:
        break; /* whether it ran is not known */
    }
    results_put_error_code(result, ERR_TIMEOUT);
}

void execute_result(struct node *node, const struct link *link,
                    const struct inbox_event *event)
{
    struct execution *execution =
        (struct execution *)map_get(&node->executions, event->reference);
    struct bytes message = event->message;
    struct request *request;
    uint64_t token;

    if (execution == NULL) {
        return;
    }
    request = execution->request;
    token = execution->token;
    forget(node, execution);
    if (event->outcome == OUTCOME_LOST && request->link == link) {
        request_drop(node, request); /* the caller is gone as well */
        return;
    }
    if (message.size > RESULT_SIZE_MAX) {
        results_put_error(node_result(node), "too_big");
    } else if (etf_keys_differ(message, rng_next(&node->rng)) != 0) {
        results_put_error(node_result(node), "unreadable");
    } else {
        put_outcome(node_result(node), event->outcome, message, token);
    }
    request_finish(node, request);
}
