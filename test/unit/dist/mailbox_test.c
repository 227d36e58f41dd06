/* SPDX-License-Identifier: Apache-2.0
 * Messages to our names and to the process behind them. */
#include "peer.h"

/* A literal and its size. */
#define LITERAL(text) text, sizeof(text) - 1

static void plain_messages_to_our_names_come_out(void **state)
{
    static const char *const names[] = {"quorate", "quorate_member"};
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    receive_hex(&fixture, VECTOR_PLAIN);
    assert_int_equal(fixture.event.type, INBOX_MESSAGE);
    assert_bytes(fixture.event.name, "quorate", 7);
    assert_bytes(fixture.event.message, "h\2w\5helloa\1", 11);
    assert_int_equal(fixture.event.from.data[0], 88);
    for (size_t i = 0; i < 2; i++) {
        begin_reg_send(&fixture.frame, names[i]);
        etf_put_u64(&fixture.frame, 5);
        assert_ok(fixture_receive(&fixture));
        assert_int_equal(fixture.event.type, INBOX_MESSAGE);
        assert_bytes(fixture.event.name, names[i], strlen(names[i]));
        assert_bytes(fixture.event.message, "a\5", 2);
    }
    assert_out(&fixture, "");
    fixture_close(&fixture);
}

static void messages_to_nobody_are_dropped(void **state)
{
    static const struct {
        uint32_t id;
        uint32_t serial;
        uint32_t creation;
        bool is_ours;
    } pids[] = {
        {1, 0, 7, true}, {2, 0, 7, false}, {1, 1, 7, false}, {1, 0, 8, false}};
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    begin_reg_send(&fixture.frame, "nobody");
    etf_put_u64(&fixture.frame, 5);
    assert_ok(fixture_receive(&fixture));
    assert_int_equal(fixture.event.type, INBOX_NONE);
    for (size_t i = 0; i < sizeof(pids) / sizeof(pids[0]); i++) {
        begin_frame(&fixture.frame, 2, 3);
        etf_put_atom(&fixture.frame, "");
        put_own_pid(&fixture.frame, pids[i].id, pids[i].serial,
                    pids[i].creation);
        buf_put_u8(&fixture.frame, 131);
        etf_put_u64(&fixture.frame, 5);
        assert_ok(fixture_receive(&fixture));
        assert_int_equal(fixture.event.type,
                         pids[i].is_ours ? INBOX_MESSAGE : INBOX_NONE);
        assert_int_equal(fixture.event.from.size, 0);
    }
    assert_out(&fixture, "");
    fixture_close(&fixture);
}

/* {'$gen_call', {Pid, Tag}, Request} to `name`, the request as a literal. */
static void give_gen_call(struct fixture *fixture, const char *name,
                          const char *request, size_t size)
{
    begin_reg_send(&fixture->frame, name);
    etf_put_tuple(&fixture->frame, 3);
    etf_put_atom(&fixture->frame, "$gen_call");
    etf_put_tuple(&fixture->frame, 2);
    put_peer_pid(&fixture->frame);
    etf_put_atom(&fixture->frame, "tag");
    etf_put_raw(&fixture->frame, bytes_of(request, size));
    assert_ok(fixture_receive(fixture));
}

static void other_gen_calls_are_answered_with_badarg(void **state)
{
    static const struct {
        const char *name;
        const char *request;
        size_t size;
    } rows[] = {
        {"quorate", LITERAL("j")},
        {"quorate", LITERAL("h\3w\1mw\1fw\1a")},            /* no list */
        {"quorate", LITERAL("h\3w\1mw\1fl\0\0\0\1a\1a\2")}, /* improper */
        {"quorate", LITERAL("h\3w\1ma\1j")},
        {"quorate", LITERAL("h\2w\1mw\1f")},
        {"quorate_member", LITERAL("h\3w\1mw\1fj")},
        {"rex", LITERAL("h\3w\1mw\1fj")},
        {"net_kernel", LITERAL("w\3foo")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        static const char error[] = "w\5errorh\2w\6badargw\7request";
        struct fixture fixture;

        fixture_open(&fixture);
        give_gen_call(&fixture, rows[i].name, rows[i].request, rows[i].size);
        assert_int_equal(fixture.event.type, INBOX_NONE);
        assert_true(out_contains(&fixture, error, sizeof(error) - 1));
        fixture_close(&fixture);
    }
}

static void calls_that_cannot_be_answered_are_dropped(void **state)
{
    static const char *const names[] = {INBOX_NAMES};
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        begin_reg_send(&fixture.frame, names[i]);
        etf_put_tuple(&fixture.frame, 3);
        etf_put_atom(&fixture.frame, "$gen_call");
        etf_put_atom(&fixture.frame, "from");
        etf_put_atom(&fixture.frame, "request");
        assert_ok(fixture_receive(&fixture));
        assert_int_equal(fixture.event.type, INBOX_NONE);
        /* And casts that are no calls. */
        begin_reg_send(&fixture.frame, names[i]);
        etf_put_tuple(&fixture.frame, 2);
        etf_put_atom(&fixture.frame, "$gen_cast");
        etf_put_atom(&fixture.frame, "request");
        assert_ok(fixture_receive(&fixture));
        assert_int_equal(fixture.event.type, INBOX_NONE);
    }
    assert_out(&fixture, "");
    fixture_close(&fixture);
}

static void rex_takes_casts_and_drops_nonsense(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    begin_reg_send(&fixture.frame, "rex");
    etf_put_tuple(&fixture.frame, 2);
    etf_put_atom(&fixture.frame, "$gen_cast");
    etf_put_tuple(&fixture.frame, 5);
    etf_put_atom(&fixture.frame, "cast");
    etf_put_atom(&fixture.frame, "m");
    etf_put_atom(&fixture.frame, "f");
    etf_put_nil(&fixture.frame);
    put_peer_pid(&fixture.frame);
    assert_ok(fixture_receive(&fixture));
    assert_int_equal(fixture.event.type, INBOX_CALL);
    assert_int_equal(fixture.event.call.kind, CALL_GEN_CAST);
    assert_int_equal(fixture.event.call.arity, 0);

    begin_reg_send(&fixture.frame, "rex");
    etf_put_tuple(&fixture.frame, 2);
    put_peer_pid(&fixture.frame);
    etf_put_atom(&fixture.frame, "something");
    assert_ok(fixture_receive(&fixture));
    assert_int_equal(fixture.event.type, INBOX_NONE);
    assert_out(&fixture, "");
    fixture_close(&fixture);
}

/* {io_request, From, ReplyAs, Request} to our pid. */
static void output_of_our_calls_is_taken_and_dropped(void **state)
{
    static const struct {
        const char *request;
        size_t size;
        const char *answer;
        size_t answer_size;
    } rows[] = {
        {LITERAL("h\3w\11put_charsw\7unicodem\0\0\0\1x"), LITERAL("w\2ok")},
        {LITERAL("h\2w\7get_optj"), LITERAL("h\2w\5errorw\7enotsup")},
        {LITERAL("w\7getopts"), LITERAL("h\2w\5errorw\7enotsup")},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture fixture;
        struct buf expected;

        fixture_open(&fixture);
        begin_frame(&fixture.frame, 2, 3);
        etf_put_atom(&fixture.frame, "");
        put_own_pid(&fixture.frame, 1, 0, 7);
        buf_put_u8(&fixture.frame, 131);
        etf_put_tuple(&fixture.frame, 4);
        etf_put_atom(&fixture.frame, "io_request");
        put_peer_pid(&fixture.frame);
        put_reference(&fixture.frame);
        etf_put_raw(&fixture.frame, bytes_of(rows[i].request, rows[i].size));
        assert_ok(fixture_receive(&fixture));
        assert_int_equal(fixture.event.type, INBOX_NONE);
        buf_init(&expected, 1000);
        etf_put_tuple(&expected, 3);
        etf_put_atom(&expected, "io_reply");
        put_reference(&expected);
        etf_put_raw(&expected, bytes_of(rows[i].answer, rows[i].answer_size));
        assert_true(
            out_contains(&fixture, (const char *)expected.data, expected.size));
        buf_close(&expected);
        fixture_close(&fixture);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_messages_to_our_names_come_out),
        cmocka_unit_test(messages_to_nobody_are_dropped),
        cmocka_unit_test(other_gen_calls_are_answered_with_badarg),
        cmocka_unit_test(calls_that_cannot_be_answered_are_dropped),
        cmocka_unit_test(rex_takes_casts_and_drops_nonsense),
        cmocka_unit_test(output_of_our_calls_is_taken_and_dropped),
    };

    return cmocka_run_group_tests_name("dist_mailbox", tests, NULL, NULL);
}
