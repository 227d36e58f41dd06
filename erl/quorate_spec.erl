%% SPDX-License-Identifier: Apache-2.0
%% @doc What a user gives as the specification of a sandbox, taken apart.
%%
%% A specification is a child specification as supervisors know it (map or
%% tuple), or just `{Module, Function, Args}'. The function is called with one
%% more argument at the end: the context of the sandbox.
-module(quorate_spec).

-export([parse/1, checkpoint/1, restarts/1, restarts/2]).

-export_type([child/0, checkpoint/0, restarts/0, reason/0]).

-type child() :: #{start := {module(), atom(), [term()]},
                   restart := permanent | transient | temporary,
                   shutdown := brutal_kill | timeout(),
                   type := worker | supervisor}.
-type checkpoint() :: #{interval := pos_integer(),
                        callback := {module(), atom()} | get_state}.
-type restarts() :: {Max :: non_neg_integer(), PeriodMs :: pos_integer()}.
-type reason() :: {bad_spec, term()}.

-define(CHECKPOINT_INTERVAL_MS, 30000).
-define(WORKER_SHUTDOWN_MS, 5000).
-define(RESTARTS_MAX, 3).
-define(RESTARTS_PERIOD_MS, 5000).
-define(RESTARTS_MAX_MAX, 1000).

%% @doc The parts of a specification. Unless it says otherwise a child is
%% `transient': one that ends normally has done its work.
-spec parse(term()) -> {ok, child()} | {error, reason()}.
parse(#{start := Start} = Map) ->
    Type = maps:get(type, Map, worker),
    check(#{start => Start, type => Type,
            restart => maps:get(restart, Map, transient),
            shutdown => maps:get(shutdown, Map, shutdown(Type))});
parse({_, Start, Restart, Shutdown, Type, _}) ->
    check(#{start => Start, type => Type, restart => Restart,
            shutdown => Shutdown});
parse({Module, Function, Args}) ->
    parse(#{start => {Module, Function, Args}});
parse(Other) ->
    {error, {bad_spec, Other}}.

%% @doc The checkpoint settings in the options of a sandbox.
-spec checkpoint(term()) -> {ok, checkpoint() | none} | {error, reason()}.
checkpoint(#{checkpoint := #{} = Checkpoint}) ->
    Defaults = #{interval => ?CHECKPOINT_INTERVAL_MS, callback => get_state},
    check_checkpoint(Checkpoint, maps:merge(Defaults, Checkpoint));
checkpoint(#{checkpoint := Other}) ->
    {error, {bad_spec, {checkpoint, Other}}};
checkpoint(_) ->
    {ok, none}.

%% @doc How often, in what time, a child that fails is started again where it is.
-spec restarts(term()) -> {ok, restarts()} | {error, reason()}.
restarts(#{restarts := Given}) when is_map(Given) ->
    case maps:merge(#{max => ?RESTARTS_MAX, period => ?RESTARTS_PERIOD_MS}, Given) of
        #{max := Max, period := Period} = All
          when map_size(All) =:= 2, is_integer(Max), Max >= 0, Max =< ?RESTARTS_MAX_MAX,
               is_integer(Period), Period > 0 ->
            {ok, {Max, Period}};
        _ ->
            {error, {bad_spec, {restarts, Given}}}
    end;
restarts(#{restarts := Given}) ->
    {error, {bad_spec, {restarts, Given}}};
restarts(_) ->
    {ok, {?RESTARTS_MAX, ?RESTARTS_PERIOD_MS}}.

%% @doc Whether a child that ended with this reason is to be started again.
-spec restarts(permanent | transient | temporary, term()) -> boolean().
restarts(permanent, _) -> true;
restarts(temporary, _) -> false;
restarts(transient, normal) -> false;
restarts(transient, shutdown) -> false;
restarts(transient, {shutdown, _}) -> false;
restarts(transient, _) -> true.

%% Internals

shutdown(supervisor) -> infinity;
shutdown(_) -> ?WORKER_SHUTDOWN_MS.

check(#{start := {M, F, A}, restart := Restart, shutdown := Shutdown, type := Type} = Child)
  when is_atom(M), is_atom(F), is_list(A),
       (Restart =:= permanent orelse Restart =:= transient orelse Restart =:= temporary),
       (Shutdown =:= brutal_kill orelse Shutdown =:= infinity
        orelse (is_integer(Shutdown) andalso Shutdown >= 0)),
       (Type =:= worker orelse Type =:= supervisor) ->
    {ok, Child};
check(Child) ->
    {error, {bad_spec, Child}}.

check_checkpoint(Given, #{interval := Interval, callback := Callback} = Checkpoint)
  when map_size(Checkpoint) =:= 2, is_integer(Interval), Interval > 0 ->
    case Callback of
        {M, F} when is_atom(M), is_atom(F) -> {ok, Checkpoint};
        get_state -> {ok, Checkpoint};
        _ -> {error, {bad_spec, {checkpoint, Given}}}
    end;
check_checkpoint(Given, _) ->
    {error, {bad_spec, {checkpoint, Given}}}.
