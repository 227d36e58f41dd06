/* SPDX-License-Identifier: Apache-2.0
 * Lists are read the same whichever way they were written. */
#include "etf/reader.h"
#include "lib/test.h"

#include <string.h>

#define READER(text) etf_reader_of(bytes_of((text), sizeof(text) - 1))

/* Reads a list of small integers: its digits as a number after a 9. */
static int read_digits(struct etf_reader *reader, long *ret_digits)
{
    struct etf_list list;
    bool more = true;
    long digits = 9;
    int rv = etf_list_begin(reader, &list);

    while (rv == 0) {
        uint64_t digit;

        rv = etf_list_next(&list, &more);
        if (rv != 0 || !more) {
            break;
        }
        assert_ok(etf_read_u64(&list.element, &digit));
        assert_true(etf_at_end(&list.element));
        digits = digits * 10 + (long)digit;
    }
    if (rv == 0) {
        *ret_digits = digits;
    }
    return rv;
}

static void proper_lists_of_every_form_are_read(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        long digits;
    } rows[] = {
        {"j", 1, 9},
        {"k\0\3\1\2\3", 6, 9123},
        {"k\0\0", 3, 9},
        {"l\0\0\0\3a\1a\2a\3j", 12, 9123},
        {"l\0\0\0\1a\1l\0\0\0\1a\2l\0\0\0\1a\3j", 22, 9123},
        {"l\0\0\0\1a\1k\0\2\2\3", 12, 9123},
        {"l\0\0\0\0l\0\0\0\0k\0\1\1", 14, 91},
        {"l\0\0\0\0j", 6, 9},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t bytes[64];
        struct etf_reader reader;
        long digits = 0;

        memcpy(bytes, rows[i].bytes, rows[i].size);
        memcpy(bytes + rows[i].size, "w\3end", 5);
        reader = etf_reader_of(bytes_of(bytes, rows[i].size + 5));
        assert_ok(read_digits(&reader, &digits));
        assert_int_equal(digits, rows[i].digits);
        /* The reader stands behind the list. */
        assert_true(etf_take_atom(&reader, "end"));
        assert_true(etf_at_end(&reader));
    }
}

static void every_truncation_is_an_error(void **state)
{
    static const char text[] = "l\0\0\0\2a\1a\2l\0\0\0\1a\3k\0\2\4\5";
    long digits = 0;

    (void)state;
    for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
        struct etf_reader reader = etf_reader_of(bytes_of(text, cut));

        assert_err(read_digits(&reader, &digits), ERR_TRUNCATED);
    }
    {
        struct etf_reader reader = READER(text);

        assert_ok(read_digits(&reader, &digits));
        assert_int_equal(digits, 912345);
    }
}

static void improper_list_fails_at_its_end(void **state)
{
    struct etf_reader reader = READER("l\0\0\0\2a\1a\2a\3");
    struct etf_list list;
    bool more = false;

    (void)state;
    assert_ok(etf_list_begin(&reader, &list));
    assert_ok(etf_list_next(&list, &more));
    assert_ok(etf_list_next(&list, &more));
    assert_true(more);
    assert_err(etf_list_next(&list, &more), ERR_BADARG);
    assert_err(etf_list_next(&list, &more), ERR_BADARG);
}

static void end_stays_the_end(void **state)
{
    struct etf_reader reader = READER("l\0\0\0\1a\1jl\0\0\0\1a\2j");
    struct etf_list list;
    bool more = false;

    (void)state;
    assert_ok(etf_list_begin(&reader, &list));
    assert_ok(etf_list_next(&list, &more));
    assert_true(more);
    for (int i = 0; i < 3; i++) {
        assert_ok(etf_list_next(&list, &more));
        assert_false(more);
    }
    /* The next list was not touched. */
    assert_int_equal(cursor_left(&reader.cursor), 8);
}

static void elements_need_not_be_read(void **state)
{
    struct etf_reader reader =
        READER("l\0\0\0\3h\2a\1a\2t\0\0\0\1a\1a\2w\1xja\7");
    struct etf_list list;
    uint64_t value = 0;
    bool more = true;
    int count = 0;

    (void)state;
    assert_ok(etf_list_begin(&reader, &list));
    while (more) {
        assert_ok(etf_list_next(&list, &more));
        count += more ? 1 : 0;
    }
    assert_int_equal(count, 3);
    assert_ok(etf_read_u64(&reader, &value));
    assert_int_equal(value, 7);
}

static void lists_nest(void **state)
{
    struct etf_reader reader = READER("l\0\0\0\3k\0\2\1\2jl\0\0\0\1a\3jj");
    static const long expected[] = {912, 9, 93};
    struct etf_list list;
    bool more = true;

    (void)state;
    assert_ok(etf_list_begin(&reader, &list));
    for (int i = 0; i < 3; i++) {
        long digits = 0;

        assert_ok(etf_list_next(&list, &more));
        assert_true(more);
        assert_ok(read_digits(&list.element, &digits));
        assert_int_equal(digits, expected[i]);
    }
    assert_ok(etf_list_next(&list, &more));
    assert_false(more);
    assert_true(etf_at_end(&reader));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(proper_lists_of_every_form_are_read),
        cmocka_unit_test(every_truncation_is_an_error),
        cmocka_unit_test(improper_list_fails_at_its_end),
        cmocka_unit_test(end_stays_the_end),
        cmocka_unit_test(elements_need_not_be_read),
        cmocka_unit_test(lists_nest),
    };

    return cmocka_run_group_tests_name("etf_list", tests, NULL, NULL);
}
