/* SPDX-License-Identifier: Apache-2.0
 * The lock on a data directory: flock(2), so that it ends with the process
 * however that ends. */
#include "base/err.h"
#include "io/sys.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    PID_TEXT_MAX = 32,
    /* A member that was killed is still ending when the next one starts. */
    WAIT_TRIES = 100,
    WAIT_STEP_MS = 20,
};

static bool make_directory(const char *path)
{
    return mkdir(path, 0700) == 0 || errno == EEXIST;
}

int sys_make_dirs(const char *dir)
{
    char path[PATH_MAX];
    int size = snprintf(path, sizeof(path), "%s", dir);
    struct stat status;

    if (size <= 0 || (size_t)size >= sizeof(path)) {
        errno = ENAMETOOLONG;
        return ERR_BADARG;
    }
    for (char *c = path + 1; *c != '\0'; c++) {
        if (*c == '/') {
            *c = '\0';
            /* A parent that may not be written to can still be there. */
            if (!make_directory(path) && errno != EROFS && errno != EACCES) {
                return ERR_IO;
            }
            *c = '/';
        }
    }
    if (!make_directory(path) || stat(path, &status) != 0) {
        return ERR_IO;
    }
    if (!S_ISDIR(status.st_mode)) {
        errno = ENOTDIR;
        return ERR_IO;
    }
    return 0;
}

/* Who holds the lock wrote its pid into the file. */
static void tell_holder(int fd, const char *dir, struct buf *error)
{
    char text[PID_TEXT_MAX];
    ssize_t size = pread(fd, text, sizeof(text), 0);
    size_t digits = 0;

    while (size > 0 && digits < (size_t)size && text[digits] >= '0' &&
           text[digits] <= '9') {
        digits++;
    }
    if (digits == 0) {
        buf_printf(
            error,
            "the data directory %s is in use; end the process that has it, "
            "or give another --data-dir",
            dir);
    } else {
        buf_printf(error,
                   "the data directory %s is in use by process %.*s; end that "
                   "process, or give another --data-dir",
                   dir, (int)digits, text);
    }
}

/* 0 with the lock, or -1 with errno. */
static int wait_for_lock(int fd)
{
    const struct timespec step = {.tv_nsec = WAIT_STEP_MS * 1000000L};
    int rv = flock(fd, LOCK_EX | LOCK_NB);

    for (int i = 0;
         i < WAIT_TRIES && rv != 0 && (errno == EWOULDBLOCK || errno == EINTR);
         i++) {
        (void)nanosleep(&step, NULL); /* if it is cut short, so be it */
        rv = flock(fd, LOCK_EX | LOCK_NB);
    }
    return rv;
}

static int take_lock(int fd, const char *dir, struct buf *error)
{
    char text[PID_TEXT_MAX];
    int size;

    if (wait_for_lock(fd) != 0) {
        if (errno == EWOULDBLOCK) {
            tell_holder(fd, dir, error);
            return ERR_IN_USE;
        }
        buf_printf(error, "cannot lock the data directory %s: %s", dir,
                   strerror(errno));
        return ERR_IO;
    }
    size = snprintf(text, sizeof(text), "%ld\n", (long)getpid());
    /* The pid is for people; the lock holds without it. */
    if (ftruncate(fd, 0) == 0 && size > 0) {
        ssize_t put = pwrite(fd, text, (size_t)size, 0);

        (void)put;
    }
    return 0;
}

int sys_lock_dir(const char *dir, struct sys_lock *ret_lock, struct buf *error)
{
    char path[PATH_MAX];
    int size = snprintf(path, sizeof(path), "%s/lock", dir);
    int rv;
    int fd;

    if (size < 0 || (size_t)size >= sizeof(path)) {
        buf_printf(error, "the name of the data directory is too long");
        return ERR_BADARG;
    }
    rv = sys_make_dirs(dir);
    if (rv != 0) {
        buf_printf(error, "cannot make the data directory %s: %s", dir,
                   strerror(errno));
        return rv;
    }
    fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (fd < 0) {
        buf_printf(error, "cannot open %s: %s", path, strerror(errno));
        return ERR_IO;
    }
    rv = take_lock(fd, dir, error);
    if (rv != 0) {
        (void)close(fd); /* nothing was written */
        return rv;
    }
    ret_lock->fd = fd;
    return 0;
}

/* Locks the open file for readers, and closes it if that fails. */
static int lock_to_read(int fd, const char *dir, struct buf *error)
{
    bool is_taken;

    if (flock(fd, LOCK_SH | LOCK_NB) == 0) {
        return 0;
    }
    is_taken = errno == EWOULDBLOCK;
    if (is_taken) {
        buf_printf(error,
                   "a member runs on %s and writes to it; stop it, or look at "
                   "a copy of the directory",
                   dir);
    } else {
        buf_printf(error, "cannot lock %s: %s", dir, strerror(errno));
    }
    (void)close(fd); /* only read from */
    return is_taken ? ERR_IN_USE : ERR_IO;
}

int sys_lock_dir_to_read(const char *dir, struct sys_lock *ret_lock,
                         struct buf *error)
{
    char path[PATH_MAX];
    int size = snprintf(path, sizeof(path), "%s/lock", dir);
    struct stat status;
    int rv = 0;
    int fd;

    if (size < 0 || (size_t)size >= sizeof(path)) {
        buf_printf(error, "the name of the directory is too long");
        return ERR_BADARG;
    }
    if (stat(dir, &status) != 0 || !S_ISDIR(status.st_mode)) {
        buf_printf(error, "%s is no directory that can be read", dir);
        return ERR_NOT_FOUND;
    }
    fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno != ENOENT) {
        buf_printf(error, "cannot open %s: %s", path, strerror(errno));
        return ERR_IO;
    }
    if (fd >= 0) {
        rv = lock_to_read(fd, dir, error);
    }
    if (rv == 0) {
        ret_lock->fd = fd;
    }
    return rv;
}

void sys_unlock_dir(struct sys_lock *lock)
{
    if (lock != NULL && lock->fd >= 0) {
        (void)close(lock->fd); /* the lock goes with the descriptor */
        lock->fd = -1;
    }
}
