/* SPDX-License-Identifier: Apache-2.0
 * Who of us is alive in the view of peers, and what ties them to processes
 * elsewhere: links, monitors, calls of ours.
 *
 *   struct inbox ──relations (by key)──▶ struct relation ◀── struct inbox_peer
 *         │                                    ▲              (goes with it)
 *         └──processes (by number)──▶ struct process
 *
 * The process behind our names lives as long as the member, so that monitors
 * on it need no place here: they never fire. Links on it do, since it is told
 * when they break. Private to dist/. */
#ifndef QUORATE_DIST_RELATIONS_H
#define QUORATE_DIST_RELATIONS_H

#include "base/attr.h"
#include "base/list.h"
#include "dist/inbox.h"

#include <stdbool.h>
#include <stdint.h>

enum relation_kind {
    RELATION_LINK,        /* between a process of ours and one of the peer */
    RELATION_MONITOR_IN,  /* the peer's process monitors a spawned one */
    RELATION_MONITOR_OUT, /* ours monitors a pid or name of the peer */
    RELATION_SPAWN_OUT,   /* ours spawned a call on the peer */
};

struct relation {
    enum relation_kind kind;
    bool is_unlinking;        /* LINK: we have unlinked; exits are ignored
                                 until the acknowledgement of `unlink_id` */
    uint64_t unlink_id;       /* idem */
    struct process *process;  /* ours; NULL: the one behind our names */
    struct list process_link; /* in process->relations */
    struct inbox_peer *peer;  /* in its list, by the next two */
    struct relation *next;
    struct relation **holder; /* what points at this one */
    struct bytes remote;      /* raw pid, or raw name; part of this memory */
    struct bytes reference;   /* raw; not of links; idem */
    struct bytes key;         /* in inbox->relations; idem */
};

/* A spawned call that is under way. */
struct process {
    uint32_t id;
    uint32_t serial;
    uint8_t key[8];          /* both, in inbox->processes */
    struct call *call;       /* whose process it is */
    struct list relations;   /* of struct relation, by process_link */
    struct inbox_peer *peer; /* of the caller; in its list */
    struct process *next;
    struct process **holder;
};

/* The relation of this kind, or NULL. Links are found by our process and the
 * other's raw pid, the rest by the raw reference. */
struct relation *relations_find_link(const struct inbox *inbox,
                                     const struct inbox_peer *peer,
                                     const struct process *process,
                                     struct bytes remote);
struct relation *relations_find(const struct inbox *inbox,
                                const struct inbox_peer *peer,
                                enum relation_kind kind,
                                struct bytes reference);

/* What a new one ties together. */
struct relation_ends {
    enum relation_kind kind;
    struct process *process; /* ours; NULL: the one behind our names */
    struct bytes remote;
    struct bytes reference; /* empty for links */
};

/* Makes one, with copies: 0, ERR_LIMIT, ERR_NOMEM, or ERR_EXISTS. */
int relations_add(struct inbox *inbox, struct inbox_peer *peer,
                  const struct relation_ends *ends,
                  struct relation **ret_relation) MUST_USE;
void relations_remove(struct inbox *inbox, struct relation *relation);

/* Takes it out of all tables; the caller frees it with mem_free(). */
void relations_detach(struct inbox *inbox, struct relation *relation);

/* The process of a number; NULL if there is none (any more). */
struct process *processes_find(const struct inbox *inbox, uint32_t id,
                               uint32_t serial);
int processes_add(struct inbox *inbox, struct inbox_peer *peer,
                  struct process *process) MUST_USE;
/* Out of the table, without a word to anybody. Idempotent. */
void processes_remove(struct inbox *inbox, struct process *process);

#endif
