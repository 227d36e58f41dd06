%% SPDX-License-Identifier: Apache-2.0
%% @doc What every process of this node may read without asking the agent: the
%% members to call, and which sandbox a process belongs to.
%%
%% One table, owned by the supervisor so that it outlives the agent, written by
%% the agent alone:
%%
%% ```
%%   members                 the nodes to call, best first
%%   {leader, GroupLeader}   Id, Epoch of the sandbox whose processes have it
%%   {id, Id}                Epoch, GroupLeader, its process, its numbering
%% '''
%%
%% Each sandbox has a group leader of its own, and processes inherit it from
%% whoever spawns them: so any process of the sandbox knows where it belongs,
%% and none is overlooked when all of them must end.
-module(quorate_local).

-export([new/0, members/0, put_members/1, add/4, delete/2, list/0, context/1,
         next_seq/2]).

-export_type([row/0]).

-type row() :: #{id := quorate:id(), epoch := quorate:epoch(), leader := pid(),
                 sandbox := pid()}.

-define(TABLE, quorate_local).

%% @doc Makes the table; the calling process owns it.
-spec new() -> ok.
new() ->
    ?TABLE = ets:new(?TABLE, [named_table, public, {read_concurrency, true}]),
    ok.

%% @doc The members to call, best first; none if Quorate does not run here.
-spec members() -> [node()].
members() ->
    case lookup(members) of
        [{_, Members}] -> Members;
        [] -> []
    end.

-spec put_members([node()]) -> ok.
put_members(Members) ->
    true = ets:insert(?TABLE, {members, Members}),
    ok.

%% @doc A sandbox begins; its own writes are numbered from 1.
-spec add(quorate:id(), quorate:epoch(), pid(), pid()) -> ok.
add(Id, Epoch, Leader, Sandbox) ->
    Numbering = atomics:new(1, [{signed, false}]),
    true = ets:insert(?TABLE, [{{leader, Leader}, Id, Epoch},
                               {{id, Id}, Epoch, Leader, Sandbox, Numbering}]),
    ok.

%% @doc It has ended, with all its processes.
-spec delete(quorate:id(), pid()) -> ok.
delete(Id, Leader) ->
    true = ets:delete(?TABLE, {leader, Leader}),
    true = ets:match_delete(?TABLE, {{id, Id}, '_', Leader, '_', '_'}),
    ok.

-spec list() -> [row()].
list() ->
    [#{id => Id, epoch => Epoch, leader => Leader, sandbox => Sandbox}
     || {{id, Id}, Epoch, Leader, Sandbox, _} <- ets:tab2list(?TABLE)].

%% @doc Which sandbox the processes with this group leader belong to.
-spec context(pid()) -> {ok, quorate:id(), quorate:epoch()} | error.
context(Leader) ->
    case lookup({leader, Leader}) of
        [{_, Id, Epoch}] -> {ok, Id, Epoch};
        [] -> error
    end.

%% @doc The number of the next write under this epoch, if it runs here.
-spec next_seq(quorate:any_id(), quorate:epoch()) -> {ok, pos_integer()} | error.
next_seq(Id, Epoch) when is_binary(Id) ->
    case lookup({id, Id}) of
        [{_, Epoch, _, _, Numbering}] -> {ok, atomics:add_get(Numbering, 1, 1)};
        _ -> error
    end;
next_seq(Id, Epoch) when is_atom(Id) ->
    next_seq(atom_to_binary(Id), Epoch);
next_seq(Id, Epoch) ->
    case is_list(Id) andalso unicode:characters_to_binary(Id) of
        Binary when is_binary(Binary) -> next_seq(Binary, Epoch);
        _ -> error
    end.

%% Internals

lookup(Key) ->
    case ets:whereis(?TABLE) of
        undefined -> [];
        Table -> lookup(Table, Key)
    end.

%% The table may go between the two calls, when the application stops.
lookup(Table, Key) ->
    try
        ets:lookup(Table, Key)
    catch
        error:badarg -> []
    end.
