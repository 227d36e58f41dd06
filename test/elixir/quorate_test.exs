# SPDX-License-Identifier: Apache-2.0
defmodule QuorateTest do
  use ExUnit.Case, async: false

  import Quorate.Eventually

  doctest Quorate, import: false
  doctest Quorate.ConsistencyManager
  doctest Quorate.NodeSelector
  doctest Quorate.PartitionDetector
  doctest Quorate.ConflictResolver
  doctest Quorate.QuorumManager
  doctest Quorate.StateReplicator

  defp sandbox(spec, options \\ %{}) do
    id = "test-#{System.unique_integer([:positive])}"
    {:ok, sandbox} = Quorate.create_sandbox(id, spec, options)
    on_exit(fn -> Quorate.stop_sandbox(id) end)
    sandbox
  end

  test "a sandbox knows its id and epoch" do
    sandbox = sandbox({MyApp.Counter, 0})
    assert GenServer.call(sandbox.pid, :context) == {sandbox.id, sandbox.epoch}
  end

  test "every form of a child specification is taken" do
    start = {MyApp.Counter, :start_link, [7]}

    for spec <- [{MyApp.Counter, 7}, start, %{id: 1, start: start}, %{start: start}] do
      assert GenServer.call(sandbox(spec).pid, :next) == 8
    end
  end

  test "a wrong specification is refused at once" do
    assert {:error, {:badarg, {:bad_spec, _}}} = Quorate.create_sandbox("bad", %{start: :x})
  end

  test "a start that fails says why" do
    missing = {MyApp.Counter, :no_such_function, []}
    assert {:error, {:start_failed, _}} = Quorate.create_sandbox("missing", missing)
    Quorate.stop_sandbox("missing")
  end

  test "a crashed child starts again with its acknowledged state" do
    sandbox = sandbox({MyApp.Counter, 10})
    assert GenServer.call(sandbox.pid, :next) == 11
    GenServer.cast(sandbox.pid, :crash)

    again =
      eventually(fn ->
        {:ok, now} = Quorate.sandbox(sandbox.id)
        now.status == :running and now.pid != sandbox.pid and now
      end)

    assert GenServer.call(again.pid, :next) == 12
  end

  test "checkpoints save what changed" do
    sandbox = sandbox({MyApp.Counter, 1}, checkpoint: %{interval: 20})
    GenServer.cast(sandbox.pid, {:put, 99})

    eventually(fn -> match?({:ok, 99, _}, Quorate.recover_state(sandbox.id)) end)
    {:ok, 99, version} = Quorate.recover_state(sandbox.id)
    GenServer.cast(sandbox.pid, {:put, 100})
    eventually(fn -> match?({:ok, 100, _}, Quorate.recover_state(sandbox.id)) end)
    {:ok, 100, later} = Quorate.recover_state(sandbox.id)
    # Only one more write for one change.
    assert later == put_elem(version, 1, elem(version, 1) + 1)
  end

  test "a name is free again when its process has ended" do
    {:ok, pid} = Agent.start(fn -> 1 end, name: {:via, Quorate, "free"})

    assert {:error, {:already_started, ^pid}} =
             Agent.start(fn -> 2 end, name: {:via, Quorate, "free"})

    Process.exit(pid, :kill)
    eventually(fn -> Quorate.whereis_name("free") == :undefined end)
  end

  test "a callback of ours merges what was kept with what is there" do
    %{id: id, epoch: epoch, pid: pid} = sandbox({MyApp.Counter, 1}, conflict: MyApp.Merge)
    assert GenServer.call(pid, :next) == 2
    # As an agent keeps what a duplicate had.
    {:ok, copy} = :quorate_call.once(:conflict_resolver, :keep_copy, [id, epoch, 40, %{}], 5000)

    assert {:ok, 40, _} = Quorate.ConflictResolver.copy(id, copy)
    {:ok, again} = Quorate.ConflictResolver.restore_copy(id, copy, how: :resolve)
    assert again.epoch > epoch
    assert GenServer.call(again.pid, :next) == 43

    assert [%{copy: ^copy, outcome: %{kept: :merged, by: MyApp.Merge}}, %{copy: replaced}] =
             Quorate.ConflictResolver.copies(id)

    assert {:ok, 2, _} = Quorate.ConflictResolver.copy(id, replaced)
    assert :ok = Quorate.ConflictResolver.discard_copy(id, replaced)
    assert [%{copy: ^copy}] = Quorate.ConflictResolver.copies(id)
    assert copy in Enum.map(Quorate.ConflictResolver.conflicts(), & &1.copy)
  end

  test "sending to a name that nobody has exits with badarg" do
    assert catch_exit(Quorate.send(:nobody, :hello)) == {:badarg, {:nobody, :hello}}
  end

  test "the module of a supervisor is a child specification" do
    assert %{id: Quorate, start: {Quorate, :start_link, [[]]}} =
             Supervisor.child_spec(Quorate, [])
  end

  test "a member is called by rpc without any code of ours" do
    [%{name: member}] = Quorate.members()
    assert %{quorum: true} = :rpc.call(member, :quorum_manager, :status, [])
    assert %{quorum: true} = :erpc.call(member, :quorum_manager, :status, [])
  end
end
