/* SPDX-License-Identifier: Apache-2.0
 * The hash map against a naive model that cannot be wrong: an array with one
 * place for each key. */
#include "base/map.h"
#include "base/mem.h"
#include "base/rng.h"
#include "lib/test.h"

enum { KEY_COUNT = 500, KEY_SIZE = 3 };

struct model {
    struct map map;
    struct rng rng;
    char keys[KEY_COUNT][KEY_SIZE + 1];
    void *values[KEY_COUNT]; /* NULL: not in the map */
    size_t count;
    int targets[8]; /* what values point at */
};

static struct bytes key_of(struct model *model, size_t i)
{
    /* Sizes 1 to 3, so that prefixes of keys are keys. */
    return bytes_of(model->keys[i], strlen(model->keys[i]));
}

static struct model *new_model(uint64_t seed, size_t count_max)
{
    struct model *model = mem_alloc(sizeof(*model));

    assert_non_null(model);
    map_init(&model->map, count_max, seed);
    rng_init(&model->rng, seed);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        size_t n = i;

        for (size_t j = 0; j < KEY_SIZE && (j == 0 || n > 0); j++, n /= 16) {
            model->keys[i][j] = (char)('a' + n % 16);
        }
    }
    return model;
}

static void free_model(struct model *model)
{
    map_close(&model->map);
    mem_free(model);
}

static void check_all(struct model *model)
{
    size_t position = 0;
    size_t seen = 0;

    assert_int_equal(model->map.count, model->count);
    for (size_t i = 0; i < KEY_COUNT; i++) {
        assert_ptr_equal(map_get(&model->map, key_of(model, i)),
                         model->values[i]);
    }
    while (map_next(&model->map, &position) != NULL) {
        seen++;
    }
    assert_int_equal(seen, model->count);
}

static void step(struct model *model, uint64_t put_percent)
{
    size_t i = (size_t)rng_below(&model->rng, KEY_COUNT);
    struct bytes key = key_of(model, i);

    if (rng_below(&model->rng, 100) < put_percent) {
        void *value = &model->targets[rng_below(&model->rng, 8)];
        int rv = map_put(&model->map, key, value);

        if (model->values[i] == NULL && model->count == model->map.count_max) {
            assert_err(rv, ERR_LIMIT);
            return;
        }
        assert_ok(rv);
        model->count += model->values[i] == NULL ? 1 : 0;
        model->values[i] = value;
    } else {
        assert_ptr_equal(map_remove(&model->map, key), model->values[i]);
        model->count -= model->values[i] == NULL ? 0 : 1;
        model->values[i] = NULL;
    }
}

static void random_operations_match_the_model(void **state)
{
    (void)state;
    for (uint64_t seed = 0; seed < 20; seed++) {
        struct model *model = new_model(seed, seed % 2 == 0 ? 1000 : 100);

        for (int i = 0; i < 4000; i++) {
            /* Fill, then drain, then both in turn. */
            step(model, i < 1500 ? 80 : (i < 2500 ? 15 : 50));
            if (i % 50 == 0) {
                check_all(model);
            }
        }
        check_all(model);
        free_model(model);
    }
}

static void empty_map_answers_without_memory(void **state)
{
    struct map map;
    size_t position = 0;

    (void)state;
    mem_fail_after(0);
    map_init(&map, 10, 1);
    assert_null(map_get(&map, bytes_of("a", 1)));
    assert_null(map_remove(&map, bytes_of("a", 1)));
    assert_null(map_next(&map, &position));
    mem_fail_after(UINT64_MAX);
    map_close(&map);
    map_close(NULL);
}

static void replaced_key_is_the_new_one(void **state)
{
    struct map map;
    char first[] = "key";
    char second[] = "key";
    int a;
    int b;

    (void)state;
    map_init(&map, 1, 1);
    assert_ok(map_put(&map, bytes_of(first, 3), &a));
    assert_ok(map_put(&map, bytes_of(second, 3), &b));
    /* The first key's memory may go now. */
    memset(first, 'x', 3);
    assert_ptr_equal(map_get(&map, bytes_of("key", 3)), &b);
    assert_int_equal(map.count, 1);
    map_close(&map);
}

static void empty_key_is_a_key(void **state)
{
    struct map map;
    int a;

    (void)state;
    map_init(&map, 4, 7);
    assert_ok(map_put(&map, bytes_of(NULL, 0), &a));
    assert_ptr_equal(map_get(&map, bytes_of("x", 0)), &a);
    assert_null(map_get(&map, bytes_of("", 1)));
    assert_ptr_equal(map_remove(&map, bytes_of(NULL, 0)), &a);
    map_close(&map);
}

static void full_map_refuses_new_keys_but_replaces(void **state)
{
    struct map map;
    int a;

    (void)state;
    map_init(&map, 2, 1);
    assert_ok(map_put(&map, bytes_of("1", 1), &a));
    assert_ok(map_put(&map, bytes_of("2", 1), &a));
    assert_err(map_put(&map, bytes_of("3", 1), &a), ERR_LIMIT);
    assert_ok(map_put(&map, bytes_of("2", 1), &a));
    assert_null(map_get(&map, bytes_of("3", 1)));
    assert_int_equal(map.count, 2);
    map_close(&map);
}

static void failed_allocation_leaves_the_map_unchanged(void **state)
{
    (void)state;
    for (uint64_t allocations = 0; allocations < 5; allocations++) {
        struct model *model = new_model(3, 1000);
        size_t i = 0;

        mem_fail_after(allocations);
        while (i < KEY_COUNT) {
            int rv = map_put(&model->map, key_of(model, i), model->targets);

            if (rv != 0) {
                assert_err(rv, ERR_NOMEM);
                break;
            }
            model->values[i] = model->targets;
            model->count++;
            i++;
        }
        assert_true(i < KEY_COUNT);
        check_all(model);
        /* It goes on once there is memory again. */
        mem_fail_after(UINT64_MAX);
        assert_ok(map_put(&model->map, key_of(model, i), model->targets));
        model->values[i] = model->targets;
        model->count++;
        check_all(model);
        free_model(model);
    }
}

static void reserved_room_is_enough(void **state)
{
    struct model *model = new_model(9, KEY_COUNT);

    (void)state;
    mem_fail_after(0);
    assert_err(map_reserve(&model->map, KEY_COUNT), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    assert_err(map_reserve(&model->map, KEY_COUNT + 1), ERR_LIMIT);
    assert_ok(map_put(&model->map, key_of(model, 0), model->targets));
    model->values[0] = model->targets;
    model->count = 1;
    assert_ok(map_reserve(&model->map, KEY_COUNT));
    check_all(model);
    mem_fail_after(0);
    for (size_t i = 1; i < KEY_COUNT; i++) {
        assert_ok(map_put(&model->map, key_of(model, i), model->targets));
        model->values[i] = model->targets;
        model->count++;
    }
    assert_ok(map_reserve(&model->map, KEY_COUNT));
    assert_ok(map_reserve(&model->map, 0));
    mem_fail_after(UINT64_MAX);
    check_all(model);
    free_model(model);
}

/* The expected values are what CPython 3.11 uses as hash of bytes(range(n))
 * with PYTHONHASHSEED=12345, and its hash is SipHash-1-3 too. */
static void hash_is_siphash_1_3(void **state)
{
    static const uint64_t seed[2] = {0x25556dc46dc3dca0U, 0xfc3ee4dbd06f6c90U};
    static const struct {
        size_t size;
        uint64_t hash;
    } rows[] = {
        {1, 0xddb5fc492fbdf63aU},  {7, 0x831edfe12fee6ffdU},
        {8, 0x354edb093928c942U},  {15, 0xbe8dc664d017b99eU},
        {63, 0x171afa1ac779cd10U},
    };
    uint8_t data[64];

    (void)state;
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)i;
    }
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        assert_true(map_hash(seed, bytes_of(data, rows[i].size)) ==
                    rows[i].hash);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_operations_match_the_model),
        cmocka_unit_test(empty_map_answers_without_memory),
        cmocka_unit_test(replaced_key_is_the_new_one),
        cmocka_unit_test(empty_key_is_a_key),
        cmocka_unit_test(full_map_refuses_new_keys_but_replaces),
        cmocka_unit_test(failed_allocation_leaves_the_map_unchanged),
        cmocka_unit_test(reserved_room_is_enough),
        cmocka_unit_test(hash_is_siphash_1_3),
    };

    return cmocka_run_group_tests_name("base_map", tests, NULL, NULL);
}
