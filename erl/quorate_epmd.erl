%% SPDX-License-Identifier: Apache-2.0
%% @doc Nodes without epmd: a table of names and addresses in its place.
%%
%% ```
%%   erl -name a@10.0.0.9 -start_epmd false -pa .../quorate/ebin
%%       -epmd_module quorate_epmd
%%       -quorate epmd_nodes "[{'q1@10.0.0.1', {\"10.0.0.1\", 4370}}]"
%% '''
%%
%% It is asked before any application runs, so the table comes from what is
%% there that early, the strongest first: QUORATE_EPMD_NODES in the environment
%% (`q1@10.0.0.1=10.0.0.1:4370,...'), the flag `-quorate epmd_nodes', the
%% setting `quorate_epmd_nodes' of kernel. put/2 adds to it while the node runs.
%% A node that is in the table itself listens at its port there, else at any.
-module(quorate_epmd).
-behaviour(gen_server).

-export([put/2, parse/1]).
-export([start_link/0, register_node/2, register_node/3, listen_port_please/2, port_please/2,
         port_please/3, address_please/3, names/1]).
-export([init/1, handle_call/3, handle_cast/2]).

-export_type([name/0, address/0]).

%% A port alone: on the host that the node's name says.
-type name() :: node() | string() | binary().
-type address() :: inet:port_number()
                 | {Host :: string() | binary() | inet:ip_address(), inet:port_number()}.
-type host() :: atom() | string() | inet:ip_address().
-type entry() :: {{Name :: string(), Host :: string()},
                  {Address :: string() | inet:ip_address(), inet:port_number()}}.

-define(ENTRIES_MAX, 1024).
-define(TEXT_SIZE_MAX, 65536). % bytes of the variable in the environment
-define(NAME_SIZE_MAX, 255).
-define(PROTOCOL_VERSION, 6).
%% Smaller ones are those of nodes before OTP 23.
-define(CREATION_MIN, 4).
-define(CREATION_MAX, 16#fffffffe).
-define(ASK_TIMEOUT_MS, 7000).

%% @doc Adds a node, or changes where it is. `not_running': this node was not
%% started with `-epmd_module quorate_epmd'.
-spec put(name(), address()) -> ok | {error, not_running | full | badarg}.
put(Name, Address) ->
    case {is_running(), entry({Name, Address})} of
        {false, _} -> {error, not_running};
        {true, {ok, Entry}} -> gen_server:call(?MODULE, {put, Entry});
        {true, error} -> {error, badarg}
    end.

%% @doc Reads `NAME@HOST=ADDR:PORT' with commas between them: the nodes, and
%% what is none.
-spec parse(string()) -> {[{string(), address()}], Wrong :: [string()]}.
parse(Text) ->
    Parts = [string:trim(Part) || Part <- string:split(Text, ",", all)],
    Read = [{Part, read_node(Part)} || Part <- Parts, Part =/= ""],
    {[Node || {_, {ok, Node}} <- Read], [Part || {Part, error} <- Read]}.

%% What the kernel asks

-spec start_link() -> gen_server:start_ret().
start_link() ->
    gen_server:start_link({local, ?MODULE}, ?MODULE, [], []).

-spec register_node(host(), inet:port_number()) -> {ok, pos_integer()}.
register_node(Name, Port) ->
    register_node(Name, Port, inet).

%% Nobody has to be told; and a number that tells this run of the node from
%% others is what epmd would give.
-spec register_node(host(), inet:port_number(), atom()) -> {ok, pos_integer()}.
register_node(_, _, _) ->
    {ok, ?CREATION_MIN - 1 + rand:uniform(?CREATION_MAX - ?CREATION_MIN + 1)}.

-spec listen_port_please(host(), host()) -> {ok, inet:port_number()}.
listen_port_please(Name, Host) ->
    case find(Name, Host) of
        {ok, {_, Port}} -> {ok, Port};
        error -> {ok, 0}
    end.

-spec port_please(host(), host()) ->
          {port, inet:port_number(), pos_integer()} | noport | closed | {error, term()}.
port_please(Name, Host) ->
    port_please(Name, Host, ?ASK_TIMEOUT_MS).

-spec port_please(host(), host(), timeout()) ->
          {port, inet:port_number(), pos_integer()} | noport | closed | {error, term()}.
port_please(Name, Host, Timeout) ->
    case find(Name, Host) of
        {ok, {_, Port}} -> {port, Port, ?PROTOCOL_VERSION};
        error -> fall_back(fun() -> erl_epmd:port_please(Name, Host, Timeout) end, noport)
    end.

-spec address_please(host(), host(), inet | inet6) ->
          {ok, inet:ip_address()} | {ok, inet:ip_address(), inet:port_number(), pos_integer()}
        | {error, term()}.
address_please(Name, Host, Family) ->
    case find(Name, Host) of
        {ok, {Address, Port}} ->
            case inet:getaddr(Address, Family) of
                {ok, Ip} -> {ok, Ip, Port, ?PROTOCOL_VERSION};
                {error, _} = Error -> Error
            end;
        error ->
            fall_back(fun() -> erl_epmd:address_please(Name, Host, Family) end,
                      {error, unknown_node})
    end.

-spec names(host()) -> {ok, [{string(), inet:port_number()}]} | {error, address}.
names(Host) ->
    case [{Name, Port} || {{Name, _}, {_, Port}} = Entry <- entries(), is_on(Entry, Host)] of
        [] -> fall_back(fun() -> erl_epmd:names(Host) end, {ok, []});
        Names -> {ok, Names}
    end.

%% The process: keeps the table.

-spec init([]) -> {ok, []}.
init([]) ->
    _ = ets:new(?MODULE, [named_table, protected, {read_concurrency, true}]),
    {Nodes, Complaints} = configured(),
    _ = [logger:warning("quorate_epmd: ~ts", [Text])
         || Text <- lists:reverse(add(Nodes, Complaints))],
    {ok, []}.

-spec handle_call({put, entry()} | term(), gen_server:from(), []) ->
          {reply, ok | {error, full | unknown}, []}.
handle_call({put, Entry}, _, State) ->
    {reply, insert(Entry), State};
handle_call(_, _, State) ->
    {reply, {error, unknown}, State}.

-spec handle_cast(term(), []) -> {noreply, []}.
handle_cast(_, State) ->
    {noreply, State}.

%% Internals

is_running() ->
    ets:whereis(?MODULE) =/= undefined.

entries() ->
    case is_running() of
        true -> ets:tab2list(?MODULE);
        false -> []
    end.

%% The host is a name, or an address that the kernel found for it.
find(Name, Host) ->
    Text = text(Name),
    case [Where || {{Known, _}, Where} = Entry <- entries(), Known =:= Text, is_on(Entry, Host)] of
        [Where | _] -> {ok, Where};
        [] -> error
    end.

is_on({_, {Address, _}}, Host) when is_tuple(Host) ->
    Address =:= Host orelse Address =:= inet:ntoa(Host);
is_on({{_, Known}, _}, Host) ->
    Known =:= text(Host).

text(Name) when is_atom(Name) -> atom_to_list(Name);
text(Name) -> Name.

%% The table as configured; weaker places first, so that stronger ones replace
%% what they say.
configured() ->
    Places = [{"quorate_epmd_nodes of kernel", application:get_env(kernel, quorate_epmd_nodes)},
              {"-quorate epmd_nodes", flag("epmd_nodes")}],
    Terms = [check_list(Place, Value) || {Place, {ok, Value}} <- Places],
    Wrong = [complaint("-quorate epmd_nodes", "no Erlang term") || {_, error} <- Places],
    {Nodes, More} = lists:unzip([environment() | lists:reverse(Terms)]),
    {lists:append(lists:reverse(Nodes)), Wrong ++ lists:append(More)}.

check_list(Place, Value) ->
    case is_list(Value) andalso length_is_small(Value) of
        true -> {[{Place, Node} || Node <- Value], []};
        false -> {[], [complaint(Place, "no list, or one of too many nodes")]}
    end.

length_is_small(List) ->
    try length(List) =< ?ENTRIES_MAX
    catch error:badarg -> false % It has another tail.
    end.

environment() ->
    case os:getenv("QUORATE_EPMD_NODES", "") of
        Text when length(Text) > ?TEXT_SIZE_MAX ->
            {[], [complaint("QUORATE_EPMD_NODES", "too long")]};
        Text ->
            {Nodes, Wrong} = parse(Text),
            {[{"QUORATE_EPMD_NODES", Node} || Node <- Nodes],
             [complaint("QUORATE_EPMD_NODES",
                        io_lib:format("~ts is not NAME@HOST=ADDR:PORT", [Part]))
              || Part <- Wrong]}
    end.

complaint(Place, What) ->
    lists:flatten(io_lib:format("~ts: ~ts; left out. Without its address a node can only be "
                                "reached by one that it connected to", [Place, What])).

%% `undefined', an error, or the term of the last such flag.
flag(Key) ->
    Pairs = [Pair || {quorate, Values} <- init:get_arguments(), Pair <- pairs(Values)],
    case [Value || {Known, Value} <- lists:reverse(Pairs), Known =:= Key] of
        [] -> undefined;
        [Text | _] -> term(Text)
    end.

pairs([Key, Value | Rest]) -> [{Key, Value} | pairs(Rest)];
pairs(_) -> [].

term(Text) ->
    parsed(erl_scan:string(Text ++ ".")).

parsed({ok, Tokens, _}) ->
    case erl_parse:parse_term(Tokens) of
        {ok, Term} -> {ok, Term};
        {error, _} -> error
    end;
parsed(_) ->
    error.

%% epmd knows others, if it may be asked.
fall_back(AskEpmd, Default) ->
    case falls_back() of
        true -> AskEpmd();
        false -> Default
    end.

falls_back() ->
    case os:getenv("QUORATE_EPMD_FALLBACK", "") of
        "" ->
            {ok, true} =:= flag("epmd_fallback")
                orelse {ok, true} =:= application:get_env(kernel, quorate_epmd_fallback);
        Text ->
            Text =:= "true"
    end.

%% Puts nodes into the table; gives what is wrong with them too.
add([], Complaints) ->
    Complaints;
add([{Place, Node} | Rest], Complaints) ->
    case entry(Node) of
        {ok, Entry} ->
            case insert(Entry) of
                ok -> add(Rest, Complaints);
                {error, full} -> [complaint(Place, "the table is full") | Complaints]
            end;
        error ->
            What = io_lib:format("~0tp is not {'NAME@HOST', {Address, Port}}", [Node]),
            add(Rest, [complaint(Place, What) | Complaints])
    end.

insert({Key, _} = Entry) ->
    case ets:member(?MODULE, Key) orelse ets:info(?MODULE, size) < ?ENTRIES_MAX of
        true ->
            true = ets:insert(?MODULE, Entry),
            ok;
        false ->
            {error, full}
    end.

-spec entry(term()) -> {ok, entry()} | error.
entry({Name, Address}) ->
    case {split(Name), Address} of
        {error, _} -> error;
        {{ok, {_, Host} = Key}, Port} when is_integer(Port) -> located(Key, Host, Port);
        {{ok, Key}, {Host, Port}} -> located(Key, Host, Port);
        _ -> error
    end;
entry(_) ->
    error.

located(Key, Host, Port) when is_integer(Port), Port > 0, Port < 65536 ->
    case host(Host) of
        {ok, Address} -> {ok, {Key, {Address, Port}}};
        error -> error
    end;
located(_, _, _) ->
    error.

host(Host) when is_tuple(Host) ->
    case inet:ntoa(Host) of
        {error, einval} -> error;
        _ -> {ok, Host}
    end;
host(Host) when is_binary(Host) ->
    host(binary_to_list(Host));
host([_ | _] = Host) ->
    case is_word(Host) of
        true -> {ok, Host};
        false -> error
    end;
host(_) ->
    error.

split(Name) when is_atom(Name) -> split(atom_to_list(Name));
split(Name) when is_binary(Name) -> split(binary_to_list(Name));
split(Name) when is_list(Name) ->
    case is_word(Name) andalso string:split(Name, "@", all) of
        [[_ | _] = Alive, [_ | _] = Host] -> {ok, {Alive, Host}};
        _ -> error
    end;
split(_) ->
    error.

%% Printable characters without blanks.
is_word(Text) ->
    length_is_small(Text) andalso length(Text) =< ?NAME_SIZE_MAX
        andalso lists:all(fun(C) -> is_integer(C) andalso C > 32 andalso C < 127 end, Text).

read_node(Text) ->
    case string:split(Text, "=") of
        [Name, Where] -> read_address(Name, string:split(Where, ":", trailing));
        _ -> error
    end.

read_address(Name, [Host, Digits]) ->
    Address = case string:split(string:trim(Host, leading, "["), "]") of
                  [Inner, ""] -> Inner;
                  _ -> Host
              end,
    case string:to_integer(Digits) of
        {Port, ""} when is_integer(Port) ->
            case entry({Name, {Address, Port}}) of
                {ok, _} -> {ok, {Name, {Address, Port}}};
                error -> error
            end;
        _ ->
            error
    end;
read_address(_, _) ->
    error.
