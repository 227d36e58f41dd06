%% SPDX-License-Identifier: Apache-2.0
%% A peer that says on a socket whatever it likes: the distribution protocol by
%% hand (erl_dist_protocol), right or wrong.
-module(ct_raw).

-export([open/1, send/2, closes/2, connect/3, say_name/2, hear/1, reply_to/3]).
-export([frame/1, frame/2, pid/1, call/3, call/4, hole/0, term_with/2, next_message/2, flags/0]).

-define(WAIT_MS, 10000).
%% What a node of OTP 25 must offer, and UNLINK_ID, V4_NC, SPAWN, ALIAS.
-define(FLAGS, 16#2D074F4FBC).

flags() ->
    ?FLAGS.

open(Port) ->
    Options = [binary, {active, false}, {nodelay, true}],
    {ok, Socket} = gen_tcp:connect({127, 0, 0, 1}, Port, Options),
    Socket.

%% The other side may have closed it: that is not for us to mind.
send(Socket, Data) ->
    _ = gen_tcp:send(Socket, Data),
    ok.

%% Whether the other side closes within a time, whatever it sends before.
closes(Socket, Timeout) ->
    Deadline = erlang:monotonic_time(millisecond) + Timeout,
    closes_by(Socket, Deadline).

closes_by(Socket, Deadline) ->
    Left = max(0, Deadline - erlang:monotonic_time(millisecond)),
    case gen_tcp:recv(Socket, 0, Left) of
        {ok, _} -> closes_by(Socket, Deadline);
        {error, timeout} -> false;
        {error, _} -> true
    end.

%% The whole handshake as the dialling side.
connect(Port, Name, Cookie) ->
    Socket = open(Port),
    ok = say_name(Socket, Name),
    case hear(Socket) of
        <<"sok">> -> ok;
        <<"salive">> -> send(Socket, <<5:16, "strue">>)
    end,
    <<"N", _:64, Challenge:32, _/binary>> = hear(Socket),
    ok = reply_to(Socket, Challenge, Cookie),
    <<"a", _:16/binary>> = hear(Socket),
    Socket.

say_name(Socket, Name) ->
    Message = <<"N", ?FLAGS:64, 7:32, (byte_size(Name)):16, Name/binary>>,
    send(Socket, <<(byte_size(Message)):16, Message/binary>>).

%% One message of the handshake.
hear(Socket) ->
    {ok, <<Size:16>>} = gen_tcp:recv(Socket, 2, ?WAIT_MS),
    {ok, Message} = gen_tcp:recv(Socket, Size, ?WAIT_MS),
    Message.

reply_to(Socket, Challenge, Cookie) ->
    Digest = erlang:md5([atom_to_list(Cookie), integer_to_list(Challenge)]),
    send(Socket, <<21:16, "r", 1:32, Digest/binary>>).

frame(Control) ->
    frame(Control, <<>>).

%% A message after the handshake; Payload are the bytes of a term.
frame(Control, Payload) ->
    Body = <<112, (term_to_binary(Control))/binary, Payload/binary>>,
    <<(byte_size(Body)):32, Body/binary>>.

%% A process identifier of such a peer.
pid(Name) ->
    binary_to_term(<<131, 88, 119, (byte_size(Name)), Name/binary, 1:32, 0:32, 7:32>>).

%% Stands in a term for bytes that this node could not make a term of.
hole() ->
    <<"a term of raw bytes">>.

%% The bytes of the term with Raw, a term without the version, in place of the hole.
term_with(Term, Raw) ->
    <<131, Hole/binary>> = term_to_binary(hole()),
    binary:replace(term_to_binary(Term), Hole, Raw).

%% What a call gives that is made over such a connection.
call(Socket, Name, Request) ->
    call(Socket, Name, Request, <<106>>).

call(Socket, Name, Request, Raw) ->
    Pid = pid(Name),
    Tag = make_ref(),
    Message = {'$gen_call', {Pid, Tag}, Request},
    ok = send(Socket, frame({6, Pid, '', quorate}, term_with(Message, Raw))),
    answer(Socket, Tag).

answer(Socket, Tag) ->
    case next_message(Socket, ?WAIT_MS) of
        {Tag, Answer} -> Answer;
        _ -> answer(Socket, Tag)
    end.

%% The next message to a process of the peer, whichever it is; what goes to its
%% names, and probes, are for nobody.
next_message(Socket, Timeout) ->
    {ok, <<Size:32>>} = gen_tcp:recv(Socket, 4, Timeout),
    case Size of
        0 ->
            next_message(Socket, Timeout);
        _ ->
            {ok, <<112, Terms/binary>>} = gen_tcp:recv(Socket, Size, Timeout),
            {Control, Used} = binary_to_term(Terms, [used]),
            <<_:Used/binary, Payload/binary>> = Terms,
            case element(1, Control) of
                Op when Op =:= 2; Op =:= 22 -> binary_to_term(Payload);
                _ -> next_message(Socket, Timeout)
            end
    end.
