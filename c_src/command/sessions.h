/* SPDX-License-Identifier: Apache-2.0
 * What became of the commands that members have given a request id, so that
 * one that comes again is not applied again: Ongaro, "Consensus: Bridging
 * Theory and Practice" (2014), section 6.3.
 *
 *   request id = (member, session, number)
 *   session    = the index of the entry that opened it
 *   number     = 1, 2, 3, … as the member counts
 *
 *   numbers      … 17 | 18 19  ·  21  ·  23 = newest
 *          too old ───┘  └── the window: outcomes, or not applied yet
 *
 * A number below the window, or of a session that is not open any more, may
 * have been applied and forgotten: it is refused, never applied. Both bounds
 * are counted in commands and sessions, never in time, so that all members
 * forget the same at the same entry. A member that opens a session ends its
 * older one; an index never comes again, so a session that has ended cannot
 * be opened by a late copy of its command. */
#ifndef QUORATE_COMMAND_SESSIONS_H
#define QUORATE_COMMAND_SESSIONS_H

#include "base/attr.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    SESSIONS_MAX = 16,     /* then the one goes that was used least recently */
    SESSION_WINDOW = 8192, /* numbers */
};

/* All 0: a command without one. */
struct request_id {
    uint64_t member;
    uint64_t session;
    uint64_t number;
};

struct session_outcome {
    uint64_t number; /* 0: the place is empty */
    uint64_t index;  /* of the entry that it was applied in */
    uint64_t epoch;  /* of the sandbox or the name, if it is about one */
    int rv;          /* as of struct command_result */
};

struct session {
    uint64_t member;
    uint64_t index; /* of the entry that opened it; grows within the table */
    uint64_t nonce; /* by which the member knows it for its own */
    uint64_t used_index;            /* of the last entry with a command of it */
    uint64_t newest;                /* the greatest number; 0: none yet */
    struct session_outcome *window; /* owned; the place of a number is
                                       number % capacity */
    uint32_t capacity;              /* a power of 2; 0: no window yet */
};

/* All 0 is an empty one. */
struct sessions {
    struct session items[SESSIONS_MAX]; /* by index, ascending */
    uint32_t count;
};

void sessions_close(struct sessions *sessions);
void sessions_check(const struct sessions *sessions); /* the invariants */

/* The open session of that member, or NULL. */
struct session *sessions_of(struct sessions *sessions, uint64_t member);

/* The session of a request id, or NULL: it has ended. */
struct session *sessions_find(struct sessions *sessions,
                              const struct request_id *id);

/* Opens one, at the index of the entry (not decreasing). 0, also if the
 * member's session has this nonce; ERR_BUSY: it was opened by this same entry,
 * and a second one would share its index. */
int sessions_open(struct sessions *sessions, uint64_t member, uint64_t nonce,
                  uint64_t index) MUST_USE;

/* The member is none any more. */
void sessions_drop(struct sessions *sessions, uint64_t member);

/* Whether a number was applied: 0 with its outcome, borrowed until the next
 * change; ERR_NOT_FOUND: not yet; ERR_STALE_REQUEST: nobody knows. */
int session_look(const struct session *session, uint64_t number,
                 const struct session_outcome **ret_outcome) MUST_USE;

/* Makes room for the outcome of a number that was not found. ERR_NOMEM. */
int session_reserve(struct session *session, uint64_t number) MUST_USE;

/* Room must have been made for its number. */
void session_remember(struct session *session,
                      const struct session_outcome *outcome);

#endif
