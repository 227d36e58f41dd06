%% SPDX-License-Identifier: Apache-2.0
%% Whatever comes in, there is a clear error or a closed connection, and the
%% member serves on: after each case the same process answers within a second.
-module(bad_input_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(RAW, <<"raw@127.0.0.1">>).
%% A peer that is not understood is hung up on at once; this is patience.
-define(AT_ONCE_MS, 3000).
%% The handshake may take 7 s.
-define(HANDSHAKE_MS, 12000).

suite() ->
    [{timetrap, {seconds, 60}}].

all() ->
    [random_bytes, silent_connections, wrong_name, wrong_flags,
     wrong_digest, wrong_order, odd_sizes, one_byte_at_a_time, name_of_a_member,
     frame_of_four_gib, frame_that_never_ends, random_frames, deep_terms, truncated_terms,
     changed_terms, wrong_control_messages, too_many_atoms, id_of_256_bytes, unknown_option_keys,
     nonsense_arguments, member_messages_of_a_stranger, agent_messages_of_a_stranger,
     memory_stays, port_in_use, unreadable_cookie].

init_per_suite(Config) ->
    Context = quorate_ct:start(bad_input),
    [Member] = quorate_ct:members(Context, ["q1"]),
    Client = quorate_ct:node(Context, "client"),
    _ = quorate_ct:await_leader(Client, [Member]),
    OsPid = quorate_ct:os_pid(Context, "q1"),
    [{context, Context}, {member, Member}, {client, Client}, {os_pid, OsPid} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

end_per_testcase(_, Config) ->
    serves(Config).

%% The process of before, within a second, to one that was there and to a new
%% one.
serves(Config) ->
    Context = ?config(context, Config),
    Member = ?config(member, Config),
    #{node := N} = Member,
    {Took, Answer} = quorate_ct:take_time(fun() ->
        quorate_ct:call(?config(client, Config), erpc, call, [N, quorate, version, [], 5000])
    end),
    ?assertEqual(<<"0.1.0">>, Answer),
    ?assert(Took < 1000),
    ?assertEqual(?config(os_pid, Config), quorate_ct:os_pid(Context, "q1")).

%% Before and in the handshake

random_bytes(Config) ->
    Seed = erlang:system_time(),
    ct:pal("seed ~b", [Seed]),
    _ = rand:seed(exsss, Seed),
    Sockets = [begin
                   Socket = open(Config),
                   ok = ct_raw:send(Socket, rand:bytes(rand:uniform(3000))),
                   Socket
               end || _ <- lists:seq(1, 60)],
    serves(Config),
    ?assert(lists:all(fun(S) -> ct_raw:closes(S, ?HANDSHAKE_MS) end, Sockets)).

%% More of them than handshakes may be under way.
silent_connections(Config) ->
    Sockets = [open(Config) || _ <- lists:seq(1, 200)],
    serves(Config),
    Half = [begin ok = ct_raw:send(S, <<0>>), S end || S <- lists:sublist(Sockets, 100)],
    ?assert(lists:all(fun(S) -> ct_raw:closes(S, ?HANDSHAKE_MS) end, Half ++ Sockets)),
    Socket = connect(Config),
    ?assertEqual(<<"0.1.0">>, ct_raw:call(Socket, ?RAW, {quorate, version, []})),
    gen_tcp:close(Socket).

wrong_name(Config) ->
    [begin
         Socket = open(Config),
         ok = ct_raw:say_name(Socket, Name),
         ?assertEqual({Name, true}, {Name, refused(Socket)})
     end || Name <- [<<>>, <<"nohost">>, <<"@">>, <<"a@">>, <<"@h">>, <<"a@b@c">>, <<"a\0b@h">>,
                     <<"a b@h">>, <<255, 254, "@h">>, binary:copy(<<"n">>, 256),
                     <<(binary:copy(<<"n">>, 300))/binary, "@h">>, binary:copy(<<"a@">>, 30000)]].

%% Nothing but a status that says no, and then the end.
refused(Socket) ->
    case gen_tcp:recv(Socket, 0, ?AT_ONCE_MS) of
        {error, closed} -> true;
        {error, econnreset} -> true;
        {ok, <<_:16, "sok", _/binary>>} -> false;
        {ok, <<_:16, "s", _/binary>>} -> ct_raw:closes(Socket, ?AT_ONCE_MS);
        {error, timeout} -> false
    end.

wrong_flags(Config) ->
    [begin
         Socket = open(Config),
         Message = <<"N", Flags:64, 7:32, (byte_size(?RAW)):16, ?RAW/binary>>,
         ok = ct_raw:send(Socket, <<(byte_size(Message)):16, Message/binary>>),
         ?assertEqual({Flags, true}, {Flags, refused(Socket)})
     end || Flags <- [0, 1, 16#FFFF, 16#1000000]],
    %% The handshake of before OTP 23.
    Socket = open(Config),
    Old = <<"n", 5:16, 16#7499C:32, ?RAW/binary>>,
    ok = ct_raw:send(Socket, <<(byte_size(Old)):16, Old/binary>>),
    ?assert(refused(Socket)).

wrong_digest(Config) ->
    Socket = open(Config),
    ok = ct_raw:say_name(Socket, ?RAW),
    <<"sok">> = ct_raw:hear(Socket),
    <<"N", _:64, Challenge:32, _/binary>> = ct_raw:hear(Socket),
    ok = ct_raw:reply_to(Socket, Challenge, 'not the cookie'),
    ?assert(ct_raw:closes(Socket, ?AT_ONCE_MS)),
    %% The same answer twice is as wrong: a challenge is used once.
    Second = open(Config),
    ok = ct_raw:say_name(Second, ?RAW),
    <<"sok">> = ct_raw:hear(Second),
    <<"N", _:64, Other:32, _/binary>> = ct_raw:hear(Second),
    ?assert(Other =/= Challenge),
    #{cookie := Cookie} = ?config(context, Config),
    ok = ct_raw:reply_to(Second, Challenge, Cookie),
    ?assert(ct_raw:closes(Second, ?AT_ONCE_MS)).

%% Messages of the handshake where they do not belong; a frame before its end.
wrong_order(Config) ->
    [begin
         Socket = open(Config),
         ok = ct_raw:send(Socket, [<<(byte_size(M)):16, M/binary>> || M <- Messages]),
         ?assertEqual({Messages, true}, {Messages, ct_raw:closes(Socket, ?AT_ONCE_MS)})
     end || Messages <- [[<<"sok">>], [<<"r", 1:32, 0:128>>], [<<"a", 0:128>>], [<<"strue">>],
                         [<<"X">>], [<<"c", 0:32, 0:32>>], [name(), name()],
                         [name(), <<"sok">>], [name(), <<"a", 0:128>>],
                         [name(), <<"r", 1:32, 0:64>>], [name(), <<112, 131, 104, 0>>]]].

name() ->
    <<"N", (ct_raw:flags()):64, 7:32, (byte_size(?RAW)):16, ?RAW/binary>>.

odd_sizes(Config) ->
    [begin
         Socket = open(Config),
         ok = ct_raw:send(Socket, Bytes),
         ?assertEqual({Bytes, true}, {Bytes, ct_raw:closes(Socket, ?AT_ONCE_MS)})
     end || Bytes <- [<<0:16>>, <<1:16, "N">>, <<8:16, "N", 0:56>>,
                      %% The name is said to be longer, and shorter, than it is.
                      <<(byte_size(?RAW) + 15):16, "N", (ct_raw:flags()):64, 7:32, 100:16,
                        ?RAW/binary>>,
                      <<(byte_size(?RAW) + 15):16, "N", (ct_raw:flags()):64, 7:32, 65535:16,
                        ?RAW/binary>>,
                      <<16#FFFF:16, (binary:copy(<<"N">>, 16#FFFF))/binary>>]].

%% Slow is not wrong.
one_byte_at_a_time(Config) ->
    Socket = open(Config),
    Name = name(),
    [ok = ct_raw:send(Socket, <<B>>) || <<B>> <= <<(byte_size(Name)):16, Name/binary>>],
    <<"sok">> = ct_raw:hear(Socket),
    <<"N", _:64, Challenge:32, _/binary>> = ct_raw:hear(Socket),
    #{cookie := Cookie} = ?config(context, Config),
    Digest = erlang:md5([atom_to_list(Cookie), integer_to_list(Challenge)]),
    [ok = ct_raw:send(Socket, <<B>>) || <<B>> <= <<21:16, "r", 1:32, Digest/binary>>],
    <<"a", _/binary>> = ct_raw:hear(Socket),
    Request = ct_raw:frame({6, ct_raw:pid(?RAW), '', rex},
                           term_to_binary({ct_raw:pid(?RAW), {call, quorate, version, [], user}})),
    [ok = ct_raw:send(Socket, <<B>>) || <<B>> <= Request],
    ?assertEqual(<<"0.1.0">>, ct_raw:call(Socket, ?RAW, {quorate, version, []})),
    gen_tcp:close(Socket).

%% Its own name.
name_of_a_member(Config) ->
    Socket = open(Config),
    ok = ct_raw:say_name(Socket, <<"q1@127.0.0.1">>),
    ?assert(refused(Socket)).

%% After the handshake

frame_of_four_gib(Config) ->
    Before = resident_kib(Config),
    [begin
         Socket = connect(Config),
         ok = ct_raw:send(Socket, [<<Size:32>>, binary:copy(<<112>>, 100000)]),
         ?assertEqual({Size, true}, {Size, ct_raw:closes(Socket, ?AT_ONCE_MS)})
     end || Size <- [16#FFFFFFFF, 16#80000000, 16#7FFFFFFF, (128 bsl 20)]],
    ?assert(resident_kib(Config) < Before + 32768).

%% Announced within the limits, never sent: it holds no memory of that size, and
%% nobody up.
frame_that_never_ends(Config) ->
    Before = resident_kib(Config),
    Sockets = [begin
                   Socket = connect(Config, <<"raw", (integer_to_binary(N))/binary, "@127.0.0.1">>),
                   ok = ct_raw:send(Socket, [<<(60 bsl 20):32>>, binary:copy(<<112>>, 1000)]),
                   Socket
               end || N <- lists:seq(1, 20)],
    serves(Config),
    ?assert(resident_kib(Config) < Before + 262144),
    lists:foreach(fun gen_tcp:close/1, Sockets).

random_frames(Config) ->
    Seed = erlang:system_time(),
    ct:pal("seed ~b", [Seed]),
    _ = rand:seed(exsss, Seed),
    [begin
         Socket = connect(Config),
         Bytes = rand:bytes(rand:uniform(200)),
         Forms = [Bytes, <<112, Bytes/binary>>, <<112, 131, Bytes/binary>>],
         Frame = lists:nth(rand:uniform(3), Forms),
         ok = ct_raw:send(Socket, [<<(byte_size(Frame)):32>>, Frame]),
         ?assertEqual({Frame, true}, {Frame, ct_raw:closes(Socket, ?AT_ONCE_MS)})
     end || _ <- lists:seq(1, 100)].

%% Ten million levels: nothing may recurse.
deep_terms(Config) ->
    Deep = 10000000,
    [begin
         Socket = connect(Config),
         Payload = [131, binary:copy(Open, Deep), <<106>>, binary:copy(Close, Deep)],
         Control = term_to_binary({6, ct_raw:pid(?RAW), '', quorate}),
         Size = 1 + byte_size(Control) + iolist_size(Payload),
         ok = ct_raw:send(Socket, [<<Size:32, 112>>, Control, Payload]),
         ?assertEqual({Open, true}, {Open, ct_raw:closes(Socket, 10000)})
     end || {Open, Close} <- [{<<104, 1>>, <<>>}, {<<108, 1:32>>, <<>>}, {<<116, 1:32>>, <<>>},
                              {<<108, 1:32, 97, 1>>, <<106>>}]],
    %% As the control message itself.
    Socket = connect(Config),
    ok = ct_raw:send(Socket, [<<(2 + 2 * Deep + 1):32, 112, 131>>,
                              binary:copy(<<104, 1>>, Deep), 106]),
    ?assert(ct_raw:closes(Socket, 10000)),
    %% No depth at all, if one looks closely: lists of nothing, one the tail of the
    %% other. It is no message of ours, but no reason to hang up either.
    Tails = connect(Config),
    Control = term_to_binary({6, ct_raw:pid(?RAW), '', quorate}),
    Frame = [112, Control, 131, binary:copy(<<108, 0:32>>, Deep), 106],
    ok = ct_raw:send(Tails, [<<(iolist_size(Frame)):32>>, Frame]),
    ?assertEqual(<<"0.1.0">>, ct_raw:call(Tails, ?RAW, {quorate, version, []})),
    gen_tcp:close(Tails).

%% A good message, cut at every place, with the size to match.
truncated_terms(Config) ->
    Good = good_frame(),
    <<_:32, Body/binary>> = Good,
    [begin
         Socket = connect(Config),
         ok = ct_raw:send(Socket, [<<Size:32>>, binary:part(Body, 0, Size)]),
         ?assertEqual({Size, true}, {Size, ct_raw:closes(Socket, ?AT_ONCE_MS)})
     end || Size <- lists:seq(1, byte_size(Body) - 1)].

good_frame() ->
    Pid = ct_raw:pid(?RAW),
    ct_raw:frame({6, Pid, '', quorate},
                 term_to_binary({'$gen_call', {Pid, [alias | make_ref()]},
                                 {quorate, sandbox, [<<"x">>, #{timeout => 5000}]}})).

%% One byte of it is another one: an answer, silence or the end, but it serves.
changed_terms(Config) ->
    <<_:32, Body/binary>> = good_frame(),
    [begin
         Socket = connect(Config),
         <<Before:At/binary, B, After/binary>> = Body,
         ok = ct_raw:send(Socket, [<<(byte_size(Body)):32>>, Before, B bxor Bit, After]),
         gen_tcp:close(Socket)
     end || At <- lists:seq(0, byte_size(Body) - 1), Bit <- [1, 128]].

wrong_control_messages(Config) ->
    Pid = ct_raw:pid(?RAW),
    Other = ct_raw:pid(<<"someone@else">>),
    [begin
         Socket = connect(Config),
         ok = ct_raw:send(Socket, ct_raw:frame(Control)),
         ?assertEqual({Control, true}, {Control, ct_raw:closes(Socket, ?AT_ONCE_MS)})
     end || Control <- [{}, [], 6, {6}, {99, Pid, Pid}, {5}, {6, Pid, ''}, {2, '', Pid},
                        {6, Pid, '', quorate}, {6, Pid, '', 42}, {29, make_ref(), Pid, Pid, x, []},
                        {29, make_ref(), Pid, Pid, {erpc, execute_call, 4}, [monitor]},
                        {19, Pid, quorate, not_a_ref}, {35, -1, Pid, Pid}, {35, x, Pid, Pid},
                        {1 bsl 70, Pid, Pid}]],
    %% In the name of another node: not ours to carry.
    Socket = connect(Config),
    ok = ct_raw:send(Socket, ct_raw:frame({19, Other, nobody, make_ref()})),
    serves(Config),
    gen_tcp:close(Socket).

%% Atoms of a peer are not kept for ever.
too_many_atoms(Config) ->
    Before = resident_kib(Config),
    Socket = connect(Config),
    ok = lists:foreach(fun(N) ->
        Atom = list_to_binary(io_lib:format("~200..0b", [N])),
        Payload = <<131, 119, (byte_size(Atom)), Atom/binary>>,
        ct_raw:send(Socket, ct_raw:frame({6, ct_raw:pid(?RAW), '', quorate}, Payload))
    end, lists:seq(1, 30000)),
    serves(Config),
    ?assert(resident_kib(Config) < Before + 32768),
    gen_tcp:close(Socket).

%% Calls

id_of_256_bytes(Config) ->
    Long = binary:copy(<<"i">>, 256),
    [?assertMatch({F, {error, {badarg, _}}}, {F, ask(Config, M, F, [Long | A])})
     || {M, F, A} <- [{quorate, create_sandbox, [{m, f, []}]}, {quorate, sandbox, []},
                      {quorate, stop_sandbox, []}, {state_replicator, recover_state, []},
                      {state_replicator, get_state, []}, {state_replicator, replicas, []},
                      {state_replicator, replicate_state, [1, x]},
                      {state_replicator, delete_state, [1]}]],
    ?assertEqual({error, not_found}, ask(Config, quorate, sandbox, [binary:copy(<<"i">>, 255)])),
    ?assertMatch({error, {badarg, _}}, ask(Config, quorate, sandbox, [lists:duplicate(256, $i)])),
    %% 255 characters of an atom are more bytes.
    Wide = list_to_atom(lists:duplicate(200, 955)),
    ?assertMatch({error, {badarg, _}}, ask(Config, quorate, sandbox, [Wide])).

unknown_option_keys(Config) ->
    Spec = {m, f, []},
    [?assertEqual({F, {error, {badarg, {unknown_option, colour}}}},
                  {F, ask(Config, M, F, A ++ [#{colour => red}])})
     || {M, F, A} <- [{quorate, create_sandbox, [<<"x">>, Spec]}, {quorate, sandbox, [<<"x">>]},
                      {quorate, sandboxes, []},
                      {state_replicator, replicate_state, [<<"x">>, 1, x]},
                      {node_selector, select, [#{}]}]],
    ?assertEqual({error, {badarg, {unknown_option, <<"timeout">>}}},
                 ask(Config, quorate, create_sandbox, [<<"x">>, Spec, #{<<"timeout">> => 1}])).

nonsense_arguments(Config) ->
    Terms = [[], {}, #{}, -1, 1.5, 1 bsl 100, <<>>, <<1:1>>, make_ref(), self(), fun erlang:node/0,
             [a | b], "", [[[]]], {error, x}, #{#{} => #{}}, <<0>>, ''],
    Calls = [{quorate, sandbox, 1}, {quorate, create_sandbox, 3}, {quorate, sandboxes, 1},
             {consistency_manager, register, 3}, {consistency_manager, whereis, 1},
             {state_replicator, replicate_state, 4}, {state_replicator, delete_state, 2},
             {node_selector, select, 2}, {quorate, stop_sandbox, 1}],
    %% Waiting for a worker that there is not is no subject of this test.
    [case ask(Config, M, F, lists:duplicate(Arity, Term)) of
         {error, _} -> ok;
         List when is_list(List) -> ok
     end || {M, F, Arity} <- Calls, Term <- Terms],
    Request = fun(Term) ->
        #{node := N} = ?config(member, Config),
        quorate_ct:on(?config(client, Config), fun() ->
            try gen_server:call({quorate, N}, Term, 5000)
            catch exit:{timeout, _} -> silence
            end
        end)
    end,
    [?assertMatch({error, _}, Request(T)) || T <- [{quorate, version}, {1, 2, 3},
                                                   {quorate, version, nolist}, hello]].

%% Who is no member says nothing in their name.
member_messages_of_a_stranger(Config) ->
    Socket = connect(Config),
    [ok = ct_raw:send(Socket, ct_raw:frame({6, ct_raw:pid(?RAW), '', quorate_member},
                                           term_to_binary({quorate, 1, Kind, Body})))
     || Kind <- [hello, raft, commands, forward, forwarded, load, replica, nothing],
        Body <- [<<>>, rand:bytes(100), {1, 5000, quorate, stop_sandbox, [<<"x">>]}, #{}, []]],
    ?assertEqual(<<"0.1.0">>, ct_raw:call(Socket, ?RAW, {quorate, version, []})),
    gen_tcp:close(Socket).

agent_messages_of_a_stranger(Config) ->
    Socket = connect(Config),
    Pid = ct_raw:pid(?RAW),
    Attach = #{pid => Pid, incarnation => <<1:128>>, clock => 1, running => [],
               capacity => #{cpu => 1, memory => 1, sandboxes => 1}},
    Bodies = [#{}, [], {<<"x">>, 1, Pid}, {<<>>, 1, Pid}, {<<"x">>, -1, Pid}, Attach#{pid => x},
              Attach#{incarnation => <<1>>}, Attach#{clock => -1}, Attach#{capacity => []},
              Attach#{running => [1, 2]},
              Attach#{running => [{<<"x">>, 1, Pid} || _ <- lists:seq(1, 1000)]},
              Attach#{os => #{pid => 1, start_time => 0, boot_id => <<>>, pid_namespace => <<>>}},
              Attach#{os => #{pid => 1 bsl 62}}, maps:remove(pid, Attach), rand:bytes(200)],
    [ok = ct_raw:send(Socket, ct_raw:frame({6, Pid, '', quorate},
                                           term_to_binary({quorate, 1, Kind, Body})))
     || Kind <- [attach, keepalive, started, failed, stopped, detach, renewed], Body <- Bodies],
    serves(Config),
    gen_tcp:close(Socket).

%% All of the above left nothing behind.
memory_stays(Config) ->
    ct:pal("resident: ~b KiB", [resident_kib(Config)]),
    ?assert(resident_kib(Config) < 262144).

%% The start of a member

port_in_use(Config) ->
    #{port := Port} = ?config(member, Config),
    Address = "127.0.0.1:" ++ integer_to_list(Port),
    Other = #{node => 'q7@127.0.0.1', port => Port, dir => dir(Config, "q7"), args => []},
    {78, Text} = quorate_ct:failed_start(?config(context, Config), Other),
    quorate_ct:says(Text, "start_failed", [Address, "--listen"]).

unreadable_cookie(Config) ->
    #{work := Work} = Context = ?config(context, Config),
    File = filename:join(Work, "bad-cookie"),
    Start = fun() ->
        {Status, <<>>, Text} =
            quorate_ct:run(Context, quorate,
                           ["start", "--name", "q8@127.0.0.1", "--data-dir", dir(Config, "q8"),
                            "--cookie-file", File], #{timeout => 10000}),
        {Status, Text}
    end,
    {78, Missing} = Start(),
    quorate_ct:says(Missing, "start_failed", [File]),
    [begin
         ok = file:write_file(File, Content),
         ok = file:change_mode(File, Mode),
         {78, Text} = Start(),
         quorate_ct:says(Text, "start_failed", [File])
     end || {Content, Mode} <- [{"", 8#600}, {binary:copy(<<"c">>, 300), 8#600}, {"good", 8#644}]].

%% Internals

open(Config) ->
    #{port := Port} = ?config(member, Config),
    ct_raw:open(Port).

connect(Config) ->
    connect(Config, ?RAW).

connect(Config, Name) ->
    #{port := Port} = ?config(member, Config),
    #{cookie := Cookie} = ?config(context, Config),
    ct_raw:connect(Port, Name, Cookie).

ask(Config, M, F, Args) ->
    quorate_ct:ask(?config(client, Config), ?config(member, Config), {M, F}, Args).

resident_kib(Config) ->
    {ok, Text} = file:read_file(io_lib:format("/proc/~b/status", [?config(os_pid, Config)])),
    {match, [N]} = re:run(Text, "VmRSS:\\s+(\\d+)", [{capture, all_but_first, list}]),
    list_to_integer(N).

dir(Config, Name) ->
    #{work := Work} = ?config(context, Config),
    filename:join(Work, Name).
