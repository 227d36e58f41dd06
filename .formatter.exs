# SPDX-License-Identifier: Apache-2.0
[inputs: ["mix.exs", ".formatter.exs", "erl/elixir/**/*.ex", "test/**/*.{ex,exs}"]]
