/* SPDX-License-Identifier: Apache-2.0
 * Runs of bytes and the cursor: order, equality, big-endian numbers, and that
 * a read that does not fit changes nothing. */
#include "base/bytes.h"
#include "lib/test.h"

static void bytes_are_equal_by_content(void **state)
{
    (void)state;
    assert_true(bytes_equal(bytes_of("abc", 3), bytes_of("abcd", 3)));
    assert_false(bytes_equal(bytes_of("abc", 3), bytes_of("abd", 3)));
    assert_false(bytes_equal(bytes_of("abc", 3), bytes_of("abc", 2)));
    assert_true(bytes_equal(bytes_of(NULL, 0), bytes_of("x", 0)));
    assert_true(bytes_is(bytes_of("abcd", 3), "abc"));
    assert_false(bytes_is(bytes_of("abc", 3), "ab"));
    assert_true(bytes_is(bytes_of(NULL, 0), ""));
}

static void order_is_bytewise_and_shorter_first(void **state)
{
    (void)state;
    assert_int_equal(bytes_compare(bytes_of("ab", 2), bytes_of("ab", 2)), 0);
    assert_true(bytes_compare(bytes_of("ab", 2), bytes_of("abc", 3)) < 0);
    assert_true(bytes_compare(bytes_of("b", 1), bytes_of("abc", 3)) > 0);
    assert_true(bytes_compare(bytes_of("\x7f", 1), bytes_of("\x80", 1)) < 0);
    assert_int_equal(bytes_compare(bytes_of(NULL, 0), bytes_of(NULL, 0)), 0);
    assert_true(bytes_compare(bytes_of(NULL, 0), bytes_of("", 1)) < 0);
}

static void secret_equality_sees_every_bit(void **state)
{
    uint8_t a[32] = {0};
    uint8_t b[32] = {0};

    (void)state;
    assert_true(bytes_equal_secret(bytes_of(a, 32), bytes_of(b, 32)));
    for (size_t i = 0; i < 32 * 8; i++) {
        b[i / 8] = (uint8_t)(1U << (i % 8));
        assert_false(bytes_equal_secret(bytes_of(a, 32), bytes_of(b, 32)));
        b[i / 8] = 0;
    }
    assert_false(bytes_equal_secret(bytes_of(a, 32), bytes_of(b, 31)));
    assert_true(bytes_equal_secret(bytes_of(NULL, 0), bytes_of(a, 0)));
}

static void numbers_are_big_endian(void **state)
{
    static const uint8_t data[] = {
        0xf1, 0xf2, 0x03, 0xf4, 0x05, 0x06, 0x07, 0xf8, 1, 2, 3, 4, 5, 6, 7};
    struct cursor cursor = cursor_of(bytes_of(data, sizeof(data)));
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    (void)state;
    assert_ok(cursor_u8(&cursor, &u8));
    assert_int_equal(u8, 0xf1);
    assert_ok(cursor_u16(&cursor, &u16));
    assert_int_equal(u16, 0xf203);
    assert_ok(cursor_u32(&cursor, &u32));
    assert_int_equal(u32, 0xf4050607);
    assert_err(cursor_end(&cursor), ERR_MALFORMED);
    assert_ok(cursor_u64(&cursor, &u64));
    assert_true(u64 == 0xf801020304050607U);
    assert_ok(cursor_end(&cursor));
}

static void number_that_does_not_fit_changes_nothing(void **state)
{
    static const uint8_t data[7] = {1, 2, 3, 4, 5, 6, 7};
    uint8_t u8 = 99;
    uint16_t u16 = 99;
    uint32_t u32 = 99;
    uint64_t u64 = 99;

    (void)state;
    for (size_t size = 0; size < 8; size++) {
        struct cursor cursor = cursor_of(bytes_of(data, size));
        struct cursor before = cursor;

        assert_err(cursor_u64(&cursor, &u64), ERR_TRUNCATED);
        if (size < 4) {
            assert_err(cursor_u32(&cursor, &u32), ERR_TRUNCATED);
        }
        if (size < 2) {
            assert_err(cursor_u16(&cursor, &u16), ERR_TRUNCATED);
        }
        if (size < 1) {
            assert_err(cursor_u8(&cursor, &u8), ERR_TRUNCATED);
        }
        assert_ptr_equal(cursor.next, before.next);
        assert_int_equal(cursor_left(&cursor), size);
    }
    assert_int_equal(u8, 99);
    assert_int_equal(u16, 99);
    assert_int_equal(u32, 99);
    assert_true(u64 == 99);
}

static void take_borrows_from_the_input(void **state)
{
    static const uint8_t data[] = "abcdef";
    struct cursor cursor = cursor_of(bytes_of(data, 6));
    struct bytes part = bytes_of(NULL, 0);

    (void)state;
    assert_ok(cursor_take(&cursor, 2, &part));
    assert_ptr_equal(part.data, data);
    assert_bytes(part, "ab", 2);
    assert_err(cursor_take(&cursor, 5, &part), ERR_TRUNCATED);
    assert_err(cursor_take(&cursor, SIZE_MAX, &part), ERR_TRUNCATED);
    assert_bytes(part, "ab", 2);
    assert_ok(cursor_take(&cursor, 4, &part));
    assert_bytes(part, "cdef", 4);
    assert_ok(cursor_take(&cursor, 0, &part));
    assert_int_equal(part.size, 0);
}

static void block_is_length_then_bytes(void **state)
{
    static const uint8_t data[] = {0, 0, 0, 2, 'h', 'i', 0, 0, 0, 0};
    struct bytes block = bytes_of(NULL, 7);

    (void)state;
    for (size_t size = 0; size < 6; size++) {
        struct cursor cursor = cursor_of(bytes_of(data, size));

        assert_err(cursor_block(&cursor, &block), ERR_TRUNCATED);
        assert_int_equal(cursor_left(&cursor), size);
        assert_int_equal(block.size, 7);
    }
    {
        struct cursor cursor = cursor_of(bytes_of(data, sizeof(data)));

        assert_ok(cursor_block(&cursor, &block));
        assert_bytes(block, "hi", 2);
        assert_ok(cursor_block(&cursor, &block));
        assert_int_equal(block.size, 0);
        assert_ok(cursor_end(&cursor));
    }
}

static void cursor_of_nothing_is_at_its_end(void **state)
{
    struct cursor cursor = cursor_of(bytes_of(NULL, 0));
    struct bytes part;
    uint8_t u8;

    (void)state;
    assert_ok(cursor_end(&cursor));
    assert_err(cursor_u8(&cursor, &u8), ERR_TRUNCATED);
    assert_ok(cursor_take(&cursor, 0, &part));
    assert_int_equal(part.size, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(bytes_are_equal_by_content),
        cmocka_unit_test(order_is_bytewise_and_shorter_first),
        cmocka_unit_test(secret_equality_sees_every_bit),
        cmocka_unit_test(numbers_are_big_endian),
        cmocka_unit_test(number_that_does_not_fit_changes_nothing),
        cmocka_unit_test(take_borrows_from_the_input),
        cmocka_unit_test(block_is_length_then_bytes),
        cmocka_unit_test(cursor_of_nothing_is_at_its_end),
    };

    return cmocka_run_group_tests_name("base_bytes", tests, NULL, NULL);
}
