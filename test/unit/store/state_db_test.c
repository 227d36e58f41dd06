/* SPDX-License-Identifier: Apache-2.0
 * The state store on a real disk: what it keeps, what it refuses, what it
 * forgets. */
#include "unit/store/state_db_fixture.h"

#include <poll.h>

enum { BIG_SIZE = 8 * 1024 * 1024, BIG_READS = 12 };

static struct bytes text(const char *value)
{
    return bytes_of_string(value);
}

static void what_was_answered_is_there_after_a_restart(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(write_value(fixture, "a", 3, 1, text("one")),
                     STATE_STATUS_OK);
    assert_int_equal(write_value(fixture, "b", 4, 2, text("")),
                     STATE_STATUS_OK);
    assert_int_equal(promise(fixture, "c", 9), STATE_STATUS_OK);
    reopen_db(fixture, MAP_SIZE);
    assert_stored(fixture, "a", 3, 1, text("one"));
    assert_stored(fixture, "b", 4, 2, text(""));
    assert_int_equal(write_value(fixture, "c", 8, 1, text("late")),
                     STATE_STATUS_STALE_EPOCH);
    assert_int_equal(fixture->answer.promised, 9);
    assert_nothing(fixture, "c");
}

static void the_rules_of_a_replica_hold(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(write_value(fixture, "a", 3, 5, text("five")),
                     STATE_STATUS_OK);
    assert_int_equal(write_value(fixture, "a", 3, 5, text("five")),
                     STATE_STATUS_OK);
    assert_int_equal(write_value(fixture, "a", 3, 5, text("other")),
                     STATE_STATUS_STALE_VERSION);
    assert_int_equal(write_value(fixture, "a", 3, 4, text("four")),
                     STATE_STATUS_STALE_VERSION);
    assert_int_equal(write_value(fixture, "a", 2, 9, text("old")),
                     STATE_STATUS_STALE_EPOCH);
    assert_int_equal(promise(fixture, "a", 6), STATE_STATUS_OK);
    assert_bytes(fixture->answer.value, "five", 4);
    assert_stored(fixture, "a", 3, 5, text("five"));
}

static void a_predecessor_is_not_shown(void **state)
{
    struct fixture *fixture = *state;
    struct buf value;
    uint64_t epoch = 0;
    uint64_t seq = 0;

    buf_init(&value, 64);
    assert_int_equal(write_value(fixture, "a", 3, 5, text("five")),
                     STATE_STATUS_OK);
    assert_int_equal(read_value(fixture, "a", 4), STATE_STATUS_OK);
    assert_false(fixture->answer.has_version);
    assert_err(state_db_get(fixture->db, text("a"), 4, &epoch, &seq, &value),
               ERR_NOT_FOUND);
    assert_int_equal(value.size, 0);
    /* It reads the table, which follows the journal after a while. */
    for (int i = 0; i < 200; i++) {
        if (state_db_get(fixture->db, text("a"), 3, &epoch, &seq, &value) ==
            0) {
            break;
        }
        (void)poll(NULL, 0, 10);
    }
    assert_int_equal(epoch, 3);
    assert_int_equal(seq, 5);
    assert_bytes(buf_bytes(&value), "five", 4);
    /* What does not fit is not read. */
    value.size_max = 7;
    assert_err(state_db_get(fixture->db, text("a"), 3, &epoch, &seq, &value),
               ERR_LIMIT);
    assert_bytes(buf_bytes(&value), "five", 4);
    assert_ok(buf_error(&value));
    value.size_max = 64;
    assert_err(state_db_get(fixture->db, text("b"), 0, &epoch, &seq, &value),
               ERR_NOT_FOUND);
    assert_int_equal(write_value(fixture, "a", 4, 1, text("new")),
                     STATE_STATUS_OK);
    assert_stored(fixture, "a", 4, 1, text("new"));
    buf_close(&value);
}

static void ids_that_look_alike_are_apart(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } ids[] = {{"a", 1}, {"a\0", 2}, {"a\1", 2}, {"a\0\0", 3}, {"F", 1}};
    struct fixture *fixture = *state;
    size_t count = sizeof(ids) / sizeof(ids[0]);

    for (size_t i = 0; i < count; i++) {
        uint8_t byte = (uint8_t)i;
        struct state_message write =
            make_write("x", 1, i + 1, bytes_of(&byte, 1));

        write.id = bytes_of(ids[i].bytes, ids[i].size);
        assert_int_equal(ask(fixture, write), STATE_STATUS_OK);
    }
    reopen_db(fixture, MAP_SIZE);
    for (size_t i = 0; i < count; i++) {
        uint8_t byte = (uint8_t)i;
        struct state_message read = {.kind = STATE_KIND_READ,
                                     .id = bytes_of(ids[i].bytes, ids[i].size)};

        assert_int_equal(ask(fixture, read), STATE_STATUS_OK);
        assert_int_equal(fixture->answer.stamp.version.seq, i + 1);
        assert_bytes(fixture->answer.value, &byte, 1);
    }
}

static void deleting_spares_what_is_newer(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(write_value(fixture, "a", 3, 5, text("five")),
                     STATE_STATUS_OK);
    assert_ok(state_db_delete(fixture->db, text("a"), 2));
    assert_stored(fixture, "a", 3, 5, text("five"));
    assert_int_equal(promise(fixture, "a", 7), STATE_STATUS_OK);
    assert_ok(state_db_delete(fixture->db, text("a"), 6));
    assert_nothing(fixture, "a");
    assert_int_equal(write_value(fixture, "a", 6, 1, text("late")),
                     STATE_STATUS_STALE_EPOCH);
    assert_ok(state_db_delete(fixture->db, text("a"), 7));
    assert_ok(state_db_delete(fixture->db, text("a"), 7));
    assert_nothing(fixture, "a");
    assert_int_equal(fixture->answer.promised, 0);
    reopen_db(fixture, MAP_SIZE);
    assert_nothing(fixture, "a");
}

static void no_state_is_stored_as_a_version(void **state)
{
    struct fixture *fixture = *state;
    struct state_message nothing = {
        .kind = STATE_KIND_WRITE,
        .has_version = true,
        .stamp = {.version = {.epoch = 5}, .ballot = 8},
        .id = text("a")};

    assert_int_equal(write_value(fixture, "a", 3, 5, text("five")),
                     STATE_STATUS_OK);
    assert_int_equal(ask(fixture, nothing), STATE_STATUS_OK);
    reopen_db(fixture, MAP_SIZE);
    assert_int_equal(promise(fixture, "a", 5), STATE_STATUS_STALE_BALLOT);
    assert_int_equal(read_value(fixture, "a", 0), STATE_STATUS_OK);
    assert_true(fixture->answer.has_version);
    assert_false(fixture->answer.has_value);
    assert_int_equal(fixture->answer.stamp.ballot, 8);
}

static void a_write_damaged_on_its_way_is_not_stored(void **state)
{
    struct fixture *fixture = *state;
    struct state_message write = make_write("a", 3, 1, text("one"));

    write.crc ^= 1;
    assert_int_equal(ask(fixture, write), STATE_STATUS_CORRUPT);
    assert_nothing(fixture, "a");
}

static void nonsense_is_not_queued(void **state)
{
    struct fixture *fixture = *state;
    struct state_message answer = {.kind = STATE_KIND_READ_ACK};

    assert_err(state_db_submit(fixture->db, 7, text("nonsense")),
               ERR_MALFORMED);
    assert_err(state_db_submit(fixture->db, 7, bytes_of(NULL, 0)),
               ERR_MALFORMED);
    assert_err(submit(fixture, &answer), ERR_MALFORMED);
}

static void without_memory_nothing_is_queued(void **state)
{
    struct fixture *fixture = *state;
    struct state_message read = {.kind = STATE_KIND_READ, .id = text("a")};
    struct buf buf;

    buf_init(&buf, STATE_MESSAGE_SIZE_MAX);
    assert_ok(state_message_encode(&read, &buf));
    mem_fail_after(0);
    assert_err(state_db_submit(fixture->db, 7, buf_bytes(&buf)), ERR_NOMEM);
    assert_err(state_db_delete(fixture->db, text("a"), 1), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    buf_close(&buf);
    assert_nothing(fixture, "a");
}

/* As big ones are: the head is copied, the value is held until it was carried
 * out. */
static void a_shared_value_is_stored_and_let_go(void **state)
{
    enum { LEAST = 100 * 1024, STEP = 5 * 1024 * 1024 };
    struct fixture *fixture = *state;
    struct buf value;
    struct buf head;
    struct blob *blob;

    buf_init(&value, LEAST + 2 * STEP);
    buf_init(&head, STATE_MESSAGE_HEADER_SIZE + STATE_ID_SIZE_MAX);
    assert_non_null(buf_reserve(&value, LEAST + STEP));
    buf_commit(&value, LEAST + STEP);
    memset(value.data, 7, LEAST + STEP);
    blob = blob_take(&value);
    assert_non_null(blob);
    /* The first goes through the journal, the second is too big for it. */
    for (uint64_t seq = 1; seq <= 2; seq++) {
        struct bytes slice =
            bytes_of(blob_bytes(blob).data + seq, LEAST + (seq - 1) * STEP / 2);
        struct state_message write = make_write("a", 3, seq, slice);

        buf_clear(&head);
        assert_ok(state_message_encode_head(&write, &head));
        assert_ok(state_db_submit_shared(fixture->db, 7, buf_bytes(&head),
                                         slice, blob));
        take(fixture);
        assert_int_equal(fixture->answer.status, STATE_STATUS_OK);
        assert_false(blob_is_shared(blob));
        assert_stored(fixture, "a", 3, seq, slice);
        reopen_db(fixture, MAP_SIZE);
        assert_stored(fixture, "a", 3, seq, slice);
    }
    assert_err(state_db_submit_shared(fixture->db, 7, buf_bytes(&head),
                                      blob_bytes(blob), blob),
               ERR_MALFORMED);
    mem_fail_after(0);
    assert_err(state_db_submit_shared(fixture->db, 7, buf_bytes(&head),
                                      blob_bytes(blob), blob),
               ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    assert_false(blob_is_shared(blob));
    blob_release(blob);
    buf_close(&head);
}

static void many_requests_share_a_commit(void **state)
{
    enum { WRITES = 2000 };
    struct fixture *fixture = *state;
    uint64_t commits = 0;
    uint64_t requests = 0;

    for (uint64_t i = 1; i <= WRITES; i++) {
        struct state_message write = make_write("a", 1, i, text("value"));

        assert_ok(submit(fixture, &write));
    }
    for (uint64_t i = 1; i <= WRITES; i++) {
        take(fixture);
        assert_int_equal(fixture->answer.status, STATE_STATUS_OK);
    }
    state_db_counters(fixture->db, &commits, &requests);
    assert_int_equal(requests, WRITES);
    assert_true(commits > 0);
    assert_true(commits < WRITES);
}

static void closing_commits_what_waits(void **state)
{
    struct fixture *fixture = *state;

    for (uint64_t i = 1; i <= 100; i++) {
        struct state_message write = make_write("a", 1, i, text("value"));

        assert_ok(submit(fixture, &write));
    }
    reopen_db(fixture, MAP_SIZE);
    assert_stored(fixture, "a", 1, 100, text("value"));
}

static void a_full_queue_is_busy(void **state)
{
    struct fixture *fixture = *state;
    struct state_message read = {.kind = STATE_KIND_READ, .id = text("a")};

    for (size_t i = 0; i < STATE_DB_QUEUE_COUNT_MAX; i++) {
        assert_ok(submit(fixture, &read));
    }
    assert_err(submit(fixture, &read), ERR_BUSY);
    assert_err(state_db_delete(fixture->db, text("a"), 1), ERR_BUSY);
    take(fixture);
    assert_ok(submit(fixture, &read));
}

/* More than may wait to be taken: the writer holds back, and goes on. */
static void big_values_come_back_whole(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *big = mem_alloc(BIG_SIZE);
    struct state_message read = {.kind = STATE_KIND_READ, .id = text("a")};

    assert_non_null(big);
    for (size_t i = 0; i < BIG_SIZE; i++) {
        big[i] = (uint8_t)(i * 2654435761U >> 7);
    }
    assert_int_equal(write_value(fixture, "a", 1, 1, bytes_of(big, BIG_SIZE)),
                     STATE_STATUS_OK);
    for (size_t i = 0; i < BIG_READS; i++) {
        assert_ok(submit(fixture, &read));
    }
    for (size_t i = 0; i < BIG_READS; i++) {
        take(fixture);
        assert_int_equal(fixture->answer.status, STATE_STATUS_OK);
        assert_bytes(fixture->answer.value, big, BIG_SIZE);
    }
    mem_free(big);
}

static void another_format_or_no_store_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct state_db_config config = {
        .dir = "/nowhere/at/all", .map_size = MAP_SIZE, .ready = on_ready};
    char path[2 * PATH_MAX_SIZE];
    struct state_db *db = NULL;
    struct buf error;
    FILE *file;

    buf_init(&error, 4096);
    assert_err(state_db_open(&config, &error, &db), ERR_IO);
    assert_true(error.size > 0);
    state_db_close(fixture->db);
    fixture->db = NULL;
    file_path(fixture, "state.mdb", path);
    file = fopen(path, "r+");
    assert_non_null(file);
    for (size_t i = 0; i < 8192; i++) {
        assert_int_equal(fputc('x', file), 'x');
    }
    assert_int_equal(fclose(file), 0);
    config.dir = fixture->dir;
    buf_clear(&error);
    assert_err(state_db_open(&config, &error, &db), ERR_CORRUPT);
    assert_true(error.size > 0);
    assert_null(db);
    buf_close(&error);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(what_was_answered_is_there_after_a_restart),
        TEST(the_rules_of_a_replica_hold),
        TEST(a_predecessor_is_not_shown),
        TEST(ids_that_look_alike_are_apart),
        TEST(deleting_spares_what_is_newer),
        TEST(no_state_is_stored_as_a_version),
        TEST(a_write_damaged_on_its_way_is_not_stored),
        TEST(nonsense_is_not_queued),
        TEST(without_memory_nothing_is_queued),
        TEST(a_shared_value_is_stored_and_let_go),
        TEST(many_requests_share_a_commit),
        TEST(closing_commits_what_waits),
        TEST(a_full_queue_is_busy),
        TEST(big_values_come_back_whole),
        TEST(another_format_or_no_store_is_told),
    };

    return cmocka_run_group_tests_name("state_db", tests, NULL, NULL);
}
