/* SPDX-License-Identifier: Apache-2.0
 * Reads the arguments by the tables. Options may stand before and behind the
 * command; which command takes which is checked at the end. */
#include "cli/arguments.h"

#include "base/err.h"
#include "config/suggest.h"
#include "config/value.h"

#include <stdio.h>
#include <string.h>

enum { TIMEOUT_MAX_MS = 3600000 };

struct reader {
    struct options *options;
    const char *const *next; /* the argument to read next */
    bool has_command;        /* the command has been read */
    struct arguments *arguments;
    const struct setting *misplaced; /* a flag that is only for start */
    struct buf *error;
};

/* An option as it stands on the command line. */
struct flag {
    const char *text;   /* all of it, for messages */
    struct bytes name;  /* without the hyphens */
    struct bytes value; /* behind the `=`, or the next argument */
    bool has_value;
};

static int unknown_command(struct bytes word, struct buf *error)
{
    struct suggestion suggestion;

    suggestion_init(&suggestion, word);
    for (int i = OPTIONS_START; i <= OPTIONS_HELP; i++) {
        suggestion_consider(&suggestion,
                            options_command_name((enum options_command)i));
    }
    buf_printf(error, "unknown command ");
    value_put_quoted(error, word);
    if (suggestion.best != NULL) {
        buf_printf(error, "; did you mean '%s'?", suggestion.best);
    } else {
        buf_printf(error, "; `quorate help` lists them all");
    }
    return ERR_NOT_FOUND;
}

static int find_command(struct bytes word, enum options_command *ret_command,
                        struct buf *error)
{
    for (int i = OPTIONS_START; i <= OPTIONS_HELP; i++) {
        if (bytes_is(word, options_command_name((enum options_command)i))) {
            *ret_command = (enum options_command)i;
            return 0;
        }
    }
    return unknown_command(word, error);
}

static int unknown_flag(const struct flag *flag, struct buf *error)
{
    struct suggestion suggestion;
    size_t count;
    const struct setting *schema = settings_schema(&count);
    char name[CLI_FLAG_SIZE_MAX];

    suggestion_init(&suggestion, flag->name);
    for (int i = 0; i < CLI_OPTION_COUNT; i++) {
        suggestion_consider(&suggestion,
                            cli_option((enum cli_option_id)i)->name);
    }
    for (size_t i = 0; i < count; i++) {
        suggestion_consider(&suggestion, schema[i].name);
    }
    buf_printf(error, "unknown option ");
    value_put_quoted(error, bytes_of_string(flag->text));
    if (suggestion.best == NULL) {
        buf_printf(error, "; `quorate help COMMAND` lists them all");
        return ERR_NOT_FOUND;
    }
    (void)snprintf(name, sizeof(name), "%s", suggestion.best);
    for (char *next = name; *next != '\0'; next++) {
        if (*next == '_') {
            *next = '-';
        }
    }
    buf_printf(error, "; did you mean '--%s'?", name);
    return ERR_NOT_FOUND;
}

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
    case CLI_OPTION_HELP:
    case CLI_OPTION_COUNT:
        break;
    }
    return 0;
}

/* The value of a flag: behind `=`, or else the next argument. */
static int need_value(struct reader *reader, struct flag *flag,
                      const char *argument)
{
    if (!flag->has_value && *reader->next != NULL) {
        flag->value = bytes_of_string(*reader->next++);
        flag->has_value = true;
    }
    if (!flag->has_value || flag->value.size == 0) {
        buf_printf(reader->error, "%s needs a value; give %s", flag->text,
                   argument);
        return ERR_BADARG;
    }
    return 0;
}

static int read_option(struct reader *reader, struct flag *flag,
                       enum cli_option_id id)
{
    const struct cli_option *option = cli_option(id);
    size_t error_size = reader->error->size;
    int rv;

    reader->arguments->is_set[id] = true;
    if (option->argument == NULL) {
        if (flag->has_value) {
            buf_printf(reader->error, "--%s takes no value", option->name);
            return ERR_BADARG;
        }
        return 0;
    }
    rv = need_value(reader, flag, option->argument);
    if (rv != 0) {
        return rv;
    }
    buf_printf(reader->error, "--%s: ", option->name);
    /* The value runs to the end of its argument, so it is a string too. */
    rv = arguments_set_option(reader->options, id,
                              (const char *)flag->value.data, reader->error);
    if (rv == 0) {
        reader->error->size = error_size;
    }
    return rv;
}

static int read_setting(struct reader *reader, struct flag *flag,
                        const struct setting *setting)
{
    int rv;

    if (strcmp(setting->name, "cookie_file") != 0) {
        reader->misplaced = setting;
    }
    if (setting->type == SETTING_BOOL && !flag->has_value) {
        const char *next = *reader->next;

        flag->value = bytes_of_string("true");
        if (next != NULL &&
            (strcmp(next, "true") == 0 || strcmp(next, "false") == 0)) {
            flag->value = bytes_of_string(next);
            reader->next++;
        }
    } else {
        rv = need_value(reader, flag, setting->help);
        if (rv != 0) {
            return rv;
        }
    }
    return settings_set(&reader->options->settings, SETTINGS_FLAG,
                        bytes_of_string(setting->name), flag->value,
                        reader->error);
}

/* "--name", "--name=value", "-o", "-ovalue". */
static struct flag split_flag(const char *text)
{
    struct flag flag = {.text = text};
    const char *name = text + 1;
    const char *equals;

    if (*name != '-') {
        flag.name = bytes_of(name, 1);
        flag.has_value = name[1] != '\0';
        flag.value = bytes_of_string(name + 1);
        return flag;
    }
    name++;
    equals = strchr(name, '=');
    flag.has_value = equals != NULL;
    if (equals == NULL) {
        flag.name = bytes_of_string(name);
    } else {
        flag.name = bytes_of(name, (size_t)(equals - name));
        flag.value = bytes_of_string(equals + 1);
    }
    return flag;
}

static int read_flag(struct reader *reader)
{
    struct flag flag = split_flag(*reader->next++);
    bool is_long = flag.text[1] == '-';
    size_t count;
    const struct setting *schema = settings_schema(&count);
    char name[CLI_FLAG_SIZE_MAX];

    for (int i = 0; i < CLI_OPTION_COUNT; i++) {
        const struct cli_option *option = cli_option((enum cli_option_id)i);

        if (is_long ? bytes_is(flag.name, option->name)
                    : flag.name.data[0] == (uint8_t)option->letter) {
            return read_option(reader, &flag, (enum cli_option_id)i);
        }
    }
    for (size_t i = 0; is_long && i < count; i++) {
        cli_flag_name(&schema[i], name);
        if (bytes_is(flag.name, name)) {
            return read_setting(reader, &flag, &schema[i]);
        }
    }
    return unknown_flag(&flag, reader->error);
}

/* A word that is no flag: the command, or what help is wanted on. */
static int read_word(struct reader *reader)
{
    struct options *options = reader->options;
    struct bytes word = bytes_of_string(*reader->next++);

    if (!reader->has_command) {
        reader->has_command = true;
        return find_command(word, &options->command, reader->error);
    }
    if (options->command == OPTIONS_HELP &&
        options->help_topic == OPTIONS_HELP) {
        return find_command(word, &options->help_topic, reader->error);
    }
    value_put_quoted(reader->error, word);
    buf_printf(reader->error, " is one word too many; options begin with --");
    return ERR_BADARG;
}

/* Whether the command takes the options that were given. */
static int check_placement(const struct reader *reader)
{
    enum options_command command = reader->options->command;
    const struct cli_command *line = cli_command(command);
    char name[CLI_FLAG_SIZE_MAX];

    for (int i = 0; i < CLI_OPTION_COUNT; i++) {
        const struct cli_option *option = cli_option((enum cli_option_id)i);

        if (reader->arguments->is_set[i] && option->is_client_only &&
            command == OPTIONS_START) {
            buf_printf(reader->error, "--%s is not an option of `quorate %s`",
                       option->name, line->name);
            return ERR_BADARG;
        }
    }
    if (reader->misplaced != NULL && command != OPTIONS_START) {
        cli_flag_name(reader->misplaced, name);
        buf_printf(reader->error,
                   "--%s is an option of `quorate start`, not "
                   "of `quorate %s`",
                   name, line->name);
        return ERR_BADARG;
    }
    return 0;
}

static int read_all(struct reader *reader)
{
    while (*reader->next != NULL) {
        const char *text = *reader->next;
        int rv = text[0] == '-' && text[1] != '\0' ? read_flag(reader)
                                                   : read_word(reader);

        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

int arguments_read(struct options *options, const char *const *argv,
                   struct arguments *ret_arguments, struct buf *error)
{
    struct reader reader = {.options = options,
                            .next = argv,
                            .arguments = ret_arguments,
                            .error = error};
    int rv;

    *ret_arguments = (struct arguments){.is_set = {false}};
    rv = read_all(&reader);
    if (rv != 0) {
        return rv;
    }
    if (ret_arguments->is_set[CLI_OPTION_HELP]) {
        options->help_topic =
            reader.has_command ? options->command : OPTIONS_HELP;
        options->command = OPTIONS_HELP;
        return 0;
    }
    if (!reader.has_command) {
        buf_printf(error, "there is no command; `quorate help` lists them all");
        return ERR_BADARG;
    }
    return check_placement(&reader);
}
