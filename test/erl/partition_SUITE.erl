%% SPDX-License-Identifier: Apache-2.0
%% Five members, each in a network namespace of its own, and a router between
%% them whose rules cut any direction between any two, or lose packets. What each
%% member reports is compared with a model of what it can know, and how long that
%% took is printed. It takes root, `ip' and `nft'; where there is none of these the
%% suite is skipped, with the reason, and fails with QUORATE_REQUIRE_NETNS=1.
-module(partition_SUITE).

-export([all/0, suite/0, init_per_suite/1, end_per_suite/1, init_per_testcase/2,
         end_per_testcase/2]).
-export([full_cuts/1, partial_cuts/1, one_way_cuts/1, losses_are_no_partition/1,
         a_stop_of_a_second_is_no_partition/1, a_longer_stop_is_one/1, workers_are_missed/1,
         subscribers_are_told/1, expected_nodes_are_set/1]).

-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").

-define(MEMBERS, [1, 2, 3, 4, 5]).
-define(CLIENT, 9).
-define(PORT, 4370).
%% The goal is 2000. A machine that runs other tests too is late by chance.
-define(DETECTION_MS, 2500).
-define(QUIET_MS, 20000).

all() ->
    [full_cuts, partial_cuts, one_way_cuts, losses_are_no_partition,
     a_stop_of_a_second_is_no_partition, a_longer_stop_is_one, expected_nodes_are_set,
     subscribers_are_told, workers_are_missed].

suite() ->
    [{timetrap, {minutes, 5}}].

%% The net

init_per_suite(Config) ->
    case test_net:build("qp" ++ os:getpid(), [?CLIENT | ?MEMBERS]) of
        {ok, Net} ->
            Context = quorate_ct:start(partition),
            Whole = [{net, Net}, {context, Context} | Config],
            [start(Whole, I) || I <- ?MEMBERS],
            Whole;
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

init_per_testcase(_, Config) ->
    _ = cut(Config, []),
    _ = await_sight(Config, []),
    Config.

end_per_testcase(_, Config) ->
    cut(Config, []).

net(Config) -> ?config(net, Config).

ns(Config, I) -> test_net:ns(net(Config), I).

address(I) -> test_net:address(I).

%% {From, To}: what From sends does not come to To.
cut(Config, Cuts) ->
    test_net:rules(net(Config), test_net:drop_all(Cuts)).

%% Members and what they report

context(Config) -> ?config(context, Config).

name(I) -> "q" ++ integer_to_list(I).

member(I) -> lists:flatten([name(I), "@", address(I)]).

program() ->
    os:getenv("QUORATE_PROGRAM", filename:join([quorate_ct:top(), "priv", "quorate"])).

start(Config, I) ->
    #{work := Work} = context(Config),
    Set = lists:append([["--member", member(J) ++ "=" ++ address(J) ++ ":4370"]
                        || J <- ?MEMBERS]),
    quorate_ct:process(context(Config), name(I), os:find_executable("ip"),
                       ["netns", "exec", ns(Config, I), program(), "start",
                        "--name", member(I), "--cookie-file", filename:join(Work, "cookie"),
                        "--data-dir", filename:join(Work, name(I)), "--epmd=false",
                        "--listen", address(I) ++ ":4370" | Set]).

%% In the member's own namespace, so that no cut is in the way.
report(Config, I) ->
    #{work := Work} = context(Config),
    Args = ["netns", "exec", ns(Config, I), program(), "partitions",
            "-t", member(I) ++ "=" ++ address(I) ++ ":4370", "-o", "json",
            "--cookie-file", filename:join(Work, "cookie")],
    case quorate_ct:run(context(Config), os:find_executable("ip"), Args) of
        {0, Json, _} -> ct_json:decode(Json);
        {_, _, Why} -> #{<<"verdict">> => Why, <<"since">> => 0}
    end.

%% What a member sees: {Verdict, Groups, Missing, Unheard, OneWay}.
seen(#{<<"groups">> := Groups} = Report) ->
    #{<<"verdict">> := Verdict, <<"missing">> := Missing, <<"unheard">> := Unheard,
      <<"one_way">> := OneWay} = Report,
    {binary_to_list(Verdict), lists:sort([numbers(G) || G <- Groups]), numbers(Missing),
     numbers(Unheard), lists:sort([{number(A), number(B)} || [A, B] <- OneWay])};
seen(Report) ->
    Report.

numbers(Names) -> lists:sort([number(N) || N <- Names]).

number(<<$q, Digit, _/binary>>) -> Digit - $0;
number(Other) -> Other.

%% The model: with these directions cut, what member I can know.

model(I, Cuts) ->
    Whole = fun(A, B) ->
        A =:= B orelse not (lists:member({A, B}, Cuts) orelse lists:member({B, A}, Cuts))
    end,
    Known = spread([I], Whole),
    Cliques = [S || S <- subsets(Known), S =/= [], is_clique(S, Whole)],
    Groups = [S || S <- Cliques,
                   not lists:any(fun(T) -> T =/= S andalso S -- T =:= [] end, Cliques)],
    Missing = [J || J <- ?MEMBERS, not Whole(I, J)],
    Together = lists:max([length(G) || G <- Groups, lists:member(I, G)]),
    OneWay = [{A, B} || {B, A} <- Cuts, not lists:member({A, B}, Cuts), lists:member(B, Known)],
    {verdict(length(?MEMBERS) - Together), lists:sort(Groups), Missing, ?MEMBERS -- Known,
     lists:sort(OneWay)}.

verdict(0) -> "no_partition";
verdict(Missing) when Missing < length(?MEMBERS) - Missing -> "minor_partition";
verdict(_) -> "major_partition".

spread(Set, Whole) ->
    case lists:usort([B || A <- Set, B <- ?MEMBERS, Whole(A, B)]) of
        Set -> Set;
        More -> spread(More, Whole)
    end.

subsets([]) -> [[]];
subsets([First | Others]) ->
    Less = subsets(Others),
    [[First | S] || S <- Less] ++ Less.

is_clique(Set, Whole) -> lists:all(fun({A, B}) -> Whole(A, B) end, [{A, B} || A <- Set, B <- Set]).

%% Until all members see what is; the time of each one's verdict, and that at which
%% all was seen.
await_sight(Config, Cuts) ->
    await_sight(Config, Cuts, now_ms()).

await_sight(Config, Cuts, BeginMs) ->
    quorate_ct:await({sight_of, Cuts}, fun() ->
        Rows = [{now_ms(), I, report(Config, I)} || I <- ?MEMBERS],
        Wrong = [{I, seen(R), model(I, Cuts)} || {_, I, R} <- Rows, seen(R) =/= model(I, Cuts)],
        TookMs = now_ms() - BeginMs,
        TookMs < 12000 orelse ct:pal("wrong after ~b ms: ~p", [TookMs, Wrong]),
        Wrong =:= [] andalso
            {true, {lists:max([At - S - BeginMs || {At, _, #{<<"since">> := S}} <- Rows]), TookMs}}
    end).

now_ms() -> erlang:monotonic_time(millisecond).

%% Cuts, and heals; how long both took.
try_cut(Config, What, Cuts) ->
    CutMs = now_ms(),
    ok = cut(Config, Cuts),
    {Verdict, All} = await_sight(Config, Cuts, CutMs),
    %% It stays so while the links are given up and dialled.
    Still = [{I, seen(report(Config, I)) =:= model(I, Cuts)} || _ <- [1, 2, 3, 4, 5, 6],
                                                              I <- ?MEMBERS],
    ?assertEqual([], [I || {I, false} <- Still]),
    HealMs = now_ms(),
    ok = cut(Config, []),
    {Healed, _} = await_sight(Config, [], HealMs),
    ct:pal("~ts: verdicts after ~b ms, all seen within ~b ms, healed after ~b ms",
           [What, Verdict, All, Healed]),
    {Verdict, Healed}.

judge(Times) ->
    {Cut, Heal} = lists:unzip(Times),
    ct:pal("worst of ~b: verdicts ~b ms, healing ~b ms",
           [length(Times), lists:max(Cut), lists:max(Heal)]),
    ?assert(lists:max(Cut) =< ?DETECTION_MS),
    ?assert(lists:max(Heal) =< ?DETECTION_MS).

between(Sides) ->
    Of = fun(I) -> hd([S || S <- Sides, lists:member(I, S)]) end,
    [{A, B} || A <- ?MEMBERS, B <- ?MEMBERS, Of(A) =/= Of(B)].

%% Cases

full_cuts(Config) ->
    judge([try_cut(Config, io_lib:format("~w", [Sides]), between(Sides))
           || Sides <- [[[1, 2], [3, 4, 5]], [[1], [2, 3, 4, 5]], [[1], [2], [3, 4, 5]],
                        [[1], [2], [3], [4], [5]]]]).

partial_cuts(Config) ->
    Ring = [{A, B} || A <- ?MEMBERS, B <- ?MEMBERS, lists:member((A - B + 5) rem 5, [2, 3])],
    judge([try_cut(Config, "one pair", [{1, 2}, {2, 1}]),
           try_cut(Config, "all but a ring", Ring)]).

one_way_cuts(Config) ->
    judge([try_cut(Config, io_lib:format("from ~b to ~b", [A, B]), [{A, B}])
           || {A, B} <- [{1, 2}, {2, 1}, {5, 3}]]
          ++ [try_cut(Config, "from 1 to all", [{1, B} || B <- [2, 3, 4, 5]])]).

%% Reports are asked for all the while; none of them may have another verdict, not
%% even for a moment: then `since' would be young.
losses_are_no_partition(Config) ->
    ok = test_net:rules(net(Config), "numgen random mod 100 < 5 drop;"),
    all_is_quiet(Config, now_ms(), fun() -> ok end).

a_stop_of_a_second_is_no_partition(Config) ->
    all_is_quiet(Config, now_ms(), fun() ->
        OsPid = quorate_ct:os_pid(context(Config), name(1 + rand:uniform(4))),
        ok = quorate_ct:signal(OsPid, "STOP"),
        timer:sleep(1000),
        ok = quorate_ct:signal(OsPid, "CONT")
    end).

all_is_quiet(Config, BeginMs, Disturb) ->
    ok = Disturb(),
    [begin
         #{<<"since">> := Since} = Report = report(Config, I),
         ?assertMatch({"no_partition", [?MEMBERS], [], [], []}, seen(Report)),
         ?assert(Since >= now_ms() - BeginMs - 500)
     end || I <- ?MEMBERS],
    now_ms() - BeginMs > ?QUIET_MS orelse all_is_quiet(Config, BeginMs, Disturb).

%% It is missed, but nothing is called cut in one direction; and it accuses nobody.
a_longer_stop_is_one(Config) ->
    OsPid = quorate_ct:os_pid(context(Config), name(3)),
    ok = quorate_ct:signal(OsPid, "STOP"),
    [quorate_ct:await({missed_by, I}, fun() ->
         seen(report(Config, I)) =:= {"minor_partition", [[1, 2, 4, 5]], [3], [3], []}
     end) || I <- [1, 2, 4, 5]],
    BeginMs = now_ms(),
    ok = quorate_ct:signal(OsPid, "CONT"),
    {Healed, _} = await_sight(Config, [], BeginMs),
    #{<<"since">> := Since} = report(Config, 3),
    ?assert(Since > now_ms() - BeginMs),
    ct:pal("back after ~b ms", [Healed]).

%% Nodes of Erlang

client(Config, Name) ->
    Nodes = lists:join(",", [member(I) ++ "=" ++ address(I) ++ ":4370" || I <- ?MEMBERS]),
    quorate_ct:node(context(Config), Name,
                    #{netns => ns(Config, ?CLIENT), place => #{host => address(?CLIENT)},
                      args => ["-epmd_module", "quorate_epmd"],
                      env => [{"QUORATE_EPMD_NODES", lists:append(Nodes)}]}).

ask(Client, I, Function, Args) ->
    quorate_ct:call(Client, rpc, call, [list_to_atom(member(I)), partition_detector, Function,
                                        Args, 5000]).

expected_nodes_are_set(Config) ->
    Client = client(Config, "setter"),
    ?assertEqual(ok, ask(Client, 1, set_expected_nodes, [['w1@nowhere', 'w2@nowhere']])),
    ?assertEqual(minor_partition, ask(Client, 1, detect_partition, [])),
    #{missing := Missing, expected := Expected} = ask(Client, 1, partition_report, []),
    ?assertEqual(['w1@nowhere', 'w2@nowhere'], lists:sort(Missing)),
    ?assertEqual(7, length(Expected)),
    ?assertEqual(no_partition, ask(Client, 2, detect_partition, [])),
    [?assertEqual({error, {badarg, nodes}}, ask(Client, 1, set_expected_nodes, [Wrong]))
     || Wrong <- [x, "abc", [<<"w@h">>], ['w@h', 'w@h'], [w], lists:duplicate(257, 'w@h')]],
    ?assertEqual(ok, ask(Client, 1, set_expected_nodes, [[]])),
    ?assertEqual(no_partition, ask(Client, 1, detect_partition, [])),
    ok = quorate_ct:kill_node(context(Config), Client).

subscribers_are_told(Config) ->
    Client = client(Config, "listener"),
    Members = [list_to_atom(member(I)) || I <- ?MEMBERS],
    Log = quorate_ct:on(Client, fun() -> listener(Members) end),
    ok = cut(Config, between([[1, 2], [3, 4, 5]])),
    [quorate_ct:await({told, M}, fun() ->
         lists:member({M, partition, major_partition, false}, told(Client, Log))
     end) || M <- [list_to_atom(member(I)) || I <- [1, 2]]],
    [quorate_ct:await({told, M}, fun() ->
         lists:member({M, partition, minor_partition, true}, told(Client, Log))
     end) || M <- [list_to_atom(member(I)) || I <- [3, 4, 5]]],
    ok = cut(Config, []),
    [quorate_ct:await({healed, M}, fun() ->
         Mine = [Told || {From, _, _, _} = Told <- told(Client, Log), From =:= M],
         hd(Mine) =:= {M, healed, no_partition, true}
             orelse hd(Mine) =:= {M, healed, no_partition, false}
     end) || M <- Members],
    %% Who has left, or has ended, is not told.
    ?assertEqual([ok, ok, ok, ok, ok], quorate_ct:call(Client, gen_server, call, [Log, leave])),
    Before = told(Client, Log),
    ok = cut(Config, between([[1], [2, 3, 4, 5]])),
    _ = await_sight(Config, between([[1], [2, 3, 4, 5]])),
    ?assertEqual(Before, told(Client, Log)),
    ?assertEqual({error, {badarg, topic}},
                 quorate_ct:on(Client, fun() ->
                     rpc:call(hd(Members), quorate, subscribe, [other, self()])
                 end)),
    ok = quorate_ct:kill_node(context(Config), Client).

told(Client, Log) -> quorate_ct:call(Client, gen_server, call, [Log, told]).

%% A process that subscribes with each member and keeps what it is told, the last
%% first; in plain functions, which the other node has.
listener(Members) ->
    Self = self(),
    Pid = spawn(fun() ->
        Own = [{M, spawn_keeper(self(), M)} || M <- Members],
        Self ! {self(), ready},
        keep(Own, [])
    end),
    receive {Pid, ready} -> Pid end.

spawn_keeper(Log, Member) ->
    Starter = self(),
    Keeper = spawn(fun() ->
        {ok, Reference} = rpc:call(Member, quorate, subscribe, [partition, self()]),
        Member = node(Reference),
        Starter ! {self(), Reference},
        forward(Log, Member)
    end),
    receive {Keeper, Reference} -> Reference end.

forward(Log, Member) ->
    receive
        {quorate, Word, #{verdict := Verdict, quorum := Quorum}} ->
            Log ! {Member, Word, Verdict, Quorum},
            forward(Log, Member)
    end.

keep(Own, Told) ->
    receive
        {'$gen_call', From, told} ->
            gen_server:reply(From, Told),
            keep(Own, Told);
        {'$gen_call', From, leave} ->
            gen_server:reply(From, [gen_server:call({quorate, M}, {quorate, unsubscribe, [R]})
                                    || {M, R} <- Own]),
            keep([], Told);
        {_, _, _, _} = Message ->
            keep(Own, [Message | Told])
    end.

%% A worker that its member does not hear is missing there at once, and for all when
%% its lease has ended if it was named.
workers_are_missed(Config) ->
    Client = client(Config, "worker"),
    #{node := Worker} = Client,
    ok = quorate_ct:call(Client, application, load, [quorate]),
    ok = quorate_ct:call(Client, application, set_env,
                         [[{quorate, [{member, {existing, [list_to_atom(member(1))]}},
                                      {capacity, #{cpu => 1000, memory => 1000,
                                                   sandboxes => 10}}]}]]),
    {ok, _} = quorate_ct:call(Client, application, ensure_all_started, [quorate]),
    Name = atom_to_binary(Worker),
    Expects = fun(I) ->
        #{<<"expected">> := Expected} = report(Config, I),
        lists:member(Name, Expected)
    end,
    [quorate_ct:await({expected_by, I}, fun() -> Expects(I) end) || I <- ?MEMBERS],
    ?assertEqual(ok, ask(Client, 2, set_expected_nodes, [[Worker]])),
    BeginMs = now_ms(),
    %% Cut off from one member alone it would go to another one.
    ok = cut(Config, [{?CLIENT, I} || I <- ?MEMBERS] ++ [{I, ?CLIENT} || I <- ?MEMBERS]),
    Since = quorate_ct:await(missed_by_its_member, fun() ->
        Report = report(Config, 1),
        #{<<"missing">> := Missing, <<"since">> := Age} = Report,
        Missing =:= [Name] andalso {true, now_ms() - Age - BeginMs}
    end),
    ct:pal("a worker was missed after ~b ms", [Since]),
    ?assert(Since =< ?DETECTION_MS),
    quorate_ct:await(missed_by_others, fun() ->
        #{<<"missing">> := Missing} = report(Config, 2),
        Missing =:= [Name]
    end),
    ok = cut(Config, []),
    ok = quorate_ct:kill_node(context(Config), Client),
    _ = ask(client(Config, "other"), 2, set_expected_nodes, [[]]),
    quorate_ct:await(forgotten, fun() -> not lists:any(Expects, ?MEMBERS) end).
