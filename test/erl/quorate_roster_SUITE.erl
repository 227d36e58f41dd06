%% SPDX-License-Identifier: Apache-2.0
%% Orders that come twice, late, or in the wrong order; and specifications.
-module(quorate_roster_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0]).
-export([start_is_done_once/1, started_is_reported_when_ordered_again/1,
         ended_epoch_never_starts_again/1, greater_epoch_starts_after_an_end/1,
         what_is_not_there_never_starts_under_that_epoch/1,
         what_is_not_there_yet_does_not_replace_what_is/1, what_runs_is_confirmed/1,
         older_order_is_ignored/1, greater_epoch_replaces/1,
         provisional_one_is_started_once/1, provisional_ones_have_a_limit/1,
         provisional_one_goes_on_if_it_is_the_same/1, provisional_one_gives_way_to_an_owner/1,
         provisional_ones_are_offered_in_turn/1,
         prior_epoch_goes_on/1, what_goes_on_has_the_later_epoch/1, others_are_taken/1,
         stop_of_a_running_one_is_done_once/1, stop_of_a_starting_one_kills/1,
         stop_of_nothing_is_answered/1, start_behind_its_stop_is_none/1,
         stop_of_an_older_epoch_spares_a_newer_one/1,
         running_lists_what_has_a_pid/1, ends_are_forgotten_after_a_while/1,
         specifications_are_taken_apart/1, wrong_specifications_are_refused/1,
         checkpoint_options_are_checked/1, restart_follows_the_type/1]).

-define(ID, <<"alice">>).

all() ->
    [Name || {Name, 1} <- ?MODULE:module_info(exports), Name =/= module_info].

pid() -> spawn(fun() -> ok end).

starting(Epoch) -> starting(Epoch, strong).

starting(Epoch, Mode) ->
    quorate_roster:add(?ID, Epoch, Mode, {self(), pid()}, quorate_roster:new()).

running(Epoch) -> running(Epoch, strong).

running(Epoch, Mode) ->
    {_, Roster} = quorate_roster:started(self(), pid(), starting(Epoch, Mode)),
    Roster.

ended(Epoch) ->
    Roster = running(Epoch),
    {ok, Box} = quorate_roster:find(self(), Roster),
    {Report, Roster1} = quorate_roster:ended(Box, stopped, normal, 0, Roster),
    ?assertEqual({stopped, {?ID, Epoch, normal}}, Report),
    Roster1.

start_is_done_once(_) ->
    ?assertEqual(start, quorate_roster:start(?ID, 5, none, quorate_roster:new())),
    ?assertEqual(nothing, quorate_roster:start(?ID, 5, none, starting(5))).

started_is_reported_when_ordered_again(_) ->
    ?assertMatch({report, {started, {?ID, 5, _}}}, quorate_roster:start(?ID, 5, none, running(5))).

ended_epoch_never_starts_again(_) ->
    ?assertEqual({report, {stopped, {?ID, 5, normal}}},
                 quorate_roster:start(?ID, 5, none, ended(5))).

greater_epoch_starts_after_an_end(_) ->
    ?assertEqual(start, quorate_roster:start(?ID, 6, none, ended(5))).

what_is_not_there_never_starts_under_that_epoch(_) ->
    {Report, Roster} = quorate_roster:confirm(?ID, 5, 0, quorate_roster:new()),
    ?assertEqual({failed, {?ID, 5, not_running}}, Report),
    ?assertEqual({report, Report}, quorate_roster:start(?ID, 5, none, Roster)),
    ?assertEqual({Report, Roster}, quorate_roster:confirm(?ID, 5, 9, Roster)),
    ?assertEqual(start, quorate_roster:start(?ID, 6, none, Roster)).

what_is_not_there_yet_does_not_replace_what_is(_) ->
    Older = running(4),
    {{failed, {?ID, 5, not_running}} = Report, Roster} = quorate_roster:confirm(?ID, 5, 0, Older),
    ?assertEqual({report, Report}, quorate_roster:start(?ID, 5, none, Roster)),
    {ok, Box} = quorate_roster:find(self(), Roster),
    {_, Ended} = quorate_roster:ended(Box, stopped, normal, 1, Roster),
    ?assertEqual({report, Report}, quorate_roster:start(?ID, 5, none, Ended)).

what_runs_is_confirmed(_) ->
    Roster = running(5),
    ?assertMatch({{started, {?ID, 5, _}}, Roster}, quorate_roster:confirm(?ID, 5, 0, Roster)),
    ?assertEqual(nothing, quorate_roster:confirm(?ID, 4, 0, Roster)),
    ?assertEqual(nothing, quorate_roster:confirm(?ID, 5, 0, starting(5))),
    ?assertMatch({{stopped, {?ID, 5, normal}}, _}, quorate_roster:confirm(?ID, 5, 0, ended(5))),
    ?assertEqual(nothing, quorate_roster:confirm(?ID, 4, 0, ended(5))).

older_order_is_ignored(_) ->
    ?assertEqual(nothing, quorate_roster:start(?ID, 4, none, running(5))),
    ?assertEqual(nothing, quorate_roster:start(?ID, 4, none, ended(5))).

greater_epoch_replaces(_) ->
    ?assertMatch({replace, #{epoch := 5}}, quorate_roster:start(?ID, 6, none, running(5))),
    ?assertMatch({replace, #{epoch := 5}}, quorate_roster:start(?ID, 6, none, starting(5))).

%% Only of an available one that runs, and under just that epoch.
%% A provisional one, of terms a and b, that the first call of a member started.
provisional() -> provisional(?ID, self(), quorate_roster:new()).

provisional(Id, Sandbox, Roster) ->
    quorate_roster:add_provisional(Id, {<<"a">>, <<"b">>}, {m1, 1}, {Sandbox, pid()}, Roster).

provisional_one_is_started_once(_) ->
    ?assertEqual(start, quorate_roster:ask(?ID, {m1, 1}, quorate_roster:new())),
    {wait, Roster} = quorate_roster:ask(?ID, {m2, 7}, provisional()),
    Child = pid(),
    {_, Runs} = quorate_roster:started(self(), Child, Roster),
    {ok, #{asked := Asked}} = quorate_roster:find(self(), Runs),
    ?assertEqual([{m1, 1}, {m2, 7}], lists:sort(Asked)),
    ?assertEqual({exists, 0, Child}, quorate_roster:ask(?ID, {m1, 2}, Runs)),
    {ok, #{asked := []}} = quorate_roster:find(self(), quorate_roster:told(?ID, Runs)),
    ?assertMatch({exists, 5, _}, quorate_roster:ask(?ID, {m1, 1}, running(5, available))),
    ?assertEqual(busy, quorate_roster:ask(?ID, {m1, 1}, starting(5, available))),
    {ok, Box} = quorate_roster:find(self(), Runs),
    ?assertEqual(busy, quorate_roster:ask(?ID, {m1, 2}, quorate_roster:stopping(Box, Runs))).

provisional_ones_have_a_limit(_) ->
    Full = lists:foldl(fun(N, Roster) ->
        Id = integer_to_binary(N),
        ?assertEqual(start, quorate_roster:ask(Id, {m1, N}, Roster)),
        provisional(Id, pid(), Roster)
    end, quorate_roster:new(), lists:seq(1, 1000)),
    ?assertEqual(1000, length(quorate_roster:provisional(Full))),
    ?assertEqual(busy, quorate_roster:ask(?ID, {m1, 1}, Full)).

%% It is not said to run: the log does not know it.
provisional_one_goes_on_if_it_is_the_same(_) ->
    {_, Roster} = quorate_roster:started(self(), pid(), provisional()),
    ?assertEqual([], quorate_roster:running(Roster)),
    ?assert(quorate_roster:is_provisional(?ID, {<<"a">>, <<"b">>}, Roster)),
    ?assertNot(quorate_roster:is_provisional(?ID, {<<"a">>, <<"c">>}, Roster)),
    ?assertNot(quorate_roster:is_provisional(?ID, {<<"a">>, <<"b">>}, running(5, available))),
    {take_over, Box} = quorate_roster:start(?ID, 25, 0, Roster),
    {{started, {?ID, 25, Child}}, Owned} = quorate_roster:take_over(Box, 25, Roster),
    ?assertEqual([{?ID, 25, Child}], quorate_roster:running(Owned)),
    ?assertEqual([], quorate_roster:provisional(Owned)),
    ?assertEqual([], quorate_roster:offers(<<>>, 9, Owned)).

provisional_one_gives_way_to_an_owner(_) ->
    {_, Roster} = quorate_roster:started(self(), pid(), provisional()),
    ?assertMatch({surrender, _}, quorate_roster:start(?ID, 25, none, Roster)),
    ?assertMatch({stop, _}, quorate_roster:stop(?ID, 0, 0, Roster)),
    ?assertMatch({replace, _}, quorate_roster:start(?ID, 25, 0, provisional())),
    ?assertMatch({kill, _}, quorate_roster:stop(?ID, 0, 0, provisional())).

%% All of them come, and none that is just starting.
provisional_ones_are_offered_in_turn(_) ->
    Roster = lists:foldl(fun(Id, R) ->
        Sandbox = pid(),
        {_, R1} = quorate_roster:started(Sandbox, pid(), provisional(Id, Sandbox, R)),
        R1
    end, provisional(), [<<"b">>, <<"a">>, <<"c">>]),
    Ids = fun(After, Max) -> [Id || {Id, _, _} <- quorate_roster:offers(After, Max, Roster)] end,
    ?assertEqual([<<"a">>, <<"b">>], Ids(<<>>, 2)),
    ?assertEqual([<<"c">>, <<"a">>], Ids(<<"b">>, 2)),
    ?assertEqual([<<"b">>, <<"c">>, <<"a">>], Ids(<<"a">>, 9)).

prior_epoch_goes_on(_) ->
    Roster = running(5, available),
    ?assertMatch({take_over, #{epoch := 5}}, quorate_roster:start(?ID, 7, 5, Roster)),
    ?assertMatch({surrender, #{epoch := 5}}, quorate_roster:start(?ID, 7, 6, Roster)),
    ?assertMatch({surrender, #{epoch := 5}}, quorate_roster:start(?ID, 7, none, Roster)),
    ?assertMatch({report, {started, {?ID, 5, _}}}, quorate_roster:start(?ID, 5, 5, Roster)),
    Starting = starting(5, available),
    ?assertMatch({replace, #{epoch := 5}}, quorate_roster:start(?ID, 7, 5, Starting)),
    ?assertMatch({replace, #{epoch := 5}}, quorate_roster:start(?ID, 7, 5, running(5))),
    ?assertEqual(start, quorate_roster:start(?ID, 7, 5, ended(5))),
    {ok, Box} = quorate_roster:find(self(), Roster),
    Stopping = quorate_roster:stopping(Box, Roster),
    ?assertEqual(nothing, quorate_roster:start(?ID, 7, 5, Stopping)).

what_goes_on_has_the_later_epoch(_) ->
    Roster = running(5, available),
    {ok, #{child := Child} = Box} = quorate_roster:find(self(), Roster),
    {Report, Roster1} = quorate_roster:take_over(Box, 7, Roster),
    ?assertEqual({started, {?ID, 7, Child}}, Report),
    ?assertEqual({report, Report}, quorate_roster:start(?ID, 7, 5, Roster1)),
    ?assertEqual([{?ID, 7, Child}], quorate_roster:running(Roster1)),
    %% An order to stop the epoch of before is behind the times.
    ?assertMatch({report, {stopped, {?ID, 5, not_running}}, _},
                 quorate_roster:stop(?ID, 5, 0, Roster1)).

others_are_taken(_) ->
    Roster = running(5, available),
    {ok, #{leader := Leader} = Box} = quorate_roster:find(self(), Roster),
    ?assertEqual({[], Roster}, quorate_roster:take_others([pid(), Leader], Roster)),
    {[Box], Rest} = quorate_roster:take_others([pid()], Roster),
    ?assertEqual(0, quorate_roster:size(Rest)),
    ?assertEqual(error, quorate_roster:find(self(), Rest)).

stop_of_a_running_one_is_done_once(_) ->
    Roster = running(5),
    {stop, Box} = quorate_roster:stop(?ID, 5, 0, Roster),
    ?assertEqual(nothing, quorate_roster:stop(?ID, 5, 0, quorate_roster:stopping(Box, Roster))).

stop_of_a_starting_one_kills(_) ->
    ?assertMatch({kill, #{epoch := 5}}, quorate_roster:stop(?ID, 6, 0, starting(5))).

stop_of_nothing_is_answered(_) ->
    ?assertMatch({report, {stopped, {?ID, 5, not_running}}, _},
                 quorate_roster:stop(?ID, 5, 0, quorate_roster:new())).

%% The start was sent by the member before, the stop by the one that is asked now.
start_behind_its_stop_is_none(_) ->
    {report, Report, Roster} = quorate_roster:stop(?ID, 5, 0, quorate_roster:new()),
    ?assertEqual({report, Report}, quorate_roster:start(?ID, 5, none, Roster)),
    ?assertEqual(nothing, quorate_roster:start(?ID, 4, none, Roster)),
    ?assertEqual(start, quorate_roster:start(?ID, 6, none, Roster)).

stop_of_an_older_epoch_spares_a_newer_one(_) ->
    ?assertMatch({report, {stopped, {?ID, 4, _}}, _}, quorate_roster:stop(?ID, 4, 0, running(5))).

running_lists_what_has_a_pid(_) ->
    ?assertEqual([], quorate_roster:running(starting(5))),
    ?assertMatch([{?ID, 5, Pid}] when is_pid(Pid), quorate_roster:running(running(5))).

ends_are_forgotten_after_a_while(_) ->
    Forgotten = quorate_roster:forget(600000, ended(5)),
    ?assertEqual(start, quorate_roster:start(?ID, 5, none, Forgotten)),
    Remembered = quorate_roster:forget(599999, ended(5)),
    ?assertMatch({report, _}, quorate_roster:start(?ID, 5, none, Remembered)).

specifications_are_taken_apart(_) ->
    Start = {m, f, [1]},
    Expected = #{start => Start, restart => transient, shutdown => 5000, type => worker},
    ?assertEqual({ok, Expected}, quorate_spec:parse(Start)),
    ?assertEqual({ok, Expected}, quorate_spec:parse(#{id => x, start => Start})),
    ?assertEqual({ok, Expected#{type := supervisor, shutdown := infinity}},
                 quorate_spec:parse(#{start => Start, type => supervisor})),
    ?assertEqual({ok, Expected#{restart := permanent, shutdown := brutal_kill}},
                 quorate_spec:parse({x, Start, permanent, brutal_kill, worker, [m]})).

wrong_specifications_are_refused(_) ->
    [?assertMatch({error, {bad_spec, _}}, quorate_spec:parse(Spec))
     || Spec <- [m, {m, f}, {m, f, 1}, #{id => x}, #{start => {m, f, []}, restart => often},
                 #{start => {m, f, []}, shutdown => -1}, {x, {m, f, []}, permanent, 1, thing, []}]].

checkpoint_options_are_checked(_) ->
    ?assertEqual({ok, none}, quorate_spec:checkpoint(#{})),
    ?assertEqual({ok, #{interval => 30000, callback => get_state}},
                 quorate_spec:checkpoint(#{checkpoint => #{}})),
    ?assertEqual({ok, #{interval => 10, callback => {m, f}}},
                 quorate_spec:checkpoint(#{checkpoint => #{interval => 10, callback => {m, f}}})),
    [?assertMatch({error, {bad_spec, {checkpoint, _}}}, quorate_spec:checkpoint(#{checkpoint => C}))
     || C <- [1, #{interval => 0}, #{callback => f}, #{every => 1}]].

restart_follows_the_type(_) ->
    ?assert(quorate_spec:restarts(permanent, normal)),
    ?assertNot(quorate_spec:restarts(temporary, crash)),
    ?assert(quorate_spec:restarts(transient, crash)),
    [?assertNot(quorate_spec:restarts(transient, R)) || R <- [normal, shutdown, {shutdown, x}]].
