# SPDX-License-Identifier: Apache-2.0
defmodule Quorate.ConflictResolver do
  @moduledoc """
  What was kept of sandboxes that ran twice.

  The same functions as `conflict_resolver` on a member. A policy of your own is a
  module with the behaviour `:quorate_conflict`, given as the option `:conflict` of
  `Quorate.create_sandbox/3`:

      defmodule MyApp.Merge do
        @behaviour :quorate_conflict

        @impl true
        def resolve(_id, %{state: {:ok, a}}, %{state: {:ok, b}}), do: {:merge, Map.merge(a, b)}
        def resolve(_id, _registered, _duplicate), do: :registered
      end

      iex> {:ok, _} = Quorate.create_sandbox("frank", {MyApp.Counter, 0})
      iex> Quorate.ConflictResolver.copies("frank")
      []
      iex> Quorate.ConflictResolver.resolve_duplicate_sandboxes("frank")
      :ok
      iex> Quorate.ConflictResolver.copy("frank", 1)
      {:error, :not_found}
      iex> Quorate.ConflictResolver.restore_copy("frank", 1)
      {:error, :not_found}
      iex> Quorate.ConflictResolver.discard_copy("frank", 1)
      {:error, :not_found}
      iex> Quorate.stop_sandbox("frank")
      :ok
  """

  @type conflict :: :quorate.conflict()

  @doc "What was kept, of all sandboxes, the oldest first."
  @spec conflicts() :: [conflict()] | {:error, Quorate.reason()}
  defdelegate conflicts(), to: :quorate

  @doc "What was kept of one sandbox."
  @spec copies(Quorate.id()) :: [conflict()] | {:error, Quorate.reason()}
  defdelegate copies(id), to: :quorate

  @doc "The state in a conflict copy; `:undefined` if there was none to be had."
  @spec copy(Quorate.id(), pos_integer()) ::
          {:ok, term(), Quorate.version()} | {:error, Quorate.reason()}
  defdelegate copy(id, copy), to: :quorate

  @doc """
  The sandbox ends, and starts anew with the state of the copy.

  What it had before becomes a copy. With `how: :resolve` the callback of the
  sandbox says what it starts with. The answer comes when it runs.
  """
  @spec restore_copy(Quorate.id(), pos_integer(), Quorate.options()) ::
          {:ok, Quorate.sandbox()} | {:error, Quorate.reason()}
  def restore_copy(id, copy, options \\ %{}) do
    :quorate.restore_copy(id, copy, Map.new(options))
  end

  @doc "Forgets a copy and its state."
  @spec discard_copy(Quorate.id(), pos_integer()) :: :ok | {:error, Quorate.reason()}
  defdelegate discard_copy(id, copy), to: :quorate

  @doc "Every worker is to say whether it runs this sandbox; does not wait for that."
  @spec resolve_duplicate_sandboxes(Quorate.id()) :: :ok | {:error, Quorate.reason()}
  defdelegate resolve_duplicate_sandboxes(id), to: :quorate
end
