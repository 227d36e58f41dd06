%% SPDX-License-Identifier: Apache-2.0
%% The clock of leases, as it is read now and then and as it is held.
-module(quorate_os_SUITE).
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

%% The number in the file is cut to 10 ms, and the two clocks have rates of their own.
-define(CUT_MS, 11).
-define(LOOK_MS, 400).

all() ->
    [held_clock_is_the_same, held_clock_never_goes_back, held_clock_outlives_its_file].

%% Asked at random times: within the 5 ms that are counted, and after longer pauses.
held_clock_is_the_same(_) ->
    ok = in_a_process(fun() ->
        ok = quorate_os:hold_clock(),
        looks(until(?LOOK_MS), fun(_) ->
            ok = compare(),
            receive after rand:uniform(12) - 1 -> ok end
        end)
    end).

held_clock_never_goes_back(_) ->
    ok = in_a_process(fun() ->
        ok = quorate_os:hold_clock(),
        First = quorate_os:clock(),
        Last = looks(until(?LOOK_MS), First, fun(Before) ->
            Now = quorate_os:clock(),
            ?assert(Now >= Before),
            Now
        end),
        ?assert(Last - First >= ?LOOK_MS - ?CUT_MS),
        ok
    end).

held_clock_outlives_its_file(_) ->
    ok = in_a_process(fun() ->
        ok = quorate_os:hold_clock(),
        ok = file:close(element(1, get(quorate_os))),
        looks(until(?LOOK_MS), fun(_) ->
            ok = compare(),
            receive after rand:uniform(40) -> ok end
        end)
    end).

%% Between two readings by somebody who holds nothing.
compare() ->
    Before = in_a_process(fun quorate_os:clock/0),
    Held = quorate_os:clock(),
    After = in_a_process(fun quorate_os:clock/0),
    ?assert(Held >= Before - ?CUT_MS),
    ?assert(Held =< After + ?CUT_MS),
    ok.

until(Ms) -> erlang:monotonic_time(millisecond) + Ms.

looks(Until, Look) -> looks(Until, ok, Look).

looks(Until, Last, Look) ->
    case erlang:monotonic_time(millisecond) < Until of
        true -> looks(Until, Look(Last), Look);
        false -> Last
    end.

in_a_process(Fun) ->
    {_, Ref} = spawn_monitor(fun() -> exit({answer, Fun()}) end),
    receive {'DOWN', Ref, process, _, Reason} ->
        {answer, Answer} = Reason,
        Answer
    end.
