/* SPDX-License-Identifier: Apache-2.0
 * One table says what each operation looks like: the fields after the
 * operation, of which types they are and where they go. */
#include "dist/control.h"

#include "base/ensure.h"
#include "base/err.h"
#include "dist/flags.h"
#include "dist/frame.h"
#include "dist/options.h"
#include "etf/reader.h"
#include "etf/writer.h"

enum {
    FIELDS_MAX = 6,      /* after the operation */
    TUPLE_HEAD_SIZE = 4, /* tag, arity, tag of an integer, operation */
    TAG_SMALL_TUPLE = 104,
    TAG_SMALL_INTEGER = 97,
    ALTACT_HEAD_SIZE = TUPLE_HEAD_SIZE + 2, /* and the flags */
};

/* --- Fields --------------------------------------------------------------- */

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

#define TYPE(type) (UINT32_C(1) << (type))

enum { NOWHERE = UINT16_MAX }; /* looked at, not kept */

struct field_form {
    uint32_t types;  /* which are allowed, or-ed */
    uint16_t offset; /* in struct control, or NOWHERE */
};

static const struct field_form field_forms[] = {
    [FIELD_SKIP] = {UINT32_MAX, NOWHERE},
    [FIELD_FROM] = {TYPE(ETF_PID), offsetof(struct control, from)},
    [FIELD_FROM_OR_NAME] = {TYPE(ETF_PID) | TYPE(ETF_ATOM),
                            offsetof(struct control, from)},
    [FIELD_TO] = {TYPE(ETF_PID), offsetof(struct control, to)},
    [FIELD_TO_OR_NAME] = {TYPE(ETF_PID) | TYPE(ETF_ATOM),
                          offsetof(struct control, to)},
    [FIELD_REFERENCE] = {TYPE(ETF_REFERENCE),
                         offsetof(struct control, reference)},
    [FIELD_ID] = {TYPE(ETF_INTEGER), offsetof(struct control, id)},
    [FIELD_REASON] = {UINT32_MAX, offsetof(struct control, reason)},
    [FIELD_RESULT] = {TYPE(ETF_PID) | TYPE(ETF_ATOM),
                      offsetof(struct control, result)},
    [FIELD_LEADER] = {TYPE(ETF_PID), NOWHERE},
};

/* --- Operations ----------------------------------------------------------- */

enum payload { PAYLOAD_NONE, PAYLOAD_TERM, PAYLOAD_REASON };

struct form {
    uint8_t op;      /* enum control_op that it comes out as; 0: unknown */
    uint8_t payload; /* enum payload */
    uint8_t fields[FIELDS_MAX]; /* enum field */
    uint64_t flag;              /* must be agreed */
};

#define FROM   FIELD_FROM
#define TO     FIELD_TO
#define SKIP   FIELD_SKIP
#define REF    FIELD_REFERENCE
#define REASON FIELD_REASON

static const struct form forms[] = {
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

static const struct form altact_forms[2][ALTACT_TARGETS] = {
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

static uint32_t count_fields(const struct form *form)
{
    uint32_t count = 0;

    while (count < FIELDS_MAX && form->fields[count] != FIELD_END) {
        count++;
    }
    return count;
}

/* --- Decoding ------------------------------------------------------------- */

/* {M, F, Arity} */
static int read_function(struct etf_reader *reader, struct control *control)
{
    int rv = etf_read_tuple_of(reader, 3);

    rv = rv != 0 ? rv : etf_read_atom(reader, &control->module);
    rv = rv != 0 ? rv : etf_read_atom(reader, &control->function);
    rv = rv != 0 ? rv : etf_read_u64(reader, &control->arity);
    return rv;
}

static int read_options(struct etf_reader *reader, struct control *control)
{
    struct spawn_options options;
    int rv = spawn_options_read(reader, &options);

    if (rv == 0) {
        control->is_linked = options.is_linked;
        control->is_monitored = options.is_monitored;
        control->has_bad_option = options.is_bad;
    }
    return rv;
}

static int read_field(struct etf_reader *reader, enum field field,
                      struct control *control)
{
    const struct field_form *form;
    enum etf_type type;
    struct bytes raw;
    uint64_t number;
    int rv;

    if (field == FIELD_NAME) {
        return etf_read_atom(reader, &control->name);
    }
    if (field == FIELD_FLAGS) {
        return etf_read_u64(reader, &number);
    }
    if (field == FIELD_FUNCTION) {
        return read_function(reader, control);
    }
    if (field == FIELD_OPTIONS) {
        return read_options(reader, control);
    }
    ensure(field < sizeof(field_forms) / sizeof(field_forms[0]));
    form = &field_forms[field];
    rv = etf_peek(reader, &type);
    if (rv != 0) {
        return rv;
    }
    if ((form->types & TYPE(type)) == 0) {
        return ERR_BADARG;
    }
    rv = etf_read_raw(reader, &raw);
    if (rv == 0 && form->offset != NOWHERE) {
        memcpy((uint8_t *)control + form->offset, &raw, sizeof(raw));
    }
    return rv;
}

/* Identifiers of unlink requests have 64 bits at most. */
static bool is_id_right(const struct control *control)
{
    struct etf_reader reader = etf_reader_of(control->id);
    uint64_t id;

    return control->id.size == 0 || etf_read_u64(&reader, &id) == 0;
}

static int fail(int err, const char *cause, const char **ret_cause)
{
    *ret_cause = cause;
    return err;
}

static int fail_term(int err, const char **ret_cause)
{
    if (err == ERR_LIMIT) {
        return fail(err, "a term exceeds a limit", ret_cause);
    }
    return fail(ERR_MALFORMED, "a term is malformed", ret_cause);
}

/* What was found at the start of a control tuple. */
struct head {
    const struct form *form;
    size_t size;    /* bytes of it; the fields follow */
    bool has_token; /* after the fields */
};

/* {37, Flags, Sender, To} or {37, Flags, Sender, To, Token} */
static int find_altact(struct bytes bytes, struct head *ret_head,
                       const char **ret_cause)
{
    uint32_t target = ALTACT_TO_PID;
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
    *ret_head = (struct head){
        .form = &altact_forms[(flags & CONTROL_ALTACT_EXIT) != 0][target],
        .size = ALTACT_HEAD_SIZE,
        .has_token = (flags & CONTROL_ALTACT_TOKEN) != 0};
    if (bytes.data[1] != (ret_head->has_token ? 5 : 4)) {
        return fail(ERR_MALFORMED, "the control tuple has a wrong size",
                    ret_cause);
    }
    return 0;
}

/* The form of the control tuple at the start of `bytes`, if it has the head
 * that every sender writes. */
static int find_form(struct bytes bytes, uint64_t flags, struct head *ret_head,
                     const char **ret_cause)
{
    const struct form *form;
    uint8_t op;

    if (bytes.size < TUPLE_HEAD_SIZE || bytes.data[0] != TAG_SMALL_TUPLE ||
        bytes.data[2] != TAG_SMALL_INTEGER) {
        return fail(ERR_MALFORMED, "the control message is not a tuple",
                    ret_cause);
    }
    op = bytes.data[3];
    if (op == CONTROL_ALTACT_SIG_SEND && (flags & DIST_FLAG_ALTACT_SIG) != 0) {
        return find_altact(bytes, ret_head, ret_cause);
    }
    if (op == CONTROL_ALTACT_SIG_SEND) {
        return fail(ERR_UNSUPPORTED, "the control operation was not agreed",
                    ret_cause);
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
    if (bytes.data[1] != 1 + count_fields(form)) {
        return fail(ERR_MALFORMED, "the control tuple has a wrong size",
                    ret_cause);
    }
    *ret_head = (struct head){.form = form, .size = TUPLE_HEAD_SIZE};
    return 0;
}

static bool has_reason(const struct form *form)
{
    return form->payload == PAYLOAD_NONE &&
           (form->op == CONTROL_EXIT || form->op == CONTROL_EXIT2 ||
            form->op == CONTROL_MONITOR_P_EXIT);
}

/* What follows the control tuple: nothing, or a version byte and one term. */
static int take_payload(struct bytes rest, const struct form *form,
                        struct control *control, const char **ret_cause)
{
    struct etf_limits limits = etf_limits_default(rest.size);
    struct bytes raw;
    int rv;

    if (form->payload == PAYLOAD_NONE) {
        return rest.size == 0
                   ? 0
                   : fail(ERR_MALFORMED, "bytes follow the control message",
                          ret_cause);
    }
    if (rest.size == 0) {
        return fail(ERR_MALFORMED, "the payload is missing", ret_cause);
    }
    rv = etf_validate_external(rest, &limits, &raw);
    if (rv != 0) {
        return fail_term(rv, ret_cause);
    }
    if (form->payload == PAYLOAD_REASON) {
        control->reason = raw;
    } else {
        control->payload = raw;
    }
    return 0;
}

/* The fields after the head, to the end of the tuple. */
static int read_fields(struct bytes fields, const struct head *head,
                       struct control *control, const char **ret_cause)
{
    const struct form *form = head->form;
    struct etf_reader reader = etf_reader_of(fields);
    int rv = 0;

    for (size_t i = 0; i < FIELDS_MAX && form->fields[i] != FIELD_END; i++) {
        if (read_field(&reader, (enum field)form->fields[i], control) != 0) {
            return fail(ERR_MALFORMED, "a field has a wrong type", ret_cause);
        }
    }
    if (head->has_token) {
        rv = etf_skip(&reader);
    }
    ensure(rv == 0 && etf_at_end(&reader));
    if (!is_id_right(control)) {
        return fail(ERR_MALFORMED, "the unlink id is not valid", ret_cause);
    }
    return 0;
}

int control_decode(struct bytes frame, uint64_t flags,
                   struct control *ret_control, const char **ret_cause)
{
    struct etf_limits limits = {.depth_max = CONTROL_DEPTH_MAX,
                                .count_max = CONTROL_COUNT_MAX,
                                .size_max = CONTROL_SIZE_MAX};
    struct control control = {0};
    struct head head;
    struct bytes bytes;
    size_t size;
    int rv;

    if (frame.size < 2 || frame.data[0] != CONTROL_PASS_THROUGH) {
        return fail(ERR_UNSUPPORTED, "the frame is not passed through",
                    ret_cause);
    }
    if (frame.data[1] != ETF_VERSION) {
        return fail(ERR_MALFORMED, "the control message has no version",
                    ret_cause);
    }
    bytes = bytes_of(frame.data + 2, frame.size - 2);
    rv = find_form(bytes, flags, &head, ret_cause);
    if (rv != 0) {
        return rv;
    }
    if (has_reason(head.form)) {
        /* A process may die of any term. */
        limits = etf_limits_default(bytes.size);
    }
    rv = etf_validate(bytes, &limits, &size);
    if (rv != 0) {
        return fail_term(rv, ret_cause);
    }
    control.op = (enum control_op)head.form->op;
    rv = read_fields(bytes_of(bytes.data + head.size, size - head.size), &head,
                     &control, ret_cause);
    if (rv != 0) {
        return rv;
    }
    rv = take_payload(bytes_of(bytes.data + size, bytes.size - size), head.form,
                      &control, ret_cause);
    if (rv == 0) {
        *ret_control = control;
    }
    return rv;
}

/* --- Encoding ------------------------------------------------------------- */

size_t control_begin(struct buf *out, uint8_t op, uint32_t arity)
{
    const uint8_t head[] = {CONTROL_PASS_THROUGH, ETF_VERSION,
                            TAG_SMALL_TUPLE,      (uint8_t)arity,
                            TAG_SMALL_INTEGER,    op};
    size_t begin = frame_begin(out);

    ensure(arity <= 1 + FIELDS_MAX);
    buf_put(out, head, sizeof(head));
    return begin;
}

void control_payload(struct buf *out)
{
    etf_put_version(out);
}
