/* SPDX-License-Identifier: Apache-2.0
 * `quorate member add`, `remove` and `transfer`: the call, and what its answer
 * means for people. */
#ifndef QUORATE_CLI_MEMBER_H
#define QUORATE_CLI_MEMBER_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "cli/options.h"

#include <stdbool.h>

bool member_is_command(enum options_command command);

/* Appends {quorum_manager, Function, Args}. */
void member_put_call(struct buf *buf, const struct options *options);

/* Appends what there is to print of {ok, Voters} or {ok, Leader}: 0,
 * ERR_MALFORMED, ERR_NOMEM, ERR_LIMIT. */
int member_render(struct buf *text, enum options_output output,
                  struct bytes raw) MUST_USE;

/* What is wrong and what to do, by the Reason of {error, Reason}; *ret_exit is
 * what the program is to end with. Never NULL. */
const char *member_advice(struct bytes raw, enum cli_exit *ret_exit);

#endif
