/* SPDX-License-Identifier: Apache-2.0
 * One pass, no recursion, no allocation. Open containers are on a stack of
 * fixed size; the elements that they announced and that have not come yet are
 * counted, each takes a byte at least, so a claim that the rest of the bytes
 * cannot hold is refused at once.
 *
 * A step that comes to the end of what has arrived goes back to the start of
 * the element it was in, which is at most an atom or the head of something
 * longer: little is looked at twice. */
#include "etf/validate.h"

#include "base/ensure.h"
#include "etf/reader.h"
#include "etf/validate_leaf.h"
#include "etf/wire.h"

/* One step. */
struct scan {
    struct cursor cursor; /* what is left to look at */
    size_t missing;       /* bytes of the whole that have not arrived */
    const uint8_t *base;  /* the first byte of the term */
    const uint8_t *start; /* that of the element that is looked at */
    bool is_short;        /* the whole cannot hold what the term claims */
    struct etf_validator *validator;
};

struct etf_limits etf_limits_default(size_t size_max)
{
    return (struct etf_limits){.depth_max = ETF_DEPTH_MAX,
                               .count_max = ETF_COUNT_MAX,
                               .size_max = size_max};
}

static int scan_block(struct cursor *cursor, size_t width)
{
    struct bytes block;

    return wire_block(cursor, width, &block);
}

/* Bytes of the whole after the cursor, arrived or not. */
static size_t whole_left(const struct scan *scan)
{
    return cursor_left(&scan->cursor) + scan->missing;
}

static int fail_short(struct scan *scan)
{
    scan->is_short = true;
    return ERR_TRUNCATED;
}

/* Of the container that is entered; `kept` if it is a list that goes on. */
static size_t mark_of(const struct scan *scan, size_t kept)
{
    if (kept != 0 || scan->validator->depth > ETF_SPAN_DEPTH_MAX) {
        return kept;
    }
    return (size_t)(scan->start - scan->base);
}

/* Enters a container of `count` elements and, if a list, a tail. Nothing has
 * changed when it fails for want of bytes. */
static int open_frame(struct scan *scan, uint64_t count, bool is_list,
                      size_t fun_end)
{
    struct etf_validator *validator = scan->validator;
    struct etf_frame *top;
    size_t kept_mark = 0;

    validator->count += count;
    if (validator->count > validator->limits.count_max) {
        return ERR_LIMIT;
    }
    count += is_list ? 1 : 0;
    if (count + validator->pending > whole_left(scan)) {
        return fail_short(scan);
    }
    /* A list as the tail of a list is the same list going on, which is how
     * encoders that do not know the length beforehand write one: not deeper. */
    top =
        validator->depth == 0 ? NULL : &validator->frames[validator->depth - 1];
    if (top == NULL || !is_list || !top->is_list || top->left > 0) {
        if (validator->depth >= validator->limits.depth_max) {
            return ERR_LIMIT;
        }
        top = &validator->frames[validator->depth++];
    } else {
        kept_mark = top->mark;
    }
    *top = (struct etf_frame){.mark = fun_end,
                              .left = (uint32_t)count,
                              .is_list = is_list,
                              .is_fun = fun_end != 0};
    if (validator->spans != NULL && fun_end == 0) {
        top->mark = mark_of(scan, kept_mark);
    }
    validator->pending += count;
    return 0;
}

static int open_tuple(struct scan *scan, size_t width)
{
    uint32_t arity;
    int rv = wire_length(&scan->cursor, width, &arity);

    if (rv != 0 || arity == 0) {
        return rv;
    }
    return open_frame(scan, arity, false, 0);
}

static int open_list(struct scan *scan)
{
    uint32_t count;
    int rv = wire_length(&scan->cursor, 4, &count);

    return rv != 0 ? rv : open_frame(scan, count, true, 0);
}

static int open_map(struct scan *scan)
{
    uint32_t pairs;
    int rv = wire_length(&scan->cursor, 4, &pairs);

    if (rv != 0 || pairs == 0) {
        return rv;
    }
    return open_frame(scan, 2 * (uint64_t)pairs, false, 0);
}

/* NEW_FUN_EXT: head, module, old index, old uniq, pid, then free variables. */
static int open_fun(struct scan *scan)
{
    struct cursor *cursor = &scan->cursor;
    const uint8_t *head = cursor->next;
    uint8_t tag;
    uint32_t size;
    int rv = wire_skip(cursor, NEW_FUN_HEAD);

    if (rv != 0) {
        return rv;
    }
    size = wire_number(head, NEW_FUN_SIZE_FIELD);
    if (size < NEW_FUN_HEAD) {
        return ERR_MALFORMED;
    }
    if (size - NEW_FUN_HEAD > whole_left(scan)) {
        return fail_short(scan);
    }
    rv = scan_atom(cursor);
    for (int i = 0; i < 2 && rv == 0; i++) {
        rv = scan_small_number(cursor);
    }
    if (rv == 0) {
        rv = wire_tag(cursor, &tag);
    }
    if (rv == 0) {
        rv = tag == TAG_NEW_PID ? scan_node_and(cursor, NEW_PID_TAIL)
                                : ERR_MALFORMED;
    }
    if (rv != 0) {
        return rv;
    }
    /* A fun without free variables closes at once: see close_frame(). */
    return open_frame(scan, wire_number(head + NEW_FUN_HEAD - 4, 4), false,
                      (size_t)(head - scan->base) + size);
}

/* One tag with what belongs to it; containers are entered. */
static int scan_element(struct scan *scan)
{
    struct cursor *cursor = &scan->cursor;
    uint8_t tag;
    int rv = wire_tag(cursor, &tag);

    if (rv != 0) {
        return rv;
    }
    switch (tag) {
    case TAG_SMALL_ATOM_UTF8:
    case TAG_ATOM_UTF8:
    case TAG_SMALL_ATOM:
    case TAG_ATOM:
        return scan_tagged_atom(cursor, tag);
    case TAG_SMALL_INTEGER:
        return wire_skip(cursor, 1);
    case TAG_INTEGER:
        return wire_skip(cursor, 4);
    case TAG_SMALL_BIG:
        return scan_big(cursor, 1);
    case TAG_LARGE_BIG:
        return scan_big(cursor, 4);
    case TAG_NEW_FLOAT:
        return scan_float(cursor);
    case TAG_STRING:
        return scan_block(cursor, 2);
    case TAG_BINARY:
        return scan_block(cursor, 4);
    case TAG_BIT_BINARY:
        return scan_bit_binary(cursor);
    case TAG_NEW_PID:
        return scan_node_and(cursor, NEW_PID_TAIL);
    case TAG_NEW_PORT:
        return scan_node_and(cursor, NEW_PORT_TAIL);
    case TAG_V4_PORT:
        return scan_node_and(cursor, V4_PORT_TAIL);
    case TAG_NEWER_REFERENCE:
        return scan_reference(cursor);
    case TAG_EXPORT:
        return scan_export(cursor);
    case TAG_NIL:
        return 0;
    case TAG_SMALL_TUPLE:
        return open_tuple(scan, 1);
    case TAG_LARGE_TUPLE:
        return open_tuple(scan, 4);
    case TAG_LIST:
        return open_list(scan);
    case TAG_MAP:
        return open_map(scan);
    case TAG_NEW_FUN:
        return open_fun(scan);
    default:
        return ERR_MALFORMED;
    }
}

/* Leaves the innermost container, whose last element has been seen. */
static int close_frame(const struct scan *scan, const struct etf_frame *top)
{
    size_t at = (size_t)(scan->cursor.next - scan->base);

    if (top->mark != 0 && top->is_fun) {
        if (top->mark != at) {
            return ERR_MALFORMED;
        }
    } else if (top->mark != 0) {
        etf_spans_add(scan->validator->spans, top->mark, at - top->mark);
    }
    scan->validator->depth--;
    return 0;
}

/* Closes what is complete; the element that is looked at next is no longer
 * counted in its container. */
static int close_frames(const struct scan *scan)
{
    struct etf_validator *validator = scan->validator;

    while (validator->depth > 0) {
        struct etf_frame *top = &validator->frames[validator->depth - 1];
        int rv;

        if (top->left > 0) {
            top->left--;
            return 0;
        }
        rv = close_frame(scan, top);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

/* Elements, one after another, until the term is done or `work` is. */
static int scan_elements(struct scan *scan, size_t work)
{
    struct etf_validator *validator = scan->validator;

    while (validator->pending > 0 && work > 0) {
        int rv;

        scan->start = scan->cursor.next;
        validator->pending--;
        work--;
        rv = scan_element(scan);
        if (rv == ERR_TRUNCATED && scan->missing > 0 && !scan->is_short) {
            validator->pending++;
            scan->cursor.next = scan->start;
            return 0;
        }
        rv = rv != 0 ? rv : close_frames(scan);
        if (rv != 0) {
            return rv;
        }
    }
    return 0;
}

void etf_validator_init(struct etf_validator *validator,
                        const struct etf_limits *limits)
{
    ensure(limits->depth_max <= ETF_DEPTH_MAX);
    ensure(limits->count_max < UINT32_MAX); /* a tail must still fit */
    validator->limits = *limits;
    validator->spans = NULL;
    validator->size = 0;
    validator->pending = 1;
    validator->count = 0;
    validator->depth = 0;
}

int etf_validator_step(struct etf_validator *validator, struct bytes arrived,
                       size_t size_all, size_t work_max, bool *ret_is_done)
{
    struct scan scan = {.base = arrived.data, .validator = validator};
    size_t size_max = validator->limits.size_max;
    bool is_cut = size_all > size_max;
    int rv;

    ensure(arrived.size <= size_all);
    ensure(validator->size <= arrived.size);
    if (is_cut) {
        size_all = size_max;
        arrived.size = arrived.size < size_max ? arrived.size : size_max;
    }
    scan.missing = size_all - arrived.size;
    scan.cursor = cursor_of(arrived);
    if (arrived.size > 0) {
        scan.cursor.next += validator->size;
    }
    rv = scan_elements(&scan, work_max);
    if (rv == ERR_TRUNCATED && is_cut) {
        return ERR_LIMIT;
    }
    if (rv != 0) {
        return rv;
    }
    validator->size =
        arrived.size == 0 ? 0 : (size_t)(scan.cursor.next - arrived.data);
    *ret_is_done = validator->pending == 0;
    return 0;
}

enum { NOT_COMMON = 1 };

/* What most fields of control messages are: names, pids and references. */
static inline int scan_common(struct cursor *cursor)
{
    switch (*cursor->next++) {
    case TAG_NEW_PID:
        return scan_node_and(cursor, NEW_PID_TAIL);
    case TAG_NEWER_REFERENCE:
        return scan_reference(cursor);
    case TAG_SMALL_ATOM_UTF8:
        return scan_utf8_atom(cursor, 1);
    default:
        return NOT_COMMON;
    }
}

int etf_validate(struct bytes bytes, const struct etf_limits *limits,
                 size_t *ret_size)
{
    struct etf_validator validator; /* the frames need no first value */
    struct cursor cursor = cursor_of(bytes);
    bool is_done = false;
    int rv = NOT_COMMON;

    if (bytes.size > 0 && bytes.size <= limits->size_max) {
        rv = scan_common(&cursor);
    }
    if (rv == 0) {
        *ret_size = (size_t)(cursor.next - bytes.data);
    }
    if (rv != NOT_COMMON) {
        return rv;
    }
    etf_validator_init(&validator, limits);
    rv = etf_validator_step(&validator, bytes, bytes.size, SIZE_MAX, &is_done);
    if (rv == 0) {
        ensure(is_done);
        *ret_size = validator.size;
    }
    return rv;
}

int etf_validate_external(struct bytes bytes, const struct etf_limits *limits,
                          struct bytes *ret_raw)
{
    struct bytes raw;
    size_t size;
    int rv;

    if (bytes.size == 0) {
        return ERR_TRUNCATED;
    }
    if (bytes.data[0] != ETF_VERSION) {
        return ERR_MALFORMED;
    }
    raw = bytes_of(bytes.data + 1, bytes.size - 1);
    rv = etf_validate(raw, limits, &size);
    if (rv != 0) {
        return rv;
    }
    if (size != raw.size) {
        return ERR_MALFORMED;
    }
    *ret_raw = raw;
    return 0;
}
