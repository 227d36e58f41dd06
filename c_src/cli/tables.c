/* SPDX-License-Identifier: Apache-2.0
 * The tables of the command line. */
#include "cli/tables.h"

#include "base/ensure.h"

#include <stdint.h>
#include <stdio.h>

static const struct cli_command commands[] = {
    [OPTIONS_START] = {"start", false, "run a member in the foreground"},
    [OPTIONS_STATUS] = {"status", true, "what a member knows of the cluster"},
    [OPTIONS_MEMBERS] = {"members", true, "the members and their roles"},
    [OPTIONS_WORKERS] = {"workers", true,
                         "the nodes that run sandboxes, and their load"},
    [OPTIONS_SANDBOXES] = {"sandboxes", true, "the sandboxes and their owners"},
    [OPTIONS_VERSION] = {"version", false, "the version of this program"},
    [OPTIONS_HELP] = {"help", false, "this text, or that of a command"},
};

static const struct cli_option cli_options[] = {
    [CLI_OPTION_CONFIG] = {"config", 'c', "FILE", "QUORATE_CONFIG", false,
                           "a file of settings, `name = value` on each line"},
    [CLI_OPTION_OUTPUT] = {"output", 'o', "table|json", "QUORATE_OUTPUT", true,
                           "for people, or for programs (default table)"},
    [CLI_OPTION_TARGET] = {"target", 't', "NAME@HOST[=ADDR:PORT]",
                           "QUORATE_TARGET", true, "the member to ask"},
    [CLI_OPTION_TIMEOUT] = {"timeout", 0, "MS", "QUORATE_TIMEOUT", true,
                            "give up after so long (default 5000)"},
    [CLI_OPTION_HELP] = {"help", 'h', NULL, NULL, false, "this text"},
};

_Static_assert(sizeof(cli_options) / sizeof(cli_options[0]) == CLI_OPTION_COUNT,
               "each option has its line");

const struct cli_command *cli_command(enum options_command command)
{
    ensure((size_t)command < sizeof(commands) / sizeof(commands[0]));
    return &commands[command];
}

const struct cli_option *cli_option(enum cli_option_id id)
{
    ensure((size_t)id < CLI_OPTION_COUNT);
    return &cli_options[id];
}

const char *options_command_name(enum options_command command)
{
    return cli_command(command)->name;
}

void cli_flag_name(const struct setting *setting, char *ret_name)
{
    int size = snprintf(ret_name, CLI_FLAG_SIZE_MAX, "%s", setting->name);

    ensure(size > 0 && size < CLI_FLAG_SIZE_MAX);
    for (char *next = ret_name; *next != '\0'; next++) {
        if (*next == '_') {
            *next = '-';
        }
    }
}

void cli_variable_name(const struct setting *setting, char *ret_name)
{
    int size =
        snprintf(ret_name, CLI_FLAG_SIZE_MAX, "QUORATE_%s", setting->name);

    ensure(size > 0 && size < CLI_FLAG_SIZE_MAX);
    for (char *next = ret_name; *next != '\0'; next++) {
        if (*next >= 'a' && *next <= 'z') {
            *next = (char)(*next - 'a' + 'A');
        }
    }
}
