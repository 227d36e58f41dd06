/* SPDX-License-Identifier: Apache-2.0
 * The replica half of sandbox state on disk: LMDB, one writer thread that
 * takes all requests that wait, decides each by state/replica.h, commits them
 * together, and only then lets the answers out. */
#ifndef QUORATE_STORE_STATE_DB_H
#define QUORATE_STORE_STATE_DB_H

#include "base/attr.h"
#include "base/blob.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdint.h>

struct state_db;

enum {
    STATE_DB_QUEUE_COUNT_MAX = 65536,             /* then ERR_BUSY */
    STATE_DB_QUEUE_BYTES_MAX = 256 * 1024 * 1024, /* then ERR_BUSY */
};

/* Answers are ready to be taken; called on the writer thread. */
typedef void state_db_ready_cb(void *arg);

enum state_db_change {
    STATE_DB_ACCEPTED,  /* a version was stored, or was there */
    STATE_DB_PROMISED,  /* lower epochs will be refused */
    STATE_DB_FORGOTTEN, /* all up to that epoch */
};

/* It is on disk; called on the writer thread before the answer can be taken.
 * `id` is borrowed. */
typedef void state_db_change_cb(void *arg, enum state_db_change change,
                                struct bytes id, uint64_t epoch, uint64_t seq);

struct state_db_config {
    const char *dir;   /* exists; locked by the caller; files go to DIR */
    uint64_t map_size; /* bytes; the store's limit */
    state_db_ready_cb *ready;
    state_db_change_cb *changed; /* NULL: nobody wants to know */
    void *ready_arg;             /* of both */
};

/* Whether all files of a store that was opened in `dir` before are there: 0,
 * or ERR_CORRUPT with a line for people in `error`. state_db_open() makes what
 * is missing. */
int state_db_require(const char *dir, struct buf *error) MUST_USE;

/* ERR_CORRUPT, ERR_UNSUPPORTED (another format version), ERR_NO_SPACE,
 * ERR_NOMEM, ERR_IO; a line for people in `error`. */
int state_db_open(const struct state_db_config *config, struct buf *error,
                  struct state_db **ret_db) MUST_USE;
/* Commits what waits and ends the thread. NULL is allowed. */
void state_db_close(struct state_db *db);

/* Queues a replica request (state/message.h) of member `from`; copied. 0,
 * ERR_MALFORMED, ERR_BUSY, ERR_NOMEM. */
int state_db_submit(struct state_db *db, uint64_t from,
                    struct bytes message) MUST_USE;

/* The same for a message of which only `head` is copied; `value` is the rest
 * of it, in a blob that is held. */
int state_db_submit_shared(struct state_db *db, uint64_t from,
                           struct bytes head, struct bytes value,
                           struct blob *blob) MUST_USE;

/* Queues the removal of all that is stored under `id` up to `epoch`: ERR_BUSY,
 * ERR_NOMEM. Works in a full store too. */
int state_db_delete(struct state_db *db, struct bytes id,
                    uint64_t epoch) MUST_USE;

/* Takes the next answer: who is to get it, and the message (caller closes the
 * buf). 0 or ERR_NOT_FOUND: none is ready. */
int state_db_take(struct state_db *db, uint64_t *ret_to,
                  struct buf *ret_message) MUST_USE;

/* This member's own newest version, on the calling thread (a short read
 * transaction). 0 with the value appended, ERR_NOT_FOUND, ERR_CORRUPT, ERR_IO,
 * ERR_NOMEM; ERR_LIMIT, and hardly any work, if `ret_value` may not hold it. */
int state_db_get(struct state_db *db, struct bytes id, uint64_t birth,
                 uint64_t *ret_epoch, uint64_t *ret_seq,
                 struct buf *ret_value) MUST_USE;

/* Commits, and requests in them, since start. */
void state_db_counters(const struct state_db *db, uint64_t *ret_commits,
                       uint64_t *ret_requests);

#endif
