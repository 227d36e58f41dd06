%% SPDX-License-Identifier: Apache-2.0
%% @doc What becomes of a sandbox that runs twice (docs/conflicts.md).
%%
%% The one that the log does not know as the owner gives its last state, ends,
%% and the state is kept as a conflict copy. A policy says which of the two the
%% sandbox goes on with:
%%
%% ```
%%   duplicate --- last state ---> copy --- policy: registered ---> kept
%%                                   |
%%                                   +----- duplicate, callback --> restore:
%%            the owner ends, a new one asks the callback, if there is one,
%%            writes the state that it begins with, and starts
%% '''
%%
%% A module with this behaviour is a policy of its own. It is called on the node
%% where the sandbox is about to start, once both sides have ended, in a process
%% with a time limit and a limit on its memory. If it crashes, hangs or answers
%% anything else, the default policy decides, and the conflict's record says so.
-module(quorate_conflict).

-export([policy/1, decide/3, surrender/2, begin_with/2]).
-export([call/4]).

-export_type([side/0, policy/0, decision/0, duplicate/0, beginning/0]).

-type side() :: #{epoch := quorate:epoch(), state := undefined | {ok, term()}}.
-type policy() :: registered | earliest | latest | module().
-type decision() :: registered | duplicate | callback.
-type duplicate() :: #{id := quorate:id(), epoch := quorate:epoch(),
                       owner_epoch := quorate:epoch(), policy := policy(),
                       state := undefined | {ok, term()}, why => term()}.
%% What a sandbox would begin with, and the copy that it is to begin with.
-type beginning() :: #{id := quorate:id(), epoch := quorate:epoch(), options := map(),
                       copy := pos_integer(), how := take | resolve,
                       recovered := {undefined | {ok, term()},
                                     undefined | quorate:version()}}.

%% Which one goes on, or with which state both do. `Registered' is the side that
%% the log knew as the owner, with its last acknowledged state.
-callback resolve(quorate:id(), Registered :: side(), Duplicate :: side()) ->
    registered | duplicate | {merge, State :: term()}.

-define(CALLBACK_MS, 5000).
-define(CALLBACK_HEAP_WORDS, 33554432).
-define(CALL_MS, 5000).
-define(KEEP_MS, 120000).
-define(PAUSE_MS, 500).
-define(RESTORE_MS, 30000).
-define(REASON_CHARS, 300).

%% @doc The policy that these options of a sandbox mean.
-spec policy(map()) -> policy().
policy(#{conflict := Policy}) -> Policy;
policy(Options) -> default(Options).

%% @doc By the epochs: they tell the order in which the two began without a
%% clock. Of two of one epoch the owner is the earlier one. A provisional one,
%% which has none, counts as the later one: nobody was promised anything of it.
-spec decide(policy(), Duplicate :: quorate:epoch(), Owner :: quorate:epoch()) -> decision().
decide(registered, _, _) -> registered;
decide(earliest, 0, _) -> registered;
decide(latest, 0, _) -> duplicate;
decide(earliest, Epoch, Owner) when Epoch < Owner -> duplicate;
decide(earliest, _, _) -> registered;
decide(latest, Epoch, Owner) when Epoch >= Owner -> duplicate;
decide(latest, _, _) -> registered;
decide(_, _, _) -> callback.

%% @doc Sees to the last state of a duplicate, in a process of its own, which is
%% none of the sandbox's and outlives it.
-spec surrender(duplicate(), GroupLeader :: pid()) -> ok.
surrender(Duplicate, GroupLeader) ->
    Ref = make_ref(),
    Self = self(),
    {_, Monitor} = spawn_monitor(
                     fun() ->
                             true = group_leader(GroupLeader, self()),
                             Self ! Ref,
                             keep(Duplicate, until(?KEEP_MS))
                     end),
    receive
        Ref -> true = erlang:demonitor(Monitor, [flush]), ok;
        {'DOWN', Monitor, process, _, _} -> ok
    end.

%% @doc What the sandbox begins with. It is its acknowledged state then, and
%% what it would have begun with is a copy.
-spec begin_with(beginning(), undefined | {ok, term()}) ->
          {ok, {undefined | {ok, term()}, undefined | quorate:version()}} | {error, term()}.
begin_with(#{id := Id, copy := Copy, recovered := {_, Version}} = Beginning, Registered) ->
    try
        {ok, Stored, _} = again(copy, [Id, Copy], until(?RESTORE_MS)),
        Record = record(Id, Copy),
        Owner = #{epoch => owner_epoch(Record, Version), state => Registered},
        Other = #{epoch => maps:get(epoch, Record), state => given(Stored)},
        {Kept, Outcome} = choose(Beginning, Owner, Other),
        ok = keep_registered(Kept, Copy, Id, Owner),
        Begun = write(Kept, Beginning),
        ok = again(restored, [Id, maps:get(epoch, Beginning), Copy, Outcome],
                   until(?RESTORE_MS)),
        {ok, Begun}
    catch
        throw:Reason -> {error, Reason}
    end.

%% Internals: keeping

default(#{mode := available}) -> earliest;
default(_) -> registered.

keep(#{id := Id, epoch := Epoch, owner_epoch := Owner, policy := Policy} = Duplicate, Until) ->
    Decision = decide(Policy, Epoch, Owner),
    About = maps:merge(#{worker => node(), policy => Policy, owner_epoch => Owner,
                         decision => Decision},
                       maps:with([why], Duplicate)),
    try again(keep_copy, [Id, Epoch, stored(Duplicate), About], Until) of
        {ok, Copy} ->
            logger:warning("quorate: sandbox ~ts ran here under epoch ~b, and is owned under ~b; "
                           "its last state is conflict copy ~b (~0tp: ~0tp)",
                           [Id, Epoch, Owner, Copy, Policy, Decision]),
            act(Decision, Id, Copy, Until)
    catch
        throw:Reason ->
            logger:error("quorate: the last state of sandbox ~ts, epoch ~b, could not be kept: "
                         "~0tp", [Id, Epoch, Reason])
    end.

act(registered, _, _, _) -> ok;
act(duplicate, Id, Copy, Until) -> restore(Id, Copy, take, Until);
act(callback, Id, Copy, Until) -> restore(Id, Copy, resolve, Until).

restore(Id, Copy, How, Until) ->
    try again(restore_copy, [Id, Copy, #{how => How}], Until) of
        {ok, _} -> ok
    catch
        throw:Reason ->
            logger:warning("quorate: sandbox ~ts goes on without conflict copy ~b: ~0tp",
                           [Id, Copy, Reason])
    end.

stored(#{state := {ok, State}}) -> State;
stored(#{state := undefined}) -> undefined.

given(undefined) -> undefined;
given(State) -> {ok, State}.

%% Internals: beginning anew

record(Id, Copy) ->
    Rows = again(copies, [Id], until(?RESTORE_MS)),
    case [Row || #{copy := Number} = Row <- Rows, Number =:= Copy] of
        [Record] -> Record;
        [] -> throw(not_found)
    end.

owner_epoch(#{about := #{owner_epoch := Owner}}, _) when is_integer(Owner) -> Owner;
owner_epoch(_, {Epoch, _}) -> Epoch;
owner_epoch(_, undefined) -> 0.

choose(#{how := take}, _, #{state := State}) ->
    {chosen(duplicate, State), #{kept => side(duplicate, State)}};
choose(#{how := resolve, id := Id, options := Options}, Owner, Other) ->
    Module = policy(Options),
    case bounded(Module, Id, Owner, Other) of
        {merge, State} ->
            {{value, {ok, State}}, #{kept => merged, by => Module}};
        {kept, Wanted} ->
            State = state_of(Wanted, Owner, Other),
            {chosen(Wanted, State), #{kept => side(Wanted, State), by => Module}};
        {error, Why} ->
            Wanted = fallback(Options, Owner, Other),
            State = state_of(Wanted, Owner, Other),
            Side = side(Wanted, State),
            logger:warning("quorate: sandbox ~ts: ~ts:resolve/3 failed (~ts); ~0tp is kept",
                           [Id, Module, Why, Side]),
            {chosen(Wanted, State),
             #{kept => Side, by => default(Options), failed => Module, why => Why}}
    end.

fallback(Options, #{epoch := Owner}, #{epoch := Epoch}) ->
    decide(default(Options), Epoch, Owner).

state_of(registered, #{state := State}, _) -> State;
state_of(duplicate, _, #{state := State}) -> State.

%% A duplicate that had nothing to give leaves what is acknowledged as it is.
side(duplicate, undefined) -> registered;
side(Side, _) -> Side.

chosen(Wanted, State) ->
    case side(Wanted, State) of
        registered -> registered;
        duplicate -> {value, State}
    end.

%% The callback is the user's: whatever it does, this node goes on.
bounded(Module, Id, Owner, Other) ->
    {Pid, Ref} = spawn_opt(?MODULE, call, [Module, Id, Owner, Other],
                           [monitor, {max_heap_size, #{size => ?CALLBACK_HEAP_WORDS, kill => true,
                                                       error_logger => false}}]),
    receive
        {'DOWN', Ref, process, Pid, {answer, {merge, State}}} -> {merge, State};
        {'DOWN', Ref, process, Pid, {answer, registered}} -> {kept, registered};
        {'DOWN', Ref, process, Pid, {answer, duplicate}} -> {kept, duplicate};
        {'DOWN', Ref, process, Pid, {answer, Other1}} -> {error, text({bad_return, Other1})};
        {'DOWN', Ref, process, Pid, Reason} -> {error, text(Reason)}
    after ?CALLBACK_MS ->
        true = erlang:demonitor(Ref, [flush]),
        true = exit(Pid, kill),
        {error, text(timeout)}
    end.

%% @private
-spec call(module(), quorate:id(), side(), side()) -> no_return().
call(Module, Id, Owner, Other) ->
    try Module:resolve(Id, Owner, Other) of
        Answer -> exit({answer, Answer})
    catch
        error:Reason -> exit({crashed, Reason});
        throw:Reason -> exit({thrown, Reason})
    end.

%% Short, whatever it is: it goes into the record.
text(Term) ->
    Chars = lists:sublist(lists:flatten(io_lib:format("~0tP", [Term, 12])), ?REASON_CHARS),
    unicode:characters_to_binary(Chars).

%% What gives way is kept too; what it had to give is what is acknowledged.
keep_registered(registered, _, _, _) ->
    ok;
keep_registered(_, _, _, #{state := undefined}) ->
    ok;
keep_registered({value, _}, Copy, Id, #{epoch := Epoch, state := {ok, State}}) ->
    About = #{worker => node(), decision => replaced, replaced_by => Copy},
    {ok, _} = again(keep_copy, [Id, Epoch, State, About], until(?RESTORE_MS)),
    ok.

write(registered, #{recovered := Recovered}) ->
    Recovered;
write({value, {ok, State}}, #{id := Id, epoch := Epoch}) ->
    %% By the numbering of the writes that are to come from here.
    {ok, #{version := Version}} =
        again(fun() -> quorate:replicate_state(Id, Epoch, State, #{timeout => ?CALL_MS}) end,
              until(?RESTORE_MS)),
    {{ok, State}, Version}.

%% Internals: calls

until(Ms) -> erlang:monotonic_time(millisecond) + Ms.

again(Function, Args, Until) ->
    again(fun() -> quorate_call:once(conflict_resolver, Function, Args, ?CALL_MS) end, Until).

%% What may go well another time, is tried again; all else is thrown.
again(Call, Until) ->
    case Call() of
        {error, Reason} when Reason =:= no_quorum; Reason =:= no_member; Reason =:= timeout;
                             Reason =:= busy; Reason =:= no_space ->
            case erlang:monotonic_time(millisecond) + ?PAUSE_MS < Until of
                true ->
                    ok = timer:sleep(?PAUSE_MS),
                    again(Call, Until);
                false ->
                    throw(Reason)
            end;
        {error, Reason} ->
            throw(Reason);
        Answer ->
            Answer
    end.
