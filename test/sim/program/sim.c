/* SPDX-License-Identifier: Apache-2.0
 * Random runs of whole clusters, one after another, on all processors.
 *   sim FIRST COUNT [JOBS]
 * A seed that fails is named in one line that runs it again. Alone, it is told
 * what happened, and which of its faults are enough for that. With mutations
 * compiled in, MUTATION=number puts one of them in place. */
#include "command/apply.h"
#include "raft/internal.h"
#include "sim/cluster.h"
#include "sim/owners.h"
#include "sim/plan.h"
#include "store/wal_mutation.h"

#include <inttypes.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { RUN_MS = 3000, JOBS_MAX = 64, PROGRESS_SECONDS = 10, EXIT_USAGE = 64 };

/* What all jobs add to. */
struct totals {
    atomic_bool is_stopping;
    atomic_ullong seeds;
    atomic_ullong steps;
    atomic_ullong elections;
    atomic_ullong commits;
    atomic_ullong answers;
    atomic_ullong changes;
    atomic_ullong handovers;
    atomic_ullong restores;
    atomic_ullong repeats;
    atomic_ullong owners;
    atomic_ullong expiries;
    atomic_ullong ends;
    atomic_ullong fulls;
    atomic_ullong refusals;
    atomic_ullong torn;
    atomic_ullong live_ms_max;
};

static struct totals *totals;
static char abort_text[96];
static size_t abort_size;

/* An invariant of the core that fails ends the job: name the seed. */
static void on_abort(int signal_number)
{
    (void)signal_number;
    if (write(STDOUT_FILENO, abort_text, abort_size) < 0) {
        _exit(1);
    }
}

static void count(const struct cluster *cluster)
{
    unsigned long long live_ms = totals->live_ms_max;

    totals->seeds++;
    totals->steps += cluster->step_count;
    totals->elections += cluster->election_count;
    totals->commits += cluster->committed_count;
    totals->answers += cluster->answered_count;
    totals->changes += cluster->change_count;
    totals->handovers += cluster->handover_count;
    totals->restores += cluster->restore_count;
    totals->repeats += cluster->repeat_count;
    totals->owners += cluster->owner_count;
    totals->expiries += cluster->expiry_count;
    totals->ends += cluster->end_count;
    totals->fulls += cluster->full_count;
    totals->refusals += cluster->refusal_count;
    totals->torn += cluster->torn_count;
    while (cluster->live_ms > live_ms &&
           !atomic_compare_exchange_weak(&totals->live_ms_max, &live_ms,
                                         cluster->live_ms)) {
        continue;
    }
}

static struct cluster *new_cluster(uint64_t seed)
{
    /* Where there are more nodes than voters, members change. */
    static const uint32_t nodes[] = {3, 5, 4, 3, 5, 5, 7, 4};
    static const uint32_t voters[] = {3, 5, 3, 1, 3, 4, 5, 2};

    return cluster_new_with(nodes[seed % 8], voters[seed % 8], seed);
}

/* Runs it by the plan; whether it fails, and how. */
static bool fails(uint64_t seed, const struct plan *plan, bool is_quiet,
                  char *text, size_t text_size)
{
    struct cluster *cluster = new_cluster(seed);
    bool is_good;

    abort_size = (size_t)snprintf(
        abort_text, sizeof(abort_text),
        "seed %" PRIu64 " aborts; replay with: make sim SEED=%" PRIu64 "\n",
        seed, seed);
    cluster->is_quiet = is_quiet;
    is_good = cluster_swarm_by(cluster, plan, RUN_MS);
    (void)snprintf(text, text_size, "%s", cluster->failure);
    if (is_good) {
        count(cluster);
    }
    cluster_free(cluster);
    return !is_good;
}

static void draw_plan(struct plan *plan, uint64_t seed)
{
    struct cluster *cluster = new_cluster(seed);

    plan_draw(plan, cluster, RUN_MS);
    cluster_free(cluster);
}

/* --- One seed alone ------------------------------------------------------ */

/* Leaves out what it can: halves first, then smaller parts, then single
 * faults (delta debugging). */
static void shrink(uint64_t seed, struct plan *plan)
{
    char text[256];

    for (size_t part = plan->count / 2; part >= 1; part /= 2) {
        for (size_t from = 0; from < plan->count; from += part) {
            struct plan before = *plan;

            for (size_t i = from; i < from + part && i < plan->count; i++) {
                plan->faults[i].is_left_out = true;
            }
            if (!fails(seed, plan, true, text, sizeof(text))) {
                *plan = before;
            }
        }
    }
}

static int run_alone(uint64_t seed)
{
    static struct plan plan;
    char text[256];
    char line[PLAN_TEXT_SIZE];

    draw_plan(&plan, seed);
    if (!fails(seed, &plan, false, text, sizeof(text))) {
        printf("seed %" PRIu64 ": ok, %llu steps, %llu entries committed\n",
               seed, totals->steps, totals->commits);
        return 0;
    }
    shrink(seed, &plan);
    (void)fails(seed, &plan, true, text, sizeof(text));
    printf("with these faults alone: %s\n", text);
    for (size_t i = 0; i < plan.count; i++) {
        if (!plan.faults[i].is_left_out) {
            plan_describe(&plan.faults[i], line);
            printf("  %s\n", line);
        }
    }
    return 1;
}

/* --- Many ---------------------------------------------------------------- */

static int run_job(uint64_t first, uint64_t end, uint64_t stride)
{
    static struct plan plan;
    char text[256];

    for (uint64_t seed = first; seed < end && !totals->is_stopping;
         seed += stride) {
        draw_plan(&plan, seed);
        if (fails(seed, &plan, true, text, sizeof(text))) {
            totals->is_stopping = true;
            printf("seed %" PRIu64 " fails: %s; replay with: make sim "
                   "SEED=%" PRIu64 "\n",
                   seed, text, seed);
            return 1;
        }
    }
    return 0;
}

static double seconds(void)
{
    struct timespec now;

    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static void print_totals(const char *what, uint64_t total, double since)
{
    printf("%s: %llu of %" PRIu64
           " seeds, %.0f s, %llu steps, %llu elections, %llu commits, "
           "%llu calls, %llu changes, %llu handovers, %llu installs, "
           "%llu repeats, %llu owners, %llu leases ended, "
           "%llu ended by a disk, %llu waits for room, "
           "%llu refusals of damage, %llu torn tails, "
           "live again within %llu ms\n",
           what, totals->seeds, total, seconds() - since, totals->steps,
           totals->elections, totals->commits, totals->answers, totals->changes,
           totals->handovers, totals->restores, totals->repeats, totals->owners,
           totals->expiries, totals->ends, totals->fulls, totals->refusals,
           totals->torn, totals->live_ms_max);
    (void)fflush(stdout);
}

/* Waits for a job to end, with news now and then; 0, or it failed. */
static int wait_for_job(uint64_t total, double since, double *news_at)
{
    int status;

    for (;;) {
        pid_t pid = waitpid(-1, &status, WNOHANG);

        if (pid != 0) {
            break;
        }
        if (seconds() >= *news_at) {
            print_totals("sim", total, since);
            *news_at += PROGRESS_SECONDS;
        }
        (void)usleep(20 * 1000);
    }
    return WIFEXITED(status) && WEXITSTATUS(status) == 0 ? 0 : 1;
}

static int run_many(uint64_t first, uint64_t total, uint64_t jobs)
{
    double since = seconds();
    double news_at = since + PROGRESS_SECONDS;
    int rv = 0;

    for (uint64_t job = 0; job < jobs; job++) {
        pid_t pid = fork();

        if (pid < 0) {
            perror("fork");
            exit(1);
        }
        if (pid == 0) {
            rv = run_job(first + job, first + total, jobs);
            (void)fflush(stdout);
            _exit(rv);
        }
    }
    for (uint64_t job = 0; job < jobs; job++) {
        if (wait_for_job(total, since, &news_at) != 0) {
            totals->is_stopping = true;
            rv = 1;
        }
    }
    print_totals(rv == 0 ? "sim: ok" : "sim: FAILED", total, since);
    return rv;
}

static uint64_t number_of(const char *text)
{
    char *end;
    uint64_t number = strtoull(text, &end, 10);

    if (*text == '\0' || *end != '\0') {
        (void)fprintf(stderr, "sim: not a number: %s\n", text);
        exit(EXIT_USAGE);
    }
    return number;
}

#ifdef RAFT_MUTATIONS
/* Of the core, of the command machine from 100 on, of owners from 200 on. */
static void put_mutation(uint64_t number)
{
    if (number < 100) {
        raft_mutation = (enum raft_mutation)number;
    } else if (number < 200) {
        command_mutation = (enum command_mutation)(number - 100);
    } else if (number < 300) {
        owners_mutation = (enum owners_mutation)(number - 200);
    } else {
        wal_mutation = (enum wal_mutation)(number - 300);
    }
}
#endif

int main(int argc, char **argv)
{
    long processors = sysconf(_SC_NPROCESSORS_ONLN);
    uint64_t jobs = processors > 0 ? (uint64_t)processors : 1;
    uint64_t first;
    uint64_t total;

    if (argc < 3 || argc > 4) {
        (void)fprintf(stderr, "usage: sim FIRST COUNT [JOBS]\n");
        return EXIT_USAGE;
    }
    first = number_of(argv[1]);
    total = number_of(argv[2]);
    jobs = argc == 4 ? number_of(argv[3]) : jobs;
    jobs = jobs > JOBS_MAX ? JOBS_MAX : jobs;
    totals = mmap(NULL, sizeof(*totals), PROT_READ | PROT_WRITE,
                  MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (totals == MAP_FAILED || jobs == 0) {
        perror("sim");
        return 1;
    }
#ifdef RAFT_MUTATIONS
    put_mutation(
        number_of(getenv("MUTATION") == NULL ? "0" : getenv("MUTATION")));
#endif
    (void)signal(SIGABRT, on_abort);
    return total == 1 ? run_alone(first) : run_many(first, total, jobs);
}
