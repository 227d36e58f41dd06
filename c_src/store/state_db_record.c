/* SPDX-License-Identifier: Apache-2.0 */
#include "store/state_db_record.h"

#include "base/buf.h"
#include "base/crc32c.h"
#include "base/err.h"

enum {
    FORMAT = 1,
    FLAG_VERSION = 1,
    FLAG_VALUE = 2,
    CHECKED_SIZE = STATE_RECORD_SIZE - 4,
};

static void put_number(uint8_t **next, uint64_t value, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        (*next)[i] = (uint8_t)(value >> (8 * (size - 1 - i)));
    }
    *next += size;
}

/* A record that turned up under another id is damage too. */
static uint32_t checksum(const uint8_t *record, struct bytes id)
{
    return crc32c(crc32c(0, id), bytes_of(record, CHECKED_SIZE));
}

void state_record_encode(const struct state_replica *replica, struct bytes id,
                         uint8_t ret_record[STATE_RECORD_SIZE])
{
    uint8_t *next = ret_record;

    put_number(&next, FORMAT, 1);
    put_number(&next,
               (replica->has_version ? FLAG_VERSION : 0U) |
                   (replica->has_value ? FLAG_VALUE : 0U),
               1);
    put_number(&next, replica->promised, 8);
    put_number(&next, replica->promised_ballot, 8);
    put_number(&next, replica->stamp.version.epoch, 8);
    put_number(&next, replica->stamp.version.seq, 8);
    put_number(&next, replica->stamp.ballot, 8);
    put_number(&next, replica->crc, 4);
    put_number(&next, replica->size, 4);
    put_number(&next, checksum(ret_record, id), 4);
}

int state_record_decode(struct bytes record, struct bytes id,
                        struct state_replica *ret_replica)
{
    struct state_replica replica = {0};
    struct cursor cursor = cursor_of(record);
    uint8_t format = 0;
    uint8_t flags = 0;
    uint32_t crc = 0;

    if (record.size != STATE_RECORD_SIZE || cursor_u8(&cursor, &format) != 0 ||
        cursor_u8(&cursor, &flags) != 0 ||
        cursor_u64(&cursor, &replica.promised) != 0 ||
        cursor_u64(&cursor, &replica.promised_ballot) != 0 ||
        cursor_u64(&cursor, &replica.stamp.version.epoch) != 0 ||
        cursor_u64(&cursor, &replica.stamp.version.seq) != 0 ||
        cursor_u64(&cursor, &replica.stamp.ballot) != 0 ||
        cursor_u32(&cursor, &replica.crc) != 0 ||
        cursor_u32(&cursor, &replica.size) != 0 ||
        cursor_u32(&cursor, &crc) != 0) {
        return ERR_CORRUPT;
    }
    if (crc != checksum(record.data, id) || format != FORMAT) {
        return ERR_CORRUPT;
    }
    replica.has_version = (flags & FLAG_VERSION) != 0;
    replica.has_value = (flags & FLAG_VALUE) != 0;
    *ret_replica = replica;
    return 0;
}
