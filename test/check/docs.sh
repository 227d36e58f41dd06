#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Whether the documents agree with the sources, in both directions: settings,
# options, exit codes, log events, errors, limits, calls, folders, files, links.
# What both have is written down in the same form, then compared.
#   docs.sh          compares
#   docs.sh prove    before that, proves for each comparison that it can fail
if [ "${1:-}" = prove ]; then
    "$(dirname "$0")/docs.prove.sh" || exit 1
fi
. "$(dirname "$0")/common.sh"

# Bytes are enough, and much faster; comm wants the order of sort.
export LC_ALL=C

operations=docs/operations.md
protocol=docs/protocol.md
architecture=docs/architecture.md

# same WHAT FIRST SECOND: two lists of lines (code, documents) must be equal,
# and must not be empty: that would be a pattern which finds nothing.
compared=0
same() {
    local what=$1 line code documented
    code=$(sort -u <<<"$2")
    documented=$(sort -u <<<"$3")
    compared=$((compared + $(wc -l <<<"$code")))
    if [ -z "$code" ]; then
        finding "$what: found none in the sources"
    fi
    if [ -z "$documented" ]; then
        finding "$what: found none in the documents"
    fi
    while IFS= read -r line; do
        [ -z "$line" ] || finding "$what: the documents do not have: $line"
    done < <(comm -23 <(echo "$code") <(echo "$documented"))
    while IFS= read -r line; do
        [ -z "$line" ] || finding "$what: the sources do not have: $line"
    done < <(comm -13 <(echo "$code") <(echo "$documented"))
}

# A file as one line, with single blanks.
flat() {
    tr -s '\n\t ' ' ' <"$1"
}

# table FILE HEAD [N]: the rows of the Nth table (the first) whose head begins
# so: cells with single tabs between them, code marks removed.
table() {
    awk -v head="$2" -v nth="${3:-1}" '
        index($0, head) == 1 && ++seen == nth { on = 1; skip = 1; next }
        on && !/^\|/ { exit }
        on && skip { skip = 0; next }
        on {
            gsub(/`/, "")
            sub(/^\| */, "")
            sub(/ *\|$/, "")
            gsub(/ *\| */, "\t")
            print
        }' "$1"
}

# --- Settings and the command line -------------------------------------------

# name, type, default, min, max of each row of the schema.
schema() {
    flat c_src/config/settings.c |
        grep -o '{"[a-z_]*", SETTING_[^}]*}' |
        sed -E 's/^\{"([a-z_]+)", SETTING_([A-Z_]+), FIELD\([a-z_]+\), (NULL|"[^"]*"), ([^,]+), ([^,]+), .*/\1\t\2\t\3\t\4\t\5/' |
        awk -F '\t' -v OFS='\t' '{
            sub(/.*_/, "", $2)
            gsub(/NULL|"/, "", $3)
            for (i = 4; i <= 5; i++) sub(/ \* MIB/, "MiB", $i)
            for (i = 4; i <= 5; i++) sub(/ \* TIB/, "TiB", $i)
            bounds = $5 == "0" ? "" : $4 " to " $5
            print $1, tolower($2), $3, bounds
        }'
}

same settings "$(schema)" \
    "$(table $operations '| name | type | default' | cut -f 1-4)"

same "settings of the application" \
    "$(flat erl/quorate_config.erl | sed -n 's/.*-define(SETTINGS, \[\([^]]*\)\]).*/\1/p' |
        tr -d ' ' | tr ',' '\n')" \
    "$(table $operations '| name | meaning' | cut -f 1)"

same options \
    "$(flat c_src/cli/tables.c |
        grep -o '\[CLI_OPTION_[A-Z]*\] = {[^}]*}' |
        sed -E 's/.*\{"([a-z]+)", [^,]+, [^,]+, (NULL|"[A-Z_]*"),.*/--\1\t\2/; s/NULL|"//g')" \
    "$(table $operations '| option | in the environment' | cut -f 1-2)"

same commands \
    "$(flat c_src/cli/tables.c | grep -o '\[OPTIONS_[A-Z_]*\] = {"[a-z ]*"' |
        sed 's/.*"\(.*\)"/\1/')" \
    "$(awk '/^## Command line/ { on = 1 } /^\|/ && on { exit } on' $operations |
        grep -o -E '^    quorate [a-z]+( [a-z]+)?' | sed 's/^ *quorate //')"

same "exit codes" \
    "$({
        grep -h -o -E '(CLI_)?EXIT_[A-Z]+ = [0-9]+' c_src/cli/options.h
        grep -h -o -E '\bEXIT_[A-Z]+ = [0-9]+' c_src/node/*.c
    } | sed 's/.* = //')" \
    "$(table $operations '| exit code' | cut -f 1)"

# Every flag and variable that any document names.
named=$(grep -h -o -E '(^|[ `])--[a-z][a-z-]+' README.md docs/*.md |
    sed 's/^[ `]*//' | sort -u)
known=$({
    schema | cut -f 1 | tr '_' '-' | sed 's/^/--/'
    table $operations '| option | in the environment' | cut -f 1
})
while IFS= read -r flag; do
    finding "flags: the sources do not have: $flag"
done < <(comm -23 <(echo "$named") <(sort -u <<<"$known") |
    grep -v -x -e '--cookie' || true) # that one is a flag of iex

# --- What comes out of a member ----------------------------------------------

# "event level" for each log line. A level or an event may be a choice between
# two, in the same order; node_fail() logs errors of the given name.
events() {
    awk 'FNR == 1 { printf ";" } { printf "%s ", $0 }' c_src/*/*.c |
        tr -s '\t ' ' ' |
        grep -o -E '\b(log_line|node_fail)\([^;{]*[;{]' |
        awk '
            /\{$/ { next } # a definition
            /^node_fail/ {
                sub(/^[^"]*"/, "")
                sub(/".*/, "")
                print $0 "\terror"
                next
            }
            {
                whole = $0
                sub(/^log_line\(/, "")
                levels = names = $0
                sub(/,.*/, "", levels)
                sub(/^[^,]*, */, "", names)
                sub(/,.*/, "", names)
                if (names == "event") next # node_fail() itself
                n = m = 0
                while (match(levels, /LOG_[A-Z]+/)) {
                    level[++n] = tolower(substr(levels, RSTART + 4, RLENGTH - 4))
                    levels = substr(levels, RSTART + RLENGTH)
                }
                while (match(names, /"[a-z_]+"/)) {
                    name = substr(names, RSTART + 1, RLENGTH - 2)
                    names = substr(names, RSTART + RLENGTH)
                    print name "\t" level[n == 1 ? 1 : ++m]
                    seen = whole
                }
                if (seen != whole) print "not readable: " whole
            }'
}
same "log events" "$(events)" \
    "$(table $operations '| event | level' | cut -f 1-2)"

same "calls" \
    "$(flat c_src/api/functions.c |
        awk '
            {
                while (match($0, /#define [A-Z]+ NAME\("[a-z_]+"\)/)) {
                    split(substr($0, RSTART, RLENGTH), word, /[ "]/)
                    module[word[2]] = word[4]
                    $0 = substr($0, RSTART + RLENGTH)
                }
                while (match($0, /\{[A-Z]+, NAME\("[a-z_]+"\), [0-9]+/)) {
                    split(substr($0, RSTART + 1, RLENGTH - 1), word, /, |"/)
                    print module[word[1]] ":" word[3] "/" word[5]
                    $0 = substr($0, RSTART + RLENGTH)
                }
            }')" \
    "$(awk -F ' [|] ' '
        /^\| `[a-z_]+:[a-z_]+\(/ {
            cell = $1
            while (match(cell, /`[^`]+`/)) {
                span = substr(cell, RSTART + 1, RLENGTH - 2)
                cell = substr(cell, RSTART + RLENGTH)
                args = span
                sub(/^[^(]*\(/, "", args); sub(/\)$/, "", args)
                if (span ~ /^[a-z]/) { name = span; sub(/\(.*/, "", name) }
                if (sub(/^…, /, "", args)) arity += split(args, part, ",")
                else arity = split(args, part, ",")
                print name "/" arity
            }
        }' $protocol)"

# What a member understands (of agents and of members), and what it tells an
# agent.
same "kinds of messages to a member" \
    "$(grep -h -o -E 'bytes_is\(kind, "[a-z_]+"\)' c_src/node/*.c |
        sed 's/.*"\(.*\)".*/\1/')" \
    "$(table $protocol '| Kind' 1 | cut -f 1
        table $protocol '| Kind' 3 | cut -f 1)"
same "kinds of messages to an agent" \
    "$(cat c_src/node/*.c | tr -s '\n\t ' ' ' |
        grep -o -E '(agent_send|links_send_pid)\([^;{]*"[a-z_]+"' |
        sed 's/.*"\([a-z_]*\)"$/\1/')" \
    "$(table $protocol '| Kind' 2 | cut -f 1)"

# The type of the application must be explained, and what is explained must be
# something that somebody answers.
reasons=$(table $operations '| reason |' | cut -f 1)
while IFS= read -r reason; do
    grep -q -x "$reason" <<<"$reasons" ||
        finding "errors: the documents do not have: $reason"
done < <(flat erl/quorate.erl | sed 's/.*-type reason() :: \([^.]*\)\..*/\1/' |
    sed -E 's/\{([a-z_]+),[^}]*\}/\1/g' | tr '|' '\n' | tr -d ' ' | sort -u)
answered=$(grep -h -o -E '"[a-z_]+"|\{error, [a-z_]+\}' c_src/*/*.[ch] erl/*.erl |
    sed -E 's/.* //' | tr -d '"}' | sort -u)
while IFS= read -r reason; do
    finding "errors: the sources do not have: $reason"
done < <(comm -23 <(sort -u <<<"$reasons") <(echo "$answered"))

# --- Limits --------------------------------------------------------------------

# `NAME = 64 * 1024,`
constants=$'\n'$(grep -h -o -E '\b[A-Z_]+_MAX(_MS)? = [0-9][0-9 *]*|\b[A-Z_]+_MS = [0-9]+' \
    c_src/*/*.h)
rows=0
while IFS=$'\t' read -r what limit name; do
    rows=$((rows + 1))
    number=${limit%% *}
    number=${number//,/}
    case $limit in
    *KiB) number=$((number * 1024)) ;;
    *MiB) number=$((number * 1024 * 1024)) ;;
    esac
    value=${constants##*$'\n'"$name = "}
    if [[ $constants != *$'\n'"$name = "* ]]; then
        finding "limits: the sources do not have: $name"
    elif [ $((${value%%$'\n'*})) != "$number" ]; then
        finding "limits: $what is $((${value%%$'\n'*})) ($name), not $limit"
    fi
done < <(table $operations '| what | limit')
[ "$rows" -gt 0 ] || finding "limits: found none in the documents"

# --- Folders, files, links -----------------------------------------------------

# The folders that are there, and their ranks, as the drawing shows them.
same "folders of c_src" \
    "$(sed -n 's/^\([a-z]\+\) \+\([0-9]\).*/\1 \2/p' c_src/layers.txt |
        while read -r folder rank; do
            ! compgen -G "c_src/$folder/*.c" >/dev/null || echo "$folder $rank"
        done)" \
    "$(awk '
        /^```/ { on = !on; next }
        on && /^│ [0-9]/ {
            rank = substr($0, index($0, " ") + 1, 1)
            while (match($0, /[a-z]+\//)) {
                print substr($0, RSTART, RLENGTH - 1), rank
                $0 = substr($0, RSTART + RLENGTH)
            }
        }' $architecture)"

same "folders of test" \
    "$(find test -mindepth 1 -maxdepth 1 -type d)" \
    "$(grep -h -o -E '`test/[a-z0-9]+/?`' $architecture | tr -d '`' | sed 's,/$,,')"

# What proves a promise: SUITE:case and name_test:test, which exist.
proofs() {
    local name file
    while IFS=: read -r file name; do
        case $file in
        *_SUITE) file=test/erl/$file.erl ;;
        *) file=$(find test/unit -name "$file.c") ;;
        esac
        [ -f "$file" ] || continue
        if grep -q -E "^(static void )?$name\(" "$file" &&
            [ "$(grep -c -w "$name" "$file")" -ge 2 ]; then
            echo "$(basename "${file%.*}"):$name"
        fi
    done
}

promised=$(grep -o -E '`[a-zA-Z0-9_]+_(SUITE|test):[a-z0-9_]+`' docs/guarantees.md |
    tr -d '`')
same proofs "$(proofs <<<"$promised")" "$promised"

# Code in the text that looks like a path below the top, c_src, or docs. Paths
# of a data directory are not ours.
while IFS=: read -r document path; do
    case $path in
    priv/* | *_build/* | */NODE | [A-Za-z]*.*/[0-9]) continue ;;
    esac
    # A pattern names something if it matches something.
    # shellcheck disable=SC2086
    if ! compgen -G "$path" >/dev/null && ! compgen -G "c_src/$path" >/dev/null &&
        ! compgen -G "docs/$path" >/dev/null; then
        finding "$document: there is no $path"
    fi
done < <(grep -H -o -E '`[A-Za-z0-9_.*-]+(/[A-Za-z0-9_.*-]*)*`' docs/*.md \
    docs/decisions/*.md README.md | tr -d '`' |
    grep -E ':(.*/|.*\.(c|h|erl|ex|md|sh|txt|src)$)' || true)

# Modules of the application by their name alone.
while IFS=: read -r document module; do
    [ -f "erl/$module.erl" ] || finding "$document: there is no erl/$module.erl"
done < <(grep -o -E '`quorate_[a-z_]+`' $architecture docs/glossary.md | tr -d '`' |
    grep -v 'quorate_member$' || true)

while IFS=: read -r document target; do
    target=${target%%#*}
    [ -z "$target" ] || [ -e "$(dirname "$document")/$target" ] ||
        finding "$document: the link leads nowhere: $target"
done < <(grep -o -E '\]\([^)]+\)' README.md CHANGELOG.md docs/*.md docs/decisions/*.md |
    sed -E 's/:\]\((.*)\)$/:\1/' | grep -v -E ':(https?|mailto):' || true)

conclude docs "$compared facts"
