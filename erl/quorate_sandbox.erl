%% SPDX-License-Identifier: Apache-2.0
%% @doc One sandbox on this node, under one epoch: starts the user's child,
%% starts it again a few times if it fails, takes checkpoints, stops it.
%%
%% It tells its agent `{sandbox, self(), {started, Child}}', also when the child
%% was started again, and how it ended by its own exit reason: `{shutdown, End}',
%% or `{shutdown, {left, End}}' if some of its processes have not ended yet.
%%
%% A child that is started again under the same epoch gets the newest
%% acknowledged state, like one that is started elsewhere. As long as that
%% cannot be had, the child has to wait: an older state would undo what was
%% acknowledged.
%%
%% A checkpoint that is refused because the epoch is over ends it. One that is
%% available goes on, and tells its agent `{sandbox, self(), stale}': what becomes
%% of it the member says.
-module(quorate_sandbox).
-behaviour(gen_server).

-export([start_link/1, start/2, stop/2, hand_over/1, surrender/3, take_over/2]).
-export([save/2, give/2]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([arguments/0, order/0, ending/0]).

-type arguments() :: #{id := quorate:id(), epoch := quorate:epoch(),
                       mode := quorate_roster:mode(), agent := pid(), leader := pid()}.
%% Terms of users are in the external format: not every node can read them all.
-type order() :: #{spec := binary(), options := binary(),
                   state := none | {quorate:version(), binary()},
                   restore => none | {pos_integer(), take | resolve}}.

-type ending() :: {failed | stopped, Reason :: term()}.

-define(RECOVER_MS, 2000).
-define(RECOVER_RETRY_MS, 500).
-define(CHECKPOINT_MS, 5000).
-define(LAST_CHECKPOINT_MS, 2000).
%% Whatever a specification says: a stop is ordered because somebody waits.
-define(SHUTDOWN_MAX_MS, 30000).

-record(state,
        {id :: quorate:id(),
         epoch :: quorate:epoch(),
         mode :: quorate_roster:mode(),
         agent :: pid(),
         leader :: pid(),
         options = #{} :: map(),
         child :: quorate_spec:child() | undefined,
         pid :: pid() | undefined,
         last = [] :: [pid()],                  % the child, also when it has ended
         limit :: quorate_spec:restarts() | undefined, % then it is the cluster's turn
         restarts = [] :: [integer()],          % when, newest first
         checkpoint = none :: quorate_spec:checkpoint() | none,
         saver :: {pid(), reference()} | undefined,
         saved :: binary() | undefined,         % digest of the last checkpoint
         complaint :: term()}).                 % the last logged error

-spec start_link(arguments()) -> gen_server:start_ret().
start_link(Arguments) ->
    gen_server:start_link(?MODULE, Arguments, []).

%% @doc Starts the child. Apart from the start of the process, so that the agent
%% watches it before it can end.
-spec start(pid(), order()) -> ok.
start(Sandbox, Order) ->
    gen_server:cast(Sandbox, {start, Order}).

%% @doc Stops the child in its own time, as its specification says.
-spec stop(pid(), term()) -> ok.
stop(Sandbox, Reason) ->
    gen_server:cast(Sandbox, {stop, Reason}).

%% @doc The same after a last checkpoint, if checkpoints are taken.
-spec hand_over(pid()) -> ok.
hand_over(Sandbox) ->
    gen_server:cast(Sandbox, hand_over).

%% @doc Another one owns it, in this mode: the child ends at once, and what it had
%% is kept as a conflict copy.
-spec surrender(pid(), quorate:epoch(), quorate_roster:mode()) -> ok.
surrender(Sandbox, OwnerEpoch, OwnerMode) ->
    gen_server:cast(Sandbox, {surrender, OwnerEpoch, OwnerMode}).

%% @doc It went on without a lease, and is owned again: under this epoch now.
-spec take_over(pid(), quorate:epoch()) -> ok.
take_over(Sandbox, Epoch) ->
    gen_server:cast(Sandbox, {take_over, Epoch}).

-spec init(arguments()) -> {ok, #state{}}.
init(#{id := Id, epoch := Epoch, mode := Mode, agent := Agent, leader := Leader}) ->
    _ = process_flag(trap_exit, true),
    true = group_leader(Leader, self()),
    ok = quorate_local:add(Id, Epoch, Leader, self()),
    {ok, #state{id = Id, epoch = Epoch, mode = Mode, agent = Agent, leader = Leader}}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, {error, unknown}, #state{}}.
handle_call(_, _, State) ->
    {reply, {error, unknown}, State}.

-spec handle_cast(term(), #state{}) ->
          {noreply, #state{}} | {noreply, #state{}, hibernate}
        | {stop, {shutdown, term()}, #state{}}.
handle_cast({start, Order}, State) ->
    try read(Order) of
        {Spec, Options, Recovered, Restore} ->
            start(Spec, Options, {Restore, Recovered}, State)
    catch
        error:badarg -> {stop, {shutdown, {failed, unreadable}}, State}
    end;
handle_cast({take_over, Epoch}, State) ->
    %% A checkpoint that is under way is of the epoch before, and refused.
    {noreply, (without_saver(State))#state{epoch = Epoch}};
handle_cast({stop, restore}, State) ->
    ok = last_checkpoint(State),
    ok = stop_child(State),
    finish({stopped, restore}, State);
handle_cast({surrender, OwnerEpoch, OwnerMode}, State) ->
    give_up(OwnerEpoch, OwnerMode, State);
handle_cast({stop, Reason}, State) ->
    ok = stop_child(State),
    finish({stopped, Reason}, State);
handle_cast(hand_over, State) ->
    ok = last_checkpoint(State),
    ok = stop_child(State),
    finish({stopped, handed_over}, State);
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) ->
          {noreply, #state{}} | {noreply, #state{}, hibernate}
        | {stop, {shutdown, term()}, #state{}}.
handle_info({'EXIT', Pid, Reason}, #state{pid = Pid} = State) ->
    ended(Reason, State#state{pid = undefined});
handle_info(restart, State) ->
    restart(State);
handle_info(checkpoint, State) ->
    {noreply, schedule(save(State))};
handle_info({'DOWN', Ref, process, Pid, Outcome}, #state{saver = {Pid, Ref}} = State) ->
    saved(Outcome, State#state{saver = undefined});
handle_info(_, State) ->
    {noreply, State}.

%% Internals: the child

read(#{spec := Spec, options := Options, state := Recovered} = Order) ->
    {binary_to_term(Spec), binary_to_term(Options), recovered(Recovered),
     maps:get(restore, Order, none)}.

recovered(none) -> {undefined, undefined};
recovered({Version, Value}) -> {{ok, binary_to_term(Value)}, Version}.

start(Spec, Options, From, State) ->
    start(quorate_spec:parse(Spec), quorate_spec:checkpoint(Options),
          quorate_spec:restarts(Options), From, State#state{options = Options}).

start({ok, Child}, {ok, Checkpoint}, {ok, Limit}, From, State) ->
    start_from(From, schedule(State#state{child = Child, checkpoint = Checkpoint,
                                          limit = Limit}));
start(Child, Checkpoint, Limit, _, State) ->
    [Reason | _] = [Reason || {error, Reason} <- [Child, Checkpoint, Limit]],
    {stop, {shutdown, {failed, Reason}}, State}.

start_from({none, Recovered}, State) ->
    start_child(Recovered, State);
start_from({{Copy, How}, {Value, _} = Recovered}, State) ->
    #state{id = Id, epoch = Epoch, options = Options} = State,
    Beginning = #{id => Id, epoch => Epoch, options => Options, copy => Copy, how => How,
                  recovered => Recovered},
    case quorate_conflict:begin_with(Beginning, Value) of
        {ok, Begun} -> start_child(Begun, State);
        {error, Reason} -> {stop, {shutdown, {failed, {restore, Reason}}}, State}
    end.

start_child({Value, Version}, #state{id = Id, epoch = Epoch, child = Child} = State) ->
    #{start := {M, F, Args}} = Child,
    Context = #{id => Id, epoch => Epoch, state => Value, version => Version},
    try apply(M, F, Args ++ [Context]) of
        {ok, Pid} when node(Pid) =:= node() -> started(Pid, State);
        {ok, Pid, _} when node(Pid) =:= node() -> started(Pid, State);
        {error, Reason} -> failed(Reason, State);
        ignore -> failed(ignore, State);
        Other -> failed({bad_return, Other}, State)
    catch
        exit:Reason -> failed(Reason, State);
        Class:Reason:Stack -> failed({Class, Reason, Stack}, State)
    end.

%% Usually linked already; linking again changes nothing.
started(Pid, #state{agent = Agent} = State) ->
    true = link(Pid),
    Agent ! {sandbox, self(), {started, Pid}},
    {noreply, State#state{pid = Pid, last = [Pid]}, hibernate}.

failed(Reason, State) ->
    finish({failed, Reason}, State).

ended(Reason, #state{child = #{restart := Restart}, limit = {Max, Period}} = State) ->
    Now = erlang:monotonic_time(millisecond),
    Recent = [At || At <- State#state.restarts, Now - At < Period],
    case {quorate_spec:restarts(Restart, Reason), length(Recent) < Max} of
        {false, _} ->
            finish({stopped, final(Restart, Reason)}, State);
        {true, true} ->
            restart(State#state{restarts = [Now | Recent]});
        {true, false} ->
            failed(Reason, State)
    end.

%% What still hangs after that is the agent's to wait for.
finish(End, State) ->
    case sweep(State) of
        ok -> {stop, {shutdown, End}, State};
        left -> {stop, {shutdown, {left, End}}, State}
    end.

%% What is left of a run: a child that ended leaves those behind that it was not
%% linked with.
sweep(#state{leader = Leader, last = Last}) ->
    quorate_sweeper:sweep(Leader, Last).

%% A temporary child is not wanted anywhere after it has ended.
final(temporary, normal) -> normal;
final(temporary, Reason) -> {shutdown, Reason};
final(transient, Reason) -> Reason.

%% Not before the last process of the run before has ended: they would be two.
restart(State) ->
    State1 = without_saver(State),
    case sweep(State1) of
        ok ->
            recover(State1);
        left ->
            _ = erlang:send_after(?RECOVER_RETRY_MS, self(), restart),
            {noreply, complain({restart, processes_left}, State1)}
    end.

without_saver(#state{saver = undefined} = State) ->
    State;
without_saver(#state{saver = {_, Ref}} = State) ->
    true = erlang:demonitor(Ref, [flush]),
    State#state{saver = undefined}.

%% Nothing was acknowledged to one that is provisional.
recover(#state{epoch = 0} = State) ->
    start_child({undefined, undefined}, State);
recover(#state{id = Id} = State) ->
    case quorate:recover_state(Id, ?RECOVER_MS) of
        {ok, Value, Version} ->
            start_child({{ok, Value}, Version}, State);
        {error, not_found} ->
            start_child({undefined, undefined}, State);
        {error, Reason} ->
            _ = erlang:send_after(?RECOVER_RETRY_MS, self(), restart),
            {noreply, complain({recovery, Reason}, State)}
    end.

stop_child(#state{pid = Pid, child = #{shutdown := Shutdown}})
  when is_pid(Pid), Shutdown =/= brutal_kill ->
    true = exit(Pid, shutdown),
    receive
        {'EXIT', Pid, _} -> ok
    after min(Shutdown, ?SHUTDOWN_MAX_MS) ->
        ok
    end;
stop_child(_) ->
    ok.

%% Internals: checkpoints

schedule(#state{checkpoint = none} = State) ->
    State;
schedule(#state{checkpoint = #{interval := Interval}} = State) ->
    _ = erlang:send_after(Interval, self(), checkpoint),
    State.

%% In a process of its own: a child that does not answer delays no stop. Nobody
%% takes the state of one that is provisional.
save(#state{epoch = 0} = State) ->
    State;
save(#state{pid = Pid, saver = undefined} = State) when is_pid(Pid) ->
    State#state{saver = spawn_monitor(?MODULE, save, [?CHECKPOINT_MS, State])};
save(State) ->
    State.

%% @private
-spec save(pos_integer(), #state{}) -> no_return().
save(Timeout, State) ->
    exit(replicate(Timeout, State)).

replicate(Timeout, #state{id = Id, epoch = Epoch, pid = Pid} = State) ->
    #state{checkpoint = Checkpoint, saved = Saved} = State,
    Value = take(Pid, Checkpoint, Timeout),
    case erlang:md5(term_to_binary(Value)) of
        Saved ->
            unchanged;
        Digest ->
            case quorate:replicate_state(Id, Epoch, Value, #{timeout => Timeout}) of
                {ok, _} -> {saved, Digest};
                {error, Reason} -> {error, Reason}
            end
    end.

take(Pid, #{callback := get_state}, Timeout) -> sys:get_state(Pid, Timeout);
take(Pid, #{callback := {Module, Function}}, _) -> Module:Function(Pid).

saved(unchanged, State) ->
    {noreply, State#state{complaint = undefined}};
saved({saved, Digest}, State) ->
    {noreply, State#state{saved = Digest, complaint = undefined}};
saved({error, {stale_epoch, _}}, #state{mode = available, agent = Agent} = State) ->
    Agent ! {sandbox, self(), stale},
    {noreply, complain({checkpoint, stale_epoch}, State)};
saved({error, {stale_epoch, _}}, #state{pid = Pid} = State) when is_pid(Pid) ->
    finish({stopped, stale_epoch}, State);
saved({error, Reason}, State) ->
    {noreply, complain({checkpoint, Reason}, State)};
saved(_, #state{pid = undefined} = State) ->
    {noreply, State};
saved(Crash, State) ->
    {noreply, complain({checkpoint, Crash}, State)}.

last_checkpoint(#state{checkpoint = none}) ->
    ok;
last_checkpoint(#state{epoch = 0}) ->
    ok;
last_checkpoint(#state{pid = undefined}) ->
    ok;
last_checkpoint(State) ->
    {Pid, Ref} = spawn_monitor(?MODULE, save, [?LAST_CHECKPOINT_MS, State]),
    receive
        {'DOWN', Ref, process, Pid, Outcome} ->
            case Outcome of
                unchanged -> ok;
                {saved, _} -> ok;
                Other -> _ = complain({last_checkpoint, Other}, State), ok
            end
    after ?LAST_CHECKPOINT_MS ->
        true = exit(Pid, kill),
        _ = complain({last_checkpoint, timeout}, State),
        ok
    end.

%% Internals: giving up

give_up(OwnerEpoch, OwnerMode, #state{id = Id, epoch = Epoch, agent = Agent} = State) ->
    Given = given(State),
    Finished = finish({stopped, not_owner}, State),
    {group_leader, Leader} = process_info(Agent, group_leader),
    ok = quorate_conflict:surrender(
           maps:merge(#{id => Id, epoch => Epoch, owner_epoch => OwnerEpoch,
                        policy => policy(OwnerMode, State)}, Given), Leader),
    Finished.

%% One that was started without a log does not say what a strong one goes on with,
%% which need not be the same but for its id.
policy(strong, #state{epoch = 0}) -> registered;
policy(_, #state{options = Options}) -> quorate_conflict:policy(Options).

given(#state{checkpoint = none}) ->
    #{state => undefined, why => no_checkpoint};
given(#state{pid = undefined}) ->
    #{state => undefined, why => not_running};
given(#state{pid = Child, checkpoint = Checkpoint}) ->
    {Pid, Ref} = spawn_monitor(?MODULE, give, [Child, Checkpoint]),
    receive
        {'DOWN', Ref, process, Pid, {given, Value}} -> #{state => {ok, Value}};
        {'DOWN', Ref, process, Pid, _} -> #{state => undefined, why => checkpoint_failed}
    after ?LAST_CHECKPOINT_MS ->
        true = erlang:demonitor(Ref, [flush]),
        true = exit(Pid, kill),
        #{state => undefined, why => checkpoint_timeout}
    end.

%% @private
-spec give(pid(), quorate_spec:checkpoint()) -> no_return().
give(Child, Checkpoint) ->
    exit({given, take(Child, Checkpoint, ?LAST_CHECKPOINT_MS)}).

%% The same complaint again says nothing new.
complain(Complaint, #state{complaint = Complaint} = State) ->
    State;
complain(Complaint, #state{id = Id, epoch = Epoch} = State) ->
    logger:warning("quorate: sandbox ~ts, epoch ~b: ~0tp", [Id, Epoch, Complaint]),
    State#state{complaint = Complaint}.
