/* SPDX-License-Identifier: Apache-2.0
 * The tags of the External Term Format and its length fields; shared by the
 * validator and the reader, of no use to others. The functions test before
 * they add, but leave the cursor anywhere when they fail: work on a copy. */
#ifndef QUORATE_ETF_WIRE_H
#define QUORATE_ETF_WIRE_H

#include "base/attr.h"
#include "base/bytes.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum etf_tag {
    TAG_NEW_FLOAT = 70,
    TAG_BIT_BINARY = 77,
    TAG_NEW_PID = 88,
    TAG_NEW_PORT = 89,
    TAG_NEWER_REFERENCE = 90,
    TAG_SMALL_INTEGER = 97,
    TAG_INTEGER = 98,
    TAG_ATOM = 100, /* Latin-1 */
    TAG_SMALL_TUPLE = 104,
    TAG_LARGE_TUPLE = 105,
    TAG_NIL = 106,
    TAG_STRING = 107,
    TAG_LIST = 108,
    TAG_BINARY = 109,
    TAG_SMALL_BIG = 110,
    TAG_LARGE_BIG = 111,
    TAG_NEW_FUN = 112,
    TAG_EXPORT = 113,
    TAG_SMALL_ATOM = 115, /* Latin-1 */
    TAG_MAP = 116,
    TAG_ATOM_UTF8 = 118,
    TAG_SMALL_ATOM_UTF8 = 119,
    TAG_V4_PORT = 120,
};

enum {
    NEW_PORT_TAIL = 4 + 4,            /* id, creation */
    V4_PORT_TAIL = 8 + 4,             /* id, creation */
    NEW_PID_TAIL = 4 + 4 + 4,         /* id, serial, creation */
    REFERENCE_WORDS_MAX = 5,          /* OTP 25 writes 3, OTP 27 up to 5 */
    NEW_FUN_SIZE_FIELD = 4,           /* counts itself */
    NEW_FUN_HEAD = 4 + 1 + 16 + 4 + 4 /* size, arity, uniq, index, free */
};

/* A big-endian number of `width` (1, 2, 4) bytes. */
static inline uint32_t wire_number(const uint8_t *data, size_t width)
{
    uint32_t value = 0;

    for (size_t i = 0; i < width; i++) {
        value = (value << 8) | data[i];
    }
    return value;
}

MUST_USE static inline int wire_skip(struct cursor *cursor, size_t size)
{
    if (cursor_left(cursor) < size) {
        return ERR_TRUNCATED;
    }
    cursor->next += size;
    return 0;
}

MUST_USE static inline int wire_length(struct cursor *cursor, size_t width,
                                       uint32_t *ret_length)
{
    if (cursor_left(cursor) < width) {
        return ERR_TRUNCATED;
    }
    *ret_length = wire_number(cursor->next, width);
    cursor->next += width;
    return 0;
}

MUST_USE static inline int wire_tag(struct cursor *cursor, uint8_t *ret_tag)
{
    if (cursor->next == cursor->end) {
        return ERR_TRUNCATED;
    }
    *ret_tag = *cursor->next++;
    return 0;
}

/* A length of `width` bytes, then that many bytes. */
MUST_USE static inline int wire_block(struct cursor *cursor, size_t width,
                                      struct bytes *ret_bytes)
{
    uint32_t size;
    int rv = wire_length(cursor, width, &size);

    if (rv != 0) {
        return rv;
    }
    if (cursor_left(cursor) < size) {
        return ERR_TRUNCATED;
    }
    *ret_bytes = bytes_of(cursor->next, size);
    cursor->next += size;
    return 0;
}

/* The bytes of the length of an atom with this tag; 0 if it is none. */
static inline size_t wire_atom_width(uint8_t tag)
{
    switch (tag) {
    case TAG_SMALL_ATOM_UTF8:
    case TAG_SMALL_ATOM:
        return 1;
    case TAG_ATOM_UTF8:
    case TAG_ATOM:
        return 2;
    default:
        return 0;
    }
}

/* Takes an atom in whichever form: its tag, and its name as it is written.
 * ERR_TRUNCATED, or ERR_BADARG: it is none. */
MUST_USE static inline int wire_atom(struct cursor *cursor, uint8_t *ret_tag,
                                     struct bytes *ret_name)
{
    int rv = wire_tag(cursor, ret_tag);

    if (rv != 0) {
        return rv;
    }
    if (wire_atom_width(*ret_tag) == 0) {
        return ERR_BADARG;
    }
    return wire_block(cursor, wire_atom_width(*ret_tag), ret_name);
}

#endif
