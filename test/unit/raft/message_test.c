/* SPDX-License-Identifier: Apache-2.0 */
#include "lib/test.h"
#include "raft/message.h"

#include <string.h>

enum { MESSAGES = 11 };

static const struct message messages[MESSAGES] = {
    {.type = MESSAGE_PRE_VOTE, .term = 8, .index = 7, .index_term = 6},
    {.type = MESSAGE_PRE_VOTE_REPLY, .term = 8, .is_granted = true},
    {.type = MESSAGE_VOTE, .term = 8, .is_handover = true},
    {.type = MESSAGE_VOTE_REPLY, .term = 8},
    {.type = MESSAGE_APPEND,
     .term = 8,
     .index = 7,
     .index_term = 6,
     .commit = 5,
     .read_seq = 4,
     .entry_count = 3},
    {.type = MESSAGE_APPEND_REPLY,
     .term = 8,
     .index = 7,
     .is_granted = true,
     .read_seq = 4,
     .hint_index = 3,
     .hint_term = 2},
    {.type = MESSAGE_SNAPSHOT,
     .term = 8,
     .index = 7,
     .index_term = 6,
     .size = 500,
     .offset = 300,
     .membership = {(const uint8_t *)"\1\1\0\0\0\0\0\0\0\7\0\0", 12},
     .entries = {(const uint8_t *)"chunk", 5}},
    {.type = MESSAGE_SNAPSHOT_REPLY, .term = 8, .index = 7, .offset = 305},
    {.type = MESSAGE_TIMEOUT_NOW, .term = 8},
    {.type = MESSAGE_READ, .term = 8, .read_id = 9},
    {.type = MESSAGE_READ_REPLY, .term = 8, .read_id = 9, .index = 7},
};

static const struct raft_entry entries[3] = {
    {.term = 6, .type = RAFT_ENTRY_COMMAND, .data = {(const uint8_t *)"ab", 2}},
    {.term = 7, .type = RAFT_ENTRY_NOOP},
    {.term = 8,
     .type = RAFT_ENTRY_CONFIG,
     .data = {(const uint8_t *)"\1\1\0\0\0\0\0\0\0\7\0\0", 12}},
};

static void encode(struct buf *buf, const struct message *message)
{
    buf_init(buf, 4096);
    message_put(buf, message);
    for (uint32_t i = 0; i < message->entry_count; i++) {
        message_put_entry(buf, &entries[i]);
    }
    if (message->type == MESSAGE_SNAPSHOT) {
        buf_put_bytes(buf, message->entries);
    }
    assert_ok(buf_error(buf));
}

static void every_message_comes_back(void **state)
{
    (void)state;
    for (int i = 0; i < MESSAGES; i++) {
        struct message got;
        struct buf buf;

        encode(&buf, &messages[i]);
        assert_ok(message_decode(buf_bytes(&buf), &got));
        if (got.type == MESSAGE_SNAPSHOT) {
            assert_bytes(got.entries, "chunk", 5);
        }
        assert_int_equal(got.type, messages[i].type);
        assert_int_equal(got.term, messages[i].term);
        assert_int_equal(got.index, messages[i].index);
        assert_int_equal(got.index_term, messages[i].index_term);
        assert_int_equal(got.is_granted, messages[i].is_granted);
        assert_int_equal(got.commit, messages[i].commit);
        assert_int_equal(got.read_seq, messages[i].read_seq);
        assert_int_equal(got.read_id, messages[i].read_id);
        assert_int_equal(got.hint_index, messages[i].hint_index);
        assert_int_equal(got.hint_term, messages[i].hint_term);
        assert_int_equal(got.entry_count, messages[i].entry_count);
        assert_int_equal(got.is_handover, messages[i].is_handover);
        assert_int_equal(got.size, messages[i].size);
        assert_int_equal(got.offset, messages[i].offset);
        assert_true(bytes_equal(got.membership, messages[i].membership));
        buf_close(&buf);
    }
}

static void entries_come_back_in_order(void **state)
{
    struct message got;
    struct cursor cursor;
    struct buf buf;

    (void)state;
    encode(&buf, &messages[4]);
    assert_ok(message_decode(buf_bytes(&buf), &got));
    cursor = cursor_of(got.entries);
    for (int i = 0; i < 3; i++) {
        struct raft_entry entry;

        message_next_entry(&cursor, &entry);
        assert_int_equal(entry.term, entries[i].term);
        assert_int_equal(entry.type, entries[i].type);
        assert_true(bytes_equal(entry.data, entries[i].data));
    }
    assert_ok(cursor_end(&cursor));
    buf_close(&buf);
}

static void every_truncation_is_malformed(void **state)
{
    (void)state;
    for (int i = 0; i < MESSAGES; i++) {
        struct buf buf;

        encode(&buf, &messages[i]);
        for (size_t size = 0; size < buf.size; size++) {
            struct message got = {.term = 4711};

            assert_err(message_decode(bytes_of(buf.data, size), &got),
                       ERR_MALFORMED);
            assert_int_equal(got.term, 4711);
        }
        buf_close(&buf);
    }
}

static void bytes_behind_the_end_are_malformed(void **state)
{
    (void)state;
    for (int i = 0; i < MESSAGES; i++) {
        struct message got;
        struct buf buf;

        encode(&buf, &messages[i]);
        buf_put_u8(&buf, 0);
        assert_err(message_decode(buf_bytes(&buf), &got), ERR_MALFORMED);
        buf_close(&buf);
    }
}

/* Byte `offset` of message `i` becomes `value`. */
static int with_byte(int i, size_t offset, uint8_t value)
{
    struct message got;
    struct buf buf;
    int rv;

    encode(&buf, &messages[i]);
    assert_true(offset < buf.size);
    buf.data[offset] = value;
    rv = message_decode(buf_bytes(&buf), &got);
    buf_close(&buf);
    return rv;
}

static void other_versions_and_types_are_malformed(void **state)
{
    (void)state;
    assert_err(with_byte(0, 0, 0), ERR_MALFORMED);
    assert_err(with_byte(0, 0, MESSAGE_VERSION + 1), ERR_MALFORMED);
    assert_err(with_byte(0, 1, 0), ERR_MALFORMED);
    assert_err(with_byte(0, 1, 12), ERR_MALFORMED);
}

static void absurd_numbers_are_malformed(void **state)
{
    (void)state;
    /* a term, an index, a truth value */
    assert_err(with_byte(0, 2, 0xff), ERR_MALFORMED);
    assert_err(with_byte(4, 10, 0xff), ERR_MALFORMED);
    assert_err(with_byte(1, 10, 2), ERR_MALFORMED);
    /* term 0 */
    assert_err(with_byte(3, 9, 0), ERR_MALFORMED);
    /* a vote in a term that is not above the last entry's */
    assert_err(with_byte(0, 9, 6), ERR_MALFORMED);
    /* a read without an id */
    assert_err(with_byte(9, 17, 0), ERR_MALFORMED);
    assert_err(with_byte(10, 17, 0), ERR_MALFORMED);
    /* index 0 with a term, and the other way round */
    assert_err(with_byte(4, 17, 0), ERR_MALFORMED);
    assert_err(with_byte(4, 25, 0), ERR_MALFORMED);
}

static void entries_must_make_sense(void **state)
{
    const size_t first = 46; /* 2 + 8 + 4 * 8 + 4 */

    (void)state;
    assert_ok(with_byte(4, first + 7, 6));
    /* below the term before, above the next one's, of an unknown type */
    assert_err(with_byte(4, first + 7, 5), ERR_MALFORMED);
    assert_err(with_byte(4, first + 7, 8), ERR_MALFORMED);
    assert_err(with_byte(4, first + 8, 3), ERR_MALFORMED);
    /* a no-op with data; entries of later terms than the message's */
    assert_err(with_byte(4, first + 8, RAFT_ENTRY_NOOP), ERR_MALFORMED);
    assert_err(with_byte(4, 9, 7), ERR_MALFORMED);
    /* more or fewer than there are */
    assert_err(with_byte(4, first - 1, 4), ERR_MALFORMED);
    assert_err(with_byte(4, first - 1, 2), ERR_MALFORMED);
    assert_err(with_byte(4, first - 4, 0xff), ERR_MALFORMED);
    assert_err(with_byte(4, first + 9, 0xff), ERR_MALFORMED);
}

static void chunks_must_make_sense(void **state)
{
    (void)state;
    /* an index without a term; a term above the message's; no size; beyond the
     * end; a membership that is none; more bytes than there are */
    assert_ok(with_byte(6, 41, 0));
    assert_err(with_byte(6, 17, 0), ERR_MALFORMED);
    assert_err(with_byte(6, 25, 9), ERR_MALFORMED);
    assert_err(with_byte(6, 32, 0), ERR_MALFORMED);
    assert_err(with_byte(6, 40, 2), ERR_MALFORMED);
    assert_err(with_byte(6, 46, 2), ERR_MALFORMED);
    assert_err(with_byte(6, 61, 6), ERR_MALFORMED);
}

static void entries_beyond_the_size_limit_are_malformed(void **state)
{
    static uint8_t data[RAFT_PROPOSAL_SIZE_MAX];
    struct raft_entry entry = {.term = 1,
                               .type = RAFT_ENTRY_COMMAND,
                               .data = bytes_of(data, sizeof(data))};
    struct message message = {
        .type = MESSAGE_APPEND, .term = 1, .entry_count = 1};
    struct message got;
    struct buf buf;

    (void)state;
    buf_init(&buf, 4 * 1024 * 1024);
    message_put(&buf, &message);
    message_put_entry(&buf, &entry);
    assert_ok(message_decode(buf_bytes(&buf), &got));
    buf_clear(&buf);
    message.entry_count = 2;
    message_put(&buf, &message);
    message_put_entry(&buf, &entry);
    message_put_entry(&buf, &entry);
    assert_err(message_decode(buf_bytes(&buf), &got), ERR_MALFORMED);
    buf_close(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message_comes_back),
        cmocka_unit_test(entries_come_back_in_order),
        cmocka_unit_test(every_truncation_is_malformed),
        cmocka_unit_test(bytes_behind_the_end_are_malformed),
        cmocka_unit_test(other_versions_and_types_are_malformed),
        cmocka_unit_test(absurd_numbers_are_malformed),
        cmocka_unit_test(entries_must_make_sense),
        cmocka_unit_test(chunks_must_make_sense),
        cmocka_unit_test(entries_beyond_the_size_limit_are_malformed),
    };

    return cmocka_run_group_tests_name("raft/message", tests, NULL, NULL);
}
