/* SPDX-License-Identifier: Apache-2.0
 * Calls that are asked again. A call that changes something gets a request id
 * of our session, and keeps it wherever it is passed on to, so that what the
 * log has of it already is not done twice (command/sessions.h).
 *
 * A call belongs to the term that it was passed on in: only the leader of that
 * term takes it. So when it is asked again in a later one, nothing of the first
 * time can still enter the log behind it. And the leader that is asked again
 * waits until all that its log has is applied: then the id is known, or the
 * call was never carried out. */
#include "base/ensure.h"
#include "base/err.h"
#include "node/requests.h"

enum { SESSION_RETRY_MS = 1000 };

/* --- Our session --------------------------------------------------------- */

static void open_session(struct node *node)
{
    struct own_session *own = &node->own_session;
    const struct command command = {.type = COMMAND_OPEN_SESSION,
                                    .member = node->self->id,
                                    .nonce = own->nonce};

    if (raft_leader(node->raft) == 0 || node->now_ms < own->due_ms) {
        return;
    }
    own->due_ms = node->now_ms + SESSION_RETRY_MS;
    node_log_submit(node, &command);
}

void retries_tick(struct node *node)
{
    struct own_session *own = &node->own_session;
    const struct session *session =
        sessions_of(&node->machine.sessions, node->self->id);

    if (own->index != 0 && session != NULL && session->index == own->index) {
        return;
    }
    if (own->index != 0 || own->nonce == 0) {
        /* The first one, or it was given up for other members'. */
        *own = (struct own_session){.nonce = rng_next(&node->rng) | 1};
    }
    if (session != NULL && session->nonce == own->nonce) {
        own->index = session->index;
        return;
    }
    open_session(node);
}

static bool has_command(const struct request *request)
{
    switch ((int)request->api.type) {
    case API_CREATE_SANDBOX:
    case API_STOP_SANDBOX:
    case API_REGISTER:
    case API_UNREGISTER:
    case API_KEEP_COPY:
    case API_RESTORE_COPY:
    case API_DISCARD_COPY:
    case API_RESTORED:
        return true;
    default:
        return false;
    }
}

void retries_give_id(struct node *node, struct request *request)
{
    struct own_session *own = &node->own_session;

    if (request->call == NULL || request->id.number != 0 || own->index == 0 ||
        !has_command(request)) {
        return;
    }
    own->number++;
    request->id = (struct request_id){
        .member = node->self->id, .session = own->index, .number = own->number};
}

/* Asking twice is as good as once: nothing is changed, or to what it is. */
static bool is_question(const struct request *request)
{
    return request->api.route == API_READ || request->api.type == API_SELECT ||
           request->api.type == API_SELECT_OPTIMAL_NODE ||
           request->api.type == API_RECOVER_STATE ||
           request->api.type == API_COPY ||
           request->api.type == API_RESOLVE_DUPLICATES;
}

bool retries_may(const struct request *request)
{
    return is_question(request) || request->id.number != 0;
}

/* --- What became of it --------------------------------------------------- */

/* As if its command had just been applied. */
static void complete(struct node *node, struct request *request,
                     const struct command_result *result)
{
    switch ((int)request->api.type) {
    case API_CREATE_SANDBOX:
        sandboxes_claimed(node, request, result);
        return;
    case API_STOP_SANDBOX:
        sandboxes_stopped(node, request, result);
        return;
    case API_REGISTER:
        names_registered(node, request, result);
        return;
    case API_UNREGISTER:
        names_unregistered(node, request, result);
        return;
    case API_KEEP_COPY:
        conflicts_kept(node, request, result);
        return;
    case API_RESTORE_COPY:
    case API_DISCARD_COPY:
    case API_RESTORED:
        conflicts_changed(node, request, result);
        return;
    default:
        unreachable();
    }
}

static enum command_type command_of(const struct request *request)
{
    switch ((int)request->api.type) {
    case API_CREATE_SANDBOX:
        return COMMAND_CLAIM;
    case API_STOP_SANDBOX:
        return COMMAND_STOP;
    case API_REGISTER:
        return COMMAND_REGISTER;
    case API_UNREGISTER:
        return COMMAND_UNREGISTER;
    case API_KEEP_COPY:
        return COMMAND_KEEP;
    case API_RESTORE_COPY:
        return COMMAND_RESTORE;
    case API_DISCARD_COPY:
        return COMMAND_DISCARD;
    case API_RESTORED:
        return COMMAND_RESTORED;
    default:
        unreachable();
    }
}

bool retries_answer(struct node *node, struct request *request)
{
    struct command command = {.request = request->id,
                              .id = request->api.id,
                              .name = request->api.name};
    struct command_result result;

    command.type = command_of(request);
    if (!command_recall(&node->machine, &command, &result)) {
        return false;
    }
    complete(node, request, &result);
    return true;
}
