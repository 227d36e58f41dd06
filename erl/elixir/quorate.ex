# SPDX-License-Identifier: Apache-2.0
defmodule Quorate do
  @moduledoc """
  Sandboxes with one owner and a state that survives.

  A *sandbox* is a child specification under an id: the supervision tree of one
  user, tenant or session. Quorate runs it on one of the worker nodes, never on
  two at once, and starts it again elsewhere with its last acknowledged state
  when that node is gone.

      defmodule MyApp.Counter do
        use GenServer

        # The last argument is the context: id, epoch, state and version.
        def start_link(first, context) do
          GenServer.start_link(__MODULE__, {first, context})
        end

        def init({_first, %{state: {:ok, count}}}), do: {:ok, count}
        def init({first, %{state: :undefined}}), do: {:ok, first}

        def handle_call(:next, _from, count) do
          {:ok, _} = Quorate.replicate_state(count + 1)
          {:reply, count + 1, count + 1}
        end
      end

      iex> {:ok, sandbox} = Quorate.create_sandbox("alice", {MyApp.Counter, 41})
      iex> GenServer.call(sandbox.pid, :next)
      42
      iex> {:error, {:already_exists, same}} = Quorate.create_sandbox("alice", {MyApp.Counter, 0})
      iex> same.epoch == sandbox.epoch
      true
      iex> {:ok, 42, _version} = Quorate.recover_state("alice")
      iex> Quorate.stop_sandbox("alice")
      :ok

  Plain processes can have a name that is unique in the cluster:

      iex> {:ok, pid} = Agent.start(fn -> :here end, name: {:via, Quorate, :where})
      iex> Agent.get({:via, Quorate, :where}, & &1)
      :here
      iex> Agent.stop(pid)
      :ok

  Every function answers within its deadline: 5 seconds, or `:timeout` in its
  options, which may be a map or a keyword list. Nothing is ever done twice, or
  half, in silence: without a majority the answer is `{:error, :no_quorum}`.

  With no configuration, starting the application on a distributed node starts
  a member beside it. To have it under a supervisor of yours instead, set
  `config :quorate, autostart: false` and see `child_spec/1`.
  """
  import Kernel, except: [send: 2]

  @type id :: :quorate.any_id()
  @type epoch :: :quorate.epoch()
  @type version :: :quorate.version()
  @type sandbox :: :quorate.sandbox()
  @type reason :: :quorate.reason()
  @typedoc "What the start function of a sandbox gets as its last argument."
  @type context :: :quorate.context()
  @typedoc "A child specification in any form that supervisors take, or an MFA."
  @type spec :: :quorate.spec() | Supervisor.child_spec() | module() | {module(), term()}
  @type options :: map() | keyword()

  @doc """
  A child specification for a supervisor of yours.

  The settings are those of the application's environment.

      iex> Quorate.child_spec(data_dir: "/var/lib/my_app").type
      :supervisor
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(settings) do
    %{
      :quorate.child_spec(settings)
      | id: __MODULE__,
        start: {__MODULE__, :start_link, [settings]}
    }
  end

  @doc "Starts a member as configured, and attaches this node as a worker."
  @spec start_link(keyword()) :: {:ok, pid()} | {:error, term()}
  defdelegate start_link(settings \\ []), to: :quorate

  @doc """
  The version of the member.

      iex> Quorate.version() =~ ~r/^\\d+\\.\\d+\\.\\d+$/
      true
  """
  @spec version() :: binary() | {:error, reason()}
  defdelegate version(), to: :quorate

  @doc """
  How the member is and sees the cluster.

  It knows all that was acknowledged before the call, and says so by
  `consistency: :linearizable`; without a majority, or with `consistency: :local`
  as an option, it tells what it knows, as `consistency: :local`.

      iex> Quorate.status().quorum
      true
      iex> Quorate.status(consistency: :local).consistency
      :local
  """
  @spec status() :: map() | {:error, reason()}
  defdelegate status(), to: :quorate

  @doc "The same with options: `:consistency`, `:timeout`."
  @spec status(options()) :: map() | {:error, reason()}
  def status(options), do: :quorate.status(Map.new(options))

  @doc """
  The members, and which of them are up.

      iex> Enum.map(Quorate.members(), & &1.role)
      [:leader]
  """
  @spec members() :: [map()] | {:error, reason()}
  defdelegate members(), to: :quorate

  @doc """
  The worker nodes with their capacity and load.

      iex> node() in Enum.map(Quorate.workers(), & &1.name)
      true
  """
  @spec workers() :: [map()] | {:error, reason()}
  defdelegate workers(), to: :quorate

  @doc """
  Creates a sandbox and waits until it runs.

  Options: `:resources` (`%{cpu: millicores, memory: mib}`), `:rf`, `:priority`,
  `:timeout`, and `:checkpoint` (`%{interval: ms, callback: {module, function}}`,
  both optional), with which its state is saved by itself whenever it changed, and
  `:restarts` (`%{max: n, period: ms}`, 3 in 5000): so often a child that fails is
  started again where it is, before another worker gets it.

  Without a majority the answer is `{:error, :no_quorum}`; but a sandbox with
  `mode: :available` is started all the same where a worker is there for it, with
  the status `:provisional` and the epoch 0, until the cluster heals.

      iex> {:ok, sandbox} = Quorate.create_sandbox("bob", {MyApp.Counter, 0}, timeout: 2000)
      iex> {sandbox.id, sandbox.status, sandbox.worker == node()}
      {"bob", :running, true}
      iex> Quorate.stop_sandbox("bob")
      :ok
  """
  @spec create_sandbox(id(), spec(), options()) :: {:ok, sandbox()} | {:error, reason()}
  def create_sandbox(id, spec, options \\ %{}) do
    :quorate.create_sandbox(id, child(spec), Map.new(options))
  end

  @doc """
  Stops a sandbox and forgets it and its state.

      iex> Quorate.stop_sandbox("nobody")
      {:error, :not_found}
  """
  @spec stop_sandbox(id()) :: :ok | {:error, reason()}
  defdelegate stop_sandbox(id), to: :quorate

  @doc """
  The sandbox as the whole cluster sees it now.

  With `consistency: :local` as the member sees it, without asking the others; the
  answer then has the `:applied_index` up to which that member knows the log.

      iex> Quorate.sandbox("nobody")
      {:error, :not_found}
      iex> Quorate.sandbox("nobody", consistency: :local)
      {:error, :not_found}
  """
  @spec sandbox(id(), options()) :: {:ok, sandbox()} | {:error, reason()}
  def sandbox(id, options \\ %{}), do: :quorate.sandbox(id, Map.new(options))

  @doc """
  The sandboxes in the order of their ids; `:limit`, `:after` and `:worker`.

      iex> {:ok, _} = Quorate.create_sandbox("carol", {MyApp.Counter, 0})
      iex> Enum.map(Quorate.sandboxes(limit: 1, after: "carl"), & &1.id)
      ["carol"]
      iex> Quorate.stop_sandbox("carol")
      :ok
  """
  @spec sandboxes(options()) :: [sandbox()] | {:error, reason()}
  def sandboxes(options \\ %{}), do: :quorate.sandboxes(Map.new(options))

  @doc """
  Saves the state of the sandbox that the calling process belongs to.

  `{:ok, _}` means that a majority of its replicas has it on disk.

      iex> Quorate.replicate_state(:nowhere)
      {:error, {:badarg, :not_in_sandbox}}
  """
  @spec replicate_state(term()) :: {:ok, map()} | {:error, reason()}
  defdelegate replicate_state(state), to: :quorate

  @doc "The same with options: `:timeout`."
  @spec replicate_state(term(), options()) :: {:ok, map()} | {:error, reason()}
  def replicate_state(state, options), do: :quorate.replicate_state(state, Map.new(options))

  @doc "Saves the state of a sandbox; see `Quorate.StateReplicator.replicate_state/4`."
  @spec replicate_state(id(), epoch(), term(), options()) :: {:ok, map()} | {:error, reason()}
  def replicate_state(id, epoch, state, options \\ %{}) do
    :quorate.replicate_state(id, epoch, state, Map.new(options))
  end

  @doc """
  The newest acknowledged state, from a majority of the replicas.

      iex> Quorate.recover_state("nobody")
      {:error, :not_found}
  """
  @spec recover_state(id()) :: {:ok, term(), version()} | {:error, reason()}
  defdelegate recover_state(id), to: :quorate

  @doc "The state as this member's own replica has it; it may be old."
  @spec get_state(id()) :: {:ok, term(), version()} | {:error, reason()}
  defdelegate get_state(id), to: :quorate

  @doc """
  The epoch of the sandbox that the calling process belongs to; raises elsewhere.

      iex> Quorate.epoch()
      ** (ErlangError) Erlang error: :not_in_sandbox
  """
  @spec epoch() :: epoch()
  defdelegate epoch(), to: :quorate

  @doc "The id of the sandbox that the calling process belongs to; raises elsewhere."
  @spec sandbox_id() :: binary()
  defdelegate sandbox_id(), to: :quorate

  @doc """
  Whether an epoch is that of the present owner.

      iex> {:ok, %{epoch: epoch}} = Quorate.create_sandbox("dave", {MyApp.Counter, 0})
      iex> Quorate.check_epoch("dave", epoch)
      {:ok, :current}
      iex> Quorate.check_epoch("dave", epoch - 1) == {:error, {:stale_epoch, epoch}}
      true
      iex> Quorate.stop_sandbox("dave")
      :ok
  """
  @spec check_epoch(id(), epoch()) :: {:ok, :current} | {:error, reason()}
  defdelegate check_epoch(id, epoch), to: :quorate

  @doc "Whether the member that we talk to has a majority with it."
  @spec has_quorum() :: boolean()
  defdelegate has_quorum(), to: :quorate

  @doc "Runs a function under a proven quorum; see `Quorate.QuorumManager`."
  @spec execute_with_quorum({module(), atom(), [term()]} | (() -> term()), options()) ::
          {:ok, term(), non_neg_integer()} | {:error, term()}
  def execute_with_quorum(work, options \\ %{}),
    do: :quorate.execute_with_quorum(work, Map.new(options))

  @doc "The worker that a sandbox with these needs would go to."
  @spec select_optimal_node(map()) :: {:ok, node()} | {:error, reason()}
  def select_optimal_node(resources \\ %{}), do: :quorate.select_optimal_node(resources)

  @doc """
  Adds a member that was started with `--join`; the answer has all voters.

  The `address` is a string `"HOST:PORT"` where the others reach it.
  """
  @spec add_member(node(), %{
          required(:address) => String.t(),
          optional(:timeout) => pos_integer()
        }) :: {:ok, [node()]} | {:error, reason()}
  defdelegate add_member(member, options), to: :quorate

  @doc "Removes a member, running or lost; the answer has the voters that are left."
  @spec remove_member(node(), %{optional(:timeout) => pos_integer()}) ::
          {:ok, [node()]} | {:error, reason()}
  def remove_member(member, options \\ %{}), do: :quorate.remove_member(member, options)

  @doc """
  Makes a voter the leader, and waits until it is.

      iex> Quorate.transfer_leadership(:"nobody@127.0.0.1")
      {:error, :not_found}
  """
  @spec transfer_leadership(node(), %{optional(:timeout) => pos_integer()}) ::
          {:ok, node()} | {:error, reason()}
  def transfer_leadership(member, options \\ %{}),
    do: :quorate.transfer_leadership(member, options)

  @doc """
  Registers a process; for `{:via, Quorate, name}`.

  The name is free again when the process ends. The process is killed if its
  node loses its lease, because somebody else may have the name then.

      iex> Quorate.register_name(:me, self())
      :yes
      iex> Quorate.whereis_name(:me) == self()
      true
      iex> Quorate.send(:me, :hello)
      iex> receive do: (message -> message)
      :hello
      iex> Quorate.unregister_name(:me)
      :ok
      iex> Quorate.whereis_name(:me)
      :undefined
  """
  @spec register_name(term(), pid()) :: :yes | :no
  defdelegate register_name(name, pid), to: :quorate

  @doc "The process under a name, as the whole cluster sees it now."
  @spec whereis_name(term()) :: pid() | :undefined
  defdelegate whereis_name(name), to: :quorate

  @doc "Frees a name."
  @spec unregister_name(term()) :: :ok
  defdelegate unregister_name(name), to: :quorate

  @doc "Sends a message to the process under a name; exits with `{:badarg, _}` if there is none."
  @spec send(term(), term()) :: pid()
  defdelegate send(name, message), to: :quorate

  # A module may say itself how it is started, as under any supervisor.
  defp child({module, function, args} = mfa)
       when is_atom(module) and is_atom(function) and is_list(args),
       do: mfa

  defp child(spec) when is_atom(spec) or tuple_size(spec) == 2,
    do: Supervisor.child_spec(spec, [])

  defp child(spec), do: spec

  @doc """
  Tells a process of partitions.

  It gets `{:quorate, :partition, report}` and `{:quorate, :healed, report}` until it
  ends, or the connection to the member that is `node(reference)`.

      iex> {:ok, reference} = Quorate.subscribe(:partition, self())
      iex> Quorate.unsubscribe(reference)
      :ok
  """
  @spec subscribe(:partition, pid()) :: {:ok, reference()} | {:error, reason()}
  defdelegate subscribe(topic, pid), to: :quorate

  @doc "Ends a subscription."
  @spec unsubscribe(reference()) :: :ok | {:error, reason()}
  defdelegate unsubscribe(reference), to: :quorate
end
