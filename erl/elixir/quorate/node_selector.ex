# SPDX-License-Identifier: Apache-2.0
defmodule Quorate.NodeSelector do
  @moduledoc """
  Where a sandbox would go, and why.

  The same functions as `node_selector` on a member.
  """

  @doc """
  The worker that a sandbox with these needs would go to.

      iex> Quorate.NodeSelector.select_optimal_node(%{cpu: 10, memory: 1}) == {:ok, node()}
      true
      iex> Quorate.NodeSelector.select_optimal_node(%{cpu: 100_000_000})
      {:error, :no_capacity}
  """
  @spec select_optimal_node(map()) :: {:ok, node()} | {:error, Quorate.reason()}
  defdelegate select_optimal_node(resources), to: :quorate

  @doc """
  The same, with the score of every candidate.

      iex> {:ok, %{node: chosen, candidates: [candidate]}} = Quorate.NodeSelector.select(%{})
      iex> {chosen == node(), candidate.verdict}
      {true, :chosen}
  """
  @spec select(map(), Quorate.options()) :: {:ok, map()} | {:error, Quorate.reason()}
  def select(resources, options \\ %{}), do: :quorate.select(resources, Map.new(options))
end
