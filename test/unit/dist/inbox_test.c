/* SPDX-License-Identifier: Apache-2.0
 * What comes in: the frames of a real node with the answers that it
 * understood, and the frames that a real node does not send. */
#include "dist/control.h"
#include "peer.h"

/* A literal and its size. */
#define LITERAL(text) text, sizeof(text) - 1

static void ping_is_answered(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    receive_hex(&fixture, VECTOR_PING);
    assert_int_equal(fixture.event.type, INBOX_NONE);
    assert_out(&fixture, VECTOR_PING_REPLY);
    fixture_close(&fixture);
}

/* Recorded calls with the answer of a member whose function `echo` gives its
 * arguments, `fail` an exception, and that has no other function. */
static const struct {
    const char *frame;
    const char *reply;
    enum call_kind kind;
    const char *function;
    uint32_t arity;
    uint32_t pid_id; /* of spawns, as recorded */
} calls[] = {
    {VECTOR_GEN_CALL, VECTOR_GEN_CALL_REPLY, CALL_GEN, "echo", 2, 0},
    {VECTOR_GEN_CALL_STRING, VECTOR_GEN_CALL_STRING_REPLY, CALL_GEN, "echo", 2,
     0},
    {VECTOR_GEN_CALL_UNDEF, VECTOR_GEN_CALL_UNDEF_REPLY, CALL_GEN, "nope", 2,
     0},
    {VECTOR_MULTI_CALL, VECTOR_MULTI_CALL_REPLY, CALL_GEN, "echo", 1, 0},
    {VECTOR_GEN_CAST, "", CALL_GEN_CAST, "echo", 1, 0},
    {VECTOR_ERPC_CALL, VECTOR_ERPC_CALL_REPLY, CALL_SPAWN, "echo", 2, 2},
    {VECTOR_ERPC_CALL_STRING, VECTOR_ERPC_CALL_STRING_REPLY, CALL_SPAWN, "echo",
     1, 3},
    {VECTOR_ERPC_CALL_UNDEF, VECTOR_ERPC_CALL_UNDEF_REPLY, CALL_SPAWN, "nope",
     2, 5},
    {VECTOR_ERPC_CALL_ERROR, VECTOR_ERPC_CALL_ERROR_REPLY, CALL_SPAWN, "fail",
     2, 6},
    {VECTOR_ERPC_CAST, VECTOR_ERPC_CAST_REPLY, CALL_SPAWN_CAST, "echo", 1, 8},
    {VECTOR_SPAWN_LINKED, VECTOR_SPAWN_LINKED_REPLY, CALL_SPAWN, "echo", 1, 16},
    {VECTOR_SPAWN_OTHER, VECTOR_SPAWN_OTHER_REPLY, CALL_SPAWN_PLAIN, "echo", 1,
     17},
    {VECTOR_BLOCK_CALL, VECTOR_BLOCK_CALL_REPLY, CALL_BLOCK, "echo", 1, 0},
    {VECTOR_REX_CALL, VECTOR_REX_CALL_REPLY, CALL_REX, "echo", 1, 0},
    {VECTOR_SEND_PID, VECTOR_SEND_PID_REPLY, CALL_GEN, "echo", 1, 0},
    {VECTOR_TRACED, VECTOR_TRACED_REPLY, CALL_GEN, "echo", 1, 0},
};

static void recorded_calls_are_understood_and_answered(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(calls) / sizeof(calls[0]); i++) {
        struct fixture fixture;
        struct call_result result = {.type = CALL_VALUE};
        const struct call *call = &fixture.event.call;

        fixture_open(&fixture);
        if (calls[i].pid_id != 0) {
            fixture.inbox.pid_next = calls[i].pid_id;
        }
        receive_hex(&fixture, calls[i].frame);
        assert_int_equal(fixture.event.type, INBOX_CALL);
        assert_int_equal(call->kind, calls[i].kind);
        assert_bytes(call->module, "m", 1);
        assert_bytes(call->function, calls[i].function,
                     strlen(calls[i].function));
        assert_int_equal(call->arity, calls[i].arity);
        result.value = call->args;
        if (bytes_is(call->function, "nope")) {
            result.type = CALL_UNDEF;
        } else if (bytes_is(call->function, "fail")) {
            result = (struct call_result){.type = CALL_ERROR,
                                          .value = bytes_of("w\4oops", 6)};
        }
        call_reply(&fixture.inbox, &fixture.peer, call, &result, &fixture.out);
        assert_out(&fixture, calls[i].reply);
        fixture_close(&fixture);
    }
}

static void recorded_requests_are_answered_at_once(void **state)
{
    static const struct {
        const char *frame;
        const char *reply;
    } rows[] = {
        {VECTOR_MONITOR_NAME, ""},
        {VECTOR_DEMONITOR_NAME, ""},
        {VECTOR_MONITOR_NOPE, VECTOR_MONITOR_NOPE_REPLY},
        {VECTOR_MONITOR_DEAD, VECTOR_MONITOR_DEAD_REPLY},
        {VECTOR_GEN_CALL_BAD, VECTOR_GEN_CALL_BAD_REPLY},
        {VECTOR_REX_FEATURES, VECTOR_REX_FEATURES_REPLY},
        {VECTOR_LINK_SELF, ""},
        {VECTOR_LINK_DEAD, VECTOR_LINK_DEAD_REPLY},
        {VECTOR_UNLINK_ID, VECTOR_UNLINK_ID_REPLY},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture fixture;

        fixture_open(&fixture);
        receive_hex(&fixture, rows[i].frame);
        assert_int_equal(fixture.event.type, INBOX_NONE);
        assert_out(&fixture, rows[i].reply);
        fixture_close(&fixture);
    }
}

/* --- Spawns --------------------------------------------------------------- */

/* A spawn request for erpc:execute_call/4 with these arguments. */
static void give_spawn(struct fixture *fixture, const char *args, size_t size)
{
    begin_frame(&fixture->frame, 29, 6);
    put_reference(&fixture->frame);
    put_peer_pid(&fixture->frame);
    put_peer_pid(&fixture->frame);
    etf_put_tuple(&fixture->frame, 3);
    etf_put_atom(&fixture->frame, "erpc");
    etf_put_atom(&fixture->frame, "execute_call");
    etf_put_u64(&fixture->frame, 4);
    etf_put_nil(&fixture->frame);
    buf_put_u8(&fixture->frame, 131);
    etf_put_raw(&fixture->frame, bytes_of(args, size));
    assert_ok(fixture_receive(fixture));
}

static void spawns_with_bad_arguments_are_refused(void **state)
{
    static const struct {
        const char *args;
        size_t size;
    } rows[] = {
        {LITERAL("j")},
        {LITERAL("w\1a")},
        {LITERAL("k\0\4abcd")},
        {LITERAL("l\0\0\0\3w\1rw\1mw\1fj")},               /* too few */
        {LITERAL("l\0\0\0\5w\1rw\1mw\1fjjj")},             /* too many */
        {LITERAL("l\0\0\0\4w\1rw\1mw\1fw\1aj")},           /* no list */
        {LITERAL("l\0\0\0\4w\1rw\1ma\1jj")},               /* no atom */
        {LITERAL("l\0\0\0\4w\1rw\1mw\1fl\0\0\0\1jw\1aj")}, /* improper */
        {LITERAL("l\0\0\0\3w\1rw\1mw\1fk\0\1a")}, /* a string as the tail */
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture fixture;

        fixture_open(&fixture);
        give_spawn(&fixture, rows[i].args, rows[i].size);
        assert_int_equal(fixture.event.type, INBOX_NONE);
        assert_true(out_contains(&fixture, "a\0w\6badarg", 10));
        assert_int_equal(fixture.inbox.pid_next, 2);
        fixture_close(&fixture);
    }
}

static void spawned_calls_get_new_pids(void **state)
{
    static const char args[] = "l\0\0\0\4w\1rw\1mw\1fjj";
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    for (uint32_t i = 0; i < 3; i++) {
        give_spawn(&fixture, args, sizeof(args) - 1);
        assert_int_equal(fixture.event.type, INBOX_CALL);
        assert_int_equal(fixture.event.call.pid_id, 2 + i);
        assert_int_equal(fixture.event.call.pid_serial, 0);
        assert_false(fixture.event.call.is_monitored);
    }
    /* The numbers start again with the next serial. */
    fixture.inbox.pid_next = 0xfffffff;
    give_spawn(&fixture, args, sizeof(args) - 1);
    assert_int_equal(fixture.event.call.pid_id, 0xfffffff);
    give_spawn(&fixture, args, sizeof(args) - 1);
    assert_int_equal(fixture.event.call.pid_id, 2);
    assert_int_equal(fixture.event.call.pid_serial, 1);
    fixture_close(&fixture);
}

/* --- Frames that cut the link --------------------------------------------- */

static void bad_frames_have_a_cause_and_change_nothing(void **state)
{
    struct fixture fixture;
    size_t size;

    (void)state;
    fixture_open(&fixture);
    put_hex(&fixture.frame, VECTOR_ERPC_CALL);
    size = fixture.frame.size;
    for (size_t i = 0; i < size; i++) {
        int rv;

        fixture.frame.size = i;
        fixture.cause = NULL;
        fixture.event.type = INBOX_DOWN;
        rv = fixture_receive(&fixture);
        assert_true(rv == ERR_MALFORMED || rv == ERR_UNSUPPORTED);
        assert_non_null(fixture.cause);
        assert_int_equal(fixture.event.type, INBOX_DOWN);
    }
    assert_out(&fixture, "");
    assert_int_equal(fixture.inbox.pid_next, 2);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ping_is_answered),
        cmocka_unit_test(recorded_calls_are_understood_and_answered),
        cmocka_unit_test(recorded_requests_are_answered_at_once),
        cmocka_unit_test(spawns_with_bad_arguments_are_refused),
        cmocka_unit_test(spawned_calls_get_new_pids),
        cmocka_unit_test(bad_frames_have_a_cause_and_change_nothing),
    };

    return cmocka_run_group_tests_name("dist_inbox", tests, NULL, NULL);
}
