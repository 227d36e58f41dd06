/* SPDX-License-Identifier: Apache-2.0
 * One connection: how it begins and how it ends. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "io/peers_internal.h"
#include "io/sys.h"
#include "io/tls_link.h"

void peer_mark_dirty(struct peer *peer)
{
    if (list_is_empty(&peer->dirty)) {
        list_append(&peer->peers->dirty, &peer->dirty);
    }
}

uv_stream_t *peer_stream(struct peer *peer)
{
    return (uv_stream_t *)(void *)&peer->tcp;
}

/* --- Ends ----------------------------------------------------------------- */

static void on_close(uv_handle_t *handle)
{
    struct peer *peer = (struct peer *)handle->data;
    struct peers *peers = peer->peers;

    mem_free(peer->handshake);
    tls_link_free(peer->tls);
    buf_close(&peer->input);
    buf_close(&peer->out);
    buf_close(&peer->bulk);
    buf_close(&peer->staged);
    peer_drop_inserts(peer);
    buf_close(&peer->writing);
    mem_free(peer);
    ensure(peers->connection_count > 0);
    peers->connection_count--;
    peers_release(peers);
}

void peer_leave(struct peer *peer)
{
    list_remove(&peer->link);
    if (peer->stage == PEER_ACCEPTED) {
        ensure(peer->peers->accepted_count > 0);
        peer->peers->accepted_count--;
        listener_wait_no_more(peer);
    }
}

void peer_close(struct peer *peer)
{
    if (peer->stage == PEER_CLOSED) {
        return;
    }
    ensure(peer->stage != PEER_UP);
    if (peer->stage == PEER_ACCEPTED && !list_is_empty(&peer->peers->dials)) {
        loop_again(peer->peers->loop); /* one may have made way for it */
    }
    peer_write_last(peer);
    peer_leave(peer);
    list_remove(&peer->dirty);
    list_remove(&peer->paused);
    peer->stage = PEER_CLOSED;
    uv_close((uv_handle_t *)&peer->tcp, on_close);
}

void peer_end(struct peer *peer, enum peers_end end, const char *reason)
{
    struct peers *peers = peer->peers;

    ensure(peer->stage == PEER_UP);
    peers->counters.ended[end]++;
    if (end >= PEERS_END_INPUT) {
        peers->counters.cut++;
        log_line(LOG_WARN, "peer_cut", "peer=%.*s reason=\"%s\"",
                 (int)peer->name_size, peer->name, reason);
    }
    ensure(map_remove(&peers->names, peer_name(peer)) == peer);
    peer_leave(peer);
    peer->stage = PEER_CUT;
    peer->cut_reason = reason;
    (void)uv_read_stop(peer_stream(peer)); /* cannot fail */
    list_append(&peers->cuts, &peer->link);
    loop_again(peers->loop);
}

void peer_cut(struct peer *peer, const char *reason)
{
    if (peer->stage == PEER_UP) {
        peer_end(peer, PEERS_END_INPUT, reason);
    }
}

void peer_cut_for_memory(struct peer *peer)
{
    if (peer->stage == PEER_UP) {
        peer_end(peer, PEERS_END_MEMORY, "out of memory");
    }
}

void peer_cut_for_silence(struct peer *peer)
{
    if (peer->stage == PEER_UP) {
        peer_end(peer, PEERS_END_SILENT, "the peer is silent");
    }
}

bool peer_traffic(const struct peer *peer, struct sys_tcp_traffic *ret_traffic)
{
    uv_os_fd_t fd;

    return uv_fileno((const uv_handle_t *)&peer->tcp, &fd) == 0 &&
           sys_tcp_traffic(fd, ret_traffic);
}

/* Whether a link to the one that this peer dials is up already. */
static bool is_linked(void *arg)
{
    const struct peer *peer = (const struct peer *)arg;

    return peers_find(peer->peers, peer_name(peer)) != NULL;
}

static void log_handshake(const struct peer *peer, const char *reason)
{
    const struct handshake *handshake = peer->handshake;
    const char *name = handshake == NULL ? "" : handshake->peer_name;
    struct sockaddr_storage address = {0};
    int size = sizeof(address);
    char text[INET6_ADDRSTRLEN] = "-";

    if (uv_tcp_getpeername(&peer->tcp, (struct sockaddr *)(void *)&address,
                           &size) == 0) {
        /* Leaves the text as it is if it cannot. */
        (void)uv_ip_name((struct sockaddr *)(void *)&address, text,
                         sizeof(text));
    }
    log_line(LOG_WARN, "handshake_failed",
             "peer=\"%s\" address=%s reason=\"%s\"", name, text, reason);
}

void peer_fail_handshake(struct peer *peer, const char *reason)
{
    ensure(peer->stage == PEER_ACCEPTED || peer->stage == PEER_DIALLED);
    if (peer->is_crossed) {
        peer_close(peer); /* nothing is wrong: the two have one link */
        return;
    }
    if (peer->stage == PEER_DIALLED && is_linked(peer)) {
        dial_free(peer->dial); /* nor is it here; closes the peer */
        return;
    }
    peer->peers->counters.handshakes_failed++;
    reason = peer->refusal == NULL ? reason : peer->refusal;
    if (peer->stage == PEER_DIALLED) {
        dial_lose(peer->dial, reason); /* closes the peer */
        return;
    }
    log_handshake(peer, reason);
    peer_close(peer);
}

/* Whether the peer has closed one of two connections, having the other. */
static bool is_needless(const struct peer *peer)
{
    struct peers *peers = peer->peers;
    struct crossing crossing;
    struct bytes name;

    if (peer->stage != PEER_ACCEPTED || peer->handshake == NULL) {
        return false;
    }
    name = bytes_of_string(peer->handshake->peer_name);
    if (name.size == 0) {
        return false;
    }
    crossing = peers_crossing(peers, name, dials_find(peers, name));
    return crossing.is_linked || crossing.dial == CROSSING_ANSWERED;
}

/* The connection broke, by no fault in what the peer said. */
void peer_break(struct peer *peer, const char *reason)
{
    switch (peer->stage) {
    case PEER_ACCEPTED:
    case PEER_DIALLED:
        if (is_needless(peer)) {
            peer_close(peer);
            return;
        }
        if (peer->handshake != NULL &&
            peer->handshake->state == HANDSHAKE_RECV_ACK) {
            /* All that an Erlang node does about a wrong cookie is to close. */
            reason = "the peer closed the connection: it may have another "
                     "cookie";
        } else if (peer->handshake != NULL && peer->tls == NULL &&
                   peer->handshake->state == HANDSHAKE_RECV_STATUS) {
            reason = "the peer closed the connection: it may speak TLS only";
        }
        peer_fail_handshake(peer, reason);
        break;
    case PEER_UP:
        peer_end(peer, PEERS_END_CLOSED, reason);
        break;
    case PEER_CUT:
    case PEER_CLOSED:
        break;
    }
}

void peer_starve(struct peer *peer)
{
    peer_cut_for_memory(peer);
    peer_break(peer, "out of memory"); /* if it was not up yet */
}

/* --- Life and public API -------------------------------------------------- */

int peer_new(struct peers *peers, enum peer_stage stage, struct peer **ret_peer)
{
    struct peer *peer;

    if (peers->connection_count >= PEERS_CONNECTIONS_MAX) {
        return ERR_LIMIT;
    }
    peer = mem_alloc(sizeof(*peer));
    if (peer == NULL) {
        return ERR_NOMEM;
    }
    if (uv_tcp_init(loop_uv(peers->loop), &peer->tcp) != 0) {
        mem_free(peer);
        return ERR_IO;
    }
    peer->tcp.data = peer;
    peer->peers = peers;
    peer->stage = stage;
    list_init(&peer->link);
    list_init(&peer->dirty);
    list_init(&peer->paused);
    list_init(&peer->waiting);
    list_init(&peer->inserts);
    buf_init(&peer->input, PEERS_INPUT_MAX);
    buf_init(&peer->out, PEERS_OUT_HARD_MAX);
    buf_init(&peer->bulk, PEERS_OUT_HARD_MAX);
    buf_init(&peer->writing, PEERS_OUT_HARD_MAX);
    buf_init(&peer->staged, PEERS_OUT_HARD_MAX);
    peer->started_ms = loop_now_ms(peer->peers->loop);
    if (stage == PEER_ACCEPTED) {
        list_append(&peers->accepted, &peer->link);
        peers->accepted_count++;
        listener_wait(peer);
    }
    peers->connection_count++;
    peers->reference_count++;
    *ret_peer = peer;
    return 0;
}

int peer_start(struct peer *peer, bool is_initiator)
{
    struct handshake_config config = peers_handshake_config(peer->peers);
    int rv;

    peer->handshake = mem_alloc(sizeof(*peer->handshake));
    if (peer->handshake == NULL) {
        return ERR_NOMEM;
    }
    config.is_initiator = is_initiator;
    config.is_wide = peer->peers->tls != NULL;
    config.peer_name = peer_name(peer);
    config.verdict = listener_verdict;
    config.verdict_arg = peer;
    config.is_linked = is_linked;
    config.is_linked_arg = peer;
    peer->received_ms = loop_now_ms(peer->peers->loop);
    peer->sent_ms = peer->received_ms;
    rv = handshake_init(peer->handshake, &config, &peer->out);
    if (rv != 0) {
        return rv;
    }
    if (peer->peers->tls != NULL) {
        rv = tls_link_new(peer->peers->tls, is_initiator, peer_name(peer),
                          &peer->tls);
        if (rv != 0) {
            return rv;
        }
    }
    peer_mark_dirty(peer);
    /* Without these two a link is slower, not wrong. */
    (void)uv_tcp_nodelay(&peer->tcp, 1);
    (void)uv_tcp_keepalive(&peer->tcp, 1, PEERS_KEEPALIVE_S);
    rv = peer_read_start(peer);
    if (rv == 0 && peer->tls != NULL) {
        peer_take_sealed(peer,
                         bytes_of(NULL, 0)); /* begins, if it is ours to */
    }
    return rv;
}

struct bytes peer_name(const struct peer *peer)
{
    return bytes_of(peer->name, peer->name_size);
}

uint64_t peer_flags(const struct peer *peer)
{
    return peer->flags;
}

uint32_t peer_creation(const struct peer *peer)
{
    return peer->creation;
}

struct bytes peer_certificate_role(const struct peer *peer)
{
    return peer->tls == NULL ? bytes_of_string("") : tls_link_role(peer->tls);
}

void peer_set_paced(struct peer *peer, bool is_paced)
{
    peer->is_paced = is_paced;
}

void peer_set_data(struct peer *peer, void *data)
{
    peer->data = data;
}

void *peer_data(const struct peer *peer)
{
    return peer->data;
}
