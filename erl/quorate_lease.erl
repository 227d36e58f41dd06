%% SPDX-License-Identifier: Apache-2.0
%% @doc The right of this node to run sandboxes, as a pure machine: which
%% member the agent is attached to, and until when it may act.
%%
%% ```
%%            attach            attached              3/5 of the ttl unheard
%%   seeking --------> attaching -------> attached ---------------+
%%      ^  ^               ^                  |                   |
%%      |  +--- down ------+------------------+                   |
%%      |                  +--------------------------------------+
%%      +--- lease over (ttl without renewal, or lease_lost): kill all,
%%           then a new incarnation
%% '''
%%
%% Time is the reading of one clock that also counts while the machine sleeps
%% (`quorate_os:clock/0'); it comes with each event. What is to be done comes
%% back as effects, to be carried out in order. Losing a member loses no
%% sandbox: another one is tried with the same incarnation, and the lease, as
%% long as it lasts, goes on. The one before is told (`left'), so that it does
%% not take a worker that says nothing to it for one that hangs; if it asks
%% (`probe'), it is told again.
-module(quorate_lease).

-export([new/3, step/3, deadline/1, until/1, id/1, may_act/3, member/1, home/1,
         members/1, incarnation/1]).

-export_type([lease/0, event/0, effect/0, clock/0, incarnation/0]).

%% An attach without an answer is repeated, or sent elsewhere.
-define(ATTACH_RETRY_MS, 1000).
%% After all members were tried in vain, and after a refusal.
-define(RETRY_MS, 200).

-type clock() :: integer().
-type incarnation() :: <<_:128>>.

-record(lease,
        {phase = seeking :: seeking | attaching | attached,
         incarnation :: incarnation(),
         random :: rand:state(),
         own :: node() | undefined,        % the member on this host
         members :: [node()],              % in the order of trying
         member :: node() | undefined,     % the one that we talk to
         home :: node() | undefined,       % the one that granted last
         pending = [] :: [{clock(), node()}], % unanswered attaches, newest first
         failures = 0 :: non_neg_integer(), % members lost in a row
         id :: non_neg_integer() | undefined,
         floor = 0 :: non_neg_integer(),   % claims of this run are above it
         ttl = 0 :: non_neg_integer(),
         interval = ?ATTACH_RETRY_MS :: pos_integer(),
         until = infinity :: clock() | infinity, % infinity: holds no lease
         heard = 0 :: clock(),             % the member's last sign of life
         next :: clock()}).                % when to speak next

-opaque lease() :: #lease{}.

-type event() ::
    tick
  | {down, node()}
  | {member_ready, node()}
  | {attached, map()}
  | {renewed, map()}
  | {members, map()}
  | {lease_lost, map()}
  | {probe, map()}
  | {refused, term()}.

-type effect() ::
    {monitor, node()}
  | {attach, node(), incarnation(), clock()}
  | {keepalive, node(), incarnation(), clock()}
  | {detach, node(), incarnation()}
  | {left, node(), incarnation()}
  | {kill_all, expired | lease_lost}
  | {attached, node(), Members :: [node()]}
  | {members, node(), Members :: [node()]}
  | {moving, From :: node(), Why :: down | silent}
  | {refused, term()}.

%% @doc `Own' is the member on this host, or undefined; `Others' come after it.
-spec new(node() | undefined, [node()], clock()) -> lease().
new(Own, Others, Now) ->
    Members = [Own || Own =/= undefined] ++ lists:delete(Own, Others),
    {Incarnation, Random} = rand:bytes_s(16, rand:seed_s(exsss)),
    #lease{own = Own, members = Members, incarnation = Incarnation,
           random = Random, next = Now}.

%% @doc Takes what happened at `Now'. The end of the lease goes before all else:
%% a renewal that comes too late, because this node was frozen, is none.
-spec step(event(), clock(), lease()) -> {[effect()], lease()}.
step(Event, Now, #lease{until = Until} = Lease) when is_integer(Until), Now >= Until ->
    {Ended, Lease1} = over(expired, Now, Lease),
    {Effects, Lease2} = on(Event, Now, Lease1),
    {Ended ++ Effects, Lease2};
step(Event, Now, Lease) ->
    on(Event, Now, Lease).

%% @doc When the machine wants its next tick.
-spec deadline(lease()) -> clock().
deadline(#lease{until = Until, next = Next}) ->
    min(Until, Next).

%% @doc The end of the lease; infinity if there is none.
-spec until(lease()) -> clock() | infinity.
until(#lease{until = Until}) -> Until.

%% @doc The number of the lease that is held, or undefined.
-spec id(lease()) -> non_neg_integer() | undefined.
id(#lease{id = Id}) -> Id.

%% @doc Whether something with this epoch may be started now.
-spec may_act(non_neg_integer(), clock(), lease()) -> boolean().
may_act(Epoch, Now, #lease{until = Until, floor = Floor}) ->
    is_integer(Until) andalso Now < Until andalso Epoch > Floor.

%% @doc The member that this node is attached to.
-spec member(lease()) -> node() | undefined.
member(#lease{phase = attached, member = Member}) -> Member;
member(#lease{}) -> undefined.

%% @doc The member that granted the lease that is held, or undefined.
-spec home(lease()) -> node() | undefined.
home(#lease{home = Home}) -> Home.

%% @doc All known members, in the order of trying.
-spec members(lease()) -> [node()].
members(#lease{members = Members}) -> Members.

-spec incarnation(lease()) -> incarnation().
incarnation(#lease{incarnation = Incarnation}) -> Incarnation.

%% Internals

on(tick, Now, #lease{next = Next} = Lease) when Now < Next ->
    {[], Lease};
on(tick, Now, #lease{phase = attached} = Lease) ->
    keep_alive(Now, Lease);
on(tick, Now, Lease) ->
    attach(Now, Lease);
on({down, Member}, Now, #lease{member = Member} = Lease) ->
    lost_member(Now, Lease);
on({down, _}, _, Lease) ->
    {[], Lease};
on({member_ready, Member}, _, #lease{phase = attached, member = Member} = Lease) ->
    {[], Lease};
on({member_ready, Member}, Now, #lease{members = Members} = Lease) ->
    attach(Now, Lease#lease{members = [Member | lists:delete(Member, Members)]});
on({attached, #{incarnation := I, lease := _, clock := _, ttl_owner := _,
                keepalive_interval := _, members := _} = Body},
   Now, #lease{incarnation = I} = Lease) ->
    attached(Body, Now, Lease);
on({renewed, #{lease := Id, clock := Clock}}, Now, #lease{id = Id} = Lease) ->
    {[], Lease#lease{until = later(Clock + Lease#lease.ttl, Lease#lease.until),
                     heard = Now}};
on({members, #{incarnation := I, members := Members}}, _,
   #lease{incarnation = I, phase = attached, own = Own, member = Member} = Lease) ->
    Known = order(Own, Member, Members, []),
    {[{members, Member, Known}], Lease#lease{members = Known}};
on({lease_lost, #{incarnation := I}}, Now, #lease{incarnation = I} = Lease) ->
    over(lease_lost, Now, Lease);
on({probe, #{incarnation := I, member := Member}}, _, #lease{incarnation = I} = Lease) ->
    #lease{home = Home, until = Until} = Lease,
    {[{left, Member, I} || is_integer(Until), Home =/= Member], Lease};
on({probe, #{incarnation := Old, member := Member}}, _, Lease) ->
    {[{detach, Member, Old}], Lease};
on({refused, Reason}, Now, #lease{phase = attaching} = Lease) ->
    {[{refused, Reason}], Lease#lease{next = Now + ?RETRY_MS}};
on(_, _, Lease) ->
    {[], Lease}.

%% Sends an attach to the first member and puts it last, so that the next
%% attempt goes elsewhere.
attach(Now, #lease{members = []} = Lease) ->
    {[], Lease#lease{next = Now + ?ATTACH_RETRY_MS}};
attach(Now, #lease{members = [Member | Rest], incarnation = I} = Lease) ->
    Pending = lists:sublist([{Now, Member} | Lease#lease.pending], 8),
    {[{monitor, Member} || Member =/= Lease#lease.member]
     ++ [{attach, Member, I, Now}],
     Lease#lease{phase = attaching, member = Member, pending = Pending,
                 members = Rest ++ [Member], next = Now + ?ATTACH_RETRY_MS}}.

%% The clock in the answer is the one of our attach: it tells which member
%% answers, and it is where the lease begins.
attached(Body, Now, Lease) ->
    #{lease := Id, clock := Clock, ttl_owner := Ttl,
      keepalive_interval := Interval, members := Members} = Body,
    #lease{home = Home, incarnation = I} = Lease,
    case lists:keyfind(Clock, 1, Lease#lease.pending) of
        {Clock, Member} when Now < Clock + Ttl ->
            Known = order(Lease#lease.own, Member, Members, Lease#lease.members),
            {[{monitor, Member} || Member =/= Lease#lease.member]
             ++ [{left, Home, I} || Home =/= undefined, Home =/= Member]
             ++ [{attached, Member, Known}],
             Lease#lease{phase = attached, member = Member, home = Member, members = Known,
                         pending = [], failures = 0, id = Id, ttl = Ttl,
                         floor = floor(Id, Lease), interval = Interval,
                         until = later(Clock + Ttl, Lease#lease.until),
                         heard = Now, next = Now + Interval}};
        _ ->
            {[], Lease}
    end.

%% The first lease of an incarnation is older than every claim under it.
floor(Id, #lease{id = undefined}) -> Id;
floor(_, #lease{floor = Floor}) -> Floor.

later(Until, infinity) -> Until;
later(Until, Before) -> max(Until, Before).

%% The own member first, the present one last: it is the one that would have
%% been lost if another is needed.
order(Own, Member, Told, Known) ->
    Others = lists:usort(Told ++ Known) -- [Own, Member],
    [Own || Own =/= undefined, Own =/= Member] ++ Others ++ [Member].

%% A member that has answered nothing for 3/5 of the lease may be cut off from
%% the others: there is still time to ask another one.
keep_alive(Now, #lease{heard = Heard, ttl = Ttl} = Lease)
  when (Now - Heard) * 5 >= Ttl * 3 ->
    {Effects, Lease1} = attach(Now, Lease),
    {[{moving, Lease#lease.member, silent} | Effects], Lease1};
keep_alive(Now, #lease{member = Member, incarnation = I} = Lease) ->
    {[{keepalive, Member, I, Now}], Lease#lease{next = Now + Lease#lease.interval}}.

lost_member(Now, #lease{phase = Phase, failures = Failures} = Lease) ->
    Next = case Failures + 1 < length(Lease#lease.members) of
               true -> Now;
               false -> Now + ?RETRY_MS
           end,
    {[{moving, Lease#lease.member, down} || Phase =:= attached],
     Lease#lease{phase = seeking, member = undefined, failures = Failures + 1,
                 next = Next}}.

over(Why, Now, #lease{incarnation = Old, member = Member, home = Home} = Lease) ->
    {Incarnation, Random} = rand:bytes_s(16, Lease#lease.random),
    Members = [Member || Member =/= undefined]
        ++ lists:delete(Member, Lease#lease.members),
    {[{kill_all, Why}]
     ++ [{detach, Told, Old} || Told <- lists:usort([Member, Home]), Told =/= undefined],
     Lease#lease{phase = seeking, incarnation = Incarnation, random = Random,
                 members = Members, pending = [], id = undefined, floor = 0,
                 home = undefined, until = infinity, next = Now + pause(Why)}}.

%% A member that takes every lease back must not be asked in a tight loop.
pause(expired) -> 0;
pause(lease_lost) -> ?RETRY_MS.
