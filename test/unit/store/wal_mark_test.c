/* SPDX-License-Identifier: Apache-2.0
 * What is missing at the end of a log, or all of it, is noticed. */
#include "store/wal_mark.h"
#include "unit/store/wal_fixture.h"

enum { ENTRY_SIZE = 300, FILE_SIZE = 4096 };

static void write_mark(const struct fixture *fixture, const char *text)
{
    char path[128];
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/log", fixture->dir);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static void mark(const struct fixture *fixture, uint64_t newest)
{
    char text[64];

    (void)snprintf(text, sizeof(text), "newest %016llx\n",
                   (unsigned long long)newest);
    write_mark(fixture, text);
}

static uint64_t marked(const struct fixture *fixture)
{
    int fd = open(fixture->dir, O_RDONLY | O_DIRECTORY);
    uint64_t newest = 0;

    assert_true(fd >= 0);
    assert_ok(wal_mark_get(fd, &newest));
    (void)close(fd);
    return newest;
}

static void remove_file(const struct fixture *fixture, uint64_t number)
{
    char path[128];

    fixture_path(fixture, number, path, sizeof(path));
    assert_int_equal(unlink(path), 0);
}

/* A log of several files; the last one that has begun. */
static uint64_t make_log(struct fixture *fixture)
{
    uint64_t newest;

    fixture->segment_size = FILE_SIZE;
    assert_ok(fixture_open(fixture));
    for (int i = 0; i < 62; i++) {
        assert_ok(fixture_submit(fixture, 1, ENTRY_SIZE));
    }
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    newest = marked(fixture);
    assert_true(newest >= 6);
    fixture->is_begun = true;
    return newest;
}

static void assert_refused(struct fixture *fixture, const char *text)
{
    assert_err(fixture_open(fixture), ERR_CORRUPT);
    buf_put_u8(&fixture->error, 0);
    assert_non_null(strstr((const char *)fixture->error.data, text));
}

static void missing_last_files_are_damage(void **state)
{
    struct fixture *fixture = *state;
    uint64_t newest = make_log(fixture);
    char name[64];

    for (uint64_t number = newest; number > 0; number--) {
        remove_file(fixture, number);
        (void)snprintf(name, sizeof(name), "/%016llx.wal",
                       (unsigned long long)number);
        assert_refused(fixture, name);
        assert_refused(fixture, "is missing");
    }
}

static void a_directory_without_a_log_is_only_good_at_first(void **state)
{
    struct fixture *fixture = *state;

    fixture->is_begun = true;
    assert_refused(fixture, "/0000000000000001.wal");
    fixture->is_begun = false;
    assert_ok(fixture_open(fixture));
    assert_int_equal(marked(fixture), 1);
}

static void a_mark_that_is_missing_or_not_one_is_damage(void **state)
{
    static const char *const bad[] = {
        "",
        "newest 0000000000000006",
        "newest 0000000000000006\n\n",
        "newest 000000000000000g\n",
        "newest 0000000000000000\n",
        "Newest 0000000000000006\n",
        "newest 6\n",
    };
    struct fixture *fixture = *state;
    uint64_t newest = make_log(fixture);
    char path[128];

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        write_mark(fixture, bad[i]);
        assert_refused(fixture, "/log: the file ");
    }
    (void)snprintf(path, sizeof(path), "%s/log", fixture->dir);
    assert_int_equal(unlink(path), 0);
    assert_refused(fixture, "/log: the file is missing");
    mark(fixture, newest);
    assert_ok(fixture_open(fixture));
    assert_int_equal(fixture->recovery.entry_count, 62);
}

/* A crash between the file's header and the mark leaves the one before. */
static void a_mark_may_be_one_file_behind(void **state)
{
    struct fixture *fixture = *state;
    uint64_t newest = make_log(fixture);

    mark(fixture, newest - 1);
    assert_ok(fixture_open(fixture));
    assert_int_equal(fixture->recovery.entry_count, 62);
    fixture_close(fixture);
    assert_int_equal(marked(fixture), newest);
}

static void a_mark_of_another_time_is_damage(void **state)
{
    struct fixture *fixture = *state;
    uint64_t newest = make_log(fixture);

    for (uint64_t number = 1; number < newest - 1; number++) {
        mark(fixture, number);
        assert_refused(fixture, "does not go with the others");
    }
    mark(fixture, newest + 1);
    assert_refused(fixture, "is missing");
    mark(fixture, UINT64_MAX);
    assert_refused(fixture, "is missing");
}

/* Wherever a file is cut off, what is gone may have been acknowledged. */
static void a_file_that_ends_early_is_damage(void **state)
{
    struct fixture *fixture = *state;
    uint64_t newest = make_log(fixture);
    char path[128];
    uint8_t *data;
    size_t size;

    fixture_path(fixture, newest, path, sizeof(path));
    data = file_read(fixture, newest, &size);
    for (off_t keep = FILE_SIZE - 1; keep >= 0; keep -= 37) {
        assert_int_equal(truncate(path, keep), 0);
        assert_err(fixture_open(fixture), ERR_CORRUPT);
    }
    assert_int_equal(truncate(path, (off_t)size), 0);
    file_write(fixture, newest, 0, bytes_of(data, size));
    assert_ok(fixture_open(fixture));
    assert_int_equal(fixture->recovery.entry_count, 62);
    free(data);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(missing_last_files_are_damage),
        TEST(a_directory_without_a_log_is_only_good_at_first),
        TEST(a_mark_that_is_missing_or_not_one_is_damage),
        TEST(a_mark_may_be_one_file_behind),
        TEST(a_mark_of_another_time_is_damage),
        TEST(a_file_that_ends_early_is_damage),
    };

    return cmocka_run_group_tests_name("store/wal_mark", tests, NULL, NULL);
}
