/* SPDX-License-Identifier: Apache-2.0
 * cli/json: every kind of term as JSON. */
#include "base/mem.h"
#include "cli/json.h"
#include "etf/limits.h"
#include "etf/writer.h"
#include "lib/test.h"

enum { SIZE_MAX_TEXT = 1024 * 1024 };

struct fixture {
    struct buf term;
    struct buf text;
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_alloc(sizeof(*fixture));

    buf_init(&fixture->term, SIZE_MAX_TEXT);
    buf_init(&fixture->text, SIZE_MAX_TEXT);
    *state = fixture;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    buf_close(&fixture->term);
    buf_close(&fixture->text);
    mem_free(fixture);
    return 0;
}

static void assert_json(struct fixture *fixture, const char *expected)
{
    struct etf_limits limits = etf_limits_default(SIZE_MAX_TEXT);
    size_t size;

    assert_ok(buf_error(&fixture->term));
    assert_ok(etf_validate(buf_bytes(&fixture->term), &limits, &size));
    assert_int_equal(size, fixture->term.size);
    buf_clear(&fixture->text);
    assert_ok(json_put_term(&fixture->text, buf_bytes(&fixture->term)));
    buf_put_u8(&fixture->text, 0);
    assert_string_equal((char *)fixture->text.data, expected);
    buf_clear(&fixture->term);
}

static void plain_terms_are_plain_json(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    const struct etf_pid pid = {
        .node = bytes_of_string("a@b"), .id = 7, .serial = 8, .creation = 9};
    const uint32_t words[] = {1, 2, 3};

    etf_put_atom(&fixture->term, "leader");
    assert_json(fixture, "\"leader\"");
    etf_put_atom(&fixture->term, "undefined");
    assert_json(fixture, "null");
    etf_put_bool(&fixture->term, true);
    assert_json(fixture, "true");
    etf_put_bool(&fixture->term, false);
    assert_json(fixture, "false");
    etf_put_u64(&fixture->term, UINT64_MAX);
    assert_json(fixture, "18446744073709551615");
    etf_put_i64(&fixture->term, INT64_MIN);
    assert_json(fixture, "-9223372036854775808");
    etf_put_double(&fixture->term, 0.25);
    assert_json(fixture, "0.25");
    etf_put_pid(&fixture->term, &pid);
    assert_json(fixture, "\"<a@b.7.8>\"");
    etf_put_reference(&fixture->term, bytes_of_string("a@b"), 9, words, 3);
    assert_json(fixture, "\"<reference>\"");
}

static void strings_are_escaped(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    etf_put_string_binary(&fixture->term, "a\"b\\c\n\x1b\x7f");
    assert_json(fixture, "\"a\\\"b\\\\c\\u000a\\u001b\\u007f\"");
    etf_put_string_binary(&fixture->term, "gr\xc3\xbc\xc3\x9f");
    assert_json(fixture, "\"gr\xc3\xbc\xc3\x9f\"");
    etf_put_binary(&fixture->term, bytes_of("\xff\x80z", 3));
    assert_json(fixture, "\"\\u00ff\\u0080z\"");
    etf_put_string_binary(&fixture->term, "undefined");
    assert_json(fixture, "\"undefined\"");
}

static void containers_nest(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    etf_put_map(&fixture->term, 3);
    etf_put_atom(&fixture->term, "list");
    etf_put_list(&fixture->term, 2);
    etf_put_u64(&fixture->term, 1);
    etf_put_tuple(&fixture->term, 2);
    etf_put_atom(&fixture->term, "a");
    etf_put_map(&fixture->term, 0);
    etf_put_nil(&fixture->term);
    etf_put_string_binary(&fixture->term, "empty");
    etf_put_nil(&fixture->term);
    etf_put_u64(&fixture->term, 5);
    etf_put_tuple(&fixture->term, 0);
    assert_json(fixture, "{\"list\":[1,[\"a\",{}]],\"empty\":[],\"5\":[]}");
}

static void character_lists_are_arrays(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    buf_put(&fixture->term, "\x6b\x00\x03\x61\x62\x63", 6);
    assert_json(fixture, "[97,98,99]");
}

static void keys_that_are_containers_are_only_named(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    etf_put_map(&fixture->term, 1);
    etf_put_tuple(&fixture->term, 1);
    etf_put_u64(&fixture->term, 1);
    etf_put_u64(&fixture->term, 2);
    assert_json(fixture, "{\"<term>\":2}");
}

static void improper_lists_are_only_named(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    etf_put_tuple(&fixture->term, 2);
    etf_put_list(&fixture->term, 1);
    etf_put_u64(&fixture->term, 1);
    etf_put_u64(&fixture->term, 2);
    etf_put_u64(&fixture->term, 3);
    assert_json(fixture, "[\"<improper list>\",3]");
}

static void the_deepest_term_is_no_problem(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    size_t depth = ETF_DEPTH_MAX - 1;

    for (size_t i = 0; i < depth; i++) {
        etf_put_tuple(&fixture->term, 1);
    }
    etf_put_u64(&fixture->term, 1);
    assert_ok(json_put_term(&fixture->text, buf_bytes(&fixture->term)));
    assert_int_equal(fixture->text.size, 2 * depth + 1);
}

static void a_truncated_term_is_an_error(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    etf_put_tuple(&fixture->term, 2);
    etf_put_u64(&fixture->term, 1);
    etf_put_string_binary(&fixture->term, "abc");
    for (size_t size = 0; size < fixture->term.size; size++) {
        buf_clear(&fixture->text);
        assert_int_not_equal(
            json_put_term(&fixture->text, bytes_of(fixture->term.data, size)),
            0);
    }
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(plain_terms_are_plain_json),
        TEST(strings_are_escaped),
        TEST(containers_nest),
        TEST(character_lists_are_arrays),
        TEST(keys_that_are_containers_are_only_named),
        TEST(improper_lists_are_only_named),
        TEST(the_deepest_term_is_no_problem),
        TEST(a_truncated_term_is_an_error),
    };
#undef TEST

    return cmocka_run_group_tests_name("cli/json", tests, NULL, NULL);
}
