%% SPDX-License-Identifier: Apache-2.0
%% @doc What runs on this node, and what an order means for it. Pure.
%%
%% Orders come again until their effect is seen, so each must be harmless the
%% second time: what runs is reported again, and what has ended under an epoch
%% never starts again under that epoch. For the latter ends are remembered,
%% longer than an order can be on its way.
-module(quorate_roster).

-export([new/0, size/1, start/4, confirm/4, stop/4, add/5, started/3, take_over/3, stopping/2,
         lingering/2, ended/5, find/2, take_all/1, take_others/2, running/1, forget/2]).

-export_type([roster/0, box/0, report/0, mode/0]).

-define(REMEMBER_MS, 600000).

-type mode() :: strong | available.
%% Whether it ends with the lease, or goes on.
-type box() :: #{id := quorate:id(), epoch := quorate:epoch(), mode := mode(),
                 sandbox := pid(), leader := pid(), child := pid() | undefined,
                 stopping := boolean(), lingers := boolean()}.
-type report() :: {started | failed | stopped, {quorate:id(), quorate:epoch(), term()}}.

-record(roster,
        {boxes = #{} :: #{quorate:id() => box()},
         ids = #{} :: #{pid() => quorate:id()}, % by the process of the sandbox
         ends = #{} :: #{quorate:id() =>
                             {quorate:epoch(), failed | stopped, term(), integer()}}}).

-opaque roster() :: #roster{}.

-spec new() -> roster().
new() ->
    #roster{}.

-spec size(roster()) -> non_neg_integer().
size(#roster{boxes = Boxes}) ->
    map_size(Boxes).

%% @doc An order to start: what to do. `replace' means that an older epoch still
%% runs here, which must end first; `surrender' the same of an available one, which
%% has gone on without a lease, and whose state is to be kept. If it runs under
%% `Prior', the epoch that the new one follows, it is to go on: `take_over'.
-spec start(quorate:id(), quorate:epoch(), none | quorate:epoch(), roster()) ->
          start | {replace | surrender | take_over, box()} | {report, report()} | nothing.
start(Id, Epoch, Prior, #roster{boxes = Boxes, ends = Ends}) ->
    case {Boxes, Ends} of
        {#{Id := #{epoch := Epoch, child := Child}}, _} when is_pid(Child) ->
            {report, {started, {Id, Epoch, Child}}};
        {#{Id := #{epoch := Present}}, _} when Present >= Epoch ->
            nothing;
        {_, #{Id := {Epoch, Kind, Reason, _}}} ->
            {report, {Kind, {Id, Epoch, Reason}}};
        {_, #{Id := {Last, _, _, _}}} when Last > Epoch ->
            nothing;
        {#{Id := #{lingers := true}}, _} ->
            nothing;
        {#{Id := #{mode := available, stopping := true}}, _} ->
            nothing;
        {#{Id := #{mode := available, epoch := Prior, child := Child} = Box}, _}
          when is_pid(Child) ->
            {take_over, Box};
        {#{Id := #{mode := available, child := Child} = Box}, _} when is_pid(Child) ->
            {surrender, Box};
        {#{Id := Box}, _} ->
            {replace, Box};
        _ ->
            start
    end.

%% @doc Whether this runs, as the log has it: what to report. What does not will
%% never be started under that epoch, even by an order that is still on its way.
-spec confirm(quorate:id(), quorate:epoch(), integer(), roster()) ->
          {report(), roster()} | nothing.
confirm(Id, Epoch, Now, #roster{boxes = Boxes, ends = Ends} = Roster) ->
    case {Boxes, Ends} of
        {#{Id := #{epoch := Epoch, child := Child}}, _} when is_pid(Child) ->
            {{started, {Id, Epoch, Child}}, Roster};
        {#{Id := #{epoch := Present}}, _} when Present >= Epoch ->
            nothing;
        {_, #{Id := {Epoch, Kind, Reason, _}}} ->
            {{Kind, {Id, Epoch, Reason}}, Roster};
        {_, #{Id := {Last, _, _, _}}} when Last > Epoch ->
            nothing;
        _ ->
            {{failed, {Id, Epoch, not_running}},
             Roster#roster{ends = Ends#{Id => {Epoch, failed, not_running, Now}}}}
    end.

%% @doc An order to stop what runs under this epoch or a lower one. What is
%% still starting cannot be asked to stop: it is killed. What is not there has
%% ended: the start may be on its way from the member before, and come after the
%% log has forgotten the sandbox.
-spec stop(quorate:id(), quorate:epoch(), integer(), roster()) ->
          {stop | kill, box()} | {report, report(), roster()} | nothing.
stop(Id, Epoch, Now, #roster{boxes = Boxes, ends = Ends} = Roster) ->
    case Boxes of
        #{Id := #{epoch := Present, stopping := true}} when Present =< Epoch ->
            nothing;
        #{Id := #{epoch := Present, child := undefined} = Box} when Present =< Epoch ->
            {kill, Box};
        #{Id := #{epoch := Present} = Box} when Present =< Epoch ->
            {stop, Box};
        #{} ->
            {report, {stopped, {Id, Epoch, not_running}},
             Roster#roster{ends = last(Id, {Epoch, stopped, not_running, Now}, Ends)}}
    end.

-spec add(quorate:id(), quorate:epoch(), mode(), {Sandbox :: pid(), Leader :: pid()},
          roster()) -> roster().
add(Id, Epoch, Mode, {Sandbox, Leader}, #roster{boxes = Boxes, ids = Ids} = Roster) ->
    Box = #{id => Id, epoch => Epoch, mode => Mode, sandbox => Sandbox, leader => Leader,
            child => undefined, stopping => false, lingers => false},
    Roster#roster{boxes = Boxes#{Id => Box}, ids = Ids#{Sandbox => Id}}.

%% @doc The sandbox says that its child runs.
-spec started(pid(), pid(), roster()) -> {report(), roster()} | nothing.
started(Sandbox, Child, #roster{boxes = Boxes} = Roster) ->
    case find(Sandbox, Roster) of
        {ok, #{id := Id, epoch := Epoch} = Box} ->
            {{started, {Id, Epoch, Child}},
             Roster#roster{boxes = Boxes#{Id := Box#{child := Child}}}};
        error ->
            nothing
    end.

%% @doc What runs goes on under a later epoch.
-spec take_over(box(), quorate:epoch(), roster()) -> {report(), roster()}.
take_over(#{id := Id, child := Child} = Box, Epoch, #roster{boxes = Boxes} = Roster) ->
    {{started, {Id, Epoch, Child}},
     Roster#roster{boxes = Boxes#{Id := Box#{epoch := Epoch}}}}.

-spec stopping(box(), roster()) -> roster().
stopping(#{id := Id} = Box, #roster{boxes = Boxes} = Roster) ->
    Roster#roster{boxes = Boxes#{Id := Box#{stopping := true}}}.

%% @doc It was killed, and some of its processes have not ended yet. It is not
%% said to run, nor to have ended, and nothing starts in its place.
-spec lingering(box(), roster()) -> roster().
lingering(#{id := Id} = Box, #roster{boxes = Boxes} = Roster) ->
    Roster#roster{boxes = Boxes#{Id := Box#{stopping := true, lingers := true,
                                            child := undefined}}}.

%% @doc The sandbox is gone; the end is remembered, to be reported (again).
-spec ended(box(), failed | stopped, term(), integer(), roster()) -> {report(), roster()}.
ended(#{id := Id, epoch := Epoch, sandbox := Sandbox}, Kind, Reason, Now, Roster) ->
    #roster{boxes = Boxes, ids = Ids, ends = Ends} = Roster,
    {{Kind, {Id, Epoch, Reason}},
     Roster#roster{boxes = maps:remove(Id, Boxes), ids = maps:remove(Sandbox, Ids),
                   ends = last(Id, {Epoch, Kind, Reason, Now}, Ends)}}.

%% Of two epochs that have ended the later one is remembered, and how it ended: not
%% that it was ordered to stop once more.
last(Id, {Epoch, _, _, _} = End, Ends) ->
    case Ends of
        #{Id := {Later, _, _, _}} when Later >= Epoch -> Ends;
        #{} -> Ends#{Id => End}
    end.

-spec find(pid(), roster()) -> {ok, box()} | error.
find(Sandbox, #roster{boxes = Boxes, ids = Ids}) ->
    case Ids of
        #{Sandbox := Id} -> {ok, maps:get(Id, Boxes)};
        #{} -> error
    end.

%% @doc Everything, which ends now; what has ended stays known.
-spec take_all(roster()) -> {[box()], roster()}.
take_all(#roster{boxes = Boxes} = Roster) ->
    {maps:values(Boxes), Roster#roster{boxes = #{}, ids = #{}}}.

%% @doc Those that do not go on: all but the ones with these group leaders.
-spec take_others([pid()], roster()) -> {[box()], roster()}.
take_others(Leaders, #roster{boxes = Boxes, ids = Ids} = Roster) ->
    Wanted = maps:from_keys(Leaders, true),
    {Kept, Taken} = lists:partition(fun({_, #{leader := Leader}}) ->
                                            is_map_key(Leader, Wanted)
                                    end, maps:to_list(Boxes)),
    {[Box || {_, Box} <- Taken],
     Roster#roster{boxes = maps:from_list(Kept),
                   ids = maps:without([Sandbox || {_, #{sandbox := Sandbox}} <- Taken], Ids)}}.

%% @doc What an attach tells. A child that is being started again right now
%% counts under its last pid.
-spec running(roster()) -> [{quorate:id(), quorate:epoch(), pid()}].
running(#roster{boxes = Boxes}) ->
    [{Id, Epoch, Child} || {Id, #{epoch := Epoch, child := Child}} <- maps:to_list(Boxes),
                           is_pid(Child)].

%% @doc Forgets the ends of long ago.
-spec forget(integer(), roster()) -> roster().
forget(Now, #roster{ends = Ends} = Roster) ->
    Roster#roster{ends = maps:filter(fun(_, {_, _, _, At}) -> Now - At < ?REMEMBER_MS end, Ends)}.
