/* SPDX-License-Identifier: Apache-2.0
 * Many short random runs. SEEDS=n runs more of them, SEED=s only that one. */
#include "lib/test.h"
#include "raft/internal.h"
#include "sim/cluster.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { SEEDS_DEFAULT = 300, RUN_MS = 3000 };

static char seed_text[64];
static int seed_text_size;

/* An invariant of the core that fails ends the program: name the seed. */
static void on_abort(int signal_number)
{
    (void)signal_number;
    if (write(STDERR_FILENO, seed_text, (size_t)seed_text_size) < 0) {
        _exit(1);
    }
}

static uint64_t number_from(const char *name, uint64_t otherwise)
{
    const char *text = getenv(name);

    return text == NULL ? otherwise : strtoull(text, NULL, 10);
}

static void run_seed(uint64_t seed)
{
    /* Where there are more nodes than voters, members change. */
    static const uint32_t nodes[] = {3, 5, 4, 3, 5, 5, 7, 4};
    static const uint32_t voters[] = {3, 5, 3, 1, 3, 4, 5, 2};
    struct cluster *cluster =
        cluster_new_with(nodes[seed % 8], voters[seed % 8], seed);
    bool is_good;

    seed_text_size =
        snprintf(seed_text, sizeof(seed_text), "replay with SEED=%llu\n",
                 (unsigned long long)seed);
    is_good = cluster_swarm(cluster, RUN_MS);
    cluster_free(cluster);
    if (!is_good) {
        fail_msg("replay with SEED=%llu", (unsigned long long)seed);
    }
}

static void random_faults_break_no_promise(void **state)
{
    uint64_t seed = number_from("SEED", UINT64_MAX);
    uint64_t count = number_from("SEEDS", SEEDS_DEFAULT);

    (void)state;
    if (seed != UINT64_MAX) {
        run_seed(seed);
        return;
    }
    for (uint64_t i = 0; i < count; i++) {
        run_seed(i);
    }
}

static void one_seed_gives_one_run(void **state)
{
    uint64_t steps[2];
    uint64_t hashes[2];

    (void)state;
    for (int i = 0; i < 2; i++) {
        struct cluster *cluster = cluster_new_with(5, 4, 4242);

        assert_true(cluster_swarm(cluster, RUN_MS));
        assert_true(cluster->committed_count > 0);
        steps[i] = cluster->step_count;
        hashes[i] = cluster->committed[cluster->committed_count - 1].hash;
        cluster_free(cluster);
    }
    assert_int_equal(steps[0], steps[1]);
    assert_int_equal(hashes[0], hashes[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(random_faults_break_no_promise),
        cmocka_unit_test(one_seed_gives_one_run),
    };

#ifdef RAFT_MUTATIONS
    raft_mutation = (enum raft_mutation)number_from("MUTATION", 0);
#endif
    (void)signal(SIGABRT, on_abort);
    return cmocka_run_group_tests_name("raft/swarm", tests, NULL, NULL);
}
