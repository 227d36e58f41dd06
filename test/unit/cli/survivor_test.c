/* SPDX-License-Identifier: Apache-2.0
 * What a survivor's directory is taken to hold, when its log and its snapshot
 * do and do not go together. */
#include "cli/survivor.h"
#include "command/command_snapshot.h"
#include "raft/membership.h"
#include "store/snapshot_writer.h"
#include "unit/store/wal_fixture.h"

enum { BYTES_MAX = 1 << 20, MAP_SIZE = 16 * 1024 * 1024 };

static const char card[] = "quorate 2\nname a@h\nid 0000000000000001\n"
                           "cluster 0000000000000007\n"
                           "instance 0000000000000009\naddress -\n"
                           "voter a@h\nvoter b@h\nvoter c@h\nindex 0\n";

static void ignore_ready(void *arg)
{
    (void)arg;
}

/* Identity and store of a member that was started once. */
static void put_member(struct fixture *fixture)
{
    struct state_db_config config = {
        .dir = fixture->dir, .map_size = MAP_SIZE, .ready = ignore_ready};
    struct state_db *db;
    char path[128];

    (void)snprintf(path, sizeof(path), "%s/identity", fixture->dir);
    assert_ok(sys_write_file(path, bytes_of_string(card)));
    assert_ok(state_db_open(&config, &fixture->error, &db));
    state_db_close(db);
}

/* Empty entries of one term, from an index on. */
static void put_entries(struct fixture *fixture, uint64_t first, uint64_t last,
                        uint64_t term)
{
    struct raft_entry entries[16];
    struct raft_persist persist = {.term = term, .entries = entries};

    for (uint64_t i = first; i <= last; i++) {
        entries[persist.entry_count] = (struct raft_entry){
            .index = i, .term = term, .type = RAFT_ENTRY_NOOP};
        persist.entry_count++;
    }
    fixture->seq++;
    persist.seq = fixture->seq;
    assert_ok(wal_submit(fixture->wal, &persist));
    assert_ok(fixture_wait(fixture));
}

/* Of the state of a machine that has applied up to there. */
static void put_snapshot(const struct fixture *fixture, uint64_t index,
                         uint64_t term)
{
    const struct raft_membership members = {.voters = {1, 2}, .voter_count = 2};
    struct snapshot_meta meta = {.index = index, .term = term};
    struct command_machine machine;
    struct command_snapshot snapshot;
    struct snapshot_writer writer;
    int dir_fd = open(fixture->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    command_machine_init(&machine, 0, NULL, NULL);
    machine.applied_index = index;
    command_snapshot_init(&snapshot);
    assert_ok(command_snapshot_begin(&snapshot, &machine, BYTES_MAX));
    while (!snapshot.is_whole) {
        assert_ok(command_snapshot_make(&snapshot, BYTES_MAX));
    }
    meta.configuration_size =
        (uint32_t)membership_encode(&members, meta.configuration);
    snapshot_writer_init(&writer);
    assert_ok(snapshot_writer_begin(&writer, dir_fd, SNAPSHOT_OWN, &meta));
    assert_ok(snapshot_writer_append(&writer, buf_bytes(&snapshot.bytes)));
    assert_ok(snapshot_writer_finish(&writer, &meta));
    command_snapshot_close(&snapshot);
    command_machine_close(&machine);
    (void)close(dir_fd);
}

struct expected {
    uint64_t snapshot_index; /* 0: none is put */
    uint64_t snapshot_term;
    uint64_t last_index;
    uint64_t last_term;
    bool is_log_reset;
};

/* The log has 1 to 5 in term 1, and 6 to 8 in term 3. Opened, and again behind
 * one more entry. */
static void check(void **state, struct expected expected)
{
    struct fixture *fixture = *state;
    struct survivor *survivor = calloc(1, sizeof(*survivor));
    struct raft_entry entry = {.term = 9, .type = RAFT_ENTRY_NOOP};
    struct raft_persist persist = {
        .seq = 1, .term = 9, .entries = &entry, .entry_count = 1};

    assert_non_null(survivor);
    put_member(fixture);
    assert_ok(fixture_open(fixture));
    put_entries(fixture, 1, 5, 1);
    put_entries(fixture, 6, 8, 3);
    fixture_close(fixture);
    if (expected.snapshot_index > 0) {
        put_snapshot(fixture, expected.snapshot_index, expected.snapshot_term);
    }
    assert_ok(survivor_open(survivor, fixture->dir, &fixture->error));
    assert_int_equal(survivor->last_index, expected.last_index);
    assert_int_equal(survivor->last_term, expected.last_term);
    assert_int_equal(survivor->machine.applied_index, expected.last_index);
    assert_int_equal(survivor->is_log_reset, expected.is_log_reset);
    assert_int_equal(survivor->membership.voter_count,
                     expected.snapshot_index > 0 ? 2 : 3);
    entry.index = expected.last_index + 1;
    if (expected.is_log_reset) {
        persist.is_log_reset = true;
        persist.base_index = expected.last_index;
        persist.base_term = expected.last_term;
    }
    assert_ok(survivor_append(survivor, &persist));
    survivor_close(survivor);
    assert_ok(survivor_open(survivor, fixture->dir, &fixture->error));
    assert_int_equal(survivor->last_index, expected.last_index + 1);
    assert_int_equal(survivor->last_term, 9);
    assert_int_equal(survivor->term, 9);
    assert_false(survivor->is_log_reset);
    survivor_close(survivor);
    free(survivor);
}

static void a_log_alone(void **state)
{
    check(state, (struct expected){.last_index = 8, .last_term = 3});
}

static void a_log_that_goes_on_behind_its_snapshot(void **state)
{
    check(state, (struct expected){.snapshot_index = 4,
                                   .snapshot_term = 1,
                                   .last_index = 8,
                                   .last_term = 3});
}

/* It came from a leader, and the member ended before its log gave way. */
static void a_snapshot_of_another_history(void **state)
{
    check(state, (struct expected){.snapshot_index = 7,
                                   .snapshot_term = 4,
                                   .last_index = 7,
                                   .last_term = 4,
                                   .is_log_reset = true});
}

static void a_snapshot_beyond_the_log(void **state)
{
    check(state, (struct expected){.snapshot_index = 12,
                                   .snapshot_term = 3,
                                   .last_index = 12,
                                   .last_term = 3,
                                   .is_log_reset = true});
}

static void a_directory_that_is_none(void **state)
{
    struct fixture *fixture = *state;
    struct survivor *survivor = calloc(1, sizeof(*survivor));

    assert_non_null(survivor);
    assert_err(survivor_open(survivor, fixture->dir, &fixture->error),
               ERR_NOT_FOUND);
    assert_true(fixture->error.size > 0);
    survivor_close(survivor);
    free(survivor);
}

#define TEST(name) \
    cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_log_alone),
        TEST(a_log_that_goes_on_behind_its_snapshot),
        TEST(a_snapshot_of_another_history),
        TEST(a_snapshot_beyond_the_log),
        TEST(a_directory_that_is_none),
    };

    return cmocka_run_group_tests_name("survivor", tests, NULL, NULL);
}
