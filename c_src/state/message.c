/* SPDX-License-Identifier: Apache-2.0 */
#include "state/message.h"

#include "base/crc32c.h"
#include "base/ensure.h"
#include "base/err.h"
#include "state/coordinator.h"

enum {
    FORMAT = 1,
    KIND_AT = 1,
    TICKET_AT = 4,
    EPOCH_AT = 20,
    SEQ_AT = 28,
    BALLOT_AT = 36,
    ID_SIZE_AT = 64,
    FLAG_VERSION = 1,
    FLAG_VALUE = 2,
};

_Static_assert((int)STATE_MESSAGE_SIZE_MAX - STATE_MESSAGE_HEADER_SIZE -
                       STATE_ID_SIZE_MAX ==
                   (int)STATE_SIZE_MAX,
               "the greatest value fits the greatest message");
_Static_assert(ID_SIZE_AT + 5 == STATE_MESSAGE_HEADER_SIZE,
               "the size of the id is the last field but one");

static int encode(const struct state_message *message, struct bytes value,
                  struct buf *buf)
{
    size_t size = STATE_MESSAGE_HEADER_SIZE + message->id.size + value.size;
    unsigned flags = (message->has_version ? FLAG_VERSION : 0U) |
                     (message->has_value ? FLAG_VALUE : 0U);

    ensure(message->id.size <= STATE_ID_SIZE_MAX);
    ensure(message->value.size <= STATE_SIZE_MAX);
    ensure(message->has_value || message->value.size == 0);
    if (buf_reserve(buf, size) == NULL) {
        return buf_error(buf);
    }
    buf_put_u8(buf, FORMAT);
    buf_put_u8(buf, (uint8_t)message->kind);
    buf_put_u8(buf, (uint8_t)message->status);
    buf_put_u8(buf, (uint8_t)flags);
    buf_put_u64(buf, message->ticket);
    buf_put_u64(buf, message->birth);
    buf_put_u64(buf, message->stamp.version.epoch);
    buf_put_u64(buf, message->stamp.version.seq);
    buf_put_u64(buf, message->stamp.ballot);
    buf_put_u64(buf, message->promised);
    buf_put_u64(buf, message->promised_ballot);
    buf_put_u32(buf, message->crc);
    buf_put_u8(buf, (uint8_t)message->id.size);
    buf_put_u32(buf, (uint32_t)message->value.size);
    buf_put_bytes(buf, message->id);
    buf_put_bytes(buf, value);
    return buf_error(buf);
}

int state_message_encode(const struct state_message *message, struct buf *buf)
{
    return encode(message, message->value, buf);
}

int state_message_encode_head(const struct state_message *message,
                              struct buf *buf)
{
    return encode(message, bytes_of(NULL, 0), buf);
}

static int decode_head(struct cursor *cursor, struct state_message *message)
{
    uint8_t head[4] = {0};

    for (size_t i = 0; i < sizeof(head); i++) {
        if (cursor_u8(cursor, &head[i]) != 0) {
            return ERR_TRUNCATED;
        }
    }
    if (head[0] != FORMAT || head[1] < STATE_KIND_WRITE ||
        head[1] > STATE_KIND_READ_ACK || head[2] >= STATE_STATUS_COUNT ||
        (head[3] & ~(FLAG_VERSION | FLAG_VALUE)) != 0) {
        return ERR_MALFORMED;
    }
    message->kind = (enum state_kind)head[1];
    message->status = (enum state_status)head[2];
    message->has_version = (head[3] & FLAG_VERSION) != 0;
    message->has_value = (head[3] & FLAG_VALUE) != 0;
    return 0;
}

static int decode_numbers(struct cursor *cursor, struct state_message *message)
{
    uint64_t *numbers[] = {
        &message->ticket,
        &message->birth,
        &message->stamp.version.epoch,
        &message->stamp.version.seq,
        &message->stamp.ballot,
        &message->promised,
        &message->promised_ballot,
    };

    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
        if (cursor_u64(cursor, numbers[i]) != 0) {
            return ERR_TRUNCATED;
        }
    }
    if (message->birth > STATE_NUMBER_MAX ||
        message->promised > STATE_NUMBER_MAX ||
        message->stamp.version.epoch > STATE_NUMBER_MAX ||
        message->stamp.version.seq > STATE_NUMBER_MAX) {
        return ERR_MALFORMED;
    }
    return 0;
}

/* The value is in its place, or it is `value`. */
static int decode_blocks(struct cursor *cursor, struct bytes value,
                         struct state_message *message)
{
    uint8_t id_size = 0;
    uint32_t value_size = 0;

    if (cursor_u32(cursor, &message->crc) != 0 ||
        cursor_u8(cursor, &id_size) != 0 ||
        cursor_u32(cursor, &value_size) != 0) {
        return ERR_TRUNCATED;
    }
    if (value_size > STATE_SIZE_MAX) {
        return ERR_MALFORMED;
    }
    if (cursor_take(cursor, id_size, &message->id) != 0) {
        return ERR_TRUNCATED;
    }
    if (value.size > 0) {
        message->value = value;
        return value.size == value_size ? cursor_end(cursor) : ERR_MALFORMED;
    }
    return cursor_take(cursor, value_size, &message->value) == 0
               ? cursor_end(cursor)
               : ERR_TRUNCATED;
}

/* Epochs are log indexes, which count from 1; ballots are of seals alone. What
 * is not there has no stamp. */
static bool is_sound_stamp(const struct state_message *message)
{
    struct state_stamp stamp = message->stamp;

    if (message->kind == STATE_KIND_PROMISE ||
        message->kind == STATE_KIND_READ) {
        return !message->has_version && stamp.version.seq == 0;
    }
    if (!message->has_version) {
        return message->kind != STATE_KIND_WRITE && stamp.ballot == 0 &&
               stamp.version.epoch == 0 && stamp.version.seq == 0;
    }
    return stamp.version.epoch > 0 &&
           (stamp.version.seq == 0 || stamp.ballot == 0);
}

static bool is_sound_value(const struct state_message *message)
{
    if (!message->has_value) {
        return message->value.size == 0 && message->crc == 0;
    }
    return message->has_version && message->kind != STATE_KIND_WRITE_ACK;
}

/* What each kind may and must carry; anything else was not sent by us. */
static bool is_sound(const struct state_message *message)
{
    if (!is_sound_stamp(message) || !is_sound_value(message)) {
        return false;
    }
    if (state_kind_is_request(message->kind)) {
        return message->id.size > 0 && message->promised == 0 &&
               message->promised_ballot == 0 &&
               message->status == STATE_STATUS_OK;
    }
    /* To store a version is to promise its epoch. */
    return message->id.size == 0 && message->birth == 0 &&
           message->stamp.version.epoch <= message->promised;
}

int state_message_decode(struct bytes bytes, struct state_message *ret_message)
{
    return state_message_decode_pieces(bytes, bytes_of(NULL, 0), ret_message);
}

int state_message_decode_pieces(struct bytes head, struct bytes value,
                                struct state_message *ret_message)
{
    struct state_message message = {.kind = STATE_KIND_READ};
    struct cursor cursor = cursor_of(head);
    int rv = decode_head(&cursor, &message);

    if (rv == 0) {
        rv = decode_numbers(&cursor, &message);
    }
    if (rv == 0) {
        rv = decode_blocks(&cursor, value, &message);
    }
    if (rv == 0 && !is_sound(&message)) {
        rv = ERR_MALFORMED;
    }
    if (rv == 0) {
        *ret_message = message;
    }
    return rv;
}

size_t state_message_head_size(struct bytes bytes)
{
    size_t size = STATE_MESSAGE_HEADER_SIZE;

    if (bytes.size < size) {
        return bytes.size;
    }
    return size_min(size + bytes.data[ID_SIZE_AT], bytes.size);
}

bool state_message_is_intact(const struct state_message *message)
{
    return !message->has_value || crc32c(0, message->value) == message->crc;
}

bool state_message_is_request(struct bytes bytes)
{
    return bytes.size > KIND_AT && bytes.data[KIND_AT] >= STATE_KIND_WRITE &&
           bytes.data[KIND_AT] <= STATE_KIND_READ;
}

static void patch_u64(struct buf *buf, size_t offset, uint64_t value)
{
    buf_patch_u32(buf, offset, (uint32_t)(value >> 32));
    buf_patch_u32(buf, offset + 4, (uint32_t)value);
}

void state_message_restamp(struct buf *buf, uint64_t ticket,
                           struct state_stamp stamp)
{
    ensure(buf_error(buf) == 0);
    ensure(buf->size >= STATE_MESSAGE_HEADER_SIZE);
    patch_u64(buf, TICKET_AT, ticket);
    patch_u64(buf, EPOCH_AT, stamp.version.epoch);
    patch_u64(buf, SEQ_AT, stamp.version.seq);
    patch_u64(buf, BALLOT_AT, stamp.ballot);
}

struct bytes state_message_value(const struct buf *buf)
{
    size_t skipped = state_message_head_size(buf_bytes(buf));

    ensure(skipped >= STATE_MESSAGE_HEADER_SIZE);
    return bytes_of(buf->data + skipped, buf->size - skipped);
}
