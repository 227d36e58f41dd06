/* SPDX-License-Identifier: Apache-2.0
 * Disks: the production code of the log writes to simulated files (storage.h).
 * Of its parts only the thread is left out: what it does is done here, at once,
 * and virtual time passes afterwards.
 *
 *   core ──> queue ──> wal_writer_run() ──> files ··· EVENT_DISK ──> core */
#include "base/err.h"
#include "sim/cluster_internal.h"
#include "sim/files.h"
#include "store/wal_recover.h"
#include "store/wal_writer.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { RETRY_MS = 20, QUEUE_SIZE_MAX = 1 << 30 };

/* A bit that turned over. */
struct damage {
    int file;
    size_t offset;
    uint8_t mask; /* 0: none */
};

struct disk {
    struct cluster *cluster;   /* borrowed, like the next one */
    struct cluster_node *node; /* whose disk it is */
    struct storage storage;
    char path[FILES_PATH_SIZE];
    struct wal_config config;
    struct wal_writer writer;
    struct buf queue;
    struct buf writing;
    uint64_t queue_seq;
    uint64_t sequence_next;
    bool is_up;
    bool is_begun;   /* a start has come to its end */
    bool is_writing; /* until virtual time has passed */
    int status;      /* of that write */
    uint64_t released;
    uint64_t full_until_ms;
    uint64_t write_ms; /* virtual time of the writer */
    /* Damage before this place is noticed, whatever a crash takes: what follows
     * it was flushed, too, and says so. */
    uint64_t proven_number;
    size_t proven_offset;
    uint64_t provable_number; /* by the write that is under way */
    size_t provable_offset;
    struct damage damage;
};

/* --- What is thought to be on disk --------------------------------------- */

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

static void remember_write(struct cluster_node *node,
                           const struct raft_persist *persist)
{
    struct cluster_write *write = cluster_must(calloc(1, sizeof(*write)));

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
}

void disk_take_write(struct cluster_node *node, bool is_kept)
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

/* --- Faults -------------------------------------------------------------- */

static void set_faults(struct disk *disk, uint64_t now_ms)
{
    uint32_t permille = disk->cluster->faults.disk_permille;
    bool is_full = now_ms < disk->full_until_ms;

    disk->storage.faults = (struct storage_faults){
        .write_permille = permille,
        .flush_permille = permille,
        .read_permille = permille,
        .short_permille = permille * 10,
        .is_full = is_full,
        .is_full_in_place = is_full && disk->node->id % 2 == 0,
        .has_no_direct = (disk->cluster->seed / 4 + disk->node->id +
                          disk->node->incarnation) %
                             2 ==
                         0};
}

/* Virtual time passes for the writer alone. */
static bool wait_for_room(void *arg)
{
    struct disk *disk = arg;

    disk->write_ms += RETRY_MS;
    disk->cluster->full_count++;
    set_faults(disk, disk->write_ms);
    while (wal_writer_cut(&disk->writer, disk->released)) {
        continue;
    }
    return true;
}

static void full_changed(void *arg, bool is_full)
{
    const struct disk *disk = arg;

    if (is_full) {
        event_push(disk->cluster, (struct cluster_event){
                                      .time_ms = disk->cluster->now_ms,
                                      .type = EVENT_FULL,
                                      .node = (uint32_t)disk->node->id - 1,
                                      .incarnation = disk->node->incarnation});
    }
}

void cluster_fill_disk(struct cluster *cluster, int node, uint64_t ms)
{
    cluster->nodes[node].disk->full_until_ms = cluster->now_ms + ms;
}

/* How much of the file is proven: damage there cannot be taken for the end of
 * an unfinished write. */
static size_t proven_size(const struct disk *disk, int file)
{
    const struct storage_file *of = &disk->storage.files[file];
    uint64_t number = wal_segment_number(of->name);
    size_t size = of->cache.size;

    if (number > disk->proven_number) {
        return 0;
    }
    if (number < disk->proven_number || disk->proven_offset > size) {
        return size;
    }
    return disk->proven_offset;
}

void cluster_damage_disk(struct cluster *cluster, int node, uint64_t number)
{
    struct disk *disk = cluster->nodes[node].disk;
    struct storage *storage = &disk->storage;
    size_t size = 0;

    if (disk->is_up || disk->damage.mask != 0) {
        return;
    }
    /* Of a process that was killed writes may be on their way yet, and undo the
     * damage. */
    storage_cut_power(storage);
    for (int i = storage_next(storage, 0); i >= 0;
         i = storage_next(storage, i + 1)) {
        size += proven_size(disk, i);
    }
    if (size == 0) {
        return;
    }
    number %= size * 8;
    size = (size_t)number / 8;
    disk->damage.file = storage_next(storage, 0);
    while (size >= proven_size(disk, disk->damage.file)) {
        size -= proven_size(disk, disk->damage.file);
        disk->damage.file = storage_next(storage, disk->damage.file + 1);
    }
    disk->damage.offset = size;
    disk->damage.mask = (uint8_t)(1U << number % 8);
    storage_flip(&disk->storage, disk->damage.file, disk->damage.offset,
                 disk->damage.mask);
}

void cluster_mend_disk(struct cluster *cluster, int node)
{
    struct disk *disk = cluster->nodes[node].disk;

    if (disk->damage.mask != 0) {
        storage_flip(&disk->storage, disk->damage.file, disk->damage.offset,
                     disk->damage.mask);
        disk->damage.mask = 0;
    }
}

bool disk_is_damaged(const struct cluster_node *node)
{
    return node->disk->damage.mask != 0;
}

uint32_t disk_checksum(const struct cluster_node *node)
{
    return storage_checksum(&node->disk->storage);
}

/* --- Coming and going ---------------------------------------------------- */

void disk_new(struct cluster *cluster, struct cluster_node *node)
{
    struct disk *disk = cluster_must(calloc(1, sizeof(*disk)));

    disk->cluster = cluster;
    disk->node = node;
    storage_init(&disk->storage, &cluster->rng);
    buf_init(&disk->queue, QUEUE_SIZE_MAX);
    buf_init(&disk->writing, QUEUE_SIZE_MAX);
    node->disk = disk;
}

static void close_writer(struct disk *disk)
{
    wal_writer_close(&disk->writer);
    buf_clear(&disk->queue);
    buf_clear(&disk->writing);
    disk->is_up = false;
    disk->is_writing = false;
}

void disk_free(struct cluster_node *node)
{
    struct disk *disk = node->disk;

    if (disk->is_up) {
        close_writer(disk);
    }
    while (node->writes_first != NULL) {
        disk_take_write(node, false);
    }
    disk_log_free(&node->log);
    storage_close(&disk->storage);
    buf_close(&disk->queue);
    buf_close(&disk->writing);
    free(disk);
}

/* As wal_open() does it, without the thread. */
static int open_writer(struct disk *disk, struct wal_recovery *recovery,
                       struct buf *error)
{
    struct wal_tail tail;
    int rv;

    wal_writer_init(&disk->writer, &disk->config);
    disk->writer.dir_fd = files_open_dir(&disk->storage, disk->path);
    disk->writer.wait = wait_for_room;
    disk->writer.wait_arg = disk;
    rv =
        wal_recover(&disk->config, disk->writer.dir_fd, recovery, error, &tail);
    if (rv != 0) {
        return rv;
    }
    disk->sequence_next = tail.sequence;
    rv = wal_writer_start(&disk->writer, recovery, &tail);
    if (rv != 0) {
        wal_recovery_close(recovery);
    }
    return rv;
}

int disk_start(struct cluster *cluster, struct cluster_node *node,
               struct wal_recovery *ret_recovery, struct buf *error)
{
    struct disk *disk = node->disk;
    int rv;

    disk->config = (struct wal_config){
        .dir = disk->path,
        .is_begun = disk->is_begun,
        .segment_size = (size_t)WAL_SEGMENT_SIZE_MIN << cluster->seed % 4,
        .covered_index = node->snapshot.about.index,
        .full = full_changed,
        .arg = disk};
    set_faults(disk, cluster->now_ms);
    disk->released = 0;
    rv = open_writer(disk, ret_recovery, error);
    if (rv != 0) {
        close_writer(disk);
        storage_kill(&disk->storage);
        return rv;
    }
    storage_pass(&disk->storage);
    disk->is_up = true;
    disk->is_begun = true;
    disk->damage.mask = 0; /* if there was any, it was of no consequence */
    cluster->torn_count += ret_recovery->torn_bytes > 0 ? 1 : 0;
    return 0;
}

void disk_stop(struct cluster *cluster, struct cluster_node *node,
               bool is_power_cut)
{
    struct disk *disk = node->disk;

    (void)cluster;
    if (disk->is_up) {
        close_writer(disk);
    }
    if (is_power_cut) {
        storage_cut_power(&disk->storage);
    } else {
        storage_kill(&disk->storage);
    }
}

/* --- Writing ------------------------------------------------------------- */

/* Once the write is done, damage in what was the last one before it will be
 * noticed. */
static void note_proof(struct disk *disk, uint64_t number, size_t offset)
{
    disk->provable_number = disk->writer.segment.number;
    disk->provable_offset = disk->writer.segment.number == number
                                ? offset
                                : WAL_SEGMENT_HEADER_SIZE;
}

static void write_queue(struct disk *disk)
{
    struct cluster *cluster = disk->cluster;
    struct buf empty = disk->writing;
    uint64_t number = disk->writer.segment.number;
    size_t offset = disk->writer.segment.offset;

    disk->writing = disk->queue;
    disk->queue = empty;
    buf_clear(&disk->queue);
    disk->is_writing = true;
    disk->write_ms = cluster->now_ms;
    set_faults(disk, disk->write_ms);
    disk->status = wal_writer_run(&disk->writer, &disk->writing);
    note_proof(disk, number, offset);
    event_push(cluster,
               (struct cluster_event){
                   .time_ms = disk->write_ms +
                              rng_below(&cluster->rng,
                                        cluster->faults.disk_max_ms + 1),
                   .type = EVENT_DISK,
                   .node = (uint32_t)disk->node->id - 1,
                   .incarnation = disk->node->incarnation,
                   .seq = disk->queue_seq});
}

void disk_write_begin(struct cluster *cluster, struct cluster_node *node,
                      const struct raft_persist *persist)
{
    struct disk *disk = node->disk;

    (void)cluster;
    remember_write(node, persist);
    wal_record_put(&disk->queue, disk->sequence_next, persist);
    disk->sequence_next++;
    disk->queue_seq = persist->seq;
    if (!disk->is_writing) {
        write_queue(disk);
    }
}

bool disk_write_end(struct cluster *cluster, struct cluster_node *node,
                    uint64_t seq)
{
    struct disk *disk = node->disk;

    (void)cluster;
    storage_pass(&disk->storage);
    if (disk->status != 0) {
        return false;
    }
    disk->proven_number = disk->provable_number;
    disk->proven_offset = disk->provable_offset;
    while (node->writes_first != NULL && node->writes_first->seq <= seq) {
        disk_take_write(node, true);
    }
    return true;
}

void disk_write_next(struct cluster *cluster, struct cluster_node *node)
{
    struct disk *disk = node->disk;

    disk->is_writing = false;
    set_faults(disk, cluster->now_ms);
    (void)wal_writer_cut(&disk->writer, disk->released);
    wal_writer_prepare(&disk->writer);
    if (disk->queue.size > 0) {
        write_queue(disk);
    }
}

void disk_release(struct cluster_node *node, uint64_t index)
{
    node->disk->released = index;
}
