/* SPDX-License-Identifier: Apache-2.0
 * The coordinator's table of operations, private to this folder: by ticket, by
 * time, and the effects of the current call. It carries operations from phase
 * to phase; when to do so is decided in coordinator.c. */
#ifndef QUORATE_STATE_TABLE_H
#define QUORATE_STATE_TABLE_H

#include "base/heap.h"
#include "base/list.h"
#include "base/map.h"
#include "base/rng.h"
#include "state/coordinator.h"
#include "state/operation.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    TABLE_TICK_OPERATIONS_MAX = 256, /* handled in one call of state_tick() */
    TABLE_SENDS_MAX = TABLE_TICK_OPERATIONS_MAX * STATE_REPLICAS_MAX,
};

struct state_table {
    struct rng rng;                           /* tickets, ballots, backoff */
    uint64_t next_ticket;                     /* counts up */
    struct map by_ticket;                     /* struct operation */
    struct heap timers;                       /* the same operations */
    struct list finished;                     /* lent out until the next call */
    struct list idle;                         /* ready for use */
    size_t idle_count;                        /* operations in `idle` */
    size_t bytes_held;                        /* in messages that store */
    size_t send_count;                        /* in `sends` */
    size_t completion_count;                  /* in `completions` */
    struct state_send sends[TABLE_SENDS_MAX]; /* effects of this call */
    struct state_completion completions[TABLE_TICK_OPERATIONS_MAX];
};

/* Around every call from outside: takes back what the last one lent out, and
 * lends out the effects of this one. */
void table_begin_call(struct state_table *table);
void table_end_call(const struct state_table *table,
                    struct state_effects *effects);

/* Whether so many more bytes are within the limit on values held. */
bool table_has_room(const struct state_table *table, size_t size);

/* A new operation for this request, in no phase yet. ERR_NOMEM, ERR_BUSY. */
int table_add(struct state_table *table, const struct state_request *request,
              struct operation **ret_operation) MUST_USE;

/* The operation that waits for answers under this ticket, or NULL. */
struct operation *table_find(const struct state_table *table, uint64_t ticket);

/* Ends it; the value of SEAL and READ is the newest. */
void table_complete(struct state_table *table, struct operation *operation,
                    int status, struct state_version version);

/* Sends this phase's message to all that have not answered. */
void table_send(struct state_table *table, struct operation *operation,
                uint64_t now_ms);

void table_begin_query(struct state_table *table, struct operation *operation,
                       uint64_t now_ms);
/* `holds`: replicas that have this version already. */
void table_begin_store(struct state_table *table, struct operation *operation,
                       struct state_stamp stamp, unsigned holds,
                       uint64_t now_ms);
/* Another seal was ahead: the query is made again a little later. */
void table_begin_backoff(struct state_table *table, struct operation *operation,
                         uint64_t now_ms);

#endif
