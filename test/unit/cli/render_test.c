/* SPDX-License-Identifier: Apache-2.0
 * cli/render and cli/columns: answers as tables and documents. */
#include "base/mem.h"
#include "cli/columns.h"
#include "cli/render.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "lib/test.h"

enum { TEXT_SIZE_MAX = 1024 * 1024 };

struct fixture {
    struct buf term;
    struct buf text;
};

static int set_up(void **state)
{
    struct fixture *fixture = mem_alloc(sizeof(*fixture));

    buf_init(&fixture->term, TEXT_SIZE_MAX);
    buf_init(&fixture->text, TEXT_SIZE_MAX);
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

static void assert_rendered(struct fixture *fixture,
                            enum options_command command,
                            enum options_output output, const char *expected)
{
    buf_clear(&fixture->text);
    assert_ok(
        render(&fixture->text, command, output, buf_bytes(&fixture->term)));
    buf_put_u8(&fixture->text, 0);
    assert_string_equal((char *)fixture->text.data, expected);
}

static void put_member(struct buf *term, const char *name, bool is_up)
{
    etf_put_map(term, 3);
    etf_put_atom(term, "name");
    etf_put_atom(term, name);
    etf_put_atom(term, "up");
    etf_put_bool(term, is_up);
    etf_put_atom(term, "role");
    etf_put_atom(term, is_up ? "leader" : "unknown");
}

static void members_are_rows(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    etf_put_list(&fixture->term, 2);
    put_member(&fixture->term, "m1@host", true);
    put_member(&fixture->term, "member2@host", false);
    etf_put_nil(&fixture->term);
    assert_rendered(fixture, OPTIONS_MEMBERS, OPTIONS_TABLE,
                    "NAME          UP   ROLE     STANDING  ADDRESS\n"
                    "m1@host       yes  leader   -         -\n"
                    "member2@host  no   unknown  -         -\n");
    assert_rendered(fixture, OPTIONS_MEMBERS, OPTIONS_JSON,
                    "{\"schema\":\"quorate.members/1\",\"members\":["
                    "{\"name\":\"m1@host\",\"up\":true,\"role\":\"leader\"},"
                    "{\"name\":\"member2@host\",\"up\":false,"
                    "\"role\":\"unknown\"}]}\n");
}

static void the_status_is_pairs(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    etf_put_map(&fixture->term, 4);
    etf_put_atom(&fixture->term, "quorum");
    etf_put_bool(&fixture->term, false);
    etf_put_atom(&fixture->term, "leader");
    etf_put_atom(&fixture->term, "undefined");
    etf_put_atom(&fixture->term, "commit_index");
    etf_put_u64(&fixture->term, 12);
    etf_put_atom(&fixture->term, "links");
    etf_put_map(&fixture->term, 2);
    etf_put_atom(&fixture->term, "up");
    etf_put_u64(&fixture->term, 3);
    etf_put_atom(&fixture->term, "closed");
    etf_put_u64(&fixture->term, 4);
    assert_rendered(fixture, OPTIONS_STATUS, OPTIONS_TABLE,
                    "quorum        no\n"
                    "leader        -\n"
                    "commit_index  12\n"
                    "links.up      3\n"
                    "links.closed  4\n");
    assert_rendered(fixture, OPTIONS_STATUS, OPTIONS_JSON,
                    "{\"schema\":\"quorate.status/1\",\"quorum\":false,"
                    "\"leader\":null,\"commit_index\":12,"
                    "\"links\":{\"up\":3,\"closed\":4}}\n");
}

static void put_amounts(struct buf *term, const char *key, uint64_t cpu,
                        uint64_t memory)
{
    etf_put_atom(term, key);
    etf_put_map(term, 2);
    etf_put_atom(term, "cpu");
    etf_put_u64(term, cpu);
    etf_put_atom(term, "memory");
    etf_put_u64(term, memory);
}

static void workers_show_what_is_committed_of_what_there_is(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    etf_put_list(&fixture->term, 1);
    etf_put_map(&fixture->term, 7);
    etf_put_atom(&fixture->term, "name");
    etf_put_atom(&fixture->term, "w@host");
    etf_put_atom(&fixture->term, "up");
    etf_put_bool(&fixture->term, true);
    etf_put_atom(&fixture->term, "member");
    etf_put_atom(&fixture->term, "m1@host");
    etf_put_atom(&fixture->term, "sandboxes");
    etf_put_u64(&fixture->term, 3);
    put_amounts(&fixture->term, "capacity", 4000, 8192);
    put_amounts(&fixture->term, "committed", 300, 512);
    put_amounts(&fixture->term, "load", 12, 34);
    etf_put_nil(&fixture->term);
    assert_rendered(
        fixture, OPTIONS_WORKERS, OPTIONS_TABLE,
        "NAME    UP   MEMBER   SANDBOXES  CPU       MEMORY    CPU%  MEM%\n"
        "w@host  yes  m1@host  3          300/4000  512/8192  12    34\n");
}

/* `status` NULL: {failed, noproc}; what is missing comes out as a dash. */
static void put_sandbox(struct buf *term, const char *id, const char *status)
{
    etf_put_map(term, 2);
    etf_put_atom(term, "id");
    etf_put_string_binary(term, id);
    etf_put_atom(term, "status");
    if (status == NULL) {
        etf_put_tuple(term, 2);
        etf_put_atom(term, "failed");
        etf_put_atom(term, "noproc");
    } else {
        etf_put_atom(term, status);
    }
}

static void sandboxes_have_a_status_in_one_word(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    etf_put_list(&fixture->term, 2);
    put_sandbox(&fixture->term, "tenant\n1", "running");
    put_sandbox(&fixture->term, "t2", NULL);
    etf_put_nil(&fixture->term);
    assert_rendered(fixture, OPTIONS_SANDBOXES, OPTIONS_TABLE,
                    "ID        STATUS   EPOCH  WORKER  PID\n"
                    "tenant?1  running  -      -       -\n"
                    "t2        failed   -      -       -\n");
}

static void an_empty_list_is_titles_only(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    etf_put_nil(&fixture->term);
    assert_rendered(fixture, OPTIONS_MEMBERS, OPTIONS_TABLE,
                    "NAME  UP  ROLE  STANDING  ADDRESS\n");
    assert_rendered(fixture, OPTIONS_MEMBERS, OPTIONS_JSON,
                    "{\"schema\":\"quorate.members/1\",\"members\":[]}\n");
}

static void another_term_is_malformed(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;

    etf_put_atom(&fixture->term, "surprise");
    for (int output = OPTIONS_TABLE; output <= OPTIONS_JSON; output++) {
        assert_err(render(&fixture->text, OPTIONS_STATUS,
                          (enum options_output)output,
                          buf_bytes(&fixture->term)),
                   ERR_MALFORMED);
        assert_err(render(&fixture->text, OPTIONS_MEMBERS,
                          (enum options_output)output,
                          buf_bytes(&fixture->term)),
                   ERR_MALFORMED);
    }
}

static void wide_columns_are_cut_to_the_line(void **state)
{
    struct fixture *fixture = (struct fixture *)*state;
    struct columns columns;
    char wide[200];
    const uint8_t *line;

    (void)memset(wide, 'w', sizeof(wide));
    wide[sizeof(wide) - 1] = '\0';
    columns_init(&columns, 3);
    columns_put(&columns, "short");
    columns_put(&columns, wide);
    columns_put(&columns, "gr\xc3\xbc\xc3\x9f"
                          "e");
    columns_put(&columns, wide);
    columns_put(&columns, "x");
    columns_put(&columns, "end");
    columns_print(&columns, &fixture->text);
    assert_ok(buf_error(&fixture->text));
    line = memchr(fixture->text.data, '\n', fixture->text.size);
    assert_non_null(line);
    /* 80 characters, two of which have two bytes. */
    assert_int_equal(line - fixture->text.data, 82);
    assert_memory_equal(line - 7,
                        "gr\xc3\xbc\xc3\x9f"
                        "e",
                        7);
    assert_non_null(memmem(fixture->text.data, fixture->text.size, "w..  ", 5));
    columns_close(&columns);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)
    const struct CMUnitTest tests[] = {
        TEST(members_are_rows),
        TEST(the_status_is_pairs),
        TEST(workers_show_what_is_committed_of_what_there_is),
        TEST(sandboxes_have_a_status_in_one_word),
        TEST(an_empty_list_is_titles_only),
        TEST(another_term_is_malformed),
        TEST(wide_columns_are_cut_to_the_line),
    };
#undef TEST

    return cmocka_run_group_tests_name("cli/render", tests, NULL, NULL);
}
