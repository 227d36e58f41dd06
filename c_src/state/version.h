/* SPDX-License-Identifier: Apache-2.0
 * Versions of sandbox state: {epoch, seq}. Seq 0 is what a seal wrote, the
 * owner's own writes count from 1.
 *
 * A seal may run more than once at one epoch (its member restarts, or the
 * worker moves to another member). So that all of them end with the same
 * {epoch, 0}, each attempt has a ballot, and {epoch, 0} is decided as in
 * single-decree Paxos: the promise of a greater ballot shuts out lower ones,
 * and among several {epoch, 0} the greatest ballot is the newest. */
#ifndef QUORATE_STATE_VERSION_H
#define QUORATE_STATE_VERSION_H

#include <stdint.h>

/* Epochs and seqs are integers that Erlang callers see: below 2^63. */
#define STATE_NUMBER_MAX ((uint64_t)INT64_MAX)

struct state_version {
    uint64_t epoch;
    uint64_t seq;
};

/* <0, 0, >0 */
int state_version_compare(struct state_version a, struct state_version b);

/* A version with the ballot that it was written under (0 unless seq is 0). */
struct state_stamp {
    struct state_version version;
    uint64_t ballot;
};

/* <0, 0, >0 */
int state_stamp_compare(struct state_stamp a, struct state_stamp b);

#endif
