%% SPDX-License-Identifier: Apache-2.0
%% @doc Ends what is left of sandboxes whose child has ended, many at one look.
%%
%% Which processes belong to a sandbox is seen by looking at all of the node. When
%% thousands of sandboxes end at once, say because what they all need is gone,
%% each looking for itself would keep the node busy for minutes: those that ask
%% while one look goes on share the next.
-module(quorate_sweeper).
-behaviour(gen_server).

-export([start_link/0, sweep/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-define(PATIENCE_MS, 500).

-record(state, {asked = [] :: [{gen_server:from(), quorate_reaper:target()}]}).

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

%% @doc Kills all processes of this group leader and those that come from `Roots',
%% at once and without a word, other than the calling one; the leader itself
%% stays. `left': one could not be looked at or did not end, say in native code;
%% it dies when it comes back.
-spec sweep(pid(), [pid()]) -> ok | left.
sweep(Leader, Roots) ->
    try
        gen_server:call(?MODULE, {sweep, {Roots, Leader}}, infinity)
    catch
        exit:_ -> quorate_reaper:reap([{Roots, Leader}], [], ?PATIENCE_MS)
    end.

-spec init([]) -> {ok, #state{}}.
init([]) ->
    {ok, #state{}}.

%% Those that are in the mailbox already come before the look.
-spec handle_call(term(), gen_server:from(), #state{}) ->
          {noreply, #state{}} | {reply, {error, unknown}, #state{}}.
handle_call({sweep, Target}, From, #state{asked = Asked} = State) ->
    _ = Asked =:= [] andalso (self() ! look),
    {noreply, State#state{asked = [{From, Target} | Asked]}};
handle_call(_, _, State) ->
    {reply, {error, unknown}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info(look, #state{asked = Asked} = State) ->
    ok = look(Asked),
    {noreply, State#state{asked = []}};
handle_info(_, State) ->
    {noreply, State}.

%% Internals

look(Asked) ->
    case {reap(Asked), Asked} of
        {left, [_, _ | _]} ->
            %% One that hangs must not keep the others from going on.
            lists:foreach(fun(One) -> answer([One], reap([One])) end, Asked);
        {Result, _} ->
            answer(Asked, Result)
    end.

reap(Asked) ->
    Callers = [Pid || {{Pid, _}, _} <- Asked],
    quorate_reaper:reap([Target || {_, Target} <- Asked], Callers, ?PATIENCE_MS).

answer(Asked, Result) ->
    lists:foreach(fun({From, _}) -> gen_server:reply(From, Result) end, Asked).
