/* SPDX-License-Identifier: Apache-2.0
 * Transactions of the state store, private to state_db: replica requests
 * carried out by the rules of state/replica.h. */
#ifndef QUORATE_STORE_STATE_DB_TXN_H
#define QUORATE_STORE_STATE_DB_TXN_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "state/message.h"
#include "state/replica.h"
#include "store/state_db_env.h"

#include <lmdb.h>
#include <stdbool.h>
#include <stdint.h>

struct state_txn {
    struct state_env *env; /* borrowed */
    MDB_txn *txn;          /* owned; NULL: over */
    bool is_small;         /* stores no values: may use the reserve */
    bool is_changed;       /* there is something to commit */
    bool wants_room;       /* the last request had a value to store */
};

/* A write transaction. Writer thread only. */
int state_txn_begin(struct state_env *env, bool is_small,
                    struct state_txn *ret_txn) MUST_USE;
/* Either ends it. After an error of commit nothing of it is stored. */
int state_txn_commit(struct state_txn *txn) MUST_USE;
void state_txn_abort(struct state_txn *txn);

/* Carries out a replica request and appends the encoded answer. After an error
 * the transaction can only be aborted. ERR_NO_SPACE, ERR_CORRUPT, ERR_NOMEM,
 * ERR_IO. Damage to this id alone is an answer, not an error. */
int state_txn_request(struct state_txn *txn,
                      const struct state_message *request,
                      struct buf *answer) MUST_USE;
int state_txn_forget(struct state_txn *txn, struct bytes id,
                     uint64_t epoch) MUST_USE;

/* The newest version, from any thread. Errors as state_db_get(). */
int state_txn_get(struct state_env *env, struct bytes id,
                  struct state_replica *ret_replica,
                  struct buf *ret_value) MUST_USE;

#endif
