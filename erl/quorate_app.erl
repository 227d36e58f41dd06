%% SPDX-License-Identifier: Apache-2.0
%% @doc The application: with no configuration at all, a working member beside
%% this node, and this node a worker.
-module(quorate_app).
-behaviour(application).

-export([start/2, stop/1]).

-spec start(application:start_type(), term()) -> {ok, pid()} | {error, term()}.
start(_, _) ->
    Settings = [Setting || {Key, _} = Setting <- application:get_all_env(quorate),
                           Key =/= included_applications],
    case proplists:get_value(autostart, Settings, true) of
        true -> quorate_sup:start_link(Settings);
        false -> quorate_sup:start_empty()
    end.

-spec stop(term()) -> ok.
stop(_) ->
    ok.
