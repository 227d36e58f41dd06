#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Words that have no place in our sources. A line that must have one says
# `allowed: why` in a comment.
. "$(dirname "$0")/common.sh"

# banned WHY PATTERN FILE...: comments, character and string constants are
# taken out first, so that prose may name what code may not use.
banned() {
    local why=$1 pattern=$2 hit
    shift 2
    [ $# -gt 0 ] || return 0
    while IFS= read -r hit; do
        finding "$hit: $why"
    done < <(awk -v pattern="$pattern" '
        FNR == 1 { comment = 0 }
        /allowed: [a-z]/ { next }
        {
            code = $0
            if (FILENAME ~ /\.[ch]$/) {
                gsub(/"(\\.|[^"\\])*"/, "\"\"", code)
                if (comment) {
                    if (!sub(/^.*\*\//, "", code)) next
                    comment = 0
                }
                gsub(/\/\*([^*]|\*[^\/])*\*\//, "", code)
                if (sub(/\/\*.*/, "", code)) comment = 1
                sub(/\/\/.*/, "", code)
            } else if (FILENAME ~ /\.[eh]rl$/) {
                gsub(/"(\\.|[^"\\])*"/, "\"\"", code)
                sub(/%.*/, "", code)
            } else {
                gsub(/"(\\.|[^"\\])*"/, "\"\"", code)
                sub(/#.*/, "", code)
            }
            if (match(code, pattern)) {
                word = substr(code, RSTART, RLENGTH)
                gsub(/[^A-Za-z0-9_:]/, "", word)
                print FILENAME ":" FNR ": " word
            }
        }' "$@")
}

# A name with nothing of a name before it, and a parenthesis behind it.
calls() {
    echo "(^|[^A-Za-z0-9_.>])($1)[ ]*\\("
}

mapfile -t c_files < <(files_in "c h" c_src)
mapfile -t c_tests < <(files_in "c h" test)
mapfile -t erl_files < <(files_in "erl hrl" erl)
mapfile -t ex_files < <(files_in "ex" erl)
mapfile -t all < <(files_in "c h erl hrl ex exs sh" c_src erl test .ci |
    grep -v '^test/check/')
mapfile -t not_mem < <(printf '%s\n' "${c_files[@]}" |
    grep -v '^c_src/base/mem\.[ch]$')

banned "it writes or reads without a limit, or hides errors" \
    "$(calls 'sprintf|vsprintf|strcpy|strcat|strncpy|strncat|strtok|gets|atoi|atol|atoll|atof|alloca')" \
    "${c_files[@]}" "${c_tests[@]}"
banned "what it makes of a number that is too large is not defined" \
    "$(calls 'scanf|sscanf|fscanf')" "${c_files[@]}"
banned "use a pipe-free way, a seeded generator (base/rng.h), or OpenSSL" \
    "$(calls 'system|popen|rand|srand|random|srandom|drand48|tmpnam|mktemp')" \
    "${c_files[@]}"
banned "allocate through base/mem.h" \
    "$(calls 'malloc|calloc|realloc|reallocarray|strdup|strndup|asprintf|vasprintf|free')" \
    "${not_mem[@]}"
banned "use ensure() of base/ensure.h, which stays on in release builds" \
    "$(calls 'assert')" "${c_files[@]}"

banned "atoms are never freed; make no atom of what somebody sends" \
    "$(calls 'list_to_atom|binary_to_atom')" "${erl_files[@]}"
banned "use logger" "$(calls 'io:format|io:fwrite|erlang:display')" \
    "${erl_files[@]}"
banned "atoms are never freed; make no atom of what somebody sends" \
    '(String\.to_atom|binary_to_atom|List\.to_atom)' "${ex_files[@]}"
banned "use Logger" '(IO\.(puts|inspect))' "${ex_files[@]}"

while IFS= read -r hit; do
    finding "$hit"
done < <([ ${#all[@]} = 0 ] || grep -n -H -w -E 'TODO|FIXME|XXX|HACK' \
    "${all[@]}" || true)

conclude banned "${#all[@]} files"
