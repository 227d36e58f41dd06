/* SPDX-License-Identifier: Apache-2.0
 * What goes out: to members by their number, to agents by their pid. A peer
 * with the name of a member that is not treated as one gets nothing. */
#include "base/err.h"
#include "etf/writer.h"
#include "node/node.h"

struct link *links_find(const struct node *node, struct bytes name)
{
    struct peer *peer = peers_find(node->peers, name);

    return peer == NULL ? NULL : (struct link *)peer_data(peer);
}

static struct link *link_of(const struct node *node, const struct member *to)
{
    struct link *link = to == NULL ? NULL : links_find(node, to->name);

    return link == NULL || link->member == NULL ? NULL : link;
}

struct link *links_leader(struct node *node)
{
    return link_of(node,
                   members_by_id(&node->members, raft_leader(node->raft)));
}

bool links_have_unread(const struct node *node)
{
    LIST_FOREACH (first, &node->links) {
        const struct link *link = LIST_ENTRY(first, struct link, node_link);

        if (link->member != NULL && peer_is_paused(link->peer)) {
            return true;
        }
    }
    return false;
}

struct link *links_member(const struct node *node, uint64_t member_id)
{
    return link_of(node, members_by_id(&node->members, member_id));
}

void links_send_binary(struct node *node, struct link *link, const char *kind,
                       struct bytes content)
{
    struct buf *out = peer_out(link->peer);
    size_t begin = outbox_begin(&node->inbox, "quorate_member", kind, out);

    etf_put_binary(out, content);
    outbox_end(out, begin);
}

void links_send_member(struct node *node, uint64_t member_id, const char *kind,
                       struct bytes content)
{
    struct link *link = links_member(node, member_id);

    if (link != NULL) {
        links_send_binary(node, link, kind, content);
    }
}

static int send_in_parts(struct node *node, struct link *link, const char *kind,
                         const struct parts_message *body)
{
    struct parts_message message = *body;
    struct buf head;
    int rv;

    buf_init(&head, PARTS_PART_MAX);
    outbox_put_envelope(kind, &head);
    buf_put_bytes(&head, body->head);
    rv = buf_error(&head);
    if (rv == 0) {
        message.head = buf_bytes(&head);
        rv = parts_send(&link->parts, &node->inbox, &message,
                        peer_bulk(link->peer));
    }
    buf_close(&head);
    return rv;
}

static int send_a_copy(struct node *node, struct link *link, const char *kind,
                       const struct parts_message *body)
{
    struct parts_message message = *body;
    int rv;

    message.blob = blob_copy(body->body);
    if (message.blob == NULL) {
        return ERR_NOMEM;
    }
    message.body = blob_bytes(message.blob);
    rv = send_in_parts(node, link, kind, &message);
    blob_release(message.blob);
    return rv;
}

int links_send(struct node *node, struct link *link, const char *kind,
               const struct parts_message *body)
{
    struct buf *out;
    size_t begin;

    if (body->head.size + body->body.size + body->end.size >
        PARTS_MESSAGE_MIN) {
        return body->blob != NULL ? send_in_parts(node, link, kind, body)
                                  : send_a_copy(node, link, kind, body);
    }
    out = peer_out(link->peer);
    begin = outbox_begin(&node->inbox, "quorate_member", kind, out);
    buf_put_bytes(out, body->head);
    buf_put_bytes(out, body->body);
    buf_put_bytes(out, body->end);
    outbox_end(out, begin);
    return 0;
}

void links_send_pid(struct node *node, struct link *link, struct bytes pid,
                    const char *kind)
{
    const struct call_insert *insert = &node->insert;
    struct bytes body = buf_bytes(&node->scratch);
    struct buf *out = peer_out(link->peer);
    size_t begin =
        outbox_begin_pid(&node->inbox, &link->inbox_peer, pid, kind, out);

    buf_put(out, body.data, insert->at);
    if (insert->blob != NULL) {
        peer_out_shared(link->peer, insert->bytes, insert->blob);
    }
    buf_put(out, body.data + insert->at, body.size - insert->at);
    outbox_end_without(out, begin, insert->bytes.size);
}
