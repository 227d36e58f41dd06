%% SPDX-License-Identifier: Apache-2.0
%% A member as other nodes see it: every way of calling it, from nodes of three
%% releases of Erlang. (Elixir and stock C and Java nodes: interop_SUITE.)
%%
%% OTP 27 and 29 run in roots of their own (quorate_ct:release/2). Where that is
%% not possible the group is skipped, unless QUORATE_REQUIRE_OTP27=1 (or 29).
-module(dist_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [{group, otp25}, {group, otp27}, {group, otp29}, {group, links}].

groups() ->
    Node = [ping, hidden_nodes, rpc_call, rpc_call_with_timeout, rpc_cast, rpc_multicall, erpc_call,
            erpc_cast, erpc_multicall, gen_server_call, gen_server_cast, status_map,
            message_to_a_name, message_to_an_unknown_name, monitor_of_a_name,
            monitor_of_an_unknown_name, call_of_an_unknown_name, monitor_of_an_unknown_pid,
            link_to_an_unknown_pid, undef_as_in_a_vm, badarg_is_an_answer,
            functions_outside_the_table, spawned_functions,
            late_answers_are_dropped, large_arguments, many_callers,
            traced_call, runs_sandboxes],
    [{otp25, [], Node},
     {otp27, [], Node},
     %% Code for workers has to be compiled by 29 itself.
     {otp29, [], Node -- [runs_sandboxes]},
     {links, [], [wrong_cookie, same_name_again, restarted_member, monitor_ends_with_the_member,
                  epmd_restarted, by_port_without_epmd]}].

init_per_suite(Config) ->
    Context = quorate_ct:start(dist),
    Members = quorate_ct:members(Context, ["q1", "q2", "q3"]),
    Client = quorate_ct:node(Context, "client"),
    _ = quorate_ct:await_leader(Client, Members),
    Worker = quorate_ct:worker(Context, "worker", Members, #{}),
    _ = quorate_ct:await_worker(Client, hd(Members), Worker),
    %% One by itself, to be frozen.
    [Lone] = quorate_ct:members(Context, ["lone"]),
    _ = quorate_ct:await_leader(Client, [Lone]),
    [{lone, Lone}, {context, Context}, {members, Members}, {client, Client} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

init_per_group(otp27, Config) ->
    of_release("27", Config);
init_per_group(otp29, Config) ->
    of_release("29", Config);
init_per_group(otp25, Config) ->
    [{node, quorate_ct:node(?config(context, Config), "otp25")} | Config];
init_per_group(_, Config) ->
    [{node, ?config(client, Config)} | Config].

of_release(Release, Config) ->
    ct:timetrap({minutes, 15}),
    Context = ?config(context, Config),
    case quorate_ct:release(Context, Release) of
        {ok, Root} ->
            Node = quorate_ct:node(Context, "otp" ++ Release, #{root => Root}),
            ?assertEqual(Release, quorate_ct:call(Node, erlang, system_info, [otp_release])),
            ok = quorate_ct:load(Node, [?MODULE]),
            [{node, Node} | Config];
        Skip ->
            Skip
    end.

end_per_group(_, _) ->
    ok.

%% Every way of calling

ping(Config) ->
    on(Config, fun([M | _]) -> ?assertEqual(pong, net_adm:ping(M)) end).

hidden_nodes(Config) ->
    on(Config, fun([M | _]) ->
        pong = net_adm:ping(M),
        ?assert(lists:member(M, nodes(hidden))),
        ?assertNot(lists:member(M, nodes()))
    end).

rpc_call(Config) ->
    on(Config, fun(Members) ->
        [?assertEqual(<<"0.1.0">>, rpc:call(M, quorate, version, [])) || M <- Members],
        ?assertEqual({error, not_found}, rpc:call(hd(Members), quorate, sandbox, [<<"nobody">>])),
        %% A list of bytes is another kind of term on the wire.
        ?assertEqual({error, not_found}, rpc:call(hd(Members), quorate, sandbox, ["nobody"])),
        ?assertEqual({error, not_found}, rpc:call(hd(Members), quorate, sandbox, [nobody])),
        ?assertEqual(<<"0.1.0">>, rpc:block_call(hd(Members), quorate, version, []))
    end).

rpc_call_with_timeout(Config) ->
    on(Config, fun([M | _]) ->
        ?assertEqual(<<"0.1.0">>, rpc:call(M, quorate, version, [], 5000)),
        Key = rpc:async_call(M, quorate, version, []),
        ?assertEqual(<<"0.1.0">>, rpc:yield(Key))
    end).

rpc_cast(Config) ->
    creates(Config, fun(M, Args) -> true = rpc:cast(M, quorate, create_sandbox, Args) end).

rpc_multicall(Config) ->
    on(Config, fun(Members) ->
        ?assertEqual({[<<"0.1.0">>, <<"0.1.0">>, <<"0.1.0">>], ['nobody@127.0.0.1']},
                     rpc:multicall(Members ++ ['nobody@127.0.0.1'], quorate, version, [], 5000))
    end).

erpc_call(Config) ->
    on(Config, fun([M | _]) ->
        ?assertEqual(<<"0.1.0">>, erpc:call(M, quorate, version, [])),
        ?assertEqual(true, erpc:call(M, quorum_manager, has_quorum, [], 5000)),
        ?assertEqual(<<"0.1.0">>, erpc:receive_response(erpc:send_request(M, quorate, version, [])))
    end).

erpc_cast(Config) ->
    creates(Config, fun(M, Args) -> ok = erpc:cast(M, quorate, create_sandbox, Args) end).

erpc_multicall(Config) ->
    on(Config, fun(Members) ->
        ?assertEqual([{ok, <<"0.1.0">>}, {ok, <<"0.1.0">>}, {ok, <<"0.1.0">>}],
                     erpc:multicall(Members, quorate, version, [], 5000))
    end).

gen_server_call(Config) ->
    on(Config, fun(Members) ->
        [?assertEqual(<<"0.1.0">>, gen_server:call({quorate, M}, {quorate, version, []}))
         || M <- Members],
        {Replies, []} = gen_server:multi_call(Members, quorate, {quorate, version, []}, 5000),
        ?assertEqual(lists:sort([{M, <<"0.1.0">>} || M <- Members]), lists:sort(Replies))
    end).

gen_server_cast(Config) ->
    creates(Config, fun(M, Args) ->
        ok = gen_server:cast({quorate, M}, {quorate, create_sandbox, Args})
    end).

%% A cast has no answer; what it does is seen.
creates(Config, Cast) ->
    Id = unique(),
    Spec = {erlang, spawn_opt_that_is_not_there, []},
    on(Config, fun([M | _]) ->
        _ = Cast(M, [Id, Spec, #{}]),
        await_exists(M, Id, 200)
    end).

await_exists(M, Id, Tries) ->
    case rpc:call(M, quorate, sandbox, [Id]) of
        {ok, #{id := Id}} -> ok;
        {error, not_found} when Tries > 0 ->
            receive
            after 25 -> await_exists(M, Id, Tries - 1)
            end
    end.

status_map(Config) ->
    on(Config, fun(Members) ->
        [begin
             Status = rpc:call(M, quorum_manager, status, []),
             #{name := M, version := <<"0.1.0">>, role := Role, leader := Leader, term := Term,
               commit_index := Commit, applied_index := Applied, quorum := true, members := 3,
               members_up := 3, workers := _, sandboxes := _, names := _, uptime_ms := Up,
               memory_bytes := Memory} = Status,
             ?assert(lists:member(Role, [leader, follower])),
             ?assert(lists:member(Leader, Members)),
             ?assertEqual(Role =:= leader, Leader =:= M),
             [?assert(is_integer(N) andalso N > 0) || N <- [Term, Commit, Applied, Up, Memory]],
             ?assertEqual(lists:sort(maps:keys(Status)),
                          lists:sort(maps:keys(erpc:call(M, quorate, status, []))))
         end || M <- Members],
        Rows = rpc:call(hd(Members), quorate, members, []),
        ?assertEqual(lists:sort(Members), lists:sort([N || #{name := N, up := true} <- Rows])),
        ?assertEqual(1, length([leader || #{role := leader} <- Rows])),
        ?assertEqual(no_partition, rpc:call(hd(Members), partition_detector, detect_partition, [])),
        #{verdict := no_partition, missing := [], quorum := true, expected := Expected} =
            rpc:call(hd(Members), partition_detector, partition_report, []),
        %% Workers with a lease are expected, too.
        ?assertEqual([], Members -- Expected),
        ?assertEqual(lists:sort(Expected),
                     lists:sort(rpc:call(hd(Members), partition_detector, expected_nodes, []))),
        {ok, First} = rpc:call(hd(Members), quorum_manager, token, []),
        {ok, Second} = rpc:call(lists:last(Members), quorum_manager, token, []),
        ?assert(Second >= First)
    end).

message_to_a_name(Config) ->
    on(Config, fun([M | _]) ->
        {rex, M} ! {self(), {call, quorate, version, [], group_leader()}},
        receive
            {rex, <<"0.1.0">>} -> ok
        after 5000 -> error(no_answer)
        end,
        %% Nonsense is no reason to hang up.
        Before = connection(M),
        {quorate, M} ! nonsense,
        {quorate, M} ! {'$gen_call', nobody, nothing},
        {quorate, M} ! {quorate, 99, attach, #{}},
        {quorate, M} ! {quorate, 1, unheard_of, #{}},
        {quorate_member, M} ! {quorate, 1, hello, #{}},
        {net_kernel, M} ! {is_auth, self()},
        ?assertEqual(<<"0.1.0">>, rpc:call(M, quorate, version, [])),
        ?assertEqual(Before, connection(M))
    end).

message_to_an_unknown_name(Config) ->
    on(Config, fun([M | _]) ->
        pong = net_adm:ping(M),
        Before = connection(M),
        {nobody_here, M} ! hello,
        ?assertEqual(<<"0.1.0">>, rpc:call(M, quorate, version, [])),
        ?assertEqual(Before, connection(M))
    end).

%% Identifies a connection: a new one has another owner.
connection(Node) ->
    {ok, Info} = net_kernel:node_info(Node),
    proplists:get_value(owner, Info).

monitor_of_a_name(Config) ->
    on(Config, fun([M | _]) ->
        Ref = erlang:monitor(process, {quorate, M}),
        <<"0.1.0">> = rpc:call(M, quorate, version, []),
        true = erlang:demonitor(Ref, [info, flush])
    end).

monitor_of_an_unknown_name(Config) ->
    on(Config, fun([M | _]) ->
        Ref = erlang:monitor(process, {nobody_here, M}),
        ?assertEqual({'DOWN', Ref, process, {nobody_here, M}, noproc}, next())
    end).

call_of_an_unknown_name(Config) ->
    on(Config, fun([M | _]) ->
        ?assertExit({noproc, _}, gen_server:call({nobody_here, M}, hello, 5000))
    end).

%% One that a call had, and one that never was.
monitor_of_an_unknown_pid(Config) ->
    on(Config, fun([M | _]) ->
        [begin
             Ref = erlang:monitor(process, Pid),
             ?assertEqual({'DOWN', Ref, process, Pid, noproc}, next())
         end || Pid <- [ended_pid(M), foreign_pid(M)]]
    end).

link_to_an_unknown_pid(Config) ->
    on(Config, fun([M | _]) ->
        _ = process_flag(trap_exit, true),
        [begin
             true = link(Pid),
             ?assertEqual({'EXIT', Pid, noproc}, next())
         end || Pid <- [ended_pid(M), foreign_pid(M)]],
        %% An unlink is answered too, else the next link would wait for ever.
        Pid = ended_pid(M),
        true = link(Pid),
        true = unlink(Pid),
        true = link(Pid),
        ?assertEqual({'EXIT', Pid, noproc}, next()),
        ?assertEqual(<<"0.1.0">>, rpc:call(M, quorate, version, []))
    end).

ended_pid(M) ->
    Request = spawn_request(M, erpc, execute_call, [make_ref(), quorate, version, []],
                            [{reply, yes}, monitor]),
    receive
        {spawn_reply, Request, ok, Pid} ->
            {'DOWN', Request, process, Pid, {_, return, <<"0.1.0">>}} = next(),
            Pid
    after 5000 -> error(no_answer)
    end.

foreign_pid(M) ->
    <<131, Atom/binary>> = term_to_binary(M),
    binary_to_term(<<131, 88, Atom/binary, 16#3FFF:32, 77:32, 1:32>>).

next() ->
    receive
        Message -> Message
    after 5000 -> nothing
    end.

undef_as_in_a_vm(Config) ->
    on(Config, fun([M | _]) ->
        [begin
             ?assertEqual({badrpc, {'EXIT', {undef, [{Mod, Fun, Args, []}]}}},
                          rpc:call(M, Mod, Fun, Args)),
             ?assertEqual({error, {exception, undef, [{Mod, Fun, Args, []}]}},
                          try erpc:call(M, Mod, Fun, Args)
                          catch error:Reason -> {error, Reason}
                          end),
             ?assertEqual({error, {undef, {Mod, Fun, length(Args)}}},
                          gen_server:call({quorate, M}, {Mod, Fun, Args}))
         end || {Mod, Fun, Args} <- [{quorate, no_such_function, []}, {quorate, version, [1]},
                                     {no_such_module, f, [<<"x">>, #{}]}, {quorate, status, [a, b]},
                                     {quorate, version, "bytes"}]]
    end).

badarg_is_an_answer(Config) ->
    on(Config, fun([M | _]) ->
        [begin
             Shape = {error, {badarg, element(2, element(2, rpc:call(M, Mod, Fun, Args)))}},
             ?assertEqual(Shape, rpc:call(M, Mod, Fun, Args)),
             ?assertEqual(Shape, erpc:call(M, Mod, Fun, Args)),
             ?assertEqual(Shape, gen_server:call({quorate, M}, {Mod, Fun, Args}))
         end || {Mod, Fun, Args} <- [{quorate, sandbox, [<<>>]}, {quorate, sandbox, [{1}]},
                                     {quorate, sandbox, [<<"a">>, not_a_map]},
                                     {quorate, stop_sandbox, [42]},
                                     {state_replicator, replicate_state, [<<"a">>, -1, x]},
                                     {state_replicator, replicate_state, [<<"a">>, 1 bsl 63, x]},
                                     {consistency_manager, register, [n, not_a_pid, #{}]},
                                     {quorate, sandboxes, [#{limit => 0}]}]],
        ?assertEqual({error, {badarg, {unknown_option, colour}}},
                     rpc:call(M, quorate, create_sandbox, [<<"a">>, x, #{colour => red}])),
        ?assertMatch({error, {badarg, _}},
                     rpc:call(M, quorate, create_sandbox, [<<"a">>, x, #{timeout => 0}]))
    end).

%% A member is no virtual machine.
functions_outside_the_table(Config) ->
    on(Config, fun([M | _]) ->
        ?assertMatch({badrpc, _}, rpc:call(M, os, cmd, ["id"])),
        ?assertError({exception, notsup, _}, erpc:call(M, fun() -> node() end)),
        ?assertEqual({down, {undef, [{erlang, node, [], []}]}},
                     end_of_spawn(M, erlang, node, [])),
        ?assertEqual(pong, net_adm:ping(M))
    end).

%% Any function of the table is a process for as long as it takes.
spawned_functions(Config) ->
    on(Config, fun([M | _]) ->
        ?assertEqual({down, normal}, end_of_spawn(M, quorate, version, [])),
        ?assertEqual({down, {undef, [{quorate, version, [1], []}]}},
                     end_of_spawn(M, quorate, version, [1])),
        Pid = spawn(M, quorate, version, []),
        ?assertEqual(M, node(Pid)),
        process_flag(trap_exit, true),
        Linked = spawn_link(M, quorate, nope, []),
        {'EXIT', Linked, {undef, [{quorate, nope, [], []}]}} = next(),
        ?assertError(badarg, spawn_opt(M, quorate, version, [], [{priority, 7}])),
        Request = spawn_request(M, quorate, version, [], [{priority, low}, {reply, yes}]),
        {spawn_reply, Request, ok, _} = next(),
        ?assertEqual({messages, []}, process_info(self(), messages))
    end).

end_of_spawn(M, Module, Function, Args) ->
    {Pid, Ref} = spawn_monitor(M, Module, Function, Args),
    receive {'DOWN', Ref, process, Pid, Reason} -> {down, Reason}
    after 10000 -> no_answer
    end.

%% A frozen member answers when nobody listens any more.
late_answers_are_dropped(Config) ->
    #{node := Lone} = ?config(lone, Config),
    OsPid = quorate_ct:os_pid(?config(context, Config), "lone"),
    Asker = quorate_ct:call(?config(node, Config), ?MODULE, start_asker, [Lone]),
    ok = quorate_ct:signal(OsPid, "STOP"),
    try
        ok = ask_asker(Config, Asker, in_vain)
    after
        ok = quorate_ct:signal(OsPid, "CONT")
    end,
    %% Asked later, answered later: the answers to the others came before.
    ?assertEqual({error, not_found}, ask_asker(Config, Asker, again)),
    ?assertEqual([], ask_asker(Config, Asker, messages)).

ask_asker(Config, Asker, What) ->
    quorate_ct:on(?config(node, Config), fun() ->
        Asker ! {What, self()},
        receive {Asker, Answer} -> Answer after 20000 -> error(no_answer) end
    end).

%% A process that lives longer than one call to its node.
start_asker(Member) ->
    pong = net_adm:ping(Member),
    spawn(fun() -> asker(Member) end).

asker(M) ->
    receive
        {in_vain, From} ->
            {badrpc, timeout} = rpc:call(M, quorate, sandbox, [<<"x">>], 20),
            ?assertError({erpc, timeout}, erpc:call(M, quorate, sandbox, [<<"x">>], 20)),
            ?assertExit({timeout, _},
                        gen_server:call({quorate, M}, {quorate, sandbox, [<<"x">>]}, 20)),
            From ! {self(), ok};
        {again, From} ->
            From ! {self(), gen_server:call({quorate, M}, {quorate, sandbox, [<<"x">>]}, 15000)};
        {messages, From} ->
            {messages, Messages} = process_info(self(), messages),
            From ! {self(), Messages}
    end,
    asker(M).

large_arguments(Config) ->
    on(Config, fun([M | _]) ->
        [begin
             Big = binary:copy(<<"x">>, Size),
             ?assertEqual({error, not_found},
                          rpc:call(M, state_replicator, replicate_state, [<<"nobody">>, 0, Big])),
             ?assertEqual({error, not_found},
                          gen_server:call({quorate, M}, {state_replicator, replicate_state,
                                                         [<<"nobody">>, 0, Big]}))
         end || Size <- [300000, 1 bsl 20, 8 bsl 20]],
        Deep = lists:foldl(fun(N, Term) -> #{N => [Term]} end, leaf, lists:seq(1, 100)),
        ?assertEqual({error, not_found},
                     rpc:call(M, state_replicator, replicate_state, [<<"nobody">>, 0, Deep]))
    end).

many_callers(Config) ->
    on(Config, fun(Members) ->
        Callers = [spawn_monitor(fun() ->
            [<<"0.1.0">> = erpc:call(M, quorate, version, []) || _ <- lists:seq(1, 25)],
            [{error, not_found} = rpc:call(M, quorate, sandbox, [<<"nobody">>])
             || _ <- lists:seq(1, 5)]
        end) || _ <- lists:seq(1, 20), M <- Members],
        [receive
             {'DOWN', Ref, process, Pid, Reason} -> ?assertEqual(normal, Reason)
         after 60000 -> error(no_end)
         end || {Pid, Ref} <- Callers]
    end).

%% With a trace token every message has another form.
traced_call(Config) ->
    on(Config, fun([M | _]) ->
        _ = seq_trace:set_token(send, true),
        _ = seq_trace:set_token(label, 17),
        ?assertEqual(<<"0.1.0">>, gen_server:call({quorate, M}, {quorate, version, []})),
        ?assertEqual(<<"0.1.0">>, rpc:call(M, quorate, version, [])),
        Ref = erlang:monitor(process, {nobody_here, M}),
        ?assertMatch({'DOWN', Ref, process, _, noproc}, next()),
        _ = seq_trace:set_token([])
    end).

%% As a worker too: nowhere else is there room for it.
runs_sandboxes(Config) ->
    #{node := Name} = Node = ?config(node, Config),
    [Member | _] = Members = ?config(members, Config),
    Client = ?config(client, Config),
    Ebin = filename:join(code:lib_dir(quorate), "ebin"),
    {ok, [App]} = file:consult(filename:join(Ebin, "quorate.app")),
    Beams = filelib:wildcard("quorate*.beam", Ebin),
    ok = quorate_ct:load(Node, [ct_counter | [list_to_atom(filename:basename(B, ".beam"))
                                              || B <- Beams]]),
    ok = quorate_ct:call(Node, application, load, [App]),
    Settings = [{member, {existing, [N || #{node := N} <- Members]}},
                {capacity, #{cpu => 900000, memory => 900000, sandboxes => 10}}],
    ok = quorate_ct:call(Node, application, set_env, [[{quorate, Settings}]]),
    {ok, _} = quorate_ct:call(Node, application, ensure_all_started, [quorate]),
    _ = quorate_ct:await_worker(Client, Member, Node),
    Id = unique(),
    {ok, #{epoch := Epoch, worker := Name, pid := Pid}} =
        quorate_ct:ask(Client, Member, {quorate, create_sandbox},
                       [Id, ct_counter:spec(), #{resources => #{cpu => 800000}}]),
    [{ok, N} = quorate_ct:call(Node, ct_counter, add, [Pid]) || N <- [1, 2, 3]],
    ?assertEqual({ok, 3, {Epoch, 3}}, quorate_ct:call(Node, quorate, recover_state, [Id])),
    {ok, Named} = quorate_ct:call(Node, quorate, register, [Id, Pid, #{}]),
    ?assertEqual({ok, Pid, Named},
                 quorate_ct:ask(Client, Member, {consistency_manager, whereis}, [Id])),
    ok = quorate_ct:call(Node, quorate, stop_sandbox, [Id]),
    ?assertNot(quorate_ct:call(Node, erlang, is_process_alive, [Pid])),
    ok = quorate_ct:call(Node, application, stop, [quorate]).

%% Links

wrong_cookie(Config) ->
    Context = ?config(context, Config),
    Stranger = quorate_ct:node(Context, "stranger", #{cookie => another_cookie}),
    [#{node := M} = Member | _] = ?config(members, Config),
    ?assertEqual(pang, quorate_ct:call(Stranger, net_adm, ping, [M])),
    ?assertEqual([], quorate_ct:call(Stranger, erlang, nodes, [hidden])),
    ?assertMatch({badrpc, nodedown},
                 quorate_ct:call(Stranger, rpc, call, [M, quorate, version, []])),
    Client = ?config(client, Config),
    ?assertEqual(<<"0.1.0">>, quorate_ct:ask(Client, Member, {quorate, version}, [])),
    quorate_ct:kill_node(Context, Stranger).

%% A node that was restarted dials before the member noticed its end: the new
%% link takes the place of the old one.
same_name_again(Config) ->
    #{cookie := Cookie} = ?config(context, Config),
    [#{port := Port} | _] = ?config(members, Config),
    Name = <<"raw@127.0.0.1">>,
    First = ct_raw:connect(Port, Name, Cookie),
    ?assertEqual(<<"0.1.0">>, ct_raw:call(First, Name, {quorate, version, []})),
    Again = ct_raw:open(Port),
    ok = ct_raw:say_name(Again, Name),
    ?assertEqual(<<"salive">>, ct_raw:hear(Again)),
    ok = ct_raw:send(Again, <<6:16, "sfalse">>),
    ?assert(ct_raw:closes(Again, 5000)),
    ?assertEqual(<<"0.1.0">>, ct_raw:call(First, Name, {quorate, version, []})),
    Second = ct_raw:connect(Port, Name, Cookie),
    ?assert(ct_raw:closes(First, 5000)),
    ?assertEqual(<<"0.1.0">>, ct_raw:call(Second, Name, {quorate, version, []})),
    gen_tcp:close(Second).

restarted_member(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [_, Member | _] = Members = ?config(members, Config),
    #{node := M} = Member,
    pong = quorate_ct:call(Client, net_adm, ping, [M]),
    ok = quorate_ct:kill_member(Context, Member),
    pang = quorate_ct:call(Client, net_adm, ping, [M]),
    _ = quorate_ct:start_member(Context, Member),
    true = quorate_ct:await(reconnected, fun() ->
        quorate_ct:call(Client, net_adm, ping, [M]) =:= pong
    end),
    _ = quorate_ct:await_leader(Client, Members),
    ?assertEqual(<<"0.1.0">>, quorate_ct:ask(Client, Member, {quorate, version}, [])).

monitor_ends_with_the_member(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    #{node := M} = Member = lists:last(?config(members, Config)),
    Asker = self(),
    Watcher = spawn_link(fun() ->
        Down = quorate_ct:on(Client, fun() ->
            Ref = erlang:monitor(process, {quorate, M}),
            <<"0.1.0">> = rpc:call(M, quorate, version, []),
            ok = application:set_env(kernel, ct_is_watching, true),
            receive
                {'DOWN', Ref, process, What, Reason} -> {What, Reason}
            after 20000 -> nothing
            end
        end),
        Asker ! {self(), Down}
    end),
    true = quorate_ct:await(watching, fun() ->
        quorate_ct:call(Client, application, get_env, [kernel, ct_is_watching]) =:= {ok, true}
    end),
    ok = quorate_ct:kill_member(Context, Member),
    receive
        {Watcher, Down} -> ?assertEqual({{quorate, M}, noconnection}, Down)
    end,
    _ = quorate_ct:start_member(Context, Member),
    quorate_ct:await_leader(Client, ?config(members, Config)).

epmd_restarted(Config) ->
    #{epmd_port := Port} = Context = ?config(context, Config),
    true = quorate_ct:await(names_before, fun() -> has_names(Port, ["q1", "q2", "q3"]) end),
    137 = quorate_ct:kill_process(Context, "epmd", "KILL"),
    [Member | _] = ?config(members, Config),
    ?assertEqual(<<"0.1.0">>,
                 quorate_ct:ask(?config(client, Config), Member, {quorate, version}, [])),
    _ = quorate_ct:start_epmd(Context),
    quorate_ct:await(names_again, fun() -> has_names(Port, ["q1", "q2", "q3"]) end).

has_names(Port, Names) ->
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}]),
    ok = gen_tcp:send(Socket, <<1:16, $n>>),
    Text = read_all(Socket, <<>>),
    lists:all(fun(Name) ->
                  binary:match(Text, list_to_binary(["name ", Name, " at"])) =/= nomatch
              end, Names).

read_all(Socket, Text) ->
    case gen_tcp:recv(Socket, 0, 5000) of
        {ok, More} -> read_all(Socket, <<Text/binary, More/binary>>);
        {error, closed} -> Text
    end.

%% No port mapper at all: a node that is told the port.
by_port_without_epmd(Config) ->
    [#{node := M, port := Port} = Member | _] = ?config(members, Config),
    Node = quorate_ct:node(?config(context, Config), "noepmd",
                           #{args => ["-erl_epmd_port", integer_to_list(Port), "-dist_listen",
                                      "false"],
                             env => [{"ERL_EPMD_PORT", "1"}]}),
    ?assertEqual(pong, quorate_ct:call(Node, net_adm, ping, [M])),
    ?assertEqual(<<"0.1.0">>, quorate_ct:ask(Node, Member, {quorate, version}, [])),
    quorate_ct:kill_node(?config(context, Config), Node).

%% Internals

%% Runs on the node of the group, with the names of the members.
on(Config, Fun) ->
    Members = [N || #{node := N} <- ?config(members, Config)],
    quorate_ct:on(?config(node, Config), fun() -> Fun(Members) end).

unique() ->
    list_to_binary(io_lib:format("id-~b-~b", [erlang:unique_integer([positive]),
                                              erlang:system_time()])).
