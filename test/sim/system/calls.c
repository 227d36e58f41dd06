/* SPDX-License-Identifier: Apache-2.0
 * Takes the place of the C library's functions for files, so that the code of
 * the log runs unchanged on simulated ones: descriptors and paths that
 * files_open_dir() gave out go to test/sim/storage.c, all others to the system.
 * It is linked into programs that run the simulator, and no others. */
#include "base/ensure.h"
#include "sim/files.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <unistd.h>

enum { BLOCK_SIZE = 4096 }; /* of direct writes, as some disks have it */

/* Its declaration would go by another name than the one that is called. */
static int answer(int rv)
{
    if (rv < 0) {
        errno = -rv;
        return -1;
    }
    return rv;
}

int openat(int dir_fd, const char *name, int flags, ...)
{
    struct files_open *dir = files_find(dir_fd);
    unsigned mode = 0;
    int file;

    if ((flags & O_CREAT) != 0) {
        va_list args;

        va_start(args, flags);
        mode = va_arg(args, unsigned);
        va_end(args);
    }
    if (dir == NULL) {
        return (int)syscall(SYS_openat, dir_fd, name, flags, mode);
    }
    if ((flags & O_DIRECT) != 0 && dir->storage->faults.has_no_direct) {
        return answer(-EINVAL);
    }
    file = storage_open(dir->storage, name, (flags & O_CREAT) != 0);
    return file < 0 ? answer(file) : files_add(dir->storage, file, flags);
}

int close(int fd)
{
    struct files_open *open = files_find(fd);

    if (open == NULL) {
        return (int)syscall(SYS_close, fd);
    }
    if (open->file >= 0) {
        storage_release(open->storage, open->file);
    }
    open->storage = NULL;
    return 0;
}

static int write_at(const struct files_open *open, struct bytes bytes,
                    size_t offset)
{
    if ((open->flags & O_DIRECT) != 0) {
        ensure((uintptr_t)bytes.data % BLOCK_SIZE == 0);
        ensure(bytes.size % BLOCK_SIZE == 0);
        ensure(offset % BLOCK_SIZE == 0);
    }
    return (open->flags & O_DSYNC) != 0
               ? storage_write_through(open->storage, open->file, bytes, offset)
               : storage_write(open->storage, open->file, bytes, offset);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    const struct files_open *open = files_find(fd);

    if (open == NULL) {
        return syscall(SYS_pwrite64, fd, data, size, offset);
    }
    return answer(write_at(open, bytes_of(data, size), (size_t)offset));
}

ssize_t pwritev(int fd, const struct iovec *parts, int count, off_t offset)
{
    const struct files_open *open = files_find(fd);
    ssize_t written = 0;

    if (open == NULL) {
        return syscall(SYS_pwritev, fd, parts, count, offset, 0);
    }
    for (int i = 0; i < count; i++) {
        int rv = storage_write(open->storage, open->file,
                               bytes_of(parts[i].iov_base, parts[i].iov_len),
                               (size_t)(offset + written));

        if (rv < 0) {
            return written > 0 ? written : answer(rv);
        }
        written += rv;
        if ((size_t)rv < parts[i].iov_len) {
            break;
        }
    }
    return written;
}

ssize_t pread(int fd, void *data, size_t size, off_t offset)
{
    const struct files_open *open = files_find(fd);

    if (open == NULL) {
        return syscall(SYS_pread64, fd, data, size, offset);
    }
    return answer(
        storage_read(open->storage, open->file, data, size, (size_t)offset));
}

static int flush(const struct files_open *open)
{
    return answer(open->file < 0 ? storage_flush_dir(open->storage)
                                 : storage_flush(open->storage, open->file));
}

int fsync(int fd)
{
    const struct files_open *open = files_find(fd);

    return open == NULL ? (int)syscall(SYS_fsync, fd) : flush(open);
}

int fdatasync(int fd)
{
    const struct files_open *open = files_find(fd);

    return open == NULL ? (int)syscall(SYS_fdatasync, fd) : flush(open);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    const struct files_open *open = files_find(fd);

    if (open == NULL) {
        return (int)syscall(SYS_fallocate, fd, mode, offset, size);
    }
    return answer(
        storage_grow(open->storage, open->file, (size_t)(offset + size)));
}

int sync_file_range(int fd, off_t offset, off_t size, unsigned flags)
{
    return files_find(fd) != NULL
               ? 0
               : (int)syscall(SYS_sync_file_range, fd, offset, size, flags);
}

int unlinkat(int dir_fd, const char *name, int flags)
{
    const struct files_open *dir = files_find(dir_fd);

    return dir == NULL ? (int)syscall(SYS_unlinkat, dir_fd, name, flags)
                       : answer(storage_remove(dir->storage, name));
}

int fstat(int fd, struct stat *status)
{
    const struct files_open *open = files_find(fd);

    if (open == NULL) {
        return (int)syscall(SYS_fstat, fd, status);
    }
    *status = (struct stat){
        .st_size = (off_t)open->storage->files[open->file].cache.size};
    return 0;
}

/* --- Lists --------------------------------------------------------------- */

struct list {
    const struct storage *storage;
    int next;
    struct dirent entry;
};

static struct list list; /* one at a time */

/* The C library's own; POSIX wants the detour from a data pointer. */
static void *library(const char *name)
{
    void *function = dlsym(RTLD_NEXT, name);

    ensure(function != NULL);
    return function;
}

DIR *opendir(const char *name)
{
    const struct files_open *dir = files_find_dir(name);
    DIR *(*real)(const char *);
    void *address;

    if (dir != NULL) {
        ensure(list.storage == NULL);
        list = (struct list){.storage = dir->storage};
        return (DIR *)&list;
    }
    address = library("opendir");
    memcpy(&real, &address, sizeof(real));
    return real(name);
}

struct dirent *readdir(DIR *dir)
{
    struct dirent *(*real)(DIR *);
    void *address;
    int file;

    if (dir != (DIR *)&list) {
        address = library("readdir");
        memcpy(&real, &address, sizeof(real));
        return real(dir);
    }
    file = storage_next(list.storage, list.next);
    if (file < 0) {
        return NULL;
    }
    list.next = file + 1;
    (void)snprintf(list.entry.d_name, sizeof(list.entry.d_name), "%s",
                   list.storage->files[file].name);
    return &list.entry;
}

int closedir(DIR *dir)
{
    int (*real)(DIR *);
    void *address;

    if (dir == (DIR *)&list) {
        list.storage = NULL;
        return 0;
    }
    address = library("closedir");
    memcpy(&real, &address, sizeof(real));
    return real(dir);
}
