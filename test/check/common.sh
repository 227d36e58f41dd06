# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the checks share. A check runs in the directory that holds c_src:
# the repository, or a small tree that selftest.sh has made.
set -euo pipefail
cd "${ROOT:-$(dirname "${BASH_SOURCE[0]}")/../..}"

findings=0

# One finding: where it is, and what is wrong.
finding() {
    echo "$*"
    findings=$((findings + 1))
}

# The last line of a check and its exit code.
#   conclude NAME WHAT-WAS-LOOKED-AT
conclude() {
    echo "$1: $2, $findings findings"
    [ "$findings" = 0 ]
}

# The files below the given folders with one of the given endings; folders
# that are missing hold none.
#   files_in "c h" c_src test
files_in() {
    local endings=$1 ending
    local expression=()
    shift
    for ending in $endings; do
        expression+=(-o -name "*.$ending")
    done
    find "$@" -type f \( "${expression[@]:1}" \) 2>/dev/null | sort || true
}
