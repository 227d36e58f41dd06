/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: state_message_decode, state_message_encode, state_replica_decide,
 * state_replica_answer, state_replica_forget, state_receive.
 *
 * The input is messages, each behind a 16-bit length, that one replica and one
 * coordinator get in order. What decodes must encode to the same bytes; a
 * replica's promise never sinks, its version never gets older while it counts,
 * and its answer decodes. The coordinator has an operation of each type, whose
 * tickets the first bytes of a message may be replaced by. */
#include "base/buf.h"
#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"
#include "state/coordinator.h"
#include "state/message.h"
#include "state/replica.h"

#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    INPUT_SIZE_MAX = 16 * 1024,
    OPERATIONS = 3,
    REPLICAS = 3,
    TICKET_AT = 4, /* of a message */
    TICKET_SIZE = 8,
};

static void check_encoding(const struct state_message *message,
                           struct bytes bytes)
{
    struct buf buf;

    buf_init(&buf, INPUT_SIZE_MAX);
    ensure(state_message_encode(message, &buf) == 0);
    ensure(bytes_equal(buf_bytes(&buf), bytes));
    ensure(state_message_is_request(bytes) ==
           state_kind_is_request(message->kind));
    buf_close(&buf);
}

static void check_answer(const struct state_message *request,
                         const struct state_decision *decision)
{
    static const uint8_t zeros[INPUT_SIZE_MAX];
    struct state_message answer;
    struct state_message decoded;
    struct buf buf;

    ensure(decision->next.size <= sizeof(zeros));
    state_replica_answer(request, decision,
                         bytes_of(zeros, decision->next.size), &answer);
    buf_init(&buf, 2 * INPUT_SIZE_MAX);
    ensure(state_message_encode(&answer, &buf) == 0);
    ensure(state_message_decode(buf_bytes(&buf), &decoded) == 0);
    ensure(decoded.ticket == request->ticket);
    ensure(!state_kind_is_request(decoded.kind));
    buf_close(&buf);
}

static void serve(struct state_replica *replica,
                  const struct state_message *request)
{
    struct state_replica before = *replica;
    struct state_decision decision;

    state_replica_decide(replica, request, &decision);
    ensure(decision.next.promised >= before.promised);
    if (decision.next.promised == before.promised) {
        ensure(decision.next.promised_ballot >= before.promised_ballot);
    }
    if (decision.next.has_version) {
        ensure(decision.next.stamp.version.epoch <= decision.next.promised);
    }
    if (before.has_version && before.stamp.version.epoch >= request->birth) {
        ensure(state_stamp_compare(decision.next.stamp, before.stamp) >= 0);
    }
    check_answer(request, &decision);
    *replica = decision.next;
    if (request->ticket % 16 == 15) {
        (void)state_replica_forget(replica, request->birth);
    }
}

/* The coordinator gets it under the ticket of one of its operations. */
static void receive(struct state_table *table, const uint64_t *first_ticket,
                    struct bytes message, struct state_effects *effects)
{
    uint8_t copy[INPUT_SIZE_MAX];
    int rv;

    memcpy(copy, message.data, message.size);
    if (message.size >= TICKET_AT + TICKET_SIZE) {
        uint64_t ticket = *first_ticket + copy[TICKET_AT] % 16U;

        for (size_t i = 0; i < TICKET_SIZE; i++) {
            copy[TICKET_AT + i] =
                (uint8_t)(ticket >> (8 * (TICKET_SIZE - 1 - i)));
        }
    }
    rv = state_receive(table, 1 + message.size % REPLICAS,
                       bytes_of(copy, message.size), NULL, 1, effects);
    ensure(rv == 0 || rv == ERR_MALFORMED);
    for (size_t i = 0; i < effects->send_count; i++) {
        struct state_message sent;

        ensure(state_message_decode(effects->sends[i].message, &sent) == 0);
        ensure(state_kind_is_request(sent.kind));
    }
}

static void start_all(struct state_table *table, uint64_t *ret_first_ticket)
{
    struct state_effects effects;
    struct state_message sent;

    for (int i = 0; i < OPERATIONS; i++) {
        struct state_request request = {.type = (enum state_operation_type)i,
                                        .id = bytes_of_string("x"),
                                        .birth = 1,
                                        .epoch = i == STATE_READ ? 0 : 2,
                                        .replicas = {1, 2, 3},
                                        .replica_count = REPLICAS,
                                        .deadline_ms = 1000};

        ensure(state_start(table, &request, 0, &effects) == 0);
        ensure(effects.send_count == REPLICAS);
        ensure(state_message_decode(effects.sends[0].message, &sent) == 0);
        if (i == 0) {
            *ret_first_ticket = sent.ticket;
        }
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor cursor = cursor_of(bytes_of(data, size));
    struct state_replica replica = {0};
    struct state_table *table;
    struct state_effects effects;
    uint64_t first_ticket = 0;
    uint16_t length;
    struct bytes bytes;

    if (size > INPUT_SIZE_MAX) {
        return 0;
    }
    ensure(state_table_new(9, 1, &table) == 0);
    start_all(table, &first_ticket);
    while (cursor_u16(&cursor, &length) == 0 &&
           cursor_take(&cursor, length, &bytes) == 0) {
        struct state_message message;

        if (state_message_decode(bytes, &message) == 0) {
            check_encoding(&message, bytes);
            if (state_kind_is_request(message.kind)) {
                serve(&replica, &message);
            }
        }
        receive(table, &first_ticket, bytes, &effects);
    }
    ensure(state_tick(table, 1000, &effects) == 0);
    ensure(state_deadline_ms(table) == UINT64_MAX);
    state_table_free(table);
    return 0;
}
