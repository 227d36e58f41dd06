/* SPDX-License-Identifier: Apache-2.0
 * Decodes ids, resources and options; one table says which keys there are. */
#include "api/arguments.h"

#include "base/ensure.h"
#include "base/err.h"
#include "config/value.h"
#include "etf/reader.h"
#include "etf/writer.h"

enum {
    RESOURCE_MAX = INT32_MAX, /* so that two of them can be added */
    KEY_SHOWN_MAX = 1024,     /* bytes; longer keys are not sent back */
};

int arguments_fail(struct buf *reason, const char *what)
{
    etf_put_atom(reason, what);
    return ERR_BADARG;
}

static int fail_key(struct buf *reason, struct bytes key)
{
    if (key.size > KEY_SHOWN_MAX) {
        return arguments_fail(reason, "unknown_option");
    }
    etf_put_tuple(reason, 2);
    etf_put_atom(reason, "unknown_option");
    etf_put_raw(reason, key);
    return ERR_BADARG;
}

/* --- Ids ------------------------------------------------------------------ */

/* Writes a character as UTF-8: 1 to 4 bytes, or 0 if it is none. */
static size_t encode_utf8(uint64_t c, uint8_t ret_bytes[4])
{
    if (c < 0x80) {
        ret_bytes[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        ret_bytes[0] = (uint8_t)(0xc0 | (c >> 6));
        ret_bytes[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c >= 0xd800 && c <= 0xdfff) {
        return 0;
    }
    if (c < 0x10000) {
        ret_bytes[0] = (uint8_t)(0xe0 | (c >> 12));
        ret_bytes[1] = (uint8_t)(0x80 | ((c >> 6) & 0x3f));
        ret_bytes[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    if (c > 0x10ffff) {
        return 0;
    }
    ret_bytes[0] = (uint8_t)(0xf0 | (c >> 18));
    ret_bytes[1] = (uint8_t)(0x80 | ((c >> 12) & 0x3f));
    ret_bytes[2] = (uint8_t)(0x80 | ((c >> 6) & 0x3f));
    ret_bytes[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* A string is a list of characters. */
static int read_string(struct etf_reader *reader,
                       uint8_t text[REGISTRY_ID_SIZE_MAX],
                       struct bytes *ret_string)
{
    struct etf_list list;
    uint8_t encoded[4] = {0};
    size_t size = 0;
    bool has_more = false;
    int rv = etf_list_begin(reader, &list);

    rv = rv != 0 ? rv : etf_list_next(&list, &has_more);
    while (rv == 0 && has_more) {
        uint64_t c = 0;
        size_t count;

        rv = etf_read_u64(&list.element, &c);
        count = rv == 0 ? encode_utf8(c, encoded) : 0;
        if (count == 0 || count > REGISTRY_ID_SIZE_MAX - size) {
            return ERR_BADARG;
        }
        memcpy(text + size, encoded, count);
        size += count;
        rv = etf_list_next(&list, &has_more);
    }
    if (rv == 0) {
        *ret_string = bytes_of(text, size);
    }
    return rv;
}

int arguments_id(struct bytes raw, const char *what,
                 uint8_t text[REGISTRY_ID_SIZE_MAX], struct bytes *ret_id,
                 struct buf *reason)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct bytes id;

    if (etf_read_binary(&reader, &id) != 0 &&
        etf_read_atom(&reader, &id) != 0 &&
        read_string(&reader, text, &id) != 0) {
        return arguments_fail(reason, what);
    }
    if (id.size == 0 || id.size > REGISTRY_ID_SIZE_MAX) {
        return arguments_fail(reason, what);
    }
    *ret_id = id;
    return 0;
}

int arguments_node(struct bytes raw, struct api_request *request,
                   struct buf *reason)
{
    char name[SETTINGS_NAME_SIZE_MAX + 1];
    struct buf no_text;
    int rv =
        arguments_id(raw, "node", request->text[0], &request->node, reason);

    buf_init(&no_text, 0);
    if (rv == 0 && value_name(request->node, name, &no_text) != 0) {
        rv = arguments_fail(reason, "node");
    }
    return rv;
}

/* Whether the name is before `end` in the list as well. */
static bool is_repeated(struct bytes raw, uint32_t end, struct bytes name)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct etf_list list;
    struct bytes other;
    bool has_more = false;
    int rv = etf_list_begin(&reader, &list);

    for (uint32_t i = 0; rv == 0 && i < end; i++) {
        rv = etf_list_next(&list, &has_more);
        rv = rv == 0 ? etf_read_atom(&list.element, &other) : rv;
        if (rv == 0 && bytes_equal(other, name)) {
            return true;
        }
    }
    return false;
}

int arguments_nodes(struct bytes raw, struct bytes *ret_nodes,
                    struct buf *reason)
{
    struct etf_reader reader = etf_reader_of(raw);
    char text[SETTINGS_NAME_SIZE_MAX + 1];
    struct etf_list list;
    struct bytes name;
    struct buf no_text;
    uint32_t count = 0;
    bool has_more = false;

    buf_init(&no_text, 0);
    if (etf_list_begin(&reader, &list) != 0) {
        return arguments_fail(reason, "nodes");
    }
    while (etf_list_next(&list, &has_more) == 0) {
        if (!has_more) {
            *ret_nodes = raw;
            return 0;
        }
        if (count == API_NODES_MAX || list.is_string ||
            etf_read_atom(&list.element, &name) != 0 ||
            value_name(name, text, &no_text) != 0 ||
            is_repeated(raw, count, name)) {
            break;
        }
        count++;
    }
    return arguments_fail(reason, "nodes");
}

/* --- Resources ------------------------------------------------------------ */

/* An integer from `min` to `max`. */
static int read_number(struct bytes raw, uint64_t min, uint64_t max,
                       uint64_t *ret_value)
{
    struct etf_reader reader = etf_reader_of(raw);
    uint64_t value;

    if (etf_read_u64(&reader, &value) != 0 || value < min || value > max) {
        return ERR_BADARG;
    }
    *ret_value = value;
    return 0;
}

/* The next pair of a map. The map has been validated as a term. */
static int read_pair(struct etf_reader *reader, struct bytes *ret_key,
                     struct bytes *ret_value)
{
    int rv = etf_read_raw(reader, ret_key);

    return rv != 0 ? rv : etf_read_raw(reader, ret_value);
}

int arguments_resources(struct bytes raw, struct resources *ret_resources,
                        struct buf *reason)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct resources resources = {0};
    uint32_t pairs;

    if (etf_read_map(&reader, &pairs) != 0) {
        return arguments_fail(reason, "resources");
    }
    for (uint32_t i = 0; i < pairs; i++) {
        struct etf_reader key_reader;
        struct bytes key;
        struct bytes value;
        uint64_t number;
        bool is_cpu;

        if (read_pair(&reader, &key, &value) != 0) {
            return arguments_fail(reason, "resources");
        }
        key_reader = etf_reader_of(key);
        is_cpu = etf_take_atom(&key_reader, "cpu");
        if (!is_cpu && !etf_take_atom(&key_reader, "memory")) {
            return fail_key(reason, key);
        }
        if (read_number(value, 0, RESOURCE_MAX, &number) != 0) {
            return arguments_fail(reason, is_cpu ? "cpu" : "memory");
        }
        if (is_cpu) {
            resources.cpu = (uint32_t)number;
        } else {
            resources.memory = (uint32_t)number;
        }
    }
    *ret_resources = resources;
    return 0;
}

/* --- Options -------------------------------------------------------------- */

static int read_timeout(struct bytes raw, struct api_request *request)
{
    uint64_t value;
    int rv = read_number(raw, 1, API_TIMEOUT_MS_MAX, &value);

    if (rv == 0) {
        request->timeout_ms = (uint32_t)value;
    }
    return rv;
}

static int read_rf(struct bytes raw, struct api_request *request)
{
    uint64_t value;
    int rv = read_number(raw, 1, REGISTRY_REPLICAS_MAX, &value);

    if (rv == 0) {
        request->rf = (uint8_t)value;
    }
    return rv;
}

static int read_priority(struct bytes raw, struct api_request *request)
{
    uint64_t value;
    int rv = read_number(raw, 0, API_PRIORITY_MAX, &value);

    if (rv == 0) {
        request->priority = (uint8_t)value;
    }
    return rv;
}

static int read_limit(struct bytes raw, struct api_request *request)
{
    uint64_t value;
    int rv = read_number(raw, 1, API_LIMIT_MAX, &value);

    if (rv == 0) {
        request->limit = (uint32_t)value;
    }
    return rv;
}

static int read_seq(struct bytes raw, struct api_request *request)
{
    int rv = read_number(raw, 1, INT64_MAX, &request->seq);

    request->has_seq = rv == 0;
    return rv;
}

/* Whether the term is this atom. */
static bool is_atom(struct bytes raw, const char *name)
{
    struct etf_reader reader = etf_reader_of(raw);

    return etf_take_atom(&reader, name);
}

static int read_mode(struct bytes raw, struct api_request *request)
{
    (void)request; /* there is only one */
    return is_atom(raw, "strong") ? 0 : ERR_BADARG;
}

/* The agent's business; carried in `options`: registered, earliest, latest, or
 * a module. */
static int read_conflict(struct bytes raw, struct api_request *request)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct bytes name;

    (void)request;
    return etf_read_atom(&reader, &name);
}

static int read_how(struct bytes raw, struct api_request *request)
{
    if (is_atom(raw, "resolve")) {
        request->how = COPY_RESOLVE;
        return 0;
    }
    return is_atom(raw, "take") ? 0 : ERR_BADARG;
}

static int read_durability(struct bytes raw, struct api_request *request)
{
    (void)request; /* there is only one */
    return is_atom(raw, "majority_disk") ? 0 : ERR_BADARG;
}

static int read_profile(struct bytes raw, struct api_request *request)
{
    static const struct {
        const char *name;
        enum placement_profile profile;
    } profiles[] = {{"spread", PLACEMENT_SPREAD},
                    {"pack", PLACEMENT_PACK},
                    {"random", PLACEMENT_RANDOM}};

    for (size_t i = 0; i < sizeof(profiles) / sizeof(profiles[0]); i++) {
        if (is_atom(raw, profiles[i].name)) {
            request->profile = profiles[i].profile;
            return 0;
        }
    }
    return ERR_BADARG;
}

/* The agent's business; carried in `options`. */
static int read_checkpoint(struct bytes raw, struct api_request *request)
{
    struct etf_reader reader = etf_reader_of(raw);
    uint32_t pairs;

    (void)request;
    return etf_read_map(&reader, &pairs);
}

static int read_consistency(struct bytes raw, struct api_request *request)
{
    if (is_atom(raw, "local")) {
        request->route = API_LOCAL;
        return 0;
    }
    return is_atom(raw, "linearizable") ? 0 : ERR_BADARG;
}

static int read_node_name(struct bytes raw, struct bytes *ret_name)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct bytes name;
    int rv = etf_read_atom(&reader, &name);

    if (rv != 0 || name.size == 0 || name.size > REGISTRY_NODE_SIZE_MAX) {
        return ERR_BADARG;
    }
    *ret_name = name;
    return 0;
}

static int read_worker(struct bytes raw, struct api_request *request)
{
    return read_node_name(raw, &request->worker);
}

static int read_run_on(struct bytes raw, struct api_request *request)
{
    return read_node_name(raw, &request->run_on);
}

static int read_required(struct bytes raw, struct api_request *request)
{
    uint64_t value;
    int rv = read_number(raw, 1, API_REQUIRED_MAX, &value);

    if (rv == 0) {
        request->required = (uint32_t)value;
    }
    return rv;
}

/* HOST:PORT, as a binary or a string. */
static int read_address(struct bytes raw, struct api_request *request,
                        struct buf *reason)
{
    struct settings_address address;
    struct buf no_text;
    int rv = arguments_id(raw, "address", request->text[1], &request->address,
                          reason);

    buf_init(&no_text, 0);
    if (rv == 0 &&
        value_address(request->address, 1, &address, &no_text) != 0) {
        rv = arguments_fail(reason, "address");
    }
    return rv;
}

static const struct option {
    const char *name;
    enum api_option option;
    /* NULL: the reader gives the reason itself. */
    int (*read)(struct bytes raw, struct api_request *request);
} options[] = {
    {"timeout", API_OPTION_TIMEOUT, read_timeout},
    {"resources", API_OPTION_RESOURCES, NULL},
    {"rf", API_OPTION_RF, read_rf},
    {"mode", API_OPTION_MODE, read_mode},
    {"durability", API_OPTION_DURABILITY, read_durability},
    {"profile", API_OPTION_PROFILE, read_profile},
    {"priority", API_OPTION_PRIORITY, read_priority},
    {"checkpoint", API_OPTION_CHECKPOINT, read_checkpoint},
    {"consistency", API_OPTION_CONSISTENCY, read_consistency},
    {"limit", API_OPTION_LIMIT, read_limit},
    {"after", API_OPTION_AFTER, NULL},
    {"worker", API_OPTION_WORKER, read_worker},
    {"seq", API_OPTION_SEQ, read_seq},
    {"address", API_OPTION_ADDRESS, NULL},
    {"required", API_OPTION_REQUIRED, read_required},
    {"node", API_OPTION_NODE, read_run_on},
    {"conflict", API_OPTION_CONFLICT, read_conflict},
    {"how", API_OPTION_HOW, read_how},
};

static int read_option(struct bytes key, struct bytes value,
                       struct api_request *request, struct buf *reason)
{
    struct etf_reader reader = etf_reader_of(key);
    const struct option *option = NULL;
    struct bytes name;

    if (etf_read_atom(&reader, &name) != 0) {
        return fail_key(reason, key);
    }
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if ((request->function->options & options[i].option) != 0 &&
            bytes_is(name, options[i].name)) {
            option = &options[i];
        }
    }
    if (option == NULL) {
        return fail_key(reason, key);
    }
    if (option->option == API_OPTION_RESOURCES) {
        return arguments_resources(value, &request->resources, reason);
    }
    if (option->option == API_OPTION_AFTER) {
        return arguments_id(value, "after", request->text[1], &request->after,
                            reason);
    }
    if (option->option == API_OPTION_ADDRESS) {
        return read_address(value, request, reason);
    }
    ensure(option->read != NULL);
    if (option->read(value, request) != 0) {
        return arguments_fail(reason, option->name);
    }
    return 0;
}

int arguments_options(struct bytes raw, struct api_request *request,
                      struct buf *reason)
{
    struct etf_reader reader = etf_reader_of(raw);
    uint32_t pairs;
    int rv = 0;

    if (raw.size > REGISTRY_OPTIONS_SIZE_MAX ||
        etf_read_map(&reader, &pairs) != 0) {
        return arguments_fail(reason, "options");
    }
    for (uint32_t i = 0; rv == 0 && i < pairs; i++) {
        struct bytes key;
        struct bytes value;

        if (read_pair(&reader, &key, &value) != 0) {
            return arguments_fail(reason, "options");
        }
        rv = read_option(key, value, request, reason);
    }
    if (rv == 0) {
        request->options = raw;
    }
    return rv;
}
