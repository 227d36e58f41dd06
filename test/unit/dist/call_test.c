/* SPDX-License-Identifier: Apache-2.0
 * Answers: to the alias of a tag or else to the pid, for each kind of call
 * and result; and copies of calls. */
#include "base/mem.h"
#include "dist/control.h"
#include "dist/frame.h"
#include "peer.h"

/* A literal and its size. */
#define LITERAL(text) text, sizeof(text) - 1

static const struct bytes value = {.data = (const uint8_t *)"a\5", .size = 2};

/* What was sent, decoded. */
static struct control decode_out(struct fixture *fixture)
{
    struct control control;
    struct bytes frame;
    const char *cause;
    size_t used;

    assert_ok(
        frame_next(buf_bytes(&fixture->out), FRAME_SIZE_MAX, &frame, &used));
    assert_int_equal(used, fixture->out.size);
    assert_ok(control_decode(frame, DIST_FLAGS_OFFERED, &control, &cause));
    return control;
}

enum tag_form { TAG_ALIAS, TAG_NESTED, TAG_REFERENCE, TAG_LIST };

static void put_tag(struct buf *buf, enum tag_form form)
{
    if (form == TAG_REFERENCE) {
        put_reference(buf);
        return;
    }
    if (form == TAG_NESTED) {
        etf_put_list(buf, 1);
    }
    etf_put_list(buf, 1);
    etf_put_atom(buf, form == TAG_LIST ? "other" : "alias");
    put_reference(buf); /* the tail */
    if (form == TAG_NESTED) {
        etf_put_atom(buf, "extra");
    }
}

/* The number of the operation that was really sent. */
static int wire_op(const uint64_t *flags, const struct control *control)
{
    bool has_all = *flags == DIST_FLAGS_OFFERED;

    if (control->op == CONTROL_ALIAS_SEND) {
        return has_all ? CONTROL_ALTACT_SIG_SEND : CONTROL_ALIAS_SEND;
    }
    return (*flags & DIST_FLAG_SEND_SENDER) != 0 ? CONTROL_SEND_SENDER
                                                 : CONTROL_SEND;
}

static void answers_go_to_the_alias_if_there_is_one(void **state)
{
    static const struct {
        enum tag_form form;
        uint64_t flags;
        enum control_op op;
    } rows[] = {
        {TAG_ALIAS, RECORDED_FLAGS, CONTROL_ALIAS_SEND},
        {TAG_NESTED, RECORDED_FLAGS, CONTROL_ALIAS_SEND},
        /* They come out of the decoder as the same operation. */
        {TAG_ALIAS, DIST_FLAGS_OFFERED, CONTROL_ALIAS_SEND},
        {TAG_NESTED, DIST_FLAGS_OFFERED, CONTROL_ALIAS_SEND},
        {TAG_REFERENCE, DIST_FLAGS_OFFERED, CONTROL_SEND},
        {TAG_LIST, DIST_FLAGS_OFFERED, CONTROL_SEND},
        {TAG_ALIAS, DIST_FLAGS_OFFERED & ~DIST_FLAG_ALIAS, CONTROL_SEND},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture fixture;
        struct buf tag;
        struct buf pid;
        struct buf expected;
        struct call call = {.kind = CALL_GEN};
        struct call_result result = {.type = CALL_VALUE, .value = value};
        struct control control;

        fixture_open(&fixture);
        fixture.peer.flags = rows[i].flags;
        buf_init(&tag, 1000);
        buf_init(&pid, 1000);
        buf_init(&expected, 1000);
        put_tag(&tag, rows[i].form);
        put_peer_pid(&pid);
        call.tag = buf_bytes(&tag);
        call.from = buf_bytes(&pid);
        call_reply(&fixture.inbox, &fixture.peer, &call, &result, &fixture.out);
        control = decode_out(&fixture);
        assert_int_equal(control.op, rows[i].op);
        assert_int_equal(fixture.out.data[9],
                         wire_op(&rows[i].flags, &control));
        etf_put_tuple(&expected, 2);
        etf_put_raw(&expected, call.tag);
        etf_put_raw(&expected, value);
        assert_bytes(control.payload, expected.data, expected.size);
        if (control.op == CONTROL_SEND) {
            assert_bytes(control.to, pid.data, pid.size);
        } else {
            buf_clear(&expected);
            put_reference(&expected);
            assert_bytes(control.reference, expected.data, expected.size);
        }
        buf_close(&tag);
        buf_close(&pid);
        buf_close(&expected);
        fixture_close(&fixture);
    }
}

static void casts_are_not_answered(void **state)
{
    static const enum call_kind kinds[] = {CALL_GEN_CAST, CALL_SPAWN_CAST};
    struct fixture fixture;
    struct call_result result = {.type = CALL_VALUE, .value = value};

    (void)state;
    fixture_open(&fixture);
    for (size_t i = 0; i < 2; i++) {
        struct call call = {.kind = kinds[i], .pid_id = 2};

        call_reply(&fixture.inbox, &fixture.peer, &call, &result, &fixture.out);
        assert_int_equal(fixture.out.size, 0);
    }
    fixture_close(&fixture);
}

static void a_monitored_cast_ends_normally(void **state)
{
    struct fixture fixture;
    struct buf pid;
    struct buf reference;
    struct call call = {
        .kind = CALL_SPAWN_CAST, .pid_id = 2, .is_monitored = true};
    struct call_result result = {.type = CALL_UNDEF};
    struct control control;

    (void)state;
    fixture_open(&fixture);
    buf_init(&pid, 1000);
    buf_init(&reference, 1000);
    put_peer_pid(&pid);
    put_reference(&reference);
    call.from = buf_bytes(&pid);
    call.tag = buf_bytes(&reference);
    call_reply(&fixture.inbox, &fixture.peer, &call, &result, &fixture.out);
    control = decode_out(&fixture);
    assert_int_equal(control.op, CONTROL_MONITOR_P_EXIT);
    assert_bytes(control.reason, "w\6normal", 8);
    buf_close(&pid);
    buf_close(&reference);
    fixture_close(&fixture);
}

static void rex_gets_bad_results_as_badrpc(void **state)
{
    static const struct {
        enum call_result_type type;
        const char *payload;
        size_t size;
    } rows[] = {
        {CALL_VALUE, LITERAL("h\2w\3rexa\5")},
        {CALL_UNDEF, LITERAL("h\2w\3rexh\2w\6badrpch\2w\4EXITh\2w\5undef"
                             "l\0\0\0\1h\4w\1mw\1fjjj")},
        {CALL_ERROR, LITERAL("h\2w\3rexh\2w\6badrpch\2w\4EXITh\2a\5j")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture fixture;
        struct buf pid;
        struct call call = {.kind = CALL_REX,
                            .module = bytes_of_string("m"),
                            .function = bytes_of_string("f"),
                            .args = bytes_of_string("j")};
        struct call_result result = {.type = rows[i].type, .value = value};

        fixture_open(&fixture);
        buf_init(&pid, 1000);
        put_peer_pid(&pid);
        call.from = buf_bytes(&pid);
        call_reply(&fixture.inbox, &fixture.peer, &call, &result, &fixture.out);
        assert_bytes(decode_out(&fixture).payload, rows[i].payload,
                     rows[i].size);
        buf_close(&pid);
        fixture_close(&fixture);
    }
}

static void copies_outlive_the_frame(void **state)
{
    struct fixture fixture;
    struct call_result result = {.type = CALL_VALUE};
    struct buf echoed;
    struct call *copy;

    (void)state;
    fixture_open(&fixture);
    buf_init(&echoed, 1000);
    fixture.inbox.pid_next = 2;
    receive_hex(&fixture, VECTOR_ERPC_CALL);
    buf_put_bytes(&echoed, fixture.event.call.args);
    copy = call_copy(&fixture.inbox, &fixture.peer, &fixture.event.call);
    assert_non_null(copy);
    buf_close(&fixture.frame);
    assert_int_equal(copy->module.size, 0);
    assert_int_equal(copy->args.size, 0);
    assert_int_equal(copy->arity, 2);
    result.value = buf_bytes(&echoed);
    call_reply(&fixture.inbox, &fixture.peer, copy, &result, &fixture.out);
    assert_out(&fixture, VECTOR_ERPC_CALL_REPLY);
    call_free(&fixture.inbox, copy);
    buf_close(&echoed);
    fixture_close(&fixture);
}

static void a_copy_needs_memory(void **state)
{
    static const enum call_kind kinds[] = {CALL_GEN, CALL_SPAWN};
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    for (size_t i = 0; i < 2; i++) {
        /* A spawned call is entered in a table, too. */
        for (uint64_t count = 0; count <= i; count++) {
            struct call call = {.kind = kinds[i], .pid_id = 2};
            struct call *copy;

            mem_fail_after(count);
            copy = call_copy(&fixture.inbox, &fixture.peer, &call);
            mem_fail_after(UINT64_MAX);
            assert_null(copy);
        }
    }
    fixture_close(&fixture);
}

static void an_answer_that_does_not_fit_is_the_buffers_error(void **state)
{
    struct fixture fixture;
    struct call call = {.kind = CALL_GEN,
                        .from = bytes_of_string("j"),
                        .tag = bytes_of_string("j")};
    struct call_result result = {.type = CALL_VALUE, .value = value};

    (void)state;
    fixture_open(&fixture);
    for (size_t size = 0; size < 19; size++) {
        struct buf out;

        buf_init(&out, size);
        call_reply(&fixture.inbox, &fixture.peer, &call, &result, &out);
        assert_err(buf_error(&out), ERR_LIMIT);
        buf_close(&out);
    }
    fixture_close(&fixture);
}

/* --- Results with a part that is elsewhere -------------------------------- */

enum { INSERT_SIZE = 1000 };

struct insertion {
    struct call_insert insert;
    const struct buf *out; /* the one that may lack bytes */
    size_t absent_at;      /* where in it they belong */
    size_t absent_count;
    size_t copied_count;
};

static size_t put_insert(const struct call_insert *insert, struct buf *out)
{
    struct insertion *insertion = (struct insertion *)insert->arg;

    if (out != insertion->out) {
        insertion->copied_count++;
        buf_put_bytes(out, insert->bytes);
        return 0;
    }
    insertion->absent_at = out->size;
    insertion->absent_count++;
    return insert->bytes.size;
}

/* {ok, <<...>>, true}, of which the binary's bytes are the insert. */
static void make_insertion(const struct fixture *fixture,
                           struct insertion *insertion, struct buf *value_buf,
                           struct buf *whole)
{
    static uint8_t bytes[INSERT_SIZE];

    memset(bytes, 'x', sizeof(bytes));
    *insertion = (struct insertion){
        .insert = {.bytes = bytes_of(bytes, sizeof(bytes)), .put = put_insert},
        .out = &fixture->out};
    insertion->insert.arg = insertion;
    buf_init(value_buf, 1000);
    etf_put_tuple(value_buf, 3);
    etf_put_atom(value_buf, "ok");
    etf_put_binary_head(value_buf, sizeof(bytes));
    insertion->insert.at = value_buf->size;
    etf_put_bool(value_buf, true);
    buf_init(whole, 10000);
    etf_put_tuple(whole, 3);
    etf_put_atom(whole, "ok");
    etf_put_binary(whole, insertion->insert.bytes);
    etf_put_bool(whole, true);
}

/* Puts the bytes that lack where they belong. */
static void fill_in(struct fixture *fixture, const struct insertion *insertion)
{
    struct buf whole;
    size_t at = insertion->absent_at;

    buf_init(&whole, 100000);
    buf_put(&whole, fixture->out.data, at);
    buf_put_bytes(&whole, insertion->insert.bytes);
    buf_put(&whole, fixture->out.data + at, fixture->out.size - at);
    buf_close(&fixture->out);
    fixture->out = whole;
}

static void a_frame_counts_what_is_inserted_into_it(void **state)
{
    static const enum call_kind kinds[] = {CALL_GEN, CALL_BLOCK, CALL_REX,
                                           CALL_SPAWN};

    (void)state;
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct fixture fixture;
        struct insertion insertion;
        struct call call = {
            .kind = kinds[i], .pid_id = 2, .is_monitored = true};
        struct call_result result = {.type = CALL_VALUE};
        struct buf value_buf;
        struct buf whole;
        struct buf pid;
        struct buf reference;

        fixture_open(&fixture);
        make_insertion(&fixture, &insertion, &value_buf, &whole);
        buf_init(&pid, 1000);
        buf_init(&reference, 1000);
        put_peer_pid(&pid);
        put_reference(&reference);
        call.from = buf_bytes(&pid);
        call.tag = buf_bytes(&reference);
        call.result = buf_bytes(&reference);
        result.value = buf_bytes(&value_buf);
        result.insert = &insertion.insert;
        call_reply(&fixture.inbox, &fixture.peer, &call, &result, &fixture.out);
        assert_int_equal(insertion.absent_count, 1);
        fill_in(&fixture, &insertion);
        (void)decode_out(&fixture); /* it is whole, and valid */
        assert_true(
            out_contains(&fixture, (const char *)whole.data, whole.size));
        buf_close(&value_buf);
        buf_close(&whole);
        buf_close(&pid);
        buf_close(&reference);
        fixture_close(&fixture);
    }
}

static void others_who_watch_get_a_copy_of_the_insert(void **state)
{
    struct fixture fixture;
    struct insertion insertion;
    struct call call = {.kind = CALL_SPAWN, .pid_id = 2};
    struct call *copy;
    struct call_result result = {.type = CALL_VALUE};
    struct buf value_buf;
    struct buf whole;
    struct buf pid;

    (void)state;
    fixture_open(&fixture);
    make_insertion(&fixture, &insertion, &value_buf, &whole);
    buf_init(&pid, 1000);
    put_peer_pid(&pid);
    call.from = buf_bytes(&pid);
    call.result = bytes_of_string("j");
    copy = call_copy(&fixture.inbox, &fixture.peer, &call);
    assert_non_null(copy);
    begin_frame(&fixture.frame, CONTROL_MONITOR_P, 4);
    put_peer_pid(&fixture.frame);
    put_own_pid(&fixture.frame, copy->pid_id, copy->pid_serial, 7);
    put_reference(&fixture.frame);
    assert_ok(fixture_receive(&fixture));
    buf_clear(&fixture.out);
    result.value = buf_bytes(&value_buf);
    result.insert = &insertion.insert;
    call_reply(&fixture.inbox, &fixture.peer, copy, &result, &fixture.out);
    assert_int_equal(insertion.absent_count, 0);
    assert_int_equal(insertion.copied_count, 1);
    (void)decode_out(&fixture);
    assert_true(out_contains(&fixture, (const char *)whole.data, whole.size));
    call_free(&fixture.inbox, copy);
    buf_close(&value_buf);
    buf_close(&whole);
    buf_close(&pid);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_go_to_the_alias_if_there_is_one),
        cmocka_unit_test(casts_are_not_answered),
        cmocka_unit_test(a_monitored_cast_ends_normally),
        cmocka_unit_test(rex_gets_bad_results_as_badrpc),
        cmocka_unit_test(copies_outlive_the_frame),
        cmocka_unit_test(a_copy_needs_memory),
        cmocka_unit_test(a_frame_counts_what_is_inserted_into_it),
        cmocka_unit_test(others_who_watch_get_a_copy_of_the_insert),
        cmocka_unit_test(an_answer_that_does_not_fit_is_the_buffers_error),
    };

    return cmocka_run_group_tests_name("dist_call", tests, NULL, NULL);
}
