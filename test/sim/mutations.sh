#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Builds the core with its known faults in reach, and demands that the random
# run finds each of them within SEEDS (20000) seeds, and nothing in the core as
# it is within CLEAN_SEEDS (1000). Says how many seeds each took.
#   mutations.sh [BUILD]    BUILD: where the program goes (default: a new folder)
#   ONLY="name name"        only these
set -euo pipefail

cd "$(dirname "$0")/../.."
build=${1:-$(mktemp -d)}
mkdir -p "$build"
program=$build/raft_mutations

# CC may be two words, for a compiler cache.
# shellcheck disable=SC2086
${CC:-gcc} -std=c11 -D_GNU_SOURCE -DRAFT_MUTATIONS -g -O2 -Ic_src -Itest \
    c_src/{base,raft,registry,cluster,command}/*.c c_src/etf/{reader,utf8}.c \
    c_src/store/wal_*.c test/sim/*.c test/sim/*/*.c -o "$program"

# In the order of enum raft_mutation.
names=(none commit_old_term ack_last vote_twice send_early learner_counts
    forget_config install_over handover_vote forget_vote stale_read
    ack_early one_half read_unapplied read_late_join read_same_ids)
# Of the command machine (enum command_mutation), of what is around it (enum
# owners_mutation), and of the log on disk (enum wal_mutation): see put_mutation() in program/sim.c.
names+=([101]=dedup_lost [102]=apply_twice [103]=expire_blind
    [104]=stale_report [105]=attach_late
    [201]=lease_uncommitted [202]=lease_short [203]=deadline_late
    [301]=torn_tail [302]=flush_ignored [303]=unproven
    [304]=marked_removed [305]=name_unflushed [306]=direct_unflushed)
failed=0
for number in "${!names[@]}"; do
    name=${names[$number]}
    if [ -n "${ONLY:-}" ] && [[ " $ONLY " != *" $name "* ]]; then
        continue
    fi
    seeds=${SEEDS:-20000}
    [ "$number" != 0 ] || seeds=${CLEAN_SEEDS:-1000}
    rv=0
    log=$build/raft_mutation_$number.log
    # One job: the first seed that finds it is the figure.
    (MUTATION=$number "$program" 0 "$seeds" 1) >"$log" 2>&1 || rv=$?
    seed=$(sed -n 's/^seed \([0-9]*\) .*/\1/p' "$log" | head -n 1)
    how=$(sed -n 's/^seed [0-9]* \(.*\); replay.*/\1/p' "$log" | head -n 1)
    if [ "$number" = 0 ]; then
        [ "$rv" = 0 ] && verdict="ok, $seeds seeds" ||
            verdict="FAILED at seed $seed: $how"
    elif [ "$rv" = 0 ]; then
        verdict="FAILED: not found in $seeds seeds"
    else
        verdict="ok, found by $((seed + 1)) seeds: $how"
    fi
    case $verdict in FAILED*) failed=1 ;; esac
    echo "mutation $name: $verdict"
done
exit "$failed"
