#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# The etcd members of a local cluster; read by local-cluster.sh, whose variables and functions it uses.
# shellcheck shell=sh disable=SC2154 # $dir, $net and $engine are the reader's

etcd_names() {
    [ "$engine" = etcd ] && echo etcd-1 etcd-2 etcd-3
    return 0
}

etcd_address() {
    echo "127.0.$net.$((100 + ${1#etcd-}))"
}

is_etcd() {
    case " $(etcd_names | tr '\n' ' ') " in
    *" $1 "*) return 0 ;;
    esac
    return 1
}

make_etcd_certificates() {
    (
        mkdir -p "$dir/etcd-ca" && cd "$dir/etcd-ca"
        [ ! -e client.pem ] || exit 0
        names=
        for last in 1 2 3 4 5 6 7 101 102 103; do
            names="${names}IP:127.0.$net.$last,"
        done
        printf 'subjectAltName=%s\nextendedKeyUsage=serverAuth,clientAuth\n' "${names%,}" >server.ext
        printf 'extendedKeyUsage=clientAuth\n' >client.ext
        openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 3650 \
            -subj /CN=local-cluster-etcd -keyout ca-key.pem -out ca.pem
        for who in server client; do
            openssl req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$who" \
                -keyout $who-key.pem -out $who.csr
            openssl x509 -req -in $who.csr -CA ca.pem -CAkey ca-key.pem -CAcreateserial -days 3650 \
                -extfile $who.ext -out $who.pem
        done
        chmod 600 ./*-key.pem
    ) >>"$dir/certificates.log" 2>&1 ||
        fail "openssl could not make etcd's certificates; see $dir/certificates.log"
}

etcd_endpoints_of() {
    list=
    for member in $(etcd_names); do
        list="$list,https://$(address "$1"):239${member#etcd-}"
    done
    echo "${list#,}"
}

print_etcd() {
    [ "$engine" = etcd ] || fail "this cluster has no etcd: its engine is $engine"
    { is_node "$1" && [ "$(field "$1" 3)" = core ]; } ||
        refuse "no core node is called $1; only those have a way to etcd"
    endpoints=$(etcd_endpoints_of "$1")
    cat <<TEXT
--etcd-endpoint ${endpoints%%,*}
--etcd-ca-file $dir/etcd-ca/ca.pem
--etcd-cert-file $dir/etcd-ca/client.pem
--etcd-key-file $dir/etcd-ca/client-key.pem
TEXT
}

etcd_quota() {
    cat "$dir/etcd-quota" 2>/dev/null || echo 2147483648
}

start_etcd() {
    member=$1
    here=$(etcd_address "$member")
    peers=
    for other in $(etcd_names); do
        peers="$peers,$other=http://$(etcd_address "$other"):2380"
    done
    start_process "$member" etcd --name "$member" --data-dir "$dir/$member/data" \
        --listen-client-urls "https://$here:2379" --advertise-client-urls "https://$here:2379" \
        --listen-peer-urls "http://$here:2380" --initial-advertise-peer-urls "http://$here:2380" \
        --initial-cluster "${peers#,}" --initial-cluster-state new \
        --initial-cluster-token "local-cluster-$net" --heartbeat-interval 100 \
        --election-timeout 1000 --quota-backend-bytes "$(etcd_quota)" --client-cert-auth \
        --trusted-ca-file "$dir/etcd-ca/ca.pem" --cert-file "$dir/etcd-ca/server.pem" \
        --key-file "$dir/etcd-ca/server-key.pem" --logger zap --log-level warn
}

is_etcd_healthy() {
    curl -sf -m 2 --cacert "$dir/etcd-ca/ca.pem" --cert "$dir/etcd-ca/client.pem" \
        --key "$dir/etcd-ca/client-key.pem" "https://$(etcd_address "$1"):2379/health" |
        grep -q '"true"'
}
