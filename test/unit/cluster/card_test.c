/* SPDX-License-Identifier: Apache-2.0
 * Cards come back as they went out; nothing else is taken for one. */
#include "base/buf.h"
#include "cluster/card.h"
#include "lib/test.h"

#include <stdio.h>
#include <string.h>

static const char full[] = "quorate 2\n"
                           "name q1@h\n"
                           "id 0000000000000001\n"
                           "cluster 00000000000000ff\n"
                           "instance 123456789abcdef0\n"
                           "address h:4370\n"
                           "voter q1@h\n"
                           "voter q2@h\n"
                           "index 17\n"
                           "member 0000000000000001 123456789abcdef0 q1@h h:1\n"
                           "member 0000000000000002 0000000000000000 q2@h -\n";

static const char empty[] = "quorate 2\n"
                            "name q1@h\n"
                            "id 0000000000000001\n"
                            "cluster -\n"
                            "instance 0000000000000002\n"
                            "address -\n"
                            "index 0\n";

static void assert_comes_back(const char *text, struct card *ret_card)
{
    struct buf again;

    assert_ok(card_parse(bytes_of_string(text), ret_card));
    directory_check(&ret_card->directory);
    buf_init(&again, CARD_SIZE_MAX);
    card_print(&again, ret_card);
    assert_bytes(buf_bytes(&again), text, strlen(text));
    buf_close(&again);
}

static void card_comes_back_as_it_went_out(void **state)
{
    struct card card;

    (void)state;
    assert_comes_back(full, &card);
    assert_string_equal(card.name, "q1@h");
    assert_int_equal(card.cluster, 0xff);
    assert_true(card.instance == UINT64_C(0x123456789abcdef0));
    assert_string_equal(card.address, "h:4370");
    assert_int_equal(card.voter_count, 2);
    assert_string_equal(card.voters[1], "q2@h");
    assert_int_equal(card.directory.index, 17);
    assert_int_equal(card.directory.count, 2);
    assert_string_equal(card.directory.entries[1].address, "");
    assert_comes_back(empty, &card);
    assert_int_equal(card.cluster, 0);
    assert_string_equal(card.address, "");
    assert_int_equal(card.voter_count, 0);
}

static void no_part_of_a_card_is_one(void **state)
{
    struct card card = {.id = 42};

    (void)state;
    /* Whole lines at the end are all that may be missing: members. */
    for (size_t size = 0; size < sizeof(full) - 1; size++) {
        int rv = card_parse(bytes_of(full, size), &card);
        bool is_whole = size > 0 && full[size - 1] == '\n' &&
                        size >= (size_t)(strstr(full, "member") - full);

        assert_err(rv, is_whole ? 0 : ERR_MALFORMED);
        assert_int_equal(card.id, is_whole ? 1 : 42);
        card.id = 42;
    }
}

static void other_versions_are_told_from_rubbish(void **state)
{
    struct card card;

    (void)state;
    assert_err(card_parse(bytes_of_string("quorate 1\nname q1@h\n"), &card),
               ERR_UNSUPPORTED);
    assert_err(card_parse(bytes_of_string("quorate 22\n"), &card),
               ERR_UNSUPPORTED);
    assert_err(card_parse(bytes_of_string("quorat\n"), &card), ERR_MALFORMED);
    assert_err(card_parse(bytes_of_string(""), &card), ERR_MALFORMED);
}

/* The full card with one text in place of another. */
static int parse_with(const char *old, const char *new)
{
    char text[sizeof(full) + 600];
    const char *at = strstr(full, old);
    struct card card;
    int size;

    assert_non_null(at);
    size = snprintf(text, sizeof(text), "%.*s%s%s", (int)(at - full), full, new,
                    at + strlen(old));
    assert_in_range(size, 1, (int)sizeof(text) - 1);
    return card_parse(bytes_of_string(text), &card);
}

static void what_is_not_in_order_is_refused(void **state)
{
    static const char *const wrong[][2] = {
        {"name q1@h", "name "},
        {"name q1@h", "name q1 h"},
        {"name q1@h", "nam q1@h"},
        {"id 0000000000000001", "id -"},
        {"id 0000000000000001", "id 0000000000000000"},
        {"id 0000000000000001", "id 000000000000001"},
        {"id 0000000000000001", "id 000000000000000A"},
        {"instance 123456789abcdef0", "instance -"},
        {"address h:4370", "address "},
        {"address h:4370", "address h 1"},
        {"index 17", "index "},
        {"index 17", "index 017"},
        {"index 17", "index -1"},
        {"index 17", "index 9223372036854775808"},
        {"q2@h -", "q1@h -"},
        {"q2@h -", "q2@h"},
        {"q2@h -", "q2@h "},
        {"q2@h -", "q2@h - -"},
        {"member 0000000000000002", "member 0000000000000001"},
        {"member 0000000000000002", "member 0000000000000000"},
        {"member 0000000000000002", "member 2"},
        {"voter q2@h\n",
         "voter a\nvoter b\nvoter c\nvoter d\nvoter e\nvoter f\n"
         "voter g\n"},
    };

    (void)state;
    assert_ok(parse_with("index 17", "index 9223372036854775807"));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        assert_err(parse_with(wrong[i][0], wrong[i][1]), ERR_MALFORMED);
    }
}

static void the_largest_card_has_room(void **state)
{
    struct card card = {.id = UINT64_MAX,
                        .cluster = UINT64_MAX,
                        .instance = UINT64_MAX,
                        .voter_count = CARD_VOTERS_MAX};
    struct card back;
    struct buf text;

    (void)state;
    memset(card.name, 'n', DIRECTORY_NAME_SIZE_MAX);
    memset(card.address, 'a', DIRECTORY_ADDRESS_SIZE_MAX);
    for (int i = 0; i < CARD_VOTERS_MAX; i++) {
        memset(card.voters[i], 'a' + i, DIRECTORY_NAME_SIZE_MAX);
    }
    card.directory.index = INT64_MAX;
    card.directory.count = DIRECTORY_MAX;
    for (unsigned i = 0; i < DIRECTORY_MAX; i++) {
        struct directory_entry *entry = &card.directory.entries[i];

        entry->id = i + 1;
        entry->instance = UINT64_MAX;
        memset(entry->name, (int)('a' + i), DIRECTORY_NAME_SIZE_MAX);
        memset(entry->address, 'a', DIRECTORY_ADDRESS_SIZE_MAX);
    }
    buf_init(&text, CARD_SIZE_MAX);
    card_print(&text, &card);
    assert_ok(buf_error(&text));
    assert_ok(card_parse(buf_bytes(&text), &back));
    assert_memory_equal(&back, &card, sizeof(card));
    buf_close(&text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(card_comes_back_as_it_went_out),
        cmocka_unit_test(no_part_of_a_card_is_one),
        cmocka_unit_test(other_versions_are_told_from_rubbish),
        cmocka_unit_test(what_is_not_in_order_is_refused),
        cmocka_unit_test(the_largest_card_has_room),
    };

    return cmocka_run_group_tests_name("cluster_card", tests, NULL, NULL);
}
