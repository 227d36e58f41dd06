/* SPDX-License-Identifier: Apache-2.0
 * The port mapper's protocol as a client speaks it (erts: erl_dist_protocol,
 * "EPMD Protocol"). A registration lasts as long as its connection.
 *
 * Decoders take what has arrived so far: ERR_TRUNCATED if more must come. */
#ifndef QUORATE_DIST_EPMD_H
#define QUORATE_DIST_EPMD_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

enum {
    EPMD_PORT = 4369,
    EPMD_VERSION = 6,         /* of the handshake; the only one we speak */
    EPMD_RESPONSE_MAX = 2048, /* bytes; more than any valid answer has */
    EPMD_HIDDEN = 72,
    EPMD_VISIBLE = 77,
};

/* Registers the hidden node `alive` (the name before the '@'). */
void epmd_encode_alive(struct buf *out, struct bytes alive, uint16_t port);

/* The answer to a registration: 0 with the creation, or ERR_TRUNCATED,
 * ERR_MALFORMED, ERR_REFUSED (the name is taken). */
int epmd_decode_alive(struct bytes input, uint32_t *ret_creation,
                      size_t *ret_used) MUST_USE;

/* Asks for the port of a node. */
void epmd_encode_port(struct buf *out, struct bytes alive);

struct epmd_node {
    struct bytes alive; /* borrowed from the input */
    uint16_t port;
    uint8_t type; /* EPMD_HIDDEN, EPMD_VISIBLE; others are not refused */
    uint8_t protocol;
    uint16_t version_high;
    uint16_t version_low;
};

/* The answer: 0, or ERR_TRUNCATED, ERR_MALFORMED, ERR_NOT_FOUND (no such
 * node), ERR_UNSUPPORTED (it cannot speak our handshake). */
int epmd_decode_port(struct bytes input, struct epmd_node *ret_node,
                     size_t *ret_used) MUST_USE;

#endif
