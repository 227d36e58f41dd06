/* SPDX-License-Identifier: Apache-2.0
 * Answers as printed text. */
#ifndef QUORATE_TEST_UNIT_API_TERMS_H
#define QUORATE_TEST_UNIT_API_TERMS_H

#include "base/buf.h"
#include "etf/reader.h"
#include "lib/test.h"

#include <stdio.h>

/* Prints a term that has no pids: enough Erlang to read the answers. */
static inline void print(struct etf_reader *reader, struct buf *text)
{
    enum etf_type type;
    struct bytes bytes = {0};
    uint64_t number;
    uint32_t count = 0;
    double real;

    assert_ok(etf_peek(reader, &type));
    if (type == ETF_INTEGER) {
        assert_ok(etf_read_u64(reader, &number));
        buf_printf(text, "%lu", (unsigned long)number);
    } else if (type == ETF_FLOAT) {
        assert_ok(etf_read_double(reader, &real));
        buf_printf(text, "%.3f", real);
    } else if (type == ETF_ATOM) {
        assert_ok(etf_read_atom(reader, &bytes));
        buf_put_bytes(text, bytes);
    } else if (type == ETF_BINARY) {
        assert_ok(etf_read_binary(reader, &bytes));
        buf_printf(text, "\"%.*s\"", (int)bytes.size, (const char *)bytes.data);
    } else if (type == ETF_TUPLE) {
        assert_ok(etf_read_tuple(reader, &count));
        buf_put(text, "{", 1);
        for (uint32_t i = 0; i < count; i++) {
            buf_put(text, ",", i > 0 ? 1 : 0);
            print(reader, text);
        }
        buf_put(text, "}", 1);
    } else if (type == ETF_MAP) {
        assert_ok(etf_read_map(reader, &count));
        buf_put(text, "#{", 2);
        for (uint32_t i = 0; i < count; i++) {
            buf_put(text, ",", i > 0 ? 1 : 0);
            print(reader, text);
            buf_put(text, "=>", 2);
            print(reader, text);
        }
        buf_put(text, "}", 1);
    } else {
        struct etf_list list;
        bool has_more;

        assert_ok(etf_list_begin(reader, &list));
        buf_put(text, "[", 1);
        assert_ok(etf_list_next(&list, &has_more));
        while (has_more) {
            print(&list.element, text);
            assert_ok(etf_list_next(&list, &has_more));
            buf_put(text, ",", has_more ? 1 : 0);
        }
        buf_put(text, "]", 1);
    }
}

/* Takes what is in the buffer. */
static inline void assert_term(struct buf *buf, const char *expected)
{
    struct etf_limits limits = etf_limits_default(buf->size);
    struct etf_reader reader = etf_reader_of(buf_bytes(buf));
    struct buf text;
    size_t size;

    assert_ok(buf_error(buf));
    assert_ok(etf_validate(buf_bytes(buf), &limits, &size));
    assert_int_equal(size, buf->size);
    buf_init(&text, 10000);
    print(&reader, &text);
    buf_put_u8(&text, 0);
    assert_ok(buf_error(&text));
    assert_string_equal((const char *)text.data, expected);
    buf_close(&text);
    buf_clear(buf);
}

#endif
