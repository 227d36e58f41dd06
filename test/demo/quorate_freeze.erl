%% SPDX-License-Identifier: Apache-2.0
%% Owners that freeze and wake up, told as it goes. Workers are stopped (SIGSTOP) for
%% 6 to 12 s, longer than any lease; meanwhile their sandboxes run elsewhere; then they
%% are woken. All sandboxes write all the time to a sink (test_sink) that refuses
%% epochs older than one that it has seen, and whose record is replayed in the end.
%%
%%   kill     the member on the host ends a frozen virtual machine: it never wakes up
%%   report   it may not: the worker wakes up where it was and ends its sandboxes
%%            itself; what they still try to write meets the sink's check, which is
%%            tried on purpose with every old epoch as well
-module(quorate_freeze).

-import(demo_words, [say/2, progress/2, fail/2]).

-export([main/1]).

-define(WORKERS, ["w1", "w2", "w3", "w4", "w5", "w6"]).
-define(FROZEN_AT_ONCE, 3).
-define(SANDBOXES, 12).
-define(WRITE_MS, 5).
-define(FREEZE_LEAST_MS, 6000).
-define(FREEZE_MORE_MS, 6000).
%% The default: no renewal gives a worker more time to act than this.
-define(TTL_OWNER_US, 2500000).
-define(WAIT_MS, 40000).

main([Program, Ebin, Work, Cookie, How, Rounds]) ->
    State = #{program => Program, ebin => Ebin, work => Work, cookie => Cookie,
              how => How, member_arguments => ["--on-hung-worker", How],
              sink => filename:join(Work, "sink"), record => filename:join(Work, "record"),
              rounds => list_to_integer(Rounds)},
    test_cluster:main(Work, fun demo_words:say/2, fun() -> story(State) end).

story(#{how := How, record := Record, rounds := Count} = State) ->
    say("~n== on_hung_worker: ~s", [How]),
    ok = start_sink(State),
    Members = test_cluster:start_members(State, ["q1", "q2", "q3"]),
    Nodes = [N || {N, _} <- Members],
    Started = State#{members => Nodes},
    Workers = [start_worker(Started, Name) || Name <- ?WORKERS],
    ok = await_attached(Started, [N || {N, _, _} <- Workers]),
    ok = create(Started, Workers),
    say("   3 members, ~b workers, ~b sandboxes, each writes every ~b ms",
        [length(Workers), ?SANDBOXES, ?WRITE_MS]),
    say("   ~5s ~-14s ~10s ~9s ~14s ~14s ~12s", ["round", "worker", "frozen, s", "sandboxes",
        "written again", "stale writes", "of these"]),
    say("   ~5s ~-14s ~10s ~9s ~14s ~14s ~12s", ["", "", "", "", "after, ms", "tried",
        "accepted"]),
    Rounds = rounds(Started#{offset => 0}, Workers, Count, []),
    verdict(Started, Rounds, test_sink:summary(Record)).

start_sink(#{sink := Sink, record := Record} = State) ->
    _ = test_cluster:start_program(State, "sink", "erl", test_sink:arguments(Sink, Record)),
    true = await("the sink", fun() -> is_served(Sink) end),
    ok.

is_served(Sink) ->
    case test_sink:connect(Sink, 1000) of
        {ok, Client} -> ok =:= test_sink:close(Client);
        {error, _} -> false
    end.

start_worker(#{members := Members} = State, Name) ->
    Setting = io_lib:format("~0p", [{existing, Members}]),
    {Node, Pid} = test_cluster:start_erl(State, Name, ["-quorate", "member", Setting],
        "{ok, _} = application:ensure_all_started(quorate)."),
    {Node, Name, Pid}.

await_attached(State, Nodes) ->
    true = await("the workers to be attached", fun() ->
        case ask(State, workers, []) of
            Rows when is_list(Rows) -> [] =:= Nodes -- [N || #{up := true, name := N} <- Rows];
            _ -> false
        end
    end),
    ok.

create(#{sink := Sink} = State, [{Node, _, _} | _]) ->
    Spec = test_sink_sandbox:spec(#{sink => Sink, write_ms => ?WRITE_MS}),
    lists:foreach(fun(N) ->
        Id = iolist_to_binary(io_lib:format("user-~2..0b", [N])),
        {ok, _} = erpc:call(Node, quorate, create_sandbox, [Id, Spec, #{timeout => 10000}])
    end, lists:seq(1, ?SANDBOXES)),
    _ = owned(State, #{}),
    ok.

%% Each sandbox with its owner, once all run, those of Before under a later epoch.
owned(State, Before) ->
    await("all sandboxes to run", fun() ->
        case ask(State, sandboxes, []) of
            All when is_list(All) ->
                Running = [{Id, Epoch, W} || #{status := running, id := Id, epoch := Epoch,
                                               worker := W} <- All,
                                             Epoch > maps:get(Id, Before, 0)],
                length(Running) =:= ?SANDBOXES andalso {true, Running};
            _ ->
                false
        end
    end).

%% The first answer of any member.
ask(#{members := Members}, Function, Args) ->
    ask_one(Members, Function, Args).

ask_one([], _, _) ->
    no_answer;
ask_one([Node | Rest], Function, Args) ->
    try erpc:call(Node, quorate, Function, Args, 3000)
    catch error:{erpc, _} -> ask_one(Rest, Function, Args)
    end.

%% The rounds

rounds(_, _, 0, Done) ->
    Done;
rounds(State, Workers, Left, Done) ->
    Owned = owned(State, #{}),
    Victims = victims(Workers, Owned, min(Left, ?FROZEN_AT_ONCE)),
    Frozen = freeze(State, Victims, Owned),
    Lost = [{Id, Epoch} || #{lost := Ids} <- Frozen, {Id, Epoch} <- Ids],
    _ = owned(State, maps:from_list(Lost)),
    Next = again(State, Workers, Frozen),
    Firsts = firsts(State, Lost),
    {Tried, Offset} = tried(State, Frozen),
    Rounds = [outcome(F, Firsts, Tried) || F <- Frozen],
    Numbered = lists:zip(lists:seq(length(Done) + 1, length(Done) + length(Rounds)), Rounds),
    lists:foreach(fun show/1, Numbered),
    rounds(State#{offset := Offset}, Next, Left - length(Rounds), Done ++ Rounds).

%% Those that own most.
victims(Workers, Owned, Count) ->
    Counted = [{length([Id || {Id, _, W} <- Owned, W =:= Node]), Worker}
               || {Node, _, _} = Worker <- Workers],
    Sorted = lists:reverse(lists:keysort(1, [C || {N, _} = C <- Counted, N > 0])),
    [Worker || {_, Worker} <- lists:sublist(Sorted, Count)].

freeze(State, Victims, Owned) ->
    Freezing = [{Victim, spawn_monitor(fun() -> exit({woken, freeze_one(Victim)}) end)}
                || Victim <- Victims],
    [begin
         Woken = await_woken(State, Ref),
         Woken#{worker => Victim, lost => [{Id, Epoch} || {Id, Epoch, W} <- Owned, W =:= Node]}
     end || {{Node, _, _} = Victim, {_, Ref}} <- Freezing].

freeze_one({_, _, Pid}) ->
    Ms = ?FREEZE_LEAST_MS + rand:uniform(?FREEZE_MORE_MS),
    ok = test_cluster:signal(Pid, "STOP"),
    FrozenUs = test_sink:now_us(),
    receive after Ms -> ok end,
    IsThere = test_cluster:is_running(Pid),
    WokenUs = test_sink:now_us(),
    _ = IsThere andalso test_cluster:signal(Pid, "CONT"),
    #{frozen_us => FrozenUs, woken_us => WokenUs, is_there => IsThere}.

await_woken(State, Ref) ->
    receive
        {'DOWN', Ref, process, _, {woken, Woken}} -> Woken;
        {'DOWN', Ref, process, _, Reason} -> fail("freezing failed: ~p", [Reason])
    after 500 ->
        progress("   frozen; ~b of ~b sandboxes run", [running(State), ?SANDBOXES]),
        await_woken(State, Ref)
    end.

running(State) ->
    case ask(State, sandboxes, []) of
        All when is_list(All) -> length([1 || #{status := running} <- All]);
        _ -> 0
    end.

%% All workers are there again: one that was ended is started anew.
again(State, Workers, Frozen) ->
    Next = [case [F || #{worker := {N, _, _}, is_there := false} = F <- Frozen, N =:= Node] of
                [] -> Worker;
                [_] -> start_worker(State, Name)
            end || {Node, Name, _} = Worker <- Workers],
    ok = await_attached(State, [N || {N, _, _} <- Next]),
    Next.

%% When each sandbox was written under a later epoch.
firsts(#{record := Record, offset := Offset}, Lost) ->
    Epochs = maps:from_list(Lost),
    Note = fun(Event, Found) -> first(Event, Epochs, Found) end,
    await("the new owners to write", fun() ->
        {Firsts, _} = test_sink:fold_from(Offset, Note, #{}, Record),
        map_size(Firsts) =:= map_size(Epochs) andalso {true, Firsts}
    end).

first(#{kind := write, verdict := accepted, id := Id, epoch := Epoch, at := At}, Epochs, Found) ->
    case Epochs of
        #{Id := Old} when Epoch > Old, not is_map_key(Id, Found) -> Found#{Id => At};
        #{} -> Found
    end;
first(_, _, Found) ->
    Found.

%% What was written by owners whose lease had ended, whether somebody else had written
%% yet or not.
tried(#{record := Record, offset := Offset}, Frozen) ->
    Over = maps:from_list([{Owner, FrozenUs + ?TTL_OWNER_US}
                           || #{frozen_us := FrozenUs, lost := Lost} <- Frozen, Owner <- Lost]),
    test_sink:fold_from(Offset, fun(Event, Found) -> late(Event, Over, Found) end, [], Record).

late(#{kind := write, id := Id, epoch := Epoch, at := At} = Event, Over, Found) ->
    case Over of
        #{{Id, Epoch} := EndUs} when At > EndUs -> [Event | Found];
        #{} -> Found
    end;
late(_, _, Found) ->
    Found.

outcome(#{frozen_us := FrozenUs, woken_us := WokenUs, lost := Lost} = Frozen, Firsts, Tried) ->
    Mine = [E || #{id := Id, epoch := Epoch} = E <- Tried, lists:member({Id, Epoch}, Lost)],
    Frozen#{again_ms => [(maps:get(Id, Firsts) - FrozenUs) div 1000 || {Id, _} <- Lost],
            tried => length(Mine),
            accepted => length([E || #{verdict := accepted} = E <- Mine]),
            ended_ms => lists:max([0 | [(At - WokenUs) div 1000 || #{at := At} <- Mine]])}.

show({Number, #{worker := {_, Name, _}, lost := Lost, again_ms := Again, tried := Tried,
                accepted := Accepted, is_there := IsThere} = Round}) ->
    #{frozen_us := FrozenUs, woken_us := WokenUs} = Round,
    Fate = if IsThere -> Name; true -> Name ++ " (ended)" end,
    say("   ~5b ~-14s ~10.1f ~9b ~14s ~14b ~12b",
        [Number, Fate, (WokenUs - FrozenUs) / 1.0e6, length(Lost),
         io_lib:format("~b..~b", [lists:min(Again), lists:max(Again)]), Tried, Accepted]).

%% The claims

verdict(#{how := How, record := Record} = State, Rounds, Summary) ->
    #{attempts := Attempts, accepted := Accepted, stale := Refused, out_of_order := Wrong,
      lost := Lost} = Summary,
    Again = lists:append([Ms || #{again_ms := Ms} <- Rounds]),
    Tried = lists:sum([N || #{tried := N} <- Rounds]),
    Saved = test_sink:acknowledged(Record),
    say("~n   the sink saw ~b writes: ~b accepted, ~b refused", [Attempts, Accepted, Refused]),
    say("   writes of an owner whose lease was over: ~b tried, ~b accepted; the last one "
        "~b ms after it woke up",
        [Tried, lists:sum([N || #{accepted := N} <- Rounds]),
         lists:max([Ms || #{ended_ms := Ms} <- Rounds])]),
    say("   from the freeze until the new owner wrote, ms: median ~b, p99 ~b, worst ~b "
        "(~b sandboxes)",
        [test_sink:percentile(Again, 50), test_sink:percentile(Again, 99), lists:max(Again),
         length(Again)]),
    Claims = [
        {"no write was accepted after one of a greater epoch", Wrong =:= []},
        {"no write was accepted of an owner whose lease was over",
         [] =:= [R || #{accepted := N} = R <- Rounds, N > 0]},
        {"no acknowledged count was lost from one owner to the next", Lost =:= []},
        {io_lib:format("a write under each of the ~b old epochs, tried on purpose, is refused",
                       [length(Again)]), is_refused(State, Rounds)},
        {"the stored counts are not behind the acknowledged ones",
         map_size(Saved) =:= ?SANDBOXES andalso are_stored(State, Saved)}
        | fate(How, Rounds, Tried)],
    lists:foreach(fun claim/1, Claims),
    Good = length([1 || {_, true} <- Claims]),
    say("~s: ~b of ~b claims hold after ~b freezes",
        [How, Good, length(Claims), length(Rounds)]),
    min(1, length(Claims) - Good).

fate("kill", Rounds, Tried) ->
    [{"every frozen worker was ended by the member on its host", not survived(Rounds)},
     {"no write was even tried by an owner whose lease was over", Tried =:= 0}];
fate("report", Rounds, _) ->
    [{"every frozen worker woke up, and is in use again",
      [] =:= [R || #{is_there := false} = R <- Rounds]}].

survived(Rounds) ->
    [] =/= [R || #{is_there := true} = R <- Rounds].

%% After the record was read.
is_refused(#{sink := Sink}, Rounds) ->
    {ok, Client} = test_sink:connect(Sink, 1000),
    Answers = [test_sink:write(Client, Id, Epoch, 0)
               || #{lost := Lost} <- Rounds, {Id, Epoch} <- Lost],
    ok = test_sink:close(Client),
    lists:all(fun({stale, _}) -> true; (_) -> false end, Answers).

are_stored(#{members := [Member | _]}, Saved) ->
    lists:all(fun({Id, Count}) ->
        case erpc:call(Member, state_replicator, recover_state, [Id], 10000) of
            {ok, Stored, _} -> Stored >= Count;
            _ -> false
        end
    end, maps:to_list(Saved)).

claim({Text, true}) -> say("   ok: ~s", [Text]);
claim({Text, false}) -> say("   FAILED: ~s", [Text]).

await(What, Check) ->
    test_cluster:await(What, Check, ?WAIT_MS).
