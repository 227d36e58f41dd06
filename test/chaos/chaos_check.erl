%% SPDX-License-Identifier: Apache-2.0
%% What must hold, from the records of the sink and of the workers.
-module(chaos_check).

-export([sink/1, calls/1, state/3, existence/2, picture/1]).

-export_type([sink/0]).

%% By id: the epochs that were accepted (greatest first, with the time of the first
%% write), the last accepted write, and the counts whose saving was acknowledged.
-type sink() :: #{ids := #{binary() => #{epochs := [{pos_integer(), integer()}],
                                         last := integer(),
                                         saved := [{pos_integer(), non_neg_integer()}]}},
                  accepted := non_neg_integer(), stale := [stale()], lines := non_neg_integer()}.
-type stale() :: {At :: integer(), Id :: binary(), Epoch :: pos_integer(), SinceUs :: integer()}.

%% quorate_call gives a member this much more than the deadline of 5 s; the rest is
%% for a busy machine.
-define(ANSWER_MS, 5500 + 1500).
%% A lease of the default profile, the time to stop and a start behind it.
-define(BEFORE_US, 15000000).
-define(LINE_MAX, 65536).

%% Reads the record of the sink and says what is wrong in it.
-spec sink(file:filename()) -> sink().
sink(Record) ->
    {ok, File} = file:open(Record, [read, raw, binary, {read_ahead, 1048576}]),
    Seen = lines(File, fun event/2, #{ids => #{}, accepted => 0, stale => [], lines => 0}),
    ok = file:close(File),
    Seen.

lines(File, Fun, Acc) ->
    case file:read_line(File) of
        {ok, Line} ->
            Size = byte_size(Line) - 1,
            case Line of
                <<Text:Size/binary, $\n>> -> lines(File, Fun, Fun(words(Text), Acc));
                _ -> Acc %% is being written
            end;
        eof ->
            Acc
    end.

words(Text) -> binary:split(Text, <<" ">>, [global]).

event([At, Kind, Id, Epoch, Number | Verdict], #{ids := Ids, lines := Lines} = Seen) ->
    Known = maps:get(Id, Ids, #{epochs => [], last => 0, saved => []}),
    one(Kind, Verdict, {binary_to_integer(At), Id, binary_to_integer(Epoch),
                        binary_to_integer(Number)}, Known, Seen#{lines := Lines + 1}).

one(<<"write">>, [<<"accepted">>], {At, Id, Epoch, _}, Known, Seen) ->
    #{ids := Ids, accepted := Accepted} = Seen,
    #{epochs := Epochs} = Known,
    Epochs1 = case Epochs of
                  [{Epoch, _} | _] -> Epochs;
                  [{Greater, _} | _] when Greater > Epoch ->
                      chaos_log:violation("the sink accepted ~s in epoch ~b after ~b, at ~b",
                                          [Id, Epoch, Greater, At]),
                      Epochs;
                  _ -> [{Epoch, At} | Epochs]
              end,
    Seen#{ids := Ids#{Id => Known#{epochs := Epochs1, last := At}}, accepted := Accepted + 1};
one(<<"write">>, [<<"stale">>, _], {At, Id, Epoch, _}, #{epochs := Epochs}, Seen) ->
    #{stale := Stale} = Seen,
    Since = lists:min([First || {E, First} <- Epochs, E > Epoch]),
    Seen#{stale := [{At, Id, Epoch, At - Since} | Stale]};
one(<<"saved">>, [], {_, Id, Epoch, Count}, #{saved := Saved} = Known, #{ids := Ids} = Seen) ->
    Most = max(Count, proplists:get_value(Epoch, Saved, 0)),
    Seen#{ids := Ids#{Id => Known#{saved := lists:keystore(Epoch, 1, Saved, {Epoch, Most})}}};
one(<<"started">>, [], {At, Id, Epoch, Found}, #{saved := Saved} = Known, Seen) ->
    Before = lists:max([0 | [Count || {E, Count} <- Saved, E =< Epoch]]),
    _ = Found < Before andalso
        chaos_log:violation("~s lost state: epoch ~b began with ~b at ~b, ~b was acknowledged",
                            [Id, Epoch, Found, At, Before]),
    _ = Known,
    Seen.

%% Attempts of an owner after its successor has written. Whoever's own member could
%% have killed it makes no such attempt.
-spec state(sink(), file:filename(), [{integer(), integer(), chaos_plan:fault()}]) -> map().
state(#{stale := Stale}, Work, Faults) ->
    Seen = [told(Host, Work) || Host <- chaos_plan:hosts()],
    Judged = [{judge(S, Seen, Faults), S} || S <- Stale],
    lists:foreach(fun
        ({{late, Host}, {At, Id, Epoch, Since}}) ->
            chaos_log:violation("~s wrote in epoch ~b on host ~b, whose member could have "
                                "killed it, ~b us after its successor, at ~b",
                                [Id, Epoch, Host, Since, At]);
        (_) -> ok
    end, Judged),
    #{stale => length(Stale),
      by_owners => length(lists:usort([{Id, Epoch} || {_, Id, Epoch, _} <- Stale])),
      worst_us => lists:max([0 | [Since || {_, _, _, Since} <- Stale]]),
      could_be_killed => length([x || {{late, _}, _} <- Judged]),
      unknown_owner => length([x || {unknown, _} <- Judged])}.

judge({At, Id, Epoch, _}, Seen, Faults) ->
    case [{Host, Homes} || {Host, Owners, Homes} <- Seen,
                           lists:member({Id, integer_to_binary(Epoch)}, Owners)] of
        [] ->
            unknown;
        [{Host, Homes} | _] ->
            Home = [M || {T, M} <- Homes, T =< At],
            Own = atom_to_binary(chaos_api:member(Host)),
            IsHome = Home =/= [] andalso hd(Home) =:= Own,
            case IsHome andalso not lists:any(fun({From, To, Fault}) ->
                     disturbs(Fault, Host) andalso From =< At
                         andalso To + ?BEFORE_US >= At
                 end, Faults) of
                true -> {late, Host};
                false -> excused
            end
    end.

%% Whether a member may not have been able to kill the worker of its host.
disturbs({kill, member, Host, _}, Host) -> true;
disturbs({kill_leader, _}, _) -> true;
disturbs({lose_host, Host, _}, Host) -> true;
disturbs({lose_leader, _}, _) -> true;
disturbs({freeze, [member | _], Host, _}, Host) -> true;
disturbs({freeze_leader, _}, _) -> true;
disturbs({stutter, member, Host, _, _, _}, Host) -> true;
disturbs({restart, member, Host}, Host) -> true;
disturbs({rolling, member}, _) -> true;
disturbs({full_disk, Host, _}, Host) -> true;
disturbs({slow_disk, Host, _, _}, Host) -> true;
disturbs({failing_disk, Host, _}, Host) -> true;
disturbs(_, _) -> false.

%% {Host, [{Id, Epoch}], [{At, Member}] newest first} of a worker.
told(Host, Work) ->
    fold_calls(Host, Work, fun
        ([_, <<"owner">>, Id, Epoch], {H, Owners, Homes}) -> {H, [{Id, Epoch} | Owners], Homes};
        ([At, <<"attached">>, Member], {H, Owners, Homes}) ->
            {H, Owners, [{binary_to_integer(At), Member} | Homes]};
        (_, Acc) -> Acc
    end, {Host, [], []}).

fold_calls(Host, Work, Fun, Acc) ->
    case file:open(filename:join(Work, "calls" ++ integer_to_list(Host)),
                   [read, raw, binary, {read_ahead, ?LINE_MAX}]) of
        {ok, File} ->
            Result = lines(File, Fun, Acc),
            ok = file:close(File),
            Result;
        {error, enoent} ->
            Acc
    end.

%% Every call answered within its deadline: counts by operation and result, and the
%% slowest of each operation.
-spec calls(file:filename()) -> #{count := non_neg_integer(), worst := [{binary(), integer()}],
                                  results := [{binary(), pos_integer()}]}.
calls(Work) ->
    {Worst, Results} =
        lists:foldl(fun(Host, Acc) ->
            fold_calls(Host, Work, fun(Words, A) -> call(Host, Words, A) end, Acc)
        end, {#{}, #{}}, chaos_plan:hosts()),
    #{count => lists:sum(maps:values(Results)),
      worst => lists:reverse(lists:keysort(2, maps:to_list(Worst))),
      results => lists:reverse(lists:keysort(2, maps:to_list(Results)))}.

call(Host, [At, <<"end">>, _, Op, Id, Ms, Still | Result], {Worst, Results}) ->
    Net = binary_to_integer(Ms) - binary_to_integer(Still),
    Text = iolist_to_binary(lists:join(" ", Result)),
    _ = Net > ?ANSWER_MS andalso
        chaos_log:violation("~s ~s on host ~b took ~b ms (~s), at ~s",
                            [Op, Id, Host, Net, Text, At]),
    _ = binary:match(Text, <<"{crash">>) =/= nomatch andalso
        chaos_log:violation("~s ~s on host ~b crashed: ~s, at ~s", [Op, Id, Host, Text, At]),
    {Worst#{Op => max(Net, maps:get(Op, Worst, 0))},
     maps:update_with(reason(Text), fun(N) -> N + 1 end, 1, Results)};
call(_, _, Acc) ->
    Acc.

%% Without the numbers in it.
reason(Text) -> re:replace(Text, "[0-9]+", "N", [global, {return, binary}]).

%% What was acknowledged as made is there, unless it was asked to stop; what was
%% acknowledged as stopped is not.
-spec existence([binary()], file:filename()) -> ok.
existence(Ids, Work) ->
    lists:foreach(fun(Host) ->
        Fates = fold_calls(Host, Work, fun fate/2, #{}),
        maps:foreach(fun(Id, Fate) ->
            case {Fate, lists:member(Id, Ids)} of
                {made, false} -> chaos_log:violation("~s was made, and is not there", [Id]);
                {stopped, true} -> chaos_log:violation("~s was stopped, and is there", [Id]);
                _ -> ok
            end
        end, Fates)
    end, chaos_plan:hosts()).

fate([_, <<"end">>, _, <<"create">>, Id, _, _, <<"ok">>], Fates) -> Fates#{Id => made};
fate([_, <<"begin">>, _, <<"stop">>, Id], Fates) -> Fates#{Id => unknown};
fate([_, <<"end">>, _, <<"stop">>, Id, _, _, <<"ok">>], Fates) -> Fates#{Id => stopped};
fate(_, Fates) -> Fates.

%% What is not yet as it should be; [] when all is well.
-spec picture(map()) -> [term()].
picture(#{statuses := Statuses, workers := Workers, sandboxes := Sandboxes, local := Local}) ->
    Members = length(chaos_plan:hosts()),
    Well = [L || {_, #{leader := L, quorum := true, members_up := Up}} <- Statuses, Up >= Members,
                 L =/= undefined],
    [{members, brief(Statuses)} || length(Well) < Members orelse length(lists:usort(Well)) > 1]
        ++ [{workers, Workers} || attached(Workers) =/= lists:sort(chaos_api:workers())]
        ++ sandboxes(Sandboxes, Local).

brief(Statuses) ->
    [{M, case S of
             #{leader := L, quorum := Q, members_up := Up} -> {L, Q, Up};
             Other -> Other
         end} || {M, S} <- Statuses].

attached(Rows) when is_list(Rows) -> lists:sort([N || #{name := N, up := true} <- Rows]);
attached(_) -> none.

sandboxes(Rows, Local) when is_list(Rows) ->
    Lost = [W || {W, Other} <- Local, not is_list(Other)],
    Runs = [{Id, Epoch, W} || {W, Own} <- Local, is_list(Own), {Id, Epoch} <- Own],
    Should = [{Id, Epoch, W}
              || #{id := Id, epoch := Epoch, worker := W, status := running} <- Rows],
    [{not_heard, Lost} || Lost =/= []]
        ++ [{not_running, [{Id, S} || #{id := Id, status := S} <- Rows, S =/= running]}
            || length(Should) =/= length(Rows)]
        ++ [{no_process, Should -- Runs} || Should -- Runs =/= []]
        ++ [{process_too_many, Runs -- Should} || Runs -- Should =/= []];
sandboxes(Other, _) ->
    [{sandboxes, Other}].
