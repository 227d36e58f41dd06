/* SPDX-License-Identifier: Apache-2.0
 * The state store when the map is full, the disk is full, bytes are damaged,
 * and the process is killed: what was answered stays. */
#include "base/rng.h"
#include "unit/store/state_db_fixture.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

enum {
    SMALL_MAP_SIZE = 1024 * 1024,
    BIG_SIZE = 8 * 1024 * 1024,
    VALUE_SIZE = 4000,
    FULL_MAX = 400, /* values that surely do not fit */
    KILL_ROUNDS = 20,
    KILL_IDS = 8,
    KILL_ACKS_MAX = 400,
};

static void make_id(char id[32], uint64_t number)
{
    (void)snprintf(id, 32, "sandbox-%04llu", (unsigned long long)number);
}

/* A value that tells which write it is. */
static struct bytes make_value(uint8_t value[VALUE_SIZE], uint64_t number,
                               uint64_t seq)
{
    struct rng rng;

    rng_init(&rng, number << 32 | seq);
    for (size_t i = 0; i < VALUE_SIZE; i += 8) {
        uint64_t word = rng_next(&rng);

        memcpy(value + i, &word, 8);
    }
    return bytes_of(value, VALUE_SIZE);
}

/* Writes new ids until there is no space; how many there are. */
static uint64_t fill(struct fixture *fixture, uint64_t seq)
{
    uint8_t value[VALUE_SIZE];
    char id[32];

    for (uint64_t i = 0; i < FULL_MAX; i++) {
        enum state_status status;

        make_id(id, i);
        status = write_value(fixture, id, 1, seq, make_value(value, i, seq));
        if (status != STATE_STATUS_OK) {
            assert_int_equal(status, STATE_STATUS_NO_SPACE);
            return i;
        }
    }
    fail_msg("the store never was full");
    return 0;
}

static void assert_filled(struct fixture *fixture, uint64_t begin, uint64_t end)
{
    uint8_t value[VALUE_SIZE];
    char id[32];

    for (uint64_t i = begin; i < end; i++) {
        make_id(id, i);
        assert_stored(fixture, id, 1, 1, make_value(value, i, 1));
    }
}

static void a_full_map_keeps_all_and_can_forget(void **state)
{
    struct fixture *fixture = *state;
    uint8_t value[VALUE_SIZE];
    uint64_t count;
    char id[32];

    reopen_db(fixture, SMALL_MAP_SIZE);
    count = fill(fixture, 1);
    assert_true(count > 50);
    assert_filled(fixture, 0, count);
    make_id(id, count);
    assert_nothing(fixture, id);
    /* Promises, and the same state under a seal's version, need no room. */
    for (uint64_t i = 0; i < count; i++) {
        struct state_message seal;

        make_id(id, i);
        assert_int_equal(promise(fixture, id, 5), STATE_STATUS_OK);
        seal = make_write(id, 5, 0, make_value(value, i, 1));
        seal.stamp.ballot = 1;
        assert_int_equal(ask(fixture, seal), STATE_STATUS_OK);
    }
    for (uint64_t i = 0; i < 20; i++) {
        make_id(id, i);
        assert_ok(state_db_delete(fixture->db, bytes_of_string(id), 5));
    }
    for (uint64_t i = 0; i < 10; i++) {
        make_id(id, i);
        assert_int_equal(
            write_value(fixture, id, 6, 1, make_value(value, i, 2)),
            STATE_STATUS_OK);
    }
    reopen_db(fixture, SMALL_MAP_SIZE);
    for (uint64_t i = 20; i < count; i++) {
        make_id(id, i);
        assert_stored(fixture, id, 5, 0, make_value(value, i, 1));
    }
    make_id(id, 15);
    assert_nothing(fixture, id);
}

/* Fills what is left with ever smaller values, to the last page. */
static void fill_to_the_last_page(struct fixture *fixture)
{
    static const size_t sizes[] = {VALUE_SIZE, 2500, 1200, 100, 1};
    uint8_t value[VALUE_SIZE];
    uint64_t number = 1000;
    char id[32];

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        enum state_status status;

        do {
            make_id(id, ++number);
            status = write_value(
                fixture, id, 1, 1,
                bytes_of(make_value(value, number, 1).data, sizes[i]));
        } while (status == STATE_STATUS_OK);
        assert_int_equal(status, STATE_STATUS_NO_SPACE);
    }
}

static void a_map_full_to_the_last_page_can_forget(void **state)
{
    struct fixture *fixture = *state;
    uint8_t *big = mem_alloc(BIG_SIZE);
    uint8_t value[VALUE_SIZE];

    assert_non_null(big);
    reopen_db(fixture, BIG_SIZE + SMALL_MAP_SIZE);
    assert_int_equal(write_value(fixture, "big", 1, 1, bytes_of(big, BIG_SIZE)),
                     STATE_STATUS_OK);
    fill_to_the_last_page(fixture);
    assert_int_equal(promise(fixture, "new", 2), STATE_STATUS_OK);
    /* The list of pages that this frees takes pages in a row itself. */
    assert_ok(state_db_delete(fixture->db, bytes_of_string("big"), 1));
    /* What one delete has freed is there for the next write. */
    assert_int_equal(write_value(fixture, "new", 2, 1, make_value(value, 1, 1)),
                     STATE_STATUS_OK);
    assert_nothing(fixture, "big");
    /* What the reserve holds belongs to the store. */
    reopen_db(fixture, BIG_SIZE + SMALL_MAP_SIZE);
    assert_stored(fixture, "new", 2, 1, make_value(value, 1, 1));
    mem_free(big);
}

static void in_a_full_map_the_others_of_a_batch_are_served(void **state)
{
    enum { BATCH = 300 };
    struct fixture *fixture = *state;
    uint8_t value[VALUE_SIZE];
    size_t refused = 0;
    uint64_t count;
    char id[32];

    reopen_db(fixture, SMALL_MAP_SIZE);
    count = fill(fixture, 1);
    for (uint64_t i = 0; i < BATCH; i++) {
        struct state_message request;

        make_id(id, i % 3 == 0 ? 1000 + i : i % count);
        request = make_write(id, 1, 1, make_value(value, 1000 + i, 1));
        if (i % 3 != 0) {
            request = (struct state_message){.kind = STATE_KIND_READ,
                                             .id = bytes_of_string(id)};
        }
        request.ticket = i;
        assert_ok(submit(fixture, &request));
    }
    for (uint64_t i = 0; i < BATCH; i++) {
        take(fixture);
        /* In the order of the requests, each with its own outcome. */
        assert_int_equal(fixture->answer.ticket, i);
        if (i % 3 == 0) {
            refused += fixture->answer.status == STATE_STATUS_NO_SPACE;
        } else {
            assert_int_equal(fixture->answer.status, STATE_STATUS_OK);
            assert_true(fixture->answer.has_value);
        }
    }
    assert_true(refused > BATCH / 3 - 10);
    assert_filled(fixture, 0, count);
}

static void a_full_disk_keeps_all_and_recovers(void **state)
{
    struct fixture *fixture = *state;
    uint8_t value[VALUE_SIZE];
    struct rlimit before;
    struct rlimit limit;
    uint64_t count;
    char id[32];

    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    limit = before;
    limit.rlim_cur = SMALL_MAP_SIZE;
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &limit), 0);
    count = fill(fixture, 1);
    assert_true(count > 50);
    assert_filled(fixture, 0, count);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    make_id(id, count);
    assert_int_equal(
        write_value(fixture, id, 1, 1, make_value(value, count, 1)),
        STATE_STATUS_OK);
    reopen_db(fixture, MAP_SIZE);
    assert_filled(fixture, 0, count + 1);
}

/* Flips a bit in each place of the file where `pattern` is. */
static void damage(const struct fixture *fixture, struct bytes pattern,
                   size_t offset)
{
    char path[2 * PATH_MAX_SIZE];
    struct stat stat_of;
    uint8_t *bytes;
    uint8_t *found;
    size_t size;
    size_t hits = 0;
    FILE *file;

    file_path(fixture, "state.mdb", path);
    assert_int_equal(stat(path, &stat_of), 0);
    size = (size_t)stat_of.st_size;
    bytes = mem_alloc(size);
    file = fopen(path, "r+");
    assert_non_null(file);
    assert_int_equal(fread(bytes, 1, size, file), size);
    found = bytes;
    while ((found = memmem(found, size - (size_t)(found - bytes), pattern.data,
                           pattern.size)) != NULL) {
        found[offset] ^= 0x20;
        found++;
        hits++;
    }
    assert_true(hits > 0);
    rewind(file);
    assert_int_equal(fwrite(bytes, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    mem_free(bytes);
}

static void a_damaged_value_is_told_and_can_be_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct bytes one = bytes_of_string("a value that will be damaged");
    struct bytes two = bytes_of_string("a value that stays whole");
    uint64_t epoch = 0;
    uint64_t seq = 0;
    struct buf buf;

    buf_init(&buf, 1024);
    assert_int_equal(write_value(fixture, "a", 3, 1, one), STATE_STATUS_OK);
    assert_int_equal(write_value(fixture, "b", 3, 1, two), STATE_STATUS_OK);
    state_db_close(fixture->db);
    damage(fixture, one, 3);
    open_db(fixture, MAP_SIZE);
    assert_int_equal(read_value(fixture, "a", 0), STATE_STATUS_CORRUPT);
    assert_int_equal(promise(fixture, "a", 4), STATE_STATUS_CORRUPT);
    assert_err(
        state_db_get(fixture->db, bytes_of_string("a"), 0, &epoch, &seq, &buf),
        ERR_CORRUPT);
    assert_int_equal(buf.size, 0);
    assert_stored(fixture, "b", 3, 1, two);
    assert_int_equal(write_value(fixture, "a", 4, 1, one), STATE_STATUS_OK);
    assert_stored(fixture, "a", 4, 1, one);
    buf_close(&buf);
}

static void a_damaged_record_is_refused_not_forgotten(void **state)
{
    /* The id, the end of its key, the format and the flags of its record. */
    static const char record[] = "the damaged id\0\1\3";
    struct fixture *fixture = *state;

    assert_int_equal(
        write_value(fixture, "the damaged id", 3, 1, bytes_of_string("one")),
        STATE_STATUS_OK);
    state_db_close(fixture->db);
    damage(fixture, bytes_of(record, sizeof(record) - 1), sizeof(record) + 8);
    open_db(fixture, MAP_SIZE);
    assert_int_equal(read_value(fixture, "the damaged id", 0),
                     STATE_STATUS_CORRUPT);
    assert_int_equal(
        write_value(fixture, "the damaged id", 9, 1, bytes_of_string("two")),
        STATE_STATUS_CORRUPT);
    assert_ok(
        state_db_delete(fixture->db, bytes_of_string("the damaged id"), 9));
    assert_int_equal(promise(fixture, "the damaged id", 9),
                     STATE_STATUS_CORRUPT);
}

static void a_file_that_lost_its_end_is_no_crash(void **state)
{
    struct fixture *fixture = *state;
    uint8_t value[VALUE_SIZE];
    char path[2 * PATH_MAX_SIZE];
    struct stat stat_of;
    size_t corrupt = 0;
    char id[32];

    for (uint64_t i = 0; i < 50; i++) {
        make_id(id, i);
        assert_int_equal(
            write_value(fixture, id, 1, 1, make_value(value, i, 1)),
            STATE_STATUS_OK);
    }
    state_db_close(fixture->db);
    fixture->db = NULL;
    file_path(fixture, "state.mdb", path);
    assert_int_equal(stat(path, &stat_of), 0);
    assert_int_equal(truncate(path, stat_of.st_size * 3 / 4), 0);
    /* What the lost end held decides: the root, or only some values. */
    if (try_open_db(fixture, MAP_SIZE) == ERR_CORRUPT) {
        assert_int_equal(truncate(path, 0), 0);
        open_db(fixture, MAP_SIZE);
        return;
    }
    for (uint64_t i = 0; i < 50; i++) {
        make_id(id, i);
        corrupt += read_value(fixture, id, 0) != STATE_STATUS_OK;
    }
    assert_true(corrupt > 0);
}

struct ack {
    uint32_t number;
    uint32_t seq;
};

/* The process that will be killed: writes, and tells what was answered. */
static void write_until_killed(struct fixture *fixture, int tell,
                               const uint32_t *seqs, uint64_t seed)
{
    uint32_t next[KILL_IDS];
    uint8_t value[VALUE_SIZE];
    struct ack pending[4];
    struct rng rng;
    char id[32];

    rng_init(&rng, seed);
    memcpy(next, seqs, sizeof(next));
    open_db(fixture, MAP_SIZE);
    for (;;) {
        for (size_t i = 0; i < 4; i++) {
            uint32_t number = (uint32_t)rng_below(&rng, KILL_IDS);
            struct state_message write;

            pending[i] = (struct ack){.number = number, .seq = ++next[number]};
            make_id(id, number);
            write = make_write(id, 1, next[number],
                               make_value(value, number, next[number]));
            assert_ok(submit(fixture, &write));
        }
        for (size_t i = 0; i < 4; i++) {
            take(fixture);
            assert_int_equal(fixture->answer.status, STATE_STATUS_OK);
            if (write(tell, &pending[i], sizeof(pending[i])) !=
                sizeof(pending[i])) {
                _exit(1);
            }
        }
    }
}

/* Reads acknowledgements; kills the writer after some; reads the rest. */
static void kill_after(int from, pid_t writer, uint64_t count, uint32_t *seqs)
{
    struct ack ack;
    uint64_t seen = 0;
    int status = 0;

    while (read(from, &ack, sizeof(ack)) == sizeof(ack)) {
        assert_true(ack.number < KILL_IDS);
        seqs[ack.number] = ack.seq;
        seen++;
        if (seen == count) {
            assert_int_equal(kill(writer, SIGKILL), 0);
        }
    }
    assert_int_equal(waitpid(writer, &status, 0), writer);
    assert_true(WIFSIGNALED(status));
    assert_int_equal(WTERMSIG(status), SIGKILL);
    assert_true(seen >= count);
}

static void check_after_kill(struct fixture *fixture, uint32_t *seqs)
{
    uint8_t value[VALUE_SIZE];
    char id[32];

    open_db(fixture, MAP_SIZE);
    for (uint32_t i = 0; i < KILL_IDS; i++) {
        uint32_t seq;

        make_id(id, i);
        assert_int_equal(read_value(fixture, id, 0), STATE_STATUS_OK);
        if (!fixture->answer.has_version) {
            assert_int_equal(seqs[i], 0);
            continue;
        }
        seq = (uint32_t)fixture->answer.stamp.version.seq;
        assert_true(seq >= seqs[i]);
        assert_bytes(fixture->answer.value, make_value(value, i, seq).data,
                     VALUE_SIZE);
        seqs[i] = seq;
    }
    state_db_close(fixture->db);
    fixture->db = NULL;
}

static void what_was_answered_survives_a_kill(void **state)
{
    struct fixture *fixture = *state;
    uint32_t seqs[KILL_IDS] = {0};
    struct rng rng;

    rng_init(&rng, 20);
    state_db_close(fixture->db);
    fixture->db = NULL;
    for (uint64_t round = 0; round < KILL_ROUNDS; round++) {
        uint64_t count = 1 + rng_below(&rng, KILL_ACKS_MAX);
        int ends[2];
        pid_t writer;

        assert_int_equal(pipe(ends), 0);
        writer = fork();
        assert_true(writer >= 0);
        if (writer == 0) {
            (void)close(ends[0]);
            write_until_killed(fixture, ends[1], seqs, round);
        }
        assert_int_equal(close(ends[1]), 0);
        kill_after(ends[0], writer, count, seqs);
        assert_int_equal(close(ends[0]), 0);
        check_after_kill(fixture, seqs);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_full_map_keeps_all_and_can_forget),
        TEST(a_map_full_to_the_last_page_can_forget),
        TEST(in_a_full_map_the_others_of_a_batch_are_served),
        TEST(a_full_disk_keeps_all_and_recovers),
        TEST(a_damaged_value_is_told_and_can_be_replaced),
        TEST(a_damaged_record_is_refused_not_forgotten),
        TEST(a_file_that_lost_its_end_is_no_crash),
        TEST(what_was_answered_survives_a_kill),
    };

    return cmocka_run_group_tests_name("state_db_failure", tests, NULL, NULL);
}
