#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# rebar3's checks of the Erlang application.
#   erlang.sh xref|dialyzer
. "$(dirname "$0")/common.sh"

# rebar3 runs make for the C program; not as a child of the make above us.
unset MAKEFLAGS MAKELEVEL MFLAGS
export DEPS=no TERM=dumb

if [ -z "$(files_in "erl" erl)" ]; then
    finding "there is no Erlang source in erl/"
elif ! rebar3 "$1"; then
    finding "rebar3 $1 failed"
fi

conclude "$1" "$(files_in "erl" erl | wc -l) modules"
