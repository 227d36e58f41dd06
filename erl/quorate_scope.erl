%% SPDX-License-Identifier: Apache-2.0
%% @doc What a registry or a supervisor of this node is told when it is started: a
%% process under its name that holds its options. What they hold together is kept by
%% the members, and stays when this process ends.
-module(quorate_scope).
-behaviour(gen_server).

-export([start_link/3, options/2, text/1]).
-export([init/1, handle_call/3, handle_cast/2]).

-type kind() :: registry | supervisor.

-define(CALL_MS, 5000).

-spec start_link(kind(), atom(), map()) -> gen_server:start_ret().
start_link(Kind, Name, Options) ->
    gen_server:start_link({local, Name}, ?MODULE, {Kind, Options}, []).

%% @doc Exits as every call does if no process has this name here; an error if it is
%% something else.
-spec options(kind(), atom()) -> {ok, map()} | {error, {badarg, kind()}}.
options(Kind, Name) ->
    case gen_server:call(Name, {options, Kind}, ?CALL_MS) of
        {ok, Options} -> {ok, Options};
        {error, unknown} -> {error, {badarg, Kind}}
    end.

%% @doc The name as text, in which `/' stands for nothing but itself.
-spec text(atom()) -> binary().
text(Name) ->
    Escaped = string:replace(atom_to_binary(Name), <<"%">>, <<"%25">>, all),
    iolist_to_binary(string:replace(iolist_to_binary(Escaped), <<"/">>, <<"%2F">>, all)).

-spec init({kind(), map()}) -> {ok, {kind(), map()}, hibernate}.
init(State) ->
    {ok, State, hibernate}.

-spec handle_call(term(), gen_server:from(), {kind(), map()}) ->
          {reply, term(), {kind(), map()}}.
handle_call({options, Kind}, _, {Kind, Options} = State) ->
    {reply, {ok, Options}, State};
handle_call(_, _, State) ->
    {reply, {error, unknown}, State}.

-spec handle_cast(term(), {kind(), map()}) -> {noreply, {kind(), map()}}.
handle_cast(_, State) ->
    {noreply, State}.
