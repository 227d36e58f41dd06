/* SPDX-License-Identifier: Apache-2.0
 * Frames that are looked at while they arrive: the same outcome as at once,
 * and what is wrong is found when it comes, not at the end. */
#include "base/mem.h"
#include "dist/control.h"
#include "dist/control_scan.h"
#include "dist/flags.h"
#include "dist/inbox.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "lib/test.h"
#include "vectors.h"

static const char *const frames[] = {
    VECTOR_MONITOR_NAME, VECTOR_PING,      VECTOR_GEN_CALL,
    VECTOR_MULTI_CALL,   VECTOR_ERPC_CALL, VECTOR_SPAWN_LINKED,
    VECTOR_REX_CALL,     VECTOR_PLAIN,     VECTOR_SEND_PID,
    VECTOR_LINK_SELF,    VECTOR_UNLINK_ID, VECTOR_EXIT2,
    VECTOR_TRACED,       VECTOR_DOWN,
};

/* Steps through `frame`, `stride` bytes and `work` elements at a time, from
 * memory of just their size; gives the outcome and when it was known. */
static int scan_steps(struct bytes frame, size_t stride, size_t work,
                      struct control_scan *scan, size_t *ret_arrived)
{
    size_t arrived = 0;
    int rounds = 0;
    int rv = 0;

    control_scan_init(scan);
    while (rv == 0 && scan->stage != CONTROL_SCAN_DONE) {
        uint8_t *copy = mem_copy(frame.data, arrived);
        const char *cause = NULL;

        assert_non_null(copy);
        rv = control_scan_step(scan, bytes_of(copy, arrived), frame.size,
                               DIST_FLAGS_OFFERED, work, &cause);
        assert_true((rv != 0) == (cause != NULL));
        mem_free(copy);
        *ret_arrived = arrived;
        arrived = frame.size - arrived < stride ? frame.size : arrived + stride;
        assert_in_range(rounds++, 0, 100000);
    }
    return rv;
}

static void check_same(const struct control *a, const struct control *b)
{
    const struct bytes fields[][2] = {
        {a->from, b->from},           {a->to, b->to},
        {a->reference, b->reference}, {a->id, b->id},
        {a->reason, b->reason},       {a->result, b->result},
        {a->payload, b->payload},     {a->name, b->name},
        {a->module, b->module},       {a->function, b->function}};

    assert_int_equal(a->op, b->op);
    assert_int_equal(a->arity, b->arity);
    assert_int_equal(a->is_monitored, b->is_monitored);
    assert_int_equal(a->is_linked, b->is_linked);
    for (size_t i = 0; i < sizeof(fields) / sizeof(fields[0]); i++) {
        assert_ptr_equal(fields[i][0].data, fields[i][1].data);
        assert_int_equal(fields[i][0].size, fields[i][1].size);
    }
}

static void check_frame(struct bytes frame)
{
    struct control whole = {0};
    const char *cause = NULL;
    int rv = control_decode(frame, DIST_FLAGS_OFFERED, &whole, &cause);

    for (size_t stride = 1; stride <= frame.size + 1; stride++) {
        struct control_scan scan;
        struct control control = {0};
        size_t arrived;
        int rv_now = scan_steps(frame, stride, stride % 3 == 0 ? SIZE_MAX : 2,
                                &scan, &arrived);

        rv_now = rv_now != 0
                     ? rv_now
                     : control_decode_scanned(frame, &scan, &control, &cause);
        assert_err(rv_now, rv);
        check_same(&control, &whole);
    }
}

static void recorded_frames_in_steps(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        struct buf frame;

        buf_init(&frame, 4096);
        put_hex(&frame, frames[i]);
        check_frame(buf_bytes(&frame));
        buf_close(&frame);
    }
}

static void frames_cut_anywhere_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(frames) / sizeof(frames[0]); i++) {
        struct buf frame;

        buf_init(&frame, 4096);
        put_hex(&frame, frames[i]);
        for (size_t cut = 0; cut < frame.size; cut++) {
            struct control_scan scan;
            size_t arrived;

            assert_int_not_equal(scan_steps(bytes_of(frame.data, cut), 7,
                                            SIZE_MAX, &scan, &arrived),
                                 0);
        }
        buf_close(&frame);
    }
}

/* A message of `size` bytes to a name of ours, in the middle of which is the
 * tag of no term. */
static void what_is_wrong_is_found_when_it_comes(void **state)
{
    enum { COUNT = 1000 };
    struct control_scan scan;
    struct buf frame;
    size_t arrived = 0;

    (void)state;
    buf_init(&frame, 100000);
    put_hex(&frame, VECTOR_LINK_SELF);
    /* No operation, no version, no tuple: by the first bytes. */
    for (size_t i = 0; i < CONTROL_HEAD_MAX; i++) {
        uint8_t kept = frame.data[i];

        frame.data[i] = 99;
        assert_int_not_equal(
            scan_steps(buf_bytes(&frame), 1, SIZE_MAX, &scan, &arrived), 0);
        assert_in_range(arrived, 0, CONTROL_HEAD_MAX);
        frame.data[i] = kept;
    }
    /* No payload belongs to it: when the tuple has ended. */
    buf_put(&frame, "\203j", 2);
    assert_err(scan_steps(buf_bytes(&frame), 1, SIZE_MAX, &scan, &arrived),
               ERR_MALFORMED);
    assert_int_equal(arrived, frame.size - 2);

    buf_clear(&frame);
    buf_put(&frame, "p\203h\4a\6", 6);
    etf_put_pid(&frame, &(struct etf_pid){.node = bytes_of_string("a@b")});
    etf_put_atom(&frame, "");
    etf_put_atom(&frame, "quorate");
    etf_put_version(&frame);
    etf_put_list(&frame, COUNT);
    for (int i = 0; i < COUNT; i++) {
        etf_put_u64(&frame, 7);
    }
    etf_put_nil(&frame);
    check_frame(buf_bytes(&frame));
    frame.data[frame.size - COUNT] = 'P';
    frame.data[frame.size - COUNT + 1] = 'P';
    assert_err(scan_steps(buf_bytes(&frame), 1, SIZE_MAX, &scan, &arrived),
               ERR_MALFORMED);
    assert_in_range(arrived, frame.size - COUNT, frame.size - COUNT + 2);
    buf_close(&frame);
}

/* {'$gen_call', {Pid, j}, {m, f, [List]}} with a long list. */
static size_t put_long_call(struct buf *frame)
{
    enum { COUNT = 100000 };
    struct etf_pid pid = {.node = bytes_of_string("a@b")};
    size_t begin;

    buf_put(frame, "p\203h\4a\6", 6);
    etf_put_pid(frame, &pid);
    etf_put_atom(frame, "");
    etf_put_atom(frame, "quorate");
    etf_put_version(frame);
    etf_put_tuple(frame, 3);
    etf_put_atom(frame, "$gen_call");
    etf_put_tuple(frame, 2);
    etf_put_pid(frame, &pid);
    etf_put_nil(frame);
    etf_put_tuple(frame, 3);
    etf_put_atom(frame, "m");
    etf_put_atom(frame, "f");
    etf_put_list(frame, 1);
    begin = frame->size;
    etf_put_list(frame, COUNT);
    for (int i = 0; i < COUNT; i++) {
        etf_put_u64(frame, 7);
    }
    etf_put_nil(frame);
    etf_put_nil(frame);
    assert_ok(buf_error(frame));
    return begin;
}

/* What was looked at while it arrived is not looked at again. */
static void a_call_knows_where_its_long_arguments_end(void **state)
{
    struct control_scan *scan = mem_alloc(sizeof(*scan));
    struct inbox_peer peer = {.name = bytes_of_string("a@b"),
                              .flags = DIST_FLAGS_OFFERED};
    struct inbox_event event;
    struct inbox inbox;
    struct buf frame;
    struct buf out;
    struct bytes raw;
    const char *cause;
    size_t arrived;
    size_t begin;

    (void)state;
    assert_non_null(scan);
    inbox_init(&inbox, bytes_of_string("quorate@127.0.0.1"), 7);
    buf_init(&frame, 1000000);
    buf_init(&out, 1000);
    begin = put_long_call(&frame);
    assert_ok(scan_steps(buf_bytes(&frame), 50000, SIZE_MAX, scan, &arrived));
    memset(frame.data + begin + 1000, 1, 8);
    peer.scan = scan;
    /* Not settled yet: the walk meets what is none. */
    assert_ok(
        inbox_receive(&inbox, &peer, buf_bytes(&frame), &out, &event, &cause));
    assert_int_equal(event.type, INBOX_NONE);
    control_scan_settle(scan, buf_bytes(&frame));
    assert_ok(
        inbox_receive(&inbox, &peer, buf_bytes(&frame), &out, &event, &cause));
    assert_int_equal(event.type, INBOX_CALL);
    assert_int_equal(event.call.arity, 1);
    assert_true(etf_spans_find(event.call.spans, frame.data + begin, &raw));
    assert_int_equal(raw.size, frame.size - begin - 1);
    mem_free(scan);
    buf_close(&frame);
    buf_close(&out);
    inbox_close(&inbox);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(recorded_frames_in_steps),
        cmocka_unit_test(frames_cut_anywhere_are_refused),
        cmocka_unit_test(what_is_wrong_is_found_when_it_comes),
        cmocka_unit_test(a_call_knows_where_its_long_arguments_end),
    };

    return cmocka_run_group_tests_name("dist_control_scan", tests, NULL, NULL);
}
