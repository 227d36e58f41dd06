/* SPDX-License-Identifier: Apache-2.0
 * Reads the External Term Format (erts: erl_ext_dist).
 *
 * Bytes from a peer first pass etf_validate(), which is iterative and bounded
 * and lands exactly on the end of a term. The reader then walks validated
 * bytes; it still checks every length, so that a mistake of ours is an error
 * code and never a stray read.
 *
 * A *raw* term is its bytes without the leading version byte 131. Raw terms
 * are borrowed from the input and live as long as that does. Each etf_read_*
 * leaves the reader and the out-parameters untouched when it fails:
 * ERR_BADARG (the next term is of another type), ERR_TRUNCATED. */
#ifndef QUORATE_ETF_READER_H
#define QUORATE_ETF_READER_H

#include "base/attr.h"
#include "base/bytes.h"
#include "etf/limits.h"
#include "etf/spans.h"

#include <stdbool.h>
#include <stdint.h>

/* The defaults of etf/limits.h with `size_max` bytes. */
struct etf_limits etf_limits_default(size_t size_max);

/* Checks one raw term at the start of `bytes`: 0 and its size, or
 * ERR_TRUNCATED, ERR_MALFORMED (unknown or refused tag, bad UTF-8, bad
 * length), ERR_LIMIT. Bytes after the term are not looked at. Refused:
 * compressed terms, atom cache references, local terms. */
int etf_validate(struct bytes bytes, const struct etf_limits *limits,
                 size_t *ret_size) MUST_USE;

/* As etf_validate() for a version byte and one term that must fill `bytes`;
 * gives the raw term. */
int etf_validate_external(struct bytes bytes, const struct etf_limits *limits,
                          struct bytes *ret_raw) MUST_USE;

enum etf_type {
    ETF_INTEGER, /* any size */
    ETF_FLOAT,
    ETF_ATOM,
    ETF_REFERENCE,
    ETF_PORT,
    ETF_PID,
    ETF_TUPLE,
    ETF_MAP,
    ETF_NIL,    /* the empty list */
    ETF_STRING, /* STRING_EXT: a list of bytes */
    ETF_LIST,
    ETF_BINARY,
    ETF_BIT_BINARY,
    ETF_FUN, /* NEW_FUN_EXT and EXPORT_EXT */
};

struct etf_reader {
    struct cursor cursor; /* what is left to read */
};

struct etf_reader etf_reader_of(struct bytes raw);

/* Whether nothing is left. */
bool etf_at_end(const struct etf_reader *reader);

/* The type of a raw term. ERR_TRUNCATED, ERR_BADARG. */
int etf_type_of(struct bytes raw, enum etf_type *ret_type) MUST_USE;

/* That of the next one. */
int etf_peek(const struct etf_reader *reader, enum etf_type *ret_type) MUST_USE;

/* Steps over / gives the bytes of the next whole term. */
int etf_skip(struct etf_reader *reader) MUST_USE;
int etf_read_raw(struct etf_reader *reader, struct bytes *ret_raw) MUST_USE;

/* Steps over at most `*left` terms, up to the first that has elements or is a
 * fun, and counts them down. ERR_TRUNCATED, ERR_BADARG: what was stepped over
 * before is counted. */
int etf_skip_leaves(struct etf_reader *reader, uint32_t *left) MUST_USE;

/* The same for a term that is known to reach to the end: without a walk.
 * ERR_TRUNCATED if nothing is left. */
int etf_read_rest(struct etf_reader *reader, struct bytes *ret_raw) MUST_USE;

/* The name as UTF-8 (Latin-1 atoms beyond ASCII are refused as badarg). */
int etf_read_atom(struct etf_reader *reader, struct bytes *ret_name) MUST_USE;

/* Whether the next term is this atom; steps over it only if so. */
bool etf_take_atom(struct etf_reader *reader, const char *name);

/* true and false. */
int etf_read_bool(struct etf_reader *reader, bool *ret_value) MUST_USE;

/* An integer that fits; others are ERR_BADARG. */
int etf_read_u64(struct etf_reader *reader, uint64_t *ret_value) MUST_USE;
int etf_read_i64(struct etf_reader *reader, int64_t *ret_value) MUST_USE;

/* A float, or an integer whose magnitude fits into 64 bits. */
int etf_read_double(struct etf_reader *reader, double *ret_value) MUST_USE;

int etf_read_binary(struct etf_reader *reader, struct bytes *ret) MUST_USE;

/* Header of a tuple / map; the elements (key, value, ...) follow. */
int etf_read_tuple(struct etf_reader *reader, uint32_t *ret_arity) MUST_USE;
int etf_read_map(struct etf_reader *reader, uint32_t *ret_pairs) MUST_USE;

/* A tuple of just this arity. */
int etf_read_tuple_of(struct etf_reader *reader, uint32_t arity) MUST_USE;

/* Iterates a proper list in any of its three forms (NIL, LIST, STRING):
 * etf_list_begin(), then etf_list_next() until *ret_more is false; the
 * element is then read by the caller from `list->element`.
 * An improper list is ERR_BADARG at its end. */
struct etf_list {
    struct etf_reader *reader;     /* steps over the list as it goes */
    struct etf_reader element;     /* the current element */
    struct bytes string;           /* STRING_EXT: bytes not given yet */
    uint32_t left;                 /* elements not given yet */
    const struct etf_spans *spans; /* NULL; or set after the begin: long
                                      elements are stepped over at once */
    bool is_string;
    uint8_t small[2]; /* the current byte of a string as a raw integer */
};
int etf_list_begin(struct etf_reader *reader, struct etf_list *list) MUST_USE;
int etf_list_next(struct etf_list *list, bool *ret_more) MUST_USE;

/* A pid's node name and numbers. */
struct etf_pid {
    struct bytes node; /* borrowed */
    uint32_t id;
    uint32_t serial;
    uint32_t creation;
};
int etf_read_pid(struct etf_reader *reader, struct etf_pid *ret_pid) MUST_USE;

#endif
