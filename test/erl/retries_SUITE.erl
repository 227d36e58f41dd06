%% SPDX-License-Identifier: Apache-2.0
%% Calls that are under way when the leader dies, freezes or hands over: each gets
%% its own answer from the next leader, and is carried out once.
-module(retries_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(CAPACITY, #{cpu => 4000, memory => 4096, sandboxes => 10000}).
-define(CALLERS, 24).
-define(ROUNDS, 5).
%% A call that was under way when the leader was hit and took so long had to wait for
%% the next one; without that it takes a millisecond or two.
-define(WAITED_MS, 10).
%% Longer than any election here: none of them may run out.
-define(DEADLINE_MS, 20000).

suite() ->
    [{timetrap, {seconds, 180}}].

all() ->
    [leader_killed, leader_frozen].

init_per_suite(Config) ->
    %% Calls are the matter here, not leases: none is to run out meanwhile.
    ct_cluster:start(quorate_ct:start(retries),
                     ["--ttl-owner-ms", "6000", "--ttl-leader-ms", "9000"], Config).

end_per_suite(Config) ->
    ct_cluster:stop(Config).

init_per_testcase(Case, Config) ->
    ct_cluster:workers(ct_cluster:names(Case, 2), ?CAPACITY, [], Config).

end_per_testcase(_, Config) ->
    ct_cluster:clear(Config).

leader_killed(Config) ->
    Context = ?config(context, Config),
    under_load(Config, fun(Leader) ->
        ok = quorate_ct:kill_member(Context, Leader),
        fun() -> _ = quorate_ct:start_member(Context, Leader), ok end
    end).

%% Its link stays up for long, and what it was asked is answered late or never.
leader_frozen(Config) ->
    Context = ?config(context, Config),
    under_load(Config, fun(#{node := Node}) ->
        [Name, _] = string:split(atom_to_list(Node), "@"),
        OsPid = quorate_ct:os_pid(Context, Name),
        ok = quorate_ct:signal(OsPid, "STOP"),
        fun() -> quorate_ct:signal(OsPid, "CONT") end
    end).

%% Callers that ask the members which stay, one call after another, while the leader
%% is hit in each round. All answers are those of a call that was carried out once.
under_load(Config, Hit) ->
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    Results = [round(Config, Hit, N) || N <- lists:seq(1, ?ROUNDS)],
    _ = quorate_ct:await_leader(Client, Members),
    Calls = lists:sum([Count || {Count, _, _} <- Results]),
    Slow = lists:sum([Count || {_, Count, _} <- Results]),
    ct:pal("~b calls, ~b of them under way when the leader was hit; longest ~w ms",
           [Calls, Slow, [Longest || {_, _, Longest} <- Results]]),
    %% They were asked again, then: nothing is tested otherwise.
    ?assert(Slow >= ?ROUNDS),
    ok.

round(Config, Hit, N) ->
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    Workers = ?config(workers, Config),
    Leader = quorate_ct:await_leader(Client, Members),
    Asked = [Node || #{node := Node} = M <- Members, M =/= Leader],
    Callers = [{W, quorate_ct:call(W, ?MODULE, start_caller, [Asked, {N, C}])}
               || C <- lists:seq(1, ?CALLERS), W <- [lists:nth(1 + C rem 2, Workers)]],
    _ = quorate_ct:await(load, fun() -> done(Callers) > 4 * ?CALLERS end),
    HitAt = os:system_time(millisecond),
    Heal = Hit(Leader),
    _ = quorate_ct:await(new_leader, fun() -> leads_another(Client, Asked, Leader) end),
    Before = done(Callers),
    _ = quorate_ct:await(load_again, fun() -> done(Callers) > Before + 4 * ?CALLERS end),
    ok = Heal(),
    Logs = [quorate_ct:call(W, ?MODULE, stop_caller, [Pid], ?DEADLINE_MS * 2)
            || {W, Pid} <- Callers],
    [?assertEqual([], Wrong) || {_, _, Wrong} <- Logs],
    Times = [Took || {_, Calls, _} <- Logs, {Start, Took} <- Calls,
                     Start =< HitAt, Start + Took > HitAt + ?WAITED_MS],
    {lists:sum([Count || {Count, _, _} <- Logs]), length(Times), lists:max([0 | Times])}.

leads_another(Client, [First | _], #{node := Old}) ->
    case quorate_ct:call(Client, rpc, call, [First, quorate, status, []]) of
        #{leader := New, quorum := true} -> New =/= undefined andalso New =/= Old;
        _ -> false
    end.

done(Callers) ->
    lists:sum([quorate_ct:call(W, ?MODULE, done_here, [Pid]) || {W, Pid} <- Callers]).

%% On the workers

start_caller(Asked, Tag) ->
    Counter = counters:new(1, []),
    Pid = spawn(fun() -> caller(Asked, Tag, Counter) end),
    ok = persistent_term:put({?MODULE, Pid}, Counter),
    Pid.

done_here(Pid) ->
    counters:get(persistent_term:get({?MODULE, Pid}), 1).

stop_caller(Pid) ->
    Pid ! {stop, self()},
    receive
        {Pid, Log} -> Log
    end.

caller(Asked, Tag, Counter) ->
    loop(#{asked => Asked, tag => Tag, counter => Counter, times => [], wrong => []}, 1).

loop(#{counter := Counter, times := Times, wrong := Wrong} = State, N) ->
    receive
        {stop, From} ->
            From ! {self(), {counters:get(Counter, 1), Times, lists:reverse(Wrong)}}
    after 0 ->
        loop(one_life(State, N), N + 1)
    end.

%% A sandbox and a name from their beginning to their end. None of the ids was there
%% before, so that each answer can only be one.
one_life(#{tag := Tag} = State, N) ->
    Id = iolist_to_binary(io_lib:format("~w-~w", [Tag, N])),
    Name = {Tag, N},
    Opts = #{timeout => ?DEADLINE_MS},
    lists:foldl(fun check/2, State, [
        {quorate, create_sandbox, [Id, ct_counter:spec(), Opts],
         fun({ok, #{id := I, status := running}}) -> I =:= Id; (_) -> false end},
        {consistency_manager, register, [Name, self(), N],
         fun({ok, Epoch}) -> is_integer(Epoch); (_) -> false end},
        {consistency_manager, unregister, [Name, self()], fun(Answer) -> Answer =:= ok end},
        {consistency_manager, whereis, [Name],
         fun(Answer) -> Answer =:= {error, not_found} end},
        {node_selector, select_optimal_node, [#{}],
         fun({ok, Worker}) -> is_atom(Worker); (_) -> false end},
        {quorate, stop_sandbox, [Id], fun(Answer) -> Answer =:= ok end},
        {quorate, sandbox, [Id], fun(Answer) -> Answer =:= {error, not_found} end}
    ]).

check({M, F, Args, IsRight}, #{asked := Asked, counter := Counter} = State) ->
    #{times := Times, wrong := Wrong} = State,
    Node = lists:nth(rand:uniform(length(Asked)), Asked),
    Start = os:system_time(millisecond),
    Answer = rpc:call(Node, M, F, Args),
    Took = os:system_time(millisecond) - Start,
    ok = counters:add(Counter, 1, 1),
    Slow = State#{times := [{Start, Took} || Took > ?WAITED_MS] ++ Times},
    case IsRight(Answer) of
        true -> Slow;
        false -> Slow#{wrong := [{F, hd(Args), Answer, Took} | Wrong]}
    end.
