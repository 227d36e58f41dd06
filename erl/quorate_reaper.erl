%% SPDX-License-Identifier: Apache-2.0
%% @doc Ends sandboxes with all their processes, by brute force.
%%
%% Of a sandbox are: every process under its group leader, and every process
%% whose parent is of it, whatever group leader it took; so a parent has to be
%% known even if it has ended. Links, trapped exits,
%% supervisors and shutdown times play no part. A process that changed its group
%% leader after its parent had ended is not found.
%%
%% Looking at a process may have to wait for it: one that runs native code for
%% long answers no question. So others do the looking, and where one of them
%% gets stuck another one goes on behind it; the stuck one does its duty when
%% it can.
-module(quorate_reaper).

-export([reap/2, reap/3, bury/2]).
-export([bury/3, look/4]).

-export_type([target/0]).

-type target() :: {Roots :: [pid()], Leader :: pid()}.
%% The processes of a sandbox that are known, alive or not, and its group leader.

-define(LOOKERS, 4).
-define(LOOKERS_MAX, 64).
-define(STUCK_MS, 20).
%% New processes can appear while the old ones are being killed.
-define(ROUNDS_MAX, 100).
-define(AGAIN_MS, 500).

%% What the lookers share: how far one is, whether it is to end.
-define(PLACE, 1).
-define(DISMISSED, 2).

%% @equiv reap(Targets, Spare, infinity)
-spec reap([target()], [pid()]) -> ok | left.
reap(Targets, Spare) -> reap(Targets, Spare, infinity).

%% @doc Ends them. `ok': all of them have ended, and were seen to. `left': some
%% could not be looked at, or had not ended, within `Patience' ms; what is left
%% dies as soon as it can be reached. `Spare' is not killed, nor are the group
%% leaders.
-spec reap([target()], [pid()], timeout()) -> ok | left.
reap([], _, _) ->
    ok;
reap(Targets, Spare, Patience) ->
    Leaders = maps:from_keys([Leader || {_, Leader} <- Targets], true),
    Spared = maps:from_keys([self() | Spare] ++ maps:keys(Leaders), true),
    Roots = [Root || {Some, _} <- Targets, Root <- Some, not is_map_key(Root, Spared)],
    Known = kill(Roots, #{}),
    rounds(Leaders, Spared, Known, until(Patience), ?ROUNDS_MAX).

%% @doc Ends it, however long that takes, in a process of its own, linked to the
%% calling one, which is sent `Message' once all have ended.
-spec bury(target(), term()) -> pid().
bury(Target, Message) ->
    proc_lib:spawn_link(?MODULE, bury, [self(), Target, Message]).

%% @private
-spec bury(pid(), target(), term()) -> ok.
bury(Caller, Target, Message) ->
    case reap([Target], []) of
        ok ->
            Caller ! Message,
            ok;
        left ->
            receive after ?AGAIN_MS -> bury(Caller, Target, Message) end
    end.

%% Internals

until(infinity) -> infinity;
until(Ms) -> erlang:monotonic_time(millisecond) + Ms.

left(infinity) -> infinity;
left(Until) -> max(0, Until - erlang:monotonic_time(millisecond)).

%% A monitor for each: its end is seen, and not assumed.
kill(Pids, Known) ->
    lists:foldl(fun(Pid, All) ->
                        true = exit(Pid, kill),
                        All#{Pid => erlang:monitor(process, Pid)}
                end, Known, Pids).

rounds(_, _, Known, _, 0) ->
    forget(Known),
    left;
rounds(Leaders, Spared, Known, Until, Rounds) ->
    Pids = [Pid || Pid <- processes(), not is_map_key(Pid, Known), not is_map_key(Pid, Spared)],
    Lookers = [start(Part, Leaders, Known) || Part <- parts(Pids)],
    case {gather(maps:from_list(Lookers), [], {Leaders, Known}, Until), Until} of
        {{Seen, []}, _} -> ended(Leaders, Spared, kill([], Known), Until, Rounds, Seen);
        {{Seen, Found}, _} -> rounds(Leaders, Spared, kill(Found, Known), Until,
                                     rounds_left(Seen, Rounds))
    end.

rounds_left(all, Rounds) -> Rounds - 1;
rounds_left(some, _) -> 0.

%% Nothing new: wait for those that are known, then look once more if any of
%% them had been there to start others.
ended(Leaders, Spared, Known, Until, Rounds, Seen) ->
    Alive = maps:filter(fun(_, Ref) -> is_reference(Ref) end, Known),
    case {map_size(Alive), Seen} of
        {0, all} ->
            ok;
        {0, some} ->
            left;
        _ ->
            case await(maps:to_list(Alive), Until) of
                ok -> rounds(Leaders, Spared, maps:map(fun(_, _) -> ended end, Known), Until,
                             rounds_left(Seen, Rounds));
                left -> forget(Known), left
            end
    end.

await([], _) ->
    ok;
await([{Pid, Ref} | More], Until) ->
    receive
        {'DOWN', Ref, process, Pid, _} -> await(More, Until)
    after left(Until) ->
        left
    end.

forget(Known) ->
    maps:foreach(fun(_, Ref) ->
                         _ = is_reference(Ref) andalso erlang:demonitor(Ref, [flush])
                 end, Known).

parts(Pids) ->
    Size = max(1, (length(Pids) + ?LOOKERS - 1) div ?LOOKERS),
    split(Pids, Size).

split([], _) -> [];
split(Pids, Size) when length(Pids) =< Size -> [Pids];
split(Pids, Size) ->
    {Part, Rest} = lists:split(Size, Pids),
    [Part | split(Rest, Size)].

%% Internals: looking

start(Pids, Leaders, Known) ->
    Shared = atomics:new(2, []),
    {_, Ref} = spawn_opt(?MODULE, look, [Pids, Leaders, Known, Shared],
                         [monitor, {priority, max}]),
    {Ref, {Pids, Shared, -1}}.

%% @private
-spec look([pid()], #{pid() => true}, #{pid() => term()}, atomics:atomics_ref()) -> no_return().
look(Pids, Leaders, Known, Shared) ->
    look(Pids, Leaders, Known, Shared, []).

look([], _, _, _, Found) ->
    exit({found, Found});
look([Pid | More], Leaders, Known, Shared, Found) ->
    Is = is_of(Pid, Leaders, Known),
    _ = Is andalso exit(Pid, kill),
    ok = atomics:add(Shared, ?PLACE, 1),
    Found1 = [Pid || Is] ++ Found,
    case atomics:get(Shared, ?DISMISSED) of
        0 -> look(More, Leaders, Known, Shared, Found1);
        _ -> exit({found, Found1})
    end.

is_of(Pid, Leaders, Known) ->
    case process_info(Pid, [group_leader, parent]) of
        [{group_leader, Leader}, {parent, Parent}] ->
            is_map_key(Leader, Leaders) orelse is_map_key(Parent, Known);
        undefined ->
            false
    end.

%% Until all have been looked at; or, in the end, all but those that cannot be.
gather(Lookers, Found, _, _) when map_size(Lookers) =:= 0 ->
    {all, Found};
gather(Lookers, Found, Where, Until) ->
    receive
        {'DOWN', Ref, process, _, {found, More}} when is_map_key(Ref, Lookers) ->
            gather(maps:remove(Ref, Lookers), More ++ Found, Where, Until)
    after min(?STUCK_MS, left(Until)) ->
        case left(Until) of
            0 ->
                maps:foreach(fun(Ref, _) -> true = erlang:demonitor(Ref, [flush]) end, Lookers),
                {some, Found};
            _ ->
                gather(maps:fold(fun(Ref, Looker, All) ->
                                         go_on(Ref, Looker, Where, All)
                                 end, Lookers, Lookers), Found, Where, Until)
        end
    end.

%% One that has got nowhere is stuck at its place: another one takes the rest.
go_on(Ref, {Pids, Shared, Before}, {Leaders, Known}, Lookers) ->
    case {atomics:get(Shared, ?PLACE), Pids} of
        {Before, [_, _ | _]} when map_size(Lookers) < ?LOOKERS_MAX ->
            ok = atomics:put(Shared, ?DISMISSED, 1),
            {Other, Looker} = start(lists:nthtail(min(Before + 1, length(Pids)), Pids),
                                    Leaders, Known),
            Lookers#{Ref := {[], Shared, Before}, Other => Looker};
        {Place, _} ->
            Lookers#{Ref := {Pids, Shared, Place}}
    end.
