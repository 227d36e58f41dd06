%% SPDX-License-Identifier: Apache-2.0
%% @doc The processes of this node that have names in the cluster. Pure.
%%
%% A name is `expected' from before its registration is sent until the answer is
%% known: whoever sends it may end in between, and the name must not outlive the
%% process. One monitor watches a process, however many names it has, and only
%% with the last of them it is let go.
-module(quorate_names).

-export([new/0, is_watched/2, watch/3, put/4, drop_expected/3, remove/3, ended/3, of_process/2]).

-export_type([names/0, epoch/0]).

-type epoch() :: quorate:epoch() | expected.
-opaque names() :: #{pid() => {reference(), #{quorate:name() => epoch()}}}.

-spec new() -> names().
new() -> #{}.

-spec is_watched(pid(), names()) -> boolean().
is_watched(Pid, Names) -> is_map_key(Pid, Names).

%% @doc A process that is monitored from now on; its first name follows.
-spec watch(pid(), reference(), names()) -> names().
watch(Pid, Monitor, Names) -> Names#{Pid => {Monitor, #{}}}.

%% @doc A name of a process that is watched. What is registered is not expected
%% any more, and not again because somebody registers it once more.
-spec put(quorate:name(), epoch(), pid(), names()) -> names().
put(Name, Epoch, Pid, Names) ->
    #{Pid := {Monitor, Own}} = Names,
    case Own of
        #{Name := _} when Epoch =:= expected -> Names;
        #{} -> Names#{Pid := {Monitor, Own#{Name => Epoch}}}
    end.

%% @doc A registration that did not come about: `unused' if that was the last.
-spec drop_expected(quorate:name(), pid(), names()) ->
          {unused, reference(), names()} | {used, names()}.
drop_expected(Name, Pid, Names) ->
    case Names of
        #{Pid := {_, #{Name := expected}}} -> remove(Name, Pid, Names);
        #{} -> {used, Names}
    end.

%% @doc A name that is free again.
-spec remove(quorate:name(), pid(), names()) -> {unused, reference(), names()} | {used, names()}.
remove(Name, Pid, Names) ->
    case Names of
        #{Pid := {Monitor, #{Name := _} = Own}} when map_size(Own) =:= 1 ->
            {unused, Monitor, maps:remove(Pid, Names)};
        #{Pid := {Monitor, Own}} ->
            {used, Names#{Pid := {Monitor, maps:remove(Name, Own)}}};
        #{} ->
            {used, Names}
    end.

%% @doc A process has ended, by its monitor: the names that it had.
-spec ended(pid(), reference(), names()) -> {[{quorate:name(), epoch()}], names()} | error.
ended(Pid, Monitor, Names) ->
    case Names of
        #{Pid := {Monitor, Own}} -> {maps:to_list(Own), maps:remove(Pid, Names)};
        #{} -> error
    end.

-spec of_process(pid(), names()) -> [{quorate:name(), epoch()}].
of_process(Pid, Names) ->
    case Names of
        #{Pid := {_, Own}} -> maps:to_list(Own);
        #{} -> []
    end.
