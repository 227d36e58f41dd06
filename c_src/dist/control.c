/* SPDX-License-Identifier: Apache-2.0
 * A frame taken apart by the form of its operation (control_form.c): where
 * each field goes. A frame that is all there is validated field by field, one
 * that came in pieces has been (control_scan.c). */
#include "dist/control.h"

#include "base/ensure.h"
#include "base/err.h"
#include "dist/control_scan.h"
#include "dist/frame.h"
#include "dist/options.h"
#include "etf/reader.h"
#include "etf/writer.h"

enum { TAG_SMALL_TUPLE = 104, TAG_SMALL_INTEGER = 97 };

/* --- Fields --------------------------------------------------------------- */

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

/* --- Decoding ------------------------------------------------------------- */

/* {M, F, Arity} */
static int read_function(struct etf_reader reader, struct control *control)
{
    int rv = etf_read_tuple_of(&reader, 3);

    rv = rv != 0 ? rv : etf_read_atom(&reader, &control->module);
    rv = rv != 0 ? rv : etf_read_atom(&reader, &control->function);
    rv = rv != 0 ? rv : etf_read_u64(&reader, &control->arity);
    return rv;
}

static int read_options(struct etf_reader reader, struct control *control)
{
    struct spawn_options options;
    int rv = spawn_options_read(&reader, &options);

    if (rv == 0) {
        control->is_linked = options.is_linked;
        control->is_monitored = options.is_monitored;
        control->has_bad_option = options.is_bad;
    }
    return rv;
}

/* The fields whose type is not all that counts. */
static int take_special_field(struct etf_reader reader, enum field field,
                              struct control *control)
{
    uint64_t number;

    if (field == FIELD_NAME) {
        return etf_read_atom(&reader, &control->name);
    }
    if (field == FIELD_FLAGS) {
        return etf_read_u64(&reader, &number);
    }
    ensure(field == FIELD_FUNCTION || field == FIELD_OPTIONS);
    return field == FIELD_FUNCTION ? read_function(reader, control)
                                   : read_options(reader, control);
}

/* Puts a field, a raw term, where it goes; ERR_BADARG if it is of another
 * type. */
static int take_field(struct bytes raw, enum field field,
                      struct control *control)
{
    const struct field_form *form;
    enum etf_type type;

    if (field > FIELD_LEADER) {
        return take_special_field(etf_reader_of(raw), field, control);
    }
    form = &field_forms[field];
    if (etf_type_of(raw, &type) != 0 || (form->types & TYPE(type)) == 0) {
        return ERR_BADARG;
    }
    if (form->offset != NOWHERE) {
        memcpy((uint8_t *)control + form->offset, &raw, sizeof(raw));
    }
    return 0;
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

static int fail_type(const char **ret_cause)
{
    return fail(ERR_MALFORMED, "a field has a wrong type", ret_cause);
}

static void put_payload(const struct control_form *form, struct bytes raw,
                        struct control *control)
{
    if (form->payload == PAYLOAD_REASON) {
        control->reason = raw;
    } else {
        control->payload = raw;
    }
}

int control_decode_scanned(struct bytes frame, const struct control_scan *scan,
                           struct control *ret_control, const char **ret_cause)
{
    const struct control_form *form = scan->outline.form;
    size_t head_size = 2 + (size_t)scan->outline.head_size;
    struct control control = {.op = (enum control_op)form->op};
    struct etf_reader reader;
    struct bytes raw = {0};

    ensure(scan->stage == CONTROL_SCAN_DONE);
    ensure(scan->control_size >= head_size);
    ensure(scan->control_size <= frame.size);
    reader = etf_reader_of(
        bytes_of(frame.data + head_size, scan->control_size - head_size));
    for (size_t i = 0; i < CONTROL_FIELDS_MAX && form->fields[i] != FIELD_END;
         i++) {
        int rv = etf_read_raw(&reader, &raw);

        ensure(rv == 0);
        if (take_field(raw, (enum field)form->fields[i], &control) != 0) {
            return fail_type(ret_cause);
        }
    }
    if (!is_id_right(&control)) {
        return fail(ERR_MALFORMED, "the unlink id is not valid", ret_cause);
    }
    if (scan->outline.has_payload) {
        put_payload(form,
                    bytes_of(frame.data + scan->control_size + 1,
                             frame.size - scan->control_size - 1),
                    &control);
    }
    *ret_control = control;
    return 0;
}

/* The next term of a frame that is all there, validated. */
static int take_term(struct cursor *cursor, const struct etf_limits *limits,
                     struct bytes *ret_raw, const char **ret_cause)
{
    struct bytes rest = bytes_of(cursor->next, cursor_left(cursor));
    size_t size = 0;
    int rv = etf_validate(rest, limits, &size);

    if (rv != 0) {
        return control_fail_term(rv, ret_cause);
    }
    *ret_raw = bytes_of(rest.data, size);
    cursor->next += size;
    return 0;
}

/* The fields of a tuple, and its token: each term is validated and used at
 * once. */
static int take_fields(struct cursor *cursor,
                       const struct control_outline *outline,
                       struct control *control, const char **ret_cause)
{
    const struct control_form *form = outline->form;
    const uint8_t *begin = cursor->next;
    struct etf_limits limits = {.depth_max = CONTROL_DEPTH_MAX,
                                .count_max = CONTROL_COUNT_MAX,
                                .size_max = CONTROL_SIZE_MAX};
    struct bytes raw = {0};
    int rv = 0;

    if (outline->has_reason) {
        /* A process may die of any term. */
        limits = etf_limits_default(cursor_left(cursor));
    }
    limits.depth_max--; /* the tuple itself */
    for (size_t i = 0; i < CONTROL_FIELDS_MAX && form->fields[i] != FIELD_END;
         i++) {
        rv = take_term(cursor, &limits, &raw, ret_cause);
        if (rv != 0) {
            return rv;
        }
        if (take_field(raw, (enum field)form->fields[i], control) != 0) {
            return fail_type(ret_cause);
        }
    }
    if (outline->has_token) {
        rv = take_term(cursor, &limits, &raw, ret_cause);
    }
    if (rv == 0 && (size_t)(cursor->next - begin) > limits.size_max) {
        return control_fail_term(ERR_LIMIT, ret_cause);
    }
    if (rv == 0 && !is_id_right(control)) {
        return fail(ERR_MALFORMED, "the unlink id is not valid", ret_cause);
    }
    return rv;
}

/* What follows the tuple: nothing, or a version byte and one term. */
static int take_payload(struct cursor *cursor,
                        const struct control_outline *outline,
                        struct control *control, const char **ret_cause)
{
    struct etf_limits limits = etf_limits_default(cursor_left(cursor));
    struct bytes raw = {0};
    uint8_t version;
    int rv = cursor_u8(cursor, &version);

    if (!outline->has_payload) {
        return rv != 0 ? 0
                       : fail(ERR_MALFORMED, "bytes follow the control message",
                              ret_cause);
    }
    if (rv != 0) {
        return fail(ERR_MALFORMED, "the payload is missing", ret_cause);
    }
    if (version != ETF_VERSION) {
        return control_fail_term(ERR_MALFORMED, ret_cause);
    }
    rv = take_term(cursor, &limits, &raw, ret_cause);
    if (rv == 0 && cursor_left(cursor) > 0) {
        rv = control_fail_term(ERR_MALFORMED, ret_cause);
    }
    if (rv == 0) {
        put_payload(outline->form, raw, control);
    }
    return rv;
}

int control_decode(struct bytes frame, uint64_t flags,
                   struct control *ret_control, const char **ret_cause)
{
    struct control_outline outline;
    struct cursor cursor;
    int rv = control_check_begin(frame, ret_cause);

    if (rv != 0) {
        return rv;
    }
    cursor = cursor_of(bytes_of(frame.data + 2, frame.size - 2));
    rv = control_find_form(bytes_of(cursor.next, cursor_left(&cursor)), flags,
                           &outline, ret_cause);
    if (rv != 0) {
        return rv;
    }
    *ret_control = (struct control){.op = (enum control_op)outline.form->op};
    cursor.next += outline.head_size;
    rv = take_fields(&cursor, &outline, ret_control, ret_cause);
    return rv != 0 ? rv
                   : take_payload(&cursor, &outline, ret_control, ret_cause);
}

/* --- Encoding ------------------------------------------------------------- */

size_t control_begin(struct buf *out, uint8_t op, uint32_t arity)
{
    const uint8_t head[] = {CONTROL_PASS_THROUGH, ETF_VERSION,
                            TAG_SMALL_TUPLE,      (uint8_t)arity,
                            TAG_SMALL_INTEGER,    op};
    size_t begin = frame_begin(out);

    ensure(arity <= 1 + CONTROL_FIELDS_MAX);
    buf_put(out, head, sizeof(head));
    return begin;
}

void control_payload(struct buf *out)
{
    etf_put_version(out);
}
