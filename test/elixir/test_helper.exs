# SPDX-License-Identifier: Apache-2.0
# A distributed node with an embedded member, its data in a folder of its own.
defmodule MyApp.Counter do
  @moduledoc "The example of Quorate's documentation."
  use GenServer

  def start_link(first, context) do
    GenServer.start_link(__MODULE__, {first, context})
  end

  @impl true
  def init({_first, %{state: {:ok, count}}}), do: {:ok, count}
  def init({first, %{state: :undefined}}), do: {:ok, first}

  @impl true
  def handle_call(:next, _from, count) do
    {:ok, _} = Quorate.replicate_state(count + 1)
    {:reply, count + 1, count + 1}
  end

  def handle_call(:context, _from, count) do
    {:reply, {Quorate.sandbox_id(), Quorate.epoch()}, count}
  end

  @impl true
  def handle_cast(:crash, _count), do: exit(:crash)
  def handle_cast({:put, count}, _count), do: {:noreply, count}

  # The starting functions of supervisors add nothing to the arguments.
  def child_spec(first), do: %{id: __MODULE__, start: {__MODULE__, :start_link, [first]}}
end

defmodule MyApp.Merge do
  @moduledoc "A policy for sandboxes that ran twice."
  @behaviour :quorate_conflict

  @impl true
  def resolve(_id, %{state: {:ok, a}}, %{state: {:ok, b}}), do: {:merge, a + b}
end

defmodule Quorate.Eventually do
  @moduledoc false
  import ExUnit.Assertions, only: [flunk: 1]

  # Waits for something that another process brings about.
  def eventually(check, tries \\ 250) do
    result = check.()

    cond do
      result -> result
      tries == 0 -> flunk("it did not become true within 5 s")
      true -> Process.sleep(20) && eventually(check, tries - 1)
    end
  end
end

# `mix test` may have started the application already, on a node that has a name.
:ok = Application.stop(:quorate) |> then(fn _ -> :ok end)

unless Node.alive?() do
  {_, 0} = System.cmd("epmd", ["-daemon"])
  # It answers a little later than it says that it has started.
  Enum.find(1..100, fn _ ->
    match?({_, 0}, System.cmd("epmd", ["-names"], stderr_to_stdout: true)) or
      (Process.sleep(100) && false)
  end)

  {:ok, _} = Node.start(:"quorate_ex_#{System.pid()}@127.0.0.1")
end

data_dir = Path.join(System.tmp_dir!(), "quorate-ex-#{System.pid()}")
Application.put_env(:quorate, :data_dir, data_dir)
{:ok, _} = Application.ensure_all_started(:quorate)

ExUnit.after_suite(fn _ ->
  :ok = Application.stop(:quorate)
  File.rm_rf!(data_dir)
end)

ExUnit.start()
