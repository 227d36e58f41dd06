/* SPDX-License-Identifier: Apache-2.0
 * What the write-ahead log does beside what the disk does: entries of 128 bytes
 * with 1, 16 and 256 in flight, each beside plain writes of 4 KiB to a
 * preallocated file with O_DSYNC, and with O_DIRECT as well; then how long a
 * log of a million entries takes to read back.
 *   log_bench DIR [SECONDS]      DIR is on the disk to be measured */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "bench/measure.h"
#include "store/wal.h"

#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    ENTRY_SIZE = 128, /* bytes */
    IN_FLIGHT_MAX = 256,
    REPLAY_ENTRIES = 1000000,
    REPLAY_BATCH = 1000, /* entries in a record */
};

struct bench {
    struct wal *wal;
    uint64_t submitted;
    uint64_t index;
    double begun[IN_FLIGHT_MAX];
    double *samples; /* owned; seconds */
    size_t sample_count;
    pthread_mutex_t lock;
    pthread_cond_t changed;
    uint64_t done;
};

/* --- The log -------------------------------------------------------------- */

static void on_done(void *arg, uint64_t seq, int status)
{
    struct bench *bench = arg;

    ensure(status == 0);
    (void)pthread_mutex_lock(&bench->lock);
    bench->done = seq;
    (void)pthread_cond_signal(&bench->changed);
    (void)pthread_mutex_unlock(&bench->lock);
}

static void submit(struct bench *bench, struct raft_entry *entries,
                   size_t count)
{
    struct raft_persist persist = {.seq = bench->submitted + 1,
                                   .term = 1,
                                   .voted_for = 1,
                                   .entries = entries,
                                   .entry_count = count};

    for (size_t i = 0; i < count; i++) {
        bench->index++;
        entries[i].index = bench->index;
    }
    ensure(wal_submit(bench->wal, &persist) == 0);
    bench->submitted++;
}

static uint64_t wait_beyond(struct bench *bench, uint64_t seq)
{
    uint64_t done;

    (void)pthread_mutex_lock(&bench->lock);
    while (bench->done <= seq) {
        (void)pthread_cond_wait(&bench->changed, &bench->lock);
    }
    done = bench->done;
    (void)pthread_mutex_unlock(&bench->lock);
    return done;
}

static void empty(const char *dir)
{
    DIR *listing = opendir(dir);
    const struct dirent *file;

    ensure(listing != NULL);
    while ((file = readdir(listing)) != NULL) {
        /* And the mark that there is a log. */
        if (strstr(file->d_name, ".wal") != NULL ||
            strcmp(file->d_name, "log") == 0) {
            ensure(unlinkat(dirfd(listing), file->d_name, 0) == 0);
        }
    }
    (void)closedir(listing);
}

static void open_log(struct bench *bench, const char *dir)
{
    struct wal_config config = {.dir = dir, .done = on_done, .arg = bench};
    struct wal_recovery recovery;
    double *samples = bench->samples;

    *bench = (struct bench){.samples = samples};
    (void)pthread_mutex_init(&bench->lock, NULL);
    (void)pthread_cond_init(&bench->changed, NULL);
    ensure(wal_open(&config, &recovery, NULL, &bench->wal) == 0);
    wal_recovery_close(&recovery);
}

/* Keeps so many submissions under way. */
static void in_flight(struct bench *bench, const char *dir, uint64_t count,
                      double seconds)
{
    static uint8_t data[ENTRY_SIZE];
    struct raft_entry entry = {
        .term = 1, .type = RAFT_ENTRY_COMMAND, .data = {data, sizeof(data)}};
    uint64_t seen = 0;
    uint64_t flushes;
    uint64_t records;
    double begin;
    double took;

    empty(dir);
    open_log(bench, dir);
    begin = now_s();
    while (now_s() - begin < seconds && bench->sample_count < SAMPLES_MAX) {
        uint64_t done;

        while (bench->submitted - seen < count) {
            bench->begun[bench->submitted % IN_FLIGHT_MAX] = now_s();
            submit(bench, &entry, 1);
        }
        done = wait_beyond(bench, seen);
        for (; seen < done && bench->sample_count < SAMPLES_MAX; seen++) {
            bench->samples[bench->sample_count++] =
                now_s() - bench->begun[seen % IN_FLIGHT_MAX];
        }
        seen = done;
    }
    took = now_s() - begin;
    wal_counters(bench->wal, &flushes, &records);
    wal_close(bench->wal);
    (void)printf("log, %3u in flight           %9.0f a second  p50 %6.0f us  "
                 "p99 %6.0f us  %5.1f a flush  %5.1f MB/s\n",
                 (unsigned)count, (double)bench->done / took,
                 quantile(bench->samples, bench->sample_count, 0.5),
                 quantile(bench->samples, bench->sample_count, 0.99),
                 (double)records / (double)flushes,
                 (double)bench->done * ENTRY_SIZE / took / 1e6);
}

static void replay(struct bench *bench, const char *dir, size_t batch)
{
    static struct raft_entry entries[REPLAY_BATCH];
    static uint8_t data[ENTRY_SIZE];
    struct wal_config config = {.dir = dir, .done = on_done, .arg = bench};
    struct wal_recovery recovery;
    double begin;
    double took;

    empty(dir);
    open_log(bench, dir);
    for (size_t i = 0; i < batch; i++) {
        entries[i] = (struct raft_entry){.term = 1,
                                         .type = RAFT_ENTRY_COMMAND,
                                         .data = {data, sizeof(data)}};
    }
    while (bench->index < REPLAY_ENTRIES) {
        submit(bench, entries, batch);
        if (bench->submitted % REPLAY_BATCH == 0) {
            (void)wait_beyond(bench, bench->submitted - REPLAY_BATCH);
        }
    }
    wal_close(bench->wal);
    begin = now_s();
    ensure(wal_open(&config, &recovery, NULL, &bench->wal) == 0);
    took = now_s() - begin;
    ensure(recovery.entry_count == bench->index);
    wal_recovery_close(&recovery);
    wal_close(bench->wal);
    (void)printf("%u entries, %4zu a record: read back in %.3f s\n",
                 (unsigned)bench->index, batch, took);
    empty(dir);
}

int main(int argc, char *argv[])
{
    static struct bench bench;
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
    const char *dir = argc > 1 ? argv[1] : ".";

    bench.samples = mem_alloc_array(SAMPLES_MAX, sizeof(double));
    ensure(bench.samples != NULL);
    for (int run = 0; run < 2; run++) {
        (void)plain(dir, "4 KiB, fdatasync", 0, seconds, bench.samples);
        (void)plain(dir, "4 KiB, O_DSYNC", O_DSYNC, seconds, bench.samples);
        (void)plain(dir, "4 KiB, O_DSYNC, O_DIRECT", O_DSYNC | O_DIRECT,
                    seconds, bench.samples);
        in_flight(&bench, dir, 1, seconds);
        in_flight(&bench, dir, 16, seconds);
        in_flight(&bench, dir, 256, seconds);
    }
    replay(&bench, dir, 1);
    replay(&bench, dir, REPLAY_BATCH);
    mem_free(bench.samples);
    return 0;
}
