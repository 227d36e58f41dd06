#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Who includes whom, against c_src/layers.txt: a folder may include itself and
# folders of a lower rank; a third-party header only where the table names it.
. "$(dirname "$0")/common.sh"

declare -A rank=() headers=()
while read -r folder number allowed; do
    rank[$folder]=$number
    headers[$folder]=$allowed
done < <(grep -E '^[a-z]' c_src/layers.txt)

# Headers that are not ours and not the C library's: one prefix each.
third_party='uv.h uv/ openssl/ lmdb.h ei.h eicode.h ei_connect.h cmocka.h
    erl_nif.h erl_driver.h'

# Whether the header $1 begins with one of the words that follow.
begins_with_one_of() {
    local header=$1 prefix
    shift
    for prefix in "$@"; do
        case $header in "$prefix"*) return 0 ;; esac
    done
    return 1
}

check_include() {
    local place=$1 folder=$2 form=$3 header=$4 target=${4%%/*}
    local file=${1%%:*} own
    # A file may have a rank of its own.
    own=${rank[${file#c_src/}]:-${rank[$folder]}}

    if [ "$form" = '"' ]; then
        if [ ! -f "c_src/$header" ]; then
            finding "$place: \"$header\" is not below c_src"
        elif [ -z "${rank[$target]:-}" ]; then
            finding "$place: folder $target is not in c_src/layers.txt"
        elif [ "$target" != "$folder" ] &&
            [ "${rank[$target]}" -ge "$own" ]; then
            finding "$place: $folder (rank $own) must not include" \
                "$target (rank ${rank[$target]})"
        fi
        return
    fi
    # The words of both lists are meant to be split.
    # shellcheck disable=SC2086
    if begins_with_one_of "$header" $third_party &&
        ! begins_with_one_of "$header" ${headers[$folder]}; then
        finding "$place: $folder must not include <$header>"
    fi
}

count=0
while IFS= read -r file; do
    folder=${file#c_src/}
    folder=${folder%%/*}
    count=$((count + 1))
    if [ -z "${rank[$folder]:-}" ]; then
        finding "$file: folder $folder is not in c_src/layers.txt"
        continue
    fi
    while IFS=: read -r line text; do
        if [[ $text =~ ^[[:blank:]]*#[[:blank:]]*include[[:blank:]]*([\"\<])([^\"\>]+) ]]
        then
            check_include "$file:$line" "$folder" "${BASH_REMATCH[1]}" \
                "${BASH_REMATCH[2]}"
        else
            finding "$file:$line: not a plain #include"
        fi
    done < <(grep -n -E '^[[:blank:]]*#[[:blank:]]*include' "$file" || true)
done < <(files_in "c h" c_src)

conclude ranks "$count files"
