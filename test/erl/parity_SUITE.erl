%% SPDX-License-Identifier: Apache-2.0
%% Erlang cannot tell our distribution peer from its own: the same scripts run
%% against a virtual machine (ct_parity) and against a node made of the member's
%% own code (test/peer/quorate_peer), from callers of three releases, and the
%% outcomes are compared term by term.
%%
%% Made equal before the comparison (normal/2), and nothing else: the name of the
%% node, process identifiers and references, and where in a file a stack entry is.
%%
%% Known to differ, and not in the scripts: a fun cannot be run where there is no
%% code (dist_SUITE:functions_outside_the_table/1), and a call that its caller was
%% monitoring ends when the caller's node is lost, where a machine lets it run on.
-module(parity_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(T, ct_parity).
-define(WAIT_MS, 10000).
-define(LONG_MS, 600000).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [{group, otp25}, {group, otp27}, {group, otp29}].

groups() ->
    [{Group, [], [terms_come_back, erpc_calls, erpc_requests, rpc_calls, gen_calls, gen_requests,
                  multi_calls, traced_calls, late_replies, dead_names_and_pids, links, unlinks,
                  exit_signals, monitors, ends_of_spawned_processes, spawn_options,
                  linked_parents, links_of_the_callee, monitors_of_the_callee,
                  messages_of_the_callee,
                  calls_of_the_callee, lost_calls, lost_links_and_monitors, lost_for_the_callee,
                  disconnected_calls]}
     || Group <- [otp25, otp27, otp29]].

init_per_suite(Config) ->
    Context = quorate_ct:start(parity),
    Beam = start_beam(Context, "beam"),
    Peer = start_peer(Context, "peer"),
    [{context, Context}, {beam, Beam}, {peer, Peer} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

init_per_group(otp25, Config) ->
    caller(quorate_ct:node(?config(context, Config), "otp25"), "otp25", #{}, Config);
init_per_group(otp27, Config) ->
    of_release("27", Config);
init_per_group(otp29, Config) ->
    of_release("29", Config).

end_per_group(_, Config) ->
    Context = ?config(context, Config),
    ok = quorate_ct:kill_node(Context, ?config(node, Config)),
    ok = quorate_ct:kill_node(Context, ?config(second, Config)).

of_release(Release, Config) ->
    ct:timetrap({minutes, 15}),
    Context = ?config(context, Config),
    case quorate_ct:release(Context, Release) of
        {ok, Root} ->
            Name = "otp" ++ Release,
            Node = quorate_ct:node(Context, Name, #{root => Root}),
            ?assertEqual(Release, quorate_ct:call(Node, erlang, system_info, [otp_release])),
            caller(Node, Name, #{root => Root}, Config);
        Skip ->
            Skip
    end.

%% Two nodes of the release: the caller, and one that the callee can call.
caller(Node, Name, Options, Config) ->
    Second = quorate_ct:node(?config(context, Config), Name ++ "second", Options),
    ok = lists:foreach(fun(N) -> quorate_ct:load(N, [?MODULE, ?T]) end, [Node, Second]),
    [{node, Node}, {second, Second} | Config].

start_beam(Context, Name) ->
    Beam = #{node := Node} = quorate_ct:node(Context, Name),
    ok = quorate_ct:call(Beam, ?T, start, []),
    #{node => Node, kill => fun() -> quorate_ct:kill_node(Context, Beam) end}.

start_peer(Context, Name) ->
    #{node => quorate_ct:test_peer(Context, Name),
      kill => fun() -> quorate_ct:kill_process(Context, Name, "KILL") end}.

%% Running a script against both

parity(Config, Script) ->
    same([outcome(?config(node, Config), maps:get(node, ?config(Which, Config)), Script)
          || Which <- [beam, peer]]).

same([Beam, Peer]) ->
    ?assertEqual(length(Beam), length(Peer)),
    [?assertEqual({Line, Expected}, {Line, Actual})
     || {Line, {Expected, Actual}} <- lists:enumerate(lists:zip(Beam, Peer))],
    ct:log("~p", [Beam]),
    Beam.

%% The script has a process of its own, whose mailbox is empty at its end.
outcome(Caller, Target, Script) ->
    quorate_ct:on(Caller, fun() -> run(Target, Script) end).

run(Target, Script) ->
    Runner = self(),
    {Pid, Ref} = spawn_monitor(fun() ->
        process_flag(trap_exit, true),
        _ = erpc:call(Target, ?T, events, []),
        Outcome = Script(Target),
        {messages, Left} = process_info(self(), messages),
        Runner ! {self(), normal(Target, [{left, Left} | Outcome])}
    end),
    receive
        {Pid, Outcome} ->
            receive {'DOWN', Ref, process, Pid, normal} -> Outcome end;
        {'DOWN', Ref, process, Pid, Reason} ->
            erlang:error({script, Target, Reason})
    end.

normal(Target, Target) ->
    target;
normal(Target, Pid) when is_pid(Pid), node(Pid) =:= Target ->
    target_pid;
normal(_, Pid) when is_pid(Pid) ->
    pid;
normal(_, Ref) when is_reference(Ref) ->
    ref;
normal(Target, {M, F, A, Where}) when is_atom(M), is_atom(F), is_list(Where) ->
    {normal(Target, M), F, normal(Target, A)};
normal(Target, [Head | Tail]) ->
    [normal(Target, Head) | normal(Target, Tail)];
normal(Target, Tuple) when is_tuple(Tuple) ->
    list_to_tuple(normal(Target, tuple_to_list(Tuple)));
normal(Target, Map) when is_map(Map) ->
    maps:from_list(normal(Target, maps:to_list(Map)));
normal(_, Term) ->
    Term.

%% An evaluation as a term. The stack of an error is that of this module.
try_(Fun) ->
    try {value, Fun()}
    catch Class:Reason -> {Class, Reason}
    end.

next() ->
    receive Message -> Message
    after ?WAIT_MS -> nothing
    end.

%% At least so many events of the callee.
events(T, Count) ->
    events(T, Count, [], erlang:monotonic_time(millisecond) + ?WAIT_MS).

events(T, Count, Seen, Deadline) ->
    Now = Seen ++ erpc:call(T, ?T, events, []),
    case length(Now) >= Count orelse erlang:monotonic_time(millisecond) > Deadline of
        true ->
            Now;
        false ->
            receive
            after 5 -> events(T, Count, Now, Deadline)
            end
    end.

%% A process that ends when it is told so.
idle() ->
    spawn(fun() -> receive {stop, Reason} -> exit(Reason) end end).

stop(Pid, Reason) ->
    Ref = monitor(process, Pid),
    Pid ! {stop, Reason},
    receive {'DOWN', Ref, process, Pid, _} -> ok end.

%% One on the callee that is no more.
dead(T) ->
    {Pid, Ref} = spawn_monitor(T, ?T, echo, [x]),
    receive {'DOWN', Ref, process, Pid, normal} -> Pid end.

%% Calls

terms() ->
    Big = 1 bsl 200,
    [[], [1], [1, 2, 3], "text", lists:seq(1, 300), [a | b], <<>>, <<"binary">>, <<5:3>>, 0, -1,
     255, 256, -(1 bsl 31), 1 bsl 63, Big, -Big, 1.5, -0.0, a, 'with space', '\x{e9}', '\x{3b1}',
     {}, {1},
     list_to_tuple(lists:seq(1, 300)), #{}, #{a => [1], {b} => #{}}, fun erlang:abs/1, self(),
     make_ref(), lists:duplicate(100, {x, <<"y">>}),
     lists:foldl(fun(N, Term) -> {N, [Term]} end, leaf, lists:seq(1, 200))].

terms_come_back(Config) ->
    parity(Config, fun(T) ->
        [?assertEqual({Term, Term, Term},
                      {erpc:call(T, ?T, echo, [Term]), rpc:call(T, ?T, echo, [Term]),
                       gen_server:call({quorate, T}, {?T, echo, [Term]})})
         || Term <- terms()],
        Big = erpc:call(T, ?T, big, [5000000]),
        ?assertEqual(5000000, byte_size(Big)),
        ?assertEqual(Big, gen_server:call({quorate, T}, {?T, echo, [Big]})),
        []
    end).

exceptions() ->
    [{throw, [x]}, {exit, [x]}, {exit, [normal]}, {exit, [{a, [b]}]}, {error, [x]},
     {error, [{badmatch, 1}]}, {error, [badarg]}, {error, [function_clause]}, {nope, []},
     {nope, [1, 2]}, {echo, []}].

erpc_calls(Config) ->
    Outcome = parity(Config, fun(T) ->
        [try_(fun() -> erpc:call(T, ?T, F, A) end) || {F, A} <- exceptions()]
        ++ [try_(fun() -> erpc:call(T, nobody, nope, ["string"]) end),
            try_(fun() -> erpc:call(T, ?T, sleep, [?LONG_MS], 30) end),
            try_(fun() -> erpc:call(T, ?T, echo, [in_time], ?WAIT_MS) end),
            try_(fun() -> erpc:call(T, ?T, sleep, [20], infinity) end),
            try_(fun() -> erpc:call(T, ?T, reply_after, [20, {later}]) end),
            try_(fun() -> erpc:cast(T, ?T, throw, [x]) end),
            try_(fun() -> erpc:multicall([T, 'nobody@127.0.0.1', T], ?T, echo, [y]) end),
            try_(fun() -> erpc:multicall([T, T], ?T, error, [y]) end),
            try_(fun() -> erpc:multicall([T], ?T, throw, [y]) end),
            try_(fun() -> erpc:multicall([T, T], ?T, sleep, [?LONG_MS], 30) end)]
    end),
    ?assertMatch([{left, []}, {throw, x}, {exit, {exception, x}}, {exit, {exception, normal}},
                  {exit, {exception, {a, [b]}}}, {error, {exception, x, [{?T, error, 1}]}} | _],
                 Outcome).

erpc_requests(Config) ->
    parity(Config, fun(T) ->
        First = erpc:send_request(T, ?T, reply_after, [40, first]),
        Second = erpc:send_request(T, ?T, echo, [second]),
        Third = erpc:send_request(T, ?T, error, [third]),
        Fourth = erpc:send_request(T, ?T, sleep, [?LONG_MS]),
        [try_(fun() -> erpc:wait_response(First, 0) end),
         try_(fun() -> erpc:receive_response(Second) end),
         try_(fun() -> erpc:receive_response(Third, ?WAIT_MS) end),
         try_(fun() -> erpc:wait_response(First, ?WAIT_MS) end),
         try_(fun() -> erpc:receive_response(Fourth, 20) end),
         try_(fun() ->
            Request = erpc:send_request(T, ?T, echo, [fifth]),
            erpc:check_response(next(), Request)
         end)]
    end).

rpc_calls(Config) ->
    parity(Config, fun(T) ->
        lists:append([[try_(fun() -> rpc:call(T, ?T, F, A) end),
                       try_(fun() -> rpc:block_call(T, ?T, F, A) end),
                       try_(fun() -> rpc:yield(rpc:async_call(T, ?T, F, A)) end)]
                      || {F, A} <- exceptions()])
        ++ [try_(fun() -> rpc:call(T, ?T, sleep, [?LONG_MS], 30) end),
            try_(fun() -> rpc:call(T, ?T, echo, [x], ?WAIT_MS) end),
            try_(fun() -> rpc:block_call(T, nobody, nope, [1]) end),
            try_(fun() -> rpc:cast(T, ?T, nope, []) end),
            try_(fun() -> rpc:multicall([T, 'nobody@127.0.0.1', T], ?T, echo, [x]) end),
            try_(fun() -> rpc:multicall([T, T], ?T, throw, [x], ?WAIT_MS) end),
            try_(fun() -> rpc:multicall([T, T], ?T, sleep, [?LONG_MS], 30) end),
            try_(fun() ->
                Key = rpc:async_call(T, ?T, reply_after, [30, x]),
                {rpc:nb_yield(Key), rpc:nb_yield(Key, ?WAIT_MS)}
            end)]
    end).

gen_calls(Config) ->
    parity(Config, fun(T) ->
        Pid = erpc:call(T, ?T, self, []),
        [try_(fun() -> gen_server:call({quorate, T}, {?T, F, A}) end) || {F, A} <- exceptions()]
        ++ [try_(fun() -> gen_server:call({quorate, T}, {nobody, nope, [1]}) end),
            try_(fun() -> gen_server:call({quorate, T}, nonsense) end),
            try_(fun() -> gen_server:call(Pid, {?T, echo, [to_the_pid]}) end),
            try_(fun() -> gen_server:call({quorate, T}, {?T, sleep, [20]}, infinity) end),
            try_(fun() -> gen_server:call({quorate, T}, {?T, sleep, [?LONG_MS]}, 30) end),
            try_(fun() -> gen_server:call(Pid, {?T, sleep, [?LONG_MS]}, 30) end),
            try_(fun() -> gen_server:call({nobody, T}, request) end),
            try_(fun() -> gen_server:call({nobody, T}, request, infinity) end),
            try_(fun() -> gen_server:call(dead(T), request) end),
            try_(fun() -> gen_statem:call({nobody, T}, request) end),
            try_(fun() -> gen:call({quorate, T}, '$gen_call', {?T, echo, [x]}, ?WAIT_MS) end),
            try_(fun() -> gen_server:cast({quorate, T}, {?T, throw, [x]}) end),
            try_(fun() -> gen_server:cast({quorate, T}, nonsense) end),
            try_(fun() -> gen_server:cast({nobody, T}, nonsense) end),
            try_(fun() -> net_adm:ping(T) end)]
    end).

gen_requests(Config) ->
    parity(Config, fun(T) ->
        First = gen_server:send_request({quorate, T}, {?T, reply_after, [40, first]}),
        Second = gen_server:send_request({quorate, T}, {?T, echo, [second]}),
        Third = gen_server:send_request({nobody, T}, third),
        Fourth = gen_server:send_request({quorate, T}, {?T, sleep, [?LONG_MS]}),
        [try_(fun() -> gen_server:wait_response(First, 0) end),
         try_(fun() -> gen_server:wait_response(Second, ?WAIT_MS) end),
         try_(fun() -> gen_server:receive_response(Third, ?WAIT_MS) end),
         try_(fun() -> gen_server:receive_response(First, ?WAIT_MS) end),
         try_(fun() -> gen_server:receive_response(Fourth, 20) end),
         try_(fun() ->
            Request = gen_server:send_request({quorate, T}, {?T, echo, [fifth]}),
            gen_server:check_response(next(), Request)
         end)]
    end).

multi_calls(Config) ->
    parity(Config, fun(T) ->
        [try_(fun() -> gen_server:multi_call([T], quorate, {?T, echo, [x]}) end),
         try_(fun() -> gen_server:multi_call([T, 'nobody@127.0.0.1'], quorate, {?T, echo, [x]},
                                             ?WAIT_MS) end),
         try_(fun() -> gen_server:multi_call([T], nobody, request, ?WAIT_MS) end),
         try_(fun() -> gen_server:multi_call([T], quorate, {?T, sleep, [?LONG_MS]}, 30) end),
         try_(fun() -> gen_server:abcast([T], quorate, nonsense) end)]
    end).

traced_calls(Config) ->
    parity(Config, fun(T) ->
        _ = seq_trace:set_token(label, 17),
        _ = seq_trace:set_token(send, true),
        Pid = erpc:call(T, ?T, self, []),
        Alias = alias(),
        Outcome =
            [try_(fun() -> erpc:call(T, ?T, echo, [x]) end),
             try_(fun() -> erpc:call(T, ?T, error, [x]) end),
             try_(fun() -> rpc:multicall([T, T], ?T, echo, [x]) end),
             try_(fun() -> erpc:multicall([T, T], ?T, throw, [x]) end),
             try_(fun() -> gen_server:call({quorate, T}, {?T, echo, [x]}) end),
             try_(fun() -> gen_server:call(Pid, {?T, echo, [x]}) end),
             try_(fun() -> gen_server:multi_call([T], quorate, {?T, echo, [x]}) end),
             try_(fun() -> gen_server:call({nobody, T}, x) end),
             try_(fun() -> {erpc:call(T, ?T, send, [Alias, hello]), next()} end),
             try_(fun() -> exit(Pid, traced) end),
             try_(fun() ->
                Child = spawn_link(T, ?T, sleep, [?LONG_MS]),
                exit(Child, traced),
                next()
             end),
             try_(fun() -> {Pid ! hello, events(T, 2)} end)],
        _ = seq_trace:set_token([]),
        true = unalias(Alias),
        Outcome
    end).

%% An answer that comes too late is never seen.
late_replies(Config) ->
    parity(Config, fun(T) ->
        Call = {?T, reply_after, [60, late]},
        Outcome =
            [try_(fun() -> gen_server:call({quorate, T}, Call, 10) end),
             try_(fun() -> erpc:call(T, ?T, reply_after, [60, late], 10) end),
             try_(fun() -> rpc:call(T, ?T, reply_after, [60, late], 10) end),
             try_(fun() -> gen_server:multi_call([T], quorate, Call, 10) end),
             try_(fun() -> erpc:multicall([T, T], ?T, reply_after, [60, late], 10) end),
             try_(fun() ->
                gen_server:receive_response(gen_server:send_request({quorate, T}, Call), 10)
             end)],
        %% Asked later, and answered after all of them.
        late = gen_server:call({quorate, T}, {?T, reply_after, [200, late]}),
        Outcome
    end).

%% Processes

dead_names_and_pids(Config) ->
    parity(Config, fun(T) ->
        Dead = dead(T),
        Ref = monitor(process, {nobody, T}),
        First = next(),
        Ref2 = monitor(process, Dead),
        Second = next(),
        true = link(Dead),
        Third = next(),
        {nobody, T} ! message,
        Dead ! message,
        true = exit(Dead, kill),
        true = unlink(Dead),
        true = demonitor(Ref),
        true = demonitor(Ref2),
        [First, Second, Third, erpc:call(T, ?T, echo, [x])]
    end).

links(Config) ->
    parity(Config, fun(T) ->
        Pid = erpc:call(T, ?T, self, []),
        [Normal, Boom, Twice] = Linked = [spawn(fun() ->
            true = link(Pid),
            N =:= 3 andalso link(Pid),
            receive {stop, Reason} -> exit(Reason) end
        end) || N <- [1, 2, 3]],
        ok = stop(Normal, normal),
        One = events(T, 1),
        ok = stop(Boom, {boom, self()}),
        Two = events(T, 1),
        ok = stop(Twice, again),
        [length(Linked), One, Two, events(T, 1)]
    end).

unlinks(Config) ->
    parity(Config, fun(T) ->
        Pid = erpc:call(T, ?T, self, []),
        [Unlinked, Linked] = [spawn(fun() ->
            true = link(Pid),
            N =:= 1 andalso unlink(Pid),
            receive {stop, Reason} -> exit(Reason) end
        end) || N <- [1, 2]],
        ok = stop(Unlinked, unlinked),
        ok = stop(Linked, linked),
        true = link(Pid),
        true = unlink(Pid),
        true = link(Pid),
        true = unlink(Pid),
        [events(T, 1)]
    end).

exit_signals(Config) ->
    parity(Config, fun(T) ->
        Pid = erpc:call(T, ?T, self, []),
        true = exit(Pid, normal),
        true = exit(Pid, boom),
        true = exit(Pid, {shutdown, [self()]}),
        [events(T, 3)]
        ++ [begin
                {Child, Ref} = spawn_monitor(T, ?T, sleep, [?LONG_MS]),
                true = exit(Child, Reason),
                receive {'DOWN', Ref, process, Child, Ended} -> {Reason, Ended} end
            end || Reason <- [kill, boom, shutdown, {a, "list"}]]
        ++ [unharmed(T)]
    end).

unharmed(T) ->
    {Child, Ref} = spawn_monitor(T, ?T, sleep, [30]),
    true = exit(Child, normal),
    receive {'DOWN', Ref, process, Child, Ended} -> Ended end.

monitors(Config) ->
    parity(Config, fun(T) ->
        Pid = erpc:call(T, ?T, self, []),
        Refs = [monitor(process, Pid), monitor(process, {quorate, T}), monitor(process, {rex, T}),
                monitor(process, {net_kernel, T})],
        Quiet = [erpc:call(T, ?T, echo, [x]), process_info(self(), messages)],
        [true, true, true, true] = [demonitor(Ref, [flush]) || Ref <- Refs],
        {Child, Ref1} = spawn_monitor(T, ?T, sleep, [40]),
        Ref2 = monitor(process, Child),
        Ref3 = monitor(process, Child),
        Dropped = monitor(process, Child),
        true = demonitor(Dropped),
        Watcher = self(),
        Other = spawn(fun() ->
            true = link(Child),
            process_flag(trap_exit, true),
            Watcher ! linked,
            receive {'EXIT', Child, Reason} -> Watcher ! {told, Reason} end
        end),
        linked = next(),
        Ends = [receive {'DOWN', R, process, Child, Reason} -> Reason end
                || R <- [Ref1, Ref2, Ref3]],
        [Quiet, Ends, next(), is_pid(Other)]
    end).

ends_of_spawned_processes(Config) ->
    parity(Config, fun(T) ->
        [begin
             {Pid, Ref} = spawn_monitor(T, M, F, A),
             receive {'DOWN', Ref, process, Pid, Reason} -> {F, Reason} end
         end || {M, F, A} <- [{?T, echo, [x]}, {?T, sleep, [10]}, {?T, throw, [x]}, {?T, exit, [x]},
                              {?T, exit, [normal]}, {?T, error, [x]}, {?T, nope, [1]},
                              {nobody, nope, []}]]
        ++ [begin
                Pid = spawn_link(T, ?T, F, A),
                {'EXIT', Pid, Reason} = next(),
                {F, Reason}
            end || {F, A} <- [{echo, [x]}, {sleep, [10]}, {exit, [x]}, {error, [x]}, {nope, []}]]
        ++ [node(spawn(T, ?T, echo, [x]))]
    end).

spawn_options(Config) ->
    parity(Config, fun(T) ->
        [try_(fun() ->
            Request = spawn_request(T, ?T, echo, [x], Options),
            spawned(Request, Options)
         end) || Options <- [[], [link], [monitor], [link, monitor], [monitor, monitor],
                             [{priority, low}, monitor], [{min_heap_size, 1000}, monitor],
                             [{fullsweep_after, 5}, monitor], [{max_heap_size, 1000000}, monitor],
                             [{max_heap_size, #{size => 1000000, kill => false}}, monitor],
                             [{min_bin_vheap_size, 1000}, monitor],
                             [{message_queue_data, off_heap}, monitor],
                             [{monitor, [{tag, my_tag}]}], [{monitor, []}],
                             [{monitor, [{alias, explicit_unalias}]}],
                             [{reply, yes}, monitor], [{reply_tag, my_reply}, link],
                             [{scheduler, 1}, monitor]]]
        ++ [try_(fun() -> spawn_opt(T, ?T, echo, [x], Options) end)
            || Options <- [[nonsense], [{priority, 7}], [{nonsense, 1}]]]
        ++ [try_(fun() ->
            {Pid, Ref} = spawn_opt(T, ?T, echo, [x], [monitor, link]),
            lists:sort([told(next(), Pid, Ref), told(next(), Pid, Ref)])
        end)]
    end).

%% What a request gives: the reply, then the ends that were asked for.
spawned(Request, Options) ->
    Reply = next(),
    {_, Request, _, Result} = Reply,
    Count = length([x || link <- Options])
        + length(lists:usort([x || O <- Options, O =:= monitor
                              orelse is_tuple(O) andalso element(1, O) =:= monitor])),
    [Reply | lists:sort([told(next(), Result, Request)
                         || is_pid(Result), _ <- lists:seq(1, Count)])].

told({'EXIT', Pid, Reason}, Pid, _) -> {'EXIT', Reason};
told({Tag, Ref, process, Pid, Reason}, Pid, Ref) -> {Tag, Reason}.

%% A parent that ends takes its linked children with it, unless it ends well.
linked_parents(Config) ->
    parity(Config, fun(T) ->
        [begin
             Watcher = self(),
             Parent = spawn(fun() ->
                 Watcher ! {child, spawn_opt(T, ?T, sleep, [Ms], Options)},
                 receive {stop, How} -> exit(How) end
             end),
             Child = receive {child, {Pid, _}} -> Pid; {child, Pid} -> Pid end,
             Ref = monitor(process, Child),
             _ = erpc:call(T, ?T, echo, [x]), % the monitor has arrived
             ok = stop(Parent, Reason),
             receive {'DOWN', Ref, process, Child, Ended} -> {Options, Reason, Ended} end
         end || {Options, Reason, Ms} <- [{[link], boom, ?LONG_MS}, {[link], normal, 50},
                                          {[link], kill, ?LONG_MS}, {[monitor], boom, 50},
                                          {[link, monitor], boom, ?LONG_MS}, {[], boom, 50}]]
    end).

%% What the callee does

links_of_the_callee(Config) ->
    parity(Config, fun(T) ->
        [Linked, Unlinked, Again] = Pids = [idle(), idle(), idle()],
        [true, true, true] = [erpc:call(T, ?T, link, [Pid]) || Pid <- Pids],
        true = erpc:call(T, ?T, link, [Linked]),
        true = erpc:call(T, ?T, unlink, [Unlinked]),
        true = erpc:call(T, ?T, unlink, [Again]),
        true = erpc:call(T, ?T, link, [Again]),
        ok = stop(Unlinked, unlinked),
        ok = stop(Linked, linked),
        One = events(T, 1),
        ok = stop(Again, again),
        Two = events(T, 1),
        Dead = idle(),
        ok = stop(Dead, dead),
        true = erpc:call(T, ?T, link, [Dead]),
        [One, Two, events(T, 1), erpc:call(T, ?T, unlink, [Dead])]
    end).

monitors_of_the_callee(Config) ->
    parity(Config, fun(T) ->
        [Boom, Dropped, Named] = [idle(), idle(), idle()],
        true = register(parity_named, Named),
        true = is_reference(erpc:call(T, ?T, monitor, [Boom])),
        true = is_reference(erpc:call(T, ?T, monitor, [{parity_named, node()}])),
        Ref = erpc:call(T, ?T, monitor, [Dropped]),
        true = erpc:call(T, ?T, demonitor, [Ref]),
        ok = stop(Dropped, dropped),
        ok = stop(Boom, {boom, 1}),
        One = events(T, 1),
        ok = stop(Named, named),
        Two = events(T, 1),
        _ = erpc:call(T, ?T, monitor, [{parity_named, node()}]),
        Three = events(T, 1),
        _ = erpc:call(T, ?T, monitor, [Boom]),
        [One, Two, Three, events(T, 1)]
    end).

messages_of_the_callee(Config) ->
    parity(Config, fun(T) ->
        Pid = erpc:call(T, ?T, self, []),
        Alias = alias([reply]),
        Gone = alias([reply]),
        true = unalias(Gone),
        Killed = spawn_link(fun() -> receive stop -> ok end end),
        [erpc:call(T, ?T, send, [self(), hello]), next(),
         erpc:call(T, ?T, send, [Alias, [{to, "alias"}]]), next(),
         erpc:call(T, ?T, send, [Alias, once_only]), erpc:call(T, ?T, send, [Gone, nobody]),
         erpc:call(T, ?T, exit2, [self(), boom]), next(),
         erpc:call(T, ?T, exit2, [self(), normal]), next(),
         erpc:call(T, ?T, exit2, [Killed, kill]), next(),
         begin {quorate, T} ! {plain, 1}, Pid ! plain, events(T, 2) end]
    end).

calls_of_the_callee(Config) ->
    #{node := Second} = ?config(second, Config),
    parity(Config, fun(T) ->
        pong = erpc:call(Second, net_adm, ping, [T]),
        [erpc:call(T, ?T, spawn_call, [Node, M, F, A])
         || Node <- [node(), Second],
            {M, F, A} <- [{?T, echo, [{x, [1]}]}, {?T, throw, [x]}, {?T, exit, [x]},
                          {?T, error, [x]},
                          {nobody, nope, []}, {io, format, ["~n"]}, {erlang, node, []},
                          {?T, sleep, [20]}]]
        ++ [begin
                Request = erpc:send_request(T, ?T, spawn_call,
                                            [node(), ?MODULE, ends_by, [Reason]]),
                erpc:receive_response(Request, ?WAIT_MS)
            end || Reason <- [kill, boom]]
    end).

%% Ends itself as by a signal of another.
ends_by(Reason) ->
    Self = self(),
    _ = spawn(fun() -> exit(Self, Reason) end),
    receive never -> ok end.

%% Broken links. The callee of these is a fresh one.

on_fresh(Config, Before, How, After) ->
    Context = ?config(context, Config),
    Caller = ?config(node, Config),
    Unique = "fresh" ++ integer_to_list(erlang:unique_integer([positive])),
    Targets = [start_beam(Context, "beam" ++ Unique), start_peer(Context, "peer" ++ Unique)],
    same([begin
              Self = quorate_ct:call(Caller, ?MODULE, start_script, [T, Before, After]),
              true = quorate_ct:await(script_is_ready, fun() ->
                  quorate_ct:call(Caller, ?MODULE, ask_script, [Self, is_ready])
              end),
              case How of
                  kill -> _ = Kill();
                  disconnect -> true = quorate_ct:call(Caller, erlang, disconnect_node, [T])
              end,
              Outcome = quorate_ct:call(Caller, ?MODULE, ask_script, [Self, outcome]),
              How =:= disconnect andalso Kill(),
              Outcome
          end || #{node := T, kill := Kill} <- Targets]).

%% A process that lives longer than one call to its node: does what is Before the
%% break and, when it is asked for the outcome, what comes After.
start_script(T, Before, After) ->
    spawn(fun() ->
        process_flag(trap_exit, true),
        State = Before(T),
        answer_script(is_ready, true),
        answer_script(outcome, begin
            Outcome = After(T, State),
            {messages, Left} = process_info(self(), messages),
            normal(T, [{left, [M || M <- Left, element(1, M) =/= ask]} | Outcome])
        end)
    end).

answer_script(What, Answer) ->
    receive {ask, What, From} -> From ! {self(), Answer} end.

ask_script(Pid, What) ->
    Ref = monitor(process, Pid),
    Pid ! {ask, What, self()},
    receive
        {Pid, Answer} -> true = demonitor(Ref, [flush]), Answer;
        {'DOWN', Ref, process, Pid, Reason} -> erlang:error({script, Reason})
    end.

%% All kinds of calls, each in a process of its own, under way when the link ends.
calls_under_way(T) ->
    Self = self(),
    Calls = [fun() -> erpc:call(T, ?T, sleep, [?LONG_MS]) end,
             fun() -> rpc:call(T, ?T, sleep, [?LONG_MS]) end,
             fun() -> gen_server:call({quorate, T}, {?T, sleep, [?LONG_MS]}, infinity) end,
             fun() -> gen_server:multi_call([T], quorate, {?T, sleep, [?LONG_MS]}) end,
             fun() -> rpc:multicall([T, T], ?T, sleep, [?LONG_MS]) end,
             fun() -> erpc:multicall([T], ?T, sleep, [?LONG_MS]) end,
             fun() -> rpc:block_call(T, ?T, echo, [x]) end,
             fun() ->
                Request = gen_server:send_request({quorate, T}, {?T, sleep, [?LONG_MS]}),
                gen_server:receive_response(Request, infinity)
             end,
             fun() -> erpc:receive_response(erpc:send_request(T, ?T, sleep, [?LONG_MS])) end],
    Pids = [spawn(fun() ->
        Outcome = try_(Call),
        {messages, Left} = process_info(self(), messages),
        Self ! {self(), Outcome, Left}
    end) || Call <- Calls],
    %% What was asked before has arrived when this is answered.
    ok = erpc:call(T, ?T, sleep, [50]),
    Pids.

ends_of_calls(_, Pids) ->
    [receive {Pid, Outcome, Left} -> {Outcome, Left} after ?WAIT_MS -> nothing end || Pid <- Pids].

lost_calls(Config) ->
    on_fresh(Config, fun calls_under_way/1, kill, fun ends_of_calls/2).

disconnected_calls(Config) ->
    on_fresh(Config, fun calls_under_way/1, disconnect, fun(T, Pids) ->
        Ends = ends_of_calls(T, Pids),
        %% It is there again when it is needed.
        [Ends, try_(fun() -> erpc:call(T, ?T, echo, [again]) end)]
    end).

lost_links_and_monitors(Config) ->
    on_fresh(Config, fun(T) ->
        Pid = erpc:call(T, ?T, self, []),
        true = link(Pid),
        Child = spawn_link(T, ?T, sleep, [?LONG_MS]),
        {Child2, Ref} = spawn_monitor(T, ?T, sleep, [?LONG_MS]),
        Refs = [Ref, monitor(process, Pid), monitor(process, {quorate, T}),
                monitor(process, Child)],
        ok = erpc:call(T, ?T, sleep, [20]),
        {[Pid, Child], [Child2, Pid, {quorate, T}, Child], Refs}
    end, kill, fun(_, {Linked, Targets, Refs}) ->
        [receive {'EXIT', Pid, Reason} -> Reason after ?WAIT_MS -> nothing end || Pid <- Linked]
        ++ [receive {'DOWN', R, process, Target, Reason} -> {Target, Reason}
            after ?WAIT_MS -> nothing
            end || {Target, R} <- lists:zip(Targets, Refs)]
    end).

%% The callee's own links, monitors and calls end when the caller's node is lost.
lost_for_the_callee(Config) ->
    Second = #{node := SecondNode} = ?config(second, Config),
    parity(Config, fun(T) ->
        Pid = erpc:call(SecondNode, ?MODULE, start_idle, []),
        pong = erpc:call(SecondNode, net_adm, ping, [T]),
        true = erpc:call(T, ?T, link, [Pid]),
        true = is_reference(erpc:call(T, ?T, monitor, [Pid])),
        true = is_reference(erpc:call(T, ?T, monitor, [{init, SecondNode}])),
        Request = erpc:send_request(T, ?T, spawn_call, [SecondNode, timer, sleep, [?LONG_MS]]),
        ok = erpc:call(T, ?T, sleep, [50]),
        true = erpc:call(SecondNode, erlang, disconnect_node, [T]),
        Events = events(T, 3),
        [lists:sort(normal(T, Events)), erpc:receive_response(Request, ?WAIT_MS)]
    end),
    ?assertEqual(pong, quorate_ct:call(Second, net_adm, ping,
                                       [maps:get(node, ?config(peer, Config))])).

start_idle() ->
    idle().
