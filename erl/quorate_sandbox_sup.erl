%% SPDX-License-Identifier: Apache-2.0
%% @doc Holds the sandboxes of this node. It restarts none: that is for each
%% sandbox itself, and then for the cluster.
-module(quorate_sandbox_sup).
-behaviour(supervisor).

-export([start_link/0, start_sandbox/1]).
-export([init/1]).

-spec start_link() -> {ok, pid()} | {error, term()} | ignore.
start_link() ->
    supervisor:start_link({local, ?MODULE}, ?MODULE, []).

%% @doc Returns at once; what becomes of it, the sandbox tells its agent.
-spec start_sandbox(quorate_sandbox:arguments()) -> {ok, pid()} | {error, term()}.
start_sandbox(Arguments) ->
    case supervisor:start_child(?MODULE, [Arguments]) of
        {ok, Pid} when is_pid(Pid) -> {ok, Pid};
        {error, Reason} -> {error, Reason}
    end.

-spec init([]) -> {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init([]) ->
    {ok, {#{strategy => simple_one_for_one},
          [#{id => quorate_sandbox, start => {quorate_sandbox, start_link, []},
             restart => temporary, shutdown => brutal_kill}]}}.
