/* SPDX-License-Identifier: Apache-2.0
 * The one list of errors. A fallible function returns 0 or one of these
 * negative codes; the object it was called on is unchanged unless its header
 * says otherwise. */
#ifndef QUORATE_BASE_ERR_H
#define QUORATE_BASE_ERR_H

#include "base/attr.h"

/* name, atom as seen by Erlang callers, sentence for people */
#define ERR_LIST(X)                                                       \
    X(NOMEM, "nomem", "out of memory")                                    \
    X(LIMIT, "limit", "a limit was reached")                              \
    X(MALFORMED, "malformed", "the bytes do not follow the format")       \
    X(TRUNCATED, "truncated", "the bytes end too early")                  \
    X(BADARG, "badarg", "an argument is not of the required form")        \
    X(NOT_FOUND, "not_found", "there is no such thing")                   \
    X(EXISTS, "already_exists", "it exists already")                      \
    X(NO_QUORUM, "no_quorum", "no majority of the voters can be reached") \
    X(NOT_LEADER, "not_leader", "this member is not the leader")          \
    X(TIMEOUT, "timeout", "no answer in time; the outcome is unknown")    \
    X(STALE_EPOCH, "stale_epoch", "a newer epoch owns this sandbox")      \
    X(STALE_VERSION, "stale_version", "a newer version is stored")        \
    X(STALE_REQUEST, "stale_request", "nobody knows if it was applied")   \
    X(NO_CAPACITY, "no_capacity", "no worker can take this sandbox")      \
    X(BUSY, "busy", "too much work is under way; try again later")        \
    X(NO_SPACE, "no_space", "the disk or the store is full")              \
    X(FORBIDDEN, "forbidden", "the caller may not do this")               \
    X(UNDEF, "undef", "there is no such function")                        \
    X(CORRUPT, "corrupt", "stored data is damaged")                       \
    X(IN_USE, "in_use", "another process uses it")                        \
    X(IO, "io", "the operating system reported an input/output error")    \
    X(CLOSED, "closed", "the connection or object is closed")             \
    X(AUTH, "auth", "the peer could not prove that it knows the cookie")  \
    X(REFUSED, "refused", "the other side refused")                       \
    X(UNSUPPORTED, "unsupported", "this version or feature is not supported")

enum err {
    ERR_OK = 0,
    ERR_BASE = -1000, /* the codes below count up from here */
#define X(name, atom, text) ERR_##name,
    ERR_LIST(X)
#undef X
        ERR_END
};

/* The atom that Erlang callers see, e.g. "no_quorum". Never NULL. */
const char *err_atom(int err);

/* A sentence for logs and people. Never NULL. */
const char *err_text(int err);

#endif
