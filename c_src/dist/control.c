/* SPDX-License-Identifier: Apache-2.0
 * One table says what each operation looks like: the fields after the
 * operation, of which types they are and where they go. */
#include "dist/control.h"

#include "base/ensure.h"
#include "base/err.h"
#include "dist/control_scan.h"
#include "dist/flags.h"
#include "dist/frame.h"
#include "etf/reader.h"
#include "etf/writer.h"

enum {
    FIELDS_MAX = 6, /* after the operation */
    TAG_SMALL_TUPLE = 104,
    TAG_SMALL_INTEGER = 97,
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

/* Options that we do not know are the caller's wish only: priorities and
 * heap sizes mean nothing here. */
static int read_options(struct etf_reader *reader, struct control *control)
{
    struct etf_list list;
    bool has_more;
    int rv = etf_list_begin(reader, &list);

    rv = rv != 0 ? rv : etf_list_next(&list, &has_more);
    while (rv == 0 && has_more) {
        struct etf_reader option = list.element;

        if (etf_take_atom(&option, "link")) {
            control->is_linked = true;
        } else if (etf_take_atom(&option, "monitor") ||
                   (etf_read_tuple_of(&option, 2) == 0 &&
                    etf_take_atom(&option, "monitor"))) {
            control->is_monitored = true;
        }
        rv = etf_list_next(&list, &has_more);
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

/* The form of the control tuple at the start of `bytes`, if it has the head
 * that every sender writes. */
static int find_form(struct bytes bytes, uint64_t flags,
                     const struct form **ret_form, const char **ret_cause)
{
    const struct form *form;
    uint8_t op;

    if (bytes.size < CONTROL_HEAD_SIZE - 2 ||
        bytes.data[0] != TAG_SMALL_TUPLE ||
        bytes.data[2] != TAG_SMALL_INTEGER) {
        return fail(ERR_MALFORMED, "the control message is not a tuple",
                    ret_cause);
    }
    op = bytes.data[3];
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
    *ret_form = form;
    return 0;
}

int control_find_form(struct bytes tuple, uint64_t flags,
                      struct control_outline *ret_outline,
                      const char **ret_cause)
{
    const struct form *form;
    int rv = find_form(tuple, flags, &form, ret_cause);

    if (rv == 0) {
        bool has_payload = form->payload != PAYLOAD_NONE;

        *ret_outline = (struct control_outline){
            .has_payload = has_payload,
            .has_reason = !has_payload && (form->op == CONTROL_EXIT ||
                                           form->op == CONTROL_EXIT2 ||
                                           form->op == CONTROL_MONITOR_P_EXIT)};
    }
    return rv;
}

int control_decode_scanned(struct bytes frame, const struct control_scan *scan,
                           struct control *ret_control, const char **ret_cause)
{
    const struct form *form;
    struct control control = {0};
    struct etf_reader reader;

    ensure(scan->stage == CONTROL_SCAN_DONE);
    ensure(scan->control_size >= CONTROL_HEAD_SIZE);
    ensure(scan->control_size <= frame.size);
    form = &forms[frame.data[CONTROL_HEAD_SIZE - 1]];
    control.op = (enum control_op)form->op;
    reader = etf_reader_of(bytes_of(frame.data + CONTROL_HEAD_SIZE,
                                    scan->control_size - CONTROL_HEAD_SIZE));
    for (size_t i = 0; i < FIELDS_MAX && form->fields[i] != FIELD_END; i++) {
        if (read_field(&reader, (enum field)form->fields[i], &control) != 0) {
            return fail(ERR_MALFORMED, "a field has a wrong type", ret_cause);
        }
    }
    ensure(etf_at_end(&reader));
    if (!is_id_right(&control)) {
        return fail(ERR_MALFORMED, "the unlink id is not valid", ret_cause);
    }
    if (form->payload != PAYLOAD_NONE) {
        struct bytes raw = bytes_of(frame.data + scan->control_size + 1,
                                    frame.size - scan->control_size - 1);

        if (form->payload == PAYLOAD_REASON) {
            control.reason = raw;
        } else {
            control.payload = raw;
        }
    }
    *ret_control = control;
    return 0;
}

int control_decode(struct bytes frame, uint64_t flags,
                   struct control *ret_control, const char **ret_cause)
{
    struct control_scan scan; /* the validator needs no first value */
    int rv;

    control_scan_init(&scan);
    rv =
        control_scan_step(&scan, frame, frame.size, flags, SIZE_MAX, ret_cause);
    return rv != 0
               ? rv
               : control_decode_scanned(frame, &scan, ret_control, ret_cause);
}

/* --- Encoding ------------------------------------------------------------- */

size_t control_begin(struct buf *out, enum control_op op, uint32_t arity)
{
    const uint8_t head[] = {CONTROL_PASS_THROUGH, ETF_VERSION,
                            TAG_SMALL_TUPLE,      (uint8_t)arity,
                            TAG_SMALL_INTEGER,    (uint8_t)op};
    size_t begin = frame_begin(out);

    ensure(arity <= 1 + FIELDS_MAX);
    buf_put(out, head, sizeof(head));
    return begin;
}

void control_payload(struct buf *out)
{
    etf_put_version(out);
}
