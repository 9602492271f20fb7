// SPDX-License-Identifier: Apache-2.0
// Every setting of keyreeved, one row each; included with TEXT, NUMBER and FLAG defined. No guard:
// it is meant to be included several times.
//
// TEXT(name, default, help)  NUMBER(name, default, least, most, unit, help)  FLAG(name, default,
// help)

TEXT(data, "/var/lib/keyreeve", "directory of the database, the secrets and the pid file")
TEXT(http, "127.0.0.1:7400", "address and port of the HTTP listener")
TEXT(http_unix, "", "path of a unix socket that serves HTTP as well; empty: none")
FLAG(insecure, false, "allow a listener without TLS on an address that is not loopback")
NUMBER(serve_threads, 0, 0, 256, "threads", "serving loops; 0: one a core")
TEXT(node_id, "node-1", "this node's name, in answers and metrics")
TEXT(region, "local", "this node's region, in answers and metrics")
TEXT(account, "default", "name of the account that the bootstrap creates")
TEXT(cluster_id, "", "refuse a data directory of any other cluster; empty: accept it")
TEXT(master_key_file, "",
     "file (0600) with the 32-byte master key in hex; empty: <data>/master-key")
TEXT(trusted_proxies, "", "CIDR blocks, comma-separated, whose X-Forwarded-For is believed")
TEXT(realm, "keyreeve", "realm of WWW-Authenticate")
TEXT(credential_header, "X-API-Key", "header that carries a key beside Authorization")
TEXT(credential_query, "", "query parameter that may carry a key; empty: none")
TEXT(credential_cookie, "", "cookie that may carry a key; empty: none")
NUMBER(rate_limit_per_token, 100, 0, 1000000, "requests/s",
       "management requests a token; 0: no limit")
NUMBER(retention_days, 30, 1, 3650, "days", "how long revoked keys stay listed")
NUMBER(connections_max, 20000, 1, 1000000, "connections", "open connections in all")
NUMBER(request_timeout_ms, 10000, 100, 600000, "ms", "a request must arrive whole within this time")
NUMBER(idle_timeout_ms, 75000, 100, 3600000, "ms",
       "a connection without a request is closed after this")
NUMBER(stop_timeout_ms, 10000, 0, 600000, "ms", "a stop waits this long for requests under way")
NUMBER(block_cache_bytes, 268435456, 8388608, 1099511627776, "bytes", "RocksDB's block cache")
NUMBER(disk_reserve_bytes, 67108864, 0, 1099511627776, "bytes",
       "refuse writes when less disk is free")
NUMBER(log_retention_bytes, 1073741824, 1048576, 1099511627776, "bytes",
       "log kept for followers, by size")
NUMBER(log_retention_hours, 24, 1, 8760, "hours", "log kept for followers, by age")
NUMBER(load_threads, 0, 0, 64, "threads", "threads that load the table at start; 0: two")
TEXT(log_level, "info", "debug, info, warn or error")
TEXT(log_format, "auto", "text, json, or auto: text on a terminal")
