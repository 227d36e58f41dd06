# SPDX-License-Identifier: Apache-2.0
defmodule Quorate.Supervisor do
  @moduledoc """
  Sandboxes as children; the shapes of Elixir's `Supervisor` and `DynamicSupervisor`.

      {Quorate.Supervisor, name: MyApp.Users}

      iex> {:ok, _} = Quorate.Supervisor.start_link(name: MyApp.Users)
      iex> child = Supervisor.child_spec({MyApp.Counter, 41}, id: "alice")
      iex> {:ok, pid} = Quorate.Supervisor.start_child(MyApp.Users, child)
      iex> {:error, {:already_started, ^pid}} = Quorate.Supervisor.start_child(MyApp.Users, child)
      iex> GenServer.call({:via, Quorate.Supervisor, {MyApp.Users, "alice"}}, :next)
      42
      iex> Quorate.Supervisor.which_children(MyApp.Users) == [{"alice", pid, :worker, :dynamic}]
      true
      iex> Quorate.Supervisor.count_children(MyApp.Users)
      %{active: 1, specs: 1, supervisors: 0, workers: 1}
      iex> Quorate.Supervisor.terminate_child(MyApp.Users, "alice")
      :ok

  What is different: a child runs **once in the cluster**, whatever breaks, on any of the
  workers, and goes on with its acknowledged state when its node is gone. So it has an id,
  that of its specification, which is its own in the supervisor; every call asks a
  majority, and where none can be asked the answer is `{:error, :no_quorum}`. The start
  function gets the context (id, epoch, state, version) as one more argument at the end,
  unless the supervisor has `context: false`. A child is killed when its node loses its
  lease. One that crashes again and again moves to another worker, and then stays where it
  can be seen, failed; it never takes the supervisor with it.

  The process under the name holds the options, and no child: it is started on each node
  that calls `start_child/2`. Options: `:name`; `:max_restarts` and `:max_seconds`, which
  count for each child; `:extra_arguments`; `:context`; and those of
  `Quorate.create_sandbox/3`, for all children.

      defmodule MyApp.Tenants do
        use Quorate.Supervisor

        def start_link(arg), do: Quorate.Supervisor.start_link(__MODULE__, arg, name: __MODULE__)

        @impl true
        def init(_arg), do: Quorate.Supervisor.init(max_restarts: 5, priority: 7)
      end

  See `docs/moving.md`.
  """
  alias Quorate.Options

  @type name :: atom()
  @type child_id :: term()
  @type child :: {child_id(), pid() | :restarting | :undefined, :worker, :dynamic}
  @type reason :: :quorate_supervisor.reason()
  @typedoc "A child specification in any form that supervisors take."
  @type spec :: Supervisor.child_spec() | :supervisor.child_spec() | module() | {module(), term()}

  @doc "The options of the supervisor, as `init/1` gives them."
  @callback init(init_arg :: term()) :: {:ok, keyword()} | :ignore

  @doc false
  defmacro __using__(options) do
    quote location: :keep, bind_quoted: [options: options] do
      @behaviour Quorate.Supervisor

      @doc false
      def child_spec(arg) do
        Supervisor.child_spec(
          %{id: __MODULE__, start: {__MODULE__, :start_link, [arg]}},
          unquote(Macro.escape(options))
        )
      end

      defoverridable child_spec: 1
    end
  end

  @doc """
  A child specification for a supervisor.

      iex> Quorate.Supervisor.child_spec(name: MyApp.Rooms).id
      MyApp.Rooms
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options) do
    :ok = Options.check_name(options)
    %{id: options[:name], start: {__MODULE__, :start_link, [options]}}
  end

  @doc """
  Starts the process that holds the options.

      iex> Quorate.Supervisor.start_link(name: MyApp.Rooms, members: :auto)
      ** (ArgumentError) unknown option :members: who is in is said by `config :quorate`, and found by itself
  """
  @spec start_link(keyword()) :: {:ok, pid()} | {:error, term()}
  def start_link(options) do
    :ok = Options.check_name(options)

    case :quorate_supervisor.start_link(options) do
      {:error, {:badarg, what}} -> Options.explain(what)
      started -> started
    end
  end

  @doc "The same for a module with this behaviour."
  @spec start_link(module(), term(), keyword()) :: {:ok, pid()} | :ignore | {:error, term()}
  def start_link(module, init_arg, options) do
    case module.init(init_arg) do
      {:ok, given} -> start_link(Keyword.merge(given, options))
      :ignore -> :ignore
    end
  end

  @doc "For `init/1` of a module: `{:ok, options}`."
  @spec init(keyword()) :: {:ok, keyword()}
  def init(options) when is_list(options), do: {:ok, options}

  @doc """
  Starts a child on one of the workers, and waits until it runs.

  The options go before those of the supervisor. `:already_started`: a child has this id;
  `:already_present`: the same, and it is not running now. `{:start_failed, reason}`: it was
  tried on several workers, and stays visible as failed until it is terminated.

      iex> Quorate.Supervisor.start_child(MyApp.Users, %{start: {MyApp.Counter, :start_link, [0]}})
      {:error, {:badarg, :no_id}}
  """
  @spec start_child(name(), spec(), Quorate.options()) ::
          {:ok, pid()} | {:error, {:already_started, pid()} | :already_present | reason()}
  def start_child(supervisor, spec, options \\ %{}) do
    :quorate_supervisor.start_child(supervisor, child(spec), Map.new(options))
  end

  @doc """
  Stops a child, given by its id or its pid, and forgets it **and its state**.

      iex> Quorate.Supervisor.terminate_child(MyApp.Users, "nobody")
      {:error, :not_found}
  """
  @spec terminate_child(name(), child_id() | pid()) :: :ok | {:error, reason()}
  defdelegate terminate_child(supervisor, id_or_pid), to: :quorate_supervisor

  @doc """
  The children with their ids, wherever they run.

  In place of a pid: `:restarting`, it is being started or waits for a worker; `:undefined`,
  it failed to start.
  """
  @spec which_children(name()) :: [child()] | {:error, reason()}
  defdelegate which_children(supervisor), to: :quorate_supervisor

  @doc "How many there are; `:active` are those that have a process."
  @spec count_children(name()) :: map() | {:error, reason()}
  defdelegate count_children(supervisor), to: :quorate_supervisor

  @doc "The sandbox of a child: its epoch, status, worker and pid."
  @spec child(name(), child_id()) :: {:ok, Quorate.sandbox()} | {:error, reason()}
  defdelegate child(supervisor, id), to: :quorate_supervisor

  @doc """
  The process of a child and its epoch, the fencing token.

      iex> Quorate.Supervisor.whereis(MyApp.Users, "nobody")
      {:error, :not_found}
  """
  @spec whereis(name(), child_id()) ::
          {:ok, pid(), Quorate.epoch()} | {:error, :not_running | reason()}
  defdelegate whereis(supervisor, id), to: :quorate_supervisor

  @doc """
  The id of a child's sandbox, for the functions of `Quorate`.

      iex> Quorate.Supervisor.sandbox_id(MyApp.Users, "alice")
      {:ok, "Elixir.MyApp.Users/alice"}
  """
  @spec sandbox_id(name(), child_id()) :: {:ok, binary()} | {:error, reason()}
  defdelegate sandbox_id(supervisor, id), to: :quorate_supervisor

  @doc "For `{:via, Quorate.Supervisor, {supervisor, id}}`, to send and to call."
  @spec whereis_name({name(), child_id()}) :: pid() | :undefined
  defdelegate whereis_name(via), to: :quorate_supervisor

  @doc "For `:via`; exits with `{:badarg, _}` if the child does not run."
  @spec send({name(), child_id()}, term()) :: pid()
  defdelegate send(via, message), to: :quorate_supervisor

  defp child(spec) when is_atom(spec) or tuple_size(spec) == 2,
    do: Supervisor.child_spec(spec, [])

  defp child(spec), do: spec
end
