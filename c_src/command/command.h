/* SPDX-License-Identifier: Apache-2.0
 * The deterministic state machine: what a log entry means. Every member
 * applies the same entries in the same order and comes to the same registry;
 * nothing here reads a clock or draws a random number.
 *
 * One entry carries a batch: each command as a block (32-bit length, bytes).
 * Commands are idempotent where an agent or a member may send them again; those
 * of calls have a request id for that (command/sessions.h).
 *
 * An epoch, and a lease, is the index of its entry, with what RECOVER has added
 * to all since. Two grants for the same
 * sandbox (or worker) in one entry would share it, so the second is refused
 * with ERR_BUSY and simply tried again later. */
#ifndef QUORATE_COMMAND_COMMAND_H
#define QUORATE_COMMAND_COMMAND_H

#include "base/attr.h"
#include "base/buf.h"
#include "base/bytes.h"
#include "cluster/directory.h"
#include "command/sessions.h"
#include "registry/registry.h"

#include <stdbool.h>
#include <stdint.h>

enum command_type {
    COMMAND_ATTACH = 1,  /* a worker joins or moves to another member */
    COMMAND_RENEW = 2,   /* one lease was kept alive */
    COMMAND_EXPIRE = 3,  /* a lease ran out; ignored if renewed since */
    COMMAND_RELEASE = 4, /* a lease is given back: proven death, detach */
    COMMAND_CLAIM = 5,   /* first claim of a new sandbox */
    COMMAND_PLACE = 6,   /* claim of an unplaced sandbox by another worker */
    COMMAND_STARTED = 7,
    COMMAND_FAILED = 8,
    COMMAND_STOP = 9, /* desired: gone */
    COMMAND_STOPPED = 10,
    COMMAND_REGISTER = 11,
    COMMAND_UNREGISTER = 12,
    COMMAND_PUT_MEMBER = 13,   /* name, address, instance of a member */
    COMMAND_DROP_MEMBER = 14,  /* it is no member any more */
    COMMAND_OPEN_SESSION = 15, /* a member is going to give request ids */
    COMMAND_RECOVER = 16,      /* written offline: most members are lost */
    COMMAND_RESUME = 17,       /* after RECOVER: leases may be granted */
    COMMAND_KEEP = 18,         /* a conflict copy of a sandbox's state */
    COMMAND_DISCARD = 19,      /* not any more */
    COMMAND_RESTORE = 20,      /* the sandbox is to begin anew with it */
    COMMAND_RESTORED = 21,     /* what it begins with is its state now */
};

/* One form for all; which fields count is in the comment of each. Bytes are
 * borrowed. */
struct command {
    enum command_type type;
    struct request_id request; /* any but OPEN_SESSION; all 0: has none */
    struct bytes worker;       /* ATTACH RENEW EXPIRE RELEASE CLAIM PLACE
                                  REGISTER */
    struct bytes incarnation;  /* ATTACH: 16 bytes */
    uint64_t lease;            /* RENEW EXPIRE RELEASE CLAIM PLACE; REGISTER:
                                  0, the worker's current one */
    uint32_t term_ms;          /* ATTACH: what its member lets pass before
                                  another may own */
    uint64_t clock;            /* ATTACH RENEW: the agent's clock, ms; KEEP:
                                  Unix time, seconds */
    uint64_t renewed_index;    /* EXPIRE: the last renewal that was seen */
    uint64_t member;           /* ATTACH: id of the member attached to;
                                  PUT_MEMBER DROP_MEMBER OPEN_SESSION: id;
                                  RECOVER: who is left */
    struct resources capacity; /* ATTACH */
    uint32_t sandboxes_max;    /* ATTACH */
    struct bytes id;           /* CLAIM PLACE STARTED FAILED STOP STOPPED KEEP
                                  DISCARD RESTORE RESTORED */
    uint64_t epoch;            /* PLACE: the epoch it replaces; STARTED FAILED
                                  STOPPED KEEP RESTORED: which ownership;
                                  UNREGISTER: 0 any;
                                  RECOVER: what is added to later ones; RESUME:
                                  which recovery */
    struct bytes spec;         /* CLAIM */
    struct bytes options;      /* CLAIM */
    struct resources need;     /* CLAIM */
    uint8_t priority;          /* CLAIM */
    uint8_t replica_count;     /* CLAIM KEEP; RECOVER, at least 1 */
    /* CLAIM KEEP; RECOVER: the members whose states are here now. */
    uint64_t replicas[REGISTRY_REPLICAS_MAX];
    struct bytes pid;     /* STARTED REGISTER UNREGISTER: raw term */
    struct bytes reason;  /* FAILED STOPPED; RESTORED: the outcome: raw term */
    struct bytes name;    /* REGISTER UNREGISTER: raw term */
    struct bytes meta;    /* REGISTER: raw term */
    struct bytes node;    /* PUT_MEMBER: node name */
    struct bytes address; /* PUT_MEMBER: host:port, or empty */
    uint64_t instance;    /* PUT_MEMBER: 0, not known yet; RECOVER: the
                             cluster that begins */
    uint64_t nonce;       /* OPEN_SESSION: drawn by the member */
    struct bytes about;   /* KEEP: raw term */
    uint64_t size;        /* KEEP: of the state, bytes */
    uint64_t copy;        /* DISCARD RESTORE RESTORED: its number */
    uint8_t how;          /* RESTORE: enum copy_restore */
};

/* Whether the fields that count for its type are within the limits of
 * registry.h: 0 or ERR_LIMIT. What peers send is asked this before it is
 * encoded, so that one bad request cannot spoil a batch. */
int command_validate(const struct command *command) MUST_USE;

/* Appends the command as a block to a batch. On failure (the batch is full,
 * no memory, not valid) nothing is appended and the error is the batch's. */
void command_encode(struct buf *batch, const struct command *command);

/* Takes the next command off a batch: 0, ERR_NOT_FOUND at the end,
 * ERR_MALFORMED, ERR_TRUNCATED; the batch is where it was then. All limits of
 * registry.h are checked; raw terms are not looked into. */
int command_decode(struct cursor *batch, struct command *ret_command) MUST_USE;

enum command_event_type {
    EVENT_LEASE_GRANTED, /* worker: attached, new lease or new member */
    EVENT_LEASE_RENEWED, /* worker */
    EVENT_LEASE_ENDED,   /* worker: its sandboxes follow as UNPLACED */
    EVENT_CLAIMED,       /* sandbox: to be started by its worker */
    EVENT_STARTED,       /* sandbox */
    EVENT_START_FAILED,  /* sandbox: UNPLACED (will be tried again) or FAILED */
    EVENT_UNPLACED,      /* sandbox: owner gone */
    EVENT_STOPPING,      /* sandbox: its worker is to stop it */
    EVENT_REMOVED,       /* sandbox: forgotten; freed after the callback */
    EVENT_NAME_REGISTERED,
    EVENT_NAME_REMOVED,    /* name: freed after the callback */
    EVENT_WORKER_REMOVED,  /* worker: it had no lease, and another one needed
                              its place; freed after the callback */
    EVENT_MEMBERS_CHANGED, /* the directory is another one */
    EVENT_YIELDING,        /* sandbox: its worker is to end it, for a restore */
    EVENT_COPY_KEPT,       /* copy */
    EVENT_COPY_DROPPED,    /* copy: freed after the callback */
};

/* Events come one by one while a command is carried out: look at what the
 * event names, not at the tables around it. What is removed is out of the
 * tables already. */
struct command_event {
    enum command_event_type type;
    uint64_t index;
    struct worker *worker;        /* the owner, or who was it until now; NULL
                                     if none is concerned */
    struct sandbox *sandbox;      /* NULL if none */
    struct registered_name *name; /* NULL if none */
    struct copy *copy;            /* NULL if none */
    uint64_t lease;               /* LEASE_ENDED: which one */
};

typedef void command_event_cb(void *arg, const struct command_event *event);

/* What the proposer is told. */
struct command_result {
    int rv; /* 0; ERR_EXISTS (sandbox/name: the one that is there; member: the
               name is that of another id);
               ERR_NOT_FOUND; ERR_STALE_EPOCH (EXPIRE: renewed since; ATTACH:
               the worker was heard since); ERR_CLOSED (the lease is not live);
               ERR_LIMIT; ERR_BUSY; ERR_NO_CAPACITY (worker full);
               ERR_STALE_REQUEST: not applied now, and nobody knows whether it
               was before */
    uint64_t index;   /* of the entry in which it was applied first */
    uint64_t epoch;   /* of the sandbox or the name, as it was then; KEEP: the
                         number of the copy; 0: none */
    bool is_repeated; /* its request id is known: nothing was done now */
    struct worker *worker;        /* the one named, or the owner; may be NULL */
    struct sandbox *sandbox;      /* NULL once removed */
    struct registered_name *name; /* NULL once removed */
};

struct command_machine {
    struct registry registry;
    struct directory directory; /* of members: what the log has said so far */
    struct sessions sessions;   /* of members: what was asked before */
    uint64_t applied_index;
    uint64_t epoch_base;  /* the sum of what recoveries have added */
    uint64_t held_epoch;  /* of the recovery since which no lease may be
                             granted; 0: they may */
    uint64_t burnt_index; /* an epoch: a grant of this entry ended in this same
                             entry; no other grant may take its number */
    command_event_cb *event_cb; /* may be NULL */
    void *event_arg;
};

enum { COMMAND_START_FAILURES_MAX = 5 }; /* then SANDBOX_FAILED */

/* What a recovery adds: more than the entries that the lost members may have
 * committed without us (docs/decisions/2026-11-26-recover.md). */
#define COMMAND_EPOCH_JUMP (UINT64_C(1) << 40)
#define COMMAND_EPOCH_MAX  ((uint64_t)INT64_MAX)

void command_machine_init(struct command_machine *machine, uint64_t seed,
                          command_event_cb *event_cb, void *event_arg);
void command_machine_close(struct command_machine *machine);

/* The epoch of grants in the entry at `index`, or the greatest there can be so
 * far, if that is the last one applied. */
uint64_t command_epoch(const struct command_machine *machine, uint64_t index);

/* Whether every ownership of this id up to `epoch` has ended for good, as far
 * as the log is applied: the sandbox was removed, or made anew since. */
bool command_is_epoch_over(const struct command_machine *machine,
                           struct bytes id, uint64_t epoch);

/* Gives `to`, which is closed or was never used, all of `from` but the
 * callback, which it gets from here; `from` is empty then. */
void command_machine_move(struct command_machine *to,
                          struct command_machine *from,
                          command_event_cb *event_cb, void *event_arg);

/* Applies one command of the entry at `index` (not decreasing; the same for
 * the commands of one entry). One whose request id was applied before changes
 * nothing and gets the same result; what it was about may be gone by now, and
 * is NULL then. A CLAIM that found its worker gone, busy or full is not
 * remembered: another worker is tried under the same id. ERR_NOMEM is fatal to
 * the caller: members must not diverge. Results that a peer can cause are in
 * `ret_result->rv`. */
int command_apply(struct command_machine *machine, uint64_t index,
                  const struct command *command,
                  struct command_result *ret_result) MUST_USE;

/* What command_apply() would answer without looking any further: the result of
 * before, or ERR_STALE_REQUEST in it. False: it was not applied yet, or has no
 * request id. */
bool command_recall(struct command_machine *machine,
                    const struct command *command,
                    struct command_result *ret_result) MUST_USE;

#endif
