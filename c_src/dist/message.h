/* SPDX-License-Identifier: Apache-2.0
 * Looks into the terms by which processes of a virtual machine ask for
 * something: gen_server calls and casts, requests to rex, the arguments of
 * erpc's spawns. Everything found is borrowed from the message. */
#ifndef QUORATE_DIST_MESSAGE_H
#define QUORATE_DIST_MESSAGE_H

#include "base/attr.h"
#include "base/bytes.h"
#include "dist/inbox.h"
#include "etf/reader.h"

#include <stdbool.h>

/* Where a `call` is given, its `spans` are set already, and used. */

enum message_form {
    MESSAGE_PLAIN,
    MESSAGE_CALL, /* {'$gen_call', {Pid, Tag}, Request} */
    MESSAGE_CAST, /* {'$gen_cast', Request} */
    MESSAGE_BAD,  /* a call without a valid From: cannot be answered */
};

/* What kind of message it is. Of calls and casts `request` stands before the
 * inner term; of calls, `call` has the kind, the caller and the tag. */
enum message_form message_read(struct bytes message, struct call *call,
                               struct etf_reader *request);

/* Module, function and a proper list of arguments, one after the other. 0, or
 * an error with `call` half filled. */
int message_read_mfa(struct etf_reader *reader, struct call *call) MUST_USE;

/* {Verb, M, F, Args, GroupLeader} */
bool message_read_rex(struct etf_reader *reader, const char *verb,
                      struct call *call);

/* The arguments [ResRef, M, F, Args] of erpc:execute_call/4 (`has_result`),
 * [M, F, Args] of erpc:execute_cast/3. */
int message_read_spawn(struct bytes payload, bool has_result,
                       struct call *call) MUST_USE;

/* The arguments of any other function: a proper list of `arity` elements. */
int message_read_args(struct bytes payload, uint64_t arity,
                      struct call *call) MUST_USE;

#endif
