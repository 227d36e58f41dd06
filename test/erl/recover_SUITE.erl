%% SPDX-License-Identifier: Apache-2.0
%% Most voters are lost for good, and one that is left goes on without them: what
%% it or another survivor has is there, what nobody has is said to be lost, and
%% nothing of before is taken for something of now.
-module(recover_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(SANDBOXES, 20).

suite() ->
    [{timetrap, {seconds, 180}}].

all() ->
    [three_of_five_are_lost, from_a_snapshot, refused, killed_in_the_middle].

init_per_suite(Config) ->
    Context = quorate_ct:start(recover),
    [{context, Context} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

init_per_testcase(Case, Config) ->
    Client = quorate_ct:node(?config(context, Config), atom_to_list(Case) ++ "_client"),
    [{client, Client} | Config].

end_per_testcase(_, Config) ->
    quorate_ct:end_all(?config(context, Config)).

three_of_five_are_lost(Config) ->
    #{work := Work} = Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = [A, B | Lost] = quorate_ct:members(Context, ["a1", "a2", "a3", "a4", "a5"]),
    _ = quorate_ct:await_leader(Client, Members),
    Worker = quorate_ct:worker(Context, "a_w", Members, #{}),
    _ = quorate_ct:await_worker(Client, A, Worker),
    Ids = [<<"s", (integer_to_binary(N))/binary>> || N <- lists:seq(1, ?SANDBOXES)],
    Before = maps:from_list([{Id, fill(Config, Members, A, Worker, Id)} || Id <- Ids]),
    {ok, Token} = quorate_ct:ask(Client, A, {quorum_manager, token}, []),
    [quorate_ct:kill_member(Context, M) || M <- Members],
    ok = quorate_ct:kill_node(Context, Worker),
    %% One of the lost is not lost: it comes back when nobody expects it.
    Ghost = hd(Lost),
    Aside = filename:join(Work, "aside"),
    ok = file:rename(maps:get(dir, Ghost), Aside),
    [ok = file:del_dir_r(Dir) || #{dir := Dir} <- tl(Lost)],
    #{<<"cluster">> := Cluster, <<"survivors">> := [_, _], <<"most_advanced">> := Best,
      <<"sandboxes">> := ?SANDBOXES, <<"lost">> := LostCount, <<"lost_ids">> := LostIds,
      <<"kept">> := Kept, <<"maybe_older">> := Maybe, <<"nothing_saved">> := 0} =
        plan(Config, [A, B]),
    Here = [node_of(A), node_of(B)],
    Gone = lists:sort([Id || {Id, #{replicas := R}} <- maps:to_list(Before), R -- Here =:= R]),
    ?assertEqual(Gone, lists:sort(LostIds)),
    ?assertEqual(length(Gone), LostCount),
    ?assertEqual(?SANDBOXES, LostCount + Kept + Maybe),
    {[First], [Second]} = lists:partition(fun(#{dir := D}) -> list_to_binary(D) =:= Best end,
                                          [A, B]),
    {0, Text} = recover(Config, ["apply", maps:get(dir, First), maps:get(dir, Second),
                                 "--cluster", binary_to_list(Cluster)]),
    says(Text, <<"as its only member">>),
    %% Its settings still name all of the five.
    %% Nobody gets a lease before those of the lost members have run out (4 s).
    {Ms, New} = quorate_ct:take_time(fun() ->
        _ = quorate_ct:start_member(Context, First),
        _ = quorate_ct:await_leader(Client, [First]),
        Attached = quorate_ct:worker(Context, "a_new", [First], #{}),
        _ = quorate_ct:await_worker(Client, First, Attached),
        Attached
    end),
    ?assert(Ms >= 4000),
    [comes_back(Config, First, New, Id, maps:get(Id, Before)) || Id <- Ids -- Gone],
    [?assertMatch({ok, #{status := {failed, state_lost}}},
                  quorate_ct:ask(Client, First, {quorate, sandbox}, [Id])) || Id <- Gone],
    {ok, Later} = quorate_ct:ask(Client, First, {quorum_manager, token}, []),
    ?assert(Later > Token + (1 bsl 40)),
    %% The ghost is refused, by it and as a new member.
    ok = file:rename(Aside, maps:get(dir, Ghost)),
    _ = quorate_ct:start_member(Context, Ghost),
    true = logs(Config, Ghost, <<"event=refused_by_member">>),
    ?assertMatch({error, {refused, _}}, add(Config, First, Ghost)),
    ?assertMatch(#{members := 1, quorum := true},
                 quorate_ct:ask(Client, First, {quorate, status}, [])),
    ok = quorate_ct:kill_member(Context, Ghost),
    %% The other survivor begins anew, and so does another host.
    Join = ["--join", lists:flatten(io_lib:format("~s=127.0.0.1:~b",
                                                  [node_of(First), maps:get(port, First)]))],
    Others = [begin
                  ok = file:del_dir_r(maps:get(dir, M)),
                  Started = quorate_ct:start_member(Context, M#{args := Join}),
                  true = logs(Config, M, <<"event=cluster_found">>),
                  {ok, _} = add(Config, First, M),
                  Started
              end || M <- [Second, Ghost]],
    All = [First | Others],
    _ = quorate_ct:await_leader(Client, All),
    %% They have all of it from the log.
    ok = quorate_ct:kill_member(Context, First),
    _ = quorate_ct:await_leader(Client, Others),
    Rows = quorate_ct:ask(Client, hd(Others), {quorate, sandboxes}, []),
    ?assertEqual(lists:sort(Ids), lists:sort([Id || #{id := Id} <- Rows])),
    {ok, Last} = quorate_ct:ask(Client, hd(Others), {quorum_manager, token}, []),
    ?assert(Last > Later).

%% What was cut from the log is in a snapshot, and so is the recovery later on.
from_a_snapshot(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = [A | _] = quorate_ct:members(Context, ["d1", "d2", "d3"],
                                           ["--snapshot-log-size", "1MiB"]),
    _ = quorate_ct:await_leader(Client, Members),
    Worker = quorate_ct:worker(Context, "d_w", Members, #{}),
    _ = quorate_ct:await_worker(Client, A, Worker),
    Before = fill(Config, Members, A, Worker, <<"kept">>),
    ok = cut(Config, A),
    {ok, Token} = quorate_ct:ask(Client, A, {quorum_manager, token}, []),
    [quorate_ct:kill_member(Context, M) || M <- Members],
    ok = quorate_ct:kill_node(Context, Worker),
    #{<<"cluster">> := Cluster, <<"survivors">> := [#{<<"committed">> := Committed}]} =
        plan(Config, [A]),
    ?assert(Committed > 0),
    {0, _} = recover(Config, ["apply", maps:get(dir, A), "--cluster", binary_to_list(Cluster)]),
    _ = quorate_ct:start_member(Context, A),
    _ = quorate_ct:await_leader(Client, [A]),
    New = quorate_ct:worker(Context, "d_new", [A], #{}),
    _ = quorate_ct:await_worker(Client, A, New),
    comes_back(Config, A, New, <<"kept">>, Before),
    ok = cut(Config, A),
    {ok, Later} = quorate_ct:ask(Client, A, {quorum_manager, token}, []),
    ?assert(Later > Token + (1 bsl 40)),
    ok = quorate_ct:kill_member(Context, A),
    _ = quorate_ct:start_member(Context, A),
    _ = quorate_ct:await_leader(Client, [A]),
    {ok, Last} = quorate_ct:ask(Client, A, {quorum_manager, token}, []),
    ?assert(Last > Later),
    {ok, #{epoch := Epoch}} =
        quorate_ct:ask(Client, A, {quorate, create_sandbox}, [<<"new">>, ct_counter:spec()]),
    ?assert(Epoch > Later).

%% Until it has taken one more snapshot.
cut(Config, M) ->
    Client = ?config(client, Config),
    Index = fun() ->
        #{snapshot := #{index := I}} = quorate_ct:ask(Client, M, {quorate, status}, []),
        I
    end,
    Was = Index(),
    Spec = ct_counter:spec(#{fill => binary:copy(<<7>>, 40000)}),
    true = quorate_ct:await(snapshot, fun() ->
        {ok, _} = quorate_ct:ask(Client, M, {quorate, create_sandbox}, [<<"churn">>, Spec]),
        ok = quorate_ct:ask(Client, M, {quorate, stop_sandbox}, [<<"churn">>]),
        Index() > Was
    end),
    ok.

%% A sandbox whose state all its replicas have.
fill(Config, Members, A, Worker, Id) ->
    Client = ?config(client, Config),
    {ok, #{epoch := Epoch, pid := Pid}} =
        quorate_ct:ask(Client, A, {quorate, create_sandbox}, [Id, ct_counter:spec()]),
    [{ok, N} = quorate_ct:call(Worker, ct_counter, add, [Pid]) || N <- [1, 2, 3]],
    {ok, Replicas} = quorate_ct:ask(Client, A, {state_replicator, replicas}, [Id]),
    [true = quorate_ct:await({replica, Id, N}, fun() ->
        {ok, 3, {Epoch, 3}} =:= quorate_ct:ask(Client, M, {state_replicator, get_state}, [Id])
     end) || #{node := N} = M <- Members, lists:member(N, Replicas)],
    #{epoch => Epoch, replicas => Replicas}.

comes_back(Config, First, Worker, Id, #{epoch := Epoch}) ->
    Client = ?config(client, Config),
    Pid = quorate_ct:await({running, Id}, fun() ->
        case quorate_ct:ask(Client, First, {quorate, sandbox}, [Id]) of
            {ok, #{status := running, pid := Pid, epoch := Now}} when Now > Epoch + (1 bsl 40) ->
                {true, Pid};
            {ok, _} ->
                false
        end
    end),
    ?assertEqual({Id, 3}, {Id, quorate_ct:call(Worker, ct_counter, get, [Pid])}),
    ?assertEqual({ok, 4}, quorate_ct:call(Worker, ct_counter, add, [Pid])).

%% What cannot be right is refused, and nothing is changed by that.
refused(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = [A, B, C] = quorate_ct:members(Context, ["b1", "b2", "b3"]),
    [Other] = quorate_ct:members(Context, ["b9"]),
    _ = quorate_ct:await_leader(Client, Members),
    DirA = maps:get(dir, A),
    {75, InUse} = recover(Config, ["plan", DirA]),
    says(InUse, <<"in use by process">>),
    %% One that lacks what the two others have.
    ok = quorate_ct:kill_member(Context, A),
    Worker = quorate_ct:worker(Context, "b_w", [B, C], #{}),
    _ = quorate_ct:await_worker(Client, B, Worker),
    [quorate_ct:kill_member(Context, M) || M <- [B, C, Other]],
    {78, Nowhere} = recover(Config, ["plan", DirA ++ "-not-there"]),
    says(Nowhere, <<"there is no file identity">>),
    false = filelib:is_dir(DirA ++ "-not-there"),
    {64, Foreign} = recover(Config, ["plan", DirA, maps:get(dir, Other)]),
    says(Foreign, <<"are of different clusters">>),
    {64, Twice} = recover(Config, ["plan", DirA, DirA]),
    says(Twice, <<"is given twice">>),
    {78, Majority} = recover(Config, ["plan", DirA, maps:get(dir, B)]),
    says(Majority, <<"start them">>),
    {0, Plan} = recover(Config, ["plan", DirA]),
    says(Plan, <<"Nobody can see from here">>),
    #{<<"cluster">> := Cluster, <<"survivors">> := [#{<<"last_term">> := Term}]} =
        plan(Config, [A]),
    #{<<"survivors">> := [#{<<"last_index">> := Index, <<"last_term">> := TermB}]} =
        plan(Config, [B]),
    Name = binary_to_list(Cluster),
    {64, Unnamed} = recover(Config, ["apply", DirA]),
    says(Unnamed, <<"needs --cluster">>),
    {64, Wrong} = recover(Config, ["apply", DirA, "--cluster", "0123456789abcdef"]),
    says(Wrong, <<"is not the cluster of">>),
    {64, NoPosition} = recover(Config, ["apply", DirA, "--cluster", Name, "--position", "7"]),
    says(NoPosition, <<"give TERM:INDEX">>),
    Position = lists:flatten(io_lib:format("~b:~b", [TermB, Index])),
    {78, Behind} = recover(Config, ["apply", DirA, "--cluster", Name, "--position", Position]),
    says(Behind, <<"lacks entries up to">>),
    ?assert(Term =< TermB),
    %% Damage in the middle of its log.
    [Segment | _] = lists:sort(filelib:wildcard(filename:join(DirA, "*.wal"))),
    {ok, <<Good:4096/binary, Byte, Rest/binary>>} = file:read_file(Segment),
    <<Head:200/binary, H, Tail/binary>> = Good,
    ok = file:write_file(Segment, [Head, H bxor 16#ff, Tail, Byte, Rest]),
    {65, Damaged} = recover(Config, ["plan", DirA]),
    says(Damaged, list_to_binary(filename:basename(Segment))),
    ok = file:write_file(Segment, [Good, Byte, Rest]),
    %% None of it did anything: the three are a cluster as before.
    [quorate_ct:start_member(Context, M) || M <- Members],
    _ = quorate_ct:await_leader(Client, Members),
    %% Told so, one that is behind is taken.
    [quorate_ct:kill_member(Context, M) || M <- Members],
    {0, _} = recover(Config, ["apply", DirA, "--cluster", Name, "--position", "9999999999:1",
                              "--behind"]),
    _ = quorate_ct:start_member(Context, A),
    _ = quorate_ct:await_leader(Client, [A]).

%% Wherever it is killed: a member starts as the old one or as the new one, or not
%% at all, and the same command makes it the new one.
killed_in_the_middle(Config) ->
    #{work := Work} = Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = [A | _] = quorate_ct:members(Context, ["c1", "c2", "c3"]),
    _ = quorate_ct:await_leader(Client, Members),
    [quorate_ct:kill_member(Context, M) || M <- Members],
    #{dir := Dir} = A,
    #{<<"cluster">> := Cluster} = plan(Config, [A]),
    Saved = filename:join(Work, "saved"),
    ok = copy(Dir, Saved),
    %% How long it takes decides where in it a kill may fall.
    {Whole, {0, _}} = quorate_ct:take_time(fun() ->
        recover(Config, ["apply", Dir, "--cluster", binary_to_list(Cluster)])
    end),
    %% Caught before the log was written, and after.
    {ok, New} = file:read_file(filename:join(Dir, "identity")),
    [Kept] = filelib:wildcard(filename:join([Dir, "before-*", "identity"])),
    {ok, Old} = file:read_file(Kept),
    ok = file:write_file(filename:join(Dir, "recovery"), New),
    ok = file:write_file(filename:join(Dir, "identity"), Old),
    half = left_so(Config, A, binary_to_list(Cluster)),
    ?assertEqual({ok, Old}, file:read_file(filename:join(Saved, "identity"))),
    ok = copy(Saved, Dir),
    ok = file:write_file(filename:join(Dir, "recovery"), New),
    half = left_so(Config, A, binary_to_list(Cluster)),
    Ends = killed_later(Config, A, Saved, binary_to_list(Cluster), Whole / 24, 1),
    ct:pal("left behind: ~p", [Ends]).

%% Later and later, until it is through before it is killed.
killed_later(Config, #{dir := Dir} = A, Saved, Cluster, StepMs, N) ->
    ok = copy(Saved, Dir),
    case killed_at(Config, A, Cluster, N * StepMs * (1 + N / 24)) of
        new -> [new];
        End -> [End | killed_later(Config, A, Saved, Cluster, StepMs, N + 1)]
    end.

killed_at(Config, #{dir := Dir} = A, Cluster, Ms) ->
    Context = ?config(context, Config),
    _ = quorate_ct:run(Context, "/usr/bin/timeout",
                       ["-s", "KILL", io_lib:format("~.3f", [Ms / 1000 + 0.001]), program(),
                        "recover", "apply", Dir, "--cluster", Cluster], #{}),
    left_so(Config, A, Cluster).

left_so(Config, #{dir := Dir} = A, Cluster) ->
    Context = ?config(context, Config),
    Is = fun(File) -> filelib:is_regular(filename:join(Dir, File)) end,
    {ok, Card} = file:read_file(filename:join(Dir, "identity")),
    IsOld = binary:match(Card, list_to_binary("cluster " ++ Cluster)) =/= nomatch,
    case {Is("recovery"), IsOld} of
        {true, true} ->
            {78, Text} = quorate_ct:failed_start(Context, A),
            quorate_ct:says(Text, "start_failed", ["was begun and not finished"]),
            {0, _} = recover(Config, ["apply", Dir, "--cluster", Cluster]),
            starts_alone(Config, A),
            half;
        {false, true} ->
            {0, _} = recover(Config, ["apply", Dir, "--cluster", Cluster]),
            starts_alone(Config, A),
            old;
        {false, false} ->
            starts_alone(Config, A),
            new
    end.

starts_alone(Config, A) ->
    Context = ?config(context, Config),
    _ = quorate_ct:start_member(Context, A),
    _ = quorate_ct:await_leader(?config(client, Config), [A]),
    ok = quorate_ct:kill_member(Context, A).

program() ->
    os:getenv("QUORATE_PROGRAM", filename:join([quorate_ct:top(), "priv", "quorate"])).

copy(From, To) ->
    "" = os:cmd(lists:flatten(io_lib:format("rm -rf '~s' && cp -a '~s' '~s'", [To, From, To]))),
    ok.

node_of(#{node := Node}) -> Node.

plan(Config, Members) ->
    {0, Text} = recover(Config, ["plan", "-o", "json" | [Dir || #{dir := Dir} <- Members]]),
    ct_json:decode(Text).

recover(Config, Args) ->
    {Code, Out, Error} =
        quorate_ct:run(?config(context, Config), quorate, ["recover" | Args], #{}),
    {Code, <<Out/binary, Error/binary>>}.

says(Text, What) ->
    ?assertMatch({{_, _}, _, _}, {binary:match(Text, What), What, Text}).

add(Config, #{node := Node}, #{node := New, port := Port}) ->
    Address = list_to_binary("127.0.0.1:" ++ integer_to_list(Port)),
    quorate_ct:call(?config(client, Config), rpc, call,
                    [Node, quorum_manager, add_member, [New, #{address => Address}], 30000]).

logs(Config, Member, Text) ->
    quorate_ct:await({Text, node_of(Member)}, fun() ->
        nomatch =/= binary:match(iolist_to_binary(quorate_ct:log_of(?config(context, Config),
                                                                   Member)), Text)
    end).
