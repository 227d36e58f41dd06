/* SPDX-License-Identifier: Apache-2.0
 * The lane of what may wait. Each write takes a bounded piece of it behind all
 * that is urgent: so the urgent never waits for more than one piece, and the
 * bulk is never starved. */
#include "base/ensure.h"
#include "io/peers_internal.h"

size_t peer_bulk_size(const struct peer *peer)
{
    return peer->bulk.size - peer->bulk_taken;
}

/* The whole frames in front that fit a piece; at least one. */
static size_t measure_piece(struct bytes bulk)
{
    size_t size = 0;

    while (size < bulk.size) {
        struct bytes frame;
        size_t used = 0;

        /* Only whole frames are appended. */
        ensure(frame_next(bytes_of(bulk.data + size, bulk.size - size),
                          FRAME_SIZE_MAX, &frame, &used) == 0);
        if (size > 0 && size + used > PEERS_BULK_MAX) {
            break;
        }
        size += used;
    }
    return size;
}

void peer_take_bulk(struct peer *peer)
{
    struct buf *bulk = &peer->bulk;
    struct bytes waiting =
        bytes_of(bulk->data + peer->bulk_taken, peer_bulk_size(peer));
    size_t size;

    /* A bounded piece is staged in a turn: what it has not come to yet must
     * not get more bulk in front of what is urgent later. */
    if (waiting.size == 0 ||
        (peer_is_staged(peer) &&
         peer->out.size - peer->out_staged + peer->insert_bytes >=
             PEERS_BULK_MAX)) {
        return;
    }
    size = measure_piece(waiting);
    buf_put(&peer->out, waiting.data, size);
    peer->bulk_taken += size;
    if (peer->bulk_taken == bulk->size) {
        peer_trim_output(bulk);
        peer->bulk_taken = 0;
    } else if (peer->bulk_taken > bulk->size / 2) {
        /* As many bytes are moved as were taken, at most. */
        buf_consume(bulk, peer->bulk_taken);
        peer->bulk_taken = 0;
    }
}

struct buf *peer_bulk(struct peer *peer)
{
    peer_mark_dirty(peer);
    return &peer->bulk;
}
