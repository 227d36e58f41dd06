/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: snapshot_header_decode, snapshot_chunk_decode,
 * snapshot_footer_check, snapshot_name_index.
 *
 * The input is read as it is; then as the fields of a header that is given its
 * checksum, so that what is behind it is reached; then as the data of a chunk,
 * of which any changed byte is noticed. Byte 0 chooses which one. */
#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"
#include "store/snapshot_file.h"

#include <stddef.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 32 * 1024, FIELDS_SIZE = SNAPSHOT_HEADER_SIZE - 4 };

static void put_u32(uint8_t *next, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        next[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

static void read_raw(struct bytes bytes)
{
    struct snapshot_meta meta = {.index = 1};
    struct bytes data;
    uint32_t crc;
    int rv = snapshot_header_decode(bytes, &meta);

    ensure(rv == 0 || rv == ERR_MALFORMED || rv == ERR_UNSUPPORTED);
    rv = snapshot_chunk_decode(bytes, 1, 0, &data, &crc);
    ensure(rv == 0 || rv == ERR_CORRUPT);
    rv = snapshot_footer_check(bytes, &meta);
    ensure(rv == 0 || rv == ERR_CORRUPT);
}

/* What decodes is encoded to the same bytes. */
static void read_header(struct bytes bytes)
{
    uint8_t header[SNAPSHOT_HEADER_SIZE] = {0};
    uint8_t again[SNAPSHOT_HEADER_SIZE];
    struct snapshot_meta meta;
    int rv;

    if (bytes.size > 0) {
        memcpy(header, bytes.data, size_min(bytes.size, FIELDS_SIZE));
    }
    put_u32(header + FIELDS_SIZE, crc32c(0, bytes_of(header, FIELDS_SIZE)));
    rv = snapshot_header_decode(bytes_of(header, sizeof(header)), &meta);
    ensure(rv == 0 || rv == ERR_MALFORMED || rv == ERR_UNSUPPORTED);
    if (rv == 0) {
        snapshot_header_encode(&meta, again);
        ensure(memcmp(header, again, 48 + meta.configuration_size) == 0);
    }
}

static void read_chunk(struct bytes bytes, uint8_t change)
{
    static uint8_t chunk[SNAPSHOT_CHUNK_HEADER_SIZE + INPUT_MAX];
    size_t size = SNAPSHOT_CHUNK_HEADER_SIZE + bytes.size;
    struct bytes data;
    uint32_t crc;

    snapshot_chunk_encode(7, change, bytes, chunk);
    if (bytes.size > 0) {
        memcpy(chunk + SNAPSHOT_CHUNK_HEADER_SIZE, bytes.data, bytes.size);
    }
    ensure(snapshot_chunk_decode(bytes_of(chunk, size), 7, change, &data,
                                 &crc) == 0);
    ensure(bytes_equal(data, bytes));
    ensure(snapshot_chunk_decode(bytes_of(chunk, size), 8, change, &data,
                                 &crc) == ERR_CORRUPT);
    ensure(snapshot_chunk_decode(bytes_of(chunk, size), 7, change + 1U, &data,
                                 &crc) == ERR_CORRUPT);
    ensure(snapshot_chunk_decode(bytes_of(chunk, size - 1), 7, change, &data,
                                 &crc) == ERR_CORRUPT);
    chunk[change * (size - 1) / 255] ^= 4;
    ensure(snapshot_chunk_decode(bytes_of(chunk, size), 7, change, &data,
                                 &crc) == ERR_CORRUPT);
}

static void read_name(struct bytes bytes)
{
    char name[64] = {0};
    char again[SNAPSHOT_NAME_SIZE];
    uint64_t index;

    if (bytes.size > 0) {
        memcpy(name, bytes.data, size_min(bytes.size, sizeof(name) - 1));
    }
    index = snapshot_name_index(name, SNAPSHOT_WHOLE);
    if (index != 0) {
        snapshot_name(index, SNAPSHOT_WHOLE, again);
        ensure(strcmp(name, again) == 0);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes;

    if (size < 1 || size > INPUT_MAX) {
        return 0;
    }
    bytes = bytes_of(data + 1, size - 1);
    read_raw(bytes);
    read_header(bytes);
    read_chunk(bytes, data[0]);
    read_name(bytes);
    return 0;
}
