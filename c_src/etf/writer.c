/* SPDX-License-Identifier: Apache-2.0
 * ei_encode_* writes where it is told to, so that the buffer first makes room
 * for the most that it can be. */
#include "etf/writer.h"

#include "base/ensure.h"
#include "base/err.h"
#include "etf/limits.h"
#include "etf/reader.h"
#include "etf/utf8.h"

#include <ei.h>
#include <limits.h>
#include <math.h>

enum {
    BINARY_TAG = 109,
    BINARY_HEADER = 1 + 4,  /* tag, size */
    COUNT_SIZE_MAX = 1 + 4, /* of tuples, maps and lists without elements */
    NUMBER_SIZE_MAX = 1 + 1 + 1 + 8, /* tag, size, sign, digits */
    ATOM_HEADER = 1 + 2,
    PID_SIZE = 1 + ATOM_HEADER + 4 + 4 + 4,   /* without the node's name */
    REFERENCE_SIZE = 1 + 2 + ATOM_HEADER + 4, /* without that and the words */
    REFERENCE_WORDS_MAX = 5                   /* what erlang_ref has room for */
};

_Static_assert(sizeof(((erlang_pid *)NULL)->node) > ETF_ATOM_BYTES_MAX,
               "a node name with its zero fits into erlang_pid");
_Static_assert(sizeof(((erlang_ref *)NULL)->node) > ETF_ATOM_BYTES_MAX,
               "a node name with its zero fits into erlang_ref");
_Static_assert(sizeof(((erlang_ref *)NULL)->n) ==
                   REFERENCE_WORDS_MAX * sizeof(uint32_t),
               "a reference's words fit into erlang_ref");

/* The callers have ruled out all arguments that ei has no encoding for.
 * `size_max`: bytes that the encoding has at most. */
#define ENCODE(buf, size_max, encode, ...)                      \
    do {                                                        \
        size_t room_size_ = (size_max);                         \
        int written_ = 0;                                       \
        char *room_ = (char *)buf_reserve(buf, room_size_);     \
        if (room_ != NULL) {                                    \
            ensure(encode(room_, &written_, __VA_ARGS__) == 0); \
            ensure(written_ > 0);                               \
            ensure((size_t)written_ <= room_size_);             \
            buf_commit(buf, (size_t)written_);                  \
        }                                                       \
    } while (0)

static void fail(struct buf *buf, int err)
{
    if (buf->error == 0) {
        buf->error = err;
    }
}

void etf_put_version(struct buf *buf)
{
    buf_put_u8(buf, ETF_VERSION);
}

void etf_put_atom(struct buf *buf, const char *name)
{
    etf_put_atom_bytes(buf, bytes_of_string(name));
}

/* 0 if `name` can be the name of an atom. */
static int check_atom(struct bytes name)
{
    size_t chars;
    int rv = utf8_count(name, &chars);

    if (rv != 0) {
        return ERR_BADARG;
    }
    return chars > ETF_ATOM_CHARS_MAX ? ERR_LIMIT : 0;
}

void etf_put_atom_bytes(struct buf *buf, struct bytes name)
{
    const char *text = name.size == 0 ? "" : (const char *)name.data;
    int rv = check_atom(name);

    if (rv != 0) {
        fail(buf, rv);
        return;
    }
    ENCODE(buf, ATOM_HEADER + name.size, ei_encode_atom_len_as, text,
           (int)name.size, ERLANG_UTF8, ERLANG_UTF8);
}

void etf_put_bool(struct buf *buf, bool value)
{
    etf_put_atom(buf, value ? "true" : "false");
}

void etf_put_u64(struct buf *buf, uint64_t value)
{
    ENCODE(buf, NUMBER_SIZE_MAX, ei_encode_ulonglong, value);
}

void etf_put_i64(struct buf *buf, int64_t value)
{
    ENCODE(buf, NUMBER_SIZE_MAX, ei_encode_longlong, value);
}

void etf_put_double(struct buf *buf, double value)
{
    if (!isfinite(value)) {
        fail(buf, ERR_BADARG);
        return;
    }
    ENCODE(buf, NUMBER_SIZE_MAX, ei_encode_double, value);
}

void etf_put_binary(struct buf *buf, struct bytes bytes)
{
    const void *data = bytes.size == 0 ? "" : (const void *)bytes.data;

    if (bytes.size > INT_MAX - BINARY_HEADER) {
        fail(buf, ERR_LIMIT);
        return;
    }
    ENCODE(buf, BINARY_HEADER + bytes.size, ei_encode_binary, data,
           (long)bytes.size);
}

void etf_put_binary_head(struct buf *buf, size_t size)
{
    if (size > INT_MAX - BINARY_HEADER) {
        fail(buf, ERR_LIMIT);
        return;
    }
    buf_put_u8(buf, BINARY_TAG);
    buf_put_u32(buf, (uint32_t)size);
}

void etf_put_string_binary(struct buf *buf, const char *text)
{
    etf_put_binary(buf, bytes_of_string(text));
}

void etf_put_tuple(struct buf *buf, uint32_t arity)
{
    if (arity > INT_MAX) {
        fail(buf, ERR_LIMIT);
        return;
    }
    ENCODE(buf, COUNT_SIZE_MAX, ei_encode_tuple_header, (int)arity);
}

void etf_put_map(struct buf *buf, uint32_t pairs)
{
    if (pairs > INT_MAX) {
        fail(buf, ERR_LIMIT);
        return;
    }
    ENCODE(buf, COUNT_SIZE_MAX, ei_encode_map_header, (int)pairs);
}

void etf_put_list(struct buf *buf, uint32_t count)
{
    ensure(count > 0);
    if (count > INT_MAX) {
        fail(buf, ERR_LIMIT);
        return;
    }
    ENCODE(buf, COUNT_SIZE_MAX, ei_encode_list_header, (int)count);
}

void etf_put_nil(struct buf *buf)
{
    ENCODE(buf, COUNT_SIZE_MAX, ei_encode_list_header, 0);
}

void etf_put_raw(struct buf *buf, struct bytes raw)
{
    buf_put_bytes(buf, raw);
}

/* Copies a node's name to where ei reads it as a string: no zero in it. */
static int copy_node(struct bytes node, char *ret_node)
{
    int rv = check_atom(node);

    if (rv != 0) {
        return rv;
    }
    if (node.size > 0) {
        if (memchr(node.data, 0, node.size) != NULL) {
            return ERR_BADARG;
        }
        memcpy(ret_node, node.data, node.size);
    }
    ret_node[node.size] = 0;
    return 0;
}

void etf_put_pid(struct buf *buf, const struct etf_pid *pid)
{
    erlang_pid copy;
    int rv = copy_node(pid->node, copy.node);

    if (rv != 0) {
        fail(buf, rv);
        return;
    }
    copy.num = pid->id;
    copy.serial = pid->serial;
    copy.creation = pid->creation;
    ENCODE(buf, PID_SIZE + pid->node.size, ei_encode_pid, &copy);
}

void etf_put_reference(struct buf *buf, struct bytes node, uint32_t creation,
                       const uint32_t *words, uint32_t word_count)
{
    erlang_ref copy;
    int rv = copy_node(node, copy.node);

    ensure(word_count > 0);
    ensure(word_count <= REFERENCE_WORDS_MAX);
    if (rv != 0) {
        fail(buf, rv);
        return;
    }
    copy.len = (int)word_count;
    copy.creation = creation;
    memcpy(copy.n, words, word_count * sizeof(*words));
    ENCODE(buf, REFERENCE_SIZE + node.size + word_count * sizeof(*words),
           ei_encode_ref, &copy);
}
