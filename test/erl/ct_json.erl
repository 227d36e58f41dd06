%% SPDX-License-Identifier: Apache-2.0
%% Reads JSON (RFC 8259), strictly: what a program would do with our output.
-module(ct_json).

-export([decode/1]).

%% Objects are maps with binary keys; null is the atom.
-spec decode(binary()) -> term().
decode(Text) ->
    {Value, Rest} = value(skip(Text)),
    <<>> = skip(Rest),
    Value.

value(<<"{", Rest/binary>>) -> object(skip(Rest), #{});
value(<<"[", Rest/binary>>) -> array(skip(Rest), []);
value(<<"\"", Rest/binary>>) -> string(Rest, <<>>);
value(<<"true", Rest/binary>>) -> {true, Rest};
value(<<"false", Rest/binary>>) -> {false, Rest};
value(<<"null", Rest/binary>>) -> {null, Rest};
value(Text) -> number(Text).

object(<<"}", Rest/binary>>, Map) when map_size(Map) =:= 0 ->
    {Map, Rest};
object(<<"\"", Text/binary>>, Map) ->
    {Key, Rest} = string(Text, <<>>),
    <<":", Rest1/binary>> = skip(Rest),
    {Value, Rest2} = value(skip(Rest1)),
    false = is_map_key(Key, Map),
    case skip(Rest2) of
        <<",", Rest3/binary>> -> object(skip(Rest3), Map#{Key => Value});
        <<"}", Rest3/binary>> -> {Map#{Key => Value}, Rest3}
    end.

array(<<"]", Rest/binary>>, []) ->
    {[], Rest};
array(Text, Values) ->
    {Value, Rest} = value(Text),
    case skip(Rest) of
        <<",", Rest1/binary>> -> array(skip(Rest1), [Value | Values]);
        <<"]", Rest1/binary>> -> {lists:reverse([Value | Values]), Rest1}
    end.

string(<<"\"", Rest/binary>>, Text) ->
    {Text, Rest};
string(<<"\\u", Hex:4/binary, Rest/binary>>, Text) ->
    string(Rest, <<Text/binary, (binary_to_integer(Hex, 16))/utf8>>);
string(<<"\\", C, Rest/binary>>, Text) ->
    {C, Value} = lists:keyfind(C, 1, [{$", $"}, {$\\, $\\}, {$/, $/}, {$b, $\b}, {$f, $\f},
                                      {$n, $\n}, {$r, $\r}, {$t, $\t}]),
    string(Rest, <<Text/binary, Value>>);
string(<<C/utf8, Rest/binary>>, Text) when C >= 32 ->
    string(Rest, <<Text/binary, C/utf8>>).

number(Text) ->
    {match, [{0, Size}]} =
        re:run(Text, "^-?(0|[1-9][0-9]*)(\\.[0-9]+)?([eE][-+]?[0-9]+)?", [{capture, first}]),
    <<Digits:Size/binary, Rest/binary>> = Text,
    {try binary_to_integer(Digits) catch error:badarg -> binary_to_float(Digits) end, Rest}.

skip(<<C, Rest/binary>>) when C =:= $\s; C =:= $\n; C =:= $\r; C =:= $\t -> skip(Rest);
skip(Text) -> Text.
