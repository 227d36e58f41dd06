/* SPDX-License-Identifier: Apache-2.0
 * Most names are ASCII: that case takes eight bytes at a time. */
#include "etf/utf8.h"

#include "base/err.h"

#include <stdint.h>

enum { WORD = sizeof(uint64_t), HALF = sizeof(uint32_t) };

/* The bits that no ASCII byte has, of eight bytes and of four. */
static uint64_t high_bits(const uint8_t *data)
{
    uint64_t word;

    memcpy(&word, data, WORD);
    return word & 0x8080808080808080U;
}

static uint64_t half_high_bits(const uint8_t *data)
{
    uint32_t half;

    memcpy(&half, data, HALF);
    return half & 0x80808080U;
}

/* The last word may overlap the one before: names have no round sizes. */
bool utf8_is_ascii(struct bytes text)
{
    uint64_t high = 0;

    if (text.size >= WORD) {
        high = high_bits(text.data + text.size - WORD);
        for (size_t i = 0; i < text.size - WORD && high == 0; i += WORD) {
            high = high_bits(text.data + i);
        }
    } else if (text.size >= HALF) {
        high = half_high_bits(text.data) |
               half_high_bits(text.data + text.size - HALF);
    } else {
        for (size_t i = 0; i < text.size; i++) {
            high |= text.data[i] & 0x80U;
        }
    }
    return high == 0;
}

/* The size of the character at the start of `text`, or 0 if it is not valid.
 * The bounds on the second byte are table 3-7 of the Unicode standard. */
static size_t char_size(struct bytes text)
{
    uint8_t first = text.data[0];
    uint8_t low = 0x80;
    uint8_t high = 0xbf;
    size_t size;

    if (first < 0x80) {
        return 1;
    }
    if (first < 0xc2 || first > 0xf4) {
        return 0;
    }
    size = first < 0xe0 ? 2 : (first < 0xf0 ? 3 : 4);
    if (text.size < size) {
        return 0;
    }
    if (first == 0xe0) {
        low = 0xa0;
    } else if (first == 0xed) {
        high = 0x9f;
    } else if (first == 0xf0) {
        low = 0x90;
    } else if (first == 0xf4) {
        high = 0x8f;
    }
    if (text.data[1] < low || text.data[1] > high) {
        return 0;
    }
    for (size_t i = 2; i < size; i++) {
        if ((text.data[i] & 0xc0) != 0x80) {
            return 0;
        }
    }
    return size;
}

int utf8_count(struct bytes text, size_t *ret_chars)
{
    size_t chars = 0;

    if (utf8_is_ascii(text)) {
        *ret_chars = text.size;
        return 0;
    }
    while (text.size > 0) {
        size_t size = char_size(text);

        if (size == 0) {
            return ERR_MALFORMED;
        }
        text = bytes_of(text.data + size, text.size - size);
        chars++;
    }
    *ret_chars = chars;
    return 0;
}
