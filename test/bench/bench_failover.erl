%% SPDX-License-Identifier: Apache-2.0
%% How long nobody serves when the leader is lost: killed, so that its links
%% close, or stopped, so that it falls silent with its links open. Serving is a
%% linearizable read, which needs a committed entry of the new leader, asked of
%% both others at once; the slower one counts. More terms than one a round are
%% elections that led nowhere, or that nobody needed.
-module(bench_failover).

-export([measure/1]).

-define(NAMES, ["q1", "q2", "q3"]).

-spec measure(map()) -> ok.
measure(State) ->
    Addresses = test_cluster:place(State, ?NAMES),
    Start = fun(Name) ->
        Port = proplists:get_value(Name, Addresses),
        test_cluster:start_member(State, Name, Port, Addresses)
    end,
    Members = maps:from_list([
        {list_to_atom(Name ++ "@" ++ test_cluster:host(State)), {Name, Start(Name)}}
     || Name <- ?NAMES
    ]),
    io:format("~n~-28s ~8s ~8s ~8s ~8s ~8s ~s~n", [
        "failover, ms", "p50", "p90", "p99", "max", "rounds", "terms a round"
    ]),
    Restarted = rounds("killed", Members, fun({Name, Pid}, Others) ->
        Took = served_after("KILL", Pid, Others),
        {Took, {Name, Start(Name)}}
    end),
    _ = rounds("stopped", Restarted, fun({_, Pid} = Member, Others) ->
        Took = served_after("STOP", Pid, Others),
        ok = signal("CONT", Pid),
        {Took, Member}
    end),
    ok.

rounds(Label, Members, Round) ->
    {_, First} = settled(Members),
    {Left, Times} = lists:foldl(fun(_, {Now, Times}) ->
        {Leader, _} = settled(Now),
        Others = maps:keys(maps:remove(Leader, Now)),
        {Took, Member} = Round(maps:get(Leader, Now), Others),
        {Now#{Leader := Member}, [Took | Times]}
    end, {Members, []}, lists:seq(1, count())),
    {_, Last} = settled(Left),
    Sorted = list_to_tuple(lists:sort(Times)),
    At = fun(Percent) -> element(max(1, ceil(tuple_size(Sorted) * Percent / 100)), Sorted) end,
    io:format("~-28s ~8b ~8b ~8b ~8b ~8b ~.2f~n", [
        "leader " ++ Label, At(50), At(90), At(99), At(100), count(), (Last - First) / count()
    ]),
    Left.

count() ->
    case os:getenv("QUORATE_BENCH_FAILOVERS") of
        false -> 100;
        Text -> list_to_integer(Text)
    end.

%% The leader and its term, once all see one another and have its last entry.
settled(Members) ->
    test_cluster:await("a settled cluster", fun() ->
        Statuses = [status(Node) || Node <- maps:keys(Members)],
        case lists:usort([{L, T, I} || #{leader := L, term := T, applied_index := I,
                                         members_up := 3, quorum := true} <- Statuses]) of
            [{Leader, Term, _}] when Leader =/= undefined ->
                length([1 || #{members_up := 3} <- Statuses]) =:= 3 andalso
                    {true, {Leader, Term}};
            _ ->
                false
        end
    end, 30000).

status(Node) ->
    try erpc:call(Node, quorate, status, [], 2000)
    catch error:{erpc, _} -> down
    end.

served_after(Signal, Pid, Nodes) ->
    Since = erlang:monotonic_time(millisecond),
    ok = signal(Signal, Pid),
    Asked = [spawn_monitor(fun() -> ok = served(Node) end) || Node <- Nodes],
    [receive {'DOWN', Ref, process, Asker, normal} -> ok end || {Asker, Ref} <- Asked],
    erlang:monotonic_time(millisecond) - Since.

served(Node) ->
    case gen_server:call({quorate, Node}, {quorum_manager, token, []}, 20000) of
        {ok, _} -> ok;
        {error, _} -> served(Node)
    end.

signal(Signal, Pid) ->
    _ = os:cmd("kill -" ++ Signal ++ " " ++ integer_to_list(Pid)),
    ok.
