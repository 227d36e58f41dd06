/* SPDX-License-Identifier: Apache-2.0
 * A write-ahead log in a folder of its own, for the tests of store/wal*. */
#ifndef QUORATE_TEST_UNIT_STORE_WAL_FIXTURE_H
#define QUORATE_TEST_UNIT_STORE_WAL_FIXTURE_H

#include "lib/dir.h"
#include "lib/test.h"
#include "store/wal.h"

#include <fcntl.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char dir[64];
    size_t segment_size;
    struct wal *wal;
    struct wal_recovery recovery;
    struct buf error;
    uint64_t seq;   /* of the last submission */
    uint64_t index; /* of the last entry submitted */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t done_seq;
    int done_status;
    uint64_t covered; /* by a snapshot */
    bool is_full;
    bool is_begun; /* there was a log before */
};

static inline void fixture_done(void *arg, uint64_t seq, int status)
{
    struct fixture *fixture = arg;

    pthread_mutex_lock(&fixture->mutex);
    fixture->done_seq = seq;
    fixture->done_status = status;
    pthread_cond_signal(&fixture->changed);
    pthread_mutex_unlock(&fixture->mutex);
}

static inline void fixture_full(void *arg, bool is_full)
{
    struct fixture *fixture = arg;

    pthread_mutex_lock(&fixture->mutex);
    fixture->is_full = is_full;
    pthread_cond_signal(&fixture->changed);
    pthread_mutex_unlock(&fixture->mutex);
}

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    (void)snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/wal_test.XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    fixture->segment_size = 64 * 1024;
    buf_init(&fixture->error, 4096);
    (void)pthread_mutex_init(&fixture->mutex, NULL);
    (void)pthread_cond_init(&fixture->changed, NULL);
    *state = fixture;
    return 0;
}

static inline void fixture_path(const struct fixture *fixture, uint64_t number,
                                char *path, size_t size)
{
    (void)snprintf(path, size, "%s/%016llx.wal", fixture->dir,
                   (unsigned long long)number);
}

static inline int fixture_open(struct fixture *fixture)
{
    struct wal_config config = {.dir = fixture->dir,
                                .segment_size = fixture->segment_size,
                                .is_begun = fixture->is_begun,
                                .covered_index = fixture->covered,
                                .done = fixture_done,
                                .full = fixture_full,
                                .retry_ms = 1,
                                .arg = fixture};
    int rv;

    buf_clear(&fixture->error);
    rv = wal_open(&config, &fixture->recovery, &fixture->error, &fixture->wal);
    fixture->done_seq = 0;
    fixture->done_status = 0;
    fixture->seq = 0;
    if (rv == 0) {
        fixture->index = fixture->recovery.last_index;
    }
    return rv;
}

static inline void fixture_close(struct fixture *fixture)
{
    wal_close(fixture->wal);
    fixture->wal = NULL;
    wal_recovery_close(&fixture->recovery);
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;

    fixture_close(fixture);
    dir_remove(fixture->dir);
    buf_close(&fixture->error);
    free(fixture);
    return 0;
}

/* Waits until the last submission is done; its status. */
static inline int fixture_wait(struct fixture *fixture)
{
    int status;

    pthread_mutex_lock(&fixture->mutex);
    while (fixture->done_seq < fixture->seq) {
        pthread_cond_wait(&fixture->changed, &fixture->mutex);
    }
    status = fixture->done_status;
    pthread_mutex_unlock(&fixture->mutex);
    return status;
}

static inline void fixture_wait_full(struct fixture *fixture)
{
    pthread_mutex_lock(&fixture->mutex);
    while (!fixture->is_full) {
        pthread_cond_wait(&fixture->changed, &fixture->mutex);
    }
    pthread_mutex_unlock(&fixture->mutex);
}

/* Submits one entry of `size` bytes that tell its index. */
static inline int fixture_submit(struct fixture *fixture, uint64_t term,
                                 size_t size)
{
    uint8_t *data = malloc(size + 1);
    struct raft_entry entry = {.index = fixture->index + 1,
                               .term = term,
                               .type = RAFT_ENTRY_COMMAND,
                               .data = bytes_of(data, size)};
    struct raft_persist persist = {.seq = fixture->seq + 1,
                                   .term = term,
                                   .voted_for = 7,
                                   .entries = &entry,
                                   .entry_count = 1};
    int rv;

    assert_non_null(data);
    memset(data, (int)('a' + entry.index % 26), size);
    rv = wal_submit(fixture->wal, &persist);
    free(data);
    if (rv == 0) {
        fixture->seq++;
        fixture->index++;
    }
    return rv;
}

/* They are those of fixture_submit(), up to the end of the log. */
static inline void assert_entries(const struct fixture *fixture, size_t size)
{
    const struct wal_recovery *recovery = &fixture->recovery;

    for (size_t i = 0; i < recovery->entry_count; i++) {
        const struct raft_entry *entry = &recovery->entries[i];

        assert_int_equal(entry->index,
                         recovery->last_index - recovery->entry_count + 1 + i);
        assert_int_equal(entry->data.size, size);
        for (size_t j = 0; j < size; j++) {
            assert_int_equal(entry->data.data[j], 'a' + entry->index % 26);
        }
    }
}

/* All that were written were recovered. */
static inline void assert_recovered(const struct fixture *fixture, size_t count,
                                    size_t size)
{
    assert_int_equal(fixture->recovery.last_index, count);
    assert_int_equal(fixture->recovery.entry_count, count);
    assert_entries(fixture, size);
}

static inline void file_write(const struct fixture *fixture, uint64_t number,
                              size_t offset, struct bytes bytes)
{
    char path[128];
    int fd;

    fixture_path(fixture, number, path, sizeof(path));
    fd = open(path, O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, bytes.data, bytes.size, (off_t)offset),
                     bytes.size);
    assert_int_equal(close(fd), 0);
}

/* The whole file; the caller frees. */
static inline uint8_t *file_read(const struct fixture *fixture, uint64_t number,
                                 size_t *ret_size)
{
    struct stat status;
    char path[128];
    uint8_t *data;
    int fd;

    fixture_path(fixture, number, path, sizeof(path));
    fd = open(path, O_RDONLY);
    assert_true(fd >= 0);
    assert_int_equal(fstat(fd, &status), 0);
    data = malloc((size_t)status.st_size + 1);
    assert_non_null(data);
    assert_int_equal(read(fd, data, (size_t)status.st_size), status.st_size);
    assert_int_equal(close(fd), 0);
    *ret_size = (size_t)status.st_size;
    return data;
}

/* How many files of the log there are. */
static inline uint64_t file_count(const struct fixture *fixture)
{
    uint64_t count = 0;
    char path[128];

    do {
        count++;
        fixture_path(fixture, count, path, sizeof(path));
    } while (access(path, F_OK) == 0);
    return count - 1;
}

#endif
