#!/usr/bin/env escript
%% -*- erlang -*-
%%! -start_epmd false -kernel dist_auto_connect never
%% SPDX-License-Identifier: Apache-2.0
%%
%% Writes what term_to_binary of this Erlang makes of a fixed list of terms:
%%
%%     test/vectors/record.escript [Folder]
%%
%% gives Folder/otpNN-NAME.etf, one external term each, and the index
%% Folder/otpNN.index with a line "File Expectation Term" for each:
%%
%%   exact    read and written again, it gives the same bytes
%%   value    the same value, but our writer chooses other bytes
%%   refused  a member does not take it
%%
%% The numbers in pids, ports and references of this node differ from run to
%% run; everything else is the same each time on the same release.
-module(record).
-mode(compile).

main([]) ->
    main([filename:dirname(escript:script_name())]);
main([Folder]) ->
    {ok, _} = net_kernel:start('vectors@localhost', #{name_domain => longnames,
                                                      dist_listen => false,
                                                      hidden => true}),
    Release = "otp" ++ erlang:system_info(otp_release),
    Lines = [record(Folder, Release, Vector) || Vector <- vectors()],
    Index = filename:join(Folder, Release ++ ".index"),
    ok = file:write_file(Index, unicode:characters_to_binary(Lines)),
    io:format("~b vectors~n", [length(Lines)]).

record(Folder, Release, {Name, Expectation, Term, Options}) ->
    File = lists:concat([Release, "-", Name, ".etf"]),
    ok = file:write_file(filename:join(Folder, File), term_to_binary(Term, Options)),
    Text = string:slice(io_lib:format("~0tP", [Term, 12]), 0, 80),
    [File, " ", atom_to_list(Expectation), " ", Text, "\n"].

vectors() ->
    [{Name, Expectation, Term, [{minor_version, 2}]} || {Name, Expectation, Term} <- terms()]
        ++ [{"latin1_" ++ Name, Expectation, Term, [{minor_version, 1}]}
            || {Name, Expectation, Term} <- latin1_terms()]
        ++ [{"compressed", refused, lists:duplicate(1000, a), [compressed]}].

terms() ->
    atoms() ++ integers() ++ floats() ++ binaries() ++ lists() ++ tuples() ++ maps()
        ++ identifiers() ++ funs() ++ messages().

%% minor_version 1 writes atoms as Latin-1 if it can, as OTP up to 25 does.
latin1_terms() ->
    [{"atom", value, ok},
     {"atom_e", exact, 'caf\x{e9}'},
     {"atom_long", value, list_to_atom(lists:duplicate(255, $a))},
     {"tuple", value, {ok, #{a => [b, c]}, 'caf\x{e9}'}},
     {"pid", value, self()},
     {"export", exact, fun lists:map/2}].

atoms() ->
    [{"atom", exact, hello},
     {"atom_empty", exact, ''},
     {"atom_true", exact, true},
     {"atom_false", exact, false},
     {"atom_two_bytes", exact, 'caf\x{e9}'},
     {"atom_three_bytes", exact, '\x{65e5}\x{672c}'},
     {"atom_four_bytes", exact, '\x{1f600}'},
     {"atom_255_ascii", exact, list_to_atom(lists:duplicate(255, $a))},
     {"atom_255_two_bytes", exact, list_to_atom(lists:duplicate(255, 16#e9))},
     {"atom_255_four_bytes", exact, list_to_atom(lists:duplicate(255, 16#1f600))}].

%% erl_interface writes what is beyond 28 bits as a big number.
integers() ->
    [{"int_0", exact, 0},
     {"int_255", exact, 255},
     {"int_256", exact, 256},
     {"int_minus_1", exact, -1},
     {"int_27_bits", exact, (1 bsl 27) - 1},
     {"int_minus_27_bits", exact, -(1 bsl 27)},
     {"int_28_bits", value, 1 bsl 27},
     {"int_31_bits", value, (1 bsl 31) - 1},
     {"int_minus_31_bits", value, -(1 bsl 31)},
     {"int_32_bits", exact, 1 bsl 31},
     {"int_minus_32_bits", exact, -(1 bsl 31) - 1},
     {"int_63_bits", exact, (1 bsl 63) - 1},
     {"int_minus_63_bits", exact, -(1 bsl 63)},
     {"int_64_bits", exact, (1 bsl 64) - 1},
     {"big_minus_64_bits", exact, -(1 bsl 63) - 1},
     {"big_65_bits", exact, 1 bsl 64},
     {"big_255_bytes", exact, (1 bsl (8 * 255)) - 1},
     {"big_256_bytes", exact, 1 bsl (8 * 255)},
     {"big_minus_1000_bytes", exact, -(1 bsl (8 * 999))}].

floats() ->
    [{"float_0", exact, 0.0},
     {"float_minus_0", exact, -0.0},
     {"float_1_5", exact, 1.5},
     {"float_least", exact, 5.0e-324},
     {"float_greatest", exact, 1.7976931348623157e308},
     {"float_pi", exact, math:pi()}].

binaries() ->
    [{"binary_empty", exact, <<>>},
     {"binary", exact, <<"sandbox-1">>},
     {"binary_1000", exact, binary:copy(<<0, 255>>, 500)},
     {"bits_1", exact, <<1:1>>},
     {"bits_7", exact, <<127:7>>},
     {"bits_13", exact, <<"a", 5:5>>}].

lists() ->
    [{"nil", exact, []},
     {"string", exact, "hello"},
     {"string_bytes", exact, lists:seq(0, 255)},
     {"string_1000", exact, lists:duplicate(1000, $x)},
     {"list", exact, [a, 1, <<"b">>]},
     {"list_wide_characters", exact, [16#65e5, 16#672c]},
     {"list_of_strings", exact, ["a", "b", [], "c"]},
     {"list_improper", exact, [a | b]},
     {"list_improper_binary", exact, [[<<"io">>, $l] | <<"ist">>]},
     {"list_deep", exact, nest(200, [])},
     {"list_300", exact, [N * 300 || N <- lists:seq(1, 300)]}].

tuples() ->
    [{"tuple_empty", exact, {}},
     {"tuple", exact, {ok, 1}},
     {"tuple_nested", exact, {{{}, {1}}, {{2, 3}, {{4}}}}},
     {"tuple_255", exact, list_to_tuple(lists:seq(1, 255))},
     {"tuple_256", exact, list_to_tuple(lists:seq(1, 256))}].

maps() ->
    [{"map_empty", exact, #{}},
     {"map", exact, #{id => <<"a">>, rf => 3}},
     {"map_mixed_keys", exact, #{1 => a, 1.0 => b, <<"k">> => c, [d] => e, {f} => #{}}},
     {"map_nested", exact, #{a => #{b => #{c => [#{d => {}}]}}}},
     {"map_100", exact, maps:from_list([{N, integer_to_binary(N)} || N <- lists:seq(1, 100)])}].

identifiers() ->
    [{"pid", exact, self()},
     {"pid_wide", exact, foreign_pid(16#fffffff0, 16#fffffff1, 16#fffffff2)},
     {"port", exact, hd(erlang:ports())},
     {"port_small", exact, foreign_port(4711)},
     {"port_wide", exact, foreign_port(16#123456789abcdef)},
     {"ref", exact, make_ref()},
     {"ref_alias", exact, erlang:alias()},
     {"ref_words_1", exact, foreign_ref([1])},
     {"ref_words_2", exact, foreign_ref([1, 2])},
     {"ref_words_5", exact, foreign_ref([1, 2, 3, 16#fffffffe, 16#ffffffff])}].

funs() ->
    Word = <<"word">>,
    Inner = fun(X) -> {X, Word} end,
    [{"export", exact, fun lists:map/2},
     {"export_foreign", exact, fun 'Elixir.Quorate':status/0},
     {"fun", exact, fun(X) -> X end},
     {"fun_free", exact, Inner},
     {"fun_in_fun", exact, fun(X) -> [Inner(X), Word] end},
     {"list_of_funs", exact, [Inner, Inner]}].

%% What travels between virtual machines and a member.
messages() ->
    Pid = self(),
    Alias = erlang:monitor(process, Pid, [{alias, explicit_unalias}]),
    [{"gen_call", exact, {'$gen_call', {Pid, [alias | Alias]}, {quorate, status, []}}},
     {"gen_cast", exact, {'$gen_cast', {quorate, version, []}}},
     {"spawn_request", exact, {29, Alias, Pid, group_leader(), {erpc, execute_call, 4}, [monitor]}},
     {"execute_call", exact, [Alias, quorate, create_sandbox,
                              [<<"id">>, #{start => {m, f, [1, 2]}}, #{rf => 3}]]},
     {"reply_undef", exact, {Alias, error, undef, [{m, f, [], []}]}},
     {"rex_call", exact, {Pid, {call, m, f, [], Pid}}},
     {"member", exact, {quorate, 1, append, {1, 2, [<<1, 2, 3>>]}}},
     {"everything", exact, {Pid, Alias, #{"s" => [1.5, -1 | tail]}, <<3:2>>, fun m:f/3, "text",
                            [{}], (1 bsl 90)}}].

nest(0, Term) ->
    Term;
nest(N, Term) ->
    nest(N - 1, [Term]).

%% Identifiers as other nodes may make them.
foreign_pid(Id, Serial, Creation) ->
    binary_to_term(<<131, 88, (node_atom())/binary, Id:32, Serial:32, Creation:32>>).

foreign_port(Id) ->
    binary_to_term(<<131, 120, (node_atom())/binary, Id:64, 4242:32>>).

foreign_ref(Words) ->
    binary_to_term(<<131, 90, (length(Words)):16, (node_atom())/binary, 4242:32,
                     << <<Word:32>> || Word <- Words >>/binary>>).

node_atom() ->
    <<119, 13, "worker@host.b">>.
