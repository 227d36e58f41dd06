%% SPDX-License-Identifier: Apache-2.0
%% Names in a cluster of real members: one process for each, whatever breaks.
-module(names_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(MANY, 100000).

suite() ->
    [{timetrap, {seconds, 180}}].

all() ->
    [names_of_any_form, names_of_any_bytes_but_not_more, what_was_given_with_a_name_is_told,
     names_are_listed_a_page_at_a_time, the_name_of_a_run_before_is_taken_over,
     raced_from_two_nodes,
     a_name_is_for_an_own_process, an_agent_that_ends_takes_them_along, a_new_run_has_none,
     the_leader_is_lost_meanwhile, a_hundred_thousand].

init_per_suite(Config) ->
    ct_cluster:start(quorate_ct:start(names), Config).

end_per_suite(Config) ->
    ct_cluster:stop(Config).

init_per_testcase(_, Config) ->
    ct_cluster:workers(["w1", "w2"], #{}, [?MODULE], Config).

end_per_testcase(_, Config) ->
    ct_cluster:clear(Config).

%% Names

names_of_any_form(Config) ->
    [W1, W2] = ?config(workers, Config),
    Pid = idle(W1),
    Names = [a, <<>>, "", [], {}, #{}, 1, 1.0, -1, 1 bsl 200, 0.1, {1, [x | y]}, #{k => {v}},
             Pid, make_ref(), <<1:3>>, "name", <<"name">>, name, '', [[[]]], '\x{3bb}', <<0, 0>>],
    Epochs = [begin
                  {ok, Epoch} = quorate_ct:call(W1, quorate, register, [N, Pid, #{}]),
                  Epoch
              end || N <- Names],
    ?assertEqual(lists:sort(Epochs), Epochs),
    [?assertEqual({N, {ok, Pid, E}}, {N, quorate_ct:call(W2, quorate, whereis, [N])})
     || {N, E} <- lists:zip(Names, Epochs)],
    %% All different: 1 is not 1.0, "" is [].
    ?assertEqual(length(Names) - 1, length(lists:usort(Epochs))),
    true = quorate_ct:call(W1, erlang, exit, [Pid, kill]),
    [true = free(W2, N) || N <- Names].

names_of_any_bytes_but_not_more(Config) ->
    [W1, W2] = ?config(workers, Config),
    Pid = idle(W1),
    Most = binary:copy(<<255>>, 250),
    {ok, _} = quorate_ct:call(W1, quorate, register, [Most, Pid, #{}]),
    ?assertEqual(Pid, quorate_ct:call(W2, quorate, whereis_name, [Most])),
    [begin
         ?assertEqual({error, {badarg, name}},
                      quorate_ct:call(W1, quorate, register, [Long, Pid, #{}])),
         ?assertEqual(no, quorate_ct:call(W1, quorate, register_name, [Long, Pid])),
         ?assertEqual(undefined, quorate_ct:call(W1, quorate, whereis_name, [Long])),
         ?assertEqual(ok, quorate_ct:call(W1, quorate, unregister_name, [Long]))
     end || Long <- [<<Most/binary, 0>>, lists:seq(1, 300), binary:copy(<<0>>, 1000000)]],
    ?assertEqual([Most], quorate_ct:call(W1, quorate_namekeeper, names_of, [Pid])).

what_was_given_with_a_name_is_told(Config) ->
    [W1, W2] = ?config(workers, Config),
    Pid = idle(W1),
    {ok, Epoch} = quorate_ct:call(W1, quorate, register, [told, Pid, #{floor => <<"2">>}]),
    Entry = #{name => told, pid => Pid, epoch => Epoch, meta => #{floor => <<"2">>}},
    ?assertEqual({ok, Entry}, quorate_ct:call(W2, quorate, lookup, [told])),
    ?assertEqual({ok, Entry}, quorate_ct:call(W1, quorate, lookup, [told, #{timeout => 1000}])),
    %% The same again is no change.
    ?assertEqual({ok, Epoch}, quorate_ct:call(W1, quorate, register, [told, Pid, #{}])),
    ?assertEqual({ok, Entry}, quorate_ct:call(W2, quorate, lookup, [told])),
    ?assertEqual({error, not_found}, quorate_ct:call(W2, quorate, lookup, [untold])),
    ?assertEqual({error, {badarg, {unknown_option, limit}}},
                 quorate_ct:call(W2, quorate, lookup, [told, #{limit => 1}])),
    ok = quorate_ct:call(W2, quorate, unregister, [told, Pid]).

names_are_listed_a_page_at_a_time(Config) ->
    [W1, W2] = ?config(workers, Config),
    First = idle(W1),
    Second = idle(W2),
    Here = [{listed, a, <<N>>} || N <- lists:seq(1, 20)],
    There = [{listed, b, <<N>>} || N <- lists:seq(1, 20)],
    [{ok, _} = quorate_ct:call(W1, quorate, register, [N, First, #{}]) || N <- Here],
    [{ok, _} = quorate_ct:call(W2, quorate, register, [N, Second, #{n => N}]) || N <- There],
    Listed = fun(Options) ->
        [N || #{name := {listed, _, _} = N} <- quorate_ct:call(W1, quorate, names, [Options])]
    end,
    ?assertEqual(Here ++ There, Listed(#{})),
    ?assertEqual(Here ++ There, [N || #{name := {listed, _, _} = N}
                                          <- quorate_ct:call(W1, quorate, names, [])]),
    ?assertEqual(There, Listed(#{'after' => {listed, b, <<>>}})),
    ?assertEqual([{listed, b, <<N>>} || N <- [1, 2, 3]],
                 Listed(#{'after' => {listed, b, <<>>}, limit => 3})),
    ?assertEqual(Here, Listed(#{worker => maps:get(node, W1)})),
    ?assertEqual([], Listed(#{worker => nobody@nowhere})),
    ?assertMatch([#{pid := Second, meta := #{n := {listed, b, <<1>>}}}],
                 quorate_ct:call(W1, quorate, names,
                                 [#{'after' => {listed, b, <<>>}, limit => 1}])),
    [?assertEqual({error, {badarg, Why}}, quorate_ct:call(W1, quorate, names, [Options]))
     || {Why, Options} <- [{limit, #{limit => 0}}, {limit, #{limit => 10001}},
                           {'after', #{'after' => binary:copy(<<0>>, 300)}},
                           {worker, #{worker => 1}}, {{unknown_option, x}, #{x => 1}}]],
    [true = quorate_ct:call(W, erlang, exit, [P, kill]) || {W, P} <- [{W1, First}, {W2, Second}]],
    true = free(W2, lists:last(There)).

%% As a child that its supervisor starts again at once.
the_name_of_a_run_before_is_taken_over(Config) ->
    [W1, W2] = ?config(workers, Config),
    {ok, Runs} = quorate_ct:call(W1, ?MODULE, again_and_again, [100]),
    ?assertEqual([], [R || {error, R} <- Runs]),
    Epochs = [E || {ok, E} <- Runs],
    ?assertEqual(100, length(lists:usort(Epochs))),
    ?assertEqual(Epochs, lists:sort(Epochs)),
    true = free(W2, again).

again_and_again(Count) ->
    {ok, [begin
              Pid = spawn(fun idle/0),
              Answer = quorate:register(again, Pid, #{}),
              Ref = erlang:monitor(process, Pid),
              true = exit(Pid, kill),
              receive {'DOWN', Ref, process, Pid, _} -> Answer end
          end || _ <- lists:seq(1, Count)]}.

raced_from_two_nodes(Config) ->
    Workers = ?config(workers, Config),
    Count = 500,
    Test = self(),
    _ = [spawn_link(fun() -> Test ! {W, quorate_ct:call(W, ?MODULE, race, [Count])} end)
         || W <- Workers],
    [First, Second] = [receive {W, Answers} -> Answers end || W <- Workers],
    [?assertMatch({N, 1}, {N, length([won || {ok, _} <- [A, B]])})
     || {N, A, B} <- lists:zip3(lists:seq(1, Count), First, Second)],
    [W1, W2] = Workers,
    [?assertEqual(whereis_of(W1, {raced, N}), whereis_of(W2, {raced, N}))
     || N <- lists:seq(1, Count)].

race(Count) ->
    Self = self(),
    Pid = spawn(fun idle/0),
    Callers = [spawn_link(fun() -> Self ! {self(), quorate:register({raced, N}, Pid, #{})} end)
               || N <- lists:seq(1, Count)],
    [receive {Caller, Answer} -> Answer end || Caller <- Callers].

a_name_is_for_an_own_process(Config) ->
    [W1, W2] = ?config(workers, Config),
    Pid = idle(W1),
    ?assertEqual({error, forbidden}, quorate_ct:call(W2, quorate, register, [theirs, Pid, #{}])),
    ?assertEqual(no, quorate_ct:call(W2, quorate, register_name, [theirs, Pid])),
    ?assertEqual(undefined, quorate_ct:call(W2, quorate, whereis_name, [theirs])),
    %% To take one away is not bound to a node; its own node knows of it then.
    {ok, _} = quorate_ct:call(W1, quorate, register, [theirs, Pid, #{}]),
    ok = quorate_ct:call(W2, quorate, unregister, [theirs, Pid]),
    true = quorate_ct:await(known, fun() ->
        quorate_ct:call(W1, quorate_namekeeper, names_of, [Pid]) =:= []
    end).

%% What breaks

%% Nobody would free them, or end the process in time: it goes as well.
an_agent_that_ends_takes_them_along(Config) ->
    [W1, W2] = ?config(workers, Config),
    Pid = idle(W1),
    {ok, _} = quorate_ct:call(W1, quorate, register, [mine, Pid, #{}]),
    Agent = quorate_ct:call(W1, erlang, whereis, [quorate_agent]),
    true = quorate_ct:call(W1, erlang, exit, [Agent, kill]),
    true = free(W2, mine),
    ?assertNot(quorate_ct:call(W1, erlang, is_process_alive, [Pid])),
    {ok, _} = quorate_ct:call(W2, quorate, register, [mine, idle(W2), #{}]).

a_new_run_has_none(Config) ->
    Context = ?config(context, Config),
    [W1, W2] = ?config(workers, Config),
    {ok, Epoch} = quorate_ct:call(W1, quorate, register, [old, idle(W1), #{}]),
    ok = quorate_ct:kill_node(Context, W1),
    true = free(W2, old),
    {ok, Later} = quorate_ct:call(W2, quorate, register, [old, idle(W2), #{}]),
    ?assert(Later > Epoch).

%% Each is told what is so: a name that was given is there, under its one epoch.
the_leader_is_lost_meanwhile(Config) ->
    Context = ?config(context, Config),
    [W1, W2] = ?config(workers, Config),
    {Leader, _} = quorate_ct:leader(?config(client, Config), ?config(members, Config)),
    Test = self(),
    _ = spawn_link(fun() -> Test ! {answers, quorate_ct:call(W1, ?MODULE, steadily, [600])} end),
    true = quorate_ct:await(under_way, fun() ->
        whereis_of(W2, {steady, 100}) =/= undefined
    end),
    ok = quorate_ct:kill_member(Context, Leader),
    Answers = receive {answers, All} -> All after 90000 -> ct:fail(no_answers) end,
    _ = quorate_ct:start_member(Context, Leader),
    Given = [{N, Pid, Epoch} || {N, Pid, {ok, Epoch}} <- Answers],
    Others = [A || {_, _, {error, A}} <- Answers, A =/= timeout],
    ct:log("~b of 600 given, others ~tp", [length(Given), lists:usort(Others)]),
    ?assertEqual([], [O || O <- Others, O =/= no_quorum, O =/= busy]),
    ?assert(length(Given) > 300),
    [?assertEqual({N, {ok, Pid, Epoch}},
                  {N, quorate_ct:call(W2, quorate, whereis, [{steady, N}])})
     || {N, Pid, Epoch} <- Given].

steadily(Count) ->
    Pid = spawn(fun idle/0),
    [{N, Pid, quorate:register({steady, N}, Pid, #{})} || N <- lists:seq(1, Count)].

%% Quick, no more memory than they need, and all of them free again when their
%% processes end at once.
a_hundred_thousand(Config) ->
    [W1, W2] = ?config(workers, Config),
    [M | _] = ?config(members, Config),
    Client = ?config(client, Config),
    #{names := 0, memory_bytes := Before} = quorate_ct:ask(Client, M, {quorate, status}, []),
    {Took, {Pids, Failed}} = quorate_ct:take_time(fun() ->
        quorate_ct:call(W1, ?MODULE, many, [?MANY], 150000)
    end),
    ?assertEqual([], lists:usort(Failed)),
    #{names := ?MANY, memory_bytes := After} = quorate_ct:ask(Client, M, {quorate, status}, []),
    [?assertEqual(lists:nth(N, Pids), whereis_of(W2, {many, N})) || N <- [1, ?MANY div 2, ?MANY]],
    {Freed, true} = quorate_ct:take_time(fun() ->
        ok = quorate_ct:call(W1, ?MODULE, end_all, [Pids]),
        quorate_ct:await(all_free, fun() ->
            maps:get(names, quorate_ct:ask(Client, M, {quorate, status}, [])) =:= 0
        end, 90000)
    end),
    ct:log("~b names in ~b ms, ~b bytes each, freed in ~b ms",
           [?MANY, Took, (After - Before) div ?MANY, Freed]),
    ?assert((After - Before) div ?MANY < 4000).

many(Count) ->
    Self = self(),
    Callers = 100,
    Each = Count div Callers,
    Workers = [spawn_link(fun() -> Self ! {self(), some(From * Each, Each)} end)
               || From <- lists:seq(0, Callers - 1)],
    Results = lists:append([receive {W, Some} -> Some end || W <- Workers]),
    {[Pid || {Pid, _} <- Results], [Error || {_, {error, Error}} <- Results]}.

some(From, Count) ->
    [begin
         Pid = spawn(fun idle/0),
         {Pid, quorate:register({many, From + N}, Pid, #{})}
     end || N <- lists:seq(1, Count)].

end_all(Pids) ->
    lists:foreach(fun(Pid) -> exit(Pid, kill) end, Pids).

%% Internals

idle() ->
    receive after infinity -> ok end.

idle(W) ->
    quorate_ct:call(W, erlang, spawn, [?MODULE, idle, []]).

whereis_of(W, Name) ->
    quorate_ct:call(W, quorate, whereis_name, [Name]).

free(W, Name) ->
    quorate_ct:await({free, Name}, fun() -> whereis_of(W, Name) =:= undefined end).
