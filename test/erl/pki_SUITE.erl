%% SPDX-License-Identifier: Apache-2.0
%% `quorate pki' and `quorate cookie', and Erlang nodes that connect with what
%% they have made.
-module(pki_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [init_makes_an_authority, init_replaces_nothing, init_refuses_an_open_directory,
     issue_makes_a_node, issue_makes_several, issue_goes_to_another_directory,
     issue_renews_only_by_force, issue_refuses_odd_names, issue_needs_an_authority,
     issue_takes_a_damaged_authority_for_none, issue_warns_of_addresses, show_as_table,
     show_as_json, show_refuses_what_is_no_certificate, cookie_is_printed, cookie_goes_to_a_file,
     usage, help, {group, otp25}, {group, otp27},
     {group, otp29}].

groups() ->
    Cases = [nodes_connect, nodes_take_two_versions_of_tls, another_authority_is_refused],
    [{Release, [], Cases} || Release <- [otp25, otp27, otp29]].

init_per_suite(Config) ->
    [{context, quorate_ct:start(pki)} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

init_per_group(Release, Config) ->
    quorate_ct:in_release(Release, Config).

end_per_group(_, Config) ->
    ct_tls:forget(?config(context, Config)).

init_per_testcase(Case, Config) ->
    #{work := Work} = ?config(context, Config),
    Unique = integer_to_list(erlang:unique_integer([positive])),
    Dir = filename:join(Work, atom_to_list(Case) ++ Unique),
    ok = file:make_dir(Dir),
    ok = file:change_mode(Dir, 8#700),
    [{dir, filename:join(Dir, "pki")} | Config].

end_per_testcase(_, Config) ->
    quorate_ct:end_all(?config(context, Config)).

%% The authority

init_makes_an_authority(Config) ->
    Dir = ?config(dir, Config),
    {0, Text, <<>>} = run(Config, ["pki", "init", "--dir", Dir, "--cluster", "blue one",
                                   "--days", "30"]),
    ?assertNotEqual(nomatch, binary:match(Text, list_to_binary(Dir ++ "/ca.pem"))),
    ?assertEqual(8#700, mode(Dir)),
    ?assertEqual(["ca-key.pem", "ca.pem"], files(Dir)),
    [?assertEqual(8#600, mode(filename:join(Dir, F))) || F <- files(Dir)],
    [Ca] = show(Config, Dir),
    #{<<"subject">> := <<"CN = Quorate CA blue one">>,
      <<"issuer">> := <<"CN = Quorate CA blue one">>, <<"authority">> := true,
      <<"names">> := [], <<"role">> := null, <<"validity">> := <<"valid">>,
      <<"days_left">> := Days} = Ca,
    ?assert(Days =:= 30 orelse Days =:= 29).

init_replaces_nothing(Config) ->
    Dir = init(Config),
    Before = contents(Dir),
    {78, <<>>, Error} = run(Config, ["pki", "init", "--dir", Dir]),
    one_line(Error, "ca.pem is there already"),
    ok = file:delete(filename:join(Dir, "ca.pem")),
    {78, <<>>, KeyError} = run(Config, ["pki", "init", "--dir", Dir]),
    one_line(KeyError, "ca-key.pem is there already"),
    ?assertEqual(maps:remove("ca.pem", Before), contents(Dir)).

init_refuses_an_open_directory(Config) ->
    Dir = ?config(dir, Config),
    ok = file:make_dir(Dir),
    ok = file:change_mode(Dir, 8#777),
    {78, <<>>, Error} = run(Config, ["pki", "init", "--dir", Dir]),
    one_line(Error, "chmod 700"),
    ?assertEqual([], files(Dir)).

%% Nodes

issue_makes_a_node(Config) ->
    Dir = init(Config),
    {0, Printed, <<>>} =
        run(Config, ["pki", "issue", "--dir", Dir, "--name", "q1@db.example.org", "--role",
                     "member", "--san", "DNS:db,IP:10.0.0.1", "--san", "IP:fd00::1", "--days",
                     "7"]),
    Own = filename:join(Dir, "q1@db.example.org"),
    ?assertEqual(8#700, mode(Own)),
    ?assertEqual(["ca-key.pem", "ca.pem", "q1@db.example.org"], files(Dir)),
    ?assertEqual(["ca.pem", "cert.pem", "key.pem", "ssl_dist.conf"], files(Own)),
    [?assertEqual(8#600, mode(filename:join(Own, F))) || F <- files(Own)],
    #{"ca.pem" := Ca, "cert.pem" := Pem, "ssl_dist.conf" := Conf} = contents(Own),
    ?assertMatch(#{"ca.pem" := Ca}, contents(Dir)),
    ?assertNotEqual(nomatch, binary:match(Printed, Conf)),
    [#{<<"subject">> := <<"CN = q1@db.example.org">>, <<"role">> := <<"member">>,
       <<"authority">> := false, <<"names">> := Names}] = show(Config, Own),
    ?assertEqual([<<"DNS:db.example.org">>, <<"email:q1@db.example.org">>,
                  <<"URI:urn:quorate:role:member">>, <<"DNS:db">>, <<"IP:10.0.0.1">>,
                  <<"IP:fd00::1">>], Names),
    %% As Erlang reads it.
    Der = fun(P) -> [{'Certificate', D, not_encrypted}] = public_key:pem_decode(P), D end,
    {ok, _} = public_key:pkix_path_validation(Der(Ca), [Der(Pem)], []),
    ?assert(public_key:pkix_verify_hostname(Der(Pem), [{dns_id, "db.example.org"}])),
    ?assertNot(public_key:pkix_verify_hostname(Der(Pem), [{dns_id, "other.example.org"}])),
    ?assertMatch([{dNSName, "db.example.org"}, {rfc822Name, "q1@db.example.org"},
                  {uniformResourceIdentifier, "urn:quorate:role:member"} | _],
                 alternative_names(Der(Pem))),
    {ok, [[{server, Server}, {client, Client}]]} =
        file:consult(filename:join(Own, "ssl_dist.conf")),
    ?assertEqual(filename:join(Own, "cert.pem"), proplists:get_value(certfile, Client)),
    ?assertEqual(true, proplists:get_value(fail_if_no_peer_cert, Server)),
    [?assertEqual(verify_peer, proplists:get_value(verify, Side)) || Side <- [Server, Client]].

alternative_names(Der) ->
    {'OTPCertificate', ToBeSigned, _, _} = public_key:pkix_decode_cert(Der, otp),
    Extensions = element(tuple_size(ToBeSigned), ToBeSigned),
    {'Extension', _, false, Names} = lists:keyfind({2, 5, 29, 17}, 2, Extensions),
    Names.

issue_makes_several(Config) ->
    Dir = init(Config),
    {0, _, <<>>} = issue(Config, Dir, ["a@localhost", "b@localhost", "--name", "c@localhost"]),
    ?assertEqual([<<"CN = Quorate CA cluster">>, <<"CN = a@localhost">>, <<"CN = b@localhost">>,
                  <<"CN = c@localhost">>],
                 [Subject || #{<<"subject">> := Subject} <- show(Config, Dir)]),
    ?assertEqual([null, <<"client">>, <<"client">>, <<"client">>],
                 [Role || #{<<"role">> := Role} <- show(Config, Dir)]),
    %% All have keys and serials of their own.
    ?assertEqual(4, length(lists:usort([S || #{<<"serial">> := S} <- show(Config, Dir)]))).

issue_goes_to_another_directory(Config) ->
    Dir = init(Config),
    Out = Dir ++ " of \"nodes\" \\",
    {0, _, <<>>} = issue(Config, Dir, ["a@localhost", "--out", Out]),
    ?assertEqual(["ca-key.pem", "ca.pem"], files(Dir)),
    ?assertEqual(["a@localhost"], files(Out)),
    {ok, [[{server, Server} | _]]} =
        file:consult(filename:join([Out, "a@localhost", "ssl_dist.conf"])),
    ?assert(filelib:is_regular(proplists:get_value(keyfile, Server))).

issue_renews_only_by_force(Config) ->
    Dir = init(Config),
    Own = filename:join(Dir, "a@localhost"),
    {0, _, <<>>} = issue(Config, Dir, ["a@localhost"]),
    #{"key.pem" := Key, "cert.pem" := Pem} = Before = contents(Own),
    {78, <<>>, Error} = issue(Config, Dir, ["a@localhost"]),
    one_line(Error, "--force"),
    ?assertEqual(Before, contents(Own)),
    {0, _, <<>>} = issue(Config, Dir, ["a@localhost", "--force", "--role", "worker"]),
    #{"key.pem" := NewKey, "cert.pem" := NewPem} = contents(Own),
    ?assertNotEqual(Key, NewKey),
    ?assertNotEqual(Pem, NewPem),
    ?assertEqual(["a@localhost", "ca-key.pem", "ca.pem"], files(Dir)),
    [#{<<"role">> := <<"worker">>}] = show(Config, Own),
    %% What a run left that was ended half way is no obstacle.
    ok = file:delete(filename:join(Own, "cert.pem")),
    ok = filelib:ensure_dir(filename:join([Dir, ".issue.new", "cert.pem"])),
    ok = file:write_file(filename:join([Dir, ".issue.new", "cert.pem"]), "half"),
    {0, _, <<>>} = issue(Config, Dir, ["a@localhost"]),
    [#{<<"role">> := <<"client">>}] = show(Config, Own),
    ?assertEqual(["a@localhost", "ca-key.pem", "ca.pem"], files(Dir)).

issue_refuses_odd_names(Config) ->
    Dir = init(Config),
    [begin
         {64, <<>>, Error} = issue(Config, Dir, ["good@localhost" | Args]),
         one_line(Error, "will not do")
     end || Args <- [[Name] || Name <- odd_names()] ++ [["--san", San] || San <- odd_sans()]],
    {64, <<>>, Role} = issue(Config, Dir, ["a@localhost", "--role", "king"]),
    one_line(Role, "member, worker or client"),
    ?assertEqual(["ca-key.pem", "ca.pem"], files(Dir)).

odd_names() ->
    ["../x@h", "x@../h", "x@h/..", "/x@h", "x", "@h", "x@", "x@h@i", ".x@h", "x y@h", "x@h..i",
     "x@-\n", "x@" ++ long(254), "x@" ++ long(64), "x\"@h", "x;y@h", "x@[::1]"].

odd_sans() ->
    ["x", "DNS:", "DNS:a b", "DNS:10.0.0.1", "IP:h", "IP:1.2.3", "DNS:a,,DNS:b", "email:x@h"].

long(Size) ->
    lists:duplicate(Size, $x).

issue_needs_an_authority(Config) ->
    Dir = ?config(dir, Config),
    {78, <<>>, Error} = issue(Config, Dir, ["a@localhost"]),
    one_line(Error, "quorate pki init --dir " ++ Dir),
    ?assertNot(filelib:is_dir(Dir)).

issue_takes_a_damaged_authority_for_none(Config) ->
    Dir = init(Config),
    Other = init(Config, Dir ++ "2"),
    Key = filename:join(Dir, "ca-key.pem"),
    {ok, Good} = file:read_file(Key),
    ok = file:change_mode(Key, 8#640),
    {78, <<>>, Open} = issue(Config, Dir, ["a@localhost"]),
    one_line(Open, "chmod 600 " ++ Key),
    ok = file:change_mode(Key, 8#600),
    {ok, _} = file:copy(filename:join(Other, "ca-key.pem"), Key),
    {74, <<>>, Foreign} = issue(Config, Dir, ["a@localhost"]),
    one_line(Foreign, "does not belong to the key"),
    ok = file:write_file(Key, binary:part(Good, 0, byte_size(Good) div 2)),
    {74, <<>>, Cut} = issue(Config, Dir, ["a@localhost"]),
    one_line(Cut, Key),
    ok = file:write_file(Key, Good),
    ok = file:write_file(filename:join(Dir, "ca.pem"), "no certificate"),
    {74, <<>>, None} = issue(Config, Dir, ["a@localhost"]),
    one_line(None, "ca.pem"),
    ?assertEqual(["ca-key.pem", "ca.pem"], files(Dir)),
    %% A node is no authority.
    {0, _, <<>>} = issue(Config, Other, ["a@localhost"]),
    Own = filename:join(Other, "a@localhost"),
    {ok, _} = file:copy(filename:join(Own, "key.pem"), filename:join(Own, "ca-key.pem")),
    ok = file:change_mode(filename:join(Own, "ca-key.pem"), 8#600),
    {ok, _} = file:copy(filename:join(Own, "cert.pem"), filename:join(Own, "ca.pem")),
    {74, <<>>, Leaf} = issue(Config, Own, ["b@localhost"]),
    one_line(Leaf, "not the certificate of an authority").

issue_warns_of_addresses(Config) ->
    Dir = init(Config),
    {0, _, Warning} = issue(Config, Dir, ["a@127.0.0.1"]),
    one_line(Warning, "OTP 25"),
    [#{<<"names">> := [<<"IP:127.0.0.1">> | _]}] =
        show(Config, filename:join(Dir, "a@127.0.0.1")).

%% What certificates say

show_as_table(Config) ->
    Dir = init(Config),
    {0, _, <<>>} = issue(Config, Dir, ["a@localhost", "--role", "worker", "--days", "9000"]),
    {0, Text, <<>>} = run(Config, ["pki", "show", Dir]),
    [?assertMatch({match, _}, re:run(Text, Pattern, [multiline]))
     || Pattern <- ["^subject +CN = a@localhost$", "^issuer +CN = Quorate CA cluster$",
                    "^name +DNS:localhost$", "^role +worker$", "^authority +yes$",
                    "^validity +valid, 36(50|49) days left$", "^sha256 +[0-9a-f]{64}$"]],
    %% It ends with its authority.
    {match, [[End], [End]]} = re:run(Text, "^not_after +(.*)$",
                                     [multiline, global, {capture, all_but_first, binary}]),
    ?assertEqual([], [L || L <- binary:split(Text, <<"\n">>, [global]), byte_size(L) > 80]).

show_as_json(Config) ->
    Dir = init(Config),
    {0, _, <<>>} = issue(Config, Dir, ["a@localhost"]),
    File = filename:join([Dir, "a@localhost", "cert.pem"]),
    {0, Json, <<>>} = run(Config, ["pki", "show", File], [{"QUORATE_OUTPUT", "json"}]),
    #{<<"schema">> := <<"quorate.pki/1">>, <<"certificates">> := [Row]} = ct_json:decode(Json),
    #{<<"file">> := Name, <<"sha256">> := Sha, <<"days_left">> := Days} = Row,
    ?assertEqual(list_to_binary(File), Name),
    ?assert(Days =:= 365 orelse Days =:= 364),
    {ok, Pem} = file:read_file(File),
    [{'Certificate', Der, not_encrypted}] = public_key:pem_decode(Pem),
    ?assertEqual(string:lowercase(binary:encode_hex(crypto:hash(sha256, Der))), Sha),
    %% A chain is several.
    {ok, Ca} = file:read_file(filename:join(Dir, "ca.pem")),
    Chain = filename:join(Dir, "chain.pem"),
    ok = file:write_file(Chain, [Pem, "some words between them\n", Ca]),
    [#{<<"authority">> := false}, #{<<"authority">> := true}] = show(Config, Chain).

show_refuses_what_is_no_certificate(Config) ->
    Dir = init(Config),
    {ok, Pem} = file:read_file(filename:join(Dir, "ca.pem")),
    Bad = filename:join(Dir, "bad.pem"),
    [begin
         ok = file:write_file(Bad, Content),
         {74, <<>>, Error} = run(Config, ["pki", "show", Bad]),
         one_line(Error, Bad)
     end || Content <- ["", "words", binary:part(Pem, 0, 300),
                        binary:replace(Pem, <<"M">>, <<"!">>, [global]),
                        [Pem, binary:part(Pem, 0, 300)], crypto:strong_rand_bytes(5000)]],
    {74, <<>>, Key} = run(Config, ["pki", "show", filename:join(Dir, "ca-key.pem")]),
    one_line(Key, "holds no certificate"),
    {78, <<>>, None} = run(Config, ["pki", "show", Bad ++ ".no"]),
    one_line(None, Bad ++ ".no"),
    ok = file:make_dir(filename:join(Dir, "empty")),
    {78, <<>>, Empty} = run(Config, ["pki", "show", filename:join(Dir, "empty")]),
    one_line(Empty, "neither cert.pem nor ca.pem").

%% Cookies

cookie_is_printed(Config) ->
    Cookies = [begin
                   {0, Text, <<>>} = run(Config, ["cookie", "new"]),
                   ?assertMatch({match, _}, re:run(Text, "^[a-z][a-z2-7]{52}\n$")),
                   Text
               end || _ <- lists:seq(1, 20)],
    ?assertEqual(20, length(lists:usort(Cookies))).

cookie_goes_to_a_file(Config) ->
    File = ?config(dir, Config),
    {0, <<>>, <<>>} = run(Config, ["cookie", "new", "--file", File]),
    ?assertEqual(8#600, mode(File)),
    {ok, Cookie} = file:read_file(File),
    ?assertMatch({match, _}, re:run(Cookie, "^[a-z][a-z2-7]{52}\n$")),
    {78, <<>>, Error} = run(Config, ["cookie", "new", "--file", File]),
    one_line(Error, "is there already"),
    ?assertEqual({ok, Cookie}, file:read_file(File)),
    ok = file:make_symlink(File ++ ".gone", File ++ ".link"),
    {78, <<>>, _} = run(Config, ["cookie", "new", "--file", File ++ ".link"]),
    ?assertNot(filelib:is_file(File ++ ".gone")),
    {74, <<>>, Missing} = run(Config, ["cookie", "new", "--file", File ++ "/in/a/file"]),
    one_line(Missing, File),
    %% A command for a member takes it.
    [Port] = quorate_ct:free_ports(1),
    {69, <<>>, _} = run(Config, ["status", "--cookie-file", File, "-t",
                                 "q@localhost=127.0.0.1:" ++ integer_to_list(Port)]).

%% The command line

usage(Config) ->
    Dir = ?config(dir, Config),
    [begin
         {64, <<>>, Error} = run(Config, Args),
         one_line(Error, About)
     end || {Args, About} <-
                [{["pki"], "`pki init`"}, {["pki", "isue"], "did you mean 'pki issue'"},
                 {["pik"], "did you mean 'pki'"}, {["cookie"], "`cookie new`"},
                 {["pki", "init"], "needs --dir"}, {["pki", "issue", "--dir", Dir], "NAME@HOST"},
                 {["pki", "show"], "FILE|DIR"}, {["pki", "show", "a", "b"], "one word too many"},
                 {["pki", "init", "--dir", Dir, "--days", "0"], "--days"},
                 {["pki", "init", "--dir", Dir, "--days", "36501"], "--days"},
                 {["pki", "init", "--dir", Dir, "--cluster", "a/b"], "a/b"},
                 {["pki", "init", "--dir", Dir, "--role", "member"], "--role"},
                 {["pki", "init", "--dir", Dir, "--cookie-file", "c"], "--cookie-file"},
                 {["pki", "init", "--dir", Dir, "-t", "q@h"], "--target"},
                 {["pki", "issue", "--dir", Dir, "--force=yes", "a@h"], "takes no value"},
                 {["cookie", "new", "--dir", Dir], "--dir"},
                 {["status", "--dir", Dir], "--dir is not an option of `quorate status`"}]],
    ?assertNot(filelib:is_dir(Dir)).

help(Config) ->
    [begin
         {0, Text, <<>>} = run(Config, Args),
         ?assertNotEqual(nomatch, binary:match(Text, list_to_binary(About))),
         ?assertEqual([], [L || L <- binary:split(Text, <<"\n">>, [global]), byte_size(L) > 80])
     end || {Args, About} <- [{["help"], "pki issue"}, {["help", "pki"], "pki show"},
                              {["pki", "--help"], "pki show"}, {["help", "pki", "issue"], "--san"},
                              {["pki", "issue", "-h"], "--force"},
                              {["cookie", "new", "--help"], "--file"}]].

%% Erlang nodes

nodes_connect(Config) ->
    [A, B] = two_nodes(Config, init(Config)),
    ?assertEqual(pong, ping(A, B)),
    ?assertEqual([name(B)], quorate_ct:call(A, erlang, nodes, [])),
    Text = binary:copy(<<"x">>, 100000),
    ?assertEqual(100000, quorate_ct:call(A, rpc, call, [name(B), erlang, byte_size, [Text]])).

%% A client of each version at the port of a node, and one that has nothing to show.
nodes_take_two_versions_of_tls(Config) ->
    [A, B] = two_nodes(Config, init(Config)),
    {ok, [[{server, Server} | _]]} = file:consult(conf(Config, A)),
    ?assertEqual(['tlsv1.3', 'tlsv1.2'], proplists:get_value(versions, Server)),
    ?assertEqual(pong, ping(A, B)),
    Own = filename:dirname(conf(Config, A)),
    {port, Port, _} = quorate_ct:call(A, erl_epmd, port_please, ["b", {127, 0, 0, 1}]),
    Options = [{certfile, filename:join(Own, "cert.pem")}, {keyfile, filename:join(Own, "key.pem")},
               {cacertfile, filename:join(Own, "ca.pem")}, {verify, verify_peer},
               {server_name_indication, "localhost"}, {active, false}],
    {ok, _} = application:ensure_all_started(ssl),
    [begin
         {ok, Socket} = ssl:connect({127, 0, 0, 1}, Port, [{versions, [Version]} | Options]),
         ?assertEqual({ok, [{protocol, Version}]}, ssl:connection_information(Socket, [protocol])),
         ok = ssl:close(Socket)
     end || Version <- ['tlsv1.3', 'tlsv1.2']],
    Without = proplists:delete(certfile, proplists:delete(keyfile, Options)),
    ?assertMatch({error, {tls_alert, _}},
                 ssl:connect({127, 0, 0, 1}, Port, [{versions, ['tlsv1.2']} | Without])).

%% Two of another authority know each other, but nobody of the first one.
another_authority_is_refused(Config) ->
    Dir = ?config(dir, Config),
    [A, B] = two_nodes(Config, init(Config)),
    Foreign = init(Config, Dir ++ "2"),
    [C, D] = nodes(Config, Foreign, ["c", "d"]),
    ?assertEqual(pong, ping(A, B)),
    ?assertEqual(pong, ping(C, D)),
    [?assertEqual(pang, ping(From, To)) || {From, To} <- [{A, C}, {C, A}, {D, B}, {B, D}]],
    ?assertEqual([name(B)], quorate_ct:call(A, erlang, nodes, [])).

%% Internals

two_nodes(Config, Dir) ->
    nodes(Config, Dir, ["a", "b"]).

%% Nodes on this host with the certificates and the options that were issued.
nodes(Config, Dir, Names) ->
    Full = [Name ++ "@localhost" || Name <- Names],
    {0, _, <<>>} = issue(Config, Dir, Full ++ ["--role", "worker"]),
    [begin
         Context = (?config(context, Config))#{host => "localhost", pki => Dir},
         Node = quorate_ct:node(Context, Name, ?config(options, Config)),
         Node#{conf => filename:join([Dir, Name ++ "@localhost", "ssl_dist.conf"])}
     end || Name <- Names].

conf(_, #{conf := Conf}) ->
    Conf.

name(#{node := Name}) ->
    Name.

ping(From, To) ->
    quorate_ct:call(From, net_adm, ping, [name(To)]).

run(Config, Args) ->
    run(Config, Args, []).

run(Config, Args, Env) ->
    quorate_ct:run(?config(context, Config), quorate, Args, #{env => Env, timeout => 20000}).

init(Config) ->
    init(Config, ?config(dir, Config)).

init(Config, Dir) ->
    {0, _, <<>>} = run(Config, ["pki", "init", "--dir", Dir]),
    Dir.

issue(Config, Dir, Args) ->
    run(Config, ["pki", "issue", "--dir", Dir | Args]).

show(Config, Path) ->
    {0, Json, <<>>} = run(Config, ["pki", "show", Path, "-o", "json"]),
    #{<<"schema">> := <<"quorate.pki/1">>, <<"certificates">> := Rows} = ct_json:decode(Json),
    Rows.

files(Dir) ->
    {ok, Names} = file:list_dir_all(Dir),
    lists:sort(Names).

%% Name and content of the regular files.
contents(Dir) ->
    maps:from_list([{File, element(2, {ok, _} = file:read_file(filename:join(Dir, File)))}
                    || File <- files(Dir), filelib:is_regular(filename:join(Dir, File))]).

mode(Path) ->
    {ok, Info} = file:read_file_info(Path),
    element(8, Info) band 8#777.

%% One line that begins with our name and says what it is about.
one_line(Error, About) ->
    ?assertEqual(1, length(binary:matches(Error, <<"\n">>))),
    ?assertMatch(<<"quorate: ", _/binary>>, Error),
    ?assertNotEqual(nomatch, binary:match(Error, list_to_binary(About))).
