/* SPDX-License-Identifier: Apache-2.0
 * What three members commit: the production core, write-ahead log, loop and
 * links, each member a process with a log of its own, over the loopback. The
 * leader keeps so many commands of 128 bytes in flight, gathers them into
 * entries as node/node_log.c does, and counts one as done when it is committed
 * (on the disks of a majority) and the leader has read it back. What a command
 * means is left out: no calls, no tables.
 *   commit_bench DIR [SECONDS]      DIR is on the disk to be measured */
#include "base/ensure.h"
#include "base/err.h"
#include "base/mem.h"
#include "bench/measure.h"
#include "bench/ports.h"
#include "dist/inbox.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "io/loop.h"
#include "io/peers.h"
#include "io/sys.h"
#include "store/wal.h"

#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum {
    MEMBERS = 3,
    COMMAND_SIZE = 128, /* bytes */
    IN_FLIGHT_MAX = 4096,
    BATCH_SIZE_MAX = 512 * 1024, /* as NODE_BATCH_SIZE_MAX */
    ENTRIES_IN_FLIGHT = 2,       /* as NODE_ENTRIES_IN_FLIGHT */
    ELECTION_TIMEOUT_MS = 500,   /* the defaults */
    HEARTBEAT_MS = 100,
    DIAL_MS = 50,
    WARM_UP_MS = 200,
};

static const uint32_t in_flight[] = {1, 16, 256, 4096};
enum { PHASES = sizeof(in_flight) / sizeof(in_flight[0]) };

/* A node that is linked. */
struct bench_link {
    struct inbox_peer inbox_peer;
    struct peer *peer;
    uint64_t id;
};

struct bench {
    uint64_t id; /* 1..MEMBERS */
    uint16_t ports[MEMBERS];
    double seconds;
    struct loop *loop;
    struct peers *peers;
    struct inbox inbox;
    struct bench_link *links[MEMBERS + 1]; /* by id; NULL: down */
    struct wal *wal;
    struct raft *raft;
    _Atomic uint64_t disk_seq; /* by the writer's thread */
    uint64_t disk_seen;
    uint64_t applied;
    uint64_t dial_ms;

    /* The leader's clients. */
    double begun[IN_FLIGHT_MAX]; /* ring, in the order of the commands */
    uint64_t made;               /* commands, since the start */
    uint64_t proposed;
    uint64_t done;
    uint64_t proposed_index;
    uint32_t phase;
    bool is_measuring;
    double since;
    double until;
    double cpu_since;
    uint64_t done_since;
    uint64_t flushes_since;
    double *samples; /* owned; seconds */
    size_t sample_count;
};

static const char *name_of(uint64_t id)
{
    static const char *const names[] = {"", "b1@127.0.0.1", "b2@127.0.0.1",
                                        "b3@127.0.0.1"};

    ensure(id >= 1 && id <= MEMBERS);
    return names[id];
}

static double cpu_s(void)
{
    struct rusage usage;

    ensure(getrusage(RUSAGE_SELF, &usage) == 0);
    return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
           (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

/* --- The core's shell ------------------------------------------------------
 */

static void send_raft(struct bench *bench, uint64_t to, struct bytes bytes)
{
    struct bench_link *link = bench->links[to];
    struct buf *out;
    size_t begin;

    if (link != NULL) {
        out = peer_out(link->peer);
        begin = outbox_begin(&bench->inbox, "quorate_member", "raft", out);
        etf_put_binary(out, bytes);
        outbox_end(out, begin);
    }
}

static void step(struct bench *bench, struct raft_event *event,
                 struct raft_effects *effects)
{
    event->now_ms = loop_now_ms(bench->loop);
    ensure(raft_step(bench->raft, event, effects) == 0);
    if (effects->persist.seq != 0) {
        ensure(wal_submit(bench->wal, &effects->persist) == 0);
    }
    for (size_t i = 0; i < effects->send_count; i++) {
        send_raft(bench, effects->sends[i].to, effects->sends[i].bytes);
    }
}

static void on_disk(void *arg, uint64_t seq, int status)
{
    struct bench *bench = (struct bench *)arg;

    ensure(status == 0);
    atomic_store(&bench->disk_seq, seq);
    loop_wake(bench->loop);
}

static void drain(struct bench *bench)
{
    struct raft_event event = {.type = RAFT_PERSISTED};
    struct raft_effects effects;

    event.persisted_seq = atomic_load(&bench->disk_seq);
    if (event.persisted_seq > bench->disk_seen) {
        bench->disk_seen = event.persisted_seq;
        step(bench, &event, &effects);
    }
}

/* --- Clients ---------------------------------------------------------------
 */

static void note_done(struct bench *bench, uint64_t count)
{
    double now = now_s();

    for (; count > 0; count--) {
        if (bench->is_measuring && bench->sample_count < SAMPLES_MAX) {
            bench->samples[bench->sample_count++] =
                now - bench->begun[bench->done % IN_FLIGHT_MAX];
        }
        bench->done++;
    }
}

static void apply(struct bench *bench)
{
    uint64_t committed = raft_commit_index(bench->raft);

    while (bench->applied < committed) {
        struct raft_entry entry;

        bench->applied++;
        ensure(raft_entry_get(bench->raft, bench->applied, &entry) == 0);
        if (bench->id == 1 && entry.type == RAFT_ENTRY_COMMAND) {
            note_done(bench, entry.data.size / COMMAND_SIZE);
        }
    }
}

static void propose(struct bench *bench)
{
    static uint8_t batch[BATCH_SIZE_MAX];
    struct raft_event event = {.type = RAFT_PROPOSE};
    struct raft_effects effects;
    uint64_t count = bench->made - bench->proposed;

    if (count == 0 || bench->proposed_index >=
                          raft_commit_index(bench->raft) + ENTRIES_IN_FLIGHT) {
        return;
    }
    if (count > BATCH_SIZE_MAX / COMMAND_SIZE) {
        count = BATCH_SIZE_MAX / COMMAND_SIZE;
    }
    event.bytes = bytes_of(batch, count * COMMAND_SIZE);
    step(bench, &event, &effects);
    bench->proposed_index = effects.proposed_index;
    bench->proposed += count;
}

static void begin_phase(struct bench *bench)
{
    bench->is_measuring = false;
    bench->sample_count = 0;
    bench->since = now_s() + WARM_UP_MS / 1e3;
    bench->until = bench->since + bench->seconds;
}

static void begin_measuring(struct bench *bench)
{
    uint64_t records;

    bench->is_measuring = true;
    bench->since = now_s();
    bench->cpu_since = cpu_s();
    bench->done_since = bench->done;
    wal_counters(bench->wal, &bench->flushes_since, &records);
}

static void end_phase(struct bench *bench)
{
    double took = now_s() - bench->since;
    double cpu = cpu_s() - bench->cpu_since;
    double count = (double)(bench->done - bench->done_since);
    uint64_t flushes;
    uint64_t records;

    wal_counters(bench->wal, &flushes, &records);
    (void)printf("commits, %4u in flight       %9.0f a second  p50 %6.0f us  "
                 "p99 %6.0f us  %6.1f a flush  cpu %5.2f us each: %7.0f a "
                 "second and core\n",
                 in_flight[bench->phase], count / took,
                 quantile(bench->samples, bench->sample_count, 0.5),
                 quantile(bench->samples, bench->sample_count, 0.99),
                 count / (double)(flushes - bench->flushes_since),
                 cpu * 1e6 / count, count / cpu);
    (void)fflush(stdout);
    bench->phase++;
    if (bench->phase == PHASES) {
        loop_stop(bench->loop);
    } else {
        begin_phase(bench);
    }
}

static void drive(struct bench *bench)
{
    double now;

    if (bench->id != 1 || raft_role(bench->raft) != RAFT_LEADER ||
        bench->links[2] == NULL || bench->links[3] == NULL) {
        return;
    }
    now = now_s();
    if (bench->until == 0) {
        begin_phase(bench);
    } else if (bench->is_measuring && now >= bench->until) {
        end_phase(bench);
    } else if (!bench->is_measuring && now >= bench->since) {
        begin_measuring(bench);
    }
    while (bench->phase < PHASES &&
           bench->made - bench->done < in_flight[bench->phase]) {
        bench->begun[bench->made % IN_FLIGHT_MAX] = now;
        bench->made++;
    }
    propose(bench);
}

/* --- The loop --------------------------------------------------------------
 */

/* Each dials those before it. */
static void dial(struct bench *bench)
{
    if (loop_now_ms(bench->loop) < bench->dial_ms) {
        return;
    }
    bench->dial_ms = loop_now_ms(bench->loop) + DIAL_MS;
    for (uint64_t id = 1; id < bench->id; id++) {
        if (bench->links[id] == NULL) {
            ensure(peers_dial(bench->peers, bytes_of_string(name_of(id)),
                              "127.0.0.1", bench->ports[id - 1]) == 0);
        }
    }
}

static void turn(void *arg)
{
    struct bench *bench = (struct bench *)arg;
    struct raft_event event = {.type = RAFT_TICK};
    struct raft_effects effects;
    uint64_t deadline_ms;

    drain(bench);
    if (raft_deadline_ms(bench->raft) <= loop_now_ms(bench->loop)) {
        step(bench, &event, &effects);
    }
    dial(bench);
    apply(bench);
    drive(bench);
    apply(bench);
    deadline_ms = raft_deadline_ms(bench->raft);
    loop_set_deadline(bench->loop, deadline_ms < bench->dial_ms
                                       ? deadline_ms
                                       : bench->dial_ms);
}

static struct buf *out_of_peer(void *arg)
{
    return peer_out((struct peer *)arg);
}

static void on_up(void *arg, struct peer *peer)
{
    struct bench *bench = (struct bench *)arg;
    struct bench_link *link = mem_alloc(sizeof(*link));

    ensure(link != NULL);
    link->peer = peer;
    link->inbox_peer = (struct inbox_peer){.name = peer_name(peer),
                                           .flags = peer_flags(peer),
                                           .out = out_of_peer,
                                           .arg = peer};
    link->id = (uint64_t)(peer_name(peer).data[1] - '0');
    ensure(link->id >= 1 && link->id <= MEMBERS);
    bench->links[link->id] = link;
    peer_set_paced(peer, true); /* as node/links.c does */
    peer_set_data(peer, link);
}

static void on_down(void *arg, struct peer *peer, const char *reason)
{
    struct bench *bench = (struct bench *)arg;
    struct bench_link *link = (struct bench_link *)peer_data(peer);
    struct inbox_event event;

    (void)reason;
    while (inbox_next_lost(&bench->inbox, &link->inbox_peer, &event)) {
        continue;
    }
    bench->links[link->id] = NULL;
    peer_set_data(peer, NULL);
    mem_free(link);
}

static void on_frame(void *arg, struct peer *peer, struct bytes frame)
{
    struct bench *bench = (struct bench *)arg;
    struct bench_link *link = (struct bench_link *)peer_data(peer);
    struct inbox_event inbox_event;
    struct raft_effects effects;
    struct raft_event event = {.type = RAFT_MESSAGE, .from = link->id};
    struct etf_reader reader;
    struct bytes kind;
    uint64_t version;
    const char *cause = "";

    ensure(inbox_receive(&bench->inbox, &link->inbox_peer, frame,
                         peer_out(peer), &inbox_event, &cause) == 0);
    if (inbox_event.type != INBOX_MESSAGE) {
        return;
    }
    reader = etf_reader_of(inbox_event.message);
    ensure(etf_read_tuple_of(&reader, 4) == 0);
    ensure(etf_read_atom(&reader, &kind) == 0);
    ensure(etf_read_u64(&reader, &version) == 0);
    ensure(etf_read_atom(&reader, &kind) == 0);
    ensure(etf_read_binary(&reader, &event.bytes) == 0);
    step(bench, &event, &effects);
}

static void on_dial_failed(void *arg, struct bytes name, const char *reason)
{
    (void)arg;
    (void)name;
    (void)reason;
}

static void on_signal(void *arg, int signum)
{
    (void)signum;
    loop_stop(((struct bench *)arg)->loop);
}

/* --- Life ------------------------------------------------------------------
 */

static void open_log(struct bench *bench, const char *dir)
{
    struct raft_config config = {.id = bench->id,
                                 .voters = {1, 2, 3},
                                 .voter_count = MEMBERS,
                                 .election_timeout_ms = ELECTION_TIMEOUT_MS,
                                 .heartbeat_interval_ms = HEARTBEAT_MS,
                                 .election_rank = bench->id == 1 ? 0 : 4,
                                 .seed = bench->id};
    struct wal_config wal = {.dir = dir, .done = on_disk, .arg = bench};
    struct raft_recovered recovered = {.term = 0};
    struct wal_recovery recovery;

    ensure(wal_open(&wal, &recovery, NULL, &bench->wal) == 0);
    wal_recovery_close(&recovery);
    ensure(raft_new(&config, &recovered, loop_now_ms(bench->loop),
                    &bench->raft) == 0);
}

static void open_links(struct bench *bench)
{
    struct peers_config config = {.name = bytes_of_string(name_of(bench->id)),
                                  .cookie = bytes_of_string("commit_bench"),
                                  .listen_address = "127.0.0.1",
                                  .listen_port = bench->ports[bench->id - 1],
                                  .callbacks = {.up = on_up,
                                                .frame = on_frame,
                                                .down = on_down,
                                                .dial_failed = on_dial_failed},
                                  .arg = bench};
    uint64_t seed;

    ensure(peers_new(bench->loop, &config, &bench->peers) == 0);
    inbox_init(&bench->inbox, config.name, peers_creation(bench->peers));
    sys_random(&seed, sizeof(seed));
    inbox_set_seed(&bench->inbox, seed);
}

/* One member, in a process of its own. */
static int run_member(struct bench *bench, const char *dir)
{
    struct loop_config config = {
        .turn = turn, .on_signal = on_signal, .arg = bench};
    char path[4096];
    int rv;

    (void)snprintf(path, sizeof(path), "%s/b%u", dir, (unsigned)bench->id);
    ensure(mkdir(path, 0700) == 0);
    bench->samples = mem_alloc_array(SAMPLES_MAX, sizeof(double));
    ensure(bench->samples != NULL);
    ensure(loop_new(&config, &bench->loop) == 0);
    open_log(bench, path);
    open_links(bench);
    loop_wake(bench->loop);
    rv = loop_run(bench->loop);
    peers_free(bench->peers);
    wal_close(bench->wal);
    raft_free(bench->raft);
    mem_free(bench->samples);
    return rv == 0 ? 0 : 1;
}

static void measure_disk(const char *dir, double seconds)
{
    double *samples = mem_alloc_array(SAMPLES_MAX, sizeof(*samples));

    ensure(samples != NULL);
    (void)plain(dir, "4 KiB, O_DSYNC", O_DSYNC, seconds, samples);
    (void)fflush(stdout);
    mem_free(samples);
}

static int measure_commits(const char *dir, double seconds)
{
    static struct bench bench;
    pid_t members[MEMBERS];
    int status = 1;

    bench.seconds = seconds;
    find_ports(bench.ports, MEMBERS);
    for (int i = 0; i < MEMBERS; i++) {
        members[i] = fork();
        ensure(members[i] >= 0);
        if (members[i] == 0) {
            bench.id = (uint64_t)i + 1;
            _exit(run_member(&bench, dir));
        }
    }
    ensure(waitpid(members[0], &status, 0) == members[0]);
    for (int i = 1; i < MEMBERS; i++) {
        int ended;

        (void)kill(members[i], SIGTERM);
        ensure(waitpid(members[i], &ended, 0) == members[i]);
    }
    return status;
}

int main(int argc, char *argv[])
{
    double seconds = argc > 2 ? strtod(argv[2], NULL) : 2;
    const char *dir = argc > 1 ? argv[1] : ".";
    int status;

    measure_disk(dir, seconds);
    status = measure_commits(dir, seconds);
    measure_disk(dir, seconds);
    return status == 0 ? 0 : 1;
}
