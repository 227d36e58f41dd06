%% SPDX-License-Identifier: Apache-2.0
%% A sandbox that does nothing.
-module(bench_sandbox).

-export([start_link/1]).

-spec start_link(map()) -> {ok, pid()}.
start_link(_Context) ->
    {ok, spawn_link(fun() ->
        receive
            stop -> ok
        end
    end)}.
