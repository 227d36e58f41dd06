/* SPDX-License-Identifier: Apache-2.0 */
#include "base/bytes.h"

#include "base/err.h"

int bytes_compare(struct bytes a, struct bytes b)
{
    size_t size = a.size < b.size ? a.size : b.size;
    int order = size == 0 ? 0 : memcmp(a.data, b.data, size);

    if (order != 0) {
        return order;
    }
    return (a.size > b.size) - (a.size < b.size);
}

bool bytes_equal_secret(struct bytes a, struct bytes b)
{
    volatile uint8_t difference = 0;

    if (a.size != b.size) {
        return false;
    }
    for (size_t i = 0; i < a.size; i++) {
        difference = (uint8_t)(difference | (a.data[i] ^ b.data[i]));
    }
    return difference == 0;
}

static int read_big_endian(struct cursor *cursor, size_t size,
                           uint64_t *ret_value)
{
    uint64_t value = 0;

    if (cursor_left(cursor) < size) {
        return ERR_TRUNCATED;
    }
    for (size_t i = 0; i < size; i++) {
        value = (value << 8) | cursor->next[i];
    }
    cursor->next += size;
    *ret_value = value;
    return 0;
}

int cursor_u8(struct cursor *cursor, uint8_t *ret_value)
{
    uint64_t value;
    int rv = read_big_endian(cursor, 1, &value);

    if (rv == 0) {
        *ret_value = (uint8_t)value;
    }
    return rv;
}

int cursor_u16(struct cursor *cursor, uint16_t *ret_value)
{
    uint64_t value;
    int rv = read_big_endian(cursor, 2, &value);

    if (rv == 0) {
        *ret_value = (uint16_t)value;
    }
    return rv;
}

int cursor_u32(struct cursor *cursor, uint32_t *ret_value)
{
    uint64_t value;
    int rv = read_big_endian(cursor, 4, &value);

    if (rv == 0) {
        *ret_value = (uint32_t)value;
    }
    return rv;
}

int cursor_u64(struct cursor *cursor, uint64_t *ret_value)
{
    return read_big_endian(cursor, 8, ret_value);
}

int cursor_take(struct cursor *cursor, size_t size, struct bytes *ret_bytes)
{
    if (cursor_left(cursor) < size) {
        return ERR_TRUNCATED;
    }
    *ret_bytes = bytes_of(cursor->next, size);
    if (size > 0) {
        cursor->next += size;
    }
    return 0;
}

int cursor_block(struct cursor *cursor, struct bytes *ret_bytes)
{
    struct cursor ahead = *cursor;
    uint32_t size;
    int rv = cursor_u32(&ahead, &size);

    if (rv == 0) {
        rv = cursor_take(&ahead, size, ret_bytes);
    }
    if (rv == 0) {
        *cursor = ahead;
    }
    return rv;
}

int cursor_end(const struct cursor *cursor)
{
    return cursor_left(cursor) == 0 ? 0 : ERR_MALFORMED;
}
