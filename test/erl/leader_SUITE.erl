%% SPDX-License-Identifier: Apache-2.0
%% Leaders. Every member reads what was acknowledged before, with
%% its help and without passing the call on.
-module(leader_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

%% Three election timeouts (500 ms each), and a loaded machine.
-define(NO_QUORUM_MS, 4000).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [every_member_reads_what_was_written, followers_answer_themselves,
     follower_that_stood_still, silent_majority, killed_leaders, silent_leaders,
     leadership_goes_round_under_load, leadership_goes_nowhere, transfer_by_command].

init_per_suite(Config) ->
    Context = quorate_ct:start(leader),
    Members = quorate_ct:members(Context, ["q1", "q2", "q3"]),
    Client = quorate_ct:node(Context, "client"),
    _ = quorate_ct:await_leader(Client, Members),
    Worker = quorate_ct:worker(Context, "w", Members, #{}),
    _ = quorate_ct:await_worker(Client, hd(Members), Worker),
    [{context, Context}, {members, Members}, {client, Client}, {worker, Worker} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

init_per_testcase(_, Config) ->
    _ = quorate_ct:await_leader(?config(client, Config), ?config(members, Config)),
    Config.

%% Reads

%% One process writes by one member and reads by all others at once.
every_member_reads_what_was_written(Config) ->
    Nodes = nodes_of(Config),
    ?assertEqual([], quorate_ct:on(?config(worker, Config), fun() ->
        [{Round, At, Read, Epoch, Got}
         || Round <- lists:seq(1, 100),
            At <- Nodes,
            Name <- [{r, Round, At}],
            {ok, Epoch} <- [rpc:call(At, consistency_manager, register, [Name, self(), #{}])],
            Read <- Nodes,
            Got <- [rpc:call(Read, consistency_manager, whereis, [Name])],
            Got =/= {ok, self(), Epoch}]
    end)).

%% A follower counts no call as passed on, and says of what is local that it is.
followers_answer_themselves(Config) ->
    Client = ?config(client, Config),
    {Leader, [Follower | _]} = quorate_ct:leader(Client, ?config(members, Config)),
    {ok, Token} = quorate_ct:ask(Client, Leader, {quorum_manager, token}, []),
    {ok, Same} = quorate_ct:ask(Client, Follower, {quorum_manager, token}, []),
    ?assert(Same >= Token),
    [begin
         ?assertMatch(#{consistency := linearizable, applied_index := Index} when Index >= Token,
                      quorate_ct:ask(Client, M, {quorate, status}, [])),
         ?assertMatch(#{consistency := local},
                      quorate_ct:ask(Client, M, {quorate, status}, [#{consistency => local}])),
         ?assertEqual({error, not_found},
                      quorate_ct:ask(Client, M, {consistency_manager, whereis},
                                     [nobody, #{consistency => local}])),
         ?assertEqual({error, {badarg, consistency}},
                      quorate_ct:ask(Client, M, {consistency_manager, whereis},
                                     [nobody, #{consistency => eventual}]))
     end || M <- [Leader, Follower]].

%% What was written while it stood still, it reads when it is woken, though it
%% still takes itself for a follower in step.
follower_that_stood_still(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Worker = ?config(worker, Config),
    {#{node := At}, [#{node := Node} = Follower | _]} =
        quorate_ct:leader(Client, ?config(members, Config)),
    OsPid = os_pid(Context, Follower),
    [begin
         ok = quorate_ct:signal(OsPid, "STOP"),
         {Epoch, Pid} = quorate_ct:on(Worker, fun() ->
             P = spawn(fun() -> receive stop -> ok end end),
             {ok, E} = rpc:call(At, consistency_manager, register, [{s, Round}, P, #{}]),
             {E, P}
         end),
         ok = quorate_ct:signal(OsPid, "CONT"),
         Got = quorate_ct:ask(Client, Follower, {consistency_manager, whereis}, [{s, Round}]),
         ?assertEqual({Round, Node, {ok, Pid, Epoch}}, {Round, Node, Got})
     end || Round <- lists:seq(1, 10)].

%% The others stand still, with their links open: no answer is right, so none is
%% given, and that soon. What the member itself knows it still tells.
silent_majority(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    {Leader, [Follower, Third]} = quorate_ct:leader(Client, Members),
    Stopped = [os_pid(Context, M) || M <- [Leader, Third]],
    _ = quorate_ct:ask(Client, Follower, {quorum_manager, token}, []),
    [ok = quorate_ct:signal(P, "STOP") || P <- Stopped],
    Asked = [{{consistency_manager, whereis}, [nobody]},
             {{quorate, sandbox}, [<<"nobody">>]},
             {{quorum_manager, token}, []}],
    [begin
         {Took, Got} = quorate_ct:take_time(fun() -> quorate_ct:ask(Client, Follower, F, A) end),
         ?assertEqual({F, {error, no_quorum}}, {F, Got}),
         ?assert(Took < ?NO_QUORUM_MS)
     end || {F, A} <- Asked],
    ?assertEqual({error, not_found},
                 quorate_ct:ask(Client, Follower, {quorate, sandbox},
                                [<<"nobody">>, #{consistency => local}])),
    ?assertMatch(#{consistency := local, quorum := false, leader := undefined},
                 quorate_ct:ask(Client, Follower, {quorate, status}, [])),
    [ok = quorate_ct:signal(P, "CONT") || P <- Stopped],
    _ = quorate_ct:await_leader(Client, Members),
    ?assertEqual({error, not_found},
                 quorate_ct:ask(Client, Follower, {quorate, sandbox}, [<<"nobody">>])).

%% Failover

%% Its links close: nobody waits an election timeout. One round may meet a busy
%% machine; the median does not. `make bench` has the figures.
killed_leaders(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    Took = [begin
        {Leader, Others} = quorate_ct:leader(Client, Members),
        T = served_after(Client, Others, fun() -> quorate_ct:kill_member(Context, Leader) end),
        _ = quorate_ct:start_member(Context, Leader),
        T
    end || _ <- lists:seq(1, 7)],
    ct:pal("served after ~w ms", [Took]),
    ?assert(lists:nth(4, lists:sort(Took)) < 250),
    ?assert(lists:max(Took) < 2000).

%% Its links stay open: it is missed after an election timeout.
silent_leaders(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    Took = [begin
        {Leader, Others} = quorate_ct:leader(Client, Members),
        OsPid = os_pid(Context, Leader),
        T = served_after(Client, Others, fun() -> quorate_ct:signal(OsPid, "STOP") end),
        ok = quorate_ct:signal(OsPid, "CONT"),
        T
    end || _ <- lists:seq(1, 5)],
    ct:pal("served after ~w ms", [Took]),
    ?assert(lists:nth(3, lists:sort(Took)) < 1200),
    ?assert(lists:max(Took) < 3000).

%% Until both others have answered a linearizable read.
served_after(Client, Others, Lose) ->
    Since = erlang:monotonic_time(millisecond),
    ok = Lose(),
    [true = quorate_ct:await(served, fun() ->
        element(1, quorate_ct:ask(Client, M, {quorum_manager, token}, [])) =:= ok
    end) || M <- Others],
    erlang:monotonic_time(millisecond) - Since.

%% Handing over

%% Each answer means that the new one leads; nothing acknowledged is lost, nobody
%% waits for long.
leadership_goes_round_under_load(Config) ->
    Client = ?config(client, Config),
    Worker = ?config(worker, Config),
    [A | _] = Members = ?config(members, Config),
    {ok, #{epoch := Epoch}} = quorate_ct:ask(Client, A, {quorate, create_sandbox},
                                             [<<"round">>, ct_counter:spec()]),
    Load = [ct_load:start(Client, {states, nodes_of(Config), <<"round">>, Epoch}),
            ct_load:start(Client, {creations, nodes_of(Config)}),
            ct_load:start(Worker, {names, round})],
    Moved = [begin
        Before = ct_load:progress(Load),
        ?assertEqual({ok, To}, transfer(Client, Asked, To)),
        ?assertMatch(#{leader := To}, quorate_ct:ask(Client, #{node => To}, {quorate, status}, [])),
        true = quorate_ct:await(goes_on, fun() -> ct_load:progress(Load) > Before + 20 end),
        To
    end || _ <- lists:seq(1, 5), #{node := To} <- Members, Asked <- Members],
    ?assertEqual(45, length(Moved)),
    ?assert(ct_load:longest_gap(Load) < 2000),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    ?assertEqual([], [L || All <- Acknowledged, L <- ct_load:lost(Client, nodes_of(Config), All)]).

%% Each with a reason, and the leader leads on.
leadership_goes_nowhere(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    {#{node := Leading} = Leader, [#{node := To} = Silent, Other]} =
        quorate_ct:leader(Client, Members),
    ?assertEqual({error, not_found}, transfer(Client, Other, 'nobody@127.0.0.1')),
    ?assertEqual({error, {badarg, node}}, transfer(Client, Other, 17)),
    ?assertEqual({ok, Leading}, transfer(Client, Other, Leading)),
    OsPid = os_pid(Context, Silent),
    ok = quorate_ct:signal(OsPid, "STOP"),
    {Took, Answer} = quorate_ct:take_time(fun() -> transfer(Client, Other, To) end),
    ?assertEqual({error, not_taken_over}, Answer),
    ?assert(Took < 3000),
    ?assertMatch({ok, _}, quorate_ct:ask(Client, Leader, {quorum_manager, token}, [])),
    ok = quorate_ct:signal(OsPid, "CONT"),
    %% What was told to it while it stood still may make it leader even now.
    {_, [#{node := Dead} = Victim, Left]} = quorate_ct:leader(Client, Members),
    ok = quorate_ct:kill_member(Context, Victim),
    true = quorate_ct:await(not_up, fun() -> transfer(Client, Left, Dead) =:= {error, not_up} end),
    _ = quorate_ct:start_member(Context, Victim),
    _ = quorate_ct:await_leader(Client, Members).

transfer_by_command(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    {Leader, [#{node := To} | _]} = quorate_ct:leader(Client, ?config(members, Config)),
    {0, Text, <<>>} = command(Context, Leader, ["member", "transfer", atom_to_list(To)]),
    ?assertEqual(<<"LEADER\n", (atom_to_binary(To))/binary, "\n">>, Text),
    {78, <<>>, Why} = command(Context, Leader, ["member", "transfer", "nobody@127.0.0.1"]),
    ?assertMatch({_, _}, binary:match(Why, <<"there is no such member">>)).

transfer(Client, Asked, To) ->
    quorate_ct:ask(Client, Asked, {quorum_manager, transfer_leadership}, [To]).

%% Helpers

nodes_of(Config) ->
    [N || #{node := N} <- ?config(members, Config)].

os_pid(Context, #{node := Node}) ->
    quorate_ct:os_pid(Context, hd(string:split(atom_to_list(Node), "@"))).

command(#{work := Work} = Context, #{node := Node, port := Port}, Words) ->
    Target = lists:flatten(io_lib:format("~s=127.0.0.1:~b", [Node, Port])),
    quorate_ct:run(Context, quorate,
                   Words ++ ["--target", Target, "--cookie-file", filename:join(Work, "cookie")],
                   #{}).
