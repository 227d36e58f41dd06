# SPDX-License-Identifier: Apache-2.0
# Rows of docs/interop.md for which Elixir has words of its own; for all others
# an Elixir node does what an Erlang node does.
defmodule InteropElixir do
  @version "0.1.0"

  def feature(:ping, %{member: member}) do
    true = Node.connect(member)
    :pong = Node.ping(member)
    true = member in Node.list(:hidden)
  end

  def feature(:gen_call, %{member: member}) do
    @version = GenServer.call({:quorate, member}, {:quorate, :version, []})
    @version = GenServer.call({:quorate, member}, {:quorate, :version, []}, :infinity)
  end

  def feature(:gen_call_dead_name, %{member: member}) do
    {:noproc, _} = catch_exit(fn -> GenServer.call({:nobody_here, member}, :hello, :infinity) end)
  end

  def feature(:multi_call, %{members: members}) do
    {replies, []} = GenServer.multi_call(members, :quorate, {:quorate, :version, []}, 10_000)
    true = Enum.sort(replies) == Enum.sort(for m <- members, do: {m, @version})
  end

  def feature(:monitors, %{peer: peer}) do
    ref = Process.monitor({:nobody_here, peer})
    {:DOWN, ^ref, :process, _, :noproc} = next()
    ref = Process.monitor(:erpc.call(peer, :t, :self, []))
    true = Process.demonitor(ref, [:flush, :info])
  end

  def feature(:links, %{peer: peer}) do
    pid = :erpc.call(peer, :t, :self, [])
    true = Process.link(pid)
    true = Process.unlink(pid)
  end

  def feature(:spawns, %{peer: peer}) do
    {pid, ref} = Node.spawn_monitor(peer, :t, :exit, [:gone])
    {:DOWN, ^ref, :process, ^pid, :gone} = next()
    linked = Node.spawn_link(peer, :t, :exit, [:gone])
    {:EXIT, ^linked, :gone} = next()
  end

  def feature(:messages, %{peer: peer, member: member}) do
    send({:nobody_here, member}, :hello)
    :ok = :erpc.call(peer, :t, :send, [self(), :here])
    :here = next()
  end

  def feature(:many_callers, %{member: member}) do
    1..64
    |> Enum.map(fn _ ->
      Task.async(fn -> GenServer.call({:quorate, member}, {:quorate, :version, []}) end)
    end)
    |> Task.await_many(30_000)
    |> Enum.each(fn @version -> :ok end)

    # Tasks are linked, and their ends are none of the peer's messages.
    Enum.each(1..64, fn _ -> {:EXIT, _, :normal} = next() end)
  end

  defp next do
    receive do
      message -> message
    after
      10_000 -> :nothing
    end
  end

  defp catch_exit(fun) do
    fun.()
  catch
    :exit, reason -> reason
  end
end
