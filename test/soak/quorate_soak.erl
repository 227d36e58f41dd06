%% SPDX-License-Identifier: Apache-2.0
%% Three members, three Erlang nodes that call, cast, monitor, link, spawn and
%% hang up at full speed. Every message is counted: what was sent is answered,
%% or was lost with a link that a node itself had cut. The members' memory is
%% looked at four times a second; its slope after a warm-up tells whether they grow.
-module(quorate_soak).

-export([main/1, work/2]).

-define(MEMBERS, ["q1", "q2", "q3"]).
-define(NODES, ["a", "b", "c"]).
-define(SAMPLE_MS, 250).
%% The share of the messages before memory counts: tables and pools fill up.
-define(WARM_UP, 0.25).
-define(SAMPLES_MIN, 5).
-define(CALL_MS, 30000).
%% Rounds of a process between two hang-ups.
-define(ROUNDS, 200).
-define(PIPELINE, 50).

%% Counters: messages that count, operations begun, answered, lost, hang-ups.
-define(MESSAGES, 1).
-define(BEGUN, 2).
-define(ANSWERED, 3).
-define(LOST, 4).
-define(CUT, 5).

-spec main([string()]) -> no_return().
main([Secs, Messages, GrowthMax]) ->
    Context = quorate_ct:start(soak),
    Status = try run(Context, list_to_integer(Secs), list_to_integer(Messages),
                     list_to_integer(GrowthMax))
             catch Class:Reason:Stack ->
                 io:format("soak: ~p~n", [{Class, Reason, Stack}]),
                 1
             end,
    _ = quorate_ct:stop(Context, os:getenv("SOAK_LOGS", "/nonexistent")),
    halt(Status).

run(Context, Secs, Messages, GrowthMax) ->
    Members = quorate_ct:members(Context, ?MEMBERS),
    Nodes = [quorate_ct:node(Context, N) || N <- ?NODES],
    _ = quorate_ct:await_leader(hd(Nodes), Members),
    Targets = [N || #{node := N} <- Members],
    Pids = [quorate_ct:os_pid(Context, N) || N <- ?MEMBERS],
    Stop = erlang:monotonic_time(millisecond) + Secs * 1000,
    Refs = [begin
                Peer = maps:get(peer, Node),
                Self = self(),
                {Node, spawn_link(fun() ->
                    Self ! {self(), peer:call(Peer, ?MODULE, work, [Targets, start], ?CALL_MS)}
                end)}
            end || Node <- Nodes],
    Works = [{Node, receive {Pid, Work} -> Work end} || {Node, Pid} <- Refs],
    Samples = sample(Works, Pids, {Stop, Messages}, []),
    Totals = lists:foldl(fun({Node, Work}, Sums) ->
        add(Sums, quorate_ct:call(Node, ?MODULE, work, [Work, stop], ?CALL_MS * 2))
    end, [0, 0, 0, 0, 0], Works),
    report(Totals, lists:reverse(Samples), GrowthMax, Pids).

add(A, B) ->
    lists:zipwith(fun(X, Y) -> X + Y end, A, B).

%% [{messages so far, [resident KiB]}], latest first.
sample(Works, Pids, {Stop, Messages} = Until, Samples) ->
    receive
    after ?SAMPLE_MS -> ok
    end,
    Done = lists:sum([hd(quorate_ct:call(Node, ?MODULE, work, [Work, look]))
                      || {Node, Work} <- Works]),
    Sample = {Done, [resident_kib(P) || P <- Pids]},
    All = [Sample | Samples],
    length(All) rem 40 =:= 1 andalso io:format("~b messages, ~p KiB~n", [Done, element(2, Sample)]),
    case Done >= Messages orelse erlang:monotonic_time(millisecond) >= Stop of
        true -> All;
        false -> sample(Works, Pids, Until, All)
    end.

report([Messages, Begun, Answered, Lost, Cut], Samples, GrowthMax, Pids) ->
    io:format("soak: ~b messages; ~b operations begun, ~b answered, ~b lost in ~b hang-ups~n",
              [Messages, Begun, Answered, Lost, Cut]),
    {Last, _} = lists:last(Samples),
    Warm = [S || {Done, _} = S <- Samples, Done >= ?WARM_UP * Last],
    Slopes = [slope([{Done / 1.0e6, lists:nth(N, Kib)} || {Done, Kib} <- Warm])
              || N <- lists:seq(1, length(Pids))],
    {_, First} = hd(Warm),
    {_, End} = lists:last(Warm),
    io:format("soak: resident ~p KiB after the warm-up, ~p KiB at the end~n", [First, End]),
    io:format("soak: slopes ~p KiB per million messages, ~b allowed~n",
              [[round(S) || S <- Slopes], GrowthMax]),
    IsExact = Begun =:= Answered + Lost,
    IsMeasured = length(Warm) >= ?SAMPLES_MIN,
    IsFlat = lists:all(fun(S) -> S =< GrowthMax end, Slopes),
    case {IsExact, IsMeasured, IsFlat} of
        {true, true, true} -> io:format("soak: passed~n"), 0;
        {false, _, _} -> io:format("soak: FAILED, the counts do not add up~n"), 1;
        {_, false, _} -> io:format("soak: FAILED, too short to see a slope~n"), 1;
        {_, _, false} -> io:format("soak: FAILED, a member grows~n"), 1
    end.

%% Of the least squares line through the points.
slope(Points) ->
    Count = length(Points),
    MeanX = lists:sum([X || {X, _} <- Points]) / Count,
    MeanY = lists:sum([Y || {_, Y} <- Points]) / Count,
    Below = lists:sum([(X - MeanX) * (X - MeanX) || {X, _} <- Points]),
    case Below > 0 of
        true -> lists:sum([(X - MeanX) * (Y - MeanY) || {X, Y} <- Points]) / Below;
        false -> 0.0
    end.

resident_kib(OsPid) ->
    {ok, Text} = file:read_file(io_lib:format("/proc/~b/status", [OsPid])),
    {match, [N]} = re:run(Text, "VmRSS:\\s+(\\d+)", [{capture, all_but_first, list}]),
    list_to_integer(N).

%% On a node

%% start: begins; look: the counters; stop: when all have ended, the counters.
-spec work(term(), start | look | stop) -> term().
work(Targets, start) ->
    Counters = counters:new(5, [write_concurrency]),
    Stop = atomics:new(1, []),
    Kinds = [fun call/2, fun call/2, fun spawns/2, fun monitors/2, fun links/2, fun casts/2],
    Self = self(),
    Keeper = spawn(fun() ->
        Workers = [spawn_monitor(fun() ->
            _ = process_flag(trap_exit, true),
            rounds(Kind, Target, Counters, Stop, 1)
        end) || Target <- Targets, Kind <- Kinds],
        Self ! {self(), started},
        keep(Workers)
    end),
    receive {Keeper, started} -> ok end,
    {Keeper, Counters, Stop};
work({_, Counters, _}, look) ->
    all_of(Counters);
work({Keeper, Counters, Stop}, stop) ->
    ok = atomics:put(Stop, 1, 1),
    Ref = erlang:monitor(process, Keeper),
    receive
        {'DOWN', Ref, process, Keeper, normal} -> all_of(Counters)
    end.

keep(Workers) ->
    lists:foreach(fun({Pid, Ref}) ->
        receive {'DOWN', Ref, process, Pid, normal} -> ok end
    end, Workers).

all_of(Counters) ->
    [counters:get(Counters, N) || N <- lists:seq(1, 5)].

rounds(Kind, Target, Counters, Stop, Round) ->
    case atomics:get(Stop, 1) of
        1 ->
            ok;
        0 ->
            Kind(Target, Counters),
            %% One of the kinds hangs up for all.
            Round rem ?ROUNDS =:= 0 andalso Kind =:= fun call/2 andalso begin
                _ = erlang:disconnect_node(Target),
                counters:add(Counters, ?CUT, 1)
            end,
            rounds(Kind, Target, Counters, Stop, Round + 1)
    end.

begun(Counters, Count) ->
    counters:add(Counters, ?BEGUN, Count).

answered(Counters, Messages) ->
    counters:add(Counters, ?ANSWERED, 1),
    counters:add(Counters, ?MESSAGES, Messages).

lost(Counters) ->
    counters:add(Counters, ?LOST, 1).

%% A request and its answer.
call(Target, Counters) ->
    begun(Counters, 1),
    try gen_server:call({quorate, Target}, {quorate, version, []}, ?CALL_MS) of
        Version when is_binary(Version) -> answered(Counters, 2)
    catch
        exit:{{nodedown, _}, _} -> lost(Counters);
        exit:{noconnection, _} -> lost(Counters)
    end.

%% A spawn request, its reply and the end of the process.
spawns(Target, Counters) ->
    begun(Counters, 1),
    try erpc:call(Target, quorate, version, [], ?CALL_MS) of
        Version when is_binary(Version) -> answered(Counters, 3)
    catch
        error:{erpc, noconnection} -> lost(Counters)
    end.

%% Of a name that there is, taken back; and of one that there is not.
monitors(Target, Counters) ->
    begun(Counters, ?PIPELINE),
    Refs = [begin
                Kept = erlang:monitor(process, {quorate, Target}),
                Nobody = erlang:monitor(process, {nobody, Target}),
                true = erlang:demonitor(Kept, [flush]),
                Nobody
            end || _ <- lists:seq(1, ?PIPELINE)],
    lists:foreach(fun(Ref) ->
        receive
            {'DOWN', Ref, process, _, noproc} -> answered(Counters, 4);
            {'DOWN', Ref, process, _, noconnection} -> lost(Counters)
        end
    end, Refs).

%% With a process that has ended.
links(Target, Counters) ->
    begun(Counters, ?PIPELINE),
    Node = atom_to_binary(Target),
    Head = <<131, 88, 119, (byte_size(Node)), Node/binary>>,
    Pids = [binary_to_term(<<Head/binary, (N + 1000):32, 99:32, 7:32>>)
            || N <- lists:seq(1, ?PIPELINE)],
    _ = [link(Pid) || Pid <- Pids],
    lists:foreach(fun(Pid) ->
        receive
            {'EXIT', Pid, noproc} -> answered(Counters, 2);
            {'EXIT', Pid, noconnection} -> lost(Counters)
        end
    end, Pids).

%% Some that nobody answers, and then one that tells that they were taken.
casts(Target, Counters) ->
    begun(Counters, 1),
    _ = [gen_server:cast({quorate, Target}, {quorate, version, []})
         || _ <- lists:seq(1, ?PIPELINE)],
    try gen_server:call({quorate, Target}, {quorate, version, []}, ?CALL_MS) of
        Version when is_binary(Version) -> answered(Counters, ?PIPELINE + 2)
    catch
        exit:{{nodedown, _}, _} -> lost(Counters);
        exit:{noconnection, _} -> lost(Counters)
    end.
