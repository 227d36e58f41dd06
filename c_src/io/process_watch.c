/* SPDX-License-Identifier: Apache-2.0
 * Watches a process, and may kill it, by a pidfd, which names the process and
 * not a number that may be given to another one. The start time is compared
 * after the pidfd is open: if it is the right one then, the pidfd is the right
 * process. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/loop_internal.h"
#include "io/sys.h"

#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <unistd.h>

enum {
    STAT_MAX = 4096, /* bytes of /proc/PID/stat */
    PATH_SIZE = 64,
    FIELD_AFTER_NAME = 3,  /* proc(5): state */
    FIELD_START_TIME = 22, /* proc(5): starttime */
};

struct process_watch {
    uv_poll_t poll;
    int fd;
    loop_cb *exited;
    void *arg;
    bool is_over;
};

/* Field 22; the name, field 2, is in parentheses and may hold anything. */
static int parse_start_time(char *text, uint64_t *ret_start_time)
{
    char *next = strrchr(text, ')');

    if (next == NULL) {
        return ERR_MALFORMED;
    }
    next++;
    for (int field = FIELD_AFTER_NAME; field < FIELD_START_TIME; field++) {
        next = strchr(next + 1, ' ');
        if (next == NULL) {
            return ERR_MALFORMED;
        }
    }
    *ret_start_time = strtoull(next, NULL, 10);
    return 0;
}

static int read_start_time(uint32_t pid, uint64_t *ret_start_time)
{
    char path[PATH_SIZE];
    struct buf content;
    int rv;

    (void)snprintf(path, sizeof(path), "/proc/%lu/stat", (unsigned long)pid);
    buf_init(&content, STAT_MAX);
    rv = sys_read_file(path, STAT_MAX, &content);
    if (rv == 0) {
        /* The buffer has room for one byte more than was allowed. */
        buf_put_u8(&content, 0);
        rv = buf_error(&content);
    }
    rv = rv != 0 ? rv : parse_start_time((char *)content.data, ret_start_time);
    buf_close(&content);
    return rv;
}

static void on_close(uv_handle_t *handle)
{
    struct process_watch *watch = (struct process_watch *)handle->data;

    (void)close(watch->fd); /* nothing was written */
    mem_free(watch);
}

static void on_poll(uv_poll_t *poll, int status, int events)
{
    struct process_watch *watch = (struct process_watch *)poll->data;

    (void)events;
    if (watch->is_over) {
        return;
    }
    /* An error is as good as an exit: nobody watches any more. */
    (void)status;
    watch->is_over = true;
    (void)uv_poll_stop(poll); /* cannot fail */
    watch->exited(watch->arg);
}

static int open_pidfd(uint32_t pid, uint64_t start_time, int *ret_fd)
{
    uint64_t found;
    long fd;
    int rv;

    if (pid == 0 || pid > INT32_MAX) {
        return ERR_NOT_FOUND;
    }
    fd = syscall(SYS_pidfd_open, (pid_t)pid, 0);
    if (fd < 0) {
        return errno == ESRCH || errno == EINVAL ? ERR_NOT_FOUND : ERR_IO;
    }
    rv = read_start_time(pid, &found);
    if (rv == 0 && found != start_time) {
        rv = ERR_NOT_FOUND;
    }
    if (rv != 0) {
        (void)close((int)fd); /* nothing was written */
        return rv == ERR_NOT_FOUND ? rv : ERR_IO;
    }
    *ret_fd = (int)fd;
    return 0;
}

int process_watch_new(struct loop *loop, uint32_t pid, uint64_t start_time,
                      loop_cb *exited, void *arg,
                      struct process_watch **ret_watch)
{
    struct process_watch *watch = mem_alloc(sizeof(*watch));
    int rv;

    if (watch == NULL) {
        return ERR_NOMEM;
    }
    rv = open_pidfd(pid, start_time, &watch->fd);
    if (rv != 0) {
        mem_free(watch);
        return rv;
    }
    watch->exited = exited;
    watch->arg = arg;
    if (uv_poll_init(loop_uv(loop), &watch->poll, watch->fd) != 0) {
        (void)close(watch->fd); /* nothing was written */
        mem_free(watch);
        return ERR_IO;
    }
    watch->poll.data = watch;
    if (uv_poll_start(&watch->poll, UV_READABLE, on_poll) != 0) {
        process_watch_free(watch);
        return ERR_IO;
    }
    *ret_watch = watch;
    return 0;
}

int process_watch_kill(const struct process_watch *watch)
{
    if (watch->is_over) {
        return ERR_NOT_FOUND;
    }
    if (syscall(SYS_pidfd_send_signal, watch->fd, SIGKILL, NULL, 0) == 0) {
        return 0;
    }
    return errno == ESRCH ? ERR_NOT_FOUND
                          : (errno == EPERM ? ERR_FORBIDDEN : ERR_IO);
}

void process_watch_free(struct process_watch *watch)
{
    if (watch != NULL) {
        watch->is_over = true;
        uv_close((uv_handle_t *)&watch->poll, on_close);
    }
}
