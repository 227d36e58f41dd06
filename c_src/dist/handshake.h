/* SPDX-License-Identifier: Apache-2.0
 * The distribution handshake, version 6, in both roles, as a pure machine over
 * bytes (erts: erl_dist_protocol, "Distribution Handshake").
 *
 *   initiator                      acceptor
 *     N name        ───────────▶
 *                   ◀───────────   s status          (s alive ▶ s true/false)
 *                   ◀───────────   N challenge
 *     r response    ───────────▶
 *                   ◀───────────   a acknowledgement
 *
 * The shell gives it what arrives and sends what it appends to `out`. */
#ifndef QUORATE_DIST_HANDSHAKE_H
#define QUORATE_DIST_HANDSHAKE_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    HANDSHAKE_NODE_NAME_MAX = 255, /* bytes */
    HANDSHAKE_COOKIE_MAX = 255,    /* bytes */
    HANDSHAKE_PACKET_MAX = 1024,   /* bytes; longer ones are refused */
    HANDSHAKE_DIGEST_SIZE = 16,
    HANDSHAKE_TIMEOUT_MS = 7000,
};

/* MD5 of `data`; given by the shell, since cryptography is a library's work. */
typedef void handshake_digest_fn(struct bytes data,
                                 uint8_t ret_digest[HANDSHAKE_DIGEST_SIZE]);

/* What the acceptor does about a peer that dials in under `name`. */
enum handshake_verdict {
    HANDSHAKE_ACCEPT,       /* ok */
    HANDSHAKE_SIMULTANEOUS, /* ok_simultaneous: our own attempt makes way */
    HANDSHAKE_NOK,          /* our own attempt under way wins */
    HANDSHAKE_ALIVE,        /* a link to that name is up: ask which one lives */
    HANDSHAKE_NOT_ALLOWED,
};
typedef enum handshake_verdict handshake_verdict_fn(void *arg,
                                                    struct bytes name);

/* Whether the initiator has a link to the peer already, which the peer asks
 * when it has one: if so, that one is kept. */
typedef bool handshake_is_linked_fn(void *arg);

/* The cookie that is shared with the peer of that name, once it is known; at
 * most HANDSHAKE_COOKIE_MAX bytes, borrowed until the next call. */
typedef struct bytes handshake_cookie_fn(void *arg, struct bytes peer_name);

struct handshake_config {
    bool is_initiator;
    bool is_wide;           /* 4-byte lengths (TLS) instead of 2 */
    struct bytes name;      /* own node name; borrowed for the handshake */
    struct bytes peer_name; /* initiator: who was dialled; borrowed */
    uint64_t flags;         /* offered: dist/flags.h */
    uint32_t creation;      /* own */
    uint32_t challenge;     /* random; from the shell */
    handshake_digest_fn *digest;
    handshake_cookie_fn *cookie;
    void *cookie_arg;
    handshake_verdict_fn *verdict; /* acceptor */
    void *verdict_arg;
    handshake_is_linked_fn *is_linked; /* initiator; NULL: it has none */
    void *is_linked_arg;
};

enum handshake_state {
    HANDSHAKE_SEND_NAME,
    HANDSHAKE_RECV_STATUS,
    HANDSHAKE_RECV_CHALLENGE,
    HANDSHAKE_RECV_ACK,
    HANDSHAKE_RECV_NAME,
    HANDSHAKE_RECV_ALIVE_REPLY,
    HANDSHAKE_RECV_RESPONSE,
    HANDSHAKE_DONE,
    HANDSHAKE_FAILED,
};

struct handshake {
    struct handshake_config config;
    enum handshake_state state;
    const char *failure; /* static text once FAILED, for logs and counters */
    char peer_name[HANDSHAKE_NODE_NAME_MAX + 1]; /* once known */
    uint64_t peer_flags;
    uint32_t peer_creation;
};

/* Starts; the initiator's first packet is appended to `out`. */
int handshake_init(struct handshake *handshake,
                   const struct handshake_config *config,
                   struct buf *out) MUST_USE;

/* Takes as many whole packets from `input` as there are, appends answers to
 * `out`, tells how many bytes were used (the rest comes again with more).
 * Stops at DONE: bytes after that belong to the link. 0, or an error with the
 * state FAILED and `failure` set: ERR_AUTH, ERR_REFUSED, ERR_MALFORMED,
 * ERR_UNSUPPORTED, ERR_LIMIT, ERR_NOMEM. `out` may hold a last answer (nok,
 * not_allowed) to send before closing. */
int handshake_input(struct handshake *handshake, struct bytes input,
                    struct buf *out, size_t *ret_used) MUST_USE;

#endif
