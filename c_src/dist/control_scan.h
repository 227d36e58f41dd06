/* SPDX-License-Identifier: Apache-2.0
 * The validation of a frame's two terms, in steps: a long frame is looked at
 * while it arrives, and nobody waits until all of it has been. */
#ifndef QUORATE_DIST_CONTROL_SCAN_H
#define QUORATE_DIST_CONTROL_SCAN_H

#include "base/attr.h"
#include "base/bytes.h"
#include "etf/validate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    /* Bytes up to the operation: pass-through, version, head of the tuple, tag
       of an integer, operation. */
    CONTROL_HEAD_SIZE = 6,
};

/* What an operation's form says about the frame. */
struct control_outline {
    bool has_payload;
    bool has_reason; /* in the tuple: any term */
};

enum control_scan_stage {
    CONTROL_SCAN_HEAD,
    CONTROL_SCAN_TUPLE,
    CONTROL_SCAN_PAYLOAD,
    CONTROL_SCAN_DONE,
};

struct control_scan {
    enum control_scan_stage stage;
    struct control_outline outline; /* known after the head */
    size_t control_size;            /* bytes before the payload */
    struct etf_validator validator;
};

void control_scan_init(struct control_scan *scan);

/* Goes on with a frame of `frame_size` bytes, the first of which have arrived;
 * looks at about `work_max` elements. 0: go on with more or the same bytes
 * until the stage is CONTROL_SCAN_DONE; or an error as of control_decode(),
 * at which the scan is over. */
int control_scan_step(struct control_scan *scan, struct bytes arrived,
                      size_t frame_size, uint64_t flags, size_t work_max,
                      const char **ret_cause) MUST_USE;

/* control.c: the outline of a tuple, by its head: 0, or an error as of
 * control_decode(). */
int control_find_form(struct bytes tuple, uint64_t flags,
                      struct control_outline *ret_outline,
                      const char **ret_cause) MUST_USE;

#endif
