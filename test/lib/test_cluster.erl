%% SPDX-License-Identifier: Apache-2.0
%% Members and Erlang nodes as operating system processes, for the
%% demonstration and the measurements. Every process id goes into the file
%% `pids` of the work directory, so that whoever started all this can end it.
-module(test_cluster).

-export([start_members/2, start_member/4, start_erl/4, start_elixir/4, start_program/4]).
-export([host/1, place/2]).
-export([main/2, main/3, kill/1, signal/2, signal_all/2, is_running/1, await/3, free_ports/1]).
-export([resident_kib/1, cpu_ms/1]).

%% Without `pki' links are plain, and names end in 127.0.0.1. With it, it is a
%% directory with the files of each node (quorate pki), links are TLS, and names
%% end in localhost, since OTP 25 takes no certificate for an address.
-type context() :: #{
    program := file:filename(),
    ebin := file:filename(),
    work := file:filename(),
    cookie := string(),
    pki => file:filename(),
    member_arguments => [string()]
}.

-spec host(context()) -> string().
host(#{pki := _}) -> "localhost";
host(_) -> "127.0.0.1".

%% Members named Names (before the @), all of them voters: [{Node, OsPid}].
-spec start_members(context(), [string()]) -> [{node(), pos_integer()}].
start_members(Context, Names) ->
    Addresses = place(Context, Names),
    [{node_of(Context, N), start_member(Context, N, P, Addresses)} || {N, P} <- Addresses].

-spec start_member(context(), string(), inet:port_number(), [{string(), inet:port_number()}]) ->
    pos_integer().
start_member(#{program := Program, work := Work} = Context, Name, Port, Voters) ->
    Args =
        [
            "start",
            "--name",
            atom_to_list(node_of(Context, Name)),
            "--cookie-file",
            filename:join(Work, "cookie"),
            "--data-dir",
            filename:join(Work, Name),
            "--listen",
            io_lib:format("127.0.0.1:~b", [Port])
        ] ++
            lists:append([
                ["--member", io_lib:format("~s=127.0.0.1:~b", [node_of(Context, N), P])]
             || {N, P} <- Voters, length(Voters) > 1
            ]) ++
            member_files(Context, Name) ++ maps:get(member_arguments, Context, []),
    spawn_os(Context, Name, Program, Args).

%% Anything else, from the search path.
-spec start_program(context(), string(), string(), [string()]) -> pos_integer().
start_program(Context, Name, Program, Args) ->
    spawn_os(Context, Name, find(Program), Args).

%% An Erlang node; Extra are further arguments of erl.
-spec start_erl(context(), string(), [string()], string()) -> {node(), pos_integer()}.
start_erl(#{cookie := Cookie} = Context, Name, Extra, Eval) ->
    Node = node_of(Context, Name),
    Args =
        ["-noshell", "-noinput", [$- | name_flag(Context)], atom_to_list(Node)] ++
            ["-setcookie", Cookie] ++
            paths(Context) ++ quiet() ++ tls(Context, Name) ++ Extra ++ ["-eval", Eval],
    {Node, spawn_os(Context, Name, find("erl"), Args)}.

%% A node that runs Elixir.
-spec start_elixir(context(), string(), [string()], string()) -> {node(), pos_integer()}.
start_elixir(#{cookie := Cookie} = Context, Name, Extra, Eval) ->
    Node = node_of(Context, Name),
    %% elixir cuts this at blanks, whatever the quotes.
    Flags = lists:flatten(lists:join(" ", quiet() ++ tls(Context, Name) ++ Extra)),
    Args =
        ["--" ++ name_flag(Context), atom_to_list(Node), "--cookie", Cookie, "--erl", Flags] ++
            paths(Context) ++ ["--no-halt", "-e", Eval],
    {Node, spawn_os(Context, Name, find("elixir"), Args)}.

node_of(Context, Name) ->
    list_to_atom(Name ++ "@" ++ host(Context)).

name_flag(#{pki := _}) -> "sname";
name_flag(_) -> "name".

member_files(#{pki := Pki} = Context, Name) ->
    Dir = filename:join(Pki, atom_to_list(node_of(Context, Name))),
    lists:append([
        [Flag, filename:join(Dir, File)]
     || {Flag, File} <- [
            {"--tls-cert-file", "cert.pem"},
            {"--tls-key-file", "key.pem"},
            {"--tls-ca-file", "ca.pem"}
        ]
    ]);
member_files(_, _) ->
    [].

%% How a node speaks to others.
tls(#{pki := Pki} = Context, Name) ->
    Conf = filename:join([Pki, atom_to_list(node_of(Context, Name)), "ssl_dist.conf"]),
    ["-proto_dist", "inet_tls", "-ssl_dist_optfile", Conf];
tls(_, _) ->
    [].

paths(#{ebin := Ebin, work := Work}) ->
    ["-pa", Ebin, "-pa", filename:join(Work, "ebin")].

quiet() ->
    [
        "-kernel",
        "logger_level",
        "error",
        "-kernel",
        "prevent_overlapping_partitions",
        "false"
    ].

find(Name) ->
    case os:find_executable(Name) of
        false -> throw({failed, [Name, " is not installed"]});
        Path -> Path
    end.

%% What the process prints goes to a file; it is ended by its process id.
spawn_os(#{work := Work}, Name, Program, Args) ->
    Log = filename:join(Work, Name ++ ".log"),
    Script = "echo $$; exec \"$0\" \"$@\" >>\"$TEST_LOG\" 2>&1 </dev/null",
    Port = open_port({spawn_executable, "/bin/sh"}, [
        {args, ["-c", Script, Program | [lists:flatten(A) || A <- Args]]},
        {env, [{"TEST_LOG", Log}]},
        {line, 64},
        binary
    ]),
    receive
        {Port, {data, {eol, Text}}} ->
            ok = file:write_file(filename:join(Work, "pids"), [Text, $\n], [append]),
            binary_to_integer(Text)
    after 5000 -> throw({failed, [Program, " did not start"]})
    end.

%% Ports for nodes that are to be started. Without epmd (QUORATE_EPMD_NODES is
%% set) this node and all that it starts from now on know them.
-spec place(context(), [string()]) -> [{string(), inet:port_number()}].
place(Context, Names) ->
    Addresses = lists:zip(Names, free_ports(length(Names))),
    case os:getenv("QUORATE_EPMD_NODES") of
        false ->
            Addresses;
        Known ->
            More = [
                io_lib:format(",~s=127.0.0.1:~b", [node_of(Context, Name), Port])
             || {Name, Port} <- Addresses
            ],
            true = os:putenv("QUORATE_EPMD_NODES", lists:flatten([Known | More])),
            lists:foreach(
                fun({Name, Port}) ->
                    ok = quorate_epmd:put(node_of(Context, Name), {"127.0.0.1", Port})
                end,
                Addresses
            ),
            Addresses
    end.

-spec free_ports(pos_integer()) -> [inet:port_number()].
free_ports(Count) ->
    Sockets = [element(2, gen_tcp:listen(0, [{ip, {127, 0, 0, 1}}])) || _ <- lists:seq(1, Count)],
    Ports = [element(2, inet:port(S)) || S <- Sockets],
    lists:foreach(fun gen_tcp:close/1, Sockets),
    Ports.

-spec kill(pos_integer()) -> ok.
kill(Pid) ->
    signal(Pid, "KILL").

-spec signal(pos_integer(), string()) -> ok.
signal(Pid, Signal) ->
    _ = os:cmd("kill -" ++ Signal ++ " " ++ integer_to_list(Pid)),
    ok.

%% Runs a story to its status, ends all that it started, and halts: with 1 when
%% it failed or a process is still there. `Say' prints as io:format/2 with a new
%% line does.
-spec main(file:filename(), fun(() -> 0..255)) -> no_return().
main(Work, Story) ->
    main(Work, fun(Format, Args) -> io:format(Format ++ "~n", Args) end, Story).

-spec main(file:filename(), fun((string(), [term()]) -> ok), fun(() -> 0..255)) -> no_return().
main(Work, Say, Story) ->
    Code =
        try
            Story()
        catch
            throw:{failed, Why} ->
                Say("FAILED: ~ts", [Why]),
                1;
            Class:Reason:Stack ->
                Say("FAILED: ~p ~p~n~p", [Class, Reason, Stack]),
                1
        end,
    case finish(Work) of
        [] ->
            halt(Code);
        Left ->
            Say("FAILED: processes left behind: ~p", [Left]),
            halt(1)
    end.

%% Ends every process that was started; those that are still there after all.
-spec finish(file:filename()) -> [pos_integer()].
finish(Work) ->
    Pids =
        case file:read_file(filename:join(Work, "pids")) of
            {ok, Text} ->
                Lines = binary:split(Text, <<"\n">>, [global, trim_all]),
                [binary_to_integer(Line) || Line <- Lines];
            _ ->
                []
        end,
    ok = signal_all("TERM", Pids),
    Stubborn = left(Pids, 50),
    ok = signal_all("KILL", Stubborn),
    left(Stubborn, 20).

%% At once, as far as that can be; those that have ended are left out.
-spec signal_all(string(), [pos_integer()]) -> ok.
signal_all(Signal, Pids) ->
    Words = [[" ", integer_to_list(Pid)] || Pid <- Pids],
    _ = os:cmd(lists:flatten(["kill -", Signal, Words, " 2>/dev/null"])),
    ok.

left(Pids, Tries) ->
    case [P || P <- Pids, is_running(P)] of
        [] ->
            [];
        Left when Tries =:= 0 -> Left;
        Left ->
            receive
            after 100 -> left(Left, Tries - 1)
            end
    end.

-spec is_running(pos_integer()) -> boolean().
is_running(Pid) ->
    case file:read_file("/proc/" ++ integer_to_list(Pid) ++ "/stat") of
        {ok, Text} -> binary:match(Text, <<") Z ">>) =:= nomatch;
        _ -> false
    end.

%% Until Check() gives true or {true, Value}; looks again every 50 ms.
-spec await(string(), fun(() -> term()), pos_integer()) -> term().
await(What, Check, TimeoutMs) ->
    await_until(What, Check, erlang:monotonic_time(millisecond) + TimeoutMs).

await_until(What, Check, Deadline) ->
    case Check() of
        true ->
            true;
        {true, Value} ->
            Value;
        _ ->
            erlang:monotonic_time(millisecond) < Deadline orelse
                throw({failed, ["waited in vain for ", What]}),
            receive
            after 50 -> await_until(What, Check, Deadline)
            end
    end.

-spec resident_kib(pos_integer()) -> non_neg_integer().
resident_kib(Pid) ->
    {ok, Text} = file:read_file(io_lib:format("/proc/~b/status", [Pid])),
    {match, [N]} = re:run(Text, "VmRSS:\\s+(\\d+)", [{capture, all_but_first, list}]),
    list_to_integer(N).

%% User and system time so far; a tick is 10 ms.
-spec cpu_ms(pos_integer()) -> non_neg_integer().
cpu_ms(Pid) ->
    {ok, Text} = file:read_file(io_lib:format("/proc/~b/stat", [Pid])),
    [_, Rest] = binary:split(Text, <<") ">>),
    Fields = binary:split(Rest, <<" ">>, [global]),
    10 * (binary_to_integer(lists:nth(12, Fields)) + binary_to_integer(lists:nth(13, Fields))).
