/* SPDX-License-Identifier: Apache-2.0
 * Sandbox state: carries messages between coordinators and replicas, and
 * answers the calls about it. */
#include "api/results.h"
#include "base/ensure.h"
#include "base/err.h"
#include "etf/writer.h"
#include "node/requests.h"
#include "state/message.h"
#include "state/replica.h"

/* The body is a binary of the message and the value behind it, of which one is
 * in the blob, if there is one. */
static int send_replica(struct node *node, struct link *link,
                        const struct state_send *send)
{
    struct parts_message body = {.body = send->message, .blob = send->blob};
    struct buf head;
    int rv;

    buf_init(&head, STATE_MESSAGE_HEADER_SIZE + STATE_ID_SIZE_MAX + 16);
    etf_put_binary_head(&head, send->message.size + send->value.size);
    if (send->value.size > 0) {
        buf_put_bytes(&head, send->message);
        body.body = send->value;
    }
    rv = buf_error(&head);
    if (rv == 0) {
        body.head = buf_bytes(&head);
        rv = links_send(node, link, "replica", &body);
    }
    buf_close(&head);
    return rv;
}

/* To another member; what is lost the coordinator asks for again. */
static void to_member(struct node *node, const struct state_send *send)
{
    struct link *link = links_member(node, send->to);
    int rv;

    if (link == NULL) {
        return;
    }
    rv = send_replica(node, link, send);
    if (rv != 0) {
        node->counters.dropped_messages++;
        log_line(LOG_WARN, "replica_busy", "why=\"%s\"", err_text(rv));
    }
}

static void to_replica(struct node *node, const struct state_send *send)
{
    int rv;

    if (send->to != node->self->id) {
        to_member(node, send);
        return;
    }
    rv = state_db_submit_shared(node->db, send->to, send->message, send->value,
                                send->blob);
    if (rv != 0) {
        /* The coordinator asks again, as it does after a lost message. */
        log_line(LOG_WARN, "replica_busy", "why=\"%s\"", err_text(rv));
    }
}

static void carry_out(struct node *node, const struct state_effects *effects)
{
    for (size_t i = 0; i < effects->send_count; i++) {
        to_replica(node, &effects->sends[i]);
    }
    /* Completions never start another operation: the arrays stay valid. */
    for (size_t i = 0; i < effects->completion_count; i++) {
        const struct state_completion *done = &effects->completions[i];

        if (done->type == STATE_SEAL) {
            orders_sealed(node, done);
        } else {
            states_completed(node, done);
        }
    }
}

int states_start(struct node *node, const struct state_request *request)
{
    struct state_effects effects;
    int rv = state_start(node->states, request, node->now_ms, &effects);

    if (rv == 0) {
        carry_out(node, &effects);
    }
    return rv;
}

static int receive_answer(struct node *node, uint64_t from,
                          struct bytes message, struct blob *blob)
{
    struct state_effects effects;
    int rv = state_receive(node->states, from, message, blob, node->now_ms,
                           &effects);

    if (rv == 0) {
        carry_out(node, &effects);
    }
    return rv;
}

/* A replica forgets its promises with the sandbox. What an owner of before had
 * under way may come after that, from a member that is behind: the log knows
 * that it is over. Before this member has caught up after its start, and
 * without memory, it is dropped, and asked again. */
static bool refuse_over(struct node *node, const struct link *link,
                        struct bytes head, struct bytes value)
{
    struct state_message request;
    struct state_message answer;
    struct state_send send = {.to = link->member->id};
    struct buf message;

    if (state_message_decode_pieces(head, value, &request) != 0 ||
        request.kind == STATE_KIND_READ) {
        return false;
    }
    if (!node->is_ready) {
        return true;
    }
    if (!command_is_epoch_over(&node->machine, request.id,
                               request.stamp.version.epoch)) {
        return false;
    }
    state_replica_refuse(&request, STATE_STATUS_STALE_EPOCH, &answer);
    answer.promised =
        command_epoch(&node->machine, node->machine.applied_index);
    buf_init(&message, STATE_MESSAGE_HEADER_SIZE + STATE_ID_SIZE_MAX);
    if (state_message_encode(&answer, &message) == 0) {
        send.message = buf_bytes(&message);
        to_member(node, &send);
    }
    buf_close(&message);
    return true;
}

void states_receive(struct node *node, const struct link *link,
                    struct bytes message, struct blob *shared)
{
    size_t head_size =
        shared != NULL ? state_message_head_size(message) : message.size;
    int rv;

    if (state_message_is_request(message)) {
        struct bytes head = bytes_of(message.data, head_size);
        struct bytes value =
            bytes_of(message.data + head_size, message.size - head_size);

        if (refuse_over(node, link, head, value)) {
            return;
        }
        rv = state_db_submit_shared(node->db, link->member->id, head, value,
                                    shared);
    } else {
        rv = receive_answer(node, link->member->id, message, shared);
    }
    if (rv == ERR_MALFORMED || rv == ERR_TRUNCATED) {
        node->counters.refused_frames++;
        peer_cut(link->peer, "malformed replica message");
    }
}

/* Takes the message; of a big one the bytes are held from now on. */
static void take_answer(struct node *node, uint64_t to, struct buf *message)
{
    struct state_send send = {.to = to, .message = buf_bytes(message)};

    if (message->size > PARTS_MESSAGE_MIN) {
        send.blob = blob_take(message); /* NULL: it is copied */
    }
    if (to == node->self->id) {
        int rv = receive_answer(node, to, send.message, send.blob);

        ensure(rv == 0 || rv == ERR_NOMEM);
    } else {
        to_member(node, &send);
    }
    blob_release(send.blob);
    buf_close(message);
}

void states_drain(struct node *node)
{
    struct buf message;
    uint64_t to;

    while (state_db_take(node->db, &to, &message) == 0) {
        take_answer(node, to, &message);
    }
}

void states_tick(struct node *node)
{
    struct state_effects effects;

    if (state_deadline_ms(node->states) <= node->now_ms &&
        state_tick(node->states, node->now_ms, &effects) == 0) {
        carry_out(node, &effects);
    }
}

static void fill_replicas(struct state_request *request,
                          const struct sandbox *sandbox)
{
    request->replica_count = sandbox->replica_count;
    for (uint32_t i = 0; i < sandbox->replica_count; i++) {
        request->replicas[i] = sandbox->replicas[i];
    }
}

void states_replicate(struct node *node, struct request *request)
{
    const struct api_request *api = &request->api;
    const struct sandbox *sandbox =
        registry_sandbox(&node->machine.registry, api->id);
    struct state_request write = {
        .type = STATE_WRITE,
        .id = api->id,
        .epoch = api->epoch,
        .seq = api->has_seq ? api->seq : 0,
        /* No term is empty: an empty value stands
         * for a deleted one. */
        .value = api->type == API_DELETE_STATE ? bytes_of(NULL, 0) : api->state,
        .blob = request->blob,
        .has_crc = request->has_crc,
        .crc = request->crc,
        .deadline_ms = request->deadline.key,
        .user = request->number};
    int rv;

    /* An epoch grows with the log. One that this member has not applied yet is
     * waited for; one that it has is in the registry, or was never granted. */
    if ((sandbox == NULL || sandbox->epoch < api->epoch) &&
        command_epoch(&node->machine, node->machine.applied_index) <
            api->epoch) {
        list_append(&node->waiting_applied, &request->queue);
        return;
    }
    if (sandbox == NULL) {
        request_fail(node, request, ERR_NOT_FOUND);
        return;
    }
    if (sandbox->epoch != api->epoch) {
        results_put_stale_epoch(node_result(node), sandbox->epoch);
        request_finish(node, request);
        return;
    }
    write.birth = sandbox->birth;
    fill_replicas(&write, sandbox);
    rv = states_start(node, &write);
    if (rv != 0) {
        request_fail(node, request, rv);
    }
}

void states_applied(struct node *node)
{
    struct list again;
    struct list *first;

    if (list_is_empty(&node->waiting_applied)) {
        return;
    }
    list_init(&again);
    while ((first = list_take_first(&node->waiting_applied)) != NULL) {
        list_append(&again, first);
    }
    while ((first = list_take_first(&again)) != NULL) {
        states_replicate(node, LIST_ENTRY(first, struct request, queue));
    }
}

/* Of all replicas, or of this member alone. */
static void read_state(struct node *node, struct request *request, bool is_own)
{
    const struct sandbox *sandbox =
        registry_sandbox(&node->machine.registry, request->api.id);
    struct state_request read = {.type = STATE_READ,
                                 .id = request->api.id,
                                 .replicas = {node->self->id},
                                 .replica_count = 1,
                                 .deadline_ms = request->deadline.key,
                                 .user = request->number};
    int rv;

    if (sandbox == NULL) {
        request_fail(node, request, ERR_NOT_FOUND);
        return;
    }
    read.birth = sandbox->birth;
    if (!is_own) {
        fill_replicas(&read, sandbox);
    }
    rv = states_start(node, &read);
    if (rv != 0) {
        request_fail(node, request, rv);
    }
}

void states_recover(struct node *node, struct request *request)
{
    read_state(node, request, false);
}

void states_get(struct node *node, struct request *request)
{
    read_state(node, request, true);
}

static void put_value(struct node *node, const struct state_completion *done)
{
    struct buf *result = &node->scratch;

    results_begin_state(result);
    if (done->blob != NULL) {
        node_result_insert(node, done->value, done->blob);
    } else {
        etf_put_raw(result, done->value);
    }
    results_end_state(result, done->version.epoch, done->version.seq);
}

void states_completed(struct node *node, const struct state_completion *done)
{
    struct request *request = requests_find(node, done->user);
    struct buf *result = node_result(node);

    if (request == NULL) {
        return;
    }
    if (request->api.type == API_KEEP_COPY) {
        conflicts_stored(node, request, done);
        return;
    }
    if (done->type == STATE_WRITE && done->rv == 0) {
        recorder_acknowledged(node, request->api.id, done->version);
    }
    if (done->rv == ERR_STALE_EPOCH) {
        results_put_stale_epoch(result, done->version.epoch);
    } else if (done->rv == ERR_STALE_VERSION) {
        results_put_stale_version(result, done->version.epoch,
                                  done->version.seq);
    } else if (done->rv != 0) {
        results_put_error_code(result, done->rv);
    } else if (request->api.type == API_DELETE_STATE) {
        results_put_ok(result);
    } else if (done->type == STATE_WRITE) {
        const struct sandbox *sandbox =
            registry_sandbox(&node->machine.registry, request->api.id);

        results_put_replicated(result, done->version.epoch, done->version.seq,
                               sandbox == NULL ? 0 : sandbox->replica_count);
    } else if (done->has_value && done->value.size > 0) {
        put_value(node, done);
    } else {
        results_put_error_code(result, ERR_NOT_FOUND);
    }
    request_finish(node, request);
}
