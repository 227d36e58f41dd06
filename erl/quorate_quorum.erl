%% SPDX-License-Identifier: Apache-2.0
%% @doc Work that is begun only while a majority is there.
%%
%% The member proves the quorum by a round of messages and gives a token for it;
%% the work is run here, or on a node that this one reaches, so that a fun works
%% as well. What the answer says of how it ended is the same as a member says
%% that runs it for nodes without this code.
-module(quorate_quorum).

-export([execute/2]).

-export_type([work/0, options/0, failure/0]).

-type work() :: {module(), atom(), [term()]} | fun(() -> term()).
-type options() :: #{timeout => pos_integer(), required => pos_integer(), node => node()}.
-type failure() :: {exception, error | exit | throw, term()}
                 | {not_connected, node()} | {refused, term()}
                 | {too_few_members, non_neg_integer()}.

-define(TIMEOUT_MS, 5000).

%% @doc Proves the quorum, then runs the work, in a process of its own.
-spec execute(work(), options()) ->
          {ok, term(), non_neg_integer()} | {error, quorate:reason() | failure()}.
execute({Module, Function, Args}, #{} = Options)
  when is_atom(Module), is_atom(Function), length(Args) >= 0 ->
    proven(Module, Function, Args, Options);
execute(Fun, #{} = Options) when is_function(Fun, 0) ->
    proven(erlang, apply, [Fun, []], Options);
execute(_, #{}) ->
    {error, {badarg, mfa}};
execute(_, _) ->
    {error, {badarg, options}}.

%% Internals

proven(Module, Function, Args, Options) ->
    Timeout = maps:get(timeout, Options, ?TIMEOUT_MS),
    Node = maps:get(node, Options, node()),
    Begin = erlang:monotonic_time(millisecond),
    case is_atom(Node) andalso quorate:token(maps:remove(node, Options)) of
        {ok, Token} ->
            Until = Begin + Timeout,
            case Node =:= node() orelse quorate_call:connected(Node, left(Until)) of
                true -> run(Node, {Module, Function, Args}, Until, Token);
                false -> {error, {not_connected, Node}}
            end;
        {error, Reason} ->
            {error, Reason};
        false ->
            {error, {badarg, node}}
    end.

left(Until) -> max(0, Until - erlang:monotonic_time(millisecond)).

run(Node, {Module, Function, Args}, Until, Token) ->
    try
        {ok, erpc:call(Node, Module, Function, Args, left(Until)), Token}
    catch
        throw:Reason -> {error, {exception, throw, Reason}};
        exit:{exception, Reason} -> {error, {exception, exit, Reason}};
        exit:{signal, Reason} -> {error, {exception, exit, {signal, Reason}}};
        error:{exception, Reason, _} -> {error, {exception, error, Reason}};
        error:{erpc, timeout} -> {error, timeout};
        error:{erpc, noconnection} -> {error, timeout};
        error:{erpc, Reason} -> {error, {refused, Reason}}
    end.
