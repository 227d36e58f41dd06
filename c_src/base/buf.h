/* SPDX-License-Identifier: Apache-2.0
 * A growing byte buffer that cannot be made without its maximum.
 *
 * Errors are sticky: after the first failed append (ERR_NOMEM, ERR_LIMIT) all
 * later ones do nothing, so that an encoder may append a whole message and
 * look at buf_error() once. */
#ifndef QUORATE_BASE_BUF_H
#define QUORATE_BASE_BUF_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stddef.h>
#include <stdint.h>

struct buf {
    uint8_t *data;   /* owned; NULL while empty */
    size_t size;     /* bytes in use */
    size_t capacity; /* bytes allocated */
    size_t size_max; /* limit on size */
    int error;       /* 0, ERR_NOMEM or ERR_LIMIT; sticky */
};

/* An empty buffer that may grow to `size_max` bytes. Allocates nothing. */
void buf_init(struct buf *buf, size_t size_max);

/* Frees the bytes; the buffer is then as after buf_init(). NULL is allowed. */
void buf_close(struct buf *buf);

/* buf_close() of a secret: the bytes are overwritten first. */
void buf_wipe(struct buf *buf);

/* Empties it, keeps the memory, clears the error. */
void buf_clear(struct buf *buf);

/* Makes room for `size` more bytes and returns where they go (not yet counted:
 * see buf_commit()), or NULL with the error set. */
uint8_t *buf_reserve(struct buf *buf, size_t size) MUST_USE;

/* Counts `size` bytes that were written at buf_reserve()'s pointer. */
void buf_commit(struct buf *buf, size_t size);

void buf_put(struct buf *buf, const void *data, size_t size);
void buf_put_bytes(struct buf *buf, struct bytes bytes);
void buf_put_u8(struct buf *buf, uint8_t value);
void buf_put_u16(struct buf *buf, uint16_t value);
void buf_put_u32(struct buf *buf, uint32_t value);
void buf_put_u64(struct buf *buf, uint64_t value);

/* A 32-bit length, then the bytes: what cursor_block() reads. */
void buf_put_block(struct buf *buf, struct bytes bytes);

/* printf without the terminating zero. */
void buf_printf(struct buf *buf, const char *format, ...) PRINTF_LIKE(2, 3);

/* Overwrites 4 bytes at `offset` (must be in use): lengths known late. */
void buf_patch_u32(struct buf *buf, size_t offset, uint32_t value);

/* Drops the first `size` bytes; the rest moves to the front. */
void buf_consume(struct buf *buf, size_t size);

/* The bytes in use, borrowed until the next change. */
static inline struct bytes buf_bytes(const struct buf *buf)
{
    return bytes_of(buf->data, buf->size);
}

static inline int buf_error(const struct buf *buf)
{
    return buf->error;
}

#endif
