/* SPDX-License-Identifier: Apache-2.0
 * Writes answers; the keys of maps come in the order of the documentation. */
#include "api/results.h"

#include "base/ensure.h"
#include "base/err.h"
#include "etf/writer.h"
#include "registry/copies.h"

/* --- Parts ---------------------------------------------------------------- */

static void put_key_u64(struct buf *buf, const char *key, uint64_t value)
{
    etf_put_atom(buf, key);
    etf_put_u64(buf, value);
}

static void put_key_atom(struct buf *buf, const char *key, const char *value)
{
    etf_put_atom(buf, key);
    etf_put_atom(buf, value);
}

static void put_key_bool(struct buf *buf, const char *key, bool value)
{
    etf_put_atom(buf, key);
    etf_put_bool(buf, value);
}

static void put_key_node(struct buf *buf, const char *key, struct bytes name)
{
    etf_put_atom(buf, key);
    results_put_node(buf, name);
}

/* A raw term, `undefined` if there is none. */
static void put_raw_or_undefined(struct buf *buf, struct bytes raw)
{
    if (raw.size > 0) {
        etf_put_raw(buf, raw);
    } else {
        etf_put_atom(buf, "undefined");
    }
}

static void put_pair(struct buf *buf, uint64_t first, uint64_t second)
{
    etf_put_tuple(buf, 2);
    etf_put_u64(buf, first);
    etf_put_u64(buf, second);
}

/* {error, {Atom, ...}} up to the atom. */
static void put_error_head(struct buf *buf, const char *atom)
{
    etf_put_tuple(buf, 2);
    etf_put_atom(buf, "error");
    etf_put_tuple(buf, 2);
    etf_put_atom(buf, atom);
}

/* --- ok and errors -------------------------------------------------------- */

void results_put_ok(struct buf *buf)
{
    etf_put_atom(buf, "ok");
}

void results_put_ok_tuple(struct buf *buf, uint32_t arity)
{
    ensure(arity > 1);
    etf_put_tuple(buf, arity);
    etf_put_atom(buf, "ok");
}

void results_put_error(struct buf *buf, const char *atom)
{
    etf_put_tuple(buf, 2);
    etf_put_atom(buf, "error");
    etf_put_atom(buf, atom);
}

void results_put_error_code(struct buf *buf, int err)
{
    ensure(err != 0);
    results_put_error(buf, err_atom(err));
}

void results_put_error_raw(struct buf *buf, const char *atom, struct bytes raw)
{
    put_error_head(buf, atom);
    put_raw_or_undefined(buf, raw);
}

void results_put_error_number(struct buf *buf, const char *atom,
                              uint64_t number)
{
    put_error_head(buf, atom);
    etf_put_u64(buf, number);
}

void results_put_error_atoms(struct buf *buf, const char *atom,
                             const char *detail)
{
    put_error_head(buf, atom);
    etf_put_atom(buf, detail);
}

void results_put_badarg(struct buf *buf, struct bytes what)
{
    results_put_error_raw(buf, "badarg", what);
}

void results_put_badarg_atom(struct buf *buf, const char *what)
{
    put_error_head(buf, "badarg");
    etf_put_atom(buf, what);
}

void results_put_sandbox_exists(struct buf *buf, const struct sandbox *sandbox)
{
    put_error_head(buf, "already_exists");
    results_put_sandbox(buf, sandbox);
}

void results_put_name_exists(struct buf *buf,
                             const struct registered_name *name)
{
    results_put_error_raw(buf, "already_exists", name->pid);
}

void results_put_stale_epoch(struct buf *buf, uint64_t current)
{
    results_put_error_number(buf, "stale_epoch", current);
}

void results_put_stale_version(struct buf *buf, uint64_t epoch, uint64_t seq)
{
    put_error_head(buf, "stale_version");
    put_pair(buf, epoch, seq);
}

/* --- Sandboxes ------------------------------------------------------------ */

static void put_sandbox_status(struct buf *buf, const struct sandbox *sandbox)
{
    switch (sandbox->status) {
    case SANDBOX_STARTING:
        etf_put_atom(buf, "starting");
        break;
    case SANDBOX_RUNNING:
        etf_put_atom(buf, sandbox->epoch == 0 ? "provisional" : "running");
        break;
    case SANDBOX_UNPLACED:
        etf_put_atom(buf, "unplaced");
        break;
    case SANDBOX_STOPPING:
        etf_put_atom(buf, "stopping");
        break;
    case SANDBOX_FAILED:
        etf_put_tuple(buf, 2);
        etf_put_atom(buf, "failed");
        put_raw_or_undefined(buf, sandbox->reason);
        break;
    }
}

static void put_sandbox_pairs(struct buf *buf, const struct sandbox *sandbox)
{
    const struct worker *worker = sandbox->worker;

    etf_put_atom(buf, "id");
    etf_put_binary(buf, sandbox->id);
    put_key_u64(buf, "epoch", sandbox->epoch);
    etf_put_atom(buf, "status");
    put_sandbox_status(buf, sandbox);
    put_key_node(buf, "worker",
                 worker != NULL ? worker->name : bytes_of(NULL, 0));
    etf_put_atom(buf, "pid");
    put_raw_or_undefined(buf, sandbox->pid);
}

void results_put_sandbox(struct buf *buf, const struct sandbox *sandbox)
{
    etf_put_map(buf, 5);
    put_sandbox_pairs(buf, sandbox);
}

void results_put_ok_sandbox(struct buf *buf, const struct sandbox *sandbox)
{
    results_put_ok_tuple(buf, 2);
    results_put_sandbox(buf, sandbox);
}

void results_put_local_sandbox(struct buf *buf, const struct sandbox *sandbox,
                               uint64_t applied_index)
{
    results_put_ok_tuple(buf, 2);
    etf_put_map(buf, 7);
    put_sandbox_pairs(buf, sandbox);
    put_key_atom(buf, "consistency", "local");
    put_key_u64(buf, "applied_index", applied_index);
}

void results_put_conflict(struct buf *buf, const struct copy *copy)
{
    etf_put_map(buf, 8);
    put_key_u64(buf, "copy", copy->number);
    etf_put_atom(buf, "id");
    etf_put_binary(buf, copy->id);
    put_key_u64(buf, "epoch", copy->epoch);
    put_key_u64(buf, "time", copy->time_s);
    put_key_u64(buf, "size", copy->size);
    put_key_atom(buf, "status",
                 copy->restore_epoch != 0 ? "restoring" : "kept");
    etf_put_atom(buf, "about");
    put_raw_or_undefined(buf, copy->about);
    etf_put_atom(buf, "outcome");
    put_raw_or_undefined(buf, copy->outcome);
}

/* --- Members and workers -------------------------------------------------- */

void results_put_node(struct buf *buf, struct bytes name)
{
    if (name.size > 0) {
        etf_put_atom_bytes(buf, name);
    } else {
        etf_put_atom(buf, "undefined");
    }
}

void results_put_nodes(struct buf *buf, const struct bytes *names, size_t count)
{
    ensure(count <= UINT32_MAX);
    if (count > 0) {
        etf_put_list(buf, (uint32_t)count);
    }
    for (size_t i = 0; i < count; i++) {
        results_put_node(buf, names[i]);
    }
    etf_put_nil(buf);
}

void results_put_status(struct buf *buf, const struct results_status *status)
{
    etf_put_map(buf, 22);
    put_key_node(buf, "name", status->name);
    etf_put_atom(buf, "version");
    etf_put_string_binary(buf, status->version);
    put_key_atom(buf, "role", status->role);
    put_key_node(buf, "leader", status->leader);
    put_key_u64(buf, "term", status->term);
    put_key_u64(buf, "commit_index", status->commit_index);
    put_key_u64(buf, "applied_index", status->applied_index);
    put_key_bool(buf, "quorum", status->has_quorum);
    put_key_u64(buf, "members", status->members);
    put_key_u64(buf, "members_up", status->members_up);
    put_key_u64(buf, "workers", status->workers);
    put_key_u64(buf, "workers_hung", status->workers_hung);
    put_key_u64(buf, "workers_killed", status->workers_killed);
    put_key_u64(buf, "sandboxes", status->sandboxes);
    put_key_u64(buf, "provisional", status->provisional);
    put_key_u64(buf, "conflict_copies", status->conflict_copies);
    put_key_u64(buf, "names", status->names);
    put_key_u64(buf, "uptime_ms", status->uptime_ms);
    put_key_u64(buf, "memory_bytes", status->memory_bytes);
    put_key_atom(buf, "consistency",
                 status->is_local ? "local" : "linearizable");
    etf_put_atom(buf, "links");
    etf_put_map(buf, 9);
    put_key_u64(buf, "up", status->links.up);
    put_key_u64(buf, "accepted", status->links.accepted);
    put_key_u64(buf, "handshakes_failed", status->links.handshakes_failed);
    put_key_u64(buf, "closed", status->links.closed);
    put_key_u64(buf, "silent", status->links.silent);
    put_key_u64(buf, "replaced", status->links.replaced);
    put_key_u64(buf, "cut_for_input", status->links.cut_for_input);
    put_key_u64(buf, "cut_for_unread", status->links.cut_for_unread);
    put_key_u64(buf, "cut_for_memory", status->links.cut_for_memory);
    etf_put_atom(buf, "snapshot");
    etf_put_map(buf, 6);
    put_key_u64(buf, "index", status->snapshot.index);
    put_key_u64(buf, "bytes", status->snapshot.bytes);
    put_key_u64(buf, "time", status->snapshot.time);
    put_key_u64(buf, "taken", status->snapshot.taken);
    put_key_u64(buf, "failed", status->snapshot.failed);
    put_key_u64(buf, "installed", status->snapshot.installed);
}

void results_put_member(struct buf *buf, const struct results_member *member)
{
    etf_put_map(buf, 5);
    put_key_node(buf, "name", member->name);
    put_key_bool(buf, "up", member->is_up);
    put_key_atom(buf, "role", member->role);
    put_key_atom(buf, "standing", member->standing);
    etf_put_atom(buf, "address");
    etf_put_string_binary(buf, member->address);
}

void results_put_worker(struct buf *buf, const struct results_worker *worker)
{
    const struct worker *record = worker->worker;

    etf_put_map(buf, 8);
    put_key_node(buf, "name", record->name);
    put_key_u64(buf, "lease", record->lease);
    put_key_node(buf, "member", worker->member);
    put_key_bool(buf, "up", worker->is_up);
    put_key_u64(buf, "sandboxes", record->sandbox_count);
    etf_put_atom(buf, "capacity");
    etf_put_map(buf, 3);
    put_key_u64(buf, "cpu", record->capacity.cpu);
    put_key_u64(buf, "memory", record->capacity.memory);
    put_key_u64(buf, "sandboxes", record->sandboxes_max);
    etf_put_atom(buf, "committed");
    etf_put_map(buf, 2);
    put_key_u64(buf, "cpu", record->committed.cpu);
    put_key_u64(buf, "memory", record->committed.memory);
    etf_put_atom(buf, "load");
    etf_put_map(buf, 2);
    put_key_u64(buf, "cpu", worker->cpu_load);
    put_key_u64(buf, "memory", worker->memory_load);
}

/* --- Names and states ----------------------------------------------------- */

void results_put_whereis(struct buf *buf, const struct registered_name *name)
{
    results_put_ok_tuple(buf, 3);
    etf_put_raw(buf, name->pid);
    etf_put_u64(buf, name->epoch);
}

void results_put_name(struct buf *buf, const struct registered_name *name)
{
    etf_put_map(buf, 4);
    etf_put_atom(buf, "name");
    etf_put_raw(buf, name->name);
    etf_put_atom(buf, "pid");
    etf_put_raw(buf, name->pid);
    put_key_u64(buf, "epoch", name->epoch);
    etf_put_atom(buf, "meta");
    etf_put_raw(buf, name->meta);
}

void results_put_ok_name(struct buf *buf, const struct registered_name *name)
{
    results_put_ok_tuple(buf, 2);
    results_put_name(buf, name);
}

void results_put_replicated(struct buf *buf, uint64_t epoch, uint64_t seq,
                            uint32_t replicas)
{
    results_put_ok_tuple(buf, 2);
    etf_put_map(buf, 3);
    etf_put_atom(buf, "version");
    put_pair(buf, epoch, seq);
    put_key_u64(buf, "replicas", replicas);
    put_key_atom(buf, "durability", "majority_disk");
}

void results_put_state(struct buf *buf, struct bytes state, uint64_t epoch,
                       uint64_t seq)
{
    results_begin_state(buf);
    etf_put_raw(buf, state);
    results_end_state(buf, epoch, seq);
}

void results_begin_state(struct buf *buf)
{
    results_put_ok_tuple(buf, 3);
}

void results_end_state(struct buf *buf, uint64_t epoch, uint64_t seq)
{
    put_pair(buf, epoch, seq);
}

/* --- Selection ------------------------------------------------------------ */

static void put_key_score(struct buf *buf, uint32_t score_milli)
{
    etf_put_atom(buf, "score");
    etf_put_double(buf, score_milli / 1000.0);
}

void results_put_selected(struct buf *buf,
                          const struct placement_candidate *candidates,
                          const struct bytes *names, size_t count,
                          size_t chosen)
{
    ensure(chosen < count);
    ensure(count <= UINT32_MAX);
    results_put_ok_tuple(buf, 2);
    etf_put_map(buf, 3);
    put_key_node(buf, "node", names[chosen]);
    put_key_score(buf, candidates[chosen].score_milli);
    etf_put_atom(buf, "candidates");
    etf_put_list(buf, (uint32_t)count);
    for (size_t i = 0; i < count; i++) {
        etf_put_map(buf, 3);
        put_key_node(buf, "node", names[i]);
        put_key_score(buf, candidates[i].score_milli);
        put_key_atom(buf, "verdict",
                     placement_verdict_name(candidates[i].verdict));
    }
    etf_put_nil(buf);
}

void results_put_no_capacity(struct buf *buf,
                             const struct placement_candidate *candidates,
                             size_t count)
{
    uint64_t counts[PLACEMENT_VERDICTS] = {0};
    uint32_t pairs = 0;

    for (size_t i = 0; i < count; i++) {
        ensure(candidates[i].verdict < PLACEMENT_VERDICTS);
        pairs += counts[candidates[i].verdict]++ == 0 ? 1 : 0;
    }
    put_error_head(buf, "no_capacity");
    etf_put_map(buf, pairs);
    for (int verdict = 0; verdict < PLACEMENT_VERDICTS; verdict++) {
        if (counts[verdict] > 0) {
            put_key_u64(buf,
                        placement_verdict_name((enum placement_verdict)verdict),
                        counts[verdict]);
        }
    }
}
