/* SPDX-License-Identifier: Apache-2.0
 * Asks a running member, as a hidden node of its own that listens to nobody
 * and is registered nowhere. */
#ifndef QUORATE_CLI_CLIENT_H
#define QUORATE_CLI_CLIENT_H

#include "cli/options.h"

/* Runs `status`, `members`, `workers` or `sandboxes`: the answer goes to
 * standard output, what went wrong to standard error. Gives the exit code. */
int client_run(const struct options *options);

#endif
