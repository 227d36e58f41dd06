# SPDX-License-Identifier: Apache-2.0
# Evaluates a block of the README as iex would, expression by expression; a
# line `# => pattern` is what the value before must match. Exit code 0 if all
# went well, 1 with what did not.
defmodule ReadmeBlock do
  @moduledoc false

  def run(file) do
    file
    |> File.read!()
    |> String.split("\n")
    |> Enum.reduce({nil, [], ""}, &line/2)
    |> case do
      {_, _, ""} -> :ok
      {_, _, source} -> fail("unfinished:\n#{source}")
    end
  end

  defp line("# => " <> pattern, {value, bindings, ""} = state) do
    with_value = [{:value__, value} | bindings]
    {matches, _} = Code.eval_string("match?(#{pattern}, value__)", with_value)
    unless matches, do: fail("expected #{pattern}\ngot      #{inspect(value)}")
    state
  end

  defp line("# =>" <> _ = line, _), do: fail("nothing to compare with: #{line}")
  defp line("#" <> _, state), do: state

  # An expression goes on as long as the parser wants more.
  defp line(line, {value, bindings, before}) do
    source = before <> line <> "\n"

    case {String.trim(source), Code.string_to_quoted(source)} do
      {"", _} ->
        {value, bindings, ""}

      {_, {:ok, quoted}} ->
        {value, bindings} = Code.eval_quoted(quoted, bindings)
        {value, bindings, ""}

      {_, {:error, {_, _, ""}}} ->
        {value, bindings, source}

      {_, {:error, why}} ->
        fail("#{inspect(why)} in\n#{source}")
    end
  end

  defp fail(text) do
    IO.puts(text)
    System.halt(1)
  end
end

[file] = System.argv()
ReadmeBlock.run(file)
System.halt(0)
