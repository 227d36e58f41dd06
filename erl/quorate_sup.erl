%% SPDX-License-Identifier: Apache-2.0
%% @doc The parts of a worker, each restarted alone: what they know of each
%% other is asked again. Stopped in the reverse order: the agent hands over,
%% then sandboxes, then the own member.
-module(quorate_sup).
-behaviour(supervisor).

-export([start_link/1, start_empty/0]).
-export([init/1]).

%% So long the start waits for a lease. Voters of a new cluster may start in
%% any order, so a longer wait is no failure.
-define(ATTACH_MS, 5000).
%% For the last checkpoints and the ends of the sandboxes.
-define(HANDOVER_MS, 15000).

%% @doc Starts everything that the settings ask for; it is there, with its
%% lease, when this returns. The error is one line that says what to do.
-spec start_link(quorate_config:settings()) -> {ok, pid()} | {error, term()}.
start_link(Settings) ->
    case prepare(Settings) of
        {ok, Config} -> start_checked(Config);
        {error, Text} -> {error, Text}
    end.

%% @doc For an application whose parts are started by somebody else.
-spec start_empty() -> {ok, pid()} | {error, term()}.
start_empty() ->
    started(supervisor:start_link(?MODULE, empty)).

-spec init(quorate_config:config() | empty) ->
          {ok, {supervisor:sup_flags(), [supervisor:child_spec()]}}.
init(empty) ->
    {ok, {#{}, []}};
init(#{own := Own, others := Others, capacity := Capacity, journal := Journal}) ->
    ok = quorate_local:new(),
    Agent = #{own => own_name(Own), others => Others,
              capacity => maps:merge(quorate_os:capacity(), Capacity)},
    {ok, {#{strategy => one_for_one, intensity => 5, period => 10},
          [#{id => quorate_member, start => {quorate_member, start_link, [Own]}, shutdown => 10000}
           || Own =/= none]
          ++ [#{id => quorate_journal, start => {quorate_journal, start_link, [Journal]}},
              #{id => quorate_sweeper, start => {quorate_sweeper, start_link, []}},
              #{id => quorate_sandbox_sup, type => supervisor, shutdown => infinity,
                start => {quorate_sandbox_sup, start_link, []}},
              #{id => quorate_agent, start => {quorate_agent, start_link, [Agent]},
                shutdown => ?HANDOVER_MS}]}}.

%% Internals

prepare(Settings) ->
    case is_alive() of
        true ->
            Defaults = #{data_dir => fun data_dir/1, host => fun host_address/1},
            find_program(check_tls(quorate_config:read(Settings, node(), Defaults)));
        false ->
            {error, "quorate: this node is not distributed; start it with a name and a cookie: "
                    "erl -sname NAME -setcookie COOKIE, or iex --sname NAME --cookie COOKIE"}
    end.

%% A node that speaks TLS cannot talk to a member that does not.
check_tls({ok, #{own := #{tls := none, name := Name}}} = Result) ->
    case init:get_argument(proto_dist) of
        {ok, [["inet6_tls"] | _]} -> missing_tls(Name);
        {ok, [["inet_tls"] | _]} -> missing_tls(Name);
        _ -> Result
    end;
check_tls(Result) ->
    Result.

missing_tls(Name) ->
    {error, lists:flatten(io_lib:format(
        "quorate: this node speaks TLS, its member ~ts has no certificate; set tls to "
        "#{cert_file, key_file, ca_file} (`quorate pki issue` makes them), or member to "
        "{existing, Nodes}", [Name]))}.

find_program({ok, #{own := #{} = Own} = Config}) ->
    case quorate_member:find_program(Own) of
        {ok, Program} -> {ok, Config#{own := Own#{daemon_path := Program}}};
        {error, Text} -> {error, Text}
    end;
find_program(Result) ->
    Result.

start_checked(Config) ->
    case started(supervisor:start_link({local, ?MODULE}, ?MODULE, Config)) of
        {ok, Pid} ->
            ok = quorate_agent:await_attached(?ATTACH_MS),
            {ok, Pid};
        {error, Reason} ->
            {error, Reason}
    end.

started({ok, Pid}) -> {ok, Pid};
started({error, {shutdown, {failed_to_start_child, _, {shutdown, Text}}}}) -> {error, Text};
started({error, Reason}) -> {error, Reason};
started(ignore) -> {error, ignore}.

own_name(none) -> undefined;
own_name(#{name := Name}) -> Name.

data_dir(Node) ->
    filename:join(filename:basedir(user_data, "quorate"), atom_to_list(Node)).

%% Where this node's host name leads is where other nodes look for a member
%% that has the same one.
host_address(Host) ->
    case inet:getaddr(Host, inet) of
        {ok, Address} -> inet:ntoa(Address);
        {error, _} -> "127.0.0.1"
    end.
