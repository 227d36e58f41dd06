/* SPDX-License-Identifier: Apache-2.0 */
/* Targets: wal_record_read, wal_payload_decode, wal_payload_next,
 * wal_record_put, wal_record_peek, wal_record_seal, wal_segment_header_decode,
 * state_record_decode.
 *
 * The input is the payload of a record: it is sealed, so that what is behind
 * the checksums is reached, and read back. What decodes gives just the entries
 * that it says; any other byte in a sealed record is noticed. Byte 0 chooses
 * which one is changed. */
#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"
#include "store/state_db_record.h"
#include "store/wal_record.h"
#include "store/wal_segment.h"

#include <stddef.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { INPUT_MAX = 32 * 1024 };

static void read_payload(struct bytes bytes, uint32_t flags)
{
    struct wal_payload payload;
    struct cursor cursor;
    size_t total = 0;
    struct wal_record record = {.payload = bytes, .flags = flags};
    int rv = wal_payload_decode(&record, &payload);

    ensure(rv == 0 || rv == ERR_MALFORMED);
    if (rv != 0) {
        return;
    }
    cursor = cursor_of(payload.entries);
    for (uint32_t i = 0; i < payload.entry_count; i++) {
        struct raft_entry entry = {0};

        wal_payload_next(&cursor, &entry);
        total += entry.data.size;
        ensure(total <= bytes.size);
    }
    ensure(cursor_left(&cursor) == 0);
}

/* As it stands, whatever the checksums say. */
static void read_raw(struct bytes bytes)
{
    struct wal_segment_header header;
    struct state_replica replica;
    struct wal_record record;
    int rv = wal_record_read(bytes, &record);

    ensure(rv == 0 || rv == ERR_TRUNCATED || rv == ERR_MALFORMED ||
           rv == ERR_CORRUPT);
    if (rv == 0) {
        ensure(record.size <= bytes.size);
        read_payload(record.payload, record.flags);
    }
    rv = wal_segment_header_decode(bytes, &header);
    ensure(rv == 0 || rv == ERR_MALFORMED || rv == ERR_UNSUPPORTED);
    ensure(rv != 0 || header.version <= WAL_VERSION);
    rv = state_record_decode(bytes, bytes_of_string("id"), &replica);
    ensure(rv == 0 || rv == ERR_CORRUPT);
}

/* A record of our own around one entry that has these bytes. */
static void read_sealed(struct bytes bytes, uint8_t change)
{
    struct raft_entry entry = {.index = 1, .term = 1, .data = bytes};
    struct raft_persist persist = {.term = 1,
                                   .is_log_reset = change % 2 == 1,
                                   .entries = &entry,
                                   .entry_count = 1};
    struct wal_record record;
    struct wal_payload payload;
    struct buf buf;
    size_t at;

    buf_init(&buf, WAL_RECORD_PAYLOAD_MAX);
    wal_record_put(&buf, 1, &persist);
    ensure(buf_error(&buf) == 0);
    wal_record_peek(buf.data, &payload);
    ensure(payload.has_base == (change % 2 == 1));
    ensure(payload.entry_count == 1 && payload.first_index == 1);
    ensure(wal_record_size(buf.data) == buf.size);
    wal_record_seal(buf.data, 1);
    ensure(wal_record_read(buf_bytes(&buf), &record) == 0);
    ensure(record.sequence == 1 && record.size == buf.size);
    ensure(wal_payload_decode(&record, &payload) == 0);
    ensure(payload.entry_count == 1);
    for (size_t cut = 0; cut < WAL_RECORD_HEADER_SIZE + 1; cut++) {
        ensure(wal_record_read(bytes_of(buf.data, cut), &record) ==
               ERR_TRUNCATED);
    }
    at = change * (buf.size - WAL_RECORD_ALIGNMENT) / 256;
    buf.data[at] ^= 1;
    ensure(wal_record_read(buf_bytes(&buf), &record) != 0);
    buf_close(&buf);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes bytes;

    if (size < 1 || size > INPUT_MAX) {
        return 0;
    }
    bytes = bytes_of(data + 1, size - 1);
    read_payload(bytes, 0);
    read_payload(bytes, 1);
    read_raw(bytes);
    read_sealed(bytes, data[0]);
    return 0;
}
