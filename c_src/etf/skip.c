/* SPDX-License-Identifier: Apache-2.0
 * Steps over whole terms: as the validator, but without what a validated term
 * need not be asked again. One counter of elements still to come is enough. */
#include "etf/reader.h"
#include "etf/wire.h"

static int skip_block(struct cursor *cursor, size_t width)
{
    struct bytes block;

    return wire_block(cursor, width, &block);
}

/* `count` atoms, then `tail` bytes. */
static int skip_atoms_and(struct cursor *cursor, int count, size_t tail)
{
    for (int i = 0; i < count; i++) {
        uint8_t tag;
        size_t width;
        int rv = wire_tag(cursor, &tag);

        if (rv != 0) {
            return rv;
        }
        width = wire_atom_width(tag);
        rv = width == 0 ? ERR_BADARG : skip_block(cursor, width);
        if (rv != 0) {
            return rv;
        }
    }
    return wire_skip(cursor, tail);
}

/* A length of `width` bytes, then `extra` more than it says. */
static int skip_block_and(struct cursor *cursor, size_t width, size_t extra)
{
    uint32_t size;
    int rv = wire_length(cursor, width, &size);

    return rv != 0 ? rv : wire_skip(cursor, extra + size);
}

static int skip_reference(struct cursor *cursor)
{
    uint32_t words;
    int rv = wire_length(cursor, 2, &words);

    return rv != 0 ? rv : skip_atoms_and(cursor, 1, 4 + 4 * (size_t)words);
}

static int skip_fun(struct cursor *cursor)
{
    uint32_t size; /* counts its own field */
    int rv = wire_length(cursor, NEW_FUN_SIZE_FIELD, &size);

    if (rv != 0) {
        return rv;
    }
    return size < NEW_FUN_HEAD ? ERR_BADARG
                               : wire_skip(cursor, size - NEW_FUN_SIZE_FIELD);
}

/* `per_count` elements for each that the length counts, and `extra`. */
static int enter(struct cursor *cursor, size_t width, uint64_t per_count,
                 uint64_t extra, uint64_t *pending)
{
    uint32_t count;
    int rv = wire_length(cursor, width, &count);

    if (rv == 0) {
        *pending += per_count * count + extra;
    }
    return rv;
}

/* One tag with what belongs to it; adds the elements that follow. */
static int skip_element(struct cursor *cursor, uint64_t *pending)
{
    uint8_t tag;
    int rv = wire_tag(cursor, &tag);

    if (rv != 0) {
        return rv;
    }
    switch (tag) {
    case TAG_SMALL_ATOM_UTF8:
    case TAG_SMALL_ATOM:
        return skip_block(cursor, 1);
    case TAG_ATOM_UTF8:
    case TAG_ATOM:
    case TAG_STRING:
        return skip_block(cursor, 2);
    case TAG_BINARY:
        return skip_block(cursor, 4);
    case TAG_SMALL_INTEGER:
        return wire_skip(cursor, 1);
    case TAG_INTEGER:
        return wire_skip(cursor, 4);
    case TAG_NEW_FLOAT:
        return wire_skip(cursor, 8);
    case TAG_SMALL_BIG:
        return skip_block_and(cursor, 1, 1); /* the sign */
    case TAG_LARGE_BIG:
    case TAG_BIT_BINARY:
        return skip_block_and(cursor, 4, 1); /* sign; bits of the last byte */
    case TAG_NEW_PID:
        return skip_atoms_and(cursor, 1, NEW_PID_TAIL);
    case TAG_NEW_PORT:
        return skip_atoms_and(cursor, 1, NEW_PORT_TAIL);
    case TAG_V4_PORT:
        return skip_atoms_and(cursor, 1, V4_PORT_TAIL);
    case TAG_NEWER_REFERENCE:
        return skip_reference(cursor);
    case TAG_EXPORT:
        return skip_atoms_and(cursor, 2, 2); /* a small integer */
    case TAG_NEW_FUN:
        return skip_fun(cursor);
    case TAG_NIL:
        return 0;
    case TAG_SMALL_TUPLE:
        return enter(cursor, 1, 1, 0, pending);
    case TAG_LARGE_TUPLE:
        return enter(cursor, 4, 1, 0, pending);
    case TAG_LIST:
        return enter(cursor, 4, 1, 1, pending); /* the tail */
    case TAG_MAP:
        return enter(cursor, 4, 2, 0, pending);
    default:
        return ERR_BADARG;
    }
}

static int skip_term(struct cursor *cursor)
{
    uint64_t pending = 1;

    while (pending > 0) {
        int rv = skip_element(cursor, &pending);

        if (rv != 0) {
            return rv;
        }
        pending--;
    }
    return 0;
}

int etf_skip_leaves(struct etf_reader *reader, uint32_t *left)
{
    struct cursor cursor = reader->cursor;

    while (*left > 0) {
        const uint8_t *start = cursor.next;
        uint64_t pending = 0;
        int rv = skip_element(&cursor, &pending);

        if (rv != 0) {
            return rv;
        }
        if (pending > 0 || *start == TAG_NEW_FUN) {
            return 0;
        }
        --*left;
        reader->cursor = cursor;
    }
    return 0;
}

int etf_skip(struct etf_reader *reader)
{
    struct bytes raw;

    return etf_read_raw(reader, &raw);
}

int etf_read_raw(struct etf_reader *reader, struct bytes *ret_raw)
{
    struct cursor cursor = reader->cursor;
    const uint8_t *start = cursor.next;
    int rv = skip_term(&cursor);

    if (rv != 0) {
        return rv;
    }
    *ret_raw = bytes_of(start, (size_t)(cursor.next - start));
    reader->cursor = cursor;
    return 0;
}

int etf_read_rest(struct etf_reader *reader, struct bytes *ret_raw)
{
    struct cursor *cursor = &reader->cursor;

    if (cursor_left(cursor) == 0) {
        return ERR_TRUNCATED;
    }
    *ret_raw = bytes_of(cursor->next, cursor_left(cursor));
    cursor->next = cursor->end;
    return 0;
}
