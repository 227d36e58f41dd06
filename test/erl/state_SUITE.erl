%% SPDX-License-Identifier: Apache-2.0
%% What was acknowledged is kept: states and names, through kill -9 of anything
%% and of everything.
-module(state_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(ROUNDS, 50).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [saved_and_recovered, numbers_of_an_epoch_grow, a_retry_is_no_second_write,
     without_a_number_the_next_is_taken, unknown_sandbox, stale_epoch_after_a_move,
     late_write_of_what_was_removed, deleted_state, large_state, many_writers_at_once,
     replicas_are_named, checkpoint_survives_kill, checkpoint_by_callback,
     one_member_of_three_is_missing, all_members_killed, kill_nine_fifty].

init_per_suite(Config) ->
    ct_cluster:start(quorate_ct:start(state), Config).

end_per_suite(Config) ->
    ct_cluster:stop(Config).

%% Leases that do not run out while a member is away for some seconds: what is
%% lost there would be lost by the members.
init_per_testcase(kill_nine_fifty, Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = [A, B, C] =
        quorate_ct:members(Context, ["k1", "k2", "k3"],
                           ["--ttl-owner-ms", "60000", "--stop-budget-ms", "1000",
                            "--ttl-leader-ms", "64000"]),
    _ = quorate_ct:await_leader(Client, Members),
    Workers = [quorate_ct:worker(Context, Name, Order, #{})
               || {Name, Order} <- [{"fifty_w1", [A, B, C]}, {"fifty_w2", [B, C, A]}]],
    _ = [quorate_ct:await_worker(Client, A, W) || W <- Workers],
    lists:keystore(members, 1, [{workers, Workers} | Config], {members, Members});
init_per_testcase(Case, Config) ->
    ct_cluster:workers(ct_cluster:names(Case, 2), #{}, [], Config).

end_per_testcase(kill_nine_fifty, Config) ->
    quorate_ct:end_all(?config(context, Config));
end_per_testcase(_, Config) ->
    ct_cluster:clear(Config).

%% Writing and reading

saved_and_recovered(Config) ->
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    ?assertEqual({error, not_found}, ask(Config, recover_state, [Id])),
    State = #{list => [1, 2.5, <<"three">>, {four, self()}], ref => make_ref(), big => 1 bsl 200,
              bits => <<5:3>>, atom => 'with space', fn => fun erlang:node/0},
    {ok, #{version := {Epoch, 1}, replicas := 3, durability := majority_disk}} =
        ask(Config, replicate_state, [Id, Epoch, State, #{seq => 1}]),
    [?assertEqual({ok, State, {Epoch, 1}}, ask(Config, M, recover_state, [Id]))
     || M <- ?config(members, Config)],
    %% In the end every replica has it.
    [true = quorate_ct:await(replica, fun() ->
         ask(Config, M, get_state, [Id]) =:= {ok, State, {Epoch, 1}}
     end) || M <- ?config(members, Config)],
    {ok, #{version := {Epoch, 2}}} = ask(Config, replicate_state, [Id, Epoch, [], #{seq => 2}]),
    ?assertEqual({ok, [], {Epoch, 2}}, ask(Config, recover_state, [Id])).

numbers_of_an_epoch_grow(Config) ->
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    {ok, _} = ask(Config, replicate_state, [Id, Epoch, five, #{seq => 5}]),
    ?assertEqual({error, {stale_version, {Epoch, 5}}},
                 ask(Config, replicate_state, [Id, Epoch, three, #{seq => 3}])),
    ?assertEqual({ok, five, {Epoch, 5}}, ask(Config, recover_state, [Id])),
    {ok, #{version := {Epoch, 9}}} = ask(Config, replicate_state, [Id, Epoch, nine, #{seq => 9}]),
    ?assertMatch({error, {badarg, _}},
                 ask(Config, replicate_state, [Id, Epoch, x, #{seq => -1}])),
    ?assertMatch({error, {badarg, {unknown_option, number}}},
                 ask(Config, replicate_state, [Id, Epoch, x, #{number => 10}])).

a_retry_is_no_second_write(Config) ->
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    [?assertMatch({ok, #{version := {Epoch, 1}}},
                  ask(Config, M, replicate_state, [Id, Epoch, first, #{seq => 1}]))
     || M <- ?config(members, Config)],
    ?assertEqual({ok, first, {Epoch, 1}}, ask(Config, recover_state, [Id])).

without_a_number_the_next_is_taken(Config) ->
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    [?assertMatch({ok, #{version := {Epoch, N}}}, ask(Config, M, replicate_state, [Id, Epoch, N]))
     || {N, M} <- lists:zip([1, 2, 3], ?config(members, Config))],
    ?assertEqual({ok, 3, {Epoch, 3}}, ask(Config, recover_state, [Id])).

unknown_sandbox(Config) ->
    [?assertEqual({error, not_found}, ask(Config, F, [<<"nobody">> | A]))
     || {F, A} <- [{replicate_state, [1, x]}, {recover_state, []}, {get_state, []},
                   {delete_state, [1]}, {replicas, []}]],
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    %% An epoch that nobody was ever granted.
    {error, Reason} = ask(Config, replicate_state, [Id, Epoch + 1000000, x, #{timeout => 500}]),
    ?assert(lists:member(Reason, [timeout, {stale_epoch, Epoch}])).

stale_epoch_after_a_move(Config) ->
    [A | _] = Members = ?config(members, Config),
    Client = ?config(client, Config),
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    {ok, _} = ask(Config, replicate_state, [Id, Epoch, old, #{seq => 1}]),
    {ok, #{worker := Node}} = quorate_ct:ask(Client, A, {quorate, sandbox}, [Id]),
    [Owner] = [W || #{node := N} = W <- ?config(workers, Config), N =:= Node],
    ok = quorate_ct:call(Owner, application, stop, [quorate]),
    NewEpoch = quorate_ct:await(moved, fun() ->
        case quorate_ct:ask(Client, A, {quorate, sandbox}, [Id]) of
            {ok, #{epoch := E, status := running}} when E > Epoch -> {true, E};
            _ -> false
        end
    end),
    [?assertEqual({error, {stale_epoch, NewEpoch}},
                  ask(Config, M, replicate_state, [Id, Epoch, stale, #{seq => 99}]))
     || M <- Members],
    ?assertEqual({error, {stale_epoch, NewEpoch}}, ask(Config, delete_state, [Id, Epoch])),
    {ok, old, {_, _}} = ask(Config, recover_state, [Id]),
    {ok, #{version := {NewEpoch, 1}}} =
        ask(Config, replicate_state, [Id, NewEpoch, new, #{seq => 1}]),
    ?assertEqual({ok, new, {NewEpoch, 1}}, ask(Config, recover_state, [Id])).

%% A member that did not run while the sandbox was removed takes the write for good;
%% the replicas, which have forgotten what they promised, do not. What is created under
%% the id later begins with nothing.
late_write_of_what_was_removed(Config) ->
    {Context, Client, Members} = {?config(context, Config), ?config(client, Config),
                                  ?config(members, Config)},
    Homes = lists:zip([N || #{node := N} <- ?config(workers, Config)],
                      lists:sublist(Members, length(?config(workers, Config)))),
    {Leader, Others} = quorate_ct:leader(Client, Members),
    Answers = [begin
        {Id, Epoch} = sandbox(Config, io_lib:format("removed-~b", [Round])),
        {ok, _} = ask(Config, replicate_state, [Id, Epoch, early, #{seq => 1}]),
        {ok, #{worker := Worker}} = quorate_ct:ask(Client, Leader, {quorate, sandbox}, [Id]),
        {Worker, Home} = lists:keyfind(Worker, 1, Homes),
        [#{node := Node} = Late | _] = Others -- [Home],
        OsPid = quorate_ct:os_pid(Context, hd(string:split(atom_to_list(Node), "@"))),
        ok = quorate_ct:signal(OsPid, "STOP"),
        Writer = quorate_ct:call(Client, ?MODULE, start_late_write, [Node, Id, Epoch]),
        Removed = quorate_ct:ask(Client, Leader, {quorate, stop_sandbox}, [Id]),
        ok = quorate_ct:signal(OsPid, "CONT"),
        ?assertEqual(ok, Removed),
        Answer = quorate_ct:call(Client, ?MODULE, await_late_write, [Writer]),
        {Id, _} = sandbox(Config, Id),
        ?assertEqual({error, not_found}, ask(Config, Late, recover_state, [Id])),
        Answer
    end || Round <- lists:seq(1, 10)],
    ?assertEqual([], [A || A <- Answers, element(1, A) =/= error]).

start_late_write(Node, Id, Epoch) ->
    spawn(fun() ->
        Answer = rpc:call(Node, state_replicator, replicate_state, [Id, Epoch, late, #{seq => 2}]),
        receive {await, From} -> From ! {self(), Answer} end
    end).

await_late_write(Writer) ->
    Writer ! {await, self()},
    receive {Writer, Answer} -> Answer after 20000 -> exit(no_answer) end.

deleted_state(Config) ->
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    {ok, _} = ask(Config, replicate_state, [Id, Epoch, gone_soon, #{seq => 1}]),
    ok = ask(Config, delete_state, [Id, Epoch]),
    ?assertEqual({error, not_found}, ask(Config, recover_state, [Id])),
    {ok, #{version := {Epoch, Seq}}} = ask(Config, replicate_state, [Id, Epoch, back]),
    ?assert(Seq > 1),
    ?assertEqual({ok, back, {Epoch, Seq}}, ask(Config, recover_state, [Id])).

large_state(Config) ->
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    Client = ?config(client, Config),
    [#{node := A}, #{node := B} | _] = ?config(members, Config),
    %% Made and compared on the client: it does not travel to us.
    quorate_ct:on(Client, fun() ->
        [begin
             State = random_bytes(Size, N),
             {ok, #{version := {Epoch, N}}} =
                 rpc:call(A, state_replicator, replicate_state, [Id, Epoch, State, #{seq => N}]),
             {ok, Back, {Epoch, N}} = rpc:call(B, state_replicator, recover_state, [Id]),
             ?assert(Back =:= State)
         end || {N, Size} <- [{1, 4 bsl 20}, {2, 100}, {3, 16 bsl 20}]],
        TooLarge = binary:copy(<<0>>, (64 bsl 20) + 1),
        Answer = rpc:call(A, state_replicator, replicate_state, [Id, Epoch, TooLarge, #{seq => 4}]),
        %% Either the call is refused or, past what a frame may have, the link.
        ?assertMatch({error_or_badrpc, true},
                     {error_or_badrpc, lists:member(element(1, Answer), [error, badrpc])}),
        {ok, _, {Epoch, 3}} = rpc:call(B, state_replicator, recover_state, [Id]),
        ok % The value would be written to the log of this test.
    end).

%% Bytes that no compression makes small, the same for the same seed.
random_bytes(Size, Seed) ->
    {Bytes, _} = rand:bytes_s(Size, rand:seed_s(exsss, Seed)),
    Bytes.

many_writers_at_once(Config) ->
    Client = ?config(client, Config),
    Nodes = [N || #{node := N} <- ?config(members, Config)],
    Boxes = [sandbox(Config, io_lib:format("many-~b", [N])) || N <- lists:seq(1, 12)],
    quorate_ct:on(Client, fun() ->
        Writers = [spawn_monitor(fun() ->
            [begin
                 M = lists:nth(1 + (Seq rem 3), Nodes),
                 {ok, #{version := {Epoch, Seq}}} =
                     rpc:call(M, state_replicator, replicate_state,
                              [Id, Epoch, {Id, Seq, binary:copy(<<"x">>, 4096)}, #{seq => Seq}])
             end || Seq <- lists:seq(1, 20)]
        end) || {Id, Epoch} <- Boxes],
        [receive {'DOWN', Ref, process, Pid, Reason} -> ?assertEqual(normal, Reason) end
         || {Pid, Ref} <- Writers],
        [?assertMatch({ok, {Id, 20, _}, {Epoch, 20}},
                      rpc:call(hd(Nodes), state_replicator, recover_state, [Id]))
         || {Id, Epoch} <- Boxes]
    end).

replicas_are_named(Config) ->
    {Id, _} = sandbox(Config, ?FUNCTION_NAME),
    {ok, Nodes} = ask(Config, replicas, [Id]),
    ?assertEqual(lists:sort([N || #{node := N} <- ?config(members, Config)]), lists:sort(Nodes)),
    {One, Epoch} = sandbox(Config, replicas_one, ct_counter:spec(), #{rf => 1}),
    {ok, [_]} = ask(Config, replicas, [One]),
    {ok, #{replicas := 1}} = ask(Config, replicate_state, [One, Epoch, single]),
    [?assertEqual({ok, single, {Epoch, 1}}, ask(Config, M, recover_state, [One]))
     || M <- ?config(members, Config)].

%% Checkpoints

checkpoint_survives_kill(Config) ->
    checkpoint(Config, ?FUNCTION_NAME, #{interval => 100}).

checkpoint_by_callback(Config) ->
    checkpoint(Config, ?FUNCTION_NAME, #{interval => 100, callback => {ct_counter, get}}).

%% The child saves nothing itself; its worker is killed once a checkpoint has
%% been taken.
checkpoint(Config, Name, Checkpoint) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [A | _] = ?config(members, Config),
    {Id, Epoch} = sandbox(Config, Name, ct_counter:spec(#{save => false}),
                          #{checkpoint => Checkpoint}),
    {ok, #{worker := Node, pid := Pid}} = quorate_ct:ask(Client, A, {quorate, sandbox}, [Id]),
    [{ok, N} = quorate_ct:call(Client, ct_counter, add, [Pid]) || N <- lists:seq(1, 7)],
    true = quorate_ct:await(checkpoint, fun() ->
        case ask(Config, recover_state, [Id]) of
            {ok, 7, _} -> true;
            _ -> false
        end
    end),
    {ok, 7, Version} = ask(Config, recover_state, [Id]),
    {[Owner], Others} = lists:partition(fun(#{node := N}) -> N =:= Node end,
                                        ?config(workers, Config)),
    %% Nothing changed, nothing is saved.
    ?assertEqual({ok, 7, Version}, ask(Config, recover_state, [Id])),
    ok = quorate_ct:kill_node(Context, Owner),
    New = quorate_ct:await(moved, fun() ->
        case quorate_ct:ask(Client, A, {quorate, sandbox}, [Id]) of
            {ok, #{epoch := E, status := running, pid := P}} when E > Epoch -> {true, P};
            _ -> false
        end
    end),
    ?assertEqual(7, quorate_ct:call(hd(Others), ct_counter, get, [New])).

%% Members killed

one_member_of_three_is_missing(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [A, B, C] = Members = ?config(members, Config),
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    ok = quorate_ct:kill_member(Context, C),
    _ = quorate_ct:await_leader(Client, [A, B]),
    [{ok, _} = ask(Config, A, replicate_state, [Id, Epoch, N, #{seq => N}])
     || N <- lists:seq(1, 10)],
    _ = quorate_ct:start_member(Context, C),
    _ = quorate_ct:await_leader(Client, Members),
    ?assertEqual({ok, 10, {Epoch, 10}}, ask(Config, C, recover_state, [Id])),
    %% With another one missing, the newest is still in a majority.
    ok = quorate_ct:kill_member(Context, A),
    _ = quorate_ct:await_leader(Client, [B, C]),
    ?assertEqual({ok, 10, {Epoch, 10}}, ask(Config, C, recover_state, [Id])),
    _ = quorate_ct:start_member(Context, A),
    quorate_ct:await_leader(Client, Members).

all_members_killed(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    Boxes = [sandbox(Config, io_lib:format("all-~b", [N])) || N <- lists:seq(1, 20)],
    Written = [begin
                   {ok, #{version := V}} =
                       ask(Config, replicate_state, [Id, Epoch, {kept, Id}, #{seq => 1}]),
                   {Id, Epoch, V}
               end || {Id, Epoch} <- Boxes],
    [ok = quorate_ct:kill_member(Context, M) || M <- Members],
    _ = [quorate_ct:start_member(Context, M) || M <- Members],
    _ = quorate_ct:await_leader(Client, Members),
    [begin
         {ok, #{epoch := Now}} = quorate_ct:ask(Client, hd(Members), {quorate, sandbox}, [Id]),
         ?assert(Now >= Epoch),
         {ok, {kept, Id}, Version} = ask(Config, recover_state, [Id]),
         ?assert(Version >= V)
     end || {Id, Epoch, V} <- Written].

%% Under load from writers that keep what was acknowledged, a member chosen at
%% random, sometimes two, sometimes all, is killed and started again, 50 times.
%% In the end every acknowledged write is there.
kill_nine_fifty(Config) ->
    ct:timetrap({seconds, 240}),
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    Nodes = [N || #{node := N} <- Members],
    [W1, W2] = ?config(workers, Config),
    Boxes = [sandbox(Config, io_lib:format("fifty-~b", [N])) || N <- lists:seq(1, 6)],
    Load = [ct_load:start(Client, {states, Nodes, Id, Epoch}) || {Id, Epoch} <- Boxes]
        ++ [ct_load:start(W, {names, Tag}) || {W, Tag} <- [{W1, a}, {W2, b}]]
        ++ [ct_load:start(Client, {creations, Nodes})],
    Seed = erlang:system_time(),
    ct:pal("seed ~b", [Seed]),
    {Took, _} = quorate_ct:take_time(fun() ->
        lists:foldl(fun(Round, Random) ->
            {Victims, Next} = victims(Members, Random),
            kill_once(Config, Round, Victims, Load),
            Next
        end, rand:seed_s(exsss, Seed), lists:seq(1, ?ROUNDS))
    end),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    _ = quorate_ct:await_leader(Client, Members),
    ct:pal("~b rounds in ~b ms; acknowledged: ~w",
           [?ROUNDS, Took, [{element(1, A), ct_load:count(A)} || A <- Acknowledged]]),
    [?assertEqual([], ct_load:lost(Client, Nodes, A)) || A <- Acknowledged].

victims(Members, Random) ->
    {Dice, Random1} = rand:uniform_s(10, Random),
    {N, Random2} = rand:uniform_s(length(Members), Random1),
    First = lists:nth(N, Members),
    Count = if Dice =:= 10 -> 3; Dice >= 8 -> 2; true -> 1 end,
    {lists:sublist([First | lists:delete(First, Members)], Count), Random2}.

%% Killed, started, and not killed again before somebody's write got through
%% since.
kill_once(Config, Round, Victims, Load) ->
    Context = ?config(context, Config),
    ok = lists:foreach(fun(M) -> quorate_ct:kill_member(Context, M) end, Victims),
    Before = ct_load:progress(Load),
    _ = [quorate_ct:start_member(Context, M) || M <- Victims],
    quorate_ct:await({progress_after_kill, Round, Victims}, fun() ->
        lists:all(fun(M) -> is_ready(Config, M) end, Victims)
            andalso ct_load:progress(Load) > Before
    end).

is_ready(Config, Member) ->
    case quorate_ct:ask(?config(client, Config), Member, {quorate, status}, []) of
        #{quorum := true, members_up := Up} -> Up =:= 3;
        _ -> false
    end.

%% Internals

sandbox(Config, Name) ->
    sandbox(Config, Name, ct_counter:spec(), #{}).

sandbox(Config, Name, Spec, Options) ->
    [A | _] = ?config(members, Config),
    Id = iolist_to_binary(if is_atom(Name) -> atom_to_list(Name); true -> Name end),
    {ok, #{epoch := Epoch}} = quorate_ct:ask(?config(client, Config), A, {quorate, create_sandbox},
                                             [Id, Spec, Options]),
    {Id, Epoch}.

ask(Config, Function, Args) ->
    ask(Config, hd(?config(members, Config)), Function, Args).

ask(Config, Member, Function, Args) ->
    quorate_ct:ask(?config(client, Config), Member, {state_replicator, Function}, Args).
