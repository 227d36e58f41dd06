%% SPDX-License-Identifier: Apache-2.0
%% The sandbox of the demonstration: counts, and saves each count before it
%% believes it. Tells the recorder of every start and every acknowledged count.
-module(demo_counter).

-behaviour(gen_server).

-export([start_link/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(INTERVAL_MS, 400).

-spec start_link(node(), map()) -> {ok, pid()} | {error, term()}.
start_link(Recorder, Context) ->
    gen_server:start_link(?MODULE, {Recorder, Context}, []).

init({Recorder, #{id := Id, epoch := Epoch, state := State}}) ->
    Count =
        case State of
            undefined -> 0;
            {ok, Saved} -> Saved
        end,
    tell(Recorder, {started, Id, Epoch, Count, self()}),
    next(),
    {ok, #{recorder => Recorder, id => Id, epoch => Epoch, count => Count}}.

handle_call(count, _From, #{count := Count} = State) ->
    {reply, Count, State}.

handle_cast(_Request, State) ->
    {noreply, State}.

handle_info(count, State) ->
    #{recorder := Recorder, id := Id, epoch := Epoch, count := Count} = State,
    next(),
    case quorate:replicate_state(Id, Epoch, Count + 1) of
        {ok, _} ->
            tell(Recorder, {acknowledged, Id, Epoch, Count + 1}),
            {noreply, State#{count := Count + 1}};
        {error, _} ->
            %% The outcome is unknown or it was refused: the same number is
            %% saved again next time.
            {noreply, State}
    end;
handle_info(_Other, State) ->
    {noreply, State}.

next() ->
    erlang:send_after(?INTERVAL_MS div 2 + rand:uniform(?INTERVAL_MS), self(), count).

tell(Recorder, Message) ->
    {quorate_demo, Recorder} ! Message.
