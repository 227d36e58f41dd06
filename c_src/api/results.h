/* SPDX-License-Identifier: Apache-2.0
 * What calls answer, as raw terms appended to a buffer (docs/protocol.md,
 * section 1). Errors are the buffer's and sticky. */
#ifndef QUORATE_API_RESULTS_H
#define QUORATE_API_RESULTS_H

#include "base/buf.h"
#include "base/bytes.h"
#include "placement/placement.h"
#include "registry/registry.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ok */
void results_put_ok(struct buf *buf);
/* The head of {ok, ...} of this arity; its other elements follow. */
void results_put_ok_tuple(struct buf *buf, uint32_t arity);

/* {error, Atom} by name or by code of base/err.h. */
void results_put_error(struct buf *buf, const char *atom);
void results_put_error_code(struct buf *buf, int err);
/* {error, {Atom, Raw}}, e.g. start_failed. */
void results_put_error_raw(struct buf *buf, const char *atom, struct bytes raw);
/* {error, {badarg, What}}: a raw term, or an atom. */
void results_put_badarg(struct buf *buf, struct bytes what);
void results_put_badarg_atom(struct buf *buf, const char *what);
/* {error, {already_exists, Sandbox}} or {error, {already_exists, Pid}}. */
void results_put_sandbox_exists(struct buf *buf, const struct sandbox *sandbox);
void results_put_name_exists(struct buf *buf,
                             const struct registered_name *name);
/* {error, {stale_epoch, Current}}, {error, {stale_version, {Epoch, Seq}}}. */
void results_put_stale_epoch(struct buf *buf, uint64_t current);
void results_put_stale_version(struct buf *buf, uint64_t epoch, uint64_t seq);

/* One element of conflict_resolver:conflicts(). */
struct copy;
void results_put_conflict(struct buf *buf, const struct copy *copy);

/* The map Sandbox, and {ok, Sandbox}. One that runs under epoch 0, which no log
 * grants, is `provisional`. */
void results_put_sandbox(struct buf *buf, const struct sandbox *sandbox);
void results_put_ok_sandbox(struct buf *buf, const struct sandbox *sandbox);
/* The same as one member knew it when it had applied the log up to there: with
 * consistency => local and applied_index in the map. */
void results_put_local_sandbox(struct buf *buf, const struct sandbox *sandbox,
                               uint64_t applied_index);

/* A node name as an atom, `undefined` if empty; and a list of them. */
void results_put_node(struct buf *buf, struct bytes name);
void results_put_nodes(struct buf *buf, const struct bytes *names,
                       size_t count);

/* The map of quorate:status(). */
struct results_status {
    struct bytes name;
    const char *version;
    const char *role;    /* leader, follower, candidate, learner */
    struct bytes leader; /* empty: not known */
    uint64_t term;
    uint64_t commit_index;
    uint64_t applied_index;
    bool has_quorum;
    uint64_t members;
    uint64_t members_up;
    uint64_t workers;
    uint64_t workers_hung;   /* of this member, since its start */
    uint64_t workers_killed; /* of those */
    uint64_t sandboxes;
    uint64_t provisional;     /* on this member's side, beside the log */
    uint64_t conflict_copies; /* that are kept */
    uint64_t names;
    uint64_t uptime_ms;
    uint64_t memory_bytes;
    bool is_local; /* not at a linearizable point */
    /* Links to other nodes: those that are up, and since the start. */
    struct {
        uint64_t up;
        uint64_t accepted;          /* connections */
        uint64_t handshakes_failed; /* of those, and of those dialled */
        uint64_t closed;            /* by the peer, or broken */
        uint64_t silent;            /* given up */
        uint64_t replaced;          /* by a newer one of that name */
        uint64_t cut_for_input;     /* for what the peer sent */
        uint64_t cut_for_unread;    /* for what it did not read */
        uint64_t cut_for_memory;    /* we had none */
    } links;
    /* The newest snapshot of the state; and since the start. */
    struct {
        uint64_t index; /* 0: there is none */
        uint64_t bytes;
        uint64_t time; /* when it was written or came in: Unix time, seconds */
        uint64_t taken;
        uint64_t failed;
        uint64_t installed; /* that came from a leader */
    } snapshot;
};
void results_put_status(struct buf *buf, const struct results_status *status);

/* One element of quorate:members(). */
struct results_member {
    struct bytes name;
    bool is_up;
    const char *role;     /* leader, follower, candidate, unknown */
    const char *standing; /* voter, learner, joining, leaving, none */
    const char *address;  /* "": not known */
};
void results_put_member(struct buf *buf, const struct results_member *member);

/* {error, {Atom, Number}}, e.g. holds_states. */
void results_put_error_number(struct buf *buf, const char *atom,
                              uint64_t number);

/* {error, {Atom, Atom}}, e.g. refused. */
void results_put_error_atoms(struct buf *buf, const char *atom,
                             const char *detail);

/* One element of quorate:workers(); what the registry does not know is given
 * beside it. */
struct results_worker {
    const struct worker *worker;
    struct bytes member; /* node name; empty: not known */
    bool is_up;
    uint16_t cpu_load; /* percent */
    uint16_t memory_load;
};
void results_put_worker(struct buf *buf, const struct results_worker *worker);

/* {ok, Pid, Epoch} */
void results_put_whereis(struct buf *buf, const struct registered_name *name);

/* #{name, pid, epoch, meta}, an element of consistency_manager:names(), and
 * {ok, ...} of it. */
void results_put_name(struct buf *buf, const struct registered_name *name);
void results_put_ok_name(struct buf *buf, const struct registered_name *name);

/* {ok, #{version => {Epoch, Seq}, replicas => N, durability => ...}} */
void results_put_replicated(struct buf *buf, uint64_t epoch, uint64_t seq,
                            uint32_t replicas);
/* What is before and behind State in {ok, State, {Epoch, Seq}}. */
void results_begin_state(struct buf *buf);
void results_end_state(struct buf *buf, uint64_t epoch, uint64_t seq);
/* All of it; `state` is raw. */
void results_put_state(struct buf *buf, struct bytes state, uint64_t epoch,
                       uint64_t seq);

/* {ok, #{node, score, candidates => [...]}} for the candidate at `chosen`, and
 * {error, {no_capacity, #{Reason => Count}}}. names[i] is candidates[i]'s. */
void results_put_selected(struct buf *buf,
                          const struct placement_candidate *candidates,
                          const struct bytes *names, size_t count,
                          size_t chosen);
void results_put_no_capacity(struct buf *buf,
                             const struct placement_candidate *candidates,
                             size_t count);

#endif
