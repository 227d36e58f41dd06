/* SPDX-License-Identifier: Apache-2.0
 * A frame in steps: its head, the control tuple, the payload. */
#include "dist/control_scan.h"

#include "base/ensure.h"
#include "base/err.h"
#include "dist/control.h"
#include "etf/reader.h"

static int fail(int err, const char *cause, const char **ret_cause)
{
    *ret_cause = cause;
    return err;
}

int control_fail_term(int err, const char **ret_cause)
{
    if (err == ERR_LIMIT) {
        return fail(err, "a term exceeds a limit", ret_cause);
    }
    return fail(ERR_MALFORMED, "a term is malformed", ret_cause);
}

void control_scan_init(struct control_scan *scan)
{
    scan->stage = CONTROL_SCAN_HEAD;
    scan->outline = (struct control_outline){0};
    scan->control_size = 0;
    scan->spans.base = NULL;
    scan->spans.count = 0;
}

void control_scan_settle(struct control_scan *scan, struct bytes frame)
{
    if (scan->stage == CONTROL_SCAN_DONE && scan->outline.has_payload) {
        ensure(scan->control_size < frame.size);
        scan->spans.base = frame.data + scan->control_size + 1;
    }
}

int control_check_begin(struct bytes frame, const char **ret_cause)
{
    if (frame.size < 2 || frame.data[0] != CONTROL_PASS_THROUGH) {
        return fail(ERR_UNSUPPORTED, "the frame is not passed through",
                    ret_cause);
    }
    if (frame.data[1] != ETF_VERSION) {
        return fail(ERR_MALFORMED, "the control message has no version",
                    ret_cause);
    }
    return 0;
}

/* The two bytes in front, and the head of the tuple. */
static int scan_head(struct control_scan *scan, struct bytes arrived,
                     size_t frame_size, uint64_t flags, const char **ret_cause)
{
    struct etf_limits limits = {.depth_max = CONTROL_DEPTH_MAX,
                                .count_max = CONTROL_COUNT_MAX,
                                .size_max = CONTROL_SIZE_MAX};
    int rv;

    if (arrived.size < CONTROL_HEAD_MAX && arrived.size < frame_size) {
        return 0;
    }
    rv = control_check_begin(arrived, ret_cause);
    if (rv == 0) {
        rv = control_find_form(bytes_of(arrived.data + 2, arrived.size - 2),
                               flags, &scan->outline, ret_cause);
    }
    if (rv != 0) {
        return rv;
    }
    if (scan->outline.has_reason) {
        /* A process may die of any term. */
        limits = etf_limits_default(frame_size);
    }
    etf_validator_init(&scan->validator, &limits);
    scan->stage = CONTROL_SCAN_TUPLE;
    return 0;
}

/* One step in the term that begins at `offset` of the frame. */
static int scan_term(struct control_scan *scan, struct bytes arrived,
                     size_t offset, size_t frame_size, size_t work_max,
                     bool *ret_is_done)
{
    *ret_is_done = false;
    if (arrived.size <= offset) {
        return 0;
    }
    return etf_validator_step(
        &scan->validator,
        bytes_of(arrived.data + offset, arrived.size - offset),
        frame_size - offset, work_max, ret_is_done);
}

/* What follows the tuple: nothing, or a version byte and one term. */
static int begin_payload(struct control_scan *scan, size_t frame_size,
                         const char **ret_cause)
{
    bool has_payload = scan->outline.has_payload;
    bool is_end = scan->control_size == frame_size;
    struct etf_limits limits = etf_limits_default(frame_size);

    if (!has_payload && !is_end) {
        return fail(ERR_MALFORMED, "bytes follow the control message",
                    ret_cause);
    }
    if (has_payload && is_end) {
        return fail(ERR_MALFORMED, "the payload is missing", ret_cause);
    }
    etf_validator_init(&scan->validator, &limits);
    scan->validator.spans = &scan->spans;
    scan->stage = has_payload ? CONTROL_SCAN_PAYLOAD : CONTROL_SCAN_DONE;
    return 0;
}

static int scan_payload(struct control_scan *scan, struct bytes arrived,
                        size_t frame_size, size_t work_max,
                        const char **ret_cause)
{
    size_t offset = scan->control_size + 1;
    bool is_done;
    int rv = 0;

    if (arrived.size < offset) {
        return 0;
    }
    if (arrived.data[scan->control_size] != ETF_VERSION ||
        offset == frame_size) {
        return control_fail_term(ERR_MALFORMED, ret_cause);
    }
    rv = scan_term(scan, arrived, offset, frame_size, work_max, &is_done);
    if (rv == 0 && is_done) {
        scan->stage = CONTROL_SCAN_DONE;
        rv = offset + scan->validator.size == frame_size ? 0 : ERR_MALFORMED;
    }
    return rv == 0 ? 0 : control_fail_term(rv, ret_cause);
}

int control_scan_step(struct control_scan *scan, struct bytes arrived,
                      size_t frame_size, uint64_t flags, size_t work_max,
                      const char **ret_cause)
{
    bool is_done;
    int rv = 0;

    ensure(arrived.size <= frame_size);
    if (scan->stage == CONTROL_SCAN_HEAD) {
        rv = scan_head(scan, arrived, frame_size, flags, ret_cause);
    }
    if (rv == 0 && scan->stage == CONTROL_SCAN_TUPLE) {
        rv = scan_term(scan, arrived, 2, frame_size, work_max, &is_done);
        if (rv != 0) {
            return control_fail_term(rv, ret_cause);
        }
        if (is_done) {
            scan->control_size = 2 + scan->validator.size;
            rv = begin_payload(scan, frame_size, ret_cause);
        }
    }
    if (rv == 0 && scan->stage == CONTROL_SCAN_PAYLOAD) {
        rv = scan_payload(scan, arrived, frame_size, work_max, ret_cause);
    }
    return rv;
}
