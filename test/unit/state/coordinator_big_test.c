/* SPDX-License-Identifier: Apache-2.0
 * Values that are held instead of copied: by whom, and until when. */
#include "base/crc32c.h"
#include "unit/state/coordinator_fixture.h"

enum { BIG = 200 * 1024, EDGE = 100 };

/* A value in the middle of a blob. */
static struct bytes make_value(size_t size, struct blob **ret_blob)
{
    struct buf buf;

    buf_init(&buf, size + 2 * EDGE);
    assert_non_null(buf_reserve(&buf, size + 2 * EDGE));
    buf_commit(&buf, size + 2 * EDGE);
    memset(buf.data, 'x', buf.size);
    *ret_blob = blob_take(&buf);
    assert_non_null(*ret_blob);
    return bytes_of(blob_bytes(*ret_blob).data + EDGE, size);
}

static uint64_t ticket_of(const struct state_send *send)
{
    struct state_message decoded;

    assert_ok(
        state_message_decode_pieces(send->message, send->value, &decoded));
    return decoded.ticket;
}

/* An answer without a value. */
static void acknowledge(struct fixture *fixture, uint64_t from, uint64_t ticket,
                        struct state_effects *effects)
{
    struct state_message answer = {.kind = STATE_KIND_WRITE_ACK,
                                   .ticket = ticket};
    struct buf buf;

    buf_init(&buf, STATE_MESSAGE_SIZE_MAX);
    assert_ok(state_message_encode(&answer, &buf));
    assert_ok(state_receive(fixture->network.tables[0], from, buf_bytes(&buf),
                            NULL, 0, effects));
    buf_close(&buf);
}

static void a_big_value_to_write_is_held_until_it_is_done(void **state)
{
    struct fixture *fixture = *state;
    struct state_table *table = fixture->network.tables[0];
    struct state_request request = make_request(fixture, STATE_WRITE, 4);
    struct state_effects effects;
    uint64_t ticket;

    request.seq = 1;
    request.value = make_value(BIG, &request.blob);
    assert_ok(state_start(table, &request, 0, &effects));
    assert_int_equal(effects.send_count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_ptr_equal(effects.sends[i].value.data, request.value.data);
        assert_int_equal(effects.sends[i].value.size, BIG);
        assert_ptr_equal(effects.sends[i].blob, request.blob);
    }
    ticket = ticket_of(&effects.sends[0]);
    assert_true(blob_is_shared(request.blob));
    acknowledge(fixture, 1, ticket, &effects);
    acknowledge(fixture, 2, ticket, &effects);
    assert_int_equal(effects.completion_count, 1);
    assert_ok(effects.completions[0].rv);
    /* What a call lends out is taken back by the next one. */
    assert_ok(state_tick(table, 0, &effects));
    assert_false(blob_is_shared(request.blob));
    blob_release(request.blob);
}

static void what_would_keep_much_else_is_copied(void **state)
{
    struct fixture *fixture = *state;
    struct state_table *table = fixture->network.tables[0];
    struct state_request request = make_request(fixture, STATE_WRITE, 4);
    struct state_effects effects;

    request.seq = 1;
    request.value = make_value(BIG, &request.blob);
    request.value.size = BIG / 2 - 1;
    assert_ok(state_start(table, &request, 0, &effects));
    assert_null(effects.sends[0].blob);
    assert_int_equal(effects.sends[0].value.size, 0);
    request.value.size = STATE_SHARED_MIN - 1;
    assert_ok(state_start(table, &request, 0, &effects));
    assert_null(effects.sends[0].blob);
    assert_false(blob_is_shared(request.blob));
    blob_release(request.blob);
}

static void without_memory_nothing_is_held(void **state)
{
    struct fixture *fixture = *state;
    struct state_table *table = fixture->network.tables[0];
    struct state_request request = make_request(fixture, STATE_WRITE, 4);
    struct state_effects effects;
    int rv = ERR_NOMEM;

    request.value = make_value(BIG, &request.blob);
    for (uint64_t left = 0; rv != 0; left++) {
        mem_fail_after(left);
        rv = state_start(table, &request, 0, &effects);
        mem_fail_after(UINT64_MAX);
        if (rv != 0) {
            assert_err(rv, ERR_NOMEM);
            assert_false(blob_is_shared(request.blob));
        }
    }
    assert_true(blob_is_shared(request.blob));
    assert_ok(state_tick(table, request.deadline_ms, &effects));
    assert_err(effects.completions[0].rv, ERR_TIMEOUT);
    assert_ok(state_tick(table, request.deadline_ms, &effects));
    assert_false(blob_is_shared(request.blob));
    blob_release(request.blob);
}

/* An answer of `from` with a big value, in a blob of its own. */
static struct blob *answer_read(struct fixture *fixture, uint64_t from,
                                uint64_t ticket, uint64_t seq,
                                struct state_effects *effects)
{
    struct blob *source;
    struct bytes value = make_value(BIG, &source);
    struct state_message answer = {
        .kind = STATE_KIND_READ_ACK,
        .has_version = true,
        .has_value = true,
        .ticket = ticket,
        .stamp = {.version = {.epoch = 4, .seq = seq}},
        .promised = 4,
        .crc = crc32c(0, value),
        .value = value};
    struct blob *blob;
    struct buf buf;

    buf_init(&buf, STATE_MESSAGE_SIZE_MAX);
    assert_ok(state_message_encode(&answer, &buf));
    blob_release(source);
    blob = blob_take(&buf);
    assert_non_null(blob);
    assert_ok(state_receive(fixture->network.tables[0], from, blob_bytes(blob),
                            blob, 0, effects));
    return blob;
}

static void the_newest_that_was_read_is_held_and_written_back(void **state)
{
    struct fixture *fixture = *state;
    struct state_table *table = fixture->network.tables[0];
    struct state_request request = make_request(fixture, STATE_READ, 0);
    struct state_effects effects;
    struct blob *older;
    struct blob *newer;
    uint64_t ticket;

    assert_ok(state_start(table, &request, 0, &effects));
    ticket = ticket_of(&effects.sends[0]);
    older = answer_read(fixture, 1, ticket, 1, &effects);
    assert_true(blob_is_shared(older));
    newer = answer_read(fixture, 2, ticket, 2, &effects);
    assert_false(blob_is_shared(older));
    assert_true(blob_is_shared(newer));
    assert_int_equal(effects.send_count, 2); /* to those that have it not */
    assert_ptr_equal(effects.sends[0].blob, newer);
    assert_int_equal(effects.sends[0].value.size, BIG);
    acknowledge(fixture, 3, ticket_of(&effects.sends[0]), &effects);
    assert_int_equal(effects.completion_count, 1);
    assert_ok(effects.completions[0].rv);
    assert_true(effects.completions[0].has_value);
    assert_ptr_equal(effects.completions[0].blob, newer);
    assert_int_equal(effects.completions[0].value.size, BIG);
    assert_ok(state_tick(table, 0, &effects));
    assert_false(blob_is_shared(newer));
    blob_release(older);
    blob_release(newer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_big_value_to_write_is_held_until_it_is_done),
        TEST(what_would_keep_much_else_is_copied),
        TEST(without_memory_nothing_is_held),
        TEST(the_newest_that_was_read_is_held_and_written_back),
    };

    return cmocka_run_group_tests_name("state_coordinator_big", tests, NULL,
                                       NULL);
}
