/* SPDX-License-Identifier: Apache-2.0
 * Long terms whose ends the validator has noted: they are where they are said
 * to be, and are stepped over without a look at what is in them. */
#include "base/mem.h"
#include "etf/reader.h"
#include "etf/validate.h"
#include "etf/writer.h"
#include "lib/test.h"

enum { LONG_COUNT = ETF_SPAN_MIN / 2, TERM_MAX = 8 * 1024 * 1024 };

static void put_long_list(struct buf *buf)
{
    etf_put_list(buf, LONG_COUNT);
    for (size_t i = 0; i < LONG_COUNT; i++) {
        etf_put_u64(buf, i % 256);
    }
    etf_put_nil(buf);
}

/* Validates in steps, and finds each span to be a term. */
static void note(struct bytes term, size_t stride, size_t work,
                 struct etf_spans *spans)
{
    struct etf_limits limits = etf_limits_default(term.size);
    struct etf_validator *validator = mem_alloc(sizeof(*validator));
    size_t arrived = 0;
    bool is_done = false;

    assert_non_null(validator);
    *spans = (struct etf_spans){0};
    etf_validator_init(validator, &limits);
    validator->spans = spans;
    while (!is_done) {
        arrived = size_min(arrived + stride, term.size);
        assert_ok(etf_validator_step(validator, bytes_of(term.data, arrived),
                                     term.size, work, &is_done));
    }
    mem_free(validator);
    spans->base = term.data;
    for (size_t i = 0; i < spans->count; i++) {
        struct etf_span span = spans->spans[i];
        struct etf_reader reader = etf_reader_of(
            bytes_of(term.data + span.begin, term.size - span.begin));
        struct bytes raw;

        assert_true(span.size >= ETF_SPAN_MIN);
        assert_ok(etf_read_raw(&reader, &raw));
        assert_int_equal(raw.size, span.size);
    }
}

/* [a, [0, 1, ...], {[0, 1, ...]}, b], and where the second and third are. */
static void put_arguments(struct buf *buf, size_t ret_begins[2])
{
    etf_put_list(buf, 4);
    etf_put_atom(buf, "a");
    ret_begins[0] = buf->size;
    put_long_list(buf);
    ret_begins[1] = buf->size;
    etf_put_tuple(buf, 1);
    put_long_list(buf);
    etf_put_atom(buf, "b");
    etf_put_nil(buf);
    assert_ok(buf_error(buf));
}

/* The elements of a list are all there: 0, or the error of the reader. */
static int count_elements(struct bytes term, const struct etf_spans *spans,
                          size_t expected)
{
    struct etf_reader reader = etf_reader_of(term);
    struct etf_list list;
    bool has_more = true;
    size_t count = 0;
    int rv = etf_list_begin(&reader, &list);

    list.spans = spans;
    while (rv == 0 && has_more) {
        rv = etf_list_next(&list, &has_more);
        count += rv == 0 && has_more ? 1 : 0;
    }
    if (rv == 0) {
        assert_int_equal(count, expected);
        assert_true(etf_at_end(&reader));
    }
    return rv;
}

static void long_elements_are_stepped_over(void **state)
{
    static const size_t strides[] = {SIZE_MAX / 2, 70001, 4099};
    struct etf_spans spans;
    size_t begins[2];
    struct buf buf;

    (void)state;
    buf_init(&buf, TERM_MAX);
    put_arguments(&buf, begins);
    for (size_t i = 0; i < sizeof(strides) / sizeof(strides[0]); i++) {
        struct bytes raw;

        note(buf_bytes(&buf), strides[i], 5000, &spans);
        assert_int_equal(spans.count, 3); /* also the one in the tuple */
        assert_true(etf_spans_find(&spans, buf.data + begins[0], &raw));
        assert_int_equal(raw.size, begins[1] - begins[0]);
        assert_true(etf_spans_find(&spans, buf.data + begins[1], &raw));
        assert_false(etf_spans_find(&spans, buf.data + begins[0] + 1, &raw));
        assert_ok(count_elements(buf_bytes(&buf), &spans, 4));
    }
    /* No look is taken at what is in them. */
    buf.data[begins[0] + 100] = 1;
    buf.data[begins[0] + 101] = 1;
    assert_err(count_elements(buf_bytes(&buf), NULL, 4), ERR_BADARG);
    assert_ok(count_elements(buf_bytes(&buf), &spans, 4));
    spans.base = NULL;
    assert_err(count_elements(buf_bytes(&buf), &spans, 4), ERR_BADARG);
    buf_close(&buf);
}

static void no_more_are_noted_than_there_is_room_for(void **state)
{
    struct etf_spans spans;
    struct buf buf;

    (void)state;
    buf_init(&buf, TERM_MAX);
    etf_put_list(&buf, 2 * ETF_SPANS_MAX);
    for (size_t i = 0; i < 2 * (size_t)ETF_SPANS_MAX; i++) {
        put_long_list(&buf);
    }
    etf_put_nil(&buf);
    note(buf_bytes(&buf), SIZE_MAX / 2, SIZE_MAX, &spans);
    assert_int_equal(spans.count, ETF_SPANS_MAX);
    assert_ok(count_elements(buf_bytes(&buf), &spans, 2 * ETF_SPANS_MAX));
    buf_close(&buf);
}

/* Lists whose tails are lists, funs, and what is too deep. */
static void all_kinds_of_containers_are_measured_right(void **state)
{
    static const char fun[] =
        "p\0\0\0\101\1000112233445566778\0\0\0\0\0\0\0\2w\1ma\1b\0\0\0\1"
        "Xw\3a@b\0\0\0\1\0\0\0\2\0\0\0\3h\2a\1a\2a\3";
    struct etf_spans spans;
    struct buf buf;

    (void)state;
    buf_init(&buf, TERM_MAX);
    etf_put_tuple(&buf, 4);
    /* [0 | [0, 1, ... | [7]]] in pieces */
    etf_put_list(&buf, 1);
    etf_put_u64(&buf, 0);
    etf_put_list(&buf, LONG_COUNT);
    for (size_t i = 0; i < LONG_COUNT; i++) {
        etf_put_u64(&buf, 1);
    }
    etf_put_list(&buf, 1);
    etf_put_u64(&buf, 7);
    etf_put_nil(&buf);
    buf_put(&buf, fun, sizeof(fun) - 1);
    etf_put_map(&buf, 1);
    etf_put_atom(&buf, "key");
    put_long_list(&buf);
    for (size_t i = 0; i < 6; i++) {
        etf_put_tuple(&buf, 1);
    }
    put_long_list(&buf);
    assert_ok(buf_error(&buf));
    note(buf_bytes(&buf), 30011, SIZE_MAX, &spans);
    /* The list in pieces; the list in the map, the map; four of the tuples. */
    assert_int_equal(spans.count, 7);
    assert_int_equal(spans.spans[0].begin, 2);
    buf_close(&buf);
}

static void the_rest_is_all_that_is_left(void **state)
{
    struct etf_reader reader = etf_reader_of(bytes_of("a\1h\1a\2", 6));
    struct bytes raw;

    (void)state;
    assert_ok(etf_skip(&reader));
    assert_ok(etf_read_rest(&reader, &raw));
    assert_bytes(raw, "h\1a\2", 4);
    assert_true(etf_at_end(&reader));
    assert_err(etf_read_rest(&reader, &raw), ERR_TRUNCATED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(long_elements_are_stepped_over),
        cmocka_unit_test(no_more_are_noted_than_there_is_room_for),
        cmocka_unit_test(all_kinds_of_containers_are_measured_right),
        cmocka_unit_test(the_rest_is_all_that_is_left),
    };

    return cmocka_run_group_tests_name("etf_spans", tests, NULL, NULL);
}
