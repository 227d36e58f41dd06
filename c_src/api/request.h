/* SPDX-License-Identifier: Apache-2.0
 * A call in typed form: module, function and a raw list of arguments in, one
 * `struct api_request` out. The arguments have passed etf_validate(); what
 * they mean is checked here. */
#ifndef QUORATE_API_REQUEST_H
#define QUORATE_API_REQUEST_H

#include "api/functions.h"
#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "base/rng.h"
#include "placement/placement.h"
#include "registry/copies.h"
#include "registry/registry.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    API_TIMEOUT_MS_DEFAULT = 5000,
    API_TIMEOUT_MS_MAX = 3600000,
    API_MEMBERS_TIMEOUT_MS_DEFAULT = 60000, /* what changes members */
    API_RF_DEFAULT = 3,
    API_PRIORITY_DEFAULT = 5,
    API_PRIORITY_MAX = 9,
    API_LIMIT_MAX = 10000, /* of one answer's list; also the default */
    API_META_SIZE_MAX = 16 * 1024,
    API_STATE_SIZE_MAX = 64 * 1024 * 1024,
    API_NODES_MAX = 256,          /* in one list */
    API_REFERENCE_SIZE_MAX = 600, /* bytes of a raw one */
    API_MFA_SIZE_MAX = 64 * 1024, /* bytes of {M, F, Args}, raw */
    API_REQUIRED_MAX = 1024,      /* members */
};

/* Bytes are borrowed from the arguments, except that ids given as strings (and
 * arguments out of a list of small integers) are kept here: `id` and others
 * may point into the request itself, so a request is not to be copied. Fields
 * that a type does not name have the defaults. */
struct api_request {
    const struct api_function *function;
    enum api_type type;
    enum api_route route; /* LOCAL where the caller asked for that */
    uint32_t timeout_ms;

    struct bytes id;                /* 1..255 bytes */
    struct bytes spec;              /* raw, CREATE_SANDBOX */
    struct bytes options;           /* raw map; an empty map if not given */
    struct resources resources;     /* CREATE_SANDBOX, SELECT* */
    enum placement_profile profile; /* CREATE_SANDBOX, SELECT */
    uint8_t rf;                     /* 1..7 */
    uint8_t priority;               /* 0..9 */

    uint64_t epoch; /* REPLICATE_STATE, DELETE_STATE, KEEP_COPY, RESTORED */
    uint64_t seq;   /* REPLICATE_STATE, if has_seq; >= 1 */
    bool has_seq;
    struct bytes state; /* raw, REPLICATE_STATE, KEEP_COPY */

    struct bytes name; /* raw, REGISTER, UNREGISTER, WHEREIS, LOOKUP;
                          NAMES: those after it, or empty */
    struct bytes pid;  /* raw, REGISTER, UNREGISTER, SUBSCRIBE */
    struct bytes meta; /* raw, REGISTER, KEEP_COPY, RESTORED */

    uint64_t copy;         /* COPY, RESTORE_COPY, DISCARD_COPY, RESTORED */
    enum copy_restore how; /* RESTORE_COPY */

    uint32_t limit;     /* SANDBOXES, NAMES, 1..10000 */
    struct bytes after; /* SANDBOXES: an id, or empty */
    struct bytes
        worker; /* node name; SANDBOXES, NAMES: filter, or empty; REGISTER,
                   UNREGISTER, SUBSCRIBE: the node of `pid` */

    struct bytes nodes;     /* SET_EXPECTED_NODES: a raw list of atoms */
    struct bytes reference; /* UNSUBSCRIBE, raw */

    struct bytes node;    /* ADD_MEMBER, REMOVE_MEMBER, TRANSFER_LEADERSHIP:
                             NAME@HOST */
    struct bytes address; /* ADD_MEMBER: HOST:PORT, or empty: not given */

    uint32_t required;   /* TOKEN, EXECUTE: members, 0 if not given */
    struct bytes run_on; /* EXECUTE: a node name, or empty: the caller's */
    struct api_mfa {
        struct bytes module;   /* atom names, UTF-8 */
        struct bytes function; /* idem */
        struct bytes args;     /* a raw proper list */
    } mfa;                     /* EXECUTE */

    /* Of strings: `id` or `node`, `after` or `address`. */
    uint8_t text[2][REGISTRY_ID_SIZE_MAX];
    uint8_t small[API_ARITY_MAX][2]; /* raw integers out of a STRING */
};

/* 0; ERR_UNDEF: there is no such function; ERR_BADARG: What of
 * {error, {badarg, What}} is appended to `error_reason` as a raw term: the
 * atom of the argument or option (id, epoch, spec, timeout, ...), or
 * {unknown_option, Key}. Nothing in `ret_request` counts after an error. */
int api_decode(struct bytes module, struct bytes function, struct bytes args,
               uint32_t arity, struct api_request *ret_request,
               struct buf *error_reason) MUST_USE;

/* The same for a function that was looked up. `spans`: where long arguments
 * end, if that is known; or NULL. */
struct etf_spans;
int api_decode_args(const struct api_function *function, struct bytes args,
                    const struct etf_spans *spans,
                    struct api_request *ret_request,
                    struct buf *error_reason) MUST_USE;

/* Whether other nodes can read the terms of a decoded request that are kept and
 * handed on as they are, but for those of `size_max` bytes or more: no map in
 * them has two equal keys. 0; ERR_BADARG with What, {equal_keys, Argument};
 * ERR_NOMEM. Linear in their size: for once in the life of a call, where it
 * comes in. */
int api_check_terms(const struct api_request *request, size_t size_max,
                    struct rng *rng, struct buf *error_reason) MUST_USE;

/* Appends What of such an error for the argument of that name; ERR_BADARG. */
int api_fail_equal_keys(const char *what, struct buf *error_reason);

#endif
