/* SPDX-License-Identifier: Apache-2.0
 * Conflict copies: what agents give to be kept of a duplicate that they end,
 * and what is done with it (docs/conflicts.md). The record is in the log, the
 * state with replicas, like that of a sandbox, under the key of the copy. */
#include "api/results.h"
#include "base/ensure.h"
#include "base/err.h"
#include "etf/writer.h"
#include "node/agents.h"
#include "node/requests.h"
#include "registry/copies.h"

enum {
    COPY_AGE_MAX_S = 7 * 24 * 3600,
    COPY_SEQ = 1, /* a copy is written once */
};

static void fail_as_told(struct node *node, struct request *request, int rv)
{
    request_fail(node, request, rv == ERR_STALE_REQUEST ? ERR_TIMEOUT : rv);
}

/* Of an operation on its state; `key` is the caller's, for as long as the
 * request is set up. */
static void fill(struct state_request *state, const struct request *request,
                 const struct copy *copy, uint8_t key[REGISTRY_COPY_KEY_SIZE])
{
    registry_copy_key(copy->number, key);
    state->id = bytes_of(key, REGISTRY_COPY_KEY_SIZE);
    state->birth = copy->number;
    state->replica_count = copy->replica_count;
    for (uint32_t i = 0; i < copy->replica_count; i++) {
        state->replicas[i] = copy->replicas[i];
    }
    state->deadline_ms = request->deadline.key;
    state->user = request->number;
}

/* --- Keeping -------------------------------------------------------------- */

void conflicts_kept(struct node *node, struct request *request,
                    const struct command_result *result)
{
    struct state_request write = {.type = STATE_WRITE,
                                  .epoch = result->epoch,
                                  .seq = COPY_SEQ,
                                  .value = request->api.state,
                                  .blob = request->blob,
                                  .has_crc = request->has_crc,
                                  .crc = request->crc};
    uint8_t key[REGISTRY_COPY_KEY_SIZE];
    const struct copy *copy;
    int rv = result->rv;

    if (rv == ERR_STALE_EPOCH) {
        results_put_stale_epoch(node_result(node), result->epoch);
        request_finish(node, request);
        return;
    }
    copy =
        rv == 0 ? registry_copy(&node->machine.registry, result->epoch) : NULL;
    if (copy == NULL) {
        fail_as_told(node, request, rv != 0 ? rv : ERR_NOT_FOUND);
        return;
    }
    request->epoch = copy->number;
    fill(&write, request, copy, key);
    rv = states_start(node, &write);
    if (rv != 0) {
        request_fail(node, request, rv);
    }
}

void conflicts_stored(struct node *node, struct request *request,
                      const struct state_completion *done)
{
    /* One that is there was written by this call when it was asked before. */
    if (done->rv != 0 && done->rv != ERR_STALE_VERSION) {
        request_fail(node, request, done->rv);
        return;
    }
    results_put_ok_tuple(node_result(node), 2);
    etf_put_u64(&node->scratch, request->epoch);
    request_finish(node, request);
}

void conflicts_keep(struct node *node, struct request *request)
{
    const struct api_request *api = &request->api;
    struct command command = {.type = COMMAND_KEEP,
                              .request = request->id,
                              .id = api->id,
                              .epoch = api->epoch,
                              .about = api->meta,
                              .size = api->state.size,
                              .clock = sys_wall_s()};

    command.replica_count =
        (uint8_t)sandboxes_choose_replicas(node, api, command.replicas);
    request_propose(node, request, &command, conflicts_kept);
}

/* --- Looking, restoring, discarding --------------------------------------- */

void conflicts_read(struct node *node, struct request *request)
{
    const struct copy *copy =
        registry_copy(&node->machine.registry, request->api.copy);
    struct state_request read = {.type = STATE_READ};
    uint8_t key[REGISTRY_COPY_KEY_SIZE];
    int rv;

    if (copy == NULL || !bytes_equal(copy->id, request->api.id)) {
        request_fail(node, request, ERR_NOT_FOUND);
        return;
    }
    fill(&read, request, copy, key);
    rv = states_start(node, &read);
    if (rv != 0) {
        request_fail(node, request, rv);
    }
}

void conflicts_change(struct node *node, struct request *request)
{
    const struct api_request *api = &request->api;
    struct command command = {.type = COMMAND_DISCARD,
                              .request = request->id,
                              .id = api->id,
                              .epoch = api->epoch,
                              .copy = api->copy,
                              .how = (uint8_t)api->how};

    if (api->type == API_RESTORE_COPY) {
        command.type = COMMAND_RESTORE;
    } else if (api->type == API_RESTORED) {
        command.type = COMMAND_RESTORED;
        command.reason = api->meta;
    }
    request_propose(node, request, &command, conflicts_changed);
}

void conflicts_changed(struct node *node, struct request *request,
                       const struct command_result *result)
{
    struct sandbox *sandbox = result->sandbox;

    if (result->rv == ERR_STALE_EPOCH && sandbox != NULL) {
        results_put_stale_epoch(node_result(node), sandbox->epoch);
    } else if (result->rv != 0) {
        fail_as_told(node, request, result->rv);
        return;
    } else if (request->api.type != API_RESTORE_COPY) {
        results_put_ok(node_result(node));
    } else if (sandbox == NULL) {
        results_put_error_code(node_result(node), ERR_NOT_FOUND);
    } else if (sandbox->is_restoring) {
        sandboxes_wait(node, request, sandbox);
        return;
    } else {
        results_put_ok_sandbox(node_result(node), sandbox);
    }
    request_finish(node, request);
}

/* --- Duplicates ----------------------------------------------------------- */

void conflicts_not_owner(struct node *node, const struct agent *agent,
                         const struct command *running,
                         const struct sandbox *sandbox)
{
    struct buf *body = node_result(node);

    etf_put_map(body, 5);
    etf_put_atom(body, "id");
    etf_put_binary(body, running->id);
    etf_put_atom(body, "mode");
    etf_put_atom(body,
                 sandbox == NULL ? "none" : registry_mode_name(sandbox->mode));
    etf_put_atom(body, "epoch");
    etf_put_u64(body, running->epoch);
    etf_put_atom(body, "reason");
    etf_put_atom(body, "not_owner");
    etf_put_atom(body, "owner_epoch");
    if (sandbox == NULL) {
        etf_put_atom(body, "none");
    } else {
        etf_put_u64(body, sandbox->epoch);
    }
    agent_send(node, agent, "stop");
    log_line(LOG_WARN, "not_owner", "worker=%.*s epoch=%llu owner_epoch=%llu",
             (int)agent->worker.size, agent->worker.data,
             (unsigned long long)running->epoch,
             (unsigned long long)(sandbox == NULL ? 0 : sandbox->epoch));
}

void conflicts_ask_agents(struct node *node, struct bytes id)
{
    struct agent *agent;
    size_t position = 0;

    while ((agent = map_next(&node->agents, &position)) != NULL) {
        struct buf *body = node_result(node);

        etf_put_map(body, 2);
        etf_put_atom(body, "incarnation");
        etf_put_binary(
            body, bytes_of(agent->incarnation, sizeof(agent->incarnation)));
        etf_put_atom(body, "id");
        etf_put_binary(body, id);
        agent_send(node, agent, "running");
    }
}

void conflicts_look(struct node *node, struct request *request)
{
    const struct api_request *api = &request->api;

    if (registry_sandbox(&node->machine.registry, api->id) == NULL) {
        request_fail(node, request, ERR_NOT_FOUND);
        return;
    }
    for (uint32_t i = 0; i < node->members.count; i++) {
        const struct member *member = members_at(&node->members, i);

        if (member != node->self) {
            links_send_member(node, member->id, "running", api->id);
        }
    }
    conflicts_ask_agents(node, api->id);
    results_put_ok(node_result(node));
    request_finish(node, request);
}

/* --- The log -------------------------------------------------------------- */

void conflicts_event(struct node *node, const struct command_event *event)
{
    const struct copy *copy = event->copy;
    uint8_t key[REGISTRY_COPY_KEY_SIZE];

    if (event->type == EVENT_COPY_KEPT) {
        log_line(
            LOG_INFO, "conflict_copy_kept", "copy=%llu epoch=%llu size=%llu",
            (unsigned long long)copy->number, (unsigned long long)copy->epoch,
            (unsigned long long)copy->size);
    }
    if (event->type != EVENT_COPY_DROPPED) {
        return;
    }
    log_line(LOG_INFO, "conflict_copy_dropped", "copy=%llu",
             (unsigned long long)copy->number);
    registry_copy_key(copy->number, key);
    if (state_db_delete(node->db, bytes_of(key, sizeof(key)), copy->number) !=
        0) {
        log_line(LOG_WARN, "state_left_behind", "copy=%llu",
                 (unsigned long long)copy->number);
    }
}

void conflicts_tick(struct node *node)
{
    const struct registry *registry = &node->machine.registry;
    const struct copy *oldest;
    struct command command = {.type = COMMAND_DISCARD};
    uint64_t now_s;

    if (list_is_empty(&registry->copies)) {
        return;
    }
    oldest = LIST_ENTRY(registry->copies.next, struct copy, link);
    now_s = sys_wall_s();
    /* A clock that went back is no reason. */
    if (oldest->restore_epoch == 0 && now_s > oldest->time_s &&
        now_s - oldest->time_s > COPY_AGE_MAX_S) {
        command.id = oldest->id;
        command.copy = oldest->number;
        node_log_submit(node, &command);
    }
}
