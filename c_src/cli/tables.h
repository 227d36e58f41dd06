/* SPDX-License-Identifier: Apache-2.0
 * The commands, and the options that are no settings. The parser and the help
 * text read the same tables. This header is private to the folder. */
#ifndef QUORATE_CLI_TABLES_H
#define QUORATE_CLI_TABLES_H

#include "cli/options.h"

#include <stdbool.h>
#include <stddef.h>

struct cli_command {
    const char *name;
    bool is_client; /* it talks to a member: --target and the like */
    const char *help;
};

/* The line of a command. */
const struct cli_command *cli_command(enum options_command command);

enum cli_option_id {
    CLI_OPTION_CONFIG,
    CLI_OPTION_OUTPUT,
    CLI_OPTION_TARGET,
    CLI_OPTION_TIMEOUT,
    CLI_OPTION_HELP,
    CLI_OPTION_COUNT
};

struct cli_option {
    const char *name;     /* without the hyphens */
    char letter;          /* 'o' for -o; 0: none */
    const char *argument; /* what its value is; NULL: it has none */
    const char *variable; /* its name in the environment, or NULL */
    bool is_client_only;
    const char *help;
};

const struct cli_option *cli_option(enum cli_option_id id);

enum { CLI_FLAG_SIZE_MAX = 64 }; /* bytes of a flag or variable, with the 0 */

/* data_dir -> data-dir, into CLI_FLAG_SIZE_MAX bytes. */
void cli_flag_name(const struct setting *setting, char *ret_name);

/* data_dir -> QUORATE_DATA_DIR, idem. */
void cli_variable_name(const struct setting *setting, char *ret_name);

#endif
