#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The whole benchmark: every measurement in turn, then the report, into bench/out/DATE.
set -uo pipefail

usage() {
    cat <<'TEXT'
usage: [sudo] ./bench/run.sh [--quick | --full] [OPTION…]

  --quick          small sets of keys, few turns: at most ten minutes on two cores (the default)
  --full           the targets' own sizes (10 million keys, 16 GiB of memory): an hour or two
  --only STEP,…    these steps and the report
  --list           the steps, and what each measures
  --out DIR        where rows, logs and the report go (default bench/out/DATE)
  --bin DIR        programs that are built already (default build/release/bin, built first)
  --work DIR       where nodes have their data (default /var/tmp): the disk that is measured
  --no-packages    install nothing: trust that all is there
  --help           this text

As root the emulated world (keyreeve-bench wan) is one of packets, and all that is started lives in a
process namespace, which the kernel ends with this script, whatever ends it. Without root the world's
links are TCP relays, which its figures say. A step that fails is told, and its figures are missing
from the report; the others are measured all the same.

Exit codes: 0 all steps measured; 1 some could not, the summary says which; 2 wrong usage.
TEXT
}

cd "$(dirname "$0")/.." || exit 1
root=$PWD

# --- what is asked --------------------------------------------------------------------------------

mode=quick only='' out='' bin='' place=/var/tmp has_packages=no is_inside=no is_listing=no

refuse() {
    echo "bench/run.sh: $*; --help shows the usage" >&2
    exit 2
}

while [ $# -gt 0 ]; do
    case $1 in
    --quick | --full) mode=${1#--} ;;
    --no-packages) has_packages=yes ;;
    --inside) is_inside=yes ;; # by this script alone: the measuring half of it
    --list) is_listing=yes ;;
    --only | --out | --bin | --work)
        [ $# -gt 1 ] || refuse "$1 needs a value"
        case $1 in
        --only) only=$2 ;;
        --out) out=$2 ;;
        --bin) bin=$2 ;;
        --work) place=$2 ;;
        esac
        shift
        ;;
    --help | -h)
        usage
        exit 0
        ;;
    *) refuse "unknown option $1" ;;
    esac
    shift
done

# Sizes of both modes: quick's, then full's.
size() {
    [ $mode = quick ] && echo "$1" || echo "$2"
}

steps='hot serve idle under-writes node cluster-local cluster-etcd world plan'

describe() {
    case $1 in
    hot) echo 'validations in memory, without a server (P1)' ;;
    serve) echo 'HTTP and binary protocol beside the empty handler and Redis (P2, P3)' ;;
    idle) echo 'memory of idle connections (P12)' ;;
    under-writes) echo 'latency of validations while keys are written (P5)' ;;
    node) echo 'durable writes, a restart, memory a key (P7, P8, P9)' ;;
    cluster-local) echo 'propagation beside Redis, PostgreSQL, etcd; a follower from empty (P6, P11)' ;;
    cluster-etcd) echo 'the leader killed and stopped; writes through etcd (P7, P10)' ;;
    world) echo 'propagation over the emulated world, beside the others (packets as root, else relays)' ;;
    plan) echo 'capacity on paper, from the figures above' ;;
    esac
}

list_steps() {
    for step in $steps; do
        printf '  %-14s %s\n' "$step" "$(describe "$step")"
    done
}

if [ $is_listing = yes ]; then
    list_steps
    exit 0
fi
for step in ${only//,/ }; do
    case " $steps " in *" $step "*) ;; *) refuse "no step \"$step\"; --list shows them" ;; esac
done

# --- the outer half: packages, build, and an end for everything -----------------------------------

say() {
    printf 'bench: %s\n' "$*"
}

prepare() {
    if [ $has_packages = no ]; then
        ./deploy/packages.sh build run bench report cluster || exit 1
    fi
    if [ -z "$bin" ]; then
        bin=$root/build/release/bin
        say "building into build/release/bin (some minutes the first time)"
        mkdir -p build
        if ! { cmake --preset release && cmake --build --preset release; } >build/bench.log 2>&1; then
            tail -n 30 build/bench.log >&2
            echo 'bench/run.sh: the build failed; all of its output is in build/bench.log' >&2
            exit 1
        fi
    fi
    bin=$(realpath "$bin")
    out=$(realpath -m "${out:-bench/out/$(date +%Y-%m-%d-%H%M)}")
    mkdir -p "$out/logs" || exit 1
    work=$(mktemp -d "$place/keyreeve-bench.XXXXXX") || exit 1
    chmod 711 "$work" # PostgreSQL's user has its directory below
}

# The inner half, so that it ends with this one: as root in a process namespace of its own, else by a
# pipe that only this process holds open.
start_inner() {
    local -a inner=("$0" --inside "--$mode" --out "$out" --bin "$bin" --work "$work")
    [ -z "$only" ] || inner+=(--only "$only")
    if [ "$(id -u)" -eq 0 ] && unshare --pid --ipc --fork --mount-proc true 2>/dev/null; then
        setpriv --pdeathsig KILL unshare --pid --ipc --fork --kill-child --mount-proc "${inner[@]}" &
        is_namespace=yes
    else
        say 'without root, or without namespaces: the links of the emulated world are TCP relays'
        mkfifo "$work/tie" || exit 1
        exec 9<>"$work/tie"
        setsid "${inner[@]}" 8<"$work/tie" 9>&- &
        is_namespace=no
    fi
    inner_pid=$!
}

# Who is still ending may write a last file between the looks of rm.
remove_work() {
    local left=300
    until rm -rf "$work" 2>/dev/null; do
        left=$((left - 1))
        [ $left -gt 0 ] || { say "$work could not be removed" && return; }
        sleep 0.1
    done
}

# The first process of a namespace is gone when all others are.
await_end() {
    local left=300
    while [ -n "$1" ] && [ -d "/proc/$1" ] && [ $left -gt 0 ]; do
        left=$((left - 1))
        sleep 0.1
    done
}

end_inner() {
    trap '' INT TERM HUP
    say 'interrupted: ending what runs'
    local first=''
    if [ $is_namespace = yes ]; then
        first=$(grep -ls "^PPid:[[:space:]]*$inner_pid\$" /proc/[0-9]*/status | head -n 1 | cut -d / -f 3)
        kill -KILL "$inner_pid" 2>/dev/null
    else
        kill -TERM -- "-$inner_pid" 2>/dev/null
    fi
    wait "$inner_pid" 2>/dev/null
    await_end "$first"
    remove_work
    trap - "$1"
    kill "-$1" $$
}

outer() {
    prepare
    for name in INT TERM HUP; do
        # shellcheck disable=SC2064 # the name as it is now
        trap "end_inner $name" $name
    done
    start_inner
    wait "$inner_pid"
    local code=$?
    remove_work
    exit $code
}

# --- the inner half: one function a step ----------------------------------------------------------

bench() {
    timeout --foreground -k 30 "$(size 200 3000)" "$bin/keyreeve-bench" "$@"
}

# On a core of its own where there is more than one: what spins shall not stand in the way.
pinned() {
    taskset -c $(($(nproc) - 1)) timeout --foreground -k 30 "$(size 200 3000)" "$bin/keyreeve-bench" "$@"
}

# For many nodes: on two cores they would share the one that a pinned prober leaves them, and what it
# asks them would take all of it (nine nodes: three times the delay that two cores give).
pinned_beside_many() {
    if [ "$(nproc)" -gt 2 ]; then
        pinned "$@"
    else
        bench "$@"
    fi
}

step_hot() {
    pinned hot --keys "$(size 1000000 10000000)" --turns "$(size 3 7)" --out "$out"
}

step_serve() {
    bench serve --compare --key-count 1000000 --seconds "$(size 0.6 3)" --turns "$(size 3 5)" --out "$out" &&
        { [ $mode = quick ] || bench serve --compare --zipf 0 --key-count 10000000 --seconds 3 --turns 5 --out "$out"; }
}

step_idle() {
    bench serve --idle "$(size 3000 10000)" --key-count "$(size 10000 1000000)" --turns "$(size 1 3)" --out "$out"
}

step_under-writes() {
    bench serve --writes 10000 --key-count "$(size 100000 1000000)" --seconds "$(size 2 10)" --turns "$(size 3 7)" --out "$out"
}

# wait_for SECONDS COMMAND…
wait_for() {
    local tenths=$(($1 * 10))
    shift
    until "$@" >/dev/null 2>&1; do
        tenths=$((tenths - 1))
        [ $tenths -gt 0 ] || { echo "waited in vain for: $*" && return 1; }
        sleep 0.1
    done
}

# The command line of a node: kr URL DATA WORDS…
kr() {
    local url=$1 data=$2
    shift 2
    KEYREEVE_TOKEN=$(cat "$data/owner-token") KEYREEVE_URL=$url KEYREEVE_BUCKET=production "$bin/keyreeve" "$@"
}

make_keys() {
    "$bin/keyreeve-bench" keys --count "$1" --out "$work/keys.txt" --jsonl "$work/import.jsonl"
}

step_node() {
    local count data=$work/node http=127.0.0.1:7480 pid code=0
    count=$(size 500000 10000000)
    rm -f "$work"/keys.txt "$work"/import.jsonl*
    make_keys "$count" || return 1
    "$bin/keyreeved" --data "$data" --http $http --binary-listen '' --rate-limit-per-token 0 --log-level error >"$out/logs/node.keyreeved" 2>&1 &
    pid=$!
    if ! wait_for 60 curl -sf http://$http/readyz; then
        kill $pid
        wait $pid
        return 1
    fi
    kr http://$http "$data" import "$work/import.jsonl" || code=1
    kr http://$http "$data" consumer create bench || code=1
    bench write --url http://$http --token-file "$data/owner-token" --consumer bench --disk "$data" --server-pid $pid \
        --seconds "$(size 2 5)" --turns "$(size 3 7)" --out "$out" || code=1
    kill $pid
    wait $pid
    bench restart --bin "$bin/keyreeved" --data "$data" --http $http --keys "$work/keys.txt" --turns "$(size 3 5)" --out "$out" || code=1
    rm -rf "$data" "$work"/keys.txt "$work"/import.jsonl*
    return $code
}

# COMMAND…, on the cores that pinned leaves to it.
beside_pinned() {
    if [ "$(nproc)" -gt 1 ]; then
        taskset -c "0-$(($(nproc) - 2))" "$@"
    else
        "$@"
    fi
}

# cluster ACTION ARGUMENT…
cluster() {
    ${runner:-} ./deploy/local-cluster.sh "$@" --dir "$work/cluster" --bin "$bin" --no-packages
}

# Whatever a step of a cluster comes to, the cluster ends.
with_cluster() {
    local body=$1 code
    shift
    cluster up --net 78 --staleness 60000 "$@" >/dev/null || { cluster down --purge && return 1; }
    token=$work/cluster/owner-token
    $body
    code=$?
    cluster down --purge >/dev/null
    return $code
}

cluster_url() {
    cluster urls | awk -v name="$1" '$1 == name { sub("http://", "", $4); print $4 }'
}

step_cluster-local() {
    local runner=beside_pinned code=0
    pinned beside --rounds "$(size 300 3000)" --bin "$bin" --out "$out" || code=1
    with_cluster measure_local --engine local || code=1
    return $code
}

measure_local() {
    local leader edge count name code=0
    leader=$(cluster_url core-1)
    edge=$(cluster_url edge-us-east)
    count=$(size 300000 10000000)
    pinned propagate --leader "http://$leader" --nodes "$(others core-1 follower | sed 's#[^,]*#http://&#g')" --token-file "$token" \
        --rounds "$(size 200 2000)" --out "$out" || code=1
    # Who does not join has no use for the keys.
    for name in $(cluster urls | awk '$3 == "follower" { print $1 }'); do
        cluster stop "$name"
    done
    make_keys "$count" && kr "http://$leader" "$work/cluster/core-1/data" import "$work/import.jsonl" || return 1
    rm -rf "$work/cluster/edge-us-east/data"
    bench join --command "./deploy/local-cluster.sh start edge-us-east --dir '$work/cluster' --no-packages" --http "$edge" \
        --key-count "$count" --out "$out" || code=1
    return $code
}

step_cluster-etcd() {
    with_cluster measure_etcd --engine etcd
}

# The leader's name, as a node that follows sees it.
cluster_leader() {
    kr "http://$(cluster_url edge-us-east)" "$work/cluster/core-1/data" cluster status | awk '$1 == "leader" { print $2 }'
}

# All nodes but the one, as ADDRESS:PORT,…; those of a role alone where one is named.
others() {
    cluster urls | awk -v but="$1" -v role="${2:-}" \
        'NF == 4 && $1 != but && $1 != "NODE" && (role == "" || $3 == role) { sub("http://", "", $4); list = list "," $4 } END { print substr(list, 2) }'
}

end_leader() {
    local leader
    leader=$(cluster_leader)
    bench failover --way "$1" --leader-pid "$(cat "$work/cluster/$leader/pid")" --writers "$(others "$leader" core)" \
        --nodes "$(others "$leader")" --token-file "$token" --out "$out" || return 1
    cluster start "$leader"
}

measure_etcd() {
    local leader url code=0
    leader=$(cluster_leader)
    url=http://$(cluster_url "$leader")
    cp "$token" "$work/cluster/core-1/data/owner-token" 2>/dev/null
    kr "$url" "$work/cluster/core-1/data" consumer create bench || code=1
    # shellcheck disable=SC2046 # options, a pair a line, without blanks
    bench write --engine etcd $(cluster etcd "$leader") --url "$url" --token-file "$token" --consumer bench --disk "$work" \
        --seconds "$(size 2 5)" --turns "$(size 3 7)" --out "$out" || code=1
    end_leader kill || code=1
    end_leader stop || code=1
    return $code
}

step_world() {
    local code=0 name=bench-run-$$ up
    (cd "$work" && exec "$bin/keyreeve-bench" wan up --foreground --name "$name") &
    up=$!
    wait_for 30 "$bin/keyreeve-bench" wan status --name "$name" || code=1
    bench wan probe --name "$name" --blast "$(size 0 100)" --out "$out" || code=1
    kill $up
    wait $up
    pinned_beside_many propagate --world --engine local --rounds "$(size 40 500)" --bursts "$(size 3 20)" --cuts "$(size 1 5)" \
        --bulk-keys "$(size 20000 1000000)" --out "$out" || code=1
    [ $mode = quick ] || pinned_beside_many propagate --world --engine etcd --rounds 200 --bursts 10 --cuts 3 --bulk-keys 100000 --out "$out" || code=1
    pinned beside --world --rounds "$(size 40 300)" --bin "$bin" --out "$out" || code=1
    return $code
}

step_plan() {
    bench plan --from "$out" --out "$out"
}

# run_step N OF NAME: its output goes to a log; what it says last is shown.
run_step() {
    local began=$SECONDS log=$out/logs/$3.log
    printf '[%s/%s] %-14s %s … ' "$1" "$2" "$3" "$(describe "$3")"
    if "step_$3" >"$log" 2>&1; then
        printf '%s s\n' $((SECONDS - began))
        return 0
    fi
    printf 'FAILED after %s s: %s\n' $((SECONDS - began)) "$(grep -v '^$' "$log" | tail -n 1)"
    return 1
}

# The pipe ends with the outer half, also when that is killed.
end_with_outer() {
    read -r <&8
    kill -TERM -- "-$$"
}

# For when there is no namespace whose end is everybody's: the cluster's processes have sessions of
# their own. Its children have had the signal as well.
end_steps() {
    trap '' TERM
    [ ! -d "$work/cluster" ] || cluster down --purge >/dev/null 2>&1
    exit 143
}

inner() {
    local number=0 failed='' total watch=''
    work=$place
    export TMPDIR=$work
    trap end_steps TERM
    if [ -p "$work/tie" ]; then
        end_with_outer &
        watch=$!
    else
        mount -t tmpfs bench /dev/shm # so that PostgreSQL's memory goes with the namespaces
    fi
    [ -z "$only" ] || steps=${only//,/ }
    total=$(echo "$steps" | wc -w)
    for step in $steps; do
        number=$((number + 1))
        run_step $number "$total" "$step" || failed="$failed $step"
    done
    bench report --in "$out" --out "$out/report.html" || failed="$failed report"
    [ -z "$watch" ] || { kill "$watch" && wait "$watch"; }
    say "$(wc -l <"$out/rows.jsonl") rows, $SECONDS s"
    [ -z "$failed" ] || say "could not measure all of:$failed (logs in $out/logs)"
    [ -z "$failed" ]
}

# One command with its own end: whoever edits this file while it runs changes nothing.
{
    if [ $is_inside = yes ]; then
        inner
    else
        outer
    fi
    exit
}
