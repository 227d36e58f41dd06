%% SPDX-License-Identifier: Apache-2.0
%% Our validator, reader and writer against those of a virtual machine, on random
%% terms and on terms of which some bytes are others.
%%
%% QUORATE_TERMS says how many; QUORATE_SEED repeats a run.
-module(differential_SUITE).
-include_lib("common_test/include/ct.hrl").
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(TERMS, "20000").
%% Changed bytes make atoms, which a node keeps for ever: each share has its own.
-define(SHARE, 100000).
-define(BATCH, 500).
-define(DEPTH, 5).
-define(WAIT_MS, 60000).

suite() ->
    [{timetrap, {minutes, 60}}].

all() ->
    [random_terms, changed_terms].

init_per_suite(Config) ->
    Context = #{work := Work} = quorate_ct:start(differential),
    Program = filename:join(Work, "etf_port"),
    Top = quorate_ct:top(),
    Usr = filename:join(code:root_dir(), "usr"),
    ?assertEqual({0, <<>>, <<>>},
                 quorate_ct:run(Context, os:find_executable("gcc"),
                                ["-std=c11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-Werror",
                                 "-I" ++ filename:join(Top, "c_src"),
                                 "-I" ++ filename:join(Top, "test"),
                                 "-isystem", filename:join(Usr, "include"),
                                 filename:join(Top, "test/erl/etf_port.c"), "-o", Program,
                                 filename:join(Top, "priv/libquorate_core.a"),
                                 "-L" ++ filename:join(Usr, "lib"), "-lei", "-pthread", "-lm"])),
    Seed = list_to_integer(os:getenv("QUORATE_SEED",
                                     integer_to_list(erlang:system_time(microsecond)))),
    ct:pal("QUORATE_SEED=~b", [Seed]),
    [{context, Context}, {program, Program}, {seed, Seed},
     {terms, list_to_integer(os:getenv("QUORATE_TERMS", ?TERMS))} | Config].

end_per_suite(Config) ->
    quorate_ct:stop(?config(context, Config), ?config(priv_dir, Config)).

%% What we read and write again is the same term.
random_terms(Config) ->
    shares(Config, fun same_terms/3).

%% What we take a virtual machine takes; what one writes we take.
changed_terms(Config) ->
    shares(Config, fun same_verdicts/3).

%% One node after the other, each for a share.
shares(Config, Check) ->
    Program = ?config(program, Config),
    Total = ?config(terms, Config),
    {Took, _} = quorate_ct:take_time(fun() ->
        lists:foreach(fun(N) ->
            Count = min(?SHARE, Total - N * ?SHARE),
            Name = "differential" ++ integer_to_list(N),
            Node = quorate_ct:node(?config(context, Config), Name),
            Seed = ?config(seed, Config) + N,
            Wrong = quorate_ct:call(Node, ?MODULE, check, [Program, Seed, Count, Check], 1800000),
            ok = quorate_ct:kill_node(?config(context, Config), Node),
            ?assertEqual([], Wrong)
        end, lists:seq(0, (Total - 1) div ?SHARE))
    end),
    ct:pal("~b terms in ~b ms", [Total, Took]).

%% On the node of a share: what differed, at most some of it.
check(Program, Seed, Count, Check) ->
    _ = rand:seed(exsss, Seed),
    Port = open_port({spawn_executable, Program}, [{packet, 4}, binary, exit_status]),
    Wrong = batches(Port, Count, Check, []),
    true = port_close(Port),
    lists:sublist(Wrong, 20).

batches(_, Left, _, Wrong) when Left =< 0; length(Wrong) >= 20 ->
    Wrong;
batches(Port, Left, Check, Wrong) ->
    Terms = [term(rand:uniform(?DEPTH)) || _ <- lists:seq(1, min(?BATCH, Left))],
    batches(Port, Left - ?BATCH, Check, Check(Port, Terms, []) ++ Wrong).

same_terms(Port, Terms, _) ->
    Binaries = [encode(T) || T <- Terms],
    [{Why, T} || {T, {Verdict, Out, _}} <- lists:zip(Terms, ask(Port, Binaries)),
                 Why <- [difference(T, Verdict, Out)], Why =/= same].

difference(Term, 0, Out) ->
    try binary_to_term(Out) of
        Term -> same;
        Other -> {became, Other}
    catch
        error:badarg -> {unreadable, Out}
    end;
difference(_, Verdict, _) ->
    {refused, Verdict}.

%% Both forms of atoms, and both of small funs, as releases have them.
encode(Term) ->
    term_to_binary(Term, [{minor_version, rand:uniform(2)}]).

same_verdicts(Port, Terms, _) ->
    Binaries = [changed(encode(T)) || T <- Terms],
    [Difference || {Bin, {Verdict, Out, Flat}} <- lists:zip(Binaries, ask(Port, Binaries)),
                   Difference <- verdicts(Bin, Verdict, Out, Flat)].

verdicts(Bin, Verdict, Out, Flat) ->
    case {Verdict, decode(Bin)} of
        {0, {ok, Term}} ->
            case decode(Out) of
                {ok, Term} -> [];
                Other -> [{became, Bin, Other}]
            end;
        {0, error} ->
            %% Of its own identifiers a virtual machine knows more than anybody.
            %% Equal keys in a map pass us: they are not compared.
            [{taken, Bin} || binary:match(Bin, atom_to_binary(node())) =:= nomatch,
                             decode(Flat) =:= error];
        %% A node name that no writer of ours can write.
        {4, _} ->
            [];
        {_, error} ->
            [];
        {_, {ok, Term}} ->
            [{refused, Verdict, Bin} || is_written_by_nodes(Term, Bin)]
    end.

decode(Bin) ->
    try binary_to_term(Bin, [used]) of
        {Term, Used} when Used =:= byte_size(Bin) -> {ok, Term};
        _ -> error
    catch
        error:_ -> error
    end.

%% A virtual machine reads more than it writes: compressed terms, forms of long
%% ago, the local form, numbers with zeros in front. Peers send what it writes.
is_written_by_nodes(Term, Bin) ->
    lists:any(fun(Minor) -> term_to_binary(Term, [{minor_version, Minor}]) =:= Bin end, [1, 2]).

%% One to three bytes are others, or some are missing or too many.
changed(Bin) ->
    case rand:uniform(8) of
        1 -> binary:part(Bin, 0, rand:uniform(byte_size(Bin)));
        2 -> <<Bin/binary, (rand:uniform(256) - 1)>>;
        _ -> lists:foldl(fun(_, B) -> changed_byte(B) end, Bin, lists:seq(1, rand:uniform(3)))
    end.

changed_byte(Bin) ->
    At = rand:uniform(byte_size(Bin) - 1),
    <<Before:At/binary, B, After/binary>> = <<Bin/binary, 0>>,
    New = case rand:uniform(3) of
              1 -> B bxor (1 bsl (rand:uniform(8) - 1));
              2 -> rand:uniform(256) - 1;
              3 -> lists:nth(rand:uniform(24), [70, 77, 88, 89, 90, 97, 98, 100, 104, 105, 106, 107,
                                                108, 109, 110, 111, 112, 113, 115, 116, 118, 119,
                                                120, 0])
          end,
    Whole = <<Before/binary, New, After/binary>>,
    binary:part(Whole, 0, byte_size(Bin)).

ask(Port, Binaries) ->
    true = port_command(Port, [[<<(byte_size(B)):32>>, B] || B <- Binaries]),
    receive
        {Port, {data, Data}} ->
            [{V, Out, Flat}
             || <<V, Size:32, Out:Size/binary, FlatSize:32, Flat:FlatSize/binary>> <= Data];
        {Port, {exit_status, Status}} ->
            error({the_program_ended, Status})
    after ?WAIT_MS ->
        error(no_answer)
    end.

%% Random terms

term(0) ->
    leaf(rand:uniform(16));
term(Depth) ->
    case rand:uniform(12) of
        1 -> list_to_tuple(terms(Depth));
        2 -> terms(Depth);
        3 -> improper(terms(Depth), leaf(rand:uniform(16)));
        4 -> maps:from_list(lists:zip(terms(Depth, 6), terms(Depth, 6)));
        5 -> alike();
        6 -> a_fun(term(Depth - 1));
        7 -> list_to_tuple([leaf(1) || _ <- lists:seq(1, 250 + rand:uniform(10))]);
        _ -> leaf(rand:uniform(16))
    end.

terms(Depth) ->
    terms(Depth, rand:uniform(5) - 1).

terms(Depth, Count) ->
    [term(Depth - 1) || _ <- lists:seq(1, Count)].

improper([], Tail) -> [Tail | Tail];
improper(List, Tail) -> lists:foldr(fun(X, Rest) -> [X | Rest] end, Tail, List).

%% Keys that are equal to ==, and not the same.
alike() ->
    N = rand:uniform(1000),
    #{N => a, float(N) => b, <<N:16>> => c, [N] => d, {N} => e, integer_to_list(N) => f,
      list_to_atom(integer_to_list(N)) => g, integer_to_binary(N) => h}.

leaf(1) -> rand:uniform(256) - 1;
leaf(2) -> signed(rand:uniform(16#FFFFFFFF));
leaf(3) -> signed((1 bsl (rand:uniform(66) - 1)) - 1 + rand:uniform(3) - 1);
leaf(4) -> signed(binary:decode_unsigned(rand:bytes(rand:uniform(300))));
leaf(5) -> float_of(<<(rand:uniform(1 bsl 64) - 1):64>>);
leaf(6) -> lists:nth(rand:uniform(6), [true, false, undefined, '', nil, 'an atom']);
leaf(7) -> wide_atom(rand:uniform(3));
leaf(8) -> rand:bytes(rand:uniform(64) - 1);
leaf(9) -> Bits = rand:uniform(70), <<X:Bits/bitstring, _/bitstring>> = rand:bytes(9), X;
leaf(10) -> binary_to_list(rand:bytes(rand:uniform(20) - 1));
leaf(11) -> [955 + rand:uniform(100) | "wide"];
leaf(12) -> lists:nth(rand:uniform(3), [self(), make_ref(), hd(erlang:ports())]);
leaf(13) -> foreign(88, <<(bits(28)):32, (bits(13)):32, (bits(32)):32>>);
leaf(14) -> reference(rand:uniform(5));
leaf(15) -> foreign(120, <<(bits(64)):64, (bits(32)):32>>);
leaf(16) -> lists:nth(rand:uniform(4), [[], {}, #{}, fun lists:map/2]).

bits(Count) ->
    rand:uniform(1 bsl Count) - 1.

signed(N) ->
    case rand:uniform(2) of
        1 -> N;
        2 -> -N
    end.

float_of(<<F:64/float>>) -> F;
float_of(_) -> -0.0.

%% Of few different ones: they are kept for ever.
wide_atom(Bytes) ->
    Char = lists:nth(Bytes, [$a, 955, 16#1F600]),
    list_to_atom(lists:duplicate(lists:nth(rand:uniform(4), [1, 63, 64, 255]), Char)).

foreign(Tag, Rest) ->
    Node = <<"other", ($0 + rand:uniform(9)), "@127.0.0.1">>,
    binary_to_term(<<131, Tag, 119, (byte_size(Node)), Node/binary, Rest/binary>>).

reference(Words) ->
    Node = <<"other@127.0.0.1">>,
    Numbers = << <<(bits(17)):32>> || _ <- lists:seq(1, Words) >>,
    binary_to_term(<<131, 90, Words:16, 119, (byte_size(Node)), Node/binary, (bits(32)):32,
                     Numbers/binary>>).

a_fun(Value) ->
    fun(X) -> {X, Value} end.
