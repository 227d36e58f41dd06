/* SPDX-License-Identifier: Apache-2.0
 * The codec of replica messages: round trips, every truncation, every field
 * out of its bounds. */
#include "base/crc32c.h"
#include "base/mem.h"
#include "lib/test.h"
#include "state/message.h"

static const char value_text[] = "the state of a sandbox";

static struct state_message make_write(void)
{
    struct state_message message = {
        .kind = STATE_KIND_WRITE,
        .has_version = true,
        .has_value = true,
        .ticket = 0x0123456789abcdefU,
        .birth = 7,
        .stamp = {.version = {.epoch = 9, .seq = 4}},
        .id = bytes_of_string("user-1"),
        .value = bytes_of_string(value_text)};

    message.crc = crc32c(0, message.value);
    return message;
}

static struct state_message make_answer(enum state_kind kind)
{
    struct state_message message = {
        .kind = kind,
        .has_version = true,
        .ticket = 5,
        .stamp = {.version = {.epoch = 9}, .ballot = UINT64_MAX},
        .promised = 10,
        .promised_ballot = 77};

    if (kind != STATE_KIND_WRITE_ACK) {
        message.has_value = true;
        message.value = bytes_of_string(value_text);
        message.crc = crc32c(0, message.value);
    }
    return message;
}

static void assert_same(const struct state_message *a,
                        const struct state_message *b)
{
    assert_int_equal(a->kind, b->kind);
    assert_int_equal(a->status, b->status);
    assert_int_equal(a->has_version, b->has_version);
    assert_int_equal(a->has_value, b->has_value);
    assert_int_equal(a->ticket, b->ticket);
    assert_int_equal(a->birth, b->birth);
    assert_int_equal(state_stamp_compare(a->stamp, b->stamp), 0);
    assert_int_equal(a->promised, b->promised);
    assert_int_equal(a->promised_ballot, b->promised_ballot);
    assert_int_equal(a->crc, b->crc);
    assert_true(bytes_equal(a->id, b->id));
    assert_true(bytes_equal(a->value, b->value));
}

static void encode(const struct state_message *message, struct buf *buf)
{
    buf_init(buf, STATE_MESSAGE_SIZE_MAX);
    assert_ok(state_message_encode(message, buf));
}

static void assert_round_trip(const struct state_message *message)
{
    struct state_message decoded;
    struct buf buf;

    encode(message, &buf);
    assert_ok(state_message_decode(buf_bytes(&buf), &decoded));
    assert_same(message, &decoded);
    assert_true(state_message_is_intact(&decoded));
    assert_int_equal(state_message_is_request(buf_bytes(&buf)),
                     state_kind_is_request(message->kind));
    for (size_t size = 0; size < buf.size; size++) {
        assert_err(state_message_decode(bytes_of(buf.data, size), &decoded),
                   ERR_TRUNCATED);
    }
    buf_put_u8(&buf, 0);
    assert_err(state_message_decode(buf_bytes(&buf), &decoded), ERR_MALFORMED);
    buf_close(&buf);
}

static void every_kind_survives_the_wire(void **state)
{
    struct state_message message = make_write();

    (void)state;
    assert_round_trip(&message);
    message = (struct state_message){
        .kind = STATE_KIND_WRITE,
        .has_version = true,
        .stamp = {.version = {.epoch = STATE_NUMBER_MAX}, .ballot = 3},
        .id = bytes_of_string("x")};
    assert_round_trip(&message);
    message =
        (struct state_message){.kind = STATE_KIND_PROMISE,
                               .stamp = {.version = {.epoch = 12}, .ballot = 1},
                               .id = bytes_of_string("x")};
    assert_round_trip(&message);
    message = (struct state_message){.kind = STATE_KIND_READ,
                                     .birth = STATE_NUMBER_MAX,
                                     .id = bytes_of_string("x")};
    assert_round_trip(&message);
    message = make_answer(STATE_KIND_WRITE_ACK);
    message.status = STATE_STATUS_STALE_VERSION;
    assert_round_trip(&message);
    message = make_answer(STATE_KIND_PROMISE_ACK);
    assert_round_trip(&message);
    message = make_answer(STATE_KIND_READ_ACK);
    assert_round_trip(&message);
}

static void an_empty_value_is_a_value(void **state)
{
    struct state_message message = make_write();

    (void)state;
    message.value = bytes_of(NULL, 0);
    message.crc = 0;
    assert_round_trip(&message);
}

/* Encodes `message`, sets one byte, and decodes. */
static int decode_with(const struct state_message *message, size_t offset,
                       uint8_t byte)
{
    struct state_message decoded;
    struct buf buf;
    int rv;

    encode(message, &buf);
    buf.data[offset] = byte;
    rv = state_message_decode(buf_bytes(&buf), &decoded);
    buf_close(&buf);
    return rv;
}

static void fields_out_of_bounds_are_malformed(void **state)
{
    struct state_message write = make_write();
    struct state_message ack = make_answer(STATE_KIND_WRITE_ACK);

    (void)state;
    assert_err(decode_with(&write, 0, 2), ERR_MALFORMED); /* format */
    assert_err(decode_with(&write, 1, 0), ERR_MALFORMED); /* kind */
    assert_err(decode_with(&write, 1, 7), ERR_MALFORMED); /* kind */
    assert_err(decode_with(&write, 2, 1), ERR_MALFORMED); /* status */
    assert_err(decode_with(&ack, 2, STATE_STATUS_COUNT), ERR_MALFORMED);
    assert_err(decode_with(&write, 3, 4), ERR_MALFORMED);     /* flags */
    assert_err(decode_with(&write, 3, 1), ERR_MALFORMED);     /* no value */
    assert_err(decode_with(&write, 3, 2), ERR_MALFORMED);     /* no version */
    assert_err(decode_with(&write, 12, 0x80), ERR_MALFORMED); /* birth */
    assert_err(decode_with(&write, 20, 0x80), ERR_MALFORMED); /* epoch */
    assert_err(decode_with(&write, 27, 0), ERR_MALFORMED);    /* epoch 0 */
    assert_err(decode_with(&write, 28, 0x80), ERR_MALFORMED); /* seq */
    assert_err(decode_with(&write, 43, 1), ERR_MALFORMED);    /* ballot */
    assert_err(decode_with(&write, 51, 1), ERR_MALFORMED);    /* promised */
    assert_err(decode_with(&ack, 44, 0x80), ERR_MALFORMED);   /* promised */
    assert_err(decode_with(&write, 65, 0x80), ERR_MALFORMED); /* 2 GiB */
    assert_err(decode_with(&write, 68, 255), ERR_TRUNCATED);  /* size */
    assert_err(decode_with(&write, 64, 255), ERR_TRUNCATED);  /* id size */
}

static void answers_that_no_replica_gives_are_malformed(void **state)
{
    struct state_message ack = make_answer(STATE_KIND_READ_ACK);

    (void)state;
    /* Another seq than 0 with a ballot, epoch 0, an epoch above the promise,
     * a version without its flag. */
    assert_err(decode_with(&ack, 35, 1), ERR_MALFORMED);
    assert_err(decode_with(&ack, 27, 0), ERR_MALFORMED);
    assert_err(decode_with(&ack, 27, 11), ERR_MALFORMED);
    ack = make_answer(STATE_KIND_WRITE_ACK);
    assert_err(decode_with(&ack, 3, 0), ERR_MALFORMED);
}

static void a_flipped_bit_in_the_value_is_noticed(void **state)
{
    struct state_message message = make_write();
    struct state_message decoded;
    struct buf buf;

    (void)state;
    encode(&message, &buf);
    buf.data[buf.size - 1] ^= 0x10;
    assert_ok(state_message_decode(buf_bytes(&buf), &decoded));
    assert_false(state_message_is_intact(&decoded));
    buf_close(&buf);
}

static void restamping_changes_ticket_and_version_only(void **state)
{
    struct state_message message = make_write();
    struct state_message decoded;
    struct state_stamp stamp = {.version = {.epoch = 0x1122334455667788}};
    struct buf buf;

    (void)state;
    stamp.ballot = 0x99aabbccddeeff00U;
    encode(&message, &buf);
    state_message_restamp(&buf, 42, stamp);
    assert_ok(state_message_decode(buf_bytes(&buf), &decoded));
    message.ticket = 42;
    message.stamp = stamp;
    assert_same(&message, &decoded);
    assert_bytes(state_message_value(&buf), value_text, strlen(value_text));
    buf_close(&buf);
}

static void a_value_may_be_elsewhere(void **state)
{
    struct state_message message = make_write();
    struct state_message decoded;
    struct bytes elsewhere = bytes_of(value_text, strlen(value_text));
    struct buf whole;
    struct buf head;

    (void)state;
    encode(&message, &whole);
    buf_init(&head, STATE_MESSAGE_SIZE_MAX);
    assert_ok(state_message_encode_head(&message, &head));
    assert_int_equal(head.size + elsewhere.size, whole.size);
    assert_memory_equal(head.data, whole.data, head.size);
    assert_int_equal(state_message_head_size(buf_bytes(&whole)), head.size);
    assert_int_equal(state_message_head_size(buf_bytes(&head)), head.size);
    assert_int_equal(state_message_value(&head).size, 0);
    assert_ok(
        state_message_decode_pieces(buf_bytes(&head), elsewhere, &decoded));
    assert_same(&message, &decoded);
    assert_true(state_message_is_intact(&decoded));

    /* Of another size than was said, or in both places. */
    assert_err(state_message_decode_pieces(buf_bytes(&head),
                                           bytes_of(value_text, 1), &decoded),
               ERR_MALFORMED);
    assert_err(
        state_message_decode_pieces(buf_bytes(&whole), elsewhere, &decoded),
        ERR_MALFORMED);
    for (size_t size = 0; size < head.size; size++) {
        assert_true(state_message_head_size(bytes_of(head.data, size)) <= size);
        assert_err(state_message_decode_pieces(bytes_of(head.data, size),
                                               elsewhere, &decoded),
                   ERR_TRUNCATED);
    }
    buf_close(&whole);
    buf_close(&head);
}

static void encoding_without_memory_fails(void **state)
{
    struct state_message message = make_write();
    struct buf buf;

    (void)state;
    buf_init(&buf, STATE_MESSAGE_SIZE_MAX);
    mem_fail_after(0);
    assert_err(state_message_encode(&message, &buf), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    buf_close(&buf);
}

static void short_bytes_are_no_request(void **state)
{
    static const uint8_t bytes[] = {1, STATE_KIND_READ};

    (void)state;
    assert_false(state_message_is_request(bytes_of(NULL, 0)));
    assert_false(state_message_is_request(bytes_of(bytes, 1)));
    assert_true(state_message_is_request(bytes_of(bytes, 2)));
}

static void versions_and_stamps_are_ordered(void **state)
{
    struct state_version low = {.epoch = 3, .seq = 9};
    struct state_version high = {.epoch = 4, .seq = 0};
    struct state_stamp first = {.version = high, .ballot = 1};
    struct state_stamp second = {.version = high, .ballot = 2};

    (void)state;
    assert_true(state_version_compare(low, high) < 0);
    assert_true(state_version_compare(high, low) > 0);
    assert_int_equal(state_version_compare(low, low), 0);
    low.epoch = 4;
    assert_true(state_version_compare(low, high) > 0);
    assert_true(state_stamp_compare(first, second) < 0);
    second.version = low;
    first.ballot = 3;
    assert_true(state_stamp_compare(first, second) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_kind_survives_the_wire),
        cmocka_unit_test(an_empty_value_is_a_value),
        cmocka_unit_test(fields_out_of_bounds_are_malformed),
        cmocka_unit_test(answers_that_no_replica_gives_are_malformed),
        cmocka_unit_test(a_flipped_bit_in_the_value_is_noticed),
        cmocka_unit_test(restamping_changes_ticket_and_version_only),
        cmocka_unit_test(a_value_may_be_elsewhere),
        cmocka_unit_test(encoding_without_memory_fails),
        cmocka_unit_test(short_bytes_are_no_request),
        cmocka_unit_test(versions_and_stamps_are_ordered),
    };

    return cmocka_run_group_tests_name("state_message", tests, NULL, NULL);
}
