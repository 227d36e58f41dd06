/* SPDX-License-Identifier: Apache-2.0
 * Disks: writes reach them in order, or are lost together at a crash. */
#include "sim/cluster_internal.h"

#include <stdlib.h>
#include <string.h>

static void log_cut(struct cluster_log *log, size_t count)
{
    while (log->count > count) {
        log->count--;
        free(log->entries[log->count].data);
    }
}

uint64_t disk_last(const struct cluster_log *log)
{
    return log->base + log->count;
}

void disk_cut_start(struct cluster_log *log, uint64_t index)
{
    uint64_t end = index < disk_last(log) ? index : disk_last(log);
    size_t cut = end > log->base ? (size_t)(end - log->base) : 0;

    for (size_t i = 0; i < cut; i++) {
        free(log->entries[i].data);
    }
    if (cut > 0) {
        log->count -= cut;
        memmove(log->entries, log->entries + cut,
                log->count * sizeof(*log->entries));
        log->base = end;
    }
}

static void log_push(struct cluster_log *log, struct cluster_entry entry)
{
    if (log->count == log->capacity) {
        log->capacity = log->capacity * 2 + 16;
        log->entries = cluster_must(
            realloc(log->entries, log->capacity * sizeof(*log->entries)));
    }
    log->entries[log->count] = entry;
    log->count++;
}

void disk_log_free(struct cluster_log *log)
{
    log_cut(log, 0);
    free(log->entries);
    *log = (struct cluster_log){.count = 0};
}

void disk_write_begin(struct cluster *cluster, struct cluster_node *node,
                      const struct raft_persist *persist)
{
    struct cluster_write *write = cluster_must(calloc(1, sizeof(*write)));
    uint64_t done_ms =
        cluster->now_ms +
        rng_below(&cluster->rng, cluster->faults.disk_max_ms + 1);

    write->seq = persist->seq;
    write->term = persist->term;
    write->voted_for = persist->voted_for;
    write->truncate_from = persist->truncate_from;
    write->is_log_reset = persist->is_log_reset;
    write->base_index = persist->base_index;
    for (size_t i = 0; i < persist->entry_count; i++) {
        const struct raft_entry *entry = &persist->entries[i];

        log_push(&write->log,
                 (struct cluster_entry){.term = entry->term,
                                        .type = entry->type,
                                        .data = cluster_copy(entry->data),
                                        .size = entry->data.size});
    }
    if (node->writes_last == NULL) {
        node->writes_first = write;
    } else {
        node->writes_last->next = write;
    }
    node->writes_last = write;
    if (done_ms < node->write_done_ms) {
        done_ms = node->write_done_ms;
    }
    node->write_done_ms = done_ms;
    event_push(cluster, (struct cluster_event){.time_ms = done_ms,
                                               .type = EVENT_DISK,
                                               .node = (uint32_t)node->id - 1,
                                               .incarnation = node->incarnation,
                                               .seq = persist->seq});
}

void disk_write_end(struct cluster_node *node, bool is_kept)
{
    struct cluster_write *write = node->writes_first;

    node->writes_first = write->next;
    if (write->next == NULL) {
        node->writes_last = NULL;
    }
    if (is_kept) {
        node->term = write->term;
        node->voted_for = write->voted_for;
        if (write->is_log_reset) {
            log_cut(&node->log, 0);
            node->log.base = write->base_index;
        }
        if (write->truncate_from != 0) {
            log_cut(&node->log,
                    (size_t)(write->truncate_from - 1 - node->log.base));
        }
        for (size_t i = 0; i < write->log.count; i++) {
            log_push(&node->log, write->log.entries[i]);
        }
        write->log.count = 0; /* given to the disk */
    }
    disk_log_free(&write->log);
    free(write);
}
