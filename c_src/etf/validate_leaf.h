/* SPDX-License-Identifier: Apache-2.0
 * Terms without elements, as the validator looks at them: each takes what
 * follows the tag. Of no use to others; inline, since every frame from a peer
 * passes here. */
#ifndef QUORATE_ETF_VALIDATE_LEAF_H
#define QUORATE_ETF_VALIDATE_LEAF_H

#include "etf/limits.h"
#include "etf/utf8.h"
#include "etf/wire.h"

MUST_USE static inline int scan_utf8_atom(struct cursor *cursor, size_t width)
{
    struct bytes name;
    size_t chars;
    int rv = wire_block(cursor, width, &name);

    if (rv != 0) {
        return rv;
    }
    if (name.size <= ETF_ATOM_CHARS_MAX && utf8_is_ascii(name)) {
        return 0;
    }
    if (name.size > ETF_ATOM_BYTES_MAX) {
        return ERR_LIMIT;
    }
    rv = utf8_count(name, &chars);
    if (rv != 0) {
        return rv;
    }
    return chars > ETF_ATOM_CHARS_MAX ? ERR_LIMIT : 0;
}

MUST_USE static inline int scan_latin1_atom(struct cursor *cursor, size_t width)
{
    struct bytes name;
    int rv = wire_block(cursor, width, &name);

    if (rv != 0) {
        return rv;
    }
    return name.size > ETF_ATOM_CHARS_MAX ? ERR_LIMIT : 0;
}

/* An atom of any form; any other tag is malformed. */
MUST_USE static inline int scan_tagged_atom(struct cursor *cursor, uint8_t tag)
{
    switch (tag) {
    case TAG_SMALL_ATOM_UTF8:
        return scan_utf8_atom(cursor, 1);
    case TAG_ATOM_UTF8:
        return scan_utf8_atom(cursor, 2);
    case TAG_SMALL_ATOM:
        return scan_latin1_atom(cursor, 1);
    case TAG_ATOM:
        return scan_latin1_atom(cursor, 2);
    default:
        return ERR_MALFORMED;
    }
}

MUST_USE static inline int scan_atom(struct cursor *cursor)
{
    uint8_t tag;
    int rv = wire_tag(cursor, &tag);

    return rv != 0 ? rv : scan_tagged_atom(cursor, tag);
}

/* A node name and `tail` more bytes: pids and ports. */
MUST_USE static inline int scan_node_and(struct cursor *cursor, size_t tail)
{
    int rv = scan_atom(cursor);

    return rv != 0 ? rv : wire_skip(cursor, tail);
}

MUST_USE static inline int scan_reference(struct cursor *cursor)
{
    uint32_t words;
    int rv = wire_length(cursor, 2, &words);

    if (rv != 0) {
        return rv;
    }
    if (words == 0 || words > REFERENCE_WORDS_MAX) {
        return ERR_MALFORMED;
    }
    return scan_node_and(cursor, 4 + 4 * (size_t)words);
}

MUST_USE static inline int scan_float(struct cursor *cursor)
{
    const uint8_t *data = cursor->next;
    int rv = wire_skip(cursor, 8);

    if (rv != 0) {
        return rv;
    }
    /* No infinities and no NaN: a virtual machine refuses them too. */
    return (data[0] & 0x7f) == 0x7f && (data[1] & 0xf0) == 0xf0 ? ERR_MALFORMED
                                                                : 0;
}

MUST_USE static inline int scan_bit_binary(struct cursor *cursor)
{
    uint32_t size;
    uint32_t bits; /* of the last byte in use */
    int rv = wire_length(cursor, 4, &size);

    if (rv == 0) {
        rv = wire_length(cursor, 1, &bits);
    }
    if (rv != 0) {
        return rv;
    }
    /* Nodes since OTP 27 refuse one of no bits, which nobody writes so. */
    if (bits == 0 || bits > 8 || size == 0) {
        return ERR_MALFORMED;
    }
    return wire_skip(cursor, size);
}

MUST_USE static inline int scan_big(struct cursor *cursor, size_t width)
{
    uint32_t size;
    uint32_t sign;
    int rv = wire_length(cursor, width, &size);

    if (rv == 0) {
        rv = wire_length(cursor, 1, &sign);
    }
    if (rv != 0) {
        return rv;
    }
    if (size > ETF_BIG_BYTES_MAX) {
        return ERR_LIMIT;
    }
    return sign > 1 ? ERR_MALFORMED : wire_skip(cursor, size);
}

MUST_USE static inline int scan_export(struct cursor *cursor)
{
    uint8_t tag;
    int rv = scan_atom(cursor);

    if (rv == 0) {
        rv = scan_atom(cursor);
    }
    if (rv == 0) {
        rv = wire_tag(cursor, &tag);
    }
    if (rv != 0) {
        return rv;
    }
    return tag == TAG_SMALL_INTEGER ? wire_skip(cursor, 1) : ERR_MALFORMED;
}

MUST_USE static inline int scan_small_number(struct cursor *cursor)
{
    uint8_t tag;
    int rv = wire_tag(cursor, &tag);

    if (rv != 0) {
        return rv;
    }
    switch (tag) {
    case TAG_SMALL_INTEGER:
        return wire_skip(cursor, 1);
    case TAG_INTEGER:
        return wire_skip(cursor, 4);
    default:
        return ERR_MALFORMED;
    }
}

#endif
