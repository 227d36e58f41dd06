/* SPDX-License-Identifier: Apache-2.0
 * The options of spawn requests: those that virtual machines know, in all
 * their forms, and those that they do not. */
#include "dist/options.h"
#include "lib/test.h"

#define LITERAL(text) text, sizeof(text) - 1

static const struct row {
    const char *list;
    size_t size;
    struct spawn_options options;
} rows[] = {
    {LITERAL("j"), {false, false, false}},
    {LITERAL("l\0\0\0\1w\7monitorj"), {false, true, false}},
    {LITERAL("l\0\0\0\2w\7monitorw\4linkj"), {true, true, false}},
    {LITERAL("l\0\0\0\1h\2w\7monitorjj"), {false, true, false}},
    {LITERAL("l\0\0\0\1h\2w\4linkl\0\0\0\1w\10priorityjj"),
     {true, false, false}},
    {LITERAL("l\0\0\0\1h\2w\10priorityw\3lowj"), {false, false, false}},
    {LITERAL("l\0\0\0\1h\2w\12async_distw\4truej"), {false, false, false}},
    {LITERAL("l\0\0\0\1h\2w\5replyw\2noj"), {false, false, false}},
    {LITERAL("l\0\0\0\1h\2w\11reply_taga\1j"), {false, false, false}},
    {LITERAL("l\0\0\0\1h\2w\15max_heap_sizet\0\0\0\0j"), {false, false, false}},
    {LITERAL("l\0\0\0\1h\2w\15min_heap_sizea\5j"), {false, false, false}},
    /* Unknown ones, and known ones of a wrong form. */
    {LITERAL("l\0\0\0\1w\5otherj"), {false, false, true}},
    {LITERAL("l\0\0\0\2w\4linkw\5otherj"), {true, false, true}},
    {LITERAL("l\0\0\0\1h\2w\5othera\1j"), {false, false, true}},
    {LITERAL("l\0\0\0\1h\3w\4linkjjj"), {false, false, true}},
    {LITERAL("l\0\0\0\1h\2w\10prioritya\1j"), {false, false, true}},
    {LITERAL("l\0\0\0\1h\2w\4linka\1j"), {false, false, true}},
    {LITERAL("l\0\0\0\1h\2w\15min_heap_sizew\1aj"), {false, false, true}},
    {LITERAL("k\0\1a"), {false, false, true}},
};

static void options_are_told_apart(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct bytes raw = bytes_of(rows[i].list, rows[i].size);
        struct etf_reader reader = etf_reader_of(raw);
        struct spawn_options options;

        assert_ok(spawn_options_read(&reader, &options));
        assert_true(etf_at_end(&reader));
        assert_true(options.is_linked == rows[i].options.is_linked);
        assert_true(options.is_monitored == rows[i].options.is_monitored);
        assert_true(options.is_bad == rows[i].options.is_bad);
    }
}

static void what_is_cut_or_no_list_is_refused(void **state)
{
    static const char *const others[] = {"w\4link", "a\1", "l\0\0\0\1w\1aw\1b"};
    static const size_t sizes[] = {6, 2, 11};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        for (size_t size = 0; size < rows[i].size; size++) {
            struct etf_reader reader =
                etf_reader_of(bytes_of(rows[i].list, size));
            struct etf_reader before = reader;
            struct spawn_options options;

            assert_true(spawn_options_read(&reader, &options) != 0);
            assert_memory_equal(&reader, &before, sizeof(reader));
        }
    }
    for (size_t i = 0; i < 3; i++) {
        struct etf_reader reader = etf_reader_of(bytes_of(others[i], sizes[i]));
        struct spawn_options options;

        assert_err(spawn_options_read(&reader, &options), ERR_BADARG);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(options_are_told_apart),
        cmocka_unit_test(what_is_cut_or_no_list_is_refused),
    };

    return cmocka_run_group_tests_name("dist_options", tests, NULL, NULL);
}
