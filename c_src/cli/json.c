/* SPDX-License-Identifier: Apache-2.0
 * From terms to JSON, with a stack of its own for what is nested. */
#include "cli/json.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "etf/limits.h"
#include "etf/utf8.h"

enum level_kind { LEVEL_ARRAY, LEVEL_LIST, LEVEL_OBJECT };

/* A container under way. */
struct level {
    enum level_kind kind;
    struct etf_reader reader; /* ARRAY, OBJECT: before the next element */
    struct etf_list list;     /* LIST */
    uint32_t left;            /* ARRAY, OBJECT: elements; keys count too */
    bool is_first;
};

/* --- Terms without others in them ----------------------------------------- */

void json_put_string(struct buf *text, struct bytes bytes)
{
    size_t chars;
    bool is_utf8 = utf8_count(bytes, &chars) == 0;

    buf_put_u8(text, '"');
    for (size_t i = 0; i < bytes.size; i++) {
        uint8_t c = bytes.data[i];

        if (c == '"' || c == '\\') {
            buf_put_u8(text, '\\');
            buf_put_u8(text, c);
        } else if (c < ' ' || c == 0x7f || (c >= 0x80 && !is_utf8)) {
            buf_printf(text, "\\u%04x", (unsigned)c);
        } else {
            buf_put_u8(text, c);
        }
    }
    buf_put_u8(text, '"');
}

static int put_integer(struct buf *text, struct etf_reader *reader)
{
    uint64_t natural;
    int64_t integer;

    if (etf_read_u64(reader, &natural) == 0) {
        buf_printf(text, "%llu", (unsigned long long)natural);
        return 0;
    }
    if (etf_read_i64(reader, &integer) == 0) {
        buf_printf(text, "%lld", (long long)integer);
        return 0;
    }
    buf_printf(text, "<integer>");
    return etf_skip(reader);
}

static int put_float(struct buf *text, struct etf_reader *reader)
{
    double value = 0;
    int rv = etf_read_double(reader, &value);

    buf_printf(text, "%.15g", value);
    return rv;
}

static int put_pid(struct buf *text, struct etf_reader *reader)
{
    struct etf_pid pid;
    int rv = etf_read_pid(reader, &pid);

    if (rv == 0) {
        buf_printf(text, "<%.*s.%lu.%lu>", (int)pid.node.size,
                   (const char *)pid.node.data, (unsigned long)pid.id,
                   (unsigned long)pid.serial);
    }
    return rv;
}

/* Terms that have a name and no more. */
static int put_name(struct buf *text, struct etf_reader *reader,
                    const char *name)
{
    buf_printf(text, "<%s>", name);
    return etf_skip(reader);
}

int json_put_plain(struct buf *text, struct etf_reader *reader)
{
    struct bytes bytes;
    enum etf_type type;
    int rv = etf_peek(reader, &type);

    if (rv != 0) {
        return rv;
    }
    switch (type) {
    case ETF_INTEGER:
        return put_integer(text, reader);
    case ETF_FLOAT:
        return put_float(text, reader);
    case ETF_ATOM:
        if (etf_read_atom(reader, &bytes) != 0) {
            return put_name(text, reader, "atom");
        }
        buf_put_bytes(text, bytes);
        return 0;
    case ETF_BINARY:
        rv = etf_read_binary(reader, &bytes);
        if (rv == 0) {
            buf_put_bytes(text, bytes);
        }
        return rv;
    case ETF_PID:
        return put_pid(text, reader);
    case ETF_REFERENCE:
        return put_name(text, reader, "reference");
    case ETF_PORT:
        return put_name(text, reader, "port");
    case ETF_BIT_BINARY:
        return put_name(text, reader, "bits");
    case ETF_FUN:
        return put_name(text, reader, "fun");
    case ETF_TUPLE:
    case ETF_MAP:
    case ETF_NIL:
    case ETF_STRING:
    case ETF_LIST:
        return ERR_BADARG;
    }
    unreachable();
}

/* As a JSON string. */
static int put_quoted(struct buf *text, struct etf_reader *reader)
{
    struct buf plain;
    int rv;

    buf_init(&plain, text->size_max);
    rv = json_put_plain(&plain, reader);
    rv = rv != 0 ? rv : buf_error(&plain);
    if (rv == 0) {
        json_put_string(text, buf_bytes(&plain));
    }
    buf_close(&plain);
    return rv;
}

static int put_scalar(struct buf *text, struct etf_reader *reader)
{
    struct etf_reader ahead = *reader;
    enum etf_type type = ETF_NIL;
    bool boolean;
    uint64_t natural;
    int64_t integer;
    int rv = etf_peek(reader, &type);

    if (rv != 0) {
        return rv;
    }
    if (etf_take_atom(reader, "undefined")) {
        buf_printf(text, "null");
        return 0;
    }
    if (etf_read_bool(reader, &boolean) == 0) {
        buf_printf(text, boolean ? "true" : "false");
        return 0;
    }
    if (type == ETF_FLOAT || etf_read_u64(&ahead, &natural) == 0 ||
        etf_read_i64(&ahead, &integer) == 0) {
        return json_put_plain(text, reader);
    }
    return put_quoted(text, reader);
}

/* --- Containers ----------------------------------------------------------- */

static bool is_proper(struct bytes raw)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct etf_list list;
    bool has_more = false;
    int rv = etf_list_begin(&reader, &list);

    do {
        rv = rv != 0 ? rv : etf_list_next(&list, &has_more);
    } while (rv == 0 && has_more);
    return rv == 0;
}

/* Begins the container that `raw` is: 0, or ERR_UNSUPPORTED for an improper
 * list. */
static int begin(struct level *level, enum etf_type type, struct bytes raw,
                 struct buf *text)
{
    uint32_t count = 0;
    int rv;

    *level = (struct level){.reader = etf_reader_of(raw), .is_first = true};
    if (type == ETF_TUPLE) {
        level->kind = LEVEL_ARRAY;
        rv = etf_read_tuple(&level->reader, &level->left);
    } else if (type == ETF_MAP) {
        level->kind = LEVEL_OBJECT;
        rv = etf_read_map(&level->reader, &count);
        level->left = count * 2;
    } else {
        level->kind = LEVEL_LIST;
        rv = is_proper(raw) ? etf_list_begin(&level->reader, &level->list)
                            : ERR_UNSUPPORTED;
    }
    if (rv == 0) {
        buf_put_u8(text, level->kind == LEVEL_OBJECT ? '{' : '[');
    }
    return rv;
}

/* The reader before the next element; NULL at the end. */
static struct etf_reader *next_element(struct level *level)
{
    bool has_more = false;

    if (level->kind == LEVEL_LIST) {
        if (etf_list_next(&level->list, &has_more) != 0 || !has_more) {
            return NULL;
        }
        return &level->list.element;
    }
    if (level->left == 0) {
        return NULL;
    }
    level->left--;
    return &level->reader;
}

static bool is_container(enum etf_type type)
{
    return type == ETF_TUPLE || type == ETF_MAP || type == ETF_NIL ||
           type == ETF_STRING || type == ETF_LIST;
}

/* One element: a scalar is written, a container begun on *ret_inner. */
static int put_element(struct buf *text, struct etf_reader *reader,
                       struct level *inner, bool *ret_has_begun)
{
    enum etf_type type;
    struct bytes raw;
    int rv = etf_peek(reader, &type);

    *ret_has_begun = false;
    if (rv != 0) {
        return rv;
    }
    if (!is_container(type)) {
        return put_scalar(text, reader);
    }
    rv = etf_read_raw(reader, &raw);
    rv = rv != 0 ? rv : begin(inner, type, raw, text);
    if (rv == ERR_UNSUPPORTED) {
        buf_printf(text, "\"<improper list>\"");
        return 0;
    }
    *ret_has_begun = rv == 0;
    return rv;
}

/* Keys of objects must be strings; other terms than the plain ones are only
 * named. */
static int put_key(struct buf *text, struct etf_reader *reader)
{
    enum etf_type type;
    int rv = etf_peek(reader, &type);

    if (rv != 0) {
        return rv;
    }
    if (is_container(type)) {
        buf_printf(text, "\"<term>\"");
        return etf_skip(reader);
    }
    return put_quoted(text, reader);
}

/* What stands between the last element of a level and the next one. */
static bool put_separator(struct buf *text, struct level *level)
{
    bool is_key = level->kind == LEVEL_OBJECT && level->left % 2 == 1;

    if (level->kind == LEVEL_OBJECT && !is_key) {
        buf_put_u8(text, ':');
    } else if (!level->is_first) {
        buf_put_u8(text, ',');
    }
    level->is_first = false;
    return is_key;
}

static int walk(struct buf *text, struct level *levels, size_t level_count)
{
    size_t depth = 1;
    int rv = 0;

    while (rv == 0 && depth > 0) {
        struct level *level = &levels[depth - 1];
        struct etf_reader *reader = next_element(level);
        bool has_begun = false;

        if (reader == NULL) {
            buf_put_u8(text, level->kind == LEVEL_OBJECT ? '}' : ']');
            depth--;
        } else if (put_separator(text, level)) {
            rv = put_key(text, reader);
        } else if (depth == level_count) {
            rv = ERR_LIMIT;
        } else {
            rv = put_element(text, reader, &levels[depth], &has_begun);
            depth += has_begun ? 1 : 0;
        }
    }
    return rv;
}

int json_put_term(struct buf *text, struct bytes raw)
{
    struct level *levels;
    struct etf_reader reader = etf_reader_of(raw);
    bool has_begun = false;
    int rv;

    levels = mem_alloc_array(ETF_DEPTH_MAX + 1, sizeof(*levels));
    if (levels == NULL) {
        return ERR_NOMEM;
    }
    rv = put_element(text, &reader, &levels[0], &has_begun);
    if (rv == 0 && has_begun) {
        rv = walk(text, levels, ETF_DEPTH_MAX + 1);
    }
    mem_free(levels);
    return rv != 0 ? rv : buf_error(text);
}
