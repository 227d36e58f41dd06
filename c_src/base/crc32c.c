/* SPDX-License-Identifier: Apache-2.0 */
#include "base/crc32c.h"

enum { NIBBLES = 16 };

/* crc of each 4-bit value under the reflected polynomial 0x82f63b78. */
static const uint32_t table[NIBBLES] = {
    0x00000000, 0x105ec76f, 0x20bd8ede, 0x30e349b1, 0x417b1dbc, 0x5125dad3,
    0x61c69362, 0x7198540d, 0x82f63b78, 0x92a8fc17, 0xa24bb5a6, 0xb21572c9,
    0xc38d26c4, 0xd3d3e1ab, 0xe330a81a, 0xf36e6f75};

uint32_t crc32c_portable(uint32_t crc, struct bytes bytes)
{
    crc = ~crc;
    for (size_t i = 0; i < bytes.size; i++) {
        crc ^= bytes.data[i];
        crc = (crc >> 4) ^ table[crc & 15];
        crc = (crc >> 4) ^ table[crc & 15];
    }
    return ~crc;
}

#if defined(__x86_64__)
enum { LANE_SIZE = 8192 }; /* bytes */

static const uint32_t polynomial = 0x82f63b78;
static const uint32_t lane_shift = 0x28461564; /* x^(8 * LANE_SIZE) */

/* The state after a lane of zeros: its product with lane_shift, modulo the
 * polynomial; bits are reflected, so that the highest is x^0. */
static uint32_t shift_lane(uint32_t state)
{
    uint32_t product = 0;

    for (uint32_t factor = lane_shift; factor != 0; factor <<= 1) {
        product ^= state & (0U - (factor >> 31));
        state = (state >> 1) ^ (polynomial & (0U - (state & 1)));
    }
    return product;
}

static uint64_t word_at(const uint8_t *data)
{
    uint64_t word;

    memcpy(&word, data, sizeof(word));
    return word;
}

/* An instruction takes three cycles, and one can begin in each: three lanes
 * side by side take no longer than one. What the first two would have become
 * over the bytes of those behind them is made up for at the end. */
__attribute__((target("sse4.2"))) static uint32_t
lanes_sse42(uint32_t state, const uint8_t *data)
{
    const uint8_t *data_2 = data + LANE_SIZE;
    const uint8_t *data_3 = data_2 + LANE_SIZE;
    uint64_t first = state;
    uint64_t second = 0;
    uint64_t third = 0;

    for (size_t i = 0; i < LANE_SIZE; i += 8) {
        first = __builtin_ia32_crc32di(first, word_at(data + i));
        second = __builtin_ia32_crc32di(second, word_at(data_2 + i));
        third = __builtin_ia32_crc32di(third, word_at(data_3 + i));
    }
    second ^= shift_lane((uint32_t)first);
    return shift_lane((uint32_t)second) ^ (uint32_t)third;
}

__attribute__((target("sse4.2"))) static uint32_t
crc32c_sse42(uint32_t crc, struct bytes bytes)
{
    const size_t lanes_size = (size_t)3 * LANE_SIZE;
    const uint8_t *next = bytes.data;
    size_t left = bytes.size;
    uint64_t state = ~crc;

    while (left >= lanes_size) {
        state = lanes_sse42((uint32_t)state, next);
        next += lanes_size;
        left -= lanes_size;
    }
    while (left >= 8) {
        state = __builtin_ia32_crc32di(state, word_at(next));
        next += 8;
        left -= 8;
    }
    while (left > 0) {
        state = __builtin_ia32_crc32qi((uint32_t)state, *next);
        next++;
        left--;
    }
    return ~(uint32_t)state;
}
#endif

uint32_t crc32c(uint32_t crc, struct bytes bytes)
{
#if defined(__x86_64__)
    if (__builtin_cpu_supports("sse4.2")) {
        return crc32c_sse42(crc, bytes);
    }
#endif
    return crc32c_portable(crc, bytes);
}
