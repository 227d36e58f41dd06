/* SPDX-License-Identifier: Apache-2.0
 * Probes come back as they were, and what is none is refused. */
#include "base/rng.h"
#include "cluster/reach_probe.h"
#include "lib/test.h"

#include <string.h>

static struct reach_probe sample(uint32_t count)
{
    struct reach_probe probe = {.stamp_us = 0x0102030405060708,
                                .echo_us = 11,
                                .held_us = 12,
                                .count = count};

    for (uint32_t i = 0; i < count; i++) {
        probe.ids[i] = i + 100;
        probe.rows[i] = (struct reach_row){.number = i + 1,
                                           .age_ms = i * 10,
                                           .heard = (uint16_t)(1U << i),
                                           .arriving = 1};
    }
    return probe;
}

static void encode(struct buf *out, const struct reach_probe *probe)
{
    buf_init(out, REACH_PROBE_SIZE_MAX);
    reach_probe_encode(out, probe);
    assert_ok(buf_error(out));
}

static void probe_comes_back(void **state)
{
    (void)state;
    for (uint32_t count = 1; count <= REACH_MAX; count++) {
        struct reach_probe probe = sample(count);
        struct reach_probe back = {.count = 0};
        struct buf out;

        encode(&out, &probe);
        assert_int_equal(out.size, 22 + count * 24);
        assert_ok(reach_probe_decode(buf_bytes(&out), &back));
        assert_memory_equal(&back, &probe, sizeof(probe));
        for (size_t size = 0; size < out.size; size++) {
            assert_err(reach_probe_decode(bytes_of(out.data, size), &back),
                       ERR_MALFORMED);
        }
        buf_close(&out);
    }
}

static void nonsense_is_refused(void **state)
{
    struct reach_probe probes[] = {sample(2), sample(2), sample(2), sample(2)};
    struct reach_probe back = {.count = 77};
    struct reach_probe good = sample(2);
    struct buf out;

    (void)state;
    probes[0].ids[1] = probes[0].ids[0];
    probes[1].ids[1] = 0;
    probes[2].rows[0].number = 0;
    probes[3].rows[1].heard = 4;
    for (size_t i = 0; i < sizeof(probes) / sizeof(probes[0]); i++) {
        encode(&out, &probes[i]);
        assert_err(reach_probe_decode(buf_bytes(&out), &back), ERR_MALFORMED);
        buf_close(&out);
    }
    encode(&out, &good);
    buf_put_u8(&out, 0);
    assert_err(reach_probe_decode(buf_bytes(&out), &back), ERR_MALFORMED);
    out.size--;
    out.data[21] = 0; /* members */
    assert_err(reach_probe_decode(buf_bytes(&out), &back), ERR_MALFORMED);
    out.data[21] = REACH_MAX + 1;
    assert_err(reach_probe_decode(buf_bytes(&out), &back), ERR_MALFORMED);
    out.data[0] = REACH_PROBE_VERSION + 1;
    assert_err(reach_probe_decode(buf_bytes(&out), &back), ERR_UNSUPPORTED);
    assert_int_equal(back.count, 77);
    buf_close(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(probe_comes_back),
        cmocka_unit_test(nonsense_is_refused),
    };

    return cmocka_run_group_tests_name("reach_probe", tests, NULL, NULL);
}
