/* SPDX-License-Identifier: Apache-2.0
 * Decodes single arguments and maps of options into a request. Each function
 * returns 0, or ERR_BADARG with What of {error, {badarg, What}} appended to
 * `reason` as a raw term. */
#ifndef QUORATE_API_ARGUMENTS_H
#define QUORATE_API_ARGUMENTS_H

#include "api/request.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "etf/reader.h"

#include <stdint.h>

/* Appends the atom; ERR_BADARG. */
int arguments_fail(struct buf *reason, const char *what) MUST_USE;

/* {unknown_option, Key}, or the atom alone if the key is long; ERR_BADARG. */
int arguments_fail_key(struct buf *reason, struct bytes key) MUST_USE;

/* An integer from `min` to `max`; ERR_BADARG. Says nothing. */
int arguments_number(struct bytes raw, uint64_t min, uint64_t max,
                     uint64_t *ret_value) MUST_USE;

/* The next pair of a map, which has been validated as a term. */
int arguments_pair(struct etf_reader *reader, struct bytes *ret_key,
                   struct bytes *ret_value) MUST_USE;

/* A binary, string or atom of 1 to 255 bytes (characters of strings become
 * UTF-8, kept in `text`). `what` names it in the error. */
int arguments_id(struct bytes raw, const char *what,
                 uint8_t text[REGISTRY_ID_SIZE_MAX], struct bytes *ret_id,
                 struct buf *reason) MUST_USE;

/* A list of different node names, atoms, at most API_NODES_MAX. */
int arguments_nodes(struct bytes raw, struct bytes *ret_nodes,
                    struct buf *reason) MUST_USE;

/* The node name of a member, in the forms of an id. */
int arguments_node(struct bytes raw, struct api_request *request,
                   struct buf *reason) MUST_USE;

/* #{cpu => Millicores, memory => MiB}, both optional. */
int arguments_resources(struct bytes raw, struct resources *ret_resources,
                        struct buf *reason) MUST_USE;

/* options.c: a map of those options that `request->function` takes. */
int arguments_options(struct bytes raw, struct api_request *request,
                      struct buf *reason) MUST_USE;

#endif
