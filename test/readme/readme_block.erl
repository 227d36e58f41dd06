%% SPDX-License-Identifier: Apache-2.0
%% Evaluates a block of the README as the shell would, expression by
%% expression; a line `%% => Pattern` is what the value before must match.
%% Ends the virtual machine: 0 if all went well, 1 with what did not.
-module(readme_block).

-export([main/1]).

main([File]) ->
    {ok, Text} = file:read_file(File),
    Lines = string:split(unicode:characters_to_list(Text), "\n", all),
    halt(
        try lists:foldl(fun line/2, #{value => none, bindings => [], source => ""}, Lines) of
            #{source := ""} -> 0;
            #{source := Source} -> failed("unfinished:~n~ts", [Source])
        catch
            throw:{failed, Format, Args} -> failed(Format, Args);
            Class:Reason:Stack -> failed("~p: ~p~n~p", [Class, Reason, Stack])
        end
    ).

failed(Format, Args) ->
    io:format(Format ++ "~n", Args),
    1.

line("%% => " ++ Pattern, #{value := Value, bindings := Bindings, source := ""} = State) ->
    matches(Pattern, Value, Bindings) orelse
        throw({failed, "expected ~ts~ngot      ~tp", [Pattern, Value]}),
    State;
line("%% =>" ++ _ = Line, _) ->
    throw({failed, "nothing to compare with: ~ts", [Line]});
line("%%" ++ _, State) ->
    State;
line(Line, #{source := Before} = State) ->
    expression(Before ++ Line ++ "\n", State).

%% An expression goes on until its full stop.
expression(Source, State) ->
    case erl_scan:string(Source) of
        {ok, [], _} -> State#{source := ""};
        {ok, Tokens, _} -> evaluate(lists:last(Tokens), Tokens, Source, State);
        {error, Why, _} -> throw({failed, "~tp in~n~ts", [Why, Source]})
    end.

evaluate({dot, _}, Tokens, Source, #{bindings := Bindings}) ->
    case erl_parse:parse_exprs(Tokens) of
        {ok, Expressions} ->
            try
                {value, Value, Bindings1} = erl_eval:exprs(Expressions, Bindings),
                #{value => Value, bindings => Bindings1, source => ""}
            catch
                Class:Reason -> throw({failed, "~p: ~tp in~n~ts", [Class, Reason, Source]})
            end;
        {error, Why} ->
            throw({failed, "~tp in~n~ts", [Why, Source]})
    end;
evaluate(_, _, Source, State) ->
    State#{source := Source}.

matches(Pattern, Value, Bindings) ->
    Source = "case V__ of " ++ Pattern ++ " -> true; _ -> false end.",
    {ok, Tokens, _} = erl_scan:string(Source),
    {ok, Expressions} = erl_parse:parse_exprs(Tokens),
    {value, Result, _} = erl_eval:exprs(Expressions, erl_eval:add_binding('V__', Value, Bindings)),
    Result.
