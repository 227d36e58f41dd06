%% SPDX-License-Identifier: Apache-2.0
%% The demonstration, told as it goes. This node starts everything as operating
%% system processes, records what the sandboxes say, kills, and checks.
-module(quorate_demo).

-import(demo_words, [say/2, progress/2, fail/2]).

-export([main/1]).

-define(SANDBOXES, 300).
-define(RACED, 50).
-define(WAIT_MS, 40000).

main([Program, Ebin, Work, Cookie | How]) ->
    true = register(?MODULE, self()),
    State = #{program => Program, ebin => Ebin, work => Work, cookie => Cookie},
    test_cluster:main(Work, fun demo_words:say/2, fun() -> story(how(State, How)) end).

%% `tls' and `noepmd': see test/demo/run.
how(State, []) ->
    State;
how(#{work := Work} = State, ["tls" | How]) ->
    say("~nAll links are TLS, with certificates by `quorate pki`.", []),
    how(State#{pki => filename:join(Work, "pki")}, How);
how(State, ["noepmd" | How]) ->
    say("~nNobody uses epmd; nodes find one another by quorate_epmd.", []),
    how(State, How).

story(State) ->
    Started = erlang:monotonic_time(millisecond),
    say("~n== 1. Three members and three workers on this machine", []),
    Members = start_members(State),
    Workers = start_workers(State, Members),
    await("three workers to be attached", fun() ->
        length([W || #{up := true} = W <- ask(Members, quorate, workers, [])]) =:= 3
    end),
    show_members(Members),
    say("~n== 2. ~b sandboxes from three nodes at once; ~b ids from two nodes at the same time", [
        ?SANDBOXES, ?RACED
    ]),
    create_all(Workers),
    Owned = await_running(Members, ?SANDBOXES, []),
    show_table(Owned),
    Log0 = await_counting(new_log(), 3),
    say("~n== 3. kill -9 of one Erlang node", []),
    [{Victim, VictimPid} | _] = Workers,
    Lost = [Id || #{id := Id, worker := W} <- Owned, W =:= Victim],
    Log1 = drain(Log0),
    T1 = erlang:monotonic_time(millisecond),
    test_cluster:kill(VictimPid),
    say("   ~s is dead; ~b sandboxes lost their owner", [Victim, length(Lost)]),
    Owned1 = await_running(Members, ?SANDBOXES, [Victim]),
    T2 = erlang:monotonic_time(millisecond),
    say("   all of them run elsewhere after ~b ms", [T2 - T1]),
    show_table(Owned1),
    Log2 = await_counting(Log1, 3),
    say("~n== 4. kill -9 of the leading member", []),
    #{leader := Leader} = ask(Members, quorate, status, []),
    {Leader, LeaderPid} = lists:keyfind(Leader, 1, Members),
    Others = lists:keydelete(Leader, 1, Members),
    test_cluster:kill(LeaderPid),
    T3 = erlang:monotonic_time(millisecond),
    await("another member to lead", fun() ->
        case ask(Others, quorate, status, []) of
            #{leader := New, quorum := true} -> New =/= Leader andalso New =/= undefined;
            _ -> false
        end
    end),
    T4 = erlang:monotonic_time(millisecond),
    #{leader := New} = ask(Others, quorate, status, []),
    say("   ~s is dead; ~s leads after ~b ms", [Leader, New, T4 - T3]),
    Owned2 = await_running(Others, ?SANDBOXES, [Victim]),
    Log3 = await_counting(Log2, 3),
    show_table(Owned2),
    say("~n== 5. What was claimed, checked", []),
    verdict(Log3, Owned2, Others),
    say("   took ~.1f s", [(erlang:monotonic_time(millisecond) - Started) / 1000]),
    0.

%% Members and workers.

start_members(State) ->
    Members = test_cluster:start_members(State, ["q1", "q2", "q3"]),
    await("the members to elect a leader", fun() ->
        case ask(Members, quorate, status, []) of
            #{leader := L, quorum := true} -> L =/= undefined;
            _ -> false
        end
    end),
    Members.

start_workers(State, Members) ->
    Nodes = [N || {N, _} <- Members],
    [H1, H2, H3] = Nodes,
    _ = test_cluster:place(State, ["w1", "w2", "w3"]),
    Home = fun(First) ->
        Order = [First | lists:delete(First, Nodes)],
        ["-quorate", "member", io_lib:format("~0p", [{existing, Order}])]
    end,
    Erlang = "{ok, _} = application:ensure_all_started(quorate).",
    Elixir = "{:ok, _} = Application.ensure_all_started(:quorate)",
    [
        test_cluster:start_erl(State, "w1", Home(H1), Erlang),
        test_cluster:start_erl(State, "w2", Home(H2), Erlang),
        test_cluster:start_elixir(State, "w3", Home(H3), Elixir)
    ].

%% The first answer of any member.
ask([], _M, _F, _A) ->
    no_answer;
ask([{Node, _} | Rest], M, F, A) ->
    try erpc:call(Node, M, F, A, 3000) of
        Result -> Result
    catch
        _:_ -> ask(Rest, M, F, A)
    end.

%% The sandboxes.

create_all(Workers) ->
    Ids = [iolist_to_binary(io_lib:format("user-~3..0b", [N])) || N <- lists:seq(1, ?SANDBOXES)],
    Nodes = [N || {N, _} <- Workers],
    {Raced, _} = lists:split(?RACED, Ids),
    Jobs =
        [{lists:nth(1 + I rem 3, Nodes), Id} || {I, Id} <- lists:enumerate(Ids)] ++
            [{lists:nth(1 + (I + 1) rem 3, Nodes), Id} || {I, Id} <- lists:enumerate(Raced)],
    %% Raced ids first and side by side.
    Sorted = lists:keysort(2, Jobs),
    Self = self(),
    Refs = [
        spawn_monitor(fun() ->
            Mine = [Id || {N, Id} <- Sorted, N =:= Node],
            exit({results, erpc:call(Node, fun_create(Mine, node(Self)), 60000)})
        end)
     || Node <- Nodes
    ],
    Results = lists:append([collect(Ref) || Ref <- Refs]),
    Won = [Id || {Id, {ok, _}} <- Results],
    Told = [Id || {Id, {error, {already_exists, #{id := Same}}}} <- Results, Same =:= Id],
    Odd = [R || {Id, _} = R <- Results, not lists:member(Id, Won ++ Told)],
    Odd =:= [] orelse fail("unexpected answers: ~p", [lists:sublist(Odd, 3)]),
    length(Won) =:= ?SANDBOXES orelse
        fail("~b creations succeeded instead of ~b", [length(Won), ?SANDBOXES]),
    length(Told) =:= ?RACED orelse
        fail("~b racers were told already_exists instead of ~b", [length(Told), ?RACED]),
    say("   ~b created; ~b racers were told {error, {already_exists, _}}", [
        length(Won), length(Told)
    ]).

%% Runs on a worker: 20 callers at once.
fun_create(Ids, Recorder) ->
    Spec = #{id => demo_counter, start => {demo_counter, start_link, [Recorder]}},
    fun() ->
        Create = fun(Id) -> {Id, quorate:create_sandbox(Id, Spec, #{timeout => 20000})} end,
        Parent = self(),
        Parts = deal(Ids, 20),
        Pids = [
            spawn_link(fun() -> Parent ! {self(), lists:map(Create, Part)} end)
         || Part <- Parts
        ],
        lists:append([
            receive
                {Pid, R} -> R
            end
         || Pid <- Pids
        ])
    end.

deal(Ids, Ways) ->
    Numbered = lists:enumerate(Ids),
    Parts = [[Id || {I, Id} <- Numbered, I rem Ways =:= W] || W <- lists:seq(0, Ways - 1)],
    [Part || [_ | _] = Part <- Parts].

collect({Pid, Ref}) ->
    receive
        {'DOWN', Ref, process, Pid, {results, Results}} -> Results;
        {'DOWN', Ref, process, Pid, Reason} -> fail("creation failed: ~p", [Reason])
    end.

%% All of them run, none of them on a node that is gone.
await_running(Members, Count, Gone) ->
    Check = fun() ->
        case ask(Members, quorate, sandboxes, []) of
            List when is_list(List) ->
                Running = [
                    S
                 || #{status := running, worker := W} = S <- List, not lists:member(W, Gone)
                ],
                progress("   ~b of ~b run", [length(Running), Count]),
                length(Running) =:= Count andalso {true, Running};
            _ ->
                false
        end
    end,
    await("all sandboxes to run", Check).

show_members(Members) ->
    [
        say("   ~-20s ~-9s ~s", [
            N,
            R,
            case U of
                true -> "up";
                false -> "down"
            end
        ])
     || #{name := N, role := R, up := U} <- ask(Members, quorate, members, [])
    ].

show_table(Owned) ->
    Counts = lists:foldl(
        fun(#{worker := W}, Map) -> maps:update_with(W, fun(N) -> N + 1 end, 1, Map) end,
        #{},
        Owned
    ),
    say("   ~-20s ~s", ["worker", "sandboxes"]),
    [
        say("   ~-20s ~9b ~s", [W, N, lists:duplicate(N div 5, $#)])
     || {W, N} <- lists:sort(maps:to_list(Counts))
    ].

%% What the sandboxes told: acknowledged => greatest count, starts => every
%% start with its epoch, count and process.

new_log() ->
    #{acknowledged => #{}, starts => [], faults => [], events => 0}.

drain(Log) ->
    receive
        Message when is_tuple(Message) -> drain(note(Message, Log))
    after 0 -> Log
    end.

note({acknowledged, Id, _Epoch, Count}, #{acknowledged := Acked, events := N} = Log) ->
    Log#{acknowledged := Acked#{Id => max(Count, maps:get(Id, Acked, 0))}, events := N + 1};
note({started, Id, Epoch, Count, Pid}, Log) ->
    #{acknowledged := Acked, starts := Starts, faults := Faults} = Log,
    Known = maps:get(Id, Acked, 0),
    More =
        [{lost, Id, Known, Count} || Count < Known] ++
            [{twice, Id, Epoch} || {I, E, P} <- Starts, I =:= Id, E =:= Epoch, P =/= Pid] ++
            [{epoch_went_back, Id, Epoch} || {I, E, _} <- Starts, I =:= Id, E > Epoch],
    Log#{starts := [{Id, Epoch, Pid} | Starts], faults := More ++ Faults};
note(_Other, Log) ->
    Log.

%% Until every sandbox had `More` further counts acknowledged.
await_counting(Log0, More) ->
    #{acknowledged := Before} = Log = drain(Log0),
    await_counting(Log, Before, More, erlang:monotonic_time(millisecond) + ?WAIT_MS).

await_counting(Log0, Before, More, Deadline) ->
    Log = drain(Log0),
    Acked = maps:get(acknowledged, Log),
    Behind = ?SANDBOXES -
        length([Id || {Id, N} <- maps:to_list(Acked), N >= maps:get(Id, Before, 0) + More]),
    progress("   ~b counts acknowledged, ~b sandboxes still to count on", [
        lists:sum(maps:values(Acked)), Behind
    ]),
    case {Behind, erlang:monotonic_time(millisecond) > Deadline} of
        {0, _} ->
            say("   every sandbox counts: ~b counts acknowledged", [
                lists:sum(maps:values(Acked))
            ]),
            Log;
        {_, true} ->
            fail("~b sandboxes do not count", [Behind]);
        {_, false} ->
            receive
                Message when is_tuple(Message) ->
                    await_counting(note(Message, Log), Before, More, Deadline)
            after 200 -> await_counting(Log, Before, More, Deadline)
            end
    end.

verdict(Log0, Owned, Members) ->
    Log = drain(Log0),
    #{faults := Faults, starts := Starts, acknowledged := Acked} = Log,
    claim("every sandbox runs", length(Owned) =:= ?SANDBOXES),
    Lost = [F || {lost, _, _, _} = F <- Faults],
    claim("no acknowledged count was lost at a restart", Lost =:= []),
    claim("no sandbox ran twice at one epoch", [F || {twice, _, _} = F <- Faults] =:= []),
    claim("epochs only grew", [F || {epoch_went_back, _, _} = F <- Faults] =:= []),
    Pids = maps:from_list([{Id, Pid} || #{id := Id, pid := Pid} <- Owned]),
    Live = [P || {_, _, P} <- Starts, is_live(P)],
    Owners = maps:values(Pids),
    Unowned = Live -- Owners,
    Unowned =:= [] orelse say("   live and not owner: ~p", [lists:sublist(Unowned, 5)]),
    Dead = Owners -- Live,
    Dead =:= [] orelse say("   owner and not live: ~p", [lists:sublist(Dead, 5)]),
    claim("one live process for each sandbox", lists:sort(Live) =:= lists:sort(Owners)),
    Stored = [
        Id
     || {Id, N} <- maps:to_list(Acked),
        case ask(Members, state_replicator, recover_state, [Id]) of
            {ok, Count, _} -> Count < N;
            _ -> true
        end
    ],
    claim("the stored counts are not behind the acknowledged ones", Stored =:= []),
    say("   ~b starts, ~b acknowledged counts", [length(Starts), lists:sum(maps:values(Acked))]).

is_live(Pid) ->
    try
        erpc:call(node(Pid), erlang, is_process_alive, [Pid], 3000)
    catch
        _:_ -> false
    end.

claim(Text, true) -> say("   ok: ~s", [Text]);
claim(Text, false) -> fail("~s: NO", [Text]).

await(What, Check) ->
    test_cluster:await(What, Check, ?WAIT_MS).
