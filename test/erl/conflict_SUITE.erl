%% SPDX-License-Identifier: Apache-2.0
%% Sandboxes that run twice: forged, since they must not. What the loser had is
%% kept, and the sandbox goes on as its policy says.
-module(conflict_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(CAPACITY, #{cpu => 4000, memory => 4096, sandboxes => 1000}).
-define(CALLBACK_MS, 5000).
-define(COPIES_OF_ONE_MAX, 8).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [duplicate_ends_and_is_kept, found_when_it_attaches, nothing_to_give, copy_is_restored,
     restore_brings_back_what_failed, earliest_wins, latest_wins, callback_merges,
     callback_chooses, callbacks_that_fail, oldest_copy_gives_way, lies_are_refused,
     duplicate_of_nothing_just_ends].

init_per_suite(Config) ->
    ct_cluster:start(quorate_ct:start(conflict), Config).

end_per_suite(Config) ->
    ct_cluster:stop(Config).

init_per_testcase(Case, Config) ->
    ct_cluster:workers(ct_cluster:names(Case, 3), ?CAPACITY, [ct_conflict], Config).

end_per_testcase(_, Config) ->
    ct_cluster:clear(Config).

%% The owner is left alone.
duplicate_ends_and_is_kept(Config) ->
    Id = <<"twice">>,
    #{epoch := Epoch, pid := Pid, worker := Node} = create(Config, Id, #{}),
    {Other, Duplicate} = forge(Config, Id, Epoch, 7, #{}),
    ok = ask(Config, conflict_resolver, resolve_duplicate_sandboxes, [Id]),
    [#{copy := Copy} = Row] = await_copies(Config, Id, 1),
    ?assertMatch(#{id := Id, epoch := Epoch, status := kept, outcome := undefined, size := 2,
                   about := #{policy := registered, decision := registered,
                              owner_epoch := Epoch}}, Row),
    ?assertEqual(maps:get(node, Other), maps:get(worker, maps:get(about, Row))),
    ended(Other, Duplicate),
    ?assertEqual({ok, 7, {Copy, 1}}, ask(Config, conflict_resolver, copy, [Id, Copy])),
    ?assertMatch({ok, #{epoch := Epoch, pid := Pid, worker := Node}},
                 ask(Config, quorate, sandbox, [Id])),
    ?assertMatch([_ | _], [R || #{copy := C} = R <- ask(Config, conflict_resolver, conflicts, []),
                                C =:= Copy]),
    ?assertEqual({error, not_found}, ask(Config, conflict_resolver, discard_copy,
                                         [<<"other">>, Copy])),
    ?assertEqual(ok, ask(Config, conflict_resolver, discard_copy, [Id, Copy])),
    ?assertEqual([], ask(Config, conflict_resolver, copies, [Id])),
    ?assertEqual({error, not_found}, ask(Config, conflict_resolver, copy, [Id, Copy])).

%% Its member is lost, so it attaches to another one with its list.
found_when_it_attaches(Config) ->
    Context = ?config(context, Config),
    Id = <<"attach">>,
    #{epoch := Epoch} = create(Config, Id, #{}),
    {Other, Duplicate} = forge(Config, Id, Epoch, 5, #{}),
    Member = member_of(Config, Other),
    ok = quorate_ct:kill_member(Context, Member),
    Others = lists:delete(Member, ?config(members, Config)),
    [#{epoch := Epoch, about := #{decision := registered}}] =
        await_copies(lists:keystore(members, 1, Config, {members, Others}), Id, 1),
    ended(Other, Duplicate),
    _ = quorate_ct:start_member(Context, Member),
    _ = quorate_ct:await_leader(?config(client, Config), ?config(members, Config)).

nothing_to_give(Config) ->
    Id = <<"empty">>,
    #{epoch := Epoch} = create(Config, Id, #{checkpoint => none}),
    {Other, Duplicate} = forge(Config, Id, Epoch, 5, #{checkpoint => none}),
    ok = ask(Config, conflict_resolver, resolve_duplicate_sandboxes, [Id]),
    [#{copy := Copy, about := #{why := no_checkpoint}}] = await_copies(Config, Id, 1),
    ended(Other, Duplicate),
    ?assertMatch({ok, undefined, _}, ask(Config, conflict_resolver, copy, [Id, Copy])).

%% The sandbox starts with it, and what it had is a copy in its turn.
copy_is_restored(Config) ->
    Id = <<"restored">>,
    #{epoch := Epoch, pid := Pid, worker := Node} = create(Config, Id, #{}),
    {ok, 1} = quorate_ct:call(worker(Config, Node), ct_counter, add, [Pid]),
    _ = forge(Config, Id, Epoch, 7, #{}),
    ok = ask(Config, conflict_resolver, resolve_duplicate_sandboxes, [Id]),
    [#{copy := Copy}] = await_copies(Config, Id, 1),
    {ok, #{epoch := Epoch1, status := running, pid := Pid1, worker := Node1}} =
        ask(Config, conflict_resolver, restore_copy, [Id, Copy]),
    ?assert(Epoch1 > Epoch),
    ?assertEqual(7, quorate_ct:call(worker(Config, Node1), ct_counter, get, [Pid1])),
    ?assertMatch({ok, 7, {Epoch1, _}}, ask(Config, state_replicator, recover_state, [Id])),
    [#{copy := Copy, status := kept, outcome := #{kept := duplicate}},
     #{copy := Copy1, about := #{decision := replaced, replaced_by := Copy}}] =
        await_copies(Config, Id, 2),
    ?assertMatch({ok, 1, _}, ask(Config, conflict_resolver, copy, [Id, Copy1])),
    %% Its own writes go on from there.
    ?assertEqual({ok, 8}, quorate_ct:call(worker(Config, Node1), ct_counter, add, [Pid1])),
    ?assertMatch({ok, 8, {Epoch1, _}}, ask(Config, state_replicator, recover_state, [Id])),
    %% And back.
    {ok, #{pid := Pid2, worker := Node2}} =
        ask(Config, conflict_resolver, restore_copy, [Id, Copy1]),
    ?assertEqual(1, quorate_ct:call(worker(Config, Node2), ct_counter, get, [Pid2])),
    ?assertEqual({error, not_found},
                 ask(Config, conflict_resolver, restore_copy, [Id, Copy1 + 1000])),
    ?assertEqual({error, not_found},
                 ask(Config, conflict_resolver, restore_copy, [<<"nobody">>, Copy1])).

restore_brings_back_what_failed(Config) ->
    Id = <<"failed">>,
    {ok, #{epoch := Epoch, pid := Pid, worker := Node}} =
        ask(Config, quorate, create_sandbox, [Id, {ct_conflict, start_link, []}, #{}]),
    {ok, Copy} = ask(Config, conflict_resolver, keep_copy, [Id, Epoch, 3, #{}]),
    %% A state that it cannot start with.
    {ok, _} = quorate_ct:call(worker(Config, Node), quorate, replicate_state,
                              [Id, Epoch, not_a_number, #{seq => 100}]),
    true = quorate_ct:call(worker(Config, Node), erlang, exit, [Pid, kill]),
    true = quorate_ct:await(failed, fun() ->
        case ask(Config, quorate, sandbox, [Id]) of
            {ok, #{status := {failed, _}}} -> true;
            _ -> false
        end
    end, 60000),
    {ok, #{pid := Pid1, worker := Node1}} =
        ask(Config, conflict_resolver, restore_copy, [Id, Copy]),
    ?assertEqual(3, quorate_ct:call(worker(Config, Node1), ct_counter, get, [Pid1])).

%% One of an older epoch was there before the owner.
earliest_wins(Config) ->
    Id = <<"early">>,
    {Node0, Old, #{epoch := Epoch}} = moved(Config, Id, #{conflict => earliest}),
    {Other, Duplicate} = forge(Config, Id, Old, 9, #{conflict => earliest}, [Node0]),
    ok = ask(Config, conflict_resolver, resolve_duplicate_sandboxes, [Id]),
    {Pid, Node, Epoch1} = await_epoch_after(Config, Id, Epoch),
    ended(Other, Duplicate),
    ?assert(Epoch1 > Epoch),
    ?assertEqual(9, quorate_ct:call(worker(Config, Node), ct_counter, get, [Pid])),
    ?assertMatch([#{about := #{policy := earliest, decision := duplicate},
                    outcome := #{kept := duplicate}},
                  #{about := #{decision := replaced}}], await_copies(Config, Id, 2)).

%% And here it is the owner that stays.
latest_wins(Config) ->
    Id = <<"late">>,
    {Node0, Old, #{epoch := Epoch, pid := Pid}} = moved(Config, Id, #{conflict => latest}),
    {Other, Duplicate} = forge(Config, Id, Old, 9, #{conflict => latest}, [Node0]),
    ok = ask(Config, conflict_resolver, resolve_duplicate_sandboxes, [Id]),
    ?assertMatch([#{about := #{policy := latest, decision := registered}}],
                 await_copies(Config, Id, 1)),
    ended(Other, Duplicate),
    ?assertMatch({ok, #{epoch := Epoch, pid := Pid}}, ask(Config, quorate, sandbox, [Id])).

callback_merges(Config) ->
    Id = <<"merge">>,
    Count = resolved(Config, Id, 40, 2),
    ?assertEqual(42, Count),
    ?assertMatch([#{outcome := #{kept := merged, by := ct_conflict},
                    about := #{policy := ct_conflict, decision := callback}},
                  #{about := #{decision := replaced}}], await_copies(Config, Id, 2)).

callback_chooses(Config) ->
    ?assertEqual(1, resolved(Config, <<"registered">>, 1, 2)),
    ?assertMatch([#{outcome := #{kept := registered, by := ct_conflict}}],
                 await_copies(Config, <<"registered">>, 1)),
    ?assertEqual(2, resolved(Config, <<"duplicate">>, 1, 2)),
    ?assertMatch([#{outcome := #{kept := duplicate, by := ct_conflict}}, _],
                 await_copies(Config, <<"duplicate">>, 2)).

%% The default policy decides, the record says why, and nothing else is hurt.
callbacks_that_fail(Config) ->
    [begin
         ?assertEqual({Id, 1}, {Id, resolved(Config, Id, 1, 2)}),
         [#{outcome := Outcome}] = await_copies(Config, Id, 1),
         ?assertMatch(#{kept := registered, by := registered, failed := ct_conflict}, Outcome),
         ?assertMatch({Id, {_, _}}, {Id, binary:match(maps:get(why, Outcome), Why)})
     end || {Id, Why} <- [{<<"crash">>, <<"no_idea">>}, {<<"rubbish">>, <<"bad_return">>},
                          {<<"exit">>, <<"neither">>}, {<<"hog">>, <<"killed">>},
                          {<<"hang">>, <<"timeout">>}]],
    [?assert(quorate_ct:call(W, erlang, is_process_alive,
                             [quorate_ct:call(W, erlang, whereis, [quorate_sup])]))
     || W <- ?config(workers, Config)].

oldest_copy_gives_way(Config) ->
    Id = <<"many">>,
    #{epoch := Epoch} = create(Config, Id, #{}),
    Copies = [begin
                  {ok, Copy} = ask(Config, conflict_resolver, keep_copy,
                                   [Id, Epoch, N, #{n => N}]),
                  Copy
              end || N <- lists:seq(1, ?COPIES_OF_ONE_MAX + 1)],
    ?assertEqual(tl(Copies), [C || #{copy := C} <- ask(Config, conflict_resolver, copies, [Id])]),
    ?assertEqual({error, not_found}, ask(Config, conflict_resolver, copy, [Id, hd(Copies)])),
    ?assertMatch({ok, 2, _}, ask(Config, conflict_resolver, copy, [Id, hd(tl(Copies))])).

lies_are_refused(Config) ->
    Id = <<"lies">>,
    #{epoch := Epoch, pid := Pid} = create(Config, Id, #{}),
    Ask = fun(F, A) -> ask(Config, conflict_resolver, F, A) end,
    ?assertEqual({error, not_found}, Ask(keep_copy, [<<"nobody">>, Epoch, 1, #{}])),
    ?assertMatch({error, {stale_epoch, _}}, Ask(keep_copy, [Id, Epoch + 1000000, 1, #{}])),
    ?assertEqual({error, {badarg, about}},
                 Ask(keep_copy, [Id, Epoch, 1, binary:copy(<<0>>, 3000)])),
    ?assertEqual({error, {badarg, copy}}, Ask(copy, [Id, -1])),
    {ok, Copy} = Ask(keep_copy, [Id, Epoch, 1, #{}]),
    ?assertEqual({error, {stale_epoch, Epoch}}, Ask(restored, [Id, Epoch, Copy, #{}])),
    ?assertEqual({error, {badarg, how}}, Ask(restore_copy, [Id, Copy, #{how => maybe_so}])),
    ?assertEqual({error, {badarg, {unknown_option, who}}},
                 Ask(restore_copy, [Id, Copy, #{who => me}])),
    %% The keys of copies are nobody's ids.
    Key = <<0, "copy", 0, Copy:64>>,
    ?assertEqual({error, {badarg, id}}, ask(Config, quorate, create_sandbox,
                                            [Key, ct_counter:spec()])),
    ?assertEqual({error, {badarg, id}}, ask(Config, state_replicator, recover_state, [Key])),
    %% A worker that says that it runs what it does not own, and more than that.
    [W | _] = others(Config, Id),
    Incarnation = incarnation(W),
    Say = fun(Kind, Body) -> say(Config, W, Kind, Body) end,
    ok = Say(running, {Incarnation, [{Id, Epoch, self()}, {Id, 1 bsl 60, self()}]}),
    ok = Say(running, {Incarnation, [{<<>>, Epoch, self()}]}),
    ok = Say(running, {Incarnation, nonsense}),
    ok = Say(running, nonsense),
    ok = Say(started, {Id, Epoch, self()}),
    ok = Say(stopped, {Id, Epoch, normal}),
    ?assertMatch({ok, #{pid := Pid, epoch := Epoch, status := running}},
                 ask(Config, quorate, sandbox, [Id])).

%% Nobody wants it any more, so there is nothing to choose.
duplicate_of_nothing_just_ends(Config) ->
    Id = <<"unwanted">>,
    #{epoch := Epoch} = create(Config, Id, #{}),
    {Other, Duplicate} = forge(Config, Id, Epoch, 7, #{}),
    ok = ask(Config, quorate, stop_sandbox, [Id]),
    ?assertEqual({error, not_found},
                 ask(Config, conflict_resolver, resolve_duplicate_sandboxes, [Id])),
    Member = member_of(Config, Other),
    ok = quorate_ct:kill_member(?config(context, Config), Member),
    ended(Other, Duplicate),
    _ = quorate_ct:start_member(?config(context, Config), Member),
    _ = quorate_ct:await_leader(?config(client, Config), ?config(members, Config)),
    ?assertEqual([], ask(Config, conflict_resolver, copies, [Id])).

%% Internals

ask(Config, M, F, A) ->
    Members = ?config(members, Config),
    Member = lists:nth(rand:uniform(length(Members)), Members),
    quorate_ct:ask(?config(client, Config), Member, {M, F}, A).

options(#{checkpoint := none} = Options) -> maps:remove(checkpoint, Options);
options(Options) -> maps:merge(#{checkpoint => #{interval => 600000}}, Options).

spec() -> ct_counter:spec(#{save => true}).

create(Config, Id, Options) ->
    {ok, Sandbox} = ask(Config, quorate, create_sandbox, [Id, spec(), options(Options)]),
    Sandbox.

worker(Config, Node) ->
    hd([W || #{node := N} = W <- ?config(workers, Config), N =:= Node]).

others(Config, Id) ->
    {ok, #{worker := Owner}} = ask(Config, quorate, sandbox, [Id]),
    Alive = [N || #{name := N, up := true} <- ask(Config, quorate, workers, [])],
    [W || #{node := N} = W <- ?config(workers, Config), N =/= Owner, lists:member(N, Alive)].

%% An agent that takes an order for one from its member starts what it does not
%% own; it counts to `Count', which nobody hears of.
forge(Config, Id, Epoch, Count, Options) ->
    forge(Config, Id, Epoch, Count, Options, []).

%% Not where that epoch has ended.
forge(Config, Id, Epoch, Count, Options, Except) ->
    [Other | _] = [W || #{node := Node} = W <- others(Config, Id), not lists:member(Node, Except)],
    Order = #{id => Id, epoch => Epoch, state => none, restore => none,
              spec => term_to_binary(ct_counter:spec(#{save => false})),
              options => term_to_binary(options(Options))},
    ok = quorate_ct:on(Other, fun() ->
        _ = erlang:send(quorate_agent, {quorate, 1, start, Order}), ok
    end),
    true = quorate_ct:await(forged, fun() -> children(Other, Id) =/= [] end),
    [Pid] = children(Other, Id),
    [{ok, _} = quorate_ct:call(Other, ct_counter, add, [Pid]) || _ <- lists:seq(1, Count)],
    {Other, Pid}.

%% Of the sandbox here, the child.
children(Worker, Id) ->
    quorate_ct:on(Worker, fun() ->
        [Pid || #{id := Present, sandbox := Sandbox} <- quorate_local:list(), Present =:= Id,
                {links, Links} <- [process_info(Sandbox, links)], Pid <- Links, is_pid(Pid),
                {dictionary, Dictionary} <- [process_info(Pid, dictionary)],
                {'$initial_call', {ct_counter, init, 1}} <- Dictionary]
    end).

ended(Worker, Pid) ->
    true = quorate_ct:await(ended, fun() ->
        not quorate_ct:call(Worker, erlang, is_process_alive, [Pid])
    end).

await_copies(Config, Id, Count) ->
    true = quorate_ct:await({copies, Id}, fun() ->
        Rows = ask(Config, conflict_resolver, copies, [Id]),
        is_list(Rows) andalso length(Rows) =:= Count
            andalso lists:all(fun(#{status := Status}) -> Status =:= kept end, Rows)
    end, 30000),
    ask(Config, conflict_resolver, copies, [Id]).

await_epoch_after(Config, Id, Epoch) ->
    true = quorate_ct:await({epoch, Id}, fun() ->
        case ask(Config, quorate, sandbox, [Id]) of
            {ok, #{epoch := E, status := running}} -> E > Epoch;
            _ -> false
        end
    end, 30000),
    {ok, #{pid := Pid, worker := Node, epoch := Epoch1}} = ask(Config, quorate, sandbox, [Id]),
    {Pid, Node, Epoch1}.

%% With its first owner and epoch: the present one has another.
moved(Config, Id, Options) ->
    #{epoch := Epoch, pid := Pid, worker := Node} = create(Config, Id, Options),
    {ok, 1} = quorate_ct:call(worker(Config, Node), ct_counter, add, [Pid]),
    {ok, Copy} = ask(Config, conflict_resolver, keep_copy, [Id, Epoch, 1, #{}]),
    {ok, Sandbox} = ask(Config, conflict_resolver, restore_copy, [Id, Copy]),
    [ok = ask(Config, conflict_resolver, discard_copy, [Id, C])
     || #{copy := C} <- ask(Config, conflict_resolver, copies, [Id])],
    {Node, Epoch, Sandbox}.

%% Both counts, and the one that the sandbox goes on with.
resolved(Config, Id, Registered, Duplicate) ->
    #{epoch := Epoch, pid := Pid, worker := Node} = create(Config, Id, #{conflict => ct_conflict}),
    [{ok, _} = quorate_ct:call(worker(Config, Node), ct_counter, add, [Pid])
     || _ <- lists:seq(1, Registered)],
    _ = forge(Config, Id, Epoch, Duplicate, #{conflict => ct_conflict}),
    ok = ask(Config, conflict_resolver, resolve_duplicate_sandboxes, [Id]),
    {Pid1, Node1, _} = await_epoch_after(Config, Id, Epoch),
    quorate_ct:call(worker(Config, Node1), ct_counter, get, [Pid1]).

member_of(Config, #{node := Worker}) ->
    [Node] = [M || #{name := N, member := M} <- ask(Config, quorate, workers, []), N =:= Worker],
    hd([M || #{node := N} = M <- ?config(members, Config), N =:= Node]).

incarnation(Worker) ->
    quorate_ct:on(Worker, fun() ->
        Lease = element(2, sys:get_state(quorate_agent)),
        quorate_lease:incarnation(Lease)
    end).

say(Config, Worker, Kind, Body) ->
    #{node := Member} = member_of(Config, Worker),
    quorate_ct:on(Worker, fun() ->
        _ = erlang:send({quorate, Member}, {quorate, 1, Kind, Body}), ok
    end).
