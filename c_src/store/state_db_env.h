/* SPDX-License-Identifier: Apache-2.0
 * The state store's LMDB environment, private to state_db: one file, one
 * table. Each id has two keys that are neighbours: id + 0 is its record
 * (state_db_record.h), id + 1 its value.
 *
 * Neither MDB_NOSYNC nor MDB_NOMETASYNC: a commit is on disk when it returns.
 * No MDB_WRITEMAP: a full disk is then an error of write(), not a signal.
 *
 * A full store must still be able to forget and to promise. So the map is
 * `reserve` bytes smaller than it may become, and grows into that only for
 * transactions that store no value. */
#ifndef QUORATE_STORE_STATE_DB_ENV_H
#define QUORATE_STORE_STATE_DB_ENV_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <lmdb.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct state_env {
    MDB_env *env;    /* owned */
    MDB_dbi dbi;     /* the one table */
    size_t map_size; /* bytes; the limit for values */
    size_t reserve;  /* bytes on top of that */
    bool is_lost;    /* the map could not be moved: nothing works any more */
    pthread_rwlock_t remap; /* readers hold it; moving the map writes it */
};

int state_env_open(struct state_env *env, const char *dir, uint64_t map_size,
                   struct buf *error) MUST_USE;
void state_env_close(struct state_env *env);

/* Makes the reserve usable, and ends that. The caller has no transaction; those
 * of other threads are waited for. */
int state_env_grow(struct state_env *env) MUST_USE;
void state_env_shrink(struct state_env *env);

/* Pages freed by one transaction are free for the next but one: this is the
 * one between. Whether it worked is seen by the next. */
void state_env_age(struct state_env *env);

/* Whether the file system that holds the file has no room left. */
bool state_env_is_disk_full(const struct state_env *env);

/* The error that an LMDB status stands for. */
int state_env_error(int status);

/* LMDB wants pointers to what it only reads. */
static inline MDB_val state_val_of(const void *data, size_t size)
{
    union {
        const void *from;
        void *to;
    } pointer = {.from = data};

    return (MDB_val){.mv_size = size, .mv_data = pointer.to};
}

static inline struct bytes state_bytes_of_val(const MDB_val *val)
{
    return bytes_of(val->mv_data, val->mv_size);
}

#endif
