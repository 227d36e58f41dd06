/* SPDX-License-Identifier: Apache-2.0 */
/* A port program of test/erl/differential_SUITE: what the member makes of
 * terms.
 *
 * A packet (a 32-bit length) holds items, each behind a 32-bit length. The
 * answer holds, for each: a byte, 0 or why it was refused, and behind a 32-bit
 * length the term as reader and writer give it again. */
#include "base/buf.h"
#include "base/bytes.h"
#include "base/ensure.h"
#include "base/err.h"
#include "etf/keys.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "fuzz/etf_reader_walk.h"

#include <stdio.h>
#include <stdlib.h>

enum { PACKET_MAX = 64 * 1024 * 1024, READ_SIZE = 64 * 1024 };

enum { SEED = 4711 };

enum verdict { TAKEN, MALFORMED, TRUNCATED, LIMITED, UNREADABLE, EQUAL_KEYS };

static enum verdict verdict_of(int rv)
{
    switch (rv) {
    case 0:
        return TAKEN;
    case ERR_TRUNCATED:
        return TRUNCATED;
    case ERR_LIMIT:
        return LIMITED;
    default:
        return MALFORMED;
    }
}

static void put_sized(struct buf *out, const struct buf *bytes)
{
    buf_put_u32(out, (uint32_t)bytes->size);
    buf_put_bytes(out, buf_bytes(bytes));
}

static void answer(struct bytes item, struct buf *out)
{
    struct etf_limits limits = etf_limits_default(PACKET_MAX);
    enum verdict verdict;
    struct bytes raw;
    struct buf term;

    buf_init(&term, PACKET_MAX);
    verdict = verdict_of(etf_validate_external(item, &limits, &raw));
    if (verdict == TAKEN) {
        int rv = etf_keys_differ(raw, SEED);

        ensure(rv == 0 || rv == ERR_MALFORMED);
        verdict = rv == 0 ? TAKEN : EQUAL_KEYS;
    }
    if (verdict == TAKEN) {
        etf_put_version(&term);
        if (walk_term(raw, &term) != 0 || buf_error(&term) != 0) {
            verdict = UNREADABLE;
            buf_close(&term);
        }
    }
    buf_put_u8(out, (uint8_t)verdict);
    put_sized(out, &term);
    buf_close(&term);
}

static bool read_all(struct buf *in, size_t size)
{
    static uint8_t room[READ_SIZE];

    buf_clear(in);
    while (size > 0) {
        size_t want = size < sizeof(room) ? size : sizeof(room);
        size_t got = fread(room, 1, want, stdin);

        if (got == 0) {
            return false;
        }
        buf_put(in, room, got);
        size -= got;
    }
    return buf_error(in) == 0;
}

static void write_all(const struct buf *out)
{
    uint8_t head[] = {(uint8_t)(out->size >> 24), (uint8_t)(out->size >> 16),
                      (uint8_t)(out->size >> 8), (uint8_t)out->size};

    ensure(buf_error(out) == 0);
    ensure(fwrite(head, 1, sizeof(head), stdout) == sizeof(head));
    ensure(fwrite(out->data, 1, out->size, stdout) == out->size);
    ensure(fflush(stdout) == 0);
}

int main(void)
{
    struct buf in;
    struct buf out;
    struct cursor cursor;
    struct bytes item;
    uint32_t size = 0;

    buf_init(&in, PACKET_MAX);
    buf_init(&out, PACKET_MAX);
    while (read_all(&in, sizeof(size))) {
        cursor = cursor_of(buf_bytes(&in));
        ensure(cursor_u32(&cursor, &size) == 0);
        if (size > PACKET_MAX || !read_all(&in, size)) {
            return EXIT_FAILURE;
        }
        buf_clear(&out);
        cursor = cursor_of(buf_bytes(&in));
        while (cursor_u32(&cursor, &size) == 0 &&
               cursor_take(&cursor, size, &item) == 0) {
            answer(item, &out);
        }
        write_all(&out);
    }
    buf_close(&in);
    buf_close(&out);
    return EXIT_SUCCESS;
}
