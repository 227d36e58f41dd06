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
  The verdict, with who is expected and missing, the groups that reach one another,
  round-trip times, and how long sandboxes go on without a quorum.

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

  @doc """
  Names nodes that should be there besides the members and the attached workers.

  They replace the ones that were named before.

      iex> Quorate.PartitionDetector.set_expected_nodes([:"app9@10.0.0.9"])
      :ok
      iex> Quorate.PartitionDetector.partition_report().missing
      [:"app9@10.0.0.9"]
      iex> Quorate.PartitionDetector.set_expected_nodes([])
      :ok
  """
  @spec set_expected_nodes([node()]) :: :ok | {:error, Quorate.reason()}
  defdelegate set_expected_nodes(nodes), to: :quorate
end
