/* SPDX-License-Identifier: Apache-2.0
 * Standard input. Pipes, sockets and terminals are read as streams. Files and
 * devices such as /dev/null never block and are read in steps by an idle
 * handle. Our end of file is the death of who started us, so any error counts
 * as one. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/loop_internal.h"

#include <errno.h>
#include <unistd.h>

enum { READ_SIZE = 16 * 1024 }; /* bytes */

struct loop_stdin {
    union {
        uv_handle_t any;
        uv_stream_t stream;
        uv_pipe_t pipe;
        uv_tcp_t tcp;
        uv_tty_t tty;
        uv_idle_t idle; /* files */
    } handle;
    loop_stdin_cb *cb;
    void *arg;
    bool is_freed; /* by its owner; memory goes with the handle */
    bool is_over;
    uint8_t room[READ_SIZE];
};

static void on_close(uv_handle_t *handle)
{
    mem_free(handle->data);
}

/* Reports the end once. */
static void end(struct loop_stdin *input)
{
    if (!input->is_over && !input->is_freed) {
        input->is_over = true;
        input->cb(input->arg, bytes_of(NULL, 0));
    }
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret_buf)
{
    struct loop_stdin *input = (struct loop_stdin *)handle->data;

    (void)size;
    *ret_buf = uv_buf_init((char *)input->room, sizeof(input->room));
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct loop_stdin *input = (struct loop_stdin *)stream->data;

    (void)buf;
    if (size > 0) {
        input->cb(input->arg, bytes_of(input->room, (size_t)size));
    } else if (size < 0) {
        (void)uv_read_stop(stream); /* cannot fail */
        end(input);
    }
}

static void on_idle(uv_idle_t *idle)
{
    struct loop_stdin *input = (struct loop_stdin *)idle->data;
    ssize_t size = read(STDIN_FILENO, input->room, sizeof(input->room));

    if (size > 0) {
        input->cb(input->arg, bytes_of(input->room, (size_t)size));
    } else if (size == 0 || errno != EINTR) {
        (void)uv_idle_stop(idle); /* cannot fail */
        end(input);
    }
}

/* A stream handle on the descriptor, or an idle handle where that cannot be. */
static int open_handle(uv_loop_t *uv, struct loop_stdin *input)
{
    uv_handle_type type = uv_guess_handle(STDIN_FILENO);
    int rv;

    if (type == UV_NAMED_PIPE) {
        ensure(uv_pipe_init(uv, &input->handle.pipe, 0) == 0);
        rv = uv_pipe_open(&input->handle.pipe, STDIN_FILENO);
    } else if (type == UV_TCP) {
        ensure(uv_tcp_init(uv, &input->handle.tcp) == 0);
        rv = uv_tcp_open(&input->handle.tcp, STDIN_FILENO);
    } else if (type == UV_TTY) {
        rv = uv_tty_init(uv, &input->handle.tty, STDIN_FILENO, 0);
        if (rv != 0) {
            return ERR_IO; /* no handle was made */
        }
    } else {
        ensure(uv_idle_init(uv, &input->handle.idle) == 0);
        input->handle.any.data = input;
        ensure(uv_idle_start(&input->handle.idle, on_idle) == 0);
        return 0;
    }
    input->handle.any.data = input;
    if (rv == 0) {
        rv = uv_read_start(&input->handle.stream, on_alloc, on_read);
    }
    if (rv != 0) {
        loop_stdin_free(input);
        return ERR_CLOSED;
    }
    return 0;
}

int loop_stdin_new(struct loop *loop, loop_stdin_cb *cb, void *arg,
                   struct loop_stdin **ret_stdin)
{
    struct loop_stdin *input = mem_alloc(sizeof(*input));
    int rv;

    if (input == NULL) {
        return ERR_NOMEM;
    }
    input->cb = cb;
    input->arg = arg;
    rv = open_handle(loop_uv(loop), input);
    if (rv == ERR_CLOSED) {
        return ERR_IO; /* its handle is closing and frees it */
    }
    if (rv != 0) {
        mem_free(input);
        return rv;
    }
    *ret_stdin = input;
    return 0;
}

void loop_stdin_free(struct loop_stdin *input)
{
    if (input != NULL && !input->is_freed) {
        input->is_freed = true;
        uv_close(&input->handle.any, on_close);
    }
}
