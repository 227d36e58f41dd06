/* SPDX-License-Identifier: Apache-2.0
 * Every function works on a copy of the cursor and writes it back once all
 * went well, so that a failure leaves no trace. */
#include "etf/reader.h"

#include "base/ensure.h"
#include "etf/utf8.h"
#include "etf/wire.h"

struct etf_reader etf_reader_of(struct bytes raw)
{
    return (struct etf_reader){.cursor = cursor_of(raw)};
}

bool etf_at_end(const struct etf_reader *reader)
{
    return cursor_left(&reader->cursor) == 0;
}

static int type_of(uint8_t tag, enum etf_type *ret_type)
{
    enum { NONE = UINT8_MAX };
    static const uint8_t types[] = {
        [TAG_NEW_FLOAT] = ETF_FLOAT + 1,
        [TAG_BIT_BINARY] = ETF_BIT_BINARY + 1,
        [TAG_NEW_PID] = ETF_PID + 1,
        [TAG_NEW_PORT] = ETF_PORT + 1,
        [TAG_NEWER_REFERENCE] = ETF_REFERENCE + 1,
        [TAG_SMALL_INTEGER] = ETF_INTEGER + 1,
        [TAG_INTEGER] = ETF_INTEGER + 1,
        [TAG_ATOM] = ETF_ATOM + 1,
        [TAG_SMALL_TUPLE] = ETF_TUPLE + 1,
        [TAG_LARGE_TUPLE] = ETF_TUPLE + 1,
        [TAG_NIL] = ETF_NIL + 1,
        [TAG_STRING] = ETF_STRING + 1,
        [TAG_LIST] = ETF_LIST + 1,
        [TAG_BINARY] = ETF_BINARY + 1,
        [TAG_SMALL_BIG] = ETF_INTEGER + 1,
        [TAG_LARGE_BIG] = ETF_INTEGER + 1,
        [TAG_NEW_FUN] = ETF_FUN + 1,
        [TAG_EXPORT] = ETF_FUN + 1,
        [TAG_SMALL_ATOM] = ETF_ATOM + 1,
        [TAG_MAP] = ETF_MAP + 1,
        [TAG_ATOM_UTF8] = ETF_ATOM + 1,
        [TAG_SMALL_ATOM_UTF8] = ETF_ATOM + 1,
        [TAG_V4_PORT] = ETF_PORT + 1,
        /* One more than the type, so that a gap (0) is no type. */
    };

    if (tag >= sizeof(types) || types[tag] == 0) {
        return ERR_BADARG;
    }
    *ret_type = (enum etf_type)(types[tag] - 1);
    return 0;
}

int etf_type_of(struct bytes raw, enum etf_type *ret_type)
{
    return raw.size == 0 ? ERR_TRUNCATED : type_of(raw.data[0], ret_type);
}

int etf_peek(const struct etf_reader *reader, enum etf_type *ret_type)
{
    return etf_type_of(
        bytes_of(reader->cursor.next, cursor_left(&reader->cursor)), ret_type);
}

static int read_atom(struct cursor *cursor, struct bytes *ret_name)
{
    struct bytes name;
    uint8_t tag;
    int rv = wire_atom(cursor, &tag, &name);

    if (rv != 0) {
        return rv;
    }
    if ((tag == TAG_ATOM || tag == TAG_SMALL_ATOM) && !utf8_is_ascii(name)) {
        return ERR_BADARG;
    }
    *ret_name = name;
    return 0;
}

int etf_read_atom(struct etf_reader *reader, struct bytes *ret_name)
{
    struct cursor cursor = reader->cursor;
    int rv = read_atom(&cursor, ret_name);

    if (rv == 0) {
        reader->cursor = cursor;
    }
    return rv;
}

bool etf_take_atom(struct etf_reader *reader, const char *name)
{
    struct cursor cursor = reader->cursor;
    struct bytes actual;

    if (read_atom(&cursor, &actual) != 0 || !bytes_is(actual, name)) {
        return false;
    }
    reader->cursor = cursor;
    return true;
}

int etf_read_bool(struct etf_reader *reader, bool *ret_value)
{
    struct cursor cursor = reader->cursor;
    struct bytes name;
    int rv = read_atom(&cursor, &name);

    if (rv != 0) {
        return rv;
    }
    if (!bytes_is(name, "true") && !bytes_is(name, "false")) {
        return ERR_BADARG;
    }
    *ret_value = bytes_is(name, "true");
    reader->cursor = cursor;
    return 0;
}

/* What 64 bits and a sign can hold. */
struct number {
    uint64_t magnitude;
    bool is_negative; /* never with magnitude 0 */
};

static int read_big(struct cursor *cursor, size_t width, struct number *number)
{
    uint32_t size;
    uint32_t sign;
    struct bytes digits; /* the least significant byte first */
    uint64_t magnitude = 0;
    int rv = wire_length(cursor, width, &size);

    if (rv == 0) {
        rv = wire_length(cursor, 1, &sign);
    }
    if (rv == 0) {
        rv = cursor_take(cursor, size, &digits);
    }
    if (rv != 0) {
        return rv;
    }
    for (size_t i = digits.size; i > 0; i--) {
        if (magnitude >> 56 != 0) {
            return ERR_BADARG;
        }
        magnitude = (magnitude << 8) | digits.data[i - 1];
    }
    *number = (struct number){.magnitude = magnitude,
                              .is_negative = sign != 0 && magnitude != 0};
    return 0;
}

static int read_number(struct cursor *cursor, struct number *number)
{
    uint32_t value;
    uint8_t tag;
    int rv = wire_tag(cursor, &tag);

    if (rv != 0) {
        return rv;
    }
    switch (tag) {
    case TAG_SMALL_INTEGER:
    case TAG_INTEGER:
        rv = wire_length(cursor, tag == TAG_INTEGER ? 4 : 1, &value);
        if (rv == 0) {
            bool is_negative = value > INT32_MAX;

            *number = (struct number){
                .magnitude =
                    is_negative ? UINT32_MAX - value + UINT64_C(1) : value,
                .is_negative = is_negative};
        }
        return rv;
    case TAG_SMALL_BIG:
        return read_big(cursor, 1, number);
    case TAG_LARGE_BIG:
        return read_big(cursor, 4, number);
    default:
        return ERR_BADARG;
    }
}

int etf_read_u64(struct etf_reader *reader, uint64_t *ret_value)
{
    struct cursor cursor = reader->cursor;
    struct number number;
    int rv = read_number(&cursor, &number);

    if (rv != 0) {
        return rv;
    }
    if (number.is_negative) {
        return ERR_BADARG;
    }
    *ret_value = number.magnitude;
    reader->cursor = cursor;
    return 0;
}

int etf_read_i64(struct etf_reader *reader, int64_t *ret_value)
{
    struct cursor cursor = reader->cursor;
    struct number number;
    int rv = read_number(&cursor, &number);

    if (rv != 0) {
        return rv;
    }
    if (number.magnitude > (uint64_t)INT64_MAX + number.is_negative) {
        return ERR_BADARG;
    }
    /* The order of operations keeps INT64_MIN in range. */
    *ret_value = number.is_negative ? -(int64_t)(number.magnitude - 1) - 1
                                    : (int64_t)number.magnitude;
    reader->cursor = cursor;
    return 0;
}

int etf_read_double(struct etf_reader *reader, double *ret_value)
{
    struct cursor cursor = reader->cursor;
    struct number number;
    uint64_t bits;
    int rv;

    if (!etf_at_end(reader) && cursor.next[0] == TAG_NEW_FLOAT) {
        cursor.next++;
        rv = cursor_u64(&cursor, &bits);
        if (rv == 0) {
            memcpy(ret_value, &bits, sizeof(bits));
            reader->cursor = cursor;
        }
        return rv;
    }
    rv = read_number(&cursor, &number);
    if (rv == 0) {
        *ret_value = number.is_negative ? -(double)number.magnitude
                                        : (double)number.magnitude;
        reader->cursor = cursor;
    }
    return rv;
}

int etf_read_binary(struct etf_reader *reader, struct bytes *ret)
{
    struct cursor cursor = reader->cursor;
    uint8_t tag;
    int rv = wire_tag(&cursor, &tag);

    if (rv == 0) {
        rv = tag == TAG_BINARY ? wire_block(&cursor, 4, ret) : ERR_BADARG;
    }
    if (rv == 0) {
        reader->cursor = cursor;
    }
    return rv;
}

static int read_tuple(struct cursor *cursor, uint32_t *ret_arity)
{
    uint8_t tag;
    int rv = wire_tag(cursor, &tag);

    if (rv != 0) {
        return rv;
    }
    if (tag != TAG_SMALL_TUPLE && tag != TAG_LARGE_TUPLE) {
        return ERR_BADARG;
    }
    return wire_length(cursor, tag == TAG_SMALL_TUPLE ? 1 : 4, ret_arity);
}

int etf_read_tuple(struct etf_reader *reader, uint32_t *ret_arity)
{
    struct cursor cursor = reader->cursor;
    int rv = read_tuple(&cursor, ret_arity);

    if (rv == 0) {
        reader->cursor = cursor;
    }
    return rv;
}

int etf_read_map(struct etf_reader *reader, uint32_t *ret_pairs)
{
    struct cursor cursor = reader->cursor;
    uint8_t tag;
    int rv = wire_tag(&cursor, &tag);

    if (rv == 0) {
        rv = tag == TAG_MAP ? wire_length(&cursor, 4, ret_pairs) : ERR_BADARG;
    }
    if (rv == 0) {
        reader->cursor = cursor;
    }
    return rv;
}

int etf_read_tuple_of(struct etf_reader *reader, uint32_t arity)
{
    struct cursor cursor = reader->cursor;
    uint32_t actual;
    int rv = read_tuple(&cursor, &actual);

    if (rv != 0) {
        return rv;
    }
    if (actual != arity) {
        return ERR_BADARG;
    }
    reader->cursor = cursor;
    return 0;
}

int etf_read_pid(struct etf_reader *reader, struct etf_pid *ret_pid)
{
    struct cursor cursor = reader->cursor;
    struct etf_pid pid;
    uint8_t tag;
    int rv = wire_tag(&cursor, &tag);

    if (rv == 0) {
        rv = tag == TAG_NEW_PID ? read_atom(&cursor, &pid.node) : ERR_BADARG;
    }
    if (rv == 0) {
        rv = wire_length(&cursor, 4, &pid.id);
    }
    if (rv == 0) {
        rv = wire_length(&cursor, 4, &pid.serial);
    }
    if (rv == 0) {
        rv = wire_length(&cursor, 4, &pid.creation);
    }
    if (rv == 0) {
        *ret_pid = pid;
        reader->cursor = cursor;
    }
    return rv;
}
