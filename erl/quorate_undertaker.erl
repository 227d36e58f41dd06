%% SPDX-License-Identifier: Apache-2.0
%% @doc Frees the names of processes that have ended, a few at once: a supervisor
%% that goes takes a hundred thousand of them with it.
%%
%% A name whose registration was still under way may come after it was freed in
%% vain; so it is freed again until no member can have the registration any more.
-module(quorate_undertaker).
-behaviour(gen_server).

-export([start_link/0, free/3]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
-export([attempt/2]).

-define(AT_ONCE, 64).
-define(CALL_MS, 5000).
-define(RETRY_MS, 1000).
%% By then the lease, and the name with it, is over if no member answers.
-define(TRIES, 60).
%% A registration is given up by then.
-define(EXPECTED_TRIES, 8).

-record(item, {name :: quorate:name(), pid :: pid(), is_expected :: boolean(),
               tries :: non_neg_integer()}).
-record(state, {waiting = queue:new() :: queue:queue(#item{}),
                active = #{} :: #{reference() => #item{}}}).

-spec start_link() -> pid().
start_link() ->
    {ok, Pid} = gen_server:start_link(?MODULE, [], [{spawn_opt, [{message_queue_data, off_heap}]}]),
    Pid.

%% @doc This process has ended, and had these names.
-spec free(pid(), pid(), [{quorate:name(), quorate_names:epoch()}]) -> ok.
free(Undertaker, Pid, Names) ->
    gen_server:cast(Undertaker, {free, Pid, Names}).

-spec init([]) -> {ok, #state{}}.
init([]) ->
    {ok, #state{}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, {error, unknown}, #state{}}.
handle_call(_, _, State) ->
    {reply, {error, unknown}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({free, Pid, Names}, #state{waiting = Waiting} = State) ->
    Items = [item(Name, Epoch, Pid) || {Name, Epoch} <- Names],
    {noreply, begin_some(State#state{waiting = lists:foldl(fun queue:in/2, Waiting, Items)})};
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({'DOWN', Ref, process, _, Outcome}, #state{active = Active} = State) ->
    case maps:take(Ref, Active) of
        {Item, Active1} ->
            ok = attempted(Outcome, Item),
            {noreply, begin_some(State#state{active = Active1})};
        error ->
            {noreply, State}
    end;
handle_info({again, Item}, #state{waiting = Waiting} = State) ->
    {noreply, begin_some(State#state{waiting = queue:in(Item, Waiting)})};
handle_info(_, State) ->
    {noreply, State}.

%% Internals

item(Name, expected, Pid) ->
    #item{name = Name, pid = Pid, is_expected = true, tries = ?EXPECTED_TRIES};
item(Name, _, Pid) ->
    #item{name = Name, pid = Pid, is_expected = false, tries = ?TRIES}.

begin_some(#state{active = Active} = State) when map_size(Active) >= ?AT_ONCE ->
    State;
begin_some(#state{waiting = Waiting, active = Active} = State) ->
    case queue:out(Waiting) of
        {{value, #item{name = Name, pid = Pid} = Item}, Rest} ->
            {_, Ref} = spawn_monitor(?MODULE, attempt, [Name, Pid]),
            begin_some(State#state{waiting = Rest, active = Active#{Ref => Item}});
        {empty, _} ->
            State
    end.

%% @private
-spec attempt(quorate:name(), pid()) -> no_return().
attempt(Name, Pid) ->
    exit({freed, quorate_call:repeatable(consistency_manager, unregister, [Name, Pid], ?CALL_MS)}).

attempted({freed, ok}, _) ->
    ok;
attempted({freed, {error, not_found}}, #item{is_expected = false}) ->
    ok;
attempted(_, #item{tries = 0}) ->
    ok;
attempted(_, #item{tries = Tries} = Item) ->
    _ = erlang:send_after(?RETRY_MS, self(), {again, Item#item{tries = Tries - 1}}),
    ok.
