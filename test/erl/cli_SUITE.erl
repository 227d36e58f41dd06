%% SPDX-License-Identifier: Apache-2.0
%% The command line against a running cluster, and against none.
-module(cli_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

suite() ->
    [{timetrap, {seconds, 60}}].

all() ->
    [version, help, status_as_json, status_as_table, members, workers, sandboxes,
     many_sandboxes, by_name_alone, settings_from_file_and_environment, stronger_origin_wins,
     unknown_command, unknown_option, bad_values, no_target, no_cookie, wrong_cookie,
     nobody_there, silent_target, restarted_target, clean_stop].

init_per_suite(Config) ->
    Context = quorate_ct:start(cli),
    Members = quorate_ct:members(Context, ["q1", "q2", "q3"]),
    Client = quorate_ct:node(Context, "client"),
    _ = quorate_ct:await_leader(Client, Members),
    Worker = quorate_ct:worker(Context, "worker", Members, #{cpu => 4000, memory => 1024}),
    _ = quorate_ct:await_worker(Client, hd(Members), Worker),
    [begin
         {ok, _} = quorate_ct:call(Worker, quorate, create_sandbox,
                                   [Id, ct_counter:spec(), #{resources => #{cpu => 10}}]),
         %% Only with that is it in the tables of this member too.
         true = quorate_ct:await(applied, fun() ->
             {ok, true} =:= case quorate_ct:ask(Client, hd(Members), {quorate, sandbox},
                                                [Id, #{consistency => local}]) of
                                {ok, #{status := running}} -> {ok, true};
                                Other -> Other
                            end
         end)
     end || Id <- ids()],
    [{context, Context}, {members, Members}, {client, Client}, {worker, Worker} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

%% Ids that are awkward in JSON and in a table.
ids() ->
    lists:sort([<<"plain">>, <<"with \"quotes\" and \\">>, <<"new\nline">>,
                <<206, 177, 206, 178>>]).

version(Config) ->
    ?assertEqual({0, <<"quorate 0.1.0\n">>, <<>>}, run(Config, ["version"])),
    {0, Json, <<>>} = run(Config, ["version", "-o", "json"]),
    ?assertEqual(#{<<"schema">> => <<"quorate.version/1">>, <<"version">> => <<"0.1.0">>},
                 ct_json:decode(Json)).

help(Config) ->
    [begin
         {0, Text, <<>>} = run(Config, Args),
         ?assert(byte_size(Text) > 100),
         ?assertEqual([], [L || L <- binary:split(Text, <<"\n">>, [global]), byte_size(L) > 80])
     end || Args <- [["help"], ["--help"], ["help", "start"], ["start", "--help"],
                     ["help", "status"], ["status", "-h"], ["help", "version"]]].

status_as_json(Config) ->
    [begin
         {0, Json, <<>>} = ask(Config, M, ["status", "-o", "json"]),
         #{<<"schema">> := <<"quorate.status/1">>, <<"name">> := Name, <<"quorum">> := true,
           <<"members">> := 3, <<"members_up">> := 3, <<"sandboxes">> := 4, <<"workers">> := 1,
           <<"version">> := <<"0.1.0">>, <<"leader">> := Leader, <<"role">> := Role} =
             ct_json:decode(Json),
         ?assertEqual(atom_to_binary(N), Name),
         ?assertEqual(Name =:= Leader, Role =:= <<"leader">>)
     end || #{node := N} = M <- ?config(members, Config)].

status_as_table(Config) ->
    {0, Text, <<>>} = ask(Config, ["status"]),
    [?assertMatch({match, _}, re:run(Text, Pattern, [multiline]))
     || Pattern <- ["^name +q1@127.0.0.1$", "^quorum +yes$", "^members_up +3$",
                     "^links.up +[0-9]+$"]],
    ?assertEqual({0, Text, <<>>}, same_but_numbers(ask(Config, ["status", "-o", "table"]), Text)).

%% Uptime, memory and indices move on.
same_but_numbers({0, New, <<>>}, Old) ->
    Blank = fun(T) -> re:replace(T, "[0-9.]+", "#", [global, {return, binary}]) end,
    case Blank(New) =:= Blank(Old) of
        true -> {0, Old, <<>>};
        false -> {0, New, <<>>}
    end.

members(Config) ->
    {0, Json, <<>>} = ask(Config, ["members", "-o", "json"]),
    #{<<"schema">> := <<"quorate.members/1">>, <<"members">> := Rows} = ct_json:decode(Json),
    ?assertEqual([<<"q1@127.0.0.1">>, <<"q2@127.0.0.1">>, <<"q3@127.0.0.1">>],
                 lists:sort([N || #{<<"name">> := N, <<"up">> := true} <- Rows])),
    ?assertEqual([<<"follower">>, <<"follower">>, <<"leader">>],
                 lists:sort([R || #{<<"role">> := R} <- Rows])),
    {0, Table, <<>>} = ask(Config, ["members"]),
    ?assertEqual(4, lines(Table)).

workers(Config) ->
    {0, Json, <<>>} = ask(Config, ["workers", "-o", "json"]),
    #{<<"schema">> := <<"quorate.workers/1">>, <<"workers">> := [Row]} = ct_json:decode(Json),
    #{<<"name">> := <<"worker@127.0.0.1">>, <<"up">> := true, <<"sandboxes">> := 4,
      <<"capacity">> := #{<<"cpu">> := 4000, <<"memory">> := 1024},
      <<"committed">> := #{<<"cpu">> := 40}} = Row,
    {0, Table, <<>>} = ask(Config, ["workers"]),
    ?assertEqual(2, lines(Table)).

sandboxes(Config) ->
    {0, Json, <<>>} = ask(Config, ["sandboxes", "-o", "json"]),
    #{<<"schema">> := <<"quorate.sandboxes/1">>, <<"sandboxes">> := Rows} = ct_json:decode(Json),
    ?assertEqual(ids(), [Id || #{<<"id">> := Id, <<"status">> := <<"running">>,
                                 <<"worker">> := <<"worker@127.0.0.1">>} <- Rows]),
    {0, Table, <<>>} = ask(Config, ["sandboxes"]),
    %% One line each: an id with a line end in it must not make two.
    ?assertEqual(5, lines(Table)).

lines(Text) ->
    length(binary:matches(Text, <<"\n">>)).

%% More than one answer holds is no reason for an error.
many_sandboxes(Config) ->
    Worker = ?config(worker, Config),
    Ids = [<<"many-", (integer_to_binary(N))/binary>> || N <- lists:seq(1, 300)],
    ok = quorate_ct:on(Worker, fun() ->
        [{ok, _} = quorate:create_sandbox(Id, ct_counter:spec()) || Id <- Ids],
        ok
    end),
    {0, Json, <<>>} = ask(Config, ["sandboxes", "-o", "json"]),
    #{<<"sandboxes">> := Rows} = ct_json:decode(Json),
    ?assert(length(Rows) >= 300),
    ok = quorate_ct:on(Worker, fun() ->
        [ok = quorate:stop_sandbox(Id) || Id <- Ids],
        ok
    end).

by_name_alone(Config) ->
    {0, Json, <<>>} = run(Config, ["status", "-o", "json", "-t", "q2@127.0.0.1" | cookie(Config)]),
    #{<<"name">> := <<"q2@127.0.0.1">>} = ct_json:decode(Json),
    {69, <<>>, Error} = run(Config, ["status", "-t", "nobody@127.0.0.1" | cookie(Config)]),
    one_line(Error, "nobody@127.0.0.1").

settings_from_file_and_environment(Config) ->
    #{work := Work} = ?config(context, Config),
    File = filename:join(Work, "quorate.conf"),
    [#{node := N, port := Port} | _] = ?config(members, Config),
    ok = file:write_file(File, ["# a comment\nname = ", atom_to_list(N), "\nlisten = 127.0.0.1:",
                                integer_to_list(Port), "\ncookie_file = ", cookie_file(Config),
                                "\n"]),
    {0, Json, <<>>} = run(Config, ["status", "--config", File, "-o", "json"]),
    #{<<"name">> := <<"q1@127.0.0.1">>} = ct_json:decode(Json),
    Target = target(hd(?config(members, Config))),
    {0, Same, <<>>} = run(Config, ["members"], [{"QUORATE_TARGET", Target},
                                                {"QUORATE_COOKIE_FILE", cookie_file(Config)},
                                                {"QUORATE_OUTPUT", "json"}]),
    #{<<"members">> := [_, _, _]} = ct_json:decode(Same),
    ok = file:write_file(File, "name = q1@127.0.0.1\ncolour = red\n"),
    {78, <<>>, Error} = run(Config, ["status", "--config", File]),
    one_line(Error, File ++ ":2"),
    {78, <<>>, Missing} = run(Config, ["start", "--config", File ++ ".no"]),
    one_line(Missing, File ++ ".no").

stronger_origin_wins(Config) ->
    [A, B | _] = ?config(members, Config),
    {0, Json, <<>>} = run(Config, ["status", "-o", "json", "-t", target(A) | cookie(Config)],
                          [{"QUORATE_TARGET", target(B)}, {"QUORATE_OUTPUT", "table"}]),
    #{<<"name">> := <<"q1@127.0.0.1">>} = ct_json:decode(Json).

unknown_command(Config) ->
    {64, <<>>, Error} = run(Config, ["statsu"]),
    one_line(Error, "statsu"),
    {64, <<>>, None} = run(Config, []),
    one_line(None, "quorate help").

unknown_option(Config) ->
    {64, <<>>, Error} = ask(Config, ["status", "--outptu", "json"]),
    one_line(Error, "--outptu"),
    {64, <<>>, Start} = run(Config, ["start", "--data-dri", "x"]),
    one_line(Start, "--data-dri"),
    {64, <<>>, Extra} = ask(Config, ["status", "surplus"]),
    one_line(Extra, "surplus").

bad_values(Config) ->
    [begin
         {Status, <<>>, Error} = run(Config, Args),
         ?assert(lists:member(Status, [64, 78])),
         one_line(Error, "")
     end || Args <- [["status", "-o", "yaml"], ["status", "-t", "no-host"],
                     ["status", "-t", "q@h=nonsense"], ["status", "--timeout", "-1"],
                     ["status", "--timeout", "99999999999999"], ["status", "-t"],
                     ["start", "--name", "nohost"], ["start", "--listen", "127.0.0.1:99999"],
                     ["start", "--ttl-owner-ms", "3900", "--name", "a@127.0.0.1",
                      "--data-dir", "/x", "--cookie-file", "/x"],
                     ["start", "--member", "a@127.0.0.1", "--name", "a@127.0.0.1"]]].

no_target(Config) ->
    {64, <<>>, Error} = run(Config, ["status" | cookie(Config)]),
    one_line(Error, "--target").

no_cookie(Config) ->
    {78, <<>>, Error} = run(Config, ["status", "-t", target(hd(?config(members, Config)))]),
    one_line(Error, "cookie").

wrong_cookie(Config) ->
    #{work := Work} = ?config(context, Config),
    File = filename:join(Work, "wrong-cookie"),
    ok = file:write_file(File, "not_that_one\n"),
    ok = file:change_mode(File, 8#600),
    Args = ["status", "-t", target(hd(?config(members, Config))), "--cookie-file", File],
    {69, <<>>, Error} = run(Config, Args),
    one_line(Error, "cookie"),
    %% A cookie that others can read is none.
    ok = file:change_mode(File, 8#644),
    {78, <<>>, Mode} = run(Config, Args),
    one_line(Mode, File).

nobody_there(Config) ->
    [Port] = quorate_ct:free_ports(1),
    {Took, {69, <<>>, Error}} = quorate_ct:take_time(fun() ->
        run(Config, ["status", "-t", "q1@127.0.0.1=127.0.0.1:" ++ integer_to_list(Port)
                     | cookie(Config)])
    end),
    one_line(Error, "q1@127.0.0.1"),
    ?assert(Took < 3000).

%% Somebody who takes the connection and says nothing.
silent_target(Config) ->
    {ok, Listen} = gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}]),
    {ok, Port} = inet:port(Listen),
    {Took, {75, <<>>, Error}} = quorate_ct:take_time(fun() ->
        run(Config, ["status", "--timeout", "500", "-t",
                     "q1@127.0.0.1=127.0.0.1:" ++ integer_to_list(Port) | cookie(Config)])
    end),
    one_line(Error, "--timeout"),
    ?assert(Took >= 500),
    ?assert(Took < 3000),
    gen_tcp:close(Listen).

restarted_target(Config) ->
    Context = ?config(context, Config),
    [_, _, C] = Members = ?config(members, Config),
    ok = quorate_ct:kill_member(Context, C),
    {69, <<>>, _} = ask(Config, C, ["status"]),
    _ = quorate_ct:start_member(Context, C),
    _ = quorate_ct:await_leader(?config(client, Config), Members),
    {0, _, <<>>} = ask(Config, C, ["status"]).

%% Told to stop, a member says so and ends with 0.
clean_stop(Config) ->
    Context = ?config(context, Config),
    [A | _] = Members = ?config(members, Config),
    ?assertEqual(0, quorate_ct:stop_member(Context, A, "TERM")),
    ?assertMatch({match, _}, re:run(quorate_ct:log_of(Context, A), "event=stopped exit_code=0")),
    _ = quorate_ct:start_member(Context, A),
    quorate_ct:await_leader(?config(client, Config), Members).

%% Internals

run(Config, Args) ->
    run(Config, Args, []).

run(Config, Args, Env) ->
    quorate_ct:run(?config(context, Config), quorate, Args, #{env => Env, timeout => 20000}).

ask(Config, Args) ->
    ask(Config, hd(?config(members, Config)), Args).

ask(Config, Member, Args) ->
    run(Config, Args ++ ["--target", target(Member) | cookie(Config)]).

target(#{node := N, port := Port}) ->
    lists:flatten(io_lib:format("~s=127.0.0.1:~b", [N, Port])).

cookie(Config) ->
    ["--cookie-file", cookie_file(Config)].

cookie_file(Config) ->
    #{work := Work} = ?config(context, Config),
    filename:join(Work, "cookie").

%% Errors are one line that begins with our name and says what it is about.
one_line(Error, About) ->
    ?assertEqual(1, lines(Error)),
    ?assertMatch(<<"quorate: ", _/binary>>, Error),
    case About of
        "" -> ok;
        _ -> ?assertNotEqual(nomatch, binary:match(Error, list_to_binary(About)))
    end.
