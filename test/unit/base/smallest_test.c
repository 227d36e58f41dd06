/* SPDX-License-Identifier: Apache-2.0
 * base/smallest: against sorting all of it. */
#include "base/mem.h"
#include "base/rng.h"
#include "base/smallest.h"
#include "lib/test.h"

#include <stdlib.h>

enum { MANY = 300, ROUNDS = 200, KEY_SIZE_MAX = 4 };

static int by_key(const void *a, const void *b)
{
    const struct smallest_entry *left = a;
    const struct smallest_entry *right = b;

    return bytes_compare(left->key, right->key);
}

/* So short that some are equal and many begin alike. */
static void draw(struct rng *rng, uint8_t text[MANY][KEY_SIZE_MAX],
                 struct smallest_entry *all, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        size_t size = 1 + rng_below(rng, KEY_SIZE_MAX);

        for (size_t k = 0; k < size; k++) {
            text[i][k] = (uint8_t)rng_below(rng, 6);
        }
        all[i] = (struct smallest_entry){.key = bytes_of(text[i], size),
                                         .value = text[i]};
    }
}

static void keeps_what_sorting_puts_first(void **state)
{
    uint8_t text[MANY][KEY_SIZE_MAX];
    struct smallest_entry all[MANY];
    struct rng rng;

    (void)state;
    rng_init(&rng, 11);
    for (int round = 0; round < ROUNDS; round++) {
        size_t count = rng_below(&rng, MANY + 1);
        size_t limit = rng_below(&rng, MANY + 20);
        size_t kept = count < limit ? count : limit;
        struct smallest smallest;

        draw(&rng, text, all, count);
        assert_ok(smallest_init(&smallest, limit));
        for (size_t i = 0; i < count; i++) {
            smallest_add(&smallest, all[i].key, all[i].value);
        }
        smallest_sort(&smallest);
        qsort(all, count, sizeof(all[0]), by_key);
        assert_int_equal(smallest.count, kept);
        for (size_t i = 0; i < kept; i++) {
            const struct smallest_entry *entry = &smallest.entries[i];

            assert_true(bytes_equal(entry->key, all[i].key));
            assert_ptr_equal(entry->value, entry->key.data);
        }
        smallest_close(&smallest);
    }
}

static void keeps_the_first_of_equal_ones(void **state)
{
    static const char values[] = "abc";
    const struct bytes key = bytes_of_string("same");
    struct smallest smallest;

    (void)state;
    assert_ok(smallest_init(&smallest, 1));
    for (size_t i = 0; i < 3; i++) {
        smallest_add(&smallest, key, &values[i]);
    }
    assert_ptr_equal(smallest.entries[0].value, &values[0]);
    smallest_close(&smallest);
}

static void survives_a_failed_allocation(void **state)
{
    struct smallest smallest;

    (void)state;
    mem_fail_after(0);
    assert_err(smallest_init(&smallest, 3), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    smallest_close(&smallest);
    assert_ok(smallest_init(&smallest, 3));
    smallest_close(&smallest);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keeps_what_sorting_puts_first),
        cmocka_unit_test(keeps_the_first_of_equal_ones),
        cmocka_unit_test(survives_a_failed_allocation),
    };

    return cmocka_run_group_tests_name("base_smallest", tests, NULL, NULL);
}
