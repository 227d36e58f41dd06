/* SPDX-License-Identifier: Apache-2.0
 * The arguments of the program. This header is private to the folder. */
#ifndef QUORATE_CLI_ARGUMENTS_H
#define QUORATE_CLI_ARGUMENTS_H

#include "base/attr.h"
#include "base/buf.h"
#include "cli/options.h"
#include "cli/tables.h"

#include <stdbool.h>

/* Which options the arguments have set; for what is weaker to keep off. */
struct arguments {
    bool is_set[CLI_OPTION_COUNT];
};

/* Takes the words and flags of `argv`, which begins behind the name of the
 * program and ends with NULL. 0, or an error with a sentence in `error`. */
int arguments_read(struct options *options, const char *const *argv,
                   struct arguments *ret_arguments, struct buf *error) MUST_USE;

/* Takes the value of an option that is no setting. 0, or ERR_BADARG with a
 * sentence in `error`. `text` must outlive the options. */
int arguments_set_option(struct options *options, enum cli_option_id id,
                         const char *text, struct buf *error) MUST_USE;

#endif
