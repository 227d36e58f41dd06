# SPDX-License-Identifier: Apache-2.0
defmodule Quorate.WrappersTest do
  @moduledoc "The shapes that users of Elixir's own registry and supervisors expect."
  use ExUnit.Case, async: false

  doctest Quorate.Registry
  doctest Quorate.Supervisor

  defmodule Plain do
    @moduledoc "Knows nothing of Quorate."
    use GenServer

    def start_link(arg), do: GenServer.start_link(__MODULE__, arg)
    def start_link(extra, arg), do: GenServer.start_link(__MODULE__, {extra, arg})

    @impl true
    def init(arg), do: {:ok, arg}

    @impl true
    def handle_call(:get, _from, arg), do: {:reply, arg, arg}
    def handle_call(:id, _from, arg), do: {:reply, Quorate.sandbox_id(), arg}
  end

  defmodule Named do
    @moduledoc "As under Horde: the child registers itself."
    use GenServer

    def start_link(key) do
      via = {:via, Quorate.Registry, {Quorate.WrappersTest.Names, key}}
      GenServer.start_link(__MODULE__, key, name: via)
    end

    @impl true
    def init(key), do: {:ok, key}

    @impl true
    def handle_cast(:crash, _key), do: exit(:crash)
  end

  defmodule Tenants do
    @moduledoc false
    use Quorate.Supervisor, restart: :transient

    def start_link(arg), do: Quorate.Supervisor.start_link(__MODULE__, arg, name: __MODULE__)

    @impl true
    def init(:ignore), do: :ignore
    def init(arg), do: Quorate.Supervisor.init(extra_arguments: [arg], context: false)
  end

  import Quorate.Eventually
  alias Quorate.WrappersTest.Names

  defp supervisor(options) do
    name = :"sup_#{System.unique_integer([:positive])}"
    start_supervised!({Quorate.Supervisor, [name: name] ++ options}, id: name)

    on_exit(fn ->
      for {id, _, _, _} <- Quorate.Supervisor.which_children(name),
          do: Quorate.Supervisor.terminate_child(name, id)
    end)

    name
  end

  defp plain(id, arg), do: Supervisor.child_spec({Plain, arg}, id: id)

  test "registries of different names do not know one another's keys" do
    {:ok, _} = Quorate.Registry.register(:one, "key", 1)
    {:ok, _} = Quorate.Registry.register(:two, "key", 2)
    {:ok, _} = Quorate.Registry.register(:two, :key, 3)
    assert Quorate.Registry.values(:one, "key", self()) == [1]
    assert Quorate.Registry.values(:two, "key", self()) == [2]
    assert Quorate.Registry.keys(:one, self()) == ["key"]
    assert Enum.sort(Quorate.Registry.keys(:two, self())) == [:key, "key"]
    assert Quorate.Registry.count(:one) == 1
    assert Quorate.Registry.count(:two) == 2
    assert Quorate.Registry.count(:three) == 0
    :ok = Quorate.Registry.unregister(:two, "key")
    assert Quorate.Registry.lookup(:two, "key") == []
    assert Quorate.Registry.lookup(:one, "key") == [{self(), 1}]

    for {r, k} <- [one: "key", two: :key, two: "never"],
        do: :ok = Quorate.Registry.unregister(r, k)
  end

  test "any term but a fun is a key, and comes back" do
    keys = [:a, "", "a", <<131, 0>>, <<131, 80, 1>>, 'a', [], {}, %{}, 1, 1.0, -0.5, 1.0e300]
    keys = keys ++ [%{b: 1, a: %{1 => 2}}, {1, [2 | 3]}, self(), make_ref(), <<1::3>>, nil, :ü]

    for key <- keys do
      assert {key, {:ok, self()}} == {key, Quorate.Registry.register(:any, key, key)}
      assert Quorate.Registry.values(:any, key, self()) == [key]
    end

    assert Enum.sort(Quorate.Registry.keys(:any, self())) == Enum.sort(keys)
    for key <- keys, do: :ok = Quorate.Registry.unregister(:any, key)
    assert Quorate.Registry.count(:any) == 0
  end

  test "bad keys and values are named" do
    long = String.duplicate("x", 256)

    assert {:error, {:badarg, {:key, {:too_long, 256, max}}}} =
             Quorate.Registry.register(:bad, long, 1)

    assert max in 200..250
    most = String.duplicate("x", max)
    assert {:ok, _} = Quorate.Registry.register(:bad, most, 1)
    assert Quorate.Registry.keys(:bad, self()) == [most]
    :ok = Quorate.Registry.unregister(:bad, most)

    assert {:error, {:badarg, {:key, :has_fun}}} = Quorate.Registry.lookup(:bad, {1, & &1})

    assert {:error, {:badarg, {:key, {:too_long, _, _}}}} =
             Quorate.Registry.whereis(:bad, Enum.to_list(1..1000))

    assert {:error, {:badarg, :registry}} = Quorate.Registry.lookup("bad", 1)
    assert {:error, {:badarg, :registry}} = Quorate.Registry.count("bad")
    assert {:error, {:badarg, :pid}} = Quorate.Registry.keys(:bad, :me)
    assert {:error, {:badarg, :match_spec}} = Quorate.Registry.select(:bad, :all)
    value = String.duplicate("x", 17_000)
    assert {:error, {:badarg, :value}} = Quorate.Registry.register(:bad, 1, value)
    assert_raise ArgumentError, fn -> Quorate.Registry.whereis_name(:bad) end
    assert_raise ArgumentError, fn -> Quorate.Registry.whereis_name({:bad, long}) end
    assert catch_exit(Quorate.Registry.send({:bad, 1}, :hi)) == {:badarg, {{:bad, 1}, :hi}}
  end

  test "a registry has options as others have, and says what it does not have" do
    assert {:ok, pid} = start_supervised({Quorate.Registry, keys: :unique, name: Names})

    assert {:error, {:already_started, ^pid}} =
             Quorate.Registry.start_link(keys: :unique, name: Names)

    for bad <- [[name: "x"], [], [name: X, listeners: [self()]], [name: X, members: :auto]] do
      assert_raise ArgumentError, fn -> Quorate.Registry.start_link(bad) end
    end

    assert {:error, {:badarg, :supervisor}} = Quorate.Supervisor.start_child(Names, plain(1, 1))
  end

  test "children of supervisors of different names are kept apart" do
    [a, b] = [supervisor(context: false), supervisor(context: false)]
    {:ok, pid} = Quorate.Supervisor.start_child(a, plain(1, :in_a))
    {:ok, other} = Quorate.Supervisor.start_child(b, plain(1, :in_b))
    {:ok, third} = Quorate.Supervisor.start_child(b, plain("1", :in_b))
    assert pid != other
    assert Quorate.Supervisor.which_children(a) == [{1, pid, :worker, :dynamic}]
    assert length(Quorate.Supervisor.which_children(b)) == 2
    assert %{specs: 2, active: 2, workers: 2} = Quorate.Supervisor.count_children(b)
    assert :ok = Quorate.Supervisor.terminate_child(b, third)
    assert {:error, :not_found} = Quorate.Supervisor.terminate_child(b, third)
    assert [{1, ^other, _, _}] = Quorate.Supervisor.which_children(b)
    assert {:error, :not_found} = Quorate.Supervisor.terminate_child(a, other)
    assert :ok = Quorate.Supervisor.terminate_child(a, 1)
    assert [] = Quorate.Supervisor.which_children(a)
    assert GenServer.call(other, :get) == :in_b
  end

  test "names of supervisors that look alike are not mixed up" do
    for name <- [:"x/y", :x, :"x%2Fy"], do: start_supervised!({Quorate.Supervisor, name: name})
    pairs = [{:"x/y", "z"}, {:x, "y/z"}, {:"x%2Fy", "z"}, {:x, "y%2Fz"}]
    ids = for {name, id} <- pairs, do: Quorate.Supervisor.sandbox_id(name, id)
    assert length(Enum.uniq(ids)) == 4
  end

  test "a child without context is started as anywhere else" do
    sup = supervisor(context: false, extra_arguments: [:extra])
    {:ok, pid} = Quorate.Supervisor.start_child(sup, plain("a", 1))
    assert GenServer.call(pid, :get) == {:extra, 1}
    assert {:ok, GenServer.call(pid, :id)} == Quorate.Supervisor.sandbox_id(sup, "a")

    assert {:ok, with_context} =
             Quorate.Supervisor.start_child(sup, {MyApp.Counter, 1},
               context: true,
               extra_arguments: []
             )

    assert GenServer.call(with_context, :next) == 2
    assert {:ok, ^with_context, epoch} = Quorate.Supervisor.whereis(sup, MyApp.Counter)
    assert {:ok, %{epoch: ^epoch}} = Quorate.Supervisor.child(sup, MyApp.Counter)
  end

  test "a child that ends is started again, as its restart value says" do
    sup = supervisor(context: false)
    # GenServers are permanent, and so is what does not say.
    start = {Plain, :start_link, [1]}

    for {id, spec} <- [a: plain(:a, 1), b: %{id: :b, start: start}] do
      {:ok, pid} = Quorate.Supervisor.start_child(sup, spec)
      GenServer.stop(pid)

      eventually(fn ->
        case Quorate.Supervisor.whereis(sup, id) do
          {:ok, now, _} -> now != pid
          _ -> false
        end
      end)
    end

    {:ok, pid} = Quorate.Supervisor.start_child(sup, %{id: :c, start: start, restart: :temporary})

    GenServer.stop(pid)

    eventually(fn -> Quorate.Supervisor.whereis(sup, :c) == {:error, :not_found} end)
  end

  test "a child that registers itself does so again after a crash" do
    sup = supervisor(context: false)
    {:ok, pid} = Quorate.Supervisor.start_child(sup, {Named, "key"})
    assert [{^pid, nil}] = Quorate.Registry.lookup(Names, "key")
    {:ok, %{epoch: epoch}} = Quorate.Supervisor.child(sup, Named)

    for _ <- 1..3 do
      [{before, _}] = Quorate.Registry.lookup(Names, "key")
      GenServer.cast({:via, Quorate.Registry, {Names, "key"}}, :crash)

      eventually(fn ->
        match?([{now, _}] when now != before, Quorate.Registry.lookup(Names, "key"))
      end)
    end

    # Where it was: its start did not fail because of the name.
    assert {:ok, %{epoch: ^epoch}} = Quorate.Supervisor.child(sup, Named)
  end

  test "a start that fails stays visible until it is terminated" do
    sup = supervisor([])
    bad = %{id: 1, start: {Plain, :no_such_function, []}}
    assert {:error, {:start_failed, _}} = Quorate.Supervisor.start_child(sup, bad)
    assert [{1, :undefined, :worker, :dynamic}] = Quorate.Supervisor.which_children(sup)
    assert %{specs: 1, active: 0} = Quorate.Supervisor.count_children(sup)
    assert {:error, :not_running} = Quorate.Supervisor.whereis(sup, 1)
    assert {:error, :already_present} = Quorate.Supervisor.start_child(sup, bad)
    assert {:ok, %{status: {:failed, _}}} = Quorate.Supervisor.child(sup, 1)
    assert :ok = Quorate.Supervisor.terminate_child(sup, 1)
    assert {:error, :not_found} = Quorate.Supervisor.whereis(sup, 1)
  end

  test "bad specifications, ids and options are named" do
    sup = supervisor([])
    start = {Plain, :start_link, [1]}
    bad = fn spec, options -> Quorate.Supervisor.start_child(sup, spec, options) end
    assert {:error, {:badarg, :no_id}} = bad.(start, [])
    assert {:error, {:badarg, {:bad_spec, _}}} = bad.(%{id: 1, start: :x}, [])
    assert {:error, {:badarg, {:id, :has_fun}}} = bad.(%{id: & &1, start: start}, [])
    long = String.duplicate("x", 255)
    assert {:error, {:badarg, {:id, {:too_long, 255, _}}}} = bad.(%{id: long, start: start}, [])
    assert {:error, {:badarg, {:unknown_option, :x}}} = bad.(%{id: 1, start: start}, x: 1)
    assert {:error, {:badarg, :context}} = bad.(%{id: 1, start: start}, context: 1)
    assert {:error, {:badarg, :priority}} = bad.(%{id: 1, start: start}, priority: 100)
    assert {:error, {:badarg, :supervisor}} = Quorate.Supervisor.which_children(self())
    assert {:error, {:badarg, :supervisor}} = Quorate.Supervisor.whereis("sup", 1)
    assert {:noproc, _} = catch_exit(Quorate.Supervisor.start_child(:nowhere, plain(1, 1)))

    for option <- [strategy: :one_for_all, max_children: 5, max_restarts: -1, members: :auto] do
      assert_raise ArgumentError, fn -> Quorate.Supervisor.start_link([option, name: X]) end
    end
  end

  test "a supervisor is a module" do
    assert %{id: Tenants, restart: :transient} = Tenants.child_spec(1)
    assert :ignore = Tenants.start_link(:ignore)
    start_supervised!({Tenants, :of_the_module})
    {:ok, pid} = Quorate.Supervisor.start_child(Tenants, plain("t", 1))
    assert GenServer.call(pid, :get) == {:of_the_module, 1}
    via = {:via, Quorate.Supervisor, {Tenants, "t"}}
    assert GenServer.call(via, :get) == {:of_the_module, 1}
    assert Quorate.Supervisor.send({Tenants, "t"}, :ignored) == pid
    :ok = Quorate.Supervisor.terminate_child(Tenants, "t")
    assert {:noproc, _} = catch_exit(GenServer.call(via, :get))

    assert catch_exit(Quorate.Supervisor.send({Tenants, "t"}, 1)) ==
             {:badarg, {{Tenants, "t"}, 1}}
  end
end
