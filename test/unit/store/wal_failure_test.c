/* SPDX-License-Identifier: Apache-2.0
 * Calls that fail: a flush is never repeated, a write without room is; nothing
 * is reported as done that was not flushed. The file system of these tests
 * refuses O_DIRECT; wal_direct_test.c has the others. */
#include "unit/store/wal_fixture.h"

#include <errno.h>
#include <stdatomic.h>
#include <sys/syscall.h>

enum { ENTRY_SIZE = 100 };

/* How often the calls fail from now on, and how. */
static atomic_int flushes_to_fail;
static atomic_int writes_to_fail;
static atomic_int allocations_to_fail;
static atomic_int syncs_to_fail;
static atomic_int cuts_to_fail; /* flushes of a directory behind a removal */
static atomic_int marks_to_fail;
static atomic_bool is_marking; /* the file `log` was the last one written */
static atomic_bool is_name_gone;
static atomic_int failure;
static atomic_int flush_count;
static atomic_int write_count;

static bool fails(atomic_int *count)
{
    if (atomic_load(count) == 0) {
        return false;
    }
    atomic_fetch_sub(count, 1);
    errno = atomic_load(&failure);
    return true;
}

int openat(int dir_fd, const char *name, int flags, ...)
{
    if ((flags & O_DIRECT) != 0) {
        errno = EINVAL;
        return -1;
    }
    return (int)syscall(SYS_openat, dir_fd, name, flags, 0600);
}

int fdatasync(int fd)
{
    atomic_fetch_add(&flush_count, 1);
    return fails(&flushes_to_fail) ? -1 : (int)syscall(SYS_fdatasync, fd);
}

int unlinkat(int dir_fd, const char *name, int flags)
{
    atomic_store(&is_name_gone, true);
    return (int)syscall(SYS_unlinkat, dir_fd, name, flags);
}

int fsync(int fd)
{
    if (atomic_exchange(&is_name_gone, false) && fails(&cuts_to_fail)) {
        return -1;
    }
    if (atomic_exchange(&is_marking, false) && fails(&marks_to_fail)) {
        return -1;
    }
    return fails(&syncs_to_fail) ? -1 : (int)syscall(SYS_fsync, fd);
}

ssize_t pwrite(int fd, const void *data, size_t size, off_t offset)
{
    if (fails(&writes_to_fail)) {
        /* Half of it was written before the disk was full. */
        (void)!syscall(SYS_pwrite64, fd, data, size / 2, offset);
        return -1;
    }
    atomic_store(&is_marking, size > 6 && memcmp(data, "newest", 6) == 0);
    atomic_fetch_add(&write_count, 1);
    return syscall(SYS_pwrite64, fd, data, size, offset);
}

int fallocate(int fd, int mode, off_t offset, off_t size)
{
    return fails(&allocations_to_fail)
               ? -1
               : (int)syscall(SYS_fallocate, fd, mode, offset, size);
}

static int setup(void **state)
{
    atomic_store(&flushes_to_fail, 0);
    atomic_store(&writes_to_fail, 0);
    atomic_store(&allocations_to_fail, 0);
    atomic_store(&syncs_to_fail, 0);
    atomic_store(&cuts_to_fail, 0);
    atomic_store(&marks_to_fail, 0);
    return fixture_setup(state);
}

static void submit(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++) {
        assert_ok(fixture_submit(fixture, 1, ENTRY_SIZE));
    }
}

static void fail_a_flush(struct fixture *fixture, int error)
{
    int count;

    assert_ok(fixture_open(fixture));
    submit(fixture, 3);
    assert_ok(fixture_wait(fixture));
    atomic_store(&failure, error);
    atomic_store(&flushes_to_fail, 1);
    count = atomic_load(&flush_count);
    submit(fixture, 1);
    assert_err(fixture_wait(fixture), ERR_IO);
    assert_int_equal(atomic_load(&flush_count), count + 1);
    /* The next flush would succeed: there is none. */
    assert_err(fixture_submit(fixture, 1, ENTRY_SIZE), ERR_IO);
    assert_int_equal(atomic_load(&flush_count), count + 1);
    assert_false(fixture->is_full);
    fixture_close(fixture);
    /* What is there now is what counts; the failed one may be. */
    assert_ok(fixture_open(fixture));
    assert_true(fixture->recovery.entry_count >= 3);
    assert_entries(fixture, ENTRY_SIZE);
}

static void a_flush_that_failed_is_the_last_one(void **state)
{
    fail_a_flush(*state, EIO);
}

static void also_one_that_failed_for_want_of_room(void **state)
{
    fail_a_flush(*state, ENOSPC);
}

static void a_write_that_failed_is_final(void **state)
{
    struct fixture *fixture = *state;

    assert_ok(fixture_open(fixture));
    atomic_store(&failure, EIO);
    atomic_store(&writes_to_fail, 1);
    submit(fixture, 1);
    assert_err(fixture_wait(fixture), ERR_IO);
    assert_err(fixture_submit(fixture, 1, ENTRY_SIZE), ERR_IO);
}

static void a_write_without_room_is_repeated(void **state)
{
    struct fixture *fixture = *state;

    assert_ok(fixture_open(fixture));
    submit(fixture, 3);
    assert_ok(fixture_wait(fixture));
    atomic_store(&failure, ENOSPC);
    atomic_store(&writes_to_fail, 5);
    submit(fixture, 3);
    assert_ok(fixture_wait(fixture));
    assert_int_equal(atomic_load(&writes_to_fail), 0);
    assert_false(fixture->is_full); /* not any more */
    fixture_close(fixture);
    assert_ok(fixture_open(fixture));
    assert_recovered(fixture, 6, ENTRY_SIZE);
}

/* Fills the first file, so that the next one is needed. */
static void need_a_file(struct fixture *fixture, atomic_int *to_fail, int error,
                        int count)
{
    fixture->segment_size = 4096;
    assert_ok(fixture_open(fixture));
    atomic_store(&failure, error);
    atomic_store(to_fail, count);
    submit(fixture, 100);
}

static void a_file_without_room_is_made_again(void **state)
{
    struct fixture *fixture = *state;

    need_a_file(fixture, &allocations_to_fail, ENOSPC, 7);
    assert_ok(fixture_wait(fixture));
    assert_int_equal(atomic_load(&allocations_to_fail), 0);
    fixture_close(fixture);
    assert_ok(fixture_open(fixture));
    assert_recovered(fixture, 100, ENTRY_SIZE);
}

static void
a_file_that_cannot_be_flushed_is_made_again_for_want_of_room(void **state)
{
    struct fixture *fixture = *state;

    need_a_file(fixture, &syncs_to_fail, ENOSPC, 3);
    assert_ok(fixture_wait(fixture));
    assert_int_equal(atomic_load(&syncs_to_fail), 0);
    fixture_close(fixture);
    assert_ok(fixture_open(fixture));
    assert_recovered(fixture, 100, ENTRY_SIZE);
}

static void a_disk_that_reports_errors_ends_it(void **state)
{
    struct fixture *fixture = *state;
    size_t count;

    need_a_file(fixture, &syncs_to_fail, EIO, 1000000);
    assert_err(fixture_wait(fixture), ERR_IO);
    fixture_close(fixture);
    atomic_store(&syncs_to_fail, 0);
    assert_ok(fixture_open(fixture));
    count = fixture->recovery.entry_count;
    assert_true(count > 0 && count < 100);
    assert_recovered(fixture, count, ENTRY_SIZE);
}

static void a_front_that_cannot_be_cut_stays(void **state)
{
    struct fixture *fixture = *state;

    fixture->segment_size = 4096;
    assert_ok(fixture_open(fixture));
    submit(fixture, 100);
    assert_ok(fixture_wait(fixture));
    atomic_store(&failure, EIO);
    atomic_store(&cuts_to_fail, 1);
    wal_release(fixture->wal, 90);
    fixture->covered = 90;
    while (atomic_load(&cuts_to_fail) > 0) {
        submit(fixture, 1);
        assert_ok(fixture_wait(fixture));
    }
    fixture_close(fixture);
    assert_ok(fixture_open(fixture));
    /* One file went, if that: all others are kept. */
    assert_true(fixture->recovery.entry_count > 70);
    assert_entries(fixture, ENTRY_SIZE);
}

/* The mark names the next file already: that one has to stay. */
static void a_mark_that_cannot_be_flushed_keeps_its_file(void **state)
{
    struct fixture *fixture = *state;
    size_t count;

    need_a_file(fixture, &marks_to_fail, EIO, 1);
    assert_err(fixture_wait(fixture), ERR_IO);
    fixture_close(fixture);
    fixture->is_begun = true;
    assert_ok(fixture_open(fixture));
    count = fixture->recovery.entry_count;
    assert_true(count > 0 && count < 100);
    assert_recovered(fixture, count, ENTRY_SIZE);
}

/* It may have been in the page cache only. */
static void what_is_read_back_is_written_and_flushed_again(void **state)
{
    struct fixture *fixture = *state;
    int writes;
    int flushes;

    assert_ok(fixture_open(fixture));
    submit(fixture, 3);
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    writes = atomic_load(&write_count);
    flushes = atomic_load(&flush_count);
    assert_ok(fixture_open(fixture));
    assert_recovered(fixture, 3, ENTRY_SIZE);
    /* The header, the records of the last flush, and the mark. */
    assert_int_equal(atomic_load(&write_count), writes + 3);
    assert_int_equal(atomic_load(&flush_count), flushes + 1);
    fixture_close(fixture);
    atomic_store(&failure, EIO);
    atomic_store(&flushes_to_fail, 1);
    assert_err(fixture_open(fixture), ERR_IO);
    assert_ok(fixture_open(fixture));
    assert_recovered(fixture, 3, ENTRY_SIZE);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_flush_that_failed_is_the_last_one),
        TEST(also_one_that_failed_for_want_of_room),
        TEST(a_write_that_failed_is_final),
        TEST(a_write_without_room_is_repeated),
        TEST(a_file_without_room_is_made_again),
        TEST(a_file_that_cannot_be_flushed_is_made_again_for_want_of_room),
        TEST(a_disk_that_reports_errors_ends_it),
        TEST(a_front_that_cannot_be_cut_stays),
        TEST(a_mark_that_cannot_be_flushed_keeps_its_file),
        TEST(what_is_read_back_is_written_and_flushed_again),
    };

    return cmocka_run_group_tests_name("store/wal_failure", tests, NULL, NULL);
}
