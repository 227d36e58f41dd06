/* SPDX-License-Identifier: Apache-2.0 */
#include "store/journal.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "store/journal_files.h"
#include "store/thread.h"

#include <errno.h>
#include <pthread.h>
#include <time.h>

struct journal {
    struct journal_config config;
    struct journal_files files; /* the thread's */
    size_t part_size;           /* bytes of one file */
    uint64_t written;           /* records of this run in files; the thread's */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t wake; /* by the monotonic clock */
    bool is_closing;
    /* Below: under the mutex. */
    struct buf filling;
    uint64_t filling_count;
    struct journal_record gap; /* `count` 0: none */
    struct journal_status status;
};

/* Milliseconds of CLOCK_BOOTTIME, now. */
static uint64_t clock_ms(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_BOOTTIME, &now); /* the clock exists */
    return (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
}

static void lock(struct journal *journal)
{
    (void)pthread_mutex_lock(&journal->mutex); /* cannot fail */
}

static void unlock(struct journal *journal)
{
    (void)pthread_mutex_unlock(&journal->mutex); /* idem */
}

/* --- Adding --------------------------------------------------------------- */

static void lose(struct journal *journal, uint64_t count, uint64_t since,
                 enum journal_cause cause)
{
    struct journal_record *gap = &journal->gap;

    if (gap->count == 0) {
        gap->since = since;
    }
    gap->type = JOURNAL_GAP;
    gap->code = (uint8_t)cause;
    gap->count += count;
    journal->status.dropped += count;
}

/* What was lost comes before what follows it. */
static int put_gap(struct journal *journal, uint64_t now_ms)
{
    if (journal->gap.count == 0) {
        return 0;
    }
    journal->gap.clock = now_ms;
    journal_record_encode(&journal->filling, &journal->gap);
    if (buf_error(&journal->filling) != 0) {
        return buf_error(&journal->filling);
    }
    journal->filling_count++;
    journal->gap.count = 0;
    return 0;
}

void journal_add(struct journal *journal, const struct journal_record *record)
{
    struct journal_record stamped = *record;
    bool was_empty;

    if (journal == NULL) {
        return;
    }
    lock(journal);
    stamped.clock = clock_ms();
    was_empty = journal->filling.size == 0;
    journal->status.records++;
    if (put_gap(journal, stamped.clock) == 0) {
        journal_record_encode(&journal->filling, &stamped);
    }
    if (buf_error(&journal->filling) == 0) {
        journal->filling_count++;
    } else {
        journal->filling.error = 0;
        lose(journal, 1, stamped.clock, JOURNAL_CAUSE_TOO_FAST);
    }
    if (was_empty && journal->filling.size > 0) {
        (void)pthread_cond_signal(&journal->wake); /* cannot fail */
    }
    unlock(journal);
}

/* --- Writing -------------------------------------------------------------- */

/* Another file, which says whose it is. */
static int begin_file(struct journal *journal)
{
    struct journal_record open = journal->config.open;
    struct buf head;
    int rv;

    open.type = JOURNAL_OPEN;
    open.clock = clock_ms();
    open.first = journal->written + 1;
    buf_init(&head, JOURNAL_FILE_HEAD_SIZE + JOURNAL_RECORD_HEAD_SIZE +
                        JOURNAL_FIELDS_SIZE_MAX);
    journal_file_head(&head);
    journal_record_encode(&head, &open);
    rv = buf_error(&head);
    rv = rv == 0 ? journal_files_begin(&journal->files, buf_bytes(&head)) : rv;
    buf_close(&head);
    return rv;
}

static int write_batch(struct journal *journal, const struct buf *batch,
                       uint64_t count)
{
    int rv = 0;

    if (journal->files.fd < 0 ||
        journal->files.size + batch->size > journal->part_size) {
        rv = begin_file(journal);
    }
    rv = rv == 0 ? journal_files_write(&journal->files, buf_bytes(batch)) : rv;
    if (rv == 0) {
        journal->written += count;
    }
    return rv;
}

/* Until there is something, and a little longer, so that it becomes more. */
static void wait_for_work(struct journal *journal)
{
    struct timespec until;
    int rv = 0;

    while (journal->filling.size == 0 && !journal->is_closing) {
        (void)pthread_cond_wait(&journal->wake, &journal->mutex);
    }
    (void)clock_gettime(CLOCK_MONOTONIC, &until); /* the clock exists */
    until.tv_nsec +=
        1000000L * (journal->status.error == 0 ? JOURNAL_WRITE_MS
                                               : JOURNAL_WRITE_AGAIN_MS);
    if (until.tv_nsec >= 1000000000L) {
        until.tv_nsec -= 1000000000L;
        until.tv_sec++;
    }
    while (rv == 0 && !journal->is_closing) {
        rv = pthread_cond_timedwait(&journal->wake, &journal->mutex, &until);
    }
}

/* Takes what waits and writes it, without the mutex. */
static void write_waiting(struct journal *journal, struct buf *batch)
{
    uint64_t count = journal->filling_count;
    struct buf taken = journal->filling;
    struct journal_record first;
    size_t size;
    int rv;

    journal->filling = *batch;
    journal->filling_count = 0;
    *batch = taken;
    unlock(journal);
    rv = write_batch(journal, batch, count);
    lock(journal);
    journal->status.error = rv;
    if (rv != 0) {
        int read = journal_record_read(JOURNAL_VERSION, buf_bytes(batch),
                                       &first, &size);

        ensure(read == 0);
        /* The gap that this batch may begin with is in the count, too. */
        if (first.type == JOURNAL_GAP) {
            count += first.count - 1;
            journal->status.dropped -= first.count;
            first.clock = first.since;
        }
        if (journal->gap.count > 0) {
            journal->gap.since = first.clock;
        }
        lose(journal, count, first.clock, JOURNAL_CAUSE_FULL);
    }
    buf_clear(batch);
}

static void *run(void *arg)
{
    struct journal *journal = arg;
    struct buf batch;

    buf_init(&batch, journal->filling.size_max);
    lock(journal);
    for (;;) {
        wait_for_work(journal);
        if (journal->filling.size > 0) {
            write_waiting(journal, &batch);
        } else if (journal->is_closing) {
            break;
        }
    }
    unlock(journal);
    buf_close(&batch);
    return NULL;
}

/* --- Life ----------------------------------------------------------------- */

static int start(struct journal *journal)
{
    pthread_condattr_t attributes;
    int rv = ERR_NOMEM;

    if (pthread_mutex_init(&journal->mutex, NULL) != 0) {
        return ERR_NOMEM;
    }
    if (pthread_condattr_init(&attributes) == 0) {
        (void)pthread_condattr_setclock(&attributes, CLOCK_MONOTONIC);
        if (pthread_cond_init(&journal->wake, &attributes) == 0) {
            rv = thread_start(&journal->thread, run, journal);
            if (rv != 0) {
                (void)pthread_cond_destroy(&journal->wake);
            }
        }
        (void)pthread_condattr_destroy(&attributes);
    }
    if (rv != 0) {
        (void)pthread_mutex_destroy(&journal->mutex);
    }
    return rv;
}

int journal_open(const struct journal_config *config, struct buf *error,
                 struct journal **ret_journal)
{
    struct journal *journal = mem_alloc(sizeof(*journal));
    int rv;

    if (journal == NULL) {
        buf_printf(error, "%s", err_text(ERR_NOMEM));
        return ERR_NOMEM;
    }
    journal->config = *config;
    journal->part_size = (size_t)(config->size_max / JOURNAL_PARTS);
    buf_init(&journal->filling,
             size_min(JOURNAL_BUFFER_SIZE_MAX, journal->part_size / 2));
    rv = journal_files_open(&journal->files, config->dir, config->size_max);
    rv = rv == 0 ? begin_file(journal) : rv;
    if (rv != 0) {
        buf_printf(error, "no ownership journal in %s: %s", config->dir,
                   err_text(rv));
    } else {
        rv = start(journal);
    }
    if (rv != 0) {
        journal_files_close(&journal->files);
        mem_free(journal);
        return rv;
    }
    *ret_journal = journal;
    return 0;
}

void journal_close(struct journal *journal)
{
    const struct journal_record end = {.type = JOURNAL_CLOSE};

    if (journal == NULL) {
        return;
    }
    journal_add(journal, &end);
    lock(journal);
    journal->is_closing = true;
    (void)pthread_cond_signal(&journal->wake);
    unlock(journal);
    (void)pthread_join(journal->thread, NULL); /* it is ours, and joinable */
    (void)pthread_cond_destroy(&journal->wake);
    (void)pthread_mutex_destroy(&journal->mutex);
    journal_files_close(&journal->files);
    buf_close(&journal->filling);
    mem_free(journal);
}

void journal_status(struct journal *journal, struct journal_status *ret_status)
{
    *ret_status = (struct journal_status){.error = 0};
    if (journal != NULL) {
        lock(journal);
        *ret_status = journal->status;
        unlock(journal);
    }
}
