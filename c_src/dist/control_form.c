/* SPDX-License-Identifier: Apache-2.0
 * One table says what each operation looks like: the fields after the
 * operation, of which types they are. */
#include "dist/control_form.h"

#include "base/err.h"
#include "dist/control.h"
#include "dist/flags.h"

enum {
    TUPLE_HEAD_SIZE = 4, /* tag, arity, tag of an integer, operation */
    TAG_SMALL_TUPLE = 104,
    TAG_SMALL_INTEGER = 97,
    ALTACT_HEAD_SIZE = TUPLE_HEAD_SIZE + 2, /* and the flags */
};

#define FROM   FIELD_FROM
#define TO     FIELD_TO
#define SKIP   FIELD_SKIP
#define REF    FIELD_REFERENCE
#define REASON FIELD_REASON

static const struct control_form forms[] = {
    [1] = {CONTROL_LINK, PAYLOAD_NONE, {FROM, TO}, 0},
    [2] = {CONTROL_SEND, PAYLOAD_TERM, {SKIP, TO}, 0},
    [3] = {CONTROL_EXIT, PAYLOAD_NONE, {FROM, TO, REASON}, 0},
    [4] = {CONTROL_UNLINK, PAYLOAD_NONE, {FROM, TO}, 0},
    [6] = {CONTROL_REG_SEND, PAYLOAD_TERM, {FROM, SKIP, FIELD_NAME}, 0},
    [7] = {CONTROL_GROUP_LEADER, PAYLOAD_NONE, {FROM, TO}, 0},
    [8] = {CONTROL_EXIT2, PAYLOAD_NONE, {FROM, TO, REASON}, 0},
    /* With a trace token. */
    [12] = {CONTROL_SEND, PAYLOAD_TERM, {SKIP, TO, SKIP}, 0},
    [13] = {CONTROL_EXIT, PAYLOAD_NONE, {FROM, TO, SKIP, REASON}, 0},
    [16] = {CONTROL_REG_SEND, PAYLOAD_TERM, {FROM, SKIP, FIELD_NAME, SKIP}, 0},
    [18] = {CONTROL_EXIT2, PAYLOAD_NONE, {FROM, TO, SKIP, REASON}, 0},
    [19] = {CONTROL_MONITOR_P,
            PAYLOAD_NONE,
            {FROM, FIELD_TO_OR_NAME, REF},
            DIST_FLAG_DIST_MONITOR},
    [20] = {CONTROL_DEMONITOR_P,
            PAYLOAD_NONE,
            {FROM, FIELD_TO_OR_NAME, REF},
            DIST_FLAG_DIST_MONITOR},
    [21] = {CONTROL_MONITOR_P_EXIT,
            PAYLOAD_NONE,
            {FIELD_FROM_OR_NAME, TO, REF, REASON},
            DIST_FLAG_DIST_MONITOR},
    [22] = {CONTROL_SEND, PAYLOAD_TERM, {FROM, TO}, DIST_FLAG_SEND_SENDER},
    [23] = {CONTROL_SEND,
            PAYLOAD_TERM,
            {FROM, TO, SKIP},
            DIST_FLAG_SEND_SENDER},
    [24] = {CONTROL_EXIT, PAYLOAD_REASON, {FROM, TO}, DIST_FLAG_EXIT_PAYLOAD},
    [25] = {CONTROL_EXIT,
            PAYLOAD_REASON,
            {FROM, TO, SKIP},
            DIST_FLAG_EXIT_PAYLOAD},
    [26] = {CONTROL_EXIT2, PAYLOAD_REASON, {FROM, TO}, DIST_FLAG_EXIT_PAYLOAD},
    [27] = {CONTROL_EXIT2,
            PAYLOAD_REASON,
            {FROM, TO, SKIP},
            DIST_FLAG_EXIT_PAYLOAD},
    [28] = {CONTROL_MONITOR_P_EXIT,
            PAYLOAD_REASON,
            {FIELD_FROM_OR_NAME, TO, REF},
            DIST_FLAG_EXIT_PAYLOAD},
    [29] = {CONTROL_SPAWN_REQUEST,
            PAYLOAD_TERM,
            {REF, FROM, FIELD_LEADER, FIELD_FUNCTION, FIELD_OPTIONS},
            DIST_FLAG_SPAWN},
    [30] = {CONTROL_SPAWN_REQUEST,
            PAYLOAD_TERM,
            {REF, FROM, FIELD_LEADER, FIELD_FUNCTION, FIELD_OPTIONS, SKIP},
            DIST_FLAG_SPAWN},
    [31] = {CONTROL_SPAWN_REPLY,
            PAYLOAD_NONE,
            {REF, TO, FIELD_FLAGS, FIELD_RESULT},
            DIST_FLAG_SPAWN},
    [32] = {CONTROL_SPAWN_REPLY,
            PAYLOAD_NONE,
            {REF, TO, FIELD_FLAGS, FIELD_RESULT, SKIP},
            DIST_FLAG_SPAWN},
    [33] = {CONTROL_ALIAS_SEND, PAYLOAD_TERM, {FROM, REF}, DIST_FLAG_ALIAS},
    [34] = {CONTROL_ALIAS_SEND,
            PAYLOAD_TERM,
            {FROM, REF, SKIP},
            DIST_FLAG_ALIAS},
    [35] = {CONTROL_UNLINK_ID,
            PAYLOAD_NONE,
            {FIELD_ID, FROM, TO},
            DIST_FLAG_UNLINK_ID},
    [36] = {CONTROL_UNLINK_ID_ACK,
            PAYLOAD_NONE,
            {FIELD_ID, FROM, TO},
            DIST_FLAG_UNLINK_ID},
};

/* The operation with flags, by what it is for: a message or an exit signal to
 * a pid, an alias or a name. */
enum { ALTACT_TO_PID, ALTACT_TO_ALIAS, ALTACT_TO_NAME, ALTACT_TARGETS };

static const struct control_form altact_forms[2][ALTACT_TARGETS] = {
    {{CONTROL_SEND, PAYLOAD_TERM, {FROM, TO}, 0},
     {CONTROL_ALIAS_SEND, PAYLOAD_TERM, {FROM, REF}, 0},
     {CONTROL_REG_SEND, PAYLOAD_TERM, {FROM, FIELD_NAME}, 0}},
    {{CONTROL_EXIT2, PAYLOAD_REASON, {FROM, TO}, 0},
     {CONTROL_EXIT2, PAYLOAD_REASON, {FROM, REF}, 0},
     {CONTROL_EXIT2, PAYLOAD_REASON, {FROM, FIELD_NAME}, 0}},
};

#undef FROM
#undef TO
#undef SKIP
#undef REF
#undef REASON

static uint32_t count_fields(const struct control_form *form)
{
    uint32_t count = 0;

    while (count < CONTROL_FIELDS_MAX && form->fields[count] != FIELD_END) {
        count++;
    }
    return count;
}

static int fail(int err, const char *cause, const char **ret_cause)
{
    *ret_cause = cause;
    return err;
}

static struct control_outline outline_of(const struct control_form *form,
                                         uint8_t head_size, bool has_token)
{
    bool has_payload = form->payload != PAYLOAD_NONE;

    return (struct control_outline){
        .form = form,
        .head_size = head_size,
        .has_token = has_token,
        .has_payload = has_payload,
        .has_reason = !has_payload &&
                      (form->op == CONTROL_EXIT || form->op == CONTROL_EXIT2 ||
                       form->op == CONTROL_MONITOR_P_EXIT)};
}

/* {37, Flags, Sender, To} or {37, Flags, Sender, To, Token} */
static int find_altact(struct bytes bytes, struct control_outline *ret_outline,
                       const char **ret_cause)
{
    uint32_t target = ALTACT_TO_PID;
    bool has_token;
    uint8_t flags;

    if (bytes.size < ALTACT_HEAD_SIZE ||
        bytes.data[TUPLE_HEAD_SIZE] != TAG_SMALL_INTEGER) {
        return fail(ERR_MALFORMED, "the signal's flags are not known",
                    ret_cause);
    }
    flags = bytes.data[TUPLE_HEAD_SIZE + 1];
    if ((flags & ~CONTROL_ALTACT_ALL) != 0 ||
        (flags & (CONTROL_ALTACT_ALIAS | CONTROL_ALTACT_NAME)) ==
            (CONTROL_ALTACT_ALIAS | CONTROL_ALTACT_NAME)) {
        return fail(ERR_MALFORMED, "the signal's flags are not known",
                    ret_cause);
    }
    if ((flags & CONTROL_ALTACT_ALIAS) != 0) {
        target = ALTACT_TO_ALIAS;
    } else if ((flags & CONTROL_ALTACT_NAME) != 0) {
        target = ALTACT_TO_NAME;
    }
    has_token = (flags & CONTROL_ALTACT_TOKEN) != 0;
    if (bytes.data[1] != (has_token ? 5 : 4)) {
        return fail(ERR_MALFORMED, "the control tuple has a wrong size",
                    ret_cause);
    }
    *ret_outline =
        outline_of(&altact_forms[(flags & CONTROL_ALTACT_EXIT) != 0][target],
                   ALTACT_HEAD_SIZE, has_token);
    return 0;
}

int control_find_form(struct bytes tuple, uint64_t flags,
                      struct control_outline *ret_outline,
                      const char **ret_cause)
{
    const struct control_form *form;
    uint8_t op;

    if (tuple.size < TUPLE_HEAD_SIZE || tuple.data[0] != TAG_SMALL_TUPLE ||
        tuple.data[2] != TAG_SMALL_INTEGER) {
        return fail(ERR_MALFORMED, "the control message is not a tuple",
                    ret_cause);
    }
    op = tuple.data[3];
    if (op == CONTROL_ALTACT_SIG_SEND) {
        return (flags & DIST_FLAG_ALTACT_SIG) != 0
                   ? find_altact(tuple, ret_outline, ret_cause)
                   : fail(ERR_UNSUPPORTED,
                          "the control operation was not agreed", ret_cause);
    }
    if (op >= sizeof(forms) / sizeof(forms[0]) || forms[op].op == 0) {
        return fail(ERR_MALFORMED, "the control operation is not known",
                    ret_cause);
    }
    form = &forms[op];
    if ((flags & form->flag) != form->flag) {
        return fail(ERR_UNSUPPORTED, "the control operation was not agreed",
                    ret_cause);
    }
    if (tuple.data[1] != 1 + count_fields(form)) {
        return fail(ERR_MALFORMED, "the control tuple has a wrong size",
                    ret_cause);
    }
    *ret_outline = outline_of(form, TUPLE_HEAD_SIZE, false);
    return 0;
}
