%% SPDX-License-Identifier: Apache-2.0
%% @doc The own member, a program beside this virtual machine.
%%
%% Its standard input is a leash: the cookie is its first line (a command line
%% can be read by everybody), then it stays open, and its end is the end of
%% this node, on which the member exits too. On standard output it says one
%% line, `ready NAME PORT'; its log goes to this node's standard error.
%%
%% An exit with a complaint about the configuration (78) will be the same next
%% time, so it is reported and left at that; after any other exit the member
%% is started again, after a growing pause.
-module(quorate_member).
-behaviour(gen_server).

-export([start_link/1, find_program/1]).
-export([init/1, handle_continue/2, handle_call/3, handle_cast/2, handle_info/2, terminate/2]).

-define(READY_MS, 30000).
-define(START_AGAIN_MS, 5000).
-define(BAD_CONFIGURATION, 78).
-define(PAUSE_MIN_MS, 100).
-define(PAUSE_MAX_MS, 5000).
%% A member that served so long failed for a new reason.
-define(STABLE_MS, 30000).
-define(EXIT_MS, 5000).
-define(LINE_SIZE_MAX, 4096).

-record(state,
        {member :: quorate_config:member(),
         port :: port() | undefined,
         ready_at :: integer() | undefined, % undefined: not yet
         pause = ?PAUSE_MIN_MS :: pos_integer()}).

%% @doc Starts the member and returns when it serves.
-spec start_link(quorate_config:member()) -> gen_server:start_ret().
start_link(Member) ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, Member, [{timeout, ?READY_MS + 5000}]).

%% @doc The program: as configured, or in `priv', or on the path.
-spec find_program(quorate_config:member()) -> {ok, file:filename_all()} | {error, string()}.
find_program(#{daemon_path := undefined}) ->
    Own = own_program(),
    OnPath = os:find_executable("quorate"),
    case {filelib:is_regular(Own), OnPath} of
        {true, _} -> {ok, Own};
        {false, false} ->
            {error, format("the member's program was not found: daemon_path is not set, there is "
                           "no ~ts (`make` builds it), and no quorate on the PATH", [Own])};
        {false, _} ->
            {ok, OnPath}
    end;
find_program(#{daemon_path := Path}) ->
    case filelib:is_regular(Path) of
        true -> {ok, Path};
        false -> {error, format("the member's program was not found: daemon_path ~ts is no file; "
                                "without this setting it is ~ts, or quorate on the PATH",
                                [Path, own_program()])}
    end.

-spec init(quorate_config:member()) -> {ok, #state{}, {continue, started}} | {stop, term()}.
init(Member) ->
    _ = process_flag(trap_exit, true),
    Until = erlang:monotonic_time(millisecond) + ?READY_MS,
    case await_ready(open(#state{member = Member}), Until) of
        {ok, State} -> {ok, State, {continue, started}};
        {error, Text} -> {stop, {shutdown, Text}}
    end.

-spec handle_continue(started, #state{}) -> {noreply, #state{}}.
handle_continue(started, #state{member = #{name := Name}} = State) ->
    ok = quorate_agent:member_ready(Name),
    {noreply, State}.

-spec handle_call(term(), gen_server:from(), #state{}) -> {reply, {error, unknown}, #state{}}.
handle_call(_, _, State) ->
    {reply, {error, unknown}, State}.

-spec handle_cast(term(), #state{}) -> {noreply, #state{}}.
handle_cast(_, State) ->
    {noreply, State}.

-spec handle_info(term(), #state{}) ->
          {noreply, #state{}} | {noreply, #state{}, {continue, started}}.
handle_info({Port, {data, {eol, <<"ready ", Where/binary>>}}}, #state{port = Port} = State) ->
    ok = tell_where(Where, State),
    {noreply, State#state{ready_at = erlang:monotonic_time(millisecond)}, {continue, started}};
handle_info({Port, {exit_status, ?BAD_CONFIGURATION}}, #state{port = Port} = State) ->
    logger:error("~ts", [failed(State, ?BAD_CONFIGURATION)]),
    {noreply, State#state{port = undefined, ready_at = undefined}};
handle_info({Port, {exit_status, Status}}, #state{port = Port} = State) ->
    Pause = pause(State),
    logger:warning("~ts; starting it again in ~b ms", [failed(State, Status), Pause]),
    _ = erlang:send_after(Pause, self(), start),
    {noreply, State#state{port = undefined, ready_at = undefined,
                          pause = min(2 * Pause, ?PAUSE_MAX_MS)}};
handle_info(start, #state{port = undefined} = State) ->
    {noreply, open(State)};
handle_info(_, State) ->
    {noreply, State}.

%% Whoever starts a member here next must find the data directory free.
-spec terminate(term(), #state{}) -> ok.
terminate(_, #state{port = undefined}) ->
    ok;
terminate(_, #state{port = Port}) ->
    OsPid = os_pid(Port),
    ok = close(Port),
    await_exit(OsPid, erlang:monotonic_time(millisecond) + ?EXIT_MS).

%% Internals

own_program() ->
    filename:join(priv_dir(code:priv_dir(quorate)), "quorate").

priv_dir({error, bad_name}) -> "priv";
priv_dir(Dir) -> Dir.

open(#state{member = #{daemon_path := Program, data_dir := DataDir} = Member} = State) ->
    _ = filelib:ensure_dir(filename:join(DataDir, "x")),
    Port = erlang:open_port({spawn_executable, Program},
                            [binary, exit_status, use_stdio, hide, {line, ?LINE_SIZE_MAX},
                             {args, quorate_config:arguments(Member)}]),
    try
        true = port_command(Port, ["cookie ", atom_to_binary(erlang:get_cookie()), "\n"])
    catch
        error:badarg -> true % It is gone already; its exit status follows.
    end,
    State#state{port = Port, ready_at = undefined}.

%% Only at the start of the application is there somebody to wait. A member
%% that ends is tried again for a short time: the one before it may still have
%% to leave the data directory.
await_ready(#state{port = Port} = State, Until) ->
    receive
        {Port, {data, {eol, <<"ready ", Where/binary>>}}} ->
            ok = tell_where(Where, State),
            {ok, State#state{ready_at = erlang:monotonic_time(millisecond)}};
        {Port, {data, _}} ->
            await_ready(State, Until);
        {Port, {exit_status, ?BAD_CONFIGURATION}} ->
            {error, failed(State, ?BAD_CONFIGURATION)};
        {Port, {exit_status, Status}} ->
            start_again(State, Status, Until)
    after left(Until) ->
        ok = close(Port),
        {error, text(State, "did not say that it is ready within 30 s")}
    end.

%% This node finds it without epmd, if it was started for that.
tell_where(Where, #state{member = #{listen := {Host, _}}}) ->
    [Name, Digits] = binary:split(Where, <<" ">>),
    Port = binary_to_integer(Digits),
    Address = case is_every_address(Host) of
                  true -> Port;
                  false -> {Host, Port}
              end,
    _ = quorate_epmd:put(Name, Address),
    ok.

is_every_address(Host) ->
    lists:member(Host, ["0.0.0.0", <<"0.0.0.0">>, "::", <<"::">>, {0, 0, 0, 0},
                        {0, 0, 0, 0, 0, 0, 0, 0}]).

start_again(#state{pause = Pause} = State, Status, Until) ->
    case left(Until) > Pause + ?READY_MS - ?START_AGAIN_MS of
        true ->
            logger:warning("~ts; starting it again in ~b ms", [failed(State, Status), Pause]),
            ok = timer:sleep(Pause),
            await_ready(open(State#state{pause = min(2 * Pause, ?PAUSE_MAX_MS)}), Until);
        false ->
            {error, failed(State, Status)}
    end.

left(Until) ->
    max(0, Until - erlang:monotonic_time(millisecond)).

pause(#state{ready_at = undefined, pause = Pause}) ->
    Pause;
pause(#state{ready_at = ReadyAt, pause = Pause}) ->
    case erlang:monotonic_time(millisecond) - ReadyAt > ?STABLE_MS of
        true -> ?PAUSE_MIN_MS;
        false -> Pause
    end.

failed(State, ?BAD_CONFIGURATION) ->
    text(State, "does not accept its configuration (exit code 78); "
                "what is wrong is in its line on standard error");
failed(State, Status) when Status > 128 ->
    text(State, io_lib:format("was ended by signal ~b", [Status - 128]));
failed(State, Status) ->
    text(State, io_lib:format("ended with exit code ~b; why is on standard error", [Status])).

text(#state{member = #{name := Name, data_dir := DataDir}}, What) ->
    format("the member ~ts (data in ~ts) ~ts", [Name, DataDir, What]).

format(Format, Args) ->
    lists:flatten(io_lib:format("quorate: " ++ Format, Args)).

os_pid(Port) ->
    case erlang:port_info(Port, os_pid) of
        {os_pid, OsPid} -> OsPid;
        undefined -> undefined
    end.

close(Port) ->
    try
        true = port_close(Port),
        ok
    catch
        error:badarg -> ok
    end.

await_exit(undefined, _) ->
    ok;
await_exit(OsPid, Until) ->
    case quorate_os:is_alive(OsPid) andalso left(Until) > 0 of
        true -> ok = timer:sleep(20), await_exit(OsPid, Until);
        false -> ok
    end.
