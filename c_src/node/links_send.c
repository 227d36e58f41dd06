/* SPDX-License-Identifier: Apache-2.0
 * What goes out: to members by their number, to agents by their pid. A peer
 * with the name of a member that is not treated as one gets nothing. */
#include "base/ensure.h"
#include "base/err.h"
#include "etf/writer.h"
#include "node/node.h"

static struct link *link_of(const struct node *node, const struct member *to)
{
    struct peer *peer = to == NULL ? NULL : peers_find(node->peers, to->name);
    struct link *link = peer == NULL ? NULL : (struct link *)peer_data(peer);

    return link == NULL || link->member == NULL ? NULL : link;
}

struct link *links_leader(struct node *node)
{
    return link_of(node,
                   members_by_id(&node->members, raft_leader(node->raft)));
}

struct link *links_member(const struct node *node, uint64_t member_id)
{
    return link_of(node, members_by_id(&node->members, member_id));
}

void links_send_member(struct node *node, uint64_t member_id, const char *kind,
                       struct bytes content)
{
    struct link *link = links_member(node, member_id);
    struct buf *out;
    size_t begin;

    if (link == NULL) {
        return;
    }
    out = peer_out(link->peer);
    begin = outbox_begin(&node->inbox, "quorate_member", kind, out);
    etf_put_binary(out, content);
    outbox_end(out, begin);
}

static int send_in_parts(struct node *node, struct link *link, const char *kind,
                         struct bytes head, struct blob *tail)
{
    struct buf message_head;
    int rv;

    buf_init(&message_head, PARTS_PART_MAX);
    outbox_put_envelope(kind, &message_head);
    buf_put_bytes(&message_head, head);
    rv = buf_error(&message_head);
    if (rv == 0) {
        rv = parts_send(&link->parts, &node->inbox, buf_bytes(&message_head),
                        tail, peer_bulk(link->peer));
    }
    buf_close(&message_head);
    return rv;
}

int links_send(struct node *node, struct link *link, const char *kind,
               struct bytes head, struct bytes tail, struct blob *shared)
{
    struct buf *out;
    size_t begin;
    int rv;

    if (head.size + tail.size > PARTS_MESSAGE_MIN) {
        struct blob *blob =
            shared != NULL ? blob_hold(shared) : blob_copy(tail);

        ensure(shared == NULL || blob_bytes(shared).data == tail.data);
        if (blob == NULL) {
            return ERR_NOMEM;
        }
        rv = send_in_parts(node, link, kind, head, blob);
        blob_release(blob);
        return rv;
    }
    out = peer_out(link->peer);
    begin = outbox_begin(&node->inbox, "quorate_member", kind, out);
    buf_put_bytes(out, head);
    buf_put_bytes(out, tail);
    outbox_end(out, begin);
    return 0;
}

void links_send_pid(struct node *node, struct link *link, struct bytes pid,
                    const char *kind, struct bytes body)
{
    struct buf *out = peer_out(link->peer);
    size_t begin =
        outbox_begin_pid(&node->inbox, &link->inbox_peer, pid, kind, out);

    etf_put_raw(out, body);
    outbox_end(out, begin);
}
