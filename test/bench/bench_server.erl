%% SPDX-License-Identifier: Apache-2.0
%% What the member is compared with: a plain gen_server on an Erlang node, and
%% the same work on Mnesia and `global`.
-module(bench_server).

-behaviour(gen_server).

-export([start/0, version/0, mnesia_start/2, load/3, load_to_file/4]).
-export([init/1, handle_call/3, handle_cast/2]).

-spec start() -> {ok, pid()}.
start() ->
    gen_server:start({local, bench_server}, ?MODULE, [], []).

-spec version() -> binary().
version() ->
    <<"0.1.0">>.

init([]) ->
    {ok, none}.

handle_call(version, _From, State) ->
    {reply, <<"0.1.0">>, State}.

handle_cast(_, State) ->
    {noreply, State}.

%% Tables `names` and `states` on the disks of all nodes.
-spec mnesia_start([node()], file:filename()) -> ok.
mnesia_start(Nodes, Dir) ->
    [
        ok = erpc:call(N, application, set_env, [
            mnesia, dir, filename:join(Dir, "mnesia-" ++ atom_to_list(N))
        ])
     || N <- Nodes
    ],
    ok = erpc:call(hd(Nodes), mnesia, create_schema, [Nodes]),
    [ok = erpc:call(N, mnesia, start, []) || N <- Nodes],
    [
        {atomic, ok} = erpc:call(hd(Nodes), mnesia, create_table, [
            Table, [{disc_copies, Nodes}, {attributes, [key, value]}]
        ])
     || Table <- [names, states]
    ],
    [ok = erpc:call(N, mnesia, wait_for_tables, [[names, states], 10000]) || N <- Nodes],
    ok.

%% Runs on a node: `Callers` processes do Work for `Ms`; what each call took in
%% microseconds, of the calls that were done in that time.
-spec load(non_neg_integer(), pos_integer(), term()) -> [non_neg_integer()].
load(Callers, Ms, Work) ->
    Deadline = erlang:monotonic_time(microsecond) + Ms * 1000,
    Refs = [
        spawn_monitor(fun() -> exit({done, caller(Deadline, prepare(Work), [])}) end)
     || _ <- lists:seq(1, Callers)
    ],
    lists:append([
        receive
            {'DOWN', Ref, process, Pid, {done, Times}} -> Times;
            {'DOWN', Ref, process, Pid, Reason} -> exit({failed, Reason})
        end
     || {Pid, Ref} <- Refs
    ]).

%% The same on a node that nobody can ask: into a file, which is there whole or
%% not at all.
-spec load_to_file(file:filename(), non_neg_integer(), pos_integer(), term()) -> ok.
load_to_file(File, Callers, Ms, {gen, _, Node, _} = Work) ->
    pong = net_adm:ping(Node),
    Times = load(Callers, Ms, Work),
    ok = file:write_file(File ++ ".new", io_lib:format("~w.~n", [Times])),
    ok = file:rename(File ++ ".new", File).

caller(Deadline, Work, Times) ->
    T0 = erlang:monotonic_time(microsecond),
    case T0 >= Deadline of
        true ->
            Times;
        false ->
            Work(),
            caller(Deadline, Work, [erlang:monotonic_time(microsecond) - T0 | Times])
    end.

%% What one caller does, as a fun of this node.
prepare({gen, Name, Node, Request}) ->
    fun() -> {ok, _} = check(gen_server:call({Name, Node}, Request, 20000)) end;
prepare({rpc, Node, M, F, A}) ->
    fun() -> {ok, _} = check(rpc:call(Node, M, F, A, 20000)) end;
prepare({erpc, Node, M, F, A}) ->
    fun() -> {ok, _} = check(erpc:call(Node, M, F, A, 20000)) end;
prepare({quorate_register, Member}) ->
    fun() ->
        Args = [unique(), self(), []],
        {ok, _} = gen_server:call(
            {quorate, Member}, {consistency_manager, register, Args}, 20000
        )
    end;
prepare(global_register) ->
    fun() -> yes = global:register_name(unique(), self()) end;
prepare(mnesia_register) ->
    %% A unique key: refused if it is there.
    fun() ->
        Key = unique(),
        {atomic, ok} = mnesia:sync_transaction(fun() ->
            [] = mnesia:read(names, Key, write),
            mnesia:write({names, Key, self()})
        end)
    end;
prepare({quorate_state, Member, Id, Epoch, Size, Counter}) ->
    Value = crypto_free_value(Size),
    fun() ->
        Opts = #{seq => counters_next(Counter, Id), timeout => 20000},
        {ok, _} = gen_server:call(
            {quorate, Member},
            {state_replicator, replicate_state, [Id, Epoch, Value, Opts]},
            20000
        )
    end;
prepare({quorate_states, Member, Sandboxes, Size}) ->
    %% Each caller owns one sandbox.
    {Id, Epoch} = take(Sandboxes),
    prepare({quorate_state, Member, Id, Epoch, Size, none});
prepare({mnesia_state, Size}) ->
    Value = crypto_free_value(Size),
    Key = unique(),
    fun() ->
        {atomic, ok} = mnesia:sync_transaction(fun() -> mnesia:write({states, Key, Value}) end)
    end.

check({badrpc, _} = Error) -> Error;
check({error, _} = Error) -> Error;
check(Value) -> {ok, Value}.

unique() ->
    {node(), erlang:unique_integer([positive]), erlang:system_time()}.

crypto_free_value(Size) ->
    rand:bytes(Size).

%% The owner numbers its writes; a fresh start goes on where any clock is.
counters_next(none, Id) ->
    Next =
        case get({seq, Id}) of
            undefined -> erlang:system_time(microsecond);
            N -> N + 1
        end,
    put({seq, Id}, Next),
    Next.

take(Sandboxes) ->
    case ets:whereis(bench_taken) of
        undefined ->
            try
                ets:new(bench_taken, [named_table, public, {heir, whereis(init), none}])
            catch
                error:badarg -> ok
            end;
        _ ->
            ok
    end,
    N = ets:update_counter(bench_taken, n, 1, {n, 0}),
    lists:nth(1 + N rem length(Sandboxes), Sandboxes).
