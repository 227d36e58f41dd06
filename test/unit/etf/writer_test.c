/* SPDX-License-Identifier: Apache-2.0
 * The writer: exact bytes, all of them valid to our own validator, and the
 * buffer's errors. */
#include "base/mem.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "lib/test.h"

#include <math.h>
#include <string.h>

enum { ROOM = 4096 };

#define NODE "w\3a@b"

/* The one term in `buf` is valid and these bytes; empties the buffer. */
static void check(struct buf *buf, const char *bytes, size_t size)
{
    struct etf_limits limits = etf_limits_default(ROOM);
    size_t term_size = 0;

    assert_ok(buf_error(buf));
    assert_bytes(buf_bytes(buf), bytes, size);
    assert_ok(etf_validate(buf_bytes(buf), &limits, &term_size));
    assert_int_equal(term_size, size);
    buf_clear(buf);
}

#define CHECK(buf, text) check((buf), (text), sizeof(text) - 1)

static void scalars_have_their_bytes(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, ROOM);
    etf_put_atom(&buf, "ok");
    CHECK(&buf, "w\2ok");
    etf_put_atom(&buf, "");
    CHECK(&buf, "w\0");
    etf_put_atom_bytes(&buf, bytes_of("caf\303\251", 5));
    CHECK(&buf, "w\5caf\303\251");
    etf_put_atom_bytes(&buf, bytes_of(NULL, 0));
    CHECK(&buf, "w\0");
    etf_put_atom_bytes(&buf, bytes_of("a\0b", 3));
    CHECK(&buf, "w\3a\0b");
    etf_put_bool(&buf, true);
    CHECK(&buf, "w\4true");
    etf_put_bool(&buf, false);
    CHECK(&buf, "w\5false");
    etf_put_double(&buf, 1.5);
    CHECK(&buf, "F?\370\0\0\0\0\0\0");
    etf_put_double(&buf, -0.0);
    CHECK(&buf, "F\200\0\0\0\0\0\0\0");
    etf_put_binary(&buf, bytes_of("a\0b", 3));
    CHECK(&buf, "m\0\0\0\3a\0b");
    etf_put_binary(&buf, bytes_of(NULL, 0));
    CHECK(&buf, "m\0\0\0\0");
    etf_put_string_binary(&buf, "text");
    CHECK(&buf, "m\0\0\0\4text");
    etf_put_nil(&buf);
    CHECK(&buf, "j");
    buf_close(&buf);
}

static void containers_have_their_headers(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, ROOM);
    etf_put_tuple(&buf, 0);
    CHECK(&buf, "h\0");
    etf_put_tuple(&buf, 255);
    assert_bytes(buf_bytes(&buf), "h\377", 2);
    buf_clear(&buf);
    etf_put_tuple(&buf, 256);
    assert_bytes(buf_bytes(&buf), "i\0\0\1\0", 5);
    buf_clear(&buf);
    etf_put_map(&buf, 0);
    CHECK(&buf, "t\0\0\0\0");
    etf_put_map(&buf, 1);
    etf_put_atom(&buf, "k");
    etf_put_list(&buf, 2);
    etf_put_u64(&buf, 1);
    etf_put_i64(&buf, -1);
    etf_put_nil(&buf);
    CHECK(&buf, "t\0\0\0\1w\1kl\0\0\0\2a\1b\377\377\377\377j");
    etf_put_tuple(&buf, 1);
    etf_put_raw(&buf, bytes_of("a\7", 2));
    CHECK(&buf, "h\1a\7");
    etf_put_version(&buf);
    assert_bytes(buf_bytes(&buf), "\203", 1);
    buf_close(&buf);
}

static void check_u64(struct buf *buf, uint64_t value)
{
    struct etf_reader reader;
    uint64_t actual = ~value;

    etf_put_u64(buf, value);
    reader = etf_reader_of(buf_bytes(buf));
    assert_ok(etf_read_u64(&reader, &actual));
    assert_true(actual == value);
    assert_true(etf_at_end(&reader));
    check(buf, (const char *)buf->data, buf->size);
}

static void check_i64(struct buf *buf, int64_t value)
{
    struct etf_reader reader;
    int64_t actual = ~value;

    etf_put_i64(buf, value);
    reader = etf_reader_of(buf_bytes(buf));
    assert_ok(etf_read_i64(&reader, &actual));
    assert_true(actual == value);
    assert_true(etf_at_end(&reader));
    check(buf, (const char *)buf->data, buf->size);
}

static void integers_read_back_around_every_power_of_two(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, ROOM);
    for (unsigned bits = 0; bits < 64; bits++) {
        uint64_t power = UINT64_C(1) << bits;

        check_u64(&buf, power - 1);
        check_u64(&buf, power);
        check_u64(&buf, power + 1);
        if (bits < 63) {
            check_i64(&buf, (int64_t)power);
            check_i64(&buf, -(int64_t)power);
            check_i64(&buf, -(int64_t)power - 1);
        }
    }
    check_u64(&buf, UINT64_MAX);
    check_i64(&buf, INT64_MAX);
    check_i64(&buf, INT64_MIN);
    buf_close(&buf);
}

static void pid_reads_back_with_all_its_bits(void **state)
{
    struct etf_pid pid = {.node = bytes_of("a@b", 3),
                          .id = 0xfffffff1,
                          .serial = 0xfffffff2,
                          .creation = 0xfffffff3};
    struct etf_pid actual = {.id = 0};
    struct etf_reader reader;
    struct buf buf;

    (void)state;
    buf_init(&buf, ROOM);
    etf_put_pid(&buf, &pid);
    reader = etf_reader_of(buf_bytes(&buf));
    assert_ok(etf_read_pid(&reader, &actual));
    assert_bytes(actual.node, "a@b", 3);
    assert_int_equal(actual.id, pid.id);
    assert_int_equal(actual.serial, pid.serial);
    assert_int_equal(actual.creation, pid.creation);
    CHECK(&buf, "X" NODE "\377\377\377\361\377\377\377\362\377\377\377\363");
    buf_close(&buf);
}

static void reference_has_one_to_five_words(void **state)
{
    static const uint32_t words[] = {0xfffffff1, 2, 3, 4, 0xfffffff5};
    static const char expected[] =
        "Z\0\5" NODE "\377\377\377\376\377\377\377\361\0\0\0\2\0\0\0\3\0\0\0\4"
        "\377\377\377\365";
    struct buf buf;

    (void)state;
    buf_init(&buf, ROOM);
    for (uint32_t count = 1; count <= 5; count++) {
        char bytes[sizeof(expected)];

        memcpy(bytes, expected, sizeof(expected));
        bytes[2] = (char)count;
        etf_put_reference(&buf, bytes_of("a@b", 3), 0xfffffffe, words, count);
        check(&buf, bytes, 1 + 2 + 5 + 4 + 4 * count);
    }
    buf_close(&buf);
}

/* A name of `count` times `unit`. The caller frees. */
static char *new_name(size_t count, const char *unit)
{
    size_t size = strlen(unit);
    char *name = mem_alloc(count * size + 1);

    assert_non_null(name);
    for (size_t i = 0; i < count; i++) {
        memcpy(name + i * size, unit, size);
    }
    return name;
}

static void check_names(const char *unit, size_t count, int expected)
{
    static const uint32_t words[] = {1};
    char *name = new_name(count, unit);
    struct etf_pid pid = {.node = bytes_of_string(name)};
    struct etf_limits limits = etf_limits_default(ROOM);
    size_t size;

    for (int i = 0; i < 3; i++) {
        struct buf buf;

        buf_init(&buf, ROOM);
        if (i == 0) {
            etf_put_atom(&buf, name);
        } else if (i == 1) {
            etf_put_pid(&buf, &pid);
        } else {
            etf_put_reference(&buf, pid.node, 1, words, 1);
        }
        assert_err(buf_error(&buf), expected);
        if (expected == 0) {
            assert_ok(etf_validate(buf_bytes(&buf), &limits, &size));
            assert_int_equal(size, buf.size);
        } else {
            assert_int_equal(buf.size, 0);
        }
        buf_close(&buf);
    }
    mem_free(name);
}

static void names_are_utf8_of_at_most_255_characters(void **state)
{
    (void)state;
    check_names("a", 255, 0);
    check_names("a", 256, ERR_LIMIT);
    check_names("\303\251", 255, 0);
    check_names("\303\251", 256, ERR_LIMIT);
    check_names("\360\237\230\200", 255, 0);
    check_names("\360\237\230\200", 256, ERR_LIMIT);
    check_names("\351", 1, ERR_BADARG);
    check_names("\355\240\200", 1, ERR_BADARG);
}

static void node_name_with_a_zero_is_refused(void **state)
{
    struct etf_pid pid = {.node = bytes_of("a\0b", 3)};
    struct buf buf;

    (void)state;
    buf_init(&buf, ROOM);
    etf_put_pid(&buf, &pid);
    assert_err(buf_error(&buf), ERR_BADARG);
    buf_close(&buf);
}

static void float_that_is_not_finite_is_refused(void **state)
{
    static const double values[] = {INFINITY, -INFINITY, NAN};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        struct buf buf;

        buf_init(&buf, ROOM);
        etf_put_double(&buf, values[i]);
        assert_err(buf_error(&buf), ERR_BADARG);
        assert_int_equal(buf.size, 0);
        buf_close(&buf);
    }
}

static void counts_beyond_what_ei_takes_are_a_limit(void **state)
{
    struct buf buf;

    (void)state;
    for (int i = 0; i < 4; i++) {
        buf_init(&buf, SIZE_MAX);
        if (i == 0) {
            etf_put_tuple(&buf, UINT32_C(1) << 31);
        } else if (i == 1) {
            etf_put_map(&buf, UINT32_MAX);
        } else if (i == 2) {
            etf_put_list(&buf, UINT32_C(1) << 31);
        } else {
            /* Refused before a byte is read. */
            etf_put_binary(&buf, bytes_of("", (size_t)1 << 31));
        }
        assert_err(buf_error(&buf), ERR_LIMIT);
        buf_close(&buf);
    }
}

/* A message with one of everything. */
static void put_all(struct buf *buf)
{
    static const uint32_t words[] = {1, 2, 3};
    struct etf_pid pid = {.node = bytes_of("a@b", 3), .id = 1};

    etf_put_version(buf);
    etf_put_tuple(buf, 8);
    etf_put_pid(buf, &pid);
    etf_put_reference(buf, pid.node, 1, words, 3);
    etf_put_map(buf, 1);
    etf_put_atom(buf, "key");
    etf_put_double(buf, 0.5);
    etf_put_list(buf, 1);
    etf_put_bool(buf, true);
    etf_put_nil(buf);
    etf_put_u64(buf, UINT64_MAX);
    etf_put_i64(buf, -5);
    etf_put_string_binary(buf, "binary");
    etf_put_raw(buf, bytes_of("w\3raw", 5));
}

static void
buffer_of_just_the_size_is_enough_and_a_byte_less_is_not(void **state)
{
    struct etf_limits limits = etf_limits_default(ROOM);
    struct buf whole;
    struct bytes raw;

    (void)state;
    buf_init(&whole, ROOM);
    put_all(&whole);
    assert_ok(buf_error(&whole));
    assert_ok(etf_validate_external(buf_bytes(&whole), &limits, &raw));
    for (size_t size_max = 0; size_max <= whole.size; size_max++) {
        struct buf buf;

        buf_init(&buf, size_max);
        put_all(&buf);
        if (size_max == whole.size) {
            assert_ok(buf_error(&buf));
            assert_bytes(buf_bytes(&buf), whole.data, whole.size);
        } else {
            assert_err(buf_error(&buf), ERR_LIMIT);
            assert_true(buf.size <= size_max);
        }
        buf_close(&buf);
    }
    buf_close(&whole);
}

static void failed_allocation_is_the_buffers_error(void **state)
{
    (void)state;
    for (uint64_t allocations = 0; allocations < 10; allocations++) {
        struct buf buf;
        int rv;

        buf_init(&buf, ROOM);
        mem_fail_after(allocations);
        put_all(&buf);
        mem_fail_after(UINT64_MAX);
        rv = buf_error(&buf);
        buf_close(&buf);
        if (rv == 0) {
            assert_true(allocations > 0);
            return;
        }
        assert_err(rv, ERR_NOMEM);
    }
    fail_msg("it takes too many allocations");
}

static void first_error_stays(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1);
    etf_put_atom(&buf, "long");
    etf_put_atom(&buf, "\377");
    etf_put_double(&buf, NAN);
    assert_err(buf_error(&buf), ERR_LIMIT);
    buf_close(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scalars_have_their_bytes),
        cmocka_unit_test(containers_have_their_headers),
        cmocka_unit_test(integers_read_back_around_every_power_of_two),
        cmocka_unit_test(pid_reads_back_with_all_its_bits),
        cmocka_unit_test(reference_has_one_to_five_words),
        cmocka_unit_test(names_are_utf8_of_at_most_255_characters),
        cmocka_unit_test(node_name_with_a_zero_is_refused),
        cmocka_unit_test(float_that_is_not_finite_is_refused),
        cmocka_unit_test(counts_beyond_what_ei_takes_are_a_limit),
        cmocka_unit_test(
            buffer_of_just_the_size_is_enough_and_a_byte_less_is_not),
        cmocka_unit_test(failed_allocation_is_the_buffers_error),
        cmocka_unit_test(first_error_stays),
    };

    return cmocka_run_group_tests_name("etf_writer", tests, NULL, NULL);
}
