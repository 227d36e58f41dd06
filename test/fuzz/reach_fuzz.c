/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: reach_probe_decode, reach_step. A probe that is taken comes out
 * again as the same bytes; whatever a member says, the detector stays in order,
 * and what it says itself can be read. */
#include "base/buf.h"
#include "base/ensure.h"
#include "cluster/reach.h"

#include <stddef.h>
#include <stdint.h>

enum { NOW_MS = 100000 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void step(struct reach *reach, struct reach_event event)
{
    struct reach_effects effects;

    event.now_ms = NOW_MS;
    event.now_us = (uint64_t)NOW_MS * 1000;
    if (reach_step(reach, &event, &effects) == 0) {
        reach_check(reach);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint64_t ids[] = {1, 2, 3, 4};
    struct reach_probe probe;
    struct reach_view view;
    struct reach reach;
    struct buf out;

    if (reach_probe_decode(bytes_of(data, size), &probe) != 0) {
        return 0;
    }
    buf_init(&out, REACH_PROBE_SIZE_MAX);
    reach_probe_encode(&out, &probe);
    ensure(buf_error(&out) == 0);
    ensure(bytes_equal(buf_bytes(&out), bytes_of(data, size)));
    buf_clear(&out);
    reach_init(&reach, &(struct reach_config){.self = 1, .number = 1});
    step(&reach,
         (struct reach_event){.type = REACH_MEMBERS, .ids = ids, .count = 4});
    step(&reach, (struct reach_event){.type = REACH_PROBE,
                                      .from = probe.ids[0],
                                      .bytes = bytes_of(data, size)});
    step(&reach, (struct reach_event){.type = REACH_TICK});
    reach_view(&reach, &view);
    ensure(view.group_count > 0);
    reach_put_probe(&reach, 2, NOW_MS, (uint64_t)NOW_MS * 1000, &out);
    ensure(reach_probe_decode(buf_bytes(&out), &probe) == 0);
    buf_close(&out);
    return 0;
}
