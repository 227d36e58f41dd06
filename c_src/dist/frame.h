/* SPDX-License-Identifier: Apache-2.0
 * Frames of an established link: a 32-bit length, then that many bytes; an
 * empty frame is a tick. */
#ifndef QUORATE_DIST_FRAME_H
#define QUORATE_DIST_FRAME_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"

#include <stddef.h>

enum {
    /* A state of 64 MiB and its envelope. */
    FRAME_SIZE_MAX = 64 * 1024 * 1024 + 64 * 1024,
    FRAME_HEADER_SIZE = 4,
};

/* The next whole frame in `input`: 0 with the frame (borrowed) and the bytes
 * used, ERR_TRUNCATED if more must arrive (*ret_used is then the number of
 * bytes needed in all, if known, else 0), ERR_LIMIT if it is too long. */
int frame_next(struct bytes input, size_t size_max, struct bytes *ret_frame,
               size_t *ret_used) MUST_USE;

/* Encoding: begin, append the body, end. */
size_t frame_begin(struct buf *out);
void frame_end(struct buf *out, size_t begin);
/* The same for a frame of which `absent` bytes are not in `out`. */
void frame_end_without(struct buf *out, size_t begin, size_t absent);

#endif
