/* SPDX-License-Identifier: Apache-2.0
 * io/coalesce: callers in virtual time that wait for each answer, on a machine
 * of their own that sends so many frames a second at most. */
#include "io/coalesce.h"
#include "lib/test.h"

enum {
    CALL_FRAMES = 3,      /* of gen_server:call */
    THINK_NS = 40 * 1000, /* from an answer to the next call */
    CALL_NS = 10 * 1000,  /* what a call costs the callers' machine */
    TURN_NS = 10 * 1000,  /* what a turn takes without what it handles */
    TURNS = 20 * 1000
};

struct world {
    struct coalesce coalesce;
    uint64_t now_ns;
    uint64_t waits;
    uint64_t frames;
};

static void begin(struct world *world)
{
    *world = (struct world){.now_ns = 1};
    coalesce_init(&world->coalesce, world->now_ns);
}

/* So many turns of a member with so many callers, each of which has one call
 * under way: a turn finds the calls that were sent since the last one. */
static void run(struct world *world, uint64_t callers, uint64_t turns)
{
    uint64_t answered_ns = world->now_ns;
    bool is_waiting = false;

    for (uint64_t i = 0; i < turns; i++) {
        uint64_t first_ns = answered_ns + THINK_NS / callers;
        uint64_t calls;

        world->now_ns += is_waiting ? COALESCE_WAIT_NS : 0;
        world->now_ns = world->now_ns < first_ns ? first_ns : world->now_ns;
        calls = 1 + (world->now_ns - first_ns) / CALL_NS;
        calls = calls < callers ? calls : callers;
        world->now_ns += TURN_NS;
        answered_ns = world->now_ns;
        world->frames += calls * CALL_FRAMES;
        is_waiting =
            coalesce_turn(&world->coalesce, calls * CALL_FRAMES, world->now_ns);
        world->waits += is_waiting ? 1 : 0;
    }
}

static void one_caller_hardly_ever_waits(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    run(&world, 1, TURNS);
    assert_in_range(world.waits, 1, TURNS / COALESCE_TURNS_MAX + 5);
}

static void many_callers_share_turns(void **state)
{
    struct world world;
    uint64_t alone_ns;

    (void)state;
    begin(&world);
    run(&world, 64, TURNS);
    assert_true(world.waits > TURNS * 8 / 10);
    /* And are served about as fast as without waiting. */
    alone_ns = world.frames / CALL_FRAMES * (TURN_NS + THINK_NS / 64);
    assert_true(world.now_ns * 9 / 10 < alone_ns);
}

static void it_ends_when_they_leave(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    run(&world, 64, TURNS);
    world.waits = 0;
    run(&world, 1, TURNS);
    assert_in_range(world.waits, 1,
                    COALESCE_TRY_WAITS + TURNS / COALESCE_TURNS_MAX + 8);
}

static void it_begins_again_when_they_come_back(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    run(&world, 1, TURNS);
    world.waits = 0;
    run(&world, 64, TURNS);
    assert_true(world.waits > TURNS * 8 / 10);
}

static void few_frames_are_never_waited_for(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    for (uint64_t i = 0; i < TURNS; i++) {
        uint64_t now_ns = i * (2 * 1000000000ULL / COALESCE_FRAMES_S_MIN);

        assert_false(coalesce_turn(&world.coalesce, 1, now_ns));
    }
}

/* No arithmetic of it minds a clock that stands, or a turn of millions. */
static void extremes_do_no_harm(void **state)
{
    struct world world;

    (void)state;
    begin(&world);
    for (uint64_t i = 0; i < TURNS; i++) {
        (void)coalesce_turn(&world.coalesce, 8 * 1000 * 1000, 1);
    }
    for (uint64_t i = 0; i < TURNS; i++) {
        (void)coalesce_turn(&world.coalesce, 0, i * 1000000000000ULL);
    }
    assert_int_equal(world.coalesce.mode, COALESCE_OFF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_caller_hardly_ever_waits),
        cmocka_unit_test(many_callers_share_turns),
        cmocka_unit_test(it_ends_when_they_leave),
        cmocka_unit_test(it_begins_again_when_they_come_back),
        cmocka_unit_test(few_frames_are_never_waited_for),
        cmocka_unit_test(extremes_do_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
