/* SPDX-License-Identifier: Apache-2.0
 * Walks the arguments as the function's row in the table says. */
#include "api/request.h"

#include "api/arguments.h"
#include "base/ensure.h"
#include "base/err.h"
#include "etf/keys.h"
#include "etf/reader.h"
#include "etf/writer.h"

/* A raw term of a size that can be kept. */
static int take_term(struct bytes raw, size_t size_max, const char *what,
                     struct bytes *ret_raw, struct buf *reason)
{
    if (raw.size > size_max) {
        return arguments_fail(reason, what);
    }
    *ret_raw = raw;
    return 0;
}

static int take_number(struct bytes raw, const char *what, uint64_t *ret_number,
                       struct buf *reason)
{
    struct etf_reader reader = etf_reader_of(raw);
    uint64_t number;

    if (etf_read_u64(&reader, &number) != 0 || number > INT64_MAX) {
        return arguments_fail(reason, what);
    }
    *ret_number = number;
    return 0;
}

static int take_pid(struct bytes raw, struct api_request *request,
                    struct buf *reason)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct etf_pid pid;

    if (raw.size > REGISTRY_PID_SIZE_MAX || etf_read_pid(&reader, &pid) != 0 ||
        pid.node.size > REGISTRY_NODE_SIZE_MAX) {
        return arguments_fail(reason, "pid");
    }
    request->pid = raw;
    request->worker = pid.node;
    return 0;
}

/* Ids that begin as the keys of conflict copies do are no sandbox's. */
static int take_id(struct bytes raw, struct api_request *request,
                   struct buf *reason)
{
    int rv = arguments_id(raw, "id", request->text[0], &request->id, reason);

    if (rv == 0 && registry_id_is_reserved(request->id)) {
        rv = arguments_fail(reason, "id");
    }
    return rv;
}

/* There is only one yet. */
static int take_topic(struct bytes raw, struct buf *reason)
{
    struct etf_reader reader = etf_reader_of(raw);

    return etf_take_atom(&reader, "partition")
               ? 0
               : arguments_fail(reason, "topic");
}

static int take_reference(struct bytes raw, struct api_request *request,
                          struct buf *reason)
{
    enum etf_type type;

    if (raw.size > API_REFERENCE_SIZE_MAX || etf_type_of(raw, &type) != 0 ||
        type != ETF_REFERENCE) {
        return arguments_fail(reason, "reference");
    }
    request->reference = raw;
    return 0;
}

/* How many elements a list has is for the node that runs it to judge. */
static int take_mfa(struct bytes raw, struct api_request *request,
                    struct buf *reason)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct etf_reader args_reader;
    struct etf_list list;
    bool has_more = true;
    int rv = raw.size > API_MFA_SIZE_MAX ? ERR_BADARG : 0;

    rv = rv == 0 ? etf_read_tuple_of(&reader, 3) : rv;
    rv = rv == 0 ? etf_read_atom(&reader, &request->mfa.module) : rv;
    rv = rv == 0 ? etf_read_atom(&reader, &request->mfa.function) : rv;
    rv = rv == 0 ? etf_read_raw(&reader, &request->mfa.args) : rv;
    if (rv != 0) {
        return arguments_fail(reason, "mfa");
    }
    args_reader = etf_reader_of(request->mfa.args);
    rv = etf_list_begin(&args_reader, &list);
    while (rv == 0 && (rv = etf_list_next(&list, &has_more)) == 0 && has_more) {
        rv = list.is_string ? 0 : etf_skip(&list.element);
    }
    return rv == 0 ? 0 : arguments_fail(reason, "mfa");
}

static int take_argument(struct bytes raw, enum api_argument argument,
                         struct api_request *request, struct buf *reason)
{
    switch (argument) {
    case API_ARG_ID:
        return take_id(raw, request, reason);
    case API_ARG_SPEC:
        return take_term(raw, REGISTRY_SPEC_SIZE_MAX, "spec", &request->spec,
                         reason);
    case API_ARG_EPOCH:
        return take_number(raw, "epoch", &request->epoch, reason);
    case API_ARG_STATE:
        return take_term(raw, API_STATE_SIZE_MAX, "state", &request->state,
                         reason);
    case API_ARG_NAME:
        return take_term(raw, REGISTRY_NAME_SIZE_MAX, "name", &request->name,
                         reason);
    case API_ARG_PID:
        return take_pid(raw, request, reason);
    case API_ARG_META:
        return take_term(raw, API_META_SIZE_MAX, "meta", &request->meta,
                         reason);
    case API_ARG_RESOURCES:
        return arguments_resources(raw, &request->resources, reason);
    case API_ARG_OPTIONS:
        return arguments_options(raw, request, reason);
    case API_ARG_NODE:
        return arguments_node(raw, request, reason);
    case API_ARG_NODES:
        return arguments_nodes(raw, &request->nodes, reason);
    case API_ARG_TOPIC:
        return take_topic(raw, reason);
    case API_ARG_REFERENCE:
        return take_reference(raw, request, reason);
    case API_ARG_MFA:
        return take_mfa(raw, request, reason);
    case API_ARG_COPY:
        return take_number(raw, "copy", &request->copy, reason);
    case API_ARG_ABOUT:
        return take_term(raw,
                         request->type == API_RESTORED
                             ? REGISTRY_REASON_SIZE_MAX
                             : REGISTRY_COPY_ABOUT_SIZE_MAX,
                         "about", &request->meta, reason);
    case API_ARG_NONE:
        break;
    }
    unreachable();
}

/* The element as a raw term that lives as long as the arguments do, or as the
 * request: the integers of a STRING are made up while it is read. */
static struct bytes keep_element(const struct etf_list *list, size_t index,
                                 struct api_request *request)
{
    struct cursor cursor = list->element.cursor;
    struct bytes raw = bytes_of(cursor.next, cursor_left(&cursor));

    if (list->is_string) {
        ensure(raw.size == sizeof(request->small[index]));
        memcpy(request->small[index], raw.data, raw.size);
        raw = bytes_of(request->small[index], raw.size);
    }
    return raw;
}

static void set_defaults(struct api_request *request,
                         const struct api_function *function)
{
    static const uint8_t empty_map[] = {116, 0, 0, 0, 0};

    *request = (struct api_request){
        .function = function,
        .type = function->type,
        .route = function->route,
        .timeout_ms = API_TIMEOUT_MS_DEFAULT,
        .options = {.data = empty_map, .size = sizeof(empty_map)},
        .profile = PLACEMENT_SPREAD,
        .rf = API_RF_DEFAULT,
        .priority = API_PRIORITY_DEFAULT,
        .how = COPY_TAKE,
        .limit = API_LIMIT_MAX};
    if (function->right == RIGHT_MANAGE) {
        request->timeout_ms = API_MEMBERS_TIMEOUT_MS_DEFAULT;
    }
}

int api_decode(struct bytes module, struct bytes function, struct bytes args,
               uint32_t arity, struct api_request *ret_request,
               struct buf *error_reason)
{
    const struct api_function *row = api_lookup(module, function, arity);

    return row == NULL
               ? ERR_UNDEF
               : api_decode_args(row, args, NULL, ret_request, error_reason);
}

int api_decode_args(const struct api_function *function, struct bytes args,
                    const struct etf_spans *spans,
                    struct api_request *ret_request, struct buf *error_reason)
{
    struct etf_reader reader = etf_reader_of(args);
    struct etf_list list;
    bool has_more = false;

    set_defaults(ret_request, function);
    if (etf_list_begin(&reader, &list) != 0) {
        return arguments_fail(error_reason, "args");
    }
    list.spans = spans;
    for (size_t i = 0; i < function->arity; i++) {
        int rv;

        if (etf_list_next(&list, &has_more) != 0 || !has_more) {
            return arguments_fail(error_reason, "args");
        }
        rv = take_argument(keep_element(&list, i, ret_request),
                           (enum api_argument)function->arguments[i],
                           ret_request, error_reason);
        if (rv != 0) {
            return rv;
        }
    }
    if (etf_list_next(&list, &has_more) != 0 || has_more) {
        return arguments_fail(error_reason, "args");
    }
    if (function->type == API_ADD_MEMBER && ret_request->address.size == 0) {
        return arguments_fail(error_reason, "address");
    }
    return 0;
}

int api_fail_equal_keys(const char *what, struct buf *error_reason)
{
    etf_put_tuple(error_reason, 2);
    etf_put_atom(error_reason, "equal_keys");
    return arguments_fail(error_reason, what);
}

int api_check_terms(const struct api_request *request, size_t size_max,
                    struct rng *rng, struct buf *error_reason)
{
    const struct {
        const char *what;
        struct bytes raw;
    } terms[] = {{"spec", request->spec},   {"options", request->options},
                 {"state", request->state}, {"name", request->name},
                 {"meta", request->meta},   {"mfa", request->mfa.args}};

    for (size_t i = 0; i < sizeof(terms) / sizeof(terms[0]); i++) {
        int rv = terms[i].raw.size == 0 || terms[i].raw.size >= size_max
                     ? 0
                     : etf_keys_differ(terms[i].raw, rng_next(rng));

        if (rv == ERR_MALFORMED) {
            return api_fail_equal_keys(terms[i].what, error_reason);
        }
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}
