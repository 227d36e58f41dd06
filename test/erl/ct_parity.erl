%% SPDX-License-Identifier: Apache-2.0
%% What test/peer/quorate_peer has for functions, in a virtual machine: the
%% process registered as `quorate' links, monitors, sends, and remembers what
%% comes for it. Needs nothing but OTP, since it runs on other releases, too.
-module(ct_parity).
-behaviour(gen_server).

-export([start/0]).
-export([echo/1, self/0, sleep/1, reply_after/2, throw/1, exit/1, error/1, big/1, link/1, unlink/1,
         monitor/1, demonitor/1, send/2, exit2/2, spawn_call/4, events/0]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).
-compile({no_auto_import, [self/0, throw/1, exit/1, error/1, link/1, unlink/1, monitor/1,
                           demonitor/1]}).

-define(SERVER, quorate).

%% Lives as long as its node.
-spec start() -> ok.
start() ->
    {ok, _} = gen_server:start({local, ?SERVER}, ?MODULE, [], []),
    ok.

-spec echo(Term) -> Term.
echo(Term) ->
    Term.

-spec self() -> pid().
self() ->
    whereis(?SERVER).

-spec sleep(non_neg_integer()) -> ok.
sleep(Ms) ->
    reply_after(Ms, ok).

-spec reply_after(non_neg_integer(), Term) -> Term.
reply_after(Ms, Term) ->
    receive
    after Ms -> Term
    end.

-spec throw(term()) -> no_return().
throw(Term) ->
    erlang:throw(Term).

-spec exit(term()) -> no_return().
exit(Term) ->
    erlang:exit(Term).

-spec error(term()) -> no_return().
error(Term) ->
    erlang:error(Term).

-spec big(non_neg_integer()) -> binary().
big(Size) ->
    binary:copy(<<"x">>, Size).

-spec link(pid()) -> true.
link(Pid) ->
    do(fun() -> erlang:link(Pid) end).

-spec unlink(pid()) -> true.
unlink(Pid) ->
    do(fun() -> erlang:unlink(Pid) end).

-spec monitor(pid() | {atom(), node()}) -> reference().
monitor(Target) ->
    do(fun() -> erlang:monitor(process, Target) end).

-spec demonitor(reference()) -> true.
demonitor(Ref) ->
    do(fun() -> erlang:demonitor(Ref, [flush]) end).

-spec send(pid() | reference(), term()) -> ok.
send(To, Term) ->
    do(fun() -> _ = erlang:send(To, Term), ok end).

-spec exit2(pid(), term()) -> true.
exit2(Pid, Reason) ->
    do(fun() -> erlang:exit(Pid, Reason) end).

-spec spawn_call(node(), module(), atom(), [term()]) -> {atom(), term()}.
spawn_call(Node, M, F, A) ->
    try erpc:call(Node, M, F, A) of
        Value -> {return, Value}
    catch
        throw:Term -> {throw, Term};
        exit:{exception, Reason} -> {exit, Reason};
        exit:{signal, Reason} -> {signal, Reason};
        error:{exception, Reason, _} -> {error, Reason};
        error:{erpc, noconnection} -> {lost, noconnection};
        error:{erpc, Reason} -> {refused, Reason}
    end.

-spec events() -> [term()].
events() ->
    gen_server:call(?SERVER, events).

do(Fun) ->
    gen_server:call(?SERVER, {do, Fun}).

-spec init([]) -> {ok, [term()]}.
init([]) ->
    process_flag(trap_exit, true),
    {ok, []}.

-spec handle_call(term(), gen_server:from(), [term()]) ->
          {reply, term(), [term()]} | {noreply, [term()]}.
handle_call({do, Fun}, _, Events) ->
    {reply, Fun(), Events};
handle_call(events, _, Events) ->
    {reply, lists:reverse(Events), []};
handle_call({?MODULE, F, A}, From, Events) ->
    %% Some of them call this process, and some take their time.
    _ = spawn(fun() -> gen_server:reply(From, outcome(F, A)) end),
    {noreply, Events};
handle_call({M, F, A}, _, Events) when is_atom(M), is_atom(F), is_list(A) ->
    {reply, {error, {undef, {M, F, length(A)}}}, Events};
handle_call(_, _, Events) ->
    {reply, {error, {badarg, request}}, Events}.

-spec handle_cast(term(), [term()]) -> {noreply, [term()]}.
handle_cast({?MODULE, F, A}, Events) ->
    _ = spawn(fun() -> outcome(F, A) end),
    {noreply, Events};
handle_cast(_, Events) ->
    {noreply, Events}.

-spec handle_info(term(), [term()]) -> {noreply, [term()]}.
handle_info({'DOWN', _, process, Target, Reason}, Events) ->
    {noreply, [{'DOWN', Target, Reason} | Events]};
handle_info({'EXIT', Pid, Reason}, Events) ->
    {noreply, [{'EXIT', Pid, Reason} | Events]};
handle_info(Message, Events) ->
    {noreply, [{message, Message} | Events]}.

outcome(F, A) ->
    try apply(?MODULE, F, A)
    catch
        error:undef -> {error, {undef, {?MODULE, F, length(A)}}};
        error:Reason -> {error, Reason};
        Class:Reason -> {error, {Class, Reason}}
    end.
