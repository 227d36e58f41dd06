/* SPDX-License-Identifier: Apache-2.0
 * The tables of the command line. */
#include "cli/tables.h"

#include "base/ensure.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>

enum {
    SHOWN_FILES_MAX = 1,
    READ_DIRS_MAX = 1,
    RECOVER_DIRS = 7,
};

#define CLIENT                                                 \
    (CLI_BIT(CLI_OPTION_TARGET) | CLI_BIT(CLI_OPTION_OUTPUT) | \
     CLI_BIT(CLI_OPTION_TIMEOUT) | CLI_BIT(CLI_OPTION_CONFIG))
#define INIT                                                 \
    (CLI_BIT(CLI_OPTION_DIR) | CLI_BIT(CLI_OPTION_CLUSTER) | \
     CLI_BIT(CLI_OPTION_DAYS))
#define ISSUE                                             \
    (CLI_BIT(CLI_OPTION_DIR) | CLI_BIT(CLI_OPTION_NAME) | \
     CLI_BIT(CLI_OPTION_ROLE) | CLI_BIT(CLI_OPTION_SAN) | \
     CLI_BIT(CLI_OPTION_DAYS) | CLI_BIT(CLI_OPTION_OUT) | \
     CLI_BIT(CLI_OPTION_FORCE))

static const struct cli_command commands[] = {
    [OPTIONS_START] = {"start", false, CLI_BIT(CLI_OPTION_CONFIG), 0, NULL, 0,
                       "run a member in the foreground"},
    [OPTIONS_STATUS] = {"status", true, CLIENT, 0, NULL, 0,
                        "what a member knows of the cluster"},
    [OPTIONS_MEMBERS] = {"members", true, CLIENT, 0, NULL, 0,
                         "the members and their roles"},
    [OPTIONS_WORKERS] = {"workers", true, CLIENT, 0, NULL, 0,
                         "the nodes that run sandboxes, and their load"},
    [OPTIONS_SANDBOXES] = {"sandboxes", true, CLIENT, 0, NULL, 0,
                           "the sandboxes and their owners"},
    [OPTIONS_PARTITIONS] = {"partitions", true, CLIENT, 0, NULL, 0,
                            "whom a member reaches, and whom it misses"},
    [OPTIONS_MEMBER_ADD] = {"member add", true, CLIENT, 0,
                            "NAME@HOST=ADDR:PORT", 1,
                            "add a member started with --join"},
    [OPTIONS_MEMBER_REMOVE] = {"member remove", true, CLIENT, 0, "NAME@HOST", 1,
                               "remove a member, running or lost"},
    [OPTIONS_MEMBER_TRANSFER] = {"member transfer", true, CLIENT, 0,
                                 "NAME@HOST", 1, "make a member the leader"},
    [OPTIONS_PKI_INIT] = {"pki init", false, INIT, CLI_BIT(CLI_OPTION_DIR),
                          NULL, 0, "make the authority of a cluster for TLS"},
    [OPTIONS_PKI_ISSUE] = {"pki issue", false, ISSUE, CLI_BIT(CLI_OPTION_DIR),
                           "[NAME@HOST...]", OPTIONS_WORDS_MAX,
                           "make keys and certificates for nodes"},
    [OPTIONS_PKI_SHOW] = {"pki show", false, CLI_BIT(CLI_OPTION_OUTPUT), 0,
                          "FILE|DIR", SHOWN_FILES_MAX,
                          "what certificates say, and how long they last"},
    [OPTIONS_COOKIE_NEW] = {"cookie new", false, CLI_BIT(CLI_OPTION_FILE), 0,
                            NULL, 0, "make a random cookie"},
    [OPTIONS_LOG_INSPECT] = {"log inspect", false,
                             CLI_BIT(CLI_OPTION_OUTPUT) |
                                 CLI_BIT(CLI_OPTION_FROM) |
                                 CLI_BIT(CLI_OPTION_LIMIT),
                             0, "DIR", READ_DIRS_MAX,
                             "what is in the log of a data directory"},
    [OPTIONS_LOG_VERIFY] = {"log verify", false, CLI_BIT(CLI_OPTION_OUTPUT), 0,
                            "DIR", READ_DIRS_MAX, "whether all of it is whole"},
    [OPTIONS_RECOVER_PLAN] = {"recover plan", false, CLI_BIT(CLI_OPTION_OUTPUT),
                              0, "DIR...", RECOVER_DIRS,
                              "what is left, and what may be lost"},
    [OPTIONS_RECOVER_APPLY] = {"recover apply", false,
                               CLI_BIT(CLI_OPTION_CLUSTER) |
                                   CLI_BIT(CLI_OPTION_POSITION) |
                                   CLI_BIT(CLI_OPTION_BEHIND),
                               CLI_BIT(CLI_OPTION_CLUSTER), "DIR [OTHER...]",
                               RECOVER_DIRS, "make DIR a cluster of its own"},
    [OPTIONS_VERIFY] = {"verify", false, CLI_BIT(CLI_OPTION_OUTPUT), 0,
                        "FILE|DIR...", OPTIONS_WORDS_MAX,
                        "whether ownership journals prove one owner each"},
    [OPTIONS_VERSION] = {"version", false, CLI_BIT(CLI_OPTION_OUTPUT), 0, NULL,
                         0, "the version of this program"},
    [OPTIONS_HELP] = {"help", false, 0, 0, "[COMMAND]", 0,
                      "this text, or that of a command"},
};

static const struct cli_group groups[] = {
    {"member", "who the members of a cluster are"},
    {"pki", "certificates for TLS between the nodes"},
    {"cookie", "the secret that all nodes of a cluster share"},
    {"recover", "what to do when most voters are lost for good"},
    {"log", "the replicated log in a data directory that no member uses"},
};

static const struct cli_option cli_options[] = {
    [CLI_OPTION_DIR] = {"dir", 0, "DIR", NULL,
                        "where the authority is, or shall be"},
    [CLI_OPTION_NAME] = {"name", 0, "NAME@HOST", NULL,
                         "the node; may be given again"},
    [CLI_OPTION_ROLE] = {"role", 0, "member|worker|client", NULL,
                         "what the nodes may be (default client)"},
    [CLI_OPTION_SAN] = {"san", 0, "DNS:X|IP:X", NULL,
                        "other names of the host; commas between them"},
    [CLI_OPTION_CLUSTER] = {"cluster", 0, "NAME", NULL,
                            "a name for people; recover: as plan shows"},
    [CLI_OPTION_DAYS] = {"days", 0, "N", NULL,
                         "how long (default 3650 for init, else 365)"},
    [CLI_OPTION_OUT] = {"out", 0, "DIR", NULL,
                        "a place for the files of nodes (default --dir)"},
    [CLI_OPTION_FORCE] = {"force", 0, NULL, NULL,
                          "renew: replace the key and the certificate"},
    [CLI_OPTION_FILE] = {"file", 0, "PATH", NULL,
                         "a new file for it (default: print it)"},
    [CLI_OPTION_FROM] = {"from", 0, "INDEX", NULL,
                         "the first entry to show (default: all)"},
    [CLI_OPTION_LIMIT] = {"limit", 0, "N", NULL, "how many rows (default 100)"},
    [CLI_OPTION_POSITION] = {"position", 0, "TERM:INDEX", NULL,
                             "the most advanced one of all survivors"},
    [CLI_OPTION_BEHIND] = {"behind", 0, NULL, NULL,
                           "also if another survivor has more entries"},
    [CLI_OPTION_TARGET] = {"target", 't', "NAME@HOST[=ADDR:PORT]",
                           "QUORATE_TARGET", "the member to ask"},
    [CLI_OPTION_OUTPUT] = {"output", 'o', "table|json", "QUORATE_OUTPUT",
                           "for people, or for programs (default table)"},
    [CLI_OPTION_TIMEOUT] = {"timeout", 0, "MS", "QUORATE_TIMEOUT",
                            "give up after so long (default 5000)"},
    [CLI_OPTION_CONFIG] = {"config", 'c', "FILE", "QUORATE_CONFIG",
                           "a file of settings, `name = value` on each line"},
    [CLI_OPTION_HELP] = {"help", 'h', NULL, NULL, "this text"},
};

_Static_assert(sizeof(cli_options) / sizeof(cli_options[0]) == CLI_OPTION_COUNT,
               "each option has its line");

const struct cli_command *cli_command(enum options_command command)
{
    ensure((size_t)command < sizeof(commands) / sizeof(commands[0]));
    return &commands[command];
}

const struct cli_group *cli_group(size_t i)
{
    return i < sizeof(groups) / sizeof(groups[0]) ? &groups[i] : NULL;
}

bool cli_is_in_group(enum options_command command, const char *group)
{
    const char *name = cli_command(command)->name;
    size_t size = strlen(group);

    return strncmp(name, group, size) == 0 && name[size] == ' ';
}

const struct cli_option *cli_option(enum cli_option_id id)
{
    ensure((size_t)id < CLI_OPTION_COUNT);
    return &cli_options[id];
}

bool cli_is_shared(const struct setting *setting)
{
    static const char *const shared[] = {"cookie_file", "tls_cert_file",
                                         "tls_key_file", "tls_ca_file",
                                         "verify_name"};

    for (size_t i = 0; i < sizeof(shared) / sizeof(shared[0]); i++) {
        if (strcmp(setting->name, shared[i]) == 0) {
            return true;
        }
    }
    return false;
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
