%% SPDX-License-Identifier: Apache-2.0
%% @doc Registers a process under a name and frees names again: what runs in the
%% process that asks for it. The name keeper of the process's node
%% ({@link quorate_namekeeper}) hears of it before the member does.
-module(quorate_naming).

-export([register/3, unregister/2, if_alive/1]).

-define(TIMEOUT_MS, 5000).

%% @doc See {@link quorate:register/3}.
-spec register(quorate:name(), pid(), map()) ->
          quorate:result(quorate:epoch()) | {error, {badarg, not_a_worker | not_alive}}.
register(Name, Pid, Meta) ->
    %% All that is asked for it together has one deadline.
    Until = erlang:monotonic_time(millisecond) + ?TIMEOUT_MS,
    case register_once(Name, Pid, Meta, Until) of
        {error, {already_exists, Other}} when node(Other) =:= node() ->
            instead(is_process_alive(Other), Name, Other, {Pid, Meta}, Until);
        Answer ->
            Answer
    end.

%% @doc See {@link quorate:unregister/2}.
-spec unregister(quorate:name(), pid()) -> ok | {error, quorate:reason()}.
unregister(Name, Pid) ->
    unregister(Name, Pid, ?TIMEOUT_MS).

unregister(Name, Pid, Timeout) ->
    case free(Name, Pid, Timeout) of
        {error, Reason} when Reason =/= not_found ->
            {error, Reason};
        Answer ->
            ok = quorate_namekeeper:forget(Name, Pid),
            Answer
    end.

%% @doc Of a process elsewhere nobody can say at once.
-spec if_alive(pid()) -> pid() | undefined.
if_alive(Pid) when node(Pid) =/= node() -> Pid;
if_alive(Pid) ->
    case is_process_alive(Pid) of
        true -> Pid;
        false -> undefined
    end.

%% Internals

%% A child that is started again at once finds the name of the run before: that one
%% has ended, and its name is about to be freed.
instead(true, _, Other, _, _) ->
    {error, {already_exists, Other}};
instead(false, Name, Other, {Pid, Meta}, Until) ->
    case unregister(Name, Other, left(Until)) of
        {error, Reason} when Reason =/= not_found -> {error, Reason};
        _ -> register_once(Name, Pid, Meta, Until)
    end.

register_once(Name, Pid, Meta, Until) when node(Pid) =:= node() ->
    case quorate_namekeeper:expect(Name, Pid) of
        ok -> registered(ask(Name, Pid, Meta, Until), Name, Pid, Until);
        {error, Reason} -> {error, Reason}
    end;
register_once(Name, Pid, Meta, Until) ->
    registered(ask(Name, Pid, Meta, Until), Name, Pid, Until).

ask(Name, Pid, Meta, Until) ->
    quorate_call:once(consistency_manager, register, [Name, Pid, Meta], left(Until)).

free(Name, Pid, Timeout) ->
    quorate_call:repeatable(consistency_manager, unregister, [Name, Pid], Timeout).

left(Until) ->
    max(1, Until - erlang:monotonic_time(millisecond)).

%% After a timeout the name may come yet: its process is watched on.
registered({ok, Epoch}, Name, Pid, Until) ->
    keep(Name, Epoch, Pid, Until);
registered({error, timeout}, _, _, _) ->
    {error, timeout};
registered({error, Reason}, Name, Pid, _) ->
    ok = quorate_namekeeper:drop(Name, Pid),
    {error, Reason}.

%% A name that the name keeper of its node does not know would not be freed when the
%% process ends, nor the process killed when the lease does. Where no time is left to
%% free it, it goes with its lease.
keep(Name, Epoch, Pid, Until) ->
    case quorate_namekeeper:keep(Name, Epoch, Pid) of
        ok ->
            {ok, Epoch};
        {error, Reason} ->
            _ = free(Name, Pid, left(Until)),
            {error, Reason}
    end.
