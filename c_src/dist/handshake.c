/* SPDX-License-Identifier: Apache-2.0
 * The handshake: one row of a table for each state in which a packet is
 * awaited, with the first byte that the packet must have and its handler.
 * Whatever a peer sends ends in DONE or in FAILED with a static cause. */
#include "dist/handshake.h"

#include "base/ensure.h"
#include "base/err.h"
#include "dist/flags.h"
#include "dist/node_name.h"

#include <stdio.h>

_Static_assert((int)HANDSHAKE_NODE_NAME_MAX == (int)NODE_NAME_SIZE_MAX,
               "one limit for node names");

enum {
    TAG_NAME = 'N',
    TAG_NAME_OLD = 'n', /* version 5, gone since OTP 25 */
    TAG_STATUS = 's',
    TAG_RESPONSE = 'r',
    TAG_ACK = 'a',
    CHALLENGE_DIGITS_MAX = 10, /* of a 32-bit number */
};

/* Moves to FAILED; tells the error back so that callers can return it. */
static int fail(struct handshake *handshake, int err, const char *cause)
{
    handshake->state = HANDSHAKE_FAILED;
    handshake->failure = cause;
    return err;
}

/* --- Packets out ---------------------------------------------------------- */

static void put_header(const struct handshake *handshake, struct buf *out,
                       size_t size)
{
    ensure(size <= HANDSHAKE_PACKET_MAX);
    if (handshake->config.is_wide) {
        buf_put_u32(out, (uint32_t)size);
    } else {
        buf_put_u16(out, (uint16_t)size);
    }
}

static void put_name(const struct handshake *handshake, struct buf *out)
{
    const struct handshake_config *config = &handshake->config;

    put_header(handshake, out, 15 + config->name.size);
    buf_put_u8(out, TAG_NAME);
    buf_put_u64(out, config->flags);
    buf_put_u32(out, config->creation);
    buf_put_u16(out, (uint16_t)config->name.size);
    buf_put_bytes(out, config->name);
}

static void put_challenge(const struct handshake *handshake, struct buf *out)
{
    const struct handshake_config *config = &handshake->config;

    put_header(handshake, out, 19 + config->name.size);
    buf_put_u8(out, TAG_NAME);
    buf_put_u64(out, config->flags);
    buf_put_u32(out, config->challenge);
    buf_put_u32(out, config->creation);
    buf_put_u16(out, (uint16_t)config->name.size);
    buf_put_bytes(out, config->name);
}

static void put_status(const struct handshake *handshake, struct buf *out,
                       const char *status)
{
    struct bytes text = bytes_of_string(status);

    put_header(handshake, out, 1 + text.size);
    buf_put_u8(out, TAG_STATUS);
    buf_put_bytes(out, text);
}

/* erl_dist_protocol: "a MD5 digest of the cookie concatenated with the
 * challenge as text". */
static void make_digest(const struct handshake *handshake, uint32_t challenge,
                        uint8_t ret_digest[HANDSHAKE_DIGEST_SIZE])
{
    uint8_t text[HANDSHAKE_COOKIE_MAX + CHALLENGE_DIGITS_MAX + 1];
    struct bytes cookie = handshake->config.cookie(
        handshake->config.cookie_arg, bytes_of_string(handshake->peer_name));
    volatile uint8_t *wipe = text;
    int digits;

    ensure(handshake->peer_name[0] != '\0');
    ensure(cookie.size <= HANDSHAKE_COOKIE_MAX);
    if (cookie.size > 0) {
        memcpy(text, cookie.data, cookie.size);
    }
    digits = snprintf((char *)text + cookie.size, CHALLENGE_DIGITS_MAX + 1,
                      "%lu", (unsigned long)challenge);
    ensure(digits > 0);
    handshake->config.digest(bytes_of(text, cookie.size + (size_t)digits),
                             ret_digest);
    /* The cookie shall not stay behind on the stack. */
    for (size_t i = 0; i < sizeof(text); i++) {
        wipe[i] = 0;
    }
}

static bool is_digest_right(const struct handshake *handshake,
                            struct bytes digest)
{
    uint8_t expected[HANDSHAKE_DIGEST_SIZE];

    make_digest(handshake, handshake->config.challenge, expected);
    return bytes_equal_secret(digest, bytes_of(expected, sizeof(expected)));
}

/* --- Checks that both roles make ------------------------------------------ */

/* A length and a name at the end of a packet. What comes after the name is
 * for later versions and is not looked at, as in a virtual machine. */
static int take_name(struct handshake *handshake, struct cursor *cursor,
                     struct bytes *ret_name)
{
    struct bytes name;
    uint16_t size;
    int rv;

    rv = cursor_u16(cursor, &size);
    rv = rv != 0 ? rv : cursor_take(cursor, size, &name);
    if (rv != 0) {
        return fail(handshake, ERR_MALFORMED, "the packet is too short");
    }
    if (!node_name_is_valid(name)) {
        return fail(handshake, ERR_MALFORMED, "the node name is not valid");
    }
    *ret_name = name;
    return 0;
}

static void keep_peer(struct handshake *handshake, struct bytes name,
                      uint64_t flags, uint32_t creation)
{
    ensure(name.size <= HANDSHAKE_NODE_NAME_MAX);
    memcpy(handshake->peer_name, name.data, name.size);
    handshake->peer_name[name.size] = '\0';
    handshake->peer_flags = flags;
    handshake->peer_creation = creation;
}

/* Later peers may send the digest in place of the eleven flags. */
static uint64_t expand_flags(uint64_t flags)
{
    if ((flags & DIST_FLAG_MANDATORY_25_DIGEST) != 0) {
        flags |= DIST_FLAGS_MANDATORY;
    }
    return flags;
}

static bool has_mandatory_flags(uint64_t flags)
{
    return (flags & DIST_FLAGS_MANDATORY) == DIST_FLAGS_MANDATORY;
}

/* Answers with a status that ends the handshake. */
static int refuse(struct handshake *handshake, struct buf *out,
                  const char *status, int err, const char *cause)
{
    put_status(handshake, out, status);
    return fail(handshake, err, cause);
}

/* --- The initiator -------------------------------------------------------- */

static bool has_link(const struct handshake *handshake)
{
    const struct handshake_config *config = &handshake->config;

    return config->is_linked != NULL &&
           config->is_linked(config->is_linked_arg);
}

static int on_status(struct handshake *handshake, struct cursor *cursor,
                     struct buf *out)
{
    struct bytes status = bytes_of(cursor->next, cursor_left(cursor));

    if (bytes_is(status, "ok") || bytes_is(status, "ok_simultaneous")) {
        handshake->state = HANDSHAKE_RECV_CHALLENGE;
        return 0;
    }
    if (bytes_is(status, "alive")) {
        if (has_link(handshake)) {
            return refuse(handshake, out, "false", ERR_REFUSED,
                          "there is a link to the peer already");
        }
        /* The peer has a link of an earlier run of ours: this one counts. */
        put_status(handshake, out, "true");
        handshake->state = HANDSHAKE_RECV_CHALLENGE;
        return 0;
    }
    if (bytes_is(status, "nok")) {
        return fail(handshake, ERR_REFUSED,
                    "the peer's own attempt to connect is under way");
    }
    if (bytes_is(status, "not_allowed")) {
        return fail(handshake, ERR_REFUSED, "the peer does not allow us");
    }
    return fail(handshake, ERR_MALFORMED, "the status is not known");
}

static int on_challenge(struct handshake *handshake, struct cursor *cursor,
                        struct buf *out)
{
    uint8_t digest[HANDSHAKE_DIGEST_SIZE];
    struct bytes name = {0};
    uint64_t flags = 0;
    uint32_t challenge = 0;
    uint32_t creation = 0;
    int rv;

    rv = cursor_u64(cursor, &flags);
    rv = rv != 0 ? rv : cursor_u32(cursor, &challenge);
    rv = rv != 0 ? rv : cursor_u32(cursor, &creation);
    if (rv != 0) {
        return fail(handshake, ERR_MALFORMED, "the packet is too short");
    }
    rv = take_name(handshake, cursor, &name);
    if (rv != 0) {
        return rv;
    }
    if (!bytes_equal(name, handshake->config.peer_name)) {
        return fail(handshake, ERR_MALFORMED,
                    "the peer has another name than the one that was dialled");
    }
    flags = expand_flags(flags);
    if (!has_mandatory_flags(flags)) {
        return fail(handshake, ERR_UNSUPPORTED,
                    "the peer lacks a mandatory flag");
    }
    keep_peer(handshake, name, flags, creation);
    make_digest(handshake, challenge, digest);
    put_header(handshake, out, 5 + sizeof(digest));
    buf_put_u8(out, TAG_RESPONSE);
    buf_put_u32(out, handshake->config.challenge);
    buf_put(out, digest, sizeof(digest));
    handshake->state = HANDSHAKE_RECV_ACK;
    return 0;
}

static int on_ack(struct handshake *handshake, struct cursor *cursor,
                  struct buf *out)
{
    struct bytes digest;

    (void)out; /* the last packet: nothing to answer */
    if (cursor_left(cursor) != HANDSHAKE_DIGEST_SIZE) {
        return fail(handshake, ERR_MALFORMED, "the digest has a wrong size");
    }
    digest = bytes_of(cursor->next, HANDSHAKE_DIGEST_SIZE);
    if (!is_digest_right(handshake, digest)) {
        return fail(handshake, ERR_AUTH, "the peer has another cookie");
    }
    handshake->state = HANDSHAKE_DONE;
    return 0;
}

/* --- The acceptor --------------------------------------------------------- */

static int answer_name(struct handshake *handshake, struct bytes name,
                       struct buf *out)
{
    switch (handshake->config.verdict(handshake->config.verdict_arg, name)) {
    case HANDSHAKE_ACCEPT:
        put_status(handshake, out, "ok");
        break;
    case HANDSHAKE_SIMULTANEOUS:
        put_status(handshake, out, "ok_simultaneous");
        break;
    case HANDSHAKE_ALIVE:
        put_status(handshake, out, "alive");
        handshake->state = HANDSHAKE_RECV_ALIVE_REPLY;
        return 0;
    case HANDSHAKE_NOK:
        return refuse(handshake, out, "nok", ERR_REFUSED,
                      "our own attempt to connect is under way");
    case HANDSHAKE_NOT_ALLOWED:
        return refuse(handshake, out, "not_allowed", ERR_REFUSED,
                      "the peer is not allowed");
    }
    put_challenge(handshake, out);
    handshake->state = HANDSHAKE_RECV_RESPONSE;
    return 0;
}

static int on_name(struct handshake *handshake, struct cursor *cursor,
                   struct buf *out)
{
    struct bytes name = {0};
    uint64_t flags = 0;
    uint32_t creation = 0;
    int rv;

    rv = cursor_u64(cursor, &flags);
    rv = rv != 0 ? rv : cursor_u32(cursor, &creation);
    if (rv != 0) {
        return fail(handshake, ERR_MALFORMED, "the packet is too short");
    }
    if ((flags & DIST_FLAG_NAME_ME) != 0) {
        return refuse(handshake, out, "not_allowed", ERR_UNSUPPORTED,
                      "the peer wants to be given a name");
    }
    rv = take_name(handshake, cursor, &name);
    if (rv != 0) {
        return rv;
    }
    flags = expand_flags(flags);
    if (!has_mandatory_flags(flags)) {
        return refuse(handshake, out, "not_allowed", ERR_UNSUPPORTED,
                      "the peer lacks a mandatory flag");
    }
    if (bytes_equal(name, handshake->config.name)) {
        return refuse(handshake, out, "nok", ERR_REFUSED,
                      "the peer has our own name");
    }
    keep_peer(handshake, name, flags, creation);
    return answer_name(handshake, name, out);
}

static int on_alive_reply(struct handshake *handshake, struct cursor *cursor,
                          struct buf *out)
{
    struct bytes status = bytes_of(cursor->next, cursor_left(cursor));

    if (bytes_is(status, "true")) {
        put_challenge(handshake, out);
        handshake->state = HANDSHAKE_RECV_RESPONSE;
        return 0;
    }
    if (bytes_is(status, "false")) {
        return fail(handshake, ERR_REFUSED, "the peer keeps the older link");
    }
    return fail(handshake, ERR_MALFORMED, "the status is not known");
}

static int on_response(struct handshake *handshake, struct cursor *cursor,
                       struct buf *out)
{
    uint8_t digest[HANDSHAKE_DIGEST_SIZE];
    uint32_t challenge;

    if (cursor_u32(cursor, &challenge) != 0 ||
        cursor_left(cursor) != HANDSHAKE_DIGEST_SIZE) {
        return fail(handshake, ERR_MALFORMED, "the digest has a wrong size");
    }
    if (!is_digest_right(handshake,
                         bytes_of(cursor->next, HANDSHAKE_DIGEST_SIZE))) {
        return fail(handshake, ERR_AUTH, "the peer has another cookie");
    }
    make_digest(handshake, challenge, digest);
    put_header(handshake, out, 1 + sizeof(digest));
    buf_put_u8(out, TAG_ACK);
    buf_put(out, digest, sizeof(digest));
    handshake->state = HANDSHAKE_DONE;
    return 0;
}

/* --- The machine ---------------------------------------------------------- */

struct row {
    uint8_t tag; /* first byte of the packet; 0: none is awaited */
    int (*handle)(struct handshake *handshake, struct cursor *cursor,
                  struct buf *out);
};

static const struct row rows[] = {
    [HANDSHAKE_SEND_NAME] = {0, NULL},
    [HANDSHAKE_RECV_STATUS] = {TAG_STATUS, on_status},
    [HANDSHAKE_RECV_CHALLENGE] = {TAG_NAME, on_challenge},
    [HANDSHAKE_RECV_ACK] = {TAG_ACK, on_ack},
    [HANDSHAKE_RECV_NAME] = {TAG_NAME, on_name},
    [HANDSHAKE_RECV_ALIVE_REPLY] = {TAG_STATUS, on_alive_reply},
    [HANDSHAKE_RECV_RESPONSE] = {TAG_RESPONSE, on_response},
    [HANDSHAKE_DONE] = {0, NULL},
    [HANDSHAKE_FAILED] = {0, NULL},
};

int handshake_init(struct handshake *handshake,
                   const struct handshake_config *config, struct buf *out)
{
    ensure(config->digest != NULL);
    ensure(config->is_initiator || config->verdict != NULL);
    ensure(config->cookie != NULL);

    *handshake = (struct handshake){.config = *config};
    if (!node_name_is_valid(config->name)) {
        return fail(handshake, ERR_BADARG, "our node name is not valid");
    }
    if (!config->is_initiator) {
        handshake->state = HANDSHAKE_RECV_NAME;
        return 0;
    }
    if (!node_name_is_valid(config->peer_name)) {
        return fail(handshake, ERR_BADARG, "the node name is not valid");
    }
    handshake->state = HANDSHAKE_SEND_NAME;
    put_name(handshake, out);
    if (buf_error(out) != 0) {
        return fail(handshake, buf_error(out), "no room for the packet");
    }
    handshake->state = HANDSHAKE_RECV_STATUS;
    return 0;
}

/* The next whole packet: 0, ERR_TRUNCATED, or ERR_LIMIT. */
static int next_packet(const struct handshake *handshake, struct cursor *cursor,
                       struct bytes *ret_packet)
{
    struct cursor ahead = *cursor;
    uint16_t narrow = 0;
    uint32_t size = 0;
    int rv;

    if (handshake->config.is_wide) {
        rv = cursor_u32(&ahead, &size);
    } else {
        rv = cursor_u16(&ahead, &narrow);
        size = narrow;
    }
    if (rv != 0) {
        return rv;
    }
    if (size > HANDSHAKE_PACKET_MAX) {
        return ERR_LIMIT;
    }
    rv = cursor_take(&ahead, size, ret_packet);
    if (rv != 0) {
        return rv;
    }
    *cursor = ahead;
    return 0;
}

static int handle_packet(struct handshake *handshake, struct bytes packet,
                         struct buf *out)
{
    const struct row *row = &rows[handshake->state];
    struct cursor cursor = cursor_of(packet);
    uint8_t tag;
    int rv;

    ensure(row->handle != NULL);
    if (cursor_u8(&cursor, &tag) != 0) {
        return fail(handshake, ERR_MALFORMED, "the packet is empty");
    }
    if (tag == TAG_NAME_OLD && row->tag == TAG_NAME) {
        return fail(handshake, ERR_UNSUPPORTED,
                    "the peer speaks an older handshake");
    }
    if (tag != row->tag) {
        return fail(handshake, ERR_MALFORMED, "the packet is not awaited now");
    }
    rv = row->handle(handshake, &cursor, out);
    if (rv == 0 && buf_error(out) != 0) {
        rv = fail(handshake, buf_error(out), "no room for the packet");
    }
    return rv;
}

int handshake_input(struct handshake *handshake, struct bytes input,
                    struct buf *out, size_t *ret_used)
{
    struct cursor cursor = cursor_of(input);
    struct bytes packet;
    int rv = 0;

    ensure(handshake->state != HANDSHAKE_FAILED);
    while (rv == 0 && handshake->state != HANDSHAKE_DONE) {
        rv = next_packet(handshake, &cursor, &packet);
        if (rv == 0) {
            rv = handle_packet(handshake, packet, out);
        } else if (rv == ERR_LIMIT) {
            rv = fail(handshake, ERR_LIMIT, "the packet is too long");
        }
    }
    *ret_used = input.size - cursor_left(&cursor);
    return rv == ERR_TRUNCATED ? 0 : rv;
}
