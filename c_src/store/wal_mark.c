/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wal_mark.h"

#include "base/err.h"
#include "store/wal_segment.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    DIGITS_OFFSET = 7, /* behind "newest " */
    DIGITS = 16,
    MARK_SIZE = DIGITS_OFFSET + DIGITS + 1
};

static void print(uint64_t newest, char ret_text[MARK_SIZE + 1])
{
    char name[WAL_SEGMENT_NAME_SIZE];

    wal_segment_name(newest, name);
    (void)snprintf(ret_text, MARK_SIZE + 1, "newest %.*s\n", DIGITS, name);
}

static int write_mark(int fd, const char *text)
{
    ssize_t written;

    do {
        written = pwrite(fd, text, MARK_SIZE, 0);
    } while (written < 0 && errno == EINTR);
    if (written != MARK_SIZE) {
        return wal_segment_status(written < 0 ? errno : EIO);
    }
    return fsync(fd) == 0 ? 0 : ERR_IO;
}

int wal_mark_put(int dir_fd, uint64_t newest)
{
    char text[MARK_SIZE + 1];
    int fd = openat(dir_fd, WAL_MARK_NAME, O_WRONLY | O_CLOEXEC);
    bool is_new = fd < 0 && errno == ENOENT;
    int rv;

    if (is_new) {
        fd =
            openat(dir_fd, WAL_MARK_NAME, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    }
    if (fd < 0) {
        return wal_segment_status(errno);
    }
    print(newest, text);
    rv = write_mark(fd, text);
    (void)close(fd); /* it was flushed */
    if (rv == 0 && is_new && fsync(dir_fd) != 0) {
        rv = ERR_IO;
    }
    return rv;
}

static int parse(const char *text, uint64_t *ret_newest)
{
    char name[WAL_SEGMENT_NAME_SIZE];
    char again[MARK_SIZE + 1];
    uint64_t newest;

    (void)snprintf(name, sizeof(name), "%.*s.wal", DIGITS,
                   text + DIGITS_OFFSET);
    newest = wal_segment_number(name);
    print(newest, again);
    if (newest == 0 || memcmp(text, again, MARK_SIZE) != 0) {
        return ERR_MALFORMED;
    }
    *ret_newest = newest;
    return 0;
}

int wal_mark_get(int dir_fd, uint64_t *ret_newest)
{
    char text[MARK_SIZE + 1] = {0}; /* one more, to see whether it ends */
    int fd = openat(dir_fd, WAL_MARK_NAME, O_RDONLY | O_CLOEXEC);
    ssize_t size;

    if (fd < 0) {
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    }
    do {
        size = pread(fd, text, sizeof(text), 0);
    } while (size < 0 && errno == EINTR);
    (void)close(fd); /* only read from */
    if (size < 0) {
        return ERR_IO;
    }
    if (size == 0) {
        return ERR_NOT_FOUND; /* a crash came before its first line */
    }
    return size == MARK_SIZE ? parse(text, ret_newest) : ERR_MALFORMED;
}
