/* SPDX-License-Identifier: Apache-2.0
 * Snapshots on their way between members. The core decides which bytes go to
 * whom and when; here they are read, sent and stored. What cannot be done now
 * is left: the core asks again. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "node/node.h"
#include "node/node_snapshot.h"

enum { MESSAGE_SIZE_MAX = RAFT_CHUNK_SIZE_MAX + 4096 };

/* A chunk that is being read. */
struct chunk_send {
    struct list link; /* in node->snapshot.sends */
    uint64_t number;  /* the tag of the reading */
    uint64_t to;
    uint64_t index;
    size_t header_size;
    uint8_t header[]; /* what goes before the data */
};

static void forget_send(struct node *node, struct chunk_send *send)
{
    list_remove(&send->link);
    node->snapshot.send_count--;
    mem_free(send);
}

void node_snapshot_move_close(struct node *node)
{
    struct node_snapshot *snapshot = &node->snapshot;

    while (snapshot->send_count > 0) {
        forget_send(node,
                    LIST_ENTRY(snapshot->sends.next, struct chunk_send, link));
    }
}

static void send_chunk(struct node *node, const struct raft_chunk_send *chunk)
{
    struct node_snapshot *snapshot = &node->snapshot;
    struct chunk_send *send;
    int rv;

    if (chunk->size == 0) {
        links_send_member(node, chunk->to, "raft", chunk->header);
        return;
    }
    if (snapshot->send_count == NODE_SNAPSHOT_SENDS_MAX) {
        return;
    }
    send = mem_alloc(sizeof(*send) + chunk->header.size);
    if (send == NULL) {
        return;
    }
    send->number = ++snapshot->send_number;
    send->to = chunk->to;
    send->index = chunk->snapshot_index;
    send->header_size = chunk->header.size;
    memcpy(send->header, chunk->header.data, chunk->header.size);
    rv = snapshots_read(snapshot->disk, chunk->snapshot_index, chunk->offset,
                        chunk->size, send->number);
    if (rv != 0) {
        mem_free(send);
        return;
    }
    list_append(&snapshot->sends, &send->link);
    snapshot->send_count++;
}

static struct chunk_send *find_send(const struct node *node, uint64_t number)
{
    LIST_FOREACH (item, &node->snapshot.sends) {
        struct chunk_send *send = LIST_ENTRY(item, struct chunk_send, link);

        if (send->number == number) {
            return send;
        }
    }
    return NULL;
}

/* It is damaged or gone. If it is the newest one, the core has no other to
 * send: then one is taken. */
static void not_read(struct node *node, const struct chunk_send *send,
                     int status)
{
    struct raft_event event = {.type = RAFT_CHUNK_LOST,
                               .from = send->to,
                               .snapshot_index = send->index};

    log_line(LOG_ERROR, "snapshot_unreadable", "index=%llu why=\"%s\"",
             (unsigned long long)send->index, err_text(status));
    if (raft_snapshot(node->raft)->index == send->index) {
        node->snapshot.is_wanted = true;
    }
    node_log_tell(node, &event);
}

static void was_read(struct node *node, const struct snapshots_result *result)
{
    struct chunk_send *send = find_send(node, result->tag);
    struct buf message;

    ensure(send != NULL);
    buf_init(&message, MESSAGE_SIZE_MAX);
    if (result->status != 0) {
        not_read(node, send, result->status);
    } else {
        buf_put(&message, send->header, send->header_size);
        buf_put_bytes(&message, buf_bytes(&result->data));
        if (buf_error(&message) == 0) {
            links_send_member(node, send->to, "raft", buf_bytes(&message));
        }
    }
    buf_close(&message);
    forget_send(node, send);
}

/* --- From a leader ---------------------------------------------------------
 */

/* Told in the next turn: the core is in the middle of a step. */
static void refuse_transfer(struct node *node, uint64_t transfer)
{
    node->snapshot.failed_transfer = transfer;
    loop_wake(node->loop);
}

static void store_chunk(struct node *node, const struct raft_chunk *chunk)
{
    struct snapshot_meta meta = {.index = chunk->snapshot_index,
                                 .size = chunk->snapshot_size};

    if (chunk->snapshot_size > SNAPSHOT_SIZE_MAX ||
        snapshots_store(node->snapshot.disk, &meta, chunk->offset, chunk->data,
                        chunk->transfer) != 0) {
        refuse_transfer(node, chunk->transfer);
    }
}

/* Older ones stay until it is installed: it may be of no use. */
static void finish_received(struct node *node,
                            const struct raft_snapshot *coming,
                            uint64_t transfer)
{
    struct node_snapshot *snapshot = &node->snapshot;
    struct snapshot_meta meta;

    node_snapshot_meta(coming, &meta);
    snapshot->coming = *coming;
    snapshot->load_transfer = transfer;
    if (snapshots_finish_received(snapshot->disk, &meta, transfer) != 0) {
        refuse_transfer(node, transfer);
    }
}

void node_snapshot_carry_out(struct node *node,
                             const struct raft_effects *effects)
{
    for (size_t i = 0; i < effects->chunk_send_count; i++) {
        send_chunk(node, &effects->chunk_sends[i]);
    }
    if (effects->chunk.transfer != 0) {
        store_chunk(node, &effects->chunk);
    }
    if (effects->finish != NULL) {
        finish_received(node, effects->finish, effects->finish_transfer);
    }
    if (effects->restore != NULL) {
        node_snapshot_install(node);
    }
}

static void tell_failed(struct node *node, uint64_t transfer, int status)
{
    struct raft_event event = {.type = RAFT_SNAPSHOT_FAILED,
                               .transfer = transfer};

    log_line(LOG_WARN, "snapshot_refused", "why=\"%s\"", err_text(status));
    node_log_tell(node, &event);
}

static void was_stored(struct node *node, const struct snapshots_result *result)
{
    struct raft_event event = {.type = RAFT_CHUNK_STORED,
                               .transfer = result->tag,
                               .chunk_end = result->end};

    if (result->status != 0) {
        tell_failed(node, result->tag, result->status);
    } else {
        node_log_tell(node, &event);
    }
}

static void was_received(struct node *node,
                         const struct snapshots_result *result)
{
    struct node_snapshot *snapshot = &node->snapshot;
    int rv = result->status;

    if (result->tag != snapshot->load_transfer) {
        return;
    }
    if (rv == 0) {
        rv = node_snapshot_load(node);
    }
    if (rv != 0) {
        tell_failed(node, result->tag, rv);
    }
}

void node_snapshot_moved(struct node *node, struct snapshots_result *result)
{
    switch (result->type) {
    case SNAPSHOTS_STORED:
        was_stored(node, result);
        return;
    case SNAPSHOTS_RECEIVED:
        was_received(node, result);
        return;
    case SNAPSHOTS_READ:
        was_read(node, result);
        return;
    case SNAPSHOTS_TAKEN:
        break;
    }
    unreachable();
}

void node_snapshot_move_tick(struct node *node)
{
    uint64_t transfer = node->snapshot.failed_transfer;

    if (transfer != 0) {
        node->snapshot.failed_transfer = 0;
        tell_failed(node, transfer, ERR_BUSY);
    }
}
