/* SPDX-License-Identifier: Apache-2.0
 * The fixture of the state store's tests: a store in a folder of its own, and
 * requests that wait for their answer. */
#ifndef QUORATE_TEST_UNIT_STORE_STATE_DB_FIXTURE_H
#define QUORATE_TEST_UNIT_STORE_STATE_DB_FIXTURE_H

#include "base/crc32c.h"
#include "base/mem.h"
#include "lib/test.h"
#include "state/message.h"
#include "store/state_db.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { PATH_MAX_SIZE = 256, MAP_SIZE = 256 * 1024 * 1024 };

struct fixture {
    char dir[PATH_MAX_SIZE];
    struct state_db *db;
    uint64_t ticket;
    pthread_mutex_t lock;
    pthread_cond_t ready;
    bool is_ready;
    struct buf last;             /* bytes of the answer last taken */
    struct state_message answer; /* decoded; borrows from `last` */
};

static inline void on_ready(void *arg)
{
    struct fixture *fixture = arg;

    (void)pthread_mutex_lock(&fixture->lock);
    fixture->is_ready = true;
    (void)pthread_cond_signal(&fixture->ready);
    (void)pthread_mutex_unlock(&fixture->lock);
}

static inline int try_open_db(struct fixture *fixture, uint64_t map_size)
{
    struct state_db_config config = {.dir = fixture->dir,
                                     .map_size = map_size,
                                     .ready = on_ready,
                                     .ready_arg = fixture};

    return state_db_open(&config, NULL, &fixture->db);
}

static inline void open_db(struct fixture *fixture, uint64_t map_size)
{
    assert_ok(try_open_db(fixture, map_size));
}

static inline void reopen_db(struct fixture *fixture, uint64_t map_size)
{
    state_db_close(fixture->db);
    open_db(fixture, map_size);
}

static inline void make_dir(struct fixture *fixture)
{
    const char *base = getenv("TMPDIR");
    int size = snprintf(fixture->dir, sizeof(fixture->dir),
                        "%s/quorate-state-XXXXXX", base ? base : "/tmp");

    assert_true(size > 0 && (size_t)size < sizeof(fixture->dir));
    assert_non_null(mkdtemp(fixture->dir));
}

static inline void file_path(const struct fixture *fixture, const char *name,
                             char path[2 * PATH_MAX_SIZE])
{
    (void)snprintf(path, 2 * PATH_MAX_SIZE, "%s/%s", fixture->dir, name);
}

static inline void remove_dir(const struct fixture *fixture)
{
    static const char *const names[] = {"state.mdb", "state.mdb-lock",
                                        "state.journal"};
    char path[2 * PATH_MAX_SIZE];

    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        file_path(fixture, names[i], path);
        (void)unlink(path);
    }
    assert_int_equal(rmdir(fixture->dir), 0);
}

static inline int set_up(void **state)
{
    struct fixture *fixture = mem_alloc(sizeof(*fixture));

    assert_non_null(fixture);
    make_dir(fixture);
    (void)pthread_mutex_init(&fixture->lock, NULL);
    (void)pthread_cond_init(&fixture->ready, NULL);
    buf_init(&fixture->last, STATE_MESSAGE_SIZE_MAX);
    open_db(fixture, MAP_SIZE);
    *state = fixture;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;

    state_db_close(fixture->db);
    buf_close(&fixture->last);
    remove_dir(fixture);
    mem_free(fixture);
    return 0;
}

static inline int submit(struct fixture *fixture,
                         const struct state_message *request)
{
    struct buf buf;
    int rv;

    buf_init(&buf, STATE_MESSAGE_SIZE_MAX);
    assert_ok(state_message_encode(request, &buf));
    rv = state_db_submit(fixture->db, 7, buf_bytes(&buf));
    buf_close(&buf);
    return rv;
}

/* Waits for one answer. */
static inline void take(struct fixture *fixture)
{
    uint64_t to = 0;

    buf_close(&fixture->last);
    (void)pthread_mutex_lock(&fixture->lock);
    while (state_db_take(fixture->db, &to, &fixture->last) != 0) {
        while (!fixture->is_ready) {
            (void)pthread_cond_wait(&fixture->ready, &fixture->lock);
        }
        fixture->is_ready = false;
    }
    (void)pthread_mutex_unlock(&fixture->lock);
    assert_int_equal(to, 7);
    assert_ok(
        state_message_decode(buf_bytes(&fixture->last), &fixture->answer));
}

static inline enum state_status ask(struct fixture *fixture,
                                    struct state_message request)
{
    request.ticket = ++fixture->ticket;
    assert_ok(submit(fixture, &request));
    take(fixture);
    assert_int_equal(fixture->answer.ticket, request.ticket);
    assert_int_equal(fixture->answer.kind, state_kind_answer(request.kind));
    return fixture->answer.status;
}

static inline struct state_message make_write(const char *id, uint64_t epoch,
                                              uint64_t seq, struct bytes value)
{
    return (struct state_message){
        .kind = STATE_KIND_WRITE,
        .has_version = true,
        .has_value = true,
        .stamp = {.version = {.epoch = epoch, .seq = seq}},
        .id = bytes_of_string(id),
        .value = value,
        .crc = crc32c(0, value)};
}

static inline enum state_status write_value(struct fixture *fixture,
                                            const char *id, uint64_t epoch,
                                            uint64_t seq, struct bytes value)
{
    return ask(fixture, make_write(id, epoch, seq, value));
}

static inline enum state_status promise(struct fixture *fixture, const char *id,
                                        uint64_t epoch)
{
    return ask(fixture,
               (struct state_message){.kind = STATE_KIND_PROMISE,
                                      .stamp = {.version = {.epoch = epoch}},
                                      .id = bytes_of_string(id)});
}

static inline enum state_status read_value(struct fixture *fixture,
                                           const char *id, uint64_t birth)
{
    return ask(fixture, (struct state_message){.kind = STATE_KIND_READ,
                                               .birth = birth,
                                               .id = bytes_of_string(id)});
}

static inline void assert_stored(struct fixture *fixture, const char *id,
                                 uint64_t epoch, uint64_t seq,
                                 struct bytes value)
{
    assert_int_equal(read_value(fixture, id, 0), STATE_STATUS_OK);
    assert_true(fixture->answer.has_value);
    assert_true(state_message_is_intact(&fixture->answer));
    assert_int_equal(fixture->answer.stamp.version.epoch, epoch);
    assert_int_equal(fixture->answer.stamp.version.seq, seq);
    assert_true(bytes_equal(fixture->answer.value, value));
}

static inline void assert_nothing(struct fixture *fixture, const char *id)
{
    assert_int_equal(read_value(fixture, id, 0), STATE_STATUS_OK);
    assert_false(fixture->answer.has_version);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
