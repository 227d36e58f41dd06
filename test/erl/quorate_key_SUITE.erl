%% SPDX-License-Identifier: Apache-2.0
%% Keys and ids as bytes: one way for each term, and back again.
-module(quorate_key_SUITE).
-include_lib("stdlib/include/assert.hrl").
-compile([export_all, nowarn_export_all]).

-define(MAX, 1000000).

all() ->
    [bytes_are_fixed, binaries_are_themselves, every_term_comes_back, maps_have_one_form,
     different_terms_have_different_bytes, what_nobody_encoded_stays_as_it_is,
     limits_are_exact, funs_are_none].

%% What is on disks and in other nodes: a change here is a change of format.
bytes_are_fixed(_) ->
    [?assertEqual({Term, {ok, Bytes}}, {Term, quorate_key:encode(Term, ?MAX)})
     || {Term, Bytes} <-
            [{a, <<131, 119, 1, $a>>},
             {'\x{e9}', <<131, 119, 2, 16#c3, 16#a9>>},
             {<<>>, <<131, 109, 0:32>>},
             {<<131>>, <<131, 109, 1:32, 131>>},
             {"ab", <<131, 107, 2:16, "ab">>},
             {[], <<131, 106>>},
             {[a | b], <<131, 108, 1:32, 119, 1, $a, 119, 1, $b>>},
             {{1, 1000}, <<131, 104, 2, 97, 1, 98, 1000:32>>},
             {0.0, <<131, 70, 0:64>>},
             {-1 * 0.0, <<131, 70, 0:64>>},
             {#{b => 1, a => 2}, <<131, 116, 2:32, 119, 1, $a, 97, 2, 119, 1, $b, 97, 1>>}]].

binaries_are_themselves(_) ->
    [?assertEqual({ok, B}, quorate_key:encode(B, ?MAX))
     || B <- [<<"user-42">>, <<0>>, <<130>>, <<132, 131>>, <<"a/b:c">>]].

every_term_comes_back(_) ->
    [begin
         {ok, Bytes} = quorate_key:encode(Term, ?MAX),
         ?assertEqual(Term, quorate_key:decode(Bytes)),
         %% And any virtual machine reads it as what it is.
         ?assert(Bytes =:= Term orelse binary_to_term(Bytes) =:= Term)
     end || Term <- terms()].

terms() ->
    [a, <<>>, <<"x">>, <<131, 97, 1>>, <<131, 80, 0>>, <<1:3>>, [], "abc", [1, 2 | 3], [300],
     lists:seq(1, 70000), lists:duplicate(65535, 1), lists:duplicate(65536, 1), {}, {1, {2}},
     list_to_tuple(lists:seq(1, 300)), #{}, #{1 => #{2 => 3}}, 0, -1, 1 bsl 64, -(1 bsl 3000),
     1.5, self(), make_ref(), '', '\x{3bb}', list_to_atom(lists:duplicate(255, 16#3bb)),
     maps:from_list([{N, N} || N <- lists:seq(1, 100)])].

maps_have_one_form(_) ->
    Pairs = [Pair || N <- lists:seq(1, 200),
                     Pair <- [{N, a}, {{N}, b}, {integer_to_list(N), c}]],
    {ok, Bytes} = quorate_key:encode(maps:from_list(Pairs), ?MAX),
    lists:foreach(
      fun(Seed) ->
          {Shuffled, _} = lists:mapfoldl(fun(P, S) ->
                                             {R, S1} = rand:uniform_s(S),
                                             {{R, P}, S1}
                                         end, rand:seed_s(exsss, Seed), Pairs),
          Map = lists:foldl(fun({_, {K, V}}, M) -> M#{K => V} end, #{}, lists:sort(Shuffled)),
          ?assertEqual({ok, Bytes}, quorate_key:encode(Map, ?MAX))
      end, lists:seq(1, 20)).

different_terms_have_different_bytes(_) ->
    Terms = terms() ++ [1, 1.0, "a", <<"a">>, [[]], {[]}, #{a => 1}, [{a, 1}]],
    All = [element(2, quorate_key:encode(T, ?MAX)) || T <- Terms],
    ?assertEqual(length(Terms), length(lists:usort(All))).

%% Not of the one form, not whole, or packed so that it would grow.
what_nobody_encoded_stays_as_it_is(_) ->
    [?assertEqual(B, quorate_key:decode(B))
     || B <- [<<131>>, <<131, 104, 2, 97, 1>>, <<131, 100, 1:16, $a>>, <<131, 97, 1, 0>>,
              <<131, 109, 1:32, $x>>, <<131, 116, 2:32, 97, 2, 106, 97, 1, 106>>,
              term_to_binary(lists:duplicate(100000, x), [compressed])]].

limits_are_exact(_) ->
    [begin
         {ok, Bytes} = quorate_key:encode(Term, ?MAX),
         Size = byte_size(Bytes),
         ?assertEqual({ok, Bytes}, quorate_key:encode(Term, Size)),
         ?assertEqual({error, {too_long, Size, Size - 1}}, quorate_key:encode(Term, Size - 1))
     end || Term <- [<<"user-42">>, <<>>, a, {1, [2, 3]}, #{a => 'é'}]],
    ?assertMatch({error, {too_long, _, 255}},
                 quorate_key:encode(lists:duplicate(1000000, x), 255)),
    ?assertMatch({error, {too_long, 1, -3}}, quorate_key:encode(<<"x">>, -3)).

funs_are_none(_) ->
    [?assertEqual({error, has_fun}, quorate_key:encode(T, ?MAX))
     || T <- [fun funs_are_none/1, fun() -> 1 end, {1, [#{k => fun erlang:self/0}]}]].
