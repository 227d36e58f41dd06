/* SPDX-License-Identifier: Apache-2.0
 * Frames of an established link. */
#include "dist/frame.h"

#include "base/ensure.h"
#include "base/err.h"

int frame_next(struct bytes input, size_t size_max, struct bytes *ret_frame,
               size_t *ret_used)
{
    struct cursor cursor = cursor_of(input);
    uint32_t size;
    int rv;

    rv = cursor_u32(&cursor, &size);
    if (rv != 0) {
        *ret_used = 0;
        return rv;
    }
    if (size > size_max) {
        return ERR_LIMIT;
    }
    if (cursor_left(&cursor) < size) {
        *ret_used = FRAME_HEADER_SIZE + (size_t)size;
        return ERR_TRUNCATED;
    }
    *ret_frame = bytes_of(cursor.next, size);
    *ret_used = FRAME_HEADER_SIZE + (size_t)size;
    return 0;
}

size_t frame_begin(struct buf *out)
{
    size_t begin = out->size;

    buf_put_u32(out, 0);
    return begin;
}

void frame_end(struct buf *out, size_t begin)
{
    frame_end_without(out, begin, 0);
}

void frame_end_without(struct buf *out, size_t begin, size_t absent)
{
    size_t size;

    if (buf_error(out) != 0) {
        return;
    }
    ensure(out->size >= begin + FRAME_HEADER_SIZE);
    size = out->size - begin - FRAME_HEADER_SIZE + absent;
    ensure(size <= UINT32_MAX);
    buf_patch_u32(out, begin, (uint32_t)size);
}
