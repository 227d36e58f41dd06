/* SPDX-License-Identifier: Apache-2.0
 * The state machine on the log of one member alone, and on that of three: the
 * same commands, the same state. Alone nothing is waited for: no election, no
 * message, no timer; and the same log goes on with three
 * (docs/decisions/2026-11-26-one-engine.md). */
#include "base/ensure.h"
#include "dump.h"
#include "machine.h"
#include "raft/raft.h"
#include "random.h"

enum {
    MEMBERS = 3,
    COMMANDS = 2000,
    BYTES_MAX = 1 << 20,
    QUEUE_MAX = 4096,
    TICK_MS = 50,
    SETTLE_TICKS = 100,
};

struct message {
    uint64_t from;
    uint64_t to;
    struct buf bytes;
};

/* Members whose disks and network take no time and lose nothing. */
struct cluster {
    uint64_t now_ms;
    struct raft *cores[MEMBERS];
    struct command_machine machines[MEMBERS];
    uint32_t count;
    struct message queue[QUEUE_MAX]; /* first in, first out */
    size_t queue_begin;
    size_t queue_end;
    uint64_t sent;
    enum raft_change_phase change; /* the last that was told */
};

static void step(struct cluster *c, uint32_t i, struct raft_event event);

static void carry_out(struct cluster *c, uint32_t i,
                      const struct raft_effects *effects)
{
    uint64_t seq = effects->persist.seq;

    if (effects->change.phase != RAFT_CHANGE_NONE) {
        c->change = effects->change.phase;
    }
    for (size_t j = 0; j < effects->send_count; j++) {
        struct message *message = &c->queue[c->queue_end++ % QUEUE_MAX];

        ensure(c->queue_end - c->queue_begin < QUEUE_MAX);
        message->from = i + 1;
        message->to = effects->sends[j].to;
        buf_init(&message->bytes, BYTES_MAX);
        buf_put_bytes(&message->bytes, effects->sends[j].bytes);
        c->sent++;
    }
    if (seq != 0) {
        step(c, i,
             (struct raft_event){.type = RAFT_PERSISTED, .persisted_seq = seq});
    }
}

static void step(struct cluster *c, uint32_t i, struct raft_event event)
{
    struct raft_effects effects;

    event.now_ms = c->now_ms;
    assert_ok(raft_step(c->cores[i], &event, &effects));
    raft_check(c->cores[i]);
    carry_out(c, i, &effects);
}

static void apply_committed(struct cluster *c, uint32_t i)
{
    struct command_machine *machine = &c->machines[i];

    while (machine->applied_index < raft_commit_index(c->cores[i])) {
        struct command command;
        struct command_result result;
        struct raft_entry entry;
        struct cursor batch;

        assert_ok(
            raft_entry_get(c->cores[i], machine->applied_index + 1, &entry));
        batch = cursor_of(entry.data);
        while (entry.type == RAFT_ENTRY_COMMAND &&
               command_decode(&batch, &command) == 0) {
            assert_ok(command_apply(machine, entry.index, &command, &result));
        }
        machine->applied_index = entry.index;
    }
}

/* Until nothing is under way any more. */
static void deliver(struct cluster *c)
{
    while (c->queue_begin < c->queue_end) {
        struct message *message = &c->queue[c->queue_begin++ % QUEUE_MAX];
        struct buf bytes = message->bytes;

        if (message->to <= c->count) {
            step(c, (uint32_t)message->to - 1,
                 (struct raft_event){.type = RAFT_MESSAGE,
                                     .from = message->from,
                                     .bytes = buf_bytes(&bytes)});
        }
        buf_close(&bytes);
    }
    for (uint32_t i = 0; i < c->count; i++) {
        apply_committed(c, i);
    }
}

static void tick(struct cluster *c)
{
    c->now_ms += TICK_MS;
    for (uint32_t i = 0; i < c->count; i++) {
        if (raft_deadline_ms(c->cores[i]) <= c->now_ms) {
            step(c, i, (struct raft_event){.type = RAFT_TICK});
        }
    }
    deliver(c);
}

static void add(struct cluster *c, uint32_t voter_count)
{
    struct raft_config config = {.id = c->count + 1,
                                 .voters = {1, 2, 3},
                                 .voter_count = voter_count,
                                 .election_timeout_ms = 500,
                                 .heartbeat_interval_ms = 100,
                                 .seed = c->count + 1};
    const struct raft_recovered nothing = {0};

    assert_ok(raft_new(&config, &nothing, c->now_ms, &c->cores[c->count]));
    command_machine_init(&c->machines[c->count], c->count, NULL, NULL);
    c->count++;
}

static struct cluster *new_cluster(uint32_t count)
{
    struct cluster *c = calloc(1, sizeof(*c));

    assert_non_null(c);
    c->now_ms = 1000;
    for (uint32_t i = 0; i < count; i++) {
        add(c, count);
    }
    return c;
}

static void free_cluster(struct cluster *c)
{
    for (uint32_t i = 0; i < c->count; i++) {
        raft_free(c->cores[i]);
        command_machine_close(&c->machines[i]);
    }
    free(c);
}

static uint32_t leader_of(struct cluster *c)
{
    for (uint32_t ticks = 0; ticks < SETTLE_TICKS; ticks++) {
        for (uint32_t i = 0; i < c->count; i++) {
            if (raft_role(c->cores[i]) == RAFT_LEADER) {
                return i;
            }
        }
        tick(c);
    }
    fail_msg("nobody leads");
    return 0;
}

/* Random commands, by what the first machine says. Indexes differ with the
 * number of elections; so what names one is given by that machine, too. */
static void run(struct cluster *c, struct rng *rng, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        uint32_t leader = leader_of(c);
        struct command command =
            random_command(rng, &c->machines[leader].registry, false);
        struct buf batch;

        buf_init(&batch, BYTES_MAX);
        command_encode(&batch, &command);
        assert_ok(buf_error(&batch));
        step(c, leader,
             (struct raft_event){.type = RAFT_PROPOSE,
                                 .bytes = buf_bytes(&batch)});
        deliver(c);
        buf_close(&batch);
    }
    /* The followers hear of the last commit with the next heartbeat. */
    for (uint32_t ticks = 0; ticks < SETTLE_TICKS; ticks++) {
        tick(c);
    }
}

static void dump(struct buf *out, const struct command_machine *machine)
{
    buf_init(out, BYTES_MAX);
    dump_machine(out, machine);
}

static void assert_same(const struct command_machine *a,
                        const struct command_machine *b)
{
    struct buf left;
    struct buf right;

    dump(&left, a);
    dump(&right, b);
    assert_true(bytes_equal(buf_bytes(&left), buf_bytes(&right)));
    buf_close(&left);
    buf_close(&right);
}

static void alone_nothing_is_waited_for(void **state)
{
    struct cluster *c = new_cluster(1);
    struct rng rng;

    (void)state;
    assert_int_equal(raft_deadline_ms(c->cores[0]), c->now_ms);
    step(c, 0, (struct raft_event){.type = RAFT_TICK});
    assert_int_equal(raft_role(c->cores[0]), RAFT_LEADER);
    assert_int_equal(raft_commit_index(c->cores[0]), 1);
    assert_true(raft_deadline_ms(c->cores[0]) == UINT64_MAX);
    rng_init(&rng, 1);
    run(c, &rng, COMMANDS);
    assert_int_equal(raft_commit_index(c->cores[0]), COMMANDS + 1);
    assert_int_equal(c->sent, 0);
    free_cluster(c);
}

/* Both logs begin with one empty entry, so their indexes agree. */
static void the_same_commands_make_the_same_state(void **state)
{
    struct cluster *one = new_cluster(1);
    struct cluster *three = new_cluster(MEMBERS);
    struct rng left;
    struct rng right;

    (void)state;
    rng_init(&left, 7);
    rng_init(&right, 7);
    run(one, &left, COMMANDS);
    run(three, &right, COMMANDS);
    assert_true(one->machines[0].registry.sandboxes.count > 0);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        assert_same(&one->machines[0], &three->machines[i]);
    }
    free_cluster(one);
    free_cluster(three);
}

static void one_goes_on_as_three(void **state)
{
    const struct raft_membership target = {.voters = {1, 2, 3},
                                           .voter_count = MEMBERS};
    struct cluster *c = new_cluster(1);
    struct rng rng;

    (void)state;
    rng_init(&rng, 3);
    run(c, &rng, COMMANDS);
    add(c, 0);
    add(c, 0);
    step(c, 0, (struct raft_event){.type = RAFT_CHANGE, .target = &target});
    /* It takes commands all the time. */
    run(c, &rng, COMMANDS);
    assert_int_equal(c->change, RAFT_CHANGE_DONE);
    assert_int_equal(raft_membership(c->cores[2])->voter_count, MEMBERS);
    for (uint32_t i = 1; i < MEMBERS; i++) {
        assert_same(&c->machines[0], &c->machines[i]);
    }
    free_cluster(c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alone_nothing_is_waited_for),
        cmocka_unit_test(the_same_commands_make_the_same_state),
        cmocka_unit_test(one_goes_on_as_three),
    };

    return cmocka_run_group_tests_name("alone", tests, NULL, NULL);
}
