/* SPDX-License-Identifier: Apache-2.0
 * Control messages: one table of all operations, from which frames are built
 * that are whole, cut at each length, or wrong in one field. */
#include "dist/control.h"
#include "dist/flags.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "lib/test.h"
#include "vectors.h"

#include <stdio.h>

#define ALL_FLAGS DIST_FLAGS_OFFERED

/* Fields: u unused atom, f pid from, t pid to, n name, r reference, i integer,
 * x reason, k token, l leader pid, m {M, F, Arity}, o options, b flags,
 * v pid or atom (here a pid), from '0' to 'O' the number 0 to 31. A payload
 * follows if `has_payload`. */
static const struct row {
    uint8_t op;
    uint8_t plain; /* what it comes out as */
    const char *fields;
    bool has_payload;
    uint64_t flag; /* needed */
} rows[] = {
    {1, CONTROL_LINK, "ft", false, 0},
    {2, CONTROL_SEND, "ut", true, 0},
    {3, CONTROL_EXIT, "ftx", false, 0},
    {4, CONTROL_UNLINK, "ft", false, 0},
    {6, CONTROL_REG_SEND, "fun", true, 0},
    {7, CONTROL_GROUP_LEADER, "ft", false, 0},
    {8, CONTROL_EXIT2, "ftx", false, 0},
    {12, CONTROL_SEND, "utk", true, 0},
    {13, CONTROL_EXIT, "ftkx", false, 0},
    {16, CONTROL_REG_SEND, "funk", true, 0},
    {18, CONTROL_EXIT2, "ftkx", false, 0},
    {19, CONTROL_MONITOR_P, "ftr", false, DIST_FLAG_DIST_MONITOR},
    {20, CONTROL_DEMONITOR_P, "ftr", false, DIST_FLAG_DIST_MONITOR},
    {21, CONTROL_MONITOR_P_EXIT, "ftrx", false, DIST_FLAG_DIST_MONITOR},
    {22, CONTROL_SEND, "ft", true, DIST_FLAG_SEND_SENDER},
    {23, CONTROL_SEND, "ftk", true, DIST_FLAG_SEND_SENDER},
    {24, CONTROL_EXIT, "ft", true, DIST_FLAG_EXIT_PAYLOAD},
    {25, CONTROL_EXIT, "ftk", true, DIST_FLAG_EXIT_PAYLOAD},
    {26, CONTROL_EXIT2, "ft", true, DIST_FLAG_EXIT_PAYLOAD},
    {27, CONTROL_EXIT2, "ftk", true, DIST_FLAG_EXIT_PAYLOAD},
    {28, CONTROL_MONITOR_P_EXIT, "ftr", true, DIST_FLAG_EXIT_PAYLOAD},
    {29, CONTROL_SPAWN_REQUEST, "rflmo", true, DIST_FLAG_SPAWN},
    {30, CONTROL_SPAWN_REQUEST, "rflmok", true, DIST_FLAG_SPAWN},
    {31, CONTROL_SPAWN_REPLY, "rtbv", false, DIST_FLAG_SPAWN},
    {32, CONTROL_SPAWN_REPLY, "rtbvk", false, DIST_FLAG_SPAWN},
    {33, CONTROL_ALIAS_SEND, "fr", true, DIST_FLAG_ALIAS},
    {34, CONTROL_ALIAS_SEND, "frk", true, DIST_FLAG_ALIAS},
    {35, CONTROL_UNLINK_ID, "ift", false, DIST_FLAG_UNLINK_ID},
    {36, CONTROL_UNLINK_ID_ACK, "ift", false, DIST_FLAG_UNLINK_ID},
    /* Priority 1, token 2, alias 4, name 8, exit 16. */
    {37, CONTROL_SEND, "0ft", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_SEND, "1ft", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_SEND, "2ftk", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_SEND, "3ftk", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_ALIAS_SEND, "4fr", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_ALIAS_SEND, "5fr", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_ALIAS_SEND, "6frk", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_ALIAS_SEND, "7frk", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_REG_SEND, "8fn", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_REG_SEND, "9fn", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_REG_SEND, ":fnk", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_REG_SEND, ";fnk", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_EXIT2, "@ft", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_EXIT2, "Aft", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_EXIT2, "Bftk", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_EXIT2, "Cftk", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_EXIT2, "Dfr", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_EXIT2, "Efr", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_EXIT2, "Ffrk", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_EXIT2, "Gfrk", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_EXIT2, "Hfn", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_EXIT2, "Ifn", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_EXIT2, "Jfnk", true, DIST_FLAG_ALTACT_SIG},
    {37, CONTROL_EXIT2, "Kfnk", true, DIST_FLAG_ALTACT_SIG},
};
enum { ROWS = sizeof(rows) / sizeof(rows[0]) };

static void put_test_pid(struct buf *buf, uint32_t id)
{
    struct etf_pid pid = {
        .node = bytes_of_string("tester@h"), .id = id, .creation = 3};

    etf_put_pid(buf, &pid);
}

static void put_field(struct buf *buf, char field)
{
    static const uint32_t words[] = {1, 2, 3, 4, 5};

    switch (field) {
    case 'u':
        etf_put_atom(buf, "");
        break;
    case 'f':
    case 'l':
        put_test_pid(buf, 10);
        break;
    case 't':
    case 'v':
        put_test_pid(buf, 20);
        break;
    case 'n':
        etf_put_atom(buf, "quorate");
        break;
    case 'r':
        etf_put_reference(buf, bytes_of_string("tester@h"), 3, words, 5);
        break;
    case 'i':
        etf_put_u64(buf, UINT64_MAX);
        break;
    case 'x':
        etf_put_atom(buf, "reason");
        break;
    case 'k':
        etf_put_tuple(buf, 2);
        etf_put_u64(buf, 17);
        etf_put_nil(buf);
        break;
    case 'm':
        etf_put_tuple(buf, 3);
        etf_put_atom(buf, "erpc");
        etf_put_atom(buf, "execute_call");
        etf_put_u64(buf, 4);
        break;
    case 'o':
        etf_put_list(buf, 2);
        etf_put_atom(buf, "monitor");
        etf_put_atom(buf, "other");
        etf_put_nil(buf);
        break;
    case 'b':
        etf_put_u64(buf, 3);
        break;
    default:
        assert_in_range(field, '0', 'O');
        etf_put_u64(buf, (uint64_t)(field - '0'));
    }
}

/* The frame of a row; the field at `wrong` (-1: none) is a float. */
static void put_row(struct buf *buf, const struct row *row, int wrong)
{
    buf_put_u8(buf, CONTROL_PASS_THROUGH);
    buf_put_u8(buf, 131);
    etf_put_tuple(buf, 1 + (uint32_t)strlen(row->fields));
    etf_put_u64(buf, row->op);
    for (int i = 0; row->fields[i] != '\0'; i++) {
        if (i == wrong) {
            etf_put_double(buf, 0.5);
        } else {
            put_field(buf, row->fields[i]);
        }
    }
    if (row->has_payload) {
        buf_put_u8(buf, 131);
        etf_put_atom(buf, "payload");
    }
    assert_ok(buf_error(buf));
}

static int decode(struct bytes frame, uint64_t flags, struct control *control)
{
    const char *cause = NULL;
    int rv = control_decode(frame, flags, control, &cause);

    assert_true((rv == 0) == (cause == NULL));
    return rv;
}

static void assert_field(struct bytes actual, const char *fields, char field)
{
    struct buf expected;

    buf_init(&expected, 1000);
    if (strchr(fields, field) != NULL) {
        put_field(&expected, field);
    }
    assert_bytes(actual, expected.data, expected.size);
    buf_close(&expected);
}

static void every_operation_gives_its_fields(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        const struct row *row = &rows[i];
        bool is_reason = row->plain == CONTROL_EXIT ||
                         row->plain == CONTROL_EXIT2 ||
                         row->plain == CONTROL_MONITOR_P_EXIT;
        struct control control;
        struct buf frame;

        buf_init(&frame, 1000);
        put_row(&frame, row, -1);
        assert_ok(decode(buf_bytes(&frame), ALL_FLAGS, &control));
        assert_int_equal(control.op, row->plain);
        assert_field(control.from, row->fields, 'f');
        assert_field(control.to, row->fields, 't');
        assert_field(control.reference, row->fields, 'r');
        assert_field(control.id, row->fields, 'i');
        assert_field(control.result, row->fields, 'v');
        assert_string_equal(strchr(row->fields, 'n') != NULL ? "quorate" : "",
                            control.name.size > 0 ? "quorate" : "");
        if (is_reason && row->has_payload) {
            assert_bytes(control.reason, "w\7payload", 9);
            assert_int_equal(control.payload.size, 0);
        } else if (is_reason) {
            assert_bytes(control.reason, "w\6reason", 8);
        } else if (row->has_payload) {
            assert_bytes(control.payload, "w\7payload", 9);
        }
        assert_true(control.is_monitored == (strchr(row->fields, 'o') != NULL));
        assert_false(control.is_linked);
        if (strchr(row->fields, 'm') != NULL) {
            assert_bytes(control.module, "erpc", 4);
            assert_bytes(control.function, "execute_call", 12);
            assert_int_equal(control.arity, 4);
        }
        buf_close(&frame);
    }
}

static void shortened_frames_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct control control;
        struct buf frame;

        buf_init(&frame, 1000);
        put_row(&frame, &rows[i], -1);
        for (size_t size = 0; size < frame.size; size++) {
            assert_err(decode(bytes_of(frame.data, size), ALL_FLAGS, &control),
                       size < 2 ? ERR_UNSUPPORTED : ERR_MALFORMED);
        }
        buf_put_u8(&frame, 131);
        assert_err(decode(buf_bytes(&frame), ALL_FLAGS, &control),
                   ERR_MALFORMED);
        buf_close(&frame);
    }
}

static void fields_of_a_wrong_type_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        for (int wrong = 0; rows[i].fields[wrong] != '\0'; wrong++) {
            bool is_any = strchr("ukx", rows[i].fields[wrong]) != NULL;
            struct control control;
            struct buf frame;

            buf_init(&frame, 1000);
            put_row(&frame, &rows[i], wrong);
            assert_err(decode(buf_bytes(&frame), ALL_FLAGS, &control),
                       is_any ? 0 : ERR_MALFORMED);
            buf_close(&frame);
        }
    }
}

static void operations_need_their_flags(void **state)
{
    (void)state;
    for (size_t i = 0; i < ROWS; i++) {
        struct control control;
        struct buf frame;

        buf_init(&frame, 1000);
        put_row(&frame, &rows[i], -1);
        assert_ok(decode(buf_bytes(&frame), rows[i].flag, &control));
        if (rows[i].flag != 0) {
            assert_err(decode(buf_bytes(&frame), ~rows[i].flag, &control),
                       ERR_UNSUPPORTED);
        }
        buf_close(&frame);
    }
}

static void unknown_operations_and_sizes_are_refused(void **state)
{
    (void)state;
    for (int op = 0; op < 256; op++) {
        uint8_t bytes[] = {112, 131, 104, 1, 97, (uint8_t)op};
        struct control control;

        /* The known ones have more than one element. */
        assert_err(decode(bytes_of(bytes, sizeof(bytes)), ALL_FLAGS, &control),
                   ERR_MALFORMED);
    }
    for (size_t i = 0; i < ROWS; i++) {
        struct row row = rows[i];
        char fields[8];
        struct control control;
        struct buf frame;

        (void)snprintf(fields, sizeof(fields), "%sk", rows[i].fields);
        row.fields = fields;
        buf_init(&frame, 1000);
        put_row(&frame, &row, -1);
        /* With a token some are another operation's size, but not theirs. */
        assert_err(decode(buf_bytes(&frame), ALL_FLAGS, &control),
                   ERR_MALFORMED);
        buf_close(&frame);
    }
}

static void other_framings_are_refused(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        int rv;
    } frames[] = {
        {"\x83\x44\0", 3, ERR_UNSUPPORTED}, /* a distribution header */
        {"p", 1, ERR_UNSUPPORTED},
        {"p\x82h\3a\1jj", 8, ERR_MALFORMED},
        {"p\x83", 2, ERR_MALFORMED},
        {"p\x83i\0\0\0\3a\1jj", 11, ERR_MALFORMED},
        {"p\x83h\3b\0\0\0\1jj", 11, ERR_MALFORMED},
        {"p\x83l\0\0\0\3a\1jjj", 12, ERR_MALFORMED},
    };
    struct control control;

    (void)state;
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        assert_err(decode(bytes_of(frames[i].bytes, frames[i].size), ALL_FLAGS,
                          &control),
                   frames[i].rv);
    }
}

/* {2, Token, To} with `depth` nested tuples as the unused field. */
static int decode_nested(uint8_t op, uint32_t depth)
{
    struct control control;
    struct buf frame;
    int rv;

    buf_init(&frame, 4000);
    buf_put_u8(&frame, CONTROL_PASS_THROUGH);
    buf_put_u8(&frame, 131);
    etf_put_tuple(&frame, op == 2 ? 3 : 4);
    etf_put_u64(&frame, op);
    if (op != 2) {
        put_field(&frame, 'f');
        put_field(&frame, 't');
    }
    for (uint32_t i = 0; i < depth; i++) {
        etf_put_tuple(&frame, 1);
    }
    etf_put_nil(&frame);
    if (op == 2) {
        put_field(&frame, 't');
        buf_put_u8(&frame, 131);
        etf_put_nil(&frame);
    }
    rv = decode(buf_bytes(&frame), ALL_FLAGS, &control);
    buf_close(&frame);
    return rv;
}

static void only_reasons_may_be_deep(void **state)
{
    (void)state;
    assert_ok(decode_nested(2, CONTROL_DEPTH_MAX - 1));
    assert_err(decode_nested(2, CONTROL_DEPTH_MAX), ERR_LIMIT);
    assert_ok(decode_nested(3, CONTROL_DEPTH_MAX));
    assert_ok(decode_nested(8, ETF_DEPTH_MAX - 1));
    assert_err(decode_nested(8, ETF_DEPTH_MAX), ERR_LIMIT);
}

static void long_control_tuples_are_refused(void **state)
{
    struct control control;
    struct buf frame;

    (void)state;
    buf_init(&frame, 1000000);
    buf_put_u8(&frame, CONTROL_PASS_THROUGH);
    buf_put_u8(&frame, 131);
    etf_put_tuple(&frame, 3);
    etf_put_u64(&frame, 2);
    buf_put_u8(&frame, 109);
    buf_put_u32(&frame, CONTROL_SIZE_MAX);
    memset(buf_reserve(&frame, CONTROL_SIZE_MAX), 'x', CONTROL_SIZE_MAX);
    buf_commit(&frame, CONTROL_SIZE_MAX);
    put_field(&frame, 't');
    buf_put_u8(&frame, 131);
    etf_put_nil(&frame);
    assert_err(decode(buf_bytes(&frame), ALL_FLAGS, &control), ERR_LIMIT);
    buf_close(&frame);
}

static void unknown_flags_of_a_signal_are_refused(void **state)
{
    /* Unknown bits; an alias and a name at once; no small integer. */
    static const struct {
        const char *bytes;
        size_t size;
    } flags[] = {{"a\40", 2},      {"a\200", 2},   {"a\14", 2}, {"a\34", 2},
                 {"b\0\0\0\4", 5}, {"n\1\0\4", 4}, {"w\0", 2}};

    (void)state;
    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++) {
        struct control control;
        struct buf frame;

        buf_init(&frame, 1000);
        buf_put_u8(&frame, CONTROL_PASS_THROUGH);
        buf_put_u8(&frame, 131);
        etf_put_tuple(&frame, 4);
        etf_put_u64(&frame, 37);
        buf_put(&frame, flags[i].bytes, flags[i].size);
        put_field(&frame, 'f');
        put_field(&frame, 'r');
        buf_put_u8(&frame, 131);
        etf_put_nil(&frame);
        assert_err(decode(buf_bytes(&frame), ALL_FLAGS, &control),
                   ERR_MALFORMED);
        buf_close(&frame);
    }
}

static void unlink_ids_have_64_bits(void **state)
{
    /* {35, 2^64, From, To} and {35, -1, From, To} */
    static const struct {
        const char *bytes;
        size_t size;
    } ids[] = {{"n\11\0\0\0\0\0\0\0\0\0\1", 12}, {"b\xff\xff\xff\xff", 5}};

    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct control control;
        struct buf frame;

        buf_init(&frame, 1000);
        buf_put_u8(&frame, CONTROL_PASS_THROUGH);
        buf_put_u8(&frame, 131);
        etf_put_tuple(&frame, 4);
        etf_put_u64(&frame, 35);
        buf_put(&frame, ids[i].bytes, ids[i].size);
        put_field(&frame, 'f');
        put_field(&frame, 't');
        assert_err(decode(buf_bytes(&frame), ALL_FLAGS, &control),
                   ERR_MALFORMED);
        buf_close(&frame);
    }
}

static void monitors_are_of_pids_or_names(void **state)
{
    struct control control;
    struct buf frame;

    (void)state;
    buf_init(&frame, 1000);
    put_hex(&frame, VECTOR_MONITOR_NOPE);
    assert_ok(decode(buf_bytes(&frame), DIST_FLAGS_OFFERED, &control));
    assert_int_equal(control.op, CONTROL_MONITOR_P);
    assert_bytes(control.to, "w\4nope", 6);
    buf_clear(&frame);
    put_hex(&frame, VECTOR_MONITOR_DEAD);
    assert_ok(decode(buf_bytes(&frame), DIST_FLAGS_OFFERED, &control));
    assert_int_equal(control.to.data[0], 88);
    buf_close(&frame);
}

static void spawn_options_come_in_all_forms(void **state)
{
    struct control control;
    struct buf frame;

    (void)state;
    buf_init(&frame, 1000);
    put_hex(&frame, VECTOR_SPAWN_LINKED);
    assert_ok(decode(buf_bytes(&frame), DIST_FLAGS_OFFERED, &control));
    assert_true(control.is_linked);
    assert_true(control.is_monitored);

    /* [{monitor, []}, {priority, low}] */
    buf_clear(&frame);
    buf_put_u8(&frame, CONTROL_PASS_THROUGH);
    buf_put_u8(&frame, 131);
    etf_put_tuple(&frame, 6);
    etf_put_u64(&frame, 29);
    put_field(&frame, 'r');
    put_field(&frame, 'f');
    put_field(&frame, 'l');
    put_field(&frame, 'm');
    etf_put_list(&frame, 2);
    etf_put_tuple(&frame, 2);
    etf_put_atom(&frame, "monitor");
    etf_put_nil(&frame);
    etf_put_tuple(&frame, 2);
    etf_put_atom(&frame, "priority");
    etf_put_atom(&frame, "low");
    etf_put_nil(&frame);
    buf_put_u8(&frame, 131);
    etf_put_nil(&frame);
    assert_ok(decode(buf_bytes(&frame), DIST_FLAGS_OFFERED, &control));
    assert_true(control.is_monitored);
    assert_false(control.is_linked);
    buf_close(&frame);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_operation_gives_its_fields),
        cmocka_unit_test(shortened_frames_are_refused),
        cmocka_unit_test(fields_of_a_wrong_type_are_refused),
        cmocka_unit_test(operations_need_their_flags),
        cmocka_unit_test(unknown_operations_and_sizes_are_refused),
        cmocka_unit_test(other_framings_are_refused),
        cmocka_unit_test(only_reasons_may_be_deep),
        cmocka_unit_test(long_control_tuples_are_refused),
        cmocka_unit_test(unknown_flags_of_a_signal_are_refused),
        cmocka_unit_test(unlink_ids_have_64_bits),
        cmocka_unit_test(monitors_are_of_pids_or_names),
        cmocka_unit_test(spawn_options_come_in_all_forms),
    };

    return cmocka_run_group_tests_name("dist_control", tests, NULL, NULL);
}
