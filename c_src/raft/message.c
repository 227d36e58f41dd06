/* SPDX-License-Identifier: Apache-2.0 */
#include "raft/message.h"

#include "base/ensure.h"
#include "base/err.h"
#include "raft/membership.h"

#include <endian.h>
#include <string.h>

/* --- Writing: into a small array, which costs a fraction of single puts ----
 */

static uint8_t *put_u8(uint8_t *at, uint8_t value)
{
    *at = value;
    return at + 1;
}

static uint8_t *put_u32(uint8_t *at, uint32_t value)
{
    uint32_t big_endian = htobe32(value);

    memcpy(at, &big_endian, sizeof(big_endian));
    return at + sizeof(big_endian);
}

static uint8_t *put_u64(uint8_t *at, uint64_t value)
{
    uint64_t big_endian = htobe64(value);

    memcpy(at, &big_endian, sizeof(big_endian));
    return at + sizeof(big_endian);
}

static uint8_t *put_body(uint8_t *at, const struct message *message)
{
    switch (message->type) {
    case MESSAGE_PRE_VOTE:
        at = put_u64(at, message->index);
        return put_u64(at, message->index_term);
    case MESSAGE_VOTE:
        at = put_u64(at, message->index);
        at = put_u64(at, message->index_term);
        return put_u8(at, message->is_handover ? 1 : 0);
    case MESSAGE_PRE_VOTE_REPLY:
    case MESSAGE_VOTE_REPLY:
        return put_u8(at, message->is_granted ? 1 : 0);
    case MESSAGE_APPEND:
        at = put_u64(at, message->index);
        at = put_u64(at, message->index_term);
        at = put_u64(at, message->commit);
        at = put_u64(at, message->read_seq);
        return put_u32(at, message->entry_count);
    case MESSAGE_APPEND_REPLY:
        at = put_u8(at, message->is_granted ? 1 : 0);
        at = put_u64(at, message->index);
        at = put_u64(at, message->hint_index);
        at = put_u64(at, message->hint_term);
        return put_u64(at, message->read_seq);
    case MESSAGE_SNAPSHOT:
        at = put_u64(at, message->index);
        at = put_u64(at, message->index_term);
        at = put_u64(at, message->size);
        return put_u64(at, message->offset);
    case MESSAGE_SNAPSHOT_REPLY:
        at = put_u64(at, message->index);
        return put_u64(at, message->offset);
    case MESSAGE_TIMEOUT_NOW:
        return at;
    case MESSAGE_READ:
        return put_u64(at, message->read_id);
    case MESSAGE_READ_REPLY:
        at = put_u64(at, message->read_id);
        return put_u64(at, message->index);
    }
    unreachable();
}

void message_put(struct buf *buf, const struct message *message)
{
    uint8_t bytes[MESSAGE_HEADER_SIZE_MAX];
    uint8_t *at = bytes;

    at = put_u8(at, MESSAGE_VERSION);
    at = put_u8(at, (uint8_t)message->type);
    at = put_u64(at, message->term);
    at = put_body(at, message);
    buf_put_bytes(buf, bytes_of(bytes, (size_t)(at - bytes)));
    if (message->type == MESSAGE_SNAPSHOT) {
        buf_put_block(buf, message->membership);
        buf_put_u32(buf, (uint32_t)message->entries.size);
    }
}

void message_put_entry(struct buf *buf, const struct raft_entry *entry)
{
    uint8_t bytes[MESSAGE_ENTRY_OVERHEAD];
    uint8_t *at = bytes;

    ensure(entry->data.size <= RAFT_PROPOSAL_SIZE_MAX);
    at = put_u64(at, entry->term);
    at = put_u8(at, (uint8_t)entry->type);
    at = put_u32(at, (uint32_t)entry->data.size);
    buf_put_bytes(buf, bytes_of(bytes, (size_t)(at - bytes)));
    buf_put_bytes(buf, entry->data);
}

/* --- Reading ------------------------------------------------------------- */

/* A number that later sums cannot make overflow. */
static int number(struct cursor *cursor, uint64_t *ret_value)
{
    uint64_t value;
    int rv;

    rv = cursor_u64(cursor, &value);
    if (rv != 0) {
        return rv;
    }
    if (value > MESSAGE_NUMBER_MAX) {
        return ERR_MALFORMED;
    }
    *ret_value = value;
    return 0;
}

static int truth(struct cursor *cursor, bool *ret_value)
{
    uint8_t value;
    int rv;

    rv = cursor_u8(cursor, &value);
    if (rv != 0) {
        return rv;
    }
    if (value > 1) {
        return ERR_MALFORMED;
    }
    *ret_value = value == 1;
    return 0;
}

/* An index and its term; both are 0, or none is. */
static int position(struct cursor *cursor, uint64_t *ret_index,
                    uint64_t *ret_term)
{
    if (number(cursor, ret_index) != 0 || number(cursor, ret_term) != 0) {
        return ERR_MALFORMED;
    }
    return (*ret_index == 0) == (*ret_term == 0) ? 0 : ERR_MALFORMED;
}

int message_check_entry(enum raft_entry_type type, struct bytes data)
{
    struct raft_membership membership;

    switch (type) {
    case RAFT_ENTRY_NOOP:
        return data.size == 0 ? 0 : ERR_MALFORMED;
    case RAFT_ENTRY_COMMAND:
        return data.size <= RAFT_PROPOSAL_SIZE_MAX ? 0 : ERR_MALFORMED;
    case RAFT_ENTRY_CONFIG:
        return membership_decode(data, &membership);
    }
    return ERR_MALFORMED;
}

static int entry_decode(struct cursor *cursor, struct raft_entry *entry)
{
    uint8_t type;

    if (number(cursor, &entry->term) != 0 || cursor_u8(cursor, &type) != 0 ||
        cursor_block(cursor, &entry->data) != 0) {
        return ERR_MALFORMED;
    }
    if (type > RAFT_ENTRY_CONFIG) {
        return ERR_MALFORMED;
    }
    entry->type = (enum raft_entry_type)type;
    return message_check_entry(entry->type, entry->data);
}

static int append_decode(struct cursor *cursor, struct message *message)
{
    uint64_t term;

    if (position(cursor, &message->index, &message->index_term) != 0 ||
        number(cursor, &message->commit) != 0 ||
        number(cursor, &message->read_seq) != 0 ||
        cursor_u32(cursor, &message->entry_count) != 0) {
        return ERR_MALFORMED;
    }
    message->entries = bytes_of(cursor->next, cursor_left(cursor));
    if (message->entries.size >
        RAFT_MESSAGE_SIZE_MAX + MESSAGE_ENTRY_OVERHEAD) {
        return ERR_MALFORMED;
    }
    term = message->index_term;
    for (uint32_t i = 0; i < message->entry_count; i++) {
        struct raft_entry entry;

        if (entry_decode(cursor, &entry) != 0 || entry.term < term ||
            entry.term == 0) {
            return ERR_MALFORMED;
        }
        term = entry.term;
    }
    return term <= message->term ? 0 : ERR_MALFORMED;
}

static int reply_decode(struct cursor *cursor, struct message *message)
{
    if (truth(cursor, &message->is_granted) != 0 ||
        number(cursor, &message->index) != 0 ||
        position(cursor, &message->hint_index, &message->hint_term) != 0 ||
        number(cursor, &message->read_seq) != 0) {
        return ERR_MALFORMED;
    }
    return 0;
}

static int snapshot_decode(struct cursor *cursor, struct message *message)
{
    struct raft_membership membership;

    if (position(cursor, &message->index, &message->index_term) != 0 ||
        number(cursor, &message->size) != 0 ||
        number(cursor, &message->offset) != 0 ||
        cursor_block(cursor, &message->membership) != 0 ||
        cursor_block(cursor, &message->entries) != 0) {
        return ERR_MALFORMED;
    }
    if (message->index == 0 || message->index_term > message->term ||
        message->size == 0 || message->offset > message->size ||
        message->entries.size > message->size - message->offset ||
        message->entries.size > RAFT_CHUNK_SIZE_MAX) {
        return ERR_MALFORMED;
    }
    return membership_decode(message->membership, &membership);
}

static int snapshot_reply_decode(struct cursor *cursor, struct message *message)
{
    if (number(cursor, &message->index) != 0 ||
        number(cursor, &message->offset) != 0) {
        return ERR_MALFORMED;
    }
    return 0;
}

/* Ids are not 0. */
static int read_decode(struct cursor *cursor, struct message *message)
{
    if (number(cursor, &message->read_id) != 0 || message->read_id == 0 ||
        (message->type == MESSAGE_READ_REPLY &&
         number(cursor, &message->index) != 0)) {
        return ERR_MALFORMED;
    }
    return 0;
}

static int vote_decode(struct cursor *cursor, struct message *message)
{
    if (position(cursor, &message->index, &message->index_term) != 0 ||
        (message->type == MESSAGE_VOTE &&
         truth(cursor, &message->is_handover) != 0)) {
        return ERR_MALFORMED;
    }
    /* A candidate starts a term above all that it knows. */
    return message->index_term < message->term ? 0 : ERR_MALFORMED;
}

static int body_decode(struct cursor *cursor, struct message *message)
{
    switch (message->type) {
    case MESSAGE_PRE_VOTE:
    case MESSAGE_VOTE:
        return vote_decode(cursor, message);
    case MESSAGE_PRE_VOTE_REPLY:
    case MESSAGE_VOTE_REPLY:
        return truth(cursor, &message->is_granted);
    case MESSAGE_APPEND:
        return append_decode(cursor, message);
    case MESSAGE_APPEND_REPLY:
        return reply_decode(cursor, message);
    case MESSAGE_SNAPSHOT:
        return snapshot_decode(cursor, message);
    case MESSAGE_SNAPSHOT_REPLY:
        return snapshot_reply_decode(cursor, message);
    case MESSAGE_TIMEOUT_NOW:
        return 0;
    case MESSAGE_READ:
    case MESSAGE_READ_REPLY:
        return read_decode(cursor, message);
    }
    return ERR_MALFORMED;
}

int message_decode(struct bytes bytes, struct message *ret_message)
{
    struct cursor cursor = cursor_of(bytes);
    struct message message = {.term = 0};
    uint8_t version;
    uint8_t type;

    if (cursor_u8(&cursor, &version) != 0 || cursor_u8(&cursor, &type) != 0 ||
        number(&cursor, &message.term) != 0) {
        return ERR_MALFORMED;
    }
    if (version != MESSAGE_VERSION || type < MESSAGE_PRE_VOTE ||
        type > MESSAGE_READ_REPLY || message.term == 0) {
        return ERR_MALFORMED;
    }
    message.type = (enum message_type)type;
    if (body_decode(&cursor, &message) != 0 || cursor_end(&cursor) != 0) {
        return ERR_MALFORMED;
    }
    *ret_message = message;
    return 0;
}

void message_next_entry(struct cursor *cursor, struct raft_entry *ret_entry)
{
    int rv = entry_decode(cursor, ret_entry);

    ensure(rv == 0);
}
