#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The fuzz targets that make has built in a folder.
#   fuzz.sh run FOLDER SECONDS NAME...    libFuzzer, one target after another;
#                                         new inputs stay in FOLDER/corpus
#   fuzz.sh replay FOLDER NAME...         every input of the corpus, once
# What a target stumbles over is put into FOLDER/findings; in the corpus it
# becomes a test of `make test`.
set -euo pipefail
cd "$(dirname "$0")/../.."

mode=$1
folder=$2
shift 2
passed=0
failed=0

export ASAN_OPTIONS=${ASAN_OPTIONS:-detect_leaks=1}
export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1:halt_on_error=1}

run() {
    local seconds=$1 name corpus findings=$folder/findings
    shift
    mkdir -p "$findings"
    for name in "$@"; do
        corpus=$folder/corpus/$name
        mkdir -p "$corpus" "test/fuzz/corpus/$name"
        local options=(-max_total_time="$seconds" -timeout=10
            -rss_limit_mb=2048 -print_final_stats=1 -verbosity=0
            -artifact_prefix="$findings/$name-")
        if [ -f "test/fuzz/$name.dict" ]; then
            options+=(-dict="test/fuzz/$name.dict")
        fi
        if "$folder/fuzz/$name" "${options[@]}" "$corpus" \
            "test/fuzz/corpus/$name" >"$folder/$name.log" 2>&1; then
            passed=$((passed + 1))
            echo "ok     $name: $(sed -n \
                's/^stat::number_of_executed_units: *//p' \
                "$folder/$name.log") runs in $seconds s"
        else
            failed=$((failed + 1))
            echo "FAILED $name: see $folder/$name.log, $findings"
            tail -n 40 "$folder/$name.log"
        fi
    done
}

replay() {
    local name inputs
    for name in "$@"; do
        inputs=$(find "test/fuzz/corpus/$name" -type f 2>/dev/null | wc -l)
        if [ "$inputs" = 0 ]; then
            failed=$((failed + 1))
            echo "FAILED $name: there is nothing in test/fuzz/corpus/$name"
        elif "$folder/fuzz/$name" "test/fuzz/corpus/$name" \
            >"$folder/$name.log" 2>&1; then
            passed=$((passed + inputs))
            echo "ok     $name: $inputs inputs"
        else
            failed=$((failed + 1))
            echo "FAILED $name: see $folder/$name.log"
            tail -n 40 "$folder/$name.log"
        fi
    done
}

case $mode in
run | replay) ;;
*)
    echo "fuzz: unknown mode '$mode'; use run or replay" >&2
    exit 64
    ;;
esac
"$mode" "$@"
if [ $((passed + failed)) = 0 ]; then
    echo "fuzz: there is no target in test/fuzz" >&2
    failed=1
fi
echo "fuzz: $passed passed, $failed failed"
[ "$failed" = 0 ]
