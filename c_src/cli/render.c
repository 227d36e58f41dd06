/* SPDX-License-Identifier: Apache-2.0
 * Tables are described as data: the title of each column, and where in the
 * answer's map its value is. */
#include "cli/render.h"

#include "base/ensure.h"
#include "base/err.h"
#include "cli/columns.h"
#include "cli/json.h"
#include "etf/reader.h"

struct column {
    const char *title;
    const char *key;   /* in the map */
    const char *inner; /* in the map under `key`; NULL: the value itself */
    const char *of;    /* key of a second map: shown as "A/B"; or NULL */
};

static const struct column member_columns[] = {
    {"NAME", "name", NULL, NULL},       {"UP", "up", NULL, NULL},
    {"ROLE", "role", NULL, NULL},       {"STANDING", "standing", NULL, NULL},
    {"ADDRESS", "address", NULL, NULL},
};

/* Processor in thousandths, memory in MiB: committed of what there is. */
static const struct column worker_columns[] = {
    {"NAME", "name", NULL, NULL},
    {"UP", "up", NULL, NULL},
    {"MEMBER", "member", NULL, NULL},
    {"SANDBOXES", "sandboxes", NULL, NULL},
    {"CPU", "committed", "cpu", "capacity"},
    {"MEMORY", "committed", "memory", "capacity"},
    {"CPU%", "load", "cpu", NULL},
    {"MEM%", "load", "memory", NULL},
};

static const struct column sandbox_columns[] = {
    {"ID", "id", NULL, NULL},       {"STATUS", "status", NULL, NULL},
    {"EPOCH", "epoch", NULL, NULL}, {"WORKER", "worker", NULL, NULL},
    {"PID", "pid", NULL, NULL},
};

static const struct table {
    const struct column *columns;
    size_t count;
} tables[] = {
    [OPTIONS_MEMBERS] = {member_columns,
                         sizeof(member_columns) / sizeof(struct column)},
    [OPTIONS_WORKERS] = {worker_columns,
                         sizeof(worker_columns) / sizeof(struct column)},
    [OPTIONS_SANDBOXES] = {sandbox_columns,
                           sizeof(sandbox_columns) / sizeof(struct column)},
};

/* --- Tables --------------------------------------------------------------- */

/* The raw value under a key. ERR_NOT_FOUND; ERR_BADARG if it is no map. */
static int find(struct bytes map, const char *key, struct bytes *ret_value)
{
    struct etf_reader reader = etf_reader_of(map);
    uint32_t pairs;
    int rv = etf_read_map(&reader, &pairs);

    for (; rv == 0 && pairs > 0; pairs--) {
        if (etf_take_atom(&reader, key)) {
            return etf_read_raw(&reader, ret_value);
        }
        rv = etf_skip(&reader);
        rv = rv != 0 ? rv : etf_skip(&reader);
    }
    return rv != 0 ? rv : ERR_NOT_FOUND;
}

static int find_inner(struct bytes map, const char *key, const char *inner,
                      struct bytes *ret_value)
{
    int rv = find(map, key, ret_value);

    return rv == 0 && inner != NULL ? find(*ret_value, inner, ret_value) : rv;
}

/* A value for people: yes and no, a dash for nothing, {failed, Reason} as
 * its first word. */
static int put_value(struct buf *text, struct bytes raw)
{
    struct etf_reader reader = etf_reader_of(raw);
    uint32_t arity;
    bool boolean;
    int rv;

    if (etf_take_atom(&reader, "undefined")) {
        buf_printf(text, "-");
        return 0;
    }
    if (etf_read_bool(&reader, &boolean) == 0) {
        buf_printf(text, boolean ? "yes" : "no");
        return 0;
    }
    if (etf_read_tuple(&reader, &arity) == 0 && arity == 0) {
        return ERR_MALFORMED;
    }
    rv = json_put_plain(text, &reader);
    return rv == ERR_BADARG ? json_put_term(text, raw) : rv;
}

static int put_cell(struct columns *columns, const struct column *column,
                    struct bytes map)
{
    struct bytes value;
    int rv = find_inner(map, column->key, column->inner, &value);

    rv = rv != 0 ? rv : put_value(&columns->text, value);
    if (rv == 0 && column->of != NULL) {
        rv = find_inner(map, column->of, column->inner, &value);
        buf_put_u8(&columns->text, '/');
        rv = rv != 0 ? rv : put_value(&columns->text, value);
    }
    if (rv == ERR_NOT_FOUND) {
        /* Another version may not have it. */
        buf_put_u8(&columns->text, '-');
        rv = 0;
    }
    columns_end_cell(columns);
    return rv;
}

static int put_rows(struct columns *columns, const struct table *table,
                    struct bytes raw)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct etf_list list;
    bool has_more = false;
    int rv;

    for (size_t i = 0; i < table->count; i++) {
        columns_put(columns, table->columns[i].title);
    }
    rv = etf_list_begin(&reader, &list);
    rv = rv != 0 ? rv : etf_list_next(&list, &has_more);
    while (rv == 0 && has_more) {
        struct bytes row = bytes_of(NULL, 0);

        rv = etf_read_raw(&list.element, &row);
        for (size_t i = 0; rv == 0 && i < table->count; i++) {
            rv = put_cell(columns, &table->columns[i], row);
        }
        rv = rv != 0 ? rv : etf_list_next(&list, &has_more);
    }
    return rv;
}

static int put_pair(struct columns *columns, struct bytes outer,
                    struct bytes key, struct bytes value)
{
    struct etf_reader reader = etf_reader_of(outer);
    int rv = 0;

    if (outer.size > 0) {
        rv = json_put_plain(&columns->text, &reader);
        buf_put_u8(&columns->text, '.');
    }
    reader = etf_reader_of(key);
    rv = rv != 0 ? rv : json_put_plain(&columns->text, &reader);
    columns_end_cell(columns);
    rv = rv != 0 ? rv : put_value(&columns->text, value);
    columns_end_cell(columns);
    return rv;
}

static int put_inner_pairs(struct columns *columns, struct bytes outer,
                           struct bytes raw)
{
    struct etf_reader reader = etf_reader_of(raw);
    uint32_t pairs = 0;
    int rv = etf_read_map(&reader, &pairs);

    for (; rv == 0 && pairs > 0; pairs--) {
        struct bytes key;
        struct bytes value;

        rv = etf_read_raw(&reader, &key);
        rv = rv != 0 ? rv : etf_read_raw(&reader, &value);
        rv = rv != 0 ? rv : put_pair(columns, outer, key, value);
    }
    return rv;
}

/* One line for each key of the map; those of maps in it are "outer.key". */
static int put_pairs(struct columns *columns, struct bytes raw)
{
    struct etf_reader reader = etf_reader_of(raw);
    uint32_t pairs = 0;
    int rv = etf_read_map(&reader, &pairs);

    for (; rv == 0 && pairs > 0; pairs--) {
        enum etf_type type = ETF_NIL;
        struct bytes key;
        struct bytes value;

        rv = etf_read_raw(&reader, &key);
        rv = rv != 0 ? rv : etf_read_raw(&reader, &value);
        rv = rv != 0 ? rv : etf_type_of(value, &type);
        if (rv == 0 && type == ETF_MAP) {
            rv = put_inner_pairs(columns, key, value);
        } else if (rv == 0) {
            rv = put_pair(columns, bytes_of(NULL, 0), key, value);
        }
    }
    return rv;
}

/* The others answer with lists. */
static bool is_map(enum options_command command)
{
    return command == OPTIONS_STATUS || command == OPTIONS_PARTITIONS;
}

static int render_table(struct buf *text, enum options_command command,
                        struct bytes raw)
{
    struct columns columns;
    int rv;

    columns_init(&columns, is_map(command) ? 2 : tables[command].count);
    if (is_map(command)) {
        rv = put_pairs(&columns, raw);
    } else {
        rv = put_rows(&columns, &tables[command], raw);
    }
    if (rv == 0) {
        columns_print(&columns, text);
        rv = buf_error(text);
    }
    columns_close(&columns);
    return rv;
}

/* --- JSON ----------------------------------------------------------------- */

static bool is_awaited(enum options_command command, enum etf_type type)
{
    return is_map(command)
               ? type == ETF_MAP
               : type == ETF_LIST || type == ETF_NIL || type == ETF_STRING;
}

/* The keys of a map stand beside the schema; a list is under the command's
 * name. */
static int render_json(struct buf *text, enum options_command command,
                       struct bytes raw)
{
    const char *name = options_command_name(command);
    struct etf_reader reader = etf_reader_of(raw);
    enum etf_type type = ETF_NIL;
    size_t begin;
    int rv = etf_peek(&reader, &type);

    if (rv != 0 || !is_awaited(command, type)) {
        return ERR_MALFORMED;
    }
    buf_printf(text, "{\"schema\":\"quorate.%s/1\",", name);
    if (type == ETF_MAP) {
        begin = text->size;
        rv = json_put_term(text, raw);
        if (rv == 0) {
            /* Its own brace gives way to the one that is there. */
            ensure(text->size > begin);
            memmove(text->data + begin, text->data + begin + 1,
                    text->size - begin - 1);
            text->size--;
        }
    } else {
        buf_printf(text, "\"%s\":", name);
        rv = json_put_term(text, raw);
        buf_put_u8(text, '}');
    }
    buf_put_u8(text, '\n');
    return rv != 0 ? rv : buf_error(text);
}

int render(struct buf *text, enum options_command command,
           enum options_output output, struct bytes raw)
{
    int rv;

    ensure(is_map(command) || command == OPTIONS_MEMBERS ||
           command == OPTIONS_WORKERS || command == OPTIONS_SANDBOXES);
    rv = output == OPTIONS_JSON ? render_json(text, command, raw)
                                : render_table(text, command, raw);
    return rv == ERR_NOMEM || rv == ERR_LIMIT || rv == 0 ? rv : ERR_MALFORMED;
}
