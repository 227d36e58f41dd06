/* SPDX-License-Identifier: Apache-2.0
 * What a member sends, as its peers would look at it. */
#ifndef QUORATE_TEST_FUZZ_FRAMES_OUT_H
#define QUORATE_TEST_FUZZ_FRAMES_OUT_H

#include "base/ensure.h"
#include "base/err.h"
#include "dist/control.h"
#include "dist/flags.h"
#include "dist/frame.h"

/* Everything in `out` is frames of at most `size_max` bytes. Answers wrap what
 * came in, so that they may be deeper than we would take ourselves. Empties
 * it. */
static inline void check_out(struct buf *out, size_t size_max)
{
    struct bytes left = buf_bytes(out);

    ensure(buf_error(out) == 0);
    while (left.size > 0) {
        struct control control;
        struct bytes frame;
        const char *cause = NULL;
        size_t used;
        int rv = frame_next(left, size_max, &frame, &used);

        ensure(rv == 0);
        rv = control_decode(frame, DIST_FLAGS_OFFERED, &control, &cause);
        ensure(rv == 0 || rv == ERR_LIMIT);
        left = bytes_of(left.data + used, left.size - used);
    }
    buf_clear(out);
}

#endif
