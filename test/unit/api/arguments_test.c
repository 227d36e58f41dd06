/* SPDX-License-Identifier: Apache-2.0
 * Ids in their three forms, resources, and options with their bounds. */
#include "api/arguments.h"
#include "etf/writer.h"
#include "lib/test.h"

/* A literal as bytes. */
#define RAW(text) bytes_of(text, sizeof(text) - 1)

static void ids_are_binaries_strings_or_atoms(void **state)
{
    static const struct {
        struct bytes raw;
        struct bytes id;
    } rows[] = {
        {{(const uint8_t *)"m\0\0\0\3abc", 8}, {(const uint8_t *)"abc", 3}},
        {{(const uint8_t *)"m\0\0\0\2\0\xff", 7},
         {(const uint8_t *)"\0\xff", 2}},
        {{(const uint8_t *)"w\3abc", 5}, {(const uint8_t *)"abc", 3}},
        {{(const uint8_t *)"v\0\3abc", 6}, {(const uint8_t *)"abc", 3}},
        {{(const uint8_t *)"k\0\3abc", 6}, {(const uint8_t *)"abc", 3}},
        {{(const uint8_t *)"k\0\1\xe9", 4}, {(const uint8_t *)"\xc3\xa9", 2}},
        /* [16#20ac, 16#1f600] */
        {{(const uint8_t *)"l\0\0\0\2b\0\0\x20\xac"
                           "b\0\1\xf6\0j",
          16},
         {(const uint8_t *)"\xe2\x82\xac\xf0\x9f\x98\x80", 7}},
    };
    uint8_t text[REGISTRY_ID_SIZE_MAX];
    struct buf reason;
    struct bytes id;

    (void)state;
    buf_init(&reason, 1000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_ok(arguments_id(rows[i].raw, "id", text, &id, &reason));
        assert_bytes(id, rows[i].id.data, rows[i].id.size);
    }
    assert_int_equal(reason.size, 0);
    buf_close(&reason);
}

static void lists_of_nodes_are_bounded_and_have_no_twins(void **state)
{
    static const struct {
        struct bytes raw;
        bool is_good;
    } rows[] = {
        {{(const uint8_t *)"j", 1}, true},
        {{(const uint8_t *)"l\0\0\0\2w\3a@hw\3b@hj", 16}, true},
        {{(const uint8_t *)"l\0\0\0\2w\3a@hw\3a@hj", 16}, false},
        {{(const uint8_t *)"l\0\0\0\1w\1aj", 9}, false},          /* no node */
        {{(const uint8_t *)"l\0\0\0\1w\3a@hw\3b@h", 15}, false},  /* improper */
        {{(const uint8_t *)"l\0\0\0\1m\0\0\0\3a@hj", 14}, false}, /* binary */
        {{(const uint8_t *)"k\0\1a", 4}, false},                  /* a string */
        {{(const uint8_t *)"w\3a@h", 5}, false},                  /* no list */
    };
    struct buf reason;
    struct buf many;
    struct bytes nodes;

    (void)state;
    buf_init(&reason, 1000);
    buf_init(&many, 100000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        if (rows[i].is_good) {
            assert_ok(arguments_nodes(rows[i].raw, &nodes, &reason));
            assert_bytes(nodes, rows[i].raw.data, rows[i].raw.size);
        } else {
            assert_err(arguments_nodes(rows[i].raw, &nodes, &reason),
                       ERR_BADARG);
            assert_bytes(buf_bytes(&reason), "w\5nodes", 7);
        }
        buf_clear(&reason);
    }
    for (uint32_t count = API_NODES_MAX; count <= API_NODES_MAX + 1; count++) {
        buf_clear(&many);
        etf_put_list(&many, count);
        for (uint32_t i = 0; i < count; i++) {
            uint8_t name[] = {(uint8_t)('a' + i / 26), (uint8_t)('a' + i % 26),
                              '@', 'h'};

            etf_put_atom_bytes(&many, bytes_of(name, sizeof(name)));
        }
        etf_put_nil(&many);
        assert_err(arguments_nodes(buf_bytes(&many), &nodes, &reason),
                   count == API_NODES_MAX ? 0 : ERR_BADARG);
    }
    buf_close(&reason);
    buf_close(&many);
}

static void other_terms_are_no_ids(void **state)
{
    static const struct {
        const char *raw;
        size_t size;
    } rows[] = {
        {"m\0\0\0\0", 5},                    /* empty */
        {"w\0", 2},                          /* '' */
        {"j", 1},                            /* [] */
        {"a\5", 2},                          /* 5 */
        {"h\0", 2},                          /* {} */
        {"l\0\0\0\1w\1aj", 9},               /* [a] */
        {"l\0\0\0\1a\1a\2", 9},              /* [1 | 2] */
        {"l\0\0\0\1b\0\0\xd8\0j", 11},       /* a surrogate */
        {"l\0\0\0\1b\0\x11\0\0j", 11},       /* beyond Unicode */
        {"l\0\0\0\1b\xff\xff\xff\xffj", 11}, /* -1 */
    };
    uint8_t text[REGISTRY_ID_SIZE_MAX];
    struct buf reason;
    struct bytes id;

    (void)state;
    buf_init(&reason, 1000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_err(arguments_id(bytes_of(rows[i].raw, rows[i].size), "id", text,
                                &id, &reason),
                   ERR_BADARG);
        assert_bytes(buf_bytes(&reason), "w\2id", 4);
        buf_clear(&reason);
    }
    buf_close(&reason);
}

static void ids_have_at_most_255_bytes(void **state)
{
    uint8_t text[REGISTRY_ID_SIZE_MAX];
    char many[256];
    struct buf raw;
    struct buf reason;
    struct bytes id;

    (void)state;
    buf_init(&raw, 1000);
    buf_init(&reason, 1000);
    memset(many, 'x', sizeof(many));
    for (size_t size = 255; size <= 256; size++) {
        int expected = size == 255 ? 0 : ERR_BADARG;

        buf_clear(&raw);
        etf_put_binary(&raw, bytes_of(many, size));
        assert_err(arguments_id(buf_bytes(&raw), "id", text, &id, &reason),
                   expected);
        buf_clear(&raw);
        buf_put_u8(&raw, 107);
        buf_put_u16(&raw, (uint16_t)size);
        buf_put(&raw, many, size);
        assert_err(arguments_id(buf_bytes(&raw), "id", text, &id, &reason),
                   expected);
    }
    buf_close(&raw);
    buf_close(&reason);
}

static void resources_are_optional_numbers(void **state)
{
    struct resources resources = {9, 9};
    struct buf reason;

    (void)state;
    buf_init(&reason, 1000);
    assert_ok(arguments_resources(RAW("t\0\0\0\2w\3cpub\0\0\1\xf4w\6memorya\7"),
                                  &resources, &reason));
    assert_int_equal(resources.cpu, 500);
    assert_int_equal(resources.memory, 7);
    assert_ok(arguments_resources(RAW("t\0\0\0\0"), &resources, &reason));
    assert_int_equal(resources.cpu, 0);
    assert_int_equal(resources.memory, 0);
    buf_close(&reason);
}

static void bad_resources_are_named(void **state)
{
    static const struct {
        const char *raw;
        size_t size;
        const char *what;
        size_t what_size;
    } rows[] = {
        {"j", 1, "w\11resources", 11},
        {"t\0\0\0\1w\3cpub\xff\xff\xff\xff", 15, "w\3cpu", 5},
        {"t\0\0\0\1w\3cpun\4\0\0\0\0\x80", 17, "w\3cpu", 5},
        {"t\0\0\0\1w\6memoryw\1a", 16, "w\6memory", 8},
        {"t\0\0\0\1w\4diska\1", 13, "h\2w\16unknown_optionw\4disk", 24},
        {"t\0\0\0\1a\1a\1", 9, "h\2w\16unknown_optiona\1", 20},
    };
    struct buf reason;

    (void)state;
    buf_init(&reason, 1000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct resources resources = {9, 9};

        assert_err(arguments_resources(bytes_of(rows[i].raw, rows[i].size),
                                       &resources, &reason),
                   ERR_BADARG);
        assert_bytes(buf_bytes(&reason), rows[i].what, rows[i].what_size);
        assert_int_equal(resources.cpu, 9);
        buf_clear(&reason);
    }
    buf_close(&reason);
}

/* --- Options -------------------------------------------------------------- */

/* A function that takes every option. */
static const struct api_function all = {.options = UINT32_MAX};

/* Gives #{Key => Value} with a raw value. */
static int give(struct api_request *request, const char *key, const char *value,
                size_t size, struct buf *reason)
{
    static uint8_t kept[300];
    struct buf raw;
    int rv;

    buf_init(&raw, sizeof(kept));
    etf_put_map(&raw, 1);
    etf_put_atom(&raw, key);
    etf_put_raw(&raw, bytes_of(value, size));
    assert_ok(buf_error(&raw));
    memcpy(kept, raw.data, raw.size);
    *request = (struct api_request){.function = &all, .route = API_READ};
    rv = arguments_options(bytes_of(kept, raw.size), request, reason);
    buf_close(&raw);
    return rv;
}

static void options_have_bounds(void **state)
{
    static const struct {
        const char *key;
        const char *value;
        size_t size;
        bool is_good;
    } rows[] = {
        {"timeout", "a\1", 2, true},
        {"timeout", "a\0", 2, false},
        {"timeout", "b\0\x36\xee\x80", 5, true},  /* 3600000 */
        {"timeout", "b\0\x36\xee\x81", 5, false}, /* 3600001 */
        {"timeout", "w\10infinity", 10, false},
        {"rf", "a\1", 2, true},
        {"rf", "a\7", 2, true},
        {"rf", "a\0", 2, false},
        {"rf", "a\10", 2, false},
        {"priority", "a\0", 2, true},
        {"priority", "a\11", 2, true},
        {"priority", "a\12", 2, false},
        {"mode", "w\6strong", 8, true},
        {"mode", "w\11available", 11, true},
        {"mode", "w\5other", 7, false},
        {"durability", "w\15majority_disk", 15, true},
        {"durability", "w\5async", 7, false},
        {"profile", "w\6spread", 8, true},
        {"profile", "w\4pack", 6, true},
        {"profile", "w\6random", 8, true},
        {"profile", "w\5other", 7, false},
        {"checkpoint", "t\0\0\0\0", 5, true},
        {"checkpoint", "a\1", 2, false},
        {"conflict", "w\10earliest", 10, true},
        {"conflict", "w\15Elixir.MyCase", 15, true},
        {"conflict", "a\1", 2, false},
        {"how", "w\4take", 6, true},
        {"how", "w\7resolve", 9, true},
        {"how", "w\5maybe", 7, false},
        {"restarts", "t\0\0\0\0", 5, true},
        {"restarts", "a\1", 2, false},
        {"consistency", "w\5local", 7, true},
        {"consistency", "w\14linearizable", 14, true},
        {"consistency", "w\4some", 6, false},
        {"limit", "a\1", 2, true},
        {"limit", "a\0", 2, false},
        {"limit", "b\0\0\x27\x10", 5, true},  /* 10000 */
        {"limit", "b\0\0\x27\x11", 5, false}, /* 10001 */
        {"after", "w\1x", 3, true},
        {"after", "j", 1, false},
        {"worker", "w\3a@b", 5, true},
        {"worker", "w\0", 2, false},
        {"worker", "m\0\0\0\3a@b", 8, false},
        {"seq", "a\1", 2, true},
        {"seq", "a\0", 2, false},
        {"seq", "n\10\0\xff\xff\xff\xff\xff\xff\xff\x7f", 11, true},
        {"seq", "n\10\0\0\0\0\0\0\0\0\x80", 11, false},
        {"resources", "t\0\0\0\0", 5, true},
        {"resources", "j", 1, false},
    };
    struct buf reason;

    (void)state;
    buf_init(&reason, 1000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct api_request request;
        struct buf what;

        buf_init(&what, 1000);
        assert_err(
            give(&request, rows[i].key, rows[i].value, rows[i].size, &reason),
            rows[i].is_good ? 0 : ERR_BADARG);
        if (!rows[i].is_good) {
            etf_put_atom(&what, rows[i].key);
        }
        assert_bytes(buf_bytes(&reason), what.data, what.size);
        buf_clear(&reason);
        buf_close(&what);
    }
    buf_close(&reason);
}

static void options_take_effect(void **state)
{
    struct api_request request;
    struct buf reason;

    (void)state;
    buf_init(&reason, 1000);
    assert_ok(give(&request, "timeout", "a\5", 2, &reason));
    assert_int_equal(request.timeout_ms, 5);
    assert_int_equal(request.options.data[0], 116);
    assert_ok(give(&request, "rf", "a\5", 2, &reason));
    assert_int_equal(request.rf, 5);
    assert_ok(give(&request, "priority", "a\3", 2, &reason));
    assert_int_equal(request.priority, 3);
    assert_ok(give(&request, "profile", "w\4pack", 6, &reason));
    assert_int_equal(request.profile, PLACEMENT_PACK);
    assert_ok(give(&request, "limit", "a\3", 2, &reason));
    assert_int_equal(request.limit, 3);
    assert_ok(give(&request, "after", "k\0\1x", 4, &reason));
    assert_bytes(request.after, "x", 1);
    assert_ok(give(&request, "worker", "w\3a@b", 5, &reason));
    assert_bytes(request.worker, "a@b", 3);
    assert_ok(give(&request, "how", "w\7resolve", 9, &reason));
    assert_int_equal(request.how, COPY_RESOLVE);
    assert_false(request.has_seq);
    assert_ok(give(&request, "seq", "a\3", 2, &reason));
    assert_true(request.has_seq);
    assert_int_equal(request.seq, 3);
    assert_ok(give(&request, "consistency", "w\14linearizable", 14, &reason));
    assert_int_equal(request.route, API_READ);
    assert_ok(give(&request, "consistency", "w\5local", 7, &reason));
    assert_int_equal(request.route, API_LOCAL);
    assert_ok(give(&request, "resources", "t\0\0\0\1w\3cpua\2", 12, &reason));
    assert_int_equal(request.resources.cpu, 2);
    assert_int_equal(reason.size, 0);
    buf_close(&reason);
}

static void unknown_options_are_named(void **state)
{
    static const struct api_function none = {.options = API_OPTION_SEQ};
    struct api_request request = {.function = &none};
    struct buf reason;
    struct buf raw;

    (void)state;
    buf_init(&reason, 3000);
    buf_init(&raw, 3000);
    /* A key that this function does not take. */
    assert_err(
        arguments_options(RAW("t\0\0\0\1w\7timeouta\1"), &request, &reason),
        ERR_BADARG);
    assert_bytes(buf_bytes(&reason), "h\2w\16unknown_optionw\7timeout", 27);
    buf_clear(&reason);
    /* No atom. */
    assert_err(
        arguments_options(RAW("t\0\0\0\1m\0\0\0\3seqa\1"), &request, &reason),
        ERR_BADARG);
    assert_bytes(buf_bytes(&reason), "h\2w\16unknown_optionm\0\0\0\3seq", 26);
    buf_clear(&reason);
    /* A key that is too long to be sent back. */
    etf_put_map(&raw, 1);
    buf_put_u8(&raw, 109);
    buf_put_u32(&raw, 2000);
    memset(buf_reserve(&raw, 2000), 'x', 2000);
    buf_commit(&raw, 2000);
    etf_put_nil(&raw);
    assert_err(arguments_options(buf_bytes(&raw), &request, &reason),
               ERR_BADARG);
    assert_bytes(buf_bytes(&reason), "w\16unknown_option", 16);
    buf_clear(&reason);
    /* No map. */
    assert_err(arguments_options(RAW("j"), &request, &reason), ERR_BADARG);
    assert_bytes(buf_bytes(&reason), "w\7options", 9);
    buf_close(&raw);
    buf_close(&reason);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ids_are_binaries_strings_or_atoms),
        cmocka_unit_test(lists_of_nodes_are_bounded_and_have_no_twins),
        cmocka_unit_test(other_terms_are_no_ids),
        cmocka_unit_test(ids_have_at_most_255_bytes),
        cmocka_unit_test(resources_are_optional_numbers),
        cmocka_unit_test(bad_resources_are_named),
        cmocka_unit_test(options_have_bounds),
        cmocka_unit_test(options_take_effect),
        cmocka_unit_test(unknown_options_are_named),
    };

    return cmocka_run_group_tests_name("api_arguments", tests, NULL, NULL);
}
