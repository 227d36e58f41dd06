%% SPDX-License-Identifier: Apache-2.0
%% A sandbox that tells who measures when it runs and with which count, and, if it is to
%% save, when the next count is acknowledged.
-module(bench_owner).

-behaviour(gen_server).

-export([start_link/3]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2]).

-define(AGAIN_MS, 100).

-spec start_link(pid(), boolean(), map()) -> {ok, pid()} | {error, term()}.
start_link(Teller, Saves, Context) ->
    gen_server:start_link(?MODULE, {Teller, Saves, Context}, []).

init({Teller, Saves, #{id := Id, epoch := Epoch, state := State}}) ->
    Count =
        case State of
            undefined -> 0;
            {ok, Saved} -> Saved
        end,
    Teller ! {runs, Id, Epoch, Count, node()},
    case Saves of
        true -> {ok, {Teller, Id, Epoch, Count + 1}, {continue, save}};
        false -> {ok, none}
    end.

handle_continue(save, State) ->
    handle_info(save, State).

handle_call(_, _From, State) ->
    {reply, ok, State}.

handle_cast(_, State) ->
    {noreply, State}.

handle_info(save, {Teller, Id, Epoch, Count} = State) ->
    case quorate:replicate_state(Id, Epoch, Count) of
        {ok, _} ->
            Teller ! {saved, Id, Epoch, Count};
        {error, _} ->
            _ = erlang:send_after(?AGAIN_MS, self(), save)
    end,
    {noreply, State};
handle_info(_, State) ->
    {noreply, State}.
