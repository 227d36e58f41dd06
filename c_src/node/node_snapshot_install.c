/* SPDX-License-Identifier: Apache-2.0
 * Bytes become a machine: at the start before anything else, later in a thread
 * beside the loop. What has come in takes the place of the own state in one
 * turn, and what was there before is taken apart over many. */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "command/command_restore.h"
#include "node/node.h"
#include "node/node_snapshot.h"
#include "node/requests.h"
#include "raft/membership.h"
#include "registry/tables.h"
#include "store/snapshot_reader.h"

#include <fcntl.h>
#include <unistd.h>

enum { RESTORE_TRIES_MAX = 8 }; /* snapshots looked at when starting */

/* What the thread has: nothing of it is shared. */
struct snapshot_load {
    struct node *node; /* NULL: the member has stopped meanwhile */
    char dir[SETTINGS_PATH_SIZE_MAX + 1];
    uint64_t index;
    uint64_t seed;
    struct command_machine machine;
    struct buf error; /* says what is wrong */
    int rv;
};

/* Which snapshot, and the seed of the machine to be. */
struct source {
    const char *dir;
    int dir_fd;
    uint64_t index;
    uint64_t seed;
};

/* --- Reading ---------------------------------------------------------------
 */

/* All chunks, into a machine. */
static int read_state(struct snapshot_reader *reader,
                      struct command_restore *restore, const char *dir,
                      struct buf *error)
{
    struct bytes data;
    int rv;

    while ((rv = snapshot_reader_next(reader, &data)) == 0) {
        rv = command_restore_feed(restore, data);
        if (rv != 0) {
            buf_printf(error, "%s: the state in the snapshot of entry %llu ",
                       dir, (unsigned long long)reader->meta.index);
            buf_printf(error,
                       rv == ERR_UNSUPPORTED
                           ? "is of a later version. Use the release that "
                             "wrote it"
                           : "cannot be read: %s",
                       err_text(rv));
            return rv;
        }
    }
    if (rv != ERR_NOT_FOUND) {
        snapshot_reader_tell(reader, dir, error);
        return rv;
    }
    rv = command_restore_finish(restore);
    if (rv == 0 && restore->machine->applied_index != reader->meta.index) {
        rv = ERR_MALFORMED;
    }
    if (rv != 0) {
        buf_printf(error,
                   "%s: the state in the snapshot of entry %llu is not whole: "
                   "%s",
                   dir, (unsigned long long)reader->meta.index, err_text(rv));
    }
    return rv;
}

/* Makes the machine of a snapshot on disk; the caller closes it, whatever comes
 * of this. */
static int restore_machine(struct snapshot_reader *reader,
                           const struct source *source,
                           struct command_machine *machine, struct buf *error)
{
    struct command_restore restore;
    int rv;

    command_restore_begin(&restore, machine, source->seed);
    rv = snapshot_reader_open(reader, source->dir_fd, source->dir,
                              source->index, error);
    if (rv == 0) {
        rv = read_state(reader, &restore, source->dir, error);
    }
    command_restore_close(&restore);
    return rv;
}

static int meta_to_snapshot(const struct snapshot_meta *meta,
                            struct raft_snapshot *ret_snapshot)
{
    *ret_snapshot = (struct raft_snapshot){
        .index = meta->index, .term = meta->term, .size = meta->size};
    return membership_decode(
        bytes_of(meta->configuration, meta->configuration_size),
        &ret_snapshot->membership);
}

/* --- At the start ----------------------------------------------------------
 */

static int restore_one(struct node *node, int dir_fd, uint64_t index,
                       struct raft_snapshot *ret_snapshot, struct buf *error)
{
    const struct source source = {.dir = node->settings->data_dir,
                                  .dir_fd = dir_fd,
                                  .index = index,
                                  .seed = rng_next(&node->rng)};
    struct command_machine machine;
    struct snapshot_reader reader;
    int rv;

    snapshot_reader_init(&reader);
    rv = restore_machine(&reader, &source, &machine, error);
    if (rv == 0) {
        rv = meta_to_snapshot(&reader.meta, ret_snapshot);
    }
    if (rv == 0) {
        command_event_cb *event_cb = node->machine.event_cb;

        command_machine_close(&node->machine);
        command_machine_move(&node->machine, &machine, event_cb, node);
        node->snapshot.last_index = reader.meta.index;
        node->snapshot.last_size = reader.meta.size;
        node->snapshot.last_time_s = reader.written_s;
    }
    command_machine_close(&machine);
    snapshot_reader_close(&reader);
    return rv;
}

/* From the newest one backwards. What the log must cover then, it is asked for:
 * wal_open() refuses a gap. */
static int restore_newest(struct node *node, int dir_fd,
                          struct raft_snapshot *ret_snapshot, struct buf *error)
{
    uint64_t below = UINT64_MAX;

    for (int i = 0; i < RESTORE_TRIES_MAX; i++) {
        size_t begun = error->size;
        uint64_t index;
        int rv = snapshot_newest(node->settings->data_dir, below, &index);

        if (rv != 0 || index == 0) {
            return rv;
        }
        rv = restore_one(node, dir_fd, index, ret_snapshot, error);
        if (rv == 0) {
            return 0;
        }
        *ret_snapshot = (struct raft_snapshot){0};
        log_line(LOG_ERROR, "snapshot_damaged", "why=\"%.*s\"",
                 (int)(error->size - begun), (const char *)error->data + begun);
        if (rv == ERR_NOMEM || rv == ERR_UNSUPPORTED) {
            return rv;
        }
        if (begun > 0) {
            error->size = begun; /* the newest one is what counts */
        }
        below = index;
    }
    return 0;
}

int node_snapshot_restore(struct node *node, struct raft_snapshot *ret_snapshot,
                          struct buf *ret_error)
{
    const char *dir = node->settings->data_dir;
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int rv;

    *ret_snapshot = (struct raft_snapshot){0};
    if (dir_fd < 0) {
        buf_printf(ret_error, "%s cannot be read", dir);
        return ERR_IO;
    }
    rv = restore_newest(node, dir_fd, ret_snapshot, ret_error);
    (void)close(dir_fd); /* only read from */
    return rv;
}

/* --- In a thread -----------------------------------------------------------
 */

static void load(void *arg)
{
    struct snapshot_load *job = (struct snapshot_load *)arg;
    int dir_fd = open(job->dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    const struct source source = {.dir = job->dir,
                                  .dir_fd = dir_fd,
                                  .index = job->index,
                                  .seed = job->seed};
    struct snapshot_reader reader;

    snapshot_reader_init(&reader);
    job->rv = restore_machine(&reader, &source, &job->machine, &job->error);
    snapshot_reader_close(&reader);
    if (dir_fd >= 0) {
        if (job->rv != 0 && job->rv != ERR_NOMEM) {
            snapshot_remove(dir_fd, job->index);
        }
        (void)close(dir_fd); /* flushed, if something was removed */
    }
}

static void free_load(struct snapshot_load *job)
{
    command_machine_close(&job->machine);
    buf_close(&job->error);
    mem_free(job);
}

static void loaded(void *arg)
{
    struct snapshot_load *job = (struct snapshot_load *)arg;
    struct node *node = job->node;
    struct raft_event event = {.type = RAFT_SNAPSHOT_FAILED};

    if (node == NULL) {
        free_load(job);
        return;
    }
    ensure(node->snapshot.load == job);
    node->snapshot.load = NULL;
    node->now_ms = loop_now_ms(node->loop);
    if (job->rv == 0) {
        /* node_snapshot_take_apart() goes on, when there is a place for it. */
        command_machine_move(&node->snapshot.fresh, &job->machine, NULL, NULL);
        node->snapshot.is_fresh = true;
    } else {
        log_line(LOG_ERROR, "snapshot_useless", "why=\"%.*s\"",
                 (int)job->error.size, (const char *)job->error.data);
        event.transfer = node->snapshot.load_transfer;
        node_log_tell(node, &event);
    }
    free_load(job);
    loop_wake(node->loop);
}

int node_snapshot_load(struct node *node)
{
    struct node_snapshot *snapshot = &node->snapshot;
    struct snapshot_load *job = mem_alloc(sizeof(*job));
    int rv;

    ensure(snapshot->load == NULL);
    ensure(!snapshot->is_fresh);
    if (job == NULL) {
        return ERR_NOMEM;
    }
    job->node = node;
    job->index = snapshot->coming.index;
    job->seed = rng_next(&node->rng);
    memcpy(job->dir, node->settings->data_dir, sizeof(job->dir));
    buf_init(&job->error, SETTINGS_ERROR_SIZE_MAX);
    rv = loop_work(node->loop, load, loaded, job);
    if (rv != 0) {
        mem_free(job);
        return rv;
    }
    snapshot->load = job;
    return 0;
}

void node_snapshot_install_close(struct node *node)
{
    struct node_snapshot *snapshot = &node->snapshot;

    if (snapshot->load != NULL) {
        snapshot->load->node = NULL;
        snapshot->load = NULL;
    }
    if (snapshot->is_fresh) {
        command_machine_close(&snapshot->fresh);
        snapshot->is_fresh = false;
    }
    while (snapshot->is_old) {
        node_snapshot_take_apart(node);
    }
}

/* --- In place of the own state ---------------------------------------------
 */

/* Whoever proposed what the new state may have or not is told that nobody
 * knows. */
static void settle_proposals(struct node *node)
{
    const struct command_result unknown = {.rv = ERR_TIMEOUT};

    while (!list_is_empty(&node->proposals)) {
        struct proposal *proposal =
            LIST_ENTRY(node->proposals.next, struct proposal, link);

        if (proposal->index > node->machine.applied_index) {
            return; /* the log may still say what became of it */
        }
        list_remove(&proposal->link);
        proposal->done(node, proposal->arg, &unknown);
        mem_free(proposal);
    }
}

void node_snapshot_install(struct node *node)
{
    struct node_snapshot *snapshot = &node->snapshot;
    command_event_cb *event_cb = node->machine.event_cb;

    ensure(snapshot->is_fresh);
    ensure(!snapshot->is_old);
    ensure(snapshot->fresh.applied_index > node->machine.applied_index);
    node_snapshot_give_up(node);
    sandboxes_leave(node);
    orders_leave(node);
    takeovers_leave(node);
    pacing_leave_all(node);
    command_machine_move(&snapshot->old, &node->machine, NULL, NULL);
    command_machine_close(&node->machine);
    command_machine_move(&node->machine, &snapshot->fresh, event_cb, node);
    snapshot->is_fresh = false;
    snapshot->is_old = true;
    snapshot->log_bytes = 0;
    snapshot->last_index = snapshot->coming.index;
    snapshot->last_size = snapshot->coming.size;
    snapshot->last_time_s = sys_wall_s();
    snapshot->installed_count++;
    log_line(LOG_INFO, "snapshot_installed", "index=%llu bytes=%llu",
             (unsigned long long)snapshot->coming.index,
             (unsigned long long)snapshot->coming.size);
    node->has_new_members = true;
    recorder_restored(node, snapshot->coming.index);
    controller_restored(node);
    agents_restored(node);
    settle_proposals(node);
    states_applied(node);
}

/* What a sandbox that is gone left on this disk goes too; all of it that is
 * older than the one of now, if there is a new one of this id. */
static int forget_states(struct node *node, const struct sandbox *was)
{
    const struct sandbox *now =
        registry_sandbox(&node->machine.registry, was->id);
    uint64_t until = command_epoch(&node->machine, node->snapshot.last_index);

    if (now != NULL && now->birth == was->birth) {
        return 0;
    }
    if (now != NULL) {
        until = now->birth - 1;
    }
    return node->db == NULL || node->is_stopping
               ? 0
               : state_db_delete(node->db, was->id, until);
}

/* False: it has to wait for the disk. */
static bool take_apart_one(struct node *node, struct registry *registry,
                           struct registry_item *item)
{
    struct sandbox *sandbox;

    if (item->is_name) {
        struct registered_name *name =
            LIST_ENTRY(item, struct registered_name, item);

        registry_take_name(registry, name);
        registry_free_name(name);
        return true;
    }
    sandbox = LIST_ENTRY(item, struct sandbox, item);
    if (forget_states(node, sandbox) == ERR_BUSY) {
        return false;
    }
    mem_free(sandbox->shell);
    registry_take_sandbox(registry, sandbox);
    registry_free_sandbox(sandbox);
    return true;
}

/* The core hears of what came in once there is a place for what it replaces. */
static void offer_fresh(struct node *node)
{
    struct node_snapshot *snapshot = &node->snapshot;
    struct raft_event event = {.type = RAFT_SNAPSHOT_STORED,
                               .transfer = snapshot->load_transfer};

    node_log_tell(node, &event);
    if (snapshot->is_fresh) {
        /* The log has got there by itself meanwhile. */
        command_machine_move(&snapshot->old, &snapshot->fresh, NULL, NULL);
        snapshot->is_fresh = false;
        snapshot->is_old = true;
    }
    wal_release(node->wal, raft_first_index(node->raft) - 1);
}

void node_snapshot_take_apart(struct node *node)
{
    struct node_snapshot *snapshot = &node->snapshot;
    struct registry *registry = &snapshot->old.registry;

    if (snapshot->is_fresh && !snapshot->is_old) {
        offer_fresh(node);
    }
    if (!snapshot->is_old) {
        return;
    }
    for (int i = 0; i < NODE_SNAPSHOT_TAKE_APART; i++) {
        if (list_is_empty(&registry->walk.seen)) {
            command_machine_close(&snapshot->old);
            snapshot->is_old = false;
            return;
        }
        if (!take_apart_one(node, registry,
                            LIST_ENTRY(registry->walk.seen.next,
                                       struct registry_item, link))) {
            return; /* states_drain() is called when there is room */
        }
    }
    loop_wake(node->loop);
}
