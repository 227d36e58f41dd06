/* SPDX-License-Identifier: Apache-2.0
 * The commands, and the options that are no settings. The parser and the help
 * text read the same tables. This header is private to the folder. */
#ifndef QUORATE_CLI_TABLES_H
#define QUORATE_CLI_TABLES_H

#include "cli/options.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum cli_option_id {
    CLI_OPTION_DIR,
    CLI_OPTION_NAME,
    CLI_OPTION_ROLE,
    CLI_OPTION_SAN,
    CLI_OPTION_CLUSTER,
    CLI_OPTION_DAYS,
    CLI_OPTION_OUT,
    CLI_OPTION_FORCE,
    CLI_OPTION_FILE,
    CLI_OPTION_FROM,
    CLI_OPTION_LIMIT,
    CLI_OPTION_POSITION,
    CLI_OPTION_BEHIND,
    CLI_OPTION_TARGET,
    CLI_OPTION_OUTPUT,
    CLI_OPTION_TIMEOUT,
    CLI_OPTION_CONFIG,
    CLI_OPTION_HELP,
    CLI_OPTION_COUNT
};

/* A set of options. */
#define CLI_BIT(id) (UINT32_C(1) << (id))

struct cli_command {
    const char *name;    /* one word, or that of a group and another one */
    bool is_client;      /* it talks to a member: --target and the like */
    uint32_t takes;      /* the options that it takes, besides --help */
    uint32_t needs;      /* those of them that must be given */
    const char *operand; /* the words behind it, for people; NULL: none */
    size_t operands_max;
    const char *help;
};

/* The line of a command. */
const struct cli_command *cli_command(enum options_command command);

/* Commands of two words share the first one. */
struct cli_group {
    const char *name;
    const char *help;
};

/* The i-th group, or NULL behind the last one. */
const struct cli_group *cli_group(size_t i);

/* Whether a command belongs to a group: "pki init" to "pki". */
bool cli_is_in_group(enum options_command command, const char *group);

/* An option may have the name of a setting: behind a command that takes the
 * option it is meant, elsewhere the setting. */
struct cli_option {
    const char *name;     /* without the hyphens */
    char letter;          /* 'o' for -o; 0: none */
    const char *argument; /* what its value is; NULL: it has none */
    const char *variable; /* its name in the environment, or NULL */
    const char *help;
};

const struct cli_option *cli_option(enum cli_option_id id);

/* Whether the commands that talk to a member need the setting too. */
bool cli_is_shared(const struct setting *setting);

enum { CLI_FLAG_SIZE_MAX = 64 }; /* bytes of a flag or variable, with the 0 */

/* data_dir -> data-dir, into CLI_FLAG_SIZE_MAX bytes. */
void cli_flag_name(const struct setting *setting, char *ret_name);

/* data_dir -> QUORATE_DATA_DIR, idem. */
void cli_variable_name(const struct setting *setting, char *ret_name);

#endif
