/* SPDX-License-Identifier: Apache-2.0
 * The node's view of its peers: members are dialled and kept, frames are
 * sorted into calls, member messages and agent messages. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "dist/control_scan.h"
#include "dist/frame.h"
#include "etf/reader.h"
#include "node/access.h"
#include "node/node.h"
#include "node/requests.h"

enum { PROTOCOL_VERSION = 1 };

/* A member of the set that may be no member, by a setting or its certificate,
 * is not treated as one: neither heard nor told anything. */
void links_set_role(const struct node *node, struct link *link)
{
    access_set_role(node, link);
    if (greeting_is_candidate(node, link) && link->role != ROLE_MEMBER) {
        log_line(LOG_WARN, "member_refused", "member=%.*s role=%s",
                 (int)link->inbox_peer.name.size, link->inbox_peer.name.data,
                 role_text(link->role));
    }
}

static struct buf *out_of_peer(void *arg)
{
    return peer_out((struct peer *)arg);
}

void links_member_up(struct node *node, struct link *link,
                     struct member *member)
{
    link->member = member;
    peer_set_paced(link->peer, true);
    members_set_up(&node->members, member, true, node->now_ms);
    dialling_note_link(node, member, true);
    partitions_link(node, member, true);
    log_line(LOG_INFO, "member_up", "member=%.*s", (int)member->name.size,
             (const char *)member->name.data);
}

void links_member_gone(struct node *node, struct link *link)
{
    struct member *member = link->member;

    link->member = NULL;
    peer_set_paced(link->peer, false);
    members_set_up(&node->members, member, false, node->now_ms);
    dialling_note_link(node, member, false);
    node_log_link_lost(node, member->id);
    partitions_link(node, member, false);
    routes_member_lost(node, member->id);
}

static void peer_up(void *arg, struct peer *peer)
{
    struct node *node = (struct node *)arg;
    struct link *link = mem_alloc(sizeof(*link));

    if (link == NULL) {
        peer_cut_for_memory(peer);
        return;
    }
    link->peer = peer;
    link->inbox_peer.name = peer_name(peer);
    link->inbox_peer.flags = peer_flags(peer);
    link->inbox_peer.out = out_of_peer;
    link->inbox_peer.arg = peer;
    list_init(&link->requests);
    parts_init(&link->parts);
    list_init(&link->node_link);
    list_append(&node->links, &link->node_link);
    peer_set_data(peer, link);
    links_set_role(node, link);
    log_line(LOG_DEBUG, "peer_up", "peer=%.*s role=%s",
             (int)link->inbox_peer.name.size, link->inbox_peer.name.data,
             role_text(link->role));
    if (role_may(link->role, RIGHT_AGENT)) {
        agents_link_up(node, link);
    }
    greeting_link_up(node, link);
}

/* What tied processes here and there is gone with the link. */
static void forget_peer(struct node *node, struct link *link)
{
    struct inbox_event event;

    while (inbox_next_lost(&node->inbox, &link->inbox_peer, &event)) {
        if (event.type == INBOX_CANCEL) {
            requests_cancel((struct request *)event.owner);
        } else if (event.type == INBOX_DOWN) {
            subscribers_down(node, event.reference);
        } else if (event.type == INBOX_RESULT) {
            execute_result(node, link, &event);
        }
    }
}

static void peer_down(void *arg, struct peer *peer, const char *reason)
{
    struct node *node = (struct node *)arg;
    struct link *link = (struct link *)peer_data(peer);

    if (link == NULL) {
        return;
    }
    log_line(link->member != NULL ? LOG_WARN : LOG_DEBUG,
             link->member != NULL ? "member_down" : "peer_down",
             "peer=%.*s reason=\"%s\"", (int)link->inbox_peer.name.size,
             link->inbox_peer.name.data, reason);
    if (link->member != NULL) {
        links_member_gone(node, link);
    }
    agents_link_down(node, link);
    forget_peer(node, link);
    requests_link_down(node, link);
    provisional_link_down(node, link);
    peer_set_data(peer, NULL);
    list_remove(&link->node_link);
    parts_close(&link->parts);
    mem_free(link->scan);
    mem_free(link);
}

/* Takes {quorate, 1, Kind, Body} apart: 0, ERR_BADARG if it is another term,
 * ERR_UNSUPPORTED for another version. */
static int open_envelope(struct bytes message, struct bytes *ret_kind,
                         struct bytes *ret_body)
{
    struct etf_reader reader = etf_reader_of(message);
    uint64_t version;
    int rv = etf_read_tuple_of(&reader, 4);

    if (rv != 0 || !etf_take_atom(&reader, "quorate")) {
        return ERR_BADARG;
    }
    rv = etf_read_u64(&reader, &version);
    if (rv != 0) {
        return rv;
    }
    if (version != PROTOCOL_VERSION) {
        return ERR_UNSUPPORTED;
    }
    rv = etf_read_atom(&reader, ret_kind);
    /* What comes last in a message that was validated as a whole. */
    return rv == 0 ? etf_read_rest(&reader, ret_body) : rv;
}

/* The content of a body that must be a binary. */
static int open_binary(struct bytes body, struct bytes *ret_content)
{
    struct etf_reader reader = etf_reader_of(body);

    return etf_read_binary(&reader, ret_content);
}

/* A message as it came, or put together from parts: then `shared` are the
 * bytes that it is in. */
static int member_message(struct node *node, struct link *link,
                          struct bytes kind, struct bytes body,
                          struct blob *shared)
{
    struct bytes content;
    int rv;

    if (bytes_is(kind, "forward")) {
        return requests_forward(node, link, body);
    }
    if (bytes_is(kind, "forwarded")) {
        return requests_forwarded(node, body, shared);
    }
    if (bytes_is(kind, "not_taken")) {
        return requests_not_taken(node, link, body);
    }
    if (bytes_is(kind, "load")) {
        return agents_receive_load(node, body) ? 0 : ERR_MALFORMED;
    }
    rv = open_binary(body, &content);
    if (bytes_is(kind, "raft")) {
        if (rv == 0 && identity_bind(node)) {
            node_log_receive(node, link, content);
        }
    } else if (bytes_is(kind, "replica")) {
        if (rv == 0) {
            states_receive(node, link, content, shared);
        }
    } else if (bytes_is(kind, "probe")) {
        rv = rv == 0 ? partitions_receive(node, link, content) : rv;
    } else if (bytes_is(kind, "running")) {
        if (rv == 0 && content.size > 0 &&
            content.size <= REGISTRY_ID_SIZE_MAX) {
            conflicts_ask_agents(node, content);
        } else {
            rv = ERR_MALFORMED;
        }
    } else if (bytes_is(kind, "commands")) {
        rv = rv == 0 ? node_log_receive_commands(node, content) : rv;
    } else {
        node->counters.unknown_messages++;
        rv = 0;
    }
    return rv;
}

static int part_message(struct node *node, struct link *link, struct bytes body)
{
    struct blob *whole = NULL;
    struct bytes kind;
    int rv = parts_receive(&link->parts, &node->inbox, body,
                           peer_out(link->peer), &whole);

    if (rv != 0 || whole == NULL) {
        return rv;
    }
    rv = open_envelope(blob_bytes(whole), &kind, &body);
    if (rv == 0) {
        rv = member_message(node, link, kind, body, whole);
    }
    blob_release(whole);
    return rv;
}

static int message_from_member(struct node *node, struct link *link,
                               struct bytes kind, struct bytes body)
{
    if (bytes_is(kind, "part")) {
        return part_message(node, link, body);
    }
    if (bytes_is(kind, "part_ack")) {
        return parts_acknowledge(&link->parts, &node->inbox, body,
                                 peer_bulk(link->peer));
    }
    return member_message(node, link, kind, body, NULL);
}

static int greeting(struct node *node, struct link *link, struct bytes kind,
                    struct bytes body)
{
    struct bytes content;
    int rv = open_binary(body, &content);

    return rv == 0 ? greeting_receive(node, link, kind, content) : rv;
}

static void message(struct node *node, struct link *link,
                    const struct inbox_event *event)
{
    struct bytes kind;
    struct bytes body;
    bool is_agent;
    int rv = open_envelope(event->message, &kind, &body);

    if (rv != 0) {
        node->counters.unknown_messages++;
        return;
    }
    is_agent = bytes_is(event->name, "quorate");
    if (!is_agent && greeting_is_kind(kind)) {
        rv = greeting(node, link, kind, body);
        if (rv != 0 && link->role != ROLE_MEMBER) {
            node->counters.unknown_messages++;
            return;
        }
    } else if (!access_allows_message(
                   node, link, is_agent ? RIGHT_AGENT : RIGHT_MEMBER, kind)) {
        return;
    } else if (is_agent) {
        agents_receive(node, link, kind, body);
    } else if (link->member == NULL) {
        /* It does not know yet that we do not take it for a member. */
        node->counters.unknown_messages++;
    } else {
        rv = message_from_member(node, link, kind, body);
    }
    if (rv != 0) {
        node->counters.refused_frames++;
        peer_cut(link->peer, "malformed member message");
    }
}

static void refused(void *arg, struct peer *peer, const char *cause)
{
    struct node *node = (struct node *)arg;

    node->counters.refused_frames++;
    log_line(LOG_WARN, "frame_refused", "peer=%.*s cause=\"%s\"",
             (int)peer_name(peer).size, peer_name(peer).data, cause);
}

/* A long frame is looked at as it arrives: all of it at once would keep the
 * others waiting. */
static void piece(void *arg, struct peer *peer, struct bytes beginning,
                  size_t frame_size)
{
    struct link *link = (struct link *)peer_data(peer);
    const char *cause = NULL;

    if (link == NULL) {
        return;
    }
    if (link->scan == NULL) {
        link->scan = mem_alloc(sizeof(*link->scan));
        if (link->scan == NULL) {
            return; /* then it is looked at when it is whole */
        }
        control_scan_init(link->scan);
    }
    if (control_scan_step(link->scan, beginning, frame_size, peer_flags(peer),
                          SIZE_MAX, &cause) != 0) {
        refused(arg, peer, cause);
        peer_cut(peer, cause);
    }
}

static void handle(struct node *node, struct link *link,
                   struct inbox_event *event)
{
    if (event->type != INBOX_NONE) {
        node->now_ms = loop_now_ms(node->loop);
    }
    switch (event->type) {
    case INBOX_NONE:
    case INBOX_EXIT: /* we link with nobody */
        break;
    case INBOX_RESULT:
        execute_result(node, link, event);
        break;
    case INBOX_DOWN:
        subscribers_down(node, event->reference);
        break;
    case INBOX_CALL:
        requests_call(node, link, &event->call);
        break;
    case INBOX_MESSAGE:
        message(node, link, event);
        break;
    case INBOX_CANCEL:
        requests_cancel((struct request *)event->owner);
        break;
    }
}

static void frame(void *arg, struct peer *peer, struct bytes frame)
{
    struct node *node = (struct node *)arg;
    struct link *link = (struct link *)peer_data(peer);
    struct control_scan *scan = link == NULL ? NULL : link->scan;
    struct inbox_event event;
    const char *cause = "malformed frame";
    int rv;

    if (link == NULL) {
        return;
    }
    link->scan = NULL;
    link->inbox_peer.scan = scan;
    if (scan != NULL) {
        control_scan_settle(scan, frame);
    }
    rv = inbox_receive(&node->inbox, &link->inbox_peer, frame, peer_out(peer),
                       &event, &cause);
    if (rv != 0) {
        refused(node, peer, cause);
        peer_cut(peer, cause);
    } else {
        handle(node, link, &event);
    }
    if (scan != NULL) {
        mem_free(scan); /* the call knew of it until now */
    }
}

void links_config(struct peers_callbacks *ret_callbacks)
{
    *ret_callbacks = (struct peers_callbacks){.up = peer_up,
                                              .frame = frame,
                                              .piece = piece,
                                              .down = peer_down,
                                              .dial_failed = dialling_failed};
}

void links_close(struct node *node)
{
    struct list *first;

    while ((first = list_take_first(&node->links)) != NULL) {
        struct link *link = LIST_ENTRY(first, struct link, node_link);

        peer_set_data(link->peer, NULL);
        link->member = NULL;
        agents_link_down(node, link);
        forget_peer(node, link);
        requests_link_down(node, link);
        provisional_link_down(node, link);
        parts_close(&link->parts);
        mem_free(link->scan);
        mem_free(link);
    }
}
