/* SPDX-License-Identifier: Apache-2.0
 * Links, monitors and exit signals in both directions, with the process behind
 * our names and with spawned calls; a second peer that watches the calls of
 * the first; and what is left when a link of the network breaks. */
#include "base/mem.h"
#include "world.h"

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
        struct outbox_call call = {bytes_of("m", 1), bytes_of("f", 1),
                                   bytes_of("j", 1)};
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
    struct outbox_call call = {bytes_of("m", 1), bytes_of("f", 1),
                               bytes_of("j", 1)};
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
    struct outbox_call call = {bytes_of("m", 1), bytes_of("f", 1),
                               bytes_of("j", 1)};
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
