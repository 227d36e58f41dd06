/* SPDX-License-Identifier: Apache-2.0
 * Accepts connections, and says what becomes of a peer that names itself. */
#include "base/ensure.h"
#include "base/err.h"
#include "io/peers_internal.h"
#include "io/sys.h"
#include "io/tls_link.h"

static int error_of(int uv_error)
{
    if (uv_error == UV_EADDRINUSE) {
        return ERR_IN_USE;
    }
    return uv_error == UV_EADDRNOTAVAIL || uv_error == UV_EINVAL ? ERR_BADARG
                                                                 : ERR_IO;
}

static void on_connection(uv_stream_t *stream, int status)
{
    struct peers *peers = (struct peers *)stream->data;

    if (status != 0) {
        /* Out of descriptors, most likely. libuv has closed the connection
         * and goes on listening. */
        log_line(LOG_WARN, "accept_failed", "reason=\"%s\"",
                 uv_strerror(status));
        return;
    }
    listener_accept(peers);
}

void listener_accept(struct peers *peers)
{
    void *listener = &peers->listener;
    struct peer *peer;
    int rv;

    peers->is_accept_due = false;
    if (peers->accepted_count >= PEERS_HANDSHAKES_MAX) {
        peer_fail_handshake(LIST_ENTRY(peers->accepted.next, struct peer, link),
                            "too many connections have not named themselves");
    }
    rv = peer_new(peers, PEER_ACCEPTED, &peer);
    if (rv != 0) {
        /* It stays where it is, and all others behind it. */
        peers->is_accept_due = true;
        log_line(LOG_WARN, "accept_failed", "reason=\"%s\"", err_text(rv));
        return;
    }
    peers->counters.accepted++;
    rv = uv_accept((uv_stream_t *)listener, peer_stream(peer));
    if (rv != 0) {
        peer_close(peer);
        return;
    }
    if (peer_start(peer, false) != 0) {
        peer_fail_handshake(peer, "out of memory");
    }
}

/* The port as bound; 0: unknown. */
static uint16_t bound_port(const uv_tcp_t *listener)
{
    struct sockaddr_storage storage = {0};
    const void *any = &storage;
    int size = sizeof(storage);

    if (uv_tcp_getsockname(listener, (struct sockaddr *)(void *)&storage,
                           &size) != 0) {
        return 0;
    }
    /* It is at the same place for both families. */
    return ntohs(((const struct sockaddr_in *)any)->sin_port);
}

static int bind_listener(struct peers *peers, const char *address,
                         uint16_t port)
{
    struct sockaddr_storage storage = {0};
    void *any = &storage;
    void *listener = &peers->listener;
    int rv;

    if (uv_ip4_addr(address, port, (struct sockaddr_in *)any) != 0 &&
        uv_ip6_addr(address, port, (struct sockaddr_in6 *)any) != 0) {
        return UV_EINVAL;
    }
    /* libuv sets SO_REUSEADDR and FD_CLOEXEC, and tells that the port is
     * taken when it listens. */
    if (uv_tcp_bind(&peers->listener, (const struct sockaddr *)any, 0) != 0) {
        return UV_EADDRNOTAVAIL;
    }
    rv = uv_listen((uv_stream_t *)listener, PEERS_BACKLOG, on_connection);
    if (rv != 0) {
        return rv;
    }
    peers->port = bound_port(&peers->listener);
    return peers->port == 0 ? UV_EIO : 0;
}

int listener_start(struct peers *peers, const char *address, uint16_t port)
{
    int rv;

    if (uv_tcp_init(loop_uv(peers->loop), &peers->listener) != 0) {
        return ERR_IO;
    }
    peers->listener.data = peers;
    peers->has_listener = true;
    peers->reference_count++;
    rv = bind_listener(peers, address, port);
    return rv == 0 ? 0 : error_of(rv);
}

enum handshake_verdict listener_verdict(void *arg, struct bytes name)
{
    struct peer *peer = (struct peer *)arg;
    struct peers *peers = peer->peers;
    struct dial *dial = dials_find(peers, name);

    if (peer->tls != NULL && !tls_link_may_be(peer->tls, name)) {
        peer->refusal = "the peer's certificate is of another node";
        return HANDSHAKE_NOT_ALLOWED;
    }
    if (map_get(&peers->names, name) != NULL) {
        return HANDSHAKE_ALIVE;
    }
    if (dial == NULL) {
        return HANDSHAKE_ACCEPT;
    }
    /* erl_dist_protocol: of two attempts that cross, the one of the greater
     * name goes on. Ours does not count before the peer can have seen it. */
    if (dial_has_sent_name(dial) &&
        bytes_compare(buf_bytes(&peers->name), name) > 0) {
        peer->is_crossed = true;
        return HANDSHAKE_NOK;
    }
    dial_fail(dial, "the peer's own attempt goes on");
    return HANDSHAKE_SIMULTANEOUS;
}
