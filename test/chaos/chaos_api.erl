%% SPDX-License-Identifier: Apache-2.0
%% Questions to members and workers from a node of the controller's host, hidden from
%% them, each with a time of its own; the controller has it run them.
-module(chaos_api).

-export([members/0, member/1, workers/0, worker/1, nodes_text/0]).
-export([statuses/0, leader/0, ask/3, on_workers/3, on_workers/4, picture/0]).

-define(ASK_MS, 1500).
-define(PORT, 4370).

-spec member(chaos_host:host()) -> node().
member(Host) -> list_to_atom("q" ++ at(Host)).

-spec worker(chaos_host:host()) -> node().
worker(Host) -> list_to_atom("w" ++ at(Host)).

at(Host) -> lists:flatten([integer_to_list(Host), "@", test_net:address(Host)]).

-spec members() -> [node()].
members() -> [member(H) || H <- chaos_plan:hosts()].

-spec workers() -> [node()].
workers() -> [worker(H) || H <- chaos_plan:hosts()].

%% Where all of them are: nobody has an epmd.
-spec nodes_text() -> string().
nodes_text() ->
    Text = [[io_lib:format("~s=~s:~b", [member(H), test_net:address(H), ?PORT]),
             io_lib:format("~s=~s:~b", [worker(H), test_net:address(H), ?PORT + 1])]
            || H <- chaos_plan:hosts()],
    lists:flatten(lists:join(",", lists:append(Text))).

%% What each member says of itself, without asking the others.
-spec statuses() -> [{node(), map() | {error, term()}}].
statuses() ->
    each(members(), fun(M) ->
        rpc:call(M, quorate, status, [#{consistency => local}], ?ASK_MS)
    end).

%% Whom most of those that have a quorum take for the leader.
-spec leader() -> node() | undefined.
leader() ->
    Named = lists:sort([L || {_, #{leader := L, quorum := true}} <- statuses(), L =/= undefined]),
    Counted = lists:keysort(2, [{L, length([X || X <- Named, X =:= L])}
                                || L <- lists:usort(Named)]),
    case lists:reverse(Counted) of
        [{Leader, _} | _] -> Leader;
        [] -> undefined
    end.

%% One after another until one answers.
-spec ask(module(), atom(), [term()]) -> term().
ask(M, F, A) ->
    ask(members(), M, F, A, {error, no_member}).

ask([], _, _, _, Last) ->
    Last;
ask([Member | Others], M, F, A, _) ->
    case rpc:call(Member, M, F, A, 6000) of
        {badrpc, _} = Last -> ask(Others, M, F, A, Last);
        {error, _} = Last -> ask(Others, M, F, A, Last);
        Answer -> Answer
    end.

-spec on_workers(module(), atom(), [term()]) -> [{node(), term()}].
on_workers(M, F, A) ->
    on_workers(M, F, A, ?ASK_MS).

-spec on_workers(module(), atom(), [term()], pos_integer()) -> [{node(), term()}].
on_workers(M, F, A, TimeoutMs) ->
    each(workers(), fun(W) -> rpc:call(W, M, F, A, TimeoutMs) end).

%% How all stands: members, workers, sandboxes, and what runs where.
-spec picture() -> map().
picture() ->
    #{statuses => statuses(),
      workers => ask(quorate, workers, []),
      sandboxes => ask(quorate, sandboxes, []),
      local => on_workers(chaos_worker, local, [])}.

%% All at once.
each(Nodes, Fun) ->
    Self = self(),
    Asked = [{N, spawn_monitor(fun() -> Self ! {self(), Fun(N)} end)} || N <- Nodes],
    [{N, receive
             {Pid, Answer} -> true = erlang:demonitor(Ref, [flush]), Answer;
             {'DOWN', Ref, process, Pid, Why} -> {error, Why}
         end} || {N, {Pid, Ref}} <- Asked].
