%% SPDX-License-Identifier: Apache-2.0
%% A sandbox that will not end: its processes trap exits, nobody is linked to
%% some of them, and one has taken another group leader. The processes are told
%% by the start function's process, see pids/1.
-module(ct_stubborn).

-export([spec/0, start_link/1, pids/1, stay/0]).

spec() ->
    #{id => stubborn, start => {?MODULE, start_link, []}, restart => permanent,
      shutdown => infinity, type => supervisor}.

start_link(_) ->
    {ok, proc_lib:spawn_link(fun() ->
        process_flag(trap_exit, true),
        Linked = spawn_link(?MODULE, stay, []),
        Loose = spawn(?MODULE, stay, []),
        Elsewhere = spawn(fun() -> true = group_leader(whereis(init), self()), stay() end),
        Nested = spawn(fun() ->
            true = group_leader(whereis(init), self()),
            process_flag(trap_exit, true),
            Inner = spawn(?MODULE, stay, []),
            receive {pids, From} -> From ! {inner, [self(), Inner]} end,
            stay()
        end),
        Nested ! {pids, self()},
        receive {inner, Inner} -> serve([self(), Linked, Loose, Elsewhere | Inner]) end
    end)}.

%% All its processes.
pids(Pid) ->
    Pid ! {pids, self()},
    receive {Pid, Pids} -> Pids end.

serve(Pids) ->
    receive
        {pids, From} -> From ! {self(), Pids};
        _ -> ok
    end,
    serve(Pids).

stay() ->
    _ = process_flag(trap_exit, true),
    receive _ -> ?MODULE:stay() end.
