/* SPDX-License-Identifier: Apache-2.0
 * What the operations of the control protocol look like. Private to dist/. */
#ifndef QUORATE_DIST_CONTROL_FORM_H
#define QUORATE_DIST_CONTROL_FORM_H

#include "base/attr.h"
#include "base/bytes.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    CONTROL_FIELDS_MAX = 6, /* after the operation */
    /* Bytes up to the operation and its flags, if it has some: pass-through,
       version, head of the tuple, twice the tag of an integer and its value. */
    CONTROL_HEAD_MAX = 8,
};

enum field {
    FIELD_END,
    FIELD_SKIP, /* unused places and trace tokens: any term */
    FIELD_FROM,
    FIELD_FROM_OR_NAME,
    FIELD_TO,
    FIELD_TO_OR_NAME,
    FIELD_REFERENCE,
    FIELD_ID,
    FIELD_REASON,
    FIELD_RESULT,
    FIELD_LEADER,
    /* These need more than a look at the type. */
    FIELD_NAME,
    FIELD_FLAGS,
    FIELD_FUNCTION,
    FIELD_OPTIONS,
};

enum payload { PAYLOAD_NONE, PAYLOAD_TERM, PAYLOAD_REASON };

struct control_form {
    uint8_t op;      /* enum control_op that it comes out as; 0: unknown */
    uint8_t payload; /* enum payload */
    uint8_t fields[CONTROL_FIELDS_MAX]; /* enum field */
    uint64_t flag;                      /* must be agreed */
};

/* What the head of a control tuple says about the frame. */
struct control_outline {
    const struct control_form *form;
    uint8_t head_size; /* bytes of the tuple; the fields follow */
    bool has_token;    /* after the fields */
    bool has_payload;
    bool has_reason; /* in the tuple: any term */
};

/* The outline of a tuple, by its head: 0, or an error as of
 * control_decode(). */
int control_find_form(struct bytes tuple, uint64_t flags,
                      struct control_outline *ret_outline,
                      const char **ret_cause) MUST_USE;

#endif
