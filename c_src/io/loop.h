/* SPDX-License-Identifier: Apache-2.0
 * The event loop: one thread, one timer, work gathered in a turn and done
 * once at its end. Hides libuv from node/ and cli/. */
#ifndef QUORATE_IO_LOOP_H
#define QUORATE_IO_LOOP_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

struct loop;

typedef void loop_cb(void *arg);
typedef void loop_signal_cb(void *arg, int signum);
/* More bytes from standard input; size 0: end of file. */
typedef void loop_stdin_cb(void *arg, struct bytes bytes);

struct loop_config {
    loop_cb *turn;  /* once per turn, after all input of it; before flush */
    loop_cb *timer; /* loop_set_deadline() has come; a turn follows; NULL: that
                       is enough */
    loop_signal_cb *on_signal; /* SIGTERM, SIGINT, SIGHUP */
    loop_stdin_cb *on_stdin;   /* NULL: standard input is not read */
    void *arg;
};

int loop_new(const struct loop_config *config, struct loop **ret_loop) MUST_USE;
void loop_free(struct loop *loop); /* NULL is allowed */

/* Runs until loop_stop(). */
int loop_run(struct loop *loop) MUST_USE;
void loop_stop(struct loop *loop);

/* CLOCK_BOOTTIME in milliseconds, read once per turn. */
uint64_t loop_now_ms(const struct loop *loop);

/* Of a clock that only differences can be taken of: that of this instant, not
 * of the turn. */
uint64_t loop_clock_us(void);

/* The one timer: absolute, by loop_now_ms(); UINT64_MAX: none. */
void loop_set_deadline(struct loop *loop, uint64_t deadline_ms);

/* Wakes the loop from any thread: `turn` runs soon. */
void loop_wake(struct loop *loop);

/* Runs `work` in another thread, and then `done` in the loop's, also while the
 * loop is freed: both get `arg`, which must live until then. 0, ERR_NOMEM,
 * ERR_IO: neither is called. */
int loop_work(struct loop *loop, loop_cb *work, loop_cb *done,
              void *arg) MUST_USE;

/* Tells when a process exits (pidfd). 0 and a watch; ERR_NOT_FOUND if it is
 * gone already or its start time (field 22 of /proc/PID/stat) differs;
 * ERR_IO. `exited` is called once, on the loop. Free with process_watch_free()
 * at any time, also in the callback. */
struct process_watch;
int process_watch_new(struct loop *loop, uint32_t pid, uint64_t start_time,
                      loop_cb *exited, void *arg,
                      struct process_watch **ret_watch) MUST_USE;
/* Kills it, also if it is stopped; `exited` is called when it is gone. 0,
 * ERR_NOT_FOUND (it is over already), ERR_FORBIDDEN, ERR_IO. */
int process_watch_kill(const struct process_watch *watch) MUST_USE;
void process_watch_free(struct process_watch *watch);

/* boot id and pid namespace of this process as docs/protocol.md 2 has them;
 * static strings, "" if unknown. */
const char *host_boot_id(void);
const char *host_pid_namespace(void);

#endif
