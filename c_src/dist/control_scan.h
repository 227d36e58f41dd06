/* SPDX-License-Identifier: Apache-2.0
 * The validation of a frame's two terms, in steps: a long frame is looked at
 * while it arrives, and nobody waits until all of it has been. */
#ifndef QUORATE_DIST_CONTROL_SCAN_H
#define QUORATE_DIST_CONTROL_SCAN_H

#include "base/attr.h"
#include "base/bytes.h"
#include "dist/control_form.h"
#include "etf/validate.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
    struct etf_spans spans; /* of the payload */
};

void control_scan_init(struct control_scan *scan);

/* Goes on with a frame of `frame_size` bytes, the first of which have arrived;
 * looks at about `work_max` elements. 0: go on with more or the same bytes
 * until the stage is CONTROL_SCAN_DONE; or an error as of control_decode(),
 * at which the scan is over. */
int control_scan_step(struct control_scan *scan, struct bytes arrived,
                      size_t frame_size, uint64_t flags, size_t work_max,
                      const char **ret_cause) MUST_USE;

/* The frame is whole, and this is where it is: the spans can be looked up. */
void control_scan_settle(struct control_scan *scan, struct bytes frame);

/* The two bytes in front of every frame's tuple: 0, or an error as of
 * control_decode(). */
int control_check_begin(struct bytes frame, const char **ret_cause) MUST_USE;

/* What a validator's error is to control_decode(). */
int control_fail_term(int err, const char **ret_cause);

#endif
