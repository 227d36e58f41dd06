/* SPDX-License-Identifier: Apache-2.0
 * Iterates a proper list, whichever way it was written: NIL, a run of bytes
 * (STRING), elements with a tail (LIST), or these one after another, as a
 * tail may itself be any of them. */
#include "base/ensure.h"
#include "etf/reader.h"
#include "etf/wire.h"

/* Reads the head of a list or of a tail; sets what belongs to it. The end is a
 * string with nothing left, so that asking again at the end gives the end
 * again. */
static int read_head(struct etf_reader *reader, struct etf_list *list)
{
    struct cursor cursor = reader->cursor;
    struct bytes string = bytes_of(NULL, 0);
    uint32_t left = 0;
    uint8_t tag;
    int rv = wire_tag(&cursor, &tag);

    if (rv != 0) {
        return rv;
    }
    switch (tag) {
    case TAG_NIL:
        break;
    case TAG_STRING:
        rv = wire_block(&cursor, 2, &string);
        left = (uint32_t)string.size;
        break;
    case TAG_LIST:
        rv = wire_length(&cursor, 4, &left);
        break;
    default:
        rv = ERR_BADARG;
        break;
    }
    if (rv != 0) {
        return rv;
    }
    list->string = string;
    list->left = left;
    list->is_string = tag != TAG_LIST;
    reader->cursor = cursor;
    return 0;
}

int etf_list_begin(struct etf_reader *reader, struct etf_list *list)
{
    int rv = read_head(reader, list);

    if (rv == 0) {
        list->reader = reader;
        list->spans = NULL;
    }
    return rv;
}

/* A long one whose end is known, or else by a walk. */
static int read_element(const struct etf_list *list, struct bytes *ret_raw)
{
    struct cursor *cursor = &list->reader->cursor;

    if (list->spans == NULL ||
        !etf_spans_find(list->spans, cursor->next, ret_raw)) {
        return etf_read_raw(list->reader, ret_raw);
    }
    ensure(ret_raw->size <= cursor_left(cursor));
    cursor->next += ret_raw->size;
    return 0;
}

int etf_list_next(struct etf_list *list, bool *ret_more)
{
    struct bytes raw;
    int rv;

    ensure(list->reader != NULL);
    /* At the end of a LIST comes its tail. */
    while (list->left == 0 && !list->is_string) {
        rv = read_head(list->reader, list);
        if (rv != 0) {
            return rv;
        }
    }
    if (list->left == 0) {
        *ret_more = false;
        return 0;
    }
    if (list->is_string) {
        list->small[0] = TAG_SMALL_INTEGER;
        list->small[1] = list->string.data[0];
        list->string = bytes_of(list->string.data + 1, list->string.size - 1);
        raw = bytes_of(list->small, sizeof(list->small));
    } else {
        rv = read_element(list, &raw);
        if (rv != 0) {
            return rv;
        }
    }
    list->left--;
    list->element = etf_reader_of(raw);
    *ret_more = true;
    return 0;
}
