/* SPDX-License-Identifier: Apache-2.0
 * `quorate member`: what is asked, and what people are told. */
#include "base/buf.h"
#include "cli/member.h"
#include "etf/writer.h"
#include "lib/test.h"

#include <string.h>

enum { TEXT_SIZE_MAX = 4096 };

static enum cli_exit read_arguments(struct options *options, const char *verb,
                                    const char *word, struct buf *error)
{
    const char *argv[] = {"quorate",  "member",        verb, word, "--target",
                          "m1@h=h:1", "--cookie-file", "c",  NULL};
    const char *environment[] = {NULL};

    return options_read(options, argv, environment, error);
}

static void the_words_are_whom_and_where(void **state)
{
    static struct options options;
    struct buf error;

    (void)state;
    buf_init(&error, TEXT_SIZE_MAX);
    assert_int_equal(read_arguments(&options, "add", "m2@h=h:2", &error),
                     CLI_EXIT_OK);
    assert_true(member_is_command(options.command));
    assert_string_equal(options.subject.name, "m2@h");
    assert_string_equal(options.subject.address.text, "h:2");
    assert_int_equal(options.timeout_ms, 60000);
    assert_int_equal(read_arguments(&options, "remove", "m2@h", &error),
                     CLI_EXIT_OK);
    assert_string_equal(options.subject.name, "m2@h");
    assert_int_equal(error.size, 0);
    assert_int_equal(read_arguments(&options, "add", "m2@h", &error),
                     CLI_EXIT_USAGE);
    assert_int_equal(read_arguments(&options, "add", "m2@h=h:0", &error),
                     CLI_EXIT_USAGE);
    assert_int_equal(read_arguments(&options, "remove", "m2", &error),
                     CLI_EXIT_USAGE);
    buf_close(&error);
}

static void the_call_is_that_of_the_table(void **state)
{
    static struct options options = {.command = OPTIONS_MEMBER_ADD,
                                     .timeout_ms = 1000};
    struct buf call;
    struct buf want;

    (void)state;
    buf_init(&call, TEXT_SIZE_MAX);
    buf_init(&want, TEXT_SIZE_MAX);
    memcpy(options.subject.name, "m2@h", 5);
    memcpy(options.subject.address.text, "h:2", 4);
    member_put_call(&call, &options);
    etf_put_tuple(&want, 3);
    etf_put_atom(&want, "quorum_manager");
    etf_put_atom(&want, "add_member");
    etf_put_list(&want, 2);
    etf_put_string_binary(&want, "m2@h");
    etf_put_map(&want, 2);
    etf_put_atom(&want, "timeout");
    etf_put_u64(&want, 900);
    etf_put_atom(&want, "address");
    etf_put_string_binary(&want, "h:2");
    etf_put_nil(&want);
    assert_bytes(buf_bytes(&call), want.data, want.size);
    buf_close(&call);
    buf_close(&want);
}

static void assert_rendered(const struct buf *term, enum options_output output,
                            const char *expected)
{
    struct buf text;

    buf_init(&text, TEXT_SIZE_MAX);
    assert_ok(member_render(&text, output, buf_bytes(term)));
    assert_bytes(buf_bytes(&text), expected, strlen(expected));
    buf_close(&text);
}

static void voters_and_leader_are_printed(void **state)
{
    struct buf term;
    struct buf text;

    (void)state;
    buf_init(&term, TEXT_SIZE_MAX);
    buf_init(&text, TEXT_SIZE_MAX);
    etf_put_tuple(&term, 2);
    etf_put_atom(&term, "ok");
    etf_put_list(&term, 2);
    etf_put_atom(&term, "m1@h");
    etf_put_atom(&term, "m2@h");
    etf_put_nil(&term);
    assert_rendered(&term, OPTIONS_TABLE, "VOTERS\nm1@h\nm2@h\n");
    assert_rendered(&term, OPTIONS_JSON,
                    "{\"schema\":\"quorate.member/1\","
                    "\"voters\":[\"m1@h\",\"m2@h\"]}\n");
    buf_clear(&term);
    etf_put_tuple(&term, 2);
    etf_put_atom(&term, "ok");
    etf_put_atom(&term, "m2@h");
    assert_rendered(&term, OPTIONS_TABLE, "LEADER\nm2@h\n");
    assert_rendered(&term, OPTIONS_JSON,
                    "{\"schema\":\"quorate.member/1\",\"leader\":\"m2@h\"}\n");
    buf_clear(&term);
    etf_put_atom(&term, "ok");
    assert_err(member_render(&text, OPTIONS_TABLE, buf_bytes(&term)),
               ERR_MALFORMED);
    buf_close(&term);
    buf_close(&text);
}

static void a_failure_says_what_to_do(void **state)
{
    enum cli_exit code = CLI_EXIT_OK;
    struct buf term;

    (void)state;
    buf_init(&term, TEXT_SIZE_MAX);
    etf_put_tuple(&term, 2);
    etf_put_atom(&term, "error");
    etf_put_atom(&term, "busy");
    assert_non_null(
        strstr(member_advice(buf_bytes(&term), &code), "under way"));
    assert_int_equal(code, CLI_EXIT_TEMPFAIL);
    buf_clear(&term);
    etf_put_tuple(&term, 2);
    etf_put_atom(&term, "error");
    etf_put_tuple(&term, 2);
    etf_put_atom(&term, "refused");
    etf_put_atom(&term, "lost_disk");
    assert_non_null(
        strstr(member_advice(buf_bytes(&term), &code), "remove it"));
    assert_int_equal(code, CLI_EXIT_CONFIG);
    buf_clear(&term);
    etf_put_atom(&term, "what");
    assert_string_equal(member_advice(buf_bytes(&term), &code), "try again");
    assert_int_equal(code, CLI_EXIT_TEMPFAIL);
    buf_close(&term);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_words_are_whom_and_where),
        cmocka_unit_test(the_call_is_that_of_the_table),
        cmocka_unit_test(voters_and_leader_are_printed),
        cmocka_unit_test(a_failure_says_what_to_do),
    };

    return cmocka_run_group_tests_name("cli_member", tests, NULL, NULL);
}
