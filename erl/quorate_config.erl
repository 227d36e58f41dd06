%% SPDX-License-Identifier: Apache-2.0
%% @doc The settings of the application, checked and completed. Pure: what it
%% gives depends on its arguments alone.
%%
%% ```
%%   autostart    true | false: the supervisor is started by yours, see
%%                quorate:child_spec/1
%%   member       embedded (default): a member beside this node
%%                {supervised, #{name, data_dir, listen, members, join, daemon_path}}
%%                {existing, [Node]}: members that run by themselves
%%   name         node name of the own member; quorate-<this node's name>
%%   members      [{Name, {Address, Port}}], the first voters, the own one too
%%   join         [{Name, {Address, Port}}], in place of members: some of the
%%                cluster that the own member is to be added to
%%   data_dir     directory of the own member
%%   listen       {Address, Port}, port 0: any
%%   daemon_path  the program
%%   tls          #{cert_file, key_file, ca_file, verify_name} of the own member;
%%                needed where this node speaks TLS
%%   capacity     #{cpu, memory, sandboxes} of this node as a worker
%%   ownership_journal  #{dir, size} of this node's ownership journal, or off;
%%                16 MiB beside the own member, unless it says otherwise
%% '''
-module(quorate_config).

-export([read/3, arguments/1]).

-export_type([config/0, member/0, settings/0]).

-define(SETTINGS,
        [autostart, member, name, members, join, data_dir, listen, daemon_path, tls,
         capacity, ownership_journal]).
-define(JOURNAL_SETTINGS, [dir, size]).
-define(JOURNAL_SIZE, 16 * 1024 * 1024).
-define(JOURNAL_SIZE_MIN, 262144).
-define(MEMBER_SETTINGS, [name, members, join, data_dir, listen, daemon_path, tls]).
-define(TLS_SETTINGS, [cert_file, key_file, ca_file, verify_name]).

-type settings() :: [{atom(), term()}].
-type address() :: {Host :: string() | binary() | inet:ip_address(), inet:port_number()}.
-type member() :: #{name := node(), data_dir := file:filename_all(),
                    listen := address(), members := [{node(), address()}],
                    join := [{node(), address()}],
                    daemon_path := file:filename_all() | undefined,
                    tls := tls() | none}.
-type tls() :: #{cert_file := file:filename_all(), key_file := file:filename_all(),
                 ca_file := file:filename_all(), verify_name => strict | off}.
-type config() :: #{own := member() | none, others := [node()],
                    journal := quorate_journal:config(),
                    capacity := #{cpu => non_neg_integer(),
                                  memory => non_neg_integer(),
                                  sandboxes => non_neg_integer()}}.

-type defaults() :: #{data_dir := fun((node()) -> file:filename_all()),
                      host := fun((string()) -> string())}.

%% @doc The configuration for this node, or what is wrong in one line. How to
%% find a data directory and the address of a host is given as functions.
-spec read(settings(), node(), defaults()) -> {ok, config()} | {error, string()}.
read(Settings, Node, Defaults) ->
    try
        Known = known(Settings, ?SETTINGS),
        Member = member(maps:get(member, Known, embedded), Known, Node, Defaults),
        Journal = journal(maps:get(ownership_journal, Known, #{}), Member, Node, Defaults),
        {ok, Member#{capacity => capacity(maps:get(capacity, Known, #{})), journal => Journal}}
    catch
        throw:{invalid, Text} -> {error, Text}
    end.

%% @doc The command line of the member.
-spec arguments(member()) -> [file:filename_all()].
arguments(#{name := Name, data_dir := DataDir, listen := Listen, members := Members,
            join := Join, tls := Tls}) ->
    ["start", "--supervised", "--name", atom_to_list(Name), "--data-dir", DataDir,
     "--listen", address_text(Listen)]
    ++ named_arguments("--member", Members)
    ++ named_arguments("--join", Join)
    ++ tls_arguments(Tls).

%% Internals

named_arguments(Flag, Members) ->
    lists:append([[Flag, atom_to_list(Name) ++ "=" ++ address_text(Address)]
                  || {Name, Address} <- Members]).

tls_arguments(none) ->
    [];
tls_arguments(#{cert_file := Cert, key_file := Key, ca_file := Ca} = Tls) ->
    ["--tls-cert-file", Cert, "--tls-key-file", Key, "--tls-ca-file", Ca,
     "--verify-name", atom_to_list(maps:get(verify_name, Tls, strict))].

known(Settings, Allowed) when is_list(Settings) ->
    known(maps:from_list(Settings), Allowed);
known(#{} = Settings, Allowed) ->
    case maps:keys(Settings) -- Allowed of
        [] -> Settings;
        [Unknown | _] -> invalid("there is no setting ~0tp; there are ~0tp", [Unknown, Allowed])
    end;
known(Other, _) ->
    invalid("settings are a list of pairs or a map, not ~0tp", [Other]).

member({existing, [_ | _] = Nodes}, _, _, _) ->
    case lists:all(fun is_atom/1, Nodes) of
        true -> #{own => none, others => Nodes};
        false -> invalid("{existing, Nodes} needs node names, not ~0tp", [Nodes])
    end;
member(embedded, Settings, Node, Defaults) ->
    own(Settings, Node, Defaults);
member({supervised, Own}, Settings, Node, Defaults) ->
    own(maps:merge(Settings, known(Own, ?MEMBER_SETTINGS)), Node, Defaults);
member(Other, _, _, _) ->
    invalid("member is embedded, {supervised, Settings} or {existing, Nodes}, not ~0tp", [Other]).

own(Settings, Node, #{data_dir := DataDir, host := HostAddress}) ->
    [_, Host] = string:split(atom_to_list(Node), "@"),
    Name = maps:get(name, Settings, default_name(Node)),
    Voters = [voter(members, Voter) || Voter <- list(members, Settings)],
    Join = [voter(join, Voter) || Voter <- list(join, Settings)],
    ok = check_voter(Name, Voters),
    ok = check_join(Name, Voters, Join),
    #{own => #{name => Name, members => Voters, join => Join,
               data_dir => path(data_dir, Settings, fun() -> DataDir(Node) end),
               daemon_path => path(daemon_path, Settings, fun() -> undefined end),
               tls => tls(maps:get(tls, Settings, none)),
               listen => listen(Settings, Name, Voters, fun() -> {HostAddress(Host), 0} end)},
      others => [Voter || {Voter, _} <- Voters ++ Join, Voter =/= Name]}.

default_name(Node) ->
    binary_to_atom(<<"quorate-", (atom_to_binary(Node))/binary>>). % allowed: our own name

list(Key, Settings) ->
    case maps:get(Key, Settings, []) of
        List when is_list(List) -> List;
        Other -> invalid("~0tp is a list, not ~0tp", [Key, Other])
    end.

voter(Key, {Name, Address}) when is_atom(Name) -> {Name, address(Key, Address)};
voter(Key, Other) -> invalid("~0tp has {Name, {Address, Port}}, not ~0tp", [Key, Other]).

check_voter(Name, _) when not is_atom(Name) ->
    invalid("name is a node name, not ~0tp", [Name]);
check_voter(_, []) ->
    ok;
check_voter(Name, Voters) ->
    case lists:keymember(Name, 1, Voters) of
        true -> ok;
        false -> invalid("members must name the own member ~0tp too", [Name])
    end.

check_join(_, _, []) ->
    ok;
check_join(Name, [], Join) ->
    case lists:keymember(Name, 1, Join) of
        true -> invalid("join names the own member ~0tp; it is for those that are there", [Name]);
        false -> ok
    end;
check_join(_, _, _) ->
    invalid("members are the first voters of a new cluster, join is for one that is there; "
            "give one of the two", []).

%% A voter listens where the others will look for it.
listen(#{listen := Address}, _, _, _) ->
    address(listen, Address);
listen(_, Name, Voters, Default) ->
    case lists:keyfind(Name, 1, Voters) of
        {Name, Address} -> Address;
        false -> Default()
    end.

address(_, {Host, Port} = Address)
  when is_integer(Port), Port >= 0, Port < 65536,
       (is_list(Host) orelse is_binary(Host) orelse is_tuple(Host)) ->
    Address;
address(Key, Other) ->
    invalid("an address in ~0tp is {Address, Port}, not ~0tp", [Key, Other]).

path(Key, Settings, Default) ->
    case Settings of
        #{Key := Path} when is_list(Path); is_binary(Path) -> Path;
        #{Key := Other} -> invalid("~0tp is a path, not ~0tp", [Key, Other]);
        #{} -> Default()
    end.

tls(none) ->
    none;
tls(Given) ->
    Tls = known(Given, ?TLS_SETTINGS),
    Files = [cert_file, key_file, ca_file],
    case [Key || Key <- Files, not is_map_key(Key, Tls)] of
        [] -> ok;
        [Missing | _] -> invalid("tls needs ~0tp too", [Missing])
    end,
    _ = [path(Key, Tls, fun() -> undefined end) || Key <- Files],
    case maps:get(verify_name, Tls, strict) of
        Verify when Verify =:= strict; Verify =:= off -> Tls;
        Other -> invalid("verify_name is strict or off, not ~0tp", [Other])
    end.

capacity(#{} = Capacity) ->
    case [Pair || {Key, Value} = Pair <- maps:to_list(Capacity),
                  not lists:member(Key, [cpu, memory, sandboxes])
                      orelse not is_integer(Value) orelse Value < 0] of
        [] -> Capacity;
        [Wrong | _] -> invalid("capacity has numbers for cpu, memory, sandboxes, not ~0tp", [Wrong])
    end;
capacity(Other) ->
    invalid("capacity is a map, not ~0tp", [Other]).

journal(off, _, _, _) ->
    off;
journal(Given, Member, Node, #{data_dir := DataDir}) ->
    Settings = known(Given, ?JOURNAL_SETTINGS),
    Dir = case Member of
              #{own := #{data_dir := Own}} -> fun() -> Own end;
              #{} -> fun() -> DataDir(Node) end
          end,
    case maps:get(size, Settings, ?JOURNAL_SIZE) of
        Size when is_integer(Size), Size >= ?JOURNAL_SIZE_MIN ->
            #{dir => path(dir, Settings, Dir), size => Size};
        Other ->
            invalid("the size of ownership_journal is a number of bytes, at least ~b, not ~0tp",
                    [?JOURNAL_SIZE_MIN, Other])
    end.

address_text({Host, Port}) ->
    host_text(Host) ++ ":" ++ integer_to_list(Port).

host_text(Host) when tuple_size(Host) =:= 8 -> "[" ++ inet:ntoa(Host) ++ "]";
host_text(Host) when is_tuple(Host) -> inet:ntoa(Host);
host_text(Host) -> unicode:characters_to_list(Host).

-spec invalid(string(), [term()]) -> no_return().
invalid(Format, Args) ->
    throw({invalid, lists:flatten(io_lib:format("quorate: " ++ Format, Args))}).
