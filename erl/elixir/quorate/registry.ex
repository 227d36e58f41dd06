# SPDX-License-Identifier: Apache-2.0
defmodule Quorate.Registry do
  @moduledoc """
  Keys with one process each, in the whole cluster; the shapes of Elixir's `Registry`.

      {Quorate.Registry, keys: :unique, name: MyApp.Registry}

      iex> {:ok, _} = Quorate.Registry.start_link(keys: :unique, name: MyApp.Registry)
      iex> via = {:via, Quorate.Registry, {MyApp.Registry, "alice", %{floor: 2}}}
      iex> {:ok, pid} = Agent.start(fn -> 41 end, name: via)
      iex> {:error, {:already_started, ^pid}} = Agent.start(fn -> 0 end, name: via)
      iex> Agent.get({:via, Quorate.Registry, {MyApp.Registry, "alice"}}, & &1)
      41
      iex> Quorate.Registry.lookup(MyApp.Registry, "alice") == [{pid, %{floor: 2}}]
      true
      iex> Quorate.Registry.keys(MyApp.Registry, pid)
      ["alice"]
      iex> Quorate.Registry.count(MyApp.Registry)
      1
      iex> Agent.stop(pid)
      :ok

  What is different: a key belongs to one process **in the cluster**, whatever breaks.
  So every call asks a majority, and where none can be asked the answer is `{:error,
  :no_quorum}` and not an empty list. A process with a key is killed when its node loses
  its lease, because somebody else may have the key then. A registry is no process and no
  table: it is a name, and whoever names it uses it; `start_link/1` is there for the
  supervision trees that expect it. A key is any term without funs, with some 220 bytes
  of external form (255 with the name of the registry); a value has at most 16 KiB and
  does not change. There are no duplicate keys, no listeners and no `dispatch`: `:pg` does
  that. See `docs/moving.md`.
  """
  alias Quorate.Options

  @type registry :: atom()
  @type key :: term()
  @type value :: term()
  @type reason :: :quorate_registry.reason()

  @doc """
  A child specification for a supervisor.

      iex> Quorate.Registry.child_spec(keys: :unique, name: MyApp.Names).id
      MyApp.Names
      iex> Quorate.Registry.child_spec(keys: :duplicate, name: MyApp.Names)
      ** (ArgumentError) keys: only :unique: for groups of processes there is :pg
  """
  @spec child_spec(keyword()) :: Supervisor.child_spec()
  def child_spec(options) do
    :ok = Options.check_registry(options)
    %{id: options[:name], start: {__MODULE__, :start_link, [options]}}
  end

  @doc "Starts a process under the name of the registry. Options: `:name`, `:keys`."
  @spec start_link(keyword()) :: {:ok, pid()} | {:error, term()}
  def start_link(options) do
    :ok = Options.check_registry(options)
    :quorate_registry.start_link(options)
  end

  @doc """
  Registers the calling process.

      iex> Quorate.Registry.register(MyApp.Registry, {:room, 1}, :open) == {:ok, self()}
      true
      iex> Task.async(fn -> Quorate.Registry.register(MyApp.Registry, {:room, 1}, 0) end)
      ...> |> Task.await() == {:error, {:already_registered, self()}}
      true
      iex> Quorate.Registry.values(MyApp.Registry, {:room, 1}, self())
      [:open]
      iex> Quorate.Registry.unregister(MyApp.Registry, {:room, 1})
      :ok
      iex> Quorate.Registry.lookup(MyApp.Registry, {:room, 1})
      []
  """
  @spec register(registry(), key(), value()) ::
          {:ok, pid()} | {:error, {:already_registered, pid()} | reason()}
  defdelegate register(registry, key, value), to: :quorate_registry

  @doc "Frees a key of the calling process."
  @spec unregister(registry(), key()) :: :ok | {:error, reason()}
  defdelegate unregister(registry, key), to: :quorate_registry

  @doc "The process that has the key, with its value; `[]` if nobody has it."
  @spec lookup(registry(), key()) :: [{pid(), value()}] | {:error, reason()}
  defdelegate lookup(registry, key), to: :quorate_registry

  @doc """
  The process that has the key and its epoch, the fencing token.

      iex> Quorate.Registry.whereis(MyApp.Registry, "nobody")
      {:error, :not_found}
  """
  @spec whereis(registry(), key()) :: {:ok, pid(), Quorate.epoch()} | {:error, reason()}
  defdelegate whereis(registry, key), to: :quorate_registry

  @doc "The keys of a process."
  @spec keys(registry(), pid()) :: [key()] | {:error, reason()}
  defdelegate keys(registry, pid), to: :quorate_registry

  @doc "The value of a key, if this process has it: `[value]` or `[]`."
  @spec values(registry(), key(), pid()) :: [value()] | {:error, reason()}
  defdelegate values(registry, key, pid), to: :quorate_registry

  @doc "How many keys there are."
  @spec count(registry()) :: non_neg_integer() | {:error, reason()}
  defdelegate count(registry), to: :quorate_registry

  @doc """
  What a match specification makes of all `{key, pid, value}`.

      iex> {:ok, _} = Quorate.Registry.register(MyApp.Registry, "bob", 7)
      iex> spec = [{{:"$1", :_, :"$2"}, [{:>, :"$2", 5}], [{{:"$1", :"$2"}}]}]
      iex> Quorate.Registry.select(MyApp.Registry, spec)
      [{"bob", 7}]
      iex> Quorate.Registry.unregister(MyApp.Registry, "bob")
      :ok
  """
  @spec select(registry(), :ets.match_spec()) :: [term()] | {:error, reason()}
  defdelegate select(registry, spec), to: :quorate_registry

  @doc "For `:via`."
  @spec register_name({registry(), key()} | {registry(), key(), value()}, pid()) :: :yes | :no
  defdelegate register_name(via, pid), to: :quorate_registry

  @doc "For `:via`."
  @spec whereis_name({registry(), key()} | {registry(), key(), value()}) :: pid() | :undefined
  defdelegate whereis_name(via), to: :quorate_registry

  @doc "For `:via`."
  @spec unregister_name({registry(), key()} | {registry(), key(), value()}) :: :ok
  defdelegate unregister_name(via), to: :quorate_registry

  @doc "For `:via`; exits with `{:badarg, _}` if nobody has the key."
  @spec send({registry(), key()} | {registry(), key(), value()}, term()) :: pid()
  defdelegate send(via, message), to: :quorate_registry
end
