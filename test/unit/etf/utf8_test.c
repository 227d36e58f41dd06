/* SPDX-License-Identifier: Apache-2.0
 * UTF-8: each code point once in its shortest form, against a plain encoder,
 * and nothing else. */
#include "etf/utf8.h"
#include "lib/test.h"

#include <string.h>

/* Encodes in `size` bytes whether or not that is allowed. */
static struct bytes encode(uint32_t point, size_t size, uint8_t text[4])
{
    static const uint8_t marks[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = size; i > 1; i--) {
        text[i - 1] = (uint8_t)(0x80 | (point & 0x3f));
        point >>= 6;
    }
    text[0] = (uint8_t)(marks[size] | point);
    return bytes_of(text, size);
}

static size_t shortest_size(uint32_t point)
{
    return point < 0x80 ? 1 : (point < 0x800 ? 2 : (point < 0x10000 ? 3 : 4));
}

static void every_code_point_is_valid_in_its_shortest_form_only(void **state)
{
    uint8_t text[4];

    (void)state;
    /* 0x1fffff is what four bytes can hold. */
    for (uint32_t point = 0; point <= 0x1fffff; point++) {
        bool is_surrogate = point >= 0xd800 && point <= 0xdfff;
        size_t shortest = shortest_size(point);

        for (size_t size = shortest; size <= 4; size++) {
            size_t chars = 77;
            int rv = utf8_count(encode(point, size, text), &chars);
            bool is_valid =
                size == shortest && !is_surrogate && point <= 0x10ffff;

            if ((rv == 0) != is_valid || chars != (is_valid ? 1 : 77)) {
                fail_msg("U+%X in %zu bytes: %s", point, size, err_atom(rv));
            }
        }
    }
}

static void truncated_character_is_malformed(void **state)
{
    static const char text[] = "ab\xc3\xa9\xe6\x97\xa5\xf0\x9f\x98\x80";
    static const bool is_end[] = {1, 1, 1, 0, 1, 0, 0, 1, 0, 0, 0, 1};

    (void)state;
    for (size_t size = 0; size < sizeof(text); size++) {
        size_t chars;

        assert_err(utf8_count(bytes_of(text, size), &chars),
                   is_end[size] ? 0 : ERR_MALFORMED);
    }
}

static void characters_are_counted_not_bytes(void **state)
{
    size_t chars = 0;

    (void)state;
    assert_ok(utf8_count(bytes_of_string("a\xc3\xa9\xe6\x97\xa5z"), &chars));
    assert_int_equal(chars, 4);
    assert_ok(utf8_count(bytes_of(NULL, 0), &chars));
    assert_int_equal(chars, 0);
    assert_ok(utf8_count(bytes_of("a\0b", 3), &chars));
    assert_int_equal(chars, 3);
}

/* Of any size: short texts, round ones and those with a rest. */
static void bad_byte_is_seen_at_any_place(void **state)
{
    char text[40];
    size_t chars;

    (void)state;
    for (size_t size = 0; size <= sizeof(text); size++) {
        memset(text, 'a', sizeof(text));
        assert_true(utf8_is_ascii(bytes_of(text, size)));
        for (size_t i = 0; i < sizeof(text); i++) {
            text[i] = (char)0x80;
            assert_int_equal(utf8_is_ascii(bytes_of(text, size)), i >= size);
            assert_int_equal(utf8_count(bytes_of(text, size), &chars),
                             i >= size ? 0 : ERR_MALFORMED);
            text[i] = 'a';
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_code_point_is_valid_in_its_shortest_form_only),
        cmocka_unit_test(truncated_character_is_malformed),
        cmocka_unit_test(characters_are_counted_not_bytes),
        cmocka_unit_test(bad_byte_is_seen_at_any_place),
    };

    return cmocka_run_group_tests_name("etf_utf8", tests, NULL, NULL);
}
