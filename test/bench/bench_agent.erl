%% SPDX-License-Identifier: Apache-2.0
%% An agent that runs nothing: it attaches, keeps its lease, and says `started`
%% to every order at once. For measuring members without paying for workers.
-module(bench_agent).

-export([start/1]).

%% Returns when the lease is granted.
-spec start(node()) -> pid().
start(Member) ->
    Self = self(),
    Pid = spawn_link(fun() -> init(Member, Self) end),
    receive
        {Pid, attached} -> Pid
    after 10000 -> throw({failed, "the bench's agent was not attached"})
    end.

init(Member, Parent) ->
    Incarnation = crypto_free_bytes(),
    send(Member, attach, #{
        pid => self(),
        incarnation => Incarnation,
        clock => now_ms(),
        capacity => #{cpu => 0, memory => 0, sandboxes => 0},
        os => #{},
        running => [],
        names => []
    }),
    receive
        {quorate, 1, attached, _} -> Parent ! {self(), attached}
    end,
    erlang:send_after(300, self(), keepalive),
    loop(Member, Incarnation).

crypto_free_bytes() ->
    <<(erlang:unique_integer([positive])):64, (erlang:system_time()):64>>.

loop(Member, Incarnation) ->
    receive
        {quorate, 1, start, #{id := Id, epoch := Epoch}} ->
            send(Member, started, {Id, Epoch, self()}),
            loop(Member, Incarnation);
        {quorate, 1, stop, #{id := Id, epoch := Epoch}} ->
            send(Member, stopped, {Id, Epoch, normal}),
            loop(Member, Incarnation);
        keepalive ->
            send(Member, keepalive, #{
                incarnation => Incarnation,
                clock => now_ms(),
                load => #{cpu => 0.0, memory => 0.0, sandboxes => 0}
            }),
            erlang:send_after(300, self(), keepalive),
            loop(Member, Incarnation);
        _ ->
            loop(Member, Incarnation)
    end.

send(Member, Kind, Body) ->
    {quorate, Member} ! {quorate, 1, Kind, Body}.

now_ms() ->
    erlang:monotonic_time(millisecond) - erlang:system_info(start_time) div 1000000 + 1000.
