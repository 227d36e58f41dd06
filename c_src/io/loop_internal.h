/* SPDX-License-Identifier: Apache-2.0
 * What the rest of io/ needs of the loop. One turn is
 *
 *   input callbacks, timers ─▶ settle hooks ─▶ turn ─▶ flush hooks ─▶ block */
#ifndef QUORATE_IO_LOOP_INTERNAL_H
#define QUORATE_IO_LOOP_INTERNAL_H

#include "base/list.h"
#include "io/loop.h"

#include <uv.h>

struct loop_hook {
    struct list link;
    loop_cb *settle; /* before `turn`: reports what has happened */
    loop_cb *flush;  /* after `turn`: writes what was gathered */
    void *arg;
};

/* The hook is borrowed until it is removed. */
void loop_add_hook(struct loop *loop, struct loop_hook *hook);
void loop_remove_hook(struct loop_hook *hook);

/* Asks for another turn without blocking before it; loop thread only. */
void loop_again(struct loop *loop);

/* A peer sent so many bytes: more may follow within microseconds. */
void loop_had_input(struct loop *loop, size_t size);
void loop_had_frames(struct loop *loop, size_t count); /* in this turn */

/* A peer was sent something: it may be an answer, and the next call follow. */
void loop_had_output(struct loop *loop);

/* How often it stayed awake, or waited, before it blocked. */
uint64_t loop_await_count(const struct loop *loop);

uv_loop_t *loop_uv(struct loop *loop);

/* Reads standard input, whatever it is, until its end or until freed. */
struct loop_stdin;
int loop_stdin_new(struct loop *loop, loop_stdin_cb *cb, void *arg,
                   struct loop_stdin **ret_stdin) MUST_USE;
/* The memory is given back by a close callback. NULL is allowed. */
void loop_stdin_free(struct loop_stdin *input);

#endif
