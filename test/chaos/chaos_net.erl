%% SPDX-License-Identifier: Apache-2.0
%% What is wrong with the net now: faults come and go by themselves, and the
%% router's rules are always those of all that are there.
-module(chaos_net).
-behaviour(gen_server).

-export([start/2, put/1, remove/1, clear/0, has_delay/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([fault/0]).

-type fault() :: {drop, [{From :: test_net:host(), To :: test_net:host()}]}
               | {loss, test_net:host() | all, Percent :: 1..100}
               | {delay, test_net:host(), Ms :: pos_integer()}.

-record(state,
        {net :: test_net:net(),
         delay :: port() | undefined,
         faults = #{} :: #{reference() => fault()}}).

%% Delay is the program that holds packets up; where it cannot run there is no delay.
-spec start(test_net:net(), file:filename()) -> ok.
start(Net, Delay) ->
    {ok, _} = gen_server:start_link({local, ?MODULE}, ?MODULE, {Net, Delay}, []),
    ok.

-spec put(fault()) -> reference().
put(Fault) -> gen_server:call(?MODULE, {put, Fault}, infinity).

-spec remove(reference()) -> ok.
remove(Ref) -> gen_server:call(?MODULE, {remove, Ref}, infinity).

-spec clear() -> ok.
clear() -> gen_server:call(?MODULE, clear, infinity).

-spec has_delay() -> boolean().
has_delay() -> gen_server:call(?MODULE, has_delay, infinity).

init({Net, Program}) ->
    {ok, apply_all(#state{net = Net, delay = delay(Net, Program)})}.

handle_call({put, Fault}, _, #state{faults = Faults} = State) ->
    Ref = make_ref(),
    {reply, Ref, apply_all(State#state{faults = Faults#{Ref => Fault}})};
handle_call({remove, Ref}, _, #state{faults = Faults} = State) ->
    {reply, ok, apply_all(State#state{faults = maps:remove(Ref, Faults)})};
handle_call(clear, _, State) ->
    {reply, ok, apply_all(State#state{faults = #{}})};
handle_call(has_delay, _, #state{delay = Delay} = State) ->
    {reply, Delay =/= undefined, State}.

handle_cast(_, State) ->
    {noreply, State}.

handle_info({Delay, {exit_status, Status}}, #state{delay = Delay} = State) ->
    chaos_log:say("the program that delays packets ended: ~b", [Status]),
    {stop, {delay, Status}, State};
handle_info(_, State) ->
    {noreply, State}.

%% Internals

apply_all(#state{net = Net, faults = Faults, delay = Delay} = State) ->
    All = maps:values(Faults),
    ok = test_net:rules(Net, [rule(Fault) || Fault <- All]),
    _ = Delay =:= undefined orelse slow(Net, Delay, [{H, Ms} || {delay, H, Ms} <- All]),
    State.

rule({drop, Cuts}) -> test_net:drop_all(Cuts);
rule({loss, all, Percent}) -> lost(Percent);
rule({loss, Host, Percent}) ->
    [["ip ", Side, " ", test_net:address(Host), " ", lost(Percent)] || Side <- ["saddr", "daddr"]];
rule({delay, _, _}) -> [].

lost(Percent) -> io_lib:format("numgen random mod 100 < ~b drop; ", [Percent]).

%% Packets of slow hosts go through tun0, where delay.c holds them up; what comes
%% out of it goes the usual way.
delay(#{hosts := Hosts} = Net, Program) ->
    Hub = test_net:hub(Net),
    Port = open_port({spawn_executable, os:find_executable("setpriv")},
                     [{args, ["--pdeathsig", "KILL", "ip", "netns", "exec", Hub, Program]},
                      {line, 200}, exit_status]),
    receive
        {Port, {data, {eol, "ready"}}} ->
            ok = test_net:shell(
                   [["ip -n ", Hub, " link set tun0 up"],
                    ["ip netns exec ", Hub, " sh -c 'for f in all default tun0; do "
                     "echo 0 >/proc/sys/net/ipv4/conf/$f/rp_filter; done'"],
                    ["ip -n ", Hub, " route add default dev tun0 table 100"],
                    ["ip -n ", Hub, " rule add priority 10 iif tun0 lookup main"]
                    | [["ip netns exec ", Hub, " sh -c 'echo 0 >/proc/sys/net/ipv4/conf/e",
                        integer_to_list(H), "/rp_filter'"] || H <- Hosts]]),
            Port;
        {Port, {exit_status, _}} ->
            undefined
    end.

slow(#{hosts := Hosts} = Net, Delay, Slow) ->
    Hub = test_net:hub(Net),
    Now = lists:foldl(fun({H, Ms}, Most) -> Most#{H => max(Ms, maps:get(H, Most, 0))} end,
                      #{}, Slow),
    true = port_command(Delay, [io_lib:format("~b ~b\n", [H, maps:get(H, Now, 0)]) || H <- Hosts]),
    _ = os:cmd("while ip -n " ++ Hub ++ " rule del priority 20 2>/dev/null; do :; done"),
    ok = test_net:shell([["ip -n ", Hub, " rule add priority 20 ", Side, " ",
                          test_net:address(H), " lookup 100"]
                         || H <- maps:keys(Now), Side <- ["from", "to"]]).
