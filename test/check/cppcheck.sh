#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# cppcheck over all of c_src. A false alarm is silenced in place, with
# `cppcheck-suppress` and the reason.
. "$(dirname "$0")/common.sh"

cache=_build/cppcheck
mkdir -p "$cache"
if ! cppcheck --quiet --std=c11 -j "$(nproc)" --cppcheck-build-dir="$cache" \
    --enable=warning,style,performance,portability --inline-suppr \
    --error-exitcode=1 --suppress=missingIncludeSystem \
    --suppress=unmatchedSuppression --suppress=variableScope --suppress=normalCheckLevelMaxBranches \
    -D_GNU_SOURCE -I c_src c_src; then
    finding "cppcheck has something to say"
fi

conclude cppcheck "$(files_in "c" c_src | wc -l) files"
