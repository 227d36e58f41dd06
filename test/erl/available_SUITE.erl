%% SPDX-License-Identifier: Apache-2.0
%% Sandboxes of mode `available' with real members, real workers and real cuts: three
%% hosts, each with a member, and workers on the first two. What runs on the first
%% one goes on when it is cut off; when the cut heals, exactly one is left, and the
%% journals of all show what was together and that nothing strong was.
%%
%% It takes root, `ip' and `nft'; where there is none of these the suite is skipped,
%% with the reason, and fails with QUORATE_REQUIRE_NETNS=1.
-module(available_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(HOSTS, [1, 2, 3]).
-define(CAPACITY, #{cpu => 4000, memory => 4096, sandboxes => 1000}).
%% Between them a worker is back in time; an owner's term is the default.
-define(TTL_OWNER_MS, 2500).
-define(TTL_LEADER_MS, 8000).
-define(MANY, 40).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [goes_on_in_a_minority, is_taken_over_where_it_runs, is_taken_over_after_its_lease,
     many_are_taken_over,
     one_of_two_is_left, two_are_merged, goes_on_without_any_member, ends_with_its_agent,
     unwanted_one_ends, modes_are_checked, journals_show_it,
     %% Behind it, since what is forged is no journal's truth.
     stale_write_is_resolved].

%% The net

init_per_suite(Config) ->
    case test_net:build("qa" ++ os:getpid(), ?HOSTS) of
        {ok, Net} ->
            Context = quorate_ct:start(available),
            Whole = [{net, Net}, {context, Context} | Config],
            Members = [start_member(Whole, I) || I <- ?HOSTS],
            Client = node(Whole, "client", 2),
            _ = quorate_ct:await_leader(Client, Members),
            [{members, Members}, {client, Client} | Whole];
        {error, Why} ->
            Reason = "no network namespaces with nft here: " ++ Why,
            ct:pal("SKIPPED: ~ts", [Reason]),
            case os:getenv("QUORATE_REQUIRE_NETNS") of
                "1" -> ct:fail(Reason);
                _ -> {skip, Reason}
            end
    end.

end_per_suite(Config) ->
    ok = quorate_ct:stop(context(Config), ?config(priv_dir, Config)),
    test_net:tear_down(net(Config)).

init_per_testcase(Case, Config) ->
    [{name, atom_to_list(Case)} | Config].

%% What the case ran ends in order, so that journals tell of it.
end_per_testcase(_, Config) ->
    ok = heal(Config),
    _ = [start_member(Config, I) || I <- ?HOSTS, not is_up(Config, I)],
    _ = quorate_ct:await_leader(client(Config), members(Config)),
    ok = lists:foreach(fun(#{id := Id}) ->
        true = quorate_ct:await({stopped, Id}, fun() ->
            lists:member(ask(Config, quorate, stop_sandbox, [Id]), [ok, {error, not_found}])
        end)
    end, ask(Config, quorate, sandboxes, [])),
    #{node := Client} = client(Config),
    ok = lists:foreach(fun(Worker) ->
        ok = quorate_ct:call(Worker, application, stop, [quorate]),
        ok = quorate_ct:kill_node(context(Config), Worker)
    end, [P || #{node := Node} = P <- quorate_ct:peers(context(Config)), Node =/= Client]),
    true = quorate_ct:await(no_worker_left, fun() ->
        [] =:= [W || #{up := true} = W <- ask(Config, quorate, workers, [])]
    end),
    ok.

net(Config) -> ?config(net, Config).

context(Config) -> ?config(context, Config).

members(Config) -> ?config(members, Config).

client(Config) -> ?config(client, Config).

%% The first host on one side, the others on the other.
cut(Config) ->
    test_net:rules(net(Config), test_net:drop_all([{1, 2}, {2, 1}, {1, 3}, {3, 1}])).

heal(Config) -> test_net:rules(net(Config), []).

%% Members and workers

name(I) -> "q" ++ integer_to_list(I).

member(I) -> lists:flatten([name(I), "@", test_net:address(I)]).

listens(I) -> test_net:address(I) ++ ":4370".

start_member(Config, I) ->
    #{work := Work} = context(Config),
    Program = os:getenv("QUORATE_PROGRAM", filename:join([quorate_ct:top(), "priv", "quorate"])),
    Set = lists:append([["--member", member(J) ++ "=" ++ listens(J)] || J <- ?HOSTS]),
    Dir = filename:join(Work, name(I)),
    _ = quorate_ct:process(context(Config), name(I), os:find_executable("ip"),
                           ["netns", "exec", test_net:ns(net(Config), I), Program, "start",
                            "--name", member(I), "--cookie-file", filename:join(Work, "cookie"),
                            "--data-dir", Dir, "--epmd=false", "--listen", listens(I),
                            "--ttl-leader-ms", integer_to_list(?TTL_LEADER_MS) | Set]),
    #{node => list_to_atom(member(I)), port => 4370, dir => Dir, args => []}.

is_up(Config, I) ->
    #{keeper := Keeper} = context(Config),
    gen_server:call(Keeper, {os_pid, name(I)}) =/= error.

node(Config, Name, I) ->
    Nodes = lists:join(",", [member(J) ++ "=" ++ listens(J) || J <- ?HOSTS]),
    quorate_ct:node(context(Config), Name,
                    #{netns => test_net:ns(net(Config), I),
                      place => #{host => test_net:address(I)},
                      args => ["-epmd_module", "quorate_epmd"],
                      env => [{"QUORATE_EPMD_NODES", lists:append(Nodes)}]}).

%% A worker on a host, which asks the member there first, with a journal.
worker(Config, Letter, I) -> worker(Config, Letter, I, ?CAPACITY).

worker(Config, Letter, I, Capacity) ->
    #{work := Work} = context(Config),
    Name = ?config(name, Config) ++ "_" ++ Letter,
    Peer = node(Config, Name, I),
    Members = [list_to_atom(member(J)) || J <- [I | lists:delete(I, ?HOSTS)]],
    ok = quorate_ct:call(Peer, application, load, [quorate]),
    ok = quorate_ct:call(Peer, application, set_env,
                         [[{quorate, [{member, {existing, Members}}, {capacity, Capacity},
                                      {ownership_journal,
                                       #{dir => filename:join([Work, "journals", Name])}}]}]]),
    {ok, _} = quorate_ct:call(Peer, application, ensure_all_started, [quorate]),
    _ = quorate_ct:await_worker(client(Config), hd(tl(members(Config))), Peer),
    Peer.

%% From the side of the majority.
ask(Config, M, F, A) ->
    quorate_ct:ask(client(Config), lists:nth(2, members(Config)), {M, F}, A).

%% Sandboxes

%% A counter that saves nothing by itself, on the only worker that there is.
create(#{node := Node} = Worker, Id, Options) ->
    {ok, #{worker := Node} = Sandbox} =
        quorate_ct:call(Worker, quorate, create_sandbox, [Id, spec(), with_checkpoints(Options)]),
    Sandbox.

spec() -> ct_counter:spec(#{save => false}).

with_checkpoints(Options) -> maps:merge(#{checkpoint => #{interval => 600000}}, Options).

available(Worker, Id) -> available(Worker, Id, #{}).

available(Worker, Id, Options) -> create(Worker, Id, Options#{mode => available}).

count(Worker, Pid, Count) ->
    [{ok, _} = quorate_ct:call(Worker, ct_counter, add, [Pid]) || _ <- lists:seq(1, Count)],
    ok.

is_alive(Worker, Pid) -> quorate_ct:call(Worker, erlang, is_process_alive, [Pid]).

ended(Worker, Pid) ->
    true = quorate_ct:await({ended, Pid}, fun() -> not is_alive(Worker, Pid) end).

%% Until it runs under a later epoch, as the majority knows it.
later(Config, Id, Epoch) ->
    quorate_ct:await({later, Id}, fun() ->
        case ask(Config, quorate, sandbox, [Id]) of
            {ok, #{status := running, epoch := E} = Sandbox} when E > Epoch -> {true, Sandbox};
            _ -> false
        end
    end, 40000).

copies(Config, Id) -> ask(Config, conflict_resolver, copies, [Id]).

await_copies(Config, Id, Count) ->
    quorate_ct:await({copies, Id}, fun() ->
        case copies(Config, Id) of
            Rows when length(Rows) =:= Count ->
                lists:all(fun(#{status := Status}) -> Status =:= kept end, Rows)
                    andalso {true, Rows};
            _ ->
                false
        end
    end, 40000).

%% The agent is told what a member tells one whose lease is over.
lose_lease(Worker) ->
    quorate_ct:on(Worker, fun() ->
        Lease = element(2, sys:get_state(quorate_agent)),
        quorate_agent ! {quorate, 1, lease_lost,
                         #{incarnation => quorate_lease:incarnation(Lease)}},
        ok
    end).

%% The member of this host leads.
lead(Config, I) ->
    Member = list_to_atom(member(I)),
    true = quorate_ct:await({leads, I}, fun() ->
        case ask(Config, quorate, status, []) of
            #{leader := Member} ->
                true;
            #{} ->
                _ = ask(Config, quorum_manager, transfer_leadership, [Member]),
                false
        end
    end),
    ok.

%% Of this sandbox, what runs on all these workers.
running(Workers, Id) ->
    lists:append([quorate_ct:on(W, fun() ->
        [{node(), E} || #{id := Present, epoch := E} <- quorate_local:list(), Present =:= Id]
    end) || W <- Workers]).

%% {hung, killed} of the member of the first host, which is asked there.
counts(Worker) ->
    #{workers_hung := Hung, workers_killed := Killed} =
        quorate_ct:call(Worker, rpc, call, [list_to_atom(member(1)), quorate, status,
                                            [#{consistency => local}]]),
    {Hung, Killed}.

%% Cases

%% The strong one beside it has ended before the term was over; nobody was killed for
%% it, and what it counts there it counts.
goes_on_in_a_minority(Config) ->
    A = worker(Config, "a", 1),
    #{pid := Strong} = create(A, <<"strong">>, #{}),
    #{pid := Pid} = available(A, <<"minority">>),
    Before = counts(A),
    ok = cut(Config),
    {Took, _} = quorate_ct:take_time(fun() -> ended(A, Strong) end),
    ct:pal("the strong one ended after ~b ms", [Took]),
    ?assert(Took < ?TTL_OWNER_MS + 1000),
    receive after ?TTL_OWNER_MS -> ok end,
    ?assert(is_alive(A, Pid)),
    ok = count(A, Pid, 3),
    ?assertEqual(3, quorate_ct:call(A, ct_counter, get, [Pid])),
    ?assertEqual(Before, counts(A)),
    ?assertMatch({error, _}, quorate_ct:call(A, quorate, create_sandbox,
                                             [<<"new">>, ct_counter:spec()])).

%% It is back before the leader gives it away: the other worker gets nothing of it,
%% though it has more room, and the strong one is started anew.
is_taken_over_where_it_runs(Config) ->
    A = worker(Config, "a", 1, #{cpu => 1000, memory => 1024, sandboxes => 10}),
    #{pid := Pid, epoch := Epoch} =
        available(A, <<"back">>, #{resources => #{cpu => 500, memory => 512}}),
    #{pid := Strong, epoch := Other} = create(A, <<"strong">>, #{}),
    ok = count(A, Pid, 2),
    B = worker(Config, "b", 2),
    ok = cut(Config),
    ended(A, Strong),
    ok = count(A, Pid, 1),
    ok = heal(Config),
    #{node := Node} = A,
    #{pid := Now, worker := Node, epoch := Later} = later(Config, <<"back">>, Epoch),
    ?assertEqual(Pid, Now),
    ?assertEqual(3, quorate_ct:call(A, ct_counter, get, [Pid])),
    #{pid := Again} = later(Config, <<"strong">>, Other),
    ?assertNotEqual(Strong, Again),
    ?assertEqual([{Node, Later}], running([A, B], <<"back">>)),
    ?assertEqual([], copies(Config, <<"back">>)),
    %% Its writes are of the later epoch now.
    ?assertMatch({ok, #{version := {Later, _}}},
                 quorate_ct:call(A, quorate, replicate_state, [<<"back">>, Later, 3])),
    ?assertEqual({error, {stale_epoch, Later}},
                 quorate_ct:call(A, quorate, replicate_state, [<<"back">>, Epoch, 4])).

%% A lease that is lost while nothing is cut: the attach is heard of at once, and the leader,
%% which is on another host than the worker, hears of it before it is told what still runs
%% there. All of them stay where they are, though another worker has nothing to do.
many_are_taken_over(Config) ->
    A = worker(Config, "a", 1),
    ok = lead(Config, 2),
    Before = [available(A, Id) || I <- lists:seq(1, ?MANY),
                                  Id <- [<<"many-", (integer_to_binary(I))/binary>>]],
    B = worker(Config, "b", 2),
    ok = lose_lease(A),
    Now = [later(Config, Id, Epoch) || #{id := Id, epoch := Epoch} <- Before],
    ?assertEqual([Pid || #{pid := Pid} <- Before], [Pid || #{pid := Pid} <- Now]),
    ?assertEqual([], quorate_ct:on(B, fun quorate_local:list/0)).

%% The same long after it; nobody else had room for it.
is_taken_over_after_its_lease(Config) ->
    A = worker(Config, "a", 1),
    #{pid := Pid, epoch := Epoch} = available(A, <<"alone">>),
    ok = cut(Config),
    true = quorate_ct:await(unplaced, fun() ->
        case ask(Config, quorate, sandbox, [<<"alone">>]) of
            {ok, #{status := unplaced}} -> true;
            _ -> false
        end
    end),
    ok = count(A, Pid, 5),
    ok = heal(Config),
    #{pid := Now} = later(Config, <<"alone">>, Epoch),
    ?assertEqual(Pid, Now),
    ?assertEqual(5, quorate_ct:call(A, ct_counter, get, [Pid])),
    ?assertEqual([], copies(Config, <<"alone">>)).

%% Both ran, and both counted. The earlier one wins by default: the sandbox goes on
%% with its state, and what the other one had is kept.
one_of_two_is_left(Config) ->
    {A, B, First, Second} = twice(Config, <<"two">>, #{}),
    ok = heal(Config),
    [#{about := #{policy := earliest, decision := duplicate}, outcome := #{kept := duplicate}},
     #{about := #{decision := replaced}, copy := Copy}] = await_copies(Config, <<"two">>, 2),
    ended(A, First),
    ended(B, Second),
    {ok, #{pid := Pid, worker := Node, epoch := Epoch}} =
        ask(Config, quorate, sandbox, [<<"two">>]),
    [Worker] = [W || #{node := N} = W <- [A, B], N =:= Node],
    ?assertEqual([{Node, Epoch}], running([A, B], <<"two">>)),
    ?assertEqual(5, quorate_ct:call(Worker, ct_counter, get, [Pid])),
    ?assertMatch({ok, 7, _}, ask(Config, conflict_resolver, copy, [<<"two">>, Copy])).

two_are_merged(Config) ->
    {A, B, _, _} = twice(Config, <<"merge">>, #{conflict => ct_conflict}),
    ok = heal(Config),
    [#{outcome := #{kept := merged, by := ct_conflict}}, _] = await_copies(Config, <<"merge">>, 2),
    {ok, #{pid := Pid, worker := Node, epoch := Epoch}} =
        ask(Config, quorate, sandbox, [<<"merge">>]),
    [Worker] = [W || #{node := N} = W <- [A, B], N =:= Node],
    ?assertEqual([{Node, Epoch}], running([A, B], <<"merge">>)),
    ?assertEqual(5 + 7, quorate_ct:call(Worker, ct_counter, get, [Pid])).

%% On both sides of a cut, at the same time: 5 on the first, 7 on the second.
twice(Config, Id, Options) ->
    A = worker(Config, "a", 1),
    #{pid := First, epoch := Epoch} = available(A, Id, Options),
    B = worker(Config, "b", 2),
    [ok = quorate_ct:load(W, [ct_conflict]) || W <- [A, B]],
    ok = cut(Config),
    ok = count(A, First, 5),
    #{pid := Second, worker := Node} = later(Config, Id, Epoch),
    ?assertEqual(maps:get(node, B), Node),
    ?assert(is_alive(A, First)),
    ok = count(B, Second, 7),
    {A, B, First, Second}.

%% Its member is lost, and it reaches no other one. An attach that was on its way when
%% the cut began may give it a lease that is over at once; then it is a conflict with
%% itself, and starts anew with what it had.
goes_on_without_any_member(Config) ->
    A = worker(Config, "a", 1),
    #{pid := Pid, epoch := Epoch} = available(A, <<"no member">>),
    #{pid := Strong} = create(A, <<"strong">>, #{}),
    ok = cut(Config),
    _ = quorate_ct:kill_process(context(Config), name(1), "KILL"),
    ended(A, Strong),
    ok = count(A, Pid, 4),
    receive after ?TTL_OWNER_MS -> ok end,
    ?assert(is_alive(A, Pid)),
    _ = start_member(Config, 1),
    ok = heal(Config),
    true = quorate_ct:await(as_it_was, fun() ->
        #{pid := Now, epoch := Later} = later(Config, <<"no member">>, Epoch),
        #{node := Node} = A,
        running([A], <<"no member">>) =:= [{Node, Later}]
            andalso 4 =:= quorate_ct:on(A, fun() -> catch ct_counter:get(Now) end)
    end).

%% Nobody knows any more what it ran: all of it ends, and is started anew, once.
ends_with_its_agent(Config) ->
    A = worker(Config, "a", 1),
    #{pid := Pid, epoch := Epoch} = available(A, <<"agent">>),
    true = quorate_ct:on(A, fun() -> exit(whereis(quorate_agent), kill) end),
    ended(A, Pid),
    #{worker := Node, epoch := Later} = later(Config, <<"agent">>, Epoch),
    ?assertEqual([{Node, Later}], running([A], <<"agent">>)).

%% It was stopped on the other side.
unwanted_one_ends(Config) ->
    A = worker(Config, "a", 1),
    #{pid := Pid} = available(A, <<"unwanted">>),
    ok = cut(Config),
    true = quorate_ct:await(forgotten, fun() ->
        ask(Config, quorate, stop_sandbox, [<<"unwanted">>]) =/= {error, timeout}
            andalso ask(Config, quorate, sandbox, [<<"unwanted">>]) =:= {error, not_found}
    end, 40000),
    ?assert(is_alive(A, Pid)),
    ok = heal(Config),
    ended(A, Pid),
    ?assertEqual({error, not_found}, ask(Config, quorate, sandbox, [<<"unwanted">>])).

modes_are_checked(Config) ->
    [?assertEqual({error, {badarg, mode}},
                  ask(Config, quorate, create_sandbox,
                      [<<"mode">>, ct_counter:spec(), #{mode => Mode}]))
     || Mode <- [eventual, <<"available">>, 1]].

%% All that was done above.
journals_show_it(Config) ->
    #{work := Work} = context(Config),
    Words = [Dir || #{dir := Dir} <- members(Config)]
        ++ filelib:wildcard(filename:join([Work, "journals", "*"])),
    {Status, Json, Errors} = quorate_ct:run(context(Config), quorate,
                                            ["verify", "-o", "json" | Words]),
    ct:pal("~b ~ts~ts", [Status, Json, Errors]),
    #{<<"verdict">> := Verdict, <<"together">> := Together, <<"found">> := Found} =
        ct_json:decode(Json),
    ?assertEqual({0, <<"ok">>}, {Status, Verdict}),
    ?assertMatch(#{<<"violation">> := 0, <<"late">> := 0}, Found),
    %% Those of two cases, which ran twice.
    ?assert(Together >= 2).

%% One that runs beside its owner, forged, is told so by a checkpoint: it does not
%% just die, but gives what it has.
stale_write_is_resolved(Config) ->
    Workers = [worker(Config, Letter, I) || {Letter, I} <- [{"a", 1}, {"b", 2}, {"c", 3}]],
    Options = with_checkpoints(#{mode => available, conflict => registered}),
    Id = <<"stale">>,
    {ok, #{epoch := Old, worker := Before}} =
        ask(Config, quorate, create_sandbox, [Id, spec(), Options]),
    {ok, Copy} = ask(Config, conflict_resolver, keep_copy, [Id, Old, 1, #{}]),
    {ok, #{epoch := Epoch, worker := Owner, pid := Pid}} =
        ask(Config, conflict_resolver, restore_copy, [Id, Copy]),
    [ok = ask(Config, conflict_resolver, discard_copy, [Id, C])
     || #{copy := C} <- copies(Config, Id)],
    [Other | _] = [W || #{node := N} = W <- Workers, N =/= Before, N =/= Owner],
    Order = #{id => Id, epoch => Old, state => none, restore => none, mode => available,
              prior => none, spec => term_to_binary(spec()),
              options => term_to_binary(Options#{checkpoint => #{interval => 500}})},
    ok = quorate_ct:on(Other, fun() ->
        _ = erlang:send(quorate_agent, {quorate, 1, start, Order}), ok
    end),
    [#{copy := Kept, epoch := Old, about := #{decision := registered, owner_epoch := Epoch}}] =
        await_copies(Config, Id, 1),
    ?assertMatch({ok, 0, _}, ask(Config, conflict_resolver, copy, [Id, Kept])),
    true = quorate_ct:await(one_left, fun() -> running(Workers, Id) =:= [{Owner, Epoch}] end),
    ?assertMatch({ok, #{pid := Pid, epoch := Epoch}}, ask(Config, quorate, sandbox, [Id])).
