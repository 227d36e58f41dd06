# SPDX-License-Identifier: Apache-2.0
defmodule Quorate.ConsistencyManager do
  @moduledoc """
  Names that mean the same process on every node.

  The same functions as `consistency_manager` on a member; for `{:via, Quorate,
  name}` see `Quorate.register_name/2`.

      iex> {:ok, epoch} = Quorate.ConsistencyManager.register(:printer, self(), %{floor: 2})
      iex> Quorate.ConsistencyManager.whereis(:printer) == {:ok, self(), epoch}
      true
      iex> Quorate.ConsistencyManager.unregister(:printer, self())
      :ok
      iex> Quorate.ConsistencyManager.whereis(:printer)
      {:error, :not_found}
  """

  @doc "Registers a process of a worker node; the epoch is its fencing token."
  @spec register(term(), pid(), map()) ::
          {:ok, Quorate.epoch()} | {:error, Quorate.reason()}
  def register(name, pid, meta \\ %{}), do: :quorate.register(name, pid, meta)

  @doc "Frees a name, if this process has it."
  @spec unregister(term(), pid()) :: :ok | {:error, Quorate.reason()}
  defdelegate unregister(name, pid), to: :quorate

  @doc "The process under a name and its epoch, as the whole cluster sees it now."
  @spec whereis(term()) :: {:ok, pid(), Quorate.epoch()} | {:error, Quorate.reason()}
  defdelegate whereis(name), to: :quorate

  @doc "With `consistency: :local` as the member sees it, without asking the others."
  @spec whereis(term(), Quorate.options()) ::
          {:ok, pid(), Quorate.epoch()} | {:error, Quorate.reason()}
  def whereis(name, options), do: :quorate.whereis(name, Map.new(options))

  @doc """
  The process under a name, with the metadata that it was registered with.

      iex> {:ok, epoch} = Quorate.ConsistencyManager.register(:printer, self(), %{floor: 2})
      iex> {:ok, entry} = Quorate.ConsistencyManager.lookup(:printer)
      iex> entry == %{name: :printer, pid: self(), epoch: epoch, meta: %{floor: 2}}
      true
      iex> Quorate.ConsistencyManager.unregister(:printer, self())
      :ok
  """
  @spec lookup(term(), Quorate.options()) ::
          {:ok, :quorate.entry()} | {:error, Quorate.reason()}
  def lookup(name, options \\ %{}), do: :quorate.lookup(name, Map.new(options))

  @doc """
  The names in the order of their external form; `:limit`, `:after`, `:worker`,
  `:consistency`. At most 10,000 at once.
  """
  @spec names(Quorate.options()) :: [:quorate.entry()] | {:error, Quorate.reason()}
  def names(options \\ %{}), do: :quorate.names(Map.new(options))
end
