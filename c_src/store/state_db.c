/* SPDX-License-Identifier: Apache-2.0
 * Queues and the writer thread; what it does is in state_writer.h. */
#include "store/state_db.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "state/coordinator.h"
#include "state/message.h"
#include "store/state_db_item.h"
#include "store/state_db_txn.h"
#include "store/state_writer.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

enum {
    PATH_SIZE_MAX = 4096,
    BATCH_COUNT_MAX = 1024,
    BATCH_BYTES_MAX = 8 * 1024 * 1024,
    /* Answers that wait to be taken; more work is not begun meanwhile. */
    ANSWER_BYTES_MAX = 64 * 1024 * 1024,
    STACK_SIZE = 256 * 1024,
    IDLE_MS = 50,   /* without work: what is open is settled */
    DIRTY_MS = 500, /* with work: so long at most it stays open */
};

struct state_db {
    struct state_writer writer;  /* writer thread; reads of `env` on any */
    state_db_ready_cb *ready;    /* config */
    state_db_change_cb *changed; /* config */
    void *ready_arg;             /* config */
    pthread_t thread;            /* the writer */
    pthread_mutex_t lock;        /* guards the next seven */
    pthread_cond_t work;         /* the queue or `is_closing` changed */
    pthread_cond_t room;         /* answers were taken, or closing */
    struct list queue;           /* items that wait */
    struct list answers;         /* items whose answers are ready */
    size_t item_count;           /* not yet taken or freed */
    size_t item_bytes;           /* their requests */
    size_t answer_bytes;         /* of the ready answers */
    bool is_closing;             /* the writer ends when all is done */
    _Atomic uint64_t commits;    /* counter */
    _Atomic uint64_t requests;   /* counter */
    struct state_item *batch[BATCH_COUNT_MAX]; /* writer thread only */
};

/* --- Answers -------------------------------------------------------------- */

static void free_item(struct state_item *item)
{
    blob_release(item->blob);
    buf_close(&item->answer);
    mem_free(item);
}

/* Here, where nobody waits: giving back big memory takes its time. */
static void drop_values(struct state_db *db, size_t begin, size_t end)
{
    for (size_t i = begin; i < end; i++) {
        blob_release(db->batch[i]->blob);
        db->batch[i]->blob = NULL;
    }
}

/* What an item changed, by its answer. */
static void tell_change(const struct state_db *db,
                        const struct state_item *item)
{
    const struct state_message *request = &item->request;
    struct state_message answer;

    if (item->is_forget) {
        db->changed(db->ready_arg, STATE_DB_FORGOTTEN,
                    bytes_of(item->data, item->data_size), item->forget_epoch,
                    0);
        return;
    }
    if (request->kind == STATE_KIND_READ || item->answer.size == 0 ||
        state_message_decode(buf_bytes(&item->answer), &answer) != 0 ||
        answer.status != STATE_STATUS_OK) {
        return;
    }
    db->changed(db->ready_arg,
                request->kind == STATE_KIND_WRITE ? STATE_DB_ACCEPTED
                                                  : STATE_DB_PROMISED,
                request->id, request->stamp.version.epoch,
                request->stamp.version.seq);
}

/* Lets the answers of a range out. */
static void publish(struct state_db *db, size_t begin, size_t end)
{
    size_t ready = 0;

    for (size_t i = begin; db->changed != NULL && i < end; i++) {
        tell_change(db, db->batch[i]);
    }
    drop_values(db, begin, end);
    (void)pthread_mutex_lock(&db->lock);
    for (size_t i = begin; i < end; i++) {
        struct state_item *item = db->batch[i];

        db->batch[i] = NULL;
        if (item->is_forget || item->answer.size == 0) {
            db->item_count--;
            db->item_bytes -= item->size;
            free_item(item);
        } else {
            db->answer_bytes += item->answer.size;
            list_append(&db->answers, &item->link);
            ready++;
        }
    }
    (void)pthread_mutex_unlock(&db->lock);
    if (ready > 0) {
        db->ready(db->ready_arg);
    }
}

static void wait_for_room(struct state_db *db)
{
    (void)pthread_mutex_lock(&db->lock);
    while (db->answer_bytes > ANSWER_BYTES_MAX && !db->is_closing) {
        (void)pthread_cond_wait(&db->room, &db->lock);
    }
    (void)pthread_mutex_unlock(&db->lock);
}

/* --- Batches -------------------------------------------------------------- */

static void range_done(void *arg, size_t begin, size_t end)
{
    struct state_db *db = (struct state_db *)arg;

    atomic_store_explicit(&db->commits, db->writer.commits,
                          memory_order_relaxed);
    atomic_store_explicit(&db->requests, db->writer.requests,
                          memory_order_relaxed);
    publish(db, begin, end);
    wait_for_room(db);
}

static uint64_t now_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

/* Waits for work; while something is to be settled, not for long. */
static void wait_for_work(struct state_db *db)
{
    bool is_dirty = state_writer_is_dirty(&db->writer);
    uint64_t until_ms = now_ms() + IDLE_MS;
    struct timespec until = {.tv_sec = (time_t)(until_ms / 1000),
                             .tv_nsec = (long)(until_ms % 1000) * 1000000};
    int status = 0;

    while (list_is_empty(&db->queue) && !db->is_closing && status == 0) {
        status = is_dirty ? pthread_cond_timedwait(&db->work, &db->lock, &until)
                          : pthread_cond_wait(&db->work, &db->lock);
    }
}

/* Moves what waits into the batch; 0: nothing came for a while, or closing. */
static size_t take_batch(struct state_db *db, bool *ret_is_closing)
{
    size_t count = 0;
    size_t bytes = 0;

    (void)pthread_mutex_lock(&db->lock);
    wait_for_work(db);
    while (count < BATCH_COUNT_MAX && bytes < BATCH_BYTES_MAX) {
        struct list *node = list_take_first(&db->queue);

        if (node == NULL) {
            break;
        }
        db->batch[count] = LIST_ENTRY(node, struct state_item, link);
        bytes += db->batch[count]->size;
        count++;
    }
    *ret_is_closing = db->is_closing;
    (void)pthread_mutex_unlock(&db->lock);
    return count;
}

/* LMDB's write transactions belong to the thread that began them, so the last
 * one is settled here too. */
static void *write_loop(void *arg)
{
    struct state_db *db = (struct state_db *)arg;
    uint64_t settled_ms = now_ms();
    bool is_closing = false;
    size_t count;

    do {
        count = take_batch(db, &is_closing);
        if (count > 0) {
            state_writer_run(&db->writer, db->batch, count, range_done, db);
        }
        if (state_writer_is_dirty(&db->writer) &&
            (count == 0 || now_ms() - settled_ms >= DIRTY_MS)) {
            /* A failure is tried again before the next batch is run. */
            int rv = state_writer_settle(&db->writer);

            settled_ms = now_ms() + (rv != 0 ? DIRTY_MS : 0);
        }
    } while (count > 0 || !is_closing);
    return NULL;
}

/* --- Opening and closing -------------------------------------------------- */

static int start_thread(struct state_db *db)
{
    pthread_attr_t attributes;
    int status;

    if (pthread_attr_init(&attributes) != 0) {
        return ERR_NOMEM;
    }
    status = pthread_attr_setstacksize(&attributes, STACK_SIZE);
    if (status == 0) {
        status = pthread_create(&db->thread, &attributes, write_loop, db);
    }
    (void)pthread_attr_destroy(&attributes);
    return status == 0 ? 0 : ERR_NOMEM;
}

static void destroy(struct state_db *db)
{
    (void)pthread_cond_destroy(&db->room);
    (void)pthread_cond_destroy(&db->work);
    (void)pthread_mutex_destroy(&db->lock);
    mem_free(db);
}

int state_db_require(const char *dir, struct buf *error)
{
    static const struct {
        const char *name;
        off_t size_min;
    } files[] = {{"state.mdb", 1}, {"state.journal", STATE_JOURNAL_SIZE}};
    char path[PATH_SIZE_MAX];

    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct stat file;
        int size = snprintf(path, sizeof(path), "%s/%s", dir, files[i].name);

        if (size < 0 || (size_t)size >= sizeof(path)) {
            return ERR_LIMIT;
        }
        if (stat(path, &file) != 0 || file.st_size < files[i].size_min) {
            buf_printf(error,
                       "%s is missing, or its end is: acknowledged states may "
                       "have been in it. Bring back the whole directory, or "
                       "see docs/operations.md",
                       path);
            return ERR_CORRUPT;
        }
    }
    return 0;
}

int state_db_open(const struct state_db_config *config, struct buf *error,
                  struct state_db **ret_db)
{
    struct state_db *db = mem_alloc(sizeof(*db));
    pthread_condattr_t attributes;
    int rv;

    ensure(config->ready != NULL);
    if (db == NULL) {
        return ERR_NOMEM;
    }
    db->ready = config->ready;
    db->changed = config->changed;
    db->ready_arg = config->ready_arg;
    list_init(&db->queue);
    list_init(&db->answers);
    /* With these attributes glibc has no way for them to fail. */
    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&db->lock, NULL);
    (void)pthread_cond_init(&db->work, &attributes);
    (void)pthread_cond_init(&db->room, NULL);
    (void)pthread_condattr_destroy(&attributes);
    rv = state_writer_open(&db->writer, config->dir, config->map_size, error);
    if (rv != 0) {
        destroy(db);
        return rv;
    }
    rv = start_thread(db);
    if (rv != 0) {
        if (error != NULL) {
            buf_printf(error, "no thread for the state store");
        }
        state_writer_close(&db->writer);
        destroy(db);
        return rv;
    }
    *ret_db = db;
    return 0;
}

void state_db_close(struct state_db *db)
{
    struct list *node;

    if (db == NULL) {
        return;
    }
    (void)pthread_mutex_lock(&db->lock);
    db->is_closing = true;
    (void)pthread_cond_signal(&db->work);
    (void)pthread_cond_signal(&db->room);
    (void)pthread_mutex_unlock(&db->lock);
    (void)pthread_join(db->thread, NULL);
    ensure(list_is_empty(&db->queue));
    while ((node = list_take_first(&db->answers)) != NULL) {
        free_item(LIST_ENTRY(node, struct state_item, link));
    }
    state_writer_close(&db->writer);
    destroy(db);
}

/* --- Requests ------------------------------------------------------------- */

static struct state_item *new_item(struct bytes data)
{
    /* Not mem_alloc(), which would write 64 MiB of zeros first. */
    struct state_item *item = mem_realloc(NULL, sizeof(*item) + data.size);

    if (item == NULL) {
        return NULL;
    }
    *item = (struct state_item){.size = data.size, .data_size = data.size};
    list_init(&item->link);
    buf_init(&item->answer, STATE_MESSAGE_SIZE_MAX);
    if (data.size > 0) {
        memcpy(item->data, data.data, data.size);
    }
    return item;
}

static int enqueue(struct state_db *db, struct state_item *item)
{
    int rv = 0;

    (void)pthread_mutex_lock(&db->lock);
    if (db->item_count >= STATE_DB_QUEUE_COUNT_MAX ||
        db->item_bytes + item->size > STATE_DB_QUEUE_BYTES_MAX) {
        rv = ERR_BUSY;
    } else {
        db->item_count++;
        db->item_bytes += item->size;
        list_append(&db->queue, &item->link);
        (void)pthread_cond_signal(&db->work);
    }
    (void)pthread_mutex_unlock(&db->lock);
    if (rv != 0) {
        free_item(item);
    }
    return rv;
}

int state_db_submit(struct state_db *db, uint64_t from, struct bytes message)
{
    return state_db_submit_shared(db, from, message, bytes_of(NULL, 0), NULL);
}

int state_db_submit_shared(struct state_db *db, uint64_t from,
                           struct bytes head, struct bytes value,
                           struct blob *blob)
{
    struct state_item *item;

    if (head.size + value.size > STATE_MESSAGE_SIZE_MAX) {
        return ERR_MALFORMED;
    }
    item = new_item(head);
    if (item == NULL) {
        return ERR_NOMEM;
    }
    item->from = from;
    item->size += value.size;
    item->value = value;
    item->blob = value.size == 0 ? NULL : blob_hold(blob);
    if (state_message_decode_pieces(bytes_of(item->data, item->data_size),
                                    value, &item->request) != 0 ||
        !state_kind_is_request(item->request.kind)) {
        free_item(item);
        return ERR_MALFORMED;
    }
    return enqueue(db, item);
}

int state_db_delete(struct state_db *db, struct bytes id, uint64_t epoch)
{
    struct state_item *item;

    ensure(id.size > 0);
    ensure(id.size <= STATE_ID_SIZE_MAX);
    item = new_item(id);
    if (item == NULL) {
        return ERR_NOMEM;
    }
    item->is_forget = true;
    item->forget_epoch = epoch;
    item->request.id = bytes_of(item->data, item->data_size);
    return enqueue(db, item);
}

int state_db_take(struct state_db *db, uint64_t *ret_to,
                  struct buf *ret_message)
{
    struct list *node;
    struct state_item *item;

    (void)pthread_mutex_lock(&db->lock);
    node = list_take_first(&db->answers);
    if (node == NULL) {
        (void)pthread_mutex_unlock(&db->lock);
        return ERR_NOT_FOUND;
    }
    item = LIST_ENTRY(node, struct state_item, link);
    ensure(db->answer_bytes >= item->answer.size);
    db->answer_bytes -= item->answer.size;
    db->item_count--;
    db->item_bytes -= item->size;
    (void)pthread_cond_signal(&db->room);
    (void)pthread_mutex_unlock(&db->lock);
    *ret_to = item->from;
    *ret_message = item->answer;
    mem_free(item);
    return 0;
}

int state_db_get(struct state_db *db, struct bytes id, uint64_t birth,
                 uint64_t *ret_epoch, uint64_t *ret_seq, struct buf *ret_value)
{
    struct state_replica replica;
    size_t size = ret_value->size;
    int rv;

    ensure(id.size > 0);
    ensure(id.size <= STATE_ID_SIZE_MAX);
    rv = state_txn_get(&db->writer.env, id, &replica, ret_value);
    if (rv != 0) {
        return rv;
    }
    if (!replica.has_version || !replica.has_value ||
        replica.stamp.version.epoch < birth) {
        /* A predecessor's value is not shown. */
        ret_value->size = size;
        return ERR_NOT_FOUND;
    }
    *ret_epoch = replica.stamp.version.epoch;
    *ret_seq = replica.stamp.version.seq;
    return 0;
}

void state_db_counters(const struct state_db *db, uint64_t *ret_commits,
                       uint64_t *ret_requests)
{
    *ret_commits = atomic_load_explicit(&db->commits, memory_order_relaxed);
    *ret_requests = atomic_load_explicit(&db->requests, memory_order_relaxed);
}
