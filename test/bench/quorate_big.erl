%% SPDX-License-Identifier: Apache-2.0
%% How long small calls wait while big values are on their way: one node calls
%% members without a pause, another saves and reads states of up to 64 MiB.
-module(quorate_big).

-export([main/1]).
-export([ping/2]).

-define(SIZE, 64 * 1024 * 1024 - 1024).
-define(TIMEOUT, 60000).

main([Program, Ebin, Work, Cookie]) ->
    State = #{program => Program, ebin => Ebin, work => Work, cookie => Cookie},
    test_cluster:main(Work, fun() ->
        run(State),
        0
    end).

run(State) ->
    Members = [A, B, _] = [N || {N, _} <- test_cluster:start_members(State, ["q1", "q2", "q3"])],
    Start = "{ok, _} = application:ensure_all_started(quorate).",
    Home = ["-quorate", "member", io_lib:format("~0p", [{existing, [A]}])],
    {_, _} = test_cluster:start_erl(State, "w1", Home, Start),
    {Pinger, _} = test_cluster:start_erl(State, "pinger", [], "ok."),
    {Client, _} = test_cluster:start_erl(State, "client", [], "ok."),
    test_cluster:await("the cluster", fun() -> is_attached(A) end, 30000),
    [
        test_cluster:await(
            "a node", fun() -> net_adm:ping(N) =:= pong end, 10000
        )
     || N <- [Pinger, Client | Members]
    ],
    Spec = #{id => s, start => {bench_sandbox, start_link, []}},
    {ok, #{epoch := Epoch}} =
        erpc:call(A, quorate, create_sandbox, [<<"big">>, Spec, #{timeout => 10000}]),
    #{term := Term} = erpc:call(A, quorate, status, []),
    io:format("~n~-30s ~9s  ~s~n", ["operation", "ms", "calls meanwhile, p50/p99/max ms"]),
    Row = fun({Name, Maker, Op}) -> row(Name, Client, Pinger, Members, Epoch, Maker, Op) end,
    lists:foreach(Row, [
        {"nothing", "0", none},
        {"write, one binary", "binary", write},
        {"read, one binary", "0", read},
        {"read at another member", "0", {read, B}},
        {"get_state", "0", {get, A}},
        {"write, 7.9 M integers", "integers", write},
        {"read, 7.9 M integers", "0", read},
        {"write, 1 M small terms", "terms", write},
        {"read, 1 M small terms", "0", read},
        {"get_state, 1 M small terms", "0", {get, A}},
        {"3 writers of 64 MiB", "binary", write3}
    ]),
    #{term := After} = erpc:call(A, quorate, status, []),
    io:format("terms of the log passed meanwhile: ~b~n", [After - Term]).

is_attached(Member) ->
    try erpc:call(Member, quorate, workers, [], 2000) of
        List -> [] =/= [W || #{up := true} = W <- List]
    catch
        _:_ -> false
    end.

row(Name, Client, Pinger, [A | _] = Members, Epoch, Maker, Op) ->
    Start = fun() -> spawn(fun() -> worker(Maker, A, Epoch) end) end,
    Work = erpc:call(Client, erlang, apply, [Start, []]),
    Work ! {self(), make},
    receive
        {Work, made} -> ok
    after ?TIMEOUT -> exit(timeout)
    end,
    Pings = [
        erpc:send_request(Pinger, ?MODULE, ping, [M, self()])
     || M <- lists:sublist(Members, 2)
    ],
    Loops = [
        receive
            {pinging, Pid} -> Pid
        after ?TIMEOUT -> exit(timeout)
        end
     || _ <- Pings
    ],
    Work ! {self(), Op},
    Ms =
        receive
            {Work, done, Us} -> Us / 1000
        after ?TIMEOUT -> exit(timeout)
        end,
    [L ! stop || L <- Loops],
    Times = [erpc:receive_response(R, ?TIMEOUT) || R <- Pings],
    io:format("~-30s ~9.1f  ~s~n", [
        Name,
        Ms,
        lists:join("   ", [
            io_lib:format("~s ~.2f/~.2f/~.2f", [N, at(T, 0.5), at(T, 0.99), lists:max(T) / 1000])
         || {N, T} <- lists:zip(["q1", "q2"], Times)
        ])
    ]).

at(Times, Share) ->
    lists:nth(max(1, round(Share * length(Times))), lists:sort(Times)) / 1000.

ping(Member, Starter) ->
    {version, _} = {version, gen_server:call({quorate, Member}, {quorate, version, []})},
    Starter ! {pinging, self()},
    ping_loop(Member, []).

ping_loop(Member, Times) ->
    receive
        stop -> Times
    after 0 ->
        {Us, _} = timer:tc(fun() ->
            gen_server:call({quorate, Member}, {quorate, version, []}, ?TIMEOUT)
        end),
        ping_loop(Member, [Us | Times])
    end.

%% On the client: the value is made there and never travels to us.
worker(Maker, Member, Epoch) ->
    receive
        {From, make} ->
            Value = make(Maker),
            From ! {self(), made},
            receive
                {From, Op} ->
                    {Us, _} = timer:tc(fun() -> do(Op, Member, Epoch, Value) end),
                    From ! {self(), done, Us}
            end
    end.

make("binary") -> rand:bytes(?SIZE);
make("integers") -> lists:seq(1000000, 1000000 + 7900000);
make("terms") -> [{N, [N], <<N:64>>} || N <- lists:seq(1, 1000000)];
make(_) -> none.

do(none, _, _, _) ->
    receive
    after 1000 -> ok
    end;
do(write, Member, Epoch, Value) ->
    {ok, _} = gen_server:call(
        {quorate, Member},
        {state_replicator, replicate_state, [<<"big">>, Epoch, Value, #{timeout => ?TIMEOUT}]},
        ?TIMEOUT
    );
do(write3, Member, Epoch, Value) ->
    Refs = [
        element(
            2,
            spawn_monitor(fun() ->
                %% A later number may be ahead.
                _ = gen_server:call(
                    {quorate, Member},
                    {state_replicator, replicate_state, [
                        <<"big">>, Epoch, Value, #{timeout => ?TIMEOUT, seq => 1000 + N}
                    ]},
                    ?TIMEOUT
                )
            end)
        )
     || N <- [1, 2, 3]
    ],
    [
        receive
            {'DOWN', R, process, _, _} -> ok
        end
     || R <- Refs
    ];
do(read, Member, _, _) ->
    {ok, _, _} = gen_server:call(
        {quorate, Member}, {state_replicator, recover_state, [<<"big">>]}, ?TIMEOUT
    );
do({get, Member}, _, _, _) ->
    {ok, _, _} = gen_server:call(
        {quorate, Member}, {state_replicator, get_state, [<<"big">>]}, ?TIMEOUT
    );
do({read, Member}, _, Epoch, Value) ->
    do(read, Member, Epoch, Value).
