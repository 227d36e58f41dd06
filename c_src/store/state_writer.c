/* SPDX-License-Identifier: Apache-2.0
 * The slow way commits a batch in ranges. Mostly that is one range, the whole
 * batch; after a failure the range shrinks to what is known to fit, until the
 * item that does not stands alone and is answered with the error. It doubles
 * with each commit that works. */
#include "store/state_writer.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "state/replica.h"

enum {
    RANGE_COUNT_MAX = 1024,
    ANSWER_BYTES_MAX = 8 * 1024 * 1024,  /* of one range */
    JOURNAL_BATCH_MAX = 4 * 1024 * 1024, /* bytes; larger: the slow way */
    ROOM_FOR_QUICK = 64 * 1024 * 1024,   /* bytes left in the map */
    ENTRY_OVERHEAD = 1 + 8 + 4,          /* of an item in a record */
    ENTRY_REQUEST = 1,
    ENTRY_FORGET = 2,
};

/* --- The journal's records ------------------------------------------------ */

static bool is_change(const struct state_item *item)
{
    return item->is_forget || item->request.kind != STATE_KIND_READ;
}

static void put_entry(struct buf *record, const struct state_item *item)
{
    buf_put_u8(record, item->is_forget ? ENTRY_FORGET : ENTRY_REQUEST);
    buf_put_u64(record, item->forget_epoch);
    buf_put_u32(record, (uint32_t)item->size);
    buf_put(record, item->data, item->data_size);
    buf_put_bytes(record, item->value);
}

/* Carries out one entry of a record again; what it answered before is of no
 * interest. */
static int replay_entry(struct state_txn *txn, struct cursor *record)
{
    struct state_message request;
    struct buf answer;
    struct bytes data;
    uint64_t epoch;
    uint8_t type;
    int rv = cursor_u8(record, &type);

    rv = rv == 0 ? cursor_u64(record, &epoch) : rv;
    rv = rv == 0 ? cursor_block(record, &data) : rv;
    if (rv != 0) {
        return ERR_CORRUPT;
    }
    if (type == ENTRY_FORGET) {
        return data.size == 0 || data.size > STATE_ID_SIZE_MAX
                   ? ERR_CORRUPT
                   : state_txn_forget(txn, data, epoch);
    }
    if (state_message_decode(data, &request) != 0 ||
        !state_kind_is_request(request.kind)) {
        return ERR_CORRUPT;
    }
    buf_init(&answer, STATE_MESSAGE_SIZE_MAX);
    rv = state_txn_request(txn, &request, &answer);
    buf_close(&answer);
    return rv;
}

/* Carries out the records of `journal` from its offset on, at most `count`. */
static int replay(struct state_journal *journal, uint64_t count,
                  struct state_txn *txn)
{
    struct bytes data;
    int rv = 0;

    for (uint64_t i = 0; i < count; i++) {
        struct cursor record;

        rv = state_journal_next(journal, &data);
        if (rv != 0) {
            break;
        }
        record = cursor_of(data);
        while (rv == 0 && cursor_left(&record) > 0) {
            rv = replay_entry(txn, &record);
        }
        if (rv != 0) {
            break;
        }
    }
    return rv == ERR_NOT_FOUND ? 0 : rv;
}

static int end_txn(struct state_txn *txn, int rv)
{
    if (rv == 0) {
        return state_txn_commit(txn);
    }
    state_txn_abort(txn);
    return rv;
}

/* --- Settling ------------------------------------------------------------- */

static int catch_up(struct state_writer *writer)
{
    struct state_journal view = writer->journal;
    struct state_txn txn;
    int rv = state_txn_begin(&writer->env, false, &txn);

    view.offset = 0;
    view.number = 0;
    buf_init(&view.record, STATE_JOURNAL_SIZE);
    if (rv == 0) {
        rv = replay(&view, writer->journal.number, &txn);
        if (rv == 0 && view.number != writer->journal.number) {
            rv = ERR_IO;
        }
        rv = end_txn(&txn, rv);
    }
    buf_close(&view.record);
    return rv;
}

int state_writer_settle(struct state_writer *writer)
{
    int rv = 0;

    if (writer->is_open) {
        writer->is_open = false;
        rv = state_txn_commit(&writer->txn);
        writer->is_behind = rv != 0;
    }
    if (writer->is_behind) {
        rv = catch_up(writer);
        writer->is_behind = rv != 0;
    }
    if (rv == 0) {
        state_journal_reset(&writer->journal);
    }
    return rv;
}

/* Undoes the open transaction, the acknowledged part of which is in the
 * journal. */
static void roll_back(struct state_writer *writer)
{
    if (writer->txn.txn != NULL) {
        state_txn_abort(&writer->txn);
    }
    writer->is_open = false;
    writer->is_behind = writer->journal.number > 0;
}

int state_writer_open(struct state_writer *writer, const char *dir,
                      uint64_t map_size, struct buf *error)
{
    struct state_txn txn;
    int rv;

    *writer = (struct state_writer){.is_open = false};
    rv = state_env_open(&writer->env, dir, map_size, error);
    if (rv != 0) {
        return rv;
    }
    rv = state_journal_open(&writer->journal, dir, error);
    if (rv != 0) {
        state_env_close(&writer->env);
        return rv;
    }
    rv = state_txn_begin(&writer->env, false, &txn);
    if (rv == 0) {
        rv = replay(&writer->journal, UINT64_MAX, &txn);
        rv = end_txn(&txn, rv);
    }
    if (rv != 0) {
        if (error != NULL) {
            buf_printf(error,
                       "%s/state.journal: %s; check the disk, and do not start "
                       "this member on an empty or older directory; "
                       "docs/operations.md says what can be done",
                       dir, err_text(rv));
        }
        state_journal_close(&writer->journal);
        state_env_close(&writer->env);
        return rv;
    }
    state_journal_reset(&writer->journal);
    return 0;
}

void state_writer_close(struct state_writer *writer)
{
    int rv = state_writer_settle(writer);

    if (rv == 0 && !writer->is_slow) {
        /* An empty first record: the next open has nothing to do again. It
         * does no harm if it is not written. */
        state_journal_begin(&writer->journal);
        rv = state_journal_write(&writer->journal);
    }
    if (rv != 0) {
        /* What cannot be settled now is in the journal for the next open. */
        roll_back(writer);
    }
    state_journal_close(&writer->journal);
    state_env_close(&writer->env);
}

/* --- The slow way --------------------------------------------------------- */

static enum state_status status_of(int rv)
{
    if (rv == ERR_NO_SPACE) {
        return STATE_STATUS_NO_SPACE;
    }
    return rv == ERR_CORRUPT ? STATE_STATUS_CORRUPT : STATE_STATUS_IO;
}

static void refuse(struct state_item *item, int rv)
{
    struct state_message answer;

    if (item->is_forget) {
        return;
    }
    state_replica_refuse(&item->request, status_of(rv), &answer);
    buf_clear(&item->answer);
    /* Without memory there is no answer; the coordinator asks again. */
    if (state_message_encode(&answer, &item->answer) != 0) {
        buf_close(&item->answer);
    }
}

/* Carries out items of `batch` from `begin` on until `*end`, which is lowered
 * when the answers grow too big for one range. On an error, `*ret_done` are
 * those before it. */
static int carry_out(struct state_txn *txn, struct state_item **batch,
                     size_t begin, size_t *end, size_t *ret_done)
{
    size_t answer_bytes = 0;

    for (size_t i = begin; i < *end; i++) {
        struct state_item *item = batch[i];
        int rv;

        buf_clear(&item->answer);
        rv = item->is_forget
                 ? state_txn_forget(txn, item->request.id, item->forget_epoch)
                 : state_txn_request(txn, &item->request, &item->answer);
        item->wants_room = txn->wants_room;
        if (rv != 0) {
            *ret_done = i - begin;
            return rv;
        }
        answer_bytes += item->answer.size;
        if (answer_bytes > ANSWER_BYTES_MAX) {
            *end = i + 1;
        }
    }
    *ret_done = *end - begin;
    return 0;
}

/* One transaction, committed. On an error nothing is stored, and *ret_fitting
 * says how many items may fit one. */
static int try_range(struct state_writer *writer, struct state_item **batch,
                     size_t begin, size_t *end, size_t *ret_fitting)
{
    struct state_txn txn;
    int rv = state_txn_begin(&writer->env, writer->is_reserve_open, &txn);

    *ret_fitting = 0;
    if (rv == 0) {
        rv = carry_out(&txn, batch, begin, end, ret_fitting);
    }
    if (rv != 0 || !txn.is_changed) {
        state_txn_abort(&txn);
        return rv;
    }
    rv = state_txn_commit(&txn);
    if (rv != 0) {
        *ret_fitting = (*end - begin) / 2;
        return rv;
    }
    writer->commits++;
    writer->requests += *end - begin;
    return 0;
}

/* A full store has to forget, to promise, and to give what it has a new
 * version: these are tried once more with the reserve. */
static int try_reserve(struct state_writer *writer, struct state_item **batch,
                       size_t begin)
{
    size_t end = begin + 1;
    size_t fitting;
    int rv = state_env_grow(&writer->env);

    if (rv == 0) {
        writer->is_reserve_open = true;
        rv = try_range(writer, batch, begin, &end, &fitting);
        writer->is_reserve_open = false;
    }
    if (rv == 0) {
        /* What was freed is to be free for the next write. */
        state_env_age(&writer->env);
    }
    state_env_shrink(&writer->env);
    return rv;
}

static bool may_use_reserve(const struct state_item *item)
{
    return !item->wants_room && item->request.kind != STATE_KIND_READ;
}

static void run_slowly(struct state_writer *writer, struct state_item **batch,
                       size_t begin, size_t count, state_writer_done_cb *done,
                       void *arg)
{
    size_t width = count;

    while (begin < count) {
        size_t end = width < count - begin ? begin + width : count;
        size_t fitting;
        int rv = try_range(writer, batch, begin, &end, &fitting);

        if (rv != 0 && fitting > 0) {
            width = fitting;
            continue;
        }
        if (rv == ERR_NO_SPACE && may_use_reserve(batch[begin])) {
            rv = try_reserve(writer, batch, begin);
            end = begin + 1;
        }
        if (rv != 0) {
            end = begin + 1;
            refuse(batch[begin], rv);
        }
        width = width > RANGE_COUNT_MAX / 2 ? RANGE_COUNT_MAX : width * 2;
        done(arg, begin, end);
        begin = end;
    }
}

/* --- The quick way -------------------------------------------------------- */

/* Near the end of the map every page counts, and the slow way knows how to do
 * with the last ones; an open transaction only takes pages. */
static bool is_tight(const struct state_writer *writer)
{
    MDB_envinfo info;
    MDB_stat stat;
    uint64_t used;

    if (mdb_env_info(writer->env.env, &info) != 0 ||
        mdb_env_stat(writer->env.env, &stat) != 0) {
        return true;
    }
    used = ((uint64_t)info.me_last_pgno + 1) * stat.ms_psize;
    return used + ROOM_FOR_QUICK > writer->env.map_size;
}

static bool fits_journal(const struct state_writer *writer,
                         struct state_item **batch, size_t count,
                         size_t *ret_size)
{
    size_t size = 0;

    for (size_t i = 0; i < count; i++) {
        size += batch[i]->size + ENTRY_OVERHEAD;
    }
    *ret_size = size;
    return !writer->is_slow && size <= JOURNAL_BATCH_MAX && !is_tight(writer);
}

static int journal_range(struct state_writer *writer, struct state_item **batch,
                         size_t begin, size_t end)
{
    int rv;

    state_journal_begin(&writer->journal);
    for (size_t i = begin; i < end; i++) {
        if (is_change(batch[i])) {
            put_entry(&writer->journal.record, batch[i]);
        }
    }
    rv = state_journal_write(&writer->journal);
    if (rv != 0) {
        writer->is_slow = true;
        return rv;
    }
    writer->commits++;
    writer->requests += end - begin;
    return 0;
}

/* As far as it goes: what is left from the index on that it gives is for the
 * slow way. */
static size_t run_quickly(struct state_writer *writer,
                          struct state_item **batch, size_t count,
                          state_writer_done_cb *done, void *arg)
{
    size_t begin = 0;

    while (begin < count) {
        size_t end = count;
        size_t ignored;

        if (!writer->is_open &&
            state_txn_begin(&writer->env, false, &writer->txn) != 0) {
            return begin;
        }
        writer->is_open = true;
        writer->txn.is_changed = false;
        if (carry_out(&writer->txn, batch, begin, &end, &ignored) != 0 ||
            (writer->txn.is_changed &&
             journal_range(writer, batch, begin, end) != 0)) {
            roll_back(writer);
            return begin;
        }
        done(arg, begin, end);
        begin = end;
    }
    return count;
}

void state_writer_run(struct state_writer *writer, struct state_item **batch,
                      size_t count, state_writer_done_cb *done, void *arg)
{
    size_t begin = 0;
    size_t size;
    int rv = 0;
    bool is_quick = fits_journal(writer, batch, count, &size);

    if (writer->is_behind || !is_quick ||
        !state_journal_has_room(&writer->journal, size)) {
        rv = state_writer_settle(writer);
    }
    if (rv == 0 && is_quick) {
        begin = run_quickly(writer, batch, count, done, arg);
        if (begin < count) {
            rv = state_writer_settle(writer);
        }
    }
    if (rv == 0) {
        run_slowly(writer, batch, begin, count, done, arg);
        return;
    }
    /* The table is behind what was acknowledged: it must not answer. */
    for (size_t i = begin; i < count; i++) {
        refuse(batch[i], rv);
    }
    done(arg, begin, count);
}
