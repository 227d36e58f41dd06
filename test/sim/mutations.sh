#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the core with its known bugs in reach and demands that the random run
# finds each of them, and nothing in the core as it is.
#   mutations.sh [BUILD]    BUILD: where the program goes (default: a new folder)
set -euo pipefail

cd "$(dirname "$0")/../.."
build=${1:-$(mktemp -d)}
mkdir -p "$build"
program=$build/raft_mutations

# CC may be two words, for a compiler cache.
# shellcheck disable=SC2086
${CC:-gcc} -std=c11 -D_GNU_SOURCE -DRAFT_MUTATIONS -g -O1 -Ic_src -Itest \
    c_src/base/*.c c_src/raft/*.c test/sim/*.c \
    test/unit/raft/swarm_test.c -lcmocka -o "$program"

names=(none commit_old_term ack_last vote_twice send_early learner_counts
    forget_config install_over)
failed=0
for number in "${!names[@]}"; do
    rv=0
    log=$build/raft_mutation_$number.log
    MUTATION=$number timeout 300 "$program" >"$log" 2>&1 || rv=$?
    seed=$(sed -n 's/.*replay with SEED=\([0-9]*\).*/\1/p' "$log" | head -n 1)
    if [ "$number" = 0 ]; then
        [ "$rv" = 0 ] && verdict="ok" || verdict="FAILED at seed $seed"
    elif [ "$rv" = 0 ] || [ "$rv" = 124 ]; then
        verdict="FAILED: not found"
    else
        verdict="ok, found at seed $seed"
    fi
    case $verdict in FAILED*) failed=1 ;; esac
    echo "mutation ${names[$number]}: $verdict"
done
exit "$failed"
