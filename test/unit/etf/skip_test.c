/* SPDX-License-Identifier: Apache-2.0
 * Stepping over whole terms, and over what is none. */
#include "base/mem.h"
#include "etf/reader.h"
#include "lib/test.h"

#define NODE "w\3a@b"
#define PID  "X" NODE "\0\0\0\1\0\0\0\2\0\0\0\3"
#define FUN                                                               \
    "p\0\0\0\101\1000112233445566778\0\0\0\0\0\0\0\2w\1ma\1b\0\0\0\1" PID \
    "h\2a\1a\2a\3"

struct row {
    const char *bytes;
    size_t size;
};

#define ROW(text)              \
    {                          \
        text, sizeof(text) - 1 \
    }

static const struct row rows[] = {
    ROW("a\1"),
    ROW("b\0\0\1\0"),
    ROW("F?\370\0\0\0\0\0\0"),
    ROW("d\0\1\351"),
    ROW("s\1\351"),
    ROW("v\0\1a"),
    ROW("w\1a"),
    ROW("j"),
    ROW("k\0\2ab"),
    ROW("m\0\0\0\2ab"),
    ROW("M\0\0\0\2\3ab"),
    ROW("n\2\1ab"),
    ROW("o\0\0\0\2\1ab"),
    ROW(PID),
    ROW("Y" NODE "\0\0\0\1\0\0\0\2"),
    ROW("x" NODE "\0\0\0\0\0\0\0\1\0\0\0\2"),
    ROW("Z\0\2" NODE "\0\0\0\1\0\0\0\2\0\0\0\3"),
    ROW("h\2a\1h\1j"),
    ROW("i\0\0\0\1a\1"),
    ROW("l\0\0\0\2a\1l\0\0\0\1a\2ja\3"),
    ROW("t\0\0\0\2a\1jjt\0\0\0\0"),
    ROW("qw\1mw\1fa\2"),
    ROW(FUN),
};

static void skip_lands_on_the_next_term(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t *copy = mem_alloc(rows[i].size + 2);
        struct etf_reader reader;
        struct bytes raw;
        bool value = false;

        assert_non_null(copy);
        memcpy(copy, rows[i].bytes, rows[i].size);
        memcpy(copy + rows[i].size, "a\7", 2);
        reader = etf_reader_of(bytes_of(copy, rows[i].size + 2));
        assert_ok(etf_read_raw(&reader, &raw));
        assert_ptr_equal(raw.data, copy);
        assert_int_equal(raw.size, rows[i].size);
        assert_err(etf_read_bool(&reader, &value), ERR_BADARG);
        assert_ok(etf_skip(&reader));
        assert_true(etf_at_end(&reader));
        assert_err(etf_skip(&reader), ERR_TRUNCATED);
        mem_free(copy);
    }
}

static void cut_term_is_truncated_and_nothing_moves(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t cut = 0; cut < rows[i].size; cut++) {
            uint8_t *copy = mem_copy(rows[i].bytes, cut);
            struct etf_reader reader = etf_reader_of(bytes_of(copy, cut));
            struct bytes raw = bytes_of(NULL, 4711);

            assert_non_null(copy);
            assert_err(etf_skip(&reader), ERR_TRUNCATED);
            assert_err(etf_read_raw(&reader, &raw), ERR_TRUNCATED);
            assert_ptr_equal(reader.cursor.next, copy);
            assert_int_equal(raw.size, 4711);
            mem_free(copy);
        }
    }
}

static void unknown_tag_is_an_error_at_any_depth(void **state)
{
    static const struct row bad[] = {
        ROW("P"),           ROW("\203a\1"),           ROW("h\1R\0"),
        ROW("Xa\1"),        ROW("qw\1ma\1"),          ROW("\377"),
        ROW("l\0\0\0\1jP"), ROW("p\0\0\0\1jjjjjjjj"),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        struct etf_reader reader =
            etf_reader_of(bytes_of(bad[i].bytes, bad[i].size));

        assert_err(etf_skip(&reader), ERR_BADARG);
        assert_ptr_equal(reader.cursor.next, bad[i].bytes);
    }
}

static void claims_and_depth_of_bytes_not_validated_do_no_harm(void **state)
{
    enum { DEPTH = 1000000 };
    uint8_t *tower = mem_alloc(2 * DEPTH + 1);
    struct etf_reader reader =
        etf_reader_of(bytes_of("t\377\377\377\377t\377\377\377\377j", 11));

    (void)state;
    assert_err(etf_skip(&reader), ERR_TRUNCATED);
    assert_non_null(tower);
    for (size_t i = 0; i < DEPTH; i++) {
        memcpy(tower + 2 * i, "h\1", 2);
    }
    tower[2 * DEPTH] = 'j';
    reader = etf_reader_of(bytes_of(tower, 2 * DEPTH + 1));
    assert_ok(etf_skip(&reader));
    assert_true(etf_at_end(&reader));
    mem_free(tower);
}

/* How many of five are left, and the tag of what comes next. */
static void leaves_are_stepped_over_up_to_the_first_container(void **state)
{
    static const struct {
        struct row row;
        uint32_t left;
        char next;
    } steps[] = {
        {ROW("jjjjja\1"), 0, 'a'},
        {ROW("a\1k\0\1th\1jjj"), 3, 'h'},
        {ROW("h\0t\0\0\0\0l\0\0\0\0jjj"), 3, 'l'},
        {ROW("w\1mt\0\0\0\1jjjjj"), 4, 't'},
        {ROW(PID FUN "jjj"), 4, 'p'},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(steps) / sizeof(steps[0]); i++) {
        struct etf_reader reader =
            etf_reader_of(bytes_of(steps[i].row.bytes, steps[i].row.size));
        uint32_t left = 5;

        assert_ok(etf_skip_leaves(&reader, &left));
        assert_int_equal(left, steps[i].left);
        assert_int_equal(reader.cursor.next[0], steps[i].next);
    }
}

static void leaves_before_an_error_are_counted(void **state)
{
    struct etf_reader reader = etf_reader_of(bytes_of("ja\1a", 4));
    uint32_t left = 3;

    (void)state;
    assert_err(etf_skip_leaves(&reader, &left), ERR_TRUNCATED);
    assert_int_equal(left, 1);
    assert_int_equal(cursor_left(&reader.cursor), 1);
    reader = etf_reader_of(bytes_of("jP", 2));
    left = 3;
    assert_err(etf_skip_leaves(&reader, &left), ERR_BADARG);
    assert_int_equal(left, 2);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(skip_lands_on_the_next_term),
        cmocka_unit_test(cut_term_is_truncated_and_nothing_moves),
        cmocka_unit_test(unknown_tag_is_an_error_at_any_depth),
        cmocka_unit_test(claims_and_depth_of_bytes_not_validated_do_no_harm),
        cmocka_unit_test(leaves_are_stepped_over_up_to_the_first_container),
        cmocka_unit_test(leaves_before_an_error_are_counted),
    };

    return cmocka_run_group_tests_name("etf_skip", tests, NULL, NULL);
}
