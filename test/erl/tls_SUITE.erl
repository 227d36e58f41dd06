%% SPDX-License-Identifier: Apache-2.0
%% Members over TLS: real nodes of three releases, both directions, both versions,
%% and everybody who must be refused.
-module(tls_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

suite() ->
    [{timetrap, {seconds, 120}}].

all() ->
    [{group, otp25}, {group, otp27}, {group, otp29}, sandboxes_survive, an_embedded_member,
     commands_use_tls, expired_is_refused, another_authority_is_refused,
     another_name_is_refused, without_a_certificate_is_refused, plain_is_refused,
     files_that_are_wrong_keep_it_from_starting, new_files_count_from_a_hangup_on].

groups() ->
    Cases = [both_versions, calls_and_casts, big_values, renegotiation],
    [{Release, [], Cases} || Release <- [otp25, otp27, otp29]].

init_per_suite(Config) ->
    ct_cluster:start(ct_tls:over_tls(quorate_ct:start(tls)), Config).

end_per_suite(Config) ->
    ct_cluster:stop(Config).

init_per_group(Release, Config) ->
    quorate_ct:in_release(Release, Config).

end_per_group(_, _) ->
    ok.

%% Nodes of three releases

both_versions(Config) ->
    [begin
         Node = versioned(Config, [Version], []),
         [?assertEqual(pong, ping(Node, M)) || M <- members(Config)],
         ok = quorate_ct:kill_node(?config(context, Config), Node)
     end || Version <- ['tlsv1.2', 'tlsv1.3']].

calls_and_casts(Config) ->
    Node = versioned(Config, ['tlsv1.3', 'tlsv1.2'], []),
    [#{node := M} | _] = Members = members(Config),
    Nodes = [N || #{node := N} <- Members],
    Version = <<"0.1.0">>,
    ?assertEqual(Version, quorate_ct:call(Node, rpc, call, [M, quorate, version, []])),
    ?assertEqual(Version, quorate_ct:call(Node, erpc, call, [M, quorate, version, []])),
    ?assertEqual(Version, quorate_ct:call(Node, gen_server, call,
                                          [{quorate, M}, {quorate, version, []}])),
    ?assertEqual([{ok, Version} || _ <- Nodes],
                 quorate_ct:call(Node, erpc, multicall, [Nodes, quorate, version, []])),
    ok = quorate_ct:kill_node(?config(context, Config), Node).

%% Much more than a record, both ways. The value is made on the node: on its way from
%% here, through a pipe, it would take half a minute. Later releases than ours do not load
%% what ours has compiled, so that they evaluate it.
big_values(Config) ->
    Node = versioned(Config, ['tlsv1.3', 'tlsv1.2'], []),
    [#{node := M} | _] = members(Config),
    Text = "fun() ->
                Name = binary:copy(<<\"n\">>, 20 * 1024 * 1024),
                {error, {badarg, name}} = erpc:call(M, consistency_manager, whereis, [Name]),
                {badrpc, {'EXIT', {undef, [{nothing, here, [Name], []}]}}} =
                    rpc:call(M, nothing, here, [Name]),
                both
            end().",
    {ok, Tokens, _} = erl_scan:string(Text),
    {ok, Exprs} = erl_parse:parse_exprs(Tokens),
    ?assertMatch({value, both, _},
                 quorate_ct:call(Node, erl_eval, exprs, [Exprs, [{'M', M}]])),
    ok = quorate_ct:kill_node(?config(context, Config), Node).

%% Erlang does so after 2^28 records, and drops a link that refuses.
renegotiation(Config) ->
    [begin
         Node = versioned(Config, [Version], [Option]),
         [#{node := M} | _] = members(Config),
         Calls = [quorate_ct:call(Node, gen_server, call, [{quorate, M}, {quorate, version, []}])
                  || _ <- lists:seq(1, 300)],
         ?assertEqual([<<"0.1.0">>], lists:usort(Calls)),
         ?assertEqual([M], quorate_ct:call(Node, erlang, nodes, [hidden])),
         ok = quorate_ct:kill_node(?config(context, Config), Node)
     end || {Version, Option} <- [{'tlsv1.2', {renegotiate_at, 50}},
                                  {'tlsv1.3', {key_update_at, 5000}}]].

%% What the cluster is for

sandboxes_survive(Config) ->
    Context = ?config(context, Config),
    [A, B, _] = Members = members(Config),
    Capacity = #{cpu => 1000, memory => 100, sandboxes => 10},
    Workers = [quorate_ct:worker(Context, Name, [Home | Members], Capacity)
               || {Name, Home} <- [{"w1", A}, {"w2", B}]],
    _ = [quorate_ct:await_worker(client(Config), A, W) || W <- Workers],
    {ok, #{worker := Owner, epoch := Epoch}} =
        quorate_ct:ask(client(Config), A, {quorate, create_sandbox},
                       [<<"over-tls">>, ct_counter:spec()]),
    {ok, _} = quorate_ct:ask(client(Config), A, {state_replicator, replicate_state},
                             [<<"over-tls">>, Epoch, 7]),
    [Killed] = [W || #{node := N} = W <- Workers, N =:= Owner],
    ok = quorate_ct:kill_node(Context, Killed),
    true = quorate_ct:await(moved, fun() ->
        case quorate_ct:ask(client(Config), A, {quorate, sandbox}, [<<"over-tls">>]) of
            {ok, #{status := running, worker := N}} -> N =/= Owner;
            _ -> false
        end
    end),
    {ok, 7, _} = quorate_ct:ask(client(Config), A, {state_replicator, recover_state},
                                [<<"over-tls">>]),
    ok = quorate_ct:clear(Context, client(Config), Members, Workers -- [Killed]).

commands_use_tls(Config) ->
    Context = ?config(context, Config),
    #{work := Work} = Context,
    [#{node := M, port := Port} | _] = members(Config),
    Target = lists:flatten(io_lib:format("~s=127.0.0.1:~b", [M, Port])),
    Args = ["status", "-t", Target, "-o", "json", "--cookie-file", filename:join(Work, "cookie")],
    %% With the certificate of a person, and with the member's own.
    _ = ct_tls:issue(Context, "ops@localhost", "client"),
    [begin
         {0, Text, <<>>} =
             quorate_ct:run(Context, quorate, Args ++ ct_tls:member_args(Context, Node), #{}),
         ?assertMatch(#{<<"members_up">> := 3}, ct_json:decode(Text))
     end || Node <- ['ops@localhost', M]],
    {69, <<>>, Error} = quorate_ct:run(Context, quorate, Args, #{}),
    ?assertNotEqual(nomatch, binary:match(Error, <<"TLS only">>)),
    {78, <<>>, Missing} =
        quorate_ct:run(Context, quorate, Args ++ ["--tls-cert-file", "x"], #{}),
    ?assertNotEqual(nomatch, binary:match(Missing, <<"--tls-key-file">>)).

%% Who is refused, and what the log says of it

expired_is_refused(Config) ->
    #{pki := Pki} = Context = ?config(context, Config),
    Dir = ct_tls:issue(Context, "late@localhost", "worker"),
    expire(Pki, Dir),
    refused(Config, "late", Dir, "the peer's certificate has expired").

another_authority_is_refused(Config) ->
    Context = ?config(context, Config),
    Foreign = Context#{pki := ct_tls:authority(Context, "foreign")},
    Dir = ct_tls:issue(Foreign, "foreign@localhost", "worker"),
    %% It trusts ours, so that it is we who refuse.
    {ok, _} = file:copy(filename:join(maps:get(pki, Context), "ca.pem"),
                        filename:join(Dir, "ca.pem")),
    refused(Config, "foreign", Dir, "the peer's certificate is of another authority").

another_name_is_refused(Config) ->
    Dir = ct_tls:issue(?config(context, Config), "somebody@localhost", "worker"),
    refused(Config, "nobody", Dir, "the peer's certificate is of another node").

without_a_certificate_is_refused(Config) ->
    #{work := Work, pki := Pki} = ?config(context, Config),
    Conf = filename:join(Work, "bare.conf"),
    Client = [{cacertfile, filename:join(Pki, "ca.pem")}, {verify, verify_peer}],
    ok = file:write_file(Conf, io_lib:format("~p.~n", [[{server, []}, {client, Client}]])),
    refused_conf(Config, "bare", Conf, "the peer has no certificate").

plain_is_refused(Config) ->
    Context = ?config(context, Config),
    Node = quorate_ct:node(Context, "plain",
                           #{name => false, args => ["-sname", "plain@localhost"]}),
    turned_away(Config, Node, "the peer does not speak TLS").

files_that_are_wrong_keep_it_from_starting(Config) ->
    #{work := Work} = Context = ?config(context, Config),
    [#{node := M} | _] = members(Config),
    Start = ["start", "--name", "q9@localhost", "--cookie-file", filename:join(Work, "cookie"),
             "--data-dir", filename:join(Work, "q9"), "--epmd", "false"],
    Files = ct_tls:member_args(Context, M),
    [begin
         {Code, <<>>, Log} = quorate_ct:run(Context, quorate, Start ++ Args, #{}),
         ?assertNotEqual(nomatch, binary:match(Log, list_to_binary(Why)))
     end || {Args, Code, Why} <-
                [{lists:sublist(Files, 2), 78, "--tls-key-file"},
                 {Files ++ ["--tls-ca-file", "/nowhere/ca.pem"], 78, "/nowhere/ca.pem"},
                 {Files ++ ["--tls-cert-file", lists:nth(4, Files)], 78, "holds no certificate"},
                 {Files ++ ["--verify-name", "perhaps"], 64, "strict or off"}]].

%% Links stay, new ones are made with the new files, and broken ones change nothing.
new_files_count_from_a_hangup_on(Config) ->
    Context = ?config(context, Config),
    Client = client(Config),
    [M | _] = members(Config),
    #{node := Name} = M,
    Dir = ct_tls:issue(Context, Name, "member"),
    Cert = filename:join(Dir, "cert.pem"),
    {ok, Old} = file:read_file(Cert),
    Caller = calling(Client, Name),
    ok = file:write_file(Cert, "broken"),
    ok = hangup(Context, M, <<"tls_reload_failed">>),
    ?assertEqual(pong, ping(fresh(Context, "after1"), M)),
    ok = file:write_file(Cert, Old),
    {0, _, _} = quorate_ct:run(Context, quorate,
                               ["pki", "issue", "--dir", maps:get(pki, Context), "--role", "member",
                                "--force", atom_to_list(Name)], #{}),
    ?assertNotEqual({ok, Old}, file:read_file(Cert)),
    ok = hangup(Context, M, <<"event=tls_reloaded">>),
    ?assertEqual(pong, ping(fresh(Context, "after2"), M)),
    Caller ! {stop, self()},
    receive
        {calls, Count, Failed} -> ?assertMatch({true, []}, {Count > 0, Failed})
    after 20000 -> ct:fail(no_calls)
    end.

%% An application that starts its own member, on a node that speaks TLS.
an_embedded_member(Config) ->
    #{work := Work} = Context = ?config(context, Config),
    Node = quorate_ct:node(Context, "embedding"),
    ok = quorate_ct:call(Node, application, load, [quorate]),
    Own = 'quorate-embedding@localhost',
    Settings = [{data_dir, filename:join(Work, "embedded")}],
    ok = quorate_ct:call(Node, application, set_env, [[{quorate, Settings}]]),
    {error, Reason} = quorate_ct:call(Node, application, ensure_all_started, [quorate]),
    ?assertNotEqual(nomatch, string:find(io_lib:format("~p", [Reason]), "pki issue")),
    Dir = ct_tls:issue(Context, Own, "member"),
    Tls = maps:from_list([{Key, filename:join(Dir, File)}
                          || {Key, File} <- [{cert_file, "cert.pem"}, {key_file, "key.pem"},
                                             {ca_file, "ca.pem"}]]),
    ok = quorate_ct:call(Node, application, set_env, [[{quorate, [{tls, Tls} | Settings]}]]),
    {ok, _} = quorate_ct:call(Node, application, ensure_all_started, [quorate]),
    ?assertMatch(#{name := Own, workers := 1}, quorate_ct:call(Node, quorate, status, [])),
    ok = quorate_ct:call(Node, application, stop, [quorate]),
    ok = quorate_ct:kill_node(Context, Node).

%% Internals

members(Config) ->
    ?config(members, Config).

client(Config) ->
    ?config(client, Config).

ping(Node, #{node := M}) ->
    quorate_ct:call(Node, net_adm, ping, [M]).

fresh(Context, Name) ->
    quorate_ct:node(Context, Name).

%% A node that offers these versions, and has further options.
versioned(Config, Versions, More) ->
    Context = ?config(context, Config),
    Options = ?config(options, Config),
    %% One that a case left behind when it failed does not keep the next from starting.
    Name = lists:concat(["versioned", erlang:unique_integer([positive])]),
    Dir = ct_tls:issue(Context, Name ++ "@localhost", "worker"),
    {ok, [Issued]} = file:consult(filename:join(Dir, "ssl_dist.conf")),
    Conf = filename:join(Dir, "versioned.conf"),
    Changed = [{Role, More ++ lists:keystore(versions, 1, All, {versions, Versions})}
               || {Role, All} <- Issued],
    ok = file:write_file(Conf, io_lib:format("~p.~n", [Changed])),
    quorate_ct:node(Context, Name, Options#{ssl_dist_conf => Conf}).

%% Signs the certificate in Dir anew, with an end that has passed.
expire(Pki, Dir) ->
    {ok, Pem} = file:read_file(filename:join(Dir, "cert.pem")),
    [{'Certificate', Der, not_encrypted} | _] = public_key:pem_decode(Pem),
    {'OTPCertificate', Tbs, _, _} = public_key:pkix_decode_cert(Der, otp),
    {ok, KeyPem} = file:read_file(filename:join(Pki, "ca-key.pem")),
    [Entry | _] = public_key:pem_decode(KeyPem),
    Key = public_key:pem_entry_decode(Entry),
    %% OTPTBSCertificate: the validity is the sixth element of the record.
    {'Validity', _, _} = element(6, Tbs),
    Past = {'Validity', {utcTime, "200101000000Z"}, {utcTime, "200201000000Z"}},
    Signed = public_key:pkix_sign(setelement(6, Tbs, Past), Key),
    ok = file:write_file(filename:join(Dir, "cert.pem"),
                         public_key:pem_encode([{'Certificate', Signed, not_encrypted}])).

refused(Config, Name, Dir, Why) ->
    #{pki := Pki} = ?config(context, Config),
    Files = [{certfile, filename:join(Dir, "cert.pem")}, {keyfile, filename:join(Dir, "key.pem")},
             {cacertfile, filename:join(Pki, "ca.pem")}, {verify, verify_peer}],
    Conf = filename:join(Dir, "refused.conf"),
    ok = file:write_file(Conf, io_lib:format("~p.~n", [[{server, Files}, {client, Files}]])),
    refused_conf(Config, Name, Conf, Why).

refused_conf(Config, Name, Conf, Why) ->
    Context = ?config(context, Config),
    Node = quorate_ct:node(Context, Name,
                           #{name => false, args => ["-sname", Name ++ "@localhost", "-proto_dist",
                                                     "inet_tls", "-ssl_dist_optfile", Conf]}),
    turned_away(Config, Node, Why).

turned_away(Config, Node, Why) ->
    Context = ?config(context, Config),
    [M | _] = members(Config),
    ?assertEqual(pang, ping(Node, M)),
    Line = list_to_binary("reason=\"" ++ Why ++ "\""),
    true = quorate_ct:await({logged, Why}, fun() ->
        binary:match(quorate_ct:log_of(Context, M), Line) =/= nomatch
    end),
    ok = quorate_ct:kill_node(Context, Node).

hangup(Context, #{node := Node} = M, Event) ->
    [Name, _] = string:split(atom_to_list(Node), "@"),
    ok = quorate_ct:signal(quorate_ct:os_pid(Context, Name), "HUP"),
    true = quorate_ct:await(Event, fun() ->
        binary:match(quorate_ct:log_of(Context, M), Event) =/= nomatch
    end),
    ok.

%% A process of ours that calls all the time, and tells in the end.
calling(Client, Member) ->
    spawn_link(fun() -> calling(Client, Member, 0, []) end).

calling(Client, Member, Count, Failed) ->
    receive
        {stop, From} -> From ! {calls, Count, Failed}
    after 0 ->
        case quorate_ct:call(Client, rpc, call, [Member, quorate, version, []]) of
            <<_/binary>> -> calling(Client, Member, Count + 1, Failed);
            Other -> calling(Client, Member, Count + 1, [Other | Failed])
        end
    end.
