%% SPDX-License-Identifier: Apache-2.0
%% What the suites run as a sandbox: a counter that saves its count before it
%% says it. Options: `fail => Reason' does not start; `wait => Ms' takes so long to;
%% `save => false' leaves saving to checkpoints.
-module(ct_counter).
-behaviour(gen_server).

-export([spec/0, spec/1, start_link/2, add/1, get/1, context/1]).
-export([init/1, handle_call/3, handle_cast/2]).

spec() ->
    spec(#{}).

spec(Options) ->
    #{id => counter, start => {?MODULE, start_link, [Options]}, restart => permanent}.

start_link(#{fail := Reason}, _) ->
    {error, Reason};
start_link(#{wait := Ms} = Options, Context) ->
    receive after Ms -> start_link(maps:remove(wait, Options), Context) end;
start_link(Options, Context) ->
    gen_server:start_link(?MODULE, {Options, Context}, []).

%% {ok, Count} once the count is saved.
add(Pid) ->
    gen_server:call(Pid, add, 10000).

get(Pid) ->
    gen_server:call(Pid, get, 10000).

context(Pid) ->
    gen_server:call(Pid, context, 10000).

init({Options, #{state := Saved} = Context}) ->
    %% Not in the state, which is what a checkpoint takes.
    undefined = put(options, Options),
    undefined = put(context, Context),
    case Saved of
        undefined -> {ok, 0};
        {ok, Count} -> {ok, Count}
    end.

handle_call(add, _, Count) ->
    case maps:get(save, erlang:get(options), true) andalso quorate:replicate_state(Count + 1) of
        false -> {reply, {ok, Count + 1}, Count + 1};
        {ok, _} -> {reply, {ok, Count + 1}, Count + 1};
        {error, Reason} -> {reply, {error, Reason}, Count}
    end;
handle_call(get, _, Count) ->
    {reply, Count, Count};
handle_call(context, _, Count) ->
    {reply, erlang:get(context), Count}.

handle_cast(stop, Count) ->
    {stop, normal, Count}.
