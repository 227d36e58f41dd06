%% SPDX-License-Identifier: Apache-2.0
%% Members come and go while work goes on: nothing that was acknowledged is lost,
%% and nobody waits for long. And those who may not come in are told why.
-module(membership_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(GAP_MS, 2000).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [one_grows_to_five_under_load, new_member_killed_while_it_learns, nobody_there,
     member_of_another_cluster, different_voters, lost_disk_under_the_old_name, two_adds_at_once,
     one_is_removed_and_added_again, leader_is_removed, five_become_three, states_keep_a_member,
     lost_member_is_replaced, waits_until_it_is_added, beside_an_erlang_node,
     directory_of_another_start, not_for_everybody, by_command].

init_per_suite(Config) ->
    Context = quorate_ct:start(membership),
    [{context, Context} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

%% Each case has members of its own: names that begin with the case's letter.
init_per_testcase(Case, Config) ->
    Letter = [$a + length(lists:takewhile(fun(Name) -> Name =/= Case end, all()))],
    Client = quorate_ct:node(?config(context, Config), Letter ++ "client"),
    [{letter, Letter}, {client, Client} | Config].

end_per_testcase(_, Config) ->
    quorate_ct:end_all(?config(context, Config)).

%% Growing

one_grows_to_five_under_load(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [First] = founders(Config, ["1"]),
    Worker = quorate_ct:worker(Context, "grow_w", [First], #{}),
    _ = quorate_ct:await_worker(Client, First, Worker),
    {ok, #{epoch := Epoch}} = create(Config, First, <<"state">>),
    Nodes = [node_of(First)],
    Load = [ct_load:start(Client, {states, Nodes, <<"state">>, Epoch}),
            ct_load:start(Client, {creations, Nodes}),
            ct_load:start(Worker, {names, grow})],
    ok = goes_on(Load),
    All = lists:foldl(fun(Number, Members) ->
        New = joiner(Config, Number, Members),
        {ok, Told} = add(Config, hd(Members), New),
        ?assertEqual(lists:sort([node_of(M) || M <- [New | Members]]), lists:sort(Told)),
        ok = goes_on(Load),
        Members ++ [New]
    end, [First], ["2", "3", "4", "5"]),
    ?assert(ct_load:longest_gap(Load) < ?GAP_MS),
    _ = quorate_ct:await_leader(Client, All),
    Voters = [{N, voter} || N <- lists:sort([node_of(M) || M <- All])],
    [?assertEqual(Voters, standings(Config, M)) || M <- All],
    %% What is new has replicas among all five, and the worker knows them all.
    {ok, _} = create(Config, First, <<"wide">>, #{rf => 5}),
    {ok, Replicas} = quorate_ct:ask(Client, First, {state_replicator, replicas}, [<<"wide">>]),
    ?assertEqual(5, length(Replicas)),
    true = quorate_ct:await(worker_knows_all, fun() ->
        lists:sort(quorate_ct:call(Worker, quorate_local, members, []))
            =:= lists:sort([node_of(M) || M <- All])
    end),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    %% All of it is there again after all were killed at once, the first one of
    %% which was told of no others.
    [quorate_ct:kill_member(Context, M) || M <- All],
    [quorate_ct:start_member(Context, M) || M <- All],
    _ = quorate_ct:await_leader(Client, All),
    ?assertEqual([], lost(Client, All, Acknowledged)),
    %% And without the one that was first.
    quorate_ct:kill_member(Context, First),
    _ = quorate_ct:await_leader(Client, tl(All)),
    {ok, _} = quorate_ct:ask(Client, lists:last(All), {quorum_manager, token}, []).

new_member_killed_while_it_learns(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [A | _] = Members = founders(Config, ["1", "2", "3"]),
    Worker = quorate_ct:worker(Context, "learn_w", Members, #{}),
    _ = quorate_ct:await_worker(Client, A, Worker),
    Load = [ct_load:start(Client, {creations, [node_of(M) || M <- Members]}),
            ct_load:start(Worker, {names, learn})],
    ok = goes_on(Load),
    New = joiner(Config, "4", Members),
    lists:foreach(fun(DelayMs) ->
        Self = self(),
        Adder = spawn_link(fun() -> Self ! {self(), add(Config, A, New, 8000)} end),
        receive after DelayMs -> ok end,
        ok = quorate_ct:kill_member(Context, New),
        _ = quorate_ct:start_member(Context, New),
        receive
            {Adder, {ok, _}} -> ok;
            {Adder, {error, Reason}} ->
                ?assert(lists:member(Reason, [stalled, too_slow, timeout, unreachable,
                                              already_member, busy]))
        end,
        ok = goes_on(Load)
    end, [5, 20, 60]),
    true = quorate_ct:await(added, fun() ->
        case add(Config, A, New) of
            {ok, Voters} -> length(Voters) =:= 4;
            {error, already_member} -> true;
            {error, _} -> false
        end
    end),
    ?assert(ct_load:longest_gap(Load) < ?GAP_MS),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    _ = quorate_ct:await_leader(Client, [New | Members]),
    ?assertEqual([], lost(Client, [New | Members], Acknowledged)).

two_adds_at_once(Config) ->
    [A | _] = Members = founders(Config, ["1", "2", "3"]),
    New = [joiner(Config, N, Members) || N <- ["4", "5"]],
    Self = self(),
    Adders = [spawn_link(fun() -> Self ! {self(), add(Config, A, M)} end) || M <- New],
    Answers = [receive {Adder, Answer} -> Answer end || Adder <- Adders],
    [?assert(Answer =:= {error, busy} orelse element(1, Answer) =:= ok) || Answer <- Answers],
    ?assertMatch([_ | _], [V || {ok, V} <- Answers]),
    [true = quorate_ct:await(added, fun() ->
        case add(Config, A, M) of
            {error, already_member} -> true;
            {ok, _} -> true;
            {error, busy} -> false
        end
    end) || M <- New],
    _ = quorate_ct:await_leader(?config(client, Config), New ++ Members).

%% Removing

one_is_removed_and_added_again(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [A, B, C] = Members = founders(Config, ["1", "2", "3"]),
    Worker = quorate_ct:worker(Context, "again_w", [C, A, B], #{}),
    #{member := Attached} = quorate_ct:await_worker(Client, A, Worker),
    ?assertEqual(node_of(C), Attached),
    {ok, #{epoch := Epoch}} = create(Config, A, <<"kept">>),
    Nodes = [node_of(M) || M <- [A, B]],
    Load = [ct_load:start(Client, {states, Nodes, <<"kept">>, Epoch}),
            ct_load:start(Client, {creations, Nodes}), ct_load:start(Worker, {names, again})],
    ok = goes_on(Load),
    {ok, Left} = remove(Config, A, C),
    ?assertEqual(lists:sort(Nodes), lists:sort(Left)),
    _ = quorate_ct:await_leader(Client, [A, B]),
    ?assertEqual({error, not_found}, remove(Config, A, C)),
    true = logs(Config, C, <<"this member was removed from the cluster">>),
    %% Its worker goes to another one, and loses nothing on the way.
    true = quorate_ct:await(moved, fun() ->
        [node_of(C)] =/= [M || #{member := M} <- quorate_ct:ask(Client, A, {quorate, workers}, [])]
    end),
    ok = goes_on(Load),
    ?assertMatch({ok, #{epoch := Epoch, status := running}},
                 quorate_ct:ask(Client, A, {quorate, sandbox}, [<<"kept">>])),
    %% With its directory it is the same member again.
    {ok, Again} = add(Config, A, C),
    ?assertEqual(3, length(Again)),
    ok = goes_on(Load),
    ?assert(ct_load:longest_gap(Load) < ?GAP_MS),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    _ = quorate_ct:await_leader(Client, Members),
    ?assertEqual([], lost(Client, Members, Acknowledged)).

leader_is_removed(Config) ->
    Client = ?config(client, Config),
    Members = founders(Config, ["1", "2", "3"]),
    {Leader, [A, B] = Others} = quorate_ct:leader(Client, Members),
    Worker = quorate_ct:worker(?config(context, Config), "leader_w", Members, #{}),
    _ = quorate_ct:await_worker(Client, A, Worker),
    Load = [ct_load:start(Client, {creations, [node_of(M) || M <- Others]})],
    ok = goes_on(Load),
    {ok, Left} = remove(Config, A, Leader),
    ok = goes_on(Load),
    ?assertEqual(lists:sort([node_of(M) || M <- Others]), lists:sort(Left)),
    _ = quorate_ct:await_leader(Client, [A, B]),
    ?assertEqual([{N, voter} || N <- lists:sort(Left)],
                 quorate_ct:await(forgotten, fun() ->
                     case standings(Config, A) of
                         [_, _] = Two -> {true, Two};
                         _ -> false
                     end
                 end)),
    ?assert(ct_load:longest_gap(Load) < ?GAP_MS),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    ?assertEqual([], lost(Client, Others, Acknowledged)).

five_become_three(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [A, B, C, D, E] = founders(Config, ["1", "2", "3", "4", "5"]),
    Worker = quorate_ct:worker(Context, "five_w", [A, B, C], #{}),
    _ = quorate_ct:await_worker(Client, A, Worker),
    Load = [ct_load:start(Worker, {names, five})],
    ok = goes_on(Load),
    {ok, [_, _, _, _]} = remove(Config, A, E),
    ok = goes_on(Load),
    {ok, [_, _, _] = Three} = remove(Config, B, D),
    ok = goes_on(Load),
    ?assertEqual(lists:sort([node_of(M) || M <- [A, B, C]]), lists:sort(Three)),
    [quorate_ct:kill_member(Context, M) || M <- [D, E]],
    ?assert(ct_load:longest_gap(Load) < ?GAP_MS),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    [quorate_ct:kill_member(Context, M) || M <- [A, B, C]],
    [quorate_ct:start_member(Context, M) || M <- [A, B, C]],
    _ = quorate_ct:await_leader(Client, [A, B, C]),
    ?assertEqual([], lost(Client, [A, B, C], Acknowledged)).

states_keep_a_member(Config) ->
    Client = ?config(client, Config),
    [First] = founders(Config, ["1"]),
    Worker = quorate_ct:worker(?config(context, Config), "keep_w", [First], #{}),
    _ = quorate_ct:await_worker(Client, First, Worker),
    [{ok, _} = create(Config, First, Id) || Id <- [<<"one">>, <<"two">>]],
    ?assertEqual({error, last_member}, remove(Config, First, First)),
    Second = joiner(Config, "2", [First]),
    {ok, _} = add(Config, First, Second),
    %% Both sandboxes have their only replica there.
    ?assertEqual({error, {holds_states, 2}}, remove(Config, Second, First)),
    {78, <<>>, Text} = command(Config, First, ["member", "remove", atom_to_list(node_of(First))]),
    ?assertMatch({_, _}, binary:match(Text, <<"too few replicas">>)),
    [ok = quorate_ct:ask(Client, First, {quorate, stop_sandbox}, [Id])
     || Id <- [<<"one">>, <<"two">>]],
    {ok, Left} = remove(Config, Second, First),
    ?assertEqual([node_of(Second)], Left),
    _ = quorate_ct:await_leader(Client, [Second]).

lost_member_is_replaced(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [A, B, C] = Members = founders(Config, ["1", "2", "3"]),
    true = quorate_ct:await(known, fun() -> all_known(A) end),
    quorate_ct:kill_member(Context, C),
    ok = file:del_dir_r(maps:get(dir, C)),
    Join = lists:append([["--join", lists:flatten(io_lib:format("~s=127.0.0.1:~b", [N, P]))]
                         || #{node := N, port := P} <- [A, B]]),
    New = quorate_ct:start_member(Context, C#{args := Join}),
    true = logs(Config, New, <<"remove the member and add it again">>),
    {ok, [_, _]} = remove(Config, A, New),
    true = quorate_ct:await(added, fun() ->
        case add(Config, A, New) of
            {ok, Three} -> length(Three) =:= 3;
            {error, {refused, _}} -> false
        end
    end),
    _ = quorate_ct:await_leader(Client, Members).

waits_until_it_is_added(Config) ->
    Client = ?config(client, Config),
    [First] = founders(Config, ["1"]),
    New = joiner(Config, "2", [First]),
    true = logs(Config, New, <<"event=cluster_found">>),
    ?assertMatch(#{role := learner, quorum := false, members := 0},
                 quorate_ct:ask(Client, New, {quorate, status}, [])),
    %% The first member counts one as before, and one is enough.
    ?assertMatch(#{members := 1, quorum := true},
                 quorate_ct:ask(Client, First, {quorate, status}, [])),
    {ok, [_, _]} = add(Config, First, New),
    {error, already_member} = add(Config, First, New),
    %% Names and addresses may come as strings and atoms, and wrong ones are named.
    Add = fun(Args) -> quorate_ct:ask(Client, New, {quorum_manager, add_member}, Args) end,
    ?assertEqual({error, already_member},
                 Add([atom_to_list(node_of(New)), #{address => "127.0.0.1:1"}])),
    ?assertEqual({error, {badarg, node}}, Add([nohost, #{address => "127.0.0.1:1"}])),
    ?assertEqual({error, {badarg, address}}, Add([a@b, #{address => "127.0.0.1"}])),
    ?assertEqual({error, {badarg, address}}, Add([a@b, #{}])).

%% The member of an application joins, too: its node is served by the others until
%% then.
beside_an_erlang_node(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [#{node := FirstNode, port := FirstPort} = First] = founders(Config, ["1"]),
    #{node := Node, port := Port, dir := Dir} = Own = member(Config, "2", []),
    Worker = quorate_ct:node(Context, ?config(letter, Config) ++ "_w"),
    ok = quorate_ct:call(Worker, application, load, [quorate]),
    ok = quorate_ct:call(Worker, application, set_env,
                         [[{quorate, [{name, Node}, {data_dir, Dir},
                                      {listen, {"127.0.0.1", Port}},
                                      {join, [{FirstNode, {"127.0.0.1", FirstPort}}]}]}]]),
    {ok, _} = quorate_ct:call(Worker, application, ensure_all_started, [quorate]),
    #{member := FirstNode} = quorate_ct:await_worker(Client, First, Worker),
    {ok, Voters} = quorate_ct:call(Worker, quorate, add_member,
                                   [Node, #{address => "127.0.0.1:" ++ integer_to_list(Port)}]),
    ?assertEqual([FirstNode, Node], lists:sort(Voters)),
    {ok, _} = quorate_ct:call(Worker, quorate, create_sandbox, [<<"here">>, ct_counter:spec()]),
    {ok, Both} = quorate_ct:ask(Client, Own, {state_replicator, replicas}, [<<"here">>]),
    ?assertEqual(lists:sort(Voters), lists:sort(Both)).

%% Who does not come in

nobody_there(Config) ->
    Client = ?config(client, Config),
    [First | _] = Members = founders(Config, ["1", "2", "3"]),
    Nobody = member(Config, "4", []),
    {Ms, Answer} = quorate_ct:take_time(fun() -> add(Config, First, Nobody) end),
    ?assertEqual({error, unreachable}, Answer),
    ?assert(Ms < 8000),
    ?assertEqual([{node_of(M), voter} || M <- Members], standings(Config, First)),
    {ok, _} = quorate_ct:ask(Client, First, {quorum_manager, token}, []).

member_of_another_cluster(Config) ->
    Client = ?config(client, Config),
    [First | _] = Members = founders(Config, ["1", "2", "3"]),
    [Other] = founders(Config, ["9"]),
    {error, {refused, Reason}} = add(Config, First, Other),
    ?assert(lists:member(Reason, [unknown_member, other_cluster])),
    true = logs(Config, Other, <<"event=member_refused">>),
    {Leader, _} = quorate_ct:leader(Client, Members),
    true = logs(Config, Leader, <<"event=refused_by_member">>),
    [?assertMatch(#{quorum := true, members := Count, role := _},
                  quorate_ct:ask(Client, M, {quorate, status}, []))
     || {M, Count} <- [{Other, 1}, {First, 3}]].

different_voters(Config) ->
    Context = ?config(context, Config),
    Names = [?config(letter, Config) ++ N || N <- ["1", "2", "3", "4"]],
    [V1, V2, V3, V4] = lists:zip(Names, quorate_ct:free_ports(4)),
    A = quorate_ct:start_member(Context, quorate_ct:member(Context, element(1, V1),
                                                           [V1, V2, V3], [])),
    B = quorate_ct:start_member(Context, quorate_ct:member(Context, element(1, V2),
                                                           [V1, V2, V4], [])),
    [true = logs(Config, M, <<"it is of another cluster; give all first voters the same">>)
     || M <- [A, B]],
    ?assertMatch(#{quorum := false},
                 quorate_ct:ask(?config(client, Config), A, {quorate, status}, [])).

lost_disk_under_the_old_name(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [A, B, C] = Members = founders(Config, ["1", "2", "3"]),
    _ = quorate_ct:await_leader(Client, Members),
    true = logs(Config, C, <<"event=member_up">>),
    %% Until all have written down whose directory is whose.
    true = quorate_ct:await(known, fun() -> all_known(C) end),
    quorate_ct:kill_member(Context, C),
    ok = file:del_dir_r(maps:get(dir, C)),
    _ = quorate_ct:start_member(Context, C),
    true = logs(Config, C, <<"the member of this name had another data directory">>),
    true = logs(Config, A, <<"not the data directory that the member of this name had">>),
    _ = quorate_ct:await_leader(Client, [A, B]),
    ?assertMatch(#{role := Role, quorum := false} when Role =/= leader,
                 quorate_ct:ask(Client, C, {quorate, status}, [])),
    ?assertMatch(#{members := 3, members_up := 2, quorum := true},
                 quorate_ct:ask(Client, A, {quorate, status}, [])).

directory_of_another_start(Config) ->
    Context = ?config(context, Config),
    [First] = founders(Config, ["1"]),
    New = joiner(Config, "2", [First]),
    true = logs(Config, New, <<"event=cluster_found">>),
    %% One that waits still has to be told for whom.
    quorate_ct:kill_member(Context, New),
    {78, Waiting} = quorate_ct:failed_start(Context, New#{args := []}),
    ?assertMatch({_, _}, binary:match(Waiting, <<"waits to be added to a cluster; say with">>)),
    _ = quorate_ct:start_member(Context, New),
    {ok, _} = add(Config, First, New),
    quorate_ct:kill_member(Context, First),
    Join = ["--join", atom_to_list(node_of(New)) ++ "=127.0.0.1:1"],
    {78, Founder} = quorate_ct:failed_start(Context, First#{args := Join}),
    ?assertMatch({_, _}, binary:match(Founder, <<"that of one of the first voters">>)),
    Strange = ["--member", atom_to_list(node_of(First)) ++ "=127.0.0.1:1",
               "--member", "x@127.0.0.1=127.0.0.1:2", "--member", "y@127.0.0.1=127.0.0.1:3"],
    {78, Foreign} = quorate_ct:failed_start(Context, First#{args := Strange}),
    ?assertMatch({_, _}, binary:match(Foreign, <<"belongs to another set of voters">>)),
    %% One that was added needs to be told nothing more.
    quorate_ct:kill_member(Context, New),
    [quorate_ct:start_member(Context, M) || M <- [First, New#{args := []}]],
    _ = quorate_ct:await_leader(?config(client, Config), [First, New]).

not_for_everybody(Config) ->
    Client = ?config(client, Config),
    [First] = founders(Config, ["1"], ["--role", "*client@*=worker"]),
    ?assertEqual({error, forbidden}, add(Config, First, member(Config, "2", []))),
    ?assertEqual({error, forbidden},
                 quorate_ct:ask(Client, First, {quorum_manager, remove_member},
                                [node_of(First)])).

by_command(Config) ->
    [First] = founders(Config, ["1"]),
    New = joiner(Config, "2", [First]),
    true = logs(Config, New, <<"event=cluster_found">>),
    Whom = lists:flatten(io_lib:format("~s=127.0.0.1:~b", [node_of(New), maps:get(port, New)])),
    {0, Table, <<>>} = command(Config, First, ["member", "add", Whom]),
    ?assertEqual(lists:sort([atom_to_binary(node_of(M)) || M <- [First, New]]),
                 lists:sort(tl(binary:split(Table, <<"\n">>, [global, trim])))),
    {78, <<>>, Again} = command(Config, First, ["member", "add", Whom]),
    ?assertMatch({_, _}, binary:match(Again, <<"it is a voter already">>)),
    {0, Rows, <<>>} = command(Config, New, ["members"]),
    [Title | Lines] = binary:split(Rows, <<"\n">>, [global, trim]),
    ?assertMatch({_, _}, binary:match(Title, <<"STANDING  ADDRESS">>)),
    [?assertMatch({_, _}, binary:match(Line, <<"voter     127.0.0.1:">>)) || Line <- Lines],
    ?assertEqual(2, length(Lines)).

%% Internals

node_of(#{node := Node}) -> Node.

founders(Config, Numbers) ->
    founders(Config, Numbers, []).

founders(Config, Numbers, Args) ->
    Names = [?config(letter, Config) ++ N || N <- Numbers],
    Members = quorate_ct:members(?config(context, Config), Names, Args),
    _ = quorate_ct:await_leader(?config(client, Config), Members),
    Members.

%% One that is to be added, not started.
member(Config, Number, Args) ->
    Name = ?config(letter, Config) ++ Number,
    [Port] = quorate_ct:free_ports(1),
    quorate_ct:member(?config(context, Config), Name, [{Name, Port}], Args).

joiner(Config, Number, Members) ->
    Join = [["--join", lists:flatten(io_lib:format("~s=127.0.0.1:~b", [N, P]))]
            || #{node := N, port := P} <- Members],
    New = quorate_ct:start_member(?config(context, Config),
                                  member(Config, Number, lists:append(Join))),
    true = logs(Config, New, <<"event=cluster_found">>),
    New.

add(Config, Member, New) ->
    add(Config, Member, New, 30000).

add(Config, #{node := Node}, #{node := New, port := Port}, TimeoutMs) ->
    Address = list_to_binary("127.0.0.1:" ++ integer_to_list(Port)),
    quorate_ct:call(?config(client, Config), rpc, call,
                    [Node, quorum_manager, add_member,
                     [New, #{address => Address, timeout => TimeoutMs}], TimeoutMs + 5000]).

remove(Config, #{node := Node}, #{node := Whom}) ->
    quorate_ct:call(?config(client, Config), rpc, call,
                    [Node, quorum_manager, remove_member, [Whom, #{timeout => 30000}], 35000]).

create(Config, Member, Id) ->
    create(Config, Member, Id, #{}).

create(Config, Member, Id, Options) ->
    quorate_ct:ask(?config(client, Config), Member, {quorate, create_sandbox},
                   [Id, ct_counter:spec(), Options]).

standings(Config, Member) ->
    lists:sort([{Name, Standing} || #{name := Name, standing := Standing} <-
                                        quorate_ct:ask(?config(client, Config), Member,
                                                       {quorate, members}, [])]).

goes_on(Load) ->
    Enough = ct_load:progress(Load) + 5 * length(Load),
    true = quorate_ct:await(load, fun() -> ct_load:progress(Load) >= Enough end),
    ok.

lost(Client, Members, Acknowledged) ->
    Nodes = [node_of(M) || M <- Members],
    true = quorate_ct:await(all_there, fun() ->
        lists:all(fun(A) -> [] =:= ct_load:lost(Client, Nodes, A) end, Acknowledged)
    end),
    [].

logs(Config, Member, Text) ->
    #{work := Work} = ?config(context, Config),
    [Name, _] = string:split(atom_to_list(node_of(Member)), "@"),
    quorate_ct:await({Text, Name}, fun() ->
        case file:read_file(filename:join(Work, Name ++ ".log")) of
            {ok, Log} -> binary:match(Log, Text) =/= nomatch;
            {error, enoent} -> false
        end
    end).

%% Whether the file of a member has the data directories of all of them.
all_known(#{dir := Dir}) ->
    {ok, Text} = file:read_file(filename:join(Dir, "identity")),
    Members = [L || <<"member ", L/binary>> <- binary:split(Text, <<"\n">>, [global])],
    Known = [L || L <- Members, binary:match(L, <<" 0000000000000000 ">>) =:= nomatch],
    Members =/= [] andalso Known =:= Members
        andalso binary:match(Text, <<"index 0\n">>) =:= nomatch.

command(Config, #{node := Node, port := Port}, Words) ->
    #{work := Work} = Context = ?config(context, Config),
    Target = lists:flatten(io_lib:format("~s=127.0.0.1:~b", [Node, Port])),
    quorate_ct:run(Context, quorate,
                   Words ++ ["--target", Target, "--cookie-file", filename:join(Work, "cookie")],
                   #{}).
