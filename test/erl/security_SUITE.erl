%% SPDX-License-Identifier: Apache-2.0
%% Who may do what: cookies by peer name, roles, and workers that would speak for
%% others. All nodes are real; what an honest one would not say is sent by hand. A
%% member writes 20 lines of one event in a second, so each case that is refused
%% more often asks another one.
-module(security_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(WAIT_MS, 10000).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [members_have_a_cookie_of_their_own, peers_have_cookies_of_their_own,
     commands_have_a_cookie_of_their_own,
     a_client_reads_and_runs_sandboxes, a_client_changes_nothing_else, a_client_is_no_worker,
     a_worker_is_no_member, a_worker_speaks_for_itself_alone, names_are_for_own_processes,
     cookies_are_read_again_on_hangup, a_bad_cookie_file_on_hangup_changes_nothing,
     cookie_files_are_secret, a_member_that_may_be_none, roles_in_certificates].

init_per_suite(Config) ->
    Context = quorate_ct:start(security),
    _ = cookie_file(Context, "members", "of_the_members"),
    Alien = cookie_file(Context, "alien", "of_the_aliens"),
    Args = ["--peer-cookie", "q*@127.0.0.1=" ++ cookie_path(Context, "members"),
            "--peer-cookie", "alien*@*=" ++ Alien,
            "--peer-cookie", "quorate-cli-*@*=" ++ cookie_file(Context, "command", "of_commands"),
            "--role", "guest*@*=client", "--role", "quorate-cli-*@*=client"],
    ct_cluster:start(Context, Args, Config).

end_per_suite(Config) ->
    ct_cluster:stop(Config).

%% Cookies

%% They have found one another by it; who knows only the default one cannot use a
%% member's name.
members_have_a_cookie_of_their_own(Config) ->
    Context = ?config(context, Config),
    [M | _] = members(Config),
    Impostor = quorate_ct:node(Context, "q9"),
    ?assertEqual(pang, ping(Impostor, M)),
    await_log(Config, M, <<"peer=\"q9@127.0.0.1\" address=127.0.0.1 "
                           "reason=\"the peer has another cookie\"">>),
    ok = quorate_ct:kill_node(Context, Impostor),
    Real = quorate_ct:node(Context, "q8", #{cookie => of_the_members}),
    ?assertEqual(pong, ping(Real, M)),
    ok = quorate_ct:kill_node(Context, Real).

%% As an Erlang node does it: one cookie for this peer, another for all others.
peers_have_cookies_of_their_own(Config) ->
    Context = ?config(context, Config),
    [#{node := A} = M, #{node := B} = Other | _] = members(Config),
    Node = quorate_ct:node(Context, "alien1"),
    ?assertEqual(pang, ping(Node, M)),
    true = quorate_ct:call(Node, erlang, set_cookie, [A, of_the_aliens]),
    ?assertEqual(pong, ping(Node, M)),
    ?assertEqual(pang, ping(Node, Other)),
    true = quorate_ct:call(Node, erlang, set_cookie, [B, of_the_aliens]),
    ?assertEqual(pong, ping(Node, Other)),
    ok = quorate_ct:kill_node(Context, Node).

%% A command knows what to use from the settings of the member.
commands_have_a_cookie_of_their_own(Config) ->
    #{work := Work} = Context = ?config(context, Config),
    [#{node := A, port := Port} | _] = members(Config),
    Args = ["status", "-t", lists:flatten(io_lib:format("~s=127.0.0.1:~b", [A, Port]))],
    Default = filename:join(Work, "cookie"),
    {69, <<>>, Error} = quorate_ct:run(Context, quorate, Args ++ ["--cookie-file", Default]),
    ?assertNotEqual(nomatch, binary:match(Error, <<"another cookie">>)),
    File = filename:join(Work, "command.conf"),
    Rule = "quorate-cli-*@*=" ++ cookie_path(Context, "command"),
    ok = file:write_file(File, ["cookie_file = ", Default, "\npeer_cookie = ", Rule, "\n"]),
    {0, Text, <<>>} = quorate_ct:run(Context, quorate, Args ++ ["--config", File]),
    ?assertNotEqual(nomatch, binary:match(Text, <<"members_up">>)).

%% Roles

a_client_reads_and_runs_sandboxes(Config) ->
    Context = ?config(context, Config),
    [M | _] = Members = members(Config),
    Capacity = #{cpu => 1000, memory => 100, sandboxes => 10},
    Worker = quorate_ct:worker(Context, "w1", Members, Capacity),
    _ = quorate_ct:await_worker(client(Config), M, Worker),
    Guest = quorate_ct:node(Context, "guest1"),
    ?assertMatch(#{quorum := true}, quorate_ct:ask(Guest, M, {quorate, status}, [])),
    ?assertMatch([_, _, _], quorate_ct:ask(Guest, M, {quorate, members}, [])),
    ?assertMatch({ok, _}, quorate_ct:ask(Guest, M, {quorum_manager, token}, [])),
    ?assertMatch({ok, _}, quorate_ct:ask(Guest, M, {node_selector, select_optimal_node}, [#{}])),
    {ok, #{status := running, epoch := Epoch}} =
        quorate_ct:ask(Guest, M, {quorate, create_sandbox}, [<<"g">>, ct_counter:spec()]),
    ?assertMatch({ok, #{epoch := Epoch}}, quorate_ct:ask(Guest, M, {quorate, sandbox}, [<<"g">>])),
    ?assertEqual({error, not_found},
                 quorate_ct:ask(Guest, M, {state_replicator, recover_state}, [<<"g">>])),
    %% The state is the worker's to write.
    ?assertEqual({error, forbidden},
                 quorate_ct:ask(Guest, M, {state_replicator, replicate_state},
                                [<<"g">>, Epoch, stolen])),
    ?assertEqual({error, not_found},
                 quorate_ct:ask(Guest, M, {state_replicator, recover_state}, [<<"g">>])),
    ?assertEqual(ok, quorate_ct:ask(Guest, M, {quorate, stop_sandbox}, [<<"g">>])),
    ok = quorate_ct:clear(Context, client(Config), Members, [Worker]),
    ok = quorate_ct:kill_node(Context, Guest).

%% By all the ways in which one can call; and it is told, counted and logged.
a_client_changes_nothing_else(Config) ->
    Context = ?config(context, Config),
    [#{node := A} = M | _] = members(Config),
    Guest = quorate_ct:node(Context, "guest2"),
    Pid = quorate_ct:call(Guest, erlang, whereis, [init]),
    Forbidden = [{consistency_manager, register, [n, Pid, #{}]},
                 {consistency_manager, unregister, [n, Pid]},
                 {state_replicator, replicate_state, [<<"x">>, 1, y]},
                 {state_replicator, replicate_state, [<<"x">>, 1, y, #{seq => 1}]},
                 {state_replicator, delete_state, [<<"x">>, 1]}],
    [begin
         Answer = {error, forbidden},
         ?assertEqual(Answer, quorate_ct:call(Guest, rpc, call, [A, Module, F, Args])),
         ?assertEqual(Answer, quorate_ct:call(Guest, erpc, call, [A, Module, F, Args])),
         ?assertEqual(Answer, quorate_ct:call(Guest, gen_server, call,
                                              [{quorate, A}, {Module, F, Args}])),
         await_log(Config, M, iolist_to_binary(
             io_lib:format("level=warn event=forbidden peer=guest2@127.0.0.1 role=client "
                           "asked=\"call ~s\" total=", [F])))
     end || {Module, F, Args} <- Forbidden],
    %% What there is not is not forbidden.
    ?assertMatch({badrpc, {'EXIT', {undef, _}}},
                 quorate_ct:call(Guest, rpc, call, [A, os, cmd, ["id"]])),
    %% The same from a worker gets as far as it goes.
    ?assertEqual({error, not_found},
                 quorate_ct:ask(client(Config), M, {state_replicator, replicate_state},
                                [<<"x">>, 1, y])),
    ok = quorate_ct:kill_node(Context, Guest).

a_client_is_no_worker(Config) ->
    Context = ?config(context, Config),
    [_, #{node := A} = M, _] = members(Config),
    Guest = quorate_ct:node(Context, "guest3"),
    ok = quorate_ct:on(Guest, fun() ->
        Incarnation = crypto:strong_rand_bytes(16),
        ok = say(A, attach, attach(self(), Incarnation, [])),
        ok = say(A, keepalive, #{incarnation => Incarnation, clock => 2}),
        ok = say(A, started, {<<"x">>, 1, self()}),
        ok = say(A, detach, #{incarnation => Incarnation}),
        ok = tell(quorate_member, A, raft, <<>>),
        settled(A)
    end),
    [await_log(Config, M, <<"peer=guest3@127.0.0.1 role=client asked=\"", What/binary, "\"">>)
     || What <- [<<"agent message attach">>, <<"agent message keepalive">>,
                 <<"agent message started">>, <<"agent message detach">>,
                 <<"member message raft">>]],
    ?assertEqual([], [W || #{name := 'guest3@127.0.0.1'} = W
                               <- quorate_ct:ask(Guest, M, {quorate, workers}, [])]),
    ?assertEqual([A], quorate_ct:call(Guest, erlang, nodes, [hidden])),
    ok = quorate_ct:kill_node(Context, Guest).

%% Dropped, and the link stays: it may be a member that was configured wrongly.
a_worker_is_no_member(Config) ->
    Context = ?config(context, Config),
    [_, _, #{node := A} = M] = Members = members(Config),
    Node = quorate_ct:node(Context, "pretender"),
    Leader = quorate_ct:await_leader(client(Config), Members),
    Kinds = [{raft, <<1, 2, 3>>}, {commands, <<0>>}, {load, [{<<"w">>, 1, 1}]},
             {forward, {1, 1000, quorate, stop_sandbox, [<<"x">>]}}, {forwarded, {1, stolen}},
             {replica, <<>>}, {part, {1, 0, <<>>}}, {part_ack, {1, 0}}, {nonsense, []}],
    ok = quorate_ct:on(Node, fun() ->
        [ok = tell(quorate_member, A, Kind, Body) || {Kind, Body} <- Kinds],
        settled(A)
    end),
    [await_log(Config, M, iolist_to_binary(
        io_lib:format("peer=pretender@127.0.0.1 role=worker asked=\"member message ~s\"", [Kind])))
     || {Kind, _} <- Kinds],
    ?assertEqual([A], quorate_ct:call(Node, erlang, nodes, [hidden])),
    ?assertEqual(Leader, quorate_ct:await_leader(client(Config), Members)),
    ok = quorate_ct:kill_node(Context, Node).

%% An agent that was written by somebody else.
a_worker_speaks_for_itself_alone(Config) ->
    Context = ?config(context, Config),
    [_, #{node := A} = M, _] = Members = members(Config),
    Foreign = quorate_ct:call(client(Config), erlang, whereis, [init]),
    Fake = quorate_ct:node(Context, "fake"),
    ok = other_lines_are_over(),
    ok = quorate_ct:on(Fake, fun() -> fake_agent(A, Foreign) end),
    [await_log(Config, M, <<"peer=fake@127.0.0.1 role=worker "
                            "asked=\"agent message with a foreign pid: ", Kind/binary, "\"">>)
     || Kind <- [<<"attach">>, <<"started">>, <<"running">>]],
    ok = quorate_ct:clear(Context, client(Config), Members, [Fake]).

%% Of one event 20 lines are written in a second; those of other cases in this
%% second must not count.
other_lines_are_over() ->
    Begun = erlang:monotonic_time(millisecond),
    true = quorate_ct:await(another_second, fun() ->
        erlang:monotonic_time(millisecond) - Begun > 1000
    end),
    ok.

fake_agent(A, Foreign) ->
    Incarnation = crypto:strong_rand_bytes(16),
    ok = say(A, attach, attach(Foreign, Incarnation, [])),
    ok = say(A, attach, attach({not_a, pid}, Incarnation, [])),
    ok = settled(A),
    [] = [W || #{name := N} = W <- rpc:call(A, quorate, workers, []), N =:= node()],
    ok = say(A, attach, attach(self(), Incarnation, [])),
    _ = heard(attached),
    Self = self(),
    _ = spawn_link(fun() ->
        Self ! {created, rpc:call(A, quorate, create_sandbox, [<<"faked">>, ct_counter:spec()])}
    end),
    #{id := <<"faked">>, epoch := Epoch} = heard(start),
    ok = say(A, started, {<<"faked">>, Epoch, Foreign}),
    ok = say(A, started, {<<"faked">>, Epoch, no_pid}),
    %% A report that was taken would be in the log before this read is.
    {ok, #{status := starting, pid := undefined}} = rpc:call(A, quorate, sandbox, [<<"faked">>]),
    ok = say(A, started, {<<"faked">>, Epoch, Self}),
    receive
        {created, {ok, #{status := running, pid := Self}}} -> ok
    after ?WAIT_MS -> error(not_created)
    end,
    %% What it claims to run when it comes back is looked at as well.
    ok = say(A, attach, attach(Self, Incarnation, [{<<"faked">>, Epoch, Foreign}])),
    _ = heard(attached),
    case rpc:call(A, quorate, sandbox, [<<"faked">>]) of
        {ok, #{pid := Pid}} when Pid =/= Foreign -> ok
    end.

names_are_for_own_processes(Config) ->
    Context = ?config(context, Config),
    [M | _] = Members = members(Config),
    Capacity = #{cpu => 1000, memory => 100, sandboxes => 10},
    [W1, W2] = Workers = [quorate_ct:worker(Context, Name, Members, Capacity)
                          || Name <- ["w2", "w3"]],
    [_ = quorate_ct:await_worker(client(Config), M, W) || W <- Workers],
    Victim = quorate_ct:call(W1, erlang, whereis, [init]),
    ?assertEqual({error, forbidden},
                 quorate_ct:ask(W2, M, {consistency_manager, register}, [bank, Victim, #{}])),
    await_log(Config, M, <<"peer=w3@127.0.0.1 role=worker asked=\"register for w2@127.0.0.1\"">>),
    ?assertMatch({ok, _},
                 quorate_ct:ask(W1, M, {consistency_manager, register}, [bank, Victim, #{}])),
    ok = quorate_ct:ask(W1, M, {consistency_manager, unregister}, [bank, Victim]),
    ok = quorate_ct:clear(Context, client(Config), Members, Workers).

%% New cookies

%% Links that are up stay, as they do when an Erlang node changes its cookie.
cookies_are_read_again_on_hangup(Config) ->
    Context = ?config(context, Config),
    [#{node := A} = M | _] = members(Config),
    Old = quorate_ct:node(Context, "alien2", #{cookie => of_the_aliens}),
    ?assertEqual(pong, ping(Old, M)),
    _ = cookie_file(Context, "alien", "of_new_aliens"),
    ok = hangup(Config, M, <<"event=cookies_reloaded peer_cookies=3">>),
    ?assertEqual([A], quorate_ct:call(Old, erlang, nodes, [hidden])),
    ?assertMatch(<<_/binary>>, quorate_ct:ask(Old, M, {quorate, version}, [])),
    Late = quorate_ct:node(Context, "alien3", #{cookie => of_the_aliens}),
    ?assertEqual(pang, ping(Late, M)),
    true = quorate_ct:call(Late, erlang, set_cookie, [A, of_new_aliens]),
    ?assertEqual(pong, ping(Late, M)),
    _ = quorate_ct:await_leader(client(Config), members(Config)),
    [ok = quorate_ct:kill_node(Context, Node) || Node <- [Old, Late]].

a_bad_cookie_file_on_hangup_changes_nothing(Config) ->
    Context = ?config(context, Config),
    [_, M | _] = members(Config),
    File = cookie_file(Context, "alien", "of_the_aliens"),
    ok = hangup(Config, M, <<"event=cookies_reloaded">>),
    ok = file:change_mode(File, 8#644),
    ok = file:write_file(File, "of_nobody"),
    ok = hangup(Config, M, <<"level=error event=cookies_reload_failed why=\"the cookie file ">>),
    Node = quorate_ct:node(Context, "alien4", #{cookie => of_the_aliens}),
    ?assertEqual(pong, ping(Node, M)),
    ok = quorate_ct:kill_node(Context, Node).

cookie_files_are_secret(Config) ->
    #{work := Work} = Context = ?config(context, Config),
    Open = cookie_file(Context, "open", "to_all"),
    Start = fun(Status, Rule) ->
        {Status, <<>>, Text} =
            quorate_ct:run(Context, quorate,
                           ["start", "--name", "s1@127.0.0.1", "--data-dir",
                            filename:join(Work, "s1"), "--cookie-file",
                            filename:join(Work, "cookie"), "--epmd=false", "--peer-cookie", Rule]),
        Text
    end,
    ok = file:change_mode(Open, 8#640),
    ?assertNotEqual(nomatch, binary:match(Start(78, "a@*=" ++ Open),
                                          <<"is open to others (mode 0640); run: chmod 600 ">>)),
    ?assertNotEqual(nomatch, binary:match(Start(78, "a@*=/nowhere"),
                                          <<"cannot read the cookie file /nowhere">>)),
    ?assertNotEqual(nomatch, binary:match(Start(64, "a=" ++ Open), <<"give PATTERN=PATH">>)).

%% Members and certificates

%% By a wrong setting, say: then it is not heard, and nothing falls over.
a_member_that_may_be_none(Config) ->
    Context = ?config(context, Config),
    Names = ["m1", "m2", "m3"],
    Voters = lists:zip(Names, quorate_ct:free_ports(3)),
    [M1, M2, M3] = [quorate_ct:start_member(Context, quorate_ct:member(Context, Name, Voters, Args))
                    || {Name, Args} <- [{"m1", ["--role", "m3@*=worker"]},
                                        {"m2", ["--role", "m3@*=worker"]}, {"m3", []}]],
    true = quorate_ct:await(two_of_three, fun() ->
        lists:all(fun(M) ->
            case quorate_ct:ask(client(Config), M, {quorate, status}, []) of
                #{quorum := true, members_up := 2} -> true;
                _ -> false
            end
        end, [M1, M2])
    end),
    [await_log(Config, M, <<"level=warn event=member_refused member=m3@127.0.0.1 role=worker">>)
     || M <- [M1, M2]],
    ?assertMatch({ok, _}, quorate_ct:ask(client(Config), M1, {quorum_manager, token}, [])),
    %% Nor is it told who leads.
    ?assertMatch(#{leader := undefined, quorum := false},
                 quorate_ct:ask(client(Config), M3, {quorate, status}, [])),
    [ok = quorate_ct:kill_member(Context, M) || M <- [M1, M2, M3]].

%% What the authority says is the most that a node may be.
roles_in_certificates(Config) ->
    Context = ct_tls:over_tls(?config(context, Config)),
    [#{node := A} = M] = quorate_ct:members(Context, ["t1"]),
    _ = ct_tls:issue(Context, "visitor@localhost", "client"),
    Client = quorate_ct:node(Context, "visitor"),
    Worker = quorate_ct:node(Context, "laborer"),
    _ = [quorate_ct:await_leader(Node, [M]) || Node <- [Client, Worker]],
    Write = [A, state_replicator, replicate_state, [<<"x">>, 1, y]],
    ?assertEqual({error, forbidden}, quorate_ct:call(Client, rpc, call, Write)),
    await_log(Config, M, <<"peer=visitor@localhost role=client asked=\"call replicate_state\"">>),
    ?assertEqual({error, not_found}, quorate_ct:call(Worker, rpc, call, Write)),
    [ok = quorate_ct:kill_node(Context, Node) || Node <- [Client, Worker]],
    ok = quorate_ct:kill_member(Context, M).

%% Helpers

members(Config) ->
    ?config(members, Config).

client(Config) ->
    ?config(client, Config).

ping(Node, #{node := M}) ->
    quorate_ct:call(Node, net_adm, ping, [M]).

cookie_path(#{work := Work}, Name) ->
    filename:join(Work, Name ++ ".cookie").

%% Writes one that only we can read.
cookie_file(Context, Name, Cookie) ->
    File = cookie_path(Context, Name),
    ok = file:write_file(File, Cookie ++ "\n"),
    ok = file:change_mode(File, 8#600),
    File.

await_log(Config, M, Text) ->
    Context = ?config(context, Config),
    true = quorate_ct:await({logged, Text}, fun() ->
        binary:match(quorate_ct:log_of(Context, M), Text) =/= nomatch
    end),
    ok.

%% Until the log has one more such line than it had before the signal.
hangup(Config, #{node := Node} = M, Text) ->
    Context = ?config(context, Config),
    Count = fun() -> length(binary:matches(quorate_ct:log_of(Context, M), Text)) end,
    Before = Count(),
    [Name, _] = string:split(atom_to_list(Node), "@"),
    ok = quorate_ct:signal(quorate_ct:os_pid(Context, Name), "HUP"),
    true = quorate_ct:await({logged, Text}, fun() -> Count() > Before end),
    ok.

%% What runs on a node of its own

say(Member, Kind, Body) ->
    tell(quorate, Member, Kind, Body).

tell(Name, Member, Kind, Body) ->
    {Name, Member} ! {quorate, 1, Kind, Body},
    ok.

%% What was sent before has been looked at.
settled(Member) ->
    <<_/binary>> = rpc:call(Member, quorate, version, []),
    ok.

heard(Kind) ->
    receive
        {quorate, 1, Kind, Body} -> Body
    after ?WAIT_MS -> error({not_heard, Kind, process_info(self(), messages)})
    end.

attach(Pid, Incarnation, Running) ->
    #{pid => Pid, incarnation => Incarnation, clock => erlang:system_time(millisecond),
      capacity => #{cpu => 1000, memory => 100, sandboxes => 10}, os => #{}, running => Running,
      names => []}.
