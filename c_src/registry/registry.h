/* SPDX-License-Identifier: Apache-2.0
 * Who owns what: workers with their leases, sandboxes with their owners and
 * epochs, registered names. Pure tables; only command/ changes them, and every
 * member holds the same ones at the same log index.
 *
 *   worker 1 ──< sandbox (epoch)     one without a live lease is in the ring
 *          └──< name (epoch)         `unplaced` of its priority, oldest first
 *
 * Conflict copies of sandboxes are in copies.h. */
#ifndef QUORATE_REGISTRY_REGISTRY_H
#define QUORATE_REGISTRY_REGISTRY_H

#include "base/attr.h"
#include "base/bytes.h"
#include "base/list.h"
#include "base/map.h"

#include <stdbool.h>
#include <stdint.h>

enum {
    REGISTRY_ID_SIZE_MAX = 255,
    REGISTRY_NAME_SIZE_MAX = 255,
    REGISTRY_NODE_SIZE_MAX = 255,
    REGISTRY_SPEC_SIZE_MAX = 64 * 1024,
    REGISTRY_OPTIONS_SIZE_MAX = 16 * 1024,
    REGISTRY_PID_SIZE_MAX = 512,
    REGISTRY_REASON_SIZE_MAX = 1024,
    REGISTRY_META_SIZE_MAX = 16 * 1024,
    REGISTRY_SANDBOXES_MAX = 1000000,
    REGISTRY_NAMES_MAX = 1000000,
    REGISTRY_WORKERS_MAX = 4096,
    REGISTRY_REPLICAS_MAX = 7,
    REGISTRY_PRIORITY_MAX = 9,
    REGISTRY_TERM_MS_MAX = 30 * 60 * 1000,
    REGISTRY_INCARNATION_SIZE = 16,
};

struct resources {
    uint32_t cpu;    /* thousandths of a core */
    uint32_t memory; /* MiB */
};

struct worker {
    struct bytes name; /* node name; owned, the map's key */
    uint8_t incarnation[REGISTRY_INCARNATION_SIZE];
    uint64_t lease;         /* index of the granting entry; 0: none */
    uint64_t renewed_index; /* entry of the last renewal or grant */
    uint64_t renewed_clock; /* the agent's clock in that renewal, ms */
    uint64_t member;        /* id of the member it is attached to */
    uint32_t term_ms;       /* the longest that a member of this lease asked
                               to let pass before it expires */
    struct resources capacity;
    uint32_t sandboxes_max;     /* slots */
    struct resources committed; /* sum over its sandboxes */
    uint32_t sandbox_count;
    struct list sandboxes;    /* of struct sandbox, by worker_link */
    struct list names;        /* of struct registered_name */
    uint32_t snapshot_number; /* in the snapshot under way, from 1 */
    void *shell;              /* the shell's own record; never touched here */
};

enum sandbox_status {
    SANDBOX_STARTING, /* claimed, not reported to run */
    SANDBOX_RUNNING,
    SANDBOX_UNPLACED, /* desired, but nobody owns it */
    SANDBOX_STOPPING, /* to be stopped and forgotten */
    SANDBOX_FAILED,   /* start failed too often; kept, reason visible */
};

/* What becomes of it at the end of its worker's lease. */
enum sandbox_mode {
    SANDBOX_STRONG,    /* it ends first: never two at a time */
    SANDBOX_AVAILABLE, /* it goes on where it runs: rather two than none */
};

/* The place of a sandbox or name in the walk over all of them (walk.h). */
struct registry_item {
    struct list link; /* in one of the rings of struct registry_walk */
    uint32_t round;   /* the walk that it was seen by, or is too young for */
    bool is_name;
};

struct sandbox {
    struct bytes id;          /* owned, the map's key */
    struct bytes spec;        /* raw term, owned */
    struct bytes options;     /* raw term, owned */
    struct bytes pid;         /* raw term, owned; empty unless RUNNING */
    struct bytes reason;      /* raw term, owned; why FAILED/last failure */
    const uint64_t *replicas; /* replica_count member ids, owned */
    uint64_t birth;           /* index of the first claim */
    uint64_t epoch;           /* index of the current claim */
    struct worker *worker;    /* owner, NULL if none */
    struct list worker_link;  /* in worker->sandboxes, or registry unplaced */
    uint64_t ring_order;      /* grows along each of these rings; 0: in none */
    struct registry_item item;
    struct resources need;
    /* Eight bits each: there may be a million. */
    enum sandbox_status status : 8;
    enum sandbox_mode mode : 8; /* what `options` say */
    uint8_t failures;           /* starts that failed in a row */
    uint8_t priority;           /* 0..REGISTRY_PRIORITY_MAX */
    uint8_t replica_count;
    bool is_restoring; /* begins anew with a copy (copies.h) */
    void *shell;       /* the shell's own record; never touched here */
};

struct registered_name {
    struct bytes name; /* raw term, owned, the map's key */
    struct bytes pid;  /* raw term, owned */
    struct bytes meta; /* raw term, owned */
    uint64_t epoch;
    struct worker *worker;
    struct list worker_link;
    uint64_t ring_order; /* as a sandbox's */
    struct registry_item item;
};

/* One of the two is NULL. */
typedef void registry_visit_cb(void *arg, const struct sandbox *sandbox,
                               const struct registered_name *name);

struct registry_walk {
    struct list seen;         /* all items, but for those that wait */
    struct list waiting;      /* to be visited */
    uint32_t round;           /* of the walk under way, or the last one */
    registry_visit_cb *visit; /* NULL: none is under way */
    void *arg;
};

struct registry {
    struct map workers;
    struct map sandboxes;
    struct map names;
    /* Of struct sandbox, by worker_link; a ring for each priority. */
    struct list unplaced[REGISTRY_PRIORITY_MAX + 1];
    uint32_t unplaced_count;  /* in all of them */
    uint64_t ring_order_last; /* given out so far */
    struct list copies;       /* of struct copy, the oldest first */
    uint32_t copy_count;
    uint64_t copies_size;      /* of their states, bytes */
    uint64_t copy_number_last; /* given out so far */
    struct registry_walk walk;
};

void registry_init(struct registry *registry, uint64_t seed);
void registry_close(struct registry *registry);
/* Gives `to`, which is closed or was never used, all of `from`; that is empty
 * then. Records stay where they are. No walk may be under way. */
void registry_move(struct registry *to, struct registry *from);
void registry_check(const struct registry *registry); /* the invariants */

struct worker *registry_worker(const struct registry *registry,
                               struct bytes name);
struct sandbox *registry_sandbox(const struct registry *registry,
                                 struct bytes id);
struct registered_name *registry_name(const struct registry *registry,
                                      struct bytes name);

/* Whether a sandbox of this status has an owner. */
bool registry_status_has_owner(enum sandbox_status status);

/* The mode that a sandbox's options, a raw map, ask for. What says nothing of
 * it, or something else, is strong. */
enum sandbox_mode registry_mode_of(struct bytes options);

/* The atom that stands for it, static. */
const char *registry_mode_name(enum sandbox_mode mode);

/* Whether they are ids of different members: not too many, and none is 0. */
bool registry_replicas_are_valid(const uint64_t *replicas, size_t count);

#endif
