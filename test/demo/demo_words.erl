%% SPDX-License-Identifier: Apache-2.0
%% How the demonstrations tell what they do.
-module(demo_words).

-export([say/2, progress/2, fail/2]).

%% One line that is written over on a terminal, and nothing in a file.
progress(Format, Args) ->
    case os:getenv("QUORATE_DEMO_TTY") of
        false -> ok;
        _ -> io:format("\r\e[K" ++ Format, Args)
    end.

say(Format, Args) ->
    case os:getenv("QUORATE_DEMO_TTY") of
        false -> io:format(Format ++ "~n", Args);
        _ -> io:format("\r\e[K" ++ Format ++ "~n", Args)
    end.

-spec fail(string(), list()) -> no_return().
fail(Format, Args) ->
    throw({failed, io_lib:format(Format, Args)}).
