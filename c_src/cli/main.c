/* SPDX-License-Identifier: Apache-2.0
 * The program `quorate`: a member, or a command that talks to one. */
#include "cli/client.h"
#include "cli/local.h"
#include "cli/options.h"
#include "node/member.h"
#include "node/version.h"

#include <stdio.h>

enum { HELP_SIZE_MAX = 65536 };

extern char **environ;

static void print_help(const struct options *options)
{
    struct buf text;

    buf_init(&text, HELP_SIZE_MAX);
    if (options->help_group != NULL) {
        options_help_group(&text, options->help_group);
    } else {
        options_help(&text, options->help_topic);
    }
    (void)fwrite(text.data, 1, text.size, stdout);
    buf_close(&text);
}

static int run(const struct options *options)
{
    switch (options->command) {
    case OPTIONS_START:
        return member_run(&options->settings);
    case OPTIONS_VERSION:
        if (options->output == OPTIONS_JSON) {
            (void)printf("{\"schema\":\"quorate.version/1\","
                         "\"version\":\"%s\"}\n",
                         QUORATE_VERSION);
        } else {
            (void)printf("quorate %s\n", QUORATE_VERSION);
        }
        return CLI_EXIT_OK;
    case OPTIONS_HELP:
        print_help(options);
        return CLI_EXIT_OK;
    case OPTIONS_PKI_INIT:
    case OPTIONS_PKI_ISSUE:
    case OPTIONS_PKI_SHOW:
        return pki_run(options);
    case OPTIONS_COOKIE_NEW:
        return cookie_run(options);
    case OPTIONS_LOG_INSPECT:
    case OPTIONS_LOG_VERIFY:
        return log_run(options);
    case OPTIONS_RECOVER_PLAN:
    case OPTIONS_RECOVER_APPLY:
        return recover_run(options);
    case OPTIONS_VERIFY:
        return verify_run(options);
    case OPTIONS_STATUS:
    case OPTIONS_MEMBERS:
    case OPTIONS_WORKERS:
    case OPTIONS_PARTITIONS:
    case OPTIONS_SANDBOXES:
    case OPTIONS_MEMBER_ADD:
    case OPTIONS_MEMBER_REMOVE:
    case OPTIONS_MEMBER_TRANSFER:
        return client_run(options);
    }
    return CLI_EXIT_SOFTWARE;
}

int main(int argc, char *argv[])
{
    static struct options options; /* large; lives as long as the process */
    struct buf error;
    int code;

    (void)argc;
    buf_init(&error, SETTINGS_ERROR_SIZE_MAX);
    code = (int)options_read(&options, (const char *const *)argv,
                             (const char *const *)environ, &error);
    if (code == CLI_EXIT_OK) {
        code = run(&options);
    } else {
        (void)fprintf(stderr, "quorate: %.*s\n", (int)error.size,
                      (const char *)error.data);
    }
    buf_close(&error);
    return code;
}
