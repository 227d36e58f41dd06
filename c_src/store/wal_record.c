/* SPDX-License-Identifier: Apache-2.0 */
#include "store/wal_record.h"

#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"

enum { FLAG_BASE = 1 };

static const uint8_t padding[WAL_RECORD_ALIGNMENT];

static size_t padded(size_t size)
{
    return (size + WAL_RECORD_ALIGNMENT - 1) / WAL_RECORD_ALIGNMENT *
           WAL_RECORD_ALIGNMENT;
}

static void put_u32(uint8_t *data, uint32_t value)
{
    for (int i = 0; i < 4; i++) {
        data[i] = (uint8_t)(value >> (24 - 8 * i));
    }
}

static uint32_t get_u32(const uint8_t *data)
{
    uint32_t value = 0;

    for (int i = 0; i < 4; i++) {
        value = value << 8 | data[i];
    }
    return value;
}

static uint64_t get_u64(const uint8_t *data)
{
    return (uint64_t)get_u32(data) << 32 | get_u32(data + 4);
}

static void put_payload(struct buf *buf, const struct raft_persist *persist)
{
    if (persist->is_log_reset) {
        buf_put_u64(buf, persist->base_index);
        buf_put_u64(buf, persist->base_term);
    }
    buf_put_u64(buf, persist->term);
    buf_put_u64(buf, persist->voted_for);
    buf_put_u64(buf, persist->truncate_from);
    buf_put_u64(buf, persist->entry_count > 0 ? persist->entries[0].index : 0);
    buf_put_u32(buf, (uint32_t)persist->entry_count);
    for (size_t i = 0; i < persist->entry_count; i++) {
        buf_put_u64(buf, persist->entries[i].term);
        buf_put_u8(buf, (uint8_t)persist->entries[i].type);
        buf_put_block(buf, persist->entries[i].data);
    }
}

void wal_record_put(struct buf *buf, uint64_t sequence,
                    const struct raft_persist *persist)
{
    size_t start = buf->size;
    size_t size;

    ensure(persist->entry_count <= UINT32_MAX);
    buf_put_u32(buf, 0);
    buf_put_u32(buf, 0);
    buf_put_u64(buf, sequence);
    buf_put_u64(buf, 0);
    buf_put_u32(buf, 0);
    buf_put_u32(buf, persist->is_log_reset ? FLAG_BASE : 0);
    put_payload(buf, persist);
    if (buf_error(buf) != 0) {
        return;
    }
    size = buf->size - start;
    ensure(size - WAL_RECORD_HEADER_SIZE <= WAL_RECORD_PAYLOAD_MAX);
    buf_put(buf, padding, padded(size) - size);
    buf_patch_u32(buf, start + 4, (uint32_t)(size - WAL_RECORD_HEADER_SIZE));
}

void wal_record_peek(const uint8_t *data, struct wal_payload *ret_payload)
{
    const uint8_t *next = data + WAL_RECORD_HEADER_SIZE;
    struct wal_payload payload = {.has_base = get_u32(data + 28) == FLAG_BASE};

    if (payload.has_base) {
        payload.base.index = get_u64(next);
        payload.base.term = get_u64(next + 8);
        next += 16;
    }
    payload.term = get_u64(next);
    payload.voted_for = get_u64(next + 8);
    payload.truncate_from = get_u64(next + 16);
    payload.first_index = get_u64(next + 24);
    payload.entry_count = get_u32(next + 32);
    *ret_payload = payload;
}

size_t wal_record_size(const uint8_t *data)
{
    return padded(WAL_RECORD_HEADER_SIZE + (size_t)get_u32(data + 4));
}

void wal_record_seal(uint8_t *data, uint64_t flushed)
{
    struct bytes payload =
        bytes_of(data + WAL_RECORD_HEADER_SIZE, get_u32(data + 4));

    put_u32(data + 16, (uint32_t)(flushed >> 32));
    put_u32(data + 20, (uint32_t)flushed);
    put_u32(data + 24, crc32c(0, payload));
    put_u32(data, crc32c(0, bytes_of(data + 4, WAL_RECORD_HEADER_SIZE - 4)));
}

int wal_record_read(struct bytes bytes, struct wal_record *ret_record)
{
    const uint8_t *data = bytes.data;
    struct wal_record record;
    size_t size;

    if (bytes.size < WAL_RECORD_HEADER_SIZE) {
        return ERR_TRUNCATED;
    }
    size = get_u32(data + 4);
    if (size > WAL_RECORD_PAYLOAD_MAX || get_u64(data + 8) == 0 ||
        get_u32(data) !=
            crc32c(0, bytes_of(data + 4, WAL_RECORD_HEADER_SIZE - 4))) {
        return ERR_MALFORMED;
    }
    record.size = padded(WAL_RECORD_HEADER_SIZE + size);
    if (record.size > bytes.size) {
        return ERR_TRUNCATED;
    }
    record.sequence = get_u64(data + 8);
    record.flushed = get_u64(data + 16);
    record.flags = get_u32(data + 28);
    record.payload = bytes_of(data + WAL_RECORD_HEADER_SIZE, size);
    *ret_record = record;
    return get_u32(data + 24) == crc32c(0, record.payload) ? 0 : ERR_CORRUPT;
}

static int entry_decode(struct cursor *cursor, struct raft_entry *entry)
{
    uint8_t type;

    if (cursor_u64(cursor, &entry->term) != 0 ||
        cursor_u8(cursor, &type) != 0 ||
        cursor_block(cursor, &entry->data) != 0 || type > RAFT_ENTRY_CONFIG) {
        return ERR_MALFORMED;
    }
    entry->type = (enum raft_entry_type)type;
    return 0;
}

int wal_payload_decode(const struct wal_record *record,
                       struct wal_payload *ret_payload)
{
    struct cursor cursor = cursor_of(record->payload);
    struct wal_payload payload = {.has_base = record->flags == FLAG_BASE};

    if (record->flags != 0 && record->flags != FLAG_BASE) {
        return ERR_MALFORMED;
    }
    if (payload.has_base && (cursor_u64(&cursor, &payload.base.index) != 0 ||
                             cursor_u64(&cursor, &payload.base.term) != 0)) {
        return ERR_MALFORMED;
    }
    if (cursor_u64(&cursor, &payload.term) != 0 ||
        cursor_u64(&cursor, &payload.voted_for) != 0 ||
        cursor_u64(&cursor, &payload.truncate_from) != 0 ||
        cursor_u64(&cursor, &payload.first_index) != 0 ||
        cursor_u32(&cursor, &payload.entry_count) != 0 ||
        (payload.first_index == 0) != (payload.entry_count == 0)) {
        return ERR_MALFORMED;
    }
    payload.entries = bytes_of(cursor.next, cursor_left(&cursor));
    for (uint32_t i = 0; i < payload.entry_count; i++) {
        struct raft_entry entry;

        if (entry_decode(&cursor, &entry) != 0) {
            return ERR_MALFORMED;
        }
    }
    if (cursor_end(&cursor) != 0) {
        return ERR_MALFORMED;
    }
    *ret_payload = payload;
    return 0;
}

void wal_payload_next(struct cursor *cursor, struct raft_entry *ret_entry)
{
    int rv = entry_decode(cursor, ret_entry);

    ensure(rv == 0);
}
