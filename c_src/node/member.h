/* SPDX-License-Identifier: Apache-2.0
 * Runs one member in this process. */
#ifndef QUORATE_NODE_MEMBER_H
#define QUORATE_NODE_MEMBER_H

#include "config/settings.h"

/* Serves until it is told to stop (SIGTERM, SIGINT, end of standard input in
 * supervised mode) or cannot go on; logs to standard error. `settings` passed
 * settings_check(). Gives the exit code: 0, 70 (internal), 74 (input/output),
 * 78 (configuration). */
int member_run(const struct settings *settings);

#endif
