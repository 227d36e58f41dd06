#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# clang-tidy (.clang-tidy) over all of c_src. A file that has passed is not
# looked at again until it, a header of it, or the rules change.
. "$(dirname "$0")/common.sh"

export ERL_INCLUDE=${ERL_ROOT:-/usr/lib/erlang}/usr/include
export CACHE=_build/tidy
mkdir -p "$CACHE"

tidy_one() {
    local file=$1 key log
    local flags=(-std=c11 -D_GNU_SOURCE -Ic_src -isystem "$ERL_INCLUDE")

    key=$(
        {
            # Comments count too: NOLINT is one.
            clang -E -C "${flags[@]}" "$file"
            cat .clang-tidy
        } 2>&1 | sha256sum | cut -d' ' -f1
    )
    [ ! -e "$CACHE/$key" ] || return 0
    log=$CACHE/$(tr / _ <<<"$file").log
    if clang-tidy --quiet "$file" -- "${flags[@]}" >"$log" 2>"$log.err"; then
        touch "$CACHE/$key"
    else
        # What failed may be a file that does not compile: errors go there.
        cat "$log"
        grep -v -E 'warnings? (generated|treated)|^Suppressed' "$log.err" || true
        return 1
    fi
}
export -f tidy_one

mapfile -t files < <(files_in "c" c_src)
if ! printf '%s\0' "${files[@]}" |
    xargs -0 -n 1 -P "$(nproc)" bash -c 'tidy_one "$1"' _; then
    finding "clang-tidy has something to say"
fi

conclude tidy "${#files[@]} files"
