#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Shell scripts: the syntax, and shellcheck.
. "$(dirname "$0")/common.sh"

# By ending, or by the first line.
mapfile -t scripts < <({
    files_in "sh" test .ci
    find test .ci -type f ! -name '*.*' -exec \
        sh -c 'head -n 1 "$1" | grep -q "^#!.*sh\$"' _ {} \; -print
} | sort -u)

for script in "${scripts[@]}"; do
    bash -n "$script" || finding "$script: syntax"
done
# SC1091: sources are found at run time. SC2016: programs of awk and sh.
if ! shellcheck -x -e SC1091,SC2016 "${scripts[@]}"; then
    finding "shellcheck has something to say"
fi

conclude shell "${#scripts[@]} scripts"
