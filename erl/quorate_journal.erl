%% SPDX-License-Identifier: Apache-2.0
%% @doc The ownership journal of this worker: files that say which sandboxes ran
%% here, from when until when, and under which lease. docs/ownership-journal.md
%% has the format; a member's journal has the same one.
%%
%% Nobody waits for it. Whoever records something sends a message with the
%% reading of the clock; what is too much, or finds no room on the disk, is
%% counted, and the journal says so in its place.
-module(quorate_journal).
-behaviour(gen_server).

-export([start_link/1, record/2]).
-export([encode/3, crc32c/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-export_type([config/0, type/0]).

-type config() :: #{dir := file:filename_all(), size := pos_integer()} | off.
-type type() :: open | close | gap | lease | starting | running | ended | fenced | gone | live.

-define(VERSION, 2).
-define(WORKER, 2).
-define(PARTS, 4).
-define(FILES_MAX, 256).
-define(SIZE_MIN, 262144).
-define(TEXT_MAX, 255).
-define(QUEUE_MAX, 50000).   % records on their way
-define(BATCH_MAX, 1000).
-define(HEAD_SIZE, 2048).    % more than a file begins with
-define(CLOSE_SIZE, 15).
-define(COMPLAIN_MS, 60000).

%% Of the counters that all share.
-define(PENDING, 1).
-define(DROPPED, 2).

-record(state,
        {dir :: file:filename_all(),
         part :: pos_integer(),              % bytes of one file
         limit :: pos_integer(),             % of this one, which may have to be longer
         size :: pos_integer(),              % of all
         open :: map(),                      % what each file says first
         file :: file:io_device() | undefined,
         at = 0 :: non_neg_integer(),        % where the next record goes
         number = 0 :: non_neg_integer(),    % of the file
         written = 0 :: non_neg_integer(),   % records of this run
         counters :: atomics:atomics_ref(),
         gap :: {non_neg_integer(), integer(), atom()} | undefined,
         complained :: integer() | undefined,
         live = #{} :: #{quorate:id() => {integer(), map()}}}).

-spec start_link(config()) -> gen_server:start_ret().
start_link(Config) ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, Config, []).

%% @doc What has happened just now. Never waits, never fails.
-spec record(type(), map()) -> ok.
record(Type, Fields) ->
    case persistent_term:get(?MODULE, off) of
        off ->
            ok;
        {Pid, Counters} ->
            case atomics:add_get(Counters, ?PENDING, 1) of
                Count when Count =< ?QUEUE_MAX ->
                    Pid ! {?MODULE, Type, quorate_os:clock(), Fields},
                    ok;
                _ ->
                    ok = atomics:sub(Counters, ?PENDING, 1),
                    atomics:add(Counters, ?DROPPED, 1)
            end
    end.

%% @doc One record as bytes.
-spec encode(type(), integer(), map()) -> iodata().
encode(Type, Clock, Fields) ->
    {Number, Form} = form(Type),
    Body = << <<(field(Kind, maps:get(Name, Fields, undefined)))/binary>>
              || {Kind, Name} <- Form >>,
    Rest = <<(byte_size(Body)):16, Number:8, Clock:64, Body/binary>>,
    [<<(crc32c(Rest)):32>>, Rest].

%% @doc CRC-32C (Castagnoli).
-spec crc32c(binary()) -> non_neg_integer().
crc32c(Bytes) ->
    crc32c(Bytes, 16#ffffffff, table()).

-spec init(config()) -> {ok, #state{} | off}.
init(off) ->
    {ok, off};
init(#{dir := Dir, size := Size}) ->
    _ = process_flag(trap_exit, true),
    _ = process_flag(message_queue_data, off_heap),
    case open(Dir, max(Size, ?SIZE_MIN)) of
        {ok, State} ->
            ok = persistent_term:put(?MODULE, {self(), State#state.counters}),
            {ok, State};
        {error, Reason} ->
            logger:warning("quorate: no ownership journal in ~ts: ~0tp", [Dir, Reason]),
            {ok, off}
    end.

-spec handle_call(term(), gen_server:from(), State) -> {reply, ok, State}.
handle_call(_, _, State) ->
    {reply, ok, State}.

-spec handle_cast(term(), State) -> {noreply, State}.
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{} | off) -> {noreply, #state{} | off}.
handle_info({?MODULE, Type, Clock, Fields}, #state{} = State) ->
    {noreply, write([{Type, Clock, Fields} | more(?BATCH_MAX)], State)};
handle_info(_, State) ->
    {noreply, State}.

-spec terminate(term(), #state{} | off) -> ok.
terminate(_, off) ->
    ok;
terminate(_, State) ->
    _ = persistent_term:put(?MODULE, off),
    #state{file = File} = write(more(?QUEUE_MAX) ++ [{close, quorate_os:clock(), #{}}], State),
    _ = File =:= undefined orelse file:close(File),
    ok.

%% Internals: forms

%% In the order of the fields of c_src/journal/record.h.
form(open) ->
    {1, [{u8, code}, {text, worker}, {run, run}, {u64, first}, {u32, pid}, {u64, start_time},
         {u32, resolution}, {text, boot}, {text, space}, {text, text}]};
form(close) -> {2, []};
form(gap) -> {3, [{u8, code}, {u64, count}, {u64, since}]};
form(lease) -> {64, [{text, worker}, {run, run}, {u64, lease}, {u64, worker_clock}, {u64, until}]};
form(starting) ->
    {65, [{text, id}, {u64, epoch}, {run, run}, {u64, lease}, {u64, until}, {mode, mode}]};
form(running) -> {66, [{text, id}, {u64, epoch}]};
form(ended) -> {67, [{u8, code}, {text, id}, {u64, epoch}, {u64, until}]};
form(fenced) -> {68, [{u8, code}, {run, run}, {u64, until}, {u64, count}]};
form(gone) -> {69, [{run, run}, {u32, pid}, {u64, start_time}]};
form(live) ->
    {70, [{text, id}, {u64, epoch}, {run, run}, {u64, lease}, {u64, until}, {u64, since},
          {mode, mode}]}.

field(u8, Cause) -> <<(code(Cause)):8>>;
field(mode, available) -> <<2:8>>;
field(mode, _) -> <<1:8>>;
field(u32, Value) -> <<(number(Value)):32>>;
field(u64, Value) -> <<(number(Value)):64>>;
field(run, <<Run:16/binary>>) -> Run;
field(run, _) -> <<0:128>>;
field(text, Text) when is_binary(Text) ->
    Cut = binary:part(Text, 0, min(byte_size(Text), ?TEXT_MAX)),
    <<(byte_size(Cut)):8, Cut/binary>>;
field(text, _) -> <<0:8>>.

%% What is not known, or has no end, is 0.
number(Value) when is_integer(Value), Value >= 0 -> Value;
number(_) -> 0.

code(worker) -> ?WORKER;
code(expired) -> 1;
code(detached) -> 5;
code(failed) -> 6;
code(stopped) -> 7;
code(killed) -> 8;
code(handed_over) -> 9;
code(full) -> 10;
code(too_fast) -> 11;
code(fenced) -> 12;
code(taken_over) -> 13;
code(_) -> 0.

crc32c(<<Byte, Rest/binary>>, Crc, Table) ->
    crc32c(Rest, (Crc bsr 8) bxor element(((Crc bxor Byte) band 16#ff) + 1, Table), Table);
crc32c(<<>>, Crc, _) ->
    Crc bxor 16#ffffffff.

%% Made once, and then a literal that nobody copies.
table() ->
    case persistent_term:get({?MODULE, crc32c}, undefined) of
        undefined ->
            Table = list_to_tuple([entry(N, 8) || N <- lists:seq(0, 255)]),
            ok = persistent_term:put({?MODULE, crc32c}, Table),
            Table;
        Table ->
            Table
    end.

entry(Crc, 0) -> Crc;
entry(Crc, Bits) when Crc band 1 =:= 1 -> entry((Crc bsr 1) bxor 16#82f63b78, Bits - 1);
entry(Crc, Bits) -> entry(Crc bsr 1, Bits - 1).

%% Internals: writing

more(0) ->
    [];
more(Count) ->
    receive
        {?MODULE, Type, Clock, Fields} -> [{Type, Clock, Fields} | more(Count - 1)]
    after 0 ->
        []
    end.

write(Records, #state{counters = Counters} = State) ->
    ok = atomics:sub(Counters, ?PENDING, length([R || {T, _, _} = R <- Records, T =/= close])),
    State1 = too_fast(State),
    Gap = gap_record(State1),
    Bytes = iolist_to_binary([encode(T, C, F) || {T, C, F} <- Gap ++ Records]),
    State2 = room(byte_size(Bytes), State1),
    case append(Bytes, State2) of
        {ok, State3} ->
            note(Records, State3#state{written = State3#state.written + length(Gap ++ Records),
                                       gap = undefined});
        {error, Reason, State3} ->
            [{_, Since, _} | _] = Records,
            note(Records, complain(Reason, lose(length(Records), Since, full, State3)))
    end.

too_fast(#state{counters = Counters} = State) ->
    case atomics:exchange(Counters, ?DROPPED, 0) of
        0 -> State;
        Count -> lose(Count, quorate_os:clock(), too_fast, State)
    end.

lose(Count, Since, Why, #state{gap = undefined} = State) ->
    State#state{gap = {Count, Since, Why}};
lose(Count, _, Why, #state{gap = {Before, Since, _}} = State) ->
    State#state{gap = {Before + Count, Since, Why}}.

gap_record(#state{gap = undefined}) -> [];
gap_record(#state{gap = {Count, Since, Why}}) ->
    [{gap, quorate_os:clock(), #{code => Why, count => Count, since => Since}}].

room(Size, #state{file = File, at = At, limit = Limit} = State)
  when File =/= undefined, At + Size =< Limit ->
    State;
room(_, State) ->
    begin_file(State).

append(_, #state{file = undefined} = State) ->
    {error, no_file, State};
append(Bytes, #state{file = File, at = At} = State) ->
    case file:pwrite(File, At, Bytes) of
        ok ->
            {ok, State#state{at = At + byte_size(Bytes)}};
        {error, Reason} ->
            %% Half a record that stays is written over, or seen as torn.
            _ = file:position(File, At),
            _ = file:truncate(File),
            {error, Reason, State}
    end.

complain(Reason, #state{dir = Dir, complained = Before} = State) ->
    Now = erlang:monotonic_time(millisecond),
    case Before =:= undefined orelse Now - Before >= ?COMPLAIN_MS of
        true ->
            logger:warning("quorate: the ownership journal in ~ts has a gap: ~0tp", [Dir, Reason]),
            State#state{complained = Now};
        false ->
            State
    end.

%% What runs, for the next file.
note(Records, State) ->
    lists:foldl(fun note_one/2, State, Records).

note_one({starting, Clock, #{id := Id} = Fields}, #state{live = Live} = State) ->
    State#state{live = Live#{Id => {Clock, Fields}}};
note_one({ended, _, #{id := Id, epoch := Epoch}}, #state{live = Live} = State) ->
    case Live of
        #{Id := {_, #{epoch := Epoch}}} -> State#state{live = maps:remove(Id, Live)};
        #{} -> State
    end;
note_one({fenced, _, #{code := fenced}}, #state{live = Live} = State) ->
    State#state{live = maps:filter(fun(_, {_, Fields}) -> goes_on(Fields) end, Live)};
note_one({fenced, _, _}, State) ->
    State#state{live = #{}};
note_one(_, State) ->
    State.

goes_on(#{mode := available}) -> true;
goes_on(_) -> false.

%% Internals: files

open(Dir, Size) ->
    case filelib:ensure_dir(filename:join(Dir, "x")) of
        ok -> open_in(Dir, Size);
        {error, Reason} -> {error, Reason}
    end.

open_in(Dir, Size) ->
    Identity = quorate_os:identity(),
    Open = #{code => worker, worker => atom_to_binary(node()), run => rand:bytes(16),
             pid => maps:get(pid, Identity), start_time => maps:get(start_time, Identity, 0),
             resolution => 10, boot => maps:get(boot_id, Identity, <<>>),
             space => maps:get(pid_namespace, Identity, <<>>), text => vsn()},
    Files = files(Dir),
    Number = lists:max([0 | [N || {N, _, _} <- Files]]),
    Before = runs(Files),
    Part = Size div ?PARTS,
    State = begin_file(#state{dir = Dir, part = Part, limit = Part, size = Size, open = Open,
                              number = Number, counters = atomics:new(2, [])}),
    case State of
        #state{file = undefined} -> {error, no_file};
        _ -> {ok, inherit(Before, State)}
    end.

vsn() ->
    case application:get_key(quorate, vsn) of
        {ok, Vsn} -> list_to_binary(Vsn);
        undefined -> <<>>
    end.

%% Runs before this one: those whose process has ended are known to be gone. One
%% of this very process that was not closed has left something out.
inherit(Runs, #state{open = #{pid := Pid, start_time := Start} = Open0} = State) ->
    Here = maps:with([boot, space], Open0),
    Mine = [Run || Run <- Runs, maps:with([boot, space], Run) =:= Here],
    Clock = quorate_os:clock(),
    Gone = [{gone, Clock, Run} || #{pid := P, start_time := S} = Run <- Mine,
                                  {P, S} =/= {Pid, Start}, not quorate_os:is_process(P, S)],
    Open = [{gap, Clock, #{code => killed, count => 1, since => Clock}}
            || #{pid := P, start_time := S, is_closed := false} <- Mine, {P, S} =:= {Pid, Start}],
    Counters = State#state.counters,
    Records = Gone ++ lists:sublist(Open, 1),
    ok = atomics:add(Counters, ?PENDING, length(Records)),
    case Records of
        [] -> State;
        _ -> write(Records, State)
    end.

files(Dir) ->
    %% A directory may be a binary, which filelib:wildcard/2 does not take.
    {ok, Names} = file:list_dir(Dir),
    lists:sort([{N, Path, filelib:file_size(Path)}
                || Name <- Names, N <- number_in(Name), Path <- [filename:join(Dir, Name)]]).

number_in("worker-" ++ Rest) ->
    case string:to_integer(Rest) of
        {N, ".ownership"} when is_integer(N), N > 0 -> [N];
        _ -> []
    end;
number_in(_) ->
    [].

%% The runs that the files are of, each by its last file.
runs(Files) ->
    maps:values(maps:from_list([{R, Run} || {_, Path, Size} <- Files,
                                            #{run := R} = Run <- run_in(Path, Size)])).

run_in(Path, Size) ->
    case file:open(Path, [read, raw, binary]) of
        {ok, File} ->
            Head = file:pread(File, 0, ?HEAD_SIZE),
            Tail = file:pread(File, max(0, Size - ?CLOSE_SIZE), ?CLOSE_SIZE),
            _ = file:close(File),
            run_of(Head, Tail);
        {error, _} ->
            []
    end.

%% How a file begins is the same in all versions so far.
run_of({ok, <<"QUORATEJ", Version:16, _:32, _:16, 1:8, _:64, ?WORKER:8, Size:8, _:Size/binary,
              Run:16/binary, _:64, Pid:32, Start:64, _:32, BootSize:8, Boot:BootSize/binary,
              SpaceSize:8, Space:SpaceSize/binary, _/binary>>}, Tail) when Version =< ?VERSION ->
    [#{run => Run, pid => Pid, start_time => Start, boot => Boot, space => Space,
       is_closed => is_close(Tail)}];
run_of(_, _) ->
    [].

is_close({ok, <<Crc:32, 0:16, 2:8, Clock:64>>}) -> Crc =:= crc32c(<<0:16, 2:8, Clock:64>>);
is_close(_) -> false.

%% Another file: what it is, and what runs. The oldest ones go.
begin_file(#state{dir = Dir, file = Before, number = Last, open = Open, written = Written,
                  live = Live} = State) ->
    _ = Before =:= undefined orelse file:close(Before),
    ok = make_room(State),
    Number = Last + 1,
    Path = filename:join(Dir, io_lib:format("worker-~8..0b.ownership", [Number])),
    Clock = quorate_os:clock(),
    Head = iolist_to_binary(
             [<<"QUORATEJ", ?VERSION:16>>, encode(open, Clock, Open#{first => Written + 1}),
              [encode(live, Clock, Fields#{since => Since})
               || {Since, Fields} <- maps:values(Live)]]),
    %% If very much runs, a file must still have room for what is new.
    Closed = State#state{file = undefined, at = 0,
                         limit = max(State#state.part, 2 * byte_size(Head))},
    case file:open(Path, [write, exclusive, raw, binary]) of
        {ok, File} ->
            case append(Head, Closed#state{file = File}) of
                {ok, State1} ->
                    State1#state{number = Number, written = Written + map_size(Live)};
                {error, Reason, _} ->
                    _ = file:close(File),
                    _ = file:delete(Path),
                    complain(Reason, Closed)
            end;
        {error, eexist} ->
            complain(eexist, Closed#state{number = Number});
        {error, Reason} ->
            complain(Reason, Closed)
    end.

make_room(#state{dir = Dir, size = Size, part = Part}) ->
    Files = files(Dir),
    Total = lists:sum([Bytes || {_, _, Bytes} <- Files]),
    delete(Files, Total + Part - Size, length(Files) + 1 - ?FILES_MAX).

delete([{_, Path, Bytes} | More], Over, Many) when Over > 0; Many > 0 ->
    _ = file:delete(Path),
    delete(More, Over - Bytes, Many - 1);
delete(_, _, _) ->
    ok.
