/* SPDX-License-Identifier: Apache-2.0
 * A connection over TLS: between the socket and what is read and written on a
 * plain one. What goes out is in peer_staged.c. */
#include "base/err.h"
#include "io/peers_internal.h"
#include "io/tls_link.h"

static bool is_open(const struct peer *peer)
{
    return peer->stage != PEER_CUT && peer->stage != PEER_CLOSED;
}

/* Whom we have dialled must be who has answered, before it is told anything. */
static bool is_whom_we_dialled(struct peer *peer)
{
    if (peer->stage != PEER_DIALLED ||
        tls_link_may_be(peer->tls, peer_name(peer))) {
        return true;
    }
    peer_fail_handshake(peer, "the peer's certificate is of another node");
    return false;
}

/* The next plain bytes, handed on: 0 with their number, or an error. */
static int open_next(struct peer *peer, size_t *ret_size)
{
    struct peers *peers = peer->peers;
    bool was_ready = tls_link_is_ready(peer->tls);
    int rv =
        tls_link_open(peer->tls, peers->plain_room, PEERS_READ_SIZE, ret_size);

    if (!was_ready && tls_link_is_ready(peer->tls) &&
        !is_whom_we_dialled(peer)) {
        *ret_size = 0;
        return 0;
    }
    if (rv == 0 && *ret_size > 0) {
        peer_take_plain(peer, bytes_of(peers->plain_room, *ret_size));
    }
    return rv;
}

void peer_take_sealed(struct peer *peer, struct bytes sealed)
{
    size_t size = 0;
    int rv = sealed.size > 0 ? tls_link_feed(peer->tls, sealed) : 0;

    do {
        rv = rv != 0 ? rv : open_next(peer, &size);
    } while (rv == 0 && size > 0 && is_open(peer));
    if (!is_open(peer)) {
        return;
    }
    tls_link_take(peer->tls, &peer->staged);
    if (peer->staged.size > 0 || tls_link_is_ready(peer->tls)) {
        peer_mark_dirty(peer);
    }
    if (rv == ERR_CLOSED) {
        peer_break(peer, "the peer closed the connection");
    } else if (rv == ERR_NOMEM) {
        peer_starve(peer);
    } else if (rv != 0) {
        peer_break(peer, tls_link_failure(peer->tls));
    }
}
