#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Proves that docs.sh can fail: it sees a copy of this repository with one
# thing changed, in the sources or in the documents, and must name it.
set -euo pipefail
cd "$(dirname "$0")/../.."

check=$PWD/test/check/docs.sh
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# What docs.sh reads; of the tests the folders are enough.
mkdir -p "$work/whole/test"
cp -r c_src erl docs README.md CHANGELOG.md LICENSE Makefile "$work/whole/"
for folder in test/*/; do
    cp -r "$folder" "$work/whole/test/"
done

# refuses PATTERN FILE SED-EXPRESSION: a tree with this change is refused, and
# the pattern is in what is said.
refuses() {
    local pattern=$1 file=$2 expression=$3 output
    cp "$work/whole/$file" "$work/kept"
    sed -i "$expression" "$work/whole/$file"
    if cmp -s "$work/kept" "$work/whole/$file"; then
        output="(the change of $file changed nothing)"
    else
        output=$(ROOT=$work/whole "$check" 2>&1) && output="(accepted) $output"
    fi
    if [[ $output != '('* ]] && grep -q -E -e "$pattern" <<<"$output"; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $expression in $file is to give: $pattern"
        tail -n 5 <<<"$output" | sed 's/^/    /'
    fi
    mv "$work/kept" "$work/whole/$file"
}

operations=docs/operations.md

refuses 'settings: the documents do not have: data_dir' \
    $operations '/^| `data_dir` | path/d'
refuses 'settings: the documents do not have: zeal' \
    c_src/config/settings.c 's/{"name", SETTING_NAME/{"zeal", SETTING_NAME/'
refuses 'settings: the sources do not have: log_level.*level.*debug' \
    $operations 's/^| `log_level` | level | info/| `log_level` | level | debug/'
refuses 'settings: the sources do not have: ttl_owner_ms.*100 to 700000' \
    $operations 's/^\(| `ttl_owner_ms`.*\)600000/\1700000/'
refuses 'settings of the application: the documents do not have: capacity' \
    $operations '/^| `capacity`/d'
refuses 'options: the documents do not have: --target' \
    $operations '/^| `--target`/d'
refuses 'commands: the sources do not have: heal' \
    $operations 's/^    quorate version/    quorate heal/'
refuses 'commands: the documents do not have: pki show' \
    $operations '/^    quorate pki show/d'
refuses 'exit codes: the documents do not have: 74' $operations '/^| 74 /d'
refuses 'flags: the sources do not have: --data-dri' \
    README.md 's/--data-dir/--data-dri/'
refuses 'log events: the documents do not have: ready' \
    $operations '/^| `ready`/d'
refuses 'log events: the sources do not have: member_down.*error' \
    $operations 's/^| `member_down` | warn/| `member_down` | error/'
refuses 'log events: the documents do not have: out_of_paper' \
    c_src/node/node_log.c 's/"out_of_memory"/"out_of_paper"/'
refuses 'calls: the documents do not have: quorate:sandbox/2' \
    docs/protocol.md 's/^| `quorate:sandbox(Id)`, `(Id, Opts)`/| `quorate:sandbox(Id)`/'
refuses 'calls: the sources do not have: quorum_manager:token/0' \
    c_src/api/functions.c 's/NAME("token"), 0/NAME("token"), 1/'
refuses 'messages to a member: the sources do not have: hallo' \
    docs/protocol.md 's/^| `raft` | binary/| `hallo` | binary/'
refuses 'messages to an agent: the documents do not have: renewed' \
    docs/protocol.md '/^| `renewed`/d'
refuses 'errors: the documents do not have: no_capacity' \
    $operations '/^| `no_capacity`/d'
refuses 'errors: the sources do not have: no_luck' \
    $operations 's/^| `no_space`/| `no_luck`/'
refuses 'limits: workers is 4096' $operations 's/4,096 | `REGISTRY/5,096 | `REGISTRY/'
refuses 'limits: the sources do not have: ETF_DEEP_MAX' \
    $operations 's/ETF_DEPTH_MAX/ETF_DEEP_MAX/'
refuses 'folders of c_src: the documents do not have: raft 1' \
    docs/architecture.md '/^│ [0-9]/s,raft/,raft ,'
refuses 'folders of c_src: the documents do not have: io 5' \
    c_src/layers.txt 's,^io  *4,io 5,'
refuses 'folders of test: the documents do not have: test/sim' \
    docs/architecture.md 's,`test/sim/`,sim,'
refuses 'proofs: the sources do not have: fencing_SUITE:frozen_walker' \
    docs/guarantees.md 's/`fencing_SUITE:frozen_worker_is_killed`/`fencing_SUITE:frozen_walker`/'
refuses 'proofs: the sources do not have: state_SUITE:kill_nine_fifty' \
    test/erl/state_SUITE.erl 's/^kill_nine_fifty(/kill_ten_fifty(/'
refuses 'architecture.md: there is no node/nose.c' \
    docs/architecture.md 's,`node/node\.c`,`node/nose.c`,'
refuses 'glossary.md: there is no raft/rift.h' \
    docs/glossary.md 's,`raft/raft\.h`,`raft/rift.h`,'
refuses 'architecture.md: there is no erl/quorate_angel.erl' \
    docs/architecture.md 's/`quorate_agent`/`quorate_angel`/'
refuses 'README.md: the link leads nowhere: docs/glossar' \
    README.md 's,(docs/glossary.md),(docs/glossar.md),'

echo "docs.prove: $passed passed, $failed failed"
[ "$failed" = 0 ]
