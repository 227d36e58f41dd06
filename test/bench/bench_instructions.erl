%% SPDX-License-Identifier: Apache-2.0
%% How many instructions a member executes for one call, by callgrind: unlike
%% times, the count hardly depends on what else the machine does. Prints a row
%% for each kind of call, and compares it with the table in docs/bench.md.
-module(bench_instructions).

-export([main/1]).

-define(CALLERS, 64).
-define(CALLS, 6400).
%% How the callers' calls meet in one turn of the loop is left to chance.
-define(TOLERANCE_PERCENT, 5).

-spec main([string()]) -> no_return().
main([Program, Work, Cookie, Page]) ->
    Context = #{program => Program, ebin => Work, work => Work, cookie => Cookie},
    test_cluster:main(Work, fun() -> run(Context, table(Page)) end).

run(Context, Table) ->
    [{Member, Pid}] = test_cluster:start_members(Context, ["counted"]),
    test_cluster:await("the member", fun() -> net_adm:ping(Member) =:= pong end, 60000),
    test_cluster:await("its leadership",
                       fun() -> erpc:call(Member, quorum_manager, has_quorum, []) =:= true end,
                       60000),
    io:format("~-24s ~14s ~14s~n", ["instructions a call", "counted", "docs/bench.md"]),
    Verdicts = [row(Name, count(Context, Pid, Work), Table) || {Name, Work} <- kinds(Member)],
    Failed = length([V || V <- Verdicts, V =:= failed]),
    io:format("instructions: ~b passed, ~b failed~n", [length(Verdicts) - Failed, Failed]),
    min(Failed, 1).

kinds(Member) ->
    [{"gen_server:call",
      fun() -> {ok, _} = {ok, gen_server:call({quorate, Member}, {quorate, version, []})} end},
     {"rpc:call", fun() -> <<_/binary>> = rpc:call(Member, quorate, version, []) end},
     {"erpc:call", fun() -> <<_/binary>> = erpc:call(Member, quorate, version, []) end}].

%% Less than in the table is a reason to change the table, and no failure.
row(Name, Counted, Table) ->
    Written = maps:get(Name, Table, 0),
    Verdict =
        case Counted * 100 =< Written * (100 + ?TOLERANCE_PERCENT) of
            true -> passed;
            false -> failed
        end,
    io:format("~-24s ~14b ~14b  ~s~n", [Name, Counted, Written, Verdict]),
    Verdict.

count(#{work := Work}, Pid, Call) ->
    _ = calls(?CALLERS * 10, Call),
    control("--zero", Pid),
    ok = calls(?CALLS, Call),
    control("--dump", Pid),
    Dumps = filelib:wildcard(filename:join(Work, "callgrind.*.*")),
    Newest = lists:last(lists:sort(fun by_number/2, Dumps)),
    {ok, Text} = file:read_file(Newest),
    case re:run(Text, "^totals: (\\d+)", [multiline, {capture, all_but_first, list}]) of
        {match, [Total]} -> list_to_integer(Total) div ?CALLS;
        nomatch -> throw({failed, [Newest, " has no total"]})
    end.

by_number(A, B) ->
    number(A) =< number(B).

number(File) ->
    list_to_integer(tl(filename:extension(File))).

%% Waits for its end: what is dumped is written then.
control(Option, Pid) ->
    Command = ["callgrind_control ", Option, " ", integer_to_list(Pid), " 2>&1"],
    Answer = os:cmd(lists:flatten(Command)),
    string:find(Answer, "OK") =/= nomatch orelse
        throw({failed, ["callgrind_control: ", Answer]}).

calls(Count, Call) ->
    Each = Count div ?CALLERS,
    Callers = [spawn_monitor(fun() -> repeat(Each, Call) end) || _ <- lists:seq(1, ?CALLERS)],
    lists:foreach(fun await/1, Callers).

repeat(0, _) ->
    ok;
repeat(Count, Call) ->
    _ = Call(),
    repeat(Count - 1, Call).

await({Pid, Ref}) ->
    receive
        {'DOWN', Ref, process, Pid, normal} -> ok;
        {'DOWN', Ref, process, Pid, Why} -> throw({failed, io_lib:format("~p", [Why])})
    after 120000 -> throw({failed, "the calls take too long"})
    end.

%% Rows `| name | number |` of the page.
table(Page) ->
    {ok, Text} = file:read_file(Page),
    case re:run(Text, "^\\| `([a-z_]+:call)` \\| ([0-9,]+) \\|",
                [multiline, global, {capture, all_but_first, list}]) of
        {match, Rows} ->
            maps:from_list([{N, list_to_integer(Digits -- ",,,")} || [N, Digits] <- Rows]);
        nomatch ->
            throw({failed, [Page, " has no table of instructions"]})
    end.
