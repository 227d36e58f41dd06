%% SPDX-License-Identifier: Apache-2.0
%% @doc Lists that are longer than one answer: page after page, within one deadline.
%% Every page is as the whole cluster sees it when it is read; they are not one picture.
-module(quorate_pages).

-export([sandboxes/2, names/2]).

-define(PAGE, 5000).
-define(TIMEOUT_MS, 5000).

%% @doc All sandboxes whose ids begin so.
-spec sandboxes(binary(), map()) -> [quorate:sandbox()] | {error, quorate:reason()}.
sandboxes(Prefix, Filter) ->
    Size = byte_size(Prefix),
    all(fun quorate:sandboxes/1, id, Prefix, Filter,
        fun(Id) -> binary:longest_common_prefix([Id, Prefix]) =:= Size end).

%% @doc All names `{Kind, Scope, Key}' of this scope, whose keys are binaries that are
%% not empty.
-spec names({atom(), atom()}, map()) -> [quorate:entry()] | {error, quorate:reason()}.
names({Kind, Scope}, Filter) ->
    all(fun quorate:names/1, name, {Kind, Scope, <<>>}, Filter,
        fun({K, S, Key}) -> K =:= Kind andalso S =:= Scope andalso is_binary(Key);
           (_) -> false
        end).

%% Internals

%% What is looked for stands together, behind `After'.
all(Read, Key, After, Filter, IsOne) ->
    Until = erlang:monotonic_time(millisecond) + ?TIMEOUT_MS,
    Options = Filter#{consistency => linearizable, limit => ?PAGE},
    next({Read, Key, Options, IsOne}, After, Until, []).

next({Read, Key, Options, IsOne} = What, After, Until, Done) ->
    case max(0, Until - erlang:monotonic_time(millisecond)) of
        0 ->
            {error, timeout};
        Left ->
            case Read(Options#{'after' => After, timeout => Left}) of
                {error, Reason} -> {error, Reason};
                Page -> page(lists:splitwith(fun(#{Key := K}) -> IsOne(K) end, Page),
                             What, Until, Done)
            end
    end.

page({Found, []}, {_, Key, _, _} = What, Until, Done) when length(Found) =:= ?PAGE ->
    #{Key := Last} = lists:last(Found),
    next(What, Last, Until, [Found | Done]);
page({Found, _}, _, _, Done) ->
    lists:append(lists:reverse([Found | Done])).
