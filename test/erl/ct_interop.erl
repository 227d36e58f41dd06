%% SPDX-License-Identifier: Apache-2.0
%% What a virtual machine must be able to do with a node of ours, one function
%% for each row of docs/interop.md. Runs on nodes of several releases, so it
%% needs nothing but OTP. `member' is a member of a cluster; `peer' a node made
%% of the member's own code with test functions (test/peer).
-module(ct_interop).
-include_lib("stdlib/include/assert.hrl").

-export([features/0, run/2, run_by/3]).
%% Elixir's rows and those of other clients are of the same names.
-export_type([feature/0]).

-type feature() :: atom().
-type targets() :: #{member := node(), members := [node()], peer := node()}.

-define(VERSION, <<"0.1.0">>).
-define(WAIT_MS, 10000).

%% In the order of the page, with the words for people.
-spec features() -> [{feature(), string()}].
features() ->
    [{ping, "`net_adm:ping/1`; in `nodes(hidden)`, not in `nodes()`"},
     {gen_call, "`gen_server:call/2,3`, also with `infinity`"},
     {gen_cast, "`gen_server:cast/2`"},
     {gen_call_dead_name, "`gen_server:call` to a dead name: `noproc` at once"},
     {multi_call, "`gen_server:multi_call/4`"},
     {send_request, "`gen_server:send_request/2`, `gen_server:wait_response/2`"},
     {rpc_call, "`rpc:call/4,5`"},
     {rpc_cast, "`rpc:cast/4`"},
     {rpc_multicall, "`rpc:multicall/5`"},
     {rpc_block_call, "`rpc:block_call/4`"},
     {rpc_async_call, "`rpc:async_call/4`, `rpc:yield/1`"},
     {rex_call, "`{Pid, {call, M, F, A, GL}}` to `rex`, as C nodes do"},
     {erpc_call, "`erpc:call/4,5`"},
     {erpc_cast, "`erpc:cast/4`"},
     {erpc_multicall, "`erpc:multicall/5`"},
     {erpc_send_request, "`erpc:send_request/4`, `erpc:receive_response/1`"},
     {erpc_fun, "`erpc:call/2` with a fun: refused with `notsup`"},
     {undefined, "an undefined function: `undef` as in a virtual machine"},
     {exceptions, "throw, exit and error with its stack"},
     {late_replies, "timeouts; late replies reach no mailbox"},
     {monitors, "monitors of names and pids: `noproc`, `noconnection`, reasons; demonitor"},
     {links, "links and unlinks with pids, `noproc`, `noconnection`"},
     {exits, "`erlang:exit/2` ends a spawned call"},
     {spawns, "`erlang:spawn/4`, `spawn_link`, `spawn_monitor`, `spawn_request` with options"},
     {messages, "messages to names and pids, both ways"},
     {aliases, "messages to aliases"},
     {outgoing_monitors, "it monitors and links with ours"},
     {outgoing_calls, "it calls us as `erpc` does"},
     {traced, "all of that with a `seq_trace` token"},
     {terms, "terms of all types come back as they were"},
     {identifiers, "pids, ports, references of up to five words, funs come back as they were"},
     {atoms, "atoms of 255 characters in UTF-8"},
     {big_values, "values of 16 MiB both ways"},
     {many_callers, "64 callers at once"},
     {ticks, "an idle link lives on with `net_ticktime` 4"},
     {reconnect, "a link that was cut comes back; the same name replaces it"},
     {wrong_cookie, "another cookie is refused"}].

%% `yes', or why not.
-spec run(feature(), targets()) -> yes | {no, string()}.
run(Feature, Targets) ->
    attempt(fun() -> feature(Feature, Targets) end).

%% By the words of another module.
-spec run_by(module(), feature(), targets()) -> yes | {no, string()}.
run_by(Module, Feature, Targets) ->
    attempt(fun() -> Module:feature(Feature, Targets) end).

attempt(Fun) ->
    {Pid, Ref} = spawn_monitor(fun() ->
        _ = process_flag(trap_exit, true),
        _ = Fun(),
        {messages, []} = process_info(self(), messages)
    end),
    receive
        {'DOWN', Ref, process, Pid, normal} -> yes;
        {'DOWN', Ref, process, Pid, Reason} -> {no, lists:flatten(io_lib:format("~p", [Reason]))}
    after 60000 -> {no, "no end"}
    end.

feature(ping, #{member := M}) ->
    pong = net_adm:ping(M),
    true = lists:member(M, nodes(hidden)),
    false = lists:member(M, nodes());
feature(gen_call, #{member := M}) ->
    ?VERSION = gen_server:call({quorate, M}, {quorate, version, []}),
    ?VERSION = gen_server:call({quorate, M}, {quorate, version, []}, infinity),
    {error, not_found} = gen_server:call({quorate, M}, {quorate, sandbox, ["bytes"]});
feature(gen_cast, #{member := M}) ->
    created(M, fun(Args) -> gen_server:cast({quorate, M}, {quorate, create_sandbox, Args}) end);
feature(gen_call_dead_name, #{member := M}) ->
    ?assertExit({noproc, _}, gen_server:call({nobody_here, M}, hello, infinity));
feature(multi_call, #{members := Members}) ->
    {Replies, ['nobody@nowhere.invalid']} =
        gen_server:multi_call(['nobody@nowhere.invalid' | Members], quorate,
                              {quorate, version, []}, ?WAIT_MS),
    ?assertEqual(lists:sort([{M, ?VERSION} || M <- Members]), lists:sort(Replies));
feature(send_request, #{member := M}) ->
    Request = gen_server:send_request({quorate, M}, {quorate, version, []}),
    {reply, ?VERSION} = gen_server:wait_response(Request, ?WAIT_MS);
feature(rpc_call, #{member := M}) ->
    ?VERSION = rpc:call(M, quorate, version, []),
    ?VERSION = rpc:call(M, quorate, version, [], ?WAIT_MS);
feature(rpc_cast, #{member := M}) ->
    created(M, fun(Args) -> true = rpc:cast(M, quorate, create_sandbox, Args) end);
feature(rpc_multicall, #{members := Members}) ->
    ?assertEqual({[?VERSION || _ <- Members], ['nobody@nowhere.invalid']},
                 rpc:multicall(Members ++ ['nobody@nowhere.invalid'], quorate, version, [],
                               ?WAIT_MS));
feature(rpc_block_call, #{member := M}) ->
    ?VERSION = rpc:block_call(M, quorate, version, []);
feature(rpc_async_call, #{member := M}) ->
    ?VERSION = rpc:yield(rpc:async_call(M, quorate, version, []));
feature(rex_call, #{member := M}) ->
    {rex, M} ! {self(), {call, quorate, version, [], group_leader()}},
    {rex, ?VERSION} = next();
feature(erpc_call, #{member := M}) ->
    ?VERSION = erpc:call(M, quorate, version, []),
    ?VERSION = erpc:call(M, quorate, version, [], ?WAIT_MS);
feature(erpc_cast, #{member := M}) ->
    created(M, fun(Args) -> ok = erpc:cast(M, quorate, create_sandbox, Args) end);
feature(erpc_multicall, #{members := Members}) ->
    ?assertEqual([{ok, ?VERSION} || _ <- Members],
                 erpc:multicall(Members, quorate, version, [], ?WAIT_MS));
feature(erpc_send_request, #{member := M}) ->
    ?VERSION = erpc:receive_response(erpc:send_request(M, quorate, version, []));
feature(erpc_fun, #{member := M}) ->
    ?assertError({exception, notsup, _}, erpc:call(M, fun erlang:node/0));
feature(undefined, #{member := M}) ->
    ?assertError({exception, undef, [{no, such, [1], []}]}, erpc:call(M, no, such, [1])),
    ?assertEqual({badrpc, {'EXIT', {undef, [{no, such, [1], []}]}}}, rpc:call(M, no, such, [1])),
    ?assertEqual({error, {undef, {no, such, 1}}}, gen_server:call({quorate, M}, {no, such, [1]}));
feature(exceptions, #{peer := P}) ->
    ?assertThrow(ball, erpc:call(P, t, throw, [ball])),
    ?assertExit({exception, {gone, 1}}, erpc:call(P, t, exit, [{gone, 1}])),
    ?assertError({exception, oops, [_ | _]}, erpc:call(P, t, error, [oops])),
    ?assertEqual(ball, rpc:call(P, t, throw, [ball])),
    ?assertMatch({badrpc, {'EXIT', {gone, 1}}}, rpc:call(P, t, exit, [{gone, 1}])),
    ?assertMatch({badrpc, {'EXIT', {oops, [_ | _]}}}, rpc:call(P, t, error, [oops]));
feature(late_replies, #{peer := P}) ->
    Call = {t, reply_after, [300, late]},
    ?assertExit({timeout, _}, gen_server:call({quorate, P}, Call, 20)),
    ?assertError({erpc, timeout}, erpc:call(P, t, reply_after, [300, late], 20)),
    ?assertEqual({badrpc, timeout}, rpc:call(P, t, reply_after, [300, late], 20)),
    %% Asked later, answered later.
    ?assertEqual(last, erpc:call(P, t, reply_after, [600, last])),
    {messages, []} = process_info(self(), messages);
feature(monitors, #{peer := P}) ->
    Name = monitor(process, {nobody_here, P}),
    {'DOWN', Name, process, {nobody_here, P}, noproc} = next(),
    Alive = monitor(process, {quorate, P}),
    hello = erpc:call(P, t, echo, [hello]),
    true = demonitor(Alive, [info, flush]),
    {Pid, First} = spawn_monitor(P, t, exit, [{gone, 2}]),
    Second = monitor(process, Pid),
    Downs = lists:sort([{R, Why} || _ <- [1, 2], {'DOWN', R, process, _, Why} <- [next()]]),
    ?assertMatch([{_, _}, {_, _}], Downs),
    ?assertEqual({gone, 2}, proplists:get_value(First, Downs)),
    true = lists:member(proplists:get_value(Second, Downs), [noproc, {gone, 2}]),
    Self = erpc:call(P, t, self, []),
    Watch = monitor(process, Self),
    cut(P),
    {'DOWN', Watch, process, Self, noconnection} = next();
feature(links, #{peer := P}) ->
    Self = erpc:call(P, t, self, []),
    true = link(Self),
    true = unlink(Self),
    true = link(Self),
    Dead = spawn(P, t, echo, [x]),
    hello = erpc:call(P, t, echo, [hello]),
    true = link(Dead),
    {'EXIT', Dead, noproc} = next(),
    cut(P),
    {'EXIT', Self, noconnection} = next();
feature(exits, #{peer := P}) ->
    {Pid, Ref} = spawn_monitor(P, t, sleep, [600000]),
    hello = erpc:call(P, t, echo, [hello]),
    true = exit(Pid, normal),
    hello = erpc:call(P, t, echo, [hello]),
    true = exit(Pid, kill),
    {'DOWN', Ref, process, Pid, killed} = next();
feature(spawns, #{peer := P}) ->
    P = node(spawn(P, t, echo, [x])),
    {Pid, Ref} = spawn_monitor(P, t, echo, [x]),
    {'DOWN', Ref, process, Pid, normal} = next(),
    Linked = spawn_link(P, t, exit, [gone]),
    {'EXIT', Linked, gone} = next(),
    ?assertError(badarg, spawn_opt(P, t, echo, [x], [{priority, 7}])),
    Request = spawn_request(P, t, echo, [x], [{priority, low}, {reply, yes}]),
    {spawn_reply, Request, ok, _} = next();
feature(messages, #{peer := P, member := M}) ->
    {nobody_here, M} ! hello,
    ok = erpc:call(P, t, send, [self(), {here, self()}]),
    {here, Me} = next(),
    Me = self(),
    Self = erpc:call(P, t, self, []),
    Self ! {'$gen_call', {self(), tag}, {t, echo, [by_pid]}},
    {tag, by_pid} = next();
feature(aliases, #{peer := P}) ->
    Alias = alias(),
    ok = erpc:call(P, t, send, [Alias, by_alias]),
    by_alias = next(),
    true = unalias(Alias),
    ok = erpc:call(P, t, send, [Alias, lost]),
    ok = erpc:call(P, t, send, [self(), after_it]),
    after_it = next();
feature(outgoing_monitors, #{peer := P}) ->
    Test = self(),
    Pid = spawn(fun() -> receive {stop, Why} -> exit(Why) end end),
    true = erpc:call(P, t, link, [Pid]),
    Ref = erpc:call(P, t, monitor, [Pid]),
    true = is_reference(Ref),
    Pid ! {stop, {no_more, Test}},
    Reason = {no_more, Test},
    seen(P, [{'DOWN', Pid, Reason}, {'EXIT', Pid, Reason}]);
feature(outgoing_calls, #{peer := P}) ->
    ?assertEqual({return, node()}, erpc:call(P, t, spawn_call, [node(), erlang, node, []])),
    ?assertEqual({throw, ball}, erpc:call(P, t, spawn_call, [node(), erlang, throw, [ball]])),
    ?assertEqual({exit, gone}, erpc:call(P, t, spawn_call, [node(), erlang, exit, [gone]]));
feature(traced, #{peer := P, member := M} = Targets) ->
    _ = seq_trace:set_token(send, true),
    _ = seq_trace:set_token(label, 17),
    [_ = feature(F, Targets) || F <- [gen_call, rpc_call, erpc_call, spawns, messages, exits]],
    Ref = monitor(process, {nobody_here, M}),
    {'DOWN', Ref, process, _, noproc} = next(),
    Linked = spawn_link(P, t, exit, [gone]),
    {'EXIT', Linked, gone} = next(),
    _ = seq_trace:set_token([]);
feature(terms, #{peer := P}) ->
    echoed(P, [0, -1, 255, 256, 1 bsl 27, -(1 bsl 31), 1 bsl 63, -(1 bsl 64), 1 bsl 2000, 1.5, -0.0,
               <<>>, <<1, 2, 3>>, <<5:3>>, <<1, 2:7>>, [], [1, 2, 3], "text", [a | b], {}, {1},
               list_to_tuple(lists:seq(1, 300)), #{}, #{a => #{1 => [x]}, 1.0 => 1, 1 => one},
               lists:seq(1, 1000), true, '', <<"x">>,
               lists:foldl(fun(N, T) -> {N, [T]} end, leaf, lists:seq(1, 200))]);
feature(identifiers, #{peer := P}) ->
    echoed(P, [self(), make_ref(), alias(), hd(erlang:ports()), fun erlang:node/0,
               fun(X) -> {X, P} end, erpc:call(P, t, self, []), monitor_reference(P)]);
feature(atoms, #{peer := P}) ->
    %% Made from text: this file need not know them.
    echoed(P, [binary_to_atom(unicode:characters_to_binary(lists:duplicate(255, C)))
               || C <- [$a, 16#E9, 16#20AC, 16#1F600]]);
feature(big_values, #{peer := P}) ->
    Size = 16 * 1024 * 1024,
    Size = byte_size(erpc:call(P, t, big, [Size])),
    Value = binary:copy(<<"0123456789abcdef">>, Size div 16),
    Value = erpc:call(P, t, echo, [Value]);
feature(many_callers, #{member := M}) ->
    Callers = [spawn_monitor(fun() ->
        [?VERSION = gen_server:call({quorate, M}, {quorate, version, []}) || _ <- lists:seq(1, 50)]
    end) || _ <- lists:seq(1, 64)],
    _ = [receive {'DOWN', Ref, process, Pid, normal} -> ok end || {Pid, Ref} <- Callers];
feature(ticks, #{member := M}) ->
    4 = net_kernel:get_net_ticktime(),
    pong = net_adm:ping(M),
    ok = net_kernel:monitor_nodes(true, #{node_type => hidden}),
    %% More than one and a half times the time after which a silent node is down.
    receive {nodedown, M, _} -> error(down) after 7500 -> ok end,
    ok = net_kernel:monitor_nodes(false, #{node_type => hidden}),
    pong = net_adm:ping(M),
    flush();
feature(reconnect, #{peer := P}) ->
    [begin
         Self = erpc:call(P, t, self, []),
         cut(P),
         Self = erpc:call(P, t, self, [])
     end || _ <- lists:seq(1, 5)];
feature(wrong_cookie, #{peer := P}) ->
    cut(P),
    Right = erlang:get_cookie(P),
    true = erlang:set_cookie(P, another_cookie),
    pang = net_adm:ping(P),
    true = erlang:set_cookie(P, Right),
    pong = net_adm:ping(P).

%% Internals

%% A cast has no answer; what it does is seen.
created(M, Cast) ->
    Id = iolist_to_binary(io_lib:format("~p ~p", [node(), make_ref()])),
    _ = Cast([Id, {erlang, not_there, []}, #{}]),
    exists(M, Id, 400).

exists(M, Id, Tries) ->
    case rpc:call(M, quorate, sandbox, [Id]) of
        {ok, #{id := Id}} -> ok;
        {error, not_found} when Tries > 0 -> receive after 25 -> exists(M, Id, Tries - 1) end
    end.

next() ->
    receive
        Message -> Message
    after ?WAIT_MS -> nothing
    end.

flush() ->
    receive _ -> flush() after 0 -> ok end.

echoed(P, Terms) ->
    _ = [?assertEqual({N, T}, {N, erpc:call(P, t, echo, [T])})
         || {N, T} <- lists:zip(lists:seq(1, length(Terms)), Terms)],
    Terms = erpc:call(P, t, echo, [Terms]).

monitor_reference(P) ->
    erpc:call(P, t, monitor, [self()]).

%% The link is gone when this returns.
cut(P) ->
    _ = erlang:disconnect_node(P),
    await_cut(P).

await_cut(P) ->
    case lists:member(P, nodes(hidden)) of
        true -> receive after 10 -> await_cut(P) end;
        false -> ok
    end.

seen(P, Events) ->
    seen(P, Events, 200).

seen(_, [], _) ->
    ok;
seen(P, Events, Tries) when Tries > 0 ->
    case Events -- erpc:call(P, t, events, []) of
        [] -> ok;
        Missing -> receive after 25 -> seen(P, Missing, Tries - 1) end
    end.
