%% SPDX-License-Identifier: Apache-2.0
%% A sandbox that writes to the sink (test_sink) as fast as it is told, and saves a
%% count that grows. It never looks whether it still may: what it does after its lease
%% has ended is what the sink's record is to show.
%%
%% Writing and saving are two processes, so that a save that has to wait for the
%% cluster stops no write. The saver tells the sink which counts were acknowledged;
%% a count is saved again until it is, and the next one follows it.
-module(test_sink_sandbox).

-behaviour(gen_server).

-export([spec/1, start_link/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(SINK_MS, 1000).
-define(AGAIN_MS, 50).

-type options() ::
    #{sink := test_sink:address(),
      write_ms => pos_integer(),     % between two writes; 5
      save_ms => pos_integer()}.     % between two saves; 50

-spec spec(options()) -> map().
spec(Options) ->
    #{id => ?MODULE, start => {?MODULE, start_link, [Options]}}.

-spec start_link(options(), map()) -> {ok, pid()} | {error, term()}.
start_link(Options, Context) ->
    gen_server:start_link(?MODULE, {Options, Context}, []).

init({#{sink := Sink} = Options, #{id := Id, epoch := Epoch, state := Saved}}) ->
    Count =
        case Saved of
            undefined -> 0;
            {ok, Number} -> Number
        end,
    Owner = {Id, Epoch},
    SaveMs = maps:get(save_ms, Options, 50),
    %% The sink may be out of reach; who creates a sandbox is not to wait for that.
    _ = spawn_link(fun() ->
        Client = tell(connected(Sink), started, Owner, Count),
        save(Client, Owner, Count + 1, SaveMs)
    end),
    self() ! write,
    {ok, #{sink => Sink, owner => Owner, seq => 1, client => undefined,
           write_ms => maps:get(write_ms, Options, 5)}}.

%% How many writes it has begun.
handle_call(seq, _From, #{seq := Seq} = State) ->
    {reply, Seq, State};
handle_call(_, _From, State) ->
    {reply, unknown, State}.

handle_cast(_, State) ->
    {noreply, State}.

handle_info(write, #{client := undefined, sink := Sink} = State) ->
    case test_sink:connect(Sink, ?SINK_MS) of
        {ok, Client} ->
            handle_info(write, State#{client := Client});
        {error, _} ->
            _ = erlang:send_after(?AGAIN_MS, self(), write),
            {noreply, State}
    end;
handle_info(write, #{client := Client, owner := {Id, Epoch}, seq := Seq} = State) ->
    _ = erlang:send_after(maps:get(write_ms, State), self(), write),
    case test_sink:write(Client, Id, Epoch, Seq) of
        {error, _} ->
            ok = test_sink:close(Client),
            {noreply, State#{client := undefined, seq := Seq + 1}};
        _ ->
            {noreply, State#{seq := Seq + 1}}
    end;
handle_info(_, State) ->
    {noreply, State}.

connected(Sink) ->
    case test_sink:connect(Sink, ?SINK_MS) of
        {ok, Client} -> {Sink, Client};
        {error, _} -> wait(?AGAIN_MS), connected(Sink)
    end.

%% Until the sink has it.
tell({Sink, Client}, What, {Id, Epoch} = Owner, Count) ->
    case test_sink:What(Client, Id, Epoch, Count) of
        ok -> {Sink, Client};
        {error, _} ->
            ok = test_sink:close(Client),
            tell(connected(Sink), What, Owner, Count)
    end.

save(Client, {Id, Epoch} = Owner, Count, SaveMs) ->
    wait(SaveMs),
    case quorate:replicate_state(Id, Epoch, Count) of
        {ok, _} -> save(tell(Client, saved, Owner, Count), Owner, Count + 1, SaveMs);
        {error, _} -> save(Client, Owner, Count, SaveMs)
    end.

wait(Ms) ->
    receive after Ms -> ok end.
