/* SPDX-License-Identifier: Apache-2.0
 * Look-up, end, and the invariants. Changes are in tables.c. */
#include "registry/registry.h"

#include "base/ensure.h"
#include "etf/reader.h"
#include "registry/copies.h"
#include "registry/tables.h"
#include "registry/walk.h"

static void init_unplaced(struct registry *registry)
{
    for (size_t i = 0; i <= REGISTRY_PRIORITY_MAX; i++) {
        list_init(&registry->unplaced[i]);
    }
}

void registry_init(struct registry *registry, uint64_t seed)
{
    *registry = (struct registry){0};
    map_init(&registry->workers, REGISTRY_WORKERS_MAX, seed);
    map_init(&registry->sandboxes, REGISTRY_SANDBOXES_MAX, seed + 1);
    map_init(&registry->names, REGISTRY_NAMES_MAX, seed + 2);
    init_unplaced(registry);
    list_init(&registry->copies);
    registry_walk_init(&registry->walk);
}

void registry_close(struct registry *registry)
{
    size_t position;
    void *value;

    if (registry == NULL) {
        return;
    }
    position = 0;
    while ((value = map_next(&registry->names, &position)) != NULL) {
        registry_free_name(value);
    }
    position = 0;
    while ((value = map_next(&registry->sandboxes, &position)) != NULL) {
        registry_free_sandbox(value);
    }
    position = 0;
    while ((value = map_next(&registry->workers, &position)) != NULL) {
        registry_free_worker(value);
    }
    registry_free_copies(registry);
    map_close(&registry->names);
    map_close(&registry->sandboxes);
    map_close(&registry->workers);
    init_unplaced(registry);
    registry->unplaced_count = 0;
    registry_walk_init(&registry->walk);
}

void registry_move(struct registry *to, struct registry *from)
{
    ensure(from->walk.visit == NULL);
    *to = *from;
    init_unplaced(to);
    list_init(&to->copies);
    list_init(&to->walk.seen);
    list_init(&to->walk.waiting);
    for (size_t i = 0; i <= REGISTRY_PRIORITY_MAX; i++) {
        list_append_all(&to->unplaced[i], &from->unplaced[i]);
    }
    list_append_all(&to->copies, &from->copies);
    list_append_all(&to->walk.seen, &from->walk.seen);
    registry_init(from, 0);
}

struct worker *registry_worker(const struct registry *registry,
                               struct bytes name)
{
    return map_get(&registry->workers, name);
}

struct sandbox *registry_sandbox(const struct registry *registry,
                                 struct bytes id)
{
    return map_get(&registry->sandboxes, id);
}

struct registered_name *registry_name(const struct registry *registry,
                                      struct bytes name)
{
    return map_get(&registry->names, name);
}

bool registry_status_has_owner(enum sandbox_status status)
{
    switch (status) {
    case SANDBOX_STARTING:
    case SANDBOX_RUNNING:
    case SANDBOX_STOPPING:
        return true;
    case SANDBOX_UNPLACED:
    case SANDBOX_FAILED:
        return false;
    }
    unreachable();
}

enum sandbox_mode registry_mode_of(struct bytes options)
{
    struct etf_reader reader = etf_reader_of(options);
    uint32_t pairs;
    int rv = etf_read_map(&reader, &pairs);

    for (uint32_t i = 0; rv == 0 && i < pairs; i++) {
        if (etf_take_atom(&reader, "mode")) {
            return etf_take_atom(&reader, "available") ? SANDBOX_AVAILABLE
                                                       : SANDBOX_STRONG;
        }
        rv = etf_skip(&reader);
        rv = rv == 0 ? etf_skip(&reader) : rv;
    }
    return SANDBOX_STRONG;
}

const char *registry_mode_name(enum sandbox_mode mode)
{
    return mode == SANDBOX_AVAILABLE ? "available" : "strong";
}

bool registry_replicas_are_valid(const uint64_t *replicas, size_t count)
{
    if (count > REGISTRY_REPLICAS_MAX) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (replicas[i] == 0) {
            return false;
        }
        for (size_t j = 0; j < i; j++) {
            if (replicas[i] == replicas[j]) {
                return false;
            }
        }
    }
    return true;
}

/* What is true of a sandbox on its own. */
static void check_sandbox(const struct sandbox *sandbox)
{
    ensure(sandbox->id.size >= 1);
    ensure(sandbox->id.size <= REGISTRY_ID_SIZE_MAX);
    ensure(sandbox->spec.size <= REGISTRY_SPEC_SIZE_MAX);
    ensure(sandbox->options.size <= REGISTRY_OPTIONS_SIZE_MAX);
    ensure(sandbox->pid.size <= REGISTRY_PID_SIZE_MAX);
    ensure(sandbox->reason.size <= REGISTRY_REASON_SIZE_MAX);
    ensure(sandbox->birth > 0);
    ensure(sandbox->birth <= sandbox->epoch);
    ensure(sandbox->replica_count <= REGISTRY_REPLICAS_MAX);
    ensure((sandbox->worker != NULL) ==
           registry_status_has_owner(sandbox->status));
    ensure((sandbox->pid.size > 0) == (sandbox->status == SANDBOX_RUNNING));
    ensure((sandbox->ring_order == 0) == (sandbox->status == SANDBOX_FAILED));
    if (sandbox->status == SANDBOX_FAILED) {
        ensure(list_is_empty(&sandbox->worker_link));
        ensure(!sandbox->is_restoring);
    }
}

/* Gives the number of sandboxes in its ring; the sums must be exact. */
static size_t check_owned(const struct worker *worker)
{
    uint64_t cpu = 0;
    uint64_t memory = 0;
    uint64_t order = 0;
    size_t count = 0;

    LIST_FOREACH (node, &worker->sandboxes) {
        const struct sandbox *sandbox =
            LIST_ENTRY(node, struct sandbox, worker_link);

        ensure(sandbox->worker == worker);
        ensure(sandbox->ring_order > order);
        order = sandbox->ring_order;
        cpu += sandbox->need.cpu;
        memory += sandbox->need.memory;
        count++;
    }
    ensure(count == worker->sandbox_count);
    ensure(cpu == worker->committed.cpu);
    ensure(memory == worker->committed.memory);
    return count;
}

static size_t check_names(const struct worker *worker)
{
    uint64_t order = 0;
    size_t count = 0;

    LIST_FOREACH (node, &worker->names) {
        const struct registered_name *name =
            LIST_ENTRY(node, struct registered_name, worker_link);

        ensure(name->worker == worker);
        ensure(name->ring_order > order);
        order = name->ring_order;
        ensure(name->epoch > 0);
        count++;
    }
    return count;
}

/* Gives how many sandboxes and names the workers own together. */
static void check_workers(const struct registry *registry,
                          size_t *ret_sandbox_count, size_t *ret_name_count)
{
    const struct worker *worker;
    size_t position = 0;

    *ret_sandbox_count = 0;
    *ret_name_count = 0;
    while ((worker = map_next(&registry->workers, &position)) != NULL) {
        ensure(worker->name.size >= 1);
        ensure(worker->name.size <= REGISTRY_NODE_SIZE_MAX);
        ensure(registry_worker(registry, worker->name) == worker);
        ensure(worker->lease <= worker->renewed_index);
        if (worker->lease == 0) {
            ensure(list_is_empty(&worker->sandboxes));
            ensure(list_is_empty(&worker->names));
        }
        *ret_sandbox_count += check_owned(worker);
        *ret_name_count += check_names(worker);
    }
}

static size_t check_unplaced(const struct registry *registry, size_t priority)
{
    uint64_t order = 0;
    size_t count = 0;

    LIST_FOREACH (node, &registry->unplaced[priority]) {
        const struct sandbox *sandbox =
            LIST_ENTRY(node, struct sandbox, worker_link);

        ensure(sandbox->status == SANDBOX_UNPLACED);
        ensure(sandbox->priority == priority);
        ensure(sandbox->ring_order > order);
        order = sandbox->ring_order;
        count++;
    }
    ensure(order <= registry->ring_order_last);
    return count;
}

/* Every sandbox and name is in one of the rings of the walk. */
static void check_walk(const struct registry *registry)
{
    const struct registry_walk *walk = &registry->walk;
    size_t count = 0;

    LIST_FOREACH (link, &walk->seen) {
        count++;
    }
    LIST_FOREACH (link, &walk->waiting) {
        ensure(LIST_ENTRY(link, struct registry_item, link)->round !=
               walk->round);
        count++;
    }
    ensure(walk->visit != NULL || list_is_empty(&walk->waiting));
    ensure(count == registry->sandboxes.count + registry->names.count);
}

void registry_check(const struct registry *registry)
{
    const struct sandbox *sandbox;
    const struct registered_name *name;
    size_t owned_count;
    size_t named_count;
    size_t unplaced_count = 0;
    size_t failed_count = 0;
    size_t position = 0;

    check_workers(registry, &owned_count, &named_count);
    for (size_t i = 0; i <= REGISTRY_PRIORITY_MAX; i++) {
        unplaced_count += check_unplaced(registry, i);
    }
    ensure(unplaced_count == registry->unplaced_count);
    check_walk(registry);
    registry_check_copies(registry);
    while ((sandbox = map_next(&registry->sandboxes, &position)) != NULL) {
        ensure(registry_sandbox(registry, sandbox->id) == sandbox);
        check_sandbox(sandbox);
        failed_count += sandbox->status == SANDBOX_FAILED;
    }
    ensure(owned_count + registry->unplaced_count + failed_count ==
           registry->sandboxes.count);
    position = 0;
    while ((name = map_next(&registry->names, &position)) != NULL) {
        ensure(registry_name(registry, name->name) == name);
        ensure(name->worker != NULL);
    }
    ensure(named_count == registry->names.count);
}
