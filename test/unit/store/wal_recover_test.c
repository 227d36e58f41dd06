/* SPDX-License-Identifier: Apache-2.0
 * Torn tails are cut, damage is refused, killed writers lose nothing that was
 * reported as done. */
#include "base/crc32c.h"
#include "base/rng.h"
#include "store/wal_record.h"
#include "store/wal_recover.h"
#include "unit/store/wal_fixture.h"

#include <sched.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum {
    ENTRY_SIZE = 100,
    /* header, fields, entry overhead, data; a multiple of 8 */
    RECORD_SIZE = (32 + 36 + 13 + ENTRY_SIZE + 7) / 8 * 8,
    SEGMENT_SIZE = 16 * 1024
};

static size_t record_offset(size_t position)
{
    return WAL_SEGMENT_HEADER_SIZE + position * RECORD_SIZE;
}

static void wait_for_flush(const struct fixture *fixture)
{
    uint64_t flushes = 0;
    uint64_t records = 0;

    while (flushes == 0) {
        sched_yield();
        wal_counters(fixture->wal, &flushes, &records);
    }
}

/* `count` records, each with a flush of its own, or all but the first in one
 * write. */
static void fill(struct fixture *fixture, int count, bool is_one_write)
{
    fixture->segment_size = SEGMENT_SIZE;
    assert_ok(fixture_open(fixture));
    if (is_one_write) {
        /* The first goes alone; then the writer is held back in done(). */
        pthread_mutex_lock(&fixture->mutex);
    }
    for (int i = 0; i < count; i++) {
        assert_ok(fixture_submit(fixture, 1, ENTRY_SIZE));
        if (!is_one_write) {
            assert_ok(fixture_wait(fixture));
        } else if (i == 0) {
            wait_for_flush(fixture);
        }
    }
    if (is_one_write) {
        pthread_mutex_unlock(&fixture->mutex);
    }
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
}

/* Puts `data` back as the first and only file. */
static void restore(const struct fixture *fixture, const uint8_t *data,
                    size_t size)
{
    char path[128];
    int fd;

    dir_empty(fixture->dir);
    fixture_path(fixture, 1, path, sizeof(path));
    fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, data, size), size);
    assert_int_equal(close(fd), 0);
}

/* Records of many sizes go on after the repair and come back again. */
static void assert_usable(struct fixture *fixture, size_t count)
{
    assert_recovered(fixture, count, ENTRY_SIZE);
    assert_ok(fixture_submit(fixture, 1, ENTRY_SIZE));
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    assert_ok(fixture_open(fixture));
    assert_recovered(fixture, count + 1, ENTRY_SIZE);
    assert_int_equal(fixture->recovery.torn_bytes, 0);
    fixture_close(fixture);
}

static void the_last_record_is_cut_wherever_the_write_stopped(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *data;
    size_t size;

    fill(fixture, 5, false);
    data = file_read(fixture, 1, &size);
    for (size_t keep = 0; keep < RECORD_SIZE; keep++) {
        uint8_t *torn = malloc(size);
        size_t end = record_offset(4) + keep;
        /* The padding is not part of what the checksums cover. */
        bool is_whole = keep >= RECORD_SIZE - 3;

        assert_non_null(torn);
        memcpy(torn, data, size);
        memset(torn + end, 0, size - end);
        restore(fixture, torn, size);
        assert_ok(fixture_open(fixture));
        if (!is_whole) {
            assert_usable(fixture, 4);
        } else {
            fixture_close(fixture);
        }
        free(torn);
    }
    free(data);
}

static void nonsense_behind_the_last_record_is_cut(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture, 3, false);
    file_write(fixture, 1, record_offset(3) + 40, bytes_of("nonsense", 8));
    assert_ok(fixture_open(fixture));
    assert_int_equal(fixture->recovery.torn_bytes, 48);
    assert_usable(fixture, 3);
}

static void every_flip_in_the_middle_is_refused(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *data;
    size_t size;

    fill(fixture, 4, false);
    data = file_read(fixture, 1, &size);
    for (size_t i = 0; i < 2 * (size_t)RECORD_SIZE; i++) {
        size_t offset = record_offset(0) + i;
        uint8_t flipped = data[offset] ^ 0x10;
        bool is_padding = i % RECORD_SIZE >= 32 + 36 + 13 + ENTRY_SIZE;
        size_t size_after;
        uint8_t *after;

        restore(fixture, data, size);
        file_write(fixture, 1, offset, bytes_of(&flipped, 1));
        if (is_padding) {
            assert_ok(fixture_open(fixture));
            fixture_close(fixture);
            continue;
        }
        assert_err(fixture_open(fixture), ERR_CORRUPT);
        /* Nothing is changed, so that it can be looked at. */
        after = file_read(fixture, 1, &size_after);
        assert_int_equal(size_after, size);
        assert_int_equal(after[offset], flipped);
        after[offset] = data[offset];
        assert_memory_equal(after, data, size);
        free(after);
    }
    free(data);
}

static void a_refusal_names_file_offset_and_remedy(void **state)
{
    struct fixture *fixture = *state;
    char expected[128];
    char text[4097];

    fill(fixture, 4, false);
    file_write(fixture, 1, record_offset(1) + 50, bytes_of("X", 1));
    assert_err(fixture_open(fixture), ERR_CORRUPT);
    assert_true(fixture->error.size < sizeof(text));
    memcpy(text, fixture->error.data, fixture->error.size);
    text[fixture->error.size] = '\0';
    (void)snprintf(expected, sizeof(expected),
                   "%s/%016x.wal: offset %zu: ", fixture->dir, 1,
                   record_offset(1));
    assert_ptr_equal(strstr(text, expected), text);
    assert_non_null(strstr(text, "record 2 "));
    assert_non_null(strstr(text, "docs/operations.md"));
}

static void a_flip_inside_one_write_is_damage_too(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture, 12, true);
    file_write(fixture, 1, record_offset(6) + 60, bytes_of("X", 1));
    assert_err(fixture_open(fixture), ERR_CORRUPT);
}

static void sectors_that_were_never_written_are_a_torn_write(void **state)
{
    struct fixture *fixture = *state;
    uint8_t zeros[512] = {0};

    fill(fixture, 20, true);
    /* The disk wrote the later sectors of that write and not this one. */
    file_write(fixture, 1, 2048, bytes_of(zeros, sizeof(zeros)));
    assert_ok(fixture_open(fixture));
    assert_true(fixture->recovery.entry_count < 20);
    assert_true(fixture->recovery.torn_bytes > 0);
    assert_usable(fixture, fixture->recovery.entry_count);
}

static void missing_sectors_of_a_flushed_write_are_damage(void **state)
{
    struct fixture *fixture = *state;
    uint8_t zeros[512] = {0};

    fill(fixture, 20, false);
    file_write(fixture, 1, 2048, bytes_of(zeros, sizeof(zeros)));
    assert_err(fixture_open(fixture), ERR_CORRUPT);
}

static void fill_files(struct fixture *fixture)
{
    fixture->segment_size = 4096;
    assert_ok(fixture_open(fixture));
    for (int i = 0; i < 60; i++) {
        assert_ok(fixture_submit(fixture, 1, ENTRY_SIZE));
        assert_ok(fixture_wait(fixture));
    }
    fixture_close(fixture);
    assert_true(file_count(fixture) >= 3);
}

static void a_missing_file_is_damage(void **state)
{
    struct fixture *fixture = *state;
    char path[128];

    fill_files(fixture);
    fixture_path(fixture, 2, path, sizeof(path));
    assert_int_equal(unlink(path), 0);
    assert_err(fixture_open(fixture), ERR_CORRUPT);
}

static void a_wiped_end_of_a_full_file_is_damage(void **state)
{
    struct fixture *fixture = *state;
    uint8_t zeros[RECORD_SIZE * 2] = {0};

    fill_files(fixture);
    file_write(fixture, 1, 4096 - sizeof(zeros),
               bytes_of(zeros, sizeof(zeros)));
    assert_err(fixture_open(fixture), ERR_CORRUPT);
}

static void a_file_that_disagrees_with_the_one_before_is_damage(void **state)
{
    struct fixture *fixture = *state;
    struct buf header;

    fill_files(fixture);
    buf_init(&header, 64);
    buf_put_u64(&header, UINT64_C(0x51554f5257414c0a));
    buf_put_u32(&header, WAL_VERSION);
    buf_put_u32(&header, 0);
    buf_put_u64(&header, 2);
    buf_put_u64(&header, (4096 - 64) / RECORD_SIZE + 1); /* as it was */
    buf_put_u64(&header, 1);
    buf_put_u64(&header, 7);
    buf_put_u64(&header, (4096 - 64) / RECORD_SIZE);
    buf_put_u32(&header, crc32c(0, buf_bytes(&header)));
    file_write(fixture, 2, 0, buf_bytes(&header));
    assert_ok(fixture_open(fixture));
    fixture_close(fixture);
    header.data[47] ^= 1; /* another vote */
    header.size -= 4;
    buf_put_u32(&header, crc32c(0, buf_bytes(&header)));
    file_write(fixture, 2, 0, buf_bytes(&header));
    buf_close(&header);
    assert_err(fixture_open(fixture), ERR_CORRUPT);
}

static void a_damaged_file_header_is_damage(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture, 3, false);
    file_write(fixture, 1, 20, bytes_of("X", 1));
    assert_err(fixture_open(fixture), ERR_CORRUPT);
}

/* Another header for the first file. */
static void write_header(struct fixture *fixture, uint32_t version)
{
    struct buf header;

    buf_init(&header, 64);
    buf_put_u64(&header, UINT64_C(0x51554f5257414c0a));
    buf_put_u32(&header, version);
    buf_put_u32(&header, 0);
    buf_put_u64(&header, 1); /* number */
    buf_put_u64(&header, 1); /* first sequence */
    for (int i = 0; version > 1 && i < 3; i++) {
        buf_put_u64(&header, 0);
    }
    buf_put_u32(&header, crc32c(0, buf_bytes(&header)));
    while (header.size < 64) {
        buf_put_u8(&header, 0);
    }
    file_write(fixture, 1, 0, buf_bytes(&header));
    buf_close(&header);
}

static void another_format_version_is_named_as_such(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture, 1, false);
    write_header(fixture, WAL_VERSION + 1);
    assert_err(fixture_open(fixture), ERR_UNSUPPORTED);
}

static void a_log_of_version_1_goes_on(void **state)
{
    struct fixture *fixture = *state;

    fill(fixture, 60, false);
    write_header(fixture, 1);
    fixture->segment_size = SEGMENT_SIZE;
    for (size_t count = 60; count < 300; count += 60) {
        assert_ok(fixture_open(fixture));
        assert_recovered(fixture, count, ENTRY_SIZE);
        for (int i = 0; i < 60; i++) {
            assert_ok(fixture_submit(fixture, 1, ENTRY_SIZE));
        }
        assert_ok(fixture_wait(fixture));
        fixture_close(fixture);
    }
    assert_true(file_count(fixture) > 1);
}

/* --- Killed writers ------------------------------------------------------ */

struct promise {
    _Atomic uint64_t done; /* entries that were reported as done */
};

static void promise_done(void *arg, uint64_t seq, int status)
{
    struct promise *promise = arg;

    if (status == 0) {
        promise->done = seq;
    }
}

/* Child: writes entries until it is killed. `first` is what is there. */
static void write_for_ever(const struct fixture *fixture,
                           struct promise *promise)
{
    struct wal_config config = {.dir = fixture->dir,
                                .segment_size = fixture->segment_size,
                                .done = promise_done,
                                .arg = promise};
    struct wal_recovery recovery;
    struct wal *wal;
    uint64_t index;

    if (wal_open(&config, &recovery, NULL, &wal) != 0) {
        _exit(1);
    }
    index = recovery.entry_count;
    for (;;) {
        uint8_t data[ENTRY_SIZE];
        struct raft_entry entry = {.index = index + 1,
                                   .term = 1,
                                   .type = RAFT_ENTRY_COMMAND,
                                   .data = bytes_of(data, sizeof(data))};
        struct raft_persist persist = {
            .seq = index + 1, .term = 1, .entries = &entry, .entry_count = 1};

        memset(data, (int)('a' + entry.index % 26), sizeof(data));
        if (wal_submit(wal, &persist) != 0) {
            _exit(2);
        }
        index++;
        /* Some go together, some alone; never more than a few wait. */
        while (index > promise->done + index % 9) {
            (void)usleep(20);
        }
    }
}

static void a_killed_writer_loses_nothing_that_was_done(void **state)
{
    struct fixture *fixture = *state;
    struct promise *promise =
        mmap(NULL, sizeof(*promise), PROT_READ | PROT_WRITE,
             MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    struct rng rng;

    assert_true(promise != MAP_FAILED);
    rng_init(&rng, 4711);
    fixture->segment_size = SEGMENT_SIZE;
    for (int round = 0; round < 20; round++) {
        uint64_t before = promise->done;
        uint64_t wanted = before + rng_below(&rng, 120);
        pid_t child = fork();

        assert_true(child >= 0);
        if (child == 0) {
            write_for_ever(fixture, promise);
        }
        while (promise->done <= wanted) {
            assert_int_equal(waitpid(child, NULL, WNOHANG), 0);
            (void)usleep(50);
        }
        assert_int_equal(kill(child, SIGKILL), 0);
        assert_int_equal(waitpid(child, NULL, 0), child);
        assert_ok(fixture_open(fixture));
        assert_true(fixture->recovery.entry_count >= promise->done);
        assert_recovered(fixture, fixture->recovery.entry_count, ENTRY_SIZE);
        promise->done = fixture->recovery.entry_count;
        fixture_close(fixture);
    }
    (void)munmap(promise, sizeof(*promise));
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_last_record_is_cut_wherever_the_write_stopped),
        TEST(nonsense_behind_the_last_record_is_cut),
        TEST(every_flip_in_the_middle_is_refused),
        TEST(a_refusal_names_file_offset_and_remedy),
        TEST(a_flip_inside_one_write_is_damage_too),
        TEST(sectors_that_were_never_written_are_a_torn_write),
        TEST(missing_sectors_of_a_flushed_write_are_damage),
        TEST(a_missing_file_is_damage),
        TEST(a_wiped_end_of_a_full_file_is_damage),
        TEST(a_damaged_file_header_is_damage),
        TEST(another_format_version_is_named_as_such),
        TEST(a_log_of_version_1_goes_on),
        TEST(a_file_that_disagrees_with_the_one_before_is_damage),
        TEST(a_killed_writer_loses_nothing_that_was_done),
    };

    return cmocka_run_group_tests_name("store/wal_recover", tests, NULL, NULL);
}
