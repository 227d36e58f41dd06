/* SPDX-License-Identifier: Apache-2.0
 * The state store's journal on a real disk: order, generations, torn and
 * damaged records. */
#include "base/mem.h"
#include "lib/test.h"
#include "store/state_journal.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { PATH_SIZE = 256 };

struct fixture {
    char dir[PATH_SIZE];
    char path[PATH_SIZE + 16];
    struct state_journal journal;
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_alloc(sizeof(*fixture));

    assert_non_null(fixture);
    (void)snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/journal.XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/state.journal",
                   fixture->dir);
    assert_ok(state_journal_open(&fixture->journal, fixture->dir, NULL));
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    state_journal_close(&fixture->journal);
    assert_int_equal(unlink(fixture->path), 0);
    assert_int_equal(rmdir(fixture->dir), 0);
    mem_free(fixture);
    return 0;
}

static void append(struct fixture *fixture, const char *data)
{
    state_journal_begin(&fixture->journal);
    buf_put_bytes(&fixture->journal.record, bytes_of_string(data));
    assert_ok(state_journal_write(&fixture->journal));
}

static void reopen(struct fixture *fixture)
{
    state_journal_close(&fixture->journal);
    assert_ok(state_journal_open(&fixture->journal, fixture->dir, NULL));
}

static void assert_next(struct fixture *fixture, const char *data)
{
    struct bytes found;

    assert_ok(state_journal_next(&fixture->journal, &found));
    assert_bytes(found, data, strlen(data));
}

static void assert_end(struct fixture *fixture)
{
    struct bytes found;

    assert_err(state_journal_next(&fixture->journal, &found), ERR_NOT_FOUND);
}

/* Turns the bits of one byte of the file. */
static void damage(struct fixture *fixture, off_t offset)
{
    int fd = open(fixture->path, O_RDWR | O_CLOEXEC);
    uint8_t byte;

    assert_true(fd >= 0);
    assert_int_equal(pread(fd, &byte, 1, offset), 1);
    byte = (uint8_t)~byte;
    assert_int_equal(pwrite(fd, &byte, 1, offset), 1);
    assert_int_equal(close(fd), 0);
}

static void gives_back_what_was_written_in_order(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    char big[3 * STATE_JOURNAL_PAGE];

    memset(big, 'x', sizeof(big) - 1);
    big[sizeof(big) - 1] = '\0';
    append(fixture, "one");
    append(fixture, big);
    append(fixture, "");
    reopen(fixture);
    assert_next(fixture, "one");
    assert_next(fixture, big);
    assert_next(fixture, "");
    assert_end(fixture);
}

static void an_empty_journal_has_nothing(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    assert_end(fixture);
    reopen(fixture);
    assert_end(fixture);
}

static void a_new_generation_hides_the_old_one(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    append(fixture, "old 1");
    append(fixture, "old 2");
    append(fixture, "old 3");
    state_journal_reset(&fixture->journal);
    append(fixture, "new 1");
    reopen(fixture);
    assert_next(fixture, "new 1");
    assert_end(fixture);
}

static void goes_on_in_the_generation_after_the_one_it_found(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    append(fixture, "a");
    append(fixture, "b");
    reopen(fixture);
    assert_next(fixture, "a");
    assert_next(fixture, "b");
    assert_end(fixture);
    state_journal_reset(&fixture->journal);
    append(fixture, "c");
    reopen(fixture);
    assert_next(fixture, "c");
    assert_end(fixture);
}

static void a_torn_last_record_is_the_end(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    append(fixture, "one");
    append(fixture, "two");
    state_journal_close(&fixture->journal);
    damage(fixture, STATE_JOURNAL_PAGE + STATE_JOURNAL_HEADER_SIZE);
    assert_ok(state_journal_open(&fixture->journal, fixture->dir, NULL));
    assert_next(fixture, "one");
    assert_end(fixture);
}

static void damage_before_a_whole_record_is_told(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct bytes found;

    append(fixture, "one");
    append(fixture, "two");
    append(fixture, "three");
    state_journal_close(&fixture->journal);
    damage(fixture, STATE_JOURNAL_PAGE + STATE_JOURNAL_HEADER_SIZE + 1);
    assert_ok(state_journal_open(&fixture->journal, fixture->dir, NULL));
    assert_next(fixture, "one");
    assert_err(state_journal_next(&fixture->journal, &found), ERR_CORRUPT);
}

static void says_when_it_is_full(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    size_t half = STATE_JOURNAL_SIZE / 2;
    uint8_t *data = mem_alloc(half);

    assert_non_null(data);
    assert_true(state_journal_has_room(&fixture->journal, half));
    state_journal_begin(&fixture->journal);
    buf_put(&fixture->journal.record, data, half);
    assert_ok(state_journal_write(&fixture->journal));
    assert_false(state_journal_has_room(&fixture->journal, half));
    state_journal_begin(&fixture->journal);
    buf_put(&fixture->journal.record, data, half);
    assert_err(state_journal_write(&fixture->journal), ERR_LIMIT);
    state_journal_reset(&fixture->journal);
    assert_true(state_journal_has_room(&fixture->journal, half));
    mem_free(data);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(gives_back_what_was_written_in_order),
        TEST(an_empty_journal_has_nothing),
        TEST(a_new_generation_hides_the_old_one),
        TEST(goes_on_in_the_generation_after_the_one_it_found),
        TEST(a_torn_last_record_is_the_end),
        TEST(damage_before_a_whole_record_is_told),
        TEST(says_when_it_is_full),
    };

    return cmocka_run_group_tests_name("store_state_journal", tests, NULL,
                                       NULL);
}
