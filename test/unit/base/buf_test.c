/* SPDX-License-Identifier: Apache-2.0
 * The growing buffer: what was put comes out, its limit holds exactly, and
 * the first error stays. */
#include "base/buf.h"
#include "base/mem.h"
#include "lib/test.h"

static void new_buffer_is_empty_and_owns_nothing(void **state)
{
    struct buf buf;

    (void)state;
    mem_fail_after(0);
    buf_init(&buf, 10);
    mem_fail_after(UINT64_MAX);
    assert_null(buf.data);
    assert_int_equal(buf_bytes(&buf).size, 0);
    assert_ok(buf_error(&buf));
    buf_close(&buf);
    buf_close(&buf);
    buf_close(NULL);
}

static void numbers_and_blocks_read_back(void **state)
{
    struct buf buf;
    struct cursor cursor;
    struct bytes block;
    uint8_t u8;
    uint16_t u16;
    uint32_t u32;
    uint64_t u64;

    (void)state;
    buf_init(&buf, 100);
    buf_put_u8(&buf, 0xab);
    buf_put_u16(&buf, 0xabcd);
    buf_put_u32(&buf, 0xabcdef01);
    buf_put_u64(&buf, 0xabcdef0123456789U);
    buf_put_block(&buf, bytes_of("block", 5));
    buf_put_bytes(&buf, bytes_of(NULL, 0));
    assert_ok(buf_error(&buf));
    cursor = cursor_of(buf_bytes(&buf));
    assert_ok(cursor_u8(&cursor, &u8));
    assert_ok(cursor_u16(&cursor, &u16));
    assert_ok(cursor_u32(&cursor, &u32));
    assert_ok(cursor_u64(&cursor, &u64));
    assert_ok(cursor_block(&cursor, &block));
    assert_ok(cursor_end(&cursor));
    assert_int_equal(u8, 0xab);
    assert_int_equal(u16, 0xabcd);
    assert_int_equal(u32, 0xabcdef01);
    assert_true(u64 == 0xabcdef0123456789U);
    assert_bytes(block, "block", 5);
    buf_close(&buf);
}

static void growth_keeps_the_content(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100000);
    for (uint32_t i = 0; i < 25000; i++) {
        buf_put_u32(&buf, i * 2654435761U);
    }
    assert_ok(buf_error(&buf));
    assert_int_equal(buf_bytes(&buf).size, 100000);
    {
        struct cursor cursor = cursor_of(buf_bytes(&buf));

        for (uint32_t i = 0; i < 25000; i++) {
            uint32_t value;

            assert_ok(cursor_u32(&cursor, &value));
            assert_int_equal(value, i * 2654435761U);
        }
    }
    buf_close(&buf);
}

static void limit_is_exact_and_its_error_sticks(void **state)
{
    (void)state;
    for (size_t size_max = 0; size_max < 200; size_max += 3) {
        struct buf buf;

        buf_init(&buf, size_max);
        for (size_t i = 0; i < size_max; i++) {
            buf_put_u8(&buf, (uint8_t)i);
        }
        assert_ok(buf_error(&buf));
        buf_put_u8(&buf, 0);
        assert_err(buf_error(&buf), ERR_LIMIT);
        buf_put(&buf, "", 0);
        buf_put_u32(&buf, 1);
        assert_null(buf_reserve(&buf, 0));
        assert_int_equal(buf_bytes(&buf).size, size_max);
        assert_true(buf.capacity <= (size_max < 64 ? 64 : size_max));
        buf_close(&buf);
        assert_ok(buf_error(&buf));
        assert_int_equal(buf.size_max, size_max);
    }
}

static void huge_size_is_a_limit_not_an_overflow(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 100);
    buf_put_u8(&buf, 1);
    assert_null(buf_reserve(&buf, SIZE_MAX));
    assert_err(buf_error(&buf), ERR_LIMIT);
    buf_close(&buf);
}

static void failed_allocation_sticks_and_keeps_the_content(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    buf_put(&buf, "abc", 3);
    mem_fail_after(0);
    assert_null(buf_reserve(&buf, 500));
    mem_fail_after(UINT64_MAX);
    assert_err(buf_error(&buf), ERR_NOMEM);
    buf_put(&buf, "d", 1);
    buf_put_u64(&buf, 1);
    buf_printf(&buf, "%d", 1);
    assert_err(buf_error(&buf), ERR_NOMEM);
    assert_bytes(buf_bytes(&buf), "abc", 3);
    buf_clear(&buf);
    assert_ok(buf_error(&buf));
    buf_put(&buf, "d", 1);
    assert_bytes(buf_bytes(&buf), "d", 1);
    buf_close(&buf);
}

static void clear_keeps_the_memory(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 1000);
    buf_put(&buf, "abcdef", 6);
    buf_clear(&buf);
    assert_int_equal(buf_bytes(&buf).size, 0);
    mem_fail_after(0);
    buf_put(&buf, "xy", 2);
    mem_fail_after(UINT64_MAX);
    assert_ok(buf_error(&buf));
    assert_bytes(buf_bytes(&buf), "xy", 2);
    buf_close(&buf);
}

static void reserved_bytes_count_once_committed(void **state)
{
    struct buf buf;
    uint8_t *room;

    (void)state;
    buf_init(&buf, 100);
    room = buf_reserve(&buf, 10);
    assert_non_null(room);
    memcpy(room, "0123456789", 10);
    assert_int_equal(buf_bytes(&buf).size, 0);
    buf_commit(&buf, 4);
    assert_bytes(buf_bytes(&buf), "0123", 4);
    buf_close(&buf);
}

static void printf_appends_without_the_zero(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 500);
    buf_printf(&buf, "%s=%d;", "a", 42);
    buf_printf(&buf, "%s", "");
    buf_printf(&buf, "%0200d", 7);
    assert_ok(buf_error(&buf));
    assert_int_equal(buf_bytes(&buf).size, 5 + 200);
    assert_memory_equal(buf.data, "a=42;0000", 9);
    assert_int_equal(buf.data[204], '7');
    buf_printf(&buf, "%0500d", 7);
    assert_err(buf_error(&buf), ERR_LIMIT);
    assert_int_equal(buf_bytes(&buf).size, 205);
    buf_close(&buf);
}

static void patch_overwrites_four_bytes(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 8);
    buf_put(&buf, "abcdefgh", 8);
    buf_patch_u32(&buf, 4, 0x31323334);
    assert_bytes(buf_bytes(&buf), "abcd1234", 8);
    buf_put_u8(&buf, 1);
    buf_patch_u32(&buf, 0, 0);
    assert_bytes(buf_bytes(&buf), "abcd1234", 8);
    buf_close(&buf);
}

static void consume_drops_from_the_front(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 8);
    buf_put(&buf, "abcdefgh", 8);
    buf_consume(&buf, 0);
    buf_consume(&buf, 3);
    assert_bytes(buf_bytes(&buf), "defgh", 5);
    buf_put(&buf, "ijk", 3);
    assert_ok(buf_error(&buf));
    buf_consume(&buf, 8);
    assert_int_equal(buf_bytes(&buf).size, 0);
    buf_close(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(new_buffer_is_empty_and_owns_nothing),
        cmocka_unit_test(numbers_and_blocks_read_back),
        cmocka_unit_test(growth_keeps_the_content),
        cmocka_unit_test(limit_is_exact_and_its_error_sticks),
        cmocka_unit_test(huge_size_is_a_limit_not_an_overflow),
        cmocka_unit_test(failed_allocation_sticks_and_keeps_the_content),
        cmocka_unit_test(clear_keeps_the_memory),
        cmocka_unit_test(reserved_bytes_count_once_committed),
        cmocka_unit_test(printf_appends_without_the_zero),
        cmocka_unit_test(patch_overwrites_four_bytes),
        cmocka_unit_test(consume_drops_from_the_front),
    };

    return cmocka_run_group_tests_name("base_buf", tests, NULL, NULL);
}
