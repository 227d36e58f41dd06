/* SPDX-License-Identifier: Apache-2.0
 * From arguments, environment and file to options. The order of reading does
 * not matter to the settings (each remembers where it came from); arguments
 * come first because they name the file. */
#include "cli/options.h"

#include "base/err.h"
#include "cli/arguments.h"
#include "cli/member.h"
#include "cli/tables.h"
#include "config/value.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

enum { TIMEOUT_DEFAULT_MS = 5000, MEMBER_TIMEOUT_DEFAULT_MS = 60000 };

/* The value of a variable, or NULL; an empty one counts as not set. */
static const char *find_variable(const char *const environment[],
                                 const char *name)
{
    size_t size = strlen(name);

    for (; *environment != NULL; environment++) {
        const char *text = *environment;

        if (strncmp(text, name, size) == 0 && text[size] == '=' &&
            text[size + 1] != '\0') {
            return text + size + 1;
        }
    }
    return NULL;
}

/* The values of a variable: one, or for lists several with commas. */
static int read_variable(struct options *options, const struct setting *setting,
                         const char *text, struct buf *error)
{
    bool is_list = setting_is_list(setting);
    const char *next = text;
    int rv = 0;

    while (rv == 0 && next != NULL) {
        const char *comma = is_list ? strchr(next, ',') : NULL;
        struct bytes value = comma == NULL
                                 ? bytes_of_string(next)
                                 : bytes_of(next, (size_t)(comma - next));

        rv = settings_set(&options->settings, SETTINGS_ENVIRONMENT,
                          bytes_of_string(setting->name), value, error);
        next = comma == NULL ? NULL : comma + 1;
    }
    return rv;
}

/* What the command takes and no flag has set. */
static int read_option_variables(struct options *options,
                                 const struct arguments *arguments,
                                 const char *const environment[],
                                 struct buf *error)
{
    uint32_t takes = cli_command(options->command)->takes;
    size_t error_size = error->size;
    int rv = 0;

    for (int i = 0; rv == 0 && i < CLI_OPTION_COUNT; i++) {
        enum cli_option_id id = (enum cli_option_id)i;
        const char *variable = cli_option(id)->variable;
        const char *value = NULL;

        if (variable != NULL && (takes & CLI_BIT(i)) != 0 &&
            !arguments->is_set[id]) {
            value = find_variable(environment, variable);
        }
        if (value != NULL) {
            error->size = error_size;
            buf_printf(error, "%s: ", variable);
            rv = arguments_set_option(options, id, value, error);
        }
    }
    if (rv == 0) {
        error->size = error_size;
    }
    return rv;
}

static int read_setting_variables(struct options *options,
                                  const char *const environment[],
                                  struct buf *error)
{
    size_t count;
    const struct setting *schema = settings_schema(&count);
    size_t error_size = error->size;
    int rv = 0;

    for (size_t i = 0; rv == 0 && i < count; i++) {
        char name[CLI_FLAG_SIZE_MAX];
        const char *value;

        cli_variable_name(&schema[i], name);
        value = find_variable(environment, name);
        if (value != NULL) {
            error->size = error_size;
            buf_printf(error, "%s: ", name);
            rv = read_variable(options, &schema[i], value, error);
        }
    }
    if (rv == 0) {
        error->size = error_size;
    }
    return rv;
}

/* Reads a file up to one byte more than is allowed, which the parser then
 * refuses. */
static int read_text(FILE *file, struct buf *text)
{
    uint8_t *room = buf_reserve(text, SETTINGS_FILE_SIZE_MAX + 1);

    if (room == NULL) {
        return ERR_NOMEM;
    }
    buf_commit(text, fread(room, 1, SETTINGS_FILE_SIZE_MAX + 1, file));
    return ferror(file) != 0 ? ERR_IO : 0;
}

static int read_file(struct options *options, struct buf *error)
{
    FILE *file = fopen(options->config_file, "re");
    struct buf text;
    int rv;

    buf_init(&text, SETTINGS_FILE_SIZE_MAX + 1);
    rv = file == NULL ? ERR_IO : read_text(file, &text);
    if (rv == 0) {
        rv = settings_parse_file(&options->settings, options->config_file,
                                 buf_bytes(&text), error);
    } else {
        buf_printf(error, "cannot read the configuration file '%s': %s",
                   options->config_file, strerror(errno));
    }
    if (file != NULL) {
        (void)fclose(file); /* it was only read */
    }
    buf_close(&text);
    return rv;
}

/* Erlang's own cookie file, if none was named. */
static void default_cookie_file(struct settings *settings,
                                const char *const environment[])
{
    const char *home = find_variable(environment, "HOME");
    int size;

    if (settings->cookie_file[0] != '\0' || home == NULL) {
        return;
    }
    size = snprintf(settings->cookie_file, sizeof(settings->cookie_file),
                    "%s/.erlang.cookie", home);
    if (size < 0 || (size_t)size >= sizeof(settings->cookie_file)) {
        settings->cookie_file[0] = '\0';
    }
}

/* Without --target, the member of the configuration is meant. */
static int default_target(struct options *options, struct buf *error)
{
    const struct settings *settings = &options->settings;
    struct options_target *target = &options->target;

    if (target->name[0] != '\0') {
        return 0;
    }
    if (settings->name[0] == '\0') {
        buf_printf(error, "which member? give --target NAME@HOST or "
                          "--config FILE");
        return ERR_BADARG;
    }
    memcpy(target->name, settings->name, sizeof(target->name));
    target->address = settings->listen;
    target->has_address = settings->listen.port != 0;
    for (uint32_t i = 0; i < settings->member_count; i++) {
        if (strcmp(settings->members[i].name, target->name) == 0) {
            target->address = settings->members[i].address;
            target->has_address = true;
        }
    }
    return 0;
}

/* Whom a change of members is about; the log takes its time for it. */
static int read_subject(struct options *options, struct buf *error)
{
    bool is_add = options->command == OPTIONS_MEMBER_ADD;
    struct bytes word;

    if (!member_is_command(options->command)) {
        if (options->timeout_ms == 0) {
            options->timeout_ms = TIMEOUT_DEFAULT_MS;
        }
        return 0;
    }
    if (options->timeout_ms == 0) {
        options->timeout_ms = MEMBER_TIMEOUT_DEFAULT_MS;
    }
    word = bytes_of_string(options->local.words[0]);
    return is_add ? value_member(word, &options->subject, error)
                  : value_name(word, options->subject.name, error);
}

enum cli_exit options_read(struct options *ret_options,
                           const char *const argv[],
                           const char *const environment[], struct buf *error)
{
    struct options *options = ret_options;
    struct arguments arguments;
    bool is_client;

    memset(options, 0, sizeof(*options));
    options->command = OPTIONS_HELP;
    options->help_topic = OPTIONS_HELP;
    settings_init(&options->settings);
    if (arguments_read(options, argv[0] == NULL ? argv : argv + 1, &arguments,
                       error) != 0) {
        return CLI_EXIT_USAGE;
    }
    if (options->command == OPTIONS_HELP ||
        options->command == OPTIONS_VERSION) {
        return CLI_EXIT_OK;
    }
    if (read_option_variables(options, &arguments, environment, error) != 0) {
        return CLI_EXIT_CONFIG;
    }
    if (read_subject(options, error) != 0) {
        return CLI_EXIT_USAGE;
    }
    is_client = cli_command(options->command)->is_client;
    if (!is_client && options->command != OPTIONS_START) {
        return CLI_EXIT_OK;
    }
    if (read_setting_variables(options, environment, error) != 0) {
        return CLI_EXIT_CONFIG;
    }
    if (options->config_file != NULL && read_file(options, error) != 0) {
        return CLI_EXIT_CONFIG;
    }
    default_cookie_file(&options->settings, environment);
    if (is_client) {
        return default_target(options, error) == 0 ? CLI_EXIT_OK
                                                   : CLI_EXIT_USAGE;
    }
    return settings_check(&options->settings, error) == 0 ? CLI_EXIT_OK
                                                          : CLI_EXIT_CONFIG;
}
