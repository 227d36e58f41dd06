/* SPDX-License-Identifier: Apache-2.0
 * store/wal_direct: whole blocks in one call, that fail in all ways. The file
 * system of the test need not do O_DIRECT: the flag is taken off, and what it
 * asks for is checked here. */
#include "base/err.h"
#include "base/mem.h"
#include "store/wal_direct.h"
#include "unit/store/wal_fixture.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>

enum {
    FDS_MAX = 1024,
    BLOCK = 4096,
    BIG_SIZE = 3 * WAL_DIRECT_SIZE_MAX,
    ROUNDS = 40
};

static atomic_bool is_refused; /* at opening */
static atomic_bool is_direct[FDS_MAX];
static atomic_int writes_to_pass; /* and those after it fail, */
static atomic_int writes_to_fail; /* so many */
static atomic_int failure;
static atomic_int bytes_max; /* of a write; 0: any */
static atomic_int direct_count;

int openat(int dir_fd, const char *name, int flags, ...)
{
    bool wants_direct = (flags & O_DIRECT) != 0;
    int fd;

    if (wants_direct && atomic_load(&is_refused)) {
        errno = EINVAL;
        return -1;
    }
    if (wants_direct) {
        assert_true((flags & O_DSYNC) == O_DSYNC);
    }
    fd = (int)syscall(SYS_openat, dir_fd, name, flags & ~O_DIRECT, 0600);
    assert_true(fd < FDS_MAX);
    if (fd >= 0) {
        atomic_store(&is_direct[fd], wants_direct);
    }
    return fd;
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    int max = atomic_load(&bytes_max);

    if (!atomic_load(&is_direct[fd])) {
        return syscall(SYS_pwrite64, fd, data, size, offset);
    }
    assert_true((uintptr_t)data % BLOCK == 0);
    assert_true(size % BLOCK == 0 && size <= WAL_DIRECT_SIZE_MAX);
    assert_true(offset % BLOCK == 0);
    atomic_fetch_add(&direct_count, 1);
    if (atomic_load(&writes_to_pass) > 0) {
        atomic_fetch_sub(&writes_to_pass, 1);
    } else if (atomic_load(&writes_to_fail) > 0) {
        atomic_fetch_sub(&writes_to_fail, 1);
        /* Half of it was written before. */
        (void)!syscall(SYS_pwrite64, fd, data, size / 2, offset);
        errno = atomic_load(&failure);
        return errno == 0 ? 0 : -1;
    }
    size = max > 0 && size > (size_t)max ? (size_t)max : size;
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

static int setup(void **state)
{
    int rv = fixture_setup(state);

    atomic_store(&is_refused, false);
    atomic_store(&writes_to_pass, 0);
    atomic_store(&writes_to_fail, 0);
    atomic_store(&bytes_max, 0);
    atomic_store(&direct_count, 0);
    return rv;
}

/* Around the ends of blocks, and now and then more than a write takes. */
static size_t size_of(uint64_t index)
{
    static const size_t sizes[] = {0, 1, 100, BLOCK - 97, 5000, 60000};

    return index == 17 ? BIG_SIZE : sizes[index % 6] + index % 16;
}

static void submit(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++) {
        assert_ok(fixture_submit(fixture, 1, size_of(fixture->index + 1)));
    }
}

static void assert_all(const struct fixture *fixture, size_t count)
{
    const struct wal_recovery *recovery = &fixture->recovery;

    assert_int_equal(recovery->entry_count, count);
    for (size_t i = 0; i < count; i++) {
        const struct raft_entry *entry = &recovery->entries[i];

        assert_int_equal(entry->index, i + 1);
        assert_int_equal(entry->data.size, size_of(i + 1));
        for (size_t j = 0; j < entry->data.size; j++) {
            assert_true(entry->data.data[j] == 'a' + entry->index % 26);
        }
    }
}

static void open_direct(struct fixture *fixture)
{
    assert_ok(fixture_open(fixture));
    assert_true(wal_is_direct(fixture->wal));
}

/* Writes, and reads it back. */
static void go_on(struct fixture *fixture, int count)
{
    int before = (int)fixture->index;

    submit(fixture, count);
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    assert_ok(fixture_open(fixture));
    assert_all(fixture, (size_t)(before + count));
}

static void records_of_all_sizes_come_back(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    open_direct(fixture);
    for (int i = 0; i < ROUNDS; i++) {
        go_on(fixture, 1 + i % 3);
        /* It may be another kernel after each start. */
        atomic_store(&is_refused, i % 4 == 1);
    }
    assert_true(atomic_load(&direct_count) > ROUNDS);
}

static struct buf read_log(const struct fixture *fixture)
{
    struct buf all;
    char path[128];

    buf_init(&all, 64 * 1024 * 1024);
    for (uint64_t number = 1;; number++) {
        uint8_t block[BLOCK];
        ssize_t size;
        int fd;

        fixture_path(fixture, number, path, sizeof(path));
        fd = open(path, O_RDONLY | O_CLOEXEC);
        if (fd < 0) {
            break;
        }
        while ((size = read(fd, block, sizeof(block))) > 0) {
            buf_put(&all, block, (size_t)size);
        }
        (void)close(fd);
    }
    assert_ok(buf_error(&all));
    return all;
}

static struct buf write_log(struct fixture *fixture, bool is_cached)
{
    struct buf all;

    atomic_store(&is_refused, is_cached);
    assert_ok(fixture_open(fixture));
    assert_true(wal_is_direct(fixture->wal) != is_cached);
    for (int i = 0; i < ROUNDS; i++) {
        submit(fixture, 1);
        assert_ok(fixture_wait(fixture));
    }
    fixture_close(fixture);
    all = read_log(fixture);
    dir_empty(fixture->dir);
    fixture->index = 0;
    return all;
}

static void the_files_are_the_same_either_way(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct buf cached = write_log(fixture, true);
    struct buf direct = write_log(fixture, false);

    assert_true(cached.size > BIG_SIZE);
    assert_int_equal(cached.size % BLOCK, 0);
    assert_int_equal(cached.size, direct.size);
    assert_memory_equal(cached.data, direct.data, cached.size);
    buf_close(&cached);
    buf_close(&direct);
}

static void where_it_is_refused_it_goes_through_the_cache(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    atomic_store(&is_refused, true);
    assert_ok(fixture_open(fixture));
    assert_false(wal_is_direct(fixture->wal));
    go_on(fixture, 30);
    assert_int_equal(atomic_load(&direct_count), 0);
    fixture_close(fixture);
    /* The same if it shows when something is written. */
    atomic_store(&is_refused, false);
    atomic_store(&failure, EINVAL);
    atomic_store(&writes_to_fail, 1);
    assert_ok(fixture_open(fixture));
    assert_false(wal_is_direct(fixture->wal));
    submit(fixture, 5);
    assert_ok(fixture_wait(fixture));
    assert_int_equal(atomic_load(&direct_count), 1);
    go_on(fixture, 5);
    assert_true(wal_is_direct(fixture->wal));
}

static void a_disk_that_reports_errors_ends_it(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    open_direct(fixture);
    submit(fixture, 3);
    assert_ok(fixture_wait(fixture));
    atomic_store(&failure, EIO);
    atomic_store(&writes_to_fail, 1);
    submit(fixture, 1);
    assert_err(fixture_wait(fixture), ERR_IO);
    assert_err(fixture_submit(fixture, 1, 1), ERR_IO);
    fixture_close(fixture);
    atomic_store(&writes_to_fail, 1);
    assert_err(fixture_open(fixture), ERR_IO);
    assert_ok(fixture_open(fixture));
    assert_true(fixture->recovery.entry_count >= 3);
    assert_all(fixture, fixture->recovery.entry_count);
}

static void without_room_it_goes_on_where_it_was(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    open_direct(fixture);
    submit(fixture, 16);
    assert_ok(fixture_wait(fixture));
    /* In the middle of the big one. */
    atomic_store(&failure, ENOSPC);
    atomic_store(&writes_to_pass, 2);
    atomic_store(&writes_to_fail, 3);
    go_on(fixture, 5);
    assert_int_equal(atomic_load(&writes_to_fail), 0);
    assert_false(fixture->is_full);
}

static void a_short_write_is_gone_on_with(void **state)
{
    static const int sizes[] = {BLOCK, BLOCK + 512, 3 * BLOCK - 1};
    struct fixture *fixture = (struct fixture *)*state;

    open_direct(fixture);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        atomic_store(&bytes_max, sizes[i]);
        go_on(fixture, 7);
    }
    /* Less than a block, without end. */
    atomic_store(&bytes_max, 512);
    submit(fixture, 1);
    assert_err(fixture_wait(fixture), ERR_IO);
    atomic_store(&bytes_max, 0);
}

/* Files of a big record had any size once. */
static void a_file_of_an_odd_size_gets_whole_blocks(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct buf all;
    char path[128];

    open_direct(fixture);
    submit(fixture, 3);
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    fixture_path(fixture, 1, path, sizeof(path));
    assert_int_equal(truncate(path, (off_t)fixture->segment_size + 100), 0);
    open_direct(fixture);
    go_on(fixture, 12);
    all = read_log(fixture);
    assert_int_equal(all.size % BLOCK, 0);
    buf_close(&all);
}

static void it_does_without_memory(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct wal_segment segment = {.fd = -1, .size = BLOCK, .number = 1};
    struct wal_direct direct;
    int dir_fd = open(fixture->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    wal_segment_init(&segment);
    assert_ok(wal_segment_create(&segment, dir_fd, 1, BLOCK));
    assert_ok(wal_segment_prepare(&segment, dir_fd));
    wal_direct_init(&direct);
    mem_fail_after(0);
    assert_err(wal_direct_open(&direct, dir_fd, &segment), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    assert_int_equal(direct.fd, -1);
    assert_ok(wal_direct_open(&direct, dir_fd, &segment));
    assert_ok(wal_direct_probe(&direct));
    /* The other one is closed. */
    segment.size += 1;
    segment.prepared += 1;
    assert_err(wal_direct_open(&direct, dir_fd, &segment), ERR_UNSUPPORTED);
    assert_int_equal(direct.fd, -1);
    wal_direct_close(&direct);
    wal_segment_close(&segment);
    (void)close(dir_fd);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(records_of_all_sizes_come_back),
        TEST(the_files_are_the_same_either_way),
        TEST(where_it_is_refused_it_goes_through_the_cache),
        TEST(a_disk_that_reports_errors_ends_it),
        TEST(without_room_it_goes_on_where_it_was),
        TEST(a_short_write_is_gone_on_with),
        TEST(a_file_of_an_odd_size_gets_whole_blocks),
        TEST(it_does_without_memory),
    };

    return cmocka_run_group_tests_name("store/wal_direct", tests, NULL, NULL);
}
