#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# All tests: installs what they need, builds with sanitizers, runs, counts.
set -uo pipefail

usage() {
    cat <<'TEXT'
usage: ./tests/run.sh [--no-packages] [PART]

Without a part: everything below but tsan-serving and the soak. Each part builds what it needs.

  unit                  unit tests and the committed fuzz corpora, with ASan and UBSan
  sim [SEEDS]           a cluster on virtual time under faults, SEEDS runs (default 240), and what is
                        broken on purpose, which it must find
  lint                  layers, borders, sizes, names, headers, format, words, docs
  fuzz [SECONDS]        each fuzz target for SECONDS (default 5), with libFuzzer
  tsan                  the unit tests of store, replication and node under ThreadSanitizer
  tsan-serving          the integration tests of what serves, over nodes with ThreadSanitizer
  integration [NAME…]   tests/integration/NAME.test.mjs over the sanitized programs (default: all)
  bench [NAME…]         tests/bench/NAME.test.mjs: keyreeve-bench and its report; those that measure
                        nodes and worlds run with this and in the soak alone
  gateway [NAME…]       tests/gateway/NAME.test.mjs with real gateways (default: all)
  cluster [NAME…]       tests/cluster/NAME.test.mjs: real clusters, killed, cut and healed
  soak                  12,000 runs of the simulation, each fuzz target for 60 s, then the
                        integration tests with longer loops, tsan-serving, all of bench, and the
                        longer stories of clusters

  --no-packages         install nothing: trust that all is there
  --help                this text

Logs lie in build/tests. The last line is "N passed, N failed"; the exit code is 0 when none failed.
TEXT
}

cd "$(dirname "$0")/.." || exit 1
root=$PWD
logs=$root/build/tests
jobs=$(nproc)
started=$SECONDS
has_packages=no
declare -A passed=() failed=() skipped=()
kinds=()

# --- counting -------------------------------------------------------------------------------------

# add KIND PASSED FAILED [SKIPPED]
add() {
    if [ -z "${passed[$1]+set}" ]; then
        kinds+=("$1")
        passed[$1]=0 failed[$1]=0 skipped[$1]=0
    fi
    passed[$1]=$((passed[$1] + $2))
    failed[$1]=$((failed[$1] + $3))
    skipped[$1]=$((skipped[$1] + ${4:-0}))
}

# Adds what count.mjs says; KIND overrides its names. False: it counted nothing.
add_counted() {
    local form=$1 file=$2 kind=${3:-} name good bad passed_over has_any=1
    while read -r name good bad passed_over; do
        add "${kind:-$name}" "$good" "$bad" "$passed_over"
        has_any=0
    done < <([ -f "$file" ] && node tests/count.mjs "$form" "$file")
    return $has_any
}

# --- sections -------------------------------------------------------------------------------------

section_title=
section_started=0

begin() {
    section_title=$1
    section_started=$SECONDS
    printf '\n== %s\n' "$1"
}

end() {
    printf -- '-- %s: %s s\n' "$section_title" $((SECONDS - section_started))
}

# Runs a command with its output in a log; shows the log's end when it fails.
quietly() {
    local log=$1
    shift
    if "$@" >"$log" 2>&1; then
        return 0
    fi
    tail -n 60 "$log"
    echo "   failed: $* (all of its output: ${log#"$root"/})"
    return 1
}

# in_lanes LANES RUN ENDED NAME…: `RUN NAME` for each name, so many at a time, and in this shell
# `ENDED NAME CODE SECONDS` as each ends.
in_lanes() {
    local lanes=$1 run=$2 ended=$3 pid code
    local -A running=() began=()
    shift 3
    while [ $# -gt 0 ] || [ ${#running[@]} -gt 0 ]; do
        if [ $# -gt 0 ] && [ ${#running[@]} -lt "$lanes" ]; then
            "$run" "$1" &
            running[$!]=$1 began[$!]=$SECONDS
            shift
            continue
        fi
        wait -n -p pid "${!running[@]}"
        code=$?
        "$ended" "${running[$pid]}" $code $((SECONDS - began[$pid]))
        unset "running[$pid]"
    done
}

install_packages() {
    [ $has_packages = yes ] && return 0
    begin 'packages'
    if ! ./deploy/packages.sh build run test report; then
        add packages 0 1
        finish
    fi
    install_npm
    end
}

# What tests/package.json names, in the versions of the lock file: a real gRPC client.
install_npm() {
    local installed=tests/node_modules/.package-lock.json
    [ -f $installed ] && [ ! tests/package-lock.json -nt $installed ] && return 0
    if ! quietly "$logs/npm.log" npm ci --prefix tests --ignore-scripts; then
        add packages 0 1
        finish
    fi
}

# build PRESET [TARGET…]. A build that fails counts as one failed test.
build() {
    local preset=$1
    shift
    local arguments=(--build --preset "$preset" -j "$jobs")
    [ $# -gt 0 ] && arguments+=(--target "$@")
    if quietly "$logs/configure-$preset.log" cmake --preset "$preset" &&
        quietly "$logs/build-$preset.log" cmake "${arguments[@]}"; then
        return 0
    fi
    add build 0 1
    return 1
}

# What ctest and the integration tests are started by, and the folder of the latter's programs.
runner=(env)
programs=$root/build/dev/bin

# run_ctest DIRECTORY KIND ARGUMENT…; KIND empty: as the tests' names begin. Two for each processor:
# many wait for the disk.
run_ctest() {
    local directory=$1 kind=$2 junit
    shift 2
    junit=$logs/ctest-${directory##*/}.xml
    rm -f "$junit"
    "${runner[@]}" ctest --test-dir "$directory" --output-on-failure --output-junit "$junit" -j $((2 * jobs)) \
        --test-output-size-passed 4000000 --test-output-size-failed 4000000 --no-tests=error "$@" \
        >"$logs/ctest-${directory##*/}.log" 2>&1
    local code=$?
    if [ $code -ne 0 ]; then
        grep -vE '^ *(Start +[0-9]+:|[0-9]+/[0-9]+ Test +#[0-9]+: .* Passed )' \
            "$logs/ctest-${directory##*/}.log" | tail -n 300
    fi
    if ! add_counted ctest "$junit" "$kind" && [ $code -ne 0 ]; then
        add "${kind:-ctest}" 0 1
    fi
}

part_unit() {
    begin 'build with ASan and UBSan'
    build dev && end || return
    begin 'unit tests and fuzz corpora'
    run_ctest build/dev '' -LE lint
    end
}

# Each seed counts as one test. The runs are spread over the processors.
run_seeds() {
    local seeds=$1 shard share log good bad code
    local -a processes=()
    share=$(((seeds + jobs - 1) / jobs))
    for ((shard = 0; shard < jobs; shard++)); do
        build/dev/bin/sim --seed $((shard * share + 1)) --count $share >"$logs/sim-$shard.log" 2>&1 &
        processes+=($!)
    done
    for ((shard = 0; shard < jobs; shard++)); do
        wait "${processes[shard]}"
        code=$?
        log=$logs/sim-$shard.log
        good=$(sed -n 's/^\([0-9]*\) seeds, .*/\1/p' "$log")
        bad=$(sed -n 's/^.* answers checked, \([0-9]*\) violations$/\1/p' "$log")
        if [ -z "$good" ]; then # it broke off
            tail -n 60 "$log"
            good=0 bad=1
        elif [ "$bad" -gt 0 ]; then
            head -n 120 "$log"
            good=$((good - bad))
        elif [ $code -ne 0 ]; then # a leak, say, which is found at the exit
            tail -n 60 "$log"
            echo "   sim from seed $((shard * share + 1)): no violations, but exit code $code"
            bad=1
        fi
        add sim "$good" "$bad"
    done
    awk '/ seeds, .* violations$/ { seeds += $1; faults += $3; acked += $6; answers += $9; bad += $12 }
        END { printf "   %d seeds, %d faults injected, %d writes acknowledged, %d answers checked, %d violations\n",
                  seeds, faults, acked, answers, bad }' "$logs"/sim-[0-9]*.log
}

# The same seed is the same run, bit for bit, whatever ran before it.
run_twice() {
    local seed first second
    for seed in 3 4 5; do
        first=$(build/dev/bin/sim --seed $seed | grep '^transcript ')
        second=$(build/dev/bin/sim --seed $((seed - 2)) --count 3 | grep "^transcript " | tail -n 1)
        if [ -n "$first" ] && [ "$first" = "$second" ]; then
            add sim 1 0
        else
            echo "   seed $seed: $first, then $second"
            add sim 0 1
        fi
    done
}

# What is broken on purpose must be found; each kind counts as one test.
run_break() {
    build/dev/bin/sim --break "$1" --expect-found --count 2000 >"$logs/sim-break-$1.log" 2>&1
}

end_break() {
    if [ "$2" -eq 0 ]; then
        sed -n 's/^\([^ ]*: found at seed [0-9]*\).*/   \1/p' "$logs/sim-break-$1.log"
        add sim-breaks 1 0
    else
        tail -n 3 "$logs/sim-break-$1.log"
        echo "   $1: not found"
        add sim-breaks 0 1
    fi
}

run_breaks() {
    local -a names
    mapfile -t names < <(build/dev/bin/sim --list | cut -f1)
    if [ ${#names[@]} -eq 0 ]; then
        echo '   sim --list names nothing'
        add sim-breaks 0 1
    fi
    in_lanes "$jobs" run_break end_break "${names[@]}"
    check_letters
}

# Of each invariant something is broken that breaks it alone, so that its own check is seen to work.
check_letters() {
    local letter
    for letter in a b c d e f g h i; do
        if build/dev/bin/sim --list | cut -f2 | grep -qx "$letter"; then
            add sim-breaks 1 0
        else
            echo "   nothing that is broken on purpose breaks ($letter) alone"
            add sim-breaks 0 1
        fi
    done
}

part_sim() {
    local seeds=${1:-240}
    begin "simulation: $seeds seeds"
    rm -f "$logs"/sim-*.log
    build dev sim && run_seeds "$seeds" && run_twice
    end
    begin 'simulation: what is broken on purpose'
    [ -x build/dev/bin/sim ] && run_breaks
    end
}

part_lint() {
    begin 'lint'
    build dev kr_proto_generated && run_ctest build/dev '' -L lint
    end
}

fuzz_seconds=5

run_fuzz() {
    tests/fuzz/run.sh --built "$fuzz_seconds" "$1" >"$logs/fuzz-$1.log" 2>&1
}

end_fuzz() {
    if [ "$2" -eq 0 ]; then
        printf '   %-13s %9s runs\n' "$1" \
            "$(sed -n 's/.*number_of_executed_units: *//p' "$logs/fuzz-$1.log")"
        add fuzz-run 1 0
    else
        tail -n 60 "$logs/fuzz-$1.log"
        add fuzz-run 0 1
    fi
}

part_fuzz() {
    local source
    local -a names=()
    fuzz_seconds=${1:-5}
    for source in tests/fuzz/fuzz_*.c; do
        source=${source##*/fuzz_}
        names+=("${source%.c}")
    done
    begin "fuzz targets, $fuzz_seconds s each"
    build fuzz "${names[@]/#/fuzz_}" && in_lanes "$jobs" run_fuzz end_fuzz "${names[@]}"
    end
}

# The targets of kr_unit_tests for these folders.
unit_targets() {
    local folder source name
    for folder; do
        for source in tests/unit/"$folder"/test_*.c; do
            [ -f "$source" ] || continue
            name=${source##*/test_}
            echo "unit_${folder//\//_}_${name%.c}"
        done
    done
}

# watch_threads: what is run from here on has ThreadSanitizer; watch_memory: it is as before.
watch_threads() {
    export TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1 suppressions=$root/tests/tsan.supp"
    # ThreadSanitizer of GCC 12 cannot place its shadow where addresses are randomized widely.
    setarch "$(uname -m)" -R true 2>/dev/null && runner=(setarch "$(uname -m)" -R)
    programs=$root/build/tsan/bin
}

watch_memory() {
    unset TSAN_OPTIONS
    runner=(env)
    programs=$root/build/dev/bin
}

part_tsan() {
    local targets
    mapfile -t targets < <(unit_targets core/store replication node)
    begin 'threads: store, replication and node under ThreadSanitizer'
    watch_threads
    # The crash tests fork with threads running, which ThreadSanitizer cannot follow.
    build tsan "${targets[@]}" &&
        run_ctest build/tsan tsan -R '^unit/(core/store|replication|node)/' \
            -E '^unit/core/store/store_crash$'
    watch_memory
    end
}

part_tsan_serving() {
    begin 'threads: what serves, under ThreadSanitizer'
    watch_threads
    build tsan keyreeved keyreeve &&
        run_node tsan-serving tests/integration tls http2 http2-rules http2-proxy grpc grpc-frames \
            binary binary-tls overload hardening robustness authz
    watch_memory
    end
}

# How many test files are under way at once: they wait more than they compute. What measures, and
# what is held to a time, is alone.
files_at_once=$jobs

# run_file NAME, of run_node's kind and folder: its output in a log, its counts in a tap file.
run_file() {
    local log=$logs/$kind-$1
    rm -f "$log.tap"
    KEYREEVE_BIN=$programs timeout -k 10 900 "${runner[@]}" node --test \
        --test-reporter=spec --test-reporter-destination=stdout \
        --test-reporter=tap --test-reporter-destination="$log.tap" "$folder/$1.test.mjs" >"$log.log" 2>&1
}

end_file() {
    local log=$logs/$kind-$1
    if [ "$2" -eq 0 ]; then
        printf '   %-28s %s s\n' "$1" "$3"
        add_counted tap "$log.tap" "$kind" || add "$kind" 0 1
    else
        tail -n 120 "$log.log"
        printf '   %-28s failed after %s s\n' "$1" "$3"
        add_failed_run "$log.tap" "$kind"
    fi
}

# run_node KIND FOLDER [NAME…]: each file by itself, so that its time and its failures stand apart.
run_node() {
    local kind=$1 folder=$2 file name
    shift 2
    if [ $# -eq 0 ]; then
        for file in "$folder"/*.test.mjs; do
            [ -f "$file" ] || continue
            name=${file##*/}
            set -- "$@" "${name%.test.mjs}"
        done
    fi
    in_lanes "$files_at_once" run_file end_file "$@"
}

# A run that ended badly counts at least one failure, even if it broke off before it could say so.
add_failed_run() {
    local tap=$1 kind=$2 before=${failed[$2]:-0}
    add_counted tap "$tap" "$kind"
    [ "${failed[$kind]:-0}" -gt "$before" ] || add "$kind" 0 1
}

part_integration() {
    begin 'integration tests over the sanitized programs'
    build dev && run_node integration tests/integration "$@"
    end
}

part_bench() {
    begin 'the bench and its report'
    build dev keyreeve-bench keyreeved keyreeve &&
        files_at_once=1 run_node bench tests/bench "$@"
    end
}

part_gateway() {
    begin 'gateways'
    build dev && run_node gateway tests/gateway "$@"
    end
}

part_cluster() {
    begin 'clusters'
    build dev && run_node cluster tests/cluster "$@"
    end
}

finish() {
    local kind good=0 bad=0 over=0
    printf '\n== summary, %s s\n' $((SECONDS - started))
    for kind in "${kinds[@]}"; do
        printf '   %-14s %6d passed %4d failed' "$kind" "${passed[$kind]}" "${failed[$kind]}"
        [ "${skipped[$kind]}" -gt 0 ] && printf ' %4d skipped' "${skipped[$kind]}"
        printf '\n'
        good=$((good + passed[$kind]))
        bad=$((bad + failed[$kind]))
        over=$((over + skipped[$kind]))
    done
    [ $over -gt 0 ] && printf '   %d skipped: their output says why\n' $over
    printf '%d passed, %d failed\n' $good $bad
    [ $bad -eq 0 ] && [ $good -gt 0 ]
    exit
}

# --- what is asked --------------------------------------------------------------------------------

if [ "${1:-}" = --no-packages ]; then
    has_packages=yes
    shift
fi
part=${1:-all}
[ $# -gt 0 ] && shift
case $part in
--help | -h)
    usage
    exit 0
    ;;
all | unit | lint | tsan | tsan-serving | soak) [ $# -eq 0 ] || { usage >&2 && exit 2; } ;;
fuzz | sim | integration | bench | gateway | cluster) ;;
*)
    echo "tests/run.sh: no part \"$part\"" >&2
    usage >&2
    exit 2
    ;;
esac

export UBSAN_OPTIONS=${UBSAN_OPTIONS:-print_stacktrace=1}
command -v ccache >/dev/null 2>&1 && export CMAKE_C_COMPILER_LAUNCHER=ccache
mkdir -p "$logs"
install_packages
case $part in
all)
    part_unit
    part_sim
    part_lint
    part_fuzz
    part_tsan
    part_integration
    part_bench beside help plan report
    part_gateway
    part_cluster
    ;;
soak)
    export KEYREEVE_SOAK=1
    files_at_once=1
    part_unit
    part_sim 12000
    part_fuzz 60
    part_integration
    part_tsan_serving
    part_bench
    part_cluster
    ;;
*) "part_${part//-/_}" "$@" ;;
esac
finish
