%% SPDX-License-Identifier: Apache-2.0
%% The lease machine, without a process or a clock.
-module(quorate_lease_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0]).
-export([attaches_to_the_own_member_first/1, attach_without_answer_goes_elsewhere/1,
         acts_only_between_grant_and_end/1, renewal_moves_the_end/1,
         renewal_of_another_lease_is_ignored/1, late_renewal_does_not_save_the_lease/1,
         end_of_lease_kills_then_attaches_anew/1, lost_member_keeps_the_lease/1,
         silent_member_is_left_in_time/1, answer_of_an_earlier_attach_counts/1,
         answer_to_an_old_incarnation_is_ignored/1, grant_that_is_over_is_ignored/1,
         lease_lost_starts_a_new_incarnation/1, old_claims_are_not_started/1,
         own_member_is_preferred_when_ready/1, members_come_and_go/1,
         member_that_is_ready_again_changes_nothing/1,
         member_that_was_left_is_told/1, end_is_told_to_both/1,
         invariants_hold_in_random_runs/1]).

-define(TTL, 2500).
-define(OWN, 'own@host').
-define(OTHER, 'other@host').

all() ->
    [Name || {Name, 1} <- ?MODULE:module_info(exports), Name =/= module_info].

new() -> quorate_lease:new(?OWN, [?OTHER], 0).

body(Lease, Clock, Id) ->
    #{incarnation => quorate_lease:incarnation(Lease), lease => Id, clock => Clock,
      ttl_owner => ?TTL, keepalive_interval => 500, members => [?OWN, ?OTHER]}.

attached() -> attached(new(), 0, 10, 7).

attached(Lease, AskedAt, Now, Id) ->
    {_, Lease1} = quorate_lease:step(tick, AskedAt, Lease),
    {_, Lease2} = quorate_lease:step({attached, body(Lease1, AskedAt, Id)}, Now, Lease1),
    Lease2.

members_come_and_go(_) ->
    Lease = attached(),
    Told = fun(Members) ->
        #{incarnation => quorate_lease:incarnation(Lease), members => Members}
    end,
    {Effects, Grown} = quorate_lease:step({members, Told([?OWN, ?OTHER, 'third@host'])}, 20, Lease),
    ?assertEqual([{members, ?OWN, [?OTHER, 'third@host', ?OWN]}], Effects),
    {_, Shrunk} = quorate_lease:step({members, Told([?OWN, 'third@host'])}, 30, Grown),
    ?assertEqual(['third@host', ?OWN], quorate_lease:members(Shrunk)),
    %% The lease itself is as it was, and another incarnation is told nothing.
    ?assert(quorate_lease:may_act(100, ?TTL - 1, Shrunk)),
    ?assertEqual({[], Shrunk},
                 quorate_lease:step({members, #{incarnation => <<1:128>>, members => []}}, 40,
                                    Shrunk)).

attaches_to_the_own_member_first(_) ->
    {Effects, Lease} = quorate_lease:step(tick, 0, new()),
    Incarnation = quorate_lease:incarnation(Lease),
    ?assertEqual([{monitor, ?OWN}, {attach, ?OWN, Incarnation, 0}], Effects),
    ?assertEqual(undefined, quorate_lease:member(Lease)).

attach_without_answer_goes_elsewhere(_) ->
    {_, Lease} = quorate_lease:step(tick, 0, new()),
    {Effects, _} = quorate_lease:step(tick, quorate_lease:deadline(Lease), Lease),
    ?assertMatch([{monitor, ?OTHER}, {attach, ?OTHER, _, _}], Effects).

acts_only_between_grant_and_end(_) ->
    ?assertNot(quorate_lease:may_act(100, 0, new())),
    Lease = attached(),
    ?assert(quorate_lease:may_act(100, ?TTL - 1, Lease)),
    ?assertNot(quorate_lease:may_act(100, ?TTL, Lease)).

renewal_moves_the_end(_) ->
    {_, Lease} = quorate_lease:step({renewed, #{lease => 7, clock => 1000}}, 1020, attached()),
    ?assert(quorate_lease:may_act(100, 1000 + ?TTL - 1, Lease)),
    ?assertNot(quorate_lease:may_act(100, 1000 + ?TTL, Lease)).

renewal_of_another_lease_is_ignored(_) ->
    {_, Lease} = quorate_lease:step({renewed, #{lease => 6, clock => 1000}}, 1020, attached()),
    ?assertNot(quorate_lease:may_act(100, ?TTL, Lease)).

late_renewal_does_not_save_the_lease(_) ->
    Renewed = {renewed, #{lease => 7, clock => 1000}},
    {Effects, Lease} = quorate_lease:step(Renewed, 3000, attached()),
    ?assertMatch([{kill_all, expired} | _], Effects),
    ?assertNot(quorate_lease:may_act(100, 3000, Lease)).

end_of_lease_kills_then_attaches_anew(_) ->
    Lease = attached(),
    Old = quorate_lease:incarnation(Lease),
    {Effects, Lease1} = quorate_lease:step(tick, ?TTL, Lease),
    New = quorate_lease:incarnation(Lease1),
    ?assertEqual([{kill_all, expired}, {detach, ?OWN, Old}, {attach, ?OWN, New, ?TTL}], Effects),
    ?assertNotEqual(Old, New).

lost_member_keeps_the_lease(_) ->
    Lease = attached(),
    {[{moving, ?OWN, down}], Lease1} = quorate_lease:step({down, ?OWN}, 600, Lease),
    {Effects, Lease2} = quorate_lease:step(tick, 600, Lease1),
    ?assertMatch([{monitor, ?OTHER}, {attach, ?OTHER, _, 600}], Effects),
    ?assertEqual(quorate_lease:incarnation(Lease), quorate_lease:incarnation(Lease2)),
    {_, Lease3} = quorate_lease:step({attached, body(Lease2, 600, 7)}, 620, Lease2),
    ?assertEqual(?OTHER, quorate_lease:member(Lease3)),
    ?assert(quorate_lease:may_act(8, 600 + ?TTL - 1, Lease3)).

silent_member_is_left_in_time(_) ->
    {Effects, Now} = run_until_moving(attached()),
    ?assert(Now < ?TTL - 500),
    ?assertMatch([{moving, ?OWN, silent}, {monitor, ?OTHER}, {attach, ?OTHER, _, _}], Effects).

run_until_moving(Lease) ->
    Now = quorate_lease:deadline(Lease),
    case quorate_lease:step(tick, Now, Lease) of
        {[{moving, _, _} | _] = Effects, _} -> {Effects, Now};
        {[{keepalive, ?OWN, _, Now}], Lease1} -> run_until_moving(Lease1)
    end.

answer_of_an_earlier_attach_counts(_) ->
    {_, Lease} = quorate_lease:step(tick, 0, new()),
    {_, Lease1} = quorate_lease:step(tick, 1000, Lease),
    {Effects, Lease2} = quorate_lease:step({attached, body(Lease1, 0, 7)}, 1100, Lease1),
    ?assertMatch([{monitor, ?OWN}, {attached, ?OWN, _}], Effects),
    ?assertNot(quorate_lease:may_act(8, ?TTL, Lease2)).

answer_to_an_old_incarnation_is_ignored(_) ->
    {_, Lease} = quorate_lease:step(tick, 0, new()),
    Body = (body(Lease, 0, 7))#{incarnation := <<0:128>>},
    ?assertEqual({[], Lease}, quorate_lease:step({attached, Body}, 10, Lease)).

grant_that_is_over_is_ignored(_) ->
    {_, Lease} = quorate_lease:step(tick, 0, new()),
    ?assertEqual({[], Lease}, quorate_lease:step({attached, body(Lease, 0, 7)}, ?TTL, Lease)).

lease_lost_starts_a_new_incarnation(_) ->
    Lease = attached(),
    Old = quorate_lease:incarnation(Lease),
    {Effects, Lease1} = quorate_lease:step({lease_lost, #{incarnation => Old}}, 100, Lease),
    ?assertMatch([{kill_all, lease_lost}, {detach, ?OWN, Old}], Effects),
    ?assertEqual({[], Lease1},
                 quorate_lease:step({lease_lost, #{incarnation => Old}}, 101, Lease1)).

old_claims_are_not_started(_) ->
    Lease = attached(),
    ?assertNot(quorate_lease:may_act(7, 100, Lease)),
    ?assert(quorate_lease:may_act(8, 100, Lease)).

own_member_is_preferred_when_ready(_) ->
    {_, Lease} = quorate_lease:step({down, ?OWN}, 600, attached()),
    Elsewhere = attached(Lease, 600, 620, 7),
    ?assertEqual(?OTHER, quorate_lease:member(Elsewhere)),
    {Effects, _} = quorate_lease:step({member_ready, ?OWN}, 700, Elsewhere),
    ?assertMatch([{monitor, ?OWN}, {attach, ?OWN, _, 700}], Effects).

%% A member that does not know it yet must not judge this worker.
member_that_was_left_is_told(_) ->
    {_, Lost} = quorate_lease:step({down, ?OWN}, 600, attached()),
    {_, Asked} = quorate_lease:step(tick, 600, Lost),
    I = quorate_lease:incarnation(Asked),
    Probe = {probe, #{incarnation => I, member => ?OWN}},
    %% Whose lease it is does not change before another one has granted it.
    ?assertEqual({[], Asked}, quorate_lease:step(Probe, 610, Asked)),
    {Effects, Moved} = quorate_lease:step({attached, body(Asked, 600, 7)}, 620, Asked),
    ?assert(lists:member({left, ?OWN, I}, Effects)),
    ?assertEqual(?OTHER, quorate_lease:home(Moved)),
    ?assertEqual({[{left, ?OWN, I}], Moved}, quorate_lease:step(Probe, 630, Moved)),
    ?assertEqual({[], Moved},
                 quorate_lease:step({probe, #{incarnation => I, member => ?OTHER}}, 640, Moved)).

%% At the end both the one that granted and the one that was asked are told.
end_is_told_to_both(_) ->
    {_, Lost} = quorate_lease:step({down, ?OWN}, 600, attached()),
    {_, Asked} = quorate_lease:step(tick, 600, Lost),
    I = quorate_lease:incarnation(Asked),
    {[{kill_all, expired} | Effects], Over} = quorate_lease:step({refused, busy}, ?TTL, Asked),
    ?assertEqual([{detach, ?OTHER, I}, {detach, ?OWN, I}],
                 lists:sort([E || {detach, _, _} = E <- Effects])),
    %% And again, if that was lost.
    {Again, _} = quorate_lease:step({probe, #{incarnation => I, member => ?OWN}}, ?TTL + 10, Over),
    ?assertEqual([{detach, ?OWN, I}], Again).

member_that_is_ready_again_changes_nothing(_) ->
    Lease = attached(),
    ?assertEqual({[], Lease}, quorate_lease:step({member_ready, ?OWN}, 700, Lease)).

%% Whatever happens, whoever answers: no act after ttl without a renewal, and
%% everything is killed before a new incarnation speaks.
invariants_hold_in_random_runs(_) ->
    lists:foreach(fun random_run/1, lists:seq(1, 200)).

random_run(Seed) ->
    Start = #{lease => new(), now => 0, until => -1, asked => []},
    try
        lists:foldl(fun random_step/2, {rand:seed_s(exsss, Seed), Start}, lists:seq(1, 300))
    catch
        Class:Reason:Stack -> ct:fail({seed, Seed, Class, Reason, Stack})
    end.

random_step(_, {Random, #{lease := Lease, now := Before} = State}) ->
    {Choice, Random1} = rand:uniform_s(8, Random),
    {Wait, Random2} = rand:uniform_s(700, Random1),
    Now = Before + 10 + Wait,
    {Event, Until} = event(Choice, Now, State),
    {Effects, Lease1} = quorate_lease:step(Event, Now, Lease),
    Asked = [Clock || {attach, _, _, Clock} <- Effects],
    Same = quorate_lease:incarnation(Lease) =:= quorate_lease:incarnation(Lease1),
    ?assertEqual(not Same, lists:keymember(kill_all, 1, Effects)),
    End = case Same of true -> Until; false -> -1 end,
    ?assert(not quorate_lease:may_act(1000, Now, Lease1) orelse Now < End),
    ?assert(quorate_lease:deadline(Lease1) =< max(Now + ?TTL, End)),
    {Random2, #{lease => Lease1, now => Now, until => End,
                asked => case Same of true -> Asked ++ maps:get(asked, State);
                                      false -> Asked end}}.

event(1, _, #{until := Until}) -> {{down, ?OWN}, Until};
event(2, _, #{until := Until}) -> {{down, ?OTHER}, Until};
event(3, Now, #{lease := Lease, asked := [Clock | _], until := Until}) when Now < Clock + ?TTL ->
    {{attached, body(Lease, Clock, 7)}, max(Until, Clock + ?TTL)};
event(4, Now, #{until := Until}) when Until > Now ->
    {{renewed, #{lease => 7, clock => Now - 5}}, max(Until, Now - 5 + ?TTL)};
event(5, _, #{until := Until}) -> {{member_ready, ?OWN}, Until};
event(_, _, #{until := Until}) -> {tick, Until}.
