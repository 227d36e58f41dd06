%% SPDX-License-Identifier: Apache-2.0
%% Our validator, reader and writer against those of a virtual machine, on random
%% terms and on terms of which some bytes are others; our comparison of keys against
%% that of each release.
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
    [random_terms, changed_terms, two_keys].

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

%% A map with two keys that are equal or nearly so, among none or many others: what
%% one release does not take we do not, and what we do not take one of them does not,
%% at least as a map of the two alone: of more than 32 keys a virtual machine compares
%% those whose hashes meet.
two_keys(Config) ->
    Program = ?config(program, Config),
    Seed = ?config(seed, Config),
    Count = min(?SHARE, ?config(terms, Config)),
    Nodes = [key_node(Config, Name, Release)
             || {Name, Release} <- [{"keys25", otp25}, {"keys27", otp27}, {"keys29", otp29}]],
    [Here | _] = Known = [N || {ok, N} <- Nodes],
    _ = [ct:pal("~ts", [Why]) || {skip, Why} <- Nodes],
    {Maps, Alone, Ours} =
        quorate_ct:call(Here, ?MODULE, our_verdicts, [Program, Seed, Count], 600000),
    [Theirs, TheirsAlone] =
        [transposed([quorate_ct:call(N, ?MODULE, are_taken, [All], 600000) || N <- Known])
         || All <- [Maps, Alone]],
    _ = [ok = quorate_ct:kill_node(?config(context, Config), N) || N <- Known],
    ct:pal("~b of ~b maps refused by us, ~b by a release",
           [length([r || refused <- Ours]), Count, length([r || T <- Theirs, is_refused(T)])]),
    Rows = lists:zip(Maps, lists:zip3(Ours, Theirs, TheirsAlone)),
    ?assertEqual([], lists:sublist([Row || {_, {taken, T, _}} = Row <- Rows, is_refused(T)], 5)),
    %% What none of them refuses, another one may.
    ?assertEqual([], lists:sublist([Row || {_, {refused, T, A}} = Row <- Rows, length(T) =:= 3,
                                           not is_refused(T), not is_refused(A)], 5)).

is_refused(Taken) ->
    lists:member(false, Taken).

key_node(Config, Name, Release) ->
    case quorate_ct:in_release(Release, Config) of
        {skip, Why} ->
            {skip, Why};
        Now ->
            Node = quorate_ct:node(?config(context, Config), Name, ?config(options, Now)),
            ok = quorate_ct:load(Node, [?MODULE]),
            {ok, Node}
    end.

transposed([[] | _]) -> [];
transposed(Lists) -> [[hd(L) || L <- Lists] | transposed([tl(L) || L <- Lists])].

our_verdicts(Program, Seed, Count) ->
    _ = rand:seed(exsss, Seed),
    Port = open_port({spawn_executable, Program}, [{packet, 4}, binary, exit_status]),
    {Maps, Alone} = lists:unzip([map_of_two() || _ <- lists:seq(1, Count)]),
    Ours = our_verdicts(Port, Maps),
    true = port_close(Port),
    {Maps, Alone, Ours}.

our_verdicts(_, []) ->
    [];
our_verdicts(Port, Maps) ->
    {Now, Later} = lists:split(min(?BATCH, length(Maps)), Maps),
    [case V of
         0 -> taken;
         5 -> refused
     end || {V, _} <- ask(Port, Now)] ++ our_verdicts(Port, Later).

are_taken(Maps) ->
    [decode(M) =/= error || M <- Maps].

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
    [{Why, T} || {T, {Verdict, Out}} <- lists:zip(Terms, ask(Port, Binaries)),
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
    [Difference || {Bin, {Verdict, Out}} <- lists:zip(Binaries, ask(Port, Binaries)),
                   Difference <- verdicts(Bin, Verdict, Out)].

verdicts(Bin, Verdict, Out) ->
    case {Verdict, decode(Bin)} of
        {0, {ok, Term}} ->
            case decode(Out) of
                {ok, Term} -> [];
                Other -> [{became, Bin, Other}]
            end;
        {0, error} ->
            %% Of its own identifiers a virtual machine knows more than anybody.
            [{taken, Bin} || binary:match(Bin, atom_to_binary(node())) =:= nomatch];
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
            [{V, Out} || <<V, Size:32, Out:Size/binary>> <= Data];
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

%% Two keys, in the forms that a term may have

%% And the two alone.
map_of_two() ->
    {A, B} = two_terms(rand:uniform(4) - 1),
    Pairs = [A, B | other_keys(rand:uniform(6))],
    Mixed = [K || {_, K} <- lists:sort([{rand:uniform(), K} || K <- Pairs])],
    Values = [form(leaf(1)) || _ <- Mixed],
    Map = map_form(lists:zip(Mixed, Values)),
    {<<131, (wrapped(rand:uniform(6), Map))/binary>>,
     <<131, (map_form([{A, form(1)}, {B, form(1)}]))/binary>>}.

%% A map of more than 32 is another one to a virtual machine.
other_keys(1) -> [form({other, N}) || N <- lists:seq(1, 40)];
other_keys(2) -> [form({other, N}) || N <- lists:seq(1, rand:uniform(29))];
other_keys(_) -> [].

wrapped(1, Map) -> <<104, 2, Map/binary, 106>>;
wrapped(2, Map) -> <<108, 1:32, 106, Map/binary>>;
wrapped(3, Map) -> <<116, 1:32, Map/binary, 106>>;
wrapped(4, Map) -> <<116, 1:32, 106, Map/binary>>;
wrapped(_, Map) -> Map.

%% The raw bytes of two terms that are equal, or differ in one place.
two_terms(0) ->
    case rand:uniform(3) of
        1 -> T = key_leaf(), {form(T), form(T)};
        2 -> near(rand:uniform(16));
        3 -> {form(key_leaf()), form(key_leaf())}
    end;
two_terms(Depth) ->
    {A, B} = two_terms(Depth - 1),
    Others = [key_leaf() || _ <- lists:seq(1, rand:uniform(3) - 1)],
    container(rand:uniform(4), A, B, Others).

container(1, A, B, Others) ->
    {tuple_form([A | forms(Others)]), tuple_form([B | forms(Others)])};
container(2, A, B, Others) ->
    {list_form([A | forms(Others)], <<106>>), list_form([B | forms(Others)], <<106>>)};
container(3, A, B, Others) ->
    {map_form(pairs(A, Others)), map_form(pairs(B, Others))};
container(4, A, B, Others) ->
    {map_form([{form(v), A} | pairs(form(w), Others)]),
     map_form(lists:reverse([{form(v), B} | pairs(form(w), Others)]))}.

pairs(Key, Others) ->
    [{Key, form(1)} | [{form({N, O}), form(N)} || {N, O} <- lists:enumerate(Others)]].

forms(Terms) ->
    [form(T) || T <- Terms].

key_leaf() ->
    case rand:uniform(8) of
        1 -> rand:uniform(3);
        2 -> signed(rand:uniform(1 bsl 40));
        3 -> signed(1 bsl (60 + rand:uniform(40)));
        4 -> lists:nth(rand:uniform(3), [a, b, list_to_atom([233, 955 - 900])]);
        5 -> <<(rand:uniform(2)):3>>;
        6 -> [rand:uniform(2), rand:uniform(2)];
        7 -> <<(rand:uniform(2))>>;
        8 -> float(rand:uniform(2))
    end.

%% Equal to ==, or to one release; or of one more zero.
near(1) -> {form(0.0), <<70, 1:1, 0:63>>};
near(2) -> {form(1), form(1.0)};
near(3) -> {form([]), form({})};
near(4) -> {<<77, 1:32, 3, 2#10111111>>, <<77, 1:32, 3, 2#10100000>>};
near(5) -> {<<109, 1:32, 7>>, <<77, 1:32, 8, 7>>};
near(6) -> {fun_form(1, 0, 4, 4, 9, 1), fun_form(rand:uniform(2), rand:uniform(2) - 1, 4, 4, 9, 2)};
near(7) -> {fun_form(1, 0, 4, 4, 9, 1), fun_form(1, 0, 5, rand:uniform(2) + 3, 9, 1)};
near(8) -> {identifier(88, <<1:32, 2:32, 3:32>>), identifier(88, <<1:32, 2:32, (near_by(3)):32>>)};
near(9) -> {identifier(89, <<5:32, 3:32>>), identifier(120, <<5:64, (near_by(3)):32>>)};
near(10) -> {identifier(89, <<5:32, 3:32>>), identifier(120, <<(near_by(5)):64, 3:32>>)};
near(11) -> {reference_form([5]), reference_form([5 | lists:duplicate(rand:uniform(2), 0)])};
near(12) -> {reference_form([5, 6, 7]), reference_form([5, 6, near_by(7)])};
near(13) -> {<<113, 119, 1, "m", 119, 1, "f", 97, 2>>,
             <<113, 115, 1, "m", 118, 1:16, "f", 97, (near_by(2))>>};
near(14) -> {form(<<1>>), form([1])};
near(15) -> {<<108, 0:32, 97, 1>>, form(near_by(1))};
near(16) -> {<<110, 1, 1, 0>>, form(near_by(0))}.

near_by(N) ->
    N + rand:uniform(2) - 1.

identifier(Tag, Tail) ->
    <<Tag, (form('o@h'))/binary, Tail/binary>>.

reference_form(Words) ->
    Numbers = << <<W:32>> || W <- Words >>,
    <<90, (length(Words)):16, (form('o@h'))/binary, 3:32, Numbers/binary>>.

fun_form(Arity, Uniq, Index, OldIndex, OldUniq, Pid) ->
    Body = <<Arity, Uniq:128, Index:32, 0:32, (form(mm))/binary, 98, OldIndex:32, 98, OldUniq:32,
             (identifier(88, <<Pid:32, 2:32, 3:32>>))/binary>>,
    <<112, (byte_size(Body) + 4):32, Body/binary>>.

%% One of the forms of a term, without the version.
form(T) when is_integer(T) -> integer_form(rand:uniform(4), T);
form(T) when is_atom(T) -> atom_form(rand:uniform(4), T);
form(T) when is_tuple(T) -> tuple_form(forms(tuple_to_list(T)));
form([]) -> lists:nth(rand:uniform(3), [<<106>>, <<107, 0:16>>, <<108, 0:32, 106>>]);
form(T) when is_list(T) -> string_form(rand:uniform(2), T);
form(T) when is_binary(T) -> lists:nth(rand:uniform(2), [<<109, (byte_size(T)):32, T/binary>>,
                                                         whole_bits(T)]);
form(T) -> <<131, Raw/binary>> = term_to_binary(T, [{minor_version, 2}]), Raw.

whole_bits(<<>>) -> <<109, 0:32>>;
whole_bits(T) -> <<77, (byte_size(T)):32, 8, T/binary>>.

integer_form(1, T) when T >= 0, T < 256 -> <<97, T>>;
integer_form(2, T) when T >= -(1 bsl 31), T < 1 bsl 31 -> <<98, T:32>>;
integer_form(N, T) ->
    Digits = binary:encode_unsigned(abs(T), little),
    Zeros = binary:copy(<<0>>, rand:uniform(3) - 1),
    All = <<Digits/binary, Zeros/binary>>,
    Sign = case T < 0 of true -> 1; false -> 0 end,
    case N of
        4 -> <<111, (byte_size(All)):32, Sign, All/binary>>;
        _ -> <<110, (byte_size(All)), Sign, All/binary>>
    end.

atom_form(N, T) ->
    Latin1 = atom_to_binary(T, latin1),
    Utf8 = atom_to_binary(T),
    case N of
        1 -> <<119, (byte_size(Utf8)), Utf8/binary>>;
        2 -> <<118, (byte_size(Utf8)):16, Utf8/binary>>;
        3 -> <<115, (byte_size(Latin1)), Latin1/binary>>;
        4 -> <<100, (byte_size(Latin1)):16, Latin1/binary>>
    end.

tuple_form(Raws) ->
    Body = iolist_to_binary(Raws),
    case rand:uniform(2) of
        1 -> <<104, (length(Raws)), Body/binary>>;
        2 -> <<105, (length(Raws)):32, Body/binary>>
    end.

string_form(1, T) -> <<107, (length(T)):16, (list_to_binary(T))/binary>>;
string_form(2, T) -> list_form(forms(T), form([])).

%% In one piece, or going on in its tail.
list_form(Raws, Tail) ->
    {Now, Later} = lists:split(rand:uniform(length(Raws)), Raws),
    Rest = case Later of
               [] -> Tail;
               _ -> list_form(Later, Tail)
           end,
    iolist_to_binary([<<108, (length(Now)):32>>, Now, Rest]).

map_form(Pairs) ->
    iolist_to_binary([<<116, (length(Pairs)):32>>, [[K, V] || {K, V} <- Pairs]]).
