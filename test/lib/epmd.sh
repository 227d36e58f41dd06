# shellcheck shell=sh
# SPDX-License-Identifier: Apache-2.0
# start_epmd PORT: an epmd on the loopback that answers when this returns; the
# daemon's own exit code comes before it listens.
start_epmd() {
    epmd -port "$1" -address 127.0.0.1 -daemon
    tries=0
    until epmd -port "$1" -names >/dev/null 2>&1; do
        tries=$((tries + 1))
        if [ "$tries" -gt 100 ]; then
            echo "epmd does not answer at port $1" >&2
            return 1
        fi
        sleep 0.1
    done
}
