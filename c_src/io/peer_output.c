/* SPDX-License-Identifier: Apache-2.0
 * What a connection sends. Output is gathered in one buffer and tried at the
 * end of the turn; what the socket does not take goes to libuv in that buffer,
 * and a second one gathers meanwhile. */
#include "base/err.h"
#include "dist/flags.h"
#include "io/peers_internal.h"
#include "io/tls_link.h"

void peer_trim_output(struct buf *buf)
{
    if (buf->capacity > PEERS_OUT_KEEP_MAX) {
        buf_close(buf);
    } else {
        buf_clear(buf);
    }
}

static void count_sent(struct peer *peer, size_t size)
{
    peer->sent_ms = loop_now_ms(peer->peers->loop);
    peer->peers->counters.frames_out_bytes += size;
    if (!peer->is_paced) {
        loop_had_output(peer->peers->loop);
    }
}

static void on_written(uv_write_t *write, int status)
{
    struct peer *peer = (struct peer *)write->data;

    peer->is_writing = false;
    if (peer->stage == PEER_CLOSED) {
        return;
    }
    peer_trim_output(&peer->writing);
    if (status != 0) {
        peer_break(peer, uv_strerror(status));
        return;
    }
    peer->sent_ms = loop_now_ms(peer->peers->loop);
    peer_mark_dirty(peer);
}

/* What the socket is given. */
static struct buf *ready_output(struct peer *peer)
{
    return peer_is_staged(peer) ? &peer->staged : &peer->out;
}

/* The socket took `sent` bytes; libuv takes the rest, and what comes from now
 * on is gathered in the other buffer. */
static void write_rest(struct peer *peer, struct buf *ready, size_t sent)
{
    struct buf spare = peer->writing;
    uv_buf_t rest;
    int rv;

    peer->writing = *ready;
    *ready = spare;
    rest = uv_buf_init((char *)peer->writing.data + sent,
                       (unsigned)(peer->writing.size - sent));
    peer->write.data = peer;
    rv = uv_write(&peer->write, peer_stream(peer), &rest, 1, on_written);
    if (rv != 0) {
        peer_break(peer, uv_strerror(rv));
        return;
    }
    peer->is_writing = true;
    peer->peers->counters.frames_out_bytes += rest.len;
}

static size_t output_size(const struct peer *peer)
{
    const void *tcp = &peer->tcp;

    return peer->out.size - peer->out_staged + peer->insert_bytes +
           peer->staged.size + peer_bulk_size(peer) +
           uv_stream_get_write_queue_size((const uv_stream_t *)tcp);
}

/* As much as the socket takes at once; libuv gets the rest. */
static void write_ready(struct peer *peer, struct buf *ready)
{
    uv_buf_t all = uv_buf_init((char *)ready->data, (unsigned)ready->size);
    int rv = uv_try_write(peer_stream(peer), &all, 1);

    if (rv < 0 && rv != UV_EAGAIN) {
        peer_break(peer, uv_strerror(rv));
        return;
    }
    if (rv > 0) {
        count_sent(peer, (size_t)rv);
    }
    if (rv >= 0 && (size_t)rv == ready->size) {
        peer_trim_output(ready);
    } else {
        write_rest(peer, ready, rv > 0 ? (size_t)rv : 0);
    }
    if (peer_has_unstaged(peer) && !peer->is_writing &&
        (peer->tls == NULL || tls_link_is_ready(peer->tls))) {
        peer_mark_dirty(peer); /* the next piece; else on_written() does it */
    }
    if (peer_bulk_size(peer) > 0 && !peer->is_writing) {
        peer_mark_dirty(peer); /* the next piece; else on_written() does it */
    }
}

/* Whether there is something for the socket; stages it first if need be. */
static bool may_write(struct peer *peer)
{
    int rv = peer_is_staged(peer) ? peer_stage(peer) : 0;

    if (rv != 0) {
        peer_break(peer, peer->tls == NULL ? err_text(rv)
                                           : tls_link_failure(peer->tls));
        return false;
    }
    return ready_output(peer)->size > 0;
}

void peer_write_last(struct peer *peer)
{
    struct buf *ready = ready_output(peer);
    uv_buf_t last;

    if (peer->is_writing || buf_error(&peer->out) != 0 ||
        (peer_is_staged(peer) && peer_stage(peer) != 0) || ready->size == 0) {
        return;
    }
    /* A refusal or an answer; if it does not fit, it is lost. */
    last = uv_buf_init((char *)ready->data, (unsigned)ready->size);
    (void)uv_try_write(peer_stream(peer), &last, 1);
}

void peer_flush(struct peer *peer)
{
    list_remove(&peer->dirty);
    if (peer->stage == PEER_CUT || peer->stage == PEER_CLOSED) {
        return;
    }
    if (!peer->is_writing && buf_error(&peer->bulk) == 0) {
        peer_take_bulk(peer);
    }
    if (buf_error(&peer->out) == ERR_NOMEM ||
        buf_error(&peer->bulk) == ERR_NOMEM) {
        peer_starve(peer);
        return;
    }
    if (buf_error(&peer->out) != 0 || buf_error(&peer->bulk) != 0 ||
        output_size(peer) > PEERS_OUT_HARD_MAX) {
        peer_end(peer, PEERS_END_UNREAD,
                 "the peer does not read what it is sent");
        return;
    }
    if (!peer->is_writing && may_write(peer)) {
        write_ready(peer, ready_output(peer));
    }
}

/* For how long the peer gave no sign of life. A virtual machine may tick as
 * seldom as once in a quarter of its net_ticktime, and is too busy to answer a
 * probe while one long message goes to it; but then it takes what we send. */
static uint64_t silence_of(struct peer *peer, uint64_t now_ms)
{
    size_t unsent_size = output_size(peer);

    if (peer->received_ms > peer->alive_ms) {
        peer->alive_ms = peer->received_ms;
    }
    if (peer->is_writing && unsent_size < peer->unsent_size) {
        peer->alive_ms = now_ms;
    }
    peer->unsent_size = unsent_size;
    return now_ms - peer->alive_ms;
}

void peer_tick(struct peer *peer, uint64_t now_ms)
{
    const struct peers_timing *timing = &peer->peers->timing;
    bool is_askable = (peer->flags & DIST_FLAG_DIST_MONITOR_NAME) != 0;
    uint64_t silence_ms = silence_of(peer, now_ms);

    if (silence_ms > (is_askable ? timing->silence_ms : timing->quiet_ms)) {
        peer_end(peer, PEERS_END_SILENT, "the peer is silent");
        return;
    }
    if (peer->is_writing || peer->staged.size > 0 || peer_has_unstaged(peer) ||
        peer_bulk_size(peer) > 0) {
        return;
    }
    if (is_askable && silence_ms >= timing->probe_ms &&
        now_ms - peer->probed_ms >= timing->probe_ms) {
        peer->probed_ms = now_ms;
        outbox_probe(&peer->peers->prober, &peer->out);
        peer_flush(peer);
        return;
    }
    if (now_ms - peer->sent_ms < timing->tick_ms) {
        return;
    }
    /* Idle peers cost little memory. */
    buf_close(&peer->out);
    buf_close(&peer->bulk);
    buf_close(&peer->writing);
    buf_put_u32(&peer->out, 0);
    peer_flush(peer);
}

struct buf *peer_out(struct peer *peer)
{
    peer_mark_dirty(peer);
    return &peer->out;
}

bool peer_is_busy(const struct peer *peer)
{
    return output_size(peer) > PEERS_OUT_SOFT_MAX;
}
