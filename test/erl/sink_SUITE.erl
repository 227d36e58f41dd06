%% SPDX-License-Identifier: Apache-2.0
%% The sink of the tests (test/lib/test_sink.erl): what it takes, and what a replay of
%% its record finds.
-module(sink_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

suite() ->
    [{timetrap, {seconds, 180}}].

all() ->
    [refuses_older_epochs, runs_in_a_process_of_its_own, clock_is_that_of_the_machine,
     finds_what_is_wrong, leaves_out_half_a_line, reads_long_records].

init_per_testcase(Case, Config) ->
    Dir = filename:join(?config(priv_dir, Config), Case),
    ok = filelib:ensure_path(Dir),
    [{record, filename:join(Dir, "record")}, {dir, Dir} | Config].

end_per_testcase(_, _) ->
    ok.

refuses_older_epochs(Config) ->
    Record = ?config(record, Config),
    [Port] = quorate_ct:free_ports(1),
    {ok, Server} = test_sink:start(Port, Record),
    {ok, One} = test_sink:connect(Port, 1000),
    {ok, Two} = test_sink:connect(Port, 1000),
    Odd = <<"a b\n%", 255>>,
    ok = test_sink:started(One, Odd, 3, 0),
    accepted = test_sink:write(One, Odd, 3, 1),
    accepted = test_sink:write(One, <<"other">>, 1, 1),
    ok = test_sink:saved(One, Odd, 3, 7),
    ok = test_sink:started(Two, Odd, 5, 7),
    accepted = test_sink:write(Two, Odd, 5, 1),
    {stale, 5} = test_sink:write(One, Odd, 3, 2),
    accepted = test_sink:write(Two, Odd, 5, 2),
    ok = test_sink:close(One),
    ok = test_sink:stop(Server),
    ?assertMatch(#{ids := 2, attempts := 5, accepted := 4, stale := 1, out_of_order := [],
                   lost := [], gaps := [{Odd, 3, 5, _}]}, test_sink:summary(Record)),
    ?assertEqual(#{Odd => 7}, test_sink:acknowledged(Record)),
    ?assertMatch([#{verdict := accepted, number := 1}, #{verdict := stale, number := 2}],
                 test_sink:attempts(Record, {Odd, 3}, 0)),
    {error, _} = test_sink:write(Two, Odd, 5, 3).

runs_in_a_process_of_its_own(Config) ->
    Context = quorate_ct:start(sink),
    Path = filename:join(maps:get(work, Context), "sink"),
    try
        _ = quorate_ct:process(Context, "sink", os:find_executable("erl"),
                               test_sink:arguments(Path, ?config(record, Config))),
        Client = quorate_ct:await(sink, fun() ->
            case test_sink:connect(Path, 1000) of
                {ok, C} -> {true, C};
                {error, _} -> false
            end
        end),
        Before = test_sink:now_us(),
        accepted = test_sink:write(Client, <<"id">>, 1, 1),
        [#{at := At}] = test_sink:attempts(?config(record, Config), {<<"id">>, 1}, 0),
        ?assert(At >= Before),
        ?assert(At =< test_sink:now_us())
    after
        quorate_ct:stop(Context, ?config(priv_dir, Config))
    end.

%% Both count since the start of the machine; one goes on while it sleeps.
clock_is_that_of_the_machine(_) ->
    {ok, Text} = file:read_file("/proc/uptime"),
    [Uptime | _] = binary:split(Text, <<" ">>),
    ?assert(test_sink:now_us() =< binary_to_float(Uptime) * 1.0e6 + 1.0e6),
    ?assert(test_sink:now_us() > 0).

%% Verdicts that were wrong, and counts that went away.
finds_what_is_wrong(Config) ->
    Record = ?config(record, Config),
    ok = file:write_file(Record, [
        "100 started a 1 0\n",
        "110 write a 1 1 accepted\n",
        "120 saved a 1 4\n",
        "190 write a 1 2 accepted\n",
        "400 started a 2 3\n",
        "490 write a 2 1 accepted\n",
        "500 write a 1 3 accepted\n",
        "510 write a 1 4 stale 2\n",
        "600 started b 9 0\n",
        "610 saved b 9 1\n",
        "620 started b 9 0\n"
    ]),
    ?assertMatch(#{attempts := 5, accepted := 4, stale := 1, ids := 1,
                   out_of_order := [#{at := 500, epoch := 1}],
                   lost := [{<<"a">>, 2, 3, 4}],
                   gaps := [{<<"a">>, 1, 2, 300}]}, test_sink:summary(Record)),
    ?assertEqual(99, test_sink:percentile(lists:seq(1, 100), 99)),
    ?assertEqual(2, test_sink:percentile([3, 1, 2], 50)),
    ?assertEqual(3, test_sink:percentile([3, 1, 2], 99)).

leaves_out_half_a_line(Config) ->
    Record = ?config(record, Config),
    ok = file:write_file(Record, "100 write a 1 1 accepted\n110 write a 1"),
    ?assertMatch(#{attempts := 1, out_of_order := []}, test_sink:summary(Record)),
    Count = fun(_, N) -> N + 1 end,
    {1, Offset} = test_sink:fold_from(0, Count, 0, Record),
    ok = file:write_file(Record, " 2 accepted\n", [append]),
    {1, End} = test_sink:fold_from(Offset, Count, 0, Record),
    ?assertEqual({0, End}, test_sink:fold_from(End, Count, 0, Record)).

%% More than is read at once.
reads_long_records(Config) ->
    Record = ?config(record, Config),
    Count = 100000,
    ok = file:write_file(Record, [io_lib:format("~b write a ~b 1 accepted\n", [N, N])
                                  || N <- lists:seq(1, Count)]),
    #{attempts := Count, out_of_order := [], gaps := Gaps} = test_sink:summary(Record),
    ?assertEqual([1], lists:usort([Us || {_, _, _, Us} <- Gaps])),
    ?assertEqual(Count - 1, length(Gaps)).
