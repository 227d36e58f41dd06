%% SPDX-License-Identifier: Apache-2.0
%% The settings of the application.
-module(quorate_config_SUITE).

-include_lib("stdlib/include/assert.hrl").

-export([all/0]).
-export([nothing_set_gives_an_embedded_member/1, existing_members_start_no_program/1,
         supervised_settings_go_before_the_others/1, voters_become_arguments/1,
         certificates_become_arguments/1, members_to_join_become_arguments/1,
         addresses_are_written_as_the_member_reads_them/1, mistakes_are_one_line/1]).

-define(NODE, 'w1@127.0.0.1').
-define(JOURNAL, #{dir => {dir_of, ?NODE}, size => 16777216}).

all() ->
    [Name || {Name, 1} <- ?MODULE:module_info(exports), Name =/= module_info].

read(Settings) ->
    quorate_config:read(Settings, ?NODE, #{data_dir => fun(Node) -> {dir_of, Node} end,
                                           host => fun(Host) -> Host end}).

nothing_set_gives_an_embedded_member(_) ->
    ?assertEqual({ok, #{own => #{name => 'quorate-w1@127.0.0.1', data_dir => {dir_of, ?NODE},
                                 listen => {"127.0.0.1", 0}, members => [], join => [],
                                 daemon_path => undefined, tls => none},
                        others => [], capacity => #{}, journal => ?JOURNAL}},
                 read([])).

existing_members_start_no_program(_) ->
    ?assertEqual({ok, #{own => none, others => ['q1@h', 'q2@h'], capacity => #{cpu => 1},
                        journal => ?JOURNAL}},
                 read([{member, {existing, ['q1@h', 'q2@h']}}, {capacity, #{cpu => 1}}])).

supervised_settings_go_before_the_others(_) ->
    {ok, #{own := Own}} = read([{data_dir, "/a"}, {member, {supervised, #{data_dir => "/b"}}}]),
    ?assertMatch(#{data_dir := "/b"}, Own).

voters_become_arguments(_) ->
    {ok, #{own := Own, others := Others}} =
        read([{name, 'q1@h'}, {data_dir, "/d"},
              {members, [{'q1@h', {"h1", 4370}}, {'q2@h', {"h2", 4371}}]}]),
    ?assertEqual(['q2@h'], Others),
    ?assertEqual(["start", "--supervised", "--name", "q1@h", "--data-dir", "/d",
                  "--listen", "h1:4370", "--member", "q1@h=h1:4370", "--member", "q2@h=h2:4371"],
                 quorate_config:arguments(Own)).

members_to_join_become_arguments(_) ->
    Join = [{'q1@h', {"h1", 4370}}],
    Own = [{name, 'q9@h'}, {data_dir, "/d"}, {listen, {"h9", 4370}}],
    {ok, #{own := #{} = Member, others := ['q1@h']}} = read([{join, Join} | Own]),
    ?assertEqual(["start", "--supervised", "--name", "q9@h", "--data-dir", "/d",
                  "--listen", "h9:4370", "--join", "q1@h=h1:4370"],
                 quorate_config:arguments(Member)),
    ?assertMatch({error, "quorate: join names the own member" ++ _},
                 read([{join, [{'q9@h', {"h", 1}}]} | Own])),
    ?assertMatch({error, "quorate: members are the first voters" ++ _},
                 read([{join, Join}, {members, [{'q9@h', {"h", 1}}]} | Own])),
    ?assertMatch({error, "quorate: join has {Name, {Address, Port}}" ++ _},
                 read([{join, [q1]} | Own])).

certificates_become_arguments(_) ->
    Tls = #{cert_file => "c", key_file => "k", ca_file => "a"},
    Verify = fun(Settings) ->
        {ok, #{own := Own}} = read([{data_dir, "/d"}, {tls, Settings}]),
        lists:nthtail(8, quorate_config:arguments(Own))
    end,
    Files = ["--tls-cert-file", "c", "--tls-key-file", "k", "--tls-ca-file", "a", "--verify-name"],
    ?assertEqual(Files ++ ["strict"], Verify(Tls)),
    ?assertEqual(Files ++ ["off"], Verify(Tls#{verify_name => off})).

addresses_are_written_as_the_member_reads_them(_) ->
    [?assertEqual(Text, lists:nth(8, arguments(Address)))
     || {Address, Text} <- [{{{127, 0, 0, 1}, 1}, "127.0.0.1:1"},
                            {{{0, 0, 0, 0, 0, 0, 0, 1}, 2}, "[::1]:2"},
                            {{<<"host">>, 0}, "host:0"}]].

arguments(Address) ->
    {ok, #{own := Own}} = read([{listen, Address}, {data_dir, "/d"}]),
    quorate_config:arguments(Own).

mistakes_are_one_line(_) ->
    [begin
         {error, Text} = read(Settings),
         ?assertMatch("quorate: " ++ _, Text),
         ?assertNot(lists:member($\n, Text))
     end || Settings <- [[{tls, #{cert_file => "c"}}], [{tls, yes}], [{tls, #{file => "c"}}],
                         [{tls, #{cert_file => "c", key_file => k, ca_file => "a"}}],
                         [{tls, #{cert_file => "c", key_file => "k", ca_file => "a",
                                  verify_name => true}}],
                         [{memmber, embedded}], [{member, often}], [{member, {existing, ["q"]}}],
                         [{listen, "x"}], [{data_dir, 1}], [{capacity, #{cpu => -1}}],
                         [{capacity, #{gpu => 1}}], [{members, [q]}], [{members, q}],
                         [{members, [{'q2@h', {"h", 1}}]}], [{member, {supervised, #{x => 1}}}]]].
