/* SPDX-License-Identifier: Apache-2.0
 * Decodes ids, nodes and resources. */
#include "api/arguments.h"

#include "base/err.h"
#include "config/value.h"
#include "etf/reader.h"
#include "etf/writer.h"

enum {
    RESOURCE_MAX = INT32_MAX, /* so that two of them can be added */
    KEY_SHOWN_MAX = 1024,     /* bytes; longer keys are not sent back */
};

int arguments_fail(struct buf *reason, const char *what)
{
    etf_put_atom(reason, what);
    return ERR_BADARG;
}

int arguments_fail_key(struct buf *reason, struct bytes key)
{
    if (key.size > KEY_SHOWN_MAX) {
        return arguments_fail(reason, "unknown_option");
    }
    etf_put_tuple(reason, 2);
    etf_put_atom(reason, "unknown_option");
    etf_put_raw(reason, key);
    return ERR_BADARG;
}

/* --- Ids ------------------------------------------------------------------ */

/* Writes a character as UTF-8: 1 to 4 bytes, or 0 if it is none. */
static size_t encode_utf8(uint64_t c, uint8_t ret_bytes[4])
{
    if (c < 0x80) {
        ret_bytes[0] = (uint8_t)c;
        return 1;
    }
    if (c < 0x800) {
        ret_bytes[0] = (uint8_t)(0xc0 | (c >> 6));
        ret_bytes[1] = (uint8_t)(0x80 | (c & 0x3f));
        return 2;
    }
    if (c >= 0xd800 && c <= 0xdfff) {
        return 0;
    }
    if (c < 0x10000) {
        ret_bytes[0] = (uint8_t)(0xe0 | (c >> 12));
        ret_bytes[1] = (uint8_t)(0x80 | ((c >> 6) & 0x3f));
        ret_bytes[2] = (uint8_t)(0x80 | (c & 0x3f));
        return 3;
    }
    if (c > 0x10ffff) {
        return 0;
    }
    ret_bytes[0] = (uint8_t)(0xf0 | (c >> 18));
    ret_bytes[1] = (uint8_t)(0x80 | ((c >> 12) & 0x3f));
    ret_bytes[2] = (uint8_t)(0x80 | ((c >> 6) & 0x3f));
    ret_bytes[3] = (uint8_t)(0x80 | (c & 0x3f));
    return 4;
}

/* A string is a list of characters. */
static int read_string(struct etf_reader *reader,
                       uint8_t text[REGISTRY_ID_SIZE_MAX],
                       struct bytes *ret_string)
{
    struct etf_list list;
    uint8_t encoded[4] = {0};
    size_t size = 0;
    bool has_more = false;
    int rv = etf_list_begin(reader, &list);

    rv = rv != 0 ? rv : etf_list_next(&list, &has_more);
    while (rv == 0 && has_more) {
        uint64_t c = 0;
        size_t count;

        rv = etf_read_u64(&list.element, &c);
        count = rv == 0 ? encode_utf8(c, encoded) : 0;
        if (count == 0 || count > REGISTRY_ID_SIZE_MAX - size) {
            return ERR_BADARG;
        }
        memcpy(text + size, encoded, count);
        size += count;
        rv = etf_list_next(&list, &has_more);
    }
    if (rv == 0) {
        *ret_string = bytes_of(text, size);
    }
    return rv;
}

int arguments_id(struct bytes raw, const char *what,
                 uint8_t text[REGISTRY_ID_SIZE_MAX], struct bytes *ret_id,
                 struct buf *reason)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct bytes id;

    if (etf_read_binary(&reader, &id) != 0 &&
        etf_read_atom(&reader, &id) != 0 &&
        read_string(&reader, text, &id) != 0) {
        return arguments_fail(reason, what);
    }
    if (id.size == 0 || id.size > REGISTRY_ID_SIZE_MAX) {
        return arguments_fail(reason, what);
    }
    *ret_id = id;
    return 0;
}

int arguments_node(struct bytes raw, struct api_request *request,
                   struct buf *reason)
{
    char name[SETTINGS_NAME_SIZE_MAX + 1];
    struct buf no_text;
    int rv =
        arguments_id(raw, "node", request->text[0], &request->node, reason);

    buf_init(&no_text, 0);
    if (rv == 0 && value_name(request->node, name, &no_text) != 0) {
        rv = arguments_fail(reason, "node");
    }
    return rv;
}

/* Whether the name is before `end` in the list as well. */
static bool is_repeated(struct bytes raw, uint32_t end, struct bytes name)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct etf_list list;
    struct bytes other;
    bool has_more = false;
    int rv = etf_list_begin(&reader, &list);

    for (uint32_t i = 0; rv == 0 && i < end; i++) {
        rv = etf_list_next(&list, &has_more);
        rv = rv == 0 ? etf_read_atom(&list.element, &other) : rv;
        if (rv == 0 && bytes_equal(other, name)) {
            return true;
        }
    }
    return false;
}

int arguments_nodes(struct bytes raw, struct bytes *ret_nodes,
                    struct buf *reason)
{
    struct etf_reader reader = etf_reader_of(raw);
    char text[SETTINGS_NAME_SIZE_MAX + 1];
    struct etf_list list;
    struct bytes name;
    struct buf no_text;
    uint32_t count = 0;
    bool has_more = false;

    buf_init(&no_text, 0);
    if (etf_list_begin(&reader, &list) != 0) {
        return arguments_fail(reason, "nodes");
    }
    while (etf_list_next(&list, &has_more) == 0) {
        if (!has_more) {
            *ret_nodes = raw;
            return 0;
        }
        if (count == API_NODES_MAX || list.is_string ||
            etf_read_atom(&list.element, &name) != 0 ||
            value_name(name, text, &no_text) != 0 ||
            is_repeated(raw, count, name)) {
            break;
        }
        count++;
    }
    return arguments_fail(reason, "nodes");
}

/* --- Resources ------------------------------------------------------------ */

int arguments_number(struct bytes raw, uint64_t min, uint64_t max,
                     uint64_t *ret_value)
{
    struct etf_reader reader = etf_reader_of(raw);
    uint64_t value;

    if (etf_read_u64(&reader, &value) != 0 || value < min || value > max) {
        return ERR_BADARG;
    }
    *ret_value = value;
    return 0;
}

int arguments_pair(struct etf_reader *reader, struct bytes *ret_key,
                   struct bytes *ret_value)
{
    int rv = etf_read_raw(reader, ret_key);

    return rv != 0 ? rv : etf_read_raw(reader, ret_value);
}

int arguments_resources(struct bytes raw, struct resources *ret_resources,
                        struct buf *reason)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct resources resources = {0};
    uint32_t pairs;

    if (etf_read_map(&reader, &pairs) != 0) {
        return arguments_fail(reason, "resources");
    }
    for (uint32_t i = 0; i < pairs; i++) {
        struct etf_reader key_reader;
        struct bytes key;
        struct bytes value;
        uint64_t number;
        bool is_cpu;

        if (arguments_pair(&reader, &key, &value) != 0) {
            return arguments_fail(reason, "resources");
        }
        key_reader = etf_reader_of(key);
        is_cpu = etf_take_atom(&key_reader, "cpu");
        if (!is_cpu && !etf_take_atom(&key_reader, "memory")) {
            return arguments_fail_key(reason, key);
        }
        if (arguments_number(value, 0, RESOURCE_MAX, &number) != 0) {
            return arguments_fail(reason, is_cpu ? "cpu" : "memory");
        }
        if (is_cpu) {
            resources.cpu = (uint32_t)number;
        } else {
            resources.memory = (uint32_t)number;
        }
    }
    *ret_resources = resources;
    return 0;
}
