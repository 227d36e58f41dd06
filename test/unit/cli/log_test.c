/* SPDX-License-Identifier: Apache-2.0
 * `quorate log`: what it shows of a log, and its exit codes. */
#include "cli/local.h"
#include "command/command.h"
#include "io/sys.h"
#include "raft/membership.h"
#include "store/snapshot_writer.h"
#include "unit/store/wal_fixture.h"

#include <sys/file.h>

enum { OUTPUT_SIZE_MAX = 1024 * 1024 };

struct output {
    int code;
    struct buf text; /* with a 0 behind it */
};

static void take_output(const char *path, struct buf *text)
{
    buf_init(text, OUTPUT_SIZE_MAX);
    assert_ok(sys_read_file(path, OUTPUT_SIZE_MAX, text));
    buf_put_u8(text, 0);
    assert_int_equal(unlink(path), 0);
}

/* Runs a command on the fixture's directory and takes what it prints. */
static struct output run(const struct fixture *fixture, struct options *options)
{
    struct output output;
    char path[128];
    int out = dup(STDOUT_FILENO);
    int err = dup(STDERR_FILENO);
    FILE *file;

    (void)snprintf(path, sizeof(path), "%s/output", fixture->dir);
    file = fopen(path, "we");
    assert_non_null(file);
    options->local.words[0] = fixture->dir;
    options->local.word_count = 1;
    assert_int_equal(fflush(stdout), 0);
    assert_int_equal(dup2(fileno(file), STDOUT_FILENO), STDOUT_FILENO);
    assert_int_equal(dup2(fileno(file), STDERR_FILENO), STDERR_FILENO);
    output.code = log_run(options);
    assert_int_equal(fflush(stdout), 0);
    assert_int_equal(dup2(out, STDOUT_FILENO), STDOUT_FILENO);
    assert_int_equal(dup2(err, STDERR_FILENO), STDERR_FILENO);
    (void)close(out);
    (void)close(err);
    (void)fclose(file);
    take_output(path, &output.text);
    return output;
}

static struct output inspect(const struct fixture *fixture, uint64_t from,
                             uint32_t limit, enum options_output form)
{
    static struct options options;

    memset(&options, 0, sizeof(options));
    options.command = OPTIONS_LOG_INSPECT;
    options.output = form;
    options.local.from = from;
    options.local.limit = limit;
    return run(fixture, &options);
}

static struct output verify(const struct fixture *fixture)
{
    static struct options options;

    memset(&options, 0, sizeof(options));
    options.command = OPTIONS_LOG_VERIFY;
    return run(fixture, &options);
}

static bool has(const struct output *output, const char *text)
{
    return strstr((const char *)output->text.data, text) != NULL;
}

static void submit(struct fixture *fixture, const struct raft_persist *persist)
{
    struct raft_persist copy = *persist;

    fixture->seq++;
    copy.seq = fixture->seq;
    assert_ok(wal_submit(fixture->wal, &copy));
    assert_ok(fixture_wait(fixture));
}

/* A vote; a no-op; a batch of three commands; a membership; a cut. */
static void write_some(struct fixture *fixture)
{
    struct raft_membership membership = {.voters = {1, 2, 3}, .voter_count = 3};
    struct command stop = {.type = COMMAND_STOP, .id = bytes_of("a", 1)};
    struct command renew = {.type = COMMAND_RENEW, .worker = bytes_of("w", 1)};
    uint8_t encoded[MEMBERSHIP_SIZE_MAX];
    struct raft_entry entries[3] = {
        {.index = 1, .term = 2, .type = RAFT_ENTRY_NOOP},
        {.index = 2, .term = 2, .type = RAFT_ENTRY_COMMAND},
        {.index = 3, .term = 2, .type = RAFT_ENTRY_CONFIG}};
    struct buf batch;

    buf_init(&batch, 4096);
    command_encode(&batch, &renew);
    command_encode(&batch, &stop);
    command_encode(&batch, &renew);
    assert_ok(buf_error(&batch));
    entries[1].data = buf_bytes(&batch);
    entries[2].data =
        bytes_of(encoded, membership_encode(&membership, encoded));
    assert_ok(fixture_open(fixture));
    submit(fixture, &(struct raft_persist){.term = 2, .voted_for = 0xabc});
    submit(fixture, &(struct raft_persist){.term = 2,
                                           .voted_for = 0xabc,
                                           .entries = entries,
                                           .entry_count = 3});
    submit(fixture, &(struct raft_persist){.term = 3, .truncate_from = 3});
    fixture_close(fixture);
    buf_close(&batch);
}

static void inspect_shows_what_was_written(void **state)
{
    struct fixture *fixture = *state;
    struct output output;

    write_some(fixture);
    output = inspect(fixture, 0, 0, OPTIONS_TABLE);
    assert_int_equal(output.code, CLI_EXIT_OK);
    assert_true(has(&output, "entries    1..2\n"));
    assert_true(has(&output, "term       3\n"));
    assert_true(has(&output, "voted_for  -\n"));
    assert_true(
        has(&output, "\n0000000000000001.wal  2        3        1..3 "));
    assert_true(has(&output, "\n1      2     noop     -     1     136"));
    assert_true(has(&output, " renew 2, stop 1\n"));
    assert_true(has(&output, " voters 3, leaving 0, learners 0\n"));
    assert_true(has(&output, "\n3      3     cut "));
    assert_true(has(&output, "\n-      2     state "));
    buf_close(&output.text);
}

static void every_command_has_a_name(void **state)
{
    struct fixture *fixture = *state;
    struct command put = {
        .type = COMMAND_PUT_MEMBER, .member = 1, .node = bytes_of("a@h", 3)};
    struct command open = {
        .type = COMMAND_OPEN_SESSION, .member = 1, .nonce = 1};
    struct command resume = {.type = COMMAND_RESUME, .epoch = 1};
    struct raft_entry entry = {
        .index = 1, .term = 1, .type = RAFT_ENTRY_COMMAND};
    struct output output;
    struct buf batch;

    buf_init(&batch, 4096);
    command_encode(&batch, &put);
    command_encode(&batch, &open);
    command_encode(&batch, &resume);
    assert_ok(buf_error(&batch));
    entry.data = buf_bytes(&batch);
    assert_ok(fixture_open(fixture));
    submit(fixture, &(struct raft_persist){
                        .term = 1, .entries = &entry, .entry_count = 1});
    fixture_close(fixture);
    buf_close(&batch);
    output = inspect(fixture, 0, 0, OPTIONS_TABLE);
    assert_true(has(&output, " put_member 1, open_session 1, resume 1\n"));
    buf_close(&output.text);
}

static void programs_see_the_same(void **state)
{
    struct fixture *fixture = *state;
    struct output output;

    write_some(fixture);
    output = inspect(fixture, 0, 0, OPTIONS_JSON);
    assert_int_equal(output.code, CLI_EXIT_OK);
    assert_true(has(&output, "{\"schema\":\"quorate.log/1\",\"directory\":\""));
    assert_true(has(&output, "\"first_index\":1,\"last_index\":2,\"records\":3,"
                             "\"torn_bytes\":0,\"problem\":null,"));
    assert_true(has(&output, "\"commands\":{\"renew\":2,\"stop\":1}"));
    assert_true(has(&output, "\"voters\":3,\"voters_old\":0,\"learners\":0}"));
    assert_true(has(&output, "],\"more\":0}\n"));
    buf_close(&output.text);
}

static void rows_begin_and_end_where_asked(void **state)
{
    struct fixture *fixture = *state;
    struct output output;

    fixture->segment_size = 4096;
    assert_ok(fixture_open(fixture));
    for (int i = 0; i < 150; i++) {
        assert_ok(fixture_submit(fixture, 1, 100));
    }
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    output = inspect(fixture, 20, 3, OPTIONS_TABLE);
    assert_false(has(&output, "\n19     "));
    assert_true(has(&output, "\n20     "));
    assert_true(has(&output, "\n22     "));
    assert_false(has(&output, "\n23     "));
    assert_true(has(&output, "\n128 more rows"));
    /* Its data is no batch of commands. */
    assert_true(has(&output, "(not all is understood)"));
    assert_true(has(&output, "entry 1 is whole, but not of a form"));
    assert_int_equal(output.code, CLI_EXIT_DATAERR);
    buf_close(&output.text);
    output = inspect(fixture, 0, 0, OPTIONS_TABLE);
    assert_true(has(&output, "\n50 more rows"));
    buf_close(&output.text);
}

static void verify_tells_a_torn_tail_from_damage(void **state)
{
    struct fixture *fixture = *state;
    struct output output;
    uint8_t *data;
    size_t size;

    write_some(fixture);
    output = verify(fixture);
    assert_int_equal(output.code, CLI_EXIT_OK);
    assert_true(has(&output, "\nall of it is whole\n"));
    assert_false(has(&output, "torn_bytes"));
    assert_false(has(&output, "INDEX"));
    buf_close(&output.text);
    file_write(fixture, 1, 4000, bytes_of("torn", 4));
    output = verify(fixture);
    assert_int_equal(output.code, CLI_EXIT_OK);
    assert_true(has(&output, ", never acknowledged\n"));
    buf_close(&output.text);
    file_write(fixture, 1, 150, bytes_of("X", 1));
    data = file_read(fixture, 1, &size);
    output = verify(fixture);
    assert_int_equal(output.code, CLI_EXIT_DATAERR);
    assert_true(has(&output, "0000000000000001.wal: offset 136: record 2 is "
                             "not good"));
    assert_true(has(&output, "operations.md"));
    assert_false(has(&output, "all of it is whole"));
    buf_close(&output.text);
    free(data);
}

static void nothing_is_changed(void **state)
{
    struct fixture *fixture = *state;
    struct output output;
    uint8_t *before;
    uint8_t *after;
    size_t size;
    size_t size_after;

    write_some(fixture);
    file_write(fixture, 1, 4000, bytes_of("torn", 4));
    before = file_read(fixture, 1, &size);
    output = inspect(fixture, 0, 0, OPTIONS_TABLE);
    buf_close(&output.text);
    after = file_read(fixture, 1, &size_after);
    assert_int_equal(size, size_after);
    assert_memory_equal(before, after, size);
    free(before);
    free(after);
}

static void a_directory_in_use_is_left_alone(void **state)
{
    struct fixture *fixture = *state;
    struct sys_lock lock;
    struct output output;

    write_some(fixture);
    assert_ok(sys_lock_dir(fixture->dir, &lock, &fixture->error));
    output = verify(fixture);
    assert_int_equal(output.code, CLI_EXIT_TEMPFAIL);
    assert_true(has(&output, "a member runs on "));
    buf_close(&output.text);
    sys_unlock_dir(&lock);
    output = verify(fixture);
    assert_int_equal(output.code, CLI_EXIT_OK);
    buf_close(&output.text);
}

/* The log may begin behind a snapshot, and only then. */
static void a_snapshot_is_looked_at_too(void **state)
{
    struct fixture *fixture = *state;
    struct snapshot_meta meta = {.index = 30, .term = 1};
    struct snapshot_writer writer;
    struct output output;
    char path[128];
    int dir_fd = open(fixture->dir, O_RDONLY | O_DIRECTORY);
    int fd;

    fixture->segment_size = 4096;
    assert_ok(fixture_open(fixture));
    for (int i = 0; i < 60; i++) {
        assert_ok(fixture_submit(fixture, 1, 0));
    }
    assert_ok(fixture_wait(fixture));
    fixture_close(fixture);
    fixture_path(fixture, 1, path, sizeof(path));
    assert_int_equal(unlink(path), 0);
    output = verify(fixture);
    assert_int_equal(output.code, CLI_EXIT_DATAERR);
    assert_true(has(&output, "no whole snapshot covers"));
    buf_close(&output.text);
    snapshot_writer_init(&writer);
    meta.index = 50;
    assert_ok(snapshot_writer_begin(&writer, dir_fd, SNAPSHOT_OWN, &meta));
    assert_ok(snapshot_writer_append(&writer, bytes_of("state", 5)));
    assert_ok(snapshot_writer_finish(&writer, &meta));
    output = verify(fixture);
    assert_int_equal(output.code, CLI_EXIT_OK);
    assert_true(has(&output, "snapshot   up to entry 50\n"));
    buf_close(&output.text);
    (void)snprintf(path, sizeof(path), "%s/%016x.snap", fixture->dir, 50);
    fd = open(path, O_WRONLY);
    assert_int_equal(pwrite(fd, "X", 1, SNAPSHOT_HEADER_SIZE + 17), 1);
    assert_int_equal(close(fd), 0);
    output = verify(fixture);
    assert_int_equal(output.code, CLI_EXIT_DATAERR);
    assert_true(has(&output, "0000000000000032.snap: offset 4096: chunk 0 of "
                             "this snapshot is damaged"));
    buf_close(&output.text);
    assert_int_equal(close(dir_fd), 0);
}

static void no_log_is_said_to_be_none(void **state)
{
    struct fixture *fixture = *state;
    struct output output = verify(fixture);

    assert_int_equal(output.code, CLI_EXIT_CONFIG);
    assert_true(has(&output, "quorate: there is no log in "));
    buf_close(&output.text);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(inspect_shows_what_was_written),
        TEST(every_command_has_a_name),
        TEST(programs_see_the_same),
        TEST(rows_begin_and_end_where_asked),
        TEST(verify_tells_a_torn_tail_from_damage),
        TEST(nothing_is_changed),
        TEST(a_directory_in_use_is_left_alone),
        TEST(a_snapshot_is_looked_at_too),
        TEST(no_log_is_said_to_be_none),
    };

    return cmocka_run_group_tests_name("cli/log", tests, NULL, NULL);
}
