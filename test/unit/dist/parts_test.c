/* SPDX-License-Identifier: Apache-2.0
 * Two ends of a link, over which frames go as they would: what is sent comes
 * out whole, streams take turns, the window holds, and a hostile end neither
 * gets memory for its claims nor anything past a limit. */
#include "base/mem.h"
#include "base/rng.h"
#include "dist/control.h"
#include "dist/parts.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "lib/test.h"

enum {
    ARRIVED_MAX = 128,
    OUT_MAX = 64 * 1024 * 1024,
    KIB = 1024,
};

static const char head_text[] = "h\4w\7quoratea\1w\4testm";

struct end {
    struct inbox inbox;
    struct parts parts;
    struct buf out;
    struct blob *arrived[ARRIVED_MAX]; /* whole messages */
    size_t arrived_count;
    uint64_t numbers[ARRIVED_MAX]; /* streams of the parts that came */
    size_t number_count;
};

struct fixture {
    struct end a;
    struct end b;
};

static void end_init(struct end *end, const char *name)
{
    inbox_init(&end->inbox, bytes_of_string(name), 7);
    parts_init(&end->parts);
    buf_init(&end->out, OUT_MAX);
}

static void end_close(struct end *end)
{
    parts_close(&end->parts);
    buf_close(&end->out);
    for (size_t i = 0; i < end->arrived_count; i++) {
        blob_release(end->arrived[i]);
    }
}

static int setup(void **state)
{
    struct fixture *fixture = mem_alloc(sizeof(*fixture));

    assert_non_null(fixture);
    end_init(&fixture->a, "a@127.0.0.1");
    end_init(&fixture->b, "b@127.0.0.1");
    *state = fixture;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    end_close(&fixture->a);
    end_close(&fixture->b);
    mem_free(fixture);
    return 0;
}

/* A raw message {quorate, 1, test, Binary}: its head, and `size` bytes that
 * depend on `seed`. */
static void make_message(size_t size, uint64_t seed, struct buf *head,
                         struct buf *content)
{
    struct rng rng;

    buf_init(head, 100);
    buf_put(head, head_text, sizeof(head_text) - 1);
    buf_put_u32(head, (uint32_t)size);
    buf_init(content, size);
    rng_init(&rng, seed);
    for (size_t i = 0; i < size; i++) {
        buf_put_u8(content, (uint8_t)rng_next(&rng));
    }
    assert_ok(buf_error(content));
}

static int send_raw(struct end *end, struct bytes head, struct blob *blob)
{
    struct parts_message message = {
        .head = head, .body = blob_bytes(blob), .blob = blob};

    return parts_send(&end->parts, &end->inbox, &message, &end->out);
}

static int send(struct end *end, size_t size, uint64_t seed)
{
    struct buf head;
    struct buf content;
    struct blob *tail;
    int rv;

    make_message(size, seed, &head, &content);
    tail = blob_take(&content);
    assert_non_null(tail);
    rv = send_raw(end, buf_bytes(&head), tail);
    blob_release(tail);
    buf_close(&head);
    return rv;
}

static void check_message(struct bytes message, size_t size, uint64_t seed)
{
    struct buf head;
    struct buf content;

    make_message(size, seed, &head, &content);
    assert_int_equal(message.size, head.size + size);
    assert_memory_equal(message.data, head.data, head.size);
    assert_memory_equal(message.data + head.size, content.data, size);
    buf_close(&head);
    buf_close(&content);
}

/* The kind and the body of a message in a frame of ours. */
static void open_frame(struct bytes frame, struct bytes *ret_kind,
                       struct bytes *ret_body)
{
    struct control control;
    struct etf_reader reader;
    const char *cause;
    uint64_t version;

    assert_ok(control_decode(frame, 0, &control, &cause));
    assert_true(bytes_is(control.name, "quorate_member"));
    reader = etf_reader_of(control.payload);
    assert_ok(etf_read_tuple_of(&reader, 4));
    assert_true(etf_take_atom(&reader, "quorate"));
    assert_ok(etf_read_u64(&reader, &version));
    assert_int_equal(version, 1);
    assert_ok(etf_read_atom(&reader, ret_kind));
    assert_ok(etf_read_raw(&reader, ret_body));
}

static uint64_t number_of(struct bytes body)
{
    struct etf_reader reader = etf_reader_of(body);
    uint64_t number;
    uint32_t arity;

    assert_ok(etf_read_tuple(&reader, &arity));
    assert_ok(etf_read_u64(&reader, &number));
    return number;
}

/* Hands the first frame of `from` to `to`: false if there is none. */
static bool deliver_one(struct end *from, struct end *to)
{
    struct bytes frame;
    struct bytes kind;
    struct bytes body;
    struct blob *whole = NULL;
    size_t used;

    if (from->out.size == 0) {
        return false;
    }
    assert_ok(frame_next(buf_bytes(&from->out), FRAME_SIZE_MAX, &frame, &used));
    open_frame(frame, &kind, &body);
    if (bytes_is(kind, "part")) {
        if (to->number_count < ARRIVED_MAX) {
            to->numbers[to->number_count++] = number_of(body);
        }
        assert_ok(
            parts_receive(&to->parts, &to->inbox, body, &to->out, &whole));
    } else {
        assert_true(bytes_is(kind, "part_ack"));
        assert_ok(parts_acknowledge(&to->parts, &to->inbox, body, &to->out));
    }
    if (whole != NULL) {
        assert_in_range(to->arrived_count, 0, ARRIVED_MAX - 1);
        to->arrived[to->arrived_count++] = whole;
    }
    buf_consume(&from->out, used);
    return true;
}

/* All that is under way, both ways. */
static void settle(struct fixture *fixture)
{
    bool has_more = true;

    while (has_more) {
        bool is_sent = deliver_one(&fixture->a, &fixture->b);
        bool is_answered = deliver_one(&fixture->b, &fixture->a);

        has_more = is_sent || is_answered;
        assert_true(fixture->a.parts.in_flight <= PARTS_WINDOW);
    }
}

static void check_idle(const struct end *end)
{
    assert_true(list_is_empty(&end->parts.ready));
    assert_true(list_is_empty(&end->parts.sent));
    assert_true(list_is_empty(&end->parts.arriving));
    assert_int_equal(end->parts.in_flight, 0);
    assert_int_equal(end->parts.out_count, 0);
    assert_int_equal(end->parts.in_count, 0);
    assert_int_equal(end->parts.out_bytes, 0);
    assert_int_equal(end->parts.in_bytes, 0);
}

/* --- What is sent arrives ------------------------------------------------- */

static void messages_of_all_sizes_arrive_whole(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    static const size_t sizes[] = {1,
                                   100,
                                   PARTS_PART_MAX - 24,
                                   PARTS_PART_MAX,
                                   PARTS_PART_MAX + 1,
                                   PARTS_WINDOW,
                                   PARTS_WINDOW + 7,
                                   3 * 1024 * KIB};

    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        assert_ok(send(&fixture->a, sizes[i], i));
        settle(fixture);
        assert_int_equal(fixture->b.arrived_count, i + 1);
        check_message(blob_bytes(fixture->b.arrived[i]), sizes[i], i);
    }
    check_idle(&fixture->a);
    check_idle(&fixture->b);
}

static void both_directions_work_at_once(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    assert_ok(send(&fixture->a, 1024 * KIB, 1));
    assert_ok(send(&fixture->b, 700 * KIB, 2));
    settle(fixture);
    assert_int_equal(fixture->a.arrived_count, 1);
    assert_int_equal(fixture->b.arrived_count, 1);
    check_message(blob_bytes(fixture->b.arrived[0]), 1024 * KIB, 1);
    check_message(blob_bytes(fixture->a.arrived[0]), 700 * KIB, 2);
    check_idle(&fixture->a);
    check_idle(&fixture->b);
}

static void no_more_than_a_window_is_ahead_of_what_comes_next(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    assert_ok(send(&fixture->a, 1024 * KIB, 1));
    assert_ok(send(&fixture->a, 1024 * KIB, 2));
    /* Four parts and what is around them. */
    assert_in_range(fixture->a.out.size, PARTS_WINDOW, PARTS_WINDOW + 4 * 256);
    assert_int_equal(fixture->a.parts.in_flight, PARTS_WINDOW);
    while (deliver_one(&fixture->a, &fixture->b)) {
    }
    /* Nothing more until it is acknowledged; then as much as was. */
    assert_int_equal(fixture->a.out.size, 0);
    assert_true(deliver_one(&fixture->b, &fixture->a));
    assert_in_range(fixture->a.out.size, PARTS_PART_MAX, PARTS_PART_MAX + 256);
    settle(fixture);
    assert_int_equal(fixture->b.arrived_count, 2);
}

/* The body is somewhere in a blob, and there is something behind it. */
static void a_message_of_three_pieces_arrives_whole(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct buf head;
    struct buf content;
    struct parts_message message;

    make_message(300 * KIB, 3, &head, &content);
    message.blob = blob_take(&content);
    assert_non_null(message.blob);
    for (size_t last = 0; last < 130 * KIB; last += 32 * KIB + 1) {
        struct bytes all = blob_bytes(message.blob);
        size_t end_size = size_min(last, PARTS_PART_MAX);

        message.head = buf_bytes(&head);
        message.body = bytes_of(all.data, all.size - end_size);
        message.end = bytes_of(all.data + message.body.size, end_size);
        assert_ok(parts_send(&fixture->a.parts, &fixture->a.inbox, &message,
                             &fixture->a.out));
        settle(fixture);
    }
    assert_int_equal(fixture->b.arrived_count, 5);
    for (size_t i = 0; i < 5; i++) {
        check_message(blob_bytes(fixture->b.arrived[i]), 300 * KIB, 3);
    }
    assert_false(blob_is_shared(message.blob));
    blob_release(message.blob);
    buf_close(&head);
}

static void streams_take_turns(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    assert_ok(send(&fixture->a, 1024 * KIB, 1));
    assert_ok(send(&fixture->a, 1024 * KIB, 2));
    assert_ok(send(&fixture->a, 70 * KIB, 3));
    settle(fixture);
    assert_int_equal(fixture->b.arrived_count, 3);
    /* The short one is not behind the long ones. */
    check_message(blob_bytes(fixture->b.arrived[0]), 70 * KIB, 3);
    /* The first window was the first stream's alone. */
    for (size_t i = 4; i < 16; i += 3) {
        assert_int_not_equal(fixture->b.numbers[i], fixture->b.numbers[i + 1]);
    }
    check_idle(&fixture->a);
}

static void loss_of_the_link_drops_both_sides(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    assert_ok(send(&fixture->a, 1024 * KIB, 1));
    assert_ok(send(&fixture->a, 1024 * KIB, 2));
    for (int i = 0; i < 6; i++) {
        (void)deliver_one(&fixture->a, &fixture->b);
        (void)deliver_one(&fixture->b, &fixture->a);
    }
    assert_int_equal(fixture->b.parts.in_count, 2);
    parts_close(&fixture->a.parts);
    parts_close(&fixture->b.parts);
    buf_clear(&fixture->a.out);
    buf_clear(&fixture->b.out);
    check_idle(&fixture->a);
    check_idle(&fixture->b);
    /* The next link begins anew. */
    assert_ok(send(&fixture->a, 300 * KIB, 3));
    settle(fixture);
    assert_int_equal(fixture->b.arrived_count, 1);
    check_message(blob_bytes(fixture->b.arrived[0]), 300 * KIB, 3);
}

static void any_number_of_streams_in_any_order(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    size_t sizes[ARRIVED_MAX];
    bool is_seen[ARRIVED_MAX] = {false};
    struct rng rng;
    size_t sent = 0;

    rng_init(&rng, 42);
    while (sent < 100) {
        if (rng_below(&rng, 4) == 0 &&
            fixture->a.parts.out_count < PARTS_STREAMS_MAX) {
            sizes[sent] = 1 + (size_t)rng_below(&rng, 400 * KIB);
            assert_ok(send(&fixture->a, sizes[sent], sent));
            sent++;
        }
        (void)deliver_one(&fixture->a, &fixture->b);
        if (rng_below(&rng, 2) == 0) {
            (void)deliver_one(&fixture->b, &fixture->a);
        }
    }
    settle(fixture);
    assert_int_equal(fixture->b.arrived_count, 100);
    for (size_t i = 0; i < 100; i++) {
        struct bytes got = blob_bytes(fixture->b.arrived[i]);
        size_t which = 0;

        while (which < 100 &&
               (is_seen[which] ||
                got.size != sizes[which] + sizeof(head_text) - 1 + 4)) {
            which++;
        }
        assert_in_range(which, 0, 99);
        is_seen[which] = true;
        check_message(got, sizes[which], which);
    }
    check_idle(&fixture->a);
    check_idle(&fixture->b);
}

/* --- Limits of the sender ------------------------------------------------- */

static void what_is_too_much_is_refused_and_changes_nothing(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct blob *small = blob_copy(bytes_of("j", 1));
    struct blob *huge;
    struct buf room;

    assert_non_null(small);
    for (int i = 0; i < PARTS_STREAMS_MAX; i++) {
        assert_ok(send(&fixture->a, 300 * KIB, 1));
    }
    assert_err(send(&fixture->a, 300 * KIB, 1), ERR_BUSY);
    parts_close(&fixture->a.parts);
    buf_clear(&fixture->a.out);

    buf_init(&room, PARTS_STREAM_MAX + 1);
    assert_non_null(buf_reserve(&room, PARTS_STREAM_MAX + 1));
    buf_commit(&room, PARTS_STREAM_MAX + 1);
    huge = blob_take(&room);
    assert_non_null(huge);
    assert_err(send_raw(&fixture->a, bytes_of(NULL, 0), huge), ERR_LIMIT);
    blob_release(huge);

    assert_non_null(buf_reserve(&room, PARTS_STREAM_MAX - 1));
    buf_commit(&room, PARTS_STREAM_MAX - 1);
    huge = blob_take(&room);
    assert_non_null(huge);
    for (int i = 0; i < 4; i++) {
        assert_ok(send_raw(&fixture->a, bytes_of("h", 1), huge));
    }
    assert_err(send_raw(&fixture->a, bytes_of(NULL, 0), small), ERR_BUSY);
    assert_int_equal(fixture->a.parts.out_count, 4);
    assert_true(blob_is_shared(huge));
    parts_close(&fixture->a.parts);
    assert_false(blob_is_shared(huge));
    blob_release(huge);
    blob_release(small);
    check_idle(&fixture->a);
}

static void without_memory_nothing_is_queued(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct blob *tail = blob_copy(bytes_of("j", 1));

    assert_non_null(tail);
    for (uint64_t left = 0; left < 2; left++) {
        int rv;

        mem_fail_after(left);
        rv = send_raw(&fixture->a, bytes_of("h", 1), tail);
        mem_fail_after(UINT64_MAX);
        assert_err(rv, ERR_NOMEM);
        check_idle(&fixture->a);
        assert_false(blob_is_shared(tail));
    }
    blob_release(tail);
}

/* --- A hostile end -------------------------------------------------------- */

static int receive(struct end *end, uint64_t number, uint64_t offset,
                   uint64_t total, struct bytes bytes)
{
    struct blob *whole = NULL;
    struct buf body;
    int rv;

    buf_init(&body, PARTS_PART_MAX + 100);
    etf_put_tuple(&body, 4);
    etf_put_u64(&body, number);
    etf_put_u64(&body, offset);
    etf_put_u64(&body, total);
    etf_put_binary(&body, bytes);
    assert_ok(buf_error(&body));
    rv = parts_receive(&end->parts, &end->inbox, buf_bytes(&body), &end->out,
                       &whole);
    buf_close(&body);
    blob_release(whole);
    return rv;
}

static void claims_of_all_streams_are_summed(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct end *end = &fixture->b;
    struct bytes bytes = bytes_of("m\3\377\0\0abc", 8);

    /* Four of the greatest streams, 8 bytes of each. */
    for (uint64_t i = 1; i <= 4; i++) {
        mem_fail_after(8);
        assert_ok(receive(end, i, 0, PARTS_STREAM_MAX, bytes));
        mem_fail_after(UINT64_MAX);
    }
    assert_err(receive(end, 5, 0, 100, bytes), ERR_LIMIT);
    parts_close(&end->parts);
    check_idle(end);
}

static void streams_of_a_peer_are_limited(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    for (uint64_t i = 1; i <= PARTS_STREAMS_MAX; i++) {
        assert_ok(receive(&fixture->b, i, 0, 1000, bytes_of("h", 1)));
    }
    assert_err(
        receive(&fixture->b, PARTS_STREAMS_MAX + 1, 0, 1000, bytes_of("h", 1)),
        ERR_LIMIT);
}

static void parts_that_do_not_fit_are_refused(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct end *end = &fixture->b;
    uint8_t *big = mem_alloc(PARTS_PART_MAX + 1);
    static const struct {
        uint64_t number;
        uint64_t offset;
        uint64_t total;
        size_t size;
        int expected;
    } rows[] = {
        {3, 1, 100, 1, ERR_MALFORMED},          /* begins in the middle */
        {1, 0, 100, 1, ERR_MALFORMED},          /* an old number */
        {0, 0, 100, 1, ERR_MALFORMED},          /* no number */
        {3, 0, 100, 0, ERR_MALFORMED},          /* nothing in it */
        {3, 0, 100, 101, ERR_MALFORMED},        /* more than the whole */
        {3, 0, 0, 1, ERR_MALFORMED},            /* more than nothing */
        {3, 101, 100, 1, ERR_MALFORMED},        /* beyond the whole */
        {3, UINT64_MAX, 100, 1, ERR_MALFORMED}, /* far beyond */
        {3, 0, UINT64_MAX, 1, ERR_LIMIT},       /* too long a whole */
        {3, 0, (uint64_t)PARTS_STREAM_MAX + 1, 1, ERR_LIMIT},
        {3, 0, 1000000, PARTS_PART_MAX + 1, ERR_MALFORMED},
        {2, 0, 100, 1, ERR_MALFORMED},  /* again from the start */
        {2, 10, 100, 1, ERR_MALFORMED}, /* a gap */
        {2, 4, 100, 1, ERR_MALFORMED},  /* an overlap */
        {2, 5, 101, 1, ERR_MALFORMED},  /* another whole */
        {2, 5, 100, 96, ERR_MALFORMED}, /* past its end */
    };

    assert_non_null(big);
    assert_ok(receive(end, 1, 0, 1, bytes_of("j", 1)));
    assert_ok(receive(end, 2, 0, 100, bytes_of("m\0\0\0\137", 5)));
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        int rv = receive(end, rows[i].number, rows[i].offset, rows[i].total,
                         bytes_of(big, rows[i].size));

        if (rv != rows[i].expected) {
            fail_msg("row %zu: %s", i, err_atom(rv));
        }
        assert_int_equal(end->parts.in_count, 1);
    }
    assert_ok(receive(end, 2, 5, 100, bytes_of(big, 95)));
    check_idle(end);
    mem_free(big);
}

static void other_terms_are_refused(void **state)
{
    static const struct {
        const char *text;
        size_t size;
    } rows[] = {{"j", 1},
                {"h\3a\1a\0a\1", 8},
                {"h\4a\1a\0a\1j", 9},
                {"h\4b\377\377\377\377a\0a\1m\0\0\0\1j", 17},
                {"h\4a\1w\1xa\1m\0\0\0\1j", 15}};
    struct fixture *fixture = (struct fixture *)*state;
    struct end *end = &fixture->b;
    struct blob *whole = NULL;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes body = bytes_of(rows[i].text, rows[i].size);

        assert_err(
            parts_receive(&end->parts, &end->inbox, body, &end->out, &whole),
            ERR_MALFORMED);
        assert_err(parts_acknowledge(&end->parts, &end->inbox, body, &end->out),
                   ERR_MALFORMED);
    }
    assert_null(whole);
    assert_int_equal(end->out.size, 0);
}

static void bad_terms_are_refused_as_they_come(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct end *end = &fixture->b;

    /* The second element is of no known type: nobody waits for the rest. */
    assert_ok(receive(end, 1, 0, 1000, bytes_of("h\3j", 3)));
    assert_err(receive(end, 1, 3, 1000, bytes_of("P", 1)), ERR_MALFORMED);
    /* A term that ends too early, and one that does not. */
    assert_err(receive(end, 2, 0, 3, bytes_of("jjj", 3)), ERR_MALFORMED);
    assert_err(receive(end, 3, 0, 3, bytes_of("h\2j", 3)), ERR_TRUNCATED);
    /* A list that its whole cannot hold. */
    assert_err(receive(end, 4, 0, 1000, bytes_of("l\0\20\0\0", 5)),
               ERR_TRUNCATED);
}

static int acknowledge(struct end *end, uint64_t number, uint64_t offset)
{
    struct buf body;
    int rv;

    buf_init(&body, 100);
    etf_put_tuple(&body, 2);
    etf_put_u64(&body, number);
    etf_put_u64(&body, offset);
    rv = parts_acknowledge(&end->parts, &end->inbox, buf_bytes(&body),
                           &end->out);
    buf_close(&body);
    return rv;
}

static void acknowledgements_of_what_was_not_sent_are_refused(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct end *end = &fixture->a;

    assert_err(acknowledge(end, 1, 1), ERR_MALFORMED);
    assert_ok(send(end, 1024 * KIB, 1));
    assert_err(acknowledge(end, 2, 1), ERR_MALFORMED);
    assert_err(acknowledge(end, 1, 0), ERR_MALFORMED);
    assert_err(acknowledge(end, 1, PARTS_WINDOW + 1), ERR_MALFORMED);
    assert_err(acknowledge(end, 1, UINT64_MAX), ERR_MALFORMED);
    assert_ok(acknowledge(end, 1, PARTS_PART_MAX));
    assert_err(acknowledge(end, 1, PARTS_PART_MAX), ERR_MALFORMED);
    assert_err(acknowledge(end, 1, 1), ERR_MALFORMED);
    assert_int_equal(end->parts.in_flight, PARTS_WINDOW);
}

static void every_failing_allocation_of_the_receiver(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct end *end = &fixture->b;
    int rv = ERR_NOMEM;
    uint64_t left = 0;

    for (; rv == ERR_NOMEM && left < 100; left++) {
        struct blob *whole = NULL;

        parts_close(&end->parts);
        buf_close(&end->out);
        mem_fail_after(left);
        rv = parts_receive(&end->parts, &end->inbox,
                           bytes_of("h\4a\1a\0a\1m\0\0\0\1j", 14), &end->out,
                           &whole);
        mem_fail_after(UINT64_MAX);
        assert_true((rv == 0) == (whole != NULL));
        blob_release(whole);
    }
    assert_ok(rv);
    assert_in_range(left, 3, 99);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(messages_of_all_sizes_arrive_whole,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(both_directions_work_at_once, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(
            no_more_than_a_window_is_ahead_of_what_comes_next, setup, teardown),
        cmocka_unit_test_setup_teardown(a_message_of_three_pieces_arrives_whole,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(streams_take_turns, setup, teardown),
        cmocka_unit_test_setup_teardown(loss_of_the_link_drops_both_sides,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(any_number_of_streams_in_any_order,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            what_is_too_much_is_refused_and_changes_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(without_memory_nothing_is_queued, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(claims_of_all_streams_are_summed, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(streams_of_a_peer_are_limited, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(parts_that_do_not_fit_are_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(other_terms_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(bad_terms_are_refused_as_they_come,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            acknowledgements_of_what_was_not_sent_are_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(
            every_failing_allocation_of_the_receiver, setup, teardown),
    };

    return cmocka_run_group_tests_name("dist_parts", tests, NULL, NULL);
}
