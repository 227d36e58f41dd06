/* SPDX-License-Identifier: Apache-2.0
 * The typed readers: what they take, what they refuse, and that a refusal
 * moves nothing. */
#include "etf/reader.h"
#include "lib/test.h"

#define NODE "w\3a@b"

static struct etf_reader reader_of(const char *bytes, size_t size)
{
    return etf_reader_of(bytes_of(bytes, size));
}

/* A reader of a string literal, without its final zero. */
#define READER(text) reader_of((text), sizeof(text) - 1)

static void peek_names_every_type(void **state)
{
    static const struct {
        char tag;
        enum etf_type type;
    } rows[] = {
        {'a', ETF_INTEGER},   {'b', ETF_INTEGER}, {'n', ETF_INTEGER},
        {'o', ETF_INTEGER},   {'F', ETF_FLOAT},   {'d', ETF_ATOM},
        {'s', ETF_ATOM},      {'v', ETF_ATOM},    {'w', ETF_ATOM},
        {'Z', ETF_REFERENCE}, {'Y', ETF_PORT},    {'x', ETF_PORT},
        {'X', ETF_PID},       {'h', ETF_TUPLE},   {'i', ETF_TUPLE},
        {'t', ETF_MAP},       {'j', ETF_NIL},     {'k', ETF_STRING},
        {'l', ETF_LIST},      {'m', ETF_BINARY},  {'M', ETF_BIT_BINARY},
        {'p', ETF_FUN},       {'q', ETF_FUN},
    };
    bool is_known[256] = {false};
    enum etf_type type = ETF_FUN;

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct etf_reader reader = reader_of(&rows[i].tag, 1);

        assert_ok(etf_peek(&reader, &type));
        assert_int_equal(type, rows[i].type);
        assert_false(etf_at_end(&reader));
        is_known[(uint8_t)rows[i].tag] = true;
    }
    for (unsigned tag = 0; tag < 256; tag++) {
        uint8_t byte = (uint8_t)tag;
        struct etf_reader reader = etf_reader_of(bytes_of(&byte, 1));

        assert_err(etf_peek(&reader, &type), is_known[tag] ? 0 : ERR_BADARG);
    }
    {
        struct etf_reader reader = etf_reader_of(bytes_of(NULL, 0));

        assert_true(etf_at_end(&reader));
        assert_err(etf_peek(&reader, &type), ERR_TRUNCATED);
    }
}

/* Every reader but the raw ones refuses `bytes` with `expected` and leaves
 * everything as it was; `except` is the one that would take it. */
static void refused_by_all(struct bytes bytes, enum etf_type except,
                           int expected)
{
    struct etf_reader reader = etf_reader_of(bytes);
    struct bytes text = bytes_of(NULL, 4711);
    struct etf_pid pid = {.id = 4711};
    struct etf_list list = {.left = 4711};
    double real = 4711;
    int64_t i64 = 4711;
    uint64_t u64 = 4711;
    uint32_t count = 4711;
    bool flag = true;

    if (except != ETF_ATOM) {
        assert_err(etf_read_atom(&reader, &text), expected);
        assert_err(etf_read_bool(&reader, &flag), expected);
        assert_false(etf_take_atom(&reader, ""));
    }
    if (except != ETF_INTEGER) {
        assert_err(etf_read_u64(&reader, &u64), expected);
        assert_err(etf_read_i64(&reader, &i64), expected);
    }
    if (except != ETF_INTEGER && except != ETF_FLOAT) {
        assert_err(etf_read_double(&reader, &real), expected);
    }
    if (except != ETF_BINARY) {
        assert_err(etf_read_binary(&reader, &text), expected);
    }
    if (except != ETF_TUPLE) {
        assert_err(etf_read_tuple(&reader, &count), expected);
        assert_err(etf_read_tuple_of(&reader, 1), expected);
    }
    if (except != ETF_MAP) {
        assert_err(etf_read_map(&reader, &count), expected);
    }
    if (except != ETF_LIST) {
        assert_err(etf_list_begin(&reader, &list), expected);
    }
    if (except != ETF_PID) {
        assert_err(etf_read_pid(&reader, &pid), expected);
    }
    assert_ptr_equal(reader.cursor.next, bytes.data);
    assert_int_equal(cursor_left(&reader.cursor), bytes.size);
    assert_int_equal(text.size, 4711);
    assert_int_equal(pid.id, 4711);
    assert_int_equal(list.left, 4711);
    assert_true(real == 4711);
    assert_true(i64 == 4711);
    assert_true(u64 == 4711);
    assert_int_equal(count, 4711);
    assert_true(flag);
}

#define TERM(text) bytes_of((text), sizeof(text) - 1)

static void other_types_are_refused_and_nothing_moves(void **state)
{
    (void)state;
    refused_by_all(TERM("a\1"), ETF_INTEGER, ERR_BADARG);
    refused_by_all(TERM("n\1\0\1"), ETF_INTEGER, ERR_BADARG);
    refused_by_all(TERM("F?\370\0\0\0\0\0\0"), ETF_FLOAT, ERR_BADARG);
    refused_by_all(TERM("w\2ok"), ETF_ATOM, ERR_BADARG);
    refused_by_all(TERM("m\0\0\0\1a"), ETF_BINARY, ERR_BADARG);
    refused_by_all(TERM("M\0\0\0\1\4a"), ETF_BIT_BINARY, ERR_BADARG);
    refused_by_all(TERM("h\1j"), ETF_TUPLE, ERR_BADARG);
    refused_by_all(TERM("i\0\0\0\1j"), ETF_TUPLE, ERR_BADARG);
    refused_by_all(TERM("t\0\0\0\0"), ETF_MAP, ERR_BADARG);
    refused_by_all(TERM("j"), ETF_LIST, ERR_BADARG);
    refused_by_all(TERM("k\0\1a"), ETF_LIST, ERR_BADARG);
    refused_by_all(TERM("X" NODE "000011112222"), ETF_PID, ERR_BADARG);
    refused_by_all(TERM("Y" NODE "00001111"), ETF_PORT, ERR_BADARG);
    refused_by_all(TERM("qw\1mw\1fa\2"), ETF_FUN, ERR_BADARG);
    refused_by_all(TERM("P"), ETF_FUN, ERR_BADARG);
    refused_by_all(bytes_of("", 0), ETF_FUN, ERR_TRUNCATED);
}

static void cut_terms_are_truncated_and_nothing_moves(void **state)
{
    static const char *const terms[] = {"F?\370\1\1\1\1\1\1",
                                        "w\2ok",
                                        "v\1",
                                        "n\2\1ab",
                                        "b1234",
                                        "h",
                                        "i123",
                                        "t123",
                                        "k\1",
                                        "l123",
                                        "m\1"};

    (void)state;
    for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++) {
        size_t size = strlen(terms[i]);

        for (size_t cut = 1; cut < size; cut++) {
            struct etf_reader reader = reader_of(terms[i], cut);
            struct bytes text;
            struct etf_list list;
            double real;
            uint32_t count;
            bool taken = etf_read_atom(&reader, &text) != ERR_TRUNCATED &&
                         etf_read_double(&reader, &real) != ERR_TRUNCATED &&
                         etf_read_tuple(&reader, &count) != ERR_TRUNCATED &&
                         etf_read_map(&reader, &count) != ERR_TRUNCATED &&
                         etf_list_begin(&reader, &list) != ERR_TRUNCATED &&
                         etf_read_binary(&reader, &text) != ERR_TRUNCATED;

            assert_false(taken);
            assert_ptr_equal(reader.cursor.next, terms[i]);
        }
    }
}

static void atoms_are_read_as_utf8(void **state)
{
    struct etf_reader reader = READER("w\2okd\0\2oks\2okv\0\2okw\2\303\251w\0");
    struct bytes name;

    (void)state;
    for (int i = 0; i < 4; i++) {
        assert_ok(etf_read_atom(&reader, &name));
        assert_bytes(name, "ok", 2);
    }
    assert_ok(etf_read_atom(&reader, &name));
    assert_bytes(name, "\303\251", 2);
    assert_ok(etf_read_atom(&reader, &name));
    assert_int_equal(name.size, 0);
    assert_true(etf_at_end(&reader));
}

static void latin1_atom_beyond_ascii_is_refused(void **state)
{
    struct etf_reader small = READER("s\1\351");
    struct etf_reader large = READER("d\0\1\351");
    struct bytes name;

    (void)state;
    assert_err(etf_read_atom(&small, &name), ERR_BADARG);
    assert_err(etf_read_atom(&large, &name), ERR_BADARG);
    assert_ok(etf_skip(&small));
    assert_true(etf_at_end(&small));
}

static void atom_is_taken_only_if_it_is_that_one(void **state)
{
    struct etf_reader reader = READER("w\2okd\0\3endj");

    (void)state;
    assert_false(etf_take_atom(&reader, "o"));
    assert_false(etf_take_atom(&reader, "okay"));
    assert_true(etf_take_atom(&reader, "ok"));
    assert_false(etf_take_atom(&reader, "ok"));
    assert_true(etf_take_atom(&reader, "end"));
    assert_false(etf_take_atom(&reader, ""));
}

static void booleans_are_two_atoms(void **state)
{
    struct etf_reader reader = READER("w\4trued\0\5falsew\2ok");
    bool value = false;

    (void)state;
    assert_ok(etf_read_bool(&reader, &value));
    assert_true(value);
    assert_ok(etf_read_bool(&reader, &value));
    assert_false(value);
    assert_err(etf_read_bool(&reader, &value), ERR_BADARG);
}

#define MIN64 INT64_MIN

static void integers_are_read_if_they_fit(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        int64_t i64;
        uint64_t u64;
        bool is_i64;
        bool is_u64;
    } rows[] = {
        {"a\0", 2, 0, 0, true, true},
        {"a\377", 2, 255, 255, true, true},
        {"b\177\377\377\377", 5, INT32_MAX, INT32_MAX, true, true},
        {"b\377\377\377\377", 5, -1, 0, true, false},
        {"b\200\0\0\0", 5, INT32_MIN, 0, true, false},
        {"n\0\0", 3, 0, 0, true, true},
        {"n\0\1", 3, 0, 0, true, true},
        {"n\1\1\0", 4, 0, 0, true, true},
        {"n\2\0\1\2", 5, 513, 513, true, true},
        {"n\2\1\1\2", 5, -513, 0, true, false},
        {"n\10\0\377\377\377\377\377\377\377\177", 11, INT64_MAX, INT64_MAX,
         true, true},
        {"n\10\0\0\0\0\0\0\0\0\200", 11, 0, UINT64_C(1) << 63, false, true},
        {"n\10\1\0\0\0\0\0\0\0\200", 11, MIN64, 0, true, false},
        {"n\10\1\1\0\0\0\0\0\0\200", 11, 0, 0, false, false},
        {"n\10\0\377\377\377\377\377\377\377\377", 11, 0, UINT64_MAX, false,
         true},
        {"n\11\0\0\0\0\0\0\0\0\0\1", 12, 0, 0, false, false},
        /* Zeros at the great end add nothing. */
        {"n\12\0\7\0\0\0\0\0\0\0\0\0", 13, 7, 7, true, true},
        {"o\0\0\0\12\1\7\0\0\0\0\0\0\0\0\0", 16, -7, 0, true, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct etf_reader reader = reader_of(rows[i].bytes, rows[i].size);
        struct etf_reader again = reader;
        int64_t i64 = 0;
        uint64_t u64 = 0;

        assert_err(etf_read_i64(&reader, &i64),
                   rows[i].is_i64 ? 0 : ERR_BADARG);
        assert_err(etf_read_u64(&again, &u64), rows[i].is_u64 ? 0 : ERR_BADARG);
        assert_true(i64 == rows[i].i64);
        assert_true(u64 == rows[i].u64);
        assert_int_equal(etf_at_end(&reader), rows[i].is_i64);
        assert_int_equal(etf_at_end(&again), rows[i].is_u64);
    }
}

static void doubles_are_floats_or_integers(void **state)
{
    struct etf_reader reader =
        READER("F?\370\0\0\0\0\0\0F\300\0\0\0\0\0\0\0a\7b\377\377\377\376"
               "n\10\0\0\0\0\0\0\0\0\200n\11\0\0\0\0\0\0\0\0\0\1");
    double value = 0;

    (void)state;
    assert_ok(etf_read_double(&reader, &value));
    assert_true(value == 1.5);
    assert_ok(etf_read_double(&reader, &value));
    assert_true(value == -2.0);
    assert_ok(etf_read_double(&reader, &value));
    assert_true(value == 7.0);
    assert_ok(etf_read_double(&reader, &value));
    assert_true(value == -2.0);
    assert_ok(etf_read_double(&reader, &value));
    assert_true(value == 9223372036854775808.0);
    assert_err(etf_read_double(&reader, &value), ERR_BADARG);
    assert_true(value == 9223372036854775808.0);
}

static void containers_give_their_count_and_then_elements(void **state)
{
    struct etf_reader reader =
        READER("h\2a\1i\0\0\0\1t\0\0\0\2w\1aa\1w\1bm\0\0\0\1x");
    uint32_t count = 0;
    uint64_t u64 = 0;
    struct bytes bytes;

    (void)state;
    assert_err(etf_read_tuple_of(&reader, 3), ERR_BADARG);
    assert_ok(etf_read_tuple_of(&reader, 2));
    assert_ok(etf_read_u64(&reader, &u64));
    assert_int_equal(u64, 1);
    assert_ok(etf_read_tuple(&reader, &count));
    assert_int_equal(count, 1);
    assert_ok(etf_read_map(&reader, &count));
    assert_int_equal(count, 2);
    assert_true(etf_take_atom(&reader, "a"));
    assert_ok(etf_skip(&reader));
    assert_true(etf_take_atom(&reader, "b"));
    assert_ok(etf_read_binary(&reader, &bytes));
    assert_bytes(bytes, "x", 1);
    assert_true(etf_at_end(&reader));
}

static void pid_gives_node_and_numbers(void **state)
{
    static const char text[] = "X" NODE "\1\2\3\4\5\6\7\10\377\377\377\376";
    struct etf_reader reader = READER(text);
    struct etf_reader latin1 = READER("Xd\0\1\351000011112222");
    struct etf_pid pid = {.id = 1};

    (void)state;
    for (size_t cut = 0; cut < sizeof(text) - 1; cut++) {
        struct etf_reader less = reader_of(text, cut);

        assert_err(etf_read_pid(&less, &pid), ERR_TRUNCATED);
        assert_ptr_equal(less.cursor.next, text);
        assert_int_equal(pid.id, 1);
    }
    assert_ok(etf_read_pid(&reader, &pid));
    assert_bytes(pid.node, "a@b", 3);
    assert_int_equal(pid.id, 0x01020304);
    assert_int_equal(pid.serial, 0x05060708);
    assert_int_equal(pid.creation, 0xfffffffe);
    assert_true(etf_at_end(&reader));
    assert_err(etf_read_pid(&latin1, &pid), ERR_BADARG);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(peek_names_every_type),
        cmocka_unit_test(other_types_are_refused_and_nothing_moves),
        cmocka_unit_test(cut_terms_are_truncated_and_nothing_moves),
        cmocka_unit_test(atoms_are_read_as_utf8),
        cmocka_unit_test(latin1_atom_beyond_ascii_is_refused),
        cmocka_unit_test(atom_is_taken_only_if_it_is_that_one),
        cmocka_unit_test(booleans_are_two_atoms),
        cmocka_unit_test(integers_are_read_if_they_fit),
        cmocka_unit_test(doubles_are_floats_or_integers),
        cmocka_unit_test(containers_give_their_count_and_then_elements),
        cmocka_unit_test(pid_gives_node_and_numbers),
    };

    return cmocka_run_group_tests_name("etf_reader", tests, NULL, NULL);
}
