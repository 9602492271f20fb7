#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# From a fresh clone to a running node: packages, release build, start, and lines to paste.
set -eu

usage() {
    cat <<'TEXT'
usage: ./deploy/quickstart.sh [--data DIR] [--http ADDRESS:PORT] [--detach | --build-only]
       ./deploy/quickstart.sh --stop [--data DIR]

Installs what is missing (Debian 12 packages, with root or sudo), builds Keyreeve into
build/release/bin, starts a node, and prints curl lines for the life of a first key.

  --data DIR           the node's directory (default ./data); an existing one is served again
  --http ADDRESS:PORT  where it listens (default 127.0.0.1:7400; port 0: any free one)
  --detach             return as soon as the node is ready; it goes on in the background, its log
                       is DIR/keyreeved.log. Without it the node runs here until Ctrl-C
  --build-only         install and build, start nothing
  --stop               stop the node of DIR cleanly
  --no-packages        install nothing: trust that all is there
  --help               this text

A node that is ready has written DIR/owner-token (the owner's token, 0600), DIR/keyreeved.pid and
DIR/http-address (where it listens).

Exit codes: 0 done; 1 something failed, the last line says what; 2 wrong usage.
TEXT
}

say() {
    printf 'quickstart: %s\n' "$*"
}

fail() {
    printf 'quickstart: %s\n' "$*" >&2
    exit 1
}

refuse() {
    printf 'quickstart: %s; --help shows the usage\n' "$*" >&2
    exit 2
}

# --- a node by its directory ----------------------------------------------------------------------

# Alive: there, and no zombie that waits for its parent.
is_alive() {
    [ -r "/proc/$1/stat" ] || return 1
    case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in
    '' | Z* | X*) return 1 ;;
    esac
}

# The pid of the keyreeved that serves $data, else nothing.
running_pid() {
    [ -r "$data/keyreeved.pid" ] || return 0
    pid=$(cat "$data/keyreeved.pid")
    is_alive "$pid" || return 0
    # The number may have gone to another program since, or to the node of another directory; another
    # user's files cannot be looked at.
    [ -r "/proc/$pid/fd" ] || [ "$(cat "/proc/$pid/comm" 2>/dev/null)" != keyreeved ] || echo "$pid"
    for open_file in "/proc/$pid/fd"/*; do
        [ "$open_file" -ef "$data/lock" ] && echo "$pid" && break
    done
    return 0
}

stop_node() {
    [ -d "$data" ] || fail "there is no directory $data"
    pid=$(running_pid)
    if [ -z "$pid" ]; then
        say "no node runs on $data"
        return 0
    fi
    kill -TERM "$pid" 2>/dev/null ||
        fail "cannot signal process $pid; it belongs to another user: stop it as that one, or root"
    tenths=0
    while is_alive "$pid"; do
        tenths=$((tenths + 1))
        [ $tenths -le 600 ] || fail "process $pid has not ended within a minute; see its log"
        sleep 0.1
    done
    say "stopped (process $pid)"
}

# --- building -------------------------------------------------------------------------------------

build() {
    [ $has_packages = yes ] || "$root/deploy/packages.sh" build run
    say "building into build/release/bin (some minutes the first time)"
    log=$root/build/quickstart.log
    mkdir -p "$root/build"
    if ! (cd "$root" && cmake --preset release &&
        cmake --build --preset release --target keyreeved keyreeve keyreeve-bench) >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        fail "the build failed; all of its output is in $log"
    fi
    say "built keyreeved, keyreeve and keyreeve-bench in build/release/bin"
}

# A taken port would be found at the start, but only after the build.
check_port() {
    port=${http##*:}
    case $port in
    '' | *[!0-9]*) refuse "--http $http: write ADDRESS:PORT, like 127.0.0.1:7400" ;;
    0) return 0 ;;
    esac
    hex=$(printf ':%04X' "$port")
    for table in /proc/net/tcp /proc/net/tcp6; do
        # Column 2 is the local address, column 4 the state; 0A listens.
        if [ -r $table ] && awk -v port="$hex" -v local="$(local_hex)" '
            $4 == "0A" && substr($2, length($2) - 4) == port {
                address = substr($2, 1, length($2) - 5)
                if (local == "" || address == local || address ~ /^0+$/) found = 1
            }
            END { exit !found }' $table; then
            fail "port $port is in use by another process (ss -ltnp shows which): stop that, or" \
                "choose another port with --http ADDRESS:PORT"
        fi
    done
}

# An IPv4 address as /proc/net/tcp writes it (little-endian); nothing for other forms.
local_hex() {
    echo "${http%:*}" | awk -F. 'NF == 4 { printf "%02X%02X%02X%02X", $4, $3, $2, $1 }'
}

# --- starting -------------------------------------------------------------------------------------

ready_status() {
    curl -s -o /dev/null -m 2 -w '%{http_code}' "$1/readyz" 2>/dev/null || true
}

# Waits for child $1 to be ready, and sets url. Loading many keys takes a while; a dead child ends
# the waiting.
await_ready() {
    tenths=0
    url=
    while is_alive "$1"; do
        if [ -r "$data/http-address" ] && [ -r "$data/keyreeved.pid" ] &&
            [ "$(cat "$data/keyreeved.pid")" = "$1" ]; then
            url=http://$(cat "$data/http-address")
            [ "$(ready_status "$url")" = 200 ] && return 0
        fi
        tenths=$((tenths + 1))
        [ $((tenths % 100)) -eq 0 ] && say "waiting for the node: $((tenths / 10)) s"
        sleep 0.1
    done
    return 1
}

# Prints the lines that take a key through its life.
print_tour() {
    cat <<TEXT

Keyreeve serves on $url
  data         $data
  owner token  $1
  log          $2
  stop         $3

Paste these lines into another shell; each prints what the node answers.

TOKEN=\$(cat '$data/owner-token')
BUCKET=$url/v1/accounts/default/key-buckets/production
TEXT
    cat <<'TEXT'
# A consumer (answers 409 if it is there from an earlier run), and a key for it:
curl -sS "$BUCKET/consumers" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"metadata":{"testId":"1234"},"name":"my-consumer"}'; echo
CREATED=$(curl -sS "$BUCKET/consumers/my-consumer/keys" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"description":"My first API Key"}'); echo "$CREATED"
KEY=$(echo "$CREATED" | sed -n 's/.*"key": *"\([^"]*\)".*/\1/p'); ID=$(echo "$CREATED" | sed -n 's/.*"id": *"\(key_[^"]*\)".*/\1/p')
TEXT
    cat <<TEXT
# Is it good? "code":"VALID"
curl -sS $url/v1/validate -H 'Content-Type: application/json' -d "{\"key\":\"\$KEY\"}"; echo
TEXT
    cat <<'TEXT'
# Revoke it; the receipt says which node has applied that, and when:
curl -sS -X POST "$BUCKET/consumers/my-consumer/keys/$ID/revoke" -H "Authorization: Bearer $TOKEN" -H 'Content-Type: application/json' -d '{"reason":"keyCompromise"}'; echo
TEXT
    cat <<TEXT
# And now? "code":"REVOKED"
curl -sS $url/v1/validate -H 'Content-Type: application/json' -d "{\"key\":\"\$KEY\"}"; echo

TEXT
}

# The token itself is shown once, when the first start has made it.
token_line() {
    if [ $is_first_start = yes ]; then
        cat "$data/owner-token"
    else
        echo "in $data/owner-token"
    fi
}

# A second node beside the usual one takes any free port for the binary protocol.
binary_address() {
    if [ "${http##*:}" = 7400 ]; then echo "${http%:*}:7401"; else echo "${http%:*}:0"; fi
}

# The settings of a node that is installed on this machine are not for this one: --config /dev/null.
start_detached() {
    log=$data/keyreeved.log
    (umask 077 && printf '\n' >>"$log")
    first_line=$(wc -l <"$log")
    setsid "$root/build/release/bin/keyreeved" --config /dev/null --data "$data" --http "$http" \
        --binary-listen "$(binary_address)" >>"$log" 2>&1 </dev/null &
    child=$!
    if ! await_ready $child; then
        sed "1,${first_line}d" "$log" | tail -n 5 >&2
        fail "the node did not start; its last lines stand above, all of them in $log"
    fi
    print_tour "$(token_line)" "$log" "./deploy/quickstart.sh --stop --data '$data'"
}

# A signal to this script is passed on; the node then stops cleanly, and the wait goes on.
pass_on() {
    is_interrupted=yes
    kill -TERM $child 2>/dev/null || true
}

start_here() {
    trap pass_on INT TERM HUP
    "$root/build/release/bin/keyreeved" --config /dev/null --data "$data" --http "$http" \
        --binary-listen "$(binary_address)" >/dev/null &
    child=$!
    if await_ready $child; then
        print_tour "$(token_line)" 'below' 'Ctrl-C'
    fi
    is_interrupted=yes
    while [ $is_interrupted = yes ]; do
        is_interrupted=no
        code=0
        wait $child || code=$?
    done
    # 127: a signal came in the moment of its end, and its code has been collected already.
    [ "$code" -eq 0 ] || [ "$code" -eq 127 ] ||
        fail "the node ended with code $code; its last line says why"
}

# --- what is asked --------------------------------------------------------------------------------

root=$(cd "$(dirname "$0")/.." && pwd)
data=./data
http=127.0.0.1:7400
action=run
has_packages=no

while [ $# -gt 0 ]; do
    case $1 in
    --data | --http)
        [ $# -ge 2 ] || refuse "$1 needs a value"
        if [ "$1" = --data ]; then data=$2; else http=$2; fi
        shift
        ;;
    --data=*) data=${1#*=} ;;
    --http=*) http=${1#*=} ;;
    --detach | --build-only | --stop)
        [ "$action" = run ] || refuse "--$action and $1 exclude each other"
        action=${1#--}
        ;;
    --no-packages) has_packages=yes ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) refuse "unknown option $1" ;;
    esac
    shift
done
[ -n "$data" ] || refuse "--data must not be empty"
case $data in
*"'"*) refuse "--data: no quotes in the path, please" ;;
/*) ;;
*) data=$PWD/${data#./} ;;
esac

if [ "$action" = stop ]; then
    stop_node
    exit 0
fi
if [ "$action" = build-only ]; then
    build
    exit 0
fi

pid=$(running_pid)
if [ -n "$pid" ]; then
    is_first_start=no
    url=http://$(cat "$data/http-address")
    say "a node (process $pid) serves $data already"
    print_tour "$(token_line)" 'where it was started' "./deploy/quickstart.sh --stop --data '$data'"
    exit 0
fi
check_port
build
(umask 077 && mkdir -p "$data") || fail "cannot make the directory $data"
is_first_start=yes
[ ! -e "$data/owner-token" ] || is_first_start=no
if [ "$action" = detach ]; then
    start_detached
else
    start_here
fi
