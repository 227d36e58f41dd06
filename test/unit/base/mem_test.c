/* SPDX-License-Identifier: Apache-2.0
 * Allocation: zeroed, products checked, and failing when a test says so. */
#include "base/mem.h"
#include "lib/test.h"

#include <string.h>

/* Lets a sanitizer's allocator fail like the system's: it would abort. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
    return "allocator_may_return_null=1";
}

static int restore(void **state)
{
    (void)state;
    mem_fail_after(UINT64_MAX);
    return 0;
}

static void fresh_memory_is_zero(void **state)
{
    static const uint8_t zeros[1000];

    (void)state;
    for (int i = 0; i < 10; i++) {
        uint8_t *data = mem_alloc(1000);

        assert_non_null(data);
        assert_memory_equal(data, zeros, 1000);
        memset(data, 0xff, 1000);
        mem_free(data);
    }
}

static void nothing_can_be_allocated_and_freed(void **state)
{
    (void)state;
    for (int i = 0; i < 2; i++) {
        void *a = mem_alloc(0);
        void *b = mem_alloc_array(0, 8);
        void *c = mem_alloc_array(8, 0);
        void *d = mem_copy(NULL, 0);
        void *e = mem_realloc(NULL, 0);

        assert_non_null(a);
        assert_non_null(b);
        assert_non_null(c);
        assert_non_null(d);
        assert_non_null(e);
        mem_free(a);
        mem_free(b);
        mem_free(c);
        mem_free(d);
        mem_free(e);
    }
    mem_free(NULL);
}

static void product_that_overflows_is_refused(void **state)
{
    /* Volatile, or the compiler warns of what the test is about. */
    volatile size_t half = SIZE_MAX / 2;

    (void)state;
    assert_null(mem_alloc_array(half, 3));
    assert_null(mem_alloc_array(half + 2, 2));
}

static void realloc_keeps_the_old_bytes(void **state)
{
    uint8_t *data = mem_copy("abcd", 4);

    (void)state;
    assert_non_null(data);
    data = mem_realloc(data, 4000);
    assert_non_null(data);
    assert_memory_equal(data, "abcd", 4);
    data = mem_realloc(data, 2);
    assert_non_null(data);
    assert_memory_equal(data, "ab", 2);
    mem_free(data);
}

static void allocations_fail_when_told(void **state)
{
    void *data;
    void *bigger;

    (void)state;
    mem_fail_after(2);
    data = mem_alloc(1);
    assert_non_null(data);
    bigger = mem_realloc(data, 10);
    assert_non_null(bigger);
    assert_null(mem_realloc(bigger, 20));
    assert_null(mem_alloc(1));
    assert_null(mem_alloc_array(1, 1));
    assert_null(mem_copy("a", 1));
    mem_fail_after(UINT64_MAX);
    /* The failed mem_realloc() left it valid. */
    bigger = mem_realloc(bigger, 20);
    assert_non_null(bigger);
    mem_free(bigger);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fresh_memory_is_zero),
        cmocka_unit_test(nothing_can_be_allocated_and_freed),
        cmocka_unit_test(product_that_overflows_is_refused),
        cmocka_unit_test(realloc_keeps_the_old_bytes),
        cmocka_unit_test_teardown(allocations_fail_when_told, restore),
    };

    return cmocka_run_group_tests_name("base_mem", tests, NULL, NULL);
}
