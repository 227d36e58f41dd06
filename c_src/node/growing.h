/* SPDX-License-Identifier: Apache-2.0
 * How the set of members changes, and how members know one another. Private to
 * node/.
 *
 *   identity.c   who this member is: the file `identity`, the table of members
 *   greeting.c   the first words on a link between two members
 *   dialling.c   when and where members are dialled
 *   growing.c    adding and removing a member, on the leader
 *   directory.c  the table follows what the log says, and the log the table
 */
#ifndef QUORATE_NODE_GROWING_H
#define QUORATE_NODE_GROWING_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "cluster/card.h"
#include "cluster/members.h"
#include "raft/raft.h"

#include <stdbool.h>
#include <stdint.h>

struct node;
struct link;
struct request;

enum { GROWING_GREET_MS = 3000 }; /* to reach a new member */

/* ERR_NO_QUORUM: it was lost; else what the command came to. */
typedef void directory_done_fn(struct node *node, int rv);

enum growing_phase {
    GROWING_IDLE,
    GROWING_GREETING, /* a new member is dialled, and says who it is */
    GROWING_NAMING,   /* its name and address go into the log */
    GROWING_LINKING,  /* it is to be up, and the log ready for a change */
    GROWING_CHANGING, /* the log changes its membership */
};

/* The one change of members that is under way here. */
struct growing {
    enum growing_phase phase;
    bool is_removal;
    uint64_t request;             /* its number; 0: nobody waits */
    uint64_t due_ms;              /* until when GREETING and LINKING may take */
    struct directory_entry entry; /* whom it is about; its id may be 0 yet */
    struct redial redial;
    bool is_naming; /* a command about the directory is proposed */
    directory_done_fn *naming_done; /* who waits for it; NULL: nobody */
};

/* --- identity.c ----------------------------------------------------------- */

/* Reads who this member is (`is_card_saved`), or makes it up at its first
 * start; fills the table of members. */
int identity_open(struct node *node, struct buf *error) MUST_USE;

/* Writes the file at the first start, when log and states have theirs: who has
 * an identity has them all, or only a part of its directory. */
int identity_begin(struct node *node, struct buf *error) MUST_USE;

/* Whether the settings go with the directory, once the log is open. */
int identity_check(const struct node *node, struct buf *error) MUST_USE;

/* Once the port is known: the address that others may find us at. */
void identity_listening(struct node *node);

/* Writes the file; it is tried again if that fails. */
void identity_save(struct node *node);

/* To be called before anything of a cluster goes into the log: whether the
 * directory belongs to that cluster on disk, too. */
bool identity_bind(struct node *node);

/* Whether it has not been added to a cluster yet. */
bool identity_is_waiting(const struct node *node);

/* --- greeting.c ----------------------------------------------------------- */

/* Whether a link is to one that is a member by its name, or may become one. */
bool greeting_is_candidate(const struct node *node, const struct link *link);

void greeting_link_up(struct node *node, struct link *link);

/* Whether messages of this kind are greetings; they come before all others. */
bool greeting_is_kind(struct bytes kind);
int greeting_receive(struct node *node, struct link *link, struct bytes kind,
                     struct bytes content) MUST_USE;

/* Greets those whose links are up and that are members now. */
void greeting_all(struct node *node);

/* Tells a peer that it is none of the members (any more). */
void greeting_refuse(struct node *node, struct link *link, const char *code);

/* --- dialling.c ----------------------------------------------------------- */

void dialling_note_link(struct node *node, struct member *member, bool is_up);
void dialling_failed(void *arg, struct bytes name, const char *reason);

/* --- directory.c ---------------------------------------------------------- */

/* The table becomes this one, apart from who takes part by the log. */
void directory_adopt(struct node *node, const struct directory *directory);

/* Follows the log, if that has changed something. */
void directory_follow(struct node *node);

/* On the leader: the log is to say of each member what the table says. */
void directory_keep(struct node *node);

/* Proposes an entry, or (`is_drop`) its end, and calls `done` when it is
 * applied or lost. False: not possible now; `done` is never called then. */
bool directory_propose(struct node *node, const struct directory_entry *entry,
                       bool is_drop, directory_done_fn *done);

/* --- growing.c ------------------------------------------------------------ */

void growing_add(struct node *node, struct request *request);
void growing_remove(struct node *node, struct request *request);
void growing_tick(struct node *node);

/* The id of a member that is being removed; 0: none is. */
uint64_t growing_leaving(const struct node *node);

/* Somebody who is no member yet said who it is, or that it will not be one. */
bool growing_awaits(const struct node *node, struct bytes name);
void growing_greeted(struct node *node, const struct card *card);
void growing_refused(struct node *node, struct bytes name, const char *code);

#endif
