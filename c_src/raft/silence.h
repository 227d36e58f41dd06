/* SPDX-License-Identifier: Apache-2.0
 * How long others were silent lately though nothing was wrong with them: a
 * network that loses and delays makes gaps between the signs of life. An
 * election timeout that is shorter than those gaps elects for nothing.
 *
 *   time   [ window before | window of now ]     the two longest gaps of each
 *
 * The second longest of all counts: one long gap is a pause of one process, not
 * the way of the network. */
#ifndef QUORATE_RAFT_SILENCE_H
#define QUORATE_RAFT_SILENCE_H

#include <stdint.h>

enum {
    SILENCE_WINDOW_TIMEOUTS = 32, /* election timeouts; then a gap is forgotten
                                     after as many again at most */
    SILENCE_FACTOR = 2,           /* of the gap: the timeout that outlasts it */
    SILENCE_TIMEOUTS_MAX = 4,     /* the timeout grows no further, and a longer
                                     gap is an outage: it does not count */
};

struct silence {
    uint64_t since_ms;  /* when the window of now began */
    uint64_t now_ms[2]; /* the longest gaps, the longer one first */
    uint64_t before_ms[2];
};

/* Somebody was heard again after `gap_ms`. `timeout_ms`: the election timeout
 * as it is set. */
void silence_note(struct silence *silence, uint64_t gap_ms, uint64_t now_ms,
                  uint64_t timeout_ms);

/* The timeout to go by: the one that is set, or a longer one. */
uint64_t silence_timeout_ms(const struct silence *silence, uint64_t timeout_ms);

#endif
