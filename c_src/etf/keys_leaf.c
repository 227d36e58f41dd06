/* SPDX-License-Identifier: Apache-2.0
 * Brings each term without elements into the one form that all its forms have
 * in common, and hashes that. */
#include "etf/keys_leaf.h"

#include "base/err.h"
#include "base/map.h"
#include "etf/limits.h"
#include "etf/utf8.h"
#include "etf/wire.h"

static uint64_t hash_text(const uint64_t seed[2], struct bytes text)
{
    return keys_fold(keys_begin(seed, KEYS_ATOM), map_hash(seed, text));
}

/* Latin-1 as UTF-8: a character is one byte or two. */
static int hash_latin1(const uint64_t seed[2], struct bytes name,
                       uint64_t *ret_hash)
{
    uint8_t text[2 * ETF_ATOM_CHARS_MAX];
    size_t size = 0;

    if (name.size > ETF_ATOM_CHARS_MAX) {
        return ERR_BADARG;
    }
    for (size_t i = 0; i < name.size; i++) {
        uint8_t c = name.data[i];

        if (c < 0x80) {
            text[size++] = c;
        } else {
            text[size++] = (uint8_t)(0xc0 | (c >> 6));
            text[size++] = (uint8_t)(0x80 | (c & 0x3f));
        }
    }
    *ret_hash = hash_text(seed, bytes_of(text, size));
    return 0;
}

int keys_atom(const uint64_t seed[2], struct cursor *cursor, uint64_t *ret_hash)
{
    struct bytes name;
    uint8_t tag;
    int rv = wire_atom(cursor, &tag, &name);

    if (rv != 0) {
        return rv;
    }
    if ((tag == TAG_ATOM || tag == TAG_SMALL_ATOM) && !utf8_is_ascii(name)) {
        return hash_latin1(seed, name, ret_hash);
    }
    *ret_hash = hash_text(seed, name);
    return 0;
}

static int hash_small(const uint64_t seed[2], struct cursor *cursor,
                      uint64_t *ret_hash)
{
    uint32_t value;
    int rv = wire_length(cursor, 1, &value);

    if (rv == 0) {
        *ret_hash = keys_integer(seed, value, 0);
    }
    return rv;
}

static int hash_integer(const uint64_t seed[2], struct cursor *cursor,
                        uint64_t *ret_hash)
{
    uint32_t value;
    int rv = wire_length(cursor, 4, &value);

    if (rv == 0 && value > INT32_MAX) {
        *ret_hash = keys_integer(seed, UINT32_MAX - value + UINT64_C(1), 1);
    } else if (rv == 0) {
        *ret_hash = keys_integer(seed, value, 0);
    }
    return rv;
}

/* Zeros in front are none of the number, nor is the sign of zero. */
static int hash_big(const uint64_t seed[2], struct cursor *cursor, size_t width,
                    uint64_t *ret_hash)
{
    struct bytes digits; /* the least significant byte first */
    uint32_t size;
    uint32_t sign;
    uint64_t value = 0;
    int rv = wire_length(cursor, width, &size);

    rv = rv != 0 ? rv : wire_length(cursor, 1, &sign);
    rv = rv != 0 ? rv : cursor_take(cursor, size, &digits);
    if (rv != 0) {
        return rv;
    }
    while (digits.size > 0 && digits.data[digits.size - 1] == 0) {
        digits.size--;
    }
    if (digits.size > sizeof(value)) {
        value = keys_fold(keys_begin(seed, KEYS_BIG), sign != 0);
        *ret_hash = keys_fold(value, map_hash(seed, digits));
        return 0;
    }
    for (size_t i = digits.size; i > 0; i--) {
        value = (value << 8) | digits.data[i - 1];
    }
    *ret_hash = keys_integer(seed, value, sign != 0 && value != 0);
    return 0;
}

/* OTP 25 has one zero, later releases have two. */
static int hash_float(const uint64_t seed[2], struct cursor *cursor,
                      uint64_t *ret_hash)
{
    uint64_t bits;
    int rv = cursor_u64(cursor, &bits);

    if (rv == 0) {
        bits = bits << 1 == 0 ? 0 : bits;
        *ret_hash = keys_fold(keys_begin(seed, KEYS_FLOAT), bits);
    }
    return rv;
}

static uint64_t hash_bits(const uint64_t seed[2], struct bytes whole,
                          uint64_t rest, uint64_t rest_bits)
{
    uint64_t hash =
        keys_fold(keys_begin(seed, KEYS_BINARY), map_hash(seed, whole));

    return keys_fold(hash, rest << 8 | rest_bits);
}

static int hash_binary(const uint64_t seed[2], struct cursor *cursor,
                       uint64_t *ret_hash)
{
    struct bytes whole;
    int rv = wire_block(cursor, 4, &whole);

    if (rv == 0) {
        *ret_hash = hash_bits(seed, whole, 0, 0);
    }
    return rv;
}

/* The bits behind the last one are nobody's. */
static int hash_bit_binary(const uint64_t seed[2], struct cursor *cursor,
                           uint64_t *ret_hash)
{
    struct bytes whole;
    uint32_t size;
    uint32_t bits; /* of the last byte in use */
    uint8_t last;
    int rv = wire_length(cursor, 4, &size);

    rv = rv != 0 ? rv : wire_length(cursor, 1, &bits);
    rv = rv != 0 ? rv : cursor_take(cursor, size, &whole);
    if (rv != 0) {
        return rv;
    }
    if (size == 0 || bits >= 8) {
        *ret_hash = hash_bits(seed, whole, 0, 0);
        return 0;
    }
    whole.size--;
    last = (uint8_t)(whole.data[whole.size] >> (8 - bits));
    *ret_hash = hash_bits(seed, whole, last, bits);
    return 0;
}

static int hash_pid(const uint64_t seed[2], struct cursor *cursor,
                    uint64_t *ret_hash)
{
    uint64_t node = 0;
    uint64_t id_and_serial;
    uint32_t creation;
    int rv = keys_atom(seed, cursor, &node);

    rv = rv != 0 ? rv : cursor_u64(cursor, &id_and_serial);
    rv = rv != 0 ? rv : cursor_u32(cursor, &creation);
    if (rv == 0) {
        node = keys_fold(keys_begin(seed, KEYS_PID), node);
        *ret_hash = keys_fold(keys_fold(node, id_and_serial), creation);
    }
    return rv;
}

static int hash_port(const uint64_t seed[2], struct cursor *cursor,
                     size_t id_width, uint64_t *ret_hash)
{
    uint64_t node = 0;
    uint64_t id = 0;
    uint32_t id_low;
    uint32_t creation;
    int rv = keys_atom(seed, cursor, &node);

    if (rv == 0 && id_width == 8) {
        rv = cursor_u64(cursor, &id);
    } else if (rv == 0) {
        rv = cursor_u32(cursor, &id_low);
        id = rv == 0 ? id_low : 0;
    }
    rv = rv != 0 ? rv : cursor_u32(cursor, &creation);
    if (rv == 0) {
        node = keys_fold(keys_begin(seed, KEYS_PORT), node);
        *ret_hash = keys_fold(keys_fold(node, id), creation);
    }
    return rv;
}

/* Words of zero at the end are as if they were not there. */
static int hash_reference(const uint64_t seed[2], struct cursor *cursor,
                          uint64_t *ret_hash)
{
    uint64_t hash = 0;
    uint32_t count;
    uint32_t creation;
    struct bytes words;
    int rv = wire_length(cursor, 2, &count);

    rv = rv != 0 ? rv : keys_atom(seed, cursor, &hash);
    rv = rv != 0 ? rv : cursor_u32(cursor, &creation);
    rv = rv != 0 ? rv : cursor_take(cursor, 4 * (size_t)count, &words);
    if (rv != 0) {
        return rv;
    }
    while (words.size > 0 && wire_number(words.data + words.size - 4, 4) == 0) {
        words.size -= 4;
    }
    hash = keys_fold(keys_begin(seed, KEYS_REFERENCE), hash);
    *ret_hash = keys_fold(keys_fold(hash, creation), map_hash(seed, words));
    return 0;
}

static int hash_export(const uint64_t seed[2], struct cursor *cursor,
                       uint64_t *ret_hash)
{
    uint64_t module = 0;
    uint64_t function = 0;
    uint64_t hash = keys_begin(seed, KEYS_EXPORT);
    uint32_t tag_and_arity;
    int rv = keys_atom(seed, cursor, &module);

    rv = rv != 0 ? rv : keys_atom(seed, cursor, &function);
    rv = rv != 0 ? rv : wire_length(cursor, 2, &tag_and_arity);
    if (rv == 0) {
        hash = keys_fold(keys_fold(hash, module), function);
        *ret_hash = keys_fold(hash, tag_and_arity);
    }
    return rv;
}

int keys_leaf(const uint64_t seed[2], struct bytes raw, uint64_t *ret_hash)
{
    struct cursor cursor = cursor_of(raw);
    uint8_t tag;
    int rv = wire_tag(&cursor, &tag);

    if (rv != 0) {
        return rv;
    }
    switch (tag) {
    case TAG_SMALL_INTEGER:
        return hash_small(seed, &cursor, ret_hash);
    case TAG_INTEGER:
        return hash_integer(seed, &cursor, ret_hash);
    case TAG_SMALL_BIG:
        return hash_big(seed, &cursor, 1, ret_hash);
    case TAG_LARGE_BIG:
        return hash_big(seed, &cursor, 4, ret_hash);
    case TAG_NEW_FLOAT:
        return hash_float(seed, &cursor, ret_hash);
    case TAG_BINARY:
        return hash_binary(seed, &cursor, ret_hash);
    case TAG_BIT_BINARY:
        return hash_bit_binary(seed, &cursor, ret_hash);
    case TAG_NEW_PID:
        return hash_pid(seed, &cursor, ret_hash);
    case TAG_NEW_PORT:
        return hash_port(seed, &cursor, 4, ret_hash);
    case TAG_V4_PORT:
        return hash_port(seed, &cursor, 8, ret_hash);
    case TAG_NEWER_REFERENCE:
        return hash_reference(seed, &cursor, ret_hash);
    case TAG_EXPORT:
        return hash_export(seed, &cursor, ret_hash);
    default:
        cursor = cursor_of(raw);
        return keys_atom(seed, &cursor, ret_hash);
    }
}
