%% SPDX-License-Identifier: Apache-2.0
%% What runs on a worker: the application, as a user starts it, and clients that call
%% its API all the while. What they saw goes into the file `calls' of the host, line by
%% line, because the node may be killed at any time:
%%
%%   TIME begin N OP ID            before a call that changes something
%%   TIME end N OP ID MS STILL RESULT     MS it took, in STILL of them this node stood still
%%   TIME owner ID EPOCH           a sandbox begins here
%%   TIME attached MEMBER          as the agent says it
%%
%% Times are microseconds of /proc/uptime, which no preloaded clock changes.
-module(chaos_worker).

-export([main/1, start_link/2, spec/1, start_free/1, free_spec/0, is_free/1, log/2, local/0,
         quiet/0]).

-define(CALL_EVERY_MS, 60).
-define(OWN_MAX, 3).
-define(PULSE_MS, 50).
-define(STILL_MS, 150).

%% HOST CALLS-FILE SINK JOURNAL-DIR|off MEMBER...
-spec main([string()]) -> no_return().
main([Host, Calls, Sink, Journal | Members]) ->
    ok = application:load(quorate),
    Settings = [{member, {existing, [list_to_atom(M) || M <- Members]}},
                {capacity, #{cpu => 8000, memory => 8192, sandboxes => 1000}}],
    true = os:putenv("CHAOS_CALLS", Calls),
    ok = logger:add_handler(chaos, ?MODULE, #{level => info, config => #{}}),
    ok = application:set_env([{quorate, Settings ++ journal(Journal)}]),
    {ok, _} = application:ensure_all_started(quorate),
    chaos_gaps = ets:new(chaos_gaps, [named_table, public, ordered_set]),
    _ = spawn_link(fun() -> _ = process_flag(priority, high), pulse(now_ms()) end),
    Clients = [spawn_link(fun() -> client(list_to_integer(Host), N, Sink) end) || N <- [1, 2]],
    true = register(?MODULE, self()),
    rest(Clients).

rest(Clients) ->
    receive
        {quiet, From} ->
            Refs = [begin Pid ! quiet, erlang:monitor(process, Pid) end || Pid <- Clients],
            _ = [receive {'DOWN', Ref, process, _, _} -> ok end || Ref <- Refs],
            From ! {?MODULE, quiet},
            rest(Clients)
    end.

%% The clients end, with their calls answered.
-spec quiet() -> ok.
quiet() ->
    ?MODULE ! {quiet, self()},
    receive {?MODULE, quiet} -> ok end.

journal("off") -> [];
journal(Dir) -> [{ownership_journal, #{dir => Dir, size => 256 * 1024 * 1024}}].

%% Sandboxes

-spec spec(file:filename()) -> map().
spec(Sink) ->
    Options = #{sink => Sink, write_ms => 50, save_ms => 100},
    #{id => chaos, start => {?MODULE, start_link, [Options]}, restart => permanent}.

-spec start_link(map(), map()) -> {ok, pid()} | {error, term()}.
start_link(Options, #{id := Id, epoch := Epoch} = Context) ->
    ok = line("owner ~s ~b", [Id, Epoch]),
    test_sink_sandbox:start_link(Options, Context).

%% One of mode `available'. It may run twice, so it writes nothing to the sink; it saves a
%% count, or tries to.
-spec free_spec() -> map().
free_spec() ->
    #{id => chaos, start => {?MODULE, start_free, []}, restart => permanent}.

-spec start_free(map()) -> {ok, pid()}.
start_free(#{id := Id, epoch := Epoch} = Context) ->
    ok = line("owner ~s ~b", [Id, Epoch]),
    Count = case Context of
                #{state := {ok, Number}} -> Number;
                _ -> 0
            end,
    {ok, proc_lib:spawn_link(fun() -> save(Count + 1) end)}.

save(Count) ->
    _ = quorate:replicate_state(Count),
    receive after 200 -> save(Count + 1) end.

%% Whether an id is of one that may run twice.
-spec is_free(binary()) -> boolean().
is_free(Id) ->
    binary:match(Id, <<"-free-">>) =/= nomatch.

%% What runs here: asked for in the end.
-spec local() -> [{binary(), pos_integer()}].
local() ->
    [{Id, Epoch} || #{id := Id, epoch := Epoch} <- quorate_local:list()].

%% The record

-spec log(logger:log_event(), logger:handler_config()) -> ok.
log(#{msg := {"quorate: attached to ~ts" = Format, Args}}, _) ->
    "quorate: " ++ Text = lists:flatten(io_lib:format(Format, Args)),
    line("~s", [re:replace(Text, " to ", " ")]);
log(_, _) ->
    ok.

line(Format, Args) ->
    {ok, File} = file:open(os:getenv("CHAOS_CALLS"), [append, raw]),
    Text = io_lib:format("~b " ++ Format ++ "\n", [quorate_os:clock() * 1000 | Args]),
    ok = file:write(File, Text),
    file:close(File).

%% When this node stood still.

now_ms() -> erlang:monotonic_time(millisecond).

pulse(Before) ->
    receive after ?PULSE_MS -> ok end,
    Now = now_ms(),
    _ = Now - Before - ?PULSE_MS > ?STILL_MS andalso ets:insert(chaos_gaps, {Before, Now}),
    _ = ets:select_delete(chaos_gaps, [{{'$1', '_'}, [{'<', '$1', Now - 120000}], [true]}]),
    pulse(Now).

still(From, To) ->
    lists:sum([min(To, B) - max(From, A) || {A, B} <- ets:tab2list(chaos_gaps), B > From, A < To]).

%% A client

client(Host, N, Sink) ->
    _ = rand:seed(exsss),
    Prefix = io_lib:format("w~b-~b-", [Host, N]),
    Own = own(list_to_binary(lists:flatten(Prefix))),
    _ = [net_kernel:connect_node(Node) || Node <- chaos_api:workers(), Node =/= node()],
    work(#{prefix => lists:flatten(Prefix), own => Own, sink => Sink, n => N}).

%% What a client of this name has made before: it is still there.
own(Prefix) ->
    case quorate:sandboxes() of
        Rows when is_list(Rows) ->
            Size = byte_size(Prefix),
            [Id || #{id := <<P:Size/binary, _/binary>> = Id} <- Rows, P =:= Prefix];
        {error, _} ->
            receive after 500 -> own(Prefix) end
    end.

work(State) ->
    receive
        quiet -> ok
    after rand:uniform(2 * ?CALL_EVERY_MS) -> work_on(State)
    end.

work_on(#{own := Own} = State) ->
    Next = case rand:uniform(100) of
               Low when Low =< 10, length(Own) < ?OWN_MAX -> create(State);
               Low when Low =< 2, Own =/= [] -> stop(one_of(Own), State);
               Low when Low =< 6 -> crash(), State;
               Low when Low =< 10 -> name(State), State;
               _ -> read(one_of([<<"base-1">>, <<"none">> | Own]), State), State
           end,
    work(Next).

one_of(List) -> lists:nth(rand:uniform(length(List)), List).

create(#{prefix := Prefix, own := Own, sink := Sink} = State) ->
    Stamp = integer_to_list(quorate_os:clock()),
    {Id, Spec, Options} =
        case rand:uniform(3) of
            1 -> {list_to_binary([Prefix, "free-", Stamp]), free_spec(), #{mode => available}};
            _ -> {list_to_binary([Prefix, Stamp]), spec(Sink), #{}}
        end,
    case change(create, Id, fun() -> quorate:create_sandbox(Id, Spec, Options) end, State) of
        {ok, _} -> State#{own := [Id | Own]};
        {error, timeout} -> State#{own := [Id | Own]};
        {error, _} -> State
    end.

stop(Id, #{own := Own} = State) ->
    _ = change(stop, Id, fun() -> quorate:stop_sandbox(Id) end, State),
    State#{own := lists:delete(Id, Own)}.

%% The process of a sandbox: it is started again here, under its epoch.
crash() ->
    case quorate_local:list() of
        [] ->
            ok;
        Rows ->
            #{sandbox := Sandbox} = one_of(Rows),
            _ = [exit(Pid, kill) || {links, Links} <- [erlang:process_info(Sandbox, links)],
                                    Pid <- Links, is_pid(Pid),
                                    Pid =/= whereis(quorate_sandbox_sup),
                                    erlang:process_info(Pid, initial_call) =/= undefined,
                                    is_child(Pid)],
            ok
    end.

is_child(Pid) ->
    case erlang:process_info(Pid, dictionary) of
        {dictionary, Dictionary} ->
            proplists:get_value('$initial_call', Dictionary) =:= {test_sink_sandbox, init, 1};
        undefined ->
            false
    end.

%% A name, taken and given back.
name(State) ->
    Name = {chaos, rand:uniform(10)},
    Pid = spawn(fun() -> receive after 30000 -> ok end end),
    _ = call(register, <<"name">>, fun() -> quorate:register(Name, Pid, #{}) end, State),
    _ = rand:uniform(2) =:= 1
        andalso call(unregister, <<"name">>, fun() -> quorate:unregister(Name, Pid) end, State),
    true = exit(Pid, kill).

read(Id, State) ->
    {Op, Fun} = one_of([{sandbox, fun() -> quorate:sandbox(Id) end},
                        {sandbox, fun() -> quorate:sandbox(Id) end},
                        {sandbox_local,
                         fun() -> quorate:sandbox(Id, #{consistency => local}) end},
                        {sandboxes, fun() -> quorate:sandboxes(#{limit => 50}) end},
                        {workers, fun quorate:workers/0},
                        {status, fun quorate:status/0},
                        {token, fun quorate:token/0},
                        {has_quorum, fun quorate:has_quorum/0},
                        {partition, fun quorate:detect_partition/0},
                        {recover, fun() -> quorate:recover_state(Id) end},
                        {whereis, fun() -> quorate:whereis({chaos, 1}) end}]),
    call(Op, Id, Fun, State).

change(Op, Id, Fun, #{n := N} = State) ->
    ok = line("begin ~b ~s ~s", [N, Op, Id]),
    call(Op, Id, Fun, State).

call(Op, Id, Fun, #{n := N}) ->
    From = now_ms(),
    Result = try Fun() catch Class:Reason -> {crash, Class, Reason} end,
    To = now_ms(),
    %% What the pulse has not seen yet.
    _ = To - From > 1000 andalso receive after 2 * ?PULSE_MS -> ok end,
    ok = line("end ~b ~s ~s ~b ~b ~0p", [N, Op, Id, To - From, still(From, To), brief(Result)]),
    Result.

brief({error, {already_exists, _}}) -> {error, already_exists};
brief({error, Reason}) -> {error, Reason};
brief({crash, _, _} = Crash) -> Crash;
%% Nobody has promised that it is there afterwards.
brief({ok, #{status := provisional}}) -> provisional;
brief(_) -> ok.
