#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The program and the Erlang application have one version.
. "$(dirname "$0")/common.sh"

program=$(sed -n 's/^#define QUORATE_VERSION "\(.*\)"$/\1/p' \
    c_src/node/version.h)
application=$(sed -n 's/.*{vsn, "\([^"]*\)"}.*/\1/p' erl/quorate.app.src |
    tail -n 1)
if [ -z "$program" ] || [ "$program" != "$application" ]; then
    finding "c_src/node/version.h has '$program'," \
        "erl/quorate.app.src has '$application'"
fi

conclude version "version $program"
