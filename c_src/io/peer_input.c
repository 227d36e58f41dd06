/* SPDX-License-Identifier: Apache-2.0
 * What arrives at a connection: handshake packets, then frames.
 *
 * Whole frames are handed out from the read buffer that all peers share. A
 * peer has memory of its own only for a frame that is incomplete, and never
 * more than about twice of what has arrived of it: the length in front of a
 * frame is a claim. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "dist/flags.h"
#include "io/peers_internal.h"

/* Keeps the beginning of a frame of which `need` bytes are wanted next. */
static void keep_input(struct peer *peer, struct bytes input, size_t need)
{
    peer->input_need = need == 0 ? FRAME_HEADER_SIZE : need;
    buf_put_bytes(&peer->input, input);
    if (buf_error(&peer->input) != 0) {
        peer_cut_for_memory(peer);
    } else {
        peer_give_piece(peer);
    }
}

static void give_frame(struct peer *peer, struct bytes frame)
{
    struct peers *peers = peer->peers;

    if (frame.size > 0) {
        peers->counters.frames_in++;
        peers->turn_frames += peer->is_paced ? 0 : 1;
        peers->callbacks.frame(peers->arg, peer, frame);
    }
}

/* Fills up the incomplete frame from `input` and hands it out once it is
 * whole. Returns what is left of `input`. */
static struct bytes take_kept(struct peer *peer, struct bytes input)
{
    size_t missing = peer->input_need > peer->input.size
                         ? peer->input_need - peer->input.size
                         : 0;
    size_t taken = missing < input.size ? missing : input.size;
    struct bytes frame;
    size_t used = 0;
    int rv;

    buf_put(&peer->input, input.data, taken);
    if (buf_error(&peer->input) != 0) {
        peer_cut_for_memory(peer);
        return input;
    }
    input = bytes_of(input.data + taken, input.size - taken);
    peer_give_piece(peer);
    if (peer->input.size < peer->input_need || peer->stage != PEER_UP) {
        return input;
    }
    rv = frame_next(buf_bytes(&peer->input), FRAME_SIZE_MAX, &frame, &used);
    if (rv == 0) {
        ensure(used == peer->input.size);
        give_frame(peer, frame);
        buf_close(&peer->input);
        peer->input_need = 0;
    } else if (rv == ERR_TRUNCATED) {
        ensure(used > peer->input.size);
        peer->input_need = used;
    } else {
        peer_cut(peer, "too long a frame");
    }
    return input;
}

static void take_frames(struct peer *peer, struct bytes input)
{
    struct bytes frame;
    size_t used = 0;
    int rv;

    while (peer->stage == PEER_UP && input.size > 0) {
        if (peer->input.size > 0) {
            input = take_kept(peer, input);
            continue;
        }
        rv = frame_next(input, FRAME_SIZE_MAX, &frame, &used);
        if (rv == 0) {
            give_frame(peer, frame);
            input = bytes_of(input.data + used, input.size - used);
        } else if (rv == ERR_TRUNCATED) {
            keep_input(peer, input, used);
            return;
        } else {
            peer_cut(peer, "too long a frame");
        }
    }
}

static bool is_dial_answered(const struct peer *peer)
{
    return peer->stage == PEER_DIALLED &&
           crossing_dial_of(peer->handshake) == CROSSING_ANSWERED;
}

static void finish_handshake(struct peer *peer)
{
    const struct handshake *handshake = peer->handshake;

    peer->flags = DIST_FLAGS_OFFERED & handshake->peer_flags;
    peer->creation = handshake->peer_creation;
    if (peer->stage == PEER_ACCEPTED) {
        peer->name_size = strlen(handshake->peer_name);
        memcpy(peer->name, handshake->peer_name, peer->name_size);
    }
    mem_free(peer->handshake);
    peer->handshake = NULL;
    peers_link_up(peer->peers, peer);
}

/* The first bytes of a TLS handshake (RFC 8446, section 5.1) would be the
 * length of a packet far too long. */
static bool is_tls_hello(const struct peer *peer, struct bytes input)
{
    static const uint8_t head[] = {22, 3};

    return peer->stage == PEER_ACCEPTED && peer->tls == NULL &&
           peer->handshake->state == HANDSHAKE_RECV_NAME &&
           input.size >= sizeof(head) &&
           memcmp(input.data, head, sizeof(head)) == 0;
}

/* What comes after the last packet is the link's already. */
static void take_packets(struct peer *peer, struct bytes input)
{
    struct buf kept = peer->input;
    bool was_answered = is_dial_answered(peer);
    struct bytes left;
    size_t used = 0;
    int rv;

    buf_init(&peer->input, PEERS_INPUT_MAX);
    if (kept.size > 0) {
        buf_put_bytes(&kept, input);
        input = buf_bytes(&kept);
    }
    if (is_tls_hello(peer, input)) {
        peer_fail_handshake(peer, "the peer speaks TLS, this member does not");
        buf_close(&kept);
        return;
    }
    rv = buf_error(&kept);
    rv = rv != 0 ? rv
                 : handshake_input(peer->handshake, input, &peer->out, &used);
    if (rv != 0) {
        peer_fail_handshake(peer, peer->handshake->failure == NULL
                                      ? err_text(rv)
                                      : peer->handshake->failure);
        buf_close(&kept);
        return;
    }
    peer_mark_dirty(peer);
    listener_heard(peer);
    if (!was_answered && is_dial_answered(peer)) {
        dial_is_answered(peer->dial);
    }
    left = bytes_of(input.data + used, input.size - used);
    if (peer->handshake->state == HANDSHAKE_DONE) {
        finish_handshake(peer);
        take_frames(peer, left);
    } else {
        buf_put_bytes(&peer->input, left);
        if (buf_error(&peer->input) != 0) {
            peer_fail_handshake(peer, "out of memory");
        }
    }
    buf_close(&kept);
}

void peer_take_plain(struct peer *peer, struct bytes input)
{
    if (peer->handshake != NULL) {
        take_packets(peer, input);
    } else {
        take_frames(peer, input);
    }
}

static void on_alloc(uv_handle_t *handle, size_t size, uv_buf_t *ret_buf)
{
    struct peer *peer = (struct peer *)handle->data;
    const struct buf *input = &peer->input;
    size_t want;
    uint8_t *room;

    (void)size;
    if (peer->stage != PEER_UP || peer->tls != NULL || input->size == 0 ||
        peer->input_need - input->size <= PEERS_READ_SIZE) {
        *ret_buf = uv_buf_init((char *)peer->peers->read_room, PEERS_READ_SIZE);
        return;
    }
    /* A long frame is read to where it shall be, at most doubling it. */
    want = input->size < PEERS_READ_SIZE ? PEERS_READ_SIZE : input->size;
    want = size_min(size_min(want, PEERS_PIECE_SIZE),
                    peer->input_need - input->size);
    room = buf_reserve(&peer->input, want);
    *ret_buf = uv_buf_init((char *)room, room == NULL ? 0 : (unsigned)want);
}

static void on_read(uv_stream_t *stream, ssize_t size, const uv_buf_t *buf)
{
    struct peer *peer = (struct peer *)stream->data;
    const uint8_t *data = (const uint8_t *)buf->base;

    if (size == 0 || peer->stage == PEER_CUT || peer->stage == PEER_CLOSED) {
        return;
    }
    if (size < 0) {
        peer_break(peer, size == UV_EOF ? "the peer closed the connection"
                                        : uv_strerror((int)size));
        return;
    }
    peer->received_ms = loop_now_ms(peer->peers->loop);
    if (!peer->is_paced) {
        loop_had_input(peer->peers->loop, (size_t)size);
    }
    if (data != peer->peers->read_room) {
        buf_commit(&peer->input, (size_t)size);
        (void)take_kept(peer, bytes_of(data, 0));
        if (peer->stage == PEER_UP && (size_t)size == buf->len) {
            peer_pause(peer);
        }
    } else if (peer->tls != NULL) {
        peer_take_sealed(peer, bytes_of(data, (size_t)size));
    } else {
        peer_take_plain(peer, bytes_of(data, (size_t)size));
    }
    peer_count_input(peer, (size_t)size);
}

int peer_read_start(struct peer *peer)
{
    return uv_read_start(peer_stream(peer), on_alloc, on_read) == 0 ? 0
                                                                    : ERR_IO;
}
