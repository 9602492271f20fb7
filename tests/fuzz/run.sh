#!/bin/sh
# Builds the fuzz targets and runs each for SECONDS over a copy of its corpus.
# usage: tests/fuzz/run.sh [--built] SECONDS [TARGET…]
# Without targets: all of them. --built: builds nothing, so that several can run at once.
# Fails on the first crash, whose input stays where the last lines say.
set -eu

is_built=no
if [ "${1:-}" = --built ]; then
    is_built=yes
    shift
fi
if [ $# -lt 1 ]; then
    sed -n 's/^# usage/usage/p' "$0" >&2
    exit 2
fi
seconds=$1
shift
root=$(cd "$(dirname "$0")/../.." && pwd)
cd "$root"
if [ $# -eq 0 ]; then
    for source in tests/fuzz/fuzz_*.c; do
        what=${source##*/fuzz_}
        set -- "$@" "${what%.c}"
    done
fi

build=${KR_FUZZ_BUILD:-build/fuzz}
if [ $is_built = no ]; then
    cmake --preset fuzz -B "$build" >/dev/null
    for what; do
        cmake --build "$build" --target "fuzz_$what"
    done
fi

for what; do
    work=$(mktemp -d "${TMPDIR:-/tmp}/keyreeve-fuzz-$what.XXXXXX")
    mkdir "$work/corpus"
    dictionary=tests/fuzz/corpus/$what.dict
    options="-max_total_time=$seconds -timeout=10 -rss_limit_mb=1024 -print_final_stats=1"
    if [ -f "$dictionary" ]; then
        options="$options -dict=$dictionary"
    fi
    echo "== $what, $seconds s"
    # The committed corpus is only read: new inputs go into the first directory.
    if ! "$build/bin/fuzz_$what" $options -artifact_prefix="$work/" "$work/corpus" \
        "tests/fuzz/corpus/$what" >"$work/log" 2>&1; then
        tail -n 40 "$work/log" >&2
        echo "fuzz_$what failed; its log and its input are in $work" >&2
        exit 1
    fi
    grep -E 'Done|number_of_executed_units|new_units_added' "$work/log"
    rm -rf "$work"
done
