/* SPDX-License-Identifier: Apache-2.0
 * The port mapper's protocol. Requests have a 16-bit length in front, answers
 * have none. */
#include "dist/epmd.h"

#include "base/ensure.h"
#include "base/err.h"
#include "dist/node_name.h"

enum {
    ALIVE2_REQ = 120,
    ALIVE2_X_RESP = 118,
    ALIVE2_RESP = 121,
    PORT2_REQ = 122,
    PORT2_RESP = 119,
    PROTOCOL_TCP_IP4 = 0,
};

void epmd_encode_alive(struct buf *out, struct bytes alive, uint16_t port)
{
    ensure(alive.size > 0);
    ensure(alive.size <= NODE_NAME_SIZE_MAX);

    buf_put_u16(out, (uint16_t)(13 + alive.size));
    buf_put_u8(out, ALIVE2_REQ);
    buf_put_u16(out, port);
    buf_put_u8(out, EPMD_HIDDEN);
    buf_put_u8(out, PROTOCOL_TCP_IP4);
    buf_put_u16(out, EPMD_VERSION);
    buf_put_u16(out, EPMD_VERSION);
    buf_put_u16(out, (uint16_t)alive.size);
    buf_put_bytes(out, alive);
    buf_put_u16(out, 0);
}

int epmd_decode_alive(struct bytes input, uint32_t *ret_creation,
                      size_t *ret_used)
{
    struct cursor cursor = cursor_of(input);
    uint8_t tag;
    uint8_t result;
    uint16_t short_creation;
    uint32_t creation;
    int rv;

    rv = cursor_u8(&cursor, &tag);
    if (rv != 0) {
        return rv;
    }
    if (tag != ALIVE2_X_RESP && tag != ALIVE2_RESP) {
        return ERR_MALFORMED;
    }
    rv = cursor_u8(&cursor, &result);
    if (rv != 0) {
        return rv;
    }
    if (result != 0) {
        return ERR_REFUSED;
    }
    if (tag == ALIVE2_RESP) {
        rv = cursor_u16(&cursor, &short_creation);
        if (rv != 0) {
            return rv;
        }
        creation = short_creation;
    } else {
        rv = cursor_u32(&cursor, &creation);
        if (rv != 0) {
            return rv;
        }
    }
    *ret_creation = creation;
    *ret_used = input.size - cursor_left(&cursor);
    return 0;
}

void epmd_encode_port(struct buf *out, struct bytes alive)
{
    ensure(alive.size > 0);
    ensure(alive.size <= NODE_NAME_SIZE_MAX);

    buf_put_u16(out, (uint16_t)(1 + alive.size));
    buf_put_u8(out, PORT2_REQ);
    buf_put_bytes(out, alive);
}

/* The part after the result byte. */
static int decode_node(struct cursor *cursor, struct epmd_node *ret_node)
{
    struct bytes extra;
    uint16_t size;
    int rv;

    rv = cursor_u16(cursor, &ret_node->port);
    rv = rv != 0 ? rv : cursor_u8(cursor, &ret_node->type);
    rv = rv != 0 ? rv : cursor_u8(cursor, &ret_node->protocol);
    rv = rv != 0 ? rv : cursor_u16(cursor, &ret_node->version_high);
    rv = rv != 0 ? rv : cursor_u16(cursor, &ret_node->version_low);
    rv = rv != 0 ? rv : cursor_u16(cursor, &size);
    if (rv != 0) {
        return rv;
    }
    if (size == 0 || size > NODE_NAME_SIZE_MAX) {
        return ERR_MALFORMED;
    }
    rv = cursor_take(cursor, size, &ret_node->alive);
    rv = rv != 0 ? rv : cursor_u16(cursor, &size);
    if (rv != 0) {
        return rv;
    }
    if (size > EPMD_RESPONSE_MAX) {
        return ERR_MALFORMED;
    }
    return cursor_take(cursor, size, &extra);
}

int epmd_decode_port(struct bytes input, struct epmd_node *ret_node,
                     size_t *ret_used)
{
    struct cursor cursor = cursor_of(input);
    struct epmd_node node;
    uint8_t tag;
    uint8_t result;
    int rv;

    rv = cursor_u8(&cursor, &tag);
    if (rv != 0) {
        return rv;
    }
    if (tag != PORT2_RESP) {
        return ERR_MALFORMED;
    }
    rv = cursor_u8(&cursor, &result);
    if (rv != 0) {
        return rv;
    }
    if (result != 0) {
        return ERR_NOT_FOUND;
    }
    rv = decode_node(&cursor, &node);
    if (rv != 0) {
        return rv;
    }
    if (node.port == 0) {
        return ERR_MALFORMED;
    }
    if (node.version_high < EPMD_VERSION || node.version_low > EPMD_VERSION) {
        return ERR_UNSUPPORTED;
    }
    *ret_node = node;
    *ret_used = input.size - cursor_left(&cursor);
    return 0;
}
