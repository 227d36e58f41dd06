%% SPDX-License-Identifier: Apache-2.0
%% @doc Speaks for the agent. A sender to a busy connection has to wait, and the
%% agent must not, so this process does. What is late then is harmless: it carries
%% its clock.
-module(quorate_mouth).

-export([start_link/0, say/3, flush/1]).
-export([init/0]).

-define(FLUSH_MS, 1000).

-spec start_link() -> pid().
start_link() ->
    proc_lib:spawn_opt(?MODULE, init, [], [link, {priority, high}]).

%% @doc To a registered process of another node, in the order of the calls.
-spec say(pid(), {atom(), node()}, term()) -> ok.
say(Mouth, To, Message) ->
    Mouth ! {to, To, Message},
    ok.

%% @doc Waits until all has been said, but not for long.
-spec flush(pid()) -> ok.
flush(Mouth) ->
    Ref = erlang:monitor(process, Mouth),
    Mouth ! {flush, self(), Ref},
    receive
        {flushed, Ref} -> true = erlang:demonitor(Ref, [flush]), ok;
        {'DOWN', Ref, process, Mouth, _} -> ok
    after ?FLUSH_MS ->
        true = erlang:demonitor(Ref, [flush]),
        ok
    end.

%% @private
-spec init() -> no_return().
init() ->
    receive
        {to, To, Message} -> _ = erlang:send(To, Message);
        {flush, From, Ref} -> From ! {flushed, Ref};
        _ -> ok
    end,
    ?MODULE:init().
