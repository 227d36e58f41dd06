/* SPDX-License-Identifier: Apache-2.0
 * The rules of the coordinator: what a majority's answers mean, and what a
 * refusal means. */
#include "state/coordinator.h"

#include "base/ensure.h"
#include "base/err.h"
#include "state/table.h"

#define NOTHING ((struct state_version){0})

static int finish_seal_query(struct state_table *table,
                             struct operation *operation, uint64_t now_ms)
{
    uint64_t epoch = operation->request.epoch;
    struct state_stamp seal = {.version = {.epoch = epoch},
                               .ballot = operation->ballot};
    struct state_stamp newest = operation->newest;

    if (!operation->has_newest) {
        if (epoch <= operation->request.birth) {
            /* There was no owner before this one, whose unacknowledged write
             * a later seal could find. */
            table_complete(table, operation, 0, NOTHING);
            return 0;
        }
        if (operation_take_nothing(operation) != 0) {
            return ERR_NOMEM;
        }
        table->bytes_held += operation_store_size(operation);
        table_begin_store(table, operation, seal, 0, now_ms);
    } else if (newest.version.epoch == epoch &&
               operation_count(operation->holds) >=
                   operation_majority(operation)) {
        table_complete(table, operation, 0, newest.version);
    } else if (newest.version.epoch == epoch && newest.version.seq > 0) {
        /* A seal of this epoch was done before, and the owner has written. */
        table_begin_store(table, operation, newest, operation->holds, now_ms);
    } else {
        table_begin_store(table, operation, seal, 0, now_ms);
    }
    return 0;
}

static void finish_read_query(struct state_table *table,
                              struct operation *operation, uint64_t now_ms)
{
    if (!operation->has_newest) {
        table_complete(table, operation, 0, NOTHING);
    } else if (operation_count(operation->holds) >=
               operation_majority(operation)) {
        table_complete(table, operation, 0, operation->newest.version);
    } else {
        table_begin_store(table, operation, operation->newest, operation->holds,
                          now_ms);
    }
}

/* The write without a number takes the next. */
static void finish_write_query(struct state_table *table,
                               struct operation *operation, uint64_t now_ms)
{
    struct state_stamp stamp = {
        .version = {.epoch = operation->request.epoch, .seq = 1}};
    struct state_version newest = operation->newest.version;

    if (operation->has_newest && newest.epoch == stamp.version.epoch) {
        if (newest.seq >= STATE_NUMBER_MAX) {
            table_complete(table, operation, ERR_STALE_VERSION, newest);
            return;
        }
        stamp.version.seq = newest.seq + 1;
    }
    table_begin_store(table, operation, stamp, 0, now_ms);
}

/* A majority has answered. */
static int finish_phase(struct state_table *table, struct operation *operation,
                        uint64_t now_ms)
{
    if (operation->phase == OPERATION_STORE) {
        table_complete(table, operation, 0, operation->stored);
        return 0;
    }
    switch (operation->request.type) {
    case STATE_SEAL:
        return finish_seal_query(table, operation, now_ms);
    case STATE_READ:
        finish_read_query(table, operation, now_ms);
        return 0;
    case STATE_WRITE:
        finish_write_query(table, operation, now_ms);
        return 0;
    }
    unreachable();
}

/* --- Answers -------------------------------------------------------------- */

static int failure_of(enum state_status status)
{
    switch (status) {
    case STATE_STATUS_NO_SPACE:
        return ERR_NO_SPACE;
    case STATE_STATUS_CORRUPT:
        return ERR_CORRUPT;
    case STATE_STATUS_OK:
    case STATE_STATUS_STALE_EPOCH:
    case STATE_STATUS_STALE_BALLOT:
    case STATE_STATUS_STALE_VERSION:
    case STATE_STATUS_IO:
    case STATE_STATUS_COUNT:
        break;
    }
    return ERR_IO;
}

/* Ends the phase when those left cannot make a majority any more. */
static void check_hope(struct state_table *table, struct operation *operation,
                       uint64_t now_ms)
{
    uint32_t lost = operation_count(operation->refused | operation->failed);

    if (operation->request.replica_count - lost >=
        operation_majority(operation)) {
        return;
    }
    if (operation->refused != 0) {
        table_begin_backoff(table, operation, now_ms);
    } else {
        table_complete(table, operation, operation->failure, NOTHING);
    }
}

static void note_stale_epoch(struct state_table *table,
                             struct operation *operation, unsigned bit,
                             const struct state_message *answer,
                             uint64_t now_ms)
{
    struct state_version current = {.epoch = answer->promised};

    if (operation->request.type != STATE_READ) {
        table_complete(table, operation, ERR_STALE_EPOCH, current);
        return;
    }
    /* The version that it wants to write back may be lost to that seal: what
     * the seal found is to be read, once it is there. */
    operation->refused |= bit;
    check_hope(table, operation, now_ms);
}

/* A version that is newer, or another under the same number. */
static int note_stale_version(struct state_table *table,
                              struct operation *operation, unsigned bit,
                              const struct state_message *answer,
                              uint64_t now_ms)
{
    if (operation->request.type == STATE_WRITE) {
        table_complete(table, operation, ERR_STALE_VERSION,
                       answer->stamp.version);
        return 0;
    }
    /* What is written back has been superseded there, which is as good: for a
     * seal, by the owner of its own epoch, who began with what it found. */
    operation->answered |= bit;
    if (operation_count(operation->answered) >= operation_majority(operation)) {
        return finish_phase(table, operation, now_ms);
    }
    return 0;
}

/* Remembers the newest of what the replicas have stored. ERR_NOMEM, ERR_BUSY:
 * the answer must count as lost. */
static int note_stored(struct state_table *table, struct operation *operation,
                       unsigned bit, const struct state_message *answer)
{
    int order = 1;
    size_t before = operation_store_size(operation);
    int rv;

    if (!answer->has_version) {
        return 0;
    }
    if (operation->has_newest) {
        order = state_stamp_compare(answer->stamp, operation->newest);
    }
    if (order == 0 && answer->crc == operation->newest_crc &&
        answer->has_value == operation->newest_has_value) {
        operation->holds |= bit;
    }
    if (order <= 0) {
        return 0;
    }
    if (!table_has_room(table, answer->value.size)) {
        return ERR_BUSY;
    }
    rv = operation_take_newest(operation, answer);
    if (rv == 0) {
        table->bytes_held -= before;
        table->bytes_held += operation_store_size(operation);
        operation->holds = bit;
    }
    return rv;
}

static int note_done(struct state_table *table, struct operation *operation,
                     unsigned bit, const struct state_message *answer,
                     uint64_t now_ms)
{
    if (operation->phase == OPERATION_QUERY) {
        int rv;

        if (operation->request.type == STATE_WRITE &&
            answer->promised > operation->request.epoch) {
            note_stale_epoch(table, operation, bit, answer, now_ms);
            return 0;
        }
        rv = note_stored(table, operation, bit, answer);
        if (rv != 0) {
            return rv;
        }
    }
    operation->answered |= bit;
    if (operation_count(operation->answered) >= operation_majority(operation)) {
        int rv = finish_phase(table, operation, now_ms);

        if (rv != 0) {
            operation->answered &= ~bit;
        }
        return rv;
    }
    return 0;
}

static int note_answer(struct state_table *table, struct operation *operation,
                       unsigned bit, const struct state_message *answer,
                       uint64_t now_ms)
{
    enum state_status status = answer->status;

    if (status == STATE_STATUS_OK && !state_message_is_intact(answer)) {
        status = STATE_STATUS_CORRUPT;
    }
    switch (status) {
    case STATE_STATUS_OK:
        return note_done(table, operation, bit, answer, now_ms);
    case STATE_STATUS_STALE_EPOCH:
        note_stale_epoch(table, operation, bit, answer, now_ms);
        return 0;
    case STATE_STATUS_STALE_VERSION:
        return note_stale_version(table, operation, bit, answer, now_ms);
    case STATE_STATUS_STALE_BALLOT:
        if (answer->promised_ballot > operation->ballot_seen) {
            operation->ballot_seen = answer->promised_ballot;
        }
        operation->refused |= bit;
        break;
    case STATE_STATUS_NO_SPACE:
    case STATE_STATUS_IO:
    case STATE_STATUS_CORRUPT:
    case STATE_STATUS_COUNT:
        operation->failed |= bit;
        operation->failure = failure_of(status);
        break;
    }
    check_hope(table, operation, now_ms);
    return 0;
}

/* What the operation is waiting to hear. */
static enum state_kind awaited_kind(const struct operation *operation)
{
    if (operation->phase == OPERATION_STORE) {
        return STATE_KIND_WRITE_ACK;
    }
    return operation->request.type == STATE_SEAL ? STATE_KIND_PROMISE_ACK
                                                 : STATE_KIND_READ_ACK;
}

static bool is_awaited(const struct operation *operation, unsigned bit,
                       const struct state_message *answer)
{
    unsigned done =
        operation->answered | operation->refused | operation->failed;

    return (operation->phase == OPERATION_QUERY ||
            operation->phase == OPERATION_STORE) &&
           bit != 0 && (done & bit) == 0 &&
           answer->kind == awaited_kind(operation);
}

/* Refusals must be of a kind that the request can meet. */
static bool is_possible(const struct operation *operation,
                        const struct state_message *answer)
{
    uint64_t epoch = operation->phase == OPERATION_STORE
                         ? operation->stored.epoch
                         : operation->request.epoch;

    switch (answer->status) {
    case STATE_STATUS_STALE_EPOCH:
        return answer->kind != STATE_KIND_READ_ACK && answer->promised > epoch;
    case STATE_STATUS_STALE_BALLOT:
        return answer->kind != STATE_KIND_READ_ACK &&
               operation->request.type != STATE_WRITE;
    case STATE_STATUS_STALE_VERSION:
        return answer->kind == STATE_KIND_WRITE_ACK && answer->has_version;
    case STATE_STATUS_OK:
    case STATE_STATUS_NO_SPACE:
    case STATE_STATUS_IO:
    case STATE_STATUS_CORRUPT:
    case STATE_STATUS_COUNT:
        break;
    }
    return true;
}

/* --- Events --------------------------------------------------------------- */

static int check_request(const struct state_request *request)
{
    bool is_write = request->type == STATE_WRITE;

    if (request->value.size > STATE_SIZE_MAX) {
        return ERR_LIMIT;
    }
    if (request->id.size == 0 || request->id.size > STATE_ID_SIZE_MAX ||
        request->replica_count == 0 ||
        request->replica_count > STATE_REPLICAS_MAX ||
        request->birth > STATE_NUMBER_MAX ||
        request->epoch > STATE_NUMBER_MAX || request->seq > STATE_NUMBER_MAX) {
        return ERR_BADARG;
    }
    if (request->type != STATE_READ && request->epoch == 0) {
        return ERR_BADARG;
    }
    /* Two votes of one replica would make a majority of fewer. */
    for (uint32_t i = 1; i < request->replica_count; i++) {
        for (uint32_t j = 0; j < i; j++) {
            if (request->replicas[i] == request->replicas[j]) {
                return ERR_BADARG;
            }
        }
    }
    return is_write || request->seq == 0 ? 0 : ERR_BADARG;
}

int state_start(struct state_table *table, const struct state_request *request,
                uint64_t now_ms, struct state_effects *effects)
{
    struct operation *operation;
    int rv = check_request(request);

    table_begin_call(table);
    table_end_call(table, effects);
    if (rv != 0) {
        return rv;
    }
    if (!table_has_room(table, request->value.size)) {
        return ERR_BUSY;
    }
    rv = table_add(table, request, &operation);
    if (rv != 0) {
        return rv;
    }
    if (request->type == STATE_WRITE && request->seq > 0) {
        struct state_stamp stamp = {
            .version = {.epoch = request->epoch, .seq = request->seq}};

        table_begin_store(table, operation, stamp, 0, now_ms);
    } else {
        table_begin_query(table, operation, now_ms);
    }
    table_end_call(table, effects);
    return 0;
}

int state_receive(struct state_table *table, uint64_t from,
                  struct bytes message, struct blob *blob, uint64_t now_ms,
                  struct state_effects *effects)
{
    struct state_message answer;
    struct operation *operation;
    unsigned bit;
    int rv = state_message_decode(message, &answer);

    table_begin_call(table);
    table_end_call(table, effects);
    if (rv != 0 || state_kind_is_request(answer.kind)) {
        return ERR_MALFORMED;
    }
    operation = table_find(table, answer.ticket);
    if (operation == NULL) {
        return 0;
    }
    bit = operation_bit(operation, from);
    if (!is_awaited(operation, bit, &answer)) {
        return 0;
    }
    if (!is_possible(operation, &answer)) {
        return ERR_MALFORMED;
    }
    answer.blob = blob;
    rv = note_answer(table, operation, bit, &answer, now_ms);
    table_end_call(table, effects);
    /* Without room for its value the answer is lost; the replica is asked
     * again. */
    return rv == ERR_BUSY ? 0 : rv;
}

uint64_t state_deadline_ms(const struct state_table *table)
{
    const struct heap_node *first = heap_first(&table->timers);

    return first == NULL ? UINT64_MAX : first->key;
}

int state_tick(struct state_table *table, uint64_t now_ms,
               struct state_effects *effects)
{
    table_begin_call(table);
    for (size_t i = 0; i < TABLE_TICK_OPERATIONS_MAX; i++) {
        struct heap_node *first = heap_first(&table->timers);
        struct operation *operation;

        if (first == NULL || first->key > now_ms) {
            break;
        }
        operation = LIST_ENTRY(first, struct operation, timer);
        if (operation->request.deadline_ms <= now_ms) {
            table_complete(table, operation, ERR_TIMEOUT, NOTHING);
        } else if (operation->phase == OPERATION_BACKOFF) {
            table_begin_query(table, operation, now_ms);
        } else {
            operation->retries++;
            table_send(table, operation, now_ms);
        }
    }
    table_end_call(table, effects);
    return 0;
}
