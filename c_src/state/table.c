/* SPDX-License-Identifier: Apache-2.0 */
#include "state/table.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"

enum {
    IDLE_MAX = 64,         /* operations kept for the next requests */
    IDLE_BYTES_MAX = 8192, /* memory that each of their buffers keeps */
    BALLOT_RANDOM_BITS = 40,
};

/* A round that cannot be counted up any more is only equalled. */
#define BALLOT_ROUND_MAX ((UINT64_C(1) << (64 - BALLOT_RANDOM_BITS)) - 1)

int state_table_new(uint64_t own_id, uint64_t seed,
                    struct state_table **ret_table)
{
    struct state_table *table = mem_alloc(sizeof(*table));

    if (table == NULL) {
        return ERR_NOMEM;
    }
    /* Two members of a simulation may be given one seed; their ballots must
     * differ nevertheless. */
    rng_init(&table->rng, own_id);
    rng_init(&table->rng, seed ^ rng_next(&table->rng));
    /* An answer to the member's earlier run must not meet a ticket of this. */
    table->next_ticket = rng_next(&table->rng);
    map_init(&table->by_ticket, STATE_OPERATIONS_MAX, rng_next(&table->rng));
    heap_init(&table->timers, STATE_OPERATIONS_MAX);
    list_init(&table->finished);
    list_init(&table->idle);
    *ret_table = table;
    return 0;
}

static void free_operation(struct operation *operation)
{
    operation_close(operation);
    mem_free(operation);
}

static void free_list(struct list *head)
{
    struct list *node;

    while ((node = list_take_first(head)) != NULL) {
        free_operation(LIST_ENTRY(node, struct operation, link));
    }
}

void state_table_free(struct state_table *table)
{
    size_t position = 0;
    struct operation *operation;

    if (table == NULL) {
        return;
    }
    while ((operation = map_next(&table->by_ticket, &position)) != NULL) {
        free_operation(operation);
    }
    free_list(&table->finished);
    free_list(&table->idle);
    map_close(&table->by_ticket);
    heap_close(&table->timers);
    mem_free(table);
}

/* --- Operations come and go ----------------------------------------------- */

static struct operation *take_operation(struct state_table *table)
{
    struct list *node = list_take_first(&table->idle);
    struct operation *operation;

    if (node != NULL) {
        table->idle_count--;
        return LIST_ENTRY(node, struct operation, link);
    }
    operation = mem_alloc(sizeof(*operation));
    if (operation != NULL) {
        operation_init(operation);
    }
    return operation;
}

static void give_operation(struct state_table *table,
                           struct operation *operation)
{
    if (table->idle_count >= IDLE_MAX) {
        free_operation(operation);
        return;
    }
    operation_clear(operation, IDLE_BYTES_MAX);
    list_append(&table->idle, &operation->link);
    table->idle_count++;
}

void table_begin_call(struct state_table *table)
{
    struct list *node;

    while ((node = list_take_first(&table->finished)) != NULL) {
        struct operation *operation = LIST_ENTRY(node, struct operation, link);

        ensure(table->bytes_held >= operation_store_size(operation));
        table->bytes_held -= operation_store_size(operation);
        give_operation(table, operation);
    }
    table->send_count = 0;
    table->completion_count = 0;
}

void table_end_call(const struct state_table *table,
                    struct state_effects *effects)
{
    *effects =
        (struct state_effects){.sends = table->sends,
                               .send_count = table->send_count,
                               .completions = table->completions,
                               .completion_count = table->completion_count};
}

static struct bytes ticket_key(const struct operation *operation)
{
    return bytes_of(&operation->ticket, sizeof(operation->ticket));
}

static void set_timer(struct state_table *table, struct operation *operation,
                      uint64_t at_ms)
{
    int rv;

    heap_remove(&table->timers, &operation->timer);
    operation->timer.key = at_ms < operation->request.deadline_ms
                               ? at_ms
                               : operation->request.deadline_ms;
    rv = heap_put(&table->timers, &operation->timer);
    ensure(rv == 0); /* There was room for it before. */
}

bool table_has_room(const struct state_table *table, size_t size)
{
    return table->bytes_held + size <= STATE_OPERATION_BYTES_MAX;
}

int table_add(struct state_table *table, const struct state_request *request,
              struct operation **ret_operation)
{
    struct operation *operation = take_operation(table);
    int rv;

    if (operation == NULL) {
        return ERR_NOMEM;
    }
    rv = operation_prepare(operation, request);
    if (rv == 0) {
        operation->ticket = table->next_ticket++;
        rv = map_put(&table->by_ticket, ticket_key(operation), operation);
    }
    if (rv == 0) {
        operation->timer.key = request->deadline_ms;
        rv = heap_put(&table->timers, &operation->timer);
        if (rv != 0) {
            (void)map_remove(&table->by_ticket, ticket_key(operation));
        }
    }
    if (rv != 0) {
        give_operation(table, operation);
        return rv == ERR_LIMIT ? ERR_BUSY : rv;
    }
    table->bytes_held += operation_store_size(operation);
    *ret_operation = operation;
    return 0;
}

struct operation *table_find(const struct state_table *table, uint64_t ticket)
{
    return map_get(&table->by_ticket, bytes_of(&ticket, sizeof(ticket)));
}

void table_complete(struct state_table *table, struct operation *operation,
                    int status, struct state_version version)
{
    struct state_completion *completion =
        &table->completions[table->completion_count];
    bool has_value = status == 0 && operation->request.type != STATE_WRITE &&
                     operation->has_newest && operation->newest_has_value;

    ensure(operation->phase != OPERATION_OVER);
    ensure(table->completion_count < TABLE_TICK_OPERATIONS_MAX);
    table->completion_count++;
    *completion = (struct state_completion){.user = operation->request.user,
                                            .type = operation->request.type,
                                            .rv = status,
                                            .version = version,
                                            .found = operation->newest.version,
                                            .has_value = has_value};
    if (has_value) {
        completion->value = operation->blob != NULL
                                ? operation->value
                                : state_message_value(&operation->store);
        completion->blob = operation->blob;
    }
    (void)map_remove(&table->by_ticket, ticket_key(operation));
    heap_remove(&table->timers, &operation->timer);
    operation->phase = OPERATION_OVER;
    list_append(&table->finished, &operation->link);
}

/* --- Phases --------------------------------------------------------------- */

void table_send(struct state_table *table, struct operation *operation,
                uint64_t now_ms)
{
    struct state_send send = operation_message(operation);
    unsigned done =
        operation->answered | operation->refused | operation->failed;

    for (uint32_t i = 0; i < operation->request.replica_count; i++) {
        if ((done & (1U << i)) == 0) {
            ensure(table->send_count < TABLE_SENDS_MAX);
            send.to = operation->request.replicas[i];
            table->sends[table->send_count] = send;
            table->send_count++;
        }
    }
    set_timer(table, operation, now_ms + operation_patience_ms(operation));
}

/* Puts the operation under a new ticket, so that answers to its earlier
 * questions find nothing. */
static void renew_ticket(struct state_table *table, struct operation *operation,
                         uint64_t ticket)
{
    int rv;

    (void)map_remove(&table->by_ticket, ticket_key(operation));
    operation->ticket = ticket;
    rv = map_put(&table->by_ticket, ticket_key(operation), operation);
    ensure(rv == 0); /* One place has just become free. */
}

/* Unique among all seals of one epoch, and above those that were in the way:
 * a round, then random bits. */
static uint64_t choose_ballot(struct state_table *table, uint64_t seen)
{
    uint64_t round = seen >> BALLOT_RANDOM_BITS;

    if (round < BALLOT_ROUND_MAX) {
        round++;
    }
    return round << BALLOT_RANDOM_BITS |
           rng_next(&table->rng) >> (64 - BALLOT_RANDOM_BITS);
}

void table_begin_query(struct state_table *table, struct operation *operation,
                       uint64_t now_ms)
{
    if (operation->request.type == STATE_SEAL) {
        operation->ballot = choose_ballot(table, operation->ballot_seen);
    }
    if (operation->request.type != STATE_WRITE) {
        table->bytes_held -= operation_store_size(operation);
        operation_drop_store(operation);
    }
    renew_ticket(table, operation, table->next_ticket++);
    operation_begin_query(operation, operation->ticket);
    table_send(table, operation, now_ms);
}

void table_begin_store(struct state_table *table, struct operation *operation,
                       struct state_stamp stamp, unsigned holds,
                       uint64_t now_ms)
{
    renew_ticket(table, operation, table->next_ticket++);
    operation_begin_store(operation, operation->ticket, stamp, holds);
    table_send(table, operation, now_ms);
}

/* Whoever waits a different time lets it finish. */
void table_begin_backoff(struct state_table *table, struct operation *operation,
                         uint64_t now_ms)
{
    operation->phase = OPERATION_BACKOFF;
    set_timer(table, operation,
              now_ms + 1 + rng_below(&table->rng, STATE_RETRY_MS));
}
