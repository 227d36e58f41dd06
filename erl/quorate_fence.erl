%% SPDX-License-Identifier: Apache-2.0
%% @doc Ends what runs here at the end of the lease, whatever else goes on.
%%
%% The agent does that too, but it also takes orders, starts sandboxes and reads
%% files, and each of these may keep it waiting. This process does nothing else,
%% asks nobody, reads no table of others, and has the highest priority: it is
%% told by messages what runs and until when, and has a timer of its own.
%%
%% ```
%%   agent --- guard, end_all (wait) ----------> fence --- exit kill ---> all
%%     |  ---- sandbox, child, release, lease ---> |
%%     |  <----------- fenced ---------------------+--- detach ---> member
%% '''
%%
%% Once it has seen the last of them end, it tells the member itself (`detach'),
%% because the agent may be what hangs. If there is something that does not end,
%% it says nothing, and the member on this host ends the virtual machine.
%%
%% It is linked to its agent: when that dies, without having handed over, nobody
%% keeps the lease, and everything ends as well.
%%
%% Timers run by the monotonic clock, which stands still while a machine is
%% suspended; the agent's next look at the clock of leases makes good for that.
-module(quorate_fence).

-export([start_link/0, guard/2, sandbox/3, child/3, name/2, release/2, lease/3, end_all/1]).
-export([init/1]).

-define(VERSION, 1).
%% The clock of leases has steps of 10 ms.
-define(CLOCK_STEP_MS, 10).
%% A message that finds the connection busy is sent again after this.
-define(SAY_AGAIN_MS, 50).
-define(SAY_TRIES, 20).

-type lease() :: {quorate_lease:incarnation(), Home :: node() | undefined}.

-record(state,
        {agent :: pid(),
         lease :: lease() | undefined,
         over :: quorate_lease:incarnation() | undefined, % that was ended
         until = infinity :: integer() | infinity,  % on the clock of leases
         timer :: reference() | undefined,
         %% by group leader: the process of the sandbox, its child
         boxes = #{} :: #{pid() => {pid() | undefined, pid() | undefined}},
         names = #{} :: #{pid() => true}}).

%% @doc The calling process is its agent.
-spec start_link() -> pid().
start_link() ->
    proc_lib:spawn_opt(?MODULE, init, [self()],
                       [link, {priority, max}, {message_queue_data, off_heap}]).

%% @doc Before the first process of a sandbox is there: only its group leader
%% is. `over': the lease has ended, and none may come. What is recorded as begun
%% after this is so known here before the record of a fence that comes later.
-spec guard(pid(), pid()) -> ok | over.
guard(Fence, Leader) -> ask(Fence, {guard, Leader}).

%% @doc Its first process is there.
-spec sandbox(pid(), pid(), pid()) -> ok.
sandbox(Fence, Leader, Sandbox) -> tell(Fence, {sandbox, Leader, Sandbox}).

-spec child(pid(), pid(), pid()) -> ok.
child(Fence, Leader, Child) -> tell(Fence, {child, Leader, Child}).

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

%% @doc Ends all of it now, and returns when it has ended: how many there were.
-spec end_all(pid()) -> non_neg_integer().
end_all(Fence) -> ask(Fence, end_all).

%% @private
-spec init(pid()) -> no_return().
init(Agent) ->
    _ = process_flag(trap_exit, true),
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
        {'EXIT', Agent, _} -> _ = finish(killed, State), exit(normal);
        _ -> loop(State)
    end.

on({{guard, Leader}, From, Ref}, #state{boxes = Boxes, over = undefined} = State) ->
    From ! {Ref, ok},
    State#state{boxes = Boxes#{Leader => {undefined, undefined}}};
on({{guard, _}, From, Ref}, State) ->
    From ! {Ref, over},
    State;
on({sandbox, Leader, Sandbox}, #state{boxes = Boxes} = State) ->
    late(State#state{boxes = Boxes#{Leader => {Sandbox, undefined}}});
on({child, Leader, Child}, #state{boxes = Boxes} = State) ->
    case Boxes of
        #{Leader := {Sandbox, _}} -> late(State#state{boxes = Boxes#{Leader := {Sandbox, Child}}});
        #{} -> State
    end;
on({name, Pid}, #state{names = Names} = State) ->
    late(State#state{names = Names#{Pid => true}});
on({release, Pid}, #state{boxes = Boxes, names = Names} = State) ->
    State#state{boxes = maps:remove(Pid, Boxes), names = maps:remove(Pid, Names)};
on({lease, {Over, _}, _, _}, #state{over = Over} = State) ->
    State;
on({lease, Lease, Clock, Until}, State) ->
    arm(Until, State#state{lease = Lease, over = undefined, until = Clock});
on({end_all, From, Ref}, State) ->
    {Count, State1} = finish(stopped, State),
    From ! {Ref, Count},
    State1;
on(_, State) ->
    State.

%% What comes after the end, because the agent did not know of it yet.
late(#state{over = undefined} = State) ->
    State;
late(State) ->
    {_, State1} = finish(expired, State),
    State1.

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
    {_, State1} = finish(expired, State#state{over = Incarnation}),
    _ = Home =:= undefined orelse detach(Home, Incarnation, ?SAY_TRIES),
    State1.

finish(Why, #state{boxes = Boxes, names = Names} = State) ->
    Refs = [{Pid, erlang:monitor(process, Pid)} || Pid <- maps:keys(Names)],
    lists:foreach(fun({Pid, _}) -> true = exit(Pid, kill) end, Refs),
    ok = quorate_reaper:reap([{[Pid || Pid <- [Sandbox, Child], is_pid(Pid)], Leader}
                              || {Leader, {Sandbox, Child}} <- maps:to_list(Boxes)], []),
    lists:foreach(fun({Pid, Ref}) ->
                          receive {'DOWN', Ref, process, Pid, _} -> ok end
                  end, Refs),
    lists:foreach(fun(Leader) -> true = exit(Leader, kill) end, maps:keys(Boxes)),
    ok = record(Why, State),
    {map_size(Boxes), State#state{boxes = #{}, names = #{}}}.

record(_, #state{boxes = Boxes}) when map_size(Boxes) =:= 0 ->
    ok;
record(Why, #state{lease = Lease, until = Until, boxes = Boxes}) ->
    Run = case Lease of
              {Incarnation, _} -> Incarnation;
              undefined -> undefined
          end,
    quorate_journal:record(fenced, #{code => Why, run => Run, until => Until,
                                     count => map_size(Boxes)}).

%% The connection may be busy; this process must not wait for it.
detach(_, _, 0) ->
    ok;
detach(Member, Incarnation, Tries) ->
    Body = #{incarnation => Incarnation},
    case erlang:send({quorate, Member}, {quorate, ?VERSION, detach, Body},
                     [nosuspend, noconnect]) of
        nosuspend ->
            receive after ?SAY_AGAIN_MS -> ok end,
            detach(Member, Incarnation, Tries - 1);
        _ ->
            ok
    end.
