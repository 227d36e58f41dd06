/* SPDX-License-Identifier: Apache-2.0
 * Entries by id and name, and what cannot be one. */
#include "cluster/directory.h"
#include "lib/test.h"

#include <stdio.h>
#include <string.h>

static struct bytes text(const char *string)
{
    return bytes_of_string(string);
}

static int put(struct directory *directory, uint64_t id, const char *name)
{
    struct directory_entry entry;

    assert_ok(directory_entry_init(&entry, id, 0, text(name), text("h:1")));
    return directory_put(directory, &entry);
}

static void entry_is_found_until_it_is_dropped(void **state)
{
    struct directory directory = {.count = 0};

    (void)state;
    assert_ok(put(&directory, 1, "a@h"));
    assert_ok(put(&directory, 2, "b@h"));
    assert_ok(put(&directory, 3, "c@h"));
    assert_string_equal(directory_find(&directory, 2)->name, "b@h");
    assert_int_equal(directory_find_name(&directory, text("c@h"))->id, 3);
    assert_true(directory_drop(&directory, 2));
    assert_false(directory_drop(&directory, 2));
    assert_null(directory_find(&directory, 2));
    assert_null(directory_find_name(&directory, text("b@h")));
    assert_int_equal(directory.count, 2);
    assert_int_equal(directory_find_name(&directory, text("c@h"))->id, 3);
    directory_check(&directory);
}

static void one_name_has_one_id(void **state)
{
    struct directory directory = {.count = 0};

    (void)state;
    assert_ok(put(&directory, 1, "a@h"));
    assert_err(put(&directory, 2, "a@h"), ERR_EXISTS);
    assert_ok(put(&directory, 1, "a@h"));
    assert_ok(put(&directory, 1, "b@h"));
    assert_ok(put(&directory, 2, "a@h"));
    assert_int_equal(directory.count, 2);
    directory_check(&directory);
}

static void directory_is_bounded(void **state)
{
    struct directory directory = {.count = 0};
    char name[16];

    (void)state;
    for (uint32_t i = 1; i <= DIRECTORY_MAX; i++) {
        (void)snprintf(name, sizeof(name), "m%u@h", i);
        assert_ok(put(&directory, i, name));
    }
    assert_err(put(&directory, 99, "z@h"), ERR_LIMIT);
    assert_ok(put(&directory, 3, "z@h"));
    assert_int_equal(directory.count, DIRECTORY_MAX);
    directory_check(&directory);
}

static void what_cannot_be_an_entry_is_refused(void **state)
{
    struct directory_entry entry = {.id = 42};
    char letters[DIRECTORY_NAME_SIZE_MAX + 1];
    const struct bytes longest = bytes_of(letters, DIRECTORY_NAME_SIZE_MAX);
    const struct bytes too_long = bytes_of(letters, sizeof(letters));

    (void)state;
    memset(letters, 'a', sizeof(letters));
    assert_err(directory_entry_init(&entry, 0, 0, text("a@h"), text("")),
               ERR_BADARG);
    assert_err(directory_entry_init(&entry, 1, 0, text(""), text("")),
               ERR_BADARG);
    assert_err(directory_entry_init(&entry, 1, 0, text("a h"), text("")),
               ERR_BADARG);
    assert_err(directory_entry_init(&entry, 1, 0, text("a@h"), text("h\t")),
               ERR_BADARG);
    assert_err(
        directory_entry_init(&entry, 1, 0, bytes_of("a\0b", 3), text("")),
        ERR_BADARG);
    assert_err(directory_entry_init(&entry, 1, 0, too_long, text("")),
               ERR_LIMIT);
    assert_err(directory_entry_init(&entry, 1, 0, text("a@h"), too_long),
               ERR_LIMIT);
    assert_int_equal(entry.id, 42);
    assert_ok(directory_entry_init(&entry, 1, 0, longest, longest));
    assert_int_equal(strlen(entry.name), DIRECTORY_NAME_SIZE_MAX);
    assert_int_equal(strlen(entry.address), DIRECTORY_ADDRESS_SIZE_MAX);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entry_is_found_until_it_is_dropped),
        cmocka_unit_test(one_name_has_one_id),
        cmocka_unit_test(directory_is_bounded),
        cmocka_unit_test(what_cannot_be_an_entry_is_refused),
    };

    return cmocka_run_group_tests_name("cluster_directory", tests, NULL, NULL);
}
