/* SPDX-License-Identifier: Apache-2.0
 * A borrowed run of bytes, and a cursor that reads big-endian numbers from one.
 * A cursor never reads past its end: it tests before it adds. */
#ifndef QUORATE_BASE_BYTES_H
#define QUORATE_BASE_BYTES_H

#include "base/attr.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

struct bytes {
    const uint8_t *data; /* borrowed; may be NULL if size is 0 */
    size_t size;
};

static inline struct bytes bytes_of(const void *data, size_t size)
{
    return (struct bytes){.data = (const uint8_t *)data, .size = size};
}

static inline struct bytes bytes_of_string(const char *text)
{
    return bytes_of(text, strlen(text));
}

static inline bool bytes_equal(struct bytes a, struct bytes b)
{
    return a.size == b.size &&
           (a.size == 0 || memcmp(a.data, b.data, a.size) == 0);
}

/* Whether `a` holds just the characters of `text`. */
static inline bool bytes_is(struct bytes a, const char *text)
{
    return bytes_equal(a, bytes_of_string(text));
}

/* Byte-wise order, shorter first on a common prefix: <0, 0, >0. */
int bytes_compare(struct bytes a, struct bytes b);

/* Equality in a time that depends on the sizes only; for secrets. */
bool bytes_equal_secret(struct bytes a, struct bytes b);

static inline size_t size_min(size_t a, size_t b)
{
    return a < b ? a : b;
}

struct cursor {
    const uint8_t *next; /* the next byte to read */
    const uint8_t *end;  /* one past the last byte */
};

static inline struct cursor cursor_of(struct bytes bytes)
{
    return (struct cursor){.next = bytes.data,
                           .end = bytes.size == 0 ? bytes.data
                                                  : bytes.data + bytes.size};
}

static inline size_t cursor_left(const struct cursor *cursor)
{
    return (size_t)(cursor->end - cursor->next);
}

/* Each reads one big-endian number: 0, or ERR_TRUNCATED with the cursor and
 * the out-parameter untouched. */
int cursor_u8(struct cursor *cursor, uint8_t *ret_value) MUST_USE;
int cursor_u16(struct cursor *cursor, uint16_t *ret_value) MUST_USE;
int cursor_u32(struct cursor *cursor, uint32_t *ret_value) MUST_USE;
int cursor_u64(struct cursor *cursor, uint64_t *ret_value) MUST_USE;

/* The next `size` bytes, borrowed from what the cursor reads. */
int cursor_take(struct cursor *cursor, size_t size,
                struct bytes *ret_bytes) MUST_USE;

/* A 32-bit length, then that many bytes, borrowed. */
int cursor_block(struct cursor *cursor, struct bytes *ret_bytes) MUST_USE;

/* 0 if all was read, else ERR_MALFORMED: decoders land exactly on the end. */
int cursor_end(const struct cursor *cursor) MUST_USE;

#endif
