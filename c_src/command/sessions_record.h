/* SPDX-License-Identifier: Apache-2.0
 * Sessions as records of a snapshot (snapshot_record.h). */
#ifndef QUORATE_COMMAND_SESSIONS_RECORD_H
#define QUORATE_COMMAND_SESSIONS_RECORD_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "command/sessions.h"

#include <stdbool.h>

/* Where one is in the sessions that are being written. All 0 at the start. */
struct sessions_place {
    uint32_t session;
    uint32_t position; /* in its window */
    bool is_begun;     /* its own record was written */
};

/* Appends the fields of the next record, and its kind first; false: all was
 * written. */
bool sessions_put_record(const struct sessions *sessions,
                         struct sessions_place *place,
                         struct buf *record) MUST_USE;

/* The fields of a SNAPSHOT_SESSION, or of the SNAPSHOT_OUTCOMES of the session
 * that came last. They are trusted in nothing: after success sessions_check()
 * holds, and nothing is later than `epoch_max`. ERR_MALFORMED, ERR_NOMEM.
 */
int sessions_take_session(struct sessions *sessions, struct cursor *fields,
                          uint64_t epoch_max) MUST_USE;
int sessions_take_outcomes(struct sessions *sessions,
                           struct cursor *fields) MUST_USE;

#endif
