/* SPDX-License-Identifier: Apache-2.0
 * Snapshots through their thread, and through power cuts. */
#define CRASH_LOSES_DATA
#include "base/mem.h"
#include "store/snapshots.h"
#include "unit/store/crash.h"
#include "unit/store/snapshot_fixture.h"

#include <pthread.h>
#include <sys/wait.h>

enum { CHUNK = SNAPSHOT_CHUNK_SIZE, PIECE = 10000 };

struct bell {
    pthread_mutex_t mutex;
    pthread_cond_t rung;
    uint64_t count;
};

static struct bell bell = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER,
                           0};

static void ring(void *arg)
{
    struct bell *its = arg;

    pthread_mutex_lock(&its->mutex);
    its->count++;
    pthread_cond_signal(&its->rung);
    pthread_mutex_unlock(&its->mutex);
}

static struct snapshots *open_snapshots(const struct fixture *fixture)
{
    struct snapshots_config config = {
        .dir = fixture->dir, .ready = ring, .arg = &bell};
    struct snapshots *snapshots;

    assert_ok(snapshots_open(&config, &snapshots));
    return snapshots;
}

static struct snapshots_result wait_for(struct snapshots *snapshots,
                                        enum snapshots_result_type type)
{
    struct snapshots_result result;

    pthread_mutex_lock(&bell.mutex);
    while (snapshots_take(snapshots, &result) != 0) {
        pthread_cond_wait(&bell.rung, &bell.mutex);
    }
    pthread_mutex_unlock(&bell.mutex);
    assert_int_equal(result.type, type);
    return result;
}

/* As much as is taken; the rest when the thread has made room. */
static void append_all(struct snapshots *snapshots, struct bytes data)
{
    struct cursor cursor = cursor_of(data);

    while (cursor_left(&cursor) > 0) {
        struct bytes piece;
        int rv;

        assert_ok(cursor_take(&cursor, size_min(PIECE, cursor_left(&cursor)),
                              &piece));
        pthread_mutex_lock(&bell.mutex);
        while ((rv = snapshots_append(snapshots, piece)) == ERR_BUSY) {
            pthread_cond_wait(&bell.rung, &bell.mutex);
        }
        pthread_mutex_unlock(&bell.mutex);
        assert_ok(rv);
    }
}

static int take_own(struct fixture *fixture, struct snapshots *snapshots,
                    uint64_t index)
{
    struct snapshot_meta meta = make_meta(index);
    struct snapshots_result result;

    assert_ok(snapshots_begin(snapshots, index));
    append_all(snapshots, buf_bytes(&fixture->state));
    assert_ok(snapshots_finish(snapshots, &meta));
    result = wait_for(snapshots, SNAPSHOTS_TAKEN);
    assert_int_equal(result.meta.index, index);
    if (result.status == 0) {
        assert_int_equal(result.meta.size, fixture->state.size);
    }
    return result.status;
}

static void the_newest_one_takes_the_place_of_older_ones(void **state)
{
    struct fixture *fixture = *state;
    struct snapshots *snapshots = open_snapshots(fixture);
    uint64_t newest;

    make_state(fixture, 2 * CHUNK + 3, 1);
    assert_ok(snapshot_newest(fixture->dir, UINT64_MAX, &newest));
    assert_int_equal(newest, 0);
    assert_ok(take_own(fixture, snapshots, 10));
    snapshots_need(snapshots, 10); /* it is being sent */
    assert_ok(take_own(fixture, snapshots, 20));
    assert_true(has_file(fixture, 10, SNAPSHOT_WHOLE));
    snapshots_need(snapshots, 20);
    assert_ok(take_own(fixture, snapshots, 30));
    assert_false(has_file(fixture, 10, SNAPSHOT_WHOLE));
    assert_true(has_file(fixture, 20, SNAPSHOT_WHOLE));
    assert_ok(check_snapshot(fixture, 30));
    assert_ok(snapshot_newest(fixture->dir, UINT64_MAX, &newest));
    assert_int_equal(newest, 30);
    assert_ok(snapshot_newest(fixture->dir, 30, &newest));
    assert_int_equal(newest, 20);
    assert_ok(snapshot_newest(fixture->dir, 20, &newest));
    assert_int_equal(newest, 0);
    snapshot_remove(fixture->dir_fd, 30);
    assert_false(has_file(fixture, 30, SNAPSHOT_WHOLE));
    assert_int_equal(snapshots_waiting(snapshots), 0);
    snapshots_close(snapshots);
}

static void more_than_the_queue_holds_waits(void **state)
{
    struct fixture *fixture = *state;
    struct snapshots *snapshots = open_snapshots(fixture);
    struct bytes data;
    uint64_t count = 0;
    int rv;

    make_state(fixture, 4 * 1024 * 1024, 1);
    data = buf_bytes(&fixture->state);
    /* The thread is held where it tells that the first one is done. */
    pthread_mutex_lock(&bell.mutex);
    assert_ok(snapshots_begin(snapshots, 10));
    while ((rv = snapshots_append(snapshots, data)) == 0) {
        count++;
        assert_true(count <= 16);
    }
    pthread_mutex_unlock(&bell.mutex);
    assert_err(rv, ERR_BUSY);
    assert_int_equal(count, 16);
    snapshots_close(snapshots);
    assert_false(has_file(fixture, 10, SNAPSHOT_OWN));
    assert_false(has_file(fixture, 10, SNAPSHOT_WHOLE));
}

static void an_unfinished_own_one_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct snapshots *snapshots = open_snapshots(fixture);

    make_state(fixture, 2 * CHUNK, 1);
    assert_ok(take_own(fixture, snapshots, 10));
    assert_ok(snapshots_begin(snapshots, 20));
    append_all(snapshots, buf_bytes(&fixture->state));
    assert_ok(take_own(fixture, snapshots, 21)); /* in its place */
    assert_ok(snapshots_begin(snapshots, 22));
    append_all(snapshots, buf_bytes(&fixture->state));
    snapshots_close(snapshots);
    assert_false(has_file(fixture, 20, SNAPSHOT_OWN));
    assert_false(has_file(fixture, 22, SNAPSHOT_OWN));
    assert_ok(check_snapshot(fixture, 21));
}

static void store(struct fixture *fixture, struct snapshots *snapshots,
                  const struct snapshot_meta *meta, size_t begin, size_t end,
                  uint64_t stored)
{
    struct snapshots_result result;

    assert_ok(
        snapshots_store(snapshots, meta, begin,
                        bytes_of(fixture->state.data + begin, end - begin), 5));
    result = wait_for(snapshots, SNAPSHOTS_STORED);
    assert_ok(result.status);
    assert_int_equal(result.end, stored);
    assert_int_equal(result.tag, 5);
}

static void a_leaders_one_is_stored_in_chunks(void **state)
{
    struct fixture *fixture = *state;
    struct snapshots *snapshots = open_snapshots(fixture);
    struct snapshot_meta meta = {.index = 50, .size = CHUNK + 500};
    struct snapshot_meta whole = make_meta(50);
    struct snapshots_result result;

    make_state(fixture, CHUNK + 500, 1);
    assert_ok(take_own(fixture, snapshots, 10));
    store(fixture, snapshots, &meta, 0, 1000, 1000);
    store(fixture, snapshots, &meta, 1000, 30000, 30000);
    store(fixture, snapshots, &meta, 0, 2000, 2000); /* anew */
    /* A gap cannot be filled, and what was there is of no use. */
    assert_ok(snapshots_store(snapshots, &meta, 5000,
                              bytes_of(fixture->state.data, 10), 6));
    result = wait_for(snapshots, SNAPSHOTS_STORED);
    assert_err(result.status, ERR_NOT_FOUND);
    assert_ok(snapshots_finish_received(snapshots, &whole, 9));
    result = wait_for(snapshots, SNAPSHOTS_RECEIVED);
    assert_err(result.status, ERR_NOT_FOUND);
    assert_false(has_file(fixture, 50, SNAPSHOT_RECEIVED));
    store(fixture, snapshots, &meta, 0, CHUNK, CHUNK);
    store(fixture, snapshots, &meta, CHUNK, CHUNK + 500, CHUNK + 500);
    assert_true(has_file(fixture, 10, SNAPSHOT_WHOLE));
    assert_ok(snapshots_finish_received(snapshots, &whole, 9));
    result = wait_for(snapshots, SNAPSHOTS_RECEIVED);
    assert_ok(result.status);
    assert_int_equal(result.meta.term, 3);
    assert_false(has_file(fixture, 10, SNAPSHOT_WHOLE));
    assert_ok(check_snapshot(fixture, 50));
    snapshots_close(snapshots);
}

static void a_leaders_one_goes_on_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct snapshots *snapshots = open_snapshots(fixture);
    struct snapshot_meta whole = make_meta(50);
    struct snapshot_meta meta;
    struct snapshots_result result;

    make_state(fixture, 3 * CHUNK + 500, 1);
    assert_ok(write_snapshot(fixture, 50, &meta));
    dir_empty(fixture->dir);
    store(fixture, snapshots, &meta, 0, CHUNK, CHUNK);
    store(fixture, snapshots, &meta, CHUNK, 2 * CHUNK, 2 * CHUNK);
    store(fixture, snapshots, &meta, 2 * CHUNK, 2 * CHUNK + 9, 2 * CHUNK + 9);
    snapshots_close(snapshots);
    snapshots = open_snapshots(fixture);
    store(fixture, snapshots, &meta, 0, CHUNK, 2 * CHUNK);
    store(fixture, snapshots, &meta, 2 * CHUNK, 3 * CHUNK + 500,
          3 * CHUNK + 500);
    assert_ok(snapshots_finish_received(snapshots, &whole, 9));
    result = wait_for(snapshots, SNAPSHOTS_RECEIVED);
    assert_ok(result.status);
    assert_ok(check_snapshot(fixture, 50));
    snapshots_close(snapshots);
}

static void pieces_are_read_for_sending(void **state)
{
    struct fixture *fixture = *state;
    struct snapshots *snapshots = open_snapshots(fixture);
    struct snapshots_result result;

    make_state(fixture, 3 * CHUNK + 500, 1);
    assert_ok(take_own(fixture, snapshots, 10));
    assert_ok(snapshots_read(snapshots, 10, CHUNK - 5, 1000, 77));
    result = wait_for(snapshots, SNAPSHOTS_READ);
    assert_ok(result.status);
    assert_int_equal(result.tag, 77);
    assert_int_equal(result.offset, CHUNK - 5);
    assert_int_equal(result.meta.term, 3);
    assert_bytes(buf_bytes(&result.data), fixture->state.data + CHUNK - 5,
                 1000);
    buf_close(&result.data);
    assert_ok(snapshots_read(snapshots, 10, 3 * CHUNK, 501, 0));
    result = wait_for(snapshots, SNAPSHOTS_READ);
    assert_err(result.status, ERR_NOT_FOUND);
    assert_ok(snapshots_read(snapshots, 9, 0, 1, 0));
    result = wait_for(snapshots, SNAPSHOTS_READ);
    assert_err(result.status, ERR_NOT_FOUND);
    /* One that waits to be taken goes with the rest. */
    assert_ok(snapshots_read(snapshots, 10, 0, CHUNK, 0));
    snapshots_close(snapshots);
}

static void without_memory_it_is_refused_and_tried_again(void **state)
{
    struct fixture *fixture = *state;
    struct snapshots *snapshots = open_snapshots(fixture);
    struct snapshots_config config = {.dir = fixture->dir, .ready = ring};
    struct snapshot_meta meta = make_meta(10);
    struct snapshots *none = NULL;
    struct bytes data;

    make_state(fixture, 1000, 1);
    data = buf_bytes(&fixture->state);
    mem_fail_after(0);
    assert_err(snapshots_open(&config, &none), ERR_NOMEM);
    assert_null(none);
    assert_err(snapshots_begin(snapshots, 10), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    assert_ok(snapshots_begin(snapshots, 10));
    mem_fail_after(0);
    assert_err(snapshots_append(snapshots, data), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    append_all(snapshots, data);
    /* The place for the answer is made with the job. */
    for (uint64_t left = 0; left < 2; left++) {
        mem_fail_after(left);
        assert_err(snapshots_finish(snapshots, &meta), ERR_NOMEM);
        mem_fail_after(UINT64_MAX);
    }
    assert_ok(snapshots_finish(snapshots, &meta));
    assert_ok(wait_for(snapshots, SNAPSHOTS_TAKEN).status);
    assert_ok(check_snapshot(fixture, 10));
    snapshots_close(snapshots);
}

/* --- Power cuts ----------------------------------------------------------- */

/* Child: two more snapshots, until the power fails. */
static void write_two(struct fixture *fixture, uint64_t left, uint64_t seed)
{
    crash_begin(left, seed);
    for (uint64_t index = 20; index <= 30; index += 10) {
        if (write_snapshot(fixture, index, NULL) != 0) {
            _exit(1);
        }
        snapshot_remove_old(fixture->dir, fixture->dir_fd, index, index);
    }
    _exit(0);
}

static void after_a_power_cut_the_newest_one_is_whole(void **state)
{
    struct fixture *fixture = *state;
    int status = CRASH_EXIT;
    uint64_t newest = 0;
    uint64_t left;

    make_state(fixture, CHUNK + 5, 1);
    for (left = 0; status == CRASH_EXIT; left++) {
        pid_t child;

        assert_true(left < 1000);
        dir_empty(fixture->dir);
        assert_ok(write_snapshot(fixture, 10, NULL));
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            write_two(fixture, left, left);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        status = WEXITSTATUS(status);
        assert_ok(snapshot_newest(fixture->dir, UINT64_MAX, &newest));
        assert_true(newest >= 10);
        assert_ok(check_snapshot(fixture, newest));
        /* The next one clears away what is left. */
        assert_ok(write_snapshot(fixture, 40, NULL));
        snapshot_remove_old(fixture->dir, fixture->dir_fd, 40, 40);
        assert_false(has_file(fixture, newest, SNAPSHOT_WHOLE));
        assert_false(has_file(fixture, 20, SNAPSHOT_OWN));
        assert_false(has_file(fixture, 30, SNAPSHOT_OWN));
    }
    assert_int_equal(status, 0);
    assert_int_equal(newest, 30);
    assert_true(left > 20);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_newest_one_takes_the_place_of_older_ones),
        TEST(more_than_the_queue_holds_waits),
        TEST(an_unfinished_own_one_leaves_nothing),
        TEST(a_leaders_one_is_stored_in_chunks),
        TEST(a_leaders_one_goes_on_after_a_restart),
        TEST(pieces_are_read_for_sending),
        TEST(without_memory_it_is_refused_and_tried_again),
        TEST(after_a_power_cut_the_newest_one_is_whole),
    };

    return cmocka_run_group_tests_name("store/snapshots", tests, NULL, NULL);
}
