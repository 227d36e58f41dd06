%% SPDX-License-Identifier: Apache-2.0
%% @doc The group leader of one sandbox. It passes output on to the group
%% leader that it was started under; what it is there for is that every process
%% of the sandbox carries it, see {@link quorate_local}.
-module(quorate_sandbox_io).

-export([start/0, sweep/1]).
-export([loop/1]).

%% New processes can appear while the old ones are being killed.
-define(ROUNDS_MAX, 100).

%% @doc Not linked: whoever starts it ends it.
-spec start() -> pid().
start() ->
    proc_lib:spawn(?MODULE, loop, [group_leader()]).

%% @doc Kills all processes under these group leaders, at once and without a
%% word, other than the calling one; returns when none is left. The leaders
%% themselves stay.
-spec sweep([pid()]) -> ok.
sweep([]) ->
    ok;
sweep(Leaders) ->
    sweep(maps:from_keys(Leaders, true), ?ROUNDS_MAX).

-spec loop(pid()) -> no_return().
loop(Above) ->
    receive
        {io_request, _, _, _} = Request ->
            Above ! Request,
            ?MODULE:loop(Above);
        _ ->
            ?MODULE:loop(Above)
    end.

%% Internals

sweep(_, 0) ->
    ok;
sweep(Leaders, Rounds) ->
    case [Pid || Pid <- processes(), Pid =/= self(), has_leader(Pid, Leaders)] of
        [] ->
            ok;
        Found ->
            lists:foreach(fun(Pid) -> true = exit(Pid, kill) end, Found),
            sweep(Leaders, Rounds - 1)
    end.

has_leader(Pid, Leaders) ->
    case process_info(Pid, group_leader) of
        {group_leader, Leader} -> is_map_key(Leader, Leaders);
        undefined -> false
    end.
