/* SPDX-License-Identifier: Apache-2.0
 * Links, monitors and exit signals in both directions, with the process behind
 * our names and with spawned calls; a second peer that watches the calls of
 * the first; and what is left when a link of the network breaks. */
#include "base/mem.h"
#include "dist/control.h"
#include "dist/frame.h"
#include "dist/signal.h"
#include "peer.h"

enum { SPAWNED = 2, OWN_ID = 5 };

struct world {
    struct fixture first;    /* whose inbox it is */
    struct inbox_peer other; /* a second peer */
    struct buf other_out;
    size_t taken; /* bytes of first.out that were looked at */
    size_t other_taken;
    struct call *call; /* a spawned one of the first peer, under way */
    int owner;         /* what INBOX_CANCEL gives */
};

static struct buf *other_out(void *arg)
{
    return (struct buf *)arg;
}

/* --- Frames in and out ---------------------------------------------------- */

static void put_pid(struct buf *buf, const char *node, uint32_t id)
{
    struct etf_pid pid = {
        .node = bytes_of_string(node), .id = id, .creation = 5};

    etf_put_pid(buf, &pid);
}

static void put_field(struct buf *buf, char field)
{
    static const uint32_t words[] = {4, 5, 6};

    switch (field) {
    case 'p':
        put_peer_pid(buf);
        break;
    case 'q': /* another process of the first peer */
        put_pid(buf, "tester@127.0.0.1", 10);
        break;
    case 'z': /* of the second */
        put_pid(buf, "other@127.0.0.1", 11);
        break;
    case 'o':
        put_own_pid(buf, 1, 0, 7);
        break;
    case 's':
        put_own_pid(buf, SPAWNED, 0, 7);
        break;
    case 'd': /* dead */
        put_own_pid(buf, 99, 0, 7);
        break;
    case 'r':
        put_reference(buf);
        break;
    case 'R':
        etf_put_reference(buf, bytes_of_string("other@127.0.0.1"), 5, words, 3);
        break;
    case 'i':
        etf_put_u64(buf, OWN_ID);
        break;
    case '1':
        etf_put_u64(buf, 1);
        break;
    case 'x':
        etf_put_atom(buf, "boom");
        break;
    case 'n':
        etf_put_atom(buf, "normal");
        break;
    case 'k':
        etf_put_atom(buf, "kill");
        break;
    case 'N':
        etf_put_atom(buf, "quorate");
        break;
    case 'U':
        etf_put_atom(buf, "nobody");
        break;
    default:
        fail();
    }
}

static void give_from(struct world *world, struct inbox_peer *peer,
                      struct buf *out, uint64_t op, const char *fields)
{
    struct fixture *fixture = &world->first;

    begin_frame(&fixture->frame, op, 1 + (uint32_t)strlen(fields));
    for (const char *field = fields; *field != '\0'; field++) {
        put_field(&fixture->frame, *field);
    }
    assert_ok(inbox_receive(&fixture->inbox, peer, buf_bytes(&fixture->frame),
                            out, &fixture->event, &fixture->cause));
}

static void give(struct world *world, uint64_t op, const char *fields)
{
    give_from(world, &world->first.peer, &world->first.out, op, fields);
}

static void give_other(struct world *world, uint64_t op, const char *fields)
{
    give_from(world, &world->other, &world->other_out, op, fields);
}

/* The next frame that went out is this one; `fields` as above, in the order
 * from, to, reference, reason. */
static void take_from(const struct buf *out, size_t *taken, enum control_op op,
                      const char *fields)
{
    struct control control;
    struct bytes frame;
    struct buf expected;
    struct buf actual;
    const char *cause;
    size_t used;

    assert_ok(frame_next(bytes_of(out->data + *taken, out->size - *taken),
                         FRAME_SIZE_MAX, &frame, &used));
    *taken += used;
    assert_ok(control_decode(frame, DIST_FLAGS_OFFERED, &control, &cause));
    assert_int_equal(control.op, op);
    buf_init(&expected, 10000);
    buf_init(&actual, 10000);
    for (const char *field = fields; *field != '\0'; field++) {
        put_field(&expected, *field);
    }
    buf_put_bytes(&actual, control.id);
    buf_put_bytes(&actual, control.from);
    buf_put_bytes(&actual, control.to);
    buf_put_bytes(&actual, control.reference);
    buf_put_bytes(&actual, control.reason);
    assert_bytes(buf_bytes(&actual), expected.data, expected.size);
    buf_close(&expected);
    buf_close(&actual);
}

static void take(struct world *world, enum control_op op, const char *fields)
{
    take_from(&world->first.out, &world->taken, op, fields);
}

static void take_other(struct world *world, enum control_op op,
                       const char *fields)
{
    take_from(&world->other_out, &world->other_taken, op, fields);
}

/* Of a frame only the operation and the reason. */
static void take_reason(const struct buf *out, size_t *taken,
                        enum control_op op, const char *name)
{
    struct control control;
    struct bytes frame;
    struct bytes reason;
    struct etf_reader reader;
    const char *cause;
    size_t used;

    assert_ok(frame_next(bytes_of(out->data + *taken, out->size - *taken),
                         FRAME_SIZE_MAX, &frame, &used));
    *taken += used;
    assert_ok(control_decode(frame, DIST_FLAGS_OFFERED, &control, &cause));
    assert_int_equal(control.op, op);
    reader = etf_reader_of(control.reason);
    assert_ok(etf_read_atom(&reader, &reason));
    assert_bytes(reason, name, strlen(name));
}

static void assert_silence(struct world *world)
{
    assert_int_equal(world->taken, world->first.out.size);
    assert_int_equal(world->other_taken, world->other_out.size);
}

static void assert_event(struct world *world, enum inbox_event_type type)
{
    assert_int_equal(world->first.event.type, type);
}

static void assert_reason(struct world *world, const char *name)
{
    struct etf_reader reader = etf_reader_of(world->first.event.reason);

    assert_true(etf_take_atom(&reader, name));
}

/* --- The world ------------------------------------------------------------ */

static void world_open(struct world *world)
{
    *world = (struct world){0};
    fixture_open(&world->first);
    world->first.peer.flags = DIST_FLAGS_OFFERED;
    buf_init(&world->other_out, 100000);
    world->other = (struct inbox_peer){
        .name = bytes_of_string("other@127.0.0.1"),
        /* An older node, so that both forms of each signal are seen. */
        .flags = RECORDED_FLAGS,
        .out = other_out,
        .arg = &world->other_out};
}

static void world_close(struct world *world)
{
    struct inbox_event event;

    while (inbox_next_lost(&world->first.inbox, &world->other, &event)) {
    }
    while (inbox_next_lost(&world->first.inbox, &world->first.peer, &event)) {
    }
    call_free(&world->first.inbox, world->call);
    buf_close(&world->other_out);
    fixture_close(&world->first);
}

/* The first peer spawns a call, which is not answered yet. */
static void spawn(struct world *world, bool is_linked, bool is_monitored)
{
    struct fixture *fixture = &world->first;
    struct buf *frame = &fixture->frame;

    begin_frame(frame, 29, 6);
    put_reference(frame);
    put_peer_pid(frame);
    put_peer_pid(frame);
    etf_put_tuple(frame, 3);
    etf_put_atom(frame, "m");
    etf_put_atom(frame, "f");
    etf_put_u64(frame, 0);
    if (is_linked) {
        etf_put_list(frame, 1);
        etf_put_atom(frame, "link");
    }
    if (is_monitored) {
        etf_put_list(frame, 1);
        etf_put_atom(frame, "monitor");
    }
    etf_put_nil(frame);
    buf_put_u8(frame, 131);
    etf_put_nil(frame);
    assert_ok(fixture_receive(fixture));
    assert_int_equal(fixture->event.type, INBOX_CALL);
    assert_int_equal(fixture->event.call.kind, CALL_SPAWN_PLAIN);
    assert_int_equal(fixture->event.call.pid_id, SPAWNED);
    world->call =
        call_copy(&fixture->inbox, &fixture->peer, &fixture->event.call);
    assert_non_null(world->call);
    world->call->owner = &world->owner;
    world->taken = fixture->out.size;
}

static void answer(struct world *world)
{
    struct call_result result = {.type = CALL_VALUE,
                                 .value = bytes_of("a\1", 2)};

    call_reply(&world->first.inbox, &world->first.peer, world->call, &result,
               &world->first.out);
}

static void assert_cancelled(struct world *world)
{
    assert_event(world, INBOX_CANCEL);
    assert_ptr_equal(world->first.event.owner, &world->owner);
    /* It is over: a late answer is not sent. */
    answer(world);
}

/* --- The process behind our names ----------------------------------------- */

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
    assert_out(&fixture, "");
    fixture_close(&fixture);
}

static void what_is_not_there_is_noproc(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    give(&world, 19, "pUr");
    take_reason(&world.first.out, &world.taken, CONTROL_MONITOR_P_EXIT,
                "noproc");
    give(&world, 19, "pdr");
    take_reason(&world.first.out, &world.taken, CONTROL_MONITOR_P_EXIT,
                "noproc");
    give(&world, 1, "pd");
    take_reason(&world.first.out, &world.taken, CONTROL_EXIT, "noproc");
    give(&world, 19, "por");
    give(&world, 20, "por");
    give(&world, 1, "po");
    give(&world, 1, "po");
    assert_silence(&world);
    world_close(&world);
}

static void links_with_us_tell_how_they_end(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    give(&world, 3, "pox"); /* not linked */
    assert_event(&world, INBOX_NONE);
    give(&world, 1, "po");
    give_other(&world, 3, "pox"); /* by somebody else */
    assert_event(&world, INBOX_NONE);
    give(&world, 3, "pon");
    assert_event(&world, INBOX_EXIT);
    assert_reason(&world, "normal");
    give(&world, 3, "pox"); /* it is over */
    assert_event(&world, INBOX_NONE);
    give(&world, 1, "po");
    give(&world, 35, "ipo");
    take(&world, CONTROL_UNLINK_ID_ACK, "iop");
    give(&world, 3, "pox");
    assert_event(&world, INBOX_NONE);
    give(&world, 8, "pox"); /* exit/2 needs no link */
    assert_event(&world, INBOX_EXIT);
    assert_reason(&world, "boom");
    give(&world, 8, "pok");
    assert_event(&world, INBOX_NONE);
    give(&world, 4, "po");
    give(&world, 7, "po");
    give(&world, 36, "ipo");
    assert_event(&world, INBOX_NONE);
    assert_silence(&world);
    world_close(&world);
}

static void our_links_can_be_undone(void **state)
{
    struct world world;
    struct inbox *inbox = &world.first.inbox;
    struct inbox_peer *peer = &world.first.peer;
    struct buf *out = &world.first.out;
    struct buf pid;

    (void)state;
    world_open(&world);
    buf_init(&pid, 1000);
    put_field(&pid, 'q');
    assert_ok(outbox_link(inbox, peer, buf_bytes(&pid), out));
    assert_ok(outbox_link(inbox, peer, buf_bytes(&pid), out));
    take(&world, CONTROL_LINK, "oq");
    assert_silence(&world);
    outbox_unlink(inbox, peer, buf_bytes(&pid), out);
    outbox_unlink(inbox, peer, buf_bytes(&pid), out);
    take(&world, CONTROL_UNLINK_ID, "1oq");
    assert_silence(&world);
    /* What crosses our request is ignored, also a link of theirs. */
    give(&world, 1, "qo");
    give(&world, 3, "qox");
    assert_event(&world, INBOX_NONE);
    give(&world, 36, "iqo"); /* of another request */
    give(&world, 3, "qox");
    assert_event(&world, INBOX_NONE);
    give(&world, 36, "1qo");
    assert_event(&world, INBOX_NONE);
    /* From now on it is as if it had never been. */
    give(&world, 1, "qo");
    give(&world, 3, "qox");
    assert_event(&world, INBOX_EXIT);
    assert_ok(outbox_link(inbox, peer, buf_bytes(&pid), out));
    outbox_unlink(inbox, peer, buf_bytes(&pid), out);
    assert_ok(outbox_link(inbox, peer, buf_bytes(&pid), out));
    give(&world, 3, "qox");
    assert_event(&world, INBOX_EXIT);
    assert_reason(&world, "boom");
    buf_close(&pid);
    world_close(&world);
}

/* Our monitors of pids and of names. */
static void our_monitors_fire_once(void **state)
{
    static const char targets[] = "qN";
    struct world world;

    (void)state;
    world_open(&world);
    for (size_t i = 0; i < 2; i++) {
        struct fixture *fixture = &world.first;
        struct buf target;
        struct buf reference;
        int is_first = 1;

        buf_init(&target, 1000);
        buf_init(&reference, INBOX_REFERENCE_SIZE_MAX);
        put_field(&target, targets[i]);
        assert_ok(outbox_monitor(&fixture->inbox, &fixture->peer,
                                 buf_bytes(&target), &fixture->out,
                                 &reference));
        for (; is_first >= 0; is_first--) {
            begin_frame(&fixture->frame, 21, 5);
            etf_put_raw(&fixture->frame, buf_bytes(&target));
            put_field(&fixture->frame, 'o');
            etf_put_raw(&fixture->frame, buf_bytes(&reference));
            put_field(&fixture->frame, 'x');
            assert_ok(fixture_receive(fixture));
            assert_event(&world, is_first ? INBOX_DOWN : INBOX_NONE);
            if (is_first) {
                assert_bytes(fixture->event.from, target.data, target.size);
                assert_bytes(fixture->event.reference, reference.data,
                             reference.size);
                assert_reason(&world, "boom");
            }
        }
        outbox_demonitor(&fixture->inbox, &fixture->peer, buf_bytes(&reference),
                         &fixture->out);
        buf_close(&target);
        buf_close(&reference);
    }
    world_close(&world);
}

/* --- Spawned calls -------------------------------------------------------- */

static void those_who_watch_a_call_learn_how_it_ends(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    spawn(&world, false, true);
    give(&world, 1, "qs");
    give(&world, 1, "qs");
    give_other(&world, 19, "zsR");
    give_other(&world, 19, "zsR");
    give_other(&world, 1, "zs");
    assert_silence(&world);
    answer(&world);
    take(&world, CONTROL_MONITOR_P_EXIT, "sprn");
    take(&world, CONTROL_EXIT, "sqn");
    take_other(&world, CONTROL_MONITOR_P_EXIT, "szRn");
    take_other(&world, CONTROL_EXIT, "szn");
    assert_silence(&world);
    /* By now it is nobody. */
    give_other(&world, 1, "zs");
    take_reason(&world.other_out, &world.other_taken, CONTROL_EXIT, "noproc");
    world_close(&world);
}

static void those_who_have_turned_away_do_not(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    spawn(&world, true, false);
    give(&world, 1, "ps"); /* they are linked already */
    give(&world, 35, "ips");
    take(&world, CONTROL_UNLINK_ID_ACK, "isp");
    give_other(&world, 1, "zs");
    give_other(&world, 35, "izs");
    take_other(&world, CONTROL_UNLINK_ID_ACK, "isz");
    give_other(&world, 19, "zsR");
    give_other(&world, 20, "zsR");
    assert_event(&world, INBOX_NONE);
    answer(&world);
    assert_silence(&world);
    world_close(&world);
}

/* The caller of erpc:call with a timeout drops its monitor; the call goes on,
 * as it does in a virtual machine. */
static void a_caller_may_give_up(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    spawn(&world, false, true);
    give(&world, 20, "psr");
    assert_event(&world, INBOX_NONE);
    give(&world, 19, "qsR");
    answer(&world);
    take(&world, CONTROL_MONITOR_P_EXIT, "sqRn");
    assert_silence(&world);
    world_close(&world);
}

static void exit_signals_end_a_call(void **state)
{
    static const struct {
        const char *give; /* operation 3 (link) or 8 (exit/2), fields */
        uint64_t op;
        bool is_linked;   /* the caller */
        const char *told; /* the caller's monitor or link; NULL: it goes on */
    } rows[] = {
        {"psx", 3, true, NULL /* the caller is dead itself */},
        {"psn", 3, true, ""},
        {"psx", 3, false, ""}, /* no link, no signal */
        {"qsx", 3, true, ""},
        {"psx", 8, true, "spx"},
        {"zsx", 8, true, "spx"},
        {"psn", 8, true, ""},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct world world;

        world_open(&world);
        spawn(&world, rows[i].is_linked, false);
        if (rows[i].give[0] == 'z') {
            give_other(&world, rows[i].op, rows[i].give);
        } else {
            give(&world, rows[i].op, rows[i].give);
        }
        if (rows[i].told == NULL) {
            assert_cancelled(&world);
        } else if (rows[i].told[0] != '\0') {
            if (rows[i].give[0] != 'z') {
                take(&world, CONTROL_EXIT, rows[i].told);
            }
            assert_cancelled(&world);
        } else {
            assert_event(&world, INBOX_NONE);
            world.taken = world.first.out.size;
        }
        assert_silence(&world);
        world_close(&world);
    }
}

static void kill_becomes_killed(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    spawn(&world, false, true);
    give_other(&world, 19, "zsR");
    give_other(&world, 1, "zs");
    give(&world, 8, "qsk");
    take_reason(&world.first.out, &world.taken, CONTROL_MONITOR_P_EXIT,
                "killed");
    take_reason(&world.other_out, &world.other_taken, CONTROL_MONITOR_P_EXIT,
                "killed");
    take_reason(&world.other_out, &world.other_taken, CONTROL_EXIT, "killed");
    assert_cancelled(&world);
    assert_silence(&world);
    world_close(&world);
}

static void a_linked_process_takes_the_call_with_it(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    spawn(&world, false, true);
    give(&world, 1, "qs");
    give(&world, 3, "qsk"); /* through a link it is a reason like others */
    take(&world, CONTROL_MONITOR_P_EXIT, "sprk");
    assert_cancelled(&world);
    assert_silence(&world);
    world_close(&world);
}

/* --- Calls of ours -------------------------------------------------------- */

static void results_of_our_calls_are_told_apart(void **state)
{
    static const struct {
        const char *head; /* after the reference, or instead of it */
        size_t size;
        uint32_t arity; /* with the reference; 0: without */
        enum call_outcome outcome;
        const char *message;
    } rows[] = {
        {"w\6returna\7", 10, 3, OUTCOME_RETURN, "a\7"},
        {"w\5throwa\7", 9, 3, OUTCOME_THROW, "a\7"},
        {"w\4exita\7", 8, 3, OUTCOME_EXIT, "a\7"},
        {"w\5errora\7j", 10, 4, OUTCOME_ERROR, "a\7"},
        {"w\5errorh\2w\4erpca\7", 17, 3, OUTCOME_REFUSED, "a\7"},
        {"w\4boom", 6, 0, OUTCOME_SIGNAL, "w\4boom"},
        {"w\5errora\7", 9, 3, OUTCOME_SIGNAL, NULL},
        {"w\6returna\7j", 11, 4, OUTCOME_SIGNAL, NULL},
        {"w\5othera\7", 9, 3, OUTCOME_SIGNAL, NULL},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct outbox_call call = {"m", "f", bytes_of("j", 1)};
        struct world world;
        struct fixture *fixture = &world.first;
        struct buf reference;

        world_open(&world);
        buf_init(&reference, INBOX_REFERENCE_SIZE_MAX);
        assert_ok(outbox_spawn(&fixture->inbox, &fixture->peer, &call,
                               &fixture->out, &reference));
        /* {31, Ref, To, 2, Pid}: nothing to tell */
        begin_frame(&fixture->frame, 31, 5);
        etf_put_raw(&fixture->frame, buf_bytes(&reference));
        put_field(&fixture->frame, 'o');
        etf_put_u64(&fixture->frame, 2);
        put_field(&fixture->frame, 'q');
        assert_ok(fixture_receive(fixture));
        assert_event(&world, INBOX_NONE);
        begin_frame(&fixture->frame, 28, 4);
        put_field(&fixture->frame, 'q');
        put_field(&fixture->frame, 'o');
        etf_put_raw(&fixture->frame, buf_bytes(&reference));
        buf_put_u8(&fixture->frame, 131);
        if (rows[i].arity > 0) {
            etf_put_tuple(&fixture->frame, rows[i].arity);
            etf_put_raw(&fixture->frame, buf_bytes(&reference));
        }
        etf_put_raw(&fixture->frame, bytes_of(rows[i].head, rows[i].size));
        assert_ok(fixture_receive(fixture));
        assert_event(&world, INBOX_RESULT);
        assert_int_equal(fixture->event.outcome, rows[i].outcome);
        assert_bytes(fixture->event.reference, reference.data, reference.size);
        if (rows[i].message != NULL) {
            assert_bytes(fixture->event.message, rows[i].message,
                         strlen(rows[i].message));
        }
        assert_ok(fixture_receive(fixture)); /* once only */
        assert_event(&world, INBOX_NONE);
        buf_close(&reference);
        world_close(&world);
    }
}

static void a_refused_call_is_over(void **state)
{
    struct outbox_call call = {"m", "f", bytes_of("j", 1)};
    struct world world;
    struct fixture *fixture = &world.first;
    struct buf reference;

    (void)state;
    world_open(&world);
    buf_init(&reference, INBOX_REFERENCE_SIZE_MAX);
    assert_ok(outbox_spawn(&fixture->inbox, &fixture->peer, &call,
                           &fixture->out, &reference));
    begin_frame(&fixture->frame, 31, 5);
    etf_put_raw(&fixture->frame, buf_bytes(&reference));
    put_field(&fixture->frame, 'o');
    etf_put_u64(&fixture->frame, 0);
    etf_put_atom(&fixture->frame, "system_limit");
    assert_ok(fixture_receive(fixture));
    assert_event(&world, INBOX_RESULT);
    assert_int_equal(fixture->event.outcome, OUTCOME_REFUSED);
    assert_bytes(fixture->event.message, "w\14system_limit", 14);
    assert_ok(fixture_receive(fixture));
    assert_event(&world, INBOX_NONE);
    buf_close(&reference);
    world_close(&world);
}

/* --- A link of the network breaks ----------------------------------------- */

static void all_that_tied_us_to_a_lost_peer_is_told(void **state)
{
    struct outbox_call call = {"m", "f", bytes_of("j", 1)};
    unsigned count[INBOX_CANCEL + 1] = {0};
    struct world world;
    struct fixture *fixture = &world.first;
    struct inbox_event event;
    struct buf reference;
    struct buf pid;

    (void)state;
    world_open(&world);
    buf_init(&reference, 2 * INBOX_REFERENCE_SIZE_MAX);
    buf_init(&pid, 1000);
    put_field(&pid, 'q');
    spawn(&world, false, true);
    give_other(&world, 19, "zsR");
    give(&world, 1, "po");
    give(&world, 1, "ps");
    assert_ok(outbox_link(&fixture->inbox, &fixture->peer, buf_bytes(&pid),
                          &fixture->out));
    outbox_unlink(&fixture->inbox, &fixture->peer, buf_bytes(&pid),
                  &fixture->out);
    assert_ok(outbox_monitor(&fixture->inbox, &fixture->peer, buf_bytes(&pid),
                             &fixture->out, &reference));
    assert_ok(outbox_spawn(&fixture->inbox, &fixture->peer, &call,
                           &fixture->out, &reference));
    world.taken = fixture->out.size;
    while (inbox_next_lost(&fixture->inbox, &fixture->peer, &event)) {
        struct bytes reason =
            event.type == INBOX_RESULT ? event.message : event.reason;

        count[event.type]++;
        if (event.type == INBOX_CANCEL) {
            assert_ptr_equal(event.owner, &world.owner);
        } else {
            assert_bytes(reason, "w\14noconnection", 14);
        }
    }
    assert_int_equal(count[INBOX_CANCEL], 1);
    assert_int_equal(count[INBOX_EXIT], 1); /* not the one that we unlinked */
    assert_int_equal(count[INBOX_DOWN], 1);
    assert_int_equal(count[INBOX_RESULT], 1);
    take_reason(&world.other_out, &world.other_taken, CONTROL_MONITOR_P_EXIT,
                "noconnection");
    assert_silence(&world);
    buf_close(&reference);
    buf_close(&pid);
    world_close(&world);
}

/* A process of the lost peer was linked with another peer's call. */
static void a_lost_peer_ends_the_calls_that_it_is_linked_with(void **state)
{
    struct world world;
    struct inbox_event event;

    (void)state;
    world_open(&world);
    spawn(&world, false, true);
    world.first.peer.out = other_out;
    world.first.peer.arg = &world.first.out;
    give_other(&world, 1, "zs");
    assert_true(inbox_next_lost(&world.first.inbox, &world.other, &event));
    assert_int_equal(event.type, INBOX_CANCEL);
    assert_ptr_equal(event.owner, &world.owner);
    assert_false(inbox_next_lost(&world.first.inbox, &world.other, &event));
    take_reason(&world.first.out, &world.taken, CONTROL_MONITOR_P_EXIT,
                "noconnection");
    assert_silence(&world);
    world_close(&world);
}

/* --- Limits --------------------------------------------------------------- */

static void without_room_links_and_monitors_are_refused(void **state)
{
    struct world world;

    (void)state;
    world_open(&world);
    spawn(&world, false, false);
    /* The frames themselves have room. */
    assert_non_null(buf_reserve(&world.first.out, 4096));
    assert_non_null(buf_reserve(&world.first.frame, 4096));
    mem_fail_after(0);
    give(&world, 1, "qs");
    give(&world, 19, "qsR");
    mem_fail_after(UINT64_MAX);
    take_reason(&world.first.out, &world.taken, CONTROL_EXIT, "system_limit");
    take_reason(&world.first.out, &world.taken, CONTROL_MONITOR_P_EXIT,
                "system_limit");
    world.first.peer.relation_count = INBOX_PEER_RELATIONS_MAX;
    give(&world, 1, "qs");
    take_reason(&world.first.out, &world.taken, CONTROL_EXIT, "system_limit");
    world.first.peer.relation_count = 0;
    assert_silence(&world);
    world_close(&world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_name_of_ours_can_be_monitored),
        cmocka_unit_test(what_is_not_there_is_noproc),
        cmocka_unit_test(links_with_us_tell_how_they_end),
        cmocka_unit_test(our_links_can_be_undone),
        cmocka_unit_test(our_monitors_fire_once),
        cmocka_unit_test(those_who_watch_a_call_learn_how_it_ends),
        cmocka_unit_test(those_who_have_turned_away_do_not),
        cmocka_unit_test(a_caller_may_give_up),
        cmocka_unit_test(exit_signals_end_a_call),
        cmocka_unit_test(kill_becomes_killed),
        cmocka_unit_test(a_linked_process_takes_the_call_with_it),
        cmocka_unit_test(results_of_our_calls_are_told_apart),
        cmocka_unit_test(a_refused_call_is_over),
        cmocka_unit_test(all_that_tied_us_to_a_lost_peer_is_told),
        cmocka_unit_test(a_lost_peer_ends_the_calls_that_it_is_linked_with),
        cmocka_unit_test(without_room_links_and_monitors_are_refused),
    };

    return cmocka_run_group_tests_name("dist_exits", tests, NULL, NULL);
}
