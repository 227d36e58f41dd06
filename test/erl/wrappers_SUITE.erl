%% SPDX-License-Identifier: Apache-2.0
%% Registries and supervisors in the shapes of others, in a cluster of real members:
%% what docs/moving.md says of races, lost nodes and lost majorities.
-module(wrappers_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(MANY, 6000).
%% Deadline of a call, what its answer has to travel, and a busy machine.
-define(BOUND_MS, 8000).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [a_child_is_started_once, a_key_is_registered_once, a_child_goes_on_elsewhere_with_its_state,
     pages_are_put_together, nobody_says_what_only_a_majority_knows].

init_per_suite(Config) ->
    ct_cluster:start(quorate_ct:start(wrappers), Config).

end_per_suite(Config) ->
    ct_cluster:stop(Config).

init_per_testcase(_, Config) ->
    Whole = ct_cluster:workers(["w1", "w2"], #{}, [?MODULE, ct_counter], Config),
    [ok = quorate_ct:call(W, ?MODULE, supervisor, []) || W <- ?config(workers, Whole)],
    Whole.

end_per_testcase(_, Config) ->
    ct_cluster:clear(Config).

%% Not linked with who calls from outside.
supervisor() ->
    {ok, Pid} = quorate_supervisor:start_link([{name, sup}]),
    true = unlink(Pid),
    ok.

a_child_is_started_once(Config) ->
    Ids = [{raced, N} || N <- lists:seq(1, 50)],
    [First, Second] = both(Config, start_all, [Ids]),
    [?assertMatch({Id, [{error, {already_started, Pid}}, {ok, Pid}]},
                  {Id, lists:sort([settled(Config, Id, A), settled(Config, Id, B)])})
     || {Id, A, B} <- lists:zip3(Ids, First, Second)],
    [W1, W2] = ?config(workers, Config),
    Children = quorate_ct:call(W1, quorate_supervisor, which_children, [sup]),
    ?assertEqual(Children, quorate_ct:call(W2, quorate_supervisor, which_children, [sup])),
    ?assertEqual(Ids, lists:sort([Id || {Id, Pid, worker, dynamic} <- Children, is_pid(Pid)])),
    ?assertEqual(#{specs => 50, active => 50, workers => 50, supervisors => 0},
                 quorate_ct:call(W2, quorate_supervisor, count_children, [sup])),
    %% By its process, on whatever node that is, and by its id.
    [{Id1, Pid1, _, _}, {Id2, _, _, _} | Rest] = Children,
    ?assertEqual(ok, quorate_ct:call(W1, quorate_supervisor, terminate_child, [sup, Pid1])),
    ?assertEqual(ok, quorate_ct:call(W2, quorate_supervisor, terminate_child, [sup, Id2])),
    ?assertEqual(Rest, quorate_ct:call(W1, quorate_supervisor, which_children, [sup])),
    [?assertEqual({error, not_found}, quorate_ct:call(W1, quorate_supervisor, whereis, [sup, Id]))
     || Id <- [Id1, Id2]].

%% Who came second may have seen the child before it ran.
settled(Config, Id, {error, already_present}) ->
    [W1, _] = ?config(workers, Config),
    {ok, Pid, _} = quorate_ct:call(W1, quorate_supervisor, whereis, [sup, Id]),
    {error, {already_started, Pid}};
settled(_, _, Answer) ->
    Answer.

start_all(Ids) ->
    [quorate_supervisor:start_child(sup, spec(Id)) || Id <- Ids].

spec(Id) ->
    #{id => Id, start => {?MODULE, start_counter, []}}.

a_key_is_registered_once(Config) ->
    Keys = [#{key => N, in => raced} || N <- lists:seq(1, 100)],
    [First, Second] = both(Config, register_all, [Keys]),
    [?assertMatch({Key, [{error, {already_registered, Pid}}, {ok, Pid}]},
                  {Key, lists:sort([A, B])})
     || {Key, A, B} <- lists:zip3(Keys, First, Second)],
    [W1, W2] = ?config(workers, Config),
    [Pids1, Pids2] = [lists:usort([P || {ok, P} <- Answers]) || Answers <- [First, Second]],
    %% Also those of processes on the other node.
    [?assertEqual([K || {K, {ok, P}} <- lists:zip(Keys, Answers), P =:= Pid],
                  lists:sort(quorate_ct:call(W, quorate_registry, keys, [reg, Pid])))
     || {Answers, Pids} <- [{First, Pids1}, {Second, Pids2}], Pid <- Pids, W <- [W1, W2]],
    ?assertEqual(100, quorate_ct:call(W1, quorate_registry, count, [reg])).

%% By one process that stays.
register_all(Keys) ->
    Self = self(),
    Pid = spawn(fun() ->
        Self ! {self(), [quorate_registry:register(reg, Key, node()) || Key <- Keys]},
        receive after infinity -> ok end
    end),
    receive {Pid, Answers} -> Answers end.

a_child_goes_on_elsewhere_with_its_state(Config) ->
    Context = ?config(context, Config),
    [W1, W2] = ?config(workers, Config),
    Started = [begin
                   {ok, Pid} = quorate_ct:call(W1, quorate_supervisor, start_child, [sup, spec(N)]),
                   ok = quorate_ct:call(W1, gen_server, call, [Pid, {put, N * 100}]),
                   {N, Pid}
               end || N <- lists:seq(1, 10)],
    Node = maps:get(node, W2),
    Lost = [N || {N, Pid} <- Started, node(Pid) =:= Node],
    ?assert(Lost =/= []),
    Epochs = [{N, epoch(W1, N)} || N <- Lost],
    ok = quorate_ct:kill_node(Context, W2),
    [begin
         true = quorate_ct:await({moved, N}, fun() ->
             case quorate_ct:call(W1, quorate_supervisor, whereis, [sup, N]) of
                 {ok, Pid, _} -> node(Pid) =/= Node;
                 _ -> false
             end
         end),
         ?assert(epoch(W1, N) > Epoch)
     end || {N, Epoch} <- Epochs],
    [?assertEqual(N * 100, quorate_ct:call(W1, gen_server, call,
                                           [{via, quorate_supervisor, {sup, N}}, get]))
     || {N, _} <- Started],
    ?assertMatch(#{specs := 10, active := 10},
                 quorate_ct:call(W1, quorate_supervisor, count_children, [sup])).

epoch(W, Id) ->
    {ok, #{epoch := Epoch}} = quorate_ct:call(W, quorate_supervisor, child, [sup, Id]),
    Epoch.

%% More than one page, between registries whose names stand around it.
pages_are_put_together(Config) ->
    [W1, W2] = ?config(workers, Config),
    ok = quorate_ct:call(W1, ?MODULE, register_many, [[{reg, ?MANY}, {rea, 10}, {reh, 10}]]),
    [?assertEqual(Count, quorate_ct:call(W2, quorate_registry, count, [Registry]))
     || {Registry, Count} <- [{reg, ?MANY}, {rea, 10}, {reh, 10}, {re, 0}]],
    Keys = quorate_ct:call(W2, quorate_registry, select, [reg, [{{'$1', '_', 7}, [], ['$1']}]]),
    ?assertEqual(lists:seq(1, ?MANY), lists:sort(Keys)).

register_many(Registries) ->
    Pid = spawn(fun() -> receive after infinity -> ok end end),
    Self = self(),
    Callers = [spawn_link(fun() ->
                   [yes = quorate_registry:register_name({R, K, 7}, Pid)
                    || K <- lists:seq(Part, Count, 32)],
                   Self ! {self(), done}
               end) || {R, Count} <- Registries, Part <- lists:seq(1, 32)],
    [receive {Caller, done} -> ok end || Caller <- Callers],
    ok.

%% In bounded time, and never as an empty answer.
nobody_says_what_only_a_majority_knows(Config) ->
    Context = ?config(context, Config),
    [W1, _] = ?config(workers, Config),
    [M1, M2, M3] = ?config(members, Config),
    {ok, _} = quorate_ct:call(W1, quorate_supervisor, start_child, [sup, spec(1)]),
    ok = quorate_ct:load(?config(client, Config), [?MODULE]),
    [ok = quorate_ct:kill_member(Context, M) || M <- [M1, M2]],
    Calls = [{quorate_registry, lookup, [reg, 1]}, {quorate_registry, whereis, [reg, 1]},
             {quorate_registry, register, [reg, 1, 1]}, {quorate_registry, unregister, [reg, 1]},
             {quorate_registry, keys, [reg, self()]}, {quorate_registry, values, [reg, 1, self()]},
             {quorate_registry, count, [reg]},
             {quorate_registry, select, [reg, [{'_', [], ['$_']}]]},
             {quorate_supervisor, start_child, [sup, spec(2)]},
             {quorate_supervisor, terminate_child, [sup, 1]},
             {quorate_supervisor, terminate_child, [sup, self()]},
             {quorate_supervisor, which_children, [sup]},
             {quorate_supervisor, count_children, [sup]},
             {quorate_supervisor, child, [sup, 1]}, {quorate_supervisor, whereis, [sup, 1]}],
    Answers = quorate_ct:call(W1, ?MODULE, timed, [Calls]),
    ct:log("~p", [Answers]),
    _ = [quorate_ct:start_member(Context, M) || M <- [M1, M2]],
    _ = quorate_ct:await_leader(?config(client, Config), [M1, M2, M3]),
    [begin
         ?assert(Ms < ?BOUND_MS),
         ?assert(lists:member(Answer, [{error, no_quorum}, {error, timeout}])
                 orelse {F, Answer} =:= {register, killed})
     end || {{_, F, _}, Answer, Ms} <- Answers],
    ?assert(length([no_quorum || {_, {error, no_quorum}, _} <- Answers]) >= 10).

%% A process that is about to have a name is killed at the end of the lease.
timed(Calls) ->
    Begin = erlang:monotonic_time(millisecond),
    Callers = [{Call, spawn_monitor(fun() ->
                   exit({answer, apply(M, F, A), erlang:monotonic_time(millisecond)})
               end)} || {M, F, A} = Call <- Calls],
    [receive
         {'DOWN', Ref, process, Pid, {answer, Answer, End}} -> {Call, Answer, End - Begin};
         {'DOWN', Ref, process, Pid, Killed} -> {Call, Killed, 0}
     end || {Call, {Pid, Ref}} <- Callers].

%% The same on both workers at a time.
both(Config, Function, Args) ->
    Test = self(),
    Workers = ?config(workers, Config),
    _ = [spawn_link(fun() -> Test ! {W, quorate_ct:call(W, ?MODULE, Function, Args)} end)
         || W <- Workers],
    [receive {W, Answers} -> Answers end || W <- Workers].

%% A child with a state.
start_counter(Context) ->
    gen_server:start_link(?MODULE, Context, []).

init(#{state := {ok, Value}}) -> {ok, Value};
init(#{state := undefined}) -> {ok, 0}.

handle_call({put, Value}, _, _) ->
    {ok, _} = quorate:replicate_state(Value),
    {reply, ok, Value};
handle_call(get, _, Value) ->
    {reply, Value, Value}.

handle_cast(_, Value) ->
    {noreply, Value}.
