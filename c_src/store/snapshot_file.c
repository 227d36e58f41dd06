/* SPDX-License-Identifier: Apache-2.0 */
#include "store/snapshot_file.h"

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

enum {
    CRC_SIZE = 4,
    DIGITS = 16, /* of an index in a name */
    HEADER_COVERED_SIZE = SNAPSHOT_HEADER_SIZE - CRC_SIZE,
    FOOTER_COVERED_SIZE = SNAPSHOT_FOOTER_SIZE - CRC_SIZE,
};

#define MAGIC        UINT64_C(0x51554f52534e500a) /* "QUORSNP\n" */
#define FOOTER_MAGIC UINT64_C(0x51554f52454e440a) /* "QUOREND\n" */

static const char *suffix_of(enum snapshot_kind kind)
{
    switch (kind) {
    case SNAPSHOT_WHOLE:
        return ".snap";
    case SNAPSHOT_OWN:
        return ".snap.new";
    case SNAPSHOT_RECEIVED:
        return ".snap.part";
    }
    unreachable();
}

void snapshot_name(uint64_t index, enum snapshot_kind kind,
                   char ret_name[SNAPSHOT_NAME_SIZE])
{
    (void)snprintf(ret_name, SNAPSHOT_NAME_SIZE, "%016" PRIx64 "%s", index,
                   suffix_of(kind));
}

uint64_t snapshot_name_index(const char *name, enum snapshot_kind kind)
{
    static const char digits[] = "0123456789abcdef";
    uint64_t index = 0;

    if (strlen(name) < DIGITS || strcmp(name + DIGITS, suffix_of(kind)) != 0) {
        return 0;
    }
    for (int i = 0; i < DIGITS; i++) {
        const char *digit = memchr(digits, name[i], DIGITS);

        if (digit == NULL) {
            return 0;
        }
        index = index << 4 | (uint64_t)(digit - digits);
    }
    return index;
}

uint64_t snapshot_chunk_count(uint64_t size)
{
    return (size + SNAPSHOT_CHUNK_SIZE - 1) / SNAPSHOT_CHUNK_SIZE;
}

uint64_t snapshot_file_size(uint64_t size)
{
    return SNAPSHOT_HEADER_SIZE + size +
           snapshot_chunk_count(size) * SNAPSHOT_CHUNK_HEADER_SIZE +
           SNAPSHOT_FOOTER_SIZE;
}

uint64_t snapshot_chunk_offset(uint64_t number)
{
    return SNAPSHOT_HEADER_SIZE +
           number * (SNAPSHOT_CHUNK_SIZE + SNAPSHOT_CHUNK_HEADER_SIZE);
}

static uint8_t *put_u32(uint8_t *next, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        next[i] = (uint8_t)(value >> (24 - 8 * i));
    }
    return next + 4;
}

static uint8_t *put_u64(uint8_t *next, uint64_t value)
{
    next = put_u32(next, (uint32_t)(value >> 32));
    return put_u32(next, (uint32_t)value);
}

/* --- Header -------------------------------------------------------------- */

void snapshot_header_encode(const struct snapshot_meta *meta,
                            uint8_t ret_header[SNAPSHOT_HEADER_SIZE])
{
    uint8_t *next = ret_header;

    ensure(meta->configuration_size <= SNAPSHOT_CONFIGURATION_MAX);
    memset(ret_header, 0, SNAPSHOT_HEADER_SIZE);
    next = put_u64(next, MAGIC);
    next = put_u32(next, SNAPSHOT_VERSION);
    next = put_u32(next, 0);
    next = put_u64(next, meta->index);
    next = put_u64(next, meta->term);
    next = put_u64(next, meta->size);
    next = put_u32(next, meta->checksum);
    next = put_u32(next, meta->configuration_size);
    memcpy(next, meta->configuration, meta->configuration_size);
    (void)put_u32(ret_header + HEADER_COVERED_SIZE,
                  crc32c(0, bytes_of(ret_header, HEADER_COVERED_SIZE)));
}

/* Whether the last 4 bytes are the crc of all before them. */
static bool is_intact(struct bytes bytes, size_t covered)
{
    struct cursor cursor =
        cursor_of(bytes_of(bytes.data + covered, bytes.size - covered));
    uint32_t crc;

    return cursor_u32(&cursor, &crc) == 0 &&
           crc == crc32c(0, bytes_of(bytes.data, covered));
}

static int decode_fields(struct cursor *cursor, struct snapshot_meta *meta)
{
    struct bytes configuration;

    if (cursor_u64(cursor, &meta->index) != 0 ||
        cursor_u64(cursor, &meta->term) != 0 ||
        cursor_u64(cursor, &meta->size) != 0 ||
        cursor_u32(cursor, &meta->checksum) != 0 ||
        cursor_u32(cursor, &meta->configuration_size) != 0 ||
        meta->index == 0 || meta->size > SNAPSHOT_SIZE_MAX ||
        meta->configuration_size > SNAPSHOT_CONFIGURATION_MAX ||
        cursor_take(cursor, meta->configuration_size, &configuration) != 0) {
        return ERR_MALFORMED;
    }
    if (configuration.size > 0) {
        memcpy(meta->configuration, configuration.data, configuration.size);
    }
    return 0;
}

int snapshot_header_decode(struct bytes header, struct snapshot_meta *ret_meta)
{
    struct cursor cursor = cursor_of(header);
    struct snapshot_meta meta = {.index = 0};
    uint64_t magic;
    uint32_t version;
    uint32_t reserved;

    if (header.size != SNAPSHOT_HEADER_SIZE ||
        !is_intact(header, HEADER_COVERED_SIZE) ||
        cursor_u64(&cursor, &magic) != 0 || magic != MAGIC ||
        cursor_u32(&cursor, &version) != 0 ||
        cursor_u32(&cursor, &reserved) != 0) {
        return ERR_MALFORMED;
    }
    if (version != SNAPSHOT_VERSION || reserved != 0) {
        return ERR_UNSUPPORTED;
    }
    if (decode_fields(&cursor, &meta) != 0) {
        return ERR_MALFORMED;
    }
    *ret_meta = meta;
    return 0;
}

/* --- Chunks -------------------------------------------------------------- */

static uint32_t chunk_crc(uint64_t index, const uint8_t *header,
                          struct bytes data)
{
    uint8_t prefix[8];
    uint32_t crc;

    (void)put_u64(prefix, index);
    crc = crc32c(0, bytes_of(prefix, sizeof(prefix)));
    crc = crc32c(crc, bytes_of(header + CRC_SIZE,
                               SNAPSHOT_CHUNK_HEADER_SIZE - CRC_SIZE));
    return crc32c(crc, data);
}

void snapshot_chunk_encode(uint64_t index, uint64_t number, struct bytes data,
                           uint8_t ret_header[SNAPSHOT_CHUNK_HEADER_SIZE])
{
    uint8_t *next = ret_header + CRC_SIZE;

    ensure(data.size <= SNAPSHOT_CHUNK_SIZE);
    next = put_u32(next, (uint32_t)data.size);
    (void)put_u64(next, number);
    (void)put_u32(ret_header, chunk_crc(index, ret_header, data));
}

int snapshot_chunk_decode(struct bytes chunk, uint64_t index, uint64_t number,
                          struct bytes *ret_data, uint32_t *ret_crc)
{
    struct cursor cursor = cursor_of(chunk);
    struct bytes data;
    uint32_t crc;
    uint32_t size;
    uint64_t its_number;

    if (cursor_u32(&cursor, &crc) != 0 || cursor_u32(&cursor, &size) != 0 ||
        cursor_u64(&cursor, &its_number) != 0 || size != cursor_left(&cursor) ||
        its_number != number || cursor_take(&cursor, size, &data) != 0 ||
        crc != chunk_crc(index, chunk.data, data)) {
        return ERR_CORRUPT;
    }
    *ret_data = data;
    *ret_crc = crc;
    return 0;
}

uint32_t snapshot_checksum(uint32_t checksum, uint32_t chunk_crc)
{
    uint8_t bytes[CRC_SIZE];

    (void)put_u32(bytes, chunk_crc);
    return crc32c(checksum, bytes_of(bytes, sizeof(bytes)));
}

/* --- Footer -------------------------------------------------------------- */

void snapshot_footer_encode(const struct snapshot_meta *meta,
                            uint8_t ret_footer[SNAPSHOT_FOOTER_SIZE])
{
    uint8_t *next = ret_footer;

    next = put_u64(next, FOOTER_MAGIC);
    next = put_u64(next, snapshot_chunk_count(meta->size));
    next = put_u64(next, meta->size);
    next = put_u32(next, meta->checksum);
    (void)put_u32(next, crc32c(0, bytes_of(ret_footer, FOOTER_COVERED_SIZE)));
}

int snapshot_footer_check(struct bytes footer, const struct snapshot_meta *meta)
{
    uint8_t expected[SNAPSHOT_FOOTER_SIZE];

    snapshot_footer_encode(meta, expected);
    return bytes_equal(footer, bytes_of(expected, sizeof(expected)))
               ? 0
               : ERR_CORRUPT;
}
