/* SPDX-License-Identifier: Apache-2.0
 * The replica's rules, as a pure decision: what it has promised and stored,
 * and a request, give an answer and what it has promised and stored then. */
#ifndef QUORATE_STATE_REPLICA_H
#define QUORATE_STATE_REPLICA_H

#include "state/message.h"
#include "state/version.h"

#include <stdbool.h>
#include <stdint.h>

/* What a replica knows of one id. All zero: nothing. */
struct state_replica {
    uint64_t promised;        /* lower epochs are refused; 0: none promised */
    uint64_t promised_ballot; /* at that epoch, lower ballots are refused */
    struct state_stamp stamp; /* of what is stored */
    bool has_version;         /* something is stored */
    bool has_value;           /* false: the version says "no state" */
    uint32_t crc;             /* of the value */
    uint32_t size;            /* of the value, bytes */
};

struct state_decision {
    enum state_status status;
    bool has_version;          /* what is stored counts: not a predecessor's */
    bool is_changed;           /* `next` must be durable before the answer */
    bool takes_value;          /* the request's value is to be stored */
    bool shows_value;          /* the answer carries the stored value */
    struct state_replica next; /* the replica afterwards */
};

/* Decides `request` (a request, its checksum verified). */
void state_replica_decide(const struct state_replica *replica,
                          const struct state_message *request,
                          struct state_decision *ret_decision);

/* The answer to `request`; `value` is what is stored (borrowed), looked at only
 * if the decision says that the answer shows it. */
void state_replica_answer(const struct state_message *request,
                          const struct state_decision *decision,
                          struct bytes value, struct state_message *ret_answer);

/* The answer of a replica that could not do what it decided. */
void state_replica_refuse(const struct state_message *request,
                          enum state_status status,
                          struct state_message *ret_answer);

/* Forgets everything up to `epoch`: false if there is nothing to forget. A
 * promise above `epoch` stays, and so does a version above it. */
bool state_replica_forget(struct state_replica *replica, uint64_t epoch);

#endif
