/* SPDX-License-Identifier: Apache-2.0
 * Who this member is. The file `identity` is made at the first start, from the
 * settings, and counts from then on: a data directory belongs to one member of
 * one cluster, and under another name its votes and replicas would count twice.
 *
 * The first voters of a cluster of several come to the same number for it, by
 * their names alone. A member that begins alone draws one; who is added later
 * gets that of its cluster. */
#include "base/ensure.h"
#include "base/err.h"
#include "node/node.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void put_path(const struct node *node, struct buf *path)
{
    buf_init(path, SETTINGS_PATH_SIZE_MAX + 16);
    buf_printf(path, "%s/identity", node->settings->data_dir);
    buf_put_u8(path, 0);
}

static int write_card(const struct node *node)
{
    struct buf path;
    struct buf text;
    int rv;

    put_path(node, &path);
    buf_init(&text, CARD_SIZE_MAX);
    card_print(&text, &node->card);
    rv = buf_error(&path) != 0 ? buf_error(&path) : buf_error(&text);
    if (rv == 0) {
        rv = sys_write_file((const char *)path.data, buf_bytes(&text));
    }
    buf_close(&path);
    buf_close(&text);
    return rv;
}

void identity_save(struct node *node)
{
    int rv = write_card(node);

    node->is_card_saved = rv == 0;
    if (rv != 0) {
        log_line(LOG_ERROR, "identity_write_failed", "why=\"%s\"",
                 err_text(rv));
    }
}

bool identity_is_waiting(const struct node *node)
{
    return node->card.voter_count == 0 &&
           raft_membership(node->raft)->voter_count == 0;
}

bool identity_bind(struct node *node)
{
    ensure(node->card.cluster != 0);
    if (!node->is_card_saved) {
        identity_save(node);
    }
    return node->is_card_saved;
}

/* --- The first start ------------------------------------------------------ */

static uint64_t random_number(void)
{
    uint64_t number = 0;

    while (number == 0) {
        sys_random(&number, sizeof(number));
    }
    return number;
}

static int compare_names(const void *a, const void *b)
{
    return strcmp((const char *)a, (const char *)b);
}

/* The same whatever the order of the names. */
static uint64_t cluster_of(const struct card *card)
{
    char names[CARD_VOTERS_MAX][DIRECTORY_NAME_SIZE_MAX + 1];
    uint64_t number = 0;

    memcpy(names, card->voters, sizeof(names));
    qsort(names, card->voter_count, sizeof(names[0]), compare_names);
    for (uint32_t i = 0; i < card->voter_count; i++) {
        number = members_id_of_added(bytes_of_string(names[i]), number);
    }
    return number;
}

static void add_first_voter(struct card *card, const char *name,
                            const char *address)
{
    struct bytes text = bytes_of_string(name);
    struct directory_entry entry;
    int rv = directory_entry_init(&entry, members_id_of(text), 0, text,
                                  bytes_of_string(address));

    rv = rv == 0 ? directory_put(&card->directory, &entry) : rv;
    ensure(rv == 0); /* settings_check() saw to it */
    memcpy(card->voters[card->voter_count], entry.name, sizeof(entry.name));
    card->voter_count++;
}

static void make_card(struct node *node)
{
    const struct settings *settings = node->settings;
    struct card *card = &node->card;
    struct bytes own = bytes_of_string(settings->name);

    memcpy(card->name, settings->name, sizeof(card->name));
    card->instance = random_number();
    if (settings->join_count > 0) {
        card->id = members_id_of_added(own, card->instance);
        return;
    }
    card->id = members_id_of(own);
    for (uint32_t i = 0; i < settings->member_count; i++) {
        add_first_voter(card, settings->members[i].name,
                        settings->members[i].address.text);
    }
    if (settings->member_count == 0) {
        add_first_voter(card, settings->name, "");
    }
    card->cluster = card->voter_count == 1 ? random_number() : cluster_of(card);
}

/* --- Every start ---------------------------------------------------------- */

static int read_card(struct node *node, struct buf *error)
{
    struct buf path;
    struct buf text;
    int rv;

    put_path(node, &path);
    buf_init(&text, CARD_SIZE_MAX);
    rv = sys_read_file((const char *)path.data, CARD_SIZE_MAX, &text);
    if (rv == 0) {
        rv = card_parse(buf_bytes(&text), &node->card);
        node->is_card_saved = rv == 0;
    } else if (rv == ERR_NOT_FOUND) {
        make_card(node);
        rv = 0;
    }
    if (rv != 0) {
        buf_printf(error, "%s: %s", (const char *)path.data, err_text(rv));
    }
    buf_close(&path);
    buf_close(&text);
    return rv;
}

/* The table has what the card has, and always this member itself. */
static int fill_table(struct node *node)
{
    const struct card *card = &node->card;
    struct bytes own = bytes_of_string(card->name);
    struct directory_entry self;
    int rv = 0;

    members_init(&node->members);
    for (uint32_t i = 0; rv == 0 && i < card->directory.count; i++) {
        rv = members_add(&node->members, &card->directory.entries[i], NULL);
    }
    node->self = members_by_id(&node->members, card->id);
    if (rv == 0 && node->self == NULL) {
        rv = directory_entry_init(&self, card->id, card->instance, own,
                                  bytes_of(NULL, 0));
        ensure(rv == 0);
        rv = members_add(&node->members, &self, &node->self);
    }
    if (rv == 0) {
        node->self->instance = card->instance;
        (void)members_set_up(&node->members, node->self, true, node->now_ms);
    }
    return rv;
}

/* A directory that is half the old cluster's and half the new one's. */
static int refuse_half_recovered(const struct node *node, struct buf *error)
{
    struct buf path;
    int rv;

    buf_init(&path, SETTINGS_PATH_SIZE_MAX + 16);
    buf_printf(&path, "%s/%s", node->settings->data_dir, CARD_RECOVERY_FILE);
    buf_put_u8(&path, 0);
    rv = buf_error(&path);
    if (rv == 0 && access((const char *)path.data, F_OK) == 0) {
        buf_printf(error,
                   "a recovery of %s was begun and not finished; give the same "
                   "`quorate recover apply` again",
                   node->settings->data_dir);
        rv = ERR_BADARG;
    }
    buf_close(&path);
    return rv;
}

int identity_open(struct node *node, struct buf *error)
{
    const struct settings *settings = node->settings;
    int rv = refuse_half_recovered(node, error);

    if (rv == 0) {
        rv = read_card(node, error);
    }

    if (rv == 0 && strcmp(node->card.name, settings->name) != 0) {
        buf_printf(error,
                   "%s belongs to another member, %s; give its name, or "
                   "another --data-dir",
                   settings->data_dir, node->card.name);
        return ERR_BADARG;
    }
    if (rv == 0) {
        rv = fill_table(node);
        if (rv != 0) {
            buf_printf(error, "%s/identity: %s", settings->data_dir,
                       err_text(rv));
        }
    }
    return rv;
}

int identity_begin(struct node *node, struct buf *error)
{
    int rv = write_card(node);

    if (rv != 0) {
        buf_printf(error, "%s/identity: %s", node->settings->data_dir,
                   err_text(rv));
    }
    node->is_card_saved = rv == 0;
    return rv;
}

static bool is_first_voter(const struct card *card, const char *name)
{
    for (uint32_t i = 0; i < card->voter_count; i++) {
        if (strcmp(card->voters[i], name) == 0) {
            return true;
        }
    }
    return false;
}

/* Until the members have changed the settings are to name the first voters as
 * they were; then they have addresses to begin with, of members. */
static bool is_known_set(const struct node *node)
{
    const struct settings *settings = node->settings;
    const struct card *card = &node->card;
    bool has_changed = card->directory.index > 0;
    uint32_t count = settings->member_count == 0 ? 1 : settings->member_count;

    if (!has_changed && count != card->voter_count) {
        return false;
    }
    for (uint32_t i = 0; i < settings->member_count; i++) {
        const char *name = settings->members[i].name;

        if (!is_first_voter(card, name) &&
            !(has_changed &&
              directory_find_name(&card->directory, bytes_of_string(name)) !=
                  NULL)) {
            return false;
        }
    }
    return true;
}

int identity_check(const struct node *node, struct buf *error)
{
    const char *dir = node->settings->data_dir;

    if (node->settings->join_count > 0 && node->card.voter_count > 0) {
        buf_printf(error,
                   "%s is that of one of the first voters of a cluster; start "
                   "it without --join, or give an empty --data-dir",
                   dir);
        return ERR_BADARG;
    }
    if (identity_is_waiting(node)) {
        if (node->settings->join_count == 0) {
            buf_printf(error,
                       "%s waits to be added to a cluster; say with --join "
                       "NAME@HOST=ADDR:PORT to which, or give another "
                       "--data-dir",
                       dir);
            return ERR_BADARG;
        }
        log_line(LOG_INFO, "waiting",
                 "why=\"to be added to a cluster: quorate member add "
                 "%s=ADDR:PORT --target %s\"",
                 node->card.name, node->settings->joins[0].name);
        return 0;
    }
    if (node->card.voter_count > 0 && !is_known_set(node)) {
        buf_printf(error,
                   "%s belongs to another set of voters; give the members "
                   "it was made with (see %s/identity), or another --data-dir",
                   dir, dir);
        return ERR_BADARG;
    }
    return 0;
}

static bool is_wildcard(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0;
}

void identity_listening(struct node *node)
{
    const struct settings *settings = node->settings;
    const char *host = settings->listen.host;
    struct card *card = &node->card;
    struct buf text;

    for (uint32_t i = 0; i < settings->member_count; i++) {
        if (strcmp(settings->members[i].name, settings->name) == 0) {
            memcpy(card->address, settings->members[i].address.text,
                   sizeof(card->address));
            return;
        }
    }
    buf_init(&text, DIRECTORY_ADDRESS_SIZE_MAX);
    buf_printf(&text, strchr(host, ':') == NULL ? "%s:%u" : "[%s]:%u", host,
               (unsigned)peers_port(node->peers));
    memset(card->address, 0, sizeof(card->address));
    if (!is_wildcard(host) && buf_error(&text) == 0) {
        memcpy(card->address, text.data, text.size);
    }
    buf_close(&text);
}
