#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Runs cmocka programs side by side and counts their tests.
#   unit.sh PROGRAM...      exit code 1 if a test failed or none ran
# A program that dies without a report counts as one failed test.
# UNIT_TIMEOUT: seconds for one program (default 300).
set -euo pipefail

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1:detect_stack_use_after_return=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}
export UNIT_TIMEOUT=${UNIT_TIMEOUT:-300}

if [ "${1:-}" = --one ]; then
    rv=0
    timeout "$UNIT_TIMEOUT" "$2" >"$2.log" 2>&1 </dev/null || rv=$?
    echo "$rv" >"$2.rc"
    exit 0
fi

if [ $# = 0 ]; then
    echo "unit: there are no tests to run" >&2
    exit 1
fi

printf '%s\0' "$@" | xargs -0 -n 1 -P "$(nproc)" "$0" --one

# The count of lines of a log that match.
count() {
    grep -c -E "$1" "$2" || true
}

passed_all=0
failed_all=0
for program in "$@"; do
    log=$program.log
    rv=$(cat "$program.rc")
    passed=$(count '^\[       OK \] ' "$log")
    skipped=$(count '^\[  SKIPPED \] .' "$log")
    announced=$(sed -n 's/^\[==========\] Running \([0-9]*\) test.*/\1/p' \
        "$log" | awk '{ n += $1 } END { print n + 0 }')
    failed=$((announced - passed - skipped))
    if [ "$failed" -le 0 ]; then
        failed=0
        # Leaks and crashes outside a test show only in the exit code.
        if [ "$rv" != 0 ] || [ "$announced" = 0 ]; then
            failed=1
        fi
    fi
    name=${program##*/test/unit/}
    if [ "$failed" -gt 0 ]; then
        echo "FAILED $name: $passed passed, $failed failed (exit code $rv)"
        awk '!/^\[( RUN  |       OK )/ && n++ < 200' "$log"
        echo "  the whole log: $log"
    else
        echo "ok     $name: $passed passed${skipped:+$(
            [ "$skipped" = 0 ] || echo ", $skipped skipped")}"
    fi
    passed_all=$((passed_all + passed))
    failed_all=$((failed_all + failed))
done
echo "unit: $passed_all passed, $failed_all failed"
[ "$failed_all" = 0 ]
