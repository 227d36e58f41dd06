/* SPDX-License-Identifier: Apache-2.0 */
#include "cluster/reach_probe.h"

#include "base/ensure.h"
#include "base/err.h"

#include <stdbool.h>

static uint32_t bits_of(uint32_t count)
{
    return (1U << count) - 1;
}

void reach_probe_encode(struct buf *out, const struct reach_probe *probe)
{
    ensure(probe->count > 0);
    ensure(probe->count <= REACH_MAX);
    buf_put_u8(out, REACH_PROBE_VERSION);
    buf_put_u64(out, probe->stamp_us);
    buf_put_u64(out, probe->echo_us);
    buf_put_u32(out, probe->held_us);
    buf_put_u8(out, (uint8_t)probe->count);
    for (uint32_t i = 0; i < probe->count; i++) {
        buf_put_u64(out, probe->ids[i]);
        buf_put_u64(out, probe->rows[i].number);
        buf_put_u32(out, probe->rows[i].age_ms);
        buf_put_u16(out, probe->rows[i].heard);
        buf_put_u16(out, probe->rows[i].arriving);
    }
}

static int decode_row(struct cursor *cursor, uint32_t count,
                      struct reach_row *row)
{
    int rv = cursor_u64(cursor, &row->number);

    rv = rv == 0 ? cursor_u32(cursor, &row->age_ms) : rv;
    rv = rv == 0 ? cursor_u16(cursor, &row->heard) : rv;
    rv = rv == 0 ? cursor_u16(cursor, &row->arriving) : rv;
    if (rv == 0 && ((row->heard | row->arriving) & ~bits_of(count)) != 0) {
        rv = ERR_MALFORMED;
    }
    return rv;
}

static bool is_new_id(const struct reach_probe *probe, uint32_t before,
                      uint64_t id)
{
    for (uint32_t i = 0; i < before; i++) {
        if (probe->ids[i] == id) {
            return false;
        }
    }
    return id != 0;
}

static int decode_body(struct cursor *cursor, struct reach_probe *probe)
{
    uint8_t count = 0;
    int rv = cursor_u64(cursor, &probe->stamp_us);

    rv = rv == 0 ? cursor_u64(cursor, &probe->echo_us) : rv;
    rv = rv == 0 ? cursor_u32(cursor, &probe->held_us) : rv;
    rv = rv == 0 ? cursor_u8(cursor, &count) : rv;
    if (rv != 0 || count == 0 || count > REACH_MAX) {
        return ERR_MALFORMED;
    }
    probe->count = count;
    for (uint32_t i = 0; i < count; i++) {
        if (cursor_u64(cursor, &probe->ids[i]) != 0 ||
            !is_new_id(probe, i, probe->ids[i]) ||
            decode_row(cursor, count, &probe->rows[i]) != 0) {
            return ERR_MALFORMED;
        }
    }
    return probe->rows[0].number == 0 ? ERR_MALFORMED : cursor_end(cursor);
}

int reach_probe_decode(struct bytes bytes, struct reach_probe *ret_probe)
{
    struct cursor cursor = cursor_of(bytes);
    struct reach_probe probe = {0};
    uint8_t version;

    if (cursor_u8(&cursor, &version) != 0) {
        return ERR_MALFORMED;
    }
    if (version != REACH_PROBE_VERSION) {
        return ERR_UNSUPPORTED;
    }
    if (decode_body(&cursor, &probe) != 0) {
        return ERR_MALFORMED;
    }
    *ret_probe = probe;
    return 0;
}
