/* SPDX-License-Identifier: Apache-2.0
 * Big messages between two members, cut into parts, so that what is small
 * never waits behind more than a window of what is big:
 *
 *   {quorate, 1, part, {Stream, Offset, Total, Bin}}   of the raw message
 *   {quorate, 1, part_ack, {Stream, Offset}}           has arrived up to there
 *
 * One `struct parts` for each link, both directions. Streams take turns, a
 * part each. The link is reliable and keeps its order; when it is lost both
 * sides drop what was under way. Pure.
 *
 * Streams are numbered upwards from 1. Total is a claim: the receiver has
 * memory for about twice of what has arrived, and looks at it as it comes. */
#ifndef QUORATE_DIST_PARTS_H
#define QUORATE_DIST_PARTS_H

#include "base/attr.h"
#include "base/blob.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/list.h"
#include "dist/frame.h"
#include "dist/inbox.h"

#include <stdint.h>

enum {
    PARTS_MESSAGE_MIN = 64 * 1024, /* bytes of a body: greater ones are cut */
    PARTS_PART_MAX = 64 * 1024,    /* bytes in one part */
    PARTS_WINDOW = 256 * 1024,     /* bytes not acknowledged, of a link */
    PARTS_STREAM_MAX = FRAME_SIZE_MAX,      /* bytes of one message */
    PARTS_STREAMS_MAX = 64,                 /* under way, of one direction */
    PARTS_BYTES_MAX = 4 * PARTS_STREAM_MAX, /* of all streams, idem */
};

struct parts {
    struct list ready;     /* of outgoing streams: have bytes to send */
    struct list sent;      /* of outgoing streams: acknowledgements lack */
    struct list arriving;  /* of incoming streams */
    uint64_t stream_last;  /* number of our last stream */
    uint64_t arrived_last; /* number of the last stream of the peer */
    size_t in_flight;      /* bytes sent and not acknowledged */
    uint32_t out_count;    /* outgoing streams */
    uint32_t in_count;     /* incoming streams */
    size_t out_bytes;      /* of all outgoing streams */
    size_t in_bytes;       /* claimed, of all incoming streams */
};

void parts_init(struct parts *parts);

/* Drops all that is under way. */
void parts_close(struct parts *parts);

/* The bytes of a raw message, in this order. */
struct parts_message {
    struct bytes head; /* at most PARTS_PART_MAX; copied */
    struct bytes body; /* lies in `blob`, and is not empty */
    struct blob *blob; /* held until all is sent */
    struct bytes end;  /* at most PARTS_PART_MAX; copied */
};

/* Queues a raw message, and sends what the window allows. ERR_LIMIT: too long;
 * ERR_BUSY: too much is under way; ERR_NOMEM. */
int parts_send(struct parts *parts, struct inbox *inbox,
               const struct parts_message *message, struct buf *out) MUST_USE;

/* The body of a `part`; acknowledges it. 0 with the whole and validated
 * message if this was its last part, else NULL; the caller releases it.
 * ERR_MALFORMED, ERR_LIMIT, ERR_TRUNCATED: the sender is at fault;
 * ERR_NOMEM. */
int parts_receive(struct parts *parts, struct inbox *inbox, struct bytes body,
                  struct buf *out, struct blob **ret_message) MUST_USE;

/* The body of a `part_ack`; sends what the window then allows. ERR_MALFORMED:
 * the sender is at fault. */
int parts_acknowledge(struct parts *parts, struct inbox *inbox,
                      struct bytes body, struct buf *out) MUST_USE;

#endif
