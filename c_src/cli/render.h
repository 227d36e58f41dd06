/* SPDX-License-Identifier: Apache-2.0
 * What a member answered, for people (a table of at most 80 columns) or for
 * programs (one JSON document that names its schema). */
#ifndef QUORATE_CLI_RENDER_H
#define QUORATE_CLI_RENDER_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "cli/options.h"

/* Appends the answer to `command` (status, members, workers, sandboxes), a
 * validated raw term. 0, or ERR_MALFORMED if it is no such answer; the
 * buffer's errors. */
int render(struct buf *text, enum options_command command,
           enum options_output output, struct bytes raw) MUST_USE;

#endif
