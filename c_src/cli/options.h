/* SPDX-License-Identifier: Apache-2.0
 * The command line: `quorate COMMAND [OPTION...]`, the environment and the
 * configuration file, brought together. Whatever is set in more than one
 * place comes from the strongest: flag > QUORATE_* > file > default.
 *
 * Every setting of config/settings.h is a flag of `start`: data_dir is
 * --data-dir, and QUORATE_DATA_DIR in the environment. */
#ifndef QUORATE_CLI_OPTIONS_H
#define QUORATE_CLI_OPTIONS_H

#include "base/attr.h"
#include "base/buf.h"
#include "config/settings.h"

#include <stdbool.h>
#include <stdint.h>

/* Exit codes: those of sysexits.h that we use. */
enum cli_exit {
    CLI_EXIT_OK = 0,
    CLI_EXIT_USAGE = 64,       /* the command line is wrong */
    CLI_EXIT_UNAVAILABLE = 69, /* no member answers */
    CLI_EXIT_SOFTWARE = 70,    /* our own mistake */
    CLI_EXIT_TEMPFAIL = 75,    /* no answer in time; try again */
    CLI_EXIT_CONFIG = 78       /* a setting is wrong; starting again is vain */
};

enum options_command {
    OPTIONS_START,
    OPTIONS_STATUS,
    OPTIONS_MEMBERS,
    OPTIONS_WORKERS,
    OPTIONS_SANDBOXES,
    OPTIONS_VERSION,
    OPTIONS_HELP
};

enum options_output { OPTIONS_TABLE, OPTIONS_JSON };

/* The member that a command talks to. */
struct options_target {
    char name[SETTINGS_NAME_SIZE_MAX + 1]; /* NAME@HOST */
    bool has_address;                      /* else epmd on the host knows */
    struct settings_address address;
};

struct options {
    enum options_command command;
    enum options_command help_topic; /* OPTIONS_HELP: of all commands */
    enum options_output output;
    uint32_t timeout_ms;          /* of the whole command */
    struct options_target target; /* status, members, workers, sandboxes */
    const char *config_file;      /* borrowed from the arguments; NULL: none */
    struct settings settings;     /* start: all; else the cookie file only */
};

/* Reads everything. `argv` and `environment` end with NULL and must outlive
 * `ret_options`. CLI_EXIT_OK, or the exit code of the program with one line
 * of text (without a line end) appended to `error`; the options are then only
 * good for their `output`. */
enum cli_exit options_read(struct options *ret_options,
                           const char *const argv[],
                           const char *const environment[],
                           struct buf *error) MUST_USE;

/* "status". */
const char *options_command_name(enum options_command command);

/* Appends the text of `quorate help [COMMAND]`, in fewer than 80 columns. */
void options_help(struct buf *text, enum options_command topic);

#endif
