#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# `make test`: runs every suite, whatever becomes of the others, and adds up
# what they count. A suite without tests is a failure: nothing is skipped in
# silence. What it skips by intent it names.
# Erlang suites of which a case failed run once more, if they are few: many cases bound a
# time, and a machine that is shared stands still now and then. What passes then is named
# and counted as unstable, never in silence.
#   ONLY="unit erlang"    runs only these
#   SUITE=dist_SUITE      of the Erlang suites only this one
#   CASE=one,another      of that suite only these
set -euo pipefail
cd "$(dirname "$0")/../.."

MAKE=${MAKE:-make}
logs=_build/test-logs
mkdir -p "$logs"
order='unit fuzz erlang elixir readme instructions'

passed_all=0
failed_all=0
skipped_all=0
unstable_all=0
AGAIN_MAX=3

# What an application without configuration keeps at home goes away again.
XDG_DATA_HOME=$(mktemp -d)
export XDG_DATA_HOME
trap 'rm -rf "$XDG_DATA_HOME"' EXIT

# Nodes of the tests find one another on this machine only.
export ERL_EPMD_ADDRESS=127.0.0.1
node_flags=(--name "quorate_suite_$$@127.0.0.1")
cookie=quorate_suite

# rebar3 and Mix call make again; that one is not our child.
outside() {
    env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS DEPS=no TERM=dumb "$@"
}

run_unit() {
    "$MAKE" --no-print-directory unit
}

run_fuzz() {
    "$MAKE" --no-print-directory fuzz-replay
}

run_erlang() {
    if ! compgen -G 'test/erl/*_SUITE.erl' >/dev/null; then
        echo "there is no suite in test/erl"
        return 1
    fi
    outside env QUORATE_TOP="$PWD" rebar3 ct "${node_flags[@]}" \
        --setcookie "$cookie" ${SUITE:+--suite "test/erl/$SUITE"} ${CASE:+--case "$CASE"}
}

# Names of the suites of which something failed.
failed_suites() {
    sed -n -E 's/^%%% ([a-z_0-9]+_SUITE) ==> .*: FAILED$/\1/p' \
        "$logs/erlang.log" | sort -u
}

run_erlang_again() {
    outside env QUORATE_TOP="$PWD" rebar3 ct "${node_flags[@]}" \
        --setcookie "$cookie" \
        --suite "$(failed_suites | sed 's|^|test/erl/|' | paste -sd,)"
}

run_elixir() {
    if ! compgen -G 'test/elixir/*_test.exs' >/dev/null; then
        echo "there is no test in test/elixir"
        return 1
    fi
    outside env MIX_ENV=test elixir "${node_flags[@]}" --cookie "$cookie" \
        -S mix test
}

run_readme() {
    if [ ! -x test/readme/run ]; then
        echo "there is no test/readme/run"
        return 1
    fi
    test/readme/run
}

run_instructions() {
    test/bench/instructions
}

# The last number in a log that stands before or behind the given words.
number() {
    grep -o -E "$1" "$2" | tail -n 1 | grep -o -E '[0-9]+' | head -n 1 ||
        true
}

# passed, failed and skipped tests of a suite, from its log.
tally() {
    local log=$1 total
    case $2 in
    erlang)
        # "All 12 tests passed.", "Failed 1 tests. Passed 11 tests.",
        # "Skipped 2 (2, 0) tests. Passed 10 tests."
        passed=$(number 'All [0-9]+ tests passed' "$log")
        passed=${passed:-$(number 'Passed [0-9]+ tests' "$log")}
        failed=$(number 'Failed [0-9]+ tests' "$log")
        skipped=$(number 'Skipped [0-9]+ ' "$log")
        ;;
    elixir)
        # "3 doctests, 12 tests, 1 failure, 2 skipped"
        total=$(grep -E '^([0-9]+ doctests?, )?[0-9]+ tests?, ' "$log" |
            tail -n 1 || true)
        failed=$(grep -o -E '[0-9]+ failure' <<<"$total" | cut -d' ' -f1 ||
            true)
        skipped=$(grep -o -E '[0-9]+ skipped' <<<"$total" | cut -d' ' -f1 ||
            true)
        passed=$(grep -o -E '[0-9]+ (doctest|test)' <<<"$total" |
            awk -v less="$((${failed:-0} + ${skipped:-0}))" \
                '{ n += $1 } END { print n - less }')
        ;;
    *)
        # "unit: 12 passed, 0 failed"
        passed=$(number '[0-9]+ passed, [0-9]+ failed$' "$log")
        failed=$(grep -o -E '[0-9]+ passed, [0-9]+ failed$' "$log" |
            tail -n 1 | sed 's/.*, \([0-9]*\) failed/\1/' || true)
        skipped=0
        ;;
    esac
    passed=${passed:-0}
    failed=${failed:-0}
    skipped=${skipped:-0}
}

# What failed in the Erlang suites, once more.
again() {
    local log=$logs/erlang-again.log passed_first=$passed failed_first=$failed
    local skipped_first=$skipped
    echo "--- erlang again: $failed_first failed"
    (run_erlang_again) 2>&1 </dev/null | tee "$log" || true
    tally "$log" erlang
    if [ "$failed" = 0 ] && [ "$passed" -ge "$failed_first" ]; then
        unstable_all=$((unstable_all + failed_first))
        passed=$((passed_first + failed_first))
        grep -E '^%%% .*: FAILED' "$logs/erlang.log" | sed 's/^/unstable: /'
    else
        passed=$passed_first
        failed=$failed_first
    fi
    skipped=$skipped_first
}

for suite in ${ONLY:-$order}; do
    log=$logs/$suite.log
    start=$SECONDS
    echo "--- $suite"
    rv=0
    # A function in a condition would not stop at its first error.
    set +e
    (
        set -e
        "run_$suite"
    ) 2>&1 </dev/null | tee "$log"
    rv=${PIPESTATUS[0]}
    set -e
    tally "$log" "$suite"
    if [ "$suite" = erlang ] && [ -z "${CASE:-}" ] && [ "$failed" -gt 0 ] &&
        [ "$failed" -le "$AGAIN_MAX" ] && [ -n "$(failed_suites)" ]; then
        again
        [ "$failed" != 0 ] || rv=0
    fi
    if [ "$failed" = 0 ] && { [ "$rv" != 0 ] || [ "$passed" = 0 ]; }; then
        failed=1
    fi
    echo "$suite: $passed passed, $failed failed, $skipped skipped" \
        "($((SECONDS - start)) s)"
    passed_all=$((passed_all + passed))
    failed_all=$((failed_all + failed))
    skipped_all=$((skipped_all + skipped))
done

if [ "$skipped_all" != 0 ]; then
    echo "test: $skipped_all skipped by intent, named above"
fi
if [ "$unstable_all" != 0 ]; then
    echo "test: $unstable_all unstable: failed, and passed when run again"
fi
echo "test: $passed_all passed, $failed_all failed"
[ "$failed_all" = 0 ]
