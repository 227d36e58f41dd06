/* SPDX-License-Identifier: Apache-2.0
 * Records and the bytes that never change with them are one allocation: a
 * million sandboxes are a million blocks, not four. Only pid and reason, which
 * come and go, are blocks of their own. */
#include "registry/tables.h"

#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "registry/walk.h"

/* Copies `bytes` to *next, steps over it and gives the copy. */
static struct bytes copy_behind(uint8_t **next, struct bytes bytes)
{
    struct bytes copy = bytes_of(*next, bytes.size);

    if (bytes.size > 0) {
        memcpy(*next, bytes.data, bytes.size);
        *next += bytes.size;
    }
    return copy;
}

/* Struct bytes is a view of constant bytes; what is owned through one must be
 * freed all the same. */
static void drop_bytes(struct bytes *bytes)
{
    void *owned;

    memcpy(&owned, &bytes->data, sizeof(owned));
    mem_free(owned);
    *bytes = bytes_of(NULL, 0);
}

static int replace_bytes(struct bytes *bytes, struct bytes replacement)
{
    void *copy = NULL;

    if (replacement.size > 0) {
        copy = mem_copy(replacement.data, replacement.size);
        if (copy == NULL) {
            return ERR_NOMEM;
        }
    }
    drop_bytes(bytes);
    *bytes = bytes_of(copy, replacement.size);
    return 0;
}

int registry_add_worker(struct registry *registry, struct bytes name,
                        struct worker **ret_worker)
{
    struct worker *worker;
    uint8_t *next;
    int rv;

    ensure(name.size > 0);
    ensure(registry_worker(registry, name) == NULL);
    worker = mem_alloc(sizeof(*worker) + name.size);
    if (worker == NULL) {
        return ERR_NOMEM;
    }
    next = (uint8_t *)(worker + 1);
    worker->name = copy_behind(&next, name);
    list_init(&worker->sandboxes);
    list_init(&worker->names);
    rv = map_put(&registry->workers, worker->name, worker);
    if (rv != 0) {
        mem_free(worker);
        return rv;
    }
    *ret_worker = worker;
    return 0;
}

void registry_take_worker(struct registry *registry, struct worker *worker)
{
    ensure(list_is_empty(&worker->sandboxes));
    ensure(list_is_empty(&worker->names));
    ensure(map_remove(&registry->workers, worker->name) == worker);
}

void registry_free_worker(struct worker *worker)
{
    mem_free(worker);
}

/* To the end of a ring: order and ring agree. */
static void join_ring(struct registry *registry, struct list *ring,
                      struct sandbox *sandbox)
{
    registry->ring_order_last++;
    sandbox->ring_order = registry->ring_order_last;
    list_append(ring, &sandbox->worker_link);
}

static void join_owner(struct registry *registry, struct sandbox *sandbox,
                       struct worker *owner)
{
    ensure(sandbox->worker == NULL);
    ensure(sandbox->need.cpu <= UINT32_MAX - owner->committed.cpu);
    ensure(sandbox->need.memory <= UINT32_MAX - owner->committed.memory);
    sandbox->worker = owner;
    join_ring(registry, &owner->sandboxes, sandbox);
    owner->committed.cpu += sandbox->need.cpu;
    owner->committed.memory += sandbox->need.memory;
    owner->sandbox_count++;
}

static void leave_owner(struct sandbox *sandbox)
{
    struct worker *owner = sandbox->worker;

    ensure(owner != NULL);
    ensure(owner->sandbox_count > 0);
    list_remove(&sandbox->worker_link);
    sandbox->worker = NULL;
    owner->committed.cpu -= sandbox->need.cpu;
    owner->committed.memory -= sandbox->need.memory;
    owner->sandbox_count--;
}

static void leave_unplaced(struct registry *registry, struct sandbox *sandbox)
{
    ensure(sandbox->status == SANDBOX_UNPLACED);
    ensure(registry->unplaced_count > 0);
    list_remove(&sandbox->worker_link);
    registry->unplaced_count--;
}

static void join_unplaced(struct registry *registry, struct sandbox *sandbox)
{
    sandbox->status = SANDBOX_UNPLACED;
    join_ring(registry, &registry->unplaced[sandbox->priority], sandbox);
    registry->unplaced_count++;
}

/* In the table and in no ring; with what never changes, and how it begins. */
static int new_sandbox(struct registry *registry, const struct sandbox *values,
                       struct sandbox **ret_sandbox)
{
    struct bytes replicas = bytes_of(
        values->replicas, values->replica_count * sizeof(values->replicas[0]));
    struct sandbox *sandbox;
    uint8_t *next;
    int rv;

    ensure(values->id.size > 0);
    ensure(values->epoch != 0);
    ensure(values->replica_count <= REGISTRY_REPLICAS_MAX);
    ensure(values->priority <= REGISTRY_PRIORITY_MAX);
    sandbox = mem_alloc(sizeof(*sandbox) + replicas.size + values->id.size +
                        values->spec.size + values->options.size);
    if (sandbox == NULL) {
        return ERR_NOMEM;
    }
    /* The replicas first, where they are aligned. */
    sandbox->replicas = (const uint64_t *)(sandbox + 1);
    next = (uint8_t *)(sandbox + 1);
    (void)copy_behind(&next, replicas);
    sandbox->id = copy_behind(&next, values->id);
    sandbox->spec = copy_behind(&next, values->spec);
    sandbox->options = copy_behind(&next, values->options);
    sandbox->birth = values->birth;
    sandbox->epoch = values->epoch;
    sandbox->need = values->need;
    sandbox->status = SANDBOX_STARTING;
    sandbox->mode = registry_mode_of(sandbox->options);
    sandbox->priority = values->priority;
    sandbox->replica_count = values->replica_count;
    list_init(&sandbox->worker_link);
    rv = map_put(&registry->sandboxes, sandbox->id, sandbox);
    if (rv != 0) {
        mem_free(sandbox);
        return rv;
    }
    registry_walk_born(registry, &sandbox->item, false);
    *ret_sandbox = sandbox;
    return 0;
}

int registry_add_sandbox(struct registry *registry,
                         const struct sandbox *values, struct worker *owner,
                         struct sandbox **ret_sandbox)
{
    int rv;

    ensure(registry_sandbox(registry, values->id) == NULL);
    rv = new_sandbox(registry, values, ret_sandbox);
    if (rv == 0) {
        join_owner(registry, *ret_sandbox, owner);
    }
    return rv;
}

void registry_place_sandbox(struct registry *registry, struct sandbox *sandbox,
                            struct worker *owner, uint64_t epoch)
{
    ensure(epoch > sandbox->epoch);
    registry_walk_before_change(registry, &sandbox->item);
    leave_unplaced(registry, sandbox);
    join_owner(registry, sandbox, owner);
    sandbox->epoch = epoch;
    sandbox->status = SANDBOX_STARTING;
}

void registry_unplace_sandbox(struct registry *registry,
                              struct sandbox *sandbox)
{
    registry_walk_before_change(registry, &sandbox->item);
    leave_owner(sandbox);
    drop_bytes(&sandbox->pid);
    join_unplaced(registry, sandbox);
}

void registry_fail_sandbox(struct registry *registry, struct sandbox *sandbox)
{
    registry_walk_before_change(registry, &sandbox->item);
    if (sandbox->worker != NULL) {
        leave_owner(sandbox);
    } else {
        leave_unplaced(registry, sandbox);
    }
    sandbox->ring_order = 0;
    drop_bytes(&sandbox->pid);
    sandbox->status = SANDBOX_FAILED;
}

void registry_revive_sandbox(struct registry *registry, struct sandbox *sandbox)
{
    ensure(sandbox->status == SANDBOX_FAILED);
    registry_walk_before_change(registry, &sandbox->item);
    join_unplaced(registry, sandbox);
}

void registry_lone_replica(struct registry *registry, struct sandbox *sandbox,
                           uint64_t member)
{
    if (sandbox->replica_count > 0) {
        registry_walk_before_change(registry, &sandbox->item);
        /* They lie behind the structure, where new_sandbox() put them. */
        memcpy(sandbox + 1, &member, sizeof(member));
        sandbox->replica_count = 1;
    }
}

int registry_run_sandbox(struct registry *registry, struct sandbox *sandbox,
                         struct bytes pid)
{
    int rv;

    ensure(sandbox->worker != NULL);
    ensure(pid.size > 0);
    registry_walk_before_change(registry, &sandbox->item);
    rv = replace_bytes(&sandbox->pid, pid);
    if (rv == 0) {
        sandbox->status = SANDBOX_RUNNING;
    }
    return rv;
}

void registry_stop_sandbox(struct registry *registry, struct sandbox *sandbox)
{
    ensure(sandbox->worker != NULL);
    registry_walk_before_change(registry, &sandbox->item);
    drop_bytes(&sandbox->pid);
    sandbox->status = SANDBOX_STOPPING;
}

int registry_put_failures(struct registry *registry, struct sandbox *sandbox,
                          uint8_t failures, struct bytes reason)
{
    int rv;

    registry_walk_before_change(registry, &sandbox->item);
    rv = replace_bytes(&sandbox->reason, reason);
    if (rv == 0) {
        sandbox->failures = failures;
    }
    return rv;
}

void registry_take_sandbox(struct registry *registry, struct sandbox *sandbox)
{
    registry_walk_before_end(registry, &sandbox->item);
    if (sandbox->worker != NULL) {
        leave_owner(sandbox);
    } else if (sandbox->status == SANDBOX_UNPLACED) {
        leave_unplaced(registry, sandbox);
    }
    ensure(map_remove(&registry->sandboxes, sandbox->id) == sandbox);
}

void registry_free_sandbox(struct sandbox *sandbox)
{
    if (sandbox != NULL) {
        drop_bytes(&sandbox->pid);
        drop_bytes(&sandbox->reason);
        mem_free(sandbox);
    }
}

static int new_name(struct registry *registry,
                    const struct registered_name *values,
                    struct registered_name **ret_name)
{
    struct registered_name *name;
    uint8_t *next;
    int rv;

    ensure(values->name.size > 0);
    name = mem_alloc(sizeof(*name) + values->name.size + values->pid.size +
                     values->meta.size);
    if (name == NULL) {
        return ERR_NOMEM;
    }
    next = (uint8_t *)(name + 1);
    name->name = copy_behind(&next, values->name);
    name->pid = copy_behind(&next, values->pid);
    name->meta = copy_behind(&next, values->meta);
    name->epoch = values->epoch;
    list_init(&name->worker_link);
    rv = map_put(&registry->names, name->name, name);
    if (rv != 0) {
        mem_free(name);
        return rv;
    }
    registry_walk_born(registry, &name->item, true);
    *ret_name = name;
    return 0;
}

int registry_add_name(struct registry *registry,
                      const struct registered_name *values,
                      struct worker *owner, struct registered_name **ret_name)
{
    int rv;

    ensure(registry_name(registry, values->name) == NULL);
    rv = new_name(registry, values, ret_name);
    if (rv == 0) {
        registry->ring_order_last++;
        (*ret_name)->ring_order = registry->ring_order_last;
        (*ret_name)->worker = owner;
        list_append(&owner->names, &(*ret_name)->worker_link);
    }
    return rv;
}

void registry_take_name(struct registry *registry, struct registered_name *name)
{
    registry_walk_before_end(registry, &name->item);
    list_remove(&name->worker_link);
    name->worker = NULL;
    ensure(map_remove(&registry->names, name->name) == name);
}

void registry_free_name(struct registered_name *name)
{
    mem_free(name);
}

int registry_restore_sandbox(struct registry *registry,
                             const struct sandbox *values)
{
    struct bytes pid = bytes_of(NULL, 0);
    struct bytes reason = bytes_of(NULL, 0);
    struct sandbox *sandbox;
    int rv;

    if (registry_sandbox(registry, values->id) != NULL) {
        return ERR_EXISTS;
    }
    rv = replace_bytes(&pid, values->pid);
    rv = rv == 0 ? replace_bytes(&reason, values->reason) : rv;
    rv = rv == 0 ? new_sandbox(registry, values, &sandbox) : rv;
    if (rv != 0) {
        drop_bytes(&pid);
        drop_bytes(&reason);
        return rv;
    }
    sandbox->pid = pid;
    sandbox->reason = reason;
    sandbox->status = values->status;
    sandbox->failures = values->failures;
    sandbox->ring_order = values->ring_order;
    sandbox->worker = values->worker;
    sandbox->is_restoring = values->is_restoring;
    return 0;
}

int registry_restore_name(struct registry *registry,
                          const struct registered_name *values)
{
    struct registered_name *name;
    int rv;

    if (registry_name(registry, values->name) != NULL) {
        return ERR_EXISTS;
    }
    rv = new_name(registry, values, &name);
    if (rv == 0) {
        name->ring_order = values->ring_order;
        name->worker = values->worker;
    }
    return rv;
}
