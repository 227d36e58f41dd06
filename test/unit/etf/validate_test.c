/* SPDX-License-Identifier: Apache-2.0
 * The validator: a table of valid and of refused terms; every valid one also
 * cut at each length, and all of them as they arrive in steps; claims and
 * depths that a peer may try. */
#include "base/mem.h"
#include "base/rng.h"
#include "etf/reader.h"
#include "etf/validate.h"
#include "lib/test.h"

#include <string.h>

struct row {
    const char *name;
    const char *bytes; /* the raw term */
    size_t size;
    int expected;
};

#define ROW(name, text, expected)                \
    {                                            \
        name, text, sizeof(text) - 1, (expected) \
    }

#define NODE "w\3a@b"
#define PID  "X" NODE "\0\0\0\1\0\0\0\2\0\0\0\3"
#define UNIQ "0123456789abcdef"

static const struct row valid_rows[] = {
    ROW("small integer", "a\377", 0),
    ROW("integer", "b\377\377\377\377", 0),
    ROW("float", "F?\370\0\0\0\0\0\0", 0),
    ROW("greatest float", "F\177\357\377\377\377\377\377\377", 0),
    ROW("negative zero", "F\200\0\0\0\0\0\0\0", 0),
    ROW("Latin-1 atom", "d\0\4caf\351", 0),
    ROW("small Latin-1 atom", "s\4caf\351", 0),
    ROW("UTF-8 atom", "v\0\5caf\303\251", 0),
    ROW("small UTF-8 atom", "w\5caf\303\251", 0),
    ROW("empty atom", "w\0", 0),
    ROW("long ASCII atom", "w\24abcdefghijklmnopqrst", 0),
    ROW("nil", "j", 0),
    ROW("string", "k\0\3abc", 0),
    ROW("empty string", "k\0\0", 0),
    ROW("binary", "m\0\0\0\3abc", 0),
    ROW("empty binary", "m\0\0\0\0", 0),
    ROW("bit binary", "M\0\0\0\2\5ab", 0),
    ROW("bit binary of whole bytes", "M\0\0\0\2\10ab", 0),
    ROW("small big", "n\2\0ab", 0),
    ROW("negative big", "n\2\1ab", 0),
    ROW("big without digits", "n\0\0", 0),
    ROW("large big", "o\0\0\0\2\1ab", 0),
    ROW("pid", PID, 0),
    ROW("pid with a Latin-1 node", "Xd\0\3a@b\0\0\0\1\0\0\0\2\0\0\0\3", 0),
    ROW("port", "Y" NODE "\0\0\0\1\0\0\0\2", 0),
    ROW("wide port", "x" NODE "\0\0\0\0\0\0\0\1\0\0\0\2", 0),
    ROW("reference of 1 word", "Z\0\1" NODE "\0\0\0\1\0\0\0\2", 0),
    ROW("reference of 5 words",
        "Z\0\5" NODE "\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0\4\0\0\0\5\0\0\0\6", 0),
    ROW("empty tuple", "h\0", 0),
    ROW("tuple", "h\2a\1w\1x", 0),
    ROW("large tuple", "i\0\0\0\2a\1a\2", 0),
    ROW("empty large tuple", "i\0\0\0\0", 0),
    ROW("list", "l\0\0\0\2a\1a\2j", 0),
    ROW("improper list", "l\0\0\0\1a\1a\2", 0),
    ROW("list that goes on in its tail", "l\0\0\0\1a\1l\0\0\0\1a\2j", 0),
    ROW("list of no elements", "l\0\0\0\0j", 0),
    ROW("empty map", "t\0\0\0\0", 0),
    ROW("map", "t\0\0\0\1w\1kt\0\0\0\0", 0),
    ROW("export", "qw\1mw\1fa\2", 0),
    ROW("fun", "p\0\0\0\71\1" UNIQ "\0\0\0\0\0\0\0\0w\1ma\1b\0\0\0\1" PID, 0),
    ROW("fun with free variables",
        "p\0\0\0\101\1" UNIQ "\0\0\0\0\0\0\0\2w\1ma\1b\0\0\0\1" PID
        "h\2a\1a\2a\3",
        0),
    ROW("nested", "h\3l\0\0\0\1h\0jt\0\0\0\1a\1h\1w\0" PID, 0),
};

static const struct row refused_rows[] = {
    ROW("nothing", "", ERR_TRUNCATED),
    ROW("version inside", "\203a\1", ERR_MALFORMED),
    ROW("compressed", "P\0\0\0\1xxxxxxxx", ERR_MALFORMED),
    ROW("atom cache reference", "R\0", ERR_MALFORMED),
    ROW("distribution header", "D\0", ERR_MALFORMED),
    ROW("fragment", "E\0\0\0\0\0\0\0\0", ERR_MALFORMED),
    ROW("local term", "y12345678a\1", ERR_MALFORMED),
    ROW("float as text", "c1.00000000000000000000e+00\0\0\0\0\0",
        ERR_MALFORMED),
    ROW("old pid", "g" NODE "\0\0\0\1\0\0\0\2\3", ERR_MALFORMED),
    ROW("old reference", "r\0\1" NODE "\1\0\0\0\1", ERR_MALFORMED),
    ROW("old fun", "u\0\0\0\0", ERR_MALFORMED),
    ROW("zero", "\0\0\0", ERR_MALFORMED),
    ROW("infinity", "F\177\360\0\0\0\0\0\0", ERR_MALFORMED),
    ROW("negative infinity", "F\377\360\0\0\0\0\0\0", ERR_MALFORMED),
    ROW("not a number", "F\177\370\0\0\0\0\0\1", ERR_MALFORMED),
    ROW("atom of bad UTF-8", "w\2\303(", ERR_MALFORMED),
    ROW("atom ending inside a character", "w\1\303", ERR_MALFORMED),
    ROW("overlong atom", "w\2\300\200", ERR_MALFORMED),
    ROW("surrogate in an atom", "w\3\355\240\200", ERR_MALFORMED),
    ROW("bit binary of 9 bits a byte", "M\0\0\0\1\11a", ERR_MALFORMED),
    ROW("bit binary with bytes but no bits", "M\0\0\0\1\0a", ERR_MALFORMED),
    ROW("bit binary of no bits", "M\0\0\0\0\0", ERR_MALFORMED),
    ROW("bit binary with bits but no bytes", "M\0\0\0\0\3", ERR_MALFORMED),
    ROW("big with a strange sign", "n\1\2a", ERR_MALFORMED),
    ROW("too large a big", "o\0\1\0\1\0a", ERR_LIMIT),
    ROW("reference without words", "Z\0\0" NODE "\0\0\0\1", ERR_MALFORMED),
    ROW("reference of 6 words", "Z\0\6" NODE "\0\0\0\1000011112222333344445555",
        ERR_MALFORMED),
    ROW("pid without a node", "Xa\1\0\0\0\1\0\0\0\2\0\0\0\3", ERR_MALFORMED),
    ROW("port with a bad node", "Yw\1\377\0\0\0\1\0\0\0\2", ERR_MALFORMED),
    ROW("export of a number", "qa\1w\1fa\2", ERR_MALFORMED),
    ROW("export of a big arity", "qw\1mw\1fb\0\0\0\2", ERR_MALFORMED),
    ROW("fun shorter than its head",
        "p\0\0\0\34\1" UNIQ "\0\0\0\0\0\0\0\0w\1ma\1a\1" PID, ERR_MALFORMED),
    ROW("fun that says too much",
        "p\0\0\0\72\1" UNIQ "\0\0\0\0\0\0\0\0w\1ma\1b\0\0\0\1" PID "a",
        ERR_MALFORMED),
    ROW("fun that says too little",
        "p\0\0\0\70\1" UNIQ "\0\0\0\0\0\0\0\0w\1ma\1b\0\0\0\1" PID,
        ERR_MALFORMED),
    ROW("fun without a pid",
        "p\0\0\0\50\1" UNIQ "\0\0\0\0\0\0\0\0w\1ma\1b\0\0\0\1j", ERR_MALFORMED),
    ROW("fun of a number",
        "p\0\0\0\70\1" UNIQ "\0\0\0\0\0\0\0\0a\1a\1b\0\0\0\1" PID,
        ERR_MALFORMED),
    ROW("fun with an atom as index",
        "p\0\0\0\71\1" UNIQ "\0\0\0\0\0\0\0\0w\1mw\0b\0\0\0\1" PID,
        ERR_MALFORMED),
    ROW("tuple with a bad element", "h\2a\1P", ERR_MALFORMED),
    ROW("map with a bad value", "t\0\0\0\1a\1R\0", ERR_MALFORMED),
    ROW("list with a bad tail", "l\0\0\0\1a\1R\0", ERR_MALFORMED),
};

/* A copy of just the size, so that a sanitizer sees a stray read. */
static uint8_t *exact(const char *bytes, size_t size)
{
    uint8_t *copy = mem_copy(bytes, size);

    assert_non_null(copy);
    return copy;
}

static int validate(struct bytes bytes, size_t *ret_size)
{
    struct etf_limits limits = etf_limits_default(SIZE_MAX);

    return etf_validate(bytes, &limits, ret_size);
}

static void valid_terms_pass_and_give_their_size(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(valid_rows) / sizeof(valid_rows[0]); i++) {
        const struct row *row = &valid_rows[i];
        uint8_t *copy = exact(row->bytes, row->size);
        size_t size = 0;
        int rv = validate(bytes_of(copy, row->size), &size);

        if (rv != 0 || size != row->size) {
            fail_msg("%s: %s, size %zu", row->name, err_atom(rv), size);
        }
        mem_free(copy);
    }
}

static void valid_terms_cut_anywhere_are_truncated(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(valid_rows) / sizeof(valid_rows[0]); i++) {
        const struct row *row = &valid_rows[i];

        for (size_t cut = 0; cut < row->size; cut++) {
            uint8_t *copy = exact(row->bytes, cut);
            size_t size = 4711;
            int rv = validate(bytes_of(copy, cut), &size);

            if (rv != ERR_TRUNCATED || size != 4711) {
                fail_msg("%s cut to %zu: %s", row->name, cut, err_atom(rv));
            }
            mem_free(copy);
        }
    }
}

static void bytes_after_the_term_are_not_looked_at(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(valid_rows) / sizeof(valid_rows[0]); i++) {
        const struct row *row = &valid_rows[i];
        uint8_t *copy = mem_alloc(row->size + 3);
        size_t size = 0;

        assert_non_null(copy);
        memcpy(copy, row->bytes, row->size);
        memset(copy + row->size, 'P', 3);
        assert_ok(validate(bytes_of(copy, row->size + 3), &size));
        assert_int_equal(size, row->size);
        mem_free(copy);
    }
}

static void bad_terms_are_refused(void **state)
{
    size_t count = sizeof(refused_rows) / sizeof(refused_rows[0]);

    (void)state;
    for (size_t i = 0; i < count; i++) {
        const struct row *row = &refused_rows[i];
        uint8_t *copy = exact(row->bytes, row->size);
        size_t size = 4711;
        int rv = validate(bytes_of(copy, row->size), &size);

        if (rv != row->expected || size != 4711) {
            fail_msg("%s: %s", row->name, err_atom(rv));
        }
        mem_free(copy);
    }
}

static void every_other_tag_is_refused(void **state)
{
    static const char tags[] = "FMXYZabdhijklmnopqstvwx";

    (void)state;
    for (unsigned tag = 0; tag < 256; tag++) {
        uint8_t bytes[64] = {(uint8_t)tag};
        size_t size;
        int rv = validate(bytes_of(bytes, sizeof(bytes)), &size);

        if (tag == 0 || strchr(tags, (int)tag) == NULL) {
            assert_err(rv, ERR_MALFORMED);
        }
    }
}

static void claims_of_four_billion_are_refused_at_once(void **state)
{
    static const struct row rows[] = {
        ROW("large tuple", "i\377\377\377\377jjjj", ERR_LIMIT),
        ROW("list", "l\377\377\377\377jjjj", ERR_LIMIT),
        ROW("map", "t\377\377\377\377jjjj", ERR_LIMIT),
        ROW("binary", "m\377\377\377\377jjjj", ERR_TRUNCATED),
        ROW("bit binary", "M\377\377\377\377\1jjjj", ERR_TRUNCATED),
        ROW("big", "o\377\377\377\377\0jjjj", ERR_LIMIT),
        ROW("fun", "p\377\377\377\377\1" UNIQ "\0\0\0\0\0\0\0\0w\1m",
            ERR_TRUNCATED),
        ROW("free variables",
            "p\0\0\0\71\1" UNIQ "\0\0\0\0\377\377\377\377w\1ma\1b\0\0\0\1" PID,
            ERR_LIMIT),
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint8_t *copy = exact(rows[i].bytes, rows[i].size);
        size_t size;
        int rv = validate(bytes_of(copy, rows[i].size), &size);

        if (rv != rows[i].expected) {
            fail_msg("%s: %s", rows[i].name, err_atom(rv));
        }
        mem_free(copy);
    }
}

static void claims_beyond_the_rest_of_the_bytes_are_truncated(void **state)
{
    size_t size;

    (void)state;
    /* Two elements are still to come from outside: 3 are claimed inside, and
     * there are 4 bytes. */
    assert_err(validate(bytes_of("h\3h\3jjjj", 8), &size), ERR_TRUNCATED);
    assert_err(validate(bytes_of("l\0\0\0\5jjjjj", 10), &size), ERR_TRUNCATED);
    assert_err(validate(bytes_of("t\0\0\0\3jjjjj", 10), &size), ERR_TRUNCATED);
    assert_ok(validate(bytes_of("h\3h\3jjjjj", 9), &size));
}

/* `depth` tuples of one element around a nil. */
static uint8_t *new_tower(size_t depth)
{
    uint8_t *bytes = mem_alloc(2 * depth + 1);

    assert_non_null(bytes);
    for (size_t i = 0; i < depth; i++) {
        bytes[2 * i] = 'h';
        bytes[2 * i + 1] = 1;
    }
    bytes[2 * depth] = 'j';
    return bytes;
}

static void check_tower(size_t depth, int expected)
{
    uint8_t *bytes = new_tower(depth);
    size_t size;

    assert_err(validate(bytes_of(bytes, 2 * depth + 1), &size), expected);
    mem_free(bytes);
}

static void depth_limit_is_exact(void **state)
{
    struct etf_limits limits = etf_limits_default(SIZE_MAX);
    size_t size;

    (void)state;
    check_tower(ETF_DEPTH_MAX, 0);
    check_tower(ETF_DEPTH_MAX + 1, ERR_LIMIT);
    limits.depth_max = 1;
    assert_ok(etf_validate(bytes_of("h\1j", 3), &limits, &size));
    assert_err(etf_validate(bytes_of("h\1h\1j", 5), &limits, &size), ERR_LIMIT);
    limits.depth_max = 0;
    assert_ok(etf_validate(bytes_of("j", 1), &limits, &size));
    assert_err(etf_validate(bytes_of("h\1j", 3), &limits, &size), ERR_LIMIT);
}

static void ten_million_nested_tuples_are_refused(void **state)
{
    (void)state;
    check_tower(10 * 1000 * 1000, ERR_LIMIT);
}

static void lists_written_cell_by_cell_are_not_deep(void **state)
{
    enum { CELLS = 5000, CELL = 7 };
    uint8_t *bytes = mem_alloc(CELLS * CELL + 1);
    size_t size;

    (void)state;
    assert_non_null(bytes);
    for (size_t i = 0; i < CELLS; i++) {
        memcpy(bytes + i * CELL, "l\0\0\0\1a\1", CELL);
    }
    bytes[CELLS * CELL] = 'j';
    assert_ok(validate(bytes_of(bytes, CELLS * CELL + 1), &size));
    assert_int_equal(size, CELLS * CELL + 1);
    /* As elements, not as tails, they are. */
    for (size_t i = 0; i < CELLS * CELL; i += 5) {
        memcpy(bytes + i, "l\0\0\0\1", 5);
    }
    assert_err(validate(bytes_of(bytes, CELLS * CELL + 1), &size), ERR_LIMIT);
    mem_free(bytes);
}

static void elements_of_all_levels_are_counted(void **state)
{
    struct etf_limits limits = etf_limits_default(SIZE_MAX);
    size_t size;

    (void)state;
    limits.count_max = 5;
    assert_ok(etf_validate(bytes_of("h\2h\2jjh\1j", 9), &limits, &size));
    assert_err(etf_validate(bytes_of("h\2h\2jjh\2jj", 10), &limits, &size),
               ERR_LIMIT);
    assert_err(etf_validate(bytes_of("t\0\0\0\3jjjjjj", 11), &limits, &size),
               ERR_LIMIT);
}

static void size_limit_is_on_the_term(void **state)
{
    struct etf_limits limits = etf_limits_default(3);
    size_t size = 0;

    (void)state;
    assert_ok(etf_validate(bytes_of("h\1jPPPP", 7), &limits, &size));
    assert_int_equal(size, 3);
    limits.size_max = 2;
    assert_err(etf_validate(bytes_of("h\1jPPPP", 7), &limits, &size),
               ERR_LIMIT);
    assert_err(etf_validate(bytes_of("h\1", 2), &limits, &size), ERR_TRUNCATED);
    limits.size_max = 0;
    assert_err(etf_validate(bytes_of("j", 1), &limits, &size), ERR_LIMIT);
}

static void check_atom(uint8_t tag, size_t chars, const char *text,
                       int expected)
{
    uint8_t bytes[3 + 4 * 300] = {tag};
    size_t size = chars * strlen(text);
    size_t ret_size;

    bytes[1] = (uint8_t)(size >> 8);
    bytes[2] = (uint8_t)size;
    for (size_t i = 0; i < chars; i++) {
        memcpy(bytes + 3 + i * strlen(text), text, strlen(text));
    }
    assert_err(validate(bytes_of(bytes, 3 + size), &ret_size), expected);
}

static void atoms_have_at_most_255_characters(void **state)
{
    (void)state;
    check_atom('v', 255, "a", 0);
    check_atom('v', 256, "a", ERR_LIMIT);
    check_atom('v', 255, "\xf0\x9f\x98\x80", 0);
    check_atom('v', 256, "\xf0\x9f\x98\x80", ERR_LIMIT);
    check_atom('v', 256, "\xc3\xa9", ERR_LIMIT);
    check_atom('d', 255, "\xe9", 0);
    check_atom('d', 256, "\xe9", ERR_LIMIT);
}

static void external_term_fills_its_bytes(void **state)
{
    struct etf_limits limits = etf_limits_default(100);
    struct bytes raw = bytes_of(NULL, 0);

    (void)state;
    assert_ok(etf_validate_external(bytes_of("\203h\1j", 4), &limits, &raw));
    assert_bytes(raw, "h\1j", 3);
    assert_err(etf_validate_external(bytes_of("\203h\1jj", 5), &limits, &raw),
               ERR_MALFORMED);
    assert_err(etf_validate_external(bytes_of("\203h\1", 3), &limits, &raw),
               ERR_TRUNCATED);
    assert_err(etf_validate_external(bytes_of("\203", 1), &limits, &raw),
               ERR_TRUNCATED);
    assert_err(etf_validate_external(bytes_of(NULL, 0), &limits, &raw),
               ERR_TRUNCATED);
    assert_err(etf_validate_external(bytes_of("\202j", 2), &limits, &raw),
               ERR_MALFORMED);
    assert_err(etf_validate_external(bytes_of("j", 1), &limits, &raw),
               ERR_MALFORMED);
    assert_bytes(raw, "h\1j", 3);
}

/* --- In steps ------------------------------------------------------------- */

/* Validates the first `size` bytes as they would arrive, `stride` at a time,
 * from memory of just their size, looking at `work` elements a step. */
static int validate_steps(struct bytes bytes, size_t stride, size_t work,
                          const struct etf_limits *limits, size_t *ret_size)
{
    struct etf_validator validator;
    size_t arrived = 0;
    size_t idle = 0;
    bool is_done = false;
    int rv = 0;

    etf_validator_init(&validator, limits);
    while (rv == 0 && !is_done) {
        uint8_t *copy = exact((const char *)bytes.data, arrived);
        size_t before = validator.size;

        rv = etf_validator_step(&validator, bytes_of(copy, arrived), bytes.size,
                                work, &is_done);
        mem_free(copy);
        assert_in_range(validator.size, before, arrived);
        /* With all bytes there, each step gets on. */
        idle = arrived == bytes.size && validator.size == before ? idle + 1 : 0;
        assert_in_range(idle, 0, 1);
        arrived = bytes.size - arrived < stride ? bytes.size : arrived + stride;
    }
    if (rv == 0) {
        *ret_size = validator.size;
    }
    return rv;
}

/* The same result as at once, however it arrives. */
static void check_steps(const char *name, struct bytes bytes,
                        const struct etf_limits *limits)
{
    size_t size = 4711;
    int rv = etf_validate(bytes, limits, &size);

    for (size_t stride = 1; stride <= bytes.size + 1; stride++) {
        static const size_t works[] = {1, 3, SIZE_MAX};

        for (size_t i = 0; i < sizeof(works) / sizeof(works[0]); i++) {
            size_t size_now = 4711;
            int rv_now =
                validate_steps(bytes, stride, works[i], limits, &size_now);

            if (rv_now != rv || size_now != size) {
                fail_msg("%s, %zu at a time: %s, size %zu", name, stride,
                         err_atom(rv_now), size_now);
            }
        }
    }
}

static void steps_come_to_the_same_as_one(void **state)
{
    struct etf_limits limits = etf_limits_default(SIZE_MAX);

    (void)state;
    for (size_t i = 0; i < sizeof(valid_rows) / sizeof(valid_rows[0]); i++) {
        const struct row *row = &valid_rows[i];

        for (size_t cut = 0; cut <= row->size; cut++) {
            check_steps(row->name, bytes_of(row->bytes, cut), &limits);
        }
    }
    for (size_t i = 0; i < sizeof(refused_rows) / sizeof(refused_rows[0]);
         i++) {
        const struct row *row = &refused_rows[i];

        check_steps(row->name, bytes_of(row->bytes, row->size), &limits);
    }
}

static void steps_keep_to_limits(void **state)
{
    static const char term[] = "h\3l\0\0\0\2a\1h\1a\2jt\0\0\0\1a\1w\1xj";
    struct bytes bytes = bytes_of(term, sizeof(term) - 1);

    (void)state;
    for (uint32_t i = 0; i < 12; i++) {
        struct etf_limits limits = etf_limits_default(SIZE_MAX);

        limits.depth_max = i;
        check_steps("depth", bytes, &limits);
        limits.depth_max = ETF_DEPTH_MAX;
        limits.count_max = i;
        check_steps("count", bytes, &limits);
        limits.count_max = ETF_COUNT_MAX;
        limits.size_max = 2 * (size_t)i;
        check_steps("size", bytes, &limits);
    }
}

static void claims_are_refused_before_the_bytes_are_there(void **state)
{
    struct etf_limits limits = etf_limits_default(SIZE_MAX);
    struct etf_validator validator;
    bool is_done = false;

    (void)state;
    /* 1000 bytes are to come, which cannot be a list of 4096 elements. */
    etf_validator_init(&validator, &limits);
    assert_err(etf_validator_step(&validator, bytes_of("l\0\0\20\0", 5), 1000,
                                  SIZE_MAX, &is_done),
               ERR_TRUNCATED);
    etf_validator_init(&validator, &limits);
    assert_ok(etf_validator_step(&validator, bytes_of("l\0\0\1\0", 5), 1000,
                                 SIZE_MAX, &is_done));
    assert_false(is_done);
}

/* Valid rows one after another in a tuple, some bytes changed: terms that get
 * far before something is wrong with them. */
static void random_terms_in_steps(void **state)
{
    enum { ROUNDS = 300, COUNT_MAX = 6, SIZE_MAX_ = 1024 };
    struct etf_limits limits = etf_limits_default(SIZE_MAX);
    struct rng rng;
    unsigned valid = 0;

    (void)state;
    rng_init(&rng, 4711);
    for (int round = 0; round < ROUNDS; round++) {
        uint8_t bytes[SIZE_MAX_] = {'h', 0};
        size_t size = 2;
        size_t ret_size;

        bytes[1] = (uint8_t)(1 + rng_below(&rng, COUNT_MAX));
        for (int i = 0; i < bytes[1]; i++) {
            const struct row *row = &valid_rows[rng_below(
                &rng, sizeof(valid_rows) / sizeof(valid_rows[0]))];

            memcpy(bytes + size, row->bytes, row->size);
            size += row->size;
        }
        for (uint64_t i = rng_below(&rng, 3); i > 0; i--) {
            bytes[rng_below(&rng, size)] = (uint8_t)rng_next(&rng);
        }
        valid += validate(bytes_of(bytes, size), &ret_size) == 0;
        check_steps("random", bytes_of(bytes, size), &limits);
    }
    assert_in_range(valid, ROUNDS / 4, ROUNDS - ROUNDS / 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(valid_terms_pass_and_give_their_size),
        cmocka_unit_test(valid_terms_cut_anywhere_are_truncated),
        cmocka_unit_test(bytes_after_the_term_are_not_looked_at),
        cmocka_unit_test(bad_terms_are_refused),
        cmocka_unit_test(every_other_tag_is_refused),
        cmocka_unit_test(claims_of_four_billion_are_refused_at_once),
        cmocka_unit_test(claims_beyond_the_rest_of_the_bytes_are_truncated),
        cmocka_unit_test(depth_limit_is_exact),
        cmocka_unit_test(ten_million_nested_tuples_are_refused),
        cmocka_unit_test(lists_written_cell_by_cell_are_not_deep),
        cmocka_unit_test(elements_of_all_levels_are_counted),
        cmocka_unit_test(size_limit_is_on_the_term),
        cmocka_unit_test(atoms_have_at_most_255_characters),
        cmocka_unit_test(external_term_fills_its_bytes),
        cmocka_unit_test(steps_come_to_the_same_as_one),
        cmocka_unit_test(steps_keep_to_limits),
        cmocka_unit_test(claims_are_refused_before_the_bytes_are_there),
        cmocka_unit_test(random_terms_in_steps),
    };

    return cmocka_run_group_tests_name("etf_validate", tests, NULL, NULL);
}
