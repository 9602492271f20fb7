#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# A cluster on this machine: core nodes over etcd, followers, and links that can be cut.
set -eu

usage() {
    cat <<'TEXT'
usage: ./deploy/local-cluster.sh up [--engine etcd|local] [OPTION…]
       ./deploy/local-cluster.sh down | status | urls | etcd NODE
       ./deploy/local-cluster.sh kill NODE | stop NODE | start NODE
       ./deploy/local-cluster.sh cut A B | heal [A B]

Runs a cluster in four regions on loopback addresses of this machine; needs no root.

  up           builds, makes certificates, starts everything, prints the URLs
                 etcd   three core nodes over three etcd members, four followers (the default)
                 local  one leader without etcd, four followers (--standbys N: core nodes beside
                        it, that can be promoted)
               What an earlier `up` has made is started again as it is, with its --set too.
  down         stops everything; the data stays (--purge removes it)
  status       the cluster as its nodes see it (keyreeve cluster status)
  urls         name, region, role and URL of each node
  etcd NODE    a core node's way to etcd: endpoint, CA, certificate and key, as the options of
               `keyreeve-bench write`
  kill NODE    kill -9; stop NODE: a clean stop; start NODE: starts it again
               (a node's name, or etcd-1 to etcd-3)
  cut A B      holds everything between A and B, new connections too; "etcd" means all members,
               "all" every other name
  heal [A B]   lets it go on; without names: all cuts

Options:
  --dir DIR      where it lives (default ./local-cluster)
  --net N        use the addresses 127.0.N.x (default 77), so that several can run
  --bin DIR      the programs (default build/release/bin, built first)
  --standbys N   with engine local: 0 (the default) to 2
  --staleness MS maxStalenessMs of the bucket "production" (default: the server's, 60000)
  --etcd-quota N each etcd member's quota in bytes (default 2147483648)
  --set KEY=VAL  a line for every node's configuration; may be repeated, the last one of a KEY
                 counts
  --purge        with down: remove DIR
  --no-packages  install nothing: trust that all is there
  --help         this text

Exit codes: 0 done; 1 something failed, the last line says what; 2 wrong usage.
TEXT
}

say() {
    printf 'local-cluster: %s\n' "$*"
}

fail() {
    printf 'local-cluster: %s\n' "$*" >&2
    exit 1
}

refuse() {
    printf 'local-cluster: %s; --help shows the usage\n' "$*" >&2
    exit 2
}

root=$(cd "$(dirname "$0")/.." && pwd)
. "$root/deploy/local-etcd.sh"

# --- who is there ---------------------------------------------------------------------------------

# NAME REGION ROLE, a line each; the number of the line is the last part of its address.
table() {
    case $engine in
    etcd)
        cat <<'TEXT'
core-1 us-east core
core-2 us-west core
core-3 eu-west core
TEXT
        ;;
    local)
        echo core-1 us-east core
        [ "$standbys" -lt 1 ] || echo core-2 us-west core
        [ "$standbys" -lt 2 ] || echo core-3 eu-west core
        ;;
    esac
    cat <<'TEXT'
edge-us-east us-east follower
edge-us-west us-west follower
edge-eu-west eu-west follower
edge-ap-northeast ap-northeast follower
TEXT
}

names() {
    table | cut -d ' ' -f 1
}

field() {
    table | awk -v name="$1" -v field="$2" '$1 == name { print $field }'
}

address() {
    table | awk -v name="$1" -v net="$net" '$1 == name { print "127.0." net "." NR }'
}

is_node() {
    [ -n "$(field "$1" 1)" ]
}

# --- processes ------------------------------------------------------------------------------------

# The first thread, whose state this is, may have ended while others still hold locks and ports.
is_alive() {
    [ -n "$1" ] && [ -r "/proc/$1/stat" ] || return 1
    case $(sed 's/.*) //' "/proc/$1/stat" 2>/dev/null) in
    '' | X*) return 1 ;;
    Z*) [ "$(ls "/proc/$1/task" 2>/dev/null | wc -l)" -gt 1 ] ;;
    esac
}

# The pid of NAME where it runs, else nothing. The number may have gone to another program since.
pid_of() {
    [ -r "$dir/$1/pid" ] || return 0
    pid=$(cat "$dir/$1/pid")
    is_alive "$pid" && tr '\0' ' ' <"/proc/$pid/cmdline" 2>/dev/null | grep -qF "$dir/" && echo "$pid"
    return 0
}

# start_process NAME COMMAND…
start_process() {
    name=$1
    shift
    mkdir -p "$dir/$name"
    setsid "$@" >>"$dir/$name/log" 2>&1 </dev/null &
    echo $! >"$dir/$name/pid"
}

# end_process SIGNAL NAME: waits for its end.
end_process() {
    pid=$(pid_of "$2")
    [ -n "$pid" ] || return 0
    kill "-$1" "$pid" 2>/dev/null || true
    kill -CONT "$pid" 2>/dev/null || true # a paused one would never end
    tenths=0
    while is_alive "$pid"; do
        tenths=$((tenths + 1))
        [ $tenths -le 300 ] || fail "$2 (process $pid) has not ended within 30 s; see $dir/$2/log"
        sleep 0.1
    done
}

# await SECONDS WHAT COMMAND…
await() {
    limit=$(($1 * 10))
    what=$2
    shift 2
    tenths=0
    until "$@" >/dev/null 2>&1; do
        tenths=$((tenths + 1))
        [ $tenths -le $limit ] || fail "waited in vain for $what; the logs are in $dir"
        sleep 0.1
    done
}

# --- making ---------------------------------------------------------------------------------------

build() {
    case $has_packages in
    no) "$root/deploy/packages.sh" build run cluster ;;
    esac
    say "building into build/release/bin (some minutes the first time)"
    log=$root/build/local-cluster.log
    mkdir -p "$root/build"
    if ! (cd "$root" && cmake --preset release && cmake --build --preset release) >"$log" 2>&1; then
        tail -n 30 "$log" >&2
        fail "the build failed; all of its output is in $log"
    fi
}

make_certificates() {
    if [ ! -e "$dir/ca/ca.pem" ]; then
        "$bin/keyreeve" cluster init --out "$dir/ca" >>"$dir/certificates.log" 2>&1 ||
            fail "keyreeve cluster init failed; see $dir/certificates.log"
    fi
    table | while read -r name region role; do
        [ ! -e "$dir/ca/$name/node.pem" ] || continue
        "$bin/keyreeve" node add "$name" --dir "$dir/ca" --region "$region" --role "$role" \
            >>"$dir/certificates.log" 2>&1 ||
            fail "keyreeve node add $name failed; see $dir/certificates.log"
    done
}

# The peers of a node: every core node but itself, by the addresses that can be cut.
upstreams_of() {
    list=
    for name in $(names); do
        if [ "$name" != "$1" ] && [ "$(field "$name" 3)" = core ]; then
            list="$list,$(address "$name"):7403"
        fi
    done
    echo "${list#,}"
}

# Of lines with the same key the last one, at the place of the first.
last_of_each() {
    awk '{ key = $1 } !(key in at) { at[key] = ++count } { line[at[key]] = $0 }
        END { for (i = 1; i <= count; i++) print line[i] }'
}

make_config() {
    name=$1
    mkdir -p "$dir/$name"
    {
        echo "data: $dir/$name/data"
        echo "http: $(address "$name"):7400"
        echo "binary_listen: $(address "$name"):7401"
        echo "peer_bundle: $dir/ca/$name/node.pem"
        echo "peer_listen: $(address "$name"):7402"
        echo "peer_advertise: $(address "$name"):7403"
        echo "rate_limit_per_token: 0"
        echo "serve_threads: 1"
        if [ "$(field "$name" 3)" = core ]; then
            echo "master_key_file: $dir/ca/$name/master-key"
            if [ "$engine" = local ] && [ "$name" != core-1 ]; then
                echo "upstreams: $(upstreams_of "$name")"
            elif [ "$engine" = etcd ]; then
                echo "engine: etcd"
                echo "etcd_endpoints: $(etcd_endpoints_of "$name")"
                echo "etcd_quota_bytes: $(etcd_quota)"
                echo "etcd_ca_file: $dir/etcd-ca/ca.pem"
                echo "etcd_cert_file: $dir/etcd-ca/client.pem"
                echo "etcd_key_file: $dir/etcd-ca/client-key.pem"
            fi
        else
            echo "upstreams: $(upstreams_of "$name")"
        fi
        cat "$dir/settings" 2>/dev/null || true
        printf '%s' "$settings"
    } | last_of_each >"$dir/$name/keyreeve.yaml"
}

make_relay_table() {
    for name in $(names); do
        here=$(address "$name")
        echo "node $name $here"
        echo "link * $name $here:7403 $here:7402"
        if [ "$(field "$name" 3)" = core ]; then
            for member in $(etcd_names); do
                echo "link $name $member $here:239${member#etcd-} $(etcd_address "$member"):2379"
            done
        fi
    done >"$dir/relay.table"
}

# --- starting -------------------------------------------------------------------------------------

start_relay() {
    [ -z "$(pid_of relay)" ] || return 0
    mkdir -p "$dir/relay"
    : >"$dir/relay/log"
    start_process relay "$bin/keyreeve-bench" relay --table "$dir/relay.table" \
        --cuts "$dir/relay.cuts"
    await 10 'the relay' grep -q links "$dir/relay/log"
}

start_node() {
    [ -z "$(pid_of "$1")" ] || return 0
    start_process "$1" "$bin/keyreeved" --config "$dir/$1/keyreeve.yaml"
}

is_ready() {
    [ "$(curl -s -o /dev/null -m 2 -w '%{http_code}' "http://$(address "$1"):7400/readyz")" = 200 ]
}

await_node() {
    tenths=0
    until is_ready "$1"; do
        # By the number alone: before its exec the process does not look like a node yet.
        if ! is_alive "$(cat "$dir/$1/pid")"; then
            tail -n 5 "$dir/$1/log" >&2
            fail "$1 has ended; its last lines stand above, all of them in $dir/$1/log"
        fi
        tenths=$((tenths + 1))
        [ $tenths -le 600 ] || fail "waited a minute in vain for $1; see $dir/$1/log"
        sleep 0.1
    done
}

token() {
    cat "$dir"/core-*/data/owner-token 2>/dev/null | head -n 1
}

set_staleness() {
    [ -n "$staleness" ] || return 0
    curl -sf -X PATCH -H "Authorization: Bearer $(token)" -H 'Content-Type: application/json' \
        -d "{\"maxStalenessMs\":$staleness}" -o /dev/null \
        "http://$(address core-1):7400/v1/accounts/default/key-buckets/production" ||
        fail "the bucket's maxStalenessMs could not be set"
}

print_urls() {
    {
        echo "NODE REGION ROLE URL"
        table | while read -r name region role; do
            echo "$name $region $role http://$(address "$name"):7400"
        done
    } | awk '{ printf "  %-18s %-13s %-9s %s\n", $1, $2, $3, $4 }'
}

print_tour() {
    cat <<TEXT

The cluster is up: $(names | wc -l) nodes, engine $engine
$(print_urls)

  owner token  $dir/owner-token
  logs         $dir/NODE/log

Paste these lines into this shell:

export PATH='$bin':\$PATH KEYREEVE_TOKEN=\$(cat '$dir/owner-token') KEYREEVE_BUCKET=production
export KEYREEVE_URL=http://$(address edge-eu-west):7400
keyreeve cluster status
keyreeve consumer create acme
KEY=\$(keyreeve key create acme)
echo "\$KEY" | keyreeve key verify --url http://$(address edge-ap-northeast):7400
ID=\$(keyreeve key list acme --json | sed -n 's/.*"id": *"\\(key_[^"]*\\)".*/\\1/p' | head -n 1)
keyreeve key revoke acme "\$ID" --wait everywhere

TEXT
}

# keep NAME VALUE: what a cluster was made with stays; its nodes and their addresses hang on it.
keep() {
    local kept
    if [ -r "$dir/$1" ]; then
        kept=$(cat "$dir/$1")
        [ "$kept" = "$2" ] ||
            fail "$dir holds a cluster with --$1 $kept; choose another --dir, or remove it with" \
                "down --purge"
    fi
    echo "$2" >"$dir/$1"
}

# What lies in a directory that no cluster was made in yet, but for a CA and nodes that were put there
# for it: down --purge would remove it.
foreign_file() {
    [ -e "$dir/engine" ] ||
        ls -A "$dir" | grep -vxE "ca|etcd-[0-9]|$(names | paste -sd '|')" | head -n 1
}

up() {
    umask 077
    mkdir -p "$dir"
    foreign=$(foreign_file)
    [ -z "$foreign" ] || fail "$dir holds $foreign, which is no cluster's; name an empty directory, or a new one"
    keep engine "$engine"
    keep standbys "$standbys"
    keep net "$net"
    echo "$bin" >"$dir/bin"
    [ -z "$quota" ] || echo "$quota" >"$dir/etcd-quota"
    make_certificates
    make_relay_table
    if [ "$engine" = etcd ]; then
        make_etcd_certificates
        for member in $(etcd_names); do
            [ -n "$(pid_of "$member")" ] || start_etcd "$member"
        done
        for member in $(etcd_names); do
            await 30 "$member" is_etcd_healthy "$member"
        done
    fi
    start_relay
    for name in $(names); do
        make_config "$name"
        start_node "$name"
        # The first one makes the cluster; the others find it.
        [ "$name" != core-1 ] || [ -n "$(token)" ] || await_node core-1
    done
    for name in $(names); do
        await_node "$name"
    done
    printf '%s' "$settings" >>"$dir/settings" # now that every node has taken them
    token >"$dir/owner-token"
    set_staleness
    print_tour
}

# --- the rest -------------------------------------------------------------------------------------

down() {
    for name in $(names); do
        end_process TERM "$name"
    done
    end_process TERM relay
    for member in $(etcd_names); do
        end_process TERM "$member"
    done
    rm -f "$dir/relay.cuts"
    if [ $is_purging = yes ]; then
        rm -rf "$dir"
    fi
    say "down"
}

start_again() {
    if is_node "$1"; then
        start_node "$1"
        await_node "$1"
    elif is_etcd "$1"; then
        [ -n "$(pid_of "$1")" ] || start_etcd "$1"
        await 30 "$1" is_etcd_healthy "$1"
    else
        refuse "no node is called $1; there are $(names | tr '\n' ' ')$(etcd_names)"
    fi
}

end_one() {
    is_node "$2" || is_etcd "$2" ||
        refuse "no node is called $2; there are $(names | tr '\n' ' ')$(etcd_names)"
    end_process "$1" "$2"
}

# "etcd" and "all" as the names that they stand for.
expand() {
    case $1 in
    etcd) etcd_names | tr ' ' '\n' ;;
    all)
        names
        etcd_names | tr ' ' '\n'
        ;;
    *)
        is_node "$1" || is_etcd "$1" ||
            refuse "no node is called $1; there are $(names | tr '\n' ' ')$(etcd_names)"
        echo "$1"
        ;;
    esac
}

# Replaced as a whole, so that the relay never reads a half.
write_cuts() {
    cat >"$dir/relay.cuts.new"
    mv "$dir/relay.cuts.new" "$dir/relay.cuts"
}

cut_links() {
    firsts=$(expand "$1")
    seconds=$(expand "$2")
    {
        cat "$dir/relay.cuts" 2>/dev/null || true
        for a in $firsts; do
            for b in $seconds; do
                [ "$a" = "$b" ] || echo "$a $b"
            done
        done
    } | sort -u | write_cuts
    say "cut $1 from $2"
}

heal() {
    if [ $# -eq 0 ]; then
        : | write_cuts
        say "healed all"
        return 0
    fi
    firsts=$(expand "$1" | tr '\n' ' ')
    seconds=$(expand "$2" | tr '\n' ' ')
    awk -v firsts=" $firsts" -v seconds=" $seconds" '
        function has(list, name) { return index(list, " " name " ") > 0 }
        !(has(firsts, $1) && has(seconds, $2)) && !(has(firsts, $2) && has(seconds, $1))
    ' "$dir/relay.cuts" 2>/dev/null | write_cuts
    say "healed $1 and $2"
}

status() {
    for name in $(names); do
        if [ -n "$(pid_of "$name")" ]; then
            KEYREEVE_TOKEN=$(cat "$dir/owner-token") exec "$bin/keyreeve" cluster status \
                --url "http://$(address "$name"):7400" "$@"
        fi
    done
    fail "no node runs; ./deploy/local-cluster.sh up starts them"
}

# --- what is asked --------------------------------------------------------------------------------

dir=./local-cluster
net=
bin=
engine=
staleness=
quota=
settings=
standbys=
is_purging=no
has_packages=no
words=

while [ $# -gt 0 ]; do
    case $1 in
    --dir | --net | --bin | --engine | --standbys | --staleness | --etcd-quota | --set)
        [ $# -ge 2 ] || refuse "$1 needs a value"
        case $1 in
        --dir) dir=$2 ;;
        --net) net=$2 ;;
        --bin) bin=$2 ;;
        --engine) engine=$2 ;;
        --standbys) standbys=$2 ;;
        --staleness) staleness=$2 ;;
        --etcd-quota) quota=$2 ;;
        --set) settings="$settings${2%%=*}: ${2#*=}
" ;;
        esac
        shift
        ;;
    --purge) is_purging=yes ;;
    --no-packages) has_packages=yes ;;
    --help | -h)
        usage
        exit 0
        ;;
    -*) refuse "unknown option $1" ;;
    *) words="$words $1" ;;
    esac
    shift
done
# shellcheck disable=SC2086 # names without blanks
set -- $words
action=${1:-}
[ -n "$action" ] || refuse "say what to do"
case $action in up | down | status | urls | etcd | kill | stop | start | cut | heal) ;; *) refuse "unknown action $action" ;; esac
shift

case $dir in
*[!A-Za-z0-9._/-]*) refuse "--dir: letters, digits, dots and dashes only, please" ;;
/*) ;;
*) dir=$PWD/${dir#./} ;;
esac
if [ "$action" = up ]; then
    engine=${engine:-$(cat "$dir/engine" 2>/dev/null || echo etcd)}
    net=${net:-$(cat "$dir/net" 2>/dev/null || echo 77)}
    standbys=${standbys:-$(cat "$dir/standbys" 2>/dev/null || echo 0)}
elif [ -r "$dir/engine" ]; then
    engine=$(cat "$dir/engine")
    net=$(cat "$dir/net")
    standbys=$(cat "$dir/standbys" 2>/dev/null || echo 0)
    bin=$(cat "$dir/bin")
else
    fail "there is no cluster in $dir; ./deploy/local-cluster.sh up makes one"
fi
case $engine in
etcd | local) ;;
*) refuse "--engine $engine: write etcd or local" ;;
esac
case $standbys in
[0-2]) ;;
*) refuse "--standbys $standbys: write 0, 1 or 2" ;;
esac
case $net in
'' | *[!0-9]* | 0* | ????* | 25[5-9] | 2[6-9]? | [3-9]??) refuse "--net $net: write a number from 1 to 254" ;;
esac

case $action in
up)
    [ $# -eq 0 ] || refuse "up takes no names"
    if [ -z "$bin" ]; then
        bin=$root/build/release/bin
        build
    fi
    bin=$(cd "$bin" && pwd) || fail "there is no directory $bin"
    up
    ;;
down) down ;;
status) status "$@" ;;
urls) print_urls ;;
etcd)
    [ $# -eq 1 ] || refuse "etcd takes one name"
    print_etcd "$1"
    ;;
kill)
    [ $# -eq 1 ] || refuse "kill takes one name"
    end_one KILL "$1"
    say "killed $1"
    ;;
stop)
    [ $# -eq 1 ] || refuse "stop takes one name"
    end_one TERM "$1"
    say "stopped $1"
    ;;
start)
    [ $# -eq 1 ] || refuse "start takes one name"
    start_again "$1"
    say "started $1"
    ;;
cut)
    [ $# -eq 2 ] || refuse "cut takes two names"
    cut_links "$1" "$2"
    ;;
heal)
    [ $# -eq 0 ] || [ $# -eq 2 ] || refuse "heal takes two names, or none"
    heal "$@"
    ;;
esac
