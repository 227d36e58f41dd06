%% SPDX-License-Identifier: Apache-2.0
%% @doc The group leader of one sandbox. It passes output on to the group
%% leader that it was started under; what it is there for is that every process
%% of the sandbox carries it, see {@link quorate_local}.
-module(quorate_sandbox_io).

-export([start/0, sweep/2]).
-export([loop/1]).

-define(PATIENCE_MS, 500).

%% @doc Not linked: whoever starts it ends it.
-spec start() -> pid().
start() ->
    proc_lib:spawn(?MODULE, loop, [group_leader()]).

%% @doc Kills all processes of this group leader and those that come from
%% `Roots', at once and without a word, other than the calling one; returns when
%% none is left. One that hangs in native code is waited for a moment; it dies
%% when it comes back. The leader itself stays.
-spec sweep(pid(), [pid()]) -> ok.
sweep(Leader, Roots) ->
    _ = quorate_reaper:reap([{Roots, Leader}], [], ?PATIENCE_MS),
    ok.

-spec loop(pid()) -> no_return().
loop(Above) ->
    receive
        {io_request, _, _, _} = Request ->
            Above ! Request,
            ?MODULE:loop(Above);
        _ ->
            ?MODULE:loop(Above)
    end.
