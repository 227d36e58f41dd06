/* SPDX-License-Identifier: Apache-2.0
 * Node names: what is one, and where it is split. */
#include "dist/node_name.h"
#include "lib/test.h"

static void names_are_split_at_their_at(void **state)
{
    struct bytes alive;
    struct bytes host;

    (void)state;
    assert_ok(node_name_split(bytes_of_string("quorate@host.example"), &alive,
                              &host));
    assert_bytes(alive, "quorate", 7);
    assert_bytes(host, "host.example", 12);
    assert_ok(node_name_split(bytes_of_string("a@b"), &alive, &host));
    assert_bytes(alive, "a", 1);
    assert_bytes(host, "b", 1);
}

static void what_is_no_name_is_refused(void **state)
{
    static const char *const names[] = {
        "", "@", "a", "a@", "@b", "a@b@c", "a b@c", "a@b\n", "a@\x80", "\x7f@b",
    };
    struct bytes alive = bytes_of("x", 1);
    struct bytes host = bytes_of("y", 1);

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        assert_err(node_name_split(bytes_of_string(names[i]), &alive, &host),
                   ERR_BADARG);
        assert_false(node_name_is_valid(bytes_of_string(names[i])));
    }
    assert_false(node_name_is_valid(bytes_of("a@b\0", 4)));
    assert_bytes(alive, "x", 1);
    assert_bytes(host, "y", 1);
}

static void names_have_at_most_255_bytes(void **state)
{
    char name[256];

    (void)state;
    memset(name, 'x', sizeof(name));
    name[3] = '@';
    assert_true(node_name_is_valid(bytes_of(name, 255)));
    assert_false(node_name_is_valid(bytes_of(name, 256)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_are_split_at_their_at),
        cmocka_unit_test(what_is_no_name_is_refused),
        cmocka_unit_test(names_have_at_most_255_bytes),
    };

    return cmocka_run_group_tests_name("dist_node_name", tests, NULL, NULL);
}
