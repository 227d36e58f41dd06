/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/peer.h"

#include "base/ensure.h"

void peer_probe(struct peer *peer, uint64_t next)
{
    ensure(next > peer->match);
    peer->next = next;
    peer->state = PEER_PROBE;
    peer->is_probe_sent = false;
    peer->flight_head = 0;
    peer->flight_count = 0;
    peer->flight_bytes = 0;
}

void peer_begin_term(struct peer *peer, uint64_t next)
{
    peer->match = 0;
    peer->commit_sent = 0;
    peer->read_seq = 0;
    peer->read = (struct peer_read){.id = 0};
    peer_probe(peer, next);
}

bool peer_has_room(const struct peer *peer)
{
    return peer->flight_count < RAFT_WINDOW_MAX &&
           peer->flight_bytes < PEER_WINDOW_BYTES_MAX;
}

void peer_sent(struct peer *peer, uint64_t last, uint32_t size)
{
    uint32_t position = peer->flight_head + peer->flight_count;

    ensure(peer->state == PEER_REPLICATE);
    ensure(peer_has_room(peer));
    ensure(last >= peer->next);
    peer->flights[position % RAFT_WINDOW_MAX] =
        (struct peer_flight){.last = last, .size = size};
    peer->flight_count++;
    peer->flight_bytes += size;
    peer->next = last + 1;
}

void peer_matched(struct peer *peer, uint64_t match)
{
    if (match > peer->match) {
        peer->match = match;
    }
    while (peer->flight_count > 0 &&
           peer->flights[peer->flight_head].last <= peer->match) {
        peer->flight_bytes -= peer->flights[peer->flight_head].size;
        peer->flight_head = (peer->flight_head + 1) % RAFT_WINDOW_MAX;
        peer->flight_count--;
    }
    if ((peer->state == PEER_PROBE && peer->match + 1 >= peer->next) ||
        (peer->state == PEER_SNAPSHOT &&
         peer->match >= peer->transfer.snapshot.index)) {
        peer->state = PEER_REPLICATE;
        peer->is_probe_sent = false;
    }
    if (peer->next <= peer->match) {
        peer->next = peer->match + 1;
    }
}
