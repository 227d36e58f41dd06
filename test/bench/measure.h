/* SPDX-License-Identifier: Apache-2.0
 * What the measurements in C have in common: time, quantiles, and what the disk
 * does alone. */
#ifndef QUORATE_TEST_BENCH_MEASURE_H
#define QUORATE_TEST_BENCH_MEASURE_H

#include "base/ensure.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    SAMPLES_MAX = 1 << 20,
    PLAIN_SIZE = 4096, /* bytes of a write */
    PLAIN_FILE_SIZE = 16 * 1024 * 1024,
};

static inline double now_s(void)
{
    struct timespec now;

    ensure(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline int compare(const void *left, const void *right)
{
    const double *a = left;
    const double *b = right;

    return (*a > *b) - (*a < *b);
}

static inline double quantile(double *samples, size_t count, double q)
{
    if (count == 0) {
        return 0;
    }
    qsort(samples, count, sizeof(*samples), compare);
    return samples[(size_t)((double)(count - 1) * q)] * 1e6;
}

/* Writes of 4 KiB to a preallocated file, each flushed: by `flags` (O_DSYNC) or
 * by fdatasync(). Gives the median in microseconds; 0: not possible here. */
static inline double plain(const char *dir, const char *name, int flags,
                           double seconds, double *samples)
{
    static uint8_t zeros[PLAIN_FILE_SIZE] __attribute__((aligned(4096)));
    char path[4096];
    size_t count = 0;
    double end;
    int fd;

    (void)snprintf(path, sizeof(path), "%s/plain", dir);
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
    ensure(fd >= 0);
    ensure(pwrite(fd, zeros, sizeof(zeros), 0) == (ssize_t)sizeof(zeros));
    ensure(fsync(fd) == 0 && close(fd) == 0);
    fd = open(path, O_RDWR | flags);
    if (fd < 0) {
        (void)printf("%-28s not possible here\n", name);
        return 0;
    }
    end = now_s() + seconds;
    while (count < SAMPLES_MAX) {
        off_t offset = (off_t)(count * PLAIN_SIZE % PLAIN_FILE_SIZE);
        double begin = now_s();

        ensure(pwrite(fd, zeros, PLAIN_SIZE, offset) == PLAIN_SIZE);
        if ((flags & O_DSYNC) == 0) {
            ensure(fdatasync(fd) == 0);
        }
        samples[count] = now_s() - begin;
        count++;
        if (begin > end) {
            break;
        }
    }
    ensure(close(fd) == 0 && unlink(path) == 0);
    (void)printf("%-28s %9.0f a second  p50 %6.0f us  p99 %6.0f us\n", name,
                 (double)count / seconds, quantile(samples, count, 0.5),
                 quantile(samples, count, 0.99));
    return quantile(samples, count, 0.5);
}

#endif
