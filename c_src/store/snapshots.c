/* SPDX-License-Identifier: Apache-2.0
 *
 *   jobs ──> queue ──one by one──> writer, reader ──> results ──> ready
 *   (loop)   mutex                 (thread)           mutex        (loop)
 */
#include "store/snapshots.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/list.h"
#include "base/mem.h"
#include "store/snapshot_reader.h"
#include "store/snapshot_writer.h"
#include "store/thread.h"

#include <fcntl.h>
#include <pthread.h>
#include <string.h>
#include <unistd.h>

enum job_type {
    JOB_BEGIN,
    JOB_APPEND,
    JOB_FINISH,
    JOB_STORE,
    JOB_FINISH_RECEIVED,
    JOB_READ,
};

struct answer {
    struct list link;
    struct snapshots_result result;
};

struct job {
    struct list link;
    enum job_type type;
    struct answer *answer; /* owned; made with the job, so that it cannot fail;
                              NULL: it gets none */
    struct snapshot_meta meta;
    uint64_t offset;
    uint64_t tag;
    size_t size; /* of `data`, or to read */
    uint8_t data[];
};

struct snapshots {
    struct snapshots_config config;
    int dir_fd;
    pthread_t thread;

    pthread_mutex_t mutex; /* of what follows up to the next empty line */
    pthread_cond_t wake;
    struct list jobs;
    struct list answers;
    uint64_t queue_size; /* bytes of jobs and answers */
    uint64_t queue_count;
    uint64_t needed;
    bool is_closing;

    struct snapshot_writer own; /* the thread's own, from here on */
    int own_status;             /* of the one under way */
    struct snapshot_writer received;
    struct snapshot_reader reader;
};

/* --- What the thread does ------------------------------------------------- */

static void remove_old(struct snapshots *snapshots, uint64_t newest)
{
    uint64_t needed;

    pthread_mutex_lock(&snapshots->mutex);
    needed = snapshots->needed;
    pthread_mutex_unlock(&snapshots->mutex);
    snapshot_remove_old(snapshots->config.dir, snapshots->dir_fd, newest,
                        needed == 0 ? newest : needed);
}

/* The own one: what fails is reported when it is finished. */
static void begin_own(struct snapshots *snapshots, const struct job *job)
{
    snapshot_writer_abort(&snapshots->own);
    snapshots->own_status = snapshot_writer_begin(
        &snapshots->own, snapshots->dir_fd, SNAPSHOT_OWN, &job->meta);
}

static void append_own(struct snapshots *snapshots, const struct job *job)
{
    if (snapshots->own_status == 0) {
        snapshots->own_status = snapshot_writer_append(
            &snapshots->own, bytes_of(job->data, job->size));
    }
    if (snapshots->own_status != 0) {
        snapshot_writer_abort(&snapshots->own); /* makes room at once */
    }
}

static int finish(struct snapshots *snapshots, struct snapshot_writer *writer,
                  struct snapshot_meta *meta)
{
    int rv = writer->fd < 0 || writer->meta.index != meta->index
                 ? ERR_NOT_FOUND
                 : snapshot_writer_finish(writer, meta);

    if (rv != 0) {
        snapshot_writer_abort(writer);
    } else {
        remove_old(snapshots, meta->index);
    }
    return rv;
}

static bool is_same(const struct snapshot_meta *a,
                    const struct snapshot_meta *b)
{
    return a->index == b->index && a->size == b->size &&
           a->checksum == b->checksum;
}

/* Makes `received` the one that the chunk belongs to. */
static int find_received(struct snapshots *snapshots, const struct job *job)
{
    struct snapshot_writer *writer = &snapshots->received;
    int rv;

    if (writer->fd >= 0 && is_same(&writer->meta, &job->meta) &&
        (job->offset == writer->size || job->meta.checksum != 0)) {
        return 0;
    }
    if (writer->fd >= 0 && writer->meta.index == job->meta.index) {
        snapshot_writer_abort(writer);
    } else {
        snapshot_writer_close(writer);
    }
    rv = snapshot_writer_resume(writer, snapshots->dir_fd, &job->meta);
    if (rv == ERR_NOT_FOUND && job->offset == 0) {
        rv = snapshot_writer_begin(writer, snapshots->dir_fd, SNAPSHOT_RECEIVED,
                                   &job->meta);
    }
    return rv;
}

static int store(struct snapshots *snapshots, const struct job *job,
                 struct snapshots_result *result)
{
    struct snapshot_writer *writer = &snapshots->received;
    int rv = find_received(snapshots, job);

    if (rv == 0 && job->offset == writer->size) {
        rv = job->size > job->meta.size - job->offset
                 ? ERR_CORRUPT
                 : snapshot_writer_append(writer,
                                          bytes_of(job->data, job->size));
    }
    result->end = rv == 0 ? writer->size : 0;
    if (rv != 0) {
        snapshot_writer_abort(writer);
    }
    return rv;
}

static int read_piece(struct snapshots *snapshots, const struct job *job,
                      struct snapshots_result *result)
{
    struct snapshot_reader *reader = &snapshots->reader;
    int rv = 0;

    if (reader->fd >= 0 && reader->meta.index != job->meta.index) {
        snapshot_reader_close(reader);
    }
    if (reader->fd < 0) {
        rv = snapshot_reader_open(reader, snapshots->dir_fd,
                                  snapshots->config.dir, job->meta.index, NULL);
    }
    if (rv != 0) {
        return rv;
    }
    if (job->size > reader->meta.size ||
        job->offset > reader->meta.size - job->size) {
        return ERR_NOT_FOUND;
    }
    rv = snapshot_reader_read(reader, job->offset, job->size, &result->data);
    result->meta = reader->meta;
    return rv;
}

static void carry_out(struct snapshots *snapshots, const struct job *job)
{
    struct snapshots_result none = {.status = 0};
    struct snapshots_result *result =
        job->answer == NULL ? &none : &job->answer->result;

    switch (job->type) {
    case JOB_BEGIN:
        begin_own(snapshots, job);
        return;
    case JOB_APPEND:
        append_own(snapshots, job);
        return;
    case JOB_FINISH:
        result->status =
            snapshots->own_status != 0
                ? snapshots->own_status
                : finish(snapshots, &snapshots->own, &result->meta);
        snapshots->own_status = 0;
        return;
    case JOB_STORE:
        result->status = store(snapshots, job, result);
        return;
    case JOB_FINISH_RECEIVED:
        result->status = finish(snapshots, &snapshots->received, &result->meta);
        return;
    case JOB_READ:
        result->status = read_piece(snapshots, job, result);
        return;
    }
    unreachable();
}

/* --- The thread ----------------------------------------------------------- */

static struct job *take_job(struct snapshots *snapshots)
{
    struct list *first;

    pthread_mutex_lock(&snapshots->mutex);
    while ((first = list_take_first(&snapshots->jobs)) == NULL &&
           !snapshots->is_closing) {
        pthread_cond_wait(&snapshots->wake, &snapshots->mutex);
    }
    pthread_mutex_unlock(&snapshots->mutex);
    return first == NULL ? NULL : LIST_ENTRY(first, struct job, link);
}

/* What a job and its answer count in the queue; an answer keeps its place until
 * it is taken. */
static size_t weight_of(const struct answer *answer, size_t data_size)
{
    return sizeof(struct job) + data_size +
           (answer == NULL ? 0 : sizeof(*answer));
}

static size_t job_weight(const struct job *job)
{
    return weight_of(job->answer, job->size);
}

static void end_job(struct snapshots *snapshots, struct job *job)
{
    pthread_mutex_lock(&snapshots->mutex);
    snapshots->queue_size -= job_weight(job);
    if (job->answer != NULL) {
        snapshots->queue_size +=
            weight_of(job->answer, job->answer->result.data.size);
        list_append(&snapshots->answers, &job->answer->link);
    } else {
        snapshots->queue_count--;
    }
    pthread_mutex_unlock(&snapshots->mutex);
    mem_free(job);
    snapshots->config.ready(snapshots->config.arg);
}

static void *thread_main(void *arg)
{
    struct snapshots *snapshots = arg;
    struct job *job;

    while ((job = take_job(snapshots)) != NULL) {
        carry_out(snapshots, job);
        end_job(snapshots, job);
    }
    snapshot_writer_abort(&snapshots->own);
    snapshot_writer_close(&snapshots->received);
    snapshot_reader_close(&snapshots->reader);
    return NULL;
}

/* --- Opening and closing -------------------------------------------------- */

static void free_snapshots(struct snapshots *snapshots)
{
    struct list *first;

    while ((first = list_take_first(&snapshots->answers)) != NULL) {
        struct answer *answer = LIST_ENTRY(first, struct answer, link);

        buf_close(&answer->result.data);
        mem_free(answer);
    }
    if (snapshots->dir_fd >= 0) {
        (void)close(snapshots->dir_fd); /* only read from */
    }
    (void)pthread_cond_destroy(&snapshots->wake);
    (void)pthread_mutex_destroy(&snapshots->mutex);
    mem_free(snapshots);
}

int snapshots_open(const struct snapshots_config *config,
                   struct snapshots **ret_snapshots)
{
    struct snapshots *snapshots = mem_alloc(sizeof(*snapshots));
    int rv;

    if (snapshots == NULL) {
        return ERR_NOMEM;
    }
    snapshots->config = *config;
    list_init(&snapshots->jobs);
    list_init(&snapshots->answers);
    snapshot_writer_init(&snapshots->own);
    snapshot_writer_init(&snapshots->received);
    snapshot_reader_init(&snapshots->reader);
    (void)pthread_mutex_init(&snapshots->mutex, NULL); /* cannot fail */
    (void)pthread_cond_init(&snapshots->wake, NULL);   /* nor this */
    snapshots->dir_fd = open(config->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    rv = snapshots->dir_fd < 0
             ? ERR_IO
             : thread_start(&snapshots->thread, thread_main, snapshots);
    if (rv != 0) {
        free_snapshots(snapshots);
        return rv;
    }
    *ret_snapshots = snapshots;
    return 0;
}

void snapshots_close(struct snapshots *snapshots)
{
    if (snapshots == NULL) {
        return;
    }
    pthread_mutex_lock(&snapshots->mutex);
    snapshots->is_closing = true;
    (void)pthread_cond_signal(&snapshots->wake); /* cannot fail */
    pthread_mutex_unlock(&snapshots->mutex);
    (void)pthread_join(snapshots->thread, NULL); /* it is ours and joinable */
    free_snapshots(snapshots);
}

/* --- Asking --------------------------------------------------------------- */

static struct answer *new_answer(enum snapshots_result_type type,
                                 const struct job *job)
{
    struct answer *answer = mem_alloc(sizeof(*answer));

    if (answer != NULL) {
        answer->result.type = type;
        answer->result.meta = job->meta;
        answer->result.offset = job->offset;
        answer->result.tag = job->tag;
        buf_init(&answer->result.data, SNAPSHOT_CHUNK_SIZE);
    }
    return answer;
}

static int queue(struct snapshots *snapshots, struct job *job)
{
    int rv = 0;

    pthread_mutex_lock(&snapshots->mutex);
    ensure(!snapshots->is_closing);
    if (snapshots->queue_count == SNAPSHOTS_QUEUE_COUNT_MAX ||
        snapshots->queue_size > SNAPSHOTS_QUEUE_SIZE_MAX) {
        rv = ERR_BUSY;
    } else {
        snapshots->queue_size += job_weight(job);
        snapshots->queue_count++;
        list_append(&snapshots->jobs, &job->link);
        (void)pthread_cond_signal(&snapshots->wake); /* cannot fail */
    }
    pthread_mutex_unlock(&snapshots->mutex);
    if (rv != 0) {
        mem_free(job->answer);
        mem_free(job);
    }
    return rv;
}

/* A job of the form of `like`, with a copy of the data. `answer` NULL: none. */
static int submit(struct snapshots *snapshots, const struct job *like,
                  const enum snapshots_result_type *answer, struct bytes data)
{
    struct job *job = mem_alloc(sizeof(*job) + data.size);

    if (job == NULL) {
        return ERR_NOMEM;
    }
    *job = *like;
    if (answer != NULL) {
        job->answer = new_answer(*answer, like);
        if (job->answer == NULL) {
            mem_free(job);
            return ERR_NOMEM;
        }
    }
    if (data.size > 0) {
        memcpy(job->data, data.data, data.size);
        job->size = data.size;
    }
    return queue(snapshots, job);
}

int snapshots_begin(struct snapshots *snapshots, uint64_t index)
{
    struct job job = {.type = JOB_BEGIN, .meta = {.index = index}};

    return submit(snapshots, &job, NULL, bytes_of(NULL, 0));
}

int snapshots_append(struct snapshots *snapshots, struct bytes data)
{
    struct job job = {.type = JOB_APPEND};

    return submit(snapshots, &job, NULL, data);
}

int snapshots_finish(struct snapshots *snapshots,
                     const struct snapshot_meta *meta)
{
    const enum snapshots_result_type answer = SNAPSHOTS_TAKEN;
    struct job job = {.type = JOB_FINISH, .meta = *meta};

    return submit(snapshots, &job, &answer, bytes_of(NULL, 0));
}

int snapshots_store(struct snapshots *snapshots,
                    const struct snapshot_meta *meta, uint64_t offset,
                    struct bytes data, uint64_t tag)
{
    const enum snapshots_result_type answer = SNAPSHOTS_STORED;
    struct job job = {
        .type = JOB_STORE, .meta = *meta, .offset = offset, .tag = tag};

    ensure(offset <= meta->size);
    return submit(snapshots, &job, &answer, data);
}

int snapshots_finish_received(struct snapshots *snapshots,
                              const struct snapshot_meta *meta, uint64_t tag)
{
    const enum snapshots_result_type answer = SNAPSHOTS_RECEIVED;
    struct job job = {.type = JOB_FINISH_RECEIVED, .meta = *meta, .tag = tag};

    return submit(snapshots, &job, &answer, bytes_of(NULL, 0));
}

int snapshots_read(struct snapshots *snapshots, uint64_t index, uint64_t offset,
                   uint32_t size, uint64_t tag)
{
    const enum snapshots_result_type answer = SNAPSHOTS_READ;
    struct job job = {.type = JOB_READ,
                      .meta = {.index = index},
                      .offset = offset,
                      .tag = tag,
                      .size = size};

    ensure(size <= SNAPSHOT_CHUNK_SIZE);
    return submit(snapshots, &job, &answer, bytes_of(NULL, 0));
}

void snapshots_need(struct snapshots *snapshots, uint64_t index)
{
    pthread_mutex_lock(&snapshots->mutex);
    snapshots->needed = index;
    pthread_mutex_unlock(&snapshots->mutex);
}

uint64_t snapshots_waiting(struct snapshots *snapshots)
{
    pthread_mutex_lock(&snapshots->mutex);
    const uint64_t size = snapshots->queue_size;
    pthread_mutex_unlock(&snapshots->mutex);
    return size;
}

int snapshots_take(struct snapshots *snapshots,
                   struct snapshots_result *ret_result)
{
    struct answer *answer = NULL;
    struct list *first;

    pthread_mutex_lock(&snapshots->mutex);
    first = list_take_first(&snapshots->answers);
    if (first != NULL) {
        answer = LIST_ENTRY(first, struct answer, link);
        snapshots->queue_size -= weight_of(answer, answer->result.data.size);
        snapshots->queue_count--;
    }
    pthread_mutex_unlock(&snapshots->mutex);
    if (answer == NULL) {
        return ERR_NOT_FOUND;
    }
    *ret_result = answer->result;
    mem_free(answer);
    return 0;
}
