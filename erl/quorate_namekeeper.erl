%% SPDX-License-Identifier: Apache-2.0
%% @doc Watches the processes of this node that have names, and frees those of the
%% ones that have ended: a few at once, since a supervisor that goes takes a hundred
%% thousand with it. Not the agent's work for the same reason: it has a lease to keep.
%%
%% A name whose registration was still under way may come after it was freed in
%% vain; so it is freed again until no member can have the registration any more.
%%
%% It goes with its agent, and so does the fence, which ends the processes.
-module(quorate_namekeeper).
-behaviour(gen_server).

-export([start_link/1, expect/2, keep/3, drop/2, forget/2, names_of/1]).
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
-record(state, {fence :: pid(),
                names = quorate_names:new() :: quorate_names:names(),
                waiting = queue:new() :: queue:queue(#item{}),
                active = #{} :: #{reference() => #item{}}}).

%% @doc One that an agent before left behind is on its way out.
-spec start_link(pid()) -> pid().
start_link(Fence) ->
    case gen_server:start_link({local, ?MODULE}, ?MODULE, Fence,
                               [{spawn_opt, [{message_queue_data, off_heap}]}]) of
        {ok, Pid} ->
            Pid;
        {error, {already_started, Old}} ->
            Ref = erlang:monitor(process, Old),
            true = exit(Old, kill),
            receive {'DOWN', Ref, process, Old, _} -> start_link(Fence) end
    end.

%% @doc A process of this node is about to be registered: from now on, its end
%% frees the name, whoever asked for it and whatever becomes of them.
-spec expect(quorate:name(), pid()) -> ok | {error, term()}.
expect(Name, Pid) ->
    call(node(), {expect, Name, Pid}).

%% @doc The process has the name. If its node has no lease for it any more it is
%% not to have it.
-spec keep(quorate:name(), quorate:epoch(), pid()) -> ok | {error, term()}.
keep(Name, Epoch, Pid) ->
    case call(node(Pid), {keep, Name, Epoch, Pid}) of
        ok ->
            case quorate_agent:may_act(node(Pid), Epoch) of
                true -> ok;
                false -> forget(Name, Pid), {error, {badarg, not_a_worker}}
            end;
        {error, Reason} ->
            {error, Reason}
    end.

%% @doc What was expected did not come about.
-spec drop(quorate:name(), pid()) -> ok.
drop(Name, Pid) ->
    gen_server:cast(?MODULE, {drop, Name, Pid}).

%% @doc The process has the name no more.
-spec forget(quorate:name(), pid()) -> ok.
forget(Name, Pid) when is_pid(Pid) ->
    gen_server:cast({?MODULE, node(Pid)}, {forget, Name, Pid}).

%% @doc The names of a process, as its node knows them.
-spec names_of(pid()) -> [quorate:name()].
names_of(Pid) ->
    case call(node(Pid), {names_of, Pid}) of
        Names when is_list(Names) -> Names;
        {error, _} -> []
    end.

-spec init(pid()) -> {ok, #state{}}.
init(Fence) ->
    {ok, #state{fence = Fence}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, term(), #state{}}.
handle_call({expect, Name, Pid}, _, State) ->
    case is_process_alive(Pid) of
        true -> {reply, ok, put_name(Name, expected, Pid, State)};
        false -> {reply, {error, {badarg, not_alive}}, State}
    end;
handle_call({keep, Name, Epoch, Pid}, _, State) ->
    {reply, ok, put_name(Name, Epoch, Pid, State)};
handle_call({names_of, Pid}, _, #state{names = Names} = State) ->
    {reply, [Name || {Name, Epoch} <- quorate_names:of_process(Pid, Names), Epoch =/= expected],
     State};
handle_call(_, _, State) ->
    {reply, {error, unknown}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({forget, Name, Pid}, #state{names = Names} = State) ->
    {noreply, let_go(Pid, quorate_names:remove(Name, Pid, Names), State)};
handle_cast({drop, Name, Pid}, #state{names = Names} = State) ->
    {noreply, let_go(Pid, quorate_names:drop_expected(Name, Pid, Names), State)};
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}}.
handle_info({'DOWN', Ref, process, Pid, Outcome}, #state{names = Names} = State) ->
    case quorate_names:ended(Pid, Ref, Names) of
        {Own, Names1} ->
            ok = quorate_fence:release(State#state.fence, Pid),
            {noreply, free(Pid, Own, State#state{names = Names1})};
        error ->
            {noreply, attempted(Ref, Outcome, State)}
    end;
handle_info({again, Item}, #state{waiting = Waiting} = State) ->
    {noreply, begin_some(State#state{waiting = queue:in(Item, Waiting)})};
handle_info(_, State) ->
    {noreply, State}.

%% Internals: watching

call(Node, Request) ->
    try
        gen_server:call({?MODULE, Node}, Request, ?CALL_MS)
    catch
        exit:_ -> {error, {badarg, not_a_worker}}
    end.

%% The fence knows of the process before anybody can find it.
put_name(Name, Epoch, Pid, #state{names = Names} = State) ->
    case quorate_names:is_watched(Pid, Names) of
        true ->
            State#state{names = quorate_names:put(Name, Epoch, Pid, Names)};
        false ->
            ok = quorate_fence:name(State#state.fence, Pid),
            Watched = quorate_names:watch(Pid, erlang:monitor(process, Pid), Names),
            State#state{names = quorate_names:put(Name, Epoch, Pid, Watched)}
    end.

let_go(_, {used, Names}, State) ->
    State#state{names = Names};
let_go(Pid, {unused, Monitor, Names}, State) ->
    true = erlang:demonitor(Monitor, [flush]),
    ok = quorate_fence:release(State#state.fence, Pid),
    State#state{names = Names}.

%% Internals: freeing

free(Pid, Names, #state{waiting = Waiting} = State) ->
    Items = [item(Name, Epoch, Pid) || {Name, Epoch} <- Names],
    begin_some(State#state{waiting = lists:foldl(fun queue:in/2, Waiting, Items)}).

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

attempted(Ref, Outcome, #state{active = Active} = State) ->
    case maps:take(Ref, Active) of
        {Item, Active1} ->
            ok = attempted(Outcome, Item),
            begin_some(State#state{active = Active1});
        error ->
            State
    end.

attempted({freed, ok}, _) ->
    ok;
attempted({freed, {error, not_found}}, #item{is_expected = false}) ->
    ok;
attempted(_, #item{tries = 0}) ->
    ok;
attempted(_, #item{tries = Tries} = Item) ->
    _ = erlang:send_after(?RETRY_MS, self(), {again, Item#item{tries = Tries - 1}}),
    ok.
