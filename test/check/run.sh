#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make check`: runs every check and prints one line for each; what a failed
# one has to say follows its line. Exit code 1 if one failed.
#   ONLY="format ranks"   runs only these
set -euo pipefail
cd "$(dirname "$0")/../.."

export BUILD=${BUILD:-_build/c}
MAKE=${MAKE:-make}
here=test/check
logs=_build/check
mkdir -p "$logs"

declare -A command=(
    [build]="$MAKE --no-print-directory -k all"
    [selftest]="$here/selftest.sh"
    [format]="$here/format.sh"
    [ranks]="$here/ranks.sh"
    [banned]="$here/banned.sh"
    [length]="$here/length.sh"
    [version]="$here/version.sh"
    [docs]="$here/docs.sh prove"
    [shell]="$here/shell.sh"
    [purity]="$here/purity.sh priv/libquorate_core.a"
    [cppcheck]="$here/cppcheck.sh"
    [tidy]="$here/tidy.sh"
    [analyzer]="$MAKE --no-print-directory MODE=analyzer analyzer"
    [xref]="$here/erlang.sh xref"
    [dialyzer]="$here/erlang.sh dialyzer"
    [unit-san]="$MAKE --no-print-directory SAN=1 unit"
)
order='selftest build format ranks banned length version docs shell purity cppcheck tidy analyzer
    xref dialyzer unit-san'

passed=0
failed=0
for name in ${ONLY:-$order}; do
    if [ -z "${command[$name]:-}" ]; then
        echo "check: there is no check '$name'; there are: $order" >&2
        exit 64
    fi
    log=$logs/$name.log
    start=$SECONDS
    # The commands hold no names with blanks: splitting is wanted.
    # shellcheck disable=SC2086
    if ${command[$name]} >"$log" 2>&1 </dev/null; then
        passed=$((passed + 1))
        printf 'ok      %-8s %3d s  %s\n' "$name" $((SECONDS - start)) \
            "$(tail -n 1 "$log")"
    else
        failed=$((failed + 1))
        printf 'FAILED  %-8s %3d s  log: %s\n' "$name" $((SECONDS - start)) \
            "$log"
        awk '!/^ok  / && n++ < 100 { print "    " $0 }' "$log"
    fi
done
echo "check: $passed passed, $failed failed"
[ "$failed" = 0 ]
