/* SPDX-License-Identifier: Apache-2.0
 *
 *   wal_submit ──> queue ──swap──> writing ──> pwrite, fdatasync ──> done
 *   (any thread)    mutex          (writer thread)
 *
 * What is queued while a flush is under way goes out with the next one. The
 * next file is prepared in small parts between the flushes, in step with how
 * far the present one is filled. */
#include "store/wal.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/wal_record.h"
#include "store/wal_recover.h"
#include "store/wal_segment.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <unistd.h>

enum {
    QUEUE_SIZE_MAX = 256 * 1024 * 1024,
    QUEUE_SIZE_KEPT = 64 * 1024, /* across idle times */
    STACK_SIZE = 256 * 1024
};

struct wal {
    struct wal_config config;
    int dir_fd;
    pthread_t thread;

    pthread_mutex_t mutex; /* of what follows up to the next empty line */
    pthread_cond_t wake;
    struct buf queue;       /* records that nobody has begun to write */
    uint64_t queue_seq;     /* of the last one in it */
    uint64_t sequence_next; /* of the next record */
    int status;             /* of the first failed write */
    bool is_closing;

    struct buf writing; /* the writer thread's own */
    uint64_t written_sequence;
    struct wal_segment segment;
    struct wal_segment next; /* fd -1: not needed yet */
    bool is_next_failing;

    atomic_uint_fast64_t flush_count;
    atomic_uint_fast64_t record_count;
};

/* --- The writer thread --------------------------------------------------- */

/* How much of the next file should be ready: nothing until this one is half
 * full, all of it when this one is full. */
static size_t preparation_due(const struct wal *wal)
{
    size_t half = wal->segment.size / 2;
    size_t over = wal->segment.offset < half ? 0 : wal->segment.offset - half;

    return over == 0 ? 0 : over * 2 + half / 8;
}

static bool is_preparation_due(const struct wal *wal)
{
    if (preparation_due(wal) == 0 || wal->is_next_failing) {
        return false;
    }
    return wal->next.fd < 0 || (!wal_segment_is_prepared(&wal->next) &&
                                wal->next.prepared < preparation_due(wal));
}

static int prepare_next(struct wal *wal)
{
    int rv;

    if (wal->next.fd < 0) {
        rv =
            wal_segment_create(&wal->next, wal->dir_fd, wal->segment.number + 1,
                               wal->config.segment_size);
        if (rv != 0) {
            return rv;
        }
    }
    return wal_segment_prepare(&wal->next, wal->dir_fd);
}

/* Goes on in the next file, which has room for `size` bytes of records. */
static int change_segment(struct wal *wal, size_t size)
{
    size_t wanted = WAL_SEGMENT_HEADER_SIZE + size;
    int rv = 0;

    if (wal->next.fd < 0) {
        rv = prepare_next(wal);
    }
    if (rv == 0 && wal->next.size < wanted) {
        wal_segment_extend(&wal->next, wanted);
    }
    while (rv == 0 && !wal_segment_is_prepared(&wal->next)) {
        rv = wal_segment_prepare(&wal->next, wal->dir_fd);
    }
    if (rv == 0) {
        rv = wal_segment_begin(&wal->next, wal->written_sequence + 1);
    }
    if (rv != 0) {
        return rv;
    }
    wal_segment_close(&wal->segment);
    wal->segment = wal->next;
    wal_segment_init(&wal->next);
    wal->is_next_failing = false;
    return 0;
}

/* Seals the records from `data` on that fit into this file; returns their
 * size. */
static size_t seal_fitting(struct wal *wal, uint8_t *data, size_t size)
{
    uint64_t flushed = wal->written_sequence + 1;
    size_t room = wal->segment.size - wal->segment.offset;
    size_t end = 0;

    if (wal->segment.fd < 0) {
        return 0;
    }
    while (end < size) {
        size_t record_size = wal_record_size(data + end);

        if (record_size > room - end) {
            break;
        }
        wal_record_seal(data + end, flushed);
        end += record_size;
        wal->written_sequence++;
    }
    return end;
}

static int write_part(struct wal *wal, struct bytes bytes)
{
    int rv;

    rv = wal_segment_write(&wal->segment, bytes, wal->segment.offset);
    if (rv == 0) {
        rv = wal_segment_flush(&wal->segment);
    }
    if (rv != 0) {
        return rv;
    }
    wal->segment.offset += bytes.size;
    atomic_fetch_add(&wal->flush_count, 1);
    return 0;
}

static int write_records(struct wal *wal)
{
    uint64_t before = wal->written_sequence;
    size_t done = 0;
    int rv = 0;

    while (rv == 0 && done < wal->writing.size) {
        uint8_t *data = wal->writing.data + done;
        size_t size = seal_fitting(wal, data, wal->writing.size - done);

        if (size == 0) {
            rv = change_segment(wal, wal_record_size(data));
            continue;
        }
        rv = write_part(wal, bytes_of(data, size));
        done += size;
    }
    if (rv == 0) {
        atomic_fetch_add(&wal->record_count, wal->written_sequence - before);
    }
    return rv;
}

static void prepare_ahead(struct wal *wal)
{
    while (is_preparation_due(wal)) {
        /* Not needed yet: a failure counts when the file has to be there. */
        wal->is_next_failing = prepare_next(wal) != 0;
    }
}

static void give_back_memory(struct buf *buf)
{
    if (buf->capacity > QUEUE_SIZE_KEPT) {
        buf_close(buf);
    }
}

/* Waits until there is something to write; false: the log is being closed. */
static bool take_queue(struct wal *wal, uint64_t *ret_seq, int *ret_status)
{
    struct buf empty = wal->writing;

    pthread_mutex_lock(&wal->mutex);
    while (wal->queue.size == 0 && !wal->is_closing) {
        give_back_memory(&wal->queue);
        give_back_memory(&empty);
        pthread_cond_wait(&wal->wake, &wal->mutex);
    }
    wal->writing = wal->queue;
    wal->queue = empty;
    buf_clear(&wal->queue);
    *ret_seq = wal->queue_seq;
    *ret_status = wal->status;
    pthread_mutex_unlock(&wal->mutex);
    return wal->writing.size > 0;
}

static void set_status(struct wal *wal, int status)
{
    pthread_mutex_lock(&wal->mutex);
    wal->status = status;
    pthread_mutex_unlock(&wal->mutex);
}

static void *writer_main(void *arg)
{
    struct wal *wal = arg;
    uint64_t seq;
    int status;

    while (take_queue(wal, &seq, &status)) {
        if (status == 0) {
            status = write_records(wal);
            if (status != 0) {
                set_status(wal, status);
            }
        }
        wal->config.done(wal->config.done_arg, seq, status);
        buf_clear(&wal->writing);
        if (status == 0) {
            prepare_ahead(wal);
        }
    }
    return NULL;
}

/* --- Opening and closing ------------------------------------------------- */

/* The thread takes no signals: they are the loop's. */
static int start_thread(struct wal *wal)
{
    pthread_attr_t attributes;
    sigset_t all;
    sigset_t old;
    int rv;

    if (pthread_attr_init(&attributes) != 0) {
        return ERR_NOMEM;
    }
    (void)sigfillset(&all);
    rv = pthread_attr_setstacksize(&attributes, STACK_SIZE);
    if (rv == 0) {
        rv = pthread_sigmask(SIG_SETMASK, &all, &old);
    }
    if (rv == 0) {
        rv = pthread_create(&wal->thread, &attributes, writer_main, wal);
        (void)pthread_sigmask(SIG_SETMASK, &old, NULL); /* it was valid */
    }
    (void)pthread_attr_destroy(&attributes); /* cannot fail */
    return rv == 0 ? 0 : ERR_NOMEM;
}

static void free_wal(struct wal *wal)
{
    wal_segment_close(&wal->segment);
    wal_segment_close(&wal->next);
    if (wal->dir_fd >= 0) {
        (void)close(wal->dir_fd); /* only read from */
    }
    (void)pthread_cond_destroy(&wal->wake);
    (void)pthread_mutex_destroy(&wal->mutex);
    buf_close(&wal->queue);
    buf_close(&wal->writing);
    mem_free(wal);
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
    wal_segment_init(&wal->segment);
    wal_segment_init(&wal->next);
    buf_init(&wal->queue, QUEUE_SIZE_MAX);
    buf_init(&wal->writing, QUEUE_SIZE_MAX);
    (void)pthread_mutex_init(&wal->mutex, NULL); /* cannot fail on Linux */
    (void)pthread_cond_init(&wal->wake, NULL);   /* nor this */
    wal->dir_fd = open(config->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
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
    rv = wal->dir_fd < 0 ? ERR_IO
                         : wal_recover(&wal->config, wal->dir_fd, &recovery,
                                       ret_error, &tail);
    if (rv != 0) {
        free_wal(wal);
        return rv;
    }
    wal->segment = tail.segment;
    wal->sequence_next = tail.sequence;
    wal->written_sequence = tail.sequence - 1;
    if (wal->segment.fd < 0) {
        rv = change_segment(wal, 0);
    }
    if (rv == 0) {
        rv = start_thread(wal);
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
        rv = buf_error(&wal->queue) == 0 ? 0 : ERR_NOMEM;
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
    *ret_flushes = atomic_load(&wal->flush_count);
    *ret_records = atomic_load(&wal->record_count);
}
