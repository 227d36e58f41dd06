%% SPDX-License-Identifier: Apache-2.0
%% Work that is run under a proven quorum: asked of members by a node without
%% any code of Quorate, and by the functions of the application.
-module(quorum_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(EXECUTE, {quorum_manager, execute_with_quorum}).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [runs_where_the_caller_is, every_way_to_call, runs_elsewhere, how_it_failed,
     what_is_printed_is_dropped, not_in_time, the_caller_is_gone, the_node_is_gone, many_at_once,
     bad_arguments, clients_run_only_at_home, by_the_application, enough_members,
     nothing_runs_without_a_quorum].

init_per_suite(Config) ->
    Context = quorate_ct:start(quorum),
    Members = quorate_ct:members(Context, ["q1", "q2", "q3"]),
    Client = quorate_ct:node(Context, "client"),
    ok = quorate_ct:load(Client, [?MODULE]),
    _ = quorate_ct:await_leader(Client, Members),
    Worker = quorate_ct:worker(Context, "w", Members, #{}),
    ok = quorate_ct:load(Worker, [?MODULE]),
    _ = quorate_ct:await_worker(Client, hd(Members), Worker),
    [{context, Context}, {members, Members}, {client, Client}, {worker, Worker} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

init_per_testcase(_, Config) ->
    _ = quorate_ct:await_leader(?config(client, Config), ?config(members, Config)),
    Config.

%% Where it runs

runs_where_the_caller_is(Config) ->
    #{node := Home} = ?config(client, Config),
    Tokens = [begin
                  {ok, Home, Token} = ask(Config, M, [{erlang, node, []}]),
                  Token
              end || _ <- lists:seq(1, 5), M <- ?config(members, Config)],
    ?assertEqual(lists:sort(Tokens), Tokens),
    [M | _] = ?config(members, Config),
    {ok, Before} = quorate_ct:ask(?config(client, Config), M, {quorum_manager, token}, []),
    %% It is a point that a read reached: what was acknowledged before is below.
    {ok, Epoch} = register_one(Config, runs_here),
    ?assert(Epoch > Before),
    {ok, _, After} = ask(Config, M, [{erlang, node, []}]),
    ?assert(After >= Epoch),
    end_waiting(?config(worker, Config), waiting(?config(worker, Config))).

every_way_to_call(Config) ->
    #{node := M} = hd(?config(members, Config)),
    Work = {lists, seq, [1, 3]},
    Answers = quorate_ct:on(?config(client, Config), fun() ->
        [rpc:call(M, quorum_manager, execute_with_quorum, [Work]),
         rpc:block_call(M, quorum_manager, execute_with_quorum, [Work]),
         erpc:call(M, quorum_manager, execute_with_quorum, [Work, #{}]),
         gen_server:call({quorate, M}, {quorum_manager, execute_with_quorum, [Work]})]
    end),
    [?assertMatch({ok, [1, 2, 3], _}, A) || A <- Answers],
    ?assertEqual(4, length(Answers)).

%% On a node that the member has a connection to.
runs_elsewhere(Config) ->
    #{node := Worker} = ?config(worker, Config),
    [pong = quorate_ct:call(?config(worker, Config), net_adm, ping, [M])
     || #{node := M} <- ?config(members, Config)],
    [begin
         ?assertMatch({ok, Worker, _}, ask(Config, M, [{erlang, node, []}, #{node => Worker}])),
         ?assertEqual({error, {not_connected, 'nobody@127.0.0.1'}},
                      ask(Config, M, [{erlang, node, []}, #{node => 'nobody@127.0.0.1'}]))
     end || M <- ?config(members, Config)].

%% How it ends

how_it_failed(Config) ->
    [M | _] = ?config(members, Config),
    [?assertEqual({error, {exception, Class, Reason}}, ask(Config, M, [{?MODULE, fail, [How]}]))
     || {How, Class, Reason} <- failures()],
    ?assertEqual({error, {exception, error, undef}}, ask(Config, M, [{no_module, f, []}])),
    ?assertEqual({error, {exception, error, undef}},
                 ask(Config, M, [{'\x{3bb}\x{0}', list_to_atom(lists:duplicate(255, 955)), []}])),
    %% {M, F, Arity} in place of arguments, and a result of any form, are as they are.
    ?assertMatch({ok, {error, not_an_error}, _},
                 ask(Config, M, [{erlang, hd, [[{error, not_an_error}]]}])).

failures() ->
    [{throw, throw, thrown}, {error, error, {bad, thing}}, {exit, exit, gone},
     {killed, exit, {signal, killed}}].

fail(throw) -> throw(thrown);
fail(error) -> error({bad, thing});
fail(exit) -> exit(gone);
fail(killed) -> exit(self(), kill), wait().

wait() ->
    receive after infinity -> ok end.

what_is_printed_is_dropped(Config) ->
    [M | _] = ?config(members, Config),
    ?assertMatch({ok, ok, _}, ask(Config, M, [{io, format, ["to nobody~n"]}])).

%% The answer comes in time, and the member has nothing left of it.
not_in_time(Config) ->
    [M | _] = ?config(members, Config),
    {Took, Answer} = quorate_ct:take_time(fun() ->
        ask(Config, M, [{?MODULE, wait, []}, #{timeout => 300}])
    end),
    ?assertEqual({error, timeout}, Answer),
    ?assert(Took < 3000),
    %% It goes on.
    [Pid] = waiting(?config(client, Config)),
    end_waiting(?config(client, Config), [Pid]),
    ?assertMatch({ok, _, _}, ask(Config, M, [{erlang, node, []}])).

waiting(Peer) ->
    quorate_ct:on(Peer, fun() ->
        [P || P <- processes(),
              {current_function, {?MODULE, wait, 0}} =:= process_info(P, current_function)]
    end).

end_waiting(Peer, Pids) ->
    quorate_ct:on(Peer, fun() -> [exit(P, kill) || P <- Pids], ok end).

the_caller_is_gone(Config) ->
    Context = ?config(context, Config),
    [M | _] = ?config(members, Config),
    #{node := Worker} = ?config(worker, Config),
    Short = #{node := Node} = quorate_ct:node(Context, "short"),
    ok = quorate_ct:load(Short, [?MODULE]),
    quorate_ct:on(Short, fun() ->
        #{node := Member} = M,
        [spawn(fun() ->
             rpc:call(Member, quorum_manager, execute_with_quorum, [{?MODULE, wait, []}, Options])
         end) || Options <- [#{}, #{node => Worker}, #{timeout => 60000}]],
        ok
    end),
    true = quorate_ct:await(runs_there, fun() -> length(waiting(Short)) =:= 2 end),
    true = quorate_ct:await(runs_at_the_worker, fun() ->
        length(waiting(?config(worker, Config))) =:= 1
    end),
    ok = quorate_ct:kill_node(Context, Short),
    true = quorate_ct:await(forgotten, fun() ->
        ask(Config, M, [{erlang, node, []}, #{node => Node}]) =:= {error, {not_connected, Node}}
    end),
    end_waiting(?config(worker, Config), waiting(?config(worker, Config))),
    ?assertMatch({ok, _, _}, ask(Config, M, [{erlang, node, []}])).

%% Nobody knows how far it had come.
the_node_is_gone(Config) ->
    Context = ?config(context, Config),
    [M | _] = ?config(members, Config),
    Short = #{node := Node} = quorate_ct:node(Context, "gone"),
    ok = quorate_ct:load(Short, [?MODULE]),
    #{node := Member} = M,
    pong = quorate_ct:call(Short, net_adm, ping, [Member]),
    Test = self(),
    _ = spawn_link(fun() ->
        Test ! {answer, ask(Config, M, [{?MODULE, wait, []}, #{node => Node, timeout => 30000}])}
    end),
    true = quorate_ct:await(runs_there, fun() -> length(waiting(Short)) =:= 1 end),
    ok = quorate_ct:kill_node(Context, Short),
    receive
        {answer, Answer} -> ?assertEqual({error, timeout}, Answer)
    after 10000 ->
        ct:fail(no_answer)
    end.

many_at_once(Config) ->
    #{node := M} = lists:last(?config(members, Config)),
    Count = 2000,
    Answers = quorate_ct:on(?config(client, Config), fun() ->
        Ids = [erpc:send_request(M, quorum_manager, execute_with_quorum,
                                 [{erlang, '+', [N, 1]}, #{timeout => 30000}])
               || N <- lists:seq(1, Count)],
        [erpc:receive_response(Id) || Id <- Ids]
    end),
    ?assertEqual(lists:seq(2, Count + 1), [N || {ok, N, _} <- Answers]).

bad_arguments(Config) ->
    [M | _] = ?config(members, Config),
    [?assertEqual({Args, {error, {badarg, What}}}, {Args, ask(Config, M, Args)})
     || {Args, What} <- [{[{erlang, node}], mfa}, {[{erlang, node, [a | b]}], mfa},
                         {[{erlang, "node", []}], mfa}, {[fun erlang:node/0], mfa},
                         {[{erlang, size, [binary:copy(<<0>>, 66000)]}], mfa},
                         {[{erlang, node, []}, #{required => 0}], required},
                         {[{erlang, node, []}, #{node => "w"}], node},
                         {[{erlang, node, []}, #{timeout => 0}], timeout},
                         {[{erlang, node, []}, #{rf => 3}], {unknown_option, rf}}]],
    ?assertEqual({error, too_big}, ask(Config, M, [{binary, copy, [<<"x">>, 2000000]}])),
    ?assertMatch({ok, X, _} when byte_size(X) =:= 1000000,
                 ask(Config, M, [{binary, copy, [<<"x">>, 1000000]}])).

%% A member reaches more nodes than a client may.
clients_run_only_at_home(Config) ->
    Context = ?config(context, Config),
    Client = #{node := Home} = ?config(client, Config),
    #{node := Worker} = ?config(worker, Config),
    [M] = quorate_ct:members(Context, ["strict"], ["--role", "client*@*=client"]),
    _ = quorate_ct:await_leader(Client, [M]),
    ?assertMatch({ok, Home, _}, ask(Config, M, [{erlang, node, []}])),
    ?assertMatch({ok, Home, _}, ask(Config, M, [{erlang, node, []}, #{node => Home}])),
    [?assertEqual({error, forbidden}, ask(Config, M, [{erlang, node, []}, #{node => N}]))
     || N <- [Worker, nobody@nowhere]],
    ok = quorate_ct:kill_member(Context, M).

%% By the application

by_the_application(Config) ->
    Worker = #{node := Node} = ?config(worker, Config),
    #{node := Other} = ?config(client, Config),
    Execute = fun(Args) -> quorate_ct:call(Worker, quorate, execute_with_quorum, Args) end,
    {ok, Node, Token} = Execute([{erlang, node, []}]),
    ?assertMatch({ok, Other, After} when After >= Token,
                 Execute([{erlang, node, []}, #{node => Other}])),
    ?assertMatch({ok, {Node, 3}, _}, quorate_ct:on(Worker, fun() ->
        Three = 3,
        quorate:execute_with_quorum(fun() -> {node(), Three} end)
    end)),
    [?assertEqual({error, {exception, Class, Reason}},
                  Execute([{?MODULE, fail, [How]}, #{node => N}]))
     || {How, Class, Reason} <- failures(), N <- [Node, Other]],
    ?assertEqual({error, {exception, error, undef}}, Execute([{no_module, f, []}])),
    {Took, Late} = quorate_ct:take_time(fun() -> Execute([{?MODULE, wait, []},
                                                          #{timeout => 300}]) end),
    ?assertEqual({error, timeout}, Late),
    ?assert(Took < 3000),
    end_waiting(Worker, waiting(Worker)),
    ?assertEqual({error, {not_connected, nobody@nowhere}},
                 Execute([{erlang, node, []}, #{node => nobody@nowhere}])),
    [?assertEqual({error, {badarg, What}}, Execute(Args))
     || {Args, What} <- [{[not_work], mfa}, {[{erlang, node, [a | b]}], mfa},
                         {[fun(_) -> x end], mfa}, {[{erlang, node, []}, []], options},
                         {[{erlang, node, []}, #{node => "w"}], node},
                         {[{erlang, node, []}, #{timeout => 0}], timeout},
                         {[{erlang, node, []}, #{colour => 1}], {unknown_option, colour}}]],
    ?assertEqual({error, {too_few_members, 3}}, Execute([{erlang, node, []}, #{required => 4}])),
    ?assertMatch({ok, Node, _}, Execute([{erlang, node, []}, #{required => 3}])).

%% The quorum

enough_members(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    {_, [A, B]} = quorate_ct:leader(Client, ?config(members, Config)),
    ?assertMatch({ok, _, _}, ask(Config, A, [{erlang, node, []}, #{required => 3}])),
    ?assertMatch({ok, _}, quorate_ct:ask(Client, A, {quorum_manager, token}, [#{required => 3}])),
    ok = quorate_ct:kill_member(Context, B),
    true = quorate_ct:await(seen, fun() ->
        ask(Config, A, [{?MODULE, note, []}, #{required => 3}]) =:= {error, {too_few_members, 2}}
    end),
    ?assertEqual({error, {too_few_members, 2}},
                 quorate_ct:ask(Client, A, {quorum_manager, token}, [#{required => 3}])),
    ?assertMatch({ok, _, _}, ask(Config, A, [{erlang, node, []}, #{required => 2}])),
    _ = quorate_ct:start_member(Context, B),
    true = quorate_ct:await(up_again, fun() ->
        is_ok(ask(Config, A, [{erlang, node, []}, #{required => 3}]))
    end).

is_ok({ok, _, _}) -> true;
is_ok(_) -> false.

%% A member that was a leader, or knew one, a moment ago is not believed.
nothing_runs_without_a_quorum(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Worker = ?config(worker, Config),
    {Leader, [A, B]} = quorate_ct:leader(Client, ?config(members, Config)),
    ok = quorate_ct:kill_member(Context, A),
    ok = quorate_ct:kill_member(Context, B),
    Before = noted(Client) + noted(Worker),
    Answers = [begin
                   {Took, Answer} = quorate_ct:take_time(Fun),
                   ?assert(Took < 6000),
                   Answer
               end || Fun <- [fun() -> ask(Config, Leader, [{?MODULE, note, []}]) end,
                              fun() -> quorate_ct:call(Worker, quorate, execute_with_quorum,
                                                       [{?MODULE, note, []}])
                              end]],
    ?assertEqual([{error, no_quorum}, {error, no_quorum}], Answers),
    ?assertEqual(Before, noted(Client) + noted(Worker)),
    _ = quorate_ct:start_member(Context, A),
    _ = quorate_ct:start_member(Context, B),
    true = quorate_ct:await(quorum_again, fun() ->
        is_ok(ask(Config, Leader, [{?MODULE, note, []}]))
    end),
    ?assert(noted(Client) > Before).

note() ->
    Count = noted() + 1,
    ok = application:set_env(kernel, ?MODULE, Count),
    Count.

noted() ->
    application:get_env(kernel, ?MODULE, 0).

noted(Peer) ->
    quorate_ct:call(Peer, ?MODULE, noted, []).

%% Internals

ask(Config, M, Args) ->
    quorate_ct:ask(?config(client, Config), M, ?EXECUTE, Args).

register_one(Config, Name) ->
    quorate_ct:on(?config(worker, Config), fun() ->
        quorate:register(Name, spawn(fun wait/0), #{})
    end).
