/* SPDX-License-Identifier: Apache-2.0
 * One operation of a coordinator, private to this folder: which replicas have
 * answered, what the newest version among them is, and the two messages that
 * it sends. It decides nothing; coordinator.c does.
 *
 *   QUERY (PROMISE or READ) --> STORE (WRITE) --> over
 *     ^                           |
 *     +------- BACKOFF <----------+   another seal was ahead */
#ifndef QUORATE_STATE_OPERATION_H
#define QUORATE_STATE_OPERATION_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/heap.h"
#include "base/list.h"
#include "state/coordinator.h"
#include "state/message.h"

#include <stdbool.h>
#include <stdint.h>

enum operation_phase {
    OPERATION_QUERY,
    OPERATION_STORE,
    OPERATION_BACKOFF,
    OPERATION_OVER,
};

struct operation {
    struct heap_node timer;        /* next retry or the deadline */
    struct list link;              /* among the finished or the idle */
    struct state_request request;  /* id points to `id`; value is empty */
    uint8_t id[STATE_ID_SIZE_MAX]; /* the id's bytes */
    enum operation_phase phase;    /* what is asked now */
    uint64_t ticket;               /* of this phase; key in the table */
    uint32_t retries;              /* of this phase */
    unsigned answered;             /* replicas that did it, a bit each */
    unsigned refused;              /* another seal was ahead there */
    unsigned failed;               /* could not do it */
    unsigned holds;                /* have just the newest version */
    int failure;                   /* ERR_ of the last that failed */
    uint64_t ballot;               /* SEAL: of this attempt */
    uint64_t ballot_seen;          /* SEAL: greatest that was promised */
    bool has_newest;               /* `store` holds the newest version */
    bool newest_has_value;         /* ... which has a value */
    uint32_t newest_crc;           /* ... with this checksum */
    struct state_stamp newest;     /* its version */
    struct state_version stored;   /* what STORE writes */
    struct buf query;              /* the encoded PROMISE or READ */
    struct buf store;              /* the encoded WRITE, with the value ... */
    struct bytes value;            /* ... or without it: it is here then, */
    struct blob *blob;             /* ... in this blob, held; else NULL */
};

void operation_init(struct operation *operation);

/* Makes it ready for another request; keeps buffers of up to `keep` bytes. */
void operation_clear(struct operation *operation, size_t keep);
void operation_close(struct operation *operation); /* NULL is allowed */

/* Takes over the request and encodes what can be. ERR_NOMEM. */
int operation_prepare(struct operation *operation,
                      const struct state_request *request) MUST_USE;

/* Replicas that make a majority. */
static inline uint32_t operation_majority(const struct operation *operation)
{
    return operation->request.replica_count / 2 + 1;
}

static inline uint32_t operation_count(unsigned replicas)
{
    return (uint32_t)__builtin_popcount(replicas);
}

/* The bit of replica `from`, or 0 if it is none of them. */
unsigned operation_bit(const struct operation *operation, uint64_t from);

/* Makes `answer`, newer than what was known, the newest: holds or copies its
 * value. ERR_NOMEM: nothing has changed. */
int operation_take_newest(struct operation *operation,
                          const struct state_message *answer) MUST_USE;

/* The newest version becomes "no state". ERR_NOMEM. */
int operation_take_nothing(struct operation *operation) MUST_USE;

/* Begins a phase under a new ticket: nobody has answered. */
void operation_begin_query(struct operation *operation, uint64_t ticket);
void operation_begin_store(struct operation *operation, uint64_t ticket,
                           struct state_stamp stamp, unsigned holds);

/* Drops the value that it holds. */
void operation_drop_store(struct operation *operation);

/* Bytes of the message that stores, wherever they are. */
static inline size_t operation_store_size(const struct operation *operation)
{
    return operation->store.size + operation->value.size;
}

/* What is sent in this phase; `to` of it is not set. */
struct state_send operation_message(const struct operation *operation);

/* How long replicas may be silent in this phase before they are asked again. */
uint64_t operation_patience_ms(const struct operation *operation);

#endif
