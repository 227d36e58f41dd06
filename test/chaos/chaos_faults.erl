%% SPDX-License-Identifier: Apache-2.0
%% Carries out the faults of a round, each in a process of its own that begins at its
%% time, holds, and mends; in the end mends all that is left.
-module(chaos_faults).

-export([open/1, round/3, mend/1]).

-type context() :: #{client := pid(), disks := #{chaos_host:host() => file:filename()},
                     host := chaos_host:context(), _ => _}.

%% Offsets in preload.c.
-define(CLOCK_AT, 0).
-define(SYNC_AT, 32).
-define(WRITE_AT, 36).
-define(ERROR_AT, 40).
-define(CONTROL_SIZE, 4096).
-define(EIO, 5).
-define(MEND_MS, 30000).
-define(ROLLING_MS, 10000).

%% Makes what processes are told by. The calling process owns the clocks.
-spec open(context()) -> ok.
open(Context) ->
    ?MODULE = ets:new(?MODULE, [named_table, public]),
    lists:foreach(fun(Host) ->
        true = ets:insert(?MODULE, {Host, 0, 0, 0}),
        ok = file:write_file(control(Host, Context), binary:copy(<<0>>, ?CONTROL_SIZE))
    end, chaos_plan:hosts()).

control(Host, #{host := HostContext}) -> chaos_host:control(Host, HostContext).

%% Until its time is over, or `EndMs' (monotonic) has come.
-spec round(chaos_plan:plan(), integer(), context()) -> ok.
round(#{faults := Faults, ms := Ms}, EndMs, Context) ->
    Begin = now_ms(),
    Until = min(Begin + Ms, EndMs),
    All = [spawn_monitor(fun() -> one(Begin + At, Fault, Context) end)
           || {At, Fault} <- Faults, Begin + At < Until],
    hold(Until - Begin),
    [Pid ! stop || {Pid, _} <- All],
    lists:foreach(fun({Pid, Ref}) ->
        receive
            {'DOWN', Ref, process, Pid, normal} -> ok;
            {'DOWN', Ref, process, Pid, Why} ->
                chaos_log:violation("the test itself: a fault ended with ~0p", [Why])
        after ?MEND_MS ->
            true = exit(Pid, kill)
        end
    end, All).

-spec mend(context()) -> ok.
mend(#{disks := Disks} = Context) ->
    ok = chaos_net:clear(),
    lists:foreach(fun(Host) -> tell(Host, ?SYNC_AT, <<0:96>>, Context) end, chaos_plan:hosts()),
    lists:foreach(fun(Dir) -> file:delete(filler(Dir)) end, maps:values(Disks)),
    lists:foreach(fun chaos_host:mend/1, chaos_plan:hosts()).

%% Internals

now_ms() -> erlang:monotonic_time(millisecond).

%% Who was told to stop once holds no more.
hold(Ms) ->
    receive stop -> self() ! stop, stop after max(0, Ms) -> over end.

one(At, Fault, Context) ->
    case hold(At - now_ms()) of
        stop ->
            ok;
        over ->
            chaos_log:event("fault ~0p", [Fault]),
            chaos_log:count({fault, kind(Fault)}),
            From = test_sink:now_us(),
            _ = carry_out(Fault, Context),
            chaos_log:fault(From, test_sink:now_us(), Fault),
            chaos_log:event("over ~0p", [Fault])
    end.

kind({cut, Kind, _, _}) -> {cut, Kind};
kind({kill, Service, _, _}) -> {kill, Service};
kind({restart, Service, _}) -> {restart, Service};
kind({rolling, Service}) -> {rolling, Service};
kind({stutter, Service, _, _, _, _}) -> {stutter, Service};
kind({freeze, [Service], _, _}) -> {freeze, Service};
kind({freeze, _, _, _}) -> {freeze, both};
kind({loss, all, _, _}) -> {loss, all};
kind({loss, _, _, _}) -> {loss, host};
kind(Fault) -> element(1, Fault).

carry_out({kill, Service, Host, Ms}, _) ->
    chaos_host:kill(Host, Service, Ms);
carry_out({kill_leader, Ms}, Context) ->
    with_leader(Context, fun(Host) -> chaos_host:kill(Host, member, Ms) end);
carry_out({lose_host, Host, Ms}, _) ->
    chaos_host:lose(Host, Ms);
carry_out({lose_leader, Ms}, Context) ->
    with_leader(Context, fun(Host) -> carry_out({lose_host, Host, Ms}, Context) end);
carry_out({freeze, Services, Host, Ms}, _) ->
    Ref = chaos_host:freeze(Host, Services),
    _ = hold(Ms),
    chaos_host:thaw(Host, Ref);
carry_out({freeze_leader, Ms}, Context) ->
    with_leader(Context, fun(Host) -> carry_out({freeze, [member], Host, Ms}, Context) end);
carry_out({stutter, Service, Host, Times, OnMs, OffMs}, _) ->
    times(Times, OffMs, fun() ->
        Ref = chaos_host:freeze(Host, [Service]),
        _ = hold(OnMs),
        chaos_host:thaw(Host, Ref)
    end);
carry_out({cut, _, Cuts, Ms}, _) ->
    netted({drop, Cuts}, Ms);
carry_out({flap, Cuts, Times, OnMs, OffMs}, _) ->
    times(Times, OffMs, fun() -> netted({drop, Cuts}, OnMs) end);
carry_out({loss, Host, Percent, Ms}, _) ->
    netted({loss, Host, Percent}, Ms);
carry_out({delay, Host, DelayMs, Ms}, _) ->
    netted({delay, Host, DelayMs}, Ms);
carry_out({full_disk, Host, Ms}, #{disks := Disks}) ->
    Dir = maps:get(Host, Disks),
    _ = os:cmd(lists:flatten(io_lib:format(
          "fallocate -l $(df -B1 --output=avail '~ts' | tail -n 1) '~ts'", [Dir, filler(Dir)]))),
    _ = hold(Ms),
    file:delete(filler(Dir));
carry_out({slow_disk, Host, DelayMs, Ms}, Context) ->
    ok = tell(Host, ?SYNC_AT, <<DelayMs:32/little>>, Context),
    _ = hold(Ms),
    tell(Host, ?SYNC_AT, <<0:32>>, Context);
carry_out({failing_disk, Host, Ms}, Context) ->
    ok = tell(Host, ?ERROR_AT, <<?EIO:32/little>>, Context),
    _ = hold(Ms),
    tell(Host, ?ERROR_AT, <<0:32>>, Context);
carry_out({clock, Host, Ppb}, Context) ->
    clock(Host, Ppb, Context);
carry_out({restart, Service, Host}, _) ->
    chaos_host:stop(Host, Service);
carry_out({rolling, Service}, Context) ->
    rolling(Service, chaos_plan:hosts(), Context);
carry_out({transfer, Host}, Context) ->
    call(Context, ask, [quorum_manager, transfer_leadership,
                        [chaos_api:member(Host), #{timeout => 3000}]]).

with_leader(Context, Fun) ->
    case call(Context, leader, []) of
        undefined -> ok;
        Leader -> [Fun(H) || H <- chaos_plan:hosts(), chaos_api:member(H) =:= Leader]
    end.

call(#{client := Client}, Function, Args) ->
    peer:call(Client, chaos_api, Function, Args, 60000).

netted(Fault, Ms) ->
    Ref = chaos_net:put(Fault),
    _ = hold(Ms),
    chaos_net:remove(Ref).

times(0, _, _) ->
    ok;
times(Times, OffMs, Fun) ->
    _ = Fun(),
    case hold(OffMs) of
        stop -> ok;
        over -> times(Times - 1, OffMs, Fun)
    end.

rolling(_, [], _) ->
    ok;
rolling(Service, [Host | Others], Context) ->
    _ = chaos_host:stop(Host, Service),
    case back(Service, Host, now_ms() + ?ROLLING_MS, Context) of
        stop -> ok;
        over -> rolling(Service, Others, Context)
    end.

%% A member is waited for as its user would.
back(Service, Host, Until, Context) ->
    case hold(500) of
        stop ->
            stop;
        over ->
            IsBack = now_ms() > Until orelse is_back(Service, Host, Context),
            if IsBack -> over; true -> back(Service, Host, Until, Context) end
    end.

is_back(worker, Host, _) ->
    chaos_host:are_up(Host);
is_back(member, Host, Context) ->
    Member = chaos_api:member(Host),
    case lists:keyfind(Member, 1, call(Context, statuses, [])) of
        {_, #{quorum := true, leader := Leader}} -> Leader =/= undefined;
        _ -> false
    end.

filler(Dir) -> filename:join(Dir, "filler").

tell(Host, At, Bytes, Context) ->
    {ok, File} = file:open(control(Host, Context), [read, write, raw, binary]),
    ok = file:pwrite(File, At, Bytes),
    file:close(File).

%% The clock goes on from where it is, at another rate.
clock(Host, Ppb, Context) ->
    Now = 1000 * test_sink:now_us(),
    [{Host, Since, Offset, Rate}] = ets:lookup(?MODULE, Host),
    NewOffset = case Since of
                    0 -> 0;
                    _ -> Offset + (Now - Since) * Rate div 1000000000
                end,
    true = ets:insert(?MODULE, {Host, Now, NewOffset, Ppb}),
    Turn = Now band (bnot 1),
    ok = tell(Host, ?CLOCK_AT, <<(Turn + 1):64/little>>, Context),
    ok = tell(Host, ?CLOCK_AT + 8, <<Now:64/little, NewOffset:64/little, Ppb:64/little>>, Context),
    tell(Host, ?CLOCK_AT, <<(Turn + 2):64/little>>, Context).
