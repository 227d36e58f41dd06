/* SPDX-License-Identifier: Apache-2.0
 * `quorate pki init` and `quorate pki issue`, and the exit codes of commands
 * that talk to nobody. */
#include "io/pki.h"

#include "base/err.h"
#include "cli/local.h"

#include <stdio.h>
#include <time.h>

static const char role_default[] = "client";
static const char cluster_default[] = "cluster";

int local_exit_code(int err)
{
    switch (err) {
    case 0:
        return CLI_EXIT_OK;
    case ERR_BADARG:
        return CLI_EXIT_USAGE;
    case ERR_EXISTS:
    case ERR_NOT_FOUND:
    case ERR_FORBIDDEN:
        return CLI_EXIT_CONFIG;
    case ERR_IN_USE:
        return CLI_EXIT_TEMPFAIL;
    case ERR_NOMEM:
        return CLI_EXIT_SOFTWARE;
    default:
        return CLI_EXIT_IOERR;
    }
}

/* One line, and the exit code. */
static int tell(int rv, const struct buf *error)
{
    if (rv != 0) {
        (void)fprintf(stderr, "quorate: %.*s\n", (int)error->size,
                      (const char *)error->data);
    }
    return local_exit_code(rv);
}

static int init(const struct options_local *local, struct buf *error)
{
    const struct pki_authority authority = {
        .dir = local->dir,
        .cluster = local->cluster == NULL ? cluster_default : local->cluster,
        .days = local->days == 0 ? PKI_AUTHORITY_DAYS : local->days};
    int rv = pki_init(&authority, error);

    if (rv == 0) {
        (void)printf("made %s/ca.pem and %s/ca-key.pem; who has the key can "
                     "make nodes of this cluster\n",
                     local->dir, local->dir);
    }
    return tell(rv, error);
}

static int issue_one(const struct options_local *local, const char *name,
                     struct buf *error)
{
    const struct pki_node node = {
        .dir = local->dir,
        .out = local->out,
        .name = name,
        .role = local->role == NULL ? role_default : local->role,
        .sans = local->sans,
        .san_count = local->san_count,
        .days = local->days == 0 ? PKI_NODE_DAYS : local->days,
        .force = local->force};
    struct buf conf;
    int rv;

    buf_init(&conf, PKI_CONF_SIZE_MAX);
    rv = pki_issue(&node, &conf, error);
    if (rv == 0) {
        (void)printf("%% %s, role %s\n%.*s", name, node.role, (int)conf.size,
                     (const char *)conf.data);
        if (pki_is_ip_name(name)) {
            (void)fprintf(stderr,
                          "quorate: %s ends with an IP address: Erlang/OTP 25 "
                          "connects over TLS to no such node; if one is to, "
                          "name the node by a DNS name\n",
                          name);
        }
    }
    buf_close(&conf);
    return tell(rv, error);
}

/* One after the other, up to the first that fails; with a name that will not
 * do among them, none. */
static int issue(const struct options_local *local, struct buf *error)
{
    int code = CLI_EXIT_OK;

    for (size_t i = 0; i < local->word_count; i++) {
        int rv = pki_check_node(local->words[i], error);

        if (rv != 0) {
            return tell(rv, error);
        }
    }
    for (size_t i = 0; code == CLI_EXIT_OK && i < local->word_count; i++) {
        code = issue_one(local, local->words[i], error);
    }
    return code;
}

int pki_run(const struct options *options)
{
    struct buf error;
    int code;

    if (options->command == OPTIONS_PKI_SHOW) {
        return pki_show_run(options, (int64_t)time(NULL));
    }
    buf_init(&error, SETTINGS_ERROR_SIZE_MAX);
    code = options->command == OPTIONS_PKI_INIT
               ? init(&options->local, &error)
               : issue(&options->local, &error);
    buf_close(&error);
    if (fflush(stdout) != 0 && code == CLI_EXIT_OK) {
        code = CLI_EXIT_IOERR; /* a closed pipe; there is nobody to tell */
    }
    return code;
}
