%% SPDX-License-Identifier: Apache-2.0
%% Values of up to 64 MiB: they come back as they were, and nobody waits for
%% them but who asked. The bounds are for a machine that does other things, too:
%% alone, the slowest call in a hundred takes some milliseconds.
-module(big_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(BIG, (64 bsl 20) - 1024).
-define(CALL_MS, 60000).
-define(P99_MS, 100).
-define(MAX_MS, 2000).
-define(GROWTH_KIB, 4096).

suite() ->
    [{timetrap, {seconds, 240}}].

all() ->
    [{group, plain}, {group, tls}].

groups() ->
    [{plain, [], [values_come_back, small_calls_go_on, a_late_member_reads_first,
                  a_start_with_a_big_state, waiting_writes_are_bounded]},
     {tls, [], [values_come_back, small_calls_go_on]}].

init_per_group(Group, Config) ->
    Context = case Group of
                  plain -> quorate_ct:start(big);
                  tls -> ct_tls:over_tls(quorate_ct:start(big_tls))
              end,
    Members = quorate_ct:members(Context, ["q1", "q2", "q3"]),
    [Client, Caller] = [quorate_ct:node(Context, Name) || Name <- ["client", "caller"]],
    _ = quorate_ct:await_leader(Client, Members),
    Worker = quorate_ct:worker(Context, "w1", Members, #{}),
    _ = quorate_ct:await_worker(Client, hd(Members), Worker),
    [{context, Context}, {members, Members}, {client, Client}, {caller, Caller}, {worker, Worker}
     | Config].

end_per_group(_, Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

values_come_back(Config) ->
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    {Nodes, Client} = {nodes_of(Config), ?config(client, Config)},
    lists:foreach(fun({Seq, Kind}) ->
        ok = quorate_ct:call(Client, ?MODULE, write_and_read, [Nodes, Id, {Epoch, Seq}, Kind],
                             ?CALL_MS)
    end, lists:enumerate([binary, integers, terms])).

%% Made and compared where it is called: it does not travel to us.
write_and_read([A | _] = Nodes, Id, {Epoch, Seq}, Kind) ->
    Value = value(Kind),
    {ok, #{version := {Epoch, Seq}}} =
        call(A, replicate_state, [Id, Epoch, Value, #{seq => Seq, timeout => ?CALL_MS}]),
    lists:foreach(fun(Node) ->
        {ok, Recovered, {Epoch, Seq}} = call(Node, recover_state, [Id]),
        {recovered, true} = {recovered, Recovered =:= Value},
        %% By spawning, as well as by a message.
        {ok, Again, {Epoch, Seq}} =
            erpc:call(Node, state_replicator, recover_state, [Id], ?CALL_MS),
        {again, true} = {again, Again =:= Value},
        true = quorate_ct:await(own_replica, fun() ->
            case call(Node, get_state, [Id]) of
                {ok, Own, {Epoch, Seq}} -> Own =:= Value;
                _ -> false
            end
        end)
    end, Nodes).

value(binary) -> rand:bytes(?BIG);
value(integers) -> lists:seq(1000000, 6000000);
value(terms) -> [{N, [N], <<N:64>>, #{N => a}} || N <- lists:seq(1, 300000)].

%% While values are written, read at their replica and recovered, another node
%% calls two of the members without a pause.
small_calls_go_on(Config) ->
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    {[A, B, _] = Nodes, Client} = {nodes_of(Config), ?config(client, Config)},
    Before = leadership(Config),
    Caller = ?config(caller, Config),
    Callers = [quorate_ct:call(Caller, ?MODULE, start_caller, [N]) || N <- [A, B]],
    lists:foreach(fun({Seq, Kind}) ->
        ok = quorate_ct:call(Client, ?MODULE, write_and_read, [Nodes, Id, {Epoch, Seq}, Kind],
                             ?CALL_MS)
    end, lists:enumerate([binary, terms])),
    ok = quorate_ct:call(Client, ?MODULE, write_at_once, [A, Id, {Epoch, 10}, 3], ?CALL_MS),
    Times = [quorate_ct:call(Caller, ?MODULE, stop_caller, [C], ?CALL_MS) || C <- Callers],
    ct:pal("calls meanwhile: number, p50, p99, slowest in ms: ~w",
           [[{length(T), at(T, 0.5), at(T, 0.99), at(T, 1.0)} || T <- Times]]),
    [begin
         ?assert(length(T) > 100),
         ?assert(at(T, 0.99) < ?P99_MS),
         ?assert(at(T, 1.0) < ?MAX_MS)
     end || T <- Times],
    ?assertEqual(Before, leadership(Config)),
    ?assertEqual([], candidates(Config)).

write_at_once(Node, Id, {Epoch, First}, Count) ->
    Value = value(binary),
    Requests = [erpc:send_request(node(), ?MODULE, call, [Node, replicate_state,
                    [Id, Epoch, Value, #{seq => First + N, timeout => ?CALL_MS}]])
                || N <- lists:seq(1, Count)],
    Answers = [erpc:receive_response(R, ?CALL_MS) || R <- Requests],
    %% Which of them is the last is left open, but it is stored.
    true = lists:any(fun(Answer) -> element(1, Answer) =:= ok end, Answers),
    ok.

start_caller(Node) ->
    {Pid, Ref} = spawn_monitor(fun() -> call_on(Node, []) end),
    receive
        {'DOWN', Ref, _, _, Why} -> exit(Why)
    after 0 ->
        Pid
    end.

call_on(Node, Times) ->
    receive
        {stop, From} -> From ! {self(), Times}
    after 0 ->
        {Us, Answer} = timer:tc(fun() ->
            gen_server:call({quorate, Node}, {quorate, version, []}, ?CALL_MS)
        end),
        true = is_binary(Answer),
        call_on(Node, [Us | Times])
    end.

stop_caller(Pid) ->
    Pid ! {stop, self()},
    receive
        {Pid, Times} -> Times
    after ?CALL_MS -> exit(timeout)
    end.

at(Times, Share) ->
    lists:nth(max(1, round(Share * length(Times))), lists:sort(Times)) / 1000.

%% A follower that did not run for longer than an election takes has heartbeats
%% in its sockets, behind parts of a big value: it reads before it calls the
%% leader silent.
a_late_member_reads_first(Config) ->
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    {#{node := Leader}, [#{node := Late} = Follower | _]} =
        quorate_ct:leader(Client, ?config(members, Config)),
    Before = leadership(Config),
    OsPid = quorate_ct:os_pid(Context, hd(string:split(atom_to_list(Late), "@"))),
    lists:foreach(fun(Seq) ->
        Idle = resident_kib(OsPid),
        Writer = quorate_ct:call(Client, ?MODULE, start_writer, [Leader, Id, Epoch, Seq]),
        ok = await_growth(OsPid, Idle + ?GROWTH_KIB),
        ok = quorate_ct:signal(OsPid, "STOP"),
        receive
        after 1500 -> ok
        end,
        ok = quorate_ct:signal(OsPid, "CONT"),
        #{name := Late} = quorate_ct:ask(Client, Follower, {quorate, status}, []),
        ok = quorate_ct:call(Client, ?MODULE, await_writer, [Writer], ?CALL_MS)
    end, lists:seq(1, 5)),
    ?assertEqual(Before, leadership(Config)),
    ?assertEqual([], candidates(Config)).

start_writer(Node, Id, Epoch, Seq) ->
    Value = value(binary),
    spawn(fun() ->
        Answer = call(Node, replicate_state, [Id, Epoch, Value,
                                              #{seq => Seq, timeout => ?CALL_MS}]),
        receive
            {await, From} -> From ! {self(), Answer}
        end
    end).

%% Some of the value has come, most of it is on its way.
await_growth(OsPid, Kib) ->
    case resident_kib(OsPid) of
        Now when Now >= Kib -> ok;
        _ -> erlang:yield(), await_growth(OsPid, Kib)
    end.

resident_kib(OsPid) ->
    {ok, Text} = file:read_file(io_lib:format("/proc/~b/status", [OsPid])),
    {match, [N]} = re:run(Text, "VmRSS:\\s+(\\d+)", [{capture, all_but_first, list}]),
    list_to_integer(N).

await_writer(Pid) ->
    Pid ! {await, self()},
    receive
        {Pid, {ok, _}} -> ok
    after ?CALL_MS -> exit(timeout)
    end.

%% The state of a sandbox goes with the order that starts it somewhere else.
a_start_with_a_big_state(Config) ->
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    Context = ?config(context, Config),
    {[A | _] = Members, Client} = {?config(members, Config), ?config(client, Config)},
    ok = quorate_ct:call(Client, ?MODULE, write_counter, [maps:get(node, A), Id, Epoch], ?CALL_MS),
    Other = quorate_ct:worker(Context, "w2", Members, #{}),
    _ = quorate_ct:await_worker(Client, A, Other),
    ok = quorate_ct:kill_node(Context, ?config(worker, Config)),
    Pid = quorate_ct:await(moved, fun() ->
        case quorate_ct:ask(Client, A, {quorate, sandbox}, [Id]) of
            {ok, #{epoch := E, status := running, pid := P}} when E > Epoch -> {true, P};
            _ -> false
        end
    end),
    ?assertEqual(?BIG, quorate_ct:call(Other, ?MODULE, size_of_state, [Pid], ?CALL_MS)).

write_counter(Node, Id, Epoch) ->
    {ok, _} = call(Node, replicate_state, [Id, Epoch, value(binary), #{timeout => ?CALL_MS}]),
    ok.

size_of_state(Pid) ->
    #{state := {ok, State}} = ct_counter:context(Pid),
    byte_size(State).

%% Writes under an epoch that is not known yet wait for it: not all at once.
waiting_writes_are_bounded(Config) ->
    {Id, Epoch} = sandbox(Config, ?FUNCTION_NAME),
    [Node | _] = nodes_of(Config),
    Answers = quorate_ct:call(?config(client, Config), ?MODULE, write_many,
                              [Node, Id, Epoch + 1000000, 9], ?CALL_MS),
    ?assertEqual([{error, busy}], lists:usort(Answers) -- [{error, timeout}]).

write_many(Node, Id, Epoch, Count) ->
    Value = value(binary),
    Requests = [erpc:send_request(node(), ?MODULE, call,
                                  [Node, replicate_state, [Id, Epoch, Value, #{timeout => 15000}]])
                || _ <- lists:seq(1, Count)],
    [erpc:receive_response(R, ?CALL_MS) || R <- Requests].

call(Node, Function, Args) ->
    gen_server:call({quorate, Node}, {state_replicator, Function, Args}, ?CALL_MS).

nodes_of(Config) ->
    [Node || #{node := Node} <- ?config(members, Config)].

%% Who leads, and since which election.
leadership(Config) ->
    [maps:with([leader, term], quorate_ct:ask(?config(client, Config), M, {quorate, status}, []))
     || M <- ?config(members, Config)].

%% Members that have tried to be elected since there was a leader.
candidates(Config) ->
    Context = ?config(context, Config),
    [Node || #{node := Node} = M <- ?config(members, Config),
             [_, After] <- [string:split(quorate_ct:log_of(Context, M), "ready name=")],
             string:find(After, "role=pre_candidate") =/= nomatch].

sandbox(Config, Name) ->
    [A | _] = ?config(members, Config),
    Id = atom_to_binary(Name),
    {ok, #{epoch := Epoch}} = quorate_ct:ask(?config(client, Config), A, {quorate, create_sandbox},
                                             [Id, ct_counter:spec(), #{}]),
    {Id, Epoch}.
