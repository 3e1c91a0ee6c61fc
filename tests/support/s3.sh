#!/usr/bin/env bash
# Starts and stops moto's S3 server for the object store tests: from PyPI into a venv of its own, on loopback, data in
# memory. It stands for S3's protocol as somebody else reads it, not for S3's durability.
#
#   tests/support/s3.sh start    prints KEYTRAIL_TEST_S3=http://127.0.0.1:PORT and nothing else on stdout
#   tests/support/s3.sh stop     stops the server; fine when none runs
#
#   KEYTRAIL_S3_DIR      where the server keeps its log and pid (default: target/s3)
#   KEYTRAIL_S3_VENV     where moto is kept between runs
#
# Exit codes are Keytrail's own: 0 done, 2 usage, 4 not available.
set -euo pipefail

readonly VERSION=5.1.22
readonly START_SECONDS=30

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
state=$(realpath -m -- "${KEYTRAIL_S3_DIR:-$root/target/s3}")
venv=$(realpath -m -- "${KEYTRAIL_S3_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/keytrail/moto-$VERSION}")
readonly root state venv

unavailable() {
    printf 's3.sh: %s\n' "$*" >&2
    exit 4
}

# The pid of our server, or nothing: after a reboot the number may be another process's.
running_pid() {
    local pid
    [[ -f $state/pid ]] || return 0
    pid=$(<"$state/pid")
    if ps -p "$pid" -o args= 2>/dev/null | grep -qF -- "$venv/bin/"; then
        printf '%s' "$pid"
    fi
}

start() {
    local port
    [[ -z $(running_pid) ]] || unavailable "a server runs already; stop it first"
    command -v python3 >/dev/null || unavailable "python3 is not installed"
    if [[ ! -x $venv/bin/moto_server ]]; then
        python3 -m venv "$venv" || unavailable "python3 cannot make a venv"
        "$venv/bin/pip" install --quiet --disable-pip-version-check "moto[s3,server]==$VERSION" >&2 \
            || unavailable "moto cannot be installed"
    fi
    mkdir -p "$state"
    port=$("$venv/bin/python" -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
    nohup "$venv/bin/moto_server" -H 127.0.0.1 -p "$port" >"$state/log" 2>&1 &
    printf '%s' $! >"$state/pid"
    for ((i = 0; i < START_SECONDS * 10; i++)); do
        # The bucket that the test uses; it answers once the server listens.
        if "$venv/bin/python" -c "
import urllib.request
urllib.request.urlopen(urllib.request.Request('http://127.0.0.1:$port/keytrail', method='PUT'), timeout=1)" 2>/dev/null; then
            printf 'KEYTRAIL_TEST_S3=http://127.0.0.1:%s\n' "$port"
            return 0
        fi
        sleep 0.1
    done
    stop
    unavailable "the server did not answer; see $state/log"
}

stop() {
    local pid
    pid=$(running_pid)
    if [[ -n $pid ]]; then kill "$pid"; fi
    rm -f "$state/pid"
}

case "${1:-}" in
    start) start ;;
    stop) stop ;;
    *)
        printf 'usage: s3.sh start|stop\n' >&2
        exit 2
        ;;
esac
