/* SPDX-License-Identifier: Apache-2.0
 * Decodes maps of options; one table says which keys there are. */
#include "api/arguments.h"
#include "base/ensure.h"
#include "base/err.h"
#include "config/value.h"
#include "etf/reader.h"

static int read_timeout(struct bytes raw, struct api_request *request)
{
    uint64_t value;
    int rv = arguments_number(raw, 1, API_TIMEOUT_MS_MAX, &value);

    if (rv == 0) {
        request->timeout_ms = (uint32_t)value;
    }
    return rv;
}

static int read_rf(struct bytes raw, struct api_request *request)
{
    uint64_t value;
    int rv = arguments_number(raw, 1, REGISTRY_REPLICAS_MAX, &value);

    if (rv == 0) {
        request->rf = (uint8_t)value;
    }
    return rv;
}

static int read_priority(struct bytes raw, struct api_request *request)
{
    uint64_t value;
    int rv = arguments_number(raw, 0, API_PRIORITY_MAX, &value);

    if (rv == 0) {
        request->priority = (uint8_t)value;
    }
    return rv;
}

static int read_limit(struct bytes raw, struct api_request *request)
{
    uint64_t value;
    int rv = arguments_number(raw, 1, API_LIMIT_MAX, &value);

    if (rv == 0) {
        request->limit = (uint32_t)value;
    }
    return rv;
}

static int read_seq(struct bytes raw, struct api_request *request)
{
    int rv = arguments_number(raw, 1, INT64_MAX, &request->seq);

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
    (void)request; /* the registry reads it from `options` */
    return is_atom(raw, "strong") || is_atom(raw, "available") ? 0 : ERR_BADARG;
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
static int read_agents_own(struct bytes raw, struct api_request *request)
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
    if (is_atom(raw, "linearizable")) {
        request->route = API_READ;
        return 0;
    }
    return ERR_BADARG;
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
    int rv = arguments_number(raw, 1, API_REQUIRED_MAX, &value);

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

/* An id, or a name: any term. */
static int read_after(struct bytes raw, struct api_request *request,
                      struct buf *reason)
{
    if (request->type != API_NAMES) {
        return arguments_id(raw, "after", request->text[1], &request->after,
                            reason);
    }
    if (raw.size > REGISTRY_NAME_SIZE_MAX) {
        return arguments_fail(reason, "after");
    }
    request->name = raw;
    return 0;
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
    {"checkpoint", API_OPTION_CHECKPOINT, read_agents_own},
    {"restarts", API_OPTION_RESTARTS, read_agents_own},
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
        return arguments_fail_key(reason, key);
    }
    for (size_t i = 0; i < sizeof(options) / sizeof(options[0]); i++) {
        if ((request->function->options & options[i].option) != 0 &&
            bytes_is(name, options[i].name)) {
            option = &options[i];
        }
    }
    if (option == NULL) {
        return arguments_fail_key(reason, key);
    }
    if (option->option == API_OPTION_RESOURCES) {
        return arguments_resources(value, &request->resources, reason);
    }
    if (option->option == API_OPTION_AFTER) {
        return read_after(value, request, reason);
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

        if (arguments_pair(&reader, &key, &value) != 0) {
            return arguments_fail(reason, "options");
        }
        rv = read_option(key, value, request, reason);
    }
    if (rv == 0) {
        request->options = raw;
    }
    return rv;
}
