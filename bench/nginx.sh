#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# nginx with the shipped snippets before a node: asking over a unix socket, over TCP, and not at all.
set -euo pipefail

usage() {
    cat <<'TEXT'
usage: bench/nginx.sh [BIN]

BIN is the folder of the built programs (default build/release/bin). Needs nginx and curl. TURNS
(5) and SECONDS_A_TURN (5) come from the environment. nginx has one worker, on core 0; the node is on
core 0, too, and the generator on core 1.

Four tables of keyreeve-bench: a location that asks over the unix socket (/unix) or over TCP (/tcp)
against one that asks nobody (/none). The figures per processor second are those of nginx's worker.
TEXT
}

[ "${1:-}" = --help ] && usage && exit 0
cd "$(dirname "$0")/.."
bin=$(realpath "${1:-build/release/bin}")
turns=${TURNS:-5}
seconds=${SECONDS_A_TURN:-5}
shipped=$PWD/deploy/nginx
work=$(mktemp -d /tmp/keyreeve-nginx-bench.XXXXXX)
node_pid=
nginx_pid=

finish() {
    [ -n "$nginx_pid" ] && kill "$nginx_pid" && wait "$nginx_pid" || true
    [ -n "$node_pid" ] && kill "$node_pid" && wait "$node_pid" || true
    rm -rf "$work"
}
trap finish EXIT

# wait_for COMMAND…: until it succeeds, for half a minute.
wait_for() {
    local left=300
    until "$@" >/dev/null 2>&1; do
        left=$((left - 1))
        [ $left -gt 0 ] || { echo "bench/nginx.sh: waited in vain for: $*" >&2 && exit 1; }
        sleep 0.1
    done
}

# post PATH BODY
post() {
    curl -sf "$node$1" -H "Authorization: Bearer $(cat "$work/data/owner-token")" \
        -H 'Content-Type: application/json' -d "$2"
}

# way NAME ADDRESS: the shipped snippets once more, under names of their own, at /NAME.
way() {
    local names="s#\.keyreeve/ask#.keyreeve/ask-$1#; s#@keyreeve_#@keyreeve_$1_#; s#//keyreeve/#//keyreeve-$1/#"
    sed "$names" "$shipped/keyreeve.conf" >"$work/keyreeve-$1.conf"
    sed "$names" "$shipped/keyreeve-protect.conf" >"$work/protect-$1.conf"
    echo "include $work/keyreeve-$1.conf;"
    echo "location = /$1 { set \$keyreeve_question bucket=production; include $work/protect-$1.conf; empty_gif; }"
    echo "upstream keyreeve-$1 { server $2; keepalive 64; keepalive_requests 1000000; }" >>"$work/upstreams.conf"
}

taskset -c 0 "$bin/keyreeved" --data "$work/data" --http 127.0.0.1:0 --http-unix "$work/http.sock" \
    --trusted-proxies 127.0.0.1/32 >"$work/node.log" 2>&1 &
node_pid=$!
wait_for test -s "$work/data/http-address"
node=http://$(cat "$work/data/http-address")
wait_for curl -sf "$node/readyz"
buckets=/v1/accounts/default/key-buckets/production
post $buckets/consumers '{"name":"bench"}' >/dev/null
post $buckets/consumers/bench/keys '{}' | sed 's/.*"key":"\([^"]*\)".*/\1/' >"$work/keys"

{
    echo "worker_processes 1; worker_cpu_affinity 01; pid $work/nginx.pid; error_log $work/error.log;"
    [ "$(id -u)" -eq 0 ] && echo 'user root;'
    echo 'events { worker_connections 4096; } http { access_log off; keepalive_requests 1000000;'
    for what in client_body proxy fastcgi uwsgi scgi; do echo "${what}_temp_path $work/$what;"; done
    echo "include $work/upstreams.conf; server { listen 127.0.0.1:17481; location = /none { empty_gif; }"
    way tcp "${node#http://}"
    way unix "unix:$work/http.sock"
    echo '} }'
} >"$work/nginx.conf"
nginx -p "$work" -c "$work/nginx.conf" -g 'daemon off;' 2>"$work/nginx.log" &
nginx_pid=$!
wait_for curl -sf -H "X-API-Key: $(cat "$work/keys")" http://127.0.0.1:17481/unix
worker=$(pgrep -P "$nginx_pid")

# Twice, so that it shows what the machine did in between.
for way in unix tcp unix tcp; do
    "$bin/keyreeve-bench" serve --keys "$work/keys" --url http://127.0.0.1:17481 --path "/$way" \
        --compare-empty /none --server-pid "$worker" --cpu 1 --connections 64 --turns "$turns" \
        --seconds "$seconds"
done
