/* SPDX-License-Identifier: Apache-2.0
 * Answers, compared with their documented form as printed text, and checked
 * to be whole terms. */
#include "api/results.h"
#include "etf/reader.h"
#include "etf/writer.h"
#include "lib/test.h"
#include "registry/copies.h"
#include "terms.h"

static void errors_have_their_forms(void **state)
{
    struct buf buf;

    (void)state;
    buf_init(&buf, 10000);
    results_put_ok(&buf);
    assert_term(&buf, "ok");
    results_put_error(&buf, "timeout");
    assert_term(&buf, "{error,timeout}");
    results_put_error_code(&buf, ERR_NO_QUORUM);
    assert_term(&buf, "{error,no_quorum}");
    results_put_error_raw(&buf, "start_failed", bytes_of("a\5", 2));
    assert_term(&buf, "{error,{start_failed,5}}");
    results_put_error_raw(&buf, "start_failed", bytes_of(NULL, 0));
    assert_term(&buf, "{error,{start_failed,undefined}}");
    results_put_badarg(&buf, bytes_of("h\2w\16unknown_optionw\1x", 21));
    assert_term(&buf, "{error,{badarg,{unknown_option,x}}}");
    results_put_badarg_atom(&buf, "not_a_worker");
    assert_term(&buf, "{error,{badarg,not_a_worker}}");
    results_put_stale_epoch(&buf, 7);
    assert_term(&buf, "{error,{stale_epoch,7}}");
    results_put_stale_version(&buf, 7, 8);
    assert_term(&buf, "{error,{stale_version,{7,8}}}");
    buf_close(&buf);
}

static void sandboxes_are_maps(void **state)
{
    static const struct {
        enum sandbox_status status;
        const char *text;
    } rows[] = {{SANDBOX_STARTING, "starting"},
                {SANDBOX_RUNNING, "running"},
                {SANDBOX_UNPLACED, "unplaced"},
                {SANDBOX_STOPPING, "stopping"},
                {SANDBOX_FAILED, "{failed,why}"}};
    struct worker worker = {.name = bytes_of_string("w@h")};
    struct sandbox sandbox = {.id = bytes_of_string("box"),
                              .epoch = 12,
                              .reason = bytes_of("w\3why", 5)};
    struct buf buf;

    (void)state;
    buf_init(&buf, 10000);
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        char expected[200];

        sandbox.status = rows[i].status;
        sandbox.worker = i == 1 ? &worker : NULL;
        sandbox.pid = i == 1 ? bytes_of("w\3pid", 5) : bytes_of(NULL, 0);
        (void)snprintf(
            expected, sizeof(expected),
            "{ok,#{id=>\"box\",epoch=>12,status=>%s,worker=>%s,pid=>%s}}",
            rows[i].text, i == 1 ? "w@h" : "undefined",
            i == 1 ? "pid" : "undefined");
        results_put_ok_sandbox(&buf, &sandbox);
        assert_term(&buf, expected);
    }
    sandbox.status = SANDBOX_STARTING;
    results_put_local_sandbox(&buf, &sandbox, 42);
    assert_term(&buf, "{ok,#{id=>\"box\",epoch=>12,status=>starting,"
                      "worker=>undefined,pid=>undefined,consistency=>local,"
                      "applied_index=>42}}");
    results_put_sandbox_exists(&buf, &sandbox);
    assert_term(&buf, "{error,{already_exists,#{id=>\"box\",epoch=>12,"
                      "status=>starting,worker=>undefined,pid=>undefined}}}");
    sandbox.status = SANDBOX_RUNNING;
    sandbox.epoch = 0;
    sandbox.worker = &worker;
    results_put_ok_sandbox(&buf, &sandbox);
    assert_term(&buf, "{ok,#{id=>\"box\",epoch=>0,status=>provisional,"
                      "worker=>w@h,pid=>undefined}}");
    buf_close(&buf);
}

static void conflicts_are_maps(void **state)
{
    struct copy copy = {.number = 5,
                        .epoch = 3,
                        .time_s = 99,
                        .size = 7,
                        .id = bytes_of_string("box")};
    struct buf buf;

    (void)state;
    buf_init(&buf, 10000);
    results_put_conflict(&buf, &copy);
    assert_term(&buf,
                "#{copy=>5,id=>\"box\",epoch=>3,time=>99,size=>7,status=>kept,"
                "about=>undefined,outcome=>undefined}");
    copy.restore_epoch = 4;
    copy.about = bytes_of("w\5about", 7);
    copy.outcome = bytes_of("a\1", 2);
    results_put_conflict(&buf, &copy);
    assert_term(&buf, "#{copy=>5,id=>\"box\",epoch=>3,time=>99,size=>7,"
                      "status=>restoring,about=>about,outcome=>1}");
    buf_close(&buf);
}

static void members_and_workers_are_maps(void **state)
{
    struct worker record = {.name = bytes_of_string("w@h"),
                            .lease = 3,
                            .capacity = {4000, 8192},
                            .sandboxes_max = 10,
                            .committed = {500, 64},
                            .sandbox_count = 2};
    struct results_worker worker = {.worker = &record,
                                    .member = bytes_of_string("q@h"),
                                    .is_up = true,
                                    .cpu_load = 12,
                                    .memory_load = 34};
    struct results_member member = {.name = bytes_of_string("q@h"),
                                    .role = "unknown",
                                    .standing = "voter",
                                    .address = "h:1"};
    struct results_status status = {.name = bytes_of_string("q@h"),
                                    .version = "0.1.0",
                                    .role = "leader",
                                    .leader = bytes_of_string("q@h"),
                                    .term = 1,
                                    .commit_index = 2,
                                    .applied_index = 3,
                                    .has_quorum = true,
                                    .members = 4,
                                    .members_up = 5,
                                    .workers = 6,
                                    .workers_hung = 2,
                                    .workers_killed = 1,
                                    .sandboxes = 7,
                                    .provisional = 12,
                                    .conflict_copies = 11,
                                    .names = 8,
                                    .uptime_ms = 9,
                                    .memory_bytes = 10,
                                    .links = {1, 2, 3, 4, 5, 6, 7, 8, 9},
                                    .snapshot = {1, 2, 3, 4, 5, 6}};
    struct buf buf;

    (void)state;
    buf_init(&buf, 10000);
    results_put_error_number(&buf, "holds_states", 3);
    assert_term(&buf, "{error,{holds_states,3}}");
    results_put_error_atoms(&buf, "refused", "lost_disk");
    assert_term(&buf, "{error,{refused,lost_disk}}");
    results_put_member(&buf, &member);
    assert_term(&buf, "#{name=>q@h,up=>false,role=>unknown,standing=>voter,"
                      "address=>\"h:1\"}");
    results_put_worker(&buf, &worker);
    assert_term(&buf, "#{name=>w@h,lease=>3,member=>q@h,up=>true,sandboxes=>2,"
                      "capacity=>#{cpu=>4000,memory=>8192,sandboxes=>10},"
                      "committed=>#{cpu=>500,memory=>64},"
                      "load=>#{cpu=>12,memory=>34}}");
    results_put_status(&buf, &status);
    assert_term(&buf,
                "#{name=>q@h,version=>\"0.1.0\",role=>leader,leader=>q@h,"
                "term=>1,commit_index=>2,applied_index=>3,quorum=>true,"
                "members=>4,members_up=>5,workers=>6,workers_hung=>2,"
                "workers_killed=>1,sandboxes=>7,provisional=>12,"
                "conflict_copies=>11,names=>8,"
                "uptime_ms=>9,memory_bytes=>10,consistency=>linearizable,"
                "links=>#{up=>1,accepted=>2,"
                "handshakes_failed=>3,closed=>4,silent=>5,replaced=>6,"
                "cut_for_input=>7,cut_for_unread=>8,cut_for_memory=>9},"
                "snapshot=>#{index=>1,bytes=>2,time=>3,taken=>4,failed=>5,"
                "installed=>6}}");
    buf_close(&buf);
}

static void nodes_are_listed(void **state)
{
    const struct bytes nodes[] = {bytes_of_string("a@h"),
                                  bytes_of_string("b@h")};
    struct buf buf;

    (void)state;
    buf_init(&buf, 10000);
    results_put_nodes(&buf, nodes, 2);
    assert_term(&buf, "[a@h,b@h]");
    results_put_nodes(&buf, NULL, 0);
    assert_term(&buf, "[]");
    buf_close(&buf);
}

static void names_and_states_are_tuples(void **state)
{
    struct registered_name name = {.name = bytes_of("w\4name", 6),
                                   .pid = bytes_of("w\3pid", 5),
                                   .meta = bytes_of("w\4meta", 6),
                                   .epoch = 6};
    struct buf buf;

    (void)state;
    buf_init(&buf, 10000);
    results_put_whereis(&buf, &name);
    assert_term(&buf, "{ok,pid,6}");
    results_put_name(&buf, &name);
    assert_term(&buf, "#{name=>name,pid=>pid,epoch=>6,meta=>meta}");
    results_put_ok_name(&buf, &name);
    assert_term(&buf, "{ok,#{name=>name,pid=>pid,epoch=>6,meta=>meta}}");
    results_put_name_exists(&buf, &name);
    assert_term(&buf, "{error,{already_exists,pid}}");
    results_put_replicated(&buf, 4, 5, 3);
    assert_term(&buf, "{ok,#{version=>{4,5},replicas=>3,"
                      "durability=>majority_disk}}");
    results_put_state(&buf, bytes_of("w\5state", 7), 4, 5);
    assert_term(&buf, "{ok,state,{4,5}}");
    buf_close(&buf);
}

static void selections_are_explained(void **state)
{
    const struct bytes names[] = {bytes_of_string("a@h"),
                                  bytes_of_string("b@h")};
    struct placement_candidate candidates[] = {
        {.verdict = PLACEMENT_NO_MEMORY},
        {.verdict = PLACEMENT_CHOSEN, .score_milli = 87500}};
    char expected[300];
    struct buf buf;

    (void)state;
    buf_init(&buf, 10000);
    results_put_selected(&buf, candidates, names, 2, 1);
    (void)snprintf(expected, sizeof(expected),
                   "{ok,#{node=>b@h,score=>87.500,candidates=>["
                   "#{node=>a@h,score=>0.000,verdict=>%s},"
                   "#{node=>b@h,score=>87.500,verdict=>%s}]}}",
                   placement_verdict_name(PLACEMENT_NO_MEMORY),
                   placement_verdict_name(PLACEMENT_CHOSEN));
    assert_term(&buf, expected);
    candidates[1].verdict = PLACEMENT_NO_MEMORY;
    results_put_no_capacity(&buf, candidates, 2);
    (void)snprintf(expected, sizeof(expected), "{error,{no_capacity,#{%s=>2}}}",
                   placement_verdict_name(PLACEMENT_NO_MEMORY));
    assert_term(&buf, expected);
    results_put_no_capacity(&buf, candidates, 0);
    assert_term(&buf, "{error,{no_capacity,#{}}}");
    buf_close(&buf);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(errors_have_their_forms),
        cmocka_unit_test(sandboxes_are_maps),
        cmocka_unit_test(conflicts_are_maps),
        cmocka_unit_test(members_and_workers_are_maps),
        cmocka_unit_test(nodes_are_listed),
        cmocka_unit_test(names_and_states_are_tuples),
        cmocka_unit_test(selections_are_explained),
    };

    return cmocka_run_group_tests_name("api_results", tests, NULL, NULL);
}
