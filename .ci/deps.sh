#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing of the packages in .ci/packages.txt.
#   deps.sh build|test|check     silent and without network if all is there
# DEPS=no in the environment skips it: for systems that are not Debian, and
# for those who prefer to install by hand.
set -euo pipefail

here=$(dirname "$0")
purpose=${1:-check}

case $purpose in
build) wanted='build' ;;
test) wanted='build|test' ;;
check) wanted='build|test|check' ;;
*)
    echo "deps: unknown purpose '$purpose'; use build, test or check" >&2
    exit 64
    ;;
esac

[ "${DEPS:-yes}" != no ] || exit 0

packages() {
    awk -v wanted="^($wanted)\$" '
        /^#/ { next }
        $1 ~ wanted { for (i = 2; i <= NF; i++) print $i }' \
        "$here/packages.txt"
}

if ! command -v dpkg-query >/dev/null; then
    echo "deps: this is not a Debian system; install the equivalents of" \
        "$(packages | tr '\n' ' '), then set DEPS=no" >&2
    exit 69
fi

missing() {
    local installed
    # dpkg-query exits 1 if it does not know one of the packages.
    installed=$(packages | xargs dpkg-query -W \
        -f='${db:Status-Status} ${Package}\n' 2>/dev/null |
        sed -n 's/^installed //p') || true
    comm -23 <(packages | sort -u) <(sort -u <<<"$installed")
}

list=$(missing | tr '\n' ' ')
[ -n "$list" ] || exit 0

# Two targets of one make may both come here: the second waits, looks again.
exec 9<"$0"
flock 9
list=$(missing | tr '\n' ' ')
[ -n "$list" ] || exit 0

if [ "$(id -u)" = 0 ]; then
    as_root=()
elif command -v sudo >/dev/null; then
    as_root=(sudo)
else
    echo "deps: these packages are missing: $list" >&2
    echo "deps: neither root nor sudo; run as root: apt-get install $list" >&2
    exit 69
fi

apt() {
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -q -y \
        -o DPkg::Lock::Timeout=300 -o Dpkg::Use-Pty=0 "$@" >&2
}

echo "deps: installing for '$purpose': $list" >&2
# The index may be old or absent; only after an update is a failure final.
apt update
read -ra names <<<"$list"
apt install --no-install-recommends "${names[@]}"

list=$(missing | tr '\n' ' ')
if [ -n "$list" ]; then
    echo "deps: still missing after the installation: $list" >&2
    exit 69
fi
