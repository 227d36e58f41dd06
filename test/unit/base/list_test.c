/* SPDX-License-Identifier: Apache-2.0
 * The ring: order, removal anywhere and twice, entries found from nodes. */
#include "base/list.h"
#include "lib/test.h"

struct item {
    int number;
    struct list node;
};

static void append_three(struct list *head, struct item items[3])
{
    list_init(head);
    for (int i = 0; i < 3; i++) {
        items[i].number = i;
        list_append(head, &items[i].node);
    }
}

/* The numbers in the ring, first digit first; 9 if it is empty. */
static int read(const struct list *head)
{
    int digits = 9;

    LIST_FOREACH (node, head) {
        digits = digits * 10 + LIST_ENTRY(node, struct item, node)->number;
    }
    return digits;
}

static void nodes_come_in_the_order_of_appending(void **state)
{
    struct list head;
    struct item items[3];

    (void)state;
    append_three(&head, items);
    assert_false(list_is_empty(&head));
    assert_int_equal(read(&head), 9012);
}

static void node_is_removed_from_any_place(void **state)
{
    static const int expected[] = {912, 902, 901};
    struct list head;
    struct item items[3];

    (void)state;
    for (int i = 0; i < 3; i++) {
        append_three(&head, items);
        list_remove(&items[i].node);
        assert_int_equal(read(&head), expected[i]);
        assert_true(list_is_empty(&items[i].node));
    }
}

static void second_removal_does_nothing(void **state)
{
    struct list head;
    struct item items[3];

    (void)state;
    append_three(&head, items);
    list_remove(&items[1].node);
    list_remove(&items[1].node);
    assert_int_equal(read(&head), 902);
    list_append(&head, &items[1].node);
    assert_int_equal(read(&head), 9021);
}

static void taking_empties_the_ring_from_the_front(void **state)
{
    struct list head;
    struct item items[3];

    (void)state;
    append_three(&head, items);
    for (int i = 0; i < 3; i++) {
        assert_ptr_equal(list_take_first(&head), &items[i].node);
    }
    assert_true(list_is_empty(&head));
    assert_null(list_take_first(&head));
    assert_int_equal(read(&head), 9);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nodes_come_in_the_order_of_appending),
        cmocka_unit_test(node_is_removed_from_any_place),
        cmocka_unit_test(second_removal_does_nothing),
        cmocka_unit_test(taking_empties_the_ring_from_the_front),
    };

    return cmocka_run_group_tests_name("base_list", tests, NULL, NULL);
}
