%% SPDX-License-Identifier: Apache-2.0
%% @doc Attaches this node to a member and does what the member orders.
%%
%% ```
%%        attach, keepalive, started, failed, stopped, detach, fenced
%%   agent  -------------------------------------------------------> member
%%     |    <-------------------------------------------------------
%%     |          attached, renewed, start, stop, confirm, ...
%%     +--> quorate_sandbox, one for each
%% '''
%%
%% The thinking is in two pure modules: quorate_lease (may we act, whom do we
%% talk to) and quorate_roster (what runs, what does an order mean). This one
%% has the clock, the processes and the messages. It must never wait for
%% anybody, because it is the one that kills the sandboxes when the lease runs
%% out: what is slow, or can be, is done by other processes.
%%
%% Available sandboxes go on then. What the agent attaches with later says that
%% they run, under epochs of a lease that is over; the member says what becomes of
%% each: it is taken over under a new epoch, or ends.
%%
%% Without a lease the agent starts available ones that a member asks for which has
%% no majority: provisional ones, under epoch 0. It offers them, again and again,
%% once it is attached, until it is told what becomes of each.
-module(quorate_agent).
-behaviour(gen_server).

-export([start_link/1, member_ready/1, await_attached/1]).
-export([may_act/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-define(VERSION, 1).
-define(CALL_MS, 5000).
-define(FORGET_MS, 60000).
%% Longer than any sandbox takes to stop in order.
-define(STOP_MAX_MS, 40000).
-define(HANDOVER_MS, 12000).
-define(KILL_MS, 100).
%% Runs that ended while something went on, the last ones.
-define(OUTLIVED_MAX, 16).
%% Offers at once, and the time until they are made again.
-define(OFFERS_MAX, 100).
-define(OFFER_MS, 500).

-type arguments() :: #{own := node() | undefined, others := [node()], capacity := map()}.

-record(state,
        {lease :: quorate_lease:lease(),
         roster = quorate_roster:new() :: quorate_roster:roster(),
         namekeeper :: pid(),
         capacity :: map(),
         os :: quorate_os:identity(),
         cpu :: quorate_os:cpu_sample(),
         mouth :: pid(),
         fence :: pid(),
         fenced_until :: term(),                       % what it was told last
         watched :: {reference(), node()} | undefined, % the member
         timer :: reference() | undefined,
         due :: integer() | undefined,                 % when the timer fires
         outlived = [] :: [quorate_lease:incarnation()], % runs that not all ended with
         waiting = [] :: [gen_server:from()],          % for the attachment
         offering :: reference() | undefined,          % the timer
         offered = <<>> :: binary(),                   % the last id
         is_leaving = false :: boolean()}).

-spec start_link(arguments()) -> gen_server:start_ret().
start_link(Arguments) ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, Arguments, []).

%% @doc The own member serves (again).
-spec member_ready(node()) -> ok.
member_ready(Member) ->
    gen_server:cast(?MODULE, {member_ready, Member}).

%% @doc Waits for a lease; says in the log if there is none in time.
-spec await_attached(timeout()) -> ok.
await_attached(Timeout) ->
    try
        gen_server:call(?MODULE, await_attached, Timeout)
    catch
        exit:{timeout, _} ->
            logger:notice("quorate: this node is not attached yet; "
                          "it goes on trying (members ~0tp)", [quorate_local:members()])
    end.

%% @doc Whether the agent of a node holds the lease that this epoch was granted to.
-spec may_act(node(), quorate:epoch()) -> boolean().
may_act(Node, Epoch) ->
    try
        gen_server:call({?MODULE, Node}, {may_act, Epoch}, ?CALL_MS)
    catch
        exit:_ -> false
    end.

%% @doc What an agent before this one left behind has no lease any more.
-spec init(arguments()) -> {ok, #state{}}.
init(#{own := Own, others := Others, capacity := Capacity}) ->
    _ = process_flag(trap_exit, true),
    _ = process_flag(priority, high),
    _ = process_flag(message_queue_data, off_heap),
    ok = quorate_os:hold_clock(),
    ok = end_rest(quorate_local:list()),
    Lease = quorate_lease:new(Own, Others, quorate_os:clock()),
    ok = quorate_local:put_members(quorate_lease:members(Lease)),
    _ = erlang:send_after(?FORGET_MS, self(), forget),
    Fence = quorate_fence:start_link(),
    {ok, arm(#state{lease = Lease, capacity = Capacity, os = quorate_os:identity(),
                    cpu = quorate_os:cpu_sample(),
                    fence = Fence,
                    namekeeper = quorate_namekeeper:start_link(Fence),
                    mouth = quorate_mouth:start_link()})}.

-spec handle_call(term(), gen_server:from(), #state{}) ->
          {reply, term(), #state{}} | {noreply, #state{}}.
handle_call(await_attached, From, #state{lease = Lease, waiting = Waiting} = State) ->
    case quorate_lease:member(Lease) of
        undefined -> {noreply, State#state{waiting = [From | Waiting]}};
        _ -> {reply, ok, State}
    end;
handle_call({may_act, Epoch}, _, #state{lease = Lease} = State) ->
    {reply, quorate_lease:may_act(Epoch, quorate_os:clock(), Lease), State};
handle_call(_, _, State) ->
    {reply, {error, unknown}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast({member_ready, Member}, State) ->
    {noreply, step({member_ready, Member}, State)};
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) -> {noreply, #state{}} | {stop, term(), #state{}}.
handle_info({timeout, Timer, tick}, #state{timer = Timer} = State) ->
    {noreply, step(tick, State#state{timer = undefined, due = undefined})};
handle_info({quorate, ?VERSION, start,
             #{id := _, epoch := _, spec := _, options := _, state := _} = Order}, State) ->
    {noreply, ordered_start(Order, on_time(State))};
handle_info({quorate, ?VERSION, stop, #{id := Id, epoch := Epoch, reason := not_owner,
                                        owner_epoch := Owner} = Order}, State)
  when is_integer(Owner) ->
    {noreply, ordered_surrender(Id, Epoch, {Owner, mode(Order)}, State)};
handle_info({quorate, ?VERSION, provisional,
             #{incarnation := _, member := _, number := _, id := _, spec := _,
               options := _} = Order}, State) ->
    {noreply, provisional(Order, on_time(State))};
handle_info({quorate, ?VERSION, running, #{incarnation := I, id := Id}}, State) ->
    {noreply, tell_running(I, Id, State)};
handle_info({quorate, ?VERSION, stop, #{id := Id, epoch := Epoch} = Order}, State) ->
    Reason = maps:get(reason, Order, shutdown),
    {noreply, ordered_stop(Id, Epoch, Reason, State)};
handle_info({quorate, ?VERSION, confirm, #{id := Id, epoch := Epoch}}, State) ->
    {noreply, confirm(Id, Epoch, State)};
handle_info({quorate, ?VERSION, Kind, Body}, State)
  when Kind =:= attached; Kind =:= renewed; Kind =:= members; Kind =:= lease_lost;
       Kind =:= refused; Kind =:= probe ->
    {noreply, step({Kind, Body}, State)};
handle_info({quorate, Version, Kind, _}, State) ->
    logger:debug("quorate: a message that this version does not know: ~0tp ~0tp", [Version, Kind]),
    {noreply, State};
handle_info({sandbox, Sandbox, {started, Child}}, State) ->
    {noreply, started(Sandbox, Child, State)};
handle_info({sandbox, Sandbox, stale}, State) ->
    {noreply, stale(Sandbox, State)};
handle_info({'DOWN', Ref, process, _, _}, #state{watched = {Ref, Member}} = State) ->
    {noreply, step({down, Member}, State#state{watched = undefined})};
handle_info({'DOWN', _, process, Pid, Reason}, State) ->
    {noreply, ended(Pid, Reason, State)};
handle_info({stop_overdue, Sandbox}, #state{roster = Roster} = State) ->
    case quorate_roster:find(Sandbox, Roster) of
        {ok, #{lingers := false} = Box} -> {noreply, kill_box(Box, killed, State)};
        _ -> {noreply, State}
    end;
handle_info({buried, Sandbox, Cause, End}, #state{roster = Roster} = State) ->
    case quorate_roster:find(Sandbox, Roster) of
        {ok, Box} -> {noreply, gone(Box, Cause, End, State)};
        error -> {noreply, State}
    end;
handle_info({timeout, Timer, offer}, #state{offering = Timer} = State) ->
    {noreply, offer(State#state{offering = undefined})};
handle_info(forget, #state{roster = Roster} = State) ->
    _ = erlang:send_after(?FORGET_MS, self(), forget),
    {noreply, State#state{roster = quorate_roster:forget(quorate_os:clock(), Roster)}};
handle_info({'EXIT', Mouth, Reason}, #state{mouth = Mouth} = State) ->
    {stop, {mouth, Reason}, State};
handle_info({'EXIT', Fence, Reason}, #state{fence = Fence} = State) ->
    {stop, {fence, Reason}, State};
handle_info({'EXIT', Keeper, Reason}, #state{namekeeper = Keeper} = State) ->
    {stop, {namekeeper, Reason}, State};
handle_info({fenced, Incarnation}, State) ->
    {noreply, step({lease_lost, #{incarnation => Incarnation}}, State)};
handle_info(_, State) ->
    {noreply, State}.

%% @doc A planned stop hands over: last checkpoints, then the lease back, so
%% that the sandboxes run elsewhere at once.
-spec terminate(term(), #state{}) -> ok.
terminate(Reason, State) ->
    State1 = leave(Reason, State),
    {Boxes, _} = quorate_roster:take_all(State1#state.roster),
    ok = end_all(Boxes, State1),
    ok = detach(State1).

%% Internals: what the pure modules want

step(Event, #state{lease = Lease} = State) ->
    {Effects, Lease1} = quorate_lease:step(Event, quorate_os:clock(), Lease),
    arm(fence(lists:foldl(fun effect/2, State#state{lease = Lease1}, Effects))).

%% The fence knows the same end as the lease.
fence(#state{lease = Lease, fence = Fence, fenced_until = Before} = State) ->
    Told = {quorate_lease:incarnation(Lease), quorate_lease:home(Lease)},
    Until = quorate_lease:until(Lease),
    case {Told, Until} of
        Before ->
            State;
        Now ->
            ok = quorate_fence:lease(Fence, Told, left(Until)),
            State#state{fenced_until = Now}
    end.

left(infinity) -> infinity;
left(Until) -> max(0, Until - quorate_os:clock()).

effect({monitor, Member}, State) ->
    ok = unwatch(State),
    State#state{watched = {erlang:monitor(process, {quorate, Member}), Member}};
effect({attach, Member, Incarnation, Clock}, #state{roster = Roster} = State) ->
    Body = #{pid => self(), incarnation => Incarnation, clock => Clock,
             capacity => State#state.capacity, os => State#state.os,
             running => quorate_roster:running(Roster),
             provisional => quorate_roster:provisional(Roster)},
    say(Member, attach, Body, State);
effect({keepalive, Member, Incarnation, Clock}, #state{roster = Roster} = State) ->
    Cpu = quorate_os:cpu_sample(),
    Load = #{cpu => quorate_os:cpu_percent(State#state.cpu, Cpu),
             memory => quorate_os:memory_percent(),
             sandboxes => quorate_roster:size(Roster)},
    say(Member, keepalive, #{incarnation => Incarnation, clock => Clock, load => Load},
        State#state{cpu = Cpu});
effect({left, Member, Incarnation}, State) ->
    say(Member, left, #{incarnation => Incarnation}, State);
effect({detach, Member, Incarnation}, #state{outlived = Outlived} = State) ->
    Kind = case lists:member(Incarnation, Outlived) of
               true -> fenced;
               false -> detach
           end,
    say(Member, Kind, #{incarnation => Incarnation}, State);
effect({kill_all, Why}, #state{roster = Roster, fence = Fence} = State) ->
    {Boxes, Roster1} = quorate_roster:take_others(quorate_fence:end_leased(Fence), Roster),
    lists:foreach(fun(Box) -> record_available_end(Box) end, Boxes),
    State1 = lists:foldl(fun(Box, S) -> tell_asked(failed, killed, Box, S) end, State, Boxes),
    ok = delete(Boxes),
    Left = quorate_roster:size(Roster1),
    logger:warning("quorate: lease over (~0tp), ~b sandboxes killed, ~b go on",
                   [Why, length(Boxes), Left]),
    outlived(Left, State1#state{roster = Roster1});
effect({attached, Member, Members}, #state{waiting = Waiting} = State) ->
    ok = quorate_local:put_members([Member | lists:delete(Member, Members)]),
    lists:foreach(fun(From) -> gen_server:reply(From, ok) end, Waiting),
    ok = record_lease(Member, State#state.lease),
    logger:info("quorate: attached to ~ts", [Member]),
    offer(State#state{waiting = []});
effect({members, Member, Members}, State) ->
    ok = quorate_local:put_members([Member | lists:delete(Member, Members)]),
    State;
effect({moving, From, Why}, State) ->
    logger:warning("quorate: member ~ts is ~ts; asking another one", [From, Why]),
    State;
effect({refused, Reason}, State) ->
    logger:debug("quorate: attach refused: ~0tp", [Reason]),
    State.

%% The run that the fence knows is the one that ends.
outlived(Left, #state{fenced_until = {{Run, _}, _}, outlived = Outlived} = State) when Left > 0 ->
    State#state{outlived = lists:sublist([Run | Outlived], ?OUTLIVED_MAX)};
outlived(_, State) ->
    State.

%% One timer, for whatever the lease wants next.
arm(#state{lease = Lease, timer = Timer, due = Due} = State) ->
    case quorate_lease:deadline(Lease) of
        Due ->
            State;
        At ->
            _ = Timer =:= undefined orelse erlang:cancel_timer(Timer),
            Delay = max(0, At - quorate_os:clock()),
            State#state{timer = erlang:start_timer(Delay, self(), tick), due = At}
    end.

unwatch(#state{watched = undefined}) ->
    ok;
unwatch(#state{watched = {Ref, _}}) ->
    true = erlang:demonitor(Ref, [flush]),
    ok.

%% Thousands of orders may have come at once, and the lease is not to wait behind them.
on_time(#state{due = Due} = State) when is_integer(Due) ->
    case quorate_os:clock() >= Due of
        true -> step(tick, renewals(State));
        false -> State
    end;
on_time(State) ->
    State.

renewals(State) ->
    receive
        {quorate, ?VERSION, renewed, Body} -> renewals(step({renewed, Body}, State))
    after 0 ->
        State
    end.

%% Internals: orders and reports

ordered_start(_, #state{is_leaving = true} = State) ->
    State;
ordered_start(#{id := Id, epoch := Epoch} = Order, State) ->
    #state{lease = Lease, roster = Roster} = State,
    case quorate_lease:may_act(Epoch, quorate_os:clock(), Lease)
        andalso quorate_roster:start(Id, Epoch, prior(Order, Roster), Roster) of
        false -> State;
        nothing -> State;
        {report, Report} -> report(Report, State);
        {take_over, Box} -> take_over(Epoch, Box, State);
        {surrender, #{epoch := Before}} ->
            ordered_surrender(Id, Before, {Epoch, mode(Order)}, State);
        {replace, Box} -> replace(Order, kill_box(Box, superseded, State));
        start -> start(Order, State)
    end.

%% What ran without a log goes on as what is born now, if it is the same.
prior(#{prior := 0, id := Id, spec := Spec, options := Options}, Roster) ->
    case quorate_roster:is_provisional(Id, {Spec, Options}, Roster) of
        true -> 0;
        false -> none
    end;
prior(Order, _) ->
    maps:get(prior, Order, none).

%% If the old one lingers, the order is dropped: it comes again.
replace(#{id := Id, epoch := Epoch} = Order, #state{roster = Roster} = State) ->
    case quorate_roster:start(Id, Epoch, none, Roster) of
        start -> start(Order, State);
        nothing -> State
    end.

start(#{id := Id, epoch := Epoch} = Order, State) ->
    case guarded(Order, State) of
        {ok, Leader} ->
            Sandbox = start(Order, Leader, State),
            Roster = quorate_roster:add(Id, Epoch, mode(Order), {Sandbox, Leader},
                                        State#state.roster),
            State#state{roster = Roster};
        over ->
            State
    end.

%% A group leader that the fence knows.
guarded(Order, #state{fence = Fence}) ->
    Leader = quorate_sandbox_io:start(),
    case quorate_fence:guard(Fence, Leader, mode(Order)) of
        ok ->
            {ok, Leader};
        over ->
            true = exit(Leader, kill),
            over
    end.

start(#{id := Id, epoch := Epoch} = Order, Leader, State) ->
    Mode = mode(Order),
    ok = record_start(Id, Epoch, Mode, State),
    {ok, Sandbox} = quorate_sandbox_sup:start_sandbox(
                      #{id => Id, epoch => Epoch, mode => Mode, agent => self(),
                        leader => Leader}),
    _ = erlang:monitor(process, Sandbox),
    ok = quorate_fence:sandbox(State#state.fence, Leader, Sandbox),
    ok = quorate_sandbox:start(Sandbox, maps:with([spec, options, state, restore], Order)),
    Sandbox.

mode(#{mode := available}) -> available;
mode(_) -> strong.

%% It went on without a lease, nobody else has had it, and it is ours again: the
%% same processes go on under the later epoch, and number their writes anew.
take_over(Epoch, #{id := Id, epoch := Before, mode := Mode} = Box, State) ->
    #{sandbox := Sandbox, leader := Leader} = Box,
    ok = quorate_journal:record(ended, #{id => Id, epoch => Before, code => taken_over}),
    ok = record_start(Id, Epoch, Mode, State),
    ok = quorate_local:add(Id, Epoch, Leader, Sandbox),
    ok = quorate_sandbox:take_over(Sandbox, Epoch),
    {Report, Roster} = quorate_roster:take_over(Box, Epoch, State#state.roster),
    ok = quorate_journal:record(running, #{id => Id, epoch => Epoch}),
    logger:notice("quorate: sandbox ~ts goes on under epoch ~b, after ~b", [Id, Epoch, Before]),
    report(Report, State#state{roster = Roster}).

ordered_stop(Id, Epoch, Reason, #state{roster = Roster} = State) ->
    case quorate_roster:stop(Id, Epoch, quorate_os:clock(), Roster) of
        nothing ->
            State;
        {report, Report, Roster1} ->
            report(Report, State#state{roster = Roster1});
        {kill, Box} ->
            kill_box(Box, Reason, State);
        {stop, #{sandbox := Sandbox, leader := Leader} = Box} ->
            ok = quorate_fence:bind(State#state.fence, Leader),
            ok = quorate_sandbox:stop(Sandbox, Reason),
            _ = erlang:send_after(?STOP_MAX_MS, self(), {stop_overdue, Sandbox}),
            State#state{roster = quorate_roster:stopping(Box, Roster)}
    end.

confirm(Id, Epoch, #state{roster = Roster} = State) ->
    case quorate_roster:confirm(Id, Epoch, quorate_os:clock(), Roster) of
        {Report, Roster1} -> report(Report, State#state{roster = Roster1});
        nothing -> State
    end.

%% Another one owns it: it ends here, and its last state is kept.
ordered_surrender(Id, Epoch, {Owner, Mode}, #state{roster = Roster} = State) ->
    case quorate_roster:stop(Id, Epoch, quorate_os:clock(), Roster) of
        {stop, #{sandbox := Sandbox} = Box} ->
            ok = quorate_sandbox:surrender(Sandbox, Owner, Mode),
            _ = erlang:send_after(?STOP_MAX_MS, self(), {stop_overdue, Sandbox}),
            State#state{roster = quorate_roster:stopping(Box, Roster)};
        {kill, Box} ->
            kill_box(Box, not_owner, State);
        _ ->
            State
    end.

%% A later epoch was granted: maybe to somebody else.
stale(Sandbox, #state{lease = Lease, roster = Roster} = State) ->
    case quorate_roster:find(Sandbox, Roster) of
        {ok, #{id := Id, stopping := false}} ->
            tell_running(quorate_lease:incarnation(Lease), Id, State);
        _ ->
            State
    end.

tell_running(I, Id, #state{lease = Lease, roster = Roster} = State) ->
    Running = [Row || {Present, _, _} = Row <- quorate_roster:running(Roster), Present =:= Id],
    case {quorate_lease:member(Lease), quorate_lease:incarnation(Lease)} of
        {Member, I} when Member =/= undefined -> say(Member, running, {I, Running}, State);
        _ -> State
    end.

started(Sandbox, Child, #state{roster = Roster} = State) ->
    case quorate_roster:started(Sandbox, Child, Roster) of
        {{_, {Id, Epoch, _}} = Report, Roster1} ->
            ok = quorate_journal:record(running, #{id => Id, epoch => Epoch}),
            {ok, #{leader := Leader} = Box} = quorate_roster:find(Sandbox, Roster1),
            ok = quorate_fence:child(State#state.fence, Leader, Child),
            started_box(Box, Report, State#state{roster = Roster1});
        nothing ->
            State
    end.

%% A member may have granted a lease since it was asked for.
started_box(#{terms := _, child := Child} = Box, _, State) ->
    offer(tell_asked(started, Child, Box, State));
started_box(_, Report, State) ->
    report(Report, State).

%% The process of a sandbox has ended, or a monitor that nobody needs any more.
ended(Sandbox, Reason, #state{roster = Roster} = State) ->
    case quorate_roster:find(Sandbox, Roster) of
        {ok, #{lingers := false} = Box} -> ended_box(Box, Reason, State);
        _ -> State
    end.

ended_box(Box, {shutdown, {left, End}}, State) ->
    bury(Box, cause(End), End, State);
ended_box(Box, {shutdown, {Kind, _} = End}, State) when Kind =:= failed; Kind =:= stopped ->
    gone(Box, cause(End), End, State);
ended_box(Box, Crash, State) ->
    kill_box(Box, failed, {failed, Crash}, State).

cause({stopped, handed_over}) -> handed_over;
cause({Kind, _}) -> Kind.

kill_box(Box, Reason, State) ->
    kill_box(Box, killed, {stopped, Reason}, State).

%% The lease must be kept: one that hangs in native code is not waited for here.
kill_box(Box, Cause, End, State) ->
    case quorate_reaper:reap([target(Box)], [], ?KILL_MS) of
        ok -> gone(Box, Cause, End, State);
        left -> bury(Box, Cause, End, State)
    end.

%% All of it has ended. What is handed over is not reported: the detach speaks for
%% all of it, and `stopped' would mean that it is not wanted any more.
gone(#{leader := Leader} = Box, Cause, {Kind, Reason}, State) ->
    ok = record_end(Box, Cause, State),
    ok = quorate_fence:release(State#state.fence, Leader),
    ok = delete([Box]),
    {Report, Roster} = quorate_roster:ended(Box, Kind, Reason, quorate_os:clock(),
                                            State#state.roster),
    State1 = State#state{roster = Roster},
    case {Reason, Box} of
        {handed_over, _} -> State1;
        {_, #{terms := _}} -> tell_asked(failed, Reason, Box, State1);
        _ -> report(Report, State1)
    end.

%% Until its last process has ended it is a sandbox of this node, which nothing
%% takes the place of, and the fence does not say that all has ended.
bury(#{id := Id, epoch := Epoch, sandbox := Sandbox} = Box, Cause, End, State) ->
    ok = quorate_fence:bind(State#state.fence, maps:get(leader, Box)),
    logger:warning("quorate: sandbox ~ts, epoch ~b: killed, and a process of it runs on in "
                   "native code", [Id, Epoch]),
    _ = quorate_reaper:bury(target(Box), {buried, Sandbox, Cause, End}),
    State#state{roster = quorate_roster:lingering(Box, State#state.roster)}.

target(#{sandbox := Sandbox, child := Child, leader := Leader}) ->
    {[Pid || Pid <- [Sandbox, Child], is_pid(Pid)], Leader}.

record_lease(Member, Lease) ->
    quorate_journal:record(lease, #{worker => atom_to_binary(Member),
                                    run => quorate_lease:incarnation(Lease),
                                    lease => quorate_lease:id(Lease),
                                    worker_clock => quorate_os:clock(),
                                    until => quorate_lease:until(Lease)}).

record_start(Id, Epoch, Mode, #state{lease = Lease}) ->
    quorate_journal:record(starting, #{id => Id, epoch => Epoch, mode => Mode,
                                       run => quorate_lease:incarnation(Lease),
                                       lease => quorate_lease:id(Lease),
                                       until => quorate_lease:until(Lease)}).

%% The fence's own record speaks for the strong ones alone, if something went on.
record_available_end(#{mode := available, id := Id, epoch := Epoch}) ->
    quorate_journal:record(ended, #{id => Id, epoch => Epoch, code => expired});
record_available_end(_) ->
    ok.

record_end(#{id := Id, epoch := Epoch}, Cause, #state{lease = Lease}) ->
    quorate_journal:record(ended, #{id => Id, epoch => Epoch, code => Cause,
                                    until => quorate_lease:until(Lease)}).

%% Between two members there is nobody to tell; the next attach says what runs,
%% and orders that come again are answered again.
report({Kind, Body}, #state{lease = Lease} = State) ->
    case quorate_lease:member(Lease) of
        undefined -> State;
        Member -> say(Member, Kind, Body, State)
    end.

%% Internals: provisional starts

%% Only members that this run asked for a lease know its incarnation.
provisional(#{incarnation := I, member := Member, number := Number} = Order, State) ->
    #state{lease = Lease, is_leaving = IsLeaving} = State,
    Asked = {Member, Number},
    case quorate_lease:incarnation(Lease) =:= I andalso is_integer(Number)
        andalso lists:member(Member, quorate_lease:members(Lease)) of
        false ->
            State;
        true ->
            case quorate_lease:until(Lease) of
                infinity when not IsLeaving -> ordered_provisional(Order, Asked, State);
                _ -> answer(Asked, refused, 0, leased, State)
            end
    end.

ordered_provisional(#{id := Id} = Order, Asked, #state{roster = Roster} = State) ->
    case quorate_roster:ask(Id, Asked, Roster) of
        start -> start_provisional(Order, Asked, State);
        busy -> answer(Asked, refused, 0, busy, State);
        {exists, Epoch, Child} -> answer(Asked, exists, Epoch, Child, State);
        {wait, Roster1} -> State#state{roster = Roster1}
    end.

start_provisional(#{id := Id, spec := Spec, options := Options} = Order, Asked, State) ->
    Started = Order#{epoch => 0, mode => available, state => none},
    case guarded(Started, State) of
        {ok, Leader} ->
            Sandbox = start(Started, Leader, State),
            Roster = quorate_roster:add_provisional(Id, {Spec, Options}, Asked,
                                                    {Sandbox, Leader}, State#state.roster),
            State#state{roster = Roster};
        over ->
            answer(Asked, refused, 0, busy, State)
    end.

tell_asked(Outcome, Term, #{id := Id, asked := Asked}, State) ->
    State1 = lists:foldl(fun(A, S) -> answer(A, Outcome, 0, Term, S) end, State, Asked),
    State1#state{roster = quorate_roster:told(Id, State1#state.roster)};
tell_asked(_, _, _, State) ->
    State.

answer({Member, Number}, Outcome, Epoch, Term, State) ->
    say(Member, provisional, {Number, Outcome, Epoch, Term}, State).

%% What runs here provisionally, for the log. Nothing is to be kept of what was
%% offered: what has come of it is an order, and else it is offered again.
offer(#state{lease = Lease, roster = Roster, offering = undefined} = State) ->
    Member = quorate_lease:member(Lease),
    Offers = quorate_roster:offers(State#state.offered, ?OFFERS_MAX, Roster),
    case Member =/= undefined andalso Offers of
        [_ | _] ->
            Incarnation = quorate_lease:incarnation(Lease),
            State1 = lists:foldl(
                       fun({Id, Child, {Spec, Options}}, S) ->
                               say(Member, offer, {Incarnation, Id, Child, Spec, Options},
                                   S#state{offered = Id})
                       end, State, Offers),
            State1#state{offering = erlang:start_timer(?OFFER_MS, self(), offer)};
        _ ->
            State
    end;
offer(State) ->
    State.

%% Internals: killing

%% What the table still has when an agent begins.
end_rest(Rows) ->
    ok = quorate_reaper:reap([{[Sandbox], Leader}
                              || #{sandbox := Sandbox, leader := Leader} <- Rows], []),
    ok = delete(Rows).

delete(Boxes) ->
    lists:foreach(fun(#{id := Id, leader := Leader}) ->
                          true = exit(Leader, kill),
                          ok = quorate_local:delete(Id, Leader)
                  end, Boxes).

%% Everything that depends on the lease, by the fence, which sees it end.
end_all(Boxes, #state{fence = Fence}) ->
    _ = quorate_fence:end_all(Fence),
    delete(Boxes).

%% Internals: leaving

leave(Reason, #state{roster = Roster} = State)
  when Reason =:= shutdown; Reason =:= normal; element(1, Reason) =:= shutdown ->
    {Boxes, _} = quorate_roster:take_all(Roster),
    lists:foreach(fun(#{sandbox := Sandbox}) -> ok = quorate_sandbox:hand_over(Sandbox) end, Boxes),
    drain(State#state{is_leaving = true}, erlang:monotonic_time(millisecond) + ?HANDOVER_MS);
leave(_, State) ->
    State.

%% The lease is kept meanwhile, as by the server that this process was.
drain(#state{roster = Roster} = State, Until) ->
    Left = Until - erlang:monotonic_time(millisecond),
    case quorate_roster:size(Roster) of
        0 -> State;
        _ when Left =< 0 -> State;
        _ -> drain_one(State, Until, Left)
    end.

drain_one(State, Until, Left) ->
    receive
        Message ->
            case handle_info(Message, State) of
                {noreply, State1} -> drain(State1, Until);
                {stop, _, State1} -> State1
            end
    after Left ->
        State
    end.

detach(#state{lease = Lease, mouth = Mouth} = State) ->
    case quorate_lease:member(Lease) of
        undefined ->
            ok;
        Member ->
            _ = say(Member, detach, #{incarnation => quorate_lease:incarnation(Lease)}, State),
            quorate_mouth:flush(Mouth)
    end.

%% Internals: speaking

say(Member, Kind, Body, #state{mouth = Mouth} = State) ->
    ok = quorate_mouth:say(Mouth, {quorate, Member}, {quorate, ?VERSION, Kind, Body}),
    State.
