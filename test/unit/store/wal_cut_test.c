/* SPDX-License-Identifier: Apache-2.0
 * The front of the log is cut when a snapshot covers it, and whenever the
 * power fails meanwhile, what is left is a log. */
#include "store/wal_files.h"
#include "store/wal_segment.h"
#include "unit/store/crash.h"
#include "unit/store/wal_fixture.h"

#include <sys/wait.h>

enum { ENTRY_SIZE = 300, FILE_SIZE = 4096, PER_FILE = 10 };

static void open_small(struct fixture *fixture)
{
    fixture->segment_size = FILE_SIZE;
    assert_ok(fixture_open(fixture));
}

static void submit(struct fixture *fixture, int count)
{
    for (int i = 0; i < count; i++) {
        assert_ok(fixture_submit(fixture, 1, ENTRY_SIZE));
    }
    assert_ok(fixture_wait(fixture));
}

/* The numbers of the first and the last file. */
static void find_files(const struct fixture *fixture, uint64_t *ret_first,
                       uint64_t *ret_last)
{
    uint64_t number = 1;
    char path[128];

    fixture_path(fixture, number, path, sizeof(path));
    while (access(path, F_OK) != 0) {
        number++;
        assert_true(number < 10000);
        fixture_path(fixture, number, path, sizeof(path));
    }
    *ret_first = number;
    while (access(path, F_OK) == 0) {
        number++;
        fixture_path(fixture, number, path, sizeof(path));
    }
    *ret_last = number - 1;
}

/* The thread cuts one file after each write, so that many writes later all
 * that may go is gone. */
static void release(struct fixture *fixture, uint64_t index)
{
    wal_release(fixture->wal, index);
    fixture->covered = index;
    fixture_close(fixture);
    open_small(fixture);
}

static void assert_suffix(const struct fixture *fixture, uint64_t last)
{
    const struct wal_recovery *recovery = &fixture->recovery;

    assert_int_equal(recovery->last_index, last);
    assert_true(last - recovery->entry_count <= fixture->covered);
    assert_entries(fixture, ENTRY_SIZE);
    assert_int_equal(recovery->term, 1);
    assert_int_equal(recovery->voted_for, 7);
}

static void covered_files_go_and_the_rest_keeps_its_indexes(void **state)
{
    struct fixture *fixture = *state;
    uint64_t first;
    uint64_t last;

    open_small(fixture);
    submit(fixture, 100);
    find_files(fixture, &first, &last);
    assert_int_equal(first, 1);
    assert_true(last >= 9);
    wal_release(fixture->wal, 50);
    fixture->covered = 50;
    /* Each submission gives the thread a turn to cut one. */
    for (int i = 0; i < 20; i++) {
        submit(fixture, 1);
    }
    fixture_close(fixture);
    find_files(fixture, &first, &last);
    assert_true(first > 1);
    open_small(fixture);
    assert_suffix(fixture, 120);
    assert_true(fixture->recovery.entry_count >= 70);
    assert_true(fixture->recovery.entry_count < 70 + PER_FILE + 1);
    submit(fixture, 30);
    release(fixture, 50);
    assert_suffix(fixture, 150);
}

static void the_last_file_stays_whatever_is_covered(void **state)
{
    struct fixture *fixture = *state;
    uint64_t first;
    uint64_t last;

    open_small(fixture);
    submit(fixture, 95);
    wal_release(fixture->wal, 1000);
    for (int i = 0; i < 20; i++) {
        submit(fixture, 1);
    }
    fixture_close(fixture);
    find_files(fixture, &first, &last);
    assert_true(last - first <= 1);
    fixture->covered = 1000;
    open_small(fixture);
    assert_suffix(fixture, 115);
}

static void nothing_may_be_missing_behind_the_snapshot(void **state)
{
    struct fixture *fixture = *state;
    uint64_t first;
    uint64_t last;
    char text[4097];
    char path[128];

    open_small(fixture);
    submit(fixture, 100);
    fixture_close(fixture);
    for (uint64_t number = 1; number <= 4; number++) {
        fixture_path(fixture, number, path, sizeof(path));
        assert_int_equal(unlink(path), 0);
    }
    find_files(fixture, &first, &last);
    assert_int_equal(first, 5);
    fixture->covered = 20;
    assert_err(fixture_open(fixture), ERR_CORRUPT);
    memcpy(text, fixture->error.data, fixture->error.size);
    text[fixture->error.size] = '\0';
    assert_non_null(strstr(text, "no whole snapshot covers"));
    assert_non_null(strstr(text, "up to 20"));
    fixture->covered = 0;
    assert_err(fixture_open(fixture), ERR_CORRUPT);
    fixture->covered = 45;
    open_small(fixture);
    assert_suffix(fixture, 100);
}

static void the_hard_state_outlives_the_records_that_set_it(void **state)
{
    struct fixture *fixture = *state;
    struct raft_persist vote = {.seq = 1, .term = 9, .voted_for = 42};
    struct wal_segment segment;
    struct wal_files files;
    char path[128];
    int dir_fd;

    open_small(fixture);
    submit(fixture, 9);
    vote.seq = 10;
    fixture->seq = 10;
    assert_ok(wal_submit(fixture->wal, &vote));
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    /* The next file has begun, and nothing is in it yet. */
    dir_fd = open(fixture->dir, O_RDONLY | O_DIRECTORY);
    assert_true(dir_fd >= 0);
    wal_segment_init(&segment);
    assert_ok(wal_segment_create(&segment, dir_fd, 2, FILE_SIZE));
    assert_ok(wal_segment_prepare(&segment, dir_fd));
    assert_ok(wal_segment_begin(
        &segment, &(struct wal_segment_header){.first_sequence = 11,
                                               .term = 9,
                                               .voted_for = 42,
                                               .last_index = 9}));
    wal_segment_close(&segment);
    open_small(fixture);
    assert_int_equal(fixture->recovery.entry_count, 9);
    fixture_close(fixture);
    wal_files_init(&files);
    assert_ok(wal_files_add(&files, 1));
    assert_ok(wal_files_add(&files, 2));
    assert_ok(wal_files_cut(&files, dir_fd, 9));
    assert_err(wal_files_cut(&files, dir_fd, 9), ERR_NOT_FOUND);
    wal_files_close(&files);
    assert_int_equal(close(dir_fd), 0);
    fixture_path(fixture, 1, path, sizeof(path));
    assert_int_equal(access(path, F_OK), -1);
    fixture->covered = 9;
    open_small(fixture);
    assert_int_equal(fixture->recovery.term, 9);
    assert_int_equal(fixture->recovery.voted_for, 42);
    assert_int_equal(fixture->recovery.last_index, 9);
    assert_int_equal(fixture->recovery.entry_count, 0);
}

/* What a snapshot of a leader does to a log that is behind or another one. */
static void a_base_makes_what_was_before_void(void **state)
{
    struct fixture *fixture = *state;
    struct raft_persist persist = {.seq = 61,
                                   .term = 4,
                                   .voted_for = 3,
                                   .is_log_reset = true,
                                   .base_index = 40,
                                   .base_term = 3};
    struct raft_entry entry = {.index = 41,
                               .term = 4,
                               .type = RAFT_ENTRY_COMMAND,
                               .data = bytes_of("new", 3)};
    uint64_t first;
    uint64_t last;

    open_small(fixture);
    submit(fixture, 60);
    persist.entries = &entry;
    persist.entry_count = 1;
    assert_ok(wal_submit(fixture->wal, &persist));
    fixture->seq = 61;
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    assert_err(fixture_open(fixture), ERR_CORRUPT); /* no snapshot */
    fixture->covered = 40;
    open_small(fixture);
    assert_int_equal(fixture->recovery.last_index, 41);
    assert_int_equal(fixture->recovery.entry_count, 1);
    assert_int_equal(fixture->recovery.entries[0].index, 41);
    assert_bytes(fixture->recovery.entries[0].data, "new", 3);
    assert_int_equal(fixture->recovery.term, 4);
    /* Files of the void part go although their indexes were greater. */
    wal_release(fixture->wal, 40);
    for (int i = 0; i < 20; i++) {
        submit(fixture, 1);
    }
    find_files(fixture, &first, &last);
    assert_true(first >= 6);
    fixture_close(fixture);
    open_small(fixture);
    assert_int_equal(fixture->recovery.last_index, 61);
    assert_int_equal(fixture->recovery.entries[0].index, 41);
}

/* --- Power cuts ----------------------------------------------------------- */

/* Child: cuts all that is covered, and writes, until the power fails. */
static void cut_and_write(struct fixture *fixture, uint64_t left, uint64_t seed)
{
    open_small(fixture);
    crash_begin(left, seed);
    wal_release(fixture->wal, fixture->covered);
    for (int i = 0; i < 12; i++) {
        submit(fixture, 1);
    }
    fixture_close(fixture);
    _exit(0);
}

static void a_power_cut_at_any_call_leaves_a_log(void **state)
{
    struct fixture *fixture = *state;
    int status = CRASH_EXIT;
    uint64_t left;
    uint64_t last = 0;

    for (left = 0; status == CRASH_EXIT; left++) {
        pid_t child;

        assert_true(left < 1000);
        dir_empty(fixture->dir);
        fixture->covered = 0;
        open_small(fixture);
        submit(fixture, 60);
        fixture_close(fixture);
        fixture->covered = 45;
        child = fork();
        assert_true(child >= 0);
        if (child == 0) {
            cut_and_write(fixture, left, left);
        }
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFEXITED(status));
        status = WEXITSTATUS(status);
        open_small(fixture);
        last = fixture->recovery.last_index;
        assert_true(last >= 60);
        assert_suffix(fixture, last);
        submit(fixture, 3);
        fixture_close(fixture);
        open_small(fixture);
        assert_suffix(fixture, last + 3);
        fixture_close(fixture);
    }
    assert_int_equal(status, 0);
    assert_int_equal(last, 72);
    assert_true(left > 30); /* it was the calls that were counted */
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(covered_files_go_and_the_rest_keeps_its_indexes),
        TEST(the_last_file_stays_whatever_is_covered),
        TEST(nothing_may_be_missing_behind_the_snapshot),
        TEST(the_hard_state_outlives_the_records_that_set_it),
        TEST(a_base_makes_what_was_before_void),
        TEST(a_power_cut_at_any_call_leaves_a_log),
    };

    return cmocka_run_group_tests_name("store/wal_cut", tests, NULL, NULL);
}
