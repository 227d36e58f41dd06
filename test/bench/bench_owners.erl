%% SPDX-License-Identifier: Apache-2.0
%% How long sandboxes are without an owner, by what has happened to the one they had.
%%
%% 100 sandboxes with a saved count are all on one of two workers, each of which is
%% attached to a member of its own (a host, in this measurement). It is lost, and the
%% time is taken until all of them have begun on the other one with the count that was
%% acknowledged last, as they say themselves. Then it is there again, and the other
%% one is the next to be lost.
%%
%% Apart from that: how long a member without a majority needs to say so, and 10,000
%% sandboxes of a lost worker beside others that are created at full speed.
-module(bench_owners).

-export([measure/1, mass/1]).
-export([create_until_told/2]).

-define(NAMES, ["q1", "q2", "q3"]).
-define(SANDBOXES, 100).
-define(MASS, 10000).
-define(CREATORS, 16).
-define(RATE_MS, 5000).
-define(WAIT_MS, 60000).
-define(CALLS, 50).

-spec measure(map()) -> ok.
measure(State) ->
    io:format("~n~-46s ~8s ~8s ~8s ~8s ~8s~n",
              ["until 100 sandboxes run elsewhere, ms", "p50", "p90", "p99", "max", "rounds"]),
    lists:foreach(fun(Profile) ->
        Cluster = start(State, Profile),
        Killed = rounds(Profile, "worker killed", Cluster, fun kill_worker/2),
        Follower = rounds(Profile, "host silent", Killed, silence(other)),
        Leader = rounds(Profile, "leader's host silent", Follower, silence(leader)),
        Lost = rounds(Profile, "leader's host killed", Leader, fun kill_host/2),
        ok = stop(Lost)
    end, ["default", "fast"]),
    ok = minority(start(State, "default")),
    mass(State).

%% 10,000 sandboxes of a worker that is killed, beside others that are created.
-spec mass(map()) -> ok.
mass(State) ->
    mass_of(start(State, "default")).

count() ->
    case os:getenv("QUORATE_BENCH_FAILOVERS") of
        false -> 20;
        Text -> list_to_integer(Text)
    end.

%% The cluster

%% Members and workers have names of their own each time: none is taken for an old one.
start(State, Profile) ->
    Unique = integer_to_list(erlang:unique_integer([positive])),
    Addresses = test_cluster:place(State, [N ++ "x" ++ Unique || N <- ?NAMES]),
    Cluster = #{state => State#{member_arguments => ["--lease-profile", Profile]},
                addresses => Addresses, unique => Unique, workers => #{}},
    Members = maps:from_list([start_member(Cluster, Name) || {Name, _} <- Addresses]),
    Started = Cluster#{members => Members},
    _ = settled(Started),
    Started.

start_member(#{state := State, addresses := Addresses}, Name) ->
    {Name, Port} = lists:keyfind(Name, 1, Addresses),
    {node_of(State, Name), {Name, test_cluster:start_member(State, Name, Port, Addresses)}}.

node_of(State, Name) ->
    list_to_atom(Name ++ "@" ++ test_cluster:host(State)).

stop(#{members := Members, workers := Workers}) ->
    lists:foreach(fun({_, Pid}) -> test_cluster:kill(Pid) end, maps:values(Members)),
    lists:foreach(fun(#{pid := Pid}) -> test_cluster:kill(Pid) end, maps:values(Workers)).

%% Who leads, once all members see one another and have its last entry.
settled(#{members := Members}) ->
    test_cluster:await("a settled cluster", fun() ->
        Statuses = [ask(Node, quorate, status, []) || Node <- maps:keys(Members)],
        case lists:usort([{L, I} || #{leader := L, applied_index := I, members_up := 3,
                                      quorum := true} <- Statuses]) of
            [{Leader, _}] when Leader =/= undefined ->
                length([1 || #{members_up := 3} <- Statuses]) =:= 3 andalso {true, Leader};
            _ ->
                false
        end
    end, ?WAIT_MS).

ask(Node, M, F, A) ->
    try erpc:call(Node, M, F, A, 2000)
    catch error:{erpc, _} -> down
    end.

%% A worker that knows first the member whose host it is on, then the others.
start_worker(#{state := State, unique := Unique, members := Members, workers := Workers} = Cluster,
             Name, Home) ->
    Others = lists:delete(Home, maps:keys(Members)),
    {Node, Pid} = test_cluster:start_erl(
        State, Name ++ "x" ++ Unique,
        ["-quorate", "member", io_lib:format("~0p", [{existing, [Home | Others]}])],
        "{ok, _} = application:ensure_all_started(quorate)."),
    ok = attached(Cluster, Node, Home),
    {Node, Cluster#{workers := Workers#{Node => #{name => Name, pid => Pid, home => Home}}}}.

attached(#{members := Members}, Worker, Home) ->
    test_cluster:await("a worker to be attached", fun() ->
        Rows = lists:append([R || Node <- maps:keys(Members),
                                  R <- [ask(Node, quorate, workers, [])], is_list(R)]),
        [] =/= [R || #{name := N, up := true, member := M} = R <- Rows, N =:= Worker, M =:= Home]
    end, ?WAIT_MS),
    ok.

create(Worker, Id, Saves) ->
    Spec = #{id => cart, start => {bench_owner, start_link, [self(), Saves]}},
    {ok, _} = erpc:call(Worker, quorate, create_sandbox, [Id, Spec, #{timeout => 10000}]),
    ok.

%% Rounds

%% The sandboxes are on one worker, since there is no other one when they are made.
rounds(Profile, Label, Cluster0, Lose) ->
    Cluster = stop_workers(Cluster0),
    [Home, Second | _] = maps:keys(maps:get(members, Cluster)),
    {Owner, One} = start_worker(Cluster, "a", Home),
    lists:foreach(fun(N) -> ok = create(Owner, id(N), true) end, lists:seq(1, ?SANDBOXES)),
    {_, Two} = start_worker(One, "b", Second),
    Counts = saved(#{}, 1),
    {Last, _, Times} = lists:foldl(fun(_, {Now, Before, Times}) ->
        {Took, Next, Counted} = one_round(Now, Before, Lose),
        {Next, Counted, [Took | Times]}
    end, {Two, Counts, []}, lists:seq(1, count())),
    At = fun(Percent) -> test_sink:percentile(Times, Percent) end,
    io:format("~-46s ~8b ~8b ~8b ~8b ~8b~n",
              [Label ++ ", " ++ Profile, At(50), At(90), At(99), At(100), count()]),
    Last.

id(N) ->
    <<"s", (integer_to_binary(N))/binary>>.

%% What ran before is stopped, so that the next rounds begin with their own.
stop_workers(#{workers := Workers, members := Members} = Cluster) ->
    _ = settled(Cluster),
    Member = hd(maps:keys(Members)),
    lists:foreach(fun(N) ->
        map_size(Workers) =:= 0 orelse
            (ok = erpc:call(Member, quorate, stop_sandbox, [id(N)], 15000))
    end, lists:seq(1, ?SANDBOXES)),
    lists:foreach(fun(#{pid := Pid}) -> test_cluster:kill(Pid) end, maps:values(Workers)),
    test_cluster:await("the workers to be gone", fun() ->
        case ask(Member, quorate, workers, []) of
            Rows when is_list(Rows) -> [] =:= [R || #{up := true} = R <- Rows];
            _ -> false
        end
    end, ?WAIT_MS),
    flush(),
    Cluster#{workers := #{},
             unique := integer_to_list(erlang:unique_integer([positive]))}.

flush() ->
    receive _ -> flush() after 0 -> ok end.

%% Until all have saved at least so many counts; the counts.
saved(Counts, Least) ->
    case length([1 || N <- maps:values(Counts), N >= Least]) of
        ?SANDBOXES -> Counts;
        _ ->
            receive
                {saved, Id, _, Count} -> saved(Counts#{Id => Count}, Least);
                {runs, _, _, _, _} -> saved(Counts, Least)
            after ?WAIT_MS -> throw({failed, "counts are not saved"})
            end
    end.

one_round(#{members := Members} = Cluster, Counts, Lose) ->
    _ = settled(Cluster),
    {ok, #{worker := Owner}} = erpc:call(hd(maps:keys(Members)), quorate, sandbox, [id(1)]),
    {Since, Back} = Lose(Cluster, Owner),
    Ran = await_runs(Owner, Counts, #{}),
    Took = erlang:monotonic_time(millisecond) - Since,
    Least = lists:min(maps:values(Counts)) + 1,
    Counted = saved(maps:merge(Counts, Ran), Least),
    {Took, Back(), Counted}.

%% All run elsewhere, with no less than what was acknowledged.
await_runs(_, Counts, Ran) when map_size(Ran) =:= map_size(Counts) ->
    maps:map(fun(_, {_, Saved}) -> Saved end, Ran);
await_runs(Owner, Counts, Ran) ->
    receive
        {runs, Id, _, Count, Node} when Node =/= Owner ->
            Count >= maps:get(Id, Counts) orelse throw({failed, ["a count is lost: ", Id]}),
            {_, Saved} = maps:get(Id, Ran, {Count, Count}),
            await_runs(Owner, Counts, Ran#{Id => {Count, Saved}});
        {saved, Id, _, Count} ->
            case Ran of
                #{Id := {Began, _}} -> await_runs(Owner, Counts, Ran#{Id => {Began, Count}});
                #{} -> await_runs(Owner, Counts, Ran)
            end
    after ?WAIT_MS ->
        throw({failed, io_lib:format("~b of ~b sandboxes run elsewhere",
                                     [map_size(Ran), map_size(Counts)])})
    end.

%% What is lost: since when, and how all is there again.

kill_worker(#{workers := Workers} = Cluster, Owner) ->
    #{name := Name, pid := Pid, home := Home} = maps:get(Owner, Workers),
    Since = erlang:monotonic_time(millisecond),
    ok = test_cluster:kill(Pid),
    {Since, fun() -> element(2, start_worker(Cluster, Name, Home)) end}.

kill_host(#{members := Members} = Cluster, Owner) ->
    {Home, Name} = leads(Cluster, Owner),
    {MemberName, MemberPid} = maps:get(Home, Members),
    #{Owner := #{pid := Pid}} = maps:get(workers, Cluster),
    Since = erlang:monotonic_time(millisecond),
    ok = test_cluster:signal_all("KILL", [Pid, MemberPid]),
    {Since, fun() ->
        {Home, Member} = start_member(Cluster, MemberName),
        Again = Cluster#{members := Members#{Home := Member}},
        _ = settled(Again),
        element(2, start_worker(Again, Name, Home))
    end}.

%% As far as others can see, a host that is stopped is one that is cut off. Its worker is
%% started anew: woken, it may go to another member, which would kill it in the next round.
silence(Which) ->
    fun(#{members := Members, workers := Workers} = Cluster, Owner) ->
        #{name := Name, home := Home, pid := Pid} = maps:get(Owner, Workers),
        _ = case Which of
                leader -> leads(Cluster, Owner);
                other -> follows(Cluster, Owner)
            end,
        {_, MemberPid} = maps:get(Home, Members),
        Since = erlang:monotonic_time(millisecond),
        ok = test_cluster:signal_all("STOP", [Pid, MemberPid]),
        {Since, fun() ->
            ok = test_cluster:signal_all("CONT", [MemberPid, Pid]),
            _ = settled(Cluster),
            ok = test_cluster:kill(Pid),
            element(2, start_worker(Cluster, Name, Home))
        end}
    end.

%% The member on the host of a worker leads; it and the worker's short name.
leads(Cluster, Owner) ->
    #{name := Name, home := Home} = maps:get(Owner, maps:get(workers, Cluster)),
    ok = lead(Cluster, Home),
    {Home, Name}.

follows(#{members := Members} = Cluster, Owner) ->
    #{home := Home} = maps:get(Owner, maps:get(workers, Cluster)),
    [Other | _] = lists:delete(Home, maps:keys(Members)),
    case settled(Cluster) of
        Home -> lead(Cluster, Other);
        _ -> ok
    end.

lead(Cluster, Wanted) ->
    test_cluster:await("a leader to take over", fun() ->
        case settled(Cluster) of
            Wanted -> true;
            Leader ->
                _ = ask(Leader, quorum_manager, transfer_leadership, [Wanted]),
                false
        end
    end, ?WAIT_MS),
    ok.

%% A minority

%% From when the member knows of no leader: the time that a call takes to be refused.
minority(#{members := Members} = Cluster) ->
    Leader = settled(Cluster),
    [{Left, _} | _] = maps:to_list(maps:remove(Leader, Members)),
    Gone = [Pid || {Node, {_, Pid}} <- maps:to_list(Members), Node =/= Left],
    ok = test_cluster:signal_all("STOP", Gone),
    Since = erlang:monotonic_time(millisecond),
    true = test_cluster:await("the loss of the leader to be known", fun() ->
        case ask(Left, quorate, status, [#{consistency => local}]) of
            #{leader := undefined} -> true;
            _ -> false
        end
    end, ?WAIT_MS),
    Known = erlang:monotonic_time(millisecond) - Since,
    io:format("~n~-46s ~8s ~8s ~8s ~8s~n", ["no majority, ms", "p50", "p99", "max", "calls"]),
    io:format("~-46s ~8b~n", ["known to the member after", Known]),
    lists:foreach(fun({Label, F, A}) ->
        Times = [refused(Left, F, A) || _ <- lists:seq(1, ?CALLS)],
        At = fun(Percent) -> test_sink:percentile(Times, Percent) end,
        io:format("~-46s ~8.1f ~8.1f ~8.1f ~8b~n", [Label, At(50), At(99), At(100), ?CALLS])
    end, [{"a creation is refused", create_sandbox,
           [<<"x">>, #{id => x, start => {bench_sandbox, start_link, []}}, #{timeout => 5000}]},
          {"a read is refused", sandbox, [<<"x">>]}]),
    stop(Cluster).

refused(Member, F, A) ->
    {Us, Answer} = timer:tc(fun() ->
        gen_server:call({quorate, Member}, {quorate, F, A}, 10000)
    end),
    {error, no_quorum} = Answer,
    Us / 1000.

%% Many at once

%% 16 callers create all the time, on a worker that stays.
mass_of(#{members := Members} = Cluster) ->
    [A, B, C] = maps:keys(Members),
    {Owner, One} = start_worker(Cluster, "a", A),
    _ = create_all(Owner),
    {Other, Two} = start_worker(One, "b", B),
    {_, #{workers := #{Owner := #{pid := Pid}}} = Three} = start_worker(Two, "c", C),
    flush(),
    Before = creating(Other, "before", fun() -> receive after ?RATE_MS -> ok end end),
    {Beside, Took} = creating(Other, "beside", fun() ->
        Since = erlang:monotonic_time(millisecond),
        ok = test_cluster:kill(Pid),
        ok = await_mass(Owner, #{}),
        erlang:monotonic_time(millisecond) - Since
    end),
    io:format("~n~-46s~n", ["10,000 sandboxes of a worker that is killed"]),
    io:format("~-46s ~8b~n", ["all run elsewhere after, ms", Took]),
    io:format("~-46s ~8b~n", ["creations a second, before", element(1, Before)]),
    io:format("~-46s ~8b~n", ["creations a second, meanwhile", Beside]),
    stop(Three).

create_all(Owner) ->
    Teller = self(),
    erpc:call(Owner, fun() ->
        Next = atomics:new(1, []),
        together(fun() ->
            numbers(Next, fun(N) ->
                Spec = #{id => cart, start => {bench_owner, start_link, [Teller, false]}},
                {ok, _} = quorate:create_sandbox(id(N), Spec, #{timeout => 20000})
            end)
        end)
    end, 600000).

numbers(Next, Create) ->
    case atomics:add_get(Next, 1, 1) of
        N when N > ?MASS -> ok;
        N -> _ = Create(N), numbers(Next, Create)
    end.

together(Fun) ->
    Refs = [element(2, spawn_monitor(Fun)) || _ <- lists:seq(1, ?CREATORS)],
    [receive {'DOWN', Ref, process, _, normal} -> ok end || Ref <- Refs].

%% Creations a second while a function is carried out, and its result.
creating(Worker, Prefix, Fun) ->
    Teller = self(),
    Creators = spawn(Worker, ?MODULE, create_until_told, [Teller, Prefix]),
    Result = Fun(),
    Creators ! stop,
    receive {created, Rate} -> {Rate, Result} end.

-spec create_until_told(pid(), string()) -> ok.
create_until_told(Teller, Prefix) ->
    Count = counters:new(1, []),
    Since = erlang:monotonic_time(millisecond),
    Creators = [spawn_link(fun() -> create_on(Prefix ++ integer_to_list(I), 1, Count) end)
                || I <- lists:seq(1, ?CREATORS)],
    receive stop -> ok end,
    Ms = erlang:monotonic_time(millisecond) - Since,
    Teller ! {created, counters:get(Count, 1) * 1000 div Ms},
    lists:foreach(fun(Pid) -> unlink(Pid), exit(Pid, kill) end, Creators).

create_on(Prefix, N, Count) ->
    Id = Prefix ++ "." ++ integer_to_list(N),
    Spec = #{id => cart, start => {bench_sandbox, start_link, []}},
    {ok, _} = quorate:create_sandbox(Id, Spec, #{timeout => 20000}),
    ok = counters:add(Count, 1, 1),
    create_on(Prefix, N + 1, Count).

await_mass(_, Ran) when map_size(Ran) =:= ?MASS ->
    ok;
await_mass(Owner, Ran) ->
    receive
        {runs, Id, _, _, Node} when Node =/= Owner -> await_mass(Owner, Ran#{Id => true})
    after ?WAIT_MS ->
        throw({failed, io_lib:format("~b of ~b run elsewhere", [map_size(Ran), ?MASS])})
    end.
