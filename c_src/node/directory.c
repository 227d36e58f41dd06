/* SPDX-License-Identifier: Apache-2.0
 * The table of members follows the directory in the log; and the log is told by
 * the leader what the table knows better: of the first voters nobody else has
 * said who and where they are. Level-triggered: whatever differs is proposed.
 */
#include "base/ensure.h"
#include "base/err.h"
#include "node/node.h"
#include "node/requests.h"
#include "raft/membership.h"

enum { EXIT_SOFTWARE = 70 };

static bool takes_part(const struct node *node, uint64_t id)
{
    return membership_roles(raft_membership(node->raft), id) != 0;
}

static void remove_member(struct node *node, struct member *member)
{
    struct link *link = links_find(node, member->name);

    log_line(LOG_INFO, "member_forgotten", "member=%.*s",
             (int)member->name.size, (const char *)member->name.data);
    if (link != NULL && link->member == member) {
        greeting_refuse(node, link, "removed");
        links_member_gone(node, link);
    }
    members_remove(&node->members, member);
    if (link != NULL) {
        links_set_role(node, link);
    }
}

static int adopt_entry(struct node *node, const struct directory_entry *entry)
{
    struct member *member = members_by_id(&node->members, entry->id);

    if (member == NULL) {
        int rv = members_add(&node->members, entry, NULL);

        /* Its name may still be that of one who takes part. */
        return rv == ERR_EXISTS ? 0 : rv;
    }
    if (member != node->self && entry->instance != 0) {
        member->instance = entry->instance;
    }
    memcpy(member->address, entry->address, sizeof(member->address));
    return 0;
}

void directory_adopt(struct node *node, const struct directory *directory)
{
    struct members *members = &node->members;
    int rv = 0;

    for (uint32_t i = members->count; i > 0; i--) {
        struct member *member = members_at(members, i - 1);

        if (member != node->self && !takes_part(node, member->id) &&
            directory_find(directory, member->id) == NULL) {
            remove_member(node, member);
        }
    }
    for (uint32_t i = 0; rv == 0 && i < directory->count; i++) {
        rv = adopt_entry(node, &directory->entries[i]);
    }
    if (rv != 0) {
        node_fail(node, EXIT_SOFTWARE, "out_of_memory", "no room for members");
    }
    node->card.directory.index = directory->index;
}

/* The card has what the table has. */
static void copy_to_card(struct node *node)
{
    struct directory *directory = &node->card.directory;

    directory->count = 0;
    for (uint32_t i = 0; i < node->members.count; i++) {
        struct directory_entry entry;
        int rv;

        members_entry(members_at(&node->members, i), &entry);
        rv = directory_put(directory, &entry);
        ensure(rv == 0);
    }
}

void directory_follow(struct node *node)
{
    if (!node->has_new_members) {
        return;
    }
    node->has_new_members = false;
    if (node->machine.directory.index > node->card.directory.index) {
        directory_adopt(node, &node->machine.directory);
    }
    for (uint32_t i = 0; i < node->members.count; i++) {
        struct member *member = members_at(&node->members, i);

        member->is_expected = takes_part(node, member->id);
    }
    copy_to_card(node);
    if (!identity_is_waiting(node)) {
        identity_save(node);
    }
    greeting_all(node);
    agents_tell_members(node);
}

/* --- The leader ----------------------------------------------------------- */

static void proposed(struct node *node, void *arg,
                     const struct command_result *result)
{
    struct growing *growing = (struct growing *)arg;
    directory_done_fn *done = growing->naming_done;

    growing->is_naming = false;
    growing->naming_done = NULL;
    if (done != NULL) {
        done(node, result == NULL ? ERR_NO_QUORUM : result->rv);
    }
}

bool directory_propose(struct node *node, const struct directory_entry *entry,
                       bool is_drop, directory_done_fn *done)
{
    struct growing *growing = &node->growing;
    const struct command command = {.type = is_drop ? COMMAND_DROP_MEMBER
                                                    : COMMAND_PUT_MEMBER,
                                    .member = entry->id,
                                    .node = bytes_of_string(entry->name),
                                    .address = bytes_of_string(entry->address),
                                    .instance = entry->instance};

    if (growing->is_naming ||
        node_log_propose(node, &command, proposed, growing) != 0) {
        return false;
    }
    growing->is_naming = true;
    growing->naming_done = done;
    return true;
}

static bool is_same(const struct directory_entry *a,
                    const struct directory_entry *b)
{
    return a->instance == b->instance && strcmp(a->name, b->name) == 0 &&
           strcmp(a->address, b->address) == 0;
}

/* A member whose entry is to be another one. */
static bool find_news(struct node *node, struct directory_entry *ret_entry)
{
    for (uint32_t i = 0; i < node->members.count; i++) {
        const struct member *member = members_at(&node->members, i);
        const struct directory_entry *present =
            directory_find(&node->machine.directory, member->id);
        struct directory_entry entry;

        if (!member->is_expected) {
            continue;
        }
        members_entry(member, &entry);
        if (member == node->self && node->card.voter_count > 0) {
            memcpy(entry.address, node->card.address, sizeof(entry.address));
        }
        if (present == NULL || !is_same(&entry, present)) {
            *ret_entry = entry;
            return true;
        }
    }
    return false;
}

static const struct directory_entry *find_leftover(const struct node *node)
{
    const struct directory *directory = &node->machine.directory;
    const struct growing *growing = &node->growing;

    for (uint32_t i = 0; i < directory->count; i++) {
        const struct directory_entry *entry = &directory->entries[i];

        if (!takes_part(node, entry->id) && (growing->phase == GROWING_IDLE ||
                                             growing->entry.id != entry->id)) {
            return entry;
        }
    }
    return NULL;
}

void directory_keep(struct node *node)
{
    const struct directory_entry *leftover;
    struct directory_entry news;

    if (node->growing.is_naming || !node_log_is_leader(node) ||
        !controller_is_up_to_date(node) ||
        raft_membership_index(node->raft) > raft_commit_index(node->raft)) {
        return;
    }
    leftover = find_leftover(node);
    if (leftover != NULL) {
        /* Without success it is tried again. */
        (void)directory_propose(node, leftover, true, NULL);
    } else if (find_news(node, &news)) {
        (void)directory_propose(node, &news, false, NULL);
    }
}
