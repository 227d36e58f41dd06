%% SPDX-License-Identifier: Apache-2.0
%% Policies for the conflicts suite. What to do is in the ids of the sandboxes:
%% they begin with it.
-module(ct_conflict).
-behaviour(quorate_conflict).

-export([resolve/3, start_link/1]).

%% A counter that does not start with anything else than a count.
start_link(#{state := {ok, State}}) when not is_integer(State) -> {error, no_count};
start_link(Context) -> ct_counter:start_link(#{}, Context).

resolve(<<"merge", _/binary>>, #{state := {ok, A}}, #{state := {ok, B}}) -> {merge, A + B};
resolve(<<"registered", _/binary>>, _, _) -> registered;
resolve(<<"duplicate", _/binary>>, _, _) -> duplicate;
resolve(<<"crash", _/binary>>, _, _) -> error(no_idea);
resolve(<<"rubbish", _/binary>>, _, _) -> {merge, a, b};
resolve(<<"exit", _/binary>>, _, _) -> exit({answer, neither});
resolve(<<"hog", _/binary>>, _, _) -> hog([]);
resolve(<<"hang", _/binary>>, _, _) -> receive after infinity -> ok end.

hog(All) -> hog([All, lists:seq(1, 1000) | All]).
