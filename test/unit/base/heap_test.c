/* SPDX-License-Identifier: Apache-2.0
 * base/heap: order, removal from the middle, limits. */
#include "base/heap.h"
#include "base/mem.h"
#include "base/rng.h"
#include "lib/test.h"

enum { NODES = 500 };

static void gives_keys_in_order_whatever_is_removed(void **state)
{
    struct heap heap;
    struct heap_node nodes[NODES] = {{0}};
    struct rng rng;
    uint64_t last = 0;
    size_t left = NODES;

    (void)state;
    heap_init(&heap, NODES);
    rng_init(&rng, 7);
    for (size_t i = 0; i < NODES; i++) {
        nodes[i].key = rng_below(&rng, 100);
        assert_ok(heap_put(&heap, &nodes[i]));
    }
    for (size_t i = 0; i < NODES; i += 3) {
        heap_remove(&heap, &nodes[i]);
        heap_remove(&heap, &nodes[i]);
        left--;
    }
    while (heap_first(&heap) != NULL) {
        struct heap_node *node = heap_first(&heap);

        assert_true(node->key >= last);
        last = node->key;
        heap_remove(&heap, node);
        assert_int_equal(node->position, 0);
        left--;
    }
    assert_int_equal(left, 0);
    heap_close(&heap);
}

static void refuses_more_than_its_limit(void **state)
{
    struct heap heap;
    struct heap_node nodes[3] = {{0}};

    (void)state;
    heap_init(&heap, 2);
    assert_ok(heap_put(&heap, &nodes[0]));
    assert_ok(heap_put(&heap, &nodes[1]));
    assert_err(heap_put(&heap, &nodes[2]), ERR_LIMIT);
    assert_int_equal(nodes[2].position, 0);
    heap_close(&heap);
}

static void survives_a_failed_allocation(void **state)
{
    struct heap heap;
    struct heap_node node = {0};

    (void)state;
    heap_init(&heap, 2);
    mem_fail_after(0);
    assert_err(heap_put(&heap, &node), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    assert_null(heap_first(&heap));
    assert_ok(heap_put(&heap, &node));
    heap_close(&heap);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gives_keys_in_order_whatever_is_removed),
        cmocka_unit_test(refuses_more_than_its_limit),
        cmocka_unit_test(survives_a_failed_allocation),
    };

    return cmocka_run_group_tests_name("base_heap", tests, NULL, NULL);
}
