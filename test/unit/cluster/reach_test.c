/* SPDX-License-Identifier: Apache-2.0
 * Cuts of every kind are told apart in time, each by whoever can know, and
 * neither losses nor pauses are taken for one. */
#include "cluster/reach.h"
#include "reach_world.h"

#include <stdio.h>

enum {
    DETECTION_MS_MAX = 2000,
    RANDOM_CUTS = 150,
    QUIET_MINUTES = 60,
    MEMBERS = 5,
};

/* --- What each member should see: a model of its own ---------------------- */

static bool is_whole(struct world *world, uint32_t a, uint32_t b)
{
    return a == b ||
           (!world_way(world, a, b)->is_cut && !world_way(world, b, a)->is_cut);
}

/* Whom `i` hears of, by any way. */
static uint32_t component_of(struct world *world, uint32_t i)
{
    uint32_t set = 1U << i;

    for (uint32_t round = 0; round < world->count; round++) {
        for (uint32_t a = 0; a < world->count; a++) {
            for (uint32_t b = 0; b < world->count; b++) {
                if ((set & (1U << a)) != 0 && is_whole(world, a, b)) {
                    set |= 1U << b;
                }
            }
        }
    }
    return set;
}

static bool is_together(struct world *world, uint32_t set)
{
    for (uint32_t a = 0; a < world->count; a++) {
        for (uint32_t b = 0; b < a; b++) {
            if ((set & (1U << a)) != 0 && (set & (1U << b)) != 0 &&
                !is_whole(world, a, b)) {
                return false;
            }
        }
    }
    return true;
}

/* By trying all sets. */
static bool is_group(struct world *world, uint32_t set, uint32_t known)
{
    if ((set & ~known) != 0 || set == 0 || !is_together(world, set)) {
        return false;
    }
    for (uint32_t a = 0; a < world->count; a++) {
        uint32_t more = set | 1U << a;

        if (more != set && (more & ~known) == 0 && is_together(world, more)) {
            return false;
        }
    }
    return true;
}

static bool has_right_groups(struct world *world, uint32_t i)
{
    uint32_t all = (1U << world->count) - 1;
    uint32_t known = component_of(world, i);
    uint32_t missing = 0;
    uint32_t count = 0;
    struct reach_view view;

    reach_view(&world->reach[i], &view);
    for (uint32_t set = 1; set <= all; set++) {
        uint32_t at = 0;

        if (!is_group(world, set, known)) {
            continue;
        }
        count++;
        while (at < view.group_count && view.groups[at] != set) {
            at++;
        }
        if (at == view.group_count) {
            return false;
        }
    }
    for (uint32_t j = 0; j < world->count; j++) {
        missing |= is_whole(world, i, j) ? 0 : 1U << j;
    }
    return count == view.group_count && !view.has_more &&
           view.missing == missing && view.unheard == (all & ~known);
}

static bool has_right_one_ways(struct world *world, uint32_t i)
{
    uint32_t known = component_of(world, i);

    for (uint32_t a = 0; a < world->count; a++) {
        for (uint32_t b = 0; b < world->count; b++) {
            bool is_named =
                (world->reach[i].matrix.one_way[a] & (1U << b)) != 0;
            bool is_one_way = !world_way(world, a, b)->is_cut &&
                              world_way(world, b, a)->is_cut &&
                              (known & (1U << b)) != 0;

            if (is_named != is_one_way) {
                return false;
            }
        }
    }
    return true;
}

static bool sees_all(struct world *world, bool with_one_ways)
{
    for (uint32_t i = 0; i < world->count; i++) {
        if (!has_right_groups(world, i) ||
            (with_one_ways && !has_right_one_ways(world, i))) {
            return false;
        }
    }
    return true;
}

/* How long until all see what is; fails if they do not in time. */
static uint64_t await_sight(struct world *world, bool with_one_ways)
{
    uint64_t begin_ms = world->now_ms;

    while (!sees_all(world, with_one_ways)) {
        if (world->now_ms - begin_ms > DETECTION_MS_MAX) {
            for (uint32_t i = 0; i < world->count; i++) {
                for (uint32_t j = 0; j < world->count; j++) {
                    print_message("%c",
                                  world_way(world, i, j)->is_cut ? '.' : 'x');
                }
                print_message("  groups %s, one-way %s\n",
                              has_right_groups(world, i) ? "right" : "wrong",
                              has_right_one_ways(world, i) ? "right" : "wrong");
            }
            fail_msg("not seen after %d ms", DETECTION_MS_MAX);
        }
        world_run(world, WORLD_STEP_MS);
    }
    return world->now_ms - begin_ms;
}

static void set_cut(struct world *world, uint32_t from, uint32_t to,
                    bool is_cut)
{
    world_way(world, from, to)->is_cut = is_cut;
}

static void heal(struct world *world)
{
    for (uint32_t i = 0; i < world->count; i++) {
        for (uint32_t j = 0; j < world->count; j++) {
            set_cut(world, i, j, false);
        }
    }
}

static void open_whole(struct world *world, uint64_t seed)
{
    world_open(world, MEMBERS, seed);
    (void)await_sight(world, true);
    /* Cuts begin at all points between two probes. */
    world_run(world, 3000 + rng_below(&world->rng, REACH_PROBE_MS));
}

/* What was cut stays seen, and what is healed is seen to be. */
static void see_and_heal(struct world *world, uint64_t *worst_cut_ms,
                         uint64_t *worst_heal_ms)
{
    uint64_t took_ms = await_sight(world, true);

    *worst_cut_ms = took_ms > *worst_cut_ms ? took_ms : *worst_cut_ms;
    for (uint32_t i = 0; i < 500; i++) {
        world_run(world, WORLD_STEP_MS);
        assert_true(sees_all(world, true));
    }
    world_run(world, rng_below(&world->rng, 1000));
    heal(world);
    took_ms = await_sight(world, true);
    *worst_heal_ms = took_ms > *worst_heal_ms ? took_ms : *worst_heal_ms;
}

/* --- Cuts ----------------------------------------------------------------- */

/* Members with the same letter stay together. */
static void cut_between(struct world *world, const char *sides)
{
    for (uint32_t i = 0; i < MEMBERS; i++) {
        for (uint32_t j = 0; j < MEMBERS; j++) {
            set_cut(world, i, j, sides[i] != sides[j]);
        }
    }
}

static void full_cuts_have_their_groups(void **state)
{
    static const char *const all[] = {"aabbb", "abbbb", "abccc", "aabbc",
                                      "abcde", "ababa", "aaabc"};
    uint64_t worst_cut_ms = 0;
    uint64_t worst_heal_ms = 0;

    (void)state;
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        for (uint64_t seed = 0; seed < 10; seed++) {
            struct world world;

            open_whole(&world, seed);
            cut_between(&world, all[i]);
            see_and_heal(&world, &worst_cut_ms, &worst_heal_ms);
            world_close(&world);
        }
    }
    print_message("full cuts: seen within %d ms, healing within %d ms\n",
                  (int)worst_cut_ms, (int)worst_heal_ms);
}

static void partial_cuts_have_overlapping_groups(void **state)
{
    uint64_t worst_cut_ms = 0;
    uint64_t worst_heal_ms = 0;

    (void)state;
    for (uint32_t shape = 0; shape < 3; shape++) {
        for (uint64_t seed = 0; seed < 10; seed++) {
            struct world world;

            open_whole(&world, seed);
            for (uint32_t i = 0; i < MEMBERS; i++) {
                for (uint32_t j = 0; j < MEMBERS; j++) {
                    uint32_t apart = (i + MEMBERS - j) % MEMBERS;
                    bool is_cut[] = {
                        i + j == 1,               /* one pair */
                        apart == 2 || apart == 3, /* left: a ring */
                        i != 0 && j != 0 && i != j /* left: a star */};

                    set_cut(&world, i, j, is_cut[shape]);
                }
            }
            see_and_heal(&world, &worst_cut_ms, &worst_heal_ms);
            world_close(&world);
        }
    }
    print_message("partial cuts: seen within %d ms, healing within %d ms\n",
                  (int)worst_cut_ms, (int)worst_heal_ms);
}

static void one_way_cuts_are_named(void **state)
{
    uint64_t worst_cut_ms = 0;
    uint64_t worst_heal_ms = 0;

    (void)state;
    for (uint32_t i = 0; i < MEMBERS; i++) {
        for (uint32_t j = 0; j < MEMBERS; j++) {
            struct world world;

            if (i == j) {
                continue;
            }
            open_whole(&world, i * MEMBERS + j);
            set_cut(&world, i, j, true);
            see_and_heal(&world, &worst_cut_ms, &worst_heal_ms);
            world_close(&world);
        }
    }
    print_message("one-way cuts: seen within %d ms, healing within %d ms\n",
                  (int)worst_cut_ms, (int)worst_heal_ms);
}

static void random_cuts_are_seen_as_they_are(void **state)
{
    uint64_t worst_cut_ms = 0;
    uint64_t worst_heal_ms = 0;

    (void)state;
    for (uint64_t seed = 0; seed < RANDOM_CUTS; seed++) {
        struct world world;
        uint64_t per_mille;

        open_whole(&world, 1000 + seed);
        per_mille = rng_below(&world.rng, 1000);
        for (uint32_t i = 0; i < MEMBERS; i++) {
            for (uint32_t j = 0; j < MEMBERS; j++) {
                set_cut(&world, i, j,
                        i != j && rng_below(&world.rng, 1000) < per_mille);
            }
        }
        see_and_heal(&world, &worst_cut_ms, &worst_heal_ms);
        world_close(&world);
    }
    print_message("random cuts: seen within %d ms, healing within %d ms\n",
                  (int)worst_cut_ms, (int)worst_heal_ms);
}

/* --- No cuts -------------------------------------------------------------- */

static void alarm_is_false(struct world *world, uint32_t i)
{
    struct reach_view view;

    if (world->reach[i].matrix.known != 0 && *(bool *)world->arg) {
        reach_view(&world->reach[i], &view);
        if (view.group_count != 1 || view.together != world->count) {
            fail_msg("member %u, at %d ms: a false alarm", i,
                     (int)world->now_ms);
        }
    }
}

/* QUORATE_REACH_MINUTES=10000 runs that many minutes. */
static uint64_t minutes(void)
{
    const char *text = getenv("QUORATE_REACH_MINUTES");

    return text == NULL ? QUIET_MINUTES : strtoull(text, NULL, 10);
}

static void live_with_losses(uint32_t count, uint64_t seed)
{
    struct world world;
    bool is_watched = false;

    world_open(&world, count, seed);
    world.stepped = alarm_is_false;
    world.arg = &is_watched;
    (void)await_sight(&world, true);
    world_run(&world, 5000);
    is_watched = true;
    world.loss_percent = 5;
    for (uint64_t i = 0; i < minutes() * 6; i++) {
        uint32_t paused = (uint32_t)rng_below(&world.rng, count);

        world.paused_until_ms[paused] = world.now_ms + 1000;
        world_run(&world, 10000);
    }
    world_close(&world);
}

static void losses_and_pauses_are_no_partition_of_five(void **state)
{
    (void)state;
    live_with_losses(5, 1);
}

static void losses_and_pauses_are_no_partition_of_two(void **state)
{
    (void)state;
    live_with_losses(2, 2);
}

/* A member that is stopped for longer is missed, and not called cut one way;
 * itself it accuses nobody when it goes on. */
static void stopped_member_is_missed(void **state)
{
    struct world world;

    (void)state;
    open_whole(&world, 3);
    world.paused_until_ms[2] = world.now_ms + 10000;
    world_run(&world, REACH_STOPPED_MS - REACH_PROBE_MS);
    assert_true(sees_all(&world, true));
    world_run(&world, 1000);
    for (uint32_t i = 0; i < MEMBERS; i++) {
        struct reach_view view;

        reach_view(&world.reach[i], &view);
        assert_int_equal(view.missing, i == 2 ? 0 : 1U << 2);
        assert_int_equal(view.together, i == 2 ? 5 : 4);
        assert_true(has_right_one_ways(&world, i));
    }
    world_run(&world, 10000 - REACH_STOPPED_MS - 1000 + REACH_PROBE_MS);
    world_run(&world, 300);
    assert_true(sees_all(&world, true));
    world_close(&world);
}

/* --- Single steps --------------------------------------------------------- */

static struct reach_effects step(struct reach *reach, struct reach_event event)
{
    struct reach_effects effects;

    assert_ok(reach_step(reach, &event, &effects));
    reach_check(reach);
    return effects;
}

static void open_two(struct reach *reach, uint64_t now_ms)
{
    static const uint64_t ids[] = {1, 2};

    reach_init(reach, &(struct reach_config){.self = 1, .number = 1});
    (void)step(reach, (struct reach_event){.type = REACH_MEMBERS,
                                           .now_ms = now_ms,
                                           .ids = ids,
                                           .count = 2});
}

static void hear(struct reach *reach, uint64_t now_ms,
                 const struct reach_probe *probe)
{
    struct buf out;

    buf_init(&out, REACH_PROBE_SIZE_MAX);
    reach_probe_encode(&out, probe);
    (void)step(reach, (struct reach_event){.type = REACH_PROBE,
                                           .now_ms = now_ms,
                                           .now_us = now_ms * 1000,
                                           .from = probe->ids[0],
                                           .bytes = buf_bytes(&out)});
    buf_close(&out);
}

static void round_trips_are_measured(void **state)
{
    struct reach_probe probe = {
        .count = 1, .ids = {2}, .rows = {{.number = 1}}};
    struct reach reach;
    uint32_t last_us;
    uint32_t median_us;

    (void)state;
    open_two(&reach, 10000);
    assert_false(reach_rtt(reach_peer(&reach, 2), &last_us, &median_us));
    for (uint32_t i = 1; i <= 20; i++) {
        probe.echo_us = 10000 * 1000 - 10 * i - 5;
        probe.held_us = 5;
        hear(&reach, 10000, &probe);
    }
    assert_true(reach_rtt(reach_peer(&reach, 2), &last_us, &median_us));
    assert_int_equal(last_us, 200);
    assert_int_equal(median_us, 130); /* of 50 to 200 */
    /* What cannot be is not counted. */
    probe.echo_us = 20000 * 1000;
    hear(&reach, 10000, &probe);
    probe.echo_us = 1;
    hear(&reach, 100000, &probe);
    assert_true(reach_rtt(reach_peer(&reach, 2), &last_us, &median_us));
    assert_int_equal(last_us, 200);
}

static void old_rows_do_not_replace_newer_ones(void **state)
{
    static const uint64_t ids[] = {1, 2, 3};
    struct reach_probe probe = {
        .count = 3,
        .ids = {2, 3, 1},
        .rows = {{.number = 5, .heard = 7}, {.number = 9, .heard = 3}}};
    struct reach reach;

    (void)state;
    open_two(&reach, 10000);
    (void)step(&reach, (struct reach_event){.type = REACH_MEMBERS,
                                            .now_ms = 10000,
                                            .ids = ids,
                                            .count = 3});
    hear(&reach, 10000, &probe);
    assert_int_equal(reach_peer(&reach, 3)->row.heard, 0x6);
    probe.rows[1] = (struct reach_row){.number = 8, .heard = 7};
    hear(&reach, 10000, &probe);
    assert_int_equal(reach_peer(&reach, 3)->row.heard, 0x6);
    /* One that is too old is not taken, however great its number. */
    probe.rows[1] =
        (struct reach_row){.number = 10, .heard = 7, .age_ms = REACH_ROW_MS};
    hear(&reach, 10000, &probe);
    assert_int_equal(reach_peer(&reach, 3)->row.heard, 0x6);
    probe.rows[1] = (struct reach_row){.number = 10, .heard = 7};
    hear(&reach, 10000, &probe);
    assert_int_equal(reach_peer(&reach, 3)->row.heard, 0x7);
    /* Its own word always is: it has been started again. */
    probe = (struct reach_probe){
        .count = 1, .ids = {3}, .rows = {{.number = 1, .heard = 1}}};
    hear(&reach, 10000, &probe);
    assert_int_equal(reach_peer(&reach, 3)->row.heard, 0x4);
    assert_int_equal(reach_peer(&reach, 3)->row.number, 1);
}

static void nobody_is_judged_before_input_is_read(void **state)
{
    struct reach_probe probe = {
        .count = 1, .ids = {2}, .rows = {{.number = 1}}};
    struct reach reach;
    uint64_t now_ms = 10000;

    (void)state;
    open_two(&reach, now_ms);
    hear(&reach, now_ms, &probe);
    for (; now_ms <= 10000 + REACH_SILENCE_MS; now_ms += REACH_TICK_MS) {
        (void)step(&reach, (struct reach_event){.type = REACH_TICK,
                                                .now_ms = now_ms,
                                                .has_unread = true});
    }
    /* Not for ever. */
    assert_false(reach_peer(&reach, 2)->is_heard);
    hear(&reach, now_ms, &probe);
    (void)step(&reach,
               (struct reach_event){.type = REACH_TICK, .now_ms = now_ms});
    (void)step(&reach, (struct reach_event){.type = REACH_TICK,
                                            .now_ms = now_ms + 60000});
    assert_true(reach_peer(&reach, 2)->is_heard);
}

static void members_come_and_go(void **state)
{
    static const uint64_t more[] = {2, 1, 7};
    static const uint64_t many[REACH_MAX + 1] = {1};
    struct reach_probe probe = {
        .count = 2, .ids = {2, 1}, .rows = {{.number = 1, .heard = 3}}};
    struct reach_event event = {
        .type = REACH_MEMBERS, .ids = many, .count = REACH_MAX + 1};
    struct reach_effects effects;
    struct reach reach;
    struct reach_view view;

    (void)state;
    open_two(&reach, 10000);
    reach_view(&reach, &view);
    assert_int_equal(view.missing, 2); /* it was never heard */
    assert_err(reach_step(&reach, &event, &effects), ERR_LIMIT);
    hear(&reach, 10000, &probe);
    effects = step(&reach, (struct reach_event){.type = REACH_MEMBERS,
                                                .now_ms = 10000,
                                                .ids = more,
                                                .count = 3});
    assert_true(effects.is_changed);
    reach_view(&reach, &view);
    assert_int_equal(view.missing, 0); /* the new one has time to come */
    assert_int_equal(reach_peer(&reach, 2)->row.heard, 3);
    (void)step(&reach, (struct reach_event){.type = REACH_MEMBERS,
                                            .now_ms = 10000,
                                            .ids = more + 2,
                                            .count = 1});
    reach_view(&reach, &view);
    assert_int_equal(view.together, 0); /* it does not take part itself */
    assert_null(reach_peer(&reach, 1));
}

/* The most groups that sixteen members can have, 4 * 3^4 (Moon and Moser,
 * 1965), are more than there is room for; the biggest are kept. */
static void groups_are_bounded(void **state)
{
    uint16_t links[REACH_MAX];
    struct reach_view view = {.group_count = 0};

    (void)state;
    for (uint32_t i = 0; i < REACH_MAX; i++) {
        links[i] = 0;
        for (uint32_t j = 0; j < REACH_MAX; j++) {
            links[i] |= (uint16_t)(i == j || i % 5 != j % 5 ? 1U << j : 0);
        }
    }
    reach_groups(links, 0xffff, &view);
    assert_true(view.has_more);
    assert_int_equal(view.group_count, REACH_GROUPS_MAX);
    for (uint32_t i = 0; i < view.group_count; i++) {
        assert_int_equal(__builtin_popcount(view.groups[i]), 5);
    }
    memset(links, 0xff, sizeof(links));
    view = (struct reach_view){.group_count = 0};
    reach_groups(links, 0xffff, &view);
    assert_int_equal(view.group_count, 1);
    assert_int_equal(view.groups[0], 0xffff);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(full_cuts_have_their_groups),
        cmocka_unit_test(partial_cuts_have_overlapping_groups),
        cmocka_unit_test(one_way_cuts_are_named),
        cmocka_unit_test(random_cuts_are_seen_as_they_are),
        cmocka_unit_test(losses_and_pauses_are_no_partition_of_five),
        cmocka_unit_test(losses_and_pauses_are_no_partition_of_two),
        cmocka_unit_test(stopped_member_is_missed),
        cmocka_unit_test(round_trips_are_measured),
        cmocka_unit_test(old_rows_do_not_replace_newer_ones),
        cmocka_unit_test(nobody_is_judged_before_input_is_read),
        cmocka_unit_test(members_come_and_go),
        cmocka_unit_test(groups_are_bounded),
    };

    return cmocka_run_group_tests_name("reach", tests, NULL, NULL);
}
