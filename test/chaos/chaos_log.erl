%% SPDX-License-Identifier: Apache-2.0
%% What happens, with the time: on standard output what a reader wants to see, in
%% the file `events' of the work directory all of it. Times are those of the sink
%% (CLOCK_MONOTONIC), so that both can be laid side by side.
-module(chaos_log).

-export([open/1, say/2, event/2, violation/2, violations/0, count/1, counts/0, fault/3, faults/0]).

%% The calling process owns the counters; they go with it.
-spec open(file:filename()) -> ok.
open(Work) ->
    ?MODULE = ets:new(?MODULE, [named_table, public, ordered_set]),
    Writer = spawn_link(fun() -> begin_writing(Work) end),
    true = register(chaos_writer, Writer),
    ok.

begin_writing(Work) ->
    {ok, File} = file:open(filename:join(Work, "events"), [append, raw]),
    write(File, test_sink:now_us()).

write(File, BeginUs) ->
    receive
        {Kind, At, Text} ->
            Line = io_lib:format("~b ~8.2f ~ts~n", [At, (At - BeginUs) / 1.0e6, Text]),
            ok = file:write(File, unicode:characters_to_binary(Line)),
            _ = Kind =:= say andalso
                io:format("~8.1f ~ts~n", [(At - BeginUs) / 1.0e6, Text]),
            write(File, BeginUs);
        {flush, From} ->
            From ! flushed,
            write(File, BeginUs)
    end.

-spec say(string(), [term()]) -> ok.
say(Format, Args) -> put_line(say, Format, Args).

-spec event(string(), [term()]) -> ok.
event(Format, Args) -> put_line(event, Format, Args).

put_line(Kind, Format, Args) ->
    chaos_writer ! {Kind, test_sink:now_us(), io_lib:format(Format, Args)},
    ok.

%% Something that must never be.
-spec violation(string(), [term()]) -> ok.
violation(Format, Args) ->
    Text = lists:flatten(io_lib:format(Format, Args)),
    true = ets:insert(?MODULE, {{violation, erlang:unique_integer([monotonic])}, Text}),
    say("VIOLATION: ~ts", [Text]),
    chaos_writer ! {flush, self()},
    receive flushed -> ok end.

-spec violations() -> [string()].
violations() ->
    [Text || {{violation, _}, Text} <- ets:tab2list(?MODULE)].

-spec count(term()) -> ok.
count(What) ->
    _ = ets:update_counter(?MODULE, {count, What}, 1, {{count, What}, 0}),
    ok.

-spec counts() -> [{term(), pos_integer()}].
counts() ->
    [{What, Count} || {{count, What}, Count} <- ets:tab2list(?MODULE)].

%% What a fault was, and from when to when it was carried out.
-spec fault(integer(), integer(), chaos_plan:fault()) -> ok.
fault(FromUs, ToUs, Fault) ->
    true = ets:insert(?MODULE, {{fault, FromUs, make_ref()}, ToUs, Fault}),
    ok.

-spec faults() -> [{FromUs :: integer(), ToUs :: integer(), chaos_plan:fault()}].
faults() ->
    [{From, To, Fault} || {{fault, From, _}, To, Fault} <- ets:tab2list(?MODULE)].
