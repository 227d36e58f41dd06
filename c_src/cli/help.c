/* SPDX-License-Identifier: Apache-2.0
 * The help texts, made from the tables. */
#include "cli/options.h"
#include "cli/tables.h"

#include <stdio.h>
#include <string.h>

enum { COLUMN = 30 }; /* where the explanations begin */

/* "  LEFT      RIGHT", on two lines if the left side is too long. */
static void put_line(struct buf *text, const char *left, const char *right)
{
    int size = snprintf(NULL, 0, "  %s", left);

    if (size + 2 <= COLUMN) {
        buf_printf(text, "  %-*s%s\n", COLUMN - 2, left, right);
    } else {
        buf_printf(text, "  %s\n%*s%s\n", left, COLUMN, "", right);
    }
}

static void put_option(struct buf *text, enum cli_option_id id)
{
    const struct cli_option *option = cli_option(id);
    char left[CLI_FLAG_SIZE_MAX * 2];
    char letter[] = "-x, ";

    letter[1] = option->letter;
    (void)snprintf(left, sizeof(left), "%s--%s%s%s",
                   option->letter == 0 ? "" : letter, option->name,
                   option->argument == NULL ? "" : " ",
                   option->argument == NULL ? "" : option->argument);
    put_line(text, left, option->help);
}

static const char *argument_of(enum setting_type type)
{
    switch (type) {
    case SETTING_NAME:
        return " NAME@HOST";
    case SETTING_PATH:
        return " PATH";
    case SETTING_ADDRESS:
        return " ADDR:PORT";
    case SETTING_MEMBER:
        return " NAME@HOST=ADDR:PORT";
    case SETTING_PEER_COOKIE:
        return " PATTERN=PATH";
    case SETTING_ROLE:
        return " PATTERN=ROLE";
    case SETTING_BOOL:
        return "[=true|false]";
    case SETTING_VERIFY:
        return " strict|off";
    case SETTING_HUNG:
        return " kill|report";
    case SETTING_PROFILE:
        return " PROFILE";
    case SETTING_LOG_LEVEL:
        return " LEVEL";
    case SETTING_NUMBER:
        return " N";
    case SETTING_SIZE:
        return " SIZE";
    }
    return "";
}

static void put_setting(struct buf *text, const struct setting *setting)
{
    char name[CLI_FLAG_SIZE_MAX];
    char left[CLI_FLAG_SIZE_MAX * 2];
    char right[CLI_FLAG_SIZE_MAX * 3];

    cli_flag_name(setting, name);
    (void)snprintf(left, sizeof(left), "--%s%s", name,
                   argument_of(setting->type));
    (void)snprintf(right, sizeof(right), "%s", setting->help);
    put_line(text, left, right);
    if (setting->default_text != NULL) {
        buf_printf(text, "%*s(default %s)\n", COLUMN, "",
                   setting->default_text);
    }
}

/* Those that whoever talks to a member needs. */
static void put_shared_settings(struct buf *text)
{
    size_t count;
    const struct setting *all = settings_schema(&count);

    for (size_t i = 0; i < count; i++) {
        if (cli_is_shared(&all[i])) {
            put_setting(text, &all[i]);
        }
    }
}

static void put_settings(struct buf *text)
{
    size_t count;
    const struct setting *schema = settings_schema(&count);

    buf_printf(text, "\nSettings (each also as QUORATE_NAME in the environment "
                     "and in the file):\n");
    for (size_t i = 0; i < count; i++) {
        put_setting(text, &schema[i]);
    }
}

/* A command with what it works on. */
static void put_command(struct buf *text, const struct cli_command *command)
{
    char left[CLI_FLAG_SIZE_MAX * 2];

    (void)snprintf(left, sizeof(left), "%s%s%s", command->name,
                   command->operand == NULL ? "" : " ",
                   command->operand == NULL ? "" : command->operand);
    put_line(text, left, command->help);
}

static void put_exit_codes(struct buf *text)
{
    buf_printf(text, "\n`quorate help COMMAND` has the options of a command.\n"
                     "Exit codes: 0 done, 64 usage, 65 data is damaged, "
                     "69 no member answers,\n70 internal error, "
                     "74 input or output failed, 75 no answer in time,\n"
                     "78 a setting is wrong.\n");
}

static void put_overview(struct buf *text)
{
    buf_printf(text, "quorate keeps an Erlang or Elixir cluster quorate.\n\n"
                     "Usage: quorate COMMAND [OPTION...]\n\nCommands:\n");
    for (int i = OPTIONS_START; i <= OPTIONS_HELP; i++) {
        put_command(text, cli_command((enum options_command)i));
    }
    put_exit_codes(text);
}

void options_help_group(struct buf *text, const char *group)
{
    for (size_t i = 0; cli_group(i) != NULL; i++) {
        if (strcmp(cli_group(i)->name, group) == 0) {
            buf_printf(text, "quorate %s: %s.\n\nCommands:\n", group,
                       cli_group(i)->help);
        }
    }
    for (int i = OPTIONS_START; i <= OPTIONS_HELP; i++) {
        enum options_command command = (enum options_command)i;

        if (cli_is_in_group(command, group)) {
            put_command(text, cli_command(command));
        }
    }
    put_exit_codes(text);
}

void options_help(struct buf *text, enum options_command topic)
{
    const struct cli_command *command = cli_command(topic);

    if (topic == OPTIONS_HELP) {
        put_overview(text);
        return;
    }
    buf_printf(text, "quorate %s%s%s: %s.\n\nOptions:\n", command->name,
               command->operand == NULL ? "" : " ",
               command->operand == NULL ? "" : command->operand, command->help);
    for (int i = 0; i < CLI_OPTION_COUNT; i++) {
        if ((command->takes & CLI_BIT(i)) != 0) {
            put_option(text, (enum cli_option_id)i);
        }
        if (i == CLI_OPTION_TARGET && command->is_client) {
            put_shared_settings(text);
        }
    }
    put_option(text, CLI_OPTION_HELP);
    if (topic == OPTIONS_START) {
        put_settings(text);
    }
}
