%% SPDX-License-Identifier: Apache-2.0
%% @doc Any term as bytes that are the same on every node, for keys of registries and
%% ids of supervised children. Pure.
%%
%% Two nodes may write one term in two ways: a map has no order, and older releases
%% write atoms otherwise. Here
%%
%% ```
%%   <<"user-42">>     itself: a binary that is not empty and does not begin with 131
%%   any other term    its external form, which begins with 131: atoms in UTF-8, maps
%%                     in the order of the bytes of their keys, -0.0 as 0.0
%% '''
%%
%% Funs are none: what they are depends on the version of a module.
-module(quorate_key).

-export([encode/2, decode/1]).

-export_type([reason/0]).

-type reason() :: {too_long, Bytes :: pos_integer(), Max :: integer()} | has_fun.

-define(VERSION, 131).
-define(COMPRESSED, 80).
-define(SMALL_TUPLE, 104).
-define(LARGE_TUPLE, 105).
-define(NIL, 106).
-define(STRING, 107).
-define(LIST, 108).
-define(MAP, 116).
-define(STRING_SIZE_MAX, 65535).

%% @doc At most `Max' bytes.
-spec encode(term(), integer()) -> {ok, binary()} | {error, reason()}.
encode(<<First, _/binary>> = Key, Max) when First =/= ?VERSION ->
    fitting(Key, byte_size(Key), Max);
encode(Key, Max) ->
    %% Less than twice as long as what is made below, where atoms are written otherwise;
    %% looked at first, for the term may be huge.
    case erlang:external_size(Key) of
        Size when Size > 2 * Max ->
            {error, {too_long, Size, Max}};
        _ ->
            try iolist_to_binary([?VERSION | external(Key)]) of
                Bytes -> fitting(Bytes, byte_size(Bytes), Max)
            catch
                throw:has_fun -> {error, has_fun}
            end
    end.

%% @doc The term; bytes that nobody made of a term are one themselves.
-spec decode(binary()) -> term().
decode(<<?VERSION, ?COMPRESSED, _/binary>> = Bytes) ->
    Bytes;
decode(<<?VERSION, _/binary>> = Bytes) ->
    try binary_to_term(Bytes) of
        Key ->
            case encode(Key, byte_size(Bytes)) of
                {ok, Bytes} -> Key;
                _ -> Bytes
            end
    catch
        error:badarg -> Bytes
    end;
decode(Bytes) ->
    Bytes.

%% Internals

fitting(Bytes, Size, Max) when Size =< Max -> {ok, Bytes};
fitting(_, Size, Max) -> {error, {too_long, Size, Max}}.

external(Map) when is_map(Map) ->
    Pairs = [{iolist_to_binary(external(Key)), external(Value)}
             || {Key, Value} <- maps:to_list(Map)],
    [<<?MAP, (map_size(Map)):32>> | [[Key, Value] || {Key, Value} <- lists:keysort(1, Pairs)]];
external(Tuple) when is_tuple(Tuple) ->
    [tuple_head(tuple_size(Tuple)) | [external(Element) || Element <- tuple_to_list(Tuple)]];
external([]) ->
    [?NIL];
external(List) when is_list(List) ->
    case is_string(List, 0) of
        true -> [<<?STRING, (length(List)):16>> | List];
        false -> list(List, 0, [])
    end;
external(Fun) when is_function(Fun) ->
    throw(has_fun);
external(Float) when is_float(Float) ->
    %% Of -0.0 it makes 0.0.
    leaf(Float + 0.0);
external(Leaf) ->
    leaf(Leaf).

leaf(Leaf) ->
    <<?VERSION, Bytes/binary>> = term_to_binary(Leaf, [{minor_version, 2}]),
    Bytes.

tuple_head(Size) when Size < 256 -> <<?SMALL_TUPLE, Size>>;
tuple_head(Size) -> <<?LARGE_TUPLE, Size:32>>.

is_string([], Size) -> Size =< ?STRING_SIZE_MAX;
is_string([Byte | Rest], Size) when is_integer(Byte), Byte >= 0, Byte < 256 ->
    is_string(Rest, Size + 1);
is_string(_, _) -> false.

%% The tail of an improper list is what it ends with.
list([Element | Rest], Size, Done) ->
    list(Rest, Size + 1, [external(Element) | Done]);
list(Tail, Size, Done) ->
    [<<?LIST, Size:32>>, lists:reverse(Done), external(Tail)].
