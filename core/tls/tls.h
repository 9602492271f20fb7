// SPDX-License-Identifier: Apache-2.0
// TLS, bytes in and bytes out: what a socket brought goes in, what it shall send comes out.
//
// Owns no socket and reads no file. A context (certificate, key, CA, rules) may be used by several
// threads at once; a connection by one at a time. What waits in a connection is bounded: a caller
// that reads and takes after every call never meets BUSY.
#pragma once

#include <stdint.h>

#include "core/base/buf.h"
#include "core/base/fault.h"

#define KR_TLS_PEER_ALPN "keyreeve/1" // the protocol between the nodes of a cluster
#define KR_TLS_NAME_SIZE 64           // of a node id, a region, a cluster id; with the NUL

enum {
    KR_TLS_BUNDLE_MAX = 1 << 20,  // PEM
    KR_TLS_UNREAD_MAX = 2 << 20,  // received and not yet read
    KR_TLS_UNTAKEN_MAX = 4 << 20, // to be sent and not yet taken
};

enum tls_role { KR_TLS_ROLE_CORE, KR_TLS_ROLE_FOLLOWER };
const char *tls_role_text(enum tls_role role); // "core", "follower"
bool tls_role_parse(const char *text, enum tls_role *role);

// ^[a-z0-9][a-z0-9-]{0,62}$: what a node or a region may be called.
bool tls_is_name(const char *text);

// Who a node is, as its certificate says: subject CN, O, OU, L, and the SAN
// keyreeve://<cluster>/<node>.
struct tls_peer {
    char node_id[KR_TLS_NAME_SIZE];
    char cluster_id[KR_TLS_NAME_SIZE];
    char region[KR_TLS_NAME_SIZE];
    enum tls_role role;
    int64_t not_before_ms, not_after_ms; // Unix milliseconds
};

enum tls_version { KR_TLS_1_2, KR_TLS_1_3 };

struct tls_options {
    // PEM: the certificate first, its key, and, in any order, intermediate and CA certificates.
    struct bytes bundle;
    // Protocols in order of preference, comma-separated ("h2,http/1.1"); NULL: no ALPN.
    const char *alpn;
    bool needs_alpn; // a connection on which no protocol was agreed fails
    // Both ends must show a certificate of the bundle's CA, of this node's own cluster.
    bool verifies_peers;
    enum tls_version least_version;
};

// The options of the links between nodes.
struct tls_options tls_peer_options(struct bytes bundle);

// What public connections read from files.
struct tls_files {
    struct bytes chain, key; // PEM: the certificate first; its key
    const char *chain_path, *key_path;
};

struct tls_context;

// Gives. Borrows everything. INVALID: the bundle lacks something or does not fit together. What has
// expired is not refused here; tls_context_own tells until when the certificate holds.
must_use enum kr_err tls_context_new(const struct tls_options *options, struct tls_context **out,
                                     struct fault *fault);
// Drops the owner's reference; connections hold their own. So a renewed certificate is a new
// context that takes the old one's place: connections that are there go on with the old one.
void tls_context_free(struct tls_context **context);
// Who we are. NOT_FOUND for a context that does not verify peers: its certificate names no node.
must_use enum kr_err tls_context_own(const struct tls_context *context, struct tls_peer *out);

enum tls_state {
    KR_TLS_HANDSHAKE,
    KR_TLS_OPEN,
    // By our close_notify, or by theirs (but see tls_has_ended); what was received before can be
    // read.
    KR_TLS_CLOSED,
    KR_TLS_FAILED // tls_fault says why; an alert to the other end may wait to be taken
};

struct tls;

// Gives. A client's first bytes can be taken at once.
struct tls *tls_new(struct tls_context *context, bool is_server);
void tls_free(struct tls **tls); // plaintext is zeroed

enum tls_state tls_state(const struct tls *tls);
// One sentence when FAILED: UNAUTHORIZED (their certificate), FORBIDDEN (they refuse us), INVALID
// (not TLS, or not ours), IO (cut off). Lends until tls_free.
const struct fault *tls_fault(const struct tls *tls);
// The other end, from its verified certificate. NOT_FOUND before OPEN, or where none is verified.
must_use enum kr_err tls_peer(const struct tls *tls, struct tls_peer *out);
// The protocol agreed by ALPN; empty when none was. Lends until tls_free.
struct bytes tls_protocol(const struct tls *tls);
// Of a server's context (tls_server.h): whom the client's certificate names, "" when it showed
// none or before OPEN. Lends until tls_free.
const char *tls_client(const struct tls *tls);
// Of a server's context: the client's close_notify has come. Nothing follows it, but the state
// stays OPEN, and what it asked before can be answered, until tls_shutdown.
bool tls_has_ended(const struct tls *tls);
bool tls_is_resumed(const struct tls *tls); // by a ticket, without certificates

// Takes in what the socket brought, in any pieces; the state may change, bytes to send may follow.
// BUSY, and nothing is taken, when it would leave more than KR_TLS_UNREAD_MAX unread. Once ended,
// CLOSED or FAILED, bytes are dropped.
must_use enum kr_err tls_receive(struct tls *tls, struct bytes ciphertext);
// The socket has reached its end: FAILED unless a close_notify came first (a truncation attack
// looks the same, RFC 8446 §6.1).
void tls_receive_end(struct tls *tls);
// Plaintext that was received and not yet read.
size_t tls_unread(const struct tls *tls);
// Appends plaintext, as much as is there and fits below out's limit; returns its size.
size_t tls_read(struct tls *tls, struct buf *out);

// Encrypts. INVALID unless OPEN; BUSY, and nothing is written, while too much waits to be taken;
// TOO_LARGE when it could never fit.
must_use enum kr_err tls_write(struct tls *tls, struct bytes plaintext);
// Says goodbye: a close_notify is to be taken, the state is CLOSED. In a handshake, just CLOSED.
void tls_shutdown(struct tls *tls);
// Bytes that wait to be sent.
size_t tls_untaken(const struct tls *tls);
// Appends them, as many as fit below out's limit; returns their size.
size_t tls_take(struct tls *tls, struct buf *out);
