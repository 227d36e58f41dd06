/* SPDX-License-Identifier: Apache-2.0
 *
 *   wal_submit ──> queue ──swap──> writing ──> disk ──> done
 *   (any thread)    mutex          (writer thread)
 *
 * What is queued while a flush is under way goes out with the next one. */
#include "store/wal.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/thread.h"
#include "store/wal_recover.h"
#include "store/wal_writer.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <time.h>
#include <unistd.h>

enum {
    QUEUE_SIZE_MAX = 256 * 1024 * 1024,
    QUEUE_SIZE_KEPT = 64 * 1024 /* across idle times */
};

struct wal {
    struct wal_config config;
    pthread_t thread;

    pthread_mutex_t mutex; /* of what follows up to the next empty line */
    pthread_cond_t wake;
    struct buf queue;       /* records that nobody has begun to write */
    uint64_t queue_seq;     /* of the last one in it */
    uint64_t sequence_next; /* of the next record */
    int status;             /* of the first failed write */
    uint64_t released;      /* a snapshot covers up to here */
    bool is_closing;

    struct buf writing; /* the thread's own, like the next one */
    struct wal_writer writer;
};

/* --- The thread ----------------------------------------------------------- */

static void deadline_after(uint32_t ms, struct timespec *ret_deadline)
{
    (void)clock_gettime(CLOCK_MONOTONIC, ret_deadline); /* cannot fail */
    ret_deadline->tv_sec += ms / 1000;
    ret_deadline->tv_nsec += (long)(ms % 1000) * 1000000;
    if (ret_deadline->tv_nsec >= 1000000000) {
        ret_deadline->tv_nsec -= 1000000000;
        ret_deadline->tv_sec++;
    }
}

static bool wait_for_room(void *arg)
{
    struct wal *wal = arg;
    struct timespec deadline;
    uint64_t released;
    bool is_closing;
    int rv = 0;

    deadline_after(wal->config.retry_ms, &deadline);
    pthread_mutex_lock(&wal->mutex);
    while (!wal->is_closing && rv == 0) {
        rv = pthread_cond_timedwait(&wal->wake, &wal->mutex, &deadline);
    }
    is_closing = wal->is_closing;
    released = wal->released;
    pthread_mutex_unlock(&wal->mutex);
    while (wal_writer_cut(&wal->writer, released)) {
    }
    return !is_closing;
}

static void give_back_memory(struct buf *buf)
{
    if (buf->capacity > QUEUE_SIZE_KEPT) {
        buf_close(buf);
    }
}

struct work {
    uint64_t seq;
    int status;
    uint64_t released;
};

/* Waits until there is something to write or (`is_cut`) to cut; false: the log
 * is being closed. */
static bool take_work(struct wal *wal, struct work *work, bool is_cut)
{
    struct buf empty = wal->writing;
    bool is_closing;

    pthread_mutex_lock(&wal->mutex);
    while (wal->queue.size == 0 && !wal->is_closing && is_cut &&
           wal->released == work->released) {
        give_back_memory(&wal->queue);
        give_back_memory(&empty);
        pthread_cond_wait(&wal->wake, &wal->mutex);
    }
    wal->writing = wal->queue;
    wal->queue = empty;
    buf_clear(&wal->queue);
    work->seq = wal->queue_seq;
    work->status = wal->status;
    work->released = wal->released;
    is_closing = wal->is_closing;
    pthread_mutex_unlock(&wal->mutex);
    return wal->writing.size > 0 || !is_closing;
}

static void set_status(struct wal *wal, int status)
{
    pthread_mutex_lock(&wal->mutex);
    wal->status = status;
    pthread_mutex_unlock(&wal->mutex);
}

static void write_queue(struct wal *wal, struct work *work)
{
    if (work->status == 0) {
        work->status = wal_writer_run(&wal->writer, &wal->writing);
        if (work->status != 0) {
            set_status(wal, work->status);
        }
    }
    wal->config.done(wal->config.arg, work->seq, work->status);
    buf_clear(&wal->writing);
}

static void *writer_main(void *arg)
{
    struct wal *wal = arg;
    struct work work = {.seq = 0};
    bool is_cut = true;

    while (take_work(wal, &work, is_cut)) {
        if (wal->writing.size > 0) {
            write_queue(wal, &work);
        }
        /* One at a time: writes that wait go first. */
        is_cut =
            work.status != 0 || !wal_writer_cut(&wal->writer, work.released);
        if (work.status == 0) {
            wal_writer_prepare(&wal->writer);
        }
    }
    return NULL;
}

/* --- Opening and closing ------------------------------------------------- */

static void free_wal(struct wal *wal)
{
    wal_writer_close(&wal->writer);
    (void)pthread_cond_destroy(&wal->wake);
    (void)pthread_mutex_destroy(&wal->mutex);
    buf_close(&wal->queue);
    buf_close(&wal->writing);
    mem_free(wal);
}

/* None of it can fail on Linux. */
static void init_wake(struct wal *wal)
{
    pthread_condattr_t attributes;

    (void)pthread_condattr_init(&attributes);
    (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&wal->wake, &attributes);
    (void)pthread_condattr_destroy(&attributes);
}

static struct wal *new_wal(const struct wal_config *config)
{
    struct wal *wal = mem_alloc(sizeof(*wal));

    if (wal == NULL) {
        return NULL;
    }
    wal->config = *config;
    if (wal->config.segment_size == 0) {
        wal->config.segment_size = WAL_SEGMENT_SIZE;
    }
    if (wal->config.segment_size < WAL_SEGMENT_SIZE_MIN) {
        wal->config.segment_size = WAL_SEGMENT_SIZE_MIN;
    }
    wal->config.segment_size = wal_segment_round(wal->config.segment_size);
    if (wal->config.retry_ms == 0) {
        wal->config.retry_ms = WAL_RETRY_MS;
    }
    wal_writer_init(&wal->writer, &wal->config);
    wal->writer.wait = wait_for_room;
    wal->writer.wait_arg = wal;
    buf_init(&wal->queue, QUEUE_SIZE_MAX);
    buf_init(&wal->writing, QUEUE_SIZE_MAX);
    (void)pthread_mutex_init(&wal->mutex, NULL); /* cannot fail on Linux */
    init_wake(wal);
    wal->writer.dir_fd = open(config->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    return wal;
}

int wal_open(const struct wal_config *config, struct wal_recovery *ret_recovery,
             struct buf *ret_error, struct wal **ret_wal)
{
    struct wal *wal = new_wal(config);
    struct wal_recovery recovery;
    struct wal_tail tail;
    int rv;

    if (wal == NULL) {
        return ERR_NOMEM;
    }
    rv = wal->writer.dir_fd < 0 ? ERR_IO
                                : wal_recover(&wal->config, wal->writer.dir_fd,
                                              &recovery, ret_error, &tail);
    if (rv != 0) {
        free_wal(wal);
        return rv;
    }
    wal->sequence_next = tail.sequence;
    rv = wal_writer_start(&wal->writer, &recovery, &tail);
    if (rv == 0) {
        rv = thread_start(&wal->thread, writer_main, wal);
    }
    if (rv != 0) {
        wal_recovery_close(&recovery);
        free_wal(wal);
        return rv;
    }
    *ret_recovery = recovery;
    *ret_wal = wal;
    return 0;
}

int wal_submit(struct wal *wal, const struct raft_persist *persist)
{
    size_t size;
    int rv;

    ensure(persist->seq != 0);
    pthread_mutex_lock(&wal->mutex);
    ensure(!wal->is_closing);
    rv = wal->status;
    size = wal->queue.size;
    if (rv == 0) {
        wal_record_put(&wal->queue, wal->sequence_next, persist);
        rv = buf_error(&wal->queue);
    }
    if (rv == 0) {
        wal->sequence_next++;
        wal->queue_seq = persist->seq;
        if (size == 0) {
            (void)pthread_cond_signal(&wal->wake); /* cannot fail */
        }
    } else {
        wal->queue.size = size;
        wal->queue.error = 0;
    }
    pthread_mutex_unlock(&wal->mutex);
    return rv;
}

void wal_release(struct wal *wal, uint64_t index)
{
    pthread_mutex_lock(&wal->mutex);
    if (index > wal->released) {
        wal->released = index;
        (void)pthread_cond_signal(&wal->wake); /* cannot fail */
    }
    pthread_mutex_unlock(&wal->mutex);
}

void wal_close(struct wal *wal)
{
    if (wal == NULL) {
        return;
    }
    pthread_mutex_lock(&wal->mutex);
    wal->is_closing = true;
    (void)pthread_cond_signal(&wal->wake); /* cannot fail */
    pthread_mutex_unlock(&wal->mutex);
    (void)pthread_join(wal->thread, NULL); /* it is ours and joinable */
    free_wal(wal);
}

void wal_counters(const struct wal *wal, uint64_t *ret_flushes,
                  uint64_t *ret_records)
{
    *ret_flushes = atomic_load(&wal->writer.flush_count);
    *ret_records = atomic_load(&wal->writer.record_count);
}

bool wal_is_direct(const struct wal *wal)
{
    return wal->writer.is_direct;
}
