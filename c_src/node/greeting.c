/* SPDX-License-Identifier: Apache-2.0
 * The first words between two members. Each shows the other its card before
 * anything else is said, and is heard only if that is in order:
 *
 *   hello(card) ──▶            they are of one cluster, and the other one's
 * data ◀── welcome(card)     directory is that which its name always had ◀──
 * refused(code)     or not
 *
 * One that waits to be added greets those of its --join settings in the same
 * way. They answer, so that it learns who the members are, but take nothing
 * else of it. */
#include "base/ensure.h"
#include "base/err.h"
#include "node/node.h"

static const struct {
    const char *code;
    const char *theirs; /* what is wrong with the peer, and what to do */
    const char *ours;   /* what the peer says is wrong with us */
} refusals[] = {
    {"other_cluster",
     "it is of another cluster; give all first voters the same --member list, "
     "and a new member an empty --data-dir and --join",
     "it is of another cluster; give all first voters the same --member list, "
     "or start this member with an empty --data-dir and --join"},
    {"lost_disk",
     "this is not the data directory that the member of this name had; remove "
     "the member and add it again, or give it that directory",
     "the member of this name had another data directory; give it that one, or "
     "remove the member and add it again with an empty one and --join"},
    {"unknown_member",
     "it is no member of this cluster; add it with `quorate member add`, or "
     "correct the --member lists",
     "it does not take this one for a member; add it with `quorate member "
     "add`, or correct the --member lists"},
    {"removed", "it was removed from the cluster",
     "this member was removed from the cluster; stop it"},
};

bool greeting_is_kind(struct bytes kind)
{
    return bytes_is(kind, "hello") || bytes_is(kind, "welcome") ||
           bytes_is(kind, "refused");
}

static bool is_joined(const struct node *node, struct bytes name)
{
    for (uint32_t i = 0; i < node->settings->join_count; i++) {
        if (bytes_is(name, node->settings->joins[i].name)) {
            return true;
        }
    }
    return false;
}

bool greeting_is_candidate(const struct node *node, const struct link *link)
{
    struct bytes name = link->inbox_peer.name;
    const struct member *member = members_by_name(&node->members, name);

    if (member != NULL) {
        return member != node->self;
    }
    return growing_awaits(node, name) ||
           (identity_is_waiting(node) && is_joined(node, name));
}

static void show_card(struct node *node, struct link *link, const char *kind)
{
    struct buf text;

    buf_init(&text, CARD_SIZE_MAX);
    card_print(&text, &node->card);
    if (buf_error(&text) == 0) {
        links_send_binary(node, link, kind, buf_bytes(&text));
    }
    buf_close(&text);
}

void greeting_link_up(struct node *node, struct link *link)
{
    if (link->role == ROLE_MEMBER) {
        show_card(node, link, "hello");
    }
}

void greeting_all(struct node *node)
{
    LIST_FOREACH (item, &node->links) {
        struct link *link = LIST_ENTRY(item, struct link, node_link);

        if (link->member == NULL && greeting_is_candidate(node, link)) {
            links_set_role(node, link);
            greeting_link_up(node, link);
        }
    }
}

static size_t refusal_of(struct bytes code)
{
    for (size_t i = 0; i < sizeof(refusals) / sizeof(refusals[0]); i++) {
        if (bytes_is(code, refusals[i].code)) {
            return i;
        }
    }
    return SIZE_MAX;
}

void greeting_refuse(struct node *node, struct link *link, const char *code)
{
    size_t i = refusal_of(bytes_of_string(code));

    ensure(i != SIZE_MAX);
    log_line(LOG_WARN, "member_refused", "member=%.*s why=\"%s\"",
             (int)link->inbox_peer.name.size, link->inbox_peer.name.data,
             refusals[i].theirs);
    links_send_binary(node, link, "refused", bytes_of_string(code));
    growing_refused(node, link->inbox_peer.name, code);
}

static void refused(struct node *node, struct link *link, struct bytes code)
{
    size_t i = refusal_of(code);

    if (i == SIZE_MAX || link->role != ROLE_MEMBER) {
        return;
    }
    log_line(LOG_ERROR, "refused_by_member", "member=%.*s why=\"%s\"",
             (int)link->inbox_peer.name.size, link->inbox_peer.name.data,
             refusals[i].ours);
    growing_refused(node, link->inbox_peer.name, refusals[i].code);
    if (link->member != NULL) {
        links_member_gone(node, link);
    }
    if (bytes_is(code, "removed")) {
        agents_leave(node);
    }
}

/* What is wrong with the card of one that has the name of a member, or NULL. */
static const char *fault_of(const struct node *node, const struct card *card)
{
    const struct member *member =
        members_by_name(&node->members, bytes_of_string(card->name));
    bool is_same =
        member != NULL && member->id == card->id &&
        (member->instance == 0 || member->instance == card->instance);

    /* One that has just been added learns of its cluster by its first entry. */
    if (card->cluster != 0 && card->cluster != node->card.cluster) {
        return "other_cluster";
    }
    return member == NULL || is_same ? NULL : "lost_disk";
}

/* What it knows better is taken over: a member that was away may not know
 * where the others are now. But not from one that knows this member by another
 * data directory: it is a leftover of a cluster that had the same names. */
static bool knows_better(const struct node *node, const struct card *card)
{
    const struct directory_entry *self =
        directory_find(&card->directory, node->card.id);

    return card->cluster == node->card.cluster &&
           card->directory.index > node->card.directory.index && self != NULL &&
           self->instance == node->card.instance;
}

static void learn(struct node *node, const struct card *card)
{
    bool is_first = node->card.cluster == 0 && card->cluster != 0 &&
                    identity_is_waiting(node);

    if (is_first) {
        node->card.cluster = card->cluster;
        node->is_card_saved = false;
        log_line(LOG_INFO, "cluster_found", "member=%s members=%u", card->name,
                 card->directory.count);
    }
    if (is_first || knows_better(node, card)) {
        directory_adopt(node, &card->directory);
        node->has_new_members = true;
    }
}

static void accept(struct node *node, struct link *link,
                   const struct card *card)
{
    struct member *member =
        members_by_name(&node->members, link->inbox_peer.name);

    if (member == NULL) {
        growing_greeted(node, card);
        return;
    }
    if (member->instance != card->instance) {
        member->instance = card->instance;
        node->has_new_members = true;
    }
    if (card->address[0] != '\0' &&
        card->id == members_id_of(link->inbox_peer.name)) {
        /* Nobody was told the address of a first voter but itself. */
        memcpy(member->address, card->address, sizeof(member->address));
    }
    if (link->member == NULL) {
        links_member_up(node, link, member);
    }
}

int greeting_receive(struct node *node, struct link *link, struct bytes kind,
                     struct bytes content)
{
    bool is_hello = bytes_is(kind, "hello");
    struct card card;
    const char *fault;
    int rv;

    if (bytes_is(kind, "refused")) {
        refused(node, link, content);
        return 0;
    }
    rv = card_parse(content, &card);
    if (rv == 0 && !bytes_is(link->inbox_peer.name, card.name)) {
        rv = ERR_MALFORMED;
    }
    if (rv != 0) {
        return rv;
    }
    if (link->role != ROLE_MEMBER) {
        if (is_hello && card.cluster == 0 && role_may(link->role, RIGHT_READ)) {
            show_card(node, link, "welcome");
        } else if (is_hello) {
            greeting_refuse(node, link, "unknown_member");
        }
        return 0;
    }
    learn(node, &card);
    fault = fault_of(node, &card);
    if (fault != NULL) {
        greeting_refuse(node, link, fault);
        return 0;
    }
    accept(node, link, &card);
    if (is_hello) {
        show_card(node, link, "welcome");
    }
    return 0;
}
