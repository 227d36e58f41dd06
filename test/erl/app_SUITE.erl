%% SPDX-License-Identifier: Apache-2.0
%% The application `quorate' on a node: with a member of its own, which must
%% never outlive the node, and with members that run by themselves.
-module(app_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(GONE_MS, 1000).

suite() ->
    [{timetrap, {seconds, 90}}].

all() ->
    [embedded_by_default, not_distributed, restart_keeps_the_data, node_killed_keeps_the_data,
     member_killed_is_started_again, stop_ends_the_member, member_ends_with_its_node,
     member_ends_with_its_node_20, node_killed_while_starting, node_halts, existing_members,
     existing_members_that_are_not_there, wrong_program, program_is_no_member, unknown_setting,
     wrong_settings, data_directory_in_use, supervised_with_voters, under_another_supervisor,
     functions_without_the_application].

init_per_suite(Config) ->
    [{context, quorate_ct:start(app)} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

%% No process of a case may be there after it.
end_per_testcase(_, Config) ->
    #{work := Work} = Context = ?config(context, Config),
    ok = quorate_ct:end_all(Context),
    quorate_ct:await(no_member_left, fun() -> members_in(Work) =:= [] end, 5000).

%% With a member of its own

%% No configuration whatever.
embedded_by_default(Config) ->
    Node = node(Config, "embedded"),
    {Took, {ok, _}} = quorate_ct:take_time(fun() -> start(Node) end),
    ct:pal("started in ~b ms", [Took]),
    Status = quorate_ct:call(Node, quorate, status, []),
    #{name := 'quorate-embedded@127.0.0.1', role := leader, quorum := true, members := 1,
      workers := 1} = Status,
    [#{name := 'embedded@127.0.0.1', up := true}] = quorate_ct:call(Node, quorate, workers, []),
    {ok, #{status := running, worker := 'embedded@127.0.0.1', pid := Pid, epoch := Epoch}} =
        quorate_ct:call(Node, quorate, create_sandbox, [box, ct_counter:spec()]),
    {ok, 1} = quorate_ct:call(Node, ct_counter, add, [Pid]),
    ?assertEqual({ok, 1, {Epoch, 1}}, quorate_ct:call(Node, quorate, recover_state, [box])),
    %% A member is no node of theirs: they see it only if they look.
    ?assertEqual([], quorate_ct:call(Node, erlang, nodes, [])),
    ?assertEqual(['quorate-embedded@127.0.0.1'], quorate_ct:call(Node, erlang, nodes, [hidden])),
    %% Its data are in a directory of its own, under the user's.
    #{work := Work} = ?config(context, Config),
    [Identity] = filelib:wildcard(filename:join(Work, "embedded-home/**/identity")),
    ?assertNotEqual(nomatch, string:find(Identity, "embedded@127.0.0.1")).

%% One line that says what to do.
not_distributed(Config) ->
    Node = node(Config, "nobody", #{name => false}),
    Text = reason(start(Node)),
    one_line(Text, ["not distributed", "-sname"]).

restart_keeps_the_data(Config) ->
    Node = node(Config, "again"),
    {ok, _} = start(Node),
    {Epoch, Pid} = counter(Node, kept, 3),
    ok = quorate_ct:call(Node, application, stop, [quorate]),
    ?assertNot(quorate_ct:call(Node, erlang, is_process_alive, [Pid])),
    {ok, _} = start(Node),
    kept(Node, kept, Epoch, 3).

node_killed_keeps_the_data(Config) ->
    Node = node(Config, "phoenix"),
    {ok, _} = start(Node),
    {Epoch, _} = counter(Node, kept, 3),
    ok = quorate_ct:kill_node(?config(context, Config), Node),
    Reborn = node(Config, "phoenix"),
    {ok, _} = start(Reborn),
    kept(Reborn, kept, Epoch, 3).

%% The sandboxes do not even notice.
member_killed_is_started_again(Config) ->
    Node = node(Config, "keeper"),
    {ok, _} = start(Node),
    {Epoch, Pid} = counter(Node, kept, 3),
    [Member] = member_pids(Node),
    ok = quorate_ct:signal(Member, "KILL"),
    true = quorate_ct:await(another_member, fun() ->
        case member_pids(Node) of
            [Other] when Other =/= Member ->
                quorate_ct:call(Node, quorate, has_quorum, []);
            _ ->
                false
        end
    end),
    {ok, #{epoch := Epoch, pid := Pid, status := running}} =
        quorate_ct:await(sandbox_known, fun() ->
            case quorate_ct:call(Node, quorate, sandbox, [kept]) of
                {ok, #{status := running}} = Found -> {true, Found};
                _ -> false
            end
        end),
    {ok, 4} = quorate_ct:call(Node, ct_counter, add, [Pid]).

stop_ends_the_member(Config) ->
    Node = node(Config, "stopper"),
    {ok, _} = start(Node),
    [Member] = member_pids(Node),
    ok = quorate_ct:call(Node, application, stop, [quorate]),
    %% Whoever starts one next finds the directory free.
    ?assertNot(quorate_ct:is_os_process(Member)).

member_ends_with_its_node(Config) ->
    Node = node(Config, "mortal"),
    {ok, _} = start(Node),
    [Member] = member_pids(Node),
    ok = quorate_ct:kill_node(?config(context, Config), Node),
    quorate_ct:await(member_gone, fun() -> not quorate_ct:is_os_process(Member) end, ?GONE_MS).

%% Twenty times, five at once, with sandboxes that write.
member_ends_with_its_node_20(Config) ->
    Tell = self(),
    [begin
         Runs = [spawn_link(fun() -> Tell ! {self(), end_of(Config, 5 * Round + N)} end)
                 || N <- lists:seq(1, 5)],
         [receive {Run, Result} -> ?assertEqual(gone, Result) end || Run <- Runs]
     end || Round <- lists:seq(0, 3)],
    ok.

end_of(Config, N) ->
    Node = node(Config, "twenty" ++ integer_to_list(N)),
    {ok, _} = start(Node),
    {_, Pid} = counter(Node, busy, 1),
    _ = quorate_ct:on(Node, fun() -> spawn(fun() -> count(Pid) end) end),
    [Member] = member_pids(Node),
    ok = quorate_ct:kill_node(?config(context, Config), Node),
    Gone = fun() -> not quorate_ct:is_os_process(Member) end,
    case quorate_ct:await({member_gone, N}, Gone, ?GONE_MS) of
        true -> gone
    end.

count(Pid) ->
    {ok, _} = ct_counter:add(Pid),
    count(Pid).

%% At whatever point of the start: no member stays behind.
node_killed_while_starting(Config) ->
    #{work := Work} = Context = ?config(context, Config),
    [begin
         Node = node(Config, "early" ++ integer_to_list(Ms)),
         Starter = spawn(fun() -> start(Node) end),
         receive
         after Ms -> ok
         end,
         ok = quorate_ct:kill_node(Context, Node),
         true = exit(Starter, kill),
         quorate_ct:await({no_member_left, Ms}, fun() -> members_in(Work) =:= [] end, ?GONE_MS)
     end || Ms <- [0, 20, 40, 60, 80, 120, 200]],
    ok.

node_halts(Config) ->
    Node = node(Config, "halting"),
    {ok, _} = start(Node),
    [Member] = member_pids(Node),
    #{peer := Peer} = Node,
    ok = peer:cast(Peer, erlang, halt, [0]),
    quorate_ct:await(member_gone, fun() -> not quorate_ct:is_os_process(Member) end, 3000).

%% With other members

existing_members(Config) ->
    Context = ?config(context, Config),
    [Member] = quorate_ct:members(Context, ["standalone"]),
    Node = node(Config, "attached"),
    {ok, _} = start(Node, [{member, {existing, ['standalone@127.0.0.1']}},
                           {capacity, #{cpu => 1500, memory => 512, sandboxes => 7}}]),
    ?assertEqual([], member_pids(Node)),
    #{capacity := #{cpu := 1500, memory := 512, sandboxes := 7}} =
        quorate_ct:await_worker(Node, Member, Node),
    {Epoch, _} = counter(Node, kept, 2),
    %% The node goes, the member stays, and remembers.
    ok = quorate_ct:kill_node(Context, Node),
    Reborn = node(Config, "attached"),
    {ok, _} = start(Reborn, [{member, {existing, ['standalone@127.0.0.1']}}]),
    kept(Reborn, kept, Epoch, 2),
    ?assertEqual(0, quorate_ct:stop_member(Context, Member, "TERM")).

%% A cluster may be down while a node starts: it attaches later.
existing_members_that_are_not_there(Config) ->
    Context = ?config(context, Config),
    [Port] = quorate_ct:free_ports(1),
    Member = quorate_ct:member(Context, "late", [{"late", Port}], []),
    Node = node(Config, "early"),
    {ok, _} = start(Node, [{member, {existing, ['late@127.0.0.1']}}]),
    {Took, Answer} = quorate_ct:take_time(fun() -> quorate_ct:call(Node, quorate, status, []) end),
    ?assertMatch({error, _}, Answer),
    ?assert(Took < 7000),
    _ = quorate_ct:start_member(Context, Member),
    _ = quorate_ct:await_worker(Node, Member, Node),
    {ok, _} = quorate_ct:call(Node, quorate, create_sandbox, [box, ct_counter:spec()]),
    ?assertEqual(0, quorate_ct:stop_member(Context, Member, "TERM")).

%% Configuration

wrong_program(Config) ->
    Node = node(Config, "noprogram"),
    Text = reason(start(Node, [{daemon_path, "/no/such/quorate"}])),
    one_line(Text, ["/no/such/quorate", "daemon_path"]).

%% It is a program, but none of ours: said within a bounded time.
program_is_no_member(Config) ->
    #{work := Work} = ?config(context, Config),
    File = filename:join(Work, "false"),
    ok = file:write_file(File, "#!/bin/sh\nexit 78\n"),
    ok = file:change_mode(File, 8#755),
    Node = node(Config, "badprogram"),
    Text = reason(start(Node, [{daemon_path, File}])),
    one_line(Text, ["78"]).

unknown_setting(Config) ->
    Node = node(Config, "unknown"),
    one_line(reason(start(Node, [{colour, red}])), ["colour"]).

wrong_settings(Config) ->
    Node = node(Config, "wrong"),
    [begin
         one_line(reason(start(Node, Settings)), Says),
         ok = quorate_ct:call(Node, application, unload, [quorate])
     end || {Settings, Says} <- [{[{member, somewhere}], ["member"]},
                                 {[{member, {existing, []}}], ["existing"]},
                                 {[{capacity, #{cpu => -1}}], ["capacity"]},
                                 {[{capacity, many}], ["capacity"]},
                                 {[{listen, 4370}], ["listen"]},
                                 {[{members, [{'other@127.0.0.1', {"127.0.0.1", 4370}}]}],
                                  ["members"]}]],
    %% Nothing of that was in the way of the right ones.
    {ok, _} = start(Node, []).

data_directory_in_use(Config) ->
    #{work := Work} = ?config(context, Config),
    Dir = filename:join(Work, "shared"),
    First = node(Config, "first"),
    {ok, _} = start(First, [{data_dir, Dir}]),
    Second = node(Config, "second"),
    one_line(reason(start(Second, [{data_dir, Dir}])), [Dir]),
    ?assert(quorate_ct:call(First, quorate, has_quorum, [])).

%% Each node brings a voter; none of them can begin alone.
supervised_with_voters(Config) ->
    Context = ?config(context, Config),
    Names = ["v1", "v2", "v3"],
    Voters = [{list_to_atom("m-" ++ N ++ "@127.0.0.1"), {"127.0.0.1", P}}
              || {N, P} <- lists:zip(Names, quorate_ct:free_ports(3))],
    Nodes = [node(Config, N) || N <- Names],
    Tell = self(),
    Starters = [spawn_link(fun() ->
        Settings = [{member, {supervised, #{name => Own, members => Voters}}}],
        Tell ! {self(), start(Node, Settings)}
    end) || {Node, {Own, _}} <- lists:zip(Nodes, Voters)],
    [receive {S, Result} -> {ok, _} = Result end || S <- Starters],
    [One | _] = Nodes,
    true = quorate_ct:await(all_attached, fun() ->
        Rows = quorate_ct:call(One, quorate, workers, []),
        is_list(Rows) andalso length([up || #{up := true} <- Rows]) =:= 3
    end),
    %% Each is at home with its own member.
    Rows = quorate_ct:call(One, quorate, workers, []),
    [?assertEqual("m-" ++ atom_to_list(N), atom_to_list(M)) || #{name := N, member := M} <- Rows],
    {ok, #{epoch := Epoch, worker := Owner, pid := Pid}} =
        quorate_ct:call(One, quorate, create_sandbox, [moved, ct_counter:spec()]),
    {ok, 1} = quorate_ct:call(One, ct_counter, add, [Pid]),
    %% A host is lost: worker and member at once. Nobody saw the worker die.
    {[Lost], [Left | _]} = lists:partition(fun(#{node := N}) -> N =:= Owner end, Nodes),
    ok = quorate_ct:kill_node(Context, Lost),
    quorate_ct:await(owned_elsewhere, fun() ->
        case quorate_ct:call(Left, quorate, sandbox, [moved]) of
            {ok, #{epoch := E, status := running, pid := New}} when E > Epoch ->
                1 =:= quorate_ct:call(Left, ct_counter, get, [New]);
            _ ->
                false
        end
    end).

under_another_supervisor(Config) ->
    Node = node(Config, "guest"),
    ok = quorate_ct:call(Node, application, load, [quorate]),
    ok = quorate_ct:call(Node, application, set_env, [quorate, autostart, false]),
    {ok, _} = quorate_ct:call(Node, application, ensure_all_started, [quorate]),
    ?assertEqual([], member_pids(Node)),
    Sup = quorate_ct:on(Node, fun() ->
        {ok, Pid} = supervisor:start_link(?MODULE, [quorate:child_spec([])]),
        true = unlink(Pid),
        Pid
    end),
    {_, _} = counter(Node, box, 1),
    ?assertMatch([_], member_pids(Node)),
    ok = quorate_ct:call(Node, supervisor, terminate_child, [Sup, quorate]),
    ?assertEqual([], member_pids(Node)),
    {ok, _} = quorate_ct:call(Node, supervisor, restart_child, [Sup, quorate]),
    ?assertMatch([_], member_pids(Node)).

%% A supervisor of the user's.
init(Children) ->
    {ok, {#{}, Children}}.

%% Answers, no crashes.
functions_without_the_application(Config) ->
    Node = node(Config, "bare"),
    [?assertEqual({F, {error, no_member}}, {F, quorate_ct:call(Node, quorate, F, A)})
     || {F, A} <- [{status, []}, {sandbox, [x]}, {create_sandbox, [x, ct_counter:spec()]},
                   {stop_sandbox, [x]}, {replicate_state, [x, 1, y]}, {recover_state, [x]}]],
    ?assertEqual(false, quorate_ct:call(Node, quorate, has_quorum, [])),
    ?assertEqual(undefined, quorate_ct:call(Node, quorate, whereis_name, [x])).

%% Internals

node(Config, Name) ->
    node(Config, Name, #{}).

%% Each has a home of its own, where its data will be.
node(Config, Name, Options) ->
    #{work := Work} = Context = ?config(context, Config),
    Home = filename:join(Work, Name ++ "-home"),
    ok = filelib:ensure_dir(filename:join(Home, "x")),
    quorate_ct:node(Context, Name, Options#{env => [{"HOME", Home}, {"XDG_DATA_HOME", ""}]}).

start(Node) ->
    quorate_ct:call(Node, application, ensure_all_started, [quorate]).

start(Node, Settings) ->
    _ = quorate_ct:call(Node, application, load, [quorate]),
    [ok = quorate_ct:call(Node, application, set_env, [quorate, Key, Value])
     || {Key, Value} <- Settings],
    start(Node).

%% What the user sees of a start that failed.
reason({error, {quorate, {Text, {quorate_app, start, _}}}}) -> Text.

one_line(Text, Names) ->
    ?assertEqual(nomatch, string:find(Text, "\n")),
    [?assertNotEqual({nomatch, Name}, {string:find(Text, Name), Name}) || Name <- Names].

%% A sandbox that counted.
counter(Node, Id, Count) ->
    {ok, #{epoch := Epoch, pid := Pid}} =
        quorate_ct:call(Node, quorate, create_sandbox, [Id, ct_counter:spec()]),
    [{ok, N} = quorate_ct:call(Node, ct_counter, add, [Pid]) || N <- lists:seq(1, Count)],
    {Epoch, Pid}.

%% It runs again, under a greater epoch, with what it had.
kept(Node, Id, Epoch, Count) ->
    {NewEpoch, Pid} = quorate_ct:await(runs_again, fun() ->
        case quorate_ct:call(Node, quorate, sandbox, [Id]) of
            {ok, #{status := running, epoch := E, pid := P}} when E > Epoch -> {true, {E, P}};
            _ -> false
        end
    end),
    ?assert(NewEpoch > Epoch),
    ?assertEqual(Count, quorate_ct:call(Node, ct_counter, get, [Pid])).

%% The processes that a node has as ports and that are members.
member_pids(Node) ->
    OsPids = quorate_ct:on(Node, fun() ->
        [OsPid || Port <- erlang:ports(), {os_pid, OsPid} <- [erlang:port_info(Port, os_pid)],
                  is_integer(OsPid)]
    end),
    [OsPid || OsPid <- OsPids, is_member(OsPid)].

is_member(OsPid) ->
    [Program | _] = binary:split(command_line(integer_to_list(OsPid)), <<0>>),
    filename:basename(Program) =:= <<"quorate">>.

%% All members on this machine with something of this directory in their
%% command line.
members_in(Work) ->
    [Pid || Pid <- filelib:wildcard("[0-9]*", "/proc"),
            binary:match(command_line(Pid), list_to_binary(Work)) =/= nomatch,
            is_member(list_to_integer(Pid))].

command_line(Pid) ->
    case file:read_file("/proc/" ++ Pid ++ "/cmdline") of
        {ok, Text} -> Text;
        {error, _} -> <<>>
    end.
