%% SPDX-License-Identifier: Apache-2.0
%% The matrix of docs/interop.md: every feature (ct_interop), every kind of peer,
%% plain and over TLS. The page is generated from what is seen here, and a run
%% fails when the page says something else. `make interop' writes it.
-module(interop_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(COLUMNS, [otp25, otp27, elixir, erl_interface, jinterface]).
-define(HEADS, #{otp25 => "OTP 25", otp27 => "OTP 27", elixir => "Elixir",
                 erl_interface => "erl_interface", jinterface => "jinterface"}).

suite() ->
    [{timetrap, {minutes, 5}}].

all() ->
    [{group, plain}, {group, tls}, the_page_says_what_is_so].

groups() ->
    [{Transport, [parallel], ?COLUMNS} || Transport <- [plain, tls]].

init_per_suite(Config) ->
    Table = ets:new(interop, [public]),
    Keeper = spawn(fun() -> receive stop -> ok end end),
    true = ets:give_away(Table, Keeper, none),
    [{table, Table}, {keeper, Keeper} | Config].

end_per_suite(Config) ->
    ?config(keeper, Config) ! stop.

init_per_group(Transport, Config) ->
    Context0 = quorate_ct:start(Transport),
    Context = case Transport of
                  plain -> Context0;
                  tls -> ct_tls:over_tls(Context0)
              end,
    Members = quorate_ct:members(Context, ["q1", "q2", "q3"]),
    Client = quorate_ct:node(Context, "client"),
    _ = quorate_ct:await_leader(Client, Members),
    Nodes = [N || #{node := N} <- Members],
    %% Casts ask for sandboxes, which need room.
    Worker = quorate_ct:worker(Context, "worker", Members,
                               #{cpu => 1000, memory => 100, sandboxes => 100}),
    _ = quorate_ct:await_worker(Client, hd(Members), Worker),
    Targets = #{member => hd(Nodes), members => Nodes},
    [{context, Context}, {targets, Targets}, {transport, Transport} | Config].

end_per_group(_, Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

%% The columns

otp25(Config) ->
    nodes(Config, otp25, #{}).

otp27(Config) ->
    case quorate_ct:release(?config(context, Config), "27") of
        {ok, Root} -> nodes(Config, otp27, #{root => Root});
        Skip -> Skip
    end.

elixir(Config) ->
    Context = ?config(context, Config),
    Root = elixir_root(Context),
    Node = start_node(Config, elixir, #{args => ["-pa" | filelib:wildcard(Root ++ "/*/ebin")]}),
    Source = filename:join(quorate_ct:top(), "test/erl/interop/interop.ex"),
    {ok, _} = quorate_ct:call(Node, application, ensure_all_started, [elixir]),
    [_ | _] = quorate_ct:call(Node, 'Elixir.Code', require_file, [list_to_binary(Source)]),
    Own = elixir_features(Source),
    Targets = targets(Config, elixir),
    Run = fun(Feature) ->
        case lists:member(Feature, Own) of
            true ->
                quorate_ct:call(Node, ct_interop, run_by,
                                ['Elixir.InteropElixir', Feature, Targets], 90000);
            false ->
                quorate_ct:call(Node, ct_interop, run, [Feature, Targets], 90000)
        end
    end,
    record(Config, elixir, Run).

erl_interface(Config) ->
    case ?config(transport, Config) of
        tls -> all_no(Config, erl_interface, "the library has no TLS, only callbacks for sockets "
                                             "of one's own");
        plain -> clients(Config, erl_interface, run_ei(Config))
    end.

jinterface(Config) ->
    case ?config(transport, Config) of
        tls -> all_no(Config, jinterface, "the library has no TLS, only an interface for "
                                          "transports of one's own");
        plain -> clients(Config, jinterface, run_java(Config))
    end.

%% The page

the_page_says_what_is_so(Config) ->
    Rows = ets:tab2list(?config(table, Config)),
    Page = filename:join(quorate_ct:top(), "docs/interop.md"),
    case [C || C <- ?COLUMNS, T <- [plain, tls], not lists:keymember({C, T}, 1, columns(Rows))] of
        [] ->
            Text = unicode:characters_to_binary(page(Rows)),
            case os:getenv("QUORATE_WRITE_INTEROP") of
                "1" -> ok = file:write_file(Page, Text);
                _ -> ok
            end,
            ?assertEqual([], [Row || {_, {no, "FAILED" ++ _}} = Row <- Rows]),
            ?assertEqual({ok, Text}, file:read_file(Page));
        Missing ->
            {skip, lists:flatten(io_lib:format("not all columns could be had: ~p", [Missing]))}
    end.

columns(Rows) ->
    lists:usort([{{C, T}, true} || {{_, C, T}, _} <- Rows]).

page(Rows) ->
    Map = maps:from_list(Rows),
    Features = ct_interop:features(),
    Cells = [{{F, C, T}, maps:get({F, C, T}, Map)} || {F, _} <- Features, C <- ?COLUMNS,
                                                      T <- [plain, tls]],
    Reasons = lists:foldl(fun({_, {no, Why}}, Known) ->
                              case lists:member(Why, Known) of
                                  true -> Known;
                                  false -> Known ++ [Why]
                              end;
                             (_, Known) -> Known
                          end, [], Cells),
    ["# Who can do what with a member\n\n",
     "Generated by `make interop` from what `test/erl/interop_SUITE.erl` has seen; a test\n",
     "fails when it is not so. The rows are in `test/erl/ct_interop.erl`, the clients in\n",
     "`test/erl/interop/`. Each cell: plain, then over TLS. A number is the reason below.\n",
     "OTP 29 is seen by `test/erl/dist_SUITE.erl` where it can be had.\n\n",
     "| feature |", [[" ", maps:get(C, ?HEADS), " |"] || C <- ?COLUMNS], "\n",
     "|---|", ["---|" || _ <- ?COLUMNS], "\n",
     [["| ", Words, " |",
       [[" ", cell(maps:get({F, C, plain}, Map), Reasons), " ",
         cell(maps:get({F, C, tls}, Map), Reasons), " |"] || C <- ?COLUMNS], "\n"]
      || {F, Words} <- Features],
     "\n", [[integer_to_list(N), ". ", Why, "\n"] || {N, Why} <- lists:enumerate(Reasons)]].

cell(yes, _) ->
    "yes";
cell({no, Why}, Reasons) ->
    {Before, _} = lists:splitwith(fun(R) -> R =/= Why end, Reasons),
    ["(", integer_to_list(length(Before) + 1), ")"].

%% Nodes

nodes(Config, Column, Options) ->
    Node = start_node(Config, Column, Options),
    Targets = targets(Config, Column),
    record(Config, Column, fun(Feature) ->
        quorate_ct:call(Node, ct_interop, run, [Feature, Targets], 90000)
    end).

start_node(Config, Column, Options) ->
    Args = ["-kernel", "net_ticktime", "4" | maps:get(args, Options, [])],
    Node = quorate_ct:node(?config(context, Config), atom_to_list(Column), Options#{args => Args}),
    ok = quorate_ct:load(Node, [ct_interop]),
    Node.

%% What cuts links comes last and one after the other; ticks need quiet links and
%% a node of their own kind of time, so they go on beside all others.
record(Config, Column, Run) ->
    Cutting = [monitors, links, reconnect, wrong_cookie],
    Features = [F || {F, _} <- ct_interop:features()],
    {Alone, Together} = lists:partition(fun(F) -> lists:member(F, Cutting) end, Features),
    Self = self(),
    Pids = [spawn_link(fun() -> Self ! {self(), F, Run(F)} end) || F <- Together],
    First = [receive {Pid, F, Result} -> {F, Result} end || Pid <- Pids],
    Seen = [{F, Run(F)} || F <- Alone] ++ First,
    store(Config, Column, Seen),
    ?assertEqual([], [{F, Why} || {F, {no, Why}} <- Seen]).

store(Config, Column, Seen) ->
    Transport = ?config(transport, Config),
    true = ets:insert(?config(table, Config),
                      [{{F, Column, Transport}, shown(Result)} || {F, Result} <- Seen]).

shown(yes) -> yes;
shown({reason, Why}) -> {no, Why};
shown({no, Why}) -> {no, "FAILED: " ++ Why}.

elixir_features(Source) ->
    {ok, Text} = file:read_file(Source),
    {match, Names} = re:run(Text, "def feature\\(:([a-z_]+),",
                            [global, {capture, all_but_first, binary}]),
    Known = [F || {F, _} <- ct_interop:features()],
    [F || [Name] <- Names, F <- Known, atom_to_binary(F) =:= Name].

elixir_root(Context) ->
    {0, Output, _} = quorate_ct:run(Context, os:find_executable("elixir"),
                                    ["-e", "IO.puts(:code.lib_dir(:elixir))"], #{}),
    filename:dirname(string:trim(unicode:characters_to_list(Output))).

%% Other clients

all_no(Config, Column, Why) ->
    store(Config, Column, [{F, {reason, Why}} || {F, _} <- ct_interop:features()]).

clients(Config, Column, Output) ->
    Lines = [string:split(L, " ") || L <- string:lexemes(unicode:characters_to_list(Output), "\n")],
    Said = maps:from_list([{Name, Verdict} || [Name, Verdict] <- Lines]),
    Seen = [{F, verdict(Column, F, maps:get(atom_to_list(F), Said, undefined))}
            || {F, _} <- ct_interop:features()],
    store(Config, Column, Seen),
    ?assertEqual([], [{F, Why} || {F, {no, Why}} <- Seen]).

verdict(_, _, "yes") -> yes;
verdict(Column, Feature, undefined) -> {reason, why_not(Column, Feature)};
verdict(_, _, "no: " ++ Why) -> {no, Why}.

why_not(_, Feature) when Feature =:= rpc_call; Feature =:= rpc_cast; Feature =:= rpc_multicall;
                         Feature =:= rpc_async_call; Feature =:= erpc_call; Feature =:= erpc_cast;
                         Feature =:= erpc_multicall; Feature =:= erpc_send_request;
                         Feature =:= erpc_fun; Feature =:= exceptions; Feature =:= spawns;
                         Feature =:= exits; Feature =:= outgoing_calls ->
    "the library knows no spawn requests, of which these consist";
why_not(erl_interface, Feature) when Feature =:= links; Feature =:= outgoing_monitors ->
    "the library has no links and no monitors of its own; it hands on what comes";
why_not(_, Feature) when Feature =:= monitors; Feature =:= gen_call_dead_name;
                         Feature =:= outgoing_monitors ->
    "the library has no monitors, so nobody tells that a name is dead";
why_not(_, aliases) -> "the library has no aliases";
why_not(_, late_replies) -> "the library has no aliases: what comes late comes";
why_not(_, Feature) when Feature =:= multi_call; Feature =:= send_request;
                         Feature =:= many_callers ->
    "a function of Erlang's libraries, made of what the other rows have";
why_not(_, traced) -> "the library sends no trace tokens";
why_not(_, Feature) when Feature =:= ticks; Feature =:= reconnect ->
    "the library leaves that to the program".

run_ei(Config) ->
    #{cookie := Cookie, work := Work} = Context = ?config(context, Config),
    #{member := M, peer := P} = targets(Config, erl_interface),
    Source = filename:join(quorate_ct:top(), "test/erl/interop/ei_client.c"),
    Program = filename:join(Work, "ei_client"),
    Usr = filename:join(code:root_dir(), "usr"),
    ?assertEqual({0, <<>>, <<>>},
                 quorate_ct:run(Context, os:find_executable("gcc"),
                                ["-std=c11", "-D_GNU_SOURCE", "-Wall", "-Wextra", "-Werror",
                                 "-isystem", filename:join(Usr, "include"), Source, "-o", Program,
                                 "-L" ++ filename:join(Usr, "lib"), "-lei", "-pthread"])),
    {0, Output, <<>>} = quorate_ct:run(Context, Program,
                                       ["c@127.0.0.1", atom_to_list(Cookie), atom_to_list(M),
                                        atom_to_list(P)], #{timeout => 60000}),
    Output.

run_java(Config) ->
    #{cookie := Cookie, work := Work} = Context = ?config(context, Config),
    #{member := M, peer := P} = targets(Config, jinterface),
    Source = filename:join(quorate_ct:top(), "test/erl/interop/InteropClient.java"),
    [Jar | _] = filelib:wildcard("/usr/lib/erlang/lib/jinterface-*/priv/OtpErlang.jar")
        ++ filelib:wildcard("/usr/share/java/OtpErlang.jar"),
    {0, _, _} = quorate_ct:run(Context, os:find_executable("javac"),
                               ["-cp", Jar, "-d", Work, Source], #{timeout => 120000}),
    %% The library looks for epmd where the system property says.
    {0, Output, _} =
        quorate_ct:run(Context, os:find_executable("java"),
                       ["-cp", Jar ++ ":" ++ Work, "InteropClient", "java@127.0.0.1",
                        atom_to_list(Cookie), atom_to_list(M), atom_to_list(P)],
                       #{timeout => 120000}),
    Output.

%% Each column has a peer of its own: what happened there is told once.
targets(Config, Column) ->
    Peer = quorate_ct:test_peer(?config(context, Config), "peer_" ++ atom_to_list(Column)),
    (?config(targets, Config))#{peer => Peer}.
