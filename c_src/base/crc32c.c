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
__attribute__((target("sse4.2"))) static uint32_t
crc32c_sse42(uint32_t crc, struct bytes bytes)
{
    const uint8_t *next = bytes.data;
    size_t left = bytes.size;
    uint64_t state = ~crc;

    while (left >= 8) {
        uint64_t word;

        memcpy(&word, next, 8);
        state = __builtin_ia32_crc32di(state, word);
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
