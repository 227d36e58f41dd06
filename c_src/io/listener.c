/* SPDX-License-Identifier: Apache-2.0
 * Accepts connections, and says what becomes of a peer that names itself. */
#include "base/ensure.h"
#include "base/err.h"
#include "io/peers_internal.h"
#include "io/sys.h"
#include "io/tls_link.h"

#include <sys/resource.h>

enum {
    /* Connections, and as many again for files and what else there is. */
    DESCRIPTORS_WANTED = 2 * PEERS_CONNECTIONS_MAX,
    DESCRIPTORS_SHARE = 4, /* handshakes have this part of what there is */
};

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

/* Many addresses share a bucket, but nobody can choose with whom. */
static uint8_t origin_of(const struct peers *peers, const uv_tcp_t *tcp)
{
    struct sockaddr_storage storage = {0};
    void *any = &storage;
    const struct sockaddr_in *v4 = any;
    const struct sockaddr_in6 *v6 = any;
    int size = sizeof(storage);
    uint64_t hash = peers->origin_seed;
    const uint8_t *bytes = (const uint8_t *)&v4->sin_addr;
    size_t count = sizeof(v4->sin_addr);

    if (uv_tcp_getpeername(tcp, (struct sockaddr *)any, &size) != 0) {
        return 0;
    }
    if (storage.ss_family == AF_INET6) {
        /* Whoever has one address has the network of it. */
        bytes = (const uint8_t *)&v6->sin6_addr;
        count = sizeof(v6->sin6_addr) / 2;
    }
    for (size_t i = 0; i < count; i++) {
        hash = (hash ^ bytes[i]) * UINT64_C(0x9e3779b97f4a7c15);
        hash ^= hash >> 32;
    }
    return (uint8_t)(hash % PEERS_ORIGINS);
}

static bool has_name(const struct peer *peer)
{
    return peer->handshake != NULL &&
           peer->handshake->state != HANDSHAKE_RECV_NAME;
}

void listener_wait(struct peer *peer)
{
    struct peers_origin *origin = &peer->peers->origins[peer->origin];

    peer->is_named = has_name(peer);
    list_append(peer->is_named ? &origin->named : &origin->nameless,
                &peer->waiting);
    origin->count++;
}

void listener_wait_no_more(struct peer *peer)
{
    struct peers_origin *origin = &peer->peers->origins[peer->origin];

    ensure(origin->count > 0);
    list_remove(&peer->waiting);
    origin->count--;
}

void listener_heard(struct peer *peer)
{
    if (peer->stage == PEER_ACCEPTED && !peer->is_named && has_name(peer)) {
        listener_wait_no_more(peer);
        listener_wait(peer);
    }
}

/* Who goes when there are too many: of those from where most come, the first
 * that has not said its name, else the first that has. A flood from one place
 * costs those from other places nothing, and a silent one costs nobody. */
static struct peer *give_way(struct peers *peers)
{
    struct peers_origin *most = &peers->origins[0];
    const struct list *from;

    for (size_t i = 1; i < PEERS_ORIGINS; i++) {
        most =
            peers->origins[i].count > most->count ? &peers->origins[i] : most;
    }
    from = list_is_empty(&most->nameless) ? &most->named : &most->nameless;
    ensure(!list_is_empty(from));
    return LIST_ENTRY(from->next, struct peer, waiting);
}

static void set_origin(struct peer *peer)
{
    listener_wait_no_more(peer);
    peer->origin = origin_of(peer->peers, &peer->tcp);
    listener_wait(peer);
}

void listener_accept(struct peers *peers)
{
    void *listener = &peers->listener;
    struct peer *peer;
    int rv;

    peers->is_accept_due = false;
    if (peers->turn_accepts >= PEERS_ACCEPTS_MAX) {
        peers->is_accept_held = true;
        return;
    }
    peers->is_accept_held = false;
    peers->turn_accepts++;
    if (peers->accepted_count >= peers->handshakes_max) {
        peer_fail_handshake(give_way(peers),
                            "too many handshakes are under way");
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
    set_origin(peer);
    if (peer_start(peer, false) != 0) {
        peer_fail_handshake(peer, "out of memory");
    }
}

void listener_resume(struct peers *peers)
{
    if (peers->is_accept_held && peers->turn_accepts == 0) {
        listener_accept(peers);
    }
}

void listener_end_turn(struct peers *peers)
{
    peers->turn_accepts = 0;
    if (peers->is_accept_held) {
        loop_again(peers->loop);
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

/* Many systems give a process no more descriptors than there may be handshakes,
 * and allow it to take more. */
static void find_handshakes_max(struct peers *peers)
{
    struct rlimit limit = {.rlim_cur = DESCRIPTORS_SHARE};
    rlim_t share;

    (void)getrlimit(RLIMIT_NOFILE, &limit); /* cannot fail */
    if (limit.rlim_cur < DESCRIPTORS_WANTED) {
        rlim_t had = limit.rlim_cur;

        limit.rlim_cur = limit.rlim_max < DESCRIPTORS_WANTED
                             ? limit.rlim_max
                             : DESCRIPTORS_WANTED;
        limit.rlim_cur =
            setrlimit(RLIMIT_NOFILE, &limit) == 0 ? limit.rlim_cur : had;
    }
    share = limit.rlim_cur / DESCRIPTORS_SHARE;
    peers->handshakes_max =
        share < PEERS_HANDSHAKES_MAX ? (size_t)share : PEERS_HANDSHAKES_MAX;
    peers->handshakes_max += peers->handshakes_max == 0 ? 1 : 0;
}

int listener_start(struct peers *peers, const char *address, uint16_t port)
{
    int rv;

    if (uv_tcp_init(loop_uv(peers->loop), &peers->listener) != 0) {
        return ERR_IO;
    }
    peers->listener.data = peers;
    find_handshakes_max(peers);
    for (size_t i = 0; i < PEERS_ORIGINS; i++) {
        list_init(&peers->origins[i].nameless);
        list_init(&peers->origins[i].named);
    }
    sys_random(&peers->origin_seed, sizeof(peers->origin_seed));
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
    struct crossing crossing = peers_crossing(peers, name, dial);
    enum handshake_verdict verdict = crossing_verdict(&crossing);

    if (peer->tls != NULL && !tls_link_may_be(peer->tls, name)) {
        peer->refusal = "the peer's certificate is of another node";
        return HANDSHAKE_NOT_ALLOWED;
    }
    if (verdict == HANDSHAKE_NOK) {
        peer->is_crossed = true;
        dial_refuses(dial);
    } else if (verdict == HANDSHAKE_SIMULTANEOUS && crossing_holds(&crossing)) {
        dial_hold(dial);
    }
    return verdict;
}

static bool is_unproven(const struct peer *peer, struct bytes name)
{
    return peer->handshake != NULL &&
           crossing_is_unproven(peer->handshake, name);
}

bool listener_has_unproven(const struct peers *peers, struct bytes name)
{
    LIST_FOREACH (node, &peers->accepted) {
        if (is_unproven(LIST_ENTRY(node, struct peer, link), name)) {
            return true;
        }
    }
    return false;
}

void listener_drop_unproven(struct peers *peers, struct bytes name)
{
    struct list *next;

    for (struct list *node = peers->accepted.next; node != &peers->accepted;
         node = next) {
        struct peer *peer = LIST_ENTRY(node, struct peer, link);

        next = node->next;
        if (is_unproven(peer, name)) {
            peer_close(peer);
        }
    }
}
