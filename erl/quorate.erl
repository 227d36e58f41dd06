%% SPDX-License-Identifier: Apache-2.0
%% @doc Sandboxes with one owner and a state that survives: what users call.
%%
%% A sandbox is a child specification under an id. Quorate runs it on one of
%% the worker nodes, never on two at once, and starts it again elsewhere with
%% its last acknowledged state when that node is gone:
%%
%% ```
%%   {ok, _} = quorate:create_sandbox(<<"alice">>, {counter, start_link, [1]}).
%% '''
%%
%% `counter:start_link(1, Context)' is called on the chosen node, with
%% `Context' as {@link context()}. From inside, `quorate:replicate_state(State)'
%% saves the state; the answer `{ok, _}' means that a majority has it on disk.
%%
%% Every function answers within its deadline: 5 seconds, or `timeout' in the
%% options. Errors are `{error, Reason}' with the reasons of {@link reason()}.
-module(quorate).
-compile({no_auto_import, [whereis/1]}).

-export([version/0, status/0, status/1, members/0, workers/0]).
-export([create_sandbox/2, create_sandbox/3, stop_sandbox/1]).
-export([sandbox/1, sandbox/2, sandboxes/0, sandboxes/1]).
-export([replicate_state/1, replicate_state/2, replicate_state/3,
         replicate_state/4, recover_state/1, recover_state/2, get_state/1,
         delete_state/2, replicas/1]).
-export([epoch/0, sandbox_id/0, check_epoch/2]).
-export([register_name/2, whereis_name/1, unregister_name/1, send/2]).
-export([register/3, unregister/2, whereis/1, whereis/2, lookup/1, lookup/2,
         names/0, names/1]).
-export([execute_with_quorum/1, execute_with_quorum/2, token/1]).
-export([has_quorum/0, token/0, detect_partition/0, partition_report/0,
         expected_nodes/0, set_expected_nodes/1, subscribe/2, unsubscribe/1]).
-export([conflicts/0, copies/1, copy/2, restore_copy/2, restore_copy/3, discard_copy/2,
         resolve_duplicate_sandboxes/1]).
-export([select_optimal_node/1, select/2]).
-export([add_member/2, remove_member/1, remove_member/2]).
-export([transfer_leadership/1, transfer_leadership/2]).
-export([child_spec/1, start_link/1]).

-export_type([id/0, any_id/0, epoch/0, version/0, context/0, sandbox/0,
              status/0, read_options/0, resources/0, options/0, spec/0, reason/0, result/1,
              name/0, entry/0, conflict/0]).

-define(TIMEOUT_MS, 5000).
-define(MEMBERS_TIMEOUT_MS, 60000).

-type id() :: <<_:8, _:_*8>>.
%% 1 to 255 bytes.
-type any_id() :: id() | atom() | string().
%% Ids may be given as atoms or strings, and come back as binaries.
-type epoch() :: non_neg_integer().
%% The fencing token of one ownership: it grows and never repeats.
-type version() :: {epoch(), Seq :: non_neg_integer()}.
-type context() :: #{id := id(), epoch := epoch(),
                     state := undefined | {ok, term()},
                     version := version() | undefined}.
%% What the start function of a sandbox gets as its last argument. `version'
%% is the version of the state, undefined if there is none.
-type read_options() :: #{consistency => local | linearizable, timeout => pos_integer()}.
-type status() :: starting | running | unplaced | stopping | {failed, term()} | provisional.
-type sandbox() :: #{id := id(), epoch := epoch(), status := status(),
                     worker := node() | undefined, pid := pid() | undefined}.
-type resources() :: #{cpu => non_neg_integer(), memory => non_neg_integer()}.
%% Thousandths of a core, and MiB.
-type options() :: #{resources => resources(), rf => 1..7, mode => strong | available,
                     durability => majority_disk, profile => spread,
                     priority => 0..9, timeout => pos_integer(),
                     conflict => quorate_conflict:policy(),
                     checkpoint => #{interval => pos_integer(),
                                     callback => {module(), atom()}},
                     restarts => #{max => non_neg_integer(), period => pos_integer()}}.
%% `restarts': how often within `period' ms a child that fails is started again
%% where it is, before another worker gets it; 3 in 5000 if not given.
-type spec() :: supervisor:child_spec() | #{start := mfargs(), _ => _} | mfargs().
-type mfargs() :: {module(), atom(), [term()]}.
-type conflict() :: #{copy := pos_integer(), id := id(), epoch := epoch(),
                      time := non_neg_integer(), size := non_neg_integer(),
                      status := kept | restoring, about := map() | undefined,
                      outcome := map() | undefined}.
%% `epoch' is the one under which the state was; `time' is Unix time, seconds.
-type name() :: term().
-type entry() :: #{name := name(), pid := pid(), epoch := epoch(), meta := term()}.
-type reason() :: no_quorum | no_member | timeout | not_found
                | {already_exists, sandbox() | pid()} | {stale_epoch, epoch()}
                | {stale_version, version()} | {start_failed, term()}
                | no_capacity | {no_capacity, map()} | busy | no_space
                | {badarg, term()} | forbidden
                | not_a_voter | not_up | not_taken_over
                | already_member | last_member | limit | unreachable | stalled | too_slow
                | {refused, other_cluster | lost_disk | unknown_member}
                | {holds_states, pos_integer()}.
-type result(Value) :: {ok, Value} | {error, reason()}.

%% @doc The version of the member.
-spec version() -> binary() | {error, reason()}.
version() -> read(quorate, version, []).

%% @doc How the member is and sees the cluster. It is as far as all that was
%% acknowledged before the call (`consistency => linearizable' in the answer)
%% or, without a majority, as far as it is (`consistency => local').
-spec status() -> map() | {error, reason()}.
status() -> read(quorate, status, []).

%% @doc The same; with `#{consistency => local}' without asking the others.
-spec status(read_options()) -> map() | {error, reason()}.
status(Options) -> read(quorate, status, [Options], Options).

%% @doc The members, and which of them are up.
-spec members() -> [map()] | {error, reason()}.
members() -> read(quorate, members, []).

%% @doc The worker nodes with their capacity and load.
-spec workers() -> [map()] | {error, reason()}.
workers() -> read(quorate, workers, []).

%% @equiv create_sandbox(Id, Spec, #{})
-spec create_sandbox(any_id(), spec()) -> result(sandbox()).
create_sandbox(Id, Spec) -> create_sandbox(Id, Spec, #{}).

%% @doc Creates a sandbox and waits until it runs. If one exists under this id,
%% wherever it was created, the answer is `{error, {already_exists, Sandbox}}'.
%% After `{error, timeout}' the outcome is unknown: {@link sandbox/1} tells.
%% Without a majority it is `{error, no_quorum}'; but one of mode `available' is
%% started all the same where a worker is there for it, with `status => provisional'
%% and `epoch => 0', until the cluster heals.
-spec create_sandbox(any_id(), spec(), options()) -> result(sandbox()).
create_sandbox(Id, Spec, Options) when is_map(Options) ->
    case quorate_spec:parse(Spec) of
        {ok, _} -> once(quorate, create_sandbox, [Id, Spec, Options], timeout(Options));
        {error, Reason} -> {error, {badarg, Reason}}
    end;
create_sandbox(_, _, _) ->
    {error, {badarg, options}}.

%% @doc Stops a sandbox and forgets it and its state.
-spec stop_sandbox(any_id()) -> ok | {error, reason()}.
stop_sandbox(Id) -> once(quorate, stop_sandbox, [Id], ?TIMEOUT_MS).

%% @doc The sandbox as the whole cluster sees it now (linearizable).
-spec sandbox(any_id()) -> result(sandbox()).
sandbox(Id) -> read(quorate, sandbox, [Id]).

%% @doc With `#{consistency => local}': as the member sees it, without asking
%% the others. The answer then has `consistency => local' and the
%% `applied_index' up to which it knows the log.
-spec sandbox(any_id(), read_options()) -> result(sandbox()).
sandbox(Id, Options) -> read(quorate, sandbox, [Id, Options], Options).

%% @doc The first 10,000 sandboxes in the order of their ids.
-spec sandboxes() -> [sandbox()] | {error, reason()}.
sandboxes() -> read(quorate, sandboxes, []).

%% @doc Up to `limit' sandboxes, those that follow the id `after', those of one
%% `worker'. As the member sees it, without asking the others, unless
%% `consistency' is `linearizable'.
-spec sandboxes(#{limit => pos_integer(), 'after' => any_id(), worker => node(),
                  consistency => local | linearizable, timeout => pos_integer()}) ->
          [sandbox()] | {error, reason()}.
sandboxes(Options) -> read(quorate, sandboxes, [Options], Options).

%% @doc Saves the state of the sandbox that the calling process belongs to.
-spec replicate_state(term()) -> result(map()).
replicate_state(State) -> replicate_state(State, #{}).

%% @doc The same with options.
-spec replicate_state(term(), #{timeout => pos_integer()}) -> result(map()).
replicate_state(State, Options) when is_map(Options) ->
    case quorate_local:context(group_leader()) of
        {ok, Id, Epoch} -> replicate_state(Id, Epoch, State, Options);
        error -> {error, {badarg, not_in_sandbox}}
    end;
replicate_state(_, _) ->
    {error, {badarg, options}}.

%% @equiv replicate_state(Id, Epoch, State, #{})
-spec replicate_state(any_id(), epoch(), term()) -> result(map()).
replicate_state(Id, Epoch, State) -> replicate_state(Id, Epoch, State, #{}).

%% @doc Saves the state of a sandbox. `{ok, _}' means that a majority of its
%% replicas has it on disk. On the owner's node the writes of an epoch are
%% numbered in the order of the calls; an older one never replaces a newer one.
-spec replicate_state(any_id(), epoch(), term(),
                      #{seq => pos_integer(), timeout => pos_integer()}) -> result(map()).
replicate_state(Id, Epoch, State, #{seq := _} = Options) ->
    repeatable(state_replicator, replicate_state, [Id, Epoch, State, Options],
               timeout(Options));
replicate_state(Id, Epoch, State, Options) when is_map(Options) ->
    case quorate_local:next_seq(Id, Epoch) of
        {ok, Seq} ->
            replicate_state(Id, Epoch, State, Options#{seq => Seq});
        error ->
            once(state_replicator, replicate_state, [Id, Epoch, State, Options],
                 timeout(Options))
    end;
replicate_state(_, _, _, _) ->
    {error, {badarg, options}}.

%% @doc The newest acknowledged state, from a majority of the replicas.
-spec recover_state(any_id()) -> {ok, term(), version()} | {error, reason()}.
recover_state(Id) -> recover_state(Id, ?TIMEOUT_MS).

%% @doc The same within a time.
-spec recover_state(any_id(), pos_integer()) -> {ok, term(), version()} | {error, reason()}.
recover_state(Id, Timeout) -> repeatable(state_replicator, recover_state, [Id], Timeout).

%% @doc The state as this member's own replica has it; it may be old.
-spec get_state(any_id()) -> {ok, term(), version()} | {error, reason()}.
get_state(Id) -> read(state_replicator, get_state, [Id]).

%% @doc Deletes the state, unless a newer epoch is known.
-spec delete_state(any_id(), epoch()) -> ok | {error, reason()}.
delete_state(Id, Epoch) -> repeatable(state_replicator, delete_state, [Id, Epoch], ?TIMEOUT_MS).

%% @doc The members that hold the state.
-spec replicas(any_id()) -> result([node()]).
replicas(Id) -> read(state_replicator, replicas, [Id]).

%% @doc The epoch of the sandbox that the calling process belongs to; an error
%% `not_in_sandbox' elsewhere.
-spec epoch() -> epoch().
epoch() ->
    {_, Epoch} = own_context(),
    Epoch.

%% @doc The id of the sandbox that the calling process belongs to.
-spec sandbox_id() -> id().
sandbox_id() ->
    {Id, _} = own_context(),
    Id.

%% @doc Whether an epoch is that of the present owner: the question of whoever
%% guards something that a stale owner must not touch.
-spec check_epoch(any_id(), epoch()) -> {ok, current} | {error, reason()}.
check_epoch(Id, Epoch) ->
    case sandbox(Id) of
        {ok, #{epoch := Epoch}} -> {ok, current};
        {ok, #{epoch := Current}} -> {error, {stale_epoch, Current}};
        {error, Reason} -> {error, Reason}
    end.

%% @doc Registers a process under a name that is unique in the cluster. For
%% `{via, quorate, Name}'. The name is free again when the process ends, and
%% the process is killed if its node loses its lease. `no' if the name is
%% taken, or if nothing can be said without a quorum.
-spec register_name(name(), pid()) -> yes | no.
register_name(Name, Pid) when is_pid(Pid) ->
    case register(Name, Pid, #{}) of
        {ok, _} -> yes;
        {error, _} -> no
    end.

%% @doc The process under a name, as the whole cluster sees it now. One of this node
%% that has ended is none: its name is about to be freed, and whoever starts it again
%% asks here first.
-spec whereis_name(name()) -> pid() | undefined.
whereis_name(Name) ->
    case whereis(Name) of
        {ok, Pid, _} -> quorate_naming:if_alive(Pid);
        {error, _} -> undefined
    end.

%% @doc Frees a name.
-spec unregister_name(name()) -> ok.
unregister_name(Name) ->
    case whereis(Name) of
        {ok, Pid, _} -> _ = unregister(Name, Pid), ok;
        {error, _} -> ok
    end.

%% @doc Sends a message to the process under a name, or exits with
%% `{badarg, {Name, Message}}'.
-spec send(name(), term()) -> pid().
send(Name, Message) ->
    case whereis_name(Name) of
        undefined -> exit({badarg, {Name, Message}});
        Pid -> Pid ! Message, Pid
    end.

%% @doc Registers a process; the epoch is its fencing token. The process must
%% live on a worker node, whose lease it depends on. `Meta', at most 16 KiB, is there
%% for {@link lookup/1}. The name of a process of this node that has ended is taken
%% over.
-spec register(name(), pid(), map()) ->
          result(epoch()) | {error, {badarg, not_a_worker | not_alive}}.
register(Name, Pid, Meta) when is_pid(Pid) -> quorate_naming:register(Name, Pid, Meta);
register(_, _, _) -> {error, {badarg, pid}}.

%% @doc Frees a name, if this process has it.
-spec unregister(name(), pid()) -> ok | {error, reason()}.
unregister(Name, Pid) when is_pid(Pid) -> quorate_naming:unregister(Name, Pid);
unregister(_, _) -> {error, {badarg, pid}}.

%% @doc The process under a name and its epoch.
-spec whereis(name()) -> {ok, pid(), epoch()} | {error, reason()}.
whereis(Name) -> read(consistency_manager, whereis, [Name]).

%% @doc With `#{consistency => local}': as the member sees it, without asking
%% the others.
-spec whereis(name(), read_options()) -> {ok, pid(), epoch()} | {error, reason()}.
whereis(Name, Options) -> read(consistency_manager, whereis, [Name, Options], Options).

%% @doc The process under a name, with what was given with it.
-spec lookup(name()) -> result(entry()).
lookup(Name) -> read(consistency_manager, lookup, [Name]).

%% @doc With `#{consistency => local}': as the member sees it.
-spec lookup(name(), read_options()) -> result(entry()).
lookup(Name, Options) -> read(consistency_manager, lookup, [Name, Options], Options).

%% @doc The first 10,000 names in the order of their external form.
-spec names() -> [entry()] | {error, reason()}.
names() -> read(consistency_manager, names, []).

%% @doc Up to `limit' names, those that follow the name `after', those of one
%% `worker'.
-spec names(#{limit => pos_integer(), 'after' => name(), worker => node(),
              consistency => local | linearizable, timeout => pos_integer()}) ->
          [entry()] | {error, reason()}.
names(Options) -> read(consistency_manager, names, [Options], Options).

%% @doc Whether the member that we talk to has a majority with it.
-spec has_quorum() -> boolean().
has_quorum() -> read(quorum_manager, has_quorum, []) =:= true.

%% @doc A fencing token from a linearizable read.
-spec token() -> result(non_neg_integer()).
token() -> read(quorum_manager, token, []).

%% @doc With `#{required => K}': `{error, {too_few_members, Up}}' if the member
%% reaches fewer than K members, itself included.
-spec token(#{required => pos_integer(), timeout => pos_integer()}) ->
          result(non_neg_integer()) | {error, quorate_quorum:failure()}.
token(Options) -> read(quorum_manager, token, [Options], Options).

%% @equiv execute_with_quorum(Work, #{})
-spec execute_with_quorum(quorate_quorum:work()) ->
          {ok, term(), Token :: non_neg_integer()}
        | {error, reason() | quorate_quorum:failure()}.
execute_with_quorum(Work) -> execute_with_quorum(Work, #{}).

%% @doc Runs a function, `{M, F, Args}' or a fun, once a majority has said that it
%% is one; not at all otherwise. It runs in a process of its own, here or on
%% `node'. Its token is for whoever must know a late effect from a newer one: the
%% quorum may be lost while it runs. After `{error, timeout}' it may have run, or
%% still do so. How it failed: `{exception, error | exit | throw, Reason}'.
-spec execute_with_quorum(quorate_quorum:work(), quorate_quorum:options()) ->
          {ok, term(), Token :: non_neg_integer()}
        | {error, reason() | quorate_quorum:failure()}.
execute_with_quorum(Work, Options) -> quorate_quorum:execute(Work, Options).

%% @doc How much of what should be there is missing.
-spec detect_partition() ->
          no_partition | minor_partition | major_partition | {error, reason()}.
detect_partition() -> read(partition_detector, detect_partition, []).

%% @doc The verdict, with who is expected and missing, the groups that reach one
%% another, round-trip times, and how long sandboxes go on without a quorum.
-spec partition_report() -> map() | {error, reason()}.
partition_report() -> read(partition_detector, partition_report, []).

%% @doc The nodes that should be there.
-spec expected_nodes() -> [node()] | {error, reason()}.
expected_nodes() -> read(partition_detector, expected_nodes, []).

%% @doc Names nodes that should be there besides the members and the workers that
%% have a lease: those of them that are away count as missing. They replace the
%% ones that were named before. Kept by the member that this node talks to, until
%% it is started again.
-spec set_expected_nodes([node()]) -> ok | {error, reason()}.
set_expected_nodes(Nodes) ->
    repeatable(partition_detector, set_expected_nodes, [Nodes], ?TIMEOUT_MS).

%% @doc Sends a process `{quorate, partition, Report}' when something is missing
%% and at each change of that, and `{quorate, healed, Report}' when nothing is any
%% more. A partition that is there is told at once. The subscription is one with
%% the member `node(Reference)', and ends with the process or with the connection
%% to that member, which `erlang:monitor(process, {quorate, node(Reference)})'
%% tells of.
-spec subscribe(partition, pid()) -> result(reference()).
subscribe(Topic, Pid) -> once(quorate, subscribe, [Topic, Pid], ?TIMEOUT_MS).

%% @doc Ends a subscription.
-spec unsubscribe(reference()) -> ok | {error, reason()}.
unsubscribe(Reference) when is_reference(Reference) ->
    quorate_call:at(node(Reference), quorate, unsubscribe, [Reference], ?TIMEOUT_MS);
unsubscribe(_) ->
    {error, {badarg, reference}}.

%% @doc What was kept of sandboxes that ran twice, the oldest first.
-spec conflicts() -> [conflict()] | {error, reason()}.
conflicts() -> read(conflict_resolver, conflicts, []).

%% @doc The same of one sandbox.
-spec copies(any_id()) -> [conflict()] | {error, reason()}.
copies(Id) -> read(conflict_resolver, copies, [Id]).

%% @doc The state in a conflict copy; `undefined' if there was none to be had.
-spec copy(any_id(), pos_integer()) -> {ok, term(), version()} | {error, reason()}.
copy(Id, Copy) -> repeatable(conflict_resolver, copy, [Id, Copy], ?TIMEOUT_MS).

%% @doc The sandbox ends, and starts anew, under a new epoch, with the state of
%% the copy; what it had before becomes a copy. The answer comes when it runs.
-spec restore_copy(any_id(), pos_integer()) -> result(sandbox()).
restore_copy(Id, Copy) -> restore_copy(Id, Copy, #{}).

%% @doc With `#{how => resolve}': the callback of the sandbox says with what.
-spec restore_copy(any_id(), pos_integer(),
                   #{how => take | resolve, timeout => pos_integer()}) -> result(sandbox()).
restore_copy(Id, Copy, Options) when is_map(Options) ->
    once(conflict_resolver, restore_copy, [Id, Copy, Options], timeout(Options));
restore_copy(_, _, _) ->
    {error, {badarg, options}}.

-spec discard_copy(any_id(), pos_integer()) -> ok | {error, reason()}.
discard_copy(Id, Copy) -> once(conflict_resolver, discard_copy, [Id, Copy], ?TIMEOUT_MS).

%% @doc Every attached worker is to say whether it runs this sandbox; what does
%% not own it is dealt with as when it attaches. Does not wait for that.
-spec resolve_duplicate_sandboxes(any_id()) -> ok | {error, reason()}.
resolve_duplicate_sandboxes(Id) ->
    repeatable(conflict_resolver, resolve_duplicate_sandboxes, [Id], ?TIMEOUT_MS).

%% @doc The worker that a sandbox with these needs would go to.
-spec select_optimal_node(resources()) -> result(node()).
select_optimal_node(Resources) -> read(node_selector, select_optimal_node, [Resources]).

%% @doc The same, with the score of every candidate.
-spec select(resources(), #{profile => atom(), timeout => pos_integer()}) -> result(map()).
select(Resources, Options) -> read(node_selector, select, [Resources, Options], Options).

%% @doc Adds a member that was started with `--join' and waits: it gets the log,
%% then a vote. The answer has all voters. Nothing stands still meanwhile. After
%% `{error, timeout}' the outcome is unknown: {@link members/0} tells.
-spec add_member(node(), #{address := string() | binary(), timeout => pos_integer()}) ->
          result([node()]).
add_member(Member, #{} = Options) ->
    once(quorum_manager, add_member, [Member, Options],
         maps:get(timeout, Options, ?MEMBERS_TIMEOUT_MS));
add_member(_, _) ->
    {error, {badarg, options}}.

%% @equiv transfer_leadership(Member, #{})
-spec transfer_leadership(node()) -> result(node()).
transfer_leadership(Member) -> transfer_leadership(Member, #{}).

%% @doc Makes a voter the leader, and waits until it is. Nothing that was
%% acknowledged is lost; calls wait a moment. `{error, not_taken_over}': it did
%% not come about, and another one leads, mostly the one from before.
-spec transfer_leadership(node(), #{timeout => pos_integer()}) -> result(node()).
transfer_leadership(Member, #{} = Options) ->
    once(quorum_manager, transfer_leadership, [Member, Options],
         maps:get(timeout, Options, ?MEMBERS_TIMEOUT_MS));
transfer_leadership(_, _) ->
    {error, {badarg, options}}.

%% @equiv remove_member(Member, #{})
-spec remove_member(node()) -> result([node()]).
remove_member(Member) -> remove_member(Member, #{}).

%% @doc Removes a member, running or lost. The answer has the voters that are
%% left.
-spec remove_member(node(), #{timeout => pos_integer()}) -> result([node()]).
remove_member(Member, #{} = Options) ->
    once(quorum_manager, remove_member, [Member, Options],
         maps:get(timeout, Options, ?MEMBERS_TIMEOUT_MS));
remove_member(_, _) ->
    {error, {badarg, options}}.

%% @doc For a supervisor of yours, when the application `quorate' has
%% `autostart' set to false: the same settings as in its environment.
-spec child_spec([{atom(), term()}]) -> supervisor:child_spec().
child_spec(Settings) ->
    #{id => ?MODULE, start => {?MODULE, start_link, [Settings]}, type => supervisor,
      shutdown => infinity}.

%% @doc Starts a member as configured, and attaches this node as a worker.
-spec start_link([{atom(), term()}]) -> {ok, pid()} | {error, term()}.
start_link(Settings) -> quorate_sup:start_link(Settings).

%% Internals

read(Module, Function, Args) -> repeatable(Module, Function, Args, ?TIMEOUT_MS).

read(Module, Function, Args, Options) -> repeatable(Module, Function, Args, timeout(Options)).

repeatable(Module, Function, Args, Timeout) ->
    quorate_call:repeatable(Module, Function, Args, Timeout).

once(Module, Function, Args, Timeout) ->
    quorate_call:once(Module, Function, Args, Timeout).

timeout(#{timeout := Timeout}) -> Timeout;
timeout(_) -> ?TIMEOUT_MS.

own_context() ->
    case quorate_local:context(group_leader()) of
        {ok, Id, Epoch} -> {Id, Epoch};
        error -> error(not_in_sandbox)
    end.
