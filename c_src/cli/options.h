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
    CLI_EXIT_VIOLATION = 1,    /* verify: a rule was broken */
    CLI_EXIT_UNDECIDED = 2,    /* verify: the journals do not tell all */
    CLI_EXIT_LATE = 3,         /* verify: an end came after its lease's */
    CLI_EXIT_USAGE = 64,       /* the command line is wrong */
    CLI_EXIT_DATAERR = 65,     /* what a file holds is damaged or foreign */
    CLI_EXIT_UNAVAILABLE = 69, /* no member answers */
    CLI_EXIT_SOFTWARE = 70,    /* our own mistake */
    CLI_EXIT_IOERR = 74,       /* a file cannot be read or written */
    CLI_EXIT_TEMPFAIL = 75,    /* no answer in time; try again */
    CLI_EXIT_CONFIG = 78       /* a setting is wrong; starting again is vain */
};

enum options_command {
    OPTIONS_START,
    OPTIONS_STATUS,
    OPTIONS_MEMBERS,
    OPTIONS_WORKERS,
    OPTIONS_SANDBOXES,
    OPTIONS_PARTITIONS,
    OPTIONS_MEMBER_ADD,
    OPTIONS_MEMBER_REMOVE,
    OPTIONS_MEMBER_TRANSFER,
    OPTIONS_PKI_INIT,
    OPTIONS_PKI_ISSUE,
    OPTIONS_PKI_SHOW,
    OPTIONS_COOKIE_NEW,
    OPTIONS_LOG_INSPECT,
    OPTIONS_LOG_VERIFY,
    OPTIONS_RECOVER_PLAN,
    OPTIONS_RECOVER_APPLY,
    OPTIONS_VERIFY,
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

enum {
    OPTIONS_WORDS_MAX = 1024, /* names or paths behind a command */
    OPTIONS_SANS_MAX = 32,    /* --san */
    OPTIONS_LIMIT_MAX = 100000,
};

/* What commands take that talk to nobody; all borrowed from the arguments,
 * NULL or 0 if not given. */
struct options_local {
    const char *words[OPTIONS_WORDS_MAX]; /* --name, and words that follow */
    size_t word_count;
    const char *sans[OPTIONS_SANS_MAX]; /* each TYPE:VALUE[,TYPE:VALUE...] */
    size_t san_count;
    const char *dir;
    const char *out;
    const char *file;
    const char *cluster;
    const char *position; /* TERM:INDEX */
    const char *role;     /* member, worker or client */
    uint32_t days;
    uint64_t from;  /* the first index to show */
    uint32_t limit; /* how many rows; 0: the default */
    bool force;
    bool behind;
};

struct options {
    enum options_command command;
    enum options_command help_topic; /* OPTIONS_HELP: of all commands */
    const char *help_group;          /* "pki": of its commands; or NULL */
    enum options_output output;
    uint32_t timeout_ms;            /* of the whole command */
    struct options_target target;   /* of what talks to a member */
    struct settings_member subject; /* of `member ...` */
    const char *config_file;    /* borrowed from the arguments; NULL: none */
    struct settings settings;   /* start: all; else the cookie file only */
    struct options_local local; /* pki, cookie, log, recover */
};

/* Reads everything. `argv` and `environment` end with NULL and must outlive
 * `ret_options`. CLI_EXIT_OK, or the exit code of the program with one line
 * of text (without a line end) appended to `error`; the options are then only
 * good for their `output`. */
enum cli_exit options_read(struct options *ret_options,
                           const char *const argv[],
                           const char *const environment[],
                           struct buf *error) MUST_USE;

/* "status", "pki init". */
const char *options_command_name(enum options_command command);

/* Appends the text of `quorate help [COMMAND]`, in fewer than 80 columns. */
void options_help(struct buf *text, enum options_command topic);

/* The same of the commands that begin with one word, such as "pki". */
void options_help_group(struct buf *text, const char *group);

#endif
