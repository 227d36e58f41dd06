%% SPDX-License-Identifier: Apache-2.0
%% Three members and real workers: a sandbox has one owner, whoever creates it,
%% and another one when its worker is gone.
-module(ownership_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

%% The defaults: ttl_leader, and time for the log and the start.
-define(MOVED_MS, 12000).
%% More than the leader looks for a place for at once.
-define(BIG_ONES, 300).
%% They take some seconds to be started elsewhere.
-define(MANY, 2000).
%% Once it is known that the majority is gone.
-define(NO_QUORUM_MS, 50).
-define(CAPACITY, #{cpu => 4000, memory => 4096, sandboxes => 1000}).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [one_creator_wins, ids_come_back_as_binaries, sandbox_lookups, sandboxes_are_listed_in_order,
     stop_forgets, no_capacity, capacity_is_given_back,
     small_one_behind_many_big_ones, awaited_one_is_before_many_others, selector_answers,
     start_failure, restarts_on_its_node, child_that_gives_up, killed_worker,
     killed_worker_keeps_the_count, frozen_worker, member_of_a_worker_killed,
     member_of_a_worker_frozen, leader_killed, leader_frozen, planned_stop_hands_over,
     via_names, name_conflict, name_of_a_process_that_ended, name_of_a_dead_worker,
     register_by_hand, majority_lost, counts_never_go_back,
     list_of_before_the_start_fails_nothing].

init_per_suite(Config) ->
    %% A frozen worker is to be seen waking up.
    ct_cluster:start(quorate_ct:start(ownership), ["--on-hung-worker", "report"], Config).

end_per_suite(Config) ->
    ct_cluster:stop(Config).

init_per_testcase(Case, Config) ->
    ct_cluster:workers(ct_cluster:names(Case, 3), ?CAPACITY, [], Config).

end_per_testcase(_, Config) ->
    ct_cluster:clear(Config).

%% This node is the agent here. What it ran when it wrote an attach is not what it runs when
%% that is taken, so the member asks before it gives the sandbox to another one.
list_of_before_the_start_fails_nothing(Config) ->
    Client = ?config(client, Config),
    [#{node := A}, #{node := B} | _] = ?config(members, Config),
    quorate_ct:on(Client, fun() ->
        Id = <<"not-in-the-list">>,
        ok = attach_by_hand(A, 1),
        Self = self(),
        _ = spawn_link(fun() ->
            Self ! {created, erpc:call(A, quorate, create_sandbox,
                                       [Id, ct_counter:spec(),
                                        #{resources => #{memory => 100000}}])}
        end),
        Epoch = ordered(start, Id),
        {quorate, A} ! {quorate, 1, started, {Id, Epoch, Self}},
        receive
            {created, Created} -> {ok, #{status := running}} = Created
        after 5000 -> error(created)
        end,

        ok = attach_by_hand(B, 2),
        Epoch = ordered(confirm, Id),
        {ok, #{status := running, epoch := Epoch}} = erpc:call(A, quorate, sandbox, [Id]),
        %% It is repeated until there is an answer.
        Epoch = ordered(confirm, Id),
        {quorate, B} ! {quorate, 1, started, {Id, Epoch, Self}},
        receive {quorate, 1, confirm, _} -> error(asked_again) after 1500 -> ok end,
        {ok, #{status := running, epoch := Epoch}} = erpc:call(A, quorate, sandbox, [Id]),

        ok = attach_by_hand(A, 3),
        Epoch = ordered(confirm, Id),
        {quorate, A} ! {quorate, 1, failed, {Id, Epoch, not_running}},
        Later = ordered(start, Id),
        {quorate, A} ! {quorate, 1, detach, #{incarnation => <<7:128>>}},
        ?assert(Later > Epoch)
    end).

attach_by_hand(Member, Clock) ->
    {quorate, Member} ! {quorate, 1, attach,
                         #{pid => self(), incarnation => <<7:128>>, clock => Clock,
                           running => [], names => [],
                           capacity => #{cpu => 1000, memory => 200000, sandboxes => 1}}},
    receive
        {quorate, 1, attached, #{clock := Clock}} -> ok
    after 5000 -> error({attach, Clock})
    end.

ordered(Kind, Id) ->
    receive {quorate, 1, Kind, #{id := Id, epoch := Epoch}} -> Epoch after 5000 -> error(Kind) end.

%% Creating and asking

one_creator_wins(Config) ->
    Client = ?config(client, Config),
    [W1, W2, W3] = ?config(workers, Config),
    [#{node := M} | _] = Members = ?config(members, Config),
    Ids = [<<"race-", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 40)],
    Spec = ct_counter:spec(),
    Tell = self(),
    Callers =
        [spawn_link(fun() ->
             Tell ! {self(), quorate_ct:on(W, fun() ->
                 [quorate:create_sandbox(Id, Spec) || Id <- Ids]
             end)}
         end) || W <- [W1, W2, W3]]
        ++ [spawn_link(fun() ->
                Tell ! {self(), quorate_ct:on(Client, fun() ->
                    [erpc:call(M, quorate, create_sandbox, [Id, Spec]) || Id <- lists:reverse(Ids)]
                end)}
            end)],
    Answers = [receive {Caller, List} -> List end || Caller <- Callers],
    [begin
         Winners = [S || {ok, #{id := I} = S} <- lists:append(Answers), I =:= Id],
         Losers = [S || {error, {already_exists, #{id := I} = S}} <- lists:append(Answers),
                        I =:= Id],
         ?assertMatch({[_], [_, _, _]}, {Winners, Losers}),
         [#{epoch := Epoch, pid := Pid, status := running}] = Winners,
         [?assertEqual(Epoch, E) || #{epoch := E} <- Losers],
         [?assertMatch({ok, #{epoch := Epoch, pid := Pid, status := running}},
                       quorate_ct:ask(Client, Member, {quorate, sandbox}, [Id]))
          || Member <- Members]
     end || Id <- Ids],
    Rows = quorate_ct:ask(Client, hd(Members), {quorate, workers}, []),
    ?assertEqual(40, lists:sum([N || #{sandboxes := N, up := true} <- Rows])).

ids_come_back_as_binaries(Config) ->
    [W | _] = ?config(workers, Config),
    {ok, #{id := <<"an_atom">>}} = create(W, an_atom),
    {ok, #{id := <<"a string">>}} = create(W, "a string"),
    Long = binary:copy(<<"i">>, 255),
    {ok, #{id := Long}} = create(W, Long),
    Greek = unicode:characters_to_binary([945, 946]),
    {ok, #{id := Greek}} = create(W, [945, 946]),
    ?assertMatch({error, {already_exists, #{id := <<"an_atom">>}}}, create(W, <<"an_atom">>)),
    ?assertMatch({error, {badarg, _}}, create(W, binary:copy(<<"i">>, 256))),
    ?assertMatch({error, {badarg, _}}, create(W, <<>>)).

sandbox_lookups(Config) ->
    Client = ?config(client, Config),
    [W | _] = ?config(workers, Config),
    {ok, #{epoch := Epoch, worker := Node, pid := Pid}} = create(W, <<"looked-up">>),
    ?assertEqual(Node, node(Pid)),
    [begin
         {ok, #{id := <<"looked-up">>, epoch := Epoch, worker := Node, pid := Pid,
                status := running}} =
             quorate_ct:ask(Client, M, {quorate, sandbox}, ["looked-up"]),
         true = quorate_ct:await(applied_there, fun() ->
             {ok, Local} = quorate_ct:ask(Client, M, {quorate, sandbox},
                                          [<<"looked-up">>, #{consistency => local}]),
             #{applied_index := _} = Local,
             maps:remove(applied_index, Local) =:=
                 #{epoch => Epoch, id => <<"looked-up">>, worker => Node, pid => Pid,
                   status => running, consistency => local}
         end)
     end || M <- ?config(members, Config)],
    ?assertEqual({error, not_found}, quorate_ct:call(W, quorate, sandbox, [<<"nobody">>])),
    ?assertEqual({ok, current}, quorate_ct:call(W, quorate, check_epoch, [<<"looked-up">>, Epoch])),
    ?assertEqual({error, {stale_epoch, Epoch}},
                 quorate_ct:call(W, quorate, check_epoch, [<<"looked-up">>, Epoch - 1])),
    %% The child knows who it is, and so does every process that it starts.
    #{id := <<"looked-up">>, epoch := Epoch, state := undefined, version := undefined} =
        on_child(W, Pid, context).

sandboxes_are_listed_in_order(Config) ->
    Client = ?config(client, Config),
    [W | _] = ?config(workers, Config),
    [M | _] = ?config(members, Config),
    Ids = lists:sort([<<"list-", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 25)]),
    [{ok, _} = create(W, Id) || Id <- Ids],
    List = fun(Options) ->
        [Id || #{id := Id} <- quorate_ct:ask(Client, M, {quorate, sandboxes}, [Options])]
    end,
    true = quorate_ct:await(all_applied, fun() -> List(#{}) =:= Ids end),
    ?assertEqual(lists:sublist(Ids, 10), List(#{limit => 10})),
    ?assertEqual(lists:nthtail(10, Ids), List(#{'after' => lists:nth(10, Ids)})),
    ByWorker = [List(#{worker => N}) || #{node := N} <- ?config(workers, Config)],
    ?assertEqual(Ids, lists:sort(lists:append(ByWorker))).

stop_forgets(Config) ->
    [W1, W2 | _] = ?config(workers, Config),
    {ok, #{epoch := Epoch, pid := Pid}} = create(W1, <<"stopped">>),
    {ok, 1} = on_child(W1, Pid, add),
    ok = quorate_ct:call(W2, quorate, stop_sandbox, [<<"stopped">>]),
    ?assertNot(is_alive(Config, Pid)),
    ?assertEqual({error, not_found}, quorate_ct:call(W1, quorate, sandbox, [<<"stopped">>])),
    ?assertEqual({error, not_found}, quorate_ct:call(W1, quorate, recover_state, [<<"stopped">>])),
    ?assertEqual({error, not_found}, quorate_ct:call(W1, quorate, stop_sandbox, [<<"stopped">>])),
    {ok, #{epoch := Next, pid := Again}} = create(W2, <<"stopped">>),
    ?assert(Next > Epoch),
    ?assertEqual(0, on_child(W1, Again, get)).

%% Placement

no_capacity(Config) ->
    [W | _] = ?config(workers, Config),
    ?assertEqual({error, no_capacity}, create(W, <<"big">>, #{resources => #{cpu => 4001}})),
    ?assertEqual({error, not_found}, quorate_ct:call(W, quorate, sandbox, [<<"big">>])),
    ?assertEqual({error, no_capacity}, create(W, <<"big">>, #{resources => #{memory => 5000}})),
    ?assertMatch({ok, _}, create(W, <<"big">>, #{resources => #{cpu => 3000, memory => 3000}})).

%% Three workers of 4000: six of 2000 fit, whatever the order.
capacity_is_given_back(Config) ->
    [W | _] = ?config(workers, Config),
    Options = #{resources => #{cpu => 2000}},
    Ids = [<<"share-", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 6)],
    [{ok, _} = create(W, Id, Options) || Id <- Ids],
    ?assertEqual({error, no_capacity}, create(W, <<"share-7">>, Options)),
    ok = quorate_ct:call(W, quorate, stop_sandbox, [hd(Ids)]),
    ?assertMatch({ok, _}, create(W, <<"share-7">>, Options)).

%% Their worker is lost and nobody has room for them; there is room for it.
small_one_behind_many_big_ones(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [M | _] = ?config(members, Config),
    [ok = quorate_ct:kill_node(Context, W) || W <- ?config(workers, Config)],
    Big = worker(Config, "big", #{memory => 5000 * ?BIG_ONES + 1}),
    ok = quorate_ct:on(Big, fun() ->
        lists:foreach(fun(N) ->
            {ok, _} = quorate:create_sandbox(<<"big-", (integer_to_binary(N))/binary>>,
                                             ct_counter:spec(),
                                             #{resources => #{memory => 5000}})
        end, lists:seq(1, ?BIG_ONES))
    end),
    {ok, _} = create(Big, <<"small">>, #{resources => #{memory => 1}}),
    Small = #{node := Node} = worker(Config, "small", #{memory => 4999}),
    ok = quorate_ct:kill_node(Context, Big),
    quorate_ct:await(small_one_runs, fun() ->
        case sandbox(Client, M, <<"small">>) of
            {ok, #{status := running, worker := Node}} -> true;
            {ok, _} -> false
        end
    end, ?MOVED_MS),
    ?assertMatch({ok, #{status := unplaced}}, sandbox(Client, M, <<"big-1">>)),
    ok = quorate_ct:kill_node(Context, Small).

%% It was being started when the worker was lost, and its creator still waits.
awaited_one_is_before_many_others(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [M | _] = ?config(members, Config),
    [ok = quorate_ct:kill_node(Context, W) || W <- ?config(workers, Config)],
    Lost = worker(Config, "lost", #{sandboxes => 2 * ?MANY}),
    ok = quorate_ct:on(Lost, fun() ->
        Create = fun(N) ->
            {ok, _} = quorate:create_sandbox(integer_to_binary(N), ct_counter:spec())
        end,
        Refs = [element(2, spawn_monitor(fun() ->
                    lists:foreach(Create, lists:seq(From, ?MANY, 10))
                end)) || From <- lists:seq(1, 10)],
        [receive {'DOWN', Ref, process, _, normal} -> ok end || Ref <- Refs],
        ok
    end),
    Tell = self(),
    _ = spawn_link(fun() ->
        Tell ! {created, quorate_ct:ask(Client, M, {quorate, create_sandbox},
                                        [<<"awaited">>, ct_counter:spec(#{wait => 500}),
                                         #{timeout => 20000}])}
    end),
    _ = quorate_ct:await(begun, fun() -> element(1, sandbox(Client, M, <<"awaited">>)) =:= ok end),
    Other = worker(Config, "other", #{sandboxes => 2 * ?MANY}),
    ok = quorate_ct:kill_node(Context, Lost),
    Node = maps:get(node, Other),
    {ok, #{worker := Node, status := running}} = receive {created, Answer} -> Answer end,
    Rows = quorate_ct:ask(Client, M, {quorate, sandboxes}, []),
    Left = [Id || #{id := Id, status := unplaced} <- Rows],
    ct:pal("~b of ~b are still to be started", [length(Left), ?MANY]),
    ?assertNotEqual([], Left),
    ok = quorate_ct:kill_node(Context, Other).

worker(Config, Name, Capacity) ->
    Members = [M | _] = ?config(members, Config),
    Worker = quorate_ct:worker(?config(context, Config), Name, Members,
                               maps:merge(?CAPACITY, Capacity)),
    _ = quorate_ct:await_worker(?config(client, Config), M, Worker),
    Worker.

selector_answers(Config) ->
    [W | _] = Workers = ?config(workers, Config),
    Nodes = [N || #{node := N} <- Workers],
    {ok, Chosen} = quorate_ct:call(W, quorate, select_optimal_node, [#{cpu => 100}]),
    ?assert(lists:member(Chosen, Nodes)),
    {ok, #{node := Best, score := _, candidates := Candidates}} =
        quorate_ct:call(W, quorate, select, [#{cpu => 100}, #{}]),
    ?assert(lists:member(Best, Nodes)),
    Candidate = [maps:get(node, C) || C <- Candidates],
    ?assertEqual([], Nodes -- Candidate),
    ?assertEqual({error, no_capacity}, quorate_ct:call(W, quorate, select_optimal_node,
                                                       [#{cpu => 100000}])),
    ?assertMatch({error, {no_capacity, #{}}},
                 quorate_ct:call(W, quorate, select, [#{cpu => 100000}, #{}])),
    ?assertMatch({error, {badarg, _}},
                 quorate_ct:call(W, quorate, select_optimal_node, [#{disk => 1}])).

%% Starts and ends

start_failure(Config) ->
    [W | _] = ?config(workers, Config),
    ?assertMatch({error, {start_failed, _}},
                 quorate_ct:call(W, quorate, create_sandbox,
                                 [<<"fails">>, ct_counter:spec(#{fail => no_luck}),
                                  #{timeout => 20000}])),
    ?assertMatch({error, {start_failed, _}},
                 quorate_ct:call(W, quorate, create_sandbox,
                                 [<<"no-module">>, {no_such_module, start, []},
                                  #{timeout => 20000}])),
    %% A failed one is there, to be looked at and stopped.
    {ok, #{status := {failed, _}}} = quorate_ct:call(W, quorate, sandbox, [<<"fails">>]),
    ok = quorate_ct:call(W, quorate, stop_sandbox, [<<"fails">>]),
    {ok, #{status := running}} = create(W, <<"fails">>).

restarts_on_its_node(Config) ->
    [W | _] = ?config(workers, Config),
    {ok, #{epoch := Epoch, pid := Pid, worker := Node}} = create(W, <<"crashes">>),
    {ok, 1} = on_child(W, Pid, add),
    true = quorate_ct:call(W, erlang, exit, [Pid, kill]),
    New = quorate_ct:await(restarted, fun() ->
        case quorate_ct:call(W, quorate, sandbox, [<<"crashes">>]) of
            {ok, #{pid := P, epoch := Epoch, worker := Node, status := running}} when P =/= Pid ->
                {true, P};
            _ ->
                false
        end
    end),
    ?assertEqual(1, on_child(W, New, get)).

%% Permanent, and it crashes whenever it is there: somewhere else it may live.
child_that_gives_up(Config) ->
    [W | _] = ?config(workers, Config),
    {ok, #{epoch := Epoch, pid := Pid}} = create(W, <<"crash-loop">>),
    New = crash_until_moved(W, <<"crash-loop">>, Epoch, Pid, 30),
    ?assert(New > Epoch).

crash_until_moved(W, Id, Epoch, Pid, Tries) when Tries > 0 ->
    true = quorate_ct:call(W, erlang, exit, [Pid, kill]),
    Next = quorate_ct:await(another_one, fun() ->
        case quorate_ct:call(W, quorate, sandbox, [Id]) of
            {ok, #{pid := P, epoch := E, status := running}} when P =/= Pid -> {true, {E, P}};
            _ -> false
        end
    end),
    case Next of
        {Epoch, NextPid} -> crash_until_moved(W, Id, Epoch, NextPid, Tries - 1);
        {NextEpoch, _} -> NextEpoch
    end.

%% Worker and member failures

killed_worker(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [M | _] = ?config(members, Config),
    [First | _] = Workers = ?config(workers, Config),
    Ids = [<<"killed-", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 30)],
    Before = maps:from_list([{Id, Epoch} || Id <- Ids,
                                            {ok, #{epoch := Epoch}} <- [create(First, Id)]]),
    30 = map_size(Before),
    {ok, #{worker := Node}} = sandbox(Client, M, hd(Ids)),
    [Owner] = [W || #{node := N} = W <- Workers, N =:= Node],
    Hit = [Id || Id <- Ids, {ok, #{worker := N}} <- [sandbox(Client, M, Id)], N =:= Node],
    {Took, _} = quorate_ct:take_time(fun() ->
        ok = quorate_ct:kill_node(Context, Owner),
        [quorate_ct:await({moved, Id}, fun() ->
            case sandbox(Client, M, Id) of
                {ok, #{epoch := E, worker := N, status := running}} ->
                    N =/= Node andalso E > maps:get(Id, Before);
                _ -> false
            end
        end) || Id <- Hit]
    end),
    ct:pal("~b sandboxes ran elsewhere after ~b ms", [length(Hit), Took]),
    %% Its member saw it die: no lease had to run out.
    ?assert(Took < 2000),
    [?assertMatch({ok, #{epoch := E, status := running}} when E =:= map_get(Id, Before),
                  sandbox(Client, M, Id)) || Id <- Ids -- Hit].

killed_worker_keeps_the_count(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [M | _] = ?config(members, Config),
    Workers = ?config(workers, Config),
    {ok, #{worker := Node, pid := Pid, epoch := Epoch}} = create(hd(Workers), <<"count">>),
    {[Owner], [Other | _]} = lists:partition(fun(#{node := N}) -> N =:= Node end, Workers),
    [{ok, N} = on_child(Other, Pid, add) || N <- lists:seq(1, 20)],
    ok = quorate_ct:kill_node(Context, Owner),
    {_, New} = await_epoch_after(Client, M, <<"count">>, Epoch),
    ?assertEqual(20, on_child(Other, New, get)),
    #{epoch := NewEpoch, state := {ok, 20}, version := {_, _}} = on_child(Other, New, context),
    ?assert(NewEpoch > Epoch),
    %% The epoch of before is stale for ever.
    ?assertEqual({error, {stale_epoch, NewEpoch}},
                 quorate_ct:call(Other, quorate, replicate_state, [<<"count">>, Epoch, 99])),
    ?assertMatch({ok, 20, {_, _}}, quorate_ct:call(Other, quorate, recover_state, [<<"count">>])).

%% Nobody saw it die: its lease runs out. When it wakes in the middle of its
%% writes, it is not the owner.
frozen_worker(Config) ->
    Client = ?config(client, Config),
    [M | _] = ?config(members, Config),
    [First | _] = Workers = ?config(workers, Config),
    {ok, #{worker := Node, pid := Pid, epoch := Epoch}} = create(First, <<"frozen">>),
    {[#{os_pid := OsPid} = Owner], [Other | _]} =
        lists:partition(fun(#{node := N}) -> N =:= Node end, Workers),
    Writer = quorate_ct:on(Owner, fun() -> spawn(fun() -> count(Pid, 0) end) end),
    true = quorate_ct:await(writing, fun() -> on_child(Other, Pid, get) > 20 end),
    ok = quorate_ct:signal(OsPid, "STOP"),
    {Took, {NewEpoch, New}} = quorate_ct:take_time(fun() ->
        await_epoch_after(Client, M, <<"frozen">>, Epoch)
    end),
    ct:pal("owner elsewhere after ~b ms", [Took]),
    ?assert(Took > 2500),
    ?assert(Took < ?MOVED_MS),
    ?assert(node(New) =/= Node),
    #{state := {ok, Inherited}} = on_child(Other, New, context),
    [{ok, N} = on_child(Other, New, add) || N <- lists:seq(Inherited + 1, Inherited + 10)],
    ok = quorate_ct:signal(OsPid, "CONT"),
    true = quorate_ct:await(old_copy_ended, fun() ->
        not quorate_ct:call(Owner, erlang, is_process_alive, [Pid])
    end),
    %% What it was told before the freeze was kept, and nothing was told after.
    Last = quorate_ct:on(Owner, fun() ->
        Writer ! {last, self()},
        receive {last, N} -> N end
    end),
    ?assert(Last =< Inherited),
    {ok, #{epoch := NewEpoch, pid := New}} = sandbox(Client, M, <<"frozen">>),
    ?assertEqual(Inherited + 10, on_child(Other, New, get)),
    Count = Inherited + 10,
    ?assertMatch({ok, Count, {NewEpoch, 10}},
                 quorate_ct:call(Other, quorate, recover_state, [<<"frozen">>])),
    %% It comes back as a new worker, without what it had.
    _ = quorate_ct:await_worker(Client, M, Owner).

%% Counts until that fails, then says the last count that was acknowledged.
count(Pid, Last) ->
    try ct_counter:add(Pid) of
        {ok, Count} -> count(Pid, Count);
        {error, _} -> count_again(Pid, Last)
    catch
        exit:_ -> receive {last, From} -> From ! {last, Last} end
    end.

count_again(Pid, Last) ->
    receive
        {last, From} -> From ! {last, Last}
    after 10 -> count(Pid, Last)
    end.

member_of_a_worker_killed(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    {W, Victim, [Other | _]} = worker_at_follower(Config),
    #{lease := Lease} = quorate_ct:await_worker(Client, Other, W),
    #{node := Attached} = Victim,
    Ids = [<<"keeps-", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 12)],
    Before = [{Id, Epoch, Pid}
              || Id <- Ids, {ok, #{epoch := Epoch, pid := Pid}} <- [create(W, Id)]],
    12 = length(Before),
    ok = quorate_ct:kill_member(Context, Victim),
    #{node := Node} = W,
    #{lease := Now} = quorate_ct:await(attached_elsewhere, fun() ->
        case quorate_ct:ask(Client, Other, {quorate, workers}, []) of
            Rows when is_list(Rows) ->
                case [R || #{name := N, member := Mm, up := true} = R <- Rows, N =:= Node,
                           Mm =/= Attached] of
                    [Row] -> {true, Row};
                    [] -> false
                end;
            _ -> false
        end
    end),
    ?assertEqual(Lease, Now),
    %% Longer than a lease: it must have been renewed by the new member.
    ok = renewed_for(W, 5000),
    [?assertMatch({ok, #{epoch := Epoch, pid := Pid, status := running}},
                  sandbox(Client, Other, Id)) || {Id, Epoch, Pid} <- Before],
    ?assertMatch({ok, _}, create(W, <<"keeps-13">>)),
    _ = quorate_ct:start_member(Context, Victim),
    quorate_ct:await_leader(Client, Members).

%% The link is up and nothing comes: the worker asks another member in time.
member_of_a_worker_frozen(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    {W, Victim, [Other | _]} = worker_at_follower(Config),
    #{node := Attached} = Victim,
    Ids = [<<"slow-", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 12)],
    Before = [{Id, Epoch, Pid}
              || Id <- Ids, {ok, #{epoch := Epoch, pid := Pid}} <- [create(W, Id)]],
    OsPid = member_os_pid(Context, Victim),
    ok = quorate_ct:signal(OsPid, "STOP"),
    #{node := Node} = W,
    true = quorate_ct:await(attached_elsewhere, fun() ->
        case quorate_ct:ask(Client, Other, {quorate, workers}, []) of
            Now when is_list(Now) ->
                [] =/= [R || #{name := N, member := Mm, up := true} = R <- Now, N =:= Node,
                             Mm =/= Attached];
            _ -> false
        end
    end),
    ok = renewed_for(W, 3000),
    [?assertMatch({ok, #{epoch := Epoch, pid := Pid, status := running}},
                  sandbox(Client, Other, Id)) || {Id, Epoch, Pid} <- Before],
    ok = quorate_ct:signal(OsPid, "CONT"),
    _ = quorate_ct:await_leader(Client, Members),
    %% What it slept through does not confuse it.
    [?assertMatch({ok, #{epoch := Epoch, pid := Pid, status := running}},
                  sandbox(Client, Victim, Id)) || {Id, Epoch, Pid} <- Before].

%% A worker that is attached to a follower, so that no election is in the way;
%% that member, and the others.
worker_at_follower(Config) ->
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    {#{node := Leader}, _} = quorate_ct:leader(Client, Members),
    Rows = [{W, quorate_ct:await_worker(Client, hd(Members), W)} || W <- ?config(workers, Config)],
    [{Worker, At} | _] = [{W, A} || {W, #{member := A}} <- Rows, A =/= Leader],
    {[Member], Others} = lists:partition(fun(#{node := N}) -> N =:= At end, Members),
    {Worker, Member, Others}.

member_os_pid(Context, #{node := Node}) ->
    [Name, _] = string:split(atom_to_list(Node), "@"),
    quorate_ct:os_pid(Context, Name).

%% A leader that wakes up is none any more, and what it thought it had is not
%% acknowledged.
leader_frozen(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    {Leader, [Other | _] = Others} = quorate_ct:leader(Client, Members),
    OsPid = member_os_pid(Context, Leader),
    ok = quorate_ct:signal(OsPid, "STOP"),
    Tell = self(),
    Asker = spawn_link(fun() ->
        Answer = quorate_ct:ask(Client, Leader, {quorate, create_sandbox},
                                [<<"asked asleep">>, ct_counter:spec()]),
        Tell ! {self(), Answer}
    end),
    true = quorate_ct:await(new_leader, fun() ->
        #{node := Old} = Leader,
        case [quorate_ct:ask(Client, M, {quorate, status}, []) || M <- Others] of
            [#{leader := L, quorum := true}, #{leader := L}] -> L =/= undefined andalso L =/= Old;
            _ -> false
        end
    end),
    {ok, #{epoch := Epoch}} = quorate_ct:await(created, fun() ->
        case quorate_ct:ask(Client, Other, {quorate, create_sandbox},
                            [<<"asked awake">>, ct_counter:spec()]) of
            {ok, _} = Ok -> {true, Ok};
            {error, {already_exists, Sandbox}} -> {true, {ok, Sandbox}};
            {error, _} -> false
        end
    end),
    ok = quorate_ct:signal(OsPid, "CONT"),
    _ = quorate_ct:await_leader(Client, Members),
    {ok, #{epoch := Epoch}} = sandbox(Client, Leader, <<"asked awake">>),
    receive
        {Asker, {ok, #{epoch := Late}}} ->
            {ok, #{epoch := Late}} = sandbox(Client, Other, <<"asked asleep">>);
        {Asker, {error, _}} ->
            ok;
        {Asker, {badrpc, _}} ->
            ok
    end.

%% Until so much time has passed; the lease is what is waited for.
renewed_for(W, Ms) ->
    Until = erlang:monotonic_time(millisecond) + Ms,
    true = quorate_ct:await(renewals, fun() ->
        is_list(quorate_ct:call(W, quorate, workers, [])) andalso
            erlang:monotonic_time(millisecond) > Until
    end),
    ok.

leader_killed(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    [W | _] = ?config(workers, Config),
    {ok, #{epoch := Epoch, pid := Pid}} = create(W, <<"before">>),
    {ok, 1} = on_child(W, Pid, add),
    {Leader, Others} = quorate_ct:leader(Client, Members),
    ok = quorate_ct:kill_member(Context, Leader),
    {Took, _} = quorate_ct:take_time(fun() ->
        quorate_ct:await(created_again, fun() ->
            case create(W, <<"after">>) of
                {ok, _} -> true;
                {error, {already_exists, #{status := running}}} -> true;
                {error, _} -> false
            end
        end)
    end),
    ct:pal("a new leader created after ~b ms", [Took]),
    ?assert(Took < 10000),
    _ = quorate_ct:await_leader(Client, Others),
    %% If the election took so long that the lease was over, it was started again,
    %% and it is none the worse for it.
    {Now, Owner} = quorate_ct:await(still_there, fun() ->
        case sandbox(Client, hd(Others), <<"before">>) of
            {ok, #{epoch := E, pid := P, status := running}} -> {true, {E, P}};
            _ -> false
        end
    end),
    ?assert({Now, Owner} =:= {Epoch, Pid} orelse Now > Epoch),
    ?assertEqual(1, on_child(W, Owner, get)),
    _ = quorate_ct:start_member(Context, Leader),
    quorate_ct:await_leader(Client, Members).

%% A stop of the application is no death: the sandboxes are where they can run
%% before any lease could have ended.
planned_stop_hands_over(Config) ->
    Client = ?config(client, Config),
    [M | _] = ?config(members, Config),
    [First | _] = Workers = ?config(workers, Config),
    {ok, #{worker := Node, pid := Pid, epoch := Epoch}} = create(First, <<"handed">>),
    {[Owner], [Other | _]} = lists:partition(fun(#{node := N}) -> N =:= Node end, Workers),
    {ok, 1} = on_child(Other, Pid, add),
    {Took, {_, New}} = quorate_ct:take_time(fun() ->
        ok = quorate_ct:call(Owner, application, stop, [quorate]),
        await_epoch_after(Client, M, <<"handed">>, Epoch)
    end),
    ?assert(Took < 2500),
    ?assert(node(New) =/= Node),
    ?assertEqual(1, on_child(Other, New, get)),
    ?assertNot(quorate_ct:call(Owner, erlang, is_process_alive, [Pid])).

%% Names

via_names(Config) ->
    [W1, W2 | _] = ?config(workers, Config),
    {ok, Pid} = start_named(W1, {via, quorate, {my, name}}),
    ?assertEqual(Pid, quorate_ct:call(W2, quorate, whereis_name, [{my, name}])),
    ?assertMatch({ok, Pid, Epoch} when is_integer(Epoch),
                 quorate_ct:call(W2, quorate, whereis, [{my, name}])),
    ?assertEqual(0, quorate_ct:call(W2, gen_server, call, [{via, quorate, {my, name}}, get])),
    ok = quorate_ct:call(W2, quorate, unregister_name, [{my, name}]),
    ?assertEqual(undefined, quorate_ct:call(W1, quorate, whereis_name, [{my, name}])),
    ?assertExit({badarg, _}, quorate_ct:call(W1, quorate, send, [{my, name}, hello])).

name_conflict(Config) ->
    [W1, W2, W3] = ?config(workers, Config),
    {ok, Pid} = start_named(W1, {via, quorate, <<"taken">>}),
    [?assertEqual({error, {already_started, Pid}}, start_named(W, {via, quorate, <<"taken">>}))
     || W <- [W1, W2, W3]],
    %% Many at once: one wins.
    Tell = self(),
    Callers = [spawn_link(fun() -> Tell ! {self(), start_named(W, {via, quorate, raced})} end)
               || W <- [W1, W2, W3], _ <- lists:seq(1, 5)],
    Answers = [receive {Caller, Answer} -> Answer end || Caller <- Callers],
    [Winner] = [P || {ok, P} <- Answers],
    ?assertEqual(Winner, quorate_ct:call(W2, quorate, whereis_name, [raced])),
    ?assertEqual(14, length([lost || {error, {already_started, P}} <- Answers, P =:= Winner])).

name_of_a_process_that_ended(Config) ->
    [W1, W2 | _] = ?config(workers, Config),
    {ok, Pid} = start_named(W1, {via, quorate, short}),
    true = quorate_ct:call(W1, erlang, exit, [Pid, kill]),
    true = quorate_ct:await(name_is_free, fun() ->
        quorate_ct:call(W2, quorate, whereis_name, [short]) =:= undefined
    end),
    {ok, _} = start_named(W2, {via, quorate, short}).

name_of_a_dead_worker(Config) ->
    [W1, W2 | _] = ?config(workers, Config),
    {ok, _} = start_named(W1, {via, quorate, orphan}),
    ok = quorate_ct:kill_node(?config(context, Config), W1),
    true = quorate_ct:await(name_is_free, fun() ->
        quorate_ct:call(W2, quorate, whereis_name, [orphan]) =:= undefined
    end),
    {ok, _} = start_named(W2, {via, quorate, orphan}).

register_by_hand(Config) ->
    Client = ?config(client, Config),
    [M | _] = ?config(members, Config),
    [W1, W2 | _] = ?config(workers, Config),
    P1 = idle(W1),
    P2 = idle(W2),
    {ok, Epoch} = quorate_ct:call(W1, quorate, register, [by_hand, P1, #{colour => blue}]),
    ?assertEqual({error, {already_exists, P1}},
                 quorate_ct:call(W2, quorate, register, [by_hand, P2, #{}])),
    ?assertEqual({ok, P1, Epoch}, quorate_ct:call(W2, quorate, whereis, [by_hand])),
    ?assertEqual({error, not_found}, quorate_ct:call(W2, quorate, unregister, [by_hand, P2])),
    ?assertEqual(ok, quorate_ct:call(W1, quorate, unregister, [by_hand, P1])),
    {ok, Next} = quorate_ct:call(W2, quorate, register, [by_hand, P2, #{}]),
    ?assert(Next > Epoch),
    %% A process whose node has no lease cannot have a name.
    Stranger = quorate_ct:call(Client, erlang, whereis, [init]),
    ?assertEqual({error, {badarg, not_a_worker}},
                 quorate_ct:ask(Client, M, {consistency_manager, register}, [x, Stranger, #{}])),
    ?assertMatch({error, {badarg, _}},
                 quorate_ct:ask(Client, M, {consistency_manager, register},
                                [binary:copy(<<"n">>, 300), P1, #{}])).

%% Quorum

majority_lost(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [A, B, C] = Members = ?config(members, Config),
    [W | _] = ?config(workers, Config),
    {ok, #{epoch := Epoch, pid := Pid}} = create(W, <<"waits">>),
    {ok, 1} = on_child(W, Pid, add),
    ok = quorate_ct:kill_member(Context, B),
    ok = quorate_ct:kill_member(Context, C),
    true = quorate_ct:await(quorum_gone, fun() ->
        quorate_ct:ask(Client, A, {quorum_manager, has_quorum}, []) =:= false
    end),
    true = quorate_ct:await(partition, fun() ->
        quorate_ct:ask(Client, A, {partition_detector, detect_partition}, []) =:= major_partition
    end),
    Times = [begin
         {Took, Answer} = quorate_ct:take_time(fun() -> quorate_ct:ask(Client, A, Fun, Args) end),
         ?assertEqual({Fun, {error, no_quorum}}, {Fun, Answer}),
         Took
     end || {Fun, Args} <- [{{quorate, create_sandbox}, [<<"none">>, ct_counter:spec()]},
                            {{quorate, sandbox}, [<<"waits">>]},
                            {{quorate, stop_sandbox}, [<<"waits">>]},
                            {{consistency_manager, whereis}, [waits]},
                            {{quorum_manager, token}, []},
                            {{state_replicator, recover_state}, [<<"waits">>]}]],
    ct:pal("no_quorum after ~w ms", [Times]),
    %% One of them may meet a machine that is busy.
    ?assert(lists:nth(3, lists:sort(Times)) < ?NO_QUORUM_MS),
    ?assertMatch({error, Why} when Why =:= no_quorum; Why =:= timeout,
                 quorate_ct:ask(Client, A, {state_replicator, replicate_state},
                                [<<"waits">>, Epoch, 5, #{timeout => 3000}])),
    %% What it knows it still tells, as what it is.
    ?assertMatch({ok, #{id := <<"waits">>}},
                 quorate_ct:ask(Client, A, {quorate, sandbox},
                                [<<"waits">>, #{consistency => local}])),
    %% No lease can be renewed: the worker ends what it runs.
    true = quorate_ct:await(stopped_without_lease, fun() -> not is_alive(Config, Pid) end),
    _ = quorate_ct:start_member(Context, B),
    _ = quorate_ct:start_member(Context, C),
    _ = quorate_ct:await_leader(Client, Members),
    {NewEpoch, New} = await_epoch_after(Client, A, <<"waits">>, Epoch),
    ?assert(NewEpoch > Epoch),
    ?assert(on_child(W, New, get) >= 1),
    ?assertMatch({ok, _}, create(W, <<"works again">>)).

%% Everything at once

%% Twenty counters, each of which says a count once it is saved; workers and
%% members are killed and frozen in turn. No count is said twice, none is less
%% than one before.
counts_never_go_back(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [M | _] = Members = ?config(members, Config),
    Workers = ?config(workers, Config),
    Nodes = [N || #{node := N} <- Members],
    Ids = [<<"chaos-", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 20)],
    [{ok, _} = create(hd(Workers), Id) || Id <- Ids],
    Load = [ct_load:start(Client, {counts, Nodes, Id}) || Id <- Ids],
    Seed = erlang:system_time(),
    ct:pal("seed ~b", [Seed]),
    _ = rand:seed(exsss, Seed),
    Left = lists:foldl(fun(N, Present) -> fault(Config, N, Present) end, Workers, lists:seq(1, 12)),
    _ = quorate_ct:await_leader(Client, Members),
    Before = ct_load:progress(Load),
    _ = [quorate_ct:await({runs_again, Id}, fun() ->
             case sandbox(Client, M, Id) of
                 {ok, #{status := running}} -> true;
                 _ -> false
             end
         end) || Id <- Ids],
    true = quorate_ct:await(progress, fun() -> ct_load:progress(Load) > Before + 20 end),
    Counts = [ct_load:stop(L) || L <- Load],
    ct:pal("counts: ~w", [[ct_load:count(C) || C <- Counts]]),
    [?assertEqual([], ct_load:lost(Client, Nodes, C)) || C <- Counts],
    _ = [quorate_ct:kill_node(Context, W) || W <- Left],
    ok.

%% One fault, and the workers that are there after it.
fault(Config, N, [First | Others] = Workers) ->
    Context = ?config(context, Config),
    Members = ?config(members, Config),
    Member = lists:nth(rand:uniform(3), Members),
    case rand:uniform(4) of
        1 ->
            ok = quorate_ct:kill_node(Context, First),
            Name = "counts_never_go_back_x" ++ integer_to_list(N),
            Others ++ [quorate_ct:worker(Context, Name, Members, ?CAPACITY)];
        2 ->
            #{os_pid := OsPid} = First,
            ok = freeze(OsPid, 500 + rand:uniform(5000)),
            Others ++ [First];
        3 ->
            ok = quorate_ct:kill_member(Context, Member),
            _ = quorate_ct:start_member(Context, Member),
            ok = renewed_for(hd(Workers), rand:uniform(2000)),
            Workers;
        4 ->
            ok = freeze(member_os_pid(Context, Member), rand:uniform(3000)),
            Workers
    end.

%% The time is the fault itself.
freeze(OsPid, Ms) ->
    ok = quorate_ct:signal(OsPid, "STOP"),
    receive
    after Ms -> ok
    end,
    quorate_ct:signal(OsPid, "CONT").

%% Internals

create(W, Id) ->
    create(W, Id, #{}).

create(W, Id, Options) ->
    quorate_ct:call(W, quorate, create_sandbox, [Id, ct_counter:spec(), Options]).

sandbox(Client, M, Id) ->
    quorate_ct:ask(Client, M, {quorate, sandbox}, [Id]).

%% Until it runs under a greater epoch: that epoch, and the process.
await_epoch_after(Client, M, Id, Epoch) ->
    quorate_ct:await({new_owner, Id}, fun() ->
        case sandbox(Client, M, Id) of
            {ok, #{epoch := E, pid := Pid, status := running}} when E > Epoch -> {true, {E, Pid}};
            _ -> false
        end
    end).

%% Asks a child from any worker; they are connected when they need to be.
on_child(W, Pid, Function) ->
    quorate_ct:call(W, ct_counter, Function, [Pid]).

is_alive(Config, Pid) ->
    [Owner] = [W || #{node := N} = W <- ?config(workers, Config), N =:= node(Pid)],
    quorate_ct:call(Owner, erlang, is_process_alive, [Pid]).

%% Started in a process that does not end with the call.
start_named(W, Name) ->
    quorate_ct:on(W, fun() ->
        gen_server:start(Name, ct_counter, {#{}, #{state => undefined}}, [])
    end).

idle(W) ->
    quorate_ct:on(W, fun() -> spawn(fun() -> receive stop -> ok end end) end).
