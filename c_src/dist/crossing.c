/* SPDX-License-Identifier: Apache-2.0
 * Two nodes that dial each other at once: which attempt goes on. */
#include "dist/crossing.h"

#include "base/ensure.h"

static bool is_ours_greater(const struct crossing *crossing)
{
    return bytes_compare(crossing->own, crossing->peer) > 0;
}

enum handshake_verdict crossing_verdict(const struct crossing *crossing)
{
    if (crossing->is_linked) {
        return HANDSHAKE_ALIVE;
    }
    switch (crossing->dial) {
    case CROSSING_NONE:
        return HANDSHAKE_ACCEPT;
    case CROSSING_UNSAID:
        /* The peer need not wait for what may never reach it. */
        return is_ours_greater(crossing) && crossing->is_firm
                   ? HANDSHAKE_NOK
                   : HANDSHAKE_SIMULTANEOUS;
    case CROSSING_SAID:
        return is_ours_greater(crossing) ? HANDSHAKE_NOK
                                         : HANDSHAKE_SIMULTANEOUS;
    case CROSSING_ANSWERED:
        /* Either the peer has ended this one in favour of ours, and then it
         * does not matter; or it has ended ours since, and dials anew. */
        return HANDSHAKE_SIMULTANEOUS;
    }
    unreachable();
}

bool crossing_holds(const struct crossing *crossing)
{
    /* A peer of a greater name refuses ours by itself, if it is the peer. */
    return crossing->dial == CROSSING_UNSAID && !crossing->is_firm;
}

bool crossing_is_over(const struct crossing *crossing)
{
    switch (crossing->dial) {
    case CROSSING_NONE:
        return false;
    case CROSSING_UNSAID:
        return true;
    case CROSSING_SAID:
        /* The answer of a greater one would be nok or alive. */
        return !is_ours_greater(crossing);
    case CROSSING_ANSWERED:
        return false;
    }
    unreachable();
}

enum crossing_dial crossing_dial_of(const struct handshake *handshake)
{
    if (handshake == NULL || handshake->state == HANDSHAKE_SEND_NAME) {
        return CROSSING_UNSAID;
    }
    ensure(handshake->config.is_initiator);
    return handshake->state == HANDSHAKE_RECV_STATUS ? CROSSING_SAID
                                                     : CROSSING_ANSWERED;
}

bool crossing_is_unproven(const struct handshake *handshake, struct bytes name)
{
    ensure(!handshake->config.is_initiator);
    return (handshake->state == HANDSHAKE_RECV_ALIVE_REPLY ||
            handshake->state == HANDSHAKE_RECV_RESPONSE) &&
           bytes_equal(bytes_of_string(handshake->peer_name), name);
}
