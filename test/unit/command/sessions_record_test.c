/* SPDX-License-Identifier: Apache-2.0
 * Sessions in a snapshot. */
#include "base/err.h"
#include "base/mem.h"
#include "command/sessions_record.h"
#include "command/snapshot_record.h"
#include "lib/test.h"

enum { RECORD_MAX = 128 * 1024, APPLIED = 100000 };

static void remember(struct session *session, uint64_t number, uint64_t index,
                     int rv)
{
    assert_ok(session_reserve(session, number));
    session_remember(session, &(struct session_outcome){.number = number,
                                                        .index = index,
                                                        .epoch = number * 3,
                                                        .rv = rv});
}

/* One record after the other, as they are written, to where they are read. */
static size_t move(const struct sessions *from, struct sessions *to)
{
    struct sessions_place place = {0};
    size_t record_count = 0;
    struct buf record;

    buf_init(&record, RECORD_MAX);
    while (sessions_put_record(from, &place, &record)) {
        struct cursor fields;
        uint8_t kind;

        assert_ok(buf_error(&record));
        assert_true(record.size <= SNAPSHOT_RECORD_SIZE_MAX);
        fields = cursor_of(buf_bytes(&record));
        assert_ok(cursor_u8(&fields, &kind));
        assert_ok(kind == SNAPSHOT_SESSION
                      ? sessions_take_session(to, &fields, APPLIED)
                      : sessions_take_outcomes(to, &fields));
        buf_clear(&record);
        record_count++;
    }
    buf_close(&record);
    return record_count;
}

static void assert_same(const struct session *a, const struct session *b,
                        uint64_t number)
{
    const struct session_outcome *left = NULL;
    const struct session_outcome *right = NULL;
    int rv = session_look(a, number, &left);

    assert_err(session_look(b, number, &right), rv);
    if (rv == 0) {
        assert_int_equal(left->index, right->index);
        assert_int_equal(left->epoch, right->epoch);
        assert_err(left->rv, right->rv);
    }
}

static void what_is_read_is_what_was_written(void **state)
{
    static const int rvs[] = {
        0,         ERR_EXISTS, ERR_NOT_FOUND,   ERR_STALE_EPOCH, ERR_CLOSED,
        ERR_LIMIT, ERR_BUSY,   ERR_NO_CAPACITY, ERR_BADARG};
    static struct sessions sessions;
    static struct sessions restored;
    struct session *full;

    (void)state;
    assert_int_equal(move(&sessions, &restored), 0);
    assert_ok(sessions_open(&sessions, 4, 5, 10));
    assert_ok(sessions_open(&sessions, 3, 6, 11));
    assert_ok(sessions_open(&sessions, 8, 7, 11));
    full = sessions_of(&sessions, 3);
    for (uint64_t number = 1; number < 3 * SESSION_WINDOW; number++) {
        remember(full, number, 11 + number, rvs[number % 9]);
    }
    remember(full, 3 * SESSION_WINDOW + 100, 50000, 0);
    remember(sessions_of(&sessions, 8), 20, 12, 0);
    assert_true(move(&sessions, &restored) > 6);
    sessions_check(&restored);
    assert_int_equal(restored.count, 3);
    for (uint32_t i = 0; i < 3; i++) {
        const struct session *session = &restored.items[i];

        assert_int_equal(session->member, sessions.items[i].member);
        assert_int_equal(session->index, sessions.items[i].index);
        assert_int_equal(session->nonce, sessions.items[i].nonce);
        assert_int_equal(session->used_index, sessions.items[i].used_index);
        assert_int_equal(session->newest, sessions.items[i].newest);
        for (uint64_t number = 1; number < 5 * SESSION_WINDOW; number++) {
            assert_same(&sessions.items[i], session, number);
        }
    }
    sessions_close(&sessions);
    sessions_close(&restored);
}

static struct bytes session_fields(struct buf *buf, uint64_t member,
                                   uint64_t index, uint64_t nonce,
                                   uint64_t used)
{
    buf_clear(buf);
    buf_put_u64(buf, member);
    buf_put_u64(buf, index);
    buf_put_u64(buf, nonce);
    buf_put_u64(buf, used);
    buf_put_u64(buf, 9); /* the newest number */
    return buf_bytes(buf);
}

static int take_session(struct sessions *sessions, struct bytes bytes)
{
    struct cursor fields = cursor_of(bytes);
    int rv = sessions_take_session(sessions, &fields, 20);

    sessions_check(sessions);
    return rv;
}

static int take_outcome(struct sessions *sessions, uint16_t behind,
                        uint64_t index, uint8_t code)
{
    struct cursor fields;
    struct buf buf;
    int rv;

    buf_init(&buf, 64);
    buf_put_u16(&buf, behind);
    buf_put_u64(&buf, index);
    buf_put_u64(&buf, 0);
    buf_put_u8(&buf, code);
    fields = cursor_of(buf_bytes(&buf));
    rv = sessions_take_outcomes(sessions, &fields);
    sessions_check(sessions);
    buf_close(&buf);
    return rv;
}

static void what_cannot_be_is_refused(void **state)
{
    static struct sessions sessions;
    struct buf buf;
    struct bytes right;

    (void)state;
    buf_init(&buf, 64);
    assert_err(take_outcome(&sessions, 0, 12, 0), ERR_MALFORMED);
    /* member index nonce used */
    assert_err(take_session(&sessions, session_fields(&buf, 0, 10, 1, 20)),
               ERR_MALFORMED);
    assert_err(take_session(&sessions, session_fields(&buf, 4, 0, 1, 20)),
               ERR_MALFORMED);
    assert_err(take_session(&sessions, session_fields(&buf, 4, 10, 0, 20)),
               ERR_MALFORMED);
    assert_err(take_session(&sessions, session_fields(&buf, 4, 10, 1, 9)),
               ERR_MALFORMED);
    assert_err(take_session(&sessions, session_fields(&buf, 4, 10, 1, 21)),
               ERR_MALFORMED);
    right = session_fields(&buf, 4, 10, 1, 20);
    for (size_t size = 0; size < right.size; size++) {
        assert_err(take_session(&sessions, bytes_of(right.data, size)),
                   ERR_MALFORMED);
    }
    mem_fail_after(0);
    assert_err(take_session(&sessions, right), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    assert_ok(take_session(&sessions, right));
    assert_err(take_session(&sessions, right), ERR_MALFORMED);
    assert_err(take_session(&sessions, session_fields(&buf, 5, 9, 1, 20)),
               ERR_MALFORMED);
    assert_err(take_outcome(&sessions, 9, 12, 0), ERR_MALFORMED);
    assert_err(take_outcome(&sessions, SESSION_WINDOW, 12, 0), ERR_MALFORMED);
    assert_err(take_outcome(&sessions, 0, 9, 0), ERR_MALFORMED);
    assert_err(take_outcome(&sessions, 0, 21, 0), ERR_MALFORMED);
    assert_err(take_outcome(&sessions, 0, 12, 9), ERR_MALFORMED);
    assert_ok(take_outcome(&sessions, 0, 12, 8));
    assert_err(take_outcome(&sessions, 0, 12, 8), ERR_MALFORMED);
    for (uint64_t member = 100; sessions.count < SESSIONS_MAX; member++) {
        assert_ok(
            take_session(&sessions, session_fields(&buf, member, 10, 1, 20)));
    }
    assert_err(take_session(&sessions, session_fields(&buf, 5, 10, 1, 20)),
               ERR_MALFORMED);
    sessions_close(&sessions);
    buf_close(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_read_is_what_was_written),
        cmocka_unit_test(what_cannot_be_is_refused),
    };

    return cmocka_run_group_tests_name("sessions_record", tests, NULL, NULL);
}
