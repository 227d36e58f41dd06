%% SPDX-License-Identifier: Apache-2.0
%% The end of a lease, with real members and workers: whatever hangs, what ran
%% under it has ended before somebody else may have it.
-module(fencing_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(CAPACITY, #{cpu => 4000, memory => 4096, sandboxes => 1000}).
%% The defaults: an owner's term and the time to stop; the leader's.
-define(FENCED_MS, 3500).
-define(TTL_LEADER_MS, 4000).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [{group, kill}, {group, report}, {group, fast}, {group, mixed}].

groups() ->
    [{kill, [], [frozen_worker_is_killed, worker_whose_schedulers_are_taken_is_replaced,
                 hung_agent_costs_the_sandboxes_alone, member_that_slept_kills_nobody,
                 lease_without_a_majority_ends_everything]},
     {report, [], [frozen_worker_fences_itself]},
     {fast, [], [member_lost_keeps_the_sandboxes, frozen_worker_is_replaced_fast]},
     {mixed, [], [leader_waits_for_the_term_of_the_owners_member]}].

arguments(kill) -> [];
arguments(report) -> ["--on-hung-worker", "report"];
arguments(fast) -> ["--lease-profile", "fast"].

members(Context, mixed) ->
    Voters = lists:zip(["mixed1", "mixed2", "mixed3"], quorate_ct:free_ports(3)),
    [quorate_ct:start_member(Context, quorate_ct:member(Context, Name, Voters, arguments(Profile)))
     || {{Name, _}, Profile} <- lists:zip(Voters, [kill, fast, fast])];
members(Context, Group) ->
    Names = [atom_to_list(Group) ++ N || N <- ["1", "2", "3"]],
    quorate_ct:members(Context, Names, arguments(Group)).

init_per_group(Group, Config) ->
    Context = quorate_ct:start(fencing),
    ct_cluster:with(Context, members(Context, Group), Config).

end_per_group(_, Config) ->
    ct_cluster:stop(Config).

init_per_testcase(Case, Config) ->
    ct_cluster:workers(ct_cluster:names(Case, 2), ?CAPACITY, [], Config).

end_per_testcase(_, Config) ->
    ct_cluster:clear(Config).

%% Killed by the member on its host before the leader gives its sandbox away.
frozen_worker_is_killed(Config) ->
    Context = ?config(context, Config),
    {#{os_pid := OsPid, peer := Peer} = Owner, Sandbox} = owned(Config, <<"frozen">>, ct_counter),
    Member = member_of(Config, Owner),
    Ref = erlang:monitor(process, Peer),
    {Took, _} = quorate_ct:take_time(fun() ->
        ok = quorate_ct:signal(OsPid, "STOP"),
        receive {'DOWN', Ref, process, Peer, _} -> ok end
    end),
    ct:pal("killed after ~b ms", [Took]),
    %% Its last renewal may have been a keep-alive ago.
    ?assert(Took > ?FENCED_MS - 1100),
    ?assert(Took < ?TTL_LEADER_MS),
    %% It kills first, and then says so.
    true = quorate_ct:await(said, fun() ->
        binary:match(quorate_ct:log_of(Context, Member), <<"event=worker_hung">>) =/= nomatch
    end),
    ok = quorate_ct:says(quorate_ct:log_of(Context, Member), "worker_hung",
                         ["action=kill", "local=true", "status=\"ok\""]),
    ?assertEqual({1, 1}, counts(Config, Member)),
    %% Proven death: no lease is waited for.
    {Moved, _} = quorate_ct:take_time(fun() -> moved(Config, Sandbox) end),
    ct:pal("moved ~b ms later", [Moved]),
    ?assert(Moved < 2000).

%% Processes of the highest priority take all schedulers: no keep-alive leaves.
%% What was killed comes to its end only where there is a scheduler left for it: if
%% not, nothing is reported, and the member kills.
worker_whose_schedulers_are_taken_is_replaced(Config) ->
    {Owner, Sandbox} = owned(Config, <<"taken">>, ct_counter),
    Member = member_of(Config, Owner),
    {_, Before} = counts(Config, Member),
    {Took, _} = quorate_ct:take_time(fun() ->
        %% The call has no answer: even that cannot be sent any more.
        _ = spawn(quorate_ct, on, [Owner, fun() ->
            [spawn_opt(fun Loop() -> Loop() end, [{priority, max}])
             || _ <- lists:seq(1, 2 * erlang:system_info(schedulers))]
        end]),
        moved(Config, Sandbox)
    end),
    {_, After} = counts(Config, Member),
    ct:pal("moved after ~b ms, ~b killed", [Took, After - Before]),
    ?assert(Took < ?TTL_LEADER_MS + 1000).

%% The fence does it without the agent, and tells the member: no kill.
hung_agent_costs_the_sandboxes_alone(Config) ->
    {#{peer := Peer} = Owner, {_, Pid, _} = Sandbox} = owned(Config, <<"hung">>, ct_stubborn),
    Pids = quorate_ct:call(Owner, ct_stubborn, pids, [Pid]),
    Member = member_of(Config, Owner),
    Before = counts(Config, Member),
    {Took, _} = quorate_ct:take_time(fun() ->
        ok = quorate_ct:call(Owner, sys, suspend, [quorate_agent]),
        true = quorate_ct:await(ended, fun() -> alive(Owner, Pids) =:= [] end)
    end),
    ct:pal("ended after ~b ms", [Took]),
    ?assert(Took < ?FENCED_MS),
    moved(Config, Sandbox),
    ?assert(is_process_alive(Peer)),
    ?assertEqual(Before, counts(Config, Member)),
    ok = quorate_ct:call(Owner, sys, resume, [quorate_agent]),
    _ = quorate_ct:await_worker(?config(client, Config), hd(?config(members, Config)), Owner).

%% It slept longer than any lease, and its worker found another member.
member_that_slept_kills_nobody(Config) ->
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    {#{peer := Peer} = Owner, {Id, Pid, Epoch}} = owned(Config, <<"awake">>, ct_counter),
    #{node := Node} = Member = member_of(Config, Owner),
    OsPid = member_os_pid(Config, Member),
    Before = counts(Config, Member),
    ok = quorate_ct:signal(OsPid, "STOP"),
    [Other | _] = [M || #{node := N} = M <- Members, N =/= Node],
    true = quorate_ct:await(attached_elsewhere, fun() ->
        node_of_member(Client, Other, Owner) =/= Node
    end),
    %% The time is the fault itself.
    receive after ?TTL_LEADER_MS -> ok end,
    ok = quorate_ct:signal(OsPid, "CONT"),
    _ = quorate_ct:await_leader(Client, Members),
    receive after ?FENCED_MS + 1000 -> ok end,
    ?assert(is_process_alive(Peer)),
    ?assertMatch({ok, #{epoch := Epoch, pid := Pid, status := running}},
                 sandbox(Config, Id)),
    ?assertEqual(Before, counts(Config, Member)).

lease_without_a_majority_ends_everything(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    {#{peer := Peer} = Owner, {_, Pid, _} = Sandbox} = owned(Config, <<"alone">>, ct_stubborn),
    Pids = quorate_ct:call(Owner, ct_stubborn, pids, [Pid]),
    6 = length(Pids),
    #{node := Node} = Member = member_of(Config, Owner),
    Before = counts(Config, Member),
    Others = [M || #{node := N} = M <- Members, N =/= Node],
    {Took, _} = quorate_ct:take_time(fun() ->
        _ = [quorate_ct:kill_member(Context, M) || M <- Others],
        true = quorate_ct:await(ended, fun() -> alive(Owner, Pids) =:= [] end)
    end),
    ct:pal("~b processes ended after ~b ms", [length(Pids), Took]),
    ?assert(Took < ?FENCED_MS),
    receive after ?TTL_LEADER_MS -> ok end,
    ?assert(is_process_alive(Peer)),
    ?assertEqual(Before, counts(Config, Member)),
    _ = [quorate_ct:start_member(Context, M) || M <- Others],
    _ = quorate_ct:await_leader(Client, Members),
    again(Config, Sandbox).

%% Nobody may kill it: it ends its sandboxes itself, when it wakes up.
frozen_worker_fences_itself(Config) ->
    Context = ?config(context, Config),
    {#{os_pid := OsPid, peer := Peer} = Owner, {_, Pid, _} = Sandbox} =
        owned(Config, <<"wakes">>, ct_stubborn),
    Pids = quorate_ct:call(Owner, ct_stubborn, pids, [Pid]),
    Member = member_of(Config, Owner),
    ok = quorate_ct:signal(OsPid, "STOP"),
    {Took, _} = quorate_ct:take_time(fun() -> moved(Config, Sandbox) end),
    ct:pal("moved after ~b ms", [Took]),
    ?assert(Took > ?FENCED_MS - 1100),
    ok = quorate_ct:says(quorate_ct:log_of(Context, Member), "worker_hung", ["action=report"]),
    ?assertEqual({1, 0}, counts(Config, Member)),
    ok = quorate_ct:signal(OsPid, "CONT"),
    true = quorate_ct:await(ended, fun() -> alive(Owner, Pids) =:= [] end, 1000),
    ?assert(is_process_alive(Peer)),
    _ = quorate_ct:await_worker(?config(client, Config), hd(?config(members, Config)), Owner).

%% Of a lease of 1.1 s enough is left to find another one.
member_lost_keeps_the_sandboxes(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    {#{node := Leader}, _} = quorate_ct:leader(Client, Members),
    {Owner, {Id, Pid, Epoch}} = owned(Config, <<"kept">>, ct_counter),
    #{node := Node} = Member = member_of(Config, Owner),
    ct:pal("its member leads: ~p", [Node =:= Leader]),
    [Other | _] = Others = [M || #{node := N} = M <- Members, N =/= Node],
    ok = quorate_ct:kill_member(Context, Member),
    _ = quorate_ct:await_leader(Client, Others),
    true = quorate_ct:await(attached_elsewhere, fun() ->
        node_of_member(Client, Other, Owner) =/= Node
    end),
    receive after 2000 -> ok end,
    ?assertMatch({ok, #{epoch := Epoch, pid := Pid, status := running}},
                 quorate_ct:ask(Client, Other, {quorate, sandbox}, [Id])).

frozen_worker_is_replaced_fast(Config) ->
    {#{os_pid := OsPid}, Sandbox} = owned(Config, <<"fast">>, ct_counter),
    {Took, _} = quorate_ct:take_time(fun() ->
        ok = quorate_ct:signal(OsPid, "STOP"),
        moved(Config, Sandbox)
    end),
    ct:pal("moved after ~b ms", [Took]),
    ?assert(Took < 3000).

%% The leader's own term is 1.5 s; the member of the owner has promised 4 s.
leader_waits_for_the_term_of_the_owners_member(Config) ->
    Client = ?config(client, Config),
    [Patient, Fast | _] = Members = ?config(members, Config),
    {#{os_pid := OsPid} = Owner, Sandbox} = owned_by_member(Config, Patient, 1),
    true = quorate_ct:await(fast_leads, fun() ->
        {#{node := Leader}, _} = quorate_ct:leader(Client, Members),
        #{node := Node} = Patient,
        Leader =/= Node orelse
            element(1, {false, quorate_ct:ask(Client, Patient,
                                              {quorum_manager, transfer_leadership},
                                              [maps:get(node, Fast)])})
    end),
    Frozen = [OsPid, member_os_pid(Config, Patient)],
    {Took, _} = quorate_ct:take_time(fun() ->
        ok = lists:foreach(fun(P) -> ok = quorate_ct:signal(P, "STOP") end, Frozen),
        quorate_ct:await(moved, fun() ->
            case quorate_ct:ask(Client, Fast, {quorate, sandbox}, [element(1, Sandbox)]) of
                {ok, #{status := running, pid := Pid}} -> node(Pid) =/= maps:get(node, Owner);
                _ -> false
            end
        end)
    end),
    ok = lists:foreach(fun(P) -> ok = quorate_ct:signal(P, "CONT") end, Frozen),
    ct:pal("moved after ~b ms", [Took]),
    ?assert(Took > ?TTL_LEADER_MS - 1100),
    ?assert(Took < ?TTL_LEADER_MS + 2000).

%% Internals

%% A new sandbox: its worker, and {Id, Pid, Epoch}.
owned(Config, Id, Module) ->
    [First | _] = Workers = ?config(workers, Config),
    {ok, #{worker := Node, pid := Pid, epoch := Epoch}} =
        quorate_ct:call(First, quorate, create_sandbox, [Id, Module:spec()]),
    [Owner] = [W || #{node := N} = W <- Workers, N =:= Node],
    {Owner, {Id, Pid, Epoch}}.

%% One whose worker is attached to this member.
owned_by_member(Config, Member, N) ->
    Id = <<"of-its-member-", (integer_to_binary(N))/binary>>,
    {Owner, Sandbox} = owned(Config, Id, ct_counter),
    case member_of(Config, Owner) of
        Member -> {Owner, Sandbox};
        _ when N < 50 -> owned_by_member(Config, Member, N + 1)
    end.

%% Until it runs under a later epoch; its process.
again(Config, {Id, _, Epoch}) ->
    quorate_ct:await({again, Id}, fun() ->
        case sandbox(Config, Id) of
            {ok, #{status := running, epoch := Later, pid := New}} when Later > Epoch ->
                {true, New};
            _ ->
                false
        end
    end).

%% The same where its worker may not have it.
moved(Config, {_, Pid, _} = Sandbox) ->
    ?assertNotEqual(node(Pid), node(again(Config, Sandbox))).

sandbox(Config, Id) ->
    quorate_ct:ask(?config(client, Config), hd(?config(members, Config)), {quorate, sandbox}, [Id]).

member_of(Config, Worker) ->
    Client = ?config(client, Config),
    Members = ?config(members, Config),
    Node = node_of_member(Client, hd(Members), Worker),
    [Member] = [M || #{node := N} = M <- Members, N =:= Node],
    Member.

node_of_member(Client, Asked, Worker) ->
    #{member := Node} = quorate_ct:await_worker(Client, Asked, Worker),
    Node.

member_os_pid(Config, #{node := Node}) ->
    [Name, _] = string:split(atom_to_list(Node), "@"),
    quorate_ct:os_pid(?config(context, Config), Name).

%% {hung, killed} of a member since its start.
counts(Config, Member) ->
    #{workers_hung := Hung, workers_killed := Killed} =
        quorate_ct:ask(?config(client, Config), Member, {quorate, status}, []),
    {Hung, Killed}.

alive(Worker, Pids) ->
    quorate_ct:on(Worker, fun() -> [P || P <- Pids, is_process_alive(P)] end).
