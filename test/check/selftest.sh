#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Proves that the checks can fail: each one sees a small clean tree, says
# nothing, then sees it with one fault, and must name it.
set -euo pipefail
cd "$(dirname "$0")/../.."

here=$PWD/test/check
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

# A tree with nothing to find.
fresh() {
    rm -rf "$work/tree"
    mkdir -p "$work/tree"/{c_src/base,c_src/raft,c_src/io,erl,test,priv,.ci}
    cp c_src/layers.txt "$work/tree/c_src/"
    cp .clang-format "$work/tree/"
    printf '%s\n' '/* SPDX-License-Identifier: Apache-2.0 */' \
        'int one(void);' >"$work/tree/c_src/base/one.h"
    printf '%s\n' '/* SPDX-License-Identifier: Apache-2.0 */' \
        '#include "base/one.h"' '' 'int one(void)' '{' '    return 1;' '}' \
        >"$work/tree/c_src/base/one.c"
    printf '%s\n' '%% SPDX-License-Identifier: Apache-2.0' '-module(one).' \
        >"$work/tree/erl/one.erl"
    printf '%s\n' '#!/bin/bash' '# SPDX-License-Identifier: Apache-2.0' \
        'echo one' >"$work/tree/test/one.sh"
}

# Appends lines to a file of the tree.
append() {
    local file=$work/tree/$1
    shift
    printf '%s\n' "$@" >>"$file"
}

core_archive() {
    (cd "$work/tree" && gcc -Ic_src -c c_src/base/one.c -o one.o &&
        ar rcs priv/core.a one.o)
}

note() {
    local verdict=$1
    shift
    if [ "$verdict" = ok ]; then
        passed=$((passed + 1))
    else
        failed=$((failed + 1))
        echo "FAILED: $*"
        sed 's/^/    /' "$work/output"
    fi
}

run() {
    local check=$1
    shift
    ROOT=$work/tree ALLOWED=$here/purity_allowed.txt "$here/$check.sh" "$@" \
        >"$work/output" 2>&1
}

# accepts CHECK [ARGUMENT...]
accepts() {
    if run "$@"; then note ok; else note bad "$1 refuses a clean tree"; fi
}

# refuses PATTERN CHECK [ARGUMENT...]: it fails, and says why.
refuses() {
    local pattern=$1
    shift
    if run "$@"; then
        note bad "$1 does not see: $pattern"
    elif ! grep -q -E "$pattern" "$work/output"; then
        note bad "$1 fails, but does not say: $pattern"
    else
        note ok
    fi
}

fresh
core_archive
accepts format
accepts ranks
accepts banned
accepts length
accepts shell
accepts purity priv/core.a

fresh
append c_src/base/one.c 'int  two ( void );'
refuses 'one.c:.*clang-format' format
fresh
append erl/one.erl "%$(printf '%0100d' 0)"
refuses 'one.erl:3: 101 columns' format
fresh
append erl/one.erl "$(printf 'one() ->\tok.')"
refuses 'one.erl:3: a tab' format
fresh
append erl/one.erl 'one() -> ok. '
refuses 'one.erl:3: blanks' format
fresh
printf '%s\n' 'int two(void);' >"$work/tree/c_src/base/two.h"
refuses 'two.h:1: .*SPDX' format
fresh
mkdir "$work/tree/erl/elixir"
append erl/elixir/one.ex '# SPDX-License-Identifier: Apache-2.0' 'x   =  1'
refuses 'one.ex' format

fresh
printf '%s\n' '#include "raft/two.h"' >>"$work/tree/c_src/base/one.c"
touch "$work/tree/c_src/raft/two.h"
refuses 'base \(rank 0\) must not include raft' ranks
fresh
mkdir "$work/tree/c_src/etf"
touch "$work/tree/c_src/etf/two.h"
append c_src/raft/two.c '#include "etf/two.h"'
refuses 'raft \(rank 1\) must not include etf \(rank 1\)' ranks
fresh
append c_src/raft/two.c '#include <uv.h>'
refuses 'raft must not include <uv.h>' ranks
fresh
append c_src/raft/two.c '  #  include "base/two.h"'
refuses 'two.c:1: "base/two.h" is not below c_src' ranks
fresh
mkdir "$work/tree/c_src/extra"
append c_src/extra/two.c 'int two;'
refuses 'folder extra is not in' ranks
fresh
mkdir "$work/tree/c_src"/{cli,node}
touch "$work/tree/c_src/node/two.h"
append c_src/cli/two.c '#include "node/two.h"'
refuses 'cli \(rank 5\) must not include node \(rank 5\)' ranks
mv "$work/tree/c_src/cli"/{two,main}.c
accepts ranks
fresh
append c_src/io/two.c '#include <uv.h>' '#include "raft/two.h"'
touch "$work/tree/c_src/raft/two.h"
accepts ranks

fresh
append c_src/base/one.c '#include <time.h>' \
    'long now(void);' 'long now(void) { return time(0); }'
core_archive
refuses 'one.o needs time' purity priv/core.a
fresh
append c_src/base/one.c '#include <stdlib.h>' \
    'void *get(void);' 'void *get(void) { return malloc(1); }'
core_archive
refuses 'one.o needs malloc' purity priv/core.a
fresh
refuses 'no such file' purity priv/core.a

for word in sprintf strcpy strtok atoi system malloc free assert rand; do
    fresh
    append c_src/base/one.c "void two(void) { $word(0); }"
    refuses "one.c:8: $word" banned
done
fresh
append c_src/base/one.c '/* system(1), */ int two; /* and' \
    'malloc(2) */ int my_free(int), buf_free(int);' \
    'const char *text = "atoi(x)";'
accepts banned
fresh
append c_src/base/one.c '/* TO''DO: more */'
refuses 'one.c:8:.*TO''DO' banned
fresh
append erl/one.erl 'one(X) -> list_to_atom(X).'
refuses 'one.erl:3: list_to_atom' banned
fresh
append erl/one.erl 'one(X) -> io:format(X).'
refuses 'one.erl:3: io:format' banned
fresh
append erl/one.erl 'one(X) -> io:format(X). % allowed: a demonstration'
accepts banned

fresh
for _ in {1..500}; do echo '/* line */'; done >>"$work/tree/c_src/base/one.c"
refuses 'one.c: 507 lines' length
fresh
mkdir "$work/tree/c_src/node"
append c_src/node/version.h '#define QUORATE_VERSION "1.2.3"'
append erl/quorate.app.src '{application, quorate, [{vsn, "1.2.3"}]}.'
accepts version
append erl/quorate.app.src '{application, quorate, [{vsn, "1.2.4"}]}.'
refuses '1.2.3.*1.2.4' version
fresh
append test/one.sh 'if'
refuses 'one.sh: syntax' shell

echo "selftest: $passed passed, $failed failed"
[ "$failed" = 0 ]
