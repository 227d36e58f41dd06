/* SPDX-License-Identifier: Apache-2.0
 * Records of ownership journals: bytes, and what is refused. */
#include "base/crc32c.h"
#include "journal/record.h"
#include "lib/test.h"

#include <string.h>

enum { RECORD_MAX = 2048, TYPES = 128 };

static const uint8_t run_bytes[JOURNAL_RUN_SIZE] = {1, 2,  3,  4,  5,  6,  7, 8,
                                                    9, 10, 11, 12, 13, 14, 15};

/* All fields set; each type takes those that it has. */
static struct journal_record full(enum journal_type type)
{
    return (struct journal_record){.type = type,
                                   .clock = 0x0102030405060708,
                                   .code = 3,
                                   .index = 11,
                                   .id = bytes_of_string("box"),
                                   .epoch = 12,
                                   .prior = 13,
                                   .seq = 14,
                                   .worker = bytes_of_string("w@h"),
                                   .run =
                                       bytes_of(run_bytes, sizeof(run_bytes)),
                                   .lease = 15,
                                   .worker_clock = 16,
                                   .until = 17,
                                   .heard = 18,
                                   .count = 19,
                                   .since = 20,
                                   .first = 21,
                                   .pid = 22,
                                   .start_time = 23,
                                   .resolution = 24,
                                   .boot = bytes_of_string("boot"),
                                   .space = bytes_of_string("space"),
                                   .text = bytes_of_string("text"),
                                   .mode = JOURNAL_AVAILABLE};
}

static bool is_type(unsigned type)
{
    return strcmp(journal_type_name((enum journal_type)type), "unknown") != 0;
}

static void bytes_are_as_documented(void **state)
{
    const struct journal_record record = full(JOURNAL_ACCEPTED);
    const uint8_t expected[] = {0xd7, 0xe4, 0xd6, 0xd4, /* CRC-32C */
                                0,    20,   48,         /* size, type */
                                1,    2,    3,    4,    5, 6, 7, 8,  /* clock */
                                3,    'b',  'o',  'x',               /* id */
                                0,    0,    0,    0,    0, 0, 0, 12, /* epoch */
                                0,    0,    0,    0,    0, 0, 0, 14}; /* seq */
    struct buf buf;

    (void)state;
    buf_init(&buf, RECORD_MAX);
    journal_record_encode(&buf, &record);
    assert_bytes(buf_bytes(&buf), expected, sizeof(expected));
    buf_clear(&buf);
    journal_file_head(&buf);
    assert_bytes(buf_bytes(&buf), "QUORATEJ\0\2", JOURNAL_FILE_HEAD_SIZE);
    buf_close(&buf);
}

static void each_type_comes_back(void **state)
{
    unsigned count = 0;

    (void)state;
    for (unsigned type = 0; type < TYPES; type++) {
        struct journal_record record = full((enum journal_type)type);
        struct journal_record read;
        struct buf once;
        struct buf again;
        size_t size;

        if (!is_type(type)) {
            continue;
        }
        count++;
        buf_init(&once, RECORD_MAX);
        buf_init(&again, RECORD_MAX);
        journal_record_encode(&once, &record);
        assert_ok(journal_record_read(JOURNAL_VERSION, buf_bytes(&once), &read,
                                      &size));
        assert_int_equal(size, once.size);
        assert_int_equal(read.type, type);
        assert_int_equal(read.clock, record.clock);
        if (read.id.size == 0) {
            read.id = bytes_of_string("x"); /* it has none, and takes none */
        }
        journal_record_encode(&again, &read);
        assert_bytes(buf_bytes(&again), once.data, once.size);
        buf_close(&once);
        buf_close(&again);
    }
    assert_int_equal(count, 29);
}

static void cut_and_changed_records_are_refused(void **state)
{
    struct journal_record record = full(JOURNAL_OPEN);
    struct journal_record read;
    struct buf buf;
    size_t size;

    (void)state;
    buf_init(&buf, RECORD_MAX);
    journal_record_encode(&buf, &record);
    for (size_t cut = 0; cut < buf.size; cut++) {
        assert_err(journal_record_read(JOURNAL_VERSION, bytes_of(buf.data, cut),
                                       &read, &size),
                   ERR_TRUNCATED);
    }
    for (size_t at = 0; at < buf.size; at++) {
        buf.data[at] ^= 0x10;
        assert_int_not_equal(
            journal_record_read(JOURNAL_VERSION, buf_bytes(&buf), &read, &size),
            0);
        buf.data[at] ^= 0x10;
    }
    buf_close(&buf);
}

/* The checksum is good, and the rest is not. */
static int read_sealed(const uint8_t *body, size_t body_size)
{
    struct journal_record read;
    struct buf buf;
    size_t size;
    int rv;

    buf_init(&buf, RECORD_MAX);
    buf_put_u32(&buf, crc32c(0, bytes_of(body, body_size)));
    buf_put(&buf, body, body_size);
    rv = journal_record_read(JOURNAL_VERSION, buf_bytes(&buf), &read, &size);
    buf_close(&buf);
    return rv;
}

static void wrong_forms_are_refused(void **state)
{
    const uint8_t unknown[] = {0, 0, 99, 0, 0, 0, 0, 0, 0, 0, 1};
    const uint8_t high[] = {0, 0, 200, 0, 0, 0, 0, 0, 0, 0, 1};
    const uint8_t longer[] = {0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 1, 0};
    const uint8_t shorter[] = {0, 3, 41, 0, 0, 0, 0, 0, 0, 0, 1, 9, 'a', 'b'};
    const uint8_t close[] = {0, 0, 2, 0, 0, 0, 0, 0, 0, 0, 1};
    uint8_t big[2 + 1 + 8] = {0xff, 0xff, 2};

    (void)state;
    assert_err(read_sealed(unknown, sizeof(unknown)), ERR_UNSUPPORTED);
    assert_err(read_sealed(high, sizeof(high)), ERR_UNSUPPORTED);
    assert_err(read_sealed(longer, sizeof(longer)), ERR_MALFORMED);
    assert_int_not_equal(read_sealed(shorter, sizeof(shorter)), 0);
    assert_err(read_sealed(big, sizeof(big)), ERR_MALFORMED);
    assert_ok(read_sealed(close, sizeof(close)));
}

static int check_file(const char *bytes, size_t size, uint16_t *ret_version)
{
    return journal_file_check(bytes_of(bytes, size), ret_version);
}

static void foreign_files_are_refused(void **state)
{
    uint16_t version = 0;

    (void)state;
    assert_ok(check_file("QUORATEJ\0\1rest", 14, &version));
    assert_int_equal(version, 1);
    assert_ok(check_file("QUORATEJ\0\2", 10, &version));
    assert_int_equal(version, 2);
    assert_err(check_file("QUORATEJ\0\3", 10, &version), ERR_UNSUPPORTED);
    assert_err(check_file("QUORATEJ\0\0", 10, &version), ERR_UNSUPPORTED);
    assert_err(check_file("QUORATEJ\0", 9, &version), ERR_TRUNCATED);
    assert_err(check_file("", 0, &version), ERR_TRUNCATED);
    assert_err(check_file("QUORATEK\0\1", 10, &version), ERR_MALFORMED);
}

/* In version 1 there was one mode, and no field for it. */
static void records_of_version_1_have_no_mode(void **state)
{
    static const enum journal_type types[] = {JOURNAL_CLAIMED, JOURNAL_STARTING,
                                              JOURNAL_LIVE};

    (void)state;
    for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
        struct journal_record record = full(types[i]);
        struct journal_record read;
        struct buf buf;
        size_t size;

        buf_init(&buf, RECORD_MAX);
        journal_record_encode(&buf, &record);
        assert_ok(journal_record_read(2, buf_bytes(&buf), &read, &size));
        assert_int_equal(read.mode, JOURNAL_AVAILABLE);
        assert_err(journal_record_read(1, buf_bytes(&buf), &read, &size),
                   ERR_MALFORMED);
        /* Without its last field it is one of then. */
        buf.size--;
        buf.data[5]--;
        buf_patch_u32(&buf, 0, crc32c(0, bytes_of(buf.data + 4, buf.size - 4)));
        assert_ok(journal_record_read(1, buf_bytes(&buf), &read, &size));
        assert_int_equal(read.mode, JOURNAL_NO_MODE);
        assert_int_equal(read.epoch, record.epoch);
        assert_err(journal_record_read(2, buf_bytes(&buf), &read, &size),
                   ERR_MALFORMED);
        buf_close(&buf);
    }
}

static void what_is_too_long_is_cut(void **state)
{
    uint8_t text[300];
    struct journal_record record = full(JOURNAL_PROMISED);
    struct journal_record read;
    struct buf buf;
    size_t size;

    (void)state;
    memset(text, 'x', sizeof(text));
    buf_init(&buf, RECORD_MAX);
    record.id = bytes_of(text, sizeof(text));
    journal_record_encode(&buf, &record);
    assert_ok(
        journal_record_read(JOURNAL_VERSION, buf_bytes(&buf), &read, &size));
    assert_int_equal(read.id.size, JOURNAL_TEXT_SIZE_MAX);
    buf_close(&buf);
    /* What has no room is not there at all. */
    buf_init(&buf, JOURNAL_RECORD_HEAD_SIZE);
    journal_record_encode(&buf, &record);
    assert_err(buf_error(&buf), ERR_LIMIT);
    assert_int_equal(buf.size, 0);
    buf_close(&buf);
}

static void names_are_never_null(void **state)
{
    (void)state;
    assert_string_equal(journal_type_name(JOURNAL_CLAIMED), "claimed");
    assert_string_equal(journal_type_name((enum journal_type)127), "unknown");
    assert_string_equal(journal_cause_name(JOURNAL_CAUSE_EXPIRED), "expired");
    assert_string_equal(journal_cause_name(JOURNAL_CAUSE_TAKEN_OVER),
                        "taken_over");
    assert_string_equal(journal_cause_name(JOURNAL_CAUSE_TAKEN_OVER + 1),
                        "unknown");
    assert_string_equal(journal_mode_name(JOURNAL_AVAILABLE), "available");
    assert_string_equal(journal_mode_name(3), "unknown");
    assert_string_equal(journal_cause_name(255), "unknown");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_as_documented),
        cmocka_unit_test(each_type_comes_back),
        cmocka_unit_test(cut_and_changed_records_are_refused),
        cmocka_unit_test(wrong_forms_are_refused),
        cmocka_unit_test(foreign_files_are_refused),
        cmocka_unit_test(records_of_version_1_have_no_mode),
        cmocka_unit_test(what_is_too_long_is_cut),
        cmocka_unit_test(names_are_never_null),
    };

    return cmocka_run_group_tests_name("journal_record", tests, NULL, NULL);
}
