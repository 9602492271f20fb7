// SPDX-License-Identifier: Apache-2.0
// Every setting of keyreeved, one row each; included with TEXT, NUMBER, FLAG and SECRET defined. No
// guard: it is meant to be included several times.
//
// TEXT(name, default, help)  NUMBER(name, default, least, most, unit, help)  FLAG(name, default,
// help)  SECRET(name, help): a variable alone, which whoever needs it reads and removes

TEXT(data, "/var/lib/keyreeve", "directory of the database, the secrets and the pid file")
TEXT(http, "127.0.0.1:7400",
     "HTTP listener: HOST:PORT, with TLS where tls_cert is set; or https:// or http:// before it")
TEXT(http_serves, "all", "what http serves: all, or of validation, management, metrics")
TEXT(http_validation, "", "another listener, for validation alone; empty: none")
TEXT(http_management, "", "another listener, for management alone; empty: none")
TEXT(http_metrics, "", "another listener, for metrics alone; empty: none")
TEXT(http_unix, "", "path of a unix socket that serves what http serves; empty: none")
TEXT(binary_listen, "127.0.0.1:7401",
     "binary validation listener: HOST:PORT as http, or tls:// or tcp:// before it; empty: none")
TEXT(binary_unix, "", "path of a unix socket for the binary protocol as well; empty: none")
TEXT(tls_cert, "", "certificates (PEM), comma-separated, chosen by name (SNI), else the first")
TEXT(tls_key, "", "their keys (0600), comma-separated, in the same order")
TEXT(tls_min_version, "1.2", "oldest TLS that is spoken: 1.2 or 1.3")
TEXT(tls_client_ca, "",
     "certificates that sign those of gateways, which are trusted proxies; empty: none asked for")
TEXT(tls_client_names, "",
     "CNs, DNS names or URIs of those gateways, comma-separated; empty: all that the CA has signed")
TEXT(tls_client_required, "",
     "listeners, comma-separated, that refuse clients without a certificate; empty: none")
NUMBER(tls_check_ms, 5000, 100, 3600000, "ms", "how often changed certificate files are looked for")
FLAG(insecure, false, "allow a listener without TLS on an address that is not loopback")
NUMBER(serve_threads, 0, 0, 256, "threads", "serving loops; 0: one a core")
TEXT(node_id, "node-1", "this node's name, in answers and metrics")
TEXT(region, "local", "this node's region, in answers and metrics")
TEXT(account, "default", "name of the account that the bootstrap creates")
TEXT(cluster_id, "",
     "refuse any data directory but this cluster's, an empty one too; empty: accept it")
TEXT(master_key_file, "",
     "file (0600) with the 32-byte master key in hex; empty: <data>/master-key")
NUMBER(master_key_fd, -1, -1, 1048576, "as number",
       "descriptor to read the master key from; -1: none")
SECRET(master_key, "the master key itself, as its file holds it; removed once it is read")
TEXT(engine, "local", "where the log is committed: local (this node's disk) or etcd")
TEXT(peer_bundle, "",
     "file (0600) of this node's certificate, key and CA, from keyreeve node add; empty: no peers")
TEXT(peer_listen, "127.0.0.1:7402", "address and port for other nodes; used with peer_bundle")
TEXT(peer_advertise, "", "where other nodes reach peer_listen; empty: as peer_listen")
TEXT(http_advertise, "", "URL of this node that clients are told; empty: http, as it listens")
TEXT(upstreams, "", "peer addresses of nodes to follow, comma-separated; empty: this node leads")
TEXT(etcd_endpoints, "", "URLs of the etcd members, comma-separated; for engine etcd")
TEXT(etcd_ca_file, "",
     "PEM of the authority that signs the etcd members' certificates; https:// needs it")
TEXT(etcd_cert_file, "", "client certificate for etcd; empty: none")
TEXT(etcd_key_file, "", "its key (0600)")
NUMBER(etcd_quota_bytes, 2147483648, 16777216, 1099511627776, "bytes",
       "etcd's --quota-backend-bytes, to warn in time")
NUMBER(etcd_tail_bytes, 536870912, 1048576, 1099511627776, "bytes",
       "of the log in etcd for a core node that is away; a quarter of the quota at most")
NUMBER(leader_ttl_ms, 2000, 2000, 5000, "ms", "with engine etcd, a silent leader is replaced after")
TEXT(trusted_proxies, "", "CIDR blocks, comma-separated, whose X-Forwarded-For is believed")
TEXT(realm, "keyreeve", "realm of WWW-Authenticate")
TEXT(credential_scheme, "Bearer",
     "scheme of Authorization that carries a key beside Bearer and Basic")
TEXT(credential_header, "X-API-Key", "header that carries a key beside Authorization")
TEXT(credential_query, "", "query parameter that may carry a key; empty: none")
TEXT(credential_cookie, "", "cookie that may carry a key; empty: none")
NUMBER(rate_limit_per_token, 100, 0, 1000000, "requests/s",
       "management requests a token; 0: no limit")
NUMBER(retention_days, 30, 1, 3650, "days", "how long revoked keys stay listed")
NUMBER(audit_retention_days, 400, 0, 36500, "days",
       "how long rows of the audit trail are kept; 0: for ever")
NUMBER(connections_max, 20000, 1, 1000000, "connections", "open connections in all")
NUMBER(connections_per_address, 10000, 0, 1000000, "connections",
       "of them, from one address that is no trusted proxy; 0: no ceiling")
NUMBER(auth_failures_per_minute, 60, 0, 1000000, "requests",
       "requests with a wrong management token from one address; more get 429; 0: no ceiling")
NUMBER(calls_max, 4096, 1, 1000000, "requests",
       "management requests under way at a time; more get 503")
NUMBER(request_timeout_ms, 10000, 100, 600000, "ms", "a request must arrive whole within this time")
NUMBER(idle_timeout_ms, 75000, 100, 3600000, "ms",
       "a connection without a request is closed after this")
NUMBER(stop_timeout_ms, 10000, 0, 600000, "ms", "a stop waits this long for requests under way")
NUMBER(block_cache_bytes, 268435456, 8388608, 1099511627776, "bytes", "RocksDB's block cache")
NUMBER(disk_reserve_bytes, 67108864, 0, 1099511627776, "bytes",
       "refuse writes, and a snapshot on its way in, when less disk is free")
NUMBER(log_retention_bytes, 1073741824, 1048576, 1099511627776, "bytes",
       "log kept for followers, by size")
NUMBER(log_retention_hours, 24, 1, 8760, "hours", "log kept for followers, by age")
NUMBER(load_threads, 0, 0, 64, "threads", "threads that load the table at start; 0: two")
TEXT(log_level, "info", "debug, info, warn or error")
TEXT(log_format, "auto", "text, json, or auto: text on a terminal")
