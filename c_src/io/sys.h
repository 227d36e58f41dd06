/* SPDX-License-Identifier: Apache-2.0
 * Small services of the operating system: randomness, digests, files, locks,
 * memory figures, log lines. */
#ifndef QUORATE_IO_SYS_H
#define QUORATE_IO_SYS_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

/* getrandom(); never fails (aborts if the kernel has none). */
void sys_random(void *data, size_t size);

/* MD5, for the handshake. */
void sys_md5(struct bytes data, uint8_t ret_digest[16]);

/* Reads a whole file of at most `size_max` bytes: 0, ERR_NOT_FOUND, ERR_LIMIT,
 * ERR_IO. */
int sys_read_file(const char *path, size_t size_max,
                  struct buf *ret_content) MUST_USE;

/* Reads a cookie file: refused (ERR_FORBIDDEN) if others may read it; white
 * space at the end is cut; 1..255 bytes (ERR_BADARG). `error` gets a line
 * that says what is wrong and what to do. */
int sys_read_cookie(const char *path, struct buf *ret_cookie,
                    struct buf *error) MUST_USE;

/* Whether an open file holds a secret as it should: a regular file that others
 * may not read. `what` it is stands in the line that `error` gets. 0,
 * ERR_BADARG, ERR_FORBIDDEN, ERR_IO. */
int sys_check_secret(int fd, const char *what, const char *path,
                     struct buf *error) MUST_USE;

/* Makes the directory (and parents, mode 0700) and locks it by flock() on the
 * file `lock` in it. The lock lives until sys_unlock_dir() or the end of the
 * process. ERR_IN_USE: another process has it and kept it for 2 s (its pid goes
 * to `error`). */
struct sys_lock {
    int fd;
};
int sys_lock_dir(const char *dir, struct sys_lock *ret_lock,
                 struct buf *error) MUST_USE;
void sys_unlock_dir(struct sys_lock *lock);

/* Keeps members off a directory that is only read: makes nothing, waits for
 * nobody. A directory without the file `lock` (a copy) needs none. Ended by
 * sys_unlock_dir(). 0, ERR_NOT_FOUND (no directory), ERR_BADARG, ERR_IN_USE,
 * ERR_IO. */
int sys_lock_dir_to_read(const char *dir, struct sys_lock *ret_lock,
                         struct buf *error) MUST_USE;

/* Writes a file so that it is there whole or not at all: temporary name,
 * fsync, rename, fsync of the directory. */
int sys_write_file(const char *path, struct bytes content) MUST_USE;

/* The same for a file that must not be there yet, with mode 0600: ERR_EXISTS,
 * and nothing is changed. */
int sys_create_file(const char *path, struct bytes content) MUST_USE;

/* Makes what was renamed into a directory last: it goes to disk. */
int sys_sync_dir(const char *dir) MUST_USE;

/* Makes a directory and its parents, mode 0700; those that are there stay as
 * they are. 0, or ERR_BADARG or ERR_IO with the reason in errno. */
int sys_make_dirs(const char *dir) MUST_USE;

/* The wall clock: seconds since 1970. Only for people to read. */
uint64_t sys_wall_s(void);

/* Resident memory of this process in bytes; 0 if unknown. */
uint64_t sys_resident_bytes(void);

/* One line on standard error: `ts=... level=L event=E key=value ...`. `format`
 * has the key=value part; values with blanks are quoted by the caller with
 * LOG_TEXT's help. Lines of one event beyond 20 in a second are counted and
 * reported as suppressed=N. */
enum log_level { LOG_ERROR, LOG_WARN, LOG_INFO, LOG_DEBUG };
void log_set_level(enum log_level level);
void log_line(enum log_level level, const char *event, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* What the system knows of a TCP connection, since it stands. */
struct sys_tcp_traffic {
    uint64_t packets;  /* that have come, with something new in them or not */
    uint64_t received; /* bytes in them that were new */
    uint64_t acked;    /* bytes that the other system has said to have */
};

/* False: it does not tell. */
bool sys_tcp_traffic(int fd, struct sys_tcp_traffic *ret_traffic) MUST_USE;

#endif
