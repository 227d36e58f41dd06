# SPDX-License-Identifier: Apache-2.0
defmodule Quorate.Options do
  @moduledoc false
  # What is wrong with the options of a registry or a supervisor, in words. Options that
  # others have and that cannot be kept here are named, with what there is instead.

  @members "who is in is said by `config :quorate`, and found by itself"
  @placement "it is said by :profile and :resources of each child"
  @registry_hints %{
    members: @members,
    partitions: "there is no table here that could be cut into some",
    listeners: "there are none; a process that ends frees its keys by itself",
    delta_crdt_options: "there is no CRDT",
    meta: "there is none"
  }
  @supervisor_hints %{
    members: @members,
    distribution_strategy: @placement,
    process_redistribution: @placement,
    delta_crdt_options: "there is no CRDT",
    strategy: "only :one_for_one",
    max_children: "only :infinity; :capacity of a worker limits the sandboxes there",
    restarts: "a map: %{max: n, period: ms}",
    context: "true or false"
  }

  @spec check_registry(keyword()) :: :ok
  def check_registry(options) do
    for key <- Keyword.keys(options), key not in [:name, :keys], do: unknown(key, @registry_hints)
    check_name(options)

    unless Keyword.get(options, :keys, :unique) == :unique,
      do: raise(ArgumentError, "keys: only :unique: for groups of processes there is :pg")

    :ok
  end

  @spec check_name(keyword()) :: :ok
  def check_name(options) do
    name = options[:name]

    unless is_atom(name) and name != nil,
      do: raise(ArgumentError, "name: expected an atom, got: #{inspect(name)}")

    :ok
  end

  # What :quorate_supervisor.start_link says.
  @spec explain(term()) :: no_return()
  def explain({:unknown_option, key}), do: unknown(key, @supervisor_hints)

  def explain(key) do
    hint = Map.get(@supervisor_hints, key, "not a value that it can have")
    raise ArgumentError, "#{inspect(key)}: #{hint}"
  end

  defp unknown(key, hints) do
    hint = Map.get(hints, key, "there is no such option")
    raise ArgumentError, "unknown option #{inspect(key)}: #{hint}"
  end
end
