/* SPDX-License-Identifier: Apache-2.0
 * The event loop over libuv. The prepare handle runs just before libuv blocks,
 * when all input and all timers of the turn have had their callbacks: that is
 * where a turn ends. */
#include "io/loop.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/coalesce.h"
#include "io/loop_internal.h"

#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <time.h>

static const int signal_numbers[] = {SIGTERM, SIGINT, SIGHUP};

enum {
    SIGNAL_COUNT = sizeof(signal_numbers) / sizeof(signal_numbers[0]),
    LINGER_NS = 25 * 1000,  /* awake for more input before blocking */
    LINGER_SIZE_MAX = 1024, /* bytes: a call or two */
};

/* Read lazily, by functions that take a constant loop. */
struct turn_clock {
    uint64_t now_ms;
    bool is_stale;
};

struct loop {
    uv_loop_t uv;
    uv_timer_t timer;
    uv_prepare_t prepare;
    uv_idle_t again; /* active while another turn is asked for */
    uv_async_t wake;
    uv_signal_t signals[SIGNAL_COUNT];
    struct loop_stdin *input; /* NULL: not read */
    struct loop_config config;
    struct list hooks;        /* of struct loop_hook */
    struct turn_clock *clock; /* owned */
    uint64_t deadline_ms;     /* wanted */
    uint64_t deadline_set_ms; /* what the timer is set for */
    size_t input_size;        /* bytes that peers sent in this turn */
    size_t input_frames;      /* frames that ended in it */
    bool has_output;          /* peers were sent something in it */
    uint64_t await_count;
    struct coalesce coalesce;
};

/* --- Time ----------------------------------------------------------------- */

uint64_t loop_now_ms(const struct loop *loop)
{
    struct turn_clock *clock = loop->clock;

    if (clock->is_stale) {
        struct timespec now;

        /* BOOTTIME goes on while the machine sleeps, as leases do. */
        ensure(clock_gettime(CLOCK_BOOTTIME, &now) == 0);
        clock->now_ms =
            (uint64_t)now.tv_sec * 1000 + (uint64_t)now.tv_nsec / 1000000;
        clock->is_stale = false;
    }
    return clock->now_ms;
}

uint64_t loop_clock_us(void)
{
    return uv_hrtime() / 1000;
}

static void on_timer(uv_timer_t *timer)
{
    struct loop *loop = (struct loop *)timer->data;

    loop->deadline_set_ms = UINT64_MAX;
    if (loop->deadline_ms > loop_now_ms(loop)) {
        return; /* the clocks differ by a little; it is set again */
    }
    loop->deadline_ms = UINT64_MAX;
    if (loop->config.timer != NULL) {
        loop->config.timer(loop->config.arg);
    }
}

void loop_set_deadline(struct loop *loop, uint64_t deadline_ms)
{
    loop->deadline_ms = deadline_ms;
}

/* Deadlines change many times in a turn; the timer is set once. */
static void set_timer(struct loop *loop)
{
    uint64_t now_ms;
    uint64_t delay_ms;

    if (loop->deadline_ms == loop->deadline_set_ms) {
        return;
    }
    loop->deadline_set_ms = loop->deadline_ms;
    if (loop->deadline_ms == UINT64_MAX) {
        (void)uv_timer_stop(&loop->timer); /* cannot fail */
        return;
    }
    now_ms = loop_now_ms(loop);
    delay_ms = loop->deadline_ms > now_ms ? loop->deadline_ms - now_ms : 0;
    uv_update_time(&loop->uv);
    ensure(uv_timer_start(&loop->timer, on_timer, delay_ms, 0) == 0);
}

/* --- Turns ---------------------------------------------------------------- */

/* A hook may not remove another one from within its callbacks. */
static void run_hooks(struct loop *loop, bool is_flush)
{
    struct list *next;

    for (struct list *node = loop->hooks.next; node != &loop->hooks;
         node = next) {
        const struct loop_hook *hook = LIST_ENTRY(node, struct loop_hook, link);

        next = node->next;
        if (is_flush) {
            hook->flush(hook->arg);
        } else {
            hook->settle(hook->arg);
        }
    }
}

static uint64_t monotonic_ns(void)
{
    struct timespec now;

    ensure(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000U + (uint64_t)now.tv_nsec;
}

/* A caller that waits for one answer sends its next call some microseconds
 * after it: being awake then is cheaper for both than going to sleep and being
 * woken. Virtual machines do the same. Bounded, and only after an answer or the
 * little input of a caller or two: of many, the next one is there before a turn
 * is over. */
static void linger(struct loop *loop)
{
    struct pollfd events = {.fd = uv_backend_fd(&loop->uv), .events = POLLIN};
    uint64_t until_ns = monotonic_ns() + LINGER_NS;

    while (poll(&events, 1, 0) == 0 && monotonic_ns() < until_ns) {
        sched_yield();
    }
}

static void wait_ns(long ns)
{
    const struct timespec wait = {.tv_nsec = ns};

    (void)nanosleep(&wait, NULL); /* a signal may end it */
}

/* Before the loop blocks. Whoever is owed a turn does not wait for it. */
static void await_input(struct loop *loop)
{
    if (uv_is_active((uv_handle_t *)(void *)&loop->again)) {
        return;
    }
    loop->await_count++;
    if (loop->input_size > 0 &&
        coalesce_turn(&loop->coalesce, loop->input_frames, monotonic_ns())) {
        wait_ns(COALESCE_WAIT_NS);
    } else if (loop->input_size <= LINGER_SIZE_MAX) {
        linger(loop);
    }
}

static void on_prepare(uv_prepare_t *prepare)
{
    struct loop *loop = (struct loop *)prepare->data;

    (void)uv_idle_stop(&loop->again); /* cannot fail */
    run_hooks(loop, false);
    if (loop->config.turn != NULL) {
        loop->config.turn(loop->config.arg);
    }
    run_hooks(loop, true);
    set_timer(loop);
    loop->clock->is_stale = true;
    if (loop->input_size > 0 || loop->has_output) {
        await_input(loop);
    }
    loop->input_size = 0;
    loop->input_frames = 0;
    loop->has_output = false;
}

void loop_had_input(struct loop *loop, size_t size)
{
    loop->input_size += size;
}

void loop_had_frames(struct loop *loop, size_t count)
{
    loop->input_frames += count;
}

void loop_had_output(struct loop *loop)
{
    loop->has_output = true;
}

uint64_t loop_await_count(const struct loop *loop)
{
    return loop->await_count;
}

static void on_again(uv_idle_t *idle)
{
    (void)idle; /* an active idle handle keeps libuv from blocking */
}

void loop_again(struct loop *loop)
{
    ensure(uv_idle_start(&loop->again, on_again) == 0);
}

static void on_wake(uv_async_t *async)
{
    (void)async; /* to be awake is all that was asked for */
}

void loop_wake(struct loop *loop)
{
    ensure(uv_async_send(&loop->wake) == 0);
}

void loop_add_hook(struct loop *loop, struct loop_hook *hook)
{
    list_append(&loop->hooks, &hook->link);
}

void loop_remove_hook(struct loop_hook *hook)
{
    list_remove(&hook->link);
}

static void on_signal(uv_signal_t *signal, int signum)
{
    struct loop *loop = (struct loop *)signal->data;

    if (loop->config.on_signal != NULL) {
        loop->config.on_signal(loop->config.arg, signum);
    }
}

/* --- Life ----------------------------------------------------------------- */

uv_loop_t *loop_uv(struct loop *loop)
{
    return &loop->uv;
}

/* Signals are left alone when nobody wants them, as in the command line. */
static int start_signals(struct loop *loop)
{
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        ensure(uv_signal_init(&loop->uv, &loop->signals[i]) == 0);
        loop->signals[i].data = loop;
    }
    if (loop->config.on_signal == NULL) {
        return 0;
    }
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        if (uv_signal_start(&loop->signals[i], on_signal, signal_numbers[i]) !=
            0) {
            return ERR_IO;
        }
    }
    return 0;
}

static int start(struct loop *loop)
{
    int rv;

    ensure(uv_timer_init(&loop->uv, &loop->timer) == 0);
    ensure(uv_prepare_init(&loop->uv, &loop->prepare) == 0);
    ensure(uv_idle_init(&loop->uv, &loop->again) == 0);
    loop->timer.data = loop;
    loop->prepare.data = loop;
    ensure(uv_prepare_start(&loop->prepare, on_prepare) == 0);
    rv = start_signals(loop);
    if (rv == 0 && loop->config.on_stdin != NULL) {
        rv = loop_stdin_new(loop, loop->config.on_stdin, loop->config.arg,
                            &loop->input);
    }
    return rv;
}

int loop_new(const struct loop_config *config, struct loop **ret_loop)
{
    struct loop *loop = mem_alloc(sizeof(*loop));
    struct turn_clock *clock = mem_alloc(sizeof(*clock));
    int rv = ERR_NOMEM;

    if (loop == NULL || clock == NULL) {
        goto free_memory;
    }
    rv = ERR_IO;
    if (uv_loop_init(&loop->uv) != 0) {
        goto free_memory;
    }
    if (uv_async_init(&loop->uv, &loop->wake, on_wake) != 0) {
        (void)uv_loop_close(&loop->uv); /* it has no handles yet */
        goto free_memory;
    }
    loop->config = *config;
    loop->clock = clock;
    clock->is_stale = true;
    coalesce_init(&loop->coalesce, monotonic_ns());
    loop->deadline_ms = UINT64_MAX;
    loop->deadline_set_ms = UINT64_MAX;
    list_init(&loop->hooks);
    /* A peer that goes away while we write is an error code. */
    (void)signal(SIGPIPE, SIG_IGN); /* fails for no valid signal number */
    (void)signal(SIGXFSZ, SIG_IGN); /* idem; the write then fails instead */
    rv = start(loop);
    if (rv != 0) {
        loop_free(loop);
        return rv;
    }
    *ret_loop = loop;
    return 0;

free_memory:
    mem_free(clock);
    mem_free(loop);
    return rv;
}

static void close_handle(void *handle)
{
    uv_close((uv_handle_t *)handle, NULL);
}

void loop_free(struct loop *loop)
{
    if (loop == NULL) {
        return;
    }
    ensure(list_is_empty(&loop->hooks));
    loop_stdin_free(loop->input);
    for (size_t i = 0; i < SIGNAL_COUNT; i++) {
        close_handle(&loop->signals[i]);
    }
    close_handle(&loop->timer);
    close_handle(&loop->prepare);
    close_handle(&loop->again);
    close_handle(&loop->wake);
    /* Runs the close callbacks, also those of peers and watches. uv_stop() may
     * be pending from before, so that one run is not always enough. */
    while (uv_run(&loop->uv, UV_RUN_DEFAULT) != 0) {
    }
    ensure(uv_loop_close(&loop->uv) == 0);
    mem_free(loop->clock);
    mem_free(loop);
}

int loop_run(struct loop *loop)
{
    /* Not 0 when stopped: our own handles are still active. */
    (void)uv_run(&loop->uv, UV_RUN_DEFAULT);
    return 0;
}

void loop_stop(struct loop *loop)
{
    uv_stop(&loop->uv);
}
