/* SPDX-License-Identifier: Apache-2.0
 * `quorate verify`: which files it reads, what it says of them, its exit
 * codes. The rules themselves are tested with the proof. */
#include "base/crc32c.h"
#include "cli/local.h"
#include "cli/verify.h"
#include "io/sys.h"
#include "lib/test.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum {
    TEXT_MAX = 1024 * 1024,
    PATH_SIZE = 128,
    BYTES_MAX = 64 * 1024,
    MEMBER = 1, /* first byte of its run */
    FIRST = 2,  /* idem, of the workers */
    SECOND = 3,
};

struct fixture {
    char dir[32];
    struct buf bytes; /* of the file that is made */
    struct buf text;  /* what was printed, with a 0 behind it */
    struct options options;
    char path[PATH_SIZE];
    uint8_t mode; /* of claims and spans to come */
    bool is_old;  /* files to come are of version 1 */
    int code;
};

static int setup(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    (void)snprintf(fixture->dir, sizeof(fixture->dir), "/tmp/quorate-XXXXXX");
    assert_non_null(mkdtemp(fixture->dir));
    buf_init(&fixture->bytes, BYTES_MAX);
    buf_init(&fixture->text, TEXT_MAX);
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = *state;
    DIR *dir = opendir(fixture->dir);
    const struct dirent *entry;

    assert_non_null(dir);
    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] != '.') {
            assert_int_equal(unlinkat(dirfd(dir), entry->d_name, 0), 0);
        }
    }
    (void)closedir(dir);
    assert_int_equal(rmdir(fixture->dir), 0);
    buf_close(&fixture->bytes);
    buf_close(&fixture->text);
    free(fixture);
    return 0;
}

/* As version 1 had it: the mode, which is the last byte, is not there. */
static void make_old(struct buf *bytes, size_t begin)
{
    enum { CRC_SIZE = 4, SIZE_AT = 5 };

    bytes->size--;
    bytes->data[begin + SIZE_AT]--;
    buf_patch_u32(bytes, begin,
                  crc32c(0, bytes_of(bytes->data + begin + CRC_SIZE,
                                     bytes->size - begin - CRC_SIZE)));
}

static void add(struct fixture *fixture, const struct journal_record *record)
{
    size_t begin = fixture->bytes.size;

    journal_record_encode(&fixture->bytes, record);
    assert_int_equal(buf_error(&fixture->bytes), 0);
    if (fixture->is_old &&
        (record->type == JOURNAL_CLAIMED || record->type == JOURNAL_STARTING)) {
        make_old(&fixture->bytes, begin);
    }
}

static void begin(struct fixture *fixture, uint8_t run, uint64_t first)
{
    uint8_t key[JOURNAL_RUN_SIZE] = {run};
    const struct journal_record open = {
        .type = JOURNAL_OPEN,
        .code = run == MEMBER ? JOURNAL_MEMBER : JOURNAL_WORKER,
        .worker = bytes_of_string(run == MEMBER  ? "m@h"
                                  : run == FIRST ? "w1@h"
                                                 : "w2@h"),
        .run = bytes_of(key, sizeof(key)),
        .first = first,
        .resolution = 1,
        .boot = bytes_of_string("boot")};

    buf_clear(&fixture->bytes);
    journal_file_head(&fixture->bytes);
    if (fixture->is_old) {
        fixture->bytes.data[JOURNAL_MAGIC_SIZE + 1] = 1;
    }
    add(fixture, &open);
}

static const char *path_of(struct fixture *fixture, const char *name)
{
    char dir[sizeof(fixture->dir)];

    memcpy(dir, fixture->dir, sizeof(dir));
    (void)snprintf(fixture->path, sizeof(fixture->path), "%s/%s", dir, name);
    return fixture->path;
}

static void save(struct fixture *fixture, const char *name)
{
    assert_ok(
        sys_write_file(path_of(fixture, name), buf_bytes(&fixture->bytes)));
}

static void claim(struct fixture *fixture, uint64_t epoch, uint64_t prior,
                  const char *worker)
{
    const struct journal_record record = {.type = JOURNAL_CLAIMED,
                                          .clock = 10 * epoch,
                                          .index = epoch,
                                          .id = bytes_of_string("box \"1\"\n"),
                                          .epoch = epoch,
                                          .prior = prior,
                                          .worker = bytes_of_string(worker),
                                          .mode = fixture->mode};

    add(fixture, &record);
}

static void span(struct fixture *fixture, uint64_t epoch, uint64_t from,
                 uint64_t to)
{
    const struct journal_record start = {.type = JOURNAL_STARTING,
                                         .clock = from,
                                         .id = bytes_of_string("box \"1\"\n"),
                                         .epoch = epoch,
                                         .until = to,
                                         .mode = fixture->mode};
    const struct journal_record end = {.type = JOURNAL_ENDED,
                                       .clock = to,
                                       .code = JOURNAL_CAUSE_STOPPED,
                                       .id = bytes_of_string("box \"1\"\n"),
                                       .epoch = epoch,
                                       .until = to};

    add(fixture, &start);
    add(fixture, &end);
}

/* A member and two workers; the second one begins at this time, when the first
 * one ends at 200. */
static void make(struct fixture *fixture, uint64_t second)
{
    begin(fixture, MEMBER, 1);
    claim(fixture, 5, 0, "w1@h");
    claim(fixture, 9, 5, "w2@h");
    save(fixture, "member-00000001.ownership");
    begin(fixture, FIRST, 1);
    span(fixture, 5, 100, 200);
    save(fixture, "worker-00000001.ownership");
    begin(fixture, SECOND, 1);
    span(fixture, 9, second, second + 100);
    save(fixture, "worker-00000002.ownership");
}

/* Runs it on these; the last one is NULL. */
static void run(struct fixture *fixture, enum options_output form,
                const char *const *words)
{
    int out = dup(STDOUT_FILENO);
    int err = dup(STDERR_FILENO);
    char path[PATH_SIZE];
    int fd;

    memset(&fixture->options, 0, sizeof(fixture->options));
    fixture->options.command = OPTIONS_VERIFY;
    fixture->options.output = form;
    while (*words != NULL) {
        size_t i = fixture->options.local.word_count++;

        fixture->options.local.words[i] = *words++;
    }
    memcpy(path, path_of(fixture, "output"), sizeof(path));
    fd = open(path, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(fflush(stdout), 0);
    assert_int_equal(dup2(fd, STDOUT_FILENO), STDOUT_FILENO);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
    fixture->code = verify_run(&fixture->options);
    assert_int_equal(fflush(stdout), 0);
    assert_int_equal(dup2(out, STDOUT_FILENO), STDOUT_FILENO);
    assert_int_equal(dup2(err, STDERR_FILENO), STDERR_FILENO);
    (void)close(out);
    (void)close(err);
    (void)close(fd);
    buf_clear(&fixture->text);
    assert_ok(sys_read_file(path, TEXT_MAX - 1, &fixture->text));
    buf_put_u8(&fixture->text, 0);
    assert_int_equal(unlink(path), 0);
}

static void run_dir(struct fixture *fixture, enum options_output form)
{
    const char *words[] = {fixture->dir, NULL};

    run(fixture, form, words);
}

static void says(const struct fixture *fixture, const char *text)
{
    if (strstr((const char *)fixture->text.data, text) == NULL) {
        print_message("%s\n", (const char *)fixture->text.data);
        fail_msg("it does not say: %s", text);
    }
}

static void honest_journals_are_ok(void **state)
{
    struct fixture *fixture = *state;

    make(fixture, 300);
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_OK);
    says(fixture, "3 files of 3 runs, 6 records");
    says(fixture, "1 owners ended before the next one began: 0 by order, 1 by "
                  "clock");
    says(fixture, "\nverdict: ok\n");
    run_dir(fixture, OPTIONS_JSON);
    assert_int_equal(fixture->code, CLI_EXIT_OK);
    says(fixture, "{\"schema\":\"quorate.verify/1\",\"verdict\":\"ok\"");
    says(fixture, "\"clock\":1");
    says(fixture, "\"findings\":[]}");
}

static void violation_shows_both_records(void **state)
{
    struct fixture *fixture = *state;

    make(fixture, 150);
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_VIOLATION);
    says(fixture, "violation (overlap) box \"1\"\\x0a: two owners ran at the "
                  "same time\n");
    says(fixture, "worker-00000001.ownership:");
    says(fixture, "w1@h 200 ended cause=stopped id=box \"1\"\\x0a epoch=5");
    says(fixture, "w2@h 150 starting id=box \"1\"\\x0a epoch=9");
    says(fixture, "\nverdict: violation\n");
    run_dir(fixture, OPTIONS_JSON);
    assert_int_equal(fixture->code, CLI_EXIT_VIOLATION);
    says(fixture, "{\"kind\":\"violation\",\"rule\":\"overlap\",\"sandbox\":"
                  "\"box \\\"1\\\"\\u000a\"");
    says(fixture, "\"type\":\"ended\",\"clock\":200,\"cause\":\"stopped\"");
    says(fixture, "\"type\":\"starting\",\"clock\":150");
}

static void files_of_version_1_are_read(void **state)
{
    struct fixture *fixture = *state;

    fixture->is_old = true;
    make(fixture, 150);
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_VIOLATION);
    says(fixture, "two owners ran at the same time\n");
    /* Also what is shown is read as what it is. */
    says(fixture, "w2@h 150 starting id=box \"1\"\\x0a epoch=9");
    make(fixture, 300);
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_OK);
}

static void available_owners_are_counted(void **state)
{
    struct fixture *fixture = *state;

    fixture->mode = JOURNAL_AVAILABLE;
    make(fixture, 150);
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_OK);
    says(fixture, "available sandboxes: 1 owners went on beside the next one, "
                  "0 may have\n");
    run_dir(fixture, OPTIONS_JSON);
    says(fixture, "\"together\":1,\"maybe_together\":0,\"provisional\":0,");
    /* The log has them as strong. */
    begin(fixture, MEMBER, 1);
    fixture->mode = JOURNAL_STRONG;
    claim(fixture, 5, 0, "w1@h");
    claim(fixture, 9, 5, "w2@h");
    save(fixture, "member-00000001.ownership");
    run_dir(fixture, OPTIONS_JSON);
    assert_int_equal(fixture->code, CLI_EXIT_VIOLATION);
    says(fixture, "\"reason\":\"it ran as an available one, and the log has it "
                  "as strong\"");
    says(fixture, "\"mode\":\"available\"");
    says(fixture, "\"together\":0,\"maybe_together\":0,");
}

static void order_of_the_files_does_not_matter(void **state)
{
    struct fixture *fixture = *state;
    char paths[3][PATH_SIZE];
    const char *words[] = {paths[0], paths[1], paths[2], NULL};

    make(fixture, 300);
    memcpy(paths[0], path_of(fixture, "worker-00000002.ownership"), PATH_SIZE);
    memcpy(paths[1], path_of(fixture, "member-00000001.ownership"), PATH_SIZE);
    memcpy(paths[2], path_of(fixture, "worker-00000001.ownership"), PATH_SIZE);
    run(fixture, OPTIONS_TABLE, words);
    assert_int_equal(fixture->code, CLI_EXIT_OK);
    words[2] = paths[1];
    run(fixture, OPTIONS_TABLE, words);
    assert_int_equal(fixture->code, CLI_EXIT_USAGE);
    says(fixture, "has records that another file has too; give each once");
}

static void late_and_undecided_have_codes_of_their_own(void **state)
{
    struct fixture *fixture = *state;
    const char *words[] = {NULL, NULL};
    char path[PATH_SIZE];
    const struct journal_record end = {.type = JOURNAL_ENDED,
                                       .clock = 500,
                                       .id = bytes_of_string("box \"1\"\n"),
                                       .epoch = 5,
                                       .until = 200};

    make(fixture, 300);
    begin(fixture, FIRST, 1);
    span(fixture, 5, 100, 200);
    add(fixture, &end);
    save(fixture, "worker-00000001.ownership");
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_LATE);
    says(fixture, "verdict: late");
    memcpy(path, path_of(fixture, "worker-00000001.ownership"), PATH_SIZE);
    words[0] = path;
    run(fixture, OPTIONS_JSON, words);
    assert_int_equal(fixture->code, CLI_EXIT_UNDECIDED);
    says(fixture, "\"verdict\":\"incomplete\"");
    says(fixture, "\"sandbox\":null,\"reason\":\"no member's journal was "
                  "given\",\"records\":[]}");
}

static void torn_tail_is_said(void **state)
{
    struct fixture *fixture = *state;

    make(fixture, 300);
    begin(fixture, SECOND, 1);
    span(fixture, 9, 300, 400);
    fixture->bytes.size -= 3;
    save(fixture, "worker-00000002.ownership");
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_OK);
    says(fixture, "1 files are torn at the end");
    /* A machine that lost its power leaves zeros. */
    begin(fixture, SECOND, 1);
    span(fixture, 9, 300, 400);
    for (int i = 0; i < 100; i++) {
        buf_put_u8(&fixture->bytes, 0);
    }
    save(fixture, "worker-00000002.ownership");
    run_dir(fixture, OPTIONS_JSON);
    assert_int_equal(fixture->code, CLI_EXIT_OK);
    says(fixture, "\"torn_bytes\":100");
}

static void damaged_and_foreign_files_are_refused(void **state)
{
    struct fixture *fixture = *state;

    make(fixture, 300);
    begin(fixture, SECOND, 1);
    span(fixture, 9, 300, 400);
    fixture->bytes.data[fixture->bytes.size - 30] ^= 1;
    save(fixture, "worker-00000002.ownership");
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_DATAERR);
    says(fixture, "worker-00000002.ownership is damaged at byte ");
    begin(fixture, SECOND, 1);
    fixture->bytes.data[9]++;
    save(fixture, "worker-00000002.ownership");
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_DATAERR);
    says(fixture, "is of another version of the format");
    buf_clear(&fixture->bytes);
    buf_printf(&fixture->bytes, "something else altogether");
    save(fixture, "worker-00000002.ownership");
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_DATAERR);
    says(fixture, "is no ownership journal");
    /* A record of a member in the journal of a worker. */
    begin(fixture, SECOND, 1);
    claim(fixture, 12, 9, "w2@h");
    save(fixture, "worker-00000002.ownership");
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_DATAERR);
    says(fixture, "is damaged at byte ");
}

static void nothing_is_not_ok(void **state)
{
    struct fixture *fixture = *state;
    const char *words[] = {"/nowhere/at/all", NULL};

    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_CONFIG);
    says(fixture, "there is no ownership journal in ");
    buf_clear(&fixture->bytes);
    save(fixture, "worker-00000001.ownership");
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_CONFIG);
    run(fixture, OPTIONS_TABLE, words);
    assert_int_equal(fixture->code, CLI_EXIT_CONFIG);
    says(fixture, "cannot read /nowhere/at/all: ");
}

/* A pipe without a writer would keep it waiting for ever. */
static void pipes_are_not_waited_for(void **state)
{
    struct fixture *fixture = *state;

    make(fixture, 300);
    assert_int_equal(
        mkfifo(path_of(fixture, "worker-00000009.ownership"), 0600), 0);
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_OK);
}

static void only_the_first_findings_are_shown(void **state)
{
    struct fixture *fixture = *state;

    begin(fixture, MEMBER, 1);
    for (uint64_t i = 0; i < 150; i++) {
        claim(fixture, 10 + i, 200, "w1@h");
    }
    save(fixture, "member-00000001.ownership");
    run_dir(fixture, OPTIONS_TABLE);
    assert_int_equal(fixture->code, CLI_EXIT_VIOLATION);
    says(fixture, "50 more of violation are not shown");
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(honest_journals_are_ok),
        TEST(violation_shows_both_records),
        TEST(files_of_version_1_are_read),
        TEST(available_owners_are_counted),
        TEST(order_of_the_files_does_not_matter),
        TEST(late_and_undecided_have_codes_of_their_own),
        TEST(torn_tail_is_said),
        TEST(damaged_and_foreign_files_are_refused),
        TEST(nothing_is_not_ok),
        TEST(pipes_are_not_waited_for),
        TEST(only_the_first_findings_are_shown),
    };

    return cmocka_run_group_tests_name("cli_verify", tests, NULL, NULL);
}
