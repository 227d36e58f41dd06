#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Formatting: clang-format for C, mix format for Elixir, the written rules for
# Erlang (100 columns, no tabs, no blanks at the end of a line), and the
# licence on the first lines of each source file.
. "$(dirname "$0")/common.sh"

mapfile -t c_files < <(files_in "c h" c_src test)
mapfile -t erl_files < <(files_in "erl hrl" erl test)
mapfile -t ex_files < <(files_in "ex exs" erl test)
mapfile -t sh_files < <(files_in "sh" test .ci)

if [ ${#c_files[@]} -gt 0 ]; then
    if ! clang-format --dry-run -Werror "${c_files[@]}" 2>&1; then
        finding "clang-format -i puts the files above right"
    fi
fi

for file in "${erl_files[@]}"; do
    while IFS= read -r line; do
        finding "$file:$line"
    done < <(awk '
        length($0) > 100 { print FNR ": " length($0) " columns, 100 allowed" }
        /\t/ { print FNR ": a tab" }
        /[ \t]$/ { print FNR ": blanks at the end of the line" }' "$file")
done

if [ ${#ex_files[@]} -gt 0 ]; then
    if ! mix format --check-formatted "${ex_files[@]}" 2>&1; then
        finding "mix format puts the files above right"
    fi
fi

all=("${c_files[@]}" "${erl_files[@]}" "${ex_files[@]}" "${sh_files[@]}")
for file in "${all[@]}"; do
    if ! head -n 2 "$file" | grep -q 'SPDX-License-Identifier: Apache-2.0'
    then
        finding "$file:1: the line SPDX-License-Identifier: Apache-2.0 is missing"
    fi
done

conclude format "${#all[@]} files"
