# SPDX-License-Identifier: Apache-2.0
defmodule Quorate.PartitionDetector do
  @moduledoc """
  Who should be there, and who is missing.

  The same functions as `partition_detector` on a member.
  """

  @doc """
  `:no_partition`, `:minor_partition` (fewer than half missing), `:major_partition`.

      iex> Quorate.PartitionDetector.detect_partition()
      :no_partition
  """
  @spec detect_partition() ::
          :no_partition | :minor_partition | :major_partition | {:error, Quorate.reason()}
  defdelegate detect_partition(), to: :quorate

  @doc """
  The verdict, with who is expected and who is missing.

      iex> Quorate.PartitionDetector.partition_report().missing
      []
  """
  @spec partition_report() :: map() | {:error, Quorate.reason()}
  defdelegate partition_report(), to: :quorate

  @doc """
  The nodes that should be there.

      iex> [_ | _] = Quorate.PartitionDetector.expected_nodes()
  """
  @spec expected_nodes() :: [node()] | {:error, Quorate.reason()}
  defdelegate expected_nodes(), to: :quorate
end
