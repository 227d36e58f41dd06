/* SPDX-License-Identifier: Apache-2.0
 * What the state store's writer thread does with a batch. Private to state_db.
 *
 *   batch ──▶ one LMDB transaction that stays open ──▶ committed now and then
 *     └────▶ journal: one write, one flush ──▶ answers go out
 *
 * The open transaction is the table of what is not committed yet: later
 * requests see it, and a value that is written ten times between two commits
 * reaches the table's file once. What a crash takes with it is in the journal.
 * Batches that are too big for the journal, whatever fails, and everything
 * while the table's file is nearly full, are carried out the slow way: one
 * transaction, committed and flushed, for each range that fits. */
#ifndef QUORATE_STORE_STATE_WRITER_H
#define QUORATE_STORE_STATE_WRITER_H

#include "base/attr.h"
#include "store/state_db_env.h"
#include "store/state_db_item.h"
#include "store/state_db_txn.h"
#include "store/state_journal.h"

#include <stdbool.h>
#include <stdint.h>

/* The items [begin, end) of the batch have their answers. */
typedef void state_writer_done_cb(void *arg, size_t begin, size_t end);

struct state_writer {
    struct state_env env;
    struct state_journal journal;
    struct state_txn txn; /* the open transaction, if is_open */
    bool is_open;         /* it has changes that LMDB has not committed */
    bool is_behind;       /* they were rolled back; only the journal has them */
    bool is_reserve_open; /* the range under way stores no values */
    bool is_slow;         /* the journal failed: every batch the slow way */
    uint64_t commits;     /* durable writes, of either way */
    uint64_t requests;    /* in them */
};

/* Opens both files and carries out what the journal holds. Errors as
 * state_db_open(). */
int state_writer_open(struct state_writer *writer, const char *dir,
                      uint64_t map_size, struct buf *error) MUST_USE;
/* Commits what is open. */
void state_writer_close(struct state_writer *writer);

/* Carries out a batch; each item's answer is filled in before `done` is called
 * for it. */
void state_writer_run(struct state_writer *writer, struct state_item **batch,
                      size_t count, state_writer_done_cb *done, void *arg);

/* Whether there is something to settle, and doing so: LMDB then has
 * everything and the journal is empty. On an error nothing is lost, and the
 * next run tries again first. */
static inline bool state_writer_is_dirty(const struct state_writer *writer)
{
    return writer->is_open || writer->is_behind;
}
int state_writer_settle(struct state_writer *writer) MUST_USE;

#endif
