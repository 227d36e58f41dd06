%% SPDX-License-Identifier: Apache-2.0
%% How nodes find one another and how links begin and end: without epmd and with
%% one that goes away, short names, IPv6, ticks of any rate, frozen nodes,
%% attempts that cross, peers that do not read.
-module(epmd_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

%% A silent peer is cut after 15 s (PEERS_SILENCE_MS).
-define(IDLE_MS, 20000).
-define(CUT_MS, 25000).
-define(BIG, (1 bsl 20)).
%% KiB: a member that grows to the hard limit of output (256 MiB) needs more.
-define(MEMORY_KIB, 196608).
%% Times that two dial each other in one run, QUORATE_CROSSINGS says another
%% number; and how far apart at most.
-define(CROSSINGS, "500").
-define(APART_US, 2000).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [{group, table}, {group, otp25}, {group, otp27}, {group, otp29}, {group, epmd},
     {group, links}].

groups() ->
    Nodes = [without_epmd, short_names, ipv6, nodes_that_dial_each_other],
    [{table, [], [texts_are_read, the_table_is_filled, wrong_entries_are_left_out,
                  an_own_member_is_found]},
     {otp25, [], Nodes},
     {otp27, [], Nodes},
     {otp29, [], Nodes},
     {epmd, [], [registers_again_with_a_new_epmd, a_taken_name_is_waited_for]},
     {links, [], [idle_links_stay, frozen_peers_are_cut, attempts_that_cross,
                  an_attempt_that_is_given_up, a_stranger_by_the_name_of_a_peer, creations_are_new,
                  a_peer_that_does_not_read, a_flood_is_answered]}].

init_per_suite(Config) ->
    Context = quorate_ct:start(epmd),
    [{context, Context} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

init_per_group(otp25, Config) ->
    Ebin = filename:join(code:lib_dir(quorate), "ebin"),
    [{options, #{}}, {ebin, filename:absname(Ebin)} | Config];
init_per_group(Group, Config) when Group =:= otp27; Group =:= otp29 ->
    ct:timetrap({minutes, 15}),
    "otp" ++ Release = atom_to_list(Group),
    case quorate_ct:release(?config(context, Config), Release) of
        {ok, Root} ->
            %% It sees other files than we do.
            Dir = io_lib:format("/tmp/epmd_SUITE-~s-~b", [os:getpid(), erlang:unique_integer()]),
            {_, Binary, _} = code:get_object_code(quorate_epmd),
            File = lists:flatten([Root, Dir, "/quorate_epmd.beam"]),
            ok = filelib:ensure_dir(File),
            ok = file:write_file(File, Binary),
            [{options, #{root => Root}}, {ebin, lists:flatten(Dir)}, {copy, filename:dirname(File)}
             | Config];
        Skip ->
            Skip
    end;
init_per_group(_, Config) ->
    Config.

end_per_group(_, Config) ->
    Copy = ?config(copy, Config),
    Copy =:= undefined orelse file:del_dir_r(Copy).

end_per_testcase(_, Config) ->
    quorate_ct:end_all(?config(context, Config)).

%% The table by itself

texts_are_read(_) ->
    ?assertEqual({[{"q1@10.0.0.1", {"10.0.0.1", 4370}}, {"q2@h", {"::1", 1}}], []},
                 quorate_epmd:parse("q1@10.0.0.1=10.0.0.1:4370, q2@h=[::1]:1,")),
    Wrong = ["q1", "q1@h", "q1@h=x", "q1@h=x:0", "q1@h=x:65536", "q1@h=x:1y", "@h=x:1", "q1@=x:1",
             "q1@h@i=x:1", "q1@h=:1", "=", "q1@h=x:-1"],
    ?assertEqual({[], Wrong}, quorate_epmd:parse(lists:flatten(lists:join(",", Wrong)))).

the_table_is_filled(_) ->
    with_table("a@h=127.0.0.1:1,b@h=[::1]:2", fun() ->
        ?assertEqual({port, 1, 6}, quorate_epmd:port_please("a", "h")),
        ?assertEqual({port, 1, 6}, quorate_epmd:port_please(a, h)),
        ?assertEqual({port, 1, 6}, quorate_epmd:port_please("a", {127, 0, 0, 1})),
        ?assertEqual({ok, {127, 0, 0, 1}, 1, 6}, quorate_epmd:address_please("a", "h", inet)),
        ?assertEqual({ok, {0, 0, 0, 0, 0, 0, 0, 1}, 2, 6},
                     quorate_epmd:address_please("b", "h", inet6)),
        ?assertEqual({ok, 1}, quorate_epmd:listen_port_please(a, "h")),
        ?assertEqual({ok, 0}, quorate_epmd:listen_port_please(c, "h")),
        ?assertEqual(noport, quorate_epmd:port_please("c", "h")),
        ?assertEqual({error, unknown_node}, quorate_epmd:address_please("c", "h", inet)),
        ?assertEqual({ok, [{"a", 1}, {"b", 2}]},
                     begin {ok, L} = quorate_epmd:names("h"), {ok, lists:sort(L)} end),
        ?assertEqual(ok, quorate_epmd:put('c@h', 3)),
        ?assertEqual(ok, quorate_epmd:put(<<"a@h">>, {{127, 0, 0, 1}, 4})),
        ?assertEqual({port, 3, 6}, quorate_epmd:port_please("c", "h")),
        ?assertEqual({port, 4, 6}, quorate_epmd:port_please("a", "h")),
        [?assertEqual({error, badarg}, quorate_epmd:put(N, A))
         || {N, A} <- [{c, 1}, {'c@h', 0}, {'c@h', {h, 1}}, {'c@h', {"x y", 1}}, {[a | b], 1},
                       {<<"c@h">>, {{1, 2}, 1}}, {"c@" ++ lists:duplicate(300, $h), 1}]],
        Put = fun(N) -> quorate_epmd:put(integer_to_list(N) ++ "@h", 1) end,
        ?assertEqual([ok], lists:usort([Put(N) || N <- lists:seq(4, 1024)])),
        ?assertEqual({error, full}, Put(1025)),
        {ok, One} = quorate_epmd:register_node(a, 1),
        {ok, Two} = quorate_epmd:register_node("a", 1, inet6),
        ?assert(One >= 4),
        ?assertNotEqual(One, Two)
    end),
    ?assertEqual({error, not_running}, quorate_epmd:put('c@h', 3)).

wrong_entries_are_left_out(_) ->
    ok = application:set_env(kernel, quorate_epmd_nodes, [nonsense, {'k@h', 5}, {'k@h', 0} | 7]),
    with_table("nonsense,a@h=127.0.0.1:1", fun() ->
        ?assertEqual({port, 1, 6}, quorate_epmd:port_please("a", "h")),
        ?assertEqual(noport, quorate_epmd:port_please("k", "h"))
    end),
    ok = application:set_env(kernel, quorate_epmd_nodes,
                             [nonsense, {'k@h', 5}, {'k@h', 0}, {'a@h', 9}]),
    with_table("a@h=127.0.0.1:1", fun() ->
        ?assertEqual({port, 1, 6}, quorate_epmd:port_please("a", "h")),
        ?assertEqual({port, 5, 6}, quorate_epmd:port_please("k", "h"))
    end),
    ok = application:unset_env(kernel, quorate_epmd_nodes).

with_table(Text, Fun) ->
    true = os:putenv("QUORATE_EPMD_NODES", Text),
    {ok, Pid} = quorate_epmd:start_link(),
    try
        Fun()
    after
        ok = gen_server:stop(Pid),
        true = os:unsetenv("QUORATE_EPMD_NODES")
    end.

%% A member beside an Erlang node takes a free port, which only it can tell.
an_own_member_is_found(Config) ->
    #{work := Work} = Context = ?config(context, Config),
    Ebin = filename:absname(filename:join(code:lib_dir(quorate), "ebin")),
    Node = quorate_ct:node(Context, "owner", #{env => [{"QUORATE_EPMD", "false"} | no_epmd([])],
                                               args => flags(Ebin)}),
    ok = quorate_ct:call(Node, application, load, [quorate]),
    ok = quorate_ct:call(Node, application, set_env,
                         [[{quorate, [{data_dir, filename:join(Work, "owned")},
                                      {daemon_path, program()}]}]]),
    {ok, _} = quorate_ct:call(Node, application, ensure_all_started, [quorate]),
    Member = 'quorate-owner@127.0.0.1',
    ?assertEqual(pong, quorate_ct:call(Node, net_adm, ping, [Member])),
    ?assertMatch(#{quorum := true},
                 quorate_ct:call(Node, rpc, call, [Member, quorate, status, []])).

%% Nodes

%% Two Erlang nodes and three members, and no port mapper anywhere.
without_epmd(Config) ->
    Context = ?config(context, Config),
    Members = [#{node := Q1, port := P1}, #{node := Q2, port := P2}, #{node := Q3, port := P3}] =
        quorate_ct:members(Context, ["q1", "q2", "q3"], ["--epmd", "false"]),
    [PortA, PortB] = quorate_ct:free_ports(2),
    Rows = [{Q1, P1}, {Q2, P2}, {'a@127.0.0.1', PortA}, {'b@127.0.0.1', PortB}],
    Flag = ["-quorate", "epmd_nodes",
            lists:flatten(io_lib:format("~0p", [[{Q3, {"127.0.0.1", P3}}]]))],
    [A, B] = [start_node(Config, Name, #{rows => Rows, args => Flag}) || Name <- ["a", "b"]],
    _ = quorate_ct:await_leader(A, Members),
    _ = quorate_ct:await_leader(B, Members),
    ?assertEqual(pong, quorate_ct:call(A, net_adm, ping, ['b@127.0.0.1'])),
    ?assertEqual(pang, quorate_ct:call(B, net_adm, ping, ['c@127.0.0.1'])),
    ?assertEqual(['a@127.0.0.1'], quorate_ct:call(B, erlang, nodes, [])),
    {ok, Names} = quorate_ct:call(A, net_adm, names, ["127.0.0.1"]),
    ?assertEqual(["a", "b", "q1", "q2", "q3"], lists:sort([Name || {Name, _} <- Names])).

%% Hosts without dots, as with -sname.
short_names(Config) ->
    [Port] = quorate_ct:free_ports(1),
    _ = start_alone(Config, "short@here", "127.0.0.1", Port),
    Node = start_node(Config, "s", #{rows => [{'short@here', {"127.0.0.1", Port}}],
                                     place => #{host => "here", longnames => false}}),
    serves(Node, 'short@here'),
    ?assertEqual('s@here', maps:get(node, Node)).

ipv6(Config) ->
    [Port] = quorate_ct:free_ports(1),
    _ = start_alone(Config, "six@v6.test", "[::1]", Port),
    Node = start_node(Config, "s", #{rows => [{'six@v6.test', {"::1", Port}}],
                                     place => #{host => "v6.test", longnames => true},
                                     args => ["-proto_dist", "inet6_tcp"]}),
    serves(Node, 'six@v6.test').

serves(Node, Member) ->
    true = quorate_ct:await({reached, Member}, fun() ->
        quorate_ct:call(Node, net_adm, ping, [Member]) =:= pong
    end),
    true = quorate_ct:await({quorum, Member}, fun() ->
        case quorate_ct:call(Node, erpc, call, [Member, quorate, status, []]) of
            #{quorum := true, name := Member} -> true;
            #{} -> false
        end
    end).

start_node(Config, Name, Options) ->
    Rows = maps:get(rows, Options),
    Common = maps:merge(?config(options, Config), maps:with([place], Options)),
    quorate_ct:node(?config(context, Config), Name,
                    Common#{env => no_epmd(Rows),
                            args => flags(?config(ebin, Config)) ++ maps:get(args, Options, [])}).

flags(Ebin) ->
    ["-pa", Ebin, "-epmd_module", "quorate_epmd"].

%% Nothing listens at port 1.
no_epmd(Rows) ->
    Text = [io_lib:format("~s=~s,", [Name, where(Where)]) || {Name, Where} <- Rows],
    [{"ERL_EPMD_PORT", "1"}, {"QUORATE_EPMD_NODES", lists:flatten(Text)}].

where({"::1", Port}) -> io_lib:format("[::1]:~b", [Port]);
where({Host, Port}) -> io_lib:format("~s:~b", [Host, Port]);
where(Port) -> where({"127.0.0.1", Port}).

program() ->
    os:getenv("QUORATE_PROGRAM", filename:join([quorate_ct:top(), "priv", "quorate"])).

%% A member by itself, of any name.
start_alone(Config, Name, Address, Port) ->
    start_alone(Config, Name, Address, Port, ["--epmd", "false"]).

start_alone(Config, Name, Address, Port, More) ->
    #{work := Work} = Context = ?config(context, Config),
    Unique = integer_to_list(erlang:unique_integer([positive])),
    [Process | _] = string:split(Name, "@"),
    _ = quorate_ct:process(Context, Process, program(),
                           ["start", "--name", Name, "--cookie-file", filename:join(Work, "cookie"),
                            "--data-dir", filename:join(Work, Process ++ Unique),
                            "--listen", Address ++ ":" ++ integer_to_list(Port) | More]),
    Process.

%% There is none yet when it has just been started.
log_of(Config, Process) ->
    #{work := Work} = ?config(context, Config),
    case file:read_file(filename:join(Work, Process ++ ".log")) of
        {ok, Text} -> Text;
        {error, enoent} -> <<>>
    end.

await_log(Config, Process, Words) ->
    quorate_ct:await({logged, Words}, fun() ->
        Lines = binary:split(log_of(Config, Process), <<"\n">>, [global]),
        lists:any(fun(Line) ->
            lists:all(fun(Word) -> binary:match(Line, list_to_binary(Word)) =/= nomatch end, Words)
        end, Lines)
    end, ?CUT_MS).

%% epmd

registers_again_with_a_new_epmd(Config) ->
    #{epmd_port := Port} = Context = ?config(context, Config),
    Members = quorate_ct:members(Context, ["q1", "q2", "q3"]),
    Client = quorate_ct:node(Context, "client"),
    _ = quorate_ct:await_leader(Client, Members),
    All = ["q1", "q2", "q3"],
    true = quorate_ct:await(names_before, fun() -> dist_SUITE:has_names(Port, All) end),
    137 = quorate_ct:kill_process(Context, "epmd", "KILL"),
    %% Links stand without it, and a new one is found.
    _ = quorate_ct:await_leader(Client, Members),
    _ = quorate_ct:start_epmd(Context),
    true = quorate_ct:await(names_again, fun() -> dist_SUITE:has_names(Port, All) end),
    Late = quorate_ct:node(Context, "late"),
    [?assertEqual(pong, quorate_ct:call(Late, net_adm, ping, [M])) || #{node := M} <- Members].

a_taken_name_is_waited_for(Config) ->
    #{epmd_port := EpmdPort} = Context = ?config(context, Config),
    {ok, Thief} = gen_tcp:connect({127, 0, 0, 1}, EpmdPort, [binary, {active, false}]),
    ok = gen_tcp:send(Thief, <<20:16, 120, 9:16, $H, 0, 6:16, 5:16, 7:16, "squatty", 0:16>>),
    {ok, <<118, 0, _:32>>} = gen_tcp:recv(Thief, 6, 5000),
    [Port] = quorate_ct:free_ports(1),
    Process = start_alone(Config, "squatty@127.0.0.1", "127.0.0.1", Port, []),
    true = await_log(Config, Process, ["event=epmd_lost", "another process"]),
    ok = gen_tcp:close(Thief),
    true = await_log(Config, Process, ["event=epmd_registered"]),
    Node = quorate_ct:node(Context, "client"),
    ?assertEqual(pong, quorate_ct:call(Node, net_adm, ping, ['squatty@127.0.0.1'])).

%% Links

%% Neither the one that wants a tick each second nor the one that sends one in
%% 150 s loses its link while nothing is said.
idle_links_stay(Config) ->
    Context = ?config(context, Config),
    [Port] = quorate_ct:free_ports(1),
    _ = start_alone(Config, "idle@127.0.0.1", "127.0.0.1", Port, []),
    Nodes = [quorate_ct:node(Context, "tick" ++ Time, #{args => ["-kernel", "net_ticktime", Time]})
             || Time <- ["4", "600"]],
    [serves(Node, 'idle@127.0.0.1') || Node <- Nodes],
    Waits = [spawn_monitor(fun() -> exit({downs, quorate_ct:on(Node, fun downs/0)}) end)
             || Node <- Nodes],
    [receive
         {'DOWN', Ref, process, Pid, Reason} -> ?assertEqual({downs, []}, Reason)
     end || {Pid, Ref} <- Waits].

downs() ->
    [Hidden] = nodes(hidden),
    true = erlang:monitor_node(Hidden, true),
    receive
        {nodedown, _} = Down -> [Down]
    after ?IDLE_MS -> []
    end.

%% A stopped node and a stopped member are noticed, and come back.
frozen_peers_are_cut(Config) ->
    Context = ?config(context, Config),
    [Q1, _, Q3] = Members = quorate_ct:members(Context, ["q1", "q2", "q3"],
                                               ["--log-level", "debug"]),
    Client = quorate_ct:node(Context, "client"),
    Frozen = #{os_pid := OsPid} = quorate_ct:node(Context, "frozen"),
    _ = quorate_ct:await_leader(Client, Members),
    serves(Frozen, maps:get(node, Q1)),
    ok = quorate_ct:signal(OsPid, "STOP"),
    MemberPid = quorate_ct:os_pid(Context, "q3"),
    ok = quorate_ct:signal(MemberPid, "STOP"),
    true = await_log(Config, "q1", ["event=peer_down", "frozen@", "the peer is silent"]),
    true = await_log(Config, "q1", ["event=member_down", "q3@", "the peer is silent"]),
    ok = quorate_ct:signal(OsPid, "CONT"),
    ok = quorate_ct:signal(MemberPid, "CONT"),
    serves(Frozen, maps:get(node, Q1)),
    _ = quorate_ct:await_leader(Client, Members),
    ?assertEqual(<<"0.1.0">>, quorate_ct:ask(Client, Q3, {quorate, version}, [])).

%% The member dials both of the others; one has a smaller name and one a greater
%% one. Each dials it before it answers.
attempts_that_cross(Config) ->
    #{cookie := Cookie} = ?config(context, Config),
    [Port] = quorate_ct:free_ports(1),
    [{Less, LessPort}, {More, MorePort}] = [listen(), listen()],
    _ = start_alone(Config, "mmm@127.0.0.1", "127.0.0.1", Port,
                    lists:append([["--member", lists:flatten(io_lib:format(
                                       "~s@127.0.0.1=127.0.0.1:~b", [N, P]))]
                                  || {N, P} <- [{"aaa", LessPort}, {"mmm", Port},
                                                {"zzz", MorePort}]])),
    FromLess = accept_name(Less),
    Refused = ct_raw:open(Port),
    ok = ct_raw:say_name(Refused, <<"aaa@127.0.0.1">>),
    ?assertEqual(<<"snok">>, ct_raw:hear(Refused)),
    ?assert(ct_raw:closes(Refused, 5000)),
    ?assertEqual({error, timeout}, gen_tcp:recv(FromLess, 0, 100)),
    FromMore = accept_name(More),
    Taken = ct_raw:open(Port),
    ok = ct_raw:say_name(Taken, <<"zzz@127.0.0.1">>),
    ?assertEqual(<<"sok_simultaneous">>, ct_raw:hear(Taken)),
    <<"N", _:64, Challenge:32, _/binary>> = ct_raw:hear(Taken),
    ok = ct_raw:reply_to(Taken, Challenge, Cookie),
    <<"a", _:16/binary>> = ct_raw:hear(Taken),
    ?assert(ct_raw:closes(FromMore, 5000)),
    ?assertEqual(<<"0.1.0">>, ct_raw:call(Taken, <<"zzz@127.0.0.1">>, {quorate, version, []})),
    [ok = gen_tcp:close(S) || S <- [Less, More, FromLess, Taken]].

%% An attempt of either side that comes to nothing is followed by one of the
%% member, at once: nobody is left waiting for the other.
an_attempt_that_is_given_up(Config) ->
    #{cookie := Cookie} = ?config(context, Config),
    [Port, LessPort, MorePort] = quorate_ct:free_ports(3),
    _ = start_with_voters(Config, Port, [{"aaa", LessPort}, {"zzz", MorePort}]),
    true = quorate_ct:await(listens, fun() -> is_open(Port) end),
    %% Ours is under way: the member does not dial beside it.
    Unproven = ct_raw:open(Port),
    ok = ct_raw:say_name(Unproven, <<"aaa@127.0.0.1">>),
    ?assert(lists:member(ct_raw:hear(Unproven), [<<"sok">>, <<"sok_simultaneous">>])),
    <<"N", _:64, _:32, _/binary>> = ct_raw:hear(Unproven),
    {Less, LessPort} = listen(LessPort),
    ?assertEqual({error, timeout}, gen_tcp:accept(Less, 1000)),
    ok = gen_tcp:close(Unproven),
    First = accept_name(Less),
    %% It has told us nok, so that we wait for it; then its own attempt breaks.
    Refused = ct_raw:open(Port),
    ok = ct_raw:say_name(Refused, <<"aaa@127.0.0.1">>),
    ?assertEqual(<<"snok">>, ct_raw:hear(Refused)),
    ok = gen_tcp:close(First),
    Second = accept_name(Less),
    ok = become(Second, <<"sok_simultaneous">>, <<"aaa@127.0.0.1">>, Cookie),
    ?assertEqual(<<"0.1.0">>, ct_raw:call(Second, <<"aaa@127.0.0.1">>, {quorate, version, []})),
    [ok = gen_tcp:close(S) || S <- [Less, Refused, Second]].

%% Without the cookie it takes a name that is greater than that of the member,
%% which would let the attempt of such a peer go on. The peer itself is reached.
a_stranger_by_the_name_of_a_peer(Config) ->
    #{cookie := Cookie} = ?config(context, Config),
    [Port, LessPort] = quorate_ct:free_ports(2),
    {More, MorePort} = listen(),
    _ = start_with_voters(Config, Port, [{"aaa", LessPort}, {"zzz", MorePort}]),
    FromMore = accept_name(More),
    Strangers = [begin
                     Stranger = ct_raw:open(Port),
                     ok = ct_raw:say_name(Stranger, <<"zzz@127.0.0.1">>),
                     ?assertEqual(<<"sok_simultaneous">>, ct_raw:hear(Stranger)),
                     Stranger
                 end || _ <- lists:seq(1, 3)],
    ok = become(FromMore, <<"sok">>, <<"zzz@127.0.0.1">>, Cookie),
    ?assertEqual(<<"0.1.0">>, ct_raw:call(FromMore, <<"zzz@127.0.0.1">>, {quorate, version, []})),
    %% They are not the peer, which has gone along with our attempt.
    [?assert(ct_raw:closes(S, 1000)) || S <- Strangers],
    [ok = gen_tcp:close(S) || S <- [More, FromMore | Strangers]].

start_with_voters(Config, Port, Others) ->
    start_alone(Config, "mmm@127.0.0.1", "127.0.0.1", Port,
                lists:append([["--member", lists:flatten(io_lib:format(
                                   "~s@127.0.0.1=127.0.0.1:~b", [N, P]))]
                              || {N, P} <- lists:sort([{"mmm", Port} | Others])])).

%% Answers the one that dialled, up to the end of the handshake.
become(Socket, Status, Name, Cookie) ->
    Challenge = <<"N", (ct_raw:flags()):64, 99:32, 7:32, (byte_size(Name)):16, Name/binary>>,
    ok = ct_raw:send(Socket, [<<(byte_size(M)):16, M/binary>> || M <- [Status, Challenge]]),
    <<"r", Theirs:32, Digest:16/binary>> = ct_raw:hear(Socket),
    ?assertEqual(digest(Cookie, 99), Digest),
    ct_raw:send(Socket, <<17:16, "a", (digest(Cookie, Theirs))/binary>>).

digest(Cookie, Challenge) ->
    erlang:md5([atom_to_list(Cookie), integer_to_list(Challenge)]).

%% A node and a peer without a link dial each other at about the same time, again
%% and again; the name of the node is the greater one, and then the lesser one.
nodes_that_dial_each_other(Config) ->
    #{cookie := Cookie} = Context = ?config(context, Config),
    #{node := Own} = Node = quorate_ct:node(Context, "mmm", ?config(options, Config)),
    Unique = integer_to_list(erlang:unique_integer([positive])),
    Rounds = list_to_integer(os:getenv("QUORATE_CROSSINGS", ?CROSSINGS)),
    [begin
         Peer = quorate_ct:test_peer(Context, Name ++ Unique),
         {port, Port, _} = quorate_ct:call(Node, erl_epmd, port_please,
                                           [Name ++ Unique, "127.0.0.1"]),
         Ask = asker(ct_raw:connect(Port, <<"control@127.0.0.1">>, Cookie), Own),
         {Micro, Outcomes} = timer:tc(fun() ->
             [cross(Node, Peer, Ask) || _ <- lists:seq(1, Rounds)]
         end),
         ct:pal("~s: ~b rounds in ~b ms", [Peer, Rounds, Micro div 1000]),
         ?assertEqual([], [Outcome || Outcome <- Outcomes, Outcome =/= {pong, true}])
     end || Name <- ["aaa", "zzz"]].

asker(Control, Own) ->
    fun(Function) -> ct_raw:call(Control, <<"control@127.0.0.1">>, {t, Function, [Own]}) end.

cross(Node, Peer, Ask) ->
    _ = quorate_ct:call(Node, erlang, disconnect_node, [Peer]),
    until_unlinked(Ask),
    {Pid, Ref} = spawn_monitor(fun() ->
        pause(rand:uniform(?APART_US)),
        exit(quorate_ct:call(Node, net_adm, ping, [Peer]))
    end),
    pause(rand:uniform(?APART_US)),
    ok = Ask(dial),
    receive
        {'DOWN', Ref, process, Pid, Answer} -> {Answer, Ask(is_linked)}
    end.

until_unlinked(Ask) ->
    Ask(is_linked) andalso until_unlinked(Ask).

%% Shorter than any sleep.
pause(Us) ->
    pause_until(erlang:monotonic_time(microsecond) + Us).

pause_until(Due) ->
    erlang:monotonic_time(microsecond) >= Due orelse pause_until(Due).

listen() ->
    listen(0).

listen(Wanted) ->
    {ok, Listener} = gen_tcp:listen(Wanted, [{reuseaddr, true}, binary, {active, false},
                                              {ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Listener),
    {Listener, Port}.

accept_name(Listener) ->
    {ok, Socket} = gen_tcp:accept(Listener, 10000),
    <<"N", _:64, _:32, _:16, "mmm@127.0.0.1">> = ct_raw:hear(Socket),
    Socket.

%% Processes of one run are not taken for those of the next one.
creations_are_new(Config) ->
    Context = ?config(context, Config),
    Creations = [begin
                     [Port] = quorate_ct:free_ports(1),
                     Process = start_alone(Config, "born@127.0.0.1", "127.0.0.1", Port, []),
                     true = quorate_ct:await(listens, fun() -> is_open(Port) end),
                     Socket = ct_raw:open(Port),
                     ok = ct_raw:say_name(Socket, <<"raw@127.0.0.1">>),
                     <<"sok">> = ct_raw:hear(Socket),
                     <<"N", _:64, _:32, Creation:32, _/binary>> = ct_raw:hear(Socket),
                     ok = gen_tcp:close(Socket),
                     137 = quorate_ct:kill_process(Context, Process, "KILL"),
                     Creation
                 end || _ <- lists:seq(1, 3)],
    ?assertEqual(3, length(lists:usort(Creations))),
    ?assert(lists:min(Creations) >= 4).

is_open(Port) ->
    case gen_tcp:connect({127, 0, 0, 1}, Port, []) of
        {ok, Socket} -> gen_tcp:close(Socket) =:= ok;
        {error, _} -> false
    end.

%% It asks for answers as long as its questions, ten times as much as may wait
%% for it. Others are served meanwhile.
a_peer_that_does_not_read(Config) ->
    #{cookie := Cookie} = Context = ?config(context, Config),
    [Port] = quorate_ct:free_ports(1),
    Process = start_alone(Config, "patient@127.0.0.1", "127.0.0.1", Port, []),
    Node = quorate_ct:node(Context, "client"),
    serves(Node, 'patient@127.0.0.1'),
    Name = <<"deaf@127.0.0.1">>,
    Socket = ct_raw:connect(Port, Name, Cookie),
    Pid = ct_raw:pid(Name),
    Ask = ct_raw:frame({6, Pid, '', rex},
                       term_to_binary({Pid, {call, no, such, [binary:copy(<<"x">>, ?BIG)], Pid}})),
    Sent = send_many(Socket, Ask, 640),
    ?assertEqual(<<"0.1.0">>,
                 quorate_ct:call(Node, erpc, call, ['patient@127.0.0.1', quorate, version, []])),
    Kib = peak_kib(quorate_ct:os_pid(Context, Process)),
    ct:log("~b questions were taken, peak ~b KiB", [Sent, Kib]),
    %% It is read on all the same: what it is sent gets shorter.
    ?assertEqual(640, Sent),
    ?assert(Kib < ?MEMORY_KIB),
    ok = gen_tcp:close(Socket).

%% Until the other side has hung up.
send_many(_, _, 0) ->
    640;
send_many(Socket, Data, Left) ->
    case gen_tcp:send(Socket, Data) of
        ok -> send_many(Socket, Data, Left - 1);
        {error, _} -> 640 - Left
    end.

peak_kib(OsPid) ->
    {ok, Text} = file:read_file(io_lib:format("/proc/~b/status", [OsPid])),
    {match, [Digits]} = re:run(Text, "VmHWM:\\s+(\\d+)", [{capture, all_but_first, list}]),
    list_to_integer(Digits).

%% More calls than may wait: all are answered, most of them with `busy'.
a_flood_is_answered(Config) ->
    #{cookie := Cookie} = ?config(context, Config),
    [Port, Other1, Other2] = quorate_ct:free_ports(3),
    Voters = lists:append([["--member", lists:flatten(io_lib:format("~s@127.0.0.1=127.0.0.1:~b",
                                                                    [N, P]))]
                           || {N, P} <- [{"flooded", Port}, {"x1", Other1}, {"x2", Other2}]]),
    _ = start_alone(Config, "flooded@127.0.0.1", "127.0.0.1", Port,
                    ["--requests-max", "10" | Voters]),
    true = quorate_ct:await(listens, fun() -> is_open(Port) end),
    Name = <<"flood@127.0.0.1">>,
    Socket = ct_raw:connect(Port, Name, Cookie),
    Pid = ct_raw:pid(Name),
    Request = {quorate, create_sandbox, [<<"a">>, {erlang, halt, []}, #{}]},
    Calls = [ct_raw:frame({6, Pid, '', quorate}, term_to_binary({'$gen_call', {Pid, N}, Request}))
             || N <- lists:seq(1, 1000)],
    ok = ct_raw:send(Socket, Calls),
    Answers = answers(Socket, 1000, #{}),
    Count = fun(Reason) -> length([1 || {error, R} <- maps:values(Answers), R =:= Reason]) end,
    ?assertEqual(990, Count(busy)),
    ?assertEqual(10, Count(no_quorum)).

answers(_, Count, Seen) when map_size(Seen) =:= Count ->
    Seen;
answers(Socket, Count, Seen) ->
    {ok, <<Size:32>>} = gen_tcp:recv(Socket, 4, 10000),
    {ok, Body} = case Size of
                     0 -> {ok, <<>>};
                     _ -> gen_tcp:recv(Socket, Size, 10000)
                 end,
    answers(Socket, Count, answer(Body, Seen)).

answer(<<112, Terms/binary>>, Seen) ->
    {_, Used} = binary_to_term(Terms, [used]),
    <<_:Used/binary, Payload/binary>> = Terms,
    case Payload of
        <<>> -> Seen;
        _ -> {Tag, Answer} = binary_to_term(Payload), Seen#{Tag => Answer}
    end;
answer(<<>>, Seen) ->
    Seen.
