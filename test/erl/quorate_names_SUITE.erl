%% SPDX-License-Identifier: Apache-2.0
%% The table of the processes of a node that have names.
-module(quorate_names_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0]).
-export([the_last_name_lets_go/1, expected_is_not_registered/1,
         what_is_registered_is_not_dropped/1, an_end_gives_all_names_once/1,
         strangers_are_nothing/1]).

all() ->
    [Name || {Name, 1} <- ?MODULE:module_info(exports), Name =/= module_info].

with(Names) ->
    Ref = make_ref(),
    {Ref, lists:foldl(fun({Name, Epoch}, All) -> quorate_names:put(Name, Epoch, self(), All) end,
                      quorate_names:watch(self(), Ref, quorate_names:new()), Names)}.

the_last_name_lets_go(_) ->
    {Ref, Names} = with([{a, 1}, {b, 2}]),
    ?assert(quorate_names:is_watched(self(), Names)),
    {used, One} = quorate_names:remove(a, self(), Names),
    ?assertEqual({used, One}, quorate_names:remove(a, self(), One)),
    ?assertEqual([{b, 2}], quorate_names:of_process(self(), One)),
    {unused, Ref, None} = quorate_names:remove(b, self(), One),
    ?assertEqual(quorate_names:new(), None),
    ?assertNot(quorate_names:is_watched(self(), None)).

expected_is_not_registered(_) ->
    {Ref, Names} = with([{a, expected}]),
    ?assertEqual([{a, expected}], quorate_names:of_process(self(), Names)),
    ?assertEqual({unused, Ref, quorate_names:new()},
                 quorate_names:drop_expected(a, self(), Names)),
    Kept = quorate_names:put(a, 7, self(), Names),
    ?assertEqual([{a, 7}], quorate_names:of_process(self(), Kept)).

%% The same name is asked for once more, which fails.
what_is_registered_is_not_dropped(_) ->
    {_, Names} = with([{a, 7}, {a, expected}]),
    ?assertEqual([{a, 7}], quorate_names:of_process(self(), Names)),
    ?assertEqual({used, Names}, quorate_names:drop_expected(a, self(), Names)).

an_end_gives_all_names_once(_) ->
    {Ref, Names} = with([{a, 1}, {b, expected}]),
    ?assertEqual(error, quorate_names:ended(self(), make_ref(), Names)),
    {Own, Rest} = quorate_names:ended(self(), Ref, Names),
    ?assertEqual([{a, 1}, {b, expected}], lists:sort(Own)),
    ?assertEqual(error, quorate_names:ended(self(), Ref, Rest)).

strangers_are_nothing(_) ->
    Names = quorate_names:new(),
    ?assertEqual({used, Names}, quorate_names:remove(a, self(), Names)),
    ?assertEqual({used, Names}, quorate_names:drop_expected(a, self(), Names)),
    ?assertEqual([], quorate_names:of_process(self(), Names)).
