/* SPDX-License-Identifier: Apache-2.0 */
#include "state/operation.h"

#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"

enum {
    /* A value of 64 MiB is given 4 s before it is sent once more. */
    PATIENCE_BYTES_PER_MS = 16 * 1024,
    /* Queries are repeated after 1, 2, 4, 8, 8, ... times STATE_RETRY_MS:
     * their answers may be big, which cannot be known here. */
    QUERY_DOUBLINGS_MAX = 3,
};

void operation_init(struct operation *operation)
{
    *operation = (struct operation){.phase = OPERATION_OVER};
    list_init(&operation->link);
    buf_init(&operation->query, STATE_MESSAGE_SIZE_MAX);
    buf_init(&operation->store, STATE_MESSAGE_SIZE_MAX);
}

static void clear_buf(struct buf *buf, size_t keep)
{
    if (buf->capacity > keep) {
        buf_close(buf);
    }
    buf_clear(buf);
}

/* Small ones are copied, and so are those that would keep much else. */
static bool is_to_be_shared(struct bytes value, const struct blob *blob)
{
    return blob != NULL && value.size >= STATE_SHARED_MIN &&
           value.size >= blob_bytes(blob).size / 2;
}

static void drop_blob(struct operation *operation)
{
    blob_release(operation->blob);
    operation->blob = NULL;
    operation->value = bytes_of(NULL, 0);
}

void operation_drop_store(struct operation *operation)
{
    drop_blob(operation);
    buf_clear(&operation->store);
}

void operation_clear(struct operation *operation, size_t keep)
{
    struct buf query;
    struct buf store;

    ensure(operation->timer.position == 0);
    drop_blob(operation);
    clear_buf(&operation->query, keep);
    clear_buf(&operation->store, keep);
    query = operation->query;
    store = operation->store;
    operation_init(operation);
    operation->query = query;
    operation->store = store;
}

void operation_close(struct operation *operation)
{
    if (operation != NULL) {
        drop_blob(operation);
        buf_close(&operation->query);
        buf_close(&operation->store);
    }
}

static int encode_query(struct operation *operation)
{
    struct state_message message = {
        .kind = operation->request.type == STATE_SEAL ? STATE_KIND_PROMISE
                                                      : STATE_KIND_READ,
        .birth = operation->request.birth,
        .stamp.version.epoch = operation->request.epoch,
        .id = operation->request.id};

    return state_message_encode(&message, &operation->query);
}

/* `write` has version and value; kind, id and birth are the operation's. */
static int encode_store(const struct operation *operation,
                        const struct state_message *write, bool is_shared,
                        struct buf *buf)
{
    struct state_message message = {.kind = STATE_KIND_WRITE,
                                    .has_version = true,
                                    .has_value = write->has_value,
                                    .birth = operation->request.birth,
                                    .stamp = write->stamp,
                                    .crc = write->crc,
                                    .id = operation->request.id,
                                    .value = write->value};

    return is_shared ? state_message_encode_head(&message, buf)
                     : state_message_encode(&message, buf);
}

static void hold_value(struct operation *operation, struct bytes value,
                       struct blob *blob)
{
    drop_blob(operation);
    operation->blob = blob_hold(blob);
    operation->value = value;
}

int operation_prepare(struct operation *operation,
                      const struct state_request *request)
{
    struct state_message write = {
        .has_value = true,
        .stamp.version = {.epoch = request->epoch, .seq = request->seq},
        .value = request->value};
    bool is_shared = is_to_be_shared(request->value, request->blob);
    int rv = 0;

    ensure(operation->phase == OPERATION_OVER);
    ensure(request->id.size <= sizeof(operation->id));
    memcpy(operation->id, request->id.data, request->id.size);
    operation->request = *request;
    operation->request.id = bytes_of(operation->id, request->id.size);
    operation->request.value = bytes_of(NULL, 0);
    operation->request.blob = NULL;
    if (request->type == STATE_WRITE) {
        write.crc = request->has_crc ? request->crc : crc32c(0, request->value);
        rv = encode_store(operation, &write, is_shared, &operation->store);
    }
    if (rv == 0 && is_shared) {
        hold_value(operation, request->value, request->blob);
    }
    if (rv == 0 && (request->type != STATE_WRITE || request->seq == 0)) {
        rv = encode_query(operation);
    }
    return rv;
}

unsigned operation_bit(const struct operation *operation, uint64_t from)
{
    for (uint32_t i = 0; i < operation->request.replica_count; i++) {
        if (operation->request.replicas[i] == from) {
            return 1U << i;
        }
    }
    return 0;
}

int operation_take_newest(struct operation *operation,
                          const struct state_message *answer)
{
    ensure(answer->has_version);
    if (operation->request.type != STATE_WRITE) {
        bool is_shared = is_to_be_shared(answer->value, answer->blob);
        struct buf fresh;
        int rv;

        buf_init(&fresh, STATE_MESSAGE_SIZE_MAX);
        if (!operation->has_newest) {
            /* Nothing to lose: the memory of an earlier request is used. */
            buf_clear(&operation->store);
            fresh = operation->store;
            buf_init(&operation->store, STATE_MESSAGE_SIZE_MAX);
        }
        rv = encode_store(operation, answer, is_shared, &fresh);
        if (rv != 0) {
            buf_close(&fresh);
            return rv;
        }
        buf_close(&operation->store);
        operation->store = fresh;
        drop_blob(operation);
        if (is_shared) {
            hold_value(operation, answer->value, answer->blob);
        }
    }
    operation->has_newest = true;
    operation->newest_has_value = answer->has_value;
    operation->newest_crc = answer->crc;
    operation->newest = answer->stamp;
    return 0;
}

int operation_take_nothing(struct operation *operation)
{
    struct state_message nothing = {.has_version = true};

    ensure(!operation->has_newest);
    return operation_take_newest(operation, &nothing);
}

static void begin_phase(struct operation *operation, enum operation_phase phase,
                        uint64_t ticket)
{
    operation->phase = phase;
    operation->ticket = ticket;
    operation->retries = 0;
    operation->answered = 0;
    operation->refused = 0;
    operation->failed = 0;
}

void operation_begin_query(struct operation *operation, uint64_t ticket)
{
    struct state_stamp stamp = {.version.epoch = operation->request.epoch,
                                .ballot = operation->ballot};

    begin_phase(operation, OPERATION_QUERY, ticket);
    operation->holds = 0;
    operation->has_newest = false;
    state_message_restamp(&operation->query, ticket, stamp);
}

void operation_begin_store(struct operation *operation, uint64_t ticket,
                           struct state_stamp stamp, unsigned holds)
{
    begin_phase(operation, OPERATION_STORE, ticket);
    operation->answered = holds;
    operation->stored = stamp.version;
    state_message_restamp(&operation->store, ticket, stamp);
}

struct state_send operation_message(const struct operation *operation)
{
    ensure(operation->phase == OPERATION_QUERY ||
           operation->phase == OPERATION_STORE);
    if (operation->phase == OPERATION_QUERY) {
        return (struct state_send){.message = buf_bytes(&operation->query)};
    }
    return (struct state_send){.message = buf_bytes(&operation->store),
                               .value = operation->value,
                               .blob = operation->blob};
}

uint64_t operation_patience_ms(const struct operation *operation)
{
    uint32_t doublings = operation->retries < QUERY_DOUBLINGS_MAX
                             ? operation->retries
                             : QUERY_DOUBLINGS_MAX;

    if (operation->phase == OPERATION_QUERY) {
        return (uint64_t)STATE_RETRY_MS << doublings;
    }
    return STATE_RETRY_MS +
           operation_store_size(operation) / PATIENCE_BYTES_PER_MS;
}
