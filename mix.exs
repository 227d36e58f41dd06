# SPDX-License-Identifier: Apache-2.0
# For Elixir projects, and for `mix test` here. rebar.config is its equal for
# Erlang projects. It fetches nothing: the one build step that Mix does not
# know, `make`, is the small task below.
defmodule Mix.Tasks.Compile.QuorateMake do
  @moduledoc false
  use Mix.Task.Compiler

  @impl true
  def run(_args) do
    case System.cmd("make", ["-s", "all"], into: IO.stream(), stderr_to_stdout: true) do
      {_, 0} -> {:ok, []}
      {_, code} -> Mix.raise("make -s all failed with exit code #{code}; its output is above")
    end
  end

  @impl true
  def clean do
    System.cmd("make", ["-s", "clean-c"])
    :ok
  end
end

defmodule Quorate.MixProject do
  use Mix.Project

  # The version and the description live in one place, which rebar3 reads too.
  @app_src Path.join(__DIR__, "erl/quorate.app.src")
  @external_resource @app_src
  {:ok, [{:application, :quorate, properties}]} = :file.consult(@app_src)
  @properties properties

  def project do
    [
      app: :quorate,
      version: to_string(@properties[:vsn]),
      description: to_string(@properties[:description]),
      elixir: "~> 1.14",
      # Else Elixir would be an application that a node of Erlang alone has to
      # have; the wrapper in erl/elixir is all that needs it.
      language: :erlang,
      compilers: [:quorate_make] ++ Mix.compilers(),
      erlc_paths: ["erl"],
      erlc_include_path: "erl/include",
      erlc_options: [:debug_info, :warnings_as_errors],
      elixirc_paths: ["erl/elixir"],
      elixirc_options: [warnings_as_errors: true],
      test_paths: ["test/elixir"],
      deps: [],
      package: package()
    ]
  end

  def application do
    Keyword.take(@properties, [:registered, :mod, :env]) ++
      [extra_applications: [elixir: :optional]]
  end

  defp package do
    [
      licenses: ["Apache-2.0"],
      links: %{},
      build_tools: ["rebar3", "mix"],
      files: ~w(erl c_src Makefile .ci rebar.config mix.exs README.md CHANGELOG.md LICENSE)
    ]
  end
end
