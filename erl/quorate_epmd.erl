%% SPDX-License-Identifier: Apache-2.0
%% @doc Where nodes are, without the port mapper: `erl -epmd_module quorate_epmd'.
%%
%% The addresses are given when the node starts, since distribution begins before
%% any application: behind the flag `-quorate_nodes', or in the environment
%% variable `QUORATE_NODES' with commas between them, each as the members take
%% theirs:
%%
%% ```
%%   erl -start_epmd false -epmd_module quorate_epmd -pa .../quorate/ebin \
%%       -sname w1@host1 \
%%       -quorate_nodes w1@host1=host1:4400 q1@host1=host1:4370 q2@host2=[::1]:4370
%% '''
%%
%% A node finds its own port there too; one that is not listed takes any port, and
%% can be connected from, not to. `-quorate_epmd_fallback true' asks the port
%% mapper for names that are not listed. There is no process: the list is in a
%% persistent term. The callbacks are those of `erl_epmd' (kernel: "How to
%% implement an alternative service to epmd").
-module(quorate_epmd).

-export([put/2, nodes/0, parse/1]).
-export([start_link/0, register_node/2, register_node/3, listen_port_please/2, port_please/2,
         port_please/3, address_please/3, names/1]).

-export_type([address/0]).

-define(NODES_MAX, 4096).
-define(VERSION, 6). % of the distribution handshake
-define(CREATION_MIN, 4). % those below are of nodes before OTP 23

-type address() :: {Host :: string(), inet:port_number()}.

%% @doc Adds a node, or gives it another address. There are at most 4096.
-spec put(node(), address()) -> ok | {error, limit}.
put(Node, {Host, Port} = Address) when is_atom(Node), is_list(Host), is_integer(Port) ->
    Nodes = all(),
    Key = atom_to_list(Node),
    case is_map_key(Key, Nodes) orelse map_size(Nodes) < ?NODES_MAX of
        true -> persistent_term:put(?MODULE, Nodes#{Key => Address});
        false -> {error, limit}
    end.

%% @doc All that are known, by their full names.
-spec nodes() -> #{string() => address()}.
nodes() ->
    all().

%% @doc `NAME@HOST=ADDR:PORT', or what is wrong with it.
-spec parse(string()) -> {ok, {string(), address()}} | {error, string()}.
parse(Text) ->
    case string:split(Text, "=") of
        [Name, Address] -> parse(Text, string:split(Name, "@"), string:split(Address, ":", trailing));
        [_] -> mistake(Text)
    end.

parse(Text, [[_ | _] = Alive, [_ | _] = Host], [[_ | _] = Address, Port]) ->
    case string:to_integer(Port) of
        {Number, []} when Number > 0, Number < 65536 ->
            {ok, {Alive ++ "@" ++ Host, {string:trim(Address, both, "[]"), Number}}};
        _ ->
            mistake(Text)
    end;
parse(Text, _, _) ->
    mistake(Text).

mistake(Text) ->
    {error, lists:flatten(io_lib:format("quorate: '~ts' is no node; give NAME@HOST=ADDR:PORT",
                                        [Text]))}.

%% The callbacks

%% @doc Reads what was given at the start. A mistake is told and left out: that
%% node will not be found, and all others are.
-spec start_link() -> ignore.
start_link() ->
    lists:foreach(fun(Text) ->
        case parse(Text) of
            {ok, {Name, Address}} -> add(Name, Address);
            {error, What} -> logger:error("~ts", [What])
        end
    end, given()),
    ignore.

%% @doc Nobody is told; the creation is a new one for each start.
-spec register_node(atom() | string(), inet:port_number()) -> {ok, pos_integer()}.
register_node(Name, Port) ->
    register_node(Name, Port, inet).

-spec register_node(atom() | string(), inet:port_number(), inet | inet6) -> {ok, pos_integer()}.
register_node(_, _, _) ->
    {ok, max(new_creation(), ?CREATION_MIN)}.

%% @doc The port that the list has for this node; 0: any.
-spec listen_port_please(atom() | string(), term()) -> {ok, inet:port_number()}.
listen_port_please(Name, Host) ->
    case find(Name, Host) of
        {_, Port} -> {ok, Port};
        undefined -> {ok, 0}
    end.

-spec port_please(atom() | string(), term()) ->
          {port, inet:port_number(), non_neg_integer()} | noport | {error, term()}.
port_please(Name, Host) ->
    port_please(Name, Host, infinity).

-spec port_please(atom() | string(), term(), timeout()) ->
          {port, inet:port_number(), non_neg_integer()} | noport | {error, term()}.
port_please(Name, Host, Timeout) ->
    case {find(Name, Host), has_fallback()} of
        {{_, Port}, _} -> {port, Port, ?VERSION};
        {undefined, true} -> erl_epmd:port_please(to_list(Name), Host, Timeout);
        {undefined, false} -> noport
    end.

-spec address_please(atom() | string(), term(), inet | inet6) ->
          {ok, inet:ip_address(), inet:port_number(), non_neg_integer()} | {ok, inet:ip_address()}
          | {error, term()}.
address_please(Name, Host, Family) ->
    case {find(Name, Host), has_fallback()} of
        {{Address, Port}, _} ->
            case inet:getaddr(Address, Family) of
                {ok, Ip} -> {ok, Ip, Port, ?VERSION};
                {error, Reason} -> {error, Reason}
            end;
        {undefined, true} ->
            erl_epmd:address_please(to_list(Name), Host, Family);
        {undefined, false} ->
            {error, nxdomain}
    end.

%% @doc The nodes of a host.
-spec names(term()) -> {ok, [{string(), inet:port_number()}]} | {error, address}.
names(Host) ->
    End = "@" ++ to_list(Host),
    {ok, [{lists:sublist(Name, length(Name) - length(End)), Port}
          || {Name, {_, Port}} <- maps:to_list(all()), lists:suffix(End, Name)]}.

%% Internals

all() ->
    persistent_term:get(?MODULE, #{}).

add(Name, Address) ->
    Nodes = all(),
    case map_size(Nodes) < ?NODES_MAX of
        true -> persistent_term:put(?MODULE, Nodes#{Name => Address});
        false -> logger:error("quorate: ~ts is one node too many; ~b can be given",
                              [Name, ?NODES_MAX])
    end.

given() ->
    Flags = case init:get_argument(quorate_nodes) of
                {ok, Lists} -> lists:append(Lists);
                error -> []
            end,
    Flags ++ string:lexemes(os:getenv("QUORATE_NODES", ""), ", ").

has_fallback() ->
    init:get_argument(quorate_epmd_fallback) =:= {ok, [["true"]]}.

find(Name, Host) when is_tuple(Host) ->
    find(Name, inet:ntoa(Host));
find(Name, Host) ->
    maps:get(to_list(Name) ++ "@" ++ to_list(Host), all(), undefined).

to_list(Text) when is_atom(Text) -> atom_to_list(Text);
to_list(Text) when is_tuple(Text) -> inet:ntoa(Text);
to_list(Text) -> Text.

%% It is no secret, it only has to differ from that of the last start.
new_creation() ->
    erlang:phash2({erlang:system_time(), erlang:unique_integer(), os:getpid()}, 1 bsl 32).
