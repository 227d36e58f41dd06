%% SPDX-License-Identifier: Apache-2.0
%% Which faults come when, from a seed alone. A run is made of rounds: faults of one
%% style for half a minute, then all is mended. Round N of a seed is always the same,
%% whatever became of those before it; a fault says when it begins, in milliseconds
%% from the beginning of its round.
-module(chaos_plan).

-export([round/3, hosts/0]).

-export_type([fault/0, plan/0]).

-type host() :: 1..5.
-type ms() :: pos_integer().
-type service() :: member | worker.
-type fault() :: {kill, service(), host(), ms()}
               | {kill_leader, ms()}
               | {lose_host, host(), ms()}
               | {lose_leader, ms()}
               | {freeze, [service()], host(), ms()}
               | {freeze_leader, ms()}
               | {stutter, service(), host(), Times :: pos_integer(), ms(), ms()}
               | {cut, Kind :: atom(), [{host() | 9, host() | 9}], ms()}
               | {flap, [{host(), host()}], Times :: pos_integer(), ms(), ms()}
               | {loss, host() | all, 1..100, ms()}
               | {delay, host(), ms(), ms()}
               | {full_disk, host(), ms()}
               | {slow_disk, host(), ms(), ms()}
               | {failing_disk, host(), ms()}
               | {clock, host(), Ppb :: integer()}
               | {restart, service(), host()}
               | {rolling, service()}
               | {transfer, host()}.
-type plan() :: #{round := pos_integer(), style := atom(), faults := [{ms(), fault()}],
                  ms := ms()}.

-define(CLIENT, 9).

-spec hosts() -> [host()].
hosts() -> [1, 2, 3, 4, 5].

%% Options: those with a disk of their own that can be filled; whether there are delays,
%% and clocks that are wrong.
-spec round(integer(), pos_integer(), map()) -> plan().
round(Seed, Number, Options) ->
    Rand = rand:seed_s(exsss, erlang:phash2({Seed, Number}, 1 bsl 32)),
    {Style, Rand1} = pick([single, single, nets, freezes, kills, disks, rolling, storm, storm],
                          Rand),
    {Seconds, Rand2} = between(20, 40, Rand1),
    Faults = faults(Style, 500, Seconds * 1000, Options, Rand2, []),
    #{round => Number, style => Style, faults => Faults, ms => Seconds * 1000}.

faults(_, At, End, _, _, Faults) when At >= End ->
    lists:reverse(Faults);
faults(Style, At, End, Options, Rand, Faults) ->
    {Kind, Rand1} = pick(kinds(Style), Rand),
    {Fault, Rand2} = fault(Kind, Options, Rand1),
    {Pause, Rand3} = between(300, 2500, Rand2),
    Next = case Style of
               single -> At + lasts(Fault) + 2 * Pause;
               rolling -> At + 2 * Pause;
               _ -> At + Pause
           end,
    faults(Style, Next, End, Options, Rand3, [{At, Fault} | Faults]).

kinds(nets) -> nets();
kinds(freezes) -> [freeze, freeze, freeze_both, freeze_leader, stutter, transfer, clock];
kinds(kills) -> [kill_worker, kill_member, kill_leader, lose_host, lose_leader, restart_worker];
kinds(disks) -> [full_disk, slow_disk, slow_disk, failing_disk, kill_member, transfer, clock];
kinds(rolling) -> [rolling_members, rolling_workers, restart_member, restart_worker, transfer,
                   transfer];
kinds(_) ->
    kinds(freezes) ++ kinds(kills) ++ kinds(disks) ++ nets()
        ++ [restart_member, restart_worker, rolling_members].

nets() ->
    [cut_host, cut_leader_side, split, pair, one_way, one_way_host, flap, loss, loss_all, delay].

%% How long about, for those that come one at a time.
lasts(Fault) ->
    case Fault of
        {freeze, _, _, Ms} -> Ms;
        {stutter, _, _, Times, OnMs, OffMs} -> Times * (OnMs + OffMs);
        {flap, _, Times, OnMs, OffMs} -> Times * (OnMs + OffMs);
        {rolling, _} -> 12000;
        {kill, _, _, Ms} -> Ms + 1000;
        {cut, _, _, Ms} -> Ms;
        {loss, _, _, Ms} -> Ms;
        {delay, _, _, Ms} -> Ms;
        {slow_disk, _, _, Ms} -> Ms;
        {clock, _, _} -> 0;
        {transfer, _} -> 500;
        {restart, _, _} -> 2000;
        {_, _, Ms} -> Ms + 1000;
        {_, Ms} -> Ms + 1000
    end.

fault(kill_worker, _, R) -> with([host, down], R, fun([H, Ms]) -> {kill, worker, H, Ms} end);
fault(kill_member, _, R) -> with([host, down], R, fun([H, Ms]) -> {kill, member, H, Ms} end);
fault(kill_leader, _, R) -> with([down], R, fun([Ms]) -> {kill_leader, Ms} end);
fault(lose_host, _, R) -> with([host, down], R, fun([H, Ms]) -> {lose_host, H, Ms} end);
fault(lose_leader, _, R) -> with([down], R, fun([Ms]) -> {lose_leader, Ms} end);
fault(freeze, _, R) ->
    with([service, host, long], R, fun([S, H, Ms]) -> {freeze, [S], H, Ms} end);
fault(freeze_both, _, R) ->
    with([host, long], R, fun([H, Ms]) -> {freeze, [member, worker], H, Ms} end);
fault(freeze_leader, _, R) -> with([long], R, fun([Ms]) -> {freeze_leader, Ms} end);
fault(stutter, _, R) ->
    with([service, host, {2, 12}, {100, 900}, {50, 600}], R,
         fun([S, H, Times, On, Off]) -> {stutter, S, H, Times, On, Off} end);
fault(cut_host, _, R) ->
    with([host, bool, long], R, fun([H, All, Ms]) ->
        {cut, host, around(H, [?CLIENT || All] ++ hosts()), Ms}
    end);
fault(cut_leader_side, _, R) ->
    with([two_hosts, long], R, fun([{A, B}, Ms]) ->
        {cut, two, between_all([A, B], hosts() -- [A, B]), Ms}
    end);
fault(split, _, R) ->
    with([sides, long], R, fun([{Left, Right}, Ms]) ->
        {cut, split, between_all(Left, Right), Ms}
    end);
fault(pair, _, R) ->
    with([two_hosts, long], R, fun([{A, B}, Ms]) -> {cut, pair, [{A, B}, {B, A}], Ms} end);
fault(one_way, _, R) ->
    with([two_hosts, long], R, fun([{A, B}, Ms]) -> {cut, one_way, [{A, B}], Ms} end);
fault(one_way_host, _, R) ->
    with([host, bool, long], R, fun
        ([H, true, Ms]) -> {cut, deaf_host, [{B, H} || B <- hosts(), B =/= H], Ms};
        ([H, false, Ms]) -> {cut, dumb_host, [{H, B} || B <- hosts(), B =/= H], Ms}
    end);
fault(flap, _, R) ->
    with([two_hosts, bool, {3, 15}, {100, 1500}, {100, 1000}], R, fun
        ([{A, _}, true, Times, On, Off]) -> {flap, around(A, hosts()), Times, On, Off};
        ([{A, B}, false, Times, On, Off]) -> {flap, [{A, B}, {B, A}], Times, On, Off}
    end);
fault(loss, _, R) ->
    with([host, {5, 60}, long], R, fun([H, Percent, Ms]) -> {loss, H, Percent, Ms} end);
fault(loss_all, _, R) ->
    with([{2, 30}, long], R, fun([Percent, Ms]) -> {loss, all, Percent, Ms} end);
fault(delay, #{delay := true}, R) ->
    with([host, {20, 300}, long], R, fun([H, Delay, Ms]) -> {delay, H, Delay, Ms} end);
fault(delay, Options, R) ->
    fault(loss, Options, R);
fault(full_disk, #{full := [_ | _] = Hosts}, R) ->
    with([{of_list, Hosts}, long], R, fun([H, Ms]) -> {full_disk, H, Ms} end);
fault(full_disk, Options, R) ->
    fault(slow_disk, Options, R);
fault(slow_disk, _, R) ->
    with([host, {20, 800}, long], R, fun([H, Delay, Ms]) -> {slow_disk, H, Delay, Ms} end);
fault(failing_disk, _, R) ->
    with([host, {200, 3000}], R, fun([H, Ms]) -> {failing_disk, H, Ms} end);
fault(clock, #{clocks := false} = Options, R) ->
    fault(transfer, Options, R);
fault(clock, _, R) ->
    with([host, {-5000000, 5000000}], R, fun([H, Ppb]) -> {clock, H, Ppb} end);
fault(restart_member, _, R) -> with([host], R, fun([H]) -> {restart, member, H} end);
fault(restart_worker, _, R) -> with([host], R, fun([H]) -> {restart, worker, H} end);
fault(rolling_members, _, R) -> {{rolling, member}, R};
fault(rolling_workers, _, R) -> {{rolling, worker}, R};
fault(transfer, _, R) -> with([host], R, fun([H]) -> {transfer, H} end).

%% Drawn one after another, and put together.
with(Whats, Rand, Make) ->
    {Drawn, Rand1} = lists:mapfoldl(fun draw/2, Rand, Whats),
    {Make(Drawn), Rand1}.

draw(host, R) -> pick(hosts(), R);
draw(service, R) -> pick([member, worker, worker], R);
draw(bool, R) -> pick([true, false], R);
draw(down, R) -> between(100, 6000, R);
draw(long, R) ->
    %% As many short ones as long ones.
    {Log, R1} = between(0, 1000, R),
    {round(500 * math:pow(24, Log / 1000)), R1};
draw({of_list, List}, R) -> pick(List, R);
draw({Least, Most}, R) -> between(Least, Most, R);
draw(two_hosts, R) ->
    {A, R1} = pick(hosts(), R),
    {B, R2} = pick(hosts() -- [A], R1),
    {{A, B}, R2};
draw(sides, R) ->
    {Mask, R1} = between(1, 30, R),
    {lists:partition(fun(H) -> (Mask bsr (H - 1)) band 1 =:= 1 end, hosts()), R1}.

pick(List, R) ->
    {At, R1} = rand:uniform_s(length(List), R),
    {lists:nth(At, List), R1}.

between(Least, Most, R) ->
    {Above, R1} = rand:uniform_s(Most - Least + 1, R),
    {Least - 1 + Above, R1}.

around(Host, Others) -> between_all([Host], Others -- [Host]).

between_all(Left, Right) ->
    lists:append([[{A, B}, {B, A}] || A <- Left, B <- Right]).
