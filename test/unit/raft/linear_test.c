/* SPDX-License-Identifier: Apache-2.0
 * sim/linear: histories of which it is known what they are, all small ones
 * against trying every order, and big ones of a register that is in order. */
#include "base/mem.h"
#include "base/rng.h"
#include "lib/test.h"
#include "sim/linear.h"

#include <stdlib.h>

enum {
    SMALL_MAX = 6,
    SMALL_ROUNDS = 60 * 1000,
    BIG_CALLS = 20 * 1000,
    BIG_CLIENTS = 12,
    WRONG_CALLS = 200,
    BIG_REGISTERS = 3
};

static struct linear_call write_of(uint64_t value, uint64_t begin, uint64_t end)
{
    return (struct linear_call){
        .kind = LINEAR_WRITE, .value = value, .begin = begin, .end = end};
}

static struct linear_call read_of(uint64_t value, uint64_t begin, uint64_t end)
{
    return (struct linear_call){
        .kind = LINEAR_READ, .value = value, .begin = begin, .end = end};
}

static struct linear_call cas_of(uint64_t expected, uint64_t value,
                                 uint64_t begin, uint64_t end)
{
    return (struct linear_call){.kind = LINEAR_CAS,
                                .expected = expected,
                                .value = value,
                                .begin = begin,
                                .end = end};
}

static struct linear_call lost(struct linear_call call)
{
    call.is_unknown = true;
    return call;
}

static struct linear_call failed(struct linear_call call)
{
    call.has_failed = true;
    return call;
}

#define CHECK(...)                                                   \
    linear_check((const struct linear_call[]){__VA_ARGS__},          \
                 sizeof((const struct linear_call[]){__VA_ARGS__}) / \
                     sizeof(struct linear_call),                     \
                 NULL)

static void right_histories(void **state)
{
    (void)state;
    assert_int_equal(linear_check(NULL, 0, NULL), LINEAR_RIGHT);
    assert_int_equal(CHECK(read_of(0, 1, 2)), LINEAR_RIGHT);
    assert_int_equal(CHECK(write_of(1, 1, 2), read_of(1, 3, 4)), LINEAR_RIGHT);
    /* A read beside a write may see either. */
    assert_int_equal(CHECK(write_of(1, 1, 4), read_of(0, 2, 3)), LINEAR_RIGHT);
    assert_int_equal(CHECK(write_of(1, 1, 4), read_of(1, 2, 3)), LINEAR_RIGHT);
    /* What was not answered may have happened much later, or never. */
    assert_int_equal(
        CHECK(lost(write_of(1, 1, 0)), read_of(0, 2, 3), read_of(1, 4, 5)),
        LINEAR_RIGHT);
    assert_int_equal(CHECK(lost(write_of(1, 1, 0)), read_of(0, 2, 3)),
                     LINEAR_RIGHT);
    assert_int_equal(CHECK(cas_of(0, 1, 1, 4), failed(cas_of(0, 2, 2, 3))),
                     LINEAR_RIGHT);
    /* A read without an answer says nothing, whatever is in it. */
    assert_int_equal(CHECK(lost(read_of(9, 1, 0)), read_of(0, 2, 3)),
                     LINEAR_RIGHT);
}

static void wrong_histories(void **state)
{
    (void)state;
    assert_int_equal(CHECK(read_of(1, 1, 2)), LINEAR_WRONG);
    /* A stale read. */
    assert_int_equal(CHECK(write_of(1, 1, 2), read_of(0, 3, 4)), LINEAR_WRONG);
    /* Two reads that disagree on the order of two writes. */
    assert_int_equal(CHECK(write_of(1, 1, 8), write_of(2, 2, 9),
                           read_of(1, 10, 11), read_of(2, 12, 13)),
                     LINEAR_WRONG);
    /* A value seen, and then the one before it. */
    assert_int_equal(
        CHECK(write_of(1, 1, 9), read_of(1, 2, 3), read_of(0, 4, 5)),
        LINEAR_WRONG);
    /* Both cannot have found 0 there. */
    assert_int_equal(CHECK(cas_of(0, 1, 1, 4), cas_of(0, 2, 2, 3)),
                     LINEAR_WRONG);
    /* It failed, but nothing else was ever there. */
    assert_int_equal(CHECK(failed(cas_of(0, 2, 1, 2))), LINEAR_WRONG);
    /* Lost, and seen, and gone again. */
    assert_int_equal(
        CHECK(lost(write_of(1, 1, 0)), read_of(1, 2, 3), read_of(0, 4, 5)),
        LINEAR_WRONG);
}

static void the_call_without_a_place_is_named(void **state)
{
    const struct linear_call calls[] = {write_of(1, 1, 2), write_of(2, 3, 4),
                                        read_of(1, 5, 6), read_of(2, 7, 8)};
    size_t stuck = 99;

    (void)state;
    assert_int_equal(linear_check(calls, 4, &stuck), LINEAR_WRONG);
    assert_int_equal(stuck, 2);
}

static void registers_are_independent(void **state)
{
    struct linear_call there = write_of(7, 3, 4);
    struct linear_call stale = read_of(0, 5, 6);

    (void)state;
    there.reg = 1;
    stale.reg = 1;
    assert_int_equal(CHECK(write_of(1, 1, 2), there, read_of(1, 7, 8)),
                     LINEAR_RIGHT);
    assert_int_equal(CHECK(write_of(1, 1, 2), there, read_of(1, 7, 8), stale),
                     LINEAR_WRONG);
}

/* --- Small ones against every order --------------------------------------- */

static bool fits(const struct linear_call *call, uint64_t *value)
{
    if (call->kind == LINEAR_READ) {
        return call->value == *value;
    }
    if (call->kind == LINEAR_CAS && call->has_failed) {
        return call->expected != *value;
    }
    if (call->kind == LINEAR_CAS && call->expected != *value) {
        return false;
    }
    *value = call->value;
    return true;
}

static uint64_t end_of(const struct linear_call *call)
{
    return call->is_unknown ? UINT64_MAX : call->end;
}

/* `done`: a set of bits. Depth is bounded by SMALL_MAX. */
static bool some_order(const struct linear_call *calls, size_t count,
                       unsigned done, uint64_t value)
{
    bool is_all = true;

    for (size_t i = 0; i < count; i++) {
        uint64_t after = value;
        bool is_first = (done >> i & 1) == 0;

        if (!is_first) {
            continue;
        }
        is_all = is_all && calls[i].is_unknown;
        for (size_t j = 0; j < count; j++) {
            if ((done >> j & 1) == 0 && end_of(&calls[j]) < calls[i].begin) {
                is_first = false;
            }
        }
        if (is_first && fits(&calls[i], &after) &&
            some_order(calls, count, done | 1U << i, after)) {
            return true;
        }
    }
    return is_all;
}

static size_t make_small(struct rng *rng, struct linear_call *calls)
{
    size_t count = 1 + (size_t)rng_below(rng, SMALL_MAX);
    uint64_t times[2 * SMALL_MAX];

    for (size_t i = 0; i < 2 * count; i++) {
        times[i] = i + 1;
    }
    for (size_t i = 2 * count - 1; i > 0; i--) {
        size_t j = (size_t)rng_below(rng, i + 1);
        uint64_t time = times[i];

        times[i] = times[j];
        times[j] = time;
    }
    for (size_t i = 0; i < count; i++) {
        uint64_t a = times[2 * i];
        uint64_t b = times[2 * i + 1];

        calls[i] =
            (struct linear_call){.kind = (enum linear_kind)rng_below(rng, 3),
                                 .value = rng_below(rng, 3),
                                 .expected = rng_below(rng, 3),
                                 .is_unknown = rng_below(rng, 5) == 0,
                                 .begin = a < b ? a : b,
                                 .end = a < b ? b : a};
        calls[i].has_failed =
            calls[i].kind == LINEAR_CAS && rng_below(rng, 2) == 0;
    }
    return count;
}

static void small_histories_against_every_order(void **state)
{
    size_t right = 0;

    (void)state;
    for (uint64_t seed = 0; seed < SMALL_ROUNDS; seed++) {
        struct linear_call calls[SMALL_MAX];
        struct rng rng;
        size_t count;
        bool is_right;

        rng_init(&rng, seed);
        count = make_small(&rng, calls);
        for (size_t i = 0; i < count; i++) {
            /* Those say nothing to either. */
            if (calls[i].kind == LINEAR_READ) {
                calls[i].is_unknown = false;
            }
        }
        is_right = some_order(calls, count, 0, 0);
        if (linear_check(calls, count, NULL) !=
            (is_right ? LINEAR_RIGHT : LINEAR_WRONG)) {
            fail_msg("seed %llu: it is %s", (unsigned long long)seed,
                     is_right ? "right" : "wrong");
        }
        right += is_right ? 1 : 0;
    }
    /* Neither verdict is a rare one. */
    assert_in_range(right, SMALL_ROUNDS / 10, SMALL_ROUNDS * 9 / 10);
}

/* --- Big ones ------------------------------------------------------------- */

/* Clients take turns at random; a call takes effect between its begin and its
 * end, one in twenty is not answered, and of these every second has no
 * effect. */
static void make_big(struct rng *rng, struct linear_call *calls)
{
    struct linear_call *open[BIG_CLIENTS] = {NULL};
    bool has_happened[BIG_CLIENTS] = {false};
    uint64_t values[BIG_REGISTERS] = {0};
    size_t made = 0;
    size_t closed = 0;

    for (uint64_t now = 1; closed < BIG_CALLS; now++) {
        size_t client = (size_t)rng_below(rng, BIG_CLIENTS);
        struct linear_call *call = open[client];

        if (call == NULL) {
            if (made == BIG_CALLS) {
                continue;
            }
            call = &calls[made++];
            *call = (struct linear_call){
                .kind = (enum linear_kind)rng_below(rng, 3),
                .reg = rng_below(rng, BIG_REGISTERS),
                .value = rng_below(rng, 5),
                .expected = rng_below(rng, 5),
                .begin = now};
            open[client] = call;
            has_happened[client] = false;
        } else if (!has_happened[client]) {
            uint64_t *value = &values[call->reg];

            has_happened[client] = true;
            call->is_unknown = rng_below(rng, 20) == 0;
            if (call->is_unknown && rng_below(rng, 2) == 0) {
                continue;
            }
            if (call->kind == LINEAR_READ) {
                call->value = *value;
            } else if (call->kind == LINEAR_CAS && call->expected != *value) {
                call->has_failed = true;
            } else {
                *value = call->value;
            }
        } else {
            call->end = now;
            open[client] = NULL;
            closed++;
        }
    }
}

static void big_histories_in_order_are_right(void **state)
{
    struct linear_call *calls = mem_alloc_array(BIG_CALLS, sizeof(*calls));

    (void)state;
    assert_non_null(calls);
    for (uint64_t seed = 0; seed < 5; seed++) {
        struct rng rng;
        size_t stuck = 0;
        size_t place;

        rng_init(&rng, seed);
        make_big(&rng, calls);
        assert_int_equal(linear_check(calls, BIG_CALLS, &stuck), LINEAR_RIGHT);
        /* No client ever wrote 77. What is wrong takes long to prove where many
         * calls had no answer. */
        place = (size_t)rng_below(&rng, WRONG_CALLS);
        calls[place].kind = LINEAR_READ;
        calls[place].value = 77;
        calls[place].is_unknown = false;
        calls[place].has_failed = false;
        assert_int_equal(linear_check(calls, WRONG_CALLS, &stuck),
                         LINEAR_WRONG);
    }
    mem_free(calls);
}

static void a_lack_of_memory_is_no_verdict(void **state)
{
    const struct linear_call calls[] = {write_of(1, 1, 2), read_of(1, 3, 4)};
    enum linear_verdict verdict = LINEAR_NO_MEMORY;
    uint64_t allocations = 0;

    (void)state;
    while (verdict == LINEAR_NO_MEMORY) {
        mem_fail_after(allocations);
        verdict = linear_check(calls, 2, NULL);
        mem_fail_after(UINT64_MAX);
        allocations++;
    }
    assert_int_equal(verdict, LINEAR_RIGHT);
    assert_true(allocations > 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(right_histories),
        cmocka_unit_test(wrong_histories),
        cmocka_unit_test(the_call_without_a_place_is_named),
        cmocka_unit_test(registers_are_independent),
        cmocka_unit_test(small_histories_against_every_order),
        cmocka_unit_test(big_histories_in_order_are_right),
        cmocka_unit_test(a_lack_of_memory_is_no_verdict),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
