/* SPDX-License-Identifier: Apache-2.0
 * The parts of quorate_peer among themselves: the node (quorate_peer.c) and
 * its functions (functions.c). */
#ifndef QUORATE_TEST_PEER_PEER_NODE_H
#define QUORATE_TEST_PEER_PEER_NODE_H

#include "base/buf.h"
#include "base/list.h"
#include "dist/inbox.h"
#include "io/loop.h"
#include "io/peers.h"

enum {
    PEER_ARGS_MAX = 4,
    PEER_EVENTS_SIZE_MAX = 16 * 1024 * 1024,
    PEER_VALUE_SIZE_MAX = 80 * 1024 * 1024,
    PEER_SLEEP_MS_MAX = 3600 * 1000,
};

/* A connected node. */
struct peer_link {
    struct inbox_peer inbox_peer;
    struct peer *peer;
};

struct peer_node {
    struct loop *loop;
    struct peers *peers;
    struct inbox inbox;
    struct list pending; /* of struct pending */
    struct buf events;   /* raw terms, one after the other */
    uint32_t event_count;
};

/* A call that is answered later: at its time, or when its own call elsewhere
 * has a result. */
struct pending {
    struct list link;
    struct peer_link *caller; /* NULL: gone */
    struct call *call;        /* owned */
    uint64_t due_ms;          /* UINT64_MAX: not by time */
    struct buf value;         /* the answer, if by time */
    struct buf reference;     /* of the call elsewhere */
};

/* What a function gives. */
struct answer {
    struct call_result result; /* type; value and stack are set at the end */
    struct buf value;
    struct buf stack;
    bool is_later;        /* to be answered later: */
    uint64_t delay_ms;    /* after this time, or UINT64_MAX */
    struct buf reference; /* or with the result of this call elsewhere */
};

/* Runs the function of a call: the answer, to be closed by answer_close(). */
void functions_call(struct peer_node *node, const struct call *call,
                    struct answer *ret_answer);
void answer_close(struct answer *answer);

/* Remembers an event for t:events/0. */
void functions_event(struct peer_node *node, const struct peer_link *link,
                     const struct inbox_event *event);

/* The outcome of a call elsewhere as a term: {return, V} and so on. */
void functions_put_outcome(const struct inbox_event *event, struct buf *out);

#endif
