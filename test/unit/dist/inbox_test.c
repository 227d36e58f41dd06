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
    {VECTOR_BLOCK_CALL, VECTOR_BLOCK_CALL_REPLY, CALL_GEN, "echo", 1, 0},
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
        {VECTOR_SPAWN_OTHER, VECTOR_SPAWN_OTHER_REPLY},
        {VECTOR_REX_FEATURES, VECTOR_REX_FEATURES_REPLY},
        {VECTOR_LINK_SELF, ""},
        {VECTOR_LINK_DEAD, VECTOR_LINK_DEAD_REPLY},
        {VECTOR_UNLINK_ID, VECTOR_UNLINK_ID_REPLY},
        {VECTOR_EXIT2, ""},
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

/* --- Messages ------------------------------------------------------------- */

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

static bool out_contains(const struct fixture *fixture, const char *text,
                         size_t size)
{
    return memmem(fixture->out.data, fixture->out.size, text, size) != NULL;
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

static void dropping_the_monitor_of_a_call_cancels_it(void **state)
{
    static const uint32_t ids[] = {2, 1};
    struct fixture fixture;
    struct buf reference;

    (void)state;
    fixture_open(&fixture);
    buf_init(&reference, 1000);
    put_reference(&reference);
    for (size_t i = 0; i < 2; i++) {
        begin_frame(&fixture.frame, 20, 4);
        put_peer_pid(&fixture.frame);
        put_own_pid(&fixture.frame, ids[i], 0, 7);
        put_reference(&fixture.frame);
        assert_ok(fixture_receive(&fixture));
        if (ids[i] == 1) {
            assert_int_equal(fixture.event.type, INBOX_NONE);
        } else {
            assert_int_equal(fixture.event.type, INBOX_CANCEL);
            assert_bytes(fixture.event.reference, reference.data,
                         reference.size);
        }
    }
    assert_out(&fixture, "");
    buf_close(&reference);
    fixture_close(&fixture);
}

/* --- Monitors, and frames that cut the link ------------------------------- */

static void every_name_of_ours_can_be_monitored(void **state)
{
    static const char *const names[] = {INBOX_NAMES};
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        begin_frame(&fixture.frame, 19, 4);
        put_peer_pid(&fixture.frame);
        etf_put_atom(&fixture.frame, names[i]);
        put_reference(&fixture.frame);
        assert_ok(fixture_receive(&fixture));
        assert_int_equal(fixture.event.type, INBOX_NONE);
    }
    begin_frame(&fixture.frame, 19, 4);
    put_peer_pid(&fixture.frame);
    put_own_pid(&fixture.frame, 1, 0, 7);
    put_reference(&fixture.frame);
    assert_ok(fixture_receive(&fixture));
    assert_out(&fixture, "");
    fixture_close(&fixture);
}

static void our_monitors_fire(void **state)
{
    struct fixture fixture;

    (void)state;
    fixture_open(&fixture);
    receive_hex(&fixture, VECTOR_DOWN);
    assert_int_equal(fixture.event.type, INBOX_DOWN);
    assert_int_equal(fixture.event.reference.data[0], 90);
    assert_bytes(fixture.event.reason, "w\6noproc", 8);
    fixture_close(&fixture);
}

static void other_signals_are_without_effect(void **state)
{
    static const struct {
        uint64_t op;
        const char *fields; /* p peer's pid, o our pid, r reference, ... */
    } rows[] = {{3, "poa"}, {4, "po"},    {7, "po"},
                {8, "poa"}, {31, "rpip"}, {36, "ipo"}};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct fixture fixture;

        fixture_open(&fixture);
        begin_frame(&fixture.frame, rows[i].op,
                    1 + (uint32_t)strlen(rows[i].fields));
        for (const char *field = rows[i].fields; *field != '\0'; field++) {
            switch (*field) {
            case 'p':
                put_peer_pid(&fixture.frame);
                break;
            case 'o':
                put_own_pid(&fixture.frame, 1, 0, 7);
                break;
            case 'r':
                put_reference(&fixture.frame);
                break;
            case 'i':
                etf_put_u64(&fixture.frame, 1);
                break;
            default:
                etf_put_atom(&fixture.frame, "kill");
                break;
            }
        }
        assert_ok(fixture_receive(&fixture));
        assert_int_equal(fixture.event.type, INBOX_NONE);
        assert_out(&fixture, "");
        fixture_close(&fixture);
    }
}

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
        cmocka_unit_test(plain_messages_to_our_names_come_out),
        cmocka_unit_test(messages_to_nobody_are_dropped),
        cmocka_unit_test(other_gen_calls_are_answered_with_badarg),
        cmocka_unit_test(calls_that_cannot_be_answered_are_dropped),
        cmocka_unit_test(rex_takes_casts_and_drops_nonsense),
        cmocka_unit_test(spawns_with_bad_arguments_are_refused),
        cmocka_unit_test(spawned_calls_get_new_pids),
        cmocka_unit_test(dropping_the_monitor_of_a_call_cancels_it),
        cmocka_unit_test(every_name_of_ours_can_be_monitored),
        cmocka_unit_test(our_monitors_fire),
        cmocka_unit_test(other_signals_are_without_effect),
        cmocka_unit_test(bad_frames_have_a_cause_and_change_nothing),
    };

    return cmocka_run_group_tests_name("dist_inbox", tests, NULL, NULL);
}
