%% SPDX-License-Identifier: Apache-2.0
%% Writers that remember what was acknowledged to them, and the question in the
%% end whether all of it is still there.
%%
%%   {states, Members, Id, Epoch}   states of one sandbox, numbered
%%   {names, Tag}                   names for a process of a worker
%%   {creations, Members}           sandboxes
%%   {counts, Members, Id}          counts of a sandbox, which must only grow
-module(ct_load).

-export([start/2, stop/1, progress/1, longest_gap/1, count/1, lost/3, run/1, stop_here/1,
         progress_here/1, gap_here/1]).

-define(CALL_MS, 3000).

start(Node, What) ->
    {Node, quorate_ct:call(Node, ?MODULE, run, [What])}.

stop({Node, Pid}) ->
    quorate_ct:call(Node, ?MODULE, stop_here, [Pid]).

%% How many writes were acknowledged so far, all together.
progress(Load) ->
    lists:sum([quorate_ct:call(Node, ?MODULE, progress_here, [Pid]) || {Node, Pid} <- Load]).

%% The longest time in milliseconds between two acknowledged writes of one writer.
longest_gap(Load) ->
    lists:max([quorate_ct:call(Node, ?MODULE, gap_here, [Pid]) || {Node, Pid} <- Load]).

count({states, _, _, Acknowledged, _}) -> Acknowledged;
count({counts, _, Acknowledged}) -> Acknowledged;
count({_, List}) -> length(List).

%% What was acknowledged and is not there, or is not what it was.
lost(Client, Members, Acknowledged) ->
    quorate_ct:on(Client, fun() -> lost_here(hd(Members), Acknowledged) end).

lost_here(M, {states, Id, Epoch, Acknowledged, Tried}) ->
    case rpc:call(M, state_replicator, recover_state, [Id]) of
        {ok, {Id, Seq, _}, {Epoch, Seq}} when Seq >= Acknowledged, Seq =< Tried -> [];
        Other -> [{state, Id, Epoch, Acknowledged, Tried, Other}]
    end;
lost_here(M, {counts, Id, Acknowledged}) ->
    case rpc:call(M, state_replicator, recover_state, [Id]) of
        {ok, Count, _} when Count >= Acknowledged -> [];
        Other -> [{count, Id, Acknowledged, Other}]
    end;
lost_here(M, {names, Names}) ->
    [{name, Name, Pid, Epoch, Now}
     || {Name, Pid, Epoch} <- Names,
        Now <- [rpc:call(M, consistency_manager, whereis, [Name])],
        Now =/= {ok, Pid, Epoch}];
lost_here(M, {creations, Sandboxes}) ->
    [{sandbox, Id, Epoch, Now}
     || {Id, Epoch} <- Sandboxes, Now <- [rpc:call(M, quorate, sandbox, [Id])],
        not is_same(Now, Epoch)].

is_same({ok, #{epoch := Epoch}}, Epoch) -> true;
is_same(_, _) -> false.

%% On the node of the load

run(What) ->
    Counter = counters:new(3, []),
    ok = counters:put(Counter, 2, now_ms()),
    Pid = spawn(fun() -> write(What, Counter) end),
    ok = persistent_term:put({?MODULE, Pid}, Counter),
    Pid.

progress_here(Pid) ->
    counters:get(persistent_term:get({?MODULE, Pid}), 1).

gap_here(Pid) ->
    counters:get(persistent_term:get({?MODULE, Pid}), 3).

acknowledged(Counter) ->
    Now = now_ms(),
    Gap = max(Now - counters:get(Counter, 2), counters:get(Counter, 3)),
    ok = counters:put(Counter, 2, Now),
    ok = counters:put(Counter, 3, Gap),
    counters:add(Counter, 1, 1).

now_ms() ->
    erlang:monotonic_time(millisecond).

%% The process lives on: names that it has would be freed if it ended.
stop_here(Pid) ->
    Ref = erlang:monitor(process, Pid),
    Pid ! {stop, self(), Ref},
    receive
        {Ref, Acknowledged} -> Acknowledged;
        {'DOWN', Ref, process, Pid, Why} -> error({load_ended, Why})
    after 60000 -> error(no_end)
    end.

write({states, Members, Id, Epoch}, Counter) ->
    {Acknowledged, Tried} = states(Members, Id, Epoch, Counter, 1),
    answer({states, Id, Epoch, Acknowledged, Tried});
write({names, Tag}, Counter) ->
    answer({names, names(Tag, Counter, 1, [])});
write({counts, Members, Id}, Counter) ->
    answer({counts, Id, counts(Members, Id, Counter, 0)});
write({creations, Members}, Counter) ->
    answer({creations, creations(Members, Counter, 1, [])}).

answer(Acknowledged) ->
    receive
        {stop, From, Ref} -> From ! {Ref, Acknowledged}
    end,
    receive
        never -> ok
    end.

is_over() ->
    {messages, Messages} = process_info(self(), messages),
    lists:keymember(stop, 1, Messages).

pause(Ms) ->
    receive
        never -> ok
    after Ms -> ok
    end.

%% A number whose fate is not known is written again, as it was.
states(Members, Id, Epoch, Counter, Seq) ->
    case is_over() of
        true ->
            {Seq - 1, Seq};
        false ->
            State = {Id, Seq, binary:copy(<<Seq:32>>, 1024)},
            Args = [Id, Epoch, State, #{seq => Seq, timeout => 2000}],
            case rpc:call(any(Members), state_replicator, replicate_state, Args, ?CALL_MS) of
                {ok, #{version := {Epoch, Seq}}} ->
                    ok = acknowledged(Counter),
                    states(Members, Id, Epoch, Counter, Seq + 1);
                Failed ->
                    ok = unknown(Failed),
                    states(Members, Id, Epoch, Counter, Seq)
            end
    end.

%% Whoever is the owner, what it acknowledges is more than what any owner did
%% before.
counts(Members, Id, Counter, Last) ->
    case is_over() orelse add(rpc:call(any(Members), quorate, sandbox, [Id], ?CALL_MS)) of
        true ->
            Last;
        {ok, Count} when Count > Last ->
            ok = acknowledged(Counter),
            counts(Members, Id, Counter, Count);
        {ok, Count} ->
            error({count_went_back, Id, Last, Count});
        unknown ->
            ok = pause(20),
            counts(Members, Id, Counter, Last)
    end.

add({ok, #{status := running, pid := Pid}}) ->
    try gen_server:call(Pid, add, 1000) of
        {ok, Count} -> {ok, Count};
        {error, _} -> unknown
    catch
        exit:_ -> unknown
    end;
add(_) ->
    unknown.

names(Tag, Counter, N, Names) ->
    Name = {name, Tag, N},
    Self = self(),
    case is_over() orelse quorate:register(Name, Self, #{}) of
        true ->
            Names;
        {ok, Epoch} ->
            named(Tag, Counter, N, [{Name, Self, Epoch} | Names]);
        {error, {already_exists, Self}} ->
            case quorate:whereis(Name) of
                {ok, Self, Epoch} ->
                    named(Tag, Counter, N, [{Name, Self, Epoch} | Names]);
                Failed ->
                    ok = unknown(Failed),
                    names(Tag, Counter, N, Names)
            end;
        Failed ->
            ok = unknown(Failed),
            names(Tag, Counter, N, Names)
    end.

named(Tag, Counter, N, Names) ->
    ok = acknowledged(Counter),
    ok = pause(10),
    names(Tag, Counter, N + 1, Names).

creations(Members, Counter, N, Done) ->
    Id = <<"created-", (integer_to_binary(N))/binary>>,
    Args = [Id, ct_counter:spec(), #{timeout => 2000}],
    case is_over() orelse rpc:call(any(Members), quorate, create_sandbox, Args, ?CALL_MS) of
        true ->
            Done;
        {ok, #{epoch := Epoch}} ->
            created(Members, Counter, N, [{Id, Epoch} | Done]);
        {error, {already_exists, #{epoch := Epoch, status := running}}} ->
            created(Members, Counter, N, [{Id, Epoch} | Done]);
        {error, {already_exists, #{}}} ->
            ok = pause(20),
            creations(Members, Counter, N, Done);
        Failed ->
            ok = unknown(Failed),
            creations(Members, Counter, N, Done)
    end.

created(Members, Counter, N, Done) ->
    ok = acknowledged(Counter),
    ok = pause(50),
    creations(Members, Counter, N + 1, Done).

%% What a caller may be told while members die; anything else is a mistake.
unknown({error, Reason}) when Reason =:= timeout; Reason =:= no_quorum; Reason =:= busy;
                              Reason =:= no_member ->
    pause(20);
unknown({badrpc, Reason}) when Reason =:= nodedown; Reason =:= timeout ->
    pause(20).

any(Members) ->
    lists:nth(rand:uniform(length(Members)), Members).
