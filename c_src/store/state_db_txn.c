/* SPDX-License-Identifier: Apache-2.0 */
#include "store/state_db_txn.h"

#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"
#include "store/state_db_record.h"

#include <string.h>

enum {
    KEY_SIZE_MAX = STATE_ID_SIZE_MAX + 1,
    KEY_RECORD = 0,
    KEY_VALUE = 1,
};

struct key {
    uint8_t bytes[KEY_SIZE_MAX];
    size_t size;
};

static MDB_val make_key(struct key *key, struct bytes id, uint8_t part)
{
    ensure(id.size > 0);
    ensure(id.size <= STATE_ID_SIZE_MAX);
    memcpy(key->bytes, id.data, id.size);
    key->bytes[id.size] = part;
    key->size = id.size + 1;
    return state_val_of(key->bytes, key->size);
}

int state_txn_begin(struct state_env *env, bool is_small,
                    struct state_txn *ret_txn)
{
    *ret_txn = (struct state_txn){.env = env, .is_small = is_small};
    if (env->is_lost) {
        return ERR_IO;
    }
    return state_env_error(mdb_txn_begin(env->env, NULL, 0, &ret_txn->txn));
}

int state_txn_commit(struct state_txn *txn)
{
    int status = mdb_txn_commit(txn->txn);
    int rv = state_env_error(status);

    txn->txn = NULL;
    /* LMDB reports a short write, which is how a disk fills up, as EIO. */
    return rv == ERR_IO && state_env_is_disk_full(txn->env) ? ERR_NO_SPACE : rv;
}

void state_txn_abort(struct state_txn *txn)
{
    if (txn->txn != NULL) {
        mdb_txn_abort(txn->txn);
        txn->txn = NULL;
    }
}

/* 0 with nothing known if there is no record. */
static int get_record(MDB_txn *txn, MDB_dbi dbi, struct bytes id,
                      struct state_replica *ret_replica)
{
    struct key key;
    MDB_val name = make_key(&key, id, KEY_RECORD);
    MDB_val value;
    int status = mdb_get(txn, dbi, &name, &value);

    if (status == MDB_NOTFOUND) {
        *ret_replica = (struct state_replica){0};
        return 0;
    }
    if (status != 0) {
        int rv = state_env_error(status);

        ensure(rv != 0);
        return rv;
    }
    return state_record_decode(state_bytes_of_val(&value), id, ret_replica);
}

/* The value that belongs to `replica`, borrowed until the next change.
 * ERR_CORRUPT: it is not what was stored. */
static int get_value(MDB_txn *txn, MDB_dbi dbi, struct bytes id,
                     const struct state_replica *replica,
                     struct bytes *ret_value)
{
    struct key key;
    MDB_val name = make_key(&key, id, KEY_VALUE);
    MDB_val value;
    int status;

    if (!replica->has_value) {
        *ret_value = bytes_of(NULL, 0);
        return 0;
    }
    status = mdb_get(txn, dbi, &name, &value);
    if (status != 0) {
        int rv = status == MDB_NOTFOUND ? ERR_CORRUPT : state_env_error(status);

        ensure(rv != 0);
        return rv;
    }
    if (value.mv_size != replica->size ||
        crc32c(0, state_bytes_of_val(&value)) != replica->crc) {
        return ERR_CORRUPT;
    }
    *ret_value = state_bytes_of_val(&value);
    return 0;
}

static int put_record(const struct state_txn *txn, struct bytes id,
                      const struct state_replica *replica)
{
    uint8_t record[STATE_RECORD_SIZE];
    struct key key;
    MDB_val name = make_key(&key, id, KEY_RECORD);
    MDB_val value = state_val_of(record, sizeof(record));

    state_record_encode(replica, id, record);
    return state_env_error(mdb_put(txn->txn, txn->env->dbi, &name, &value, 0));
}

static int remove_key(const struct state_txn *txn, struct bytes id,
                      uint8_t part)
{
    struct key key;
    MDB_val name = make_key(&key, id, part);
    int status = mdb_del(txn->txn, txn->env->dbi, &name, NULL);

    return status == MDB_NOTFOUND ? 0 : state_env_error(status);
}

/* Stores the value of a write, unless just these bytes are there already: a
 * seal writes under a new version what most replicas have. */
static int put_value(struct state_txn *txn, const struct state_replica *old,
                     const struct state_message *request)
{
    struct bytes id = request->id;
    struct key key;
    MDB_val name = make_key(&key, id, KEY_VALUE);
    MDB_val value = state_val_of(request->value.data, request->value.size);
    struct bytes stored;

    if (!request->has_value) {
        return remove_key(txn, id, KEY_VALUE);
    }
    if (old->has_value && old->crc == request->crc &&
        get_value(txn->txn, txn->env->dbi, id, old, &stored) == 0 &&
        bytes_equal(stored, request->value)) {
        return 0;
    }
    txn->wants_room = true;
    if (txn->is_small) {
        return ERR_NO_SPACE;
    }
    return state_env_error(mdb_put(txn->txn, txn->env->dbi, &name, &value, 0));
}

static int answer_refusal(const struct state_message *request,
                          enum state_status status, struct buf *answer)
{
    struct state_message message;

    state_replica_refuse(request, status, &message);
    return state_message_encode(&message, answer);
}

int state_txn_request(struct state_txn *txn,
                      const struct state_message *request, struct buf *answer)
{
    struct state_replica replica;
    struct state_decision decision;
    struct state_message message;
    struct bytes value = bytes_of(NULL, 0);
    int rv = get_record(txn->txn, txn->env->dbi, request->id, &replica);

    txn->wants_room = false;
    if (rv == ERR_CORRUPT || !state_message_is_intact(request)) {
        return answer_refusal(request, STATE_STATUS_CORRUPT, answer);
    }
    if (rv != 0) {
        return rv;
    }
    state_replica_decide(&replica, request, &decision);
    if (decision.is_changed) {
        if (decision.takes_value) {
            rv = put_value(txn, &replica, request);
        }
        if (rv == 0) {
            rv = put_record(txn, request->id, &decision.next);
        }
        if (rv != 0) {
            return rv;
        }
        txn->is_changed = true;
    }
    if (decision.shows_value) {
        rv = get_value(txn->txn, txn->env->dbi, request->id, &decision.next,
                       &value);
        if (rv != 0) {
            return rv == ERR_CORRUPT
                       ? answer_refusal(request, STATE_STATUS_CORRUPT, answer)
                       : rv;
        }
    }
    state_replica_answer(request, &decision, value, &message);
    return state_message_encode(&message, answer);
}

int state_txn_forget(struct state_txn *txn, struct bytes id, uint64_t epoch)
{
    struct state_replica replica;
    int rv = get_record(txn->txn, txn->env->dbi, id, &replica);

    txn->wants_room = false;
    if (rv == ERR_CORRUPT) {
        /* What was promised here is unknown, so it stays refused. */
        return 0;
    }
    if (rv != 0 || !state_replica_forget(&replica, epoch)) {
        return rv;
    }
    txn->is_changed = true;
    rv = remove_key(txn, id, KEY_VALUE);
    if (rv == 0) {
        rv = replica.promised > 0 ? put_record(txn, id, &replica)
                                  : remove_key(txn, id, KEY_RECORD);
    }
    return rv;
}

static int get_both(MDB_txn *txn, MDB_dbi dbi, struct bytes id,
                    struct state_replica *ret_replica, struct buf *ret_value)
{
    struct bytes value;
    int rv = get_record(txn, dbi, id, ret_replica);

    if (rv != 0) {
        return rv;
    }
    /* Before its pages are touched, which takes long if it is big. */
    if (ret_replica->size > ret_value->size_max - ret_value->size) {
        return ERR_LIMIT;
    }
    rv = get_value(txn, dbi, id, ret_replica, &value);
    if (rv != 0) {
        return rv;
    }
    buf_put_bytes(ret_value, value);
    return buf_error(ret_value);
}

int state_txn_get(struct state_env *env, struct bytes id,
                  struct state_replica *ret_replica, struct buf *ret_value)
{
    MDB_txn *txn;
    int rv;

    (void)pthread_rwlock_rdlock(&env->remap);
    rv = env->is_lost
             ? ERR_IO
             : state_env_error(mdb_txn_begin(env->env, NULL, MDB_RDONLY, &txn));
    if (rv == 0) {
        rv = get_both(txn, env->dbi, id, ret_replica, ret_value);
        mdb_txn_abort(txn);
    }
    (void)pthread_rwlock_unlock(&env->remap);
    return rv;
}
