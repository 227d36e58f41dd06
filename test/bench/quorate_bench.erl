%% SPDX-License-Identifier: Apache-2.0
%% Side by side in one run: each round measures every contender once, in turn,
%% so that a machine that changes its speed changes it for all. A ratio is
%% taken within a round; the table has the median of the rounds and, in
%% brackets, the least and the greatest.
-module(quorate_bench).

-export([main/1]).
-export([measure/4, row/3, ratios/2, spread/2, rounds/0, plural/1]).

main([Program, Ebin, Work, Cookie]) ->
    State = #{program => Program, ebin => Ebin, work => Work, cookie => Cookie},
    test_cluster:main(Work, fun() ->
        only(os:getenv("QUORATE_BENCH_ONLY"), State),
        0
    end).

only("reads", State) ->
    progress("starting three members"),
    bench_reads:measure(test_cluster:start_members(State, ["q1", "q2", "q3"]));
only("failover", State) ->
    progress("starting three members"),
    bench_failover:measure(State);
only("owners", State) ->
    progress("starting three members, again and again"),
    bench_owners:measure(State);
only("mass", State) ->
    bench_owners:mass(State);
only(_, State) ->
    run(State).

ms() -> env("QUORATE_BENCH_MS", 2000).
rounds() -> env("QUORATE_BENCH_ROUNDS", 5).

env(Name, Default) ->
    case os:getenv(Name) of
        false -> Default;
        Text -> list_to_integer(Text)
    end.

run(State) ->
    progress("starting three members and four Erlang nodes"),
    Members = test_cluster:start_members(State, ["q1", "q2", "q3"]),
    MemberNodes = [N || {N, _} <- Members],
    {Plain, PlainPid} = test_cluster:start_erl(
        State, "plain", [], "{ok, _} = bench_server:start()."
    ),
    Workers = [
        test_cluster:start_erl(
            State,
            "w" ++ integer_to_list(I),
            %% The callers register many names each, which global refuses
            %% unless it is told to allow it.
            ["-kernel", "global_multi_name_action", "allow"] ++
                ["-quorate", "member", io_lib:format("~0p", [{existing, [Home]}])],
            "{ok, _} = application:ensure_all_started(quorate)."
        )
     || {I, Home} <- lists:enumerate(MemberNodes)
    ],
    WorkerNodes = [N || {N, _} <- Workers],
    test_cluster:await("the cluster", fun() -> attached(hd(MemberNodes)) =:= 3 end, 30000),
    test_cluster:await("the plain node", fun() -> net_adm:ping(Plain) =:= pong end, 10000),
    [pong = net_adm:ping(N) || N <- WorkerNodes],
    %% The Erlang nodes of a real application see one another.
    [erpc:call(A, net_kernel, connect_node, [B]) || A <- WorkerNodes, B <- WorkerNodes, A < B],
    calls(Members, {Plain, PlainPid}),
    bench_reads:measure(Members),
    ten_nodes(State, Members, {Plain, PlainPid}),
    tls(State),
    os:getenv("QUORATE_BENCH_ONLY") =:= "calls" orelse stored(State, MemberNodes, WorkerNodes).

stored(State, MemberNodes, WorkerNodes) ->
    progress("starting Mnesia on three nodes"),
    ok = bench_server:mnesia_start(WorkerNodes, maps:get(work, State)),
    names(MemberNodes, WorkerNodes),
    states(MemberNodes, WorkerNodes),
    memory(State).

attached(Member) ->
    try erpc:call(Member, quorate, workers, [], 2000) of
        List -> length([W || #{up := true} = W <- List])
    catch
        _:_ -> 0
    end.

progress(Text) ->
    io:format("-- ~s~n", [Text]).

%% Calls to a member and to a plain Erlang node, from this node.
calls([{Member, MemberPid} | _], {Plain, PlainPid}) ->
    io:format("~n~-28s ~8s ~8s ~11s ~11s ~s~n", [
        "calls", "p50 us", "p99 us", "calls/s", "cpu us/call", "ratio to Erlang"
    ]),
    Kinds = [
        {"gen_server:call", {gen, quorate, Member, {quorate, version, []}},
            {gen, bench_server, Plain, version}},
        {"rpc:call", {rpc, Member, quorate, version, []}, {rpc, Plain, bench_server, version, []}},
        {"erpc:call", {erpc, Member, quorate, version, []},
            {erpc, Plain, bench_server, version, []}}
    ],
    [
        begin
            Pairs = [
                {
                    measure(node(), Callers, Ours, MemberPid),
                    measure(node(), Callers, Theirs, PlainPid)
                }
             || _ <- lists:seq(1, rounds())
            ],
            {A, B} = lists:unzip(Pairs),
            Label = io_lib:format("~s, ~b caller~s", [Name, Callers, plural(Callers)]),
            row([Label, " member"], A, ratios(Callers, Pairs)),
            row([Label, " Erlang"], B, "")
        end
     || {Name, Ours, Theirs} <- Kinds, Callers <- [1, 64, 1024]
    ].

%% The same from ten nodes at once, each with callers of its own.
ten_nodes(State, [{Member, MemberPid} | _], {Plain, PlainPid}) ->
    progress("starting ten Erlang nodes"),
    Nodes = [
        element(1, test_cluster:start_erl(State, "n" ++ integer_to_list(I), [], "ok."))
     || I <- lists:seq(1, 10)
    ],
    test_cluster:await("ten nodes", fun() -> [N || N <- Nodes, net_adm:ping(N) =:= pang] =:= [] end,
                       30000),
    Ours = {gen, quorate, Member, {quorate, version, []}},
    Theirs = {gen, bench_server, Plain, version},
    Rounds = [
        {
            timed(MemberPid, fun() -> measure_all(Nodes, 640, fun(_) -> Ours end) end),
            timed(PlainPid, fun() -> measure_all(Nodes, 640, fun(_) -> Theirs end) end)
        }
     || _ <- lists:seq(1, rounds())
    ],
    {A, B} = lists:unzip(Rounds),
    row("10 nodes, 640 callers member", A, ratios(640, Rounds)),
    row("10 nodes, 640 callers Erlang", B, ""),
    [erpc:cast(N, erlang, halt, []) || N <- Nodes].

timed(Pid, Measure) ->
    Before = test_cluster:cpu_ms(Pid),
    Result = #{rate := Rate} = Measure(),
    Calls = max(1, Rate * ms() / 1000),
    Result#{cpu => (test_cluster:cpu_ms(Pid) - Before) * 1000 / Calls}.

%% TLS against plain: one member and one calling node of each kind. This node
%% speaks no TLS, so the callers write what they saw into a file.
tls(#{program := Program, work := Work} = State) ->
    Pki = filename:join(Work, "pki"),
    _ = os:cmd(Program ++ " pki init --dir " ++ Pki),
    _ = os:cmd(Program ++ " pki issue --dir " ++ Pki ++
                   " --role member over_tls@localhost caller@localhost"),
    Kinds = [{"plain", State, "without_tls"}, {"TLS", State#{pki => Pki}, "over_tls"}],
    Started = [
        {Name, Context, hd(test_cluster:start_members(Context, [Member]))}
     || {Name, Context, Member} <- Kinds
    ],
    io:format("~n~-28s ~8s ~8s ~11s ~11s ~s~n", [
        "TLS, 64 callers", "", "", "calls/s", "cpu us/call", "rate, TLS to plain"
    ]),
    Rounds = [
        [over(Context, Member) || {_, Context, Member} <- Started]
     || _ <- lists:seq(1, rounds())
    ],
    Ratio = spread("", [maps:get(rate, T) / maps:get(rate, P) || [P, T] <- Rounds]),
    row("gen_server:call plain", [P || [P, _] <- Rounds], ""),
    row("gen_server:call TLS", [T || [_, T] <- Rounds], Ratio).

over(#{work := Work} = Context, {Member, Pid}) ->
    File = filename:join(Work, "caller.result"),
    _ = file:delete(File),
    Load = io_lib:format("bench_server:load_to_file(~p, ~b, ~b, ~w), halt().", [
        File, 64, ms(), {gen, quorate, Member, {quorate, version, []}}
    ]),
    Before = test_cluster:cpu_ms(Pid),
    _ = test_cluster:start_erl(Context, "caller", [], lists:flatten(Load)),
    Times = test_cluster:await("a caller", fun() ->
        case file:consult(File) of
            {ok, [Times]} -> {true, Times};
            _ -> false
        end
    end, 60000),
    (summary(Times))#{cpu => (test_cluster:cpu_ms(Pid) - Before) * 1000 / length(Times)}.

plural(1) -> "";
plural(_) -> "s".

%% With one caller the ratio is of the medians, with many of the rates.
ratios(1, Pairs) ->
    spread("p50 ", [maps:get(p50, A) / maps:get(p50, B) || {A, B} <- Pairs]);
ratios(_, Pairs) ->
    [
        spread("calls/s ", [maps:get(rate, A) / maps:get(rate, B) || {A, B} <- Pairs]),
        ", ",
        spread("cpu ", [maps:get(cpu, A) / max(0.01, maps:get(cpu, B)) || {A, B} <- Pairs])
    ].

measure(Node, Callers, Work, ServerPid) ->
    Before = test_cluster:cpu_ms(ServerPid),
    Times = erpc:call(Node, bench_server, load, [Callers, ms(), Work], 60000),
    After = test_cluster:cpu_ms(ServerPid),
    (summary(Times))#{cpu => (After - Before) * 1000 / length(Times)}.

%% Several nodes at once.
measure_all(Nodes, Callers, Work) ->
    Each = Callers div length(Nodes),
    Refs = [erpc:send_request(N, bench_server, load, [Each, ms(), Work(I)])
     || {I, N} <- lists:enumerate(Nodes)],
    summary(lists:append([erpc:receive_response(R, 60000) || R <- Refs])).

summary(Times) ->
    Sorted = list_to_tuple(lists:sort(Times)),
    N = tuple_size(Sorted),
    #{
        p50 => element(max(1, N div 2), Sorted),
        p99 => element(max(1, N * 99 div 100), Sorted),
        rate => N * 1000 / ms(),
        cpu => 0.0
    }.

row(Label, Results, Ratio) ->
    M = fun(Key) -> median([maps:get(Key, R) || R <- Results]) end,
    io:format("~-28s ~8b ~8b ~11b ~11.1f ~s~n", [
        lists:flatten(Label), round(M(p50)), round(M(p99)), round(M(rate)), float(M(cpu)), Ratio
    ]).

median(List) ->
    Sorted = lists:sort(List),
    lists:nth(length(Sorted) div 2 + 1, Sorted).

spread(Label, Ratios) ->
    io_lib:format("~s~.2f [~.2f..~.2f]", [
        Label, median(Ratios), lists:min(Ratios), lists:max(Ratios)
    ]).

%% Creation of names, three nodes, each with a member of its own.
names(Members, Nodes) ->
    io:format("~n~-28s ~8s ~8s ~11s ~11s ~s~n", [
        "creation of names", "p50 us", "p99 us", "names/s", "", "rate, Quorate to it"
    ]),
    [
        begin
            On = lists:sublist(Nodes, min(3, Callers)),
            Rounds = [
                {
                    measure_all(On, Callers, fun(I) ->
                        {quorate_register, lists:nth(I, Members)}
                    end),
                    measure_all(On, Callers, fun(_) -> mnesia_register end),
                    measure_all(On, Callers, fun(_) -> global_register end)
                }
             || _ <- lists:seq(1, rounds())
            ],
            {Q, M, G} = lists:unzip3(Rounds),
            Label = io_lib:format("~b caller~s ", [Callers, plural(Callers)]),
            row([Label, "Quorate"], Q, ""),
            row([Label, "Mnesia disc"], M, rate_ratio([{A, B} || {A, B, _} <- Rounds])),
            row([Label, "global"], G, rate_ratio([{A, B} || {A, _, B} <- Rounds]))
        end
     || Callers <- [1, 66]
    ].

rate_ratio(Pairs) ->
    spread("", [maps:get(rate, A) / max(0.1, maps:get(rate, B)) || {A, B} <- Pairs]).

%% States of 4 KiB, 24 callers over three nodes, each with a sandbox of its own.
states(Members, Nodes) ->
    io:format("~n~-28s ~8s ~8s ~11s ~11s ~s~n", [
        "states of 4 KiB, 24 callers", "p50 us", "p99 us", "states/s", "", "rate, Quorate to it"
    ]),
    Spec = #{id => s, start => {bench_sandbox, start_link, []}},
    Sandboxes = [
        begin
            {ok, #{epoch := Epoch}} = erpc:call(hd(Members), quorate, create_sandbox, [
                Id, Spec, #{timeout => 10000}
            ]),
            {Id, Epoch}
        end
     || I <- lists:seq(1, 24), Id <- [<<"bench-", (integer_to_binary(I))/binary>>]
    ],
    Mine = fun(I) -> [S || {J, S} <- lists:enumerate(Sandboxes), J rem 3 =:= I rem 3] end,
    Rounds = [
        {
            measure_all(Nodes, 24, fun(I) ->
                {quorate_states, lists:nth(I, Members), Mine(I), 4096}
            end),
            measure_all(Nodes, 24, fun(_) -> {mnesia_state, 4096} end)
        }
     || _ <- lists:seq(1, rounds())
    ],
    {Q, M} = lists:unzip(Rounds),
    row("Quorate", Q, ""),
    row("Mnesia disc", M, rate_ratio(Rounds)).

%% Resident memory of one member, idle and with 100,000 sandboxes.
memory(State) ->
    [{Member, Pid}] = test_cluster:start_members(State, ["alone"]),
    test_cluster:await("a member alone", fun() -> net_adm:ping(Member) =:= pong end, 10000),
    test_cluster:await("its leadership", fun() ->
        erpc:call(Member, quorum_manager, has_quorum, []) =:= true
    end, 10000),
    Idle = test_cluster:resident_kib(Pid),
    _ = bench_agent:start(Member),
    Count = 100000,
    Spec = #{id => s, start => {bench_sandbox, start_link, []}},
    Parts = [lists:seq(P, Count, 64) || P <- lists:seq(1, 64)],
    Refs = [
        spawn_monitor(fun() ->
            [
                {ok, _} = gen_server:call(
                    {quorate, Member},
                    {quorate, create_sandbox, [
                        <<"user-", (integer_to_binary(I))/binary>>, Spec, #{timeout => 60000}
                    ]},
                    70000
                )
             || I <- Part
            ]
        end)
     || Part <- Parts
    ],
    [
        receive
            {'DOWN', Ref, process, P, normal} -> ok;
            {'DOWN', Ref, process, P, Why} -> throw({failed, io_lib:format("~p", [Why])})
        end
     || {P, Ref} <- Refs
    ],
    #{sandboxes := Count} = erpc:call(Member, quorate, status, []),
    Full = test_cluster:resident_kib(Pid),
    io:format(
        "~nmemory of a member            idle ~.1f MiB resident; with ~b sandboxes ~.1f MiB more~n",
        [Idle / 1024, Count, (Full - Idle) / 1024]
    ).
