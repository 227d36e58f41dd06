%% SPDX-License-Identifier: Apache-2.0
%% Certificates for the members and nodes of a suite. With over_tls/1 everything
%% that quorate_ct starts speaks TLS; names are then NAME@localhost, since OTP 25
%% takes no certificate for an address.
-module(ct_tls).

-export([over_tls/1, authority/2, issue/3, member_args/2, node_options/3, see/3, forget/1]).

%% An authority of its own, and all that is started from this context by it.
-spec over_tls(quorate_ct:context()) -> quorate_ct:context().
over_tls(Context) ->
    Context#{host => "localhost", pki => authority(Context, "pki")}.

-spec authority(quorate_ct:context(), string()) -> file:filename().
authority(#{work := Work} = Context, Name) ->
    Dir = filename:join(Work, Name),
    {0, _, _} = quorate_ct:run(Context, quorate, ["pki", "init", "--dir", Dir], #{}),
    Dir.

%% The directory of a node's files; made once.
-spec issue(quorate_ct:context(), node() | string(), string()) -> file:filename().
issue(#{pki := Pki} = Context, Node, Role) ->
    Name = lists:flatten(io_lib:format("~s", [Node])),
    Dir = filename:join(Pki, Name),
    case filelib:is_dir(Dir) of
        true ->
            Dir;
        false ->
            %% 75: another one is being made.
            Args = ["pki", "issue", "--dir", Pki, "--role", Role, Name],
            true = quorate_ct:await({issued, Name}, fun() ->
                {Status, _, _} = quorate_ct:run(Context, quorate, Args, #{}),
                true = lists:member(Status, [0, 75]),
                Status =:= 0
            end),
            Dir
    end.

%% Further arguments of a member or of a command that talks to one.
-spec member_args(quorate_ct:context(), node()) -> [string()].
member_args(#{pki := _} = Context, Node) ->
    files(issue(Context, Node, "member"));
member_args(_, _) ->
    [].

files(Dir) ->
    ["--tls-cert-file", filename:join(Dir, "cert.pem"), "--tls-key-file",
     filename:join(Dir, "key.pem"), "--tls-ca-file", filename:join(Dir, "ca.pem")].

%% Options of peer, further arguments of erl.
-spec node_options(quorate_ct:context(), string(), map()) -> {map(), [string()]}.
node_options(#{pki := _, host := Host} = Context, Name, Options) ->
    Dir = issue(Context, Name ++ "@" ++ Host, "worker"),
    ok = see(Context, Options, Dir),
    Conf = maps:get(ssl_dist_conf, Options, filename:join(Dir, "ssl_dist.conf")),
    {#{name => Name, host => Host, longnames => false},
     ["-proto_dist", "inet_tls", "-ssl_dist_optfile", Conf | hosts(Context)]};
node_options(_, Name, _) ->
    {#{name => Name, host => "127.0.0.1", longnames => true}, []}.

%% A root of another release has no file of hosts.
hosts(#{pki := Pki}) ->
    File = filename:join(Pki, "inetrc"),
    ok = file:write_file(File, "{host, {127,0,0,1}, [\"localhost\"]}.\n"
                               "{lookup, [file, native]}.\n"),
    ["-kernel", "inetrc", lists:flatten(io_lib:format("~0p", [File]))].

%% Another release sees only what is in its root: the same files go to the same
%% place there.
-spec see(quorate_ct:context(), map(), file:filename()) -> ok.
see(#{pki := Pki} = Context, #{root := Root}, Dir) ->
    _ = hosts(Context),
    ok = copy(filename:join(Pki, "inetrc"), Root),
    lists:foreach(fun(File) -> ok = copy(File, Root) end, filelib:wildcard(Dir ++ "/*"));
see(_, _, _) ->
    ok.

copy(File, Root) ->
    ok = filelib:ensure_dir(Root ++ File),
    {ok, _} = file:copy(File, Root ++ File),
    ok.

%% Takes it out of all roots again.
-spec forget(quorate_ct:context()) -> ok.
forget(#{work := Work}) ->
    lists:foreach(fun(Release) -> _ = file:del_dir_r(quorate_ct:root(Release) ++ Work) end,
                  ["27", "29"]).
