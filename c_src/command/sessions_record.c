/* SPDX-License-Identifier: Apache-2.0
 * Outcomes are many and little: a number is how far it is behind the newest
 * one, a result a code of its own, since those of base/err.h change with
 * versions. */
#include "command/sessions_record.h"

#include "base/ensure.h"
#include "base/err.h"
#include "command/apply.h"
#include "command/snapshot_record.h"

enum { OUTCOME_SIZE = 2 + 8 + 8 + 1, OUTCOMES_A_RECORD = 2048 };

_Static_assert(1 + OUTCOMES_A_RECORD * OUTCOME_SIZE <= SNAPSHOT_RECORD_SIZE_MAX,
               "a record has room for its outcomes");
_Static_assert(SESSION_WINDOW - 1 <= UINT16_MAX, "a distance fits");

/* What commands answer. New ones go to the end. */
static const int codes[] = {
    0,         ERR_EXISTS, ERR_NOT_FOUND,   ERR_STALE_EPOCH, ERR_CLOSED,
    ERR_LIMIT, ERR_BUSY,   ERR_NO_CAPACITY, ERR_BADARG,
};

enum { CODE_COUNT = sizeof(codes) / sizeof(codes[0]) };

static uint8_t code_of(int rv)
{
    for (size_t i = 0; i < CODE_COUNT; i++) {
        if (codes[i] == rv) {
            return (uint8_t)i;
        }
    }
    unreachable();
}

static void put_session(const struct session *session, struct buf *record)
{
    buf_put_u8(record, SNAPSHOT_SESSION);
    buf_put_u64(record, session->member);
    buf_put_u64(record, session->index);
    buf_put_u64(record, session->nonce);
    buf_put_u64(record, session->used_index);
    buf_put_u64(record, session->newest);
}

/* Of the window from `position` on; where it goes on. Those that are below the
 * window by now have their places until they are needed. */
static uint32_t put_outcomes(const struct session *session, uint32_t position,
                             struct buf *record)
{
    uint32_t count = 0;

    buf_put_u8(record, SNAPSHOT_OUTCOMES);
    for (; position < session->capacity && count < OUTCOMES_A_RECORD;
         position++) {
        const struct session_outcome *outcome = &session->window[position];

        if (outcome->number != 0 &&
            session->newest - outcome->number < SESSION_WINDOW) {
            buf_put_u16(record, (uint16_t)(session->newest - outcome->number));
            buf_put_u64(record, outcome->index);
            buf_put_u64(record, outcome->epoch);
            buf_put_u8(record, code_of(outcome->rv));
            count++;
        }
    }
    return position;
}

bool sessions_put_record(const struct sessions *sessions,
                         struct sessions_place *place, struct buf *record)
{
    const struct session *session;

    while (place->session < sessions->count) {
        session = &sessions->items[place->session];
        if (!place->is_begun) {
            put_session(session, record);
            place->is_begun = true;
            return true;
        }
        if (place->position < session->capacity) {
            place->position = put_outcomes(session, place->position, record);
            return true;
        }
        *place = (struct sessions_place){.session = place->session + 1};
    }
    return false;
}

int sessions_take_session(struct sessions *sessions, struct cursor *fields,
                          uint64_t epoch_max)
{
    struct session session = {0};
    int rv = cursor_u64(fields, &session.member);

    rv = rv == 0 ? cursor_u64(fields, &session.index) : rv;
    rv = rv == 0 ? cursor_u64(fields, &session.nonce) : rv;
    rv = rv == 0 ? cursor_u64(fields, &session.used_index) : rv;
    rv = rv == 0 ? cursor_u64(fields, &session.newest) : rv;
    if (rv != 0 || cursor_end(fields) != 0 || session.member == 0 ||
        session.index == 0 || session.nonce == 0 ||
        session.used_index < session.index || session.used_index > epoch_max ||
        sessions->count == SESSIONS_MAX ||
        sessions_of(sessions, session.member) != NULL ||
        (sessions->count > 0 &&
         sessions->items[sessions->count - 1].index > session.index)) {
        return ERR_MALFORMED;
    }
    if (session.newest > 0) {
        rv = session_reserve(&session, session.newest);
    }
    if (rv == 0) {
        sessions->items[sessions->count] = session;
        sessions->count++;
    }
    return rv;
}

static int take_outcome(struct session *session, struct cursor *fields)
{
    struct session_outcome outcome;
    const struct session_outcome *other;
    uint16_t behind = 0;
    uint8_t code = 0;
    int rv = cursor_u16(fields, &behind);

    rv = rv == 0 ? cursor_u64(fields, &outcome.index) : rv;
    rv = rv == 0 ? cursor_u64(fields, &outcome.epoch) : rv;
    rv = rv == 0 ? cursor_u8(fields, &code) : rv;
    if (rv != 0 || behind >= SESSION_WINDOW || behind >= session->newest ||
        code >= CODE_COUNT || outcome.index < session->index ||
        outcome.index > session->used_index) {
        return ERR_MALFORMED;
    }
    outcome.number = session->newest - behind;
    outcome.rv = codes[code];
    if (session_look(session, outcome.number, &other) != ERR_NOT_FOUND) {
        return ERR_MALFORMED;
    }
    if (!COMMAND_IS_MUTATED(DEDUP_LOST)) {
        session->window[outcome.number % session->capacity] = outcome;
    }
    return 0;
}

int sessions_take_outcomes(struct sessions *sessions, struct cursor *fields)
{
    int rv = 0;

    if (sessions->count == 0) {
        return ERR_MALFORMED;
    }
    while (rv == 0 && cursor_left(fields) > 0) {
        rv = take_outcome(&sessions->items[sessions->count - 1], fields);
    }
    return rv;
}
