/* SPDX-License-Identifier: Apache-2.0
 * The tables alone: what is entered is found under its peer only, and all of
 * it goes away again. What it is for is tested in exits_test.c. */
#include "base/mem.h"
#include "dist/relations.h"
#include "peer.h"

struct tables {
    struct fixture fixture;
    struct inbox_peer other;
    struct call call;
    struct process process;
    struct buf pid;
    struct buf reference;
};

static void tables_open(struct tables *tables)
{
    *tables = (struct tables){.process = {.id = 2}};
    fixture_open(&tables->fixture);
    tables->process.call = &tables->call;
    buf_init(&tables->pid, 1000);
    buf_init(&tables->reference, 1000);
    put_peer_pid(&tables->pid);
    put_reference(&tables->reference);
    assert_ok(processes_add(&tables->fixture.inbox, &tables->fixture.peer,
                            &tables->process));
}

static void tables_close(struct tables *tables)
{
    processes_remove(&tables->fixture.inbox, &tables->process);
    processes_remove(&tables->fixture.inbox, &tables->process);
    assert_null(tables->fixture.peer.processes);
    buf_close(&tables->pid);
    buf_close(&tables->reference);
    fixture_close(&tables->fixture);
}

static int add(struct tables *tables, struct inbox_peer *peer,
               enum relation_kind kind, struct process *process,
               struct relation **ret_relation)
{
    struct relation_ends ends = {
        .kind = kind, .process = process, .remote = buf_bytes(&tables->pid)};

    if (kind != RELATION_LINK) {
        ends.reference = buf_bytes(&tables->reference);
    }
    return relations_add(&tables->fixture.inbox, peer, &ends, ret_relation);
}

static void what_is_entered_is_found(void **state)
{
    struct tables tables;
    struct inbox *inbox = &tables.fixture.inbox;
    struct inbox_peer *peer = &tables.fixture.peer;
    struct relation *all[5];
    struct relation *again;

    (void)state;
    tables_open(&tables);
    assert_ok(add(&tables, peer, RELATION_LINK, NULL, &all[0]));
    assert_ok(add(&tables, peer, RELATION_LINK, &tables.process, &all[1]));
    assert_ok(
        add(&tables, peer, RELATION_MONITOR_IN, &tables.process, &all[2]));
    assert_ok(add(&tables, peer, RELATION_MONITOR_OUT, NULL, &all[3]));
    assert_ok(add(&tables, &tables.other, RELATION_LINK, NULL, &all[4]));
    assert_err(add(&tables, peer, RELATION_LINK, NULL, &again), ERR_EXISTS);
    assert_err(add(&tables, peer, RELATION_MONITOR_OUT, NULL, &again),
               ERR_EXISTS);
    assert_int_equal(peer->relation_count, 4);
    assert_ptr_equal(
        relations_find_link(inbox, peer, NULL, buf_bytes(&tables.pid)), all[0]);
    assert_ptr_equal(relations_find_link(inbox, peer, &tables.process,
                                         buf_bytes(&tables.pid)),
                     all[1]);
    assert_ptr_equal(relations_find(inbox, peer, RELATION_MONITOR_IN,
                                    buf_bytes(&tables.reference)),
                     all[2]);
    assert_ptr_equal(
        relations_find_link(inbox, &tables.other, NULL, buf_bytes(&tables.pid)),
        all[4]);
    assert_null(relations_find(inbox, &tables.other, RELATION_MONITOR_IN,
                               buf_bytes(&tables.reference)));
    assert_null(relations_find(inbox, peer, RELATION_SPAWN_OUT,
                               buf_bytes(&tables.reference)));
    assert_null(relations_find_link(inbox, peer, NULL, bytes_of(NULL, 0)));
    /* From the middle, the end and the beginning of the peer's list. */
    relations_remove(inbox, all[2]);
    relations_remove(inbox, all[0]);
    relations_remove(inbox, all[3]);
    relations_remove(inbox, all[1]);
    relations_remove(inbox, all[4]);
    assert_int_equal(peer->relation_count, 0);
    assert_null(peer->relations);
    assert_null(tables.other.relations);
    assert_true(list_is_empty(&tables.process.relations));
    tables_close(&tables);
}

static void processes_are_found_by_both_numbers(void **state)
{
    struct tables tables;
    struct inbox *inbox = &tables.fixture.inbox;
    struct process same = {.id = 2};
    struct process next = {.id = 2, .serial = 1};

    (void)state;
    tables_open(&tables);
    assert_err(processes_add(inbox, &tables.fixture.peer, &same), ERR_EXISTS);
    assert_ok(processes_add(inbox, &tables.fixture.peer, &next));
    assert_ptr_equal(processes_find(inbox, 2, 0), &tables.process);
    assert_ptr_equal(processes_find(inbox, 2, 1), &next);
    assert_null(processes_find(inbox, 1, 2));
    processes_remove(inbox, &tables.process);
    assert_null(processes_find(inbox, 2, 0));
    assert_ptr_equal(tables.fixture.peer.processes, &next);
    processes_remove(inbox, &next);
    tables_close(&tables);
}

static void limits_and_memory_leave_nothing_behind(void **state)
{
    struct tables tables;
    struct inbox_peer *peer = &tables.fixture.peer;
    struct relation *relation;
    uint8_t longest[2000] = {0};

    (void)state;
    tables_open(&tables);
    for (uint64_t count = 0; count < 2; count++) {
        mem_fail_after(count);
        assert_err(add(&tables, peer, RELATION_LINK, NULL, &relation),
                   ERR_NOMEM);
        mem_fail_after(UINT64_MAX);
    }
    peer->relation_count = INBOX_PEER_RELATIONS_MAX;
    assert_err(add(&tables, peer, RELATION_LINK, NULL, &relation), ERR_LIMIT);
    peer->relation_count = 0;
    assert_err(relations_add(&tables.fixture.inbox, peer,
                             &(struct relation_ends){
                                 .kind = RELATION_LINK,
                                 .remote = bytes_of(longest, sizeof(longest))},
                             &relation),
               ERR_LIMIT);
    assert_null(peer->relations);
    assert_int_equal(tables.fixture.inbox.relations.count, 0);
    tables_close(&tables);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_entered_is_found),
        cmocka_unit_test(processes_are_found_by_both_numbers),
        cmocka_unit_test(limits_and_memory_leave_nothing_behind),
    };

    return cmocka_run_group_tests_name("dist_relations", tests, NULL, NULL);
}
