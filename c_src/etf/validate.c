/* SPDX-License-Identifier: Apache-2.0
 * The gate for terms from peers: one pass, no recursion, no allocation. Open
 * containers are on a stack of fixed size; the elements that they announced
 * and that have not come yet are counted, each takes a byte at least, so a
 * claim that the rest of the bytes cannot hold is refused at once. */
#include "base/ensure.h"
#include "etf/reader.h"
#include "etf/utf8.h"
#include "etf/wire.h"

struct frame {
    const uint8_t *fun_end; /* where a fun says that it ends; else NULL */
    uint32_t left;          /* elements not yet seen */
    bool is_list;           /* its last element is the tail */
};

struct scan {
    struct cursor cursor;            /* what is left to look at */
    const struct etf_limits *limits; /* borrowed */
    uint64_t pending;                /* elements not yet seen, all frames */
    uint64_t count;                  /* elements announced so far */
    uint32_t depth;                  /* frames in use */
    struct frame frames[ETF_DEPTH_MAX];
};

struct etf_limits etf_limits_default(size_t size_max)
{
    return (struct etf_limits){.depth_max = ETF_DEPTH_MAX,
                               .count_max = ETF_COUNT_MAX,
                               .size_max = size_max};
}

static int scan_utf8_atom(struct cursor *cursor, size_t width)
{
    struct bytes name;
    size_t chars;
    int rv = wire_block(cursor, width, &name);

    if (rv != 0) {
        return rv;
    }
    if (name.size <= ETF_ATOM_CHARS_MAX && utf8_is_ascii(name)) {
        return 0;
    }
    if (name.size > ETF_ATOM_BYTES_MAX) {
        return ERR_LIMIT;
    }
    rv = utf8_count(name, &chars);
    if (rv != 0) {
        return rv;
    }
    return chars > ETF_ATOM_CHARS_MAX ? ERR_LIMIT : 0;
}

static int scan_latin1_atom(struct cursor *cursor, size_t width)
{
    struct bytes name;
    int rv = wire_block(cursor, width, &name);

    if (rv != 0) {
        return rv;
    }
    return name.size > ETF_ATOM_CHARS_MAX ? ERR_LIMIT : 0;
}

/* An atom of any form; anything else is malformed. */
static int scan_atom(struct cursor *cursor)
{
    uint8_t tag;
    int rv = wire_tag(cursor, &tag);

    if (rv != 0) {
        return rv;
    }
    switch (tag) {
    case TAG_SMALL_ATOM_UTF8:
        return scan_utf8_atom(cursor, 1);
    case TAG_ATOM_UTF8:
        return scan_utf8_atom(cursor, 2);
    case TAG_SMALL_ATOM:
        return scan_latin1_atom(cursor, 1);
    case TAG_ATOM:
        return scan_latin1_atom(cursor, 2);
    default:
        return ERR_MALFORMED;
    }
}

/* A node name and `tail` more bytes: pids and ports. */
static int scan_node_and(struct cursor *cursor, size_t tail)
{
    int rv = scan_atom(cursor);

    return rv != 0 ? rv : wire_skip(cursor, tail);
}

static int scan_reference(struct cursor *cursor)
{
    uint32_t words;
    int rv = wire_length(cursor, 2, &words);

    if (rv != 0) {
        return rv;
    }
    if (words == 0 || words > REFERENCE_WORDS_MAX) {
        return ERR_MALFORMED;
    }
    return scan_node_and(cursor, 4 + 4 * (size_t)words);
}

static int scan_float(struct cursor *cursor)
{
    const uint8_t *data = cursor->next;
    int rv = wire_skip(cursor, 8);

    if (rv != 0) {
        return rv;
    }
    /* No infinities and no NaN: a virtual machine refuses them too. */
    return (data[0] & 0x7f) == 0x7f && (data[1] & 0xf0) == 0xf0 ? ERR_MALFORMED
                                                                : 0;
}

static int scan_bit_binary(struct cursor *cursor)
{
    uint32_t size;
    uint32_t bits; /* of the last byte in use */
    int rv = wire_length(cursor, 4, &size);

    if (rv == 0) {
        rv = wire_length(cursor, 1, &bits);
    }
    if (rv != 0) {
        return rv;
    }
    if (bits > 8 || (bits == 0) != (size == 0)) {
        return ERR_MALFORMED;
    }
    return wire_skip(cursor, size);
}

static int scan_big(struct cursor *cursor, size_t width)
{
    uint32_t size;
    uint32_t sign;
    int rv = wire_length(cursor, width, &size);

    if (rv == 0) {
        rv = wire_length(cursor, 1, &sign);
    }
    if (rv != 0) {
        return rv;
    }
    if (size > ETF_BIG_BYTES_MAX) {
        return ERR_LIMIT;
    }
    return sign > 1 ? ERR_MALFORMED : wire_skip(cursor, size);
}

static int scan_export(struct cursor *cursor)
{
    uint8_t tag;
    int rv = scan_atom(cursor);

    if (rv == 0) {
        rv = scan_atom(cursor);
    }
    if (rv == 0) {
        rv = wire_tag(cursor, &tag);
    }
    if (rv != 0) {
        return rv;
    }
    return tag == TAG_SMALL_INTEGER ? wire_skip(cursor, 1) : ERR_MALFORMED;
}

static int scan_block(struct cursor *cursor, size_t width)
{
    struct bytes block;

    return wire_block(cursor, width, &block);
}

/* Enters a container of `count` elements and, if a list, a tail. */
static int open_frame(struct scan *scan, uint64_t count, bool is_list,
                      const uint8_t *fun_end)
{
    struct frame *top;

    scan->count += count;
    if (scan->count > scan->limits->count_max) {
        return ERR_LIMIT;
    }
    count += is_list ? 1 : 0;
    if (count + scan->pending > cursor_left(&scan->cursor)) {
        return ERR_TRUNCATED;
    }
    /* A list as the tail of a list is the same list going on, which is how
     * encoders that do not know the length beforehand write one: not deeper. */
    top = scan->depth == 0 ? NULL : &scan->frames[scan->depth - 1];
    if (top == NULL || !is_list || !top->is_list || top->left > 0) {
        if (scan->depth >= scan->limits->depth_max) {
            return ERR_LIMIT;
        }
        top = &scan->frames[scan->depth++];
    }
    *top = (struct frame){
        .fun_end = fun_end, .left = (uint32_t)count, .is_list = is_list};
    scan->pending += count;
    return 0;
}

static int open_tuple(struct scan *scan, size_t width)
{
    uint32_t arity;
    int rv = wire_length(&scan->cursor, width, &arity);

    if (rv != 0 || arity == 0) {
        return rv;
    }
    return open_frame(scan, arity, false, NULL);
}

static int open_list(struct scan *scan)
{
    uint32_t count;
    int rv = wire_length(&scan->cursor, 4, &count);

    return rv != 0 ? rv : open_frame(scan, count, true, NULL);
}

static int open_map(struct scan *scan)
{
    uint32_t pairs;
    int rv = wire_length(&scan->cursor, 4, &pairs);

    if (rv != 0 || pairs == 0) {
        return rv;
    }
    return open_frame(scan, 2 * (uint64_t)pairs, false, NULL);
}

static int scan_small_number(struct cursor *cursor)
{
    uint8_t tag;
    int rv = wire_tag(cursor, &tag);

    if (rv != 0) {
        return rv;
    }
    switch (tag) {
    case TAG_SMALL_INTEGER:
        return wire_skip(cursor, 1);
    case TAG_INTEGER:
        return wire_skip(cursor, 4);
    default:
        return ERR_MALFORMED;
    }
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
    if (size - NEW_FUN_HEAD > cursor_left(cursor)) {
        return ERR_TRUNCATED;
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
                      head + size);
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
        return scan_utf8_atom(cursor, 1);
    case TAG_ATOM_UTF8:
        return scan_utf8_atom(cursor, 2);
    case TAG_SMALL_ATOM:
        return scan_latin1_atom(cursor, 1);
    case TAG_ATOM:
        return scan_latin1_atom(cursor, 2);
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
static int close_frame(struct scan *scan, const struct frame *top)
{
    if (top->fun_end != NULL && top->fun_end != scan->cursor.next) {
        return ERR_MALFORMED;
    }
    scan->depth--;
    return 0;
}

static int scan_term(struct scan *scan)
{
    int rv = scan_element(scan);

    while (rv == 0 && scan->depth > 0) {
        struct frame *top = &scan->frames[scan->depth - 1];

        if (top->left == 0) {
            rv = close_frame(scan, top);
        } else {
            top->left--;
            scan->pending--;
            rv = scan_element(scan);
        }
    }
    ensure(rv != 0 || scan->pending == 0);
    return rv;
}

int etf_validate(struct bytes bytes, const struct etf_limits *limits,
                 size_t *ret_size)
{
    struct scan scan; /* the frames need no first value */
    bool is_cut = bytes.size > limits->size_max;
    int rv;

    ensure(limits->depth_max <= ETF_DEPTH_MAX);
    ensure(limits->count_max < UINT32_MAX); /* a tail must still fit */
    if (is_cut) {
        bytes.size = limits->size_max;
    }
    scan.cursor = cursor_of(bytes);
    scan.limits = limits;
    scan.pending = 0;
    scan.count = 0;
    scan.depth = 0;
    rv = scan_term(&scan);
    if (rv == ERR_TRUNCATED && is_cut) {
        return ERR_LIMIT;
    }
    if (rv == 0) {
        *ret_size = (size_t)(scan.cursor.next - bytes.data);
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
