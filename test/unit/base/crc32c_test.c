/* SPDX-License-Identifier: Apache-2.0
 * The checksum: RFC 3720 B.4, one way against the other, and in pieces. */
#include "base/crc32c.h"
#include "base/rng.h"
#include "lib/test.h"

#include <stdlib.h>

static void check(struct bytes bytes, uint32_t expected)
{
    assert_int_equal(crc32c(0, bytes), expected);
    assert_int_equal(crc32c_portable(0, bytes), expected);
}

static void published_values_come_out(void **state)
{
    uint8_t data[32];

    (void)state;
    check(bytes_of("123456789", 9), 0xe3069283U);
    check(bytes_of(NULL, 0), 0);
    memset(data, 0, sizeof(data));
    check(bytes_of(data, sizeof(data)), 0x8a9136aaU);
    memset(data, 0xff, sizeof(data));
    check(bytes_of(data, sizeof(data)), 0x62a8ab43U);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)i;
    }
    check(bytes_of(data, sizeof(data)), 0x46dd794eU);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)(31 - i);
    }
    check(bytes_of(data, sizeof(data)), 0x113fdb5cU);
}

static void both_ways_agree_at_every_size_and_alignment(void **state)
{
    uint8_t data[200];
    struct rng rng;

    (void)state;
    rng_init(&rng, 5);
    for (size_t i = 0; i < sizeof(data); i++) {
        data[i] = (uint8_t)rng_next(&rng);
    }
    for (size_t start = 0; start < 9; start++) {
        for (size_t size = 0; start + size <= sizeof(data); size++) {
            struct bytes bytes = bytes_of(data + start, size);
            uint32_t seed = (uint32_t)rng_next(&rng);

            assert_int_equal(crc32c(seed, bytes), crc32c_portable(seed, bytes));
        }
    }
}

/* Long runs are computed in lanes of 8 KiB. */
static void both_ways_agree_on_long_runs(void **state)
{
    enum { LANES = 3 * 8192, SIZE = 3 * LANES };
    static const size_t sizes[] = {LANES - 1,     LANES,     LANES + 1,
                                   2 * LANES - 8, 2 * LANES, SIZE - 9};
    uint8_t *data = malloc(SIZE);
    struct rng rng;

    (void)state;
    assert_non_null(data);
    rng_init(&rng, 6);
    for (size_t i = 0; i < SIZE; i++) {
        data[i] = (uint8_t)rng_next(&rng);
    }
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        for (size_t start = 0; start < 9; start++) {
            struct bytes bytes = bytes_of(data + start, sizes[i]);
            uint32_t seed = (uint32_t)rng_next(&rng);

            assert_int_equal(crc32c(seed, bytes), crc32c_portable(seed, bytes));
        }
    }
    free(data);
}

static void pieces_give_the_checksum_of_the_whole(void **state)
{
    static const uint8_t data[] = "The quick brown fox jumps over the lazy dog";
    struct bytes whole = bytes_of(data, sizeof(data) - 1);

    (void)state;
    for (size_t cut = 0; cut <= whole.size; cut++) {
        uint32_t crc = crc32c(0, bytes_of(data, cut));

        crc = crc32c(crc, bytes_of(data + cut, whole.size - cut));
        assert_int_equal(crc, crc32c(0, whole));
    }
}

static void every_flipped_bit_is_seen(void **state)
{
    uint8_t data[64] = {1, 2, 3};
    uint32_t crc = crc32c(0, bytes_of(data, sizeof(data)));

    (void)state;
    for (size_t i = 0; i < sizeof(data) * 8; i++) {
        data[i / 8] ^= (uint8_t)(1U << (i % 8));
        assert_true(crc32c(0, bytes_of(data, sizeof(data))) != crc);
        data[i / 8] ^= (uint8_t)(1U << (i % 8));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(published_values_come_out),
        cmocka_unit_test(both_ways_agree_at_every_size_and_alignment),
        cmocka_unit_test(both_ways_agree_on_long_runs),
        cmocka_unit_test(pieces_give_the_checksum_of_the_whole),
        cmocka_unit_test(every_flipped_bit_is_seen),
    };

    return cmocka_run_group_tests_name("base_crc32c", tests, NULL, NULL);
}
