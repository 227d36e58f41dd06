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

  @doc """
  The same, if the member reaches at least `required: k` members, itself included.

      iex> Quorate.QuorumManager.token(required: 2)
      {:error, {:too_few_members, 1}}
  """
  @spec token(Quorate.options()) :: {:ok, non_neg_integer()} | {:error, term()}
  def token(options), do: :quorate.token(Map.new(options))

  @doc """
  Runs a function once a majority has said that it is one, and not at all otherwise.

  The function is a fun or `{module, function, args}`. It runs in a process of its
  own, on this node or on `:node`. The token is for whoever must know a late effect
  from a newer one: the quorum may be lost while it runs. Options: `:required`,
  `:node`, `:timeout`. After `{:error, :timeout}` it may have run, or still do so.

      iex> {:ok, 3, token} = Quorate.QuorumManager.execute_with_quorum(fn -> 1 + 2 end)
      iex> {:ok, now} = Quorate.QuorumManager.token()
      iex> now >= token
      true
      iex> {:ok, here, _} = Quorate.QuorumManager.execute_with_quorum({Kernel, :node, []})
      iex> here == node()
      true
      iex> Quorate.QuorumManager.execute_with_quorum(fn -> exit(:no) end)
      {:error, {:exception, :exit, :no}}
      iex> Quorate.QuorumManager.execute_with_quorum(fn -> 1 end, required: 3)
      {:error, {:too_few_members, 1}}
  """
  @spec execute_with_quorum(mfa_or_fun, Quorate.options()) ::
          {:ok, term(), non_neg_integer()} | {:error, term()}
        when mfa_or_fun: {module(), atom(), [term()]} | (() -> term())
  def execute_with_quorum(work, options \\ %{}),
    do: :quorate.execute_with_quorum(work, Map.new(options))
end
