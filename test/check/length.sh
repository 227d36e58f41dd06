#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# No C file has more than 500 lines; a unit test, which mirrors one source file
# and is mostly tables of cases, no more than 800. (Functions are clang-tidy's
# business.)
. "$(dirname "$0")/common.sh"

count=0
while IFS= read -r file; do
    count=$((count + 1))
    lines=$(wc -l <"$file")
    case $file in
    test/unit/*) lines_max=800 ;;
    *) lines_max=500 ;;
    esac
    if [ "$lines" -gt "$lines_max" ]; then
        finding "$file: $lines lines, $lines_max allowed; split it by concept"
    fi
done < <(files_in "c h" c_src test)

conclude length "$count files"
