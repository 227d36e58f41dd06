/* SPDX-License-Identifier: Apache-2.0 */
/* A bad machine for one process: preloaded (LD_PRELOAD), it makes writes to
 * files slow or has them fail, and lets clocks run at another rate. What is to
 * be done is in the file that CHAOS_CONTROL names, mapped once and read at each
 * call, so that whoever writes to the file changes it at once. Without that
 * file it does nothing. The disk that is slow or fails is the directory that
 * CHAOS_DISK names; other files are on another one. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* The clock reads real + offset_ns + (monotonic - since_ns) * rate_ppb / 10^9.
 * The three belong together: `turn` is odd while they are written. */
struct control {
    _Atomic uint64_t turn;
    int64_t since_ns;
    int64_t offset_ns;
    int64_t rate_ppb;
    _Atomic uint32_t sync_delay_ms;
    _Atomic uint32_t write_delay_ms;
    _Atomic uint32_t write_error; /* errno of writes and flushes, or 0 */
};

static const struct control *control;
static const char *disk;
static int is_worker; /* CHAOS_WORKER: its own clock is another, and its files
                         are on a disk that works */

static int (*real_clock_gettime)(clockid_t, struct timespec *);
static int (*real_fdatasync)(int);
static int (*real_fsync)(int);
static ssize_t (*real_pwrite)(int, const void *, size_t, off_t);
static ssize_t (*real_pwritev)(int, const struct iovec *, int, off_t);

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("CHAOS_CONTROL");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);

    *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    *(void **)&real_fdatasync = dlsym(RTLD_NEXT, "fdatasync");
    *(void **)&real_fsync = dlsym(RTLD_NEXT, "fsync");
    *(void **)&real_pwrite = dlsym(RTLD_NEXT, "pwrite");
    *(void **)&real_pwritev = dlsym(RTLD_NEXT, "pwritev");
    is_worker = getenv("CHAOS_WORKER") != NULL;
    disk = getenv("CHAOS_DISK");
    if (fd >= 0) {
        void *map = mmap(NULL, sizeof *control, PROT_READ, MAP_SHARED, fd, 0);

        if (map != MAP_FAILED) {
            control = map;
        }
        (void)close(fd);
    }
}

static int64_t offset_ns(void)
{
    struct timespec now;
    uint64_t turn;
    int64_t offset;

    do {
        turn = atomic_load(&control->turn);
        (void)real_clock_gettime(CLOCK_MONOTONIC, &now);
        offset = control->offset_ns +
                 (int64_t)((double)((int64_t)now.tv_sec * 1000000000 +
                                    now.tv_nsec - control->since_ns) *
                           ((double)control->rate_ppb / 1e9));
    } while (turn % 2 != 0 || turn != atomic_load(&control->turn));
    return offset;
}

int clock_gettime(clockid_t clock, struct timespec *ret_now)
{
    int64_t ns;
    int rv;

    if (real_clock_gettime == NULL) { /* before the constructor */
        *(void **)&real_clock_gettime = dlsym(RTLD_NEXT, "clock_gettime");
    }
    rv = real_clock_gettime(clock, ret_now);
    if (rv != 0 || control == NULL ||
        !(clock == CLOCK_BOOTTIME || (clock == CLOCK_MONOTONIC && is_worker))) {
        return rv;
    }
    ns = (int64_t)ret_now->tv_sec * 1000000000 + ret_now->tv_nsec + offset_ns();
    ret_now->tv_sec = (time_t)(ns / 1000000000);
    ret_now->tv_nsec = (long)(ns % 1000000000);
    return 0;
}

static void wait_ms(uint32_t ms)
{
    struct timespec wait = {ms / 1000, (long)(ms % 1000) * 1000000};

    if (ms != 0) {
        (void)nanosleep(&wait, NULL);
    }
}

static int is_on_disk(int fd)
{
    char link[32];
    char path[4096];
    ssize_t size;

    (void)snprintf(link, sizeof link, "/proc/self/fd/%d", fd);
    size = readlink(link, path, sizeof path);
    return disk != NULL && size > (ssize_t)strlen(disk) &&
           memcmp(path, disk, strlen(disk)) == 0;
}

/* Whether a write or a flush fails, after its delay. */
static int is_failing(int fd, const _Atomic uint32_t *delay_ms)
{
    uint32_t delay = 0;
    int error = 0;

    if (control != NULL && !is_worker) {
        delay = atomic_load(delay_ms);
        error = (int)atomic_load(&control->write_error);
    }
    if ((delay == 0 && error == 0) || !is_on_disk(fd)) {
        return 0;
    }
    wait_ms(delay);
    errno = (int)atomic_load(&control->write_error);
    return errno != 0;
}

int fdatasync(int fd)
{
    return is_failing(fd, &control->sync_delay_ms) ? -1 : real_fdatasync(fd);
}

int fsync(int fd)
{
    return is_failing(fd, &control->sync_delay_ms) ? -1 : real_fsync(fd);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset)
{
    return is_failing(fd, &control->write_delay_ms)
               ? -1
               : real_pwrite(fd, bytes, size, offset);
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    return is_failing(fd, &control->write_delay_ms)
               ? -1
               : real_pwritev(fd, parts, count, offset);
}
