/* SPDX-License-Identifier: Apache-2.0
 * The fixture of the coordinator's tests: a network, and what was completed. */
#ifndef QUORATE_TEST_UNIT_STATE_COORDINATOR_FIXTURE_H
#define QUORATE_TEST_UNIT_STATE_COORDINATOR_FIXTURE_H

#include "base/mem.h"
#include "unit/state/network.h"

enum { COMPLETIONS_MAX = 8, DEADLINE_MS = 2000 };

struct fixture {
    struct network network;
    struct state_completion completions[COMPLETIONS_MAX];
    uint8_t values[COMPLETIONS_MAX][NETWORK_VALUE_MAX];
    size_t count;
};

static inline void on_completed(void *arg,
                                const struct state_completion *completion)
{
    struct fixture *fixture = arg;

    assert_true(fixture->count < COMPLETIONS_MAX);
    fixture->completions[fixture->count] = *completion;
    if (completion->value.size > 0) {
        memcpy(fixture->values[fixture->count], completion->value.data,
               completion->value.size);
    }
    fixture->completions[fixture->count].value.data =
        fixture->values[fixture->count];
    fixture->count++;
}

static inline int set_up(void **state)
{
    struct fixture *fixture = mem_alloc(sizeof(*fixture));

    assert_non_null(fixture);
    fixture->network.completed = on_completed;
    fixture->network.completed_arg = fixture;
    network_open(&fixture->network, 7);
    *state = fixture;
    return 0;
}

static inline int tear_down(void **state)
{
    struct fixture *fixture = *state;

    network_close(&fixture->network);
    mem_free(fixture);
    return 0;
}

static inline struct state_request make_request(const struct fixture *fixture,
                                                enum state_operation_type type,
                                                uint64_t epoch)
{
    return (struct state_request){.type = type,
                                  .id = bytes_of_string("sandbox"),
                                  .birth = 1,
                                  .epoch = epoch,
                                  .replicas = {1, 2, 3},
                                  .replica_count = 3,
                                  .deadline_ms =
                                      fixture->network.now_ms + DEADLINE_MS,
                                  .user = 77};
}

static inline void start_write(struct fixture *fixture, uint64_t epoch,
                               uint64_t seq, const char *value)
{
    struct state_request request = make_request(fixture, STATE_WRITE, epoch);

    request.seq = seq;
    request.value = bytes_of_string(value);
    assert_ok(network_start(&fixture->network, 0, &request));
}

static inline void start_other(struct fixture *fixture, size_t coordinator,
                               enum state_operation_type type, uint64_t epoch)
{
    struct state_request request = make_request(fixture, type, epoch);

    assert_ok(network_start(&fixture->network, coordinator, &request));
}

static inline void cut(struct fixture *fixture, uint64_t id, bool is_cut)
{
    network_replica(&fixture->network, id)->is_cut = is_cut;
}

static inline void run(struct fixture *fixture)
{
    network_run(&fixture->network);
}

/* Lets time pass in small steps, delivering all meanwhile. */
static inline void pass(struct fixture *fixture, uint64_t ms)
{
    for (uint64_t i = 0; i < ms; i++) {
        fixture->network.now_ms++;
        network_tick(&fixture->network);
        run(fixture);
    }
}

/* The next completion that was not looked at yet is this one. */
static inline void assert_completed(struct fixture *fixture, int rv,
                                    uint64_t epoch, uint64_t seq)
{
    assert_int_equal(fixture->count, 1);
    assert_err(fixture->completions[0].rv, rv);
    assert_int_equal(fixture->completions[0].version.epoch, epoch);
    assert_int_equal(fixture->completions[0].version.seq, seq);
    assert_int_equal(fixture->completions[0].user, 77);
    fixture->count = 0;
}

static inline void assert_value(const struct fixture *fixture,
                                const char *value)
{
    assert_true(fixture->completions[0].has_value);
    assert_true(bytes_is(fixture->completions[0].value, value));
}

static inline void write_now(struct fixture *fixture, uint64_t epoch,
                             uint64_t seq, const char *value)
{
    start_write(fixture, epoch, seq, value);
    run(fixture);
    assert_completed(fixture, 0, epoch, seq);
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, set_up, tear_down)

#endif
