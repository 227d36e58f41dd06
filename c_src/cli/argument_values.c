/* SPDX-License-Identifier: Apache-2.0
 * From the text of an option to its value. What settings have in common with
 * options is in config/value.h. */
#include "base/ensure.h"
#include "base/err.h"
#include "cli/arguments.h"
#include "config/value.h"
#include "io/pki.h"

#include <string.h>

enum { TIMEOUT_MAX_MS = 3600000 };

static int parse_output(struct bytes value, enum options_output *ret_output,
                        struct buf *error)
{
    if (bytes_is(value, "table")) {
        *ret_output = OPTIONS_TABLE;
    } else if (bytes_is(value, "json")) {
        *ret_output = OPTIONS_JSON;
    } else {
        value_put_quoted(error, value);
        buf_printf(error, " is no form of output; give table or json");
        return ERR_BADARG;
    }
    return 0;
}

/* NAME@HOST[=ADDR:PORT] */
static int parse_target(struct bytes value, struct options_target *ret_target,
                        struct buf *error)
{
    struct settings_member member;
    struct options_target target = {.has_address = false};
    int rv;

    if (value.size == 0 || memchr(value.data, '=', value.size) == NULL) {
        rv = value_name(value, target.name, error);
    } else {
        rv = value_member(value, &member, error);
        if (rv == 0) {
            memcpy(target.name, member.name, sizeof(target.name));
            target.address = member.address;
            target.has_address = true;
        }
    }
    if (rv == 0) {
        *ret_target = target;
    }
    return rv;
}

/* The role that a certificate gives its node. */
static int check_role(struct bytes value, struct buf *error)
{
    if (bytes_is(value, "member") || bytes_is(value, "worker") ||
        bytes_is(value, "client")) {
        return 0;
    }
    value_put_quoted(error, value);
    buf_printf(error, " is no role; give member, worker or client");
    return ERR_BADARG;
}

/* One more of an option that may be given again. */
static int add_text(const char *text, const char **texts, size_t texts_max,
                    size_t *count, struct buf *error)
{
    if (*count == texts_max) {
        buf_printf(error, "it is given too often; %zu are the most", texts_max);
        return ERR_LIMIT;
    }
    texts[(*count)++] = text;
    return 0;
}

static int set_number(struct options_local *local, enum cli_option_id id,
                      const char *text, struct buf *error)
{
    uint64_t most = id == CLI_OPTION_DAYS    ? PKI_DAYS_MAX
                    : id == CLI_OPTION_LIMIT ? OPTIONS_LIMIT_MAX
                                             : INT64_MAX;
    uint64_t value;
    int rv = value_number(bytes_of_string(text), 1, most, &value, error);

    if (rv != 0) {
        return rv;
    }
    if (id == CLI_OPTION_DAYS) {
        local->days = (uint32_t)value;
    } else if (id == CLI_OPTION_LIMIT) {
        local->limit = (uint32_t)value;
    } else {
        ensure(id == CLI_OPTION_FROM);
        local->from = value;
    }
    return 0;
}

/* The options of commands that talk to nobody. */
static int set_local(struct options_local *local, enum cli_option_id id,
                     const char *text, struct buf *error)
{
    char name[SETTINGS_NAME_SIZE_MAX + 1];
    int rv = 0;

    if (id == CLI_OPTION_DIR) {
        local->dir = text;
    } else if (id == CLI_OPTION_OUT) {
        local->out = text;
    } else if (id == CLI_OPTION_FILE) {
        local->file = text;
    } else if (id == CLI_OPTION_CLUSTER) {
        local->cluster = text;
    } else if (id == CLI_OPTION_POSITION) {
        local->position = text;
    } else if (id == CLI_OPTION_BEHIND) {
        local->behind = true;
    } else if (id == CLI_OPTION_FORCE) {
        local->force = true;
    } else if (id == CLI_OPTION_ROLE) {
        local->role = text;
        rv = check_role(bytes_of_string(text), error);
    } else if (id == CLI_OPTION_SAN) {
        rv = add_text(text, local->sans, OPTIONS_SANS_MAX, &local->san_count,
                      error);
    } else if (id == CLI_OPTION_NAME) {
        rv = value_name(bytes_of_string(text), name, error);
        rv = rv != 0 ? rv
                     : add_text(text, local->words, OPTIONS_WORDS_MAX,
                                &local->word_count, error);
    } else {
        rv = set_number(local, id, text, error);
    }
    return rv;
}

int arguments_set_option(struct options *options, enum cli_option_id id,
                         const char *text, struct buf *error)
{
    struct bytes value = bytes_of_string(text);
    uint64_t timeout_ms;
    int rv;

    switch (id) {
    case CLI_OPTION_CONFIG:
        options->config_file = text;
        return 0;
    case CLI_OPTION_OUTPUT:
        return parse_output(value, &options->output, error);
    case CLI_OPTION_TARGET:
        return parse_target(value, &options->target, error);
    case CLI_OPTION_TIMEOUT:
        rv = value_number(value, 1, TIMEOUT_MAX_MS, &timeout_ms, error);
        if (rv == 0) {
            options->timeout_ms = (uint32_t)timeout_ms;
        }
        return rv;
    case CLI_OPTION_DIR:
    case CLI_OPTION_NAME:
    case CLI_OPTION_ROLE:
    case CLI_OPTION_SAN:
    case CLI_OPTION_CLUSTER:
    case CLI_OPTION_DAYS:
    case CLI_OPTION_OUT:
    case CLI_OPTION_FORCE:
    case CLI_OPTION_FILE:
    case CLI_OPTION_FROM:
    case CLI_OPTION_LIMIT:
    case CLI_OPTION_POSITION:
    case CLI_OPTION_BEHIND:
        return set_local(&options->local, id, text, error);
    case CLI_OPTION_HELP:
    case CLI_OPTION_COUNT:
        break;
    }
    return 0;
}
