# SPDX-License-Identifier: Apache-2.0
defmodule Quorate.StateReplicator do
  @moduledoc """
  The states of sandboxes, on a majority of their replicas.

  The same functions as `state_replicator` on a member.

      iex> {:ok, %{epoch: epoch}} = Quorate.create_sandbox("erin", {MyApp.Counter, 0})
      iex> {:ok, %{version: {^epoch, 1}}} =
      ...>   Quorate.StateReplicator.replicate_state("erin", epoch, %{cart: ["tea"]})
      iex> {:ok, state, {^epoch, 1}} = Quorate.StateReplicator.recover_state("erin")
      iex> state
      %{cart: ["tea"]}
      iex> Quorate.StateReplicator.replicate_state("erin", epoch - 1, :old) ==
      ...>   {:error, {:stale_epoch, epoch}}
      true
      iex> {:ok, [_member]} = Quorate.StateReplicator.replicas("erin")
      iex> Quorate.stop_sandbox("erin")
      :ok
  """

  @doc """
  Saves the state of a sandbox; `{:ok, _}` means on disk at a majority.

  On the owner's node the writes of an epoch are numbered in the order of the
  calls. Options: `:seq`, `:timeout`.
  """
  @spec replicate_state(Quorate.id(), Quorate.epoch(), term(), Quorate.options()) ::
          {:ok, map()} | {:error, Quorate.reason()}
  def replicate_state(id, epoch, state, options \\ %{}) do
    :quorate.replicate_state(id, epoch, state, Map.new(options))
  end

  @doc "The newest acknowledged state, from a majority of the replicas."
  @spec recover_state(Quorate.id()) ::
          {:ok, term(), Quorate.version()} | {:error, Quorate.reason()}
  defdelegate recover_state(id), to: :quorate

  @doc "The state as this member's own replica has it; it may be old."
  @spec get_state(Quorate.id()) :: {:ok, term(), Quorate.version()} | {:error, Quorate.reason()}
  defdelegate get_state(id), to: :quorate

  @doc "Deletes the state, unless a newer epoch is known."
  @spec delete_state(Quorate.id(), Quorate.epoch()) :: :ok | {:error, Quorate.reason()}
  defdelegate delete_state(id, epoch), to: :quorate

  @doc "The members that hold the state."
  @spec replicas(Quorate.id()) :: {:ok, [node()]} | {:error, Quorate.reason()}
  defdelegate replicas(id), to: :quorate
end
