/* SPDX-License-Identifier: Apache-2.0
 * How many durable writes the state store does: a fixed number in flight, each
 * to one of many ids, as the replicas of busy sandboxes see them.
 *   state_db_bench DIR [SECONDS]      DIR is on the disk to be measured
 * Prints one line for each of five runs, then the medians. */
#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "base/rng.h"
#include "state/message.h"
#include "store/state_db.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    IN_FLIGHT = 24,
    IDS = 10000,
    RUNS = 5,
    VALUE_SIZE_MAX = 64 * 1024,
    MESSAGE_SIZE_MAX = 128 * 1024,
};

struct bench {
    struct state_db *db;
    struct rng rng;
    struct buf message;
    uint64_t seqs[IDS];
    uint64_t started;
    uint64_t done;
    uint8_t value[VALUE_SIZE_MAX];
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool is_ready;
};

struct figures {
    double writes;
    double commits;
    double per_commit;
};

static double now_s(void)
{
    struct timespec now;

    ensure(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void on_ready(void *arg)
{
    struct bench *bench = arg;

    (void)pthread_mutex_lock(&bench->lock);
    bench->is_ready = true;
    (void)pthread_cond_signal(&bench->ready);
    (void)pthread_mutex_unlock(&bench->lock);
}

static void wait_ready(struct bench *bench)
{
    (void)pthread_mutex_lock(&bench->lock);
    while (!bench->is_ready) {
        (void)pthread_cond_wait(&bench->ready, &bench->lock);
    }
    bench->is_ready = false;
    (void)pthread_mutex_unlock(&bench->lock);
}

static void submit(struct bench *bench, size_t size)
{
    uint64_t number = rng_below(&bench->rng, IDS);
    char id[32];
    int id_size = snprintf(id, sizeof(id), "sandbox-%06u", (unsigned)number);
    struct state_message write = {
        .kind = STATE_KIND_WRITE,
        .has_version = true,
        .has_value = true,
        .ticket = bench->started,
        .birth = 1,
        .stamp.version = {.epoch = 1, .seq = ++bench->seqs[number]},
        .id = bytes_of(id, (size_t)id_size),
        .value = bytes_of(bench->value, size)};

    bench->value[0]++;
    bench->value[size - 1]++;
    write.crc = crc32c(0, write.value);
    buf_clear(&bench->message);
    ensure(state_message_encode(&write, &bench->message) == 0);
    ensure(state_db_submit(bench->db, 1, buf_bytes(&bench->message)) == 0);
    bench->started++;
}

static void take_all(struct bench *bench)
{
    struct buf answer;
    uint64_t to;

    while (state_db_take(bench->db, &to, &answer) == 0) {
        struct state_message message;

        ensure(state_message_decode(buf_bytes(&answer), &message) == 0);
        ensure(message.status == STATE_STATUS_OK);
        buf_close(&answer);
        bench->done++;
    }
}

static void run(struct bench *bench, size_t size, double seconds,
                struct figures *ret_figures)
{
    uint64_t commits_before;
    uint64_t requests_before;
    uint64_t commits;
    uint64_t requests;
    double begin = now_s();
    double end;

    bench->started = 0;
    bench->done = 0;
    state_db_counters(bench->db, &commits_before, &requests_before);
    while (now_s() - begin < seconds) {
        while (bench->started - bench->done < IN_FLIGHT) {
            submit(bench, size);
        }
        wait_ready(bench);
        take_all(bench);
    }
    while (bench->done < bench->started) {
        wait_ready(bench);
        take_all(bench);
    }
    end = now_s();
    state_db_counters(bench->db, &commits, &requests);
    commits -= commits_before;
    requests -= requests_before;
    *ret_figures =
        (struct figures){.writes = (double)bench->done / (end - begin),
                         .commits = (double)commits / (end - begin),
                         .per_commit = (double)requests / (double)commits};
}

static int compare(const void *a, const void *b)
{
    const struct figures *x = a;
    const struct figures *y = b;

    return (x->writes > y->writes) - (x->writes < y->writes);
}

static void run_all(struct bench *bench, size_t size, double seconds)
{
    struct figures figures[RUNS];

    for (size_t i = 0; i < RUNS; i++) {
        run(bench, size, seconds, &figures[i]);
        printf("state_db %zu B, %d in flight: %.0f writes/s, %.0f commits/s, "
               "%.1f requests/commit\n",
               size, IN_FLIGHT, figures[i].writes, figures[i].commits,
               figures[i].per_commit);
    }
    qsort(figures, RUNS, sizeof(figures[0]), compare);
    printf("state_db %zu B, %d in flight, median: %.0f writes/s "
           "(%.0f..%.0f), %.0f commits/s\n",
           size, IN_FLIGHT, figures[RUNS / 2].writes, figures[0].writes,
           figures[RUNS - 1].writes, figures[RUNS / 2].commits);
}

int main(int argc, char **argv)
{
    struct bench *bench = mem_alloc(sizeof(*bench));
    struct state_db_config config = {
        .map_size = UINT64_C(4) << 30, .ready = on_ready, .ready_arg = bench};
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 2.0;
    struct buf error;

    if (argc < 2 || bench == NULL) {
        (void)fprintf(stderr, "usage: state_db_bench DIR [SECONDS]\n");
        mem_free(bench);
        return 2;
    }
    config.dir = argv[1];
    buf_init(&error, 1024);
    buf_init(&bench->message, MESSAGE_SIZE_MAX);
    rng_init(&bench->rng, 1);
    (void)pthread_mutex_init(&bench->lock, NULL);
    (void)pthread_cond_init(&bench->ready, NULL);
    if (state_db_open(&config, &error, &bench->db) != 0) {
        (void)fprintf(stderr, "%.*s\n", (int)error.size,
                      (const char *)error.data);
        return 1;
    }
    run_all(bench, 4096, seconds);
    run_all(bench, VALUE_SIZE_MAX, seconds);
    state_db_close(bench->db);
    buf_close(&bench->message);
    buf_close(&error);
    mem_free(bench);
    return 0;
}
