/* SPDX-License-Identifier: Apache-2.0
 * What keeps one busy peer from starving the others.
 *
 * Of frames that are longer than the read buffer the shell is shown each piece
 * when it has come, so that it need not look at all of the frame at once. After
 * such a piece, or when it has had its share of a turn, a peer is not read
 * until the next turn: others have theirs in between. */
#include "base/ensure.h"
#include "base/err.h"
#include "io/peers_internal.h"

static bool has_long_frame(const struct peer *peer)
{
    return peer->input.size >= FRAME_HEADER_SIZE &&
           peer->input_need > FRAME_HEADER_SIZE + PEERS_READ_SIZE;
}

void peer_give_piece(struct peer *peer)
{
    struct peers *peers = peer->peers;
    struct bytes arrived = buf_bytes(&peer->input);

    if (!has_long_frame(peer) || peers->callbacks.piece == NULL) {
        return;
    }
    ensure(arrived.size <= peer->input_need);
    peers->callbacks.piece(peers->arg, peer,
                           bytes_of(arrived.data + FRAME_HEADER_SIZE,
                                    arrived.size - FRAME_HEADER_SIZE),
                           peer->input_need - FRAME_HEADER_SIZE);
}

struct blob *peer_take_frame(struct peer *peer)
{
    return has_long_frame(peer) ? blob_take(&peer->input) : NULL;
}

void peer_count_input(struct peer *peer, size_t size)
{
    if (peer->turn != peer->peers->turn) {
        peer->turn = peer->peers->turn;
        peer->turn_bytes = 0;
    }
    peer->turn_bytes += size;
    if (peer->turn_bytes >= PEERS_TURN_SIZE && peer->stage == PEER_UP &&
        list_is_empty(&peer->paused)) {
        peer_pause(peer);
    }
}

void peer_pause(struct peer *peer)
{
    (void)uv_read_stop(peer_stream(peer)); /* cannot fail */
    list_append(&peer->peers->paused, &peer->paused);
}

bool peer_is_paused(const struct peer *peer)
{
    return !list_is_empty(&peer->paused);
}

void peers_resume(struct peers *peers)
{
    struct list *node;

    peers->turn++;
    while ((node = list_take_first(&peers->paused)) != NULL) {
        struct peer *peer = LIST_ENTRY(node, struct peer, paused);

        if (peer->stage == PEER_UP && peer_read_start(peer) != 0) {
            peer_break(peer, "the connection cannot be read");
        }
    }
}
