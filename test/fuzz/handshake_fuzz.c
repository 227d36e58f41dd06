/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: handshake_init, handshake_input, node_name_split.
 *
 * Byte 0 has the options, byte 1 the size of the pieces in which bytes arrive.
 * Raw: the rest is what a peer sends to one role, without the cookie. Pair:
 * both roles talk to each other and the rest, three bytes each, says which
 * bytes on the wire are changed. Each must end or wait, tell a cause when it
 * fails, never be done with a peer that lacks the cookie, and never show it. */
#include "base/ensure.h"
#include "dist/flags.h"
#include "dist/handshake.h"
#include "dist/node_name.h"

#include <stddef.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    OPTION_PAIR = 1,
    OPTION_WIDE = 2,
    OPTION_INITIATOR = 4, /* raw: which role */
    OPTION_VERDICT = 8,   /* three bits from here */
    WIRE_MAX = 4096,
    TURNS_MAX = 16,
};

static const char cookie[] = "not-to-be-seen";

/* Not MD5, but enough that nobody guesses 16 bytes. */
static void digest(struct bytes bytes,
                   uint8_t ret_digest[HANDSHAKE_DIGEST_SIZE])
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);

    for (size_t i = 0; i < HANDSHAKE_DIGEST_SIZE; i++) {
        for (size_t j = 0; j < bytes.size; j++) {
            hash = ((hash ^ bytes.data[j]) & UINT64_C(0xffffffffffff)) *
                   UINT64_C(0x1b3);
        }
        ret_digest[i] = (uint8_t)(hash >> 32);
    }
}

static enum handshake_verdict verdict(void *arg, struct bytes name)
{
    ensure(node_name_is_valid(name));
    return *(const enum handshake_verdict *)arg;
}

static struct bytes give_cookie(void *arg, struct bytes name)
{
    (void)arg;
    ensure(node_name_is_valid(name));
    return bytes_of_string(cookie);
}

struct side {
    struct handshake handshake;
    struct buf in;
    struct buf out;
    enum handshake_verdict verdict;
    int rv;
};

static void side_open(struct side *side, uint8_t options, bool is_initiator)
{
    struct handshake_config config = {
        .is_initiator = is_initiator,
        .is_wide = (options & OPTION_WIDE) != 0,
        .name = bytes_of_string(is_initiator ? "from@h" : "to@h"),
        .cookie = give_cookie,
        .peer_name = bytes_of_string("to@h"),
        .flags = DIST_FLAGS_OFFERED,
        .creation = 5,
        .challenge = is_initiator ? 111 : 222,
        .digest = digest,
        .verdict = verdict,
        .verdict_arg = &side->verdict};

    *side = (struct side){
        .verdict = (enum handshake_verdict)(options / OPTION_VERDICT %
                                            (HANDSHAKE_NOT_ALLOWED + 1))};
    buf_init(&side->in, WIRE_MAX);
    buf_init(&side->out, WIRE_MAX);
    side->rv = handshake_init(&side->handshake, &config, &side->out);
    ensure(side->rv == 0);
}

static void side_close(struct side *side)
{
    buf_close(&side->in);
    buf_close(&side->out);
}

static void side_check(const struct side *side)
{
    const struct handshake *handshake = &side->handshake;
    struct bytes name = bytes_of_string(handshake->peer_name);

    ensure((side->rv != 0) == (handshake->state == HANDSHAKE_FAILED));
    ensure((side->rv != 0) == (handshake->failure != NULL));
    ensure(side->out.size == 0 || memmem(side->out.data, side->out.size, cookie,
                                         sizeof(cookie) - 1) == NULL);
    if (handshake->state == HANDSHAKE_DONE) {
        ensure(node_name_is_valid(name));
        ensure((handshake->peer_flags & DIST_FLAGS_MANDATORY) ==
               DIST_FLAGS_MANDATORY);
    }
}

/* Gives bytes to a side, unless it is through. */
static void side_give(struct side *side, struct bytes bytes)
{
    size_t used = 0;

    if (side->handshake.state >= HANDSHAKE_DONE) {
        return;
    }
    buf_put_bytes(&side->in, bytes);
    if (buf_error(&side->in) != 0) {
        return;
    }
    side->rv = handshake_input(&side->handshake, buf_bytes(&side->in),
                               &side->out, &used);
    ensure(used <= side->in.size);
    buf_consume(&side->in, used);
    side_check(side);
}

static void run_raw(uint8_t options, size_t piece, struct bytes input)
{
    struct side side;

    side_open(&side, options, (options & OPTION_INITIATOR) != 0);
    while (input.size > 0) {
        size_t size = piece < input.size ? piece : input.size;

        side_give(&side, bytes_of(input.data, size));
        input = bytes_of(input.data + size, input.size - size);
    }
    ensure(side.handshake.state != HANDSHAKE_DONE);
    side_close(&side);
}

/* Moves what one side sent to the other in pieces; `*wire` counts the bytes
 * that were ever moved, and the changes are named by that count. Gives whether
 * a byte was changed. */
static bool carry(struct side *from, struct side *to, size_t piece,
                  struct bytes changes, size_t *wire)
{
    bool is_changed = false;

    for (size_t i = 0; i < from->out.size; i++, (*wire)++) {
        for (size_t j = 0; j + 3 <= changes.size; j += 3) {
            const uint8_t *change = changes.data + j;

            if ((size_t)change[0] * 256 + change[1] == *wire) {
                from->out.data[i] ^= change[2];
                is_changed = is_changed || change[2] != 0;
            }
        }
    }
    for (size_t i = 0; i < from->out.size; i += piece) {
        size_t left = from->out.size - i;

        side_give(to,
                  bytes_of(from->out.data + i, piece < left ? piece : left));
    }
    buf_clear(&from->out);
    return is_changed;
}

static void run_pair(uint8_t options, size_t piece, struct bytes changes)
{
    struct side initiator;
    struct side acceptor;
    size_t wire = 0;
    bool is_changed = false;
    bool is_refused;

    side_open(&initiator, options, true);
    side_open(&acceptor, options, false);
    for (int turn = 0; turn < TURNS_MAX; turn++) {
        is_changed |= carry(&initiator, &acceptor, piece, changes, &wire);
        is_changed |= carry(&acceptor, &initiator, piece, changes, &wire);
    }
    is_refused = acceptor.verdict == HANDSHAKE_NOK ||
                 acceptor.verdict == HANDSHAKE_NOT_ALLOWED;
    if (!is_changed && !is_refused) {
        ensure(initiator.handshake.state == HANDSHAKE_DONE);
        ensure(acceptor.handshake.state == HANDSHAKE_DONE);
    }
    if (!is_changed && is_refused) {
        ensure(initiator.handshake.state == HANDSHAKE_FAILED);
        ensure(acceptor.handshake.state == HANDSHAKE_FAILED);
    }
    side_close(&initiator);
    side_close(&acceptor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t piece;

    if (size < 2 || size > WIRE_MAX) {
        return 0;
    }
    piece = data[1] == 0 ? WIRE_MAX : data[1];
    if ((data[0] & OPTION_PAIR) != 0) {
        run_pair(data[0], piece, bytes_of(data + 2, size - 2));
    } else {
        run_raw(data[0], piece, bytes_of(data + 2, size - 2));
    }
    return 0;
}
