/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "base/rng.h"
#include "lib/test.h"
#include "raft/log.h"

#include <malloc.h>
#include <string.h>

enum { MODEL_MAX = 2000, DATA_MAX = 60000 };

static uint8_t pattern[DATA_MAX];

static void put(struct log *log, uint64_t term, const char *text)
{
    assert_ok(log_reserve(log, 1, strlen(text)));
    log_append(log, term, RAFT_ENTRY_COMMAND, bytes_of_string(text));
}

static void what_was_appended_is_there(void **state)
{
    struct raft_entry entry;
    struct log log;

    (void)state;
    log_init(&log);
    assert_int_equal(log_last(&log), 0);
    assert_int_equal(log_term(&log, 0), 0);
    put(&log, 1, "one");
    put(&log, 1, "");
    put(&log, 2, "three");
    assert_int_equal(log_last(&log), 3);
    entry = log_get(&log, 1);
    assert_bytes(entry.data, "one", 3);
    entry = log_get(&log, 2);
    assert_int_equal(entry.data.size, 0);
    entry = log_get(&log, 3);
    assert_int_equal(entry.index, 3);
    assert_int_equal(entry.term, 2);
    assert_bytes(entry.data, "three", 5);
    log_close(&log);
}

static void a_term_is_found_by_halving(void **state)
{
    static const uint64_t terms[] = {1, 1, 3, 3, 3, 7};
    struct log log;

    (void)state;
    log_init(&log);
    assert_int_equal(log_find_term(&log, 9, 9), 0);
    for (size_t i = 0; i < 6; i++) {
        put(&log, terms[i], "x");
    }
    for (uint64_t index = 0; index < 10; index++) {
        for (uint64_t term = 0; term < 9; term++) {
            uint64_t expected = 0;

            for (uint64_t i = 1; i <= 6 && i <= index; i++) {
                expected = terms[i - 1] <= term ? i : expected;
            }
            assert_int_equal(log_find_term(&log, index, term), expected);
        }
    }
    log_close(&log);
}

static size_t mem_used(void)
{
    struct mallinfo2 info = mallinfo2();

    return info.uordblks + info.hblkhd;
}

static void what_is_below_the_base_is_not_found(void **state)
{
    static const uint64_t terms[] = {1, 1, 3, 3, 3, 7};
    struct log log;

    (void)state;
    log_init(&log);
    for (size_t i = 0; i < 6; i++) {
        put(&log, terms[i], "x");
    }
    log_cut(&log, 4);
    assert_int_equal(log_base(&log), 4);
    assert_int_equal(log_last(&log), 6);
    assert_int_equal(log_term(&log, 4), 3);
    assert_int_equal(log_get(&log, 5).index, 5);
    assert_true(log_has(&log, 4, 3));
    assert_false(log_has(&log, 4, 2));
    assert_false(log_has(&log, 3, 3));
    assert_false(log_has(&log, 7, 7));
    assert_int_equal(log_find_term(&log, 9, 3), 5);
    assert_int_equal(log_find_term(&log, 4, 3), 4);
    assert_int_equal(log_find_term(&log, 2, 9), 2);
    assert_int_equal(log_find_term(&log, 9, 2), 3);
    log_cut(&log, 6);
    assert_int_equal(log_last(&log), 6);
    put(&log, 8, "y");
    assert_int_equal(log_term(&log, 7), 8);
    log_reset(&log, 100, 9);
    assert_int_equal(log_last(&log), 100);
    put(&log, 9, "z");
    assert_bytes(log_get(&log, 101).data, "z", 1);
    log_close(&log);
}

static void a_log_that_is_cut_gives_its_memory_back(void **state)
{
    static const uint8_t data[1000];
    struct log log;
    size_t used = mem_used();

    (void)state;
    log_init(&log);
    for (int i = 0; i < 100000; i++) {
        assert_ok(log_reserve(&log, 1, sizeof(data)));
        log_append(&log, 1, RAFT_ENTRY_COMMAND, bytes_of(data, sizeof(data)));
        if (i % 100 == 0 && log_last(&log) > 1000) {
            log_cut(&log, log_last(&log) - 1000);
        }
    }
    assert_true(mem_used() - used < 2 * 1000 * 1000);
    for (int i = 0; i < 100000; i++) {
        put(&log, 2, "");
    }
    log_cut(&log, log_last(&log));
    assert_true(mem_used() - used < 500 * 1000);
    log_close(&log);
    assert_int_equal(mem_used(), used);
}

/* The room that was reserved stays, also if the end is cut before it is used:
 * random appends and cuts at both ends against a plain array of sizes. */
static void it_agrees_with_a_naive_model(void **state)
{
    size_t sizes[MODEL_MAX];
    size_t base = 0;
    size_t count = 0;
    struct rng rng;
    struct log log;

    (void)state;
    for (size_t i = 0; i < DATA_MAX; i++) {
        pattern[i] = (uint8_t)(i * 7);
    }
    rng_init(&rng, 99);
    log_init(&log);
    for (int round = 0; round < 3000; round++) {
        size_t more = rng_below(&rng, 5);
        size_t total = 0;
        size_t wanted[5];

        for (size_t i = 0; i < more; i++) {
            wanted[i] = rng_below(&rng, rng_below(&rng, 3) == 0 ? DATA_MAX : 9);
            total += wanted[i];
        }
        if (rng_below(&rng, 20) == 0) {
            base += rng_below(&rng, count - base + 1);
            log_cut(&log, base);
        }
        if (rng_below(&rng, 300) == 0 || count + more > MODEL_MAX) {
            base = rng_below(&rng, MODEL_MAX / 2);
            count = base;
            log_reset(&log, base, (uint64_t)round);
        }
        assert_ok(log_reserve(&log, more, total));
        if (rng_below(&rng, 4) == 0) {
            count -= count > base ? rng_below(&rng, count - base) : 0;
            log_truncate(&log, count + 1);
        }
        for (size_t i = 0; i < more; i++) {
            log_append(&log, (uint64_t)round + 1, RAFT_ENTRY_COMMAND,
                       bytes_of(pattern, wanted[i]));
            sizes[count] = wanted[i];
            count++;
        }
        assert_int_equal(log_last(&log), count);
    }
    assert_true(count > base);
    for (size_t i = base; i < count; i++) {
        struct raft_entry entry = log_get(&log, i + 1);

        assert_int_equal(entry.data.size, sizes[i]);
        assert_true(bytes_equal(entry.data, bytes_of(pattern, sizes[i])));
    }
    log_close(&log);
}

static void lack_of_memory_leaves_the_log_as_it_is(void **state)
{
    struct log log;
    struct raft_entry entry;

    (void)state;
    log_init(&log);
    put(&log, 1, "one");
    mem_fail_after(0);
    assert_err(log_reserve(&log, 1, 1024 * 1024), ERR_NOMEM);
    assert_err(log_reserve(&log, 1000, 1), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    assert_int_equal(log_last(&log), 1);
    entry = log_get(&log, 1);
    assert_bytes(entry.data, "one", 3);
    log_close(&log);
    log_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_appended_is_there),
        cmocka_unit_test(a_term_is_found_by_halving),
        cmocka_unit_test(what_is_below_the_base_is_not_found),
        cmocka_unit_test(a_log_that_is_cut_gives_its_memory_back),
        cmocka_unit_test(it_agrees_with_a_naive_model),
        cmocka_unit_test(lack_of_memory_leaves_the_log_as_it_is),
    };

    return cmocka_run_group_tests_name("raft/log", tests, NULL, NULL);
}
