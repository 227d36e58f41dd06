/* SPDX-License-Identifier: Apache-2.0
 * Reads terms with the reader and writes them again with the writer, for the
 * fuzz target and for the tests of the recorded vectors. */
#ifndef QUORATE_TEST_FUZZ_ETF_READER_WALK_H
#define QUORATE_TEST_FUZZ_ETF_READER_WALK_H

#include "base/ensure.h"
#include "base/err.h"
#include "etf/reader.h"
#include "etf/writer.h"

/* What has no writer, or what the reader does not give: bytes as they are. */
static inline int walk_raw(struct etf_reader *reader, struct buf *buf)
{
    struct bytes raw;
    int rv = etf_read_raw(reader, &raw);

    if (rv == 0) {
        etf_put_raw(buf, raw);
    }
    return rv;
}

static inline int walk_integer(struct etf_reader *reader, struct buf *buf)
{
    int64_t i64;
    uint64_t u64;

    if (etf_read_i64(reader, &i64) == 0) {
        etf_put_i64(buf, i64);
        return 0;
    }
    if (etf_read_u64(reader, &u64) == 0) {
        etf_put_u64(buf, u64);
        return 0;
    }
    return walk_raw(reader, buf);
}

static inline int walk_float(struct etf_reader *reader, struct buf *buf)
{
    double value;
    int rv = etf_read_double(reader, &value);

    if (rv == 0) {
        etf_put_double(buf, value);
    }
    return rv;
}

static inline int walk_atom(struct etf_reader *reader, struct buf *buf)
{
    struct bytes name;
    bool value;

    if (etf_read_bool(reader, &value) == 0) {
        etf_put_bool(buf, value);
        return 0;
    }
    if (etf_read_atom(reader, &name) == 0) {
        etf_put_atom_bytes(buf, name);
        return 0;
    }
    return walk_raw(reader, buf);
}

static inline int walk_pid(struct etf_reader *reader, struct buf *buf)
{
    struct etf_pid pid;

    /* A zero in the node's name is what erl_interface cannot write. */
    if (etf_read_pid(reader, &pid) == 0) {
        struct buf one;

        buf_init(&one, 4096);
        etf_put_pid(&one, &pid);
        if (buf_error(&one) == 0) {
            etf_put_raw(buf, buf_bytes(&one));
            buf_close(&one);
            return 0;
        }
        buf_close(&one);
        return ERR_BADARG;
    }
    return walk_raw(reader, buf);
}

static inline int walk_tuple(struct etf_reader *reader, struct buf *buf,
                             uint64_t *pending)
{
    uint32_t arity;
    int rv = etf_read_tuple(reader, &arity);

    if (rv == 0) {
        etf_put_tuple(buf, arity);
        *pending += arity;
    }
    return rv;
}

static inline int walk_map(struct etf_reader *reader, struct buf *buf,
                           uint64_t *pending)
{
    uint32_t pairs;
    int rv = etf_read_map(reader, &pairs);

    if (rv == 0) {
        etf_put_map(buf, pairs);
        *pending += 2 * (uint64_t)pairs;
    }
    return rv;
}

/* Goes through a list to its end; a proper one ends where the term ends. */
static inline void walk_elements(struct etf_reader reader)
{
    struct etf_reader after = reader;
    struct etf_list list;
    bool more = true;
    int rv = etf_list_begin(&reader, &list);

    while (rv == 0 && more) {
        rv = etf_list_next(&list, &more);
        if (rv == 0 && more) {
            ensure(etf_skip(&list.element) == 0);
            ensure(etf_at_end(&list.element));
        }
    }
    if (rv == 0) {
        ensure(etf_skip(&after) == 0);
        ensure(after.cursor.next == reader.cursor.next);
        ensure(etf_list_next(&list, &more) == 0);
        ensure(!more);
    } else {
        ensure(rv == ERR_BADARG || rv == ERR_TRUNCATED);
    }
}

static inline int walk_list(struct etf_reader *reader, struct buf *buf,
                            uint64_t *pending)
{
    struct etf_list list;
    int rv;

    rv = etf_list_begin(reader, &list);
    if (rv != 0) {
        return rv;
    }
    /* A LIST of no elements is its tail. */
    if (list.left > 0) {
        etf_put_list(buf, list.left);
    }
    *pending += (uint64_t)list.left + 1;
    return 0;
}

/* Appends the next element's own bytes; adds what it contains to *pending. */
static inline int walk_element(struct etf_reader *reader, struct buf *buf,
                               uint64_t *pending)
{
    enum etf_type type;
    int rv = etf_peek(reader, &type);

    if (rv != 0) {
        return rv;
    }
    switch (type) {
    case ETF_INTEGER:
        return walk_integer(reader, buf);
    case ETF_FLOAT:
        return walk_float(reader, buf);
    case ETF_ATOM:
        return walk_atom(reader, buf);
    case ETF_PID:
        return walk_pid(reader, buf);
    case ETF_TUPLE:
        return walk_tuple(reader, buf, pending);
    case ETF_MAP:
        return walk_map(reader, buf, pending);
    case ETF_NIL:
        walk_elements(*reader);
        etf_put_nil(buf);
        return etf_skip(reader);
    case ETF_STRING:
        walk_elements(*reader);
        return walk_raw(reader, buf);
    case ETF_LIST:
        walk_elements(*reader);
        return walk_list(reader, buf, pending);
    case ETF_BINARY: {
        struct bytes bytes;

        rv = etf_read_binary(reader, &bytes);
        if (rv == 0) {
            etf_put_binary(buf, bytes);
        }
        return rv;
    }
    case ETF_REFERENCE:
    case ETF_PORT:
    case ETF_BIT_BINARY:
    case ETF_FUN:
        return walk_raw(reader, buf);
    }
    return ERR_BADARG;
}

/* Reads one term of `raw` and writes it into `buf`: 0 or the reader's error;
 * the writer's errors are the buffer's. */
static inline int walk_term(struct bytes raw, struct buf *buf)
{
    struct etf_reader reader = etf_reader_of(raw);
    uint64_t pending = 1;

    while (pending > 0) {
        int rv = walk_element(&reader, buf, &pending);

        if (rv != 0) {
            return rv;
        }
        pending--;
    }
    return 0;
}

#endif
