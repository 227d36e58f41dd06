%% SPDX-License-Identifier: Apache-2.0
%% Hosts as network namespaces, and a router between them:
%%
%% ```
%%   host 1 (10.77.1.2) --- e1 +-----+ e9 --- host 9 (10.77.9.2)
%%   host 2 (10.77.2.2) --- e2 | hub |        ...
%% '''
%%
%% All that goes from one to another passes the router's rules: they cut any
%% direction between any two, or lose packets. It takes root, `ip' and `nft'.
-module(test_net).

-export([build/2, tear_down/1, ns/2, hub/1, address/1, rules/2, drop/2, drop_all/1, link/3]).
-export([shell/1]).

-export_type([net/0, host/0]).

-type host() :: 1..254.
-type net() :: #{name := string(), hosts := [host()]}.

%% What was made of a net that could not be made as a whole is gone again.
-spec build(string(), [host()]) -> {ok, net()} | {error, string()}.
build(Name, Hosts) ->
    Net = #{name => Name, hosts => Hosts},
    Hub = hub(Net),
    Ends = [commands(Net, Hub, I) || I <- Hosts],
    Made = shell([["ip netns add ", Hub],
                  ["ip netns exec ", Hub, " ip link set lo up"],
                  ["ip netns exec ", Hub, " sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward'"],
                  ["ip netns exec ", Hub, " nft add table inet cuts"] | lists:append(Ends)]),
    case Made of
        ok ->
            {ok, Net};
        {error, Why} ->
            ok = tear_down(Net),
            {error, Why}
    end.

commands(Net, Hub, I) ->
    Ns = ns(Net, I),
    End = port(I),
    [["ip netns add ", Ns],
     ["ip -n ", Hub, " link add ", End, " type veth peer name eth0 netns ", Ns],
     ["ip -n ", Hub, " address add ", address(I, 1), "/24 dev ", End],
     ["ip -n ", Hub, " link set ", End, " up"],
     ["ip -n ", Ns, " link set lo up"],
     ["ip -n ", Ns, " address add ", address(I, 2), "/24 dev eth0"]
     | link_up(Net, I)].

link_up(Net, I) ->
    [["ip -n ", ns(Net, I), " link set eth0 up"],
     ["ip -n ", ns(Net, I), " route replace default via ", address(I, 1)]].

-spec tear_down(net()) -> ok.
tear_down(#{hosts := Hosts} = Net) ->
    lists:foreach(fun(Ns) -> os:cmd("ip netns del " ++ Ns ++ " 2>&1") end,
                  [hub(Net) | [ns(Net, I) || I <- Hosts]]).

-spec ns(net(), host()) -> string().
ns(#{name := Name}, I) -> Name ++ "n" ++ integer_to_list(I).

-spec hub(net()) -> string().
hub(#{name := Name}) -> Name ++ "hub".

%% Of a host.
-spec address(host()) -> string().
address(I) -> address(I, 2).

address(I, Host) -> lists:flatten(io_lib:format("10.77.~b.~b", [I, Host])).

port(I) -> "e" ++ integer_to_list(I).

%% All rules at once, in place of those before: that is one moment for all.
-spec rules(net(), iodata()) -> ok.
rules(Net, Rules) ->
    Text = ["flush ruleset; table inet cuts { chain c { type filter hook forward priority 0; ",
            Rules, " }; }"],
    ok = shell([["ip netns exec ", hub(Net), " nft '", Text, "'"]]).

%% What From sends does not come to To.
-spec drop(host(), host()) -> iodata().
drop(From, To) ->
    ["ip saddr ", address(From), " ip daddr ", address(To), " drop; "].

-spec drop_all([{From :: host(), To :: host()}]) -> iodata().
drop_all(Cuts) ->
    [drop(From, To) || {From, To} <- Cuts].

%% The cable of a host.
-spec link(net(), host(), up | down) -> ok.
link(Net, I, up) -> ok = shell(link_up(Net, I));
link(Net, I, down) -> ok = shell([["ip -n ", ns(Net, I), " link set eth0 down"]]).

%% Commands, one after another until one fails.
-spec shell([iodata()]) -> ok | {error, string()}.
shell([]) ->
    ok;
shell([Command | Others]) ->
    Text = lists:flatten(Command),
    case string:trim(os:cmd(Text ++ " 2>&1 && echo done")) of
        "done" -> shell(Others);
        Why -> {error, Text ++ ": " ++ Why}
    end.
