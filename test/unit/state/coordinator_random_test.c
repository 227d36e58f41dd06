/* SPDX-License-Identifier: Apache-2.0
 * Goal: whatever is lost, doubled or reordered, and however seals of one epoch
 * meet, nothing acknowledged is lost and all see one history.
 *
 * Method: two coordinators, one id, random replicas and steps from a seed.
 * Owners of several epochs write at once, the stale ones too; epochs are sealed
 * by both coordinators, also again. Each value names its write. Checked at each
 * completion:
 *   - a version never shows two values
 *   - an operation never returns less than what was complete when it began
 *   - a seal gives the value of the newest that was complete, or a newer one
 *   - a write completes only if each seal above its epoch has found it */
#include "base/mem.h"
#include "unit/state/network.h"

enum {
    SEEDS = 400,
    STEPS = 3000,
    EPOCHS_MAX = 48,
    SEQS_MAX = 512,
    OPERATIONS_MAX = 4096,
    DEADLINE_MS = 3000,
};

/* Which write a value is: epoch and seq of the owner's write. */
struct origin {
    uint32_t epoch;
    uint32_t seq;
};

struct operation_seen {
    enum state_operation_type type;
    struct state_version version; /* WRITE, SEAL: what it asks for */
    struct state_version floor;   /* newest complete when it began */
    struct origin floor_origin;   /* and which write that was */
    bool is_over;
};

struct epoch_seen {
    bool is_sealed;       /* a seal was complete: the owner may write */
    struct origin sealed; /* what it found; epoch 0: nothing */
    size_t coordinator;   /* where the owner writes */
    uint32_t next_seq;    /* of the owner */
    uint64_t write_user;  /* its write under way + 1, or 0 */
    bool shown[SEQS_MAX]; /* this version was returned ... */
    struct origin origins[SEQS_MAX]; /* ... as this value */
};

struct world {
    struct network network;
    struct rng rng;
    uint64_t seed;
    uint32_t replica_count;
    uint32_t epoch; /* newest */
    struct epoch_seen epochs[EPOCHS_MAX];
    struct operation_seen operations[OPERATIONS_MAX];
    size_t operation_count;
    size_t completed_count;
    struct state_version newest; /* greatest that was complete */
    struct origin newest_origin;
    uint32_t loss_percent;
    uint32_t double_percent;
};

static int origin_compare(struct origin a, struct origin b)
{
    struct state_version x = {.epoch = a.epoch, .seq = a.seq};
    struct state_version y = {.epoch = b.epoch, .seq = b.seq};

    return state_version_compare(x, y);
}

static void expect(const struct world *world, bool condition, const char *what)
{
    if (!condition) {
        fail_msg("seed %llu, epoch %u: %s", (unsigned long long)world->seed,
                 world->epoch, what);
    }
}

/* A version was returned to somebody, as this value. */
static void show(struct world *world, struct state_version version,
                 struct origin origin)
{
    struct epoch_seen *epoch;

    expect(world, version.epoch < EPOCHS_MAX, "an epoch that never was");
    expect(world, version.seq < SEQS_MAX, "a seq that never was");
    epoch = &world->epochs[version.epoch];
    if (epoch->shown[version.seq]) {
        expect(world, origin_compare(epoch->origins[version.seq], origin) == 0,
               "a version has two values");
    }
    epoch->shown[version.seq] = true;
    epoch->origins[version.seq] = origin;
    if (state_version_compare(version, world->newest) > 0) {
        world->newest = version;
        world->newest_origin = origin;
    }
}

static void check_write(struct world *world, struct state_version version)
{
    struct origin origin = {.epoch = (uint32_t)version.epoch,
                            .seq = (uint32_t)version.seq};

    for (size_t i = (size_t)version.epoch + 1; i <= world->epoch; i++) {
        expect(world,
               !world->epochs[i].is_sealed ||
                   origin_compare(world->epochs[i].sealed, origin) >= 0,
               "a write was acknowledged that a seal did not find");
    }
    show(world, version, origin);
}

static struct origin origin_of(const struct state_completion *completion)
{
    struct origin origin = {0};

    if (completion->has_value) {
        assert_true(completion->value.size >= sizeof(origin));
        memcpy(&origin, completion->value.data, sizeof(origin));
    }
    return origin;
}

static void check_result(struct world *world,
                         const struct operation_seen *operation,
                         const struct state_completion *completion)
{
    struct origin origin = origin_of(completion);
    struct epoch_seen *epoch = &world->epochs[operation->version.epoch];

    expect(world, origin_compare(origin, operation->floor_origin) >= 0,
           "something acknowledged is lost");
    if (operation->type == STATE_SEAL && !epoch->is_sealed) {
        epoch->is_sealed = true;
        epoch->sealed = origin;
    }
    if (completion->version.epoch == 0) {
        expect(world, !completion->has_value, "a value without a version");
        return;
    }
    expect(world,
           state_version_compare(completion->version, operation->floor) >= 0,
           "an older version was returned");
    show(world, completion->version, origin);
}

static void on_completed(void *arg, const struct state_completion *completion)
{
    struct world *world = arg;
    struct operation_seen *operation = &world->operations[completion->user];
    struct epoch_seen *epoch = &world->epochs[operation->version.epoch];

    expect(world, !operation->is_over, "an operation was completed twice");
    assert_int_equal(operation->type, completion->type);
    operation->is_over = true;
    world->completed_count++;
    if (operation->type == STATE_WRITE) {
        epoch->write_user = 0;
        if (completion->rv == 0) {
            assert_int_equal(
                state_version_compare(completion->version, operation->version),
                0);
            check_write(world, operation->version);
        } else if (completion->rv == ERR_STALE_EPOCH) {
            expect(world, completion->version.epoch > operation->version.epoch,
                   "a stale epoch that is not");
        }
        /* A failed write is sometimes repeated, sometimes left. */
        if (completion->rv == 0 || rng_below(&world->rng, 2) == 0) {
            epoch->next_seq++;
        }
    } else if (completion->rv == 0) {
        check_result(world, operation, completion);
    }
}

static void start(struct world *world, size_t coordinator,
                  enum state_operation_type type, struct state_version version)
{
    uint8_t value[64] = {0};
    struct origin origin = {.epoch = (uint32_t)version.epoch,
                            .seq = (uint32_t)version.seq};
    struct operation_seen *operation =
        &world->operations[world->operation_count];
    struct state_request request = {
        .type = type,
        .id = bytes_of_string("sandbox"),
        .birth = 1,
        .epoch = type == STATE_READ ? 0 : version.epoch,
        .seq = type == STATE_WRITE ? version.seq : 0,
        .replica_count = world->replica_count,
        .deadline_ms = world->network.now_ms + DEADLINE_MS,
        .user = world->operation_count};

    if (world->operation_count == OPERATIONS_MAX) {
        return;
    }
    world->operation_count++;
    *operation = (struct operation_seen){.type = type,
                                         .version = version,
                                         .floor = world->newest,
                                         .floor_origin = world->newest_origin};
    for (uint32_t i = 0; i < world->replica_count; i++) {
        request.replicas[i] = i + 1;
    }
    if (type == STATE_WRITE) {
        memcpy(value, &origin, sizeof(origin));
        request.value = bytes_of(value, sizeof(origin) + version.seq % 50);
        world->epochs[version.epoch].write_user = request.user + 1;
    }
    assert_ok(network_start(&world->network, coordinator, &request));
}

static void start_write(struct world *world)
{
    uint32_t back = (uint32_t)rng_below(&world->rng, 3);
    uint32_t number = world->epoch > back ? world->epoch - back : world->epoch;
    struct epoch_seen *epoch = &world->epochs[number];

    if (epoch->write_user == 0 && epoch->next_seq < SEQS_MAX &&
        (epoch->is_sealed || number == 1)) {
        start(world, epoch->coordinator, STATE_WRITE,
              (struct state_version){.epoch = number, .seq = epoch->next_seq});
    }
}

static void start_seal(struct world *world)
{
    struct epoch_seen *epoch = &world->epochs[world->epoch];

    /* An epoch that is sealed may be sealed again; only then comes the next. */
    if (rng_below(&world->rng, 3) == 0 && world->epoch + 1 < EPOCHS_MAX) {
        world->epoch++;
        epoch = &world->epochs[world->epoch];
        epoch->coordinator = (size_t)rng_below(&world->rng, 2);
        epoch->next_seq = 1;
    }
    if (world->epoch > 1) {
        start(world, (size_t)rng_below(&world->rng, 2), STATE_SEAL,
              (struct state_version){.epoch = world->epoch});
    }
}

/* A member is started anew: its operations are gone. */
static void restart_coordinator(struct world *world)
{
    size_t coordinator = (size_t)rng_below(&world->rng, 2);

    state_table_free(world->network.tables[coordinator]);
    assert_ok(state_table_new(NETWORK_FIRST_COORDINATOR + coordinator,
                              rng_next(&world->rng),
                              &world->network.tables[coordinator]));
    for (size_t i = 1; i < EPOCHS_MAX; i++) {
        struct epoch_seen *epoch = &world->epochs[i];

        if (epoch->coordinator == coordinator && epoch->write_user != 0) {
            /* Nobody knows what became of the write. */
            epoch->write_user = 0;
            epoch->next_seq++;
        }
    }
    /* Operations that were there are not waited for. */
    world->completed_count = world->operation_count;
}

static void deliver_random(struct world *world)
{
    struct network *network = &world->network;
    size_t position;

    if (network->pool_count == 0) {
        return;
    }
    position = (size_t)rng_below(&world->rng, network->pool_count);
    if (rng_below(&world->rng, 100) < world->loss_percent) {
        network->pool_count--;
        network->pool[position] = network->pool[network->pool_count];
        return;
    }
    network_deliver(network, position,
                    rng_below(&world->rng, 100) < world->double_percent);
}

static void step(struct world *world)
{
    uint64_t choice = rng_below(&world->rng, 100);

    if (choice < 81) {
        deliver_random(world);
    } else if (choice < 88) {
        world->network.now_ms += rng_below(&world->rng, 200);
        network_tick(&world->network);
    } else if (choice < 92) {
        start_write(world);
    } else if (choice < 94) {
        start(world, (size_t)rng_below(&world->rng, 2), STATE_READ,
              (struct state_version){0});
    } else if (choice < 96) {
        start_seal(world);
    } else if (choice == 96) {
        struct network_replica *replica = network_replica(
            &world->network, 1 + rng_below(&world->rng, world->replica_count));

        replica->fault = rng_below(&world->rng, 3) == 0 ? STATE_STATUS_NO_SPACE
                                                        : STATE_STATUS_OK;
        replica->is_cut = rng_below(&world->rng, 4) == 0;
    } else if (choice == 97 && rng_below(&world->rng, 4) == 0) {
        restart_coordinator(world);
    }
}

/* The network heals: what is under way ends, and all can be read. */
static void finish(struct world *world)
{
    size_t before;

    for (uint64_t i = 1; i <= world->replica_count; i++) {
        network_replica(&world->network, i)->fault = STATE_STATUS_OK;
        network_replica(&world->network, i)->is_cut = false;
    }
    for (size_t i = 0; i < 100; i++) {
        network_run(&world->network);
        world->network.now_ms += STATE_RETRY_MS;
        network_tick(&world->network);
    }
    for (size_t i = 0; i < NETWORK_COORDINATORS; i++) {
        assert_int_equal(state_deadline_ms(world->network.tables[i]),
                         UINT64_MAX);
    }
    before = world->completed_count;
    if (world->operation_count + 2 > OPERATIONS_MAX ||
        world->epoch + 1 >= EPOCHS_MAX) {
        return;
    }
    world->epoch++;
    start(world, 0, STATE_SEAL, (struct state_version){.epoch = world->epoch});
    network_run(&world->network);
    expect(world, world->epochs[world->epoch].is_sealed, "no seal at the end");
    start(world, 1, STATE_READ, (struct state_version){0});
    network_run(&world->network);
    assert_int_equal(world->completed_count, before + 2);
}

static size_t run_seed(uint64_t seed, struct world *world)
{
    static const uint32_t replica_counts[] = {1, 2, 3, 3, 3, 5, 7};
    size_t seals = 0;

    *world = (struct world){.seed = seed, .epoch = 1};
    rng_init(&world->rng, seed);
    world->replica_count = replica_counts[rng_below(&world->rng, 7)];
    world->loss_percent = (uint32_t)rng_below(&world->rng, 25);
    world->double_percent = (uint32_t)rng_below(&world->rng, 20);
    world->epochs[1].next_seq = 1;
    world->network.completed = on_completed;
    world->network.completed_arg = world;
    network_open(&world->network, seed);
    for (size_t i = 0; i < STEPS; i++) {
        step(world);
    }
    finish(world);
    network_close(&world->network);
    for (size_t i = 0; i < EPOCHS_MAX; i++) {
        seals += world->epochs[i].is_sealed ? 1 : 0;
    }
    return seals;
}

static void nothing_acknowledged_is_lost(void **state)
{
    struct world *world = mem_alloc(sizeof(*world));
    size_t seals = 0;

    (void)state;
    assert_non_null(world);
    for (uint64_t seed = 1; seed <= SEEDS; seed++) {
        seals += run_seed(seed, world);
    }
    /* The test is worth something only if much succeeds under way. */
    assert_true(seals > (size_t)SEEDS * 4);
    mem_free(world);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_acknowledged_is_lost),
    };

    return cmocka_run_group_tests_name("state_coordinator_random", tests, NULL,
                                       NULL);
}
