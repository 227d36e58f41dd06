%% SPDX-License-Identifier: Apache-2.0
%% Provisional starts, with the members, workers and cuts of available_SUITE: what is
%% created on the side without a majority runs there, and when the cut heals exactly
%% one is left: in place, if no other one was created, with all that it had in memory.
-module(provisional_SUITE).
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).
-import(available_SUITE, [ask/4, await_copies/3, context/1, copies/2, count/3, cut/1, ended/2,
                          heal/1, is_alive/2, later/3, member/1, name/1, net/1, running/2, spec/0,
                          start_member/2, with_checkpoints/1, worker/3]).

%% Longer than it takes to lose a lease and to ask each member once.
-define(WAIT_MS, 40000).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [goes_on_where_it_was_started, other_one_was_created_meanwhile, two_are_merged,
     latest_goes_on, one_of_two_workers, two_minorities, owner_elsewhere,
     strong_ones_are_not_started, start_that_fails, start_that_takes_too_long,
     member_is_started_again, ends_with_its_agent, offer_takes_nothing_over, journals_show_it].

init_per_suite(Config) -> available_SUITE:init_per_suite(Config).

end_per_suite(Config) -> available_SUITE:end_per_suite(Config).

init_per_testcase(Case, Config) -> available_SUITE:init_per_testcase(Case, Config).

end_per_testcase(Case, Config) -> available_SUITE:end_per_testcase(Case, Config).

%% Helpers

create(Worker, Id, Options) -> create(Worker, Id, spec(), Options).

create(Worker, Id, Spec, Options) ->
    quorate_ct:call(Worker, quorate, create_sandbox,
                    [Id, Spec, maps:merge(#{mode => available}, with_checkpoints(Options))]).

%% On a side that has no majority; as soon as it knows that.
provisional(Worker, Id) -> provisional(Worker, Id, #{}).

provisional(#{node := Node} = Worker, Id, Options) ->
    #{id := Id, epoch := 0, worker := Node, pid := Pid} =
        quorate_ct:await({provisional, Id}, fun() ->
            case create(Worker, Id, Options) of
                {ok, #{status := provisional} = Sandbox} -> {true, Sandbox};
                {error, {already_exists, #{status := provisional} = Sandbox}} -> {true, Sandbox};
                {error, Reason} when Reason =:= no_quorum; Reason =:= timeout;
                                     Reason =:= no_member -> false
            end
        end, ?WAIT_MS),
    Pid.

%% In the sandbox: an answer of a call that its child makes.
inside(Worker, Pid, Fun) ->
    quorate_ct:on(Worker, fun() ->
        {group_leader, Leader} = process_info(Pid, group_leader),
        Self = self(),
        {_, Ref} = spawn_monitor(fun() ->
            true = group_leader(Leader, self()),
            Self ! {inside, Fun()}
        end),
        receive
            {inside, Answer} -> erlang:demonitor(Ref, [flush]), Answer;
            {'DOWN', Ref, process, _, Reason} -> {down, Reason}
        end
    end).

%% All three from one another.
cut_all(Config) ->
    test_net:rules(net(Config), test_net:drop_all([{I, J} || I <- [1, 2, 3], J <- [1, 2, 3],
                                                             I =/= J])).

%% A started one on the first host; on the other side one of the same id.
both(Config, Id, Options) ->
    A = worker(Config, "a", 1),
    B = worker(Config, "b", 2),
    [ok = quorate_ct:load(W, [ct_conflict]) || W <- [A, B]],
    ok = cut(Config),
    First = provisional(A, Id, Options),
    ok = count(A, First, 5),
    {ok, #{pid := Second, epoch := Epoch}} =
        quorate_ct:await({created, Id}, fun() ->
            case create(B, Id, Options) of
                {ok, _} = Created -> {true, Created};
                {error, _} -> false
            end
        end, ?WAIT_MS),
    ok = count(B, Second, 7),
    ?assert(Epoch > 0),
    ?assert(is_alive(A, First)),
    {A, B, First, Second}.

one_left(Config, Workers, Id) ->
    quorate_ct:await({one_left, Id}, fun() ->
        case {ask(Config, quorate, sandbox, [Id]), running(Workers, Id)} of
            {{ok, #{status := running, worker := Node, epoch := Epoch} = Sandbox},
             [{Node, Epoch}]} -> {true, Sandbox};
            _ -> false
        end
    end, ?WAIT_MS).

%% Cases

goes_on_where_it_was_started(Config) ->
    Id = <<"alone">>,
    A = worker(Config, "a", 1),
    ok = cut(Config),
    Pid = provisional(A, Id),
    ok = count(A, Pid, 3),
    ?assertEqual(0, inside(A, Pid, fun quorate:epoch/0)),
    ?assertMatch({error, _}, inside(A, Pid, fun() -> quorate:replicate_state(3) end)),
    ?assertMatch({error, _}, quorate_ct:call(A, quorate, check_epoch, [Id, 0])),
    ?assertMatch({error, {already_exists, #{status := provisional, epoch := 0, pid := Pid}}},
                 create(A, Id, #{})),
    ?assertEqual({error, no_quorum}, quorate_ct:call(A, quorate, stop_sandbox, [Id])),
    %% The next attach says so.
    quorate_ct:await(counted, fun() ->
        #{provisional := Count} = quorate_ct:call(A, quorate, status, []),
        Count =:= 1
    end),
    B = worker(Config, "b", 2),
    ok = heal(Config),
    #{pid := Now, worker := Node, epoch := Epoch} = later(Config, Id, 0),
    ?assertEqual({Pid, maps:get(node, A)}, {Now, Node}),
    ?assertEqual(3, quorate_ct:call(A, ct_counter, get, [Pid])),
    ?assertEqual(Epoch, inside(A, Pid, fun quorate:epoch/0)),
    ?assertMatch({ok, #{version := {Epoch, 1}}},
                 inside(A, Pid, fun() -> quorate:replicate_state(3) end)),
    ?assertMatch({ok, 3, {Epoch, 1}}, ask(Config, state_replicator, recover_state, [Id])),
    ?assertMatch(#{provisional := 0, conflict_copies := 0}, ask(Config, quorate, status, [])),
    ?assertEqual([{Node, Epoch}], running([A, B], Id)),
    ?assertEqual([], copies(Config, Id)),
    ?assertMatch({error, {already_exists, #{status := running}}}, create(A, Id, #{})).

%% What the log knows was promised; what the other one had is kept.
other_one_was_created_meanwhile(Config) ->
    Id = <<"other">>,
    {A, B, First, Second} = both(Config, Id, #{}),
    ok = heal(Config),
    ended(A, First),
    [#{epoch := 0, about := #{policy := earliest, decision := registered}, copy := Copy}] =
        await_copies(Config, Id, 1),
    ?assertMatch({ok, 5, _}, ask(Config, conflict_resolver, copy, [Id, Copy])),
    ?assertMatch(#{pid := Second}, one_left(Config, [A, B], Id)),
    ?assertEqual(7, quorate_ct:call(B, ct_counter, get, [Second])).

two_are_merged(Config) ->
    Id = <<"merge">>,
    {A, B, First, _} = both(Config, Id, #{conflict => ct_conflict}),
    ok = heal(Config),
    ended(A, First),
    [#{outcome := #{kept := merged, by := ct_conflict}}, _] = await_copies(Config, Id, 2),
    #{pid := Pid, worker := Node} = one_left(Config, [A, B], Id),
    [Worker] = [W || #{node := N} = W <- [A, B], N =:= Node],
    ?assertEqual(5 + 7, quorate_ct:call(Worker, ct_counter, get, [Pid])).

latest_goes_on(Config) ->
    Id = <<"latest">>,
    {A, B, First, Second} = both(Config, Id, #{conflict => latest}),
    ok = heal(Config),
    ended(A, First),
    ended(B, Second),
    _ = await_copies(Config, Id, 2),
    #{pid := Pid, worker := Node} = one_left(Config, [A, B], Id),
    [Worker] = [W || #{node := N} = W <- [A, B], N =:= Node],
    ?assertEqual(5, quorate_ct:call(Worker, ct_counter, get, [Pid])).

%% Both are there for it: who asks again, elsewhere, finds the same one.
one_of_two_workers(Config) ->
    Workers = [A, C] = [worker(Config, Letter, 1) || Letter <- ["a", "c"]],
    ok = cut(Config),
    true = quorate_ct:await(both_are_asked, fun() ->
        _ = create(A, integer_to_binary(erlang:unique_integer()), #{}),
        lists:all(fun runs_something/1, Workers)
    end, ?WAIT_MS),
    Ids = [<<"shared", I>> || I <- lists:seq($a, $j)],
    Pids = [Pid || Id <- Ids, {ok, #{status := provisional, pid := Pid}} <- [create(A, Id, #{})]],
    ?assertEqual(length(Ids), length(Pids)),
    ?assertEqual(Pids, [Pid || Id <- Ids,
                               {error, {already_exists, #{pid := Pid}}} <- [create(C, Id, #{})]]),
    [?assertMatch([{_, 0}], running(Workers, Id)) || Id <- Ids],
    ok = heal(Config),
    [?assertMatch(#{pid := Pid}, later(Config, Id, 0)) || {Id, Pid} <- lists:zip(Ids, Pids)].

runs_something(Worker) -> quorate_ct:call(Worker, quorate_local, list, []) =/= [].

%% Nobody has a majority: the first offer is the sandbox, the other one its duplicate.
two_minorities(Config) ->
    Id = <<"minorities">>,
    A = worker(Config, "a", 1),
    B = worker(Config, "b", 2),
    ok = cut_all(Config),
    Pids = [provisional(W, Id) || W <- [A, B]],
    [ok = count(W, P, N) || {W, P, N} <- lists:zip3([A, B], Pids, [2, 4])],
    ok = heal(Config),
    [#{epoch := 0, copy := Copy}] = await_copies(Config, Id, 1),
    #{pid := Pid, worker := Node} = one_left(Config, [A, B], Id),
    ?assert(lists:member(Pid, Pids)),
    [{Worker, Count, Lost}] = [Row || {#{node := N}, _, _} = Row <- [{A, 2, 4}, {B, 4, 2}],
                                      N =:= Node],
    ?assertEqual(Count, quorate_ct:call(Worker, ct_counter, get, [Pid])),
    ?assertMatch({ok, Lost, _}, ask(Config, conflict_resolver, copy, [Id, Copy])).

%% The sandbox is there, and its owner is out of reach.
owner_elsewhere(Config) ->
    Id = <<"elsewhere">>,
    B = worker(Config, "b", 2),
    {ok, #{pid := Second}} = create(B, Id, #{}),
    ok = count(B, Second, 6),
    A = worker(Config, "a", 1),
    ok = cut(Config),
    First = provisional(A, Id),
    ?assertEqual(0, quorate_ct:call(A, ct_counter, get, [First])),
    ok = heal(Config),
    ended(A, First),
    [#{epoch := 0}] = await_copies(Config, Id, 1),
    ?assertMatch(#{pid := Second}, one_left(Config, [A, B], Id)),
    ?assertEqual(6, quorate_ct:call(B, ct_counter, get, [Second])).

%% Neither those that would be created, nor those that the log knows as strong.
strong_ones_are_not_started(Config) ->
    A = worker(Config, "a", 1),
    {ok, #{pid := Pid}} = create(A, <<"known">>, #{mode => strong}),
    ok = cut(Config),
    ended(A, Pid),
    _ = provisional(A, <<"proof">>),
    [?assertEqual({error, no_quorum}, create(A, Id, #{mode => Mode}))
     || {Id, Mode} <- [{<<"new">>, strong}, {<<"known">>, strong}, {<<"known">>, available}]],
    ?assertEqual([{maps:get(node, A), 0}], running([A], <<"proof">>)),
    ?assertEqual([], running([A], <<"known">>)).

start_that_fails(Config) ->
    A = worker(Config, "a", 1),
    ok = cut(Config),
    _ = provisional(A, <<"proof">>),
    ?assertMatch({error, {start_failed, on_purpose}},
                 create(A, <<"fails">>, ct_counter:spec(#{fail => on_purpose}), #{})),
    ?assertEqual([], running([A], <<"fails">>)),
    ?assertMatch({ok, #{status := provisional}}, create(A, <<"fails">>, #{})).

%% Its caller is told so, and who asks again finds it.
start_that_takes_too_long(Config) ->
    A = worker(Config, "a", 1),
    ok = cut(Config),
    _ = provisional(A, <<"proof">>),
    Slow = ct_counter:spec(#{save => false, wait => 3000}),
    {Took, Answer} = quorate_ct:take_time(fun() ->
        create(A, <<"slow">>, Slow, #{timeout => 1000})
    end),
    ?assertEqual({error, timeout}, Answer),
    ?assert(Took >= 1000 andalso Took < 3000),
    {error, {already_exists, #{pid := Pid}}} = already_exists(A, <<"slow">>, Slow),
    ?assertEqual([{maps:get(node, A), 0}], running([A], <<"slow">>)),
    ?assert(is_alive(A, Pid)).

%% Also one that waits for the start of before is told of it as its own.
already_exists(Worker, Id, Spec) ->
    case create(Worker, Id, Spec, #{timeout => 20000}) of
        {ok, #{status := provisional}} -> create(Worker, Id, Spec, #{});
        Exists -> Exists
    end.

%% Its agent knows what runs, and says so; a second one is not started.
member_is_started_again(Config) ->
    Id = <<"member">>,
    A = worker(Config, "a", 1),
    ok = cut(Config),
    Pid = provisional(A, Id),
    ok = count(A, Pid, 2),
    _ = quorate_ct:kill_process(context(Config), name(1), "KILL"),
    _ = start_member(Config, 1),
    ?assertEqual(Pid, provisional(A, Id)),
    ok = heal(Config),
    #{pid := Now} = later(Config, Id, 0),
    ?assertEqual(Pid, Now),
    ?assertEqual(2, quorate_ct:call(A, ct_counter, get, [Pid])).

ends_with_its_agent(Config) ->
    Id = <<"agent">>,
    A = worker(Config, "a", 1),
    ok = cut(Config),
    Pid = provisional(A, Id),
    true = quorate_ct:on(A, fun() -> exit(whereis(quorate_agent), kill) end),
    ended(A, Pid),
    Again = provisional(A, Id),
    ?assertNotEqual(Pid, Again),
    ok = heal(Config),
    ?assertMatch(#{pid := Again}, later(Config, Id, 0)).

%% An agent that says it runs what it was never asked for: what is there stays as it
%% is, and what cannot be created is not.
offer_takes_nothing_over(Config) ->
    Id = <<"offered">>,
    A = worker(Config, "a", 1),
    {ok, #{epoch := Epoch, pid := Pid, worker := Node} = Sandbox} = create(A, Id, #{}),
    B = worker(Config, "b", 2),
    Member = list_to_atom(member(2)),
    Terms = fun(Mode) -> term_to_binary(with_checkpoints(#{mode => Mode})) end,
    Offers = [{Id, Terms(available)}, {<<"strong">>, Terms(strong)},
              {<<"malformed">>, <<"options">>}, {<<"map">>, term_to_binary(#{what => 1})},
              {<<>>, Terms(available)}],
    ok = quorate_ct:on(B, fun() ->
        State = sys:get_state(quorate_agent),
        Lease = element(2, State),
        lists:foreach(fun({Offered, Options}) ->
            {quorate, Member} ! {quorate, 1, offer,
                                 {quorate_lease:incarnation(Lease), Offered, self(),
                                  term_to_binary(spec()), Options}}
        end, Offers ++ [{<<"last">>, Terms(available)}])
    end),
    %% The last one could be created by anybody, and is; so all of them were read.
    #{worker := Other} = later(Config, <<"last">>, 0),
    ?assertEqual(maps:get(node, B), Other),
    ?assertEqual({ok, Sandbox}, ask(Config, quorate, sandbox, [Id])),
    ?assertEqual([{Node, Epoch}], running([A, B], Id)),
    ?assert(is_alive(A, Pid)),
    ?assertEqual([<<"last">>, Id],
                 lists:sort([I || #{id := I} <- ask(Config, quorate, sandboxes, [])])).

journals_show_it(Config) ->
    #{work := Work} = context(Config),
    Words = [Dir || #{dir := Dir} <- available_SUITE:members(Config)]
        ++ filelib:wildcard(filename:join([Work, "journals", "*"])),
    {Status, Json, Errors} = quorate_ct:run(context(Config), quorate,
                                            ["verify", "-o", "json" | Words]),
    ct:pal("~b ~ts~ts", [Status, Json, Errors]),
    #{<<"verdict">> := Verdict, <<"provisional">> := Provisional, <<"found">> := Found} =
        ct_json:decode(Json),
    ?assertEqual({0, <<"ok">>}, {Status, Verdict}),
    ?assertMatch(#{<<"violation">> := 0, <<"late">> := 0}, Found),
    ?assert(Provisional >= 12).
