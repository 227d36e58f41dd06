%% SPDX-License-Identifier: Apache-2.0
%% @doc The group leader of one sandbox. It passes output on to the group
%% leader that it was started under; what it is there for is that every process
%% of the sandbox carries it, see {@link quorate_local}.
-module(quorate_sandbox_io).

-export([start/0]).
-export([loop/1]).

%% @doc Not linked: whoever starts it ends it.
-spec start() -> pid().
start() ->
    proc_lib:spawn(?MODULE, loop, [group_leader()]).

-spec loop(pid()) -> no_return().
loop(Above) ->
    receive
        {io_request, _, _, _} = Request ->
            Above ! Request,
            ?MODULE:loop(Above);
        _ ->
            ?MODULE:loop(Above)
    end.
