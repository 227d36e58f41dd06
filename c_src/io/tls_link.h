/* SPDX-License-Identifier: Apache-2.0
 * One TLS connection without a socket: sealed bytes go in and come out, plain
 * bytes come out and go in. Private to io/.
 *
 *   socket ──feed──▶ ┌──────────┐ ──open──▶ handshake, frames
 *   socket ◀──take── │ tls_link │ ◀──seal── handshake, frames
 *                    └──────────┘
 */
#ifndef QUORATE_IO_TLS_LINK_H
#define QUORATE_IO_TLS_LINK_H

#include "io/tls.h"

#include <stddef.h>
#include <stdint.h>

struct tls_link;

/* `peer_name`: whom the initiator has dialled. ERR_NOMEM. */
int tls_link_new(struct tls *tls, bool is_initiator, struct bytes peer_name,
                 struct tls_link **ret_link) MUST_USE;
void tls_link_free(struct tls_link *link); /* NULL is allowed */

/* Gives what the socket had; tls_link_open() must follow until it has no more.
 * ERR_NOMEM. */
int tls_link_feed(struct tls_link *link, struct bytes sealed) MUST_USE;

/* The next plain bytes: 0 with none of them if more must be fed. ERR_CLOSED:
 * the peer has ended the connection in order; ERR_REFUSED or ERR_MALFORMED:
 * it has failed, tls_link_failure() says why; what is to be taken is the alert
 * that tells the peer. */
int tls_link_open(struct tls_link *link, uint8_t *room, size_t room_size,
                  size_t *ret_size) MUST_USE;

/* Whether the handshake of TLS is done and the peer's certificate verified. */
bool tls_link_is_ready(const struct tls_link *link);

/* Why it failed: a text that lives for ever. */
const char *tls_link_failure(const struct tls_link *link);

/* Seals plain bytes; says how many were taken: none before it is ready.
 * ERR_MALFORMED: it has failed. */
int tls_link_seal(struct tls_link *link, struct bytes plain,
                  size_t *ret_taken) MUST_USE;

/* Appends what is to be sent. */
void tls_link_take(struct tls_link *link, struct buf *out);

/* Whether the peer may call itself so, by the rules of io/tls_names.h. Always
 * true if names are not verified. Ready links only. */
bool tls_link_may_be(const struct tls_link *link, struct bytes node_name);

/* The role in the peer's certificate: "member", "worker", "client" or "". */
struct bytes tls_link_role(const struct tls_link *link);

#endif
