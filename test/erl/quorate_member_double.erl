%% SPDX-License-Identifier: Apache-2.0
%% A member as its agents see it, on a hidden Erlang node: grants leases,
%% renews them unless told not to, and tells the test all that it receives.
-module(quorate_member_double).

-export([start/1, stop/1, order/3, set/2, attached/1]).
-export([init/2]).

-define(TTL_MS, 600).
-define(INTERVAL_MS, 100).

%% The test gets {double, Node, {Kind, Body}}.
start(Name) ->
    {ok, Peer, Node} = peer:start_link(#{name => Name, host => "127.0.0.1", longnames => true,
                                         args => ["-hidden", "-setcookie",
                                                  atom_to_list(erlang:get_cookie())]}),
    ok = erpc:call(Node, code, add_pathsa, [code:get_path()]),
    Pid = erpc:call(Node, erlang, spawn, [?MODULE, init, [self(), Node]]),
    receive {double, Node, ready} -> ok end,
    #{peer => Peer, node => Node, pid => Pid}.

stop(#{peer := Peer}) -> peer:stop(Peer).

%% Sends an order to the agent that attached last.
order(#{pid := Pid}, Kind, Body) -> Pid ! {order, Kind, Body}, ok.

%% renew, attach, tells_keepalives: true or false; answer: fun(M, F, Args); lease: a number;
%% ttl: ms.
set(#{pid := Pid}, Settings) -> Pid ! {set, self(), Settings}, receive {set, Pid} -> ok end.

attached(#{node := Node}) ->
    receive {double, Node, {attach, Body}} -> Body after 10000 -> ct:fail(no_attach) end.

init(Test, Node) ->
    true = register(quorate, self()),
    Test ! {double, Node, ready},
    loop(#{test => Test, node => Node, renew => true, attach => true, lease => 10,
           tells_keepalives => false, ttl => ?TTL_MS,
           answer => fun(_, _, _) -> {error, not_found} end, agent => undefined}).

loop(#{test := Test, node := Node, tells_keepalives := Tells} = State) ->
    receive
        {quorate, 1, Kind, Body} ->
            case Kind of
                keepalive when not Tells -> ok;
                _ -> Test ! {double, Node, {Kind, Body}}
            end,
            loop(received(Kind, Body, State));
        {order, Kind, Body} ->
            send(Kind, Body, State),
            loop(State);
        {set, From, Settings} ->
            From ! {set, self()},
            loop(maps:merge(State, Settings));
        {'$gen_call', From, {M, F, Args}} ->
            gen_server:reply(From, (maps:get(answer, State))(M, F, Args)),
            loop(State)
    end.

received(attach, #{pid := Agent, incarnation := I, clock := Clock}, State) ->
    State1 = State#{agent := Agent, incarnation => I},
    case State of
        #{attach := true, lease := Lease, node := Node, ttl := Ttl} ->
            send(attached, #{incarnation => I, lease => Lease, clock => Clock,
                             ttl_owner => Ttl, keepalive_interval => ?INTERVAL_MS,
                             members => [Node]}, State1);
        #{} ->
            ok
    end,
    State1;
received(keepalive, #{clock := Clock}, #{renew := true, lease := Lease} = State) ->
    send(renewed, #{lease => Lease, clock => Clock}, State),
    State;
received(_, _, State) ->
    State.

send(Kind, Body, #{agent := Agent}) -> Agent ! {quorate, 1, Kind, Body}.
