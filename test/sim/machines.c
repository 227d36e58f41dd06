/* SPDX-License-Identifier: Apache-2.0 */
#include "sim/machines.h"

#include "base/err.h"
#include "command/command_restore.h"
#include "command/command_snapshot.h"
#include "sim/cluster_internal.h"
#include "sim/owners.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { STATE_EVERY = 16, STATE_SIZE_MAX = 1 << 20 };

static uint64_t mix(uint64_t hash, uint64_t value)
{
    hash = (hash ^ value) * UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

static uint64_t mix_bytes(uint64_t hash, struct bytes bytes)
{
    uint64_t word = 0;

    for (size_t i = 0; i < bytes.size; i++) {
        word = word << 8 | bytes.data[i];
        if (i % 8 == 7) {
            hash = mix(hash, word);
            word = 0;
        }
    }
    return mix(mix(hash, word), bytes.size);
}

/* --- The whole state ----------------------------------------------------- */

static uint64_t hash_worker(const struct worker *worker)
{
    uint64_t hash = mix_bytes(1, worker->name);

    hash = mix_bytes(hash,
                     bytes_of(worker->incarnation, REGISTRY_INCARNATION_SIZE));
    hash = mix(hash, worker->lease);
    hash = mix(hash, worker->renewed_index);
    hash = mix(hash, worker->renewed_clock);
    hash = mix(hash, worker->member);
    LIST_FOREACH (item, &worker->sandboxes) {
        hash =
            mix_bytes(hash, LIST_ENTRY(item, struct sandbox, worker_link)->id);
    }
    LIST_FOREACH (item, &worker->names) {
        hash = mix_bytes(
            hash, LIST_ENTRY(item, struct registered_name, worker_link)->name);
    }
    return hash;
}

static uint64_t hash_sandbox(const struct sandbox *sandbox)
{
    uint64_t hash = mix_bytes(2, sandbox->id);

    hash = mix_bytes(hash, sandbox->pid);
    hash = mix_bytes(hash, sandbox->reason);
    hash = mix(hash, sandbox->birth);
    hash = mix(hash, sandbox->epoch);
    hash = mix(hash, (uint64_t)sandbox->status);
    hash = mix(hash, sandbox->failures);
    return sandbox->worker == NULL ? hash
                                   : mix_bytes(hash, sandbox->worker->name);
}

static uint64_t hash_name(const struct registered_name *name)
{
    uint64_t hash = mix_bytes(3, name->name);

    return mix(mix_bytes(hash, name->pid), name->epoch);
}

static uint64_t hash_sessions(const struct sessions *sessions)
{
    uint64_t hash = 4;

    for (uint32_t i = 0; i < sessions->count; i++) {
        const struct session *session = &sessions->items[i];

        hash = mix(hash, session->member);
        hash = mix(hash, session->index);
        hash = mix(hash, session->newest);
        hash = mix(hash, session->used_index);
        for (uint32_t j = 0; j < session->capacity; j++) {
            if (session->window[j].number != 0) {
                hash = mix(hash, session->window[j].number);
                hash = mix(hash, session->window[j].index);
                hash = mix(hash, session->window[j].epoch);
                hash = mix(hash, (uint64_t)session->window[j].rv);
            }
        }
    }
    return hash;
}

/* The order of the tables is another one on each node: so sums. */
static uint64_t hash_state(const struct command_machine *machine)
{
    const struct registry *registry = &machine->registry;
    uint64_t hash = hash_sessions(&machine->sessions);
    const void *item;
    uint64_t sum = 0;
    size_t position = 0;

    while ((item = map_next(&registry->workers, &position)) != NULL) {
        sum += hash_worker(item);
    }
    position = 0;
    while ((item = map_next(&registry->sandboxes, &position)) != NULL) {
        sum += hash_sandbox(item);
    }
    position = 0;
    while ((item = map_next(&registry->names, &position)) != NULL) {
        sum += hash_name(item);
    }
    for (size_t i = 0; i <= REGISTRY_PRIORITY_MAX; i++) {
        LIST_FOREACH (unplaced, &registry->unplaced[i]) {
            hash = mix_bytes(
                hash, LIST_ENTRY(unplaced, struct sandbox, worker_link)->id);
        }
    }
    return mix(mix(hash, sum), machine->burnt_index);
}

/* --- Life ---------------------------------------------------------------- */

static void on_event(void *arg, const struct command_event *event)
{
    struct cluster_machine *machine = arg;
    uint64_t chain = mix(machine->chain, (uint64_t)event->type);

    if (event->worker != NULL) {
        chain = mix_bytes(chain, event->worker->name);
    }
    if (event->sandbox != NULL) {
        chain = mix_bytes(chain, event->sandbox->id);
        chain = mix(chain, event->sandbox->epoch);
    }
    if (event->name != NULL) {
        chain = mix_bytes(chain, event->name->name);
    }
    machine->chain = chain;
    owners_event(machine, event);
}

static void restore(struct cluster *cluster, struct cluster_node *node,
                    struct bytes bytes)
{
    struct cluster_machine *machine = node->machine;
    struct command_restore restore;
    int rv;

    command_restore_begin(&restore, &machine->machine, rng_next(&cluster->rng));
    rv = command_restore_feed(&restore, bytes);
    rv = rv == 0 ? command_restore_finish(&restore) : rv;
    command_restore_close(&restore);
    if (rv != 0) {
        cluster_fail(cluster,
                     "node %" PRIu64 " cannot restore the state at %" PRIu64
                     ": %s",
                     node->id, node->snapshot.about.index, err_text(rv));
    }
}

void machine_open(struct cluster *cluster, struct cluster_node *node)
{
    struct cluster_machine *machine = node->machine;
    struct cursor head;
    struct bytes state;
    uint64_t index = node->snapshot.about.index;
    uint64_t hash = 0;
    int rv;

    if (machine == NULL) {
        machine = cluster_must(calloc(1, sizeof(*machine)));
        node->machine = machine;
    } else {
        command_machine_close(&machine->machine);
    }
    *machine = (struct cluster_machine){.cluster = cluster, .node = node};
    if (index == 0) {
        command_machine_init(&machine->machine, rng_next(&cluster->rng),
                             on_event, machine);
        return;
    }
    head = cursor_of(snapshot_state(&node->snapshot));
    rv = cursor_u64(&head, &machine->chain);
    rv = rv == 0 ? cursor_u64(&head, &hash) : rv;
    rv = rv == 0 ? cursor_take(&head, cursor_left(&head), &state) : rv;
    if (rv != 0) {
        abort();
    }
    restore(cluster, node, state);
    machine->machine.event_cb = on_event;
    machine->machine.event_arg = machine;
    if (cluster->failure[0] == '\0' && hash_state(&machine->machine) != hash) {
        cluster_fail(cluster,
                     "node %" PRIu64 " restores another state than was saved "
                     "at %" PRIu64,
                     node->id, index);
    }
    owners_restored(machine);
}

void machine_close(struct cluster_node *node)
{
    if (node->machine != NULL) {
        command_machine_close(&node->machine->machine);
        free(node->machine);
        node->machine = NULL;
    }
}

void machine_save(struct cluster_node *node, struct buf *bytes)
{
    struct cluster_machine *machine = node->machine;
    struct command_snapshot snapshot;
    int rv;

    buf_put_u64(bytes, machine->chain);
    buf_put_u64(bytes, hash_state(&machine->machine));
    command_snapshot_init(&snapshot);
    rv = command_snapshot_begin(&snapshot, &machine->machine, STATE_SIZE_MAX);
    rv = rv == 0 ? command_snapshot_make(&snapshot, STATE_SIZE_MAX) : rv;
    if (rv != 0 || !snapshot.is_whole) {
        abort();
    }
    buf_put_bytes(bytes, buf_bytes(&snapshot.bytes));
    command_snapshot_close(&snapshot);
}

/* --- Applying ------------------------------------------------------------ */

static void apply_command(struct cluster_machine *machine, uint64_t index,
                          const struct command *command)
{
    struct command_result result;
    uint64_t chain;

    if (command_apply(&machine->machine, index, command, &result) != 0) {
        abort();
    }
    chain = mix(machine->chain, (uint64_t)(int64_t)result.rv);
    chain = mix(chain, result.index);
    chain = mix(chain, result.epoch);
    machine->chain = mix(chain, result.is_repeated ? 1 : 0);
    if (machine->is_first) {
        clients_applied(machine->cluster, index, command, &result);
    }
    if (result.rv != 0) {
        owners_refused(machine, command, result.rv);
    }
}

static void compare(struct cluster *cluster, const struct cluster_node *node,
                    uint64_t index, bool is_first)
{
    struct cluster_committed *committed = &cluster->committed[index - 1];
    const struct cluster_machine *machine = node->machine;
    bool is_whole = index % STATE_EVERY == 0;
    uint64_t state = is_whole ? hash_state(&machine->machine) : 0;

    if (is_whole) {
        registry_check(&machine->machine.registry);
        sessions_check(&machine->machine.sessions);
    }
    if (is_first) {
        committed->chain = machine->chain;
        committed->state = state;
    } else if (committed->chain != machine->chain ||
               committed->state != state) {
        cluster_fail(cluster,
                     "node %" PRIu64 " comes to another state at %" PRIu64,
                     node->id, index);
    }
}

void machine_apply(struct cluster *cluster, struct cluster_node *node,
                   const struct raft_entry *entry, bool is_first)
{
    struct cluster_machine *machine = node->machine;
    struct cursor batch = cursor_of(entry->data);
    struct command command;
    int rv = ERR_NOT_FOUND;

    machine->is_first = is_first;
    /* Other entries are texts: no batch begins so. */
    if (entry->type == RAFT_ENTRY_COMMAND && entry->data.size > 0 &&
        entry->data.data[0] == 0) {
        while ((rv = command_decode(&batch, &command)) == 0) {
            apply_command(machine, entry->index, &command);
        }
    }
    if (rv != ERR_NOT_FOUND) {
        cluster_fail(cluster, "the batch at %" PRIu64 " is none: %s",
                     entry->index, err_text(rv));
    }
    machine->machine.applied_index = entry->index;
    compare(cluster, node, entry->index, is_first);
}

/* --- Registers ----------------------------------------------------------- */

struct bytes machine_register_name(uint64_t reg)
{
    static const char *const names[CLIENT_REGISTERS] = {"r0", "r1", "r2"};

    return bytes_of_string(names[reg]);
}

uint64_t machine_register(const struct cluster_node *node, uint64_t reg)
{
    const struct registered_name *name = registry_name(
        &node->machine->machine.registry, machine_register_name(reg));
    struct cursor cursor;
    uint64_t value = 0;

    if (name != NULL) {
        cursor = cursor_of(name->pid);
        if (cursor_u64(&cursor, &value) != 0) {
            abort();
        }
    }
    return value;
}
