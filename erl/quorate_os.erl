%% SPDX-License-Identifier: Apache-2.0
%% @doc What the agent asks the operating system: the clock of leases, who this
%% virtual machine is, how loaded the machine is.
%%
%% Leases are counted in `CLOCK_BOOTTIME', which goes on while a machine is
%% suspended; `erlang:monotonic_time/0' may stand still then. The virtual
%% machine does not offer that clock, but the first number of `/proc/uptime' is
%% the same, cut to 10 ms: never ahead, which is the safe side. Where there is
%% no such file the monotonic clock has to do, counted from the start.
-module(quorate_os).

-export([clock/0, hold_clock/0, identity/0, capacity/0, cpu_sample/0, cpu_percent/2,
         memory_percent/0, is_alive/1, is_process/2]).

-export_type([identity/0, cpu_sample/0]).

-type identity() :: #{pid => pos_integer(), start_time => non_neg_integer(),
                      boot_id => binary(), pid_namespace => binary()}.
-opaque cpu_sample() :: {Busy :: non_neg_integer(), Total :: non_neg_integer()}.

-define(SANDBOXES_DEFAULT, 100000).
-define(UPTIME, "/proc/uptime").
-define(UPTIME_SIZE, 64).
-define(HELD_MS, 5).

%% @doc Milliseconds of `CLOCK_BOOTTIME'.
-spec clock() -> non_neg_integer().
clock() ->
    case get(?MODULE) of
        undefined -> boot_time(read(?UPTIME));
        Held -> held_clock(Held, erlang:monotonic_time(millisecond))
    end.

%% @doc From now on this process keeps the file of the clock open, and reads it once in
%% 5 ms at most: a reading goes through another thread, which takes a hundred times as
%% long as what is done with it. For processes that last and ask often. In between the
%% monotonic clock is added. It stands still while the machine is suspended, so for 5 ms
%% after that the clock may be behind: as it is for whoever was suspended between reading
%% it and acting on it.
-spec hold_clock() -> ok.
hold_clock() ->
    case file:open(?UPTIME, [read, raw, binary]) of
        {ok, File} ->
            _ = put(?MODULE, {File, clock(), erlang:monotonic_time(millisecond)}),
            ok;
        {error, _} ->
            ok
    end.

%% @doc The process of this virtual machine, so that a member in the same
%% namespace can watch it. What cannot be read is left out.
-spec identity() -> identity().
identity() ->
    Read = [{start_time, start_time()},
            {boot_id, first_line("/proc/sys/kernel/random/boot_id")},
            {pid_namespace, link_target("/proc/self/ns/pid")}],
    maps:from_list([{pid, list_to_integer(os:getpid())}
                    | [{Key, Value} || {Key, {ok, Value}} <- Read]]).

%% @doc What this machine has, if the configuration does not say.
-spec capacity() -> #{cpu := pos_integer(), memory := non_neg_integer(),
                      sandboxes := pos_integer()}.
capacity() ->
    #{cpu => 1000 * erlang:system_info(schedulers_online),
      memory => maps:get(<<"MemTotal">>, meminfo(), 0) div 1024,
      sandboxes => ?SANDBOXES_DEFAULT}.

%% @doc To be compared with a later one.
-spec cpu_sample() -> cpu_sample().
cpu_sample() ->
    case first_line("/proc/stat") of
        {ok, <<"cpu ", Numbers/binary>>} ->
            Ticks = [binary_to_integer(N)
                     || N <- binary:split(Numbers, <<" ">>, [global, trim_all])],
            %% user nice system idle iowait irq softirq steal; guest time is
            %% part of user time already.
            Counted = lists:sublist(Ticks, 8),
            Idle = lists:sum(lists:sublist(Counted, 4, 2)),
            Total = lists:sum(Counted),
            {Total - Idle, Total};
        _ ->
            {0, 0}
    end.

%% @doc How busy the processors were between two samples, 0 to 100.
-spec cpu_percent(cpu_sample(), cpu_sample()) -> 0..100.
cpu_percent({Busy1, Total1}, {Busy2, Total2}) when Total2 > Total1 ->
    percent(Busy2 - Busy1, Total2 - Total1);
cpu_percent(_, _) ->
    0.

%% @doc How much of the memory is in use, 0 to 100.
-spec memory_percent() -> 0..100.
memory_percent() ->
    case meminfo() of
        #{<<"MemTotal">> := Total, <<"MemAvailable">> := Available} ->
            percent(Total - Available, Total);
        #{} ->
            0
    end.

%% @doc Whether an operating-system process exists, where `/proc' tells.
-spec is_alive(non_neg_integer()) -> boolean().
is_alive(OsPid) ->
    filelib:is_dir("/proc/" ++ integer_to_list(OsPid)).

%% @doc Whether it is that very process: another one may have got its number.
-spec is_process(non_neg_integer(), non_neg_integer()) -> boolean().
is_process(OsPid, StartTime) ->
    start_time("/proc/" ++ integer_to_list(OsPid) ++ "/stat") =:= {ok, StartTime}.

%% Internals

percent(_, 0) -> 0;
percent(Part, Whole) -> max(0, min(100, (100 * Part) div Whole)).

held_clock({_, Read, At}, Now) when Now - At < ?HELD_MS ->
    Read + Now - At;
held_clock({File, Before, At}, Now) ->
    Read = case file:pread(File, 0, ?UPTIME_SIZE) of
               %% What was said last is not taken back: the number in the file is cut.
               {ok, _} = Text -> max(boot_time(Text), Before + ?HELD_MS - 1);
               _ -> Before + Now - At
           end,
    _ = put(?MODULE, {File, Read, Now}),
    Read.

boot_time({ok, Text}) ->
    [Seconds, Rest] = binary:split(Text, <<".">>),
    <<Hundredths:2/binary, _/binary>> = Rest,
    binary_to_integer(Seconds) * 1000 + binary_to_integer(Hundredths) * 10;
boot_time(_) ->
    %% Its zero is anywhere, often ahead; readings must not be negative.
    Since = erlang:monotonic_time() - erlang:system_info(start_time),
    erlang:convert_time_unit(Since, native, millisecond).

%% The raw read goes around the file server, which a busy node keeps waiting.
read(Path) ->
    case file:open(Path, [read, raw, binary]) of
        {ok, File} ->
            Result = file:read(File, 65536),
            _ = file:close(File),
            read_result(Result);
        {error, _} ->
            error
    end.

read_result({ok, Bytes}) -> {ok, Bytes};
read_result(_) -> error.

first_line(Path) ->
    case read(Path) of
        {ok, Text} -> {ok, hd(binary:split(Text, <<"\n">>))};
        error -> error
    end.

link_target(Path) ->
    case file:read_link(Path) of
        {ok, Target} -> {ok, unicode:characters_to_binary(Target)};
        {error, _} -> error
    end.

%% Field 22; the name in field 2 may hold spaces and parentheses.
start_time() ->
    start_time("/proc/self/stat").

start_time(Path) ->
    case read(Path) of
        {ok, Text} ->
            AfterName = lists:last(binary:split(Text, <<")">>, [global])),
            Fields = binary:split(AfterName, <<" ">>, [global, trim_all]),
            {ok, binary_to_integer(lists:nth(20, Fields))};
        error ->
            error
    end.

%% Values in KiB.
meminfo() ->
    case read("/proc/meminfo") of
        {ok, Text} ->
            maps:from_list([{Key, binary_to_integer(Value)}
                            || Line <- binary:split(Text, <<"\n">>, [global]),
                               [Name, Value | _] <-
                                   [binary:split(Line, <<" ">>, [global, trim_all])],
                               [Key, <<>>] <- [binary:split(Name, <<":">>)]]);
        error ->
            #{}
    end.
