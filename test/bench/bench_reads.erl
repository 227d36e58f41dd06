%% SPDX-License-Identifier: Apache-2.0
%% What a linearizable read costs beside a plain call of the same member: on the
%% leader and on a follower, alone and among others.
-module(bench_reads).

-export([measure/1]).

%% Members and their process ids; the first is not always the leader.
-spec measure([{node(), pos_integer()}]) -> ok.
measure([{First, _} | _] = Members) ->
    Leader = test_cluster:await("a leader", fun() ->
        try erpc:call(First, quorate, status, []) of
            #{leader := Node, quorum := true} -> {true, Node};
            _ -> false
        catch
            error:{erpc, _} -> false
        end
    end, 10000),
    {[LeaderAndPid], [Follower | _]} = lists:partition(fun({N, _}) -> N =:= Leader end, Members),
    io:format("~n~-28s ~8s ~8s ~11s ~11s ~s~n", [
        "reads", "p50 us", "p99 us", "calls/s", "cpu us/call", "ratio to a plain call"
    ]),
    _ = [
        on(Where, Member, Callers)
     || {Where, Member} <- [{"leader", LeaderAndPid}, {"follower", Follower}],
        Callers <- [1, 64, 1024]
    ],
    ok.

on(Where, {Member, Pid}, Callers) ->
    Plain = {gen, quorate, Member, {quorate, version, []}},
    Read = {gen, quorate, Member, {quorum_manager, token, []}},
    Pairs = [
        {
            quorate_bench:measure(node(), Callers, Read, Pid),
            quorate_bench:measure(node(), Callers, Plain, Pid)
        }
     || _ <- lists:seq(1, quorate_bench:rounds())
    ],
    {A, B} = lists:unzip(Pairs),
    Label = io_lib:format("~s, ~b caller~s", [Where, Callers, quorate_bench:plural(Callers)]),
    quorate_bench:row([Label, " read"], A, quorate_bench:ratios(Callers, Pairs)),
    quorate_bench:row([Label, " plain"], B, "").
