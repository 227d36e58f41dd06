%% SPDX-License-Identifier: Apache-2.0
%% @doc Calls to members: to the one that this node is attached to, else to any
%% other that is known, within a bounded time.
%%
%% What may be repeated (`repeatable') goes on to the next member whenever one
%% is lost. What may not (`once') goes on only as long as surely nothing was
%% sent; after that the outcome is unknown, and the answer is
%% `{error, timeout}'.
-module(quorate_call).

-export([repeatable/4, once/4, at/5, connected/2]).
-export([connect/1]).

-define(CONNECT_MS, 2000).
%% A member answers within the deadline; its answer needs time to travel.
-define(GRACE_MS, 500).

%% @doc A read, or a write that carries its own number.
-spec repeatable(module(), atom(), [term()], timeout()) -> term().
repeatable(Module, Function, Args, Timeout) ->
    call(repeatable, {Module, Function, Args}, Timeout).

%% @doc A call that must not be carried out twice.
-spec once(module(), atom(), [term()], timeout()) -> term().
once(Module, Function, Args, Timeout) ->
    call(once, {Module, Function, Args}, Timeout).

%% @doc A call to one member and no other.
-spec at(node(), module(), atom(), [term()], pos_integer()) -> term().
at(Member, Module, Function, Args, Timeout) ->
    Until = erlang:monotonic_time(millisecond) + Timeout + ?GRACE_MS,
    next(once, {Module, Function, Args}, [Member], Until).

%% @doc Whether a node can be reached, within a time.
-spec connected(node(), non_neg_integer()) -> boolean().
connected(Node, Left) ->
    is_connected(Node) orelse connect(Node, Left).

%% Internals

call(Mode, Request, Timeout) when is_integer(Timeout), Timeout > 0 ->
    Until = erlang:monotonic_time(millisecond) + Timeout + ?GRACE_MS,
    next(Mode, Request, quorate_local:members(), Until);
call(_, _, _) ->
    {error, {badarg, timeout}}.

next(_, _, [], _) ->
    {error, no_member};
next(Mode, Request, [Member | Others], Until) ->
    case max(0, Until - erlang:monotonic_time(millisecond)) of
        0 ->
            {error, timeout};
        Left ->
            Answer = attempt(Request, Member, Left),
            answer(Answer, Mode, Request, Others, Until)
    end.

answer({answer, Answer}, _, _, _, _) -> Answer;
answer(unsent, Mode, Request, Others, Until) -> next(Mode, Request, Others, Until);
answer(lost, repeatable, Request, Others, Until) -> next(repeatable, Request, Others, Until);
answer(lost, once, _, _, _) -> {error, timeout};
answer(late, _, _, _, _) -> {error, timeout}.

%% A connection that was there before the call makes the difference between
%% `unsent' and `lost'.
attempt(Request, Member, Left) ->
    case connected(Member, min(Left, ?CONNECT_MS)) of
        true -> send(Request, Member, Left);
        false -> unsent
    end.

send(Request, Member, Left) ->
    try
        {answer, gen_server:call({quorate, Member}, Request, Left)}
    catch
        exit:{noproc, _} -> unsent;
        exit:{timeout, _} -> late;
        exit:_ -> lost
    end.

is_connected(Member) ->
    lists:member(Member, nodes(connected)).

%% Setting up a connection can take long, and cannot be given a time.
connect(Member, Left) ->
    {Pid, Ref} = spawn_monitor(?MODULE, connect, [Member]),
    receive
        {'DOWN', Ref, process, Pid, Reason} -> Reason =:= {connected, true}
    after Left ->
        true = erlang:demonitor(Ref, [flush]),
        true = exit(Pid, kill),
        false
    end.

%% @private
-spec connect(node()) -> no_return().
connect(Member) ->
    exit({connected, net_kernel:connect_node(Member)}).
