%% SPDX-License-Identifier: Apache-2.0
%% Peers that say every step of the protocol wrong, by the thousand: in both
%% roles of the handshake, and every control message cut at each byte and with
%% each field of another type. After each case the same process serves a real
%% node within 100 ms, holds no more memory and no more file descriptors.
%%
%% One connection carries many cases: a case is followed by a probe, a monitor
%% of a name that does not exist, so that it ends with an answer or a close. A
%% case that ends with the close costs one handshake.
-module(whitebox_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(WORKERS, 16).
-define(WAIT_MS, 10000).
-define(AT_ONCE, 40).
-define(PING_MS, 100).
%% What a batch may leave behind; a program with sanitizers keeps what was freed.
-define(GROWTH_KIB, 65536).
-define(GROWTH_SANITIZED_KIB, 524288).
-define(FLOOD, 1000).
-define(FLOOD_SANITIZED, 100).
%% A dial that came to nothing counts as a very long one.
-define(PANG_US, 7000000).

suite() ->
    [{timetrap, {seconds, 240}}].

all() ->
    [cut_handshakes, changed_handshakes, repeated_handshakes, dialled_peers_that_err,
     cut_control_messages, control_fields_of_other_types, control_messages_of_other_arities,
     unknown_operations, frames_of_other_kinds, claims_without_bytes, tiny_frames,
     ticks_only, half_closed, terms_that_no_node_reads, terms_that_one_node_does_not_read,
     reasons_that_no_node_reads,
     flood_of_connections, flood_of_names].

init_per_suite(Config) ->
    Context = quorate_ct:start(whitebox),
    [Member] = quorate_ct:members(Context, ["q1"]),
    Client = quorate_ct:node(Context, "client"),
    _ = quorate_ct:await_leader(Client, [Member]),
    OsPid = quorate_ct:os_pid(Context, "q1"),
    [{context, Context}, {member, Member}, {client, Client}, {os_pid, OsPid} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

init_per_testcase(_, Config) ->
    [{before, {resident_kib(Config), descriptors(Config)}} | Config].

%% The process of before; memory, descriptors and patience as before.
end_per_testcase(_, Config) ->
    {Resident, Descriptors} = ?config(before, Config),
    serves(Config),
    ?assertEqual(?config(os_pid, Config), quorate_ct:os_pid(?config(context, Config), "q1")),
    true = quorate_ct:await({descriptors, Descriptors}, fun() ->
        descriptors(Config) =< Descriptors
    end),
    Now = resident_kib(Config),
    ct:pal("resident ~b KiB, ~b KiB before", [Now, Resident]),
    ?assert(Now < Resident + growth_kib()).

growth_kib() ->
    case os:getenv("QUORATE_PROGRAM") of
        false -> ?GROWTH_KIB;
        _ -> ?GROWTH_SANITIZED_KIB
    end.

serves(Config) ->
    #{node := N} = ?config(member, Config),
    {Took, Answer} = timed(Config, net_adm, ping, [N]),
    ?assertEqual(pong, Answer),
    ?assert(Took < ?PING_MS).

%% The handshake, member as the acceptor

%% Everything that the dialling side says, cut at each byte, then closed.
cut_handshakes(Config) ->
    Name = name(<<"raw@127.0.0.1">>),
    Reply = <<21:16, "r", 1:32, 0:128>>,
    Cases = [{binary:part(Name, 0, N), <<>>} || N <- lists:seq(0, byte_size(Name) - 1)]
        ++ [{Name, binary:part(Reply, 0, N)} || N <- lists:seq(0, byte_size(Reply) - 1)],
    batches(Cases, fun({First, Second}) ->
        Socket = open(Config),
        ok = ct_raw:send(Socket, First),
        Second =:= <<>> orelse hear_challenge(Socket),
        ok = ct_raw:send(Socket, Second),
        _ = gen_tcp:shutdown(Socket, write),
        ?assertEqual({First, Second, true}, {First, Second, ct_raw:closes(Socket, ?WAIT_MS)}),
        gen_tcp:close(Socket)
    end),
    logs(Config, "handshake_failed").

%% One bit of each byte is another one: it is refused, or it is the handshake of
%% someone else, who does not know the cookie by that.
changed_handshakes(Config) ->
    Name = name(<<"raw@127.0.0.1">>),
    Cases = [{At, Bit} || At <- lists:seq(0, byte_size(Name) - 1), Bit <- [1, 4, 32, 128]],
    batches(Cases, fun({At, Bit}) ->
        Socket = open(Config),
        ok = ct_raw:send(Socket, changed(Name, At, Bit)),
        ok = ct_raw:send(Socket, <<21:16, "r", 1:32, 0:128>>),
        _ = gen_tcp:shutdown(Socket, write),
        ?assertEqual({At, Bit, true}, {At, Bit, ct_raw:closes(Socket, ?WAIT_MS)}),
        gen_tcp:close(Socket)
    end),
    %% And so with each bit of the digest.
    batches(lists:seq(0, 159), fun(N) ->
        Socket = open(Config),
        ok = ct_raw:send(Socket, name(raw_name(N))),
        Challenge = hear_challenge(Socket),
        Digest = digest(Config, Challenge),
        Message = <<"r", 1:32, Digest/binary>>,
        case N < 32 of
            true -> ok;   %% another challenge of ours is no error
            false ->
                Bad = changed(Message, 1 + N div 8, 1 bsl (N rem 8)),
                ok = ct_raw:send(Socket, <<21:16, Bad/binary>>),
                ?assertEqual({N, true}, {N, ct_raw:closes(Socket, ?WAIT_MS)})
        end,
        gen_tcp:close(Socket)
    end).

%% Each message twice, and all of them once more after the end of the handshake.
repeated_handshakes(Config) ->
    batches(lists:seq(1, 40), fun(N) ->
        Name = raw_name(N),
        Twice = open(Config),
        ok = ct_raw:send(Twice, [name(Name), name(Name)]),
        ?assert(ct_raw:closes(Twice, ?WAIT_MS)),
        Again = open(Config),
        ok = ct_raw:send(Again, name(Name)),
        Digest = digest(Config, hear_challenge(Again)),
        Reply = <<21:16, "r", 1:32, Digest/binary>>,
        ok = ct_raw:send(Again, [Reply, Reply]),
        ?assert(ct_raw:closes(Again, ?WAIT_MS)),
        Late = connect(Config, N),
        ok = ct_raw:send(Late, name(Name)),
        _ = gen_tcp:shutdown(Late, write),
        ?assert(ct_raw:closes(Late, ?WAIT_MS))
    end).

%% The handshake, member as the dialling side: it dials who is no peer at all,
%% again and again; then one of them is honest, and the link comes up.

dialled_peers_that_err(Config) ->
    Context = ?config(context, Config),
    Raw = ["raw1", "raw2", "raw3", "raw4", "raw5", "raw6"],
    Listeners = [begin
                     {ok, L} = gen_tcp:listen(0, [binary, {active, false}, {ip, {127, 0, 0, 1}},
                                                  {backlog, 16}]),
                     {ok, Port} = inet:port(L),
                     {Name, L, Port}
                 end || Name <- Raw],
    [OwnPort] = quorate_ct:free_ports(1),
    Voters = [{"dials", OwnPort} | [{Name, Port} || {Name, _, Port} <- Listeners]],
    Member = quorate_ct:start_member(Context, quorate_ct:member(Context, "dials", Voters, [])),
    #{node := Node} = Member,
    Answers = acceptor_answers(),
    Shares = shares(Answers, length(Raw)),
    Jobs = lists:zip(Listeners, Shares),
    parallel(Jobs, fun({{Name, Listener, _}, Mine}) ->
        ok = lists:foreach(fun(Answer) -> err_as_acceptor(Listener, Answer) end, Mine),
        %% What was wrong did not last: it dials on.
        Socket = accept(Config, Listener, <<(list_to_binary(Name))/binary, "@127.0.0.1">>),
        gen_tcp:close(Socket)
    end),
    {Took, pong} = timed(Config, net_adm, ping, [Node]),
    ?assert(Took < 1000),
    quorate_ct:kill_member(Context, Member).

%% What is sent after the dialling side has said its name.
acceptor_answers() ->
    Challenge = <<"N", (ct_raw:flags()):64, 1:32, 7:32, 14:16, "raw1@127.0.0.1">>,
    [[], [<<0:16>>], [<<1:16, "s">>], [<<3:16, "sno">>], [<<4:16, "snok">>], [packet(<<"sfoo">>)],
     [packet(<<"snot_allowed">>)], [packet(<<"salive">>)], [packet(<<"snamed:">>)],
     [packet(<<"snamed:", 65535:16, "x">>)], [packet(<<"sok">>), <<0:16>>],
     [packet(<<"sok">>), packet(<<"N">>)], [packet(<<"sok">>), packet(<<"sok">>)],
     [packet(<<"sok">>), packet(<<"n", 5:16, 0:32, 0:32, "raw1@127.0.0.1">>)],
     [packet(<<"sok">>), packet(<<"N", 0:64, 1:32, 7:32, 14:16, "raw1@127.0.0.1">>)],
     [packet(<<"sok">>), packet(<<"N", (ct_raw:flags()):64, 1:32, 7:32, 14:16, "evil@127.0.0.1">>)],
     [packet(<<"sok">>), packet(<<"N", (ct_raw:flags()):64, 1:32, 7:32, 65535:16, "raw1">>)],
     [packet(<<"sok">>), packet(Challenge), packet(<<"a", 0:128>>)],
     [packet(<<"sok">>), packet(Challenge), packet(<<"a", 0:64>>)],
     [packet(<<"sok">>), packet(Challenge), packet(<<"r", 1:32, 0:128>>)],
     [<<16#FFFF:16>>, binary:copy(<<"s">>, 16#FFFF)], [rand:bytes(500)], [binary:copy(<<0>>, 5000)],
     [<<"HTTP/1.1 400 Bad Request\r\n\r\n">>]].

err_as_acceptor(Listener, Answer) ->
    {ok, Socket} = gen_tcp:accept(Listener, 30000),
    {ok, <<Size:16>>} = gen_tcp:recv(Socket, 2, ?WAIT_MS),
    {ok, <<"N", _/binary>>} = gen_tcp:recv(Socket, Size, ?WAIT_MS),
    ok = ct_raw:send(Socket, Answer),
    _ = gen_tcp:shutdown(Socket, write), %% it may be gone already
    ?assertEqual({Answer, true}, {Answer, ct_raw:closes(Socket, ?WAIT_MS)}),
    gen_tcp:close(Socket).

%% The honest side of it, up to the last message.
accept(Config, Listener, Name) ->
    {ok, Socket} = gen_tcp:accept(Listener, 30000),
    <<"N", _:64, _:32, _:16, _/binary>> = ct_raw:hear(Socket),
    ok = ct_raw:send(Socket, packet(<<"sok">>)),
    ok = ct_raw:send(Socket, packet(<<"N", (ct_raw:flags()):64, 99:32, 7:32, (byte_size(Name)):16,
                                      Name/binary>>)),
    <<"r", Theirs:32, Digest:16/binary>> = ct_raw:hear(Socket),
    ?assertEqual(digest(Config, 99), Digest),
    ok = ct_raw:send(Socket, packet(<<"a", (digest(Config, Theirs))/binary>>)),
    %% The link is up: it says hello to a voter.
    {ok, <<_:32>>} = gen_tcp:recv(Socket, 4, ?WAIT_MS),
    Socket.

%% Control messages

%% Operation, what its fields are, whether a payload follows (erl_dist_protocol).
controls() ->
    [{1, [own, to], false}, {2, [any, to], true}, {3, [own, to, any], false},
     {4, [own, to], false}, {6, [own, any, atom], true}, {7, [own, to], false},
     {8, [own, to, any], false}, {12, [any, to, any], true}, {13, [own, to, any, any], false},
     {16, [own, any, atom, any], true}, {18, [own, to, any, any], false},
     {19, [own, to_name, ref], false}, {20, [own, to_name, ref], false},
     {21, [own_name, to, ref, any], false}, {22, [own, to], true}, {23, [own, to, any], true},
     {24, [own, to], true}, {25, [own, to, any], true}, {26, [own, to], true},
     {27, [own, to, any], true}, {28, [own_name, to, ref], true},
     {29, [ref, own, own, mfa, options], true}, {30, [ref, own, own, mfa, options, any], true},
     {31, [ref, to, number, result], false}, {32, [ref, to, number, result, any], false},
     {33, [own, ref], true}, {34, [own, ref, any], true}, {35, [number, own, to], false},
     {36, [number, own, to], false}, {37, [number, own, to], true}].

%% A good value of each; `Own' is the name of the peer.
value(own, Own) -> ct_raw:pid(Own);
value(own_name, Own) -> ct_raw:pid(Own);
value(to, _) -> ct_raw:pid(<<"q1@127.0.0.1">>);
value(to_name, _) -> nobody;
value(any, _) -> '';
value(atom, _) -> nobody;
value(ref, Own) -> ref(Own);
value(mfa, _) -> {erlang, node, 0};
value(options, _) -> [monitor];
value(number, _) -> 1;
value(result, Own) -> ct_raw:pid(Own).

%% What each may be instead, without an offence.
is_allowed(any, _) -> true;
is_allowed(Kind, Value) when Kind =:= own_name; Kind =:= to_name ->
    is_atom(Value) orelse is_pid(Value);
is_allowed(result, Value) -> is_atom(Value) orelse is_pid(Value);
is_allowed(options, Value) -> is_list(Value);
is_allowed(number, Value) -> is_integer(Value);
is_allowed(atom, Value) -> is_atom(Value);
is_allowed(Kind, Value) when Kind =:= own; Kind =:= to -> is_pid(Value);
is_allowed(ref, Value) -> is_reference(Value);
is_allowed(mfa, _) -> false.

others(Own) ->
    [[], {}, #{}, 7, -1, 1 bsl 64, 1 bsl 2000, 1.5, <<>>, <<1:3>>, foo, "text", [a | b], ref(Own),
     ct_raw:pid(Own), fun erlang:node/0, {m, f, a}, {m, f, -1}, {m, f, 256, x}].

ref(Own) ->
    binary_to_term(<<131, 90, 2:16, 119, (byte_size(Own)), Own/binary, 7:32, 5:32, 6:32>>).

control(Op, Fields, Own) ->
    list_to_tuple([Op | [value(F, Own) || F <- Fields]]).

payload(false) -> <<>>;
payload(true) -> term_to_binary([]).

body(Control, Payload) ->
    <<112, (term_to_binary(Control))/binary, Payload/binary>>.

cut_control_messages(Config) ->
    Cases = [{cut, Control, N} || {_, _, _} = Control <- controls(),
                                  N <- lists:seq(1, byte_size(body_of(Control, raw_name(99))) - 1)],
    Verdicts = drive(Config, Cases, fun({cut, Control, N}, Own) ->
        binary:part(body_of(Control, Own), 0, N)
    end),
    %% Without its payload a message with one is as wrong as any.
    ?assertEqual([], [Case || {Case, alive} <- Verdicts]),
    ct:pal("~b cases", [length(Verdicts)]),
    logs(Config, "frame_refused").

body_of({Op, Fields, HasPayload}, Own) ->
    body(control(Op, Fields, Own), payload(HasPayload)).

control_fields_of_other_types(Config) ->
    Cases = [{Op, Fields, HasPayload, At, N}
             || {Op, Fields, HasPayload} <- controls(), At <- lists:seq(1, length(Fields)),
                N <- lists:seq(1, length(others(<<"x@y">>)))],
    Verdicts = drive(Config, Cases, fun({Op, Fields, HasPayload, At, N}, Own) ->
        Other = lists:nth(N, others(Own)),
        body(setelement(At + 1, control(Op, Fields, Own), Other), payload(HasPayload))
    end),
    Wrong = [{Op, At, Kind, lists:nth(N, others(<<"x@y">>))}
             || {{Op, Fields, _, At, N}, alive} <- Verdicts,
                Kind <- [lists:nth(At, Fields)],
                not is_allowed(Kind, lists:nth(N, others(<<"x@y">>)))],
    ct:pal("~b cases; taken though of another type: ~p", [length(Verdicts), Wrong]),
    ?assertEqual([], [W || {Op, _, _, _} = W <- Wrong, not lists:member(Op, ignored())]).

%% Of these nothing is looked at: they mean nothing to a member.
ignored() ->
    [7].

control_messages_of_other_arities(Config) ->
    Cases = [{Op, Fields, HasPayload, Change}
             || {Op, Fields, HasPayload} <- controls(), Change <- [less, more, none, list]],
    Verdicts = drive(Config, Cases, fun({Op, Fields, HasPayload, Change}, Own) ->
        Control = control(Op, Fields, Own),
        body(case Change of
                 less -> erlang:delete_element(tuple_size(Control), Control);
                 more -> list_to_tuple(tuple_to_list(Control) ++ [x, x]);
                 none -> {Op};
                 list -> tuple_to_list(Control)
             end, payload(HasPayload))
    end),
    ?assertEqual([], [{Op, Change} || {{Op, _, _, Change}, alive} <- Verdicts]).

unknown_operations(Config) ->
    Known = [Op || {Op, _, _} <- controls()],
    Ops = [-1, 1.0, foo, <<>>, 1 bsl 32, 1 bsl 100 | lists:seq(0, 60) -- Known],
    Cases = [{Op, Arity} || Op <- Ops, Arity <- lists:seq(1, 6)],
    Verdicts = drive(Config, Cases, fun({Op, Arity}, Own) ->
        body(list_to_tuple([Op | lists:duplicate(Arity - 1, ct_raw:pid(Own))]), <<>>)
    end),
    ?assertEqual([], [Case || {Case, alive} <- Verdicts]).

%% Distribution headers, fragments, compressed and local terms, references into
%% an atom cache: nothing of it was agreed on.
frames_of_other_kinds(Config) ->
    Good = term_to_binary({2, '', ct_raw:pid(<<"q1@127.0.0.1">>)}),
    Big = term_to_binary(lists:duplicate(1000, 0), [compressed]),
    <<131, 80, _/binary>> = Big,
    Bomb = bomb(),
    Frames = [<<131, 68, 0>>, <<131, 68, 255, 0:1024>>, <<131, 69, 1:64, 1:64, 0>>,
              <<131, 70, 1:64, 1:64>>, <<131, 69, 0:64, 16#FFFFFFFFFFFFFFFF:64, 0, 0>>,
              <<112, 131, 68, 0>>, <<112>>, <<112, 131>>, <<112, 130, 104, 0>>, <<111>>, <<0>>,
              <<112, 131, 82, 0>>, <<112, 131, 104, 1, 82, 0>>, <<112, 131, 121, 0:64, 97, 1>>,
              <<112, 131, 80, 16#FFFFFFFF:32, 0:64>>, <<112, Big/binary>>, <<112, Bomb/binary>>]
        ++ [<<112, Good/binary, Payload/binary>>
            || Payload <- [<<131>>, <<131, 82, 0>>, <<131, 121, 0:64, 97, 1>>, Big, Bomb,
                           <<131, 80, 0:32>>, <<131, 68, 0>>, <<131, 131, 106>>, <<106>>,
                           <<131, 106, 106>>, <<131, 106, 131, 106>>, <<131, 104, 255, 0:64>>,
                           <<131, 105, 16#FFFFFFFF:32>>, <<131, 108, 16#FFFFFFFF:32, 97, 1>>,
                           <<131, 116, 16#FFFFFFFF:32>>, <<131, 109, 16#FFFFFFFF:32>>,
                           <<131, 77, 16#FFFFFFFF:32, 9>>, <<131, 77, 1:32, 9, 0>>,
                           <<131, 77, 1:32, 0, 0>>, <<131, 110, 255, 0>>,
                           <<131, 111, 16#FFFFFFFF:32, 0>>, <<131, 107, 16#FFFF:16>>,
                           <<131, 119, 255>>, <<131, 118, 16#FFFF:16>>, <<131, 119, 2, 255, 254>>,
                           <<131, 119, 3, 237, 160, 128>>, <<131, 70, 16#7FF0000000000000:64>>,
                           <<131, 70, -1:64>>, <<131, 90, 6:16, 119, 1, $a, 0:224>>,
                           <<131, 90, 0:16, 119, 1, $a, 0:32>>, <<131, 112, 3:32>>,
                           <<131, 112, 16#FFFFFFFF:32>>, <<131, 113, 97, 1, 97, 1, 97, 1>>,
                           <<131, 255>>, <<131, 1>>, <<131, 98, 0:24>>, <<131, 88, 97, 1>>]],
    Verdicts = drive(Config, Frames, fun(Frame, _) -> Frame end),
    ?assertEqual([], [Frame || {Frame, alive} <- Verdicts]).

%% 64 MiB in 64 KiB.
bomb() ->
    term_to_binary(binary:copy(<<0>>, 1 bsl 26), [compressed]).

%% Frames said to be long, of which hardly anything comes, over many links.
claims_without_bytes(Config) ->
    Begin = <<112, (term_to_binary({6, ct_raw:pid(raw_name(1)), '', quorate}))/binary, 131>>,
    Sockets = lists:map(fun(N) ->
        Socket = connect(Config, N),
        Claim = case N rem 4 of
                    0 -> <<109, (60 bsl 20):32>>;
                    1 -> <<108, (60 bsl 20):32>>;
                    2 -> <<116, (20 bsl 20):32>>;
                    3 -> <<105, (60 bsl 20):32>>
                end,
        ok = ct_raw:send(Socket, [<<(64 bsl 20):32>>, Begin, Claim, 0]),
        Socket
    end, lists:seq(1, 200)),
    serves(Config),
    {Resident, _} = ?config(before, Config),
    ?assert(resident_kib(Config) < Resident + growth_kib()),
    lists:foreach(fun gen_tcp:close/1, Sockets).

%% A million frames that ask for nothing, and another peer is served meanwhile.
tiny_frames(Config) ->
    Socket = connect(Config, 1),
    Frame = ct_raw:frame({20, ct_raw:pid(raw_name(1)), nobody, ref(raw_name(1))}),
    Many = binary:copy(Frame, 1000),
    Pings = meanwhile(Config, fun() ->
        lists:foreach(fun(_) -> ct_raw:send(Socket, Many) end, lists:seq(1, 1000))
    end),
    ?assertEqual(alive, probe(Socket, raw_name(1))),
    report("pings under a million frames", Pings),
    ?assert(median(Pings) < ?PING_MS * 1000),
    gen_tcp:close(Socket).

ticks_only(Config) ->
    Socket = connect(Config, 1),
    Ticks = binary:copy(<<0:32>>, 100000),
    Pings = meanwhile(Config, fun() ->
        lists:foreach(fun(_) -> ct_raw:send(Socket, Ticks) end, lists:seq(1, 100))
    end),
    ?assertEqual(alive, probe(Socket, raw_name(1))),
    report("pings under ten million ticks", Pings),
    ?assert(median(Pings) < ?PING_MS * 1000),
    gen_tcp:close(Socket).

%% One that says no more is gone, and its name is free at once.
half_closed(Config) ->
    batches(lists:seq(1, 50), fun(N) ->
        Socket = connect(Config, N),
        _ = gen_tcp:shutdown(Socket, write),
        ?assert(ct_raw:closes(Socket, ?WAIT_MS)),
        Reset = connect(Config, N),
        ok = inet:setopts(Reset, [{linger, {true, 0}}]),
        ok = gen_tcp:close(Reset),
        Again = connect(Config, N),
        ?assertEqual(alive, probe(Again, raw_name(N))),
        ok = gen_tcp:close(Again)
    end).

%% Terms that pass a validator, and that no virtual machine takes: it drops the
%% link over which they come. What is kept and handed on is looked at first.

terms_that_no_node_reads(Config) ->
    Context = ?config(context, Config),
    Member = ?config(member, Config),
    Client = ?config(client, Config),
    Own = raw_name(1),
    Worker = quorate_ct:worker(Context, "reads", [Member], #{cpu => 1000}),
    #{lease := Lease} = quorate_ct:await_worker(Client, Member, Worker),
    Watch = quorate_ct:call(Worker, ?MODULE, watch, [maps:get(node, Member)]),
    {ok, #{epoch := Epoch}} = create(Config, <<"honest">>, #{}),
    Socket = connect(Config, 1),
    lists:foreach(fun({N, Bad}) ->
        Calls = calls_with(Own, Epoch),
        Answers = [{What, ct_raw:call(Socket, Own, {M, F, A}, Bad)} || {What, M, F, A} <- Calls],
        ?assertEqual([{What, {error, {badarg, {equal_keys, What}}}} || {What, _, _, _} <- Calls],
                     Answers),
        Id = integer_to_binary(N),
        {ok, #{status := running}} = create(Config, Id, #{}),
        ok = quorate_ct:ask(Client, Member, {quorate, stop_sandbox}, [Id])
    end, lists:enumerate(unreadable())),
    %% Nothing of it was kept, and the worker has had its link all the time.
    ?assertEqual({error, not_found},
                 quorate_ct:ask(Client, Member, {state_replicator, recover_state}, [<<"honest">>])),
    ?assertEqual({error, not_found},
                 quorate_ct:ask(Client, Member, {quorate, sandbox}, [<<"bad">>])),
    #{lease := Now} = quorate_ct:await_worker(Client, Member, Worker),
    ?assertEqual(Lease, Now),
    ?assert(quorate_ct:call(Worker, erlang, is_process_alive, [Watch])),
    gen_tcp:close(Socket),
    ok = quorate_ct:ask(Client, Member, {quorate, stop_sandbox}, [<<"honest">>]),
    ok = quorate_ct:clear(Context, Client, [Member], [Worker]).

%% A node takes no process of its own with a number that it never gives: the same
%% bytes are right for all others, so that no member can refuse them.
terms_that_one_node_does_not_read(Config) ->
    Context = ?config(context, Config),
    Member = ?config(member, Config),
    Client = ?config(client, Config),
    Own = raw_name(1),
    #{node := Name} = Worker = quorate_ct:worker(Context, "own", [Member], #{cpu => 1000}),
    #{lease := Lease} = quorate_ct:await_worker(Client, Member, Worker),
    Watch = quorate_ct:call(Worker, ?MODULE, watch, [maps:get(node, Member)]),
    Text = atom_to_binary(Name),
    Creation = quorate_ct:call(Worker, erlang, system_info, [creation]),
    Bad = <<88, 119, (byte_size(Text)), Text/binary, 16#ffffffff:32, 0:32, Creation:32>>,
    ?assertMatch(badarg, quorate_ct:call(Worker, ?MODULE, reads, [<<131, Bad/binary>>])),
    Socket = connect(Config, 1),
    Spec = {ct_counter, start_link, [ct_raw:hole()]},
    Calls = [{<<"bad spec">>, [Spec, #{}]},
             {<<"bad options">>, [ct_counter:spec(), #{checkpoint => ct_raw:hole()}]}],
    lists:foreach(fun({Id, Args}) ->
        Answer = ct_raw:call(Socket, Own, {quorate, create_sandbox, [Id | Args]}, Bad),
        ?assertMatch({_, {error, _}}, {Id, Answer}),
        {ok, #{status := running}} = create(Config, <<"honest">>, #{}),
        ok = quorate_ct:ask(Client, Member, {quorate, stop_sandbox}, [<<"honest">>]),
        _ = quorate_ct:ask(Client, Member, {quorate, stop_sandbox}, [Id])
    end, Calls),
    #{lease := Now} = quorate_ct:await_worker(Client, Member, Worker),
    ?assertEqual(Lease, Now),
    ?assert(quorate_ct:call(Worker, erlang, is_process_alive, [Watch])),
    gen_tcp:close(Socket),
    ok = quorate_ct:clear(Context, Client, [Member], [Worker]).

reads(Bytes) ->
    try binary_to_term(Bytes) of
        _ -> ok
    catch
        error:badarg -> badarg
    end.

%% On a worker: a process that lives as long as the link to the member does.
watch(Node) ->
    Self = self(),
    Pid = spawn(fun() ->
        true = erlang:monitor_node(Node, true),
        Self ! {self(), watches},
        receive {nodedown, Node} -> ok end
    end),
    receive {Pid, watches} -> Pid end.

create(Config, Id, Options) ->
    quorate_ct:ask(?config(client, Config), ?config(member, Config), {quorate, create_sandbox},
                   [Id, ct_counter:spec(), Options]).

%% Each argument that is carried as it is.
calls_with(Own, Epoch) ->
    Hole = ct_raw:hole(),
    Pid = ct_raw:pid(Own),
    [{spec, quorate, create_sandbox, [<<"bad">>, Hole]},
     {spec, quorate, create_sandbox, [<<"bad">>, {ct_counter, [Hole | tail]}, #{}]},
     {options, quorate, create_sandbox,
      [<<"bad">>, ct_counter:spec(), #{checkpoint => #{a => Hole}}]},
     {state, state_replicator, replicate_state, [<<"honest">>, Epoch, Hole]},
     {state, state_replicator, replicate_state, [<<"honest">>, Epoch, #{Hole => 1}, #{seq => 1}]},
     %% So big that it is looked at beside the loop.
     {state, state_replicator, replicate_state,
      [<<"honest">>, Epoch, {binary:copy(<<7>>, 300000), Hole}, #{seq => 1}]},
     {name, consistency_manager, register, [Hole, Pid, #{}]},
     {meta, consistency_manager, register, [name, Pid, Hole]},
     {name, consistency_manager, unregister, [Hole, Pid]},
     {name, consistency_manager, whereis, [Hole]},
     {mfa, quorum_manager, execute_with_quorum, [{erlang, node, [Hole]}]}].

%% Raw terms that this virtual machine does not take.
unreadable() ->
    Pair = fun(A, B) -> <<116, 2:32, A/binary, 106, B/binary, 106>> end,
    Many = << <<98, N:32, 106>> || N <- lists:seq(1, 40) >>,
    Terms = [Pair(<<97, 1>>, <<97, 1>>), Pair(<<97, 1>>, <<110, 1, 0, 1>>),
             Pair(<<119, 2, 195, 169>>, <<115, 1, 233>>), Pair(<<107, 1:16, 7>>,
                                                                <<108, 1:32, 97, 7, 106>>),
             <<116, 1:32, 104, 1, (Pair(<<106>>, <<106>>))/binary, 106>>,
             <<116, 41:32, Many/binary, 97, 7, 106>>],
    _ = [?assertError(badarg, binary_to_term(<<131, T/binary>>)) || T <- Terms],
    Terms.

%% The same in what an agent reports: to those who ask it is another reason.
reasons_that_no_node_reads(Config) ->
    Member = ?config(member, Config),
    Client = ?config(client, Config),
    Own = raw_name(2),
    Socket = connect(Config, 2),
    Attach = #{pid => ct_raw:pid(Own), incarnation => <<7:128>>, clock => 0,
               capacity => #{cpu => 4000, memory => 4000, sandboxes => 10}, running => []},
    ok = say(Socket, Own, attach, Attach, <<106>>),
    {quorate, 1, attached, _} = await_message(Socket, attached),
    Answers = lists:map(fun({N, Bad}) ->
        Id = <<"fails", (integer_to_binary(N))/binary>>,
        Self = self(),
        Asker = spawn_link(fun() ->
            Self ! {self(), create(Config, Id, #{resources => #{cpu => 3000}})}
        end),
        fail_starts(Socket, Own, Bad, Asker)
    end, lists:enumerate([hd(unreadable()), lists:last(unreadable())])),
    ?assertEqual(lists:duplicate(2, {error, {start_failed, unreadable}}), Answers),
    lists:foreach(fun(#{id := Id, status := Status}) ->
        ?assertEqual({Id, {failed, unreadable}}, {Id, Status}),
        ok = quorate_ct:ask(Client, Member, {quorate, stop_sandbox}, [Id])
    end, quorate_ct:ask(Client, Member, {quorate, sandboxes}, [])),
    gen_tcp:close(Socket).

%% Answers every order to start, until the one who asked has an answer; keeps the
%% lease meanwhile.
fail_starts(Socket, Own, Bad, Asker) ->
    receive
        {Asker, Answer} -> Answer
    after 0 ->
        try ct_raw:next_message(Socket, 100) of
            {quorate, 1, start, #{id := Id, epoch := Epoch}} ->
                ok = say(Socket, Own, failed, {Id, Epoch, ct_raw:hole()}, Bad);
            _ ->
                ok
        catch
            error:{badmatch, {error, timeout}} ->
                Clock = erlang:unique_integer([monotonic, positive]),
                ok = say(Socket, Own, keepalive,
                         #{incarnation => <<7:128>>, clock => Clock, load => #{}}, <<106>>)
        end,
        fail_starts(Socket, Own, Bad, Asker)
    end.

say(Socket, Own, Kind, Body, Raw) ->
    ct_raw:send(Socket, ct_raw:frame({6, ct_raw:pid(Own), '', quorate},
                                     ct_raw:term_with({quorate, 1, Kind, Body}, Raw))).

await_message(Socket, Kind) ->
    case ct_raw:next_message(Socket, ?WAIT_MS) of
        {quorate, 1, Kind, _} = Message -> Message;
        _ -> await_message(Socket, Kind)
    end.

%% Floods

%% A thousand connections that say nothing, which come back when they are closed,
%% and a thousand that say nonsense, again and again: a real node is answered, on
%% the link that it has and on one that it has to make.
flood_of_connections(Config) ->
    flood(Config, [fun(_) -> <<>> end, fun(_) -> rand:bytes(64) end]).

%% The same with the first message of a handshake that is never gone on with.
flood_of_names(Config) ->
    flood(Config, [fun(N) -> name(raw_name(N)) end, fun(_) -> rand:bytes(64) end]).

flood(Config, Kinds) ->
    #{port := Port, node := N} = ?config(member, Config),
    Other = quorate_ct:node(?config(context, Config), "dialler"),
    Flood = quorate_ct:node(?config(context, Config), "flood", #{name => false}),
    yields(Flood),
    Self = self(),
    Each = case os:getenv("QUORATE_PROGRAM") of
               false -> ?FLOOD;
               _ -> ?FLOOD_SANITIZED
           end,
    Driver = spawn_link(fun() ->
        Total = quorate_ct:call(Flood, ?MODULE, flood_for, [Port, Kinds, Each, 20000], 60000),
        Self ! {self(), Total}
    end),
    %% It is under way when the log says so.
    true = quorate_ct:await(flooded, fun() -> count(Config, "handshake_failed") > 50 end),
    Kept = [ping(Config, N) || _ <- lists:seq(1, 200)],
    New = [begin
               _ = quorate_ct:call(Other, erlang, disconnect_node, [N]),
               case quorate_ct:call(Other, timer, tc, [net_adm, ping, [N]]) of
                   {Micro, pong} -> Micro;
                   {_, pang} -> ?PANG_US
               end
           end || _ <- lists:seq(1, 100)],
    Total = receive {Driver, T} -> T end,
    ok = quorate_ct:kill_node(?config(context, Config), Flood),
    ok = quorate_ct:kill_node(?config(context, Config), Other),
    ct:pal("~b connections were made by ~b sockets", [Total, Each * length(Kinds)]),
    report("pings on a link that is up", Kept),
    report("pings that dial", New),
    ?assertEqual([], [pang || Micro <- New, Micro >= ?PANG_US]),
    %% The last few are of a machine that also runs the flood.
    ?assert(percentile(95, Kept) < ?PING_MS * 1000),
    ?assert(percentile(95, New) < ?PING_MS * 1000).

%% A flood comes from elsewhere: its own work shall not slow down those here.
yields(Node) ->
    Tasks = "/proc/" ++ quorate_ct:call(Node, os, getpid, []) ++ "/task",
    {ok, Threads} = file:list_dir(Tasks),
    [] = os:cmd("renice -n 19 -p " ++ lists:join(" ", Threads) ++ " >/dev/null").

%% Runs on the node that floods: how many connections it made.
flood_for(Port, Kinds, Each, TimeMs) ->
    Deadline = erlang:monotonic_time(millisecond) + TimeMs,
    Counter = counters:new(1, [write_concurrency]),
    Pids = [spawn_monitor(fun() -> flood_until(Port, Kind(N), Counter, Deadline) end)
            || Kind <- Kinds, N <- lists:seq(1, Each)],
    _ = [receive {'DOWN', Ref, process, _, _} -> ok end || {_, Ref} <- Pids],
    counters:get(Counter, 1).

flood_until(Port, Bytes, Counter, Deadline) ->
    case erlang:monotonic_time(millisecond) < Deadline of
        true ->
            case gen_tcp:connect({127, 0, 0, 1}, Port, [binary, {active, false}], 5000) of
                {ok, Socket} ->
                    counters:add(Counter, 1, 1),
                    _ = gen_tcp:send(Socket, Bytes),
                    Left = max(0, Deadline - erlang:monotonic_time(millisecond)),
                    _ = flood_await_end(Socket, Left),
                    gen_tcp:close(Socket);
                {error, _} ->
                    ok
            end,
            flood_until(Port, Bytes, Counter, Deadline);
        false ->
            ok
    end.

flood_await_end(Socket, Left) ->
    case gen_tcp:recv(Socket, 0, Left) of
        {ok, _} -> flood_await_end(Socket, Left);
        {error, _} -> ok
    end.

%% Driving

%% Each case on one of some links at once; gives what became of the link.
drive(Config, Cases, Body) ->
    Jobs = lists:enumerate(shares(Cases, ?WORKERS)),
    lists:append(parallel(Jobs, fun({N, Mine}) ->
        {Socket, Verdicts} = lists:foldl(fun(Case, {Socket, Done}) ->
            Bytes = Body(Case, raw_name(N)),
            ok = ct_raw:send(Socket, [<<(byte_size(Bytes)):32>>, Bytes]),
            case probe(Socket, raw_name(N)) of
                alive ->
                    {Socket, [{Case, alive} | Done]};
                closed ->
                    gen_tcp:close(Socket),
                    {connect(Config, N), [{Case, closed} | Done]}
            end
        end, {connect(Config, N), []}, Mine),
        gen_tcp:close(Socket),
        Verdicts
    end)).

%% Asks for a monitor of a name that there is not: whether it is answered.
probe(Socket, Own) ->
    Mark = erlang:unique_integer([positive]) band 16#FFFFFFF,
    Ref = <<90, 2:16, 119, (byte_size(Own)), Own/binary, 7:32, Mark:32, 77:32>>,
    Monitor = {19, ct_raw:pid(Own), no_such_name, binary_to_term(<<131, Ref/binary>>)},
    Bytes = term_to_binary(Monitor),
    ok = ct_raw:send(Socket, [<<(1 + byte_size(Bytes)):32, 112>>, Bytes]),
    await_ref(Socket, <<Mark:32, 77:32>>).

await_ref(Socket, Ref) ->
    case gen_tcp:recv(Socket, 4, ?WAIT_MS) of
        {ok, <<0:32>>} ->
            await_ref(Socket, Ref);
        {ok, <<Size:32>>} ->
            case gen_tcp:recv(Socket, Size, ?WAIT_MS) of
                {ok, Frame} ->
                    case binary:match(Frame, Ref) of
                        nomatch -> await_ref(Socket, Ref);
                        _ -> alive
                    end;
                {error, Reason} when Reason =/= timeout ->
                    closed
            end;
        {error, Reason} when Reason =/= timeout ->
            closed
    end.

%% All at once, in processes of their own; results in order.
parallel(List, Fun) ->
    Tasks = [spawn_opt(fun() -> exit({done, Fun(X)}) end, [monitor]) || X <- List],
    lists:map(fun({Pid, Ref}) ->
        receive
            {'DOWN', Ref, process, Pid, {done, Result}} ->
                Result;
            {'DOWN', Ref, process, Pid, Reason} ->
                _ = [exit(Other, kill) || {Other, _} <- Tasks],
                error(Reason)
        end
    end, Tasks).

%% At most some at once: more would push one another out of the handshake.
batches(List, Fun) when length(List) =< ?AT_ONCE ->
    parallel(List, Fun);
batches(List, Fun) ->
    {Now, Later} = lists:split(?AT_ONCE, List),
    parallel(Now, Fun) ++ batches(Later, Fun).

shares(List, Count) ->
    Numbered = lists:zip([N rem Count || N <- lists:seq(0, length(List) - 1)], List),
    [[X || {N, X} <- Numbered, N =:= Share] || Share <- lists:seq(0, Count - 1)].


%% Pings (microseconds) for as long as the fun runs.
meanwhile(Config, Fun) ->
    #{node := N} = ?config(member, Config),
    {Pid, Ref} = spawn_monitor(Fun),
    pings(Config, N, Pid, Ref, []).

pings(Config, N, Pid, Ref, Took) ->
    Micro = ping(Config, N),
    receive
        {'DOWN', Ref, process, Pid, Reason} ->
            ?assertEqual(normal, Reason),
            [Micro | Took]
    after 0 ->
        pings(Config, N, Pid, Ref, [Micro | Took])
    end.

ping(Config, N) ->
    {Micro, pong} = quorate_ct:call(?config(client, Config), timer, tc, [net_adm, ping, [N]]),
    Micro.

%% Milliseconds as the node itself sees them.
timed(Config, M, F, A) ->
    {Micro, Answer} = quorate_ct:call(?config(client, Config), timer, tc, [M, F, A]),
    {Micro div 1000, Answer}.

median(List) ->
    percentile(50, List).

percentile(P, List) ->
    Sorted = lists:sort(List),
    lists:nth(max(1, (length(Sorted) * P + 99) div 100), Sorted).

report(What, Micros) ->
    ct:pal("~ts: ~b of them, median ~b us, p95 ~b us, p99 ~b us, max ~b us",
           [What, length(Micros), median(Micros), percentile(95, Micros), percentile(99, Micros),
            lists:max(Micros)]).

%% The handshake by hand

packet(Bytes) ->
    <<(byte_size(Bytes)):16, Bytes/binary>>.

name(Name) ->
    packet(<<"N", (ct_raw:flags()):64, 7:32, (byte_size(Name)):16, Name/binary>>).

%% The challenge, if it comes to that.
hear_challenge(Socket) ->
    <<"sok">> = ct_raw:hear(Socket),
    <<"N", _:64, Challenge:32, _/binary>> = ct_raw:hear(Socket),
    Challenge.

digest(Config, Challenge) ->
    #{cookie := Cookie} = ?config(context, Config),
    erlang:md5([atom_to_list(Cookie), integer_to_list(Challenge)]).

changed(Bytes, At, Bit) ->
    <<Before:At/binary, B, After/binary>> = Bytes,
    <<Before/binary, (B bxor Bit), After/binary>>.

raw_name(N) ->
    <<"raw", (integer_to_binary(1000 + N))/binary, "@127.0.0.1">>.

open(Config) ->
    #{port := Port} = ?config(member, Config),
    ct_raw:open(Port).

connect(Config, N) ->
    #{port := Port} = ?config(member, Config),
    #{cookie := Cookie} = ?config(context, Config),
    ct_raw:connect(Port, raw_name(N), Cookie).

%% The member

resident_kib(Config) ->
    {ok, Text} = file:read_file(io_lib:format("/proc/~b/status", [?config(os_pid, Config)])),
    {match, [N]} = re:run(Text, "VmRSS:\\s+(\\d+)", [{capture, all_but_first, list}]),
    list_to_integer(N).

descriptors(Config) ->
    {ok, Names} = file:list_dir(io_lib:format("/proc/~b/fd", [?config(os_pid, Config)])),
    length(Names).

count(Config, Event) ->
    Log = quorate_ct:log_of(?config(context, Config), ?config(member, Config)),
    length(binary:matches(Log, list_to_binary(["event=", Event, " "]))).

logs(Config, Event) ->
    true = quorate_ct:await({logged, Event}, fun() -> count(Config, Event) > 0 end).
