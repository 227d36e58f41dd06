/* SPDX-License-Identifier: Apache-2.0
 * The directory of members, as the log writes it. */
#include "machine.h"

static struct command put(uint64_t id, const char *name, const char *address,
                          uint64_t instance)
{
    return (struct command){.type = COMMAND_PUT_MEMBER,
                            .member = id,
                            .node = text(name),
                            .address = text(address),
                            .instance = instance};
}

static void entries_come_change_and_go(void **state)
{
    struct fixture *f = *state;
    const struct directory *directory = &f->machine.directory;
    const struct command drop = {.type = COMMAND_DROP_MEMBER, .member = 7};

    assert_ok(apply(f, put(7, "a@h", "h:1", 0)));
    assert_ok(apply(f, put(8, "b@h", "", 5)));
    assert_events(f, "members_changed\nmembers_changed\n");
    assert_int_equal(directory->count, 2);
    assert_int_equal(directory->index, 2);
    assert_ok(apply(f, put(7, "a@h", "h:2", 6)));
    assert_string_equal(directory_find(directory, 7)->address, "h:2");
    assert_int_equal(directory_find(directory, 7)->instance, 6);
    assert_ok(apply(f, drop));
    assert_null(directory_find(directory, 7));
    assert_int_equal(directory->index, 4);
    assert_events(f, "members_changed\nmembers_changed\n");
}

static void what_cannot_be_changes_nothing(void **state)
{
    struct fixture *f = *state;
    const struct command drop = {.type = COMMAND_DROP_MEMBER, .member = 9};
    char name[] = "m00@h";

    assert_ok(apply(f, put(7, "a@h", "h:1", 0)));
    assert_events(f, "members_changed\n");
    assert_err(apply(f, put(8, "a@h", "h:1", 0)), ERR_EXISTS);
    assert_err(apply(f, put(8, "b h", "h:1", 0)), ERR_BADARG);
    assert_err(apply(f, put(8, "b@h", "h\n1", 0)), ERR_BADARG);
    assert_err(apply(f, drop), ERR_NOT_FOUND);
    assert_events(f, "");
    assert_int_equal(f->machine.directory.index, 1);
    for (int i = 1; i < DIRECTORY_MAX; i++) {
        name[1] = (char)('0' + i / 10);
        name[2] = (char)('0' + i % 10);
        assert_ok(apply(f, put((uint64_t)i + 100, name, "", 0)));
    }
    assert_err(apply(f, put(8, "b@h", "h:1", 0)), ERR_LIMIT);
    assert_ok(apply(f, put(7, "c@h", "h:1", 0)));
    directory_check(&f->machine.directory);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(entries_come_change_and_go,
                                        set_up_machine, tear_down_machine),
        cmocka_unit_test_setup_teardown(what_cannot_be_changes_nothing,
                                        set_up_machine, tear_down_machine),
    };

    return cmocka_run_group_tests_name("command_members", tests, NULL, NULL);
}
