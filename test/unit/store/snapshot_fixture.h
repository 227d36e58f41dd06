/* SPDX-License-Identifier: Apache-2.0
 * A directory with snapshots, for the tests of store/snapshot*. */
#ifndef QUORATE_TEST_UNIT_STORE_SNAPSHOT_FIXTURE_H
#define QUORATE_TEST_UNIT_STORE_SNAPSHOT_FIXTURE_H

#include "base/rng.h"
#include "lib/dir.h"
#include "lib/test.h"
#include "store/snapshot_reader.h"
#include "store/snapshot_writer.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct fixture {
    char dir[64];
    int dir_fd;
    struct buf state; /* what the snapshots are of */
    struct buf error;
};

static inline int fixture_setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    (void)snprintf(fixture->dir, sizeof(fixture->dir),
                   "/tmp/snapshot_test.XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    fixture->dir_fd = open(fixture->dir, O_RDONLY | O_DIRECTORY);
    assert_true(fixture->dir_fd >= 0);
    buf_init(&fixture->state, SIZE_MAX / 4);
    buf_init(&fixture->error, 4096);
    *state = fixture;
    return 0;
}

static inline int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;

    (void)close(fixture->dir_fd);
    dir_remove(fixture->dir);
    buf_close(&fixture->state);
    buf_close(&fixture->error);
    free(fixture);
    return 0;
}

/* A state of `size` bytes that look random. */
static inline void make_state(struct fixture *fixture, size_t size,
                              uint64_t seed)
{
    struct rng rng;

    rng_init(&rng, seed);
    buf_clear(&fixture->state);
    while (fixture->state.size < size) {
        uint64_t word = rng_next(&rng);

        buf_put(&fixture->state, &word,
                size_min(sizeof(word), size - fixture->state.size));
    }
    assert_ok(buf_error(&fixture->state));
}

static inline struct snapshot_meta make_meta(uint64_t index)
{
    return (struct snapshot_meta){.index = index,
                                  .term = 3,
                                  .configuration_size = 5,
                                  .configuration = "conf"};
}

/* Writes a snapshot of the state in pieces of odd sizes. */
static inline int write_snapshot(struct fixture *fixture, uint64_t index,
                                 struct snapshot_meta *ret_meta)
{
    struct snapshot_meta meta = make_meta(index);
    struct snapshot_writer writer;
    struct cursor cursor = cursor_of(buf_bytes(&fixture->state));
    size_t piece = 1;
    int rv;

    snapshot_writer_init(&writer);
    rv = snapshot_writer_begin(&writer, fixture->dir_fd, SNAPSHOT_OWN, &meta);
    while (rv == 0 && cursor_left(&cursor) > 0) {
        struct bytes bytes;

        assert_ok(cursor_take(&cursor, size_min(piece, cursor_left(&cursor)),
                              &bytes));
        rv = snapshot_writer_append(&writer, bytes);
        piece = piece * 3 + 1;
    }
    if (rv == 0) {
        rv = snapshot_writer_finish(&writer, &meta);
    }
    if (rv != 0) {
        snapshot_writer_abort(&writer);
    } else if (ret_meta != NULL) {
        *ret_meta = meta;
    }
    return rv;
}

/* Reads all of it; the state that it holds must be the fixture's. */
static inline int check_snapshot(struct fixture *fixture, uint64_t index)
{
    struct cursor cursor = cursor_of(buf_bytes(&fixture->state));
    struct snapshot_reader reader;
    struct bytes data;
    struct bytes expected;
    int rv;

    buf_clear(&fixture->error);
    snapshot_reader_init(&reader);
    rv = snapshot_reader_open(&reader, fixture->dir_fd, fixture->dir, index,
                              &fixture->error);
    while (rv == 0) {
        rv = snapshot_reader_next(&reader, &data);
        if (rv == 0) {
            assert_ok(cursor_take(&cursor, data.size, &expected));
            assert_bytes(data, expected.data, expected.size);
        }
    }
    if (rv == ERR_CORRUPT && reader.fd >= 0) {
        snapshot_reader_tell(&reader, fixture->dir, &fixture->error);
    }
    if (rv == ERR_NOT_FOUND && reader.fd >= 0) {
        assert_int_equal(cursor_left(&cursor), 0);
        rv = 0;
    }
    snapshot_reader_close(&reader);
    return rv;
}

static inline bool has_file(const struct fixture *fixture, uint64_t index,
                            enum snapshot_kind kind)
{
    char name[SNAPSHOT_NAME_SIZE];

    snapshot_name(index, kind, name);
    return faccessat(fixture->dir_fd, name, F_OK, 0) == 0;
}

static inline bool says(struct fixture *fixture, const char *text)
{
    buf_put_u8(&fixture->error, 0);
    return strstr((const char *)fixture->error.data, text) != NULL;
}

#endif
