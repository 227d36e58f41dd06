%% SPDX-License-Identifier: Apache-2.0
%% What the suites stand on: members, Erlang nodes and a port mapper of their
%% own, in a directory of their own.
%%
%% Erlang nodes are driven over their standard input and output (`peer'), so
%% this virtual machine is in none of the clusters and a node without a name, or
%% of another release, is driven in the same way. A keeper process owns all that
%% was started; whatever ends the suite ends it. If this virtual machine itself
%% is killed, members get a signal from the kernel and nodes an end of file.
-module(quorate_ct).
-behaviour(gen_server).

-export([start/1, stop/2, end_all/1, free_ports/1, top/0]).
-export([members/2, members/3, member/4, start_member/2, failed_start/2, says/3,
         kill_member/2, stop_member/3, await_leader/2, log_of/2]).
-export([release/2, in_release/2, root/1, test_peer/2]).
-export([node/2, node/3, worker/4, peers/1, kill_node/2, signal/2, call/4, call/5, on/2,
         load/2]).
-export([ask/4, leader/2, await_worker/3, clear/4]).
-export([process/4, kill_process/3, os_pid/2, start_epmd/1, run/3, run/4, is_os_process/1]).
-export([await/2, await/3, take_time/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([context/0, member/0, peer/0]).

%% With `pki' all links are TLS, and `host' is localhost: see ct_tls.
-type context() :: #{keeper := pid(), work := string(), cookie := atom(),
                     epmd_port := inet:port_number(), env := [{string(), string()}],
                     host => string(), pki => file:filename()}.
-type member() :: #{node := node(), port := inet:port_number(), dir := string(),
                    args := [string()]}.
-type peer() :: #{node := node(), peer := pid(), os_pid := pos_integer()}.

-define(WAIT_MS, 20000).
-define(CALL_MS, 60000).

%% A directory, a keeper, a port mapper.
-spec start(atom()) -> context().
start(Suite) ->
    Base = os:getenv("TMPDIR", "/tmp"),
    Unique = erlang:unique_integer([positive]),
    Name = io_lib:format("quorate-~s-~s-~b", [Suite, os:getpid(), Unique]),
    Work = filename:join(Base, lists:flatten(Name)),
    ok = filelib:ensure_dir(filename:join(Work, "x")),
    {ok, Keeper} = gen_server:start(?MODULE, [], []),
    [EpmdPort] = free_ports(1),
    Cookie = list_to_atom("cookie" ++ integer_to_list(rand:uniform(1000000000))),
    CookieFile = filename:join(Work, "cookie"),
    ok = file:write_file(CookieFile, atom_to_list(Cookie)),
    ok = file:change_mode(CookieFile, 8#600),
    Context = #{keeper => Keeper, work => Work, cookie => Cookie, epmd_port => EpmdPort,
                env => [{"ERL_EPMD_PORT", integer_to_list(EpmdPort)},
                        {"ERL_EPMD_ADDRESS", "127.0.0.1"}, {"HOME", Work}]},
    _ = start_epmd(Context),
    Context.

%% Ends all that runs, and keeps what it logged.
-spec stop(context(), file:filename()) -> ok.
stop(#{keeper := Keeper, work := Work} = Context, LogDir) ->
    ok = gen_server:call(Keeper, {end_all, []}, ?CALL_MS),
    ok = gen_server:stop(Keeper),
    _ = [file:copy(Log, filename:join(LogDir, filename:basename(Log)))
         || Log <- filelib:wildcard(filename:join(Work, "*.log"))],
    ok = ct_tls:forget(Context),
    file:del_dir_r(Work).

%% Ends all members and nodes; the port mapper stays.
-spec end_all(context()) -> ok.
end_all(#{keeper := Keeper}) ->
    gen_server:call(Keeper, {end_all, ["epmd"]}, ?CALL_MS).

%% The top of the repository.
-spec top() -> file:filename().
top() ->
    case os:getenv("QUORATE_TOP") of
        false -> top(filename:dirname(code:which(?MODULE)));
        Top -> Top
    end.

top("/") ->
    ct:fail("the top of the repository was not found; set QUORATE_TOP");
top(Dir) ->
    case filelib:is_regular(filename:join(Dir, "test/otp/setup")) of
        true -> Dir;
        false -> top(filename:dirname(Dir))
    end.

%% Another build of the member (with sanitizers, say) by QUORATE_PROGRAM.
program() ->
    os:getenv("QUORATE_PROGRAM", filename:join([top(), "priv", "quorate"])).

%% The root in which another release of OTP runs, made by test/otp/setup
%% (QUORATE_OTP27_ROOT says where; _build/otp27 by default). Where it cannot be had
%% the group is skipped with the reason, and fails with QUORATE_REQUIRE_OTP27=1.
-spec release(context(), string()) -> {ok, file:filename()} | {skip, string()}.
release(Context, Release) ->
    Root = root(Release),
    Setup = filename:join(top(), "test/otp/setup"),
    case run(Context, Setup, [Release, Root], #{timeout => 840000}) of
        {0, _, _} ->
            {ok, Root};
        {_, _, Why} ->
            case os:getenv("QUORATE_REQUIRE_OTP" ++ Release) of
                "1" -> ct:fail(Why);
                _ -> {skip, unicode:characters_to_list(Why)}
            end
    end.

%% For init_per_group/2 of the groups otp25 (this release), otp27 and otp29: how
%% their nodes are started is under `options'.
-spec in_release(atom(), [tuple()]) -> [tuple()] | {skip, string()}.
in_release(otp25, Config) ->
    [{options, #{}} | Config];
in_release(Group, Config) ->
    "otp" ++ Release = atom_to_list(Group),
    case release(proplists:get_value(context, Config), Release) of
        {ok, Root} -> [{options, #{root => Root}} | Config];
        Skip -> Skip
    end.

-spec root(string()) -> file:filename().
root(Release) ->
    os:getenv("QUORATE_OTP" ++ Release ++ "_ROOT", filename:join(top(), "_build/otp" ++ Release)).

%% Below the range from which the kernel takes ports for connections.
-spec free_ports(pos_integer()) -> [inet:port_number()].
free_ports(Count) ->
    free_ports(Count, []).

free_ports(0, Found) ->
    Found;
free_ports(Count, Found) ->
    Port = 10240 + rand:uniform(20000),
    case gen_tcp:listen(Port, [{ip, {127, 0, 0, 1}}]) of
        {ok, Socket} when Count > 0 ->
            ok = gen_tcp:close(Socket),
            case lists:member(Port, Found) of
                true -> free_ports(Count, Found);
                false -> free_ports(Count - 1, [Port | Found])
            end;
        {error, _} ->
            free_ports(Count, Found)
    end.

%% Members

%% Starts a set of voters; further arguments for each.
-spec members(context(), [string()]) -> [member()].
members(Context, Names) ->
    members(Context, Names, []).

-spec members(context(), [string()], [string()]) -> [member()].
members(Context, Names, Args) ->
    Voters = lists:zip(Names, free_ports(length(Names))),
    [start_member(Context, member(Context, Name, Voters, Args)) || Name <- Names].

%% One of a set, not started.
-spec member(context(), string(), [{string(), inet:port_number()}], [string()]) -> member().
member(#{work := Work} = Context, Name, Voters, Args) ->
    {Name, Port} = lists:keyfind(Name, 1, Voters),
    Settings = [["--member", io_lib:format("~s=127.0.0.1:~b", [node_name(Context, N), P])]
                || {N, P} <- Voters, length(Voters) > 1],
    #{node => node_name(Context, Name), port => Port, dir => filename:join(Work, Name),
      args => [lists:flatten(A) || A <- lists:append(Settings)] ++ Args}.

-spec start_member(context(), member()) -> member().
start_member(Context, M) ->
    _ = process(Context, name(M), program(), start_args(Context, M)),
    M.

start_args(#{work := Work} = Context, #{node := Node, port := Port, dir := Dir, args := Args}) ->
    ["start", "--name", atom_to_list(Node), "--cookie-file", filename:join(Work, "cookie"),
     "--data-dir", Dir, "--listen", "127.0.0.1:" ++ integer_to_list(Port)
     | ct_tls:member_args(Context, Node) ++ Args].

%% One that is expected to give up: its exit status, and what it logged.
-spec failed_start(context(), member()) -> {integer(), binary()}.
failed_start(Context, M) ->
    {Status, <<>>, Log} = run(Context, quorate, start_args(Context, M), #{timeout => 20000}),
    {Status, Log}.

%% There is one line of that event, and it names these things.
-spec says(binary(), string(), [string()]) -> ok.
says(Log, Event, Names) ->
    Mark = list_to_binary(["event=", Event, " "]),
    [Line] = [L || L <- binary:split(Log, <<"\n">>, [global]), binary:match(L, Mark) =/= nomatch],
    [] = [{Name, Line} || Name <- Names, binary:match(Line, list_to_binary(Name)) =:= nomatch],
    ok.

-spec kill_member(context(), member()) -> ok.
kill_member(Context, M) ->
    _ = stop_member(Context, M, "KILL"),
    ok.

is_running(#{keeper := Keeper}, M) ->
    gen_server:call(Keeper, {os_pid, name(M)}) =/= error.

%% The exit status (128 + signal).
-spec stop_member(context(), member(), string()) -> integer().
stop_member(Context, M, Signal) ->
    kill_process(Context, name(M), Signal).

%% What a member wrote to standard error.
-spec log_of(context(), member()) -> binary().
log_of(#{work := Work}, M) ->
    {ok, Text} = file:read_file(filename:join(Work, name(M) ++ ".log")),
    Text.

name(#{node := Node}) ->
    hd(string:split(atom_to_list(Node), "@")).

%% What a member answers to a call from a node.
-spec ask(peer(), member(), {module(), atom()}, [term()]) -> term().
ask(Peer, #{node := Node}, {M, F}, A) ->
    call(Peer, rpc, call, [Node, M, F, A, 10000]).

%% Until all these members agree on one of them as the leader and see one another;
%% gives the leader.
-spec await_leader(peer(), [member()]) -> member().
await_leader(Client, Members) ->
    Up = length(Members),
    await({leader_of, [N || #{node := N} <- Members]}, fun() ->
        case [ask(Client, M, {quorate, status}, []) || M <- Members] of
            [#{leader := L, quorum := true, members_up := Count} | _] = All
              when L =/= undefined, Count >= Up ->
                %% One that was just killed leads until that is noticed.
                Same = [Other || #{leader := Other, members_up := N} <- All, Other =:= L, N >= Up],
                Known = [M || #{node := N} = M <- Members, N =:= L],
                length(Same) =:= Up andalso Known =/= [] andalso {true, hd(Known)};
            _ ->
                false
        end
    end).

%% The leader as one of these members knows it.
-spec leader(peer(), [member()]) -> {member(), Others :: [member()]}.
leader(Client, Members) ->
    #{node := Node} = await_leader(Client, Members),
    {[Leader], Others} = lists:partition(fun(#{node := N}) -> N =:= Node end, Members),
    {Leader, Others}.

%% Erlang nodes

-spec node(context(), string()) -> peer().
node(Context, Name) ->
    node(Context, Name, #{}).

%% `root': of another system, for chroot; `cookie'; `name' => false: a node that
%% is not distributed; `place': other host and kind of name; `env', `args'.
-spec node(context(), string(), map()) -> peer().
node(#{keeper := Keeper, work := Work, env := Env, cookie := Own} = Context, Name, Options) ->
    Cookie = maps:get(cookie, Options, Own),
    {Named, More} = case maps:get(name, Options, true) of
                        true -> ct_tls:node_options(Context, Name, Options);
                        false -> {#{}, []}
                    end,
    Args = ["-setcookie", atom_to_list(Cookie), "-start_epmd", "false", "-kernel", "logger_level",
            "critical", "-kernel", "prevent_overlapping_partitions", "false"
            | paths(Options) ++ More ++ maps:get(args, Options, [])],
    Place = maps:merge(Named, maps:get(place, Options, #{})),
    {ok, Peer, Node} =
        peer:start(maps:merge(Place, (program_of(Options))#{
            connection => standard_io, wait_boot => 30000, args => Args,
            env => [{"CT_LOG", filename:join(Work, Name ++ ".log")}
                    | Env ++ maps:get(env, Options, [])]})),
    OsPid = list_to_integer(peer:call(Peer, os, getpid, [], ?CALL_MS)),
    ok = gen_server:call(Keeper, {peer, Peer, OsPid}),
    #{node => Node, peer => Peer, os_pid => OsPid}.

%% Standard error, where also its own member writes, goes to NAME.log.
program_of(Options) ->
    Program = case Options of
                  #{root := Root} -> [os:find_executable("chroot"), Root, "/usr/bin/erl"];
                  #{netns := Ns} ->
                      [os:find_executable("ip"), "netns", "exec", Ns, os:find_executable("erl")];
                  _ -> [os:find_executable("erl")]
              end,
    #{exec => {"/bin/sh", ["-c", "exec \"$0\" \"$@\" 2>>\"$CT_LOG\"" | Program]}}.

paths(#{root := _}) ->
    [];
paths(_) ->
    ["-pa", filename:absname(filename:dirname(code:which(?MODULE))), "-pa", ebin()].

ebin() ->
    filename:absname(filename:join(code:lib_dir(quorate), "ebin")).

%% A node that runs the application with members that run by themselves.
-spec worker(context(), string(), [member()], map()) -> peer().
worker(Context, Name, Members, Capacity) ->
    Peer = node(Context, Name),
    ok = call(Peer, application, load, [quorate]),
    ok = call(Peer, application, set_env,
              [[{quorate, [{member, {existing, [N || #{node := N} <- Members]}},
                           {capacity, Capacity}]}]]),
    {ok, _} = call(Peer, application, ensure_all_started, [quorate]),
    Peer.

%% Until a worker is attached, as a member sees it; gives its row.
-spec await_worker(peer(), member(), peer()) -> map().
await_worker(Client, Member, #{node := Worker}) ->
    await({attached, Worker}, fun() ->
        case ask(Client, Member, {quorate, workers}, []) of
            Rows when is_list(Rows) ->
                case [Row || #{name := N, up := true} = Row <- Rows, N =:= Worker] of
                    [Row] -> {true, Row};
                    [] -> false
                end;
            _ ->
                false
        end
    end).

%% The other end of a case: nothing of it runs in the next one, and what a case
%% that failed left killed is there again.
-spec clear(context(), peer(), [member()], [peer()]) -> ok.
clear(Context, Client, [M | _] = Members, Workers) ->
    _ = [start_member(Context, Killed) || Killed <- Members, not is_running(Context, Killed)],
    ok = lists:foreach(fun(W) -> kill_node(Context, W) end,
                       [W || #{peer := Peer} = W <- Workers, is_process_alive(Peer)]),
    _ = await_leader(Client, Members),
    %% One whose worker died unseen has to wait for the end of a lease.
    ok = lists:foreach(fun(#{id := Id}) ->
        true = await({stopped, Id}, fun() ->
            lists:member(ask(Client, M, {quorate, stop_sandbox}, [Id]), [ok, {error, not_found}])
        end)
    end, ask(Client, M, {quorate, sandboxes}, [])),
    true = await(no_worker_left, fun() ->
        [] =:= [W || #{up := true} = W <- ask(Client, M, {quorate, workers}, [])]
    end),
    ok.

%% All nodes that were started and run.
-spec peers(context()) -> [peer()].
peers(#{keeper := Keeper}) ->
    [#{node => peer:call(Peer, erlang, node, []), peer => Peer, os_pid => OsPid}
     || {Peer, OsPid} <- gen_server:call(Keeper, peers)].

-spec kill_node(context(), peer()) -> ok.
kill_node(_, #{peer := Peer, os_pid := OsPid}) ->
    Ref = erlang:monitor(process, Peer),
    ok = signal(OsPid, "KILL"),
    receive
        {'DOWN', Ref, process, Peer, _} -> ok
    after ?WAIT_MS -> ct:fail({still_there, OsPid})
    end.

-spec call(peer(), module(), atom(), [term()]) -> term().
call(Peer, M, F, A) ->
    call(Peer, M, F, A, ?CALL_MS).

-spec call(peer(), module(), atom(), [term()], timeout()) -> term().
call(#{peer := Peer}, M, F, A, Timeout) ->
    peer:call(Peer, M, F, A, Timeout).

%% Runs a function on a node, in a process of its own.
-spec on(peer(), fun(() -> Result)) -> Result.
on(Peer, Fun) ->
    call(Peer, erlang, apply, [Fun, []]).

%% Gives modules to a node that sees other files than we do.
-spec load(peer(), [module()]) -> ok.
load(Peer, Modules) ->
    lists:foreach(fun(Module) ->
        {Module, Binary, File} = code:get_object_code(Module),
        {module, Module} = call(Peer, code, load_binary, [Module, File, Binary])
    end, Modules).

%% Processes of the operating system

%% Its output goes to NAME.log; it is killed when this virtual machine dies.
%% Under the name of one that has ended another may be started.
-spec process(context(), string(), file:filename(), [string()]) -> OsPid :: pos_integer().
process(#{keeper := Keeper, work := Work, env := Env}, Name, Program, Args) ->
    Log = filename:join(Work, Name ++ ".log"),
    Script = "exec setpriv --pdeathsig KILL \"$0\" \"$@\" >>\"$CT_LOG\" 2>&1 </dev/null",
    gen_server:call(Keeper, {process, Name, ["-c", Script, Program | Args],
                             [{"CT_LOG", Log} | Env]}).

%% The peer that is made of a member's own dist/ and io/ (test/peer), once epmd
%% knows it; QUORATE_PEER names another build.
-spec test_peer(context(), string()) -> node().
test_peer(#{work := Work} = Context, Name) ->
    Host = maps:get(host, Context, "127.0.0.1"),
    Program = os:getenv("QUORATE_PEER",
                        filename:join(top(), "_build/c/plain/peer/quorate_peer")),
    Node = Name ++ "@" ++ Host,
    Env = case Context of
              #{pki := _} -> [{"QUORATE_PEER_TLS", ct_tls:issue(Context, Node, "member")}];
              _ -> []
          end,
    #{env := Common} = Context,
    _ = process(Context#{env := Env ++ Common}, Name, Program,
                [Node, filename:join(Work, "cookie"), "127.0.0.1", "epmd"]),
    true = await({ready, Name}, fun() ->
        case file:read_file(filename:join(Work, Name ++ ".log")) of
            {ok, Log} -> binary:match(Log, <<"epmd_registered">>) =/= nomatch;
            {error, _} -> false
        end
    end),
    list_to_atom(Node).

%% Sends a signal that ends it; the status it ends with.
-spec kill_process(context(), string(), string()) -> integer().
kill_process(#{keeper := Keeper} = Context, Name, Signal) ->
    ok = signal(os_pid(Context, Name), Signal),
    gen_server:call(Keeper, {await_exit, Name}, ?WAIT_MS).

-spec os_pid(context(), string()) -> pos_integer().
os_pid(#{keeper := Keeper}, Name) ->
    {ok, OsPid} = gen_server:call(Keeper, {os_pid, Name}),
    OsPid.

-spec start_epmd(context()) -> pos_integer().
start_epmd(#{epmd_port := Port} = Context) ->
    Epmd = os:find_executable("epmd"),
    OsPid = process(Context, "epmd", Epmd, ["-port", integer_to_list(Port)]),
    await(epmd, fun() ->
        case gen_tcp:connect({127, 0, 0, 1}, Port, []) of
            {ok, Socket} -> gen_tcp:close(Socket) =:= ok;
            {error, _} -> false
        end
    end),
    OsPid.

-spec signal(pos_integer(), string()) -> ok.
signal(OsPid, Signal) ->
    _ = os:cmd(lists:flatten(io_lib:format("kill -~s ~b", [Signal, OsPid]))),
    ok.

-spec is_os_process(pos_integer()) -> boolean().
is_os_process(OsPid) ->
    case file:read_file(io_lib:format("/proc/~b/stat", [OsPid])) of
        {ok, Text} -> binary:match(Text, <<") Z ">>) =:= nomatch;
        {error, _} -> false
    end.

%% Runs a program to its end: its exit status, standard output and error.
-spec run(context(), file:filename(), [string()]) -> {integer(), binary(), binary()}.
run(Context, Program, Args) ->
    run(Context, Program, Args, #{}).

-spec run(context(), file:filename() | quorate, [string()], map()) ->
          {integer(), binary(), binary()}.
run(Context, quorate, Args, Options) ->
    run(Context, program(), Args, Options);
run(#{work := Work, env := Env}, Program, Args, Options) ->
    Errors = filename:join(Work, io_lib:format("stderr~b", [erlang:unique_integer([positive])])),
    Script = "exec \"$0\" \"$@\" 2>\"$CT_ERRORS\" </dev/null",
    Port = open_port({spawn_executable, "/bin/sh"},
                     [{args, ["-c", Script, Program | Args]}, exit_status, binary,
                      {env, [{"CT_ERRORS", Errors} | Env ++ maps:get(env, Options, [])]}]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    {Status, Output} = output(Port, OsPid, <<>>, maps:get(timeout, Options, ?CALL_MS)),
    {ok, Text} = file:read_file(Errors),
    ok = file:delete(Errors),
    {Status, Output, Text}.

output(Port, OsPid, Text, Timeout) ->
    receive
        {Port, {data, More}} -> output(Port, OsPid, <<Text/binary, More/binary>>, Timeout);
        {Port, {exit_status, Status}} -> {Status, Text}
    after Timeout ->
        ok = signal(OsPid, "KILL"),
        ct:fail({no_end, Text})
    end.

%% Waiting

-spec await(term(), fun(() -> boolean() | {true, Value})) -> true | Value.
await(What, Check) ->
    await(What, Check, ?WAIT_MS).

%% Until Check() gives true or {true, Value}.
-spec await(term(), fun(() -> boolean() | {true, Value}), pos_integer()) -> true | Value.
await(What, Check, TimeoutMs) ->
    await_until(What, Check, erlang:monotonic_time(millisecond) + TimeoutMs).

await_until(What, Check, Deadline) ->
    case Check() of
        true ->
            true;
        {true, Value} ->
            Value;
        false ->
            Now = erlang:monotonic_time(millisecond),
            Now < Deadline orelse ct:fail({waited_in_vain_for, What}),
            receive
            after 20 -> await_until(What, Check, Deadline)
            end
    end.

%% Milliseconds, and the result.
-spec take_time(fun(() -> Result)) -> {non_neg_integer(), Result}.
take_time(Fun) ->
    {Micro, Result} = timer:tc(Fun),
    {Micro div 1000, Result}.

node_name(Context, Name) ->
    list_to_atom(Name ++ "@" ++ maps:get(host, Context, "127.0.0.1")).

%% The keeper

-record(state,
        {running = #{} :: #{port() => {Name :: string(), OsPid :: pos_integer()}},
         ended = #{} :: #{Name :: string() => integer()},
         waiting = [] :: [{Name :: string(), gen_server:from()}],
         peers = #{} :: #{pid() => pos_integer()}}).

init([]) ->
    {ok, #state{}}.

handle_call({process, Name, Args, Env}, _, #state{running = Running, ended = Ended} = State) ->
    error = find(Name, State),
    Port = open_port({spawn_executable, "/bin/sh"}, [{args, Args}, {env, Env}, exit_status]),
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    {reply, OsPid, State#state{running = Running#{Port => {Name, OsPid}},
                               ended = maps:remove(Name, Ended)}};
handle_call({os_pid, Name}, _, State) ->
    {reply, find(Name, State), State};
handle_call({peer, Peer, OsPid}, _, #state{peers = Peers} = State) ->
    _ = erlang:monitor(process, Peer),
    {reply, ok, State#state{peers = Peers#{Peer => OsPid}}};
handle_call(peers, _, #state{peers = Peers} = State) ->
    {reply, maps:to_list(Peers), State};
handle_call({await_exit, Name}, From, #state{ended = Ended, waiting = Waiting} = State) ->
    case Ended of
        #{Name := Status} -> {reply, Status, State};
        #{} -> {noreply, State#state{waiting = [{Name, From} | Waiting]}}
    end;
handle_call({end_all, Except}, _, #state{running = Running, peers = Peers} = State) ->
    Mine = [{Port, Name, OsPid} || {Port, {Name, OsPid}} <- maps:to_list(Running),
                                   not lists:member(Name, Except)],
    ok = lists:foreach(fun(OsPid) -> signal(OsPid, "KILL") end,
                       [OsPid || {_, _, OsPid} <- Mine] ++ maps:values(Peers)),
    Ended = [receive {Port, {exit_status, Status}} -> {Name, Status} end
             || {Port, Name, _} <- Mine],
    _ = [receive {'DOWN', _, process, Peer, _} -> ok end || Peer <- maps:keys(Peers)],
    {reply, ok, State#state{running = maps:without([Port || {Port, _, _} <- Mine], Running),
                            ended = maps:merge(State#state.ended, maps:from_list(Ended)),
                            peers = #{}}}.

handle_cast(_, State) ->
    {noreply, State}.

handle_info({Port, {exit_status, Status}}, State) ->
    #state{running = Running, ended = Ended, waiting = Waiting} = State,
    #{Port := {Name, _}} = Running,
    {Mine, Others} = lists:partition(fun({Waited, _}) -> Waited =:= Name end, Waiting),
    _ = [gen_server:reply(From, Status) || {_, From} <- Mine],
    {noreply, State#state{running = maps:remove(Port, Running), ended = Ended#{Name => Status},
                          waiting = Others}};
handle_info({'DOWN', _, process, Peer, _}, #state{peers = Peers} = State) ->
    {noreply, State#state{peers = maps:remove(Peer, Peers)}};
handle_info(_, State) ->
    {noreply, State}.

find(Name, #state{running = Running}) ->
    case [OsPid || {Running1, OsPid} <- maps:values(Running), Running1 =:= Name] of
        [OsPid] -> {ok, OsPid};
        [] -> error
    end.
