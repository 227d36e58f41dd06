/* SPDX-License-Identifier: Apache-2.0
 * What a leader knows of one other member, and what is in flight to it.
 *
 *   probing      the place where the logs meet is not known: one small append
 *                at a time, until one matches
 *   replicating  appends leave ahead of their answers, within the window
 *   snapshot     what it lacks is not in the log any more; raft/snapshot_send.c
 *                moves a snapshot */
#ifndef QUORATE_RAFT_PEER_H
#define QUORATE_RAFT_PEER_H

#include "raft/message.h"
#include "raft/raft.h"

#include <stdbool.h>
#include <stdint.h>

/* Bytes of entries in flight to one peer; one more message may pass it. */
enum { PEER_WINDOW_BYTES_MAX = 4 * 1024 * 1024 };

enum peer_state { PEER_PROBE, PEER_REPLICATE, PEER_SNAPSHOT };

struct peer_flight {
    uint64_t last; /* index of the last entry of the message */
    uint32_t size; /* bytes of its entries */
};

/* A snapshot on its way to a peer. */
struct transfer {
    struct raft_snapshot snapshot;
    uint64_t acked;       /* bytes that it has stored */
    uint64_t sent;        /* bytes that left */
    uint64_t progress_ms; /* its last answer about it */
    bool is_asking;       /* one chunk is out, to hear where it is */
};

/* All reads of a follower, for which it asks at once. */
struct peer_read {
    uint64_t id;    /* its number for them; 0: it asks for none */
    uint64_t index; /* committed when it asked */
    uint64_t round; /* that has to be confirmed; 0: one to come */
};

struct peer {
    uint64_t id;
    uint32_t roles;       /* bits of enum membership_role */
    uint64_t match;       /* its log is ours up to here, on its disk */
    uint64_t next;        /* index of the next entry to send */
    uint64_t commit_sent; /* the greatest commit index that it was told */
    uint64_t read_seq;    /* the last round of reads that it confirmed */
    struct peer_read read;
    uint64_t heard_ms;    /* its last answer to us as leader or candidate */
    uint64_t progress_ms; /* when it last got further, or came in */
    uint64_t
        leaving_ms;   /* when it was left out; means something without roles */
    bool is_heard;    /* heard_ms means something */
    bool has_granted; /* it voted for us in this (pre-)election */
    enum peer_state state;
    bool is_probe_sent;                          /* and not answered yet */
    struct transfer transfer;                    /* SNAPSHOT */
    struct peer_flight flights[RAFT_WINDOW_MAX]; /* ring */
    uint32_t flight_head;
    uint32_t flight_count;
    uint64_t flight_bytes; /* sum of sizes */
};

/* A leader's term begins: nothing is known, `next` is the first to try. */
void peer_begin_term(struct peer *peer, uint64_t next);

/* Back to probing from `next` on; what is in flight is forgotten. */
void peer_probe(struct peer *peer, uint64_t next);

bool peer_has_room(const struct peer *peer);

/* A message with entries up to `last` left. */
void peer_sent(struct peer *peer, uint64_t last, uint32_t size);

/* All up to `match` is on the peer's disk. */
void peer_matched(struct peer *peer, uint64_t match);

#endif
