%% SPDX-License-Identifier: Apache-2.0
%% @doc Names with keys and values, for those who know the `Registry' of Elixir or that
%% of Horde (docs/moving.md). In Elixir it is `Quorate.Registry'.
%%
%% ```
%%   {via, quorate_registry, {my_registry, Key}}
%%   {via, quorate_registry, {my_registry, Key, Value}}
%% '''
%%
%% A registry is a name for a set of keys, an atom; whoever names it uses it. A key is
%% any term without funs; beside the name of the registry there is room for some 220
%% bytes of it (255 for both). A value has at most 16 KiB. One process for each key:
%% these are the names of {@link quorate:register/3}, `{quorate_registry, Registry,
%% Key}' with a key as in {@link quorate_key}, and what is true for those is true here.
%%
%% What cannot be known is an error, `no_quorum' for one, and not an empty answer.
-module(quorate_registry).
-compile({no_auto_import, [register/2, unregister/1, whereis/1]}).

-export([child_spec/1, start_link/1]).
-export([register/3, unregister/2, lookup/2, whereis/2, keys/2, values/3, count/1, select/2]).
-export([register_name/2, whereis_name/1, unregister_name/1, send/2]).

-export_type([registry/0, key/0, options/0, reason/0]).

-type registry() :: atom().
-type key() :: term().
-type options() :: [{atom(), term()}] | map().
-type reason() :: quorate:reason()
                | {badarg, registry | {key, quorate_key:reason()} | not_a_worker | not_alive}.

-define(NAME_SIZE_MAX, 255).

%% @doc For a supervisor of yours; see {@link start_link/1}.
-spec child_spec(options()) -> supervisor:child_spec().
child_spec(Options) ->
    #{id => maps:get(name, to_map(Options), ?MODULE),
      start => {?MODULE, start_link, [Options]}}.

%% @doc A process under the name of the registry, as other registries have one. Ours
%% needs none. Options: `name', an atom; `keys', which are `unique'.
-spec start_link(options()) ->
          gen_server:start_ret() | {error, {badarg, name | keys | {unknown_option, term()}}}.
start_link(Options) ->
    case maps:merge(#{keys => unique}, to_map(Options)) of
        #{name := Name, keys := unique} = All
          when is_atom(Name), Name =/= undefined, map_size(All) =:= 2 ->
            quorate_scope:start_link(registry, Name, All);
        #{name := Name, keys := unique} = All when is_atom(Name), Name =/= undefined ->
            [Unknown | _] = maps:keys(maps:without([name, keys], All)),
            {error, {badarg, {unknown_option, Unknown}}};
        #{keys := Keys} when Keys =/= unique ->
            {error, {badarg, keys}};
        _ ->
            {error, {badarg, name}}
    end.

%% @doc Registers the calling process. The same once more changes nothing, not the value
%% either.
-spec register(registry(), key(), term()) ->
          {ok, pid()} | {error, {already_registered, pid()} | reason()}.
register(Registry, Key, Value) ->
    case name(Registry, Key) of
        {ok, Name} -> registered(quorate:register(Name, self(), #{value => Value}));
        {error, Reason} -> {error, Reason}
    end.

%% @doc Frees a key of the calling process; `ok' also if it has it not.
-spec unregister(registry(), key()) -> ok | {error, reason()}.
unregister(Registry, Key) ->
    case name(Registry, Key) of
        {ok, Name} -> unregistered(quorate:unregister(Name, self()));
        {error, Reason} -> {error, Reason}
    end.

%% @doc `[{Pid, Value}]', or `[]' if nobody has the key.
-spec lookup(registry(), key()) -> [{pid(), term()}] | {error, reason()}.
lookup(Registry, Key) ->
    case entry(Registry, Key) of
        {ok, #{pid := Pid} = Entry} ->
            [{P, value(Entry)} || P <- [quorate_naming:if_alive(Pid)], P =/= undefined];
        {error, not_found} -> [];
        {error, Reason} -> {error, Reason}
    end.

%% @doc The process that has the key and the epoch, its fencing token.
-spec whereis(registry(), key()) -> {ok, pid(), quorate:epoch()} | {error, reason()}.
whereis(Registry, Key) ->
    case name(Registry, Key) of
        {ok, Name} -> quorate:whereis(Name);
        {error, Reason} -> {error, Reason}
    end.

%% @doc The keys of a process.
-spec keys(registry(), pid()) -> [key()] | {error, reason()}.
keys(Registry, Pid) when is_pid(Pid) ->
    case entries(Registry, #{worker => node(Pid)}) of
        {error, Reason} -> {error, Reason};
        Entries -> [key(Entry) || #{pid := P} = Entry <- Entries, P =:= Pid]
    end;
keys(_, _) ->
    {error, {badarg, pid}}.

%% @doc The value of a key, if this process has it: `[Value]' or `[]'.
-spec values(registry(), key(), pid()) -> [term()] | {error, reason()}.
values(Registry, Key, Pid) when is_pid(Pid) ->
    case lookup(Registry, Key) of
        {error, Reason} -> {error, Reason};
        Found -> [Value || {P, Value} <- Found, P =:= Pid]
    end;
values(_, _, _) ->
    {error, {badarg, pid}}.

%% @doc How many keys there are.
-spec count(registry()) -> non_neg_integer() | {error, reason()}.
count(Registry) ->
    case entries(Registry, #{}) of
        {error, Reason} -> {error, Reason};
        Entries -> length(Entries)
    end.

%% @doc What a match specification, as {@link ets:select/2} takes it, makes of all
%% `{Key, Pid, Value}'.
-spec select(registry(), ets:match_spec()) -> [term()] | {error, reason()}.
select(Registry, Spec) ->
    case compile(Spec) of
        {ok, Compiled} -> select_compiled(Registry, Compiled);
        {error, Reason} -> {error, Reason}
    end.

%% @doc For `via'. `no': somebody has the key, or nothing can be said without a quorum.
%% An exception if it is no key.
-spec register_name({registry(), key()} | {registry(), key(), term()}, pid()) -> yes | no.
register_name({Registry, Key}, Pid) ->
    register_name({Registry, Key, undefined_value()}, Pid);
register_name({Registry, Key, Value}, Pid) ->
    case quorate:register(name_or_error(Registry, Key), Pid, #{value => Value}) of
        {ok, _} -> yes;
        {error, _} -> no
    end.

-spec whereis_name({registry(), key()} | {registry(), key(), term()}) -> pid() | undefined.
whereis_name(Via) ->
    quorate:whereis_name(name_of(Via)).

-spec unregister_name({registry(), key()} | {registry(), key(), term()}) -> ok.
unregister_name(Via) ->
    quorate:unregister_name(name_of(Via)).

%% @doc Exits with `{badarg, {Via, Message}}' if nobody has the key.
-spec send({registry(), key()} | {registry(), key(), term()}, term()) -> pid().
send(Via, Message) ->
    case whereis_name(Via) of
        undefined -> exit({badarg, {Via, Message}});
        Pid -> Pid ! Message, Pid
    end.

%% Internals

to_map(Options) when is_list(Options) -> maps:from_list(Options);
to_map(Options) -> Options.

%% As Elixir's registry has it, where no value is given.
undefined_value() -> nil.

name(Registry, Key) when is_atom(Registry) ->
    Rest = external({?MODULE, Registry, <<>>}),
    case quorate_key:encode(Key, ?NAME_SIZE_MAX - Rest) of
        {ok, Bytes} -> {ok, {?MODULE, Registry, Bytes}};
        {error, Reason} -> {error, {badarg, {key, Reason}}}
    end;
name(_, _) ->
    {error, {badarg, registry}}.

%% Without the byte in front of the whole.
external(Term) -> byte_size(term_to_binary(Term, [{minor_version, 2}])) - 1.

name_of({Registry, Key}) -> name_or_error(Registry, Key);
name_of({Registry, Key, _}) -> name_or_error(Registry, Key);
name_of(Via) -> error({badarg, {registry, Via}}).

name_or_error(Registry, Key) ->
    case name(Registry, Key) of
        {ok, Name} -> Name;
        {error, Reason} -> error(Reason)
    end.

registered({ok, _}) -> {ok, self()};
registered({error, {already_exists, Pid}}) -> {error, {already_registered, Pid}};
registered({error, {badarg, meta}}) -> {error, {badarg, value}};
registered({error, {badarg, {equal_keys, meta}}}) -> {error, {badarg, value}};
registered({error, Reason}) -> {error, Reason}.

unregistered({error, not_found}) -> ok;
unregistered(Answer) -> Answer.

entry(Registry, Key) ->
    case name(Registry, Key) of
        {ok, Name} -> quorate:lookup(Name);
        {error, Reason} -> {error, Reason}
    end.

entries(Registry, Filter) when is_atom(Registry) ->
    quorate_pages:names({?MODULE, Registry}, Filter);
entries(_, _) ->
    {error, {badarg, registry}}.

key(#{name := {_, _, Bytes}}) -> quorate_key:decode(Bytes).

%% One that was registered by other means has none.
value(#{meta := #{value := Value}}) -> Value;
value(_) -> undefined_value().

compile(Spec) ->
    try
        {ok, ets:match_spec_compile(Spec)}
    catch
        error:badarg -> {error, {badarg, match_spec}}
    end.

select_compiled(Registry, Compiled) ->
    case entries(Registry, #{}) of
        {error, Reason} ->
            {error, Reason};
        Entries ->
            All = [{key(Entry), Pid, value(Entry)} || #{pid := Pid} = Entry <- Entries],
            ets:match_spec_run(All, Compiled)
    end.
