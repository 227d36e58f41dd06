/* SPDX-License-Identifier: Apache-2.0
 * The files of an ownership journal: what is in them after whatever befell. */
#include "base/mem.h"
#include "io/sys.h"
#include "lib/test.h"
#include "store/journal.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    SIZE_MAX_BYTES = 1024 * 1024,
    FILE_MAX = 8 * 1024 * 1024,
    PATH_MAX_SIZE = 512,
    NAMES_MAX = 512,
    WAIT_MS = 20000,
};

struct fixture {
    char dir[64];
    struct journal *journal;
    struct buf error;
    size_t count;
};

/* Of the files, sorted. */
static char names[NAMES_MAX][PATH_MAX_SIZE];

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    (void)snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/quorate-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    buf_init(&fixture->error, 1024);
    *state = fixture;
    return 0;
}

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static void list(struct fixture *fixture)
{
    DIR *dir = opendir(fixture->dir);
    const struct dirent *entry;

    assert_non_null(dir);
    fixture->count = 0;
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            assert_true(fixture->count < NAMES_MAX);
            (void)snprintf(names[fixture->count++], PATH_MAX_SIZE, "%s/%s",
                           fixture->dir, entry->d_name);
        }
    }
    (void)closedir(dir);
    qsort(names, fixture->count, PATH_MAX_SIZE, compare);
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;

    journal_close(fixture->journal);
    list(fixture);
    for (size_t i = 0; i < fixture->count; i++) {
        assert_int_equal(unlink(names[i]), 0);
    }
    assert_int_equal(rmdir(fixture->dir), 0);
    buf_close(&fixture->error);
    free(fixture);
    return 0;
}

static int try_begin(struct fixture *fixture)
{
    static const uint8_t run[JOURNAL_RUN_SIZE] = {7};
    const struct journal_config config = {
        .dir = fixture->dir,
        .size_max = SIZE_MAX_BYTES,
        .open = {.code = JOURNAL_MEMBER,
                 .worker = bytes_of_string("m@h"),
                 .run = bytes_of(run, sizeof(run)),
                 .resolution = 1}};

    return journal_open(&config, &fixture->error, &fixture->journal);
}

static void begin(struct fixture *fixture)
{
    assert_ok(try_begin(fixture));
}

static void end(struct fixture *fixture)
{
    journal_close(fixture->journal);
    fixture->journal = NULL;
}

static void add(struct fixture *fixture, uint64_t number)
{
    static char id[200];
    const struct journal_record record = {.type = JOURNAL_ACCEPTED,
                                          .id = bytes_of(id, sizeof(id)),
                                          .epoch = number};

    journal_add(fixture->journal, &record);
}

static struct journal_status status_of(struct fixture *fixture)
{
    struct journal_status status;

    journal_status(fixture->journal, &status);
    return status;
}

/* What all files say, one after the other. */
struct content {
    uint64_t records; /* ACCEPTED */
    uint64_t first;
    uint64_t last;
    uint64_t lost; /* as GAPs tell */
    uint64_t gaps;
    bool is_closed;
    uint64_t size;
};

static void take(struct content *content, const struct journal_record *record)
{
    assert_false(content->is_closed);
    if (record->type == JOURNAL_ACCEPTED) {
        content->records++;
        content->first = content->first == 0 ? record->epoch : content->first;
        /* What is missing is in a gap. */
        assert_true(record->epoch > content->last);
        content->last = record->epoch;
    } else if (record->type == JOURNAL_GAP) {
        assert_true(record->count > 0);
        assert_true(record->since <= record->clock);
        content->gaps++;
        content->lost += record->count;
    } else {
        assert_int_equal(record->type, JOURNAL_CLOSE);
        content->is_closed = true;
    }
}

static struct content content_of(struct fixture *fixture)
{
    struct content content = {.records = 0};
    uint64_t next = 0;

    list(fixture);
    for (size_t i = 0; i < fixture->count; i++) {
        struct journal_record record;
        struct buf bytes;
        size_t offset = JOURNAL_FILE_HEAD_SIZE;
        uint16_t version;
        size_t size;

        buf_init(&bytes, FILE_MAX);
        assert_ok(sys_read_file(names[i], FILE_MAX, &bytes));
        assert_ok(journal_file_check(buf_bytes(&bytes), &version));
        assert_int_equal(version, JOURNAL_VERSION);
        while (offset < bytes.size) {
            assert_ok(journal_record_read(
                version, bytes_of(bytes.data + offset, bytes.size - offset),
                &record, &size));
            if (offset == JOURNAL_FILE_HEAD_SIZE) {
                assert_int_equal(record.type, JOURNAL_OPEN);
                assert_true(next == 0 || record.first == next ||
                            record.first == 1);
                next = record.first;
                content.is_closed = false;
            } else {
                take(&content, &record);
                next++;
            }
            offset += size;
        }
        content.size += bytes.size;
        buf_close(&bytes);
    }
    return content;
}

static void pause_ms(long ms)
{
    const struct timespec time = {.tv_nsec = ms * 1000000};

    (void)nanosleep(&time, NULL);
}

/* Until the writer has come to this; it tells nobody. */
static void await_error(struct fixture *fixture, bool is_failing)
{
    int waited = 0;

    while ((status_of(fixture).error != 0) != is_failing) {
        assert_true(waited < WAIT_MS);
        waited += 5;
        pause_ms(5);
    }
}

static void what_is_added_is_there(void **state)
{
    struct fixture *fixture = *state;
    struct content content;

    begin(fixture);
    for (uint64_t i = 1; i <= 100; i++) {
        add(fixture, i);
    }
    end(fixture);
    content = content_of(fixture);
    assert_int_equal(fixture->count, 1);
    assert_int_equal(content.records, 100);
    assert_int_equal(content.gaps, 0);
    assert_true(content.is_closed);
    assert_non_null(strstr(names[0], "member-00000001.ownership"));
}

static void old_files_go(void **state)
{
    struct fixture *fixture = *state;
    struct content content;
    uint64_t number = 0;

    begin(fixture);
    for (int i = 0; i < 40; i++) {
        for (int j = 0; j < 200; j++) {
            add(fixture, ++number);
        }
        pause_ms(JOURNAL_WRITE_MS + 5); /* so that the buffer has room */
    }
    end(fixture);
    content = content_of(fixture);
    assert_true(content.size <= SIZE_MAX_BYTES);
    assert_true(content.size > SIZE_MAX_BYTES / 2);
    assert_true(content.first > 1);
    assert_int_equal(content.last, number);
    assert_int_equal(content.records + content.lost,
                     content.last - content.first + 1);
    assert_true(fixture->count >= 3);
}

static void numbers_go_on_in_the_next_run(void **state)
{
    struct fixture *fixture = *state;

    for (int i = 0; i < 3; i++) {
        begin(fixture);
        add(fixture, 1);
        end(fixture);
    }
    list(fixture);
    assert_int_equal(fixture->count, 3);
    assert_non_null(strstr(names[2], "member-00000003.ownership"));
}

static void short_runs_do_not_add_up(void **state)
{
    struct fixture *fixture = *state;

    for (int i = 0; i < JOURNAL_FILES_MAX + 10; i++) {
        begin(fixture);
        end(fixture);
    }
    list(fixture);
    assert_int_equal(fixture->count, JOURNAL_FILES_MAX);
}

/* Faster than any disk: nobody waits, and what is lost is counted in place. */
static void too_much_at_once_is_a_gap(void **state)
{
    struct fixture *fixture = *state;
    struct content content;
    struct journal_status status;
    uint64_t number = 0;

    begin(fixture);
    do {
        add(fixture, ++number);
        status = status_of(fixture);
    } while (status.dropped < 100 && number < 1000000);
    assert_true(status.dropped > 0);
    assert_int_equal(status.records, number);
    pause_ms(3 * JOURNAL_WRITE_MS);
    add(fixture, ++number);
    status = status_of(fixture);
    end(fixture);
    content = content_of(fixture);
    assert_int_equal(content.lost, status.dropped);
    assert_int_equal(content.records + content.lost, number);
    assert_int_equal(content.last, number);
    assert_true(content.gaps >= 1);
    assert_true(content.is_closed);
}

static void disk_without_room_is_a_gap(void **state)
{
    struct fixture *fixture = *state;
    struct rlimit before;
    struct rlimit limit;
    struct content content;

    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = 4096;
    (void)signal(SIGXFSZ, SIG_IGN);
    begin(fixture);
    add(fixture, 1);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    for (uint64_t i = 2; i <= 100; i++) {
        add(fixture, i);
    }
    await_error(fixture, true);
    add(fixture, 101);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    await_error(fixture, false);
    add(fixture, 102);
    end(fixture);
    content = content_of(fixture);
    assert_int_equal(content.gaps, 1);
    assert_int_equal(content.records + content.lost, 102);
    assert_true(content.lost >= 98);
    assert_int_equal(content.last, 102);
    assert_true(content.is_closed);
}

static void strange_files_are_left_alone(void **state)
{
    struct fixture *fixture = *state;
    static const char *const strange[] = {
        "member-1.ownership", "member-0000000x.ownership",
        "member-00000000.ownership", "member-00000009.ownership.old"};
    char path[PATH_MAX_SIZE];

    for (size_t i = 0; i < sizeof(strange) / sizeof(strange[0]); i++) {
        (void)snprintf(path, sizeof(path), "%s/%s", fixture->dir, strange[i]);
        assert_ok(sys_write_file(path, bytes_of("x", 1)));
    }
    (void)snprintf(path, sizeof(path), "%s/member-00000004.ownership",
                   fixture->dir);
    assert_ok(sys_write_file(path, bytes_of("x", 1)));
    begin(fixture);
    end(fixture);
    list(fixture);
    assert_int_equal(fixture->count, 6);
    (void)snprintf(path, sizeof(path), "%s/member-00000005.ownership",
                   fixture->dir);
    assert_int_equal(access(path, F_OK), 0);
}

static void directory_that_is_not_there_is_said(void **state)
{
    struct fixture *fixture = *state;
    char dir[sizeof(fixture->dir)];

    memcpy(dir, fixture->dir, sizeof(dir));
    (void)snprintf(fixture->dir, sizeof(fixture->dir), "/nowhere");
    assert_err(try_begin(fixture), ERR_IO);
    memcpy(fixture->dir, dir, sizeof(dir));
    assert_true(fixture->error.size > 0);
    assert_null(fixture->journal);
}

static void without_memory_there_is_no_journal(void **state)
{
    struct fixture *fixture = *state;
    uint64_t count = 0;
    int rv;

    do {
        mem_fail_after(count);
        rv = try_begin(fixture);
        mem_fail_after(UINT64_MAX);
        assert_true(rv == 0 || rv == ERR_NOMEM);
        count++;
    } while (rv != 0);
    assert_true(count > 1);
    /* What cannot be kept is a gap. */
    add(fixture, 1);
    pause_ms(2 * JOURNAL_WRITE_MS);
    mem_fail_after(0);
    add(fixture, 2);
    add(fixture, 3);
    mem_fail_after(UINT64_MAX);
    add(fixture, 4);
    end(fixture);
    assert_int_equal(content_of(fixture).records + content_of(fixture).lost, 4);
}

static void nobody_has_to_have_one(void **state)
{
    const struct journal_record record = {.type = JOURNAL_CLOSE};
    struct journal_status status = {.records = 1};

    (void)state;
    journal_add(NULL, &record);
    journal_status(NULL, &status);
    assert_int_equal(status.records, 0);
    journal_close(NULL);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(what_is_added_is_there),
        TEST(old_files_go),
        TEST(numbers_go_on_in_the_next_run),
        TEST(short_runs_do_not_add_up),
        TEST(too_much_at_once_is_a_gap),
        TEST(disk_without_room_is_a_gap),
        TEST(strange_files_are_left_alone),
        TEST(directory_that_is_not_there_is_said),
        TEST(without_memory_there_is_no_journal),
        cmocka_unit_test(nobody_has_to_have_one),
    };

    return cmocka_run_group_tests_name("store_journal", tests, NULL, NULL);
}
