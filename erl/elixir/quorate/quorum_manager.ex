# SPDX-License-Identifier: Apache-2.0
defmodule Quorate.QuorumManager do
  @moduledoc """
  Whether there is a majority, and what may be done with it.

  The same functions as `quorum_manager` on a member.
  """

  @doc """
  Whether the member that we talk to has a majority with it.

      iex> Quorate.QuorumManager.has_quorum()
      true
  """
  @spec has_quorum() :: boolean()
  defdelegate has_quorum(), to: :quorate

  @doc """
  How the member is and sees the cluster, as `Quorate.status/0`.

      iex> Quorate.QuorumManager.status().members
      1
  """
  @spec status() :: map() | {:error, Quorate.reason()}
  defdelegate status(), to: :quorate

  @doc "Makes a voter the leader, as `Quorate.transfer_leadership/2`."
  @spec transfer_leadership(node(), %{optional(:timeout) => pos_integer()}) ::
          {:ok, node()} | {:error, Quorate.reason()}
  def transfer_leadership(member, options \\ %{}),
    do: Quorate.transfer_leadership(member, options)

  @doc """
  A fencing token from a linearizable read: it never goes down.

      iex> {:ok, first} = Quorate.QuorumManager.token()
      iex> {:ok, second} = Quorate.QuorumManager.token()
      iex> second >= first
      true
  """
  @spec token() :: {:ok, non_neg_integer()} | {:error, Quorate.reason()}
  defdelegate token(), to: :quorate
end
