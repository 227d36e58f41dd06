%% SPDX-License-Identifier: Apache-2.0
%% Snapshots with real members: the log is cut, who lacks what was cut gets the
%% state instead, and a member starts from it. Whatever is killed meanwhile,
%% nothing that was acknowledged is lost.
-module(snapshot_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(ARGS, ["--snapshot-log-size", "1MiB"]).
-define(FILL_SIZE, 40000).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [all_start_again_from_snapshots, late_member_gets_the_state, killed_while_it_is_sent,
     new_member_after_a_cut, killed_at_any_moment, failed_writing_is_tried_again,
     damaged_snapshot_and_whole_log, damaged_snapshot_and_cut_log].

init_per_suite(Config) ->
    Context = quorate_ct:start(snapshot),
    [{context, Context} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

init_per_testcase(Case, Config) ->
    Letter = [$a + length(lists:takewhile(fun(Name) -> Name =/= Case end, all()))],
    Client = quorate_ct:node(?config(context, Config), Letter ++ "client"),
    [{letter, Letter}, {client, Client} | Config].

end_per_testcase(_, Config) ->
    quorate_ct:end_all(?config(context, Config)).

all_start_again_from_snapshots(Config) ->
    {Members, Worker, Load} = given_load(Config, ["1", "2", "3"]),
    ok = cut(Config, Members, 2),
    ok = goes_on(Load),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    Lease = lease(Config, hd(Members), Worker),
    ok = restart_all(Config, Members),
    %% Only the tail was read, and the rest is there all the same.
    [?assertMatch(#{snapshot := #{index := Index, bytes := Bytes, time := Time}}
                    when Index > 0 andalso Bytes > 0 andalso Time > 1700000000, status(Config, M))
     || M <- Members],
    [?assert(recovered_snapshot(Config, M) > 0) || M <- Members],
    ?assertEqual([], lost(Config, Members, Acknowledged)),
    %% The worker kept its lease, or got another one; it works either way.
    ?assert(lease(Config, hd(Members), Worker) >= Lease),
    {ok, _} = create(Config, hd(Members), <<"after">>).

late_member_gets_the_state(Config) ->
    Context = ?config(context, Config),
    {[A, B, C] = Members, _, Load} = given_load(Config, ["1", "2", "3"]),
    ok = cut(Config, Members, 1),
    quorate_ct:kill_member(Context, C),
    ok = cut(Config, [A, B], 3),
    ok = goes_on(Load),
    _ = quorate_ct:start_member(Context, C),
    true = installed(Config, C),
    ok = goes_on(Load),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    _ = quorate_ct:await_leader(?config(client, Config), Members),
    ?assertEqual([], lost(Config, [C], Acknowledged)),
    ?assertEqual(counts(Config, A), counts(Config, C)),
    %% It starts again from what it got.
    quorate_ct:kill_member(Context, C),
    _ = quorate_ct:start_member(Context, C),
    _ = quorate_ct:await_leader(?config(client, Config), Members),
    ?assertEqual([], lost(Config, [C], Acknowledged)),
    %% And leads with it.
    [quorate_ct:kill_member(Context, M) || M <- [A, B]],
    [quorate_ct:start_member(Context, M) || M <- [A, B]],
    _ = quorate_ct:await_leader(?config(client, Config), Members),
    ?assertEqual([], lost(Config, Members, Acknowledged)).

%% The receiver, again and again; then the sender.
killed_while_it_is_sent(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    {[A, B, C] = Members, _, Load} = given_load(Config, ["1", "2", "3"]),
    %% Some megabytes that stay, so that sending takes a while.
    ok = fill(Config, A, 100),
    ok = cut(Config, Members, 1),
    quorate_ct:kill_member(Context, C),
    lists:foreach(fun(Delays) ->
        ok = cut(Config, [A, B], 2),
        lists:foreach(fun(DelayMs) ->
            _ = quorate_ct:start_member(Context, C),
            pause(DelayMs),
            quorate_ct:kill_member(Context, C)
        end, Delays)
    end, [[60, 120, 180, 240], [200, 250, 300], [350, 400]]),
    _ = quorate_ct:start_member(Context, C),
    _ = quorate_ct:await_leader(Client, Members),
    ok = goes_on(Load),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    ?assertEqual([], lost(Config, [C], Acknowledged)),
    ?assertEqual([], lost(Config, [A], Acknowledged)),
    %% Without a leader for a while owners change; what they saved does not.
    Counts = [ct_load:start(Client, {counts, [node_of(M) || M <- Members], <<"state-2">>})],
    {ok, _} = create(Config, A, <<"state-2">>),
    ok = goes_on(Counts),
    quorate_ct:kill_member(Context, C),
    lists:foreach(fun(DelayMs) ->
        ok = cut(Config, [A, B], 2),
        {Leader, _} = quorate_ct:leader(Client, [A, B]),
        _ = quorate_ct:start_member(Context, C),
        pause(DelayMs),
        quorate_ct:kill_member(Context, Leader),
        _ = quorate_ct:start_member(Context, Leader),
        _ = quorate_ct:await_leader(Client, Members),
        ok = goes_on(Counts),
        quorate_ct:kill_member(Context, C)
    end, [100, 200, 300]),
    _ = quorate_ct:start_member(Context, C),
    _ = quorate_ct:await_leader(Client, Members),
    ok = goes_on(Counts),
    ?assertEqual([], lost(Config, [C], [ct_load:stop(L) || L <- Counts])),
    true = quorate_ct:await(same, fun() -> counts(Config, A) =:= counts(Config, C) end).

new_member_after_a_cut(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    {[A] = Members, _, Load} = given_load(Config, ["1"]),
    ok = cut(Config, Members, 2),
    Name = ?config(letter, Config) ++ "2",
    [Port] = quorate_ct:free_ports(1),
    Join = lists:flatten(io_lib:format("~s=127.0.0.1:~b", [node_of(A), maps:get(port, A)])),
    New = quorate_ct:start_member(Context, quorate_ct:member(Context, Name, [{Name, Port}],
                                                             ["--join", Join | ?ARGS])),
    true = quorate_ct:await(found, fun() -> logs(Config, New, <<"event=cluster_found">>) end),
    Address = list_to_binary("127.0.0.1:" ++ integer_to_list(Port)),
    {ok, [_, _]} = quorate_ct:call(Client, rpc, call,
                                   [node_of(A), quorum_manager, add_member,
                                    [node_of(New), #{address => Address}], 35000]),
    true = installed(Config, New),
    ok = goes_on(Load),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    _ = quorate_ct:await_leader(Client, [A, New]),
    ?assertEqual([], lost(Config, [New], Acknowledged)),
    ?assertEqual(counts(Config, A), counts(Config, New)),
    %% It takes snapshots of its own, and starts from one.
    ok = cut(Config, [A, New], 1),
    ok = restart_all(Config, [A, New]),
    ?assertEqual([], lost(Config, [New], Acknowledged)).

%% A member alone: whatever it was at, it starts again with all of it.
killed_at_any_moment(Config) ->
    Context = ?config(context, Config),
    {[A], _, Load} = given_load(Config, ["1"]),
    ok = cut(Config, [A], 1),
    lists:foreach(fun(Round) ->
        Filler = spawn_link(fun() -> fill_for_ever(Config, A, Round) end),
        pause(rand:uniform(700)),
        unlink(Filler),
        quorate_ct:kill_member(Context, A),
        exit(Filler, kill),
        _ = quorate_ct:start_member(Context, A),
        _ = quorate_ct:await_leader(?config(client, Config), [A])
    end, lists:seq(1, 12)),
    ok = goes_on(Load),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    ?assertEqual([], lost(Config, [A], Acknowledged)),
    ok = cut(Config, [A], 1).

%% Names that are taken by directories cannot be written to. Nothing is cut then.
failed_writing_is_tried_again(Config) ->
    {[#{dir := Dir} = A], _, Load} = given_load(Config, ["1"]),
    ok = cut(Config, [A], 1),
    #{applied_index := Applied, snapshot := #{index := Index}} = status(Config, A),
    InTheWay = [filename:join(Dir, io_lib:format("~16.16.0b.snap.new", [N]))
                || N <- lists:seq(Applied + 1, Applied + 5000)],
    _ = [file:make_dir(D) || D <- InTheWay],
    true = quorate_ct:await(failed, fun() ->
        ok = churn(Config, A, 20),
        #{snapshot := Now} = status(Config, A),
        ?assertMatch(#{index := Index}, Now),
        maps:get(failed, Now) > 0
    end),
    true = logs(Config, A, <<"event=snapshot_failed">>),
    ok = goes_on(Load),
    _ = [file:del_dir(D) || D <- InTheWay],
    true = quorate_ct:await(taken, fun() ->
        #{snapshot := #{index := Now}} = status(Config, A),
        Now > Index
    end, 40000),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    ok = restart_all(Config, [A]),
    ?assert(recovered_snapshot(Config, A) > Index),
    ?assertEqual([], lost(Config, [A], Acknowledged)).

%% Damage

damaged_snapshot_and_whole_log(Config) ->
    Context = ?config(context, Config),
    {[A], _, Load} = given_load(Config, ["1"]),
    ok = cut(Config, [A], 1),
    Acknowledged = [ct_load:stop(L) || L <- Load],
    quorate_ct:kill_member(Context, A),
    [_ | _] = Files = damage_all(A),
    %% Nothing has been cut from the files yet: all of it is read from them.
    _ = quorate_ct:start_member(Context, A),
    _ = quorate_ct:await_leader(?config(client, Config), [A]),
    true = logs(Config, A, <<"event=snapshot_damaged">>),
    [true = logs(Config, A, list_to_binary(filename:basename(F))) || F <- Files],
    ?assertEqual(0, recovered_snapshot(Config, A)),
    ?assertEqual([], lost(Config, [A], Acknowledged)).

damaged_snapshot_and_cut_log(Config) ->
    Context = ?config(context, Config),
    {[A], _, Load} = given_load(Config, ["1"]),
    First = filename:join(maps:get(dir, A), "0000000000000001.wal"),
    true = quorate_ct:await(cut, fun() ->
        ok = churn(Config, A, 40),
        not filelib:is_file(First)
    end, 60000),
    [ct_load:stop(L) || L <- Load],
    quorate_ct:kill_member(Context, A),
    Newest = lists:last(damage_all(A)),
    Before = content(A),
    {74, Log} = quorate_ct:failed_start(Context, A),
    ok = quorate_ct:says(Log, "start_failed",
                         [filename:basename(Newest), "damaged", "the log begins with entry",
                          "no whole snapshot covers", "docs/operations.md"]),
    ?assertEqual(Before, content(A)).

%% Flips a bit in the middle of each.
damage_all(#{dir := Dir}) ->
    Files = lists:sort(filelib:wildcard(filename:join(Dir, "*.snap"))),
    lists:foreach(fun(File) ->
        {ok, Bytes} = file:read_file(File),
        At = byte_size(Bytes) div 2,
        <<Head:At/binary, Byte, Tail/binary>> = Bytes,
        ok = file:write_file(File, [Head, Byte bxor 4, Tail])
    end, Files),
    Files.

content(#{dir := Dir}) ->
    [{File, erlang:md5(element(2, file:read_file(File)))}
     || File <- lists:sort(filelib:wildcard(filename:join(Dir, "*"))),
        filename:basename(File) =/= "lock"].

%% Steps

%% Members, a worker, a sandbox that runs, and writers.
given_load(Config, Numbers) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Letter = ?config(letter, Config),
    Members = quorate_ct:members(Context, [Letter ++ N || N <- Numbers], ?ARGS),
    _ = quorate_ct:await_leader(Client, Members),
    Worker = quorate_ct:worker(Context, Letter ++ "worker", Members, #{}),
    _ = quorate_ct:await_worker(Client, hd(Members), Worker),
    {ok, #{epoch := Epoch}} = create(Config, hd(Members), <<"state">>),
    Nodes = [node_of(M) || M <- lists:sublist(Members, 2)],
    Load = [ct_load:start(Client, {states, Nodes, <<"state">>, Epoch}),
            ct_load:start(Client, {creations, Nodes}),
            ct_load:start(Worker, {names, snapshot})],
    ok = goes_on(Load),
    {Members, Worker, Load}.

%% The log grows until each of these has taken so many more snapshots.
cut(Config, Members, Count) ->
    Before = [taken(Config, M) || M <- Members],
    true = quorate_ct:await(snapshots, fun() ->
        ok = churn(Config, hd(Members), 20),
        lists:all(fun({M, Was}) -> taken(Config, M) >= Was + Count end, lists:zip(Members, Before))
    end, 60000),
    ok.

%% Big sandboxes that come and go.
churn(Config, Member, Count) ->
    Ids = [<<"churn-", (integer_to_binary(N))/binary>> || N <- lists:seq(1, Count)],
    _ = each(fun(Id) -> create(Config, Member, Id, ?FILL_SIZE) end, Ids),
    _ = each(fun(Id) -> stop(Config, Member, Id) end, Ids),
    ok.

%% Big sandboxes that stay.
fill(Config, Member, Count) ->
    Ids = [<<"fill-", (integer_to_binary(N))/binary>> || N <- lists:seq(1, Count)],
    Answers = each(fun(Id) -> create(Config, Member, Id, ?FILL_SIZE) end, Ids),
    [{ok, _} = Answer || Answer <- Answers],
    ok.

fill_for_ever(Config, Member, Round) ->
    Id = <<"round-", (integer_to_binary(Round))/binary>>,
    _ = create(Config, Member, Id, ?FILL_SIZE),
    _ = stop(Config, Member, Id),
    fill_for_ever(Config, Member, Round).

each(Fun, Items) ->
    Self = self(),
    Pids = [spawn_link(fun() -> Self ! {self(), Fun(Item)} end) || Item <- Items],
    [receive {Pid, Answer} -> Answer end || Pid <- Pids].

create(Config, Member, Id) ->
    create(Config, Member, Id, 0).

create(Config, Member, Id, FillSize) ->
    quorate_ct:ask(?config(client, Config), Member, {quorate, create_sandbox},
                   [Id, ct_counter:spec(#{fill => binary:copy(<<7>>, FillSize)}), #{}]).

stop(Config, Member, Id) ->
    quorate_ct:ask(?config(client, Config), Member, {quorate, stop_sandbox}, [Id]).

restart_all(Config, Members) ->
    Context = ?config(context, Config),
    [quorate_ct:kill_member(Context, M) || M <- Members],
    [quorate_ct:start_member(Context, M) || M <- Members],
    _ = quorate_ct:await_leader(?config(client, Config), Members),
    ok.

%% What is seen

status(Config, Member) ->
    quorate_ct:ask(?config(client, Config), Member, {quorate, status}, []).

taken(Config, Member) ->
    case status(Config, Member) of
        #{snapshot := #{taken := Count, failed := 0}} -> Count;
        _ -> 0
    end.

installed(Config, Member) ->
    quorate_ct:await(installed, fun() ->
        case status(Config, Member) of
            #{snapshot := #{installed := Count}} -> Count > 0;
            _ -> false
        end
    end).

counts(Config, Member) ->
    maps:with([sandboxes, names, workers], status(Config, Member)).

lease(Config, Member, #{node := Worker}) ->
    quorate_ct:await(lease, fun() ->
        case [L || #{name := N, up := true, lease := L} <-
                       quorate_ct:ask(?config(client, Config), Member, {quorate, workers}, []),
                   N =:= Worker] of
            [Lease] -> {true, Lease};
            [] -> false
        end
    end).

%% The index of the snapshot that its newest start began with.
recovered_snapshot(Config, Member) ->
    Log = quorate_ct:log_of(?config(context, Config), Member),
    {match, All} = re:run(Log, "event=log_recovered snapshot=([0-9]+)",
                          [global, {capture, all_but_first, list}]),
    list_to_integer(hd(lists:last(All))).

logs(Config, Member, Text) ->
    #{work := Work} = ?config(context, Config),
    [Name, _] = string:split(atom_to_list(node_of(Member)), "@"),
    case file:read_file(filename:join(Work, Name ++ ".log")) of
        {ok, Log} -> binary:match(Log, Text) =/= nomatch;
        {error, enoent} -> false
    end.

goes_on(Load) ->
    Enough = ct_load:progress(Load) + 5 * length(Load),
    true = quorate_ct:await(load, fun() -> ct_load:progress(Load) >= Enough end),
    ok.

lost(Config, Members, Acknowledged) ->
    Client = ?config(client, Config),
    Nodes = [node_of(M) || M <- Members],
    true = quorate_ct:await(all_there, fun() ->
        lists:all(fun(A) -> [] =:= ct_load:lost(Client, Nodes, A) end, Acknowledged)
    end),
    [].

node_of(#{node := Node}) ->
    Node.

%% So long it is left alone before something is killed.
pause(Ms) ->
    receive
        never -> ok
    after Ms -> ok
    end.
