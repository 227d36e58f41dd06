/* SPDX-License-Identifier: Apache-2.0
 * Commands that need no member: they make files, or read some. What they have
 * made or read goes to standard output, what went wrong to standard error, in
 * one line. They give the exit code. */
#ifndef QUORATE_CLI_LOCAL_H
#define QUORATE_CLI_LOCAL_H

#include "cli/options.h"

/* Runs `pki init`, `pki issue` or `pki show`. */
int pki_run(const struct options *options);

/* Runs `pki show`; `now_s` decides what has expired. Private to the folder. */
int pki_show_run(const struct options *options, int64_t now_s);

/* Runs `cookie new`. */
int cookie_run(const struct options *options);

/* Runs `log inspect` or `log verify`. */
int log_run(const struct options *options);

/* Runs `recover plan` or `recover apply`. */
int recover_run(const struct options *options);

/* Runs `verify`. */
int verify_run(const struct options *options);

/* The exit code for an error of the services that these commands call. */
int local_exit_code(int err);

#endif
