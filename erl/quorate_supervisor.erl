%% SPDX-License-Identifier: Apache-2.0
%% @doc Sandboxes as the children of a supervisor, for those who know those of OTP and
%% Elixir, or that of Horde (docs/moving.md). In Elixir it is `Quorate.Supervisor'.
%%
%% A supervisor is a name for a set of sandboxes, an atom, and they may run on any
%% worker. The process under that name only holds options: it is started on each node
%% that calls {@link start_child/2}, and its end ends no child.
%%
%% A child has an id that is its own in the supervisor, in the whole cluster: any term
%% without funs. Its sandbox has the id `<<"NAME/ID">>', with an id as in
%% {@link quorate_key}, at most 255 bytes in all ({@link sandbox_id/2}).
%%
%% The start function gets the context of the sandbox as its last argument, unless the
%% supervisor has `context => false'.
%%
%% What cannot be known is an error, `no_quorum' for one, and not an empty answer.
-module(quorate_supervisor).
-compile({no_auto_import, [whereis/1]}).

-export([child_spec/1, start_link/1]).
-export([start_child/2, start_child/3, terminate_child/2, which_children/1, count_children/1]).
-export([child/2, whereis/2, sandbox_id/2]).
-export([whereis_name/1, send/2]).
-export([start_without_context/4]).

-export_type([name/0, child_id/0, options/0, child/0, reason/0]).

-type name() :: atom().
-type child_id() :: term().
-type options() :: [{atom(), term()}] | map().
%% `name'; `max_restarts' and `max_seconds', which make the `restarts' of a child;
%% `extra_arguments', which stand before those of a child; `context'; and the options
%% of {@link quorate:create_sandbox/3}.
-type child() :: {child_id(), pid() | restarting | undefined, worker, dynamic}.
-type reason() :: quorate:reason()
                | {badarg, supervisor | no_id | {id, quorate_key:reason()}}.

-define(ID_SIZE_MAX, 255).
-define(SANDBOX_OPTIONS,
        [resources, rf, mode, durability, profile, priority, timeout, conflict, checkpoint,
         restarts]).
-define(OWN_OPTIONS, [name, strategy, max_children, max_restarts, max_seconds, extra_arguments,
                      context]).
-define(RESTARTS_MAX, 3).
-define(RESTARTS_PERIOD_S, 5).

%% @doc For a supervisor of yours; see {@link start_link/1}.
-spec child_spec(options()) -> supervisor:child_spec().
child_spec(Options) ->
    #{id => maps:get(name, to_map(Options), ?MODULE),
      start => {?MODULE, start_link, [Options]}}.

%% @doc Starts the process that holds the options.
-spec start_link(options()) -> gen_server:start_ret() | {error, {badarg, term()}}.
start_link(Options) ->
    case check(maps:to_list(to_map(Options))) of
        ok ->
            case to_map(Options) of
                #{name := Name} = All when is_atom(Name), Name =/= undefined ->
                    quorate_scope:start_link(supervisor, Name, All);
                _ ->
                    {error, {badarg, name}}
            end;
        {error, Reason} ->
            {error, {badarg, Reason}}
    end.

%% @equiv start_child(Supervisor, Spec, #{})
-spec start_child(name(), supervisor:child_spec()) ->
          {ok, pid()} | {error, {already_started, pid()} | already_present | reason()}.
start_child(Supervisor, Spec) -> start_child(Supervisor, Spec, #{}).

%% @doc Starts a child on a worker, and waits until it runs. Options as those of the
%% supervisor, which they go before. `already_started': the id is taken;
%% `already_present': the same, and the child is not running now, because it is being
%% started elsewhere, or could not be ({@link child/2} tells).
-spec start_child(name(), supervisor:child_spec(), options()) ->
          {ok, pid()} | {error, {already_started, pid()} | already_present | reason()}.
start_child(Supervisor, Spec, Options) when is_atom(Supervisor) ->
    Given = to_map(Options),
    case {id(Spec), check(maps:to_list(maps:without([name], Given)))} of
        {{ok, Id}, ok} -> start_child(Supervisor, Id, Spec, Given);
        {{error, Reason}, _} -> {error, {badarg, Reason}};
        {_, {error, Reason}} -> {error, {badarg, Reason}}
    end;
start_child(_, _, _) ->
    {error, {badarg, supervisor}}.

%% @doc Stops a child, given by its id or its process, wherever it runs, and forgets it
%% **and its state**.
-spec terminate_child(name(), child_id() | pid()) -> ok | {error, reason()}.
terminate_child(Supervisor, Pid) when is_pid(Pid) ->
    case sandboxes(Supervisor, #{worker => node(Pid)}) of
        {error, Reason} -> {error, Reason};
        Sandboxes -> stop([Id || #{id := Id, pid := P} <- Sandboxes, P =:= Pid])
    end;
terminate_child(Supervisor, Id) ->
    case sandbox_id(Supervisor, Id) of
        {ok, SandboxId} -> stop([SandboxId]);
        {error, Reason} -> {error, Reason}
    end.

%% @doc `{Id, Pid, worker, dynamic}' of each child, wherever it runs. In place of a
%% process: `restarting', it is being started, or waits for a worker; `undefined', it
%% failed to start. Whether it is a supervisor itself, and of which modules, the
%% members do not know.
-spec which_children(name()) -> [child()] | {error, reason()}.
which_children(Supervisor) ->
    case sandboxes(Supervisor, #{}) of
        {error, Reason} ->
            {error, Reason};
        Sandboxes ->
            Skip = byte_size(prefix(Supervisor)),
            [{quorate_key:decode(binary:part(Id, Skip, byte_size(Id) - Skip)), process(Sandbox),
              worker, dynamic} || #{id := Id} = Sandbox <- Sandboxes]
    end.

%% @doc `specs' and `workers' are all children, `active' those that have a process.
-spec count_children(name()) ->
          #{specs := non_neg_integer(), active := non_neg_integer(),
            supervisors := non_neg_integer(), workers := non_neg_integer()}
        | {error, reason()}.
count_children(Supervisor) ->
    case sandboxes(Supervisor, #{}) of
        {error, Reason} ->
            {error, Reason};
        Sandboxes ->
            Count = length(Sandboxes),
            #{specs => Count, workers => Count, supervisors => 0,
              active => length([Sandbox || Sandbox <- Sandboxes, is_pid(process(Sandbox))])}
    end.

%% @doc The sandbox of a child.
-spec child(name(), child_id()) -> {ok, quorate:sandbox()} | {error, reason()}.
child(Supervisor, Id) ->
    case sandbox_id(Supervisor, Id) of
        {ok, SandboxId} -> quorate:sandbox(SandboxId);
        {error, Reason} -> {error, Reason}
    end.

%% @doc The process of a child, and its epoch, the fencing token.
-spec whereis(name(), child_id()) ->
          {ok, pid(), quorate:epoch()} | {error, not_running | reason()}.
whereis(Supervisor, Id) ->
    case child(Supervisor, Id) of
        {ok, #{pid := Pid, epoch := Epoch}} when is_pid(Pid) -> {ok, Pid, Epoch};
        {ok, _} -> {error, not_running};
        {error, Reason} -> {error, Reason}
    end.

%% @doc The id of a child's sandbox, for the functions of {@link quorate}.
-spec sandbox_id(name(), child_id()) -> {ok, quorate:id()} | {error, reason()}.
sandbox_id(Supervisor, Id) when is_atom(Supervisor) ->
    Prefix = prefix(Supervisor),
    case quorate_key:encode(Id, ?ID_SIZE_MAX - byte_size(Prefix)) of
        {ok, Bytes} -> {ok, <<Prefix/binary, Bytes/binary>>};
        {error, Reason} -> {error, {badarg, {id, Reason}}}
    end;
sandbox_id(_, _) ->
    {error, {badarg, supervisor}}.

%% @doc For `{via, quorate_supervisor, {Supervisor, Id}}', to send and to call; a child has
%% this name without having asked for it.
-spec whereis_name({name(), child_id()}) -> pid() | undefined.
whereis_name({Supervisor, Id}) ->
    case whereis(Supervisor, Id) of
        {ok, Pid, _} -> Pid;
        {error, {badarg, _} = Reason} -> error(Reason);
        {error, _} -> undefined
    end.

%% @doc Exits with `{badarg, {Via, Message}}' if the child does not run.
-spec send({name(), child_id()}, term()) -> pid().
send(Via, Message) ->
    case whereis_name(Via) of
        undefined -> exit({badarg, {Via, Message}});
        Pid -> Pid ! Message, Pid
    end.

%% @private
-spec start_without_context(module(), atom(), [term()], quorate:context()) -> term().
start_without_context(Module, Function, Args, _) -> apply(Module, Function, Args).

%% Internals: options

to_map(Options) when is_list(Options) -> maps:from_list(Options);
to_map(Options) -> Options.

check([]) -> ok;
check([{Key, Value} | Rest]) ->
    case lists:member(Key, ?OWN_OPTIONS ++ ?SANDBOX_OPTIONS) of
        false -> {error, {unknown_option, Key}};
        true -> case is_option(Key, Value) of
                    true -> check(Rest);
                    false -> {error, Key}
                end
    end.

%% Those of sandboxes are checked by the member.
is_option(name, _) -> true;
is_option(strategy, Value) -> Value =:= one_for_one;
is_option(max_children, Value) -> Value =:= infinity;
is_option(max_restarts, Value) -> is_integer(Value) andalso Value >= 0;
is_option(max_seconds, Value) -> is_integer(Value) andalso Value > 0;
is_option(extra_arguments, Value) -> is_list(Value);
is_option(context, Value) -> is_boolean(Value);
is_option(restarts, Value) -> is_map(Value);
is_option(_, _) -> true.

%% Internals: children

id(#{id := Id}) -> {ok, Id};
id({Id, _, _, _, _, _}) -> {ok, Id};
id(_) -> {error, no_id}.

start_child(Supervisor, Id, Spec, Given) ->
    case {quorate_scope:options(supervisor, Supervisor), sandbox_id(Supervisor, Id),
          quorate_spec:parse(with_restart(Spec))} of
        {{ok, Own}, {ok, SandboxId}, {ok, Child}} ->
            Options = maps:merge(Own, Given),
            started(quorate:create_sandbox(SandboxId, start_with(Options, Child),
                                           sandbox_options(Options)));
        {{error, Reason}, _, _} -> {error, Reason};
        {_, {error, Reason}, _} -> {error, Reason};
        {_, _, {error, Reason}} -> {error, {badarg, Reason}}
    end.

%% As all supervisors have it.
with_restart(#{} = Spec) -> maps:merge(#{restart => permanent}, Spec);
with_restart(Spec) -> Spec.

start_with(Options, #{start := {M, F, Args}} = Child) ->
    All = maps:get(extra_arguments, Options, []) ++ Args,
    case Options of
        #{context := false} ->
            Child#{start := {?MODULE, start_without_context, [M, F, All]}};
        #{} ->
            Child#{start := {M, F, All}}
    end.

sandbox_options(Options) ->
    Restarts = case Options of
                   #{restarts := _} -> #{};
                   #{} -> restarts(maps:with([max_restarts, max_seconds], Options))
               end,
    maps:merge(Restarts, maps:with(?SANDBOX_OPTIONS, Options)).

restarts(Given) when map_size(Given) =:= 0 ->
    #{};
restarts(Given) ->
    #{restarts => #{max => maps:get(max_restarts, Given, ?RESTARTS_MAX),
                    period => 1000 * maps:get(max_seconds, Given, ?RESTARTS_PERIOD_S)}}.

started({ok, #{pid := Pid}}) when is_pid(Pid) -> {ok, Pid};
started({error, {already_exists, #{pid := Pid}}}) when is_pid(Pid) ->
    {error, {already_started, Pid}};
started({error, {already_exists, _}}) -> {error, already_present};
started({error, Reason}) -> {error, Reason}.

stop([]) -> {error, not_found};
stop([SandboxId | _]) -> quorate:stop_sandbox(SandboxId).

sandboxes(Supervisor, Filter) when is_atom(Supervisor) ->
    quorate_pages:sandboxes(prefix(Supervisor), Filter);
sandboxes(_, _) ->
    {error, {badarg, supervisor}}.

prefix(Supervisor) -> <<(quorate_scope:text(Supervisor))/binary, "/">>.

process(#{status := starting}) -> restarting;
process(#{status := unplaced}) -> restarting;
process(#{pid := Pid}) -> Pid.
