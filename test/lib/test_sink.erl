%% SPDX-License-Identifier: Apache-2.0
%% The outside world, as sandboxes see it: something that takes writes, and takes
%% none under an epoch lower than the greatest that it has seen for that sandbox.
%% It runs in an operating system process of its own, in no cluster:
%%
%%   erl -noshell -noinput -pa EBIN -run test_sink main PORT-OR-PATH RECORD
%%
%% A path (with a slash) is a local socket, which is reached from every network
%% namespace. Each event is one line of the record, in the order in which it was
%% decided, with the time in microseconds of CLOCK_MONOTONIC, which all processes of
%% a machine share:
%%
%%   TIME write ID EPOCH SEQ accepted        TIME started ID EPOCH COUNT
%%   TIME write ID EPOCH SEQ stale CURRENT   TIME saved ID EPOCH COUNT
%%
%% `started' is the count that a sandbox found saved when it began, `saved' one whose
%% saving was acknowledged. summary/1 replays a record and believes no verdict in it.
-module(test_sink).

-export([main/1, start/2, stop/1, arguments/2, now_us/0]).
-export([connect/2, close/1, write/4, started/4, saved/4]).
-export([fold/3, fold_from/4, summary/1, acknowledged/1, attempts/3, percentile/2]).

-export_type([address/0, client/0, event/0, summary/0, gap/0]).

-define(BACKLOG, 1024).
-define(FRAME_MAX, 4096).
-define(START_MS, 10000).
-define(PIECE_SIZE, 1 bsl 20).

-type address() :: inet:port_number() | file:filename().
-type client() :: {gen_tcp:socket(), TimeoutMs :: pos_integer()}.
-type event() ::
    #{at := integer(), kind := write | started | saved, id := binary(),
      epoch := pos_integer(), number := non_neg_integer(), verdict => accepted | stale}.
%% From the last accepted write of an epoch to the first one of the next.
-type gap() :: {Id :: binary(), Epoch :: pos_integer(), Next :: pos_integer(), Us :: integer()}.
-type summary() ::
    #{ids := non_neg_integer(), attempts := non_neg_integer(), accepted := non_neg_integer(),
      stale := non_neg_integer(), out_of_order := [event()], gaps := [gap()],
      lost := [{Id :: binary(), Epoch :: pos_integer(), Found :: integer(), Saved :: integer()}]}.

%% The server

-spec main([string()]) -> ok.
main([Where, Record]) ->
    {ok, _} = start(address(Where), Record),
    receive after infinity -> ok end.

address(Where) ->
    case lists:member($/, Where) of
        true -> Where;
        false -> list_to_integer(Where)
    end.

%% What comes behind `erl', as strings.
-spec arguments(address(), file:filename()) -> [string()].
arguments(Address, Record) ->
    Where = if is_integer(Address) -> integer_to_list(Address); true -> Address end,
    ["-noshell", "-noinput", "-pa", filename:dirname(code:which(?MODULE)),
     "-run", atom_to_list(?MODULE), "main", Where, Record].

%% In this virtual machine; it ends with the caller.
-spec start(address(), file:filename()) -> {ok, pid()}.
start(Address, Record) ->
    Caller = self(),
    Server = spawn_link(fun() -> init(Address, Record, Caller) end),
    receive {Server, ready} -> {ok, Server} after ?START_MS -> exit(no_sink) end.

-spec stop(pid()) -> ok.
stop(Server) ->
    true = unlink(Server),
    Ref = monitor(process, Server),
    true = exit(Server, kill),
    receive {'DOWN', Ref, process, Server, _} -> ok end.

init(Address, Record, Caller) ->
    {ok, File} = file:open(Record, [raw, append]),
    Common = [binary, {packet, 4}, {packet_size, ?FRAME_MAX}, {active, false},
              {backlog, ?BACKLOG}],
    {ok, Socket} =
        case Address of
            Port when is_integer(Port) ->
                gen_tcp:listen(Port, [{ip, {127, 0, 0, 1}}, {reuseaddr, true},
                                      {nodelay, true} | Common]);
            Path ->
                _ = file:delete(Path),
                gen_tcp:listen(0, [{ifaddr, {local, Path}} | Common])
        end,
    Self = self(),
    _ = spawn_link(fun() -> accept(Socket, Self) end),
    Caller ! {Self, ready},
    decide(File, #{}).

accept(Listening, Server) ->
    {ok, Socket} = gen_tcp:accept(Listening),
    Reader = spawn_link(fun() -> receive go -> read(Socket, Server) end end),
    ok = gen_tcp:controlling_process(Socket, Reader),
    Reader ! go,
    accept(Listening, Server).

%% A writer that is frozen sends nothing, and hears its answer when it wakes up.
read(Socket, Server) ->
    case gen_tcp:recv(Socket, 0) of
        {ok, Frame} ->
            Server ! {self(), binary_to_term(Frame, [safe])},
            Answer = receive {Server, Verdict} -> Verdict end,
            _ = gen_tcp:send(Socket, term_to_binary(Answer)),
            read(Socket, Server);
        {error, _} ->
            gen_tcp:close(Socket)
    end.

%% One process decides and records: the record has the order of the decisions.
decide(File, Greatest) ->
    receive
        {Reader, {Kind, Id, Epoch, Number}} ->
            {Answer, Words, Greatest1} = judge(Kind, Id, Epoch, Greatest),
            Line = io_lib:format("~b ~s ~s ~b ~b~s~n",
                                 [now_us(), Kind, quote(Id), Epoch, Number, Words]),
            ok = file:write(File, Line),
            Reader ! {self(), Answer},
            decide(File, Greatest1)
    end.

judge(write, Id, Epoch, Greatest) ->
    case Greatest of
        #{Id := Current} when Current > Epoch ->
            {{stale, Current}, [" stale ", integer_to_list(Current)], Greatest};
        #{} ->
            {accepted, " accepted", Greatest#{Id => Epoch}}
    end;
judge(_, _, _, Greatest) ->
    {ok, "", Greatest}.

quote(Id) ->
    << <<(quote_byte(Byte))/binary>> || <<Byte>> <= Id >>.

quote_byte(Byte) when Byte > $\s, Byte < 127, Byte =/= $% -> <<Byte>>;
quote_byte(Byte) -> <<$%, (binary:encode_hex(<<Byte>>))/binary>>.

unquote(<<$%, Hex:2/binary, Rest/binary>>) ->
    <<(binary:decode_hex(Hex))/binary, (unquote(Rest))/binary>>;
unquote(<<Byte, Rest/binary>>) ->
    <<Byte, (unquote(Rest))/binary>>;
unquote(<<>>) ->
    <<>>.

%% Erlang's own monotonic clock has another zero in every virtual machine.
-spec now_us() -> integer().
now_us() ->
    Source = erlang:system_info(os_monotonic_time_source),
    {time, Native} = lists:keyfind(time, 1, Source),
    erlang:convert_time_unit(Native, native, microsecond).

%% The client

%% Every call on it ends within the time.
-spec connect(address(), pos_integer()) -> {ok, client()} | {error, term()}.
connect(Address, TimeoutMs) ->
    Common = [binary, {packet, 4}, {active, false}, {send_timeout, TimeoutMs}],
    Connected =
        case Address of
            Port when is_integer(Port) ->
                gen_tcp:connect({127, 0, 0, 1}, Port, [{nodelay, true} | Common], TimeoutMs);
            Path ->
                gen_tcp:connect({local, Path}, 0, Common, TimeoutMs)
        end,
    case Connected of
        {ok, Socket} -> {ok, {Socket, TimeoutMs}};
        {error, Reason} -> {error, Reason}
    end.

-spec close(client()) -> ok.
close({Socket, _}) ->
    gen_tcp:close(Socket).

%% After an error nobody knows whether it was accepted; the connection is of no use
%% any more, since a late answer would be taken for that of another write.
-spec write(client(), binary(), pos_integer(), non_neg_integer()) ->
    accepted | {stale, pos_integer()} | {error, term()}.
write(Client, Id, Epoch, Seq) ->
    ask(Client, {write, Id, Epoch, Seq}).

-spec started(client(), binary(), pos_integer(), non_neg_integer()) -> ok | {error, term()}.
started(Client, Id, Epoch, Count) ->
    ask(Client, {started, Id, Epoch, Count}).

-spec saved(client(), binary(), pos_integer(), non_neg_integer()) -> ok | {error, term()}.
saved(Client, Id, Epoch, Count) ->
    ask(Client, {saved, Id, Epoch, Count}).

ask({Socket, TimeoutMs}, Request) ->
    case gen_tcp:send(Socket, term_to_binary(Request)) of
        ok ->
            case gen_tcp:recv(Socket, 0, TimeoutMs) of
                {ok, Answer} -> binary_to_term(Answer, [safe]);
                {error, Reason} -> {error, Reason}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

%% The record

%% Over all events, in their order; a line that is being written is left out.
-spec fold(fun((event(), Acc) -> Acc), Acc, file:filename()) -> Acc.
fold(Fun, Acc, Record) ->
    {Result, _} = fold_from(0, Fun, Acc, Record),
    Result.

%% From an offset on; with the one where the next events will be.
-spec fold_from(non_neg_integer(), fun((event(), Acc) -> Acc), Acc, file:filename()) ->
    {Acc, non_neg_integer()}.
fold_from(Offset, Fun, Acc, Record) ->
    {ok, File} = file:open(Record, [raw, read, binary]),
    Result = pieces(File, Offset, Fun, Acc),
    ok = file:close(File),
    Result.

pieces(File, Offset, Fun, Acc) ->
    case file:pread(File, Offset, ?PIECE_SIZE) of
        {ok, Piece} ->
            Lines = binary:split(Piece, <<"\n">>, [global]),
            Half = byte_size(lists:last(Lines)),
            Next = lists:foldl(fun(Line, Before) -> Fun(event(Line), Before) end, Acc,
                               lists:droplast(Lines)),
            case byte_size(Piece) - Half of
                0 -> {Next, Offset};
                Size -> pieces(File, Offset + Size, Fun, Next)
            end;
        eof ->
            {Acc, Offset}
    end.

event(Line) ->
    [At, Kind, Id, Epoch, Number | Verdict] = binary:split(Line, <<" ">>, [global]),
    Event = #{at => binary_to_integer(At), kind => kind(Kind), id => unquote(Id),
              epoch => binary_to_integer(Epoch), number => binary_to_integer(Number)},
    case Verdict of
        [] -> Event;
        [<<"accepted">>] -> Event#{verdict => accepted};
        [<<"stale">>, _] -> Event#{verdict => stale}
    end.

kind(<<"write">>) -> write;
kind(<<"started">>) -> started;
kind(<<"saved">>) -> saved.

%% `out_of_order' are writes that were accepted after one of a greater epoch, `lost'
%% are starts that found less than what was acknowledged under an earlier epoch.
-spec summary(file:filename()) -> summary().
summary(Record) ->
    Start = #{attempts => 0, accepted => 0, stale => 0, out_of_order => [], ids => #{},
              starts => [], saved => #{}},
    Seen = fold(fun count/2, Start, Record),
    #{ids := Ids, out_of_order := Wrong, starts := Starts, saved := Saved} = Seen,
    maps:merge(maps:with([attempts, accepted, stale], Seen),
               #{ids => maps:size(Ids), out_of_order => lists:reverse(Wrong),
                 gaps => lists:append([gaps(Id, Epochs) || {Id, Epochs} <- maps:to_list(Ids)]),
                 lost => lists:append([lost(S, Saved) || S <- lists:reverse(Starts)])}).

count(#{kind := write, verdict := stale}, #{attempts := Attempts, stale := Stale} = Seen) ->
    Seen#{attempts := Attempts + 1, stale := Stale + 1};
count(#{kind := write, id := Id, epoch := Epoch, at := At} = Event, Seen) ->
    #{attempts := Attempts, accepted := Accepted, ids := Ids, out_of_order := Wrong} = Seen,
    Epochs = maps:get(Id, Ids, []),
    Counted = Seen#{attempts := Attempts + 1, accepted := Accepted + 1},
    case Epochs of
        [{Epoch, First, _} | Earlier] ->
            Counted#{ids := Ids#{Id => [{Epoch, First, At} | Earlier]}};
        [{Greater, _, _} | _] when Greater > Epoch ->
            Counted#{out_of_order := [Event | Wrong]};
        _ ->
            Counted#{ids := Ids#{Id => [{Epoch, At, At} | Epochs]}}
    end;
count(#{kind := started} = Event, #{starts := Starts} = Seen) ->
    Seen#{starts := [Event | Starts]};
count(#{kind := saved, id := Id, epoch := Epoch, number := Count}, #{saved := Saved} = Seen) ->
    OfId = maps:get(Id, Saved, #{}),
    Seen#{saved := Saved#{Id => OfId#{Epoch => max(Count, maps:get(Epoch, OfId, 0))}}}.

%% The newest epoch is first.
gaps(Id, [_ | Earlier] = Epochs) ->
    lists:reverse([{Id, Epoch, Next, First - Last}
                   || {{Next, First, _}, {Epoch, _, Last}} <-
                          lists:zip(lists:droplast(Epochs), Earlier)]).

lost(#{id := Id, epoch := Epoch, number := Found}, Saved) ->
    Before = [Count || {Earlier, Count} <- maps:to_list(maps:get(Id, Saved, #{})),
                       Earlier < Epoch],
    [{Id, Epoch, Found, lists:max(Before)} || Before =/= [], lists:max(Before) > Found].

%% The greatest count of each sandbox whose saving was acknowledged.
-spec acknowledged(file:filename()) -> #{binary() => non_neg_integer()}.
acknowledged(Record) ->
    fold(fun(#{kind := saved, id := Id, number := Count}, Counts) ->
                 Counts#{Id => max(Count, maps:get(Id, Counts, 0))};
            (_, Counts) ->
                 Counts
         end, #{}, Record).

%% What a sandbox tried to write under an epoch, from a moment on.
-spec attempts(file:filename(), {binary(), pos_integer()}, integer()) -> [event()].
attempts(Record, {Id, Epoch}, SinceUs) ->
    lists:reverse(
      fold(fun(#{kind := write, id := I, epoch := E, at := At} = Event, Found)
                 when I =:= Id, E =:= Epoch, At >= SinceUs ->
                   [Event | Found];
              (_, Found) ->
                   Found
           end, [], Record)).

%% The least number that so many per cent of the list do not exceed.
-spec percentile([number(), ...], 1..100) -> number().
percentile(Numbers, Percent) ->
    lists:nth(max(1, ceil(length(Numbers) * Percent / 100)), lists:sort(Numbers)).
