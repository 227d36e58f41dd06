/* SPDX-License-Identifier: Apache-2.0
 * What was written comes back; whatever is changed, cut or moved is noticed. */
#include "base/crc32c.h"
#include "base/mem.h"
#include "unit/store/snapshot_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum {
    INDEX = 0x1234,
    FLIPS = 10000,
    CHUNK = SNAPSHOT_CHUNK_SIZE,
    WHOLE_CHUNK = SNAPSHOT_CHUNK_HEADER_SIZE + SNAPSHOT_CHUNK_SIZE,
};

static int open_file(const struct fixture *fixture, uint64_t index)
{
    char name[SNAPSHOT_NAME_SIZE];
    int fd;

    snapshot_name(index, SNAPSHOT_WHOLE, name);
    fd = openat(fixture->dir_fd, name, O_RDWR);
    assert_true(fd >= 0);
    return fd;
}

static void what_was_written_comes_back(void **state)
{
    struct fixture *fixture = *state;
    const size_t sizes[] = {1,         7,         CHUNK - 1,    CHUNK,
                            CHUNK + 1, 2 * CHUNK, 3 * CHUNK + 5};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        struct snapshot_reader reader;
        struct snapshot_meta meta;
        struct stat status;
        int fd;

        make_state(fixture, sizes[i], i);
        assert_ok(write_snapshot(fixture, INDEX, &meta));
        assert_ok(check_snapshot(fixture, INDEX));
        assert_int_equal(meta.size, sizes[i]);
        fd = open_file(fixture, INDEX);
        assert_int_equal(fstat(fd, &status), 0);
        assert_int_equal(status.st_size, snapshot_file_size(sizes[i]));
        assert_int_equal(close(fd), 0);
        snapshot_reader_init(&reader);
        assert_ok(snapshot_reader_open(&reader, fixture->dir_fd, fixture->dir,
                                       INDEX, NULL));
        assert_memory_equal(&reader.meta, &meta, sizeof(meta));
        snapshot_reader_close(&reader);
    }
}

static void any_piece_can_be_read(void **state)
{
    struct fixture *fixture = *state;
    struct snapshot_reader reader;
    struct buf piece;
    struct rng rng;

    make_state(fixture, 3 * CHUNK + 99, 1);
    assert_ok(write_snapshot(fixture, INDEX, NULL));
    rng_init(&rng, 5);
    buf_init(&piece, CHUNK);
    snapshot_reader_init(&reader);
    assert_ok(snapshot_reader_open(&reader, fixture->dir_fd, fixture->dir,
                                   INDEX, NULL));
    for (int i = 0; i < 200; i++) {
        size_t size = (size_t)rng_below(&rng, CHUNK + 1);
        size_t offset = (size_t)rng_below(&rng, fixture->state.size - size + 1);

        buf_clear(&piece);
        assert_ok(snapshot_reader_read(&reader, offset, size, &piece));
        assert_bytes(buf_bytes(&piece), fixture->state.data + offset, size);
    }
    snapshot_reader_close(&reader);
    buf_close(&piece);
}

static void every_flipped_bit_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    struct rng rng;
    int noticed = 0;
    int fd;

    make_state(fixture, CHUNK + 1000, 1);
    assert_ok(write_snapshot(fixture, INDEX, NULL));
    fd = open_file(fixture, INDEX);
    rng_init(&rng, 4711);
    for (int i = 0; i < FLIPS; i++) {
        off_t offset =
            (off_t)rng_below(&rng, snapshot_file_size(fixture->state.size));
        uint8_t good;
        uint8_t bad;
        int rv;

        assert_int_equal(pread(fd, &good, 1, offset), 1);
        bad = good ^ (uint8_t)(1U << rng_below(&rng, 8));
        assert_int_equal(pwrite(fd, &bad, 1, offset), 1);
        rv = check_snapshot(fixture, INDEX);
        noticed += rv == ERR_CORRUPT ? 1 : 0;
        assert_true(fixture->error.size > 0);
        assert_int_equal(pwrite(fd, &good, 1, offset), 1);
    }
    assert_int_equal(noticed, FLIPS);
    assert_int_equal(close(fd), 0);
    assert_ok(check_snapshot(fixture, INDEX));
}

static void a_snapshot_copied_in_part_is_refused(void **state)
{
    struct fixture *fixture = *state;
    uint64_t size = snapshot_file_size(CHUNK + 1000);
    int fd;

    make_state(fixture, CHUNK + 1000, 1);
    assert_ok(write_snapshot(fixture, INDEX, NULL));
    fd = open_file(fixture, INDEX);
    assert_int_equal(ftruncate(fd, (off_t)size + 1), 0);
    assert_err(check_snapshot(fixture, INDEX), ERR_CORRUPT);
    while (size > 0) {
        size -= size_min((size_t)size, 1 + (size_t)size / 13);
        assert_int_equal(ftruncate(fd, (off_t)size), 0);
        assert_err(check_snapshot(fixture, INDEX), ERR_CORRUPT);
        assert_true(says(fixture, "0000000000001234.snap: "));
        assert_true(says(fixture, "Nothing was changed"));
    }
    assert_int_equal(close(fd), 0);
}

/* Puts the chunk `from` of one file where the chunk `to` of another is. */
static void move_chunk(int from_fd, uint64_t from, int to_fd, uint64_t to)
{
    uint8_t *chunk = malloc(WHOLE_CHUNK);

    assert_non_null(chunk);
    assert_int_equal(
        pread(from_fd, chunk, WHOLE_CHUNK, (off_t)snapshot_chunk_offset(from)),
        WHOLE_CHUNK);
    assert_int_equal(
        pwrite(to_fd, chunk, WHOLE_CHUNK, (off_t)snapshot_chunk_offset(to)),
        WHOLE_CHUNK);
    free(chunk);
}

/* Reads to the end, or to what is damaged; how far. */
static uint64_t read_on(const struct fixture *fixture, int *ret_rv)
{
    struct snapshot_reader reader;
    struct bytes data;
    uint64_t position;

    snapshot_reader_init(&reader);
    assert_ok(snapshot_reader_open(&reader, fixture->dir_fd, fixture->dir,
                                   INDEX, NULL));
    do {
        *ret_rv = snapshot_reader_next(&reader, &data);
    } while (*ret_rv == 0);
    position = reader.position;
    snapshot_reader_close(&reader);
    return position;
}

static void a_chunk_in_another_ones_place_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    int fd;

    make_state(fixture, 4 * CHUNK, 1);
    assert_ok(write_snapshot(fixture, INDEX, NULL));
    fd = open_file(fixture, INDEX);
    move_chunk(fd, 1, fd, 2);
    assert_int_equal(close(fd), 0);
    assert_err(check_snapshot(fixture, INDEX), ERR_CORRUPT);
    assert_true(says(fixture, "chunk 2 of this snapshot is damaged"));
}

static void a_chunk_of_another_snapshot_is_noticed(void **state)
{
    struct fixture *fixture = *state;
    char name[SNAPSHOT_NAME_SIZE];
    int other;
    int fd;
    int rv;

    /* The same state, but of another entry. */
    make_state(fixture, 4 * CHUNK, 1);
    assert_ok(write_snapshot(fixture, INDEX, NULL));
    assert_ok(write_snapshot(fixture, INDEX + 1, NULL));
    fd = open_file(fixture, INDEX);
    other = open_file(fixture, INDEX + 1);
    move_chunk(other, 3, fd, 3);
    assert_int_equal(close(other), 0);
    assert_int_equal(read_on(fixture, &rv), 3 * CHUNK);
    assert_err(rv, ERR_CORRUPT);
    /* The same entry, but another state: only the end tells. */
    snapshot_name(INDEX, SNAPSHOT_WHOLE, name);
    assert_int_equal(unlinkat(fixture->dir_fd, name, 0), 0);
    make_state(fixture, 4 * CHUNK, 2);
    assert_ok(write_snapshot(fixture, INDEX, NULL));
    assert_ok(check_snapshot(fixture, INDEX));
    other = open_file(fixture, INDEX);
    move_chunk(fd, 2, other, 2);
    assert_int_equal(close(other), 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(read_on(fixture, &rv), 4 * CHUNK);
    assert_err(rv, ERR_CORRUPT);
}

static void a_snapshot_under_another_name_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char from[SNAPSHOT_NAME_SIZE];
    char to[SNAPSHOT_NAME_SIZE];

    make_state(fixture, 1000, 1);
    assert_ok(write_snapshot(fixture, INDEX, NULL));
    snapshot_name(INDEX, SNAPSHOT_WHOLE, from);
    snapshot_name(INDEX + 1, SNAPSHOT_WHOLE, to);
    assert_int_equal(renameat(fixture->dir_fd, from, fixture->dir_fd, to), 0);
    assert_err(check_snapshot(fixture, INDEX + 1), ERR_CORRUPT);
    assert_true(says(fixture, "under another name"));
    assert_err(check_snapshot(fixture, INDEX), ERR_NOT_FOUND);
}

static void another_format_version_is_named_as_such(void **state)
{
    struct fixture *fixture = *state;
    struct snapshot_meta meta = make_meta(INDEX);
    uint8_t header[SNAPSHOT_HEADER_SIZE];
    struct buf sealed;
    int fd;

    make_state(fixture, 1000, 1);
    assert_ok(write_snapshot(fixture, INDEX, &meta));
    snapshot_header_encode(&meta, header);
    header[11]++;
    assert_err(snapshot_header_decode(bytes_of(header, sizeof(header)), &meta),
               ERR_MALFORMED);
    buf_init(&sealed, SNAPSHOT_HEADER_SIZE);
    buf_put(&sealed, header, SNAPSHOT_HEADER_SIZE - 4);
    buf_put_u32(&sealed, crc32c(0, buf_bytes(&sealed)));
    assert_err(snapshot_header_decode(buf_bytes(&sealed), &meta),
               ERR_UNSUPPORTED);
    fd = open_file(fixture, INDEX);
    assert_int_equal(pwrite(fd, sealed.data, sealed.size, 0), sealed.size);
    assert_int_equal(close(fd), 0);
    buf_close(&sealed);
    assert_err(check_snapshot(fixture, INDEX), ERR_UNSUPPORTED);
    assert_true(says(fixture, "Use the release that wrote it"));
}

static void names_are_read_as_they_are_written(void **state)
{
    char name[SNAPSHOT_NAME_SIZE];

    (void)state;
    snapshot_name(UINT64_MAX, SNAPSHOT_RECEIVED, name);
    assert_string_equal(name, "ffffffffffffffff.snap.part");
    assert_int_equal(snapshot_name_index(name, SNAPSHOT_RECEIVED), UINT64_MAX);
    assert_int_equal(snapshot_name_index(name, SNAPSHOT_WHOLE), 0);
    snapshot_name(1, SNAPSHOT_WHOLE, name);
    assert_string_equal(name, "0000000000000001.snap");
    assert_int_equal(snapshot_name_index(name, SNAPSHOT_WHOLE), 1);
    assert_int_equal(snapshot_name_index("000000000000000A.snap", //
                                         SNAPSHOT_WHOLE),
                     0);
    assert_int_equal(snapshot_name_index(".snap", SNAPSHOT_WHOLE), 0);
    assert_int_equal(snapshot_name_index("lock", SNAPSHOT_OWN), 0);
}

/* --- Received ones -------------------------------------------------------- */

/* Takes `size` bytes from where it is. */
static void receive(struct fixture *fixture, struct snapshot_writer *writer,
                    size_t size)
{
    assert_ok(snapshot_writer_append(
        writer, bytes_of(fixture->state.data + writer->size, size)));
}

static void a_received_one_goes_on_after_a_restart(void **state)
{
    struct fixture *fixture = *state;
    struct snapshot_meta meta;
    struct snapshot_meta other;
    struct snapshot_writer writer;
    char name[SNAPSHOT_NAME_SIZE];

    make_state(fixture, 3 * CHUNK + 50, 1);
    assert_ok(write_snapshot(fixture, INDEX, &meta));
    snapshot_name(INDEX, SNAPSHOT_WHOLE, name);
    assert_int_equal(unlinkat(fixture->dir_fd, name, 0), 0);
    snapshot_writer_init(&writer);
    assert_err(snapshot_writer_resume(&writer, fixture->dir_fd, &meta),
               ERR_NOT_FOUND);
    assert_ok(snapshot_writer_begin(&writer, fixture->dir_fd, SNAPSHOT_RECEIVED,
                                    &meta));
    receive(fixture, &writer, CHUNK * 2 + 77);
    snapshot_writer_close(&writer);
    /* Of another leader: it is not the same one. */
    other = meta;
    other.checksum++;
    assert_err(snapshot_writer_resume(&writer, fixture->dir_fd, &other),
               ERR_NOT_FOUND);
    assert_ok(snapshot_writer_resume(&writer, fixture->dir_fd, &meta));
    assert_int_equal(writer.size, CHUNK * 2);
    receive(fixture, &writer, CHUNK + 50);
    other = make_meta(INDEX);
    assert_ok(snapshot_writer_finish(&writer, &other));
    assert_int_equal(other.checksum, meta.checksum);
    assert_ok(check_snapshot(fixture, INDEX));
    assert_false(has_file(fixture, INDEX, SNAPSHOT_RECEIVED));
}

static void a_received_one_that_is_another_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct snapshot_meta meta;
    struct snapshot_meta got = make_meta(INDEX);
    struct snapshot_writer writer;
    char name[SNAPSHOT_NAME_SIZE];

    make_state(fixture, 3 * CHUNK + 50, 1);
    assert_ok(write_snapshot(fixture, INDEX, &meta));
    snapshot_name(INDEX, SNAPSHOT_WHOLE, name);
    assert_int_equal(unlinkat(fixture->dir_fd, name, 0), 0);
    snapshot_writer_init(&writer);
    assert_ok(snapshot_writer_begin(&writer, fixture->dir_fd, SNAPSHOT_RECEIVED,
                                    &meta));
    receive(fixture, &writer, CHUNK);
    assert_err(snapshot_writer_finish(&writer, &got), ERR_CORRUPT); /* short */
    fixture->state.data[CHUNK + 3] ^= 1;
    receive(fixture, &writer, CHUNK * 2 + 50);
    assert_err(snapshot_writer_finish(&writer, &got), ERR_CORRUPT);
    assert_false(has_file(fixture, INDEX, SNAPSHOT_WHOLE));
    snapshot_writer_abort(&writer);
    assert_false(has_file(fixture, INDEX, SNAPSHOT_RECEIVED));
}

/* --- What fails ----------------------------------------------------------- */

static void on_a_full_disk_the_older_one_stays(void **state)
{
    struct fixture *fixture = *state;
    int status;
    pid_t child;

    make_state(fixture, 2 * CHUNK, 1);
    assert_ok(write_snapshot(fixture, INDEX, NULL));
    child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        struct rlimit limit = {.rlim_cur = CHUNK + 20000,
                               .rlim_max = CHUNK + 20000};

        (void)signal(SIGXFSZ, SIG_IGN);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
        assert_err(write_snapshot(fixture, INDEX + 1, NULL), ERR_NO_SPACE);
        assert_false(has_file(fixture, INDEX + 1, SNAPSHOT_OWN));
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_false(has_file(fixture, INDEX + 1, SNAPSHOT_WHOLE));
    assert_ok(check_snapshot(fixture, INDEX));
}

static void without_memory_nothing_is_left_behind(void **state)
{
    struct fixture *fixture = *state;
    int rv = ERR_NOMEM;

    make_state(fixture, 2 * CHUNK + 5, 1);
    for (uint64_t i = 0; i < 100 && rv == ERR_NOMEM; i++) {
        mem_fail_after(i);
        rv = write_snapshot(fixture, INDEX, NULL);
        mem_fail_after(UINT64_MAX);
        assert_true(rv == 0 || !has_file(fixture, INDEX, SNAPSHOT_OWN));
    }
    assert_ok(rv);
    mem_fail_after(0);
    assert_err(check_snapshot(fixture, INDEX), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    assert_ok(check_snapshot(fixture, INDEX));
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_written_comes_back),
        TEST(any_piece_can_be_read),
        TEST(every_flipped_bit_is_noticed),
        TEST(a_snapshot_copied_in_part_is_refused),
        TEST(a_chunk_in_another_ones_place_is_noticed),
        TEST(a_chunk_of_another_snapshot_is_noticed),
        TEST(a_snapshot_under_another_name_is_refused),
        TEST(another_format_version_is_named_as_such),
        TEST(names_are_read_as_they_are_written),
        TEST(a_received_one_goes_on_after_a_restart),
        TEST(a_received_one_that_is_another_is_refused),
        TEST(on_a_full_disk_the_older_one_stays),
        TEST(without_memory_nothing_is_left_behind),
    };

    return cmocka_run_group_tests_name("store/snapshot", tests, NULL, NULL);
}
