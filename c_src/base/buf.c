/* SPDX-License-Identifier: Apache-2.0 */
#include "base/buf.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"

#include <stdarg.h>
#include <stdio.h>

enum { CAPACITY_MIN = 64 };

void buf_init(struct buf *buf, size_t size_max)
{
    *buf = (struct buf){.size_max = size_max};
}

void buf_close(struct buf *buf)
{
    if (buf != NULL) {
        mem_free(buf->data);
        buf_init(buf, buf->size_max);
    }
}

void buf_wipe(struct buf *buf)
{
    /* A compiler may leave out writes that nobody reads, but not these. */
    volatile uint8_t *data = buf->data;

    for (size_t i = 0; i < buf->capacity; i++) {
        data[i] = 0;
    }
    buf_close(buf);
}

void buf_clear(struct buf *buf)
{
    buf->size = 0;
    buf->error = 0;
}

uint8_t *buf_reserve(struct buf *buf, size_t size)
{
    size_t capacity;
    uint8_t *data;

    if (buf->error != 0) {
        return NULL;
    }
    if (size > buf->size_max - buf->size) {
        buf->error = ERR_LIMIT;
        return NULL;
    }
    if (buf->data != NULL && size <= buf->capacity - buf->size) {
        return buf->data + buf->size;
    }
    capacity = buf->capacity < CAPACITY_MIN ? CAPACITY_MIN : buf->capacity;
    while (capacity < buf->size + size) {
        capacity = capacity > SIZE_MAX / 2 ? SIZE_MAX : capacity * 2;
    }
    if (capacity > buf->size_max && buf->size_max >= CAPACITY_MIN) {
        capacity = buf->size_max;
    }
    data = mem_realloc(buf->data, capacity);
    if (data == NULL) {
        buf->error = ERR_NOMEM;
        return NULL;
    }
    buf->data = data;
    buf->capacity = capacity;
    return buf->data + buf->size;
}

void buf_commit(struct buf *buf, size_t size)
{
    ensure(size <= buf->capacity - buf->size);
    buf->size += size;
}

void buf_put(struct buf *buf, const void *data, size_t size)
{
    uint8_t *room = buf_reserve(buf, size);

    if (room != NULL && size > 0) {
        memcpy(room, data, size);
        buf->size += size;
    }
}

void buf_put_bytes(struct buf *buf, struct bytes bytes)
{
    buf_put(buf, bytes.data, bytes.size);
}

static void put_big_endian(struct buf *buf, uint64_t value, size_t size)
{
    uint8_t *room = buf_reserve(buf, size);

    if (room == NULL) {
        return;
    }
    for (size_t i = 0; i < size; i++) {
        room[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    }
    buf->size += size;
}

void buf_put_u8(struct buf *buf, uint8_t value)
{
    put_big_endian(buf, value, 1);
}

void buf_put_u16(struct buf *buf, uint16_t value)
{
    put_big_endian(buf, value, 2);
}

void buf_put_u32(struct buf *buf, uint32_t value)
{
    put_big_endian(buf, value, 4);
}

void buf_put_u64(struct buf *buf, uint64_t value)
{
    put_big_endian(buf, value, 8);
}

void buf_put_block(struct buf *buf, struct bytes bytes)
{
    if (bytes.size > UINT32_MAX) {
        buf->error = ERR_LIMIT;
        return;
    }
    buf_put_u32(buf, (uint32_t)bytes.size);
    buf_put_bytes(buf, bytes);
}

void buf_printf(struct buf *buf, const char *format, ...)
{
    va_list args;
    int size;
    uint8_t *room;

    va_start(args, format);
    size = vsnprintf(NULL, 0, format, args);
    va_end(args);
    if (size < 0) {
        buf->error = ERR_LIMIT;
        return;
    }
    /* One more byte for vsnprintf's zero, which is not counted. */
    room = buf_reserve(buf, (size_t)size + 1);
    if (room == NULL) {
        return;
    }
    va_start(args, format);
    (void)vsnprintf((char *)room, (size_t)size + 1, format, args);
    va_end(args);
    buf->size += (size_t)size;
}

void buf_patch_u32(struct buf *buf, size_t offset, uint32_t value)
{
    if (buf->error != 0) {
        return;
    }
    ensure(offset <= buf->size);
    ensure(buf->size - offset >= 4);
    for (size_t i = 0; i < 4; i++) {
        buf->data[offset + i] = (uint8_t)(value >> (8 * (3 - i)));
    }
}

void buf_consume(struct buf *buf, size_t size)
{
    ensure(size <= buf->size);
    if (size > 0) {
        memmove(buf->data, buf->data + size, buf->size - size);
        buf->size -= size;
    }
}
