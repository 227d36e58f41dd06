#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# The pure core touches no clock, socket, file, thread or environment: what
# its archive needs from elsewhere is on the list purity_allowed.txt.
#   purity.sh ARCHIVE
. "$(dirname "$0")/common.sh"

archive=${1:-priv/libquorate_core.a}
allowed=${ALLOWED:-test/check/purity_allowed.txt}

if [ ! -f "$archive" ]; then
    finding "$archive: no such file; run make"
    conclude purity nothing
fi

# `object:symbol` of all that is needed and that no object defines.
needed() {
    nm -A "$archive" 2>/dev/null | awk -F: '
        {
            split($3, field, " ")
            if (field[1] == "U" || field[1] == "w") {
                wanted[$2 " " field[2]] = 1
            } else if (field[2] ~ /^[TtDdBbRrVWCu]$/) {
                defined[field[3]] = 1
            }
        }
        END {
            for (pair in wanted) {
                split(pair, part, " ")
                if (!(part[2] in defined)) print pair
            }
        }' | sort
}

count=0
while read -r object symbol; do
    count=$((count + 1))
    # A line allows a symbol everywhere, or only in the objects it names.
    if ! awk -v symbol="$symbol" -v object="$object" '
        $1 == symbol && NF == 1 { ok = 1 }
        $1 == symbol { for (i = 2; i <= NF; i++) if ($i == object) ok = 1 }
        END { exit !ok }' <(sed 's/#.*//' "$allowed"); then
        finding "$object needs $symbol, which pure code may not use"
    fi
done < <(needed)

conclude purity "$count references"
