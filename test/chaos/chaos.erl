%% SPDX-License-Identifier: Apache-2.0
%% A cluster of five hosts on a bad day, and what must hold on it: `make chaos'. See
%% docs/testing.md.
-module(chaos).

-export([main/1]).

-define(CONTROLLER, 9).
-define(BASE, 10).
%% Within this all runs again once all is mended.
-define(RECOVER_MS, 60000).
-define(START_MS, 30000).
-define(PROGRESS_MS, 10000).
-define(CALL_MS, 60000).

%% TOP WORK SECS SEED
-spec main([string()]) -> no_return().
main([Top, Work, Secs, Seed]) ->
    ok = chaos_log:open(Work),
    Net = "qc" ++ os:getpid(),
    Code = case test_net:build(Net, [?CONTROLLER | chaos_plan:hosts()]) of
               {ok, Built} ->
                   try
                       story(Built, Top, Work, list_to_integer(Secs), list_to_integer(Seed))
                   catch
                       throw:unwell ->
                           1;
                       Class:Reason:Stack ->
                           chaos_log:violation("the test itself: ~p ~p~n~p",
                                               [Class, Reason, Stack]),
                           1
                   after
                       test_net:tear_down(Built)
                   end;
               {error, Why} ->
                   chaos_log:say("FAILED: no network namespaces with nft here: ~ts", [Why]),
                   2
           end,
    receive after 200 -> halt(Code) end.

story(Net, Top, Work, Secs, Seed) ->
    chaos_log:say("SEED=~b SECS=~b", [Seed, Secs]),
    Context = start(Net, Top, Work),
    #{plan := Options} = Context,
    ok = await_well(Context, "the start", ?START_MS),
    ok = create_base(Context),
    ok = await_well(Context, "the first sandboxes", ?START_MS),
    Begin = now_ms(),
    _ = spawn_link(fun() -> progress(Context) end),
    Times = rounds(1, Seed, Options, Begin + 1000 * Secs, Context, []),
    chaos_log:say("all mended; looking at what has been", []),
    ok = check(Context, Times),
    conclude(Seed).

now_ms() -> erlang:monotonic_time(millisecond).

%% The start

start(Net, Top, Work) ->
    Disks = maps:from_list([{H, Dir} || H <- chaos_plan:hosts(), Dir <- [disk(Work, H)],
                                        filelib:is_dir(Dir)]),
    _ = maps:size(Disks) =:= 0 andalso
        chaos_log:say("no file systems can be mounted here: no disk is filled", []),
    Cookie = [$a - 1 + rand:uniform(26) || _ <- lists:seq(1, 20)],
    ok = file:write_file(filename:join(Work, "cookie"), Cookie),
    ok = file:change_mode(filename:join(Work, "cookie"), 8#600),
    Context = #{top => Top, work => Work, disks => Disks, cookie => Cookie,
                sink => filename:join(Work, "sink"), record => filename:join(Work, "record")},
    Clocks = os:getenv("CLOCKS") =:= "1",
    Host = #{net => Net, clocks => Clocks, work => Work,
             preload => filename:join(Work, "preload.so"),
             commands => fun(H, Service) -> command(Service, H, Context) end},
    Whole = Context#{host => Host, client => client(Net, Context)},
    ok = chaos_faults:open(Whole),
    ok = chaos_net:start(Net, filename:join(Work, "delay")),
    HasDelay = chaos_net:has_delay(),
    _ = HasDelay orelse chaos_log:say("no /dev/net/tun here: no delays", []),
    ok = sink(Context),
    lists:foreach(fun(H) -> ok = chaos_host:start(Host, H) end, chaos_plan:hosts()),
    Whole#{plan => #{full => maps:keys(Disks), delay => HasDelay, clocks => Clocks}}.

disk(Work, Host) -> filename:join(Work, "disk" ++ integer_to_list(Host)).

program(Top) -> os:getenv("QUORATE_PROGRAM", filename:join([Top, "priv", "quorate"])).

data_dir(Host, #{work := Work, disks := Disks}) ->
    Dir = maps:get(Host, Disks, filename:join(Work, "host" ++ integer_to_list(Host))),
    filename:join(Dir, "data").

journal_dir(Host, #{work := Work}) ->
    filename:join(Work, "journal" ++ integer_to_list(Host)).

command(member, Host, #{top := Top, work := Work} = Context) ->
    Address = fun(H) -> test_net:address(H) ++ ":4370" end,
    ok = filelib:ensure_dir(data_dir(Host, Context)),
    ok = filelib:ensure_dir(filename:join(journal_dir(Host, Context), "x")),
    {[program(Top), "start", "--name", atom_to_list(chaos_api:member(Host)),
      "--cookie-file", filename:join(Work, "cookie"), "--data-dir", data_dir(Host, Context),
      "--epmd=false", "--listen", Address(Host), "--snapshot-log-size", "4MiB",
      "--ownership-journal-dir", journal_dir(Host, Context), "--ownership-journal-size", "1GiB"
      | lists:append([["--member", atom_to_list(chaos_api:member(H)) ++ "=" ++ Address(H)]
                      || H <- chaos_plan:hosts()])],
     [{"CHAOS_DISK", data_dir(Host, Context)}]};
command(worker, Host, #{work := Work, sink := Sink} = Context) ->
    Others = [chaos_api:member(H) || H <- chaos_plan:hosts(), H =/= Host],
    {[os:find_executable("erl"), "-noshell", "-noinput", "-name",
      atom_to_list(chaos_api:worker(Host)), "+S", "1:1", "+A", "1", "+SDio", "2"
      | node_args(Context)
        ++ ["-kernel", "logger_level", "info", "-run", "chaos_worker", "main",
            integer_to_list(Host), filename:join(Work, "calls" ++ integer_to_list(Host)), Sink,
            journal_dir(Host, Context)
            | [atom_to_list(M) || M <- [chaos_api:member(Host) | Others]]]],
     [{"CHAOS_WORKER", "1"} | node_env(Context)]}.

node_args(#{cookie := Cookie}) ->
    ["-setcookie", Cookie, "-start_epmd", "false", "-epmd_module", "quorate_epmd",
     "-pa", filename:dirname(code:which(?MODULE)),
     "-pa", filename:dirname(code:which(quorate))].

node_env(#{work := Work}) ->
    [{"QUORATE_EPMD_NODES", chaos_api:nodes_text()}, {"ERL_CRASH_DUMP", "/dev/null"},
     {"HOME", Work}].

client(Net, Context) ->
    Ip = os:find_executable("ip"),
    Erl = os:find_executable("erl"),
    {ok, Client, _} =
        peer:start(#{name => "controller", host => test_net:address(?CONTROLLER),
                     longnames => true,
                     connection => standard_io, wait_boot => ?START_MS,
                     exec => {Ip, ["netns", "exec", test_net:ns(Net, ?CONTROLLER), Erl]},
                     args => ["-hidden", "-kernel", "net_setuptime", "1",
                              "-kernel", "logger_level", "error" | node_args(Context)],
                     env => node_env(Context)}),
    Client.

sink(#{sink := Sink, record := Record}) ->
    Port = open_port({spawn_executable, os:find_executable("setpriv")},
                     [{args, ["--pdeathsig", "KILL", os:find_executable("erl")
                              | test_sink:arguments(Sink, Record)]}, exit_status]),
    await("the sink", fun() ->
        case test_sink:connect(Sink, 1000) of
            {ok, Connected} -> test_sink:close(Connected) =:= ok;
            {error, _} -> false
        end
    end, now_ms() + ?START_MS, Port).

await(What, Check, Until, Port) ->
    case Check() of
        true -> ok;
        false ->
            now_ms() < Until orelse error({waited_in_vain_for, What, Port}),
            receive after 50 -> await(What, Check, Until, Port) end
    end.

call(#{client := Client}, Function, Args) ->
    peer:call(Client, chaos_api, Function, Args, ?CALL_MS).

%% They are there from the beginning to the end.
create_base(#{sink := Sink} = Context) ->
    lists:foreach(fun(N) ->
        Id = list_to_binary("base-" ++ integer_to_list(N)),
        case call(Context, ask, [quorate, create_sandbox, [Id, chaos_worker:spec(Sink), #{}]]) of
            {ok, _} -> ok;
            {error, {already_exists, _}} -> ok
        end
    end, lists:seq(1, ?BASE)).

%% Rounds

rounds(Number, Seed, Options, EndMs, Context, Times) ->
    case now_ms() < EndMs of
        false ->
            Times;
        true ->
            #{style := Style, faults := Faults} = Plan =
                chaos_plan:round(Seed, Number, Options),
            chaos_log:say("round ~b: ~s, ~b faults", [Number, Style, length(Faults)]),
            lists:foreach(fun(Fault) -> chaos_log:event("planned ~0p", [Fault]) end, Faults),
            ok = chaos_faults:round(Plan, EndMs, Context),
            ok = chaos_faults:mend(Context),
            Mended = now_ms(),
            ok = await_well(Context, io_lib:format("round ~b", [Number]), ?RECOVER_MS),
            rounds(Number + 1, Seed, Options, EndMs, Context, [now_ms() - Mended | Times])
    end.

await_well(Context, What, TimeoutMs) ->
    await_well(Context, What, TimeoutMs, now_ms()).

await_well(Context, What, TimeoutMs, Begin) ->
    Wrong = chaos_check:picture(call(Context, picture, [])),
    Took = now_ms() - Begin,
    case Wrong of
        [] ->
            chaos_log:event("well after ~b ms", [Took]);
        _ when Took > TimeoutMs ->
            chaos_log:violation("~ts: not well ~b ms after all was mended: ~0p",
                                [What, Took, Wrong]),
            throw(unwell);
        _ ->
            chaos_log:event("not well after ~b ms: ~w", [Took, [element(1, W) || W <- Wrong]]),
            receive after 250 -> await_well(Context, What, TimeoutMs, Begin) end
    end.

progress(#{record := Record} = Context) ->
    receive after ?PROGRESS_MS -> ok end,
    Up = [H || H <- chaos_plan:hosts(), chaos_host:are_up(H)],
    Faults = lists:sum([N || {{fault, _}, N} <- chaos_log:counts()]),
    chaos_log:say("  ~b faults, hosts up ~w, record ~b KiB, violations ~b",
                  [Faults, Up, filelib:file_size(Record) div 1024,
                   length(chaos_log:violations())]),
    progress(Context).

%% The end

check(#{work := Work, record := Record} = Context, Times) ->
    chaos_log:say("well again after each round: worst ~b ms, of ~w",
                  [lists:max([0 | Times]), lists:reverse(Times)]),
    _ = [chaos_log:violation("the clients of ~s do not end: ~0p", [W, Why])
         || {W, Why} <- call(Context, on_workers, [chaos_worker, quiet, [], ?START_MS]),
            Why =/= ok],
    ok = await_well(Context, "the end", ?RECOVER_MS),
    MendedUs = test_sink:now_us(),
    receive after 3000 -> ok end,
    #{ids := Ids, accepted := Accepted} = Sink = chaos_check:sink(Record),
    Rows = case call(Context, ask, [quorate, sandboxes, []]) of
               List when is_list(List) -> List;
               _ -> []
           end,
    ok = chaos_check:existence([Id || #{id := Id} <- Rows], Work),
    [writes(Id, Ids, MendedUs) || #{id := Id} <- Rows, not chaos_worker:is_free(Id)],
    [recovers(Id, Ids, Context) || #{id := Id} <- Rows],
    #{stale := Stale} = Late = chaos_check:state(Sink, Work, chaos_log:faults()),
    chaos_log:say("sink: ~b writes accepted, ~b refused as stale; ~0p", [Accepted, Stale, Late]),
    #{count := Count, worst := Worst, results := Results} = chaos_check:calls(Work),
    chaos_log:say("~b calls; the slowest of each, in ms: ~0p", [Count, words(Worst)]),
    chaos_log:say("answers: ~0p", [words(lists:sublist(Results, 25))]),
    chaos_log:say("~b sandboxes in the end, ~b in all", [length(Rows), map_size(Ids)]),
    Left = lists:append([chaos_host:left(H) || H <- chaos_plan:hosts()]),
    _ = Left =:= [] orelse chaos_log:violation("processes left behind: ~0p", [Left]),
    ok = verify(Context).

words(Pairs) -> [{binary_to_list(Word), N} || {Word, N} <- Pairs].

%% All run, so all write.
writes(Id, Ids, SinceUs) ->
    case Ids of
        #{Id := #{last := Last}} when Last >= SinceUs -> ok;
        _ -> chaos_log:violation("~s runs, and does not write", [Id])
    end.

recovers(Id, Ids, Context) ->
    Saved = lists:max([0 | [Count || #{saved := Epochs} <- [maps:get(Id, Ids, #{saved => []})],
                                     {_, Count} <- Epochs]]),
    case call(Context, ask, [state_replicator, recover_state, [Id]]) of
        {ok, Count, _} when Count >= Saved -> ok;
        {error, not_found} when Saved =:= 0 -> ok;
        Other -> chaos_log:violation("~s: ~b was acknowledged, now there is ~0p",
                                     [Id, Saved, Other])
    end.

verify(#{top := Top} = Context) ->
    Dirs = [journal_dir(H, Context) || H <- chaos_plan:hosts()],
    Text = os:cmd(lists:flatten([program(Top), " verify ", lists:join(" ", Dirs),
                                 "; echo status=$?"])),
    ok = file:write_file(filename:join(maps:get(work, Context), "verify"), Text),
    chaos_log:say("quorate verify:~n~ts", [string:slice(string:trim(Text), 0, 4000)]),
    chaos_log:say("quorate verify ~ts", [lists:last(["gave no verdict"
                                         | [L || L <- string:lexemes(Text, "\n"),
                                                 string:prefix(L, "verdict") =/= nomatch]])]),
    %% Late is a worker that its member could not kill, being frozen itself. It is no proof,
    %% so all of that is printed.
    Good = ["ok", "late"],
    _ = lists:any(fun(Verdict) -> string:find(Text, "verdict: " ++ Verdict) =/= nomatch end, Good)
        orelse chaos_log:violation("the journals are not accepted", []),
    ok.

conclude(Seed) ->
    Counts = chaos_log:counts(),
    chaos_log:say("faults: ~b", [lists:sum([N || {{fault, _}, N} <- Counts])]),
    lists:foreach(fun({{Kind, What}, N}) -> chaos_log:say("  ~s ~0p: ~b", [Kind, What, N]) end,
                  Counts),
    Violations = chaos_log:violations(),
    chaos_log:say("chaos: SEED=~b, ~b violations", [Seed, length(Violations)]),
    lists:foreach(fun(Text) -> chaos_log:say("  ~ts", [Text]) end, Violations),
    case Violations of
        [] -> 0;
        _ -> 1
    end.
