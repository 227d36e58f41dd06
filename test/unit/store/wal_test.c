/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "store/wal.h"
#include "unit/store/wal_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static void an_empty_folder_gives_an_empty_log(void **state)
{
    struct fixture *fixture = *state;

    assert_ok(fixture_open(fixture));
    assert_int_equal(fixture->recovery.entry_count, 0);
    assert_int_equal(fixture->recovery.term, 0);
    assert_int_equal(fixture->recovery.voted_for, 0);
    assert_int_equal(fixture->recovery.torn_bytes, 0);
    fixture_close(fixture);
    assert_ok(fixture_open(fixture));
    assert_int_equal(fixture->recovery.entry_count, 0);
}

static void a_folder_that_is_not_there_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    struct wal_config config = {.dir = "/nowhere/at/all", .done = fixture_done};

    assert_err(
        wal_open(&config, &fixture->recovery, &fixture->error, &fixture->wal),
        ERR_IO);
    assert_null(fixture->wal);
}

static void what_was_done_comes_back(void **state)
{
    struct fixture *fixture = *state;

    assert_ok(fixture_open(fixture));
    for (int i = 0; i < 10; i++) {
        assert_ok(fixture_submit(fixture, 3, 100));
    }
    assert_ok(fixture_wait(fixture));
    assert_int_equal(fixture->done_seq, 10);
    fixture_close(fixture);
    assert_ok(fixture_open(fixture));
    assert_recovered(fixture, 10, 100);
    assert_int_equal(fixture->recovery.term, 3);
    assert_int_equal(fixture->recovery.voted_for, 7);
    assert_int_equal(fixture->recovery.torn_bytes, 0);
}

static void closing_writes_what_is_queued(void **state)
{
    struct fixture *fixture = *state;

    assert_ok(fixture_open(fixture));
    for (int i = 0; i < 200; i++) {
        assert_ok(fixture_submit(fixture, 1, 50));
    }
    fixture_close(fixture);
    assert_int_equal(fixture->done_seq, 200);
    assert_ok(fixture_open(fixture));
    assert_recovered(fixture, 200, 50);
}

static void many_submissions_share_a_flush(void **state)
{
    struct fixture *fixture = *state;
    uint64_t flushes;
    uint64_t records;

    fixture->segment_size = 1024 * 1024;
    assert_ok(fixture_open(fixture));
    for (int i = 0; i < 2000; i++) {
        assert_ok(fixture_submit(fixture, 1, 20));
    }
    assert_ok(fixture_wait(fixture));
    wal_counters(fixture->wal, &flushes, &records);
    assert_int_equal(records, 2000);
    assert_true(flushes > 0);
    assert_true(flushes < records);
}

static void a_log_goes_on_over_many_files(void **state)
{
    struct fixture *fixture = *state;

    fixture->segment_size = 4096;
    for (int round = 0; round < 5; round++) {
        assert_ok(fixture_open(fixture));
        assert_recovered(fixture, (size_t)round * 60, 300);
        for (int i = 0; i < 60; i++) {
            assert_ok(fixture_submit(fixture, 1, 300));
            if (i % 7 == 0) {
                assert_ok(fixture_wait(fixture));
            }
        }
        assert_ok(fixture_wait(fixture));
        fixture_close(fixture);
    }
    assert_ok(fixture_open(fixture));
    assert_recovered(fixture, 300, 300);
    assert_true(file_count(fixture) > 20);
}

static void an_entry_bigger_than_a_file_gets_a_bigger_file(void **state)
{
    struct fixture *fixture = *state;

    fixture->segment_size = 4096;
    assert_ok(fixture_open(fixture));
    for (int i = 0; i < 3; i++) {
        assert_ok(fixture_submit(fixture, 1, 50000));
    }
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    assert_ok(fixture_open(fixture));
    assert_recovered(fixture, 3, 50000);
}

static void a_suffix_is_cut_and_replaced_as_one_write(void **state)
{
    struct fixture *fixture = *state;
    struct raft_entry entry = {.index = 6,
                               .term = 2,
                               .type = RAFT_ENTRY_COMMAND,
                               .data = bytes_of("new", 3)};
    struct raft_persist persist = {.seq = 11,
                                   .term = 2,
                                   .voted_for = 0,
                                   .truncate_from = 6,
                                   .entries = &entry,
                                   .entry_count = 1};

    assert_ok(fixture_open(fixture));
    for (int i = 0; i < 10; i++) {
        assert_ok(fixture_submit(fixture, 1, 10));
    }
    assert_ok(wal_submit(fixture->wal, &persist));
    fixture->seq = 11;
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    assert_ok(fixture_open(fixture));
    assert_int_equal(fixture->recovery.entry_count, 6);
    assert_int_equal(fixture->recovery.entries[4].term, 1);
    assert_int_equal(fixture->recovery.entries[4].data.data[0], 'a' + 5);
    assert_int_equal(fixture->recovery.entries[5].term, 2);
    assert_bytes(fixture->recovery.entries[5].data, "new", 3);
    assert_int_equal(fixture->recovery.term, 2);
    assert_int_equal(fixture->recovery.voted_for, 0);
}

static void a_vote_alone_is_kept(void **state)
{
    struct fixture *fixture = *state;
    struct raft_persist persist = {.seq = 1, .term = 9, .voted_for = 42};

    assert_ok(fixture_open(fixture));
    assert_ok(wal_submit(fixture->wal, &persist));
    fixture->seq = 1;
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    assert_ok(fixture_open(fixture));
    assert_int_equal(fixture->recovery.term, 9);
    assert_int_equal(fixture->recovery.voted_for, 42);
    assert_int_equal(fixture->recovery.entry_count, 0);
}

static void a_prepared_file_that_was_not_begun_is_no_damage(void **state)
{
    struct fixture *fixture = *state;
    uint8_t zeros[1000] = {0};
    char path[128];
    int fd;

    assert_ok(fixture_open(fixture));
    assert_ok(fixture_submit(fixture, 1, 10));
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    fixture_path(fixture, 2, path, sizeof(path));
    fd = open(path, O_WRONLY | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, zeros, sizeof(zeros)), sizeof(zeros));
    assert_int_equal(close(fd), 0);
    assert_ok(fixture_open(fixture));
    assert_recovered(fixture, 1, 10);
    for (int i = 0; i < 200; i++) {
        assert_ok(fixture_submit(fixture, 1, 1000));
    }
    assert_ok(fixture_wait(fixture));
}

static void set_file_limit(rlim_t size)
{
    struct rlimit limit;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &limit), 0);
    limit.rlim_cur = size;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
}

/* Child: a file of the log cannot grow, and then it can. */
static void write_in_little_room(struct fixture *fixture, bool is_to_end)
{
    (void)signal(SIGXFSZ, SIG_IGN);
    fixture->segment_size = 4096;
    assert_ok(fixture_open(fixture));
    set_file_limit(6000);
    for (int i = 0; i < 3; i++) {
        assert_ok(fixture_submit(fixture, 1, 1000));
        assert_ok(fixture_wait(fixture));
    }
    /* Needs a file that is bigger than the limit. */
    assert_ok(fixture_submit(fixture, 1, 20000));
    fixture_wait_full(fixture);
    assert_ok(fixture_submit(fixture, 1, 1000));
    assert_int_equal(fixture->done_seq, 3);
    if (is_to_end) {
        fixture_close(fixture);
        assert_int_equal(fixture->done_status, ERR_NO_SPACE);
        _exit(0);
    }
    set_file_limit(RLIM_INFINITY);
    assert_ok(fixture_wait(fixture));
    assert_int_equal(fixture->done_seq, 5);
    assert_false(fixture->is_full);
    fixture_close(fixture);
    _exit(0);
}

static void run_in_little_room(struct fixture *fixture, bool is_to_end)
{
    int status;
    pid_t child = fork();

    assert_true(child >= 0);
    if (child == 0) {
        write_in_little_room(fixture, is_to_end);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
    fixture->segment_size = 4096;
    assert_ok(fixture_open(fixture));
}

static void a_full_disk_delays_and_loses_nothing(void **state)
{
    struct fixture *fixture = *state;

    run_in_little_room(fixture, false);
    assert_int_equal(fixture->recovery.entry_count, 5);
    assert_int_equal(fixture->recovery.entries[3].data.size, 20000);
    assert_int_equal(fixture->recovery.entries[4].data.size, 1000);
}

static void a_log_on_a_full_disk_can_be_closed(void **state)
{
    struct fixture *fixture = *state;

    run_in_little_room(fixture, true);
    assert_recovered(fixture, 3, 1000);
}

static void opening_survives_lack_of_memory(void **state)
{
    struct fixture *fixture = *state;
    int rv = ERR_NOMEM;

    assert_ok(fixture_open(fixture));
    for (int i = 0; i < 5; i++) {
        assert_ok(fixture_submit(fixture, 1, 100));
    }
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    for (uint64_t i = 0; i < 50 && rv == ERR_NOMEM; i++) {
        mem_fail_after(i);
        rv = fixture_open(fixture);
        mem_fail_after(UINT64_MAX);
        assert_true(rv == 0 || rv == ERR_NOMEM);
    }
    assert_ok(rv);
    assert_recovered(fixture, 5, 100);
}

static void a_refused_submission_leaves_no_trace(void **state)
{
    struct fixture *fixture = *state;

    assert_ok(fixture_open(fixture));
    assert_ok(fixture_submit(fixture, 1, 10));
    assert_ok(fixture_wait(fixture));
    mem_fail_after(0);
    assert_err(fixture_submit(fixture, 1, 100000), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    assert_ok(fixture_submit(fixture, 1, 10));
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    assert_ok(fixture_open(fixture));
    assert_recovered(fixture, 2, 10);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(an_empty_folder_gives_an_empty_log),
        TEST(a_folder_that_is_not_there_is_an_error),
        TEST(what_was_done_comes_back),
        TEST(closing_writes_what_is_queued),
        TEST(many_submissions_share_a_flush),
        TEST(a_log_goes_on_over_many_files),
        TEST(an_entry_bigger_than_a_file_gets_a_bigger_file),
        TEST(a_suffix_is_cut_and_replaced_as_one_write),
        TEST(a_vote_alone_is_kept),
        TEST(a_prepared_file_that_was_not_begun_is_no_damage),
        TEST(a_full_disk_delays_and_loses_nothing),
        TEST(a_log_on_a_full_disk_can_be_closed),
        TEST(opening_survives_lack_of_memory),
        TEST(a_refused_submission_leaves_no_trace),
    };

    return cmocka_run_group_tests_name("store/wal", tests, NULL, NULL);
}
