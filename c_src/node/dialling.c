/* SPDX-License-Identifier: Apache-2.0
 * When and where members are dialled. One that does not answer at the address
 * of the directory is tried at that of the settings, then by epmd: any of them
 * may be older than the last move. */
#include "base/err.h"
#include "config/value.h"
#include "node/node.h"

/* Chooses when the next attempt is due: in a pause that doubles, of which half
 * is chance, so that those who lost one another together do not come back
 * together. */
static void later(struct node *node, struct redial *redial)
{
    uint64_t pause_ms = redial->pause_ms * 2;

    if (pause_ms < NODE_DIAL_MIN_MS) {
        pause_ms = NODE_DIAL_MIN_MS;
    } else if (pause_ms > NODE_DIAL_MAX_MS) {
        pause_ms = NODE_DIAL_MAX_MS;
    }
    redial->pause_ms = pause_ms;
    redial->due_ms =
        node->now_ms + pause_ms / 2 + rng_below(&node->rng, pause_ms / 2 + 1);
}

void dialling_note_link(struct node *node, struct member *member, bool is_up)
{
    struct redial *redial = &member->redial;

    if (is_up) {
        redial->linked_ms = node->now_ms;
        redial->attempts = 0;
        return;
    }
    if (node->now_ms - redial->linked_ms >= NODE_LINK_STABLE_MS) {
        redial->pause_ms = 0;
    }
    later(node, redial);
}

void dialling_failed(void *arg, struct bytes name, const char *reason)
{
    (void)arg;
    log_line(LOG_DEBUG, "dial_failed", "peer=%.*s reason=\"%s\"",
             (int)name.size, name.data, reason);
}

static bool parse_address(const char *text, struct settings_address *address)
{
    struct buf no_text;

    buf_init(&no_text, 0);
    return value_address(bytes_of_string(text), 1, address, &no_text) == 0;
}

static const struct settings_address *
configured(const struct settings_member *members, uint32_t count,
           struct bytes name)
{
    for (uint32_t i = 0; i < count; i++) {
        if (bytes_is(name, members[i].name)) {
            return &members[i].address;
        }
    }
    return NULL;
}

/* The address of this attempt; NULL: epmd is asked. */
static const struct settings_address *
choose_address(const struct node *node, struct bytes name, const char *told,
               uint32_t attempt, struct settings_address *room)
{
    const struct settings *settings = node->settings;
    const struct settings_address *choices[3];
    const struct settings_address *address;
    uint32_t count = 0;

    if (parse_address(told, room)) {
        choices[count++] = room;
    }
    address = configured(settings->members, settings->member_count, name);
    if (address == NULL) {
        address = configured(settings->joins, settings->join_count, name);
    }
    if (address != NULL) {
        choices[count++] = address;
    }
    if (count == 0 || settings->epmd) {
        choices[count++] = NULL;
    }
    return choices[attempt % count];
}

static void dial(struct node *node, struct bytes name, const char *told,
                 struct redial *redial)
{
    const struct settings_address *address;
    struct settings_address room;
    int rv;

    if (node->now_ms < redial->due_ms || links_find(node, name) != NULL) {
        return;
    }
    address = choose_address(node, name, told, redial->attempts, &room);
    redial->attempts++;
    later(node, redial);
    rv = peers_dial(node->peers, name, address == NULL ? NULL : address->host,
                    address == NULL ? 0 : address->port);
    if (rv != 0) {
        dialling_failed(node, name, err_text(rv));
    }
}

void links_dial(struct node *node)
{
    struct growing *growing = &node->growing;

    for (uint32_t i = 0; i < node->members.count; i++) {
        struct member *member = members_at(&node->members, i);

        if (member != node->self && !member->is_up) {
            dial(node, member->name, member->address, &member->redial);
        }
    }
    if (growing->phase == GROWING_GREETING) {
        dial(node, bytes_of_string(growing->entry.name), growing->entry.address,
             &growing->redial);
    }
    for (uint32_t i = 0;
         identity_is_waiting(node) && i < node->settings->join_count; i++) {
        struct bytes name = bytes_of_string(node->settings->joins[i].name);

        if (members_by_name(&node->members, name) == NULL) {
            dial(node, name, "", &node->join_redials[i]);
        }
    }
}
