/* SPDX-License-Identifier: Apache-2.0
 * io/loop: turns, the timer, waking, signals, standard input, and watched
 * processes. */
#include "base/mem.h"
#include "io/loop.h"
#include "io/sys.h"
#include "lib/test.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum { TEXT_SIZE = 256 };

struct fixture {
    struct loop *loop;
    struct process_watch *watch;
    uint64_t wanted_ms;
    int turns;
    int timers;
    int signum;
    int exits;
    int stop_after_turns;
    char text[TEXT_SIZE];
    size_t text_size;
    bool is_end;
};

static void on_turn(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;

    fixture->turns++;
    if (fixture->turns == fixture->stop_after_turns) {
        loop_stop(fixture->loop);
    }
}

static void on_timer(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;

    fixture->timers++;
    assert_true(loop_now_ms(fixture->loop) >= fixture->wanted_ms);
    if (fixture->timers == 3) {
        loop_stop(fixture->loop);
        return;
    }
    fixture->wanted_ms = loop_now_ms(fixture->loop) + 5;
    loop_set_deadline(fixture->loop, fixture->wanted_ms);
}

static void on_signal(void *arg, int signum)
{
    struct fixture *fixture = (struct fixture *)arg;

    fixture->signum = signum;
    loop_stop(fixture->loop);
}

static void on_stdin(void *arg, struct bytes bytes)
{
    struct fixture *fixture = (struct fixture *)arg;

    if (bytes.size == 0) {
        fixture->is_end = true;
        loop_stop(fixture->loop);
        return;
    }
    assert_true(fixture->text_size + bytes.size <= TEXT_SIZE);
    memcpy(fixture->text + fixture->text_size, bytes.data, bytes.size);
    fixture->text_size += bytes.size;
}

static void make_loop(struct fixture *fixture, bool has_stdin)
{
    const struct loop_config config = {.turn = on_turn,
                                       .timer = on_timer,
                                       .on_signal = on_signal,
                                       .on_stdin = has_stdin ? on_stdin : NULL,
                                       .arg = fixture};

    *fixture = (struct fixture){0};
    assert_ok(loop_new(&config, &fixture->loop));
}

static void the_timer_comes_when_its_time_has_come(void **state)
{
    struct fixture fixture;

    (void)state;
    make_loop(&fixture, false);
    fixture.wanted_ms = loop_now_ms(fixture.loop) + 20;
    loop_set_deadline(fixture.loop, fixture.wanted_ms);
    assert_ok(loop_run(fixture.loop));
    assert_int_equal(fixture.timers, 3);
    loop_free(fixture.loop);
}

static void a_deadline_in_the_past_is_due_at_once(void **state)
{
    struct fixture fixture;

    (void)state;
    make_loop(&fixture, false);
    loop_set_deadline(fixture.loop, 1);
    assert_ok(loop_run(fixture.loop));
    assert_int_equal(fixture.timers, 3);
    loop_free(fixture.loop);
}

static void an_idle_loop_sleeps(void **state)
{
    struct fixture fixture;

    (void)state;
    make_loop(&fixture, false);
    fixture.timers = 2;
    fixture.wanted_ms = loop_now_ms(fixture.loop) + 100;
    loop_set_deadline(fixture.loop, fixture.wanted_ms);
    assert_ok(loop_run(fixture.loop));
    /* One turn before it sleeps, few when it wakes. */
    assert_true(fixture.turns < 10);
    loop_free(fixture.loop);
}

static void *wake_from_outside(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;

    loop_wake(fixture->loop);
    return NULL;
}

static void another_thread_can_wake_it(void **state)
{
    struct fixture fixture;
    pthread_t thread;

    (void)state;
    make_loop(&fixture, false);
    fixture.stop_after_turns = 2; /* the second one is the wake's */
    assert_int_equal(pthread_create(&thread, NULL, wake_from_outside, &fixture),
                     0);
    assert_ok(loop_run(fixture.loop));
    assert_int_equal(pthread_join(thread, NULL), 0);
    loop_free(fixture.loop);
}

struct job {
    struct loop *loop;
    pthread_t worker;
    bool is_worked;
    bool is_done;
};

static void do_work(void *arg)
{
    struct job *job = (struct job *)arg;

    job->worker = pthread_self();
    job->is_worked = true;
}

static void end_work(void *arg)
{
    struct job *job = (struct job *)arg;

    assert_true(job->is_worked);
    assert_false(pthread_equal(job->worker, pthread_self()));
    job->is_done = true;
    loop_stop(job->loop);
}

static void work_is_done_beside_the_loop(void **state)
{
    struct fixture fixture;
    struct job job = {0};

    (void)state;
    make_loop(&fixture, false);
    job.loop = fixture.loop;
    mem_fail_after(0);
    assert_err(loop_work(fixture.loop, do_work, end_work, &job), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    assert_ok(loop_work(fixture.loop, do_work, end_work, &job));
    assert_ok(loop_run(fixture.loop));
    assert_true(job.is_done);
    loop_free(fixture.loop);
}

static void a_loop_that_is_freed_ends_its_work_first(void **state)
{
    struct fixture fixture;
    struct job job = {0};

    (void)state;
    make_loop(&fixture, false);
    job.loop = fixture.loop;
    assert_ok(loop_work(fixture.loop, do_work, end_work, &job));
    loop_free(fixture.loop);
    assert_true(job.is_done);
}

static void signals_arrive_as_callbacks(void **state)
{
    struct fixture fixture;

    (void)state;
    make_loop(&fixture, false);
    assert_int_equal(raise(SIGHUP), 0);
    assert_ok(loop_run(fixture.loop));
    assert_int_equal(fixture.signum, SIGHUP);
    loop_free(fixture.loop);
}

/* Runs a loop whose standard input is `fd`; closes it. */
static void read_from(struct fixture *fixture, int fd)
{
    int saved = dup(STDIN_FILENO);

    assert_true(fd >= 0);
    assert_int_equal(dup2(fd, STDIN_FILENO), STDIN_FILENO);
    (void)close(fd);
    make_loop(fixture, true);
    assert_ok(loop_run(fixture->loop));
    loop_free(fixture->loop);
    if (saved >= 0) {
        assert_int_equal(dup2(saved, STDIN_FILENO), STDIN_FILENO);
        (void)close(saved);
    }
}

static void standard_input_can_be_a_pipe(void **state)
{
    struct fixture fixture;
    int fds[2];

    (void)state;
    assert_int_equal(pipe(fds), 0);
    assert_int_equal(write(fds[1], "cookie\n", 7), 7);
    (void)close(fds[1]);
    read_from(&fixture, fds[0]);
    assert_true(fixture.is_end);
    assert_int_equal(fixture.text_size, 7);
    assert_memory_equal(fixture.text, "cookie\n", 7);
}

static void standard_input_can_be_a_file(void **state)
{
    char path[] = "/tmp/quorate-stdin-XXXXXX";
    struct fixture fixture;
    int fd = mkstemp(path);

    (void)state;
    assert_int_equal(write(fd, "from a file", 11), 11);
    assert_int_equal(lseek(fd, 0, SEEK_SET), 0);
    read_from(&fixture, fd);
    (void)unlink(path);
    assert_true(fixture.is_end);
    assert_memory_equal(fixture.text, "from a file", 11);
}

static void standard_input_can_be_the_null_device(void **state)
{
    struct fixture fixture;

    (void)state;
    read_from(&fixture, open("/dev/null", O_RDONLY));
    assert_true(fixture.is_end);
    assert_int_equal(fixture.text_size, 0);
}

/* --- Processes ------------------------------------------------------------ */

static void on_exit_seen(void *arg)
{
    struct fixture *fixture = (struct fixture *)arg;

    fixture->exits++;
    process_watch_free(fixture->watch);
    loop_stop(fixture->loop);
}

/* Field 22 of /proc/PID/stat; the name of a test has no blank in it. */
static uint64_t start_time_of(pid_t pid)
{
    char path[64];
    struct buf content;
    char *next;

    (void)snprintf(path, sizeof(path), "/proc/%ld/stat", (long)pid);
    buf_init(&content, 0);
    assert_ok(sys_read_file(path, 4096, &content));
    content.size_max = 5000;
    buf_put_u8(&content, 0);
    next = (char *)content.data;
    for (int field = 1; field < 22; field++) {
        next = strchr(next, ' ') + 1;
    }
    {
        uint64_t start_time = strtoull(next, NULL, 10);

        buf_close(&content);
        return start_time;
    }
}

static pid_t start_child(void)
{
    pid_t pid = fork();

    if (pid == 0) {
        for (;;) {
            (void)pause();
        }
    }
    assert_true(pid > 0);
    return pid;
}

static void end_child(pid_t pid)
{
    int status;

    (void)kill(pid, SIGKILL);
    assert_int_equal(waitpid(pid, &status, 0), pid);
}

static void the_exit_of_a_process_is_seen_once(void **state)
{
    struct fixture fixture;
    pid_t pid = start_child();
    int status;

    (void)state;
    make_loop(&fixture, false);
    assert_ok(process_watch_new(fixture.loop, (uint32_t)pid, start_time_of(pid),
                                on_exit_seen, &fixture, &fixture.watch));
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_ok(loop_run(fixture.loop));
    assert_int_equal(fixture.exits, 1);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    loop_free(fixture.loop);
}

static void another_process_of_the_same_number_is_not_watched(void **state)
{
    struct fixture fixture;
    pid_t pid = start_child();
    uint64_t start_time = start_time_of(pid);

    (void)state;
    make_loop(&fixture, false);
    assert_err(process_watch_new(fixture.loop, (uint32_t)pid, start_time + 1,
                                 on_exit_seen, &fixture, &fixture.watch),
               ERR_NOT_FOUND);
    end_child(pid);
    assert_err(process_watch_new(fixture.loop, (uint32_t)pid, start_time,
                                 on_exit_seen, &fixture, &fixture.watch),
               ERR_NOT_FOUND);
    assert_err(process_watch_new(fixture.loop, 0, 0, on_exit_seen, &fixture,
                                 &fixture.watch),
               ERR_NOT_FOUND);
    loop_free(fixture.loop);
}

static void a_watch_that_is_freed_says_nothing(void **state)
{
    struct fixture fixture;
    pid_t pid = start_child();

    (void)state;
    make_loop(&fixture, false);
    assert_ok(process_watch_new(fixture.loop, (uint32_t)pid, start_time_of(pid),
                                on_exit_seen, &fixture, &fixture.watch));
    process_watch_free(fixture.watch);
    process_watch_free(NULL);
    end_child(pid);
    loop_set_deadline(fixture.loop, 1);
    assert_ok(loop_run(fixture.loop));
    assert_int_equal(fixture.exits, 0);
    loop_free(fixture.loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_timer_comes_when_its_time_has_come),
        cmocka_unit_test(a_deadline_in_the_past_is_due_at_once),
        cmocka_unit_test(an_idle_loop_sleeps),
        cmocka_unit_test(another_thread_can_wake_it),
        cmocka_unit_test(work_is_done_beside_the_loop),
        cmocka_unit_test(a_loop_that_is_freed_ends_its_work_first),
        cmocka_unit_test(signals_arrive_as_callbacks),
        cmocka_unit_test(standard_input_can_be_a_pipe),
        cmocka_unit_test(standard_input_can_be_a_file),
        cmocka_unit_test(standard_input_can_be_the_null_device),
        cmocka_unit_test(the_exit_of_a_process_is_seen_once),
        cmocka_unit_test(another_process_of_the_same_number_is_not_watched),
        cmocka_unit_test(a_watch_that_is_freed_says_nothing),
    };

    loop_free(NULL);
    return cmocka_run_group_tests_name("io/loop", tests, NULL, NULL);
}
