/* SPDX-License-Identifier: Apache-2.0
 * Two nodes that dial each other at once: which attempt goes on.
 *
 * erl_dist_protocol: of two attempts that cross, the one of the greater name
 * goes on. That is not all of it. A virtual machine that accepted an attempt
 * does not dial while that one is under way, ends its own when it says
 * ok_simultaneous, and after nok waits for the other side without looking at
 * its connection. Whoever dials nevertheless, or lets go of what the other one
 * has chosen, leaves both without a link. The table of all cases is in
 * docs/decisions/2026-11-26-crossing-attempts.md. */
#ifndef QUORATE_DIST_CROSSING_H
#define QUORATE_DIST_CROSSING_H

#include "base/bytes.h"
#include "dist/handshake.h"

#include <stdbool.h>

/* How far our own attempt has come. */
enum crossing_dial {
    CROSSING_NONE,     /* there is none */
    CROSSING_UNSAID,   /* the peer cannot have seen our name */
    CROSSING_SAID,     /* it was told our name and has not answered */
    CROSSING_ANSWERED, /* it goes along with our attempt */
};

struct crossing {
    struct bytes own;
    struct bytes peer; /* as the other side says */
    bool is_linked;    /* a link to that name is up */
    enum crossing_dial dial;
    /* Our attempt has made way once, for somebody who then did not prove to be
     * the peer: it does so no more. */
    bool is_firm;
};

/* What the one who dials in is told. */
enum handshake_verdict crossing_verdict(const struct crossing *crossing);

/* Whether our own attempt makes way, now that the peer's goes on: it closes
 * what it has, and begins anew when the peer's has come to nothing. */
bool crossing_holds(const struct crossing *crossing);

/* Whether our own attempt is over, now that the peer's has become a link. If
 * not, the peer may have chosen ours: its answer decides. */
bool crossing_is_over(const struct crossing *crossing);

/* How far the initiator of this handshake has come; NULL: not begun. */
enum crossing_dial crossing_dial_of(const struct handshake *handshake);

/* Whether the initiator of a handshake that we accept has said a name, and has
 * yet to prove it. */
bool crossing_is_unproven(const struct handshake *handshake, struct bytes name);

#endif
