%% SPDX-License-Identifier: Apache-2.0
%% What most suites share: members and a client that last as long as the suite, and
%% workers that last as long as a case. All of it is in the configuration of the
%% cases: `context', `members', `client', `workers'.
-module(ct_cluster).

-export([start/2, start/3, with/3, stop/1]).
-export([workers/4, names/2, clear/1]).

-type config() :: [{atom(), term()}].

%% @doc Three members, and an Erlang node beside them; when they have a leader.
-spec start(quorate_ct:context(), config()) -> config().
start(Context, Config) ->
    start(Context, [], Config).

%% @doc The same, with further arguments for each member.
-spec start(quorate_ct:context(), [string()], config()) -> config().
start(Context, Args, Config) ->
    with(Context, quorate_ct:members(Context, ["q1", "q2", "q3"], Args), Config).

%% @doc The same with members that were started already.
-spec with(quorate_ct:context(), [quorate_ct:member()], config()) -> config().
with(Context, Members, Config) ->
    Client = quorate_ct:node(Context, "client"),
    _ = quorate_ct:await_leader(Client, Members),
    [{context, Context}, {members, Members}, {client, Client} | Config].

-spec stop(config()) -> ok.
stop(Config) ->
    quorate_ct:stop(the(context, Config), the(priv_dir, Config)).

%% @doc Workers for a case, attached, so that what one case kills is not missed by the
%% next: two or three, each of which asks another member first, with these modules.
-spec workers([string()], map(), [module()], config()) -> config().
workers(Names, Capacity, Modules, Config) ->
    Context = the(context, Config),
    Client = the(client, Config),
    Members = [A, B, C] = the(members, Config),
    _ = quorate_ct:await_leader(Client, Members),
    Orders = lists:sublist([[A, B, C], [B, C, A], [C, A, B]], length(Names)),
    Workers = [quorate_ct:worker(Context, Name, Order, Capacity)
               || {Name, Order} <- lists:zip(Names, Orders)],
    _ = [quorate_ct:await_worker(Client, A, W) || W <- Workers],
    [ok = quorate_ct:load(W, Modules) || W <- Workers, Modules =/= []],
    [{workers, Workers} | Config].

%% @doc Names of workers that no other case has.
-spec names(atom(), pos_integer()) -> [string()].
names(Case, Count) ->
    [lists:concat([Case, "_w", N]) || N <- lists:seq(1, Count)].

%% @doc The other end of a case.
-spec clear(config()) -> ok.
clear(Config) ->
    quorate_ct:clear(the(context, Config), the(client, Config), the(members, Config),
                     the(workers, Config)).

the(Key, Config) ->
    {Key, Value} = lists:keyfind(Key, 1, Config),
    Value.
