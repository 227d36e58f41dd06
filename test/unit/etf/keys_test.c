/* SPDX-License-Identifier: Apache-2.0
 * Equal keys: tables of terms that are the same in other forms, and of terms
 * that are not; where maps may stand; many keys; no memory; bytes missing. */
#include "base/buf.h"
#include "base/mem.h"
#include "base/rng.h"
#include "etf/keys.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "lib/test.h"

#include <string.h>

enum { SEED = 4711, TERM_MAX = 128 * 1024 * 1024 };

struct row {
    const char *name;
    struct bytes first; /* raw terms */
    struct bytes second;
};

#define RAW(text)                                                 \
    {                                                             \
        .data = (const uint8_t *)(text), .size = sizeof(text) - 1 \
    }
#define ROW(name, first, second)      \
    {                                 \
        name, RAW(first), RAW(second) \
    }

#define NODE     "w\3a@b"
#define PID      "X" NODE "\0\0\0\1\0\0\0\2\0\0\0\3"
#define PID_TOO  "Xd\0\3a@b\0\0\0\1\0\0\0\2\0\0\0\3"
#define NEW_PID  "X" NODE "\0\0\0\1\0\0\0\2\0\0\0\4"
#define UNIQ     "0123456789abcdef"
#define UNIQ_TOO "0123456789abcdeg"
/* Size, arity, uniq, index and free variables; module, old index, old uniq. */
#define FUN(arity, uniq, index, old, pid) \
    "p\0\0\0\71" arity uniq "\0\0\0" index "\0\0\0\0w\1m" old pid
#define FUN_OF(value) \
    "p\0\0\0\73\1" UNIQ "\0\0\0\1\0\0\0\1w\1ma\1b\0\0\0\1" PID value

/* What a node reads as the same. */
static const struct row equal_rows[] = {
    ROW("nil", "j", "j"),
    ROW("small integer as integer", "a\1", "b\0\0\0\1"),
    ROW("small integer as big", "a\1", "n\1\0\1"),
    ROW("small integer as large big", "a\1", "o\0\0\0\1\0\1"),
    ROW("integer as big", "b\377\377\377\373", "n\1\1\5"),
    ROW("least integer", "b\200\0\0\0", "n\4\1\0\0\0\200"),
    ROW("big with zeros in front", "n\4\0abcd", "n\7\0abcd\0\0\0"),
    ROW("long big with zeros in front", "n\11\0abcdefghi",
        "o\0\0\0\14\0abcdefghi\0\0\0"),
    ROW("zero as big", "a\0", "n\1\0\0"),
    ROW("zero with a sign", "a\0", "n\1\1\0"),
    ROW("zero without digits", "a\0", "n\0\0"),
    ROW("zeros of a float", "F\0\0\0\0\0\0\0\0", "F\200\0\0\0\0\0\0\0"),
    ROW("atom in its four forms", "w\1a", "v\0\1a"),
    ROW("atom as Latin-1", "w\1a", "s\1a"),
    ROW("atom as long Latin-1", "w\1a", "d\0\1a"),
    ROW("Latin-1 beyond ASCII", "w\5caf\303\251", "s\4caf\351"),
    ROW("long Latin-1 beyond ASCII", "v\0\5caf\303\251", "d\0\4caf\351"),
    ROW("string as list", "k\0\2\1\2", "l\0\0\0\2a\1a\2j"),
    ROW("string in other numbers", "k\0\2\1\2", "l\0\0\0\2b\0\0\0\1n\1\0\2j"),
    ROW("empty string", "k\0\0", "j"),
    ROW("list that goes on in its tail", "l\0\0\0\2a\1w\1xj",
        "l\0\0\0\1a\1l\0\0\0\1w\1xj"),
    ROW("list that goes on as a string", "k\0\2\1\2", "l\0\0\0\1a\1k\0\1\2"),
    ROW("list that ends as an empty string", "k\0\1\1", "l\0\0\0\1a\1k\0\0"),
    ROW("list of no elements", "l\0\0\0\0a\1", "a\1"),
    ROW("list of no elements and no tail", "l\0\0\0\0j", "j"),
    ROW("list that ends in one of no elements", "k\0\1\1",
        "l\0\0\0\1a\1l\0\0\0\0j"),
    ROW("improper list", "l\0\0\0\2a\1a\2a\3",
        "l\0\0\0\1a\1l\0\0\0\1a\2l\0\0\0\0a\3"),
    ROW("tuple", "h\1j", "i\0\0\0\1j"),
    ROW("empty tuple", "h\0", "i\0\0\0\0"),
    ROW("binary", "m\0\0\0\3abc", "M\0\0\0\3\10abc"),
    ROW("empty binary", "m\0\0\0\0", "m\0\0\0\0"),
    ROW("bits nobody asked for", "M\0\0\0\1\3\277", "M\0\0\0\1\3\240"),
    ROW("map in another order", "t\0\0\0\2a\1w\1xa\2w\1y",
        "t\0\0\0\2a\2w\1ya\1w\1x"),
    ROW("map in other forms", "t\0\0\0\1a\1k\0\1\1",
        "t\0\0\0\1b\0\0\0\1l\0\0\0\1a\1j"),
    ROW("empty map", "t\0\0\0\0", "t\0\0\0\0"),
    ROW("pid", PID, PID_TOO),
    ROW("port", "Y" NODE "\0\0\0\5\0\0\0\3",
        "x" NODE "\0\0\0\0\0\0\0\5\0\0\0\3"),
    ROW("reference of fewer words", "Z\0\1" NODE "\0\0\0\3\0\0\0\5",
        "Z\0\3" NODE "\0\0\0\3\0\0\0\5\0\0\0\0\0\0\0\0"),
    ROW("export", "qw\1mw\1fa\2", "qs\1mv\0\1fa\2"),
    ROW("fun of another process", FUN("\1", UNIQ, "\4", "a\1b\0\0\0\1", PID),
        FUN("\1", UNIQ, "\4", "a\1b\0\0\0\1", NEW_PID)),
    ROW("fun of another arity", FUN("\1", UNIQ, "\4", "a\1b\0\0\0\1", PID),
        FUN("\2", UNIQ, "\4", "a\1b\0\0\0\1", PID)),
    ROW("fun of another version", FUN("\1", UNIQ, "\4", "a\1b\0\0\0\1", PID),
        FUN("\1", UNIQ_TOO, "\4", "a\2b\0\0\0\2", PID)),
    ROW("fun with a variable", FUN_OF("a\1"), FUN_OF("a\1")),
    ROW("nested", "h\2l\0\0\0\1a\1jt\0\0\0\1w\1ak\0\1\7",
        "i\0\0\0\2k\0\1\1t\0\0\0\1s\1al\0\0\0\1b\0\0\0\7j"),
};

/* What it tells apart, near as they are. */
static const struct row other_rows[] = {
    ROW("numbers", "a\1", "a\2"),
    ROW("signs", "b\0\0\0\1", "b\377\377\377\377"),
    ROW("number and float", "a\1", "F?\360\0\0\0\0\0\0"),
    ROW("floats", "F?\360\0\0\0\0\0\0", "F?\360\0\0\0\0\0\1"),
    ROW("signs of floats", "F?\360\0\0\0\0\0\0", "F\277\360\0\0\0\0\0\0"),
    ROW("bigs", "n\11\0abcdefghi", "n\11\0abcdefghj"),
    ROW("signs of bigs", "n\11\0abcdefghi", "n\11\1abcdefghi"),
    ROW("big and integer", "n\11\0\1\0\0\0\0\0\0\0\1", "a\1"),
    ROW("atoms", "w\1a", "w\1b"),
    ROW("atom and binary", "w\1a", "m\0\0\0\1a"),
    ROW("atom and string", "w\1a", "k\0\1a"),
    ROW("binary and string", "m\0\0\0\1a", "k\0\1a"),
    ROW("UTF-8 and Latin-1 of the same bytes", "w\2\303\251", "s\2\303\251"),
    ROW("nil and the empty tuple", "j", "h\0"),
    ROW("nil and an atom", "j", "w\2[]"),
    ROW("nil and the empty binary", "j", "m\0\0\0\0"),
    ROW("lists", "k\0\2\1\2", "k\0\2\2\1"),
    ROW("longer list", "k\0\2\1\2", "k\0\3\1\2\3"),
    ROW("improper list and its list", "l\0\0\0\1a\1a\2", "k\0\2\1\2"),
    ROW("list of a list", "l\0\0\0\1k\0\1\1j", "k\0\1\1"),
    ROW("tail and element", "l\0\0\0\1a\1k\0\1\2", "l\0\0\0\2a\1k\0\1\2j"),
    ROW("list and tuple", "k\0\1\1", "h\1a\1"),
    ROW("tuples in other ways", "h\2h\1a\1a\2", "h\2a\1h\1a\2"),
    ROW("numbers in tuples", "h\1a\1", "h\1F?\360\0\0\0\0\0\0"),
    ROW("longer tuple", "h\1j", "h\2jj"),
    ROW("fewer bits", "M\0\0\0\1\3\240", "M\0\0\0\1\4\240"),
    ROW("bits and a binary", "M\0\0\0\1\7a", "m\0\0\0\1a"),
    ROW("other bits", "M\0\0\0\2\3a\240", "M\0\0\0\2\3a\300"),
    ROW("maps of other values", "t\0\0\0\1a\1a\1", "t\0\0\0\1a\1a\2"),
    ROW("maps of other keys", "t\0\0\0\1a\1a\1", "t\0\0\0\1a\2a\1"),
    ROW("values the other way round", "t\0\0\0\2a\1w\1xa\2w\1y",
        "t\0\0\0\2a\1w\1ya\2w\1x"),
    ROW("a map and one of its pairs", "t\0\0\0\1a\1a\1",
        "t\0\0\0\2a\1a\1a\2a\1"),
    ROW("an empty map and an empty tuple", "t\0\0\0\0", "h\0"),
    ROW("pids of another incarnation", PID, NEW_PID),
    ROW("pid and port", PID, "x" NODE "\0\0\0\1\0\0\0\2\0\0\0\3"),
    ROW("serials", PID, "X" NODE "\0\0\0\1\0\0\0\3\0\0\0\3"),
    ROW("nodes", PID, "Xw\3a@c\0\0\0\1\0\0\0\2\0\0\0\3"),
    ROW("ports beyond 32 bits", "Y" NODE "\0\0\0\5\0\0\0\3",
        "x" NODE "\0\0\0\1\0\0\0\5\0\0\0\3"),
    ROW("references", "Z\0\1" NODE "\0\0\0\3\0\0\0\5",
        "Z\0\2" NODE "\0\0\0\3\0\0\0\5\0\0\0\1"),
    ROW("creations of references", "Z\0\1" NODE "\0\0\0\3\0\0\0\5",
        "Z\0\1" NODE "\0\0\0\4\0\0\0\5"),
    ROW("exports", "qw\1mw\1fa\2", "qw\1mw\1fa\3"),
    ROW("exported functions", "qw\1mw\1fa\2", "qw\1mw\1ga\2"),
    ROW("funs", FUN("\1", UNIQ, "\4", "a\1b\0\0\0\1", PID),
        FUN("\1", UNIQ, "\5", "a\1b\0\0\0\1", PID)),
    ROW("free variables", FUN_OF("a\1"), FUN_OF("a\2")),
};

#define COUNT(rows) (sizeof(rows) / sizeof((rows)[0]))

static void put_two(struct buf *term, const struct row *row)
{
    etf_put_map(term, 2);
    etf_put_raw(term, row->first);
    etf_put_nil(term);
    etf_put_raw(term, row->second);
    etf_put_nil(term);
}

/* The verdict on a term of just its size, so that a sanitizer sees a stray
 * read. */
static int verdict(const struct buf *term)
{
    struct etf_limits limits = etf_limits_default(SIZE_MAX);
    uint8_t *copy = mem_copy(term->data, term->size);
    size_t size = 0;
    int rv;

    assert_ok(buf_error(term));
    assert_non_null(copy);
    assert_ok(etf_validate(bytes_of(copy, term->size), &limits, &size));
    assert_int_equal(size, term->size);
    rv = etf_keys_differ(bytes_of(copy, term->size), SEED);
    mem_free(copy);
    return rv;
}

static int verdict_of(struct bytes raw)
{
    struct buf term;
    int rv;

    buf_init(&term, TERM_MAX);
    etf_put_raw(&term, raw);
    rv = verdict(&term);
    buf_close(&term);
    return rv;
}

typedef void wrap_fn(struct buf *term, const struct row *row);

/* As it is; in containers of every kind; as the key and as the value of a map
 * that is a key itself. */
static void wrap_nothing(struct buf *term, const struct row *row)
{
    put_two(term, row);
}

static void wrap_in_tuple(struct buf *term, const struct row *row)
{
    etf_put_tuple(term, 3);
    etf_put_map(term, 0);
    put_two(term, row);
    etf_put_nil(term);
}

static void wrap_in_tail(struct buf *term, const struct row *row)
{
    etf_put_list(term, 1);
    etf_put_nil(term);
    put_two(term, row);
}

static void wrap_in_key(struct buf *term, const struct row *row)
{
    etf_put_map(term, 2);
    etf_put_u64(term, 1);
    etf_put_nil(term);
    etf_put_tuple(term, 1);
    put_two(term, row);
    etf_put_nil(term);
}

static void wrap_in_value(struct buf *term, const struct row *row)
{
    etf_put_map(term, 2);
    etf_put_u64(term, 1);
    put_two(term, row);
    etf_put_u64(term, 2);
    etf_put_nil(term);
}

static void wrap_in_value_of_key(struct buf *term, const struct row *row)
{
    etf_put_map(term, 1);
    etf_put_map(term, 1);
    etf_put_u64(term, 1);
    put_two(term, row);
    etf_put_nil(term);
}

/* Keys that are equal only if their values are. */
static void wrap_as_values(struct buf *term, const struct row *row)
{
    etf_put_map(term, 2);
    etf_put_map(term, 1);
    etf_put_u64(term, 1);
    etf_put_raw(term, row->first);
    etf_put_nil(term);
    etf_put_map(term, 1);
    etf_put_u64(term, 1);
    etf_put_raw(term, row->second);
    etf_put_nil(term);
}

static void wrap_as_keys(struct buf *term, const struct row *row)
{
    etf_put_map(term, 2);
    etf_put_map(term, 1);
    etf_put_raw(term, row->first);
    etf_put_nil(term);
    etf_put_nil(term);
    etf_put_map(term, 1);
    etf_put_raw(term, row->second);
    etf_put_nil(term);
    etf_put_nil(term);
}

static void wrap_as_elements(struct buf *term, const struct row *row)
{
    etf_put_map(term, 2);
    etf_put_list(term, 2);
    etf_put_raw(term, row->first);
    etf_put_raw(term, row->first);
    etf_put_nil(term);
    etf_put_nil(term);
    etf_put_list(term, 2);
    etf_put_raw(term, row->first);
    etf_put_raw(term, row->second);
    etf_put_nil(term);
    etf_put_nil(term);
}

/* More keys than those that are compared without memory of their own. */
static void wrap_among_many(struct buf *term, const struct row *row)
{
    etf_put_map(term, 1002);
    etf_put_raw(term, row->first);
    etf_put_nil(term);
    for (uint64_t i = 0; i < 1000; i++) {
        etf_put_u64(term, 1000 + i);
        etf_put_nil(term);
    }
    etf_put_raw(term, row->second);
    etf_put_nil(term);
}

static wrap_fn *const wraps[] = {
    wrap_nothing,     wrap_in_tuple,        wrap_in_tail,   wrap_in_key,
    wrap_in_value,    wrap_in_value_of_key, wrap_as_values, wrap_as_keys,
    wrap_as_elements, wrap_among_many,
};

static void check_rows(const struct row *rows, size_t count, int expected)
{
    for (size_t i = 0; i < count; i++) {
        for (size_t w = 0; w < COUNT(wraps); w++) {
            struct buf term;
            int rv;

            buf_init(&term, TERM_MAX);
            wraps[w](&term, &rows[i]);
            rv = verdict(&term);
            if (rv != expected) {
                fail_msg("%s, in way %zu: %s", rows[i].name, w, err_atom(rv));
            }
            buf_close(&term);
        }
    }
}

static void equal_keys_are_found_in_any_form(void **state)
{
    (void)state;
    check_rows(equal_rows, COUNT(equal_rows), ERR_MALFORMED);
}

static void other_keys_pass(void **state)
{
    (void)state;
    check_rows(other_rows, COUNT(other_rows), 0);
}

static void terms_without_maps_pass(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(equal_rows); i++) {
        assert_ok(verdict_of(equal_rows[i].first));
        assert_ok(verdict_of(equal_rows[i].second));
    }
}

/* The same keys in two maps are nobody's business. */
static void keys_count_within_their_map(void **state)
{
    const struct row row = ROW("", "a\1", "a\2");
    struct buf term;

    (void)state;
    buf_init(&term, TERM_MAX);
    etf_put_list(&term, 2);
    put_two(&term, &row);
    put_two(&term, &row);
    etf_put_nil(&term);
    assert_ok(verdict(&term));
    buf_clear(&term);
    etf_put_map(&term, 2);
    etf_put_u64(&term, 1);
    put_two(&term, &row);
    etf_put_u64(&term, 2);
    put_two(&term, &row);
    assert_ok(verdict(&term));
    buf_close(&term);
}

/* `depth` maps in one another, as keys or as values, the innermost of which
 * has the same key twice or not. */
static void put_nested(struct buf *term, uint32_t depth, bool as_keys,
                       bool is_equal)
{
    for (uint32_t i = 1; i < depth; i++) {
        etf_put_map(term, 1);
        if (!as_keys) {
            etf_put_nil(term);
        }
    }
    etf_put_map(term, 2);
    etf_put_u64(term, 1);
    etf_put_nil(term);
    etf_put_u64(term, is_equal ? 1 : 2);
    etf_put_nil(term);
    for (uint32_t i = 1; i < depth && as_keys; i++) {
        etf_put_nil(term);
    }
}

static void maps_are_looked_at_to_any_depth(void **state)
{
    struct buf term;

    (void)state;
    buf_init(&term, TERM_MAX);
    for (int way = 0; way < 4; way++) {
        buf_clear(&term);
        put_nested(&term, ETF_DEPTH_MAX, way % 2 == 0, way / 2 == 0);
        assert_err(verdict(&term), way / 2 == 0 ? ERR_MALFORMED : 0);
    }
    buf_clear(&term);
    put_nested(&term, ETF_DEPTH_MAX + 1, true, false);
    assert_err(etf_keys_differ(buf_bytes(&term), SEED), ERR_LIMIT);
    buf_close(&term);
}

/* `count` keys of 32 bits, no two the same; the last is again the one at
 * `again`, if that is another. */
static void put_many(struct buf *term, uint32_t count, uint32_t again)
{
    etf_put_map(term, count);
    for (uint32_t i = 0; i < count; i++) {
        uint32_t key = (i + 1 == count ? again : i) * UINT32_C(2654435761);

        buf_put_u8(term, 98);
        buf_put_u32(term, key);
        etf_put_nil(term);
    }
}

static void many_keys_are_compared(void **state)
{
    static const uint32_t counts[] = {2, 63, 64, 65, 66, 1000, 100000, 300000};
    struct buf term;

    (void)state;
    buf_init(&term, TERM_MAX);
    for (size_t i = 0; i < COUNT(counts); i++) {
        uint32_t count = counts[i];

        buf_clear(&term);
        put_many(&term, count, count - 1);
        assert_ok(verdict(&term));
        for (uint32_t again = 0; again + 1 < count; again += 1 + count / 5) {
            buf_clear(&term);
            put_many(&term, count, again);
            assert_err(verdict(&term), ERR_MALFORMED);
        }
    }
    buf_close(&term);
}

/* The verdict is that of the term, not of the seed. */
static void every_seed_says_the_same(void **state)
{
    struct buf term;
    struct buf other;
    struct rng rng;

    (void)state;
    rng_init(&rng, SEED);
    buf_init(&term, TERM_MAX);
    buf_init(&other, TERM_MAX);
    put_many(&term, 300, 299);
    put_many(&other, 300, 17);
    for (int i = 0; i < 1000; i++) {
        uint64_t seed = rng_next(&rng);

        assert_ok(etf_keys_differ(buf_bytes(&term), seed));
        assert_err(etf_keys_differ(buf_bytes(&other), seed), ERR_MALFORMED);
    }
    buf_close(&term);
    buf_close(&other);
}

static void no_memory_is_told(void **state)
{
    struct buf term;
    uint64_t allowed = 0;
    int rv = ERR_NOMEM;

    (void)state;
    buf_init(&term, TERM_MAX);
    etf_put_map(&term, 2);
    put_many(&term, 200, 199);
    put_many(&term, 500, 499);
    put_many(&term, 100, 99);
    put_many(&term, 100, 99);
    while (rv == ERR_NOMEM) {
        mem_fail_after(allowed);
        rv = etf_keys_differ(buf_bytes(&term), SEED);
        mem_fail_after(UINT64_MAX);
        allowed++;
    }
    assert_ok(rv);
    assert_true(allowed > 4);
    /* A few keys need none. */
    buf_clear(&term);
    put_many(&term, 64, 63);
    mem_fail_after(0);
    rv = etf_keys_differ(buf_bytes(&term), SEED);
    mem_fail_after(UINT64_MAX);
    assert_ok(rv);
    buf_close(&term);
}

static void terms_cut_anywhere_are_refused(void **state)
{
    (void)state;
    for (size_t i = 0; i < COUNT(equal_rows); i++) {
        struct buf term;

        buf_init(&term, TERM_MAX);
        wrap_in_key(&term, &equal_rows[i]);
        for (size_t cut = 0; cut < term.size; cut++) {
            uint8_t *copy = mem_copy(term.data, cut);

            assert_non_null(copy);
            assert_int_not_equal(etf_keys_differ(bytes_of(copy, cut), SEED), 0);
            mem_free(copy);
        }
        buf_close(&term);
    }
}

static void bytes_that_are_no_term_are_refused(void **state)
{
    static const struct bytes raws[] = {
        RAW(""),
        RAW("P"),
        RAW("t\0\0\0\1Pj"),
        RAW("t\377\377\377\377jj"),
        RAW("l\377\377\377\377j"),
        RAW("p\0\0\0\0"),
        RAW("t\0\0\0\1qa\1w\1fa\1j"),
    };

    (void)state;
    for (size_t i = 0; i < COUNT(raws); i++) {
        assert_int_not_equal(etf_keys_differ(raws[i], SEED), 0);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(equal_keys_are_found_in_any_form),
        cmocka_unit_test(other_keys_pass),
        cmocka_unit_test(terms_without_maps_pass),
        cmocka_unit_test(keys_count_within_their_map),
        cmocka_unit_test(maps_are_looked_at_to_any_depth),
        cmocka_unit_test(many_keys_are_compared),
        cmocka_unit_test(every_seed_says_the_same),
        cmocka_unit_test(no_memory_is_told),
        cmocka_unit_test(terms_cut_anywhere_are_refused),
        cmocka_unit_test(bytes_that_are_no_term_are_refused),
    };

    return cmocka_run_group_tests_name("etf_keys", tests, NULL, NULL);
}
