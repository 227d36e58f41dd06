%% SPDX-License-Identifier: Apache-2.0
%% What a member finds in its data directory: one that is in use, damaged,
%% somebody else's, of a newer format, or half of a copy is refused with what is
%% wrong, and stays as it is; a full one is waited for.
-module(data_dir_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

suite() ->
    [{timetrap, {seconds, 60}}].

all() ->
    [in_use, damaged_log, full_log_disk, full_log_disk_alone, directory_of_another,
     newer_format, half_of_a_copy].

init_per_suite(Config) ->
    Context = quorate_ct:start(data_dir),
    [{context, Context}, {client, quorate_ct:node(Context, "client")} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

in_use(Config) ->
    Context = ?config(context, Config),
    [#{dir := Dir} = Member] = quorate_ct:members(Context, ["busy"]),
    _ = quorate_ct:await_leader(?config(client, Config), [Member]),
    {78, Text} = quorate_ct:failed_start(Context, Member),
    Owner = integer_to_list(quorate_ct:os_pid(Context, "busy")),
    quorate_ct:says(Text, "start_failed", [Dir, "in use by process " ++ Owner]),
    ok = quorate_ct:kill_member(Context, Member).

%% A byte in the middle of what was acknowledged. A torn end would be cut; this
%% is damage, and only people can say what to do.
damaged_log(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [Member] = quorate_ct:members(Context, ["damaged"]),
    #{dir := Dir} = Member,
    _ = quorate_ct:await_leader(Client, [Member]),
    Worker = quorate_ct:worker(Context, "worker", [Member], #{}),
    _ = quorate_ct:await_worker(Client, Member, Worker),
    [{ok, _} = quorate_ct:call(Worker, quorate, create_sandbox,
                               [<<"box", (integer_to_binary(N))/binary>>,
                                ct_counter:spec(#{padding => rand:bytes(2000)})])
     || N <- lists:seq(1, 20)],
    ok = quorate_ct:kill_node(Context, Worker),
    {75, Busy} = log(Config, ["verify", Dir]),
    ?assertNotEqual(nomatch, binary:match(Busy, <<"a member runs on">>)),
    ok = quorate_ct:kill_member(Context, Member),
    {0, Whole} = log(Config, ["verify", Dir]),
    ?assertNotEqual(nomatch, binary:match(Whole, <<"all of it is whole">>)),
    {0, Json} = log(Config, ["inspect", "-o", "json", "--limit", "1000", Dir]),
    #{<<"schema">> := <<"quorate.log/1">>, <<"rows">> := Rows} = ct_json:decode(Json),
    ?assertEqual(20, lists:sum([maps:get(<<"claim">>, C, 0) || #{<<"commands">> := C} <- Rows])),
    [File | _] = lists:sort(filelib:wildcard(filename:join(Dir, "*.wal"))),
    {ok, Good} = file:read_file(File),
    [begin
         <<Before:At/binary, B, After/binary>> = Good,
         ok = file:write_file(File, [Before, B bxor 16#55, After]),
         {Status, Text} = quorate_ct:failed_start(Context, Member),
         ?assertEqual({At, true}, {At, lists:member(Status, [74, 78])}),
         quorate_ct:says(Text, "start_failed", [filename:basename(File)]),
         {65, Bad} = log(Config, ["verify", Dir]),
         ?assertNotEqual(nomatch, binary:match(Bad, list_to_binary(filename:basename(File))))
     end || At <- [5000, 12345, 20000]],
    %% With the byte as it was, everything is there.
    ok = file:write_file(File, Good),
    _ = quorate_ct:start_member(Context, Member),
    _ = quorate_ct:await_leader(Client, [Member]),
    Sandboxes = quorate_ct:ask(Client, Member, {quorate, sandboxes}, []),
    ?assertEqual(20, length(Sandboxes)),
    quorate_ct:kill_member(Context, Member).

%% Exit code and all output of `quorate log`.
log(Config, Args) ->
    {Code, Out, Error} = quorate_ct:run(?config(context, Config), quorate, ["log" | Args], #{}),
    {Code, <<Out/binary, Error/binary>>}.

%% A disk without room, by a limit on the size of files: another leader, nothing
%% lost, and when there is room all goes on without a restart.
full_log_disk(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    Members = quorate_ct:members(Context, ["f1", "f2", "f3"]),
    Full = quorate_ct:await_leader(Client, Members),
    [One, Other] = Rest = Members -- [Full],
    Worker = quorate_ct:worker(Context, "fworker", Members, #{}),
    _ = quorate_ct:await_worker(Client, One, Worker),
    limit_log(Full, Worker),
    true = quorate_ct:await(other_leader, fun() -> is_led_by(Client, One, Rest) end),
    await_event(Context, Full, "log_full"),
    nomatch = re:run(quorate_ct:log_of(Context, Full), "event=log_(has_room|write_failed)"),
    {ok, _} = quorate_ct:call(Worker, quorate, create_sandbox, [<<"a">>, ct_counter:spec()]),
    limit_files(Full, "unlimited"),
    await_event(Context, Full, "log_has_room"),
    %% It counts again: without one of the others there is still a majority.
    ok = quorate_ct:kill_member(Context, Other),
    _ = quorate_ct:await_leader(Client, [Full, One]),
    ok = quorate_ct:kill_node(Context, Worker),
    ok = quorate_ct:kill_member(Context, One),
    ok = quorate_ct:kill_member(Context, Full).

%% A member alone has nobody to hand over to: it says so, and waits.
full_log_disk_alone(Config) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [Member] = quorate_ct:members(Context, ["fullalone"]),
    _ = quorate_ct:await_leader(Client, [Member]),
    Worker = quorate_ct:worker(Context, "fullworker", [Member], #{}),
    _ = quorate_ct:await_worker(Client, Member, Worker),
    limit_log(Member, Worker),
    await_event(Context, Member, "log_full"),
    Create = fun() -> quorate_ct:call(Worker, quorate, create_sandbox,
                                      [<<"a">>, ct_counter:spec()])
             end,
    ?assertEqual({error, no_space}, Create()),
    limit_files(Member, "unlimited"),
    await_event(Context, Member, "log_has_room"),
    {ok, _} = Create(),
    ok = quorate_ct:kill_node(Context, Worker),
    ok = quorate_ct:kill_member(Context, Member).

is_led_by(Client, Member, Leaders) ->
    case quorate_ct:ask(Client, Member, {quorate, status}, []) of
        #{leader := Leader, quorum := true} ->
            lists:any(fun(#{node := N}) -> N =:= Leader end, Leaders);
        _ ->
            false
    end.

await_event(Context, Member, Event) ->
    true = quorate_ct:await(Event, fun() ->
        nomatch =/= re:run(quorate_ct:log_of(Context, Member), "event=" ++ Event)
    end).

%% The log is written beyond the limit first, which leaves room below it for
%% what the member says: that goes to a file as well.
limit_log(Member, Worker) ->
    [{ok, _} = quorate_ct:call(Worker, quorate, create_sandbox,
                               [Id, ct_counter:spec(#{padding => rand:bytes(50000)})])
     || Id <- [<<"big1">>, <<"big2">>]],
    limit_files(Member, "65536").

%% Writes beyond that size get errors as from a full disk.
limit_files(#{dir := Dir}, Size) ->
    {ok, Pid} = file:read_file(filename:join(Dir, "lock")),
    Command = "prlimit --pid " ++ string:trim(binary_to_list(Pid)) ++ " --fsize=" ++ Size ++
        ": && echo done",
    ?assertEqual("done\n", os:cmd(Command)).

directory_of_another(Config) ->
    Context = ?config(context, Config),
    [Member] = quorate_ct:members(Context, ["first"]),
    #{dir := Dir} = Member,
    _ = quorate_ct:await_leader(?config(client, Config), [Member]),
    0 = quorate_ct:stop_member(Context, Member, "TERM"),
    {78, Text} = quorate_ct:failed_start(Context, Member#{node := 'second@127.0.0.1'}),
    quorate_ct:says(Text, "start_failed", [Dir, "another member"]),
    %% Its old self may come back.
    _ = quorate_ct:start_member(Context, Member),
    _ = quorate_ct:await_leader(?config(client, Config), [Member]),
    quorate_ct:kill_member(Context, Member).

%% Only the release that wrote it knows what is in it.
newer_format(Config) ->
    Context = ?config(context, Config),
    #{dir := Dir} = Member = used_member(Config, "newer"),
    [begin
         Path = filename:join(Dir, File),
         {ok, Good} = file:read_file(Path),
         ok = file:write_file(Path, Newer(Good)),
         {78, Text} = quorate_ct:failed_start(Context, Member),
         quorate_ct:says(Text, "start_failed", [Path]),
         ok = file:write_file(Path, Good)
     end || {File, Newer} <- [{"0000000000000001.wal", fun newer_log/1},
                              {"identity", fun newer_identity/1}]],
    still_serves(Config, Member).

%% With its checksum right.
newer_log(<<Magic:8/binary, 2:32, Fields:44/binary, _:32, Rest/binary>>) ->
    Header = <<Magic/binary, 3:32, Fields/binary>>,
    <<Header/binary, (crc32c(Header)):32, Rest/binary>>.

newer_identity(<<"quorate 2\n", Rest/binary>>) ->
    <<"quorate 3\n", Rest/binary>>.

crc32c(Bytes) ->
    lists:foldl(fun(Byte, Crc) -> crc32c_bits(Crc bxor Byte, 8) end, 16#FFFFFFFF,
                binary_to_list(Bytes)) bxor 16#FFFFFFFF.

crc32c_bits(Crc, 0) -> Crc;
crc32c_bits(Crc, N) when Crc band 1 =:= 1 -> crc32c_bits((Crc bsr 1) bxor 16#82F63B78, N - 1);
crc32c_bits(Crc, N) -> crc32c_bits(Crc bsr 1, N - 1).

%% Any one file that is missing, or its end, is noticed, and the whole directory
%% is good again.
half_of_a_copy(Config) ->
    Context = ?config(context, Config),
    #{dir := Dir} = Member = used_member(Config, "half"),
    Names = ["0000000000000001.wal", "log", "identity", "state.mdb", "state.journal"],
    [begin
         Path = filename:join(Dir, Name),
         {ok, Whole} = file:read_file(Path),
         Sizes = [0, 1, byte_size(Whole) div 2, byte_size(Whole) - 1],
         [begin
              ok = Damage(Path),
              {Status, Text} = quorate_ct:failed_start(Context, Member),
              ?assertEqual({Name, true}, {Name, lists:member(Status, [74, 78])}),
              quorate_ct:says(Text, "start_failed", [Dir]),
              ok = file:write_file(Path, Whole)
          end || Damage <- [fun file:delete/1 | [fun(P) -> cut(P, Size) end || Size <- Sizes]]]
     end || Name <- Names],
    still_serves(Config, Member).

cut(Path, Size) ->
    {ok, File} = file:open(Path, [read, write, raw]),
    {ok, Size} = file:position(File, Size),
    ok = file:truncate(File),
    file:close(File).

%% A member that ran, registered a name, and was killed.
used_member(Config, Name) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    [Member] = quorate_ct:members(Context, [Name]),
    _ = quorate_ct:await_leader(Client, [Member]),
    Worker = quorate_ct:worker(Context, "w" ++ Name, [Member], #{}),
    _ = quorate_ct:await_worker(Client, Member, Worker),
    {ok, _} = quorate_ct:call(Worker, quorate, create_sandbox, [<<"kept">>, ct_counter:spec()]),
    ok = quorate_ct:kill_node(Context, Worker),
    ok = quorate_ct:kill_member(Context, Member),
    Member.

still_serves(Config, Member) ->
    Context = ?config(context, Config),
    Client = ?config(client, Config),
    _ = quorate_ct:start_member(Context, Member),
    _ = quorate_ct:await_leader(Client, [Member]),
    ?assertMatch([#{id := <<"kept">>}], quorate_ct:ask(Client, Member, {quorate, sandboxes}, [])),
    ok = quorate_ct:kill_member(Context, Member).
