/* SPDX-License-Identifier: Apache-2.0
 * Reads the arguments by the tables. Options may stand before and behind the
 * command; which command takes which is checked at the end. */
#include "cli/arguments.h"

#include "base/err.h"
#include "config/suggest.h"
#include "config/value.h"

#include <stdio.h>
#include <string.h>

enum { COMMAND_SIZE_MAX = 2 * CLI_FLAG_SIZE_MAX }; /* bytes, with the 0 */

struct reader {
    struct options *options;
    const char *const *next;       /* the argument to read next */
    bool has_command;              /* the command has been read */
    bool has_topic;                /* so has what help is wanted on */
    const struct cli_group *group; /* a command's first word has been read */
    struct arguments *arguments;
    const struct setting *misplaced; /* a flag that is only for start */
    const struct setting *shared;    /* one for clients too */
    struct buf *error;
};

/* An option as it stands on the command line. */
struct flag {
    const char *text;   /* all of it, for messages */
    struct bytes name;  /* without the hyphens */
    struct bytes value; /* behind the `=`, or the next argument */
    bool has_value;
};

static int unknown_command(struct bytes words, struct buf *error)
{
    struct suggestion suggestion;

    suggestion_init(&suggestion, words);
    for (int i = OPTIONS_START; i <= OPTIONS_HELP; i++) {
        suggestion_consider(&suggestion,
                            options_command_name((enum options_command)i));
    }
    for (size_t i = 0; cli_group(i) != NULL; i++) {
        suggestion_consider(&suggestion, cli_group(i)->name);
    }
    buf_printf(error, "unknown command ");
    value_put_quoted(error, words);
    if (suggestion.best != NULL) {
        buf_printf(error, "; did you mean '%s'?", suggestion.best);
    } else {
        buf_printf(error, "; `quorate help` lists them all");
    }
    return ERR_NOT_FOUND;
}

/* Takes one word of a command's name. *ret_is_whole: it was the last one;
 * else the word is that of a group. */
static int take_command(struct reader *reader, const char *word,
                        enum options_command *ret_command, bool *ret_is_whole)
{
    char words[COMMAND_SIZE_MAX];
    int size = snprintf(words, sizeof(words), "%s%s%s",
                        reader->group == NULL ? "" : reader->group->name,
                        reader->group == NULL ? "" : " ", word);

    if (size < 0 || (size_t)size >= sizeof(words)) {
        return unknown_command(bytes_of_string(word), reader->error);
    }
    for (int i = OPTIONS_START; i <= OPTIONS_HELP; i++) {
        if (strcmp(words, options_command_name((enum options_command)i)) == 0) {
            *ret_command = (enum options_command)i;
            *ret_is_whole = true;
            reader->group = NULL;
            return 0;
        }
    }
    for (size_t i = 0; cli_group(i) != NULL; i++) {
        if (reader->group == NULL && strcmp(word, cli_group(i)->name) == 0) {
            reader->group = cli_group(i);
            *ret_is_whole = false;
            return 0;
        }
    }
    return unknown_command(bytes_of_string(words), reader->error);
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
        return arguments_set_option(reader->options, id, "", reader->error);
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

/* Whether the settings that were given are the command's. */
static int check_settings(const struct reader *reader)
{
    const struct cli_command *line = cli_command(reader->options->command);
    const struct setting *misplaced = reader->misplaced;
    char name[CLI_FLAG_SIZE_MAX];

    if (misplaced == NULL && !line->is_client) {
        misplaced = reader->shared;
    }
    if (misplaced == NULL || reader->options->command == OPTIONS_START) {
        return 0;
    }
    cli_flag_name(misplaced, name);
    buf_printf(reader->error,
               "--%s is an option of `quorate start`, not of `quorate %s`",
               name, line->name);
    return ERR_BADARG;
}

static int read_setting(struct reader *reader, struct flag *flag,
                        const struct setting *setting)
{
    int rv;

    if (cli_is_shared(setting)) {
        reader->shared = setting;
    } else {
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
    /* That it has no place here is said rather than what is wrong with it. */
    if (reader->has_command && check_settings(reader) != 0) {
        return ERR_BADARG;
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

/* A name that a setting has too is that of the option only behind a command
 * which takes the option. */
static bool is_meant(const struct reader *reader, enum cli_option_id id)
{
    return settings_find(bytes_of_string(cli_option(id)->name)) == NULL ||
           (reader->has_command &&
            (cli_command(reader->options->command)->takes & CLI_BIT(id)) != 0);
}

static int read_flag(struct reader *reader)
{
    struct flag flag = split_flag(*reader->next++);
    bool is_long = flag.text[1] == '-';
    size_t count;
    const struct setting *schema = settings_schema(&count);
    char name[CLI_FLAG_SIZE_MAX];

    for (int i = 0; i < CLI_OPTION_COUNT; i++) {
        enum cli_option_id id = (enum cli_option_id)i;
        const struct cli_option *option = cli_option(id);

        if (is_long ? bytes_is(flag.name, option->name) && is_meant(reader, id)
                    : flag.name.data[0] == (uint8_t)option->letter) {
            return read_option(reader, &flag, id);
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

/* A word that is no flag: of the command, what help is wanted on, or what the
 * command is to work on. */
static int read_word(struct reader *reader)
{
    struct options *options = reader->options;
    const char *word = *reader->next++;

    if (!reader->has_command) {
        return take_command(reader, word, &options->command,
                            &reader->has_command);
    }
    if (options->command == OPTIONS_HELP && !reader->has_topic) {
        return take_command(reader, word, &options->help_topic,
                            &reader->has_topic);
    }
    if (options->local.word_count <
        cli_command(options->command)->operands_max) {
        options->local.words[options->local.word_count++] = word;
        return 0;
    }
    value_put_quoted(reader->error, bytes_of_string(word));
    buf_printf(reader->error, " is one word too many; options begin with --");
    return ERR_BADARG;
}

/* Whether the command takes what was given, and was given what it needs. */
static int check_placement(const struct reader *reader)
{
    const struct cli_command *line = cli_command(reader->options->command);

    for (int i = 0; i < CLI_OPTION_COUNT; i++) {
        const struct cli_option *option = cli_option((enum cli_option_id)i);
        bool is_set = reader->arguments->is_set[i];

        if (is_set && (line->takes & CLI_BIT(i)) == 0) {
            buf_printf(reader->error, "--%s is not an option of `quorate %s`",
                       option->name, line->name);
            return ERR_BADARG;
        }
        if (!is_set && (line->needs & CLI_BIT(i)) != 0) {
            buf_printf(reader->error, "`quorate %s` needs --%s %s", line->name,
                       option->name, option->argument);
            return ERR_BADARG;
        }
    }
    if (line->operands_max > 0 && reader->options->local.word_count == 0) {
        buf_printf(reader->error, "`quorate %s` needs a name; give %s",
                   line->name, line->operand);
        return ERR_BADARG;
    }
    return check_settings(reader);
}

/* A group alone is no command. */
static int lone_group(const struct cli_group *group, struct buf *error)
{
    size_t begin;

    buf_printf(error, "`quorate %s` is half a command; give ", group->name);
    begin = error->size;
    for (int i = OPTIONS_START; i <= OPTIONS_HELP; i++) {
        enum options_command command = (enum options_command)i;

        if (cli_is_in_group(command, group->name)) {
            buf_printf(error, "%s`%s`", error->size > begin ? " or " : "",
                       options_command_name(command));
        }
    }
    return ERR_BADARG;
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
        if (!reader.has_topic) {
            options->help_topic =
                reader.has_command ? options->command : OPTIONS_HELP;
        }
        options->command = OPTIONS_HELP;
    }
    if (options->command == OPTIONS_HELP && reader.group != NULL) {
        options->help_group = reader.group->name;
    }
    if (ret_arguments->is_set[CLI_OPTION_HELP]) {
        return 0;
    }
    if (!reader.has_command && reader.group != NULL) {
        return lone_group(reader.group, error);
    }
    if (!reader.has_command) {
        buf_printf(error, "there is no command; `quorate help` lists them all");
        return ERR_BADARG;
    }
    return check_placement(&reader);
}
