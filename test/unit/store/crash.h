/* SPDX-License-Identifier: Apache-2.0
 * A power cut at a chosen call that changes files. Include it in one file of a
 * program: it takes the place of the C library's functions, counts the calls,
 * and ends the process at the n-th one.
 *
 * What a power cut may take back is taken back: names that were removed,
 * given or changed since the directory was flushed, and (CRASH_LOSES_DATA)
 * what was written to a file since it was flushed. Which of these are lost is
 * drawn from a seed. */
#ifndef QUORATE_TEST_UNIT_STORE_CRASH_H
#define QUORATE_TEST_UNIT_STORE_CRASH_H

#include "base/rng.h"
#include "lib/test.h"

#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    CRASH_EXIT = 99,
    CRASH_UNDONE_MAX = 64,
    CRASH_NAME_MAX = 128,
};

/* A change of a name that is not on disk yet. */
struct crash_undone {
    int dir_fd;
    char from[CRASH_NAME_MAX]; /* what to rename back; empty: to remove `to` */
    char to[CRASH_NAME_MAX];
};

struct crash {
    bool is_on;
    uint64_t left; /* calls until the crash */
    struct rng rng;
    int dirty_fd; /* the file with unflushed bytes from `dirty_begin` on */
    off_t dirty_begin;
    struct crash_undone undone[CRASH_UNDONE_MAX];
    size_t undone_count;
};

static struct crash crash = {.dirty_fd = -1};

static void crash_now(void)
{
    crash.is_on = false;
    /* Any of them may have reached the disk, in any order. */
    for (size_t i = crash.undone_count; i > 0; i--) {
        const struct crash_undone *undone = &crash.undone[i - 1];

        if (rng_below(&crash.rng, 2) == 0) {
            continue;
        }
        if (undone->from[0] == '\0') {
            (void)syscall(SYS_unlinkat, undone->dir_fd, undone->to, 0);
        } else {
            (void)syscall(SYS_renameat, undone->dir_fd, undone->from,
                          undone->dir_fd, undone->to);
        }
    }
    if (crash.dirty_fd >= 0) {
        struct stat status;

        if (fstat(crash.dirty_fd, &status) == 0 &&
            status.st_size > crash.dirty_begin) {
            uint64_t unflushed = (uint64_t)(status.st_size - crash.dirty_begin);

            (void)!ftruncate(crash.dirty_fd,
                             crash.dirty_begin +
                                 (off_t)rng_below(&crash.rng, unflushed + 1));
        }
    }
    _exit(CRASH_EXIT);
}

static void crash_count(void)
{
    if (crash.is_on) {
        if (crash.left == 0) {
            crash_now();
        }
        crash.left--;
    }
}

/* Begins to count: the process ends at the call after `left` more. */
static inline void crash_begin(uint64_t left, uint64_t seed)
{
    crash = (struct crash){.is_on = true, .left = left, .dirty_fd = -1};
    rng_init(&crash.rng, seed);
}

static struct crash_undone *crash_undo(int dir_fd)
{
    struct crash_undone *undone = &crash.undone[crash.undone_count];

    assert_true(crash.undone_count < CRASH_UNDONE_MAX);
    crash.undone_count++;
    *undone = (struct crash_undone){.dir_fd = dir_fd};
    return undone;
}

/* --- The functions that change names ------------------------------------- */

int unlinkat(int dir_fd, const char *name, int flags)
{
    struct crash_undone *undone;
    int rv;

    crash_count();
    if (!crash.is_on) {
        return (int)syscall(SYS_unlinkat, dir_fd, name, flags);
    }
    undone = crash_undo(dir_fd);
    (void)snprintf(undone->to, CRASH_NAME_MAX, "%s", name);
    (void)snprintf(undone->from, CRASH_NAME_MAX, ".gone%zu-%s",
                   crash.undone_count, name);
    rv = (int)syscall(SYS_renameat, dir_fd, name, dir_fd, undone->from);
    if (rv != 0) {
        crash.undone_count--;
    }
    crash_count();
    return rv;
}

int renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    struct crash_undone *undone;
    int rv;

    crash_count();
    rv = (int)syscall(SYS_renameat, from_fd, from, to_fd, to);
    if (rv == 0 && crash.is_on) {
        undone = crash_undo(to_fd);
        (void)snprintf(undone->to, CRASH_NAME_MAX, "%s", from);
        (void)snprintf(undone->from, CRASH_NAME_MAX, "%s", to);
        crash_count();
    }
    return rv;
}

/* --- And those that change bytes ------------------------------------------ */

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    ssize_t rv;

    crash_count();
    rv = syscall(SYS_pwrite64, fd, data, size, offset);
#ifdef CRASH_LOSES_DATA
    if (crash.dirty_fd != fd) {
        crash.dirty_fd = fd;
        crash.dirty_begin = offset;
    } else if (offset < crash.dirty_begin) {
        crash.dirty_begin = offset;
    }
#endif
    crash_count();
    return rv;
}

static void crash_flushed(int fd)
{
    struct stat status;

    if (crash.dirty_fd == fd) {
        crash.dirty_fd = -1;
    }
    if (fstat(fd, &status) == 0 && S_ISDIR(status.st_mode)) {
        crash.undone_count = 0;
    }
}

int fsync(int fd)
{
    int rv;

    crash_count();
    rv = (int)syscall(SYS_fsync, fd);
    crash_flushed(fd);
    crash_count();
    return rv;
}

int fdatasync(int fd)
{
    int rv;

    crash_count();
    rv = (int)syscall(SYS_fdatasync, fd);
    crash_flushed(fd);
    crash_count();
    return rv;
}

#endif
