/* SPDX-License-Identifier: Apache-2.0 */
#include "base/ensure.h"
#include "raft/internal.h"

#include <string.h>

void outbox_begin_step(struct raft *raft, bool is_idle)
{
    struct outbox *outbox = &raft->outbox;

    outbox->count = 0;
    outbox->append_limit = 0;
    outbox->chunk_count = 0;
    if (is_idle && outbox->bytes.capacity > OUTBOX_SIZE_KEPT) {
        buf_close(&outbox->bytes);
    }
    buf_clear(&outbox->bytes);
}

static bool outbox_push(struct outbox *outbox, uint64_t to, size_t offset,
                        size_t size)
{
    if (outbox->count == SENDS_MAX) {
        return false;
    }
    outbox->offsets[outbox->count] = offset;
    outbox->sends[outbox->count] =
        (struct raft_send){.to = to, .bytes = bytes_of(NULL, size)};
    outbox->count++;
    return true;
}

/* Takes what was encoded from `offset` on, or drops it. */
static bool outbox_finish(struct outbox *outbox, uint64_t to, size_t offset)
{
    struct buf *bytes = &outbox->bytes;

    if (buf_error(bytes) != 0 ||
        !outbox_push(outbox, to, offset, bytes->size - offset)) {
        bytes->size = offset;
        bytes->error = 0;
        return false;
    }
    return true;
}

bool outbox_put(struct raft *raft, uint64_t to, const struct message *message)
{
    size_t offset = raft->outbox.bytes.size;

    ensure(to != raft->config.id);
    raft->outbox.append_limit = 0;
    message_put(&raft->outbox.bytes, message);
    return outbox_finish(&raft->outbox, to, offset);
}

/* How many entries from `first` on go into one message. */
static uint32_t entries_that_fit(const struct raft *raft, uint64_t first,
                                 size_t limit, uint32_t *ret_size)
{
    size_t size = 0;
    uint64_t index = first;

    for (; index <= log_last(&raft->log); index++) {
        struct raft_entry entry = log_get(&raft->log, index);
        size_t more = entry.data.size + MESSAGE_ENTRY_OVERHEAD;

        if (index > first && more > limit - size) {
            break;
        }
        size += more;
        if (size >= limit) {
            index++;
            break;
        }
    }
    *ret_size = (uint32_t)size;
    return (uint32_t)(index - first);
}

/* Followers in step get the same bytes: the last append serves again. */
static bool is_same_append(const struct outbox *outbox,
                           const struct message *message, size_t limit)
{
    return outbox->append_limit == limit &&
           outbox->append.index == message->index &&
           outbox->append.commit == message->commit &&
           outbox->append.read_seq == message->read_seq;
}

static bool put_again(struct outbox *outbox, uint64_t to)
{
    size_t last = outbox->count - 1;

    return outbox_push(outbox, to, outbox->offsets[last],
                       outbox->sends[last].bytes.size);
}

bool outbox_put_append(struct raft *raft, uint64_t to, struct message *message,
                       size_t limit, uint32_t *ret_size)
{
    struct outbox *outbox = &raft->outbox;
    size_t offset = outbox->bytes.size;
    uint32_t size;

    ensure(limit > 0);
    ensure(message->index < log_last(&raft->log));
    if (is_same_append(outbox, message, limit) && put_again(outbox, to)) {
        message->entry_count = outbox->append.entry_count;
        *ret_size = outbox->append_size;
        return true;
    }
    message->entry_count =
        entries_that_fit(raft, message->index + 1, limit, &size);
    message_put(&outbox->bytes, message);
    for (uint32_t i = 1; i <= message->entry_count; i++) {
        struct raft_entry entry = log_get(&raft->log, message->index + i);

        message_put_entry(&outbox->bytes, &entry);
    }
    if (!outbox_finish(outbox, to, offset)) {
        return false;
    }
    outbox->append = *message;
    outbox->append_limit = limit;
    outbox->append_size = size;
    *ret_size = size;
    return true;
}

void outbox_put_empty(struct raft *raft, struct peer *peer)
{
    /* A peer that gets a snapshot is held against nothing. */
    uint64_t index =
        peer->state == PEER_SNAPSHOT || peer->next <= log_base(&raft->log)
            ? 0
            : peer->next - 1;
    struct message message = {.type = MESSAGE_APPEND,
                              .term = raft->term,
                              .index = index,
                              .index_term =
                                  index == 0 ? 0 : log_term(&raft->log, index),
                              .commit = raft->commit,
                              .read_seq = raft->reads.round};

    if (outbox_put(raft, peer->id, &message)) {
        peer->commit_sent = raft->commit;
    }
}

bool outbox_put_chunk(struct raft *raft, const struct peer *peer, uint32_t size)
{
    struct outbox *outbox = &raft->outbox;
    const struct transfer *transfer = &peer->transfer;
    size_t offset = outbox->bytes.size;
    uint8_t membership[MEMBERSHIP_SIZE_MAX];
    size_t membership_size =
        membership_encode(&transfer->snapshot.membership, membership);
    struct message message = {.type = MESSAGE_SNAPSHOT,
                              .term = raft->term,
                              .index = transfer->snapshot.index,
                              .index_term = transfer->snapshot.term,
                              .size = transfer->snapshot.size,
                              .offset = transfer->sent,
                              .membership =
                                  bytes_of(membership, membership_size),
                              .entries = bytes_of(NULL, size)};

    if (outbox->chunk_count == CHUNKS_MAX) {
        return false;
    }
    message_put(&outbox->bytes, &message);
    if (buf_error(&outbox->bytes) != 0) {
        outbox->bytes.size = offset;
        outbox->bytes.error = 0;
        return false;
    }
    outbox->append_limit = 0;
    outbox->chunk_offsets[outbox->chunk_count] = offset;
    outbox->chunks[outbox->chunk_count] = (struct raft_chunk_send){
        .to = peer->id,
        .snapshot_index = message.index,
        .offset = message.offset,
        .size = size,
        .header = bytes_of(NULL, outbox->bytes.size - offset)};
    outbox->chunk_count++;
    return true;
}

void outbox_end_step(struct raft *raft, struct raft_effects *effects)
{
    struct outbox *outbox = &raft->outbox;

    for (size_t i = 0; i < outbox->count; i++) {
        outbox->sends[i].bytes.data = outbox->bytes.data + outbox->offsets[i];
    }
    for (size_t i = 0; i < outbox->chunk_count; i++) {
        outbox->chunks[i].header.data =
            outbox->bytes.data + outbox->chunk_offsets[i];
    }
    effects->chunk_sends = outbox->chunks;
    effects->chunk_send_count = outbox->chunk_count;
    effects->sends = outbox->sends;
    effects->send_count = outbox->count;
}
