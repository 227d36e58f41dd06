/* SPDX-License-Identifier: Apache-2.0
 * What we send of our own accord, read back by the decoder. */
#include "dist/control.h"
#include "dist/frame.h"
#include "peer.h"

/* Takes the next frame off `out`. */
static struct control take(struct fixture *fixture, size_t *offset)
{
    struct control control;
    struct bytes frame;
    const char *cause;
    size_t used;

    assert_ok(frame_next(
        bytes_of(fixture->out.data + *offset, fixture->out.size - *offset),
        FRAME_SIZE_MAX, &frame, &used));
    assert_ok(control_decode(frame, DIST_FLAGS_OFFERED, &control, &cause));
    *offset += used;
    return control;
}

static void messages_go_to_pids_and_names(void **state)
{
    struct fixture fixture;
    struct control control;
    struct buf pid;
    struct buf self;
    size_t offset = 0;

    (void)state;
    fixture_open(&fixture);
    buf_init(&pid, 1000);
    buf_init(&self, 1000);
    put_peer_pid(&pid);
    put_own_pid(&self, 1, 0, 7);
    outbox_send(&fixture.inbox, &fixture.peer, buf_bytes(&pid),
                bytes_of("a\1", 2), &fixture.out);
    outbox_send_name(&fixture.inbox, "quorate_member", bytes_of("a\2", 2),
                     &fixture.out);
    control = take(&fixture, &offset);
    assert_int_equal(control.op, CONTROL_SEND);
    assert_bytes(control.to, pid.data, pid.size);
    assert_bytes(control.payload, "a\1", 2);
    control = take(&fixture, &offset);
    assert_int_equal(control.op, CONTROL_REG_SEND);
    assert_bytes(control.from, self.data, self.size);
    assert_bytes(control.name, "quorate_member", 14);
    assert_bytes(control.payload, "a\2", 2);
    assert_int_equal(offset, fixture.out.size);
    buf_close(&pid);
    buf_close(&self);
    fixture_close(&fixture);
}

static void messages_in_parts_have_their_envelope(void **state)
{
    static const char expected[] = "h\4w\7quoratea\1w\4kindw\4body";
    struct fixture fixture;
    struct control control;
    struct buf pid;
    size_t offset = 0;

    (void)state;
    fixture_open(&fixture);
    buf_init(&pid, 1000);
    put_peer_pid(&pid);
    for (int i = 0; i < 2; i++) {
        size_t begin =
            i == 0 ? outbox_begin_pid(&fixture.inbox, &fixture.peer,
                                      buf_bytes(&pid), "kind", &fixture.out)
                   : outbox_begin(&fixture.inbox, "name", "kind", &fixture.out);

        etf_put_atom(&fixture.out, "body");
        outbox_end(&fixture.out, begin);
    }
    control = take(&fixture, &offset);
    assert_int_equal(control.op, CONTROL_SEND);
    assert_bytes(control.to, pid.data, pid.size);
    assert_bytes(control.payload, expected, sizeof(expected) - 1);
    control = take(&fixture, &offset);
    assert_int_equal(control.op, CONTROL_REG_SEND);
    assert_bytes(control.name, "name", 4);
    assert_bytes(control.payload, expected, sizeof(expected) - 1);
    assert_int_equal(offset, fixture.out.size);
    buf_close(&pid);
    fixture_close(&fixture);
}

static void monitors_have_references_that_differ(void **state)
{
    struct fixture fixture;
    struct control control;
    struct buf pid;
    struct buf first;
    struct buf second;
    size_t offset = 0;

    (void)state;
    fixture_open(&fixture);
    buf_init(&pid, 1000);
    buf_init(&first, 600);
    buf_init(&second, 600);
    put_peer_pid(&pid);
    /* The first word of a reference has 18 bits only. */
    fixture.inbox.reference_next = (UINT64_C(1) << 18) - 1;
    assert_ok(outbox_monitor(&fixture.inbox, &fixture.peer, buf_bytes(&pid),
                             &fixture.out, &first));
    assert_ok(outbox_monitor(&fixture.inbox, &fixture.peer, buf_bytes(&pid),
                             &fixture.out, &second));
    outbox_demonitor(&fixture.inbox, &fixture.peer, buf_bytes(&first),
                     &fixture.out);
    assert_false(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
    assert_memory_equal(second.data + second.size - 12,
                        "\0\0\0\0\0\0\0\1\0\0\0\0", 12);
    control = take(&fixture, &offset);
    assert_int_equal(control.op, CONTROL_MONITOR_P);
    assert_bytes(control.to, pid.data, pid.size);
    assert_bytes(control.reference, first.data, first.size);
    control = take(&fixture, &offset);
    assert_bytes(control.reference, second.data, second.size);
    control = take(&fixture, &offset);
    assert_int_equal(control.op, CONTROL_DEMONITOR_P);
    assert_bytes(control.reference, first.data, first.size);
    assert_int_equal(offset, fixture.out.size);
    buf_close(&pid);
    buf_close(&first);
    buf_close(&second);
    fixture_close(&fixture);
}

static void a_probe_monitors_a_name_that_nobody_has(void **state)
{
    struct fixture fixture;
    struct inbox other;
    struct inbox_event event;
    struct control control;
    struct bytes frame;
    struct buf answer;
    struct inbox_peer prober = {.name = bytes_of_string("b@127.0.0.1"),
                                .flags = DIST_FLAGS_OFFERED};
    const char *cause;
    size_t offset = 0;
    size_t used;

    (void)state;
    fixture_open(&fixture);
    outbox_probe(&fixture.inbox, &fixture.out);
    control = take(&fixture, &offset);
    assert_int_equal(control.op, CONTROL_MONITOR_P);
    assert_int_equal(offset, fixture.out.size);
    /* Another member answers, and what it says is known here as what it is. */
    buf_init(&answer, 1000);
    inbox_init(&other, bytes_of_string("c@127.0.0.1"), 9);
    assert_ok(
        frame_next(buf_bytes(&fixture.out), FRAME_SIZE_MAX, &frame, &used));
    assert_ok(inbox_receive(&other, &prober, frame, &answer, &event, &cause));
    assert_int_equal(event.type, INBOX_NONE);
    assert_ok(frame_next(buf_bytes(&answer), FRAME_SIZE_MAX, &frame, &used));
    assert_ok(control_decode(frame, DIST_FLAGS_OFFERED, &control, &cause));
    assert_int_equal(control.op, CONTROL_MONITOR_P_EXIT);
    buf_close(&answer);
    inbox_close(&other);
    fixture_close(&fixture);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(messages_go_to_pids_and_names),
        cmocka_unit_test(messages_in_parts_have_their_envelope),
        cmocka_unit_test(monitors_have_references_that_differ),
        cmocka_unit_test(a_probe_monitors_a_name_that_nobody_has),
    };

    return cmocka_run_group_tests_name("dist_outbox", tests, NULL, NULL);
}
