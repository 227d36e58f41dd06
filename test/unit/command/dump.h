/* SPDX-License-Identifier: Apache-2.0
 * A registry, or a whole machine, as text, the same for the same content:
 * tables by key, rings in their order. */
#ifndef QUORATE_TEST_COMMAND_DUMP_H
#define QUORATE_TEST_COMMAND_DUMP_H

#include "base/buf.h"
#include "command/command.h"
#include "lib/test.h"
#include "registry/copies.h"
#include "registry/registry.h"

#include <inttypes.h>
#include <stdlib.h>

/* All three records are compared by the key that the map slot has. */
static inline int compare_slots(const void *a, const void *b)
{
    const struct map_slot *left = a;
    const struct map_slot *right = b;

    return bytes_compare(left->key, right->key);
}

/* The slots in use, in the order of their keys; the caller frees. */
static inline struct map_slot *sorted_slots(const struct map *map)
{
    struct map_slot *slots = calloc(map->count + 1, sizeof(*slots));
    size_t count = 0;

    assert_non_null(slots);
    for (size_t i = 0; i < map->slot_count; i++) {
        if (map->slots[i].value != NULL) {
            slots[count++] = map->slots[i];
        }
    }
    assert_int_equal(count, map->count);
    qsort(slots, count, sizeof(*slots), compare_slots);
    return slots;
}

static inline void dump_bytes(struct buf *out, const char *label,
                              struct bytes bytes)
{
    buf_printf(out, " %s=", label);
    buf_put_bytes(out, bytes);
}

static inline void dump_worker(struct buf *out, const struct worker *worker)
{
    dump_bytes(out, "worker", worker->name);
    dump_bytes(out, "incarnation",
               bytes_of(worker->incarnation, REGISTRY_INCARNATION_SIZE));
    buf_printf(
        out,
        " lease=%" PRIu64 " renewed=%" PRIu64 "@%" PRIu64 " member=%" PRIu64
        " term=%u capacity=%u/%u/%u committed=%u/%u/%u\n",
        worker->lease, worker->renewed_index, worker->renewed_clock,
        worker->member, worker->term_ms, worker->capacity.cpu,
        worker->capacity.memory, worker->sandboxes_max, worker->committed.cpu,
        worker->committed.memory, worker->sandbox_count);
    LIST_FOREACH (node, &worker->sandboxes) {
        dump_bytes(out, "owns",
                   LIST_ENTRY(node, struct sandbox, worker_link)->id);
    }
    LIST_FOREACH (node, &worker->names) {
        dump_bytes(out, "named",
                   LIST_ENTRY(node, struct registered_name, worker_link)->name);
    }
}

static inline void dump_sandbox(struct buf *out, const struct sandbox *sandbox)
{
    dump_bytes(out, "id", sandbox->id);
    dump_bytes(out, "spec", sandbox->spec);
    dump_bytes(out, "options", sandbox->options);
    dump_bytes(out, "pid", sandbox->pid);
    dump_bytes(out, "reason", sandbox->reason);
    dump_bytes(out, "owner",
               sandbox->worker == NULL ? bytes_of(NULL, 0)
                                       : sandbox->worker->name);
    buf_printf(out,
               " birth=%" PRIu64 " epoch=%" PRIu64 " order=%" PRIu64
               " need=%u/%u status=%d failures=%u priority=%u replicas=%u",
               sandbox->birth, sandbox->epoch, sandbox->ring_order,
               sandbox->need.cpu, sandbox->need.memory, (int)sandbox->status,
               sandbox->failures, sandbox->priority, sandbox->replica_count);
    for (size_t i = 0; i < sandbox->replica_count; i++) {
        buf_printf(out, ",%" PRIu64, sandbox->replicas[i]);
    }
    buf_printf(out, " restoring=%d\n", (int)sandbox->is_restoring);
}

static inline void dump_copy(struct buf *out, const struct copy *copy)
{
    dump_bytes(out, "copy", copy->id);
    dump_bytes(out, "about", copy->about);
    dump_bytes(out, "outcome", copy->outcome);
    buf_printf(out,
               " number=%" PRIu64 " epoch=%" PRIu64 " time=%" PRIu64
               " size=%" PRIu64 " restore=%" PRIu64 " how=%d replicas=%u",
               copy->number, copy->epoch, copy->time_s, copy->size,
               copy->restore_epoch, (int)copy->how, copy->replica_count);
    for (size_t i = 0; i < copy->replica_count; i++) {
        buf_printf(out, ",%" PRIu64, copy->replicas[i]);
    }
    buf_printf(out, "\n");
}

static inline void dump_name(struct buf *out,
                             const struct registered_name *name)
{
    dump_bytes(out, "name", name->name);
    dump_bytes(out, "pid", name->pid);
    dump_bytes(out, "meta", name->meta);
    dump_bytes(out, "owner", name->worker->name);
    buf_printf(out, " epoch=%" PRIu64 "\n", name->epoch);
}

static inline void dump_registry(struct buf *out,
                                 const struct registry *registry)
{
    struct map_slot *slots = sorted_slots(&registry->workers);

    for (size_t i = 0; i < registry->workers.count; i++) {
        dump_worker(out, slots[i].value);
    }
    free(slots);
    slots = sorted_slots(&registry->sandboxes);
    for (size_t i = 0; i < registry->sandboxes.count; i++) {
        dump_sandbox(out, slots[i].value);
    }
    free(slots);
    slots = sorted_slots(&registry->names);
    for (size_t i = 0; i < registry->names.count; i++) {
        dump_name(out, slots[i].value);
    }
    free(slots);
    for (size_t i = 0; i <= REGISTRY_PRIORITY_MAX; i++) {
        LIST_FOREACH (node, &registry->unplaced[i]) {
            dump_bytes(out, "unplaced",
                       LIST_ENTRY(node, struct sandbox, worker_link)->id);
        }
    }
    buf_printf(out, " unplaced_count=%u copy_number=%" PRIu64 "\n",
               registry->unplaced_count, registry->copy_number_last);
    LIST_FOREACH (node, &registry->copies) {
        dump_copy(out, LIST_ENTRY(node, struct copy, link));
    }
    assert_int_equal(buf_error(out), 0);
}

static inline void dump_sessions(struct buf *out,
                                 const struct sessions *sessions)
{
    for (uint32_t i = 0; i < sessions->count; i++) {
        const struct session *session = &sessions->items[i];

        buf_printf(out,
                   "session %" PRIu64 " %" PRIu64 " nonce=%" PRIu64
                   " used=%" PRIu64 " newest=%" PRIu64 "\n",
                   session->member, session->index, session->nonce,
                   session->used_index, session->newest);
        for (uint32_t j = 0; j < session->capacity; j++) {
            const struct session_outcome *outcome = &session->window[j];

            if (outcome->number != 0) {
                buf_printf(out, " %" PRIu64 ":%" PRIu64 ",%" PRIu64 ",%d",
                           outcome->number, outcome->index, outcome->epoch,
                           outcome->rv);
            }
        }
    }
}

/* All of a machine, down to numbers that decide what comes later. */
static inline void dump_machine(struct buf *out,
                                const struct command_machine *machine)
{
    const struct directory *directory = &machine->directory;

    buf_printf(out,
               "applied=%" PRIu64 " burnt=%" PRIu64 " order=%" PRIu64
               " directory=%" PRIu64 "\n",
               machine->applied_index, machine->burnt_index,
               machine->registry.ring_order_last, directory->index);
    for (uint32_t i = 0; i < directory->count; i++) {
        buf_printf(out, "member %" PRIu64 " %" PRIu64 " %s %s\n",
                   directory->entries[i].id, directory->entries[i].instance,
                   directory->entries[i].name, directory->entries[i].address);
    }
    dump_sessions(out, &machine->sessions);
    dump_registry(out, &machine->registry);
}

#endif
