/* SPDX-License-Identifier: Apache-2.0
 * Files that are read or written whole, and the memory of this process. */
#include "base/err.h"
#include "io/sys.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum {
    READ_SIZE = 64 * 1024,
    COOKIE_FILE_MAX = 4096, /* bytes; white space may follow the cookie */
    COOKIE_MAX = 255,
    STATM_MAX = 256,
};

/* Appends all that is left of `fd`, at most `size_max` bytes. The buffer may
 * hold one byte more, which tells that there are too many. */
static int read_all(int fd, size_t size_max, struct buf *content)
{
    buf_init(content, size_max + 1);
    while (content->size <= size_max) {
        size_t left = size_max + 1 - content->size;
        size_t want = left < READ_SIZE ? left : READ_SIZE;
        uint8_t *room = buf_reserve(content, want);
        ssize_t got;

        if (room == NULL) {
            return ERR_NOMEM;
        }
        got = read(fd, room, want);
        if (got == 0) {
            return 0;
        }
        if (got > 0) {
            buf_commit(content, (size_t)got);
        } else if (errno != EINTR) {
            return ERR_IO;
        }
    }
    return ERR_LIMIT;
}

static int open_for_reading(const char *path, int *ret_fd)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);

    if (fd < 0) {
        return errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
    }
    *ret_fd = fd;
    return 0;
}

int sys_read_file(const char *path, size_t size_max, struct buf *ret_content)
{
    struct buf content;
    int fd;
    int rv = open_for_reading(path, &fd);

    if (rv != 0) {
        return rv;
    }
    rv = read_all(fd, size_max, &content);
    (void)close(fd); /* nothing was written */
    if (rv != 0) {
        buf_close(&content);
        return rv;
    }
    buf_close(ret_content);
    *ret_content = content;
    return 0;
}

/* --- Secrets, cookies ------------------------------------------------------
 */

int sys_check_secret(int fd, const char *what, const char *path,
                     struct buf *error)
{
    struct stat status;

    if (fstat(fd, &status) != 0) {
        buf_printf(error, "cannot look at the %s %s: %s", what, path,
                   strerror(errno));
        return ERR_IO;
    }
    if (!S_ISREG(status.st_mode)) {
        buf_printf(error, "the %s %s is not a regular file", what, path);
        return ERR_BADARG;
    }
    if ((status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        buf_printf(error,
                   "the %s %s is open to others (mode %04o); run: "
                   "chmod 600 %s",
                   what, path, (unsigned)(status.st_mode & 07777), path);
        return ERR_FORBIDDEN;
    }
    return 0;
}

static int take_cookie(struct buf *content, const char *path, struct buf *error)
{
    size_t size = content->size;

    while (size > 0 && isspace(content->data[size - 1]) != 0) {
        size--;
    }
    if (size == 0 || size > COOKIE_MAX) {
        buf_printf(error,
                   "the cookie file %s must hold 1 to %d characters; it has "
                   "%zu",
                   path, (int)COOKIE_MAX, size);
        return ERR_BADARG;
    }
    content->size = size;
    return 0;
}

int sys_read_cookie(const char *path, struct buf *ret_cookie, struct buf *error)
{
    struct buf content;
    int fd;
    int rv = open_for_reading(path, &fd);

    if (rv != 0) {
        buf_printf(error, "cannot read the cookie file %s: %s", path,
                   strerror(errno));
        return rv;
    }
    buf_init(&content, 0);
    rv = sys_check_secret(fd, "cookie file", path, error);
    if (rv == 0) {
        rv = read_all(fd, COOKIE_FILE_MAX, &content);
        if (rv != 0) {
            buf_printf(error, "cannot read the cookie file %s: %s", path,
                       err_text(rv));
        }
    }
    (void)close(fd); /* nothing was written */
    rv = rv != 0 ? rv : take_cookie(&content, path, error);
    if (rv != 0) {
        buf_wipe(&content);
        return rv;
    }
    buf_close(ret_cookie);
    *ret_cookie = content;
    return 0;
}

/* --- Writing -------------------------------------------------------------- */

static int error_of_errno(void)
{
    return errno == ENOSPC || errno == EDQUOT ? ERR_NO_SPACE : ERR_IO;
}

static int write_all(int fd, struct bytes content)
{
    while (content.size > 0) {
        ssize_t put = write(fd, content.data, content.size);

        if (put < 0 && errno == EINTR) {
            continue;
        }
        if (put <= 0) {
            return error_of_errno();
        }
        content = bytes_of(content.data + put, content.size - (size_t)put);
    }
    return 0;
}

/* `mode` is O_TRUNC or O_EXCL. */
static int open_for_writing(const char *path, int mode, int *ret_fd)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_CLOEXEC | mode, 0600);

    if (fd < 0) {
        return errno == EEXIST ? ERR_EXISTS : error_of_errno();
    }
    *ret_fd = fd;
    return 0;
}

/* Closes the file in any case. */
static int write_synced(int fd, struct bytes content)
{
    int rv = write_all(fd, content);

    if (rv == 0 && fsync(fd) != 0) {
        rv = error_of_errno();
    }
    if (close(fd) != 0 && rv == 0) {
        rv = error_of_errno();
    }
    return rv;
}

int sys_sync_dir(const char *dir)
{
    int fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rv = 0;

    if (fd < 0) {
        return ERR_IO;
    }
    if (fsync(fd) != 0) {
        rv = error_of_errno();
    }
    (void)close(fd); /* fsync has reported what there was to report */
    return rv;
}

static int sync_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char dir[PATH_MAX];
    int size = snprintf(dir, sizeof(dir), "%.*s",
                        slash == NULL ? 1 : (int)(slash - path) + 1,
                        slash == NULL ? "." : path);

    return size < 0 || (size_t)size >= sizeof(dir) ? ERR_BADARG
                                                   : sys_sync_dir(dir);
}

int sys_write_file(const char *path, struct bytes content)
{
    char temporary[PATH_MAX];
    int size = snprintf(temporary, sizeof(temporary), "%s.new", path);
    int fd;
    int rv;

    if (size < 0 || (size_t)size >= sizeof(temporary)) {
        return ERR_BADARG;
    }
    rv = open_for_writing(temporary, O_TRUNC, &fd);
    if (rv != 0) {
        return rv;
    }
    rv = write_synced(fd, content);
    if (rv == 0 && rename(temporary, path) != 0) {
        rv = error_of_errno();
    }
    if (rv != 0) {
        (void)unlink(temporary); /* it may not be there */
        return rv;
    }
    return sync_directory_of(path);
}

int sys_create_file(const char *path, struct bytes content)
{
    int fd;
    int rv = open_for_writing(path, O_EXCL, &fd);

    if (rv != 0) {
        return rv;
    }
    rv = write_synced(fd, content);
    if (rv != 0) {
        (void)unlink(path); /* half of it is worse than nothing */
        return rv;
    }
    return sync_directory_of(path);
}

/* --- Memory --------------------------------------------------------------- */

uint64_t sys_wall_s(void)
{
    return (uint64_t)time(NULL);
}

uint64_t sys_resident_bytes(void)
{
    struct buf content;
    uint64_t pages = 0;
    long page_size = sysconf(_SC_PAGESIZE);

    buf_init(&content, STATM_MAX);
    if (page_size > 0 &&
        sys_read_file("/proc/self/statm", STATM_MAX, &content) == 0) {
        char *field;

        buf_put_u8(&content, 0);
        /* proc(5): size, resident, ... in pages. */
        field =
            buf_error(&content) == 0 ? strchr((char *)content.data, ' ') : NULL;
        pages = field == NULL ? 0 : strtoull(field, NULL, 10);
    }
    buf_close(&content);
    return pages * (uint64_t)(page_size > 0 ? page_size : 0);
}
