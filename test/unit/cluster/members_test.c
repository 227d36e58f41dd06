/* SPDX-License-Identifier: Apache-2.0
 * The set of members: identities, comings and goings, verdicts. */
#include "base/mem.h"
#include "cluster/members.h"
#include "lib/test.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static struct bytes text(const char *string)
{
    return bytes_of_string(string);
}

static int set_up(void **state)
{
    struct members *members = calloc(1, sizeof(*members));

    assert_non_null(members);
    members_init(members);
    *state = members;
    return 0;
}

static int tear_down(void **state)
{
    members_check(*state);
    members_close(*state);
    free(*state);
    return 0;
}

static struct directory_entry entry_of(struct bytes name, const char *address)
{
    struct directory_entry entry;

    assert_ok(directory_entry_init(&entry, members_id_of(name), 0, name,
                                   text(address)));
    return entry;
}

static int add(struct members *members, struct bytes name, const char *address,
               struct member **ret_member)
{
    struct directory_entry entry = entry_of(name, address);

    return members_add(members, &entry, ret_member);
}

static void given_members(struct members *members, uint32_t count)
{
    char name[32];

    for (uint32_t i = 0; i < count; i++) {
        (void)snprintf(name, sizeof(name), "m%u@host", i + 1);
        assert_ok(add(members, text(name), "", NULL));
    }
}

static void member_is_found_by_id_name_and_position(void **state)
{
    struct members *members = *state;
    struct member *member = NULL;
    char name[] = "m1@host";
    char address[] = "10.0.0.1:9300";

    assert_ok(add(members, text(name), address, &member));
    assert_ok(add(members, text("m2@host"), "", NULL));
    name[0] = 'x'; /* it has copies */
    address[0] = 'x';
    assert_int_equal(members->count, 2);
    assert_bytes(member->name, "m1@host", 7);
    assert_int_equal(member->name.data[7], 0);
    assert_string_equal(member->address, "10.0.0.1:9300");
    assert_int_equal(member->id, members_id_of(text("m1@host")));
    assert_ptr_equal(members_by_id(members, member->id), member);
    assert_ptr_equal(members_by_name(members, text("m1@host")), member);
    assert_ptr_equal(members_at(members, 0), member);
    assert_ptr_equal(members_at(members, 1),
                     members_by_name(members, text("m2@host")));
    assert_null(members_at(members, 2));
    assert_null(members_by_id(members, 0));
    assert_null(members_by_name(members, text("m3@host")));
    assert_null(members_by_name(members, text("")));
}

static void ids_are_fixed_and_differ(void **state)
{
    enum { NAME_COUNT = 2000 };
    static uint64_t ids[NAME_COUNT];
    char name[32];

    (void)state;
    /* They are in logs on disk: another value breaks every cluster. */
    assert_true(members_id_of(text("quorate1@host-a")) ==
                UINT64_C(0x5ba7e91caeb121bd));
    assert_true(members_id_of(text("")) != 0);
    for (int i = 0; i < NAME_COUNT; i++) {
        (void)snprintf(name, sizeof(name), "quorate%d@127.0.0.1", i);
        ids[i] = members_id_of(text(name));
        assert_true(ids[i] != 0);
        for (int j = 0; j < i; j++) {
            assert_true(ids[i] != ids[j]);
        }
    }
}

static void same_id_twice_is_refused(void **state)
{
    struct members *members = *state;
    struct member *member = NULL;

    given_members(members, 2);
    assert_err(add(members, text("m1@host"), "other", &member), ERR_EXISTS);
    assert_null(member);
    assert_int_equal(members->count, 2);
}

static void removed_member_is_gone_and_the_others_stay(void **state)
{
    struct members *members = *state;
    struct member *first;
    struct member *last;

    given_members(members, 3);
    first = members_at(members, 0);
    last = members_at(members, 2);
    members_remove(members, members_at(members, 1));
    assert_int_equal(members->count, 2);
    assert_null(members_by_name(members, text("m2@host")));
    assert_ptr_equal(members_at(members, 0), first);
    assert_ptr_equal(members_at(members, 1), last);
    assert_ok(add(members, text("m2@host"), "", NULL));
}

static void member_comes_out_as_the_entry_that_it_came_in(void **state)
{
    struct members *members = *state;
    struct directory_entry entry = entry_of(text("m1@host"), "10.0.0.1:1");
    struct directory_entry out;
    struct member *member = NULL;

    entry.instance = 77;
    assert_ok(members_add(members, &entry, &member));
    members_entry(member, &out);
    assert_memory_equal(&out, &entry, sizeof(entry));
}

static void id_of_an_added_member_is_that_of_its_directory(void **state)
{
    struct bytes name = text("m1@host");

    (void)state;
    /* It is in logs on disk, too. */
    assert_true(members_id_of_added(name, 1) == UINT64_C(0x9e821d27025d131c));
    assert_true(members_id_of_added(name, 1) != members_id_of_added(name, 2));
    assert_true(members_id_of_added(name, 1) != members_id_of(name));
    assert_true(members_id_of_added(name, 1) !=
                members_id_of_added(text("m2@host"), 1));
}

static void set_is_bounded(void **state)
{
    struct members *members = *state;

    given_members(members, MEMBERS_MAX);
    assert_err(add(members, text("one@more"), "", NULL), ERR_LIMIT);
}

static void without_memory_nothing_is_added(void **state)
{
    struct members *members = *state;

    mem_fail_after(0);
    assert_err(add(members, text("m1@host"), "", NULL), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    assert_int_equal(members->count, 0);
}

static void coming_and_going_is_noted_once(void **state)
{
    struct members *members = *state;
    struct member *member;

    given_members(members, 3);
    member = members_at(members, 1);
    assert_false(member->is_up);
    assert_false(members_set_up(members, member, false, 5));
    assert_int_equal(member->changed_ms, 0);
    assert_true(members_set_up(members, member, true, 10));
    assert_true(member->is_up);
    assert_int_equal(member->changed_ms, 10);
    assert_false(members_set_up(members, member, true, 20));
    assert_int_equal(member->changed_ms, 10);
    members_check(members);
    assert_true(members_set_up(members, member, false, 30));
    assert_int_equal(member->changed_ms, 30);
}

static void verdict_is_by_those_missing(void **state)
{
    static const struct {
        uint32_t missing;
        uint32_t expected;
        enum partition_verdict verdict;
    } cases[] = {
        {0, 0, PARTITION_NONE},  {0, 1, PARTITION_NONE},
        {1, 1, PARTITION_MAJOR}, {1, 2, PARTITION_MAJOR},
        {1, 3, PARTITION_MINOR}, {2, 3, PARTITION_MAJOR},
        {1, 4, PARTITION_MINOR}, {2, 4, PARTITION_MAJOR},
        {2, 5, PARTITION_MINOR}, {3, 5, PARTITION_MAJOR},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(
            partition_verdict_of(cases[i].missing, cases[i].expected),
            cases[i].verdict);
    }
    assert_string_equal(partition_verdict_name(PARTITION_NONE), "no_partition");
    assert_string_equal(partition_verdict_name(PARTITION_MINOR),
                        "minor_partition");
    assert_string_equal(partition_verdict_name(PARTITION_MAJOR),
                        "major_partition");
}

static void who_takes_part_counts_when_up(void **state)
{
    struct members *members = *state;

    given_members(members, 6);
    assert_int_equal(members_expected(members), 0);
    for (uint32_t i = 0; i < 5; i++) {
        members_at(members, i)->is_expected = true;
    }
    /* One that takes no part does not count, up or down. */
    assert_true(members_set_up(members, members_at(members, 5), true, 1));
    assert_int_equal(members_expected(members), 5);
    assert_int_equal(members_up(members), 0);
    for (uint32_t i = 0; i < 5; i++) {
        assert_int_equal(members_up(members), i);
        (void)members_set_up(members, members_at(members, i), true, i);
    }
    assert_int_equal(members_up(members), 5);
}

static void closing_twice_is_harmless(void **state)
{
    struct members *members = *state;

    given_members(members, 2);
    members_close(members);
    assert_int_equal(members->count, 0);
    members_close(members);
    members_close(NULL);
}

#define MEMBERS_TEST(test) \
    cmocka_unit_test_setup_teardown(test, set_up, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MEMBERS_TEST(member_is_found_by_id_name_and_position),
        MEMBERS_TEST(ids_are_fixed_and_differ),
        MEMBERS_TEST(same_id_twice_is_refused),
        MEMBERS_TEST(removed_member_is_gone_and_the_others_stay),
        MEMBERS_TEST(member_comes_out_as_the_entry_that_it_came_in),
        MEMBERS_TEST(id_of_an_added_member_is_that_of_its_directory),
        MEMBERS_TEST(set_is_bounded),
        MEMBERS_TEST(without_memory_nothing_is_added),
        MEMBERS_TEST(coming_and_going_is_noted_once),
        MEMBERS_TEST(verdict_is_by_those_missing),
        MEMBERS_TEST(who_takes_part_counts_when_up),
        MEMBERS_TEST(closing_twice_is_harmless),
    };

    return cmocka_run_group_tests_name("members", tests, NULL, NULL);
}
