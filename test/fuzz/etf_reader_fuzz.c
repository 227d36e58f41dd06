/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: etf_validate, every etf_read_*, etf_skip, etf_list_*, the writer,
 * which writes again what was read, and etf_keys_differ.
 *
 * The input is one raw term with anything after it. If the validator takes
 * it, the reader must get through it and land where the validator did, and
 * what is written again must be valid and stay the same the next time; as keys
 * of one map the two are equal. If not, the reader may fail but must not read
 * outside. */
#include "etf/keys.h"
#include "etf_reader_walk.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Every reader at the start of `raw`, right type or not: those that fail
 * leave no trace, the others get no further than one term. */
static void read_all_types(struct bytes raw)
{
    const struct etf_reader start = etf_reader_of(raw);
    struct etf_reader reader = start;
    struct bytes bytes = {0};
    struct etf_pid pid;
    struct etf_list list;
    bool flag;
    double real;
    int64_t i64;
    uint64_t u64;
    uint32_t count;

#define TRY(call)                                            \
    do {                                                     \
        reader = start;                                      \
        if ((call) != 0) {                                   \
            ensure(reader.cursor.next == start.cursor.next); \
        }                                                    \
        ensure(cursor_left(&reader.cursor) <= raw.size);     \
    } while (0)
    TRY(etf_read_raw(&reader, &bytes));
    TRY(etf_read_atom(&reader, &bytes));
    TRY(etf_take_atom(&reader, "true") ? 0 : ERR_BADARG);
    TRY(etf_read_bool(&reader, &flag));
    TRY(etf_read_u64(&reader, &u64));
    TRY(etf_read_i64(&reader, &i64));
    TRY(etf_read_double(&reader, &real));
    TRY(etf_read_binary(&reader, &bytes));
    TRY(etf_read_tuple(&reader, &count));
    TRY(etf_read_tuple_of(&reader, 2));
    TRY(etf_read_map(&reader, &count));
    TRY(etf_list_begin(&reader, &list));
    TRY(etf_read_pid(&reader, &pid));
#undef TRY
}

/* `again` is the same term, written in another way. */
static void check_keys(struct bytes raw, struct bytes again)
{
    struct buf map;
    int rv = etf_keys_differ(raw, 1);

    ensure(rv == 0 || rv == ERR_MALFORMED);
    ensure(etf_keys_differ(raw, 2) == rv);
    ensure(etf_keys_differ(again, 3) == rv);
    buf_init(&map, raw.size + again.size + 64);
    etf_put_map(&map, 2);
    etf_put_raw(&map, raw);
    etf_put_nil(&map);
    etf_put_raw(&map, again);
    etf_put_nil(&map);
    ensure(buf_error(&map) == 0);
    rv = etf_keys_differ(buf_bytes(&map), 4);
    ensure(rv == ERR_MALFORMED || rv == ERR_LIMIT); /* deep as it was */
    buf_close(&map);
}

static void check_valid(struct bytes raw, const struct etf_limits *limits)
{
    struct etf_reader reader = etf_reader_of(raw);
    struct buf first;
    struct buf second;
    size_t size = 0;
    int rv;

    ensure(etf_skip(&reader) == 0);
    ensure(etf_at_end(&reader));
    ensure(etf_validate(bytes_of(raw.data, raw.size - 1), limits, &size) ==
           ERR_TRUNCATED);
    ensure(size == 0);
    buf_init(&first, 4 * raw.size + 64);
    buf_init(&second, 4 * raw.size + 64);
    rv = walk_term(raw, &first);
    ensure(rv == 0 || rv == ERR_BADARG); /* a node name with a zero in it */
    if (rv == 0) {
        ensure(buf_error(&first) == 0);
        ensure(etf_validate(buf_bytes(&first), limits, &size) == 0);
        ensure(size == first.size);
        ensure(walk_term(buf_bytes(&first), &second) == 0);
        ensure(buf_error(&second) == 0);
        ensure(bytes_equal(buf_bytes(&first), buf_bytes(&second)));
        check_keys(raw, buf_bytes(&first));
    } else {
        check_keys(raw, raw);
    }
    buf_close(&first);
    buf_close(&second);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct etf_limits limits = etf_limits_default(SIZE_MAX);
    struct bytes input = bytes_of(data, size);
    struct bytes raw;
    struct buf buf;
    size_t term_size = 0;
    int rv;

    if (size > 1 << 16) {
        return 0;
    }
    read_all_types(input);
    rv = etf_validate(input, &limits, &term_size);
    if (rv == 0) {
        ensure(term_size > 0);
        ensure(term_size <= size);
        check_valid(bytes_of(data, term_size), &limits);
        limits.size_max = term_size - 1;
        ensure(etf_validate(input, &limits, &term_size) == ERR_LIMIT);
    } else {
        ensure(rv == ERR_TRUNCATED || rv == ERR_MALFORMED || rv == ERR_LIMIT);
        ensure(term_size == 0);
        buf_init(&buf, 4 * size + 64);
        (void)walk_term(input, &buf); /* any result, but no stray read */
        ensure(etf_keys_differ(input, 5) <= 0);
        buf_close(&buf);
    }
    limits = etf_limits_default(SIZE_MAX);
    rv = etf_validate_external(input, &limits, &raw);
    if (rv == 0) {
        ensure(raw.size == size - 1);
        check_valid(raw, &limits);
    }
    return 0;
}
