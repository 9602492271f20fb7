#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The Debian 12 packages that Keyreeve needs: the one list, and their installation.
set -eu

usage() {
    cat <<'TEXT'
usage: deploy/packages.sh [--list] [GROUP…]

Installs what is missing of the named groups' packages (all of build, run and test without a
name). Needs root or sudo only if something is missing.

  build   compiler, CMake, headers: to build keyreeved and keyreeve
  run     the shared libraries: to run programs that were built elsewhere
  test    what tests/run.sh needs beside build
  bench   what keyreeve-bench compares itself with
  report  what its report needs
  cluster what deploy/local-cluster.sh needs beside build

  --list  print the names, one a line, and install nothing
TEXT
}

packages_of() {
    case $1 in
    build)
        echo gcc libc6-dev binutils cmake ninja-build pkg-config protobuf-c-compiler \
            protobuf-compiler libcurl4-openssl-dev libcyaml-dev libjansson-dev libnghttp2-dev \
            libprotobuf-c-dev librocksdb-dev libsodium-dev libssl-dev libsystemd-dev liburcu-dev \
            libuv1-dev libxxhash-dev libyaml-dev zlib1g-dev
        ;;
    run)
        echo ca-certificates curl libcurl4 libcyaml1 libjansson4 libnghttp2-14 libprotobuf-c1 \
            librocksdb7.8 libsodium23 libssl3 libsystemd0 liburcu8 libuv1 libxxhash0 libyaml-0-2 zlib1g
        ;;
    test)
        echo caddy clang clang-format etcd-client etcd-server gdb haproxy libclang-rt-14-dev llvm \
            iproute2 libcmocka-dev nghttp2-client nginx node-js-yaml nodejs openssl rocksdb-tools
        # A nodejs from elsewhere may bring it along, and suffers no other beside it.
        command -v npm >/dev/null 2>&1 || echo npm
        ;;
    bench)
        echo etcd-server openssl postgresql-15 redis-server
        ;;
    report)
        echo fonts-inter librsvg2-bin node-vega nodejs
        ;;
    cluster)
        echo etcd-server openssl
        ;;
    *)
        echo "deploy/packages.sh: no group \"$1\"; there are build, run, test, bench, report and cluster" >&2
        return 2
        ;;
    esac
}

has_package() {
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$1" 2>/dev/null || true)" = installed ]
}

# Runs a command as root.
as_root() {
    if [ "$(id -u)" -eq 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# Debian starts a service that it installs. The tests start their own gateways and etcd, and a
# machine that had none shall not serve ports 80 and 2379 because of them.
stop_new_service() {
    if command -v systemctl >/dev/null 2>&1 && systemctl is-active --quiet "$1" 2>/dev/null; then
        echo "packages: stopping the service $1, which the installation has started"
        as_root systemctl disable --now "$1" >/dev/null 2>&1 || true
    fi
}

is_listing=no
groups=
while [ $# -gt 0 ]; do
    case $1 in
    --help | -h)
        usage
        exit 0
        ;;
    --list) is_listing=yes ;;
    -*)
        echo "deploy/packages.sh: unknown option $1; --help lists them" >&2
        exit 2
        ;;
    *) groups="$groups $1" ;;
    esac
    shift
done
groups=${groups:-build run test}

wanted=
for group in $groups; do
    names=$(packages_of "$group") || exit 2
    wanted="$wanted $names"
done

if [ $is_listing = yes ]; then
    for name in $wanted; do
        echo "$name"
    done
    exit 0
fi

if ! command -v apt-get >/dev/null 2>&1 || ! command -v dpkg-query >/dev/null 2>&1; then
    echo "deploy/packages.sh: this is not Debian (no apt-get). Install the like of:$wanted" >&2
    exit 1
fi

missing=
for name in $wanted; do
    has_package "$name" || missing="$missing $name"
done
if [ -z "$missing" ]; then
    echo "packages: all there ($(echo "$groups" | sed 's/^ *//'))"
    exit 0
fi
if [ "$(id -u)" -ne 0 ] && ! command -v sudo >/dev/null 2>&1; then
    {
        echo "deploy/packages.sh: some packages are missing, and this is neither root nor is there"
        echo "sudo. As root, run:"
        echo "  apt-get update && apt-get install -y --no-install-recommends$missing"
    } >&2
    exit 1
fi

echo "packages: installing$missing"
export DEBIAN_FRONTEND=noninteractive
# A foreign source that cannot be reached need not hinder: Debian's own may be enough.
as_root apt-get -q -o DPkg::Lock::Timeout=120 update >/dev/null ||
    echo "packages: apt-get update has failed in part; trying with what is known" >&2
# shellcheck disable=SC2086 # a list of words
if ! as_root env DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=120 \
    -o Dpkg::Use-Pty=0 install --no-install-recommends $missing >/dev/null; then
    echo "deploy/packages.sh: apt-get could not install them; its messages stand above" >&2
    exit 1
fi
for name in $missing; do
    case $name in
    etcd-server) stop_new_service etcd ;;
    postgresql-15) stop_new_service postgresql ;;
    caddy | haproxy | nginx | redis-server) stop_new_service "$name" ;;
    esac
done
echo "packages: done"
