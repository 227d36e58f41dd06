%% SPDX-License-Identifier: Apache-2.0
%% @doc Ends what runs here at the end of the lease, whatever else goes on.
%%
%% The agent does that too, but it also takes orders, starts sandboxes and reads
%% files, and each of these may keep it waiting. This process does nothing else,
%% asks nobody, reads no table of others, and has the highest priority: it is
%% told by messages what runs and until when, and has a timer of its own.
%%
%% ```
%%   agent --- guard, end_leased (wait) -------> fence --- exit kill ---> all
%%     |  ---- sandbox, child, release, lease ---> |
%%     |  <----------- fenced ---------------------+--- detach, fenced ---> member
%% '''
%%
%% Once it has seen the last of them end, it tells the member itself (`detach'),
%% because the agent may be what hangs. If there is something that does not end,
%% it says nothing, and the member on this host ends the virtual machine.
%%
%% Sandboxes of mode `available' that run by then go on; what is told is then
%% `fenced', which says that all others have ended. One that was just starting, or
%% is to stop, ends like a strong one.
%%
%% It is linked to its agent: when that dies, without having handed over, nobody
%% keeps the lease, and everything ends as well.
%%
%% Timers run by the monotonic clock, which stands still while a machine is
%% suspended; the agent's next look at the clock of leases makes good for that.
-module(quorate_fence).

-export([start_link/0, guard/3, sandbox/3, child/3, bind/2, name/2, release/2, lease/3,
         end_leased/1, end_all/1]).
-export([init/1]).

-define(VERSION, 1).
%% The clock of leases has steps of 10 ms.
-define(CLOCK_STEP_MS, 10).
%% A message that finds the connection busy is sent again after this.
-define(SAY_AGAIN_MS, 50).
-define(SAY_TRIES, 20).

-record(box,
        {mode :: quorate_roster:mode(),
         sandbox :: pid() | undefined,
         child :: pid() | undefined}).

-type lease() :: {quorate_lease:incarnation(), Home :: node() | undefined}.

-record(state,
        {agent :: pid(),
         lease :: lease() | undefined,
         over :: quorate_lease:incarnation() | undefined, % that was ended
         until = infinity :: integer() | infinity,  % on the clock of leases
         timer :: reference() | undefined,
         boxes = #{} :: #{pid() => #box{}},         % by group leader
         names = #{} :: #{pid() => true}}).

%% @doc The calling process is its agent.
-spec start_link() -> pid().
start_link() ->
    proc_lib:spawn_opt(?MODULE, init, [self()],
                       [link, {priority, max}, {message_queue_data, off_heap}]).

%% @doc Before the first process of a sandbox is there: only its group leader
%% is. `over': the lease has ended, and none may come. What is recorded as begun
%% after this is so known here before the record of a fence that comes later.
-spec guard(pid(), pid(), quorate_roster:mode()) -> ok | over.
guard(Fence, Leader, Mode) -> ask(Fence, {guard, Leader, Mode}).

%% @doc Its first process is there.
-spec sandbox(pid(), pid(), pid()) -> ok.
sandbox(Fence, Leader, Sandbox) -> tell(Fence, {sandbox, Leader, Sandbox}).

-spec child(pid(), pid(), pid()) -> ok.
child(Fence, Leader, Child) -> tell(Fence, {child, Leader, Child}).

%% @doc It is on its end, and does not outlive the lease, whatever its mode.
-spec bind(pid(), pid()) -> ok.
bind(Fence, Leader) -> tell(Fence, {bind, Leader}).

%% @doc A process with a registered name, which depends on the lease too.
-spec name(pid(), pid()) -> ok.
name(Fence, Pid) -> tell(Fence, {name, Pid}).

%% @doc A sandbox, by its group leader, or a named process has ended.
-spec release(pid(), pid()) -> ok.
release(Fence, Pid) -> tell(Fence, {release, Pid}).

%% @doc The lease and the member that granted it; for so many ms from now.
-spec lease(pid(), lease(), non_neg_integer() | infinity) -> ok.
lease(Fence, Lease, infinity) ->
    tell(Fence, {lease, Lease, infinity, infinity});
lease(Fence, Lease, Left) ->
    tell(Fence, {lease, Lease, quorate_os:clock() + Left,
                 erlang:monotonic_time(millisecond) + max(0, Left - ?CLOCK_STEP_MS)}).

%% @doc Ends what depends on the lease now, and returns when it has ended: the group
%% leaders of the sandboxes that go on.
-spec end_leased(pid()) -> [pid()].
end_leased(Fence) -> ask(Fence, end_leased).

%% @doc Ends all of it now, and returns when it has ended: how many there were.
-spec end_all(pid()) -> non_neg_integer().
end_all(Fence) -> ask(Fence, end_all).

%% @private
-spec init(pid()) -> no_return().
init(Agent) ->
    _ = process_flag(trap_exit, true),
    ok = quorate_os:hold_clock(),
    loop(#state{agent = Agent}).

%% Internals

tell(Fence, Message) ->
    Fence ! {?MODULE, Message},
    ok.

ask(Fence, Request) ->
    Ref = erlang:monitor(process, Fence),
    ok = tell(Fence, {Request, self(), Ref}),
    receive
        {Ref, Answer} ->
            true = erlang:demonitor(Ref, [flush]),
            Answer;
        {'DOWN', Ref, process, Fence, Reason} ->
            exit({fence, Reason})
    end.

loop(#state{timer = Timer, agent = Agent} = State) ->
    receive
        {timeout, Timer, over} -> loop(over(State#state{timer = undefined}));
        {?MODULE, Message} -> loop(on(Message, State));
        {'EXIT', Agent, _} -> _ = finish(killed, State#state.boxes, State), exit(normal);
        _ -> loop(State)
    end.

on({{guard, Leader, Mode}, From, Ref}, #state{boxes = Boxes, over = undefined} = State) ->
    From ! {Ref, ok},
    State#state{boxes = Boxes#{Leader => #box{mode = Mode}}};
on({{guard, _, _}, From, Ref}, State) ->
    From ! {Ref, over},
    State;
on({sandbox, Leader, Sandbox}, #state{boxes = Boxes} = State) ->
    %% One that was ended before it was there must end all the same.
    Box = maps:get(Leader, Boxes, #box{mode = strong}),
    late(State#state{boxes = Boxes#{Leader => Box#box{sandbox = Sandbox}}});
on({child, Leader, Child}, State) ->
    late(change(Leader, fun(Box) -> Box#box{child = Child} end, State));
on({bind, Leader}, State) ->
    late(change(Leader, fun(Box) -> Box#box{mode = strong} end, State));
on({name, Pid}, #state{names = Names} = State) ->
    late(State#state{names = Names#{Pid => true}});
on({release, Pid}, #state{boxes = Boxes, names = Names} = State) ->
    State#state{boxes = maps:remove(Pid, Boxes), names = maps:remove(Pid, Names)};
on({lease, {Over, _}, _, _}, #state{over = Over} = State) ->
    State;
on({lease, Lease, Clock, Until}, State) ->
    arm(Until, State#state{lease = Lease, over = undefined, until = Clock});
on({end_leased, From, Ref}, State) ->
    #state{boxes = Left} = State1 = finish_leased(State),
    From ! {Ref, maps:keys(Left)},
    State1;
on({end_all, From, Ref}, #state{boxes = Boxes} = State) ->
    State1 = finish(stopped, Boxes, State),
    From ! {Ref, map_size(Boxes)},
    State1;
on(_, State) ->
    State.

%% A sandbox that the fence has ended, with all its processes, is none any more.
change(Leader, Change, #state{boxes = Boxes} = State) ->
    case Boxes of
        #{Leader := Box} -> State#state{boxes = Boxes#{Leader := Change(Box)}};
        #{} -> State
    end.

%% What comes after the end, because the agent did not know of it yet.
late(#state{over = undefined} = State) -> State;
late(State) -> finish_leased(State).

arm(Until, #state{timer = Timer} = State) ->
    _ = Timer =:= undefined orelse erlang:cancel_timer(Timer),
    case Until of
        infinity -> State#state{timer = undefined};
        _ -> State#state{timer = erlang:start_timer(Until, self(), over, [{abs, true}])}
    end.

%% The end of the lease has come, and the agent has not seen to it yet.
over(#state{lease = {Incarnation, Home}, agent = Agent} = State) ->
    %% First, so that it does not take what is killed now for crashes.
    Agent ! {fenced, Incarnation},
    State1 = finish_leased(State#state{over = Incarnation}),
    Kind = case State1#state.boxes of
               Left when map_size(Left) =:= 0 -> detach;
               _ -> fenced
           end,
    _ = Home =:= undefined orelse say(Kind, Home, Incarnation, ?SAY_TRIES),
    State1.

%% What ran goes on, if it may.
finish_leased(#state{boxes = Boxes} = State) ->
    Bound = maps:filter(fun(_, Box) -> not goes_on(Box) end, Boxes),
    case map_size(Bound) =:= map_size(Boxes) of
        true -> finish(expired, Bound, State);
        false -> finish(fenced, Bound, State)
    end.

goes_on(#box{mode = available, child = Child}) -> is_pid(Child);
goes_on(#box{mode = strong}) -> false.

finish(Why, Bound, #state{boxes = Boxes, names = Names} = State) ->
    Refs = [{Pid, erlang:monitor(process, Pid)} || Pid <- maps:keys(Names)],
    lists:foreach(fun({Pid, _}) -> true = exit(Pid, kill) end, Refs),
    ok = quorate_reaper:reap([{[Pid || Pid <- [Sandbox, Child], is_pid(Pid)], Leader}
                              || {Leader, #box{sandbox = Sandbox, child = Child}}
                                     <- maps:to_list(Bound)], []),
    lists:foreach(fun({Pid, Ref}) ->
                          receive {'DOWN', Ref, process, Pid, _} -> ok end
                  end, Refs),
    lists:foreach(fun(Leader) -> true = exit(Leader, kill) end, maps:keys(Bound)),
    ok = record(Why, map_size(Bound), State),
    State#state{boxes = maps:without(maps:keys(Bound), Boxes), names = #{}}.

record(_, 0, _) ->
    ok;
record(Why, Count, #state{lease = Lease, until = Until}) ->
    Run = case Lease of
              {Incarnation, _} -> Incarnation;
              undefined -> undefined
          end,
    quorate_journal:record(fenced, #{code => Why, run => Run, until => Until, count => Count}).

%% The connection may be busy; this process must not wait for it.
say(_, _, _, 0) ->
    ok;
say(Kind, Member, Incarnation, Tries) ->
    Body = #{incarnation => Incarnation},
    case erlang:send({quorate, Member}, {quorate, ?VERSION, Kind, Body},
                     [nosuspend, noconnect]) of
        nosuspend ->
            receive after ?SAY_AGAIN_MS -> ok end,
            say(Kind, Member, Incarnation, Tries - 1);
        _ ->
            ok
    end.
