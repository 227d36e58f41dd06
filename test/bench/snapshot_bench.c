/* SPDX-License-Identifier: Apache-2.0
 * What a snapshot of a million sandboxes takes: the longest piece of it that
 * the loop does at once, while commands are applied between the pieces; the
 * whole; and reading it back. Times are of the clock and, behind a slash, of
 * the processor.
 *
 *   snapshot_bench DIR [SANDBOXES]    DIR is on the disk to be measured
 *   snapshot_bench DIR SANDBOXES NAME leaves one in the directory of a member
 * of that name that was alone and has ended, for its next start to be measured
 */
#include "base/ensure.h"
#include "base/mem.h"
#include "base/rng.h"
#include "cluster/members.h"
#include "command/command_restore.h"
#include "command/command_snapshot.h"
#include "raft/membership.h"
#include "store/snapshot_reader.h"
#include "store/snapshots.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

enum {
    SANDBOXES = 1000000,
    SPEC_SIZE = 120,               /* bytes */
    SLICE = 512 * 1024,            /* as node/node_snapshot.h */
    QUEUE_MAX = 4 * 1024 * 1024,   /* idem */
    BUFFER_MAX = 64 * 1024 * 1024, /* idem */
    COMMANDS_A_PIECE = 100,        /* applied between two pieces */
    INDEX = 1 << 30,               /* of the snapshot */
};

static double now_ms(void)
{
    struct timespec now;

    ensure(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

/* What this thread has used of a processor. */
static double cpu_ms(void)
{
    struct timespec now;

    ensure(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now) == 0);
    return (double)now.tv_sec * 1e3 + (double)now.tv_nsec / 1e6;
}

static void apply(struct command_machine *machine, uint64_t index,
                  const struct command *command)
{
    struct command_result result;

    ensure(command_apply(machine, index, command, &result) == 0);
    ensure(result.rv == 0);
}

static size_t id_of(char *text, size_t size, uint64_t number)
{
    return (size_t)snprintf(text, size, "sandbox-%08u", (unsigned)number);
}

static void fill(struct command_machine *machine, uint64_t count)
{
    static uint8_t spec[SPEC_SIZE];
    struct command attach = {
        .type = COMMAND_ATTACH,
        .worker = bytes_of_string("worker@127.0.0.1"),
        .incarnation = bytes_of("0123456789abcdef", REGISTRY_INCARNATION_SIZE),
        .member = 1};
    struct command claim = {.type = COMMAND_CLAIM,
                            .worker = attach.worker,
                            .lease = 1,
                            .spec = bytes_of(spec, sizeof(spec)),
                            .replica_count = 3,
                            .replicas = {1, 2, 3}};
    char id[32];

    apply(machine, 1, &attach);
    claim.lease = command_epoch(machine, 1);
    for (uint64_t i = 0; i < count; i++) {
        claim.id = bytes_of(id, id_of(id, sizeof(id), i));
        apply(machine, i + 2, &claim);
    }
}

/* Sandboxes anywhere start, so that they are written before their turn. */
static void change_some(struct command_machine *machine, struct rng *rng,
                        uint64_t count, uint64_t index)
{
    char id[32];

    for (int i = 0; i < COMMANDS_A_PIECE; i++) {
        uint64_t number = rng_below(rng, count);
        struct command started = {
            .type = COMMAND_STARTED,
            .id = bytes_of(id, id_of(id, sizeof(id), number)),
            .epoch = command_epoch(machine, number + 2),
            .pid = bytes_of_string("a pid of forty bytes or thereabouts....")};

        apply(machine, index, &started);
    }
}

struct longest {
    double begin_ms;
    double piece_ms;
    double piece_cpu_ms;
    double total_cpu_ms; /* of all pieces */
    uint64_t bytes;
};

static void piece(struct command_snapshot *snapshot,
                  struct snapshots *snapshots, struct longest *longest)
{
    double begin = now_ms();
    double cpu = cpu_ms();
    double took;

    ensure(command_snapshot_make(snapshot, SLICE) == 0);
    ensure(snapshots_append(snapshots, buf_bytes(&snapshot->bytes)) == 0);
    longest->bytes += snapshot->bytes.size;
    buf_clear(&snapshot->bytes);
    took = now_ms() - begin;
    longest->piece_ms = took > longest->piece_ms ? took : longest->piece_ms;
    took = cpu_ms() - cpu;
    longest->total_cpu_ms += took;
    longest->piece_cpu_ms =
        took > longest->piece_cpu_ms ? took : longest->piece_cpu_ms;
}

static void on_ready(void *arg)
{
    (void)arg;
}

static void take(const char *dir, struct command_machine *machine,
                 uint64_t count, struct snapshot_meta *meta,
                 struct longest *longest)
{
    const struct timespec pause = {.tv_nsec = 200 * 1000};
    struct snapshots_config config = {.dir = dir, .ready = on_ready};
    struct command_snapshot snapshot;
    struct snapshots_result result;
    struct snapshots *snapshots;
    struct rng rng;
    double begin = now_ms();

    rng_init(&rng, 1);
    ensure(snapshots_open(&config, &snapshots) == 0);
    command_snapshot_init(&snapshot);
    machine->applied_index = INDEX;
    ensure(snapshots_begin(snapshots, INDEX) == 0);
    ensure(command_snapshot_begin(&snapshot, machine, BUFFER_MAX) == 0);
    longest->begin_ms = now_ms() - begin;
    for (uint64_t turn = 0; !snapshot.is_whole; turn++) {
        piece(&snapshot, snapshots, longest);
        change_some(machine, &rng, count, INDEX + turn);
        while (snapshots_waiting(snapshots) > QUEUE_MAX) {
            (void)nanosleep(&pause, NULL);
        }
    }
    ensure(snapshots_finish(snapshots, meta) == 0);
    while (snapshots_take(snapshots, &result) != 0) {
        (void)nanosleep(&pause, NULL);
    }
    ensure(result.status == 0);
    command_snapshot_close(&snapshot);
    snapshots_close(snapshots);
}

static double read_back(const char *dir, uint64_t count, double *ret_cpu)
{
    int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    struct snapshot_reader reader;
    struct command_restore restore;
    struct command_machine machine;
    struct bytes data;
    double begin = now_ms();
    double cpu = cpu_ms();
    double took;

    ensure(dir_fd >= 0);
    snapshot_reader_init(&reader);
    command_restore_begin(&restore, &machine, 2);
    ensure(snapshot_reader_open(&reader, dir_fd, dir, INDEX, NULL) == 0);
    while (snapshot_reader_next(&reader, &data) == 0) {
        ensure(command_restore_feed(&restore, data) == 0);
    }
    ensure(command_restore_finish(&restore) == 0);
    took = now_ms() - begin;
    *ret_cpu = cpu_ms() - cpu;
    ensure(machine.registry.sandboxes.count == count);
    command_restore_close(&restore);
    command_machine_close(&machine);
    snapshot_reader_close(&reader);
    snapshot_remove(dir_fd, INDEX);
    (void)close(dir_fd);
    return took;
}

static void measure(const char *dir, uint64_t count)
{
    struct snapshot_meta meta = {.index = INDEX, .term = 1};
    struct command_machine machine;
    struct longest longest = {0};
    double begin;
    double took;
    double read_ms;
    double read_cpu_ms;

    command_machine_init(&machine, 1, NULL, NULL);
    fill(&machine, count);
    begin = now_ms();
    take(dir, &machine, count, &meta, &longest);
    took = now_ms() - begin;
    command_machine_close(&machine);
    read_ms = read_back(dir, count, &read_cpu_ms);
    (void)printf("%llu sandboxes, %.0f MB: on disk in %.0f ms, /%.0f ms in the "
                 "loop; begin %.1f ms; longest piece %.1f/%.1f ms; read back "
                 "in %.0f/%.0f ms\n",
                 (unsigned long long)count, (double)longest.bytes / 1e6, took,
                 longest.total_cpu_ms, longest.begin_ms, longest.piece_ms,
                 longest.piece_cpu_ms, read_ms, read_cpu_ms);
    (void)fflush(stdout);
}

static void leave(const char *dir, uint64_t count, const char *name)
{
    struct raft_membership alone = {
        .voters = {members_id_of(bytes_of_string(name))}, .voter_count = 1};
    struct snapshot_meta meta = {.index = INDEX, .term = 1};
    struct command_machine machine;
    struct longest longest = {0};

    meta.configuration_size =
        (uint32_t)membership_encode(&alone, meta.configuration);
    command_machine_init(&machine, 1, NULL, NULL);
    fill(&machine, count);
    take(dir, &machine, count, &meta, &longest);
    command_machine_close(&machine);
}

int main(int argc, char *argv[])
{
    const char *dir = argc > 1 ? argv[1] : ".";
    uint64_t count = argc > 2 ? strtoull(argv[2], NULL, 10) : SANDBOXES;

    if (argc > 3) {
        leave(dir, count, argv[3]);
        return 0;
    }
    for (int run = 0; run < 3; run++) {
        measure(dir, count);
    }
    return 0;
}
