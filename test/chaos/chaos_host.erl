%% SPDX-License-Identifier: Apache-2.0
%% One host: a network namespace with a process namespace of its own, and in it a
%% member and a worker, started again when they end, as a service manager does.
%%
%% ```
%%   this virtual machine
%%     +-- unshare --- init of the host      its end is the end of all in it
%%     +-- sh --- member                     sh is outside: it waits, and says
%%     +-- sh --- worker                     how each ended
%% '''
%%
%% All of it ends when this virtual machine does (PR_SET_PDEATHSIG).
-module(chaos_host).
-behaviour(gen_server).

-export([start/2, close/1, kill/3, lose/2, stop/2, freeze/2, thaw/2, os_pid/2]).
-export([mend/1, are_up/1, left/1, control/2, address/1]).
-export([init/1, handle_call/3, handle_cast/2, handle_info/2]).

-export_type([host/0, service/0, context/0]).

-type host() :: 1..254.
-type service() :: member | worker.
-type context() :: #{net := test_net:net(), work := file:filename(),
                     commands := fun((host(), service()) -> {[string()], [{string(), string()}]}),
                     preload := file:filename(), clocks := boolean()}.

-define(RESTART_MS, 1000).
-define(CALL_MS, 60000).
-define(STOP_MS, 20000).
%% What a command line or a setting that is wrong ends with.
-define(HOPELESS, [64, 78]).

-record(service,
        {port :: port() | undefined,
         os_pid :: pos_integer() | undefined,
         frozen = [] :: [reference()],
         held :: integer() | undefined,   % not started before; monotonic ms
         timer :: reference() | undefined,
         killed = false :: boolean(),     % by us
         starts = 0 :: non_neg_integer()}).

-record(state,
        {host :: host(),
         context :: context(),
         init :: {port(), OsPid :: pos_integer()} | undefined,
         wanted = true :: boolean(),
         services :: #{service() => #service{}}}).

-spec start(context(), host()) -> ok.
start(Context, Host) ->
    {ok, _} = gen_server:start_link({local, name(Host)}, ?MODULE, {Context, Host}, []),
    ok.

name(Host) -> list_to_atom("chaos_host" ++ integer_to_list(Host)).

-spec address(host()) -> string().
address(Host) -> test_net:address(Host).

call(Host, Request) -> gen_server:call(name(Host), Request, ?CALL_MS).

%% SIGKILL; it is not started again for so long.
-spec kill(host(), service(), non_neg_integer()) -> boolean().
kill(Host, Service, DownMs) -> call(Host, {kill, Service, DownMs}).

%% The cable first: nobody hears that the processes have ended.
-spec lose(host(), non_neg_integer()) -> ok.
lose(Host, DownMs) -> call(Host, {lose, DownMs}).

%% In order; it is started again after the usual time.
-spec stop(host(), service()) -> boolean().
stop(Host, Service) -> call(Host, {stop, Service}).

%% Until it is thawed under this reference; more than one may want it frozen.
-spec freeze(host(), [service()]) -> reference().
freeze(Host, Services) -> call(Host, {freeze, Services}).

-spec thaw(host(), reference()) -> ok.
thaw(Host, Ref) -> call(Host, {thaw, Ref}).

-spec os_pid(host(), service()) -> pos_integer() | undefined.
os_pid(Host, Service) -> call(Host, {os_pid, Service}).

%% Everything is started that is not, and nothing stands still.
-spec mend(host()) -> ok.
mend(Host) -> call(Host, mend).

-spec are_up(host()) -> boolean().
are_up(Host) -> call(Host, are_up).

%% Ends all of it in order, and gives what does not end.
-spec left(host()) -> [string()].
left(Host) -> call(Host, left).

-spec close(host()) -> ok.
close(Host) -> gen_server:stop(name(Host)).

%% What the processes of the host are told by preload.c; see there.
-spec control(host(), context()) -> file:filename().
control(Host, #{work := Work}) ->
    filename:join(Work, "control" ++ integer_to_list(Host)).

%% The process

init({Context, Host}) ->
    _ = process_flag(trap_exit, true),
    State = #state{host = Host, context = Context,
                   services = #{member => #service{}, worker => #service{}}},
    {ok, all_up(boot(State))}.

handle_call({kill, Service, DownMs}, _, State) ->
    Record = service(Service, State),
    Done = signal(Record, "KILL"),
    {reply, Done, put_service(Service, Record#service{killed = Done orelse Record#service.killed,
                                                      held = now_ms() + DownMs}, State)};
handle_call({lose, DownMs}, _, #state{context = #{net := Net}, host = Host} = State) ->
    ok = test_net:link(Net, Host, down),
    _ = erlang:send_after(DownMs, self(), link_up),
    State1 = lists:foldl(fun(Service, Before) ->
        Record = service(Service, Before),
        Done = signal(Record, "KILL"),
        put_service(Service, Record#service{killed = Done orelse Record#service.killed,
                                            held = now_ms() + DownMs}, Before)
    end, State, [member, worker]),
    {reply, ok, State1};
handle_call({stop, Service}, _, State) ->
    Record = service(Service, State),
    Done = signal(Record, "TERM"),
    {reply, Done, put_service(Service, Record#service{killed = Done orelse Record#service.killed},
                              State)};
handle_call({freeze, Services}, _, State) ->
    Ref = make_ref(),
    {reply, Ref, lists:foldl(fun(S, Before) -> frozen(S, Ref, Before) end, State, Services)};
handle_call({thaw, Ref}, _, State) ->
    {reply, ok, lists:foldl(fun(S, Before) -> thawed(S, Ref, Before) end, State,
                            [member, worker])};
handle_call({os_pid, Service}, _, State) ->
    {reply, (service(Service, State))#service.os_pid, State};
handle_call(mend, _, #state{services = Services, context = #{net := Net}, host = Host} = State) ->
    Calm = maps:map(fun(_, Record) ->
        _ = Record#service.frozen =/= [] andalso signal(Record, "CONT"),
        Record#service{frozen = [], held = undefined}
    end, Services),
    ok = test_net:link(Net, Host, up),
    {reply, ok, all_up(boot(State#state{services = Calm}))};
handle_call(are_up, _, #state{services = Services, init = Init} = State) ->
    {reply, Init =/= undefined andalso
                lists:all(fun(#service{port = P}) -> P =/= undefined end, maps:values(Services)),
     State};
handle_call(left, _, State) ->
    State1 = lists:foldl(fun ended/2, State#state{wanted = false}, [worker, member]),
    {reply, rest(State1), State1}.

handle_cast(_, State) ->
    {noreply, State}.

handle_info({Port, {exit_status, _}}, #state{init = {Port, _}} = State) ->
    {noreply, State#state{init = undefined}};
handle_info({Port, {exit_status, Status}}, State) ->
    case [S || {S, #service{port = P}} <- maps:to_list(State#state.services), P =:= Port] of
        [Service] -> {noreply, gone(Service, Status, State)};
        [] -> {noreply, State}
    end;
handle_info(link_up, #state{context = #{net := Net}, host = Host} = State) ->
    ok = test_net:link(Net, Host, up),
    {noreply, State};
handle_info({start, Service}, State) ->
    {noreply, up(Service, State)};
handle_info(_, State) ->
    {noreply, State}.

%% Internals

now_ms() -> erlang:monotonic_time(millisecond).

left_of(undefined) -> 0;
left_of(Until) -> Until - now_ms().

service(Service, #state{services = Services}) -> maps:get(Service, Services).

put_service(Service, Record, #state{services = Services} = State) ->
    State#state{services = Services#{Service := Record}}.

%% The host itself.
boot(#state{init = {_, _}} = State) ->
    State;
boot(#state{context = #{net := Net} = Context, host = Host} = State) ->
    ok = test_net:link(Net, Host, up),
    %% It is the parent of all that lose theirs, and has to see them end.
    Init = own_clock(Host, Context) ++ "echo up; trap : TERM; while :; do sleep 30 & wait $!; done",
    Port = open_port({spawn_executable, os:find_executable("setpriv")},
                     [{args, ["--pdeathsig", "KILL", "ip", "netns", "exec", test_net:ns(Net, Host),
                              "/bin/sh", "-c", "exec unshare --pid --fork --kill-child "
                              "--mount-proc /bin/sh -c \"$0\" 2>/dev/null", Init]},
                      {line, 80}, exit_status]),
    receive {Port, {data, {eol, "up"}}} -> ok end,
    {os_pid, OsPid} = erlang:port_info(Port, os_pid),
    {ok, Children} = file:read_file(io_lib:format("/proc/~b/task/~b/children", [OsPid, OsPid])),
    State#state{init = {Port, binary_to_integer(string:trim(Children))}}.

%% Hosts whose clocks are wrong are not to be taken for one machine by those who
%% compare readings (quorate verify).
own_clock(Host, #{clocks := true, work := Work}) ->
    Boot = filename:join(Work, "boot" ++ integer_to_list(Host)),
    ok = file:write_file(Boot, boot_id()),
    "mount --bind " ++ Boot ++ " /proc/sys/kernel/random/boot_id; ";
own_clock(_, #{clocks := false}) ->
    "".

boot_id() ->
    <<A:32, B:16, C:16, D:16, E:48>> = crypto:strong_rand_bytes(16),
    io_lib:format("~8.16.0b-~4.16.0b-~4.16.0b-~4.16.0b-~12.16.0b~n", [A, B, C, D, E]).

all_up(State) ->
    lists:foldl(fun up/2, State, [member, worker]).

up(_, #state{wanted = false} = State) ->
    State;
up(Service, State) ->
    case service(Service, State) of
        #service{port = undefined, held = Held} = Record ->
            case left_of(Held) of
                Left when Left > 0 -> later(Service, Left, Record, State);
                _ -> launch(Service, boot(State))
            end;
        _ ->
            State
    end.

later(Service, Ms, Record, State) ->
    _ = Record#service.timer =:= undefined orelse erlang:cancel_timer(Record#service.timer),
    Timer = erlang:send_after(Ms, self(), {start, Service}),
    put_service(Service, Record#service{timer = Timer}, State).

launch(Service, #state{init = {_, Init}, host = Host, context = Context} = State) ->
    #{work := Work, commands := Commands, preload := Preload} = Context,
    Record = service(Service, State),
    {Command, Env} = Commands(Host, Service),
    Log = filename:join(Work, io_lib:format("~s~b.log", [Service, Host])),
    %% sh stays in our process namespace, so that what it says is the pid as we see it.
    Script = "exec 2>/dev/null; LD_PRELOAD=\"$CHAOS_PRELOAD\" \"$0\" \"$@\" >>\"$CHAOS_LOG\" "
             "2>&1 </dev/null & "
             "echo $!; wait $!",
    Port = open_port({spawn_executable, os:find_executable("setpriv")},
                     [{args, ["--pdeathsig", "KILL", "nsenter", "-F", "-t", integer_to_list(Init),
                              "-p", "-m", "-n", "/bin/sh", "-c", Script | Command]},
                      {env, [{"CHAOS_PRELOAD", Preload}, {"CHAOS_LOG", lists:flatten(Log)},
                             {"CHAOS_CONTROL", control(Host, Context)} | Env]},
                      {line, 80}, exit_status]),
    receive
        {Port, {data, {eol, Text}}} ->
            chaos_log:event("start ~s~b pid ~s", [Service, Host, Text]),
            put_service(Service, Record#service{port = Port, os_pid = list_to_integer(Text),
                                                killed = false, frozen = [],
                                                starts = Record#service.starts + 1}, State);
        {Port, {exit_status, Status}} ->
            chaos_log:event("start ~s~b failed: ~b", [Service, Host, Status]),
            later(Service, ?RESTART_MS, Record, State)
    end.

gone(Service, Status, #state{host = Host, wanted = Wanted} = State) ->
    #service{killed = Killed, held = Held, timer = Timer} = Record = service(Service, State),
    chaos_log:event("exit ~s~b status ~b ~s", [Service, Host, Status,
                                                case Killed of true -> "as told"; _ -> "" end]),
    ok = judge(Service, Host, Status, Killed or not Wanted),
    Wait = max(?RESTART_MS, left_of(Held)),
    Gone = Record#service{port = undefined, os_pid = undefined, frozen = [], killed = false},
    _ = Timer =:= undefined orelse erlang:cancel_timer(Timer),
    case Wanted of
        true -> later(Service, Wait, Gone#service{timer = undefined}, State);
        false -> put_service(Service, Gone, State)
    end.

%% 128 and the number of the signal. A worker may be killed by its member.
judge(_, _, _, true) -> ok;
judge(worker, _, 137, false) -> chaos_log:count({seen, worker_killed_by_its_member});
judge(Service, Host, Status, false) when Status > 128 ->
    chaos_log:violation("~s~b ended by signal ~b", [Service, Host, Status - 128]);
judge(Service, Host, Status, false) ->
    case lists:member(Status, ?HOPELESS) of
        true -> chaos_log:violation("~s~b refuses to run: ~b", [Service, Host, Status]);
        false -> chaos_log:count({seen, {Service, ended, Status}})
    end.

frozen(Service, Ref, State) ->
    case service(Service, State) of
        #service{os_pid = undefined} ->
            State;
        #service{frozen = Frozen} = Record ->
            _ = signal(Record, "STOP"),
            put_service(Service, Record#service{frozen = [Ref | Frozen]}, State)
    end.

thawed(Service, Ref, State) ->
    case service(Service, State) of
        #service{frozen = [Ref]} = Record ->
            _ = signal(Record, "CONT"),
            put_service(Service, Record#service{frozen = []}, State);
        #service{frozen = Frozen} = Record ->
            put_service(Service, Record#service{frozen = lists:delete(Ref, Frozen)}, State)
    end.

signal(#service{os_pid = undefined}, _) -> false;
signal(#service{os_pid = OsPid}, Signal) -> os_kill(OsPid, Signal), true.

os_kill(OsPid, Signal) ->
    _ = os:cmd(lists:flatten(io_lib:format("kill -~s ~b", [Signal, OsPid]))),
    ok.

%% SIGTERM, and SIGKILL if that is not enough.
ended(Service, #state{host = Host} = State) ->
    case service(Service, State) of
        #service{port = undefined} ->
            State;
        #service{port = Port} = Record ->
            _ = signal(Record, "TERM"),
            receive
                {Port, {exit_status, Status}} -> gone(Service, Status, State)
            after ?STOP_MS ->
                chaos_log:violation("~s~b does not stop within ~b ms", [Service, Host, ?STOP_MS]),
                _ = signal(Record, "KILL"),
                receive {Port, {exit_status, Status}} -> gone(Service, Status, State) end
            end
    end.

%% What runs in the namespaces of the host but its init.
rest(#state{init = undefined}) ->
    [];
rest(#state{init = {Port, Init}, context = #{net := Net}, host = Host}) ->
    {os_pid, Outer} = erlang:port_info(Port, os_pid),
    Pids = [list_to_integer(P)
            || P <- string:lexemes(os:cmd("ip netns pids " ++ test_net:ns(Net, Host)), "\n")],
    Rest = [{P, Name} || P <- Pids, P =/= Init, P =/= Outer, {ok, Name} <- [program(P)]],
    true = erlang:port_close(Port),
    _ = os_kill(Init, "KILL"),
    [lists:flatten(io_lib:format("host ~b: ~b ~ts", [Host, P, Name])) || {P, Name} <- Rest].

%% Not of one that has ended, nor of what init waits with.
program(OsPid) ->
    case file:read_file(io_lib:format("/proc/~b/cmdline", [OsPid])) of
        {ok, <<"sleep", _/binary>>} -> error;
        {ok, <<>>} -> error;
        {ok, Text} -> {ok, binary:replace(Text, <<0>>, <<" ">>, [global])};
        {error, _} -> error
    end.
