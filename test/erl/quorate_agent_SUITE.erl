%% SPDX-License-Identifier: Apache-2.0
%% The agent and its sandboxes against a member's double: what a real member
%% does too rarely, or too politely.
-module(quorate_agent_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0, init_per_testcase/2, end_per_testcase/2]).
-export([attach_describes_this_node/1, start_order_repeated_starts_once/1,
         child_knows_its_context/1, recovered_state_reaches_the_child/1,
         slow_start_delays_nobody/1, failed_start_is_reported_again/1,
         a_child_elsewhere_is_no_child/1,
         stop_order_ends_the_child/1, stop_of_a_hanging_start_kills_it/1,
         normal_end_is_stopped/1, crash_restarts_with_recovered_state/1,
         too_many_crashes_fail/1, restarts_have_limits_of_the_sandbox/1,
         wrong_limits_are_refused/1, restart_waits_for_the_last_process/1,
         end_of_the_child_is_the_end_of_all/1, stop_is_the_end_of_all/1,
         what_hangs_has_not_ended/1, what_hangs_is_waited_for_at_the_end_of_the_lease/1,
         many_that_end_at_once/1, end_of_lease_kills_every_process/1,
         lost_member_keeps_sandboxes/1, lease_lost_kills_and_attaches_anew/1,
         greater_epoch_replaces_what_runs/1, claim_of_an_older_lease_is_not_started/1,
         writes_are_numbered/1, stale_checkpoint_kills/1, planned_stop_hands_over/1,
         name_is_freed_when_its_process_ends/1, name_dies_with_the_lease/1,
         one_name_less_is_not_the_last/1, names_of_one_process_are_all_freed/1,
         caller_that_ends_leaves_no_name/1, name_that_comes_late_is_freed/1,
         name_that_was_not_given_is_not_watched/1, name_that_is_not_free_yet_is_watched/1,
         dead_processes_get_no_name/1,
         call_goes_to_another_member/1, unknown_messages_change_nothing/1,
         agent_that_crashed_leaves_nothing_running/1,
         available_goes_on_without_a_lease/1, what_goes_on_is_taken_over/1,
         what_is_owned_by_another_gives_its_state/1,
         stale_checkpoint_of_an_available_one_is_asked/1,
         available_that_starts_or_stops_ends_with_the_lease/1,
         what_fails_without_a_majority_waits/1, available_ends_with_its_agent/1,
         planned_stop_ends_what_goes_on/1,
         provisional_start_is_answered/1, nobody_else_starts_provisionally/1,
         nothing_is_provisional_under_a_lease/1, provisional_one_is_offered/1,
         provisional_one_goes_on_as_the_owner/1, provisional_one_of_other_terms_ends/1,
         provisional_one_says_nothing_of_a_strong_one/1, provisional_child_starts_again/1,
         orders_do_not_hold_up_the_lease/1]).
-export([start_link/2, start_tree/1, start_loose/1, slow/2, hang/1, fail/1, elsewhere/1,
         child/3]).

-define(ID, <<"alice">>).
-define(WAIT_MS, 5000).
-define(MANY_MS, 60000).
%% Longer than the agent waits for what it kills.
-define(REAPER_MS, 700).

all() ->
    [Name || {Name, 1} <- ?MODULE:module_info(exports),
             not lists:member(Name, [module_info, start_tree, start_loose, hang, fail,
                                     elsewhere])].

init_per_testcase(Case, Config) ->
    Double = quorate_member_double:start(peer:random_name(Case)),
    [{double, Double} | Config].

end_per_testcase(_, Config) ->
    case whereis(quorate_sup) of
        undefined -> ok;
        Sup -> stop(Sup)
    end,
    catch quorate_member_double:stop(double(Config)),
    ok.

%% What an application controller would do.
stop(Sup) ->
    Ref = monitor(process, Sup),
    exit(Sup, shutdown),
    receive {'DOWN', Ref, process, Sup, _} -> ok end.

double(Config) -> proplists:get_value(double, Config).

start(Config) -> start(Config, []).

start(Config, Others) ->
    Nodes = [maps:get(node, Double) || Double <- [double(Config) | Others]],
    {ok, Sup} = quorate_sup:start_link([{member, {existing, Nodes}}]),
    unlink(Sup),
    Sup.

order(Epoch) -> order(Epoch, {?MODULE, start_link, [self()]}).

order(Epoch, Spec) ->
    #{id => ?ID, epoch => Epoch, spec => term_to_binary(Spec), options => term_to_binary(#{}),
      state => none}.

send_start(Config, Order) -> quorate_member_double:order(double(Config), start, Order).

send_stop(Config, Epoch) ->
    quorate_member_double:order(double(Config), stop,
                                #{id => ?ID, epoch => Epoch, reason => shutdown}).

%% The next report of this kind, whatever else comes.
report(Config, Kind) ->
    #{node := Node} = double(Config),
    receive {double, Node, {Kind, Body}} -> Body after ?WAIT_MS -> ct:fail({no, Kind}) end.

no_report(Config, Kind) ->
    #{node := Node} = double(Config),
    receive {double, Node, {Kind, Body}} -> ct:fail({Kind, Body}) after 0 -> ok end.

%% Everything that was sent to the agent before this has been dealt with.
settle(Config) ->
    ok = quorate_member_double:set(double(Config), #{}),
    _ = sys:get_state(quorate_agent),
    ok = quorate_member_double:set(double(Config), #{}).

running(Config, Order) ->
    ok = send_start(Config, Order),
    {?ID, _, Pid} = report(Config, started),
    Pid.

await_end(Pid) ->
    Ref = monitor(process, Pid),
    receive {'DOWN', Ref, process, Pid, _} -> ok after ?WAIT_MS -> ct:fail({runs, Pid}) end.

answer(Config, Fun) -> quorate_member_double:set(double(Config), #{answer => Fun}).

%% Children

start_link(Test, Context) -> {ok, proc_lib:spawn_link(?MODULE, child, [Test, Context, false])}.

%% A process that will not end, and one that nobody is linked to.
start_tree(#{} = Context) ->
    Test = whereis(?MODULE),
    Pid = proc_lib:spawn_link(?MODULE, child, [Test, Context, true]),
    Loose = spawn(fun() -> process_flag(trap_exit, true), timer:sleep(infinity) end),
    Test ! {tree, [Pid, Loose]},
    {ok, Pid}.

%% The same with a child that may end.
start_loose(#{} = Context) ->
    Test = whereis(?MODULE),
    Pid = proc_lib:spawn_link(?MODULE, child, [Test, Context, false]),
    Loose = spawn(fun() -> process_flag(trap_exit, true), timer:sleep(infinity) end),
    Test ! {tree, [Pid, Loose]},
    {ok, Pid}.

slow(Test, Context) ->
    Test ! {slow, self()},
    receive go -> start_link(Test, Context) end.

hang(_) ->
    whereis(?MODULE) ! {hanging, self()},
    timer:sleep(infinity).

elsewhere(_) ->
    Node = <<"other@127.0.0.1">>,
    {ok, binary_to_term(<<131, 88, 119, (byte_size(Node)), Node/binary, 1:32, 0:32, 5:32>>)}.

fail(_) -> {error, on_purpose}.

child(Test, Context, Stubborn) ->
    _ = process_flag(trap_exit, Stubborn),
    Test ! {child, self(), Context},
    child_loop().

child_loop() ->
    receive
        {run, From, Fun} -> From ! {ran, Fun()}, child_loop();
        {exit, Reason} -> exit(Reason);
        _ -> child_loop()
    end.

in_child(Pid, Fun) ->
    Pid ! {run, self(), Fun},
    receive {ran, Result} -> Result after ?WAIT_MS -> ct:fail(silent_child) end.

context() ->
    receive {child, _, Context} -> Context after ?WAIT_MS -> ct:fail(no_child) end.

%% Cases

attach_describes_this_node(Config) ->
    _ = start(Config),
    Body = quorate_member_double:attached(double(Config)),
    OsPid = list_to_integer(os:getpid()),
    ?assertMatch(#{running := [], incarnation := <<_:128>>,
                   os := #{pid := OsPid, start_time := _, boot_id := <<_:36/binary>>,
                           pid_namespace := <<"pid:[", _/binary>>},
                   capacity := #{cpu := _, memory := _, sandboxes := _}}, Body),
    ?assert(abs(maps:get(clock, Body) - quorate_os:clock()) < 60000).

start_order_repeated_starts_once(Config) ->
    _ = start(Config),
    Pid = running(Config, order(11)),
    ok = send_start(Config, order(11)),
    ?assertEqual({?ID, 11, Pid}, report(Config, started)),
    _ = context(),
    receive {child, _, _} -> ct:fail(twice) after 0 -> ok end.

child_knows_its_context(Config) ->
    _ = start(Config),
    Pid = running(Config, order(11)),
    ?assertEqual(#{id => ?ID, epoch => 11, state => undefined, version => undefined}, context()),
    ?assertEqual({?ID, 11}, in_child(Pid, fun() -> {quorate:sandbox_id(), quorate:epoch()} end)),
    Grandchild = fun() ->
                         Self = self(),
                         spawn(fun() -> Self ! {epoch, quorate:epoch()} end),
                         receive {epoch, Epoch} -> Epoch end
                 end,
    ?assertEqual(11, in_child(Pid, Grandchild)),
    ?assertError(not_in_sandbox, quorate:epoch()).

recovered_state_reaches_the_child(Config) ->
    _ = start(Config),
    _ = running(Config, (order(11))#{state := {{9, 4}, term_to_binary(my_state)}}),
    ?assertMatch(#{state := {ok, my_state}, version := {9, 4}}, context()).

slow_start_delays_nobody(Config) ->
    _ = start(Config),
    ok = send_start(Config, order(11, {?MODULE, slow, [self()]})),
    Slow = receive {slow, Pid} -> Pid end,
    ok = send_start(Config, (order(12))#{id := <<"bob">>}),
    ?assertMatch({<<"bob">>, 12, _}, report(Config, started)),
    Slow ! go,
    ?assertMatch({?ID, 11, _}, report(Config, started)).

failed_start_is_reported_again(Config) ->
    _ = start(Config),
    ok = send_start(Config, order(11, {?MODULE, fail, []})),
    ?assertEqual({?ID, 11, on_purpose}, report(Config, failed)),
    ok = send_start(Config, order(11, {?MODULE, fail, []})),
    ?assertEqual({?ID, 11, on_purpose}, report(Config, failed)),
    ok = send_start(Config, order(12, nonsense)),
    ?assertEqual({?ID, 12, {bad_spec, nonsense}}, report(Config, failed)).

%% Members take no process of another node for one of ours.
a_child_elsewhere_is_no_child(Config) ->
    _ = start(Config),
    ok = send_start(Config, order(11, {?MODULE, elsewhere, []})),
    {?ID, 11, {bad_return, {ok, Pid}}} = report(Config, failed),
    ?assertEqual('other@127.0.0.1', node(Pid)).

stop_order_ends_the_child(Config) ->
    _ = start(Config),
    Pid = running(Config, order(11)),
    ok = send_stop(Config, 11),
    ?assertEqual({?ID, 11, shutdown}, report(Config, stopped)),
    ?assertNot(is_process_alive(Pid)),
    ok = send_stop(Config, 11),
    ?assertEqual({?ID, 11, not_running}, report(Config, stopped)),
    ok = send_start(Config, order(11)),
    ?assertEqual({?ID, 11, shutdown}, report(Config, stopped)).

stop_of_a_hanging_start_kills_it(Config) ->
    true = register(?MODULE, self()),
    _ = start(Config),
    ok = send_start(Config, order(11, {?MODULE, hang, []})),
    Pid = receive {hanging, P} -> P end,
    ok = send_stop(Config, 11),
    ?assertEqual({?ID, 11, shutdown}, report(Config, stopped)),
    await_end(Pid).

normal_end_is_stopped(Config) ->
    _ = start(Config),
    running(Config, order(11)) ! {exit, normal},
    ?assertEqual({?ID, 11, normal}, report(Config, stopped)).

crash_restarts_with_recovered_state(Config) ->
    _ = start(Config),
    ok = answer(Config, fun(state_replicator, recover_state, [?ID]) -> {ok, newest, {11, 3}} end),
    Pid = running(Config, order(11)),
    _ = context(),
    Pid ! {exit, crash},
    {?ID, 11, Again} = report(Config, started),
    ?assertNotEqual(Pid, Again),
    ?assertMatch(#{state := {ok, newest}, version := {11, 3}}, context()).

too_many_crashes_fail(Config) ->
    _ = start(Config),
    Last = lists:foldl(fun(_, Pid) ->
                               Pid ! {exit, crash},
                               {?ID, 11, Again} = report(Config, started),
                               Again
                       end, running(Config, order(11)), [1, 2, 3]),
    Last ! {exit, crash},
    ?assertEqual({?ID, 11, crash}, report(Config, failed)).

with_options(Epoch, Options) -> (order(Epoch))#{options := term_to_binary(Options)}.

restarts_have_limits_of_the_sandbox(Config) ->
    _ = start(Config),
    Never = running(Config, with_options(11, #{restarts => #{max => 0}})),
    Never ! {exit, crash},
    ?assertEqual({?ID, 11, crash}, report(Config, failed)),
    Last = lists:foldl(fun(_, Pid) ->
                               Pid ! {exit, crash},
                               {?ID, 12, Again} = report(Config, started),
                               Again
                       end, running(Config, with_options(12, #{restarts => #{max => 20}})),
                       lists:seq(1, 20)),
    Last ! {exit, crash},
    ?assertEqual({?ID, 12, crash}, report(Config, failed)),
    %% What was longer ago than the period does not count.
    Short = #{restarts => #{max => 1, period => 1}},
    _ = lists:foldl(fun(_, Pid) ->
                            timer:sleep(3),
                            Pid ! {exit, crash},
                            {?ID, 13, Again} = report(Config, started),
                            Again
                    end, running(Config, with_options(13, Short)), lists:seq(1, 5)).

wrong_limits_are_refused(Config) ->
    _ = start(Config),
    [begin
         ok = send_start(Config, with_options(Epoch, #{restarts => Wrong})),
         ?assertEqual({?ID, Epoch, {bad_spec, {restarts, Wrong}}}, report(Config, failed))
     end || {Epoch, Wrong} <- [{11, x}, {12, #{max => -1}}, {13, #{max => 1001}},
                               {14, #{period => 0}}, {15, #{max => 1, colour => red}}]].

%% Nobody is linked to it, and it would go on beside its successor.
restart_waits_for_the_last_process(Config) ->
    true = register(?MODULE, self()),
    _ = start(Config),
    Test = self(),
    Pid = running(Config, order(11, {?MODULE, start_loose, []})),
    [Pid, Loose] = receive {tree, Tree} -> Tree end,
    ok = answer(Config, fun(state_replicator, recover_state, [?ID]) ->
                                Test ! {recovers, erpc:call(node(Loose), erlang,
                                                            is_process_alive, [Loose])},
                                {error, not_found}
                        end),
    Pid ! {exit, crash},
    receive {recovers, IsAlive} -> ?assertNot(IsAlive) after ?WAIT_MS -> ct:fail(no_restart) end,
    {?ID, 11, _} = report(Config, started).

end_of_the_child_is_the_end_of_all(Config) ->
    true = register(?MODULE, self()),
    _ = start(Config),
    Pid = running(Config, order(11, {?MODULE, start_loose, []})),
    [Pid, Loose] = receive {tree, Tree} -> Tree end,
    Pid ! {exit, normal},
    ?assertEqual({?ID, 11, normal}, report(Config, stopped)),
    ?assertNot(is_process_alive(Loose)).

stop_is_the_end_of_all(Config) ->
    true = register(?MODULE, self()),
    _ = start(Config),
    Pid = running(Config, order(11, {?MODULE, start_loose, []})),
    [Pid, Loose] = receive {tree, Tree} -> Tree end,
    ok = send_stop(Config, 11),
    ?assertEqual({?ID, 11, shutdown}, report(Config, stopped)),
    ?assertNot(is_process_alive(Loose)).

%% One look at all processes for each of them would take minutes. The lease is not
%% what is tested: on a machine with other work 600 ms may pass without a word, and
%% what ends with a lease is not reported.
many_that_end_at_once(Config) ->
    ok = quorate_member_double:set(double(Config), #{ttl => ?MANY_MS}),
    _ = start(Config),
    #{node := Node} = double(Config),
    Count = 500,
    Idle = [spawn(fun() -> timer:sleep(infinity) end) || _ <- lists:seq(1, 10000)],
    Pids = [begin
                ok = send_start(Config, (order(N))#{id := <<N:32>>}),
                {<<N:32>>, N, Pid} = report(Config, started),
                Pid
            end || N <- lists:seq(11, 10 + Count)],
    {Took, ok} = timer:tc(fun() ->
        lists:foreach(fun(Pid) -> Pid ! {exit, normal} end, Pids),
        lists:foreach(fun(_) ->
                              receive {double, Node, {stopped, {_, _, normal}}} -> ok
                              after ?MANY_MS -> ct:fail(not_all_ended)
                              end
                      end, Pids)
    end),
    lists:foreach(fun(Pid) -> exit(Pid, kill) end, Idle),
    ct:log("~b sandboxes among 10,000 processes ended in ~b ms", [Count, Took div 1000]).

end_of_lease_kills_every_process(Config) ->
    true = register(?MODULE, self()),
    _ = start(Config),
    #{incarnation := Old} = quorate_member_double:attached(double(Config)),
    _ = running(Config, order(11, {?MODULE, start_tree, []})),
    Pids = receive {tree, Tree} -> Tree end,
    ok = quorate_member_double:set(double(Config), #{renew => false, attach => false}),
    lists:foreach(fun await_end/1, Pids),
    ?assertEqual(#{incarnation => Old}, report(Config, detach)),
    ok = quorate_member_double:set(double(Config), #{renew => true, attach => true, lease => 20}),
    new_incarnation(Config, Old).

%% Code that is not Erlang's heeds no signal before it returns. It is neither said
%% to have ended until then, nor does anything start in its place.
what_hangs_has_not_ended(Config) ->
    ok = quorate_member_double:set(double(Config), #{ttl => 10000}),
    _ = start(Config),
    Ref = hang_in_native_code(running(Config, order(11))),
    ok = send_start(Config, order(12)),
    ?assertEqual({?ID, 11, superseded}, report(Config, stopped)),
    ?assertEqual(ended, has_ended(Ref)),
    no_report(Config, started),
    _ = running(Config, order(12)),
    ok.

%% It was killed before, and is on no list any more of what runs.
what_hangs_is_waited_for_at_the_end_of_the_lease(Config) ->
    ok = quorate_member_double:set(double(Config), #{ttl => 10000}),
    _ = start(Config),
    #{incarnation := Old} = quorate_member_double:attached(double(Config)),
    Ref = hang_in_native_code(running(Config, order(11))),
    ok = send_stop(Config, 11),
    receive after ?REAPER_MS -> ok end,
    ok = quorate_member_double:order(double(Config), lease_lost, #{incarnation => Old}),
    ?assertEqual(#{incarnation => Old}, report(Config, detach)),
    ?assertEqual(ended, has_ended(Ref)).

%% For about 2 s, in a BIF that never yields. Not on the scheduler of the agent, which
%% would hang with it: its timers are there.
hang_in_native_code(Pid) ->
    Some = lists:duplicate(100, binary:copy(<<7>>, 1 bsl 20)),
    Hash = fun(Term) -> apply(erlang, phash, [Term, 1 bsl 32]) end,
    {Us, _} = timer:tc(Hash, [Some]),
    Much = lists:duplicate(2000000 div Us + 1, Some),
    Other = 1 + scheduler_of(whereis(quorate_agent)) rem erlang:system_info(schedulers_online),
    monitor(process, in_child(Pid, fun() ->
        spawn_opt(fun() -> Hash(Much) end, [{scheduler, Other}])
    end)).

%% Where it ran last: it is given a message that it does not know.
scheduler_of(Pid) ->
    Flags = [running, scheduler_id],
    1 = erlang:trace(Pid, true, Flags),
    Pid ! where,
    _ = receive {trace, Pid, out, _, _} = Ran -> self() ! Ran after ?WAIT_MS -> error(Pid) end,
    1 = erlang:trace(Pid, false, Flags),
    Ref = erlang:trace_delivered(Pid),
    receive {trace_delivered, Pid, Ref} -> ok end,
    last_scheduler(Pid, undefined).

last_scheduler(Pid, Last) ->
    receive {trace, Pid, _, _, Scheduler} -> last_scheduler(Pid, Scheduler) after 0 -> Last end.

has_ended(Ref) ->
    receive {'DOWN', Ref, process, _, _} -> ended after 0 -> runs end.

%% Attaches of the old incarnation may still be on their way.
new_incarnation(Config, Old) ->
    case quorate_member_double:attached(double(Config)) of
        #{incarnation := Old} -> new_incarnation(Config, Old);
        #{running := Running} -> ?assertEqual([], Running)
    end.

lost_member_keeps_sandboxes(Config) ->
    Other = quorate_member_double:start(peer:random_name(other)),
    _ = start(Config, [Other]),
    #{incarnation := I} = quorate_member_double:attached(double(Config)),
    Pid = running(Config, order(11)),
    ok = quorate_member_double:stop(double(Config)),
    ?assertMatch(#{incarnation := I, running := [{?ID, 11, Pid}]},
                 quorate_member_double:attached(Other)),
    ?assert(is_process_alive(Pid)),
    quorate_member_double:stop(Other).

lease_lost_kills_and_attaches_anew(Config) ->
    _ = start(Config),
    #{incarnation := I} = quorate_member_double:attached(double(Config)),
    Pid = running(Config, order(11)),
    ok = quorate_member_double:order(double(Config), lease_lost, #{incarnation => I}),
    await_end(Pid),
    new_incarnation(Config, I).

greater_epoch_replaces_what_runs(Config) ->
    _ = start(Config),
    Old = running(Config, order(11)),
    New = running(Config, order(12)),
    ?assertNotEqual(Old, New),
    ?assertNot(is_process_alive(Old)),
    ?assertMatch({?ID, 11, superseded}, report(Config, stopped)),
    ok = send_start(Config, order(11)),
    settle(Config),
    ?assert(is_process_alive(New)),
    no_report(Config, started).

claim_of_an_older_lease_is_not_started(Config) ->
    _ = start(Config),
    ok = send_start(Config, order(10)),
    settle(Config),
    no_report(Config, started),
    no_report(Config, failed).

writes_are_numbered(Config) ->
    _ = start(Config),
    ok = answer(Config, fun(state_replicator, replicate_state, [Id, Epoch, State, Options]) ->
                                {ok, {Id, Epoch, State, Options}}
                        end),
    Pid = running(Config, order(11)),
    ?assertEqual({ok, {?ID, 11, a, #{seq => 1}}},
                 in_child(Pid, fun() -> quorate:replicate_state(a) end)),
    ?assertEqual({ok, {alice, 11, b, #{seq => 2}}}, quorate:replicate_state(alice, 11, b)),
    ?assertEqual({ok, {"alice", 11, b, #{seq => 3}}}, quorate:replicate_state("alice", 11, b)),
    ?assertEqual({ok, {?ID, 10, c, #{}}}, quorate:replicate_state(?ID, 10, c)),
    ?assertEqual({ok, {<<"bob">>, 11, c, #{}}}, quorate:replicate_state(<<"bob">>, 11, c)).

stale_checkpoint_kills(Config) ->
    _ = start(Config),
    ok = answer(Config, fun(_, _, _) -> {error, {stale_epoch, 12}} end),
    Options = #{checkpoint => #{interval => 10, callback => {erlang, process_info}}},
    Pid = running(Config, (order(11))#{options := term_to_binary(Options)}),
    await_end(Pid),
    ?assertEqual({?ID, 11, stale_epoch}, report(Config, stopped)).

planned_stop_hands_over(Config) ->
    Sup = start(Config),
    #{incarnation := I} = quorate_member_double:attached(double(Config)),
    Test = self(),
    ok = answer(Config, fun(_, F, Args) -> Test ! {called, F, Args}, {ok, #{}} end),
    Options = #{checkpoint => #{callback => {erlang, is_process_alive}}},
    Pid = running(Config, (order(11))#{options := term_to_binary(Options)}),
    ok = stop(Sup),
    ?assertNot(is_process_alive(Pid)),
    receive {called, replicate_state, [?ID, 11, true, _]} -> ok after 0 -> ct:fail(no_state) end,
    ?assertEqual(#{incarnation => I}, report(Config, detach)),
    no_report(Config, stopped).

name_is_freed_when_its_process_ends(Config) ->
    _ = start(Config),
    Test = self(),
    ok = answer(Config, fun(consistency_manager, register, _) -> {ok, 30};
                           (_, F, Args) -> Test ! {F, Args}, ok end),
    Pid = spawn(fun() -> receive stop -> ok end end),
    ?assertEqual(yes, quorate:register_name(my_name, Pid)),
    Pid ! stop,
    receive {unregister, [my_name, Pid]} -> ok after ?WAIT_MS -> ct:fail(not_freed) end.

name_dies_with_the_lease(Config) ->
    _ = start(Config),
    ok = answer(Config, fun(consistency_manager, register, _) -> {ok, 30};
                           (_, _, _) -> ok end),
    Pid = spawn(fun() -> timer:sleep(infinity) end),
    ?assertEqual(yes, quorate:register_name(my_name, Pid)),
    ok = quorate_member_double:set(double(Config), #{renew => false, attach => false}),
    await_end(Pid).

%% It must not outlive the lease with the other one.
one_name_less_is_not_the_last(Config) ->
    _ = start(Config),
    ok = answer(Config, fun(consistency_manager, register, _) -> {ok, 30};
                           (_, _, _) -> ok end),
    Pid = spawn(fun() -> timer:sleep(infinity) end),
    [?assertEqual({ok, 30}, quorate:register(Name, Pid, #{})) || Name <- [one, two]],
    ?assertEqual(ok, quorate:unregister(one, Pid)),
    ?assertEqual([two], quorate_namekeeper:names_of(Pid)),
    ok = quorate_member_double:set(double(Config), #{renew => false, attach => false}),
    await_end(Pid).

names_of_one_process_are_all_freed(Config) ->
    _ = start(Config),
    Test = self(),
    ok = answer(Config, fun(consistency_manager, register, _) -> {ok, 30};
                           (_, F, Args) -> Test ! {F, Args}, ok end),
    Pid = spawn(fun() -> receive stop -> ok end end),
    [?assertEqual({ok, 30}, quorate:register(N, Pid, #{})) || N <- lists:seq(1, 200)],
    ?assertEqual(200, length(quorate_namekeeper:names_of(Pid))),
    Pid ! stop,
    [receive {unregister, [N, Pid]} -> ok after ?WAIT_MS -> ct:fail({not_freed, N}) end
     || N <- lists:seq(1, 200)],
    ?assertEqual([], quorate_namekeeper:names_of(Pid)).

%% It was registered when nobody was there any more to say so.
caller_that_ends_leaves_no_name(Config) ->
    _ = start(Config),
    Test = self(),
    ok = answer(Config, fun(consistency_manager, register, _) ->
                                Test ! {asked, self()},
                                receive go_on -> {ok, 30} end;
                           (_, F, Args) -> Test ! {F, Args}, ok end),
    Pid = spawn(fun() -> quorate:register(name, self(), #{}) end),
    Double = receive {asked, From} -> From after ?WAIT_MS -> ct:fail(not_asked) end,
    true = exit(Pid, kill),
    await_end(Pid),
    Double ! go_on,
    receive {unregister, [name, Pid]} -> ok after ?WAIT_MS -> ct:fail(not_freed) end.

%% A registration may still be under way when the name is freed for the first time.
name_that_comes_late_is_freed(Config) ->
    _ = start(Config),
    Test = self(),
    ok = answer(Config, fun(consistency_manager, register, _) -> {error, timeout};
                           (_, F, Args) ->
                                Test ! {F, Args},
                                case put(asked, true) of
                                    undefined -> {error, not_found};
                                    true -> ok
                                end
                        end),
    Pid = spawn(fun() -> receive stop -> ok end end),
    ?assertEqual({error, timeout}, quorate:register(late, Pid, #{})),
    Pid ! stop,
    [receive {unregister, [late, Pid]} -> ok after ?WAIT_MS -> ct:fail(not_freed) end
     || _ <- [first, second]].

name_that_was_not_given_is_not_watched(Config) ->
    _ = start(Config),
    #{incarnation := Old} = quorate_member_double:attached(double(Config)),
    Test = self(),
    ok = answer(Config, fun(consistency_manager, register, _) -> {error, {already_exists, Test}};
                           (_, F, Args) -> Test ! {F, Args}, ok end),
    Pid = spawn(fun() -> timer:sleep(infinity) end),
    ?assertEqual(no, quorate:register_name(taken, Pid)),
    _ = sys:get_state(quorate_namekeeper),
    ?assertEqual({monitored_by, []}, process_info(Pid, monitored_by)),
    ok = quorate_member_double:set(double(Config), #{renew => false, attach => false}),
    new_incarnation(Config, Old),
    ?assert(is_process_alive(Pid)),
    exit(Pid, kill).

name_that_is_not_free_yet_is_watched(Config) ->
    _ = start(Config),
    ok = answer(Config, fun(consistency_manager, register, _) -> {ok, 30};
                           (_, _, _) -> {error, no_quorum} end),
    Pid = spawn(fun() -> timer:sleep(infinity) end),
    ?assertEqual(yes, quorate:register_name(kept, Pid)),
    ?assertEqual({error, no_quorum}, quorate:unregister(kept, Pid)),
    ?assertEqual([kept], quorate_namekeeper:names_of(Pid)),
    ok = quorate_member_double:set(double(Config), #{renew => false, attach => false}),
    await_end(Pid).

dead_processes_get_no_name(Config) ->
    _ = start(Config),
    Pid = spawn(fun() -> ok end),
    await_end(Pid),
    ?assertEqual({error, {badarg, not_alive}}, quorate:register(name, Pid, #{})),
    ?assertEqual(no, quorate:register_name(name, Pid)),
    ?assertEqual({error, {badarg, pid}}, quorate:register(name, not_a_pid, #{})),
    ?assertEqual({error, {badarg, pid}}, quorate:unregister(name, not_a_pid)).

call_goes_to_another_member(Config) ->
    Other = quorate_member_double:start(peer:random_name(other)),
    ok = quorate_member_double:set(Other, #{answer => fun(_, _, _) -> from_other end}),
    _ = start(Config, [Other]),
    _ = quorate_member_double:attached(double(Config)),
    ?assertEqual({error, not_found}, quorate:sandbox(?ID)),
    ok = quorate_member_double:stop(double(Config)),
    ?assertEqual(from_other, quorate:sandbox(?ID)),
    ?assertEqual(from_other, quorate:stop_sandbox(?ID)),
    quorate_member_double:stop(Other),
    ?assertEqual({error, no_member}, quorate:sandbox(?ID)).

unknown_messages_change_nothing(Config) ->
    _ = start(Config),
    Pid = running(Config, order(11)),
    Agent = whereis(quorate_agent),
    [quorate_agent ! M || M <- [x, {quorate, 2, start, #{}}, {quorate, 1, start, #{}},
                                {quorate, 1, attached, x}, {quorate, 1, renewed, #{}},
                                {quorate, 1, lease_lost, #{incarnation => x}},
                                {quorate, 1, dance, 1}, {'DOWN', make_ref(), process, Pid, x},
                                {sandbox, self(), {started, Pid}}]],
    ok = send_start(Config, order(11)),
    ?assertEqual({?ID, 11, Pid}, report(Config, started)),
    ?assertEqual(Agent, whereis(quorate_agent)).

agent_that_crashed_leaves_nothing_running(Config) ->
    true = register(?MODULE, self()),
    _ = start(Config),
    #{incarnation := Old} = quorate_member_double:attached(double(Config)),
    _ = running(Config, order(11, {?MODULE, start_tree, []})),
    Pids = receive {tree, Tree} -> Tree end,
    exit(whereis(quorate_agent), kill),
    lists:foreach(fun await_end/1, Pids),
    new_incarnation(Config, Old).

available(Epoch) -> (order(Epoch))#{mode => available}.

%% Loses its lease, and gets another one when the test says so; the run that ended.
lose_lease(Config) ->
    #{incarnation := Old} = quorate_member_double:attached(double(Config)),
    ok = quorate_member_double:set(double(Config), #{renew => false, attach => false}),
    Old.

lease_again(Config) ->
    ok = quorate_member_double:set(double(Config), #{renew => true, attach => true, lease => 20,
                                                     ttl => 10000}),
    quorate_agent:await_attached(?WAIT_MS).

%% What a new run attaches with.
running_of_another(Config, Old) ->
    case quorate_member_double:attached(double(Config)) of
        #{incarnation := Old} -> running_of_another(Config, Old);
        #{running := Running} -> Running
    end.

%% Until the lease is over: the member is told that not all has ended.
fenced(Config, Old) -> ?assertEqual(#{incarnation => Old}, report(Config, fenced)).

available_goes_on_without_a_lease(Config) ->
    _ = start(Config),
    Pid = running(Config, available(11)),
    ok = send_start(Config, (order(12))#{id => <<"strong">>}),
    {<<"strong">>, 12, Strong} = report(Config, started),
    Old = lose_lease(Config),
    await_end(Strong),
    fenced(Config, Old),
    no_report(Config, detach),
    ?assert(is_process_alive(Pid)),
    ?assertEqual([{?ID, 11, Pid}], running_of_another(Config, Old)),
    %% Asked about that run later on, it says so again.
    #{node := Node} = double(Config),
    ok = quorate_member_double:order(double(Config), probe, #{incarnation => Old, member => Node}),
    fenced(Config, Old),
    ?assertEqual(11, in_child(Pid, fun quorate:epoch/0)).

what_goes_on_is_taken_over(Config) ->
    _ = start(Config),
    Pid = running(Config, available(11)),
    _ = context(),
    Old = lose_lease(Config),
    fenced(Config, Old),
    ok = lease_again(Config),
    [{?ID, 11, Pid}] = running_of_another(Config, Old),
    Order = (available(25))#{prior => 11},
    ok = send_start(Config, Order),
    ?assertEqual({?ID, 25, Pid}, report(Config, started)),
    ?assertEqual(25, in_child(Pid, fun quorate:epoch/0)),
    ok = send_start(Config, Order),
    ?assertEqual({?ID, 25, Pid}, report(Config, started)),
    receive {child, _, _} -> ct:fail(started_again) after 0 -> ok end,
    %% Its writes are those of the later epoch, and numbered anew.
    ok = answer(Config, fun(state_replicator, replicate_state, Args) -> {ok, Args} end),
    ?assertEqual({ok, [?ID, 25, a, #{seq => 1}]},
                 in_child(Pid, fun() -> quorate:replicate_state(a) end)),
    ?assertEqual({ok, [?ID, 11, b, #{}]}, quorate:replicate_state(?ID, 11, b)),
    ok = send_stop(Config, 25),
    ?assertEqual({?ID, 25, shutdown}, report(Config, stopped)),
    await_end(Pid).

%% An agent that gets no lease: its incarnation.
without_a_lease(Config) ->
    ok = quorate_member_double:set(double(Config), #{attach => false}),
    _ = start(Config),
    #{incarnation := I, provisional := []} = quorate_member_double:attached(double(Config)),
    I.

provisional(Config, I, Number) -> provisional(Config, I, Number, #{}).

provisional(Config, I, Number, Options) ->
    provisional(Config, I, Number, Options, {?MODULE, start_link, [self()]}).

provisional(Config, I, Number, Options, Spec) ->
    #{node := Node} = double(Config),
    quorate_member_double:order(double(Config), provisional,
                                #{incarnation => I, member => Node, number => Number, id => ?ID,
                                  spec => term_to_binary(Spec),
                                  options => term_to_binary(Options)}).

provisional_start_is_answered(Config) ->
    I = without_a_lease(Config),
    ok = provisional(Config, I, 7),
    {7, started, 0, Pid} = report(Config, provisional),
    ?assertMatch(#{id := ?ID, epoch := 0, state := undefined}, context()),
    ?assertEqual(0, in_child(Pid, fun quorate:epoch/0)),
    ok = provisional(Config, I, 8),
    ?assertEqual({8, exists, 0, Pid}, report(Config, provisional)),
    no_report(Config, started),
    %% Who asks next is told by the attach.
    #{running := []} = await_attach(Config, fun(#{provisional := Ids}) -> Ids =:= [?ID] end),
    true = exit(Pid, kill),
    _ = context(),
    stop(whereis(quorate_sup)),
    _ = start(Config),
    #{incarnation := I1} = await_attach(Config, fun(#{incarnation := I1}) -> I1 =/= I end),
    ok = provisional(Config, I1, 9, #{}, {?MODULE, fail, []}),
    ?assertMatch({9, failed, 0, _}, report(Config, provisional)),
    no_report(Config, failed).

await_attach(Config, Is) ->
    Body = quorate_member_double:attached(double(Config)),
    case Is(Body) of
        true -> Body;
        false -> await_attach(Config, Is)
    end.

%% What it takes to be heard is what an attach has told, and to be a member.
nobody_else_starts_provisionally(Config) ->
    I = without_a_lease(Config),
    ok = provisional(Config, <<0:128>>, 7),
    Order = #{incarnation => I, member => node(), number => 8, id => ?ID,
              spec => term_to_binary({?MODULE, start_link, [self()]}),
              options => term_to_binary(#{})},
    ok = quorate_member_double:order(double(Config), provisional, Order),
    ok = quorate_member_double:order(double(Config), provisional, Order#{number := a}),
    settle(Config),
    no_report(Config, provisional),
    ?assertEqual([], quorate_local:list()).

nothing_is_provisional_under_a_lease(Config) ->
    _ = start(Config),
    #{incarnation := I} = quorate_member_double:attached(double(Config)),
    ok = quorate_agent:await_attached(?WAIT_MS),
    ok = provisional(Config, I, 7),
    ?assertEqual({7, refused, 0, leased}, report(Config, provisional)),
    ?assertEqual([], quorate_local:list()).

%% Again and again, as long as nothing is said to it.
provisional_one_is_offered(Config) ->
    I = without_a_lease(Config),
    ok = provisional(Config, I, 7),
    {7, started, 0, Pid} = report(Config, provisional),
    no_report(Config, offer),
    ok = quorate_member_double:set(double(Config), #{attach => true, lease => 20}),
    {I, ?ID, Pid, Spec, Options} = report(Config, offer),
    ?assertEqual({?MODULE, start_link, [self()]}, binary_to_term(Spec)),
    ?assertEqual(#{}, binary_to_term(Options)),
    ?assertEqual({I, ?ID, Pid, Spec, Options}, report(Config, offer)).

provisional_one_goes_on_as_the_owner(Config) ->
    I = without_a_lease(Config),
    ok = provisional(Config, I, 7),
    {7, started, 0, Pid} = report(Config, provisional),
    _ = context(),
    ok = quorate_member_double:set(double(Config), #{attach => true, lease => 20}),
    {I, ?ID, Pid, _, _} = report(Config, offer),
    Order = (available(25))#{prior => 0},
    ok = send_start(Config, Order),
    ?assertEqual({?ID, 25, Pid}, report(Config, started)),
    ?assertEqual(25, in_child(Pid, fun quorate:epoch/0)),
    receive {child, _, _} -> ct:fail(started_again) after 0 -> ok end,
    settle(Config),
    flush_offers(Config),
    %% No offer follows in the time of two.
    receive after 1100 -> ok end,
    no_report(Config, offer),
    %% It is the lease's from now on, and goes on as what it is.
    Old = lose_lease(Config),
    fenced(Config, Old),
    ?assert(is_process_alive(Pid)),
    ?assertEqual([{?ID, 25, Pid}], running_of_another(Config, Old)).

flush_offers(Config) ->
    #{node := Node} = double(Config),
    receive {double, Node, {offer, _}} -> flush_offers(Config) after 0 -> ok end.

%% Somebody created another one of that id, which the log gave to this worker.
provisional_one_of_other_terms_ends(Config) ->
    {Pid, About} = given_up(Config, #{conflict => latest}, available),
    ?assertMatch(#{owner_epoch := 25, policy := latest, decision := duplicate}, About),
    ?assertNotEqual(Pid, running(Config, (available(25))#{prior => 0})).

provisional_one_says_nothing_of_a_strong_one(Config) ->
    {_, About} = given_up(Config, #{conflict => latest}, strong),
    ?assertMatch(#{owner_epoch := 25, policy := registered, decision := registered}, About).

given_up(Config, Options, Mode) ->
    Test = self(),
    ok = answer(Config, fun(conflict_resolver, keep_copy, Args) -> Test ! {kept, Args}, {ok, 1};
                           (_, _, _) -> {error, not_found}
                        end),
    I = without_a_lease(Config),
    Checkpoint = #{interval => 60000, callback => {erlang, is_process_alive}},
    ok = provisional(Config, I, 7, Options#{checkpoint => Checkpoint}),
    {7, started, 0, Pid} = report(Config, provisional),
    _ = context(),
    ok = quorate_member_double:set(double(Config), #{attach => true, lease => 20}),
    {I, ?ID, Pid, _, _} = report(Config, offer),
    ok = send_start(Config, (available(25))#{mode => Mode, prior => 0}),
    await_end(Pid),
    receive
        {kept, [?ID, 0, true, About]} -> {Pid, About}
    after ?WAIT_MS -> ct:fail(not_kept)
    end.

%% By itself: there is no state that it would have to wait for.
provisional_child_starts_again(Config) ->
    I = without_a_lease(Config),
    ok = provisional(Config, I, 7),
    {7, started, 0, Pid} = report(Config, provisional),
    _ = context(),
    true = exit(Pid, kill),
    ?assertMatch(#{epoch := 0, state := undefined}, context()).

%% Another one had it in between, so it does not go on; nor is its state lost.
what_is_owned_by_another_gives_its_state(Config) ->
    _ = start(Config),
    Test = self(),
    ok = answer(Config, fun(conflict_resolver, keep_copy, Args) -> Test ! {kept, Args}, {ok, 1};
                           (_, _, _) -> {error, not_found}
                        end),
    Options = #{checkpoint => #{interval => 60000, callback => {erlang, is_process_alive}},
                conflict => registered},
    Pid = running(Config, (available(11))#{options := term_to_binary(Options)}),
    Old = lose_lease(Config),
    fenced(Config, Old),
    ok = lease_again(Config),
    _ = running_of_another(Config, Old),
    ok = send_start(Config, (available(25))#{prior => 24}),
    await_end(Pid),
    receive
        {kept, [?ID, 11, true, About]} -> ?assertMatch(#{owner_epoch := 25}, About)
    after ?WAIT_MS -> ct:fail(not_kept)
    end,
    ?assertEqual({?ID, 11, not_owner}, report(Config, stopped)),
    ?assertNotEqual(Pid, running(Config, (available(25))#{prior => 24})).

stale_checkpoint_of_an_available_one_is_asked(Config) ->
    _ = start(Config),
    #{incarnation := I} = quorate_member_double:attached(double(Config)),
    ok = answer(Config, fun(_, _, _) -> {error, {stale_epoch, 12}} end),
    Options = #{checkpoint => #{interval => 10, callback => {erlang, process_info}}},
    Pid = running(Config, (available(11))#{options := term_to_binary(Options)}),
    ?assertEqual({I, [{?ID, 11, Pid}]}, report(Config, running)),
    ?assert(is_process_alive(Pid)).

available_that_starts_or_stops_ends_with_the_lease(Config) ->
    true = register(?MODULE, self()),
    _ = start(Config),
    _ = running(Config, (order(11, {?MODULE, start_tree, []}))#{mode => available}),
    Pids = receive {tree, Tree} -> Tree end,
    ok = send_start(Config, (order(12, {?MODULE, hang, []}))#{id => <<"bob">>, mode => available}),
    Hanging = receive {hanging, P} -> P end,
    ok = send_stop(Config, 11),
    Old = lose_lease(Config),
    lists:foreach(fun await_end/1, [Hanging | Pids]),
    ?assertEqual(#{incarnation => Old}, report(Config, detach)),
    no_report(Config, fenced),
    ?assertEqual([], running_of_another(Config, Old)).

%% What was acknowledged is not known then; it starts with that under the new epoch.
what_fails_without_a_majority_waits(Config) ->
    _ = start(Config),
    Test = self(),
    ok = answer(Config, fun(state_replicator, recover_state, _) ->
                                Test ! asked,
                                {error, no_quorum}
                        end),
    Pid = running(Config, available(11)),
    _ = context(),
    Old = lose_lease(Config),
    fenced(Config, Old),
    Pid ! {exit, crash},
    receive asked -> ok after ?WAIT_MS -> ct:fail(not_asked) end,
    receive {child, _, _} -> ct:fail(started) after 0 -> ok end,
    ok = answer(Config, fun(state_replicator, recover_state, _) -> {ok, newest, {11, 3}} end),
    ok = lease_again(Config),
    [{?ID, 11, Pid}] = running_of_another(Config, Old),
    ok = send_start(Config, (available(25))#{prior => 11}),
    #{state := {ok, newest}, version := {11, 3}} = Context = context(),
    ?assert(lists:member(maps:get(epoch, Context), [11, 25])),
    Now = another(Config, 25, Pid),
    ?assertEqual(25, in_child(Now, fun quorate:epoch/0)).

%% Until it is reported to run under this epoch, as another process: that one.
another(Config, Epoch, Pid) ->
    case report(Config, started) of
        {?ID, Epoch, Other} when Other =/= Pid -> Other;
        _ -> another(Config, Epoch, Pid)
    end.

%% Who holds what it runs is not known any more.
available_ends_with_its_agent(Config) ->
    true = register(?MODULE, self()),
    _ = start(Config),
    #{incarnation := Old} = quorate_member_double:attached(double(Config)),
    _ = running(Config, (order(11, {?MODULE, start_tree, []}))#{mode => available}),
    Pids = receive {tree, Tree} -> Tree end,
    exit(whereis(quorate_agent), kill),
    lists:foreach(fun await_end/1, Pids),
    new_incarnation(Config, Old).

planned_stop_ends_what_goes_on(Config) ->
    Sup = start(Config),
    Pid = running(Config, available(11)),
    Old = lose_lease(Config),
    fenced(Config, Old),
    ok = stop(Sup),
    ?assertNot(is_process_alive(Pid)).

%% They all are there before it is time to ask for the lease again.
orders_do_not_hold_up_the_lease(Config) ->
    _ = start(Config),
    _ = quorate_member_double:attached(double(Config)),
    _ = running(Config, order(11)),
    Count = 300,
    ok = sys:suspend(quorate_agent),
    lists:foreach(fun(N) ->
        quorate_agent ! {quorate, 1, start, (order(12))#{id => integer_to_binary(N)}}
    end, lists:seq(1, Count)),
    true = quorate_ct:await(orders_and_tick, fun() ->
        {message_queue_len, Length} = process_info(whereis(quorate_agent), message_queue_len),
        Length > Count
    end),
    ok = quorate_member_double:set(double(Config), #{tells_keepalives => true}),
    ok = sys:resume(quorate_agent),
    #{load := #{sandboxes := Running}} = report(Config, keepalive),
    ?assert(Running < Count).
