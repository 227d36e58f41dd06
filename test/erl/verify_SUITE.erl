%% SPDX-License-Identifier: Apache-2.0
%% Ownership journals of real members and workers: whatever happened to them,
%% `quorate verify' finds that each sandbox had one owner at a time; and a journal
%% that was changed afterwards is refused.
-module(verify_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(CAPACITY, #{cpu => 4000, memory => 4096, sandboxes => 1000}).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [what_happened_is_proven, lost_host_is_proven, own_member_and_worker_share_a_directory,
     restarted_journal_says_that_the_run_before_is_gone, journal_of_version_1_is_gone_on_with,
     small_journal_keeps_to_its_size, journal_has_a_place_of_its_own].

init_per_testcase(Case, Config) ->
    Context = quorate_ct:start(Case),
    Names = [atom_to_list(Case) ++ N || N <- ["1", "2", "3"]],
    Members = quorate_ct:members(Context, Names),
    ct_cluster:with(Context, Members, Config).

end_per_testcase(_, Config) ->
    ct_cluster:stop(Config).

%% Deaths, handovers, stops, state writes, a member killed and started again.
what_happened_is_proven(Config) ->
    Context = ?config(context, Config),
    [First | _] = Members = ?config(members, Config),
    Client = ?config(client, Config),
    A = worker(Config, "a", #{}),
    Ids = [<<"box", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 12)],
    _ = [{ok, _} = create(A, Id) || Id <- Ids],
    B = worker(Config, "b", #{}),
    ok = count(Config, Ids),
    ok = quorate_ct:kill_node(Context, A),
    ok = await_all(Config, Ids, [B]),
    C = worker(Config, "c", #{}),
    ok = count(Config, Ids),
    ok = quorate_ct:call(B, application, stop, [quorate]),
    ok = await_all(Config, Ids, [C]),
    [Stopped | Left] = Ids,
    ok = quorate_ct:ask(Client, First, {quorate, stop_sandbox}, [Stopped]),
    {Leader, _} = quorate_ct:leader(Client, Members),
    ok = quorate_ct:kill_member(Context, Leader),
    _ = quorate_ct:start_member(Context, Leader),
    _ = quorate_ct:await_leader(Client, Members),
    {ok, _} = quorate_ct:call(B, application, ensure_all_started, [quorate]),
    _ = quorate_ct:await_worker(Client, First, B),
    {ok, _} = create(B, Stopped),
    ok = count(Config, Left),
    _ = [0 = quorate_ct:stop_member(Context, M, "TERM") || M <- Members],
    {0, Said} = verify(Config, all(Config)),
    #{<<"verdict">> := <<"ok">>, <<"sandboxes">> := 12, <<"claims">> := Claims,
      <<"proven">> := Proven} = Said,
    %% Each was given away twice at least.
    ?assert(Claims >= 12 * 3 + 1),
    ?assert(lists:sum(maps:values(Proven)) >= 12 * 2 + 1),
    {0, Text} = show(Config, all(Config)),
    ?assertNotEqual(nomatch, binary:match(Text, <<"verdict: ok">>)).

%% Nobody sees how the worker ends, and its lease is what is left to go by.
lost_host_is_proven(Config) ->
    Context = ?config(context, Config),
    Members = ?config(members, Config),
    Client = ?config(client, Config),
    Workers = [A | _] = [worker(Config, Name, #{}) || Name <- ["a", "b"]],
    {ok, #{worker := Node}} = create(A, <<"alone">>),
    [Owner] = [W || #{node := N} = W <- Workers, N =:= Node],
    #{member := Home} = quorate_ct:await_worker(Client, hd(Members), Owner),
    [Member] = [M || #{node := N} = M <- Members, N =:= Home],
    %% Stopped, so that it finds no other member to see it.
    ok = quorate_ct:signal(maps:get(os_pid, Owner), "STOP"),
    ok = quorate_ct:kill_member(Context, Member),
    ok = quorate_ct:kill_node(Context, Owner),
    Others = Members -- [Member],
    true = quorate_ct:await(moved, fun() ->
        case quorate_ct:ask(Client, hd(Others), {quorate, sandbox}, [<<"alone">>]) of
            {ok, #{status := running, worker := New}} -> New =/= Node;
            _ -> false
        end
    end),
    %% That its process is gone is not known before its next run.
    {2, #{<<"findings">> := [#{<<"reason">> := <<"nothing tells", _/binary>>}]}} =
        verify(Config, all(Config)),
    [Name | _] = string:split(atom_to_list(Node), "@"),
    _ = worker(Config, Name, #{members => Others}),
    {0, #{<<"proven">> := #{<<"lease">> := 1}}} = verify(Config, all(Config)).

own_member_and_worker_share_a_directory(Config) ->
    Context = #{work := Work} = ?config(context, Config),
    Alone = quorate_ct:node(Context, "embedded"),
    Dir = filename:join(Work, "embedded"),
    ok = quorate_ct:call(Alone, application, load, [quorate]),
    ok = quorate_ct:call(Alone, application, set_env, [quorate, data_dir, Dir]),
    {ok, _} = quorate_ct:call(Alone, application, ensure_all_started, [quorate]),
    {ok, _} = create(Alone, <<"here">>),
    ok = quorate_ct:call(Alone, application, stop, [quorate]),
    {0, #{<<"runs">> := 2, <<"claims">> := 1, <<"intervals">> := 1, <<"unclosed">> := 0}} =
        verify(Config, [Dir]).

restarted_journal_says_that_the_run_before_is_gone(Config) ->
    Context = ?config(context, Config),
    A = worker(Config, "a", #{}),
    {ok, _} = create(A, <<"here">>),
    ok = quorate_ct:kill_node(Context, A),
    _ = worker(Config, "a", #{}),
    ok = await_all(Config, [<<"here">>], [#{node => maps:get(node, A)}]),
    {0, #{<<"proven">> := Proven}} = verify(Config, all(Config)),
    ?assertEqual(1, lists:sum(maps:values(Proven))).

%% What an older release left behind: its run is known, and its process is gone.
journal_of_version_1_is_gone_on_with(Config) ->
    #{boot_id := Boot, pid_namespace := Space} = quorate_os:identity(),
    Run = <<"a run of before.">>,
    Open = #{code => worker, worker => <<"a@127.0.0.1">>, run => Run, first => 1, pid => 1,
             start_time => 1, resolution => 10, boot => Boot, space => Space, text => <<"0">>},
    Before = filename:join(dir(Config, "a"), "worker-00000001.ownership"),
    ok = filelib:ensure_dir(Before),
    ok = file:write_file(Before, [<<"QUORATEJ", 1:16>>, quorate_journal:encode(open, 1, Open)]),
    A = worker(Config, "a", #{}),
    {ok, _} = create(A, <<"here">>),
    {0, #{<<"runs">> := Runs, <<"intervals">> := 1}} = verify(Config, all(Config)),
    ?assertEqual(3 + 2, Runs),
    Next = filename:join(dir(Config, "a"), "worker-00000002.ownership"),
    {ok, <<"QUORATEJ", 2:16, Records/binary>>} = file:read_file(Next),
    ?assertNotEqual(nomatch, binary:match(Records, Run)).

%% Rotation: what runs is known from each file, and old files go.
small_journal_keeps_to_its_size(Config) ->
    A = worker(Config, "a", #{journal => #{size => 262144}}),
    {ok, _} = create(A, <<"stays">>),
    ok = quorate_ct:on(A, fun() ->
        [quorate_journal:record(running, #{id => <<"stays">>, epoch => N})
         || N <- lists:seq(1, 20000)],
        %% What it has in its queue is written before this is answered.
        gen_server:call(quorate_journal, sync)
    end),
    Files = filelib:wildcard(filename:join(dir(Config, "a"), "worker-*.ownership")),
    Size = lists:sum([filelib:file_size(F) || F <- Files]),
    ct:pal("~b bytes in ~b files", [Size, length(Files)]),
    ?assert(length(Files) >= 2),
    ?assert(Size =< 262144),
    {0, #{<<"intervals">> := 1, <<"claims">> := 1}} = verify(Config, all(Config)).

%% For one member alone; its data directory has no journal then.
journal_has_a_place_of_its_own(Config) ->
    Context = ?config(context, Config),
    [#{dir := Data} = Member, #{args := Args} = Other | _] = ?config(members, Config),
    Dir = dir(Config, "members"),
    Elsewhere = fun(#{args := Own} = M) ->
        M#{args := Own ++ ["--ownership-journal-dir", Dir]}
    end,
    0 = quorate_ct:stop_member(Context, Member, "TERM"),
    [ok = file:delete(F) || F <- journals(Data)],
    _ = quorate_ct:start_member(Context, Elsewhere(Member)),
    true = quorate_ct:await(journal, fun() -> length(journals(Dir)) =:= 1 end),
    ?assertEqual([], journals(Data)),
    0 = quorate_ct:stop_member(Context, Other, "TERM"),
    {Status, Log} = quorate_ct:failed_start(Context, Elsewhere(Other#{args := Args})),
    ?assertNotEqual(0, Status),
    ?assertNotEqual(nomatch, binary:match(Log, <<"/members">>)),
    0 = quorate_ct:stop_member(Context, Member, "TERM"),
    {0, #{<<"verdict">> := <<"ok">>, <<"runs">> := 1}} = verify(Config, [Dir]).

journals(Dir) ->
    filelib:wildcard(filename:join(Dir, "member-*.ownership")).

%% Internals

%% A worker whose journal is in a directory of this case.
worker(Config, Name, Options) ->
    Context = ?config(context, Config),
    Members = maps:get(members, Options, ?config(members, Config)),
    Peer = quorate_ct:node(Context, Name),
    ok = quorate_ct:call(Peer, application, load, [quorate]),
    Journal = maps:merge(#{dir => dir(Config, Name)}, maps:get(journal, Options, #{})),
    ok = quorate_ct:call(Peer, application, set_env,
                         [[{quorate, [{member, {existing, [N || #{node := N} <- Members]}},
                                      {capacity, ?CAPACITY}, {ownership_journal, Journal}]}]]),
    {ok, _} = quorate_ct:call(Peer, application, ensure_all_started, [quorate]),
    _ = quorate_ct:await_worker(?config(client, Config), hd(Members), Peer),
    Peer.

dir(Config, Name) ->
    #{work := Work} = ?config(context, Config),
    filename:join([Work, "journals", Name]).

create(Worker, Id) ->
    quorate_ct:call(Worker, quorate, create_sandbox, [Id, ct_counter:spec()]).

%% Each of them writes its state.
count(Config, Ids) ->
    Client = ?config(client, Config),
    lists:foreach(fun(Id) ->
        quorate_ct:await({counted, Id}, fun() ->
            case quorate_ct:ask(Client, hd(?config(members, Config)), {quorate, sandbox}, [Id]) of
                {ok, #{status := running, pid := Pid}} ->
                    case quorate_ct:on(Client, fun() -> catch ct_counter:add(Pid) end) of
                        {ok, _} -> true;
                        _ -> false
                    end;
                _ ->
                    false
            end
        end)
    end, Ids).

%% Until all of them run on these.
await_all(Config, Ids, Workers) ->
    Client = ?config(client, Config),
    Nodes = [N || #{node := N} <- Workers],
    true = quorate_ct:await({moved, Nodes}, fun() ->
        case quorate_ct:ask(Client, hd(?config(members, Config)), {quorate, sandboxes}, []) of
            Rows when is_list(Rows) ->
                [] =:= [I || I <- Ids,
                             [] =:= [R || #{id := Id, status := running, worker := W} = R <- Rows,
                                          Id =:= I, lists:member(W, Nodes)]];
            _ ->
                false
        end
    end),
    ok.

all(Config) ->
    #{work := Work} = ?config(context, Config),
    [Dir || #{dir := Dir} <- ?config(members, Config)]
        ++ filelib:wildcard(filename:join([Work, "journals", "*"])).

verify(Config, Words) ->
    {Status, Json, Errors} = quorate_ct:run(?config(context, Config), quorate,
                                            ["verify", "-o", "json" | Words]),
    ct:pal("~b ~ts~ts", [Status, Json, Errors]),
    {Status, ct_json:decode(Json)}.

show(Config, Words) ->
    {Status, Text, <<>>} = quorate_ct:run(?config(context, Config), quorate, ["verify" | Words]),
    ct:pal("~ts", [Text]),
    {Status, Text}.
