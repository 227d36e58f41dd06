/* SPDX-License-Identifier: Apache-2.0 */
#include "base/mem.h"
#include "lib/test.h"
#include "raft/writes.h"

static void begin(struct writes *writes, uint64_t seq, uint64_t first,
                  uint64_t last)
{
    assert_ok(writes_reserve(writes));
    writes_begin(writes, seq, first, last);
}

static void entries_are_persisted_write_by_write(void **state)
{
    struct writes writes;

    (void)state;
    writes_init(&writes, 4);
    assert_int_equal(writes.persisted_index, 4);
    for (uint64_t i = 0; i < 100; i++) {
        begin(&writes, 10 + i, 5 + i, 5 + i);
    }
    writes_done(&writes, 9);
    assert_int_equal(writes.persisted_index, 4);
    writes_done(&writes, 10);
    assert_int_equal(writes.persisted_index, 5);
    writes_done(&writes, 60);
    assert_int_equal(writes.persisted_index, 55);
    writes_done(&writes, 1000);
    assert_int_equal(writes.persisted_index, 104);
    assert_int_equal(writes.count, 0);
    writes_close(&writes);
}

static void what_is_overwritten_counts_no_more(void **state)
{
    struct writes writes;

    (void)state;
    writes_init(&writes, 4);
    begin(&writes, 1, 5, 8);
    begin(&writes, 2, 9, 12);
    writes_truncate(&writes, 7);
    begin(&writes, 3, 7, 7);
    writes_done(&writes, 2);
    assert_int_equal(writes.persisted_index, 6);
    writes_done(&writes, 3);
    assert_int_equal(writes.persisted_index, 7);
    /* Down into what was on disk already. */
    writes_truncate(&writes, 3);
    assert_int_equal(writes.persisted_index, 2);
    begin(&writes, 4, 3, 3);
    assert_int_equal(writes.persisted_index, 2);
    writes_done(&writes, 4);
    assert_int_equal(writes.persisted_index, 3);
    writes_close(&writes);
}

static void lack_of_memory_is_reported_before_it_is_needed(void **state)
{
    struct writes writes;

    (void)state;
    writes_init(&writes, 0);
    mem_fail_after(0);
    assert_err(writes_reserve(&writes), ERR_NOMEM);
    mem_fail_after(UINT64_MAX);
    begin(&writes, 1, 1, 1);
    writes_close(&writes);
    writes_close(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(entries_are_persisted_write_by_write),
        cmocka_unit_test(what_is_overwritten_counts_no_more),
        cmocka_unit_test(lack_of_memory_is_reported_before_it_is_needed),
    };

    return cmocka_run_group_tests_name("raft/writes", tests, NULL, NULL);
}
