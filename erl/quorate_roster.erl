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
-export([ask/3, add_provisional/5, is_provisional/3, told/2, provisional/1, offers/3]).

-export_type([roster/0, box/0, report/0, mode/0, terms/0, asked/0]).

-define(REMEMBER_MS, 600000).
%% What may run here without a log.
-define(PROVISIONAL_MAX, 1000).
%% Of those who wait for one start; there are not so many members.
-define(ASKED_MAX, 64).

-type mode() :: strong | available.
%% Whether it ends with the lease, or goes on.
-type box() :: #{id := quorate:id(), epoch := quorate:epoch(), mode := mode(),
                 sandbox := pid(), leader := pid(), child := pid() | undefined,
                 stopping := boolean(), lingers := boolean(),
                 terms => terms(), asked => [asked()]}.
%% With `terms' it is provisional: started without a lease, under epoch 0, to be
%% offered with them.
-type terms() :: {Spec :: binary(), Options :: binary()}.
-type asked() :: {Member :: node(), Number :: non_neg_integer()}.
%% A member that waits for the start, and its number for it.
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

%% @doc A member asks for a provisional start: what to do. `wait': it is starting,
%% and the member is told with the one before.
-spec ask(quorate:id(), asked(), roster()) ->
          start | busy | {exists, quorate:epoch(), pid()} | {wait, roster()}.
ask(Id, Asked, #roster{boxes = Boxes} = Roster) ->
    case Boxes of
        #{Id := #{stopping := true}} ->
            busy;
        #{Id := #{epoch := Epoch, child := Child}} when is_pid(Child) ->
            {exists, Epoch, Child};
        #{Id := #{asked := Before} = Box} when length(Before) < ?ASKED_MAX ->
            {wait, Roster#roster{boxes = Boxes#{Id := Box#{asked := [Asked | Before]}}}};
        #{Id := _} ->
            busy;
        #{} ->
            may_start(provisional(Roster))
    end.

may_start(Ids) when length(Ids) < ?PROVISIONAL_MAX -> start;
may_start(_) -> busy.

-spec add_provisional(quorate:id(), terms(), asked(), {Sandbox :: pid(), Leader :: pid()},
                      roster()) -> roster().
add_provisional(Id, Terms, Asked, Pids, Roster) ->
    #roster{boxes = #{Id := Box} = Boxes} = Roster1 = add(Id, 0, available, Pids, Roster),
    Roster1#roster{boxes = Boxes#{Id := Box#{terms => Terms, asked => [Asked]}}}.

%% @doc Whether that is what runs here, with these terms.
-spec is_provisional(quorate:id(), terms(), roster()) -> boolean().
is_provisional(Id, Terms, #roster{boxes = Boxes}) ->
    case Boxes of
        #{Id := #{terms := Terms}} -> true;
        #{} -> false
    end.

%% @doc Those who asked for it know how it went.
-spec told(quorate:id(), roster()) -> roster().
told(Id, #roster{boxes = Boxes} = Roster) ->
    case Boxes of
        #{Id := #{asked := _} = Box} -> Roster#roster{boxes = Boxes#{Id := Box#{asked := []}}};
        #{} -> Roster
    end.

%% @doc The ids of all provisional ones.
-spec provisional(roster()) -> [quorate:id()].
provisional(#roster{boxes = Boxes}) ->
    [Id || {Id, #{terms := _}} <- maps:to_list(Boxes)].

%% @doc Of what runs provisionally, so many at most: those behind this id, and then
%% from the first one on.
-spec offers(quorate:id(), pos_integer(), roster()) -> [{quorate:id(), pid(), terms()}].
offers(After, Max, #roster{boxes = Boxes}) ->
    All = lists:keysort(1, [{Id, Child, Terms}
                            || {Id, #{terms := Terms, child := Child, stopping := false}}
                                   <- maps:to_list(Boxes), is_pid(Child)]),
    {Before, Behind} = lists:splitwith(fun({Id, _, _}) -> Id =< After end, All),
    lists:sublist(Behind ++ Before, Max).

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
     Roster#roster{boxes = Boxes#{Id := (maps:without([terms, asked], Box))#{epoch := Epoch}}}}.

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
%% counts under its last pid. What is provisional is offered instead.
-spec running(roster()) -> [{quorate:id(), quorate:epoch(), pid()}].
running(#roster{boxes = Boxes}) ->
    [{Id, Epoch, Child} || {Id, #{epoch := Epoch, child := Child}} <- maps:to_list(Boxes),
                           is_pid(Child), Epoch > 0].

%% @doc Forgets the ends of long ago.
-spec forget(integer(), roster()) -> roster().
forget(Now, #roster{ends = Ends} = Roster) ->
    Roster#roster{ends = maps:filter(fun(_, {_, _, _, At}) -> Now - At < ?REMEMBER_MS end, Ends)}.
